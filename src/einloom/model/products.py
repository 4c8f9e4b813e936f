"""Which Einsums of a cascade are matrix products, and which of them form attention.

A matrix product is a sum of products of two different tensors in which every variable stands in exactly two of left
operand, right operand and result (or in all three: a batch), each as an index of its own. Its result may go through a
function of the finished sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from einloom.workloads import Cascade, Einsum
from einloom.workloads.expressions import Affine, Binary, Expression, Guard, Number, Reference, references

MAX_POINTS = 2**24
"""A guard is counted by visiting its points; one with more is left out."""


@dataclass(frozen=True, slots=True)
class Product:
    """One Einsum as a batch of matrix products ``m x k`` by ``k x n``.

    Attributes:
        name: Of the Einsum.
        left, right, output: Tensors.
        batch, m, n, k: Sizes.
        rows, columns, contracted: Rank variables of m, n and k.
        points: Multiplications; fewer than ``batch m n k`` under a guard.
        guarded: The reduction has a guard.
    """

    name: str
    left: str
    right: str
    output: str
    batch: int
    m: int
    n: int
    k: int
    rows: frozenset[str]
    columns: frozenset[str]
    contracted: frozenset[str]
    points: int
    guarded: bool


@dataclass(frozen=True, slots=True)
class Attention:
    """A product of queries and keys whose exponential meets the values.

    Attributes:
        scores: ``QK``: its rows or columns are the keys.
        values: The product with V that contracts (part of) the keys.
        queries, keys: Tokens.
    """

    scores: Product
    values: Product
    queries: int
    keys: int


def matrix_products(cascade: Cascade) -> tuple[Product, ...]:
    """Every Einsum that is a matrix product, in order."""
    found = (matrix_product(cascade, einsum) for einsum in cascade.einsums)
    return tuple(product for product in found if product is not None)


def matrix_product(cascade: Cascade, einsum: Einsum) -> Product | None:
    """The Einsum as a matrix product, or None."""
    if len(einsum.reductions) != 1 or einsum.reductions[0].operator != "sum":
        return None
    reduction = einsum.reductions[0]
    factors = list(_factors(reduction.body))
    if len(factors) != 2 or None in factors or len(references(einsum.expression)) != 2:
        return None
    left, right = (factor for factor in factors if factor is not None)
    used = (left, right, einsum.output)
    if left.tensor == right.tensor or any(_irregular(cascade, reference) for reference in used):
        return None
    a, b, z = (frozenset(reference.variables) for reference in used)
    if a - b - z or b - a - z or z - a - b:
        return None

    def size(variables: frozenset[str]) -> int:
        return math.prod(cascade.extents[variable] for variable in variables)

    points = _points(cascade, a | b | z, reduction.guard)
    if points is None:
        return None
    rows, columns, contracted = (a & z) - b, (b & z) - a, (a & b) - z
    sizes = size(a & b & z), size(rows), size(columns), size(contracted)
    return Product(einsum.name, left.tensor, right.tensor, einsum.output.tensor, *sizes, rows, columns, contracted,
                   points, reduction.guard is not None)  # fmt: skip


def _factors(node: Expression) -> Iterator[Reference | None]:
    """Tensors of a product; None for anything that is no tensor or number."""
    if isinstance(node, Binary) and node.operator == "mul":
        yield from _factors(node.left)
        yield from _factors(node.right)
    elif not isinstance(node, Number):
        yield node if isinstance(node, Reference) else None


def _irregular(cascade: Cascade, reference: Reference) -> bool:
    """Windows, diagonals, fixed coordinates and padding: not a matrix."""
    variables = [index.affine.shifted[0] if index.affine.shifted else None for index in reference.indices]
    return None in variables or len(set(variables)) < len(variables) or reference.tensor in cascade.pad


def _points(cascade: Cascade, variables: frozenset[str], guard: Guard | None) -> int | None:
    total = math.prod(cascade.extents[variable] for variable in variables)
    if guard is None:
        return total
    names = list(guard.variables)
    grid = math.prod(cascade.extents[name] for name in names)
    if grid > MAX_POINTS:
        return None
    axes = np.meshgrid(*(np.arange(cascade.extents[name]) for name in names), indexing="ij", sparse=True)
    at = dict(zip(names, axes, strict=True))

    def value(affine: Affine) -> Any:
        return affine.constant + sum(c * (at[n] if n in at else cascade.extents[n]) for c, n in affine.terms)

    compare = {"<=": np.less_equal, "<": np.less, "==": np.equal, ">=": np.greater_equal, ">": np.greater}
    inside = np.broadcast_to(compare[guard.relation](value(guard.left), value(guard.right)),
                             [cascade.extents[name] for name in names])  # fmt: skip
    return total // grid * int(inside.sum())


def attentions(cascade: Cascade, products: tuple[Product, ...]) -> tuple[Attention, ...]:
    """Every pair of products that shares the keys, with an exponential and no other product between them.

    The second one's other operand, V, must not depend on the scores.
    """
    import networkx  # noqa: PLC0415 - heavy

    graph = cascade.graph()
    made = {product.output for product in products}
    exponentials = {e.output.tensor for e in cascade.einsums if "exp" in e.operators()}
    found = []
    for scores in products:
        between = graph.subgraph(set(graph) - made | {scores.output})
        after = networkx.descendants(between, scores.output) & exponentials
        below = networkx.descendants(graph, scores.output)
        reached = set().union(after, *(networkx.descendants(between, tensor) for tensor in after))
        for values in products:
            by_row = bool(scores.rows & values.contracted)
            keys, queries = (scores.rows, scores.columns) if by_row else (scores.columns, scores.rows)
            operands = {values.left, values.right}
            if keys & values.contracted and operands & reached and operands - below:
                sizes = (math.prod(cascade.extents[variable] for variable in group) for group in (queries, keys))
                found.append(Attention(scores, values, *sizes))
    return tuple(found)
