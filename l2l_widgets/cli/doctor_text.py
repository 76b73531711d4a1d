"""``l2l doctor`` for a person: what was found, with units, and the problems last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2l_widgets.cli.counts import counted

SECTIONS = ("machine", "weights", "speed", "browser", "memory")
#: Findings whose names say too little.
LABELS = {
    "cores": "processor cores",
    "cuda": "a graphics card (CUDA)",
    "l2l_widgets": "version of l2l_widgets",
    "resolution": "pictures",
    "first_face_ms": "first face, networks loaded",
    "first_edit_ms": "first edit",
    "edit_ms": "an edit after that",
    "receipt_8_random_edits_ms": "a receipt, 8 random edits",
    "server_extension": "loaded by plain jupyter lab",
    "kernel_mb": "one learner's kernel",
    "available_mb": "free memory",
    "seats": "seats asked for",
    "seats_that_fit": "learners that fit",
}
UNITS = {"_mb": "MB", "_ms": "ms"}


def doctor_text(report: Mapping[str, Any]) -> str:
    """The report as lines.

    Parameters
    ----------
    report : mapping
        Section -> what was found there, None where it failed; ``problems``, a list of str.
    """
    lines = []
    for section in SECTIONS:
        lines.append(section)
        for key, value in (report[section] or {}).items():
            if key == "hashes" or (key == "seats" and value is None):
                continue
            ending = key[-3:]
            name = key.removesuffix(ending) if ending in UNITS else key
            label = LABELS.get(key, name.replace("_", " "))
            lines.append(f"  {label:<28}{_shown(key, value, UNITS.get(ending, ''))}")
    problems = report["problems"]
    lines.append(f"{counted(len(problems), 'problem')}:" if problems else "no problems")
    lines += [f"  {problem}" for problem in problems]
    return "\n".join(lines)


def _shown(key: str, value: Any, unit: str) -> str:
    if value is None:
        return "unknown"
    if key == "files":
        bad = [f"{name} {state}" for name, state in value.items() if state != "ok"]
        whole = f"{len(value) - len(bad)} as the manifest has them"
        return ", ".join([whole, *bad])
    if key == "server_extension":
        return "yes" if value else "no: open it with l2l lab, which loads it"
    if key == "resolution":
        return f"{value} x {value} pixels"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item or 'missing'}" for name, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    number = f"{value:.0f}" if unit == "ms" and value >= 100 else str(value)
    return f"{number} {unit}".rstrip()
