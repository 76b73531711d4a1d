"""One `l2l lab`, one Chromium, one page.

The server is started by the command a user types, so the latency fix and the offline settings are
under test too. What the page hides is collected: errors of the kernel that no cell shows, errors of
the console, exceptions of the page.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from PIL import Image

from . import evidence

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--force-color-profile=srgb",
]
START_LAB = "import sys; from l2l_widgets.cli import main; sys.exit(main(['lab', *sys.argv[1:]]))"
#: Seconds after which something that should happen is held not to: what happens is noticed at once,
#: so this costs a healthy machine nothing, and a slow one that is busy with other things needs it.
PATIENCE = 120.0
#: Seconds that a server or a kernel may take to start.
STARTING = 600
#: What a view with nothing drawn on it, or with a line of words alone, is below: colours that it
#: shows, and the part of it that is not in its most frequent one.
LEAST_COLOURS, LEAST_DRAWN = 200, 0.05
#: Height of what JupyterLab has above and below a notebook, in pixels.
LAB_BARS = 120
#: Below those that any system gives to who asks for no certain one.
PORTS = range(20_000, 32_000)
#: What a browser says without anything being wrong.
HARMLESS = ("favicon", "is not trusted", "preloaded using link preload")
#: What anywidget says of a view whose script took more than two seconds to load, as on a machine
#: that is busy: the view sees to it that it hears its kernel all the same (``test_link``).
LATE_SCRIPT = "Failed to initialize model"


def find_chromium() -> str | None:
    """A Chromium or Chrome on this machine: from L2L_CHROMIUM, the path, or the usual places."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    places = (
        "/usr/bin/chromium",
        "/usr/lib/chromium/chromium",
        "/snap/bin/chromium",
        "/opt/google/chrome/chrome",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    )
    candidates = [os.environ.get("L2L_CHROMIUM"), *map(shutil.which, names), *places]
    return next((c for c in candidates if c and Path(c).is_file()), None)


def free_port() -> int:
    """A port for a server that takes seconds to start.

    None of those that the system gives to who asks for any: a kernel, or a page's line to its
    server, could have it by then.
    """
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port := PORTS.start + secrets.randbelow(len(PORTS))))
            return port


def steady(question, what: str = ""):
    """The answer to ``question()`` once it is given twice in a row: a page may yet move."""
    last = [object()]

    def again():
        before, last[0] = last[0], question()
        return last[0] == before

    until(again, what=what or "a page that stands still")
    return last[0]


def until(question, timeout: float = PATIENCE, step: float = 0.05, what: str = ""):
    """The first true answer to ``question()``; an AssertionError after ``timeout`` seconds.

    What the kernel sends arrives in several messages: whatever follows an action is asked for with
    this, also where another part of the answer is already there.
    """
    end, last = time.monotonic() + timeout, None
    while time.monotonic() < end:
        last = question()
        if last:
            return last
        time.sleep(step)
    raise AssertionError(f"{what or question} not within {timeout} s; last answer: {last!r}")


def crowd() -> float:
    """How many processes want each core that this one may use, at least 1.

    A limit on time is one for a machine of its own: where others wait for the same cores, a second
    of work is a part of one.
    """
    may_use = getattr(os, "sched_getaffinity", None)
    cores = len(may_use(0)) if may_use else os.cpu_count() or 1
    return max(1.0, max(os.getloadavg()[:2]) / cores)


@contextlib.contextmanager
def lab(
    folder: Path,
    notebook: str,
    environ: dict[str, str] | None = None,
    *,
    latency_fix: bool = True,
):
    """`l2l lab` on copies of the notebooks in ``folder``; yields its address.

    Nothing of the user's Jupyter is read or written: configuration, data, kernels' connection files
    and IPython's history live in a temporary folder.
    """
    home, port = Path(tempfile.mkdtemp(prefix="l2l-browser-")), free_port()
    config = {
        "IdentityProvider": {"token": ""},
        "ServerApp": {"port_retries": 0, "disable_check_xsrf": True},
        "LabApp": {
            "expose_app_in_browser": True,
            "user_settings_dir": str(home / "settings"),
            "workspaces_dir": str(home / "workspaces"),
        },
        "KernelManager": {"shutdown_wait_time": 1},
        # a minute if nothing is said: a busy machine may need longer to start a kernel
        "MappingKernelManager": {"kernel_info_timeout": STARTING},
    }
    if not latency_fix:
        config["ServerApp"]["jpserver_extensions"] = {"l2l_widgets.server": False}
    (home / "config").mkdir()
    (home / "config" / "jupyter_server_config.json").write_text(json.dumps(config))
    (home / "config" / "jupyter_lab_config.json").write_text(json.dumps(config))
    env = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        **(environ or {}),
    }
    command = [sys.executable, "-c", START_LAB, notebook, "--no-browser", f"--port={port}"]
    log = home / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, f"--folder={folder}"],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=folder,
            start_new_session=True,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            until(lambda: _answers(address, process, log), STARTING, 0.2, "a server")
            evidence.logs.append(log)
            yield address
        finally:
            evidence.logs[:] = [other for other in evidence.logs if other != log]
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            shutil.rmtree(home, ignore_errors=True)


