// Two fingers on a view do what they do on a trackpad: apart and together zooms, along goes through the slices.

export class TwoFingers {
  /** @param {(factor: number, middle: {clientX: number, clientY: number}) => void} zoom  @param {(pixels: number) => void} along */
  constructor(zoom, along) {
    this.zoom = zoom;
    this.along = along;
    this.down = new Map(); // pointerId → where it is
  }

  /** @returns {boolean} whether this finger is the second one or a further one: then none of them clicks, paints or pans */
  begin({ pointerId, pointerType, clientX, clientY }) {
    pointerType === "touch" && this.down.set(pointerId, { clientX, clientY });
    return this.down.size > 1;
  }

  /** @returns {boolean} whether several fingers are at it */
  move({ pointerId, clientX, clientY }) {
    if (!this.down.has(pointerId) || this.down.size < 2) {
      return false;
    }
    const before = this.#measured();
    this.down.set(pointerId, { clientX, clientY });
    const now = this.#measured();
    this.zoom(now.apart / before.apart, now.middle);
    this.along(before.middle.clientY - now.middle.clientY);
    return true;
  }

  end({ pointerId }) {
    this.down.delete(pointerId);
  }

  #measured() {
    const [one, other] = this.down.values();
    return {
      apart: Math.max(1, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY)),
      middle: { clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2 },
    };
  }
}
