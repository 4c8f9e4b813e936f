"""What phases move off chip: elements by tensor, cycles of the port, energy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from einloom.arch.engine import Array, ProgramEinsum, SizedOperand, Words
from einloom.arch.templates.fpga_dataflow.machine import OFF_CHIP, Machine


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a phase moves off chip: elements by tensor, energy, cycles of the port with one latency a tensor."""

    words: Mapping[tuple[str, str], Words]
    energy_pj: Array | float
    cycles: Array | float


def traffic_of(einsums: Sequence[ProgramEinsum], spills: Sequence[str], machine: Machine, on_chip: bool) -> Traffic:
    """Of Einsums in one phase; a tensor that several of them read is read once."""
    found: dict[str, tuple[int, int, Fraction]] = {}
    for einsum in einsums:
        for tensor, (reads, writes, bits) in moved_bits(einsum, spills, on_chip).items():
            before = found.get(tensor, (0, 0, bits))
            found[tensor] = (max(before[0], reads), max(before[1], writes), bits)
    total = sum(float((reads + writes) * bits) for reads, writes, bits in found.values())
    beats = sum(math.ceil((reads + writes) * bits / machine.port_bits) for reads, writes, bits in found.values())
    words = {(OFF_CHIP, tensor): Words(reads, writes) for tensor, (reads, writes, _) in found.items()}
    return Traffic(words, total * machine.off_chip_pj, float(beats + machine.latency * len(found)))


def operations_of(einsums: Sequence[ProgramEinsum]) -> dict[str, int]:
    total: dict[str, int] = {}
    for einsum in einsums:
        for name, count in einsum.operations().items():
            total[name] = total.get(name, 0) + count
    return total


def again(moved: Traffic, inputs: SizedOperand, times: Array, size: int, machine: Machine) -> Traffic:
    """What else moves when ``inputs`` come in so many more times."""
    more = times * float(size * inputs.bits)
    words = moved.words[OFF_CHIP, inputs.tensor]
    return Traffic(
        {**moved.words, (OFF_CHIP, inputs.tensor): Words(words.reads + times * size, words.writes)},
        moved.energy_pj + more * machine.off_chip_pj,
        moved.cycles + np.ceil(more / float(machine.port_bits)) + machine.latency * times,
    )


def off_chip(access: SizedOperand, role: str, spills: Iterable[str], on_chip: bool) -> bool:
    """Whether a tensor crosses the off-chip port when an Einsum uses it: inputs and outputs of the workload do,
    intermediates where they are spilled."""
    if role == "output":
        kept = on_chip and not _is_output(access)
        return not kept or access.tensor in spills
    return not on_chip or _is_input(access) or access.tensor in spills


def _is_input(access: SizedOperand) -> bool:
    return bool(getattr(access, "workload_input", True))


def _is_output(access: SizedOperand) -> bool:
    return bool(getattr(access, "workload_output", True))


def moved_bits(einsum: ProgramEinsum, spills: Iterable[str], on_chip: bool) -> dict[str, tuple[int, int, Fraction]]:
    """Elements read and written off chip and their width, by tensor; an operand that is used twice is read once."""
    output, *inputs = einsum.accesses
    found: dict[str, tuple[int, int, Fraction]] = {}
    for access in inputs:
        if off_chip(access, "input", spills, on_chip):
            found[access.tensor] = (max(einsum.size(access), found.get(access.tensor, (0,))[0]), 0, access.bits)
    if off_chip(output, "output", spills, on_chip):
        reads = found.get(output.tensor, (0, 0, output.bits))[0]
        found[output.tensor] = (reads, einsum.size(output), output.bits)
    return found
