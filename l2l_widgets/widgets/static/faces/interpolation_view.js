// InterpolationView: the strip, a cursor that follows the mouse, and the curves below it.

const USUAL_CURVES = 5;
const MAX_CURVES = 7;
const PLAY_MS = 160;

class WalkView {
  constructor(model) {
    this.model = model;
    this.schema = model.get("schema");
    this.cursor = 0;
    this.chosen = null; // names of the curves, once somebody has chosen
    this.sources = [];
    this.message = new Message();
    this.link = new Link(model, (silent) => this.message.setSilence(silent));
    const ask = (fields) => this.ask({ kind: "set", fields });
    this.bar = new WalkBar(this.schema, ask, () => this.ask({ kind: "swap" }));
    this.big = new PictureView("cursor", t("the_face_at_the_cursor"));
    this.big.caption.textContent = ""; // until there is a frame
    this.strip = h("div", {
      class: "l2l-strip", role: "slider", tabindex: 0, "aria-label": t("frame_of_the_walk"),
      "aria-valuemin": 1, "aria-orientation": "horizontal",
      onkeydown: (event) => this.onKey(event),
    });
    this.strip.dataset.lmSuppressShortcuts = "true";
    this.identity = new CurvePanel(t("identity_title"), 104, ([low]) => [
      [1, t("same")], ...(low < -0.25 ? [] : [[0.5, "50\u202f%"]]), [0, t("stranger")],
    ]);
    this.attributes = new CurvePanel(t("attributes"), 178, () => [[1, "100\u202f%"], [0.5, "50\u202f%"], [0, "0\u202f%"]]);
    this.line = h("div", { class: "l2l-cursor-line", "aria-hidden": "true" });
    this.saying = h("p", { class: "l2l-saying", role: "status", "aria-live": "polite" });
    this.add = h("select", { "aria-label": t("add_a_curve_label"), onchange: () => this.addCurve() });
    this.usual = button(t("largest_movers"), "reset", () => this.choose(null), {
      title: t("show_the_attributes_that_move"), disabled: true,
    });
    this.numbers = h("details", { class: "l2l-all-numbers" }, h("summary", {}, t("all_numbers_as_a_table")));
    this.numbers.addEventListener("toggle", () => this.fillTable());
    this.saved = h("p", { class: "l2l-saved-line", role: "status" });
    this.hint = h("span", { class: "l2l-hint" });
    this.element = this.layOut();
    this.add.append(h("option", { value: "" }, t("add_a_curve")));
    this.add.disabled = true;
    this.showHint(null); // room for what comes with the curves: the page must not jump then
    this.observer = new ResizeObserver(() => this.drawCurves());
    this.observer.observe(this.strip);
    this.listen();
    for (const name of WalkView.TRAITS) this.sync(name);
  }

  ask(message) {
    this.element.classList.add("l2l-waiting");
    this.link.post(message);
  }

  layOut() {
    this.play = button(t("play"), "start", () => this.togglePlay(), { title: t("let_the_cursor_run_space") });
    this.load = button(t("load_this_face"), "load", () => this.loadFrame(this.cursor), {
      class: "l2l-button l2l-primary", title: t("make_the_face_at_the"),
    });
    const save = h("div", { class: "l2l-save-row", role: "group", "aria-label": t("save_the_walk_as") },
      h("span", { class: "l2l-soft" }, t("save_as")),
      ...this.schema.formats.map((format) => button(format.toUpperCase(), null,
        () => this.link.post({ kind: "save", format }), {
          title: format === "png" ? t("the_strip_with_its_recipe") : t("a_moving_picture_there_and"),
        })));
    this.stage = h("div", {
      class: "l2l-walk-stage", onpointermove: (event) => this.followMouse(event),
    }, this.strip, this.identity.element, this.attributes.element, this.line);
    return h("div", { class: "l2l l2l-walk" },
      this.bar.element,
      h("div", { class: "l2l-walk-body" },
        h("div", { class: "l2l-walk-side" }, this.big.element,
          h("div", { class: "l2l-walk-actions" }, this.play, this.load), save, this.saved),
        h("div", { class: "l2l-walk-main" }, this.message.element, this.stage,
          h("div", { class: "l2l-walk-foot" }, this.add, this.usual, this.hint))),
      this.saying, this.numbers);
  }

  listen() {
    this.handlers = WalkView.TRAITS.map((name) => [`change:${name}`, () => this.sync(name)]);
    for (const [event, handler] of this.handlers) this.model.on(event, handler);
    this.strip.addEventListener("click", (event) => {
      const frame = event.target.closest("[data-frame]");
      if (frame) this.loadFrame(Number(frame.dataset.frame));
    });
  }

