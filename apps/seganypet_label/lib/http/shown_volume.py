"""Whether a page asks of the study that it shows: files may change, and slices arrive, while it is open."""

from __future__ import annotations

from fastapi import Header, HTTPException

from seganypet.pet import PetVolume

X_VOLUME = Header("")  # of a request: the content hash that /about said; none is asked of other clients


def check_shown(x_volume: str, volume: PetVolume) -> None:
    """Refuse to answer for another volume than the page shows.

    Raises:
        HTTPException: 409 where the study has changed since.
    """
    if x_volume and x_volume != volume.content_hash:
        raise HTTPException(409, "This study's files have changed since it was opened here: load the page again.")
