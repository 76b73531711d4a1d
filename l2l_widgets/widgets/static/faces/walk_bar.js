// The controls of a walk: which faces, which way, which rows.

const KIND_WORDS = () => ({
  latent: [t("two_faces"), t("from_one_face_to_another")],
  attribute: [t("one_attribute"), t("one_attribute_changes_the_identity")],
  identity: [t("identity_only"), t("the_identity_changes_the_attributes")],
});
const SPACE_WORDS = () => ({
  z: ["Z", t("where_seeds_are_drawn_each")],
  w: ["W", t("behind_the_mapping_network_one")],
  "w+": ["W+", t("a_vector_of_its_own")],
});
const CURVE_WORDS = () => ({
  slerp: [t("arc"), t("great_circle_the_length_of")],
  lerp: [t("line"), t("straight_line_lerp")],
});
const ROW_WORDS = () => ({ all: t("all"), coarse: t("coarse"), middle: t("middle"), fine: t("fine") });
const ROW_TITLES = () => ({
  all: t("every_layer_walks"),
  coarse: t("layers_of_4_to_8"),
  middle: t("layers_of_16_to_32"),
  fine: t("layers_from_64_pixels_on"),
});

class WalkBar {
  /** `ask(fields, continuous)` sends what changed. */
  constructor(schema, ask, swap) {
    this.schema = schema;
    const words = (table, names) => names.map((name) => [name, ...table[name]]);
    const pick = (field) => (value) => ask({ [field]: value });
    this.kind = new Segments(t("what_walks"), words(KIND_WORDS(), schema.kinds), pick("kind"));
    this.space = new Segments(t("space"), words(SPACE_WORDS(), schema.spaces), pick("space"));
    this.curve = new Segments(t("way"), words(CURVE_WORDS(), schema.curves), pick("curve"));
    const groups = ["all", ...Object.keys(schema.groups)];
    this.rows = new Segments(t("layers"), groups.map((g) => [g, ROW_WORDS()[g] ?? g, this.rowTitle(g)]), pick("rows"));
    const seed = (name, field) =>
      numberField(name, { min: 0, max: schema.seed_max, step: 1, class: "l2l-seed", placeholder: t("latent") },
        (text) => ask({ [field]: asSeed(text) }));
    this.which = h("input", {
      type: "text", class: "l2l-which-rows", "aria-label": t("rows_of_w_plus_that_walk"), spellcheck: "false",
      title: t("any_rows_of_w_plus_0", { last: schema.num_ws - 1 }),
      onchange: () => ask({ rows: this.which.value.trim() || "all" }),
      onkeydown: (event) => event.key === "Enter" && this.which.blur(),
    });
    this.first = seed(t("first_face_label"), "first");
    this.second = seed(t("last_face_label"), "second");
    this.frames = this.select(t("frames"), schema.frames.map((n) => [n, String(n)]), (v) => ask({ frames: Number(v) }));
    this.method = this.select(t("method"), Object.keys(schema.methods).map((n) => [n, n]), (v) => ask({ method: v }));
    this.attribute = this.select(t("attribute"), schema.rows.map((r) => [r.name, r.label]), (v) => ask({ attribute: v }));
    const end = (name) => numberField(name, { class: "l2l-end-field", step: "any" }, () => this.takeSpan(ask));
    this.low = end(t("from"));
    this.high = end(t("to"));
    this.unit = h("span", { class: "l2l-soft" });
    this.extent = new Segments(t("how_far"), [
      ["kept", t("identity_stays"), t("as_far_as_half_of_the")],
      ["reach", t("whole_reach"), t("as_far_as_the_method")],
    ], (value) => ask({ span: value === "reach" ? "reach" : null }));
    this.via = h("span");
    const dice = (field, name) => button("", "dice", () => ask({ [field]: Math.floor(Math.random() * 10000) }), {
      "aria-label": t("another", { name }), title: t("another", { name }), class: "l2l-button l2l-icon-button",
    });
    const field = (text, ...inputs) => h("div", { class: "l2l-field" }, h("span", {}, text), ...inputs);
    this.parts = {
      first: field(t("from_seed"), this.first, dice("first", t("first_face"))),
      swap: button("", "swap", swap, {
        "aria-label": t("exchange_the_two_faces"), title: t("exchange_the_two_faces"), class: "l2l-button l2l-icon-button",
      }),
      via: h("div", { class: "l2l-field" }, this.via, h("button", {
        type: "button", class: "l2l-clear", "aria-label": t("go_straight_without_the_faces"),
        onclick: () => ask({ via: [] }),
      }, "\u00d7")),
      second: field(t("to_small"), this.second, dice("second", t("last_face"))),
      attribute: field(t("sweep"), this.attribute),
      span: field(t("from_small"), this.low, t("to_small"), this.high, this.unit, this.extent.element),
      method: field(t("method"), this.method),
      space: field(t("space"), this.space.element),
      curve: field(t("way"), this.curve.element),
      rows: field(t("layers"), this.rows.element, this.which),
      frames: field(t("frames"), this.frames),
    };
    const { first, swap: exchange, via, second, ...others } = this.parts;
    this.element = h("div", { class: "l2l-viewbar" },
      h("div", { class: "l2l-barline" }, this.kind.element,
        h("div", { class: "l2l-pair" }, first, exchange, via, second), this.parts.attribute),
      h("div", { class: "l2l-barline" }, this.parts.span, others.space, others.curve, others.rows, others.method, others.frames));
  }

