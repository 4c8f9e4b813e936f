"""The ``auto`` bounds of a fused tree that is given otherwise: every way to divide the ranks, evaluated exactly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from einloom.arch.tree import Architecture
from einloom.errors import MappingError, Path, Problem
from einloom.mapper.found import Objective, key_of
from einloom.mapper.fronts import nondominated
from einloom.mapper.space import divisors
from einloom.mapper.tree_result import TreeResult
from einloom.mappings import AUTO, Group, Loop, Node, Nodes, Spatial
from einloom.mappings.tree import Placed, grow, placed_on, ways
from einloom.model.fused import evaluate_tree
from einloom.workloads.cascade import Cascade

MAX_FILLINGS = 20_000
FILLED = "the bounds of the tree left to the mapper"


def fill_tree(
    cascade: Cascade,
    architecture: Architecture,
    tree: Nodes,
    objective: Objective,
    memory: str | None = None,
    *,
    ramp: bool = True,
) -> tuple[TreeResult, ...]:
    """The best bounds for the ``auto`` loops of a fused tree, or the front sorted by cycles.

    Ties go to the other objective, then to the fewest words of the outermost memory, then to the fewest iterations of
    the outer ``auto`` loops.

    Args:
        tree: With integers or ``auto`` as bounds and numeric shares.
        memory: Whose occupancy is the third objective of a front.

    Raises:
        MappingError: No filling is legal: what is wrong with the one that comes closest.
    """
    found: list[TreeResult] = []
    errors: list[MappingError] = []
    for bounds in _fillings(cascade, tree):
        nodes = _with(tree, bounds)
        try:
            fused = evaluate_tree(cascade, architecture, nodes, ramp=ramp)
        except MappingError as error:
            errors.append(error)
        else:
            found.append(TreeResult(nodes, fused, "optimal", 0.0, FILLED))
    if not found:
        raise errors[-1] if errors else MappingError("no bounds divide the ranks", "write the bounds, or change them")
    outermost = architecture.memories()[0].name
    if objective == "pareto":
        held = (lambda f: f.occupancy(memory)) if memory else (lambda _: 0.0)
        return tuple(nondominated(found, lambda f: (float(f.cycles), f.energy_pj, held(f))))
    return (min(found, key=lambda f: (*key_of(objective, f.energy_pj, float(f.cycles)), _words(f, outermost))),)


def _words(filled: TreeResult, memory: str) -> float:
    tensors = (e.memories[memory].tensors.values() for e in filled.fused.einsums.values() if memory in e.memories)
    return float(sum(c.reads + c.writes for counts in tensors for c in counts))


def _fillings(cascade: Cascade, tree: Nodes) -> Iterator[Mapping[Path, int]]:
    """Bounds of every ``auto`` loop: what the others leave of each rank, split in every way; fewest outside first."""
    root = grow(tree)
    variables: dict[str, list[Placed]] = {}
    for way in ways(root):
        for placed in placed_on(way):
            node = placed.node
            if isinstance(node, Loop | Spatial) and node.bound == AUTO:
                mine = variables.setdefault(node.variable, [])
                mine += [placed] if placed not in mine else []
    choices = [list(_splits(cascade, tree, variable, mine)) for variable, mine in variables.items()]
    ways_in_all = math.prod(map(len, choices))
    if ways_in_all > MAX_FILLINGS:
        hint = f"at most {MAX_FILLINGS} are tried: write some of them"
        raise MappingError(Problem(f"the `auto` bounds can be filled in {ways_in_all} ways", hint))
    for chosen in itertools.product(*choices):
        yield {path: bound for split in chosen for path, bound in split.items()}


def _splits(cascade: Cascade, tree: Nodes, variable: str, mine: Sequence[Placed]) -> Iterator[dict[Path, int]]:
    extent = cascade.extents[variable]
    demands = []
    for way in ways(grow(tree)):
        loops = [(p, p.node) for p in placed_on(way) if isinstance(p.node, Loop | Spatial)]
        loops = [(p, node) for p, node in loops if node.variable == variable]
        opened = [p for p, _ in loops if p in mine]
        given = math.prod(node.bound for _, node in loops if isinstance(node.bound, int))
        if opened:
            demands.append((opened, -(-extent // given)))
    yield from _shared_out(mine, demands)


def _shared_out(mine: Sequence[Placed], demands: Sequence[tuple[Sequence[Placed], int]]) -> Iterator[dict[Path, int]]:
    """Bounds of ``mine`` whose product over the loops of each demand is its number, fewest iterations outside first."""
    if not mine:
        yield {}
        return
    loop, further = mine[0], mine[1:]
    concerned = [(opened, rest) for opened, rest in demands if loop in opened]
    ends = {rest for opened, rest in concerned if loop == opened[-1]}
    for divisor in divisors(math.gcd(*(rest for _, rest in concerned))):
        bound = int(divisor)
        if ends <= {bound}:
            left = [(opened, rest // bound if loop in opened else rest) for opened, rest in demands]
            yield from ({loop.place: bound, **others} for others in _shared_out(further, left))


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
