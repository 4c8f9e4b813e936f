"""The best mapping of an Einsum on an architecture, exact within a declared map space.

`declare` states the space, `search` costs it in blocks of candidates, `Mapper` does so for every Einsum of a workload
and maps equal ones once.
"""

from einloom.mapper.found import OBJECTIVES
from einloom.mapper.mapper import Mapped, Mapper
from einloom.mapper.partial import has_auto
from einloom.mapper.whole import combined_front, least_product, least_sum, proven

__all__ = ["OBJECTIVES", "Mapped", "Mapper", "combined_front", "has_auto", "least_product", "least_sum", "proven"]
