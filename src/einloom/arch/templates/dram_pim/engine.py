"""The engine of a DRAM with MACs: a cascade becomes parts, each part one step with its law and its choices.

Shared choices: ``heads`` (separate, or those of a row concatenated), ``softmax`` and ``vectors`` (norms, rotary
embedding, gates): in the DRAM by passes of host lines, as CENT, or on the companion alone. A linear layer chooses its
group of accumulators, the parts of K in different banks (``k_split``) and the ``layout`` of columns in rows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from einloom.arch.engine import Columns, Cost, Engine, Program, Step, Value
from einloom.arch.templates.dram_pim import attention, gemv, vectors
from einloom.arch.templates.dram_pim import companion as logic
from einloom.arch.templates.dram_pim.pricing import COMPANION, DRAM, MAC, Bill, Rig
from einloom.arch.templates.dram_pim.recognise import Part, Product, parts_of
from einloom.arch.templates.dram_pim.timing import WORD_BITS

SEPARATE, CONCATENATED = "separate", "concatenated"
IN_DRAM, ON_COMPANION = "dram", "companion"
PADDED, PACKED = "padded", "packed"
K_SPLITS = (1, 2, 4, 8, 16)


_PRODUCTS = frozenset({"mul"})
"""What passes of host lines pay for; the activation function of a gate is looked up with its linear layer."""


@dataclass(frozen=True, slots=True)
class State:
    """What the banks were doing before a part: nothing, host lines, or work in all banks."""

    last: str = "nothing"


@dataclass(frozen=True, slots=True)
class DramPim(Engine):
    """A DRAM with a MAC unit in every bank.

    Attributes:
        rig: The machine with its companion and links.
    """

    rig: Rig

    def shared(self, program: Program) -> Mapping[str, tuple[Value, ...]]:
        places = (IN_DRAM,) if self.rig.companion.kind == "none" else (IN_DRAM, ON_COMPANION)
        return {"heads": (SEPARATE, CONCATENATED), "softmax": places, "vectors": places}

    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        parts = parts_of(program)
        plan = _Plan(self.rig, program, shared, parts)
        found: list[Step] = []
        state = State()
        for place, part in enumerate(parts):
            step, state = plan.step(part, state, first=place == 0)
            found.append(step)
        return found


@dataclass(frozen=True)
class _Plan:
    """One cascade with the shared choices made."""

    rig: Rig
    program: Program
    shared: Mapping[str, Value]
    parts: tuple[Part, ...]

    @property
    def share(self) -> float:
        blocks = self.rig.machine.blocks
        return math.ceil(self.program.copies / blocks) / self.program.copies

    @functools.cached_property
    def copies(self) -> int:
        """Copies of the cascade that this machine holds: of a pipeline those in step, alone all of them."""
        if self.rig.links.parallel == "pipeline":
            return self.rig.machine.blocks
        return 1 if self.rig.links.parallel == "tensor" else self.program.copies

    @functools.cached_property
    def resident_bits(self) -> int:
        """All matrices of one copy, weights and caches, without what their layout leaves empty."""
        return sum(matrix_bits(part) for part in self.parts)

    def step(self, part: Part, state: State, first: bool) -> tuple[Step, State]:
        """The step of one part, and what the banks did last after it."""
        price, after = self._law(part, state)
        compute = MAC if after is not state or part.kind in ("linear", "scores", "values") else COMPANION
        handed = _handed(part) if first else 0
        choices = self._choices(part) if part.kind == "linear" else {}

        @functools.lru_cache(maxsize=1)  # a mapper prices a choice that is given, then asks for it again to explain it
        def priced(*chosen: tuple[str, tuple[Value, ...]]) -> Cost:
            columns = {name: np.array(values) for name, values in chosen}
            bill = Bill(self.rig, self.share)
            price(bill, columns)
            bill.touch(part)
            self._reread(bill, part)
            if handed:
                bill.linked(handed, self.rig.links.hop(handed))
            if part.products:
                bill.held = self.copies * (bill.held + (self.resident_bits - matrix_bits(part)))
            return bill.cost(compute)

        def cost(columns: Columns) -> Cost:
            return priced(*((name, tuple(values.tolist())) for name, values in columns.items()))

        return Step(
            name=part.name, einsums=part.names, compute=compute, cost=cost, choices=choices, notes=_notes(part)
        ), after  # fmt: skip

    def _law(self, part: Part, state: State) -> tuple[Callable[[Bill, Columns], None], State]:
        if part.kind == "linear":
            return lambda bill, columns: self._linear(bill, columns, part, state), State("array")
        if part.kind == "scores":
            return lambda bill, _: self._scores(bill, part), State("array")
        if part.kind == "values":
            return lambda bill, _: self._values(bill, part), State("array")
        in_dram = part.kind in _PASSES and self.shared["softmax" if part.kind == "softmax" else "vectors"] == IN_DRAM
        if in_dram:
            return lambda bill, _: self._passes(bill, part, state), State("lines")
        return lambda bill, _: self._beside(bill, part), state

    # -- products ---------------------------------------------------------------------------------------------------

    def _choices(self, part: Part) -> dict[str, tuple[Value, ...]]:
        """Groups, splits of K and layouts that one linear layer may have."""
        product = _only(part)
        most = self.rig.machine.accumulators
        sizes = sorted({most, *(2**power for power in range(most.bit_length()) if 2**power <= most)})
        splits = K_SPLITS if self.rig.companion.kind != "none" else (1,)
        return {
            "accumulators": tuple(sizes),
            "k_split": tuple(split for split in splits if split == 1 or split <= product.k),
            "layout": (PADDED, PACKED),
        }

    def _looked_up(self, part: Part) -> bool:
        """Whether a linear layer's activation function is that of the banks."""
        return bool(part.activation) and self.shared["vectors"] == IN_DRAM

    def _linear(self, bill: Bill, columns: Columns, part: Part, state: State) -> None:
        rig, machine, product = self.rig, self.rig.machine, _only(part)
        passes = product.batch * product.m
        work = gemv.Gemv(
            machine, product.k, product.n, machine.linear_banks, columns["accumulators"], columns["k_split"],
            columns["layout"] == PACKED, self._looked_up(part), state.last == "nothing", passes,
            rig.constants.run_start if state.last == "lines" else 0.0,
        )  # fmt: skip
        bill.devices = machine.devices
        bill.run(gemv.GEMV_LAWS, work)
        used = np.minimum(machine.block_channels, work.channels)
        bill.tally.add(gemv.commands(work), used * machine.blocks)
        bill.tally.add({"instruction": passes * (3 * work.rows + 2 * work.chunks)})
        extra = part.uncovered()
        if part.activation in part.einsums[0].operations() and not self._looked_up(part):
            own = part.einsums[0].operations()
            extra = {**extra, part.activation: own[part.activation]}
        bill.operations(part.name, extra)
        partial = (work.k_split - 1) * product.n * passes
        if np.any(partial):
            rig.companion.check(part.name, {"add": 1})
            each = rig.companion.compute.operator_energy_pj("add") or 0.0
            cycles = rig.companion.clock_ratio * machine.blocks * -(-partial // rig.companion.lanes)
            bill.term("partial_sums", cycles)
            bill.energy["companion"] = bill.energy.get("companion", 0.0) + partial * each
        self._spread(bill, part, product)
        rows = np.where(work.packed, work.rows, work.chunks * work.columns)
        bill.held = product.batch * rows * machine.row_words * WORD_BITS * machine.linear_banks
        bill.useful = product.macs / machine.lanes * machine.timing.column

    def _spread(self, bill: Bill, part: Part, product: Product) -> None:
        """Tensor parallel: the input to all devices, their shares of the output back.

        The second layer of a gate shares the input of the first, and their product leaves once.
        """
        if part.gated:
            return
        width = product.n
        if not self.rig.own_width and not part.activation:
            peers = [_only(other) for other in self.parts if other.kind == "linear" and not other.activation]
            width = max(p.n for p in peers if p.moving.tensor == product.moving.tensor)
        vectors_moved = product.m * product.batch
        bill.linked(vectors_moved * product.k, vectors_moved * self.rig.links.broadcast(product.k))
        bill.linked(vectors_moved * width, vectors_moved * self.rig.links.gather(width))

    def _heads(self, part: Part) -> attention.Heads:
        product = part.products[0]
        width = product.k if part.kind == "scores" else product.n
        return attention.Heads(
            self.rig.machine, part.heads, part.queries, part.tokens, part.new, width,
            self.shared["heads"] == CONCATENATED, self.rig.machine.accumulators,
        )  # fmt: skip

    def _scores(self, bill: Bill, part: Part) -> None:
        machine, work = self.rig.machine, self._heads(part)
        bill.run(attention.SCORE_LAWS, work)
        bill.tally.add(attention.score_commands(work), machine.block_channels * machine.blocks)
        bill.tally.add(attention.key_commands(work), machine.blocks)
        bill.operations(part.name, part.uncovered())
        bill.held = work.rows_of_token * work.score_rounds * machine.row_words * WORD_BITS * machine.linear_banks
        bill.useful = sum(p.macs for p in part.products) / machine.lanes * machine.timing.column

    def _values(self, bill: Bill, part: Part) -> None:
        machine, work = self.rig.machine, self._heads(part)
        products = work.values()
        bill.run(gemv.GEMV_LAWS, products)
        bill.run(attention.APPEND_LAWS, work.value_append())
        bill.tally.add(gemv.commands(products), machine.block_channels * machine.blocks)
        bill.tally.add(attention.value_commands(work))
        covered = self.rig.companion.kind == "cent"  # its softmax scales by the sum of the exponentials
        bill.operations(part.name, {} if covered else part.uncovered())
        rows = work.value_rounds * products.rows[0]
        bill.held = rows * machine.row_words * WORD_BITS * machine.block_banks
        bill.useful = sum(p.macs for p in part.products) / machine.lanes * machine.timing.column

    # -- vectors ----------------------------------------------------------------------------------------------------

    def _passes(self, bill: Bill, part: Part, state: State) -> None:
        """Norm, rotary embedding, gate or softmax through host lines, and what the companion adds to it."""
        machine = self.rig.machine
        work = _PASSES[part.kind](self.rig, part, state)
        bill.run(vectors.VECTOR_LAWS, work)
        bill.tally.add(vectors.commands(work), machine.block_channels * machine.blocks)
        bill.tally.add(vectors.line_commands(work), machine.blocks)
        self._beside(bill, part, in_dram=True)

    def _beside(self, bill: Bill, part: Part, in_dram: bool = False) -> None:
        """What the companion does: by CENT's units where it has them, else operation by operation."""
        rig = self.rig
        if rig.companion.kind == "cent" and part.kind in ("norm", "softmax", "rotary"):
            self._accelerated(bill, part)
            bill.operations(part.name, part.uncovered() if part.kind == "norm" else {})
            return
        operations: dict[str, int] = {}
        for einsum in part.einsums:
            in_banks = (part.covered or {}).get(einsum.name, frozenset()) if part.kind == "gate" else _PRODUCTS
            paid = in_banks if in_dram else frozenset()
            for operator, count in einsum.operations().items():
                if operator not in paid:
                    operations[operator] = operations.get(operator, 0) + count
        bill.operations(part.name, operations)

    def _accelerated(self, bill: Bill, part: Part) -> None:
        rig, clock = self.rig, self.rig.clock_hz
        if part.kind == "norm":
            cycles = part.vectors * rig.companion.norm(part.width)
            energy = part.vectors * logic.norm_pj(part.width, clock)
            issued = part.vectors * (part.width / 256 + 2)
        elif part.kind == "softmax":
            rows = part.heads * part.queries
            cycles, energy = rig.companion.softmax(rows, part.tokens), logic.softmax_pj(rows, part.tokens, clock)
            issued = rows * part.tokens / 8 + 2 * rows
        else:
            elements = part.vectors * sum(part.widths)
            cycles, energy = rig.companion.rotary(elements), logic.rotary_pj(elements, clock)
            issued = elements
        bill.accelerator(cycles, energy)
        bill.tally.add({"instruction": np.array([issued])})

    # -- what crosses -----------------------------------------------------------------------------------------------

    def _reread(self, bill: Bill, part: Part) -> None:
        """A matrix leaves its rows once for every vector that it is multiplied with."""
        for product in part.products:
            for access, times in ((product.matrix, product.m), (product.moving, 1)):
                if (DRAM, access.tensor) in bill.words:
                    words = bill.words[DRAM, access.tensor]
                    bill.words[DRAM, access.tensor] = replace(words, reads=words.reads * times)


def matrix_bits(part: Part) -> int:
    """Of the matrices that a part multiplies with, in words of the DRAM."""
    return sum(product.batch * product.n * product.k for product in part.products) * WORD_BITS


def _only(part: Part) -> Product:
    (product,) = part.products
    return product


def _handed(part: Part) -> int:
    """Elements of the cascade's input: what the device before hands on."""
    einsum = part.einsums[0]
    for access in einsum.accesses[1:]:
        if access.workload_input and not access.weight:
            return einsum.size(access)
    return 0


def _notes(part: Part) -> tuple[str, ...]:
    narrow = [
        f"{p.matrix.tensor} has {float(p.matrix.bits):g} bits a word and takes {WORD_BITS} in the DRAM, like every word"
        for p in part.products if p.matrix.bits != WORD_BITS
    ]  # fmt: skip
    return tuple(narrow)


def _norm(rig: Rig, part: Part, state: State) -> vectors.Passes:
    return vectors.norm(rig.machine, rig.constants, part.width, part.vectors, state.last == "array")


def _rotary(rig: Rig, part: Part, state: State) -> vectors.Passes:
    return vectors.rotary(rig.machine, rig.constants, part.widths, part.vectors)


def _gate(rig: Rig, part: Part, state: State) -> vectors.Passes:
    return vectors.gate(rig.machine, rig.constants, part.width, part.vectors)


def _softmax(rig: Rig, part: Part, state: State) -> vectors.Passes:
    return vectors.softmax(rig.machine, rig.constants, part.heads * part.queries, part.tokens)


_PASSES: Mapping[str, Callable[[Rig, Part, State], vectors.Passes]] = {
    "norm": _norm, "rotary": _rotary, "gate": _gate, "softmax": _softmax,
}  # fmt: skip
