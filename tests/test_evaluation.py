"""The evaluation finds a perfect editor perfect, an idle one idle, and writes what it found."""

from __future__ import annotations

import json
import re

import pytest
import torch
from open_world import A, Knows, Moves, OpenWorld, Reads, open_models

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeRequestError
from l2l_widgets.cli import main
from l2l_widgets.cli.evaluate_text import requested_lines
from l2l_widgets.evaluation import choose_requests, evaluate
from l2l_widgets.evaluation.report import FIRST_FACE, Protocol
from l2l_widgets.faceworld import sample_factors
from l2l_widgets.faceworld.truth import rerendered_pairs, with_attribute
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession


@pytest.fixture
def world():
    return open_models()


PROTOCOL = Protocol(attributes=("age", "beard"), faces=40, batch=16, draws=50)


def test_known_editors_get_the_numbers_they_deserve(world) -> None:
    editors = {
        "perfect": Moves(),
        "idle": Moves(reach=0.0),
        "weak": Moves(reach=0.5),
        "leaks": Moves(leak=0.5),
        "backwards": Moves(reach=-1.0),
    }
    report = evaluate(world, editors, PROTOCOL)
    rows = {row["method"]: row for row in report.methods}
    achieved = {name: row["achieved_median"] for name, row in rows.items()}
    assert achieved == pytest.approx(
        {"perfect": 1.0, "idle": 0.0, "weak": 0.5, "leaks": 1.0, "backwards": -1.0}, abs=1e-3
    )
    assert rows["perfect"]["others_mean"] == pytest.approx(0, abs=1e-4)
    table = requested_lines(report)
    weak = next(r for r in report.attributes if (r["method"], r["attribute"]) == ("weak", "beard"))
    line = next(line for line in table if re.match("weak +beard ", line))
    for name, digits in (("achieved_median", 2), ("others_mean", 3), ("identity_similarity", 2)):
        low, high = (f"{weak[f'{name}_{end}']:.{digits}f}" for end in ("low", "high"))
        assert f" {weak[name]:.{digits}f} [{low}, {high}] " in line
    assert "95 % of the bootstrap" in " ".join(table)
    assert rows["leaks"]["others_mean"] == pytest.approx(0.15, abs=1e-3)
    assert rows["leaks"]["others_mean_low"] <= 0.15 <= rows["leaks"]["others_mean_high"] + 1e-3
    assert rows["perfect"]["reached_half_score"] == 1
    assert rows["idle"]["reached_half_score"] == 0
    assert rows["perfect"]["cycle_error_mean"] == pytest.approx(0, abs=1e-4)
    assert rows["perfect"]["null_error"] < 1e-4
    assert rows["perfect"]["identity_similarity"] == pytest.approx(1, abs=1e-3)
    # nobody gave the truth, so identity is a cosine and is not placed
    assert rows["perfect"]["identity_placement_score"] is None
    assert rows["perfect"]["milliseconds_per_edit"] > 0


def test_identity_is_placed_between_two_people_and_the_truth(world) -> None:
    draw = torch.Generator().manual_seed(0)
    person = torch.rand(64, 3, 6, 6, generator=draw)
    slightly = person.clone()
    slightly[..., 5, 5] += 0.02  # the true change turns the embedding by 0.4 radian

    def truth(name, request, seed):
        return None if name == "beard" else (person, slightly)

    editors = {"kept": Moves(), "as_true": Moves(person=0.02 / 0.3), "lost": Moves(person=5.0)}
    report = evaluate(world, editors, PROTOCOL, truth=truth)
    placed = {
        (row["method"], row["attribute"]): row["identity_placement_score"]
        for row in report.attributes
    }
    assert placed["kept", "age"] > 1  # the truth itself disturbs this embedder a little
    assert placed["as_true", "age"] == pytest.approx(1, abs=1e-2)
    assert placed["lost", "age"] < 0.5
    assert placed["kept", "beard"] is None


