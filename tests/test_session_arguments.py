"""An argument of the wrong kind is refused by name, and leaves the session as it was."""

from __future__ import annotations

import pytest
import torch
from conftest import LinearEditor, build_attribute_net, build_directions, build_generator

from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import SharedFace


@pytest.fixture(scope="module")
def models():
    return Models.from_parts(
        build_generator(),
        regressor=build_attribute_net(1),
        editors={"linear": LinearEditor(build_directions())},
    )


@pytest.fixture
def session(models):
    session = EditSession(models, method="linear")
    session.set_targets({"smile": 0.4})
    yield session
    session.close()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.set_changes(3), "changes is 3; allowed: attribute names and numbers, such as"),
        (lambda s: s.set_changes("smile"), "changes is 'smile'; allowed: attribute names and"),
        (lambda s: s.set_changes({3: 0.1, "age": 0.2}), "changes is {3: 0.1, 'age': 0.2}"),
        (lambda s: s.set_targets(["age"]), r"targets is \['age'\]; allowed"),
        (lambda s: s.update(changes=None), "changes is None; allowed"),
        (lambda s: s.request(targets=0.5), "targets is 0.5; allowed"),
        (lambda s: s.update(preserve=3), "preserve is 3; allowed: attribute names, such as"),
        (lambda s: s.update(preserve="smile"), "preserve is 'smile'; allowed: attribute names"),
        (lambda s: s.update(rows=3), r"rows is 3; allowed: None, or numbers, such as \[0, 1\]"),
        (lambda s: s.update(rows="0-3"), "rows is '0-3'; allowed: None, or numbers"),
        (lambda s: s.set_models(3), "models is 3; allowed: the Models that load"),
        (
            lambda s: EditSession(s.models, n_random=0),
            "n_random is 0; allowed: a whole number from 1",
        ),
        (lambda s: EditSession(s.models, n_random="8"), "n_random is '8'; allowed: a whole number"),
        (lambda s: s.take(3), "recipe is 3; allowed: what read_recipe gives"),
        (
            lambda s: EditSession.from_recipe(s.models, {}),
            "recipe is {}; allowed: what read_",
        ),
        (lambda s: s.render(3), "state is 3; allowed: a session's state, or None"),
        (lambda s: s.recipe(3), "picture is 3; allowed: scale and compare, by name"),
        (lambda s: s.save(None), "path is None; allowed: a file's name"),
        (lambda s: s.subscribe(3), "callback is 3; allowed: a function"),
        (lambda s: SharedFace.of(s).subscribe("f"), "callback is 'f'; allowed: a function"),
    ],
)
def test_it_is_named_and_nothing_changes(session, call, says):
    before = session.state
    with pytest.raises(ValueError, match=says):
        call(session)
    assert session.state == before
    assert session.models.name
    assert session.render().error is None


def test_what_is_of_the_right_kind_is_taken_as_before(session):
    session.set_changes({"smile": 0.1})
    assert dict(session.state.edits[-1].targets) == {}, "it gives its target up"
    session.update(rows=torch.arange(3).tolist(), preserve=["age"])
    assert session.state.edits[-1].rows == (0, 1, 2)
    session.update(rows=None, preserve=())
    assert session.state.edits[-1].rows is None
    assert not session.goto([3]), "there is no such node"
