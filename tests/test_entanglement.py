"""Entanglement below the widgets: planted leaks stand in exactly their cells, and can be read."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest
import torch
from editor_pages import wait_for
from leaky_world import Follows, Plants, world
from open_world import A, Moves, Reads, open_models

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.entanglement import (
    BackgroundStudy,
    LeakageStudy,
    ReportStudy,
    cell_sentences,
    measure_trajectories,
    paired_difference,
    stored_projection,
)
from l2l_widgets.evaluation import Plan, compare, write_report
from l2l_widgets.evaluation.equal_change import KNOBS
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.models.zoo import Models, load
from l2l_widgets.policy import visible_table

SMILE, AGE = DEFAULT_TABLE.index("smile"), DEFAULT_TABLE.index("age")
PROTOCOL = Protocol(attributes=("age", "beard"), faces=24, batch=24, draws=50)


@pytest.fixture(scope="module")
def study():
    study = LeakageStudy(world(plants=Plants(), follows=Follows(), perfect=Moves()), PROTOCOL)
    for method in study.methods:
        study.run(method)
    return study


def test_a_planted_leak_shows_in_exactly_that_cell(study):
    for reader in ("judge", "ensemble", "consensus"):
        assert study.matrix("plants", reader).leaks() == [("age", "smile")]
        assert study.matrix("perfect", reader).leaks() == []
    matrix = study.matrix("plants")
    assert matrix.edited == ("age", "beard")
    assert matrix.array("drift")[0, SMILE] == pytest.approx(0.2, abs=1e-3)
    follows = study.matrix("follows")
    assert follows.leaks() == [("age", "smile")]
    assert follows.array()[0, SMILE] == pytest.approx(0.2, abs=1e-3)
    assert follows.array()[0, AGE] == pytest.approx(0.3, abs=1e-3)
    rest = follows.array()[0, [i for i in range(A) if i not in (AGE, SMILE)]]
    assert rest.abs().max() < 1e-3


def test_the_interval_holds_the_mean_and_the_world_is_apart(study):
    matrix = study.matrix("follows")
    signed, low, high = (matrix.array(n) for n in ("signed", "signed_low", "signed_high"))
    assert bool(((low <= signed + 1e-6) & (signed <= high + 1e-6)).all())
    slopes = matrix.array("world")
    assert slopes[0, AGE] == pytest.approx(0.3)
    # the faces are drawn independently: what leaks here is not the world's
    assert abs(float(slopes[0, SMILE])) < 0.15
    with pytest.raises(ValueError, match="name is 'sigma'; allowed: signed, signed_low"):
        matrix.array("sigma")


def test_a_cell_is_said_in_words(study):
    leak = " ".join(cell_sentences(study.matrix("plants"), "age", "smile", DEFAULT_TABLE))
    assert "whichever way" in leak
    assert "A leak" in leak
    follows = " ".join(cell_sentences(study.matrix("follows"), "age", "smile", DEFAULT_TABLE))
    assert "Smile +20 %" in follows
    assert "The world's own slope" in follows
    clear = " ".join(cell_sentences(study.matrix("perfect"), "age", "smile", DEFAULT_TABLE))
    assert "Undecided" in clear
    own = " ".join(cell_sentences(study.matrix("perfect"), "age", "age", DEFAULT_TABLE))
    assert "is what was edited" in own
    with pytest.raises(ValueError, match=r"cell \('hat', 'age'\): it has not been measured"):
        cell_sentences(study.matrix("perfect"), "hat", "age", DEFAULT_TABLE)


def test_the_stamp_says_preview_below_a_thousand_faces(study):
    stamp = study.matrix("plants").stamp()
    assert stamp.startswith("PREVIEW, n = 24 faces, face seed 0")
    assert "false discoveries" in stamp
    assert "chance from 24 random edits" in stamp
    enough = LeakageStudy(study.models, Protocol(attributes=("age",), faces=1000)).matrix("plants")
    assert enough.stamp().startswith("n = 1000")


def test_the_faces_behind_a_cell_make_its_mean_and_can_be_drawn(study):
    faces = study.faces("follows", "age", "smile")
    reached = [face for face in faces if face.reached]
    mean = sum(face.change for face in reached) / len(reached)
    assert mean == pytest.approx(float(study.matrix("follows").array()[0, SMILE]), abs=1e-6)
    face = reached[0]
    before, after = study.pictures("follows", "age", face)
    moved = (after - before)[0].flatten()[:A]
    assert moved[AGE] == pytest.approx(face.asked, abs=1e-3)
    assert moved[SMILE] == pytest.approx(face.change * (1 if face.asked > 0 else -1), abs=1e-3)
    with pytest.raises(ValueError, match="row 'hat' of follows: it has not been measured"):
        study.faces("follows", "hat", "smile")


def test_what_a_method_cannot_do_is_a_reason_and_not_a_hole():
    only = Moves()
    only.attributes = ("beard",)
    study = LeakageStudy(world(only=only), PROTOCOL)
    assert not study.measure("only", "age")
    assert study.measure("only", "beard")
    matrix = study.matrix("only")
    assert matrix.edited == ("beard",)
    assert "cannot change 'age'" in matrix.failed["age"]
    with pytest.raises(ValueError, match="attribute is 'hat'; allowed: age, beard"):
        study.measure("only", "hat")


def test_before_chance_is_known_nothing_is_called_a_leak():
    study = LeakageStudy(world(follows=Follows()), PROTOCOL)
    study.measure("follows", "age")
    matrix = study.matrix("follows")
    assert matrix.leaks() == []
    assert matrix.cells["age", "smile"]["verdict"] == "pending"
    study.measure_chance()
    assert study.matrix("follows").leaks() == [("age", "smile")]


def test_a_folder_keeps_the_rows_and_refuses_other_settings(tmp_path):
    first = LeakageStudy(world(follows=Follows()), PROTOCOL, folder=tmp_path)
    first.measure("follows", "age")

    class Asleep(Follows):
        def edit(self, w, request):
            raise AssertionError("measured again")

    again = LeakageStudy(world(follows=Follows()), PROTOCOL, folder=tmp_path)
    again.models._editors["follows"] = Asleep()
    assert again.measure("follows", "age")
    assert torch.equal(again.matrix("follows").array(), first.matrix("follows").array())
    other = Protocol(attributes=("age",), faces=25, draws=50, batch=24)
    with pytest.raises(ValueError, match=r"protocol\.faces is 24, not 25; allowed"):
        LeakageStudy(world(follows=Follows()), other, folder=tmp_path)


def test_no_answer_waits_for_the_faces_to_be_drawn():
    models = world(follows=Follows())
    judge, begun, gate = models.attribute_judge, threading.Event(), threading.Event()

    class Slow(Reads):
        def __call__(self, images):
            begun.set()
            assert gate.wait(120)
            return judge(images)

    slow = Models.from_parts(
        models.generator, regressor=models.regressor, embedder=models.embedder,
        attribute_judge=Slow(), identity_judge=models.identity_judge,
        editors={"follows": Follows()}, name="open",
    )  # fmt: skip
    study, answered = LeakageStudy(slow, PROTOCOL), threading.Event()
    drawing = threading.Thread(target=lambda: study.bench)
    drawing.start()
    assert begun.wait(120)
    asking = threading.Thread(target=lambda: (study.matrix("follows"), answered.set()))
    asking.start()
    at_once = answered.wait(60)
    gate.set()
    drawing.join(120)
    asking.join(120)
    assert at_once
    assert study.matrix("follows").edited == ()


def test_rows_appear_one_by_one_stop_keeps_them_and_start_goes_on():
    seen, gate = [], threading.Event()

    class Slow(Follows):
        def edit(self, w, request):
            if "beard" in request.changes:
                assert gate.wait(120)
            return super().edit(w, request)

    study = LeakageStudy(world(slow=Slow()), PROTOCOL)
    work = BackgroundStudy(study, ["slow"], lambda p: seen.append(p))
    work.start()
    assert wait_for(lambda: work.progress.doing == "slow: beard")
    assert study.matrix("slow").edited == ("age",)
    assert study.matrix("slow").leaks() == [("age", "smile")]
    work.stop()
    gate.set()
    assert work.wait(120)
    assert work.progress.done == 1  # of the row that it was in there is nothing whole
    work.start()
    assert work.wait(120)
    assert (work.progress.state, work.progress.done, work.progress.total) == ("finished", 2, 2)
    assert [p.done for p in seen] == sorted(p.done for p in seen)


class Counts(Moves):
    """Counts its edits, and calls something at the first one of an attribute."""

    def __init__(self, name, call):
        super().__init__()
        self.at, self.call, self.edits = name, call, 0

    def edit(self, w, request):
        if self.at in request.changes:
            self.edits += 1
            if self.edits == 1:
                self.call()
        return super().edit(w, request)


def test_a_study_rests_within_a_row_and_goes_on_where_it_was():
    undisturbed = Counts("age", lambda: None)
    LeakageStudy(world(counts=undisturbed), PROTOCOL).measure("counts", "age")
    editor = Counts("age", lambda: work.pause(True))
    study = LeakageStudy(world(counts=editor), PROTOCOL)
    work = BackgroundStudy(study, ["counts"], lambda p: None)
    work.start()
    assert wait_for(lambda: work.progress.state == "paused")
    assert editor.edits < undisturbed.edits, "it rests only when the row is there"
    assert not study.measured("counts", "age")
    work.pause(False)
    assert work.wait(120)
    assert work.progress.state == "finished"
    assert editor.edits == undisturbed.edits, "what was drawn before the rest was drawn again"


def test_a_study_stops_within_a_row_and_its_rest_is_measured_later(tmp_path):
    editor = Counts("beard", lambda: work.stop())
    study = LeakageStudy(world(counts=editor), PROTOCOL, folder=tmp_path)
    work = BackgroundStudy(study, ["counts"], lambda p: None)
    work.start()
    assert work.wait(120)
    assert (work.progress.state, work.progress.done) == ("stopped", 1)
    assert editor.edits < len(KNOBS), "it went on to the end of the row"
    assert study.failed == {}, "a row that was left is none that cannot be measured"
    work.start()
    assert work.wait(120)
    assert study.matrix("counts").edited == ("age", "beard")


def test_unedited_faces_are_left_while_nobody_looks_and_held_up_for_nobody():
    class Looks(Reads):
        calls = 0

        def __call__(self, images):
            Looks.calls += 1
            if Looks.calls == 1:
                work.pause(True)
            return super().__call__(images)

    models = open_models(judge=Looks())
    models = Models.from_parts(
        models.generator, regressor=models.regressor, embedder=models.embedder,
        attribute_judge=models.attribute_judge, identity_judge=models.identity_judge,
        editors={"follows": Follows()}, name="open",
    )  # fmt: skip
    study = LeakageStudy(models, replace(PROTOCOL, batch=8))
    work = BackgroundStudy(study, ["follows"], lambda p: None)
    work.start()
    assert wait_for(lambda: work.progress.state == "paused")
    assert Looks.calls < 3, "all three batches were drawn"
    assert len(study.bench.ws) == 24, "who asks for them in Python has to wait for a page"
    work.pause(False)
    assert work.wait(120)
    assert work.progress.state == "finished"


def test_a_paused_study_rests_between_rows_and_a_broken_one_says_why():
    study = LeakageStudy(world(follows=Follows()), PROTOCOL)
    work = BackgroundStudy(study, ["follows"], lambda p: None)
    work.pause(True)
    work.start()
    assert wait_for(lambda: work.progress.state == "paused")
    assert study.matrix("follows").edited == ()
    work.pause(False)
    assert work.wait(120)
    assert work.progress.state == "finished"

    class Blind(Reads):
        def __call__(self, images):
            return super().__call__(images) / 0

    broken = LeakageStudy(open_models(judge=Blind()), PROTOCOL)
    work = BackgroundStudy(broken, ["follows"], lambda p: None)
    work.start()
    assert work.wait(120)
    assert work.progress.state == "failed"
    assert "NaN or infinity" in work.progress.error


def test_progress_counts_faces_and_says_how_long_from_the_first_ones_on(monkeypatch):
    monkeypatch.setattr("l2l_widgets.entanglement.background.TELL_EVERY", 0.0)
    seen = []
    study = LeakageStudy(world(follows=Follows()), PROTOCOL, chance=3)
    work = BackgroundStudy(study, ["follows"], seen.append)
    work.start()
    assert work.wait(120)
    first = [p for p in seen if p.done == 0 and p.faces]
    assert first, "no face was counted before the first row was there"
    assert all(0 < p.faces <= p.faces_total == PROTOCOL.faces for p in first)
    assert all(p.seconds_left is not None and p.seconds_left >= 0 for p in first)
    assert any("random" in p.doing and p.faces for p in seen), "chance takes long as well"
    assert (work.progress.faces_total, work.progress.seconds_left) == (0, None)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    models = world(follows=Follows())
    plan = Plan(PROTOCOL, parts=("equal",))
    found = compare(models, {"follows": [models.editor("follows")]}, plan, folder)
    write_report(found, folder, figures=False)
    return folder, models


def test_a_report_answers_what_its_own_study_would(report, study):
    folder, models = report
    opened = ReportStudy(folder, models)
    assert opened.methods == ("follows",)
    own, there = study.matrix("follows"), opened.matrix("follows")
    assert there.leaks() == own.leaks()
    assert torch.allclose(there.array(), own.array(), atol=1e-5)
    assert there.preview
    a, b = opened.faces("follows", "age", "smile"), study.faces("follows", "age", "smile")
    assert [f.seed for f in a] == [f.seed for f in b]
    before, after = opened.pictures("follows", "age", a[0])
    assert (after - before).abs().max() > 0.1
    with pytest.raises(ValueError, match="pictures need the models"):
        ReportStudy(folder).pictures("follows", "age", a[0])
    with pytest.raises(ValueError, match="holds no mapper by judge; allowed: follows by judge"):
        opened.matrix("mapper")


def test_two_methods_differ_in_exactly_the_planted_cell(study):
    found = paired_difference(study, "follows", "perfect")
    assert found.leaks() == [("age", "smile")]
    assert found.array()[0, SMILE] == pytest.approx(-0.2, abs=1e-3)
    assert found.array("signed_high")[0, SMILE] < -0.19
    assert paired_difference(study, "perfect", "perfect").leaks() == []


def test_a_report_of_other_models_keeps_its_numbers_and_refuses_pictures(report):
    folder, _ = report
    opened = ReportStudy(folder, world(follows=Follows(leak=0.5)))
    opened.report["hashes"]["generator"] = "0" * 64
    face = opened.faces("follows", "age", "smile")[0]
    with pytest.raises(ValueError, match=r"generator is .* the report's was 000000000000"):
        opened.pictures("follows", "age", face)


def test_no_report_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"holds no report\.json"):
        ReportStudy(tmp_path)


def test_trajectories_follow_the_edit_and_the_leak():
    models = world(follows=Follows())
    ws = models.generator.mapping(torch.zeros(3, A + 1))
    found = measure_trajectories(models, "follows", "age", ws, strengths=(-0.3, 0.0, 0.3))
    assert found.readings.shape == (3, 3, A)
    step = found.mean()[2] - found.mean()[0]
    assert step[AGE] == pytest.approx(0.6, abs=1e-5)
    assert step[SMILE] == pytest.approx(0.4, abs=1e-5)
    low, high = found.interval()
    mean = found.changes().double().mean(dim=0)
    assert bool(((low <= mean + 1e-6) & (mean <= high + 1e-6)).all())
    assert torch.equal(low[1], high[1]), "the unedited face has not changed"
    assert found.identity.shape == (3, 3)
    assert measure_trajectories(models, "follows", "age", ws, stale=lambda: True) is None
    with pytest.raises(ValueError, match="strengths are"):
        measure_trajectories(models, "follows", "age", ws, strengths=(0.3, 0.0))


def test_the_stored_boundaries_say_what_holding_them_would_do():
    models = load()
    held = models.editor("interfacegan-conditional").details["conditions"]
    primal = next(name for name, others in held.items() if others)
    check = stored_projection(models, primal)
    assert check.names == (primal, *held[primal])
    assert 0 < check.length_left <= 1
    assert set(check.predicted) == set(held[primal])
    # what is projected out is orthogonal to what is left: the prediction follows from the same fit
    fresh = stored_projection(models, primal, held[primal][:1])
    assert fresh.length_left >= check.length_left - 1e-9
    with pytest.raises(ValueError, match="conditions of"):
        stored_projection(models, primal, [primal])


def test_a_projection_names_nothing_that_is_hidden(monkeypatch):
    models = load()
    held = models.editor("interfacegan-conditional").details["conditions"]
    assert "gender" in held["beard"]
    assert "Gender" in stored_projection(models, "beard").to_text(models.table)
    monkeypatch.setenv("L2L_HIDE_ATTRIBUTES", "gender")
    shown = visible_table(models.table)
    told = stored_projection(models, "beard").to_text(shown)
    assert "gender" not in told.lower()
    assert "held and not shown here: 1" in told
    assert "predicted: Eye makeup moves" in told
    rows = [line for line in told.splitlines() if line.startswith("    ")]
    assert all(len(re.findall(r"[+-]\d\.\d\d", row)) == len(rows) == 3 for row in rows)
    for names in (("gender", None), ("beard", ["gender"])):
        with pytest.raises(ValueError, match="'gender' is hidden here"):
            stored_projection(models, *names)


def test_a_method_without_boundaries_has_no_projection():
    with pytest.raises(ValueError, match="method 'follows' holds no boundaries"):
        stored_projection(world(follows=Follows()), "age", ["smile"], plain="follows")
