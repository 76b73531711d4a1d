"""DCI, MIG and SAP: whether each factor of the world has a code of its own.

All three need codes with a meaning per dimension. Faces have such codes only along edits: apply
them to edit coordinates (how far a face lies along each method's directions) or to the channels of
a space, and do not compare spaces of different dimension without saying so.

Sources: DCI is that of Eastwood and Williams (ICLR 2018), MIG of Chen et al. (NeurIPS 2018), SAP
of Kumar et al. (ICLR 2018); conventions (20 bins, C = 0.01, gradient-boosted trees) are those of
Locatello et al. (ICML 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: Bins of a code when its mutual information is counted.
BINS = 20


@dataclass(frozen=True)
class DCI:
    """What :func:`dci_scores` found; each number is in [0, 1] and better when higher.

    Parameters
    ----------
    disentanglement : float
        Whether each code serves one factor.
    completeness : float
        Whether each factor is served by one code.
    informativeness : float or None
        How well held-out factors are predicted: accuracy for classes, R squared (at least 0) for
        numbers; None where only an importance matrix was given.
    """

    disentanglement: float
    completeness: float
    informativeness: float | None = None


def dci_from_importance(importance: Tensor) -> DCI:
    """Return disentanglement and completeness of an importance matrix.

    Parameters
    ----------
    importance : Tensor, shape (C, F), C >= 2, F >= 2
        How much code c matters for factor f, at least 0.
    """
    if importance.ndim != 2 or min(importance.shape) < 2 or not bool((importance >= 0).all()):
        raise ValueError(
            f"importance has shape {tuple(importance.shape)}; allowed: (C >= 2, F >= 2), "
            "none below 0"
        )
    matrix = importance.double()
    if float(matrix.sum()) == 0:
        return DCI(0.0, 0.0)  # nothing serves anything

    def weighted(rows: Tensor) -> float:
        """1 - entropy of each row in units of its maximum, weighted by the row's importance."""
        total = rows.sum(dim=1)
        share = rows / total[:, None].clamp_min(1e-300)
        entropy = -torch.special.xlogy(share, share).sum(dim=1)
        largest = math.log(rows.shape[1])
        return float(((1 - entropy / largest) * total / total.sum()).sum())

    return DCI(weighted(matrix), weighted(matrix.T))


def dci_scores(codes: Tensor, factors: Tensor, *, seed: int = 0, train_share: float = 2 / 3) -> DCI:
    """Return DCI with gradient-boosted trees.

    Parameters
    ----------
    codes : Tensor, shape (N, C), C >= 2
        One code vector a sample.
    factors : Tensor, shape (N, F), F >= 2
        What is true of each sample: whole numbers are classes, others are regressed.
    seed : int
        Of the trees.
    train_share : float
        The first rows, for fitting; the rest for informativeness.
    """
    _check(codes, factors)
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    cut = int(len(codes) * train_share)
    if not 10 <= cut < len(codes):
        raise ValueError(f"train_share is {train_share!r}; allowed: at least 10 rows on both sides")
    x = codes.double().cpu().numpy()
    importance, told = [], []
    for f in range(factors.shape[1]):
        classes = _is_class(factors)
        y = _target(factors[:, f], classes)
        kind: Any = GradientBoostingClassifier if classes else GradientBoostingRegressor
        _check_varies(factors[:cut, f], f)
        trees = kind(random_state=seed).fit(x[:cut], y[:cut])
        importance.append(torch.from_numpy(trees.feature_importances_).abs())
        told.append(max(0.0, float(trees.score(x[cut:], y[cut:]))))
    found = dci_from_importance(torch.stack(importance, dim=1))
    return DCI(found.disentanglement, found.completeness, sum(told) / len(told))


