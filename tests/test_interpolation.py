"""Walks between faces: the latents, the pictures, what the judges see, and the files."""

from __future__ import annotations

import builtins
import json

import pytest
import torch
from conftest import LinearEditor, build_directions
from PIL import Image

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli import main
from l2l_widgets.films import FilmWriter
from l2l_widgets.latents import slerp, z_from_seed
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.replay import RecipeError
from l2l_widgets.walks.files import parse_walk, read_walk, save_walk, walk_recipe
from l2l_widgets.walks.interpolation import Interpolator, Walk, mix_rows, row_numbers


@pytest.fixture
def walker(tiny_models):
    return Interpolator(tiny_models)


def w_of(models, seed, psi=0.7):
    z = z_from_seed(seed, models.generator.z_dim)
    return models.generator.mapping(z, truncation_psi=psi)[0]


def test_the_ends_are_the_faces_of_a_session(walker, tiny_models):
    session = EditSession(tiny_models, method="linear", seed=3)
    for space in ("z", "w", "w+"):
        strip = walker.draw(Walk((3, 8), space=space, frames=5))
        for frame, seed in ((0, 3), (-1, 8)):
            session.set_seed(seed)
            assert torch.equal(strip.images[frame], session.render().before), (space, seed)


def test_z_walks_the_great_circle_and_then_maps(walker, tiny_models):
    strip = walker.draw(Walk((3, 8), space="z", frames=3))
    z = slerp(z_from_seed(3, 16), z_from_seed(8, 16), 0.5)
    expected = tiny_models.generator.mapping(z, truncation_psi=0.7)[0]
    assert torch.allclose(strip.ws[1], expected, atol=1e-6)
    straight = walker.draw(Walk((3, 8), space="w", frames=3)).ws[1]
    assert not torch.allclose(strip.ws[1], straight, atol=1e-3)


def test_w_is_the_straight_line_and_the_arc_turns_around_the_average(walker, tiny_models):
    a, b = w_of(tiny_models, 3), w_of(tiny_models, 8)
    line = walker.draw(Walk((3, 8), frames=5)).ws
    assert torch.allclose(line[1], 0.75 * a + 0.25 * b, atol=1e-6)
    arc = walker.draw(Walk((3, 8), curve="slerp", frames=3)).ws[1]
    centre = tiny_models.generator.w_avg
    lengths = [float((w[0] - centre).norm()) for w in (a, arc, b)]
    assert lengths[1] == pytest.approx((lengths[0] + lengths[2]) / 2, rel=1e-4)


def test_only_chosen_rows_walk(walker, tiny_models):
    strip = walker.draw(Walk((3, 8), space="w+", rows="coarse", frames=4))
    a, b = w_of(tiny_models, 3), w_of(tiny_models, 8)
    assert torch.equal(strip.ws[-1, :4], b[:4])
    assert torch.equal(strip.ws[-1, 4:], a[4:])
    assert torch.equal(strip.ws[-1], mix_rows(a, b, "coarse"))
    numbers = walker.draw(Walk((3, 8), space="w+", rows="0-3", frames=4))
    assert torch.equal(numbers.images, strip.images)


def test_a_walk_through_several_faces_meets_each(walker, tiny_models):
    strip = walker.draw(Walk((3, 8, 5), frames=5))
    for frame, seed in ((0, 3), (2, 8), (4, 5)):
        assert torch.equal(strip.ws[frame], w_of(tiny_models, seed))


def test_an_attribute_is_swept_as_far_as_was_asked(walker, tiny_models):
    strip = walker.strip(Walk((3,), kind="attribute", attribute="smile", span=(0.2, 0.9), frames=4))
    own = tiny_models.regressor(walker.draw(Walk((3, 3), frames=2)).images[:1])
    column = DEFAULT_TABLE.index("smile")
    directions = tiny_models.editor("linear").directions
    for w, value in zip(strip.ws, strip.asked(), strict=True):
        expected = w_of(tiny_models, 3) + (value - float(own[0, column])) * directions[column]
        assert torch.allclose(w, expected, atol=1e-5)
    assert strip.asked() == pytest.approx([0.2, 0.2 + 0.7 / 3, 0.2 + 1.4 / 3, 0.9])
    assert strip.walk.method == "linear"


