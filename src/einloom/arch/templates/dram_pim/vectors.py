"""Vectors in the banks: host lines, element-wise products, copies and sums of squares, as CENT runs norms, rotary
embeddings, gates and the scaling of softmax.

A vector of ``dim`` elements lies in one bank of each group of four (``part`` 4) or of each pair (``part`` 2): a bank
gets ``ceil(dim / (B / part))`` of them. Every ordinary line of 32 bytes that is read or written passes one queue of
the device at ``H`` cycles a line (1 in that simulator), whatever its channel: a property of its front end, not of
DRAM.

The constants of `Calibrated` were read off prefix runs of two traces of CENT (Llama 2 7B, length 128 on 32 channels and
length 1100 on 8) in github:arkhadem/aim_simulator 2eb1ee04; no row of 13B or 70B was used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from einloom.arch.engine import Array, Laws
from einloom.arch.template import Parameter
from einloom.arch.templates.dram_pim.physical import four_activate, refresh
from einloom.arch.templates.dram_pim.timing import Machine

_ROWS = "calibrated on prefix runs of CENT's traces of Llama 2 7B"


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Cycles that no timing gives; each is a parameter of the template.

    Attributes: as the parameters say.
    """

    host_line: float
    host_segment: float
    run_start: float
    product_start: float
    product_open: float
    copy_start: float
    copy_open: float
    copy_column: float
    squares_start: float
    close_bank: float


CALIBRATED = tuple(
    Parameter(name=name, kind="number", meaning=f"cycles: {meaning}", default=default, low=0, high=10**6)
    for name, default, meaning in (
        ("host_line", 1.0, "of the queue for one line of 32 bytes; 0: a front end that never waits"),
        ("host_segment", 15.0, f"to begin a run of host lines ({_ROWS})"),
        ("run_start", 31.0, f"to begin a product after host lines ({_ROWS})"),
        ("product_start", 91.0, f"to begin an element-wise product after host lines ({_ROWS})"),
        ("product_open", 5.0, f"that a product in a row still open saves ({_ROWS})"),
        ("copy_start", 20.0, f"of a copy between banks beside its openings ({_ROWS})"),
        ("copy_open", 8.0, f"of a copy within an open row ({_ROWS})"),
        ("copy_column", 3.5, f"for one column copied between banks ({_ROWS})"),
        ("squares_start", 22.0, f"of a sum of squares beside its switches and columns ({_ROWS})"),
        ("close_bank", 18.0, f"to close a bank by itself, beside its precharge ({_ROWS})"),
    )
)


def calibrated_of(params: Mapping[str, object]) -> Calibrated:
    """The calibrated constants among the parameters of the template."""
    values = {field.name: params[field.name] for field in fields(Calibrated)}
    assert all(isinstance(value, int | float) for value in values.values())
    return Calibrated(**values)  # type: ignore[arg-type]


