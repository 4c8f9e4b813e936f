"""Published figures held against the model: what a design file says of them, arithmetic over results, the comparison.

Knows results as plain data (`Evaluation.to_dict`) and nothing of how they came about: the facade runs the cases.
"""

from einloom.validation.compare import Comparison, Validation, compare
from einloom.validation.expression import Expression, parse_expression
from einloom.validation.figures import Case, Figure, Published, Source

__all__ = ["Case", "Comparison", "Expression", "Figure", "Published", "Source", "Validation", "compare",
           "parse_expression"]  # fmt: skip