  rowTitle(group) {
    const ends = this.schema.groups[group];
    const which = ends ? t("rows_to_of_w_plus", { first: ends[0], last: ends[1] }) : "";
    return (ROW_TITLES()[group] ?? group) + which;
  }

  select(label, choices, onPick) {
    const element = h("select", { "aria-label": label, onchange: () => onPick(element.value) },
      ...choices.map(([value, text]) => h("option", { value }, text)));
    return element;
  }

  row(name) {
    return this.schema.rows.find((row) => row.name === name);
  }

  takeSpan(ask) {
    const row = this.row(this.attribute.value);
    const ends = [this.low, this.high].map((field) => (Number(field.value) - row.low) / (row.high - row.low));
    if (this.low.value !== "" && this.high.value !== "") ask({ span: ends.map((v) => Number(v.toFixed(5))) });
  }

  update(settings) {
    this.settings = settings;
    const { kind, space } = settings;
    this.kind.set(kind);
    this.space.set(space);
    this.curve.set(settings.curve);
    this.rows.set(settings.rows);
    const ends = settings.rows === "all" ? [0, this.schema.num_ws - 1] : this.schema.groups[settings.rows];
    if (document.activeElement !== this.which) this.which.value = ends ? ends.join("-") : settings.rows;
    this.first.put(settings.first);
    this.second.put(settings.second);
    if (![...this.frames.options].some((o) => o.value === String(settings.frames))) {
      this.frames.append(h("option", { value: settings.frames }, String(settings.frames)));
    }
    this.frames.value = settings.frames;
    if (settings.method) this.method.value = settings.method;
    this.attribute.value = settings.attribute;
    const able = this.schema.methods[settings.method];
    for (const option of this.attribute.options) option.disabled = Boolean(able && !able.includes(option.value));
    const row = this.row(settings.attribute);
    this.unit.textContent = row?.unit ?? "";
    const shown = (settings.span ?? [null, null]).map((v) => (v === null || !row ? null : Math.round(row.low + v * (row.high - row.low))));
    this.extent.set(settings.extent);
    this.low.put(shown[0]);
    this.high.put(shown[1]);
    const show = {
      via: kind !== "attribute" && settings.via > 0, second: kind !== "attribute", swap: kind !== "attribute", attribute: kind === "attribute",
      span: kind === "attribute", method: kind !== "latent", space: kind === "latent",
      curve: kind !== "attribute", rows: kind === "latent",
    };
    this.via.textContent = t("through", { face: settings.via });
    for (const [name, on] of Object.entries(show)) this.parts[name].hidden = !on;
    this.parts.first.firstChild.textContent = kind === "attribute" ? t("face") : t("from_seed");
    // Layers can only be told apart in W+; choosing one goes there.
    this.rows.element.classList.toggle("l2l-elsewhere", space !== "w+");
  }
}
ICONS.swap = "M4 7h12l-3.500-3.500M16 13H4l3.500 3.500";
ICONS.load = "M10 3v8M6.500 8 10 11.500 13.500 8M4 13v3.500h12V13";