  sync(name) {
    const value = this.model.get(name);
    if (!value || !Object.keys(value).length) return;
    if (name === "settings") this.bar.update(value);
    else if (name === "frames") this.showFrames(value);
    else if (name === "curves") this.showCurves(value);
    else this.showNotice(value);
  }

  // -- frames ---------------------------------------------------------------------------------------

  showFrames(value) {
    const count = value.pictures.length;
    if (this.cells?.length !== count) this.makeCells(count);
    this.stamp = value.stamp;
    if (value.stamp !== this.measured) this.element.classList.add("l2l-stale");
    if (!this.current && !this.message.element.textContent) this.saying.textContent = t("measuring_step");
    value.pictures.forEach((picture, i) => picture && this.queues[i].push(picture));
    this.element.dataset.frames = value.done ? value.stamp : "";
    this.element.classList.toggle("l2l-waiting", !value.done);
  }

  makeCells(count) {
    for (const view of this.views ?? []) view.dispose();
    this.sources = Array(count).fill(null);
    this.views = Array.from({ length: count }, (_, i) => new PictureView("frame", t("frame", { number: i + 1 })));
    this.queues = this.views.map((view, i) => new PictureQueue((source) => {
      this.sources[i] = source;
      view.show(source);
      if (i === this.cursor) this.big.show(source);
    }));
    this.cells = this.views.map((view, i) =>
      h("div", { class: "l2l-strip-frame", dataset: { frame: i } }, view.frame, h("span", {}, String(i + 1))));
    this.strip.style.setProperty("--frames", count);
    this.strip.replaceChildren(...this.cells);
    if (!this.current) this.drawCurves();
    this.strip.setAttribute("aria-valuemax", count);
    this.setCursor(Math.min(this.cursor, count - 1));
  }

  // -- the cursor -----------------------------------------------------------------------------------

  followMouse(event) {
    if (!this.cells || event.target.closest("button")) return;
    const box = this.strip.getBoundingClientRect();
    if (event.clientX < box.left || event.clientX > box.right) return;
    const place = Math.floor(((event.clientX - box.left) / box.width) * this.cells.length);
    this.stopPlay();
    this.setCursor(Math.max(0, Math.min(this.cells.length - 1, place)));
  }

  onKey(event) {
    const last = (this.cells?.length ?? 1) - 1;
    const steps = {
      ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -last, End: last,
      PageUp: Math.ceil(last / 4), PageDown: -Math.ceil(last / 4),
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) this.setCursor(Math.max(0, Math.min(last, this.cursor + steps[event.key])));
    else if (event.key === "Enter") this.loadFrame(this.cursor);
    else if (event.key === " ") this.togglePlay();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  setCursor(frame) {
    this.cursor = frame;
    this.cells?.forEach((cell, i) => cell.classList.toggle("l2l-at", i === frame));
    if (this.sources[frame]) this.big.show(this.sources[frame]);
    this.placeCursor();
  }

  placeCursor() {
    const cell = this.cells?.[this.cursor];
    if (!cell) return;
    const left = cell.offsetLeft + cell.offsetWidth / 2;
    this.line.style.left = `${left}px`;
    this.line.style.top = `${this.strip.offsetTop + this.strip.offsetHeight}px`;
    this.identity.point(this.cursor);
    this.attributes.point(this.cursor);
    const where = t("frame_of", { number: this.cursor + 1, count: this.cells.length });
    this.big.caption.textContent = where;
    this.strip.setAttribute("aria-valuenow", this.cursor + 1);
    this.strip.setAttribute("aria-valuetext", [where, ...this.wordsAtCursor()].join(", "));
  }

  wordsAtCursor() {
    const curves = this.current;
    if (!curves) return [];
    const at = (name) => asValue(this.row(name), curves.attributes[name][this.cursor]);
    const words = this.names().map((name) => `${this.row(name).label} ${at(name)}`);
    const { first, last } = curves.identity;
    if (first) words.push(t("identity_as_the_first_face", { value: asShare(first[this.cursor]) }));
    if (last) words.push(t("as_the_last", { value: asShare(last[this.cursor]) }));
    return words;
  }

  togglePlay() {
    if (this.timer) return this.stopPlay();
    const last = (this.cells?.length ?? 1) - 1;
    let step = this.cursor >= last ? -1 : 1;
    this.play.querySelector("span").textContent = t("stop");
    this.timer = setInterval(() => {
      if (document.hidden) return;
      if (this.cursor + step < 0 || this.cursor + step > this.cells.length - 1) step = -step;
      this.setCursor(this.cursor + step);
    }, PLAY_MS);
  }

  stopPlay() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.querySelector("span").textContent = t("play");
  }

