"""The machine of the design page (peer16) and its mapping of a GEMM, at full size and walked at 4x4.

Published: the words, cycles and energies at 1024^3 on 16x16 are AccelForge's for this machine and mapping.
By hand: the nest scaled down to 16^3 on 4x4 has its counts derived beside each number; the reference
executes it.
"""

from string import Template

import pytest

import einloom as el
from einloom.arch.tree import Architecture
from einloom.mappings import Nest, parse_plan, resolved
from einloom.model.evaluate import evaluate_nest
from einloom.model.reference import Execution, execute
from einloom.spec.architecture import load_architecture
from einloom.spec.document import parse
from einloom.spec.workload import load_workload
from einloom.workloads.sized import SizedEinsum

DESIGN = Template("""
version: 1
workload:
  name: gemm
  ranks: {M: $size, N: $size, K: $size}
  bits: {default: 8}
  cascade:
    - "Z[m,n] = sum{k}(A[m,k] * B[k,n])"
architecture:
  name: peer
  clock: 1 GHz
  levels:
    - {memory: DRAM, word: 8 b, read_energy: 64 pJ, write_energy: 64 pJ, bandwidth: 16 words/cycle}
    - {memory: GLB, capacity: 128 KiB, read_energy: 2 pJ, write_energy: 2 pJ, bandwidth: 64 words/cycle}
    - fanout: PE
      axes: {X: $side, Y: $side}
    - {memory: Reg, word: 8 b, capacity: 64 B, read_energy: 0.1 pJ, write_energy: 0.1 pJ, holds: [B]}
    - {compute: MAC, energy: {mul: 0.1 pJ, add: 0.1 pJ}}
mapping:
  Z:
    - DRAM holds A, B, Z
    - for m in $m1
    - for n in $n1
    - GLB holds Z
    - for k in K/$side
    - GLB holds A
    - for n in $n0
    - spatial PE.X n in $side
    - spatial PE.Y k in $side
    - Reg holds B
    - for m in M/$m1
    - MAC
""")
SMALL = {"size": 16, "side": 4, "m1": 2, "n1": 2, "n0": 2}
FULL = {"size": 1024, "side": 16, "m1": 4, "n1": 4, "n0": 16}
A, B, Z = 1, 2, 0

STEPS = 2 * 2 * 4 * 2 * 8  # m, n, k, n, m in time
A_TILES = 2 * 2 * 4  # every k step has another tile, of 8 rows x 4 of k
B_TILES = 2 * 2 * 4 * 2  # every n step has another weight in each of 16 PEs


def load(sizes: dict[str, int]) -> tuple[SizedEinsum, Architecture, Nest]:
    document = parse(DESIGN.substitute(sizes))
    (cascade,) = load_workload(document).cascades
    (einsum,) = cascade.sized()
    nest = parse_plan(document.data["mapping"]).nests["Z"]
    return einsum, load_architecture(document), Nest(resolved(nest.nodes, cascade.extents))


@pytest.fixture(scope="module")
def execution() -> Execution:
    einsum, architecture, nest = load(SMALL)
    return execute(einsum, architecture.path_to(nest.compute), nest.nodes)


def test_the_published_counts_and_energies_at_full_size() -> None:
    result = evaluate_nest(*load(FULL))
    words = {
        (memory, tensor): (counts.reads, counts.writes)
        for memory, found in result.memories.items()
        for tensor, counts in found.tensors.items()
    }
    assert words == {
        ("DRAM", "A"): (4_194_304, 0),
        ("DRAM", "B"): (4_194_304, 0),
        ("DRAM", "Z"): (0, 1_048_576),
        ("GLB", "A"): (67_108_864, 4_194_304),
        ("GLB", "Z"): (67_108_864, 67_108_864),
        ("Reg", "B"): (1_073_741_824, 4_194_304),
    }
    assert result.cycles == 4_194_304
    assert {name: memory.busy_cycles for name, memory in result.memories.items()} == {
        "DRAM": 589_824,
        "GLB": 3_211_264,
        "Reg": 0,
    }
    energies_mj = {name: memory.energy_pj / 1e9 for name, memory in result.memories.items()}
    assert energies_mj == pytest.approx({"DRAM": 0.603980, "GLB": 0.411042, "Reg": 0.107794}, abs=5e-7)
    assert result.computes["MAC"].energy_pj / 1e9 == pytest.approx(0.214748, abs=5e-7)
    assert result.energy_pj / 1e9 == pytest.approx(1.33756, abs=5e-6)


