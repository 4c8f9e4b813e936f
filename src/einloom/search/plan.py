"""A search file as a value: everything that a study needs to know, and nothing that it has to look up.

``einloom.spec.search`` writes plans from YAML; a plan goes to JSON and back without loss, so that a stored
study can be read without the file that began it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from einloom.search.objectives import Aggregate, Constraint, Objective, expand, parse_constraint, parse_name
from einloom.search.space import Dimension, Finite, Real, Space

SAMPLERS = ("grid", "random", "qmc", "tpe", "nsga2", "nsga3", "gp")


@dataclass(frozen=True, slots=True)
class SamplerChoice:
    """How points are chosen.

    Attributes:
        name: One of `SAMPLERS`.
        seed: Of every random number.
        population: Designs in a generation of nsga2 and nsga3.
    """

    name: str = "nsga2"
    seed: int = 0
    population: int = 50


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A resolved search.

    Attributes:
        name: Of the study, and of its folder.
        design: What stays fixed, as the file has it: a path, or the design itself.
        space: What varies.
        objectives: As written; ``targets`` has one per network where they are per network.
        constraints: All must hold.
        sampler: How points are chosen.
        trials: Budget; None for a whole grid.
        workloads: As the file has them: paths, or workloads; empty to take the one of the design.
        networks: A distinct name for each of ``workloads``; the prefix of its metrics if there are several.
        aggregate: One objective over all networks, by this; None for one objective per network.
        files: Name and sha256 of the files that the results depend on, the search file first.
    """

    name: str
    design: str | Mapping[str, Any]
    space: Space
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    sampler: SamplerChoice = SamplerChoice()
    trials: int | None = None
    workloads: tuple[str | Mapping[str, Any], ...] = ()
    networks: tuple[str, ...] = ()
    aggregate: Aggregate | None = None
    files: tuple[tuple[str, str], ...] = ()

    @property
    def targets(self) -> tuple[Objective, ...]:
        """The objectives, one per network where they are per network."""
        return expand(self.objectives, self.networks, self.aggregate)

    @property
    def total(self) -> int:
        """Trials to finish: the budget, but never more than a grid has points."""
        size = self.space.size
        if self.sampler.name == "grid" and size is not None:
            return size if self.trials is None else min(self.trials, size)
        return self.trials or 0

    @property
    def digest(self) -> str:
        """sha256 over the contents of all files that the results depend on, wherever they stand.

        Of the plan itself if it came from no file.
        """
        content = sorted(digest for _, digest in self.files) or self.to_dict()
        return sha256(json.dumps(content, sort_keys=True))

    def with_files(self, files: Mapping[str, str]) -> Plan:
        """The plan of results that depend on further files too (name to text): changing one is noticed."""
        return replace(self, files=(*self.files, *((name, sha256(text)) for name, text in files.items())))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "name": self.name,
            "design": self.design,
            "space": {dimension.path: _dimension_to_dict(dimension) for dimension in self.space.dimensions},
            "objectives": {objective.name: objective.direction for objective in self.objectives},
            "constraints": [constraint.text for constraint in self.constraints],
            "sampler": asdict(self.sampler),
            "trials": self.trials,
            "workloads": list(self.workloads),
            "networks": list(self.networks),
            "aggregate": self.aggregate,
            "files": [list(entry) for entry in self.files],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """The plan that ``to_dict`` wrote."""
        networks = tuple(data["networks"])
        return cls(
            name=data["name"],
            design=data["design"],
            space=Space(tuple(_dimension_from_dict(path, value) for path, value in data["space"].items())),
            objectives=tuple(
                Objective(found, direction, network)
                for name, direction in data["objectives"].items()
                for network, found in [parse_name(name, networks)]
            ),
            constraints=tuple(parse_constraint(text, networks) for text in data["constraints"]),
            sampler=SamplerChoice(**data["sampler"]),
            trials=data["trials"],
            workloads=tuple(data["workloads"]),
            networks=networks,
            aggregate=data["aggregate"],
            files=tuple((name, digest) for name, digest in data["files"]),
        )


def sha256(text: str) -> str:
    """Hexadecimal sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def _dimension_to_dict(dimension: Dimension) -> dict[str, Any]:
    when = {"when": {path: list(values) for path, values in dimension.when}} if dimension.when else {}
    if isinstance(dimension, Real):
        return {"float": [dimension.low, dimension.high], "log": dimension.log, "unit": dimension.unit, **when}
    rest = {"kind": dimension.kind, "unit": dimension.unit, "source": dimension.source, **when}
    if isinstance(dimension.values, range):
        values = dimension.values
        return {"range": [values.start, values.stop, values.step], **rest}
    return {"values": [list(v) if isinstance(v, tuple) else v for v in dimension.values], **rest}


def _dimension_from_dict(path: str, data: Mapping[str, Any]) -> Dimension:
    when = tuple((other, tuple(values)) for other, values in data.get("when", {}).items())
    if "float" in data:
        low, high = data["float"]
        return Real(path, low, high, data["log"], data["unit"], when)
    values = (
        range(*data["range"])
        if "range" in data
        else tuple(tuple(v) if isinstance(v, list) else v for v in data["values"])
    )
    return Finite(path, values, data["kind"], data["unit"], data["source"], when)
