// The canvas that a mask is painted on. Strokes show at once, with the kernel's own arithmetic.

/** Pixels that a round brush covers on its way along `points`, as indices; the kernel does the same. */
function strokePixels(side, points, size) {
  const found = new Set();
  const reach = size / 2;
  const clip = (v) => Math.max(0, Math.min(side - 1, v));
  const ends = points.length > 1 ? points.slice(1) : points;
  ends.forEach((b, i) => {
    const a = points[i];
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
    const length = Math.max(dx * dx + dy * dy, 1e-9);
    const low = [0, 1].map((k) => clip(Math.floor(Math.min(a[k], b[k]) - reach)));
    const high = [0, 1].map((k) => clip(Math.ceil(Math.max(a[k], b[k]) + reach)));
    for (let row = low[1]; row <= high[1]; row++) {
      for (let column = low[0]; column <= high[0]; column++) {
        const [x, y] = [column + 0.5, row + 0.5];
        const t = Math.max(0, Math.min(1, ((x - a[0]) * dx + (y - a[1]) * dy) / length));
        const near = (x - a[0] - t * dx) ** 2 + (y - a[1] - t * dy) ** 2;
        if (near <= reach * reach) found.add(row * side + column);
      }
    }
  });
  for (const [x, y] of points) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (column >= 0 && column < side && row >= 0 && row < side) found.add(row * side + column);
  }
  return found;
}

/** How far a stroke goes before it has another point, in pixels of the mask: a mouse gives hundreds a second. */
const leastWay = (size) => Math.max(0.25, size / 16);

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

/** Points after which a stroke is sent as it is and goes on as another: each message has all of its own. */
const MOST_POINTS = 5000;

/**
 * `tool` and `label` (the class in hand) are set from outside. `on.operation(operation, gesture, settled)` hears
 * what was done, `on.pick(label)` what lies under the pointer, `on.status(text)` what to tell, `on.refuse(text)` why
 * nothing was done.
 */
class MaskCanvas {
  constructor(schema, on) {
    this.side = schema.side;
    this.classes = schema.classes;
    this.on = on;
    this.tool = "brush";
    this.label = 13;
    this.size = Math.max(2, Math.round(this.side / 16));
    this.zoom = 1;
    this.mask = new Uint8Array(this.side * this.side);
    this.original = null;
    this.gesture = null;
    this.gestures = 0;
    this.touches = new Map();
    this.cursor = [this.side / 2, this.side / 2];
    this.picture = h("canvas", { width: 1, height: 1, class: "l2l-under" });
    this.overlay = h("canvas", { width: this.side, height: this.side, class: "l2l-over" });
    this.ring = h("span", { class: "l2l-ring", hidden: true });
    this.stage = h(
      "div",
      {
        class: "l2l-canvas", tabindex: 0, role: "application", dataset: { lmSuppressShortcuts: "true" },
        "aria-label": t("mask_of_the_face_arrow"),
      },
      this.picture, this.overlay, this.ring,
    );
    this.frame = h("div", { class: "l2l-view" }, this.stage);
    this.listen();
  }

