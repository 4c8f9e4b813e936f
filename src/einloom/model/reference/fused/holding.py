"""Who holds which tensor for whom: homes, forwarded words, and the alternatives of fractional holds.

A tensor with fractional holds is split: each part takes some of those holds and bypasses the others. One part is an
`Alternative`, weighted with its size; what is counted for a tensor is the weighted sum over its alternatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

from einloom.errors import MappingError, Problem
from einloom.mappings.nodes import Forward, Hold, Loop, Spatial
from einloom.model.reference.fused.tree import Leaf, Position, Tree


@dataclass(frozen=True)
class Alternative:
    """One part of a tensor.

    Attributes:
        tensor: Its name.
        weight: Part of the tensor.
        home: Where an intermediate lives, or an output that is read again; None: each Einsum has an outermost
            holder of its own (an input), or nothing holds it (forwarded only).
        chains: For each Einsum that takes part (not by forwarded words), its hold nodes, outermost first; they
            begin at the home.
        forwarded: For each Einsum that reads it by `forward`, that node.
    """

    tensor: str
    weight: Fraction
    home: Position | None
    chains: Mapping[str, tuple[Position, ...]]
    forwarded: Mapping[str, Position]

    def below(self, at: Position) -> list[str]:
        """Einsums that use the tensor through the hold node ``at``."""
        return [name for name, chain in self.chains.items() if at in chain]


def alternatives(tree: Tree, tensor: str) -> tuple[Alternative, ...]:
    """The parts of a tensor; their weights add up to 1.

    Raises:
        MappingError: A part has no holder, or holders that are not strictly inward.
    """
    users = [leaf for leaf in tree.leaves.values() if tensor in (leaf.line.output.tensor, *leaf.line.tensors)]
    shares = {at: share for leaf in users for at, share in _holds(leaf, tensor)}
    partial = [at for at, share in shares.items() if share != 1]
    found = []
    for held in product((True, False), repeat=len(partial)):
        weight = Fraction(1)
        for at, is_held in zip(partial, held, strict=True):
            weight *= shares[at] if is_held else 1 - shares[at]
        left_out = {at for at, is_held in zip(partial, held, strict=True) if not is_held}
        found.append(_alternative(tree, tensor, weight, frozenset(shares) - left_out))
    return tuple(found)


def _holds(leaf: Leaf, tensor: str) -> Iterator[tuple[Position, Fraction]]:
    for at, node in leaf.path:
        if isinstance(node, Hold) and tensor in node.tensors:
            share = node.shares[node.tensors.index(tensor)]
            assert isinstance(share, Fraction), "shares are resolved before the walk"
            yield at, share


def _alternative(tree: Tree, tensor: str, weight: Fraction, nodes: frozenset[Position]) -> Alternative:
    producers, readers = tree.producers(tensor), tree.readers(tensor)
    everyone = {leaf.name: leaf for leaf in (*producers, *readers)}
    chains = {name: _chain(leaf, tensor, nodes) for name, leaf in everyone.items()}
    forwarded = {leaf.name: at for leaf in readers if (at := _forward(leaf, producers, tensor)) is not None}
    home: Position | None = None
    if producers:
        home = _home(tree, tensor, chains)
        if home is None:
            _check_forwarded(tree, tensor, [leaf.name for leaf in readers if leaf.name not in forwarded])
            return Alternative(tensor, weight, None, {}, forwarded)
        chains = {name: chain[chain.index(home) :] for name, chain in chains.items()}
    elif not all(chains.values()):
        raise MappingError(f"no memory holds {tensor}", "an input needs an outermost holder")
    producing = {leaf.name for leaf in producers}
    taking_part = {n: chain for n, chain in chains.items() if n in producing or n not in forwarded}
    return Alternative(tensor, weight, home, taking_part, forwarded)


def _check_forwarded(tree: Tree, tensor: str, readers: list[str]) -> None:
    if not tree.is_intermediate(tensor) or readers:
        who = f" that {', '.join(readers)} could read" if readers else ""
        hint = "hold it above all that make and read it, or `forward` it"
        raise MappingError(f"{tensor} has no home{who}", hint)


def _chain(leaf: Leaf, tensor: str, nodes: frozenset[Position]) -> tuple[Position, ...]:
    """Hold nodes of a tensor on the path of an Einsum, outermost first, strictly inward."""
    found = [(at, n) for at, n in leaf.path if isinstance(n, Hold) and at in nodes and tensor in n.tensors]
    names = [level.name for level in leaf.levels]
    for at, node in found:
        if node.memory not in names:
            wrong = f"{node.memory} is not on the way to {leaf.compute.name}, where {leaf.name} runs"
            raise MappingError(Problem(wrong, f"on the way: {', '.join(names)}", at))
        fanouts = [n.fanout for p, n in leaf.path if isinstance(n, Spatial) and p < at and p in leaf.nest_positions]
        below = [name for name in fanouts if names.index(name) > names.index(node.memory)]
        if below:
            wrong = f"{node.memory} holds {tensor} below a spatial loop of {below[0]}"
            raise MappingError(Problem(wrong, f"move the hold above that loop: {below[0]} is below {node.memory}", at))
    for (_, outer), (at, inner) in pairwise(found):
        if names.index(outer.memory) >= names.index(inner.memory):
            wrong = f"{inner.memory} holds {tensor} below a hold of {outer.memory}"
            raise MappingError(Problem(wrong, "holders go strictly inward", at))
    return tuple(at for at, _ in found)


def _forward(leaf: Leaf, producers: list[Leaf], tensor: str) -> Position | None:
    """The innermost `forward` node above a reader and a producer."""
    for at, node in reversed(leaf.path):
        if isinstance(node, Forward) and node.tensor == tensor and all(p.below(at) for p in producers):
            return at
    return None


def _home(tree: Tree, tensor: str, chains: Mapping[str, tuple[Position, ...]]) -> Position | None:
    """An intermediate: the innermost hold above all who make and read it, and above all its generations.

    An output: the outermost hold, which all of them share.
    """
    common = [at for at in next(iter(chains.values())) if all(at in chain for chain in chains.values())]
    if not tree.is_intermediate(tensor):
        outermost = {chain[0] if chain else None for chain in chains.values()}
        return common[0] if common and outermost == {common[0]} else None
    generation = tree.generation(tensor)
    if generation is not None:
        common = [at for at in common if not _counts_above(tree, list(chains), at, generation.variable)]
    return common[-1] if common else None


def _counts_above(tree: Tree, names: list[str], at: Position, variable: str) -> bool:
    """Whether a loop over the generations stands above a node."""
    path = (node for name in names for position, node in tree.leaves[name].path if position < at)
    return any(isinstance(node, Loop) and node.variable == variable for node in path)
