// FaceEditor: before and after, sliders, and the receipt. It draws and asks; the kernel does the rest.

class FaceEditorView {
  constructor(model) {
    this.model = model;
    this.schema = model.get("schema");
    this.t = t;
    this.shown = 0;
    this.comparing = false;
    this.link = new Link(model, (silent) => this.showSilence(silent));
    this.before = new PictureView("before", t("before_description"));
    this.after = new PictureView("after", t("after_description"));
    this.before.caption.textContent = t("before");
    this.after.caption.textContent = t("after");
    this.queue = {
      before: new PictureQueue((source, picture) => this.showBefore(source, picture)),
      after: new PictureQueue((source, picture) => this.showAfter(source, picture)),
    };
    this.controls = new Controls(
      this.schema, t,
      (targets, gesture, settled) => this.ask({ kind: "targets", targets, gesture }, !settled),
      (names, on) => this.ask({ kind: "hold", names, on }),
    );
    this.scope = new ScopeMenu(this.schema, t, (scope) => this.ask({ kind: "scope", ...scope }));
    this.psiGesture = 0;
    this.receipt = new ReceiptView(this.schema, t);
    // What does not change the picture is no part of its line: nothing waits for it.
    const ask = (message, aside = false) => (aside ? this.askAside(message) : this.ask(message));
    this.panels = {
      history: new HistoryPanel(t, ask),
      recipe: new RecipePanel(t, ask, () => (this.face === "" ? "face" : `face-${this.face}`)),
      presets: new PresetPanel(t, ask),
      pair: new PairPanel(t, ask),
      many: new ManyPanel(t, ask),
    };
    const named = Object.entries(this.panels).map(([name, view]) => ({ name, view }));
    this.tabs = new Tabs(t, [{ name: "moved", view: this.receipt }, ...named]);
    this.timing = h("p", { class: "l2l-timing" });
    this.errorLine = h("p", { class: "l2l-message l2l-error", role: "alert" });
    this.saved = h("div", { class: "l2l-saved", hidden: true });
    this.element = this.layOut();
    this.listen();
    for (const name of FaceEditorView.TRAITS) this.sync(name);
  }

  /** Send what will change the picture: from now on the numbers belong to an older one. */
  ask(message, continuous = false) {
    this.receipt.setStale(this.t("measuring"));
    this.link.post(message, continuous);
  }

  /** Send what changes no picture; where an answer comes at once, its absence tells that the kernel is gone. */
  askAside(message) {
    sendQuietly(this.model, message);
    if (!FaceEditorView.ANSWERED_AT_ONCE.includes(message.kind)) return;
    clearTimeout(this.unanswered);
    this.unanswered = setTimeout(() => this.showSilence(true), Link.PATIENCE);
  }

  layOut() {
    const stage = h(
      "div",
      { class: "l2l-stage" },
      h("div", { class: "l2l-pictures" }, this.before.element, this.after.element),
      this.makeActions(),
    );
    return h(
      "div",
      { class: "l2l l2l-editor l2l-face-editor" },
      h(
        "div",
        { class: "l2l-frame-of-editor" },
        this.makeFaceBar(),
        h(
          "div",
          { class: "l2l-columns" },
          stage,
          h("div", { class: "l2l-side" }, this.controls.element),
          h("div", { class: "l2l-below" }, this.errorLine, this.tabs.element),
        ),
        this.receipt.spoken,
      ),
    );
  }

