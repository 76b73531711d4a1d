// The controls of a walk: which faces, which way, which rows.

const KIND_WORDS = {
  latent: ["Two faces", "From one face to another"],
  attribute: ["One attribute", "One attribute changes, the identity should stay"],
  identity: ["Identity only", "The identity changes, the attributes are held"],
};
const SPACE_WORDS = {
  z: ["Z", "Where seeds are drawn: each step passes through the mapping network"],
  w: ["W", "Behind the mapping network: one vector for all layers"],
  "w+": ["W+", "A vector of its own for every layer: layers can be mixed"],
};
const CURVE_WORDS = {
  slerp: ["Arc", "Great circle: the length of the vector changes evenly (slerp)"],
  lerp: ["Line", "Straight line (lerp)"],
};
const ROW_WORDS = { all: "All", coarse: "Coarse", middle: "Middle", fine: "Fine" };
const ROW_TITLES = {
  all: "Every layer walks",
  coarse: "Layers of 4 to 8 pixels: pose, shape of the face",
  middle: "Layers of 16 to 32 pixels: features, hair",
  fine: "Layers from 64 pixels on: colours, texture",
};

class WalkBar {
  /** `ask(fields, continuous)` sends what changed. */
  constructor(schema, ask, swap) {
    this.schema = schema;
    const words = (table, names) => names.map((name) => [name, ...table[name]]);
    const pick = (field) => (value) => ask({ [field]: value });
    this.kind = new Segments("What walks", words(KIND_WORDS, schema.kinds), pick("kind"));
    this.space = new Segments("Space", words(SPACE_WORDS, schema.spaces), pick("space"));
    this.curve = new Segments("Way", words(CURVE_WORDS, schema.curves), pick("curve"));
    const groups = ["all", ...Object.keys(schema.groups)];
    this.rows = new Segments("Layers", groups.map((g) => [g, ROW_WORDS[g] ?? g, this.rowTitle(g)]), pick("rows"));
    const seed = (name, field) =>
      numberField(name, { min: 0, max: schema.seed_max, step: 1, class: "l2l-seed", placeholder: "latent" },
        (text) => ask({ [field]: asSeed(text) }));
    this.which = h("input", {
      type: "text", class: "l2l-which-rows", "aria-label": "Rows of W+ that walk", spellcheck: "false",
      title: `Any rows of W+, 0 to ${schema.num_ws - 1}, as in 0-3,8`,
      onchange: () => ask({ rows: this.which.value.trim() || "all" }),
      onkeydown: (event) => event.key === "Enter" && this.which.blur(),
    });
    this.first = seed("First face", "first");
    this.second = seed("Last face", "second");
    this.frames = this.select("Frames", schema.frames.map((n) => [n, String(n)]), (v) => ask({ frames: Number(v) }));
    this.method = this.select("Method", Object.keys(schema.methods).map((n) => [n, n]), (v) => ask({ method: v }));
    this.attribute = this.select("Attribute", schema.rows.map((r) => [r.name, r.label]), (v) => ask({ attribute: v }));
    const end = (name) => numberField(name, { class: "l2l-end-field", step: "any" }, () => this.takeSpan(ask));
    this.low = end("From");
    this.high = end("To");
    this.unit = h("span", { class: "l2l-soft" });
    this.via = h("span");
    const dice = (field, name) => button("", "dice", () => ask({ [field]: Math.floor(Math.random() * 10000) }), {
      "aria-label": `Another ${name}`, title: `Another ${name}`, class: "l2l-button l2l-icon-button",
    });
    const field = (text, ...inputs) => h("div", { class: "l2l-field" }, h("span", {}, text), ...inputs);
    this.parts = {
      first: field("From seed", this.first, dice("first", "first face")),
      swap: button("", "swap", swap, {
        "aria-label": "Exchange the two faces", title: "Exchange the two faces", class: "l2l-button l2l-icon-button",
      }),
      via: h("div", { class: "l2l-field" }, this.via, h("button", {
        type: "button", class: "l2l-clear", "aria-label": "Go straight, without the faces between",
        onclick: () => ask({ via: [] }),
      }, "\u00d7")),
      second: field("to", this.second, dice("second", "last face")),
      attribute: field("Sweep", this.attribute),
      span: field("from", this.low, "to", this.high, this.unit),
      method: field("Method", this.method),
      space: field("Space", this.space.element),
      curve: field("Way", this.curve.element),
      rows: field("Layers", this.rows.element, this.which),
      frames: field("Frames", this.frames),
    };
    const { first, swap: exchange, via, second, ...others } = this.parts;
    this.element = h("div", { class: "l2l-viewbar" },
      h("div", { class: "l2l-barline" }, this.kind.element,
        h("div", { class: "l2l-pair" }, first, exchange, via, second), this.parts.attribute),
      h("div", { class: "l2l-barline" }, this.parts.span, others.space, others.curve, others.rows, others.method, others.frames));
  }

  rowTitle(group) {
    const ends = this.schema.groups[group];
    const which = ends ? ` (rows ${ends[0]} to ${ends[1]} of W+)` : "";
    return (ROW_TITLES[group] ?? group) + which;
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
    this.low.put(shown[0]);
    this.high.put(shown[1]);
    const show = {
      via: kind !== "attribute" && settings.via > 0, second: kind !== "attribute", swap: kind !== "attribute", attribute: kind === "attribute",
      span: kind === "attribute", method: kind !== "latent", space: kind === "latent",
      curve: kind !== "attribute", rows: kind === "latent",
    };
    this.via.textContent = `through ${settings.via}`;
    for (const [name, on] of Object.entries(show)) this.parts[name].hidden = !on;
    this.parts.first.firstChild.textContent = kind === "attribute" ? "Face" : "From seed";
    // Layers can only be told apart in W+; choosing one goes there.
    this.rows.element.classList.toggle("l2l-elsewhere", space !== "w+");
  }
}
ICONS.swap = "M4 7h12l-3.500-3.500M16 13H4l3.500 3.500";
ICONS.load = "M10 3v8M6.500 8 10 11.500 13.500 8M4 13v3.500h12V13";
