"""One notebook page with every view of one session open at once, and who draws behind it.

The views are those a user has: the embedded models, the shipped map, the shipped mixer and painter
where there are weights for them, untrained networks of the same size where there are not (what is
measured is the page, not what they draw).
"""

from __future__ import annotations

import ast
from pathlib import Path

from . import harness

NAME = "all_views.ipynb"

#: The models, a session, and a list that gets the name of the thread at every drawing.
FIRST = """
import threading, torch
import l2l_widgets as l2l
from l2l_widgets.stylegan2.synthesis import SynthesisNetwork

drawn = []

def counted(name):
    plain = getattr(SynthesisNetwork, name)

    def method(self, *args, **kwargs):
        drawn.append(threading.current_thread().name)
        return plain(self, *args, **kwargs)

    setattr(SynthesisNetwork, name, method)

for name in ("forward", "grow"):
    counted(name)

models = l2l.load()
session = l2l.EditSession(models, seed=3)
None
"""
MIXER = """
from l2l_widgets.disentangle import MixerConfig, MixerNetwork

def mixer_of(models):
    try:
        return l2l.FaceMixer.of(models)
    except ValueError:  # no weights: an untrained network costs the same
        sizes = MixerConfig(models.embedder.embedding_dim, models.generator.w_dim)
        with torch.no_grad():
            w = models.generator.mapping(torch.randn(256, models.generator.z_dim))[:, 0]
        network = MixerNetwork(sizes, cloud=torch.stack([w.mean(0), w.std(0)])).eval()
        return l2l.FaceMixer(models.generator, models.embedder, network)
"""
PAINTER = """
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.maskgan import (
    DenseMappingNetwork, MappingConfig, MaskGAN, MaskVAE, MaskVAEConfig)

def painter_of(models):
    try:
        return l2l.load_painter(models)
    except ValueError:  # as above
        torch.manual_seed(0)
        mapping = DenseMappingNetwork(MappingConfig.scaled(64))
        return MaskGAN(mapping, MaskVAE(MaskVAEConfig.scaled(64))).eval()

faces = render(sample_factors(1, seed=3), 64)
"""
#: A short descent: a monkey may start it, and then it is over soon.
PHOTO = """
from l2l_widgets.images import encode_png
from l2l_widgets.inversion import InversionSettings

photo_file = encode_png(session.render().before)
short = InversionSettings(steps=6)
"""
#: Training is not started; a monkey may, and then it is over soon.
SMALL = "faces=64, calibration_faces=0, steps=8, checkpoint_every=4, log_every=1, threads=1"
#: The view's name -> its element, and what makes it.
VIEWS = {
    "editor": (".l2l-editor", "l2l.FaceEditor(session)"),
    "map": (".l2l-map", "l2l.LatentMap(session)"),
    "grid": (".l2l-editorgrid", 'l2l.EditorGrid(session, request={"age": 0.3})'),
    "explorer": (
        ".l2l-explorer",
        'l2l.EntanglementExplorer(session, faces=10, chance=4, attributes=("smile", "age"))',
    ),
    "walk": (".l2l-walk", "l2l.InterpolationView(session, 12, frames=9)"),
    "gallery": (".l2l-gallery", "l2l.Gallery(session)"),
    "photo": (".l2l-photo", "l2l.PhotoInverter(session, photo_file, settings=short)"),
    "monitor": (
        ".l2l-monitor",
        f'l2l.TrainingMonitor("monitored", recipe="mapper-lesson", {SMALL})',
    ),
    "presenter": (
        ".l2l-presenter",
        'l2l.Presenter([("Before", {}), ("Smile!", {"smile": 0.4})], session)',
    ),
    "mixer": (
        ".l2l-mixer",
        "l2l.IdentityMixer(mixer_of(models), face=session, identity=1, attributes=2)",
    ),
    "painter": (
        ".l2l-painter",
        "l2l.MaskPainter(l2l.PaintSession(painter_of(models), faces.image[0], faces.mask[0]))",
    ),
    "training": (".l2l-training", f'l2l.TrainingCell("mapper-lesson", "trained", {SMALL})'),
}  # fmt: skip


def write_notebook(folder: Path) -> Path:
    """Write the notebook whose last cell shows all views, one below the other.

    One cell, because JupyterLab takes the outputs of cells that are far away out of its page: here
    all views are in it.
    """
    shows = "\n".join(f"{name} = {make}\ndisplay({name})" for name, (_, make) in VIEWS.items())
    return harness.write_notebook(folder, NAME, FIRST, MIXER, PAINTER, PHOTO, shows)


def open_all(page, address: str, folder: Path, timeout: float = 400) -> None:
    """Open the notebook and wait until every view shows what it is about.

    Views that compute nothing while they are out of sight are scrolled to, one after the other.
    """
    write_notebook(folder)
    harness.open_notebook(page, address, NAME, timeout=timeout)
    problems = harness.cell_errors(page)
    assert problems == [], problems
    for name in VIEWS:
        root = root_of(page, name)
        root.wait_for(timeout=1000 * timeout)
        root.scroll_into_view_if_needed()
        question = READY.get(name)
        if question:
            harness.until(lambda q=question, r=root: r.evaluate(q), timeout, what=f"the {name}")
    root_of(page, "editor").scroll_into_view_if_needed()


#: What a view's element says when its first work is done; for the others its being there will do.
READY = {
    "editor": "e => e.dataset.stamp !== undefined",
    "map": "e => e.dataset.ready === 'true'",
    "grid": "e => e.dataset.state === 'ready'",
    "walk": "e => Boolean(e.dataset.frames) && e.dataset.frames === e.dataset.curves",
    "gallery": "e => Boolean(e.dataset.page)",
    "mixer": "e => e.querySelector('.l2l-mixcell') !== null",
    "photo": "e => e.dataset.count !== undefined",
}


def root_of(page, name: str):
    """The element of a view."""
    return page.locator(VIEWS[name][0]).first


def drawings(page) -> list[str]:
    """The names of the threads that have drawn since the last question, one for each drawing."""
    text = harness.evaluate_in_kernel(page, "[drawn.pop(0) for _ in range(len(drawn))]")
    return list(ast.literal_eval(text))


#: Whether all workers of the kernel have come to rest; the rest that a view keeps before it follows
#: another one is part of its worker's call.
AT_REST = "all([w.drain(60) for w in __import__('l2l_widgets.latest_wins').latest_wins.at_work()])"


def at_rest(page) -> None:
    """Wait until nothing in the kernel computes, or waits to."""
    harness.until(lambda: harness.evaluate_in_kernel(page, AT_REST) == "True", 400, what="a rest")


def quiet(page, seconds: float = 2.5, timeout: float = 400) -> None:
    """Wait until nothing has been drawn for a while, and forget what was."""

    def still() -> bool:
        at_rest(page)
        page.wait_for_timeout(1000 * seconds)
        return not drawings(page)

    harness.until(still, timeout, what="the end of all drawing")
