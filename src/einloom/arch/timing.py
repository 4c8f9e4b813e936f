"""Timing laws: named cycle terms that an architecture adds to the busiest resource.

A law sees what the model counted (arrays over candidate mappings) and returns cycles per named term. The default law
adds nothing: latency is then the busiest of compute and memory ports.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        """Tiles that one (busiest) instance of ``memory`` receives over the run: its stationary periods."""
        ...

    def steps_per_visit(self, memory: str) -> Array:
        """Steps of a full visit: product of the temporal bounds below the innermost hold of ``memory``."""
        ...

    def used(self, fanout: str, axis: str) -> Array:
        """Largest number of instances in use along one axis."""
        ...


@dataclass(frozen=True, slots=True)
class TimingLaw:
    """Adds no term: cycles are the busiest resource's.

    Subclasses override :meth:`terms`; they are frozen dataclasses whose fields are their constants.
    """

    def terms(self, activity: Activity) -> Mapping[str, Array]:
        """Cycles added to the busiest resource, by name. Shape ``(candidates,)`` each."""
        return {}


def zeros_like(activity: Activity) -> Array:
    return np.zeros_like(activity.steps)
