import io

import pytest
from analytic import CLOCK, COLS, FLOW, ROWS, array, make_plan, objectives, two_networks
from evaluated import RESULT

from einloom.report.tables import (
    dry_run_table,
    evaluation_table,
    evaluation_tables,
    front_table,
    number,
    scaled,
    study_table,
)
from einloom.search.study import dry_run, explore


def text(renderable):
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=160).print(renderable)
    return stream.getvalue()


def test_the_front_of_a_study_has_units_in_its_header(study):
    grid = study_table(study)
    assert grid.header == (
        "trial",
        "rows",
        "cols",
        "dataflow",
        "buffer",
        "clock",
        "latency [s]",
        "energy [uJ]",
    )
    assert len(grid.rows) == min(20, len(study.front))
    assert grid.rows[0][0] == str(study.front[0].number)
    assert "weight_stationary" in text(grid)


def test_a_long_front_is_cut_and_says_so(study):
    grid = study_table(study, rows=2)
    assert len(grid.rows) == 2
    assert f"{len(study.front) - 2} more designs of the front not shown" in grid.note


def test_paths_that_end_alike_are_written_in_full(tmp_path):
    from dataclasses import replace

    other = replace(COLS, path="mapping.rows")
    plan = make_plan("random", 1, dimensions=(ROWS, COLS, FLOW, other))
    grid = study_table(explore(plan, array, folder=tmp_path / "s", progress=False))
    assert grid.header[1:5] == ("architecture.rows", "cols", "dataflow", "mapping.rows")


def test_networks_are_named_in_the_header(tmp_path):
    plan = make_plan("random", 3, networks=("small", "large"), objectives=objectives(cycles="min", area_mm2="min"))
    grid = study_table(explore(plan, two_networks, folder=tmp_path / "s", progress=False))
    assert grid.header[-3:] == ("small: latency [cycles]", "large: latency [cycles]", "area [mm²]")


def test_a_dry_run_shows_the_sweep_its_size_and_the_time():
    plan = make_plan("nsga2", 500, dimensions=(ROWS, FLOW, CLOCK, COLS))
    shown = text(dry_run_table(dry_run(plan, array, workers=2)))
    assert "architecture.rows" in shown
    assert "4, 8, 16, 32, 64" in shown
    assert "infinitely many points; 500 trials with nsga2, seed 0" in shown
    assert "with 2 workers" in shown


def test_a_dry_run_of_a_grid_counts_its_points():
    assert "240 points; 240 trials with grid" in dry_run_table(dry_run(make_plan("grid", None), array)).note


def test_an_evaluation_shows_totals_einsums_and_memories():
    totals, einsums, memories = evaluation_tables(RESULT)
    assert dict(totals.rows)["latency [cycles]"] == "4,194,304"
    assert dict(totals.rows)["energy [mJ]"] == "1.338"
    assert dict(totals.rows)["area [um²]"] == "unknown"
    assert einsums.rows == (("Z", "MAC", "4,194,304", "1.338", "100.0%", "MAC"),)
    assert einsums.header[3] == "energy [mJ]"
    assert memories.rows == (
        ("DRAM", "8,388,608", "1,048,576", "589,824", "604"),
        ("GLB", "134,217,728", "71,303,168", "3,211,264", "411"),
    )
    assert memories.header[-1] == "energy [uJ]"


def test_an_evaluation_prints_on_a_terminal():
    assert "latency [cycles]" in text(evaluation_table(RESULT))


def test_a_proof_is_shown_where_there_is_one():
    totals = evaluation_tables({**RESULT, "proof": "gap", "gap": 0.03, "repeat": 12})[0]
    assert dict(totals.rows)["proof"] == "gap 3.0%"
    assert dict(totals.rows)["repeat"].startswith("12 ")


SEARCH = {
    "candidates": 5 * 10**13, "costed": 1234, "distance": 0.33756,
    "compulsory": {"energy_pj": 1e9, "cycles": 4_194_304},
    "binds": [
        {"what": "compute", "where": "MAC", "used": 4_194_304, "limit": 4_194_304, "unit": "cycles"},
        {"what": "capacity", "where": "GLB", "used": 1_048_064, "limit": 1_048_576, "unit": "bits"},
        {"what": "capacity", "where": "Reg", "used": 2, "limit": 2, "unit": "words"},
        {"what": "fanout", "where": "PE", "used": 256, "limit": 256, "unit": "instances"},
    ],
}  # fmt: skip


def searched(**changes):
    entry = {**RESULT["einsums"]["Z"], "proof": "optimal", "gap": 0.0, "space": "every nest", "search": SEARCH}
    return {**RESULT, "einsums": {"Z": {**entry, **changes}}}


def test_a_mapped_einsum_says_how_it_was_found():
    grid = evaluation_tables(searched())[-1]
    binds = "MAC compute, GLB capacity 127.9/128 KiB, Reg capacity 2/2 words, PE fanout 256/256"
    assert grid.rows == (("Z", "optimal", "5.0e13", "1,234", "33.8%", binds),)
    assert grid.note == "map space: every nest"


def test_a_gap_is_shown_with_its_size():
    assert evaluation_tables(searched(proof="gap", gap=0.05))[-1].rows[0][1] == "gap 5.0%"


def test_spaces_that_differ_name_their_einsums():
    one, other = searched()["einsums"]["Z"], searched(space="narrowed to: two")["einsums"]["Z"]
    grid = evaluation_tables({**RESULT, "einsums": {"a": one, "b": other, "c": one}})[-1]
    assert grid.note == "map space: every nest; of b: narrowed to: two"


def test_an_evaluated_design_was_not_searched():
    assert len(evaluation_tables(RESULT)) == 3


def test_a_proof_names_its_space():
    totals = evaluation_tables({**RESULT, "proof": "optimal", "gap": 0.0, "space": "every nest"})[0]
    assert dict(totals.rows)["proof"] == "optimal in every nest"


def test_a_front_with_occupancy_has_its_column():
    held = {"memory": "GLB", "used": 4096, "unit": "bits"}
    grid = front_table([{**RESULT, "proof": "optimal", "space": "every nest", "occupancy": held}])
    assert grid.header[3:] == ("GLB [bits]", "bound by", "proof")
    assert grid.rows[0][3:] == ("4,096", "MAC", "optimal")
    assert front_table([RESULT]).header[3:] == ("bound by", "proof")


def test_an_evaluation_without_einsums_has_empty_tables():
    assert "peer16" in text(evaluation_table({"design": "peer16"}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"), (float("nan"), "-"), (0, "0"), (1234567, "1,234,567"), (0.00123456, "0.001235"),
        (12345.0, "12,345"), (12.3456, "12.35"), (2**70, "1,180,591,620,717,411,303,424"),
        (1.5e9 + 0.5, "1.500e+09"),
    ],
)  # fmt: skip
def test_numbers_have_four_digits_and_counts_are_whole(value, expected):
    assert number(value) == expected


def test_a_unit_fits_the_largest_value():
    units = (("mJ", 1e9), ("uJ", 1e6), ("pJ", 1.0))
    assert scaled([5.0, 2e6, None], units) == ("uJ", 1e6)
    assert scaled([0.1], units) == ("pJ", 1.0)
    assert scaled([], units) == ("pJ", 1.0)
