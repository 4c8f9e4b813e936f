"""Lower bounds on what a tiling costs, before any loop order is chosen: one table a tensor and set of holders.

Given the tiling, what one tensor moves depends on its own holders and on the loop orders only. In the order that suits
it best it moves least, so the sum over tensors of these minima bounds every order from below, whatever else is held;
and occupancy does not depend on the order at all. A tensor with a sliding window has no single best order: of few
orders the least is taken, of many it counts as free, as does one that is read twice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.tree import UNLIMITED, Architecture, Memory
from einloom.mapper.space import Holding, Order, Space
from einloom.model import counts
from einloom.model.arrays import Array
from einloom.model.cost import stored
from einloom.model.structure import Structure, structure_of
from einloom.model.traffic import Batch

FEW_ORDERS = 16
"""Loop orders of a space that are looked at one by one to bound a tensor whose window slides."""


@dataclass(frozen=True)
class Share:
    """What one tensor with one set of holders contributes, at least. Arrays have shape ``(tilings,)``.

    Attributes:
        energy_pj: At all memories.
        port_cycles: By place of the memory: cycles of its ports (shared, read, write).
        occupancy: By place of the memory: `model.cost.bit_parts` of bits, or of words, as its capacity is given.
    """

    energy_pj: Array
    port_cycles: Mapping[int, tuple[Array, Array, Array]]
    occupancy: Mapping[int, Array]


def bounds_in(space: Space, structure: Structure, rows: Array) -> Array:
    """Bounds of the tilings ``rows`` (row numbers of each rank's chain) in the slots of a structure."""
    names = list(space.chains)
    turn = dict.fromkeys(names, 0)
    columns = []
    for slot in structure.slots:
        if slot.variable not in turn:
            columns.append(np.ones(len(rows), dtype=np.int64))
            continue
        chain = space.chains[slot.variable]
        columns.append(chain[rows[:, names.index(slot.variable)], turn[slot.variable]])
        turn[slot.variable] += 1
    return np.stack(columns, axis=1)


def structure_for(space: Space, order: Sequence[Order], holding: Mapping[str, Holding]) -> Structure:
    """The structure of one loop order a block and one set of holders a tensor."""
    first = {var: chain[0].tolist() for var, chain in space.chains.items()}
    return structure_of(space.einsum, space.path, space.nodes(order, holding, first))


def tensor_shares(architecture: Architecture, space: Space, tensor: str, rows: Array) -> list[Share]:
    """A `Share` for each of the tensor's sets of holders, in the order of ``space.holdings``."""
    access = next(a for a in space.einsum.accesses if a.tensor == tensor)
    slides = any(len(dim) > 1 for dim in access.dims)
    listed = slides and math.prod(len(orders) for orders in space.orders) <= FEW_ORDERS
    orders = list(itertools.product(*space.orders)) if listed else [space.stationary(access)]
    shares_ = []
    for holding in space.holdings[tensor]:
        found = []
        for order in orders:
            structure = structure_for(space, order, {tensor: holding})
            batch = counts.batch_of(structure, bounds_in(space, structure, rows))
            found.append(_share(architecture, batch, len(rows), slides and not listed))
        shares_.append(_least(found))
    return shares_


def _least(shares: Sequence[Share]) -> Share:
    """The least that one tensor contributes in any of some loop orders; occupancy is the same in all."""
    energy = np.minimum.reduce([share.energy_pj for share in shares])
    ports = {
        level: tuple(np.minimum.reduce([share.port_cycles[level][port] for share in shares]) for port in range(3))
        for level in shares[0].port_cycles
    }
    return Share(energy, {level: (a, b, c) for level, (a, b, c) in ports.items()}, shares[0].occupancy)


def _share(architecture: Architecture, batch: Batch, tilings: int, slides: bool) -> Share:
    structure = batch.structure
    energy = np.zeros(tilings)
    ports: dict[int, list[Array]] = {}
    occupied: dict[int, Array] = {}
    for index, holder, found in counts.count(batch):
        access, memory = structure.einsum.accesses[index], structure.memory(holder)
        twice = sum(other.tensor == access.tensor for other in structure.einsum.accesses) > 1
        free = twice or slides
        reads, writes = found.reads.astype(float), found.writes.astype(float)
        if free:
            reads, writes = reads * 0, writes * 0
        words = 1.0 if memory.word_bits is None else float(access.bits / memory.word_bits)
        energy = energy + words * (reads * memory.read_energy_pj + writes * memory.write_energy_pj)
        loads = ports.setdefault(holder.level, [np.zeros(tilings)] * 3)
        width = (words, float(access.bits))
        used = counts.used(batch, holder.level).astype(float)
        for i, load in enumerate(_loads(memory, reads, writes, width)):
            loads[i] = loads[i] + load / used
        size = stored(structure, memory, index, found.occupancy)
        occupied[holder.level] = occupied.get(holder.level, 0) + size
    return Share(energy, {level: (a, b, c) for level, (a, b, c) in ports.items()}, occupied)


def _loads(memory: Memory, reads: Array, writes: Array, width: tuple[float, float]) -> list[Array]:
    """Cycles on the shared, the read and the write port, were all instances equally busy."""
    loads = []
    for rate, moved in (
        (memory.bandwidth, reads + writes),
        (memory.read_bandwidth, reads),
        (memory.write_bandwidth, writes),
    ):
        per_word = width[0] if rate.in_words else width[1]
        loads.append(moved * 0 if rate == UNLIMITED else moved * per_word / float(rate.value))
    return loads
