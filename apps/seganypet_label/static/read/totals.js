// What all findings hold together. They may overlap, as a lesion in a liver does: each voxel counts once.

import { sharedVoxels } from "./grid.js";

/**
 * @param {{mask: object | null, numbers: object}[]} answers the findings' masks with what the server measured of them
 * @param {(voxel: number[]) => number} suvOf a voxel's SUV
 * @returns {{count: number, volume_ml: number, tlg: number | null} | null} of those with a mask; null where nothing is measured yet
 */
export function totals(answers, suvOf) {
  const measured = answers.filter(({ mask, numbers }) => mask && numbers.voxels);
  if (!measured.length) {
    return null;
  }
  const sum = (key) => measured.reduce((total, { numbers }) => total + numbers[key], 0);
  const shared = sharedVoxels(measured.map(({ mask }) => mask));
  const { volume_ml: volume, voxels } = measured[0].numbers;
  const voxelMl = volume / voxels;
  const known = measured.every(({ numbers }) => typeof numbers.tlg === "number");
  const twice = known ? shared.reduce((total, voxel) => total + suvOf(voxel), 0) : 0;
  return {
    count: measured.length,
    volume_ml: sum("volume_ml") - shared.length * voxelMl,
    tlg: known ? sum("tlg") - twice * voxelMl : null,
  };
}
