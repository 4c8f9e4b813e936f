"""The built-in templates keep the contract that a third party's keep."""

from typing import ClassVar

from template_contract import TemplateContract

from einloom.arch.registry import entries


class TestSpatial(TemplateContract):
    name = "spatial"
    smallest: ClassVar = {"rows": 4, "cols": 4, "buffer": "4 KiB"}


class TestSystolicWeightStationary(TemplateContract):
    name = "systolic"
    smallest: ClassVar = {"rows": 4, "cols": 4, "dataflow": "weight_stationary", "buffer": "4 KiB"}


class TestSystolicOutputStationaryOverlapped(TemplateContract):
    name = "systolic"
    smallest: ClassVar = {"rows": 4, "cols": 8, "dataflow": "output_stationary", "timing": "overlapped"}


def test_every_built_in_template_is_held_to_the_contract():
    ours = {entry.name for entry in entries() if entry.owner.startswith("einloom ")}
    assert ours == {case.name for case in TemplateContract.__subclasses__()}
