"""The README's pictures of the views: each in a real JupyterLab, on the embedded world.

python -m tests.browser.readme_views docs
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image

from . import harness

NAME = "views.ipynb"
FIRST = "import l2l_widgets as l2l\nsession = l2l.EditSession(l2l.load(), seed=3)\nNone"
#: Picture -> the cell that shows the view, and the view's element.
VIEWS = {
    "latent_map": ("view = l2l.LatentMap(session)\nview", ".l2l-map"),
    "interpolation": (
        "walk = l2l.InterpolationView(session, 12, frames=9)\nwalk",
        ".l2l-walk",
    ),
    "editor_grid": (
        'grid = l2l.EditorGrid(session, request={"age": 0.3})\ngrid',
        ".l2l-editorgrid",
    ),
    "entanglement": ("explorer = l2l.EntanglementExplorer(session, faces=100)\nexplorer",
                     ".l2l-explorer"),
}  # fmt: skip


def ready(page, name: str, root) -> None:
    """Wait until a view shows what its picture is about."""
    root.scroll_into_view_if_needed()
    if name == "latent_map":
        harness.until(lambda: root.get_attribute("data-ready") == "true", 300, what="the map")
        root.get_by_label("Colour by").select_option("age")
        harness.until(
            lambda: "Age" in root.locator(".l2l-map-legend").inner_text(), 300, what="the colours"
        )
        page.wait_for_timeout(1500)  # the pictures of the faces that are shown
    elif name == "interpolation":
        same = "e => e.dataset.frames && e.dataset.frames === e.dataset.curves"
        harness.until(lambda: root.evaluate(same), 120, what="the curves")
    elif name == "editor_grid":
        harness.until(lambda: root.get_attribute("data-state") == "ready", 120, what="the grid")
    else:
        root.get_by_role("button", name="Measure").click()
        harness.until(
            lambda: root.get_attribute("data-state") == "finished", 600, what="the matrix"
        )


def shoot(root, path: Path, colours: int = 160) -> None:
    """Write a picture of the element, in as many colours as a README needs."""
    shown = Image.open(io.BytesIO(root.screenshot())).convert("RGB")
    small = shown.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def main(argv: list[str] | None = None) -> int:
    """Show each view in a notebook of its own and take its picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the pictures")
    parser.add_argument("--only", choices=sorted(VIEWS), action="append")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = {name: view for name, view in VIEWS.items() if name in (args.only or VIEWS)}
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        with harness.lab(folder, "student_1") as address, harness.page(1400, 1400) as page:
            harness.write_notebook(folder, NAME, FIRST, *(cell for cell, _ in chosen.values()))
            harness.open_notebook(page, address, NAME, timeout=300)
            for name, (_, selector) in chosen.items():
                root = page.locator(selector).first
                root.wait_for(timeout=120_000)
                ready(page, name, root)
                page.mouse.move(2, 2)  # no hint of a hovered control in the picture
                shoot(root, args.out / f"{name}.png")
                print(f"wrote {name}.png", flush=True)
            faults = harness.cell_errors(page) + harness.kernel_errors(page) + page.faults
    if faults:
        raise SystemExit(f"the page or the kernel complained: {faults}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
