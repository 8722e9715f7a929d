"""Where the studies of a training section are kept between windows: in memory, or in a folder where they do not fit."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from monai.data import CacheDataset, Dataset, PersistentDataset
from monai.data.utils import json_hashing
from tqdm import tqdm

from seganypet.data.data_list import Entry, read_data_list
from seganypet.data.studies import LoadStudy, WorkingStudy
from seganypet.networks.settings import NetworkSettings
from seganypet.pet.bids_sidecar import sidecar_of
from seganypet.pet.series_listing import files_under
from seganypet.pet.suffixes import NIFTI_SUFFIXES
from seganypet.whole_file import whole_file

logger = logging.getLogger(__name__)

VERSION = 2  # of what LoadStudy makes of the same files; one more, and no file of an earlier version is read
IN_ONE_FILE = (".nrrd", ".mha")


def load_studies(
    data_lists: str | Path | Sequence[str | Path],
    section: str,
    settings: NetworkSettings,
    *,
    needed: Sequence[str] = (),
    leave_out: Collection[str] = (),
    only_lesions: bool = False,
    cache_dir: str | Path | None = None,
    workers: int = 2,
) -> Dataset:
    """The studies of one section of some data lists, each read once.

    Args:
        data_lists: JSON files, or one, see `seganypet.data.data_list`.
        section: "training", "validation" or "test".
        settings: of the weights to train.
        needed: sections that must hold an entry, too: reading this one may take an hour before another is looked at.
        leave_out: label names that are no targets.
        only_lesions: take lesion labels alone.
        cache_dir: folder that keeps them, for this run and later ones, see `StudyCache`; None keeps them in memory.
        workers: threads that read.

    Returns:
        A dataset of `WorkingStudy`.

    Raises:
        FileNotFoundError, ValueError: as `read_data_list`; or a section without an entry in any list, or without one
            that names a target. Entries that name none are passed over with a warning.
    """
    files = [data_lists] if isinstance(data_lists, str | Path) else list(data_lists)
    lists = [read_data_list(path) for path in files]
    for name in (section, *needed):
        if not any(one[name] for one in lists):
            raise ValueError(f"no {name} entries in {', '.join(map(str, files)) or 'no data list'}")
    entries = [entry for one in lists for entry in one[section]]
    load = LoadStudy(settings, leave_out, only_lesions=only_lesions)
    named = [entry for entry in entries if load.names(entry)]
    if len(named) < len(entries):
        what = "lesion" if only_lesions else "target but those left out"
        if not named:
            raise ValueError(f"none of the {len(entries)} {section} entries names a {what}")
        first = next(entry for entry in entries if entry not in named)
        logger.warning("%d %s entries name no %s: %s …", len(entries) - len(named), section, what, first.label)
    if cache_dir is None:
        return CacheDataset(named, load, num_workers=workers, progress=True, copy_cache=False)
    studies = StudyCache(named, load, cache_dir)
    studies.fill(workers)
    return studies


class StudyCache(PersistentDataset):
    """Working studies in files; what is not there is read and written, what is there is mapped, not read.

    A study's file is named by everything it was made from, as it was when this object was made; see `study_key`.

    MONAI's own reading and writing do not serve here. It opens tensors, numbers and text only, so that it would throw
    away a `WorkingStudy` each time and read the image again. It moves a finished file here from the system's temporary
    folder, which is a copy where that is another file system: a run that is killed leaves half a file, on which the
    next one fails. And it reads a file whole where a window needs a part.

    Args:
        entries: of a data list.
        load: makes a study of an entry.
        cache_dir: folder of the files; made if it is not there. Several runs and processes may share one.
    """

    def __init__(self, entries: Sequence[Entry], load: LoadStudy, cache_dir: str | Path) -> None:
        self.folder = Path(cache_dir)
        super().__init__([(study_key(entry, load), entry) for entry in entries], load, self.folder)

    def fill(self, workers: int) -> None:
        """Write the files that are not there, with a bar, so that a bad study stops a run before its first window.

        Args:
            workers: threads that read images.
        """
        with ThreadPoolExecutor(workers) as threads:
            studies = threads.map(self.__getitem__, range(len(self)))
            for _ in tqdm(studies, total=len(self), desc="Studies on disk", unit="study"):
                pass

    def _cachecheck(self, item_transformed: tuple[str, Entry]) -> WorkingStudy:
        """PersistentDataset's own hook: the study of a key and an entry."""
        key, entry = item_transformed
        file = self.folder / f"{key}.pt"
        try:
            return _read(file)
        except FileNotFoundError:
            pass
        except (RuntimeError, OSError, EOFError, UnpicklingError) as error:  # a disk that was full or lost power
            logger.warning("%s cannot be read and is made anew: %s", file, error)
        with whole_file(file) as draft, draft.open("wb") as content:
            torch.save(self._pre_transform(entry).to_dict(), content)
        return _read(file)


def study_key(entry: Entry, load: LoadStudy) -> str:
    """A hexadecimal name that changes with everything that the study made of an entry depends on.

    That is, of image and label, each file's path, size and time of change; names and quality of the labels; all
    settings of the weights; which labels are targets.

    Raises:
        FileNotFoundError: no image or label there.
    """
    sources: dict[str, Any] = {
        "version": VERSION,
        "image": identity_of(entry.image),
        "label": identity_of(entry.label),
        "label_names": entry.label_names,
        "quality": entry.quality,
        "settings": load.settings.to_dict(),
        "leave_out": sorted(load.leave_out),
        "only_lesions": load.only_lesions,
    }
    return json_hashing(sources).decode()


def identity_of(path: Path) -> dict[str, Any]:
    """The path, and of every file that reading it looks at the path, bytes and nanoseconds."""
    name = path.name.lower()
    if path.is_dir():
        files = list(files_under(path))
    elif name.endswith(NIFTI_SUFFIXES):
        files = [path, *filter(None, [sidecar_of(path)])]
    elif name.endswith(IN_ONE_FILE):
        files = [path]
    else:  # a slice of a DICOM series, or a header whose voxels lie beside it
        files = sorted(file for file in path.parent.iterdir() if file.is_file())
    states = [(file, file.stat()) for file in files]
    return {"path": str(path), "files": [(str(file), state.st_size, state.st_mtime_ns) for file, state in states]}


def _read(file: Path) -> WorkingStudy:
    return WorkingStudy.from_dict(torch.load(file, mmap=True, weights_only=True))
