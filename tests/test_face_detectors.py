"""Which face detector ends the ranges of the paper's protocol."""

from __future__ import annotations

import pytest
import torch
from open_world import open_models

from l2l_widgets.evaluation import detection
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.models.zoo import load

PROTOCOL = Protocol(attributes=("age",), faces=40, batch=16)


def test_the_embedded_faces_are_known_to_a_detector_of_photographs() -> None:
    models = load()
    assert detection.usable_detector(models, PROTOCOL) == ("haar", "")
    with torch.inference_mode():
        ws = models.generator.mapping(models.generator.w_avg.new_zeros(1, models.generator.z_dim))
        face = models.generator.synthesis(ws)
    found = detection.detector_of("haar")(torch.cat([face, torch.zeros_like(face)]))
    assert found.tolist() == [True, False]


def test_pictures_of_nobody_use_none_and_say_why() -> None:
    name, why = detection.usable_detector(open_models(), PROTOCOL)
    assert name == "none"
    assert why == "haar finds 0% of 32 unedited faces; cascade finds 0% of 32 unedited faces"


def test_what_is_not_installed_is_passed_over_in_words(monkeypatch) -> None:
    def missing(*_):
        raise detection.DetectorError("needs what is not here")

    monkeypatch.setattr(detection, "haar_detector", missing)
    name, why = detection.usable_detector(load(), PROTOCOL)
    assert name == "cascade"
    assert why == "needs what is not here"
    with pytest.raises(ValueError, match="detector is 'yolo'; allowed: none, haar, cascade"):
        detection.detector_of("yolo")
    assert detection.detector_of("none") is None
