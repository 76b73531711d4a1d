import csv
import errno
import json
import os
import threading

import numpy as np
import pytest
import torch
from conftest import make_session
from PIL import Image
from safetensors.torch import save_file

from l2l_widgets.cli import main
from l2l_widgets.images import to_uint8
from l2l_widgets.many.batch import Batch, BatchError, latents, parse_seeds, seeds
from l2l_widgets.many.summary import BatchSummary
from l2l_widgets.models import zoo
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.replay import read_recipe
from l2l_widgets.session.states import Edit

SMILE = (Edit("linear", changes={"smile": 0.4}),)


def table(folder):
    with (folder / "table.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def batch(models, folder, items, edits=SMILE, **options):
    return Batch(models, edits, items, folder, **{"n_random": 4, **options})


def test_every_face_is_a_picture_and_a_row_with_its_receipt(tiny_models, tmp_path):
    heard = []
    report = batch(tiny_models, tmp_path / "out", seeds((7, 8))).run(heard.append)
    assert (report.done, report.skipped, report.failed) == (2, 0, {})
    assert [p.done for p in heard] == [1, 2]
    rows = table(tmp_path / "out")
    assert [row["face"] for row in rows] == ["seed 7", "seed 8"]
    session = make_session(tiny_models, n_random=4)
    session.set_seed(8)
    session.set_changes({"smile": 0.4})
    receipt = session.measure()
    assert float(rows[1]["asked.smile"]) == pytest.approx(0.4)
    assert float(rows[1]["change.smile"]) == pytest.approx(receipt.achieved["smile"], abs=1e-4)
    assert float(rows[1]["identity"]) == pytest.approx(receipt.identity, abs=1e-4)
    assert rows[1]["beyond_band"].split() == list(receipt.outside_band())
    picture = tmp_path / "out" / rows[1]["picture"]
    assert np.array_equal(
        np.asarray(Image.open(picture)), to_uint8(session.render().after).permute(1, 2, 0).numpy()
    )
    again = EditSession.from_recipe(tiny_models, read_recipe(picture))
    assert torch.equal(again.render().after, session.render().after)


def test_a_stopped_run_goes_on_where_it_was(tiny_models, tmp_path):
    seen = []
    first = batch(tiny_models, tmp_path, seeds(range(4)), receipts=False)
    report = first.run(seen.append, stop=lambda: len(seen) >= 2)
    assert (report.done, report.stopped) == (2, True)
    assert len(table(tmp_path)) == 2
    kept = (tmp_path / "seed-000000.png").stat().st_mtime_ns
    os.remove(tmp_path / "seed-000001.png")
    report = batch(tiny_models, tmp_path, seeds(range(4)), receipts=False).run()
    assert (report.done, report.skipped, report.stopped) == (3, 1, False)
    assert (tmp_path / "seed-000000.png").stat().st_mtime_ns == kept
    assert [row["status"] for row in table(tmp_path)] == ["ok"] * 4
    assert sorted(os.listdir(tmp_path)) == [
        "batch.json", *(f"seed-00000{i}.png" for i in range(4)), "table.csv",
    ]  # fmt: skip


def test_one_bad_face_is_a_row_and_the_others_go_on(tiny_models, tmp_path):
    faces, out = tmp_path / "faces", tmp_path / "out"
    faces.mkdir()
    w = torch.randn(8, 16, generator=torch.Generator().manual_seed(4))
    np.save(faces / "a.npy", w.numpy())
    np.save(faces / "b.npy", np.zeros((3, 5), np.float32))
    (faces / "c.npy").write_bytes(b"no array at all")
    np.save(faces / "d.npy", np.full((8, 16), np.nan, np.float32))
    np.save(faces / "e.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    save_file({"w": w + 0.1}, faces / "f.safetensors")
    session = make_session(tiny_models)
    session.set_seed(9)
    (faces / "a.json").write_text(json.dumps(session.recipe()))
    (faces / "notes.txt").write_text("not a face")
    report = batch(tiny_models, out, latents(faces), receipts=False).run()
    rows = {row["item"]: row for row in table(out)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a-npy": "ok", "a-json": "ok", "f": "ok",
        "b": "failed", "c": "failed", "d": "failed", "e": "failed",
    }  # fmt: skip
    assert set(report.failed) == {"b", "c", "d", "e"}
    assert "shape" in rows["b"]["error"]
    assert "no plain array" in rows["c"]["error"]
    assert "no plain array" in rows["e"]["error"]
    assert torch.equal(read_recipe(out / "a-npy.png").w, w)
    assert read_recipe(out / "a-json.png").seed == 9


def test_a_full_disk_ends_the_run_with_what_was_done(tiny_models, tmp_path, monkeypatch):
    real, written = os.replace, []

    def replace(source, target):
        written.append(str(target))
        if len([p for p in written if p.endswith(".png")]) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    items = seeds(range(5))
    with pytest.raises(BatchError, match="the disk is full at 'seed-000002'"):
        batch(tiny_models, tmp_path, items, receipts=False).run()
    monkeypatch.undo()
    names = sorted(os.listdir(tmp_path))
    assert "seed-000001.png" in names
    assert not [name for name in names if name.endswith(".tmp")]
    report = batch(tiny_models, tmp_path, items, receipts=False).run()
    assert report.done + report.skipped == 5


def test_a_folder_of_something_else_is_left_alone(tiny_models, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BatchError, match=r"which holds 'thesis\.txt'"):
        batch(tiny_models, tmp_path, seeds((1,))).run()
    assert os.listdir(tmp_path) == ["thesis.txt"]
    out = tmp_path / "out"
    batch(tiny_models, out, seeds((1,)), receipts=False).run()
    with pytest.raises(BatchError, match=r"another batch: its edits is .*smile"):
        batch(
            tiny_models, out, seeds((1,)), (Edit("linear", changes={"age": 0.1}),), receipts=False
        ).run()
    (out / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BatchError, match="not a table of this batch"):
        batch(tiny_models, out, seeds((1,)), receipts=False).run()


def test_two_runs_do_not_share_a_folder(tiny_models, tmp_path):
    gate, entered, done = threading.Event(), threading.Event(), []

    def hold(_):
        entered.set()
        assert gate.wait(120)

    whole = batch(tiny_models, tmp_path, seeds((1,)), receipts=False)
    first = threading.Thread(target=lambda: done.append(whole.run(hold)))
    first.start()
    assert entered.wait(120)
    try:
        with pytest.raises(ValueError, match="held by another process"):
            batch(tiny_models, tmp_path, seeds((2,)), receipts=False).run()
    finally:
        gate.set()
        first.join(120)
    assert [report.done for report in done] == [1]


def test_what_cannot_be_is_refused_before_anything_is_written(tiny_models, tmp_path):
    out = tmp_path / "out"
    for edits, words in (
        ((), "nothing is asked for"),
        ((Edit("linear"),), "nothing is asked for"),
        ((Edit("linear", changes={"smlie": 0.1}),), "did you mean smile"),
        ((Edit("linear", changes={"smile": 0.1}, rows=(99,)),), "rows is"),
    ):
        with pytest.raises(ValueError, match=words):
            batch(tiny_models, out, seeds((1,)), edits)
    with pytest.raises(BatchError, match="0 given"):
        batch(tiny_models, out, ())
    with pytest.raises(ValueError, match="no such folder"):
        latents(tmp_path / "none")
    assert not out.exists()


def test_seeds_are_read_as_people_write_them():
    assert parse_seeds("0-3, 7,2") == (0, 1, 2, 3, 7)
    for text in ("", "a", "3-1", "-1", "1-", "4294967296", "0-100000", "1.5"):
        with pytest.raises(BatchError, match="--seeds is"):
            parse_seeds(text, "--seeds")


def test_a_run_ends_with_a_summary_of_its_receipts(tiny_models, tmp_path):
    edits = (Edit("linear", changes={"smile": 0.4}, targets={"age": 0.9}),)
    first = batch(tiny_models, tmp_path, seeds((7, 8)), edits).run()
    assert first.summary.measured == 2
    # faces that were there already count as well
    report = batch(tiny_models, tmp_path, seeds((7, 8, 9)), edits).run()
    assert (report.done, report.skipped) == (1, 2)
    session, shares, others, kept, achieved = make_session(tiny_models, n_random=4), [], [], [], 0
    for seed in (7, 8, 9):
        session.update(seed=seed, changes={"smile": 0.4}, targets={"age": 0.9})
        receipt = session.measure()
        shares += [receipt.share("smile"), receipt.share("age")]
        others.append(np.mean([abs(change) for change in receipt.others.values()]))
        kept.append(receipt.identity_kept)
        achieved += not receipt.shortfalls()
    found = report.summary
    assert (found.measured, found.achieved) == (3, achieved)
    assert found.share_median == pytest.approx(np.median(shares), abs=1e-3)
    assert found.others_mean == pytest.approx(np.mean(others), abs=1e-5)
    assert found.identity_kept_median == pytest.approx(np.median(kept), abs=1e-4)
    assert json.loads(json.dumps(report.to_dict()))["summary"]["measured"] == 3
    drawn = batch(tiny_models, tmp_path / "drawn", seeds((7,)), edits, receipts=False).run()
    assert drawn.summary is None


def test_a_summary_is_one_sentence():
    text = BatchSummary(100, 87, 0.931, 0.0412, 0.708).to_text()
    assert text == (
        "100 faces measured, 87 with at least half of all that was asked; median share that came "
        "93 %; mean change of the other attributes 4.1 %; median identity kept 71 %"
    )
    assert BatchSummary(1, 0, None, None, None).to_text() == (
        "1 face measured, 0 with at least half of all that was asked"
    )


def test_the_command_line_does_many(tiny_world, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(zoo, "WEIGHTS", tiny_world.parent)
    words = ["edit", "--seeds", "3-4", "--set", "smile=+0.4", "--out", str(tmp_path), "--json"]
    assert main([*words, "--no-receipt"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["done"], report["total"], report["items_failed"]) == (2, 2, {})
    assert main([*words, "--no-receipt"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["skipped"] == 2
    assert main([*words[:-2], str(tmp_path / "measured")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path / 'measured'}: 2 of 2 faces done"
    assert lines[1].startswith("2 faces measured, ")
    assert lines[2].endswith(f", the receipts in {tmp_path / 'measured' / 'table.csv'}")
    faces, out = tmp_path / "faces", tmp_path / "of-recipe"
    faces.mkdir()
    (faces / "bad.npy").write_bytes(b"")
    np.save(faces / "good.npy", np.zeros((8, 16), np.float32))
    words = ["edit", "--latents", str(faces), "--recipe", str(tmp_path / "seed-000003.png")]
    assert main([*words, "--out", str(out), "--no-receipt"]) == 2
    err = capsys.readouterr().err
    assert "bad: bad.npy: no plain array" in err
    assert read_recipe(out / "good.png").edits[0].changes == {"smile": 0.4}
    for extra, said in (
        (["--seeds", "1", "--latents", "x"], "both given"),
        (["--recipe", "x.json"], "goes with --seeds"),
        (["--seeds", "x"], "--seeds is 'x'"),
    ):
        assert main(["edit", *extra, "--out", str(tmp_path / "o.png")]) == 2
        assert said in capsys.readouterr().err
