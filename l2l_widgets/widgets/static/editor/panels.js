// What lies below the picture, one panel at a time: what moved, and behind tabs what else one can do.

/** Tabs with arrow keys; a panel that is not shown asks for nothing and costs nothing. */
class Tabs {
  constructor(t, panels) {
    this.panels = panels;
    this.tabs = panels.map(({ name, view }, i) => {
      const id = `l2l-${Math.random().toString(36).slice(2)}`;
      view.element.id = `${id}-panel`;
      view.element.classList.add("l2l-panel");
      view.element.setAttribute("role", "tabpanel");
      view.element.setAttribute("aria-labelledby", id);
      return h("button", {
        type: "button", role: "tab", id, class: "l2l-tab", "aria-controls": `${id}-panel`,
        dataset: { tab: name }, onclick: () => this.choose(i),
      }, t(`tab_${name}`));
    });
    this.list = h("div", { class: "l2l-tabs", role: "tablist", "aria-label": t("tabs") }, ...this.tabs);
    this.list.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -this.chosen, End: panels.length - 1 - this.chosen };
      if (!(event.key in step)) return;
      this.choose((this.chosen + step[event.key] + panels.length) % panels.length);
      this.tabs[this.chosen].focus();
      event.preventDefault();
    });
    this.element = h("div", { class: "l2l-tabbed" },
      h("div", { class: "l2l-tabrow" }, this.list), ...panels.map(({ view }) => view.element));
    this.choose(0);
  }

  get name() {
    return this.panels[this.chosen].name;
  }

  choose(index) {
    this.chosen = index;
    this.panels.forEach(({ view }, i) => {
      view.element.hidden = i !== index;
      this.tabs[i].setAttribute("aria-selected", String(i === index));
      this.tabs[i].tabIndex = i === index ? 0 : -1;
    });
    this.element.dataset.tab = this.name;
    this.panels[index].view.refresh?.();
  }

  chooseName(name) {
    this.choose(this.panels.findIndex((panel) => panel.name === name));
  }

  /** The panel that is open may have become out of date. */
  refresh() {
    this.panels[this.chosen].view.refresh?.();
  }
}

/** The picture as a text that replays it, and as Python. */
class RecipePanel {
  constructor(t, ask, faceName) {
    this.ask = ask;
    this.message = h("p", { class: "l2l-message", role: "alert" });
    const area = (label, props) => h("textarea", { spellcheck: "false", "aria-label": t(label), ...props });
    this.recipe = area("as_recipe", { oninput: () => this.compare() });
    this.code = area("as_code", { readonly: true });
    this.apply = button(t("apply"), "start", () => {
      this.message.textContent = "";
      this.ask({ kind: "recipe", text: this.recipe.value });
    });
    this.element = h("div", { class: "l2l-recipe" }, this.message,
      textHalves(this.recipe, this.code, "recipe_help", faceName, this.apply));
    this.compare();
  }

  refresh() {
    if (!this.isWritten) this.ask({ kind: "text", panel: "recipe" }, true);
  }

  /** Whether somebody pastes here: that is not written over, not by an answer on its way either. */
  get isWritten() {
    return document.activeElement === this.recipe && !this.apply.disabled;
  }

  show({ recipe, code, error }) {
    this.message.textContent = error ?? "";
    if (error) return;
    this.own = recipe;
    if (!this.isWritten) this.recipe.value = recipe;
    this.code.value = code;
    this.compare();
  }

  compare() {
    this.apply.disabled = !this.recipe.value.trim() || this.recipe.value === this.own;
  }
}

/** Edits under a name: those of the package, and one's own. */
class PresetPanel {
  constructor(t, ask) {
    this.t = t;
    this.ask = ask;
    this.message = h("p", { class: "l2l-message", role: "alert" });
    this.shipped = h("div", { class: "l2l-toggles" });
    this.own = h("div", { class: "l2l-toggles" });
    this.file = h("span", { class: "l2l-help" });
    this.name = h("input", {
      type: "text", maxlength: 40, placeholder: t("preset_name"), "aria-label": t("preset_name"),
      onkeydown: (event) => event.key === "Enter" && this.keep(),
    });
    this.element = h("div", { class: "l2l-presets" }, this.message,
      h("h4", {}, t("presets_shipped")), this.shipped,
      h("h4", {}, t("presets_own"), " ", this.file), this.own,
      h("div", { class: "l2l-buttons" }, this.name, button(t("keep_preset"), "save", () => this.keep())));
  }

  keep() {
    this.ask({ kind: "keep-preset", name: this.name.value }, true);
  }

  refresh() {
    this.ask({ kind: "presets" }, true);
  }

  show({ shipped, own, file, error }) {
    this.message.textContent = error ?? "";
    if (!shipped) return;
    if (own.some(({ name }) => name === this.name.value.trim())) this.name.value = "";
    const chip = ({ name, label }) => h("button", {
      type: "button", class: "l2l-toggle", dataset: { preset: name },
      onclick: () => this.ask({ kind: "preset", name }),
    }, label);
    this.shipped.replaceChildren(...shipped.map(chip));
    this.own.replaceChildren(...own.map((preset) => h("span", { class: "l2l-chip" }, chip(preset), h("button", {
      type: "button", class: "l2l-clear", "aria-label": this.t("remove_preset", { name: preset.label }),
      title: this.t("remove_preset", { name: preset.label }),
      onclick: () => this.ask({ kind: "remove-preset", name: preset.name }, true),
    }, "\u00d7"))));
    if (!own.length) this.own.append(h("span", { class: "l2l-help" }, this.t("no_own")));
    this.file.textContent = own.length ? this.t("preset_file", { file: file.split(/[\\/]/).at(-1) }) : "";
    this.file.title = file;
  }
}
