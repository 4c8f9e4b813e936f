"""Sets of counts, from which new energies, bandwidths and clocks are priced in microseconds.

Energy is counts x prices, cycles are the largest of compute steps and loads x times: with prices and times of at least
0, only rows that no other beats in every count can be the best of anything that grows with both. `labels.counted`
finds these rows. A set holds for one shape of Einsum on one topology, with its capacities, rules, and limited ports.

Arrays have nests first, then quantities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from einloom.arch.tree import Architecture, Compute, Fanout, Level, Memory
from einloom.mapper.found import Candidate, Found, Objective, key_of
from einloom.mapper.labels.task import READS, WRITES
from einloom.mappings import Bind, Hold, Loop, Nodes, Spatial
from einloom.model.arrays import Array
from einloom.workloads.sized import SizedEinsum

if TYPE_CHECKING:
    from einloom.mapper.labels.counted import Counted

SAME = 1 + 1e-12
"""Values this close, relatively, are equal: sums of the same in another order."""

Line = list[Any]
"""A node with ranks and tensors by position, for JSON."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What one machine asks for the quantities of a set.

    Attributes:
        count_pj: Energy of one access (or word and hop). Shape ``(quantities,)``.
        load_cycles: Cycles of one bit (or word) through a port. Shape ``(ports,)``.
        operations_pj: Energy of all operations.
        leakage_pj: Per cycle.
    """

    count_pj: Array
    load_cycles: Array
    operations_pj: float
    leakage_pj: float


@dataclass(frozen=True)
class CountSet:
    """Nests of one Einsum on one path, none of which another beats in every count.

    Attributes:
        quantities: (level, ``read``, ``write`` or ``link``) of each column of ``counts``.
        ports: (memory, `READS`, `WRITES` or both) of each column of ``loads``.
        counts: Accesses, or words over links, of all instances. Shape ``(nests, quantities)``.
        loads: Bits or words through the busiest instance of each port. Shape ``(nests, ports)``.
        steps: Busy cycles of the compute. Shape ``(nests,)``.
        nests: Ranks and tensors by position.
        candidates: Size of the space that the nests were chosen from.
    """

    quantities: tuple[tuple[str, str], ...]
    ports: tuple[tuple[str, int], ...]
    counts: Array
    loads: Array
    steps: Array
    nests: tuple[list[Line], ...]
    candidates: int

    @classmethod
    def of(cls, counted: Counted, einsum: SizedEinsum, candidates: int) -> CountSet:
        """The set of what was counted for ``einsum``, without its names."""
        nests = tuple(positional(nodes, einsum) for nodes in counted.nests)
        return cls(counted.quantities, counted.ports, counted.counts, counted.loads, counted.steps, nests, candidates)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays; nests not included."""
        return int(self.counts.nbytes + self.loads.nbytes + self.steps.nbytes)

    def prices(self, architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum) -> Prices:
        """What ``architecture`` asks: prepared once, good for any number of answers.

        Args:
            path: Its levels, of the topology that the set was made for.
        """
        levels = {level.name: level for level in path}
        compute = path[-1]
        assert isinstance(compute, Compute)
        operations = einsum.operations().items()
        return Prices(
            count_pj=np.array([_count_pj(levels[name], kind) for name, kind in self.quantities]),
            load_cycles=np.array([_load_cycles(levels[name], takes) for name, takes in self.ports]),
            operations_pj=sum(n * (compute.operator_energy_pj(operator) or 0.0) for operator, n in operations),
            leakage_pj=architecture.leakage_w() / architecture.clock_hz * 1e12,
        )

    def costs(self, prices: Prices) -> tuple[Array, Array]:
        """Energy in pJ and cycles of every nest. Shapes ``(nests,)``."""
        busy = self.loads * prices.load_cycles
        cycles = np.maximum(self.steps, busy.max(axis=1)) if len(self.ports) else self.steps
        energy = self.counts @ prices.count_pj + prices.operations_pj
        return (energy + prices.leakage_pj * cycles if prices.leakage_pj else energy), cycles

    def best(self, prices: Prices, objective: Objective) -> list[tuple[int, float, float]]:
        """(row, energy in pJ, cycles) of the best nest, or of the latency-energy front sorted by cycles."""
        energy, cycles = self.costs(prices)
        if objective == "pareto":
            return [(row, float(energy[row]), float(cycles[row])) for row in _front(energy, cycles)]
        row = _least(energy, cycles) if objective == "energy" else (
            _least(cycles, energy) if objective == "latency" else _least(energy * cycles, energy)
        )  # fmt: skip
        return [(row, float(energy[row]), float(cycles[row]))]

    def answer(self, prices: Prices, objective: Objective, einsum: SizedEinsum) -> Found:
        """What a search would find, in the names of ``einsum``."""
        front = tuple(
            Candidate(key_of(objective, energy, cycles), cycles, energy, named(self.nests[row], einsum))
            for row, energy, cycles in self.best(prices, objective)
        )
        return Found(front=front, candidates=self.candidates, costed=len(self.nests))


