"""Timing laws: named cycle terms that an architecture adds to the busiest resource.

A law sees what the model counted (arrays over candidate mappings) and returns cycles per named term. The
default law adds nothing: latency is then the busiest of compute and memory ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Activity(Protocol):
    """What a law may ask about the mapped Einsum. All arrays have shape ``(candidates,)``."""

    @property
    def steps(self) -> Array:
        """Clipped temporal steps of the iteration space on the compute."""
        ...

    def visits(self, memory: str) -> Array:
        """Stationary periods of ``memory``: longest runs of steps in which the tiles it holds do not change.

        Counted at its busiest instance. Loops just outside the hold that the held tensors ignore do not end a
        period. 0 when ``memory`` holds no tensor of this Einsum.
        """
        ...

    def periods(self, memory: str) -> Sequence[tuple[Array, Array]]:
        """The stationary periods of ``memory`` by length: pairs (how many, steps of each).

        Exact also where bounds are clipped: the sum of ``many * steps`` is :attr:`steps`, the sum of ``many``
        is :meth:`visits`. The first pair is the class of the first period (full tiles), the last pair that of
        the last one (every clipped remainder); they may be one. Empty when ``memory`` holds no tensor of this
        Einsum.
        """
        ...

    def delivered(self, memory: str) -> Array:
        """Elements of inputs sent to the instances of ``memory``; one that several share by multicast counts once."""
        ...

    def used(self, fanout: str, axis: str) -> Array:
        """Largest number of instances in use along one axis, over all steps."""
        ...


@dataclass(frozen=True, slots=True)
class TimingLaw:
    """Adds no term: cycles are the busiest resource's.

    Subclasses override :meth:`terms`; they are frozen dataclasses whose fields are their constants.
    """

    def terms(self, activity: Activity) -> Mapping[str, Array]:
        """Cycles added to the busiest resource, by name, at least 0. Shape ``(candidates,)`` each, or one for all.

        The names ``compute`` and ``stall`` (what a memory port adds) are the model's own.
        """
        return {}


def zeros_like(activity: Activity) -> Array:
    return np.zeros_like(activity.steps)
