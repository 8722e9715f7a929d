"""Data lists with annotation quality, the cohorts they name, and phantoms."""

from seganypet.data.cohort import write_cohort
from seganypet.data.data_list import DataList, Entry, find_problems, load_entries, read_data_list, write_data_list
from seganypet.data.phantoms import Phantom, Scanner, make_phantom

__all__ = [
    "DataList",
    "Entry",
    "Phantom",
    "Scanner",
    "find_problems",
    "load_entries",
    "make_phantom",
    "read_data_list",
    "write_cohort",
    "write_data_list",
]
