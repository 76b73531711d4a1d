// Ten thousand points on a canvas: where they are, what is under the pointer, how to move about.

/** Viridis at nine places (van der Walt and Smith): light and dark stay apart without any colour. */
const SCALE = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#a5d52c", "#e0dd1f"];
const UNKNOWN = 255;
/** Screen pixels: how near the pointer must be, side of a thumbnail, and of the cell that holds one. */
const REACH = 14;
const THUMB = { side: 30, cell: 36 };

function scaleColour(share) {
  const at = Math.max(0, Math.min(1, share)) * (SCALE.length - 1);
  const i = Math.min(SCALE.length - 2, Math.floor(at));
  const part = (hex, k) => parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  const mix = [0, 1, 2].map((k) => Math.round(part(SCALE[i], k) + (at - i) * (part(SCALE[i + 1], k) - part(SCALE[i], k))));
  return `rgb(${mix.join(",")})`;
}

/** Red, green and blue of every byte of the scale; the last one, not known, is grey. */
const PALETTE = Uint8ClampedArray.from(
  Array.from({ length: 256 }, (_, v) => (v === UNKNOWN ? [138, 138, 138] : scaleColour(v / 254).match(/\d+/g).map(Number))).flat(),
);

class MapCanvas {
  constructor() {
    this.base = h("canvas", { class: "l2l-map-points", "aria-hidden": "true" });
    this.over = h("canvas", { class: "l2l-map-marks", "aria-hidden": "true" });
    this.element = h("div", {
      class: "l2l-map-stage", tabindex: 0, role: "application",
      "aria-label": t("map_of_faces_arrow_keys"),
    }, this.base, this.over);
    this.element.dataset.lmSuppressShortcuts = "true";
    this.count = 0;
    this.view = { x: 0, y: 0, scale: 1 }; // centre in map units; times the scale that fits all
    this.fit = 1;
    this.shown = true;
    this.thumbnails = false;
    this.sizes = false;
    this.drawMarks = () => {};
    this.masks = new Map();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
  }

  // -- what is shown ---------------------------------------------------------------------------------------------

  /** Other coordinates of the same faces: the points travel there, so that the eye can follow them. */
  setPoints(xy, animate) {
    const from = this.xy;
    this.goal = xy;
    this.count = xy.length / 2;
    this.measure(xy);
    cancelAnimationFrame(this.travel);
    const still = window.matchMedia?.("(prefers-reduced-motion: reduce)").matches;
    if (!animate || still || !from || from.length !== xy.length || !this.shown) {
      this.xy = xy;
      this.redraw();
      return;
    }
    const start = performance.now();
    const here = from.slice();
    this.xy = here.slice();
    const step = (now) => {
      const t = Math.min(1, (now - start) / 600);
      const ease = t * t * (3 - 2 * t);
      for (let i = 0; i < xy.length; i++) this.xy[i] = here[i] + ease * (xy[i] - here[i]);
      if (t === 1) this.xy = xy;
      this.redrawNow();
      if (t < 1) this.travel = requestAnimationFrame(step);
    };
    this.travel = requestAnimationFrame(step);
  }

  /** How far the points reach, a few stragglers aside. */
  measure(xy) {
    const reach = Array.from({ length: this.count }, (_, i) => Math.max(Math.abs(xy[2 * i]), Math.abs(xy[2 * i + 1])));
    reach.sort((a, b) => a - b);
    this.radius = Math.max(1e-6, (reach[Math.floor(0.998 * (this.count - 1))] ?? 1) * 1.04);
    this.refit();
  }

  setColours(bytes) {
    this.values = bytes;
    this.redraw();
  }

  setAtlas(image, { count, side, columns }) {
    this.atlas = { image, count, side, columns };
    this.redraw();
  }

  // -- geometry --------------------------------------------------------------------------------------------------

