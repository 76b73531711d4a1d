"""Every attribute changes the picture where it should, visibly, and nowhere else."""

import pytest
import torch

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld import MASK_CLASSES
from l2l_widgets.faceworld.regions import (
    FACES,
    HIDDEN,
    INSIDE,
    LEAST_AREA,
    REGIONS,
    Region,
    main,
    visibility,
)
from l2l_widgets.faceworld.render import Render


def test_every_attribute_has_a_region_and_no_other_name_has():
    assert set(REGIONS) == set(DEFAULT_TABLE.names)
    for region in REGIONS.values():
        assert set(region.classes) <= set(MASK_CLASSES)
        assert "background" not in region.classes


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFAULT_TABLE.names)
@pytest.mark.parametrize(("kind", "faces"), [(k, 3 if k == "bare" else 2) for k in FACES])
def test_an_attribute_shows_where_it_should_and_only_there(kind, faces, name):
    found = visibility(name, faces=faces, seed=1, size=128, kind=kind)
    assert found.inside.min() >= INSIDE, found.inside
    if name not in HIDDEN.get(kind, ()):
        assert found.area.min() >= LEAST_AREA, found.area * 128**2


def test_what_is_hidden_is_named_of_a_kind_and_an_attribute():
    for kind, names in HIDDEN.items():
        assert kind in FACES
        assert set(names) < set(DEFAULT_TABLE.names)


def test_an_unknown_kind_of_face_is_refused():
    with pytest.raises(ValueError, match="kind is 'masked'"):
        visibility("smile", kind="masked")


@pytest.mark.parametrize("name", ["smile", "glasses", "hair_blond", "hat", "eyes_open"])
def test_a_few_of_them_on_one_small_face(name):
    assert visibility(name, faces=1, seed=1, size=64).holds


def test_a_change_elsewhere_is_found_out(monkeypatch):
    monkeypatch.setitem(REGIONS, "hat", REGIONS["lip_makeup"])
    found = visibility("hat", faces=1, size=64)
    assert found.inside.max() < 0.2
    assert not found.holds


def test_a_region_is_widened_and_cut_at_the_landmarks():
    mask = torch.zeros(1, 128, 128, dtype=torch.uint8)
    mask[0, 60, 60] = MASK_CLASSES.index("skin")
    points = torch.zeros(1, 68, 2)
    points[:, 30, 1] = 61.0  # the tip of the nose
    rest = torch.zeros(0)
    low = Render(mask, mask, points, rest, rest, rest)
    found = Region(("skin",), 3).mask(low, low)
    assert found.sum() == 49
    assert found[0, 57:64, 57:64].all()
    assert Region(("skin",), 3, "upper").mask(low, low).sum() == 7 * 5
    assert Region(("hair",), 3, also=(Region(("skin",), 1),)).mask(low, low).sum() == 9


def test_the_command_names_what_falls_short(capsys, monkeypatch):
    monkeypatch.setitem(REGIONS, "hat", REGIONS["lip_makeup"])
    assert main(["hat", "glasses", "--faces", "1", "--size", "32"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[1].endswith("falls short")
    assert out[-1].startswith("1 fall short: hat")
