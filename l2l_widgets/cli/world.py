"""``l2l render`` and ``l2l doctor``: faceworld on disk, and the state of a machine.

The doctor looks at what people report as "it does not work": the Python and torch that run, the
weights' hashes, a render and an edit with their times, the browser side of the widgets, and memory
for a class of learners.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from l2l_widgets.cli.checks import (
    SEED_MAX,
    check_device,
    check_folder,
    whole_number,
)
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.doctor_text import doctor_text

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

MB = 1024 * 1024
#: Lab extension folder -> the distribution that installs it. Without them widgets stay text.
LAB_EXTENSIONS = {
    "@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets",
    "anywidget": "anywidget",
}
PACKAGES = ("jupyterlab", "jupyter_server", "ipykernel", "ipywidgets", "anywidget", "plotly")
#: The operating system and the Jupyter server, beside the learners' kernels.
RESERVE_MB = 1024
#: Sides of a rendered portrait, in pixels.
SIDES = (16, 1024)


def add_parser(subparsers: Any) -> None:
    """Add the two verbs."""
    render = subparsers.add_parser(
        "render",
        help="faceworld pictures, masks and attributes",
        description="Render portraits of faceworld in the folder layout of CelebAMask-HQ, with "
        "every true factor in factors.csv. A stopped run goes on where it was.",
    )
    render.add_argument("count", metavar="N", help="portraits that the folder shall hold")
    render.add_argument(
        "--size", default="128", help="pixels a side: 16, 32 ... 1024 (default: 128)"
    )
    render.add_argument(
        "--seed", default="0", help="the same seed gives the same portraits (default: 0)"
    )
    render.add_argument(
        "--independent", action="store_true",
        help="every factor on its own, without the planted correlations",
    )  # fmt: skip
    render.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to fill")
    render.add_argument(
        "--jobs", default=None, metavar="N", help="processes (default: as many as pay)"
    )
    render.add_argument("--device", default=None, help="cpu or cuda (default: cuda where there is)")
    render.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=None,
        help="compile the renderer first (default: where a long run and a C++ compiler are)",
    )  # fmt: skip
    render.add_argument("--json", action="store_true", help="print one JSON object at the end")

    doctor = subparsers.add_parser(
        "doctor",
        help="is this machine fit: weights, speed, browser side, memory",
        description="Check the installation. Exit code 1, and a named problem, for what is wrong.",
    )
    doctor.add_argument("--seats", default=None, metavar="N", help="learners on this machine")
    doctor.add_argument("--generator", default=None, metavar="NAME|PATH", help="models to check")
    doctor.add_argument("--device", default="cpu", help="where to compute (default: cpu)")
    doctor.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the verb that was typed."""
    return {"render": run_render, "doctor": run_doctor}[args.verb](args)


def run_render(args: argparse.Namespace) -> dict[str, Any]:
    """Render portraits into a folder."""
    count = whole_number("N", args.count, 1, 1_000_000)
    size = whole_number("--size", args.size, *SIDES)
    if size & (size - 1):
        raise ValueError(
            f"--size is {args.size!r}; allowed: a power of two from {SIDES[0]} to {SIDES[1]}"
        )
    seed = whole_number("--seed", args.seed, 0, SEED_MAX)
    jobs = None if args.jobs is None else whole_number("--jobs", args.jobs, 1, 256)
    check_device(args.device)
    check_folder(args.out)

    import torch

    from l2l_widgets.faceworld.celebamask import LayoutConfig
    from l2l_widgets.faceworld.layout_run import write_layout

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind = device.split(":")[0]
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        raise ValueError(f"--device is {device!r}; allowed: cpu, or cuda where torch finds a card")
    config = LayoutConfig(seed=seed, size=size, correlated=not args.independent)
    start = time.perf_counter()
    with Progress(count, sys.stderr) as line:
        made = write_layout(args.out, config, count, line, jobs, device, args.compile)
    seconds = time.perf_counter() - start
    if not args.json:
        print(f"{args.out}: {counted(count, 'portrait')}, {made} of them new, {seconds:.1f} s")
    return {
        "out": str(args.out),
        "count": count,
        "rendered": made,
        "size": config.size,
        "seed": config.seed,
        "correlated": config.correlated,
        "seconds": seconds,
        "images_per_second": line.rate,
    }


