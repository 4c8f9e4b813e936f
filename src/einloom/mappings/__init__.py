"""How the computation runs: loop nests, their text form and their bounds."""

from einloom.mappings.bounds import AUTO, Bound
from einloom.mappings.nodes import (
    Bind,
    Child,
    Choice,
    Forward,
    Group,
    Hold,
    Loop,
    MappingPlan,
    Nest,
    Node,
    Nodes,
    Spatial,
    resolved,
    walk,
)  # fmt: skip
from einloom.mappings.text import nest_data, parse_node, parse_nodes, parse_plan, plan_data

__all__ = [
    "AUTO", "Bind", "Bound", "Child", "Choice", "Forward", "Group", "Hold", "Loop", "MappingPlan", "Nest", "Node",
    "Nodes", "Spatial", "nest_data", "parse_node", "parse_nodes", "parse_plan", "plan_data", "resolved", "walk",
]  # fmt: skip
