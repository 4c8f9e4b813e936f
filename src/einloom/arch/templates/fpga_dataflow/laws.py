"""Cycles of a phase as a sum of named terms, which a design may switch off by name.

What is counted first is what a first-order model knows; each further term is what the next effect adds.
"""

from __future__ import annotations

from dataclasses import dataclass

from einloom.arch.engine import Array, Laws


@dataclass(frozen=True, slots=True)
class PhaseWork:
    """Cycles of a phase by what is counted, each at least as long as the one before. Shape ``(candidates,)``.

    Attributes:
        trips: Longest task by its trips alone, FIFOs without bound.
        filled: With the fill of every loop and the latency of accesses.
        waited: With finite FIFOs.
        moved: Beats and latency of what a phase whose tasks do not say so moves off chip, beside them.
    """

    trips: Array
    filled: Array
    waited: Array
    moved: Array


def trips(work: PhaseWork) -> Array:
    """``max over tasks of sum(product of trips x interval)``: a task takes a trip an interval; tasks overlap.

    Source: initiation interval of pipelined loops (Vitis HLS guide UG1399); composition by maximum: Z. He et al.,
    InTAR, FCCM 2025, arXiv:2502.08807.
    """
    return work.trips


def fill(work: PhaseWork) -> Array:
    """What fill and exit of loops add: ``N x interval + o`` at every entry of a loop; and the latency of accesses.

    Source: `classes.CLASSES`, with the rows that each o was read off.
    """
    return work.filled - work.trips


def stall(work: PhaseWork) -> Array:
    """What finite FIFOs add: ``write(i) >= read(i - capacity) + 1``, ``read(i) >= write(i) + 1`` for every packet.

    For a producer of a packet every p cycles and a consumer that takes n, then computes c cycles:
    ``round = n p + max(0, c - (capacity + 1) p)`` in first order; exactly, a handshake adds about two cycles a round,
    and where p is 1 the consumer's own reads bind. Source: max-plus recursion of bounded queues (F. Baccelli et al.,
    Synchronization and Linearity, Wiley 1992).
    """
    return work.waited - work.filled


def off_chip(work: PhaseWork) -> Array:
    """``max(0, latency + beats - the rest)``: bursts run beside the tasks and show only where they are longer.

    One beat a cycle of the port; the latency of a burst once a tensor (`classes.CLASSES`, burst). Tasks that are
    written out say their accesses themselves, as loops of the kinds burst, read, write and poll.
    """
    rest = work.waited
    return (work.moved - rest).clip(min=0)


LAWS: Laws[PhaseWork] = Laws((trips, fill, stall, off_chip))
TERMS = LAWS.names
