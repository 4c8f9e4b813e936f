"""einloom: which accelerator should I build for this computation, and how should the computation run on it?

    import einloom as el
    design = el.load("designs/peer16_gemm.yaml")
    design.evaluate().energy_pj
    design.map(objective="edp").cycles

Names are imported when they are first used, so that ``import einloom`` and ``einloom --help`` answer at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from einloom.api import Design, analyze, check, explore, load
    from einloom.arch.tree import Architecture
    from einloom.errors import EinloomError, MappingError, PluginError, Problem, SpecError
    from einloom.mappings import MappingPlan, Nest
    from einloom.model.result import EinsumResult, Evaluation, Front
    from einloom.report.pareto import plot
    from einloom.search.result import StudyResult
    from einloom.search.study import load_study
    from einloom.validating import validate
    from einloom.validation.compare import Comparison, Validation
    from einloom.workloads import Cascade, Workload

_HOME = {
    "Architecture": "einloom.arch.tree",
    "Cascade": "einloom.workloads",
    "Comparison": "einloom.validation.compare",
    "Design": "einloom.api",
    "EinloomError": "einloom.errors",
    "EinsumResult": "einloom.model.result",
    "Evaluation": "einloom.model.result",
    "Front": "einloom.model.result",
    "MappingError": "einloom.errors",
    "MappingPlan": "einloom.mappings",
    "Nest": "einloom.mappings",
    "PluginError": "einloom.errors",
    "Problem": "einloom.errors",
    "SpecError": "einloom.errors",
    "StudyResult": "einloom.search.result",
    "Validation": "einloom.validation.compare",
    "Workload": "einloom.workloads",
    "analyze": "einloom.api",
    "check": "einloom.api",
    "explore": "einloom.api",
    "load": "einloom.api",
    "load_study": "einloom.search.study",
    "plot": "einloom.report.pareto",
    "validate": "einloom.validating",
}

__all__ = [
    "Architecture", "Cascade", "Comparison", "Design", "EinloomError", "EinsumResult", "Evaluation", "Front",
    "MappingError", "MappingPlan", "Nest", "PluginError", "Problem", "SpecError", "StudyResult", "Validation",
    "Workload", "analyze", "check", "explore", "load", "load_study", "plot", "validate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'einloom' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
