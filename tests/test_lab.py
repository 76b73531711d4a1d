"""`l2l lab` and the server extension, as far as they go without a browser."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from l2l_widgets import server
from l2l_widgets.cli import lab, main

ROOT = Path(__file__).resolve().parent.parent


def parse(*words):
    parser = argparse.ArgumentParser()
    lab.add_parser(parser.add_subparsers())
    return parser.parse_args(["lab", *words])


def test_a_checkout_opens_its_own_notebooks(capsys):
    report = lab.run(parse("--dry-run"))
    assert Path(report["notebook"]) == ROOT / "notebooks" / "student_1_edit_a_face.ipynb"
    command = report["command"]
    assert f"--ServerApp.root_dir={ROOT / 'notebooks'}" in command
    assert "--LabApp.default_url=/lab/tree/student_1_edit_a_face.ipynb" in command
    assert "--no-browser" not in command
    assert "jupyterlab" in capsys.readouterr().out


def test_options_reach_the_server(tmp_path):
    words = ("student_2", "--no-browser", "--port=9123", f"--folder={tmp_path}", "--dry-run")
    report = lab.run(parse(*words))
    assert report["notebook"] == str(tmp_path / "student_2_train_a_mapper.ipynb")
    assert {"--no-browser", "--ServerApp.port=9123"} <= set(report["command"])
    assert list(tmp_path.iterdir()) == [], "a dry run writes nothing"


def test_the_log_holds_warnings_errors_and_the_address_alone():
    command = lab.run(parse("--dry-run"))["command"]
    assert {"--ServerApp.log_level=WARN", "--LabApp.log_level=WARN"} <= set(command)
    assert lab.server_environment({})[lab.TELLS] == "1"


@pytest.mark.parametrize("generated", [True, False])
def test_an_address_that_jupyter_would_not_tell_is_told(monkeypatch, generated):
    told, later = [], []
    app = SimpleNamespace(
        web_app=SimpleNamespace(settings={"kernel_websocket_connection_class": Connection}),
        log=SimpleNamespace(info=lambda *_: None, critical=lambda form, url: told.append(url)),
        identity_provider=SimpleNamespace(token_generated=generated),
        display_url="not known yet",
    )
    monkeypatch.setattr(server, "_when_it_runs", later.append)
    server._load_jupyter_server_extension(app)
    assert later == [], "another server than that of l2l lab"
    monkeypatch.setenv(lab.TELLS, "1")
    server._load_jupyter_server_extension(app)
    app.display_url = "http://127.0.0.1:8889/lab?token=..."
    for tell in later:
        tell()
    assert told == ([] if generated else [app.display_url])


@pytest.mark.parametrize("name", ["student_2", "student_2_train_a_mapper.ipynb"])
def test_a_notebook_is_found_by_name_or_by_its_start(name):
    found = lab.find_notebook(ROOT / "notebooks", name)
    assert found.name == "student_2_train_a_mapper.ipynb"


@pytest.mark.parametrize("name", ["student_99", "student", "", "../student_1_edit_a_face"])
def test_a_name_that_fits_none_or_several_lists_the_notebooks(name):
    with pytest.raises(ValueError, match=r"NAME .* allowed: .*student_1_edit_a_face, student_2"):
        lab.run(parse(name, "--dry-run"))


@pytest.mark.parametrize("port", ["0", "65536", "-1", "abc", "80.5"])
def test_an_impossible_port_is_refused(port):
    with pytest.raises(ValueError, match=r"--port is .*1 to 65535"):
        lab.run(parse(f"--port={port}", "--dry-run"))


def test_a_folder_that_cannot_be_had_is_named(tmp_path, capsys, monkeypatch):
    (tmp_path / "notes").write_text("mine")
    assert main(["lab", "--folder", str(tmp_path / "notes")]) == 2
    assert f"--folder is '{tmp_path / 'notes'}', which is a file" in capsys.readouterr().err

    def forbidden(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    # by a stand-in: a superuser, as in a container, may write anywhere
    monkeypatch.setattr(Path, "mkdir", forbidden)
    assert main(["lab", "--folder", str(tmp_path / "new")]) == 2
    said = f"l2l lab: cannot make the folder '{tmp_path / 'new'}': Permission denied; it must"
    assert capsys.readouterr().err.startswith(said)


def test_copies_are_made_once_and_a_changed_copy_is_kept(tmp_path):
    folder = tmp_path / "mine"
    made = lab.copy_notebooks(ROOT / "notebooks", folder)
    assert {p.name for p in made} >= {"student_1_edit_a_face.ipynb", "README.md"}
    changed = folder / "student_1_edit_a_face.ipynb"
    changed.write_text("my work")
    (folder / "student_2_train_a_mapper.ipynb").unlink()
    again = lab.copy_notebooks(ROOT / "notebooks", folder)
    assert [p.name for p in again] == ["student_2_train_a_mapper.ipynb"]
    assert changed.read_text() == "my work"


def test_an_installed_package_finds_its_notebooks(tmp_path):
    package = tmp_path / "site-packages" / "l2l_widgets"
    (package / "notebooks").mkdir(parents=True)
    (package / "notebooks" / "student_1_edit_a_face.ipynb").write_text("{}")
    other = package.parent / "notebooks"
    other.mkdir()
    (other / "student_1_of_somebody_else.ipynb").write_text("{}")
    assert lab.shipped_notebooks(package) == (package / "notebooks", False)
    (package / "notebooks" / "student_1_edit_a_face.ipynb").unlink()
    with pytest.raises(ValueError, match="install it again"):
        lab.shipped_notebooks(package)


def test_the_settings_keep_the_server_offline_and_the_users_own():
    environment = lab.server_environment({"JUPYTER_CONFIG_PATH": "/mine", "HOME": "/my-home"})
    assert environment["JUPYTER_CONFIG_PATH"] == os.pathsep.join([str(lab.CONFIG), "/mine"])
    assert environment["HOME"] == "/my-home"
    assert environment["OMP_NUM_THREADS"] == "1"
    assert lab.server_environment({"OMP_NUM_THREADS": "4"})["OMP_NUM_THREADS"] == "4"
    settings = json.loads((lab.CONFIG / "labconfig" / "default_setting_overrides.json").read_text())
    notification = settings["@jupyterlab/apputils-extension:notification"]
    assert notification == {"fetchNews": "false", "checkForUpdates": False}


def test_lab_and_wheel_enable_the_same_extension():
    enabled = {"ServerApp": {"jpserver_extensions": {"l2l_widgets.server": True}}}
    ours = lab.CONFIG / "jupyter_server_config.d" / "l2l_widgets.json"
    assert json.loads(ours.read_text()) == enabled
    wheel = f'"{ours.relative_to(ROOT).as_posix()}" = "etc/jupyter/jupyter_server_config.d/'
    assert wheel in (ROOT / "pyproject.toml").read_text()
    assert server._jupyter_server_extension_points() == [{"module": "l2l_widgets.server"}]


class Connection:
    """What the extension needs of a kernel connection."""

    def __init__(self, handler):
        self.websocket_handler = handler

    async def connect(self):
        return "connected"


def test_the_extension_turns_nagle_off_at_every_connection():
    calls = []
    app = SimpleNamespace(
        web_app=SimpleNamespace(settings={"kernel_websocket_connection_class": Connection}),
        log=SimpleNamespace(info=lambda *words: calls.append(words)),
    )
    server._load_jupyter_server_extension(app)
    replaced = app.web_app.settings["kernel_websocket_connection_class"]
    assert issubclass(replaced, Connection)
    assert replaced.__name__ == "Connection", "administrators configure the class by name"
    assert app.kernel_websocket_connection_class is replaced
    nodelay = []
    handler = SimpleNamespace(set_nodelay=nodelay.append)
    assert asyncio.run(replaced(handler).connect()) == "connected"
    assert nodelay == [True]
    server._load_jupyter_server_extension(app)
    assert app.web_app.settings["kernel_websocket_connection_class"] is replaced
    assert len(calls) == 2


def test_the_largest_file_that_a_view_takes_gets_through_to_the_kernel():
    """The painter's page posts 30 MB as base64; Tornado would hang up on more than 10 MiB."""
    from tornado.websocket import WebSocketHandler

    from l2l_widgets.widgets.mixer.identity_mixer import MAX_FILE as MIXED
    from l2l_widgets.widgets.paint.paint_bridge import MAX_FILE as PAINTED
    from l2l_widgets.widgets.photo.photo_inverter import MAX_FILE as INVERTED

    def allowed(**settings):
        app = SimpleNamespace(
            web_app=SimpleNamespace(
                settings={"kernel_websocket_connection_class": Connection, **settings}
            ),
            log=SimpleNamespace(info=lambda *_: None),
        )
        server._load_jupyter_server_extension(app)
        handler = SimpleNamespace(settings=app.web_app.settings)
        return WebSocketHandler.max_message_size.fget(handler)

    assert allowed() > 4 * max(MIXED, PAINTED, INVERTED) / 3 + 100_000
    assert allowed(websocket_max_message_size=5) == 5, "what an administrator has set"
