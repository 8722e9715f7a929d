"""A DICOM SEG as masks on the grid of the PET series it was drawn on: one reader for archives and for cohorts.

By geometry: frames lie where their plane position says, whether or not they name the slices they were derived from. A
volume's grid is even; where a series' slices are not quite, a frame belongs to the slice that lies where it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from seganypet.pet.axes import LPS_RAS
from seganypet.pet.dicom_file import read_dicom
from seganypet.pet.errors import PetReadError
from seganypet.pet.headers import header_text, named
from seganypet.pet.volume import PetVolume

LABELMAP = "LABELMAP"
_FRAME, _BETWEEN = "FrameOfReferenceUID", "SpacingBetweenSlices"
ON_GRID = 0.05  # voxels that a frame's pixels may lie beside the PET's
SLICE_SPACING = 0.25  # of the PET's that a SEG's may differ: rounded, or a mean over slices that drift


def read_seg(path: str | Path, volume: PetVolume) -> dict[str, NDArray[np.bool_]]:
    """The segments of a DICOM SEG.

    Args:
        path: of the file.
        volume: the PET whose grid the masks get.

    Returns:
        Segment label → mask [i, j, k]. A label that occurs twice gets its segment's number, a segment without one is
        called after its number. A fractional SEG is cut at one half; of a label map 0 is background.

    Raises:
        PetReadError: no SEG, one whose fields are missing (they are named), or frames on another grid than the PET's.
    """
    path = Path(path)
    segmentation = read_dicom(path)
    if header_text(segmentation, "Modality") != "SEG" or "SegmentSequence" not in segmentation:
        raise PetReadError(f"{path} is no DICOM SEG")
    _check_series(segmentation, volume, path)
    names = _segment_names(segmentation, path)
    masks = {name: np.zeros(volume.shape, bool) for name in names.values()}
    frames = _frames(segmentation, path)
    groups = segmentation.get("PerFrameFunctionalGroupsSequence") or []
    if len(groups) != len(frames):
        raise PetReadError(f"{path} has {len(frames)} frames and describes {len(groups)}")
    to_voxels, pet_between = np.linalg.inv(volume.affine), _between_slices_of_pet(volume)
    drift: NDArray[np.float64] | None = None
    for frame, group in zip(frames, groups, strict=True):
        rows, columns = np.nonzero(frame)
        numbers = _segment_numbers(segmentation, group, frame[rows, columns], names, path)
        frame_to_voxels = to_voxels @ _frame_affine(segmentation, group, path)
        if rows.size:
            measures = _group(segmentation, group, "PixelMeasuresSequence", path)
            _check_spacing(frame_to_voxels, measures, volume, pet_between, path)
        ijk = (frame_to_voxels @ np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)]))[:3]
        if ijk.size and np.abs(ijk - np.round(ijk)).max() > ON_GRID:
            drift = _drift(volume) if drift is None else drift
            ijk = _without_drift(ijk, drift)
        voxels = np.round(ijk).astype(int)
        if voxels.size and np.abs(ijk - voxels).max() > ON_GRID:
            raise PetReadError(f"{path} lies on another grid than its PET: pixels {ijk[:, 0].round(2).tolist()} and on")
        if voxels.size and ((voxels < 0).any() or (volume.shape <= voxels.T).any()):
            raise PetReadError(f"{path} reaches beyond its PET")
        for number in np.unique(numbers):
            masks[names[int(number)]][tuple(voxels[:, numbers == number])] = True
    return masks


def referenced_series(segmentation: Dataset) -> set[str | None]:
    """UIDs of the series that a SEG says it was drawn on."""
    return {header_text(item, "SeriesInstanceUID") for item in segmentation.get("ReferencedSeriesSequence") or []}


def _check_series(segmentation: Dataset, volume: PetVolume, path: Path) -> None:
    """Raises where a SEG names another series, in another frame of reference, than the volume's."""
    if volume.source is None or not volume.source.is_dicom:
        raise PetReadError(f"{path}: a DICOM SEG refers to DICOM slices; the volume was not read from DICOM")
    series = referenced_series(segmentation)
    if volume.source.series_uid in series:
        return
    frame = header_text(read_dicom(volume.source.files[0], pixels=False, only=[_FRAME]), _FRAME)
    if frame is None and not series:
        return  # neither says where it belongs
    if frame is None or header_text(segmentation, _FRAME) != frame:
        raise PetReadError(f"{path} refers to none of the slices of series {volume.source.series_uid}")


def _drift(volume: PetVolume) -> NDArray[np.float64]:
    """[slices, 3] voxels that each slice of a series really lies beside the volume's even grid."""
    assert volume.source is not None
    keyword = "ImagePositionPatient"
    positions = [
        _numbers(read_dicom(file, pixels=False, only=[keyword]), keyword, 3, file) for file in volume.source.files
    ]
    lps_to_voxels = np.linalg.inv(volume.affine) @ LPS_RAS
    places = positions @ lps_to_voxels[:3, :3].T + lps_to_voxels[:3, 3]
    return places - np.outer(np.arange(len(places)), (0, 0, 1))


