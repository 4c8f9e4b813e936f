"""What words cost: energy and port cycles of each tensor as linear functions of its visits.

For a tensor of ``size`` elements let ``V`` be the times that a tile of it is brought into the buffer, ``y`` the times
it is served to the array. By counting rule 5 (reads - drains = updates - first touches) it moves, in elements / size::

                    outermost memory            buffer
    input, held     reads V                     writes V,          reads y
    output, held    writes V, reads V - 1       writes V + y - 1,  reads V + y - 1
    input, bare     reads y
    output, bare    writes y, reads y - 1

and with fills ``F`` (copies of the tensor that all registers take in), first touches ``f``, an access an operation::

    registers       input: writes F, reads MACs          output: writes F - f + MACs, reads F - f + MACs
    links           input: F (bare: MACs)                output: 2 F - f (bare: MACs)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.tree import UNLIMITED, Memory
from einloom.model.arrays import Array
from einloom.workloads.sized import Access

_V, _Y, _ONE = (np.array(unit) for unit in ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)))


def accesses(memory: Memory, access: Access) -> float:
    """Accesses of one element: bits / word."""
    return 1.0 if memory.word_bits is None else float(access.bits / memory.word_bits)


def energies(memory: Memory, access: Access) -> tuple[float, float]:
    """Energy of reading and of writing one element, pJ."""
    words = accesses(memory, access)
    return words * memory.read_energy_pj, words * memory.write_energy_pj


def ports(memory: Memory, tensors: Sequence[Access]) -> Iterator[list[tuple[float, float]]]:
    """For each limited port: cycles of reading and of writing one element of each tensor."""
    for rate, reads, writes in (
        (memory.bandwidth, 1, 1),
        (memory.read_bandwidth, 1, 0),
        (memory.write_bandwidth, 0, 1),
    ):
        if rate == UNLIMITED or rate.value == math.inf:
            continue
        cycles = [
            (accesses(memory, access) if rate.in_words else float(access.bits)) / float(rate.value)
            for access in tensors
        ]
        yield [(c * reads, c * writes) for c in cycles]


@dataclass(frozen=True, slots=True)
class OuterPrices:
    """Coefficients of ``(V, y, -1)`` by row (energy, then one row a limited port) and tensor.

    Shape ``(rows, tensors, 3)`` each: for a tensor that the buffer holds, and for one that it does not.
    """

    held: Array
    bare: Array


def outer_prices(
    outer: Memory, buffer: Memory | None, tensors: Sequence[Access], sizes: Sequence[float]
) -> OuterPrices:
    """Prices of the outermost memory and of the buffer (None: there is none)."""
    free = [(0.0, 0.0)] * len(tensors)
    rows = [([energies(outer, a) for a in tensors], [energies(buffer, a) for a in tensors] if buffer else free)]
    rows += [(port, free) for port in ports(outer, tensors)]
    rows += [(free, port) for port in ports(buffer, tensors)] if buffer else []
    held = np.zeros((len(rows), len(tensors), 3))
    bare = np.zeros_like(held)
    for row, (far, near) in enumerate(rows):
        for i, (access, size) in enumerate(zip(tensors, sizes, strict=True)):
            (far_read, far_write), (read, write) = far[i], near[i]
            if access.role == "input":
                held[row, i] = size * (far_read * _V + write * _V + read * _Y)
                bare[row, i] = size * (far_read * _Y)
            else:
                held[row, i] = size * (far_write * _V + far_read * (_V + _ONE) + (read + write) * (_V + _Y + _ONE))
                bare[row, i] = size * (far_write * _Y + far_read * (_Y + _ONE))
    return OuterPrices(held, bare)


@dataclass(frozen=True, slots=True)
class RegisterPrices:
    """Energies of the registers and links by tensor, pJ.

    Attributes:
        fill: Of one copy of the whole tensor that the registers take in (for an output also what they give back).
        first: What a first touch of the whole tensor saves.
        held, bare: Of all operations, when the registers hold the tensor and when not.
        ports: Cycles of one register's limited ports: by port and tensor, for (steps, fills, first touches) of the
            first instance. Shape ``(ports, tensors, 3)``.
    """

    fill: Array
    first: Array
    held: Array
    bare: Array
    ports: Array


def register_prices(
    registers: Memory | None, link_pj: float, tensors: Sequence[Access], sizes: Sequence[float], points: float
) -> RegisterPrices:
    """Prices of the registers (None: there are none) and of the links that lead to them."""
    fill, first, held = np.zeros(3), np.zeros(3), np.zeros(3)
    bare = np.full(3, points * link_pj)
    if registers is None:
        return RegisterPrices(fill, first, held, bare, np.zeros((0, 3, 3)))
    limited = list(ports(registers, tensors))
    busy = np.zeros((len(limited), 3, 3))
    for i, (access, size) in enumerate(zip(tensors, sizes, strict=True)):
        read, write = energies(registers, access)
        is_input = access.role == "input"
        fill[i] = size * (write + link_pj if is_input else read + write + 2 * link_pj)
        first[i] = 0.0 if is_input else size * (read + write + link_pj)
        held[i] = points * (read if is_input else read + write)
        for row, port in enumerate(limited):
            reads, writes = port[i]
            both = reads + writes
            busy[row, i] = (reads, writes, 0.0) if is_input else (both, both, both)
    return RegisterPrices(fill, first, held, bare, busy)
