"""Labels that others left in the archive: a study's newest DICOM SEG as a label map."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.exception import ImageNotFoundException
from numpy.typing import NDArray
from pydicom import dcmread

from lib.store.archive import Archive
from seganypet.data.label_reading import overlap_order
from seganypet.pet import PetVolume, read_seg

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ArchiveLabel:
    """A label as the archive has it.

    Args:
        labels: [i, j, k] on the study's grid; where segments overlap, lesions and the smaller ones stay on top.
        info: for the JSON beside it: `label_info`, `targets` with their tracking UIDs, and which `seg` it was.
    """

    labels: NDArray[np.uint8]
    info: dict[str, Any]


def newest_label(archive: Archive, study_uid: str, volume: PetVolume) -> ArchiveLabel | None:
    """The newest SEG of a study that lies on this series' slices; others are passed over with the reason.

    Raises:
        requests.RequestException: the archive does not answer.
    """
    for uid in archive.segmentations(study_uid):
        with tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
            try:
                archive.fetch(study_uid, uid, Path(folder) / uid)
                (file,) = (Path(folder) / uid).iterdir()
                return _label(file, volume, {"study_uid": study_uid, "series_uid": uid})
            except (ValueError, ImageNotFoundException) as error:
                logger.info("SEG %s is not taken in: %s", uid, error)
    return None


def _label(file: Path, volume: PetVolume, seg: dict[str, str]) -> ArchiveLabel:
    masks = read_seg(file, volume)
    if len(masks) > 255:
        raise ValueError(f"{len(masks)} segments do not fit into a label map")
    labels = np.zeros(volume.shape, np.uint8)
    values = {name: value for value, name in enumerate(masks, start=1)}
    for name in sorted(masks, key=lambda one: overlap_order(one, int(masks[one].sum()))):
        labels[masks[name]] = values[name]
    targets = [{"name": name, **tracking} for name, tracking in zip(masks, _tracking(file), strict=True)]
    label_info = [{"name": name, "idx": value} for name, value in values.items()]
    return ArchiveLabel(labels, {"label_info": label_info, "targets": targets, "seg": seg, "client_id": "archive"})


def _tracking(file: Path) -> Iterator[dict[str, str]]:
    for segment in dcmread(file, stop_before_pixels=True).SegmentSequence:
        uid = segment.get("TrackingUID")
        yield {"tracking_uid": str(uid)} if uid else {}