def test_the_identity_scale_starts_at_whichever_people_are_more_alike(world) -> None:
    draw = torch.Generator().manual_seed(0)
    alike = torch.rand(1, 3, 6, 6, generator=draw).expand(64, -1, -1, -1)
    different = torch.rand(64, 3, 6, 6, generator=draw)
    starts = []
    for people in (alike, different):
        report = evaluate(
            world, {"kept": Moves()}, PROTOCOL, truth=lambda *_, p=people: (p, p.clone())
        )
        anchors = report.provenance["identity_anchors"]
        assert all(v >= anchors["different_generated"] for v in anchors["different"].values())
        starts.append(max(anchors["different"].values()))
    assert starts[0] == pytest.approx(1.0, abs=1e-5)
    assert starts[1] < 0.9


def test_directions_have_room_by_both_readers() -> None:
    judge = torch.tensor([0.1, 0.9, 0.5, 0.05, 0.8])
    ensemble = torch.tensor([0.2, 0.95, 0.5, 0.9, 0.5])
    asked = choose_requests(judge, ensemble, 0.3, torch.Generator().manual_seed(0))
    assert asked[0].item() == pytest.approx(0.3)
    assert asked[1].item() == pytest.approx(-0.3)
    assert abs(asked[2].item()) == pytest.approx(0.3)
    assert torch.isnan(asked[3])  # the readers disagree: neither direction has room by both
    assert asked[4].item() == pytest.approx(-0.3)
    many = choose_requests(*torch.full((2, 400), 0.5), 0.3, torch.Generator().manual_seed(1))
    assert 150 < int((many > 0).sum()) < 250


def test_the_summary_holds_what_was_measured(world) -> None:
    report = evaluate(world, {"perfect": Moves()}, PROTOCOL)
    found = json.loads(json.dumps(report.summary()))
    assert found["format"] == "l2l-evaluation/1"
    assert found["protocol"]["faces"] == 40
    assert found["judges"] == {"attribute": "attribute_judge", "identity": "identity_judge"}
    assert set(found["hashes"]) >= {"generator", "attribute_judge"}
    columns = ("method", "attribute", "face", "requested", "reader", "quantity", "value")
    rows = [dict(zip(columns, row, strict=True)) for row in report.measurements]
    achieved = [r for r in rows if r["quantity"] == "achieved" and r["reader"] == "judge"]
    expected = sum(row["faces"] for row in report.attributes)
    assert len(achieved) == expected > 0
    assert int(achieved[0]["face"]) >= FIRST_FACE
    assert all(abs(float(r["value"]) - 1) < 1e-3 for r in achieved)
    assert [row["attribute"] for row in found["attributes"]] == ["age", "beard"]


def test_a_measured_edit_carries_what_a_sessions_does_also_while_it_is_timed() -> None:
    """A session asks with one regressor's readings; the mean of all corrects other targets."""

    class Half(Reads):
        def __call__(self, images):
            return 0.5 * super().__call__(images)

    class Heard(Moves):
        def __init__(self):
            super().__init__()
            self.requests = []

        def edit(self, w, request):
            self.requests.append((w, request))
            return super().edit(w, request)

    editor, one = Heard(), Half()
    models = Models.from_parts(
        OpenWorld(), regressor=one, regressors=[one, Reads()], embedder=Knows(),
        attribute_judge=Reads(), editors={"heard": editor}, name="open",
    )  # fmt: skip
    session = EditSession(models, method="heard", seed=FIRST_FACE, truncation_psi=0.7)
    session.set_changes({"age": 0.1})
    assert session.render().error is None
    ((w, of_session),) = editor.requests
    editor.requests.clear()
    evaluate(models, {"heard": editor}, PROTOCOL)
    carried = [(w, request) for w, request in editor.requests if request.current is not None]
    assert carried
    for latents, request in carried:
        assert torch.allclose(request.current, 0.5 * latents[:, 0, :A], atol=1e-6)
    assert torch.allclose(of_session.current, 0.5 * w[:, 0, :A], atol=1e-6)
    timed = [request for latents, request in carried if request.changes == {"age": 0.3}]
    assert len([r for r in timed if len(r.current) == 1]) >= 50, "timed without the correction"


