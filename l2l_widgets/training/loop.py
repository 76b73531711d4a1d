"""The training loop: one loop for every recipe, over Hugging Face Accelerate.

A `Task` says what is trained; `train` decides when to step, record, evaluate, save and stop. The
same task runs on a CPU, on one GPU, or on many processes under `accelerate launch`.

Two rules make runs reproducible:

- every random number is a function of (seed, step): the batch, its noise and the torch stream;
- the batch is drawn for all processes together and each process takes its slice, gradients and
  losses being averaged. The number of processes then does not change the curve of a task that draws
  everything in `batch` or from `context.generator`. A task that draws from torch's own stream
  (dropout, a generator's random noise) draws other numbers in each process, and one whose loss
  looks across the batch (the deviation within groups of pictures) sees a part of it: those train
  as well on several processes, along another curve.

Gradients are averaged explicitly when an optimizer steps (the official StyleGAN code does the
same) and not by a wrapper around the network, so that several networks and several backward
passes per step need no special care.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from l2l_widgets.training.presence import Presence
from l2l_widgets.training.run_directory import RunDirectory, TrainingError
from l2l_widgets.training.schedules import make_generator, seeded
from l2l_widgets.training.task import HIGHER_IS_BETTER, Context, Settings, Task, batch_size
from l2l_widgets.training.watch import Watch

Record = dict[str, Any]


class Control:
    """Stop and pause switches that another thread may use while `train` runs."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()

    def stop(self) -> None:
        """Ask the run to save and end after the step it is in."""
        self._stop.set()
        self._go.set()

    def pause(self) -> None:
        """Hold the run after the step it is in."""
        self._go.clear()

    def resume(self) -> None:
        """Let a held run go on."""
        self._go.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    @property
    def paused(self) -> bool:
        """Whether the run is held."""
        return not self._go.is_set()

    def wait_while_paused(self, seconds: float) -> None:
        """Return at once, or when `resume` or `stop` is called, or after so many seconds."""
        self._go.wait(seconds)


@dataclass
class Outcome:
    """How a call of `train` ended.

    Attributes
    ----------
    step
        The step reached.
    finished
        Whether that is the end and `final/` is complete; False after a stop.
    scores
        What `Task.finish` returned; {} on other processes than the main one.
    run_directory
        Where everything is.
    is_main
        Whether this is the main process, the one that writes and speaks.
    """

    step: int
    finished: bool
    scores: dict[str, float]
    run_directory: Path
    is_main: bool = True


@contextlib.contextmanager
def _stop_on_signals(control: Control) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a clean stop; a second Ctrl-C interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        if control.stopping and number == signal.SIGINT:
            raise KeyboardInterrupt
        control.stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Means:
    """Sums of scalar losses on their device, averaged over steps and processes when read."""

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, losses: Mapping[str, torch.Tensor]) -> None:
        for name, value in losses.items():
            value = torch.as_tensor(value).detach().double().mean()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def read(self, context: Context) -> dict[str, float]:
        names = sorted(self.sums)
        if not names:
            return {}
        stacked = torch.stack([self.sums[name].to(context.device) for name in names])
        values = context.average(stacked).tolist()
        means = {name: value / self.counts[name] for name, value in zip(names, values, strict=True)}
        self.sums, self.counts = {}, {}
        return means


@contextlib.contextmanager
def main_process_first(settings: Settings) -> Iterator[bool]:
    """Run a block in the main process, then in the others; yields whether this is the main one.

    For preparations that write files: data sets, caches.
    """
    accelerator = _start_accelerator(settings)
    with accelerator.main_process_first():
        yield accelerator.is_main_process


def _start_accelerator(settings: Settings) -> Any:
    from accelerate import Accelerator  # slow to import, and only training needs it

    # mixed precision is our own autocast: Accelerate fixes its setting for the life of the
    # process, and a notebook may train once with bf16 and once without
    return Accelerator(cpu=settings.device == "cpu", mixed_precision="no")


