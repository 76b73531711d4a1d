"""What papers on latent spaces report: separability, path length, DCI, MIG and SAP, with caveats.

The first two are of the generator's spaces; no editor changes them. The last three ask whether each
factor has a code of its own. Numbers of w have no meaning one by one, so the codes are *edit
coordinates*: how far a face lies along a method's own mean edit of each attribute. They say how
apart the method's directions are in this population, and nothing of what an edit does to a picture:
that is the leakage's question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest
from l2l_widgets.evaluation.bench import Bench
from l2l_widgets.evaluation.paper_protocol import seen_features
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.latents import z_from_seed
from l2l_widgets.metrics.factors import DCI, dci_scores, mig_score, sap_score
from l2l_widgets.metrics.jackknife import jackknife_interval
from l2l_widgets.metrics.latent_space import linear_separability_distance, perceptual_path_length

if TYPE_CHECKING:
    from l2l_widgets.evaluation.paper_protocol import Features
    from l2l_widgets.protocols import Editor

__all__ = ["edit_coordinates", "measure_codes", "measure_spaces", "standards_rows"]

#: Paths whose length is measured, and the step along them as a share. A step of 1e-4, the paper's,
#: is lost in the rounding of features in float32.
PATHS, EPSILON = 200, 1e-2
#: Share of the faces to which DCI's trees are fitted.
FITTED = 2 / 3
#: Faces on which a method's mean edit is taken.
EDITED_FACES = 64
#: DCI has an interval for at most so many attributes: it fits trees ten times more for one, and
#: they take minutes for many.
DCI_INTERVALS = 12
#: What stands beside every number of its kind.
CAVEATS = {
    "linear_separability": "of this many faces, by the judge (the papers: 200,000); compare spaces "
    "of one report only",
    "path_length": "squared distance of features (the papers: LPIPS), a step of 0.01; compare "
    "spaces of one report only",
    "codes": "of edit coordinates against readings that go together in the population: no method "
    "can reach 1, and no picture is looked at",
}


def measure_spaces(
    bench: Bench, protocol: Protocol, features: Features | None = None
) -> dict[str, Tensor]:
    """Return how straight Z and W are.

    Parameters
    ----------
    bench : Bench
        At least 20 faces.
    protocol : Protocol
        Its faces, seed and batch.
    features : callable, optional
        Pictures to (B, D), in which path lengths are measured; identity vectors without it.

    Returns
    -------
    dict of str to Tensor
        ``SPACE:linear_separability`` and ``SPACE:path_length``, () float64, for z and w, the
        first NaN with fewer faces than ``SPACE:fewest``: a plane tells any labels of so few codes
        apart (Cover 1965); ``attributes``, how many have both sides among the confident faces. Of
        both numbers also the ends of their 95 % intervals, over faces and over paths, as
        ``SPACE:linear_separability:interval`` and so on, (2,) float64, NaN where there is none.
    """
    generator = bench.models.generator
    codes = torch.cat([z_from_seed(s, generator.z_dim) for s in protocol.face_seeds()])
    scores = bench.before["judge"].cpu()
    told = [i for i in range(scores.shape[1]) if _has_both_sides(scores[:, i])]
    out = {"attributes": torch.tensor(len(told))}
    for space, latents in (("z", codes), ("w", bench.ws[:, 0].cpu())):
        # half of the faces are confident, and a plane has one number more than a code
        fewest = 4 * (latents.shape[1] + 1)
        if told:
            value, ends = float("nan"), (float("nan"), float("nan"))
            if len(latents) >= fewest:
                value = linear_separability_distance(latents, scores[:, told])
                ends = jackknife_interval(
                    partial(_separability_of, latents, scores[:, told]), len(latents), value, low=1
                )
            out[f"{space}:linear_separability"] = torch.tensor(value, dtype=torch.float64)
            out[f"{space}:linear_separability:interval"] = torch.tensor(ends, dtype=torch.float64)
            out[f"{space}:fewest"] = torch.tensor(fewest)
        if features is not None or bench.readers.identity is not None:
            steps = _path_steps(bench, protocol, space, features)
            length = perceptual_path_length(steps, EPSILON)
            ends = jackknife_interval(partial(_length_of, steps), len(steps), length, low=0)
            out[f"{space}:path_length"] = torch.tensor(length, dtype=torch.float64)
            out[f"{space}:path_length:interval"] = torch.tensor(ends, dtype=torch.float64)
    return out


def _separability_of(latents: Tensor, scores: Tensor, kept: Tensor) -> float:
    return linear_separability_distance(latents[kept], scores[kept])


def _length_of(steps: Tensor, kept: Tensor) -> float:
    return perceptual_path_length(steps[kept], EPSILON)


def _has_both_sides(score: Tensor) -> bool:
    confident = (score - 0.5).abs().argsort(descending=True, stable=True)[: len(score) // 2]
    return bool((score[confident] > 0.5).any() & (score[confident] <= 0.5).any())


def _path_steps(bench: Bench, protocol: Protocol, space: str, features: Features | None) -> Tensor:
    """Return the squared distance of features over one step on each path, (PATHS,) float64."""
    generator = bench.models.generator
    draw = torch.Generator().manual_seed(protocol.seed + 29)
    ends = torch.randn(2, PATHS, generator.z_dim, generator=draw)
    at = torch.rand(PATHS, 1, generator=draw)
    device = bench.ws.device
    distances = []
    for rows in torch.arange(PATHS).split(protocol.batch):
        (first, second), place = ends[:, rows], at[rows]
        seen = []
        for share in (place, place + EPSILON):
            if space == "z":
                ws = generator.mapping(_slerp(first, second, share).to(device))
            else:
                a, b = (generator.mapping(end.to(device)) for end in (first, second))
                ws = torch.lerp(a, b, share.to(device)[:, None])
            images = bench.readers.draw(ws.float())
            seen.append(_seen(bench, images, features))
        distances.append((seen[1] - seen[0]).square().sum(dim=1).cpu())
    return torch.cat(distances)


def _seen(bench: Bench, images: Tensor, features: Features | None) -> Tensor:
    if features is not None:
        return seen_features(features, images).double()
    return bench.readers.look(images, ensemble=False)["person"].double()


def _slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Go from codes a to b (N, D) on the sphere, share (N, 1) of the way."""
    a, b = (torch.nn.functional.normalize(x, dim=1) for x in (a, b))
    angle = share * (a * b).sum(dim=1, keepdim=True).clamp(-1, 1).acos()
    across = torch.nn.functional.normalize(b - (a * b).sum(dim=1, keepdim=True) * a, dim=1)
    return (a * angle.cos() + across * angle.sin()) * a.shape[1] ** 0.5


