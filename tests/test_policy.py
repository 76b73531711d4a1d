import json

import pytest
from conftest import good, make_session

from l2l_widgets import policy
from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli import main
from l2l_widgets.policy import VARIABLE, hidden_attributes, hide_attributes, visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.widgets import (
    EditorGrid,
    EntanglementExplorer,
    FaceEditor,
    Gallery,
    InterpolationView,
)


@pytest.fixture
def hidden(monkeypatch):
    monkeypatch.setenv(VARIABLE, "gender, beard")


def test_the_list_is_read_from_the_environment_a_file_or_python(monkeypatch, tmp_path):
    monkeypatch.setattr(policy, "_listeners", [])  # what others left open may have no age to hide
    assert hidden_attributes() == ()
    monkeypatch.setenv(VARIABLE, "gender; beard")
    assert hidden_attributes() == ("gender", "beard")
    path = tmp_path / "policy.txt"
    path.write_text("# not in this room\ngender\nanger fear  # too strong\n")
    monkeypatch.setenv(VARIABLE, f"@{path}")
    assert hidden_attributes() == ("gender", "anger", "fear")
    hide_attributes(["age"])
    try:
        assert hidden_attributes() == ("age",)
        assert "age" not in visible_table(DEFAULT_TABLE)
    finally:
        hide_attributes(None)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"policy\.txt: no UTF-8 text"):
        hidden_attributes()
    monkeypatch.setenv(VARIABLE, f"@{tmp_path / 'none.txt'}")
    with pytest.raises(ValueError, match="No such file"):
        hidden_attributes()
    with pytest.raises(ValueError, match="allowed: a list of names"):
        hide_attributes("gender")


def test_a_typing_error_hides_nothing_silently(monkeypatch):
    monkeypatch.setenv(VARIABLE, "gendre")
    with pytest.raises(ValueError, match=f"{VARIABLE}: attribute 'gendre' is unknown.*gender"):
        visible_table(DEFAULT_TABLE)
    monkeypatch.setenv(VARIABLE, "gender")
    assert visible_table(DEFAULT_TABLE.subset(["age"])).names == ("age",)


def test_sliders_receipt_and_readings_lack_it(hidden, tiny_models, tmp_path):
    session = make_session(tiny_models)
    editor = FaceEditor(session, folder=tmp_path)
    rows = [row["name"] for family in editor.schema["families"] for row in family["rows"]]
    assert len(rows) == len(DEFAULT_TABLE) - 2
    assert not {"gender", "beard"} & set(rows)
    assert not {"gender", "beard"} & set(editor.settings["readings"])
    editor.close()
    session.set_changes({"smile": 0.4})
    receipt = session.measure()
    text = json.dumps(receipt.to_dict()) + receipt.to_text(DEFAULT_TABLE)
    assert "gender" not in text.lower()
    assert "beard" not in text.lower()
    assert len(receipt.others) == len(DEFAULT_TABLE) - 3


def test_edits_and_recipes_that_ask_for_it_are_refused_by_name(tiny_models, monkeypatch):
    session = make_session(tiny_models)
    session.set_changes({"gender": 0.4})
    good(session.render())
    recipe = session.recipe()
    monkeypatch.setenv(VARIABLE, "gender")
    words = f"attribute 'gender' is hidden here (by {VARIABLE})"
    assert words in session.render().error
    session.update(changes={"age": 0.1}, preserve=("gender",))
    assert words in session.render().error
    from l2l_widgets.session.replay import parse_recipe

    with pytest.raises(ValueError, match="'gender' is hidden here"):
        EditSession.from_recipe(tiny_models, parse_recipe(json.dumps(recipe)))


def test_the_command_line_lacks_it(hidden, capsys, monkeypatch, tiny_world, tmp_path):
    from l2l_widgets.models import zoo

    monkeypatch.setattr(zoo, "WEIGHTS", tiny_world.parent)
    assert main(["attributes"]) == 0
    listed = capsys.readouterr().out
    assert "Gender" not in listed
    assert "Beard" not in listed
    assert "Smile" in listed
    assert main(["edit", "--set", "gender=0.9", "--out", str(tmp_path / "x.png")]) == 2
    assert "'gender' is hidden here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_view_hides_what_the_list_names(tiny_models, monkeypatch, tmp_path):
    monkeypatch.setenv("L2L_HIDE_ATTRIBUTES", "gender age")
    session = EditSession(tiny_models, method="linear", n_random=4)
    views = [
        EditorGrid(session, request={"smile": 0.2}, hide=["age"]),
        EntanglementExplorer(session, attributes=("smile",), faces=4),
        InterpolationView(session, folder=tmp_path),
        Gallery(session),
    ]
    for view in views:
        # the order of a judge's columns is no label
        text = json.dumps({k: v for k, v in view.schema.items() if k != "columns"})
        assert '"smile"' in text, type(view).__name__
        assert '"gender"' not in text, type(view).__name__
        assert '"age"' not in text, type(view).__name__
        view.close()
    session.close()
