"""A mapping in YAML (DESIGN section 5) to a `MappingPlan`; all problems of the file at once."""

from __future__ import annotations

from einloom.errors import MappingError, Path
from einloom.mappings import MappingPlan, parse_plan
from einloom.spec.document import Document, at


def load_mapping(document: Document, path: Path = ("mapping",)) -> MappingPlan:
    """The mapping at ``path`` of ``document``.

    Raises:
        SpecError: With every line that is no mapping node, in file order.
    """
    try:
        return parse_plan(at(document.data, path))
    except MappingError as error:
        document.fail(problem.below(*path) for problem in error.problems)
