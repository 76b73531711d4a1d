// IdentityMixer: two faces, their mix, two sliders to travel, and a grid whose cells go to the sliders.

const SIDES = () => ({
  identity: { label: t("identity_title"), says: t("whose_face_it_is") },
  attributes: { label: t("attributes"), says: t("pose_expression_light_hair") },
});

class MixerView {
  constructor(model) {
    this.model = model;
    this.schema = model.get("schema");
    this.link = new Link(model, (silent) => this.setSilence(silent));
    this.held = new Set();
    this.sources = {};
    this.own = {}; // side -> a picture of somebody's, which comes in messages: traits are saved
    this.views = [];
    this.message = h("p", { class: "l2l-message", role: "status" });
    this.timing = h("span", { class: "l2l-timing" });
    this.result = this.picture("mix", t("the_mix"));
    this.queue = new PictureQueue((source) => {
      this.result.show(source);
      this.element.dataset.pictures = Number(this.element.dataset.pictures ?? 0) + 1;
    });
    this.send = button(t("to_the_sliders"), "sliders", () => this.link.post({ kind: "send" }), {
      class: "l2l-button l2l-primary", title: t("make_this_mix_the_face"),
      hidden: !this.schema.can_send,
    });
    this.save = button(t("save"), "save", () => this.link.post({ kind: "save" }), {
      title: t("save_title"), hidden: !this.schema.can_send,
    });
    this.space = h("select", { "aria-label": t("where_the_sliders_travel"),
      onchange: () => this.link.post({ kind: "space", space: this.space.value }) },
      ...this.schema.spaces.map((name) => h("option", { value: name },
        name === "w" ? t("in_w") : t("in_z_before_the_mapper"))));
    this.grid = h("div", { class: "l2l-mixgrid", role: "grid", "aria-label": t("mixes") });
    this.element = h("div", { class: "l2l l2l-mixer" },
      h("div", { class: "l2l-mixbody" }, h("div", {}, h("div", { class: "l2l-mixtop" },
        this.well("identity"), h("span", { class: "l2l-sign", "aria-hidden": "true" }, "+"),
        this.well("attributes"), h("span", { class: "l2l-sign l2l-equals", "aria-hidden": "true" }, "="),
        h("section", { class: "l2l-well l2l-mix" }, this.result.element,
          h("div", { class: "l2l-line" }, this.send, this.save, this.timing))),
      h("div", { class: "l2l-travel" }, this.slider("identity"), this.slider("attributes"),
        h("div", { class: "l2l-line" },
          button(t("swap"), "compare", () => this.link.post({ kind: "swap" })),
          h("label", { class: "l2l-line" }, t("travel"), this.space),
          this.message))),
      h("div", { class: "l2l-mixright" }, h("div", { class: "l2l-gridhead" },
        h("p", {}, t("each_row_keeps_a_person")),
        button(t("other_faces"), "dice", () => this.link.post({ kind: "shuffle" }))),
      this.grid)),
      h("p", { class: "l2l-consent" }, this.schema.consent));
    this.handlers = ["faces", "mixed", "cells", "notice"].map((name) => {
      const handler = () => this.sync(name);
      model.on(`change:${name}`, handler);
      handler();
      return [`change:${name}`, handler];
    });
    const hear = (content, buffers) => this.hear(content, buffers);
    this.handlers.push(["msg:custom", hear]);
    model.on("msg:custom", hear);
    if (Object.values(model.get("faces")).some((face) => face.own)) this.link.post({ kind: "pictures" });
  }

  hear(content, buffers) {
    if (content.type !== "own") return;
    this.own[content.side] = { ...content, data: buffers[0] };
    this.showOwn(content.side);
  }

  /** Show somebody's picture in its well and beside the grid, once it is here and is still the one. */
  showOwn(side) {
    const own = this.own[side];
    if (!own || this.model.get("faces")[side]?.own !== own.number) return;
    this.sources[side].queue.push(own);
    (side === "identity" ? this.rowQueues : this.columnQueues)?.[0]?.push(own);
  }

  picture(name, description) {
    const view = new PictureView(name, description);
    this.views.push(view);
    return view;
  }

