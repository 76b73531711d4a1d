// PhotoInverter: drop a photo, place the square, watch the likeness come closer, send it to the sliders.

class PhotoInverterView {
  constructor(model) {
    this.model = model;
    this.schema = model.get("schema");
    this.message = new Message();
    this.link = new Link(model, (silent) => this.message.setSilence(silent));
    this.square = new PhotoSquare((square, done) => this.link.post({ kind: "square", ...square }, !done));
    this.photoQueue = new PictureQueue((source) => this.square.showSource(source));
    this.views = [];
    this.cut = this.picture("cut", t("what_the_square_shows"), t("photo_as_cut"));
    this.likeness = this.picture("likeness", t("the_likeness"), t("likeness"));
    this.file = h("input", { type: "file", accept: "image/*", hidden: true, "aria-label": t("a_photo"),
      onchange: () => {
        if (this.file.files[0]) this.take(this.file.files[0]);
        this.file.value = "";
      } });
    this.choose = button(t("photo"), "open", () => this.file.click(), { title: t("choose_a_photo_or_drop") });
    this.faces = h("div", { class: "l2l-segments", role: "group", "aria-label": t("which_face"), hidden: true });
    this.space = new Segments(t("what_matters_more"), Object.entries(this.schema.spaces), (space) => {
      this.space.set(space); // before there is a photo nothing answers
      this.ask({ kind: "space", space });
    });
    this.space.set(this.schema.space);
    this.start = button(t("come_closer"), "start", () => this.ask({ kind: "start" }), {
      class: "l2l-button l2l-primary", disabled: true,
      title: t("steps_of_descent_from_the", { steps: this.schema.steps }),
    });
    this.stop = button(t("stop_take_the_best"), "stop", () => this.link.post({ kind: "stop" }), { hidden: true });
    this.send = button(t("to_the_sliders"), "sliders", () => this.ask({ kind: "send" }), {
      disabled: true, title: t("make_the_likeness_the_face"),
    });
    this.bar = h("progress", { max: 1, value: 0, "aria-label": t("descent"), hidden: true });
    this.how = h("p", { class: "l2l-hint l2l-how" });
    this.meaning = h("p", { class: "l2l-meaning" });
    this.numbers = h("p", { class: "l2l-hint l2l-numbers" });
    this.status = h("p", { class: "l2l-hint l2l-photo-status", role: "status", "aria-live": "polite" });
    this.element = this.layOut();
    this.handlers = PhotoInverterView.TRAITS.map((name) => [`change:${name}`, () => this.sync(name)]);
    this.handlers.push(["msg:custom", (content, buffers) => this.hear(content, buffers)]);
    for (const [event, handler] of this.handlers) model.on(event, handler);
    for (const name of PhotoInverterView.TRAITS) this.sync(name);
    this.link.post({ kind: "pictures" }); // the photo is in no trait: those are saved with the notebook
  }

  picture(name, description, caption) {
    const view = new PictureView(name, description);
    view.caption.textContent = caption;
    view.queue = new PictureQueue((source) => view.show(source));
    this.views.push(view);
    return view;
  }