def to_data(counts: CountSet) -> dict[str, Any]:
    """A set as JSON."""
    return {
        "quantities": counts.quantities, "ports": counts.ports, "counts": counts.counts.tolist(),
        "loads": counts.loads.tolist(), "steps": counts.steps.tolist(), "nests": counts.nests,
        "candidates": counts.candidates,
    }  # fmt: skip


def from_data(data: dict[str, Any]) -> CountSet:
    """What `to_data` was given."""
    rows = len(data["steps"])
    return CountSet(
        quantities=tuple((level, kind) for level, kind in data["quantities"]),
        ports=tuple((memory, takes) for memory, takes in data["ports"]),
        counts=np.array(data["counts"], dtype=float).reshape(rows, len(data["quantities"])),
        loads=np.array(data["loads"], dtype=float).reshape(rows, len(data["ports"])),
        steps=np.array(data["steps"], dtype=float),
        nests=tuple(data["nests"]),
        candidates=data["candidates"],
    )


def positional(nodes: Nodes, einsum: SizedEinsum) -> list[Line]:
    """A nest with ranks and tensors by position: of the first access that names the tensor."""
    ranks = {var: i for i, var in enumerate(einsum.extents)}
    tensors = {access.tensor: i for i, access in reversed(list(enumerate(einsum.accesses)))}
    lines: list[Line] = []
    for node in nodes:
        if isinstance(node, Hold):
            lines.append(["hold", node.memory, *(tensors[tensor] for tensor in node.tensors)])
        elif isinstance(node, Loop):
            lines.append(["for", ranks[node.variable], node.bound])
        elif isinstance(node, Spatial):
            lines.append(["spatial", node.fanout, node.axis, ranks[node.variable], node.bound])
        else:
            assert isinstance(node, Bind)
            lines.append(["bind", node.compute])
    return lines


def named(lines: Sequence[Line], einsum: SizedEinsum) -> Nodes:
    """The nest in the names of ``einsum``."""
    ranks, tensors = list(einsum.extents), [access.tensor for access in einsum.accesses]
    nodes: list[Hold | Loop | Spatial | Bind] = []
    for kind, *rest in lines:
        if kind == "hold":
            nodes.append(Hold(rest[0], tuple(tensors[i] for i in rest[1:])))
        elif kind == "for":
            nodes.append(Loop(ranks[rest[0]], rest[1]))
        elif kind == "spatial":
            nodes.append(Spatial(rest[0], rest[1], ranks[rest[2]], rest[3]))
        else:
            nodes.append(Bind(rest[0]))
    return tuple(nodes)


def _least(values: Array, others: Array) -> int:
    """The row with the least value; of equal ones that with the least other."""
    row = int(values.argmin())
    equal = values <= values[row] * SAME
    if np.count_nonzero(equal) == 1:
        return row
    rows = np.flatnonzero(equal)
    return int(rows[others[rows].argmin()])


def _front(energy: Array, cycles: Array) -> list[int]:
    """Rows that no other matches or beats in both, by cycles."""
    front: list[int] = []
    least, order = float("inf"), np.lexsort((energy, cycles))
    for row, pj, took in zip(order.tolist(), energy[order].tolist(), cycles[order].tolist(), strict=True):
        if pj * SAME < least:
            if front and took <= cycles[front[-1]] * SAME:
                front.pop()
            front.append(row)
            least = pj
    return front


def _count_pj(level: Level, kind: str) -> float:
    if isinstance(level, Fanout):
        return level.link_energy_pj
    assert isinstance(level, Memory)
    return level.read_energy_pj if kind == "read" else level.write_energy_pj


def _load_cycles(level: Level, takes: int) -> float:
    assert isinstance(level, Memory)
    rates = {READS | WRITES: level.bandwidth, READS: level.read_bandwidth, WRITES: level.write_bandwidth}
    return 1 / float(rates[takes].value)
