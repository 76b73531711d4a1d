"""`l2l attributes`: the names that --set takes."""

from __future__ import annotations

import json

from test_cli_start import answers_of

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeTable
from l2l_widgets.cli import main
from l2l_widgets.models import zoo
from l2l_widgets.stylegan2 import save_generator
from tests.checkpoint_files import make_generator


def test_every_attribute_is_listed_with_its_meaning_and_without_torch(tmp_path):
    plain, as_json, usage = answers_of(
        [["attributes"], ["attributes", "--json"], ["edit", "--help"]], tmp_path
    )
    assert [code for code, *_ in (plain, as_json, usage)] == [0, 0, 0]
    assert not any(torch for *_, torch in (plain, as_json, usage))
    lines = plain[1].splitlines()
    for row in DEFAULT_TABLE:
        (line,) = [line for line in lines if line.split()[:1] == [row.name]]
        assert row.label in line
        assert row.definition in line
        assert f"{row.low:g} to {row.high:g} {row.unit}" in line
        assert row.group is None or f"group {row.group!r}" in line
    assert {row.family for row in DEFAULT_TABLE} <= set(lines)
    assert "5 to 85 years" in plain[1]
    assert "age=0.5 is 45 years" in lines[-1]
    rows = json.loads(as_json[1].splitlines()[-1])["attributes"]
    assert AttributeTable.from_json(json.dumps(rows)) == DEFAULT_TABLE
    assert "l2l attributes" in usage[1]


def test_the_embedded_models_have_these_attributes():
    names = zoo.list_models()
    assert names
    assert all(zoo.load(name).table == DEFAULT_TABLE for name in names)


def test_a_lone_generator_has_none_and_says_so(capsys, tmp_path):
    save_generator(tmp_path / "g.safetensors", make_generator())
    assert main(["attributes", "--generator", str(tmp_path / "g.safetensors")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("note: 'g' has nothing yet that reads or changes any")


def test_models_of_ones_own_are_asked_for_theirs(capsys, tiny_world):
    assert main(["attributes", "--generator", str(tiny_world), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["attributes"]
    assert [row["name"] for row in rows] == list(zoo.load(tiny_world).table.names)