  layOut() {
    this.empty = h("p", { class: "l2l-drop-here" }, t("drop_a_photo_here_or"));
    this.well = h("section", { class: "l2l-photo-well" }, this.empty, this.square.element);
    const element = h("div", { class: "l2l l2l-photo" },
      h("div", { class: "l2l-viewbar" },
        h("div", { class: "l2l-barline" }, this.choose, this.file, this.faces, this.space.element),
        this.message.element),
      h("div", { class: "l2l-photo-body" },
        h("div", { class: "l2l-photo-left" }, this.well, this.how),
        h("div", { class: "l2l-photo-right" },
          h("div", { class: "l2l-photo-pair" }, this.cut.element, this.likeness.element),
          h("div", { class: "l2l-barline" }, this.start, this.stop, this.send, this.bar),
          this.status, this.meaning, this.numbers)),
      h("p", { class: "l2l-hint l2l-consent" }, `${this.schema.likeness} ${this.schema.consent} `,
        t("the_notebook_file_keeps_the")));
    element.addEventListener("dragover", (event) => {
      event.preventDefault();
      element.classList.add("l2l-over");
    });
    element.addEventListener("dragleave", () => element.classList.remove("l2l-over"));
    element.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      element.classList.remove("l2l-over");
      if (event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
    });
    return element;
  }

  ask(message) {
    this.message.show(null);
    this.link.post(message);
  }

  take(file) {
    if (file.size > this.schema.max_file) {
      this.message.show(t("is_larger_than_mb", { name: file.name, most: Math.round(this.schema.max_file / 1e6) }));
      return;
    }
    this.status.textContent = t("reading", { name: file.name });
    const reader = new FileReader();
    reader.onload = () => this.ask({ kind: "file", name: file.name, data: String(reader.result).split(",")[1] ?? "" });
    reader.onerror = () => this.message.show(t("cannot_be_read", { name: file.name }));
    reader.readAsDataURL(file);
  }

  sync(name) {
    const value = this.model.get(name);
    if (!value || !Object.keys(value).length) return;
    if (name === "result") this.showResult(value);
    else this.showNotice(value);
  }

  /** What shows the person comes in messages of its own. */
  hear(content, buffers) {
    const picture = { ...content, data: buffers?.[0] };
    if (content.type === "photo") this.showPhoto(picture);
    else if (content.type === "cut") this.cut.queue.push(picture);
  }

  showPhoto(photo) {
    this.empty.hidden = true;
    this.square.show(photo);
    if (photo.data) this.photoQueue.push(photo);
    this.how.textContent = [`${photo.name}: ${photo.how}.`,
      ...photo.notes.map((note) => `${note[0].toUpperCase()}${note.slice(1)}.`)].join(" ");
    this.faces.hidden = photo.faces.length < 2;
    this.faces.replaceChildren(...photo.faces.map((_, i) => h("button", { type: "button",
      "aria-pressed": String(i + 1 === photo.chosen),
      onclick: () => this.ask({ kind: "face", face: i + 1 }) }, t("face_of_photo", { number: i + 1 }))));
  }

  showResult(result) {
    if (!result.likeness) return;
    this.likeness.queue.push(result.likeness);
    this.space.set(result.space);
    this.start.disabled = this.send.disabled = false;
    this.start.hidden = result.running;
    this.stop.hidden = this.bar.hidden = !result.running;
    this.bar.value = result.of ? result.steps / result.of : 0;
    this.meaning.textContent = t("distance_to_the_sampled_faces", { cloud: fixed(result.cloud, 2), editability: result.editability });
    this.meaning.classList.toggle("l2l-far", result.cloud >= 1.25);
    const parts = [result.steps
      ? t("difference_fell", { before: fixed(result.start_loss, 3), after: fixed(result.loss, 3) })
      : t("difference_is", { value: fixed(result.loss, 3) })];
    if (result.identity !== null) parts.push(t("identity_between", { value: fixed(result.identity, 2) }));
    if (result.attributes !== null) parts.push(t("attributes_off_by", { amount: fixed(result.attributes, 3) }));
    if (result.largest) parts.push(t("most_in", { label: result.largest[0], amount: fixed(result.largest[1], 2) }));
    this.numbers.textContent = result.running ? parts[0] : parts.join(" \u00b7 ");
    this.status.textContent = this.saying(result);
    this.element.dataset.sent = result.sent;
    this.element.dataset.steps = result.steps;
    this.element.dataset.count = result.count;
    this.element.classList.toggle("l2l-running", result.running);
  }

  saying(result) {
    if (result.running) return t("step_of", { steps: result.steps, of: result.of });
    if (result.sent && result.sent !== this.sent) {
      this.sent = result.sent;
      return t("sent_every_view_of_this");
    }
    if (result.stopped) return t("stopped_at_step_this_is", { steps: result.steps });
    if (result.steps) return t("steps_and_seconds", { steps: result.steps, seconds: fixed(result.seconds, 1) });
    return this.schema.has_encoder ? t("a_first_look_by_the") : t("a_first_look_the_nearest");
  }

  showNotice(notice) {
    this.message.show(notice.error);
    if (notice.error) this.status.textContent = "";
  }

  dispose() {
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    for (const view of this.views) view.dispose();
    this.square.dispose();
    this.link.dispose();
  }
}

PhotoInverterView.TRAITS = ["result", "notice"];

export default { render: (context) => renderView(PhotoInverterView, context) };
