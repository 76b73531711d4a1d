// The faces behind a cell: each a dot where its change is, the best and the worst before and after.

class FacesBehind {
  /** `onload(seed, edited)` loads a face as it was, or as the edit made it; `home` takes either home. */
  constructor(rows, onload, home) {
    this.rows = rows;
    this.onload = onload;
    this.home = home;
    this.views = [];
    this.title = h("h4", { class: "l2l-behind-title" });
    this.words = h("div", { class: "l2l-behind-words", role: "status", "aria-live": "polite" });
    this.strip = s("svg", { class: "l2l-strip", viewBox: "0 0 640 130", role: "img" });
    this.note = h("p", { class: "l2l-stamp" });
    this.pairs = h("div", { class: "l2l-pairs" });
    this.projection = h("pre", { class: "l2l-projection", tabindex: 0, "aria-label": t("what_the_projection_promises") });
    // The strip is drawn at the size it has: what comes beside it changes that.
    this.observer = new ResizeObserver(() => this.cell && this.drawStrip(this.cell, this.rows.get(this.cell.read)));
    this.observer.observe(this.words);
    this.element = h("section", { class: "l2l-behind", hidden: true, "aria-label": t("faces_behind_the_cell") },
      h("div", { class: "l2l-behind-left" }, this.title, this.words, this.strip, this.note), this.pairs,
      this.projection);
  }

  waitFor(edited, read) {
    this.element.hidden = false;
    this.element.classList.add("l2l-waiting");
    this.title.textContent = `${this.rows.get(edited).label} \u2192 ${this.rows.get(read).label}`;
  }

  update(cell) {
    this.element.hidden = !cell?.edited;
    if (!cell?.edited) return;
    this.element.classList.remove("l2l-waiting");
    this.cell = cell;
    const [target, row] = [this.rows.get(cell.edited), this.rows.get(cell.read)];
    this.title.textContent = `${target.label} \u2192 ${row.label}`;
    const lines = [...(cell.sentences ?? []), ...(cell.error ? [cell.error] : [])];
    this.words.replaceChildren(...lines.map((line, i) =>
      h("p", cell.error && i === lines.length - 1 ? { class: "l2l-inline-error" } : {}, line)));
    this.drawStrip(cell, row);
    this.drawPairs(cell, row, target);
    this.projection.hidden = !cell.projection;
    this.projection.textContent = cell.projection ?? "";
    this.element.dataset.cell = `${cell.edited}/${cell.read}`;
  }

