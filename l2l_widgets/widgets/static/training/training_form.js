// The form of a new training: a recipe, its fields with what each may be, and what is wrong, at the field.

class TrainingForm {
  constructor(model, link) {
    this.model = model;
    this.link = link;
    this.fields = new Map();
    this.meaning = h("p", { class: "l2l-meaning", "aria-live": "polite" });
    this.recipe = h("select", {
      class: "l2l-input", "aria-label": t("tab_recipe"),
      onchange: () => link.post({ kind: "recipe", name: this.recipe.value }),
    });
    this.summary = h("p", { class: "l2l-hint" });
    this.folder = this.makeInput("folder", t("folder"), (value) => link.post({ kind: "folder", value }, true));
    this.plain = h("div", { class: "l2l-fields" });
    this.rest = h("div", { class: "l2l-fields" });
    this.count = h("summary", { class: "l2l-more" }, t("all_settings"));
    this.start = button(t("start"), "start", () => link.post({ kind: "start" }), {
      class: "l2l-button l2l-primary",
    });
    this.verdict = h("span", { class: "l2l-verdict", role: "status" });
    this.element = h(
      "section", { class: "l2l-form", "aria-label": t("new_training") },
      h("div", { class: "l2l-formhead" },
        h("label", { class: "l2l-field" }, h("span", { class: "l2l-field-name" }, t("tab_recipe")), this.recipe),
        this.folder.element),
      this.summary, this.plain, h("details", {}, this.count, this.rest), this.meaning,
      h("div", { class: "l2l-trainbar" }, this.start, this.verdict),
    );
  }

  update(form) {
    const names = form.recipes.map((r) => r.name).join();
    if (names !== this.names) {
      this.names = names;
      this.recipe.replaceChildren(...form.recipes.map((r) => h("option", { value: r.name }, r.name)));
    }
    if (form.recipe !== this.shown) this.lay(form);
    this.recipe.value = form.recipe;
    const chosen = form.recipes.find((r) => r.name === form.recipe);
    this.summary.textContent = chosen?.summary ? `${chosen.summary[0].toUpperCase()}${chosen.summary.slice(1)}.` : "";
    this.folder.input.placeholder = form.suggested;
    this.say(this.folder, form.wrong.folder, t("in_place", { place: form.place }));
    if (document.activeElement !== this.folder.input) this.folder.input.value = form.folder;
    for (const field of form.fields) {
      const view = this.fields.get(field.name);
      const changed = field.name in form.values;
      if (document.activeElement !== view.input) {
        view.input.value = changed ? form.values[field.name] : field.default;
      }
      view.element.classList.toggle("l2l-changed", changed);
      view.was.textContent = changed ? t("default", { default: field.default || t("empty") }) : "";
      this.say(view, form.wrong[field.name], field.limits);
    }
    const wrong = Object.keys(form.wrong).length;
    this.start.disabled = wrong > 0 || Boolean(form.missing);
    this.verdict.textContent = form.missing || (wrong
      ? t(wrong > 1 ? "settings_do_not_fit" : "setting_does_not_fit", { wrong }) : t("all_settings_fit"));
    this.verdict.classList.toggle("l2l-wrong", wrong > 0 || Boolean(form.missing));
  }

  lay(form) {
    this.shown = form.recipe;
    this.fields.clear();
    const made = (field) => {
      const view = this.makeInput(field.name, field.label, (value) =>
        this.link.post({ kind: "field", name: field.name, value }, field.kind !== "words"), field);
      this.fields.set(field.name, view);
      return view.element;
    };
    this.plain.replaceChildren(...form.fields.filter((f) => f.plain).map(made));
    const others = form.fields.filter((f) => !f.plain);
    this.rest.replaceChildren(...others.map(made));
    this.count.textContent = t("more_settings", { count: others.length });
  }

  makeInput(name, label, onValue, field = {}) {
    const id = `l2l-${Math.random().toString(36).slice(2)}`;
    const words = field.kind === "switch" ? ["true", "false"] : field.kind === "words" ? field.allowed : null;
    const props = {
      class: "l2l-input", "data-field": name, "aria-describedby": id, autocomplete: "off", spellcheck: "false",
    };
    const input = words
      ? h("select", props, ...words.map((w) => h("option", { value: w }, this.wordOf(field, w))))
      : h("input", { ...props, type: "text", inputmode: field.kind === "integer" ? "numeric" : null });
    input.addEventListener(words ? "change" : "input", () => onValue(input.value));
    const was = h("span", { class: "l2l-was" });
    const says = h("span", { class: "l2l-says", id });
    const meaning = (field.meaning ?? "").replaceAll("`", "");
    // The recipe's own name, as `--set` and a run's files have it, stays to be found in every language.
    const element = h("label", { class: "l2l-field", title: [field.name, meaning].filter(Boolean).join(": ") },
      h("span", { class: "l2l-field-name" }, label, was), input, says);
    // Room is kept for it, and it stays when the field is left: a form that moved under the mouse would
    // swallow the click on Start.
    input.addEventListener("focus", () => {
      const own = field.name && field.name.replaceAll("_", " ") !== label ? ` (${field.name})` : "";
      this.meaning.textContent = meaning ? `${label}${own}: ${meaning}` : "";
    });
    return { element, input, says, was };
  }

  wordOf(field, word) {
    if (field.kind !== "switch") return word;
    return t(word === "true" ? "on" : "off");
  }

  /** What a field may be, or, in its place, why the value is not that. */
  say(view, wrong, limits) {
    view.says.textContent = wrong ? `\u26a0 ${wrong}` : limits;
    view.says.classList.toggle("l2l-wrong", Boolean(wrong));
    if (wrong) view.input.setAttribute("aria-invalid", "true");
    else view.input.removeAttribute("aria-invalid");
  }
}
