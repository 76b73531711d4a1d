"""What is measured of a painter: overlap, likeness, edits, and what a data set notes."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
import torch

from l2l_widgets.cli import main
from l2l_widgets.evaluation.painting import (
    PER_FACE,
    Annotations,
    PaintJudges,
    face_iou,
    graft,
    grafts,
    judges_of,
    moved_masks,
    same_person,
    score_painting,
    share_of,
)
from l2l_widgets.evaluation.painting_report import compare_painting
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.maskgan import MaskGAN
from l2l_widgets.maskgan.mask_vae import MaskVAE, MaskVAEConfig
from l2l_widgets.masks import class_index, one_hot, resize_mask
from l2l_widgets.painting import PaintSession
from l2l_widgets.perception import AttributeNet
from l2l_widgets.recipes import DEFAULT_WEIGHTS
from l2l_widgets.recipes.mask_scores import LIGHT_AND_COLOUR, identity_shares
from l2l_widgets.recipes.rendered import factors_of_set

#: Of the weights that are shipped; it knows masks and draws nothing.
VAE = str(DEFAULT_WEIGHTS / "mask_vae.safetensors")


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(8, seed=3), 32)


def test_a_graft_takes_the_donors_part_and_no_other(faces):
    own, donor = faces.mask[0], faces.mask[1]
    hair = class_index("hair")
    out = graft(own, donor, ("hair",))
    assert torch.equal(out == hair, donor == hair)
    untouched = (own != hair) & (donor != hair)
    assert torch.equal(out[untouched], own[untouched])


def test_overlap_is_one_for_equals_and_counts_small_classes():
    mask = torch.zeros(1, 4, 4, dtype=torch.uint8)
    mask[0, 0, 0] = 3
    assert face_iou(mask, mask).tolist() == [1.0]
    blind = torch.zeros_like(mask)
    assert face_iou(mask, blind)[0] == pytest.approx((15 / 16 + 0) / 2)


class _Elsewhere(torch.nn.Module):
    """A parser whose weights lie on another device than the processor's memory."""

    def __init__(self, answer):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))
        self.answer = answer

    def forward(self, images):
        assert images.device == self.weight.device, "torch would refuse pictures of another"
        return self.answer


def test_a_parser_that_lies_on_a_card_gets_its_pictures_there(faces):
    found = PaintSession(None, faces.image[0], parser=_Elsewhere(faces.mask[:1]))
    assert torch.equal(found.original, faces.mask[0])
    found.close()


def test_judges_that_lie_on_a_card_get_their_pictures_there(faces):
    class Judge(AttributeNet):
        def forward(self, images):
            assert images.device.type == "meta"
            return torch.ones(len(images), 2)

        def features(self, images):
            assert images.device.type == "meta"
            return torch.zeros(len(images), 8)

    def identity(images):
        assert images.device.type == "meta"
        return torch.zeros(len(images), 3)

    models = SimpleNamespace(
        device="meta", table=SimpleNamespace(names=("a", "b")), identity_judge=identity,
        attribute_judge=Judge(("a", "b"), width=4, features=8), has=lambda part: True,
    )  # fmt: skip
    judges = judges_of(models, _Elsewhere(faces.mask))
    assert torch.equal(judges.parser(faces.image), faces.mask)
    assert judges.attributes(faces.image).shape == (8, 2)
    assert judges.identity(faces.image).shape == (8, 3)
    assert judges.features(faces.image).shape == (8, 8)
    assert judges.names == ("a", "b")
    models.attribute_judge = identity
    assert judges_of(models, identity) is None, "another's judge has no features of ours"


def test_a_share_of_two_means_has_an_interval():
    generator = torch.Generator().manual_seed(0)
    part, whole = (torch.rand(200, generator=generator) * 0.2 + x for x in (0.7, 0.8))
    share, low, high = share_of(part, whole)
    assert low < share < high
    assert share == pytest.approx(float(part.mean() / whole.mean()))
    assert high - low < 0.03
    one = torch.eye(3)[[0, 1, 2]]
    likeness = same_person(
        lambda x: x[:, :, 0, 0], one[:, :, None, None], one[[0, 2, 2], :, None, None]
    )
    assert likeness.tolist() == [1, 0, 1]