def test_without_a_span_the_editors_reach_decides(tiny_parts):
    editor = LinearEditor(build_directions())
    editor.reach = lambda name: (0.05, 0.1)
    walker = Interpolator(Models.from_parts(**tiny_parts, editors={"linear": editor}))
    strip = walker.draw(Walk((3,), kind="attribute", attribute="age", frames=3))
    low, high = strip.walk.span
    assert high - low == pytest.approx(0.15, abs=1e-6)


def test_an_identity_walk_is_nearer_to_the_first_faces_attributes(tiny_parts, tiny_generator):
    """With an editor that is exact for the regressor, holding must pay; measured by the same."""

    class Regressor:
        attributes = DEFAULT_TABLE.names

        def __call__(self, images):
            level = images.mean(dim=(1, 2, 3))  # one number decides all attributes
            return torch.sigmoid(level)[:, None].expand(-1, len(DEFAULT_TABLE)).clone()

    class Editor:
        name, space, can_preserve, attributes = "brighten", "w", False, ("age",)

        def edit(self, w, request):
            # up the gradient of brightness, as far as it takes
            deltas = request.deltas(DEFAULT_TABLE)[:, DEFAULT_TABLE.index("age")]
            with torch.inference_mode(False), torch.enable_grad():
                start = w.clone().requires_grad_()
                bright = tiny_generator.synthesis(start).mean(dim=(1, 2, 3)).sum()
                slope = torch.autograd.grad(bright, start)[0]
            size = slope.flatten(1).square().sum(1).clamp_min(1e-9)
            return w + (4 * deltas / size)[:, None, None] * slope

    models = Models.from_parts(
        **{**tiny_parts, "regressor": Regressor(), "attribute_judge": Regressor()},
        editors={"brighten": Editor()},
    )
    strip = Interpolator(models).strip(Walk((3, 8), kind="identity", frames=4))
    held, plain = strip.curves.readings, strip.curves.plain
    column = DEFAULT_TABLE.index("age")
    off = (held[:, column] - held[0, column]).abs()
    free = (plain[:, column] - plain[0, column]).abs()
    assert off.max() < 0.5 * free.max()
    assert torch.equal(strip.ws[0], strip.plain[0])
    assert strip.walk.hold == ("age",)
    assert any("without holding" in line for line in strip.sentences(DEFAULT_TABLE))
    # the other identity is that of the face itself, not of the frame that was made of it
    with torch.inference_mode():
        other = models.generator.synthesis(w_of(models, 8)[None])
        judge = models.identity_judge
        expected = float(judge(strip.images[-1:])[0] @ judge(other)[0])
    assert strip.curves.to_last[-1] == pytest.approx(expected, abs=1e-5)


def test_an_identity_walk_stays_where_faces_are(tiny_parts, tiny_generator):
    """An editor that runs away, and a regressor that likes it, must not leave the cloud of W."""

    class Regressor:
        attributes = DEFAULT_TABLE.names

        def __call__(self, images):
            level = images.flatten(1).std(1)  # the wilder the picture, the lower
            return torch.exp(-level)[:, None].expand(-1, len(DEFAULT_TABLE)).clone()

    class Editor:
        name, space, can_preserve, attributes = "runaway", "w", False, ("age",)

        def edit(self, w, request):
            deltas = request.deltas(DEFAULT_TABLE)[:, DEFAULT_TABLE.index("age")]
            return w + 1e3 * deltas[:, None, None] * torch.ones_like(w)

    models = Models.from_parts(
        **{**tiny_parts, "regressor": Regressor()}, editors={"runaway": Editor()}
    )
    walker = Interpolator(models)
    strip = walker.draw(Walk((3, 8), kind="identity", frames=4))
    z = torch.randn(3000, 16, generator=torch.Generator().manual_seed(5))
    cloud = tiny_generator.mapping(z, truncation_psi=0.7)[:, 0]
    reach = (cloud - cloud.mean(0)).norm(dim=1).max()
    assert (strip.ws - cloud.mean(0)).norm(dim=2).max() < 1.5 * reach


