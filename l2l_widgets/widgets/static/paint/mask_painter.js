// MaskPainter: a mask with its brushes, and beside it the face that comes of it.

class MaskPainterView {
  constructor(model) {
    this.model = model;
    this.schema = model.get("schema");
    this.link = new Link(model, (silent) => this.showSilence(silent));
    this.canvas = new MaskCanvas(this.schema, {
      operation: (operation, gesture, settled) =>
        this.link.post({ kind: "operation", operation, gesture }, !settled),
      cancel: (gesture) => this.link.post({ kind: "cancel", gesture }),
      pick: (label) => this.choose(label),
      under: (label) => this.palette.hover(label),
      status: (text) => (this.status.textContent = text),
      zoom: (zoom) => this.tools.showZoom(zoom),
    });
    this.palette = new Palette(this.schema, (label) => this.choose(label));
    this.tools = new ToolBar(this.schema, this.canvas, {
      tool: (tool) => this.setTool(tool),
      size: (size) => this.setSize(size),
      opacity: (share) => this.canvas.setOpacity(share),
      zoom: (by) => this.canvas.setZoom(this.canvas.zoom * by),
      scale: (by) => this.canvas.scalePart(by),
    });
    this.drawn = new PictureView("result", t("the_face_that_the_mask"));
    this.drawn.caption.textContent = t("result");
    this.queue = new PictureQueue((source, picture) => this.showResult(source, picture));
    this.status = h("p", { class: "l2l-status", role: "status" });
    this.message = h("p", { class: "l2l-message", role: "alert" });
    const takeAs = (text, order) => button(text, null, () => this.sendFile({ ...this.lastFile, order }));
    this.orders = h(
      "div", { class: "l2l-toolrow l2l-orders", role: "group", "aria-label": t("order_of_the_mask"), hidden: true },
      takeAs(t("convert_from_bisenet"), "bisenet"), takeAs(t("take_as_official"), "official"),
    );
    this.timing = h("p", { class: "l2l-timing" });
    this.change = h("p", { class: "l2l-change" });
    this.walks = 0;
    this.element = this.layOut();
    this.listen();
    this.canvas.setOpacity(0.55);
    this.drawn.element.hidden = !this.schema.can_draw;
    this.choose(13);
    this.setTool("brush");
    this.showPicture();
    this.sync();
    // what was dropped is in no trait: those are saved with the notebook
    if (model.get("picture").own || model.get("result").own) this.link.post({ kind: "pictures" });
  }

  layOut() {
    this.undo = button(t("undo"), "undo", () => this.link.post({ kind: "undo" }), { title: t("undo_title") });
    this.redo = button(t("redo"), "redo", () => this.link.post({ kind: "redo" }), { title: t("redo_title") });
    this.reset = button(t("reset"), "reset", () => this.link.post({ kind: "reset" }), {
      title: t("the_original_mask_and_style"),
    });
    this.save = button(t("save"), "save", () => this.link.post({ kind: "save", what: "picture" }), {
      class: "l2l-button l2l-save", title: t("save_title"),
    });
    const saveMask = button(t("save"), null, () => this.link.post({ kind: "save", what: "mask" }), {
      title: t("write_the_mask_as_a"), "aria-label": t("save_mask"),
    });
    const saveRecipe = button(t("save"), null, () => this.link.post({ kind: "save", what: "recipe" }), {
      title: t("write_what_was_done_as"), "aria-label": t("save_recipe"),
    });
    this.keep = h("input", { type: "checkbox", onchange: () => this.link.post({ kind: "keep", on: this.keep.checked }) });
    this.ownStyle = button(t("own_style"), null, () => this.link.post({ kind: "own-style" }), { hidden: true });
    this.share = h("input", {
      type: "range", min: 0, max: 1, step: 0.05, value: 0, "aria-label": t("towards_the_second_mask"), disabled: true,
      oninput: () => this.walk(false), onchange: () => this.walk(true),
    });
    const face = this.schema.can_parse
      ? t("any_picture_of_a_face")
      : t("a_painting_that_was_saved");
    // on an edit of the sliders an area is painted: whose face it is, is said there
    const area = this.schema.is_area;
    // What a file is of is said once, and its buttons say the rest: all of them stand on two lines.
    const files = h(
      "div", { class: "l2l-toolrow l2l-files", role: "group", "aria-label": t("files") },
      area ? null : this.filesOf("face", t("face"),
        this.opener(t("open_short"), t("open_a_face"), "face", face),
        this.opener(t("style_short"), t("style_of_another_face"), "style", t("its_colours_and_skin_or")),
        this.ownStyle),
      this.filesOf("mask", t("mask"),
        this.opener(t("load_short"), t("load_mask"), "mask", t("a_png_of_class_indices")), saveMask),
      this.filesOf("recipe", t("recipe"),
        area ? null : this.opener(t("open_short"), t("open_recipe"), "recipe", t("a_picture_that_was_saved")),
        saveRecipe),
      !this.schema.can_walk ? null : this.filesOf("walk", null,
        this.opener(t("second_mask"), t("second_mask"), "other", t("a_mask_to_interpolate_towards")),
        h("label", { class: "l2l-field", title: t("from_the_original_mask_to") }, h("span", {}, t("between")), this.share)),
    );
    return h(
      "div", { class: "l2l l2l-painter" },
      h(
        "div", { class: "l2l-paint-columns" },
        this.palette.element,
        h(
          "div", { class: "l2l-paint-stage" },
          h("div", { class: "l2l-pair" }, this.canvas.frame, this.drawn.element),
          this.tools.element,
          h("div", { class: "l2l-toolrow l2l-actions", role: "group", "aria-label": t("edit") },
            this.undo, this.redo, this.reset,
            h("label", { class: "l2l-field", title: t("keep_the_original_picture_outside") }, this.keep, h("span", {}, t("keep_the_outside"))),
            this.timing, this.save),
          files, this.status, this.message, this.orders, this.change,
          h("p", { class: "l2l-consent" }, this.schema.consent),
        ),
      ),
    );
  }

