"""Lower bounds on the elements that must cross between an unbounded memory and a fast one of S elements.

Each function counts reads and writes together, in elements, of one execution. A bound is *strict* when it is a theorem
with its constants: it may be compared with a mapping. What was published without constants is an order of magnitude
and is never compared. All bounds hold for the computation as it is written (every product of a reduction is multiplied
out once or more; no Strassen, no rewriting of the cascade), for every schedule, recomputation included. S counts all
fast memory, the operands of the operation at hand included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from einloom.model.products import Attention, Product, attentions, matrix_products
from einloom.workloads import Cascade, Einsum
from einloom.workloads.expressions import Affine

ONCE = "inputs once in, outputs once out"
ORDER = "order of magnitude: Omega, no constant published"
SMITH = "Smith et al., A Tight I/O Lower Bound for Matrix Multiplication, arXiv 1702.02017"
SAHA_YE = "Saha and Ye, The I/O Complexity of Attention, arXiv 2402.07443"
DERIVED = "derived in einloom.model.io_bounds, after Hong and Kung's phases"
PHASES = tuple(2.0 ** (step / 8) for step in range(-40, 41))
"""Lengths of a phase that are tried, as multiples of S: each gives a bound, the largest is taken."""


def matrix_product_elements(points: float, capacity: float) -> float:
    """Elements moved by ``Z[m,n] = sum{k}(A[m,k] * B[k,n])``, or by a batch of such products.

    2 points / sqrt(S) - 2 S. Proof. Let ``Z += A B`` read A, B and the old Z. Cut its schedule into phases of 2 S
    reads. A phase has at most S + 2 S elements of A, B and Z at hand, so (Loomis and Whitney) at most
    sqrt(|A| |B| |Z|) <= S^(3/2) multiplications; hence reads >= 2 S (points / S^(3/2) - 1). A schedule of ``Z = A B``
    becomes one of ``Z += A B`` with |Z| more reads, and writes Z, at least |Z| elements: the two cancel. In a batch
    (variables in A, B and Z alike) the phase does sum_b (x_b / 3)^(3/2) with sum_b x_b <= 3 S, at most S^(3/2) again,
    because the power is superadditive: the leading term grows with the batch, the -2 S is paid once. A function of
    the finished sums only (``gelu(sum{k}(..))``) changes nothing.

    Args:
        points: Multiplications: m n k, times the batch.
        capacity: S, elements of fast memory, above 0.

    Returns:
        Elements, at least 0 (below the compulsory traffic once S is large).

    Source:
        `SMITH`, whose abstract (v1) states 2 m n k / sqrt(S) - 2 S; leading term improved from Irony, Toledo and
        Tiskin, JPDC 64(9), 2004. The bound 2 m n k / sqrt(S) + m n that is quoted from Kwasniewski et al. (COSMA,
        SC 2019) is not used: keeping a whole operand moves less where one fits (10 x 10 x 1000 at S = 111: 20 100
        elements against 28 983).
    """
    return max(0.0, 2 * points / math.sqrt(capacity) - 2 * capacity)


def consumed_product_elements(points: float, contracted: int, capacity: float) -> float:
    """Elements moved by a product of two workload inputs whose result may be consumed on chip (QK of attention).

    Proof. Phases of T reads and writes. Of the result's elements that a phase multiplies for, those with
    multiplications outside of the phase, too, carry a value into it or out of it: with the operands that is at most
    2 S + T elements, so at most ((2 S + T) / 3)^(3/2) multiplications (Loomis and Whitney). Those with all d
    multiplications in the phase need, for each e of d, their A[.,e] and B[e,.]: for the e with the fewest, at most
    (S + T) / d elements, so at most ((S + T) / 2 d)^2 results, of d multiplications each. Hence
    traffic >= T (points / F - 1) with F = (S + T)^2 / 4 d + ((2 S + T) / 3)^(3/2), for every T. Batches add up in the
    phase, and both powers are superadditive. For S >> d^2 this is about N^2 d^2 / S, the rate of `SAHA_YE`.

    Args:
        points: Multiplications, all batches together.
        contracted: d, the length of the reduction.
        capacity: S, elements of fast memory, above 0.

    Returns:
        Elements, at least 0.

    Source:
        `DERIVED`; nothing with constants is published for it as far as we know.
    """

    def bound(phase: float) -> float:
        whole = (capacity + phase) ** 2 / (4 * contracted)
        cut = math.pow((2 * capacity + phase) / 3, 1.5)
        return phase * (points / (whole + cut) - 1)

    return max(0.0, *(bound(capacity * factor) for factor in PHASES))


def attention_order_elements(queries: int, keys: int, head: int, capacity: float, batch: int = 1) -> float:
    """Order of magnitude of the elements that exact attention moves; not a strict bound.

    Published for N queries and keys as Theta(N^2 d^2 / S) where S >= d^2, also against fast matrix multiplication, and
    as that of the standard matrix product, N^2 d / sqrt(S), where S < d^2: asymptotic, with no constant. N^2 is taken
    as queries x keys here, times the batch.

    Args:
        queries, keys: Tokens that ask and that answer.
        head: d, the head dimension.
        capacity: S, elements of fast memory, above 0.
        batch: Independent heads.

    Source:
        `SAHA_YE`.
    """
    rate = head**2 / capacity if capacity >= head**2 else head / math.sqrt(capacity)
    return batch * queries * keys * rate


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound at one size of fast memory.

    Attributes:
        name: ``compulsory``, ``matrix product``, ``consumed product`` or ``attention``.
        where: Einsums that it is about.
        scope: ``cascade``: holds however the cascade is fused; ``einsum``: of that Einsum with its inputs and output
            in the outer memory, as Einsums are that are mapped one by one.
        elements: Reads and writes.
        bits: The same, each element as wide as the narrowest tensor in question (compulsory: as they are).
        strict: A theorem with constants; False: an order of magnitude.
        source: Where it is from, or why it is not strict.
    """

    name: str
    where: tuple[str, ...]
    scope: Literal["cascade", "einsum"]
    elements: float
    bits: float
    strict: bool
    source: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "einsums": list(self.where),
            "scope": self.scope,
            "elements": self.elements,
            "bits": self.bits,
            "strict": self.strict,
            "source": self.source,
        }


