"""Where a lesion lies as a reader meets it: alone, among others, or beside something hotter."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from seganypet.pet import PetVolume

CLUSTERED, BESIDE_HOT, ALONE = "clustered", "beside a hot organ", "alone"
CLUSTER_MM = 20.0  # to the border of the next lesion
HOT_MM = 12.0  # how far around it something hot counts
SPILL_MM = 4.0  # nearer, uptake may be the lesion's own, blurred


def situations(volume: PetVolume, target: np.ndarray, lesions: np.ndarray) -> tuple[str, ...]:
    """Which situations a lesion is in: clustered, beside something hot, both, or alone.

    Clustered: another lesion lies within 20 mm. Beside a hot organ: between 4 and 12 mm from its border one voxel in
    twenty, of no lesion, is as hot as the lesion's mean. That asks for no organ label, so that it holds for patients
    whose lesions alone are contoured.

    Args:
        volume: the study.
        target: bool [i, j, k], the lesion, not empty.
        lesions: bool [i, j, k], every lesion of the study.
    """
    spacing = np.array(volume.spacing_mm)
    reach = np.ceil((CLUSTER_MM + 1) / spacing).astype(int)
    box = tuple(
        slice(max(0, side.start - r), side.stop + r)
        for side, r in zip(ndimage.find_objects(target.astype(np.uint8))[0], reach, strict=True)
    )
    here, uptake, others = target[box], volume.voxels[box], lesions[box] & ~target[box]
    distance_mm = ndimage.distance_transform_edt(~here, sampling=spacing)
    found = []
    if (distance_mm[others] <= CLUSTER_MM).any():
        found.append(CLUSTERED)
    shell = (distance_mm > SPILL_MM) & (distance_mm <= HOT_MM) & ~others
    if shell.any() and np.quantile(uptake[shell], 0.95) >= uptake[here].mean():
        found.append(BESIDE_HOT)
    return tuple(found) or (ALONE,)
