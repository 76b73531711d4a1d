"""Train a mapper of your own that keeps something of your choice, and edit with it.

    python examples/train_mapper.py --steps 200 --run runs/my-mapper

The loss here keeps the brightness of the picture; any function of the pictures before and after
that is 0 when what you care about was kept will do. The embedded mapper keeps
the background in this way.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

import l2l_widgets as l2l
from l2l_widgets.editors import MapperEditor
from l2l_widgets.recipes.mapper import LESSON, MapperTask
from l2l_widgets.recipes.reading import draw_as_read
from l2l_widgets.training import Settings, train


def brightness_kept(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Squared change of the mean brightness; (B, 3, R, R) each, in [-1, 1]."""
    return (before.mean(dim=(1, 2, 3)) - after.mean(dim=(1, 2, 3))).square().mean()


def main(argv: Sequence[str] | None = None) -> int:
    """Train, then ask the new mapper for a smile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", help="a world or a folder (default: the embedded one)")
    parser.add_argument("--attributes", default="smile,glasses,age")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--faces", type=int, default=1024, help="triplets to train on")
    parser.add_argument("--run", type=Path, default=Path("runs/my-mapper"))
    args = parser.parse_args(argv)

    models = l2l.load(args.models)
    config = replace(
        LESSON,
        attributes=tuple(args.attributes.split(",")),
        faces=args.faces,
        schedule_steps=args.steps,
        calibration_faces=min(256, args.faces),
        background_loss_weight=10.0,  # the weight of the conservation loss, whatever it keeps
        triplets=str(args.run / "triplets"),
    )
    generator = copy.deepcopy(models.generator)
    draw_as_read(generator, [*models.regressors, models.embedder])  # no larger than they look
    task = MapperTask(
        config,
        generator,
        models.regressors,
        models.embedder,
        models.table,
        conservation=brightness_kept,
    )
    outcome = train(task, Settings(steps=args.steps, log_every=10), args.run)
    print(f"trained {outcome.step} steps: {outcome.scores}")

    editor = MapperEditor.load(args.run / "final" / "mapper.safetensors")
    own = l2l.Models.from_parts(
        models.generator, regressor=models.regressor, editors={"mapper": editor}
    )
    session = l2l.EditSession(own, seed=7)
    session.set_changes({config.attributes[0]: 0.3})
    session.save(args.run / "edit.png", scale=4, compare=True)
    print(f"wrote {args.run / 'edit.png'}: before and after")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
