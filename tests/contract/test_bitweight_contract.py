"""The contract suite for `bitweight`, on four of its arrays."""

from typing import ClassVar

from einloom.testing import TemplateContract


class TestBitWeightSystolic(TemplateContract):
    name = "bitweight"
    smallest: ClassVar = {"buffer": "64 KiB", "bandwidth": "16 B/cycle"}
    scaling = ("buffer", "bandwidth")


class TestBitWeightMatrix(TemplateContract):
    name = "bitweight"
    smallest: ClassVar = {"array": "matrix", "variant": "opt1", "rows": 4, "cols": 4, "bandwidth": "8 B/cycle"}
    scaling = ("rows", "cols", "bandwidth")


class TestBitWeightTree(TemplateContract):
    name = "bitweight"
    smallest: ClassVar = {"array": "adder_tree", "rows": 16, "cols": 8}


class TestBitWeightColumns(TemplateContract):
    name = "bitweight"
    smallest: ClassVar = {"array": "columns", "rows": 2, "cols": 16, "clock": "1000 MHz"}
    scaling = ("rows", "cols")
