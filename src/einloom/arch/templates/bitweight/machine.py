"""The engine of a bit-weight array: which operand is encoded, how the product is cut into blocks, what that costs.

Choices of a matrix product:

    encoded   which operand's digits select multiples of the other one: inputs, weights
    keep      what stays in the buffer while the others pass: outputs (K passes in parts), inputs or weights (whole K)
    rows      array heights (of the encoded operand) of a block: 1, 2, 4, ...
    cols      array widths of a block

A block's operands stay in the buffer. `keep: inputs` reads inputs once and the weights once a block of inputs;
`weights` the other way round; `outputs` reads inputs once a block column and weights once a block row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import (
    Array,
    Columns,
    Contraction,
    Cost,
    Engine,
    Laws,
    Program,
    ProgramEinsum,
    Step,
    Value,
    Words,
    contraction_of,
)
from einloom.arch.templates.bitweight.arrays import Blocks, buffer_words
from einloom.arch.templates.bitweight.digits import counted_by_test_bench, partial_products
from einloom.arch.templates.plain_work import lane_cycles, operations_pj
from einloom.arch.tree import Compute, Memory
from einloom.errors import MappingError

DRAM, BUFFER, ARRAY, ELEMENT, LANE, VECTOR = "DRAM", "GLB", "ARRAY", "PE", "LANE", "VEC"
OPERAND_BITS = 8
SUM_BITS = 32
"""Bits of an operand and of a sum (README of the arrays: INT8, 32-bit accumulators)."""
ENCODED = ("inputs", "weights")
KEEP = ("outputs", "inputs", "weights")


@dataclass(frozen=True, slots=True)
class BitWeightEngine(Engine):
    """Runs INT8 products on the array, everything else on the lanes beside it.

    Attributes:
        variant, array, rows, cols: Which array.
        elements: Processing elements in all.
        cycle_pj: Energy of the whole array in one cycle.
        sigma, sigma_weights: Of the values of inputs and of weights.
        lanes: Of the vector unit; 0: none.
        vector: Its costs.
        dram, buffer: The memories.
        laws: Terms that are on.
        notes: What to say of every product.
    """

    variant: str
    array: str
    rows: int
    cols: int
    elements: int
    cycle_pj: float
    sigma: float
    sigma_weights: float
    lanes: int
    vector: Compute
    dram: Memory
    buffer: Memory
    laws: Laws[Blocks]
    notes: tuple[str, ...] = ()

    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        return [self._step(einsum) for einsum in program.einsums]

    def _step(self, einsum: ProgramEinsum) -> Step:
        product = contraction_of(einsum)
        if product is None:
            return self._plain(einsum)
        for access in (product.inputs, product.weights):
            if access.bits > OPERAND_BITS:
                what = f"{access.tensor} has {float(access.bits):g} bits, the array multiplies INT8"
                if self.lanes:
                    return self._plain(einsum, (f"on the vector unit: {what}",))
                hint = f"`bits: {{{access.tensor}: {OPERAND_BITS}}}` or less, or give the machine `lanes:`"
                raise MappingError(f"Einsum {einsum.name}: {what}", hint)
        tall, wide = max(product.m, product.n), max(product.m, product.n)
        return Step(
            name=einsum.name,
            einsums=(einsum.name,),
            compute=ELEMENT,
            cost=lambda columns: self._cost(einsum, product, columns),
            choices={
                "encoded": ENCODED,
                "keep": KEEP,
                "rows": _powers(-(-tall // self.rows)),
                "cols": _powers(-(-wide // self._width)),
            },
            notes=self.notes,
        )

    @property
    def _width(self) -> int:
        return self.rows if self.array == "cube" else self.cols

    # -- matrix products ----------------------------------------------------------------------------------------------

    def _cost(self, einsum: ProgramEinsum, product: Contraction, columns: Columns) -> Cost:
        """Both encodings are costed for all candidates; each candidate takes its own."""
        by_inputs, by_weights = (self._encoded(einsum, product, columns, encoded) for encoded in ENCODED)
        inputs = columns["encoded"] == "inputs"

        def chosen(one: Array | float, other: Array | float) -> Array:
            return np.where(inputs, one, other)

        def merged(
            one: Mapping[str, Array | float], other: Mapping[str, Array | float]
        ) -> dict[str, Array | float]:
            return {name: chosen(one[name], other[name]) for name in one}

        return Cost(
            cycles=merged(by_inputs.cycles, by_weights.cycles),
            useful=chosen(by_inputs.useful, by_weights.useful),
            busy=merged(by_inputs.busy, by_weights.busy),
            energy_pj=merged(by_inputs.energy_pj, by_weights.energy_pj),
            events=merged(by_inputs.events, by_weights.events),
            words={
                key: Words(chosen(words.reads, by_weights.words[key].reads),
                           chosen(words.writes, by_weights.words[key].writes))
                for key, words in by_inputs.words.items()
            },
            held_bits=merged(by_inputs.held_bits, by_weights.held_bits),
        )  # fmt: skip

    def _encoded(self, einsum: ProgramEinsum, product: Contraction, columns: Columns, encoded: str) -> Cost:
        """The cost with one operand encoded."""
        flip = encoded == "weights"
        m, n = (product.n, product.m) if flip else (product.m, product.n)
        block_m = np.minimum(m, columns["rows"] * self.rows)
        block_n = np.minimum(n, columns["cols"] * self._width)
        # which of A and B is kept, seen from the encoder
        kept_a, kept_b = (columns["keep"] == one for one in (ENCODED if not flip else ENCODED[::-1]))
        times_a = np.where(kept_a, 1, np.ceil(n / block_n))
        times_b = np.where(kept_b, 1, np.ceil(m / block_m))
        a, b = (product.weights, product.inputs) if flip else (product.inputs, product.weights)
        z = product.outputs
        dram_bits = (
            times_a * einsum.size(a) * float(a.bits) + times_b * einsum.size(b) * float(b.bits)
            + einsum.size(z) * float(z.bits)
        )  # fmt: skip
        busy = self._dram_cycles(dram_bits)
        sigma = self.sigma_weights if flip and product.given else self.sigma
        work = Blocks(
            self.array, self.rows, self.cols, m, n, product.k, block_m, block_n, product.batch, sigma,
            float(a.bits), busy,
        )  # fmt: skip
        cycles = self.laws.of(work)
        active = sum((term for name, term in cycles.items() if name != "stall"), start=np.zeros(len(block_m)))
        words = buffer_words(work)
        depth = np.where(columns["keep"] == "outputs", min(product.k, max(self.rows, self.cols)), product.k)
        held = depth * (block_m * float(a.bits) + block_n * float(b.bits)) + block_m * block_n * SUM_BITS
        array_bits = (
            words.encoded * float(a.bits) + words.others * float(b.bits)
            + (words.sums_out + words.sums_back) * SUM_BITS
        )  # fmt: skip
        energy: dict[str, Array | float] = {
            DRAM: dram_bits * _bit_pj(self.dram),
            BUFFER: (array_bits + dram_bits) * _bit_pj(self.buffer),
            ELEMENT: active * self.cycle_pj,
        }
        products = float(product.batch) * m * n * product.k
        digits = partial_products(sigma, float(a.bits)) if self.variant == "opt4c" else 1.0
        return Cost(
            cycles=cycles,
            useful=np.full(len(block_m), products * digits),
            busy={ELEMENT: active, DRAM: busy},
            energy_pj=energy,
            events=self._events(product, m, sigma, float(a.bits)),
            words={
                (DRAM, a.tensor): Words(times_a * einsum.size(a), 0),
                (DRAM, b.tensor): Words(times_b * einsum.size(b), 0),
                (DRAM, z.tensor): Words(0, einsum.size(z)),
                (BUFFER, a.tensor): Words(words.encoded, times_a * einsum.size(a)),
                (BUFFER, b.tensor): Words(words.others, times_b * einsum.size(b)),
                (BUFFER, z.tensor): Words(words.sums_back + einsum.size(z), words.sums_out),
            },
            held_bits={BUFFER: held},
        )

    def _events(self, product: Contraction, m: int, sigma: float, bits: float) -> dict[str, Array | float]:
        """Digits of the encoded operand, and what the authors' test bench counts of them (columns)."""
        operands = float(product.batch) * m * product.k
        events: dict[str, Array | float] = {
            "encoded_operands": operands,
            "partial_products": operands * partial_products(sigma, bits),
        }
        if self.array == "columns":
            counted, groups = counted_by_test_bench(sigma, product.k, bits)
            events |= {"counted_digits": product.batch * m * counted, "counted_groups": product.batch * m * groups}
        return events

    def _dram_cycles(self, bits: Array | float) -> Array:
        return np.asarray(bits / float(self.dram.bandwidth.value))

    # -- everything else ----------------------------------------------------------------------------------------------

    def _plain(self, einsum: ProgramEinsum, notes: tuple[str, ...] = ()) -> Step:
        """Operands from the DRAM through the lanes and back, each once."""
        if not self.lanes:
            raise MappingError(
                f"Einsum {einsum.name} is no matrix product, and the machine has no vector unit: {einsum.text}",
                "give the machine `lanes:` for what is no product of two tensors, for example `lanes: 16`",
            )
        sizes = {access.tensor: (einsum.size(access), access) for access in einsum.accesses}
        bits = sum(size * float(access.bits) for size, access in sizes.values())
        compute = math.ceil(lane_cycles(self.vector, einsum) / self.lanes)
        busy = float(self._dram_cycles(bits))
        cost = Cost(
            cycles={"compute": compute, "stall": max(0.0, busy - compute)},
            useful=lane_cycles(self.vector, einsum),
            busy={VECTOR: compute, DRAM: busy},
            energy_pj={VECTOR: operations_pj(self.vector, einsum), DRAM: bits * _bit_pj(self.dram)},
            words={
                (DRAM, tensor): Words(0, size) if access.role == "output" else Words(size, 0)
                for tensor, (size, access) in sizes.items()
            },
        )
        return Step(name=einsum.name, einsums=(einsum.name,), compute=VECTOR, cost=lambda _: cost, notes=notes)


def _powers(most: int) -> tuple[Value, ...]:
    """1, 2, 4, ... up to the first that reaches ``most``."""
    return tuple(1 << i for i in range((most - 1).bit_length() + 1))


def _bit_pj(memory: Memory) -> float:
    """Energy of one bit, pJ; both memories have a word of one bit."""
    return memory.read_energy_pj
