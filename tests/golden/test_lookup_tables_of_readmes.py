"""The tables in the READMEs of the ternary designs are what `einloom validate` finds, and no tolerance breaks."""

import re
from pathlib import Path

import pytest

import einloom as el

DESIGNS = Path(__file__).resolve().parents[2] / "designs"


@pytest.mark.parametrize("name", ["tellme", "tmac", "matmulfree", "vitallm"])
def test_errors_in_the_readme_are_those_of_a_run(name):
    found = el.validate(DESIGNS / name)
    assert [str(problem) for problem in found.problems] == []
    rows = [row for row in found.to_dict() if row["error"] is not None]
    errors = {f"{100 * row['error']:+.1f}" for row in rows}
    text = (DESIGNS / name / "README.md").read_text(encoding="utf-8")
    said = set(re.findall(r"([+-]\d+\.\d) %", text))
    assert len(said) >= 1
    assert said <= errors, f"not in a run: {said - errors}"
