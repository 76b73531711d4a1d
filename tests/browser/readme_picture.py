"""The README's picture: the face editor in a real JupyterLab, after an edit.

PYTHONPATH=tests python -m browser.readme_picture docs/face_editor.png
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from . import harness
from .editor_page import EditorPage

SEED = 26
#: Attribute -> where on its track the slider is let go.
EDIT = {"smile": 0.7, "glasses": 0.9}


def main(argv: list[str] | None = None) -> int:
    """Open the first notebook, edit its face, and take a picture of the editor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args(argv).out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        smoke = {"L2L_SMOKE": "1"}
        with harness.lab(Path(folder), "student_1", smoke) as address, harness.page() as page:
            harness.open_notebook(page, address, "student_1_edit_a_face.ipynb", timeout=600)
            editor = EditorPage(page)
            seed = editor.root.get_by_label("Seed")
            seed.fill(str(SEED))
            seed.press("Enter")
            editor.settle()
            for attribute, place in EDIT.items():
                editor.drag(attribute, 0.5, place)
                editor.settle()
            editor.wait_for_receipt()
            page.mouse.move(2, 2)  # no hint of a hovered control in the picture
            editor.root.screenshot(path=out)
    print(f"wrote {out.name}: seed {SEED}, {', '.join(EDIT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
