// EditorGrid: one card a method, all on one scale; letters instead of names where the vote is blind.

class GridView {
  constructor(model) {
    this.model = model;
    this.schema = model.get("schema");
    this.rows = new Map(this.schema.attributes.map((row) => [row.name, row]));
    this.link = new Link(model, (silent) => this.message.setSilence(silent));
    this.cards = new Map();
    this.message = new Message();
    this.note = h("p", { class: "l2l-gridnote", role: "status", hidden: true });
    this.said = h("p", { class: "l2l-said", role: "status", "aria-live": "polite" });
    this.before = new PictureView("before", t("before_description"));
    this.queue = new PictureQueue((source) => this.before.show(source));
    this.home = new TakeHome(model, this.link);
    this.list = h("div", { class: "l2l-cards", role: "list", "aria-label": t("methods_list") });
    this.tally = h("p", { class: "l2l-stamp l2l-tally" });
    this.beforeCard = h("div", { class: "l2l-card l2l-beforecard", role: "listitem" },
      this.before.frame, h("strong", { class: "l2l-card-title" }, t("before")));
    this.none = h("div", { class: "l2l-none-reasons" });
    this.element = h("div", { class: "l2l l2l-editorgrid" }, this.makeBar(), this.message.element, this.note, this.list, this.none,
      this.home.element, h("div", { class: "l2l-gridfoot" }, this.said, this.tally));
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.handlers = GridView.TRAITS.map((name) => [`change:${name}`, () => this.sync(name)]);
    for (const [event, handler] of this.handlers) model.on(event, handler);
    for (const name of GridView.TRAITS) this.sync(name);
  }

  makeBar() {
    const families = new Map();
    for (const row of this.schema.attributes) {
      if (!families.has(row.family)) families.set(row.family, []);
      families.get(row.family).push(h("option", { value: row.name }, row.label));
    }
    this.name = h("select", { "aria-label": t("attribute"), onchange: () => this.ask() },
      ...[...families].map(([label, options]) => h("optgroup", { label }, ...options)));
    const limit = this.schema.slider;
    this.change = h("input", { type: "range", min: -limit, max: limit, step: 0.05, class: "l2l-change",
      "aria-label": t("change_to_be_achieved"), oninput: () => this.showChange(Number(this.change.value)), onchange: () => this.ask(),
      onpointerdown: () => { this.held = true; } });
    for (const end of ["pointerup", "pointercancel", "blur"]) {
      this.change.addEventListener(end, () => {
        this.held = false;
        setTimeout(() => this.showRequest()); // after the change that ends a drag, if there was one
      });
    }
    this.amount = h("output", {});
    this.others = h("span", {});
    this.take = button(t("from_the_sliders"), null, () => this.link.post({ kind: "take" }), {
      title: t("take_what_the_face_editor") });
    this.next = button(t("new_face"), "dice", () => this.link.post({ kind: "face", seed: Math.floor(Math.random() * 10000) }));
    this.blind = h("input", { type: "checkbox", onchange: () => this.link.post({ kind: "blind", blind: this.blind.checked }) });
    this.reveal = button(t("reveal"), null, () => this.link.post({ kind: "reveal" }), { class: "l2l-button l2l-reveal" });
    this.progress = h("span", { class: "l2l-progress-text" });
    return h("div", { class: "l2l-panelbar" },
      labelled(t("achieve"), t("every_method_is_asked_for"), this.name),
      this.change, h("span", { class: "l2l-amount-asked" }, this.amount, this.others), this.take, this.next,
      h("label", { class: "l2l-field", title: t("letters_instead_of_names_shuffled") }, this.blind, t("blind")),
      this.reveal, this.progress);
  }

  showChange(change) {
    const row = this.rows.get(this.name.value);
    this.amount.textContent = row ? asAmount(row, change) : "";
    this.change.setAttribute("aria-valuetext", this.amount.textContent);
  }

  /** What is asked for, whoever asked; not under the finger, nor before the kernel has heard this bar. */
  showRequest() {
    const asked = Object.entries(this.settings?.request ?? {});
    if (this.held || !this.link.settled || !asked.length || !asked.every(([name]) => this.rows.has(name))) return;
    const [[name, change], ...more] = asked;
    this.name.value = name;
    this.change.value = change;
    this.showChange(change); // the slider itself has steps and ends
    const amounts = more.map(([n, c]) => `, ${this.rows.get(n).label} ${asAmount(this.rows.get(n), c)}`);
    this.others.textContent = amounts.join("");
  }

  ask() {
    this.showChange(Number(this.change.value));
    this.link.post({ kind: "ask", name: this.name.value, change: Number(this.change.value) });
  }

