"""``l2l lab``: JupyterLab on the notebooks, with sliders that feel immediate, and offline.

The notebooks come from a source checkout, where they are opened in place, or from the installed
package, where they are copied to a folder of the user's first. A copy that the user has changed is
never overwritten.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checks import check_folder, whole_number

PACKAGE = Path(__file__).resolve().parent.parent
#: Server and Lab settings of our own; put before the user's in Jupyter's search path, and below
#: them in rank.
CONFIG = PACKAGE / "jupyter"
COPIES = "l2l_notebooks"
#: Variable by which `l2l_widgets.server` knows that it must tell the address where Jupyter, whose
#: user has set a token or a password, would tell it at a level that is not shown here.
TELLS = "L2L_LAB"
FIRST = "student_1"


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        "lab",
        help="open JupyterLab on the notebooks",
        description="Open JupyterLab on the notebooks. An installed package copies them to "
        f"./{COPIES} first; a changed copy is kept.",
    )
    parser.add_argument(
        "name",
        nargs="?",
        default=FIRST,
        metavar="NAME",
        help=f"notebook to open, or the start of its name (default: {FIRST})",
    )
    parser.add_argument("--port", default="8888", help="port to try first (default: 8888)")
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help=f"where the notebooks are copied to (default: ./{COPIES}; a checkout opens its own)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be started, and start nothing"
    )
    return parser


def shipped_notebooks(package: Path = PACKAGE) -> tuple[Path, bool]:
    """The folder of notebooks that came with the code, and whether it is a source checkout.

    Returns
    -------
    folder : Path
        Holds ``student_1_*.ipynb`` and its companions.
    checkout : bool
        True when the folder is the one under version control, to be opened in place.
    """
    for folder, checkout in ((package.parent / "notebooks", True), (package / "notebooks", False)):
        if any(folder.glob(f"{FIRST}*.ipynb")):
            # Beside an installed package a folder of that name is somebody else's.
            if checkout and not (package.parent / "pyproject.toml").is_file():
                continue
            return folder, checkout
    raise ValueError(
        f"no notebooks beside {package}: the installation is incomplete; install it again"
    )


def find_notebook(folder: Path, name: str) -> Path:
    """The notebook of ``folder`` whose file name is, or starts with, ``name``.

    Raises
    ------
    ValueError
        No notebook, or more than one, fits; the message lists those that exist.
    """
    known = sorted(folder.glob("*.ipynb"))
    stem = name.removesuffix(".ipynb")
    fits = [p for p in known if p.stem == stem] or [p for p in known if p.stem.startswith(stem)]
    if len(fits) == 1 and stem:
        return fits[0]
    what = "fits no notebook" if not fits else f"fits {len(fits)} notebooks"
    raise ValueError(f"NAME {name!r} {what}; allowed: {', '.join(p.stem for p in known)}")


def copy_notebooks(source: Path, folder: Path) -> list[Path]:
    """Copy the notebooks that ``folder`` does not have yet.

    Returns
    -------
    list of Path
        The copies that were made. A file that is already there is the user's work and stays as it
        is.
    """
    from l2l_widgets.storage import make_folder, write_atomic

    make_folder(folder)
    made = []
    for path in sorted([*source.glob("*.ipynb"), *source.glob("*.md")]):
        copy = folder / path.name
        if not copy.exists():
            write_atomic(copy, path.read_bytes())
            made.append(copy)
    return made


def server_command(notebook: Path, port: int, browser: bool) -> list[str]:
    """The command that starts JupyterLab with ``notebook`` open."""
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={notebook.parent}",
        f"--LabApp.default_url=/lab/tree/{notebook.name}",
        f"--ServerApp.port={port}",
        # Nothing goes online: no news, no version check, no catalogue of extensions.
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        # Nor is what loads. Warnings and errors stay, and so does the address, which is told above
        # this level (or by our own extension, see `TELLS`).
        "--ServerApp.log_level=WARN",
        "--LabApp.log_level=WARN",
    ]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # In a container everybody is root, and Jupyter would refuse to start; it listens on
        # localhost, with a token.
        command.append("--allow-root")
    return command


def server_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server: the user's, with our settings in Jupyter's search path.

    Kernels get one torch thread unless ``OMP_NUM_THREADS`` says otherwise: at the embedded size a
    second one gains a fifth at best, and on a shared machine threads that wait for each other cost
    far more than that.
    """
    path = [str(CONFIG), *filter(None, environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep))]
    return {
        "OMP_NUM_THREADS": "1",
        **environ,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(path),
        TELLS: "1",
    }


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Start JupyterLab and stay until it ends.

    Raises
    ------
    ValueError
        The notebook does not exist, the port is impossible, or the server ended with an error.
    """
    port = whole_number("--port", args.port, 1, 65535)
    source, checkout = shipped_notebooks()
    folder = source
    find_notebook(source, args.name)
    if args.folder is not None or not checkout:
        folder = (args.folder or Path.cwd() / COPIES).resolve()
        check_folder(folder, "--folder")
        if not args.dry_run:
            made = copy_notebooks(source, folder)
            print(f"notebooks in {folder} ({len(made)} new)", flush=True)
    notebook = folder / find_notebook(source, args.name).name
    command = server_command(notebook, port, browser=not args.no_browser)
    report = {"notebook": str(notebook), "command": command, "config": str(CONFIG)}
    if args.dry_run:
        print(" ".join(command))
        return report
    print("JupyterLab starts, and says its address below; Ctrl-C, twice, ends it", flush=True)
    _serve(command, server_environment(os.environ))
    return report


def _serve(command: list[str], environment: dict[str, str]) -> None:
    if os.name == "posix":
        # The server takes this process's place, so that Ctrl-C and a terminate signal reach it
        # directly.
        sys.stdout.flush()
        os.execve(command[0], command, environment)
    code = subprocess.run(command, env=environment, check=False).returncode
    if code:
        raise ValueError(f"JupyterLab ended with code {code}; its own message stands above")
