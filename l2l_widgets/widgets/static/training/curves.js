// Small curves, one a loss: each on its own scale, because their sizes differ and their shapes are the point.

const CURVE = { width: 168, height: 56, pad: 4 };

/** Seconds as a person says them: "40 s", "12 min", "3 h 10 min". */
function asDuration(seconds) {
  if (seconds < 90) return t("seconds", { count: Math.ceil(seconds) });
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? t("minutes", { count: minutes }) : t("hours", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

class CurvesView {
  constructor() {
    this.curves = new Map();
    this.element = h("div", { class: "l2l-curves" });
  }

  update({ steps = [], losses = {}, labels = {} }, total) {
    for (const [name, values] of Object.entries(losses)) {
      if (!this.curves.has(name)) this.curves.set(name, this.makeCurve(name, labels[name] ?? name));
      this.drawCurve(this.curves.get(name), steps, values, total);
    }
    for (const [name, curve] of this.curves) {
      if (name in losses) continue;
      curve.element.remove();
      this.curves.delete(name);
    }
  }

  makeCurve(name, label) {
    const value = h("span", { class: "l2l-curve-value" });
    const line = s("path", { class: "l2l-curve-line" });
    const svg = s("svg", {
      viewBox: `0 0 ${CURVE.width} ${CURVE.height}`, class: "l2l-curve", role: "img",
      preserveAspectRatio: "none",
    }, line);
    const plot = h("div", { class: "l2l-curve-plot" }, svg);
    // Where there is no room for all of it, and in every language, the name that the run's files have.
    const title = label === name.replaceAll("_", " ") ? name : `${label} (${name})`;
    const head = h("div", { class: "l2l-curve-head" }, h("span", { title }, label), value);
    const element = h("div", { class: name === "loss" ? "l2l-total" : "" }, head, plot);
    // The sum of all comes first: it is what the training lowers.
    if (name === "loss") this.element.prepend(element);
    else this.element.append(element);
    return { element, value, line, svg, label };
  }

  drawCurve(curve, steps, values, total) {
    const points = steps.map((step, i) => [step, values[i]]).filter(([, v]) => v !== null && v !== undefined);
    if (!points.length) return;
    const numbers = points.map(([, v]) => v);
    const [low, high] = [Math.min(0, ...numbers), Math.max(...numbers)];
    const span = high - low || 1;
    const x = (step) => CURVE.pad + (step / total) * (CURVE.width - 2 * CURVE.pad);
    const y = (v) => CURVE.height - CURVE.pad - ((v - low) / span) * (CURVE.height - 2 * CURVE.pad);
    const path = points.map(([step, v], i) => `${i ? "L" : "M"}${x(step).toFixed(1)} ${y(v).toFixed(1)}`);
    curve.line.setAttribute("d", path.join(""));
    const last = numbers.at(-1);
    const text = (v) => (v !== 0 && Math.abs(v) < 1e-3 ? v.toExponential(1).replace(".", decimal) : precise(v, 3));
    curve.value.textContent = text(last);
    curve.svg.setAttribute("aria-label", t("from_to", { label: curve.label, first: text(numbers[0]), last: text(last) }));
  }
}
