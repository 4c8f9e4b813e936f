"""Where each tensor lives in a fused tree: its home, the chains of holders inwards, and which way words go over a link.

The home of an intermediate is the innermost hold above all that write and read it: it is never filled nor drained. A
fractional hold is two alternatives, with the node and without; everything is counted for each, by its weight.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from einloom.mappings.nodes import Hold, Loop, Spatial
from einloom.mappings.tree import Placed, placed_on
from einloom.model.fused.program import Leaf, Program


@dataclass(frozen=True, eq=False)
class Residence:
    """One tensor under one choice of its fractional holds.

    Attributes:
        program: Whose tensor it is.
        tensor: Its name.
        without: Hold nodes that this alternative does not have.
        weight: Part of the tensor for which it stands.
    """

    program: Program
    tensor: str
    without: frozenset[Placed]
    weight: Fraction | int

    # -- who uses it

    @cached_property
    def producers(self) -> tuple[Leaf, ...]:
        """Einsums that write it."""
        return tuple(leaf for leaf in self.program.leaves.values() if leaf.einsum.output.tensor == self.tensor)

    @cached_property
    def consumers(self) -> tuple[Leaf, ...]:
        """Einsums that read it from a memory."""
        return tuple(
            leaf for leaf in self.program.leaves.values()
            if leaf.forwarded(self.tensor) is None and any(a.tensor == self.tensor for a in leaf.einsum.inputs)
        )  # fmt: skip

    @cached_property
    def users(self) -> tuple[Leaf, ...]:
        """All that it passes through a memory for."""
        return tuple(dict.fromkeys((*self.producers, *self.consumers)))

    @cached_property
    def is_output(self) -> bool:
        return any(leaf.einsum.output.workload_output for leaf in self.producers)

    @cached_property
    def is_input(self) -> bool:
        return not self.producers

    # -- where it lives

    @cached_property
    def in_registers(self) -> bool:
        """Whether every reader takes it from a result register: no memory ever sees it."""
        return not self.consumers and not self.is_output and self.home is None

    @cached_property
    def generation(self) -> str | None:
        """The rank variable of its generations, where one is alive at a time."""
        state = self.program.flow.states.get(self.tensor)
        return state.variable if state is not None else None

    def holds(self, leaf: Leaf) -> tuple[Placed, ...]:
        """Hold nodes on the way of a leaf, outermost first, those left out by this alternative missing."""
        holds = leaf.holds_of(self.tensor)
        return tuple(placed for placed in holds if placed not in self.without) if self.without else holds

    @cached_property
    def home(self) -> Placed | None:
        """The hold in which it lives; None: there is none."""
        if self.is_input or self.is_output:
            shared = self._shared(self.users)
            return shared[0] if shared else None
        for users in ((*self.producers, *self._readers), self.users if self.consumers else ()):
            shared = [placed for placed in self._shared(users) if not self._inside_generations(placed)]
            if shared:
                return shared[-1]
        return None

    @cached_property
    def _readers(self) -> tuple[Leaf, ...]:
        """Einsums that read it, from a memory or a result register."""
        leaves = self.program.leaves.values()
        return tuple(leaf for leaf in leaves if any(access.tensor == self.tensor for access in leaf.einsum.inputs))

    def _shared(self, users: Sequence[Leaf]) -> list[Placed]:
        """Hold nodes on the ways of all of some Einsums, outermost first."""
        if not users:
            return []
        return [placed for placed in self.holds(users[0]) if all(placed in self.holds(leaf) for leaf in users)]

    def _inside_generations(self, placed: Placed) -> bool:
        """Whether a loop over the generations stands above a hold node."""
        return self.generation is not None and any(
            isinstance(other.node, Loop | Spatial) and other.node.variable == self.generation
            for leaf in self.users if placed in self.holds(leaf)
            for other in itertools.takewhile(lambda node: node != placed, placed_on(leaf.way))
        )  # fmt: skip

    def in_place(self, placed: Placed) -> bool:
        """Whether a hold keeps one generation of a state, which all its users update and read there.

        Below the loop over the generations, a hold for some of the users gets another generation every time.
        """
        if self.generation is None:
            return False
        return not self._inside_generations(placed) or all(placed in self.holds(leaf) for leaf in self.users)

    def chain(self, leaf: Leaf) -> tuple[Placed, ...]:
        """Its holders on the way of a leaf from the home inwards."""
        holds = self.holds(leaf)
        return holds[holds.index(self.home) :] if self.home in holds else ()

    # -- which way its words go

    def fills(self, placed: Placed) -> bool:
        """Whether words come into a hold further in than the home: it is read below and made (or was left) outside."""
        if not any(placed in self.holds(leaf) for leaf in self.consumers):
            return False
        if self.is_input or any(placed not in self.holds(leaf) for leaf in self.producers):
            return True
        return self._inside_generations(placed) and any(
            read.distance > 0 and placed in self.holds(self.program.leaves[read.consumer])
            for read in self.program.flow.reads
            if read.tensor == self.tensor
        )

    def drains(self, placed: Placed) -> bool:
        """Whether results leave a hold further in than the home: it is made below and wanted outside."""
        if not any(placed in self.holds(leaf) for leaf in self.producers):
            return False
        if self.is_output or any(placed not in self.holds(leaf) for leaf in self.consumers):
            return True
        return self._inside_generations(placed)


def residences(program: Program, tensor: str) -> Iterator[Residence]:
    """Every alternative for one tensor; their weights sum to 1."""
    shares = _shares(program, tensor)
    for chosen in itertools.product((True, False), repeat=len(shares)):
        weight: Fraction | int = 1
        for taken, share in zip(chosen, shares.values(), strict=True):
            weight *= share if taken else 1 - share
        without = frozenset(placed for placed, taken in zip(shares, chosen, strict=True) if not taken)
        yield Residence(program, tensor, without, weight)


def _shares(program: Program, tensor: str) -> Mapping[Placed, Fraction]:
    """The fractional holds of a tensor with their parts."""
    found: dict[Placed, Fraction] = {}
    for leaf in program.leaves.values():
        for placed in leaf.holds_of(tensor):
            assert isinstance(placed.node, Hold)
            share = placed.node.shares[placed.node.tensors.index(tensor)]
            assert isinstance(share, Fraction | int)
            if share != 1:
                found[placed] = Fraction(share)
    return found


def all_residences(program: Program) -> Sequence[Residence]:
    """Those of every tensor, in the order of the tree."""
    return [residence for tensor in program.tensors for residence in residences(program, tensor)]