  onKey(event) {
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const labels = [...this.cards.keys()];
    const at = labels.indexOf(event.target.closest?.(".l2l-card")?.dataset.label);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && at >= 0) this.cards.get(labels[(at + step + labels.length) % labels.length]).face.focus();
    else if (this.settings?.blind && /^[a-z]$/i.test(event.key) && labels.includes(event.key.toUpperCase()) && at >= 0) {
      this.vote(event.key.toUpperCase());
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  vote(label) {
    this.link.post({ kind: "vote", label });
    this.said.textContent = t("you_voted_for", { label });
  }

  sync(name) {
    const value = this.model.get(name);
    if (name === "before") this.showBefore(value);
    else if (name === "cards") this.showCards(value);
    else if (name === "settings") this.showSettings(value);
    else if (name === "answered") {
      this.link.acknowledge(value); // settings that came before this were held back
      this.showRequest();
    }
    else this.showStatus(value);
  }

  showBefore(picture) {
    if (!picture.data) return;
    this.queue.push(picture);
    this.beforeCard.querySelector("strong").textContent = picture.seed === null ? t("before") : t("face_titled", { seed: picture.seed });
  }

  showCards(cards) {
    const labels = cards.map((card) => card.label).join();
    if (labels !== this.labels) {
      this.labels = labels;
      for (const card of this.cards.values()) card.view.dispose();
      this.cards = new Map(cards.map((card) => [card.label, this.makeCard(card.label)]));
      this.list.replaceChildren(this.beforeCard, ...[...this.cards.values()].map((card) => card.element));
    }
    const movers = cards.flatMap((card) => (card.movers ?? []).map((m) => Math.abs(m.change)));
    this.top = [0.05, 0.1, 0.2, 0.5, 1].find((step) => Math.max(0, ...movers) <= step) ?? 1;
    for (const card of cards) this.fill(this.cards.get(card.label), card);
    const done = cards.filter((card) => card.state === "ready");
    this.showNone(done.length === cards.length && !cards.some((card) => card.picture) ? cards : []);
    if (done.length === cards.length && cards.length) this.say(cards);
  }

  /** Where no method has a picture to show, the reasons stand once each, in place of empty cards. */
  showNone(cards) {
    const byReason = new Map();
    for (const { reason, title } of cards) byReason.set(reason, [...(byReason.get(reason) ?? []), title]);
    this.none.replaceChildren(...[...byReason].map(([reason, titles]) => h("p", {},
      h("strong", {}, titles.length === cards.length && titles.length > 1 ? t("none_of_the_methods", { count: titles.length }) : `${titles.join(", ")}: `),
      reason)), ...(byReason.size ? [h("p", { class: "l2l-stamp" }, t("ask_for_less_for_another"))] : []));
    this.list.classList.toggle("l2l-none-can", byReason.size > 0);
  }

  makeCard(label) {
    const view = new PictureView("after", t("what_made_of_it", { label }));
    const parts = { view, queue: new PictureQueue((source) => view.show(source)) };
    parts.title = h("strong", { class: "l2l-card-title" });
    parts.face = h("button", { type: "button", class: "l2l-cardface", title: t("load_this_face_everywhere"),
      onclick: () => this.link.post({ kind: "load", label }) }, view.frame);
    parts.came = h("p", { class: "l2l-came" });
    parts.kept = h("p", { class: "l2l-kept" });
    parts.movers = h("div", { class: "l2l-movers" });
    parts.cost = h("p", { class: "l2l-stamp l2l-cost" });
    parts.vote = button(t("best"), null, () => this.vote(label), { class: "l2l-button l2l-vote", "aria-label": t("vote_for", { label }) });
    parts.takes = this.home.buttons(() => parts.title.textContent, () => ({ label }));
    parts.element = h("div", { class: "l2l-card", role: "listitem", dataset: { label } },
      parts.face, parts.title, parts.came, parts.kept, parts.movers, parts.cost, parts.takes, parts.vote);
    return parts;
  }

  fill(parts, card) {
    parts.title.textContent = card.title;
    parts.title.title = card.title;
    parts.takes.rename();
    parts.takes.hidden = !card.can_take; // blind, a recipe would tell who it was
    parts.element.dataset.state = card.state;
    parts.element.dataset.reached = String(card.reached ?? "");
    if (card.picture) parts.queue.push(card.picture);
    parts.face.disabled = !card.picture;
    parts.view.frame.classList.toggle("l2l-nothing", card.state === "ready" && !card.picture);
    if (card.state === "waiting") {
      parts.came.textContent = "\u2026";
      parts.kept.textContent = parts.cost.textContent = "";
      parts.movers.replaceChildren();
    } else {
      parts.came.textContent = card.reached ? `\u2713 ${this.cameText(card)}` : `\u25b3 ${card.reason}`;
      parts.came.title = parts.came.textContent;
      const kept = card.kept;
      parts.kept.textContent = typeof kept === "number"
        ? (card.drifts ? "\u25b3 " : "") + t("identity_kept", { kept: Math.round(100 * Math.max(0, Math.min(1, kept))) }) : "";
      parts.movers.replaceChildren(...(card.movers ?? []).map((m) => this.makeMover(m)));
      const cost = [];
      if (typeof card.others === "number") cost.push(t("all_others_each", { others: fixed(100 * card.others, 1) }));
      if (typeof card.strength === "number") cost.push(t("asked_by", { strength: fixed(card.strength, 2) }));
      if (typeof card.seconds === "number") cost.push(t("ms", { ms: Math.round(1000 * card.seconds) }));
      parts.cost.textContent = cost.join(" \u00b7 ");
    }
    const blind = this.settings?.blind;
    parts.vote.hidden = !blind;
    parts.vote.disabled = !card.reached;
  }

  cameText(card) {
    return Object.entries(card.achieved ?? {}).map(([name, change]) => {
      const row = this.rows.get(name);
      return `${row.label} ${asAmount(row, change)}`;
    }).join(", ");
  }

  makeMover(mover) {
    const row = this.rows.get(mover.name);
    const bar = h("span", { class: "l2l-mover-bar" });
    const share = Math.min(1, Math.abs(mover.change) / this.top) * 50;
    bar.style.width = `${share}%`;
    bar.style.left = mover.change < 0 ? `${50 - share}%` : "50%";
    const text = `${row.label} ${asAmount(row, mover.change)}`;
    return h("div", { class: `l2l-mover${mover.outside ? " l2l-mover-outside" : ""}`,
      title: t(mover.outside ? "beyond_random" : "within_random", {
        change: text, low: asAmount(row, mover.band[0]), high: asAmount(row, mover.band[1]),
      }) },
      h("span", { class: "l2l-mover-name" }, row.label), h("span", { class: "l2l-mover-amount" },
        `${mover.outside ? "\u25c6" : ""}${asAmount(row, mover.change)}`), h("span", { class: "l2l-mover-track" }, bar));
  }

  say(cards) {
    const text = cards.map((card) => {
      if (!card.reached) return `${card.title}: ${card.reason}`;
      const first = card.movers?.[0];
      const row = first && this.rows.get(first.name);
      return `${card.title}: ${this.cameText(card)}${row ? `, ${row.label} ${asAmount(row, first.change)}` : ""}`;
    }).join("; ");
    this.list.setAttribute("aria-label", t("methods", { n: text }));
    const reached = cards.filter((c) => c.reached);
    const best = reached.reduce((a, b) => (a && a.others <= b.others ? a : b), null);
    const missed = cards.length - reached.length;
    const words = best
      ? t("of_methods_achieve_it_least", {
        reached: reached.length, count: cards.length, method: best.title, others: fixed(100 * best.others, 1),
        missed: missed === 1 ? t("one_cannot_on_this_face_and")
          : missed ? t("cannot_on_this_face_and", { count: missed }) : "",
      })
      : t("no_method_achieves_this_change");
    if (this.heard !== words) this.said.textContent = words;
    this.heard = words;
  }

  showSettings(settings) {
    this.settings = settings;
    const names = Object.keys(settings.request);
    if (!names.every((n) => this.rows.has(n))) return; // of other models
    this.showRequest();
    // Room for a line a change before the answers are there: the rows below must not jump then.
    this.element.style.setProperty("--asked", names.length);
    this.blind.checked = settings.blind;
    this.reveal.hidden = !settings.blind || settings.revealed;
    this.element.classList.toggle("l2l-blind", settings.blind);
    for (const [label, parts] of this.cards) {
      parts.vote.hidden = !settings.blind;
      const own = settings.vote === label;
      parts.vote.setAttribute("aria-pressed", String(own));
      parts.vote.querySelector("span").textContent = own ? t("your_vote") : t("best");
    }
    const counts = Object.entries(settings.tally).map(([m, n]) => `${m} ${n}`).join(", ");
    this.tally.textContent = settings.votes ? `${t(settings.votes > 1 ? "votes" : "one_vote", { count: settings.votes })}, ${counts || t("counted_until_you_reveal")}` : "";
  }

  showStatus(status) {
    this.message.show(status.error);
    this.note.textContent = status.note ?? "";
    this.note.hidden = !status.note;
    this.progress.textContent = status.state === "comparing" ? t("of_methods", { done: status.done, total: status.total }) : "";
    if (status.state === "comparing" && this.element.dataset.state !== "comparing") {
      // the last face's verdict says nothing of this one
      this.said.textContent = t("comparing");
      this.heard = undefined;
    }
    this.element.dataset.state = status.state;
  }

  dispose() {
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    for (const card of this.cards.values()) card.view.dispose();
    for (const part of [this.before, this.home, this.link]) part.dispose();
  }
}

GridView.TRAITS = ["settings", "before", "cards", "status", "answered"];

export default { render: (context) => renderView(GridView, context) };
