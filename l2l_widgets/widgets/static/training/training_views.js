// Parts of the monitor: the list of runs, the faces at a step, and the small matrix of what edits move.

// A sign beside each word: states are told apart without colour.
const STATES = {
  preparing: "\u25d4", running: "\u25b6", paused: "\u2016", finishing: "\u25d5", silent: "?",
  stopped: "\u25a0", finished: "\u2713", failed: "\u2717", died: "\u2020",
};

class RunList {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.element = h("ul", { class: "l2l-runs", "aria-label": t("runs") });
  }

  update(runs, shown) {
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.run : null;
    this.element.replaceChildren(...runs.map((run) => this.item(run, run.name === shown)));
    if (focused) this.element.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
  }

  item(run, chosen) {
    const share = run.steps ? Math.min(1, run.step / run.steps) : 0;
    const props = {
      type: "button", class: "l2l-run", "aria-current": chosen ? "true" : null,
      dataset: { run: run.name, state: run.state }, onclick: () => this.onSelect(run.name),
    };
    const state = h("span", { class: "l2l-state", dataset: { state: run.state } },
      h("span", { class: "l2l-sign", "aria-hidden": "true" }, STATES[run.state] ?? "?"), ` ${t(`state_${run.state}`)}`);
    const steps = run.steps ? t("of", { at: run.step, count: run.steps }) : "";
    const bar = h("span", { class: "l2l-share", "aria-hidden": "true" });
    bar.style.setProperty("--share", share);
    return h("li", {}, h("button", props,
      h("span", { class: "l2l-run-name" }, run.name),
      h("span", { class: "l2l-run-line" }, state, h("span", {}, steps)), bar));
  }
}

/** The same faces at any step that was looked at; a slider goes back through them. */
class FacesAtStep {
  constructor(onStep) {
    this.slider = h("input", {
      type: "range", min: 0, step: 1, "aria-label": t("step_of_the_faces"),
      oninput: () => {
        const last = Number(this.slider.value) === this.steps.length - 1;
        onStep(last ? null : this.steps[Number(this.slider.value)]);
      },
    });
    this.steps = [];
    this.at = h("span", { class: "l2l-at" });
    this.rows = h("div", { class: "l2l-rows" });
    this.queue = new PictureQueue((source, picture) => this.draw(source, picture));
    this.element = h("section", { class: "l2l-faces", "aria-label": t("many_faces") },
      h("div", { class: "l2l-scrub" }, h("h4", {}, t("the_same_faces")), this.slider, this.at), this.rows);
  }

  update(look) {
    this.element.hidden = !look.sheet;
    if (!look.sheet) return;
    this.steps = look.steps;
    this.slider.max = Math.max(1, look.steps.length - 1);
    this.slider.value = look.steps.indexOf(look.step);
    this.slider.disabled = look.steps.length < 2;
    this.at.textContent = t(look.follows ? "newest_step" : "step", { step: look.step });
    this.slider.setAttribute("aria-valuetext", this.at.textContent);
    this.queue.push({ ...look.sheet, look });
    this.element.dataset.step = look.step;
  }

  draw(sheet, { look }) {
    const shape = `${look.captions.join()}/${look.columns}`;
    if (shape !== this.shape) this.lay(look, shape);
    const [height, width] = look.side;
    this.canvases.forEach((row, r) => row.forEach((canvas, c) => {
      const side = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)) || 128;
      canvas.width = canvas.height = side;
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(sheet, c * (width + 2), r * (height + 2), width, height, 0, 0, side, side);
    }));
  }

  lay(look, shape) {
    this.shape = shape;
    this.canvases = look.captions.map((caption) => Array.from({ length: look.columns }, (_, c) =>
      h("canvas", { width: 1, height: 1, role: "img", "aria-label": t("face_of_row", { caption, number: c + 1 }) })));
    this.rows.replaceChildren(...look.captions.map((caption, r) =>
      h("div", { class: "l2l-facerow" }, h("span", { class: "l2l-row-caption" }, caption),
        ...this.canvases[r].map((canvas) => h("div", { class: "l2l-frame" }, canvas)))));
  }
}

/** Asked downwards, moved across: a number in each cell, its size as a disc, so that colour is not all. */
class LeakageView {
  constructor() {
    this.table = h("table", { class: "l2l-leakage" });
    this.element = h("section", { "aria-label": t("what_edits_move") },
      h("h4", {}, t("what_edits_move")), this.table,
      h("p", { class: "l2l-hint" },
        t("asked_in_rows")));
  }

  update(leakage, labels = {}) {
    const names = Object.keys(leakage ?? {});
    this.element.hidden = names.length < 2;
    if (this.element.hidden) return;
    const word = (name) => labels[name] ?? name;
    const head = h("tr", {}, h("td", {}), ...names.map((n) => h("th", { scope: "col" }, h("span", {}, word(n)))));
    const rows = names.map((asked) => h("tr", {}, h("th", { scope: "row" }, word(asked)),
      ...names.map((moved) => this.cell(leakage[asked][moved] ?? 0, asked === moved))));
    this.table.replaceChildren(h("thead", {}, head), h("tbody", {}, ...rows));
  }

  cell(value, wanted) {
    const text = `${value < 0 ? "\u2212" : "+"}${fixed(Math.abs(value), 2)}`;
    const cell = h("td", { class: wanted ? "l2l-wanted" : "l2l-leak" }, h("span", {}, text));
    cell.style.setProperty("--size", Math.min(1, Math.abs(value)).toFixed(3));
    return cell;
  }
}
