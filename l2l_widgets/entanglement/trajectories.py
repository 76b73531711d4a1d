"""Every attribute's score along the strength of one edit, for one face or many."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest
from l2l_widgets.evaluation.bench import Readers
from l2l_widgets.metrics import editing, significance
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import check_visible

#: Strengths that are asked for, in attribute units: both ways, and 0 among them.
STRENGTHS = (-0.6, -0.45, -0.3, -0.15, 0.0, 0.15, 0.3, 0.45, 0.6)


@dataclass(frozen=True)
class Trajectories:
    """What a reader sees of N faces as one attribute is asked for more and more.

    Parameters
    ----------
    method, edited : str
        Who edits what.
    strengths : tuple of float
        S requested changes, in attribute units, rising.
    readings : Tensor, shape (N, S, A)
        In [0, 1].
    identity : Tensor or None
        Cosine to the unedited face, (N, S).
    """

    method: str
    edited: str
    strengths: tuple[float, ...]
    readings: Tensor
    identity: Tensor | None

    @property
    def faces(self) -> int:
        """How many faces."""
        return len(self.readings)

    def mean(self) -> Tensor:
        """Return the mean over faces, (S, A)."""
        return self.readings.double().mean(dim=0)

    def changes(self) -> Tensor:
        """Return the changes from the unedited face, (N, S, A); ValueError without strength 0."""
        if 0.0 not in self.strengths:
            raise ValueError(f"strengths are {self.strengths}; allowed: with 0 among them")
        return self.readings - self.readings[:, [self.strengths.index(0.0)]]

    def interval(self, seed: int = 0, draws: int = 1000) -> tuple[Tensor, Tensor]:
        """Return 95 % bootstrap intervals of the mean change over faces, (S, A) each.

        Of the changes, not of the readings: how much faces differ before the edit is no doubt about
        the edit. Both ends are equal for one face.

        Parameters
        ----------
        seed, draws : int
            Of the resampling.
        """
        flat = self.changes().flatten(1)
        low, high = significance.mean_intervals(flat, seed=seed, draws=draws)
        shape = self.readings.shape[1:]
        return low.reshape(shape), high.reshape(shape)


@torch.inference_mode()
def measure_trajectories(
    models: Models,
    method: str,
    edited: str,
    ws: Tensor,
    *,
    strengths: Sequence[float] = STRENGTHS,
    batch: int = 32,
    stale: Callable[[], bool] = lambda: False,
) -> Trajectories | None:
    """Edit faces at every strength and read all attributes with the judge.

    Parameters
    ----------
    models : Models
        Generator, judge and editor.
    method, edited : str
        Who edits what.
    ws : Tensor, shape (N, num_ws, w_dim)
        The faces.
    strengths : sequence of float
        Requested changes in [-1, 1], rising; 0 is the face as it is.
    batch : int
        Faces at a time.
    stale : callable
        Asked between strengths; True abandons the measurement.

    Returns
    -------
    Trajectories or None
        None when abandoned.

    Raises
    ------
    ValueError
        Strengths that do not rise or leave [-1, 1]; an attribute that is hidden, or that the method
        cannot change.
    """
    rising = all(a < b for a, b in itertools.pairwise(strengths))
    if len(strengths) < 2 or not rising or strengths[0] < -1 or strengths[-1] > 1:
        raise ValueError(f"strengths are {tuple(strengths)}; allowed: two or more, rising, -1 to 1")
    check_visible((edited,), models.table)
    editor, readers = models.editor(method), Readers.of(models)
    if edited not in editor.attributes:
        raise ValueError(
            f"{method} cannot change {edited!r}; allowed: {', '.join(editor.attributes)}"
        )
    before = _read(readers, ws, batch)
    columns, similar = [], []
    for strength in strengths:
        if stale():
            return None
        after = before
        if strength:
            moved = editor.edit(ws, EditRequest(changes={edited: float(strength)})).to(ws)
            after = _read(readers, moved, batch)
        columns.append(after["judge"].cpu())
        if "person" in before:
            similar.append(editing.identity_similarity(before["person"], after["person"]).cpu())
    return Trajectories(
        method, edited, tuple(float(s) for s in strengths),
        torch.stack(columns, dim=1).clone(),
        torch.stack(similar, dim=1).clone() if similar else None,
    )  # fmt: skip


def _read(readers: Readers, ws: Tensor, batch: int) -> dict[str, Tensor]:
    """Return the judge's readings and identity vectors; the ensemble has no say here."""
    found: dict[str, list[Tensor]] = {}
    for part in ws.split(batch):
        images = readers.draw(part)
        readings = readers.judge(images).float()
        if not bool(torch.isfinite(readings).all()):
            raise ValueError("judge: readings hold NaN or infinity; allowed: finite numbers")
        found.setdefault("judge", []).append(readings)
        if readers.identity is not None:
            found.setdefault("person", []).append(readers.identity(images).float())
    return {key: torch.cat(parts) for key, parts in found.items()}
