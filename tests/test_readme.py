"""What the README tells a newcomer to type, typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from l2l_widgets import cli
from l2l_widgets.cli import _build_parser
from l2l_widgets.judges import load_judge
from l2l_widgets.judges.declaration import KINDS, OUTPUTS
from tests import checkpoint_files as files
from tests.browser.harness import free_port
from tests.test_judges import write_network

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
L2L = (sys.executable, "-c", "import sys; from l2l_widgets.cli import main; sys.exit(main())")


def blocks(language):
    found = re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert found, f"the README has no {language} block"
    return found


def commands(program, language="sh"):
    lines = [line for block in blocks(language) for line in block.splitlines()]
    return [line.split(" #")[0].strip() for line in lines if line.startswith(f"{program} ")]


def test_two_make_commands_set_everything_up():
    assert commands("make") == ["make lab", "make test"]


def test_three_lines_of_python_show_an_editor(tmp_path):
    (first, *_) = blocks("python")
    lines = [line for line in first.splitlines() if line]
    assert len(lines) == 3
    code = "\n".join([*lines[:2], f"editor = {lines[2]}", "print(type(editor).__name__)"])
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "FaceEditor"


@pytest.mark.slow
def test_command_lines_do_what_they_say(tmp_path):
    lines = [c for c in commands("l2l") if not c.startswith("l2l lab")]
    assert len(lines) >= 3
    for line in lines:
        done = subprocess.run(
            [*L2L, *shlex.split(line)[1:]],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        if "--out" in line:
            words = shlex.split(line)
            assert (tmp_path / words[words.index("--out") + 1]).exists(), line
        if line.startswith("l2l edit "):
            with Image.open(tmp_path / "out.png") as picture:
                # two faces and what is between them: a newcomer sees what the edit changed
                assert picture.width > 2 * picture.height
            assert "identity kept" in done.stdout


def test_every_command_line_is_one_that_is_understood():
    lines = commands("l2l") + commands("l2l", "text")
    assert len(lines) > 25
    for line in lines:
        words = shlex.split(line)[1:]
        parsed = _build_parser(words[0]).parse_args(words)
        assert parsed.verb == words[0], line


def commands_of(notebook):
    """What a notebook's words tell to type: its lines of commands, and those within a sentence."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    lines = re.findall(r"^    (l2l .*)$", text, flags=re.MULTILINE)
    return [line.split(" #")[0] for line in lines], re.findall(r"`(l2l [^`\s]+ [^`\n]+)`", text)


