"""Which run may be gone on with: the same, or one that gains methods, parts or training seeds.

A cell is of one part, method, training seed and attribute and knows nothing of the others, so what
is there stays true when more is asked for. Five attributes at once are the exception: they are
chosen among those that every method can change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["STALE", "asks_more", "with_what_may_grow"]

#: Part whose cells are measured anew where a run gains methods or training seeds.
STALE = "several"
#: Fields of a plan that only one part reads: they are free until that part is measured.
_OF_PART = {"paper": ("paper_faces", "positions", "detector"), "equal": ("sweep_faces",)}


def with_what_may_grow(held: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run with what it may gain as it is asked for.

    Parameters
    ----------
    held, asked : mapping
        What ``run.json`` holds, and what it is to hold: ``plan`` (``parts``, ``seeds`` and the
        rest), ``methods``, ``hashes``, and ``trained`` where there are other training seeds.

    Returns
    -------
    dict
        Equal to ``asked`` where the run may be gone on with; where it may not, the first difference
        says why.
    """
    out = dict(held)
    if _contains(asked.get("methods"), held.get("methods")):
        out["methods"] = asked["methods"]
    if _contains(asked.get("hashes"), held.get("hashes")):
        out["hashes"] = asked["hashes"]
    trained, more = held.get("trained", {}), asked.get("trained", {})
    if all(more.get(label, [])[: len(hashes)] == hashes for label, hashes in trained.items()):
        out.pop("trained", None)
        out |= {"trained": more} if more else {}
    plan, wanted = dict(held.get("plan", {})), asked.get("plan", {})
    parts = plan.get("parts", [])
    for part, names in _OF_PART.items():
        if part not in parts:
            plan |= {name: wanted[name] for name in names if name in wanted}
    if set(parts) <= set(wanted.get("parts", [])):
        plan["parts"] = wanted["parts"]
    if plan.get("seeds", 0) <= wanted.get("seeds", 0):
        plan["seeds"] = wanted["seeds"]
    return {**out, "plan": plan}


def asks_more(
    held: Mapping[str, Any], methods: list[str], parts: tuple[str, ...], seeds: int
) -> bool:
    """Whether a command asks for methods, parts or training seeds that ``run.json`` lacks."""
    plan, known = held.get("plan", {}), list(held.get("methods", {}).values())
    new = [name for name in methods if methods.count(name) > known.count(name)]
    return bool(new or set(parts) - set(plan.get("parts", ())) or seeds > plan.get("seeds", 0))


def _contains(asked: Any, held: Any) -> bool:
    return (
        isinstance(asked, Mapping)
        and isinstance(held, Mapping)
        and all(asked.get(label) == source for label, source in held.items())
    )
