"""Which search answers for an Einsum on a path of levels, and the space in which its answer is a proof.

- GEMM-like Einsums on two memories and an array: `mapper.gemm`, perfect and clipped, in milliseconds;
- perfect factors otherwise: `mapper.labels`, any tree path, windows included;
- clipped otherwise: `mapper.clipped`, with a proven gap;
- what neither counts (timing laws, a rank twice in a tensor, windowed outputs): `mapper.search` costs whole tilings.
"""

from __future__ import annotations

from dataclasses import dataclass

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Architecture, Level
from einloom.mapper import clipped, gemm, labels
from einloom.mapper.found import Found, Objective
from einloom.mapper.plain import at_least_one
from einloom.mapper.search import search
from einloom.mapper.space import LAID_OUT, NARROWINGS, declare
from einloom.workloads.sized import SizedEinsum

PERFECT = "every nest with perfect factors"
PRODUCTS = "every clipped nest, counted as products of ceilings"
CLIPPED = "every clipped nest"


@dataclass(frozen=True, slots=True)
class Answered:
    """What was found, and the space that it is the best of, in words."""

    found: Found
    space: str


def answer(
    architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules, objective: Objective,
    perfect: bool, deadline_s: float | None,
) -> Answered:  # fmt: skip
    """The best mappings of ``einsum`` on one path.

    Args:
        einsum: Flattened already where the rules flatten.
        perfect: Only bounds that multiply to the size of each rank.
        deadline_s: Seconds; past it the best found by then, with its bound.
    """
    laid_out = bool(rules.layouts or rules.blocks)
    found = None if laid_out else gemm.solve(architecture, path, einsum, rules, objective, perfect, deadline_s)
    space = PERFECT if perfect else PRODUCTS
    if found is None and not laid_out:
        route = labels if perfect else clipped
        found = route.solve(architecture, path, einsum, rules, objective, deadline_s)
        space = PERFECT if perfect else CLIPPED
    if found is not None:
        return Answered(at_least_one(found, architecture, path, einsum, rules, objective), space)
    spaces, narrowing = declare(einsum, path, rules, perfect)
    whole = narrowing in (NARROWINGS[0], LAID_OUT)
    text = narrowing.text if whole else f"narrowed to: {narrowing.text}"
    return Answered(search(architecture, spaces, objective, deadline_s), text)
