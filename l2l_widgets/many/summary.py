"""What the receipts of many faces come to, in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from l2l_widgets.session.receipt import Receipt

__all__ = ["BatchSummary", "receipt_of_row", "summarized"]


@dataclass(frozen=True)
class BatchSummary:
    """The receipts of a batch together.

    Parameters
    ----------
    measured : int
        Faces that have a receipt.
    achieved : int
        Of them, those of which no request fell short: of each at least half came.
    share_median : float or None
        Median share of a request that came, over faces and what was asked of each; None where
        nothing was asked for that is large enough to be graded.
    others_mean : float or None
        Mean absolute change of what nobody asked for, in attribute units.
    identity_kept_median : float or None
        From 0, two strangers, to 1, the same face; None without a judge of identity.
    """

    measured: int
    achieved: int
    share_median: float | None
    others_mean: float | None
    identity_kept_median: float | None

    def to_text(self) -> str:
        """The numbers in one sentence."""
        faces = "1 face" if self.measured == 1 else f"{self.measured} faces"
        parts = [f"{faces} measured, {self.achieved} with at least half of all that was asked"]
        for name, value in (
            ("median share that came", self.share_median),
            ("mean change of the other attributes", self.others_mean),
            ("median identity kept", self.identity_kept_median),
        ):
            if value is not None:
                digits = 1 if "mean " in name else 0
                parts.append(f"{name} {100 * value:.{digits}f} %")
        return "; ".join(parts)


def receipt_of_row(
    row: Mapping[str, str], names: Sequence[str], targets: Mapping[str, float]
) -> Receipt:
    """The part of a receipt that a row of a batch's table holds.

    Parameters
    ----------
    row : mapping of str to str
        Column -> text, of a face that was measured.
    names : sequence of str
        The attributes that the table has columns of.
    targets : mapping of str to float
        Name -> value that was asked for.

    Raises
    ------
    ValueError, KeyError
        A row without a receipt.
    """
    before = {name: float(row[f"before.{name}"]) for name in names}
    change = {name: float(row[f"change.{name}"]) for name in names}
    asked = {n: float(row[f"asked.{n}"]) for n in names if row.get(f"asked.{n}")}
    kept = row["identity_kept"]
    return Receipt(
        requested=asked,
        targets={name: value for name, value in targets.items() if name in asked},
        achieved={name: change[name] for name in asked},
        others={name: moved for name, moved in change.items() if name not in asked},
        before=before,
        after={name: before[name] + change[name] for name in names},
        # a scale from 0 to 1 already: the table holds where the face stands on it
        identity=float(kept) if kept else None,
        strangers=0.0 if kept else None,
    )


def summarized(receipts: Sequence[Receipt]) -> BatchSummary | None:
    """The summary of some receipts; None of none."""
    if not receipts:
        return None
    shares = [s for r in receipts for n in r.requested if (s := r.share(n)) is not None]
    others = [fmean(map(abs, r.others.values())) for r in receipts if r.others]
    kept = [r.identity_kept for r in receipts if r.identity_kept is not None]
    return BatchSummary(
        measured=len(receipts),
        achieved=sum(not r.shortfalls() for r in receipts),
        share_median=median(shares) if shares else None,
        others_mean=fmean(others) if others else None,
        identity_kept_median=median(kept) if kept else None,
    )
