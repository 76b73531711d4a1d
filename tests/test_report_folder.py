"""The paper's protocol, the folder a comparison leaves, and whether its rows can be re-run."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import shutil

import pytest
import torch
from matplotlib.figure import Figure
from open_world import A, Moves, open_models

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli import main
from l2l_widgets.cli.evaluate import _world_of
from l2l_widgets.cli.evaluate_text import comparison_text
from l2l_widgets.evaluation import (
    Comparison,
    Plan,
    cascade_detector,
    compare,
    figures,
    plan_of,
    verify,
    write_report,
)
from l2l_widgets.evaluation.figures import curves_figure
from l2l_widgets.evaluation.paper_protocol import judged_inception_score
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.evaluation.report_folder import as_latex, paper_mark, paper_table, stamp
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.storage import StorageError

AGE = DEFAULT_TABLE.index("age")
PROTOCOL = Protocol(attributes=("age", "beard"), faces=12, batch=8, draws=50)
PAPER = Plan(PROTOCOL, parts=("paper",), paper_faces=5, positions=5)
NO_CURVE = {
    "method": "one", "seed": 0, "attribute": "age", "faces": [], "achieved": [], "others": [],
    "others_interval": [[], []], "identity": None, "identity_interval": None,
    "identity_faces": None,
}  # fmt: skip
PROVENANCE = {"preview": False, "judges": {"attribute": "judge"}, "trained_seeds": {"one": 1}}


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def paper(editors, out, plan=PAPER, **options):
    methods = {name: [editor] for name, editor in editors.items()}
    return compare(open_models(), methods, plan, out, **options)


def by_row(result, method):
    return {row["row"]: row for row in result.paper if row["method"] == method}


def test_the_papers_rows_perfect_constant_adversarial(tmp_path) -> None:
    # the embedder turns by 20 radians a unit of the person; positions are -1, -1/2, 0, 1/2, 1
    editors = {"perfect": Moves(), "idle": Moves(reach=0.0), "lost": Moves(person=torch.pi / 20)}
    result = paper(editors, tmp_path)
    perfect, idle, lost = (by_row(result, name) for name in editors)
    assert perfect["Age"]["value"] == pytest.approx(0, abs=1e-4)
    assert perfect["Age"]["faces"] == 5
    # half a turn at the ends, a quarter half-way: distances 2, 1, 0, 1, 2
    assert lost["Age"]["value"] == pytest.approx(1.2, abs=1e-3)
    assert lost["Age"]["low"] <= 1.2 <= lost["Age"]["high"] + 1e-3
    assert idle["frechet_identity"]["pictures"] == 2 * 5 * 5
    assert perfect["Time (s)"]["value"] > 0
    assert (perfect["Age"]["range_low"], perfect["Age"]["range_high"]) == (-1, 1)


def test_pictures_that_did_not_change_are_as_good_as_the_generators_own(tmp_path) -> None:
    plan = Plan(PROTOCOL, parts=("paper",), paper_faces=12, positions=3)
    result = paper({"idle": Moves(reach=0.0), "far": Moves(leak=2.0, person=2.0)}, tmp_path, plan)
    idle, far = by_row(result, "idle"), by_row(result, "far")
    assert idle["inception_score_judge"]["value"] == pytest.approx(0, abs=1e-6)
    assert idle["frechet_identity"]["value"] < 0.1 * far["frechet_identity"]["value"]
    assert idle["kernel_identity"]["value"] < far["kernel_identity"]["value"]
    assert far["inception_score_judge"]["value"] > 0.01
    assert math.isnan(far["frechet_identity"]["low"]), "twelve faces are too few to leave some out"


def test_distances_of_sets_have_intervals_over_faces(tmp_path) -> None:
    plan = Plan(
        Protocol(attributes=("age", "beard"), faces=120, batch=60, draws=50),
        parts=("paper",), paper_faces=100, positions=3,
    )  # fmt: skip
    result = paper({"idle": Moves(reach=0.0), "far": Moves(leak=2.0, person=2.0)}, tmp_path, plan)
    idle, far = by_row(result, "idle"), by_row(result, "far")
    for name in ("frechet_identity", "kernel_identity", "inception_score_judge"):
        row = far[name]
        assert row["low"] < row["value"] < row["high"], name
    assert idle["inception_score_judge"]["high"] < far["inception_score_judge"]["low"]
    write_report(result, tmp_path, figures=False)
    (shown,) = (r for r in rows_of(tmp_path / "paper.csv") if r["row"] == "frechet_identity")
    assert float(shown["far low"]) < float(shown["far"]) < float(shown["far high"])
    assert (
        f"{shown['far']} [{shown['far low']}, {shown['far high']}]"
        in (tmp_path / "tables" / "paper.tex").read_text()
    )
    # what JSON does not have is null there
    assert "NaN" not in (tmp_path / "report.json").read_text()


@pytest.mark.parametrize(
    ("manifest", "world"),
    [
        ({"generator.safetensors": {"config": {"world": 7}}}, 7),
        ({"generator.safetensors": {"config": {}}}, 0),  # one of somebody's own pictures
        ({"generator.safetensors": {}}, 0),
        ({}, 0),
    ],
)
def test_the_world_of_a_generator_is_in_its_manifest_and_not_in_its_name(manifest, world) -> None:
    models = open_models()
    models.name, models.manifest = "faceworld-of-mine", manifest
    assert _world_of(models) == world


def test_our_distances_stand_in_no_row_of_the_papers() -> None:
    ours = {"Age": 0.2, "frechet_judge": 1.5, "kernel_judge": 0.1, "Time (s)": 0.3}
    found = Comparison(
        PAPER, paper=[{"method": "m", "row": k, "value": v} for k, v in ours.items()]
    )
    table = {row.pop("row"): row for row in paper_table(found)}
    assert list(table) == [
        "Age", "frechet_judge", "FID (paper)", "kernel_judge", "KID (paper)", "Time (s)"
    ]  # fmt: skip
    theirs = "paper (other generator): L2L"
    assert table["frechet_judge"] == {"m": 1.5, **dict.fromkeys(list(table["Age"])[1:])}
    assert list(table["Age"])[:3] == ["m", "m low", "m high"]
    assert (table["FID (paper)"]["m"], table["FID (paper)"][theirs]) == (None, 39.83)
    assert (table["Age"]["m"], table["Age"][theirs]) == (0.2, 0.57)


def test_the_range_ends_where_no_face_is_found(tmp_path) -> None:
    def young_or_old_only(images):
        return images[:, 0, AGE // 6, AGE % 6] < 1.1

    plan = Plan(
        Protocol(attributes=("age",), faces=12, batch=8, truncation_psi=0.0, draws=50),
        parts=("paper",), paper_faces=5, positions=5,
    )  # fmt: skip
    row = by_row(paper({"m": Moves()}, tmp_path / "a", plan, detector=young_or_old_only), "m")
    # everyone is 0.5 at truncation 0: 0.5 + 0.5 is still found, 0.5 + 0.6 is not
    assert (row["Age"]["range_low"], row["Age"]["range_high"]) == (-1, 0.5)
    assert row["Age"]["found_score"] == 1
    blind = paper({"m": Moves()}, tmp_path / "b", plan, detector=lambda x: x[:, 0, 0, 0] > 99)
    assert "finds no unedited face" in blind.failed[0]["reason"]
    odd = paper({"m": Moves()}, tmp_path / "c", plan, detector=lambda x: x[:, 0, 0, 0])
    assert r"allowed: bool of shape" in odd.failed[0]["reason"]


def test_the_papers_table_says_its_own_count_and_what_ended_the_range(tmp_path) -> None:
    result = paper({"m": Moves()}, tmp_path)
    faces, positions = PAPER.paper_faces, PAPER.positions
    assert faces < PROTOCOL.faces
    mark = paper_mark(result)
    assert mark.startswith(f"PREVIEW, {faces} faces at {positions} positions, training seed 0")
    assert "no face detector was asked" in mark
    write_report(result, tmp_path, figures=False)
    latex = (tmp_path / "tables" / "paper.tex").read_text()
    assert mark in latex
    assert f"n = {PROTOCOL.faces} faces" not in latex
    assert mark.split(";")[0] in comparison_text(result, stamp(result), mark).replace("\n", " ")
    # a report of a thousand faces has the paper's fifty in this table, which is whole with them
    whole = Comparison(Plan(Protocol(faces=1000), detector="cascade"), {"preview": False})
    mark = paper_mark(whole)
    assert mark.startswith("50 faces at 41 positions")
    assert "the detector 'cascade' no longer finds faces" in mark


def test_inception_score_of_readings_perfect_constant_adversarial() -> None:
    sure = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(10, 1)
    assert judged_inception_score(sure) == pytest.approx(2)
    assert judged_inception_score(torch.full((20, 2), 0.5)) == pytest.approx(1)
    assert judged_inception_score(torch.ones(20, 2)) == pytest.approx(1)


@pytest.mark.slow
def test_the_folder_holds_the_tables_figures_and_the_papers_own_figures(tmp_path) -> None:
    plan = Plan(PROTOCOL, paper_faces=4, positions=3)
    methods = {"clean_100%": [Moves()], "leaky": [Moves(leak=0.3)]}
    result = compare(open_models(), methods, plan, tmp_path)
    write_report(result, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["format"] == "l2l-evaluation/2"
    assert report["preview"] is True
    assert report["stamp"].startswith("PREVIEW, n = 12 faces, face seed 0, 1 training seed (")
    assert [row["method"] for row in report["methods"]] == ["clean_100%", "leaky"]
    assert set(report["hashes"]) >= {"generator", "attribute_judge"}
    assert len(rows_of(tmp_path / "leakage.csv")) == 2 * 3 * 2 * A
    table = {row["row"]: row for row in rows_of(tmp_path / "paper.csv")}
    ours = ["frechet_identity", "kernel_identity", "inception_score_judge"]
    papers = ["FID (paper)", "KID (paper)", "ISD (paper)"]
    pairs = [row for pair in zip(ours, papers, strict=True) for row in pair]
    assert list(table) == ["Age", "Beard", *pairs, "Time (s)"]
    # features of two kinds of networks never stand in one row
    for row in ours:
        assert table[row]["clean_100%"] != ""
        assert table[row]["paper (other generator): L2L"] == ""
    for row in papers:
        assert table[row]["clean_100%"] == ""
        assert table[row]["paper (other generator): L2L"] != ""
    assert table["Beard"]["paper (other generator): L2L"] == "0.28"
    assert float(table["Beard"]["clean_100%"]) == pytest.approx(0, abs=1e-3)
    assert rows_of(tmp_path / "failed.csv") == []
    parts = {row["part"] for row in rows_of(tmp_path / "measurements.csv")}
    assert parts == {"request", "equal", "paper"}
    latex = (tmp_path / "tables" / "paper.tex").read_text()
    assert "PREVIEW" in latex
    assert r"clean\_100\%" in latex
    figures = {p.name for p in (tmp_path / "figures").iterdir()}
    assert figures == {
        f"{name}.{kind}"
        for name in ("leakage_clean_100_", "leakage_leaky", "curves")
        for kind in ("svg", "png")
    }
    assert all(len(row["others_interval"][0]) == len(row["others"]) for row in result.curves)
    drawn = curves_figure(result).axes[0]
    assert len(drawn.collections) == len(methods), "the intervals that the mark speaks of"
    svg = (tmp_path / "figures" / "curves.svg").read_text()
    assert "95 % bootstrap intervals" in svg
    svg = (tmp_path / "figures" / "leakage_leaky.svg").read_text()
    assert "95 % bootstrap intervals" not in svg
    assert "hatched" in svg
    assert "PREVIEW" in svg
    assert "judge: attribute_judge" in svg


def test_latex_escapes_what_latex_would_read() -> None:
    text = as_latex([{"a_b": r"50 % & \ ~"}, {"a_b": None}], "n = 1_0", "tab:x")
    assert r"a\_b" in text
    assert r"50 \% \& \textbackslash{} \textasciitilde{} \\" in text
    assert text.count("{") == text.count("}")


@pytest.mark.slow
def test_rows_can_be_measured_again_and_a_changed_one_is_found(tmp_path) -> None:
    plan = Plan(PROTOCOL, paper_faces=4, positions=3)
    methods = {"half": [Moves(reach=0.6, leak=0.2, person=0.01)]}
    write_report(compare(open_models(), methods, plan, tmp_path), tmp_path, figures=False)
    checked = verify(tmp_path, open_models(), methods, rows=150)
    assert len(checked) == 150
    assert all(c.confirmed for c in checked)
    assert {c.row["part"] for c in checked} == {"request", "equal", "paper"}
    assert [c.row for c in verify(tmp_path, open_models(), methods, rows=3)] == [
        c.row for c in checked[:3]
    ]
    # a report from before faces were left early followed all of them to the end
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["plan"].pop("sweep_faces") == 200
    assert plan_of(report).sweep_faces == PROTOCOL.faces
    # weights that are not the report's give other numbers
    other = {"half": [Moves(reach=0.6, leak=0.4, person=0.01)]}
    found = verify(tmp_path, open_models(), other, rows=150)
    assert {c.confirmed for c in found if c.row["quantity"] == "others"} == {False}
    # and so does a number that somebody improved
    path = tmp_path / "measurements.csv"
    rows = path.read_text().splitlines()
    path.write_text(
        "\n".join([rows[0], *(",".join([*r.split(",")[:-1], "7.5"]) for r in rows[1:])])
    )
    assert not any(c.confirmed for c in verify(tmp_path, open_models(), methods, rows=5))
    with pytest.raises(ValueError, match="method 'half', seed 0: not at hand"):
        verify(tmp_path, open_models(), {"x": [Moves()]}, rows=1)
    with pytest.raises(ValueError, match="rows is 0; allowed: at least 1"):
        verify(tmp_path, open_models(), methods, rows=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"holds no report\.json; allowed: a folder that l2l evaluate finished"),
        ("{", "not readable as JSON"),
        ("[]", "format is 'list'"),
        ('{"format": "l2l-evaluation/1"}', "allowed: 'l2l-evaluation/2'"),
    ],
)
def test_what_is_no_report_is_one_line_and_exit_2(content, message, tmp_path, capsys) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    assert main(["verify", str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    with pytest.raises(ValueError, match=message):
        raise ValueError(error)


@pytest.mark.slow
def test_evaluate_and_verify_on_the_command_line(tiny_world, tmp_path, capsys) -> None:
    out = tmp_path / "report"
    words = [
        "evaluate", "--generator", str(tiny_world), "--methods", "mapper,mapper", "--attributes",
        "smile", "--faces", "4", "--seeds", "2", "--positions", "2", "--paper-faces", "3", "--out",
        str(out),
    ]  # fmt: skip
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "at equal achieved change" in shown
    assert "mapper (2)" in shown
    assert "PREVIEW, n = 4 faces" in shown
    report = json.loads((out / "report.json").read_text())
    assert report["trained_seeds"] == {"mapper": 1, "mapper (2)": 1}
    assert report["sources"] == {"mapper": "mapper", "mapper (2)": "mapper"}
    assert {row["lower"] for row in report["pairs"]} <= {"tie"}
    assert main(["verify", str(out), "--generator", str(tiny_world), "--rows", "6", "--json"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown.strip().splitlines()[-1])["confirmed"] == 6
    # without its last file the run is unfinished, and every cell is found again
    (out / "report.json").unlink()
    assert main([*words, "--no-figures", "--json"]) == 0
    again = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert again["cells"]["measured"] == 0
    assert again["equal_methods"] == report["equal_methods"]
    assert main(["verify", str(out), "--rows", "0"]) == 2
    assert main([*words[:-1], str(tmp_path / "x"), "--parts", "equals"]) == 2
    assert "did you mean equal" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tiny_world, tmp_path, capfd) -> None:
    words = [
        "evaluate", "--generator", str(tiny_world), "--attributes", "smile", "--faces", "4",
        "--parts", "request,equal", "--no-figures", "--json", "--out",
    ]  # fmt: skip
    found = []
    for count in ("1", "2"):
        assert main([*words, str(tmp_path / count), "--processes", count]) == 0
        shown = capfd.readouterr()
        found.append(json.loads(shown.out.strip().splitlines()[-1]))
    # the second share is the second cell; the first process says of a method what it puts together
    assert "equal, mapper, training seed 0: smile\n" in shown.err
    assert "ended early" not in shown.err
    assert found[0]["equal_attributes"] == found[1]["equal_attributes"]
    assert found[0]["cells"] == found[1]["cells"]


@pytest.mark.slow
def test_a_report_of_another_world_is_neither_resumed_nor_verified(
    tiny_world, tmp_path, capsys, monkeypatch
) -> None:
    weights, out = tmp_path / "faceworld-tiny", tmp_path / "report"
    shutil.copytree(tiny_world, weights)
    manifest = json.loads((weights / "MANIFEST.json").read_text())
    manifest["generator.safetensors"]["config"] = {"world": WORLD}
    (weights / "MANIFEST.json").write_text(json.dumps(manifest))
    words = [
        "evaluate", "--generator", str(weights), "--attributes", "smile", "--faces", "3",
        "--parts", "request", "--truth-people", "2", "--no-figures", "--out", str(out),
    ]  # fmt: skip
    assert main(words) == 0
    assert json.loads((out / "run.json").read_text())["plan"]["world"] == WORLD
    again = ["verify", str(out), "--generator", str(weights), "--rows", "2"]
    assert main(again) == 0
    monkeypatch.setattr("l2l_widgets.faceworld.version.WORLD", WORLD + 1)
    capsys.readouterr()
    assert main(again) == 2
    assert f"world is {WORLD}; allowed: {WORLD + 1}" in capsys.readouterr().err
    (out / "report.json").unlink()
    assert main(words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    # a world that is not drawn any more knows no people to place identities by
    assert "holds a run whose plan.truth_people is 2, not 0" in error
    assert "allowed: the same settings (" in error
    assert "), or another folder" in error


@pytest.mark.slow
def test_the_cascade_finds_faces_and_nothing_in_noise() -> None:
    found = cascade_detector()
    with torch.inference_mode():
        portraits = render(sample_factors(8, 0), 64).image
    assert int(found(portraits).sum()) >= 4
    noise = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert found(noise).tolist() == [False] * 4
    assert found(torch.zeros(2, 3, 64, 64)).tolist() == [False] * 2
    with pytest.raises(ValueError, match="side is 20; allowed: at least 48"):
        cascade_detector(20)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_report_that_finds_no_room_leaves_the_earlier_one_whole(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(figures, "curves_figure", lambda _: Figure())
    write_report(Comparison(PAPER, PROVENANCE), tmp_path, figures=False)
    earlier = contents(tmp_path)
    sync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == len(earlier):  # all tables are there, the figure is not
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    other = Comparison(PAPER, {**PROVENANCE, "preview": True}, curves=[NO_CURVE])
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StorageError, match=r"curves\.svg.*No space left"):
            write_report(other, tmp_path)
    assert contents(tmp_path) == earlier


def test_too_few_faces_are_said_in_every_table(tmp_path) -> None:
    rows = [{"first": "one", "second": "two"}, {"first": "one", "second": "three"}]
    few = {**PROVENANCE, "preview": True}
    write_report(Comparison(PAPER, few, pairs=rows), tmp_path / "few", figures=False)
    assert [r["preview"] for r in rows_of(tmp_path / "few" / "pairs.csv")] == ["PREVIEW"] * 2
    write_report(Comparison(PAPER, PROVENANCE, pairs=rows), tmp_path / "many", figures=False)
    assert rows_of(tmp_path / "many" / "pairs.csv") == rows
    report = json.loads((tmp_path / "many" / "report.json").read_text())
    assert report["random_edits"] == {"directions": 24, "faces": 12, "share_within": 0.95}


def test_curves_are_numbers_with_their_faces_and_intervals(tmp_path) -> None:
    plan = Plan(PROTOCOL, parts=("equal",), sweep_faces=10)
    result = compare(open_models(), {"m": [Moves(leak=0.1)]}, plan, tmp_path)
    write_report(result, tmp_path, figures=False)
    rows = [r for r in rows_of(tmp_path / "curves.csv") if r["attribute"] == "age"]
    assert {r["quantity"] for r in rows} == {"others", "identity_similarity"}
    (at,) = (r for r in rows if r["quantity"] == "others" and r["achieved"].startswith("0.3"))
    assert float(at["value"]) == pytest.approx(0.1 * float(at["achieved"]), abs=1e-3)
    assert float(at["low"]) <= float(at["value"]) <= float(at["high"]) + 1e-6
    assert 1 < int(at["faces"]) <= 10
    same = [r for r in rows if r["quantity"] == "identity_similarity" and int(r["faces"])]
    assert same
    assert all(float(r["value"]) == pytest.approx(1, abs=1e-4) for r in same)


def test_who_finds_a_report_finds_the_tables_and_figures_that_it_speaks_of(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(figures, "curves_figure", lambda _: Figure())
    write_report(Comparison(PAPER, PROVENANCE, curves=[NO_CURVE]), tmp_path)
    assert (tmp_path / "figures" / "curves.svg").is_file()
    (tmp_path / "figures" / "mine.svg").write_text("a file of somebody else")
    replace, met = os.replace, []

    def seen(source, target):
        met.append((tmp_path / "report.json").exists())
        met.append((tmp_path / "figures" / "curves.svg").exists())
        replace(source, target)

    monkeypatch.setattr("os.replace", seen)
    failed = {"part": "equal", "method": "one", "seed": 0, "attribute": "age", "reason": "new"}
    other = Comparison(PAPER, PROVENANCE, failed=[failed])
    write_report(other, tmp_path, figures=False)
    assert met
    assert not any(met), "neither the old report nor its figure stands beside a new table"
    assert json.loads((tmp_path / "report.json").read_text())["failed"] == other.failed
    assert "new" in (tmp_path / "failed.csv").read_text()
    (line,) = rows_of(tmp_path / "leakage.csv")
    assert (line["method"], line["edited"], line["verdict"], line["reason"]) == (
        "one", "age", "not measured", "new"
    )  # fmt: skip
    assert [p.name for p in (tmp_path / "figures").iterdir()] == ["mine.svg"]
