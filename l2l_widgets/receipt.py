"""The receipt of an edit: what was asked for, what came, and what else moved.

The readings are those of the second judges, which trained nothing (``models.attribute_judge`` and
``models.identity_judge``). Beside every change stands the band that random edits of the same
latent size cause, since a judge never reads two different pictures quite alike: a change inside
the band is what any step of that length would do.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.latents import to_wplus
from l2l_widgets.zoo import PART_FILES, Models

#: Random directions behind a band: enough for a 5th and a 95th percentile, few enough for a
#: laptop's idle second.
N_RANDOM = 64
PERCENTILES = (0.05, 0.95)
#: Faces drawn at a time. Small, so that a new request waits for few of them.
CHUNK = 4


@dataclass(frozen=True)
class Receipt:
    """What an edit did, in attribute units unless said otherwise.

    Parameters
    ----------
    requested : mapping of str to float
        Asked-for change of each edited attribute, absolute targets already turned into changes.
    achieved : mapping of str to float
        Change of the same attributes as the attribute judge reads it.
    others : mapping of str to float
        Change of every other attribute.
    band : mapping of str to (float, float)
        5th and 95th percentile of each attribute's change under random edits of the same size.
    identity : float or None
        Cosine similarity of the faces before and after, in [-1, 1]; 1 is the same face. None
        without an identity judge.
    identity_band : (float, float) or None
        The same similarity under random edits of the same size, 5th and 95th percentile.
    before, after : mapping of str to float
        The judge's readings, in [0, 1].
    by_regressor : mapping of str to float
        Change of the edited attributes as the regressor of the losses reads it. Where it is far
        above ``achieved``, the edit has found a shortcut of that regressor.
    size : float
        Length of the step in W+, the norm of w' - w over all entries.
    seconds : mapping of str to float
        Time of each stage of this measurement; a stage that was already known takes none.
    judges : mapping of str to str
        Who read: ``attribute`` and ``identity``.
    n_random : int
        Random edits behind the band.
    error : str or None
        Why there is nothing to measure; the other fields are then empty.
    stamp : int
        Number of the request that was measured.
    """

    requested: Mapping[str, float] = field(default_factory=dict)
    achieved: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, float] = field(default_factory=dict)
    band: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    identity: float | None = None
    identity_band: tuple[float, float] | None = None
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    by_regressor: Mapping[str, float] = field(default_factory=dict)
    size: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    judges: Mapping[str, str] = field(default_factory=dict)
    n_random: int = N_RANDOM
    error: str | None = None
    stamp: int = 0

    def outside_band(self) -> dict[str, float]:
        """Attributes that were not asked for and moved beyond the band, the farthest first."""
        beyond = {
            name: change
            for name, change in self.others.items()
            if not self.band[name][0] <= change <= self.band[name][1]
        }
        return dict(sorted(beyond.items(), key=lambda item: -abs(item[1])))

    def to_dict(self) -> dict[str, Any]:
        """The receipt as plain JSON values."""
        return {
            "requested": dict(self.requested),
            "achieved": dict(self.achieved),
            "others": dict(self.others),
            "band": {name: list(pair) for name, pair in self.band.items()},
            "outside_band": list(self.outside_band()),
            "identity": self.identity,
            "identity_band": None if self.identity_band is None else list(self.identity_band),
            "before": dict(self.before),
            "after": dict(self.after),
            "by_regressor": dict(self.by_regressor),
            "size": self.size,
            "seconds": dict(self.seconds),
            "judges": dict(self.judges),
            "n_random": self.n_random,
            "error": self.error,
        }

    def to_text(self, table: AttributeTable, others: int = 6) -> str:
        """A table for the terminal.

        Parameters
        ----------
        table : AttributeTable
            For display names and units.
        others : int
            How many of the attributes that were not asked for are listed: those beyond the band
            first, and the farthest first among each.
        """
        if self.error is not None:
            return self.error
        if not self.requested:
            return "nothing was asked for: the face as it is"
        lines = [f"{'':<17}{'before':>9}{'after':>9}{'asked':>8}{'came':>8}   random edits"]
        outside = self.outside_band()
        ranked = sorted(self.others, key=lambda n: (n not in outside, -abs(self.others[n])))
        shown = [*self.requested, *ranked[:others]]
        for name in shown:
            change = self.achieved.get(name, self.others.get(name, 0.0))
            asked = f"{self.requested[name]:+.2f}" if name in self.requested else ""
            low, high = self.band[name]
            mark = "  *" if name in outside else ""
            lines.append(
                f"{table[name].label:<17}{_shown(table, name, self.before[name]):>9}"
                f"{_shown(table, name, self.after[name]):>9}{asked:>8}{change:>+8.2f}"
                f"   {low:+.2f} .. {high:+.2f}{mark}"
            )
        if len(self.others) > others:
            rest = len(self.others) - others
            inside = rest - sum(name not in shown for name in outside)
            lines.append(f"and {rest} others, {inside} of them within the band of random edits")
        if outside:
            lines.append("* moved without being asked, beyond the band")
        if self.identity is not None:
            low, high = self.identity_band or (math.nan, math.nan)
            lines.append(
                f"identity {self.identity:.3f} (1 is the same face; random edits of this size: "
                f"{low:.3f} .. {high:.3f})"
            )
        # a stage whose work was at hand from an earlier picture took no time worth a column
        took = {k: v for k, v in self.seconds.items() if v >= 0.0005 or k == "total"}
        stages = ", ".join(f"{stage} {value:.3f}" for stage, value in took.items())
        lines.append(f"seconds: {stages}")
        lines.append(f"judges: {', '.join(f'{k}: {v}' for k, v in self.judges.items())}")
        return "\n".join(lines)


def _shown(table: AttributeTable, name: str, value: float) -> str:
    row = table[name]
    return f"{row.to_unit(value):.0f} {row.unit}".strip()


class Stopwatch:
    """Adds up the seconds of named stages; a stage that never ran reports none."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the seconds of a ``with`` block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def total(self, stages: tuple[str, ...] = ()) -> dict[str, float]:
        """Seconds of the stages, those of ``stages`` that never ran as 0, and ``total``."""
        out = {stage: self.seconds.get(stage, 0.0) for stage in (*stages, *self.seconds)}
        out["total"] = time.perf_counter() - self._started
        return out


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

    def advance(self, size: float, before: Tensor, embedding: Tensor | None) -> None:
        """Draw and judge the next few random edits near ``size``.

        Parameters
        ----------
        size : float
            Length of the edit that the band is for.
        before : Tensor, shape (1, A)
            The judge's reading of the unedited face.
        embedding : Tensor, shape (1, D), or None
            Its identity vector; None leaves identity out.
        """
        if self.missing(size) == 0:
            return  # a widget's worker and a cell may measure the same face, and one was first
        if self._directions is None:
            self._directions = self._draw_directions()
        rung = _rung(size)
        rows = self._rows.setdefault(rung, [])
        start = sum(len(chunk) for chunk in rows)
        steps = self._directions[start : start + CHUNK] * 2.0**rung
        images = self._models.generator.synthesis(self._ws + steps, noise_mode=self._noise_mode)
        if embedding is not None:
            cosines = identity_judge(self._models)(images) @ embedding[0]  # (b,)
            self._cosines.setdefault(rung, []).append(cosines)
        rows.append(attribute_judge(self._models)(images) - before)  # (b, A)

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


def attribute_judge(models: Models) -> Any:
    """The judge of attributes: the one that never enters a loss, or else the regressor."""
    return models.attribute_judge if models.has("attribute_judge") else models.regressor


def identity_judge(models: Models) -> Any:
    """The judge of identity: the one that never enters a loss, or else the embedder."""
    return models.identity_judge if models.has("identity_judge") else models.embedder


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


def _rung(size: float) -> int:
    """The power of two nearest to a size, on the scale of factors."""
    return round(math.log2(size))
