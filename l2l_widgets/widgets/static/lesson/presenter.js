// Presenter: a large face, large words, and a key for each step.

const PRESENTER_KEYS = {
  ArrowRight: "next", " ": "next", PageDown: "next", Enter: "next",
  ArrowLeft: "previous", PageUp: "previous", Backspace: "previous", Home: "first", End: "last",
};

class PresenterView {
  constructor(model) {
    this.model = model;
    this.link = new Link(model, (silent) => this.setSilence(silent));
    this.face = new PictureView("face", t("the_face_of_this_step"));
    this.face.frame.dataset.before = t("before");
    this.now = new PictureQueue((source) => this.take("after", source));
    this.was = new PictureQueue((source) => this.take("before", source));
    this.pictures = {};
    this.above = h("p", { class: "l2l-above" });
    this.head = h("h2", {});
    this.rest = h("p", { class: "l2l-rest" });
    this.asked = h("p", { class: "l2l-asked" });
    this.moved = h("p", { class: "l2l-moved", hidden: true });
    this.strayedText = h("span", {});
    this.strayed = h("p", { class: "l2l-strayed", role: "status", hidden: true }, this.strayedText,
      button(t("back_to_this_step"), "undo", () => this.link.post({ kind: "back" }), { title: t("the_face_that_these_words") }));
    this.error = h("p", { class: "l2l-error", role: "alert", hidden: true });
    this.where = h("span", { class: "l2l-where" });
    this.dots = h("div", { class: "l2l-dots", "aria-hidden": "true" });
    const go = (kind) => () => this.link.post({ kind });
    this.back = button(t("back"), null, go("previous"), { title: t("left_arrow") });
    this.next = button(t("next"), null, go("next"), { title: t("right_arrow_space_or_a") });
    this.compare = button(t("before_button"), null, () => {}, { title: t("hold_or_hold_the_key"), "aria-pressed": "false" });
    this.what = button(t("what_moved"), null, () => this.toggleMoved(), { title: t("key_m"), "aria-pressed": "false" });
    this.large = button(t("full_screen"), null, () => this.toggleScreen(), { title: t("key_f") });
    this.element = h(
      "div", { class: "l2l l2l-presenter", tabindex: "0", role: "group", "aria-label": t("presentation") },
      h("div", { class: "l2l-stage" }, this.face.frame,
        h("div", { class: "l2l-words", "aria-live": "polite" },
          this.above, this.head, this.rest, this.asked, this.strayed, this.error, this.moved)),
      h("div", { class: "l2l-controls" }, this.back, this.dots, this.where, this.what, this.compare, this.large,
        this.next),
    );
    // Lab's one-key commands stop at this attribute: an arrow is a step here, not a move through cells.
    this.element.dataset.lmSuppressShortcuts = "true";
    for (const [event, held] of [["pointerdown", true], ["pointerup", false], ["pointerleave", false]]) {
      this.compare.addEventListener(event, () => this.hold(held));
    }
    // On a page of its own (Voila) no click is needed first; inside a notebook other cells have keys too.
    this.alone = !document.querySelector(".jp-NotebookPanel");
    this.keyboard = this.alone ? document : this.element;
    this.onKey = (event) => this.key(event, true);
    this.onKeyUp = (event) => this.key(event, false);
    this.keyboard.addEventListener("keydown", this.onKey);
    this.keyboard.addEventListener("keyup", this.onKeyUp);
    this.onScreen = () => this.element.classList.toggle("l2l-full", document.fullscreenElement === this.element);
    document.addEventListener("fullscreenchange", this.onScreen);
    this.handlers = ["slide", "before", "after", "moved", "title"].map((name) => {
      const handler = () => this.sync(name, model.get(name));
      model.on(`change:${name}`, handler);
      handler();
      return [name, handler];
    });
  }