def test_curves_are_what_the_judges_read(walker, tiny_models):
    strip = walker.strip(Walk((3, 8), frames=4))
    curves = strip.curves
    with torch.inference_mode():
        assert torch.allclose(curves.readings, tiny_models.attribute_judge(strip.images), atol=1e-5)
        vectors = tiny_models.identity_judge(strip.images)
    assert curves.to_first == pytest.approx((vectors @ vectors[0]).tolist(), abs=1e-5)
    assert curves.to_last[-1] == pytest.approx(1, abs=1e-5)
    assert curves.kept("first")[0] == pytest.approx(1, abs=1e-5)
    assert len(curves.steps) == 3
    assert min(curves.steps) > 0
    moved = curves.readings.amax(0) - curves.readings.amin(0)
    assert curves.ranked()[0] == DEFAULT_TABLE.names[int(moved.argmax())]
    assert strip.to_text(DEFAULT_TABLE).startswith("What moved most")
    strip.to_text(DEFAULT_TABLE).encode("cp1252")  # a terminal of Windows has no more signs


def test_a_hidden_attribute_is_not_mentioned(walker):
    strip = walker.strip(Walk((3, 8), frames=3))
    most = max(
        DEFAULT_TABLE.names, key=lambda n: abs(strip.curves.of(n)[-1] - strip.curves.of(n)[0])
    )
    assert DEFAULT_TABLE[most].label in strip.to_text(DEFAULT_TABLE)
    assert DEFAULT_TABLE[most].label not in strip.to_text(DEFAULT_TABLE.hide([most]))


@pytest.mark.parametrize(
    ("walk", "said"),
    [
        (Walk((3, 8), kind="random"), "kind is 'random'"),
        (Walk((3, 8), space="s"), "space is 's'"),
        (Walk((3, 8), curve="loop"), "curve is 'loop'"),
        (Walk((3, 8), frames=1), "frames is 1"),
        (Walk((3, 8), frames=2.0), "frames is 2.0"),
        (Walk((3, 8), truncation_psi=float("nan")), "truncation_psi is nan"),
        (Walk((3,)), "two|2 to 64"),
        (Walk((3, -1)), "seed is -1"),
        (Walk((3, 8), rows="coarse"), "rows is 'coarse' in space 'w'"),
        (Walk((3, 8), space="w+", rows="7-90"), "rows is '7-90'"),
        (Walk((3, torch.full((8, 16), torch.nan))), r"faces\[1\] is a tensor"),
        (Walk((3, torch.zeros(2, 2))), r"shape \(2, 2\)"),
        (Walk((3, torch.zeros(8, 16)), space="z"), "which has no z"),
        (Walk((3, torch.rand(8, 16))), "rows of faces"),
        (Walk((3,), kind="attribute", attribute="smyle"), "did you mean smile"),
        (Walk((3,), kind="attribute", attribute="smile", span=(0.2, 1.2)), "span is"),
        (Walk((3,), kind="attribute", attribute="smile", method="magic"), "magic"),
        (Walk((3, 8), kind="identity", space="z"), "space is 'z'"),
    ],
)
def test_what_is_impossible_is_refused_by_name(walker, walk, said):
    with pytest.raises(ValueError, match=said):
        walker.draw(walk)


def test_rows_by_name_and_number():
    assert row_numbers("all", 10) == tuple(range(10))
    assert row_numbers("middle", 10) == (4, 5, 6, 7)
    assert row_numbers("0-2, 7,1", 10) == (0, 1, 2, 7)
    with pytest.raises(ValueError, match="has none of"):
        row_numbers("fine", 8)
    with pytest.raises(ValueError, match="rows is '9" + "9" * 99):
        row_numbers("9" * 100, 10)


