"""The ``auto`` bounds of a fused tree that is given otherwise: every way to divide the ranks, evaluated exactly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from einloom.arch.tree import Architecture
from einloom.errors import MappingError, Path, Problem
from einloom.mapper.found import Objective, key_of
from einloom.mapper.fronts import nondominated
from einloom.mapper.space import divisors
from einloom.mappings import AUTO, Group, Loop, Node, Nodes, Spatial
from einloom.mappings.tree import Placed, grow, placed_on, ways
from einloom.model.fused import Fused, evaluate_tree
from einloom.workloads.cascade import Cascade

MAX_FILLINGS = 20_000


@dataclass(frozen=True)
class Filled:
    """One way to fill in a tree.

    Attributes:
        nodes: The tree with integer bounds.
        fused: What it costs.
    """

    nodes: Nodes
    fused: Fused

    @property
    def cycles(self) -> float:
        return float(self.fused.streamed.cycles)

    @property
    def energy_pj(self) -> float:
        return sum(e.energy_pj for e in self.fused.einsums.values()) + self.fused.streamed.leakage_pj


def fill_tree(
    cascade: Cascade, architecture: Architecture, tree: Nodes, objective: Objective, *, ramp: bool = True
) -> tuple[tuple[Filled, ...], int]:
    """The best bounds for the ``auto`` loops of a fused tree, and how many ways there were.

    Ties go to the other objective, then to the fewest words of the outermost memory, then to the fewest iterations of
    the outer ``auto`` loops.

    Args:
        tree: With integers or ``auto`` as bounds and numeric shares.

    Raises:
        MappingError: No filling is legal: what is wrong with the one that comes closest.
    """
    found: list[Filled] = []
    errors: list[MappingError] = []
    count = 0
    for bounds in _fillings(cascade, tree):
        count += 1
        nodes = _with(tree, bounds)
        try:
            found.append(Filled(nodes, evaluate_tree(cascade, architecture, nodes, ramp=ramp)))
        except MappingError as error:
            errors.append(error)
    if not found:
        raise errors[-1] if errors else MappingError("no bounds divide the ranks", "write the bounds, or change them")
    outermost = architecture.memories()[0].name
    if objective == "pareto":
        return tuple(nondominated(found, lambda f: (f.cycles, f.energy_pj, 0.0))), count
    return (min(found, key=lambda f: (*key_of(objective, f.energy_pj, f.cycles), _words(f, outermost))),), count


def _words(filled: Filled, memory: str) -> float:
    tensors = (e.memories[memory].tensors.values() for e in filled.fused.einsums.values() if memory in e.memories)
    return float(sum(c.reads + c.writes for counts in tensors for c in counts))


def _fillings(cascade: Cascade, tree: Nodes) -> Iterator[Mapping[Path, int]]:
    """Bounds of every ``auto`` loop: what the others leave of each rank, split in every way; fewest outside first."""
    root = grow(tree)
    variables: dict[str, list[Placed]] = {}
    for way in ways(root):
        for placed in placed_on(way):
            node = placed.node
            if isinstance(node, Loop | Spatial) and node.bound == AUTO and placed not in variables.get(node.variable, []):
                variables.setdefault(node.variable, []).append(placed)
    choices = [list(_splits(cascade, tree, variable, mine)) for variable, mine in variables.items()]
    if math.prod(map(len, choices)) > MAX_FILLINGS:
        raise MappingError(
            Problem(f"the `auto` bounds can be filled in {math.prod(map(len, choices))} ways", f"at most {MAX_FILLINGS}: write some of them")
        )  # fmt: skip
    for chosen in itertools.product(*choices):
        yield {path: bound for split in chosen for path, bound in split.items()}


def _splits(cascade: Cascade, tree: Nodes, variable: str, mine: Sequence[Placed]) -> Iterator[dict[Path, int]]:
    extent = cascade.extents[variable]
    demands = []
    for way in ways(grow(tree)):
        loops = [p for p in placed_on(way) if isinstance(p.node, Loop | Spatial) and p.node.variable == variable]
        opened = [p for p in loops if p in mine]
        given = math.prod(p.node.bound for p in loops if isinstance(p.node, Loop | Spatial) and isinstance(p.node.bound, int))
        if opened:
            demands.append((opened, -(-extent // given)))
    most = max((rest for _, rest in demands), default=1)
    for bounds in itertools.product(divisors(most), repeat=len(mine)):
        split = dict(zip((p.place for p in mine), (int(b) for b in bounds), strict=True))
        if all(math.prod(split[p.place] for p in opened) == rest for opened, rest in demands):
            yield split


def _with(nodes: Nodes, bounds: Mapping[Path, int], place: Path = ()) -> Nodes:
    result: list[Node] = []
    for i, node in enumerate(nodes):
        here = (*place, i)
        if isinstance(node, Group):
            children = []
            for c, child in enumerate(node.children):
                below = (*here, node.schedule, c, child.label) if child.label else (*here, node.schedule, c)
                children.append(replace(child, nodes=_with(child.nodes, bounds, below)))
            result.append(replace(node, children=tuple(children)))
        elif here in bounds and isinstance(node, Loop | Spatial):
            result.append(replace(node, bound=bounds[here]))
        else:
            result.append(node)
    return tuple(result)
