"""What every DRAM has and the reference simulator leaves out: the four-activate window and refresh.

Both are on by default; a design that is held to the simulator names them in ``without``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from einloom.arch.engine import Array
from einloom.arch.templates.dram_pim.timing import Machine


class ArrayWork(Protocol):
    """Work in the banks."""

    @property
    def machine(self) -> Machine: ...
    @property
    def activates(self) -> Array: ...


def four_activate(work: ArrayWork) -> Array:
    """The four-activate window: `Machine.opening` at each opening of a row in all banks of a channel."""
    return np.asarray(work.activates * work.machine.opening)


def refresh(work: ArrayWork, cycles: Array) -> Array:
    """All banks refreshed for ``nRFC`` in every ``nREFI``: ``T nRFC / (nREFI - nRFC)`` beside T cycles of work."""
    t = work.machine.timing
    return np.asarray(cycles * (t.nRFC / (t.nREFI - t.nRFC)))
