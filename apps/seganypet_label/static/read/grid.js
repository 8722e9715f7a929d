// The page's grid [x, y, z], whose axes grow to the patient's right, front and head,
// beside the study's own [i, j, k], which is what the server speaks; and masks between the two.

export class Grid {
  /** @param {{shape: number[], axes: {source: number, flipped: boolean}[], spacing_mm: number[]}} about from /about */
  constructor(about) {
    this.shape = about.shape;
    this.axes = about.axes;
    this.spacing = about.spacing_mm;
    this.strides = [1, about.shape[0], about.shape[0] * about.shape[1]];
  }

  index([x, y, z]) {
    return x + this.strides[1] * y + this.strides[2] * z;
  }

  holds(voxel) {
    return voxel.every((v, axis) => v >= 0 && v < this.shape[axis]);
  }

  /** [i, j, k] of the study for [x, y, z] of the page. */
  toStudy(voxel) {
    const ijk = [0, 0, 0];
    this.axes.forEach(({ source, flipped }, axis) => {
      ijk[source] = flipped ? this.shape[axis] - 1 - voxel[axis] : voxel[axis];
    });
    return ijk;
  }

  fromStudy(ijk) {
    return this.axes.map(({ source, flipped }, axis) => (flipped ? this.shape[axis] - 1 - ijk[source] : ijk[source]));
  }

  /** A mask as the server sends it: start, shape and bits of a box of the study, the last axis fastest. */
  unpack({ start, shape, bits }) {
    if (!shape[0] || !bits) {
      return null;
    }
    const first = this.fromStudy(start);
    const last = this.fromStudy(start.map((n, axis) => n + shape[axis] - 1));
    const low = first.map((n, axis) => Math.min(n, last[axis]));
    const size = first.map((n, axis) => Math.abs(n - last[axis]) + 1);
    const steps = this.#steps(size);
    const packed = Uint8Array.from(atob(bits), (letter) => letter.charCodeAt(0));
    const data = new Uint8Array(size[0] * size[1] * size[2]);
    let bit = 0;
    for (let i = 0; i < shape[0]; i++) {
      for (let j = 0; j < shape[1]; j++) {
        let at = steps.origin + i * steps.step[0] + j * steps.step[1];
        for (let k = 0; k < shape[2]; k++, bit++, at += steps.step[2]) {
          data[at] = (packed[bit >> 3] >> (7 - (bit & 7))) & 1;
        }
      }
    }
    return { low, size, data };
  }

  /** The reverse of `unpack`. */
  pack({ low, size, data }) {
    const ends = [this.toStudy(low), this.toStudy(low.map((n, axis) => n + size[axis] - 1))];
    const start = ends[0].map((n, axis) => Math.min(n, ends[1][axis]));
    const shape = ends[0].map((n, axis) => Math.abs(n - ends[1][axis]) + 1);
    const steps = this.#steps(size);
    const packed = new Uint8Array(Math.ceil(data.length / 8));
    let bit = 0;
    for (let i = 0; i < shape[0]; i++) {
      for (let j = 0; j < shape[1]; j++) {
        let at = steps.origin + i * steps.step[0] + j * steps.step[1];
        for (let k = 0; k < shape[2]; k++, bit++, at += steps.step[2]) {
          packed[bit >> 3] |= data[at] << (7 - (bit & 7));
        }
      }
    }
    let text = "";
    for (let n = 0; n < packed.length; n += 8192) {
      text += String.fromCharCode(...packed.subarray(n, n + 8192));
    }
    return { start, shape, bits: btoa(text) };
  }

  /** Where in a page box the first voxel of the study's box lies, and how far the next along i, j, k is. */
  #steps(size) {
    const strides = [1, size[0], size[0] * size[1]];
    const step = [0, 0, 0];
    let origin = 0;
    this.axes.forEach(({ source, flipped }, axis) => {
      step[source] = flipped ? -strides[axis] : strides[axis];
      origin += flipped ? (size[axis] - 1) * strides[axis] : 0;
    });
    return { step, origin };
  }
}

export function maskHolds(mask, voxel) {
  if (!mask) {
    return false;
  }
  const at = voxel.map((v, axis) => v - mask.low[axis]);
  if (at.some((v, axis) => v < 0 || v >= mask.size[axis])) {
    return false;
  }
  return mask.data[at[0] + mask.size[0] * (at[1] + mask.size[1] * at[2])] === 1;
}