def test_the_closed_form_counts_what_the_reference_executes(execution: Execution) -> None:
    einsum, *rest = load(SMALL)
    result = evaluate_nest(einsum, *rest)
    for (memory, access), counts in execution.counts.items():
        found = result.memories[memory].tensors[einsum.accesses[access].tensor]
        assert (
            found.reads,
            found.writes,
            found.fills,
            found.updates,
            found.drains,
            found.occupancy_words,
        ) == (
            counts.reads,
            counts.writes,
            counts.fills,
            counts.updates,
            counts.drains,
            counts.occupancy,
        )


def test_steps_and_operations(execution: Execution) -> None:
    assert execution.steps == STEPS == 256
    assert execution.operations == {"mac": 16**3}
    assert execution.instances_used == 16


def test_words_of_the_dram(execution: Execution) -> None:
    assert execution.counts["DRAM", A].reads == A_TILES * 8 * 4 == 512
    assert execution.counts["DRAM", B].reads == B_TILES * 16 == 512  # past the GLB; no PE shares a weight
    assert execution.counts["DRAM", Z].writes == 16 * 16  # each output once
    assert execution.counts["DRAM", Z].reads == 0


def test_words_of_the_glb(execution: Execution) -> None:
    a, z = execution.counts["GLB", A], execution.counts["GLB", Z]
    assert a.writes == a.fills == 512
    assert a.reads == STEPS * 4 == 1024  # one for each k of the array: multicast along X
    assert z.updates == z.writes == STEPS * 4 == 1024  # one for each n of the array: reduced along Y
    assert z.drains == 256
    assert z.reads == 256 + (1024 - 256) == 1024  # drained once, and added to on all but the first touch
    assert (a.occupancy, z.occupancy) == (8 * 4, 8 * 8)


def test_words_of_the_registers(execution: Execution) -> None:
    b = execution.counts["Reg", B]
    assert b.writes == b.fills == 512
    assert b.reads == 16**3  # on every operation
    assert (b.occupancy, b.busiest_reads, b.busiest_writes) == (1, STEPS, B_TILES)


def test_energy_at_the_prices_of_the_machine(execution: Execution) -> None:
    words = {
        memory: sum(c.reads + c.writes for (name, _), c in execution.counts.items() if name == memory)
        for memory in ("DRAM", "GLB", "Reg")
    }
    assert words == {"DRAM": 1280, "GLB": 3584, "Reg": 4608}
    energy_pj = 64 * words["DRAM"] + 2 * words["GLB"] + 0.1 * words["Reg"] + 0.2 * 16**3
    assert energy_pj == pytest.approx(81920 + 7168 + 460.8 + 819.2)


def test_attention_on_peer16_with_the_softmax_on_one_element() -> None:
    """By hand: the products wait for DRAM (Q, K and the scores at 16 words a cycle), the softmax for its element."""
    sizes = {"H": 1, "P": 64, "M": 64, "E": 16, "F": 16}
    settings = {f"workload.ranks.{rank}": size for rank, size in sizes.items()}
    found = el.load("designs/peer16_attention_softmax.yaml", set=settings).map(bounds="perfect", fusion=False)
    words = 2 * 64 * 16 + 64 * 64
    assert [(e.binding, e.cycles) for e in found.einsums.values()] == [
        ("MAC", words / 16),
        ("SFU", 64 * 64),
        ("MAC", words / 16),
    ]
    softmax = found.einsums["A"]
    assert softmax.energy_pj == pytest.approx(64 * 64 * (64 + 64 + 0.2))
