"""Optuna's samplers, made repeatable across interruptions.

Every random number comes from a generator that is seeded by the study's seed, the trial's number and what is
sampled. A sampler then is a function of the finished trials: a study that was killed and continued with one
worker proposes exactly the points that it would have proposed undisturbed, for every sampler listed in
`SAMPLERS`. (With several workers, the order in which designs finish decides what model-based samplers know,
so only ``grid``, ``random`` and ``qmc`` propose the same points.)

A dimension becomes one Optuna parameter: choices are categorical, integers are integers, and ordered steps
(powers of two, divisors) are their index, so that samplers see neighbours as near.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from einloom.errors import Problem, SpecError
from einloom.search.plan import Plan
from einloom.search.space import Dimension, Finite, Real, Space

VIOLATIONS = "violations"
"""User attribute of a trial: by how much it misses each constraint, at most 0 where it is kept."""

_HAS_SET_CONSTRAINT = hasattr(optuna.Trial, "set_constraint")  # Optuna >= 5; before, samplers take a function


def parameter(dimension: Dimension) -> tuple[str, BaseDistribution]:
    """Name and distribution of the Optuna parameter that stands for a dimension."""
    if isinstance(dimension, Real):
        return dimension.path, FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension.values, range):
        values = dimension.values
        return dimension.path, IntDistribution(values[0], values[-1], step=values.step)
    if dimension.kind == "steps":
        return f"{dimension.path}#index", IntDistribution(0, len(dimension) - 1)
    return dimension.path, CategoricalDistribution([_label(dimension, i) for i in range(len(dimension))])


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """All Optuna parameters of a space."""
    return dict(map(parameter, space.dimensions))


def to_params(space: Space, point: Mapping[str, object]) -> dict[str, Any]:
    """Optuna's parameters of a point."""
    return {parameter(dim)[0]: _encode(dim, point[dim.path]) for dim in space.dimensions}


def to_point(space: Space, params: Mapping[str, Any]) -> dict[str, object]:
    """The point that Optuna's parameters stand for, without what does not count there."""
    return space.counting({dim.path: _decode(dim, params[parameter(dim)[0]]) for dim in space.dimensions})


def resume(study: Study, trial: FrozenTrial) -> optuna.Trial:
    """A trial that an earlier process left running; what it lacks is sampled as it would have been then."""
    return optuna.Trial(study, trial._trial_id)


def suggest(trial: optuna.Trial, space: Space) -> dict[str, object]:
    """The point of a trial; asks the sampler for what is not settled yet."""
    for name, kind in distributions(space).items():
        if isinstance(kind, CategoricalDistribution):
            trial.suggest_categorical(name, kind.choices)
        elif isinstance(kind, IntDistribution):
            trial.suggest_int(name, kind.low, kind.high, step=kind.step)
        elif isinstance(kind, FloatDistribution):
            trial.suggest_float(name, kind.low, kind.high, log=kind.log)
    return to_point(space, trial.params)


def _label(dimension: Finite, index: int) -> Any:
    value = dimension.value(index)
    return json.dumps(value) if isinstance(value, list) else value


def _decode(dimension: Dimension, param: Any) -> object:
    if isinstance(dimension, Real):
        return dimension.of(param)
    if isinstance(dimension.values, range):
        return dimension.value(dimension.values.index(param))
    if dimension.kind == "steps":
        return dimension.value(param)
    return dimension.value([_label(dimension, i) for i in range(len(dimension))].index(param))


def _encode(dimension: Dimension, value: object) -> Any:
    if isinstance(dimension, Real):
        return float(str(value).removesuffix(dimension.unit)) if dimension.unit else value
    index = next(i for i in range(len(dimension)) if dimension.value(i) == value)
    if isinstance(dimension.values, range):
        return dimension.values[index]
    return index if dimension.kind == "steps" else _label(dimension, index)


