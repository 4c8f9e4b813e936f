"""A case in einloom's words: the only module here that knows einloom, and of it only values."""

from __future__ import annotations

from fractions import Fraction

from brute.case import Case, Node, Spread, Store
from einloom.arch.tree import UNLIMITED, Amount, Architecture, AxisRule, Compute, Fanout, Memory
from einloom.mappings import Bind, Hold, Loop, Nest, Spatial
from einloom.workloads.sized import Access, SizedEinsum, Work

UNITS_PER_PJ = 10


def einsum_of(case: Case) -> SizedEinsum:
    output, *inputs = case.tensors
    accesses = [Access(output.name, output.dims, "output", Fraction(output.bits), workload_output=True)]
    accesses += [Access(tensor.name, tensor.dims, "input", Fraction(tensor.bits)) for tensor in inputs]
    text = f"{output} = " + " * ".join(map(str, inputs))
    return SizedEinsum(output.name, case.sizes, tuple(accesses), (Work("mac", frozenset(case.sizes)),), text)


def architecture_of(case: Case) -> Architecture:
    levels = [_memory(level) if isinstance(level, Store) else _fanout(level) for level in case.levels]
    compute = Compute(name="MAC", energy_pj={"mac": case.mac / UNITS_PER_PJ})
    return Architecture(name="drawn", clock_hz=1e9, levels=(*levels, compute))


def _memory(store: Store) -> Memory:
    return Memory(
        name=store.name,
        capacity=UNLIMITED if store.capacity is None else Amount(Fraction(store.capacity)),
        bandwidth=UNLIMITED if store.bandwidth is None else Amount(Fraction(store.bandwidth)),
        read_energy_pj=store.read / UNITS_PER_PJ,
        write_energy_pj=store.write / UNITS_PER_PJ,
        must_hold=tuple(sorted(store.must)) or None,
        may_hold=None if store.may is None else tuple(sorted(store.may)),
    )


def _fanout(spread: Spread) -> Fanout:
    axes = dict(zip("XYZ", spread.axes, strict=False))
    only = {axis: AxisRule(tuple(sorted(allowed))) for axis, allowed in zip("XYZ", spread.only, strict=False)
            if allowed is not None}  # fmt: skip
    return Fanout(name=spread.name, axes=axes, multicast=spread.multicast, reduce=spread.reduce, only=only)


def nest_of(nodes: tuple[Node, ...]) -> Nest:
    return Nest((*map(_node, nodes), Bind("MAC")))


def _node(node: Node) -> Hold | Loop | Spatial:
    if node[0] == "hold":
        return Hold(node[1], (node[2],))
    return Loop(node[1], node[2]) if node[0] == "for" else Spatial(node[1], node[2], node[3], node[4])
