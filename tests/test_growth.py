"""A run may gain methods, parts and training seeds: what is there is found again, unchanged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from open_world import Knows, Moves, OpenWorld, Reads, open_models

from l2l_widgets.cli import main
from l2l_widgets.evaluation import Plan, compare
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.models.zoo import Models

PROTOCOL = Protocol(attributes=("age", "beard"), faces=12, draws=20)
EQUAL = Plan(PROTOCOL, parts=("equal",), sweep_faces=4)


def run(methods, out, plan=EQUAL, **options):
    editors = {name: [e] if hasattr(e, "edit") else e for name, e in methods.items()}
    return compare(options.pop("models", None) or open_models(), editors, plan, out, **options)


def test_a_run_that_gains_methods_parts_and_seeds_ends_as_one_that_had_them(tmp_path) -> None:
    one, other = Moves(leak=0.1), Moves(leak=0.2)
    run({"m": one}, tmp_path / "grown")
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "grown" / "cells").iterdir()}
    more = replace(EQUAL, parts=("request", "equal"), seeds=2)
    methods, hashes = {"n": Moves(), "m": [one, other]}, {"m": ["ab" * 32]}
    grown = run(methods, tmp_path / "grown", more, trained=hashes)
    whole = run(methods, tmp_path / "whole", more, trained=hashes)
    assert grown.provenance["cells"] == {"measured": 10, "found": 4, "failed": 0}
    assert grown.leakage == whole.leakage
    assert grown.measurements == whole.measurements
    assert grown.methods == whole.methods
    for name, time in kept.items():
        assert (tmp_path / "grown" / "cells" / name).stat().st_mtime_ns == time
    # seconds of what was found count as well
    assert set(grown.provenance["cell_seconds"]) == {"faces", "request", "random", "equal"}
    assert grown.provenance["device"] == "cpu"
    # what it has gained it keeps
    with pytest.raises(ValueError, match=r"holds a run whose methods is .*allowed: the same sett"):
        run({"m": [one, other]}, tmp_path / "grown", more, trained=hashes)
    with pytest.raises(ValueError, match=r"holds a run whose plan\.seeds is 2, not 1"):
        run(methods, tmp_path / "grown", replace(more, seeds=1), trained=hashes)
    with pytest.raises(ValueError, match="holds a run whose trained"):
        run(methods, tmp_path / "grown", more, trained={"m": ["cd" * 32]})


def test_what_belongs_to_a_part_is_free_until_the_part_is_measured(tmp_path) -> None:
    plan = replace(EQUAL, parts=("request",))
    run({"m": Moves()}, tmp_path, plan)
    free = replace(plan, sweep_faces=6, paper_faces=4, positions=3, detector="none")
    run({"m": Moves()}, tmp_path, replace(free, parts=("request", "equal")))
    with pytest.raises(ValueError, match=r"plan\.sweep_faces is 6, not 4"):
        run({"m": Moves()}, tmp_path, replace(free, parts=("request", "equal"), sweep_faces=4))
    paper = replace(free, parts=("request", "equal", "paper"), paper_faces=3)
    assert run({"m": Moves()}, tmp_path, paper).paper
    with pytest.raises(ValueError, match=r"plan\.paper_faces is 3, not 4"):
        run({"m": Moves()}, tmp_path, replace(paper, paper_faces=4))


def test_five_at_once_are_chosen_anew_where_a_method_comes_that_can_change_less(tmp_path) -> None:
    plan = replace(EQUAL, parts=("several",))
    few = Moves()
    few.attributes = few.attributes[:20]
    first = run({"m": Moves()}, tmp_path / "grown", plan)
    run({"m": Moves()}, tmp_path / "shared", plan, share=(1, 2))
    assert not list((tmp_path / "shared" / "cells").glob("several*")), "the other process's share"
    run({"m": Moves()}, tmp_path / "shared", plan, share=(0, 2), helpers=lambda: lambda: None)
    assert list((tmp_path / "shared" / "cells").glob("several--m--0--all.safetensors"))
    grown = run({"m": Moves(), "few": few}, tmp_path / "grown", plan)
    assert grown.several == run({"m": Moves(), "few": few}, tmp_path / "whole", plan).several
    asked = {row[3] for row in grown.measurements} - {"all"}
    assert asked <= set(few.attributes)
    assert not {row[3] for row in first.measurements} - {"all"} <= set(few.attributes)


def models(**hashes):
    return Models.from_parts(
        OpenWorld(), regressor=Reads(), embedder=Knows(), attribute_judge=Reads(),
        identity_judge=Knows(), name="open", hashes=hashes,
    )  # fmt: skip


def test_a_painter_that_is_trained_again_changes_no_report(tmp_path) -> None:
    plan = Plan(replace(PROTOCOL, faces=4, attributes=("age",)), parts=("request",))
    run({"m": Moves()}, tmp_path, plan, models=models(maskgan="11" * 32, attribute_judge="a" * 64))
    again = models(maskgan="22" * 32, attribute_judge="a" * 64)
    found = run({"m": Moves()}, tmp_path, plan, models=again)
    assert found.provenance["cells"]["measured"] == 0
    assert "maskgan" not in found.provenance["hashes"]
    with pytest.raises(ValueError, match=r"holds a run whose hashes\.attribute_judge is"):
        run({"m": Moves()}, tmp_path, plan, models=models(attribute_judge="b" * 64))


def test_two_labels_of_one_file_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="methods are called 'a b' and 'a_b', which is one name"):
        run({"a b": Moves(), "a_b": Moves()}, tmp_path)


def test_a_finished_report_is_gone_on_with_for_more_alone(tmp_path, capsys) -> None:
    held = {"plan": {"parts": ["request", "equal"], "seeds": 1}, "methods": {"mapper": "mapper"}}
    variants = {name: f"mapper-variant: {name}" for name in ("whole", "relu")}
    ablated = {"plan": {"parts": ["request", "equal"], "seeds": 1}, "methods": variants}
    (tmp_path / "report.json").write_text("{}")
    base = ["evaluate", "--out", str(tmp_path), "--generator", "nowhere"]
    small = ["--parts", "request,equal"]
    for run_json, words, refused in (
        (held, small, True),
        (held, [*small, "--methods", "mapper,mapper"], False),
        (held, [*small, "--seeds", "5"], False),
        (held, ["--parts", "request,several"], False),
        (held, ["--ablations", "relu"], False),
        (ablated, ["--ablations", "relu"], True),
        (ablated, ["--ablations", "relu,1 layer"], False),
        ([], [*small, "--seeds", "5"], True),
    ):
        (tmp_path / "run.json").write_text(json.dumps(run_json))
        assert main([*base, *words]) == 2
        error = capsys.readouterr().err
        assert ("holds a report already; allowed: another folder, or more" in error) == refused
        assert refused or "nowhere" in error
