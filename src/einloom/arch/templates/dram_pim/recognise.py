"""A cascade read as the parts that a DRAM with MACs runs: each Einsum belongs to exactly one.

- ``linear``: a product with a matrix that is known before the run;
- ``scores``: a product of two activations (a query with cached and new keys: products of one vector are one part);
- ``softmax``: what is made of scores alone; ``values``: products of those, and what corrects or divides their results;
- ``norm``: sum of squares, root, scaled vector; ``rotary``: a vector times factors plus itself reordered times factors;
- ``gate``: an activation function of one linear layer's result times that of another;
- ``plain``: everything else.

Nothing is recognised by its name: only tensors, indices and operators count.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from einloom.arch.engine import Program, ProgramEinsum, SizedOperand, product_extents
from einloom.arch.rules import weight_operand

LOOKUPS = frozenset({"silu", "sigmoid", "gelu", "gelu_tanh", "tanh", "relu"})
"""Functions that fit the lookup of a bank: of one number each."""


@dataclass(frozen=True, slots=True)
class Product:
    """An Einsum as ``Z[batch, m, n] = sum{k}(moving[batch, m, k] * matrix[batch, k, n])``; m or n may be 1."""

    batch: int
    m: int
    n: int
    k: int
    moving: SizedOperand
    matrix: SizedOperand

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Part:
    """Einsums that one step runs.

    Attributes:
        kind: As the module says.
        einsums: In order; the step is named after the last.
        products: Those among them that are products, in order.
        covered: Operators that the law of the part pays for, by Einsum; any other runs on the companion.
        activation: Function that a linear layer's result goes through, where a gate or the layer itself has one.
        gated: Of a linear layer: it is the second operand of a gate, in step with the first.
        width, vectors: Of a norm, rotary embedding or gate: elements of a vector, and how many.
        widths: Of a rotary embedding, each.
        tokens: Of scores, softmax, values: of the cache and new ones.
        new: Tokens that are appended.
        heads, queries: Of scores, softmax, values.
    """

    kind: str
    einsums: tuple[ProgramEinsum, ...]
    products: tuple[Product, ...] = ()
    covered: Mapping[str, frozenset[str]] | None = None
    activation: str = ""
    gated: bool = False
    width: int = 0
    vectors: int = 1
    widths: tuple[int, ...] = ()
    tokens: int = 0
    new: int = 0
    heads: int = 1
    queries: int = 1

    @property
    def name(self) -> str:
        return self.einsums[-1].name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(einsum.name for einsum in self.einsums)

    def uncovered(self) -> dict[str, int]:
        """Operations that the law of the part does not pay for."""
        found: dict[str, int] = {}
        for einsum in self.einsums:
            paid = (self.covered or {}).get(einsum.name, frozenset())
            for operator, count in einsum.operations().items():
                if operator not in paid:
                    found[operator] = found.get(operator, 0) + count
        return found


def product_of(einsum: ProgramEinsum) -> Product | None:
    """``einsum`` as a product of two tensors, summed over its whole space; None where it is none."""
    inputs = einsum.accesses[1:]
    matrix = weight_operand(einsum)
    if len(inputs) != 2 or inputs[0].tensor == inputs[1].tensor or matrix is None:
        return None
    space = frozenset(einsum.extents)
    if not any(work.operator == "mac" and work.variables == space for work in einsum.work):
        return None
    sizes = product_extents(einsum)
    if sizes is None:
        return None
    (moving,) = [access for access in inputs if access.tensor != matrix]
    (fixed,) = [access for access in inputs if access.tensor == matrix]
    return Product(**sizes, moving=moving, matrix=fixed)


def parts_of(program: Program) -> tuple[Part, ...]:
    """All parts, in the order of their first Einsums."""
    products = {einsum.name: product_of(einsum) for einsum in program.einsums}
    attention = _attention(program.einsums, products)
    taken = {name for part in attention for name in part.names}
    rest = [einsum for einsum in program.einsums if einsum.name not in taken]
    linear = {einsum.name: Part("linear", (einsum,), (product,)) for einsum in rest
              if (product := products[einsum.name]) is not None}  # fmt: skip
    others = [einsum for einsum in rest if einsum.name not in linear]
    vectors = [*_norms(others), *_rotaries(others), *_gates(others, linear)]
    taken = {name for part in vectors for name in part.names}
    plain = [Part("plain", (einsum,)) for einsum in others if einsum.name not in taken]
    order = {einsum.name: place for place, einsum in enumerate(program.einsums)}
    found = [*attention, *_activated(linear, vectors), *vectors, *plain]
    return _joined(tuple(sorted(found, key=lambda part: order[part.einsums[0].name])))


# -- attention --------------------------------------------------------------------------------------------------------


def _attention(einsums: Sequence[ProgramEinsum], products: Mapping[str, Product | None]) -> list[Part]:
    """Scores, softmax and values: what descends from products of two activations."""
    soft: dict[str, str] = {}
    value: dict[str, str] = {}
    groups: dict[str, dict[str, list[ProgramEinsum]]] = {}
    for einsum in einsums:
        product = products[einsum.name]
        reads = [access.tensor for access in einsum.accesses[1:]]
        kind = _color(product, reads, soft, value)
        if not kind:
            continue
        if kind == "scores":
            assert product is not None
            root = product.moving.tensor
        else:
            root = next(found[t] for found in (soft, value) for t in reads if t in found)
        (value if kind == "values" else soft)[einsum.name] = root
        groups.setdefault(root, {}).setdefault(kind, []).append(einsum)
    return [part for group in groups.values() for part in _attention_parts(group, products, soft)]


def _color(product: Product | None, reads: Sequence[str], soft: Mapping[str, str], value: Mapping[str, str]) -> str:
    if product is not None and product.matrix.weight:
        return ""
    of_soft = any(tensor in soft for tensor in reads)
    if product is not None:
        return "values" if of_soft else "scores"
    if of_soft:
        return "values" if any(tensor in value for tensor in reads) else "softmax"
    return ""


def _attention_parts(
    group: Mapping[str, Sequence[ProgramEinsum]], products: Mapping[str, Product | None], soft: Mapping[str, str]
) -> list[Part]:
    scores = [product for einsum in group["scores"] if (product := products[einsum.name]) is not None]
    heads, queries = scores[0].batch, scores[0].m
    tokens = sum(product.n for product in scores)
    new = sum(product.n for product in scores if not product.matrix.workload_input)
    found = [Part("scores", tuple(group["scores"]), tuple(scores), _all_paid(group["scores"], {"mac"}),
                  tokens=tokens, new=new, heads=heads, queries=queries)]  # fmt: skip
    softened = tuple(group.get("softmax", ()))
    if any("exp" in einsum.operations() for einsum in softened):
        found.append(Part("softmax", softened, tokens=tokens, heads=heads, queries=queries))
    else:
        found += [Part("plain", (einsum,)) for einsum in softened]
    if "values" in group:
        found.append(_values(group["values"], products, soft))
    return found


def _values(einsums: Sequence[ProgramEinsum], products: Mapping[str, Product | None], soft: Mapping[str, str]) -> Part:
    """Products of probabilities, and Einsums that add the share of a new token to them."""
    found = [product for einsum in einsums if (product := products[einsum.name]) is not None]
    extensions = [einsum for einsum in einsums if products[einsum.name] is None and _extends(einsum, soft)]
    new = len(extensions) + sum(product.k for product in found if not product.matrix.workload_input)
    covered = {**_all_paid(einsums, {"mac"}), **_all_paid(extensions, {"mac", "mul", "add"})}
    return Part("values", tuple(einsums), tuple(found), covered, heads=found[0].batch if found else 1,
                queries=found[0].m if found else 1, tokens=sum(product.k for product in found) + len(extensions),
                new=new, width=found[0].n if found else 1)  # fmt: skip


def _extends(einsum: ProgramEinsum, soft: Mapping[str, str]) -> bool:
    """Whether it adds a probability times a new value to a result: three operands, a product and a sum."""
    reads = {access.tensor for access in einsum.accesses[1:]}
    return len(reads) == 3 and set(einsum.operations()) <= {"mul", "add", "mac"} and any(t in soft for t in reads)


def _all_paid(einsums: Iterable[ProgramEinsum], operators: Iterable[str]) -> dict[str, frozenset[str]]:
    return {einsum.name: frozenset(operators) for einsum in einsums}


# -- vectors ----------------------------------------------------------------------------------------------------------


def _norms(einsums: Sequence[ProgramEinsum]) -> list[Part]:
    """Sum of squares, a root of it, and the Einsum that scales by the root."""
    found = []
    for squares in einsums:
        reads = {access.tensor for access in squares.accesses[1:]}
        summed = math.prod(squares.extents.values()) // max(1, squares.size(squares.accesses[0]))
        if len(reads) != 1 or summed < 2 or not {"mac", "square", "mul"} & set(squares.operations()):
            continue
        roots = [e for e in einsums if _reads(e) == {squares.name} and "rsqrt" in e.operations()]
        scaled = [e for e in einsums if roots and roots[0].name in _reads(e) and "mul" in e.operations()]
        if not scaled:
            continue
        covered = {squares.name: frozenset(squares.operations()), roots[0].name: frozenset(roots[0].operations()),
                   scaled[0].name: frozenset({"mul"})}  # fmt: skip
        parts = (squares, roots[0], scaled[0])
        found.append(Part("norm", parts, covered=covered, width=summed, vectors=squares.size(squares.accesses[0])))
    return found


def _rotaries(einsums: Sequence[ProgramEinsum]) -> list[Part]:
    """Two products with factors, of a tensor and of the same in another order."""
    found = []
    for einsum in einsums:
        inputs = einsum.accesses[1:]
        twice = {a.tensor for a in inputs if sum(b.tensor == a.tensor for b in inputs) == 2}
        same = all(einsum.size(a) == einsum.size(einsum.accesses[0]) for a in inputs if a.tensor in twice)
        if twice and same and len(inputs) == 4 and set(einsum.operations()) <= {"mul", "add", "sub"}:
            factors = [einsum.size(a) for a in inputs if a.tensor not in twice]
            size = einsum.size(einsum.accesses[0])
            paid = {einsum.name: frozenset(einsum.operations())}
            vectors = _positions(einsum, [a for a in inputs if a.tensor not in twice], min(factors))
            found.append(Part("rotary", (einsum,), covered=paid, widths=(size // vectors,), vectors=vectors))
    return found


def _positions(einsum: ProgramEinsum, factors: Sequence[SizedOperand], size: int) -> int:
    """Tokens of a rotary embedding: what its factors have beside the dimension that is reordered."""
    reordered = {var for access in einsum.accesses for dim in access.dims for var, factor in dim if factor < 0}
    inside = math.prod(einsum.extents[var] for var in reordered & factors[0].variables)
    return max(1, size // max(1, inside))


def _gates(einsums: Sequence[ProgramEinsum], linear: Mapping[str, Part]) -> list[Part]:
    """``f(A) * B`` of the results of two linear layers."""
    found = []
    for einsum in einsums:
        functions = LOOKUPS & set(einsum.operations())
        reads = _reads(einsum)
        if len(functions) != 1 or len(reads) != 2 or not reads <= linear.keys() or "mul" not in einsum.operations():
            continue
        (function,) = functions
        width = linear[min(reads)].products[0].n
        paid = {einsum.name: frozenset({function, "mul"})}
        size = einsum.size(einsum.accesses[0])
        found.append(Part("gate", (einsum,), covered=paid, activation=function, width=width, vectors=size // width))
    return found


def _activated(linear: Mapping[str, Part], vectors: Iterable[Part]) -> list[Part]:
    """Linear layers with the activation function that they or a gate behind them apply to their results."""
    found = dict(linear)
    for name, part in linear.items():
        own = LOOKUPS & set(part.einsums[0].operations())
        covered = {name: frozenset({"mac"} | own)}
        found[name] = replace(part, activation=min(own, default=""), covered=covered)
    for gate in vectors:
        if gate.kind == "gate":
            (einsum,) = gate.einsums
            match = re.search(rf"\b{gate.activation}\(\s*(\w+)\s*\[", einsum.text)
            first = match.group(1) if match else min(_reads(einsum))
            for name in _reads(einsum):
                if name == first:
                    found[name] = replace(found[name], activation=gate.activation)
                else:
                    found[name] = replace(found[name], gated=True)
    return list(found.values())


def _joined(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Rotary embeddings that follow each other are one part: their vectors go in and out together."""
    found: list[Part] = []
    for part in parts:
        last = found[-1] if found else None
        if last is not None and part.kind == "rotary" == last.kind and part.vectors == last.vectors:
            found[-1] = replace(
                last, einsums=last.einsums + part.einsums, widths=last.widths + part.widths,
                covered={**(last.covered or {}), **(part.covered or {})},
            )  # fmt: skip
        else:
            found.append(part)
    return tuple(found)


def _reads(einsum: ProgramEinsum) -> set[str]:
    return {access.tensor for access in einsum.accesses[1:]}
