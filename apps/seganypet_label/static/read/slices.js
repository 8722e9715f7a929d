// A slice of the study on a canvas: uptake in inverse grey, findings over it, clicks and crosshair on top.
// Radiological: the viewer looks from the patient's feet, or at his front; the patient's right is at the left.

const PLANES = {
  axial: { across: 0, down: 1, normal: 2, sides: ["R", "L", "A", "P"] },
  coronal: { across: 0, down: 2, normal: 1, sides: ["R", "L", "S", "I"] },
  sagittal: { across: 1, down: 2, normal: 0, sides: ["A", "P", "S", "I"] },
};
const MARK = 5; // half a click's mark, in pixels of the screen

export class SliceView {
  /**
   * @param {HTMLCanvasElement} canvas whose data-view names the plane
   * @param {import("./grid.js").Grid} grid
   * @param {Uint16Array} voxels
   */
  constructor(canvas, grid, voxels) {
    this.canvas = canvas;
    this.grid = grid;
    this.voxels = voxels;
    this.plane = PLANES[canvas.dataset.view];
    const { across, down } = this.plane;
    this.width = grid.shape[across];
    this.height = grid.shape[down];
    this.uptake = new OffscreenCanvas(this.width, this.height);
    this.overlay = new OffscreenCanvas(this.width, this.height);
    this.image = new ImageData(this.width, this.height);
    this.paint = new ImageData(this.width, this.height);
    this.shown = "";
    this.zoom = 1;
    this.pan = [0, 0];
    this.scrolled = 0; // pixels of the wheel on the way to the next slice
  }

