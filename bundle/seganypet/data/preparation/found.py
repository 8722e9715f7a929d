"""What a search for labelled studies brings back: the studies, and everything that is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from seganypet.data.data_list import Entry


@dataclass(frozen=True)
class Problem:
    """Something that keeps a study from being trained on, or that a person should know.

    Args:
        study: its name or file.
        text: what is wrong, and with what.
    """

    study: str
    text: str


@dataclass(frozen=True)
class FoundStudy:
    """A study with a label map.

    Args:
        name: of the study; its entries are left out together.
        group: whose scans must stay in one section, usually the patient.
        entry: image, label map, names and quality.
        section: "training", "validation" or "test" where the source says; None leaves it to the split.
    """

    name: str
    group: str
    entry: Entry
    section: str | None = None


@dataclass
class Found:
    """The result of one search."""

    studies: list[FoundStudy] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def report(self, study: str, text: str) -> None:
        """Notes a problem."""
        self.problems.append(Problem(study, text))
