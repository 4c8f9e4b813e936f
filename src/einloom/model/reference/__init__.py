"""The executable reference: walks one loop nest step by step, with explicit tiles, and counts what moves.

It is the independent evidence for the closed form of `einloom.model`, so it shares nothing with it: only
the value objects (Einsum, levels, nodes) are common. It is written to be read, not to be fast: what moves is
a set of coordinates, and every rule of counting stands beside the few lines that execute it. Read `nest` (who
stands where, and what it holds), then `moves` (what arrives and leaves at each step), then `counting` (who
reads and writes it), then `values` (what is computed).
"""

from einloom.model.reference.counting import Counts, Link
from einloom.model.reference.execution import MAX_POINTS, Execution, execute

__all__ = ["MAX_POINTS", "Counts", "Execution", "Link", "execute"]
