"""Every published figure of the catalogue, by folder: the model runs, and no stated tolerance is broken."""

from functools import cache
from pathlib import Path

import pytest

import einloom as el
from einloom.validation.files import published_files

ROOT = Path(__file__).resolve().parents[2]
FILES = [Path(file).relative_to(ROOT) for file in published_files([ROOT / "designs"])]
FOLDERS = sorted({(file if len(file.parts) == 2 else Path(*file.parts[:2])).as_posix() for file in FILES})


HELD_ELSEWHERE = ("designs/eyeriss", "designs/scalesim")
"""By test_eyeriss.py and scalesim/: their mappings are searched for, which takes a while."""
QUICK = [
    pytest.param(folder, marks=pytest.mark.slow if folder in HELD_ELSEWHERE else ()) for folder in FOLDERS
]


@cache
def validated(folder: str) -> el.Validation:
    return el.validate(ROOT / folder)


@pytest.mark.parametrize("folder", QUICK)
def test_the_published_figures_of_a_folder_are_held(folder):
    found = validated(folder)
    assert [str(problem) for problem in found.problems] == []
    assert found.comparisons


@pytest.mark.parametrize("folder", QUICK)
def test_every_figure_has_a_value_or_a_reason(folder):
    for row in validated(folder).to_dict():
        assert row["source"], row
        if row["class"] == "not_checkable":
            assert row["reason"], row
            assert row["modelled"] is None, row
        else:
            assert row["modelled"] is not None, row
            assert row["basis"].startswith(("predicted", "calibrated: ")), row


def test_fusemax_is_exact_and_near_its_means():
    rows = [row for row in validated("designs/fusemax").to_dict() if row["class"] == "exact"]
    assert len(rows) == 25 * 4 + 8 * 2 + 10 + 6  # attention, other arrays, linear layers: cycles, and traffic but XLM's
    assert max(abs(row["error"]) for row in rows) < 1e-12
    assert {Path(row["design"]).stem for row in rows} >= {"unfused", "flat", "flat_held", "flat_long", "binding"}
    means = {row["figure"]: row for row in validated("designs/fusemax").to_dict() if row["class"] == "ratio"}
    assert means["speed-up over FLAT, attention"]["modelled"] == pytest.approx(6.7226, abs=1e-4)
    assert means["speed-up over FLAT, end to end"]["modelled"] == pytest.approx(5.3017, abs=1e-4)
