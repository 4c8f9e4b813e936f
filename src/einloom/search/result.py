"""What a study found: its trials as values, and the front among them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from einloom.search.objectives import Objective, parse_name
from einloom.search.pareto import non_dominated
from einloom.search.plan import Plan

if TYPE_CHECKING:
    import pandas

State = Literal["feasible", "infeasible", "failed"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One design point.

    Attributes:
        number: In the order of the study, from 0.
        params: Path to value, the overrides of the design.
        state: ``feasible``; ``infeasible``: evaluated, but breaks a constraint; ``failed``: could not be
            evaluated.
        metrics: Base metrics, e.g. ``energy_pj``; empty if it failed.
        objectives: Value of each target of the plan in its unit; empty if it failed.
        reason: Why it is not feasible; empty if it is.
        same_as: Number of the earlier trial at the same point, whose values these are; None if there is none.
    """

    number: int
    params: Mapping[str, object]
    state: State
    metrics: Mapping[str, float] = field(default_factory=dict)
    objectives: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    same_as: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; a metric that is not finite is null."""
        return {
            "number": self.number,
            "state": self.state,
            "params": dict(self.params),
            "objectives": dict(self.objectives),
            "metrics": {
                name: value if math.isfinite(value) else None for name, value in self.metrics.items()
            },
            "reason": self.reason,
            "same_as": self.same_as,
        }


@dataclass(frozen=True)
class StudyResult:
    """All finished trials of a study.

    Attributes:
        plan: What was asked.
        trials: In order of their numbers.
    """

    plan: Plan
    trials: tuple[Trial, ...]

    @property
    def complete(self) -> bool:
        """Whether the budget is used up."""
        return len(self.trials) >= self.plan.total

    @cached_property
    def feasible(self) -> tuple[Trial, ...]:
        """Trials that count, each point once."""
        return tuple(trial for trial in self.trials if trial.state == "feasible" and trial.same_as is None)

    @cached_property
    def front(self) -> tuple[Trial, ...]:
        """Feasible points that no other dominates in the objectives, in the order of the first objective."""
        targets = self.plan.targets
        if not self.feasible:
            return ()
        points = [[trial.objectives[target.name] for target in targets] for trial in self.feasible]
        mask = non_dominated(points, [target.direction for target in targets])
        kept = [trial for trial, keep in zip(self.feasible, mask, strict=True) if keep]
        return tuple(sorted(kept, key=lambda trial: (*self._rank(trial), trial.number)))

    def _rank(self, trial: Trial) -> Iterator[float]:
        for target in self.plan.targets:
            value = trial.objectives[target.name]
            yield -value if target.direction == "max" else value

    def objective(self, name: str) -> Objective:
        """An axis by its name: a target of the plan, or any other metric in any unit.

        Raises:
            SpecError: No such metric or network.
        """
        for target in self.plan.targets:
            if target.name == name:
                return target
        network, found = parse_name(name, self.plan.networks)
        return Objective(found, "max" if found.best == "max" else "min", network)

    def value(self, trial: Trial, name: str) -> float:
        """Any metric of a trial in any unit, e.g. ``energy_uj``; NaN where it is not known."""
        if name in trial.objectives:
            return trial.objectives[name]
        return self.objective(name).of(trial.metrics, self.plan.aggregate) if trial.metrics else math.nan

    def counts(self) -> dict[str, int]:
        """Number of trials by state."""
        return {
            state: sum(trial.state == state for trial in self.trials)
            for state in ("feasible", "infeasible", "failed")
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: the plan, every trial, and the front again by itself."""
        return {
            "version": 1,
            "study": self.plan.name,
            "hash": self.plan.digest,
            "plan": self.plan.to_dict(),
            "complete": self.complete,
            "counts": self.counts(),
            "front": [trial.to_dict() for trial in self.front],
            "trials": [trial.to_dict() for trial in self.trials],
        }

    def to_frame(self) -> pandas.DataFrame:
        """One row a trial: number, state, whether in the front, parameters, objectives, other metrics."""
        import pandas  # noqa: PLC0415 - optional

        front = {trial.number for trial in self.front}
        rows = [
            {
                "number": trial.number,
                "state": trial.state,
                "front": trial.number in front,
                **trial.params,
                **trial.metrics,
                **trial.objectives,
                "reason": trial.reason,
            }
            for trial in self.trials
        ]
        return pandas.DataFrame(rows)

    def _repr_html_(self) -> str:
        paths = [dimension.path for dimension in self.plan.space.dimensions]
        names = [*paths, *(t.name for t in self.plan.targets)]
        rows = [
            [*(trial.params.get(path, "-") for path in paths), *(f"{v:.6g}" for v in trial.objectives.values())]
            for trial in self.front
        ]
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
