"""Methods side by side: planted faults are found where they were planted, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from open_world import A, Moves, Reads, open_models

import l2l_widgets
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.evaluation import Plan, compare, comparison
from l2l_widgets.evaluation import bench as bench_module
from l2l_widgets.evaluation.bench import Bench
from l2l_widgets.evaluation.equal_change import measure_random_edits, measure_truth
from l2l_widgets.evaluation.report import Protocol

SMILE, AGE = DEFAULT_TABLE.index("smile"), DEFAULT_TABLE.index("age")
PROTOCOL = Protocol(attributes=("age", "beard"), faces=40, batch=16, draws=100)
#: Most faces are left where every reader has seen the change, as in a run of a thousand.
PLAN = Plan(PROTOCOL, parts=("equal",), sweep_faces=10)


class Plants(Moves):
    """A perfect editor but for one attribute, to which it adds 0.2 whichever way it edits."""

    name = "plants"

    def __init__(self, only_for="age", amount=0.2):
        super().__init__()
        self.only_for, self.amount = only_for, amount

    def edit(self, w, request):
        out = super().edit(w, request)
        if self.only_for in request.changes and not request.empty:
            out[:, :, SMILE] += self.amount
        return out


class Breaks(Moves):
    """Fails at one attribute and gives nonsense at another."""

    name = "breaks"

    def edit(self, w, request):
        if "age" in request.changes:
            raise RuntimeError("no weights\nfor age")
        out = super().edit(w, request)
        return out / 0 if "beard" in request.changes else out


def run(methods, out, plan=PLAN, models=None, **options):
    editors = {name: [e] if hasattr(e, "edit") else e for name, e in methods.items()}
    return compare(models or open_models(), editors, plan, out, **options)


def verdicts(result, method, reader="judge"):
    return {
        (row["edited"], row["read"]): row
        for row in result.leakage
        if (row["method"], row["reader"]) == (method, reader)
    }


def test_a_method_says_how_many_of_its_attributes_are_done(tmp_path, monkeypatch) -> None:
    few = Plan(replace(PROTOCOL, faces=4), parts=("equal",), sweep_faces=2)
    for silent, lines in ((1e9, ("2 of 2",)), (-1.0, ("1 of 2", "2 of 2"))):
        monkeypatch.setattr(comparison, "SILENT", silent)
        said = []
        run({"perfect": Moves()}, tmp_path / f"{silent}", few, progress=said.append)
        assert said == [f"equal, perfect, training seed 0: {n} attributes" for n in lines]


def test_a_planted_leakage_is_found_in_exactly_that_cell(tmp_path) -> None:
    result = run({"planted": Plants(), "perfect": Moves()}, tmp_path)
    for reader in ("judge", "ensemble", "consensus"):
        found = verdicts(result, "planted", reader)
        assert [key for key, row in found.items() if row["verdict"] == "leak"] == [("age", "smile")]
        row = found["age", "smile"]
        # it does not follow the edit up and down, but it is there
        assert row["drift"] == pytest.approx(0.2, abs=1e-3)
        assert row["band"] < 0.2
        assert row["q"] < 0.05
        assert found["age", "age"]["verdict"] == "asked"
        assert found["age", "age"]["signed"] == pytest.approx(0.3, abs=1e-3)
        perfect = verdicts(result, "perfect", reader)
        assert not [key for key, row in perfect.items() if row["verdict"] == "leak"]
        assert sum(row["verdict"] == "clear" for row in perfect.values()) >= 2 * (A - 3)


def test_an_edit_longer_than_any_random_one_meets_a_band_of_its_own_length(tmp_path) -> None:
    """It moves smile by 1.4 times what the longest random edit does, and is twice as long."""
    random_edits = measure_random_edits(Bench.of(open_models(), PROTOCOL), PROTOCOL)
    longest = float(random_edits["lengths"][-1])
    amount = 1.4 * float(random_edits["judge:band"][-1, SMILE])
    long = Plants(amount=amount)
    long.person = 2 * longest / (2**0.5 * 0.3)  # in both layers, at a change of 0.3
    result = run({"long": long, "short": Plants(amount=amount)}, tmp_path)
    row = verdicts(result, "long")["age", "smile"]
    assert row["drift"] == pytest.approx(amount, abs=1e-3)
    assert row["band_extrapolated"] is True
    assert row["band"] == pytest.approx(2 * amount / 1.4, rel=0.05)
    assert row["verdict"] == "clear"
    row = verdicts(result, "short")["age", "smile"]
    assert row["band_extrapolated"] is False
    assert row["verdict"] == "leak"


def test_the_same_method_entered_twice_ties(tmp_path) -> None:
    leaky = Moves(leak=0.3)
    result = run({"one": leaky, "two": leaky, "clean": Moves(leak=0.1)}, tmp_path)
    lower = {
        (row["first"], row["second"]): (row["lower"], row["difference"])
        for row in result.pairs
        if row["reader"] == "judge" and row["quantity"] == "others"
    }
    assert lower["one", "two"] == ("tie", 0)
    assert lower["one", "clean"][0] == "clean"
    assert lower["one", "clean"][1] == pytest.approx(0.06, abs=1e-3)
    rows = {r["method"]: {**r, "method": ""} for r in result.methods if r["reader"] == "judge"}
    assert rows["one"] == rows["two"]


def test_an_editor_that_underreaches_is_compared_at_equal_change_or_marked(tmp_path) -> None:
    editors = {
        "full": Moves(leak=0.5),
        "half": Moves(reach=0.5, leak=0.25),
        "idle": Moves(reach=0.0),
        "backwards": Moves(reach=-1.0),
    }
    result = run(editors, tmp_path)
    rows = {
        r["method"]: r for r in result.equal if (r["reader"], r["attribute"]) == ("judge", "age")
    }
    # at equal knob the half-hearted one would look twice as clean; at equal change it is as bad
    assert rows["full"]["leak_mean"] == pytest.approx(0.15, abs=1e-3)
    assert rows["half"]["leak_mean"] == pytest.approx(0.15, abs=1e-3)
    assert rows["full"]["strength_median"] == pytest.approx(0.3, abs=1e-3)
    assert rows["half"]["strength_median"] == pytest.approx(0.6, abs=1e-3)
    assert rows["half"]["monotonicity_score"] == pytest.approx(1)
    for name in ("idle", "backwards"):
        assert rows[name]["reach_score"] == 0
        assert "leak_mean" not in rows[name]
        assert {row["verdict"] for row in verdicts(result, name).values()} == {"untested"}


def test_readers_that_disagree_each_have_their_own_crossing(tmp_path) -> None:
    class Blind(Reads):
        """Sees half of every change of age."""

        def __call__(self, images):
            readings = super().__call__(images).clone()
            readings[:, AGE] = 0.25 + readings[:, AGE] / 2
            return readings

    result = run({"perfect": Moves()}, tmp_path, models=open_models(Blind()))
    strength = {r["reader"]: r["strength_median"] for r in result.equal if r["attribute"] == "age"}
    assert strength["judge"] == pytest.approx(0.6, abs=1e-3)
    assert strength["ensemble"] == pytest.approx(0.3, abs=1e-3)
    assert strength["consensus"] == pytest.approx(0.4, abs=1e-3)


def test_the_world_and_the_truth_are_reported_apart(tmp_path) -> None:
    draw = torch.Generator().manual_seed(0)
    people = torch.rand(30, 3, 6, 6, generator=draw)
    changed = people.clone()
    changed[:, :, AGE // 6, AGE % 6] += 0.3
    changed[:, :, SMILE // 6, SMILE % 6] -= 0.1  # who is older truly smiles less, here

    def truth(name, size, seed):
        return (people, changed) if name == "age" else None

    result = run({"perfect": Moves()}, tmp_path, truth=truth)
    found = verdicts(result, "perfect")
    assert found["age", "smile"]["truth"] == pytest.approx(-0.1, abs=1e-4)
    assert found["age", "age"]["truth"] == pytest.approx(0.3, abs=1e-4)
    assert found["beard", "smile"]["truth"] is None
    assert found["age", "age"]["world"] == pytest.approx(0.3)
    assert all(abs(r["world"]) < 0.3 for (e, b), r in found.items() if e != b)
    anchors = result.provenance["identity_anchors"]
    assert anchors["same"] == {"age": pytest.approx(1, abs=1e-5)}
    assert set(anchors["different"]) == {"age"}
    # the perfect editor changes no pixel where the truth changes none
    row = next(r for r in result.equal if (r["reader"], r["attribute"]) == ("judge", "age"))
    assert row["outside_region_error"] == pytest.approx(0, abs=1e-5)


def test_the_truth_has_the_sign_of_the_world_and_not_of_a_reader() -> None:
    """A reader of noise would find a rise in every change whose sign it had the choice of."""

    class Noise(Reads):
        def __call__(self, images):
            readings = super().__call__(images).clone()
            tangle = torch.sin(1e4 * images[:, 0].flatten(1).sum(dim=1))
            readings[:, AGE] = 0.5 + 0.2 * tangle
            readings[:, SMILE] = 0.5 + 0.1 * tangle
            return readings

    less = torch.rand(400, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    more = less.clone()
    more[:, :, AGE // 6, AGE % 6] += 0.3
    models = open_models(Noise(), regressor=Noise())
    bench = Bench.of(models, PROTOCOL)
    cell = measure_truth(bench, lambda *_: (less, more), "age", PROTOCOL)
    for reader in ("judge", "ensemble", "consensus"):
        signed = cell[f"{reader}:signed"][:, [AGE, SMILE]].mean(dim=0)
        assert signed.abs().max() < 0.04, reader  # by its own sign it would be 0.16


def test_one_cell_that_fails_is_marked_and_the_rest_goes_on(tmp_path) -> None:
    plan = Plan(
        Protocol(attributes=("age", "beard", "smile"), faces=12, draws=20),
        parts=("request", "equal"),
    )
    only = Moves()
    only.attributes = ("smile",)
    only.reasons = {"age": "the flow changes it by 0.03 at most"}
    result = run({"breaks": Breaks(), "only": only, "fine": Moves()}, tmp_path, plan)
    reasons = {(f["part"], f["method"], f["attribute"]): f["reason"] for f in result.failed}
    assert len(reasons) == 8
    assert reasons["equal", "breaks", "age"] == "RuntimeError: no weights for age"
    assert "NaN or infinity" in reasons["equal", "breaks", "beard"]
    assert "cannot change 'beard'; allowed: smile" in reasons["request", "only", "beard"]
    why = "cannot change 'age' (the flow changes it by 0.03 at most); allowed: smile"
    assert why in reasons["equal", "only", "age"], "the method's own reason stands in the table"
    measured = {(r["method"], r["attribute"]) for r in result.equal}
    assert measured == {
        ("breaks", "smile"), ("only", "smile"),
        ("fine", "age"), ("fine", "beard"), ("fine", "smile"),
    }  # fmt: skip


def test_what_share_of_the_faces_is_reached_has_an_interval(tmp_path) -> None:
    class Half(Moves):
        """Moves every other face."""

        def edit(self, w, request):
            still = (w[:, 0, A] * 1e4).long() % 2 == 0
            return torch.where(still[:, None, None], w, super().edit(w, request))

    result = run({"half": Half(), "all": Moves()}, tmp_path)
    half, whole = (
        row for row in result.methods if row["reader"] == "judge"
    )  # fmt: skip
    assert 0.2 < half["reach_score_low"] < half["reach_score"] < half["reach_score_high"] < 0.8
    assert (whole["reach_score_low"], whole["reach_score_high"]) == (1, 1)
    row = next(r for r in result.equal if (r["method"], r["attribute"]) == ("half", "age"))
    assert row["reach_score_low"] < row["reached"] / row["faces"] < row["reach_score_high"]


def test_a_killed_run_goes_on_where_it_was_and_ends_the_same(tmp_path) -> None:
    class Killed(Moves):
        """The power goes after the first attribute."""

        def edit(self, w, request):
            if "beard" in request.changes:
                raise KeyboardInterrupt
            return super().edit(w, request)

    with pytest.raises(KeyboardInterrupt):
        run({"m": Killed(leak=0.1)}, tmp_path / "a")
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "a" / "cells").iterdir()}
    assert "equal--m--0--age.safetensors" in kept
    assert "equal--m--0--beard.safetensors" not in kept
    resumed = run({"m": Moves(leak=0.1)}, tmp_path / "a")
    assert resumed.provenance["cells"] == {"measured": 1, "found": 3, "failed": 0}
    for name, time in kept.items():
        assert (tmp_path / "a" / "cells" / name).stat().st_mtime_ns == time
    whole = run({"m": Moves(leak=0.1)}, tmp_path / "b")
    assert resumed.leakage == whole.leakage
    assert resumed.measurements == whole.measurements
    # half a cell is no cell
    cell = tmp_path / "a" / "cells" / "equal--m--0--age.safetensors"
    cell.write_bytes(cell.read_bytes()[:100])
    assert run({"m": Moves(leak=0.1)}, tmp_path / "a").leakage == whole.leakage


def test_shares_of_several_processes_put_together_are_the_whole(tmp_path) -> None:
    protocol = Protocol(attributes=("age", "beard"), faces=12, draws=20)
    plan = Plan(protocol, paper_faces=4, positions=3)
    methods = {"m": Moves(leak=0.1), "breaks": Breaks()}
    whole = run(methods, tmp_path / "whole", plan)
    seen = []

    def helpers():
        cells = {p.stem for p in (tmp_path / "shared" / "cells").iterdir()}
        assert cells == {"faces", "random", "reference"}, "what all need is there first"

        def wait():
            other = run(methods, tmp_path / "shared", plan, share=(1, 2))
            seen.append((other.equal, other.requested))

        return wait

    shared = run(methods, tmp_path / "shared", plan, share=(0, 2), helpers=helpers)
    assert seen == [([], {})], "a helper measures and puts nothing together"
    # one that dies leaves its cells to the first
    alone = run(methods, tmp_path / "alone", plan, share=(0, 2), helpers=lambda: lambda: None)
    for other in (shared, alone):
        assert other.leakage == whole.leakage
        assert other.measurements == whole.measurements
        assert other.failed == whole.failed
        assert other.provenance["cells"] == whole.provenance["cells"]


def test_a_folder_of_other_settings_is_refused_by_the_field(tmp_path) -> None:
    run({"m": Moves()}, tmp_path)
    with pytest.raises(ValueError, match=r"holds a run whose methods is .*another folder"):
        run({"n": Moves()}, tmp_path)
    with pytest.raises(
        ValueError, match=r'holds a run whose plan\.parts is \["equal"\], not \["request"\]'
    ):
        run({"m": Moves()}, tmp_path, Plan(PROTOCOL, parts=("request",)))


def test_a_run_of_another_world_or_release_is_not_resumed(tmp_path, monkeypatch) -> None:
    plan = Plan(Protocol(attributes=("age",), faces=4, draws=20), parts=("request",), world=2)
    first = run({"m": Moves()}, tmp_path, plan)
    assert first.provenance["versions"]["l2l_widgets"] == l2l_widgets.__version__
    with pytest.raises(
        ValueError, match=r"whose plan\.world is 2, not 3; allowed: .*another folder"
    ):
        run({"m": Moves()}, tmp_path, replace(plan, world=3))
    monkeypatch.setattr(l2l_widgets, "__version__", "99.0")
    with pytest.raises(ValueError, match=r'whose l2l_widgets is ".*", not "99\.0"; allowed'):
        run({"m": Moves()}, tmp_path, plan)
    monkeypatch.undo()
    assert run({"m": Moves()}, tmp_path, plan).provenance["cells"]["measured"] == 0


def test_training_seeds_have_a_spread_of_their_own(tmp_path) -> None:
    seeds = [Moves(leak=0.1), Moves(leak=0.2), Moves(leak=0.3)]
    plan = Plan(PROTOCOL, seeds=5, parts=("equal",))
    result = run({"trained": seeds, "closed": [Moves(leak=0.2)]}, tmp_path, plan)
    rows = {r["method"]: r for r in result.methods if r["reader"] == "judge"}
    assert (rows["trained"]["seeds"], rows["closed"]["seeds"]) == (3, 1)
    assert rows["trained"]["leak_mean"] == pytest.approx(0.06, abs=1e-3)
    assert rows["trained"]["leak_mean_seed_spread"] == pytest.approx(0.03, abs=1e-3)
    assert rows["closed"]["leak_mean_seed_spread"] is None
    assert result.provenance["trained_seeds"] == {"trained": 3, "closed": 1}


def test_a_seed_that_lacks_an_attribute_leaves_the_mean_to_what_all_have(tmp_path) -> None:
    less = Moves(leak=0.3)
    less.attributes = ("age",)
    plan = Plan(PROTOCOL, seeds=2, parts=("equal",))
    result = run({"m": [Moves(leak=0.1), less]}, tmp_path, plan)
    (row,) = (r for r in result.methods if r["reader"] == "judge")
    assert (row["seeds"], row["attributes"]) == (2, 1)
    assert row["leak_mean"] == pytest.approx(0.06, abs=1e-3)


def test_the_faces_own_pictures_are_drawn_once_for_all_methods(tmp_path, monkeypatch) -> None:
    people = torch.full((8, 3, 6, 6), 0.5)
    changed = people.clone()
    changed[:, :, AGE // 6, AGE % 6] += 0.3
    models, drawn = open_models(), []
    synthesis = models.generator.synthesis

    def counted(ws, **options):
        if len(ws) > 1:  # models try a new generator with one face
            drawn.append(len(ws))
        return synthesis(ws, **options)

    monkeypatch.setattr(models.generator, "synthesis", counted)
    found = []
    for most in (bench_module.KEPT_BYTES, 0):
        monkeypatch.setattr(bench_module, "KEPT_BYTES", most)
        methods = {"one": Moves(leak=0.2), "two": Moves()}
        result = run(
            methods, tmp_path / str(most), models=models, truth=lambda *_: (people, changed)
        )
        found.append((result.equal, sum(drawn)))
        drawn.clear()
    (kept, fewer), (plain, more) = found
    assert kept == plain
    assert more - fewer == 3 * 40  # two methods, two attributes, each face with room in both
    assert any(row.get("outside_region_error") is not None for row in kept)
    again = run(methods, tmp_path / "0", models=models, truth=lambda *_: (people, changed))
    assert again.equal == plain
    assert sum(drawn) == 0, "what is at hand needs no picture"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds is 0; allowed: an integer from 1 to 100"),
        ({"parts": ("equal", "papers")}, "allowed: request, equal, paper"),
        ({"positions": 1}, "positions is 1"),
    ],
)
def test_a_plan_out_of_range_is_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(**change)
