"""Processes that evaluate design points for a study.

The study's own process chooses points and writes results; workers only evaluate, so nothing that happens to
a worker can harm what is stored. A worker that dies (killed, out of memory) is replaced and its point
evaluated once more; a point that takes down two workers has failed. Workers end when the study's process
ends, however it ends.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Protocol, Self

from einloom.errors import EinloomError

Build = Callable[[Mapping[str, object]], Mapping[str, float]]
"""Overrides of a design to its base metrics; raises `EinloomError` where the design is not possible."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one point: base metrics, or the reason why there are none."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


def evaluate(build: Build, point: Mapping[str, object]) -> Outcome:
    """Evaluate one point. An `EinloomError` is a reason, any other error is ours and passes through."""
    try:
        found = build(dict(point))
    except EinloomError as error:
        return Outcome(reason=str(error))
    return Outcome({name: _plain(value) for name, value in found.items() if value is not None})


def _plain(value: float) -> float:
    """A number as JSON writes it: whole ones exact, whatever numpy type they had."""
    number = float(value)
    return (
        int(value)
        if not isinstance(value, float) and math.isfinite(number) and number == int(value)
        else number
    )


class Evaluator(Protocol):
    """Takes points by number and gives their outcomes in any order."""

    size: int
    """How many points are evaluated at the same time."""

    @property
    def free(self) -> int:
        """How many more points may be submitted now."""

    def submit(self, number: int, point: Mapping[str, object]) -> None: ...

    def results(self) -> list[tuple[int, Outcome]]:
        """At least one outcome; waits for it. Empty if nothing was submitted."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class InProcess:
    """Evaluates one point at a time, here."""

    def __init__(self, build: Build) -> None:
        self.size = 1
        self._build = build
        self._waiting: list[tuple[int, Mapping[str, object]]] = []

    @property
    def free(self) -> int:
        return 1 - len(self._waiting)

    def submit(self, number: int, point: Mapping[str, object]) -> None:
        self._waiting.append((number, point))

    def results(self) -> list[tuple[int, Outcome]]:
        found = [(number, evaluate(self._build, point)) for number, point in self._waiting]
        self._waiting.clear()
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@dataclass(slots=True)
class _Job:
    number: int
    point: Mapping[str, object]
    deaths: int = 0


@dataclass(slots=True)
class _Worker:
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    job: _Job | None = None


class Processes:
    """Evaluates on several processes of this machine.

    Args:
        build: Must be picklable, and its module importable, as for every `multiprocessing` target.
        count: How many processes; at least 1.
    """

    def __init__(self, build: Build, count: int) -> None:
        self.size, self._build = count, build
        # Started afresh, not forked: a fork would copy threads' locks and keep pipes of dead siblings open.
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._queue: deque[_Job] = deque()

    @property
    def free(self) -> int:
        return self.size - len(self._queue) - sum(worker.job is not None for worker in self._workers)

    def submit(self, number: int, point: Mapping[str, object]) -> None:
        self._queue.append(_Job(number, point))
        self._hand_out()

    def results(self) -> list[tuple[int, Outcome]]:
        found: list[tuple[int, Outcome]] = []
        while not found and (busy := {worker.pipe: worker for worker in self._workers if worker.job}):
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                found += self._receive(busy[pipe])
            self._hand_out()
        return found

    def _receive(self, worker: _Worker) -> list[tuple[int, Outcome]]:
        job = worker.job
        assert job is not None
        try:
            outcome: Outcome = worker.pipe.recv()
        except (EOFError, ConnectionError):
            return self._bury(worker, job)
        worker.job = None
        return [(job.number, outcome)]

    def _bury(self, worker: _Worker, job: _Job) -> list[tuple[int, Outcome]]:
        """Drop a worker that ended; its point goes back to the head of the queue once."""
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        if code >= 0:
            raise RuntimeError(
                f"a worker stopped with exit code {code} on {dict(job.point)}; its error stands above"
            )
        if job.deaths:
            name = signal.Signals(-code).name
            return [
                (job.number, Outcome(reason=f"evaluating this design ended two workers, the last by {name}"))
            ]
        job.deaths += 1
        self._queue.appendleft(job)
        return []

    def _hand_out(self) -> None:
        while self._queue:
            worker = next((worker for worker in self._workers if worker.job is None), None) or self._start()
            if worker is None:
                return
            worker.job = self._queue.popleft()
            with suppress(ConnectionError):  # it died idle: noticed when its result is awaited
                worker.pipe.send(worker.job.point)

    def _start(self) -> _Worker | None:
        if len(self._workers) >= self.size:
            return None
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(self._build, there), daemon=True)
        with _sigint_blocked():
            process.start()
        there.close()
        self._workers.append(_Worker(process, here))
        return self._workers[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """What is started inside never sees a Ctrl-C, not even while it imports; we see it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # pragma: no cover - Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(build: Build, pipe: Connection) -> None:
    """What a worker does: points in, outcomes out, until its study's process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the study ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            point = pipe.recv()
        except EOFError:
            return
        pipe.send(evaluate(build, point))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
