"""What a receipt holds a change against: random edits of the same size, and strangers.

A judge never reads two different pictures quite alike, and any two faces of one generator have
something in common. Both are measured with the judges of the receipt, a few faces at a time, and
kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.latents import to_wplus, z_from_seed
from l2l_widgets.models.zoo import PART_FILES, Models

#: Random directions behind a band: enough for a 5th and a 95th percentile, few enough for a
#: laptop's idle second.
N_RANDOM = 64
PERCENTILES = (0.05, 0.95)
#: Faces drawn at a time. Small, so that a new request waits for few of them.
CHUNK = 4
#: Faces whose mean similarity to each other is the zero of the identity scale, and their seeds:
#: fixed, so that a receipt does not depend on which faces were looked at before.
N_STRANGERS = 32
FIRST_STRANGER = 1_000_000


class RandomEdits:
    """What random edits of one face change, kept as changes at a few sizes.

    A direction is the difference of two draws from the W cloud, the same for all rows, so that a
    random edit goes where this generator's faces lie. A band for any size is scaled from the
    nearest measured one: sizes are measured at powers of two, so the factor is at most the square
    root of two either way.

    Parameters
    ----------
    models : Models
        Draws and judges.
    ws : Tensor, shape (1, num_ws, w_dim)
        The unedited face.
    noise_mode : str
        As in the generator's synthesis.
    n : int
        Number of directions.
    seed : int
        Of the directions.
    """

    def __init__(
        self,
        models: Models,
        ws: Tensor,
        noise_mode: str = "const",
        n: int = N_RANDOM,
        seed: int = 0,
    ) -> None:
        self.n = n
        self._models = models
        self._ws = ws
        self._noise_mode = noise_mode
        self._seed = seed
        self._directions: Tensor | None = None  # (n, num_ws, w_dim), each of norm 1
        self._rows: dict[int, list[Tensor]] = {}  # rung -> chunks of (b, A)
        self._cosines: dict[int, list[Tensor]] = {}  # rung -> chunks of (b,)

    def missing(self, size: float) -> int:
        """Random edits still to be drawn before :meth:`band` can answer for ``size``."""
        if size <= 0:
            return 0
        return self.n - sum(len(chunk) for chunk in self._rows.get(_rung(size), []))

    def advance(
        self,
        size: float,
        before: Tensor,
        embedding: Tensor | None,
        stale: Callable[[], bool] = lambda: False,
    ) -> None:
        """Draw and judge the next few random edits near ``size``.

        Parameters
        ----------
        size : float
            Length of the edit that the band is for.
        before : Tensor, shape (1, A)
            The judge's reading of the unedited face.
        embedding : Tensor, shape (1, D), or None
            Its identity vector; None leaves identity out.
        stale : callable
            Asked between the blocks of the generator; True leaves these few undrawn.
        """
        if self.missing(size) == 0:
            return  # a widget's worker and a cell may measure the same face, and one was first
        if self._directions is None:
            self._directions = self._draw_directions()
        rung = _rung(size)
        rows = self._rows.setdefault(rung, [])
        start = sum(len(chunk) for chunk in rows)
        steps = self._directions[start : start + CHUNK] * 2.0**rung
        images = pictures(self._models, self._ws + steps, self._noise_mode, stale)
        if images is None:
            return
        if embedding is not None:
            vectors = checked_embedding(identity_judge(self._models)(images))
            self._cosines.setdefault(rung, []).append(vectors @ embedding[0])  # (b,)
        read = attribute_judge(self._models)(images)  # (b, A)
        rows.append(checked_rows(read, "judge", self._models.table) - before)

    def band(self, size: float) -> tuple[Tensor, Tensor, tuple[float, float] | None]:
        """5th and 95th percentile of what random edits of ``size`` change.

        Returns
        -------
        low, high : Tensor, shape (A,)
            Signed changes in attribute units.
        identity : (float, float) or None
            Of the cosine similarity.
        """
        columns = len(self._models.table)
        if size <= 0:
            return torch.zeros(columns), torch.zeros(columns), (1.0, 1.0)
        rung = _rung(size)
        factor = size / 2.0**rung
        changes = torch.cat(self._rows[rung]).cpu() * factor  # (n, A)
        points = torch.tensor(PERCENTILES)
        low, high = torch.quantile(changes.clamp(-1, 1), points, dim=0)
        identity = None
        if rung in self._cosines:
            # For a small step the angle is proportional to its length, 1 - cosine to its square.
            away = (1 - torch.cat(self._cosines[rung]).cpu()) * factor**2  # (n,)
            first, last = torch.quantile(1 - away.clamp(0, 2), points).tolist()
            identity = (first, last)
        return low, high, identity

    def _draw_directions(self) -> Tensor:
        generator = self._models.generator
        rng = torch.Generator().manual_seed(self._seed)
        z = torch.randn(2 * self.n, generator.z_dim, generator=rng)
        ws = generator.mapping(z.to(self._ws.device))  # (2n, num_ws, w_dim)
        ends = ws[:, 0]  # rows are equal without a truncation cutoff
        steps = to_wplus(ends[: self.n] - ends[self.n :], generator.num_ws)
        norms = steps.flatten(1).norm(dim=1).clamp_min(1e-12)
        return (steps / norms[:, None, None]).to(self._ws.dtype)


class Strangers:
    """How alike different faces are to the identity judge: the zero of the identity scale.

    Every truncation has its own answer, kept: the less variety, the more alike all faces are. Each
    method takes ``truncation_psi`` and the generator's ``noise_mode``.

    Parameters
    ----------
    models : Models
        Draws and judges.
    n : int
        Number of faces, at least 2.
    """

    def __init__(self, models: Models, n: int = N_STRANGERS) -> None:
        self.n = n
        self._models = models
        self._vectors: dict[tuple[float, str], list[Tensor]] = {}  # chunks of (b, D)
        self._similarity: dict[tuple[float, str], float] = {}

    def missing(self, truncation_psi: float, noise_mode: str) -> int:
        """Faces still to be drawn before :meth:`similarity` can answer."""
        key = truncation_psi, noise_mode
        if key in self._similarity:
            return 0
        return self.n - sum(len(chunk) for chunk in self._vectors.get(key, []))

    def advance(
        self, truncation_psi: float, noise_mode: str, stale: Callable[[], bool] = lambda: False
    ) -> None:
        """Draw and judge the next few faces; none where ``stale`` says True meanwhile."""
        missing = self.missing(truncation_psi, noise_mode)
        if missing == 0:
            return  # another thread was first
        key = truncation_psi, noise_mode
        first = FIRST_STRANGER + self.n - missing
        generator = self._models.generator
        seeds = range(first, first + min(CHUNK, missing))
        z = torch.cat([z_from_seed(seed, generator.z_dim) for seed in seeds])
        ws = generator.mapping(z.to(self._models.device), truncation_psi=truncation_psi)
        rows = to_wplus(ws, generator.num_ws)
        images = pictures(self._models, rows, noise_mode, stale)
        if images is None:
            return
        chunks = self._vectors.setdefault(key, [])
        chunks.append(checked_embedding(identity_judge(self._models)(images)).cpu())
        if self.missing(*key) == 0:
            vectors = torch.cat(self._vectors.pop(key))  # (n, D), each of norm 1
            cosines = vectors @ vectors.T
            pairs = self.n * (self.n - 1)
            self._similarity[key] = float((cosines.sum() - cosines.trace()) / pairs)

    def similarity(self, truncation_psi: float, noise_mode: str) -> float:
        """Mean cosine similarity over all pairs of different faces, in [-1, 1]."""
        return self._similarity[truncation_psi, noise_mode]


def attribute_judge(models: Models) -> Any:
    """The judge of attributes: the one that never enters a loss, or else the regressor."""
    return models.attribute_judge if models.has("attribute_judge") else models.regressor


def identity_judge(models: Models) -> Any:
    """The judge of identity: the one that never enters a loss, or else the embedder."""
    return models.identity_judge if models.has("identity_judge") else models.embedder


def checked_readings(values: Tensor, who: str, table: AttributeTable) -> Tensor:
    """Readings of one picture, (1, A); a ValueError where they are not that, or not numbers."""
    if values.shape != (1, len(table)):
        raise ValueError(
            f"the {who} gives readings of shape {tuple(values.shape)} for one picture; "
            f"allowed: (1, {len(table)}), as in the attribute table"
        )
    if not bool(torch.isfinite(values).all()):
        wrong = int((~torch.isfinite(values[0])).nonzero()[0, 0])
        raise ValueError(
            f"the {who} reads {table.names[wrong]!r} as {float(values[0, wrong])}; allowed: "
            "finite numbers"
        )
    return values


def checked_rows(values: Tensor, who: str, table: AttributeTable) -> Tensor:
    """Readings of pictures, (B, A); a ValueError as of :func:`checked_readings`."""
    for row in values:
        checked_readings(row[None], who, table)
    return values


def checked_embedding(vector: Tensor) -> Tensor:
    """Identity vectors, (B, D); a ValueError where one is not finite."""
    if not bool(torch.isfinite(vector).all()):
        raise ValueError("the identity judge gives a vector that is not finite")
    return vector


def judge_names(models: Models) -> dict[str, str]:
    """Who reads, for the receipt; says so where only the networks of the losses are there."""
    out = {}
    for role, judge, fallback in (
        ("attribute", "attribute_judge", "regressor"),
        ("identity", "identity_judge", "embedder"),
    ):
        part = judge if models.has(judge) else fallback
        if models.has(part):
            kind = models.manifest.get(PART_FILES[part], {}).get("recipe")
            same = "" if part == judge else ", also in the losses"
            out[role] = f"{kind or type(models.part(part)).__name__} ({part}{same})"
    return out


def pictures(
    models: Models, ws: Tensor, noise_mode: str, stale: Callable[[], bool]
) -> Tensor | None:
    """Pictures as the generator's synthesis draws them; None where ``stale`` said True meanwhile.

    Whoever clicks waits for a block, and not for a chunk of faces.
    """
    synthesis = models.generator.synthesis
    grow = getattr(synthesis, "grow", None)
    if grow is None:
        whole: Tensor = synthesis(ws, noise_mode=noise_mode)
        return whole
    picture: Tensor | None = None
    for image in grow(ws, noise_mode):
        if stale():
            return None
        picture = image
    return picture


def _rung(size: float) -> int:
    """The power of two nearest to a size, on the scale of factors."""
    return round(math.log2(size))
