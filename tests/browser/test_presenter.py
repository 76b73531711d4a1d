"""The presenting notebook, as a cell of JupyterLab and as a page of its own under Voila."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from . import harness

pytestmark = pytest.mark.browser

NOTEBOOK = "teacher_2_present.ipynb"


@contextlib.contextmanager
def voila(folder, notebook):
    """Voila on one notebook; yields its address."""
    port = harness.free_port()
    home = folder / "voila-home"
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "L2L_SMOKE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(
            [str(harness.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }
    log = folder / "voila.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "voila", str(folder / notebook), "--no-browser",
             f"--port={port}", "--Voila.ip=127.0.0.1", "--show_tracebacks=True",
             f"--VoilaExecutor.startup_timeout={harness.STARTING}"],
            stdout=stream, stderr=subprocess.STDOUT, env=environment, cwd=folder,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            starts = harness.STARTING
            harness.until(lambda: _answers(address, process, log), starts, 0.3, "Voila")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(address, process, log):
    if process.poll() is not None:
        raise AssertionError(f"voila ended with {process.returncode}:\n{log.read_text()[-3000:]}")
    try:
        # Any answer will do; the page itself would run the notebook.
        urllib.request.urlopen(address + "/voila/static/", timeout=10).read()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def show_views(tab, address, places, loading):
    """Open a page of Voila and wait for all views of it, by their elements.

    The page is there when all cells have run (``loading`` seconds at most). Where it then asks the
    kernel for its widgets and never shows them, loading it again, in a new kernel, is what a user
    would do; the last attempt waits longest.
    """
    from playwright.sync_api import TimeoutError as NotInTime

    for seconds in (90, 180, 360):
        tab.goto(address, timeout=1000 * loading)
        with contextlib.suppress(NotInTime):
            for place in places:
                tab.locator(place).first.wait_for(timeout=1000 * seconds)
            return
    raise AssertionError(f"Voila did not show all of {', '.join(places)} within {seconds} s")


def first_presenter(page, timeout):
    root = page.locator(".l2l-presenter").first
    root.wait_for(timeout=1000 * timeout)
    harness.until(lambda: root.get_attribute("data-at") == "0", 400, what="the first step")
    root.scroll_into_view_if_needed()
    return root


def at(root):
    return int(root.get_attribute("data-at"))


def face(root):
    return root.locator("canvas").first.evaluate("c => c.toDataURL()")


def play(page, root):
    """A lesson with the keyboard alone: on, on, back, before, what moved."""
    steps = int(root.locator(".l2l-where").inner_text().split(" of ")[1])
    assert steps >= 6
    first = face(root)
    page.keyboard.press("ArrowRight")
    harness.until(lambda: at(root) == 1, what="the next step")
    page.keyboard.press("Space")
    harness.until(lambda: at(root) == 2, what="another")
    harness.until(lambda: face(root) != first, what="an edited face")
    edited = face(root)
    page.keyboard.down("b")
    harness.until(lambda: root.get_attribute("data-shows") == "before")
    harness.until(lambda: face(root) != edited, what="the face as it was")
    page.keyboard.up("b")
    harness.until(lambda: root.get_attribute("data-shows") == "after")
    page.keyboard.press("m")
    moved = root.locator(".l2l-moved")
    harness.until(lambda: moved.get_attribute("data-ready") == "true", 400, what="a receipt")
    harness.until(moved.is_visible, what="what moved")
    harness.picture_of(page, root, "Presenter")
    page.keyboard.press("PageUp")
    harness.until(lambda: at(root) == 1, what="one step back")
    page.keyboard.press("End")
    harness.until(lambda: at(root) == steps - 1, what="the last step")
    harness.until(root.get_by_role("button", name="Next").is_disabled, what="the end")
    page.keyboard.press("Home")
    harness.until(lambda: at(root) == 0, what="the first step again")
    root.get_by_role("button", name="Next").click()
    harness.until(lambda: at(root) == 1, what="a click on Next")
    size = root.locator("h2").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert size >= 28, "type for the last row"


def test_in_jupyterlab_the_panel_takes_the_keys_after_a_click(page, address):
    harness.open_notebook(page, address, NOTEBOOK, timeout=600)
    root = first_presenter(page, 400)
    cells = page.locator(".jp-Notebook .jp-mod-active")
    root.locator("h2").click()
    before = cells.count()
    play(page, root)
    assert cells.count() == before
    assert harness.cell_errors(page) == []
    assert harness.kernel_errors(page) == []
    assert page.faults == []


def test_under_voila_the_keys_work_without_a_click(page, tmp_path):
    shutil.copy(harness.ROOT / "notebooks" / NOTEBOOK, tmp_path)
    with voila(tmp_path, NOTEBOOK) as address, harness.page_beside(page) as tab:
        show_views(tab, address, [".l2l-presenter"], 900)
        root = first_presenter(tab, 300)
        assert tab.locator(".jp-InputArea-editor").count() == 0, "code is shown"
        play(tab, root)
        assert [fault for fault in tab.faults if fault.startswith("page: ")] == []