def test_every_edit_is_one(faces):
    bare = faces.mask.clone()
    bare[bare == class_index("eye_g")] = class_index("skin")
    asked, donors, kinds = grafts(bare)
    assert bool((asked != bare).flatten(1).any(1).all()), "nobody has glasses to give"
    assert set(kinds.tolist()) == {0, 1}
    bare[5] = torch.where(bare[5] == class_index("nose"), class_index("eye_g"), bare[5])
    asked, donors, kinds = grafts(bare)
    given = (kinds == 2).nonzero()[:, 0]
    assert given.tolist() == [2, 5], "every third, from the one who wears them, or taken off"
    assert donors[given].tolist() == [5, 6]
    assert bool((asked[2] == class_index("eye_g")).any())
    assert not bool((asked[5] == class_index("eye_g")).any())
    alike = bare[:1].repeat(4, 1, 1)
    assert torch.equal(grafts(alike)[0], alike), "no other face could change anything"


class _Perfect:
    """Stands where the network does, and gives the asked mask as colours that a parser reads."""

    def __init__(self, share):
        self.share = share  # of the rows that obey the mask

    def paint(self, image, mask, image_mask):
        rows = int(self.share * mask.shape[-1])
        seen = torch.where(torch.arange(mask.shape[-1])[:, None] < rows, mask, image_mask)
        return (seen[:, None].float() / 9 - 1).repeat(1, 3, 1, 1)


def test_masks_are_moved_towards_the_next_and_as_far_away(faces):
    vae = MaskGAN.load(VAE).vae
    masks = torch.stack([resize_mask(mask, vae.config.resolution) for mask in faces.mask])
    with torch.no_grad():
        codes = vae.encode(one_hot(masks))[0]
        wanted = vae.decode(codes + (codes.roll(-1, 0) - codes) / 2.5).argmax(1)
    towards, away = moved_masks(vae, masks)
    assert torch.equal(towards.long(), wanted)
    assert towards.dtype == torch.uint8
    assert not torch.equal(towards, away)
    alike = masks[:1].expand(4, -1, -1)
    towards, away = moved_masks(vae, alike)
    assert torch.equal(towards, away), "the way to a mask like one's own has no length"


def test_scores_see_who_obeys_and_by_how_much(faces):
    images = (faces.mask[:, None].float() / 9 - 1).repeat(1, 3, 1, 1)
    judges = PaintJudges(
        parser=lambda x: ((x[:, 0] + 1) * 9).round().to(torch.uint8),
        attributes=lambda x: (x.flatten(2).mean(2) + 1) / 2,
        identity=lambda x: torch.nn.functional.normalize(x.flatten(1), dim=1),
        features=lambda x: x.flatten(1)[:, ::400],
        names=("glasses", "smile", "hair_length"),
    )
    vae = MaskVAE(MaskVAEConfig.scaled(faces.mask.shape[-1])).eval()
    scores = {
        name: score_painting(_Perfect(share), images, faces.mask, judges, vae)
        for name, share in (("whole", 1.0), ("half", 0.5))
    }
    whole = scores["whole"]
    assert set(whole["means"]) == set(PER_FACE) - {"own_annotated", "true_annotated"}
    assert whole["means"]["moved_iou"] == 1, "it obeys masks that are moved as well"
    assert scores["half"]["means"]["moved_iou"] < 1
    alone = score_painting(_Perfect(1.0), images, faces.mask, judges)["means"]
    assert set(whole["means"]) - set(alone) == {"moved_iou", "moved_iou_asked", "moved_identity"}
    assert whole["means"]["own_iou"] == whole["means"]["edited_iou"] == 1
    assert whole["means"]["own_identity"] == pytest.approx(1, abs=1e-5)
    assert whole["frechet"]["frechet_own"] == pytest.approx(whole["frechet"]["frechet_halves"])
    assert whole["frechet"]["frechet_share"] == [1, 1, 1], "to the pixel: as far as chance alone"
    assert whole["means"]["changed_outside_kept"] == 0
    assert whole["frechet_sets"][0] == 4
    assert 0 <= whole["asked_faces"] <= 8
    if whole["asked_faces"] > 1:
        assert whole["asked_attributes"][1] <= whole["asked_attributes"][0]
    gap = compare_painting(scores, "whole")["half"]
    assert gap["own_iou"][0] == 0
    mean, low, _ = gap["edited_iou"]
    assert mean > 0
    assert low > 0, "the whole is better on edited masks, and the interval says so"
    with pytest.raises(ValueError, match="there are 3 pictures"):
        score_painting(_Perfect(1.0), images[:3], faces.mask[:3], judges)


