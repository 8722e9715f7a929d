"""A PET volume: voxels, where they lie in the patient, and what is known of their SUV."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seganypet.pet.errors import SuvUnavailableError

SUVBW = "SUVbw"


@dataclass(frozen=True)
class SuvProvenance:
    """Where a volume's SUV came from, or why there is none.

    Args:
        rule: the rule that was applied, in words; None where SUV is unavailable.
        reason: why SUV is unavailable; None where it is known.
        factor_range: smallest and largest factor over the slices, SUV per stored (rescaled) value.
        tags: the header fields the rule used, "Keyword (gggg,eeee)" → value as written.
        notes: what was assumed on the way, for example a dose read as MBq.
    """

    rule: str | None = None
    reason: str | None = None
    factor_range: tuple[float, float] | None = None
    tags: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return {
            "rule": self.rule,
            "reason": self.reason,
            "factor_range": None if self.factor_range is None else list(self.factor_range),
            "tags": dict(self.tags),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class PetSource:
    """The files a volume was read from.

    Args:
        files: one file for NIfTI; for DICOM one per slice, in the order of k.
        series_uid: SeriesInstanceUID of a DICOM series, else None.
    """

    files: tuple[Path, ...]
    series_uid: str | None = None

    @property
    def is_dicom(self) -> bool:
        return self.series_uid is not None


@dataclass(frozen=True, eq=False)
class PetVolume:
    """Voxels of one PET with their geometry. Immutable: the voxel array is a read-only view.

    Voxels are indexed [i, j, k] as nibabel and SimpleITK index the same image: i runs along a DICOM row (columns),
    j down the columns (rows), k along the slice normal. Readers return them with i fastest in memory (Fortran order),
    as image files hold them; nothing depends on it.

    Args:
        voxels: [i, j, k], finite; kept as float32. SUVbw where that is known, else as stored after rescaling.
        affine: [4, 4], voxel indices → patient coordinates in mm, RAS+, voxel centres at whole numbers.
        units: "SUVbw", or what the voxels are instead: "BQML", "CNTS", ... or "unknown".
        suv_provenance: where the SUV came from, or why there is none; made from `units` when not given.
        source: the files behind the volume; a DICOM SEG needs them.

    Raises:
        ValueError: voxels that are not 3-D, empty or not finite; an affine that is not an invertible, finite 4×4.
    """

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]
    units: str = SUVBW
    suv_provenance: SuvProvenance | None = None
    source: PetSource | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "voxels", _checked_voxels(self.voxels))
        object.__setattr__(self, "affine", _checked_affine(self.affine))
        if self.suv_provenance is None:
            provenance = (
                SuvProvenance(rule="given as SUVbw", factor_range=(1.0, 1.0))
                if self.units == SUVBW
                else SuvProvenance(reason=f"the voxels are in {self.units}, without what SUV needs")
            )
            object.__setattr__(self, "suv_provenance", provenance)

    @property
    def shape(self) -> tuple[int, int, int]:
        i, j, k = self.voxels.shape
        return i, j, k

    @property
    def suv_known(self) -> bool:
        return self.units == SUVBW

    @property
    def suv(self) -> NDArray[np.float32]:
        """Body-weight SUV, [i, j, k].

        Raises:
            SuvUnavailableError: it is not known; the message names the tag that is missing.
        """
        if self.suv_known:
            return self.voxels
        assert self.suv_provenance is not None
        raise SuvUnavailableError(self.suv_provenance.reason or f"the voxels are in {self.units}")

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along i, j and k."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @cached_property
    def voxel_volume_ml(self) -> float:
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @cached_property
    def content_hash(self) -> str:
        """The same for the same voxels, geometry and units, wherever they were read from; 32 hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.shape, self.units)).encode())
        digest.update(self.affine.tobytes())
        digest.update(np.ascontiguousarray(self.voxels.T).data)  # no copy when i is fastest in memory
        return digest.hexdigest()


def _checked_voxels(voxels: Any) -> NDArray[np.float32]:
    array = np.asarray(voxels)
    if array.ndim != 3:
        raise ValueError(f"a PET volume has three dimensions [i, j, k], got {array.ndim} with shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"a PET volume needs voxels, got shape {array.shape}")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"PET voxels must be real numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    # min and max are finite exactly if every voxel is; the slow search runs only for the message
    if not (np.isfinite(array.min()) and np.isfinite(array.max())):
        bad = ~np.isfinite(array)
        first = tuple(int(index) for index in np.argwhere(bad)[0])
        raise ValueError(f"{int(bad.sum())} of {bad.size} voxels are NaN or infinite, the first at (i, j, k) = {first}")
    view = array.view()
    view.flags.writeable = False
    return view


def _checked_affine(affine: Any) -> NDArray[np.float64]:
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise ValueError(f"the affine must be 4×4 (voxel → RAS mm), got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"the affine must be finite, got {matrix.tolist()}")
    if not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise ValueError(f"the affine's last row must be 0 0 0 1, got {matrix[3].tolist()}")
    spacing_mm = np.linalg.norm(matrix[:3, :3], axis=0)
    if (spacing_mm <= 0).any():
        raise ValueError(f"voxel spacing must be above zero along every axis, got {spacing_mm.tolist()} mm")
    if abs(np.linalg.det(matrix[:3, :3] / spacing_mm)) < 1e-6:
        raise ValueError(f"the affine's axes lie in one plane: {matrix[:3, :3].tolist()}")
    matrix.flags.writeable = False
    return matrix
