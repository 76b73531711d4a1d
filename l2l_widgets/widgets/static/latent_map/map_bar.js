// Above the map: what the hand does on it, which map is up and what colours it; over it, how its points are drawn.

const TOOLS = () => ([
  ["look", t("look"), t("point_at_a_face_to")],
  ["a", t("group_a"), t("draw_around_faces_group_a")],
  ["b", t("group_b"), t("draw_around_other_faces_group")],
  ["path", t("path"), t("draw_a_path_the_faces")],
]);
/** Names as short as a bar wants them; the kernel's own say more, and are read by pointing at them. */
const SPACES = () => ({ w: t("map_of_w"), identity: t("map_of_identity"), attributes: t("map_of_attributes") });

class MapBar {
  /** `onTool(name)`, `onPoints(space, seed)` and `onColour(name)` hear what was chosen. */
  constructor(schema, onTool, onPoints, onColour) {
    this.onPoints = onPoints;
    this.tools = TOOLS().map(([name, text, title]) => h("button", {
      type: "button", class: "l2l-map-tool", title, dataset: { tool: name }, onclick: () => onTool(name),
    }, text));
    this.space = h("select", { "aria-label": t("what_is_mapped"), onchange: () => this.ask(this.space.value) });
    this.seeds = h("div", { class: "l2l-segments", role: "group", "aria-label": t("seed_of_the_map") });
    this.colour = h("select", {
      class: "l2l-map-colour", "aria-label": t("colour_by"), onchange: () => onColour(this.colour.value),
    });
    const group = (label, rows) => h("optgroup", { label }, ...rows.map((r) => h("option", { value: r.name }, r.label)));
    this.colour.append(group(t("how_far_to_believe_it"), schema.beliefs),
      ...schema.families.map((family) => group(family.name, family.rows)));
    this.element = h("div", { class: "l2l-map-bar-top" },
      h("div", { class: "l2l-segments", role: "group", "aria-label": t("tool") }, ...this.tools),
      h("div", { class: "l2l-map-which" }, h("label", {}, t("map_of"), this.space), h("label", {}, t("seed"), this.seeds),
        h("label", {}, t("colour"), this.colour)));
  }

  /** Show which tool the hand has. */
  choose(tool) {
    for (const item of this.tools) item.setAttribute("aria-pressed", String(item.dataset.tool === tool));
  }

  /** Another map: of a space the first, unless one of its seeds is named. */
  ask(space, seed = this.points.spaces[space].seeds[0]) {
    this.onPoints(space, seed);
  }

  /** The map with this number, from 0, where there is one. */
  turnTo(number) {
    this.seeds.children[number]?.click();
  }

  showPoints(points) {
    this.points = points;
    const { spaces, space: up, seed: own } = points;
    this.space.replaceChildren(...Object.entries(spaces).map(([name, { label, seeds }]) =>
      h("option", { value: name, disabled: !seeds.length, title: seeds.length ? label : t("not_laid_out") }, SPACES()[name] ?? label)));
    this.space.value = up;
    this.space.title = spaces[up].label;
    this.seeds.replaceChildren(...spaces[up].seeds.map((seed) => h("button", {
      type: "button", class: "l2l-map-seed", "aria-pressed": String(seed === own), title: t("the_same_faces_laid_out", { seed }),
      onclick: () => this.ask(up, seed),
    }, String(seed + 1))));
  }
}

/** How the points are drawn, in a corner of the map as its scale is. */
class MapLooks {
  /** `onFaces(on)`: small faces in place of dots; `onSizes(on)`: large dots where a place can be believed. */
  constructor(onFaces, onSizes) {
    const check = (text, title, act) => {
      const input = h("input", { type: "checkbox", onchange: () => act(input.checked) });
      return h("label", { class: "l2l-map-check", title }, input, text);
    };
    this.element = h("div", { class: "l2l-map-looks" },
      check(t("many_faces"), t("show_small_faces_instead_of"), onFaces),
      check(t("size_by_trust"), t("large_dots_keep_their_neighbours"), onSizes));
  }
}
