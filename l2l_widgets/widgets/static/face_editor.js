// FaceEditor: before and after, sliders, and the receipt. It draws and asks; the kernel does the rest.

class FaceEditorView {
  constructor(model) {
    this.model = model;
    this.schema = model.get("schema");
    this.shown = 0;
    this.comparing = false;
    this.link = new Link(model, (silent) => this.showSilence(silent));
    this.before = new PictureView("before", "The face before the edit");
    this.after = new PictureView("after", "The face after the edit");
    this.queue = {
      before: new PictureQueue((source, picture) => this.showBefore(source, picture)),
      after: new PictureQueue((source, picture) => this.showAfter(source, picture)),
    };
    this.controls = new Controls(this.schema, (targets, gesture, settled) =>
      this.ask({ kind: "targets", targets, gesture }, !settled),
    );
    this.psiGesture = 0;
    this.receipt = new ReceiptView(this.schema);
    this.timing = h("p", { class: "l2l-timing" });
    this.saved = h("div", { class: "l2l-saved", hidden: true });
    this.element = this.layOut();
    this.listen();
    for (const name of FaceEditorView.TRAITS) this.sync(name);
  }

  /** Send what will change the picture: from now on the numbers belong to an older one. */
  ask(message, continuous = false) {
    this.receipt.setStale("Measuring\u2026");
    this.link.post(message, continuous);
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
      { class: "l2l-editor" },
      h(
        "div",
        { class: "l2l-frame-of-editor" },
        this.makeFaceBar(),
        h(
          "div",
          { class: "l2l-columns" },
          stage,
          h("div", { class: "l2l-side" }, this.controls.element),
          h("div", { class: "l2l-below" }, this.receipt.element, this.saved),
        ),
      ),
    );
  }

  makeFaceBar() {
    const { seed_max: largest, psi, methods } = this.schema;
    this.seed = h("input", {
      type: "number", class: "l2l-seed", min: 0, max: largest, step: 1, "aria-label": "Seed",
      title: "The same number is always the same face",
      onchange: () => this.setSeed(this.seed.value),
      // Not every way to fill a field in is followed by a change event; Enter always means "take it".
      onkeydown: (event) => event.key === "Enter" && this.setSeed(this.seed.value),
    });
    this.psi = h("input", {
      type: "range", class: "l2l-psi", min: psi.low, max: psi.high, step: 0.05,
      "aria-label": "Truncation",
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
      { class: "l2l-facebar", role: "group", "aria-label": "Face" },
      field("Seed", "The same number is always the same face", this.seed),
      button("New face", "dice", () => this.setSeed(Math.floor(Math.random() * 10000))),
      field("Variety", "Truncation psi: 0 is the average face, 1 the full variety", this.psi, this.psiText),
      methods.length > 1 ? field("Method", "Which editor answers the sliders", this.method) : null,
      this.timing,
    );
  }

  makeActions() {
    this.undo = button("Undo", "undo", () => this.ask({ kind: "undo" }), { title: "Undo (Ctrl+Z)" });
    this.redo = button("Redo", "redo", () => this.ask({ kind: "redo" }), { title: "Redo (Ctrl+Y)" });
    this.reset = button("Reset", "reset", () => this.ask({ kind: "reset" }), {
      title: "Take all edits back; the face stays",
    });
    const title = "Compare: hold to see the face before the edit (key B, or press on the picture)";
    this.compare = button("Compare", "compare", null, { title, "aria-pressed": "false" });
    const save = button("Save", "save", () => this.link.post({ kind: "save" }), {
      class: "l2l-button l2l-save",
      title: "Write the picture beside the notebook, with the recipe in it",
    });
    return h(
      "div", { class: "l2l-actions", role: "group", "aria-label": "Edit" },
      this.undo, this.redo, this.reset, this.compare, save,
    );
  }

  listen() {
    this.handlers = FaceEditorView.TRAITS.map((name) => [`change:${name}`, () => this.sync(name)]);
    for (const [event, handler] of this.handlers) this.model.on(event, handler);
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
    } else if (down && (event.ctrlKey || event.metaKey) && !isTyping(event.target)) {
      if (key === "z") this.ask({ kind: event.shiftKey ? "redo" : "undo" });
      else if (key === "y") this.ask({ kind: "redo" });
      else if (key === "s") this.handOn(event);
      else return;
      event.preventDefault();
    }
  }

  /** Give a key to the notebook, which never hears of those pressed on a control: see `elements.js`. */
  handOn(event) {
    const { key, code, keyCode, ctrlKey, metaKey, shiftKey, altKey } = event;
    const keys = { key, code, keyCode, ctrlKey, metaKey, shiftKey, altKey };
    const outside = this.element.parentElement ?? document.body;
    outside.dispatchEvent(new KeyboardEvent("keydown", { ...keys, bubbles: true, cancelable: true }));
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
    this.psiText.textContent = psi.toFixed(2);
    this.ask({ kind: "truncation", psi, gesture: `psi${this.psiGesture}` }, !settled);
    if (settled) this.psiGesture += 1;
  }

  /** `how` is what holds the comparison up, "pointer" or "key", or false. */
  setComparing(how) {
    if (this.comparing === how) return;
    this.comparing = how;
    const on = Boolean(how);
    this.compare.setAttribute("aria-pressed", String(on));
    this.element.classList.toggle("l2l-comparing", on);
    this.after.caption.textContent = on ? "before (held)" : "after";
    const source = on ? this.before.source : this.edited;
    if (source) this.after.show(source);
  }

  sync(name) {
    const value = this.model.get(name);
    if (!value || !Object.keys(value).length) return;
    if (name === "before" || name === "after") this.queue[name].push(value);
    else if (name === "abilities") this.controls.setAbilities(value);
    else if (name === "settings") this.showSettings(value);
    else if (name === "receipt") this.showReceipt(value);
    else this.showNotice(value);
  }

  showSettings(settings) {
    this.controls.update(settings, this.link.idle);
    if (this.link.idle) {
      this.seed.value = settings.seed;
      this.seedAsked = settings.seed;
    }
    this.psi.value = settings.psi;
    this.psiText.textContent = settings.psi.toFixed(2);
    this.method.value = settings.method;
    this.undo.disabled = !settings.can_undo;
    this.redo.disabled = !settings.can_redo;
    this.reset.disabled = !Object.keys({ ...settings.targets, ...settings.aside }).length;
  }

  showBefore(source, picture) {
    this.before.show(source);
    this.face = picture.seed ?? "";
    const face = picture.seed === null ? "" : ` \u00b7 face ${picture.seed}`;
    this.before.caption.textContent = `before${face}`;
    if (this.comparing) this.after.show(source);
  }

  showAfter(source, picture) {
    // Without a source the request was refused: the last picture stays up.
    this.edited = source ?? this.edited;
    if (source && !this.comparing) this.after.show(source);
    this.stamp = picture.stamp;
    this.showError(picture.error);
    this.milliseconds = Math.round(1000 * (picture.seconds?.total ?? 0));
    this.showTiming(`picture ${this.milliseconds} ms`);
    this.receipt.setStale(picture.error
      ? "Nothing was measured: the picture is the last one that could be drawn."
      : "Measuring\u2026");
    if (picture.stamp !== this.savedStamp) this.saved.hidden = true;
    this.link.acknowledge(picture.answers);
    this.element.dataset.stamp = picture.stamp;
    this.element.dispatchEvent(new CustomEvent("l2l-picture", { bubbles: true, detail: picture.stamp }));
  }

  showReceipt(receipt) {
    // A receipt may overtake nothing: it counts only for the picture that is up.
    if (receipt.stamp < this.stamp) return;
    this.receipt.update(receipt);
    const came = (name) => [name, receipt.achieved[name]];
    this.controls.setShort(Object.fromEntries((receipt.shortfalls ?? []).map(came)));
    this.element.dataset.receipt = receipt.stamp;
    const milliseconds = Math.round(1000 * (receipt.seconds?.total ?? 0));
    this.showTiming(`picture ${this.milliseconds} ms \u00b7 receipt ${milliseconds} ms`);
  }

  showTiming(text) {
    this.timing.textContent = this.timing.title = text;
  }

  showError(error) {
    this.receipt.message.textContent = error ?? "";
    this.element.classList.toggle("l2l-has-error", Boolean(error));
  }

  showSilence(silent) {
    if (silent) {
      this.showError(
        "The kernel does not answer: it is busy with a cell, or it was stopped or restarted. " +
        "If so, choose Run \u2192 Run All Cells.",
      );
      this.receipt.setStale("Nothing was measured: the picture is the last one that came.");
    } else if (this.receipt.message.textContent.startsWith("The kernel does not answer")) {
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
    const text = h("textarea", { readonly: true, rows: 8, "aria-label": "Recipe" });
    text.value = notice.recipe;
    const copy = button("Copy recipe", "copy", async () => {
      // Where the page may not use the clipboard, the text is selected for Ctrl+C.
      text.closest("details").open = true;
      text.select();
      const done = await navigator.clipboard?.writeText(text.value).then(() => true, () => false);
      copy.querySelector("span").textContent = done ? "Copied" : "Press Ctrl+C";
    });
    const close = h("button", {
      type: "button", class: "l2l-clear", "aria-label": "Close",
      onclick: () => (this.saved.hidden = true),
    }, "\u00d7");
    this.saved.replaceChildren(
      h("p", { role: "status" }, "Saved ", h("code", { title: notice.path }, notice.name),
        ` in ${notice.folder}`, close),
      h("details", {}, h("summary", {}, "Recipe"), text, copy),
    );
    this.saved.hidden = false;
    this.savedStamp = this.stamp;
  }

  dispose() {
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    for (const part of [this.before, this.after, this.link]) part.dispose();
  }
}

FaceEditorView.TRAITS = ["abilities", "settings", "before", "after", "receipt", "notice"];

function render({ model, el }) {
  const view = new FaceEditorView(model);
  // The still that stands in where there is no kernel; gone with this view, when there is none again.
  const still = `img[alt*="${model.get("schema").still}"]`;
  const hide = `${still}, .jp-OutputArea-child:has(${still}) { display: none !important; }`;
  el.append(h("style", {}, hide), view.element);
  return () => view.dispose();
}

export default { render };
