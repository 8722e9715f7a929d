"""Final labels of a folder's studies as DICOM SEG, made in memory when somebody asks: nothing is written.

A label's UIDs are made of the series, the label file's bytes and its targets' names. So a server that is started again,
and two that serve one folder, name the same SEG alike, and a label that is saved anew or renamed is another SEG.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from monailabel.interfaces.exception import ImageNotFoundException
from pydicom.uid import generate_uid

from lib.store.datastore import FINAL, StudyStore
from lib.store.dicom_instance import Instance, instance_of
from lib.store.label_maps import read_label_map
from seganypet.inference.byte_cache import ByteCache
from seganypet.pet import PetVolume, SegmentOrigin, measure_uptake, write_seg, write_sr

logger = logging.getLogger(__name__)
KEPT_BYTES = 64 * 2**20
IN_SEG = ("name", "idx", "tracking_uid", "clicks", "weights")  # of a target, what its segment says or depends on
DESCRIPTION = "SegAnyPET segmentation"


def write_label(
    label: Path, info: dict[str, Any], volume: PetVolume, folder: Path, *, with_sr: bool = False
) -> list[Path]:
    """Write a label map as a DICOM SEG with a segment per target, and the DICOM SR of what they measure if asked for.

    Returns:
        The files, the SEG first; none where no target is left in the map.

    Raises:
        ValueError: from `write_seg` and `read_label_map`.
    """
    targets = info["targets"]
    if not targets:
        return []
    voxels = read_label_map(label, volume).voxels
    numbers = np.zeros(max(int(voxels.max(initial=0)), *(target["idx"] for target in targets)) + 1, np.int16)
    for number, target in enumerate(targets, start=1):
        numbers[target["idx"]] = number
    names, origins = [target["name"] for target in targets], {target["name"]: origin_of(target) for target in targets}
    numbered, file = numbers[voxels], folder / "seg.dcm"
    seg = write_seg(numbered, volume, file, labels=names, origins=origins, series_description=DESCRIPTION)
    if not with_sr:
        return [seg]
    uptakes = [measure_uptake(volume, numbered == number) for number in range(1, len(targets) + 1)]
    readers = {target.get("by") or "" for target in targets}
    reader = readers.pop() if len(readers) == 1 else ""  # the report names one observer
    return [seg, write_sr(seg, uptakes, volume, folder / "sr.dcm", reader=reader)]


def origin_of(target: Mapping[str, Any]) -> SegmentOrigin:
    """What a segment says of a saved target: drawn by hand where nothing was clicked."""
    clicked = clicked_with(target.get("weights") or {})
    return replace(clicked, tracking_uid=target.get("tracking_uid"), drawn=not target.get("clicks"))


def clicked_with(weights: Mapping[str, Any]) -> SegmentOrigin:
    """What a segment says that was clicked: by the file and the hash of the weights that answered."""
    return SegmentOrigin(weights=f"{weights.get('file', '')} {weights.get('hash', '')}".strip() or "unknown")


@dataclass(frozen=True)
class LabelSeg:
    """A label that can be had as a SEG.

    Args:
        study_id: the store's.
        pet_uid: SeriesInstanceUID of the PET.
        uid: SeriesInstanceUID of the SEG.
        label: its file.
        info: what is said of it.
    """

    study_id: str
    pet_uid: str
    uid: str
    label: Path
    info: dict[str, Any]


class LabelSegs:
    """The SEGs of a store's final labels.

    Args:
        store: the studies.
    """

    def __init__(self, store: StudyStore) -> None:
        self._store = store
        self._kept: ByteCache[Instance] = ByteCache(KEPT_BYTES, lambda one: len(one.content) + len(one.text))
        self._digests: dict[Path, tuple[int, str]] = {}

    def of_study(self, study_id: str, series_uid: str) -> LabelSeg | None:
        """The SEG of a study's final label, not made yet; None where it has none, or an empty one."""
        try:
            info = dict(self._store.get_label_info(study_id, FINAL) or {})
            label = Path(self._store.get_label_uri(study_id, FINAL))
            if not info.get("targets") or not label.is_file():
                return None
            digest = self._digest(label)
        except (OSError, ImageNotFoundException):  # it went away meanwhile
            return None
        said = json.dumps([[target.get(key) for key in IN_SEG] for target in info["targets"]], default=str)
        uid = str(generate_uid(entropy_srcs=[series_uid, "seg", digest, said]))
        return LabelSeg(study_id, series_uid, uid, label, info)

    def instance(self, seg: LabelSeg) -> Instance | None:
        """The SEG, made once however many ask at a time; None, with the reason in the log, where it cannot be."""
        try:
            return self._kept.get_or_make(seg.uid, lambda: self._made(seg))[0]
        except (ValueError, OSError, ImageNotFoundException) as error:
            logger.warning("the label of %s is not shown as a DICOM SEG: %s", seg.study_id, error)
            return None

    def _digest(self, label: Path) -> str:
        stamp = label.stat().st_mtime_ns
        known = self._digests.get(label)
        if known is None or known[0] != stamp:
            known = self._digests[label] = (stamp, hashlib.blake2b(label.read_bytes(), digest_size=16).hexdigest())
        return known[1]

    def _made(self, seg: LabelSeg) -> Instance:
        volume = self._store.volume(seg.study_id)
        with tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
            files = write_label(seg.label, seg.info, volume, Path(folder))
            if not files:
                raise ValueError("no target is left in it")
            dataset = pydicom.dcmread(files[0])
        now = self.of_study(seg.study_id, seg.pet_uid)
        if now is None or now.uid != seg.uid:
            raise ValueError("it was saved anew while its SEG was made")
        dataset.SeriesInstanceUID = seg.uid
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(
            entropy_srcs=[seg.uid, "instance"]
        )
        content = io.BytesIO()
        dataset.save_as(content)
        return instance_of(dataset, content=content.getvalue())
