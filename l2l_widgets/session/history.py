"""What was done, as a tree: going back and doing something else keeps what was there.

Undo goes to the parent; redo to the child that was visited last. Every state that was ever reached
stays a node, so that the road not taken can still be taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from l2l_widgets.session.states import SessionState

#: Nodes kept; beyond that the oldest end of a branch goes, never what leads to where one stands.
MAX_NODES = 200


@dataclass(frozen=True)
class HistoryNode:
    """One state that was reached.

    Parameters
    ----------
    id : int
        Its number; numbers only grow, and are never used twice.
    parent : int or None
        Where it was reached from; None for the first, and where what came before was forgotten.
    state : SessionState
        What would be drawn there.
    current : bool
        Whether the session stands here.
    """

    id: int
    parent: int | None
    state: SessionState
    current: bool


@dataclass
class _Node:
    state: SessionState
    parent: int | None
    children: list[int] = field(default_factory=list)
    last: int | None = None  # child that was visited last


class History:
    """A tree of states; not thread-safe.

    Parameters
    ----------
    state : SessionState
        Where it begins.
    most : int
        Nodes kept, at least 2.
    """

    def __init__(self, state: SessionState, most: int = MAX_NODES) -> None:
        self._nodes = {0: _Node(state, None)}
        self._next = 1
        self._most = most
        self._gesture: str | None = None
        self.current = 0

    @property
    def state(self) -> SessionState:
        """The state where one stands."""
        return self._nodes[self.current].state

    @property
    def can_undo(self) -> bool:
        """Whether there is a way back."""
        return self._nodes[self.current].parent is not None

    @property
    def can_redo(self) -> bool:
        """Whether something was done from here before."""
        return self._nodes[self.current].last is not None

    def nodes(self) -> tuple[HistoryNode, ...]:
        """Every node, the oldest first; a parent comes before its children."""
        return tuple(
            HistoryNode(number, node.parent, node.state, number == self.current)
            for number, node in self._nodes.items()
        )

    def replace(self, state: SessionState) -> None:
        """Begin with another state; nothing was done yet."""
        self._nodes[self.current].state = state

    def enter(self, state: SessionState, gesture: str | None = None) -> None:
        """Go on to ``state``; within one gesture the node of its beginning is changed instead.

        A state equal to the one that is there is no step.
        """
        here = self._nodes[self.current]
        if state == here.state:
            return
        if gesture is not None and gesture == self._gesture and not here.children:
            here.state = state
            return
        self._gesture = gesture
        number = self._next
        self._next += 1
        self._nodes[number] = _Node(state, self.current)
        here.children.append(number)
        here.last = number
        self.current = number
        while len(self._nodes) > self._most:
            self._forget_one()

    def undo(self) -> bool:
        """Go to the parent; False where there is none."""
        return self.goto(self._nodes[self.current].parent)

    def redo(self) -> bool:
        """Go to the child that was visited last; False where there is none."""
        return self.goto(self._nodes[self.current].last)

    def goto(self, number: int | None) -> bool:
        """Stand at a node; False where there is none of that number."""
        if not isinstance(number, int) or number not in self._nodes:
            return False
        self._gesture = None
        self.current = number
        while (parent := self._nodes[number].parent) is not None:  # redo leads this way again
            self._nodes[parent].last = number
            number = parent
        return True

    def _forget_one(self) -> None:
        path = {self.current}
        number = self.current
        while (parent := self._nodes[number].parent) is not None:
            path.add(parent)
            number = parent
        for old, node in self._nodes.items():  # in the order of their numbers
            if not node.children and old not in path:
                assert node.parent is not None  # the root is on every path
                above = self._nodes[node.parent]
                above.children.remove(old)
                if above.last == old:
                    above.last = above.children[-1] if above.children else None
                del self._nodes[old]
                return
        root = self._nodes.pop(number)  # one line without branches: its beginning goes
        for child in root.children:
            self._nodes[child].parent = None
