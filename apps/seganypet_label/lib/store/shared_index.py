"""MONAI Label's local store made safe for many callers.

MONAI Label 0.8.5 empties and refills its index in place while others read it, rewrites the index file in place, and
does not start on a folder it may not write to.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import LocalDatastore, LocalDatastoreModel

from lib.store.bad_request import BadRequest
from lib.store.kept_files import PRIVATE
from lib.store.kept_text import read_kept
from lib.store.owned_keys import sound_index
from seganypet.whole_file import whole_file

logger = logging.getLogger(__name__)
LABELS = "labels"


class SharedIndex(LocalDatastore):
    """A local store whose methods can be called from many threads.

    Args:
        folder: the studies folder.
        extensions: patterns of the files it lists.
        auto_reload: follow files that others put there.
    """

    def __init__(self, folder: str, *, extensions: tuple[str, ...], auto_reload: bool) -> None:
        self.root = Path(folder)
        self._lock = threading.RLock()
        # of other servers on this folder; MONAI Label's own is taken and let go several times within one save
        self._saving = FileLock(Path(folder) / PRIVATE / "saving.lock")
        self._config_ts = 0.0  # when the index that is known was written
        self._aside: tempfile.TemporaryDirectory[str] | None = None  # what a folder that is read-only cannot take
        labels_dir = LABELS
        if self.root.is_dir() and not self.is_writable():
            self._aside = tempfile.TemporaryDirectory(prefix="seganypet-read-only-")
            labels_dir = str(_labels_aside(self.root / LABELS, Path(self._aside.name) / LABELS))
            logger.warning("the studies folder %s is read-only: studies are read, labels cannot be saved", folder)
        super().__init__(folder, extensions=extensions, auto_reload=auto_reload, labels_dir=labels_dir)

    @property
    def read_only(self) -> bool:
        """Whether the folder could not be written to when the store was opened."""
        return self._aside is not None

    def is_there(self) -> bool:
        """Whether the folder is there, and not an empty mount point in its place."""
        if not self.root.is_dir():
            return False
        return Path(self._datastore_config_path).exists() or any(
            not name.startswith(".") for name in os.listdir(self.root)
        )

    def is_writable(self) -> bool:
        """Whether the folder takes files now."""
        return os.access(self.root, os.W_OK)

    def check_writable(self, what: str) -> None:
        """Refuse what would be kept in a folder that takes nothing.

        Args:
            what: that, for people.

        Raises:
            BadRequest: the folder is read-only now.
        """
        if not self.is_writable():
            raise BadRequest(f"the studies folder is read-only: {what} cannot be kept there")

    @property
    def scratch(self) -> Path:
        """Folder of files that can be made again: the server's own in the studies folder, or one in the system's."""
        return Path(self._aside.name) if self._aside else self.root / PRIVATE

    @property
    def _lock_file(self) -> str:
        """MONAI Label's lock between processes; in a folder that none can write to it keeps nobody from anything."""
        return str((Path(self._aside.name) if self._aside else self.root) / ".lock")

    @_lock_file.setter
    def _lock_file(self, path: str) -> None:
        """MONAI Label sets it when it starts; where it lies is said above."""

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Read the index where another process has written it since; what of it cannot be is left out.

        Raises:
            ValueError: it cannot be read, where that was asked for.
        """
        config = Path(self._datastore_config_path)
        with self._lock, FileLock(self._lock_file):
            if not config.exists() or (written := config.stat().st_mtime) == self._config_ts:
                return
            try:
                self._datastore = LocalDatastoreModel.model_validate(sound_index(read_kept(config)))
            except ValueError as error:
                logger.error("the index %s cannot be read: %s", config, error)
                if throw_exception:
                    raise
                return
            self._datastore.base_path = self._datastore_path
            self._config_ts = written

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the index as a whole or not at all; that of a read-only folder lives in memory."""
        if self.read_only:
            return
        with self._lock:
            index = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
            config = Path(self._datastore_config_path)
            with FileLock(self._lock_file) if lock else contextlib.nullcontext():
                with whole_file(config) as draft:
                    draft.write_text(index, encoding="utf-8")
                self._config_ts = config.stat().st_mtime

    @contextlib.contextmanager
    def _newest_index(self) -> Iterator[None]:
        """Alone with the index as it is on the disk, so that what is written back loses nothing of another server's."""
        with self._lock, contextlib.nullcontext() if self.read_only else self._saving:
            self._init_from_datastore_file()
            yield

    def update_many_images_info(self, infos: Mapping[str, Mapping[str, Any]]) -> None:
        """Add to what is said of images, with one write of the index; those that are not there are passed over."""
        with self._newest_index():
            objects = self._datastore.objects
            known = {image: info for image, info in infos.items() if image in objects}
            for image, info in known.items():
                objects[image].image.info.update(info)
            if known:
                self._update_datastore_file()


def _labels_aside(labels: Path, aside: Path) -> Path:
    """A labels folder to write into that shows the labels that are there: MONAI Label makes folders as it starts."""
    aside.mkdir()
    for tag in labels.iterdir() if labels.is_dir() else ():
        (aside / tag.name).symlink_to(tag.resolve())
    return aside


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: SharedIndex, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return call


for _name in (
    "datalist",
    "get_label_info",
    "get_label_uri",
    "get_labeled_images",
    "get_labels_by_image_id",
    "get_unlabeled_images",
    "json",
    "list_images",
    "status",
    "update_image_info",
    "update_label_info",
    "_reconcile_datastore",
):
    setattr(SharedIndex, _name, _locked(getattr(LocalDatastore, _name)))
