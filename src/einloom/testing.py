"""What every template keeps to: inherit `TemplateContract`, say which template and what it needs, run pytest.

    from einloom.testing import TemplateContract

    class TestVector(TemplateContract):
        name = "vector"
        smallest = {"lanes": 4, "scratchpad": "4 KiB"}
        scaling = ("lanes", "scratchpad")

The suite looks at what a user sees: the registered template, its messages, and the result of mapping a small
matrix product. How the machine runs it - as a loop nest, or by an engine of its own - is not asked. It needs
pytest, which einloom itself does not; only tests import this module.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pytest

import einloom
from einloom.arch.registry import entries, template
from einloom.arch.schema import reasons
from einloom.arch.template import Parameter, Template, show_value
from einloom.arch.tree import Amount, Architecture
from einloom.errors import SpecError
from einloom.spec.templates import build_template

GEMM: Mapping[str, Any] = {
    "name": "gemm", "ranks": {"M": 24, "N": 16, "K": 20}, "bits": {"default": 8},
    "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"],
}  # fmt: skip
"""The product that the suite maps: small, with extents that powers of two do not all divide."""

Objective = Literal["energy", "latency", "edp"]


class TemplateContract:
    """The contract. Set `name` and, where parameters have no default, `smallest`.

    Attributes:
        name: As in ``template: NAME``.
        smallest: Parameters as YAML gives them, enough to build the template and small enough to map in a second.
        scaling: Parameters for which twice the value may never make the mapped product slower at the same clock.
        workload: What is mapped; its last Einsum is a matrix product. Change it only for a machine that takes no
            8-bit operands.
    """

    name: ClassVar[str]
    smallest: ClassVar[Mapping[str, Any]] = {}
    scaling: ClassVar[tuple[str, ...]] = ()
    workload: ClassVar[Mapping[str, Any]] = GEMM

    # -- what the tests build on ------------------------------------------------------------------------------------

    def template(self) -> Template:
        return template(self.name)

    def block(self, **changes: Any) -> dict[str, Any]:
        """The architecture as YAML gives it."""
        return {"template": self.name, **self.smallest, **changes}

    def built(self, **changes: Any) -> Architecture:
        return build_template(self.block(**changes), ("architecture",))

    def mapped(self, objective: Objective = "energy", **changes: Any) -> einloom.Evaluation:
        design = einloom.load({"name": "contract", "workload": self.workload, "architecture": self.block(**changes)})
        found = design.map(objective)
        assert isinstance(found, einloom.Evaluation)
        return found

    def sizes(self) -> dict[str, int]:
        """Elements of each tensor of the matrix product; each must cross the outermost memory at least once."""
        m, n, k = (int(self.workload["ranks"][rank]) for rank in "MNK")
        return {"A": m * k, "B": k * n, "Z": m * n}

    def products(self) -> int:
        """Multiply-accumulates of the matrix product."""
        return math.prod(int(self.workload["ranks"][rank]) for rank in "MNK")

    # -- what it says about itself ----------------------------------------------------------------------------------

    def test_it_is_registered_under_its_own_name(self) -> None:
        (entry,) = [entry for entry in entries() if entry.name == self.name]
        assert entry.problem == ""
        assert entry.template is self.template()

    def test_its_signature_and_schema_are_sound(self) -> None:
        assert reasons(self.template()) == ()

    def test_it_names_its_sources_and_what_it_is(self) -> None:
        assert self.template().sources
        assert self.template().summary

    # -- what it builds ---------------------------------------------------------------------------------------------

    def test_it_builds_from_what_it_requires_and_defaults(self) -> None:
        architecture = self.built()
        assert architecture.template == self.name
        assert architecture.clock_hz > 0
        assert architecture.memories()
        assert architecture.computes()
        given = [parameter for parameter, _ in architecture.parameters]
        assert given == [parameter.name for parameter in self.template().parameters]

    def test_a_missing_parameter_is_named_with_its_meaning(self) -> None:
        for parameter in self.template().parameters:
            if parameter.required:
                block = self.block()
                del block[parameter.name]
                with pytest.raises(SpecError, match=f"parameter '{parameter.name}' .* is missing") as caught:
                    build_template(block, ("architecture",))
                assert parameter.meaning in str(caught.value)

    def test_every_parameter_out_of_range_is_named(self) -> None:
        for parameter in self.template().parameters:
            for wrong in _out_of_range(parameter):
                with pytest.raises(SpecError) as caught:
                    self.built(**{parameter.name: wrong})
                fields = {problem.field for problem in caught.value.problems}
                assert f"architecture.{parameter.name}" in fields, f"{parameter.name}: {wrong!r} gives {fields}"

    def test_a_parameter_that_is_not_there_is_named(self) -> None:
        with pytest.raises(SpecError, match=f"'no_such_parameter' is no parameter of template '{self.name}'"):
            self.built(no_such_parameter=3)

    def test_the_same_parameters_give_the_same_machine_and_the_same_numbers(self) -> None:
        assert self.built() == self.built()
        assert self.mapped().to_dict() == self.mapped().to_dict()

    def test_its_machine_travels_to_worker_processes(self) -> None:
        """A study sends architectures to its workers: they pickle, and what arrives is the same value."""
        architecture = self.built()
        assert pickle.loads(pickle.dumps(architecture)) == architecture

    def test_energies_are_numbers_and_areas_are_none_or_numbers(self) -> None:
        architecture = self.built()
        for memory in architecture.memories():
            assert memory.read_energy_pj >= 0
            assert memory.write_energy_pj >= 0
            assert memory.capacity.value > 0
        area = architecture.area_um2()
        assert area is None or area >= 0

    # -- what mapping gives -----------------------------------------------------------------------------------------

    def test_what_it_builds_maps_a_matrix_product(self) -> None:
        found = self.mapped()
        assert found.proof == "optimal"
        assert found.operations == self.products()
        assert 0 < found.energy_pj < math.inf
        assert 0 < found.cycles < math.inf
        assert found.latency_s == pytest.approx(found.cycles / self.built().clock_hz, rel=1e-9)

    def test_the_mapping_that_is_printed_gives_the_same_numbers(self) -> None:
        found = self.mapped()
        design = {"name": "contract", "workload": self.workload, "architecture": self.block(),
                  "mapping": found.to_dict()["mapping"]}  # fmt: skip
        again = einloom.load(design).evaluate()
        assert again.cycles == found.cycles
        assert again.energy_pj == pytest.approx(found.energy_pj, rel=1e-9)

    def test_no_unit_works_more_than_all_of_the_time(self) -> None:
        shares = self.mapped().utilization
        assert shares
        assert all(0 <= share <= 1 for share in shares.values())
        assert any(shares.values()), "some unit works; others may have nothing to do with a matrix product"

    def test_no_mapping_moves_less_than_is_compulsory(self) -> None:
        outermost = next(iter(self.mapped().einsums["Z"].memories.values()))
        moved = {name: max(counts.reads, counts.writes) for name, counts in outermost.tensors.items()}
        assert moved.keys() == self.sizes().keys()
        assert all(moved[name] >= least for name, least in self.sizes().items())

    def test_every_objective_wins_its_own_comparison(self) -> None:
        """The mapping for least energy, latency or product of both is no worse in it than the other two."""
        objectives: tuple[Objective, ...] = ("energy", "latency", "edp")
        results = [self.mapped(objective) for objective in objectives]
        energies, cycles = [r.energy_pj for r in results], [r.cycles for r in results]
        products = [e * c for e, c in zip(energies, cycles, strict=True)]
        for own, values in zip(range(3), (energies, cycles, products), strict=True):
            assert values[own] <= min(values) * (1 + 1e-9)

    def test_terms_add_up_to_the_cycles(self) -> None:
        """Every cycle has a name."""
        product = self.mapped().einsums["Z"]
        assert sum(product.terms_cycles.values()) == pytest.approx(product.cycles, rel=1e-9)
        assert all(cycles >= 0 for cycles in product.terms_cycles.values())

    def test_twice_of_what_scales_is_never_slower(self) -> None:
        once = self.mapped("latency")
        for name in self.scaling:
            twice = self.mapped("latency", **{name: self._twice(name)})
            assert twice.cycles <= once.cycles, f"twice the {name}: {once.cycles} cycles become {twice.cycles}"

    def _twice(self, name: str) -> str | float:
        """Twice the value of a parameter, as YAML gives it."""
        (parameter,) = [parameter for parameter in self.template().parameters if parameter.name == name]
        value = dict(self.built().parameters)[name]
        if isinstance(value, Amount):
            assert math.isfinite(value.value), f"'{name}' is unlimited: give it a value in `smallest`"
            return show_value(parameter.kind, Amount(2 * value.value, value.in_words))
        assert isinstance(value, int | float), f"'{name}' is {value!r}: give it a number in `smallest`"
        doubled = show_value(parameter.kind, 2 * value)
        return 2 * value if parameter.kind in ("count", "number") else doubled


def _out_of_range(parameter: Parameter) -> tuple[Any, ...]:
    """Values in YAML that no parameter of this kind and range takes."""
    wrong: list[Any] = [[1], None, math.nan]
    if parameter.kind != "text":
        wrong.append("flase")
    if parameter.kind != "number" or parameter.low > -1:
        wrong.append(-1)
    if parameter.kind == "count" and math.isfinite(parameter.high):
        wrong.append(int(parameter.high) + 1)
    return tuple(wrong)
