"""Whether a fused tree is legal: every rule, all problems at once, each at its line.

The rules of one nest (`mappings.legality`) hold for what stands on the way of an Einsum; here are those that only a
fused tree can break: what shared loops, shared holds and schedules ask of the Einsums below them. Capacity is checked
where occupancy is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from einloom.arch.tree import Architecture, Fanout, Memory
from einloom.errors import MappingError, Problem, SpecError
from einloom.mappings import legality
from einloom.mappings.nodes import Bind, Forward, Hold, Loop, Spatial
from einloom.mappings.tree import Branch, Placed, Way, common, placed_on, ways
from einloom.model.fused.lags import comes_later, distance
from einloom.model.fused.program import Leaf, Program, bound, tile_inside, without_generations
from einloom.model.fused.residence import Residence, all_residences
from einloom.workloads.dataflow import Dataflow, Read

_EDGE = "a list that ends in a compute is named by its Einsum: `- QK: [...]`"


def program_of(flow: Dataflow, architecture: Architecture, root: Branch) -> Program:
    """The program of a tree whose bounds are numbers.

    Raises:
        MappingError: The tree is not legal, with every reason.
    """
    leaves, problems = _leaves(flow, architecture, root)
    if problems:
        raise MappingError(problems)
    program = Program(flow, architecture, root, leaves)
    _raise([problem for branch in root.walk() for problem in _names(program, branch)])
    _raise([problem for leaf in leaves.values() for problem in _nest(program, leaf)])
    _raise([*_tiles(program), *_spread(program)])
    residences = all_residences(program)
    _raise([problem for residence in residences for problem in _homes(residence)])
    _raise([problem for read in flow.reads for problem in _dependence(program, read, residences)])
    return program


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise MappingError(list(dict.fromkeys(problems)))


def _leaves(flow: Dataflow, architecture: Architecture, root: Branch) -> tuple[Mapping[str, Leaf], list[Problem]]:
    """Each Einsum at one leaf, bound to a compute of the machine."""
    problems: list[Problem] = []
    leaves: dict[str, Leaf] = {}
    for way in ways(root):
        name, branch = way[-1].label, way[-1]
        assert branch.bind is not None
        at = (*branch.place, len(branch.nodes))
        if len(way) == 1:
            name = next(iter(flow.einsums)) if len(flow.einsums) == 1 else name
        if name not in flow.einsums:
            known = ", ".join(flow.einsums)
            problems.append(Problem(f"no Einsum is named '{name}'", f"{_EDGE}; Einsums: {known}", branch.place))
        elif name in leaves:
            problems.append(Problem(f"{name} stands in the tree twice", "each Einsum has one place", branch.place))
        else:
            try:
                path = architecture.path_to(branch.bind.compute)
            except SpecError as error:
                problems.append(replace(error.problems[0], path=at))
                continue
            einsum = flow.einsums[name]
            leaves[name] = Leaf(einsum, without_generations(einsum, flow), way, path)
    if not problems:
        for name in flow.einsums:
            if name not in leaves:
                hint = f"add `- {name}: [..., COMPUTE]` to a schedule; every Einsum of the cascade stands in its tree"
                problems.append(Problem(f"has no place for {name}", hint))
    return leaves, problems


# -- the nest of one Einsum


def _nest(program: Program, leaf: Leaf) -> Iterator[Problem]:
    """What the rules of a nest say of the way of one Einsum, at the places of the tree."""
    rules = program.architecture.rules_for(leaf.einsum)
    on_way = [placed for placed in placed_on(leaf.way) if _concerns(leaf, placed)]
    nodes = tuple(_own_part(leaf, placed) for placed in on_way)
    bind = leaf.branch.bind
    assert bind is not None
    every = (*nodes, bind)
    places = [*(placed.place for placed in on_way), (*leaf.branch.place, len(leaf.branch.nodes))]
    found = (
        *legality.uncovered_ranks(leaf.einsum, every, covered=True),
        *legality.spatial_loops(leaf.einsum, leaf.path, every, rules),
        *_below_children(leaf, every),
        *(replace(problem, path=(len(nodes),)) for problem in legality.operators(leaf.einsum, leaf.path)),
        *_allowed(leaf, on_way, program),
    )
    for problem in found:
        at = problem.path[0] if problem.path else None
        yield replace(problem, path=places[at] if isinstance(at, int) else leaf.branch.place)
    yield from _levels(leaf)


def _below_children(leaf: Leaf, nodes: tuple[Hold | Loop | Spatial | Bind, ...]) -> Iterator[Problem]:
    """A memory above a fanout holds its tiles above the spatial loops."""
    for i, node in enumerate(nodes):
        if isinstance(node, Hold) and node.memory in leaf.level:
            yield from legality.below_its_children(leaf.path, leaf.level[node.memory], nodes, i)
        elif isinstance(node, Hold):
            above = ", ".join(level.name for level in leaf.path if isinstance(level, Memory))
            yield Problem(f"no memory above {leaf.path[-1].name} is named '{node.memory}'", f"memories: {above}", (i,))


def _concerns(leaf: Leaf, placed: Placed) -> bool:
    node = placed.node
    if isinstance(node, Loop | Spatial):
        return placed in leaf.loops
    if not isinstance(node, Hold) or (placed not in leaf.branch.nodes and node.memory not in leaf.level):
        return False
    touched = {access.tensor for access in leaf.einsum.accesses}
    return placed in leaf.branch.nodes or bool(touched & set(node.tensors))


def _own_part(leaf: Leaf, placed: Placed) -> Hold | Loop | Spatial | Bind:
    node = placed.node
    if isinstance(node, Hold) and placed not in leaf.branch.nodes:
        own = node.only({access.tensor for access in leaf.einsum.accesses})
        assert own is not None
        return own
    assert isinstance(node, Hold | Loop | Spatial)
    return node


def _names(program: Program, branch: Branch) -> Iterator[Problem]:
    """Every name in a list means something to an Einsum below it."""
    below = list(program.below(branch))
    variables = dict.fromkeys(v for leaf in below for v in leaf.einsum.extents)
    tensors = dict.fromkeys(access.tensor for leaf in below for access in leaf.einsum.accesses)
    for placed in branch.nodes:
        node = placed.node
        if isinstance(node, Loop | Spatial) and node.variable not in variables:
            whose = branch.label if branch.is_leaf else "an Einsum below"
            known = ", ".join(variables) or "none"
            yield Problem(f"'{node.variable}' is no rank variable of {whose}", f"variables: {known}", placed.place)
        if isinstance(node, Hold) and node.memory not in program.memories:
            known = ", ".join(program.memories)
            yield Problem(f"no memory is named '{node.memory}'", f"memories: {known}", placed.place)
        if isinstance(node, Spatial) and node.fanout not in {f.name for f in program.architecture.fanouts()}:
            known = ", ".join(f.name for f in program.architecture.fanouts()) or "none"
            yield Problem(f"no fanout is named '{node.fanout}'", f"fanouts: {known}", placed.place)
        named = node.tensors if isinstance(node, Hold) else (node.tensor,) if isinstance(node, Forward) else ()
        for tensor in named:
            if tensor not in tensors:
                known = ", ".join(tensors)
                what = f"`{node}`: no Einsum below it has a tensor '{tensor}'"
                yield Problem(what, f"tensors: {known}", placed.place)


def _allowed(leaf: Leaf, on_way: list[Placed], program: Program) -> Iterator[Problem]:
    """What the machine says a memory must, and may, hold."""
    rules = program.architecture.rules_for(leaf.einsum)
    held: dict[str, set[str]] = {}
    touched = {access.tensor for access in leaf.einsum.accesses}
    for i, placed in enumerate(on_way):
        if not isinstance(placed.node, Hold):
            continue
        for tensor in placed.node.tensors:
            if tensor in touched and not rules.holding(placed.node.memory).allows(tensor):
                may = ", ".join(sorted(rules.holding(placed.node.memory).may or ())) or "none of this Einsum's"
                yield Problem(f"{placed.node.memory} may not hold {tensor}", f"tensors allowed: {may}", (i,))
            held.setdefault(placed.node.memory, set()).add(tensor)
    for level in leaf.path:
        missing = sorted(rules.holding(level.name).must - held.get(level.name, set()))
        if missing:
            what = ", ".join(missing)
            yield Problem(f"{level.name} must hold {what}", f"add `{level.name} holds {what}`")


def _levels(leaf: Leaf) -> Iterator[Problem]:
    """Holders of a tensor go from the outer memories to the inner ones, each once."""
    for tensor in dict.fromkeys(access.tensor for access in leaf.einsum.accesses):
        for above, below in pairwise(leaf.holds_of(tensor)):
            assert isinstance(above.node, Hold)
            assert isinstance(below.node, Hold)
            if leaf.level[below.node.memory] <= leaf.level[above.node.memory]:
                outer, inner = above.node.memory, below.node.memory
                why = "holds it already" if outer == inner else f"is not below {outer}"
                hint = "holders of a tensor go from the outer memories to the inner ones, each once"
                yield Problem(f"{inner} holds {tensor} inside {outer}'s tile, but {inner} {why}", hint, below.place)


# -- what is shared


def _tiles(program: Program) -> Iterator[Problem]:
    """The tile of a rank inside a shared loop is the same for all Einsums below."""
    for branch in program.root.walk():
        if branch.is_leaf:
            continue
        for placed in branch.loops():
            node = placed.node
            assert isinstance(node, Loop | Spatial)
            below = (leaf for leaf in program.below(branch) if placed in leaf.loops)
            tiles = {leaf.name: tile_inside(leaf, placed, node.variable) for leaf in below}
            sizes = sorted(set(tiles.values()))
            if len(sizes) > 1:
                one, other = (next(name for name, size in tiles.items() if size == s) for s in (sizes[0], sizes[-1]))
                yield Problem(
                    f"inside `{node}` the tile of '{node.variable}' is {sizes[0]} in {one} and {sizes[-1]} in {other}",
                    "the bounds further in must have one product for all Einsums below a shared loop", placed.place,
                )  # fmt: skip


def _spread(program: Program) -> Iterator[Problem]:
    """What is kept across a fanout lies on the instances that use it: all lay its ranks out alike."""
    for branch in program.root.walk():
        if branch.is_leaf:
            continue
        for placed, hold in branch.holds():
            for tensor in hold.tensors:
                users = [leaf for leaf in program.below(branch) if placed in leaf.holds_of(tensor)]
                users = [leaf for leaf in users if any(a.tensor == tensor for a in leaf.einsum.accesses)]
                if any(leaf.einsum.output.tensor == tensor for leaf in users):
                    yield from _spread_alike(placed, hold, tensor, users)


def _spread_alike(placed: Placed, hold: Hold, tensor: str, users: list[Leaf]) -> Iterator[Problem]:
    layouts = {leaf.name: _layout(leaf, hold.memory) for leaf in users}
    first, *others = layouts
    ranks = {v for access in users[0].held.accesses if access.tensor == tensor for v in access.variables}
    for name, layout in layouts.items():
        foreign = [entry for entry in layout if entry[2] not in ranks]
        if foreign:
            yield Problem(
                f"{hold.memory} holds {tensor} for {name}, which is laid out over {_laid(tuple(foreign))} too, a rank "
                f"that {tensor} does not have: its instances would need the same elements, or hold parts that never "
                "meet",
                f"lay {name} out over ranks of {tensor} only, or hold {tensor} in a memory above",
                placed.place,
            )
            return
    for other in others:
        if layouts[other] != layouts[first]:
            yield Problem(
                f"{hold.memory} holds {tensor} for {first} and {other}, which lay it out differently: "
                f"{_laid(layouts[first])} against {_laid(layouts[other])}",
                f"give both the same spatial loops over the ranks of {tensor}, or hold it in a memory above",
                placed.place,
            )
            return


Layout = tuple[tuple[str, str, str, int], ...]


def _layout(leaf: Leaf, memory: str) -> Layout:
    """Spatial loops above a memory: which instances use it, and for which part of a tensor."""
    above = {level.name for level in leaf.path[: leaf.level[memory]] if isinstance(level, Fanout)}
    return tuple(
        sorted(
            (node.fanout, node.axis, node.variable, bound(placed))
            for placed in leaf.loops
            if isinstance(node := placed.node, Spatial) and node.fanout in above
        )
    )


def _laid(layout: Layout) -> str:
    laid = (f"{variable} in {size} on {fanout}.{axis}" for fanout, axis, variable, size in layout)
    return ", ".join(laid) or "on one instance"


def _homes(residence: Residence) -> Iterator[Problem]:
    """Every tensor has a home, and that of inputs and outputs stands above all loops."""
    yield from _forwards(residence)
    if residence.in_registers:
        return
    tensor, home = residence.tensor, residence.home
    if home is None:
        yield _homeless(residence)
    elif residence.is_input or residence.is_output:
        outermost = residence.program.architecture.memories()[0].name
        for leaf in residence.users:
            above = [placed for placed in _before(leaf.way, home) if isinstance(placed.node, Loop | Spatial)]
            if above:
                why = f"the outermost holder of {tensor} stands inside `{above[0].node}`: nothing fills it"
                yield Problem(why, f"hold {tensor} in {outermost} above all loops", home.place)
                return


def _forwards(residence: Residence) -> Iterator[Problem]:
    """A result goes from its producer to who reads it below one node."""
    tensor = residence.tensor
    nodes = dict.fromkeys(leaf.forwarded(tensor) for leaf in residence.program.leaves.values())
    for node in nodes:
        if node is None:
            continue
        if residence.is_input:
            hint = f"hold {tensor} in a memory instead"
            what = f"`{node.node}`: {tensor} is an input, no Einsum has it in its result register"
            yield Problem(what, hint, node.place)
        for producer in residence.producers:
            if node not in producer.nodes:
                hint = f"move it up, so that {producer.name} stands below it too"
                yield Problem(f"`{node.node}` does not reach {producer.name}, which makes {tensor}", hint, node.place)
    for read in residence.program.flow.reads:
        if read.tensor == tensor:
            yield from _same_step(residence.program, read)


def _same_step(program: Program, read: Read) -> Iterator[Problem]:
    """A result register has one word: who takes it from there does so before the next one is made."""
    producer, consumer = program.leaves[read.producer], program.leaves[read.consumer]
    node = consumer.forwarded(read.tensor)
    if node is None or node not in producer.nodes:
        return
    shared = common(producer.way, consumer.way)
    output, access = producer.einsum.output, consumer.einsum.accesses[read.access]
    for leaf, dims in ((producer, output.dims), (consumer, access.dims)):
        ranks = {variable for dim in dims for variable, _ in dim}
        for placed in placed_on(leaf.way[len(shared) :]):
            if isinstance(placed.node, Loop) and placed.node.variable in ranks and bound(placed) > 1:
                why = f"`{node.node}`: a result register has one word, and {leaf.name} has `{placed.node}` of its own"
                hint = f"share the loops over {read.tensor} between {producer.name} and {consumer.name}"
                yield Problem(why, f"{hint}, or hold it in a memory", placed.place)
                return
    same = producer.path[-1] == consumer.path[-1]
    if read.distance or not comes_later(producer.way, consumer.way, same):
        step = f"{consumer.name} does not read {read.tensor} in the step in which {producer.name} makes it"
        why = f"`{node.node}`: {step}"
        yield Problem(why, f"put {producer.name} before it in one `sequential`, or hold it in a memory", node.place)


def _homeless(residence: Residence) -> Problem:
    """What a tensor without a home lacks."""
    tensor = residence.tensor
    users = residence.users
    names = " and ".join(leaf.name for leaf in users)
    if residence.is_input or residence.is_output:
        outermost = residence.program.architecture.memories()[0].name
        what = "input" if residence.is_input else "output"
        why, hint = "", f"add `{outermost} holds {tensor}` above all loops"
    else:
        what = "intermediate"
        why = f" above its loop over '{residence.generation}'" if residence.generation else ""
        hint = f"add `MEMORY holds {tensor}` above them, or `forward {tensor}`"
    shared = users[0].way
    for leaf in users[1:]:
        shared = common(shared, leaf.way)
    return Problem(f"no memory holds the {what} {tensor} for all of {names}{why}", hint, shared[-1].place)


def _before(way: Way, placed: Placed) -> Iterator[Placed]:
    for other in placed_on(way):
        if other == placed:
            return
        yield other


# -- dependences


def _dependence(program: Program, read: Read, residences: Sequence[Residence]) -> Iterator[Problem]:
    """What shared loops and schedules ask of one read of a computed tensor."""
    producer, consumer = program.leaves[read.producer], program.leaves[read.consumer]
    shared = common(producer.way, consumer.way)
    state = program.flow.states.get(read.tensor)
    if state is not None and producer is not consumer:
        own = [leaf.name for leaf in (producer, consumer) if _own_loop(leaf, state.variable, shared)]
        if len(own) == 2:
            why = f"{read.tensor} is a recurrence over '{state.variable}', but {' and '.join(own)} each loop over it"
            hint = f"share one loop over '{state.variable}' between them"
            yield Problem(why, hint, consumer.branch.place)
            return
    for branch in shared if producer is not consumer else ():
        for placed in branch.loops() if not branch.is_leaf else ():
            yield from _shared_loop(program, producer, consumer, read, placed, residences)
    yield from _order(program, read, producer, consumer, shared)


def _own_loop(leaf: Leaf, variable: str, shared: Way) -> bool:
    return any(
        isinstance(placed.node, Loop) and placed.node.variable == variable
        for branch in leaf.way[len(shared) :] for placed in branch.nodes
    )  # fmt: skip


def _shared_loop(
    program: Program, producer: Leaf, consumer: Leaf, read: Read, placed: Placed, residences: Sequence[Residence]
) -> Iterator[Problem]:
    node = placed.node
    if not isinstance(node, Loop):
        return  # all instances are at work in each step: nothing is there in parts
    x = node.variable
    made, wanted = x in producer.einsum.extents, x in consumer.einsum.extents
    output, access = producer.einsum.output, consumer.einsum.accesses[read.access]
    if not made and not wanted:
        return
    if made and not wanted and _feeds(program, consumer, placed):
        yield Problem(
            f"{consumer.name} needs {read.tensor} after all iterations of `{node}`, "
            "and what it makes is wanted in them",
            f"share no loop over '{x}' there, or give {consumer.name} that rank",
            placed.place,
        )
    if made and wanted:
        dims = [i for i, dim in enumerate(output.dims) if dim == ((x, 1),)]
        if x not in output.variables:
            yield Problem(
                f"{consumer.name} needs {read.tensor} finished, but both run below `{node}`, over which "
                f"{producer.name} reduces: {read.tensor} is there in parts only",
                f"take {producer.name} and {consumer.name} out of a shared loop over '{x}'",
                placed.place,
            )
        elif not any(access.dims[i] == ((x, 1),) for i in dims):
            yield Problem(
                f"{consumer.name} needs more of {read.tensor} than {producer.name} makes in an iteration of `{node}`",
                f"a shared loop over '{x}' needs {read.tensor} to be indexed by '{x}' alone in both",
                placed.place,
            )
        return
    for residence in residences:  # one of them runs once per traversal: the tensor outlives the loop
        home = residence.home
        if residence.tensor == read.tensor and home is not None and placed in _before(producer.way, home):
            who = producer.name if made else consumer.name
            yield Problem(
                f"{read.tensor} must outlive `{node}`, which only {who} iterates, but `{home.node}` stands inside it",
                f"hold {read.tensor} above `{node}`",
                home.place,
            )
            return


def _feeds(program: Program, leaf: Leaf, placed: Placed) -> bool:
    """Whether what an Einsum makes reaches, in the same traversal of a loop, one below it that iterates it."""
    assert isinstance(placed.node, Loop)
    below = [other for other in program.leaves.values() if placed in placed_on(other.way)]
    reached = {leaf.name}
    while True:
        more = {r.consumer for r in program.flow.reads if r.producer in reached and not r.distance} - reached
        if not more:
            break
        reached |= more
    return any(other.name in reached and placed.node.variable in other.einsum.extents for other in below)


def _order(program: Program, read: Read, producer: Leaf, consumer: Leaf, shared: Way) -> Iterator[Problem]:
    """A child before its producer works on an earlier slot: there must be one."""
    if producer is consumer or shared[-1].schedule == "pipelined":
        return
    same = producer.path[-1] == consumer.path[-1]
    group = shared[-1]
    if comes_later(producer.way, consumer.way, same) or distance(program, read, group) >= 1:
        return
    loops = (placed for branch in shared for placed in branch.nodes if isinstance(placed.node, Loop))
    if math.prod(map(bound, loops)) == 1:
        yield Problem(
            f"{consumer.name} is listed before {producer.name}, whose {read.tensor} it reads, and there is no earlier "
            f"slot of `{group.schedule}` on which it could work",
            f"list {producer.name} first, or share a loop above the schedule",
            consumer.branch.place,
        )
