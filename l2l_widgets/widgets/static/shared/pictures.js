// Pictures that never blank: pixels are decoded aside, then drawn over the old ones in one call.

/**
 * A Lanczos filter that enlarges `n` samples by a whole factor: for each new sample, the places of the six old ones
 * that make it, and their weights, which add up to one.
 */
function lanczosTable(n, factor) {
  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  const places = new Int32Array(6 * n * factor);
  const weights = new Float64Array(6 * n * factor);
  for (let x = 0; x < n * factor; x++) {
    const center = (x + 0.5) / factor - 0.5;
    const first = Math.floor(center) - 2;
    let sum = 0;
    for (let k = 0; k < 6; k++) {
      const away = first + k - center;
      const weight = Math.abs(away) < 3 ? sinc(away) * sinc(away / 3) : 0;
      places[6 * x + k] = Math.max(0, Math.min(n - 1, first + k));
      weights[6 * x + k] = weight;
      sum += weight;
    }
    for (let k = 0; k < 6; k++) weights[6 * x + k] /= sum;
  }
  return { places, weights };
}

// Every picture of a drag goes through the next two: plain loops over typed arrays, each in the order in which the
// memory lies, take a tenth of what general ones do.

/** Bytes of `rows` rows of `n` pixels, each row made `factor` times as wide. */
function widen(bytes, rows, n, factor) {
  const { places, weights } = lanczosTable(n, factor);
  const wide = n * factor;
  const out = new Float32Array(rows * wide * 3);
  for (let y = 0, o = 0; y < rows; y++) {
    const row = y * n * 3;
    for (let x = 0, p = 0; x < wide; x++, p += 6) {
      const a = row + 3 * places[p], b = row + 3 * places[p + 1], c = row + 3 * places[p + 2];
      const d = row + 3 * places[p + 3], e = row + 3 * places[p + 4], f = row + 3 * places[p + 5];
      const u = weights[p], v = weights[p + 1], w = weights[p + 2];
      const i = weights[p + 3], j = weights[p + 4], k = weights[p + 5];
      for (let channel = 0; channel < 3; channel++, o++) {
        out[o] = u * bytes[a + channel] + v * bytes[b + channel] + w * bytes[c + channel]
          + i * bytes[d + channel] + j * bytes[e + channel] + k * bytes[f + channel];
      }
    }
  }
  return out;
}

/** `rows` rows of `wide` pixels made `factor` times as many, into the bytes of an opaque picture. */
function heighten(pixels, rows, wide, factor, out) {
  const { places, weights } = lanczosTable(rows, factor);
  const step = 3 * wide;
  for (let y = 0, p = 0, o = 0; y < rows * factor; y++, p += 6) {
    const u = weights[p], v = weights[p + 1], w = weights[p + 2];
    const i = weights[p + 3], j = weights[p + 4], k = weights[p + 5];
    let a = step * places[p], b = step * places[p + 1], c = step * places[p + 2];
    let d = step * places[p + 3], e = step * places[p + 4], f = step * places[p + 5];
    for (let x = 0; x < wide; x++, o += 4) {
      for (let channel = 0; channel < 3; channel++, a++, b++, c++, d++, e++, f++) {
        // The clamped array rounds, and cuts what the filter overshoots.
        out[o + channel] = u * pixels[a] + v * pixels[b] + w * pixels[c] + i * pixels[d] + j * pixels[e] + k * pixels[f];
      }
      out[o + 3] = 255;
    }
  }
}

/** Raw pixels, enlarged to about 256 a side with a filter that keeps edges smooth, as a canvas. */
function enlargePixels(bytes, width, height) {
  const factor = Math.max(1, Math.round(256 / Math.max(width, height)));
  const canvas = document.createElement("canvas");
  canvas.width = width * factor;
  canvas.height = height * factor;
  const image = new ImageData(canvas.width, canvas.height);
  heighten(widen(bytes, height, width, factor), height, canvas.width, factor, image.data);
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
    this.width = 0; // to ask for it at every picture would lay the whole page out
    this.observer = new ResizeObserver(() => {
      this.width = this.frame.clientWidth;
      this.draw();
    });
    this.observer.observe(this.frame);
  }

  show(source) {
    this.source = source;
    this.draw();
  }

  draw() {
    const side = Math.round(this.width * (window.devicePixelRatio || 1));
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
