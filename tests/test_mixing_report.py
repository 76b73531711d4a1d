"""What a mixer's report keeps and says: goals, intervals, tables, the model card."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from l2l_widgets.disentangle import MIXER_FILE
from l2l_widgets.evaluation.mixing import correlation, mean_correlation, means
from l2l_widgets.recipes import mixing_report, mixing_truth
from l2l_widgets.recipes.card_sections import masks_section
from l2l_widgets.recipes.mixing_report import Parts, _check_folder
from l2l_widgets.recipes.mixing_text import card_section, factor_table, reached, score_table


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def row(factor, kind, reader, identity, attributes):
    return {
        "factor": factor, "kind": kind, "reader_r2": reader, "rebuilt_r2": reader,
        "identity_r2": identity, "attributes_r2": attributes,
        "follows": mixing_truth.verdict(identity, attributes),
    }  # fmt: skip


ROWS = [
    row("skin", "identity", 0.8, 0.6, 0.01),
    row("forehead", "identity", 0.4, 0.1, 0.0),
    row("brow_arch", "identity", 0.05, 0.0, 0.0),
    row("yaw", "attribute", 0.9, 0.0, 0.9),
    row("light_azimuth", "neither", 0.0, 0.0, 0.0),
]


def test_a_mean_correlation_is_pearsons_and_its_interval_holds_it():
    a = random(400, 3)
    b = a + random(400, 3, seed=1)
    value, low, high = mean_correlation(a, b, seed=5)
    each = [correlation(a[:, i], b[:, i]) for i in range(3)]
    assert value == pytest.approx(sum(each) / 3)
    assert low < value < high
    assert high - low < 0.12
    assert mean_correlation(a, torch.ones(400, 3))[0] == 0


def test_means_come_with_their_intervals():
    found = means({"half": (torch.arange(400) % 2).float(), "one": torch.ones(400)}, seed=0)
    assert found["half"] == pytest.approx(0.5)
    assert found["half_interval"][0] < 0.5 < found["half_interval"][1]
    assert found["one_interval"] == [1.0, 1.0]


def test_goals_are_reached_or_missed_by_their_own_direction():
    rows = {
        r["measure"]: r
        for r in reached(
            {
                "closer_share": 0.96, "closer_share_interval": [0.95, 0.97], "yaw_error": 4.1,
                "eyes_open_correlation": 0.7, "eyes_open_ceiling": 0.8, "seconds": 0.05,
            }
        )
    }  # fmt: skip
    assert {name for name, r in rows.items() if r["reached"]} == {"closer_share", "seconds"}
    assert rows["closer_share"]["interval"] == [0.95, 0.97]
    assert rows["eyes_open_correlation"]["ceiling"] == 0.8
    assert rows["yaw_error"]["goal"] == "<= 4"
    assert "pitch_error" not in rows, "what was not measured is not judged"


def test_what_is_kept_is_a_share_of_what_can_be_seen():
    found = mixing_truth.summary(ROWS)
    assert found["identity_factors_readable"] == "2 of 3"
    assert found["identity_factors_kept_share"] == pytest.approx((0.6 / 0.8 + 0.1 / 0.4) / 2)
    assert found["pose_factors_right"] == "1 of 1"
    assert found["light_factors_kept_share"] == 0


def test_tables_and_the_card_say_what_was_measured_and_how():
    table = factor_table(ROWS)
    assert "| skin | identity | 0.80 | 0.80 | 0.60 | 0.01 | identity |" in table
    assert "Not shown, for the reader does not see them: brow_arch, light_azimuth." in table
    scores = {"whole": {"yaw_error": 2.0, "yaw_error_interval": [1.9, 2.1]}, "without D_W": {}}
    assert score_table(scores).splitlines()[2] == "| yaw_error | 2 [1.9, 2.1] | - |"
    truth = {
        **mixing_truth.summary(ROWS), "render_pairs": 20, "render_identity_scale": 0.5,
        "light_factors_right": "0 of 1",
    }  # fmt: skip
    text = card_section(
        {
            "protocol": {"pairs": 1000, "seed": 0, "truncation_psi": 0.7}, "factors": ROWS,
            "truth": truth, "reach": reached({"closer_share": 0.9}),
        }
    )  # fmt: skip
    assert "`l2l mix-report --pairs 1000 --seed 0 --truth-pairs 20 --out report`" in text
    assert "| share of pairs nearer to the identity input | >= 0.95 | 0.9 | - | no |" in text
    assert "| yaw | attribute |" in text
    assert "strangers (0) to two renders of one person (1): 0.50." in text


def test_another_network_with_landmarks_is_not_taken_for_the_parser():
    entry = {"recipe": "landmarks", "scores": {"landmark_error": 0.02}}
    assert masks_section({"landmarks.safetensors": entry}, {}) == ""


def test_a_measured_part_is_kept_until_what_it_depends_on_changes(tmp_path):
    calls = []

    def measure():
        calls.append(1)
        return {"x": len(calls)}

    parts = Parts(tmp_path / "parts", {"seed": 0})
    assert parts.get("scores whole", "a", measure) == {"x": 1}
    assert parts.get("scores whole", "a", measure) == {"x": 1}
    assert parts.get("scores whole", "b", measure) == {"x": 2}, "another file was measured"
    assert Parts(tmp_path / "parts", {"seed": 1}).get("scores whole", "b", measure) == {"x": 3}
    (tmp_path / "parts" / "scores-whole.json").write_text("{")
    assert Parts(tmp_path / "parts", {"seed": 1}).get("scores whole", "b", measure) == {"x": 4}
    assert Parts(None, {}).get("scores whole", "b", measure) == {"x": 5}


def test_ablations_may_be_added_to_a_report_without_any(tmp_path):
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"ablation_steps": 0}))
    assert _check_folder(tmp_path, 100) is None
    with pytest.raises(ValueError, match="holds a report already; allowed: another folder"):
        _check_folder(tmp_path, 0)
    report.write_text(json.dumps({"ablation_steps": 100}))
    with pytest.raises(ValueError, match="holds a report already"):
        _check_folder(tmp_path, 100)


def test_ablations_of_other_steps_are_other_runs(tmp_path, monkeypatch):
    trained = []

    def run(recipe, folder, **_):
        trained.append(recipe.settings.steps)
        (folder / "final").mkdir(parents=True)
        (folder / "final" / MIXER_FILE).write_bytes(b"")
        return SimpleNamespace(finished=True)

    monkeypatch.setattr(mixing_report, "run", run)
    monkeypatch.setattr(mixing_report, "input_hashes", lambda *_: {"generator": "a"})
    first, second, again = (
        mixing_report.train_ablations(tmp_path, tmp_path / "out", steps, lambda _: None)
        for steps in (7, 9, 7)
    )
    assert trained == [7] * len(first) + [9] * len(first)
    assert first == again
    assert not set(first.values()) & set(second.values())
    assert len(set(first.values())) == len(first)
