// LatentMap: thousands of faces in the plane. It draws and asks; the kernel does the rest.

/** Faces that a key takes as a group, and pixels that tell a click from a drag. */
const AROUND = 200;
const SLACK = 4;

class LatentMapView {
  constructor(model) {
    this.model = model;
    const schema = model.get("schema");
    this.schema = schema;
    this.rows = new Map(schema.families.flatMap((f) => f.rows.map((r) => [r.name, r])));
    this.link = new Link(model, (silent) => this.showSilence(silent));
    this.canvas = new MapCanvas();
    this.marks = new MapMarks(this.canvas);
    this.legend = new Legend();
    this.card = new FaceCard(this.rows);
    this.groups = new GroupsPanel(this.rows, () => this.clearGroups());
    this.home = new TakeHome(model, this.link);
    this.strip = new StripPanel(this.home, (stop) => this.link.post({ kind: "load", stop }), (stop) => this.markStop(stop),
      () => {
        this.clearPath();
        this.link.post({ kind: "clear", what: "strip" });
      });
    this.edit = new EditPanel(schema.families, this.rows,
      (attribute) => {
        this.busy(t("asking_every_method_from_the"));
        this.edit.waiting(true);
        this.link.post({ kind: "trajectory", attribute });
      },
      (method, step) => this.link.post({ kind: "edit", method, step, attribute: this.marks.trajectory.attribute }),
      () => {
        this.setTrajectory({});
        this.link.post({ kind: "clear", what: "trajectory" });
      },
      (method) => {
        this.marks.only = method;
        this.canvas.redrawMarks();
      });
    this.message = h("p", { class: "l2l-map-message", role: "alert", hidden: true });
    this.progress = h("div", { class: "l2l-map-progress", role: "status" });
    this.placing = this.makePlacing();
    this.said = h("p", { class: "l2l-map-said", "aria-live": "polite" });
    this.tool = "look";
    this.way = []; // places that the keyboard has named for a path
    this.element = this.layOut();
    this.element.l2lMap = this.canvas; // for tests, and for the curious at the console
    this.listen();
    for (const name of LatentMapView.TRAITS) this.sync(name);
    this.choose("look");
  }

  // -- layout ----------------------------------------------------------------------------------------------------

  layOut() {
    this.bar = new MapBar(this.schema, (tool) => this.choose(tool), (space, seed) => this.link.post({ kind: "points", space, seed }),
      (name) => this.link.post({ kind: "colour", name }));
    this.looks = new MapLooks((on) => {
      this.canvas.thumbnails = on;
      this.canvas.redraw();
    }, (on) => {
      this.canvas.sizes = on;
      this.canvas.redraw();
    });
    const zoom = (text, label, act) => h("button", { type: "button", class: "l2l-map-zoom", "aria-label": label, title: label, onclick: act }, text);
    const stage = h("div", { class: "l2l-map-main" }, this.canvas.element, this.legend.element,
      h("div", { class: "l2l-map-zooms" }, zoom("+", t("zoom_in"), () => this.canvas.zoom(1.5)),
        zoom("\u2212", t("zoom_out"), () => this.canvas.zoom(1 / 1.5)), zoom("\u2922", t("show_all"), () => this.canvas.showAll())),
      this.looks.element, this.progress);
    const panel = (title, body, open) => {
      const element = h("details", { class: "l2l-map-section" }, h("summary", {}, title), body);
      element.open = open;
      return element;
    };
    this.groupsSection = panel(t("two_groups"), this.groups.element, false);
    this.editSection = panel(t("where_an_edit_goes"), this.edit.element, true);
    this.side = h("div", { class: "l2l-map-side" }, this.card.element, this.editSection, this.groupsSection);
    return h("div", { class: "l2l l2l-map" }, this.bar.element,
      h("div", { class: "l2l-map-columns" }, stage, this.side),
      this.message, this.placing, this.strip.element, h("p", { class: "l2l-map-caveat" }, h("b", {}, t("how_to_read_it")), this.schema.caveat), this.said);
  }

  /** What a map of what is seen in the faces cannot do yet, and the button that has them looked at. */
  makePlacing() {
    this.placingText = h("span");
    this.look = button(t("look_at_all_faces"), null, () => this.link.post({ kind: "look" }));
    this.lookAway = button(t("stop"), "stop", () => this.link.post({ kind: "look away" }));
    return h("div", { class: "l2l-map-placing", role: "status", hidden: true }, this.placingText, this.look, this.lookAway);
  }

