"""What a study optimises and what it demands, read off the metrics of one evaluated design.

A design that runs several networks gives their metrics under ``<network>.<base metric>``, for example
``bert_base.latency_s``; what belongs to the design alone (area, FPGA resources) may stand once, without a
network. Objectives are then one per network, or one over all of them by an aggregate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from einloom.errors import Problem, SpecError
from einloom.search.metrics import BASE, OF_DESIGN, Metric, base_value, metric

Direction = Literal["min", "max"]
Aggregate = Literal["geomean", "sum", "max"]

OPERATORS = ("<=", ">=", "==", "<", ">")


@dataclass(frozen=True, slots=True)
class Objective:
    """One number to make small or large.

    Attributes:
        metric: What, and in which unit.
        direction: ``"min"`` or ``"max"``.
        network: Of this network; empty for the whole design.
    """

    metric: Metric
    direction: Direction
    network: str = ""

    @property
    def name(self) -> str:
        """``latency_s``, or ``bert_base.latency_s`` for one network."""
        return f"{self.network}.{self.metric.name}" if self.network else self.metric.name

    @property
    def axis(self) -> str:
        """Label of an axis, e.g. ``bert_base: Energy [uJ]``."""
        return f"{self.network}: {self.metric.axis}" if self.network else self.metric.axis

    def of(self, metrics: Mapping[str, float], aggregate: Aggregate | None = None) -> float:
        """Its value for a design with these metrics; NaN where they do not give one."""
        return self.metric.of(metrics_of(metrics, self.network, aggregate))


@dataclass(frozen=True, slots=True)
class Constraint:
    """A demand such as ``area_mm2 <= 10``: of one network, of each of them, or of their aggregate.

    Attributes:
        text: As the user wrote it.
        metric: Left side.
        operator: One of ``<=``, ``<``, ``>=``, ``>``, ``==``.
        bound: Right side, in the unit of ``metric``.
        network: Of this network only; empty for all.
    """

    text: str
    metric: Metric
    operator: str
    bound: float
    network: str = ""

    def values(self, metrics: Mapping[str, float], aggregate: Aggregate | None = None) -> tuple[float, ...]:
        """The numbers that must keep the bound: one, or one per network."""
        names = [self.network] if self.network or aggregate else networks_in(metrics) or [""]
        if self.metric.of_design and not self.network:
            names = [""] if self.metric.base in metrics or not networks_in(metrics) else names
        return tuple(self.metric.of(metrics_of(metrics, name, aggregate)) for name in names)

    def violation(self, metrics: Mapping[str, float], aggregate: Aggregate | None = None) -> float:
        """How far the bound is missed, relative to it.

        At most 0 when it is kept, infinite when a value is unknown.
        """
        return max(self._miss(value) for value in self.values(metrics, aggregate))

    def _miss(self, value: float) -> float:
        if math.isnan(value):
            return math.inf
        scale = abs(self.bound) or 1.0
        if self.operator == "==":
            return abs(value - self.bound) / scale
        miss = (value - self.bound if self.operator.startswith("<") else self.bound - value) / scale
        return max(miss, math.ulp(1.0)) if len(self.operator) == 1 and miss >= 0 else miss

    def reason(self, metrics: Mapping[str, float], aggregate: Aggregate | None = None) -> str:
        """Why the design is infeasible, with both numbers; empty when the bound is kept."""
        if self.violation(metrics, aggregate) <= 0:
            return ""
        value = max(self.values(metrics, aggregate), key=self._miss)
        if math.isnan(value):
            return f"{self.metric.name} is not known, so '{self.text}' cannot be checked"
        return f"{self.metric.name} is {value:.6g}, not {self.operator} {self.bound:.6g}"


def networks_in(metrics: Mapping[str, float]) -> list[str]:
    """Networks that have metrics of their own, in order."""
    found = dict.fromkeys(key.rpartition(".")[0] for key in metrics if key.rpartition(".")[2] in BASE)
    return [name for name in found if name]


def metrics_of(
    metrics: Mapping[str, float], network: str = "", aggregate: Aggregate | None = None
) -> dict[str, float]:
    """Base metrics of one network, or of the whole design: by ``aggregate`` if it runs several networks."""
    whole = {key: value for key, value in metrics.items() if "." not in key}
    if network:
        prefix = network + "."
        own = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        return {**{key: value for key, value in whole.items() if key in OF_DESIGN}, **own}
    networks = networks_in(metrics)
    if len(networks) == 1:
        return metrics_of(metrics, networks[0])
    if not networks or aggregate is None:
        return whole
    return {**combine([metrics_of(metrics, name) for name in networks], aggregate), **whole}


def combine(parts: Sequence[Mapping[str, float]], aggregate: Aggregate) -> dict[str, float]:
    """Base metrics over several networks.

    ``sum`` runs them one after another: cycles, latency, energy and operations add, power and energy-delay
    product follow from the totals, utilization is weighted by cycles. ``max`` and ``geomean`` go metric by
    metric, power and energy-delay product of each network first. What belongs to the design alone is taken
    once.
    """
    found: dict[str, float] = {}
    for base in BASE:
        values = [base_value(part, base) for part in parts]
        if any(math.isnan(value) for value in values):
            continue
        if base in OF_DESIGN or aggregate == "max":
            found[base] = max(values)
        elif aggregate == "geomean":
            found[base] = _geomean(values)
        elif base == "utilization":
            found[base] = _weighted(values, [part.get("cycles", math.nan) for part in parts])
        elif base not in ("edp_js", "power_w"):
            found[base] = math.fsum(values)
    return {base: value for base, value in found.items() if not math.isnan(value)}


def _geomean(values: Sequence[float]) -> float:
    if min(values) < 0:
        return math.nan
    return 0.0 if min(values) == 0 else math.exp(math.fsum(map(math.log, values)) / len(values))


def _weighted(values: Sequence[float], weights: Sequence[float]) -> float:
    total = math.fsum(weights)
    return math.fsum(v * w for v, w in zip(values, weights, strict=True)) / total if total > 0 else math.nan


def parse_name(text: str, networks: Sequence[str] = ()) -> tuple[str, Metric]:
    """``energy_uj`` or ``bert_base.energy_uj``: the network (empty if none is named) and the metric.

    Raises:
        SpecError: Unknown network, metric or unit; the problem's offset is the place inside ``text``.
    """
    network, dot, name = text.rpartition(".")
    if dot and network not in networks:
        known = f"networks: {', '.join(networks)}" if networks else "one workload has no network to name"
        raise SpecError(Problem(f"no network is named '{network}'", known, length=max(1, len(network))))
    try:
        return network, metric(name)
    except SpecError as error:
        raise _moved(error, len(network) + len(dot)) from None


def expand(
    objectives: Sequence[Objective], networks: Sequence[str], aggregate: Aggregate | None
) -> tuple[Objective, ...]:
    """One objective per network where they are per network."""
    expanded: list[Objective] = []
    for objective in objectives:
        shared = objective.network or aggregate or objective.metric.of_design or len(networks) < 2
        for network in [objective.network] if shared else networks:
            expanded.append(Objective(objective.metric, objective.direction, network))
    return tuple(expanded)


_CONSTRAINT = re.compile(
    r"(?P<name>[A-Za-z_][\w.\-]*)?\s*(?P<operator>[<>=!]+)?\s*(?P<bound>\S*)\s*(?P<rest>.*)", re.DOTALL
)
_EXAMPLE = "write: metric operator number - for example: area_mm2 <= 10"
_UNIT_IN_NAME = "the right side is a plain number; the unit is part of the metric's name"


def parse_constraint(text: str, networks: Sequence[str] = ()) -> Constraint:
    """A constraint from its text, e.g. ``area_mm2 <= 10``.

    Raises:
        SpecError: Not of that form; the problem's offset is the place inside ``text``.
    """
    start = len(text) - len(text.lstrip())
    match = _CONSTRAINT.match(text, start)
    assert match is not None  # every part is optional
    name, operator, bound = match["name"], match["operator"], match["bound"]

    def fail(message: str, group: str, hint: str = _EXAMPLE) -> SpecError:
        offset = match.start(group) if match[group] is not None else len(text.rstrip())
        return SpecError(Problem(message, hint, offset=offset, length=max(1, len(match[group] or ""))))

    if not name:
        raise fail(f"'{text}' does not start with a metric", "operator" if operator else "bound")
    if not operator:
        raise fail(f"'{text}' has no comparison", "bound", f"{_EXAMPLE}; comparisons: {', '.join(OPERATORS)}")
    if operator not in OPERATORS:
        raise fail(f"'{operator}' is no comparison", "operator", f"comparisons: {', '.join(OPERATORS)}")
    if not _is_number(bound):
        message = f"'{bound}' is not a number" if bound else f"'{text}' has no number after '{operator}'"
        raise fail(message, "bound", _UNIT_IN_NAME)
    if match["rest"]:
        raise fail(
            f"'{match['rest'].rstrip()}' is too much", "rest", f"one comparison a line; {_UNIT_IN_NAME}"
        )
    try:
        network, left = parse_name(name, networks)
    except SpecError as error:
        raise _moved(error, start) from None
    return Constraint(text.strip(), left, operator, float(bound), network)


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def _moved(error: SpecError, by: int) -> SpecError:
    """The same error, ``by`` characters further right."""
    return SpecError([replace(problem, offset=problem.offset + by) for problem in error.problems])
