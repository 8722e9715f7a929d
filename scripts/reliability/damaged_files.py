"""Damaged DICOM and NIfTI: an error of our own that names the file, or the right volume; nothing else."""

from __future__ import annotations

import collections
import gzip
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from tqdm import tqdm

from seganypet.pet import PetReadError, PetVolume, read_pet, write_pet_dicom_series

SHAPE = (12, 10, 6)
AFFINE = np.array([[-4.0, 0, 0, 20], [0, -4.0, 0, 15], [0, 0, 4.0, -30], [0, 0, 0, 1]])
# what no reader can tell from another value that could stand there: a slice's own scale, and its voxels
UNTOLD = (Tag("RescaleSlope"), Tag("RescaleIntercept"), Tag("PixelData"))
PIXEL_HEADER = 12  # bytes of tag, VR and length before the pixels
VALUES = [
    "",
    "0",
    "-1",
    "1e9",
    "NaN",
    "abc",
    "\\",
    "99999999",
    "1.2.3",
    "19000101",
    "235959.999999",
    "BQML",
    "CNTS",
    "PT",
]


class _Said(logging.Handler):
    """What was said aloud while a study was read."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


SAID = _Said()
Damage = Callable[[bytes, np.random.Generator], bytes]


def files(count: int = 3000, seed: int = 0) -> None:
    """Damage one file at a time and read it, and end with status 1 at the first that is not answered as it must be.

    Args:
        count: how many.
        seed: file n follows from (seed, n).
    """
    warnings.simplefilter("ignore")
    package = logging.getLogger("seganypet")
    package.addHandler(SAID)
    package.propagate = False
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="seganypet-fuzz-") as temporary:
        folder = Path(temporary)
        voxels = np.random.default_rng(0).gamma(2.0, 1.0, SHAPE).astype(np.float32)
        write_pet_dicom_series(voxels, AFFINE, folder / "dicom")
        nifti = nib.Nifti1Image(voxels, np.diag([4.0, 4.0, 4.0, 1.0]))
        nib.save(nifti, folder / "pet.nii")
        (folder / "pet.nii.gz").write_bytes(gzip.compress((folder / "pet.nii").read_bytes(), mtime=0))
        whole = {path: read_pet(path) for path in (folder / "dicom", folder / "pet.nii", folder / "pet.nii.gz")}
        for number in tqdm(range(count), unit="file"):
            rng = np.random.default_rng([seed, number])
            source = list(whole)[rng.integers(len(whole))] if number % 4 == 0 else folder / "dicom"
            what, problem = _read_damaged(source, whole[source], folder / "damaged", rng)
            outcomes[what] += 1
            if problem:
                kept = Path(
                    shutil.copytree(folder / "damaged", Path(tempfile.mkdtemp(prefix="seganypet-kept-")) / "it")
                )
                sys.exit(f"seed {seed}, file {number} ({what}): {problem}; it lies in {kept}")
    print(f"seed {seed}: {count} damaged files: " + ", ".join(f"{what}: {n}" for what, n in sorted(outcomes.items())))


def _read_damaged(source: Path, whole: PetVolume, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """What was done and came of it, and what is wrong with that, "" if nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if source.is_dir():
        for file in source.iterdir():
            shutil.copyfile(file, folder / file.name)
        target = sorted(folder.iterdir())[rng.integers(SHAPE[2])]
        damages = {**DICOM_DAMAGES}
        study = folder
    else:
        study = target = folder / source.name
        shutil.copyfile(source, target)
        # a plain NIfTI has no checksum: another number in its header is another volume
        damages = dict(BYTE_DAMAGES) if source.name.endswith(".gz") else {"cut": _cut, "longer": _longer}
    name = sorted(damages)[rng.integers(len(damages))]
    target.write_bytes(damages[name](target.read_bytes(), rng))
    kind = f"{'DICOM' if source.is_dir() else source.name[3:]} {name}"
    SAID.messages.clear()
    try:
        volume = read_pet(study)
    except (PetReadError, FileNotFoundError, ValueError) as error:
        named = any(part in str(error) for part in (str(study), target.name, "(00", "slice"))
        return f"{kind}, refused", "" if named else f"the error names no file and no tag: {error}"
    except Exception as error:
        return f"{kind}, {type(error).__name__}", f"{type(error).__name__}: {error}"
    if volume.units != whole.units:  # the mask is given, and SUV is not; the reason is said
        return (
            f"{kind}, no SUV",
            "" if volume.suv_provenance and volume.suv_provenance.reason else "SUV without a reason",
        )
    same = volume.shape == whole.shape and np.allclose(volume.voxels, whole.voxels, rtol=1e-3, atol=1e-3)
    same = same and np.allclose(volume.affine, whole.affine, atol=1e-2)
    if not same and SAID.messages:
        return f"{kind}, said", ""
    return f"{kind}, right", "" if same else f"another volume in silence: {volume.shape}, {_off(volume, whole)}"


