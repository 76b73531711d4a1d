// TrainingMonitor: the runs of a folder, one of them in full, or the form of a new one.

class MonitorView {
  constructor(model) {
    this.model = model;
    this.link = new Link(model, (silent) => this.setSilence(silent));
    const post = (kind) => () => this.link.post({ kind });
    const ask = (kind, words) => () => {
      // a step may take long: the button says that it was heard
      this.asked = { kind, run: this.model.get("run").name, state: this.model.get("run").state };
      this.state.textContent = words;
      this.pause.disabled = this.stop.disabled = true;
      this.link.post({ kind });
    };
    this.fresh = button(t("new_training"), "add", post("new"), { class: "l2l-button l2l-new" });
    this.list = new RunList((run) => this.link.post({ kind: "select", run }));
    this.form = new TrainingForm(model, this.link);
    this.pause = button(t("pause"), "pause", ask("pause", t("pausing_after_this_step")), { title: t("hold_after_this_step_its") });
    this.resume = button(t("resume"), "start", post("resume"), { class: "l2l-button l2l-primary" });
    this.stop = button(t("stop"), "stop", ask("stop", t("saving_after_this_step")), { title: t("save_after_this_step_and") });
    this.title = h("h3", {});
    this.state = h("span", { class: "l2l-state", role: "status" });
    this.bar = h("progress", { max: 1, value: 0, "aria-label": t("training_bar") });
    this.numbers = h("span", { class: "l2l-numbers" });
    this.message = h("p", { class: "l2l-message" });
    this.facts = h("div", { class: "l2l-facts" });
    this.curves = new CurvesView();
    this.faces = new FacesAtStep((step) => this.link.post({ kind: "look", step }, true));
    this.leakage = new LeakageView();
    this.nothing = h("p", { class: "l2l-hint" }, t("this_recipe_draws_no_faces"));
    this.details = h("section", { class: "l2l-details", "aria-label": t("run") },
      h("div", { class: "l2l-titlebar" }, this.title, this.state),
      h("div", { class: "l2l-trainbar" }, this.pause, this.resume, this.stop, this.bar, this.numbers),
      this.message, this.facts,
      h("div", { class: "l2l-body" },
        h("div", {}, this.curves.element),
        h("div", { class: "l2l-seen" }, this.faces.element, this.leakage.element, this.nothing)));
    this.notice = h("p", { class: "l2l-notice", role: "alert", hidden: true });
    this.element = h("div", { class: "l2l l2l-monitor" },
      h("nav", { class: "l2l-side", "aria-label": t("trainings") }, this.fresh, this.list.element),
      h("div", { class: "l2l-main" }, this.notice, this.form.element, this.details));
    this.handlers = ["form", "runs", "run", "history", "look", "notice"].map((name) => {
      const handler = () => this.sync(name, model.get(name));
      model.on(`change:${name}`, handler);
      handler();
      return [name, handler];
    });
  }

  sync(name, value) {
    if (name === "form") this.form.update(value);
    else if (name === "history") this.showHistory();
    else if (name === "look") this.showLook(value);
    else if (name === "notice") this.refuse(value);
    else this.showRun();
  }

  showRun() {
    const run = this.model.get("run");
    const shown = Boolean(run.name);
    this.list.update(this.model.get("runs"), run.name);
    this.form.element.hidden = shown;
    this.details.hidden = !shown;
    this.fresh.setAttribute("aria-pressed", String(!shown));
    this.element.dataset.run = run.name ?? "";
    this.element.dataset.state = run.state ?? "form";
    this.element.dataset.step = run.step ?? "";
    if (!shown) return;
    const held = run.state === "paused";
    this.title.textContent = run.name;
    this.state.dataset.state = run.state;
    const waiting = this.asked && this.asked.run === run.name && this.asked.state === run.state;
    if (!waiting) {
      this.asked = null;
      this.state.textContent = `${STATES[run.state] ?? "?"} ${t(`state_${run.state}`)}`;
    }
    this.pause.hidden = !run.at_work || held;
    this.pause.disabled = waiting || run.state !== "running";
    this.resume.hidden = !(held || run.can_resume);
    this.stop.hidden = !run.at_work;
    this.stop.disabled = waiting || run.state === "finishing";
    if (["preparing", "finishing"].includes(run.state)) this.bar.removeAttribute("value");
    else this.bar.value = run.steps ? run.step / run.steps : 0;
    this.numbers.textContent = run.steps ? t("step_of_steps", { step: run.step, steps: run.steps }) : "";
    this.message.textContent = run.message;
    this.message.hidden = !run.message;
    this.message.classList.toggle("l2l-wrong", ["failed", "died", "silent"].includes(run.state));
    this.showFacts(run);
    this.showHistory();
    this.showNothing();
  }

  showFacts(run) {
    const megabytes = (bytes) => `${Math.round(bytes / 1e6)}\u202fMB`;
    const facts = [[t("tab_recipe"), run.recipe]];
    if (run.images_per_second >= 1) facts.push([t("rate"), t("images_a_second", { rate: precise(run.images_per_second, 3) })]);
    else if (run.seconds && run.step) facts.push([t("rate"), t("steps_a_minute", { rate: precise(60 * run.step / run.seconds, 2) })]);
    if (run.seconds) facts.push([t("trained"), asDuration(run.seconds)]);
    if (run.seconds_left !== null && run.state === "running") facts.push([t("left"), asDuration(run.seconds_left)]);
    if (run.memory) facts.push([t("memory"), t("memory_at_most", { memory: megabytes(run.memory), peak: megabytes(run.peak) })]);
    if (run.pid) facts.push([t("process"), String(run.pid)]);
    facts.push([t("folder"), run.path]);
    this.facts.replaceChildren(...facts.map(([name, value]) =>
      h("div", {}, h("span", { class: "l2l-fact" }, name), h("span", { title: value }, value))));
  }

  showHistory() {
    const history = this.model.get("history");
    this.curves.update(history, this.model.get("run").steps || history.steps?.at(-1) || 1);
  }

  showLook(look) {
    this.faces.update(look);
    this.leakage.update(look.leakage, look.labels);
    this.showNothing();
  }

  /** That there are no faces can only be said of a training that has begun. */
  showNothing() {
    const run = this.model.get("run");
    this.nothing.hidden = Boolean(this.model.get("look").sheet) || !run.step || run.state === "preparing";
  }

  /** What the kernel says is wrong: a pause or a stop that failed is not under way, and may be asked for again. */
  refuse(notice) {
    this.showNotice(notice);
    if (!notice.error) return;
    this.asked = null;
    this.showRun();
  }

  showNotice(notice) {
    this.notice.textContent = notice.error ? `\u26a0 ${notice.error}` : "";
    this.notice.hidden = !notice.error;
  }

  setSilence(silent) {
    if (silent) this.showNotice({ error: t("no_answer") });
    else if (this.notice.textContent.endsWith(t("no_answer"))) this.showNotice({});
  }

  dispose() {
    for (const [name, handler] of this.handlers) this.model.off(`change:${name}`, handler);
    this.link.dispose();
  }
}

export default { render: (context) => renderView(MonitorView, context) };
