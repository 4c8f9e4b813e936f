"""What a timing law may ask about counted candidates: steps, stationary periods, instances in use."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.errors import MappingError
from einloom.model import counts
from einloom.model.arrays import Array, exact
from einloom.model.traffic import Batch, link_words

ROOM = 2.0**31
"""A law may multiply what it is told by constants up to this (rows, cycles) without wrapping."""


def _roomy(values: Array) -> Array:
    return exact(values, float(values.max(initial=1)) * ROOM)


@dataclass(frozen=True)
class CountedActivity:
    """`arch.timing.Activity` over a batch of candidates."""

    batch: Batch

    @property
    def steps(self) -> Array:
        return _roomy(counts.steps(self.batch))

    def used(self, fanout: str, axis: str) -> Array:
        return _roomy(counts.axis_used(self.batch, fanout, axis))

    def delivered(self, memory: str) -> Array:
        structure = self.batch.structure
        total = np.zeros_like(self.batch.like)
        for link in structure.links:
            is_input = structure.einsum.accesses[link.access].role == "input"
            inner = structure.path[link.inner.level]
            if is_input and inner.name == memory:
                total = total + link_words(self.batch, link, link.merged).arrivals
        return _roomy(total)

    def visits(self, memory: str) -> Array:
        reach = self._reach(memory)
        return _roomy(counts.visits(self.batch, reach)) if reach is not None else np.zeros_like(self.batch.like)

    def periods(self, memory: str) -> Sequence[tuple[Array, Array]]:
        """Stationary periods by length, the class of the last one last.

        Raises:
            MappingError: A clipped rank is split around a loop that the held tensors ignore, so that the last tile
                stays over several iterations of it: periods of unequal length that have no closed form.
        """
        reach = self._reach(memory)
        if reach is None:
            return []
        batch, slots = self.batch, self.batch.structure.slots
        cut = np.zeros_like(batch.like)  # loops outside the innermost one that moves a tile, itself included
        for place, slot in enumerate(slots):
            if not slot.fanout and place < reach.get(slot.variable, 0):
                cut = np.where(batch.bounds[place] > 1, place + 1, cut)
        by_rank = [self._classes(var, cut) for var in batch.structure.extents]
        one = batch.one
        pairs = [
            (math.prod((many for many, _ in chosen), start=one), math.prod((length for _, length in chosen), start=one))
            for chosen in itertools.product(*by_rank)
        ]
        if not batch.divides and not np.array_equal(sum(many for many, _ in pairs), self.visits(memory)):
            raise MappingError(
                f"the tiles of {memory} stay for unequal periods, which its timing law cannot count",
                "choose bounds that divide the ranks, or do not split a rank around a loop that the tile ignores",
            )
        return [(_roomy(many), _roomy(length)) for many, length in pairs]

    def _classes(self, variable: str, cut: Array) -> list[tuple[Array, Array]]:
        """(how many, steps inside) of one rank's periods outside ``cut``: full ones, then the last one."""
        batch = self.batch
        total = counts.combinations(batch, variable, lambda _, slot: not slot.fanout)
        full, outside = batch.one, batch.one
        for place, slot in enumerate(batch.structure.slots):
            if slot.variable == variable and not slot.fanout:
                full = full * np.where(place < cut, 1, batch.bounds[place])
        outside = -(-total // full)
        last = total - (outside - 1) * full
        if np.array_equal(last, full):
            return [(outside, full)]
        return [(outside - 1, full), (np.ones_like(last), last)]

    def _reach(self, memory: str) -> Mapping[str, int] | None:
        """For each variable that indexes a tile of ``memory``, the loops outside its innermost hold there."""
        structure = self.batch.structure
        reach: dict[str, int] = {}
        found = False
        for access, chain in zip(structure.einsum.accesses, structure.chains, strict=True):
            for holder in chain:
                if structure.memory(holder).name == memory:
                    found = True
                    for var in access.variables:
                        reach[var] = max(reach.get(var, 0), holder.position)
        return reach if found else None