class _Run:
    """The state of one call of `train`; its methods are the loop's parts, in order of use."""

    def __init__(
        self,
        task: Task,
        settings: Settings,
        directory: RunDirectory,
        accelerator: Any,
        callbacks: tuple[Callable[[Record], None], ...],
        presence: Presence,
    ) -> None:
        self.task = task
        self.presence = presence
        self.watch = Watch(task, directory.path, settings.seed)
        self.settings = settings
        self.directory = directory
        self.accelerator = accelerator
        self.callbacks = callbacks
        self.modules = task.modules()
        for module in self.modules.values():
            module.to(accelerator.device)
        self.optimizers = task.optimizers()
        self.context = Context(accelerator, self.optimizers, settings.steps)
        self.means = _Means()
        self.seconds = 0.0  # of training, over all sessions of this run
        self.images = 0
        self.best_value: float | None = None
        self.interval_start = time.perf_counter()
        self.interval_images = 0

    @property
    def is_main(self) -> bool:
        return self.accelerator.is_main_process

    def restore(self) -> int:
        """Load the newest checkpoint; return the number of steps done."""
        state = self.directory.load_checkpoint(self.modules, self.optimizers) or {}
        if self.context.num_processes > 1:
            from accelerate.utils import broadcast

            with torch.no_grad():
                for module in self.modules.values():
                    for value in (*module.parameters(), *module.buffers()):
                        value.copy_(broadcast(value.detach().clone()))
        step = int(state.get("step", 0))
        if state and state.get("seed") != self.settings.seed:
            raise TrainingError(
                f"{self.directory.path} was begun with seed {state.get('seed')}, "
                f"not {self.settings.seed}"
            )
        self.seconds = float(state.get("seconds", 0.0))
        self.images = int(state.get("images", 0))
        self.best_value = state.get("best_value")
        self.accelerator.wait_for_everyone()  # nobody cleans while another still reads
        if self.is_main:
            self.directory.clean()
            self.directory.rewind_history(step)
        self.interval_start = time.perf_counter()
        return step

    def do_step(self, step: int) -> int:
        """Run step `step` (from 0); return the global batch size."""
        context, settings = self.context, self.settings
        context.step = step
        context.generator = make_generator(settings.seed, step, "context")
        batch = self.task.batch(step, make_generator(settings.seed, step, "batch"))
        size = batch_size(batch)
        autocast = torch.autocast(
            context.device.type, torch.bfloat16, enabled=settings.precision == "bf16"
        )
        index = self.accelerator.process_index
        with seeded(settings.seed, step, "torch", index, device=context.device), autocast:
            losses = self.task.train_step(context.shard(batch), step, context)
        self.means.add(losses)
        self.interval_images += size
        return size

    def record(self, done: int, evaluate: bool) -> Record:
        """Write one line of history after `done` steps; a loss that is not finite ends the run."""
        losses = self.means.read(self.context)
        now = time.perf_counter()
        elapsed = max(now - self.interval_start, 1e-9)
        self.seconds += elapsed
        self.images += self.interval_images
        record: Record = {"step": done, **losses}
        if evaluate and self.is_main:
            with seeded(self.settings.seed, done, "evaluate", device=self.context.device):
                scores = self.task.evaluate(done)
            # a score may be undefined early on (a correlation of constants): null in the history
            numbers = {name: float(value) for name, value in scores.items()}
            record.update({k: v if math.isfinite(v) else None for k, v in numbers.items()})
            if self.settings.best_metric and self.settings.best_metric not in scores:
                raise TrainingError(
                    f"best_metric {self.settings.best_metric!r} is not among what was evaluated: "
                    f"{', '.join(sorted(scores))}"
                )
        record["images_per_second"] = round(self.interval_images / elapsed, 3)
        record["seconds"] = round(self.seconds, 3)
        self.interval_images = 0
        self.interval_start = time.perf_counter()  # evaluating and saving do not count
        for name, value in record.items():
            if value is not None and not math.isfinite(value):
                raise TrainingError(
                    f"{name} became {value} at step {done}; {self.directory.what_is_safe()}. "
                    "Lower the learning rate or change the seed"
                )
        if self.is_main:
            self.directory.append(record)
            for callback in self.callbacks:
                callback(dict(record))
        return record

    def save(self, done: int, record: Record) -> None:
        """Write a checkpoint, and mark it when it is the best so far."""
        if not self.is_main:
            return
        metric = self.settings.best_metric
        value = record.get(metric) if metric else None
        sign = 1.0 if metric.endswith(HIGHER_IS_BETTER) else -1.0
        is_best = value is not None and (
            self.best_value is None or sign * value > sign * self.best_value
        )
        if is_best:
            self.best_value = value
        state = {
            "seed": self.settings.seed,
            "seconds": self.seconds,
            "images": self.images,
            "best_value": self.best_value,
        }
        self.directory.save_checkpoint(done, self.modules, self.optimizers, state)
        if is_best:
            self.directory.mark_best(done)
        self.look(done)

    def look(self, done: int, always: bool = False) -> None:
        """Have the task's pictures drawn, where it has any; that time does not count."""
        if self.is_main:
            self.watch.look(done, self.seconds, self.context.device, always)
        self.interval_start = time.perf_counter()

    def finish(self) -> dict[str, float]:
        """Let the task write its finished weights; return and keep their scores."""
        self.presence.tell("finishing", "Writing and scoring the finished weights")
        final = self.directory.path / "final"
        final.mkdir(exist_ok=True)
        with seeded(self.settings.seed, "finish", device=self.context.device):
            scores = {name: float(value) for name, value in self.task.finish(final).items()}
        for name, value in scores.items():
            if not math.isfinite(value):
                raise TrainingError(f"the finished weights' {name} is {value}")
        self.directory.write_scores(scores)
        return scores


