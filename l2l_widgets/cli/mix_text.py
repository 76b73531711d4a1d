"""What ``l2l mix`` and ``l2l mix-report`` found, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2l_widgets.disentangle.closeness import Closeness

#: Mixes whose closeness is listed one by one.
LISTED = 16


def closeness_lines(close: Sequence[tuple[str, str, Closeness]]) -> list[str]:
    """What the second embedder finds of mixes: whose person, whose attributes, and how close."""
    if not close:
        return []
    if len(close) == 1:
        return [f"the second embedder finds it {close[0][2].to_text()}"]
    nearer = sum(one.nearer == "identity" for _, _, one in close)
    lines = [
        f"the second embedder finds {nearer} of {len(close)} nearer to the identity face than to "
        "the attribute face (1 is the same face):",
        f"  {'closeness to':<24}{'identity':>10}{'attributes':>12}{'those two':>11}",
    ]
    lines += [
        f"  {f'{person} as {other}':<24}{one.identity:>10.2f}{one.attributes:>12.2f}"
        f"{one.inputs:>11.2f}"
        for person, other, one in close[:LISTED]
    ]
    rest = len(close) - LISTED
    return [*lines, f"  and {rest} more, which --json lists"] if rest > 0 else lines


def report_lines(report: dict[str, Any]) -> list[str]:
    """The goals; then every measure of every mixer; then the truth."""
    lines = [
        f"{'reached' if row['reached'] else 'missed':<8} {row['goal']:>8} "
        f"{_cell(row['value'], row['interval']):>24}  {row['what']}"
        + ("" if row["ceiling"] is None else f" (at best {_cell(row['ceiling'])})")
        for row in report["reach"]
    ]
    names, first = list(report["scores"]), next(iter(report["scores"].values()))
    keys = [key for key in first if not key.endswith("_interval")]
    wide = max(26, *(len(key) for key in keys))
    lines += ["", f"{'':<{wide}} " + " ".join(f"{name:>24}" for name in names)]
    for key in keys:
        cells = [_cell(s.get(key), s.get(f"{key}_interval")) for s in report["scores"].values()]
        lines.append(f"{key:<{wide}} " + " ".join(f"{cell:>24}" for cell in cells))
    lines += [f"{key:<{wide}} {_cell(value):>24}" for key, value in report["truth"].items()]
    return lines


def _cell(value: Any, interval: Any = None) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if interval is None else f"{text} [{interval[0]:.3g}, {interval[1]:.3g}]"
