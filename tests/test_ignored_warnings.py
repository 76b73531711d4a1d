"""Warnings that a thread ignores are no other thread's, and no list of filters is put back."""

from __future__ import annotations

import threading
import warnings

import pytest

from l2l_widgets.errors import ignored


def test_it_ignores_a_kind_for_a_while():
    with ignored(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="seen"):
            warnings.warn("seen", UserWarning, stacklevel=1)
    with pytest.raises(DeprecationWarning, match="old"):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_of_some_modules_alone():
    def warn_from(name):
        exec("import warnings; warnings.warn('a note', stacklevel=1)", {"__name__": name})

    with ignored(module=r"(numba|sklearn)\b"):
        for name in ("numba", "numba.core", "sklearn"):
            warn_from(name)
        for name in ("numbat", "somebody.numba", __name__):
            with pytest.raises(UserWarning, match="a note"):
                warn_from(name)
    with pytest.raises(UserWarning, match="a note"):
        warn_from("numba")


def test_what_another_thread_filters_meanwhile_stays():
    """A map drawn on a thread put back the filters of before, and silenced all others meanwhile."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def draw():
        with ignored(module="umap"):
            begun.set()
            assert go_on.wait(120)
        ended.set()

    threading.Thread(target=draw).start()
    assert begun.wait(120)
    with pytest.raises(UserWarning, match="seen"):
        warnings.warn("seen", UserWarning, stacklevel=1)
    own = list(warnings.filters)
    warnings.simplefilter("ignore", BytesWarning)
    go_on.set()
    assert ended.wait(120)
    assert len(warnings.filters) == len(own)  # one more, and one less
    warnings.warn("mine", BytesWarning, stacklevel=1)


def test_the_last_of_several_takes_the_entry_out():
    first, second = ignored(BytesWarning), ignored(BytesWarning)
    before = list(warnings.filters)
    for one in (first, second):
        one.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("still ignored", BytesWarning, stacklevel=1)
    second.__exit__(None, None, None)
    assert list(warnings.filters) == before
