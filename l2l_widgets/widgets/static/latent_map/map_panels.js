// Beside the map: the face under the pointer, what sets two groups apart, a path's faces, an edit's way.

/** A share as text: "31 %". */
function percent(share) {
  return `${Math.round(100 * share)}\u202f%`;
}

/** A small picture: pixels from the kernel on a canvas of its own. */
class SmallPicture {
  constructor(side, props = {}) {
    this.side = side;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    this.canvas = h("canvas", { width: side * ratio, height: side * ratio, role: "img", ...props });
    this.canvas.style.width = this.canvas.style.height = `${side}px`;
    this.queue = new PictureQueue((source) => {
      const pen = this.canvas.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(source, 0, 0, this.canvas.width, this.canvas.height);
    });
  }

  show(picture) {
    if (picture?.data) this.queue.push(picture);
  }
}

/** The colour scale with its unit; a tick says where the face under the pointer stands. */
class Legend {
  constructor() {
    this.name = h("strong", {});
    this.low = h("span", {});
    this.high = h("span", {});
    this.tick = h("i", { class: "l2l-map-tick", hidden: true });
    const colours = Array.from({ length: 17 }, (_, i) => scaleColour(i / 16));
    this.bar = h("div", { class: "l2l-map-bar" }, this.tick);
    this.bar.style.background = `linear-gradient(90deg, ${colours.join(",")})`;
    this.value = h("span", { class: "l2l-map-value" });
    this.unknown = h("span", { class: "l2l-map-unknown", hidden: true });
    this.element = h("div", { class: "l2l-map-legend" },
      h("div", { class: "l2l-map-legend-head" }, this.name, this.value),
      this.bar, h("div", { class: "l2l-map-ends" }, this.low, this.high), this.unknown);
  }

  update(colour, count) {
    this.colour = colour;
    this.name.textContent = colour.label;
    this.element.title = colour.definition;
    this.low.textContent = withUnit(colour, colour.low, colour.low < 0);
    this.high.textContent = withUnit(colour, colour.high, colour.low < 0);
    this.unknown.hidden = colour.known >= count;
    this.unknown.textContent = `\u25cb not read yet: ${count - colour.known}`;
  }

  /** The value of a byte of the scale, as text; "" where it is not known. */
  textOf(byte) {
    return byte === undefined || byte === UNKNOWN ? "" : asValue(this.colour, byte / 254);
  }

  point(byte) {
    const known = byte !== undefined && byte !== UNKNOWN;
    this.tick.hidden = !known;
    this.tick.style.left = `${known ? (100 * byte) / 254 : 0}%`;
    this.value.textContent = known ? this.textOf(byte) : "";
  }
}

/** One face: picture, name, what sets it apart, and how far its place on the map can be believed. */
class FaceCard {
  constructor(rows) {
    this.rows = rows;
    this.picture = new SmallPicture(112, { "aria-label": "The face" });
    this.role = h("p", { class: "l2l-map-role" });
    this.name = h("p", { class: "l2l-map-name" });
    this.trust = h("p", { class: "l2l-map-trust" });
    this.words = h("ul", { class: "l2l-map-words" });
    this.element = h("div", { class: "l2l-map-card" }, this.picture.canvas,
      h("div", {}, this.role, this.name, this.trust), this.words);
  }

  /** The face under the pointer. */
  hovered(hover, neighbours) {
    this.role.textContent = "Under the pointer \u2013 click loads it";
    this.name.textContent = `Face ${hover.seed}`;
    this.picture.show(hover.picture);
    const { kept, trustworthiness, continuity } = hover.believed;
    this.trust.textContent = kept === undefined ? "trust not measured yet"
      : `${Math.round(kept * neighbours)} of its ${neighbours} neighbours here are true ones; ` +
        `trust ${trustworthiness.toFixed(2)}, continuity ${continuity.toFixed(2)}`;
    this.showWords(hover.named);
  }

  /** What sets it apart from the other faces of the map. */
  showWords(named) {
    this.words.replaceChildren(...named.map(([name, value, apart]) => {
      const row = this.rows.get(name);
      return h("li", {}, h("span", {}, row.label), h("b", {}, asValue(row, value)),
        h("small", {}, apart > 0 ? "\u25b2 high" : "\u25bc low"));
    }));
  }

