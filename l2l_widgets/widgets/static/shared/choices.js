// Controls that several views have: one of a few, a number, a seed; and amounts in a reader's unit.

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
    this.element = h("div", { class: "l2l-segments", role: "radiogroup", "aria-label": label }, ...this.buttons.values());
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

/** A row of buttons of which one is on: `[[value, label, title], ...]`. */
class Segments {
  constructor(label, choices, onChoose) {
    this.buttons = new Map();
    this.element = h("div", { class: "l2l-segments", role: "group", "aria-label": label });
    for (const [value, text, title] of choices) {
      const one = h("button", { type: "button", title, onclick: () => onChoose(value) }, text);
      this.buttons.set(value, one);
      this.element.append(one);
    }
  }

  set(value) {
    for (const [own, one] of this.buttons) one.setAttribute("aria-pressed", String(own === value));
  }
}

/** A number field that takes what is typed with Enter or on leaving it. */
function numberField(label, props, onTake) {
  const field = h("input", { type: "number", "aria-label": label, ...props });
  let taken = "";
  const take = () => {
    if (field.value === taken) return;
    taken = field.value;
    onTake(field.value);
  };
  field.addEventListener("change", take);
  field.addEventListener("keydown", (event) => event.key === "Enter" && take());
  field.put = (value) => {
    if (document.activeElement === field && field.value !== taken) return; // somebody is typing
    field.value = taken = value === null || value === undefined ? "" : String(value);
  };
  return field;
}

/** A seed as a number where it is one; the kernel judges it, in the same words everywhere. */
function asSeed(text) {
  return /^[+-]?\d+$/.test(String(text).trim()) ? Number(text) : String(text);
}

/** A change in attribute units in the row's unit, to a tenth where it is small: "+0.4 %". */
function asAmount(row, change) {
  const number = (row.high - row.low) * change;
  const text = fixed(Math.abs(number), Math.abs(number) < 9.95 ? 1 : 0);
  const sign = /^[0.,]+$/.test(text) ? "" : number < 0 ? "\u2212" : "+";
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