class Progress:
    """A line with the rate of the last half minute and the time left by it.

    The rate counts what reached the disk since the first of it did: neither what was there before
    nor the compiler's minutes. On a terminal the line is drawn over; elsewhere one is written every
    half minute.
    """

    WINDOW = 30.0

    def __init__(
        self, count: int, stream: TextIO, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.count, self.stream, self.clock = count, stream, clock
        self.terminal = stream.isatty()
        self.seen: list[tuple[float, int]] = []  # moments and how many were there
        self.rate: float | None = None
        self.written = clock()
        self.width = 0

    def __call__(self, done: int) -> None:
        """Say that ``done`` portraits are there."""
        now = self.clock()
        if self.seen and done == self.seen[-1][1]:
            return
        self.seen.append((now, done))
        if len(self.seen) == 1:  # what was there before the first was drawn
            self._show(f"{done} of {counted(self.count, 'portrait')} on disk", now, now)
            return
        # from the first drawn batch on, and no longer ago than the window
        while len(self.seen) > 3 and self.seen[2][0] <= now - self.WINDOW:
            del self.seen[1]
        (since, before), (last, latest) = self.seen[1], self.seen[-1]
        text = f"{done} of {counted(self.count, 'portrait')}"
        if last > since:
            self.rate = (latest - before) / (last - since)
            left = max(0, self.count - done) / self.rate
            text += f", {self.rate:.1f} images/s, {_duration(left)} left"
        self._show(text, now, self.written + (0.2 if self.terminal else self.WINDOW))

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self.terminal and self.width:
            self.stream.write("\n")

    def _show(self, text: str, now: float, due: float) -> None:
        if now < due:
            return
        self.written = now
        if self.terminal:
            self.stream.write("\r" + text.ljust(self.width))
            self.width = len(text)
        elif len(self.seen) > 1:  # in a log, the first line is worth nothing
            self.stream.write(text + "\n")
        self.stream.flush()


def _duration(seconds: float) -> str:
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes >= 10 else f"{minutes} min {whole} s"


def run_doctor(args: argparse.Namespace) -> dict[str, Any]:
    """Check the installation and print what was found.

    Returns
    -------
    dict
        ``problems`` (list of str), ``ok``, and the findings of each section.

    Raises
    ------
    SystemExit
        With code 1, after everything is printed, when there are problems.
    """
    seats = None if args.seats is None else whole_number("--seats", args.seats, 1, 10_000)
    check_device(args.device)
    _check_named(args.generator)
    problems: list[str] = []
    report: dict[str, Any] = {"machine": machine()}
    report["weights"] = _guarded(problems, "weights", lambda: weights(args.generator, problems))
    report["speed"] = _guarded(problems, "speed", lambda: speed(args.generator, args.device))
    report["browser"] = _guarded(problems, "browser", lambda: browser(problems))
    report["memory"] = _guarded(problems, "memory", lambda: memory(seats, problems))
    report.update(problems=problems, ok=not problems)
    if not args.json:
        print(doctor_text(report))
    if problems:
        if args.json:
            print(json.dumps(report), flush=True)
        raise SystemExit(1)
    return report


def _check_named(generator: str | None) -> None:
    """Refuse a name of nothing; what is wrong with models that are there is a finding."""
    from l2l_widgets.models.checks import NoSuchModelsError
    from l2l_widgets.models.zoo import load

    try:
        load(generator)
    except NoSuchModelsError as error:
        raise ValueError(f"--generator {str(error).removeprefix('models ')}") from None
    except ValueError:
        return


def machine() -> dict[str, Any]:
    """Processor, memory, Python and torch."""
    import torch

    import l2l_widgets

    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))  # what a container leaves us, not what is built in
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": cores,
        "memory_mb": _memory_mb("MemTotal"),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.is_available(),
        "l2l_widgets": l2l_widgets.__version__,
    }


def weights(generator: str | None, problems: list[str]) -> dict[str, Any]:
    """Compare every weight file with its manifest."""
    from l2l_widgets.models.zoo import ZooError, load

    models = load(generator)
    files: dict[str, str] = {}
    size = 0
    for file, entry in sorted(models.manifest.items()):
        if entry.get("intermediate") and models.folder and not (models.folder / file).exists():
            continue  # only training reads it
        try:
            size += models.check_file(file).stat().st_size
            files[file] = "ok"
        except ZooError as error:
            files[file] = "damaged"
            problems.append(f"weights: {error}")
    return {
        "models": models.name,
        "folder": str(models.folder),
        "files": files,
        "size_mb": round(size / MB, 1),
        "hashes": models.hashes,
    }


