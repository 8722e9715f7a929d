"""Data lists with annotation quality, the cohorts they name, and phantoms."""

from seganypet.data.cohort import write_cohort
from seganypet.data.crops import write_crop_list
from seganypet.data.data_list import DataList, Entry, find_problems, read_data_list, write_data_list
from seganypet.data.kept_studies import load_studies
from seganypet.data.phantoms import Phantom, Scanner, make_label_map_phantom, make_phantom, paste_crop, read_label_maps
from seganypet.data.studies import LoadStudy, WorkingStudy
from seganypet.data.windows import WindowDataset

__all__ = [
    "DataList",
    "Entry",
    "LoadStudy",
    "Phantom",
    "Scanner",
    "WindowDataset",
    "WorkingStudy",
    "find_problems",
    "load_studies",
    "make_label_map_phantom",
    "make_phantom",
    "paste_crop",
    "read_data_list",
    "read_label_maps",
    "write_cohort",
    "write_crop_list",
    "write_data_list",
]
