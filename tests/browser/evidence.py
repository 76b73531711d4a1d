"""What a browser test that failed leaves behind: pictures of its pages, and what they said.

The pictures go into a folder, the words into pytest's report, so that a log alone tells much.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

#: Pages that are open, and logs of servers that run.
pages: list = []
logs: list[Path] = []
#: What was taken of pages that closed before the report was made: their words and their picture.
_kept: list[tuple[str, bytes | None]] = []

#: What the page knows: errors that no cell shows, and what each view says of itself.
_LOOK = """
() => {
  const told = { kernelErrors: window.kernelErrors ?? [], cells: [], views: [] };
  const cells = window.panel?.content?.model?.cells;
  for (let i = 0; i < (cells?.length ?? 0); i++) {
    const outputs = cells.get(i).outputs;
    for (let k = 0; k < (outputs?.length ?? 0); k++) {
      const o = outputs.get(k).toJSON();
      if (o.output_type === 'error') told.cells.push([i, o.ename, o.evalue]);
    }
  }
  for (const e of document.querySelectorAll('.l2l')) {
    const alerts = [...e.querySelectorAll('[role=alert]')].map(a => a.textContent).filter(Boolean);
    const link = e.l2lLink;
    told.views.push([e.className, { ...e.dataset }, alerts,
      link ? `sent ${link.sent}, answered ${link.heard}` : '']);
  }
  return told;
}
"""


def _look(page) -> tuple[str, bytes | None]:
    """Words about a page, and its picture where it still draws one."""
    lines = [f"page {page.url}", *getattr(page, "faults", []), *getattr(page, "late", [])]
    try:
        picture = page.screenshot(timeout=60_000)
        told = page.evaluate(_LOOK)  # only of a page that draws: a script that hangs would hang us
    except Exception as error:
        return "\n".join([*lines, f"no picture: {str(error).splitlines()[0]}"]), None
    for name, found in told.items():
        lines += [f"{name}: {json.dumps(one, ensure_ascii=False)[:600]}" for one in found]
    return "\n".join(lines), picture


def keep(page) -> None:
    """Take a picture of a page that is about to be closed on account of a failure."""
    _kept.append(_look(page))


def leave(folder: Path, test: str) -> str:
    """Write the pictures of all pages into ``folder``; returns the words for the report."""
    every = {id(p): p for one in pages for p in (one, *one.context.pages)}
    found = [*_kept, *(_look(page) for page in every.values())]
    _kept.clear()
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "-", test)
    words = []
    for i, (text, picture) in enumerate(found):
        words.append(text)
        if picture is not None:
            path = folder / f"{stem}-{i}.png"
            path.write_bytes(picture)
            words.append(f"picture: {path}")
    words += [f"server log, its end:\n{log.read_text()[-1500:]}" for log in logs if log.is_file()]
    return "\n".join(words)
