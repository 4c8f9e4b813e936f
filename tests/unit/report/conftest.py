"""One explored study for all tests of figures, tables and pages."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))  # the cheap design of the search tests


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    from analytic import BUFFER, CLOCK, COLS, FLOW, ROWS, array, make_plan

    from einloom.search.study import explore

    plan = make_plan("nsga2", 120, dimensions=(ROWS, COLS, FLOW, BUFFER, CLOCK), demands=("area_mm2 <= 3",))
    return explore(plan, array, folder=tmp_path_factory.mktemp("results") / "arrays", progress=False)
