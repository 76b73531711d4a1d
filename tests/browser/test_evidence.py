"""A browser test that fails leaves what its pages showed, those too that closed on the way out."""

from __future__ import annotations

import pytest
from PIL import Image

from . import evidence, harness

pytestmark = pytest.mark.browser


VIEW = '<div class="l2l l2l-view" data-state="odd"><p role="alert">that cannot be</p></div>'


def fail(page):
    """What a test does whose page closes because of its failure."""
    with harness.page_beside(page) as own:
        own.set_content(VIEW)
        with own.expect_event("pageerror"):
            own.evaluate("() => { setTimeout(() => { throw new Error('thrown'); }); }")
        raise RuntimeError("a test")


def test_a_failure_leaves_words_and_pictures(page, tmp_path):
    with pytest.raises(RuntimeError, match="a test"):
        fail(page)
    words = evidence.leave(tmp_path, "test_of[one thing]")
    for told in ("page: thrown", '"state": "odd"', "that cannot be", "server log"):
        assert told in words
    pictures = sorted(tmp_path.glob("test_of-one-thing-*.png"))
    assert len(pictures) == 2, "of the page that closed, and of the one that is open"
    for path in pictures:
        assert f"picture: {path}" in words
        with Image.open(path) as picture:
            assert min(picture.size) > 400
    assert "that cannot be" not in evidence.leave(tmp_path, "another")
