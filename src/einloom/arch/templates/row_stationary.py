"""Row stationary, the fourth dataflow of ``systolic``: rows of filters, inputs and sums meet in one element.

An element convolves one row of a filter with one row of the input: the filter row stays, a window of the input row
slides along it, and the sums of one output row leave one after the other (Chen, Emer, Sze, ISCA 2016; Eyeriss, JSSC
2017). Structure: ``DRAM > GLB > PE {X: cols, Y: rows} > Filters > Window > Sums > MAC``; each element has three small
memories, one an operand.

Words, for ``Y[b,k,p,q] = sum{c,r,s}(X[b,c,U*p+r,U*q+s] * F[k,c,r,s])``: a *PE set* computes one plane of outputs from
one plane of inputs. It is R elements high, one a filter row, whose partial sums meet on the way up, and E = P elements
wide, one an output row; input rows run along its diagonals. On an array of A_y rows and A_x columns

    folds of the filter   f_h = ceil(R / A_y)                        a set is ceil(R / f_h) high
    strips of the output  f_w = ceil(P / A_x)
    strips one above the other   f = min(floor(A_y / height), f_w)   the others run one after the other
    width of a strip      w = ceil(ceil(P / ceil(f_w / f)) / f)
    sets above each other     floor(A_y / (height f)),  beside each other   floor(A_x / w)

as nn_dataflow folds and replicates (Gao et al., ASPLOS 2017; its test holds this to JSSC, table III). Sets work on
different channels, filters or groups (Eyeriss's r and t): of the assignments with the fewest passes the mapper tries
those of fewest loops, and those that are quickest with an activation of the finished sums.

Ranks are found by their part: a dimension of the input that an output rank and a filter rank index together is a
window, the first of two is (p, r), the last (q, s); where there is no window the last rank that inputs and outputs
share is q, the one before it p, and R = S = 1.

Inside an element q runs below Filters, s, channels (Eyeriss's q) and filters (its p) below Sums. Filters, channels,
images and strips that are left are split over DRAM and GLB; where images or strips run innermost below GLB, the filters
stay and serve several (its n). Depthwise and grouped convolutions have ranks that all three tensors share: sets take
them too.

The law: latency is that of the busiest element or memory port. ``filter_bandwidth`` adds ``fill``, the words of filters
that enter the array over that rate: an element has room for one pass's filters, so the array waits for them. Unlimited
(the default) it is 0. What no source here gives is left out: ramps of the network, the refresh of DRAM.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from einloom.arch.components import library
from einloom.arch.rules import (
    OPERAND_ROLES,
    Einsum,
    EinsumRules,
    Holding,
    Layout,
    MappingRules,
    is_contraction,
    roles_of,
    shared_by,
    tensors_named,
)
from einloom.arch.template import Parameter
from einloom.arch.templates import parts
from einloom.arch.timing import Activity, Array, TimingLaw
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Fanout, Memory
from einloom.errors import Problem, SpecError

NAME = "row_stationary"
ARRAY, ROWS, COLS = "PE", "Y", "X"
DRAM, BUFFER, FILTERS, WINDOW, SUMS = "DRAM", "GLB", "Filters", "Window", "Sums"
MOST_LAYOUTS = 2
"""Assignments of sets with equally many passes that the mapper tries, of two kinds each: `_replications`."""


@dataclass(frozen=True, slots=True)
class RowStationaryTiming(TimingLaw):
    """The wait for the filters of every pass; the module docstring says what is left out.

    Attributes:
        filter_words: Words of filters that enter the array in one cycle.
    """

    filter_words: float = math.inf

    def terms(self, activity: Activity) -> Mapping[str, Array]:
        """``fill`` = words of filters that enter the array / rate, in cycles, ``(candidates,)``."""
        if math.isinf(self.filter_words):
            return {"fill": np.zeros(len(activity.steps))}
        return {"fill": activity.delivered(FILTERS) / self.filter_words}


class Set(NamedTuple):
    """How one plane of outputs lies on the array.

    Attributes:
        height: Filter rows at a time.
        width: Output rows of one strip.
        strips: Strips one above the other.
        above, beside: Sets that the array has room for.
    """

    height: int
    width: int
    strips: int
    above: int
    beside: int

    @property
    def active(self) -> int:
        """Elements of all sets, were every strip full."""
        return self.height * self.width * self.strips * self.above * self.beside


def ceil_div(number: int, by: int) -> int:
    return -(-number // by)


def fold(filter_rows: int, output_rows: int, rows: int, cols: int) -> Set:
    """The PE set of a plane on an array: the equations of the module docstring.

    Example:
        >>> fold(5, 27, 12, 14)                     # AlexNet, CONV2: 5 x 27 as two strips
        Set(height=5, width=14, strips=2, above=1, beside=1)
        >>> fold(3, 13, 12, 14).above               # CONV3: four sets
        4
    """
    height = ceil_div(filter_rows, ceil_div(filter_rows, rows))
    strips_needed = ceil_div(output_rows, cols)
    strips = min(rows // height, strips_needed)
    turns = ceil_div(strips_needed, strips)
    width = ceil_div(ceil_div(output_rows, turns), strips)
    return Set(height, width, strips, rows // (height * strips), cols // width)


class Part(NamedTuple):
    """The parts that ranks play; None: the Einsum has no such rank."""

    filter_row: str | None
    output_row: str | None
    tap: str | None
    streamed: str | None
    windowed: bool


def parts_of(einsum: Einsum) -> Part:
    """Which rank is r, p, s and q of a contraction."""
    roles = roles_of(einsum)
    inner = set(shared_by(einsum, ("inputs", "weights")))
    outer = shared_by(einsum, ("inputs", "outputs"))
    windows = []
    for access in einsum.accesses:
        if "inputs" in roles[access.tensor]:
            for dim in access.dims:
                slides = [var for var, _ in dim if var in outer]
                taps = [var for var, _ in dim if var in inner]
                if slides and taps:
                    windows.append((slides[0], taps[0]))
    if len(windows) > 1:
        (p, r), (q, s) = windows[0], windows[-1]
        return Part(r, p, s, q, windowed=True)
    if windows:
        return Part(None, None, windows[0][1], windows[0][0], windowed=True)
    last = outer[-2:]
    return Part(None, last[0] if len(last) == 2 else None, None, last[-1] if last else None, windowed=False)


@dataclass(frozen=True, slots=True)
class RowStationaryRules(MappingRules):
    """Sets on the array and loops in their blocks, as the module docstring derives them.

    Attributes:
        rows, cols: Of the array.
    """

    rows: int
    cols: int

    def of(self, architecture: Architecture, einsum: Einsum) -> EinsumRules:
        if not is_contraction(einsum):
            return _grid(einsum)
        part = parts_of(einsum)
        of = einsum.extents
        filter_rows = of[part.filter_row] if part.filter_row else 1
        output_rows = of[part.output_row] if part.output_row else 1
        shape = fold(filter_rows, output_rows, self.rows, self.cols)
        own = {part.filter_row, part.output_row, part.tap, part.streamed}
        free = {
            var: of[var]
            for roles in (("weights", "outputs"), ("inputs", "weights"), OPERAND_ROLES)
            for var in shared_by(einsum, roles)
            if var not in own and of[var] > 1
        }
        columns = [(var, n) for var, n in ((part.output_row, shape.width),) if var]
        column = [(var, n) for var, n in ((part.output_row, shape.strips), (part.filter_row, shape.height)) if var]
        layouts: tuple[Layout, ...] = tuple(
            {(ARRAY, COLS): (*columns, *beside), (ARRAY, ROWS): (*column, *above)}
            for above, beside in _replications(free, _after(einsum), shape.above, shape.beside)
        )
        allowed = frozenset(free).union(*({var} for var in (part.output_row,) if var))
        taller = allowed.union(*({var} for var in (part.filter_row,) if var))
        return EinsumRules(
            {(ARRAY, COLS): allowed, (ARRAY, ROWS): taller},
            {
                FILTERS: Holding.exactly(tensors_named(einsum, ["weights"])),
                WINDOW: Holding.exactly(tensors_named(einsum, ["inputs"])),
                SUMS: Holding.exactly(tensors_named(einsum, ["outputs"])),
            },
            layouts=layouts,
            blocks={var: frozenset(_blocks(einsum, part, var)) for var in of},
        )


def _blocks(einsum: Einsum, part: Part, variable: str) -> tuple[str, ...]:
    """Memories below which the loops of a rank may stand."""
    if variable == part.tap:
        return (SUMS,)
    if variable == part.filter_row:
        return (BUFFER,)
    if variable == part.streamed and part.windowed:
        return (FILTERS,)
    if variable == part.streamed:
        return DRAM, BUFFER, FILTERS
    if variable in shared_by(einsum, OPERAND_ROLES) or variable in shared_by(einsum, ("inputs", "outputs")):
        return DRAM, BUFFER
    return DRAM, BUFFER, SUMS


Loops = tuple[tuple[str, int], ...]


def _after(einsum: Einsum) -> frozenset[str]:
    """Ranks of what follows the sums in an element (an activation); empty where nothing does."""
    works = [work.variables for work in einsum.work if work.operator != "mac"]
    return frozenset().union(*works) if works else frozenset()


def _replications(free: Mapping[str, int], after: frozenset[str], above: int, beside: int) -> list[tuple[Loops, Loops]]:
    """What the sets of a column and of a row work on: of the assignments with fewest passes, those of fewest loops
    and those that spread the work on finished sums most.

    Args:
        after: Ranks of that work.
    """

    def passes(both: tuple[Loops, Loops]) -> tuple[int, int]:
        left = dict(free)
        for var, bound in itertools.chain(*both):
            left[var] = ceil_div(left[var], bound)
        return math.prod(left.values()), math.prod(n for var, n in left.items() if var in after)

    every = list(itertools.product(_assignments(free, above), _assignments(free, beside)))
    counted = [(*passes(both), len(both[0]) + len(both[1]), both) for both in every]
    least = min(count for count, _, _, _ in counted)
    few = sorted((loops, both) for count, _, loops, both in counted if count == least)
    spread = sorted((more, loops, both) for count, more, loops, both in counted if count == least)
    chosen = [both for _, both in few[:MOST_LAYOUTS]] + [both for _, _, both in spread[:MOST_LAYOUTS]]
    return list(dict.fromkeys(chosen))


def _assignments(free: Mapping[str, int], sets: int) -> Iterator[Loops]:
    """Up to two ranks for ``sets`` sets: each takes what it can use; of two the first takes any useful number."""
    yield ()
    if sets > 1:
        for var, extent in free.items():
            yield ((var, min(sets, extent)),)
        for (one, extent), (other, most) in itertools.permutations(free.items(), 2):
            useful = {-(-extent // -(-extent // bound)) for bound in range(2, min(sets // 2, extent) + 1)}
            yield from (((one, bound), (other, min(sets // bound, most))) for bound in sorted(useful) if most > 1)


def _grid(einsum: Einsum) -> EinsumRules:
    """The array as a grid for what is no convolution: ranks of the output on both axes, nothing in the elements."""
    outputs = frozenset().union(*(access.variables for access in einsum.accesses if access.role == "output"))
    return EinsumRules(
        {(ARRAY, ROWS): outputs, (ARRAY, COLS): outputs},
        {memory: Holding.exactly(()) for memory in (FILTERS, WINDOW, SUMS)},
        blocks={var: frozenset((DRAM, BUFFER, SUMS)) for var in einsum.extents},
    )


SPADS = (
    (FILTERS, "filters", "filter words", 225),
    (WINDOW, "window", "input words", 12),
    (SUMS, "sums", "partial sums", 24),
)
"""Memories of one element, outermost first: name, parameter, what they hold, words in Eyeriss (nn_dataflow's test)."""

FILTER_BANDWIDTH = "filter_bandwidth"

PARAMETERS = (
    *(
        Parameter(
            name=key,
            kind="size",
            meaning=f"row_stationary: {what} that one element holds; by default {words} words",
            default=None,
            unlimited=False,
        )
        for _, key, what, words in SPADS
    ),
    Parameter(
        name=FILTER_BANDWIDTH,
        kind="rate",
        meaning="row_stationary: filters into the array, before each pass; by default unlimited",
        default=None,
    ),
)
"""Parameters that this dataflow alone has."""


def refuse(params: Mapping[str, object], dataflow: str) -> None:
    """Raise where a dataflow without row-stationary elements is given what they have."""
    given = [parameter.name for parameter in PARAMETERS if params.get(parameter.name) is not None]
    if given:
        hint = f"leave it out, or choose `dataflow: {NAME}`"
        raise SpecError([Problem(f"'{name}' means nothing to dataflow {dataflow}", hint, (name,)) for name in given])


def build(params: Mapping[str, object]) -> Architecture:
    """The array for resolved parameters of the template ``systolic``."""
    rows, cols = parts.count(params, "rows"), parts.count(params, "cols")
    rate = params[FILTER_BANDWIDTH] or UNLIMITED
    assert isinstance(rate, Amount)
    bits = parts.count(params, "bits")
    return Architecture(
        name=f"{NAME}_{rows}x{cols}",
        clock_hz=parts.number(params, "clock"),
        levels=(
            parts.dram(params, DRAM),
            parts.buffer(params, BUFFER, "buffer", "buffer_bandwidth"),
            Fanout(name=ARRAY, axes={COLS: cols, ROWS: rows}),
            *(_scratchpad(params, *spad) for spad in SPADS),
            parts.arithmetic(params),
        ),
        timing=RowStationaryTiming(float(rate.in_bits(bits).value / bits)),
        rules=RowStationaryRules(rows, cols),
    )


def _scratchpad(params: Mapping[str, object], name: str, key: str, what: str, words: int) -> Memory:
    """One of the three memories of an element, priced by its bits."""
    bits = parts.count(params, "bits")
    capacity = params[key] or Amount(Fraction(words), in_words=True)
    assert isinstance(capacity, Amount)
    size = float(capacity.in_bits(bits).value)
    component = library().default_memory(size)
    assert component is not None
    try:
        part = library().memory_part(component, size, Fraction(bits), parts.number(params, "technology"))
    except SpecError as error:
        raise SpecError([problem.below(key) for problem in error.problems]) from error
    return Memory(
        name=name,
        capacity=capacity,
        word_bits=part.word_bits,
        read_energy_pj=part.read_energy_pj,
        write_energy_pj=part.write_energy_pj,
        area_um2=part.area_um2,
        source=part.source,
    )
