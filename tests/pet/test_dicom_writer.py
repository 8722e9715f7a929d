"""What a written series says beside its voxels is what DICOM wants of a PET."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from series_editing import AXIAL

from seganypet.pet import SyntheticPatient, write_pet_dicom_series


def written(folder, suv, position="HFS") -> str:
    return str(write_pet_dicom_series(suv, AXIAL, folder, patient=SyntheticPatient(position=position))[0])


@pytest.mark.parametrize(
    ("position", "first", "lying"),
    [
        ("HFS", "headfirst", "Supine"),
        ("HFP", "headfirst", "Prone"),
        ("FFS", "feet-first", "Supine"),
        ("FFP", "feet-first", "Prone"),
    ],
)
def test_the_position_is_said_in_codes_as_pet_has_it(tmp_path, suv, position, first, lying):
    header = pydicom.dcmread(written(tmp_path, suv, position))
    assert "PatientPosition" not in header
    assert header.PatientGantryRelationshipCodeSequence[0].CodeMeaning == first
    (orientation,) = header.PatientOrientationCodeSequence
    assert orientation.CodeValue == "102538003"
    assert orientation.PatientOrientationModifierCodeSequence[0].CodeMeaning == lying


def test_another_position_is_refused(tmp_path, suv):
    with pytest.raises(ValueError, match="HFS, HFP, FFS or FFP, got 'HFDL'"):
        written(tmp_path, suv, "HFDL")


def test_no_sequence_is_empty_that_may_not_be(tmp_path, suv):
    header = pydicom.dcmread(written(tmp_path, suv))
    for keyword in ("EnergyWindowRangeSequence", "ReprojectionMethod"):
        assert keyword not in header
    assert header.Laterality == ""


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
def test_a_validator_finds_no_error(tmp_path):
    file = written(tmp_path, np.ones((6, 5, 4), np.float32))
    said = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False).stderr
    assert "PETImage" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