def mig_score(codes: Tensor, factors: Tensor, bins: int = BINS) -> float:
    """Return the mutual information gap, in [0, 1]; higher is better.

    Mean over factors of the gap between the two codes that say most about the factor, as a share
    of the factor's entropy.

    Parameters
    ----------
    codes : Tensor, shape (N, C), C >= 2
        Cut into ``bins`` of equal width.
    factors : Tensor, shape (N, F)
        Whole numbers are classes; others are cut like codes.
    bins : int
        At least 2.
    """
    _check(codes, factors)
    if bins < 2:
        raise ValueError(f"bins is {bins!r}; allowed: at least 2")
    cut_codes = [_cut(column, bins) for column in codes.double().cpu().T]
    gaps = []
    for f in range(factors.shape[1]):
        _check_varies(factors[:, f], f)
        column = factors[:, f].double().cpu()
        labels = column.unique(return_inverse=True)[1] if _is_class(factors) else _cut(column, bins)
        told = torch.tensor(
            [_mutual_information(code, labels) for code in cut_codes], dtype=torch.float64
        )
        best, second = told.topk(2).values.tolist()
        gaps.append((best - second) / _mutual_information(labels, labels))
    return sum(gaps) / len(gaps)


def sap_score(codes: Tensor, factors: Tensor, *, train_share: float = 2 / 3) -> float:
    """Return the separated attribute predictability, in [0, 1]; higher is better.

    Mean over factors of the gap between the two codes that predict the factor best alone.

    Parameters
    ----------
    codes : Tensor, shape (N, C), C >= 2
        One code vector a sample.
    factors : Tensor, shape (N, F)
        Whole numbers are classes, predicted by a linear support vector machine (held-out
        accuracy); others by their squared correlation.
    train_share : float
        The first rows, for fitting; used for classes alone.
    """
    _check(codes, factors)
    cut = int(len(codes) * train_share)
    x = codes.double().cpu()
    gaps = []
    for f in range(factors.shape[1]):
        _check_varies(factors[:cut, f], f)
        y = factors[:, f].double().cpu()
        scores = _accuracies(x, y, cut) if _is_class(factors) else _squared_correlations(x, y)
        best, second = scores.topk(2).values.tolist()
        gaps.append(best - second)
    return sum(gaps) / len(gaps)


def _accuracies(x: Tensor, y: Tensor, cut: int) -> Tensor:
    from sklearn.svm import LinearSVC

    labels, out = y.long().numpy(), []
    for column in x.T:
        one = column[:, None].numpy()
        machine = LinearSVC(C=0.01, class_weight="balanced", dual=False)
        out.append(machine.fit(one[:cut], labels[:cut]).score(one[cut:], labels[cut:]))
    return torch.tensor(out, dtype=torch.float64)


def _squared_correlations(x: Tensor, y: Tensor) -> Tensor:
    x, y = x - x.mean(dim=0), y - y.mean()
    variance = x.square().sum(dim=0) * y.square().sum()
    return torch.where(variance > 1e-12, (x.T @ y).square() / variance.clamp_min(1e-300), 0.0)


def _mutual_information(a: Tensor, b: Tensor) -> float:
    """Return the mutual information of two label columns in nats."""
    joint = torch.zeros(int(a.max()) + 1, int(b.max()) + 1, dtype=torch.float64)
    joint.index_put_((a, b), torch.ones(len(a), dtype=torch.float64), accumulate=True)
    joint = joint / joint.sum()
    independent = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0, keepdim=True)
    filled = joint > 0
    return float((joint[filled] * (joint[filled] / independent[filled]).log()).sum())


def _cut(column: Tensor, bins: int) -> Tensor:
    low, high = column.min(), column.max()
    width = (high - low).clamp_min(1e-300)
    return ((column - low) / width * bins).long().clamp(0, bins - 1)


def _is_class(factors: Tensor) -> bool:
    return not factors.is_floating_point()


def _target(column: Tensor, classes: bool) -> Any:
    return (column.long() if classes else column.double()).cpu().numpy()


def _check(codes: Tensor, factors: Tensor) -> None:
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise ValueError(
            f"codes {tuple(codes.shape)} and factors {tuple(factors.shape)} do not fit; "
            "allowed: (N, C) and (N, F)"
        )
    if codes.shape[1] < 2:
        raise ValueError("codes have 1 column; allowed: at least 2, as gaps are between two")
    for name, x in (("codes", codes), ("factors", factors)):
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"{name} hold NaN or infinity; allowed: finite numbers")


def _check_varies(column: Tensor, f: int) -> None:
    if len(column) == 0 or bool((column == column[0]).all()):
        raise ValueError(f"factor {f} is constant; allowed: at least two values")