  showLooking(looking) {
    const { placing, space, count } = this.model.get("points");
    const on = looking?.space === space;
    this.placing.hidden = placing !== false;
    this.look.hidden = on;
    this.lookAway.hidden = !on;
    const faces = (count ?? 0).toLocaleString(language);
    this.placingText.textContent = on ? t("looked_at_so_far", { share: percent(looking.share), count: faces })
      : t("no_place_before_all_were", { count: faces });
  }

  choose(tool) {
    this.tool = tool;
    this.bar.choose(tool);
    this.canvas.element.dataset.tool = tool;
    if (tool === "a" || tool === "b") {
      this.groupsSection.open = true;
      this.editSection.open = false;
    }
  }

  // -- what the user does ----------------------------------------------------------------------------------------

  listen() {
    this.handlers = LatentMapView.TRAITS.map((name) => [`change:${name}`, () => this.sync(name)]);
    for (const [event, handler] of this.handlers) this.model.on(event, handler);
    const el = this.canvas.element;
    const at = (event) => {
      const box = el.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    el.addEventListener("pointermove", (event) => this.move(at(event), event));
    el.addEventListener("pointerleave", () => !this.held && this.point(-1));
    el.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.canvas.xy) return;
      el.setPointerCapture(event.pointerId);
      el.focus({ preventScroll: true });
      const place = at(event);
      this.held = { start: place, last: place, moved: false };
      if (this.tool === "look") return;
      this.way = [];
      this.marks.drawing = { kind: this.tool, points: [this.canvas.toMap(...place)] };
    });
    el.addEventListener("pointerup", (event) => this.release(at(event)));
    el.addEventListener("pointercancel", () => this.release(null));
    el.addEventListener("wheel", (event) => {
      // A page must scroll past a map; who has clicked into it, or holds Ctrl, means the map.
      if (!event.ctrlKey && document.activeElement !== el) return;
      event.preventDefault();
      this.canvas.zoom(Math.exp(-event.deltaY / 400), ...at(event));
    }, { passive: false });
    el.addEventListener("keydown", (event) => this.press(event));
  }

  /** Hidden, the map draws nothing, and the kernel computes nothing for it. */
  onShown(shown) {
    this.canvas.show(shown);
  }

  move(place, event) {
    if (!this.canvas.xy) return;
    if (!this.held) {
      if (this.tool === "look") this.point(this.canvas.nearest(...place));
      return;
    }
    const { start, last } = this.held;
    if (Math.hypot(place[0] - start[0], place[1] - start[1]) > SLACK) this.held.moved = true;
    if (this.tool === "look") {
      if (this.held.moved) this.canvas.pan(place[0] - last[0], place[1] - last[1]);
      this.held.last = place;
      return;
    }
    const points = this.marks.drawing.points;
    for (const e of event.getCoalescedEvents?.() ?? [event]) {
      const box = this.canvas.element.getBoundingClientRect();
      points.push(this.canvas.toMap(e.clientX - box.left, e.clientY - box.top));
    }
    this.canvas.redrawMarks();
  }

  release(place) {
    const held = this.held;
    this.held = null;
    if (!held) return;
    const drawing = this.marks.drawing;
    if (!this.way.length) this.marks.drawing = null;
    if (!place) {
      this.canvas.redrawMarks();
      return;
    }
    if (this.tool === "look") {
      const row = this.canvas.nearest(...place);
      if (!held.moved && row >= 0) this.load(row);
      return;
    }
    if (held.moved) {
      if (this.tool === "path") this.takePath(drawing.points);
      else this.takeGroup(this.tool, this.canvas.inside(drawing.points));
    }
    this.canvas.redrawMarks();
  }

  press(event) {
    if (!this.canvas.xy || event.ctrlKey || event.metaKey || event.altKey) return;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const key = event.key.toLowerCase();
    const row = this.marks.row >= 0 ? this.marks.row : this.marks.face?.row ?? 0;
    if (event.key in ways) {
      const next = this.marks.row < 0 ? row : this.canvas.towards(row, ...ways[event.key]);
      this.canvas.reveal(next);
      this.point(next);
    } else if (event.key === "Enter") this.load(row);
    else if (key === "a" || key === "b") this.takeGroup(key, this.canvas.around(row, AROUND));
    else if (key === "p") this.stepTo(row);
    else if (/^[1-9]$/.test(key)) this.bar.turnTo(Number(key) - 1);
    else if (key === "+" || key === "=") this.canvas.zoom(1.5);
    else if (key === "-") this.canvas.zoom(1 / 1.5);
    else if (key === "0") this.canvas.showAll();
    else if (key === "escape") {
      if (this.way.length) this.say(""); // the line was of the path that is given up
      this.endWay();
      this.choose("look");
      this.point(-1); // back to the face that is loaded
    }
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** A face under the pointer or the keys; -1 for none. */
  point(row) {
    if (row === this.marks.row) return;
    this.marks.row = row;
    this.canvas.element.classList.toggle("l2l-map-over", row >= 0);
    this.canvas.redrawMarks();
    this.legend.point(row >= 0 ? this.canvas.values?.[row] : undefined);
    if (row >= 0) this.link.post({ kind: "hover", row }, true);
    else if (this.marks.face) this.card.loaded(this.marks.face);
  }

  load(row) {
    this.showError(null);
    this.element.dataset.loading = row;
    this.link.post({ kind: "load", row });
  }

  takeGroup(name, rows) {
    this.showError(null);
    this.marks.groups[name] = rows;
    this.groups.setGroups(this.marks.groups);
    this.canvas.redrawMarks();
    this.groupsSection.open = true;
    if (rows.length && name === "a" && !this.marks.groups.b.length && this.tool === "a") this.choose("b");
    this.link.post({ kind: "compare", ...this.marks.groups });
    this.say(t("group_faces", { group: name.toUpperCase(), count: rows.length }));
  }

  clearGroups() {
    this.marks.groups = { a: [], b: [] };
    this.groups.setGroups(this.marks.groups);
    this.canvas.redrawMarks();
    this.link.post({ kind: "compare", a: [], b: [] });
  }

  takePath(points) {
    this.showError(null);
    // A mouse gives hundreds of places; the kernel needs the shape.
    const step = Math.max(1, Math.floor(points.length / 120));
    const kept = points.filter((_, i) => i % step === 0 || i === points.length - 1);
    this.busy(t("drawing_the_faces_along_the"));
    this.link.post({ kind: "path", points: kept });
  }

  /** A path without a mouse: from face to face, as they are named one after the other. */
  stepTo(row) {
    if (this.held) return; // a finger draws
    this.way.push([this.canvas.xy[2 * row], this.canvas.xy[2 * row + 1]]);
    this.marks.drawing = { kind: "path", points: this.way };
    this.element.dataset.way = this.way.length;
    this.canvas.redrawMarks();
    if (this.way.length > 1) this.takePath(this.way);
    else this.say(t("path_begins"));
  }

  endWay() {
    this.way = [];
    delete this.element?.dataset.way;
    if (!this.held) this.marks.drawing = null; // a finger that draws goes on
    this.canvas.redrawMarks();
  }

  clearPath() {
    this.endWay();
    this.marks.strip = null;
    this.strip.update(null);
    this.canvas.redrawMarks();
  }

  markStop(stop) {
    this.marks.stop = stop;
    this.canvas.redrawMarks();
  }

  // -- what the kernel says --------------------------------------------------------------------------------------

  sync(name) {
    const value = this.model.get(name);
    if (value && Object.keys(value).length) this[LatentMapView.SHOW[name]](value);
    else if (name === "looking") this.showLooking(value);
    else if (name === "grouped") this.showGroups({});
    else if (name === "strip") this.clearPath();
    else if (name === "trajectory") this.setTrajectory({});
  }

  showPoints(points) {
    const bytes = points.coordinates;
    const xy = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const same = this.known?.space === points.space && this.known?.count === points.count;
    if (!same || this.element.dataset.seed !== String(points.seed)) this.endWay(); // it lies elsewhere now
    this.known = points;
    this.canvas.trust = points.kept ? new Uint8Array(points.kept.buffer, points.kept.byteOffset, points.kept.byteLength) : null;
    this.canvas.setPoints(xy, same);
    this.bar.showPoints(points);
    this.showLooking(this.model.get("looking"));
    this.element.dataset.space = points.space;
    this.element.dataset.placing = String(points.placing);
    this.element.dataset.seed = points.seed;
    const { trustworthiness: trust, kept } = points.believed;
    if (kept !== undefined) {
      this.say(t("map_of_faces_of_a", {
        map: points.seed + 1, count: points.count.toLocaleString(language), neighbours: points.neighbours,
        true: fixed(kept * points.neighbours, 1), trust: fixed(trust, 2),
      }));
    }
  }

  showColour(colour) {
    const bytes = colour.values;
    this.canvas.setColours(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.bar.colour.value = colour.name;
    this.legend.update(colour, this.known?.count ?? 0);
    if (this.marks.row >= 0) this.legend.point(this.canvas.values[this.marks.row]);
  }

  showAtlas(atlas) {
    const view = atlas.data;
    const blob = new Blob([new Uint8Array(view.buffer, view.byteOffset, view.byteLength)], { type: "image/jpeg" });
    createImageBitmap(blob).then((image) => this.canvas.setAtlas(image, atlas));
  }

  /** What is being made ready, since when, and why it takes long; counted on while the kernel is silent. */
  showProgress({ text, share, ready, error = false, why = "" }) {
    clearInterval(this.counting);
    if (text && !this.since) this.since = performance.now();
    if (!text || error) this.since = null;
    else this.counting = setInterval(() => this.showElapsed(), 1000);
    this.element.dataset.ready = String(ready);
    this.progress.hidden = !text;
    this.progress.classList.toggle("l2l-map-waiting", !ready && !error);
    const fill = h("i", {});
    fill.style.width = percent(share).replace("\u202f", "");
    this.elapsed = h("span", { class: "l2l-map-elapsed" });
    this.progress.replaceChildren(h("span", {}, text), this.elapsed, error ? "" : h("div", { class: "l2l-map-gauge" }, fill),
      why && !ready && !error ? h("p", { class: "l2l-map-why" }, why) : "");
    this.showElapsed();
    // Without a map there is nothing that these could do, and the line stands where the map would.
    this.progress.classList.toggle("l2l-map-broken", error);
    this.bar.element.inert = this.side.inert = error;
    this.legend.element.hidden = this.looks.element.hidden = error;
  }

  showElapsed() {
    const seconds = this.since ? Math.round((performance.now() - this.since) / 1000) : 0;
    this.elapsed.textContent = seconds > 1 ? ` \u00b7 ${seconds} s` : "";
  }

  showHover(hover) {
    if (hover.row === this.marks.row) {
      this.card.hovered(hover, this.known.neighbours);
      this.element.dataset.hover = hover.row;
      const shade = this.legend.value.textContent;
      if (document.activeElement === this.canvas.element) {
        this.say(t("face_under_cursor", {
          seed: hover.seed, shade: shade ? `, ${this.legend.name.textContent} ${shade}` : "",
          trust: this.card.trust.textContent,
        }));
      }
    }
  }

  showFace(face) {
    const other = this.marks.face && this.marks.face.seed !== face.seed;
    if (other && this.marks.trajectory) {
      this.marks.trajectory = null; // it began at another face; the kernel draws this one's
      this.edit.update({});
    }
    this.marks.face = face;
    this.element.dataset.face = face.seed ?? "between";
    this.card.loaded(face, this.marks.row);
    this.canvas.redrawMarks();
  }

  /** Groups that were drawn on another page of this map, or on this one before it was opened again. */
  showGroups({ a = [], b = [], by }) {
    if (by === this.link.client) return; // its own: it has them, and perhaps newer ones
    this.marks.groups = { a, b };
    this.groups.setGroups(this.marks.groups);
    if (a.length || b.length) this.groupsSection.open = true;
    this.groups.update(this.model.get("comparison")); // whichever of the two came first
    this.canvas.redrawMarks();
  }

  showComparison(comparison) {
    this.groups.update(comparison);
  }

  showStrip(strip) {
    this.busy("");
    this.marks.strip = strip;
    this.strip.update(strip);
    this.canvas.redrawMarks();
  }

  setTrajectory(trajectory) {
    this.busy("");
    this.edit.waiting(false);
    this.marks.trajectory = trajectory.methods ? trajectory : null;
    this.edit.update(trajectory);
    if (trajectory.methods) this.edit.select.value = trajectory.attribute;
    this.canvas.redrawMarks();
  }

  showNotice(notice) {
    this.busy("");
    this.edit.waiting(false);
    this.showError(notice.error);
  }

  showError(text) {
    this.message.textContent = text ?? "";
    this.message.hidden = !text;
  }

  showSilence(silent) {
    if (silent) {
      this.showError(t("no_answer"));
    } else if (this.message.textContent === t("no_answer")) this.showError(null);
  }

  /** Something was asked for that may take a while: say what, and count the seconds. */
  busy(words) {
    this.element.classList.toggle("l2l-map-busy", Boolean(words));
    if (words) this.showProgress({ text: words, share: 0, ready: true });
    else if (this.element.dataset.ready === "true") this.showProgress(this.model.get("progress"));
  }

  say(text) {
    this.said.textContent = text;
  }

  dispose() {
    clearInterval(this.counting);
    for (const [event, handler] of this.handlers) this.model.off(event, handler);
    for (const part of [this.canvas, this.home, this.link]) part.dispose();
  }
}

LatentMapView.SHOW = {
  points: "showPoints", colour: "showColour", atlas: "showAtlas", progress: "showProgress", hover: "showHover", loaded: "showFace",
  looking: "showLooking", grouped: "showGroups", comparison: "showComparison", strip: "showStrip", trajectory: "setTrajectory", notice: "showNotice",
};
LatentMapView.TRAITS = Object.keys(LatentMapView.SHOW);

export default { render: (context) => renderView(LatentMapView, context) };
