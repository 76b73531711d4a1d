// The leakage matrix: a cell for every edited and read attribute, with the arrow keys over all of them.

const UNDECIDED = ["clear", "pending", "untested"];

class LeakageGrid {
  /** `rows` are all attributes by name; `onopen(edited, read)` and `onlook(text)` are told what is chosen and said. */
  constructor(rows, onopen, onlook) {
    this.rows = rows;
    this.onopen = onopen;
    this.onlook = onlook;
    this.at = null;
    this.cells = new Map();
    this.table = h("div", { class: "l2l-grid", role: "grid", "aria-label": t("leakage_matrix") });
    this.empty = h("p", { class: "l2l-grid-empty" });
    this.element = h("div", { class: "l2l-gridbox" }, this.table, this.empty);
    this.table.addEventListener("keydown", (event) => this.onKey(event));
    this.table.addEventListener("focusin", (event) => this.look(event.target));
    this.table.addEventListener("mouseover", (event) => this.cross(event.target.closest(".l2l-cell")));
    this.table.addEventListener("mouseleave", () => this.cross(null));
    this.table.addEventListener("click", (event) => {
      const cell = event.target.closest(".l2l-cell");
      if (cell?.dataset.edited) this.open(cell);
    });
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.element);
  }

  /** `layer` is "signed" or "world"; `words` stand where nothing is measured; `same`: columns as rows only. */
  update(matrix, layer, words, same) {
    this.matrix = matrix;
    this.layer = layer;
    const edited = matrix?.edited ?? [];
    this.columns = (matrix?.read ?? []).filter((name) => !same || edited.includes(name));
    const failed = Object.entries(matrix?.failed ?? {}).filter(([name]) => this.rows.has(name));
    this.empty.textContent = edited.length || failed.length ? "" : words;
    this.empty.hidden = Boolean(edited.length || failed.length);
    this.table.hidden = !this.empty.hidden;
    const shape = JSON.stringify([edited, this.columns, failed]);
    if (shape !== this.shape) this.build(edited, this.columns, failed, shape);
    const at = new Map((matrix?.read ?? []).map((name, a) => [name, a]));
    edited.forEach((name, k) => this.columns.forEach((other) => this.paint(name, other, k, at.get(other))));
  }

  build(edited, read, failed, shape) {
    const kept = this.at;
    const focused = this.table.contains(document.activeElement);
    this.shape = shape;
    this.cells.clear();
    this.heads = new Map();
    const head = h("div", { role: "row", class: "l2l-gridrow" },
      h("span", { class: "l2l-corner", role: "columnheader" },
        h("span", {}, t("also_moves")), h("span", {}, t("edited"))));
    let family = null;
    for (const name of read) {
      const first = family !== null && this.rows.get(name).family !== family;
      family = this.rows.get(name).family;
      const label = h("span", { role: "columnheader", class: `l2l-colhead${first ? " l2l-newfamily" : ""}`,
        title: `${this.rows.get(name).label} (${family})` }, h("span", {}, this.rows.get(name).label));
      this.heads.set(`read:${name}`, label);
      head.append(label);
    }
    this.table.replaceChildren(head);
    for (const name of edited) this.table.append(this.makeRow(name, read));
    for (const [name, reason] of failed) {
      this.table.append(h("div", { role: "row", class: "l2l-gridrow l2l-failedrow" },
        h("span", { role: "rowheader", class: "l2l-rowhead" }, this.rows.get(name).label),
        h("span", { role: "gridcell", class: "l2l-reason", title: reason }, reason)));
    }
    this.table.style.setProperty("--columns", read.length);
    this.at = kept && this.cells.has(kept) ? kept : this.cells.keys().next().value ?? null;
    if (this.at) this.cells.get(this.at).tabIndex = 0;
    if (focused && this.at) this.cells.get(this.at).focus();
    this.fit();
  }

  makeRow(name, read) {
    const label = h("span", { role: "rowheader", class: "l2l-rowhead" }, this.rows.get(name).label);
    this.heads.set(`edited:${name}`, label);
    const row = h("div", { role: "row", class: "l2l-gridrow" }, label);
    let family = null;
    for (const other of read) {
      const first = family !== null && this.rows.get(other).family !== family;
      family = this.rows.get(other).family;
      const cell = h("div", {
        role: "gridcell", class: "l2l-cell", tabindex: -1, dataset: { edited: name, read: other },
        "data-lm-suppress-shortcuts": "true",
      });
      cell.classList.toggle("l2l-newfamily", first);
      this.cells.set(`${name}/${other}`, cell);
      row.append(cell);
    }
    return row;
  }

  paint(name, other, k, a) {
    const cell = this.cells.get(`${name}/${other}`);
    const value = this.matrix[this.layer][k][a];
    const verdict = this.matrix.verdicts[k][a];
    const world = this.layer === "world";
    // A planted drift has a mean of nothing: what leaks whichever way is drawn as it leaks.
    const drift = this.matrix.drift[k][a];
    const either = !world && this.isHabit(verdict, drift, value);
    const shown = either ? drift : value;
    const share = (shown ?? 0) / this.matrix.request;
    cell.style.setProperty("--colour", poleColour(share));
    cell.textContent = shown === null ? "" : `${asHundredths(shown)}${either ? "!" : ""}`;
    cell.classList.toggle("l2l-long", cell.textContent.length > 2);
    cell.dataset.verdict = verdict;
    cell.classList.toggle("l2l-hatched", !world && UNDECIDED.includes(verdict));
    cell.classList.toggle("l2l-strong", Math.abs(share) > 0.55);
    cell.classList.toggle("l2l-leak", !world && verdict === "leak");
    cell.classList.toggle("l2l-own", name === other);
    cell.classList.toggle("l2l-partner", verdict === "partner");
    const text = this.say(name, other, k, a);
    cell.setAttribute("aria-label", text);
    cell.title = text;
  }

  /** Whether a leak goes the same way whichever way the target goes. */
  isHabit(verdict, drift, value) {
    return verdict === "leak" && drift !== null && Math.abs(drift) > 1.5 * Math.abs(value ?? 0);
  }

  /** One line for the ear and the eye, without asking the kernel. */
  say(name, other, k, a) {
    const m = this.matrix;
    const [target, row] = [this.rows.get(name), this.rows.get(other)];
    const number = (key) => m[key][k][a];
    const edit = `${target.label} ${asAmount(target, m.request)}`;
    if (this.layer === "world") {
      const slope = number("world");
      return slope === null ? t("not_known_of_these_faces", { label: row.label })
        : t("among_the_unedited_faces_goes", { edit, label: row.label, slope: asAmount(row, slope) });
    }
    const verdict = m.verdicts[k][a];
    if (verdict === "untested") return t("too_few_faces_came_so", { edit });
    if (name === other) return t("what_was_edited_on_faces", { edit, count: m.faces[k] });
    if (this.isHabit(verdict, number("drift"), number("signed"))) {
      return t("edited_either_way_whichever_way", {
        edited: target.label, read: row.label, change: asAmount(row, number("drift")),
      });
    }
    const pair = t("from_low_to_high", {
      low: asAmount(row, number("signed_low")), high: asAmount(row, number("signed_high")),
    });
    const words = {
      leak: this.layer === "signed" && m.method.includes(" minus ") ? t("differs") : t("leak"),
      clear: t("undecided"), pending: t("undecided_chance_is_not_measured"), partner: t("may_change_on_purpose"),
    }[verdict];
    return `${edit}: ${row.label} ${asAmount(row, number("signed"))} (${pair}), ${words}`;
  }

  onKey(event) {
    const here = event.target.closest(".l2l-cell");
    if (!here?.dataset.edited) return;
    const [edited, read] = [this.matrix.edited, this.columns];
    let [k, a] = [edited.indexOf(here.dataset.edited), read.indexOf(here.dataset.read)];
    const moves = {
      ArrowRight: () => (a += 1), ArrowLeft: () => (a -= 1), ArrowDown: () => (k += 1), ArrowUp: () => (k -= 1),
      Home: () => (a = 0), End: () => (a = read.length - 1),
      PageUp: () => (k = 0), PageDown: () => (k = edited.length - 1),
    };
    if (event.key === "Enter" || event.key === " ") this.open(here);
    else if (moves[event.key]) {
      moves[event.key]();
      const clip = (i, n) => Math.max(0, Math.min(n - 1, i));
      this.cells.get(`${edited[clip(k, edited.length)]}/${read[clip(a, read.length)]}`).focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  look(target) {
    const cell = target.closest(".l2l-cell");
    if (!cell?.dataset.edited) return;
    if (this.at) this.cells.get(this.at).tabIndex = -1;
    this.at = `${cell.dataset.edited}/${cell.dataset.read}`;
    cell.tabIndex = 0;
    this.cross(cell);
    this.onlook(cell.getAttribute("aria-label"));
  }

  /** Lift the two names that meet in a cell. */
  cross(cell) {
    for (const head of this.table.querySelectorAll(".l2l-lifted")) head.classList.remove("l2l-lifted");
    if (!cell?.dataset.edited) return;
    this.heads.get(`edited:${cell.dataset.edited}`)?.classList.add("l2l-lifted");
    this.heads.get(`read:${cell.dataset.read}`)?.classList.add("l2l-lifted");
  }

  open(cell) {
    this.mark(`${cell.dataset.edited}/${cell.dataset.read}`);
    this.onopen(cell.dataset.edited, cell.dataset.read);
  }

  mark(key) {
    for (const [own, cell] of this.cells) cell.classList.toggle("l2l-opened", own === key);
  }

  /** Cells as large as there is room for, so that few attributes can be read from the last row. */
  fit() {
    const columns = this.columns?.length ?? 0;
    if (!columns || !this.element.clientWidth) return;
    const side = Math.max(19, Math.min(64, Math.floor((this.element.clientWidth - 112) / columns)));
    const high = Math.max(22, Math.min(38, side));
    this.table.style.setProperty("--cell", `${side}px`);
    this.table.style.setProperty("--high", `${high}px`);
    this.table.style.setProperty("--size", `${Math.max(10, Math.min(20, side * 0.42))}px`);
  }

  dispose() {
    this.observer.disconnect();
  }
}