def edit_coordinates(
    editor: Editor, bench: Bench, names: tuple[str, ...], request: float
) -> Tensor:
    """Return how far each face lies along a method's mean edit of each attribute.

    Parameters
    ----------
    editor : Editor
        The method.
    bench : Bench
        N faces.
    names : tuple of str
        K attributes that it can change.
    request : float
        Faces are edited by as much both ways.

    Returns
    -------
    Tensor, shape (N, K), float64
        In units of the faces' spread along each.
    """
    part = bench.ws[:EDITED_FACES]
    columns = []
    for name in names:
        up, down = (
            editor.edit(part, EditRequest(changes={name: sign * request})) for sign in (1, -1)
        )
        step = (up - down).mean(dim=0).flatten().double()  # (num_ws * w_dim,)
        along = bench.ws.flatten(1).double() @ step
        columns.append((along - along.mean()) / along.std().clamp_min(1e-12))
    return torch.stack(columns, dim=1).cpu()


def measure_codes(editor: Editor, bench: Bench, protocol: Protocol) -> dict[str, Tensor]:
    """Return DCI, MIG and SAP of a method's edit coordinates, against the judge's readings.

    Raises
    ------
    ValueError
        Fewer than two of the attributes can be changed and vary, or too few faces. An attribute
        whose reading is constant is left out, and ``attributes`` counts the others.
    """
    table, all_readings = bench.models.table, bench.before["judge"].double().cpu()
    able = [name for name in protocol.attributes if name in editor.attributes]
    # trees are fitted to the first two thirds: what is constant there has nothing to be told by
    first = all_readings[: int(len(all_readings) * FITTED)]
    names = tuple(n for n in able if float(first[:, table.index(n)].std()) > 0)
    if len(names) < 2:
        constant = ", ".join(n for n in able if n not in names)
        raise ValueError(
            f"{len(names)} of the attributes can be changed"
            f"{f' and vary (constant: {constant})' if constant else ''}; allowed: at least 2, as "
            "codes are compared with one another"
        )
    codes = edit_coordinates(editor, bench, names, protocol.request)
    readings = all_readings[:, [table.index(name) for name in names]]
    found: dict[str, Tensor] = {}

    def keep(quantity: str, value: float, ends: tuple[float, float]) -> None:
        found[quantity] = torch.tensor(value, dtype=torch.float64)
        found[f"{quantity}:interval"] = torch.tensor(ends, dtype=torch.float64)

    for quantity, value, ends in _dci_rows(codes, readings, protocol.seed):
        keep(f"dci_{quantity}", value, ends)
    for quantity, score in (("mig", mig_score), ("sap", sap_score)):
        value = score(codes, readings)
        of = partial(_score_of, score, codes, readings)
        keep(quantity, value, jackknife_interval(of, len(codes), value, low=0, high=1))
    found["attributes"] = torch.tensor(float(len(names)), dtype=torch.float64)
    return found


