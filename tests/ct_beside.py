"""A CT that was taken with a PET, as DICOM files."""

from pathlib import Path

import pydicom
from pydicom.uid import CTImageStorage, generate_uid


def write_ct(pet: Path, ct: Path, *, study: str = "") -> str:
    """A CT on a PET's slices, "CT beside", of its study unless another is given; returns its SeriesInstanceUID."""
    series = generate_uid()
    ct.mkdir()
    for file in sorted(pet.glob("*.dcm")):
        dataset = pydicom.dcmread(file)
        dataset.Modality, dataset.SeriesDescription, dataset.SeriesInstanceUID = "CT", "CT beside", series
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID = study or dataset.StudyInstanceUID
        dataset.save_as(ct / file.name)
    return series