  /** The face that all views share. */
  loaded(face) {
    this.role.textContent = "Loaded, here and in every view";
    this.name.textContent = face.seed === null ? "A face of no seed" : `Face ${face.seed}`;
    this.picture.show(face.picture);
    this.showWords(face.named ?? []);
    const strange = face.edited ? face.after_strangeness : face.before_strangeness;
    this.trust.textContent = "";
    if (strange === undefined) {
      this.trust.textContent = face.before ? "" : "It has no place on this map; on the map of W it has.";
      return;
    }
    const out = strange > face.usual[1];
    this.trust.textContent = `${face.edited ? "Edited: " : ""}${strange.toFixed(2)} times as far from its ` +
      `nearest faces as usual${out ? ": outside the cloud" : ""}`;
  }
}

/** Two groups: means of every attribute, the difference with its interval, undecided ones hatched. */
class GroupsPanel {
  constructor(rows, onClear) {
    this.rows = rows;
    this.counts = h("div", { class: "l2l-map-counts" });
    this.table = h("div", { class: "l2l-map-table" });
    this.note = h("p", { class: "l2l-map-note" });
    this.clear = button("Clear groups", "reset", onClear);
    this.element = h("div", { class: "l2l-map-panel" }, this.counts, this.table, this.note, this.clear);
    this.setGroups({ a: [], b: [] });
  }

  setGroups(groups) {
    const text = (name) => `${name.toUpperCase()} ${name === "a" ? "\u25cb" : "\u25a1"} ${groups[name].length} faces`;
    this.counts.replaceChildren(h("span", { class: "l2l-map-a" }, text("a")), h("span", { class: "l2l-map-b" }, text("b")));
    const both = groups.a.length && groups.b.length;
    if (!both) this.table.replaceChildren();
    this.clear.hidden = !(groups.a.length || groups.b.length);
    this.note.textContent = both ? ""
      : "Draw around some faces with Group A, around others with Group B: what sets them apart stands here.";
  }

  update(comparison) {
    if (!comparison.rows) return;
    const most = Math.max(0.02, ...comparison.rows.map((r) => Math.max(Math.abs(r.low), Math.abs(r.high))));
    const at = (v) => `${50 + (50 * v) / most}%`;
    const lines = comparison.rows.map((r) => {
      const row = this.rows.get(r.attribute);
      const bar = h("span", { class: `l2l-map-diff${r.decided ? "" : " l2l-map-undecided"}` });
      bar.style.left = at(Math.min(0, r.difference));
      bar.style.width = `${(50 * Math.abs(r.difference)) / most}%`;
      const whisker = h("span", { class: "l2l-map-whisker" });
      whisker.style.left = at(r.low);
      whisker.style.width = `${(50 * (r.high - r.low)) / most}%`;
      const words = `${row.label}: A ${asValue(row, r.mean_a)}, B ${asValue(row, r.mean_b)}, B less A ` +
        `${asChange(row, r.difference)} (${asChange(row, r.low)} to ${asChange(row, r.high)}, 95 %)` +
        `${r.decided ? "" : ", undecided"}`;
      return h("div", { class: "l2l-map-line", title: words, role: "listitem", "aria-label": words },
        h("span", {}, row.label), h("span", {}, asValue(row, r.mean_a)),
        h("span", { class: "l2l-map-axis" }, bar, whisker), h("span", {}, asValue(row, r.mean_b)));
    });
    this.table.replaceChildren(
      h("div", { class: "l2l-map-line l2l-map-headline", "aria-hidden": "true" }, h("span", {}, ""),
        h("span", {}, "A"), h("span", {}, "B less A"), h("span", {}, "B")),
      h("div", { role: "list", "aria-label": "Differences" }, ...lines));
    this.note.textContent = "Means as the regressor reads them, 95 % intervals over the faces; hatched: undecided at a " +
      "false-discovery rate of 5 %. You chose the groups by looking: that no interval knows.";
  }
}