def _answers(address: str, process: subprocess.Popen, log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"l2l lab ended with {process.returncode}:\n{log.read_text()[-3000:]}")
    try:
        urllib.request.urlopen(address + "/api/status", timeout=10).read()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@contextlib.contextmanager
def page(width: int = 1280, height: int = 900, scale: float = 1):
    """A fresh page; ``page.faults`` collects what its console and its scripts complain about.

    Scripts that came late are in ``page.late``: that is how busy the machine is.
    """
    from playwright.sync_api import sync_playwright

    executable = find_chromium()
    assert executable, "no Chromium on this machine; set L2L_CHROMIUM to one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, headless=True, args=CHROMIUM_ARGS
        )
        new = _new_page(browser, width, height, scale)
        try:
            yield new
        finally:
            evidence.pages.remove(new)
            browser.close()


@contextlib.contextmanager
def page_beside(other, width: int = 1280, height: int = 900):
    """A fresh page in the browser of another: a process can drive only one."""
    new = _new_page(other.context.browser, width, height, 1)
    try:
        yield new
    except BaseException:  # it is closed before pytest makes its report
        evidence.keep(new)
        raise
    finally:
        evidence.pages.remove(new)
        new.context.close()
        _end_kernel(new)


def _end_kernel(page) -> None:
    """End the kernel of the notebook that a page showed: it would keep its memory, and compute."""
    session, page.session = page.session, None
    if session is not None:
        with contextlib.suppress(OSError):  # a test may have ended it already, or its server
            request = urllib.request.Request(session, method="DELETE")
            urllib.request.urlopen(request, timeout=PATIENCE).close()


def _new_page(browser, width: int, height: int, scale: float):
    """A page in a context of its own, whose complaints are kept."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=scale
    )
    context.set_default_timeout(1000 * PATIENCE)
    new = context.new_page()
    new.faults, new.late, new.session = [], [], None
    evidence.pages.append(new)

    def note(text: str) -> None:
        (new.late if LATE_SCRIPT in text else new.faults).append(text)

    def hear(message) -> None:
        if message.type == "error" and not any(h in message.text for h in HARMLESS):
            note(f"console: {message.text}")

    new.on("console", hear)
    new.on("pageerror", lambda error: note(f"page: {error}"))
    return new


def write_notebook(folder: Path, name: str, *cells: str) -> Path:
    """Write a notebook of code cells, with a kernel's name: without one Lab asks for it."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": [
            {
                "cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [],
                "execution_count": None, "source": source.strip(),
            }
            for i, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    path = folder / name
    path.write_text(json.dumps(notebook))
    return path


def open_notebook(page, address: str, name: str, *, run: bool = True, timeout: float = 400) -> None:
    """Open a notebook in JupyterLab, listen to its kernel, and run all cells.

    The kernel of the notebook that the page showed before is ended.
    """
    page.goto("about:blank")  # what an earlier notebook complains about when it is left is not ours
    page.faults.clear()
    _end_kernel(page)
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.wait_for_function(
        """() => window.jupyterapp?.shell?.currentWidget?.content?.model?.cells""",
        timeout=1000 * timeout,
    )
    session = page.evaluate(
        """async () => {
          const panel = window.jupyterapp.shell.currentWidget;
          window.panel = panel;
          await panel.context.ready;
          await panel.sessionContext.ready;
          return panel.sessionContext.session.id;
        }"""
    )
    page.session = f"{address}/api/sessions/{session}"
    wait_idle(page, timeout)
    page.evaluate(
        """() => {
          window.kernelErrors = [];
          window.panel.sessionContext.iopubMessage.connect((_, m) => {
            if (m.header.msg_type !== 'error') return;
            window.kernelErrors.push([m.parent_header.msg_type, m.content.ename, m.content.evalue]);
          });
        }"""
    )
    if run:
        run_all(page, timeout)


def run_all(page, timeout: float = 400) -> None:
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    wait_idle(page, timeout)


def wait_idle(page, timeout: float = PATIENCE) -> None:
    page.wait_for_function(
        "() => window.panel.sessionContext.session?.kernel?.status === 'idle'",
        timeout=1000 * timeout,
    )


def kernel_errors(page) -> list:
    """Errors that the kernel sent, whether a cell shows them or not."""
    return page.evaluate("() => window.kernelErrors")


