"""The click of the evaluation protocol: the middle of the largest connected error."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from seganypet.clicks.click import Click


def centre_click(
    prediction: np.ndarray, target: np.ndarray, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Click | None:
    """The voxel farthest from the border of the largest connected error component, as a click.

    Args:
        prediction: bool [i, j, k]; all False for the first click.
        target: bool [i, j, k].
        spacing_mm: voxel spacing of the axes.

    Returns:
        A positive click on a missed voxel, a negative one on a false one; None where nothing is wrong. Missed and
        false voxels are never joined into one component; the first of equally deep voxels in array order is taken.
    """
    found = largest_error(prediction, target)
    if found is None:
        return None
    component, origin, positive = found
    depth = ndimage.distance_transform_edt(np.pad(component, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    i, j, k = (np.array(np.unravel_index(int(depth.argmax()), depth.shape)) + origin).tolist()
    return Click((i, j, k), positive)


def largest_error(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """The largest connected error: bool in its box's surroundings, where those begin [3], and whether it was missed.

    Args:
        prediction: bool [i, j, k].
        target: bool [i, j, k].
    """
    best: tuple[int, np.ndarray, np.ndarray, bool] | None = None
    for error, positive in ((target & ~prediction, True), (prediction & ~target, False)):
        where = ndimage.find_objects(error.astype(np.uint8))
        if not where:
            continue
        box = where[0]
        components, _ = ndimage.label(error[box])
        sizes = np.bincount(components.ravel())[1:]
        largest = int(sizes.argmax())
        if best is None or sizes[largest] > best[0]:
            origin = np.array([axis.start for axis in box])
            best = (int(sizes[largest]), components == largest + 1, origin, positive)
    return None if best is None else best[1:]
