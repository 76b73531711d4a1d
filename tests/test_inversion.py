"""From a picture back to its latent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import tqdm
from PIL import Image

from l2l_widgets.cli import main
from l2l_widgets.cli.invert import next_command
from l2l_widgets.images import save_image
from l2l_widgets.inversion import (
    Adam,
    InversionError,
    InversionSettings,
    _cloud_of,
    invert,
    perceptual_distance,
)
from l2l_widgets.perception import AttributeNet
from l2l_widgets.stylegan2 import Generator, save_generator


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(5)
    made = Generator(
        8, 0, 12, 16, 3, mapping_kwargs={"num_layers": 2}, channel_base=256, channel_max=16
    )
    for name, p in made.named_parameters():  # fresh networks draw nearly the same grey
        if "torgb" in name and name.endswith("weight"):
            p.data.mul_(6)
    return made.eval().requires_grad_(False)


def drawn(generator, seed=1):
    w = generator.mapping(torch.randn(1, 8, generator=torch.Generator().manual_seed(seed)))
    return w, generator.synthesis(w, noise_mode="const").clamp(-1, 1)


@pytest.mark.parametrize("space", ["w", "w+"])
def test_a_face_of_the_generator_is_found_again(generator, space):
    w, _ = drawn(generator)
    middle = generator.mapping(torch.randn(512, 8)).mean(0, keepdim=True)
    # near the middle, for a random network's landscape is rough
    picture = generator.synthesis(middle.lerp(w, 0.6), noise_mode="const").clamp(-1, 1)
    settings = InversionSettings(space=space, steps=60, candidates=16)
    found = invert(generator, picture, settings=settings)
    assert found.steps == 60
    assert not found.stopped
    assert found.loss < (0.85 if space == "w" else 0.6) * found.start_loss
    torch.testing.assert_close(found.image, generator.synthesis(found.ws).clamp(-1, 1))
    assert found.ws.shape == (1, generator.num_ws, 12)
    assert (found.rows_apart < 1e-4) == (space == "w")


def test_the_same_seed_finds_the_same_latent(generator):
    _, picture = drawn(generator)
    settings = InversionSettings(steps=8, candidates=8)
    first, second = (invert(generator, picture, settings=settings) for _ in range(2))
    assert torch.equal(first.ws, second.ws)


def test_the_cloud_holds_the_latent_and_is_measured(generator):
    """Far outside the cloud a picture is found, unless the cloud's weight forbids it."""
    w, _ = drawn(generator)
    mean = generator.mapping(torch.randn(512, 8)).mean(0, keepdim=True)
    picture = generator.synthesis(mean + 4 * (w - mean)).clamp(-1, 1)
    free = InversionSettings(steps=80, cloud_weight=0.0, rows_weight=0.0)
    held = InversionSettings(steps=80, cloud_weight=10.0, rows_weight=10.0)
    loose, tight = (invert(generator, picture, settings=s) for s in (free, held))
    assert tight.cloud_distance < 1.3 < loose.cloud_distance
    assert tight.rows_apart < loose.rows_apart
    assert "like a sampled face" in tight.editability or "edge" in tight.editability
    assert loose.loss < tight.loss


def test_an_encoders_start_is_used(generator):
    w, picture = drawn(generator)
    found = invert(generator, picture, settings=InversionSettings(steps=0), start=w)
    torch.testing.assert_close(found.ws, w)
    assert found.loss < 1e-5
    with pytest.raises(InversionError, match="start has shape"):
        invert(generator, picture, settings=InversionSettings(steps=0), start=w[:, :2])


def test_stop_keeps_the_best_so_far(generator):
    _, picture = drawn(generator)
    calls = []
    found = invert(
        generator, picture, settings=InversionSettings(steps=1000),
        stop=lambda: calls.append(1) or len(calls) > 10,
    )  # fmt: skip
    assert found.stopped
    assert found.steps == 10
    assert found.loss <= found.start_loss


