// Gallery: a filter, faces in pages as they are found, and a click that loads one everywhere.

const ENDED = () => ({
  stopped: t("stopped"),
  "last seed": t("that_was_the_last_seed"),
});

class GalleryView {
  constructor(model) {
    this.model = model;
    this.schema = model.get("schema");
    this.message = new Message();
    this.link = new Link(model, (silent) => this.message.setSilence(silent));
    this.items = [];
    this.focused = 0;
    this.text = h("input", {
      type: "text", class: "l2l-filter", "aria-label": t("filter_in_words"), spellcheck: "false",
      // a teacher may have hidden what every example asks for
      placeholder: this.schema.examples.length ? t("every_face_try", { example: this.schema.examples[0] }) : t("every_face"),
      onkeydown: (event) => event.key === "Enter" && this.search(),
    });
    this.chips = new FilterChips(this.schema, (conditions) => this.ask({ kind: "conditions", conditions }));
    this.count = h("span", { class: "l2l-count-line" });
    this.saying = h("span", { class: "l2l-spoken", role: "status", "aria-live": "polite" });
    this.bar = h("progress", { max: 1, "aria-label": t("searching"), hidden: true });
    this.stop = button(t("stop"), "stop", () => this.link.post({ kind: "stop" }), { hidden: true });
    this.more = button(t("go_on"), "start", () => this.ask({ kind: "go on" }), { hidden: true });
    this.first = numberField(t("begin_with_seed"), { min: 0, max: this.schema.seed_max, step: 1, class: "l2l-seed" },
      (text) => this.ask({ kind: "first", seed: asSeed(text) }));
    this.back = button("", "back", () => this.turn(-1), {
      class: "l2l-button l2l-icon-button", "aria-label": t("page_before"), title: t("page_before_pageup"),
    });
    this.next = button("", "forward", () => this.turn(1), {
      class: "l2l-button l2l-icon-button", "aria-label": t("next_page"), title: t("next_page_pagedown"),
    });
    this.where = h("span", { class: "l2l-page-number" });
    this.grid = h("div", {
      class: "l2l-face-grid", role: "group", "aria-label": t("many_faces"), onkeydown: (event) => this.onKey(event),
      dataset: { none: t("no_face_like_that") },
    });
    this.home = new TakeHome(model, this.link);
    this.taken = h("span", { class: "l2l-soft" });
    this.takes = this.home.buttons(() => this.taken.textContent, () => ({ seed: this.offered }));
    this.element = this.layOut();
    this.makeCells(this.schema.page_size);
    this.handlers = GalleryView.TRAITS.map((name) => [`change:${name}`, () => this.sync(name)]);
    for (const [event, handler] of this.handlers) model.on(event, handler);
    for (const name of GalleryView.TRAITS) this.sync(name);
  }

  ask(message) {
    this.message.show(null);
    this.setSearching(true);
    this.link.post(message);
  }

  layOut() {
    const examples = this.schema.examples.map((text) => h("button", {
      type: "button", class: "l2l-example", onclick: () => { this.text.value = text; this.search(); },
    }, text));
    const find = button(t("find"), "find", () => this.search(), { class: "l2l-button l2l-primary" });
    const clear = button(t("every_face"), null, () => { this.text.value = ""; this.search(); });
    const words = h("div", { class: "l2l-barline" }, this.text, find, clear);
    return h("div", { class: "l2l l2l-gallery" },
      h("div", { class: "l2l-viewbar", hidden: !this.schema.can_filter }, words, this.message.element,
        h("div", { class: "l2l-barline" }, this.chips.element),
        h("div", { class: "l2l-barline l2l-examples", hidden: !examples.length }, h("span", { class: "l2l-soft" }, t("for_example")), ...examples)),
      this.grid,
      h("div", { class: "l2l-gallery-foot" }, this.back, this.where, this.next, this.bar, this.count, this.stop,
        this.more, this.saying,
        h("label", { class: "l2l-field l2l-first" }, h("span", {}, t("begin_with_seed")), this.first)),
      h("div", { class: "l2l-gallery-take", hidden: true }, this.taken, this.takes), this.home.element);
  }

  search() {
    this.ask({ kind: "filter", text: this.text.value });
  }

  turn(step) {
    const page = (this.model.get("settings").page ?? 0) + step;
    if (page < 0 || (step > 0 && this.next.disabled)) return;
    this.focused = 0;
    this.ask({ kind: "page", page });
  }

  makeCells(count) {
    this.views = Array.from({ length: count }, () => new PictureView("face", ""));
    this.queues = this.views.map((view) => new PictureQueue((source) => view.show(source)));
    this.cells = this.views.map((view, i) => {
      view.canvas.removeAttribute("role");
      view.canvas.setAttribute("aria-hidden", "true");
      const name = h("span", { class: "l2l-face-name" });
      const note = h("span", { class: "l2l-face-note" });
      const cell = h("button", {
        type: "button", class: "l2l-face", tabindex: -1, onclick: () => this.load(i), onfocus: () => this.setFocused(i),
        dataset: { loaded: `\u2713\u202f${t("loaded")}` },
      }, view.frame, name, note);
      return { cell, name, note };
    });
    this.grid.replaceChildren(...this.cells.map(({ cell }) => cell));
  }

