// The panel of sliders and toggles: what the user asks for, in units that a person reads.

/**
 * A target is a value in [0, 1]; a row without one follows the face's own reading.
 * `onChange(targets, gesture, settled)` is called with all targets; settled is false while a thumb is held.
 * One drag of one thumb is one gesture, and so one step of undo.
 */
class Controls {
  constructor(schema, t, onChange, onHold) {
    this.schema = schema;
    this.t = t;
    this.onChange = onChange;
    this.onHold = onHold;
    this.locked = new Set(); // held still
    this.targets = {};
    this.readings = {};
    this.aside = {}; // asked of another method; this one does not know it
    this.abilities = { attributes: null, reasons: {}, reach: {}, holds: [] };
    this.measured = { method: "", spans: {} }; // how far the method takes this face
    this.came = {}; // name -> what a receipt says came of the target that is up
    this.slipped = {}; // name -> how far a held attribute moved nevertheless
    this.short = new Set(); // those of them that the receipt counts among its shortfalls
    this.rows = new Map();
    this.sections = [];
    this.held = null;
    this.gesture = 0;
    this.run = null; // the row whose slider keys are moving, and when they are taken to rest
    this.search = h("input", {
      type: "search",
      class: "l2l-search",
      placeholder: t("search"),
      "aria-label": t("search"),
      oninput: () => this.filter(),
    });
    this.empty = h("p", { class: "l2l-empty", hidden: true }, t("no_attribute"));
    this.list = h("div", { class: "l2l-list" });
    for (const family of schema.families) this.list.append(this.makeSection(family));
    this.element = h(
      "div",
      { class: "l2l-controls", role: "group", "aria-label": t("attributes") },
      h("div", { class: "l2l-searchbar" }, this.search),
      h("div", { class: "l2l-scroll", tabindex: "-1" }, this.list, this.empty),
      h("p", { class: "l2l-foot" },
        `${t("foot")} `,
        h("span", { class: "l2l-hatch", "aria-hidden": "true" }),
        ` ${t("foot_hatch")}`,
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
        const members = family.rows.filter((other) => other.group === row.group);
        body.append(h("div", { class: "l2l-group" }, box, this.makeGroupLock(family.name, members)));
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
      "aria-label": row.label,
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
        title: this.t("stop_asking"),
        "aria-label": this.t("stop_asking_for", { label: row.label }),
        onclick: () => {
          this.release(row.name);
          input.focus();
        },
      },
      "\u00d7",
    );
    input.addEventListener("pointerdown", () => {
      this.endRun();
      this.held = row.name;
      this.byKey = false;
    });
    for (const end of ["pointerup", "pointercancel", "blur"]) {
      input.addEventListener(end, () => (this.held = null));
    }
    input.addEventListener("blur", () => this.endRun());
    input.addEventListener("input", () => {
      if (this.run !== null && this.run.name !== row.name) this.endRun();
      delete this.came[row.name];
      this.targets[row.name] = Number(input.value);
      this.paint(row.name);
      this.tell(false);
    });
    // The value itself has been told by the last input event; this only ends the gesture. Keys that follow each
    // other are one gesture: an arrow moves by one in a hundred, and each alone would be a step of undo.
    input.addEventListener("change", () => {
      if (!this.byKey) {
        this.gesture += 1;
        return;
      }
      clearTimeout(this.run?.timer);
      this.run = { name: row.name, timer: setTimeout(() => this.endRun(), Controls.KEYS_REST) };
    });
    input.addEventListener("dblclick", () => this.release(row.name));
    input.addEventListener("keydown", (event) => {
      this.byKey = true;
      if (event.key === "Delete" || event.key === "Backspace") this.release(row.name);
    });
    // One click on the name holds the attribute still; a second one lets it go.
    const lock = h(
      "button",
      { type: "button", class: "l2l-lock", "aria-pressed": "false", onclick: () => this.hold([row]) },
      h("span", { class: "l2l-lock-name" }, row.label),
      icon("held"),
    );
    const element = h(
      "div",
      { class: "l2l-row", dataset: { attribute: row.name } },
      lock,
      note,
      value,
      clear,
      input,
    );
    this.rows.set(row.name, { row, element, input, value, note, clear, lock });
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
    // A click on the name asks for it; the padlock beside it holds this one alone.
    const lock = h(
      "button",
      { type: "button", class: "l2l-lock l2l-toggle-lock", "aria-pressed": "false",
        "aria-label": this.t("hold_group", { label: row.label }), onclick: () => this.hold([row]) },
      icon("held"),
    );
    const box = h("span", { class: "l2l-option", dataset: { attribute: row.name } }, element, lock);
    this.rows.set(row.name, { row, element, meter, note, lock, box });
    return box;
  }

