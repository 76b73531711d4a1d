import pytest

from l2l_widgets.session.history import History
from l2l_widgets.session.states import Edit, SessionState


def state(number):
    return SessionState(seed=number)


def seeds(history):
    return [node.state.seed for node in history.nodes()]


def test_going_back_and_doing_something_else_keeps_the_other_branch():
    history = History(state(0))
    for number in (1, 2):
        history.enter(state(number))
    assert history.undo()
    assert history.undo()
    history.enter(state(3))
    assert seeds(history) == [0, 1, 2, 3]
    assert [node.parent for node in history.nodes()] == [None, 0, 1, 0]
    assert not history.can_redo
    assert history.goto(2)
    assert history.state.seed == 2
    assert history.undo()
    assert history.undo()
    assert history.redo()
    assert history.state.seed == 1, "redo leads where one went last"


def test_a_gesture_is_one_node_until_something_else_happens():
    history = History(state(0))
    for number in (1, 2, 3):
        history.enter(state(number), "drag")
    assert seeds(history) == [0, 3]
    history.undo()
    history.redo()
    history.enter(state(4), "drag")
    assert seeds(history) == [0, 3, 4]


def test_what_changes_nothing_is_no_step():
    history = History(state(0))
    history.enter(state(0))
    assert not history.can_undo
    history.enter(state(0), "drag")
    history.enter(state(1), "drag")
    history.enter(state(1), "next")
    history.enter(state(2), "next")
    assert seeds(history) == [0, 1, 2], "a gesture never changes what was there before it"


def test_the_oldest_loose_end_is_forgotten_first_and_never_the_way_back():
    history = History(state(0), most=4)
    history.enter(state(1))
    history.undo()
    for number in (2, 3, 4, 5):
        history.enter(state(number))
    assert seeds(history) == [2, 3, 4, 5]
    assert history.nodes()[0].parent is None
    assert not history.goto(1)
    assert [history.undo() for _ in range(4)] == [True, True, True, False]


def test_a_session_walks_its_tree(session):
    session.set_changes({"smile": 0.2})
    session.set_changes({"smile": 0.4})
    session.undo()
    session.set_changes({"age": 0.1})
    nodes = session.history()
    assert [n.state.edits[-1].changes for n in nodes] == [
        {}, {"smile": 0.2}, {"smile": 0.4}, {"age": 0.1},
    ]  # fmt: skip
    assert [n.current for n in nodes] == [False, False, False, True]
    stamp = session.stamp
    assert session.goto(nodes[2].id)
    assert session.stamp == stamp + 1
    assert session.render().requested == pytest.approx({"smile": 0.4})
    assert not session.goto(99)
    assert not session.can_redo


def test_states_compare_by_what_they_ask():
    assert (
        Edit(changes={"age": 0.1}, rows=[2, 1]).key()
        == Edit(changes={"age": 0.1}, rows=(1, 2)).key()
    )
    assert Edit(rows=(1,)).key() != Edit().key() != Edit(space="w").key()