def _without_drift(ijk: NDArray[np.float64], drift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxels [3, n] moved to the even grid, each as the slice that lies nearest to it."""
    along = np.arange(len(drift)) + drift[:, 2]
    nearest = np.searchsorted((along[1:] + along[:-1]) / 2, ijk[2])
    return ijk - drift[nearest].T


def _segment_names(segmentation: Dataset, path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for place, segment in enumerate(segmentation.SegmentSequence, start=1):
        number = int(header_text(segment, "SegmentNumber") or place)
        if number == 0 and _kind(segmentation) == LABELMAP:
            continue  # its background
        label = header_text(segment, "SegmentLabel") or f"segment {number}"
        if number in names:
            raise PetReadError(f"{path} has two segments of {named('SegmentNumber')} {number}")
        while label in names.values():
            label = f"{label} ({number})"
        names[number] = label
    return names


def _kind(segmentation: Dataset) -> str:
    return header_text(segmentation, "SegmentationType") or "BINARY"


def _frames(segmentation: Dataset, path: Path) -> NDArray[Any]:
    """[frames, rows, columns]; what is not zero is of a segment, and in a label map its number."""
    try:
        pixels = np.asarray(segmentation.pixel_array)
    except Exception as error:  # pydicom raises whatever a broken file makes it raise
        raise PetReadError(f"{path}: its pixels cannot be read: {error}") from error
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    kind = _kind(segmentation)
    if kind == "FRACTIONAL":
        return pixels > 0.5 * float(segmentation.get("MaximumFractionalValue") or 1)
    if kind not in ("BINARY", LABELMAP):
        raise PetReadError(f"{path}: {named('SegmentationType')} is {kind}, BINARY, FRACTIONAL and LABELMAP are read")
    return pixels


def _segment_numbers(
    segmentation: Dataset, group: Dataset, values: NDArray[Any], names: dict[int, str], path: Path
) -> NDArray[np.int64]:
    """Which segment each of a frame's pixels above zero is of."""
    if _kind(segmentation) == LABELMAP:
        unknown = sorted(set(values.tolist()) - names.keys())
        if unknown:
            raise PetReadError(f"{path} holds pixels of segment {unknown[0]}; there are segments {sorted(names)}")
        return values.astype(np.int64)
    identification = _group(segmentation, group, "SegmentIdentificationSequence", path)
    text = header_text(identification, "ReferencedSegmentNumber")
    if text is None or not text.isdigit() or int(text) not in names:
        raise PetReadError(f"{path}: {named('ReferencedSegmentNumber')} is {text}; there are segments {sorted(names)}")
    return np.full(values.shape, int(text))


def _frame_affine(segmentation: Dataset, group: Dataset, path: Path) -> NDArray[np.float64]:
    """4×4, (column, row, 0) of a frame → RAS mm."""
    position, orientation, spacing = (
        _numbers(_group(segmentation, group, sequence, path), keyword, count, path)
        for sequence, keyword, count in (
            ("PlanePositionSequence", "ImagePositionPatient", 3),
            ("PlaneOrientationSequence", "ImageOrientationPatient", 6),
            ("PixelMeasuresSequence", "PixelSpacing", 2),
        )
    )
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * spacing[1]
    affine[:3, 1] = orientation[3:] * spacing[0]
    affine[:3, 3] = position
    return LPS_RAS @ affine


def _check_spacing(
    frame_to_voxels: NDArray[np.float64], measures: Dataset, volume: PetVolume, pet_between: float | None, path: Path
) -> None:
    """Raises where a frame's pixels or slices are of another size than the PET's, though their middles meet.

    Many SEGs take SpacingBetweenSlices over from the PET's header, right or wrong: then it says nothing of their grid,
    and of a PET of one slice there is nothing between.
    """
    steps = np.linalg.norm(frame_to_voxels[:3, :2], axis=0)  # voxels from pixel to pixel
    between = None if header_text(measures, _BETWEEN) is None else _numbers(measures, _BETWEEN, 1, path)[0]
    ratio = 1.0
    if between and between != pet_between and volume.shape[2] > 1:
        along = int(np.abs(np.cross(frame_to_voxels[:3, 0], frame_to_voxels[:3, 1])).argmax())  # the PET's axis
        ratio = abs(between) / volume.spacing_mm[along]
    if np.abs(steps - 1).max() > ON_GRID or abs(ratio - 1) > SLICE_SPACING:
        raise PetReadError(
            f"{path} lies on another grid than its PET: its pixels are {steps[0]:.3g} × {steps[1]:.3g} voxels large, "
            f"its slices {ratio:.3g} apart"
        )


def _between_slices_of_pet(volume: PetVolume) -> float | None:
    """SpacingBetweenSlices as the PET's header has it; None where it does not."""
    assert volume.source is not None
    file = volume.source.files[0]
    header = read_dicom(file, pixels=False, only=[_BETWEEN])
    return None if header_text(header, _BETWEEN) is None else float(_numbers(header, _BETWEEN, 1, file)[0])


def _numbers(item: Dataset, keyword: str, count: int, path: Path) -> NDArray[np.float64]:
    text = header_text(item, keyword) or ""
    try:
        numbers = np.array([float(part) for part in text.split("\\")])
    except ValueError:
        numbers = np.zeros(0)
    if numbers.shape != (count,):
        raise PetReadError(f"{path}: {named(keyword)} is {text!r}, {count} numbers are needed")
    return numbers


def _group(segmentation: Dataset, group: Dataset, keyword: str, path: Path) -> Dataset:
    """A functional group of one frame, from the frame's own or the shared ones."""
    for holder in (group, *(segmentation.get("SharedFunctionalGroupsSequence") or [])):
        if keyword in holder and holder[keyword].value:
            return holder[keyword].value[0]
    raise PetReadError(f"{path} says nothing of {named(keyword)}")
