"""One fused tree walked from beginning to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from einloom.arch.tree import Architecture
from einloom.errors import MappingError, Problem
from einloom.mappings.nodes import Nodes
from einloom.model.reference.fused.holding import Alternative, alternatives
from einloom.model.reference.fused.occupancy import Occupancy, tiles_of
from einloom.model.reference.fused.schedule import Cycles, Schedule, SlotGroup, port_cycles
from einloom.model.reference.fused.slots import total_steps
from einloom.model.reference.fused.tree import Position, Tree, tree_of
from einloom.model.reference.fused.values import Run
from einloom.model.reference.fused.words import Flow, flows
from einloom.model.reference.values import Array
from einloom.workloads.cascade import Cascade

MAX_POINTS = 100_000
"""Points of all Einsums that are walked in a minute or so."""


@dataclass(frozen=True, slots=True)
class TreeCounts:
    """Elements of one tensor at one memory, over all instances and the whole run; parts of a tensor weighted.

    Attributes:
        fills: Written into it from the next holder further out.
        updates: Results and drained tiles written into it from inside.
        drains: Read from it because they leave for the next holder further out.
        reads: All that leaves it: drains, deliveries inward, partial sums that come back.
        writes: All that enters it: fills + updates.
        occupancy: Largest tile of a hold node, one instance and one copy.
    """

    fills: Fraction
    updates: Fraction
    drains: Fraction
    reads: Fraction
    writes: Fraction
    occupancy: Fraction


@dataclass(frozen=True, slots=True)
class LeafCounts:
    """One Einsum.

    Attributes:
        steps: Steps in which at least one instance of the compute had work.
        busy: Cycles that its operators take on the compute.
        useful: Operations x cycles of each.
        compute: Where it runs.
    """

    steps: int
    busy: int
    useful: int
    compute: str


@dataclass(frozen=True, slots=True)
class TreeExecution:
    """What happened while a tree ran.

    Attributes:
        counts: By (memory, tensor), where a hold node of the tensor takes part.
        tiles: Elements of one instance and one copy, by (position of the hold node, tensor).
        copies: Live copies of each of those.
        occupancy_bits: By memory, one instance.
        einsums: By name.
        compute_cycles: Length of the schedule with the computes alone.
        cycles: The same with memory ports.
        list_cycles: L of each list, by its position (the root is ``()``).
        groups: Lags, slots and ramp of each slot group, by the position of its list.
        flows: Every kind of word, by instance and owner.
        outputs: Every computed tensor; None without inputs.
    """

    counts: Mapping[tuple[str, str], TreeCounts]
    tiles: Mapping[tuple[Position, str], Fraction]
    copies: Mapping[tuple[Position, str], int]
    occupancy_bits: Mapping[str, Fraction]
    einsums: Mapping[str, LeafCounts]
    compute_cycles: int
    cycles: Cycles
    list_cycles: Mapping[Position, Cycles]
    groups: Mapping[Position, SlotGroup]
    flows: tuple[Flow, ...]
    outputs: Mapping[str, Array] | None

    @property
    def lags(self) -> dict[str, int]:
        """Slots that each Einsum below a slot group stays behind."""
        return {name: lag for group in self.groups.values() for name, lag in group.lags.items()}

    @property
    def ramp(self) -> int:
        """Cycles until the last Einsum has begun, slot groups side by side."""
        return max((group.ramp for group in self.groups.values()), default=0)


def execute_tree(
    cascade: Cascade, architecture: Architecture, tree: Nodes, inputs: Mapping[str, Array] | None = None
) -> TreeExecution:
    """Walk a fused tree step by step.

    Args:
        cascade: With all sizes given.
        tree: Nodes with integer bounds and shares as fractions, outermost first.
        inputs: An array of shape ``cascade.shape(name)`` for each input. Without them nothing is computed, and the
            order of the schedule goes unchecked.

    Raises:
        MappingError: More than `MAX_POINTS` points; a tree that is not legal: an Einsum, a home or a lag is missing,
            or an operand is read before it is finished or after it has left its tile.
    """
    points = sum(einsum.points for einsum in cascade.sized())
    if points > MAX_POINTS:
        problem = f"{cascade.name} has {points} points, too many to walk one by one"
        raise MappingError(Problem(problem, f"the reference executor takes at most {MAX_POINTS} points"))
    read = tree_of(cascade, architecture, tree)
    parts = {tensor: alternatives(read, tensor) for tensor in cascade.tensors if _used(read, tensor)}
    every = [part for tensor in parts.values() for part in tensor]
    schedule = Schedule(read)
    outputs = None if inputs is None else Run(read, parts, schedule.lag, inputs).outputs()
    words = [flow for part in every for flow in flows(read, part)]
    tiles = tiles_of(read, every)
    forwarded = {part.tensor: frozenset(part.forwarded) for part in every}
    occupancy = Occupancy(read, tiles, _homes(every), schedule.lag, frozenset(schedule.groups), forwarded)
    ports = port_cycles(read, words)
    compute_cycles = schedule.cycles(read.root, {})
    assert isinstance(compute_cycles, int)
    return TreeExecution(
        counts=_counts(read, words, tiles),
        tiles=tiles,
        copies={key: occupancy.copies(*key) for key in tiles},
        occupancy_bits={memory.name: occupancy.bits(memory) for memory in architecture.memories()},
        einsums={name: _leaf(read, schedule, name) for name in read.leaves},
        compute_cycles=compute_cycles,
        cycles=schedule.cycles(read.root, ports),
        list_cycles=schedule.by_list(ports),
        groups=schedule.groups,
        flows=tuple(words),
        outputs=outputs,
    )


def _used(tree: Tree, tensor: str) -> bool:
    return any(tensor in (leaf.line.output.tensor, *leaf.line.tensors) for leaf in tree.leaves.values())


def _homes(parts: list[Alternative]) -> dict[str, frozenset[Position]]:
    found: dict[str, frozenset[Position]] = {}
    for part in parts:
        if part.home is not None:
            found[part.tensor] = found.get(part.tensor, frozenset()) | {part.home}
    return found


def _leaf(tree: Tree, schedule: Schedule, name: str) -> LeafCounts:
    leaf = tree.leaves[name]
    operations = leaf.einsum.operations()
    return LeafCounts(
        steps=total_steps(tree, leaf),
        busy=schedule.load(leaf, {}),
        useful=sum(count * leaf.compute.operator_cycles(operator) for operator, count in operations.items()),
        compute=leaf.compute.name,
    )


def _counts(
    tree: Tree, words: list[Flow], tiles: Mapping[tuple[Position, str], Fraction]
) -> dict[tuple[str, str], TreeCounts]:
    """writes = fills + updates; reads = deliveries + drains + partial sums that come back."""
    nodes = {at: node for leaf in tree.leaves.values() for at, node in leaf.path}
    largest: dict[tuple[str, str], Fraction] = {}
    for (at, tensor), elements in tiles.items():
        key = getattr(nodes[at], "memory", ""), tensor
        largest[key] = max(largest.get(key, Fraction(0)), elements)
    total: dict[tuple[str, str, str], Fraction] = {}
    for flow in words:
        kind = flow.memory, flow.tensor, flow.kind
        total[kind] = total.get(kind, Fraction(0)) + sum(flow.words.values()) * flow.weight

    def elements_of(memory: str, tensor: str, *kinds: str) -> Fraction:
        return sum((total.get((memory, tensor, kind), Fraction(0)) for kind in kinds), Fraction(0))

    return {
        key: TreeCounts(
            fills=elements_of(*key, "fills"),
            updates=elements_of(*key, "updates"),
            drains=elements_of(*key, "drains"),
            reads=elements_of(*key, "drains", "deliveries", "returns"),
            writes=elements_of(*key, "fills", "updates"),
            occupancy=occupancy,
        )
        for key, occupancy in largest.items()
    }
