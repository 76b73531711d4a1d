"""Methods beside each other: over attributes, over training seeds, and face by face in pairs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.evaluation.bench import READERS, Bench
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.metrics import editing, significance


def equal_faces(
    bench: Bench, name: str, cell: Mapping[str, Tensor]
) -> list[tuple[str, str, Tensor]]:
    """Return (reader, quantity, values (N,)) of single faces at equal change."""
    column = bench.models.table.index(name)
    others = [i for i in range(len(bench.models.table)) if i != column]
    rows = []
    for reader in READERS:
        if f"{reader}:position" not in cell:
            continue
        rows.append((reader, "strength", cell[f"{reader}:position"]))
        rows.append((reader, "others", cell[f"{reader}:changes"][:, others].abs().mean(dim=1)))
        rows.append((reader, "length", cell[f"{reader}:length"]))
    for quantity in ("similarity", "outside"):
        if quantity in cell:
            label = {"similarity": "identity_similarity"}.get(quantity, quantity)
            rows.append(("judge", label, cell[quantity]))
    return rows


def per_face(
    cells: Mapping[str, Mapping[str, Tensor]], reader: str, quantity: str, bench: Bench
) -> dict[str, Tensor]:
    """Return attribute -> (N,) of one of :func:`equal_faces`."""
    return {
        name: values
        for name, cell in cells.items()
        for found_reader, found, values in equal_faces(bench, name, cell)
        if (found_reader, found) == (reader, quantity)
    }


def method_rows(
    kept: Mapping[tuple[str, int], Mapping[str, Mapping[str, Tensor]]],
    reader: str,
    leaks: Sequence[Mapping[str, Any]],
    bench: Bench,
    protocol: Protocol,
) -> list[dict[str, Any]]:
    """Return one row a method over its attributes and seeds; training spread in its own columns."""
    rows = []
    for label in dict.fromkeys(label for label, _ in kept):
        seeds = sorted(seed for own, seed in kept if own == label)
        # only what all its training seeds can change, or the mean would be of other attributes
        names = [n for n in kept[label, seeds[0]] if all(n in kept[label, s] for s in seeds)]
        if not names:
            seeds, names = seeds[:1], list(kept[label, seeds[0]])
        row: dict[str, Any] = {"method": label, "reader": reader, "seeds": len(seeds)}
        row["attributes"] = len(names)
        row["faces"] = protocol.faces
        for quantity, name in (
            ("others", "leak_mean"),
            ("identity_similarity", "identity_similarity"),
            ("outside", "outside_region_error"),
        ):
            found = [per_face(kept[label, seed], reader, quantity, bench) for seed in seeds]
            measured = [name for name in names if all(name in one for one in found)]
            if not measured:
                continue
            each = [torch.stack([one[n] for n in measured], dim=1) for one in found]  # (N, K)
            values = torch.stack(each).nanmean(dim=0)  # over seeds first: a face counts once
            if bool(values.isnan().all()):
                continue
            low, high = editing.bootstrap_interval(values, seed=protocol.seed, draws=protocol.draws)
            row[name] = round(float(values.nanmean()), 4)
            row[f"{name}_low"], row[f"{name}_high"] = round(low, 4), round(high, 4)
            spread = torch.stack([e.nanmean() for e in each])
            row[f"{name}_seed_spread"] = round(float(spread.std()), 5) if len(seeds) > 1 else None
        cells = [kept[label, seed][name] for seed in seeds for name in names]
        reached = torch.stack(
            [(~cell[f"{reader}:position"].isnan()).double() for cell in cells], dim=1
        )
        reached[torch.stack([cell["asked"].isnan() for cell in cells], dim=1)] = float("nan")
        low, high = editing.bootstrap_interval(reached, seed=protocol.seed, draws=protocol.draws)
        row["reach_score"] = round(float(reached.nanmean()), 4)
        row["reach_score_low"], row["reach_score_high"] = round(low, 4), round(high, 4)
        own = [r for r in leaks if (r["method"], r["reader"]) == (label, reader)]
        row["leaks"] = sum(r["verdict"] == "leak" for r in own)
        row["cells"] = sum(r["verdict"] in ("leak", "clear") for r in own)
        rows.append(row)
    return rows


def pair_rows(
    kept: Mapping[tuple[str, int], Mapping[str, Mapping[str, Tensor]]],
    reader: str,
    bench: Bench,
    protocol: Protocol,
) -> list[dict[str, Any]]:
    """Return paired differences of methods, on the faces and attributes that both reached.

    A method that was trained several times enters with the mean over its training seeds, so that a
    face counts once; ``seeds`` says with how many, of the first and of the second.

    ``lower`` names the method with the lower value where the interval of the difference leaves
    0 out, and is ``tie`` elsewhere.
    """
    rows = []
    labels = list(dict.fromkeys(label for label, _ in kept))
    for first, second in itertools.combinations(labels, 2):
        for quantity in ("others", "identity_similarity"):
            a, of_a = over_seeds(kept, first, reader, quantity, bench)
            b, of_b = over_seeds(kept, second, reader, quantity, bench)
            shared = [name for name in a if name in b]
            if not shared:
                continue
            difference = torch.stack([a[name] - b[name] for name in shared], dim=1)  # (N, K)
            known = difference[~difference.isnan().all(dim=1)]
            if len(known) < 2:
                continue
            values = known.nanmean(dim=1)[:, None]
            low, high = significance.mean_intervals(
                values, seed=protocol.seed, draws=protocol.draws
            )
            mean = float(values.mean())
            verdict = "tie"
            if float(low) > 0 or float(high) < 0:
                verdict = first if mean < 0 else second
            rows.append(
                {
                    "first": first, "second": second, "reader": reader, "quantity": quantity,
                    "seeds": f"{of_a}, {of_b}", "faces": len(known), "attributes": len(shared),
                    "difference": mean,
                    "low": float(low), "high": float(high), "lower": verdict,
                }
            )  # fmt: skip
    return rows


def over_seeds(
    kept: Mapping[tuple[str, int], Mapping[str, Mapping[str, Tensor]]],
    label: str,
    reader: str,
    quantity: str,
    bench: Bench,
) -> tuple[dict[str, Tensor], int]:
    """Return attribute -> (N,) in the mean over a method's training seeds, and how many."""
    found = [
        per_face(cells, reader, quantity, bench) for (own, _), cells in kept.items() if own == label
    ]
    names = [name for name in found[0] if all(name in one for one in found)]
    means = {name: torch.stack([one[name] for one in found]).nanmean(dim=0) for name in names}
    return means, len(found)


def column_intervals(values: Tensor, protocol: Protocol) -> list[list[float]]:
    """95 % bootstrap intervals over the faces of the mean of each column.

    Parameters
    ----------
    values : Tensor, shape (N, S)
        NaN where a face has none.
    protocol : Protocol
        Its seed and draws.

    Returns
    -------
    list of list of float
        S lower ends, S upper ends; NaN where no face has a value.
    """
    ends = [
        (float("nan"),) * 2
        if bool(column.isnan().all())
        else editing.bootstrap_interval(column, seed=protocol.seed, draws=protocol.draws)
        for column in values.T
    ]
    return [[low for low, _ in ends], [high for _, high in ends]]
