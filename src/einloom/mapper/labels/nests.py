"""From the path of a label back to a nest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from einloom.mapper.labels.plan import Plan
from einloom.mapper.labels.record import HOLD, KINDS, LOOP, WIDE, Pool
from einloom.mapper.labels.task import Spread, Task
from einloom.mappings import Bind, Hold, Loop, Nodes, Spatial


def path_to(pool: Pool, last: int) -> list[int]:
    """Nodes of the way to a label, from the last to the first."""
    path = []
    while pool.parents[last] >= 0:
        path.append(int(pool.nodes[last]))
        last = int(pool.parents[last])
    return path


def nest(task: Task, plan: Plan, spread: Spread, path: Iterable[int]) -> Nodes:
    """The nest of a path, which runs from the last node to the first: outermost first."""
    tensors = [access.tensor for access in task.einsum.accesses]
    nodes: list[Hold | Loop | Spatial | Bind] = [Hold(task.path[0].name, tuple(dict.fromkeys(tensors)))]
    fanout = len(task.fanouts)
    for node in path:
        code, bound = divmod(node, WIDE)
        kind, which = divmod(code, KINDS)
        if kind == LOOP:
            _append_loop(nodes, task.names[which], bound)
        elif kind == HOLD:
            memory = task.memory(task.memories[plan.hold_memory[which]]).name
            _append_hold(nodes, memory, tensors[plan.hold_tensor[which]])
        else:
            fanout -= 1
            nodes += _spatial(task, fanout, spread[fanout])
    return (*nodes, Bind(task.compute.name))


def _spatial(task: Task, number: int, axes: tuple[tuple[int, ...], ...]) -> Iterator[Spatial]:
    fanout = task.fanout(number)
    for axis, vector in zip(fanout.axes, axes, strict=True):
        for name, bound in zip(task.names, vector, strict=True):
            if bound > 1:
                yield Spatial(fanout.name, axis, name, bound)


def _append_loop(nodes: list[Hold | Loop | Spatial | Bind], variable: str, bound: int) -> None:
    """Add a loop; adjacent loops of one rank are one."""
    before = nodes[-1]
    if isinstance(before, Loop) and before.variable == variable:
        assert isinstance(before.bound, int)
        nodes[-1] = Loop(variable, before.bound * bound)
    else:
        nodes.append(Loop(variable, bound))


def _append_hold(nodes: list[Hold | Loop | Spatial | Bind], memory: str, tensor: str) -> None:
    """Add a hold; adjacent holds of one inner memory are one."""
    before = nodes[-1]
    if isinstance(before, Hold) and before.memory == memory and len(nodes) > 1:
        nodes[-1] = Hold(memory, (*before.tensors, tensor))
    else:
        nodes.append(Hold(memory, (tensor,)))
