"""The painter's figures into `docs/painting.md` and README: ``python -m tests.painting_figures``.

With ``--report DIR``, a folder that ``l2l paint-scores --out DIR`` wrote, they are taken from there
first and kept in ``docs/painting_scores.json``, without the rows of single faces. A report of more
variants gives more columns. Milliseconds come from ``painter_latency.json`` beside the weights,
which ``python -m tests.browser.painter_latency --out FILE`` writes; without it there are none.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2l_widgets.recipes import DEFAULT_WEIGHTS
from l2l_widgets.recipes.painter_text import ablation_text, readme_text
from l2l_widgets.storage import write_atomic

ROOT = Path(__file__).resolve().parent.parent
PAGE, README = ROOT / "docs" / "painting.md", ROOT / "README.md"
KEPT = ROOT / "docs" / "painting_scores.json"
LATENCY = DEFAULT_WEIGHTS / "painter_latency.json"
#: The card's figures: how far apart two large sets of renders are, in the same features.
SCORES = DEFAULT_WEIGHTS / "scores.json"
#: What is written by this stands between these lines.
BEGIN, END = "<!-- python -m tests.painting_figures -->", "<!-- end -->"
#: Beginnings of the README's row of milliseconds, and of the row above it.
ROW, ABOVE = "| end of a stroke ", "| first face after "


def kept_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report without the rows of single faces."""
    variants = {
        name: {key: value for key, value in scores.items() if key != "rows"}
        for name, scores in report["variants"].items()
    }
    return {**report, "variants": variants}


def between(text: str, written: str) -> str:
    """A text with other words between the two lines."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise SystemExit(f"there is no {BEGIN} ... {END}")
    edge = "\n\n"
    return f"{before}{BEGIN}{edge}{written.strip(edge)}{edge}{END}{after}"


def page_of(text: str, kept: Mapping[str, Any]) -> str:
    """`docs/painting.md` with the figures of a report."""
    command = f"    l2l paint-scores --faces {kept['faces']} --seed {kept['seed']}"
    others = [name for name in kept["variants"] if name != "whole"]
    if others:
        command += f" --ablations {','.join(others)}"
    drawn = read_json(SCORES)["generator"]
    floor = drawn["frechet_floor"], drawn["frechet_faces"][0]
    return between(text, f"{command} --out report\n\n{ablation_text(kept, floor)}")


def latency_row(found: Mapping[str, Any] | None) -> str | None:
    """The README's row of milliseconds; None where nothing was measured."""
    if found is None:
        return None
    short = "" if found["median_ms"] <= found["limit_ms"] else ", more than the 150 asked"
    return (
        f"{ROW}of the painter to its picture in Chromium, median / 95th percentile (n = "
        f"{found['n']}) | {found['median_ms']:.0f} / {found['p95_ms']:.0f} ms{short} | `python -m "
        "tests.browser.painter_latency` |"
    )


def readme_of(text: str, kept: Mapping[str, Any], found: Mapping[str, Any] | None) -> str:
    """The README with the figures of a report, and the milliseconds where there are any."""
    sentences = textwrap.fill(
        readme_text(kept), 128, break_long_words=False, break_on_hyphens=False
    )
    lines = [line for line in between(text, sentences).split("\n") if not line.startswith(ROW)]
    row = latency_row(found)
    if row is not None:
        above = next(i for i, line in enumerate(lines) if line.startswith(ABOVE))
        lines.insert(above + 1, row)
    return "\n".join(lines)


def read_json(path: Path) -> Any:
    """What a file holds; None without one."""
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def main(argv: list[str] | None = None) -> int:
    """Write what is kept of a report, and the texts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path, metavar="DIR", help="take the figures from here")
    args = parser.parse_args(argv)
    if args.report is not None:
        kept = kept_of(json.loads((args.report / "report.json").read_text("utf-8")))
        write_atomic(KEPT, (json.dumps(kept, indent=1) + "\n").encode())
    kept = read_json(KEPT)
    write_atomic(PAGE, page_of(PAGE.read_text("utf-8"), kept).encode())
    write_atomic(README, readme_of(README.read_text("utf-8"), kept, read_json(LATENCY)).encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
