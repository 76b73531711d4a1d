// The receipt: what was asked for, what came, what else moved, and whether it is still the same person.

// A change of one in fifty of the scale is the least that is worth pointing at; as in the kernel's words.
const VISIBLE = 0.02;

/**
 * A bar for every attribute: what was asked for stands first, the others always in the same order. One scale for
 * all edits, from minus to plus the whole range of an attribute, so that the bars of two edits can be compared.
 */
class ReceiptView {
  constructor(schema, t) {
    this.t = t;
    this.rows = schema.families.flatMap((family) => family.rows);
    this.byName = new Map(this.rows.map((row) => [row.name, row]));
    this.receipt = null;
    this.scrolled = new Set(); // parts that somebody has scrolled
    this.order = { of: null, above: new Set() };
    this.asked = h("p", { class: "l2l-asked-list" });
    this.summary = h("div", { class: "l2l-summary" });
    this.judges = h("span", { class: "l2l-judges" });
    this.identity = this.makeIdentity();
    this.bars = new Map(this.rows.map((row) => [row.name, this.makeBar(row)]));
    this.scale = h("div", { class: "l2l-scale" },
      h("span", {}, t("scale")), " ", h("span", { class: "l2l-scale-band", "aria-hidden": "true" }),
      h("span", {}, t("scale_band")), " ", h("span", {}, t("scale_outside")));
    this.chart = h(
      "div",
      { class: "l2l-chart l2l-scrolls", role: "img" },
      ...[...this.bars.values()].map((bar) => bar.element),
    );
    this.element = h(
      "section",
      { class: "l2l-receipt", "aria-label": t("receipt") },
      // The identity floats: what was asked for flows beside it, and then over the whole width.
      h("header", { class: "l2l-receipt-head l2l-scrolls", tabindex: "-1" },
        h("div", { class: "l2l-kept" }, this.judges, this.identity.element), this.asked),
      h("div", { class: "l2l-words l2l-scrolls", tabindex: "-1" }, this.summary),
      this.scale,
      h("div", { class: "l2l-chart-room" }, this.chart),
    );
    for (const part of [this.chart, this.summary.parentElement]) {
      part.addEventListener("scroll", () => this.scrolled.add(part));
    }
    // What moved in one line, for those who listen. A live region speaks on every change.
    this.spoken = h("p", { class: "l2l-spoken", role: "status", "aria-live": "polite" });
    this.update(null);
  }

  makeIdentity() {
    const fill = h("span", { class: "l2l-identity-fill" });
    const band = h("span", { class: "l2l-identity-band" });
    const text = h("span", { class: "l2l-identity-text" });
    const raw = h("span", { class: "l2l-identity-raw" });
    const gauge = h("span", { class: "l2l-gauge", "aria-hidden": "true" }, band, fill);
    const element = h("div", { class: "l2l-identity" }, text, raw,
      h("span", { class: "l2l-end" }, this.t("stranger")), gauge, h("span", { class: "l2l-end" }, this.t("same_face")));
    return { element, fill, band, text, raw };
  }

  makeBar(row) {
    const [band, bar, want] = ["l2l-band", "l2l-bar", "l2l-wanted"].map((name) => h("span", { class: name }));
    const amount = h("span", { class: "l2l-amount" });
    const track = h("span", { class: "l2l-track" }, band, bar, want);
    const name = h("span", { class: "l2l-name" }, row.label);
    const element = h("div", { class: "l2l-column", dataset: { attribute: row.name } }, name, amount, track);
    return { element, band, bar, want, amount };
  }

  /** Numbers that belong to another picture must not look like those of the one that is up. */
  setStale(words) {
    this.element.classList.add("l2l-stale");
    this.say([words]);
  }

  /** The last receipt again: what was asked meanwhile changed nothing. */
  restore() {
    this.element.classList.remove("l2l-stale");
    this.say(this.receipt?.sentences ?? [this.nothing ?? this.t("nothing")], this.receipt?.failed);
  }

  /** Lines that flow on, because room is short; in bold the first `failed`, which say what did not come. */
  say(lines, failed = 0) {
    const said = JSON.stringify([lines, failed]);
    if (this.said === said) return;
    this.said = said;
    this.summary.replaceChildren(...lines.flatMap((line, i) =>
      [h("span", i < failed ? { class: "l2l-failed" } : {}, line), " "]));
    this.toTop(this.summary.parentElement);
  }

  /** Scroll a part back, where somebody scrolled it: to ask where it stands would lay the whole page out. */
  toTop(part) {
    if (this.scrolled.delete(part)) part.scrollTo(0, 0);
  }

  /** `face` tells one face from the next: what stands above the others is chosen once an edit. */
  update(receipt, face) {
    this.receipt = receipt && !receipt.error && receipt.band ? receipt : null;
    this.putInOrder(face);
    this.nothing = receipt?.error;
    if (this.receipt && this.spoken.textContent !== receipt.line) this.spoken.textContent = receipt.line;
    this.judges.textContent = this.receipt ? this.t("second_judge") : "";
    this.judges.title = this.receipt ? Object.values(this.receipt.judges).join("; ") : "";
    this.drawAsked();
    this.drawIdentity();
    this.drawChart();
    this.restore();
  }

