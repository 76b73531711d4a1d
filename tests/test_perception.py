"""Regressors, embedders and judges: forms, files, and files that are not theirs."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.perception import (
    TRUNKS,
    AttributeNet,
    FaceEmbeddingNet,
    load_network,
    save_network,
)
from l2l_widgets.protocols import AttributeRegressor, FaceEmbedder
from l2l_widgets.storage import StorageError, save_safetensors


def faces(n: int = 3, side: int = 64) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("family", TRUNKS)
def test_a_regressor_reads_every_attribute_in_its_unit(family):
    network = AttributeNet(("age", "smile"), family, width=8, features=16).eval()
    assert isinstance(network, AttributeRegressor)
    read = network(faces())
    assert read.shape == (3, 2)
    assert ((read > 0) & (read < 1)).all()
    assert read.std(0).min() > 0


@pytest.mark.parametrize("family", TRUNKS)
def test_an_embedding_has_unit_length(family):
    network = FaceEmbeddingNet(12, family, width=8, features=16).eval()
    assert isinstance(network, FaceEmbedder)
    assert torch.allclose(network(faces()).norm(dim=1), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("side", [32, 64, 256])
def test_pictures_of_any_size_are_taken(side):
    network = AttributeNet(("age",), width=8, features=16).eval()
    assert network(faces(side=side)).shape == (3, 1)


def test_pictures_of_another_form_are_refused():
    network = AttributeNet(("age",), width=8, features=16).eval()
    with pytest.raises(ValueError, match="allowed: \\(B, 3, R, R\\)"):
        network(torch.zeros(3, 64, 64))


@pytest.mark.parametrize(
    "network",
    [
        AttributeNet(("age", "smile"), "separable", width=8, features=16),
        FaceEmbeddingNet(12, "transformer", width=8, features=16),
    ],
)
def test_a_saved_network_comes_back(tmp_path, network):
    path = tmp_path / "net.safetensors"
    save_network(path, network.eval())
    again = load_network(path)
    assert type(again) is type(network)
    assert torch.allclose(again(faces()), network(faces()), atol=5e-3)
    assert not any(p.requires_grad for p in again.parameters())


def test_foreign_and_damaged_files_are_refused(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    save_safetensors(foreign, {"x": torch.zeros(1)}, {"format": "something"})
    with pytest.raises(StorageError, match="not a perception network"):
        load_network(foreign)
    path = tmp_path / "net.safetensors"
    save_network(path, AttributeNet(("age",), width=8, features=16))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(StorageError):
        load_network(path)


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="family is 'cnn'; allowed: residual"):
        AttributeNet(("age",), "cnn")
