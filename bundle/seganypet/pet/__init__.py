"""PET volumes: DICOM or NIfTI → SUV with geometry; uptake measures; masks out."""

from seganypet.pet.dicom_writer import SyntheticPatient, SyntheticScan, write_pet_dicom_series
from seganypet.pet.errors import PetReadError, SuvUnavailableError
from seganypet.pet.measurement_report import write_sr
from seganypet.pet.nifti import write_mask_nifti
from seganypet.pet.read import read_pet
from seganypet.pet.segmentation_export import SegmentOrigin, write_seg
from seganypet.pet.segmentation_import import read_seg
from seganypet.pet.series_listing import PetSeries, find_pet_series, find_series
from seganypet.pet.suv import SuvFactors, suv_factors
from seganypet.pet.uptake import Uptake, measure_uptake
from seganypet.pet.volume import PetSource, PetVolume, SuvProvenance

__all__ = [
    "PetReadError",
    "PetSeries",
    "PetSource",
    "PetVolume",
    "SegmentOrigin",
    "SuvFactors",
    "SuvProvenance",
    "SuvUnavailableError",
    "SyntheticPatient",
    "SyntheticScan",
    "Uptake",
    "find_pet_series",
    "find_series",
    "measure_uptake",
    "read_pet",
    "read_seg",
    "suv_factors",
    "write_mask_nifti",
    "write_pet_dicom_series",
    "write_seg",
    "write_sr",
]