def bank_words(machine: Machine, words: int, part: int) -> int:
    """Words of a vector in one of its banks."""
    return -(-words // max(1, machine.block_banks // part))


def used_banks(machine: Machine, words: int, part: int) -> int:
    """Banks that hold some of a vector."""
    return -(-words // bank_words(machine, words, part))


def lines(machine: Machine, words: int, part: int, scale: int = 1) -> int:
    """Host lines of one vector: ``ceil(scale * words of a bank / 16) * banks``."""
    return machine.columns(scale * bank_words(machine, words, part)) * used_banks(machine, words, part)


def next_product(machine: Machine, columns: int) -> float:
    """Element-wise product in a closed row: ``tCWL + tWR + tRP + tRCD_ew + (op-1) tCCD``."""
    t = machine.timing
    return t.nCWL + t.nWR + t.nRP + t.nRCDEWMUL + (columns - 1) * t.column


@dataclass(frozen=True)
class Passes:
    """Vector work of one step of one block, counted.

    Attributes:
        machine, constants: Where it runs, and its calibrated cycles.
        written, read: Host lines.
        segments: Runs of host lines.
        closed_by_bank: Host lines of the first store where rows are open in all banks: those are closed one by one.
        firsts: Columns of products that follow host lines.
        nexts: Columns of products that follow others.
        opens: Columns of products in a row that is open.
        copies: Columns of the four copies between banks (into another row), each time.
        open_copies: The same within an open row.
        squares: Columns of sums of squares.
        opened: Single banks that host lines open.
        opened_all: Rows opened in all banks.
        repeats: How often all of this (tokens).
    """

    machine: Machine
    constants: Calibrated
    written: int = 0
    read: int = 0
    segments: int = 0
    closed_by_bank: int = 0
    firsts: tuple[int, ...] = ()
    nexts: tuple[int, ...] = ()
    opens: tuple[int, ...] = ()
    copies: tuple[int, ...] = ()
    open_copies: tuple[int, ...] = ()
    squares: tuple[int, ...] = ()
    opened: int = 0
    opened_all: int = 0
    repeats: int = 1

    @cached_property
    def activates(self) -> Array:
        return np.asarray(self.repeats * self.opened_all)


def host_lines(work: Passes) -> Array:
    """Lines of all blocks of the device through one queue, ``H`` each; or what closing open banks takes longer."""
    c, machine = work.constants, work.machine
    found = c.host_line * machine.blocks * (work.written + work.read)
    if work.closed_by_bank:
        closing = machine.banks * (machine.timing.nRP + c.close_bank)
        found += max(0.0, closing - c.host_line * machine.blocks * work.closed_by_bank)
    return np.asarray(work.repeats * found)


def host_segments(work: Passes) -> Array:
    """Beginning a run of host lines."""
    return np.asarray(work.repeats * work.constants.host_segment * work.segments)


def products(work: Passes) -> Array:
    """Element-wise products: `next_product`, or with a calibrated start after host lines or in an open row."""
    c, machine = work.constants, work.machine
    column = machine.timing.column
    found = sum(next_product(machine, op) for op in work.nexts)
    found += sum(c.product_start + (op - 1) * column for op in work.firsts)
    found += sum(max(0.0, (op - 1) * column - c.product_open) for op in work.opens)
    return np.asarray(work.repeats * found)


def copies(work: Passes) -> Array:
    """Results to the banks of their next operand, four pairs: ``4 (tRP + tRCD_wrcp + start + 3.5 op)`` each."""
    c, t = work.constants, work.machine.timing
    found = sum(4 * (t.nRP + t.nRCDWRCP + c.copy_start + c.copy_column * op) for op in work.copies)
    found += sum(4 * (c.copy_open + c.copy_column * op) for op in work.open_copies)
    return np.asarray(work.repeats * found)


def squares(work: Passes) -> Array:
    """Sum of squares between neighbouring banks: ``2 tMOD + op tCCD + start``."""
    c, t = work.constants, work.machine.timing
    return np.asarray(work.repeats * sum(2 * t.nMODCH + op * t.column + c.squares_start for op in work.squares))


VECTOR_LAWS: Laws[Passes] = Laws((host_lines, host_segments, products, copies, squares, four_activate), (refresh,))


def commands(work: Passes) -> Mapping[str, int]:
    """DRAM commands of one channel of the block."""
    elementwise = sum(work.firsts) + sum(work.nexts) + sum(work.opens)
    copied = 4 * (sum(work.copies) + sum(work.open_copies))
    found = {
        "elementwise": elementwise,
        "copy_read": copied,
        "copy_write": copied,
        "activate_one": 4 * len(work.copies),
        "activate_all": work.opened_all,
        "mac": sum(work.squares),
        "bias_write": len(work.squares),
        "accumulator_read": len(work.squares),
        "mode": 2 * len(work.squares),
    }
    return {name: work.repeats * count for name, count in found.items()}


def line_commands(work: Passes) -> Mapping[str, int]:
    """DRAM commands of one block for its host lines."""
    found = {"line_write": work.written, "line_read": work.read, "activate_one": work.opened}
    return {name: work.repeats * count for name, count in found.items()}


# -- what a transformer block asks for --------------------------------------------------------------------------------


def norm(machine: Machine, constants: Calibrated, width: int, vectors: int, after_array: bool) -> Passes:
    """Root mean square norm: squares of neighbouring banks, then two products (the factor, the gain).

    Two copies of the vector for the squares; factor and vector in, the result out.
    """
    op = machine.columns(bank_words(machine, width, 4))
    pair, group = lines(machine, width, 2), lines(machine, width, 4)
    return Passes(
        machine, constants, written=2 * pair + 2 * group, read=group, segments=3,
        closed_by_bank=2 * pair if after_array else 0, firsts=(op,), nexts=(op,), copies=(op,),
        squares=(machine.columns(bank_words(machine, width, 2)),),
        opened=2 * used_banks(machine, width, 2) + 2 * used_banks(machine, width, 4), opened_all=3, repeats=vectors,
    )  # fmt: skip


def rotary(machine: Machine, constants: Calibrated, widths: tuple[int, ...], vectors: int) -> Passes:
    """Rotary embedding of queries and keys: pairs interleaved with their factors, one product each, read back."""
    moved = sum(lines(machine, width, 4, scale=2) for width in widths)
    ops = tuple(machine.columns(width) for width in widths)
    return Passes(
        machine, constants, written=moved, read=moved, segments=2, firsts=ops[:1], nexts=ops[1:],
        opened=2 * sum(used_banks(machine, width, 4) for width in widths), opened_all=len(ops), repeats=vectors,
    )  # fmt: skip


def gate(machine: Machine, constants: Calibrated, width: int, vectors: int) -> Passes:
    """Gated activation ``x * sigmoid(x) * y``: two products with a copy between them, three vectors in, one out."""
    op, line = machine.columns(bank_words(machine, width, 4)), lines(machine, width, 4)
    return Passes(
        machine, constants, written=3 * line, read=line, segments=3, firsts=(op,), opens=(op,), open_copies=(op,),
        opened=2 * used_banks(machine, width, 4), opened_all=1, repeats=vectors,
    )  # fmt: skip


def softmax(machine: Machine, constants: Calibrated, rows: int, tokens: int) -> Passes:
    """Scaling of scores, then of exponentials: two operands in, a product, the result out, twice.

    A row of scores fills a bank of each group; ``ceil(rows / (4 channels))`` of them share it.
    """
    chunks = machine.chunks(tokens)
    shared = -(-rows // (machine.block_banks // 4 or 1))
    sets, line = shared * len(chunks), rows * sum(chunks)
    once = chunks * shared
    return Passes(
        machine, constants, written=4 * line, read=2 * line, segments=3, firsts=2 * once[:1], nexts=2 * once[1:],
        opened=(2 if sets == 1 else 6) * rows * len(chunks), opened_all=1 if sets == 1 else 2 * sets,
    )  # fmt: skip
