// Painting into a mask, and taking out of it: a disc in the plane of the view.

import { grown } from "./grid.js";

export class Brush {
  /** @param {import("./grid.js").Grid} grid */
  constructor(grid) {
    this.grid = grid;
    this.mask = null;
    this.radiusMm = 8;
  }

  /** @param {object | null} mask to go on from; not changed */
  begin(mask, adds) {
    this.mask = mask && { ...mask, data: mask.data.slice() };
    this.adds = adds;
    this.at = null;
  }

  /** A stroke from the place before to this voxel, in a view's plane. */
  to(voxel, plane) {
    const { across, down } = plane;
    const from = this.at || voxel;
    this.at = voxel;
    const steps = Math.max(1, ...voxel.map((n, axis) => Math.abs(n - from[axis])));
    for (let step = 0; step <= steps; step++) {
      this.#dab(
        voxel.map((n, axis) => Math.round(from[axis] + ((n - from[axis]) * step) / steps)),
        across,
        down,
      );
    }
  }

  #dab(voxel, across, down) {
    const { shape, spacing } = this.grid;
    const reach = [across, down].map((axis) => Math.floor(this.radiusMm / spacing[axis]));
    const [low, high] = [[...voxel], [...voxel]];
    [across, down].forEach((axis, n) => {
      low[axis] = Math.max(0, voxel[axis] - reach[n]);
      high[axis] = Math.min(shape[axis] - 1, voxel[axis] + reach[n]);
    });
    if (low.some((n, axis) => n > high[axis] || n < 0 || n >= shape[axis])) {
      return; // outside the volume
    }
    if (this.adds) {
      const holds = this.mask && low.every((n, a) => n >= this.mask.low[a] && high[a] < this.mask.low[a] + this.mask.size[a]);
      this.mask = holds ? this.mask : grown(this.mask, low, high);
    } else if (!this.mask) {
      return;
    }
    const { low: first, size, data } = this.mask;
    const strides = [1, size[0], size[0] * size[1]];
    for (let b = low[down]; b <= high[down]; b++) {
      for (let a = low[across]; a <= high[across]; a++) {
        const mm = [(a - voxel[across]) * spacing[across], (b - voxel[down]) * spacing[down]];
        const place = [...voxel];
        place[across] = a;
        place[down] = b;
        const at = place.map((n, axis) => n - first[axis]);
        if (mm[0] ** 2 + mm[1] ** 2 <= this.radiusMm ** 2 && at.every((n, axis) => n >= 0 && n < size[axis])) {
          data[at[0] * strides[0] + at[1] * strides[1] + at[2] * strides[2]] = this.adds ? 1 : 0;
        }
      }
    }
  }
}