def _off(volume: PetVolume, whole: PetVolume) -> str:
    if volume.shape != whole.shape:
        return f"right {whole.shape}"
    ratio = float(np.median(volume.voxels / np.maximum(whole.voxels, 1e-6)))
    return f"SUV times {ratio:.4f}, affine off by {np.abs(volume.affine - whole.affine).max():.3f}"


def _flip(content: bytes, rng: np.random.Generator, allowed: np.ndarray | None = None) -> bytes:
    changed = bytearray(content)
    places = np.arange(len(content)) if allowed is None else allowed
    for place in rng.choice(places, size=rng.integers(1, 9)):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content))]


def _missing(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content)))
    return content[:start] + content[start + int(rng.integers(1, 64)) :]


def _doubled(content: bytes, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(len(content))), int(rng.integers(1, 64))
    return content[: start + length] + content[start:]


def _longer(content: bytes, rng: np.random.Generator) -> bytes:
    return content + rng.bytes(int(rng.integers(1, 100)))


def _flip_header(content: bytes, rng: np.random.Generator) -> bytes:
    """Bits of a DICOM file, but for the values that may be anything."""
    free = np.ones(len(content), bool)
    for start, stop in _untold(content):
        free[start:stop] = False
    return _flip(content, rng, np.flatnonzero(free))


def _before_pixels(damage: Damage) -> Damage:
    """Bytes gone or doubled among the pixels leave others in their place: only what stands before is damaged so."""

    def do(content: bytes, rng: np.random.Generator) -> bytes:
        start = min(start for start, stop in _untold(content) if stop - start > 100) - PIXEL_HEADER
        return damage(content[:start], rng) + content[start:]

    return do


def _untold(content: bytes) -> list[tuple[int, int]]:
    raw = dcmread(BytesIO(content))._dict
    return [(raw[tag].value_tell, raw[tag].value_tell + raw[tag].length) for tag in UNTOLD if tag in raw]


def _edited(edit: Callable[[Dataset, Tag, np.random.Generator], None]) -> Damage:
    def do(content: bytes, rng: np.random.Generator) -> bytes:
        dataset = dcmread(BytesIO(content))
        tags = [element.tag for element in dataset if element.tag not in UNTOLD]
        where = dataset
        if rng.random() < 0.3 and "RadiopharmaceuticalInformationSequence" in dataset:
            where = dataset.RadiopharmaceuticalInformationSequence[0]
            tags = list(where.keys())
        edit(where, tags[rng.integers(len(tags))], rng)
        out = BytesIO()
        try:
            dataset.save_as(out)
        except Exception:  # what cannot be written cannot be sent
            return content
        return out.getvalue()

    return do


def _remove(dataset: Dataset, tag: Tag, rng: np.random.Generator) -> None:
    del dataset[tag]


def _replace(dataset: Dataset, tag: Tag, rng: np.random.Generator) -> None:
    element = dataset[tag]
    if element.VR in ("SQ", "OB", "OW", "US", "UL", "UN"):
        del dataset[tag]
    else:
        element._value = VALUES[rng.integers(len(VALUES))]


BYTE_DAMAGES: dict[str, Damage] = {"flipped": _flip, "cut": _cut, "missing": _missing, "doubled": _doubled}
DICOM_DAMAGES: dict[str, Damage] = {
    "flipped": _flip_header,
    "cut": _cut,
    "missing": _before_pixels(_missing),
    "doubled": _before_pixels(_doubled),
    "longer": _longer,
    "tag removed": _edited(_remove),
    "tag replaced": _edited(_replace),
}
