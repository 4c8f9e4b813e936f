"""Distinct rows of the bounds of some ranks: most candidates of a batch share them, so each is counted once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from einloom.model.arrays import SAFE, Array, Count

BLOCK = 1024
"""Most rows in one of `Chains.blocks`."""

Key = tuple[str, int]


@dataclass(frozen=True)
class Chains:
    """Rows of bounds.

    Attributes:
        columns: By name and place. Shape ``(rows,)`` each.
        back: The row of each candidate; None: its own.
    """

    columns: Mapping[Key, Array]
    back: Array | None

    @classmethod
    def of(cls, columns: Mapping[Key, Array]) -> Chains:
        """Args: columns: Shape ``(candidates,)`` each."""
        key = _key(list(columns.values()))
        if key is None:
            return cls(columns, None)
        distinct = np.unique(key)
        if 2 * len(distinct) > len(key):
            return cls(columns, None)
        back = np.searchsorted(distinct, key)
        example = np.empty(len(distinct), dtype=np.int64)
        example[back] = np.arange(len(key))
        return cls({name: column[example] for name, column in columns.items()}, back)

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values()), [0]))

    def column(self, name: str, place: int) -> Array:
        return self.columns[name, place]

    def count(self, name: str, place: int) -> Count:
        """A column, or the integer of the only row."""
        column = self.columns[name, place]
        return int(column[0]) if len(column) == 1 else column

    def everywhere(self, values: Count) -> Count:
        """What belongs to each row, for each candidate."""
        return values if self.back is None or isinstance(values, int) else values[self.back]

    def blocks(self) -> Iterator[Chains]:
        """The rows in blocks."""
        for start in range(0, self.rows, BLOCK):
            yield Chains({key: column[start : start + BLOCK] for key, column in self.columns.items()}, None)


def _key(columns: Sequence[Array]) -> Array | None:
    """One integer that tells rows apart; None where there is one row, or a column is too large."""
    if not columns or len(columns[0]) == 1 or any(float(column.max()) >= SAFE for column in columns):
        return None
    key, span = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        width = int(column.max()) + 1
        if span * width >= SAFE:
            key = np.unique(key, return_inverse=True)[1].reshape(-1)
            span = int(key.max()) + 1
        key, span = key * width + column.astype(np.int64, copy=False), span * width
    return key
