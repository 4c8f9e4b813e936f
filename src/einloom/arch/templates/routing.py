"""Which unit of a machine for narrow (ternary, few-bit) weights runs a product."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from einloom.arch.engine import Contraction, Program, ProgramEinsum
from einloom.errors import MappingError

TERNARY_BITS = 2.0
"""Weights of fewer bits are ternary: three values take log2(3) = 1.58 bits."""


def ternary_names(params: Mapping[str, object]) -> frozenset[str]:
    """Weights that the parameter ``ternary`` names: parted by commas; ``none`` is none.

    Example:
        >>> sorted(ternary_names({"ternary": "WQ, WK"}))
        ['WK', 'WQ']
    """
    return frozenset(str(params["ternary"]).replace(",", " ").split()) - {"none"}


@dataclass(frozen=True, slots=True)
class Routing:
    """Which unit runs a product.

    Attributes:
        below_bits: Weights of fewer bits are narrow: they run as projections (`TERNARY_BITS` for ternary weights).
        up_to: Whether weights of exactly that many are too.
        named: Weights that are narrow whatever their bits.
        wide: Whether some unit runs wider weights.
    """

    below_bits: float
    up_to: bool
    named: frozenset[str]
    wide: bool

    def check(self, program: Program) -> None:
        """Raise `MappingError` if a weight is named that ``program`` does not have."""
        known = sorted({access.tensor for einsum in program.einsums for access in einsum.accesses if access.weight})
        for name in sorted(self.named - set(known)):
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean '{close[0]}'? " if close else ""
            raise MappingError(f"`ternary:` names '{name}', which is no weight of {program.name}",
                               f"{meant}weights: {', '.join(known)}")  # fmt: skip

    def unit(self, einsum: ProgramEinsum, product: Contraction) -> str:
        """``projection``, ``wide`` or ``attention``.

        Raises:
            MappingError: Weights too wide for the machine.
        """
        if not product.given:
            return "attention"
        bits = float(product.weights.bits)
        narrow = bits < self.below_bits or (self.up_to and bits == self.below_bits)
        if narrow or product.weights.tensor in self.named:
            return "projection"
        if self.wide:
            return "wide"
        most = f"{'at most' if self.up_to else 'less than'} {self.below_bits:g} bits"
        what = f"{einsum.name}: weights {product.weights.tensor} have {bits:g} bits, this machine takes {most}"
        hint = "give them fewer in `bits:`, name them in `ternary:`, or let `wide:` say what runs them"
        raise MappingError(what, hint)