  /** One of the two inputs: its picture, a seed, a file to pick or to drop. */
  well(side) {
    const { label, says } = SIDES()[side];
    const view = this.picture(side, `${label}: ${says}`);
    view.caption.textContent = label;
    const seed = h("input", { type: "number", min: 0, max: this.schema.seed_max, step: 1,
      class: "l2l-seed", "aria-label": t("seed_of", { label }),
      onchange: () => this.askSeed(side),
      // Enter leaves the field where it is, and a value that was filled in fires no change
      onkeydown: (event) => event.key === "Enter" && this.askSeed(side) });
    const file = h("input", { type: "file", hidden: true, "aria-label": t("a_file", { label }),
      accept: "image/*,.npy,.safetensors", onchange: () => {
        if (file.files[0]) this.take(side, file.files[0]);
        file.value = "";
      } });
    const well = h("section", { class: "l2l-well" }, view.element,
      h("div", { class: "l2l-line" }, seed,
        button("", "dice", () => this.link.post({ kind: "seed", side, seed: Math.floor(Math.random() * 1e6) }),
          { "aria-label": t("another_face_for", { label }), title: t("another_face") }),
        button(t("picture"), "open", () => file.click(),
          { class: "l2l-button l2l-own", title: `${t("picture")} ${t("a_picture_or_a_latent")}` }),
        file));
    well.addEventListener("dragover", (event) => {
      event.preventDefault();
      well.classList.add("l2l-over");
    });
    well.addEventListener("dragleave", () => well.classList.remove("l2l-over"));
    well.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      well.classList.remove("l2l-over");
      if (event.dataTransfer.files[0]) this.take(side, event.dataTransfer.files[0]);
    });
    this.sources[side] = { view, seed, queue: new PictureQueue((source) => view.show(source)) };
    return well;
  }

  askSeed(side) {
    const source = this.sources[side];
    const text = source.seed.value.trim();
    if (text === source.asked) return;
    source.asked = text;
    this.link.post({ kind: "seed", side, seed: /^-?\d+$/.test(text) ? Number(text) : text });
  }

  take(side, file) {
    if (file.size > this.schema.max_file) {
      this.say(t("is_larger_than_mb", { name: file.name, most: Math.round(this.schema.max_file / 1e6) }), true);
      return;
    }
    const reader = new FileReader();
    reader.onload = () => this.link.post({ kind: "file", side, name: file.name,
      data: String(reader.result).split(",")[1] ?? "" });
    reader.onerror = () => this.say(t("cannot_be_read", { name: file.name }), true);
    reader.readAsDataURL(file);
  }

  slider(side) {
    const input = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: 1,
      "aria-label": SIDES()[side].label, "aria-description": SIDES()[side].says });
    const value = h("output", { class: "l2l-share" });
    input.addEventListener("input", () => {
      this.held.add(side);
      value.textContent = this.asShare(side, Number(input.value));
      this.link.post({ kind: "share", side, share: Number(input.value) }, true);
    });
    input.addEventListener("change", () => {
      this.held.delete(side);
      this.link.post({ kind: "share", side, share: Number(input.value) });
    });
    this.sources[side].slider = { input, value };
    return h("label", { class: "l2l-travelrow" }, h("span", {}, SIDES()[side].label), input, value);
  }

  /** "70 % of 3, 30 % of 8": whose person, or whose attributes. */
  asShare(side, share) {
    const faces = this.model.get("faces");
    const [own, other] = side === "identity" ? ["identity", "attributes"] : ["attributes", "identity"];
    const percent = Math.round(100 * share);
    const name = (key) => faces[key]?.name ?? "";
    if (percent === 100) return t("all_of", { name: name(own) });
    if (percent === 0) return t("all_of", { name: name(other) });
    return t("shares_of_two", { own: name(own), share: percent, other: name(other), rest: 100 - percent });
  }

  say(text, bad = false) {
    this.message.textContent = text;
    this.element.classList.toggle("l2l-has-error", bad);
  }

  sync(name) {
    const value = this.model.get(name);
    if (name === "faces") this.showFaces(value);
    else if (name === "mixed") this.showMix(value);
    else if (name === "notice") this.showNotice(value);
    else this.showCells(value);
  }

  showNotice(notice) {
    if (notice.error) this.refuse(notice.error);
    else if (notice.name) this.say(t("saved_name_in_folder", { name: notice.name, folder: notice.folder }));
    else if (this.element.classList.contains("l2l-has-error")) this.say("");
  }

  refuse(text) {
    for (const source of Object.values(this.sources)) source.asked = null; // it may be asked again
    this.say(text, true);
  }

  setSilence(silent) {
    if (silent) this.say(t("no_answer"), true);
    else if (this.message.textContent === t("no_answer")) this.say("");
  }

  showFaces(faces) {
    for (const side of Object.keys(SIDES())) {
      const face = faces[side];
      if (!face) continue;
      const { view, seed, queue } = this.sources[side];
      if (face.own) this.showOwn(side);
      else queue.push(face);
      view.caption.textContent = `${SIDES()[side].label} \u00b7 ${face.name}`;
      if (document.activeElement !== seed || seed.value.trim() === this.sources[side].asked) {
        seed.value = face.seed ?? "";
        this.sources[side].asked = seed.value;
      }
    }
  }

  showMix(mix) {
    if (mix.error) {
      this.refuse(mix.error);
      return;
    }
    if (!mix.data) return;
    this.queue.push(mix);
    this.result.caption.textContent = mix.name;
    for (const side of Object.keys(SIDES())) {
      const { input, value } = this.sources[side].slider;
      if (!this.held.has(side)) {
        input.value = mix.shares[side];
        value.textContent = this.asShare(side, mix.shares[side]);
      }
    }
    this.space.value = mix.space;
    this.timing.textContent = t("ms", { ms: Math.max(1, Math.round(1000 * mix.seconds)) });
    if (mix.sent !== this.sent && this.sent !== undefined) this.say(t("sent_to_the_sliders", { name: mix.name }));
    else this.say("");
    this.sent = mix.sent;
    this.element.dataset.sent = mix.sent;
    this.mark(mix.shown);
  }

  showCells(cells) {
    const pictures = cells.pictures ?? [];
    const shape = `${pictures.length}x${pictures[0]?.length ?? 0}`;
    if (shape !== this.shape) this.makeGrid(cells, shape);
    pictures.forEach((row, r) => row.forEach((picture, c) => this.queues[r][c].push(picture)));
    cells.rows?.forEach((face, r) => face.own || this.rowQueues[r].push(face));
    cells.columns?.forEach((face, c) => face.own || this.columnQueues[c].push(face));
    for (const side of Object.keys(SIDES())) this.showOwn(side);
    this.element.dataset.grids = Number(this.element.dataset.grids ?? 0) + 1;
    this.mark(this.model.get("mixed").shown);
  }

  makeGrid(cells, shape) {
    this.shape = shape;
    const made = (description) => {
      const view = this.picture("cell", description);
      return Object.assign(new PictureQueue((source) => view.show(source)), { view });
    };
    this.grid.style.setProperty("--columns", cells.columns.length + 1);
    this.rowQueues = cells.rows.map((_, r) => made(t("person_number", { number: r + 1 })));
    this.columnQueues = cells.columns.map((_, c) => made(t("attributes_number", { number: c + 1 })));
    this.queues = cells.rows.map((_, r) => cells.columns.map((__, c) => made(t("mix_number", { row: r + 1, column: c + 1 }))));
    this.buttons = this.queues.map((row, r) => row.map((queue, c) => {
      const cell = h("button", { type: "button", class: "l2l-mixcell", role: "gridcell",
        "aria-label": t("person_with_attributes", { row: r + 1, column: c + 1 }),
        title: this.schema.can_send ? t("send_to_the_sliders") : t("show"),
        onclick: () => this.link.post({ kind: "cell", row: r, column: c }) }, queue.view.frame);
      return cell;
    }));
    const head = h("div", { class: "l2l-corner", role: "columnheader" }, t("person_attributes"));
    this.grid.replaceChildren(
      h("div", { class: "l2l-mixrow", role: "row" }, head, ...this.columnQueues.map((queue) =>
        h("div", { class: "l2l-input", role: "columnheader" }, queue.view.frame))),
      ...this.buttons.map((row, r) => h("div", { class: "l2l-mixrow", role: "row" },
        h("div", { class: "l2l-input", role: "rowheader" }, this.rowQueues[r].view.frame), ...row)));
  }

  mark(shown) {
    this.buttons?.forEach((row, r) => row.forEach((cell, c) => {
      cell.setAttribute("aria-selected", String(Boolean(shown) && shown[0] === r && shown[1] === c));
    }));
  }

  dispose() {
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    for (const view of this.views) view.dispose();
    this.link.dispose();
  }
}

export default { render: (context) => renderView(MixerView, context) };
