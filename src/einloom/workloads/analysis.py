"""A cascade analysed: passes and live footprint of each rank, recurrences, compulsory traffic, intensity.

Everything here is of the cascade alone: no machine and no mapping. ``Analysis.to_dict`` is plain data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from einloom.workloads.cascade import Cascade
from einloom.workloads.footprint import Footprint, Recurrence, footprint, recurrences
from einloom.workloads.passes import Passes, families, passes


@dataclass(frozen=True)
class Analysis:
    """What can be said of a cascade before there is a machine; one copy of it.

    Attributes:
        cascade: What was analysed.
        passes: Over each family of ranks, in the order of the ranks; a split rank has one for each suffix.
        footprints: Of the same families; None where no order streams the fiber.
        recurrences: Einsums that iterate together.
    """

    cascade: Cascade
    passes: tuple[Passes, ...]
    footprints: tuple[Footprint | None, ...]
    recurrences: tuple[Recurrence, ...]

    @cached_property
    def compulsory_elements(self) -> Mapping[str, int]:
        """Elements that must cross the outermost memory, by workload input and output."""
        return self.cascade.compulsory_traffic().elements

    def over(self, rank: str) -> Passes:
        """The passes of the family with that name: a rank, or the outermost sub-rank of a suffix.

        Raises:
            KeyError: No Einsum iterates it.
        """
        for found in self.passes:
            if found.family.name == rank:
                return found
        raise KeyError(f"no family '{rank}'; families: {', '.join(p.family.name for p in self.passes)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, JSON-ready."""
        traffic = self.cascade.compulsory_traffic()
        return {
            "cascade": self.cascade.name,
            "repeat": self.cascade.repeat,
            "ranks": [
                _family(self.cascade, count, live) for count, live in zip(self.passes, self.footprints, strict=True)
            ],
            "recurrences": [{**asdict(found), "einsums": list(found.einsums)} for found in self.recurrences],
            "operations": self.cascade.operations(),
            "compulsory": {"elements": dict(traffic.elements), "bits": float(traffic.bits)},
            "operational_intensity": self.cascade.operational_intensity(),
        }


def analyze_cascade(cascade: Cascade) -> Analysis:
    """Analyse a cascade.

    Raises:
        SpecError: The size of a sub-rank is left to the mapper.
    """
    extents = cascade.extents
    found = families(cascade.einsums, tuple(cascade.ranks), cascade.split)
    return Analysis(
        cascade,
        tuple(passes(cascade.einsums, family.variables, extents, family.name) for family in found),
        tuple(footprint(cascade.einsums, family, extents) for family in found),
        recurrences(cascade.einsums, cascade.facts.order),
    )


def _family(cascade: Cascade, count: Passes, live: Footprint | None) -> dict[str, Any]:
    reads = {name: list(over) for name in cascade.inputs if (over := count.over(name, cascade.einsums))}
    return {
        "rank": count.family.name,
        "variables": list(count.family.variables),
        "passes": count.count,
        "obstacle": count.obstacle or None,
        "starts": {str(number): list(names) for number, names in count.starts.items()},
        "sweeps": {str(number): list(names) for number, names in count.sweeps.items()},
        "aliases": [list(alias) for alias in count.aliases],
        "lags": {name: lag for name, lag in count.lags.items() if lag},
        "inputs_read_in": reads,
        "footprint": None if live is None else _footprint(live),
    }


def _footprint(live: Footprint) -> dict[str, Any]:
    return {
        "for_one_of": list(live.shared),
        "traversals": live.traversals,
        "fiber_elements": live.fiber,
        "state_elements": live.state,
        "between_elements": [live.between(number) for number in range(1, live.traversals)],
        "live": [asdict(entry) for entry in live.live],
    }