def test_a_judge_that_gives_no_numbers_is_named(tiny_parts):
    judge = tiny_parts["attribute_judge"]

    class Broken:
        attributes = DEFAULT_TABLE.names

        def __call__(self, images):
            values = judge(images).clone()
            values[-1, 3] = float("inf")
            return values

    models = Models.from_parts(**{**tiny_parts, "attribute_judge": Broken()})
    walker = Interpolator(models)
    strip = walker.draw(Walk((3, 8), frames=4))
    with pytest.raises(ValueError, match="reads frame 4 as a number that is not finite"):
        walker.measure(strip)


def test_nobody_waits_any_more(walker):
    asked = []

    def stale():
        asked.append(1)
        return len(asked) > 3

    assert walker.draw(Walk((3, 8), frames=50), stale) is None
    assert len(asked) == 4


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "gif", "mp4"])
def test_a_file_shows_the_frames_and_its_recipe_draws_them_again(
    walker, tiny_models, tmp_path, ending
):
    walk = Walk((3, w_of(tiny_models, 8)), space="w+", rows="0-4", frames=4)
    strip = walker.draw(walk)
    path = tmp_path / "new" / f"walk.{ending}"
    recipe = save_walk(path, tiny_models, strip, scale=2, seconds=1)
    if ending == "mp4":
        import av

        with av.open(str(path)) as film:
            pictures = list(film.decode(video=0))
            assert json.loads(film.metadata["comment"]) == recipe
        assert [(p.width, p.height) for p in pictures] == [(64, 64)] * 4
        first = torch.from_numpy(pictures[0].to_ndarray(format="rgb24")).float()
        shown = strip.images[0].repeat_interleave(2, 1).repeat_interleave(2, 2)
        assert (first / 127.5 - 1 - shown.permute(1, 2, 0)).abs().mean() < 0.1
    else:
        with Image.open(path) as picture:
            assert getattr(picture, "n_frames", 1) == (4 if ending == "gif" else 1)
            assert picture.size == ((64, 64) if ending == "gif" else (2 * (4 * 33 - 1), 64))
    again = read_walk(path, tiny_models)
    assert again.key() == strip.walk.key()
    assert torch.equal(walker.draw(again).images, strip.images)


def test_there_and_back_does_not_repeat_the_ends(walker, tiny_models, tmp_path):
    strip = walker.draw(Walk((3, 8), frames=4))
    save_walk(tmp_path / "walk.gif", tiny_models, strip, scale=1, there_and_back=True)
    with Image.open(tmp_path / "walk.gif") as picture:
        assert picture.n_frames == 6


def test_without_pyav_the_extra_is_named_and_nothing_is_written(
    walker, tiny_models, tmp_path, monkeypatch
):
    strip = walker.draw(Walk((3, 8), frames=2))
    real = builtins.__import__

    def without_av(name, *args, **kwargs):
        if name == "av":
            raise ImportError("No module named 'av'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(ValueError, match=r"l2l-widgets\[video\]"):
        save_walk(tmp_path / "walk.mp4", tiny_models, strip)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "l2l-walk/9"}, "format is 'l2l-walk/9'"),
        ({"extra": 1}, "field 'extra' is unknown"),
        ({"faces": [{"seed": -4}, {"seed": 1}]}, r"faces\[0\]"),
        ({"faces": [{"seed": 3}, {"w": "AAAA", "shape": [70000, 70000]}]}, r"faces\[1\]"),
        ({"faces": [{"seed": 3}, {"w": "AAAA", "shape": [8, 16]}]}, r"faces\[1\].w"),
        ({"frames": "9"}, "frames is '9'"),
        ({"span": [0.1]}, r"span is \[0.1\]"),
        ({"truncation_psi": "0.7"}, "truncation_psi"),
        ({"models": {"name": "x", "hashes": {"generator": "0"}}}, "drawn by another generator"),
    ],
)
def test_a_strangers_recipe_is_read_as_data(tiny_models, change, said):
    recipe = walk_recipe(tiny_models, Walk((3, 8)))
    with pytest.raises(ValueError, match=said):
        parse_walk(json.dumps({**recipe, **change}), tiny_models)


