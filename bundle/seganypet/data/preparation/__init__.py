"""Data lists of cohorts as they come: nnU-Net, AutoPET, MONAI Label, DICOM."""

from seganypet.data.preparation.dicom_folder import find_dicom
from seganypet.data.preparation.found import Found, FoundStudy, Problem
from seganypet.data.preparation.nnunet_folder import find_autopet, find_nnunet
from seganypet.data.preparation.sections import check_studies, count_labels, split_studies
from seganypet.data.preparation.studies_folder import INDEX, find_monai_label, patient_of

__all__ = [
    "INDEX",
    "Found",
    "FoundStudy",
    "Problem",
    "check_studies",
    "count_labels",
    "find_autopet",
    "find_dicom",
    "find_monai_label",
    "find_nnunet",
    "patient_of",
    "split_studies",
]