def test_equal_seeds_give_equal_numbers_and_others_other_faces(world) -> None:
    def numbers(protocol):
        report = evaluate(world, {"weak": Moves(reach=0.5)}, protocol)
        return report.measurements

    again = Protocol(attributes=("age",), faces=10, draws=10)
    assert numbers(again) == numbers(again)
    other = Protocol(attributes=("age",), faces=10, draws=10, seed=1)
    assert not {row[2] for row in numbers(again)} & {row[2] for row in numbers(other)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"faces": 1}, "faces is 1; allowed"),
        ({"seed": 1000}, "seed is 1000"),
        ({"request": 0.6}, "request is 0.6; allowed: above 0, at most 0.5"),
        ({"truncation_psi": float("nan")}, "truncation_psi is nan"),
        ({"attributes": ("age", "age")}, "repeat a name"),
    ],
)
def test_a_protocol_out_of_range_is_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        Protocol(**change)


def test_what_an_editor_cannot_change_is_refused(world) -> None:
    editor = Moves()
    editor.attributes = ("age",)
    with pytest.raises(AttributeRequestError, match="'only' cannot change 'beard'; allowed: age"):
        evaluate(world, {"only": editor}, PROTOCOL)
    with pytest.raises(AttributeRequestError, match="'agee' is unknown; did you mean age"):
        evaluate(world, {"x": Moves()}, Protocol(attributes=("agee",)))


# -- the truth of faceworld -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["age", "smile", "glasses", "yaw", "hair_brown", "happiness"])
def test_a_true_change_changes_that_attribute_to_the_target(name) -> None:
    people = sample_factors(40, 3)
    column = DEFAULT_TABLE.index(name)
    current = people.attributes()[:, column]
    target = torch.where(current < 0.5, current + 0.3, current - 0.3)
    changed, reached = with_attribute(people, name, target)
    close = (reached - target).abs() < 0.02
    assert close.float().mean() > (0.5 if name == "hair_brown" else 0.9)
    assert torch.equal(changed.identity(), people.identity())


def test_pairs_are_the_same_people_and_the_pictures_differ() -> None:
    less, more = rerendered_pairs("smile", 0.3, 3, 5, 16)
    assert less.shape == more.shape == (len(less), 3, 16, 16)
    assert 0 < (less - more).abs().mean() < 0.2
    again, _ = rerendered_pairs("smile", 0.3, 3, 5, 16)
    assert torch.equal(less, again)


def test_the_second_picture_has_more_of_the_attribute_whichever_was_sampled() -> None:
    current = sample_factors(16, 6).attributes()[:, DEFAULT_TABLE.index("hair_grey")]
    falls = current + 0.5 > 1
    assert 0 < int(falls.sum()) < 16  # those were sampled with the grey hair
    less, more = rerendered_pairs("hair_grey", 0.5, 16, 6, 16)
    assert len(less) == 16
    paler = (more - less).flatten(1).mean(dim=1)
    assert float(paler.min()) > 0


# -- the command line -----------------------------------------------------------------------------


def test_evaluate_on_the_command_line(tiny_world, tmp_path, capsys) -> None:
    words = [
        "evaluate", "--generator", str(tiny_world), "--attributes", "smile,age", "--faces", "6",
        "--positions", "3", "--out", str(tmp_path / "report"), "--json",
    ]  # fmt: skip
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert [row["attribute"] for row in shown["attributes"]] == ["smile", "age"]
    assert (tmp_path / "report" / "measurements.csv").is_file()
    # a report is never overwritten
    assert main(words) == 2
    assert "holds a report already" in capsys.readouterr().err


def test_bad_words_are_one_line_and_exit_2(tiny_world, tmp_path, capsys) -> None:
    base = ["evaluate", "--generator", str(tiny_world), "--out", str(tmp_path / "r")]
    for words, message in (
        (["--attributes", "smil"], "did you mean smile"),
        (["--methods", "magic"], "--methods is 'magic'"),
        (["--faces", "1"], "--faces is '1'"),
        (["--request", "0"], "--request is '0'"),
    ):
        assert main([*base, *words]) == 2
        error = capsys.readouterr().err.strip()
        assert message in error
        assert error.count("\n") == 0
    assert not (tmp_path / "r").exists()
