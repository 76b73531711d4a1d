// What lies over the points: the loaded face, groups, a path and its faces, the ways of an edit.

/** A colour, a dash and a shape for each method and group: told apart without colour too (Okabe and Ito). */
const STYLES = [
  { colour: "#0072b2", dash: [], shape: "circle" },
  { colour: "#d55e00", dash: [7, 3], shape: "square" },
  { colour: "#009270", dash: [2, 3], shape: "triangle" },
  { colour: "#bd6399", dash: [9, 3, 2, 3], shape: "diamond" },
  { colour: "#7564c4", dash: [12, 4], shape: "cross" },
  { colour: "#8c7a10", dash: [4, 2], shape: "wedge" },
];
const GROUPS = { a: STYLES[0], b: STYLES[1] };

/** The outline of a mark around a place; the caller fills or strokes it. */
function traceShape(pen, shape, x, y, r) {
  const corners = {
    square: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
    triangle: [[0, -1.25], [1.15, 0.85], [-1.15, 0.85]],
    wedge: [[0, 1.25], [1.15, -0.85], [-1.15, -0.85]],
    diamond: [[0, -1.35], [1.35, 0], [0, 1.35], [-1.35, 0]],
    cross: [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2],
      [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]],
  }[shape];
  pen.beginPath();
  if (!corners) {
    pen.arc(x, y, r, 0, 2 * Math.PI);
    return;
  }
  corners.forEach(([dx, dy], i) => pen[i ? "lineTo" : "moveTo"](x + dx * r, y + dy * r));
  pen.closePath();
}

/** A line with a halo, so that it can be followed over points of any colour. */
function strokeWay(pen, points, style, paper, width = 2) {
  if (points.length < 2) return;
  pen.beginPath();
  points.forEach(([x, y], i) => pen[i ? "lineTo" : "moveTo"](x, y));
  pen.lineJoin = pen.lineCap = "round";
  pen.setLineDash([]);
  pen.strokeStyle = paper;
  pen.lineWidth = width + 3;
  pen.stroke();
  pen.setLineDash(style.dash);
  pen.strokeStyle = style.colour;
  pen.lineWidth = width;
  pen.stroke();
  pen.setLineDash([]);
}