  makeGroupLock(label, members) {
    const lock = h(
      "button",
      { type: "button", class: "l2l-lock l2l-group-lock", "aria-pressed": "false",
        onclick: () => this.hold(members) },
      icon("held"),
      h("span", {}, this.t("hold_group", { label })),
    );
    this.groupLocks = [...(this.groupLocks ?? []), { lock, label, members }];
    return lock;
  }

  /** Hold rows still, or let them go where all of them are held. */
  hold(rows) {
    const names = this.holdable(rows);
    if (!names.length) return;
    const on = !this.areHeld(names);
    for (const name of names) {
      if (on) this.locked.add(name);
      else this.locked.delete(name);
      if (on) delete this.targets[name];
    }
    this.paintAll();
    this.onHold(names, on);
  }

  /** The names that the method can hold; where it can hold none, those that are held nevertheless. */
  holdable(rows) {
    const names = rows.map((row) => row.name);
    const able = names.filter((name) => this.abilities.holds.includes(name));
    return able.length ? able : names.filter((name) => this.locked.has(name));
  }

  areHeld(names) {
    return names.length > 0 && names.every((name) => this.locked.has(name));
  }

  /** The keys rest: what comes next is another gesture. */
  endRun() {
    if (this.run === null) return;
    clearTimeout(this.run.timer);
    this.run = null;
    this.gesture += 1;
  }

  tell(settled) {
    if (settled) this.endRun();
    this.slipped = {}; // of an edit that is no more
    this.onChange({ ...this.aside, ...this.targets }, this.gesture, settled);
    if (settled) this.gesture += 1;
  }

  toggle(row) {
    const wasOn = row.name in this.targets || row.name in this.aside;
    for (const { row: other } of this.rows.values()) {
      if (other.group !== row.group) continue;
      delete this.targets[other.name];
      delete this.aside[other.name];
      delete this.came[other.name];
    }
    if (!wasOn) this.targets[row.name] = 1;
    this.paintAll();
    this.tell(true);
  }

  release(name) {
    if (!(name in this.targets || name in this.aside)) return;
    delete this.targets[name];
    delete this.aside[name];
    delete this.came[name];
    this.paint(name);
    this.tell(true);
  }

