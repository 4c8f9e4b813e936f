"""Progress of a study on stderr: how far, the best of each objective so far, and the time left."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from einloom.search.objectives import Objective
from einloom.search.plan import Plan
from einloom.search.result import Trial

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PLAIN_SECONDS = 10.0
"""Shortest time between two lines where the output is no terminal."""


class Progress(Protocol):
    """Told of every finished trial."""

    def begin(self, plan: Plan, done: tuple[Trial, ...]) -> None: ...

    def note(self, trial: Trial) -> None: ...

    def end(self, interrupted: bool) -> None: ...


class Silent:
    """Shows nothing."""

    def begin(self, plan: Plan, done: tuple[Trial, ...]) -> None:
        pass

    def note(self, trial: Trial) -> None:
        pass

    def end(self, interrupted: bool) -> None:
        pass


class Tally:
    """Counts and best values of the trials so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.targets: tuple[Objective, ...] = plan.targets
        self.done = self.failed = self.infeasible = 0
        self.best: dict[str, float] = {}

    def add(self, trial: Trial) -> None:
        self.done += 1
        self.failed += trial.state == "failed"
        self.infeasible += trial.state == "infeasible"
        if trial.state != "feasible":
            return
        for target in self.targets:
            better = max if target.direction == "max" else min
            value = trial.objectives[target.name]
            self.best[target.name] = better(self.best.get(target.name, value), value)

    def best_text(self) -> str:
        """``best latency_s 0.0012, energy_j 0.34``; empty before the first feasible design."""
        parts = [f"{name} {value:.4g}" for name, value in self.best.items()]
        return "best " + ", ".join(parts) if parts else "no feasible design yet"

    def lost_text(self) -> str:
        """``3 failed, 2 infeasible``; empty if none."""
        parts = [(self.failed, "failed"), (self.infeasible, "infeasible")]
        return ", ".join(f"{count} {name}" for count, name in parts if count)


class Lines:
    """A line now and then, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, plan: Plan, done: tuple[Trial, ...]) -> None:
        self._tally = Tally(plan)
        for trial in done:
            self._tally.add(trial)
        self._before = len(done)
        self._start = self._last = time.monotonic()
        if done:
            print(
                f"{plan.name}: continues at {len(done)} of {plan.total} trials", file=self._stream, flush=True
            )

    def note(self, trial: Trial) -> None:
        self._tally.add(trial)
        now = time.monotonic()
        if now - self._last >= PLAIN_SECONDS:
            self._last = now
            self._line(f", {_duration(self._left(now))} left")

    def _left(self, now: float) -> float:
        new = self._tally.done - self._before
        return (now - self._start) / new * (self._tally.plan.total - self._tally.done)

    def _line(self, end: str) -> None:
        tally = self._tally
        parts = [f"{tally.done}/{tally.plan.total} trials", tally.lost_text(), tally.best_text()]
        print(f"{tally.plan.name}: {', '.join(filter(None, parts))}{end}", file=self._stream, flush=True)

    def end(self, interrupted: bool) -> None:
        self._line("; stopped - the same command continues" if interrupted else "")


class Bar:
    """A live bar, for terminals."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, plan: Plan, done: tuple[Trial, ...]) -> None:
        from rich import progress  # noqa: PLC0415 - needed for terminals only
        from rich.console import Console  # noqa: PLC0415 - needed for terminals only

        self._tally = Tally(plan)
        for trial in done:
            self._tally.add(trial)
        self._bar: RichProgress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(elapsed_when_finished=True),
            progress.TextColumn("{task.fields[note]}", style="dim"),
            console=Console(file=self._stream),
        )
        self._task: TaskID = self._bar.add_task(
            plan.name, total=plan.total, completed=len(done), note=self._note()
        )
        self._bar.start()

    def _note(self) -> str:
        return "; ".join(filter(None, (self._tally.best_text(), self._tally.lost_text())))

    def note(self, trial: Trial) -> None:
        self._tally.add(trial)
        self._bar.update(self._task, completed=self._tally.done, note=self._note())

    def end(self, interrupted: bool) -> None:
        self._bar.stop()
        if interrupted:
            done = f"stopped at {self._tally.done} of {self._tally.plan.total} trials"
            print(
                f"{self._tally.plan.name}: {done} - the same command continues", file=self._stream, flush=True
            )


def on_stderr() -> Progress:
    """A bar where stderr is a terminal, lines where it is not."""
    return Bar(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr)


@contextmanager
def watched(progress: Progress, plan: Plan, done: tuple[Trial, ...]) -> Iterator[None]:
    """Begin and end a progress around a block, whatever ends it."""
    progress.begin(plan, done)
    finished = False
    try:
        yield
        finished = True
    finally:
        progress.end(interrupted=not finished)


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
