"""Partial products: how many digits of an INT8 operand are not zero, and how long a serial encoder takes over them.

An operand is a normal number of mean 0, rejected outside [-128, 127] and rounded to the nearest integer, as the
authors' test benches draw it. EN-T writes its magnitude in base 4 with digits -1, 0, 1, 2: a digit 3 becomes -1 and
carries. Each digit that is not zero is one partial product. All distributions here are exact: there are 256 operands,
so nothing has to be drawn (the tests draw, and find the same).

Source: Q. Wu et al., HPCA 2025, arXiv 2503.06342, and its repository, github.com/fhys/
High-Performance-Tensor-Processing-Engines (encoder_multi_bit.v, sparse_encoder.v, test_opt4c_column_array.sv);
EN-T: Q. Wu et al., ICCD 2024, pages 608-615.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DIGITS = 4
"""Base-4 digits (bit weights) of an INT8 operand."""
LANES = 4
"""Operands that one sparse encoder looks at together, one bit weight at a time (sparse_encoder.v: 4 digits)."""
BITS = 8.0
"""Of an operand; one of fewer bits has fewer values: 2^bits of them around 0, rounded down (1.6 bits: -1, 0, 1)."""
LEAST, MOST = -128, 127


def bounds(bits: float = BITS) -> tuple[int, int]:
    """Least and largest value of an operand of that many bits.

    Example:
        >>> bounds(8), bounds(1.6)
        ((-128, 127), (-1, 1))
    """
    levels = max(2, int(2**bits))
    return -(levels // 2), (levels - 1) // 2


def ent_digits(value: int) -> tuple[int, ...]:
    """Digits of the magnitude of ``value``, lowest first, each -1, 0, 1 or 2.

    Example:
        >>> ent_digits(7), ent_digits(-7)
        ((-1, 2, 0, 0), (-1, 2, 0, 0))
    """
    rest, carry, digits = abs(value), 0, []
    for _ in range(DIGITS):
        digit = rest % 4 + carry
        carry = int(digit > 2)
        digits.append(digit - 4 * carry)
        rest //= 4
    return tuple(digits)


@functools.lru_cache(maxsize=64)
def operand_probabilities(sigma: float, bits: float = BITS) -> Floats:
    """Probability of each operand from `LEAST` to `MOST`: a normal of that sigma, truncated to its bits, rounded."""
    least, most = bounds(bits)

    def below(x: float) -> float:
        return 0.5 * (1 + math.erf(x / (sigma * math.sqrt(2))))

    edges = [min(max(edge, least), most) for edge in (LEAST, *(value + 0.5 for value in range(LEAST, MOST)), MOST)]
    shares = np.diff([below(edge) for edge in edges])
    found: Floats = shares / shares.sum()
    return found


@functools.cache
def _patterns() -> npt.NDArray[np.int64]:
    """Which digits of each operand are not zero. Shape ``(256, DIGITS)``."""
    return np.array([[int(digit != 0) for digit in ent_digits(value)] for value in range(LEAST, MOST + 1)])


def partial_products(sigma: float, bits: float = BITS) -> float:
    """Partial products of an operand, on average: its digits that are not zero."""
    return float(operand_probabilities(sigma, bits) @ _patterns().sum(axis=1))


def digit_probabilities(sigma: float, bits: float = BITS) -> Floats:
    """Probability that a digit is not zero, by bit weight. Shape ``(DIGITS,)``."""
    found: Floats = operand_probabilities(sigma, bits) @ _patterns()
    return found


def counted_by_test_bench(sigma: float, k: int, bits: float = BITS) -> tuple[float, float]:
    """Digits and groups that the authors' test bench counts for one vector of ``k`` operands, on average.

    The published averages are digits / groups. The bench (read, not run) adds the encoder's count at every clock at
    which ``encode_valid`` is set. It stays set for one clock after the last group of a vector unless that group held
    two digits or more; the group (of the highest bit weight, mostly 0 or 1 digits) is then counted a second time:

        digits = k * partial_products + P(n = 1)        groups = k + P(n = 0) + P(n = 1)

    with n the digits of that last group: `LANES` operands at the highest bit weight. So the published averages grow
    with k, toward `partial_products`.
    """
    top = float(digit_probabilities(sigma, bits)[-1])
    none, one = (1 - top) ** LANES, LANES * top * (1 - top) ** (LANES - 1)
    return k * partial_products(sigma, bits) + one, k + none + one


@functools.lru_cache(maxsize=256)
def group_cycles(sigma: float, lanes: int, bits: float = BITS) -> Floats:
    """Distribution of the cycles of one group of ``lanes`` operands: the sum over bit weights of max(1, digits).

    A bit weight at which no operand has a digit still takes the cycle in which it is found empty. Index: cycles.
    """
    counts: dict[tuple[int, ...], float] = {(0,) * DIGITS: 1.0}
    operand: dict[tuple[int, ...], float] = {}
    for pattern, probability in zip(_patterns(), operand_probabilities(sigma, bits), strict=True):
        key = tuple(int(bit) for bit in pattern)
        operand[key] = operand.get(key, 0.0) + float(probability)
    for _ in range(lanes):
        grown: dict[tuple[int, ...], float] = {}
        for held, share in counts.items():
            for pattern_, probability in operand.items():
                key = tuple(a + b for a, b in zip(held, pattern_, strict=True))
                grown[key] = grown.get(key, 0.0) + share * probability
        counts = grown
    found = np.zeros(DIGITS * max(1, lanes) + 1)
    for held, share in counts.items():
        found[sum(max(1, digits) for digits in held)] += share
    return found


@functools.lru_cache(maxsize=256)
def vector_cycles(sigma: float, k: int, bits: float = BITS) -> Floats:
    """Distribution of the cycles of one vector of ``k`` operands: groups of `LANES` one after the other.

    Groups are independent, so their sum is the convolution of `group_cycles`, k / LANES times; what is left of k is one
    smaller group. Index: cycles.
    """
    groups, rest = divmod(k, LANES)
    parts = [(group_cycles(sigma, LANES, bits), groups)] if groups else []
    if rest:
        parts.append((group_cycles(sigma, rest, bits), 1))
    length = 1 + sum((len(one) - 1) * many for one, many in parts)
    size = 1 << (length - 1).bit_length()
    spectrum = np.ones(size // 2 + 1, dtype=complex)
    for one, many in parts:
        spectrum *= np.fft.rfft(one, size) ** many
    found = np.clip(np.fft.irfft(spectrum, size)[:length], 0, None)
    total: Floats = found / found.sum()
    return total


@functools.lru_cache(maxsize=1024)
def slowest_of(sigma: float, k: int, columns: int, bits: float = BITS) -> float:
    """Cycles until the slowest of ``columns`` vectors of ``k`` operands is done, on average.

    E[max] = sum over t >= 0 of 1 - P(one vector takes at most t) ** columns.
    """
    at_most = np.minimum(np.cumsum(vector_cycles(sigma, k, bits)), 1.0)
    return float(np.sum(1 - at_most**columns))
