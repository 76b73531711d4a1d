"""What another method does differently, face by face: before and after a projection, say."""

from __future__ import annotations

from typing import Any
from typing import Protocol as Shape

import torch
from torch import Tensor

from l2l_widgets.entanglement.matrix import LeakageMatrix
from l2l_widgets.evaluation.equal_change import FALSE_DISCOVERIES
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.metrics import significance

__all__ = ["paired_difference"]


class Study(Shape):
    """What both kinds of study give."""

    protocol: Protocol

    def matrix(self, method: str, reader: str = "judge") -> LeakageMatrix:
        """Return the matrix of a method."""
        ...

    def row(self, method: str, name: str) -> dict[str, Tensor]:
        """Return the single faces of one edited attribute."""
        ...


def paired_difference(
    study: Study, first: str, second: str, reader: str = "judge"
) -> LeakageMatrix:
    """Return by how much more every attribute moves with ``second`` than with ``first``.

    Only faces count on which both achieved the change, so that the same people are compared.

    Parameters
    ----------
    study : LeakageStudy or ReportStudy
        With rows of both methods; attributes that only one of them has are left out.
    first, second : str
        Two methods.
    reader : str
        Who reads.

    Returns
    -------
    LeakageMatrix
        ``signed`` is second minus first, with intervals over faces; a verdict of ``leak`` says that
        the two differ at the false-discovery rate of the study, ``clear`` that they may not.
    """
    a, b = study.matrix(first, reader), study.matrix(second, reader)
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    tested: list[dict[str, Any]] = []
    for name in a.edited:
        if name not in b.edited:
            continue
        one, two = study.row(first, name), study.row(second, name)
        key = f"{reader}:changes"
        signs = one["asked"].sign()[:, None]
        both = ~(one[f"{reader}:position"].isnan() | two[f"{reader}:position"].isnan())
        change = ((two[key] - one[key]) * signs)[both].double()
        for column, other in enumerate(a.read):
            cells[name, other] = {"edited": name, "read": other, "faces": len(change)}
            cell = cells[name, other]
            if len(change) < 2:
                cell["verdict"] = "untested"
                continue
            verdict = a.cells[name, other]["verdict"]
            cell |= {"signed": float(change[:, column].mean()), "drift": 0.0, "band": 0.0}
            cell["verdict"] = verdict if verdict in ("asked", "partner") else "clear"
            if cell["verdict"] == "clear":
                tested.append(cell)
        if len(change) >= 2:
            low, high = significance.mean_intervals(
                change, seed=study.protocol.seed, draws=study.protocol.draws
            )
            p = significance.mean_p_values(change)
            for column, other in enumerate(a.read):
                cells[name, other] |= {
                    "signed_low": float(low[column]), "signed_high": float(high[column]),
                    "p": float(p[column]),
                }  # fmt: skip
    q = significance.false_discovery_q_values(torch.tensor([cell["p"] for cell in tested]))
    for cell, value in zip(tested, q.tolist(), strict=True):
        cell["q"] = value
        cell["verdict"] = "leak" if value < FALSE_DISCOVERIES else "clear"
    return LeakageMatrix(
        f"{second} minus {first}", reader, study.protocol, a.read, cells, a.judges,
        {**a.failed, **b.failed}, a.chance,
    )  # fmt: skip
