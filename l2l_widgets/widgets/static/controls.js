// The panel of sliders and toggles: what the user asks for, in units that a person reads.

/**
 * A target is a value in [0, 1]; a row without one follows the face's own reading.
 * `onChange(targets, gesture, settled)` is called with all targets; settled is false while a thumb is held.
 * One drag of one thumb is one gesture, and so one step of undo.
 */
class Controls {
  constructor(schema, onChange) {
    this.schema = schema;
    this.onChange = onChange;
    this.targets = {};
    this.readings = {};
    this.rows = new Map();
    this.sections = [];
    this.held = null;
    this.gesture = 0;
    this.search = h("input", {
      type: "search",
      class: "l2l-search",
      placeholder: "Search attributes",
      "aria-label": "Search attributes",
      oninput: () => this.filter(),
    });
    this.empty = h("p", { class: "l2l-empty", hidden: true }, "No attribute of that name.");
    this.list = h("div", { class: "l2l-list" });
    for (const family of schema.families) this.list.append(this.makeSection(family));
    this.element = h(
      "div",
      { class: "l2l-controls", role: "group", "aria-label": "Attributes" },
      h("div", { class: "l2l-searchbar" }, this.search),
      h("div", { class: "l2l-scroll", tabindex: "-1" }, this.list, this.empty),
    );
  }

  makeSection(family) {
    const count = h("span", { class: "l2l-count" });
    const body = h("div", { class: "l2l-rows" });
    const groups = new Map();
    for (const row of family.rows) {
      if (!row.group) {
        body.append(this.makeSlider(row));
        continue;
      }
      if (!groups.has(row.group)) {
        const box = h("div", { class: "l2l-toggles", role: "group", "aria-label": family.name });
        groups.set(row.group, box);
        body.append(box);
      }
      groups.get(row.group).append(this.makeToggle(row));
    }
    const element = h(
      "details",
      { class: "l2l-family" },
      h("summary", {}, h("span", {}, family.name), count),
      body,
    );
    element.open = family.open;
    this.sections.push({ element, count, rows: family.rows, open: family.open });
    return element;
  }

  makeSlider(row) {
    const id = `l2l-${Math.random().toString(36).slice(2)}`;
    const input = h("input", {
      type: "range",
      id,
      min: 0,
      max: 1,
      step: 1 / Math.round(row.high - row.low),
      "aria-describedby": `${id}-value`,
      dataset: { attribute: row.name },
    });
    const value = h("output", { id: `${id}-value`, for: id, class: "l2l-value" });
    const clear = h(
      "button",
      {
        type: "button",
        class: "l2l-clear",
        title: "Stop asking for this",
        "aria-label": `Stop asking for ${row.label}`,
        onclick: () => {
          this.release(row.name);
          input.focus();
        },
      },
      "\u00d7",
    );
    input.addEventListener("pointerdown", () => (this.held = row.name));
    for (const end of ["pointerup", "pointercancel", "blur"]) {
      input.addEventListener(end, () => (this.held = null));
    }
    input.addEventListener("input", () => {
      this.targets[row.name] = Number(input.value);
      this.paint(row.name);
      this.tell(false);
    });
    // The value itself has been told by the last input event; this only ends the gesture.
    input.addEventListener("change", () => (this.gesture += 1));
    input.addEventListener("dblclick", () => this.release(row.name));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Delete" || event.key === "Backspace") this.release(row.name);
    });
    const element = h(
      "div",
      { class: "l2l-row", dataset: { attribute: row.name } },
      h("label", { for: id, title: row.definition }, row.label),
      value,
      clear,
      input,
    );
    this.rows.set(row.name, { row, element, input, value, clear });
    return element;
  }

  makeToggle(row) {
    const meter = h("span", { class: "l2l-meter", "aria-hidden": "true" });
    const element = h(
      "button",
      {
        type: "button",
        class: "l2l-toggle",
        title: row.definition,
        "aria-pressed": "false",
        dataset: { attribute: row.name },
        onclick: () => this.toggle(row),
      },
      h("span", {}, row.label),
      meter,
    );
    this.rows.set(row.name, { row, element, meter });
    return element;
  }

  tell(settled) {
    this.onChange({ ...this.targets }, this.gesture, settled);
    if (settled) this.gesture += 1;
  }

  toggle(row) {
    const wasOn = row.name in this.targets;
    for (const { row: other } of this.rows.values()) {
      if (other.group === row.group) delete this.targets[other.name];
    }
    if (!wasOn) this.targets[row.name] = 1;
    this.paintAll();
    this.tell(true);
  }

  release(name) {
    if (!(name in this.targets)) return;
    delete this.targets[name];
    this.paint(name);
    this.tell(true);
  }

  /**
   * What the kernel says holds now. While requests are under way its targets are older than the sliders', and only
   * the face's own readings are taken; a thumb that is held stays with the finger in any case.
   */
  update(targets, readings, upToDate) {
    this.readings = readings;
    if (upToDate && this.held === null) this.targets = { ...targets };
    this.paintAll();
  }

  paintAll() {
    for (const name of this.rows.keys()) this.paint(name);
  }

  paint(name) {
    const entry = this.rows.get(name);
    const { row, element } = entry;
    const asked = name in this.targets;
    const own = this.readings[name] ?? 0.5;
    element.classList.toggle("l2l-asked", asked);
    if (entry.meter) {
      element.setAttribute("aria-pressed", String(asked));
      entry.meter.style.setProperty("--own", `${(own * 100).toFixed(1)}%`);
    } else {
      const value = asked ? this.targets[name] : own;
      entry.input.value = value;
      entry.input.style.setProperty("--value", value.toFixed(4));
      entry.input.style.setProperty("--own", own.toFixed(4));
      entry.input.setAttribute("aria-valuetext", asValue(row, value));
      entry.value.textContent = asValue(row, value);
      entry.clear.disabled = !asked;
    }
    this.paintCounts();
  }

  paintCounts() {
    for (const section of this.sections) {
      const asked = section.rows.filter((row) => row.name in this.targets).length;
      section.count.textContent = asked ? String(asked) : "";
      section.count.title = asked ? `${asked} asked for` : "";
    }
  }

  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let any = false;
    for (const section of this.sections) {
      let hits = 0;
      for (const row of section.rows) {
        const text = `${row.name} ${row.label} ${row.family} ${row.definition}`.toLowerCase();
        const hit = words.every((word) => text.includes(word));
        this.rows.get(row.name).element.hidden = !hit;
        hits += hit;
      }
      any = any || hits > 0;
      section.element.hidden = hits === 0;
      // A search opens what it finds; clearing it leaves the families as they were before.
      if (words.length) {
        section.before ??= section.element.open;
        section.element.open = hits > 0;
      } else if (section.before !== undefined) {
        section.element.open = section.before;
        section.before = undefined;
      }
    }
    this.empty.hidden = any;
  }
}
