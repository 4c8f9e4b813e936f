"""What is computed: Einsums, cascades of them, their graph, and their meaning in numpy."""

from einloom.workloads.cascade import DEFAULT_BITS, Cascade, Workload
from einloom.workloads.counting import Traffic
from einloom.workloads.einsum import Einsum, Generation
from einloom.workloads.grammar import parse_einsum
from einloom.workloads.operators import Operator, operator_named, operator_names, register_operator
from einloom.workloads.sized import Access, Dim, Role, SizedEinsum, Work

__all__ = [
    "DEFAULT_BITS",
    "Access",
    "Cascade",
    "Dim",
    "Einsum",
    "Generation",
    "Operator",
    "Role",
    "SizedEinsum",
    "Traffic",
    "Work",
    "Workload",
    "operator_named",
    "operator_names",
    "parse_einsum",
    "register_operator",
]
