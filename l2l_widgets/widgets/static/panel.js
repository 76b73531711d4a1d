// What the comparing instruments share: one-of-a-few controls, what is in sight, and amounts in a reader's unit.

/** A labelled control. */
function labelled(text, title, control) {
  return h("label", { class: "l2l-field", title }, h("span", {}, text), control);
}

/** One of a few, with the arrow keys: choices are [value, text, title]. */
class Choice {
  constructor(label, choices, onchoose) {
    this.onchoose = onchoose;
    this.buttons = new Map(choices.map(([value, text, title]) => [value, h("button", {
      type: "button", role: "radio", title, "aria-checked": "false", tabindex: -1,
      onclick: () => this.choose(value),
    }, text)]));
    this.element = h("div", { class: "l2l-choice", role: "radiogroup", "aria-label": label }, ...this.buttons.values());
    this.element.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const usable = [...this.buttons].filter(([, b]) => !b.disabled && !b.hidden).map(([value]) => value);
      this.choose(usable[(usable.indexOf(this.value) + step + usable.length) % usable.length]);
      this.buttons.get(this.value).focus();
    });
    this.set(choices[0][0]);
  }

  choose(value) {
    this.set(value);
    this.onchoose(value);
  }

  set(value) {
    this.value = value;
    for (const [own, b] of this.buttons) {
      b.setAttribute("aria-checked", String(own === value));
      b.tabIndex = own === value ? 0 : -1;
    }
  }
}

/** Tells whether an element can be seen: on the screen, in an open tab. */
class Sight {
  constructor(element, onchange) {
    this.inView = true;
    this.told = null;
    this.onchange = onchange;
    this.observer = new IntersectionObserver((entries) => {
      this.inView = entries[entries.length - 1].isIntersecting;
      this.tell();
    });
    this.observer.observe(element);
    this.onTab = () => this.tell();
    document.addEventListener("visibilitychange", this.onTab);
  }

  tell() {
    const visible = this.inView && !document.hidden;
    if (visible === this.told) return;
    this.told = visible;
    this.onchange(visible);
  }

  dispose() {
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.onTab);
  }
}

/** A change in attribute units in the row's unit, to a tenth where it is small: "+0.4 %". */
function asAmount(row, change) {
  const number = (row.high - row.low) * change;
  const text = Math.abs(number).toFixed(Math.abs(number) < 9.95 ? 1 : 0);
  const sign = Number(text) === 0 ? "" : number < 0 ? "\u2212" : "+";
  return `${sign}${text}${row.unit === "\u00b0" ? "" : "\u202f"}${row.unit}`;
}

/** Hundredths of the scale, as short as a cell: "12", "−3", "" for what rounds to nothing. */
function asHundredths(value, plus = "") {
  const rounded = Math.round(100 * value);
  return rounded === 0 ? "" : `${rounded < 0 ? "\u2212" : plus}${Math.abs(rounded)}`;
}

/** A colour between the paper and one of the two poles; `share` from -1 to 1. */
function poleColour(share) {
  const part = Math.round(100 * Math.min(1, Math.abs(share)));
  return `color-mix(in srgb, var(${share < 0 ? "--falls" : "--rises"}) ${part}%, var(--paper))`;
}
