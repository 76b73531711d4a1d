// Two recipes side by side: both faces, what differs, and whether it is one person.

class PairPanel {
  constructor(t, ask) {
    this.t = t;
    this.ask = ask;
    this.urls = [];
    this.message = h("p", { class: "l2l-message", role: "alert" });
    this.slots = { a: this.makeSlot("a"), b: this.makeSlot("b") };
    this.verdict = h("p", { class: "l2l-verdict", role: "status" });
    this.bars = h("ul", { class: "l2l-differences" });
    this.fields = h("p", { class: "l2l-help" });
    this.element = h("div", { class: "l2l-pair" },
      this.slots.a.element, this.slots.b.element,
      h("div", { class: "l2l-found" }, this.message, this.verdict, this.bars, this.fields));
    this.say(t("pair_help"));
  }

  makeSlot(name) {
    const { t } = this;
    const image = h("img", { class: "l2l-slot-picture", alt: "", hidden: true });
    const empty = h("span", { class: "l2l-slot-empty" }, t("slot_empty"));
    const text = h("textarea", {
      rows: 3, spellcheck: "false", "aria-label": `${t("slot", { name: name.toUpperCase() })}: ${t("paste")}`,
      placeholder: t("paste"), onchange: () => this.set(name, text.value),
    });
    const take = button(t("use_this"), null, () => this.ask({ kind: "text", panel: "pair", slot: name }, true), {
      class: "l2l-button l2l-take", dataset: { slot: name },
    });
    const element = h("div", { class: "l2l-slot", role: "group", "aria-label": t("slot", { name: name.toUpperCase() }) },
      h("div", { class: "l2l-slot-frame" }, h("span", { class: "l2l-slot-name" }, name.toUpperCase()), image, empty),
      take, h("details", {}, h("summary", {}, t("paste")), text));
    return { element, image, empty, text, recipe: "" };
  }

  set(name, recipe) {
    this.slots[name].recipe = recipe.trim();
    this.slots[name].text.value = recipe;
    this.slots[name].empty.textContent = recipe.trim() ? "\u2026" : this.t("slot_empty");
    const { a, b } = this.slots;
    // One alone is compared with itself: its picture is there at once.
    const [first, second] = [a.recipe || b.recipe, b.recipe || a.recipe];
    if (first) this.ask({ kind: "pair", a: first, b: second }, true);
  }

  say(text) {
    this.verdict.textContent = text;
  }

  show(answer, buffers) {
    if (answer.slot) {
      this.set(answer.slot, answer.recipe);
      return;
    }
    this.message.textContent = answer.error ?? "";
    if (answer.error) return;
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.urls = buffers.map((data) => URL.createObjectURL(new Blob([data], { type: "image/jpeg" })));
    const slots = [this.slots.a, this.slots.b];
    slots.forEach((slot, i) => {
      slot.image.hidden = !slot.recipe;
      slot.empty.hidden = Boolean(slot.recipe);
      if (slot.recipe) slot.image.src = this.urls[i];
    });
    const both = slots.every((slot) => slot.recipe);
    this.bars.hidden = this.fields.hidden = !both;
    if (!both) {
      this.say(this.t("pair_help"));
      return;
    }
    const { identity, strangers, differences, fields } = answer;
    this.verdict.replaceChildren(...(identity === null ? [] : [
      h("strong", {}, this.t("identity_between", { value: identity })), " ",
      h("span", { class: "l2l-help" }, this.t("one_person", { strangers: strangers ?? "\u2013" }))]));
    this.bars.replaceChildren(...differences.map(({ label, change }) => {
      const share = 50 * Math.abs(change); // of the whole range, as under "What moved"
      const bar = h("span", { class: "l2l-difference-bar",
        style: `left:${change < 0 ? 50 - share : 50}%;width:${share}%` });
      return h("li", {}, h("span", { class: "l2l-name" }, label),
        h("span", { class: "l2l-track" }, bar),
        h("span", { class: "l2l-difference-number" }, asChange({ low: 0, high: 100, unit: "%" }, change)));
    }));
    this.bars.append(differences.length
      ? h("li", {}, h("span", { class: "l2l-help l2l-pair-scale" }, this.t("scale")))
      : h("li", {}, this.t("no_difference")));
    const names = Object.entries(fields);
    this.fields.textContent = names.length === 1 ? this.t("field_differs")
      : names.length ? this.t("fields_differ", { count: names.length }) : "";
    this.fields.title = names.map(([name, [a, b]]) => `${name}: ${a} \u2192 ${b}`).join("\n");
  }

  dispose() {
    for (const url of this.urls) URL.revokeObjectURL(url);
  }
}