def speed(generator: str | None, device: str) -> dict[str, Any]:
    """Time one face and one edit, first and warm, in milliseconds."""
    from l2l_widgets.models.zoo import load
    from l2l_widgets.session.edit_session import EditSession

    start = time.perf_counter()
    models: Models = load(generator, device=device)
    session = EditSession(models, n_random=8)
    first = session.render()
    if first.error is not None:
        raise ValueError(first.error)
    out: dict[str, Any] = {
        "first_face_ms": _since(start),
        "resolution": models.generator.img_resolution,
    }
    method = next(iter(models.available_editors), None)
    if method is None:
        raise ValueError(f"models {models.name!r} hold no editor")
    name = "smile" if "smile" in models.table else models.table.names[0]
    times = []
    for k in range(8):
        session.update(method=method, changes={name: 0.02 * (k + 1)})
        start = time.perf_counter()
        result = session.render()
        times.append(_since(start))
        if result.error is not None:
            raise ValueError(result.error)
    start = time.perf_counter()
    receipt = session.measure()
    out |= {"method": method, "first_edit_ms": times[0], "edit_ms": sorted(times[1:])[3]}
    if receipt is not None:
        if receipt.error is not None:
            raise ValueError(receipt.error)
        out["receipt_8_random_edits_ms"] = _since(start)
    return out


def browser(problems: list[str]) -> dict[str, Any]:
    """Versions of the Jupyter packages, and whether JupyterLab will find their browser side."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
            problems.append(f"browser: package {package!r} is not installed: pip install {package}")
    extensions: dict[str, str | None] = {}
    for name, package in LAB_EXTENSIONS.items():
        extensions[name] = _extension_version(name)
        if extensions[name] is None:
            problems.append(
                f"browser: JupyterLab's extension {name!r} is not installed, widgets would show "
                f"as text: pip install --force-reinstall {package}"
            )
    return {
        "packages": versions,
        "extensions": extensions,
        "server_extension": _server_extension(),
    }


def _extension_version(name: str) -> str | None:
    for folder in _jupyter_path("labextensions"):
        file = Path(folder) / name / "package.json"
        if file.is_file():
            return str(json.loads(file.read_text(encoding="utf-8")).get("version"))
    return None


def _server_extension() -> bool:
    """Whether a plain ``jupyter lab`` loads our extension; ``l2l lab`` always does."""
    for folder in _config_path():
        for file in (Path(folder) / "jupyter_server_config.d").glob("*.json"):
            try:
                settings = json.loads(file.read_text(encoding="utf-8"))
                enabled = settings["ServerApp"]["jpserver_extensions"]
                if any(name.startswith("l2l_widgets") and on for name, on in enabled.items()):
                    return True
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
    return False


def _jupyter_path(name: str) -> list[str]:
    from jupyter_core.paths import jupyter_path

    return jupyter_path(name)


def _config_path() -> list[str]:
    from jupyter_core.paths import jupyter_config_path

    return jupyter_config_path()


def memory(seats: int | None, problems: list[str]) -> dict[str, Any]:
    """How many learners' kernels fit, from this process with the widget libraries loaded."""
    for module in ("ipykernel", "ipywidgets", "anywidget"):
        try:
            importlib.import_module(module)
        except ImportError:  # named among the browser's problems
            continue
    kernel, available = _own_memory_mb(), _memory_mb("MemAvailable")
    out: dict[str, Any] = {"kernel_mb": kernel, "available_mb": available, "seats": seats}
    if kernel is None or available is None:
        out["seats_that_fit"] = None
        return out
    out["seats_that_fit"] = max(0, (available - RESERVE_MB) // kernel)
    wanted = seats or 1
    if out["seats_that_fit"] < wanted:
        problems.append(
            f"memory: {counted(wanted, 'seat')} need{'s' * (wanted == 1)} "
            f"{wanted * kernel + RESERVE_MB} "
            f"MB, {available} MB are free: {out['seats_that_fit']} fit"
        )
    return out


def _memory_mb(field: str) -> int | None:
    """A line of the kernel's memory table in MB; None where there is no such table."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) // 1024
    except (OSError, ValueError):
        pass
    if field == "MemTotal" and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MB
    return None


def _own_memory_mb() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // MB if sys.platform == "darwin" else peak // 1024


def _since(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 1)


def _guarded(problems: list[str], section: str, check: Callable[[], dict[str, Any]]) -> Any:
    """Run a check; what it raises is a problem of its section, and the others still run."""
    try:
        return check()
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        line = line or type(error).__name__
        # one fault, such as models that do not exist, stops several sections
        if not any(problem.endswith(f": {line}") for problem in problems):
            problems.append(f"{section}: {line}")
        return None
