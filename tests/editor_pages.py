"""What a browser does with an editor, without one: numbered messages in, traits and answers out."""

from __future__ import annotations

import json
import time


class Page:
    """One page on one face editor.

    Parameters
    ----------
    editor : FaceEditor
        Whose traits it watches.
    client : str
        How it names itself.
    """

    def __init__(self, editor, client="page"):
        self.editor, self.client, self.number = editor, client, 0
        self.seen, self.answers = [], []
        for name in ("settings", "before", "after", "receipt", "notice"):
            editor.observe(lambda change: self.seen.append(change["name"]), name)
        editor.send = lambda content, buffers=None: self.answers.append((content, buffers))

    def send(self, kind, **content):
        """A request that changes the picture."""
        self.number += 1
        self.ask(kind, client=self.client, number=self.number, **content)

    def ask(self, kind, **content):
        """A question of a panel: nothing waits for it."""
        self.editor._handle_custom_msg(json.loads(json.dumps({"kind": kind, **content})), [])

    def answer(self, kind, timeout=120.0):
        """The last answer of a type, once there is one; it is forgotten then."""
        assert wait_for(lambda: [a for a in self.answers if a[0]["type"] == kind], timeout)
        assert self.editor._panels.drain(timeout)
        found = [a for a in self.answers if a[0]["type"] == kind][-1]
        self.answers.clear()
        return found

    def settle(self, receipt=False):
        """Until every request is answered, and measured where ``receipt``."""
        assert wait_for(lambda: self.answered() >= self.number), "a request was never answered"
        if receipt:
            stamp = self.editor.session.stamp
            assert wait_for(lambda: self.editor.receipt.get("stamp") == stamp), "no receipt"
        # A trait has its new value before it is said to have changed: what is seen of it is whole
        # when the worker that sets it is done.
        assert self.editor.session.drain(120)

    def answered(self):
        """Number of the newest request that was answered."""
        both = (self.editor.after, self.editor.notice)
        return max(value.get("answers", {}).get(self.client, 0) for value in both)


def wait_for(question, timeout=120.0):
    """Whether the question is answered with yes within so many seconds."""
    end = time.monotonic() + timeout
    while not question():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
