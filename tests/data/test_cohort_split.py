"""Found studies in sections, a patient's together."""

from collections import Counter
from pathlib import Path

import pytest

from seganypet.data.data_list import Entry
from seganypet.data.preparation import FoundStudy, patient_of, split_studies


def found_studies(groups: int, section: str | None = None) -> list[FoundStudy]:
    return [
        FoundStudy(f"{n}/{scan}", str(n), Entry(Path(f"{n}_{scan}"), Path("l"), {1: "liver"}), section)
        for n in range(groups)
        for scan in (0, 1)
    ]


def test_patients_stay_together_and_where_they_were():
    sections = split_studies(found_studies(200), validation_share=0.2, test_share=0.1)
    of = {entry.image.name: section for section, entries in sections.items() for entry in entries}
    assert all(of[f"{n}_0"] == of[f"{n}_1"] for n in range(200))
    counts = Counter(of[f"{n}_0"] for n in range(200))
    assert 100 < counts["training"] < 180
    assert 20 < counts["validation"] < 65
    more = split_studies(found_studies(300), validation_share=0.2, test_share=0.1)
    later = {entry.image.name: section for section, entries in more.items() for entry in entries}
    assert all(later[name] == section for name, section in of.items())


def test_a_stated_section_holds():
    sections = split_studies(found_studies(5, "test"))
    assert len(sections["test"]) == 10


def test_scans_of_a_patient_are_known_by_their_patient_id():
    known = {"image": {"info": {"about": {"patient_id": "PAT-001"}}}}
    assert patient_of("baseline", known) == patient_of("followup", known) == "PAT-001"
    assert patient_of("baseline", {}) == patient_of("baseline", {"image": {"info": {"about": {}}}}) == "baseline"


def test_shares_must_leave_something():
    with pytest.raises(ValueError, match=r"less than 1, got 0\.6 and 0\.4"):
        split_studies([], validation_share=0.6, test_share=0.4)
