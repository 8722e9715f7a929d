"""Made-up whole-body FDG PET scans whose truth is known."""

from seganypet.data.phantoms.label_map_files import LabelMap, read_label_maps
from seganypet.data.phantoms.label_maps import make_label_map_phantom
from seganypet.data.phantoms.lesion_maps import LesionMap
from seganypet.data.phantoms.options import Options
from seganypet.data.phantoms.pasting import paste_crop
from seganypet.data.phantoms.phantom import Phantom, make_phantom
from seganypet.data.phantoms.scanner import Scanner
from seganypet.data.phantoms.sources import find_brain_pattern, find_label_maps, find_lesion_maps

__all__ = [
    "LabelMap",
    "LesionMap",
    "Options",
    "Phantom",
    "Scanner",
    "find_brain_pattern",
    "find_label_maps",
    "find_lesion_maps",
    "make_label_map_phantom",
    "make_phantom",
    "paste_crop",
    "read_label_maps",
]
