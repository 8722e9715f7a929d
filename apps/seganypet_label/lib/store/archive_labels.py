"""Labels that others left in the archive: a study's newest DICOM SEG as a label map."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
from monailabel.interfaces.exception import ImageNotFoundException
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from lib.store.archive import Archive
from seganypet.data.label_reading import overlap_order
from seganypet.pet import PetVolume, read_seg
from seganypet.pet.dicom_file import read_dicom
from seganypet.pet.segmentation_import import referenced_series

logger = logging.getLogger(__name__)

# what comes of a SEG that is none, or is not there any more; a network that fails is an OSError
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, InvalidDicomError, ImageNotFoundException)
PASSING = (408, 425, 429, 502, 503, 504)  # what an archive may answer otherwise a moment later


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

    One that names this series goes before newer ones that share its frame of reference alone, as those of another
    reconstruction do.

    Raises:
        requests.RequestException: the archive does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
        others: list[_Seg] = []
        for uid in archive.segmentations(study_uid):
            try:
                archive.fetch(study_uid, uid, Path(folder) / uid)
                found = [_Seg.of(file, uid, volume) for file in sorted((Path(folder) / uid).iterdir())]
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code in PASSING:
                    raise
                logger.warning("SEG %s cannot be had from the archive, it is passed over: %s", uid, error)
                continue
            except UNREADABLE as error:
                logger.info("SEG %s is not taken in: %s", uid, error)
                continue
            sure = [one for one in found if one.names_series and one.dated]  # no other can be newer
            label = _first_usable(sure, study_uid, volume)
            if label is not None:
                return label
            others += [one for one in found if one not in sure]
        return _first_usable(others, study_uid, volume)


@dataclass(frozen=True)
class _Seg:
    """A DICOM SEG of the archive.

    Args:
        file: where it was fetched to.
        series_uid: its own series.
        names_series: whether it refers to the series that a label is looked for.
        dated: whether its series has a date, by which the archive's list was sorted.
        made: date and time of its content.
    """

    file: Path
    series_uid: str
    names_series: bool
    dated: bool
    made: tuple[str, str]

    @classmethod
    def of(cls, file: Path, series_uid: str, volume: PetVolume) -> _Seg:
        header = read_dicom(file, pixels=False)
        names_series = volume.source is not None and volume.source.series_uid in referenced_series(header)
        made = (str(header.get("ContentDate") or ""), str(header.get("ContentTime") or ""))
        return cls(file, series_uid, names_series, bool(header.get("SeriesDate")), made)


def _first_usable(segs: Iterable[_Seg], study_uid: str, volume: PetVolume) -> ArchiveLabel | None:
    for one in sorted(segs, key=lambda seg: (seg.names_series, seg.made), reverse=True):
        try:
            return _label(one.file, volume, {"study_uid": study_uid, "series_uid": one.series_uid})
        except UNREADABLE as error:
            logger.info("SEG %s is not taken in: %s", one.series_uid, error)
    return None


def _label(file: Path, volume: PetVolume, seg: dict[str, str]) -> ArchiveLabel:
    masks = read_seg(file, volume)
    if len(masks) > 255:
        raise ValueError(f"{len(masks)} segments do not fit into a label map")
    labels = np.zeros(volume.shape, np.uint8)
    values = {name: value for value, name in enumerate(masks, start=1)}
    for name in sorted(masks, key=lambda one: overlap_order(one, int(masks[one].sum()))):
        labels[masks[name]] = values[name]
    covered = [name for name, value in values.items() if masks[name].any() and not (labels == value).any()]
    if covered:
        raise ValueError(f"segments that lie wholly in others do not fit into a label map: {', '.join(covered)}")
    targets = [{"name": name, **tracking} for name, tracking in zip(masks, _tracking(file), strict=True)]
    label_info = [{"name": name, "idx": value} for name, value in values.items()]
    return ArchiveLabel(labels, {"label_info": label_info, "targets": targets, "seg": seg, "client_id": "archive"})


def _tracking(file: Path) -> Iterator[dict[str, str]]:
    for segment in dcmread(file, stop_before_pixels=True).SegmentSequence:
        uid = segment.get("TrackingUID")
        yield {"tracking_uid": str(uid)} if uid else {}
