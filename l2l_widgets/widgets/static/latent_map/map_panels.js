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
    this.unknown.textContent = t("not_read_yet", { count: count - colour.known });
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
    this.picture = new SmallPicture(112, { "aria-label": t("the_face") });
    this.role = h("p", { class: "l2l-map-role" });
    this.name = h("p", { class: "l2l-map-name" });
    this.trust = h("p", { class: "l2l-map-trust" });
    this.words = h("ul", { class: "l2l-map-words" });
    this.element = h("div", { class: "l2l-map-card" }, this.picture.canvas,
      h("div", {}, this.role, this.name, this.trust), this.words);
  }

  /** The face under the pointer. */
  hovered(hover, neighbours) {
    this.row = hover.row;
    this.tellRole();
    this.name.textContent = t("face_named", { seed: hover.seed });
    this.drawn = undefined;
    this.picture.show(hover.picture);
    const { kept, trustworthiness, continuity } = hover.believed;
    this.trust.textContent = kept === undefined ? t("trust_not_measured_yet")
      : t("of_its_neighbours_here_are", {
        true: Math.round(kept * neighbours), neighbours,
        trust: fixed(trustworthiness, 2), continuity: fixed(continuity, 2),
      });
    this.showWords(hover.named);
  }

  /** What sets it apart from the other faces of the map. */
  showWords(named) {
    this.words.replaceChildren(...named.map(([name, value, apart]) => {
      const row = this.rows.get(name);
      return h("li", {}, h("span", {}, row.label), h("b", {}, asValue(row, value)),
        h("small", {}, apart > 0 ? t("high") : t("low")));
    }));
  }

  /** A click on the face that is loaded already would load nothing; what is shown of it has no edit. */
  tellRole() {
    const isLoaded = this.row === this.face?.row;
    this.role.textContent = t(!isLoaded ? "under_the_pointer_click_loads"
      : this.face.edited ? "loaded_with_its_edit" : "loaded_here_and_in_every");
  }

  /** The face that all views share; where the pointer is on a face, that one stays up. */
  loaded(face, pointed = -1) {
    this.face = face;
    if (pointed >= 0) {
      this.tellRole();
      return;
    }
    this.role.textContent = t("loaded_here_and_in_every");
    this.name.textContent = face.seed === null ? t("a_face_of_no_seed") : t("face_named", { seed: face.seed });
    // Its place may come a little after its picture, which is then up already.
    if (face.drawn === undefined || face.drawn !== this.drawn) this.picture.show(face.picture);
    this.drawn = face.drawn;
    this.showWords(face.named ?? []);
    const strange = face.edited ? face.after_strangeness : face.before_strangeness;
    this.trust.textContent = "";
    if (strange === undefined) {
      this.trust.textContent = face.before ? "" : t("it_has_no_place_on");
      return;
    }
    const out = strange > face.usual[1];
    this.trust.textContent = (face.edited ? t("edited_so") : "") +
      t("times_as_far", { times: fixed(strange, 2) }) + (out ? t("outside_the_cloud") : "");
  }
}

/** Two groups: means of every attribute, the difference with its interval, undecided ones hatched. */
class GroupsPanel {
  constructor(rows, onClear) {
    this.rows = rows;
    this.counts = h("div", { class: "l2l-map-counts" });
    this.table = h("div", { class: "l2l-map-table" });
    this.note = h("p", { class: "l2l-map-note" });
    this.clear = button(t("clear_groups"), "reset", onClear);
    this.element = h("div", { class: "l2l-map-panel" }, this.counts, this.table, this.note, this.clear);
    this.setGroups({ a: [], b: [] });
  }

