"""Counted candidates priced: occupancy against capacity, busy cycles of every port, energy. Arrays over candidates.

Cycles of an Einsum are those of its busiest resource (the compute, or a memory port of its busiest instance) plus the
terms of the timing law. Energy is words times energy per word at each memory, operations times energy, link words
times energy per hop; leakage is power times time. Counts are exact integers; cycles and energies are float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from einloom.arch.tree import UNLIMITED, Amount, Architecture, Fanout, Memory
from einloom.errors import MappingError, PluginError, Problem, code_of
from einloom.model import counts
from einloom.model.activity import CountedActivity
from einloom.model.arrays import Array, exact
from einloom.model.counts import Counts
from einloom.model.structure import Structure, applies
from einloom.model.traffic import Batch
from einloom.workloads.sized import Access, SizedEinsum

Usage = Mapping[tuple[int, int], Counts]
"""Counts by (place of the memory in the path, index of the access)."""


@dataclass(frozen=True)
class Priced:
    """What a batch of candidates costs on an architecture. Arrays have shape ``(candidates,)``."""

    architecture: Architecture
    batch: Batch

    @cached_property
    def usage(self) -> Usage:
        return {(holder.level, access): found for access, holder, found in counts.count(self.batch)}

    @cached_property
    def memories(self) -> tuple[int, ...]:
        """Places of the memories that hold something, outermost first."""
        return tuple(sorted({level for level, _ in self.usage}))

    def memory(self, level: int) -> Memory:
        memory = self.batch.structure.path[level]
        assert isinstance(memory, Memory)
        return memory

    def access(self, index: int) -> Access:
        return self.batch.structure.einsum.accesses[index]

    # -- occupancy ------------------------------------------------------------------------------------------------

    def occupancy(self, level: int) -> Array:
        """Bits (or words, where the capacity is in words of no fixed width) that one instance holds at a time."""
        structure = self.batch.structure
        total = np.zeros(len(self.batch.like))
        for (place, index), found in self.usage.items():
            if place == level:
                total = total + stored(structure, self.memory(level), index, found.occupancy)
        return total / bit_parts(structure.einsum)

    @cached_property
    def fits(self) -> Array:
        """Whether every memory holds its tiles. Shape ``(candidates,)``."""
        legal = np.ones(len(self.batch.like), dtype=bool)
        for level in self.memories:
            legal &= self.occupancy(level) <= float(self.memory(level).capacity.value)
        return legal

    # -- cycles ---------------------------------------------------------------------------------------------------

    @cached_property
    def compute_cycles(self) -> Array:
        """Busy cycles of the compute: clipped steps of each operator's space x its cycles."""
        structure = self.batch.structure
        total = np.zeros_like(self.batch.like)
        for work in structure.einsum.work:
            cycles = structure.compute.operator_cycles(work.operator) * work.count
            steps = counts.steps(self.batch, work.variables)
            largest = float(steps.max(initial=1)) * cycles * len(structure.einsum.work)
            total = total + exact(steps, largest) * cycles
        return total

    @cached_property
    def port_cycles(self) -> Mapping[int, Array]:
        """Busy cycles of the busiest port of the busiest instance, by place of the memory; unlimited ports are free."""
        return {level: self._port_cycles(level) for level in self.memories}

    def _port_cycles(self, level: int) -> Array:
        memory = self.memory(level)
        ports = (
            (memory.bandwidth, ("reads", "writes")),
            (memory.read_bandwidth, ("reads",)),
            (memory.write_bandwidth, ("writes",)),
        )
        busy: Array = np.zeros(len(self.batch.like))
        for rate, directions in ports:
            if rate != UNLIMITED and rate.value != math.inf:
                busy = np.maximum(busy, self._load(level, rate, directions) / float(rate.value))
        return busy

    def _load(self, level: int, rate: Amount, directions: tuple[str, ...]) -> Array:
        """Bits (or words) over one port of the busiest instance."""
        if self.batch.divides:
            alike: Array = counts.used(self.batch, level).astype(float)
            return self._traffic(self.usage, level, rate, directions) / alike
        busiest = np.zeros(len(self.batch.like))
        for single in self._singles(level):
            busiest = np.maximum(busiest, self._traffic(single, level, rate, directions))
        return busiest

    def _singles(self, level: int) -> list[Usage]:
        return [
            {(holder.level, access): found for access, holder, found in counts.count(single, level)}
            for single in counts.single_instances(self.batch, level)
        ]

    def _traffic(self, usage: Usage, level: int, rate: Amount, directions: tuple[str, ...]) -> Array:
        total = np.zeros(len(self.batch.like))
        for (place, index), found in usage.items():
            if place == level:
                width = float(self._words(level, index) if rate.in_words else self.access(index).bits)
                for name in directions:
                    total = total + (getattr(found, name) * width).astype(float, copy=False)
        return total

    def _words(self, level: int, index: int) -> Fraction:
        """Accesses of one element: bits / word, a rational."""
        word = self.memory(level).word_bits
        return Fraction(1) if word is None else self.access(index).bits / word

    @cached_property
    def terms(self) -> Mapping[str, Array]:
        """Cycles by name; their sum is :attr:`cycles`."""
        compute = self.compute_cycles.astype(float)
        busiest = self._busiest
        law = self._law
        return {
            "compute": compute,
            "stall": busiest - compute,
            **{name: term.astype(float) for name, term in law.items()},
        }

    @cached_property
    def _law(self) -> Mapping[str, Array]:
        """What the timing law adds, checked: a term below 0 would hide cycles and void the proof of the mapper.

        Raises:
            PluginError: A term is not at least 0, has the shape of something else, or a name of the model's own.
        """
        who = f"{type(self.architecture.timing).__name__} of {self.architecture.origin}"
        with code_of(who):
            found = self.architecture.timing.terms(CountedActivity(self.batch))
            law = {name: np.asarray(term) for name, term in found.items()}
        law = {name: np.full(self.batch.like.shape, term) if term.ndim == 0 else term for name, term in law.items()}
        for name, term in law.items():
            wrong = (
                "is a name of the model's own" if name in ("compute", "stall")
                else f"has the shape {term.shape}, not {self.batch.like.shape}" if term.shape != self.batch.like.shape
                else "" if np.all(term >= 0) else "is not at least 0"
            )  # fmt: skip
            if wrong:
                raise PluginError(f"{who}: the term '{name}' {wrong}", "report this to the author of the template")
        return law

    @cached_property
    def cycles(self) -> Array:
        added = (term for name, term in self.terms.items() if name not in ("compute", "stall"))
        return sum(added, start=self._busiest)

    @cached_property
    def _busiest(self) -> Array:
        """Cycles of the busiest resource."""
        busiest: Array = self.compute_cycles.astype(float)
        for cycles in self.port_cycles.values():
            busiest = np.maximum(busiest, cycles)
        return busiest

    @cached_property
    def latency_s(self) -> Array:
        return self.cycles / self.architecture.clock_hz

    # -- energy ---------------------------------------------------------------------------------------------------

    @cached_property
    def memory_energy_pj(self) -> Mapping[int, Array]:
        energy: dict[int, Array] = {}
        for (level, index), found in self.usage.items():
            memory, words = self.memory(level), float(self._words(level, index))
            part = memory.access_energy_pj(found.reads * words, found.writes * words, found.drains * words)
            energy[level] = energy[level] + part if level in energy else part
        return {level: energy[level].astype(float, copy=False) for level in self.memories}

    @cached_property
    def compute_energy_pj(self) -> float:
        """Operations x energy: the same for every mapping."""
        compute = self.batch.structure.compute
        total = 0.0
        for operator, number in self.batch.structure.einsum.operations().items():
            energy = compute.operator_energy_pj(operator)
            if energy is None:
                raise MappingError(Problem(f"{compute.name} cannot cost '{operator}'", "give its energy"))
            total += number * energy
        return total

    @cached_property
    def link_energy_pj(self) -> Array:
        """Words and hops x energy: each child that a word reaches is one hop, returning partial sums included."""
        total = np.zeros(len(self.batch.like))
        structure = self.batch.structure
        if not any(isinstance(level, Fanout) and level.link_energy_pj for level in structure.path):
            return total
        for link in structure.links:
            for place, inward, outward in counts.hops(self.batch, link):
                fanout = structure.path[place]
                assert isinstance(fanout, Fanout)
                total = total + (inward + outward).astype(float) * fanout.link_energy_pj
        return total

    @cached_property
    def leakage_pj(self) -> Array:
        """Static power of the whole architecture over the time of this Einsum."""
        return self.architecture.leakage_w() * self.latency_s * 1e12

    @cached_property
    def energy_pj(self) -> Array:
        dynamic = sum(self.memory_energy_pj.values(), start=self.link_energy_pj + self.compute_energy_pj)
        return dynamic + self.leakage_pj


def bit_parts(einsum: SizedEinsum) -> int:
    """Parts of a bit in which the width of every element is whole, so that a sum of tiles is exact: 5 for 1.6 bits."""
    return math.lcm(*(access.bits.denominator for access in einsum.accesses))


def stored(structure: Structure, memory: Memory, index: int, elements: Array) -> Array:
    """What tiles of ``elements`` take in ``memory``: `bit_parts` of bits, or of words for a capacity in words."""
    access = structure.einsum.accesses[index]
    width = 1 if memory.capacity.in_words else access.bits
    copies = 2 if applies(memory.double_buffered, structure.einsum, access.tensor) else 1
    return elements.astype(float) * float(width * bit_parts(structure.einsum) * copies)
