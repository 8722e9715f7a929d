"""The studies folder: its studies, and labels under labels/<tag>/.

MONAI Label's own store copies over what is there. This one keeps whatever a save or a removal would have destroyed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from monailabel.datastore.local import DataModel
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import LabelNotFoundException
from numpy.typing import NDArray

from lib.store.bad_request import BadRequest
from lib.store.kept_files import keep, keep_a_copy, link, put_aside
from lib.store.kept_text import check_kept, read_kept
from lib.store.label_maps import narrow, read_label_map
from lib.store.label_quality import LOW, said_quality
from lib.store.last_masks import LastMasks
from lib.store.mask_files import nifti_bytes
from lib.store.merged_label import merged_label
from lib.store.names import LABEL_EXTENSIONS, extension_of, is_tag, tag_text
from lib.store.owned_keys import check_label_info, check_save_info, sound_label_info
from lib.store.reader import READER
from lib.store.saved_targets import describe_targets, listed_targets
from lib.store.study_list import StudyList
from lib.store.volumes import Volumes
from seganypet.data.label_reading import LabelMap
from seganypet.data.preparation import INDEX
from seganypet.pet import PetVolume
from seganypet.whole_file import whole_file

logger = logging.getLogger(__name__)

FINAL = DefaultLabelTag.FINAL.value


class StudyStore(StudyList):
    """A folder of studies and their labels.

    Args:
        folder: the studies folder.
        volumes: where studies are read from.
        auto_reload: follow files that others put there.
        final_quality: of a final label that is saved without its quality being said.
    """

    def __init__(self, folder: str, volumes: Volumes, *, auto_reload: bool = True, final_quality: str = LOW) -> None:
        self.final_quality = final_quality
        self.last_masks = LastMasks()
        super().__init__(folder, volumes, auto_reload=auto_reload)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label that a client sent, see `keep_label`.

        Raises:
            BadRequest: info that is the server's to say; and as `keep_label`.
        """
        check_save_info(label_info or {})
        return self.keep_label(image_id, label_filename, label_tag, label_info)

    def keep_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label as labels/<tag>/<study>; what was there moves to .seganypet/replaced.

        A label whose info names one target, `{"label": "spleen"}`, is put into the label map that is there, beside the
        other targets; any other label takes its place. Where targets overlap, lesions and smaller ones stay on top.
        Info may say a `quality`, of what is saved, which mask of that target it `replaces`, by its digest, "" for none,
        and which target it `renames`, {"name": ..., "digest": ...}. What stands there as it is asked for is left so.

        Raises:
            ImageNotFoundException: there is no such study.
            BadRequest: a tag or a quality that is none, or a file that is no label map on the study's grid.
            HTTPException: 409 where it replaces another mask than it says, or would leave nothing of a target.
        """
        tag = _checked_tag(label_tag)
        quality = self._quality(tag, label_info or {})
        extension = extension_of(label_filename, LABEL_EXTENSIONS)
        if extension is None:
            raise BadRequest(f"a label is a file {', '.join(LABEL_EXTENSIONS)}, got {Path(label_filename).name!r}")
        study_id = self.study_id(image_id)
        volume = self.volume(study_id)
        label = read_label_map(Path(label_filename), volume)
        self._keep(study_id, tag, label, label_info or {}, volume, quality)
        return study_id

    def save_target(
        self, image_id: str, tag: str, mask: NDArray[np.bool_], said: dict[str, Any]
    ) -> list[dict[str, str]]:
        """Keep a target among the others of a label.

        Args:
            mask: bool [i, j, k] on the study's grid.
            said: its `label`, and what else the info of `save_label` may say.

        Returns:
            What that changed, as `changed_targets` says it.

        Raises:
            As `save_label`.
        """
        quality, study_id = self._quality(_checked_tag(tag), said), self.study_id(image_id)
        volume = self.volume(study_id)
        return self._keep(study_id, tag, LabelMap(mask.astype(np.int16), volume.affine, {}), said, volume, quality)

    def remove_target(self, image_id: str, tag: str, name: str, said: dict[str, Any]) -> None:
        """Take one target out of a label map; the map with it moves to .seganypet/replaced. One that is gone stays so.

        Args:
            said: who and from where; which mask it `replaces`.

        Raises:
            ImageNotFoundException: there is no such study.
            LabelNotFoundException: there is no such label.
            HTTPException: 409 where the target is another by now.
        """
        study_id = self.study_id(image_id)
        volume = self.volume(study_id)
        if self._label(study_id, tag) is None:
            raise LabelNotFoundException(f"there is no label of study {study_id!r} with tag {tag!r}")
        nothing = LabelMap(np.zeros(volume.shape, np.int16), volume.affine, {})
        self._keep(study_id, tag, nothing, {**said, "label": name, "removed": True}, volume, LOW)

    def _keep(
        self, study_id: str, tag: str, label: LabelMap, label_info: dict[str, Any], volume: PetVolume, quality: str
    ) -> list[dict[str, str]]:
        """Merge a label with what is there and put it in its place; what the save of one target changed."""
        said = {**label_info, "ts": int(time.time()), "reader": READER.get()}
        check_kept(said, "what is said of the label")
        while True:
            # reading, packing and measuring take half a second: no click waits for them, so none of it is locked
            before = self._label(study_id, tag)
            old = self._kept_voxels(study_id, tag, before, volume) if before and said.get("label") else None
            known, came_from = before.info if before else {}, partial(self.last_masks.came_from, study_id)
            merged = merged_label(label, said, old, known, volume, quality, came_from)
            if isinstance(merged, list):
                return merged
            labelled, info = merged
            content = nifti_bytes(narrow(labelled), volume.affine)
            with self._newest_index():
                if self._label(study_id, tag) != before:
                    continue  # somebody saved in between: what is merged is merged with that
                self._put_label(study_id, tag, content, info, before)
            for entry in info["targets"] if tag == FINAL else ():
                if entry.get("edited") is False:
                    mask = label.voxels > 0 if entry["name"] == said.get("label") else labelled == entry["idx"]
                    self.last_masks.note_saved(study_id, entry["name"], mask)
            changed = (entry.get("changed", []) for entry in info["targets"] if entry["name"] == said.get("label"))
            return list(next(changed, []))

    def _quality(self, tag: str, info: dict[str, Any]) -> str:
        return said_quality(info) or (self.final_quality if tag == FINAL else LOW)

    def _label(self, study_id: str, tag: str) -> DataModel | None:
        """What the index says of a label just now, None where there is none; a copy."""
        with self._lock:
            self._init_from_datastore_file()
            label = self._datastore.objects[study_id].labels.get(tag)
            return None if label is None else label.model_copy(deep=True)

    def _label_file(self, study_id: str, tag: str, label: DataModel) -> Path:
        return self.root / "labels" / tag / f"{study_id}{label.ext}"

    def _put_label(
        self, study_id: str, tag: str, content: bytes, info: dict[str, Any], before: DataModel | None
    ) -> None:
        """Files and index, under the lock; what was there moves to .seganypet/replaced."""
        folder = self.root / "labels" / tag
        target, said = folder / f"{study_id}.nii.gz", folder / f"{study_id}.json"
        old = folder / f"{study_id}{before.ext}" if before else target
        for file in (old, said):
            keep_a_copy(self.root, file)
        info["name"] = target.name
        with whole_file(target) as mask, whole_file(said) as words:  # both are on the disk before either has its name
            mask.write_bytes(content)
            words.write_text(json.dumps(info, indent=2, default=str), encoding="utf-8")
        if old != target:  # one that came as .nrrd
            old.unlink(missing_ok=True)
        self._datastore.objects[study_id].labels[tag] = DataModel(info=info, ext=".nii.gz")
        self._update_datastore_file()

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add what a client says of a label, see `add_label_info`.

        Raises:
            BadRequest: info that is the server's to say; and as `add_label_info`.
        """
        check_label_info(info)
        self.add_label_info(label_id, label_tag, info)

    def add_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is said of a label, also in the JSON beside it; a quality becomes that of all its targets.

        Raises:
            LabelNotFoundException: there is none.
            BadRequest: a quality that is none.
        """
        tag, quality = tag_text(label_tag), said_quality(info)
        check_kept(info, "what is said of the label")
        with self._newest_index():
            if quality and "targets" not in info:
                targets = self.get_label_info(label_id, tag).get("targets", [])
                info = {**info, "targets": [{**target, "quality": quality} for target in targets]}
            self._add_label_info(label_id, tag, info)

    def _add_label_info(self, study_id: str, tag: str, info: dict[str, Any]) -> None:
        """In the index and in the JSON beside the label, under the lock."""
        super().update_label_info(study_id, tag, info)
        if not self.read_only:
            said = json.dumps(self.get_label_info(study_id, tag), indent=2, default=str)
            keep(said.encode(), self.root / "labels" / tag / f"{study_id}.json")

    def measured_info(self, study_id: str, tag: str, volume: PetVolume) -> dict[str, Any]:
        """What is said of a label, its uptake measured again where the study was read otherwise when it was saved.

        A weight or a dose that was corrected in the headers changes every SUV.

        Args:
            volume: the study as it is now.

        Raises:
            BadRequest: the label does not lie on its grid any more.
        """
        before = self._label(study_id, tag)
        if before is None or before.info.get("measured_on") == volume.content_hash:
            return dict(before.info) if before else {}
        labelled = self._kept_voxels(study_id, tag, before, volume)
        info = {**before.info, "label_info": listed_targets(labelled, before.info)}
        measured = describe_targets(labelled, info, before.info, volume)
        said = {entry["name"]: entry for entry in before.info.get("targets") or []}
        measured["targets"] = [{**said.get(entry["name"], {}), **entry} for entry in measured["targets"]]
        try:
            with self._newest_index():
                if self._label(study_id, tag) == before:  # else somebody saved meanwhile, and measured
                    self._add_label_info(study_id, tag, measured)
        except (OSError, filelock.Timeout) as error:  # it is told all the same
            logger.warning("what was measured again of %s is not kept: %s", study_id, error)
        return {**before.info, **measured}

    def _kept_voxels(self, study_id: str, tag: str, label: DataModel, volume: PetVolume) -> NDArray[np.int16]:
        """A kept label map on its study's grid.

        Raises:
            BadRequest: it does not lie on that, since the study's files were replaced by others.
        """
        file = self._label_file(study_id, tag, label)
        try:
            return read_label_map(file, volume).voxels
        except BadRequest as error:
            raise BadRequest(
                f"the label that is kept of study {study_id!r} does not fit it ({error.detail}); nothing was changed. "
                f"Put the study's own files back, or move {file.relative_to(self.root)} away"
            ) from None

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Take a label out of the store; the file moves to .seganypet/removed.

        Raises:
            LabelNotFoundException: there is none.
        """
        with self._newest_index():
            tag = tag_text(label_tag)
            label = self._datastore.label(label_id, tag)
            if label is None:
                raise LabelNotFoundException(f"there is no label of study {label_id!r} with tag {tag!r}")
            for extension in (label.ext, ".json"):
                put_aside(self.root, self.root / "labels" / tag / f"{label_id}{extension}", "removed")
            del self._datastore.objects[label_id].labels[tag]
            self._update_datastore_file()

    def hold_labels(self, tags: Iterable[str], folder: Path) -> list[str]:
        """Give a folder the labels as they are at this moment, with their index: no later save or removal changes it.

        Args:
            tags: of the labels.
            folder: gets labels/<tag>/ and an index, in which every final label says a quality.

        Returns:
            The studies that have one.
        """
        tags, index = tuple(tags), {}
        with self._newest_index():
            for study, entry in self._datastore.objects.items():
                labels = {tag: label.model_dump() for tag, label in entry.labels.items() if tag in tags}
                for tag in labels:
                    (folder / "labels" / tag).mkdir(parents=True, exist_ok=True)
                    file = self._label_file(study, tag, entry.labels[tag])
                    if file.is_file():  # somebody may have taken it away by hand
                        link(file, folder / "labels" / tag / file.name)
                if labels:
                    index[study] = {"image": entry.image.model_dump(), "labels": labels}
        for entry in index.values():
            if FINAL in entry["labels"]:
                entry["labels"][FINAL]["info"].setdefault("quality", self.final_quality)
        keep(json.dumps({"objects": index}, default=str).encode(), folder / INDEX)
        return list(index)

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        self._look_for_series()
        unlabelled: list[str] = super().get_unlabeled_images(label_tag, labels)
        return unlabelled

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """A ZIP of labelled studies.

        Raises:
            LabelNotFoundException: no study has a final label yet.
        """
        if not self.get_labeled_images():
            raise LabelNotFoundException("no study has a final label yet")
        return str(super().get_dataset_archive(limit_cases))

    def _add_non_existing_labels(self, tag: str) -> int:
        """Take in labels that lie in labels/<tag>; what was said of one stands in the JSON beside it."""
        known = {study for study, entry in self._datastore.objects.items() if tag in entry.labels}
        added: int = super()._add_non_existing_labels(tag)
        for study, entry in self._datastore.objects.items():
            said = self.root / "labels" / tag / f"{study}.json"
            if tag in entry.labels and study not in known and said.is_file():
                try:
                    entry.labels[tag].info.update(sound_label_info(read_kept(said)))
                except (ValueError, OSError) as error:
                    logger.warning("%s is not taken in: %s", said, error)
        return added


def _checked_tag(tag: str) -> str:
    """A label's tag, of MONAI Label's kinds or any other, as text."""
    text = tag_text(tag)
    if not is_tag(text):
        raise BadRequest(f"tag must be a plain name without a path, got {text!r}")
    return text
