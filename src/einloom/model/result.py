"""Results as frozen values: one Einsum on one mapping, and a whole design. ``to_dict`` is the JSON of ``--json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Number = int | float


@dataclass(frozen=True, slots=True)
class TensorCounts:
    """Elements of one tensor in and out of one memory, over all instances; occupancy of one instance.

    Whole numbers, but for tensors of which a fractional hold keeps a part.
    """

    reads: Number
    writes: Number
    fills: Number
    updates: Number
    drains: Number
    occupancy_words: Number


@dataclass(frozen=True, slots=True)
class MemoryResult:
    """One memory: cycles that its busiest port is occupied, energy, counts by tensor.

    Attributes:
        occupancy: What one instance holds at a time, in
        occupancy_unit: ``bits``; or ``words`` where the capacity is in words of no fixed width.
    """

    busy_cycles: Number
    energy_pj: float
    tensors: Mapping[str, TensorCounts]
    occupancy: Number = 0
    occupancy_unit: str = "bits"


@dataclass(frozen=True, slots=True)
class ComputeResult:
    """One compute: operations, busy cycles, energy, instances there are and that ever have work."""

    operations: int
    busy_cycles: Number
    energy_pj: float
    instances: int
    instances_used: int


@dataclass(frozen=True, slots=True)
class Limit:
    """A resource that the best mapping uses up: what keeps it from being better.

    Attributes:
        what: ``compute`` or ``bandwidth`` (the busiest resource), ``capacity`` (some tile that is not its whole tensor
            cannot be doubled, or no element of a tensor that is not held fits), ``fanout`` (all instances are used).
        where: Name of the level.
        used, limit: In ``unit``.
    """

    what: str
    where: str
    used: Number
    limit: Number
    unit: str


@dataclass(frozen=True, slots=True)
class Searched:
    """What the mapper knows of one Einsum beside its mapping.

    Attributes:
        candidates: Mappings in the space, as its search counts them.
        costed: Candidates that the bounds did not exclude.
        least_energy_pj, least_cycles: Compulsory: what no mapping at all can avoid.
        distance: Objective of the mapping / that of the compulsory bound - 1; None where the bound is 0.
        binds: What the mapping uses up.
    """

    candidates: int
    costed: int
    least_energy_pj: float
    least_cycles: Number
    distance: float | None
    binds: tuple[Limit, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the value of ``search`` in the JSON of an Einsum."""
        return {
            "candidates": self.candidates,
            "costed": self.costed,
            "compulsory": {"energy_pj": self.least_energy_pj, "cycles": self.least_cycles},
            "distance": self.distance,
            "binds": [asdict(limit) for limit in self.binds],
        }


