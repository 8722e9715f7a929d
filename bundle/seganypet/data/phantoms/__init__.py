"""Made-up whole-body FDG PET scans whose truth is known."""

from seganypet.data.phantoms.phantom import Phantom, make_phantom
from seganypet.data.phantoms.scanner import Scanner

__all__ = ["Phantom", "Scanner", "make_phantom"]
