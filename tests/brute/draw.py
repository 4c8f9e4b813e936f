"""Random small cases, by kind: ``KINDS[kind](random.Random(seed))``."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from brute.case import Case, Dim, Spread, Store, Tensor

PRICES = ((300, 1, 1, 1), (640, 20, 1, 2), (100, 30, 7, 2), (64, 10, 4, 1), (50, 50, 50, 1), (640, 20, 0, 0))
"""DRAM, buffers, registers, MAC."""
RATES = (None, 1, 2, 4, 8)


def plain(*ranks: str) -> tuple[Dim, ...]:
    return tuple(((rank, 1),) for rank in ranks)


def product(output: str, *inputs: str) -> tuple[Tensor, ...]:
    """``product("mn", "mk", "kn")``: one letter a rank."""
    return tuple(Tensor(name, plain(*ranks)) for name, ranks in zip("ZABC", (output, *inputs), strict=False))


GEMM = product("mn", "mk", "kn")
OTHERS = (
    product("bmn", "bmk", "bkn"),  # batched
    product("bmn", "bmk", "kn"),
    product("ij", "ikl", "kj", "lj"),  # MTTKRP
    product("mn", "m", "n"),  # outer product
    product("mn", "mn", "mn"),  # element by element
    product("mn", "mn", "n"),
    product("m", "mk"),  # reductions
    product("", "k", "k"),
    product("m", "mk", "k"),
    product("nm", "mn"),
)


def sizes_of(rng: Random, tensors: tuple[Tensor, ...], largest: int, points: int) -> dict[str, int]:
    """Sizes of all ranks from 2, with at most so many points; a rank is 1 now and then."""
    ranks = list(dict.fromkeys(rank for tensor in tensors for dim in tensor.dims for rank, _ in dim))
    while True:
        sizes = {rank: 1 if rng.random() < 0.05 else rng.randint(2, largest) for rank in ranks}
        if math.prod(sizes.values()) <= points:
            return sizes


def machine(rng: Random, tensors: tuple[Tensor, ...], ranks: list[str], free: bool) -> tuple[tuple, int]:
    """Two or three memories, sometimes four, with one or two fanouts, and the price of a MAC.

    Args:
        free: Without constraints, and everything is shared.
    """
    dram, buffer, register, mac = rng.choice(PRICES)
    most = max(tensor.bits for tensor in tensors)

    def store(name: str, price: int, low: int, high: int, rate: int | None) -> Store:
        same = rng.random() < 0.8
        write = price if same else rng.choice((price // 2, 2 * price))
        must, may = (frozenset(), None) if free or rng.random() < 0.5 else _rules(rng, tensors)
        return Store(name, price, write, most * rng.randint(low, high), rate, must, may)

    def spread(name: str) -> Spread:
        axes = tuple(rng.randint(1, 3) for _ in range(rng.randint(1, 2)))
        only = () if free or rng.random() < 0.5 else tuple(_some(rng, ranks) for _ in axes)
        shared = [free or rng.random() < 0.8 for _ in range(2)]
        return Spread(name, axes, only, *shared)

    outer = Store("DRAM", dram, dram if rng.random() < 0.8 else 2 * dram, None, rng.choice(RATES))
    glb = store("GLB", buffer, 3, 14, rng.choice(RATES))
    small = store("L1", max(1, buffer // 2), 2, 8, rng.choice(RATES))
    reg = store("Reg", register, 1, 6, None if rng.random() < 0.8 else rng.choice(RATES))
    levels = rng.choice((
        *((outer, glb, spread("PE"), reg),) * 8,
        *((outer, glb, spread("PE")),) * 2,
        (outer, spread("PE"), reg),
        (outer, glb, reg),
        (outer, glb, small, spread("PE")),
        (outer, glb, small, spread("PE"), reg),
        (outer, glb, spread("Row"), small, spread("PE"), reg),
        (outer, glb, spread("Row"), spread("PE"), reg),
        (outer, spread("Row"), glb, spread("PE"), reg),
        (outer, glb, spread("Row"), reg, spread("PE")),
    ))  # fmt: skip
    return levels, mac


def _rules(rng: Random, tensors: tuple[Tensor, ...]) -> tuple[frozenset[str], frozenset[str] | None]:
    names = [tensor.name for tensor in tensors]
    may = frozenset(name for name in names if rng.random() < 0.7)
    must = frozenset(name for name in sorted(may) if rng.random() < 0.4)
    return must, may if rng.random() < 0.7 else None


def _some(rng: Random, ranks: list[str]) -> frozenset[str] | None:
    return None if rng.random() < 0.3 else frozenset(rank for rank in ranks if rng.random() < 0.6)


def case_of(rng: Random, tensors: tuple[Tensor, ...], largest: int, points: int, perfect: bool) -> Case:
    if rng.random() < 0.2:
        tensors = tuple(Tensor(t.name, t.dims, rng.choice((1, 2, 4))) for t in tensors)
    sizes = sizes_of(rng, tensors, largest, points)
    levels, mac = machine(rng, tensors, list(sizes), free=rng.random() < 0.5)
    return Case(sizes, tensors, levels, mac, perfect)


def gemm(rng: Random) -> Case:
    """Perfect bounds, no windows."""
    return case_of(rng, GEMM if rng.random() < 0.7 else rng.choice(OTHERS), 8, 36, perfect=True)


def clipped(rng: Random) -> Case:
    """Clipped bounds, no windows."""
    return case_of(rng, GEMM if rng.random() < 0.7 else rng.choice(OTHERS), 7, 24, perfect=False)


def window(rng: Random, along: str, across: str) -> Dim:
    """``stride * along + dilation * across``; both are 1 in seven of ten cases."""
    if rng.random() < 0.7:
        return ((along, 1), (across, 1))
    return ((along, rng.randint(1, 3)), (across, rng.randint(1, 2)))


def line(rng: Random) -> tuple[Tensor, ...]:
    """A one-dimensional convolution; with input channels, groups or none; pooling."""
    inner = window(rng, "p", "r")
    outputs, inputs, filters = rng.choice((("k", "", "k"), ("k", "", "k"), ("k", "c", "ck"), ("", "c", "c"),
                                           ("c", "c", "c"), ("", "", ""), ("c", "c", None)))  # fmt: skip
    tensors = [Tensor("O", (*plain(*outputs), ((("p", 1),)))), Tensor("I", (*plain(*inputs), inner))]
    return (*tensors, Tensor("F", plain("r", *filters))) if filters is not None else tuple(tensors)


def plane(rng: Random) -> tuple[Tensor, ...]:
    """A two-dimensional convolution."""
    outputs, inputs, filters = rng.choice((("k", "", "k"), ("", "", ""), ("", "c", "c"), ("c", "c", "c")))
    return (
        Tensor("O", plain(*outputs, "p", "q")),
        Tensor("I", (*plain(*inputs), window(rng, "p", "r"), window(rng, "q", "s"))),
        Tensor("F", plain(*filters, "r", "s")),
    )


KINDS: dict[str, Callable[[Random], Case]] = {
    "gemm": gemm,
    "clipped": clipped,
    "conv1d": lambda rng: case_of(rng, line(rng), 8, 48, perfect=True),
    "conv2d": lambda rng: case_of(rng, plane(rng), 4, 64, perfect=True),
    "conv1d-clipped": lambda rng: case_of(rng, line(rng), 5, 24, perfect=False),
    "conv2d-clipped": lambda rng: case_of(rng, plane(rng), 3, 16, perfect=False),
}
