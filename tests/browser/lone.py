"""A view's page by itself, without a kernel: what it draws of values that a test gives it."""

from __future__ import annotations

import base64
import json

import traitlets

#: A model as anywidget gives one: values by name, and who hears of a change. What the page sends is
#: kept in ``sent``.
OPEN = """async ({ script, sheet, state }) => {
  const bytes = text => new DataView(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
  const whole = (value) => {
    if (value?.bytes64) return bytes(value.bytes64);
    if (Array.isArray(value)) return value.map(whole);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, whole(v)]));
  };
  const values = whole(state), heard = {};
  window.sent = [];
  window.model = {
    get: name => values[name],
    set(name, value) {
      values[name] = whole(value);
      this.fire(`change:${name}`);
    },
    fire: (event, ...content) => (heard[event] ?? []).slice().forEach(f => f(...content)),
    on: (event, f) => { (heard[event] ??= []).push(f); },
    off: (event, f) => { heard[event] = (heard[event] ?? []).filter(g => g !== f); },
    send: (message) => { sent.push(message); },
  };
  document.head.append(Object.assign(document.createElement('style'), { textContent: sheet }));
  const letters = Array.from(new TextEncoder().encode(script), c => String.fromCharCode(c));
  const encoded = btoa(letters.join(''));
  const { default: view } = await import(`data:text/javascript;base64,${encoded}`);
  document.body.innerHTML = '<div id="place"></div>';
  view.render({ model: window.model, el: document.getElementById('place') });
}"""


def plain(value):
    """A value as JSON can hold it."""
    if isinstance(value, (bytes, memoryview)):
        return {"bytes64": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def open_alone(page, view, values=None):
    """Draw a view on an empty page, with other values where some are named.

    Parameters
    ----------
    page : playwright page
        That is given up to it.
    view : View
        Whose script, style sheet and values are taken; its kernel hears of nothing.
    values : dict, optional
        By name, in place of its own.

    Returns
    -------
    locator
        Of the view's element.
    """
    kinds = (traitlets.Dict, traitlets.List, traitlets.Unicode)
    names = [n for n, t in view.traits(sync=True).items() if isinstance(t, kinds) and n[0] != "_"]
    state = {name: plain(getattr(view, name)) for name in names} | plain(values or {})
    page.goto("about:blank")
    script, sheet = str(view._esm), str(view._css)
    page.evaluate(OPEN, json.loads(json.dumps({"script": script, "sheet": sheet, "state": state})))
    return page.locator("#place > .l2l")


def give(page, name, value):
    """Give the page another value, as the kernel would."""
    page.evaluate("([name, value]) => model.set(name, value)", [name, plain(value)])