  /** Fit the canvas to its place on the screen; true where that changed. */
  resize() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((n) => Math.round(n * ratio));
    const changed = this.canvas.width !== width || this.canvas.height !== height;
    if (changed) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.ratio = ratio;
    this.unit = ratio * (window.innerWidth >= 2400 ? 1.6 : 1); // of marks and letters
    return changed;
  }

  /** Left, top and pixels a voxel, on the canvas. */
  placed() {
    const { across, down } = this.plane;
    const mm = [this.width * this.grid.spacing[across], this.height * this.grid.spacing[down]];
    const fit = Math.min(this.canvas.width / mm[0], this.canvas.height / mm[1]) * this.zoom;
    const scale = [fit * this.grid.spacing[across], fit * this.grid.spacing[down]];
    const left = (this.canvas.width - this.width * scale[0]) / 2 + this.pan[0] * fit;
    const top = (this.canvas.height - this.height * scale[1]) / 2 + this.pan[1] * fit;
    return { left, top, scale, fit };
  }

  /** The voxel under a mouse event, on the slice that is shown; may lie outside. */
  voxelAt(event, cross) {
    const box = this.canvas.getBoundingClientRect();
    const { left, top, scale } = this.placed();
    const u = Math.floor(((event.clientX - box.left) * this.ratio - left) / scale[0]);
    const v = Math.floor(((event.clientY - box.top) * this.ratio - top) / scale[1]);
    const voxel = [0, 0, 0];
    voxel[this.plane.across] = this.width - 1 - u;
    voxel[this.plane.down] = this.height - 1 - v;
    voxel[this.plane.normal] = cross[this.plane.normal];
    return voxel;
  }

  /** Where a voxel's middle lies on the page, for people and tests. */
  pageAt(voxel) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = this.#canvasAt(voxel);
    return [box.left + x / this.ratio, box.top + y / this.ratio];
  }

  zoomBy(factor, event) {
    const before = this.placed();
    const box = this.canvas.getBoundingClientRect();
    const at = event
      ? [(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio]
      : [this.canvas.width / 2, this.canvas.height / 2];
    this.zoom = Math.min(20, Math.max(0.5, this.zoom * factor));
    const after = this.placed();
    [before.left, before.top].forEach((edge, axis) => {
      const wanted = at[axis] - ((at[axis] - edge) * after.fit) / before.fit;
      this.pan[axis] += (wanted - [after.left, after.top][axis]) / after.fit;
    });
  }

  panBy(dx, dy) {
    const { fit } = this.placed();
    this.pan = [this.pan[0] + (dx * this.ratio) / fit, this.pan[1] + (dy * this.ratio) / fit];
  }

  reset() {
    this.zoom = 1;
    this.pan = [0, 0];
  }

  /**
   * @param {{cross: number[], grey: Uint8ClampedArray, window: number,
   *   findings: {mask: object, colour: number[], active: boolean, clicks: {voxel: number[], positive: boolean}[]}[]}} scene
   */
  draw(scene) {
    const { left, top, scale } = this.placed();
    const context = this.canvas.getContext("2d");
    const slice = scene.cross[this.plane.normal];
    this.#drawUptake(slice, scene);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.uptake, left, top, this.width * scale[0], this.height * scale[1]);
    const visible = scene.findings.filter((one) => one.mask && this.#cuts(one.mask, slice));
    if (visible.length) {
      this.#fill(visible, slice);
      context.imageSmoothingEnabled = false;
      context.drawImage(this.overlay, left, top, this.width * scale[0], this.height * scale[1]);
      visible.forEach((one) => this.#outline(context, one, slice, left, top, scale));
    }
    this.#drawCross(context, scene.cross);
    scene.findings.forEach((one) => one.clicks.forEach((click) => this.#drawClick(context, click, one, slice)));
    this.#drawSides(context);
  }

  #drawUptake(slice, { grey, window }) {
    const shown = `${slice} ${window}`;
    if (shown === this.shown) {
      return;
    }
    this.shown = shown;
    const { across, down, normal } = this.plane;
    const { strides } = this.grid;
    const pixels = new Uint32Array(this.image.data.buffer);
    let n = 0;
    for (let v = this.height - 1; v >= 0; v--) {
      let at = slice * strides[normal] + v * strides[down] + (this.width - 1) * strides[across];
      for (let u = 0; u < this.width; u++, at -= strides[across]) {
        const level = grey[this.voxels[at]];
        pixels[n++] = 0xff000000 | (level << 16) | (level << 8) | level;
      }
    }
    this.uptake.getContext("2d").putImageData(this.image, 0, 0);
  }

  #cuts(mask, slice) {
    const at = slice - mask.low[this.plane.normal];
    return at >= 0 && at < mask.size[this.plane.normal];
  }

  /** Calls visit(u, v) for each voxel of a mask on the slice, u and v from the left and the top. */
  #each(mask, slice, visit) {
    const { across, down, normal } = this.plane;
    const strides = [1, mask.size[0], mask.size[0] * mask.size[1]];
    const plane = (slice - mask.low[normal]) * strides[normal];
    for (let b = 0; b < mask.size[down]; b++) {
      for (let a = 0; a < mask.size[across]; a++) {
        if (mask.data[plane + a * strides[across] + b * strides[down]]) {
          visit(this.width - 1 - mask.low[across] - a, this.height - 1 - mask.low[down] - b, a, b, plane, strides);
        }
      }
    }
  }

  #fill(findings, slice) {
    const pixels = new Uint32Array(this.paint.data.buffer);
    pixels.fill(0);
    for (const { mask, colour, active } of findings) {
      const [red, green, blue] = colour;
      const value = ((active ? 0x66000000 : 0x40000000) | (blue << 16) | (green << 8) | red) >>> 0;
      this.#each(mask, slice, (u, v) => {
        pixels[v * this.width + u] = value;
      });
    }
    this.overlay.getContext("2d").putImageData(this.paint, 0, 0);
  }

  #outline(context, { mask, colour, active }, slice, left, top, scale) {
    const { across, down } = this.plane;
    context.beginPath();
    this.#each(mask, slice, (u, v, a, b, plane, strides) => {
      const inside = (da, db) =>
        a + da >= 0 &&
        a + da < mask.size[across] &&
        b + db >= 0 &&
        b + db < mask.size[down] &&
        mask.data[plane + (a + da) * strides[across] + (b + db) * strides[down]];
      const [x0, x1] = [left + u * scale[0], left + (u + 1) * scale[0]];
      const [y0, y1] = [top + v * scale[1], top + (v + 1) * scale[1]];
      const line = (xa, ya, xb, yb) => (context.moveTo(xa, ya), context.lineTo(xb, yb));
      if (!inside(1, 0)) line(x0, y0, x0, y1);
      if (!inside(-1, 0)) line(x1, y0, x1, y1);
      if (!inside(0, 1)) line(x0, y0, x1, y0);
      if (!inside(0, -1)) line(x0, y1, x1, y1);
    });
    context.lineWidth = (active ? 2 : 1.25) * this.unit;
    context.strokeStyle = `rgb(${colour.join(",")})`;
    context.stroke();
  }

  #canvasAt(voxel) {
    const { left, top, scale } = this.placed();
    const u = this.width - 1 - voxel[this.plane.across];
    const v = this.height - 1 - voxel[this.plane.down];
    return [left + (u + 0.5) * scale[0], top + (v + 0.5) * scale[1]];
  }

  #drawCross(context, cross) {
    const [x, y] = this.#canvasAt(cross);
    const gap = 12 * this.unit;
    context.beginPath();
    for (const [xa, ya, xb, yb] of [
      [0, y, x - gap, y],
      [x + gap, y, this.canvas.width, y],
      [x, 0, x, y - gap],
      [x, y + gap, x, this.canvas.height],
    ]) {
      context.moveTo(xa, ya);
      context.lineTo(xb, yb);
    }
    context.lineWidth = this.unit;
    context.strokeStyle = "rgba(0, 90, 140, 0.55)";
    context.stroke();
  }

  #drawClick(context, { voxel, positive }, { colour, active }, slice) {
    const away = Math.abs(voxel[this.plane.normal] - slice);
    if (!active || away > 1) {
      return;
    }
    const [x, y] = this.#canvasAt(voxel);
    const half = MARK * this.unit;
    context.beginPath();
    context.arc(x, y, half + 2 * this.unit, 0, 2 * Math.PI);
    context.fillStyle = away ? "rgba(255, 255, 255, 0.4)" : "rgba(255, 255, 255, 0.9)";
    context.fill();
    context.strokeStyle = positive ? `rgb(${colour.join(",")})` : "#111";
    context.lineWidth = 2 * this.unit;
    context.stroke();
    context.beginPath();
    context.moveTo(x - half + 1, y);
    context.lineTo(x + half - 1, y);
    if (positive) {
      context.moveTo(x, y - half + 1);
      context.lineTo(x, y + half - 1);
    }
    context.strokeStyle = "#111";
    context.stroke();
  }

  #drawSides(context) {
    const [left, right, top, bottom] = this.plane.sides;
    const edge = 12 * this.unit;
    context.font = `600 ${13 * this.unit}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = "#0b4f6c";
    context.fillText(left, edge, this.canvas.height / 2);
    context.fillText(right, this.canvas.width - edge, this.canvas.height / 2);
    context.fillText(top, this.canvas.width / 2, edge);
    context.fillText(bottom, this.canvas.width / 2, this.canvas.height - edge);
  }
}