  sync(name, value) {
    if (name === "slide") this.showSlide(value);
    else if (name === "title") this.above.textContent = value;
    else if (name === "moved") this.showMoved(value);
    else if (value.data) (name === "after" ? this.now : this.was).push(value);
  }

  take(which, source) {
    this.pictures[which] = source;
    this.draw();
  }

  draw() {
    const source = this.held && this.pictures.before ? this.pictures.before : this.pictures.after;
    if (source) this.face.show(source);
    this.element.dataset.shows = this.held ? "before" : "after";
  }

  showSlide(slide) {
    if (slide.count === undefined) return;
    this.head.textContent = slide.head;
    this.rest.textContent = slide.rest;
    this.asked.textContent = slide.asked;
    this.strayedText.textContent = slide.strayed;
    this.strayed.hidden = !slide.strayed;
    this.error.textContent = slide.error ? `\u26a0 ${slide.error}` : "";
    this.error.hidden = !slide.error;
    this.where.textContent = t("of", { at: slide.at + 1, count: slide.count });
    this.back.disabled = slide.at === 0;
    this.next.disabled = slide.at === slide.count - 1;
    if (this.dots.childElementCount !== slide.count) {
      this.dots.replaceChildren(...Array.from({ length: slide.count }, () => h("i", {})));
    }
    [...this.dots.children].forEach((dot, i) => dot.classList.toggle("l2l-here", i === slide.at));
    this.element.dataset.at = slide.at;
    this.element.dataset.stamp = slide.stamp;
  }

  setSilence(silent) {
    this.error.textContent = silent ? `\u26a0 ${t("no_answer")}` : "";
    this.error.hidden = !silent;
  }

  showMoved(text) {
    this.moved.textContent = text || t("measuring_step");
    this.moved.dataset.ready = String(Boolean(text));
  }

  toggleMoved() {
    this.moved.hidden = !this.moved.hidden;
    this.what.setAttribute("aria-pressed", String(!this.moved.hidden));
  }

  hold(held) {
    this.held = held;
    this.compare.setAttribute("aria-pressed", String(held));
    this.draw();
  }

  toggleScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.element.requestFullscreen?.().catch(() => {});
    this.element.focus();
  }

  /** Whether a key without a goal is for this one: of several, the one that fills most of the window. */
  isMeant(event) {
    if (!this.alone || this.element.contains(event.target)) return true;
    const all = [...document.querySelectorAll(".l2l-presenter")];
    if (all.some((other) => other.contains(event.target))) return false;
    const seen = (element) => {
      const { top, bottom } = element.getBoundingClientRect();
      return Math.min(bottom, window.innerHeight) - Math.max(top, 0);
    };
    return all.every((other) => seen(other) <= seen(this.element));
  }

  key(event, down) {
    if (!this.isMeant(event)) return;
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    // Another view on the page has keys of its own: an arrow on its slider is no step of the lesson.
    const inside = this.element.contains(event.target);
    if (!inside && event.target.closest?.(".l2l, input, select, textarea, button")) return;
    const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    // A focused button answers space and Enter itself: one press, one step.
    const own = event.target.tagName === "BUTTON" && [" ", "Enter"].includes(event.key);
    if (pressed === "b") this.hold(down);
    else if (down && pressed === "m" && !event.repeat) this.toggleMoved();
    else if (down && pressed === "f" && !event.repeat) this.toggleScreen();
    else if (PRESENTER_KEYS[event.key] && !own) {
      if (down) this.link.post({ kind: PRESENTER_KEYS[event.key] });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  dispose() {
    this.keyboard.removeEventListener("keydown", this.onKey);
    this.keyboard.removeEventListener("keyup", this.onKeyUp);
    document.removeEventListener("fullscreenchange", this.onScreen);
    for (const [name, handler] of this.handlers) this.model.off(`change:${name}`, handler);
    this.face.dispose();
    this.link.dispose();
  }
}

export default { render: (context) => renderView(PresenterView, context) };
