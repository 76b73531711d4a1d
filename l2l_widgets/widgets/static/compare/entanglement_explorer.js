// EntanglementExplorer: the matrix, the faces behind a cell, two methods against each other, trajectories.

class ExplorerView {
  constructor(model) {
    this.model = model;
    this.schema = model.get("schema");
    this.rows = new Map(this.schema.attributes.map((row) => [row.name, row]));
    this.link = new Link(model, (silent) => this.message.setSilence(silent));
    this.layer = "signed";
    this.said = h("p", { class: "l2l-said", role: "status", "aria-live": "polite" });
    this.message = new Message();
    this.grid = new LeakageGrid(this.rows, (edited, read) => this.open(edited, read), (text) => (this.said.textContent = text));
    this.home = new TakeHome(model, this.link);
    this.behind = new FacesBehind(this.rows, (seed, edited) => this.load(seed, edited), this.home);
    this.tracks = new TrajectoryPlot(this.rows, (edited, faces) => this.link.post({ kind: "trajectory", edited, faces }));
    this.element = this.layOut();
    this.handlers = ExplorerView.TRAITS.map((name) => [`change:${name}`, () => this.sync(name)]);
    for (const [event, handler] of this.handlers) model.on(event, handler);
    for (const name of ExplorerView.TRAITS) this.sync(name);
  }

  layOut() {
    this.tab = new Choice(t("view"), [["matrix", t("matrix")], ["tracks", t("trajectories")]], (value) => this.showTab(value));
    this.layers = new Choice(t("numbers"), [
      ["signed", t("what_moved"), t("mean_change_of_each_attribute")],
      ["world", t("the_worlds_own_slope"), t("how_much_the_attributes_differ")],
      ["against", t("other_method"), t("the_method_it_is_compared")],
      ["difference", t("difference"), t("the_other_method_minus_this")],
    ], (value) => this.showLayer(value));
    this.same = h("input", { type: "checkbox", onchange: () => this.draw() });
    const same = h("label", { class: "l2l-field", title: t("fewer_columns_larger_numbers_for") }, this.same,
      t("columns_as_rows"));
    this.key = this.makeKey();
    this.stamp = h("p", { class: "l2l-stamp l2l-gridstamp" });
    this.matrixPanel = h("section", { class: "l2l-matrixpanel" },
      h("div", { class: "l2l-layerbar" }, this.layers.element, same, this.key), this.grid.element,
      h("div", { class: "l2l-under" }, this.said, this.stamp), this.behind.element, this.home.element);
    return h("div", { class: "l2l l2l-explorer" }, this.makeBar(), this.message.element, this.matrixPanel, this.tracks.element);
  }

  makeBar() {
    this.method = h("select", { "aria-label": t("method"), onchange: () => this.choose() });
    this.against = h("select", { "aria-label": t("compare_with"), onchange: () => this.choose() });
    this.reader = h("select", { "aria-label": t("read_by_label"), onchange: () => this.choose() });
    this.fillChoices();
    // Not every way to fill a field in is followed by a change event; Enter always means "take it".
    const takes = { onchange: () => this.plan(), onkeydown: (event) => event.key === "Enter" && this.plan() };
    this.faces = h("input", { type: "number", min: 2, max: 4000, "aria-label": t("many_faces"), ...takes });
    this.seed = h("input", { type: "number", min: 0, max: 999, "aria-label": t("seed_of_the_faces"), ...takes });
    // Both texts have their room at once: what stands in the bar keeps its width when one takes the other's place.
    this.starts = [t("measure"), t("go_on")].map((text) => h("span", {}, text));
    const go = h("span", { class: "l2l-measuring" }, ...this.starts);
    this.start = button(go, "start", () => this.link.post({ kind: "start" }), { class: "l2l-button l2l-primary l2l-start" });
    this.stop = button(t("stop"), "stop", () => this.link.post({ kind: "stop" }), { class: "l2l-button l2l-stop" });
    this.bar = h("progress", { max: 1, value: 0, "aria-label": t("measured") });
    this.numbers = h("span", { class: "l2l-progress-text" });
    this.progress = h("div", { class: "l2l-progress" }, this.bar, this.numbers);
    const measuring = this.schema.editable ? [
      labelled(t("many_faces"), t("more_faces_narrower_intervals_from"), this.faces),
      labelled(t("seed"), t("which_faces"), this.seed), this.makePicker(),
      h("span", { class: "l2l-measuring" }, this.start, this.stop), this.progress,
    ] : [h("span", { class: "l2l-stamp" }, t("from_the_report", { report: this.schema.report }))];
    return h("div", { class: "l2l-panelbar" }, this.tab.element, labelled(t("method"), t("whose_edits"), this.method),
      labelled(t("compared_with"), t("another_method_on_the_same"), this.against),
      labelled(t("read_by"), t("the_judge_trained_nothing_the"), this.reader), ...measuring);
  }