  load(index) {
    const item = this.items[index];
    if (!item) return;
    this.focused = index;
    this.link.post({ kind: "load", seed: item.seed });
    this.sayLoaded(item.seed);
  }

  onKey(event) {
    const columns = this.columns();
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    const last = this.items.length - 1;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) this.focus(Math.max(0, Math.min(last, this.focused + steps[event.key])));
    else if (event.key === "Home") this.focus(0);
    else if (event.key === "End") this.focus(last);
    else if (event.key === "PageDown") this.turn(1);
    else if (event.key === "PageUp") this.turn(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  columns() {
    return getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
  }

  focus(index) {
    this.setFocused(index);
    this.cells[index]?.cell.focus();
  }

  setFocused(index) {
    this.focused = index;
    this.cells.forEach(({ cell }, i) => cell.setAttribute("tabindex", i === index ? 0 : -1));
  }

  sync(name) {
    const value = this.model.get(name);
    if (!value || !Object.keys(value).length) return;
    if (name === "settings") this.showSettings(value);
    else if (name === "page") this.showPage(value);
    else if (name === "loaded") {
      this.showLoaded();
      if (this.saidLoaded) this.sayLoaded(value.seed); // it is another one since, by another view
    }
    else this.showNotice(value);
  }

  showSettings(settings) {
    if (document.activeElement !== this.text) this.text.value = settings.text;
    this.chips.update(settings.conditions);
    this.first.put(settings.first);
    this.where.textContent = t("page", { number: settings.page + 1 });
    this.back.disabled = settings.page === 0;
    this.grid.setAttribute("aria-label", settings.canonical ? t("faces", { filter: settings.canonical }) : t("faces_all"));
  }

  showPage(page) {
    const searching = page.ended === "searching";
    this.items = page.items;
    this.cells.forEach(({ cell, name, note }, i) => {
      const item = page.items[i];
      cell.classList.toggle("l2l-blank", !item);
      cell.disabled = !item;
      if (!item) return;
      this.queues[i].push(item.picture);
      const readings = Object.entries(item.readings).map(([key, value]) => {
        const row = this.chips.row(key);
        return row ? [row.label, asValue(row, value)] : ["", ""];
      });
      const words = readings.map((pair) => pair.join(" "));
      name.textContent = `${item.seed}`;
      note.replaceChildren(...readings.map(([label, text]) => h("span", {}, `${label} `, h("b", {}, text))));
      cell.title = [t("seed_click_to_load_it", { seed: item.seed }), ...words].join("\n");
      cell.setAttribute("aria-label", [t("seed_titled", { seed: item.seed }), ...words].join(", "));
    });
    if (this.focused >= page.items.length) this.focused = 0;
    this.setFocused(this.focused);
    this.showLoaded();
    this.setSearching(searching);
    const filtered = this.model.get("settings").conditions?.length > 0;
    const share = page.seen ? ` (${precise((100 * page.found) / page.seen, 2)}\u202f%)` : "";
    const counts = filtered ? t("found_of_seen", { found: page.found, seen: page.seen }) + share : t("seen", { seen: page.seen });
    const limit = t("no_more_among_another_seeds", { limit: this.schema.limit });
    const ended = page.ended === "limit" ? limit : ENDED()[page.ended] ?? "";
    this.count.textContent = `${counts}. ${ended}`.trim();
    if (searching) this.bar.value = page.items.length / this.cells.length;
    else this.spoken(`${counts}. ${ended}`);
    this.next.disabled = page.ended !== "enough";
    this.more.hidden = searching || !["stopped", "limit"].includes(page.ended);
    this.grid.classList.toggle("l2l-none", !page.items.length && !searching);
    this.element.dataset.page = searching ? "" : page.stamp;
  }

  setSearching(on) {
    this.bar.hidden = this.stop.hidden = !on;
    if (on) this.more.hidden = true;
    else this.bar.value = 0;
  }

  showLoaded() {
    const { seed } = this.model.get("loaded");
    const at = this.items.findIndex((item) => item.seed === seed);
    this.items.forEach((_, i) => this.cells[i].cell.setAttribute("aria-pressed", String(i === at)));
    if (at >= 0 && !this.grid.contains(document.activeElement)) this.setFocused(at); // where Tab comes in
    // What is taken home is the face that is loaded; on another page than this one there is none.
    this.offered = this.items[at]?.seed;
    this.takes.parentElement.hidden = at < 0;
    this.taken.textContent = at < 0 ? "" : t("face_named", { seed });
    this.takes.rename();
  }

  sayLoaded(seed) {
    this.spoken(seed === null ? "" : t("seed_is_loaded_in_every", { seed }));
    this.saidLoaded = true;
  }

  spoken(text) {
    this.saidLoaded = false;
    if (this.saying.textContent !== text) this.saying.textContent = text;
  }

  showNotice(notice) {
    this.message.show(notice.error);
    if (notice.error) this.setSearching(false);
  }

  dispose() {
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    for (const part of [...this.views, this.home, this.link]) part.dispose();
  }
}

GalleryView.TRAITS = ["settings", "loaded", "page", "notice"];
ICONS.find = "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM13 13l4 4";
ICONS.back = "M12 5l-5 5 5 5";
ICONS.forward = "M8 5l5 5-5 5";

export default { render: (context) => renderView(GalleryView, context) };