  /** Buttons of one kind of file, after its name. */
  filesOf(kind, name, ...buttons) {
    const label = name === null ? null : h("span", { class: "l2l-of", "aria-hidden": "true" }, name);
    return h("div", { class: "l2l-filegroup", dataset: { kind } }, label, ...buttons);
  }

  /** A button that opens a file; `name` is what it is called where its group's name is not seen. */
  opener(text, name, use, title) {
    const input = h("input", {
      type: "file", hidden: true, accept: use === "recipe" ? ".png,.json" : "image/*", dataset: { use },
      onchange: () => this.takeFile(input.files[0], use).then(() => (input.value = "")),
    });
    return h("span", { class: "l2l-opener" }, button(text, null, () => input.click(), { title, "aria-label": name }), input);
  }

  async takeFile(file, use) {
    if (!file) return;
    if (file.size > MaskPainterView.LARGEST_FILE) {
      this.message.textContent = t("is_larger_than_30_mb", { name: file.name });
      return;
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    this.sendFile({ use, data: btoa(text) });
  }

  sendFile(file) {
    this.lastFile = file; // the kernel may ask in which order its classes are numbered
    this.orders.hidden = true;
    this.link.post({ kind: "file", ...file });
  }

  walk(settled) {
    this.link.post({ kind: "between", share: Number(this.share.value), gesture: `walk${this.walks}` }, !settled);
    if (settled) this.walks += 1;
  }

  listen() {
    this.onResult = () => this.sync();
    this.onPicture = () => this.showPicture();
    this.onNotice = () => this.showNotice(this.model.get("notice"));
    this.onOwn = (content, buffers) => this.hear(content, buffers);
    this.model.on("msg:custom", this.onOwn);
    this.model.on("change:result", this.onResult);
    this.model.on("change:picture", this.onPicture);
    this.model.on("change:notice", this.onNotice);
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    const target = this.drawn.frame;
    target.title = t("press_to_see_the_original") +
      (this.schema.is_area ? "" : t("drop_another_faces_picture_to"));
    target.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      target.setPointerCapture(event.pointerId);
      this.compare(true);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      target.addEventListener(end, () => this.compare(false));
    }
    if (this.schema.is_area) return;
    target.addEventListener("dragover", (event) => {
      event.preventDefault();
      target.classList.add("l2l-dropping");
    });
    target.addEventListener("dragleave", () => target.classList.remove("l2l-dropping"));
    target.addEventListener("drop", (event) => {
      event.preventDefault();
      target.classList.remove("l2l-dropping");
      this.takeFile(event.dataTransfer.files[0], "style");
    });
  }

  /** Show the original in place of the result while something is held down. */
  compare(on) {
    this.comparing = on;
    this.drawn.caption.textContent = on ? t("original_held") : t("result");
    const source = on ? this.originalSource : this.resultSource;
    if (source) this.drawn.show(source);
  }

