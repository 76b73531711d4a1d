// The receipt: what was asked for, what came, what else moved, and whether it is still the same person.

const STRIP = { top: 10, bottom: 92, labels: 88, left: 54, right: 4 };

// Where random edits hardly move an attribute the band is thinner than a line; a change of one in fifty of the
// scale is the least that is worth pointing at.
const VISIBLE = 0.02;

/** Bars for every attribute, always in the same place, so that the eye learns where to look. */
class ReceiptView {
  constructor(schema) {
    this.rows = schema.families.flatMap((family) => family.rows);
    this.byName = new Map(this.rows.map((row) => [row.name, row]));
    this.receipt = null;
    this.asked = h("div", { class: "l2l-asked-list" });
    this.summary = h("p", { class: "l2l-summary", "aria-live": "polite" });
    this.judges = h("span", { class: "l2l-judges" });
    this.identity = this.makeIdentity();
    this.strip = s("svg", { class: "l2l-strip", role: "img" });
    this.element = h(
      "section",
      { class: "l2l-receipt", "aria-label": "Receipt" },
      h("header", {}, h("h3", {}, "What moved"), this.judges, this.identity.element),
      this.asked,
      this.strip,
      this.summary,
    );
    this.observer = new ResizeObserver(() => this.drawStrip());
    this.observer.observe(this.element);
    this.update(null);
  }

  makeIdentity() {
    const fill = h("span", { class: "l2l-identity-fill" });
    const band = h("span", { class: "l2l-identity-band" });
    const text = h("span", { class: "l2l-identity-text" });
    const gauge = h("span", { class: "l2l-gauge", "aria-hidden": "true" }, band, fill);
    const title =
      "Similarity of the two faces to a judge of identity that trained nothing: 1 is the same " +
      "person. The grey part is what random edits of this size leave.";
    const element = h("div", { class: "l2l-identity", title }, text, gauge);
    return { element, fill, band, text };
  }

  /** A newer picture is up; the numbers below belong to the one before. */
  markStale(stale) {
    this.element.classList.toggle("l2l-stale", stale);
  }

  update(receipt) {
    this.receipt = receipt && !receipt.error && receipt.band ? receipt : null;
    this.markStale(false);
    this.drawAsked();
    this.drawIdentity();
    this.drawStrip();
    this.summary.textContent = this.receipt
      ? this.describe()
      : receipt?.error || "Move a slider: here you will see what else moved with it.";
    const judge = this.receipt?.judges?.attribute;
    this.judges.textContent = judge ? "read by a second judge" : "";
    this.judges.title = judge ? Object.values(this.receipt.judges).join("; ") : "";
  }

  drawAsked() {
    const asked = this.receipt
      ? Object.entries(this.receipt.requested).filter(([name]) => this.byName.has(name)) : [];
    const scale = Math.max(0.2, ...asked.flatMap(([name, want]) => [
      Math.abs(want), Math.abs(this.receipt.achieved[name] ?? 0)]));
    const place = (change) => 50 + (46 * change) / scale;
    this.asked.replaceChildren(
      ...asked.map(([name, want]) => {
        const row = this.byName.get(name);
        const came = this.receipt.achieved[name] ?? 0;
        const from = Math.min(50, place(came));
        const bar = h("span", { class: "l2l-came" });
        bar.style.left = `${from}%`;
        bar.style.width = `${Math.abs(place(came) - 50)}%`;
        const mark = h("span", { class: "l2l-want" });
        mark.style.left = `${place(want)}%`;
        const unit = row.unit === "°" ? "°" : `\u202f${row.unit}`;
        const text = `${asChange(row, came).replace(unit, "")} of ${asChange(row, want)}`;
        return h(
          "div",
          { class: "l2l-asked-row" },
          h("span", { class: "l2l-asked-name" }, row.label),
          h("span", { class: "l2l-track", "aria-hidden": "true" }, bar, mark),
          h("span", { class: "l2l-asked-text" }, text),
        );
      }),
    );
  }

  drawIdentity() {
    const { element, fill, band, text } = this.identity;
    const value = this.receipt?.identity;
    element.hidden = value === null || value === undefined;
    if (element.hidden) return;
    text.textContent = `same person ${value.toFixed(2)}`;
    fill.style.left = `${Math.max(0, Math.min(1, value)) * 100}%`;
    const [low, high] = this.receipt.identity_band ?? [0, 0];
    const clip = (x) => Math.max(0, Math.min(1, x)) * 100;
    band.style.left = `${clip(low)}%`;
    band.style.width = `${clip(high) - clip(low)}%`;
  }

  changeOf(name) {
    if (!this.receipt) return 0;
    return this.receipt.achieved[name] ?? this.receipt.others[name] ?? 0;
  }

