"""The executable reference for fused trees: the tree walked step by step, with explicit tiles, and counted.

It is the independent evidence for the closed form of fused trees and shares nothing with it. Read `tree` (who runs
below which nodes, and when), then `holding` (homes, forwarded words), `boxes` and `words` (what moves between
holders), `slots` and `schedule` (what runs when, for how long), `occupancy` (what lives at the same time), and
`values` (what is computed, and whether the order is legal).
"""

from einloom.model.reference.fused.execution import MAX_POINTS, LeafCounts, TreeCounts, TreeExecution, execute_tree
from einloom.model.reference.fused.schedule import SlotGroup
from einloom.model.reference.fused.words import Flow

__all__ = ["MAX_POINTS", "Flow", "LeafCounts", "SlotGroup", "TreeCounts", "TreeExecution", "execute_tree"]
