import io

from analytic import array, make_plan

from einloom.search import progress
from einloom.search.progress import Bar, Lines
from einloom.search.study import explore


def test_without_a_terminal_a_study_ends_with_one_line(tmp_path):
    stream = io.StringIO()
    plan = make_plan("grid", None, demands=("area_mm2 <= 2",))
    explore(plan, array, folder=tmp_path / "s", progress=Lines(stream))
    line = stream.getvalue()
    assert line.startswith("arrays: 240/240 trials, 3 failed, 27 infeasible, best latency_s ")
    assert "energy_uj 2.125" in line
    assert line.count("\n") == 1


def test_lines_tell_the_time_left(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    stream = io.StringIO()
    explore(make_plan("grid", 3), array, folder=tmp_path / "s", progress=Lines(stream))
    first, *_ = stream.getvalue().splitlines()
    assert first.startswith("arrays: 1/3 trials, best ")
    assert first.endswith("0 s left")


def test_a_continued_study_says_where(tmp_path):
    plan = make_plan("grid", 5).with_files({"search.yaml": ""})
    explore(
        make_plan("grid", 2).with_files({"search.yaml": ""}), array, folder=tmp_path / "s", progress=False
    )
    stream = io.StringIO()
    explore(plan, array, folder=tmp_path / "s", progress=Lines(stream))
    assert stream.getvalue().startswith("arrays: continues at 2 of 5 trials\n")


def test_a_terminal_gets_a_bar_with_the_best_so_far(tmp_path):
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    explore(make_plan("grid", 30), array, folder=tmp_path / "s", progress=Bar(stream))
    assert "30/30" in stream.getvalue()
    assert "energy_uj" in stream.getvalue()


def test_stderr_gets_the_progress_and_stdout_nothing(tmp_path, capsys):
    explore(make_plan("grid", 3), array, folder=tmp_path / "s")
    captured = capsys.readouterr()
    assert "3/3 trials" in captured.err
    assert not captured.out
