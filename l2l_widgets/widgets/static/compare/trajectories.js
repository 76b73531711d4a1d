// Trajectories: the change of every attribute over the strength of one edit; the farthest ones have names.

const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 4", "12 4"];
const HUES = ["#b35806", "#2166ac", "#1b7837", "#762a83", "#8c510a", "#01665e"];

class TrajectoryPlot {
  constructor(rows, onchoose) {
    this.rows = rows;
    this.edited = h("select", { "aria-label": t("edited_attribute"), onchange: () => onchoose(this.edited.value, this.mode.value) });
    this.mode = new Choice(t("many_faces"), [
      ["one", t("this_face"), t("the_face_that_is_loaded")],
      ["many", t("tab_many"), t("mean_over_the_studys_faces")],
    ], (value) => onchoose(this.edited.value, value));
    this.svg = s("svg", { class: "l2l-tracks", viewBox: "0 0 900 380", role: "img" });
    this.words = h("p", { class: "l2l-stamp", role: "status" });
    this.error = h("p", { class: "l2l-inline-error" });
    this.table = h("div", { class: "l2l-tracktable" });
    this.element = h("section", { class: "l2l-trackpanel", hidden: true },
      h("div", { class: "l2l-trackbar" }, labelled(t("edit"), t("what_is_asked_for_more"), this.edited),
        this.mode.element, this.words), this.error, this.svg);
  }

  setAttributes(names) {
    const kept = this.edited.value;
    const known = names.filter((n) => this.rows.has(n)); // others are of models to come
    this.edited.replaceChildren(...known.map((n) => h("option", { value: n }, this.rows.get(n).label)));
    if (names.includes(kept)) this.edited.value = kept;
  }

  update(found, names) {
    this.error.textContent = found?.error ?? "";
    if (!found?.strengths) return;
    this.edited.value = found.edited;
    const target = this.rows.get(found.edited);
    this.words.textContent = `${found.method} \u00b7 ${found.label}`;
    const columns = names.map((name, i) => ({ name, i, far: Math.max(...found.mean.map((r) => Math.abs(r[i]))) }))
      .filter(({ name }) => this.rows.has(name));
    const own = columns.find(({ name }) => name === found.edited);
    const others = columns.filter((c) => c !== own).sort((a, b) => b.far - a.far);
    const named = others.slice(0, 6);
    const most = Math.max(0.05, ...columns.map((c) => c.far), ...named.flatMap((c) => found.high.map((r) => Math.abs(r[c.i]))));
    const top = Math.ceil(10 * most - 1e-6) / 10; // a round number at the axis' ends
    const [left, right, floor, roof] = [58, 680, 334, 34];
    const ends = [found.strengths[0], found.strengths[found.strengths.length - 1]];
    const x = (v) => left + ((right - left) * (v - ends[0])) / (ends[1] - ends[0]);
    const y = (v) => (floor + roof) / 2 - ((floor - roof) / 2) * (v / top);
    const parts = [];
    const label = (px, py, text, anchor = "middle", extra = {}) =>
      parts.push(s("text", { x: px, y: py, "text-anchor": anchor, class: "l2l-tracktext", ...extra }, text));
    for (const share of [-1, -0.5, 0, 0.5, 1]) {
      parts.push(s("line", { x1: left, x2: right, y1: y(share * top), y2: y(share * top), class: share ? "l2l-track-grid" : "l2l-strip-axis" }));
      label(left - 8, y(share * top) + 4, `${share > 0 ? "+" : ""}${Math.round(100 * share * top)}`.replace("-", "\u2212"), "end");
    }
    for (const v of found.strengths) {
      parts.push(s("line", { x1: x(v), x2: x(v), y1: floor, y2: floor + 5, class: "l2l-strip-axis" }));
      label(x(v), floor + 20, asAmount(target, v).replace(/[.,]0(?!\d)/, ""));
    }
    label((left + right) / 2, floor + 42, t("label_asked_for", { label: target.label }));
    label(14, 16, t("change_read_by_the_judge"), "start");
    const line = (c) => found.strengths.map((v, k) => `${k ? "L" : "M"}${x(v).toFixed(1)} ${y(found.mean[k][c.i]).toFixed(1)}`).join("");
    for (const c of others.slice(6)) parts.push(s("path", { d: line(c), class: "l2l-track-faint" }));
    const lines = [...named.map((c, k) => [c, HUES[k], DASHES[k], 2]), ...(own ? [[own, "var(--ink)", "", 4]] : [])];
    for (const [c, colour] of found.faces > 1 ? lines : []) {
      const up = found.strengths.map((v, k) => `${k ? "L" : "M"}${x(v)} ${y(found.high[k][c.i])}`).join("");
      const down = found.strengths.map((v, k) => `L${x(v)} ${y(found.low[k][c.i])}`).reverse().join("");
      parts.push(s("path", { d: `${up}${down}Z`, fill: colour, class: "l2l-track-band" }));
    }
    for (const [c, colour, dash, width] of lines) {
      parts.push(s("path", { d: line(c), stroke: colour, "stroke-width": width, "stroke-dasharray": dash, class: "l2l-track", "data-attribute": c.name }));
    }
    this.nameLines(lines, found, y, right, label, parts);
    this.svg.replaceChildren(...parts);
    const said = lines.reverse().map(([c]) => `${this.rows.get(c.name).label} ${asHundredths(found.mean[found.mean.length - 1][c.i], "+") || "0"}`);
    this.svg.setAttribute("aria-label", t("at_the_largest_strength_in", { changes: said.join(", ") }));
    this.element.dataset.edited = found.edited;
    this.element.dataset.label = found.label;
  }

  /** Names at the right end, pushed apart so that none lies on another. */
  nameLines(lines, found, y, right, label, parts) {
    const last = found.mean[found.mean.length - 1];
    const spots = lines.map(([c, colour, dash]) => ({ c, colour, dash, at: y(last[c.i]) })).sort((a, b) => a.at - b.at);
    spots.forEach((spot, i) => { spot.put = Math.max(spot.at, i ? spots[i - 1].put + 19 : 18); });
    for (let i = spots.length - 1, floor = 338; i >= 0; i--, floor -= 19) spots[i].put = Math.min(spots[i].put, floor);
    for (const { c, colour, dash, at, put } of spots) {
      parts.push(s("path", { d: `M${right + 2} ${at}L${right + 18} ${put}H${right + 44}`, stroke: colour, "stroke-dasharray": dash, class: "l2l-track-lead" }));
      label(right + 50, put + 4, `${this.rows.get(c.name).label} ${asHundredths(last[c.i], "+") || "0"}`, "start",
        { "font-weight": c.name === found.edited ? 700 : 400 });
    }
  }
}
