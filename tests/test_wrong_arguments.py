"""Every public object says, in one line, which argument is wrong and what is allowed instead."""

from __future__ import annotations

import gc

import pytest

import l2l_widgets as l2l

VIEWS = (
    "FaceEditor", "Gallery", "LatentMap", "EditorGrid", "EntanglementExplorer",
    "InterpolationView", "IdentityMixer", "MaskPainter",
)  # fmt: skip


def refused(build, *words):
    with pytest.raises((ValueError, TypeError)) as caught:
        build()
    line = str(caught.value)
    assert "\n" not in line
    for word in ("allowed", *words):
        assert word in line, line


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_view_of_something_that_is_no_face_says_what_is_allowed():
    for name in VIEWS:
        for given in (3, "faceworld-128"):
            refused(lambda n=name, g=given: getattr(l2l, n)(g), repr(given), "Session")
    gc.collect()  # what was half made is closed without another error


@pytest.mark.parametrize("given", [3, None, {"smile": 0.3}])
def test_the_presenter_says_that_the_steps_come_first(session, given):
    refused(lambda: l2l.Presenter(given, session), "steps is", "Presenter(steps, session)")
    refused(lambda: l2l.Presenter(session), "steps is", "Presenter(steps, session)")


def test_models_are_asked_for_by_name(session):
    for build in (
        l2l.EditSession, l2l.FaceMixer.of, l2l.load_painter,
        lambda given: l2l.with_judges(given, []), lambda given: l2l.make_editor("mapper", given),
    ):  # fmt: skip
        refused(lambda build=build: build(3), "models is 3", "load()")
    refused(lambda: l2l.EditSession("faceworld-128"), "load('faceworld-128')")
    refused(lambda: l2l.SharedFace(3), "session is 3", "EditSession")
    refused(lambda: l2l.load(3), "name is 3", "folder")
    refused(
        lambda: l2l.with_judges(session.models, "arcface"), "judges is 'arcface'", "['arcface']"
    )
    refused(lambda: l2l.read_recipe(3), "recipe is 3")
    refused(lambda: l2l.load_judge(3), "judge is 3", "arcface")
    refused(lambda: l2l.TrainingMonitor(3), "folder is 3")


def test_a_mistyped_public_name_is_recognised():
    with pytest.raises(AttributeError, match="did you mean LatentMap"):
        _ = l2l.LatentMpa
    with pytest.raises(ValueError, match="did you mean mapper"):
        l2l.make_editor("maper", None)
