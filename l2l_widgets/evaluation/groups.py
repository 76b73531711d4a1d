"""Who reads alike, and whether a method serves all faces alike: agreement of readers, groups.

A figure over all faces may hide that a method leaks on some of them. Groups are what the readers
support: a face belongs to one where all networks that read it put it on the same side of 0.5; where
they differ it belongs to neither. A group of few faces is refused, and says how many they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.evaluation.bench import Bench
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.evaluation.side_by_side import over_seeds
from l2l_widgets.metrics import editing
from l2l_widgets.metrics.reliability import agreement

__all__ = ["LEAST", "agreement_rows", "group_rows", "sides"]

#: Fewer faces than this are no group: their means would be about persons.
LEAST = 30
#: From which reading on a face has an attribute.
PRESENT = 0.5


def agreement_rows(bench: Bench, protocol: Protocol) -> list[dict[str, Any]]:
    """Return one row a pair of networks and attribute, of the unedited faces.

    ``correlation`` is Pearson's with its 95 % bootstrap interval over faces, None where one of them
    reads all faces alike; ``difference`` the mean absolute one, in attribute units.
    """
    rows = []
    for first, second in itertools.combinations(_networks(bench), 2):
        a, b = bench.before[first].double().cpu(), bench.before[second].double().cpu()
        found = agreement(a, b, seed=protocol.seed, draws=protocol.draws)
        apart = (a - b).abs().mean(dim=0).tolist()
        together = zip(*(values.tolist() for values in found), strict=True)
        names = bench.models.table.names
        for name, (value, low, high), difference in zip(names, together, apart, strict=True):
            told = value == value
            rows.append(
                {
                    "first": first, "second": second, "attribute": name, "faces": len(a),
                    "correlation": round(value, 4) if told else None,
                    "low": round(low, 4) if told else None,
                    "high": round(high, 4) if told else None,
                    "difference": round(difference, 4),
                }
            )  # fmt: skip
    return rows


def sides(bench: Bench, name: str) -> tuple[Tensor, Tensor]:
    """Return which faces (N,) all networks read above 0.5 in an attribute, and which at most so."""
    column = bench.models.table.index(name)
    has = torch.stack([bench.before[r][:, column] > PRESENT for r in _networks(bench)]).cpu()
    return has.all(dim=0), ~has.any(dim=0)


def group_rows(
    kept: Mapping[tuple[str, int], Mapping[str, Mapping[str, Tensor]]],
    reader: str,
    bench: Bench,
    protocol: Protocol,
) -> list[dict[str, Any]]:
    """Return one row a method and group of faces, at equal achieved change, by one reader.

    ``faces`` are of the group, ``undecided`` those on which the networks differ; a group of fewer
    than :data:`LEAST` has the reason in ``refused`` and no figure. Means are over the edited
    attributes and training seeds.
    """
    rows = []
    for label in dict.fromkeys(label for label, _ in kept):
        quantities = {
            name: _faces(kept, label, reader, quantity, bench)
            for quantity, name in (
                ("others", "leak_mean"),
                ("identity_similarity", "identity_similarity"),
            )
        }
        quantities["reach_score"] = _reached(kept, label, reader)
        for attribute in protocol.attributes:
            above, below = sides(bench, attribute)
            for side, chosen in (("above", above), ("at most", below)):
                row: dict[str, Any] = {
                    "method": label, "reader": reader, "attribute": attribute,
                    "group": f"{side} {PRESENT:g}", "faces": int(chosen.sum()),
                    "undecided": int((~(above | below)).sum()),
                }  # fmt: skip
                if row["faces"] < LEAST:
                    rows.append({**row, "refused": f"fewer than {LEAST} faces"})
                    continue
                for name, values in quantities.items():
                    if values is not None and not bool(values[chosen].isnan().all()):
                        row |= _figure(name, values[chosen], protocol)
                rows.append(row)
    return rows


def _networks(bench: Bench) -> list[str]:
    return [reader for reader in bench.kinds if reader != "consensus"]


def _faces(
    kept: Mapping[tuple[str, int], Mapping[str, Mapping[str, Tensor]]],
    label: str,
    reader: str,
    quantity: str,
    bench: Bench,
) -> Tensor | None:
    """One quantity of a method's faces, (N, K) over K attributes; None where nobody reads it."""
    by = "judge" if quantity == "identity_similarity" else reader
    found, _ = over_seeds(kept, label, by, quantity, bench)
    return torch.stack(list(found.values()), dim=1) if found else None


def _reached(
    kept: Mapping[tuple[str, int], Mapping[str, Mapping[str, Tensor]]], label: str, reader: str
) -> Tensor:
    """Whether each face came so far, (N, cells of the method); NaN where nothing was asked."""
    cells = [cell for (own, _), found in kept.items() if own == label for cell in found.values()]
    reached = torch.stack([(~c[f"{reader}:position"].isnan()).double() for c in cells], dim=1)
    reached[torch.stack([c["asked"].isnan() for c in cells], dim=1)] = float("nan")
    return reached


def _figure(name: str, values: Tensor, protocol: Protocol) -> dict[str, float]:
    low, high = editing.bootstrap_interval(values, seed=protocol.seed, draws=protocol.draws)
    return {
        name: round(float(values.nanmean()), 4),
        f"{name}_low": round(low, 4),
        f"{name}_high": round(high, 4),
    }
