"""Whether a nest is legal for an Einsum on an architecture: every rule, all problems at once, both numbers in each.

Rules that need no counting. Capacity is checked where occupancy is counted (`model.evaluate`). Paths of problems are
the place of the node in the nest; ``()`` is the nest as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Compute, Fanout, Level, Memory
from einloom.errors import MappingError, Problem, SpecError
from einloom.mappings.bounds import Auto
from einloom.mappings.nodes import Bind, Forward, Group, Hold, Loop, Node, Nodes, Spatial
from einloom.workloads.sized import SizedEinsum


def check(
    einsum: SizedEinsum, architecture: Architecture, nodes: Nodes, *, open_bounds: bool = False
) -> tuple[Level, ...]:
    """The path of levels that a legal nest runs on.

    Args:
        einsum: Flattened already if the mapping flattens.
        nodes: With integer bounds (`mappings.resolved`).
        open_bounds: ``auto`` bounds may stand: they count as 1, and ranks need not be covered.

    Raises:
        MappingError: With every rule that the nest breaks.
    """
    path = _path(architecture, nodes)
    closed = tuple(_closed(node) for node in nodes) if open_bounds else nodes
    problems = [
        *_unsupported(nodes),
        *uncovered_ranks(einsum, closed, covered=not open_bounds),
        *spatial_loops(einsum, path, closed, architecture.rules_for(einsum)),
        *_holds(einsum, path, nodes, architecture.rules_for(einsum)),
        *operators(einsum, path),
    ]
    if problems:
        raise MappingError(sorted(problems, key=lambda p: p.path[:1] or (len(nodes),)))
    return path


def _closed(node: Node) -> Node:
    return replace(node, bound=1) if isinstance(node, Loop | Spatial) and isinstance(node.bound, Auto) else node


def _path(architecture: Architecture, nodes: Nodes) -> tuple[Level, ...]:
    last = nodes[-1] if nodes else None
    if not isinstance(last, Bind):
        computes = ", ".join(compute.name for compute in architecture.computes())
        raise MappingError("does not end in a compute", f"the last line names the compute: {computes}")
    try:
        return architecture.path_to(last.compute)
    except SpecError as error:
        problem = error.problems[0]
        raise MappingError(Problem(problem.message, problem.hint, (len(nodes) - 1,))) from None


def _unsupported(nodes: Nodes) -> Iterator[Problem]:
    for i, node in enumerate(nodes):
        if isinstance(node, Group):
            message = "a schedule node stands in the nest of one Einsum"
            yield Problem(message, "fused trees stand under `mapping:`", (i,))
        elif isinstance(node, Forward):
            yield Problem(f"`{node}` needs a producer in the same step", "forward works in fused trees", (i,))
        elif isinstance(node, Bind) and i < len(nodes) - 1:
            yield Problem(f"'{node.compute}' stands before the end", "the compute is the last line", (i,))
        elif isinstance(node, Hold) and any(share != 1 for share in node.shares):
            hint = "a fractional hold is not counted in the nest of one Einsum"
            yield Problem(f"`{node}` splits a tensor", hint, (i,))


def uncovered_ranks(einsum: SizedEinsum, nodes: Nodes, covered: bool) -> Iterator[Problem]:
    """Every rank is covered: the product of its bounds is at least its size."""
    product = dict.fromkeys(einsum.extents, 1)
    for i, node in enumerate(nodes):
        if isinstance(node, Loop | Spatial):
            if node.variable not in product:
                known = "its variables: " + (", ".join(einsum.extents) or "none")
                yield Problem(f"'{node.variable}' is no rank variable of {einsum.name}", known, (i,))
            else:
                assert isinstance(node.bound, int)
                product[node.variable] *= node.bound
    for variable, reached in product.items() if covered else ():
        size = einsum.extents[variable]
        if reached < size:
            yield Problem(
                f"the bounds of '{variable}' cover {reached} of {size} iterations",
                f"the product of all bounds of a rank is at least its size: add `for {variable} in "
                f"{-(-size // reached)}`",
            )


def spatial_loops(einsum: SizedEinsum, path: tuple[Level, ...], nodes: Nodes, rules: EinsumRules) -> Iterator[Problem]:
    fanouts = {level.name: level for level in path if isinstance(level, Fanout)}
    used: dict[tuple[str, str], int] = {}
    for i, node in enumerate(nodes):
        if not isinstance(node, Spatial):
            continue
        fanout = fanouts.get(node.fanout)
        if fanout is None:
            known = ", ".join(fanouts) or "none"
            yield Problem(f"no fanout above {path[-1].name} is named '{node.fanout}'", f"fanouts: {known}", (i,))
            continue
        if node.axis not in fanout.axes:
            yield Problem(f"{fanout.name} has no axis '{node.axis}'", f"axes: {', '.join(fanout.axes)}", (i,))
            continue
        assert isinstance(node.bound, int)
        key = (node.fanout, node.axis)
        used[key] = used.get(key, 1) * node.bound
        size = fanout.axes[node.axis]
        if used[key] > size:
            yield Problem(
                f"{node.fanout}.{node.axis} has {size} instances, the spatial loops use {used[key]}",
                "lower a bound, or move part of it to a `for` loop", (i,),
            )  # fmt: skip
        if node.variable in einsum.extents and not rules.axis_allows(node.fanout, node.axis, node.variable):
            allowed = ", ".join(sorted(rules.axes[key])) or "none of this Einsum's"
            message = f"'{node.variable}' may not run on {node.fanout}.{node.axis}"
            yield Problem(message, f"rank variables allowed: {allowed}", (i,))


def _holds(einsum: SizedEinsum, path: tuple[Level, ...], nodes: Nodes, rules: EinsumRules) -> Iterator[Problem]:
    place = {level.name: i for i, level in enumerate(path)}
    memories = {level.name: level for level in path if isinstance(level, Memory)}
    tensors = {access.tensor for access in einsum.accesses}
    held: dict[str, list[tuple[str, int]]] = {tensor: [] for tensor in tensors}
    for i, node in enumerate(nodes):
        if not isinstance(node, Hold):
            continue
        if node.memory not in memories:
            yield Problem(
                f"no memory above {path[-1].name} is named '{node.memory}'", f"memories: {', '.join(memories)}", (i,)
            )
            continue
        yield from below_its_children(path, place[node.memory], nodes, i)
        for tensor in node.tensors:
            if tensor not in tensors:
                known = ", ".join(access.tensor for access in einsum.accesses)
                yield Problem(f"{einsum.name} has no tensor '{tensor}'", f"its tensors: {known}", (i,))
            elif not rules.holding(node.memory).allows(tensor):
                may = ", ".join(sorted(rules.holding(node.memory).may or ())) or "none of this Einsum's"
                yield Problem(f"{node.memory} may not hold {tensor}", f"tensors allowed: {may}", (i,))
            else:
                held[tensor].append((node.memory, i))
    yield from _chains(einsum, place, nodes, held)
    for memory in memories:
        missing = sorted(rules.holding(memory).must - {t for t, chain in held.items() if memory in dict(chain)})
        if missing:
            names = ", ".join(missing)
            yield Problem(f"{memory} must hold {names}", f"add `{memory} holds {names}`")


def below_its_children(path: tuple[Level, ...], level: int, nodes: Nodes, at: int) -> Iterator[Problem]:
    below = {path[i].name for i in range(level + 1, len(path)) if isinstance(path[i], Fanout)}
    for node in nodes[:at]:
        if isinstance(node, Spatial) and node.fanout in below:
            name = path[level].name
            yield Problem(
                f"{name} holds a tile inside `{node}`, but {node.fanout} is below {name}",
                f"move the hold above the spatial loops of {node.fanout}", (at,),
            )  # fmt: skip
            return


def _chains(
    einsum: SizedEinsum, place: dict[str, int], nodes: Nodes, held: dict[str, list[tuple[str, int]]]
) -> Iterator[Problem]:
    """Holders of a tensor stand in the order of the memories, the first one outside all loops."""
    outermost = min(place, key=lambda name: place[name])
    for access in {access.tensor: access for access in einsum.accesses}.values():
        chain = held[access.tensor]
        if not chain:
            yield Problem(f"no memory holds {access.tensor}", f"start with `{outermost} holds {access.tensor}`")
            continue
        memory, first = chain[0]
        loops = [node for node in nodes[:first] if isinstance(node, Loop | Spatial)]
        if loops:
            yield Problem(
                f"the outermost holder of {access.tensor} stands inside `{loops[0]}`: nothing fills it",
                f"hold {access.tensor} in a memory above all loops", (first,),
            )  # fmt: skip
        intermediate = not access.workload_input and not access.workload_output
        if intermediate and memory != outermost:
            yield Problem(
                f"{access.tensor} passes from one Einsum to another, but its outermost holder is {memory}",
                f"Einsums mapped one by one meet in {outermost}: add `{outermost} holds {access.tensor}`", (first,),
            )  # fmt: skip
        for (above, _), (below, at) in pairwise(chain):
            if place[below] <= place[above]:
                what = "holds it already" if below == above else f"is not below {above}"
                yield Problem(
                    f"{below} holds {access.tensor} inside {above}'s tile, but {below} {what}",
                    "holders of a tensor go from the outer memories to the inner ones, each once", (at,),
                )  # fmt: skip


def operators(einsum: SizedEinsum, path: tuple[Level, ...]) -> Iterator[Problem]:
    compute = path[-1]
    assert isinstance(compute, Compute)
    for operator, count in einsum.operations().items():
        if compute.operator_energy_pj(operator) is None:
            known = ", ".join(compute.energy_pj) or "none"
            yield Problem(
                f"{compute.name} cannot cost '{operator}', which {einsum.name} needs {count} times",
                f"give its energy: `energy: {{{operator}: 0.1 pJ}}`; operators it knows: {known}",
            )


def capacity_problem(
    memory: str, tiles: Mapping[str, float], needed: float, capacity: float, unit: str, at: int
) -> Problem:
    """The message for tiles that overflow a memory; ``at`` is the hold node."""
    listed = ", ".join(f"{tensor} {_amount(words)}" for tensor, words in tiles.items())
    return Problem(
        f"the tiles need {_amount(needed)} {unit}, {memory} holds {_amount(capacity)}",
        f"tiles in elements: {listed}; lower the bounds of loops inside the hold, or hold less", (at,),
    )  # fmt: skip


def _amount(value: float) -> str:
    return f"{value:.0f}" if math.isclose(value, round(value)) else f"{value:.1f}"
