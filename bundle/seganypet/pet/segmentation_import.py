"""A DICOM SEG back as masks on the grid of the PET series it refers to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from highdicom.seg import segread
from numpy.typing import NDArray

from seganypet.pet.dicom_file import read_dicom
from seganypet.pet.headers import header_text
from seganypet.pet.volume import PetVolume


def read_seg(path: str | Path, volume: PetVolume) -> dict[str, NDArray[np.bool_]]:
    """The segments of a DICOM SEG (BINARY), bit by bit.

    Args:
        path: of the file.
        volume: read from the DICOM series that the SEG refers to.

    Returns:
        Segment label → mask [i, j, k]; a label that occurs twice gets its segment's number.

    Raises:
        ValueError: no SEG, a fractional one, a volume that is not DICOM, or a SEG of other slices.
    """
    if volume.source is None or not volume.source.is_dicom:
        raise ValueError("a DICOM SEG refers to DICOM slices; this volume was not read from DICOM")
    try:
        seg = segread(path)
    except Exception as error:  # highdicom raises whatever a file makes it raise
        raise ValueError(f"{path} cannot be read as DICOM SEG: {error}") from None
    if seg.SegmentationType != "BINARY":
        raise ValueError(f"{path} is a {seg.SegmentationType} SEG, BINARY is read")
    uids = [header_text(read_dicom(file, pixels=False), "SOPInstanceUID") or "" for file in volume.source.files]
    known = {str(uid) for _, _, uid in seg.get_source_image_uids()}
    if not known & set(uids):
        raise ValueError(f"{path} refers to none of the slices of series {volume.source.series_uid}")
    i, j, _ = volume.shape
    if (seg.Columns, seg.Rows) != (i, j):
        raise ValueError(f"{path} has slices of {seg.Columns} × {seg.Rows} voxels, the series of {i} × {j}")
    pixels = seg.get_pixels_by_source_instance(
        uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )  # [k, j, i, segments]
    masks: dict[str, NDArray[np.bool_]] = {}
    for index, number in enumerate(seg.segment_numbers):
        label = str(seg.get_segment_description(number).segment_label)
        name = label if label not in masks else f"{label} ({number})"
        masks[name] = np.ascontiguousarray(pixels[..., index].T).astype(bool)
    return masks
