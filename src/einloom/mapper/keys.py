"""What answers and sets are kept under: everything that they depend on, names of ranks and tensors by position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from einloom.arch.rules import EinsumRules
from einloom.arch.tree import Amount, Architecture, Compute, Fanout, Level, Memory, Share
from einloom.model.structure import applies
from einloom.workloads.sized import SizedEinsum

COUNTING = ("arch", "mapper", "mappings", "model", "workloads")
"""Parts of the package on whose sources an answer depends."""


@dataclass(frozen=True, slots=True)
class Key:
    """What one Einsum on one path of levels may cost.

    Attributes:
        topology: The Einsum's shape, levels, capacities, rules, which rates are limited: all that counts depend on.
        prices: Energies, rates and leakage: what they are multiplied with.
    """

    topology: str
    prices: str

    def answer(self, asked: str) -> str:
        """The name under which the answer to ``asked`` is kept."""
        return _digest("answer", self.topology, self.prices, asked)

    def counts(self) -> str:
        """The name under which the set of counts is kept."""
        return _digest("counts", self.topology)


def key_of(architecture: Architecture, path: tuple[Level, ...], einsum: SizedEinsum, rules: EinsumRules) -> Key | None:
    """Equal for problems with equal answers; None where a timing law is not of this package: its code may change.

    Args:
        einsum: Flattened already where the rules flatten.
    """
    law = type(architecture.timing)
    if law.__module__.partition(".")[0] != __package__.partition(".")[0]:
        return None
    return Key(
        topology=_digest(
            _program(), einsum.shape_key, positional(path, einsum, rules),
            tuple(_topology(level, einsum) for level in path), f"{law.__qualname__} {architecture.timing!r}",
        ),
        prices=_digest(
            tuple(_prices(level, einsum) for level in path), architecture.leakage_w() / architecture.clock_hz
        ),
    )  # fmt: skip


def positional(levels: Iterable[Level], einsum: SizedEinsum, rules: EinsumRules) -> object:
    """The rules with variables and tensors by position, so that equal Einsums under equal rules have equal keys."""
    order = {var: i for i, var in enumerate(einsum.extents)}
    place: dict[str, int] = {}
    for i, access in enumerate(einsum.accesses):
        place.setdefault(access.tensor, i)
    axes = tuple((axis, tuple(sorted(order[v] for v in allowed if v in order))) for axis, allowed in rules.axes.items())
    holds = tuple(
        (memory, tuple(t in holding.must for t in place), tuple(holding.allows(t) for t in place))
        for memory, holding in rules.holds.items()
    )
    switches = tuple(
        tuple(tuple(applies(which, einsum, tensor) for tensor in place) for which in _switches(level))
        for level in levels
    )
    whole = tuple(sorted(order[v] for v in rules.whole if v in order))
    layouts = tuple(
        tuple(sorted((axis, tuple((order[v], bound) for v, bound in loops)) for axis, loops in layout.items()))
        for layout in rules.layouts
    )
    blocks = tuple(sorted((order[v], tuple(sorted(names))) for v, names in rules.blocks.items() if v in order))
    return axes, holds, switches, whole, layouts, blocks, tuple(place[a.tensor] for a in einsum.accesses)


def _switches(level: Level) -> tuple[Share, ...]:
    """What a level switches on tensor by tensor."""
    if isinstance(level, Fanout):
        return level.multicast, level.reduce
    return (level.double_buffered,) if isinstance(level, Memory) else ()


def _topology(level: Level, einsum: SizedEinsum) -> object:
    if isinstance(level, Memory):
        rates = tuple((rate.value == float("inf"), rate.in_words) for rate in _rates(level))
        return level.name, str(level.capacity.value), level.capacity.in_words, str(level.word_bits), rates
    if isinstance(level, Fanout):
        return level.name, tuple(level.axes.items()), level.hop_cycles, level.link_energy_pj > 0
    return level.name, tuple(level.operator_cycles(operator) for operator in einsum.operations())


def _prices(level: Level, einsum: SizedEinsum) -> object:
    if isinstance(level, Memory):
        return level.read_energy_pj, level.write_energy_pj, tuple(str(rate.value) for rate in _rates(level))
    if isinstance(level, Fanout):
        return level.link_energy_pj
    assert isinstance(level, Compute)
    return tuple(level.operator_energy_pj(operator) for operator in einsum.operations())


def _rates(memory: Memory) -> tuple[Amount, ...]:
    return memory.bandwidth, memory.read_bandwidth, memory.write_bandwidth


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@cache
def _program() -> str:
    """The version, and a digest of the sources that count."""
    digest = hashlib.blake2b(version("einloom").encode(), digest_size=16)
    package = Path(__file__).parent.parent
    for part in COUNTING:
        for source in sorted((package / part).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()