def test_features_are_compared_by_direction_not_size():
    torch.manual_seed(0)
    network = AttributeNet(("a",), "residual", width=8, features=16).eval()
    distance = perceptual_distance([object(), network])
    images = torch.rand(3, 3, 64, 64) * 2 - 1
    assert distance(images, images).abs().max() < 1e-6
    far = distance(images, images.flip(0))
    assert far[0] > 0
    assert far[1] < 1e-6  # the middle one meets itself
    with pytest.raises(InversionError, match="none has feature_maps"):
        perceptual_distance([object()])
    # a second network adds what it sees, and takes no weight from the first
    torch.manual_seed(1)
    second = AttributeNet(("a",), "separable", width=8, features=16).eval()
    both = perceptual_distance([network, second])(images, images.flip(0))
    torch.testing.assert_close(both, far + perceptual_distance([second])(images, images.flip(0)))
    # one picture that many are compared with is looked at once, and the distances are the same
    looked, once = [], network.feature_maps

    def feature_maps(images):
        looked.append(len(images))
        return once(images)

    network.feature_maps = feature_maps
    near = distance.to_picture(images[:1])
    assert torch.equal(near(images[1:2]), distance(images[1:2], images[:1]))
    assert torch.equal(near(images[2:3]), distance(images[2:3], images[:1]))
    assert looked == [1, 1, 1, 1, 1, 1, 1]
    assert torch.allclose(near(images), distance(images, images[:1].expand(3, -1, -1, -1)))


def test_a_descent_looks_at_its_picture_once(generator):
    class Eyes:
        def __init__(self):
            self.seen = []

        def feature_maps(self, images):
            self.seen.append(images.detach().clone())
            return [torch.nn.functional.avg_pool2d(images, 4)]

    w, picture = drawn(generator)
    settings = InversionSettings(steps=3)
    eyes = Eyes()
    fast = invert(generator, picture, perceptual_distance([eyes]), settings, start=0.5 * w)
    assert sum(torch.equal(seen, picture) for seen in eyes.seen) == 1
    plain = perceptual_distance([eyes])
    slow = invert(generator, picture, lambda a, b: plain(a, b), settings, start=0.5 * w)
    assert torch.equal(fast.ws, slow.ws)
    assert fast.loss == slow.loss


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (torch.zeros(1, 3, 8, 8), r"picture has shape \(1, 3, 8, 8\)"),
        (torch.full((1, 3, 16, 16), float("nan")), "not finite"),
        (torch.zeros(1, 3, 16, 16), "one plain colour"),
    ],
)
def test_a_bad_picture_is_named(generator, picture, says):
    with pytest.raises(InversionError, match=says):
        invert(generator, picture)


@pytest.mark.parametrize(
    ("field", "value"),
    [("space", "z"), ("steps", -1), ("steps", 1.5), ("candidates", 0), ("noise", float("nan"))],
)
def test_a_bad_setting_is_named(field, value):
    with pytest.raises(InversionError, match=field):
        InversionSettings(**{field: value})


@pytest.fixture
def photo(generator, tmp_path):
    save_generator(tmp_path / "g.safetensors", generator)
    save_image(tmp_path / "photo.png", drawn(generator)[1][0], scale=4)
    return tmp_path


