"""What each memory of a fused tree holds at a time: lifetimes of intermediates, live copies, in place, fractions.

Every hold node stands for a tile. Over `sequential` an intermediate that lives right above counts only from the child
that makes it to the last that reads it; over the other schedules all children are at work at once, and a tile that the
lags keep alive for several slots counts that often.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from einloom.errors import MappingError, Path, Problem
from einloom.mappings.nodes import Hold, Loop, Spatial
from einloom.mappings.tree import Branch, Placed
from einloom.model import counts
from einloom.model.fused.program import Leaf, Program
from einloom.model.fused.residence import Residence
from einloom.model.fused.words import motion
from einloom.model.structure import applies

Elements = Fraction | int
Lags = Mapping[Path, Mapping[str, int]]


@dataclass(frozen=True)
class Tile:
    """One tensor at one hold node, in one instance.

    Attributes:
        placed: The node.
        tensor: Its tensor.
        elements: Of the tile, by its weight.
        size: In the unit of the memory's capacity: bits, or words.
        copies: Live at a time.
        alive: First and last child of the schedule right below during which it lives; None: always.
    """

    placed: Placed
    tensor: str
    elements: Elements
    size: Fraction | int
    copies: int = 1
    alive: tuple[int, int] | None = None

    @property
    def memory(self) -> str:
        assert isinstance(self.placed.node, Hold)
        return self.placed.node.memory

    def lives(self, child: int) -> bool:
        return self.alive is None or self.alive[0] <= child <= self.alive[1]


@dataclass(frozen=True)
class Occupancy:
    """What the memories hold.

    Attributes:
        used: The most that one instance of each memory holds at a time, in the unit of its capacity.
        tiles: Every tile.
        in_place: Tensors that are written over another one, with it.
    """

    used: Mapping[str, Fraction | int]
    tiles: tuple[Tile, ...]
    in_place: Mapping[str, str]

    def elements(self, memory: str, tensor: str) -> Elements:
        """Of a tensor in one instance of a memory."""
        return self._elements.get((memory, tensor), 0)

    @cached_property
    def _elements(self) -> Mapping[tuple[str, str], Elements]:
        total: dict[tuple[str, str], Elements] = defaultdict(int)
        for tile in self.tiles:
            total[tile.memory, tile.tensor] += tile.elements
        return total


def occupancy_of(program: Program, residences: Iterable[Residence], lags: Lags) -> Occupancy:
    """Occupancy of every memory that holds something.

    Args:
        lags: By schedule and Einsum (`schedule.Schedule.lags`).
    """
    tiles = _whole(tile for residence in residences for tile in _tiles(program, residence, lags))
    over = _in_place(program, tiles)
    by_list: dict[Path, list[Tile]] = defaultdict(list)
    for tile in tiles:
        by_list[tile.placed.place[:-1]].append(tile)
    used = _used(program.root, by_list, over)
    used = {name: used[name] for name in program.memories if name in used}
    return Occupancy(used, tuple(tiles), {new.tensor: old.tensor for new, old in over.items()})


def _whole(tiles: Iterable[Tile]) -> list[Tile]:
    """Tiles of one tensor at one node as one, whatever its other holds are: its alternatives add up."""
    found: dict[tuple[Placed, str], Tile] = {}
    for tile in tiles:
        key = tile.placed, tile.tensor
        known = found.setdefault(key, tile)
        if known is not tile:
            found[key] = replace(
                tile,
                size=known.size + tile.size,
                elements=known.elements + tile.elements,
                copies=max(known.copies, tile.copies),
                alive=_together(known, tile),
            )
    return list(found.values())


def _together(one: Tile, other: Tile) -> tuple[int, int] | None:
    """When any of two tiles is alive."""
    if one.alive is None or other.alive is None:
        return None
    return min(one.alive[0], other.alive[0]), max(one.alive[1], other.alive[1])


def _tiles(program: Program, residence: Residence, lags: Lags) -> Iterator[Tile]:
    """The tile of one tensor at each of its hold nodes."""
    users: dict[Placed, list[Leaf]] = {}
    for leaf in residence.users:
        for placed in residence.chain(leaf):
            users.setdefault(placed, []).append(leaf)
    for placed, leaves in users.items():
        assert isinstance(placed.node, Hold)
        memory = program.memories[placed.node.memory]
        elements = residence.weight * _elements(residence, placed, leaves)
        einsum = leaves[0].einsum
        bits = next(access.bits for access in einsum.accesses if access.tensor == residence.tensor)
        copies = _copies(residence, placed, lags)
        alive = _alive(residence, placed) if copies == 1 else None
        copies *= 2 if applies(memory.double_buffered, einsum, residence.tensor) else 1
        size = elements * copies * (1 if memory.capacity.in_words else bits)
        yield Tile(placed, residence.tensor, elements, size, copies, alive)


def _elements(residence: Residence, placed: Placed, leaves: Iterable[Leaf]) -> int:
    """Of one hold node: the largest of tiles that move alike, and what moves otherwise beside it.

    At the home of a computed tensor nothing moves: the largest of all.
    """
    alike: dict[object, int] = {}
    for leaf in leaves:
        for index, access in enumerate(leaf.held.accesses):
            if access.tensor == residence.tensor:
                tile = int(counts.occupancy(leaf.held_batch, index, leaf.holder(placed))[0])
                key = motion(leaf, index, placed, residence.generation is not None)
                alike[key] = max(alike.get(key, tile), tile)
    still = placed == residence.home and not residence.is_input
    return max(alike.values()) if still else sum(alike.values())


def _list_of(residence: Residence, placed: Placed) -> Branch | None:
    """The list that a hold stands in, where it is shared."""
    for leaf in residence.users:
        for branch in leaf.way:
            if placed in branch.nodes and not branch.is_leaf:
                return branch
    return None


def _loops_behind(branch: Branch, placed: Placed) -> bool:
    """Whether loops of the list stand between a hold and the schedule."""
    behind = branch.nodes[branch.nodes.index(placed) + 1 :]
    return any(isinstance(other.node, Loop | Spatial) for other in behind)


def _copies(residence: Residence, placed: Placed, lags: Lags) -> int:
    """Slots for which a tile stays alive behind its producer."""
    branch = _list_of(residence, placed)
    if branch is None or placed != residence.home or residence.is_input or residence.is_output:
        return 1
    if residence.generation is not None or branch.schedule == "pipelined" or _loops_behind(branch, placed):
        return 1
    known = lags.get(branch.place)
    if known is None:
        return 1
    made = min(known[leaf.name] for leaf in residence.producers)
    return 1 + max((known[leaf.name] - made for leaf in residence.consumers), default=0)


def _alive(residence: Residence, placed: Placed) -> tuple[int, int] | None:
    """First and last child of `sequential` right below the home of an intermediate in which it lives."""
    branch = _list_of(residence, placed)
    if branch is None or branch.schedule != "sequential" or placed != residence.home:
        return None
    if residence.is_input or residence.is_output or _loops_behind(branch, placed):
        return None
    depth = residence.users[0].way.index(branch) + 1
    made = min(branch.children.index(leaf.way[depth]) for leaf in residence.producers)
    used = [branch.children.index(leaf.way[depth]) for leaf in residence.consumers]
    return (made, max(used, default=made)) if min(used, default=made) >= made else None


def _in_place(program: Program, tiles: list[Tile]) -> Mapping[Tile, Tile]:
    """Tiles that are written over another one, by what their hold says.

    Raises:
        MappingError: A tensor cannot take the place of another, with the reason.
    """
    over: dict[Tile, Tile] = {}
    for new in tiles:
        hold = new.placed.node
        assert isinstance(hold, Hold)
        name = hold.over[hold.tensors.index(new.tensor)]
        if name:
            old = next((t for t in tiles if t.tensor == name and _same_place(program, t, new)), None)
            reason = _why_not(program, old, new, name)
            if reason or old is None:
                line = f"`{hold}`: {new.tensor} cannot take the place of {name}"
                raise MappingError(Problem(f"{line}: {reason}", _IN_PLACE, new.placed.place))
            over[new] = old
    return over


_IN_PLACE = "an element-wise Einsum may write over what it is the last to read, where both are held side by side"


def _why_not(program: Program, old: Tile | None, new: Tile, name: str) -> str:
    if old is None:
        return f"{new.memory} does not hold {name} in the same list, with the same loops above"
    leaf = next(leaf for leaf in program.leaves.values() if leaf.einsum.output.tensor == new.tensor)
    output = leaf.held.output
    reads = [access for access in leaf.held.inputs if access.tensor == name]
    if not reads or any(access.dims != output.dims for access in reads):
        return f"{leaf.name} does not read {name} element by element"
    if set(leaf.einsum.extents) != set(leaf.einsum.output.variables):
        return f"{leaf.name} reduces"
    if reads[0].workload_input or reads[0].workload_output or name in program.flow.states:
        return f"{name} is wanted later"
    order = list(program.leaves)
    last = max(program.flow.consumers(name), key=order.index)
    if last != leaf.name:
        return f"{last} reads {name} later"
    return "" if _share(old) == _share(new) else f"another part of {name} is held than of {new.tensor}"


def _share(tile: Tile) -> Fraction | str:
    """The part of its tensor that its hold node names."""
    hold = tile.placed.node
    assert isinstance(hold, Hold)
    return hold.shares[hold.tensors.index(tile.tensor)]


def _same_place(program: Program, old: Tile, new: Tile) -> bool:
    """Held in one memory by nodes of one list, with the same loops above."""
    if old.memory != new.memory or old.placed.place[:-1] != new.placed.place[:-1]:
        return False
    branch = next(b for b in program.root.walk() if old.placed in b.nodes)
    first, last = sorted((branch.nodes.index(old.placed), branch.nodes.index(new.placed)))
    return not any(isinstance(p.node, Loop | Spatial) for p in branch.nodes[first:last])


def _used(
    branch: Branch, by_list: Mapping[Path, list[Tile]], over: Mapping[Tile, Tile]
) -> Mapping[str, Fraction | int]:
    """The most that each memory holds at a time during a list."""
    mine = _merged(by_list.get(branch.place, []), over)
    below = [_used(child, by_list, over) for child in branch.children]
    names = {tile.memory for tile in mine}.union(*below)
    used: dict[str, Fraction | int] = {}
    for name in names:
        own = [tile for tile in mine if tile.memory == name]
        each = [child.get(name, 0) for child in below]
        if branch.schedule == "sequential":
            used[name] = max(inside + sum(t.size for t in own if t.lives(i)) for i, inside in enumerate(each))
        else:
            used[name] = sum(tile.size for tile in own) + sum(each)
    return used


def _merged(tiles: list[Tile], over: Mapping[Tile, Tile]) -> list[Tile]:
    """Tiles that share a place as one, alive as long as any of them."""
    place: dict[Tile, Tile] = {}
    for tile in tiles:
        root = tile
        while root in over:
            root = over[root]
        held = place.get(root)
        if held is None:
            place[root] = tile
            continue
        place[root] = replace(held, size=max(held.size, tile.size), alive=_together(held, tile))
    return list(place.values())
