// One edit on many faces: where from, where to, how far.

class ManyPanel {
  constructor(t, ask) {
    this.t = t;
    this.message = h("p", { class: "l2l-message", role: "alert" });
    this.source = h("select", { "aria-label": t("many_faces"), onchange: () => this.suggest() },
      h("option", { value: "seeds" }, t("many_seeds")), h("option", { value: "latents" }, t("many_latents")));
    this.faces = h("input", { type: "text", value: "0-19", class: "l2l-faces", "aria-label": t("many_faces") });
    this.out = h("input", { type: "text", value: "many-faces", class: "l2l-out", "aria-label": t("many_out") });
    this.receipts = h("input", { type: "checkbox", checked: true });
    this.start = button(t("start"), "start", () => ask({
      kind: "start-many", source: this.source.value, faces: this.faces.value, out: this.out.value,
      receipts: this.receipts.checked,
    }, true), { class: "l2l-button l2l-start-many" });
    this.stop = button(t("stop"), "stop", () => ask({ kind: "stop-many" }, true), { disabled: true });
    this.bar = h("progress", { max: 1, value: 0, hidden: true });
    this.text = h("p", { class: "l2l-many-text", role: "status" });
    this.said = h("p", { class: "l2l-help" });
    this.element = h("div", { class: "l2l-many" },
      h("p", { class: "l2l-help" }, t("many_help")),
      h("div", { class: "l2l-buttons" }, this.source, this.faces,
        h("label", { class: "l2l-field" }, h("span", {}, t("many_out")), this.out),
        h("label", { class: "l2l-field" }, this.receipts, h("span", {}, t("many_receipts")))),
      h("div", { class: "l2l-buttons" }, this.start, this.stop, this.bar),
      this.message, this.text, this.said);
  }

  suggest() {
    this.faces.value = this.source.value === "seeds" ? "0-19" : "latents";
  }

  update(state) {
    const { running, done = 0, total = 0, failed = 0, left, folder, error, said, finished, stopped } = state;
    const { t } = this;
    this.message.textContent = error ?? "";
    this.start.disabled = Boolean(running);
    this.stop.disabled = !running;
    this.bar.hidden = !total;
    this.bar.max = total || 1;
    this.bar.value = done;
    const parts = finished
      ? [t(stopped ? "many_stopped" : "many_done", { done, total, folder })]
      : total ? [t("many_progress", { done, total })] : [];
    if (failed) parts.push(t("many_failed", { failed }));
    if (running && left) parts.push(t("many_left", { seconds: Math.ceil(left) }));
    this.text.textContent = parts.join(" \u00b7 ");
    this.said.textContent = said ?? "";
  }
}