  /** Attributes that moved beyond the band and by enough to be seen, the farthest first. */
  get outside() {
    const beyond = this.receipt?.outside_band ?? [];
    return beyond.filter((name) => this.byName.has(name) && Math.abs(this.changeOf(name)) >= VISIBLE);
  }

  drawStrip() {
    const width = Math.max(300, this.element.clientWidth);
    const height = STRIP.bottom + STRIP.labels;
    const pitch = (width - STRIP.left - STRIP.right) / this.rows.length;
    const largest = Math.max(0, ...this.rows.map((row) => Math.abs(this.changeOf(row.name))));
    const top = [0.1, 0.2, 0.5, 1].find((step) => largest <= step) ?? 1;
    const middle = (STRIP.top + STRIP.bottom) / 2;
    const y = (change) => middle - (Math.max(-top, Math.min(top, change)) / top) * (middle - STRIP.top);
    const parts = [];
    for (const level of [top, 0, -top]) {
      const line = { x1: STRIP.left, x2: width - STRIP.right, y1: y(level), y2: y(level) };
      parts.push(s("line", { class: level ? "l2l-grid" : "l2l-zero", ...line }));
      const label = s("text", { class: "l2l-tick", x: STRIP.left - 6, y: y(level) + 4 });
      const sign = level > 0 ? "+" : level < 0 ? "\u2212" : "";
      label.textContent = level ? `${sign}${Math.round(Math.abs(level) * 100)} %` : "0";
      parts.push(label);
    }
    this.rows.forEach((row, i) => {
      parts.push(this.makeColumn(row, STRIP.left + i * pitch, pitch, y));
    });
    this.strip.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.strip.setAttribute("height", height);
    this.strip.setAttribute("aria-label", this.receipt ? this.describe() : "Nothing measured yet");
    this.strip.replaceChildren(...parts);
  }

  makeColumn(row, x, pitch, y) {
    const name = row.name;
    const change = this.changeOf(name);
    const asked = Boolean(this.receipt && name in this.receipt.requested);
    const outside = this.outside.includes(name);
    const kind = asked ? "asked" : outside ? "outside" : "inside";
    const column = s("g", { class: `l2l-column l2l-${kind}`, "data-attribute": name });
    const center = x + pitch / 2;
    const [low, high] = this.receipt?.band?.[name] ?? [0, 0];
    const band = { x: x + 1, width: pitch - 2, y: y(high), height: Math.max(0, y(low) - y(high)) };
    column.append(s("rect", { class: "l2l-band", ...band }));
    const thick = Math.max(4, pitch * 0.44);
    const bar = { x: center - thick / 2, width: thick, y: Math.min(y(0), y(change)) };
    column.append(s("rect", { class: "l2l-bar", ...bar, height: Math.abs(y(change) - y(0)), rx: 1 }));
    if (outside) {
      // Not by colour alone: a bar beyond the band wears a diamond at its end.
      const tip = y(change) + (change > 0 ? -6 : 6);
      const path = `M${center} ${tip - 4}l4 4-4 4-4-4z`;
      column.append(s("path", { class: "l2l-diamond", d: path }));
    }
    if (asked) {
      const want = y(this.receipt.requested[name]);
      column.append(s("line", { class: "l2l-wanted", x1: x + 1, x2: x + pitch - 1, y1: want, y2: want }));
    }
    const label = s("text", {
      class: "l2l-name",
      transform: `translate(${center + 4} ${STRIP.bottom + 8}) rotate(-90)`,
    });
    label.textContent = row.label;
    const title = s("title");
    title.textContent = this.receipt
      ? `${row.label}: ${asChange(row, change)} (random edits of this size: ` +
        `${asChange(row, low)} to ${asChange(row, high)})`
      : row.label;
    column.append(label, title);
    return column;
  }

  /** The receipt in one sentence; read aloud by screen readers, and readable from the last row. */
  describe() {
    const name = (key) => this.byName.get(key).label;
    const asked = Object.keys(this.receipt.requested);
    if (!asked.length) return "Nothing is asked for: before and after are the same face.";
    const outside = this.outside;
    const moved = (key) => `${name(key)} ${asChange(this.byName.get(key), this.changeOf(key))}`;
    const list = outside.slice(0, 4).map(moved).join(", ");
    const more = outside.length > 4 ? ` and ${outside.length - 4} more` : "";
    const others = outside.length
      ? `Also moved, more than a random edit of this size would: ${list}${more}.`
      : "Nothing else moved more than a random edit of this size would move it.";
    return others;
  }

  dispose() {
    this.observer.disconnect();
  }
}