def cell_errors(page) -> list:
    """Errors in the outputs of cells, with the cell's number."""
    return page.evaluate(
        """() => {
          const cells = window.panel.content.model.cells, out = [];
          for (let i = 0; i < cells.length; i++) {
            const cell = cells.get(i);
            if (cell.type !== 'code') continue;
            for (let k = 0; k < cell.outputs.length; k++) {
              const o = cell.outputs.get(k).toJSON();
              if (o.output_type === 'error') out.push([i, o.ename, o.evalue]);
            }
          }
          return out;
        }"""
    )


def kernel_pid(page) -> int:
    """Process id of the notebook's kernel, asked for without leaving a cell behind."""
    return int(evaluate_in_kernel(page, "__import__('os').getpid()"))


def evaluate_in_kernel(page, expression: str) -> str:
    """The ``repr`` of an expression in the kernel's user namespace."""
    reply = page.evaluate(
        """async (expression) => {
          const kernel = window.panel.sessionContext.session.kernel;
          const future = kernel.requestExecute(
            {code: '', silent: true, store_history: false, user_expressions: {x: expression}});
          const reply = await future.done;
          return reply.content.user_expressions.x;
        }""",
        expression,
    )
    assert reply["status"] == "ok", reply
    return reply["data"]["text/plain"]


#: Whether the kernel has answered all that a view asked for.
SETTLED = "e => e.l2lLink.settled"
#: The view of the kernel that an element of the page shows, by the name of its still.
_STILL = "e => e.previousElementSibling.textContent.match(/l2l-still-[0-9a-f]+/)[0]"
_DRAIN = """(lambda view: [part.drain(60) for part in
  [*([view.session] if hasattr(view, 'session') else []), view._worker]] and view)(
  next(view for view in list(__import__('ipywidgets').widgets.widget._instances.values())
  if getattr(view, 'still', None) == '{still}'))"""


def settle(page, root, then: str = "True") -> str:
    """Wait until a view is answered, its kernel has drawn, and the page has taken it all.

    The kernel's messages are taken in the order in which they were sent, and before the reply to
    what is evaluated after them; so nothing that was asked for is still on its way.

    Parameters
    ----------
    page : playwright page
    root : locator
        Of the view's element.
    then : str
        An expression of the kernel's ``view``, evaluated when it has drawn.

    Returns
    -------
    str
        The ``repr`` of ``then``.
    """
    while True:  # a request that had to wait for an answer goes out when that has come
        until(lambda: root.evaluate(SETTLED), what="answers to all requests")
        drain = _DRAIN.format(still=root.evaluate(_STILL))
        found = evaluate_in_kernel(page, f"(lambda view: {then})({drain})")
        if root.evaluate(SETTLED):
            return found


def bring_into_sight(page, root) -> None:
    """Scroll to a view and wait until it has done what it put off while nobody saw it."""
    root.scroll_into_view_if_needed()
    seen = "view.audience.is_there"
    until(lambda: settle(page, root, seen) == "True", what="a view that knows it is seen")
    settle(page, root)


def picture_of(page, root, name: str) -> Image.Image:
    """Take a picture of a view, on which something must be drawn.

    It is kept as ``name``.png where L2L_SCREENSHOTS names a folder, for a person to look at.

    Parameters
    ----------
    page : playwright page
    root : locator
        Of the view's element.
    name : str
        Of the file.

    Returns
    -------
    PIL Image
        RGB.
    """
    page.mouse.move(2, 2)  # a picture of the view, not of what the mouse happens to point at
    window, tall = page.viewport_size, math.ceil(root.bounding_box()["height"])
    if tall > window["height"] - LAB_BARS:  # what the window cuts off would not be drawn
        page.set_viewport_size({"width": window["width"], "height": tall + 2 * LAB_BARS})
    try:
        data = root.screenshot()
    finally:
        if page.viewport_size != window:
            page.set_viewport_size(window)
    if folder := os.environ.get("L2L_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f"{name}.png").write_bytes(data)
    with Image.open(io.BytesIO(data)) as picture:
        shown = picture.convert("RGB")
    pixels = shown.width * shown.height
    counts = [count for count, _ in shown.getcolors(pixels)]
    drawn = 1 - max(counts) / pixels
    assert len(counts) >= LEAST_COLOURS, f"{name} is blank: {len(counts)} colours"
    assert drawn >= LEAST_DRAWN, f"{name} is blank: one colour but for {drawn:.1%}"
    return shown


def keep_picture(page, root, name: str) -> None:
    """Take a further picture of a view, only where a folder is named to look at it."""
    if os.environ.get("L2L_SCREENSHOTS"):
        picture_of(page, root, name)
