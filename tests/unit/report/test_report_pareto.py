import csv
import re
import zlib
from dataclasses import replace

import pytest

from einloom.errors import SpecError
from einloom.report.figures import new_figure, save, styled
from einloom.report.pareto import csv_rows, draw_pareto, pareto_data, plot
from einloom.search.result import StudyResult


def test_the_axes_are_the_first_two_objectives_with_quantity_and_unit(study):
    data = pareto_data(study)
    assert (data.x.name, data.y.name) == ("latency_s", "energy_uj")
    assert (data.x.label, data.y.label) == ("Latency [s]", "Energy [uJ]")
    assert pareto_data(study, "latency_us", "area_mm2").y.label == "Area [mm²]"


def test_any_metric_in_any_unit_may_be_an_axis(study):
    micro, nano = pareto_data(study, "latency_us", "edp_js"), pareto_data(study, "latency_ns", "edp_pjs")
    assert [point.number for point in micro.front] == [point.number for point in nano.front]
    assert nano.front[0].x == pytest.approx(1000 * micro.front[0].x)


def test_every_feasible_design_is_either_in_front_or_behind(study):
    data = pareto_data(study)
    numbers = [point.number for point in (*data.front, *data.dominated)]
    assert sorted(numbers) == sorted(trial.number for trial in study.feasible)


def test_the_front_of_two_objectives_is_the_front_of_the_study(study):
    assert {point.number for point in pareto_data(study).front} == {trial.number for trial in study.front}


def test_the_front_goes_from_the_best_x_to_the_best_y(study):
    front = pareto_data(study).front
    assert [point.x for point in front] == sorted(point.x for point in front)
    assert [point.y for point in front] == sorted((point.y for point in front), reverse=True)


def test_a_metric_that_improves_upwards_is_maximised(study):
    data = pareto_data(study, "utilization", "latency_s")
    assert data.x.best == "max"
    best = max(point.x for point in (*data.front, *data.dominated))
    assert data.front[0].x == best


def test_the_stairs_turn_at_the_front_and_end_at_the_worst_values(study):
    data = pareto_data(study)
    points = (*data.front, *data.dominated)
    assert data.stairs[0] == (data.front[0].x, max(point.y for point in points))
    assert data.stairs[-1] == (max(point.x for point in points), data.front[-1].y)
    assert {(point.x, point.y) for point in data.front} <= set(data.stairs)
    for (x0, y0), (x1, y1) in zip(data.stairs, data.stairs[1:], strict=False):
        assert x0 == x1 or y0 == y1


def test_no_design_lies_below_the_stairs(study):
    data = pareto_data(study)
    for point in data.dominated:
        assert any(ahead.x <= point.x and ahead.y <= point.y for ahead in data.front)


def test_an_axis_is_logarithmic_where_the_range_passes_a_decade(study):
    data = pareto_data(study)
    xs = [point.x for point in (*data.front, *data.dominated)]
    ys = [point.y for point in (*data.front, *data.dominated)]
    assert (data.x.log, data.y.log) == (max(xs) / min(xs) > 10, max(ys) / min(ys) > 10) == (True, False)


def test_markers_tell_the_first_parameter_of_words_apart(study):
    data = pareto_data(study)
    assert data.by == "architecture.dataflow"
    assert data.groups[0] == "weight_stationary"
    assert pareto_data(study, by="").groups == ("",)
    assert pareto_data(study, by="architecture.rows").groups == ("4", "8", "16", "32", "64")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "architecture.row"}, "'architecture.row' is no parameter of this study"),
        ({"by": "architecture.clock"}, r"'architecture.clock' has \d+ values in this study"),
        ({"x": "latency_m"}, "'latency_m': latency has no unit 'm'"),
        ({"x": "dsp"}, "no feasible design has both dsp and latency_s"),
    ],
)
def test_what_cannot_be_drawn_is_named(study, change, message):
    with pytest.raises(SpecError, match=message):
        pareto_data(study, **change)


def test_a_study_without_a_feasible_design_gives_the_first_reason(study):
    failed = [replace(study.trials[0], state="failed", reason="too large", number=0)]
    with pytest.raises(SpecError, match="1 failed") as caught:
        pareto_data(StudyResult(study.plan, tuple(failed)))
    assert caught.value.problems[0].hint == "the first reason: too large"


def test_a_figure_is_a_vector_page_with_truetype_fonts_in_one_column(study, tmp_path):
    figure, table = plot(study, "latency_us", "energy_uj", tmp_path / "front.pdf")
    content = figure.read_bytes()
    assert b"/Type42" not in content  # a CID font carries the outlines of the TrueType font
    assert b"/FontFile2" in content
    assert b"/Subtype /Type3" not in content
    assert b"/Subtype /Image" not in content
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", content).group(1))
    assert width == pytest.approx(3.5 * 72)
    assert table == tmp_path / "front.csv"


