"""The ski slope's data, its drawing and its table."""

from fractions import Fraction

import pytest

from einloom.errors import SpecError
from einloom.model.ski_slope import SkiSlope, SlopePoint
from einloom.report.analysis import analysis_tables
from einloom.report.figures import new_figure, styled
from einloom.report.ski_slope import draw_ski_slope, plot_ski_slope, slope_data, slope_rows

POINTS = (
    SlopePoint(Fraction(64), 800.0, 1600.0, 2400.0, None, None),
    SlopePoint(Fraction(128), 800.0, 800.0, 1600.0, 3200.0, 0.25),
)
CASCADE, ONE = SkiSlope("two", 2, POINTS), SkiSlope("one", 1, POINTS)


def test_lines_are_in_bytes_and_skip_sizes_where_nothing_fits():
    lines = {line.label: line.points for line in slope_data(CASCADE).lines}
    assert lines["best mappings, one by one"] == ((16.0, 400.0),)
    assert lines["lower bound, fused"] == ((8.0, 200.0), (16.0, 100.0))
    assert lines["lower bound, one by one"] == ((8.0, 300.0), (16.0, 200.0))
    assert lines["compulsory"] == ((8.0, 100.0), (16.0, 100.0))


def test_one_einsum_has_one_bound():
    assert [line.label for line in slope_data(ONE).lines] == ["best mapping", "I/O lower bound", "compulsory"]


def test_lines_differ_in_dash_or_marker_not_in_colour_alone():
    lines = slope_data(CASCADE).lines
    assert len({line.style for line in lines}) == len(lines)


def test_axes_have_quantity_and_unit():
    with styled():
        _, ax = new_figure()
        draw_ski_slope(slope_data(CASCADE), ax)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("Buffer [B]", "Traffic of the outer memory [B]")
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        assert len(ax.get_lines()) == 4


def test_the_table_leaves_gaps_where_nothing_fits():
    header, rows = slope_rows(CASCADE)
    assert header[0] == "buffer_bytes"
    assert rows[0] == ["8.0", "100.0", "200.0", "300.0", "", ""]
    assert rows[1] == ["16.0", "100.0", "100.0", "200.0", "400.0", "0.25"]


def test_a_suffix_that_is_no_format_is_refused(tmp_path):
    with pytest.raises(SpecError, match="is no format for a figure"):
        plot_ski_slope(CASCADE, tmp_path / "slope.doc")


def test_the_tables_of_an_analysis_have_units_and_notes():
    from einloom.api import analyze

    grids = analysis_tables(analyze("workloads/decoder_layer_prefill.yaml", capacity="64 KiB").to_dict())
    assert [grid.header[0] for grid in grids] == ["rank", "rank", "traffic, at least"]
    assert "L1 is read along P through m: complete before that" in grids[0].note
    passes = {row[0]: row[2] for row in grids[0].rows}
    assert (passes["P"], passes["M"], passes["D"]) == ("2", "3", "7")
