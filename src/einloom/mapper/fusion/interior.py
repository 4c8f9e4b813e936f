"""What an Einsum of a group may do inside a slot: spatial loops, registers, and the loops around them, as arrays.

An option fixes what does not depend on the tile of the slot: instances along every rank, which tensors the registers
hold, one inside the other, and how a rank that stands above the first and below the second is split. The loops fall
into blocks::

    [ranks of T1] registers hold T1 [ranks of T2 that T1 has not] registers hold T2 [the others] compute

so that all above a hold is of its tensor: no other order of these holds moves fewer words. A rank of T1 that T2 has not
may be split: its inner part runs below both.

For a tile of the slot each option is a row: words over the way to the buffer of every operand, energy, busy cycles.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Memory
from einloom.mapper.fusion.group import Part
from einloom.mapper.fusion.machine import Machine, Unit
from einloom.mapper.space import divisors
from einloom.model.structure import applies

Floats = npt.NDArray[np.float64]
Layout = tuple[tuple[str, str, int], ...]
"""(axis, rank variable, instances) of every axis that is used."""

IN_BUFFER, IN_OUTER, RESIDENT = 0, 1, 2
"""Where an operand lives outside the Einsum: in the buffer, only in the outermost memory, or in the registers."""


@dataclass(frozen=True, eq=False)
class Options:
    """Every option of an Einsum on a unit with one set of tensors in registers.

    Attributes:
        part, unit: Whose they are.
        sequence: Operands in registers, outer one first: none, one or two.
        spread: Instances along each rank. Shape ``(options, ranks)``, ranks in the order of ``part.extents``.
        inner: The part of each rank below the inner hold that is split off. Same shape.
        layouts: Which axis carries which rank, one for each option.
    """

    part: Part
    unit: Unit
    sequence: tuple[int, ...]
    spread: Floats
    inner: Floats
    layouts: tuple[Layout, ...]

    @cached_property
    def ranks(self) -> tuple[str, ...]:
        return tuple(self.part.extents)

    def mask(self, index: int) -> npt.NDArray[np.bool_]:
        """Which ranks index an operand."""
        return np.array([rank in self.part.operands[index].variables for rank in self.ranks], dtype=bool)

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """``outer``, ``split``, ``mid`` or ``inner`` for each rank."""
        if not self.sequence:
            return ("outer",) * len(self.ranks)
        first = self.mask(self.sequence[0])
        if len(self.sequence) == 1:
            return tuple("outer" if has else "inner" for has in first)
        second = self.mask(self.sequence[1])
        names = {(True, True): "outer", (True, False): "split", (False, True): "mid", (False, False): "inner"}
        return tuple(names[bool(a), bool(b)] for a, b in zip(first, second, strict=True))

    def role(self, name: str) -> npt.NDArray[np.bool_]:
        return np.array([role == name for role in self.roles], dtype=bool)


def options_of(
    part: Part, unit: Unit, rules: EinsumRules, resident: frozenset[str], free: frozenset[str] = frozenset()
) -> Iterator[Options]:
    """All options of an Einsum on a unit, one value for each set of tensors in registers.

    Args:
        resident: Tensors that live in the unit's registers while the slot runs; they are not held once more.
        free: Tensors of which that is open: registers that must hold them may do without.
    """
    must, may = unit.register_choices(part.einsum, rules)
    names = [operand.tensor for operand in part.operands]
    if resident & set(names) and (unit.registers is None or resident & set(names) - may):
        return
    own = [
        i for i, name in enumerate(names)
        if name in may and names.count(name) == 1 and name not in resident
    ]  # fmt: skip
    wanted = must - resident - free
    for length in range(3 if unit.registers is not None else 1):
        for sequence in itertools.permutations(own, length):
            if wanted <= {names[i] for i in sequence}:
                yield _options(part, unit, rules, sequence, resident)


def _options(
    part: Part, unit: Unit, rules: EinsumRules, sequence: tuple[int, ...], resident: frozenset[str]
) -> Options:
    ranks = tuple(part.extents)
    spreads = list(_layouts(part, unit, rules, resident))
    rows = [[_product(layout, rank) for rank in ranks] for layout in spreads]
    spread = np.array(rows, dtype=float).reshape(len(spreads), len(ranks))
    bare = Options(part, unit, sequence, spread, np.ones_like(spread), tuple(spreads))
    splits = [
        divisors(part.extents[rank]) if role == "split" else (1,) for rank, role in zip(ranks, bare.roles, strict=True)
    ]
    inner = np.array(list(itertools.product(*splits)), dtype=float)
    many, few = len(spread), len(inner)
    both_spread, both_inner = np.repeat(spread, few, axis=0), np.tile(inner, (many, 1))
    extents = np.array([part.extents[rank] for rank in ranks], dtype=float)
    fits = ((extents % (both_spread * both_inner)) == 0).all(axis=1)
    layouts = [layout for layout in spreads for _ in range(few)]
    chosen = np.flatnonzero(fits)
    return Options(
        part, unit, sequence, both_spread[chosen], both_inner[chosen], tuple(layouts[i] for i in chosen)
    )


LONG_AXIS = 32
"""Instances above which an axis is filled as far as a rank goes: at least half of the most that divide it."""


def instances(extent: int, size: int) -> tuple[int, ...]:
    """Counts of instances, above 1, over which an axis may spread a rank."""
    fitting = [d for d in divisors(extent) if 1 < d <= size]
    return tuple(d for d in fitting if size <= LONG_AXIS or 2 * d >= fitting[-1])


def _product(layout: Layout, rank: str) -> int:
    return math.prod(count for _, variable, count in layout if variable == rank)


def _layouts(part: Part, unit: Unit, rules: EinsumRules, resident: frozenset[str]) -> Iterator[Layout]:
    """One rank an axis, any divisor of it that fits; of layouts with the same product along every rank the first.

    An Einsum that uses a resident is laid out over ranks of that tensor only, and just as its other users.
    """
    shared = [operand.variables for operand in part.operands if operand.tensor in resident]
    ranks = [rank for rank in part.extents if rank not in part.generations and all(rank in vars_ for vars_ in shared)]
    choices: list[list[tuple[str, str, int] | None]] = []
    for axis, size in unit.axes.items():
        assert unit.fanout is not None
        mine: list[tuple[str, str, int] | None] = [None]
        for rank in ranks:
            if rules.axis_allows(unit.fanout.name, axis, rank):
                mine += [(axis, rank, d) for d in instances(part.extents[rank], size)]
        choices.append(mine)
    seen: set[object] = set()
    for chosen in itertools.product(*choices):
        layout = tuple(entry for entry in chosen if entry is not None)
        key = layout if shared else tuple(_product(layout, rank) for rank in part.extents)
        if key not in seen:
            seen.add(key)
            yield layout


@dataclass(frozen=True)
class Inside:
    """What one operand moves below the buffer, all instances together. Shape ``(tiles, options)`` or a scalar each.

    Attributes:
        reads, writes: Elements of the registers.
        drains: Those of the reads that leave the registers.
        linked: Elements that cross the links of the fanout.
    """

    reads: Floats | float
    writes: Floats | float
    drains: Floats | float
    linked: Floats | float


@dataclass(frozen=True)
class Rows:
    """Options of one `Options` for some tiles. Shape ``(tiles, options)`` for each array.

    Attributes:
        words: Words between the buffer side and this Einsum, by operand: reads of an input, updates of an output.
        returns: Partial sums that come back, by operand; 0 for inputs.
        inside: What each operand moves in the registers and over links.
        compute_pj: Energy of the operations.
        instances: That work. Shape ``(1, options)``.
        busy: Cycles of the compute.
        valid: Whether the tile divides and the registers hold what they must.
        registers: Bits of the unit's registers that the Einsum's own holds take in one instance.
        unit: Whose registers.
        tiles: Extent of every rank in a slot. Shape ``(tiles, ranks)``.
    """

    words: tuple[Floats | float, ...]
    returns: tuple[Floats | float, ...]
    inside: tuple[Inside, ...]
    compute_pj: float
    instances: Floats
    busy: Floats
    valid: npt.NDArray[np.bool_]
    registers: Floats
    unit: Unit
    tiles: Floats

    def inside_pj(self, index: int, bits: float) -> Floats | float:
        """Energy of registers and links for an operand."""
        moved, memory = self.inside[index], self.unit.registers
        links = _link_pj(self.unit) * moved.linked
        if memory is None:
            return links
        amounts = (np.asarray(amount) for amount in (moved.reads, moved.writes, moved.drains))
        return links + accesses(memory, bits) * memory.access_energy_pj(*amounts)


def rows_of(options: Options, tiles: Floats, stays: Sequence[Floats], resident: frozenset[str]) -> Rows:
    """Words, energy and cycles of every option for some tiles of the slot.

    Args:
        tiles: Extent of every rank in a slot. Shape ``(tiles, ranks)``.
        stays: For each operand how often its whole tile changes over the run. Shape ``(tiles,)`` each.
        resident: Tensors in the registers while the slot runs.
    """
    part, unit = options.part, options.unit
    extents = np.array(list(part.extents.values()), dtype=float)
    slots = (extents / tiles).prod(axis=1)[:, None]
    left = [tiles[:, rank, None] / options.spread[None, :, rank] for rank in range(len(options.ranks))]
    valid = _divide(options, left)
    shape, points = valid.shape, float(part.points)
    moved: list[_Moved] = []
    for index, operand in enumerate(part.operands):
        if operand.tensor in resident:
            moved.append(_resident(options, index, left, shape))
        elif index in options.sequence:
            moved.append(_held(options, index, left, slots, stays[index][:, None], shape))
        else:
            words = points / _joined(options, index)
            returns = words - operand.elements if operand.output else 0.0
            moved.append(_Moved(words, returns, Inside(0.0, 0.0, 0.0, points)))
    own: Floats = np.zeros(shape)
    whole: Floats = np.zeros(shape)
    for operand, each in zip(part.operands, moved, strict=True):
        if operand.tensor in resident:
            whole = whole + each.bits
        else:
            own = own + each.bits
    if unit.registers is not None:
        valid = valid & (own + whole <= float(unit.registers.capacity.value))
    return Rows(
        words=tuple(each.words for each in moved),
        returns=tuple(each.returns for each in moved),
        inside=tuple(each.inside for each in moved),
        compute_pj=compute_pj(part, unit),
        instances=options.spread.prod(axis=1)[None],
        busy=np.broadcast_to(_busy(options), shape),
        valid=valid,
        registers=own,
        unit=unit,
        tiles=tiles,
    )


class _Moved(NamedTuple):
    """One operand in the options: as in `Rows`, and the bits it takes in the registers of one instance."""

    words: Floats | float
    returns: Floats | float
    inside: Inside
    bits: Floats | float = 0.0


def _shared(options: Options, index: int) -> Floats:
    """How many instances have the same part of an operand. Shape ``(1, options)``."""
    shared: Floats = options.spread[:, ~options.mask(index)].prod(axis=1)[None]
    return shared


def _joined(options: Options, index: int) -> Floats:
    """How many of those get it, or give it, as one word."""
    operand = options.part.operands[index]
    meets = options.unit.reduces if operand.output else options.unit.multicasts
    shared = _shared(options, index)
    return shared if meets(options.part.einsum, operand.tensor) else np.ones_like(shared)


def _resident(options: Options, index: int, left: Sequence[Floats], shape: tuple[int, ...]) -> _Moved:
    """An operand that stays in the registers while the slot runs."""
    part, unit = options.part, options.unit
    operand, points = part.operands[index], float(part.points)
    reads = points - operand.elements * _shared(options, index) if operand.output else points
    bits = _bits(part, unit, operand.tensor, _times(left, options.mask(index), shape))
    return _Moved(0.0, 0.0, Inside(reads, points if operand.output else 0.0, 0.0, 0.0), bits)


def _held(
    options: Options, index: int, left: Sequence[Floats], slots: Floats, stay: Floats, shape: tuple[int, ...]
) -> _Moved:
    """An operand whose tile the registers hold."""
    part, unit = options.part, options.unit
    operand, points = part.operands[index], float(part.points)
    touched = operand.elements * _shared(options, index)
    tile = _inside(options, index, left, shape)
    whole = _times(left, options.mask(index), shape) * _again(options, index, left, shape)
    times = np.where(whole == tile, stay, slots)
    each = whole * times * options.spread.prod(axis=1)[None]
    words = each / _joined(options, index)
    bits = _bits(part, unit, operand.tensor, tile)
    if not operand.output:
        return _Moved(words, 0.0, Inside(points, each, 0.0, each), bits)
    back = each - touched
    inside = Inside(points - touched + each, points + back, each, each + back)
    return _Moved(words, words - operand.elements, inside, bits)


def _divide(options: Options, left: Sequence[Floats]) -> npt.NDArray[np.bool_]:
    """Whether instances and inner parts divide the tile along every rank."""
    valid = np.ones(left[0].shape if left else (1, len(options.layouts)), dtype=bool)
    split = options.role("split")
    for rank, part in enumerate(left):
        cut = part / options.inner[None, :, rank] if split[rank] else part
        valid &= cut == np.floor(cut)
    return valid


def _times(left: Sequence[Floats], ranks: Iterable[bool], shape: tuple[int, ...]) -> Floats:
    """Product of what is left of some ranks in one instance."""
    total: Floats | None = None
    for part, wanted in zip(left, ranks, strict=True):
        if wanted:
            total = part if total is None else total * part
    return np.ones(shape) if total is None else total


def _inside(options: Options, index: int, left: Sequence[Floats], shape: tuple[int, ...]) -> Floats:
    """Words of the tile of an operand in the registers of one instance."""
    inside = np.ones(shape)
    has = options.mask(index)
    for rank, role in enumerate(options.roles):
        if not has[rank]:
            continue
        if role == "inner" or (role == "mid" and index == options.sequence[0]):
            inside = inside * left[rank]
        elif role == "split":
            inside = inside * options.inner[None, :, rank]
    return inside


def _again(options: Options, index: int, left: Sequence[Floats], shape: tuple[int, ...]) -> Floats | float:
    """How often the tiles of the inner hold come again, because of ranks further out that it has not."""
    if len(options.sequence) < 2 or index == options.sequence[0]:
        return 1.0
    moving = _times(left, options.role("mid"), shape) > 1
    outside = np.ones(shape)
    for rank, role in enumerate(options.roles):
        if role == "split":
            outside = outside * (left[rank] / options.inner[None, :, rank])
    return np.where(moving, outside, 1.0)


def _bits(part: Part, unit: Unit, tensor: str, words: Floats) -> Floats:
    assert unit.registers is not None
    bits = next(float(operand.bits) for operand in part.operands if operand.tensor == tensor)
    doubled = 2.0 if applies(unit.registers.double_buffered, part.einsum, tensor) else 1.0
    return words * bits * doubled


def accesses(memory: Memory, bits: float) -> float:
    """Accesses of one element."""
    return 1.0 if memory.word_bits is None else bits / float(memory.word_bits)


def _link_pj(unit: Unit) -> float:
    return unit.fanout.link_energy_pj if unit.fanout is not None else 0.0


def quickest(part: Part, unit: Unit) -> float:
    """Cycles of an Einsum on a unit with every element busy; infinite where it cannot execute it."""
    if not unit.able(part.einsum):
        return math.inf
    total = 0.0
    for work in part.einsum.work:
        space = math.prod(part.extents[rank] for rank in work.variables)
        steps = max(1.0, space / math.prod(unit.axes.values()))
        total += unit.compute.operator_cycles(work.operator) * work.count * steps
    return total


def compute_pj(part: Part, unit: Unit) -> float:
    """Energy of the operations of an Einsum."""
    operations = part.einsum.operations()
    return sum(count * (unit.compute.operator_energy_pj(op) or 0.0) for op, count in operations.items())


def _busy(options: Options) -> Floats:
    """Cycles of the compute over the run: steps of every operator's space x its cycles. Shape ``(1, options)``."""
    part = options.part
    total = np.zeros(len(options.spread))
    for work in part.einsum.work:
        cycles = options.unit.compute.operator_cycles(work.operator) * work.count
        over = np.array([rank in work.variables for rank in options.ranks], dtype=bool)
        extents = np.array([part.extents[rank] for rank in options.ranks], dtype=float)
        total = total + cycles * (extents[over] / options.spread[:, over]).prod(axis=1)
    return total[None]


@dataclass(frozen=True, eq=False)
class Interior:
    """All options of an Einsum on all units, for some residents (``free``: what else may be one)."""

    part: Part
    machine: Machine
    rules: EinsumRules
    resident: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()

    @cached_property
    def options(self) -> tuple[Options, ...]:
        found = []
        for unit in self.machine.units:
            if unit.able(self.part.einsum):
                found += list(options_of(self.part, unit, self.rules, self.resident, self.free))
        return tuple(options for options in found if len(options.layouts))