  drawStrip(cell, row) {
    const own = cell.edited === cell.read;
    const key = own ? "strength" : "change";
    const faces = (cell.faces ?? []).filter((f) => f[key] !== null);
    this.strip.style.display = faces.length ? "" : "none";
    const missed = (cell.faces ?? []).length - faces.length;
    const never = missed ? t("more_never_came_so_far", { count: missed }) : "";
    this.note.textContent = faces.length ? never + t("each_dot_is_a_face") : never;
    if (!faces.length) return;
    const values = faces.map((f) => f[key]);
    const n = cell.numbers ?? {};
    const ends = own ? [0, Math.max(...values)] : [...values, n.band ?? 0, -(n.band ?? 0), n.world ?? 0];
    const top = own ? Math.max(...ends) * 1.05 : Math.max(0.02, ...ends.map(Math.abs)) * 1.08;
    // Drawn at the size it is shown in: letters keep theirs.
    const wide = Math.max(300, Math.min(640, this.words.clientWidth || 640));
    this.strip.setAttribute("viewBox", `0 0 ${wide} 130`);
    const [right, middle] = [wide - 16, wide / 2];
    const place = (v) => (own ? 16 + ((right - 16) * v) / top : middle + ((middle - 16) * v) / top);
    const parts = [];
    const text = (x, y, words, anchor = "middle") =>
      parts.push(s("text", { x, y, "text-anchor": anchor, class: "l2l-striptext" }, words));
    if (!own && n.band) {
      parts.push(s("rect", { x: place(-n.band), width: place(n.band) - place(-n.band), y: 10, height: 66, class: "l2l-strip-band" }));
    }
    parts.push(s("line", { x1: 16, x2: right, y1: 76, y2: 76, class: "l2l-strip-axis" }));
    parts.push(s("line", { x1: place(0), x2: place(0), y1: 8, y2: 80, class: "l2l-strip-axis" }));
    const unit = (v) => (own ? fixed(v, 2) : asAmount(row, v));
    // Below the axis first the mean with its interval, then the words: neither lies on the other.
    text(place(0), 106, own ? "0" : t("no_change"));
    text(right, 106, unit(own ? top / 1.05 : top / 1.08), "end");
    if (!own) text(16, 106, unit(-top / 1.08), "start");
    if (!own && n.signed !== undefined && n.signed_low !== undefined) {
      parts.push(s("line", { x1: place(n.signed_low), x2: place(n.signed_high), y1: 84, y2: 84, class: "l2l-strip-interval" }));
      parts.push(s("circle", { cx: place(n.signed), cy: 84, r: 4.5, class: "l2l-strip-mean" }));
    }
    if (!own && typeof n.world === "number") {
      const x = place(n.world);
      parts.push(s("path", { d: `M${x} 6v74`, class: "l2l-strip-world" }));
    }
    const legend = own ? t("strength_that_it_took_in")
      : t("grey_random_edits_mean_interval");
    text(middle, 124, legend);
    const marked = new Map((cell.pairs ?? []).map((pair) => [pair.seed, pair.caption]));
    faces.forEach((face, i) => {
      // A fixed scatter: the same face stands at the same height every time.
      const y = 16 + (((face.seed * 7919 + i * 31) % 97) / 97) * 52;
      const caption = marked.get(face.seed);
      const dot = s("circle", {
        cx: place(face[key]), cy: y, r: caption ? 5.5 : 3.6, class: `l2l-dot${caption ? " l2l-dot-marked" : ""}`,
        "data-seed": face.seed, tabindex: caption ? 0 : -1, role: "button",
        "aria-label": t("face_load_it", { seed: face.seed, value: unit(face[key]), caption: caption ? `, ${caption}` : "" }),
      });
      dot.dataset.lmSuppressShortcuts = "true";
      dot.append(s("title", {}, t("dot_of_face", { seed: face.seed, value: unit(face[key]), caption: caption ? ` (${caption})` : "" })));
      dot.addEventListener("click", () => this.onload(face.seed));
      dot.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        this.onload(face.seed);
      });
      parts.push(dot);
    });
    this.strip.setAttribute("aria-label", (cell.sentences ?? []).join(" "));
    this.strip.replaceChildren(...parts);
  }

  drawPairs(cell, row, target) {
    for (const view of this.views) view.dispose();
    this.views = [];
    this.pairs.replaceChildren(...(cell.pairs ?? []).map((pair) => {
      const own = cell.edited === cell.read;
      const amount = own ? "" : `${row.label} ${pair.change === null ? t("not_known") : asAmount(row, pair.change)}`;
      const asked = `${target.label} ${asAmount(target, pair.asked)} ${pair.strength === null ? t("not_reached_at_full_strength") : t("took_strength", { strength: fixed(pair.strength, 2) })}`;
      const face = t("face_named", { seed: pair.seed });
      const views = ["before", "after"].map((name) => {
        const view = new PictureView(name, t("face_before_or_after", { seed: pair.seed, name: t(name) }));
        new PictureQueue((source) => view.show(source)).push(pair[name]);
        this.views.push(view);
        const edited = name === "after";
        return h("div", { class: "l2l-pairside" }, h("button", {
          type: "button", class: "l2l-pairface", dataset: { load: name },
          title: t(edited ? "load_the_edited_face_everywhere" : "load_this_face_everywhere"),
          onclick: () => this.onload(pair.seed, edited),
        }, view.element), this.home.buttons(() => `${face}, ${t(name)}`, () => ({ seed: pair.seed, edited })));
      });
      return h("div", { class: "l2l-pair", role: "group", "aria-label": `${pair.caption}, ${face}`, dataset: { seed: pair.seed } },
        h("strong", {}, pair.caption), h("span", { class: "l2l-pair-pictures" }, ...views),
        h("span", { class: "l2l-stamp" }, t("face_and_amount", { seed: pair.seed, amount: amount ? ` \u00b7 ${amount}` : "" })),
        h("span", { class: "l2l-stamp" }, asked));
    }));
  }

  dispose() {
    this.observer.disconnect();
    for (const view of this.views) view.dispose();
  }
}
