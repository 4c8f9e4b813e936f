"""What the mapper found on the machines of FuseMax and FLAT: the mappings that are kept cost what is said there."""

from __future__ import annotations

import json
import re

import pytest
from searched import FOLDER, GIVEN, figures, points, rows, table

import einloom as el
from steps import check_step_by_step

KEPT = {str(point): point for point in points()}
FOUND = {name: row for given in GIVEN for name, row in rows(given).items()}


def test_every_point_has_been_searched() -> None:
    missing = [name for name in KEPT if name not in FOUND]
    assert not missing


@pytest.mark.parametrize("name", FOUND)
def test_a_mapping_that_was_found_costs_what_is_said(name: str) -> None:
    row = FOUND[name]
    found = figures(KEPT[name].load(row["mapping"]).evaluate())
    assert found == {key: pytest.approx(row[key], rel=1e-12) if key != "bound_by" else row[key] for key in found}
    assert row["bound_cycles"] <= row["cycles"] * (1 + 1e-12)


@pytest.mark.parametrize("given", GIVEN)
def test_the_tables_are_those_of_the_mappings(given: str) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "\n".join(table(given)) in text


def test_a_mapping_that_beats_the_published_one_computes_attention() -> None:
    """The one for XLM at 1024 tokens, on an array of 4 x 4 instead of 256 x 256, every size smaller, step by step."""
    smaller = {64: 1, 16: 1, 128: 2, 256: 4, 512: 8, 1024: 16}
    text = json.dumps(FOUND["fusemax XLM 1K"]["mapping"])
    text = re.sub(r" in (\d+)", lambda m: f" in {smaller.get(int(m[1]), int(m[1]))}", text)
    sizes = {"B": 1, "H": 1, "E": 2, "F": 2, "P": 16, "M": 16}
    settings: dict[str, object] = {f"workload.ranks.{rank}": size for rank, size in sizes.items()}
    settings |= {"workload.split.M.1.M0": 4}
    design = el.load({**GIVEN["fusemax"][0], "mapping": json.loads(text)}, set=settings)
    check_step_by_step(design, design.evaluate())
