// The history as a tree of thumbnails: one column a step, one line a branch.

class HistoryPanel {
  constructor(t, ask) {
    this.t = t;
    this.ask = ask;
    this.urls = [];
    this.nodes = new Map();
    this.board = h("div", { class: "l2l-tree l2l-scrolls", role: "group", "aria-label": t("tab_history") });
    this.message = h("p", { class: "l2l-message", role: "alert" });
    this.element = h("div", { class: "l2l-history" },
      h("p", { class: "l2l-help" }, t("history_help")), this.message, this.board);
    this.board.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** Ask for the tree as it is now; the kernel draws what it has no thumbnail of. */
  refresh() {
    this.ask({ kind: "history" }, true);
  }

  show({ nodes, error }, buffers) {
    this.message.textContent = error ?? "";
    if (error) return;
    const shown = JSON.stringify(nodes.map((node) => ({ ...node, picture: undefined })));
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.urls = [];
    if (this.shown === shown) { // the same steps, which stay under the hand that may be pressing one
      for (const node of nodes) {
        this.buttons.get(node.id).firstElementChild.replaceWith(this.picture(node, buffers));
      }
      return;
    }
    this.shown = shown;
    const had = this.board.contains(document.activeElement);
    const places = placeNodes(nodes);
    const [width, height] = [HistoryPanel.STEP, HistoryPanel.LINE];
    const lines = s("svg", { class: "l2l-branches", "aria-hidden": "true" });
    this.nodes = new Map(nodes.map((node) => [node.id, node]));
    this.buttons = new Map();
    const buttons = nodes.map((node, number) => {
      const [column, line] = places.get(node.id);
      const from = places.get(node.parent);
      if (from) {
        const [x, y] = [from[0] * width + 56, from[1] * height + 28];
        const [toX, toY] = [column * width + 8, line * height + 28];
        lines.append(s("path", { d: `M${x} ${y}H${toX - 12}V${toY}H${toX}` }));
      }
      const element = h(
        "button",
        {
          type: "button", class: "l2l-step", style: `left:${column * width}px;top:${line * height}px`,
          title: node.label, tabindex: node.current ? 0 : -1, dataset: { node: node.id },
          "aria-current": node.current ? "step" : null,
          "aria-label": this.t("history_step", { number: number + 1, text: node.label }) +
            (node.current ? `, ${this.t("history_here")}` : ""),
          onclick: () => this.ask({ kind: "goto", node: node.id }),
        },
        this.picture(node, buffers),
        h("span", { class: "l2l-step-label" }, (node.current ? "\u25cf " : "") + node.label.replace(/(\d) (?=\D)/g, "$1\u00a0")),
      );
      this.buttons.set(node.id, element);
      return element;
    });
    const [columns, rows] = [0, 1].map((i) => 1 + Math.max(...[...places.values()].map((p) => p[i])));
    lines.setAttribute("width", columns * width);
    lines.setAttribute("height", rows * height);
    this.board.replaceChildren(lines, ...buttons);
    const current = nodes.find((node) => node.current);
    const here = this.buttons.get(current?.id);
    if (here) {
      this.board.scrollLeft = Math.max(0, here.offsetLeft - this.board.clientWidth + 2 * width);
      this.board.scrollTop = Math.max(0, here.offsetTop - this.board.clientHeight + height);
      if (had) here.focus({ preventScroll: true });
    }
  }

  picture(node, buffers) {
    const data = node.picture === null ? null : buffers[node.picture];
    if (!data) return h("span", { class: "l2l-thumb" });
    const url = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    this.urls.push(url);
    return h("img", { class: "l2l-thumb", src: url, alt: "" });
  }

  /** Left to where it came from, right to what was done last, up and down between branches. */
  onKey(event) {
    const id = Number(event.target.dataset?.node);
    const node = this.nodes.get(id);
    if (!node) return;
    const all = [...this.nodes.values()];
    const children = all.filter((other) => other.parent === id);
    const places = placeNodes(all);
    const [column, line] = places.get(id);
    const beside = (way) => all
      .filter((other) => way * (places.get(other.id)[1] - line) > 0)
      .sort((a, b) => {
        const far = (n) => Math.abs(places.get(n.id)[1] - line) * 100 + Math.abs(places.get(n.id)[0] - column);
        return far(a) - far(b);
      })[0]?.id;
    const goal = {
      ArrowLeft: node.parent,
      ArrowRight: children.at(-1)?.id,
      ArrowUp: beside(-1),
      ArrowDown: beside(1),
      Home: all[0].id,
      End: all.find((other) => other.current)?.id,
    }[event.key];
    if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") event.preventDefault();
    if (goal === undefined || goal === null) return;
    for (const button of this.buttons.values()) button.tabIndex = -1;
    const element = this.buttons.get(goal);
    element.tabIndex = 0;
    element.focus();
  }

  dispose() {
    for (const url of this.urls) URL.revokeObjectURL(url);
  }
}
HistoryPanel.STEP = 116;
HistoryPanel.LINE = 98;

/** Node id -> [column, line]; the first child goes on in its parent's line, each other begins one below. */
function placeNodes(nodes) {
  const places = new Map();
  const taken = []; // line -> last column that is used in it
  for (const root of nodes.filter((node) => node.parent === null)) {
    const walk = [[root, 0, taken.length]];
    while (walk.length) {
      const [node, column, wanted] = walk.pop();
      const line = wanted ?? taken.length;
      taken[line] = column;
      places.set(node.id, [column, line]);
      const children = nodes.filter((other) => other.parent === node.id);
      // the first is walked last onto the stack, and so first off it: it keeps the line
      for (const child of children.slice(1).reverse()) walk.push([child, column + 1, null]);
      if (children.length) walk.push([children[0], column + 1, line]);
    }
  }
  return places;
}
