"""A view's rules hold in that view alone."""

from __future__ import annotations

import re

import pytest

from l2l_widgets import widgets
from l2l_widgets.widgets.stylesheet import scoped

#: View -> the class of its outermost element that no other view has.
ROOTS = {
    "EditorGrid": "l2l-editorgrid",
    "EntanglementExplorer": "l2l-explorer",
    "FaceEditor": "l2l-face-editor",
    "Gallery": "l2l-gallery",
    "IdentityMixer": "l2l-mixer",
    "InterpolationView": "l2l-walk",
    "LatentMap": "l2l-map",
    "MaskPainter": "l2l-painter",
    "PhotoInverter": "l2l-photo",
    "Presenter": "l2l-presenter",
    "TrainingCell": "l2l-training-cell",
    "TrainingMonitor": "l2l-monitor",
}


def squeezed(css):
    return re.sub(r"\s+", " ", css).strip()


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (".a { x: y }", ":where(.r) .a { x: y }"),
        (".r .a, .b:not(.c, .d) { x: y; z: w }",
         ".r .a, :where(.r) .b:not(.c, .d) { x: y; z: w }"),
        (".r-side { x: y }", ":where(.r) .r-side { x: y }"),
        (".s .a { x: y }", ".s:where(.r) .a { x: y }"),
        ("/* .q {} */ h2 { x: y }", ":where(.r) h2 { x: y }"),
        ("@container (max-width: 9px) { .a { x: y } }",
         "@container (max-width: 9px) { :where(.r) .a { x: y } }"),
        ("@keyframes k { from { x: y } 50% { x: z } }",
         "@keyframes k { from { x: y } 50% { x: z } }"),
        ("[data-dark] .a { x: y }", "[data-dark] :where(.r) .a { x: y }"),
    ],
)  # fmt: skip
def test_rules_are_bound_to_the_view(written, wanted):
    assert squeezed(scoped("r", written, "s")) == wanted


def test_every_view_is_here():
    assert set(ROOTS) == set(widgets.__all__)
    assert len(set(ROOTS.values())) == len(ROOTS)


@pytest.mark.parametrize("name", sorted(ROOTS))
def test_no_view_dresses_another(name):
    css = getattr(widgets, name)._css
    selectors = [s for s in re.findall(r"([^{};]+)\{", css) if not s.strip().startswith("@")]
    assert len(selectors) > 20
    root = re.compile(rf"\.{ROOTS[name]}(?![\w-])")
    strangers = [s.strip() for s in selectors if not root.search(s)]
    assert all(re.fullmatch(r"(from|to|[\d.]+%)(, ?(from|to|[\d.]+%))*", s) for s in strangers)
    script = getattr(widgets, name)._esm
    assert root.search(f".{ROOTS[name]}")
    assert re.search(rf'class: "[^"]*\b{ROOTS[name]}(?![\w-])', str(script)), "no element has it"