  resize() {
    this.width = this.element.clientWidth;
    this.height = this.element.clientHeight;
    this.ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.max(1, Math.round(this.width * this.ratio));
      canvas.height = Math.max(1, Math.round(this.height * this.ratio));
    }
    this.refit();
    this.redraw();
  }

  refit() {
    this.fit = Math.min(this.width || 1, this.height || 1) / 2 / (this.radius || 1);
  }

  toScreen(x, y) {
    const k = this.fit * this.view.scale;
    return [this.width / 2 + (x - this.view.x) * k, this.height / 2 - (y - this.view.y) * k];
  }

  toMap(px, py) {
    const k = this.fit * this.view.scale;
    return [this.view.x + (px - this.width / 2) / k, this.view.y - (py - this.height / 2) / k];
  }

  screenOf(row) {
    return this.toScreen(this.xy[2 * row], this.xy[2 * row + 1]);
  }

  /** The point nearest to a place on the screen, or -1 where none is within reach. */
  nearest(px, py, reach = REACH) {
    const [x, y] = this.toMap(px, py);
    let best = (reach / (this.fit * this.view.scale)) ** 2;
    let found = -1;
    for (let i = 0; i < this.count; i++) {
      const d = (this.xy[2 * i] - x) ** 2 + (this.xy[2 * i + 1] - y) ** 2;
      if (d < best) [best, found] = [d, i];
    }
    return found;
  }

  /** The `count` points nearest to a point, itself first. */
  around(row, count) {
    const [x, y] = [this.xy[2 * row], this.xy[2 * row + 1]];
    const d = Float64Array.from({ length: this.count }, (_, i) => (this.xy[2 * i] - x) ** 2 + (this.xy[2 * i + 1] - y) ** 2);
    return Array.from({ length: this.count }, (_, i) => i).sort((a, b) => d[a] - d[b]).slice(0, count);
  }

  /** The nearest point in a direction: within 45 degrees of it. */
  towards(row, dx, dy) {
    const [x, y] = this.screenOf(row);
    let best = Infinity;
    let found = row;
    for (let i = 0; i < this.count; i++) {
      const [px, py] = this.screenOf(i);
      const along = (px - x) * dx + (py - y) * dy;
      const across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      if (along > 0.5 && across <= along && along + across < best) [best, found] = [along + across, i];
    }
    return found;
  }

  /** Points inside a polygon of map coordinates. */
  inside(polygon) {
    const rows = [];
    for (let i = 0; i < this.count; i++) {
      const [x, y] = [this.xy[2 * i], this.xy[2 * i + 1]];
      let odd = false;
      for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
        const [ax, ay] = polygon[a];
        const [bx, by] = polygon[b];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
      }
      if (odd) rows.push(i);
    }
    return rows;
  }

  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.toMap(px, py);
    const scale = Math.max(0.7, Math.min(60, this.view.scale * factor));
    const k = this.view.scale / scale;
    this.view = { x: x + (this.view.x - x) * k, y: y + (this.view.y - y) * k, scale };
    this.redraw();
  }

  pan(dx, dy) {
    const k = this.fit * this.view.scale;
    this.view.x -= dx / k;
    this.view.y += dy / k;
    this.redraw();
  }

  showAll() {
    this.view = { x: 0, y: 0, scale: 1 };
    this.redraw();
  }

  /** Bring a point into the picture, where it is outside. */
  reveal(row) {
    const [px, py] = this.screenOf(row);
    const edge = 30;
    if (px < edge || py < edge || px > this.width - edge || py > this.height - edge) {
      [this.view.x, this.view.y] = [this.xy[2 * row], this.xy[2 * row + 1]];
    }
    this.redraw();
  }

  // -- drawing ---------------------------------------------------------------------------------------------------

  show(shown) {
    this.shown = shown;
    if (shown) this.redraw();
  }

  redraw() {
    if (this.waiting || !this.shown) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.redrawNow();
    });
  }

  redrawNow() {
    if (!this.width || !this.xy) return;
    this.drawPoints();
    this.redrawMarks();
  }

  redrawMarks() {
    if (!this.width || !this.xy) return;
    const pen = this.over.getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    this.drawMarks(pen);
  }

  get dot() {
    return Math.max(1.7, Math.min(6, 1.9 * Math.sqrt(this.view.scale)));
  }

  /** How much of each pixel a dot covers, at one of 3 x 3 places between pixels. */
  mask(radius, hollow, phase) {
    const key = `${radius.toFixed(2)}/${hollow}/${phase}`;
    if (!this.masks.has(key)) {
      const half = Math.ceil(radius) + 1;
      const [sx, sy] = [((phase % 3) - 1) / 3, (Math.floor(phase / 3) - 1) / 3];
      const [dx, dy, cover] = [[], [], []];
      for (let y = -half; y <= half; y++) {
        for (let x = -half; x <= half; x++) {
          const d = Math.hypot(x - sx, y - sy);
          const outer = Math.max(0, Math.min(1, radius + 0.5 - d));
          const part = hollow ? outer * Math.max(0, Math.min(1, d - radius + 1.4)) : outer;
          if (part < 0.02) continue;
          dx.push(x);
          dy.push(y);
          cover.push(part);
        }
      }
      if (this.masks.size > 400) this.masks.clear();
      this.masks.set(key, { half, dx: Int16Array.from(dx), dy: Int16Array.from(dy), cover: Float32Array.from(cover) });
    }
    return this.masks.get(key);
  }

  /** Dots are written into the pixels by hand: several times faster than ten thousand calls to draw one. */
  drawPoints() {
    const pen = this.base.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    const { width, height } = this.base;
    if (!this.pixels || this.pixels.width !== width || this.pixels.height !== height) this.pixels = pen.createImageData(width, height);
    const out = this.pixels.data;
    out.fill(0);
    this.grey = "#8a8a8a";
    const { ratio } = this;
    const k = this.fit * this.view.scale * ratio;
    const [ox, oy] = [(this.width / 2) * ratio - this.view.x * k, (this.height / 2) * ratio + this.view.y * k];
    const strength = this.thumbnails && this.atlas ? 110 : 235;
    for (let i = 0; i < this.count; i++) {
      const fx = ox + this.xy[2 * i] * k;
      const fy = oy - this.xy[2 * i + 1] * k;
      const x = Math.round(fx);
      const y = Math.round(fy);
      const value = this.values ? this.values[i] : UNKNOWN;
      // Three sizes are told apart; more would only look like noise.
      const size = this.sizes && this.trust ? [0.6, 1, 1.7][Math.min(2, Math.floor((this.trust[i] / 255) * 6))] : 1;
      const phase = Math.round((fx - x) * 3) + 1 + 3 * (Math.round((fy - y) * 3) + 1);
      const { half, dx, dy, cover } = this.mask(this.dot * ratio * size, value === UNKNOWN, Math.max(0, Math.min(8, phase)));
      if (x < half || y < half || x >= width - half || y >= height - half) continue;
      const c = 3 * (value === UNKNOWN ? 255 : value);
      for (let m = 0; m < cover.length; m++) {
        const o = 4 * ((y + dy[m]) * width + x + dx[m]);
        const a = cover[m];
        if (out[o + 3] === 0) {
          out[o] = PALETTE[c];
          out[o + 1] = PALETTE[c + 1];
          out[o + 2] = PALETTE[c + 2];
        } else {
          out[o] += (PALETTE[c] - out[o]) * a;
          out[o + 1] += (PALETTE[c + 1] - out[o + 1]) * a;
          out[o + 2] += (PALETTE[c + 2] - out[o + 2]) * a;
        }
        const alpha = a * strength;
        if (alpha > out[o + 3]) out[o + 3] = alpha;
      }
    }
    pen.putImageData(this.pixels, 0, 0);
    if (this.thumbnails && this.atlas) this.drawThumbnails(pen);
  }

  /** Small faces, no two in one cell of the screen: an even sample of what lies where. */
  drawThumbnails(pen) {
    const { image, count, side, columns } = this.atlas;
    const taken = new Set();
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.imageSmoothingQuality = "high";
    const half = THUMB.side / 2;
    for (let i = 0; i < Math.min(count, this.count); i++) {
      const [x, y] = this.screenOf(i);
      if (x < half || y < half || x > this.width - half || y > this.height - half) continue;
      const [cx, cy] = [Math.floor(x / THUMB.cell), Math.floor(y / THUMB.cell)];
      if (taken.has(`${cx},${cy}`)) continue;
      taken.add(`${cx},${cy}`);
      const [px, py] = [cx * THUMB.cell + THUMB.cell / 2 - half, cy * THUMB.cell + THUMB.cell / 2 - half];
      const value = this.values ? this.values[i] : UNKNOWN;
      pen.fillStyle = value === UNKNOWN ? this.grey : scaleColour(value / 254);
      pen.fillRect(px - 2, py - 2, THUMB.side + 4, THUMB.side + 4);
      pen.drawImage(image, (i % columns) * side, Math.floor(i / columns) * side, side, side, px, py, THUMB.side, THUMB.side);
    }
  }

  dispose() {
    this.observer.disconnect();
    cancelAnimationFrame(this.travel);
    cancelAnimationFrame(this.waiting);
  }
}
