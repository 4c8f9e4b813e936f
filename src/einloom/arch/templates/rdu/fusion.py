"""Which Einsums of a cascade run as one kernel, and what of their tensors then crosses the HBM.

A fused kernel lays its Einsums out next to each other on the tiles: what one makes and only others of the kernel use
stays in the SRAM; every other tensor crosses the HBM once, however many Einsums of the kernel use it.

Tensor parallelism over S sockets: a product with weights is split along the weights' own ranks (N). Each socket reads
all of its input and its columns of the weights, and after an exchange has the whole output. Everything else (attention
by heads, element-wise work) is split evenly and needs no exchange.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from einloom.arch.engine import ProgramEinsum, contraction_of


@dataclass(frozen=True, slots=True)
class Moved:
    """A tensor, or the part of it that one socket handles: elements and bits."""

    tensor: str
    elements: float
    bits: float
    write: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One Einsum as one socket sees it.

    Attributes:
        name: Of the Einsum.
        product: Whether it is a product of two tensors.
        share: Part of the operations on the busiest socket: ceil(N / S) / N of a product with weights, else 1 / S.
        operands: The output first.
        batch: Equal products of one socket, one after the other; 1 of anything else.
        leaves: Whether its output leaves the cascade.
        exchanged_bits: That a socket receives so that it has the whole output: (1 - its own part) of it.
    """

    name: str
    product: bool
    share: float
    batch: float
    operands: tuple[Moved, ...]
    leaves: bool
    exchanged_bits: float

    @property
    def passed_bits(self) -> float:
        """Bits that all operands have: in and out of the SRAM once each."""
        return sum(operand.bits for operand in self.operands)


def part_of(einsum: ProgramEinsum, sockets: int) -> Part:
    """``einsum`` on one of ``sockets``."""
    product = contraction_of(einsum)
    split = product is not None and product.given
    share = -(-product.n // sockets) / product.n if product is not None and split else 1 / sockets
    whole = {product.inputs.tensor, product.outputs.tensor} if product is not None and split else set()
    operands = []
    for access in einsum.accesses:
        elements = einsum.size(access) * (1.0 if access.tensor in whole else share)
        operands.append(Moved(access.tensor, elements, elements * float(access.bits), access is einsum.accesses[0]))
    exchanged = (1 - share) * operands[0].bits if split else 0.0
    leaves = einsum.accesses[0].workload_output
    batch = max(1.0, product.batch / sockets) if product is not None else 1.0
    return Part(einsum.name, product is not None, share, batch, tuple(operands), leaves, exchanged)


def last_uses(parts: Sequence[Part]) -> Mapping[str, int]:
    """Place of the last Einsum that reads each tensor."""
    return {operand.tensor: place for place, part in enumerate(parts) for operand in part.operands[1:]}


@dataclass(frozen=True, slots=True)
class Kernel:
    """Einsums that run as one.

    Attributes:
        first, last: Places of its Einsums, both included.
        crossings: What crosses the HBM, once each.
        held_bits: What its SRAM holds on one socket: every tensor born and dead inside, and of a product that reads
            both operands from the HBM the smaller one (of a batch, that of one product), so that both cross once.
    """

    first: int
    last: int
    crossings: tuple[Moved, ...]
    held_bits: float

    @property
    def hbm_bits(self) -> float:
        return sum(crossing.bits for crossing in self.crossings)


def kernel_of(parts: Sequence[Part], uses: Mapping[str, int], first: int, last: int) -> Kernel:
    """Einsums ``first`` to ``last`` (included) as one kernel."""
    inside = parts[first : last + 1]
    made = {part.operands[0].tensor for part in inside}
    crossings: dict[tuple[str, bool], Moved] = {}
    inner: dict[str, float] = {}
    stationary = 0.0
    for part in inside:
        reads: dict[str, float] = {}
        for operand in part.operands:
            name = operand.tensor
            if operand.write and not part.leaves and uses.get(name, -1) <= last:
                inner[name] = operand.bits
            elif operand.write or name not in made:
                before = crossings.get((name, operand.write))
                if before is None or before.bits < operand.bits:  # of several references the largest
                    crossings[name, operand.write] = operand
                if not operand.write:
                    reads[name] = operand.bits
        if part.product and len(reads) > 1:
            stationary = max(stationary, min(reads.values()) / part.batch)
    return Kernel(first, last, tuple(crossings.values()), sum(inner.values()) + stationary)


def in_passes(kernel: Kernel, sram_bits: float) -> Kernel:
    """A product whose smaller operand is larger than the SRAM: one pass for each SRAM full of it.

    The other operand crosses the HBM once a pass: ceil(smaller / SRAM) times, in every product of a batch.
    """
    passes = math.ceil(kernel.held_bits / sram_bits)
    smaller = min((one for one in kernel.crossings if not one.write), key=lambda one: one.bits)
    again = tuple(
        one if one.write or one is smaller else replace(one, elements=one.elements * passes, bits=one.bits * passes)
        for one in kernel.crossings
    )
    return Kernel(kernel.first, kernel.last, again, sram_bits)


def kernels(parts: Sequence[Part], most: int, sram_bits: float) -> Sequence[Kernel]:
    """The cascade cut into kernels in its order: each takes Einsums until it has ``most``, or the next does not fit.

    A single Einsum is a kernel in any case: one that does not fit runs in passes.

    Args:
        parts: The cascade, as one socket sees it.
        most: Einsums of a kernel.
        sram_bits: Of one socket.
    """
    uses = last_uses(parts)
    found: list[Kernel] = []
    first = 0
    while first < len(parts):
        kernel = kernel_of(parts, uses, first, first)
        while kernel.last + 1 < min(len(parts), first + most):
            larger = kernel_of(parts, uses, first, kernel.last + 1)
            if larger.held_bits > sram_bits:
                break
            kernel = larger
        found.append(kernel if kernel.held_bits <= sram_bits else in_passes(kernel, sram_bits))
        first = kernel.last + 1
    return found

