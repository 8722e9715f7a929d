"""What can be wrong with a PET, as exceptions that name it."""

from __future__ import annotations


class PetReadError(ValueError):
    """The files do not make one static, attenuation-corrected PET volume; the message names the file or tag."""


class SuvUnavailableError(ValueError):
    """The voxels are there, but their SUV is not known; the message names the tag that is missing or does not fit."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"SUV unavailable: {reason}")
        self.reason = reason