  /**
   * Where room is short, what stands out comes before the rest. That is settled when something else is asked for,
   * or of another face; while one slider moves every bar stays in its place.
   */
  putInOrder(face) {
    const of = JSON.stringify([face, Object.keys(this.receipt?.requested ?? {}).sort()]);
    if (this.order.of === of) return;
    const { stands_out = [], slipped = {} } = this.receipt ?? {};
    this.order = { of, above: new Set([...stands_out, ...Object.keys(slipped)]) };
    this.toTop(this.chart);
  }

  drawAsked() {
    const asked = Object.entries(this.receipt?.requested ?? {}).filter(([name]) => this.byName.has(name));
    const short = this.receipt?.shortfalls ?? [];
    this.asked.replaceChildren(
      ...asked.map(([name, want]) => {
        const mark = short.includes(name) ? "\u25b3 " : "";
        return h("span", { class: "l2l-asked-row" }, mark + this.askedWords(this.byName.get(name), want));
      }).flatMap((element) => [element, " "]), // where a line may end
    );
  }

  /** What came of what was asked for: "Smile +30 of +34 %"; no share of a way that is shown as nought. */
  askedWords(row, want) {
    const { targets, before, after } = this.receipt; // of a value, the judge's way there, as its sentences say it
    const unit = row.unit === "\u00b0" ? "\u00b0" : `\u202f${row.unit}`;
    const { name, label } = row;
    const way = asChange(row, name in targets ? targets[name] - before[name] : want);
    const came = asChange(row, this.changeOf(name));
    if (way !== asChange(row, 0)) return this.t("asked_row", { label, came: came.replace(unit, ""), want: way });
    if (!(name in targets)) return this.t("asked_hardly", { label, came });
    const now = asValue(row, after[name]).replace(unit, "");
    return this.t("asked_value", { label, now, want: asValue(row, targets[name]) });
  }

  drawIdentity() {
    const { element, fill, band, text, raw } = this.identity;
    const { identity, identity_kept: kept, identity_band: pair, strangers } = this.receipt ?? {};
    element.hidden = typeof identity !== "number";
    if (element.hidden) return;
    const placed = typeof kept === "number";
    const clip = (x) => Math.max(0, Math.min(1, x)) * 100;
    const place = (cosine) => clip(placed ? (cosine - strangers) / (1 - strangers) : cosine);
    const [low, high] = (pair ?? [1, 1]).map(place);
    const { t } = this;
    const said = placed ? t("identity_kept", { kept: Math.round(clip(kept)) }) : t("identity");
    text.textContent = said.slice(0, 1).toUpperCase() + said.slice(1);
    raw.textContent = t("raw", { value: this.receipt.identity_number });
    element.title = [`${this.receipt.identity_text}.`, t("identity_judge"),
      placed ? t("identity_strangers", { value: this.receipt.strangers_text }) : "",
      placed ? t("identity_band_kept", { low: Math.round(low), high: Math.round(high) }) : t("identity_band")].join(" ");
    element.classList.toggle("l2l-drifts", Boolean(this.receipt.drifts));
    // As beside a bar: the diamond stands for less than random edits of the size keep.
    element.classList.toggle("l2l-less", this.receipt.identity_against_band === "below");
    fill.style.left = `${place(identity)}%`;
    band.style.left = `${low}%`;
    band.style.width = `${high - low}%`;
  }

  changeOf(name) {
    if (!this.receipt) return 0;
    return this.receipt.achieved[name] ?? this.receipt.others[name] ?? 0;
  }

  drawChart() {
    const place = (change) => 50 + 50 * Math.max(-1, Math.min(1, change));
    for (const row of this.rows) this.drawBar(row, place);
    this.chart.setAttribute("aria-label", this.receipt?.sentences.join(" ") ?? this.t("nothing_measured"));
  }

  drawBar(row, place) {
    const { element, band, bar, want, amount } = this.bars.get(row.name);
    const change = this.changeOf(row.name);
    const { requested = {}, targets = {}, before = {}, along = {}, slipped = {}, stands_out = [] } = this.receipt ?? {};
    const asked = row.name in requested;
    const held = row.name in slipped;
    const wanted = row.name in targets ? targets[row.name] - before[row.name] : requested[row.name];
    const outside = held || (Math.abs(change) >= VISIBLE && stands_out.includes(row.name));
    const above = this.order.above.has(row.name) ? " l2l-above" : "";
    put(element, "className", `l2l-column l2l-${asked ? "asked" : outside ? "outside" : "inside"}${above}`);
    const span = (part, from, to) => {
      part.style.left = `${Math.min(from, to)}%`;
      part.style.width = `${Math.abs(to - from)}%`;
    };
    const [low, high] = this.receipt?.band[row.name] ?? [0, 0];
    span(band, place(low), place(high));
    span(bar, 50, place(change));
    want.hidden = !asked;
    if (asked) want.style.left = `${place(wanted)}%`;
    // Beside the track, where no band lies under it. Not by colour alone: beyond the band it wears a diamond, and
    // what was to be held wears the sign of all that failed.
    const number = asked || Math.abs(change) >= VISIBLE ? asChange({ ...row, unit: "" }, change).trim() : "";
    put(amount, "textContent", held ? `\u25b3${number}` : outside ? `\u25c6${number}` : number);
    const title = this.receipt
      ? this.t("bar", { label: row.label, change: asChange(row, change), low: asChange(row, low),
        high: asChange(row, high) })
        + (held ? ` ${this.t("not_held")}` : row.name in along ? ` ${this.t("is_along")}` : "")
      : row.label;
    put(element, "title", title);
  }
}
