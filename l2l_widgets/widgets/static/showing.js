// What every view of a shared face does: say whether it can be seen, show what is wrong, hide its still.

/** Tells the kernel whether this element can be seen, so that nothing is computed for nobody. */
class Showing {
  /** `client` is the name under which this page speaks to the kernel. */
  constructor(element, model, client) {
    // Not through the link: nobody waits for an answer, and a busy kernel is no fault here.
    this.send = (message) => model.send({ ...message, client });
    this.inView = null;
    this.told = null;
    this.tell = () => {
      if (this.inView === null) return;
      const visible = this.inView && !document.hidden;
      if (visible === this.told) return;
      this.told = visible;
      this.send({ kind: "visible", visible });
    };
    // A little before it scrolls into view, so that it is there when it does.
    this.observer = new IntersectionObserver((entries) => {
      this.inView = entries.at(-1).isIntersecting;
      this.tell();
    }, { rootMargin: "120px" });
    this.observer.observe(element);
    document.addEventListener("visibilitychange", this.tell);
    element.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") this.handOn(event, element);
    });
  }

  /** Give Ctrl+S to the notebook, which hears of no key that is pressed on a control: see `elements.js`. */
  handOn(event, element) {
    const { key, code, keyCode, ctrlKey, metaKey, shiftKey, altKey } = event;
    const keys = { key, code, keyCode, ctrlKey, metaKey, shiftKey, altKey };
    const outside = element.parentElement ?? document.body;
    outside.dispatchEvent(new KeyboardEvent("keydown", { ...keys, bubbles: true, cancelable: true }));
    event.preventDefault();
  }

  dispose() {
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.tell);
    try {
      this.send({ kind: "gone" });
    } catch {
      // The kernel went first.
    }
  }
}

const SILENT =
  "The kernel does not answer: it is busy with a cell, or it was stopped or restarted. " +
  "If so, choose Run \u2192 Run All Cells.";

/** The line in which a view says what is wrong, where it happened. */
class Message {
  constructor() {
    this.element = h("p", { class: "l2l-message", role: "alert" });
  }

  show(text) {
    if (this.element.textContent !== (text ?? "")) this.element.textContent = text ?? "";
  }

  setSilence(silent) {
    if (silent) this.show(SILENT);
    else if (this.element.textContent === SILENT) this.show("");
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
  return /^\d+$/.test(String(text).trim()) ? Number(text) : String(text);
}

/** Show a view, and build it anew when the models, and with them its layout, change. */
function renderView(View, { model, el }) {
  const key = model.get("schema").still;
  const still = `img[alt*="${key}"]`;
  const hide = `${still}, .jp-OutputArea-child:has(${still}) { display: none !important; }`;
  let view = new View(model);
  el.append(h("style", {}, hide), view.element);
  const rebuild = () => {
    const next = new View(model);
    view.element.replaceWith(next.element);
    view.dispose();
    view = next;
  };
  model.on("change:schema", rebuild);
  return () => {
    model.off("change:schema", rebuild);
    view.dispose();
  };
}
