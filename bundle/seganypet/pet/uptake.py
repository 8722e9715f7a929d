"""What a mask holds: volume and SUV measures, fast enough to come with every click."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seganypet.pet.volume import PetVolume

PEAK_RADIUS_MM = 6.2  # of a sphere of 1 mL
SUV_PEAK_DEFINITION = (
    "highest mean over a 1 mL sphere (radius 6.2 mm) centred on a voxel of the mask, voxels whose centre lies in the "
    "sphere, on the original grid; voxels outside the mask count, voxels outside the image do not"
)


@dataclass(frozen=True)
class Uptake:
    """Measures of one mask. Without SUV only the volume is given, and `suv_unavailable` says why.

    Args:
        voxels: number of voxels in the mask.
        volume_ml: their volume; also the metabolic tumour volume where the mask is a tumour.
        suv_max, suv_mean, suv_min: over the mask; None for an empty mask or without SUV.
        suv_peak: as `suv_peak_definition` says.
        max_ijk: where suv_max lies, voxel indices.
        mtv_ml: metabolic tumour volume, equal to `volume_ml`; None without SUV.
        tlg: total lesion glycolysis, SUVmean × MTV, in mL (SUVbw taken as g/mL: grams); 0 for an empty mask.
        suv_unavailable: the reason, or None.
        suv_peak_definition: which of the definitions in use this is.
    """

    voxels: int
    volume_ml: float
    suv_max: float | None
    suv_mean: float | None
    suv_min: float | None
    suv_peak: float | None
    max_ijk: tuple[int, int, int] | None
    mtv_ml: float | None
    tlg: float | None
    suv_unavailable: str | None = None
    suv_peak_definition: str = SUV_PEAK_DEFINITION

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        values = asdict(self)
        values["max_ijk"] = None if self.max_ijk is None else list(self.max_ijk)
        return values


def measure_uptake(volume: PetVolume, mask: ArrayLike) -> Uptake:
    """Volume and SUV measures of a mask on the volume's own grid.

    Args:
        volume: with SUV or without.
        mask: [i, j, k]; what is not zero belongs to it.

    Returns:
        An empty mask has volume and TLG 0 and no SUV values.

    Raises:
        ValueError: a mask of another shape.
    """
    inside = np.asarray(mask)
    if inside.shape != volume.shape:
        raise ValueError(f"the mask has shape {inside.shape}, the volume {volume.shape}")
    if inside.dtype != np.bool_:
        inside = inside != 0
    reason = None if volume.suv_known else _reason(volume)
    box = _bounding_box(inside)
    if box is None:
        known = reason is None
        return Uptake(0, 0.0, None, None, None, None, None, 0.0 if known else None, 0.0 if known else None, reason)
    cropped = inside[box]
    count = int(np.count_nonzero(cropped))
    volume_ml = count * volume.voxel_volume_ml
    if reason is not None:
        return Uptake(count, volume_ml, None, None, None, None, None, None, None, reason)
    suv = volume.suv[box]
    values = suv[cropped]
    mean = float(values.mean(dtype=np.float64))
    highest = np.unravel_index(int(np.where(cropped, suv, -np.inf).argmax()), suv.shape)
    i, j, k = (int(index) + part.start for index, part in zip(highest, box, strict=True))
    return Uptake(
        count,
        volume_ml,
        float(values.max()),
        mean,
        float(values.min()),
        _suv_peak(volume, inside, box),
        (i, j, k),
        volume_ml,
        mean * volume_ml,
    )


def _reason(volume: PetVolume) -> str:
    assert volume.suv_provenance is not None
    return f"SUV unavailable: {volume.suv_provenance.reason}"


def _bounding_box(inside: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds the mask; None where it is empty."""
    k = _extent(inside.any(axis=(0, 1)))
    if k is None:
        return None
    i, j = _extent(inside[:, :, k].any(axis=(1, 2))), _extent(inside[:, :, k].any(axis=(0, 2)))
    return None if i is None or j is None else (i, j, k)


def _extent(hit: NDArray[np.bool_]) -> slice | None:
    indices = np.flatnonzero(hit)
    return slice(int(indices[0]), int(indices[-1]) + 1) if len(indices) else None


def _suv_peak(volume: PetVolume, inside: NDArray[np.bool_], box: tuple[slice, slice, slice]) -> float:
    """Highest sphere mean with its centre in the mask."""
    reach = [int(PEAK_RADIUS_MM / spacing) for spacing in volume.spacing_mm]
    wanted = [(part.start - margin, part.stop + margin) for part, margin in zip(box, reach, strict=True)]
    within = [(max(start, 0), min(stop, length)) for (start, stop), length in zip(wanted, volume.shape, strict=True)]
    beyond = [(have[0] - want[0], want[1] - have[1]) for want, have in zip(wanted, within, strict=True)]
    suv = np.ascontiguousarray(volume.suv[tuple(slice(*bounds) for bounds in within)].T)  # [k, j, i]
    total, per_sphere = _sphere_sums(np.pad(suv, beyond[::-1]), volume.spacing_mm)
    if np.any(beyond):
        counts, _ = _sphere_sums(np.pad(np.ones_like(suv), beyond[::-1]), volume.spacing_mm)
        means = total / counts
    else:
        means = total / per_sphere
    return float(means[inside[box].T].max())


def _sphere_sums(
    padded: NDArray[np.float32], spacing_mm: tuple[float, float, float]
) -> tuple[NDArray[np.float32], int]:
    """Sum over the sphere around every voxel that has its whole reach inside `padded`, and the sphere's voxel count.

    The sphere is a bundle of runs along k. Runs of half-length ≥ t overlap at height ±t, so their base points are added
    once and then only shifted: some 30 additions of whole arrays instead of 120 at 2 mm.

    Args:
        padded: [k, j, i].
        spacing_mm: along i, j, k.
    """
    (step_i, step_j, step_k), radius = spacing_mm, PEAK_RADIUS_MM
    reach_i, reach_j, reach_k = (int(radius / step) for step in spacing_mm)
    k, j, i = (length - 2 * reach for length, reach in zip(padded.shape, (reach_k, reach_j, reach_i), strict=True))
    runs: dict[int, list[tuple[int, int]]] = {}  # half-length along k → base points (dj, di)
    for dj in range(-reach_j, reach_j + 1):
        for di in range(-reach_i, reach_i + 1):
            left = radius**2 - (dj * step_j) ** 2 - (di * step_i) ** 2
            if left >= 0:
                runs.setdefault(int(left**0.5 / step_k), []).append((dj, di))
    base = np.zeros((padded.shape[0], j, i), np.float32)
    total = np.zeros((k, j, i), np.float32)
    for height in range(reach_k, -1, -1):
        for dj, di in runs.get(height, ()):
            base += padded[:, reach_j + dj : reach_j + dj + j, reach_i + di : reach_i + di + i]
        for start in {reach_k + height, reach_k - height}:
            total += base[start : start + k]
    return total, sum((2 * height + 1) * len(points) for height, points in runs.items())
