// A photo with a square on it: dragged by its inside, sized by its corners, moved and sized by keys.

/** `onMove(square, done)`: a square {x, y, side, turn} in pixels of the photo, its middle first. */
class PhotoSquare {
  constructor(onMove) {
    this.onMove = onMove;
    this.source = null;
    this.square = null;
    this.drag = null;
    this.canvas = h("canvas", {
      width: 1, height: 1, tabindex: 0, role: "application", "aria-roledescription": t("square_on_a_photo"),
      "aria-label": t("the_square_that_is_cut"),
      "data-lm-suppress-shortcuts": "true",
      onkeydown: (event) => this.onKey(event), onpointerdown: (event) => this.onDown(event),
      onpointermove: (event) => this.onPointer(event), onpointerup: (event) => this.onUp(event),
      onpointercancel: (event) => this.onUp(event),
    });
    this.element = h("div", { class: "l2l-photo-canvas" }, this.canvas);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
  }

  show(photo) {
    this.size = [photo.width, photo.height];
    this.faces = photo.faces ?? [];
    this.chosen = photo.chosen;
    if (!this.drag) this.square = { x: photo.x, y: photo.y, side: photo.side, turn: photo.turn };
    this.draw();
  }

  showSource(source) {
    this.source = source;
    this.draw();
  }

  /** Canvas pixels for one pixel of the photo. */
  get scale() {
    return this.canvas.width / this.size[0];
  }

  draw() {
    if (!this.source || !this.size) return;
    const density = window.devicePixelRatio || 1;
    const [width, height] = this.size;
    const fits = Math.min(this.element.clientWidth, (PhotoSquare.TALLEST * width) / height);
    if (fits < 2) return;
    this.canvas.style.width = `${fits}px`;
    this.canvas.width = Math.round(fits * density);
    this.canvas.height = Math.round((fits * density * height) / width);
    const context = this.canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(this.source, 0, 0, this.canvas.width, this.canvas.height);
    this.drawFaces(context, density);
    this.drawSquare(context, density);
    const { x, y, side } = this.square;
    this.canvas.setAttribute("aria-description", t("middle_side_pixels", { x: Math.round(x), y: Math.round(y), side: Math.round(side) }));
  }

  drawFaces(context, density) {
    context.lineWidth = density;
    context.strokeStyle = "rgba(255, 255, 255, 0.8)";
    context.setLineDash([4 * density, 4 * density]);
    this.faces.forEach(([x, y, width, height], i) => {
      if (this.faces.length > 1 && i + 1 !== this.chosen) {
        context.strokeRect(x * this.scale, y * this.scale, width * this.scale, height * this.scale);
      }
    });
    context.setLineDash([]);
  }

  drawSquare(context, density) {
    const corners = this.corners().map(([x, y]) => [x * this.scale, y * this.scale]);
    context.beginPath();
    context.rect(0, 0, this.canvas.width, this.canvas.height);
    corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.fillStyle = "rgba(0, 0, 0, 0.45)";
    context.fill("evenodd");
    context.beginPath();
    corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.lineWidth = 2 * density;
    context.strokeStyle = "white";
    context.stroke();
    context.fillStyle = "white";
    for (const [x, y] of corners) {
      context.beginPath();
      context.arc(x, y, 5 * density, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /** Corners in pixels of the photo. */
  corners() {
    const { x, y, side, turn } = this.square;
    const a = (turn * Math.PI) / 180;
    const [c, n] = [(Math.cos(a) * side) / 2, (Math.sin(a) * side) / 2];
    return [[x - c + n, y - n - c], [x - c - n, y - n + c], [x + c - n, y + n + c], [x + c + n, y + n - c]];
  }

  /** Where a pointer is, in pixels of the photo. */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * this.size[0]) / box.width, ((event.clientY - box.top) * this.size[1]) / box.height];
  }

  onDown(event) {
    if (!this.square || event.button !== 0) return;
    const [x, y] = this.at(event);
    const near = (14 * this.size[0]) / this.canvas.getBoundingClientRect().width;
    const corner = this.corners().some(([cx, cy]) => Math.hypot(cx - x, cy - y) < near);
    this.drag = { corner, x, y, from: { ...this.square } };
    if (!corner && Math.hypot(x - this.square.x, y - this.square.y) > 0.75 * this.square.side) {
      Object.assign(this.square, { x, y }); // beside the square: it comes here
      this.drag.from = { ...this.square };
    }
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    event.preventDefault();
    this.draw();
  }

  onPointer(event) {
    if (!this.drag) return;
    const [x, y] = this.at(event);
    const { corner, from } = this.drag;
    if (corner) {
      this.square.side = Math.max(PhotoSquare.SMALLEST, Math.SQRT2 * Math.hypot(x - from.x, y - from.y));
    } else {
      this.square.x = this.inside(from.x + x - this.drag.x, 0);
      this.square.y = this.inside(from.y + y - this.drag.y, 1);
    }
    this.draw();
    this.onMove({ ...this.square }, false);
  }

  onUp() {
    if (!this.drag) return;
    this.drag = null;
    this.onMove({ ...this.square }, true);
  }

  onKey(event) {
    if (!this.square || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = (event.shiftKey ? 10 : 1) * Math.max(1, this.size[0] / 400);
    const moves = {
      ArrowLeft: { x: -step }, ArrowRight: { x: step }, ArrowUp: { y: -step }, ArrowDown: { y: step },
      "+": { side: 2 * step }, "=": { side: 2 * step }, "-": { side: -2 * step },
      "[": { turn: -1 }, "]": { turn: 1 },
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const square = this.square;
    square.x = this.inside(square.x + (move.x ?? 0), 0);
    square.y = this.inside(square.y + (move.y ?? 0), 1);
    square.side = Math.max(PhotoSquare.SMALLEST, square.side + (move.side ?? 0));
    square.turn += move.turn ?? 0;
    this.draw();
    this.onMove({ ...square }, true);
  }

  inside(value, axis) {
    return Math.min(Math.max(value, 0), this.size[axis]);
  }

  dispose() {
    this.observer.disconnect();
  }
}
PhotoSquare.SMALLEST = 16;
PhotoSquare.TALLEST = 380;
