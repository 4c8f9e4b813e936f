"""The built-in templates keep the contract that a third party's keep."""

import ast
from pathlib import Path
from typing import ClassVar

from einloom.arch.registry import entries
from einloom.testing import TemplateContract

TESTS = Path(__file__).resolve().parents[1]


class TestSpatial(TemplateContract):
    name = "spatial"
    smallest: ClassVar = {"rows": 4, "cols": 4, "buffer": "4 KiB"}
    scaling = ("rows", "cols", "buffer", "registers")


class TestSystolicWeightStationary(TemplateContract):
    name = "systolic"
    smallest: ClassVar = {"rows": 4, "cols": 4, "dataflow": "weight_stationary", "buffer": "4 KiB"}
    scaling = ("buffer",)


class TestSystolicOutputStationaryOverlapped(TemplateContract):
    name = "systolic"
    smallest: ClassVar = {"rows": 4, "cols": 8, "dataflow": "output_stationary", "timing": "overlapped"}
    scaling = ("buffer",)


class TestSystolicRowStationary(TemplateContract):
    name = "systolic"
    smallest: ClassVar = {"rows": 4, "cols": 4, "dataflow": "row_stationary", "buffer": "4 KiB",
                          "filters": "8 words", "window": "4 words", "sums": "4 words"}  # fmt: skip
    scaling = ("rows", "cols", "buffer", "filters", "window", "sums")


def held_to_the_contract() -> set[str]:
    """Templates that a subclass of the suite names, anywhere in the tests."""
    names = set()
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and "TemplateContract" in [ast.unparse(base) for base in node.bases]:
                lines = [line for line in node.body if isinstance(line, ast.Assign | ast.AnnAssign)]
                names |= {ast.literal_eval(line.value) for line in lines if ast.unparse(line).startswith("name")}
    return names


def test_every_built_in_template_is_held_to_the_contract():
    ours = {entry.name for entry in entries() if entry.owner.startswith("einloom ")}
    assert ours <= held_to_the_contract()
