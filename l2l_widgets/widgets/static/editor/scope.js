// Where an edit applies: rows of W+ and the space of its step, behind one button of the face bar.

const GROUPS = () => ({ coarse: t("coarse"), middle: t("middle"), fine: t("fine") });

/** `onChange({rows, space})` is called with rows as a list, or null for all. */
class ScopeMenu {
  constructor(schema, t, onChange) {
    this.schema = schema;
    this.t = t;
    this.onChange = onChange;
    this.rows = null;
    this.space = null;
    this.spaces = [];
    this.button = button(t("rows_all"), "rows", () => this.toggle(), {
      class: "l2l-button l2l-scope-button", title: t("rows_title"), "aria-expanded": "false",
      "aria-haspopup": "dialog",
    });
    const called = GROUPS();
    this.groups = Object.entries(schema.groups).filter(([, rows]) => rows.length).map(([name, rows]) => ({
      rows,
      button: h("button", {
        type: "button", class: "l2l-toggle", "aria-pressed": "true", onclick: () => this.flip(rows),
      }, called[name]),
    }));
    this.cells = Array.from({ length: schema.num_ws }, (_, row) =>
      h("button", {
        type: "button", class: "l2l-toggle l2l-cell", "aria-pressed": "true",
        "aria-label": t("row", { row }), onclick: () => this.flip([row]),
      }, String(row)));
    this.choices = h("select", {
      class: "l2l-space", "aria-label": t("space"),
      onchange: () => this.onChange({ rows: this.rows, space: this.choices.value || null }),
    });
    this.menu = h(
      "div",
      { class: "l2l-menu", role: "dialog", "aria-label": t("rows_title"), hidden: true },
      h("p", {}, t("rows_help")),
      h("div", { class: "l2l-toggles", role: "group", "aria-label": t("rows_group") },
        ...this.groups.map((group) => group.button)),
      h("div", {
        class: "l2l-toggles l2l-cells", role: "group", "aria-label": t("rows_group"),
        style: `--columns: ${columnsFor(this.cells.length)}`,
      }, ...this.cells),
      h("label", { class: "l2l-field" }, h("span", {}, t("space")), this.choices),
    );
    this.element = h("div", { class: "l2l-scope" }, this.button, this.menu);
    this.element.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !this.element.contains(event.relatedTarget)) this.toggle(false);
    });
  }

  get open() {
    return !this.menu.hidden;
  }

  toggle(open = this.menu.hidden) {
    this.menu.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) (this.groups[0]?.button ?? this.cells[0]).focus();
  }

  /** Close, and give the focus back to where it came from. */
  dismiss() {
    this.toggle(false);
    this.button.focus();
  }

  flip(rows) {
    const all = Array.from({ length: this.schema.num_ws }, (_, row) => row);
    const now = new Set(this.rows ?? all);
    const on = rows.every((row) => now.has(row));
    // From "all", choosing a group means that group alone: that is what one wants to see.
    const next = this.rows === null ? rows
      : on ? [...now].filter((row) => !rows.includes(row)) : [...now, ...rows];
    const sorted = [...new Set(next)].sort((a, b) => a - b);
    const whole = sorted.length === 0 || sorted.length === all.length;
    this.onChange({ rows: whole ? null : sorted, space: this.space });
  }

  setSpaces(spaces) {
    this.spaces = spaces;
    this.choices.replaceChildren(
      h("option", { value: "" }, this.t("space_own")),
      ...spaces.map((name) => h("option", { value: name }, this.t(`space_${name}`))),
    );
    this.choices.value = this.space ?? "";
  }

  update({ rows, space }) {
    this.rows = rows;
    this.space = space;
    const chosen = (row) => rows === null || rows.includes(row);
    this.cells.forEach((cell, row) => cell.setAttribute("aria-pressed", String(chosen(row))));
    for (const group of this.groups) {
      group.button.setAttribute("aria-pressed", String(group.rows.every(chosen)));
    }
    this.choices.value = space ?? "";
    const text = rows === null ? this.t("rows_all") : this.t("rows_some", { rows: spansOf(rows) });
    const where = space ? ` \u00b7 ${space.toUpperCase()}` : "";
    this.button.querySelector("span").textContent = text + where;
    this.button.classList.toggle("l2l-narrowed", rows !== null || Boolean(space));
  }
}

/** How many of `count` cells stand on a line, so that all lines are as long and a finger hits each. */
function columnsFor(count) {
  return Math.ceil(count / Math.ceil(count / ScopeMenu.MOST_ON_A_LINE));
}
ScopeMenu.MOST_ON_A_LINE = 10;

/** [0, 1, 2, 7] as "0-2, 7". */
function spansOf(rows) {
  const spans = [];
  for (const row of rows) {
    const last = spans.at(-1);
    if (last && row === last[1] + 1) last[1] = row;
    else spans.push([row, row]);
  }
  return spans.map(([a, b]) => (a === b ? `${a}` : `${a}\u2013${b}`)).join(", ");
}
