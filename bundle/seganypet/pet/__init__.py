"""PET volumes: DICOM or NIfTI → SUV with geometry; uptake measures; masks out."""

from seganypet.pet.errors import PetReadError, SuvUnavailableError
from seganypet.pet.nifti import write_mask_nifti
from seganypet.pet.read import read_pet
from seganypet.pet.volume import PetSource, PetVolume, SuvProvenance

__all__ = [
    "PetReadError",
    "PetSource",
    "PetVolume",
    "SuvProvenance",
    "SuvUnavailableError",
    "read_pet",
    "write_mask_nifti",
]
