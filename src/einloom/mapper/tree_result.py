"""A cascade on a fused tree as the mapper answers it; like the result of one Einsum, it adds up in a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from einloom.mappings import Nodes
from einloom.model.fused import Fused
from einloom.model.result import Held, Number, Searched


@dataclass(frozen=True)
class TreeResult:
    """One fused tree and what is proven of it.

    Attributes:
        nodes: The tree with integer bounds.
        fused: What it costs.
        proof, gap, space, search: As of `model.result.EinsumResult`.
    """

    nodes: Nodes
    fused: Fused
    proof: str | None = None
    gap: float = 0.0
    space: str | None = None
    search: Searched | None = None

    @property
    def cycles(self) -> Number:
        return self.fused.streamed.cycles

    @property
    def energy_pj(self) -> float:
        return sum(e.energy_pj for e in self.fused.einsums.values()) + self.fused.streamed.leakage_pj

    @property
    def repeat(self) -> int:
        return self.fused.streamed.repeat

    def occupancy(self, memory: str) -> float:
        """What one instance of a memory holds at a time."""
        held: Mapping[str, Held] = self.fused.streamed.occupancy
        return float(held[memory].used) if memory in held else 0.0