  listen() {
    this.stage.addEventListener("pointerdown", (event) => this.press(event));
    this.stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(end, (event) => this.release(event));
    }
    this.stage.addEventListener("pointerleave", () => {
      this.ring.hidden = true;
      this.on.under(null);
    });
    this.stage.addEventListener("keydown", (event) => this.onKey(event));
    this.stage.addEventListener("focus", () => this.showRing());
    this.stage.addEventListener("blur", () => this.endKeys());
    this.frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.setZoom(this.zoom * (event.deltaY < 0 ? 2 : 0.5), this.inFrame(event.clientX, event.clientY));
    }, { passive: false });
  }

  /** Whether a stroke is under way, during which the kernel's older mask must not show. */
  get busy() {
    return this.gesture !== null && this.gesture.kind !== "move";
  }

  setPicture(source) {
    this.picture.width = source.width;
    this.picture.height = source.height;
    this.picture.getContext("2d").drawImage(source, 0, 0);
  }

  setMask(bytes) {
    this.mask.set(bytes);
    this.paint();
  }

  paint() {
    const image = new ImageData(this.side, this.side);
    for (let i = 0, j = 0; i < this.mask.length; i++, j += 4) {
      const [r, g, b] = this.classes[this.mask[i]].colour;
      image.data[j] = r;
      image.data[j + 1] = g;
      image.data[j + 2] = b;
      image.data[j + 3] = this.mask[i] === 0 ? 60 : 255; // the background would hide the picture
    }
    this.overlay.getContext("2d").putImageData(image, 0, 0);
  }

  setOpacity(share) {
    this.overlay.style.opacity = share;
  }

  /** Zoom so that what lies `at` a place of the frame, its middle if none is given, stays there. */
  setZoom(zoom, at = [this.frame.clientWidth / 2, this.frame.clientHeight / 2]) {
    this.zoomTo(zoom, this.shareAt(at), at);
  }

  /** What of the mask lies at a place of the frame, in shares of its sides. */
  shareAt([x, y]) {
    const { frame, stage } = this;
    return [(frame.scrollLeft + x) / stage.clientWidth, (frame.scrollTop + y) / stage.clientHeight];
  }

  /** Zoom, and bring what lies at `share` of the mask to a place of the frame. */
  zoomTo(zoom, share, at) {
    const next = Math.max(1, Math.min(8, zoom));
    const { frame, stage } = this;
    if (next !== this.zoom) {
      this.zoom = next;
      stage.style.width = stage.style.height = `${100 * next}%`;
      this.on.zoom(next);
      if (!this.ring.hidden) this.showRing();
    }
    frame.scrollLeft = share[0] * stage.clientWidth - at[0];
    frame.scrollTop = share[1] * stage.clientHeight - at[1];
  }

  /** A place of the window in pixels of the frame. */
  inFrame(x, y) {
    const box = this.frame.getBoundingClientRect();
    return [x - box.left, y - box.top];
  }

  /** Scroll so far that the cursor, which keys have moved, is in sight, with some of its surroundings. */
  follow() {
    const view = this.frame;
    const margin = view.clientWidth / 8;
    const into = (scrolled, at) => Math.max(at + margin - view.clientWidth, Math.min(scrolled, at - margin));
    view.scrollLeft = into(view.scrollLeft, (this.cursor[0] * this.stage.clientWidth) / this.side);
    view.scrollTop = into(view.scrollTop, (this.cursor[1] * this.stage.clientHeight) / this.side);
  }

  /** The event's place in pixels of the mask, in thousandths: every message has the whole stroke. */
  place(event) {
    const box = this.stage.getBoundingClientRect();
    const exact = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return exact.map((share) => Math.round(1000 * share * this.side) / 1000);
  }

  classAt([x, y]) {
    const clip = (v) => Math.max(0, Math.min(this.side - 1, Math.floor(v)));
    return this.mask[clip(y) * this.side + clip(x)];
  }

  press(event) {
    if (event.pointerType === "touch") this.touches.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.touches.size > 1) {
      this.cancel(); // two fingers move the view
      this.hold();
      return;
    }
    if (event.button !== 0) return;
    if (this.gesture) {
      this.finish(); // one that a key began
      this.on.status("");
    }
    this.stage.setPointerCapture(event.pointerId);
    this.stage.focus({ preventScroll: true });
    event.preventDefault();
    this.begin(this.place(event), event.pointerId);
  }

  drag(event) {
    if (this.touches.size > 1 && this.touches.has(event.pointerId)) {
      this.touches.set(event.pointerId, [event.clientX, event.clientY]);
      this.pinch();
      return;
    }
    if (!this.gesture) {
      this.cursor = this.place(event);
      this.showRing();
      this.on.under(this.classAt(this.cursor));
      return;
    }
    if (this.gesture.pointer !== event.pointerId) return; // a mouse that lies about leads no stroke of the keys
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.cursor = this.extend(this.place(one));
    this.paint();
    this.showRing();
    this.tell(false);
  }

  /** Where two fingers are in the frame, and how far apart. */
  fingers() {
    const [a, b] = [...this.touches.values()];
    return { middle: this.inFrame((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), apart: Math.max(distance(a, b), 1) };
  }

  /** What two fingers hold of the mask, and how large it is then. */
  hold() {
    const { middle, apart } = this.fingers();
    this.grip = { share: this.shareAt(middle), zoom: this.zoom, apart };
  }

  /** A finger has moved: what the first two hold goes along with them, and grows as they part. */
  pinch() {
    const { middle, apart } = this.fingers();
    this.zoomTo((this.grip.zoom * apart) / this.grip.apart, this.grip.share, middle);
  }

  release(event) {
    this.touches.delete(event.pointerId);
    if (this.touches.size > 1) this.hold();
    if (this.gesture?.pointer === event.pointerId) this.finish();
  }

  /** Put the brush down; `pointer` is the id of the one that leads it, none where keys do. */
  begin(point, pointer = null) {
    this.cursor = point;
    this.showRing();
    if (this.tool === "pick") {
      this.on.pick(this.classAt(point));
      return;
    }
    const gesture = `g${++this.gestures}`;
    if (this.tool === "fill") {
      this.on.operation({ kind: "fill", class: this.label, point }, gesture, true);
      return;
    }
    const base = this.mask.slice();
    const label = this.tool === "move" ? this.classAt(point) : this.label;
    if (this.tool === "move" && !this.isPart(label)) return;
    this.gesture = { id: gesture, pointer, kind: this.tool, points: [point], base, label, start: point };
    if (this.tool === "move") this.on.pick(label);
    else this.cover([point]);
    this.paint();
    this.tell(false);
  }

  /** Lead the gesture on to a point; `paint` shows it. */
  extend(point) {
    const { kind, points, base } = this.gesture;
    if (kind === "line") {
      this.gesture.points = [points[0], point];
      this.mask.set(base);
      this.cover(this.gesture.points);
    } else if (kind === "move") {
      this.gesture.points = [points[0], point];
    } else if (distance(point, points[points.length - 1]) >= leastWay(this.size)) {
      points.push(point);
      this.cover(points.slice(-2));
      if (points.length >= MOST_POINTS) {
        this.tell(true);
        this.gesture = { ...this.gesture, id: `g${++this.gestures}`, points: [point], base: this.mask.slice(), told: false };
      }
    }
    return point;
  }

  cover(points) {
    for (const i of strokePixels(this.side, points, this.size)) {
      this.mask[i] = this.gesture.kind === "erase" ? this.original[i] : this.gesture.label;
    }
  }

  finish() {
    const { kind, points } = this.gesture;
    if ((kind === "brush" || kind === "erase") && distance(this.cursor, points[points.length - 1]) > 0) {
      points.push(this.cursor); // the last of its way, however short
      this.cover(points.slice(-2));
      this.paint();
    }
    this.tell(true);
    this.gesture = null;
    this.on.status("");
  }

  cancel() {
    if (!this.gesture) return;
    this.mask.set(this.gesture.base);
    this.paint();
    if (this.gesture.told) this.on.cancel(this.gesture.id);
    this.gesture = null;
    this.on.status("");
  }

  tell(settled) {
    const { id, kind, points, label, start } = this.gesture;
    if (kind === "move") {
      const end = points[points.length - 1];
      const [dx, dy] = [end[0] - start[0], end[1] - start[1]];
      if (!dx && !dy) return;
      this.on.operation({ kind, class: label, dx, dy, scale: 1 }, id, settled);
    } else if (kind === "erase") {
      this.on.operation({ kind, size: this.size, points }, id, settled);
    } else {
      this.on.operation({ kind, class: label, size: this.size, points }, id, settled);
    }
    this.gesture.told = true;
  }

  /** Whether a class can be moved: with the background the whole face would be torn. Says why not. */
  isPart(label) {
    if (label === 0) this.on.refuse(t("the_background_is_no_part"));
    else if (!this.mask.includes(label)) this.on.refuse(t("is_not_in_the_mask", { name: this.classes[label].label }));
    else return true;
    return false;
  }

  /** Grow or shrink the class in hand about its middle. */
  scalePart(scale) {
    if (!this.isPart(this.label)) return;
    this.on.operation({ kind: "move", class: this.label, dx: 0, dy: 0, scale }, `g${++this.gestures}`, true);
  }

  // -- the keyboard ------------------------------------------------------------------------------

  onKey(event) {
    const step = event.shiftKey ? 5 : 1;
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (way) {
      event.preventDefault();
      event.stopPropagation();
      const clip = (v) => Math.max(0.5, Math.min(this.side - 0.5, v));
      const next = [clip(Math.floor(this.cursor[0]) + 0.5 + way[0]), clip(Math.floor(this.cursor[1]) + 0.5 + way[1])];
      this.cursor = this.gesture ? this.extend(next) : next;
      if (this.gesture) {
        this.paint();
        this.tell(false);
      }
      this.follow();
      this.showRing();
      this.on.under(this.classAt(this.cursor));
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      event.stopPropagation();
      if (event.repeat) return;
      if (this.gesture) this.finish();
      else this.begin([...this.cursor]);
      this.on.status(this.gesture ? t("brush_down_arrow_keys_paint") : "");
    } else if (event.key === "Escape" && this.gesture) {
      event.preventDefault();
      this.cancel();
    }
  }

  endKeys() {
    this.ring.hidden = true;
    if (this.gesture && !this.touches.size) this.finish();
  }

  showRing() {
    const share = 100 / this.side;
    const size = this.tool === "fill" || this.tool === "pick" || this.tool === "move" ? 1 : this.size;
    Object.assign(this.ring.style, {
      left: `${this.cursor[0] * share}%`, top: `${this.cursor[1] * share}%`,
      width: `${size * share}%`, height: `${size * share}%`,
    });
    this.ring.hidden = false;
  }
}