  loadFrame(frame) {
    this.setCursor(frame);
    this.link.post({ kind: "load", frame });
    this.saved.textContent = t("frame_is_loaded_in_every", { number: frame + 1 });
  }

  // -- curves ---------------------------------------------------------------------------------------

  showCurves(curves) {
    this.current = curves;
    this.measured = curves.stamp;
    if (curves.stamp === this.stamp) this.element.classList.remove("l2l-stale");
    this.element.dataset.curves = curves.stamp;
    this.saying.textContent = curves.sentences.join(" ");
    this.drawCurves();
    this.fillTable();
  }

  row(name) {
    return this.schema.rows.find((row) => row.name === name);
  }

  /** Which attributes have a curve: chosen ones, or what moves most, the swept one first. */
  names() {
    const curves = this.current;
    if (this.chosen) return this.chosen.filter((name) => name in curves.attributes);
    const { kind, attribute } = this.model.get("settings");
    const swept = kind === "attribute" && attribute in curves.attributes ? [attribute] : [];
    return [...swept, ...curves.ranked.filter((name) => !swept.includes(name))].slice(0, USUAL_CURVES);
  }

  choose(names) {
    this.chosen = names;
    this.usual.disabled = names === null;
    this.drawCurves();
  }

  addCurve() {
    if (this.add.value) this.choose([...this.names(), this.add.value].slice(-MAX_CURVES));
  }

  drawCurves() {
    const curves = this.current;
    const width = this.strip.clientWidth;
    if (!this.cells || width < 1) return this.placeCursor();
    if (!curves) {
      for (const panel of [this.identity, this.attributes]) panel.update([], [0, 1], this.cells.length, width);
      return this.placeCursor();
    }
    const names = this.names();
    const count = this.cells.length;
    const swept = this.model.get("settings").kind === "attribute" ? this.model.get("settings").attribute : null;
    if (Object.values(curves.attributes).every((values) => values.length === count)) {
      this.attributes.update(names.map((name) => ({
        name,
        label: this.row(name).label,
        values: curves.attributes[name],
        asked: name === swept ? curves.asked : null,
        text: (value) => asValue(this.row(name), value),
        remove: () => this.choose(names.filter((other) => other !== name)),
      })), [0, 1], count, width);
      const { first, last } = curves.identity;
      const other = this.model.get("settings").kind === "identity" ? t("like_the_other") : t("like_the_last");
      const ends = [[first, swept ? t("like_the_face") : t("like_the_first"), 0], [swept ? null : last, other, 1]];
      const lines = ends.filter(([values]) => values);
      this.identity.element.hidden = !lines.length;
      const low = Math.min(0, ...lines.flatMap(([values]) => values));
      this.identity.update(lines.map(([values, label, stroke]) => ({
        name: label, label, values, stroke, text: asShare,
      })), [low, 1], count, width);
    }
    const others = this.schema.rows.filter((row) => row.name in curves.attributes && !names.includes(row.name));
    this.add.replaceChildren(h("option", { value: "" }, t("add_a_curve")),
      ...others.map((row) => h("option", { value: row.name }, row.label)));
    this.add.disabled = names.length >= MAX_CURVES;
    this.showHint(swept);
    this.placeCursor();
  }

  showHint(swept) {
    this.hint.textContent = t("share_of_each_attributes_scale") +
      (swept ? t("broad_line_what_was_asked") : "") + t("click_a_frame_to_load");
  }

  fillTable() {
    if (!this.numbers.open || !this.current) return;
    const rows = this.schema.rows.filter((row) => row.name in this.current.attributes);
    this.numbers.querySelector("div")?.remove();
    this.numbers.append(h("div", {}, numbersTable(rows, this.current.attributes, this.current.identity,
      this.model.get("settings").kind === "attribute")));
  }

  showNotice(notice) {
    this.message.show(notice.error);
    if (notice.error) {
      if (!this.current) this.saying.textContent = "";
      this.element.classList.remove("l2l-waiting");
      this.bar.update(this.model.get("settings"));
      this.saved.textContent = "";
    }
    const path = notice.path ? [`${t("saved")} `, h("code", { title: notice.path }, notice.name), " "] : [];
    const next = notice.saving ? [t("writing", { format: notice.saving.toUpperCase() })] : [];
    if (path.length + next.length) this.saved.replaceChildren(...path, ...next);
  }

  dispose() {
    this.stopPlay();
    this.observer.disconnect();
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    for (const view of [this.big, ...(this.views ?? [])]) view.dispose();
    this.link.dispose();
  }
}

WalkView.TRAITS = ["settings", "frames", "curves", "notice"];

export default { render: (context) => renderView(WalkView, context) };