  onKey(event) {
    // on many keyboards brackets need AltGr, which may come as Ctrl and Alt, or Option
    const bracket = event.altKey && (event.key === "[" || event.key === "]");
    if (isTyping(event.target) || (event.altKey && !bracket)) return;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !bracket) {
      if (key === "z") this.link.post({ kind: event.shiftKey ? "redo" : "undo" });
      else if (key === "y") this.link.post({ kind: "redo" });
      else return;
      event.preventDefault();
      return;
    }
    const tool = TOOLS().find((one) => one.key === key);
    const label = this.schema.classes.find((one) => one.key === key);
    if (tool) this.setTool(tool.name);
    else if (label) this.choose(label.index);
    else if (key === "[") this.setSize(this.canvas.size - 1);
    else if (key === "]") this.setSize(this.canvas.size + 1);
    else if (key === "+" || key === "=") this.canvas.setZoom(this.canvas.zoom * 2);
    else if (key === "-") this.canvas.setZoom(this.canvas.zoom / 2);
    else if (key === "<" || key === ">") this.canvas.scalePart(key === ">" ? 1.15 : 1 / 1.15);
    else if (key === "o") this.toggleMask();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  toggleMask() {
    const slider = this.tools.opacity;
    const next = Number(slider.value) ? 0 : this.opacityBefore ?? 0.55;
    this.opacityBefore = Number(slider.value) || this.opacityBefore;
    slider.value = next;
    this.canvas.setOpacity(next);
  }

  choose(label) {
    this.canvas.label = label;
    this.palette.choose(label);
    // a class was taken in hand to be painted with
    if (this.canvas.tool === "pick" || this.canvas.tool === "erase") this.setTool("brush");
  }

  setTool(tool) {
    this.canvas.tool = tool;
    this.tools.choose(tool);
    this.canvas.stage.dataset.tool = tool;
  }

  setSize(size) {
    this.canvas.size = Math.max(1, Math.min(this.schema.largest, size));
    this.tools.showSize(this.canvas.size);
    if (!this.canvas.ring.hidden) this.canvas.showRing();
  }

  showPicture() {
    const picture = this.model.get("picture");
    this.canvas.original = bytesOf(picture.original);
    this.takePicture(picture);
  }

  /** Pictures that were dropped here, and what comes of them. */
  hear(content, buffers) {
    const picture = { ...content, data: buffers?.[0] };
    if (content.type === "picture") this.takePicture(picture);
    else if (content.type === "result") {
      const result = this.model.get("result");
      if (content.stamp === result.stamp) this.queue.push({ ...result, ...picture });
    }
  }

  takePicture(picture) {
    const source = decodePicture(picture);
    const take = (one) => {
      this.originalSource = one;
      this.canvas.setPicture(one);
    };
    if (source instanceof Promise) source.then(take);
    else if (source) take(source);
  }

  sync() {
    const result = this.model.get("result");
    if (!Object.keys(result ?? {}).length) return;
    this.link.acknowledge(result.answers);
    const bytes = bytesOf(this.model.get("mask").data);
    // While older strokes are still on their way, what the page has painted is newer.
    if (!this.canvas.busy && (this.link.idle || this.canvas.gesture)) {
      this.canvas.setMask(bytes);
      this.palette.mark(bytes);
    }
    const settings = this.model.get("settings");
    this.undo.disabled = !settings.can_undo;
    this.redo.disabled = !settings.can_redo;
    this.reset.disabled = !settings.steps;
    this.keep.checked = settings.keep;
    this.ownStyle.hidden = !settings.style;
    this.share.disabled = !settings.other;
    if (this.link.idle) this.share.value = settings.share ?? 0; // after undo and reset as well
    this.queue.push(result);
  }

  showResult(source, result) {
    this.resultSource = source ?? this.resultSource;
    if (source && !this.comparing) this.drawn.show(source);
    // Without a network there is nothing to be alarmed about: masks can be painted all the same.
    (this.schema.can_draw ? this.message : this.status).textContent = result.error ?? "";
    this.orders.hidden = true; // with the message that asked
    this.change.textContent = result.change ?? "";
    this.timing.textContent = this.schema.can_draw ? t("picture_ms", { ms: Math.round(1000 * result.seconds) }) : "";
    this.element.dataset.stamp = result.stamp;
    this.element.dispatchEvent(new CustomEvent("l2l-picture", { bubbles: true, detail: result.stamp }));
  }

  showNotice(notice) {
    this.link.acknowledge(notice.answers);
    this.message.textContent = notice.error ?? "";
    this.orders.hidden = !(notice.asks_order && this.lastFile);
    this.status.textContent = notice.error ? "" : t("saved_name_in_folder", { name: notice.name, folder: notice.folder });
    if (!notice.error) return;
    // what was refused is not in the kernel's mask: show that one again
    this.canvas.setMask(bytesOf(this.model.get("mask").data));
  }

  showSilence(silent) {
    if (silent) this.message.textContent = t("no_answer");
    else if (this.message.textContent === t("no_answer")) this.message.textContent = "";
  }

  dispose() {
    this.model.off("msg:custom", this.onOwn);
    this.model.off("change:result", this.onResult);
    this.model.off("change:picture", this.onPicture);
    this.model.off("change:notice", this.onNotice);
    this.drawn.dispose();
    this.link.dispose();
  }
}

/** Bytes that the kernel sent, a copy of their own. */
function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

MaskPainterView.LARGEST_FILE = 30e6;

export default { render: (context) => renderView(MaskPainterView, context) };
