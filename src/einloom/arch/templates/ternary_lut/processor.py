"""Bit-serial table lookup on a processor (T-MAC: J. Wei et al., arXiv 2407.00088; github.com/microsoft/T-MAC).

A weight of b bits is b planes of one bit. A table holds the sums of g activations for all 2^g patterns of a plane
(half of them, mirrored); one table instruction looks up ``lanes`` outputs. For a token and a K x N matrix:

    instructions = b K N / (g lanes)  +  entries K / (g lanes) for the tables
    cycles       = max( instructions / (rate threads),  K N (b + s) / 8 bytes / bandwidth )

Weights are read once for all rows of a prompt. Weights that no table takes (the head, 16 bits) run as multiply-adds at
a rate of their own, against the same memory; attention and element-wise work as vector instructions. Rate, head time
and bandwidth of a processor are *calibrated*: `calibrated` reads them off three measured rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import Array, Columns, Cost, Value
from einloom.arch.templates.cascade_steps import Crossing, Group, stream_operations
from einloom.arch.templates.surroundings import DRAM, Surroundings, finished
from einloom.errors import MappingError

CORE = "Cores"
HEAD_BITS = 16
"""Bits of the weights of a head."""


@dataclass(frozen=True, slots=True)
class Processor:
    """Cores and their memory.

    Attributes:
        clock_hz: Of the machine, in which cycles are counted.
        instruction_hz: Table instructions a second and thread.
        wide_hz: Multiply-adds a second and thread of weights that no table takes.
        bytes_per_s: Memory bandwidth of all threads.
        threads: Cores that work.
        group, table_lanes: g, and outputs of one table instruction.
        mirrored: Whether half of a table's entries stand for all.
        scale_bits: Bits of scales beside each weight.
        lanes: Lanes of other vector instructions.
        cycles_of: Instructions of one element-wise operation, by operator.
        instruction_pj: Of one instruction, pJ.
        operator_pj: Of one lane's operation, by operator, pJ.
    """

    clock_hz: float
    instruction_hz: float
    wide_hz: float
    bytes_per_s: float
    threads: int
    group: int
    table_lanes: int
    mirrored: bool
    scale_bits: float
    lanes: int
    cycles_of: tuple[tuple[str, int], ...]
    instruction_pj: float
    operator_pj: tuple[tuple[str, float], ...]

    def cycles(self, instructions: float) -> float:
        """Clock cycles of instructions that all threads share."""
        return instructions * self.clock_hz / (self.instruction_hz * self.threads)

    def moved(self, bits: float) -> float:
        """Clock cycles in which the memory moves ``bits``."""
        return bits / 8 / self.bytes_per_s * self.clock_hz


@dataclass(frozen=True, slots=True)
class CoreUnit:
    """Cores that run everything, products by table where the weights are narrow."""

    core: Processor
    around: Surroundings

    compute = CORE

    def choices(self, group: Group) -> Mapping[str, tuple[Value, ...]]:
        return {}

    def cost(self, group: Group, crossings: Sequence[Crossing], columns: Columns) -> Cost:
        core = self.core
        terms: dict[str, Array | float] = {}
        bits, macs, instructions = 0.0, 0, 0.0
        for run in group.runs:
            product = run.contraction
            weights = product.batch * product.n * product.k
            if run.unit == "projection":
                planes = math.ceil(product.weights.bits)
                rows = product.m * product.batch
                read = rows * planes * product.k * product.n / (core.group * core.table_lanes)
                made = rows * product.k / core.group * 2 ** (core.group - core.mirrored) / core.table_lanes
                terms["lookup"] = terms.get("lookup", 0.0) + core.cycles(read)
                terms["build"] = terms.get("build", 0.0) + core.cycles(made)
                bits += weights * (planes + core.scale_bits)
                instructions += read + made
            elif run.unit == "wide":
                rate = core.wide_hz * core.threads
                terms["head"] = terms.get("head", 0.0) + product.macs / rate * core.clock_hz
                bits += weights * float(product.weights.bits)
                macs += product.macs
            else:
                vectors = product.macs / core.lanes
                terms["attention"] = terms.get("attention", 0.0) + core.cycles(vectors)
                bits += weights * float(product.weights.bits)
                macs += product.macs
        vectors, stream_pj = self._streams(group)
        if vectors:
            terms["streams"] = core.cycles(vectors)
        terms = {name: term for name, term in terms.items() if name not in self.around.off}
        total = sum(float(np.asarray(term)) for term in terms.values())
        if "weight_stall" not in self.around.off:
            terms["weight_stall"] = max(0.0, core.moved(bits) - total)
        instructions += vectors + macs / core.lanes
        offchip = self.around.offchip
        operands = {run.contraction.weights.tensor for run in group.runs}
        crossing_pj = offchip.energy_pj([c for c in crossings if c.tensor not in operands and not c.weight])
        return finished(
            self.around, group, [], terms, stream_unit=False,
            energy_pj={CORE: instructions * core.instruction_pj + macs * self._pj("mac") + stream_pj,
                       DRAM: bits * offchip.read_pj + crossing_pj},
            busy={CORE: total, DRAM: core.moved(bits)}, useful=total,
            events={"instructions": instructions},
            words={(DRAM, c.tensor): c.words for c in crossings},
        )  # fmt: skip

    def _pj(self, operator: str) -> float:
        return dict(self.core.operator_pj)[operator]

    def _streams(self, group: Group) -> tuple[float, float]:
        """Vector instructions of the element-wise operators, and what their lanes take, pJ.

        Raises:
            MappingError: An operator without a cost; it is never taken for free.
        """
        steps, prices = dict(self.core.cycles_of), dict(self.core.operator_pj)
        count, energy = 0.0, 0.0
        for operator, times in stream_operations(group).items():
            if operator not in prices:
                hint = f"the cores run: {', '.join(sorted(prices))}"
                raise MappingError(f"no cost is known for the operator '{operator}' of {group.name}", hint)
            count += times * steps.get(operator, 1) / self.core.lanes
            energy += times * prices[operator]
        return count, energy


@dataclass(frozen=True, slots=True)
class Calibration:
    """What three measured rows say about a processor: instructions a second and thread, head time (s), bytes/s."""

    instruction_hz: float
    head_s: float
    wide_hz: float
    bytes_per_s: float


def calibrated(
    one_thread: Mapping[int, float],
    many_threads: Mapping[int, float],
    weights: int,
    head: int,
    scale_bits: float,
    lookups_an_instruction: int,
) -> Calibration:
    """Rate and head time from two one-thread rows, bandwidth from a row with many threads.

    With ``I(b) = b weights / lookups_an_instruction`` and t(b) = 1 / (tokens/s) at one thread:

        rate = (I(b2) - I(b1)) / (t(b2) - t(b1)),   head time = t(b1) - I(b1) / rate
        bandwidth = ( weights (b + s) / 8  +  2 head ) tokens/s    with many threads (memory-bound)

    Args:
        one_thread, many_threads: Tokens/s by bits of a weight: two rows, and one.
        weights, head: Weights in the blocks and in the head of the model that was measured.
        scale_bits: Bits of scales beside each weight.
        lookups_an_instruction: g x lanes.
    """
    (low, slow), (high, fast) = sorted(one_thread.items())
    instructions = {bits: bits * weights / lookups_an_instruction for bits in (low, high)}
    rate = (instructions[high] - instructions[low]) / (1 / fast - 1 / slow)
    head_s = 1 / slow - instructions[low] / rate
    ((bits, tokens_per_s),) = many_threads.items()
    read = weights * (bits + scale_bits) / 8 + head * HEAD_BITS / 8
    return Calibration(rate, head_s, head / head_s, read * tokens_per_s)
