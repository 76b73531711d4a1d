"""A receipt as a table for the terminal."""

from __future__ import annotations

import math
import textwrap

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.session.receipt import N_NAMED, VISIBLE, Receipt, percent


def as_table(receipt: Receipt, table: AttributeTable, others: int = 6) -> str:
    """Return the receipt as lines of at most 96 characters; see ``Receipt.to_text``."""
    if receipt.error is not None:
        return receipt.error
    if not receipt.requested:
        return "nothing was asked for: the face as it is"
    lines = [line for text in receipt.sentences(table) for line in textwrap.wrap(text, 96)]
    lines += [f"{'':<17}{'before':>9}{'after':>10}{'asked':>12}{'came':>11}   random edits"]
    outside, along, slipped = receipt.stands_out(table), receipt.along(), receipt.slipped()
    marks = {**dict.fromkeys(outside, "*"), **dict.fromkeys(along, "+")}
    marks |= dict.fromkeys(slipped, "!")
    ranked = sorted(receipt.others, key=lambda n: (n not in marks, -abs(receipt.others[n])))
    # whatever the sentences name has its row
    named = [
        *slipped,
        *along,
        *[n for n in receipt.largest_others(table) if n not in along][:N_NAMED],
    ]
    shown = list(dict.fromkeys([*receipt.requested, *ranked[:others], *named]))
    others = len(shown) - len(receipt.requested)
    for name in shown:
        change = receipt.achieved.get(name, receipt.others.get(name, 0.0))
        row = table[name]
        asked = row.change_text(receipt.requested[name]) if name in receipt.requested else ""
        if name in receipt.targets:
            asked = f"to {row.value_text(receipt.targets[name])}"
        low, high = (row.change_text(end) for end in receipt.band[name])
        mark = f"  {marks[name]}" if name in marks else ""
        lines.append(
            f"{row.label:<17}{row.value_text(receipt.before[name]):>9}"
            f"{row.value_text(receipt.after[name]):>10}{asked:>12}{row.change_text(change):>11}"
            f"   {low} .. {high}{mark}"
        )
    if len(receipt.others) > others:
        rest = len(receipt.others) - others
        inside = rest - sum(name not in shown for name in outside)
        count = "all" if inside == rest else inside
        among = f"{count} of them within" if rest > 1 else "within" if inside else "beyond"
        left = f"{rest} others" if rest > 1 else "1 other"
        small = f", or moved by less than {100 * VISIBLE:.0f} %" if inside else ""
        lines.append(f"and {left}, {among} the band of random edits{small}")
    if outside:
        lines.append("* moved without being asked, beyond the band")
    if slipped:
        lines.append("! held, and moved nevertheless")
    if along:
        lines.append("+ part of the movement that was asked for")
    if receipt.identity is not None:
        least, most = receipt.identity_band or (math.nan, math.nan)
        lines.append(receipt.identity_text())
        if receipt.identity_kept_band is not None:
            low, high = map(percent, receipt.identity_kept_band)
            lines.append(f"  random edits of this size keep {low} to {high} %")
        lines.append(f"  raw, random edits of this size: {least:.3f} .. {most:.3f}")
        if receipt.strangers is not None:
            lines.append(f"  raw, different faces at this truncation: {receipt.strangers:.3f}")
    # a stage whose work was at hand from an earlier picture took no time worth a column
    took = {k: v for k, v in receipt.seconds.items() if v >= 0.0005 or k == "total"}
    stages = ", ".join(f"{stage} {value:.3f}" for stage, value in took.items())
    read = ", ".join(f"{k}: {v}" for k, v in receipt.judges.items())
    for text in (f"seconds: {stages}", f"judges: {read}"):
        lines += textwrap.wrap(text, 96, subsequent_indent="  ")
    return "\n".join(lines)