@dataclass(frozen=True, slots=True)
class EinsumResult:
    """One Einsum on one mapping.

    Attributes:
        cycles: Sum of ``terms_cycles``.
        energy_pj: Dynamic energy and leakage over this Einsum's time.
        binding: The compute.
        mapping: The nest, one line a node; with ``flatten`` the text that reproduces it.
        bound_by: The busiest resource.
        repeat: Equal copies in the design; every number here is for one.
        useful_cycles: Instance-cycles of the compute that did work.
        proof, gap: What the mapper proved; None when the mapping was given.
        space: The map space within which it proved that, in words.
        search: What else the mapper knows; None when the mapping was given.
        notes: What counting has to say (dense guards, flattened windows, padding).
        events: What a machine with laws of its own counted (commands, table builds, packets), by name.
        events_pj: Energy of what is neither a memory nor the compute that it is bound to, by name: events of the
            machine, and other computes that take part.
        resources: What the step takes of a device (``dsp``, ``lut``), by name.
    """

    name: str
    cycles: Number
    energy_pj: float
    binding: str
    mapping: tuple[str, ...]
    memories: Mapping[str, MemoryResult]
    computes: Mapping[str, ComputeResult]
    links_energy_pj: float
    leakage_pj: float
    terms_cycles: Mapping[str, Number]
    bound_by: str
    useful_cycles: int
    flatten: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    repeat: int = 1
    proof: str | None = None
    gap: float = 0.0
    space: str | None = None
    search: Searched | None = None
    notes: tuple[str, ...] = ()
    events: Mapping[str, Number] = field(default_factory=dict)
    events_pj: Mapping[str, float] = field(default_factory=dict)
    resources: Mapping[str, Number] = field(default_factory=dict)

    @property
    def utilization(self) -> float:
        """Useful instance-cycles / (instances x cycles) of the compute, over this Einsum's time."""
        instances = self.computes[self.binding].instances
        return self.useful_cycles / (instances * self.cycles) if self.cycles else 0.0

    @property
    def reuse(self) -> Mapping[str, Mapping[str, float]]:
        """Operations per element that a memory exchanges with what is below it, by memory and tensor.

        reuse = operations / (reads - drains + updates): at DRAM for each element that comes on chip or leaves it, at
        a buffer above an array for each element at the array's edge, at a register for each operand.
        """
        operations = self.computes[self.binding].operations
        exchanged = {
            memory: {name: c.reads - c.drains + c.updates for name, c in held.tensors.items()}
            for memory, held in self.memories.items()
        }
        return {
            memory: {name: operations / elements for name, elements in tensors.items() if elements}
            for memory, tensors in exchanged.items()
        }

    def occupancy(self, memory: str) -> float:
        """What one instance of a memory holds at a time."""
        return float(self.memories[memory].occupancy) if memory in self.memories else 0.0

    @property
    def nest_data(self) -> Any:
        """What stands under this Einsum's name in a mapping file."""
        lines = list(self.mapping)
        return {"flatten": {k: list(v) for k, v in self.flatten.items()}, "nodes": lines} if self.flatten else lines

    def to_dict(self) -> dict[str, Any]:
        """Plain data; the keys of DESIGN section 10 and more."""
        return {
            "cycles": self.cycles,
            "energy_pj": self.energy_pj,
            "binding": self.binding,
            "mapping": list(self.mapping),
            "flatten": {k: list(v) for k, v in self.flatten.items()},
            "memories": {
                name: {"busy_cycles": m.busy_cycles, "energy_pj": m.energy_pj,
                       "occupancy": m.occupancy, "occupancy_unit": m.occupancy_unit,
                       "tensors": {tensor: asdict(c) for tensor, c in m.tensors.items()}}
                for name, m in self.memories.items()
            },
            "computes": {name: asdict(c) for name, c in self.computes.items()},
            "links_energy_pj": self.links_energy_pj,
            "leakage_pj": self.leakage_pj,
            "terms_cycles": dict(self.terms_cycles),
            "bound_by": self.bound_by,
            "utilization": self.utilization,
            "reuse": {memory: dict(tensors) for memory, tensors in self.reuse.items()},
            "repeat": self.repeat,
            "proof": self.proof,
            "gap": self.gap,
            "space": self.space,
            "search": None if self.search is None else self.search.to_dict(),
            "notes": list(self.notes),
            "events": dict(self.events),
            "events_pj": dict(self.events_pj),
            "resources": dict(self.resources),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """What one instance of a memory holds at a time.

    Attributes:
        used: In ``unit``: ``bits``, or ``words`` where the capacity is in words of no fixed width.
        tensors: Elements of the tile of each tensor; those of different lifetimes are not there together.
    """

    used: Number
    unit: str
    tensors: Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Streamed:
    """How a cascade runs on a fused tree.

    Attributes:
        mapping: The tree as a mapping file holds it, under ``nodes``.
        cycles: Of the whole tree, for one copy: the sum of ``terms_cycles``.
        repeat: Equal copies in the design.
        leakage_pj: Static energy over that time.
        bound_by: The resource with most busy cycles.
        terms_cycles: ``compute`` (with free transfers), ``drain`` (waits for results to leave an array), ``stall``
            (what transfers add), ``ramp`` (filling and emptying the overlap).
        depth: Largest lag, in slots.
        lags: By Einsum: on which slot it works behind the first.
        copies: Tiles of an intermediate that are alive at a time, where more than one.
        in_place: Tensors that are written over another one, with it.
        occupancy: By memory.
    """

    mapping: Any
    cycles: Number
    repeat: int
    leakage_pj: float
    bound_by: str
    terms_cycles: Mapping[str, Number]
    depth: int
    lags: Mapping[str, int]
    copies: Mapping[str, int]
    in_place: Mapping[str, str]
    occupancy: Mapping[str, Held]

    def to_dict(self) -> dict[str, Any]:
        """Plain data: an entry of ``streamed`` in the JSON of a design."""
        return {
            "cycles": self.cycles, "repeat": self.repeat, "leakage_pj": self.leakage_pj, "bound_by": self.bound_by,
            "terms_cycles": dict(self.terms_cycles), "depth": self.depth, "lags": dict(self.lags),
            "copies": dict(self.copies), "in_place": dict(self.in_place),
            "occupancy": {name: asdict(held) for name, held in self.occupancy.items()},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A design with its mapping: totals over all Einsums and copies.

    Attributes:
        cycles: Einsums run in sequence, those of a fused tree as its schedules say; copies multiply.
        area_um2: None while the area of a level is unknown.
        utilization: Useful instance-cycles / (instances x cycles), by compute.
        bound_by: The resource that bounds most of the cycles.
        proof: ``"optimal"`` or ``"gap"`` when mapped, None when the mapping was given.
        gap: How far, at most, the objective is above that of the best mapping: 1 - bound / value.
        space: The map spaces to which the proof refers, in words.
        einsums: By name, for one copy each.
        energy_pj_by: Total energy by memory, compute, ``links`` and ``leakage``.
        streamed: Cascades that are mapped by a fused tree, by name.
        resources: What the design takes of its device (``dsp``, ``lut``), by name: what runs in turn shares it.
    """

    design: str
    cycles: Number
    latency_s: float
    energy_pj: float
    area_um2: float | None
    operations: int
    utilization: Mapping[str, float]
    bound_by: str
    proof: str | None
    gap: float
    repeat: int
    einsums: Mapping[str, EinsumResult]
    energy_pj_by: Mapping[str, float]
    space: str | None = None
    streamed: Mapping[str, Streamed] = field(default_factory=dict)
    resources: Mapping[str, Number] = field(default_factory=dict)

    def occupancy(self, memory: str) -> Number:
        """The most that one instance of a memory holds at a time."""
        alone = (e.memories[memory].occupancy for e in self.einsums.values() if memory in e.memories)
        together = (tree.occupancy[memory].used for tree in self.streamed.values() if memory in tree.occupancy)
        return max((*alone, *together), default=0)

    @property
    def power_w(self) -> float:
        """Average power."""
        return self.energy_pj * 1e-12 / self.latency_s if self.latency_s else 0.0

    def metrics(self) -> dict[str, float]:
        """The quantities that objectives and constraints name, in base units; an unknown area is left out."""
        found = {
            "latency_s": self.latency_s,
            "energy_pj": self.energy_pj,
            "power_w": self.power_w,
            "cycles": float(self.cycles),
            "utilization": max(self.utilization.values(), default=0.0),
        }
        found |= {name: float(number) for name, number in self.resources.items()}
        return found if self.area_um2 is None else {**found, "area_um2": self.area_um2}

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the JSON object of ``einloom evaluate --json`` and ``einloom map --json``."""
        return {
            "version": 1,
            "design": self.design,
            "cycles": self.cycles,
            "latency_s": self.latency_s,
            "energy_pj": self.energy_pj,
            "area_um2": self.area_um2,
            "power_w": self.power_w,
            "operations": self.operations,
            "utilization": dict(self.utilization),
            "bound_by": self.bound_by,
            "proof": self.proof,
            "gap": self.gap,
            "space": self.space,
            "repeat": self.repeat,
            "mapping": self.mapping,
            "einsums": {name: einsum.to_dict() for name, einsum in self.einsums.items()},
            "energy_pj_by": dict(self.energy_pj_by),
            "streamed": {name: streamed.to_dict() for name, streamed in self.streamed.items()},
            "resources": dict(self.resources),
        }

    @property
    def mapping(self) -> Any:
        """What a mapping file holds: a nest for each Einsum, a fused tree, or one for each part of a network."""
        if len(self.streamed) == 1 and "" in self.streamed:
            return self.streamed[""].mapping
        trees = {name: {"nodes": streamed.mapping["nodes"]} for name, streamed in self.streamed.items()}
        nests = {name: e.nest_data for name, e in self.einsums.items() if name.partition(".")[0] not in trees}
        steady = {"ramp": "steady_state"} if any("ramp" in tree.mapping for tree in self.streamed.values()) else {}
        return {**steady, **trees, **nests}

    def to_frame(self) -> Any:
        """One row per Einsum and memory (needs pandas)."""
        import pandas as pd  # noqa: PLC0415

        rows = [
            {"einsum": name, "memory": memory, "tensor": tensor, "repeat": einsum.repeat, **asdict(counts)}
            for name, einsum in self.einsums.items()
            for memory, found in einsum.memories.items()
            for tensor, counts in found.tensors.items()
        ]
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td><td>{e.repeat}</td><td>{e.cycles:,}</td><td>{e.energy_pj:.6g}</td>"
            f"<td>{e.bound_by}</td></tr>"
            for name, e in self.einsums.items()
        )
        head = "<tr><th>Einsum</th><th>copies</th><th>cycles</th><th>energy [pJ]</th><th>bound by</th></tr>"
        return f"<p>{self.design}: {self.cycles:,} cycles, {self.energy_pj:.6g} pJ</p><table>{head}{rows}</table>"


@dataclass(frozen=True, slots=True)
class Front:
    """The latency-energy front of a design, sorted by cycles.

    Attributes:
        points: Each with its mappings.
        memory: The memory whose occupancy is the third objective; None: there are two.
    """

    points: tuple[Evaluation, ...]
    memory: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the JSON object of ``einloom map --objective pareto --json``."""
        return {"version": 1, "front": [{**point.to_dict(), **self._occupancy(point)} for point in self.points]}

    def _occupancy(self, point: Evaluation) -> dict[str, Any]:
        if self.memory is None:
            return {}
        units = {e.memories[self.memory].occupancy_unit for e in point.einsums.values() if self.memory in e.memories}
        unit = units.pop() if units else "bits"
        return {"occupancy": {"memory": self.memory, "used": point.occupancy(self.memory), "unit": unit}}
