"""A seeded monkey: random things that a person could do to a view."""

from __future__ import annotations

import os

#: One run of each monkey for every seed; more than one on request: ``L2L_MONKEY_SEEDS="1 2 3"``.
SEEDS = tuple(int(seed) for seed in os.environ.get("L2L_MONKEY_SEEDS", "20261121").split())
ACTIONS = 200
KEYS = (
    "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End", "Enter",
    "Space", "Escape", "Delete", "Tab", "Shift+Tab", "Control+z", "Control+y", "l", "b", "n", "h",
    "/", "?",
)  # fmt: skip
TEXTS = (
    "",
    "7",
    "-1",
    "4294967296",
    "smile",
    "<b>x</b>",
    "{",
    "\u202e\U0001f600",
    "0-3",
    "9" * 200,
)
#: What is done -> where; a view that has no such place is left alone.
WHERE = {
    "click": "button:not([disabled]), summary, .l2l-frame, td, [role=gridcell], [role=slider], "
    ".l2l-map-stage, .l2l-strip, .l2l-painter canvas",
    "drag": "input[type=range]:not([disabled]), .l2l-map-stage, .l2l-strip, .l2l-painter canvas",
    "text": "input[type=number], input[type=text], input[type=search], textarea",
    "choose": "select",
    "wheel": ".l2l-scroll, .l2l-panel, .l2l-tree, .l2l-map-stage",
}


def act(page, root, monkey):
    """One random thing that a person could do; returns it in words."""
    kind = monkey.choices(
        ("click", "drag", "keys", "text", "choose", "wheel", "resize"), (38, 20, 20, 10, 6, 4, 2)
    )[0]
    if kind == "resize":
        page.set_viewport_size({"width": monkey.choice((900, 1280, 1600)), "height": 900})
        return kind
    if kind == "keys":
        key = monkey.choice(KEYS)
        inside = root.evaluate("e => e.contains(document.activeElement)")
        if inside:  # elsewhere the keys are the notebook's
            page.keyboard.press(key)
        return f"{kind} {key if inside else '-'}"
    # One question to the page: a choice among what is visible, brought into view.
    found = root.evaluate(
        """(root, [wanted, share]) => {
          const seen = [...root.querySelectorAll(wanted)].filter(e => e.getClientRects().length);
          const e = window.chosen = seen[Math.floor(share * seen.length)];
          if (!e) return null;
          e.scrollIntoView({block: 'nearest'});
          const r = e.getBoundingClientRect();
          return [r.x, r.y, r.width, r.height,
                  (e.ariaLabel || e.textContent || e.className).slice(0, 30)];
        }""",
        [WHERE[kind], monkey.random()],
    )
    if found is None:
        return f"{kind} nothing"
    left, top, width, height, name = found
    x, y = left + monkey.random() * width, top + height / 2
    if kind == "click":
        page.mouse.click(x, y)
    elif kind == "drag":
        page.mouse.move(x, y)
        page.mouse.down()
        for _ in range(monkey.randint(1, 8)):
            page.mouse.move(left + monkey.random() * width, y)
        if monkey.random() < 0.1:  # some hands leave the picture with the button down
            page.mouse.move(2, 2)
        page.mouse.up()
    elif kind == "text":
        page.evaluate(
            """text => { const e = window.chosen;
              if (e.readOnly || e.disabled) return;
              e.focus(); e.value = text;
              for (const name of ['input', 'change']) {
                e.dispatchEvent(new Event(name, {bubbles: true}));
              } }""",
            monkey.choice(TEXTS),
        )
    elif kind == "choose":
        page.evaluate(
            """share => { const e = window.chosen;
              e.selectedIndex = Math.floor(share * e.options.length);
              e.dispatchEvent(new Event('change', {bubbles: true})); }""",
            monkey.random(),
        )
    else:
        page.mouse.move(x, y)
        page.mouse.wheel(0, monkey.choice((-300, 300)))
    return f"{kind} {name}"
