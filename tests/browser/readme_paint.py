"""The README's picture of painting: a face's mask before and after a hand, and what is drawn.

The face is the first that ``paint_strokes.plain_faces`` gives, whatever comes of it.

python -m tests.browser.readme_paint docs
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import torch

from l2l_widgets import PaintSession, load, load_painter
from l2l_widgets.images import to_uint8
from l2l_widgets.masks import colour
from l2l_widgets.storage import write_atomic

from .paint_strokes import EDITS, operations, plain_faces


def main(argv: list[str] | None = None) -> int:
    """Paint, draw, and write ``paint.png``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the picture")
    args = parser.parse_args(argv)
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    painter = load_painter(load())
    images, masks, _ = plain_faces(1, painter.resolution)
    session = PaintSession(painter, images[0], masks[0])
    figure, axes = plt.subplots(len(EDITS), 5, figsize=(8.6, 5.5), dpi=110)
    titles = ("face", "its mask", "painted mask", "drawn", "outside kept")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=11)
    for row, edit in zip(axes, EDITS, strict=True):
        session.reset()
        for operation in operations(masks[0], edit):
            session.apply(operation)
        drawn = session.render()
        if drawn.image is None:
            raise SystemExit(drawn.error)
        session.keep_outside()
        kept = session.render().image
        session.keep_outside(False)
        shown = [session.image, session.original, drawn.mask, drawn.image, kept]
        for axis, one in zip(row, shown, strict=True):
            is_mask = one.dtype == torch.uint8
            pixels = colour(one) if is_mask else to_uint8(one)
            smooth = "nearest" if is_mask else "lanczos"
            axis.imshow(pixels.permute(1, 2, 0).numpy(), interpolation=smooth)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(edit, fontsize=11)
        print(f"{edit}: {drawn.change.to_text()}")
    figure.tight_layout(pad=0.4)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": ""})
    args.out.mkdir(parents=True, exist_ok=True)
    write_atomic(args.out / "paint.png", stream.getvalue())
    session.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