def test_the_command_writes_a_picture_that_replays(photo, capsys):
    words = [
        "invert",
        str(photo / "photo.png"),
        "--aligned",
        "--out",
        str(photo / "out"),
        "--steps",
        "20",
    ]
    words += ["--generator", str(photo / "g.safetensors"), "--json"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["loss"] < answer["start_loss"]
    assert json.loads((photo / "out" / "inversion.json").read_text())["steps"] == 20
    again = photo / "again.png"
    words = ["replay", str(photo / "out" / "inverted.png"), "--out", str(again)]
    assert main([*words, "--generator", str(photo / "g.safetensors")]) == 0
    first, second = (Image.open(p).tobytes() for p in (photo / "out" / "inverted.png", again))
    assert first == second


def test_the_next_command_fits_the_models(tmp_path):
    def models(*attributes):
        editors = ("mapper",) if attributes else ()
        editor = SimpleNamespace(attributes=attributes)
        return SimpleNamespace(available_editors=editors, editor=lambda name: editor)

    args = SimpleNamespace(out=tmp_path, generator="worlds/ffhq")
    said = next_command(args, models("beard", "hat"))
    assert said.endswith("--generator worlds/ffhq --set beard=+0.3 --out edited")
    assert "need an editor" in next_command(args, models())
    embedded = SimpleNamespace(out=tmp_path, generator=None)
    assert next_command(embedded, models("age", "smile")).endswith(
        f"l2l edit --latents {tmp_path / 'inverted.png'} --set smile=+0.3 --out edited"
    )


def test_ctrl_c_keeps_what_was_found(photo, capsys, monkeypatch):
    """Ctrl-C is pressed when the bar first moves, however long the machine takes to get there."""
    moved = []

    class Bar(tqdm.tqdm):
        def update(self, n=1):
            moved.append(n)
            if len(moved) == 1:
                signal.raise_signal(signal.SIGINT)
            return super().update(n)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    words = ["invert", str(photo / "photo.png"), "--aligned", "--out", str(photo / "out")]
    words += ["--steps", "400", "--generator", str(photo / "g.safetensors"), "--json"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["stopped"] is True
    assert len(moved) == 1
    assert answer["steps"] == moved[0] < 400
    assert (photo / "out" / "inverted.png").is_file()


def test_bad_input_is_one_line_and_leaves_nothing(photo, capsys):
    out = photo / "out"
    for words, says in (
        ([str(photo / "none.png")], "none.png"),
        ([str(photo / "g.safetensors")], "g.safetensors"),
        ([str(photo / "photo.png"), "--steps", "-1"], "--steps"),
        ([str(photo / "photo.png"), "--crop", "1,2"], "--crop is"),
    ):
        assert main(["invert", *words, "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert len(error.strip().splitlines()) == 1
    assert not out.exists()


def test_a_picture_from_outside_does_not_draw_the_latent_out_of_the_cloud(generator):
    """A photograph never comes close; what is left of the difference must not spoil edits."""
    stripes = torch.sign(torch.sin(torch.linspace(0, 9, 16)))
    picture = stripes.view(1, 1, 1, 16).expand(1, 3, 16, 16).clone()
    few = {"steps": 80, "candidates": 16, "pixel_weight": 3.0}
    held = invert(generator, picture, settings=InversionSettings(**few))
    free = invert(generator, picture, settings=InversionSettings(**few, cloud_weight=0))
    assert free.cloud_distance > 1.25
    assert held.cloud_distance < 1.1
    assert held.editability == "edits like a sampled face"
    assert held.loss < held.start_loss


def test_the_descent_is_torchs_adam_to_the_bit():
    draw = torch.Generator().manual_seed(0)
    theirs = torch.randn(1, 3, 8, generator=draw).requires_grad_()
    ours = theirs.detach().clone()
    optimizer, descent = torch.optim.Adam([theirs], betas=(0.9, 0.99)), Adam(ours)
    for step in range(20):
        theirs.grad = torch.randn(1, 3, 8, generator=draw)
        optimizer.param_groups[0]["lr"] = rate = 0.01 * (1 + step % 5)
        optimizer.step()
        descent.step(theirs.grad, rate)
        assert torch.equal(ours, theirs.detach())


#: An edit by a flow and a descent, as a notebook with all views makes them.
KERNEL = """
import sys, torch
import l2l_widgets as l2l
from l2l_widgets.inversion import InversionSettings, invert
models = l2l.load()
session = l2l.EditSession(models, method="styleflow")
session.set_changes({"age": 0.2})
result = session.render()
assert result.error is None, result.error
invert(models.generator, result.before[None], settings=InversionSettings(steps=1, candidates=2))
print([name for name in ("scipy", "sympy", "torch._dynamo") if name in sys.modules])
"""


def test_a_kernel_is_spared_compilers_and_solvers_that_it_does_not_need():
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KERNEL], capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == "[]", found.stderr


def test_the_cloud_keeps_no_more_than_its_latents(generator):
    cloud = _cloud_of(generator, 0)
    assert cloud.w.untyped_storage().nbytes() == cloud.w.numel() * cloud.w.element_size()
