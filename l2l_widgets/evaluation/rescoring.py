"""The re-scoring matrix at equal request, as InterFaceGAN reports it, beside that at equal change.

Shen et al. (CVPR 2020, section 4.3) score faces before and after a fixed step. Here the step is the
request, and each entry the mean change of a reading for a whole unit that was asked for. A method
that does little looks clean in it: so each row is also divided by what came of the target itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.metrics import significance
from l2l_widgets.metrics.editing import entanglement_matrix

__all__ = ["CHANGES", "READERS", "rescoring_rows"]

#: Start of the keys of a cell that hold the changes of all readings, (N, A).
CHANGES = "changes:"
#: Whose changes are kept: those that trained nothing.
READERS = ("judge", "judge_b")


def rescoring_rows(
    cells: Mapping[str, Mapping[str, Tensor]], table: AttributeTable, protocol: Protocol
) -> list[dict[str, Any]]:
    """Return one row a reader, edited and read attribute, of one method and training seed.

    Parameters
    ----------
    cells : mapping of str to dict
        Attribute -> what ``requested.measure_requested`` found.
    table : AttributeTable
        The columns.
    protocol : Protocol
        For the resampling.

    Returns
    -------
    list of dict
        ``per_request`` with its 95 % bootstrap interval over ``faces``, and ``of_target``, its
        share of what came of the target; None where nothing did.
    """
    rows: list[dict[str, Any]] = []
    for name, cell in cells.items():
        asked = cell["asked"]
        known = ~asked.isnan()
        column = table.index(name)
        for reader in (r for r in READERS if f"{CHANGES}{r}" in cell):
            changes, requests = cell[f"{CHANGES}{reader}"][known].double(), asked[known].double()
            if not len(changes):
                continue
            mean = entanglement_matrix(changes[None], requests[None])[0]  # (A,)
            # all requests are of one size: the slope through 0 is a mean
            low, high = significance.mean_intervals(
                changes / requests[:, None], seed=protocol.seed, draws=protocol.draws
            )
            target = float(mean[column])
            rows += [
                {
                    "reader": reader, "edited": name, "read": other, "faces": len(changes),
                    "per_request": round(float(mean[i]), 5), "low": round(float(low[i]), 5),
                    "high": round(float(high[i]), 5),
                    "of_target": round(float(mean[i]) / target, 5) if target > 0 else None,
                }
                for i, other in enumerate(table.names)
            ]  # fmt: skip
    return rows
