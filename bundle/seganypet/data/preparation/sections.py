"""Found studies checked, counted and split into a data list's sections."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from tqdm import tqdm

from seganypet.data.data_list import SECTIONS, Entry, find_problems
from seganypet.data.preparation.found import Found, FoundStudy, Problem


def check_studies(found: Found, *, progress: bool = True) -> list[Problem]:
    """Every problem of a search: those noted on the way, and those of the voxels, which are all read.

    Args:
        found: what was found.
        progress: show a bar.
    """
    problems = list(found.problems)
    for study in tqdm(found.studies, desc="checking", unit="study", disable=not progress):
        prefix = f"{study.entry.image}: "
        problems += [Problem(study.name, text.removeprefix(prefix)) for text in find_problems([study.entry])]
    return problems


def split_studies(
    studies: Iterable[FoundStudy], *, validation_share: float = 0.2, test_share: float = 0.0
) -> dict[str, list[Entry]]:
    """Entries by section.

    A group's section follows from its name alone, so that all its scans stay together, and it keeps its section when
    the cohort grows. Where the source says a study's section, that holds.

    Args:
        studies: found.
        validation_share: of the groups.
        test_share: of the groups.

    Raises:
        ValueError: shares that are negative or leave nothing to train on.
    """
    if validation_share < 0 or test_share < 0 or validation_share + test_share >= 1:
        raise ValueError(f"shares must be ≥ 0 and sum to less than 1, got {validation_share} and {test_share}")
    sections: dict[str, list[Entry]] = {section: [] for section in SECTIONS}
    for study in studies:
        digest = hashlib.blake2b(study.group.encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        drawn = "test" if place < test_share else "validation" if place < test_share + validation_share else "training"
        sections[study.section or drawn].append(study.entry)
    return sections


def count_labels(entries: Iterable[Entry]) -> Counter[str]:
    """How many entries hold each label name."""
    return Counter(name for entry in entries for name in entry.label_names.values())