  setGroups(groups) {
    const text = (name) => `${name.toUpperCase()} ${name === "a" ? "\u25cb" : "\u25a1"} ${t("faces_count", { count: groups[name].length })}`;
    this.counts.replaceChildren(h("span", { class: "l2l-map-a" }, text("a")), h("span", { class: "l2l-map-b" }, text("b")));
    const both = groups.a.length && groups.b.length;
    if (!both) this.table.replaceChildren();
    this.clear.hidden = !(groups.a.length || groups.b.length);
    this.note.textContent = both ? ""
      : t("draw_around_some_faces_with");
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
      const words = t("a_b_b_less_a", {
        label: row.label, a: asValue(row, r.mean_a), b: asValue(row, r.mean_b), less: asChange(row, r.difference),
        low: asChange(row, r.low), high: asChange(row, r.high),
      }) + (r.decided ? "" : `, ${t("undecided")}`);
      return h("div", { class: "l2l-map-line", title: words, role: "listitem", "aria-label": words },
        h("span", {}, row.label), h("span", {}, asValue(row, r.mean_a)),
        h("span", { class: "l2l-map-axis" }, bar, whisker), h("span", {}, asValue(row, r.mean_b)));
    });
    this.table.replaceChildren(
      h("div", { class: "l2l-map-line l2l-map-headline", "aria-hidden": "true" }, h("span", {}, ""),
        h("span", {}, "A"), h("span", {}, t("b_less_a")), h("span", {}, "B")),
      h("div", { role: "list", "aria-label": t("differences") }, ...lines));
    this.note.textContent = t("means_as_the_regressor_reads");
  }
}

/** The faces along a path, in a row below the map. */
class StripPanel {
  constructor(home, onPick, onHover, onClear) {
    this.onPick = onPick;
    this.onHover = onHover;
    const takes = home.buttons(() => t("faces_along_the_path"), () => ({}));
    this.row = h("div", { class: "l2l-map-faces", role: "list", "aria-label": t("faces_along_the_path") });
    this.note = h("p", { class: "l2l-map-note" });
    const close = h("button", {
      type: "button", class: "l2l-map-close", "aria-label": t("close_the_path"), title: t("close_the_path"), onclick: onClear,
    }, "\u00d7");
    this.element = h("div", { class: "l2l-map-strip", hidden: true }, h("div", { class: "l2l-map-along" }, this.row, close),
      this.note, takes, home.element);
  }

  update(strip) {
    this.element.hidden = !strip?.stops;
    if (!strip?.stops) return;
    const { stops, usual } = strip;
    this.row.replaceChildren(...stops.map((stop, i) => {
      const picture = new SmallPicture(104);
      picture.show(stop.picture);
      const name = stop.seed === null ? t("half_way") : t("face_number", { seed: stop.seed });
      const out = stop.strangeness > usual[1];
      const words = t("times_as_far_from_its", { number: i + 1, name, times: fixed(stop.strangeness, 2) });
      return h("button", {
        type: "button", class: `l2l-map-stop${stop.seed === null ? " l2l-map-between" : ""}`, title: t("click_loads_it", { words }),
        "aria-label": words, onclick: () => this.onPick(i), onmouseenter: () => this.onHover(i), onmouseleave: () => this.onHover(-1),
        onfocus: () => this.onHover(i), onblur: () => this.onHover(-1),
      }, picture.canvas, h("span", {}, `${i + 1} \u00b7 ${name}`), h("small", {}, out ? t("outside") : "\u00a0"));
    }));
    this.note.textContent = t("numbered_in_black_faces_of");
  }
}

const CHART = { width: 300, height: 150, left: 30, right: 8, top: 8, bottom: 30 };

/** An attribute, and how far from the cloud each method goes for it. */
class EditPanel {
  constructor(families, rows, onDraw, onPick, onClear, onOnly) {
    this.onOnly = onOnly;
    this.rows = rows;
    this.onPick = onPick;
    this.select = h("select", { "aria-label": t("attribute_to_edit") });
    for (const family of families) {
      this.select.append(h("optgroup", { label: family.name }, ...family.rows.map((r) => h("option", { value: r.name }, r.label))));
    }
    this.go = button(t("draw_its_way"), null, () => onDraw(this.select.value), { class: "l2l-button l2l-primary l2l-map-go" });
    this.clear = button(t("clear"), "reset", onClear, { hidden: true });
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
    this.go.querySelector("span").textContent = is ? t("drawing") : t("draw_its_way");
  }

