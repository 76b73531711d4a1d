// Pictures that never blank: pixels are decoded aside, then drawn over the old ones in one call.

/**
 * Weights of a Lanczos filter that enlarges `n` samples by a whole factor: for each of the `factor` positions
 * between two samples, six weights that add up to one.
 */
function lanczosWeights(factor) {
  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  const weights = [];
  for (let phase = 0; phase < factor; phase++) {
    const center = (phase + 0.5) / factor - 0.5;
    const first = Math.floor(center) - 2;
    const taps = Array.from({ length: 6 }, (_, k) => {
      const x = first + k - center;
      return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
    });
    const sum = taps.reduce((a, b) => a + b);
    weights.push({ first, taps: taps.map((t) => t / sum) });
  }
  return weights;
}

/** One direction of the enlargement: rows of `n` samples of `step` channels, written transposed. */
function enlargeRows(source, rows, n, factor) {
  const weights = lanczosWeights(factor);
  const wide = n * factor;
  const out = new Float32Array(rows * wide * 3);
  for (let x = 0; x < wide; x++) {
    const { first, taps } = weights[x % factor];
    const start = Math.floor(x / factor) + first;
    const at = taps.map((_, k) => 3 * Math.max(0, Math.min(n - 1, start + k)));
    for (let y = 0; y < rows; y++) {
      const row = y * n * 3;
      const o = (x * rows + y) * 3;
      for (let k = 0; k < 6; k++) {
        const i = row + at[k];
        const t = taps[k];
        out[o] += t * source[i];
        out[o + 1] += t * source[i + 1];
        out[o + 2] += t * source[i + 2];
      }
    }
  }
  return out;
}

/** Raw pixels, enlarged to about 256 a side with a filter that keeps edges smooth, as a canvas. */
function enlargePixels(bytes, width, height) {
  const factor = Math.max(1, Math.round(256 / Math.max(width, height)));
  const [w, h] = [width * factor, height * factor];
  // Twice transposed is upright again.
  const columns = factor === 1 ? bytes : enlargeRows(bytes, height, width, factor); // (w, height, 3)
  const pixels = factor === 1 ? bytes : enlargeRows(columns, w, height, factor); // (h, w, 3)
  const image = new ImageData(w, h);
  for (let i = 0, j = 0; i < pixels.length; i += 3, j += 4) {
    // The clamped array rounds, and cuts what the filter overshoots.
    image.data[j] = pixels[i];
    image.data[j + 1] = pixels[i + 1];
    image.data[j + 2] = pixels[i + 2];
    image.data[j + 3] = 255;
  }
  const canvas = document.createElement("canvas");
  canvas.width = w;
  canvas.height = h;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Pixels from the kernel -> something drawImage takes, or null where there are none. */
function decodePicture(picture) {
  const view = picture.data;
  if (!view) return null;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  // Raw pixels need no decoder and no waiting.
  if (picture.format === "rgb") return enlargePixels(bytes, picture.width, picture.height);
  return createImageBitmap(new Blob([bytes], { type: `image/${picture.format}` }));
}

/** One square picture with a caption, drawn at the resolution of the screen. */
class PictureView {
  constructor(name, description) {
    this.source = null;
    this.canvas = h("canvas", { width: 1, height: 1, role: "img", "aria-label": description });
    this.caption = h("figcaption", {}, name);
    this.frame = h("div", { class: "l2l-frame" }, this.canvas);
    this.element = h("figure", { class: `l2l-picture l2l-${name}` }, this.frame, this.caption);
    // Upscaling a small face by hand keeps it smooth at any zoom and on any screen density.
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.frame);
  }

  show(source) {
    this.source = source;
    this.draw();
  }

  draw() {
    const side = Math.round(this.frame.clientWidth * (window.devicePixelRatio || 1));
    if (!this.source || side < 1) return;
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.source, 0, 0, side, side);
  }

  dispose() {
    this.observer.disconnect();
  }
}

/** Shows pictures in the order they were sent, even if a later one decodes first. */
class PictureQueue {
  constructor(onPicture) {
    this.onPicture = onPicture;
    this.newest = 0;
    this.count = 0;
  }

  push(picture) {
    const number = ++this.count;
    const done = (source) => {
      if (number < this.newest) return;
      this.newest = number;
      this.onPicture(source, picture);
    };
    const source = decodePicture(picture);
    if (source instanceof Promise) source.then(done);
    else done(source);
  }
}
