"""Counts equal to Timeloop's, for every case, level and tensor.

Published evidence: the expected numbers are Timeloop's own output; ``convert.py`` says how they translate.
"""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from einloom.arch.tree import Architecture
from einloom.mappings import Nest, parse_plan, resolved
from einloom.model.evaluate import evaluate_nest
from einloom.model.reference import execute
from einloom.spec.architecture import load_architecture
from einloom.spec.document import read
from einloom.spec.workload import load_workload
from einloom.workloads.sized import SizedEinsum

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.yaml"))


@dataclass(frozen=True)
class Case:
    """One design file, ready to be counted."""

    einsum: SizedEinsum
    architecture: Architecture
    nest: Nest


@dataclass(frozen=True)
class Words:
    """What is compared at one memory for one tensor, in elements over all instances (occupancy: of one)."""

    fills: int
    updates: int
    reads_minus_drains: int
    occupancy: int


@dataclass(frozen=True)
class Result:
    steps: int
    operations: int
    instances_used: int
    words: dict[tuple[str, str], Words]


def load(name: str) -> Case:
    document = read(HERE / f"{name}.yaml")
    (cascade,) = load_workload(document).cascades
    (einsum,) = cascade.sized()
    nest = parse_plan(document.data["mapping"]).nests[einsum.name]
    return Case(einsum, load_architecture(document), Nest(resolved(nest.nodes, cascade.extents)))


def expected(name: str) -> Result:
    data = json.loads((HERE / f"{name}.expected.json").read_text())
    words = {
        (memory, tensor): Words(**counts)
        for memory, tensors in data["memories"].items()
        for tensor, counts in tensors.items()
    }
    return Result(data["steps"], data["operations"], data["instances_used"], words)


def by_reference(case: Case) -> Result:
    path = case.architecture.path_to(case.nest.compute)
    execution = execute(case.einsum, path, case.nest.nodes)
    words = {
        (memory, case.einsum.accesses[access].tensor): Words(
            counts.fills, counts.updates, counts.reads - counts.drains, counts.occupancy
        )
        for (memory, access), counts in execution.counts.items()
    }
    return Result(execution.steps, execution.operations["mac"], execution.instances_used, words)


def by_closed_form(case: Case) -> Result:
    result = evaluate_nest(case.einsum, case.architecture, case.nest)
    words = {
        (memory, tensor): Words(
            counts.fills, counts.updates, counts.reads - counts.drains, counts.occupancy_words
        )
        for memory, found in result.memories.items()
        for tensor, counts in found.tensors.items()
    }
    (compute,) = result.computes.values()
    return Result(int(compute.busy_cycles), compute.operations, compute.instances_used, words)


MODELS: dict[str, Callable[[Case], Result]] = {"closed form": by_closed_form, "reference": by_reference}


def test_every_case_of_timeloop_is_here() -> None:
    assert len(NAMES) == 39


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_of_timeloop(name: str, model: str) -> None:
    assert MODELS[model](load(name)) == expected(name)


def test_the_files_are_what_convert_writes() -> None:
    spec = importlib.util.spec_from_file_location("timeloop_convert", HERE / "convert.py")
    assert spec is not None
    assert spec.loader is not None
    convert = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(convert)
    for case in convert.cases():
        assert (HERE / f"{case['id']}.yaml").read_text() == convert.yaml_text(case)
        assert (HERE / f"{case['id']}.expected.json").read_text() == convert.expected_text(case)
