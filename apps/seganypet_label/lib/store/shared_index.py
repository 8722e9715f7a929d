"""MONAI Label's local store made safe for many callers.

MONAI Label 0.8.5 empties and refills its index in place while others read it, and rewrites the index file in place.
"""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import LocalDatastore

from seganypet.whole_file import whole_file


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
        super().__init__(folder, extensions=extensions, auto_reload=auto_reload)

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the index as a whole or not at all."""
        with self._lock:
            index = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
            config = Path(self._datastore_config_path)
            with FileLock(self._lock_file) if lock else contextlib.nullcontext():
                with whole_file(config) as draft:
                    draft.write_text(index, encoding="utf-8")
                self._config_ts = config.stat().st_mtime

    def update_many_images_info(self, infos: Mapping[str, Mapping[str, Any]]) -> None:
        """Add to what is said of images, with one write of the index; those that are not there are passed over."""
        with self._lock:
            objects = self._datastore.objects
            known = {image: info for image, info in infos.items() if image in objects}
            for image, info in known.items():
                objects[image].image.info.update(info)
            if known:
                self._update_datastore_file()


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
    "_init_from_datastore_file",
    "_reconcile_datastore",
):
    setattr(SharedIndex, _name, _locked(getattr(LocalDatastore, _name)))
