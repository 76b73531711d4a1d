// What every view does: say whether it can be seen, show what is wrong, hide its still, begin anew.

/** Tells the kernel whether this element can be seen, so that nothing is computed for nobody. */
class Showing {
  /** `client` is the name under which this page speaks to the kernel; `onShown` hears the same. */
  constructor(element, model, client, onShown) {
    // Not through the link: nobody waits for an answer, and a busy kernel is no fault here.
    this.send = (message) => sendQuietly(model, { ...message, client });
    this.inView = null;
    this.told = null;
    const isVisible = () => this.inView && !document.hidden;
    this.tell = () => {
      if (this.inView === null) return;
      const visible = isVisible();
      if (visible === this.told) return;
      this.told = visible;
      this.send({ kind: "visible", visible });
      onShown(visible);
    };
    // A little before it scrolls into view, so that it is there when it does.
    this.observer = new IntersectionObserver((entries) => {
      this.inView = entries.at(-1).isIntersecting;
      this.tell();
    }, { rootMargin: "120px" });
    this.observer.observe(element);
    document.addEventListener("visibilitychange", this.tell);
    // A tab that crashes never says goodbye: the kernel forgets a page that it no longer hears.
    this.timer = setInterval(() => isVisible() && this.send({ kind: "visible", visible: true }), Showing.REPEAT);
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
    clearInterval(this.timer);
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.tell);
    this.send({ kind: "gone" });
  }
}
Showing.REPEAT = 30_000;

/** The line in which a view says what is wrong, where it happened. */
class Message {
  constructor() {
    this.element = h("p", { class: "l2l-message", role: "alert" });
  }

  show(text) {
    if (this.element.textContent !== (text ?? "")) this.element.textContent = text ?? "";
  }

  setSilence(silent) {
    if (silent) this.show(t("no_answer"));
    else if (this.element.textContent === t("no_answer")) this.show("");
  }
}

/**
 * Have a model hear its kernel again; gives whether it was deaf. anywidget lets no message through, ever, of a model
 * whose script took more than two seconds to load, as where many views begin at once on a busy machine.
 */
async function hearAgain(model) {
  const whole = await model.widget_manager?.get_model(model.get("still"));
  if (!whole?._handle_comm_msg) return false;
  try {
    await whole._handle_comm_msg({ content: { data: {} } }); // says nothing
    return false;
  } catch {
    const plain = Object.getPrototypeOf(whole.constructor.prototype)._handle_comm_msg;
    whole.comm.on_msg((message) => plain.call(whole, message));
    whole.comm.send({ method: "request_state" }); // what was missed meanwhile
    return true;
  }
}

/**
 * Show a view, hide its still while it lives, and build it anew when the models, and with them its layout, change.
 * A view has `element`, `link` and `dispose()`, and `onShown(visible)` where it wants to know.
 */
function renderView(View, { model, el }) {
  speak(model.get("words"));
  const mark = `[title="${model.get("still")}"]`;
  const hide = `div:has(> ${mark}), .jp-OutputArea-child:has(${mark}) { display: none !important; }`;
  const open = () => {
    const view = new View(model);
    view.element.l2lLink = view.link; // for who must know when everything has been answered
    const showing = new Showing(view.element, model, view.link.client, (visible) => view.onShown?.(visible));
    return { view, showing };
  };
  const end = ({ view, showing }) => {
    showing.dispose();
    view.dispose();
  };
  let now = open();
  el.append(h("style", {}, hide), now.view.element);
  const acknowledge = () => now.view.link.acknowledge(model.get("answered"));
  const rebuild = () => {
    const old = now;
    now = open();
    old.view.element.replaceWith(now.view.element);
    end(old);
  };
  model.on("change:answered", acknowledge);
  model.on("change:schema", rebuild);
  hearAgain(model).then((wasDeaf) => wasDeaf && rebuild(), () => {}); // what it asked for went unanswered
  return () => {
    model.off("change:answered", acknowledge);
    model.off("change:schema", rebuild);
    end(now);
  };
}
