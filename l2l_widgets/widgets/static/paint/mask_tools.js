// What stands around the mask: nineteen brushes, the tools, and the sliders of size, opacity and zoom.

Object.assign(ICONS, {
  brush: "M15 3l2 2-7 8-3 1 1-3zM6 14c-2 0-2 2-4 3 3 1 6 0 6-2",
  erase: "M12 4l5 5-7 7H6l-3-3zM8 8l5 5",
  fill: "M9 3l7 7-6 6-6-6zM4 10h12M17 13c1 2 1 3 0 3s-1-1 0-3",
  line: "M4 16 16 4M3 17h2v-2M15 5h2V3",
  pick: "M12 5l3 3M13 4l1-1 3 3-1 1M12 5l-8 8-1 4 4-1 8-8",
  move: "M10 2v16M2 10h16M10 2 8 4M10 2l2 2M10 18l-2-2M10 18l2-2M2 10l2-2M2 10l2 2M18 10l-2-2M18 10l-2 2",
  zoomIn: "M8.500 3a5.500 5.500 0 1 0 0 11 5.500 5.500 0 0 0 0-11M13 13l4 4M6 8.500h5M8.500 6v5",
  zoomOut: "M8.500 3a5.500 5.500 0 1 0 0 11 5.500 5.500 0 0 0 0-11M13 13l4 4M6 8.500h5",
});

const TOOLS = () => ([
  { name: "brush", text: t("brush"), key: "b", title: t("paint_the_class_in_hand") },
  { name: "erase", text: t("eraser"), key: "x", title: t("bring_the_original_back") },
  { name: "fill", text: t("fill"), key: "f", title: t("give_a_whole_area_the") },
  { name: "line", text: t("line"), key: "d", title: t("a_straight_stroke") },
  { name: "pick", text: t("pick"), key: "k", title: t("take_the_class_under_the") },
  { name: "move", text: t("move"), key: "v", title: t("drag_a_part_smaller_and") },
]);

/** The list of classes; `onChoose(index)` when one is taken in hand. */
class Palette {
  constructor(schema, onChoose) {
    this.rows = schema.classes.map((one) =>
      h(
        "button",
        {
          type: "button", class: "l2l-class", "aria-pressed": "false", dataset: { label: one.name },
          title: t("with_key", { name: one.label, key: one.key.toUpperCase() }), onclick: () => onChoose(one.index),
        },
        h("span", { class: "l2l-chip", style: `background: rgb(${one.colour.join(" ")})` }),
        h("span", { class: "l2l-name" }, one.label),
        h("kbd", {}, one.key.toUpperCase()),
      ),
    );
    this.element = h("div", { class: "l2l-palette", role: "group", "aria-label": t("parts_of_the_face") }, ...this.rows);
  }

  choose(index) {
    this.rows.forEach((row, i) => row.setAttribute("aria-pressed", String(i === index)));
  }

  /** Mark which classes the mask shows, and which lies under the pointer. */
  mark(mask) {
    const shown = new Set(mask);
    this.rows.forEach((row, i) => row.classList.toggle("l2l-absent", !shown.has(i)));
  }

  hover(index) {
    this.rows.forEach((row, i) => row.classList.toggle("l2l-under-pointer", i === index));
  }
}

/** The tools and sliders; `on` hears `tool(name)`, `size(n)`, `opacity(share)`, `zoom(by)`, `scale(by)`. */
class ToolBar {
  constructor(schema, canvas, on) {
    this.buttons = Object.fromEntries(TOOLS().map((tool) => [
      tool.name,
      button(tool.text, tool.name, () => on.tool(tool.name), {
        title: t("with_key", { name: tool.title, key: tool.key.toUpperCase() }), "aria-pressed": "false",
      }),
    ]));
    this.size = h("input", {
      type: "range", min: 1, max: schema.largest, step: 1, value: canvas.size, "aria-label": t("brush_size"),
      oninput: () => on.size(Number(this.size.value)),
    });
    this.sizeText = h("output", {}, t("count_pixels", { count: canvas.size }));
    this.opacity = h("input", {
      type: "range", min: 0, max: 1, step: 0.05, value: 0.55, "aria-label": t("mask_opacity"),
      oninput: () => on.opacity(Number(this.opacity.value)),
    });
    this.zoomText = h("output", { class: "l2l-zoom" }, "1×");
    const small = (text, name, by) =>
      h("button", { type: "button", class: "l2l-button l2l-small", title: text, "aria-label": text, onclick: () => on.zoom(by) }, icon(name));
    this.scales = h(
      "span", { class: "l2l-scales", hidden: true },
      button(t("smaller"), null, () => on.scale(1 / 1.15), { title: t("shrink_the_part_in_hand") }),
      button(t("larger"), null, () => on.scale(1.15), { title: t("grow_the_part_in_hand") }),
    );
    const field = (text, title, ...inputs) =>
      h("label", { class: "l2l-field", title }, h("span", {}, text), ...inputs);
    this.sizeField = field(t("size"), t("brush_size_in_pixels_of"), this.size, this.sizeText);
    this.element = h(
      "div", { class: "l2l-tools" },
      h("div", { class: "l2l-toolrow", role: "group", "aria-label": t("tools") }, ...Object.values(this.buttons)),
      h(
        "div", { class: "l2l-toolrow" },
        this.scales, this.sizeField,
        field(t("mask"), t("how_much_of_the_mask"), this.opacity),
        h("span", { class: "l2l-field" }, h("span", {}, t("zoom")), small(t("zoom_out"), "zoomOut", 0.5), this.zoomText, small(t("zoom_in"), "zoomIn", 2)),
      ),
    );
  }

  choose(tool) {
    for (const [name, one] of Object.entries(this.buttons)) one.setAttribute("aria-pressed", String(name === tool));
    // a part has no brush: one takes the other's place, and nothing below jumps
    this.scales.hidden = tool !== "move";
    this.sizeField.hidden = tool === "move";
  }

  showSize(size) {
    this.size.value = size;
    this.sizeText.textContent = t("count_pixels", { count: size });
  }

  showZoom(zoom) {
    this.zoomText.textContent = `${Math.round(10 * zoom) / 10}×`;
  }
}
