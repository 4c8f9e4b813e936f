"""A nest in which some bounds are ``auto``: every way to fill them in that covers each rank, costed exactly.

The nodes and their order are fixed. What the given bounds leave of a rank is split over its ``auto`` loops: every
ordered factorization, and for a spatial loop also all the instances that the axis has left (clipped).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from einloom.arch.tree import Architecture, Fanout, Level
from einloom.errors import MappingError
from einloom.mapper.found import Found, Objective
from einloom.mapper.search import BLOCK, keeper
from einloom.mapper.space import divisors
from einloom.mappings import AUTO, Loop, Nodes, Spatial, walk
from einloom.model.arrays import Array
from einloom.model.cost import Priced
from einloom.model.counts import batch_of
from einloom.model.structure import structure_of
from einloom.workloads.sized import SizedEinsum


def has_auto(nodes: Nodes) -> bool:
    """Whether a bound is left to the mapper, anywhere in a nest or a tree."""
    return any(isinstance(node, Loop | Spatial) and node.bound == AUTO for node in walk(nodes))


def fill(
    einsum: SizedEinsum, architecture: Architecture, path: tuple[Level, ...], nodes: Nodes, objective: Objective
) -> Found:
    """The best bounds for the ``auto`` loops of a nest whose other bounds are integers.

    Args:
        nodes: Legal but for the open bounds.
    """
    loops = [node for node in nodes if isinstance(node, Loop | Spatial)]
    choices = {var: _choices(einsum, path, loops, var) for var in einsum.extents}
    structure = structure_of(einsum, path, _with_bounds(nodes, [1] * len(loops)))
    keep = keeper(objective)
    found = Found(candidates=math.prod(len(rows) for rows in choices.values()))
    for rows in _blocks(choices):
        bounds = _columns(loops, choices, rows)
        priced = Priced(architecture, batch_of(structure, bounds))
        legal = priced.fits & _within_axes(path, loops, bounds)
        if not legal.any():
            _note_smallest(priced, found)
            continue
        bounds = bounds[legal]
        priced = Priced(architecture, batch_of(structure, bounds))
        found.costed += len(bounds)
        for row in keep.leading(priced.energy_pj, priced.cycles, priced):
            occupancy = tuple(float(priced.occupancy(level)[row]) for level in priced.memories)
            filled = _with_bounds(nodes, bounds[row].tolist())
            keep.add(float(priced.energy_pj[row]), float(priced.cycles[row]), occupancy, filled)
    found.front = keep.found()
    return found


def _choices(einsum: SizedEinsum, path: tuple[Level, ...], loops: Sequence[Loop | Spatial], variable: str) -> Array:
    """Bounds of the loops of one rank, one row a choice."""
    own = [loop for loop in loops if loop.variable == variable]
    given = math.prod(loop.bound for loop in own if isinstance(loop.bound, int))
    rest = -(-einsum.extents[variable] // given)
    options = list(_splits(path, [loop for loop in own if loop.bound == AUTO], rest))
    rows = []
    for option in options:
        left = iter(option)
        rows.append([loop.bound if isinstance(loop.bound, int) else next(left) for loop in own])
    if not rows:
        raise MappingError(f"the bounds of '{variable}' cover {given} of {einsum.extents[variable]} iterations",
                           f"write `auto` for one of its loops, or add `for {variable} in {rest}`")  # fmt: skip
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(own))


def _splits(path: tuple[Level, ...], open_: Sequence[Loop | Spatial], rest: int) -> Iterator[tuple[int, ...]]:
    """Ways to cover ``rest`` iterations with the open loops."""
    if not open_:
        if rest == 1:
            yield ()
        return
    first, *others = open_
    size = _axis_size(path, first) if isinstance(first, Spatial) else rest
    bounds = {d for d in divisors(rest) if d <= size}
    if isinstance(first, Spatial):
        bounds.add(min(size, rest))
    for bound in sorted(bounds):
        for tail in _splits(path, others, -(-rest // bound)):
            yield (bound, *tail)


def _axis_size(path: tuple[Level, ...], loop: Spatial) -> int:
    return next(level.axes[loop.axis] for level in path if isinstance(level, Fanout) and level.name == loop.fanout)


def _blocks(choices: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Row numbers of each rank's choices, in blocks."""
    shape = tuple(len(rows) for rows in choices.values())
    total = math.prod(shape)
    for start in range(0, total, BLOCK):
        flat = np.arange(start, min(start + BLOCK, total))
        numbers = np.unravel_index(flat, shape) if shape else ()
        yield dict(zip(choices, numbers, strict=True))


def _columns(loops: Sequence[Loop | Spatial], choices: Mapping[str, Array], rows: Mapping[str, Array]) -> Array:
    turn = dict.fromkeys(choices, 0)
    columns = []
    for loop in loops:
        columns.append(choices[loop.variable][rows[loop.variable], turn[loop.variable]])
        turn[loop.variable] += 1
    return np.stack(columns, axis=1)


def _within_axes(path: tuple[Level, ...], loops: Sequence[Loop | Spatial], bounds: Array) -> Array:
    """Whether the spatial loops of every axis fit its instances together."""
    fits = np.ones(len(bounds), dtype=bool)
    axes = {(loop.fanout, loop.axis): _axis_size(path, loop) for loop in loops if isinstance(loop, Spatial)}
    for axis, size in axes.items():
        on_axis = [i for i, loop in enumerate(loops) if isinstance(loop, Spatial) and (loop.fanout, loop.axis) == axis]
        fits &= bounds[:, on_axis].prod(axis=1) <= size
    return fits


def _note_smallest(priced: Priced, found: Found) -> None:
    for level in priced.memories:
        needed, memory = float(priced.occupancy(level).min()), priced.memory(level)
        if needed > float(memory.capacity.value):
            known = found.smallest.get(memory.name, (math.inf, 0.0))[0]
            found.smallest[memory.name] = (min(needed, known), float(memory.capacity.value))


def _with_bounds(nodes: Nodes, bounds: Sequence[int]) -> Nodes:
    left = iter(bounds)
    return tuple(replace(node, bound=int(next(left))) if isinstance(node, Loop | Spatial) else node for node in nodes)
