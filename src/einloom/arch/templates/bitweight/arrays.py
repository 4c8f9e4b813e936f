"""Cycles and buffer words of a matrix product on an array of bit-weight elements, as named terms.

The product is seen from the encoder: ``Z[m, n] = sum{k}(A[m, k] * B[k, n])`` with A the encoded operand (its digits
select multiples of B). R x C is the array (``rows`` x ``cols``), ceil is the number of folds:

    array         one pass holds         A on   B on   streamed   passes
    systolic_os   R x C outputs          rows   cols   K          ceil(M/R) ceil(N/C)
    matrix        the same, broadcast    rows   cols   K          the same
    systolic_ws   R x C operands of B    k      cols   M          ceil(K/R) ceil(N/C)
    adder_tree    R x C operands of B    k      cols   M          ceil(K/R) ceil(N/C)
    cube          R x R x R products     rows   rows   passes     ceil(M/R) ceil(N/R) ceil(K/R)
    columns       R vectors of A         rows   cols   digits     ceil(M/R) ceil(N/C)

MAC, OPT1 and OPT2 take all digits of an operand in one cycle; OPT4C takes its digits that are not zero, one a cycle.
A product may be cut into blocks of rows and columns; the terms add over its blocks.

Source: the test benches of github.com/fhys/High-Performance-Tensor-Processing-Engines (Q. Wu et al., HPCA 2025, arXiv
2503.06342); the systolic arrays as SCALE-Sim v3 counts them (templates/systolic.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from einloom.arch.engine import Array, Laws
from einloom.arch.templates.bitweight.digits import slowest_of, vector_cycles

TREE_STAGES = 7
"""Pipeline stages from operands to the first sum of an adder tree (``pipeline_stage`` of test_opt2ws_array.sv)."""
COLUMN_WAIT = 4
"""Cycles of a column between two vectors: one to end the last group, three until the sum is taken
(test_opt4c_column_array.sv)."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Matrix products on one array; arrays of shape ``(candidates,)``.

    Attributes:
        array: One of `tables.ARRAYS`.
        rows, cols: R and C.
        m, n, k: Extents, the encoded operand's rows first.
        block_m, block_n: Of a block, each at most the extent.
        batch: Equal products.
        sigma, bits: Of the encoded operands.
        memory_cycles: For which the DRAM is busy with all of them.
    """

    array: str
    rows: int
    cols: int
    m: int
    n: int
    k: int
    block_m: Array
    block_n: Array
    batch: int
    sigma: float
    bits: float = 8.0
    memory_cycles: Array | float = 0.0

    def pieces(self) -> Iterator[tuple[Array, Array, Array]]:
        """(how many, rows, columns) of equal blocks: full ones, and what is left on either side."""
        many_m, rest_m = np.divmod(self.m, self.block_m)
        many_n, rest_n = np.divmod(self.n, self.block_n)
        for times_m, rows in ((many_m, self.block_m), ((rest_m > 0).astype(np.int64), rest_m)):
            for times_n, cols in ((many_n, self.block_n), ((rest_n > 0).astype(np.int64), rest_n)):
                yield self.batch * times_m * times_n, rows, cols

    @property
    def stationary(self) -> bool:
        """Whether operands of B stay in the elements while A streams."""
        return self.array in ("systolic_ws", "adder_tree")

    def passes(self, m: Array, n: Array) -> Array:
        """Passes of the array over a block, as the module docstring tabulates them."""
        along_k = -(-self.k // self.rows)
        if self.stationary:
            return along_k * _folds(n, self.cols)
        if self.array == "cube":
            return along_k * _folds(m, self.rows) * _folds(n, self.rows)
        return _folds(m, self.rows) * _folds(n, self.cols)


def _folds(extent: Array, size: int) -> Array:
    return -(-extent // size)


def compute(work: Blocks) -> Array:
    """Cycles in which operands or digits are worked on: passes x what is streamed through one.

    Streamed: K (output stationary, matrix), M (weight stationary, tree), 1 (cube). A column streams the digits of a
    vector, on average ``mean(vector_cycles)``: groups of four operands, each bit weight max(1, digits) cycles; R
    columns work on R vectors at once.
    """
    total: Array = np.zeros(np.shape(work.block_m))
    for times, m, n in work.pieces():
        if work.array == "columns":
            one = vector_cycles(work.sigma, work.k, work.bits)
            streamed: Array | float = float(one @ np.arange(len(one)))
        elif work.stationary:
            streamed = m
        else:
            streamed = 1 if work.array == "cube" else work.k
        total = total + times * work.passes(m, n) * streamed
    return total


def fill(work: Blocks) -> Array:
    """Cycles that load the operands that stay: R a pass, one row of C operands a cycle."""
    if not work.stationary:
        return np.zeros(np.shape(work.block_m))
    return np.asarray(sum(times * work.passes(m, n) * work.rows for times, m, n in work.pieces()))


def skew(work: Blocks) -> Array:
    """Cycles in which the wave of operands enters and leaves.

    Systolic arrays: R + C - 2 a pass. Tree: its 7 stages, then one column after the other, 7 + C a pass. Cube: passes
    follow each other, so once a block, 2 (R - 1). Broadcast arrays and columns have none.
    """
    each = {
        "systolic_os": work.rows + work.cols - 2,
        "systolic_ws": work.rows + work.cols - 2,
        "adder_tree": TREE_STAGES + work.cols,
        "cube": 2 * (work.rows - 1),
    }.get(work.array, 0)
    once = work.array == "cube"
    return np.asarray(sum(times * (1 if once else work.passes(m, n)) * each for times, m, n in work.pieces()))


def synchronisation(work: Blocks) -> Array:
    """Cycles for which columns wait for the slowest of those that work at the same time, on average.

    E[max of R vectors] - E[one vector], each pass; the last pass of a block has m mod R vectors.
    """
    total: Array = np.zeros(np.shape(work.block_m))
    if work.array != "columns":
        return total
    one = vector_cycles(work.sigma, work.k, work.bits)
    mean = float(one @ np.arange(len(one)))
    for times, m, n in work.pieces():
        full, rest = np.divmod(m, work.rows)
        late = np.array([slowest_of(work.sigma, work.k, int(left), work.bits) - mean if left else 0.0 for left in rest])
        whole = slowest_of(work.sigma, work.k, work.rows, work.bits) - mean
        total = total + times * _folds(n, work.cols) * (full * whole + late)
    return np.maximum(total, 0)


def restart(work: Blocks) -> Array:
    """Cycles of a column between two vectors, `COLUMN_WAIT` each pass."""
    if work.array != "columns":
        return np.zeros(np.shape(work.block_m))
    return np.asarray(sum(times * work.passes(m, n) * COLUMN_WAIT for times, m, n in work.pieces()))


def stall(work: Blocks, cycles: Array) -> Array:
    """What the DRAM takes longer than the array: max(0, bits / bandwidth - cycles)."""
    return np.maximum(0, work.memory_cycles - cycles)


LAWS: Laws[Blocks] = Laws((compute, fill, skew, synchronisation, restart), (stall,))


@dataclass(frozen=True, slots=True)
class BufferWords:
    """Words between the buffer and the array: operands in, sums out and (partial ones) back in."""

    encoded: Array
    others: Array
    sums_out: Array
    sums_back: Array


def buffer_words(work: Blocks) -> BufferWords:
    """Words that the array takes from its buffer and gives it.

    An operand enters once for every pass that uses it; sums over a part of K (weight stationary, tree, cube) leave and
    come back for the next part.
    """
    encoded = others = outputs = np.zeros(np.shape(work.block_m))
    parts = -(-work.k // work.rows) if work.stationary or work.array == "cube" else 1
    width = work.rows if work.array == "cube" else work.cols
    for times, m, n in work.pieces():
        encoded = encoded + times * m * work.k * _folds(n, width)
        others = others + times * n * work.k * (1 if work.stationary else _folds(m, work.rows))
        outputs = outputs + times * m * n
    return BufferWords(encoded, others, outputs * parts, outputs * (parts - 1))