  update(trajectory) {
    const row = this.rows.get(trajectory.attribute); // none where it was hidden
    this.clear.hidden = !row;
    if (!row) {
      this.chart.replaceChildren();
      this.legend.replaceChildren();
      this.note.textContent = t("every_method_changes_the_loaded");
      return;
    }
    const { methods, usual, reasons } = trajectory;
    this.chart.replaceChildren(this.drawChart(methods, usual, row));
    this.legend.replaceChildren(...methods.map((way, i) => this.entry(way, i, usual, row)));
    const missing = Object.entries(reasons).map(([name, why]) => `${name}: ${why}`);
    this.note.textContent = t("click_a_point_to_make") +
      (missing.length ? t("not_drawn", { names: missing.join("; ") }) : "");
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
    const far = fixed(Math.max(way.strangeness[0], way.strangeness.at(-1)), 1);
    const came = way.came ? t("and_came", { low: asChange(row, way.came[0]), high: asChange(row, way.came.at(-1)) }) : "";
    return h("li", {
      onmouseenter: () => this.onOnly(i), onmouseleave: () => this.onOnly(-1),
      title: t("asked_to_outside_the_cloud", {
        low: asChange(row, way.asked[0]), high: asChange(row, way.asked.at(-1)), came, out, sizes: way.strangeness.length,
      }),
    }, swatch, h("b", {}, way.name), h("small", {}, out ? t("up_to", { far }) : t("inside", { far })));
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
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": t("distance_to_the_cloud_over") });
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
    text((left + width - right) / 2, height - 3, t("change_asked_for", { label: row.label }), "middle");
    methods.forEach((way, i) => {
      const style = STYLES[i % STYLES.length];
      const points = way.asked.map((v, k) => `${x(v).toFixed(1)},${y(way.strangeness[k]).toFixed(1)}`);
      svg.append(s("polyline", { points: points.join(" "), fill: "none", stroke: style.colour, "stroke-width": 1.8, "stroke-dasharray": style.dash.join(" ") }));
      way.asked.forEach((v, k) => {
        const words = t("asked_times_the_usual_distance", {
          name: way.name, asked: asChange(row, v), times: fixed(way.strangeness[k], 2),
          came: way.came ? `${t("came", { change: asChange(row, way.came[k]) })}, ` : "",
        });
        const dot = s("circle", {
          cx: x(v), cy: y(way.strangeness[k]), r: 3.4, fill: style.colour, class: "l2l-map-dot",
          tabindex: i || k ? -1 : 0, role: "button", "aria-label": words, "data-method": i, "data-step": k,
        });
        dot.dataset.lmSuppressShortcuts = "true";
        const title = s("title");
        title.textContent = words;
        dot.append(title);
        dot.addEventListener("click", () => this.onPick(way.name, k));
        dot.addEventListener("keydown", (event) => this.onDotKey(event, svg, methods, i, k));
        dot.addEventListener("focus", () => this.onOnly(i));
        dot.addEventListener("blur", () => this.onOnly(-1));
        svg.append(dot);
      });
    });
    return svg;
  }

  /** A chart is one stop of the Tab key: arrows go along a way and from one method to the next. */
  onDotKey(event, svg, methods, i, k) {
    const last = methods[i].asked.length - 1;
    const other = (to) => {
      const asked = methods[to].asked.map((v) => Math.abs(v - methods[i].asked[k]));
      return [to, asked.indexOf(Math.min(...asked))];
    };
    const ways = {
      ArrowLeft: () => [i, Math.max(0, k - 1)], ArrowRight: () => [i, Math.min(last, k + 1)],
      Home: () => [i, 0], End: () => [i, last],
      ArrowUp: () => other(Math.max(0, i - 1)), ArrowDown: () => other(Math.min(methods.length - 1, i + 1)),
    };
    if (event.key === "Enter" || event.key === " ") this.onPick(methods[i].name, k);
    else if (event.key in ways) {
      const [method, step] = ways[event.key]();
      const next = svg.querySelector(`[data-method="${method}"][data-step="${step}"]`);
      event.target.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    } else return;
    event.preventDefault();
  }
}