def test_a_class_that_nobody_asked_for_counts_as_0():
    asked = torch.zeros(1, 4, 4, dtype=torch.uint8)
    asked[0, 0, 0] = 3
    seen = asked.clone()
    seen[0, 3, 3] = 5
    there = (14 / 15 + 1) / 2
    assert face_iou(asked, seen, uninvited=False)[0] == pytest.approx(there)
    assert face_iou(asked, seen)[0] == pytest.approx(there * 2 / 3), "the third class is not asked"
    assert face_iou(seen, asked)[0] == face_iou(asked, seen)[0]


def test_notes_are_held_against_readings_from_their_own_side():
    notes = Annotations(
        (2, 0), torch.tensor([0.5, 0.3]), torch.tensor([False, True]),
        torch.tensor([[True, True], [False, False], [True, False]]),
    )  # fmt: skip
    readings = torch.tensor([[0.2, 9.0, 0.6], [0.2, 9.0, 0.6]])
    assert notes.agree(readings, torch.tensor([0, 1])).tolist() == [1, 0]
    assert notes.agree(readings[:1], torch.tensor([2])).tolist() == [0.5], "0.2 is less than 0.3"


def test_other_light_and_colours_leave_the_mask_and_the_person():
    rows = torch.tensor([12284, 8, 12288 - 1])
    factors = factors_of_set("identities", rows)
    again = factors_of_set("identities", rows.flip(0))
    assert torch.equal(again.latents, factors.latents.flip(0))
    lit = factors.replace(**{name: factors.column(name).flip(0) for name in LIGHT_AND_COLOUR})
    before, after = render(factors, 32), render(lit, 32)
    assert torch.equal(before.mask, after.mask)
    assert torch.equal(factors.identity(), lit.identity())
    assert torch.equal(factors.attributes(), lit.attributes())
    assert float((before.image - after.image).abs().mean()) > 0.05


def test_the_share_of_either_measure_is_of_its_own_pairs():
    rows = [{"own_identity": 0.6}, {"own_identity": 0.8}]
    found = identity_shares(rows, {"else_different": [0.5, 0.5], "same_mask": [1.0, 0.75]})
    assert found["identity_share"][0] == pytest.approx(1.4)
    assert found["identity_share_same_mask"][0] == pytest.approx(0.8)


@pytest.mark.filterwarnings("default")
def test_a_folders_own_notes_are_held_against_what_is_drawn(tmp_path, capsys):
    from l2l_widgets.faceworld.celebamask import LayoutConfig
    from l2l_widgets.faceworld.layout_run import write_layout

    folder, out = tmp_path / "hq", tmp_path / "r"
    write_layout(folder, LayoutConfig(seed=1, size=64), 6)
    words = ["paint-scores", "--faces", "6", "--data", str(folder), "--out", str(out)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "learned from renders" not in said.err, "these are renders"
    (row,) = [x for x in (out / "table.csv").read_text().splitlines() if "true_annotated" in x]
    assert float(row.split(",")[2]) > 0.8, "the judge reads renders as they are noted"
    # as the real data set has it: no sign of having been rendered, and a table with gaps
    (folder / "render.json").unlink()
    table = folder / "CelebAMask-HQ-attribute-anno.txt"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]) + "\n")
    shutil.rmtree(out)
    assert main(words) == 0
    said = capsys.readouterr()
    assert "parser learned from renders alone" in said.err
    assert "says nothing of picture 5" in said.err
    assert "annotated" not in (out / "table.csv").read_text()