def _score_of(
    score: Callable[[Tensor, Tensor], float], codes: Tensor, readings: Tensor, kept: Tensor
) -> float:
    return score(codes[kept], readings[kept])


def _dci_rows(
    codes: Tensor, readings: Tensor, seed: int
) -> Iterator[tuple[str, float, tuple[float, float]]]:
    """Yield DCI's three numbers with their intervals; trees are fitted once a group, for all."""
    fits: dict[bytes, DCI] = {}

    def number(quantity: str, kept: Tensor) -> float:
        key = kept.numpy().tobytes()
        if key not in fits:
            fits[key] = dci_scores(codes[kept], readings[kept], seed=seed, train_share=FITTED)
        return float(getattr(fits[key], quantity))

    everyone = torch.ones(len(codes), dtype=torch.bool)
    for quantity in ("disentanglement", "completeness", "informativeness"):
        value, ends = number(quantity, everyone), (float("nan"), float("nan"))
        if codes.shape[1] <= DCI_INTERVALS:
            of = partial(number, quantity)
            ends = jackknife_interval(of, len(codes), value, low=0, high=1)
        yield quantity, value, ends


def standards_rows(
    spaces: Mapping[str, Tensor],
    methods: Mapping[tuple[str, int], Mapping[str, Tensor]],
    protocol: Protocol,
    of: str,
) -> list[dict[str, Any]]:
    """Return one row a number, each with its 95 % interval, its count and its caveat.

    Parameters
    ----------
    spaces : mapping of str to Tensor
        As :func:`measure_spaces` gives them.
    methods : mapping of (str, int) to dict
        Method and training seed -> as :func:`measure_codes` gives them.
    protocol : Protocol
        For the count of faces.
    of : str
        Whose features path lengths are measured in.
    """
    rows: list[dict[str, Any]] = []
    for key, value in spaces.items():
        space, _, quantity = key.partition(":")
        if quantity not in CAVEATS:  # counts and intervals
            continue
        length, caveat = quantity == "path_length", CAVEATS[quantity]
        if bool(value.isnan()):
            caveat = (
                f"not measured: a plane tells any labels of so few codes apart; needs "
                f"{int(spaces[f'{space}:fewest'])} faces"
            )
        rows.append(
            {
                "of": space, "seed": "", "quantity": f"{quantity}_{of}" if length else quantity,
                "value": _rounded(value), **_ends(spaces, key), "better": "lower",
                "faces": PATHS if length else protocol.faces,
                "attributes": "" if length else int(spaces["attributes"]),
                "caveat": caveat,
            }
        )  # fmt: skip
    for (label, seed), found in methods.items():
        rows += [
            {
                "of": label, "seed": seed, "quantity": quantity, "value": _rounded(value),
                **_ends(found, quantity), "better": "higher", "faces": protocol.faces,
                "attributes": int(found["attributes"]), "caveat": CAVEATS["codes"],
            }
            for quantity, value in found.items()
            if quantity != "attributes" and ":" not in quantity
        ]  # fmt: skip
    return rows


def _ends(found: Mapping[str, Tensor], key: str) -> dict[str, float | None]:
    low, high = found[f"{key}:interval"]
    return {"low": _rounded(low), "high": _rounded(high)}


def _rounded(value: Tensor) -> float | None:
    return None if bool(value.isnan()) else round(float(value), 4)