def test_the_table_beside_the_figure_has_the_front_first(study, tmp_path):
    _, table = plot(study, "latency_us", "energy_uj", tmp_path / "front.svg")
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    data = pareto_data(study, "latency_us", "energy_uj")
    front = [row for row in rows if row["front"] == "1"]
    assert rows[: len(front)] == front
    assert [int(row["trial"]) for row in front] == [point.number for point in data.front]
    assert [float(row["latency_us"]) for row in front] == [point.x for point in data.front]
    assert [float(row["energy_uj"]) for row in front] == [point.y for point in data.front]
    assert front[0]["architecture.dataflow"] == data.front[0].params["architecture.dataflow"]
    assert len(rows) == len(data.front) + len(data.dominated)


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_the_same_study_gives_the_same_bytes(suffix, study, tmp_path):
    first, _ = plot(study, output=tmp_path / "a" / f"front{suffix}")
    second, _ = plot(study, output=tmp_path / "b" / f"front{suffix}")
    assert first.read_bytes() == second.read_bytes()


def test_the_figure_does_not_depend_on_the_defaults_of_the_user(study, tmp_path):
    import matplotlib

    first, _ = plot(study, output=tmp_path / "a.svg")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "figure.figsize": (9, 9)}):
        second, _ = plot(study, output=tmp_path / "b.svg")
        assert matplotlib.rcParams["font.size"] == 20
    assert first.read_bytes() == second.read_bytes()


def drawn(data):
    with styled():
        figure, ax = new_figure()
        draw_pareto(data, ax)
        return figure, ax


def test_the_drawing_has_labels_scales_and_no_title(study):
    figure, ax = drawn(pareto_data(study))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("Latency [s]", "Energy [uJ]", "")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert [text.get_text() for text in ax.texts] == ["better"]
    assert figure.get_size_inches()[0] == 3.5
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(labels) == ["input stationary", "output stationary", "weight stationary"]


def test_groups_differ_in_marker_and_colour(study):
    rows = pareto_data(study, by="architecture.rows")
    figure, ax = drawn(rows)
    named = [line for line in ax.lines if not line.get_label().startswith("_")]
    assert len({line.get_marker() for line in named}) == len(named) == 5
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        f"rows {n}" for n in (4, 8, 16, 32, 64)
    }


@pytest.mark.parametrize(
    "axes", [("latency_s", "energy_uj"), ("utilization", "energy_uj"), ("utilization", "utilization")]
)
def test_the_better_corner_is_free_of_designs(study, axes):
    figure, ax = drawn(pareto_data(study, *axes))
    with styled():
        figure.draw_without_rendering()
    (mark,) = ax.texts
    box = mark.get_window_extent()
    data = pareto_data(study, *axes)
    for point in (*data.front, *data.dominated):
        assert not box.contains(*ax.transData.transform((point.x, point.y)))


def test_published_designs_are_labelled_points(study, tmp_path):
    data = pareto_data(study, "latency_us", "energy_uj", published={"Eyeriss": (4.0, 9.0)})
    _, ax = drawn(data)
    assert "Eyeriss" in [text.get_text() for text in ax.texts]
    assert csv_rows(data)[1][-1][:4] == ["Eyeriss", "", "4.0", "9.0"]


def test_a_single_design_is_a_front(study, tmp_path):
    alone = StudyResult(study.plan, (study.front[0],))
    assert plot(alone, output=tmp_path / "front.png")[0].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "message"), [("front.jpg", "'.jpg' is no format for a figure"), ("front", "has no suffix")]
)
def test_an_unknown_format_is_named_before_anything_is_drawn(study, tmp_path, name, message):
    with pytest.raises(SpecError, match=message) as caught:
        plot(study, output=tmp_path / name)
    assert caught.value.problems[0].hint == "end the name in .pdf, .svg, .png"
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(study, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match="cannot be written"):
        plot(study, output=tmp_path / "file" / "front.pdf")


def test_a_saved_figure_has_no_date_in_it(tmp_path):
    with styled():
        figure, _ = new_figure()
        save(figure, tmp_path / "empty.pdf")
    content = (tmp_path / "empty.pdf").read_bytes()
    streams = b"".join(
        _inflate(part) for part in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    )
    assert b"CreationDate" not in content + streams


def _inflate(part: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(part)
    except zlib.error:
        return b""
