"""What a group costs on its shared loops: rows of every Einsum, and words of what crosses the outermost memory.

All costs are vectors ``[energy, busy, load of each port...]``: energy in pJ, the others in cycles over the whole run.
Ports are the limited ones of the outermost memory, of the buffer, and of one instance of every unit's registers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Amount, Memory
from einloom.mapper.fusion.balance import balanced
from einloom.mapper.fusion.group import Group, Operand, Part
from einloom.mapper.fusion.interior import Interior, Options, Rows, accesses, compute_pj, quickest, rows_of
from einloom.mapper.fusion.machine import Machine
from einloom.mapper.fusion.nests import Nests
from einloom.model.fused.words import ports
from einloom.model.structure import applies

Floats = npt.NDArray[np.float64]
ENERGY, BUSY, LOADS = 0, 1, 2
BLOCK = 65_536
"""Rows (candidates x options) that are costed at once."""


class TimeIsUp(Exception):
    """Bounds of a group take longer than there is time for: nothing is known of it but what is compulsory."""


@dataclass(frozen=True, eq=False)
class Costs:
    """Prices of one group on one machine.

    Attributes:
        group, machine: Whose they are.
        rules: What the machine allows each Einsum.
    """

    group: Group
    machine: Machine
    rules: Mapping[str, EinsumRules]

    @cached_property
    def ports(self) -> tuple[tuple[Memory, Amount, tuple[str, ...]], ...]:
        registers = [unit.registers for unit in self.machine.units if unit.registers is not None]
        memories = (self.machine.outer, self.machine.buffer, *registers)
        return tuple((memory, *port) for memory in memories for port in ports(memory))

    @cached_property
    def leakage_pj(self) -> float:
        """Static energy of a cycle, pJ."""
        architecture = self.machine.architecture
        return architecture.leakage_w() / architecture.clock_hz * 1e12

    @property
    def width(self) -> int:
        """Length of a cost vector."""
        return LOADS + len(self.ports)

    def moved(self, memory: Memory, bits: float, reads: Floats, writes: Floats, drains: Floats | float = 0.0) -> Floats:
        """Cost vectors of some words of one memory. Shape of ``reads`` with the vector as a last axis."""
        share = accesses(memory, bits)
        vector = np.zeros((*np.shape(reads), self.width))
        vector[..., ENERGY] = memory.access_energy_pj(reads * share, writes * share, np.asarray(drains * share))
        for place, (owner, rate, ways) in enumerate(self.ports):
            if owner is memory:
                width = share if rate.in_words else bits
                total = (reads if "reads" in ways else 0.0) + (writes if "writes" in ways else 0.0)
                vector[..., LOADS + place] = total * (width / float(rate.value))
        return vector

    def compulsory(self) -> tuple[float, float]:
        """Energy and cycles that the group cannot go below: operations at their best, words of the outermost once."""
        vector = np.zeros(self.width)
        for tensor in self.group.boundary:
            operand = self.operand(tensor)
            if not operand.state:
                some = float(operand.elements)
                ways = (0.0, some) if self.group.is_made(tensor) else (some, 0.0)
                vector = vector + self.moved(self.machine.outer, float(operand.bits), *map(np.asarray, ways))
        busy = np.array([[quickest(part, unit) for unit in self.machine.units] for part in self.group.parts])
        cycles = max(float(balanced(busy)), float(vector[BUSY:].max()))
        energy = sum(
            min((compute_pj(part, unit) for unit in self.machine.units if unit.able(part.einsum)), default=math.inf)
            for part in self.group.parts
        )
        return energy + float(vector[ENERGY]) + cycles * self.leakage_pj, cycles

    # -- tensors of the buffer

    def allowed(self, tensor: str) -> bool:
        """Whether the buffer may hold a tensor for every Einsum that uses it."""
        users = self.group.users[tensor]
        return all(self.rules[part.name].holding(self.machine.buffer.name).allows(tensor) for part, _ in users)

    def forced(self, tensor: str) -> bool:
        """Whether the buffer must hold a tensor."""
        users = self.group.users[tensor]
        return any(tensor in self.rules[part.name].holding(self.machine.buffer.name).must for part, _ in users)

    def operand(self, tensor: str) -> Operand:
        part, index = self.group.users[tensor][0]
        return part.operands[index]

    def crossing(self, nests: Nests, tensor: str, depth: int) -> Floats:
        """Cost of a boundary tensor that the buffer holds below ``depth`` loops. Shape ``(candidates, vector)``."""
        users = self.group.users[tensor]
        operand = self.operand(tensor)
        bits = float(operand.bits)
        outer, buffer = self.machine.outer, self.machine.buffer
        tile = nests.elements(operand.variables, depth)
        makers = [part for part, index in users if part.operands[index].output]
        if not makers:
            times = np.max([nests.visits(part, operand.variables, depth) for part, _ in users], axis=0)
            moved = tile * times
            none = np.zeros_like(moved)
            return self.moved(outer, bits, moved, none) + self.moved(buffer, bits, none, moved)
        moved = tile * nests.visits(makers[0], operand.variables, depth)
        if operand.state:  # whole generations: one that was made in an earlier iteration comes back
            earlier = nests.outermost({self.group.flow.states[tensor].variable}) < depth
            back = moved if earlier else np.zeros_like(moved)
        else:
            back = moved - operand.elements
        return self.moved(outer, bits, back, moved) + self.moved(buffer, bits, moved, back, moved)

    def takes(self, nests: Nests, tensor: str, depth: int) -> Floats:
        """Bits of a tensor in the buffer below ``depth`` loops. Shape ``(candidates,)``."""
        part, index = self.group.users[tensor][0]
        operand = part.operands[index]
        doubled = 2.0 if applies(self.machine.buffer.double_buffered, part.einsum, tensor) else 1.0
        return nests.elements(operand.variables, depth) * (float(operand.bits) * doubled)

    def home(self, nests: Nests, tensor: str) -> int:
        """Loops above the hold of an internal tensor: above the first that one of its users does not iterate."""
        users = [part for part, _ in self.group.users[tensor]]
        lonely = {
            loop for loop in nests.loops
            if len({loop in part.extents for part in users}) > 1
        }  # fmt: skip
        state = self.group.flow.states.get(tensor)
        if state is not None:
            lonely.add(state.variable)
        return nests.outermost(lonely)

    # -- Einsums

    def interior(self, part: Part, resident: frozenset[str], free: frozenset[str] = frozenset()) -> Interior:
        mine = frozenset(operand.tensor for operand in part.operands)
        key = (part.name, resident & mine, free & mine)
        if key not in self._interiors:
            self._interiors[key] = Interior(part, self.machine, self.rules[part.name], *key[1:])
        return self._interiors[key]

    @cached_property
    def _interiors(self) -> dict[tuple[str, frozenset[str], frozenset[str]], Interior]:
        return {}

    def rows(
        self, nests: Nests, part: Part, resident: frozenset[str], bypassing: frozenset[str]
    ) -> Iterator[tuple[Options, Floats, Floats]]:
        """Cost vectors of every option, and bits of its registers. What is not legal costs infinity.

        Shapes ``(candidates, options, vector)`` and ``(candidates, options)``.

        Args:
            bypassing: Boundary tensors that the buffer does not hold.
        """
        tiles, stays = self.moving(nests, part)
        for options in self.interior(part, resident).options:
            rows = rows_of(options, tiles, stays, resident)
            yield options, self._vector(rows, part, resident, bypassing), rows.registers

    def moving(self, nests: Nests, part: Part) -> tuple[Floats, list[Floats]]:
        """The tile of a slot and how often the whole tile of each operand changes, for every candidate."""
        depth = len(nests.loops)
        return nests.tiles(part), [nests.visits(part, operand.moving, depth) for operand in part.operands]

    def _vector(self, rows: Rows, part: Part, resident: frozenset[str], bypassing: frozenset[str]) -> Floats:
        entries = [self._entry(rows, part, resident, entry) for entry in range(self.width)]
        vector = np.stack([_chosen(entry, part, bypassing) for entry in entries], axis=-1)
        vector[~rows.valid] = np.inf
        return vector

    def _entry(
        self, rows: Rows, part: Part, resident: frozenset[str], entry: int, free: frozenset[str] = frozenset()
    ) -> _Entry:
        """One entry of the cost vectors: what does not depend on where operands live, and what each adds where."""
        base: Floats = rows.busy if entry == BUSY else np.zeros(rows.busy.shape)
        if entry == ENERGY:
            base = base + rows.compute_pj
        added: dict[str, tuple[Floats | float, Floats | float]] = {}
        for index, operand in enumerate(part.operands):
            if entry == BUSY:
                continue
            own = self._own(rows, operand, index, entry)
            if operand.tensor in resident:
                base = base + own
                continue
            words, back = rows.words[index], rows.returns[index]
            reads, writes = (back, words) if operand.output else (words, 0.0)
            places = tuple(
                own + self._amount(memory, float(operand.bits), reads, writes, entry)
                for memory in (self.machine.buffer, self.machine.outer)
            )
            if operand.tensor in free:
                kept = self._in_registers(rows, part, operand, entry)
                places = (np.minimum(places[0], kept),) * 2
            before = added.get(operand.tensor, (0.0, 0.0))
            added[operand.tensor] = (before[0] + places[0], before[1] + places[1])
        return base, added

    def _own(self, rows: Rows, operand: Operand, index: int, entry: int) -> Floats | float:
        """One entry of what an operand moves in registers and over links."""
        if entry == ENERGY:
            return rows.inside_pj(index, float(operand.bits))
        inside, memory = rows.inside[index], rows.unit.registers
        if memory is None or self.ports[entry - LOADS][0] is not memory:
            return 0.0
        return self._amount(memory, float(operand.bits), inside.reads, inside.writes, entry) / rows.instances

    def _in_registers(self, rows: Rows, part: Part, operand: Operand, entry: int) -> Floats | float:
        """One entry of an operand that stays in the registers while a slot runs; infinite where it cannot fit them."""
        memory = rows.unit.registers
        if memory is None:
            return math.inf
        ranks = [rank for rank, name in enumerate(part.extents) if name in operand.variables]
        share = rows.tiles[:, ranks].prod(axis=1) / math.prod(rows.unit.axes.values())
        fits = (share * float(operand.bits) <= float(memory.capacity.value))[:, None]
        return np.where(fits, self._kept_pj(memory, part, operand) if entry == ENERGY else 0.0, np.inf)

    def _kept_pj(self, memory: Memory, part: Part, operand: Operand) -> float:
        points = float(part.points)
        reads, writes = (points - operand.elements, points) if operand.output else (points, 0.0)
        return accesses(memory, float(operand.bits)) * memory.access_energy_pj(max(0.0, reads), writes, 0.0)

    def _amount(
        self, memory: Memory, bits: float, reads: Floats | float, writes: Floats | float, entry: int
    ) -> Floats | float:
        """One entry of `moved`."""
        share = accesses(memory, bits)
        if entry == ENERGY:
            return reads * (share * memory.read_energy_pj) + writes * (share * memory.write_energy_pj)
        owner, rate, ways = self.ports[entry - LOADS]
        if owner is not memory:
            return 0.0
        width = (share if rate.in_words else bits) / float(rate.value)
        return ((reads if "reads" in ways else 0.0) + (writes if "writes" in ways else 0.0)) * width

    def least(
        self, every: Sequence[Nests], part: Part, free: frozenset[str], outs: Sequence[frozenset[str]],
        entries: Sequence[int], until: float | None = None,
    ) -> tuple[Mapping[frozenset[str], Floats], Floats]:  # fmt: skip
        """The least of some entries over all options, for each set of operands that bypass the buffer; of others 0.

        ``free`` tensors may stay in registers instead of the buffer. With it, the least cycles on each unit, infinite
        where it cannot execute the Einsum. Shape ``(candidates, units)``, the candidates of all ``every`` in a row.

        Candidates with the same tile and the same changes are costed once, in blocks that stay in the cache.

        Raises:
            TimeIsUp: It is later than ``until``, of `time.monotonic`.
        """
        moving = [self.moving(nests, part) for nests in every]
        table = np.concatenate([np.column_stack([tiles, *stays]) for tiles, stays in moving])
        keys, back = _distinct(table)
        ranks = len(part.extents)
        found = {out: np.full((len(keys), self.width), np.inf) for out in outs}
        quick = np.full((len(keys), len(self.machine.units)), np.inf)
        for options in self.interior(part, frozenset(), free).options:
            block = max(1, BLOCK // len(options.layouts))
            for start in range(0, len(keys), block):
                if until is not None and time.monotonic() > until:
                    raise TimeIsUp
                some = slice(start, start + block)
                mine = [keys[some, ranks + i] for i in range(len(part.operands))]
                rows = rows_of(options, keys[some, :ranks], mine, frozenset())
                wrong = np.where(rows.valid, 0.0, np.inf)
                unit = self.machine.units.index(options.unit)
                quick[some, unit] = np.minimum(quick[some, unit], (rows.busy + wrong).min(axis=1))
                for entry in entries:
                    parts = self._entry(rows, part, frozenset(), entry, free)
                    for out in outs:
                        least = (_chosen(parts, part, out) + wrong).min(axis=1)
                        found[out][some, entry] = np.minimum(found[out][some, entry], least)
        for vector in found.values():
            vector[:, [e for e in range(self.width) if e not in entries]] = 0.0
        back = back.ravel()
        return {out: vector[back] for out, vector in found.items()}, quick[back]


_Entry = tuple[Floats, dict[str, tuple[Floats | float, Floats | float]]]
"""What every option has, and by operand what it adds in the buffer and in the outermost memory."""


def _chosen(entry: _Entry, part: Part, bypassing: frozenset[str]) -> Floats:
    total, added = entry
    for tensor, places in added.items():
        total = total + places[tensor in bypassing]
    return total


def _distinct(table: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Distinct rows, and which of them each row is."""
    weights = np.sqrt(np.arange(2.0, 2.0 + table.shape[1]))  # sums of different rows differ, as a rule
    _, first, back = np.unique(table @ weights, return_index=True, return_inverse=True)
    keys = table[first]
    if np.array_equal(keys[back], table):
        return keys, back
    keys, back = np.unique(table, axis=0, return_inverse=True)
    return keys, back


def alone(vector: Floats) -> Floats:
    """Cycles of an Einsum by itself: its busiest resource. Shape without the last axis."""
    return np.asarray(vector[..., BUSY:].max(axis=-1))