/** The voxels that several masks hold, once for each mask after the first: what their sum counts too often. */
export function sharedVoxels(masks) {
  const found = [];
  masks.forEach((mask, n) => {
    const { low, size } = mask;
    const shared = heldBy(masks.slice(0, n), mask);
    for (let at = shared.indexOf(1); at >= 0; at = shared.indexOf(1, at + 1)) {
      const row = Math.floor(at / size[0]);
      found.push([low[0] + (at % size[0]), low[1] + (row % size[1]), low[2] + Math.floor(row / size[1])]);
    }
  });
  return found;
}

/** Whether each voxel of a mask lies in one of the others. */
export function coveredBy(mask, others) {
  const held = heldBy(others.filter(Boolean), mask);
  return mask.data.every((value, at) => !value || held[at]);
}

/** 1 at each voxel of a mask's data that one of the others holds too. */
function heldBy(others, mask) {
  const held = new Uint8Array(mask.data.length);
  others.forEach((other) => overlap(mask, other).forEach((at) => (held[at] = 1)));
  return held;
}

/** Where in a mask's data lie the voxels that another one holds too. */
function overlap(mask, other) {
  const low = mask.low.map((n, axis) => Math.max(n, other.low[axis]));
  const end = mask.low.map((n, axis) => Math.min(n + mask.size[axis], other.low[axis] + other.size[axis]));
  if (low.some((n, axis) => n >= end[axis])) {
    return [];
  }
  const place = ({ low: from, size }, y, z) => low[0] - from[0] + size[0] * (y - from[1] + size[1] * (z - from[2]));
  const held = [];
  for (let z = low[2]; z < end[2]; z++) {
    for (let y = low[1]; y < end[1]; y++) {
      const [mine, its] = [place(mask, y, z), place(other, y, z)];
      for (let x = 0; x < end[0] - low[0]; x++) {
        if (mask.data[mine + x] && other.data[its + x]) {
          held.push(mine + x);
        }
      }
    }
  }
  return held;
}

/** A copy whose box also holds `low` to `high` (inclusive). */
export function grown(mask, low, high) {
  const from = mask ? mask.low.map((n, axis) => Math.min(n, low[axis])) : [...low];
  const to = mask ? mask.low.map((n, axis) => Math.max(n + mask.size[axis] - 1, high[axis])) : [...high];
  const size = from.map((n, axis) => to[axis] - n + 1);
  const data = new Uint8Array(size[0] * size[1] * size[2]);
  if (mask) {
    const [dx, dy, dz] = mask.low.map((n, axis) => n - from[axis]);
    for (let z = 0; z < mask.size[2]; z++) {
      for (let y = 0; y < mask.size[1]; y++) {
        const source = mask.size[0] * (y + mask.size[1] * z);
        data.set(mask.data.subarray(source, source + mask.size[0]), dx + size[0] * (y + dy + size[1] * (z + dz)));
      }
    }
  }
  return { low: from, size, data };
}

/** A voxel in the middle of a mask's slice with the most voxels: where a row of the table leads. */
export function middleOf(mask) {
  let most = 0;
  let plane = 0;
  const area = mask.size[0] * mask.size[1];
  for (let z = 0; z < mask.size[2]; z++) {
    const count = mask.data.subarray(z * area, (z + 1) * area).reduce((sum, value) => sum + value, 0);
    if (count > most) {
      most = count;
      plane = z;
    }
  }
  const middle = [0, 0];
  const inside = [];
  for (let n = 0; n < area; n++) {
    if (mask.data[plane * area + n]) {
      inside.push([n % mask.size[0], Math.floor(n / mask.size[0])]);
    }
  }
  inside.forEach(([x, y]) => {
    middle[0] += x / inside.length;
    middle[1] += y / inside.length;
  });
  const away = ([x, y]) => (x - middle[0]) ** 2 + (y - middle[1]) ** 2;
  const [x, y] = inside.reduce((best, one) => (away(one) < away(best) ? one : best));
  return [mask.low[0] + x, mask.low[1] + y, mask.low[2] + plane];
}
