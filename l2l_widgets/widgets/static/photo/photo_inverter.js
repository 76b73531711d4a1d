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
    this.cut = this.picture("cut", "What the square shows", "Photo, as cut");
    this.likeness = this.picture("likeness", "The likeness", "Likeness");
    this.file = h("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "A photo",
      onchange: () => {
        if (this.file.files[0]) this.take(this.file.files[0]);
        this.file.value = "";
      } });
    this.choose = button("Photo\u2026", null, () => this.file.click(), { title: "Choose a photo, or drop one here" });
    this.faces = h("div", { class: "l2l-segments", role: "group", "aria-label": "Which face", hidden: true });
    this.space = new Segments("What matters more", Object.entries(this.schema.spaces), (space) => {
      this.ask({ kind: "space", space });
    });
    this.start = button("Come closer", "start", () => this.ask({ kind: "start" }), {
      class: "l2l-button l2l-primary", disabled: true,
      title: `${this.schema.steps} steps of descent from the first look`,
    });
    this.stop = button("Stop, take the best", "stop", () => this.link.post({ kind: "stop" }), { hidden: true });
    this.send = button("To the sliders", "compare", () => this.ask({ kind: "send" }), {
      disabled: true, title: "Make the likeness the face of every view of this session",
    });
    this.bar = h("progress", { max: 1, value: 0, "aria-label": "Descent", hidden: true });
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
    this.empty = h("p", { class: "l2l-drop-here" }, "Drop a photo here, or choose one.");
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
        "The notebook file keeps the likeness, not the photo."));
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
      this.message.show(`${file.name} is larger than ${Math.round(this.schema.max_file / 1e6)} MB`);
      return;
    }
    this.status.textContent = `Reading ${file.name}\u2026`;
    const reader = new FileReader();
    reader.onload = () => this.ask({ kind: "file", name: file.name, data: String(reader.result).split(",")[1] ?? "" });
    reader.onerror = () => this.message.show(`${file.name} cannot be read`);
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
    this.how.textContent = [`${photo.name}: ${photo.how}.`, ...photo.notes.map((note) => `${note}.`)].join(" ");
    this.faces.hidden = photo.faces.length < 2;
    this.faces.replaceChildren(...photo.faces.map((_, i) => h("button", { type: "button",
      "aria-pressed": String(i + 1 === photo.chosen),
      onclick: () => this.ask({ kind: "face", face: i + 1 }) }, `Face ${i + 1}`)));
  }

  showResult(result) {
    if (!result.likeness) return;
    this.likeness.queue.push(result.likeness);
    this.space.set(result.space);
    this.start.disabled = this.send.disabled = false;
    this.start.hidden = result.running;
    this.stop.hidden = this.bar.hidden = !result.running;
    this.bar.value = result.of ? result.steps / result.of : 0;
    this.meaning.textContent = `Distance to the sampled faces ${result.cloud.toFixed(2)} (about 1 for one of them): ${result.editability}.`;
    this.meaning.classList.toggle("l2l-far", result.cloud >= 1.25);
    const parts = [`difference ${result.start_loss.toFixed(3)} \u2192 ${result.loss.toFixed(3)}`];
    if (result.identity !== null) parts.push(`identity ${result.identity.toFixed(2)}`);
    if (result.attributes !== null) parts.push(`attributes off by ${result.attributes.toFixed(3)}`);
    if (result.largest) parts.push(`most in ${result.largest[0]} (${result.largest[1].toFixed(2)})`);
    this.numbers.textContent = result.running ? parts[0] : parts.join(" \u00b7 ");
    this.status.textContent = this.saying(result);
    this.element.dataset.sent = result.sent;
    this.element.dataset.steps = result.steps;
    this.element.dataset.count = result.count;
    this.element.classList.toggle("l2l-running", result.running);
  }

  saying(result) {
    if (result.running) return `Step ${result.steps} of ${result.of}`;
    if (result.sent && result.sent !== this.sent) {
      this.sent = result.sent;
      return "Sent: every view of this session shows the likeness.";
    }
    if (result.stopped) return `Stopped at step ${result.steps}: this is the best so far.`;
    if (result.steps) return `${result.steps} steps, ${result.seconds.toFixed(1)} s.`;
    return this.schema.has_encoder ? "A first look by the encoder." : "A first look: the nearest of a few sampled faces.";
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
