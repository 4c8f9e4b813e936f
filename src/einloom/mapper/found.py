"""What a search of one Einsum is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from einloom.arch.tree import Architecture
from einloom.errors import MappingError
from einloom.mappings import Nodes

Objective = Literal["energy", "latency", "edp", "pareto"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)

OCCUPANCY = "pareto:"
"""With the name of a memory: the front over latency, energy and the occupancy of that memory."""


def split_objective(objective: str) -> tuple[Objective, str | None]:
    """What the searches minimize, and the memory whose occupancy is a third objective.

    Raises:
        MappingError: There is no such objective.
    """
    if objective.startswith(OCCUPANCY) and objective != OCCUPANCY:
        return "pareto", objective[len(OCCUPANCY) :]
    for known in get_args(Objective):
        if objective == known:
            return known, None
    raise MappingError(f"'{objective}' is no objective", f"one of: {', '.join(OBJECTIVES)}, {OCCUPANCY}MEMORY")


def checked_objective(objective: str, architecture: Architecture) -> tuple[Objective, str | None]:
    """`split_objective`, of a memory that ``architecture`` has.

    Raises:
        MappingError: No such objective, or no memory of that name.
    """
    base, memory = split_objective(objective)
    memories = [known.name for known in architecture.memories()]
    if memory is not None and memory not in memories:
        raise MappingError(f"objective {objective}: no memory of {architecture.name} is named '{memory}'",
                           f"memories: {', '.join(memories)}")  # fmt: skip
    return base, memory


def key_of(objective: Objective, energy_pj: float, cycles: float) -> tuple[float, float]:
    """What is minimized, and what breaks ties."""
    return {
        "energy": (energy_pj, cycles),
        "latency": (cycles, energy_pj),
        "edp": (energy_pj * cycles, energy_pj),
        "pareto": (cycles, energy_pj),
    }[objective]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One costed nest; ``key`` orders candidates by the objective and its tie-breaks."""

    key: tuple[float, ...]
    cycles: float
    energy_pj: float
    nodes: Nodes


@dataclass
class Found:
    """What a search returns.

    Attributes:
        front: The best candidate, or the latency-energy front sorted by cycles; empty when nothing fits.
        candidates: Size of the space.
        costed: Candidates that the bounds did not exclude.
        complete: Whether every candidate was costed or excluded.
        bound: What nothing that was left out can beat, in the objective; 0 when complete.
        smallest: For each memory that excluded a whole choice of holders: (least bits or words needed, capacity).
    """

    front: tuple[Candidate, ...] = ()
    candidates: int = 0
    costed: int = 0
    complete: bool = True
    bound: float = 0.0
    smallest: dict[str, tuple[float, float]] = field(default_factory=dict)
