// Curves of a walk, aligned with its frames: a value stands exactly below the picture it was read from.

// Colour is never alone: every line has its own dash, its own marker, and its name at its end.
const STROKES = [
  ["#1f77b4", "none", "circle"],
  ["#d1495b", "7 4", "square"],
  ["#2a9d5c", "2 3", "triangle"],
  ["#8e5bc0", "9 3 2 3", "diamond"],
  ["#c77f00", "12 4", "circle"],
  ["#0f8b8d", "4 2", "square"],
  ["#7a6a53", "1 4", "triangle"],
];
const PANEL = { pad: 12, label: 19 };

function marker(shape, x, y, colour) {
  const r = 3.4;
  if (shape === "circle") return s("circle", { cx: x, cy: y, r, fill: colour });
  const paths = {
    square: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    triangle: `M${x} ${y - r - 1}l${r + 1} ${2 * r}h${-2 * r - 2}z`,
    diamond: `M${x} ${y - r - 1}l${r + 1} ${r + 1}l${-r - 1} ${r + 1}l${-r - 1} ${-r - 1}z`,
  };
  return s("path", { d: paths[shape], fill: colour });
}

/** One panel: lines over the frames, the scale to the left, names with the values at the cursor to the right. */
class CurvePanel {
  constructor(title, height, ticks) {
    this.height = height;
    this.ticks = ticks;
    this.curves = [];
    this.svg = s("svg", { class: "l2l-panel-plot", role: "img", height });
    this.scale = h("div", { class: "l2l-panel-scale", "aria-hidden": "true" });
    this.names = h("div", { class: "l2l-panel-names" });
    this.title = title;
    for (const part of [this.scale, this.names]) part.style.height = `${height}px`;
    this.element = h("div", { class: "l2l-panel" }, this.scale, this.svg, this.names);
  }

  /** `curves`: [{name, label, values, text(value), remove?, dash?}], values in 0..1 of the panel's range. */
  update(curves, range, frames, width) {
    Object.assign(this, { curves, range, frames, width });
    const [low, high] = range;
    const y = (v) => PANEL.pad + (1 - (v - low) / (high - low)) * (this.height - 2 * PANEL.pad);
    const x = (i) => ((i + 0.5) * width) / frames;
    this.x = x;
    this.y = y;
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    const words = curves.map((c) => t("curve_from_to", { label: c.label, first: c.text(c.values[0]), last: c.text(c.values.at(-1)) }));
    this.svg.setAttribute("aria-label", `${this.title}: ${words.join("; ")}`);
    const shown = this.ticks(range);
    this.scale.replaceChildren(...shown.map(([v, text]) => {
      const tick = h("span", {}, text);
      tick.style.top = `${y(v)}px`;
      return tick;
    }));
    const lines = shown.map(([v]) => s("line", { x1: 0, x2: width, y1: y(v), y2: y(v), class: "l2l-gridline" }));
    this.dots = s("g");
    const paths = curves.map((curve, i) => {
      const [colour, dash, shape] = STROKES[curve.stroke ?? i % STROKES.length];
      const group = s("g");
      if (curve.asked) {
        const d = curve.asked.map((v, k) => `${k ? "L" : "M"}${x(k).toFixed(1)} ${y(v).toFixed(1)}`).join("");
        group.append(s("path", { d, class: "l2l-asked-line", stroke: colour }));
      }
      const d = curve.values.map((v, k) => `${k ? "L" : "M"}${x(k).toFixed(1)} ${y(v).toFixed(1)}`).join("");
      group.append(s("path", { d, class: "l2l-curve-path", stroke: colour, "stroke-dasharray": dash }));
      curve.values.forEach((v, k) => group.append(marker(shape, x(k), y(v), colour)));
      return group;
    });
    this.svg.replaceChildren(...lines, ...paths, this.dots);
    this.placeNames();
  }

  /** Names at the ends of their lines, moved apart so that none lies on another. */
  placeNames() {
    const rows = this.curves.map((curve, i) => {
      const [colour, dash, shape] = STROKES[curve.stroke ?? i % STROKES.length];
      const sample = s("svg", { width: 24, height: 12, viewBox: "1 0 24 12", "aria-hidden": "true", class: "l2l-sample" },
        s("path", { d: "M0 6H26", class: "l2l-curve-path", stroke: colour, "stroke-dasharray": dash }),
        marker(shape, 13, 6, colour));
      const value = h("span", { class: "l2l-panel-value" });
      const close = curve.remove && h("button", {
        type: "button", class: "l2l-clear", "aria-label": t("remove_the_curve_of", { label: curve.label }), onclick: curve.remove,
      }, "\u00d7");
      const row = h("div", { class: "l2l-panel-name" }, sample, h("span", { title: curve.label }, curve.label), value, close);
      return { row, value, curve, top: this.y(curve.values.at(-1)) };
    });
    rows.sort((a, b) => a.top - b.top);
    const half = PANEL.label / 2;
    let last = -Infinity;
    for (const one of rows) {
      one.top = Math.max(one.top, last + PANEL.label, half);
      last = one.top;
    }
    let room = this.height - half;
    for (const one of [...rows].reverse()) {
      one.top = Math.min(one.top, room);
      room = one.top - PANEL.label;
      one.row.style.top = `${one.top - half}px`;
    }
    this.rows = rows;
    this.names.replaceChildren(...rows.map((one) => one.row));
  }

  point(frame) {
    if (!this.curves.length) return;
    this.dots.replaceChildren(...this.curves.map((curve, i) => s("circle", {
      cx: this.x(frame), cy: this.y(curve.values[frame]), r: 6.5, class: "l2l-ring",
      stroke: STROKES[curve.stroke ?? i % STROKES.length][0],
    })));
    for (const { value, curve } of this.rows) value.textContent = curve.text(curve.values[frame]);
  }
}

/** All readings as a table, for eyes, for copying, and for screen readers. */
function numbersTable(rows, curves, identity, swept = false) {
  const count = rows.length ? curves[rows[0].name].length : 0;
  const head = h("tr", {}, h("th", { scope: "col" }, t("frame_head")),
    ...Array.from({ length: count }, (_, i) => h("th", { scope: "col" }, String(i + 1))));
  const line = (label, texts) =>
    h("tr", {}, h("th", { scope: "row" }, label), ...texts.map((text) => h("td", {}, text)));
  const body = rows.map((row) => line(row.label, curves[row.name].map((v) => asValue(row, v))));
  const ends = swept ? { first: t("as_the_face_itself") }
    : { first: t("as_the_first_face"), last: t("as_the_last_face") };
  for (const [end, values] of Object.entries(identity).filter(([end]) => end in ends).reverse()) {
    body.unshift(line(t("identity_like", { end: ends[end] }), values.map(asShare)));
  }
  return h("table", { class: "l2l-numbers-table" }, h("thead", {}, head), h("tbody", {}, ...body));
}

function asShare(value) {
  return `${Math.round(100 * value)}\u202f%`.replace("-", "\u2212");
}