/** The faces along a path, in a row below the map. */
class StripPanel {
  constructor(onPick, onHover, onClear) {
    this.onPick = onPick;
    this.onHover = onHover;
    this.row = h("div", { class: "l2l-map-faces", role: "list", "aria-label": "Faces along the path" });
    this.note = h("p", { class: "l2l-map-note" });
    const close = h("button", {
      type: "button", class: "l2l-map-close", "aria-label": "Close the path", title: "Close the path", onclick: onClear,
    }, "\u00d7");
    this.element = h("div", { class: "l2l-map-strip", hidden: true }, this.row, this.note, close);
  }

  update(strip) {
    this.element.hidden = !strip?.stops;
    if (!strip?.stops) return;
    const { stops, usual } = strip;
    this.row.replaceChildren(...stops.map((stop, i) => {
      const picture = new SmallPicture(104);
      picture.show(stop.picture);
      const name = stop.seed === null ? "half way" : `face ${stop.seed}`;
      const out = stop.strangeness > usual[1];
      const words = `${i + 1}, ${name}, ${stop.strangeness.toFixed(2)} times as far from its nearest faces as usual`;
      return h("button", {
        type: "button", class: `l2l-map-stop${stop.seed === null ? " l2l-map-between" : ""}`, title: `${words}; click loads it`,
        "aria-label": words, onclick: () => this.onPick(i), onmouseenter: () => this.onHover(i), onmouseleave: () => this.onHover(-1),
        onfocus: () => this.onHover(i), onblur: () => this.onHover(-1),
      }, picture.canvas, h("span", {}, `${i + 1} \u00b7 ${name}`), h("small", {}, out ? "\u25b3 outside" : "\u00a0"));
    }));
    this.note.textContent = "Numbered in black: faces of the map nearest to your path. White: half way between two of them " +
      "in W. Dotted: from where you drew to where the face belongs. The map does not know what lies between its points.";
  }
}

const CHART = { width: 300, height: 150, left: 30, right: 8, top: 8, bottom: 30 };

/** An attribute, and how far from the cloud each method goes for it. */
class EditPanel {
  constructor(families, rows, onDraw, onPick, onClear, onOnly) {
    this.onOnly = onOnly;
    this.rows = rows;
    this.onPick = onPick;
    this.select = h("select", { "aria-label": "Attribute to edit" });
    for (const family of families) {
      this.select.append(h("optgroup", { label: family.name }, ...family.rows.map((r) => h("option", { value: r.name }, r.label))));
    }
    this.go = button("Draw its way", null, () => onDraw(this.select.value), { class: "l2l-button l2l-primary l2l-map-go" });
    this.clear = button("Clear", "reset", onClear, { hidden: true });
    this.chart = h("div", { class: "l2l-map-chart" });
    this.legend = h("ul", { class: "l2l-map-methods" });
    this.note = h("p", { class: "l2l-map-note" });
    this.element = h("div", { class: "l2l-map-panel" },
      h("div", { class: "l2l-map-ask" }, this.select, this.go, this.clear), this.chart, this.legend, this.note);
    this.update({});
  }

  /** The way comes when the networks are free: the button says that it was heard. */
  waiting(is) {
    this.go.disabled = is;
    this.go.querySelector("span").textContent = is ? "Drawing \u2026" : "Draw its way";
  }

  update(trajectory) {
    this.clear.hidden = !trajectory.methods;
    if (!trajectory.methods) {
      this.chart.replaceChildren();
      this.legend.replaceChildren();
      this.note.textContent = "Every method changes the loaded face, from the least to the most that it reaches. " +
        "Which of them stay among the faces?";
      return;
    }
    const { methods, usual, attribute, reasons } = trajectory;
    const row = this.rows.get(attribute);
    this.chart.replaceChildren(this.drawChart(methods, usual, row));
    this.legend.replaceChildren(...methods.map((way, i) => this.entry(way, i, usual, row)));
    const missing = Object.entries(reasons).map(([name, why]) => `${name}: ${why}`);
    this.note.textContent = "Click a point to make it the edit. Upwards: how far from its nearest faces, 1\u00d7 as usual; grey, " +
      `where nine of ten faces lie; hollow on the map, outside. The map can hide it: it puts everything somewhere.${missing.length ? ` Not drawn \u2013 ${missing.join("; ")}.` : ""}`;
  }