  makeFaceBar() {
    const { t } = this;
    const { seed_max: largest, psi, methods } = this.schema;
    this.seed = h("input", {
      type: "number", class: "l2l-seed", min: 0, max: largest, step: 1, "aria-label": t("seed"),
      title: t("seed_title"),
      onchange: () => this.setSeed(this.seed.value),
      // Not every way to fill a field in is followed by a change event; Enter always means "take it".
      onkeydown: (event) => event.key === "Enter" && this.setSeed(this.seed.value),
    });
    this.psi = h("input", {
      type: "range", class: "l2l-psi", min: psi.low, max: psi.high, step: 0.05,
      "aria-label": t("truncation"),
      oninput: () => this.setPsi(false),
      onchange: () => this.setPsi(true),
    });
    this.psiText = h("output", { class: "l2l-value" });
    this.method = h("select", {
      class: "l2l-method", onchange: () => this.ask({ kind: "method", method: this.method.value }),
    }, ...methods.map((name) => h("option", { value: name }, name)));
    const field = (text, title, ...inputs) =>
      h("label", { class: "l2l-field", title }, h("span", {}, text), ...inputs);
    return h(
      "div",
      { class: "l2l-facebar", role: "group", "aria-label": t("face") },
      field(t("seed"), t("seed_title"), this.seed),
      button(t("new_face"), "dice", () => this.newFace()),
      field(t("variety"), t("variety_title"), this.psi, this.psiText),
      methods.length > 1 ? field(t("method"), t("method_title"), this.method) : null,
      methods.length ? this.scope.element : null,
      this.timing,
      this.makeKeys(),
    );
  }

  /** What the keyboard can do, behind a question mark. */
  makeKeys() {
    const { t } = this;
    const list = [["\u2190 \u2192", "key_arrows"], [t("del_key"), "key_delete"], ["L", "key_l"], ["B", "key_b"],
      [t("undo_keys"), "key_undo"], ["/", "key_search"], ["N", "key_n"], ["H", "key_h"], [t("esc_key"), "key_esc"]];
    const menu = h("div", { class: "l2l-menu l2l-keys", role: "note", hidden: true },
      ...list.flatMap(([key, text]) => [h("span", {}, h("kbd", {}, key)), h("span", {}, t(text))]));
    this.keys = {
      menu,
      button: h("button", {
        type: "button", class: "l2l-button l2l-keys-button", title: t("keys_title"), "aria-label": t("keys_title"),
        "aria-expanded": "false", onclick: () => this.showKeys(menu.hidden),
      }, "?"),
    };
    return h("div", { class: "l2l-scope" }, this.keys.button, menu);
  }

  showKeys(open) {
    this.keys.menu.hidden = !open;
    this.keys.button.setAttribute("aria-expanded", String(open));
  }

  newFace() {
    this.setSeed(Math.floor(Math.random() * 10000));
  }

  makeActions() {
    const { t } = this;
    const act = (kind) => button(t(kind), kind, () => this.ask({ kind }), { title: t(`${kind}_title`) });
    [this.undo, this.redo, this.reset] = ["undo", "redo", "reset"].map(act);
    this.compare = button(t("compare"), "compare", null, { title: t("compare_title"), "aria-pressed": "false" });
    const save = button(t("save"), "save", () => this.link.post({ kind: "save" }), {
      class: "l2l-button l2l-save",
      title: t("save_title"),
    });
    return h(
      "div", { class: "l2l-actions", role: "group", "aria-label": t("edit") },
      this.undo, this.redo, this.reset, this.compare, this.saved, save,
    );
  }

