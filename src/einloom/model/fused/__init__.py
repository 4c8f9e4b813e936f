"""The closed form of fused mapping trees: words, cycles, occupancy and energy of a cascade on one tree.

Read `program` (each Einsum's nest), `residence` (where tensors live), `words` (what moves), `slots`, `lags` and
`schedule` (cycles), `occupancy`, and `evaluate`, which puts them together.
"""

from einloom.model.fused.evaluate import Fused, evaluate_tree

__all__ = ["Fused", "evaluate_tree"]
