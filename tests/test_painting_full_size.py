"""A kept outside is that of the photo, at its own size: not the painter's few pixels, enlarged."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image

from l2l_widgets.cli import main
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.images import load_image, load_whole, read_png_text, to_pil
from l2l_widgets.maskgan import DenseMappingNetwork, MappingConfig, MaskGAN
from l2l_widgets.masks import class_index, encode_mask, read_mask
from l2l_widgets.painting import PaintError, PaintSession, read_paint_recipe
from l2l_widgets.painting.recipe import RECIPE

CHAIN = class_index("neck_l")
#: Of the photo: wider than high, and no multiple of the painter's side.
WIDTH, HEIGHT = 300, 220


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(2, seed=3), 32)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MaskGAN(DenseMappingNetwork(MappingConfig(32, 4, 2, 2, 4, 1))).eval()


def photo_of(image, orientation=1):
    """A face in the middle of a larger picture with grain that no painter draws."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 60, (HEIGHT, WIDTH, 3), generator=generator, dtype=torch.uint8)
    whole = Image.fromarray(pixels.numpy())
    face = to_pil(image).resize((HEIGHT, HEIGHT), Image.Resampling.BICUBIC)
    grain = whole.crop(((WIDTH - HEIGHT) // 2, 0, (WIDTH + HEIGHT) // 2, HEIGHT))
    whole.paste(Image.blend(face, grain, 0.2), ((WIDTH - HEIGHT) // 2, 0))
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    turned = whole.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else whole
    turned.save(stream, format="PNG", exif=exif)
    return stream.getvalue()


@pytest.fixture
def session(model, faces):
    photo = photo_of(faces.image[0])
    image = load_image(photo, 32)[0]
    session = PaintSession(model, image, faces.mask[0], photo=photo)
    yield session
    session.close()


PAINTED = {"kind": "brush", "class": CHAIN, "size": 4, "points": [[10, 4], [22, 4]]}


def test_outside_what_was_painted_the_photo_is_kept_to_the_last_bit(session, tmp_path):
    whole = load_whole(session.photo)
    session.apply(PAINTED)
    session.save(tmp_path / "anew.png")
    assert load_whole(tmp_path / "anew.png").shape == (3, 512, 512), "the face, all drawn anew"
    session.keep_outside(feather=2)
    session.save(tmp_path / "kept.png")
    kept = load_whole(tmp_path / "kept.png")
    assert kept.shape == (3, HEIGHT, WIDTH)
    changed = (kept != whole).any(0)
    rows, columns = changed.nonzero(as_tuple=True)
    step, left = HEIGHT / 32, (WIDTH - HEIGHT) / 2
    # the stroke's pixels, two around it that belong to the region, and the feather
    reach = 2 + 2 + 3.5
    assert rows.max() <= (4 + reach) * step
    assert (10 - reach) * step <= columns.min() - left
    assert columns.max() - left <= (22 + reach) * step
    inside = kept[:, int(3.5 * step), int(left + 12 * step) : int(left + 20 * step)]
    drawn = load_whole(tmp_path / "anew.png")[:, int(3.5 * 16), 12 * 16 : 20 * 16]
    apart = (inside.float().mean(1) - drawn.float().mean(1)).abs()
    assert apart.max() < 6, "inside stands what the painter drew"
    assert changed[int(3.5 * step), int(left + 12 * step) : int(left + 20 * step)].all()


def test_a_kept_outside_without_an_edit_is_the_photo(session, tmp_path):
    session.keep_outside()
    session.save(tmp_path / "same.png")
    assert torch.equal(load_whole(tmp_path / "same.png"), load_whole(session.photo))


def test_the_recipe_says_the_size_and_has_no_photo_in_it(session, model, tmp_path):
    session.apply(PAINTED)
    session.keep_outside()
    session.save(tmp_path / "kept.png")
    recipe = read_paint_recipe(tmp_path / "kept.png")
    assert recipe["photo"] == [WIDTH, HEIGHT]
    assert len(read_png_text(tmp_path / "kept.png")[RECIPE]) < len(session.photo) / 4
    again = PaintSession.from_recipe(model, recipe)
    assert torch.equal(again.render().image, session.render().image)
    assert again.photo is None
    again.close()


@pytest.mark.parametrize("orientation", [1, 6])
def test_an_opened_photo_is_kept_upright_and_undo_comes_back_to_the_one_before(
    model, faces, tmp_path, orientation
):
    session = PaintSession(model, faces.image[1], faces.mask[1])
    session.parser = lambda images: faces.mask[:1]
    session.open(photo_of(faces.image[0], orientation))
    (tmp_path / "p.png").write_bytes(photo_of(faces.image[0], orientation))
    for opened in (session, PaintSession(model, faces.image[1], faces.mask[1], session.parser)):
        if opened is not session:
            opened.open(tmp_path / "p.png")
        opened.keep_outside()
        opened.save(tmp_path / "kept.png")
        assert load_whole(tmp_path / "kept.png").shape == (3, HEIGHT, WIDTH)
    session.undo()
    session.undo()
    session.keep_outside()
    session.save(tmp_path / "before.png")
    assert load_whole(tmp_path / "before.png").shape == (3, 512, 512)
    with pytest.raises(PaintError, match="photo is str; allowed: the bytes of a picture file"):
        PaintSession(model, faces.image[0], faces.mask[0], photo="a.png")


def test_a_photo_is_painted_from_the_command_line_at_its_own_size(faces, tmp_path, capsys):
    photo, mask, out = tmp_path / "photo.png", tmp_path / "mask.png", tmp_path / "glasses.png"
    photo.write_bytes(photo_of(render(sample_factors(1, seed=3), 128).image[0]))
    words = ["paint", "--image", str(photo)]
    assert main([*words, "--read-mask", "--out", str(mask)]) == 0
    own = read_mask(mask)
    own[26:34, 20:44] = class_index("eye_g")
    mask.write_bytes(encode_mask(own))
    words += ["--mask", str(mask), "--keep-outside", "--out", str(out)]
    assert main(words) == 0
    whole, kept = load_whole(photo), load_whole(out)
    assert kept.shape == whole.shape
    changed = (kept != whole).any(0).float().mean()
    assert 0.02 < changed < 0.2
    capsys.readouterr()
    assert main(["paint", "--replay", str(out), "--out", str(tmp_path / "again.png")]) == 0
    assert "around the face is not in the recipe: this is the face" in capsys.readouterr().out
    assert load_whole(tmp_path / "again.png").shape == (3, 512, 512)
