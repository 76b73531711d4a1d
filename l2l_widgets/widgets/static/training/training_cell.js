// TrainingCell: start, stop, resume; curves and faces that change while the training runs.

const BUSY = ["preparing", "running", "stopping"];

class TrainingView {
  constructor(model) {
    this.model = model;
    this.link = new Link(model, (silent) => this.setSilence(silent));
    this.start = button(t("start"), "start", () => this.link.post({ kind: "start" }), {
      class: "l2l-button l2l-primary",
    });
    this.stop = button(t("stop"), "stop", () => this.link.post({ kind: "stop" }));
    this.over = button(t("start_over"), "reset", () => this.link.post({ kind: "start over" }), {
      title: t("a_new_run_in_a"),
    });
    this.bar = h("progress", { max: 1, value: 0, "aria-label": t("training_bar") });
    this.numbers = h("span", { class: "l2l-numbers" });
    this.message = h("p", { class: "l2l-message", role: "status" });
    this.curves = new CurvesView();
    this.rows = h("div", { class: "l2l-rows" });
    this.at = h("p", { class: "l2l-at" });
    this.faces = h("section", { class: "l2l-faces", hidden: true }, this.at, this.rows);
    this.views = [];
    this.element = h(
      "div",
      { class: "l2l l2l-training l2l-training-cell" },
      h("div", { class: "l2l-trainbar" }, this.start, this.stop, this.over, this.bar, this.numbers),
      this.message,
      h("div", { class: "l2l-body" }, this.curves.element, this.faces),
    );
    this.handlers = ["status", "history", "faces", "notice"].map((name) => {
      const handler = () => this.sync(name);
      model.on(`change:${name}`, handler);
      handler();
      return [name, handler];
    });
  }

  sync(name) {
    const value = this.model.get(name);
    if (name === "status") this.showStatus(value);
    else if (name === "history") this.showHistory(value);
    else if (name === "notice") this.showNotice(value);
    else this.showFaces(value);
  }

  showStatus(status) {
    const busy = BUSY.includes(status.state);
    const begun = status.step > 0 && status.state !== "finished";
    this.start.querySelector("span").textContent = begun ? t("resume") : t("start");
    this.start.disabled = busy || status.state === "finished";
    this.stop.disabled = status.state !== "running";
    this.over.disabled = busy || (!begun && status.state !== "finished");
    if (status.state === "preparing") this.bar.removeAttribute("value");
    else this.bar.value = status.step / status.steps;
    const left = status.state === "running" && status.seconds_left !== null
      ? ` \u00b7 ${t("time_left", { time: asDuration(status.seconds_left) })}` : "";
    this.numbers.textContent = t("step_of_left", { step: status.step, steps: status.steps, left });
    this.message.textContent = status.message;
    this.element.dataset.state = status.state;
    this.element.dataset.step = status.step;
    this.element.classList.toggle("l2l-has-error", status.state === "failed");
  }

  /** Beside what the training said last, which stays true. */
  setSilence(silent) {
    if (silent) this.message.textContent = t("no_answer");
    else if (this.message.textContent === t("no_answer")) this.message.textContent = this.model.get("status").message;
  }

  showNotice(notice) {
    if (notice.error) this.message.textContent = `\u26a0 ${notice.error}`;
  }

  showHistory(history) {
    this.curves.update(history, this.model.get("status").steps || 1);
  }

  showFaces(faces) {
    const rows = faces.rows ?? [];
    this.faces.hidden = !rows.length;
    if (!rows.length) return;
    this.at.textContent = t("faces_at_step", { step: faces.step });
    const shape = rows.map((row) => row.pictures.length).join();
    if (shape !== this.shape) this.makeGrid(rows, shape);
    rows.forEach((row, r) => {
      this.captions[r].textContent = row.caption;
      row.pictures.forEach((picture, c) => this.queues[r][c].push(picture));
    });
    this.element.dataset.faces = faces.step;
  }

  makeGrid(rows, shape) {
    this.shape = shape;
    this.clear();
    this.captions = rows.map(() => h("span", { class: "l2l-row-caption" }));
    this.queues = rows.map((row) => row.pictures.map((_, c) => {
      const view = new PictureView("face", t("face_of_row", { caption: row.caption, number: c + 1 }));
      this.views.push(view);
      return Object.assign(new PictureQueue((source) => view.show(source)), { view });
    }));
    this.rows.replaceChildren(...rows.map((_, r) =>
      h("div", { class: "l2l-facerow" }, this.captions[r], ...this.queues[r].map((q) => q.view.frame))));
  }

  clear() {
    for (const view of this.views) view.dispose();
    this.views = [];
  }

  dispose() {
    for (const [name, handler] of this.handlers) this.model.off(`change:${name}`, handler);
    this.clear();
    this.link.dispose();
  }
}

export default { render: (context) => renderView(TrainingView, context) };
