"""nnU-Net's splits_final.json: which of its training cases are for training and which for validation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from seganypet.data.json_file import read_json
from seganypet.data.preparation.found import Found


@dataclass(frozen=True)
class Fold:
    """One fold of a splits_final.json.

    Args:
        name: of the fold and its file, for messages.
        training: cases under "train".
        validation: cases under "val".
    """

    name: str
    training: frozenset[str]
    validation: frozenset[str]

    @classmethod
    def read(cls, path: str | Path, number: int) -> Fold:
        """A fold, counted from 0, of a list of {"train": [case, ...], "val": [case, ...]}.

        Raises:
            FileNotFoundError: no file at `path`.
            ValueError: not such a list, or a fold that it does not have.
        """
        folds = read_json(path, "splits file")
        if not isinstance(folds, list) or not folds:
            raise ValueError(f"{path} must be a list of folds with 'train' and 'val', as nnU-Net's splits_final.json")
        if not isinstance(number, int) or not 0 <= number < len(folds):
            raise ValueError(f"{path} has folds 0 to {len(folds) - 1}, not {number!r}")
        members = []
        for key in ("train", "val"):
            cases = folds[number].get(key) if isinstance(folds[number], dict) else None
            if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
                raise ValueError(f"fold {number} of {path} must hold a list of case names under {key!r}")
            members.append(frozenset(cases))
        return cls(f"fold {number} of {path}", *members)

    def section_of(self, case: str) -> str | None:
        """A data list's section; None for a case that the fold does not name."""
        return "training" if case in self.training else "validation" if case in self.validation else None

    def report_misplaced(self, cases: Collection[str], found: Found) -> None:
        """Notes every case that is not in exactly one part of the fold, and every patient who is in both.

        Args:
            cases: the folder's training cases, with or without all of their files.
            found: gets the notes; its studies say whose patient's they are.
        """
        for case in sorted(self.training & self.validation):
            found.report(case, f"is in train and in val of {self.name}")
        for case in sorted((self.training | self.validation).difference(cases)):
            found.report(case, f"is in {self.name}, but not in the folder")
        for case in sorted(set(cases) - self.training - self.validation):
            found.report(case, f"is neither in train nor in val of {self.name}")
        patients = {study.group for study in found.studies if study.name in self.training}
        for study in found.studies:
            if study.name in self.validation - self.training and study.group in patients:
                found.report(study.name, f"its patient {study.group} is in train and in val of {self.name}")
