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
    this.aside = {}; // asked of another method; this one does not know it
    this.abilities = { attributes: null, reasons: {}, reach: {} };
    this.short = {}; // name -> what came, where that is less than half of what was asked
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
      h("p", { class: "l2l-foot" },
        "Sliders show what the training reader sees; What moved, what the second judge sees. ",
        h("span", { class: "l2l-hatch", "aria-hidden": "true" }),
        " this method brings no more.",
      ),
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
      "aria-describedby": `${id}-value ${id}-note`,
      dataset: { attribute: row.name },
    });
    const value = h("output", { id: `${id}-value`, for: id, class: "l2l-value" });
    const note = h("span", { class: "l2l-note", id: `${id}-note` });
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
      delete this.short[row.name];
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
      h("label", { for: id }, row.label),
      note,
      value,
      clear,
      input,
    );
    this.rows.set(row.name, { row, element, input, value, note, clear });
    return element;
  }

  makeToggle(row) {
    const meter = h("span", { class: "l2l-meter", "aria-hidden": "true" });
    const note = h("span", { class: "l2l-note" });
    const element = h(
      "button",
      {
        type: "button",
        class: "l2l-toggle",
        "aria-pressed": "false",
        dataset: { attribute: row.name },
        onclick: () => this.toggle(row),
      },
      h("span", {}, row.label),
      note,
      meter,
    );
    this.rows.set(row.name, { row, element, meter, note });
    return element;
  }

  tell(settled) {
    this.onChange({ ...this.aside, ...this.targets }, this.gesture, settled);
    if (settled) this.gesture += 1;
  }

  toggle(row) {
    const wasOn = row.name in this.targets || row.name in this.aside;
    for (const { row: other } of this.rows.values()) {
      if (other.group !== row.group) continue;
      delete this.targets[other.name];
      delete this.aside[other.name];
      delete this.short[other.name];
    }
    if (!wasOn) this.targets[row.name] = 1;
    this.paintAll();
    this.tell(true);
  }

  release(name) {
    if (!(name in this.targets || name in this.aside)) return;
    delete this.targets[name];
    delete this.aside[name];
    delete this.short[name];
    this.paint(name);
    this.tell(true);
  }

  /**
   * What the kernel says holds now. While requests are under way its targets are older than the sliders', and only
   * the face's own readings are taken; a thumb that is held stays with the finger in any case.
   */
  update({ targets, aside, readings }, upToDate) {
    this.readings = readings;
    if (upToDate && this.held === null) {
      this.targets = { ...targets };
      this.aside = { ...aside };
    }
    this.paintAll();
  }

  /** What the method can change, and how far: the rest is hatched, or switched off with the reason. */
  setAbilities(abilities) {
    this.abilities = abilities;
    this.paintAll();
  }

  /** A receipt's verdict on what was asked: name -> what came, where that was less than half. */
  setShort(short) {
    this.short = short;
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
    const { attributes, reasons, reach } = this.abilities;
    const unknown = attributes !== null && !attributes.includes(name);
    const aside = name in this.aside;
    const value = asked ? this.targets[name] : aside ? this.aside[name] : own;
    const [down, up] = unknown ? [1, 1] : reach[name] ?? [1, 1];
    const [lowest, highest] = [Math.max(0, own - down), Math.min(1, own + up)];
    const beyond = asked && (value < lowest - 0.005 || value > highest + 0.005);
    const missing = asked && name in this.short;
    element.classList.toggle("l2l-asked", asked);
    element.classList.toggle("l2l-unknown", unknown);
    element.classList.toggle("l2l-warned", missing || beyond);
    element.style.setProperty("--low", lowest.toFixed(4));
    element.style.setProperty("--high", highest.toFixed(4));
    let note = row.ends ? row.ends.join(" \u2013 ") : "";
    let title = row.definition;
    if (unknown) {
      note = aside ? "set aside" : "not in this method";
      title += ` The method \u201c${this.abilities.method}\u201d cannot change it: ` +
        `${reasons[name] ?? "it was not trained for it"}.`;
    } else if (missing) {
      note = entry.meter ? "\u25b3" : `\u25b3 came ${asChange(row, this.short[name])}`;
      title += ` Asked, and hardly brought: ${asChange(row, this.short[name])} came.`;
    } else if (beyond) {
      note = entry.meter ? "\u25b3" : "\u25b3 beyond reach";
    }
    if (!unknown && (down < 1 || up < 1)) {
      title += ` With this method from about ${asValue(row, lowest)} to ${asValue(row, highest)}; ` +
        "nothing more comes beyond.";
    }
    entry.note.textContent = entry.meter && !(missing || beyond) ? "" : note;
    if (entry.meter) {
      element.title = title;
      element.disabled = unknown && !aside;
      element.setAttribute("aria-pressed", String(asked));
      entry.meter.style.setProperty("--own", `${(own * 100).toFixed(1)}%`);
    } else {
      element.title = title;
      entry.input.disabled = unknown;
      entry.input.value = value;
      entry.input.style.setProperty("--value", value.toFixed(4));
      entry.input.style.setProperty("--own", own.toFixed(4));
      entry.input.setAttribute("aria-valuetext", asValue(row, value));
      entry.value.textContent = asValue(row, value);
      entry.clear.disabled = !(asked || aside);
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
        const text = `${row.name} ${row.label} ${row.family} ${row.definition} ${row.words}`.toLowerCase();
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
