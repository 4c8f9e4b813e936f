"""``systolic``: a systolic array of processing elements, operands moving one element a cycle.

Structure: ``DRAM > GLB > PE {X: cols, Y: rows} > Reg > MAC``. A register of one word in each element holds
the stationary operand; multicast and reduction of the fanout stand for the movement of the other two
through the array (one word enters at the edge of a row or a column and passes all of it). Passing a word on
to a neighbour costs no energy here: the component table has no constant for it.

Which operand is stationary, and which ranks lie where, for a product of inputs [M,K] and weights [K,N] into
outputs [M,N] (the fourth dataflow, row stationary, is described in `row_stationary`):

    dataflow             stationary   rows (Y)               columns (X)            streamed, T steps
    weight_stationary    weights      K: inputs, weights     N: weights, outputs    M: inputs, outputs
    input_stationary     inputs       K: inputs, weights     M: inputs, outputs     N: weights, outputs
    output_stationary    outputs      M: inputs, outputs     N: weights, outputs    K: inputs, weights

M, N, K are groups of rank variables: those that index exactly the two operands named; variables that all
three operands have (batch, heads, groups) are loops outside. With ``im2col`` the variables of a group run as
one: a convolution becomes a GEMM.

An Einsum that is no sum of products of two tensors (softmax pieces, element-wise work, reductions) uses the
array as a plain grid: variables of its output on both axes, operands straight from the buffer, nothing in
the registers, and no timing term. With ``im2col`` its variables that index the same tensors run as one.

Cycles of one *fold*, a stationary period (R x C is the array, T the steps streamed through it):

- ``scalesim``: the array is loaded, streamed and emptied before the next fold begins, over its full height
  and width. Loading moves the stationary words down the columns: R cycles (weight and input stationary).
  Element (i, j) then sees the operand of step t at cycle t + i + j, so the last of T steps reaches the far
  corner at T - 1 + (R - 1) + (C - 1), and the fold has taken T + R + C - 2 cycles more. In sum over F folds

      cycles = F T  +  F R [ws, is only]  +  F (R + C - 2)       (compute + fill + skew)

  as SCALE-Sim v3 counts (it reports the index of the last cycle, one less). As there, the mapper streams the
  whole of the third rank group through every fold.

- ``overlapped``: each element has a second register. The next fold is loaded into it while this one
  streams; a column takes it over one element a cycle, with the wave of operands, so streams follow each
  other without a gap as long as T is at least the load. Only the r rows and c columns that the Einsum uses
  are filled (of its largest fold; the sequencer moves r rows in every fold). The first load is exposed, the
  last fold loads nothing, and the wave leaves once:

      cycles = r  +  sum over f < F-1 of max(T_f, r)  +  T_(F-1)  +  (r + c - 2)

  so ``fill = r``, ``exchange = sum over f < F-1 of max(0, r - T_f)``, ``skew = r + c - 2``.

  Output stationary loads nothing; instead, a column hands out one finished sum a cycle, row after row behind
  the wave, so that the sums of a fold occupy its exit for r cycles: ``fill = 0``, ``exchange = sum over f > 0
  of max(0, r - T_f)``, the same skew. Overlapped is never slower than ``scalesim``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from einloom.arch.components import library
from einloom.arch.rules import (
    OPERAND_ROLES,
    Einsum,
    EinsumRules,
    Holding,
    MappingRules,
    is_contraction,
    shared_by,
    tensors_named,
)
from einloom.arch.template import Parameter, Template
from einloom.arch.templates import parts, row_stationary
from einloom.arch.timing import Activity, Array, TimingLaw
from einloom.arch.tree import Amount, Architecture, Fanout, Memory
from einloom.errors import SpecError

WEIGHT, INPUT, OUTPUT = "weight_stationary", "input_stationary", "output_stationary"
DATAFLOWS = (WEIGHT, OUTPUT, INPUT)
"""Those that move operands through the array; `row_stationary` has a module of its own."""
SCALESIM, OVERLAPPED = "scalesim", "overlapped"
TIMINGS = (SCALESIM, OVERLAPPED)
REGISTER, ARRAY, ROWS, COLS = "Reg", "PE", "Y", "X"

K, N, M = ("inputs", "weights"), ("weights", "outputs"), ("inputs", "outputs")
_PLACES = {
    WEIGHT: ("weights", K, N),
    INPUT: ("inputs", K, M),
    OUTPUT: ("outputs", M, N),
}
"""Stationary operand, ranks on the rows, ranks on the columns; a rank group is named by who shares it."""


@dataclass(frozen=True, slots=True)
class SystolicTiming(TimingLaw):
    """Fill, exchange and skew of a systolic array; the module docstring derives them.

    Attributes:
        rows, cols: Of the whole array.
        dataflow: One of `DATAFLOWS`.
        overlapped: Whether the next fold loads while this one streams.
    """

    rows: int
    cols: int
    dataflow: str
    overlapped: bool

    def terms(self, activity: Activity) -> Mapping[str, Array]:
        """``fill``, ``exchange``, ``skew`` in cycles, ``(candidates,)``; 0 without a stationary operand."""
        folds = activity.visits(REGISTER)
        loads = self.dataflow != OUTPUT
        if not self.overlapped:
            fill = folds * (self.rows if loads else 0)
            return {"fill": fill, "skew": folds * (self.rows + self.cols - 2)}
        runs = (folds > 0).astype(folds.dtype)
        rows, cols = activity.used(ARRAY, ROWS), activity.used(ARRAY, COLS)
        return {
            "fill": runs * (rows if loads else 0),
            "exchange": self._exchange(activity, rows),
            "skew": runs * (rows + cols - 2),
        }

    def _exchange(self, activity: Activity, rows: Array) -> Array:
        """Cycles in which a fold waits for the load of the next one (or the exit of the one before)."""
        periods = activity.periods(REGISTER)
        waits = np.zeros_like(rows)
        for many, steps in periods:
            waits = waits + many * np.maximum(0, rows - steps)
        if not periods:
            return waits
        _, alone = periods[0] if self.dataflow == OUTPUT else periods[-1]
        exempt: Array = np.maximum(0, rows - alone) * (activity.visits(REGISTER) > 0)
        return waits - exempt


@dataclass(frozen=True, slots=True)
class SystolicRules(MappingRules):
    """Ranks on the axes and the operand in the registers, as the module docstring tabulates them.

    Attributes:
        dataflow: One of `DATAFLOWS`.
        im2col: Whether ranks that play the same part run as one.
        whole_streams: Whether a fold streams all of the third group, as SCALE-Sim's folds do.
    """

    dataflow: str
    im2col: bool = True
    whole_streams: bool = False

    def of(self, architecture: Architecture, einsum: Einsum) -> EinsumRules:
        contraction = is_contraction(einsum)
        flatten = _flattened(einsum, contraction) if self.im2col else {}
        if not contraction:
            return _plain_rules(einsum, flatten)
        stationary, rows, cols = _PLACES[self.dataflow]
        axes = {
            (ARRAY, axis): _renamed(shared_by(einsum, roles), flatten)
            for axis, roles in ((ROWS, rows), (COLS, cols))
        }
        (streamed,) = {K, N, M} - {rows, cols}
        return EinsumRules(
            axes,
            {REGISTER: Holding.exactly(tensors_named(einsum, [stationary]))},
            flatten,
            _renamed(shared_by(einsum, streamed), flatten) if self.whole_streams else frozenset(),
        )


def _plain_rules(einsum: Einsum, flatten: Mapping[str, tuple[str, ...]]) -> EinsumRules:
    """The array as a grid: ranks of the output on both axes, nothing in the registers."""
    outputs = frozenset().union(*(access.variables for access in einsum.accesses if access.role == "output"))
    free = _renamed(tuple(var for var in einsum.extents if var in outputs), flatten)
    return EinsumRules({(ARRAY, ROWS): free, (ARRAY, COLS): free}, {REGISTER: Holding.exactly(())}, flatten)


def _renamed(variables: tuple[str, ...], flatten: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """``variables`` under the names that they have after flattening."""
    name_of = {var: name for name, group in flatten.items() for var in group}
    return frozenset(name_of.get(var, var) for var in variables)


def _flattened(einsum: Einsum, contraction: bool) -> dict[str, tuple[str, ...]]:
    """Rank groups of several variables, under a name made of theirs (``crs``)."""
    flatten: dict[str, tuple[str, ...]] = {}
    for group in _gemm_groups(einsum) if contraction else _equal_ranks(einsum):
        name = "".join(group)
        while name in einsum.extents or name in flatten:
            name += "_"
        if len(group) > 1:
            flatten[name] = group
    return flatten


def _gemm_groups(einsum: Einsum) -> list[tuple[str, ...]]:
    """M, N, K of a contraction, and its batch: the variables that all three operands have."""
    return [shared_by(einsum, roles) for roles in (M, N, K, OPERAND_ROLES)]


def _equal_ranks(einsum: Einsum) -> list[tuple[str, ...]]:
    """Variables that index the same tensors, each as a dimension of its own: they may as well be one."""
    groups: dict[tuple[bool, ...], list[str]] = {}
    mixed = {var for access in einsum.accesses for dim in access.dims if len(dim) > 1 for var, _ in dim}
    scaled = {var for access in einsum.accesses for dim in access.dims for var, factor in dim if factor != 1}
    for var in einsum.extents:
        if var not in mixed | scaled:
            groups.setdefault(tuple(var in access.variables for access in einsum.accesses), []).append(var)
    return [tuple(group) for group in groups.values()]


@dataclass(frozen=True, slots=True)
class GemmActivity:
    """What the timing law sees of one GEMM in the plain mapping: every fold streams all its steps at once."""

    folds: int
    steps_per_fold: int
    rows: int
    cols: int

    @property
    def steps(self) -> Array:
        return np.array([self.folds * self.steps_per_fold])

    def visits(self, memory: str) -> Array:
        return np.array([self.folds])

    def delivered(self, memory: str) -> Array:
        return np.array([self.folds * self.rows * self.cols])

    def periods(self, memory: str) -> Sequence[tuple[Array, Array]]:
        return ((np.array([self.folds]), np.array([self.steps_per_fold])),)

    def used(self, fanout: str, axis: str) -> Array:
        return np.array([self.rows if axis == ROWS else self.cols])


def systolic_cycles(
    m: int, n: int, k: int, rows: int, cols: int, dataflow: str, timing: str
) -> dict[str, int]:
    """Cycles by named term of ``Z[m,n] = sum{k}(A[m,k] * B[k,n])`` on the array, memories never in the way.

    Args:
        m, n, k: Extents.
        rows, cols: Of the array.
        dataflow: One of `DATAFLOWS`.
        timing: One of `TIMINGS`.

    Example:
        >>> systolic_cycles(64, 64, 64, 16, 16, "weight_stationary", "scalesim")
        {'compute': 1024, 'fill': 256, 'skew': 480}
    """
    on_rows, on_cols, streamed = {WEIGHT: (k, n, m), INPUT: (k, m, n), OUTPUT: (m, n, k)}[dataflow]
    folds = math.ceil(on_rows / rows) * math.ceil(on_cols / cols)
    activity = GemmActivity(folds, streamed, min(on_rows, rows), min(on_cols, cols))
    law = SystolicTiming(rows, cols, dataflow, timing == OVERLAPPED)
    terms = {name: int(cycles[0]) for name, cycles in law.terms(activity).items()}
    return {"compute": int(activity.steps[0]), **terms}


def build(params: Mapping[str, object]) -> Architecture:
    """The array for resolved parameters."""
    rows, cols = parts.count(params, "rows"), parts.count(params, "cols")
    dataflow = str(params["dataflow"])
    if dataflow == row_stationary.NAME:
        if params["timing"] == OVERLAPPED:
            hint = "leave `timing` out: `filter_bandwidth` says how long a pass waits for its filters"
            raise SpecError(f"dataflow {dataflow} has no timing '{OVERLAPPED}'", hint, ("timing",))
        return row_stationary.build(params)
    row_stationary.refuse(params, dataflow)
    return Architecture(
        name=f"systolic_{rows}x{cols}",
        clock_hz=parts.number(params, "clock"),
        levels=(
            parts.dram(params),
            parts.buffer(params, "GLB", "buffer", "buffer_bandwidth"),
            Fanout(name=ARRAY, axes={COLS: cols, ROWS: rows}),
            _register(params),
            parts.arithmetic(params),
        ),
        timing=SystolicTiming(rows, cols, dataflow, params["timing"] == OVERLAPPED),
        rules=SystolicRules(dataflow, bool(params["im2col"]), params["timing"] == SCALESIM),
    )


def _register(params: Mapping[str, object]) -> Memory:
    """One word of the stationary operand, as wide as its elements; two of them when folds overlap."""
    bits = parts.count(params, "bits")
    copies = 2 if params["timing"] == OVERLAPPED and params["dataflow"] != OUTPUT else 1
    part = library().memory_part("register", bits * copies, None, parts.number(params, "technology"))
    return Memory(
        name=REGISTER,
        capacity=Amount(Fraction(1), in_words=True),
        word_bits=part.word_bits,
        read_energy_pj=part.read_energy_pj,
        write_energy_pj=part.write_energy_pj,
        area_um2=part.area_um2,
        source=part.source,
    )


TEMPLATE = Template(
    name="systolic",
    summary="a systolic array: one operand stays in the elements, the others move one element a cycle",
    parameters=(
        Parameter(name="rows", kind="count", meaning="processing elements along Y", high=2**20),
        Parameter(name="cols", kind="count", meaning="processing elements along X", high=2**20),
        Parameter(
            name="dataflow",
            kind="choice",
            meaning="which operand stays in the elements",
            default=WEIGHT,
            choices=(*DATAFLOWS, row_stationary.NAME),
        ),
        Parameter(
            name="timing",
            kind="choice",
            meaning="scalesim: each fold fills and empties the array; overlapped: the next loads meanwhile; "
            "row_stationary has a law of its own",
            default=SCALESIM,
            choices=TIMINGS,
        ),
        Parameter(
            name="buffer",
            kind="size",
            meaning="capacity of the buffer; inf is priced as 1 MiB, area unknown",
            default=Amount(Fraction(8 * 256 * 2**10)),
        ),
        parts.BANDWIDTH,
        parts.BUFFER_BANDWIDTH,
        Parameter(
            name="im2col",
            kind="flag",
            meaning="run several ranks of one operand pair as one rank (not in row_stationary)",
            default=True,
        ),
        *row_stationary.PARAMETERS,
        parts.CLOCK,
        parts.BITS,
        parts.ARITHMETIC,
        parts.DRAM,
        parts.TECHNOLOGY,
    ),
    build=build,
    sources=(
        "A. Samajdar et al., A Systematic Methodology for Characterizing Scalability of DNN Accelerators "
        "using SCALE-Sim, ISPASS 2020, doi:10.1109/ISPASS48437.2020.00016; scalesim 3.0.0 for the cycles",
        "Y.-H. Chen et al., Eyeriss, ISCA 2016, doi:10.1109/ISCA.2016.40, and JSSC 2017, "
        "doi:10.1109/JSSC.2016.2616357; github.com/stanford-mast/nn_dataflow for how sets fold and replicate",
    ),
)