  listen() {
    this.handlers = FaceEditorView.TRAITS.map((name) => [`change:${name}`, () => this.sync(name)]);
    this.handlers.push(["msg:custom", (content, buffers) => this.hear(content, buffers)]);
    for (const [event, handler] of this.handlers) this.model.on(event, handler);
    this.element.addEventListener("pointerdown", (event) => {
      if (!this.scope.element.contains(event.target)) this.scope.toggle(false);
      if (!this.keys.button.parentElement.contains(event.target)) this.showKeys(false);
    });
    for (const target of [this.compare, this.after.frame]) {
      target.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        target.setPointerCapture(event.pointerId);
        this.setComparing("pointer");
      });
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
        target.addEventListener(end, () => this.setComparing(false));
      }
    }
    this.element.addEventListener("keydown", (event) => this.onKey(event, true));
    this.element.addEventListener("keyup", (event) => this.onKey(event, false));
    // A key that is let go in another window is never heard of.
    this.element.addEventListener("focusout", () => this.comparing === "key" && this.setComparing(false));
  }

  onKey(event, down) {
    const key = event.key.toLowerCase();
    const onCompare = event.target === this.compare && (key === " " || key === "enter");
    if (onCompare || (key === "b" && !event.ctrlKey && !event.metaKey && !isTyping(event.target))) {
      this.setComparing(down && "key");
      event.preventDefault();
    } else if (down && key === "escape") {
      this.dismiss();
    } else if (down && !event.ctrlKey && !event.metaKey && !event.altKey && !isTyping(event.target)) {
      if (this.onLetter(key, event.target)) event.preventDefault();
    } else if (down && (event.ctrlKey || event.metaKey) && !isTyping(event.target)) {
      if (key === "z") this.ask({ kind: event.shiftKey ? "redo" : "undo" });
      else if (key === "y") this.ask({ kind: "redo" });
      else return;
      event.preventDefault();
    }
  }

  /** Single letters, wherever the focus is but in a text; whether the letter meant something. */
  onLetter(key, target) {
    const name = target.closest?.(".l2l-row, .l2l-option")?.dataset.attribute;
    if (key === "l" && name) {
      const { row, lock, input, element } = this.controls.rows.get(name);
      this.controls.hold([row]);
      const asks = input ?? element;
      (asks.disabled ? lock : asks).focus(); // what is held is disabled, and would lose the focus
    } else if (key === "/") this.controls.search.focus();
    else if (key === "n") this.newFace();
    else if (key === "h") this.tabs.chooseName(this.tabs.name === "history" ? "moved" : "history");
    else if (key === "?") this.showKeys(this.keys.menu.hidden);
    else return false;
    return true;
  }

  /** Close what is open, the innermost first. */
  dismiss() {
    if (this.scope.open) this.scope.dismiss();
    else if (!this.keys.menu.hidden) this.showKeys(false);
    else if (!this.saved.hidden) this.saved.hidden = true;
    else if (this.tabs.name !== "moved") this.tabs.chooseName("moved");
  }

  /** An answer to a panel that asked. */
  hear(content, buffers) {
    clearTimeout(this.unanswered);
    if (this.link.settled) this.showSilence(false);
    this.panels[content.type]?.show(content, buffers ?? []);
  }

  setSeed(text) {
    // The kernel judges the number, so that a wrong one is refused in the same words everywhere.
    const seed = /^\d+$/.test(String(text).trim()) ? Number(text) : String(text);
    if (seed === this.seedAsked) return;
    this.seedAsked = seed;
    this.ask({ kind: "seed", seed });
  }

  setPsi(settled) {
    const psi = Number(this.psi.value);
    this.psiText.textContent = this.decimal(psi);
    this.ask({ kind: "truncation", psi, gesture: `psi${this.psiGesture}` }, !settled);
    if (settled) this.psiGesture += 1;
  }

  decimal(number) {
    return fixed(number, 2);
  }

  /** `how` is what holds the comparison up, "pointer" or "key", or false. */
  setComparing(how) {
    if (this.comparing === how) return;
    this.comparing = how;
    const on = Boolean(how);
    this.compare.setAttribute("aria-pressed", String(on));
    this.element.classList.toggle("l2l-comparing", on);
    this.after.caption.textContent = this.t(on ? "before_held" : "after");
    const source = on ? this.before.source : this.edited;
    if (source) this.after.show(source);
  }

  sync(name) {
    const value = this.model.get(name);
    if (!value || !Object.keys(value).length) return;
    if (name === "reach") return this.controls.setReach(value);
    if (name === "many") this.panels.many.update(value);
    else if (name === "before" || name === "after") this.queue[name].push(value);
    else if (name === "abilities") {
      this.controls.setAbilities(value);
      this.scope.setSpaces(value.spaces);
    }
    else if (name === "settings") this.showSettings(value);
    else if (name === "receipt") this.showReceipt(value);
    else this.showNotice(value);
  }

  showSettings(settings) {
    this.controls.update(settings, this.link.settled);
    this.scope.update(settings);
    if (this.link.settled) {
      this.seed.value = settings.seed;
      this.seedAsked = settings.seed;
    }
    this.psi.value = settings.psi;
    this.psiText.textContent = this.decimal(settings.psi);
    this.method.value = settings.method;
    this.undo.disabled = !settings.can_undo;
    this.redo.disabled = !settings.can_redo;
    this.reset.disabled = !settings.can_reset;
    this.refreshPanel();
  }

  /** What an open panel shows of an older state is asked for again when the hand rests. */
  refreshPanel() {
    clearTimeout(this.refreshing);
    if (!["history", "recipe"].includes(this.tabs.name)) return;
    this.refreshing = setTimeout(() => this.tabs.refresh(), 200);
  }

  showBefore(source, picture) {
    this.before.show(source);
    this.faces = (this.faces ?? 0) + 1;
    this.face = picture.seed ?? "";
    const { seed } = picture;
    this.before.caption.textContent = seed === null ? this.t("before") : this.t("before_face", { face: seed });
    if (this.comparing) this.after.show(source);
  }

  showAfter(source, picture) {
    // Without a source the request was refused: the last picture stays up.
    this.edited = source ?? this.edited;
    if (source && !this.comparing) this.after.show(source);
    this.stamp = picture.stamp;
    this.showError(picture.error);
    this.milliseconds = Math.round(1000 * (picture.seconds?.total ?? 0));
    this.showTiming(this.t("picture_ms", { ms: this.milliseconds }));
    this.receipt.setStale(this.t(picture.error ? "last_picture" : "measuring"));
    if (picture.stamp !== this.savedStamp) this.saved.hidden = true;
    this.link.acknowledge(picture.answers);
    this.element.dataset.stamp = picture.stamp;
    this.element.dispatchEvent(new CustomEvent("l2l-picture", { bubbles: true, detail: picture.stamp }));
  }

  showReceipt(receipt) {
    // A receipt may overtake nothing: it counts only for the picture that is up.
    if (receipt.stamp < this.stamp) return;
    this.receipt.update(receipt, this.faces);
    this.controls.setCame(receipt.achieved ?? {}, receipt.shortfalls ?? [], receipt.slipped ?? {});
    this.element.dataset.receipt = receipt.stamp;
    const milliseconds = Math.round(1000 * (receipt.seconds?.total ?? 0));
    this.showTiming(this.t("both_ms", { ms: this.milliseconds, receipt: milliseconds }));
  }

  showTiming(text) {
    this.timing.textContent = this.timing.title = text;
  }

  showError(error) {
    this.errorLine.textContent = error ?? "";
    this.element.classList.toggle("l2l-has-error", Boolean(error));
  }

  showSilence(silent) {
    if (silent) {
      this.showError(this.t("no_answer"));
      this.receipt.setStale(this.t("last_that_came"));
    } else if (this.errorLine.textContent === this.t("no_answer")) {
      this.showError(null);
    }
  }

  showNotice(notice) {
    this.link.acknowledge(notice.answers);
    if (notice.error) {
      this.showError(notice.error);
      this.seedAsked = this.seed.value = this.face; // the field names the face that is up
      this.receipt.restore();
      return;
    }
    const { t } = this;
    const close = h("button", {
      type: "button", class: "l2l-clear", "aria-label": t("close"),
      onclick: () => (this.saved.hidden = true),
    }, "\u00d7");
    this.saved.replaceChildren(
      h("p", { role: "status", title: notice.path },
        `${t("saved")} `, h("code", {}, notice.name), " ",
        h("span", { class: "l2l-help" }, t("saved_in", { folder: notice.folder }))),
      close,
    );
    this.saved.hidden = false;
    this.savedStamp = this.stamp;
  }

  dispose() {
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    clearTimeout(this.refreshing);
    clearTimeout(this.unanswered);
    const { history, pair } = this.panels;
    for (const part of [this.before, this.after, this.link, history, pair]) part.dispose();
  }
}

FaceEditorView.ANSWERED_AT_ONCE = ["history", "text", "presets"];
FaceEditorView.TRAITS = ["abilities", "settings", "reach", "before", "after", "receipt", "notice", "many"];

export default { render: (context) => renderView(FaceEditorView, context) };