@dataclass(frozen=True)
class IoBounds:
    """All bounds of a cascade for one size of fast memory.

    Attributes:
        capacity_bits: Of the fast memory; None: only what holds for every size.
        bounds: In the order compulsory, cascade, Einsums.
    """

    capacity_bits: Fraction | None
    bounds: tuple[Bound, ...]

    @property
    def compulsory_bits(self) -> float:
        """Compulsory traffic of the cascade, in bits."""
        return next(b.bits for b in self.bounds if b.name == "compulsory" and b.scope == "cascade")

    @property
    def least_bits(self) -> float:
        """The largest strict bound of the whole cascade, in bits: however it is fused."""
        return max(bound.bits for bound in self.bounds if bound.strict and bound.scope == "cascade")

    @property
    def separate_bits(self) -> float:
        """The sum over Einsums of the largest strict bound of each: what they move mapped one by one, at least."""
        by_einsum: dict[tuple[str, ...], float] = {}
        for bound in self.bounds:
            if bound.strict and bound.scope == "einsum":
                by_einsum[bound.where] = max(bound.bits, by_einsum.get(bound.where, 0.0))
        return sum(by_einsum.values())

    def to_dict(self) -> dict[str, Any]:
        return {
            "capacity_bits": None if self.capacity_bits is None else float(self.capacity_bits),
            "least_bits": self.least_bits,
            "separate_bits": self.separate_bits,
            "bounds": [bound.to_dict() for bound in self.bounds],
        }


def io_bounds(cascade: Cascade, capacity_bits: Fraction | float | None = None, beside: int = 0) -> IoBounds:
    """Every bound that applies to one copy of a cascade.

    Args:
        cascade: With all sizes known.
        capacity_bits: Of the fast memory; None leaves out what depends on it.
        beside: Elements that the machine holds beside that memory (operands that bypass it).
    """
    traffic = cascade.compulsory_traffic()
    moved = sum(traffic.elements.values())
    found = [Bound("compulsory", (), "cascade", float(moved), float(traffic.bits), True, ONCE)]
    capacity = None if capacity_bits is None else Fraction(capacity_bits)
    products = matrix_products(cascade)
    if capacity is not None:
        found += [bound for product in products for bound in _whole(cascade, product, capacity, beside)]
        found += [_attention(cascade, chain, capacity, beside) for chain in attentions(cascade, products)]
    by_name = {product.name: product for product in products}
    for einsum in cascade.einsums:
        if einsum.constant:
            continue
        found.append(_compulsory(cascade, einsum))
        if capacity is not None and einsum.name in by_name:
            found.append(_product(cascade, by_name[einsum.name], capacity, beside, "einsum"))
    return IoBounds(capacity, tuple(found))


