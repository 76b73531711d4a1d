// Helpers that every widget of the package uses: elements, and numbers in the unit a person reads.

// Lab looks for its one-key commands from the focused element outwards and stops at this attribute; it must be
// on the element itself, or an arrow key on a slider would move through the cells instead.
const KEEPS_KEYS = new Set(["button", "input", "select", "summary", "textarea"]);

/** Make an element: h("button", {class: "x", onclick: f, "aria-label": "y"}, "text", child). */
function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  if (KEEPS_KEYS.has(tag)) el.dataset.lmSuppressShortcuts = "true";
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (key === "dataset") Object.assign(el.dataset, value);
    else el.setAttribute(key, value === true ? "" : value);
  }
  el.append(...children.filter((c) => c !== null && c !== undefined));
  return el;
}

/** The same for SVG. */
function s(tag, props = {}, ...children) {
  const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(props)) el.setAttribute(key, value);
  el.append(...children);
  return el;
}

const ICONS = {
  undo: "M7 5 3 9l4 4M3 9h8.5a4.5 4.5 0 0 1 0 9H9",
  redo: "M13 5l4 4-4 4M17 9H8.500a4.500 4.500 0 0 0 0 9H11",
  reset: "M4 4v5h5M4.600 9A6.500 6.500 0 1 1 4 13",
  compare: "M10 3v14M3 5h4.500v10H3zM17 5h-4.500v10H17z",
  save: "M10 3v10M6 9l4 4 4-4M4 16.500h12",
  dice: "M4 4h12v12H4zM7.500 7.500h.01M12.500 12.500h.01M10 10h.01M12.500 7.500h.01M7.500 12.500h.01",
  start: "M6 4l10 6-10 6z",
  stop: "M5 5h10v10H5z",
  pause: "M7 4v12M13 4v12",
  copy: "M7 7h9v9H7zM4 13V4h9",
  rows: "M3 5h14M3 10h14M3 15h14",
  held: "M5 9h10v8H5zM7 9V6.500a3 3 0 0 1 6 0V9",
  add: "M10 4v12M4 10h12",
  open: "M3 6h5l2 2h7v8H3z",
  sliders: "M3 6.500h6M13 6.500h4M3 13.500h2M9 13.500h8M11 4.500v4M7 11.500v4",
};

/** A 20 x 20 line drawing; decoration only, the button's text says what it does. */
function icon(name) {
  const svg = s("svg", { viewBox: "0 0 20 20", class: "l2l-icon", "aria-hidden": "true" });
  svg.append(s("path", { d: ICONS[name] }));
  return svg;
}

/** Set a property that is another already: the same text set again would be laid out again. */
function put(element, property, value) {
  if (element[property] !== value) element[property] = value;
}

function button(text, iconName, onclick, props = {}) {
  return h(
    "button",
    { type: "button", class: "l2l-button", onclick, ...props },
    iconName ? icon(iconName) : null,
    h("span", {}, text),
  );
}

/** Attribute units (0..1) as text in the row's unit: "52 years", "-12°", "31 %". */
function asValue(row, value) {
  return withUnit(row, row.low + (row.high - row.low) * value, row.low < 0);
}

/** A difference in attribute units as signed text in the row's unit. */
function asChange(row, change) {
  return withUnit(row, (row.high - row.low) * change, true);
}

function withUnit(row, number, signed) {
  const rounded = Math.round(number);
  const sign = rounded < 0 ? "\u2212" : signed && rounded > 0 ? "+" : "";
  const space = row.unit === "°" ? "" : "\u202f";
  return `${sign}${Math.abs(rounded)}${space}${row.unit}`;
}

/** Whether the keyboard now writes text, so that single letters are not commands. */
function isTyping(target) {
  if (target.isContentEditable || target.tagName === "TEXTAREA") return true;
  return target.tagName === "INPUT" && !["range", "checkbox", "button"].includes(target.type);
}