  entry(way, i, usual, row) {
    const style = STYLES[i % STYLES.length];
    const out = way.strangeness.filter((v) => v > usual[1]).length;
    const swatch = h("canvas", { width: 56, height: 24, "aria-hidden": "true" });
    const pen = swatch.getContext("2d");
    pen.scale(2, 2);
    strokeWay(pen, [[1, 6], [27, 6]], style, "transparent", 2);
    traceShape(pen, style.shape, 14, 6, 3.6);
    pen.fillStyle = style.colour;
    pen.fill();
    const far = Math.max(way.strangeness[0], way.strangeness.at(-1)).toFixed(1);
    const came = way.came ? `; came ${asChange(row, way.came[0])} to ${asChange(row, way.came.at(-1))}` : "";
    return h("li", {
      onmouseenter: () => this.onOnly(i), onmouseleave: () => this.onOnly(-1),
      title: `asked ${asChange(row, way.asked[0])} to ${asChange(row, way.asked.at(-1))}${came}; ` +
        `outside the cloud at ${out} of ${way.strangeness.length} sizes`,
    }, swatch, h("b", {}, way.name), h("small", {}, out ? `\u25b3 up to ${far}\u00d7` : `inside, ${far}\u00d7`));
  }

  drawChart(methods, usual, row) {
    const { width, height, left, right, top, bottom } = CHART;
    const asked = methods.flatMap((m) => m.asked);
    const [x0, x1] = [Math.min(...asked, -0.05), Math.max(...asked, 0.05)];
    const far = methods.flatMap((m) => m.strangeness);
    // By ratios: a method that goes twenty times too far must not flatten the others.
    const [y0, y1] = [Math.log(Math.min(0.7, usual[0], ...far)), Math.log(1.12 * Math.max(2, ...far))];
    const x = (v) => left + ((v - x0) / (x1 - x0)) * (width - left - right);
    const y = (v) => height - bottom - ((Math.log(v) - y0) / (y1 - y0)) * (height - top - bottom);
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Distance to the cloud over the change asked for" });
    svg.append(s("rect", { class: "l2l-map-usual", x: left, width: width - left - right, y: y(usual[1]), height: y(usual[0]) - y(usual[1]) }));
    const text = (tx, ty, words, anchor) => {
      const node = s("text", { x: tx, y: ty, "text-anchor": anchor });
      node.textContent = words;
      svg.append(node);
    };
    for (const v of [1, 2, 5, 10, 20, 50, 100].filter((mark) => Math.log(mark) < y1)) {
      svg.append(s("line", { class: "l2l-map-grid", x1: left, x2: width - right, y1: y(v), y2: y(v) }));
      text(left - 5, y(v) + 4, `${v}\u00d7`, "end");
    }
    svg.append(s("line", { class: "l2l-map-zero", x1: x(0), x2: x(0), y1: top, y2: height - bottom }));
    text(x(x0), height - bottom + 14, asChange(row, x0), "start");
    text(x(0), height - bottom + 14, "0", "middle");
    text(x(x1), height - bottom + 14, asChange(row, x1), "end");
    text((left + width - right) / 2, height - 3, `change asked for: ${row.label.toLowerCase()}`, "middle");
    methods.forEach((way, i) => {
      const style = STYLES[i % STYLES.length];
      const points = way.asked.map((v, k) => `${x(v).toFixed(1)},${y(way.strangeness[k]).toFixed(1)}`);
      svg.append(s("polyline", { points: points.join(" "), fill: "none", stroke: style.colour, "stroke-width": 1.8, "stroke-dasharray": style.dash.join(" ") }));
      way.asked.forEach((v, k) => {
        const dot = s("circle", { cx: x(v), cy: y(way.strangeness[k]), r: 3.4, fill: style.colour, class: "l2l-map-dot" });
        const title = s("title");
        title.textContent = `${way.name}: ${asChange(row, v)} asked, ${way.came ? `${asChange(row, way.came[k])} came, ` : ""}` +
          `${way.strangeness[k].toFixed(2)} times the usual distance`;
        dot.append(title);
        dot.addEventListener("click", () => this.onPick(way.name, k));
        svg.append(dot);
      });
    });
    return svg;
  }
}
