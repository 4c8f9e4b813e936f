"""What every template keeps to: inherit `TemplateContract`, say which template and what it needs, run pytest."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest

import einloom
from einloom.arch.registry import entries, template
from einloom.arch.tree import Architecture, Memory
from einloom.errors import SpecError
from einloom.spec.templates import build_template

GEMM = {"name": "gemm", "ranks": {"M": 24, "N": 16, "K": 20}, "bits": {"default": 8},
        "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]}  # fmt: skip
COMPULSORY = {"A": 24 * 20, "B": 20 * 16, "Z": 24 * 16}
"""Elements that must cross the outermost memory at least once."""


class TemplateContract:
    """The contract. Set `name` and, where parameters have no default, `smallest`.

    Attributes:
        name: As in ``template: NAME``.
        smallest: Parameters as YAML gives them, enough to build the template and small enough to map in a second.
    """

    name: ClassVar[str]
    smallest: ClassVar[dict[str, object]] = {}

    def block(self, **changes: object) -> dict[str, object]:
        return {"template": self.name, **self.smallest, **changes}

    def built(self, **changes: object) -> Architecture:
        return build_template(self.block(**changes), ("architecture",))

    def mapped(self, **changes: object) -> einloom.Evaluation:
        found = einloom.load({"name": "contract", "workload": GEMM, "architecture": self.block(**changes)}).map()
        assert isinstance(found, einloom.Evaluation)
        return found

    def test_it_is_registered_under_its_own_name(self) -> None:
        (entry,) = [entry for entry in entries() if entry.name == self.name]
        assert entry.problem == ""
        assert entry.template is template(self.name)
        assert entry.template.summary

    def test_it_names_its_sources(self) -> None:
        assert template(self.name).sources

    def test_it_builds_from_what_it_requires_and_defaults(self) -> None:
        architecture = self.built()
        assert architecture.template == self.name
        assert architecture.clock_hz > 0
        assert isinstance(architecture.levels[0], Memory)
        assert architecture.computes()

    def test_a_missing_parameter_is_named_with_its_meaning(self) -> None:
        for parameter in template(self.name).parameters:
            if parameter.required:
                block = self.block()
                del block[parameter.name]
                with pytest.raises(SpecError, match=f"parameter '{parameter.name}' .* is missing") as caught:
                    build_template(block, ("architecture",))
                assert parameter.meaning in str(caught.value)

    def test_every_parameter_out_of_range_is_named(self) -> None:
        for parameter in template(self.name).parameters:
            for wrong in ("flase", -1, [1], None, math.nan):
                if parameter.kind == "text" and isinstance(wrong, str):
                    continue
                with pytest.raises(SpecError) as caught:
                    self.built(**{parameter.name: wrong})
                assert f"architecture.{parameter.name}" in {problem.field for problem in caught.value.problems}

    def test_a_parameter_that_is_not_there_is_named(self) -> None:
        with pytest.raises(SpecError, match=f"'speed' is no parameter of template '{self.name}'"):
            self.built(speed=3)

    def test_what_it_builds_maps_a_matrix_product(self) -> None:
        found = self.mapped()
        assert found.proof == "optimal"
        assert found.operations == 24 * 16 * 20
        assert found.energy_pj > 0
        assert found.cycles * sum(c.instances for c in found.einsums["Z"].computes.values()) >= found.operations
        assert all(0 < share <= 1 for share in found.utilization.values())

    def test_no_mapping_moves_less_than_is_compulsory(self) -> None:
        outermost = next(iter(self.mapped().einsums["Z"].memories.values()))
        moved = {name: max(counts.reads, counts.writes) for name, counts in outermost.tensors.items()}
        assert moved.keys() == COMPULSORY.keys()
        assert all(moved[name] >= least for name, least in COMPULSORY.items())

    def test_the_same_parameters_give_the_same_machine_and_the_same_numbers(self) -> None:
        assert self.built() == self.built()
        assert self.mapped().to_dict() == self.mapped().to_dict()

    def test_energies_are_numbers_and_areas_are_none_or_numbers(self) -> None:
        architecture = self.built()
        for memory in architecture.memories():
            assert memory.read_energy_pj >= 0
            assert memory.write_energy_pj >= 0
            assert memory.capacity.value > 0
        area = architecture.area_um2()
        assert area is None or area >= 0