def train(
    task: Task,
    settings: Settings,
    run_directory: str | os.PathLike[str],
    *,
    config: Mapping[str, Any] | None = None,
    resume: bool = False,
    control: Control | None = None,
    callbacks: tuple[Callable[[Record], None], ...] = (),
    progress: bool = True,
    presence: Presence | None = None,
) -> Outcome:
    """Train `task` in `run_directory`, from the start or from its newest checkpoint.

    Parameters
    ----------
    task
        What to train. Its initial weights must come from the seed; every process builds its own.
    settings
        How to drive the run.
    run_directory
        A folder without a run (`resume=False`) or with one (`resume=True`).
    config
        What to write into `config.json` besides the settings.
    resume
        Go on from the newest checkpoint, or from step 0 where none had been saved.
    control
        Stop and pause switches, for use from another thread.
    callbacks
        Called on the main process with each history record.
    progress
        Show a progress bar with rate and time left on standard error.
    presence
        What tells others how the run stands, where the caller has begun to; otherwise it is made
        here, for the time of the training.

    Returns
    -------
    Outcome
        `finished` is False when the run was stopped; `train(..., resume=True)` then goes on.

    Raises
    ------
    TrainingError
        Where the folder does not fit, a loss is not finite, or the disk refuses; the last
        checkpoint is intact.
    """
    control = control or Control()
    directory = RunDirectory(run_directory, keep=settings.keep)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    accelerator = _start_accelerator(settings)
    main = accelerator.is_main_process
    with contextlib.ExitStack() as held:
        if resume:
            stored = directory.config()
        elif main:
            directory.create({**(config or {}), "settings": asdict(settings)})
        if main:
            held.enter_context(directory.locked())
            if resume and stored.get("settings") != asdict(settings):
                directory.write_config({**stored, "settings": asdict(settings)})
            # only now: who is refused the folder must not speak for who holds it
            presence = presence or held.enter_context(Presence(directory.path))
        presence = presence or Presence(directory.path)  # of the others, which say nothing
        presence.steps = settings.steps
        accelerator.wait_for_everyone()
        run = _Run(task, settings, directory, accelerator, callbacks, presence)
        task.prepare(accelerator.device)
        with _stop_on_signals(control):
            done = _loop(run, run.restore(), control, progress)
        finished = done >= settings.steps
        scores = run.finish() if finished and main else {}
        if main:
            presence.tell("finished" if finished else "stopped", f"Saved at step {done}")
        accelerator.wait_for_everyone()
    return Outcome(done, finished, scores, directory.path, main)


def _loop(run: _Run, done: int, control: Control, progress: bool) -> int:
    """Step until the end or a stop; return the number of steps done."""
    settings = run.settings
    run.presence.step = done
    if run.is_main:
        run.presence.tell("running")
    run.look(done, always=True)
    with _progress_bar(settings.steps, done, progress and run.is_main) as bar:
        while done < settings.steps:
            if control.paused or run.directory.pause_requested():
                _hold(run, control)
            run.do_step(done)
            done += 1
            run.presence.step = done
            stop = _agree_to_stop(run, done, control)
            last = stop or done == settings.steps
            evaluate = bool(settings.evaluate_every) and (
                done % settings.evaluate_every == 0 or done == settings.steps
            )
            save = last or done % settings.checkpoint_every == 0
            bar.update(1)
            if save or evaluate or done % settings.log_every == 0:
                record = run.record(done, evaluate)
                bar.set_postfix_str(_summary(record), refresh=False)
                if save or (evaluate and settings.best_metric):
                    run.save(done, record)
            if stop:
                break
    run.look(done, always=True)
    return done


def _hold(run: _Run, control: Control) -> None:
    """Wait until a held run may go on, or is to stop; the time does not count."""
    if run.is_main:
        run.presence.tell("paused", "Held; its memory is kept")
    while control.paused or run.directory.pause_requested():
        if control.stopping or run.directory.stop_requested():
            break
        if control.paused:
            control.wait_while_paused(0.5)
        else:
            time.sleep(0.2)
    if run.is_main:
        run.presence.tell("running")
    run.interval_start = time.perf_counter()


def _agree_to_stop(run: _Run, done: int, control: Control) -> bool:
    """Say whether to stop now: on several processes all must do so at the same step."""
    wanted = control.stopping or (run.is_main and run.directory.stop_requested())
    if run.context.num_processes == 1:
        return wanted
    if done % run.settings.log_every:  # agreeing costs a transfer: not at every step
        return False
    flag = torch.tensor([float(wanted)], device=run.context.device)
    return bool(run.context.average(flag).item() > 0)


def _progress_bar(steps: int, done: int, show: bool) -> Any:
    from tqdm import tqdm

    interactive = sys.stderr.isatty()
    return tqdm(
        total=steps,
        initial=done,
        disable=not show,
        file=sys.stderr,
        unit="step",
        mininterval=0.5 if interactive else 10.0,
        dynamic_ncols=interactive,
    )


def _summary(record: Record) -> str:
    """Return a record as one short line for the progress bar."""
    hidden = ("step", "seconds", "images_per_second")
    shown = [
        f"{name} {value:.4g}"
        for name, value in record.items()
        if name not in hidden and value is not None
    ][:6]
    return ", ".join([*shown, f"{record['images_per_second']:.0f} images/s"])
