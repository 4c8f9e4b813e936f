"""Why there is no mapping, next to the exact message: what excludes it, where that stands, and what would be enough.

``map/<mistake>.yaml`` is a design, ``<mistake>.expect`` what `einloom map` answers (refresh with
``pytest --update-golden`` and read the diff).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import einloom
from einloom.cli import main
from einloom.errors import Problem

HERE = Path(__file__).parent / "map"
MISTAKES = sorted(HERE.glob("*.yaml"))

ENOUGH = {
    "held_elements_do_not_fit": {"architecture.levels.Reg.capacity": "32 b"},
    "double_buffered": {"architecture.levels.Reg.capacity": "16 b"},
    "capacity_in_words": {"architecture.levels.Reg.capacity": "2 words"},
    "outermost_memory_too_small": {"architecture.levels.DRAM.capacity": "2048 b"},
    "outermost_memory_may_not_hold": {"architecture.levels.DRAM.may_hold": ["A", "Z", "B"]},
    "two_memories_too_small": {
        "architecture.levels.GLB.capacity": "16 b", "architecture.levels.Reg.capacity": "8 b",
    },
    "no_operator": {"architecture.levels.MAC.energy": {"add": "0.1 pJ", "max": "0.1 pJ", "mul": "0.1 pJ"}},
    "no_operator_on_any_branch": {"architecture.levels.C2.energy": {"mul": "0.1 pJ", "add": "0.1 pJ"}},
    "no_branch_fits": {"architecture.levels.R2.capacity": "8 b"},
    "auto_bounds_too_small": {"architecture.levels.GLB.capacity": "64 b"},
}  # fmt: skip
"""The change that each message names as enough."""


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda file: file.stem)
def test_no_mapping_is_answered_by_its_message(mistake, capsys, monkeypatch, held_to):
    monkeypatch.chdir(HERE)
    assert main(["map", mistake.name]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    held_to(err, mistake.with_suffix(".expect"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda file: file.stem)
def test_what_excludes_it_has_its_line(mistake):
    """The lines at fault carry the comment ``# wrong``, so that a message cannot point elsewhere unseen."""
    lines = mistake.read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, 1) if "# wrong" in line}
    said = mistake.with_suffix(".expect").read_text(encoding="utf-8")
    assert {int(line) for line in re.findall(rf"^{mistake.name}:(\d+):", said, re.MULTILINE)} == marked


@pytest.mark.parametrize(("mistake", "change"), ENOUGH.items(), ids=list(ENOUGH))
def test_what_is_said_to_be_enough_is(mistake, change):
    assert einloom.load(HERE / f"{mistake}.yaml", set=change).map(bounds="perfect").operations == 512


def test_less_than_what_is_said_to_be_enough_is_not():
    for mistake, path, less in (
        ("held_elements_do_not_fit", "Reg", "31 b"), ("double_buffered", "Reg", "15 b"),
        ("outermost_memory_too_small", "DRAM", "2047 b"), ("auto_bounds_too_small", "GLB", "63 b"),
    ):  # fmt: skip
        with pytest.raises(einloom.MappingError, match="fit"):
            einloom.load(HERE / f"{mistake}.yaml", set={f"architecture.levels.{path}.capacity": less}).map()


def test_every_message_has_its_mistake():
    assert {file.stem for file in HERE.glob("*.expect")} == {file.stem for file in MISTAKES}


def test_a_design_without_a_file_names_the_level(capsys):
    reg = "architecture.levels.Reg.capacity=4 b"
    assert main(["map", "designs/peer16_gemm.yaml", "--set", "mapping=null", "--set", reg]) == 1
    assert capsys.readouterr().err.startswith(f"--set {reg}: architecture.levels[3].capacity: no mapping of Z fits")


def test_nothing_found_in_time_is_not_said_to_be_impossible(monkeypatch):
    from einloom.mapper import mapper
    from einloom.mapper.found import Found
    from einloom.mapper.routes import Answered

    monkeypatch.setattr(mapper, "answer", lambda *_: Answered(Found(complete=False), "every nest"))
    with pytest.raises(einloom.MappingError, match="no mapping of Z was found within the deadline"):
        einloom.load("designs/peer16_gemm.yaml", set={"mapping": None}).map(deadline_s=1.0)


def test_a_level_that_a_template_builds_is_said_at_the_template():
    loaded = einloom.load("designs/systolic_bert.yaml").loaded
    reason = einloom.MappingError(Problem("too small", "", ("Reg", "capacity")))
    (located,) = loaded.on_architecture(reason).problems
    assert "template:" in located.source
    assert located.line > 0
