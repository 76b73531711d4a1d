"""Plant the asked-for correlations: ``python -m l2l_widgets.faceworld.planting [--write]``.

The population is a Gaussian copula with monotone maps and gates (a scheme known as NORTA, "normal
to anything"), so the correlation of two attributes is not that of their latents. The latents' are
found by iteration: sample, compare the attributes' correlations with those asked for, move the
latents' by the difference, replace the matrix by the nearest possible one, repeat. Pairs that
nobody asked for are left to follow: two attributes that both go with gender go together as far as
gender explains it and no further (the completion of greatest determinant). The result is as close
to the asked-for figures as is jointly possible, and what comes out is what the table says.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys

import torch
from torch import Tensor

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld.correlations import (
    ASKED,
    ASKED_OF_FACTORS,
    ATTRIBUTE_TABLE,
    LATENT_TABLE,
    attribute_correlations,
)
from l2l_widgets.faceworld.factors import FACTORS, Factors, normals, sample_factors
from l2l_widgets.faceworld.truth import PRIMARY_FACTOR
from l2l_widgets.storage import write_atomic

#: Latents that an attribute's correlations are planted in, where not in its primary factor alone.
PLANTED_IN = {"smile": ("lip_corner", "emotion_happiness")}
#: No latent shall be a function of the others: least eigenvalue of their correlation matrix.
LEAST = 0.03
#: Seed of the portraits that the tables are computed from.
SEED = 20_251_120


def fit(portraits: int = 65_536, rounds: int = 30) -> tuple[tuple[str, ...], Tensor]:
    """Latent correlations that come as near to :data:`ASKED` as is possible together.

    Returns
    -------
    names : tuple of str
        The factors that have correlations.
    matrix : Tensor, shape (K, K), float64
        Rounded to 3 decimals.
    """
    pairs = [(a, b, r) for a, b, r, _ in ASKED]
    latents_of = {n: PLANTED_IN.get(n, (PRIMARY_FACTOR.get(n, n),)) for p in pairs for n in p[:2]}
    used = {f for fs in latents_of.values() for f in fs}
    used |= {name for a, b, _ in ASKED_OF_FACTORS for name in (a, b)}
    names = tuple(f for f in FACTORS if f in used)
    columns = [FACTORS.index(n) for n in names]
    z = normals(portraits, SEED)
    edges = torch.eye(len(names), dtype=torch.bool)
    asked = torch.eye(len(names), dtype=torch.float64)
    for a, b, r in ASKED_OF_FACTORS:
        _set(asked, edges, names.index(a), names.index(b), r)
    for a, b, r in pairs:
        for i in (names.index(f) for f in latents_of[a]):
            for j in (names.index(f) for f in latents_of[b]):
                _set(asked, edges, i, j, r)
    matrix = complete(nearest_correlation(asked), edges)
    for _ in range(rounds):
        latents = z.clone()
        latents[:, columns] = z[:, columns] @ torch.linalg.cholesky(matrix).float().T
        found = torch.corrcoef(Factors(latents).attributes().double().T)
        wanted = torch.where(edges, asked, matrix)
        for a, b, r in pairs:
            gap = r - float(found[DEFAULT_TABLE.index(a), DEFAULT_TABLE.index(b)])
            for i in (names.index(f) for f in latents_of[a]):
                for j in (names.index(f) for f in latents_of[b]):
                    moved = (asked[i, j] + 0.6 * gap).clamp(-0.95, 0.95)
                    _set(wanted, edges, i, j, float(moved))
                    _set(asked, edges, i, j, float(moved))
        matrix = complete(nearest_correlation(wanted), edges)
        # what is not possible together shall not be asked for ever louder
        asked = torch.where(edges, 0.5 * asked + 0.5 * matrix, asked)
        for a, b, r in ASKED_OF_FACTORS:
            _set(asked, edges, names.index(a), names.index(b), r)
    rounded = (matrix * 1000).round() / 1000
    if torch.linalg.eigvalsh(rounded)[0] < LEAST / 2:
        raise RuntimeError("the rounded latent correlations are not positive definite")
    return names, rounded


def _set(matrix: Tensor, edges: Tensor, i: int, j: int, r: float) -> None:
    matrix[i, j] = matrix[j, i] = r
    edges[i, j] = edges[j, i] = True


def nearest_correlation(matrix: Tensor, rounds: int = 60) -> Tensor:
    """Nearest correlation matrix (Higham 2002: alternating projections with Dykstra's correction).

    Its least eigenvalue is :data:`LEAST` or a little more.
    """
    y, correction = matrix.clone(), torch.zeros_like(matrix)
    for _ in range(rounds):
        r = y - correction
        values, vectors = torch.linalg.eigh(r)
        x = vectors @ torch.diag(values.clamp_min(LEAST)) @ vectors.T
        correction = x - r
        y = x.clone()
        y.fill_diagonal_(1.0)
    scale = x.diagonal().rsqrt()
    return scale[:, None] * x * scale[None]


def complete(matrix: Tensor, edges: Tensor, rounds: int = 20) -> Tensor:
    """Correlation matrix of greatest determinant that keeps the entries in ``edges``.

    Each column in turn is regressed on its neighbours (Hastie, Tibshirani and Friedman, *Elements
    of Statistical Learning*, algorithm 17.1); what is not in ``edges`` is then conditionally
    independent.
    """
    w, n = matrix.clone(), len(matrix)
    for _ in range(rounds):
        for j in range(n):
            others = torch.arange(n) != j
            near = (edges[j] & others).nonzero()[:, 0]
            beta = torch.linalg.solve(w[near][:, near], matrix[near, j])
            column = w[others][:, near] @ beta
            w[others, j] = column
            w[j, others] = column
    return w


def measured(portraits: int = 2**20) -> Tensor:
    """Attribute correlations of the population as it stands, (35, 35) float64."""
    part, parts = 2**16, max(1, portraits // 2**16)
    total = torch.zeros(len(DEFAULT_TABLE), dtype=torch.float64)
    products = torch.zeros(len(DEFAULT_TABLE), len(DEFAULT_TABLE), dtype=torch.float64)
    for k in range(parts):
        values = sample_factors(part, SEED + 1, start=k * part).attributes().double()
        total += values.sum(0)
        products += values.T @ values
    mean = total / (part * parts)
    covariance = products / (part * parts) - mean[:, None] * mean[None]
    spread = covariance.diagonal().sqrt()
    return covariance / spread[:, None] / spread[None]


def prevalence(portraits: int = 65_536) -> dict[str, float]:
    """Shares of the correlated population that matter to what a generator can learn."""
    values = sample_factors(portraits, SEED + 2).attributes()
    a = {name: values[:, i] for i, name in enumerate(DEFAULT_TABLE.names)}
    men = a["gender"] >= 0.5
    out = {f"{n} above one half": float((a[n] >= 0.5).float().mean()) for n in DEFAULT_TABLE.names}
    for name in ("beard", "moustache", "sideburns", "baldness"):
        out[f"{name} above one half, of men"] = float((a[name][men] >= 0.5).float().mean())
        out[f"{name} above one quarter, of men"] = float((a[name][men] >= 0.25).float().mean())
    return out


def write() -> None:
    """Compute both tables and write them."""
    names, matrix = fit()
    rows = [
        (a, b, f"{float(matrix[i, j]):.3f}")
        for i, a in enumerate(names)
        for j, b in enumerate(names[:i])
        if abs(float(matrix[i, j])) >= 0.0005
    ]
    write_atomic(LATENT_TABLE, _as_csv([("a", "b", "r"), *rows]))
    from l2l_widgets.faceworld import correlations

    correlations.latent_correlations.cache_clear()
    found = measured()
    table = [("", *DEFAULT_TABLE.names)]
    for name, row in zip(DEFAULT_TABLE.names, found.tolist(), strict=True):
        table.append((name, *(f"{r:.3f}".replace("-0.000", "0.000") for r in row)))
    write_atomic(ATTRIBUTE_TABLE, _as_csv(table))


def report() -> str:
    """Asked for and planted, pair by pair, and the population's shares."""
    table = attribute_correlations()
    lines = [f"{'attributes':<26}{'asked':>8}{'planted':>9}  source"]
    for a, b, r, source in ASKED:
        planted = float(table[DEFAULT_TABLE.index(a), DEFAULT_TABLE.index(b)])
        lines.append(f"{a + ' and ' + b:<26}{r:>8.3f}{planted:>9.3f}  {source}")
    gaps = [
        abs(r - float(table[DEFAULT_TABLE.index(a), DEFAULT_TABLE.index(b)]))
        for a, b, r, _ in ASKED
    ]
    lines.append(f"mean difference {sum(gaps) / len(gaps):.3f}, largest {max(gaps):.3f}")
    lines += ["", "shares of the population"]
    lines += [f"{name:<40}{share:>6.1%}" for name, share in prevalence().items()]
    return "\n".join(lines)


def _as_csv(rows: list[tuple[str, ...]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()


def main(argv: list[str] | None = None) -> int:
    """Print the report; compute the tables first with ``--write``."""
    parser = argparse.ArgumentParser(description="Asked-for and planted correlations.")
    parser.add_argument("--write", action="store_true", help="compute both tables and write them")
    if parser.parse_args(argv).write:
        write()
    sys.stdout.write(report() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
