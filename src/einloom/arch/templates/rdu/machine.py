"""The engine of a reconfigurable dataflow unit: kernels on tiles, one after the other.

Choices that all steps share:

    execution       fused: kernels of several Einsums; kernel_by_kernel: each Einsum alone, through the HBM
    fused_einsums   most Einsums of a fused kernel: 2, 4, 8, ... up to all; a kernel also ends where its SRAM is full

Law of a kernel (one socket; the roofline of S. Williams et al., CACM 52(4), 2009, over what is fused):

    cycles = max(operations / rate, HBM bits / bandwidth) + exchange + launch
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import (
    Array,
    Cost,
    Engine,
    Laws,
    Program,
    ProgramEinsum,
    Step,
    Value,
    Words,
)
from einloom.arch.templates.plain_work import lane_cycles, operations_pj
from einloom.arch.templates.rdu.fusion import Kernel, Part, kernels, part_of
from einloom.arch.tree import Compute
from einloom.errors import MappingError

DDR, SOCKET, HBM, SRAM, TILE, UNIT = "DDR", "SOCKET", "HBM", "SRAM", "TILE", "PCU"
FUSED, ALONE = "fused", "kernel_by_kernel"
OPERAND_BITS = 16
"""The peak is of BF16; wider operands have no rate here."""
LINK_PJ_BIT = 4.4
"""Energy of one bit between sockets: PCIe as the CENT simulator prices it (github.com/Yufeng98/CENT), pJ."""


@dataclass(frozen=True, slots=True)
class KernelWork:
    """What one kernel asks of one socket.

    Attributes:
        operation_cycles: Of all its units together.
        hbm_cycles: For which the HBM is busy.
        link_cycles: For which the links are busy.
        launch_cycles: Before it starts.
    """

    operation_cycles: float
    hbm_cycles: float
    link_cycles: float
    launch_cycles: float


def compute(work: KernelWork) -> Array:
    """Operations over the rate of all units: products at the peak, other operators at `elementwise` of it."""
    return np.asarray(work.operation_cycles)


def stall(work: KernelWork) -> Array:
    """What the HBM takes longer than the units: max(0, bits / bandwidth - operations / rate)."""
    return np.asarray(max(0.0, work.hbm_cycles - work.operation_cycles))


def exchange(work: KernelWork) -> Array:
    """Outputs of products with split weights, gathered by every socket: (1 - own part) x bits / link bandwidth."""
    return np.asarray(work.link_cycles)


def launch(work: KernelWork) -> Array:
    """What starting a kernel takes, once for each."""
    return np.asarray(work.launch_cycles)


LAWS: Laws[KernelWork] = Laws((compute, stall, exchange, launch))


@dataclass(frozen=True, slots=True)
class _Piece:
    """An Einsum with its multiply-accumulate slots (at the peak rate, all sockets) and the energy of its operations."""

    part: Part
    slots: float
    energy_pj: float


@dataclass(frozen=True, slots=True)
class RduEngine(Engine):
    """Rates are per cycle of the counting clock and socket.

    Attributes:
        sockets: That share every layer.
        units: Compute units of a socket.
        macs: Multiply-accumulates of a socket a cycle.
        elementwise: Part of that rate at which everything but products of two tensors runs.
        hbm_bits, link_bits, ddr_bits: Bits a cycle.
        sram_bits: Capacity of all memory units of a socket.
        launch_cycles: Of a kernel.
        hbm_pj, sram_pj, ddr_pj: Of one bit.
        unit: What operations cost.
        switch: Whether the weights are first copied from the DDR.
        laws: Terms that are on.
        notes: What to say of every step.
    """

    sockets: int
    units: int
    macs: float
    elementwise: float
    hbm_bits: float
    link_bits: float
    ddr_bits: float
    sram_bits: float
    launch_cycles: float
    hbm_pj: float
    sram_pj: float
    ddr_pj: float
    unit: Compute
    switch: bool
    laws: Laws[KernelWork]
    notes: tuple[str, ...] = ()

    def shared(self, program: Program) -> Mapping[str, tuple[Value, ...]]:
        if len(program.einsums) == 1:
            return {}
        counts = tuple(1 << i for i in range(1, (len(program.einsums) - 1).bit_length()))
        return {"execution": (FUSED, ALONE), "fused_einsums": (len(program.einsums), *reversed(counts))}

    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        parts = [part_of(einsum, self.sockets) for einsum in program.einsums]
        pieces = [self._piece(einsum, part) for einsum, part in zip(program.einsums, parts, strict=True)]
        most = int(shared.get("fused_einsums", 1)) if shared.get("execution") == FUSED else 1
        found = kernels(parts, most, self.sram_bits)
        stored, weights = self._stored_bits(program)
        steps = [self._step(kernel, pieces[kernel.first : kernel.last + 1], stored) for kernel in found]
        return [self._switch(weights, stored), *steps] if self.switch and weights else steps

    # -- kernels ------------------------------------------------------------------------------------------------------

    def _piece(self, einsum: ProgramEinsum, part: Part) -> _Piece:
        """One Einsum priced, before anything is fused."""
        for access in einsum.accesses:
            if access.bits > OPERAND_BITS:
                raise MappingError(
                    f"Einsum {einsum.name}: {access.tensor} has {float(access.bits):g} bits, the peak is of BF16",
                    f"give it at most {OPERAND_BITS} bits: `bits: {{{access.tensor}: {OPERAND_BITS}}}`",
                )
        slots = lane_cycles(self.unit, einsum) / (1.0 if part.product else self.elementwise)
        return _Piece(part, slots, operations_pj(self.unit, einsum))

    def _step(self, kernel: Kernel, pieces: Sequence[_Piece], stored: float) -> Step:
        cost = self._cost(kernel, pieces, stored)
        return Step(
            name=pieces[-1].part.name,
            einsums=tuple(piece.part.name for piece in pieces),
            compute=UNIT,
            cost=lambda _: cost,
            notes=self.notes,
        )

    def _cost(self, kernel: Kernel, pieces: Sequence[_Piece], stored: float) -> Cost:
        exchanged = sum(piece.part.exchanged_bits for piece in pieces)
        work = KernelWork(
            sum(piece.part.share * piece.slots for piece in pieces) / self.macs,
            kernel.hbm_bits / self.hbm_bits,
            exchanged / self.link_bits,
            self.launch_cycles,
        )
        passed = sum(piece.part.passed_bits for piece in pieces)
        return Cost(
            cycles=self.laws.of(work),
            useful=sum(piece.slots for piece in pieces) * self.units / self.macs,
            busy={UNIT: work.operation_cycles, HBM: work.hbm_cycles},
            energy_pj={
                UNIT: sum(piece.energy_pj for piece in pieces),
                HBM: self.sockets * kernel.hbm_bits * self.hbm_pj,
                SRAM: self.sockets * (passed + kernel.hbm_bits) * self.sram_pj,
                "links": self.sockets * exchanged * LINK_PJ_BIT,
            },
            events={"kernels": 1, "fused_einsums": len(pieces)},
            words=self._words(kernel),
            held_bits={HBM: stored, SRAM: kernel.held_bits},
        )

    def _words(self, kernel: Kernel) -> dict[tuple[str, str], Words]:
        """Elements through the HBM of all sockets."""
        reads = {one.tensor: one.elements * self.sockets for one in kernel.crossings if not one.write}
        writes = {one.tensor: one.elements * self.sockets for one in kernel.crossings if one.write}
        return {
            (HBM, name): Words(np.asarray(reads.get(name, 0)), np.asarray(writes.get(name, 0)))
            for name in {**reads, **writes}
        }

    # -- what is stored, and where from -------------------------------------------------------------------------------

    def _stored_bits(self, program: Program) -> tuple[float, float]:
        """What the HBM of one socket holds: inputs, weights and outputs of all copies, evenly over the sockets; and
        of it the weights."""
        stored: dict[str, float] = {}
        weights: dict[str, float] = {}
        for einsum in program.einsums:
            for access in einsum.accesses:
                if access.workload_input or access.workload_output:
                    stored[access.tensor] = einsum.size(access) * float(access.bits)
                    if access.weight:
                        weights[access.tensor] = stored[access.tensor]
        copies = program.copies / self.sockets
        return sum(stored.values()) * copies, sum(weights.values()) * copies

    def _switch(self, weights: float, stored: float) -> Step:
        """All weights from the DDR, which holds those of every socket, to the HBM, once.

        ``bits / min(DDR bandwidth, HBM bandwidth)``.
        """
        cycles = weights / min(self.ddr_bits, self.hbm_bits)
        cost = Cost(
            cycles={"switch": cycles},
            useful=0,
            busy={DDR: weights / self.ddr_bits, HBM: weights / self.hbm_bits},
            energy_pj={DDR: self.sockets * weights * self.ddr_pj, HBM: self.sockets * weights * self.hbm_pj},
            held_bits={DDR: self.sockets * weights, HBM: stored},
        )
        return Step(name="switch", einsums=(), compute=UNIT, cost=lambda _: cost, once=True)
