"""Sections of the model card that stand alone: mask networks, the page's speed, the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l2l_widgets.recipes.markdown import markdown_table, wrapped
from l2l_widgets.recipes.mixing_text import reach_table, reached
from l2l_widgets.recipes.painter_text import painting_section

__all__ = ["LATENCY_GOALS", "NOT_MEASURED", "TRAINING", "latency_section", "masks_section"]

NOT_MEASURED = "Not measured: `l2l train cards` measures it.\n"

#: What a page with one editor should keep to.
LATENCY_GOALS = (
    ("median_ms", "<=", 60.0, "slider event to decoded pixels, median, ms"),
    ("p95_ms", "<=", 150.0, "the same, 95th percentile, ms"),
    ("first_face_s", "<=", 10.0, "first face after Run all in a fresh kernel, s"),
    ("kernel_peak_mb", "<=", 500.0, "memory of the kernel at its peak, MB"),
)
TRAINING = """## Training

- 10 steps, stopping, and 10 more equal 20 bit for bit:
  `tests/test_training.py::test_ten_resume_ten_equals_twenty_bit_for_bit`.
- Two processes of `accelerate launch` give the curve of one at the same global batch, within float
  error, where a recipe draws all its chance with the batch:
  `tests/test_training_processes.py::test_two_processes_give_the_curve_of_one`.
"""


def masks_section(manifest: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Parser, mask autoencoder and painter, as far as the manifest lists them."""
    recipes = {e["recipe"] for e in manifest.values()}
    parts = []
    for recipe, key, title, write in (
        ("parser", "parser", "Parser", _parser),
        ("mask-vae", "mask_vae", "Mask autoencoder", _mask_vae),
        ("mask-edit", "painting", "Mask to face", painting_section),
    ):
        if recipe in recipes:
            text = write(scores[key]) if key in scores else NOT_MEASURED
            parts.append(f"## {title}\n\n{text}")
    return "\n".join(parts)


def _parser(s: Mapping[str, Any]) -> str:
    parts = sorted((k.removesuffix("_iou"), v) for k, v in s.items() if k.endswith("_iou"))
    return f"""`l2l train cards`, on {s["faces"]:.0f} held-out faces of the independent population.
Mean intersection over union of the {len(parts)} classes that they show: {s["mean_iou_score"]:.3f}.
Landmarks: mean error {s["landmark_error"]:.4f} of the distance between the eyes' outer corners.

{markdown_table(("class", "intersection over union"), parts)}"""


def _mask_vae(s: Mapping[str, Any]) -> str:
    return wrapped(
        f"`l2l train cards`, on {s['faces']} masks that nothing was trained on, sent through their "
        f"codes and back: {s['mask_accuracy']:.3f} of the pixels keep their class; mean "
        f"intersection over union {s['mean_iou_score']:.3f}."
    ) + "\n"  # fmt: skip


def latency_section(
    found: Mapping[str, Any] | None, side: int | None, manifest: Mapping[str, Any]
) -> str:
    """What a user waits for in the browser, from the file that the measuring command writes."""
    command = "`python -m tests.browser.latency --out FILE`"
    if found is None:
        text = (
            f"Not measured. {command} measures it in Chromium; as `latency.json` in the folder of "
            "these weights, `l2l train cards` puts it here."
        )
        return f"## In the browser\n\n{wrapped(text)}\n"
    figures = {**found, "kernel_peak_mb": found["kernel_mb"]["peak"]}
    other = ""
    if side is not None and found["side"] != side:
        other = (
            f" They are of a generator of {found['side']} px, not of this one of {side} px: "
            "measure again."
        )
    now = {file: entry["sha256"] for file, entry in manifest.items()}
    changed = [f for f, was in found.get("measured_with", {}).items() if now.get(f) != was]
    if changed:
        other += f" Since then {' and '.join(f'`{f}`' for f in changed)} changed: measure again."
    text = (
        f"{command}, in a real JupyterLab and Chromium on `{found.get('notebook', '-')}`: "
        f"n = {found['n']} slider events at {found['side']} px, on "
        f"{found.get('machine', 'a machine that the file does not name')}.{other}"
    )
    return f"## In the browser\n\n{wrapped(text)}\n\n{reach_table(reached(figures, LATENCY_GOALS))}"
