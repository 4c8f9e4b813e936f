"""Work that is no matrix product, on a row of lanes: softmax pieces, norms, element-wise Einsums, reductions.

Engines whose arrays only multiply and sum give it to a vector unit: an operator takes the cycles of its component (an
exponential 6 multiply-accumulates, and so on; arch/components/operators.csv) on one lane.
"""

from __future__ import annotations

from einloom.arch.engine import ProgramEinsum
from einloom.arch.tree import Compute
from einloom.errors import MappingError


def lane_cycles(compute: Compute, einsum: ProgramEinsum) -> int:
    """Cycles of ``einsum`` on a single lane: operations x cycles of each operator."""
    return sum(count * compute.operator_cycles(operator) for operator, count in einsum.operations().items())


def operations_pj(compute: Compute, einsum: ProgramEinsum) -> float:
    """Energy of all operations of ``einsum``, pJ.

    Raises:
        MappingError: It has an operator that ``compute`` cannot cost.
    """
    total = 0.0
    for operator, count in einsum.operations().items():
        energy = compute.operator_energy_pj(operator)
        if energy is None:
            known = ", ".join(sorted(compute.energy_pj))
            raise MappingError(
                f"Einsum {einsum.name}: operator '{operator}' has no cost on compute '{compute.name}'",
                f"operators that it can run: {known}",
            )
        total += count * energy
    return total
