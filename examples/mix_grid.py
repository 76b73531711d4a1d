"""Draw the mix grid: people down the side, poses and expressions along the top, every mix of them.

    python examples/mix_grid.py --out mix_grid.png

Nobody is chosen by hand. Of the first ``--candidates`` seeds, the half stays that is read as
wearing least (glasses, a hat). The columns are the faces that the regressors read as most turned to
either side, most surprised, and so on. The people are spread over the embedder's space: the first
is the one least like the average, each next the one least like those chosen, among the half of the
faces that the mixer redraws best.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2l_widgets import FaceMixer, load
from l2l_widgets.disentangle import Signature
from l2l_widgets.images import to_pil
from l2l_widgets.latents import to_wplus, z_from_seeds

#: A column: what it is called, which reading, and whether the highest is meant or the lowest.
COLUMNS = (
    ("facing left", "yaw", -1),
    ("facing right", "yaw", 1),
    ("happy", "happiness", 1),
    ("surprised", "surprise", 1),
    ("sad", "sadness", 1),
    ("head down", "pitch", -1),
)
#: What hides the face that it is about.
WORN = ("glasses", "sunglasses", "hat")
INK, QUIET, PAPER = "#1c2430", "#6b7686", "#ffffff"


def main(argv: Sequence[str] | None = None) -> int:
    """Choose, mix, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("mix_grid.png"))
    parser.add_argument("--generator", default=None, help="models, as for l2l mix")
    parser.add_argument("--candidates", type=int, default=400, help="seeds to choose from")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    args = parser.parse_args(argv)
    if not 2 <= args.people <= 8 or args.candidates < 10 * (args.people + len(COLUMNS)):
        parser.error("people: 2 to 8; candidates: ten or more for each face that is shown")
    try:
        models = load(args.generator)
        mixer = FaceMixer.of(models)
    except ValueError as error:
        parser.error(str(error))
    faces = candidates(models, args.first, args.candidates)
    signature = mixer.signature(faces)
    readings = read(models.regressors, faces)
    worn = readings[:, [models.table.index(name) for name in WORN]].amax(dim=1)
    bare = worn <= worn.median()
    columns = choose_columns(models.table, readings, bare)
    allowed = bare.clone()
    allowed[columns] = False
    rows = choose_people(mixer, signature, allowed, args.people)
    mixes = mixer.grid(signature[rows], signature[columns])
    drawn = mixer.draw(mixes.flatten(0, 1)).unflatten(0, mixes.shape[:2])
    draw(args.out, faces[rows], faces[columns], drawn)
    seeds = [[args.first + i for i in part] for part in (rows, columns)]
    print(f"wrote {args.out}: people {seeds[0]}, attributes {seeds[1]}")
    return 0


@torch.inference_mode()
def candidates(models: Any, first: int, count: int) -> Tensor:
    """Pictures of some seeds, (count, 3, R, R)."""
    generator, drawn = models.generator, []
    for z in z_from_seeds(first, count, generator.z_dim).split(32):
        ws = to_wplus(generator.mapping(z, truncation_psi=0.7), generator.num_ws)
        drawn.append(generator.synthesis(ws, noise_mode="const"))
    return torch.cat(drawn)


@torch.inference_mode()
def read(regressors: Sequence[Any], faces: Tensor) -> Tensor:
    """Mean readings of all regressors, (N, A)."""
    each = [torch.cat([r(part) for part in faces.split(32)]) for r in regressors]
    return torch.stack(each).mean(dim=0)


def choose_columns(table: Any, readings: Tensor, allowed: Tensor) -> list[int]:
    """The most extreme allowed face of every column, none of them twice."""
    chosen: list[int] = []
    for _, name, sign in COLUMNS:
        order = (sign * readings[:, table.index(name)]).masked_fill(~allowed, -9)
        chosen.append(next(i for i in order.argsort(descending=True).tolist() if i not in chosen))
    return chosen


@torch.inference_mode()
def choose_people(mixer: FaceMixer, signature: Signature, allowed: Tensor, count: int) -> list[int]:
    """People who are least like each other, among those whom the mixer redraws best."""
    again = mixer.signature(mixer.draw(mixer.latent(signature, signature))).person
    alike = (again * signature.person).sum(dim=1).masked_fill(~allowed, -1)
    good = alike >= alike[allowed].median()
    middle = torch.nn.functional.normalize(signature.person.mean(dim=0), dim=0)
    nearest = (signature.person @ middle).masked_fill(~good, 2)
    chosen: list[int] = []
    while len(chosen) < count:
        chosen.append(int(nearest.argmin()))
        closeness = signature.person @ signature.person[chosen[-1]]
        nearest = closeness if len(chosen) == 1 else torch.maximum(nearest, closeness)
        nearest = nearest.masked_fill(~good, 2)
    return chosen


def draw(out: Path, people: Tensor, attributes: Tensor, mixes: Tensor) -> None:
    """The illustration: inputs along the edges, apart from the mixes, every picture with air."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import FancyBboxPatch

    side, air, edge = 1.0, 0.12, 0.42  # of one picture
    rows, columns = len(people), len(attributes)
    left, top = 0.86, 0.98
    width = left + side + edge + columns * (side + air) + 0.2
    height = top + side + edge + rows * (side + air) + 0.2
    figure = pyplot.figure(figsize=(1.28 * width, 1.28 * height), facecolor=PAPER, dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")

    def place(image: Tensor, x: float, y: float, *, framed: bool) -> None:
        shape = FancyBboxPatch(
            (x, y), side, side, boxstyle="round,pad=0,rounding_size=0.09",
            facecolor="none", edgecolor=INK if framed else "none", linewidth=1.6 * framed,
        )  # fmt: skip
        picture = axes.imshow(
            to_pil(image), extent=(x, x + side, y + side, y), interpolation="bicubic"
        )
        axes.add_patch(shape)
        picture.set_clip_path(shape)

    across = [left + side + edge + i * (side + air) for i in range(columns)]
    down = [top + side + edge + i * (side + air) for i in range(rows)]
    for image, x, (name, _, _) in zip(attributes, across, COLUMNS, strict=True):
        axes.text(x + side / 2, top - 0.12, name, ha="center", color=QUIET, fontsize=13)
        place(image, x, top, framed=True)
    for image, y, line in zip(people, down, mixes, strict=True):
        place(image, left, y, framed=True)
        for mixed, x in zip(line, across, strict=True):
            place(mixed, x, y, framed=False)
    middle = (across[0] + across[-1] + side) / 2
    words = {"color": INK, "fontsize": 18, "fontweight": "bold"}
    axes.text(middle, 0.46, "pose and expression of the column", ha="center", **words)
    middle = (down[0] + down[-1] + side) / 2
    axes.text(0.46, middle, "person of the row", ha="center", va="center", rotation=90, **words)
    axes.text(
        left + side / 2, top + side / 2, "framed: the inputs",
        ha="center", va="center", color=QUIET, fontsize=11, linespacing=1.5,
    )  # fmt: skip
    axes.set_aspect("equal")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, facecolor=PAPER)
    pyplot.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
