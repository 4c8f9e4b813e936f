"""Which Einsums of a cascade run fused, and how: shared loops, what stays in the buffer, bindings and schedules.

The declared space: the Einsums, in the order of the text, are cut into groups. An Einsum by itself is mapped by the
search for one Einsum. In a group, loops are shared over ranks along which every result streams (`nests`: any order of a
few loops that divide the ranks, below those over ranks of every tensor); each tensor from or to the outside is in the
buffer below any of them, or is not; what passes between the Einsums stays in the buffer, or in the registers of a unit
on which all its users run; each Einsum runs on any unit that can execute it, with any spatial loops, and up to two
tensors in the registers (`interior`); the slot is `sequential` or `pipelined`. `cascade` gives the best trees with what
is proven, `partition` joins groups, `solve` searches one, `slot` solves a candidate, `trees` writes it down.
"""

from einloom.mapper.fusion.cascade import map_cascade

__all__ = ["map_cascade"]