def test_a_film_without_a_walk_or_cut_short_is_refused(walker, tiny_models, tmp_path):
    plain, torn = tmp_path / "plain.mp4", tmp_path / "torn.mp4"
    with FilmWriter(plain, 8) as film:
        film.write(Image.new("RGB", (32, 32)))
    with pytest.raises(RecipeError, match=r"plain\.mp4: carries no 'l2l-walk' text"):
        read_walk(plain, tiny_models)
    save_walk(torn, tiny_models, walker.draw(Walk((3, 8), frames=2)))
    torn.write_bytes(torn.read_bytes()[:200])
    with pytest.raises(RecipeError, match=r"torn\.mp4: damaged MP4"):
        read_walk(torn, tiny_models)


def test_a_picture_without_a_walk_is_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    with pytest.raises(ValueError, match="carries no 'l2l-walk'"):
        read_walk(tmp_path / "plain.png")
    (tmp_path / "text.json").write_text("[1, 2")
    with pytest.raises(ValueError, match="not JSON"):
        read_walk(tmp_path / "text.json")


@pytest.mark.parametrize("seconds", [0, float("nan"), "1", True])
def test_an_impossible_length_is_refused(walker, tiny_models, tmp_path, seconds):
    strip = walker.draw(Walk((3, 8), frames=2))
    with pytest.raises(ValueError, match="seconds is"):
        save_walk(tmp_path / "walk.gif", tiny_models, strip, seconds=seconds)
    with pytest.raises(ValueError, match="allowed endings"):
        save_walk(tmp_path / "walk.avi", tiny_models, strip)


# -- command line ----------------------------------------------------------------------------------


def test_the_command_writes_a_strip_and_says_what_moved(tiny_world, tmp_path, capsys):
    out = tmp_path / "strip.png"
    argv = ["interpolate", "--from-seed", "3", "--to-seed", "8", "--space", "z", "--frames", "4"]
    assert main([*argv, "--generator", str(tiny_world), "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["frames"] == 4
    assert len(report["attributes"]["smile"]) == 4
    assert report["identity_to_first"][0] == pytest.approx(1, abs=1e-4)
    assert report["recipe"]["curve"] == "slerp"
    again = tmp_path / "again.png"
    argv = ["interpolate", "--recipe", str(out), "--generator", str(tiny_world), "--no-curves"]
    assert main([*argv, "--out", str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("words", "side"), [([], 256), (["--size", "100"], 128), (["--scale", "1"], 32)]
)
def test_a_frame_is_large_enough_to_see(tiny_world, tmp_path, capsys, words, side):
    out = tmp_path / "strip.png"
    base = ["interpolate", "--from-seed", "3", "--to-seed", "8", "--frames", "2", "--no-curves"]
    assert main([*base, *words, "--generator", str(tiny_world), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"{out}: 2 frames of {side} pixels a side" in said
    assert ("enlarged" in said) == (side > 32)
    with Image.open(out) as picture:
        assert picture.height == side
        assert picture.width > 2 * side


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--from-seed 3 --out x.png", "--to-seed is missing"),
        ("--to-seed 3 --out x.png", "--from-seed is missing"),
        ("--from-seed 3 --to-seed 8 --out x.avi", "--out is 'x.avi'"),
        ("--from-seed 3 --to-seed 8 --frames 1 --out x.png", "--frames is '1'"),
        ("--from-seed 3 --to-seed eight --out x.png", "--to-seed is 'eight'"),
        ("--from-seed 3 --kind attribute --out x.png", "--attribute is missing"),
        ("--from-seed 3 --to-seed 8 --attribute age --out x.png", "--attribute is given"),
        ("--from-seed 3 --kind attribute --attribute age --span 1 --out x.png", "--span is '1'"),
        ("--from-seed 3 --to-seed 8 --hold age --out x.png", "--hold is given"),
    ],
)
def test_wrong_words_are_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["interpolate", *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