def test_every_command_line_of_a_notebook_is_one_that_is_understood():
    found = {path.stem: commands_of(path) for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert sum(len(lines) + len(inline) for lines, inline in found.values()) > 8
    for name, (lines, inline) in found.items():
        made = set()
        for line in [*lines, *inline]:
            words = shlex.split(line)[1:]
            if words[1:] == ["--help"]:
                assert words[0] in cli.VERBS, (name, line)
                continue
            parsed = _build_parser(words[0]).parse_args(words)
            assert parsed.verb == words[0], (name, line)
            if line in lines:  # what a line takes, one before it has made
                taken = {word for word in words if re.fullmatch(r"ffhq\.\w+", word)}
                made |= taken if words[0] == "convert" else set()
                assert taken <= made, (name, line)


def test_bringing_ffhq_does_what_the_readme_says(tmp_path, monkeypatch, capsys):
    """With a small generator at NVIDIA's address, and networks of the published judges' shapes."""
    (block,) = (b for b in blocks("text") if "nvlabs" in b)
    lines = [line.split(" #")[0].strip() for line in block.splitlines()]
    assert 5 <= len(lines) <= 10
    monkeypatch.chdir(tmp_path)
    official = tmp_path / "fetched.pkl"
    official.write_bytes(files.nvlabs_bytes(files.make_generator(side=32)))

    def fetched(location, progress=True):
        assert location.base == (
            "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/ffhq.pkl"
        )
        return official

    monkeypatch.setattr("l2l_widgets.checkpoints.fetching.fetch", fetched)
    random = np.random.default_rng(0)
    write_network("attributes.onnx", random.normal(size=(3, 40)), 224)
    write_network("w600k_r50.onnx", random.normal(size=(3, 512)), 112)
    torch.save(torch.ones(1, 12), "age.pt")
    done = []
    for line in lines:
        words = shlex.split(line)[1:]
        if words[0] == "train" and "--dry-run" not in words:
            # hours; the same world without an editor, which another test trains from end to end
            words = ["world", "worlds/ffhq", *words[2:]]
        capsys.readouterr()
        code = cli.main(words)
        out, err = capsys.readouterr()
        if words[0] == "edit":  # understood, down to the attribute; only the editor is missing
            assert (code, "an editing method" in err) == (2, True), err
            assert "smiling" not in err
            continue
        assert (code, err) == (0, ""), f"{line}: {err}"
        done.append(words[0])
        if "--out" in words:
            assert Path(words[words.index("--out") + 1]).stat().st_size > 500, line
        if words[0] == "info":
            assert "from https://nvlabs-fi-cdn.nvidia.com/" in out
    assert done == ["convert", "info", "sample", "judges", "train", "world", "direction"]


def test_the_declaration_that_the_docs_show_is_one(tmp_path):
    text = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.toml").write_text(block, encoding="utf-8")
    write_network(tmp_path / "mine.onnx", np.eye(3) * 0.5, 128)
    judge = load_judge(tmp_path / "mine.toml")
    assert judge(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
    assert judge.declaration.attributes.keys() == {"smiling", "beard", "age"}
    kinds = re.findall(r'"(\w+)"', block.splitlines()[0])
    assert set(kinds) == set(KINDS)
    (outputs,) = (n for n in block.splitlines() if n.startswith("outputs"))
    assert set(re.findall(r'"(\w+)"', outputs)) == set(OUTPUTS)


def test_pictures_and_pages_that_the_readme_points_to_exist():
    links = [t for t in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in t]
    pictures = {Path(t).name for t in links if t.endswith((".png", ".jpg"))}
    assert pictures == {path.name for path in (ROOT / "docs").glob("*.png")}, "one is not shown"
    assert len(links) >= 4
    for target in links:
        assert (ROOT / target).exists(), target


def test_headings_that_the_readme_points_to_exist():
    links = re.findall(r"\]\(([^)\s]*#[^)]+)\)", README)
    assert len(links) >= 3
    for page, _, heading in (link.partition("#") for link in links if "://" not in link):
        text = (ROOT / (page or "README.md")).read_text(encoding="utf-8")
        titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
        assert heading in anchors, f"{page}#{heading}"


@pytest.mark.slow
def test_make_lab_prints_an_address_that_answers(tmp_path):
    """The last line of `make lab`, with the environment already made."""
    plan = subprocess.run(
        ["make", "--no-print-directory", "-n", "lab"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert plan.stdout.strip().splitlines()[-1].endswith("/l2l lab")
    # BROWSER names a program that "opens" the page: nothing appears, and its use can be seen.
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {shlex.quote(str(opened))}\n', encoding="utf-8")
    browser.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BROWSER": str(browser)}
    log = tmp_path / "log"
    with log.open("w", encoding="utf-8") as out:
        server = subprocess.Popen(
            [*L2L, "lab", "--port", str(free_port())], cwd=ROOT, env=env, stdout=out, stderr=out
        )
    try:
        address = wait_for(lambda: find_address(log), server)
        with urllib.request.urlopen(address, timeout=120) as page:
            assert page.status == 200
        wait_for(opened.exists, server)
    finally:
        server.terminate()
        server.wait(120)


def find_address(log):
    found = re.search(r"http://(127\.0\.0\.1|localhost):\d+/\S*", log.read_text("utf-8"))
    if found is None:
        return None
    try:
        with urllib.request.urlopen(found.group(), timeout=60):
            return found.group()
    except OSError:
        return None


def wait_for(ready, process, timeout=180.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended by itself"
        if found := ready():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not ready after {timeout:.0f} s")