  /** The methods of the models that draw now, and who reads their pictures. */
  fillChoices() {
    const { methods, readers } = this.model.get("schema");
    const words = { judge: t("judge"), judge_b: t("second_judge"), ensemble: t("training"), consensus: t("both") };
    this.reader.replaceChildren(...readers.map((value) => h("option", { value }, words[value])));
    const options = () => methods.map((m) => h("option", { value: m }, m));
    this.method.replaceChildren(...options());
    this.against.replaceChildren(h("option", { value: "" }, t("no_method")), ...options());
  }

  /** Which attributes are edited: a list of boxes behind a button. */
  makePicker() {
    this.boxes = new Map();
    const families = new Map();
    for (const row of this.schema.attributes) {
      const box = h("input", { type: "checkbox", value: row.name });
      this.boxes.set(row.name, box);
      if (!families.has(row.family)) families.set(row.family, []);
      families.get(row.family).push(h("label", { class: "l2l-pick" }, box, row.label));
    }
    const take = (names) => {
      for (const [name, box] of this.boxes) box.checked = names.includes(name);
    };
    this.pickText = h("summary", { class: "l2l-button" });
    const apply = button(t("use_these"), null, () => {
      this.picker.open = false;
      this.plan();
    }, { class: "l2l-button l2l-primary" });
    this.picker = h("details", { class: "l2l-picker" }, this.pickText, h("div", { class: "l2l-pickbox" },
      h("div", { class: "l2l-pickbar" },
        button(t("the_papers_eight"), null, () => take(this.schema.eight)),
        button(t("all"), null, () => take(this.schema.attributes.map((r) => r.name))),
        button(t("none"), null, () => take([])), apply),
      h("div", { class: "l2l-picklist" }, ...[...families].map(([name, boxes]) =>
        h("div", {}, h("strong", {}, name), ...boxes)))));
    this.picker.addEventListener("toggle", () => {
      // An output of a notebook cuts off what hangs out of it: the view is as tall as its open list.
      const [view, list] = [this.element, this.picker.lastElementChild].map((e) => e.getBoundingClientRect());
      this.element.style.minHeight = this.picker.open ? `${Math.ceil(list.bottom - view.top + 14)}px` : "";
    });
    this.picker.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.picker.open = false;
    });
    return this.picker;
  }

  makeKey() {
    this.scale = [h("span"), h("span")];
    return h("div", { class: "l2l-key", "aria-label": t("key") }, this.scale[0],
      h("span", { class: "l2l-key-ramp", "aria-hidden": "true" }), this.scale[1],
      h("span", { class: "l2l-key-item" }, h("span", { class: "l2l-cell l2l-hatched l2l-key-cell" }), t("undecided")),
      h("span", { class: "l2l-key-item" }, h("span", { class: "l2l-cell l2l-own l2l-key-cell" }), t("edited_itself")),
      h("span", { class: "l2l-key-item" }, t("numbers_of_each_scale_whichever")));
  }

  showTab(value) {
    this.matrixPanel.hidden = value !== "matrix";
    this.tracks.element.hidden = value !== "tracks";
    // The kernel follows no face for a tab that nobody has up; what is asked for is up.
    if (value === "matrix" || this.model.get("trajectory").edited) this.link.post({ kind: "tab", tab: value });
    else {
      const edited = this.grid.at?.split("/")[0] ?? this.model.get("settings").attributes[0];
      this.link.post({ kind: "trajectory", edited, faces: this.tracks.mode.value });
    }
  }

  showLayer(value) {
    this.layer = value;
    this.draw();
  }

  draw() {
    const own = this.model.get("matrix");
    const values = { signed: own, world: own, against: this.model.get("against"), difference: this.model.get("difference") }[this.layer];
    const words = {
      signed: this.emptyWords(),
      world: t("press_measure_the_populations_slopes"),
      against: t("no_row_of_the_other"),
      difference: t("no_row_of_both_methods"),
    }[this.layer];
    this.grid.update(values, this.layer === "world" ? "world" : "signed", words, this.same.checked);
    // What is not measured yet has no stamp; what is on its way is said in the place of the matrix.
    const stamped = values?.edited?.length ? values : null;
    this.stamp.replaceChildren(...(stamped?.preview ? [h("span", { class: "l2l-preview-mark" }, t("preview"))] : []),
      (stamped?.stamp ?? "").replace(`${t("preview")}, `, ""),
      ...(stamped?.first_look ? [h("span", { class: "l2l-firstlook" }, this.firstWords())] : []));
    const percent = Math.round(100 * (own.request ?? 0.3));
    this.scale[0].textContent = `\u2212${percent}\u202f%`;
    this.scale[1].textContent = `+${percent}\u202f%`;
    this.element.dataset.rows = own.edited?.length ?? 0;
  }

  /** What is said of numbers that nobody asked for. */
  firstWords() {
    const { first_look: on, first_done: done, first_total: total } = this.model.get("status");
    return on && done < total ? t("first_look_now", { done, total }) : t("first_look_done", this.model.get("settings"));
  }

  /** What stands in the place of the matrix before its first row is there. */
  emptyWords() {
    const { attributes, faces } = this.model.get("settings");
    const { first_look: on, first_done: done, first_total: total } = this.model.get("status");
    if (on && !this.waiting) return t("first_look_now", { done, total });
    if (this.waiting) return t("measuring_now", { waiting: this.waiting });
    return t("press_measure_rows_appear_here", { rows: attributes.length, faces });
  }

  showEmpty() {
    if (!this.model.get("matrix").edited?.length && this.layer === "signed") this.draw();
  }

  choose() {
    this.link.post({ kind: "show", method: this.method.value, against: this.against.value, reader: this.reader.value });
  }

  plan() {
    const attributes = [...this.boxes].filter(([, box]) => box.checked).map(([name]) => name);
    const whole = (input) => (/^\d+$/.test(input.value) ? Number(input.value) : input.value);
    this.link.post({ kind: "plan", faces: whole(this.faces), seed: whole(this.seed), attributes });
  }

  open(edited, read) {
    this.behind.waitFor(edited, read);
    this.link.post({ kind: "cell", edited, read });
  }

  load(seed, edited = false) {
    this.link.post({ kind: "load", seed, edited });
    this.said.textContent = t("face_is_loaded_in_every", { seed });
  }

  sync(name) {
    const value = this.model.get(name);
    if (name === "schema") this.fillChoices();
    else if (name === "status") this.showStatus(value);
    else if (name === "settings") this.showSettings(value);
    else if (name === "cell") this.showCell(value);
    else if (name === "trajectory") this.tracks.update(value, this.schema.columns);
    else this.draw();
  }

  showCell(cell) {
    this.behind.update(cell);
    this.grid.mark(cell?.edited ? `${cell.edited}/${cell.read}` : null);
  }

  showSettings(settings) {
    this.method.value = settings.method;
    this.against.value = settings.against;
    this.reader.value = settings.reader;
    const other = Boolean(settings.against);
    for (const key of ["against", "difference"]) this.layers.buttons.get(key).hidden = !other;
    this.layers.buttons.get("against").textContent = settings.against || t("other_method");
    if (!other && ["against", "difference"].includes(this.layer)) this.layers.choose("signed");
    this.tracks.setAttributes(settings.attributes);
    if (!this.schema.editable) return;
    if (document.activeElement !== this.faces) this.faces.value = settings.faces;
    if (document.activeElement !== this.seed) this.seed.value = settings.seed;
    const count = settings.attributes.length;
    const words = t(count === this.schema.attributes.length ? "all_attributes" : count === 1 ? "one_attribute_chosen" : "some_attributes", { count });
    this.pickText.textContent = words;
    if (!this.picker.open) for (const [name, box] of this.boxes) box.checked = settings.attributes.includes(name);
  }

  showStatus(status) {
    const busy = ["running", "paused"].includes(status.state);
    this.start.classList.toggle("l2l-absent", busy);
    this.stop.classList.toggle("l2l-absent", !busy);
    // What was stopped goes on, in its first row as well.
    const some = status.done < status.total && (status.done > 0 || status.state === "stopped");
    this.starts.forEach((text, i) => text.classList.toggle("l2l-absent", i !== Number(some)));
    this.bar.value = status.total ? status.done / status.total : 0;
    const left = asTimeLeft(status.seconds_left);
    const words = {
      paused: t("state_paused"), stopped: t("state_stopped"), failed: t("state_failed"), running: left,
    };
    const faces = status.faces_total ? t("many_progress", { done: status.faces, total: status.faces_total }) : "";
    this.numbers.textContent = [t("rows_done", { done: status.done, total: status.total }), faces, words[status.state]].filter(Boolean).join(" \u00b7 ");
    this.waiting = busy ? [status.doing, faces, left || t("how_long_it_takes_is")].filter(Boolean).join(" \u00b7 ") : "";
    this.showEmpty();
    const first = this.stamp.querySelector(".l2l-firstlook");
    if (first) first.textContent = this.firstWords();
    this.progress.title = status.state === "paused" ? t("paused_while_out_of_sight")
      : [t("of_rows", { done: status.done, total: status.total }), left, status.doing].filter(Boolean).join(", ");
    this.progress.classList.toggle("l2l-absent", status.state === "ready");
    this.message.show(status.error);
    this.element.dataset.state = status.state;
  }

  dispose() {
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    for (const part of [this.grid, this.behind, this.home, this.link]) part.dispose();
  }
}

/** Seconds in the words of somebody who waits. */
function asTimeLeft(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return t("many_left", { seconds: Math.max(1, Math.ceil(seconds)) });
  return t("min_left", { minutes: Math.ceil(seconds / 60) });
}

ExplorerView.TRAITS = ["schema", "settings", "status", "matrix", "against", "difference", "cell", "trajectory"];

export default { render: (context) => renderView(ExplorerView, context) };
