"""What beside the pixels an inversion compares: the networks of the losses, or LPIPS."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from conftest import build_attribute_net, build_embedder, build_generator

from l2l_widgets.cli import main
from l2l_widgets.inversion import InversionSettings
from l2l_widgets.judges import Declaration, wrap_judge
from l2l_widgets.models.zoo import Models
from l2l_widgets.perception import FaceEmbeddingNet
from l2l_widgets.photos import PhotoError, invert_picture
from l2l_widgets.photos.distances import find_distance
from l2l_widgets.photos.inverting import picture_distance, read_back


def world(**parts):
    return Models.from_parts(build_generator(), **parts)


def test_the_embedder_of_the_losses_is_compared_and_the_second_judges_never():
    networks = {
        "regressor": build_attribute_net(1), "embedder": build_embedder(2),
        "attribute_judge": build_attribute_net(3), "identity_judge": build_embedder(4),
    }  # fmt: skip
    seeing = picture_distance(world(**networks)).networks
    assert seeing == (networks["regressor"], networks["embedder"])
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    assert read_back(world(**networks), picture, -picture)["partial"] is False
    del networks["identity_judge"]
    assert read_back(world(**networks), picture, -picture)["partial"] is True, "its own judge"
    alone = picture_distance(world(regressor=networks["regressor"])).networks
    assert alone == (networks["regressor"],)


def test_an_embedder_without_stages_is_passed_over():
    """One of one's own, behind its declaration, and a transformer."""
    own = wrap_judge(lambda x: x.mean((2, 3)), Declaration("identity", size=16))
    transformer = FaceEmbeddingNet(8, "transformer", width=16, depth=1, features=8).eval()
    for embedder in (own, transformer):
        assert picture_distance(world(embedder=embedder)) is None
    with pytest.raises(ValueError, match="family is 'transformer'"):
        transformer.feature_maps(torch.zeros(1, 3, 64, 64))


#: What the stand-in was made with.
ASKED: list[tuple[str, bool]] = []


class Measure(torch.nn.Module):
    """Stands where the package has its networks: the same call, and a simple distance."""

    def __init__(self, net="alex", verbose=True):
        super().__init__()
        ASKED.append((net, verbose))
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, first, second):
        assert first.shape[-1] <= 256
        return self.weight * (first - second).square().mean((1, 2, 3), keepdim=True)


@pytest.fixture
def lpips(monkeypatch):
    module = ModuleType("lpips")
    module.LPIPS = Measure
    monkeypatch.setitem(sys.modules, "lpips", module)
    ASKED.clear()
    return module


def test_lpips_is_descended_where_its_package_is(lpips):
    models = world()
    measure = find_distance("lpips", models)
    find_distance("lpips-alex", models)
    assert ASKED == [("vgg", False), ("alex", False)]
    large = torch.rand(2, 3, 300, 300)
    assert measure(large, large.flip(0)).shape == (2,)
    z = torch.randn(1, 16, generator=torch.Generator().manual_seed(1))
    picture = models.generator.synthesis(models.generator.mapping(z)).detach().clamp(-1, 1)
    few = InversionSettings("w+", 12, 8, pixel_weight=0.0)
    found = invert_picture(models, picture, few, distance=measure)
    assert 0 < found.loss < found.start_loss


def test_lpips_without_package_or_networks_is_one_line(lpips, monkeypatch, capsys, tmp_path):
    def offline(net, verbose):
        raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>")

    monkeypatch.setattr(lpips, "LPIPS", offline)
    with pytest.raises(PhotoError, match=r"its vgg network cannot be had \(<urlopen.*connection"):
        find_distance("lpips", world())
    with pytest.raises(PhotoError, match="distance is 'mse'; allowed: readers, lpips, lpips-alex"):
        find_distance("mse", world())
    monkeypatch.setitem(sys.modules, "lpips", None)  # as if it were not installed
    with pytest.raises(PhotoError, match=r"pip install 'l2l-widgets\[lpips\]'"):
        find_distance("lpips", world())
    monkeypatch.delitem(sys.modules, "lpips")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    picture = tmp_path / "p.png"
    picture.write_bytes(b"x")
    for verb in ("invert", "film"):
        words = [verb, str(picture), "--out", str(tmp_path / "o.gif")]
        assert main([*words, "--distance", "lpips"]) == 2
        said = capsys.readouterr().err
        assert "--distance is 'lpips', which needs the package lpips" in said
        assert said.count("\n") == 1
        assert main([*words, "--distance", "mse"]) == 2
        assert "allowed: readers, lpips, lpips-alex" in capsys.readouterr().err
    assert not (tmp_path / "o.gif").exists()
