// The patient from all sides: projections made once on the server, turned here; a click leads to the hottest point.

export class Mip {
  /** @param {HTMLCanvasElement} canvas  @param {import("./grid.js").Grid} grid */
  constructor(canvas, grid) {
    this.canvas = canvas;
    this.grid = grid;
    this.angle = 0;
    this.ratio = 1;
  }

  /** @param {ArrayBuffer} content see `Projections.to_bytes` */
  take(content) {
    const header = new DataView(content);
    [this.angles, this.rows, this.columns] = [0, 4, 8].map((at) => header.getUint32(at, true));
    [this.scale, this.low, this.rowMm, this.columnMm] = [12, 16, 20, 24].map((at) => header.getFloat32(at, true));
    const count = this.angles * this.rows * this.columns;
    this.heights = new Uint16Array(content, 28, count);
    this.depths = new Uint8Array(content, 28 + 2 * count, count);
    this.image = new ImageData(this.columns, this.rows);
    this.picture = new OffscreenCanvas(this.columns, this.rows);
  }

  get ready() {
    return Boolean(this.heights);
  }

  turn(steps) {
    this.angle = (((this.angle + steps) % this.angles) + this.angles) % this.angles;
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((n) => Math.round(n * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.ratio = ratio;
  }

  placed() {
    const [width, height] = [this.columns * this.columnMm, this.rows * this.rowMm];
    const fit = Math.min(this.canvas.width / width, this.canvas.height / height);
    return {
      left: (this.canvas.width - width * fit) / 2,
      top: (this.canvas.height - height * fit) / 2,
      scale: [fit * this.columnMm, fit * this.rowMm],
    };
  }

  /** Column, row and depth (fractions) of a voxel in the picture that is shown. */
  #project(voxel) {
    const { shape, spacing } = this.grid;
    const [x, y] = [0, 1].map((axis) => (voxel[axis] - (shape[axis] - 1) / 2) * spacing[axis]);
    const turn = (2 * Math.PI * this.angle) / this.angles;
    const u = -x * Math.cos(turn) - y * Math.sin(turn);
    const row = ((shape[2] - 1 - voxel[2]) * spacing[2]) / this.rowMm;
    return [u / this.columnMm + (this.columns - 1) / 2, row];
  }

  /** The voxel behind a point of the picture, null beside it. */
  voxelAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { left, top, scale } = this.placed();
    const column = Math.floor(((event.clientX - box.left) * this.ratio - left) / scale[0]);
    const row = Math.floor(((event.clientY - box.top) * this.ratio - top) / scale[1]);
    if (column < 0 || row < 0 || column >= this.columns || row >= this.rows) {
      return null;
    }
    const middle = (this.columns - 1) / 2;
    const depth = this.depths[(this.angle * this.rows + row) * this.columns + column];
    const [u, v] = [(column - middle) * this.columnMm, (depth - middle) * this.columnMm];
    const turn = (2 * Math.PI * this.angle) / this.angles;
    const mm = [-u * Math.cos(turn) + v * Math.sin(turn), -u * Math.sin(turn) - v * Math.cos(turn)];
    const { shape, spacing } = this.grid;
    const voxel = mm.map((at, axis) => Math.round(at / spacing[axis] + (shape[axis] - 1) / 2));
    voxel.push(Math.round(shape[2] - 1 - (row * this.rowMm) / spacing[2]));
    return voxel.map((n, axis) => Math.min(shape[axis] - 1, Math.max(0, n)));
  }

  /** @param {object} scene as of `SliceView.draw`, with `levels`: uptake from `low` in `step`s and the window's end */
  draw({ cross, findings, greyOf }) {
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.ready) {
      return;
    }
    const pixels = new Uint32Array(this.image.data.buffer);
    const first = this.angle * this.rows * this.columns;
    for (let n = 0; n < pixels.length; n++) {
      const level = greyOf(this.low + this.scale * this.heights[first + n]);
      pixels[n] = 0xff000000 | (level << 16) | (level << 8) | level;
    }
    for (const { mask, colour } of findings) {
      this.#stain(pixels, mask, colour);
    }
    this.picture.getContext("2d").putImageData(this.image, 0, 0);
    const { left, top, scale } = this.placed();
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, left, top, this.columns * scale[0], this.rows * scale[1]);
    const [column, row] = this.#project(cross);
    context.strokeStyle = "rgba(0, 90, 140, 0.55)";
    context.lineWidth = this.ratio;
    context.beginPath();
    context.arc(left + (column + 0.5) * scale[0], top + (row + 0.5) * scale[1], 8 * this.ratio, 0, 2 * Math.PI);
    context.stroke();
    const side = Math.round((4 * this.angle) / this.angles) % 4;
    context.fillStyle = "#444";
    context.font = `${13 * this.ratio}px sans-serif`;
    context.fillText("RALP"[side], 8 * this.ratio, this.canvas.height / 2);
    context.fillText("LPRA"[side], this.canvas.width - 18 * this.ratio, this.canvas.height / 2);
  }

  #stain(pixels, mask, colour) {
    if (!mask) {
      return;
    }
    const seen = new Uint8Array(pixels.length);
    let at = 0;
    for (let z = 0; z < mask.size[2]; z++) {
      for (let y = 0; y < mask.size[1]; y++) {
        for (let x = 0; x < mask.size[0]; x++, at++) {
          if (mask.data[at]) {
            const [column, row] = this.#project([mask.low[0] + x, mask.low[1] + y, mask.low[2] + z]);
            const place = Math.round(row) * this.columns + Math.round(column);
            seen[place] = 1;
          }
        }
      }
    }
    seen.forEach((hit, place) => {
      if (hit) {
        const grey = pixels[place] & 0xff;
        const [red, green, blue] = colour.map((value) => Math.round(0.55 * value + 0.45 * grey));
        pixels[place] = (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
      }
    });
  }
}