class Repeatable(BaseSampler):
    """A sampler whose every decision has a generator of its own; it knows the whole space from the start."""

    def __init__(self, make: Callable[[int], BaseSampler], plan: Plan) -> None:
        self._make, self._seed = make, plan.sampler.seed
        self._generations = plan.sampler.name in ("nsga2", "nsga3")
        self._space = {name: kind for name, kind in distributions(plan.space).items() if not kind.single()}

    def _sampler(self, trial: FrozenTrial, purpose: str) -> BaseSampler:
        text = f"{self._seed}/{trial.number}/{purpose}"
        return self._make(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._generations:
            # The first call in a generation selects the parents and stores them; later calls read them back
            # in another order. Called twice, every call is a later one, also right after an interruption.
            self._sampler(trial, "").sample_relative(study, trial, search_space)
        return self._sampler(trial, "").sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        sampler = self._sampler(trial, param_name)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._sampler(trial, "after").after_trial(study, trial, state, values)


class Planned(BaseSampler):
    """A sampler that knows the point of every trial beforehand: grids and low-discrepancy series."""

    def __init__(self, space: Space, point: Callable[[int], Mapping[str, object]]) -> None:
        self._space, self._point = space, point

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return distributions(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return to_params(self._space, self._point(trial.number))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise AssertionError(f"{param_name} is not part of the space")


def _sobol(space: Space, seed: int) -> Callable[[int], Mapping[str, object]]:
    """Points of a scrambled Sobol sequence (Owen, J. Complexity 14(4), 1998), by number."""
    from scipy.stats import qmc  # noqa: PLC0415 - slow to import, needed here only

    def point(number: int) -> Mapping[str, object]:
        engine = qmc.Sobol(len(space.dimensions), scramble=True, seed=seed)
        if number:
            engine.fast_forward(number)
        return space.at(engine.random(1)[0])

    return point


def make_sampler(plan: Plan) -> BaseSampler:
    """The sampler of a plan.

    Raises:
        SpecError: A grid over an infinite space, or ``gp`` without torch.
    """
    choice, space = plan.sampler, plan.space
    if choice.name == "grid":
        if space.size is None:
            raise SpecError(Problem("a grid needs a finite space", "give floats as a list of choices"))
        return Planned(space, space.point)
    if choice.name == "qmc":
        return Planned(space, _sobol(space, choice.seed))
    return Repeatable(_factory(plan), plan)


def _factory(plan: Plan) -> Callable[[int], BaseSampler]:
    """Seed to a fresh sampler of the plan's kind."""
    choice = plan.sampler
    known: dict[str, Any] = {}
    if plan.constraints and not _HAS_SET_CONSTRAINT:
        known["constraints_func"] = _violations
    if choice.name == "random":
        return lambda seed: optuna.samplers.RandomSampler(seed=seed)
    if choice.name == "tpe":
        return lambda seed: optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, **known
        )
    if choice.name == "nsga2":
        return lambda seed: optuna.samplers.NSGAIISampler(
            seed=seed, population_size=choice.population, **known
        )
    if choice.name == "nsga3":
        return lambda seed: optuna.samplers.NSGAIIISampler(
            seed=seed, population_size=choice.population, **known
        )
    if find_spec("torch") is None:
        hint = "run: pip install torch - or choose the sampler tpe, which needs nothing"
        raise SpecError(Problem("the sampler 'gp' needs the package torch, which is not installed", hint))
    return lambda seed: optuna.samplers.GPSampler(seed=seed, deterministic_objective=True, **known)


def _violations(trial: FrozenTrial) -> Sequence[float]:
    found: Sequence[float] = trial.user_attrs.get(VIOLATIONS, ())
    return found


def note_violations(trial: optuna.Trial, violations: Sequence[float]) -> None:
    """Tell the sampler by how much a trial misses each constraint."""
    trial.set_user_attr(VIOLATIONS, list(violations))
    if _HAS_SET_CONSTRAINT:
        known = trial.constraints  # those that an interrupted run had noted
        for number, violation in enumerate(violations):
            if str(number) not in known:
                trial.set_constraint(str(number), violation)
