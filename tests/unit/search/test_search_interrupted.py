"""Studies in a process of their own, stopped from outside and continued by the same command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from analytic import Logged, array, make_plan

from einloom.search.study import explore, load_study

HERE = Path(__file__).parent
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from analytic import Logged, make_plan
from einloom.search.study import explore

if __name__ == "__main__":
    folder, workers = Path(sys.argv[2]), int(sys.argv[3])
    plan = make_plan("nsga2", 40, demands=("area_mm2 <= 2",))
    explore(plan, Logged(folder.with_name("log"), 0.02), folder=folder, workers=workers)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def begin(folder: Path, workers: int) -> subprocess.Popen[str]:
    script = folder.with_name("script.py")
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(HERE), str(folder), str(workers)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_trials(folder: Path, count: int) -> None:
    """Until so many evaluations have begun."""
    log = folder.with_name("log")
    deadline = time.monotonic() + 30
    while not log.exists() or len(log.read_text().splitlines()) < count:
        assert time.monotonic() < deadline, "the study did not begin"
        time.sleep(0.005)


def evaluations(folder: Path) -> list[str]:
    """The points that were evaluated, without the process that did it."""
    return [line.split(maxsplit=1)[1] for line in folder.with_name("log").read_text().splitlines()]


def stop(process: subprocess.Popen[str], how: signal.Signals) -> str:
    """Ctrl-C reaches the whole group of processes, a kill only one."""
    if how == signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    _, stderr = process.communicate(timeout=30)
    return stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_study_continues_to_the_same_result(how, tmp_path):
    plan = make_plan("nsga2", 40, demands=("area_mm2 <= 2",))
    whole = explore(plan, array, folder=tmp_path / "whole", progress=False)
    folder = tmp_path / "arrays"
    process = begin(folder, 1)
    wait_for_trials(folder, 10)
    stop(process, how)
    kept = load_study(folder).trials
    assert 9 <= len(kept) < 40
    assert kept == whole.trials[: len(kept)]
    result = explore(plan, Logged(tmp_path / "log"), folder=folder, progress=False)
    assert result.trials == whole.trials
    assert len(evaluations(folder)) - len(set(evaluations(folder))) <= 1  # what ran when it was stopped


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_study_with_two_workers_continues_to_exactly_its_budget(how, tmp_path):
    folder = tmp_path / "arrays"
    process = begin(folder, 2)
    wait_for_trials(folder, 10)
    stop(process, how)
    kept = load_study(folder).trials
    assert 0 < len(kept) < 40
    plan = make_plan("nsga2", 40, demands=("area_mm2 <= 2",))
    result = explore(plan, Logged(tmp_path / "log"), folder=folder, workers=2, progress=False)
    assert [trial.number for trial in result.trials] == list(range(40))
    assert set(map(str, kept)) <= set(map(str, result.trials))
    assert len(evaluations(folder)) - len(set(evaluations(folder))) <= 2  # what ran when it was stopped


def test_ctrl_c_says_how_far_it_came_and_how_to_continue(tmp_path):
    process = begin(tmp_path / "arrays", 2)
    wait_for_trials(tmp_path / "arrays", 5)
    stderr = stop(process, signal.SIGINT)
    assert "/40 trials" in stderr
    assert "stopped - the same command continues" in stderr


def test_workers_end_when_their_study_is_killed(tmp_path):
    process = begin(tmp_path / "arrays", 2)
    wait_for_trials(tmp_path / "arrays", 8)
    stop(process, signal.SIGKILL)
    workers = {int(line.split()[0]) for line in (tmp_path / "log").read_text().splitlines()}
    deadline = time.monotonic() + 10
    while any(map(_runs, workers)):
        assert time.monotonic() < deadline, "a worker outlived its study"
        time.sleep(0.01)


def _runs(process: int) -> bool:
    """Whether a process is alive; one that only waits to be reaped is not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