function label(pen, text, x, y, colour, paper) {
  pen.font = "600 14px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.lineWidth = 4;
  pen.lineJoin = "round";
  pen.strokeStyle = paper;
  pen.strokeText(text, x, y);
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

class MapMarks {
  constructor(canvas) {
    this.canvas = canvas;
    this.row = -1; // under the pointer, or where the keyboard is
    this.groups = { a: [], b: [] };
    this.drawing = null; // {kind, points} while a finger draws
    this.drawnPath = null;
    this.strip = null;
    this.stop = -1;
    this.trajectory = null;
    this.only = -1; // a method that is looked at alone
    this.face = null;
    canvas.drawMarks = (pen) => this.draw(pen);
  }

  draw(pen) {
    const style = getComputedStyle(this.canvas.element);
    this.paper = style.getPropertyValue("--paper").trim() || "#fff";
    this.ink = style.getPropertyValue("--ink").trim() || "#222";
    for (const name of ["a", "b"]) this.drawGroup(pen, name);
    if (this.drawing) this.drawGesture(pen);
    if (this.strip) this.drawStrip(pen);
    if (this.trajectory) this.drawWays(pen);
    if (this.face) this.drawFace(pen);
    if (this.row >= 0) this.drawHover(pen);
  }

  place(point) {
    return this.canvas.toScreen(point[0], point[1]);
  }

  drawGroup(pen, name) {
    const { colour, shape } = GROUPS[name];
    pen.strokeStyle = colour;
    pen.lineWidth = 1.2;
    // Of many faces each is marked faintly: the colours below must stay readable.
    pen.globalAlpha = Math.max(0.3, Math.min(1, 120 / this.groups[name].length));
    const r = this.canvas.dot + 1.2;
    for (const row of this.groups[name]) {
      const [x, y] = this.canvas.screenOf(row);
      traceShape(pen, shape, x, y, r);
      pen.stroke();
    }
    pen.globalAlpha = 1;
    if (!this.groups[name].length) return;
    const xs = this.groups[name].map((row) => this.canvas.screenOf(row));
    const middle = [0, 1].map((k) => xs.map((p) => p[k]).sort((u, v) => u - v)[xs.length >> 1]);
    label(pen, `${name.toUpperCase()} \u00b7 ${xs.length}`, middle[0] - 14, middle[1], colour, this.paper);
  }

  drawGesture(pen) {
    const { kind, points } = this.drawing;
    const places = points.map((p) => this.place(p));
    const style = GROUPS[kind] ?? { colour: this.ink, dash: [] };
    if (kind !== "path" && places.length > 2) {
      pen.beginPath();
      places.forEach(([x, y], i) => pen[i ? "lineTo" : "moveTo"](x, y));
      pen.globalAlpha = 0.12;
      pen.fillStyle = style.colour;
      pen.fill();
      pen.globalAlpha = 1;
    }
    strokeWay(pen, places, style, this.paper, kind === "path" ? 2.5 : 1.6);
  }

  /** The path as it was drawn; and, thin, where its faces belong. */
  drawStrip(pen) {
    const { stops } = this.strip;
    strokeWay(pen, stops.map((s) => this.place(s.drawn)), { colour: this.ink, dash: [] }, this.paper, 1.5);
    stops.forEach((stop, i) => {
      const [x, y] = this.place(stop.placed);
      const [fx, fy] = this.place(stop.drawn);
      pen.strokeStyle = this.ink;
      pen.lineWidth = 1;
      pen.setLineDash([2, 3]);
      pen.beginPath();
      pen.moveTo(fx, fy);
      pen.lineTo(x, y);
      pen.stroke();
      pen.setLineDash([]);
      traceShape(pen, "circle", x, y, i === this.stop ? 10 : 8);
      pen.fillStyle = stop.seed === null ? this.paper : this.ink;
      pen.fill();
      pen.strokeStyle = stop.seed === null ? this.ink : this.paper;
      pen.lineWidth = i === this.stop ? 3 : 1.5;
      pen.stroke();
      pen.font = "600 10px system-ui, sans-serif";
      pen.textBaseline = "middle";
      pen.textAlign = "center";
      pen.fillStyle = stop.seed === null ? this.ink : this.paper;
      pen.fillText(String(i + 1), x, y + 0.5);
      pen.textAlign = "start";
    });
  }

  drawWays(pen) {
    const { methods, usual } = this.trajectory;
    methods.forEach((way, i) => {
      if (this.only >= 0 && this.only !== i) return;
      const style = STYLES[i % STYLES.length];
      const places = way.placed.map((p) => this.place(p));
      strokeWay(pen, places, style, this.paper, 2.2);
      places.forEach(([x, y], k) => {
        const end = k === places.length - 1;
        traceShape(pen, style.shape, x, y, end ? 5.5 : 3.6);
        // Hollow where the edit has left the cloud.
        pen.fillStyle = way.strangeness[k] > usual[1] ? this.paper : style.colour;
        pen.fill();
        pen.strokeStyle = style.colour;
        pen.lineWidth = 1.6;
        pen.stroke();
      });
    });
  }

  drawFace(pen) {
    const { before, after, edited } = this.face;
    if (!before) return;
    const [x, y] = this.place(before);
    if (edited && after) {
      const [ex, ey] = this.place(after);
      strokeWay(pen, [[x, y], [ex, ey]], { colour: this.ink, dash: [] }, this.paper, 2);
      traceShape(pen, "diamond", ex, ey, 6);
      pen.fillStyle = this.paper;
      pen.fill();
      pen.strokeStyle = this.ink;
      pen.lineWidth = 2;
      pen.stroke();
    }
    for (const [radius, width, colour] of [[9, 5, this.paper], [9, 2.4, this.ink]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(x + dx * 5, y + dy * 5);
        pen.lineTo(x + dx * 14, y + dy * 14);
      }
      pen.stroke();
    }
  }

  drawHover(pen) {
    const [x, y] = this.canvas.screenOf(this.row);
    for (const [width, colour] of [[4.5, this.paper], [2, this.ink]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc(x, y, this.canvas.dot + 3.5, 0, 2 * Math.PI);
      pen.stroke();
    }
  }
}
