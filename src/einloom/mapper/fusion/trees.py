"""A solution of the fusion search as the mapping tree that it stands for."""

from __future__ import annotations

from einloom.mapper.fusion.costs import Costs
from einloom.mapper.fusion.slot import Choice, Solution
from einloom.mappings.nodes import Bind, Child, Group, Hold, Loop, Node, Nodes, Spatial


def tree_of(costs: Costs, solution: Solution) -> Nodes:
    """Shared loops, holds of the buffer between them, and the schedule with the nest of every Einsum."""
    buffer = costs.machine.buffer.name
    nests, row = solution.nests, 0
    nodes: list[Node] = []
    for depth in range(len(nests.loops) + 1):
        held = tuple(tensor for tensor, at in solution.depths if at == depth)
        if held:
            nodes.append(Hold(buffer, held))
        if depth < len(nests.loops) and nests.bounds[row, depth] > 1:
            nodes.append(Loop(nests.loops[depth], int(nests.bounds[row, depth])))
    nodes += _registers(solution)
    tiles = {
        choice.part.name: {v: int(nests.inside(v, len(nests.loops))[row]) for v in choice.part.extents}
        for choice in solution.choices
    }
    children = tuple(
        Child(choice.part.name, nest_of(choice, tiles[choice.part.name])) for choice in solution.choices
    )
    return (*nodes, Group(solution.schedule, children))


def _registers(solution: Solution) -> list[Node]:
    """Holds of what stays in registers while a slot runs."""
    held: dict[str, dict[str, None]] = {}
    for choice in solution.choices:
        for operand in choice.part.operands:
            if operand.tensor in solution.resident:
                memory = choice.options.unit.registers
                assert memory is not None
                held.setdefault(memory.name, {})[operand.tensor] = None
    return [Hold(memory, tuple(tensors)) for memory, tensors in held.items()]


def nest_of(choice: Choice, tile: dict[str, int]) -> Nodes:
    """The nest of one Einsum below the shared loops."""
    options, row, part = choice.options, choice.row, choice.part
    unit = options.unit
    nodes: list[Node] = []
    if unit.fanout is not None:
        nodes += [Spatial(unit.fanout.name, axis, rank, count) for axis, rank, count in options.layouts[row]]
    left = {rank: tile[rank] // int(options.spread[row, i]) for i, rank in enumerate(options.ranks)}
    inner = {rank: int(options.inner[row, i]) for i, rank in enumerate(options.ranks)}
    role = dict(zip(options.ranks, options.roles, strict=True))
    outside = [Loop(r, left[r]) for r in options.ranks if role[r] == "outer"]
    outside += [Loop(r, left[r] // inner[r]) for r in options.ranks if role[r] == "split"]
    blocks = [outside, [Loop(r, left[r]) for r in options.ranks if role[r] == "mid"]]
    below = [Loop(r, left[r]) for r in options.ranks if role[r] == "inner"]
    below += [Loop(r, inner[r]) for r in options.ranks if role[r] == "split"]
    for place, block in enumerate(blocks):
        nodes += block
        if place < len(options.sequence):
            assert unit.registers is not None
            nodes.append(Hold(unit.registers.name, (part.operands[options.sequence[place]].tensor,)))
    nodes += below
    kept = [node for node in nodes if not (isinstance(node, Loop | Spatial) and node.bound == 1)]
    return (*kept, Bind(unit.name))


def outermost(costs: Costs, tensors: tuple[str, ...]) -> Hold:
    """The hold of everything that comes from outside or is wanted there."""
    return Hold(costs.machine.outer.name, tensors)