  /**
   * What the kernel says holds now. While requests are under way its targets are older than the sliders', and only
   * the face's own readings are taken; a thumb that is held stays with the finger in any case.
   */
  update({ targets, aside, readings, held }, upToDate) {
    this.readings = readings;
    if (upToDate && this.held === null) {
      this.locked = new Set(held);
      for (const name of Object.keys(this.came)) {
        if (targets[name] !== this.targets[name]) delete this.came[name]; // it came of another target
      }
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

  /** How far a method takes this face, name -> [lowest, highest]; without a name the average over faces counts. */
  setReach(measured) {
    this.measured = measured;
    this.paintAll();
  }

  /** The lowest and the highest value that come of an attribute, and whether that was measured on this face. */
  reachOf(name, own) {
    const { method, attributes, reach } = this.abilities;
    if (attributes !== null && !attributes.includes(name)) return [0, 1, false];
    const span = this.measured.method === method ? this.measured.spans[name] : undefined;
    const [down, up] = reach[name] ?? [1, 1];
    const [low, high] = span ?? [own - down, own + up];
    const [lowest, highest] = [Math.min(own, low), Math.max(own, high)];
    // what is nearer to an end of the scale than a reader sees is all the way there
    return [lowest < Controls.FINE ? 0 : lowest, highest > 1 - Controls.FINE ? 1 : highest, span !== undefined];
  }

  /** A receipt's verdict: name -> what came, the names of its shortfalls, and what was not held. */
  setCame(came, short, slipped) {
    this.came = { ...came };
    this.slipped = slipped;
    this.short = new Set(short);
    this.paintAll();
  }

  paintAll() {
    for (const name of this.rows.keys()) this.paintRow(name);
    this.paintCounts();
    for (const { lock, label, members } of this.groupLocks ?? []) {
      const names = this.holdable(members);
      const held = this.areHeld(names);
      lock.setAttribute("aria-pressed", String(held));
      lock.disabled = !names.length;
      put(lock, "title", held ? this.t("release", { label }) : names.length ? this.t("hold_group", { label })
        : this.t("cannot_hold", { method: this.abilities.method }));
    }
  }

  paint(name) {
    this.paintRow(name);
    this.paintCounts();
  }

  paintRow(name) {
    const entry = this.rows.get(name);
    const { row, element } = entry;
    const locked = this.locked.has(name);
    const asked = name in this.targets;
    const own = this.readings[name] ?? 0.5;
    const { attributes, reasons } = this.abilities;
    const unknown = attributes !== null && !attributes.includes(name);
    const aside = name in this.aside;
    const value = asked ? this.targets[name] : aside ? this.aside[name] : own;
    const [lowest, highest, here] = this.reachOf(name, own);
    const outside = asked && (value < lowest - 0.005 || value > highest + 0.005);
    // The reach is what is expected; once the judge has read what came, that alone is said.
    const measured = asked && name in this.came;
    const beyond = outside && !measured;
    const missing = measured && this.short.has(name);
    element.classList.toggle("l2l-asked", asked);
    element.classList.toggle("l2l-held", locked);
    element.classList.toggle("l2l-unknown", unknown);
    element.classList.toggle("l2l-warned", missing || beyond || (locked && name in this.slipped));
    element.style.setProperty("--low", lowest.toFixed(4));
    element.style.setProperty("--high", highest.toFixed(4));
    let note = row.ends ? row.ends.join(" \u2013 ") : "";
    let title = row.ends ? `${row.definition} (${note})` : row.definition;
    if (unknown) {
      note = this.t(aside ? "set_aside" : "not_in_method");
      const reason = reasons[name] ?? this.t("untrained");
      title += ` ${this.t("method_cannot", { method: this.abilities.method, reason })}`;
    } else if (locked) {
      const moved = name in this.slipped;
      const change = moved ? asChange(row, this.slipped[name]) : "";
      note = !moved ? this.t("held") : entry.meter ? "\u25b3" : `\u25b3 ${change}`; // the lock says "held"
      if (moved) title += ` ${this.t("not_held")}`;
    } else if (missing) {
      const change = asChange(row, this.came[name]);
      note = entry.meter ? "\u25b3" : `\u25b3 ${this.t("came", { change })}`;
      title += ` ${this.t("hardly", { change })}`;
    } else if (beyond) {
      note = entry.meter ? "\u25b3" : `\u25b3 ${this.t("beyond")}`;
    } else if (outside && measured && !entry.meter) {
      note = this.t("came", { change: asChange(row, this.came[name]) });
    }
    if (here || lowest > 0 || highest < 1) {
      const ends = { low: asValue(row, lowest), high: asValue(row, highest) };
      title += ` ${here ? this.t("reach_here", ends) : this.t("reach", ends)}`;
    }
    put(entry.note, "textContent", entry.meter && !(missing || beyond || locked) ? "" : note);
    this.paintLock(entry, locked);
    if (entry.meter) {
      put(element, "title", title);
      element.disabled = (unknown && !aside) || locked;
      element.setAttribute("aria-pressed", String(asked));
      entry.meter.style.setProperty("--own", `${(own * 100).toFixed(1)}%`);
    } else {
      put(element, "title", title);
      entry.input.disabled = unknown || locked;
      entry.input.value = value;
      entry.input.style.setProperty("--value", value.toFixed(4));
      entry.input.style.setProperty("--own", own.toFixed(4));
      entry.input.setAttribute("aria-valuetext", asValue(row, value));
      put(entry.value, "textContent", asValue(row, value));
      entry.clear.disabled = !(asked || aside);
    }
  }

  paintLock({ row, lock, meter }, locked) {
    const able = this.abilities.holds.includes(row.name);
    lock.setAttribute("aria-pressed", String(locked));
    lock.disabled = !able && !locked;
    put(lock, "title", `${row.definition} ` + (locked ? this.t("release", { label: row.label })
      : able ? this.t(meter ? "hold_toggle" : "hold", { label: row.label })
      : this.t("cannot_hold", { method: this.abilities.method })));
  }

  paintCounts() {
    for (const section of this.sections) {
      const asked = section.rows.filter((row) => row.name in this.targets).length;
      put(section.count, "textContent", asked ? String(asked) : "");
      put(section.count, "title", asked ? this.t("asked_for", { count: asked }) : "");
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
        const { box, element } = this.rows.get(row.name);
        (box ?? element).hidden = !hit;
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
Controls.KEYS_REST = 800; // milliseconds
Controls.FINE = 0.01;