def _whole(cascade: Cascade, product: Product, capacity: Fraction, beside: int) -> list[Bound]:
    """Bounds of the whole cascade from a product whose operands come from outside."""
    if product.guarded or not {product.left, product.right} <= set(cascade.inputs):
        return []
    if product.output in cascade.outputs:
        return [_product(cascade, product, capacity, beside, "cascade")]
    bits = _narrowest(cascade, product)
    elements = consumed_product_elements(product.points, product.k, float(capacity / bits) + beside)
    return [Bound("consumed product", (product.name,), "cascade", elements, elements * float(bits), True, DERIVED)]


def _product(
    cascade: Cascade, product: Product, capacity: Fraction, beside: int, scope: Literal["cascade", "einsum"]
) -> Bound:
    bits = _narrowest(cascade, product)
    elements = matrix_product_elements(product.points, float(capacity / bits) + beside)
    return Bound("matrix product", (product.name,), scope, elements, elements * float(bits), True, SMITH)


def _attention(cascade: Cascade, chain: Attention, capacity: Fraction, beside: int) -> Bound:
    bits = min(_narrowest(cascade, chain.scores), _narrowest(cascade, chain.values))
    size = float(capacity / bits) + beside
    elements = attention_order_elements(chain.queries, chain.keys, chain.scores.k, size, chain.scores.batch)
    where = (chain.scores.name, chain.values.name)
    return Bound("attention", where, "cascade", elements, elements * float(bits), False, f"{ORDER} ({SAHA_YE})")


def _narrowest(cascade: Cascade, product: Product) -> Fraction:
    """Bits of the narrowest of the three tensors: S is then not too small, traffic not too large."""
    return min(cascade.bits_of(tensor) for tensor in (product.left, product.right, product.output))


def _compulsory(cascade: Cascade, einsum: Einsum) -> Bound:
    sizes = touched_elements(cascade, einsum)
    bits = sum((cascade.bits_of(tensor) * size for tensor, size in sizes.items()), Fraction(0))
    return Bound("compulsory", (einsum.name,), "einsum", float(sum(sizes.values())), float(bits), True, ONCE)


def touched_elements(cascade: Cascade, einsum: Einsum) -> dict[str, int]:
    """Elements of each tensor that one Einsum touches, at least; guards count as dense, as everywhere.

    Exact where no two dimensions share a variable and a tensor is read in one way; else the largest of its parts.
    """
    found: dict[str, int] = {}
    for reference in (einsum.output, *einsum.inputs):
        sizes: dict[frozenset[str], int] = {}
        for dimension, index in enumerate(reference.indices):
            variables = frozenset(index.affine.variables)
            size = _coordinates(cascade, index.affine, cascade.shape(reference.tensor)[dimension])
            linked = [group for group in sizes if group & variables]  # a diagonal: as many as its longest side
            size = max([size, *(sizes.pop(group) for group in linked)])
            sizes[frozenset().union(variables, *linked) or frozenset({str(dimension)})] = size
        found[reference.tensor] = max(found.get(reference.tensor, 0), math.prod(sizes.values()))
    return found


def _coordinates(cascade: Cascade, affine: Affine, extent: int) -> int:
    """Distinct values of an index inside of its dimension."""
    fixed = sum(c * cascade.extents[rank] for c, rank in affine.terms if rank[0].isupper())
    values = np.array([affine.constant + fixed])
    for coefficient, name in affine.terms:
        if name[0].islower():
            steps = coefficient * np.arange(cascade.extents[name])
            values = np.unique(values[:, None] + steps) if len(values) > 1 else values[0] + steps
    return int(((values >= 0) & (values < extent)).sum())
