// What can be taken home of a face that a view shows: a text that draws it again, a picture with that text inside.

/** A button that copies a text; where the page may not, the text is selected for Ctrl+C. */
function copyButton(area) {
  const copy = button(t("copy"), "copy", async () => {
    area.select();
    const done = await navigator.clipboard?.writeText(area.value).then(() => true, () => false);
    copy.querySelector("span").textContent = done ? t("copied") : t("press_copy");
    setTimeout(() => (copy.querySelector("span").textContent = t("copy")), 1500);
  });
  return copy;
}

function downloadButton(area, name) {
  return button(t("download"), "save", () => {
    const url = URL.createObjectURL(new Blob([area.value], { type: "text/plain" }));
    h("a", { href: url, download: name() }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
}

/**
 * A face as recipe and as Python, side by side: `help` is the phrase about the recipe, `name()` what their files are
 * called, `more` are further buttons of the recipe.
 */
function textHalves(recipe, code, help, name, ...more) {
  const half = (title, about, area, ...buttons) =>
    h("div", { class: "l2l-half" }, h("h4", { title: t(about) }, t(title)), area, h("div", { class: "l2l-buttons" }, ...buttons));
  return h("div", { class: "l2l-halves" },
    half("as_recipe", help, recipe, copyButton(recipe), downloadButton(recipe, () => `${name()}.json`), ...more),
    half("as_code", "code_help", code, copyButton(code), downloadButton(code, () => `${name()}.py`)));
}

/** The two acts on the faces of a view, and the place in which their outcome stands. */
class TakeHome {
  /** `link` is the line to the kernel. */
  constructor(model, link) {
    this.model = model;
    this.link = link;
    this.saved = h("p", { class: "l2l-taken-saved", role: "status" });
    const area = (label) => h("textarea", { readonly: true, spellcheck: "false", rows: 9, "aria-label": t(label) });
    this.recipe = area("as_recipe");
    this.code = area("as_code");
    this.title = h("strong", {});
    const close = h("button", { type: "button", class: "l2l-clear", "aria-label": t("close"), title: t("close"), onclick: () => this.close() }, "\u00d7");
    this.texts = h("section", { class: "l2l-taken", hidden: true, "aria-label": t("as_code") },
      h("div", { class: "l2l-taken-head" }, this.title, close),
      textHalves(this.recipe, this.code, "recipe_replays", () => this.title.textContent.trim().replace(/[^\p{L}\p{N}+-]+/gu, "-")));
    this.texts.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
    this.element = h("div", { class: "l2l-takehome" }, this.saved, this.texts);
    this.handlers = [["msg:custom", (content) => this.hear(content)], ["change:notice", () => this.showSaved(model.get("notice"))]];
    for (const [event, handler] of this.handlers) model.on(event, handler);
    this.showSaved(model.get("notice"));
  }

  /** The two buttons of one face: `name()` says whose, `fields()` tells the kernel. */
  buttons(name, fields) {
    const one = (kind, key, help, icon) => {
      const act = button(t(key), icon, () => this.ask(act, { kind, ...fields() }), { class: "l2l-button l2l-take", title: t(help), dataset: { take: kind } });
      return [act, t(key)];
    };
    const both = [one("text", "as_code", "code_help", "copy"), one("save", "save", "save_title", "save")];
    const group = h("span", { class: "l2l-takes" }, ...both.map(([act]) => act));
    group.rename = () => both.forEach(([act, words]) => act.setAttribute("aria-label", `${words}: ${name()}`));
    group.rename();
    return group;
  }

  ask(from, message) {
    this.saved.textContent = "";
    if (message.kind === "text") this.from = from;
    this.link.post(message);
  }

  /** The answer to "as code"; another page's is its own business. */
  hear({ type, client, what, recipe, code }) {
    if (type !== "text" || client !== this.link.client) return;
    this.title.textContent = what;
    this.recipe.value = recipe;
    this.code.value = code;
    this.texts.hidden = false;
    for (const area of [this.recipe, this.code]) {
      area.setSelectionRange(0, 0);
      area.scrollTop = 0;
    }
    this.code.focus();
    this.texts.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.texts.hidden = true;
    if (this.from?.isConnected) this.from.focus();
  }

  showSaved(notice) {
    if (!notice?.path) return;
    this.saved.replaceChildren(`${t("saved")} `, h("code", { title: notice.path }, notice.name), " ",
      h("span", { class: "l2l-soft" }, t("saved_in", { folder: notice.folder })));
  }

  dispose() {
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
  }
}
