// A filter as controls: one chip an attribute, with its range in the attribute's own unit.

const RANGE_WORDS = () => ([["least", t("at_least")], ["most", t("at_most")], ["between", t("between")]]);

class FilterChips {
  /** `onChange(conditions)` gets the whole list: [{name, low, high}] in attribute units. */
  constructor(schema, onChange) {
    this.schema = schema;
    this.onChange = onChange;
    this.conditions = [];
    this.add = h("select", { "aria-label": t("add_an_attribute_to_the"), onchange: () => this.addOne() });
    this.list = h("div", { class: "l2l-chips", role: "group", "aria-label": t("filter") });
    this.element = this.list;
  }

  row(name) {
    return this.schema.rows.find((row) => row.name === name);
  }

  update(conditions) {
    this.conditions = conditions;
    const used = conditions.map((one) => one.name);
    const groups = new Map();
    for (const row of this.schema.rows.filter((r) => !used.includes(r.name))) {
      groups.set(row.family, [...(groups.get(row.family) ?? []), row]);
    }
    this.add.replaceChildren(h("option", { value: "" }, t("add_attribute")),
      ...[...groups].map(([family, rows]) => h("optgroup", { label: family },
        ...rows.map((row) => h("option", { value: row.name }, row.label)))));
    this.list.replaceChildren(...conditions.map((one, i) => this.makeChip(one, i)), this.add);
  }

  addOne() {
    if (this.add.value) this.onChange([...this.conditions, { name: this.add.value, low: 0.5, high: 1 }]);
  }

  makeChip(one, index) {
    const row = this.row(one.name);
    const own = (share) => Math.round(row.low + (row.high - row.low) * share);
    const units = (value) => Math.max(0, Math.min(1, (Number(value) - row.low) / (row.high - row.low)));
    const mode = one.low <= 0 ? "most" : one.high >= 1 ? "least" : "between";
    const send = (changed) => {
      const next = this.conditions.map((old, i) => (i === index ? { ...old, ...changed } : old));
      this.onChange(next);
    };
    const pick = h("select", {
      "aria-label": t("which_range", { label: row.label }),
      onchange: () => {
        const middle = mode === "most" ? one.high : one.low;
        const ranges = {
          least: { low: Math.max(0.01, middle), high: 1 }, most: { low: 0, high: Math.min(0.99, middle) },
          between: { low: Math.max(0.01, Math.min(middle, 0.8) - 0.1), high: Math.min(0.99, middle + 0.15) },
        };
        send(ranges[pick.value]);
      },
    }, ...RANGE_WORDS().map(([value, text]) => h("option", { value }, text)));
    pick.value = mode;
    const number = (end) => {
      const field = numberField(`${row.label}: ${end === "low" ? t("at_least") : t("at_most")}, ${row.unit}`,
        { min: row.low, max: row.high, step: 1 }, (text) => text !== "" && send({ [end]: units(text) }));
      field.put(own(one[end]));
      return field;
    };
    const fields = mode === "between" ? [number("low"), h("span", { class: "l2l-soft" }, t("and")), number("high")]
      : [number(mode === "least" ? "low" : "high")];
    const remove = h("button", {
      type: "button", class: "l2l-clear", "aria-label": t("remove_from_the_filter", { label: row.label }),
      onclick: () => this.onChange(this.conditions.filter((_, i) => i !== index)),
    }, "\u00d7");
    return h("div", { class: "l2l-chip", role: "group", "aria-label": row.label },
      h("strong", {}, row.label), pick, ...fields, h("span", { class: "l2l-soft" }, row.unit), remove);
  }
}
