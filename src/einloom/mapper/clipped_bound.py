"""A lower bound on what any clipped nest of an Einsum costs: spatial factors and holders free, temporal order ideal.

For each choice of holders and of spatial factors (any integers that fit the axes, not only divisors) everything that
these alone decide is charged, and every hold moves its elements once. With ``s`` instances along a rank of ``N``:

- the compute takes at least points / (product of s over the ranks that its operand ignores and the fanouts share);
- an operand that slides is taken at sums of offsets, at least as many as (sum of s - 1) + 1 a dimension; in remainder
  steps fewer instances run, and fewer share, so words per operation only rise;
- instances that do not share each meet what their part of the ranks indexes; summed over them, N / s values a rank;
- an output is touched first at most once an instance and element;
- steps are at least N / s a rank.

Clipping only adds to each of these (a ceiling is at least the quotient), so the bound holds for every nest.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from einloom.mapper.labels.plan import Plan, plans
from einloom.mapper.labels.record import EXECUTED, IRRELEVANT
from einloom.mapper.labels.task import Task
from einloom.model.arrays import Array

MOST_SPREADS = 400_000
"""More choices of spatial factors are not listed; the bound is then what is compulsory."""


def least(task: Task) -> tuple[float, float] | None:
    """Least energy, and least energy x cycles, of any clipped nest; None where the choices are too many.

    Capacities are ignored.
    """
    spreads = _spreads(task)
    if spreads is None:
        return None
    used = spreads.prod(axis=1) if len(task.fanouts) else np.ones((1, len(task.names)))
    steps = _steps(task, np.array(task.sizes) / used)
    energy = np.full(len(steps), np.inf)
    for _, plan in plans(task):
        energy = np.minimum(energy, _energy(task, plan, spreads))
    energy += task.operations_pj + task.leakage_pj_per_cycle * steps
    return float(energy.min()), float((energy * steps).min())


def _steps(task: Task, left: Array) -> Array:
    """Busy cycles of the compute where ``left`` iterations of each rank remain in time, as real numbers."""
    column = {name: left[:, r] for r, name in enumerate(task.names)}
    total = np.zeros(len(left))
    for work in task.einsum.work:
        points = np.ones(len(left))
        for variable in work.variables:
            points = points * column.get(variable, 1.0)
        total += points * (task.compute.operator_cycles(work.operator) * work.count)
    return total


def _spreads(task: Task) -> Array | None:
    """``(choices, F, R)`` all integer spatial factors."""
    if not task.names:
        return np.ones((1, len(task.fanouts), 0))
    each = []
    for number in range(len(task.fanouts)):
        fanout = task.fanout(number)
        rows = np.ones((1, len(task.names)), dtype=np.int64)
        for axis, size in fanout.axes.items():
            limits = [
                n if task.rules.axis_allows(fanout.name, axis, name) else 1
                for name, n in zip(task.names, task.sizes, strict=True)
            ]
            vectors = np.array(list(itertools.islice(_vectors(limits, size), MOST_SPREADS + 1)), dtype=np.int64)
            if len(rows) * len(vectors) > 20 * MOST_SPREADS:
                return None
            rows = np.unique((rows[:, None, :] * vectors[None, :, :]).reshape(-1, len(task.names)), axis=0)
            rows = np.unique(np.minimum(rows, task.sizes), axis=0)
        each.append(rows)
    if np.prod([float(len(rows)) for rows in each]) > MOST_SPREADS:
        return None
    grid = np.meshgrid(*(np.arange(len(rows)) for rows in each), indexing="ij")
    chosen = [rows[index.ravel()] for rows, index in zip(each, grid, strict=True)]
    return np.stack(chosen, axis=1).astype(float) if chosen else np.ones((1, 0, len(task.names)))


def _vectors(limits: Sequence[int], most: int) -> itertools.chain[tuple[int, ...]] | list[tuple[int, ...]]:
    """Integers of at least 1 up to each limit, with a product of at most ``most``."""
    if not limits:
        return [()]
    return itertools.chain.from_iterable(
        ((first, *rest) for rest in _vectors(limits[1:], most // first)) for first in range(1, min(limits[0], most) + 1)
    )


def _energy(task: Task, plan: Plan, spreads: Array) -> Array:
    """Least energy of words for one choice of holders, without operations."""
    tensors = task.tensors
    total = np.zeros(len(spreads))
    for (tensor, bits, kind), price in zip(plan.fixed_key.tolist(), plan.fixed_price, strict=True):
        shared = _over(spreads, bits, tensors.relevance[tensor] == IRRELEVANT)
        words = float(task.einsum.points) / shared if kind == EXECUTED else tensors.sizes[tensor] * shared
        total += words * price
    for tensor, bits, price in zip(plan.read_tensor.tolist(), plan.read_merged.tolist(), plan.read_price, strict=True):
        words = float(task.einsum.points) / _over(spreads, bits, np.ones(len(task.names), dtype=bool))
        for d in range(int(tensors.dims[tensor])):
            words = words * _sums(tensors.coefficients[tensor, d], _factors(spreads, bits))
        total += words * price
    for v, price in enumerate(plan.view_price):
        total += _met(task, plan, spreads, v) * price
    return total


def _met(task: Task, plan: Plan, spreads: Array, v: int) -> Array:
    """Elements that the groups of instances which share a view meet, in all."""
    tensors, hold = task.tensors, plan.view_hold[v]
    tensor = int(plan.hold_tensor[hold])
    apart = sum(1 << g for g in range(int(plan.hold_region[hold]), len(task.fanouts))) & ~int(plan.view_merged[v])
    if not tensors.windowed[tensor]:
        return np.asarray(tensors.sizes[tensor] * _over(spreads, apart, tensors.relevance[tensor] == IRRELEVANT))
    words = _over(spreads, apart, np.ones(len(task.names), dtype=bool))
    values = np.array(task.sizes) / _factors(spreads, apart)
    for d in range(int(tensors.dims[tensor])):
        words = words * _sums(tensors.coefficients[tensor, d], values)
    return words


def _factors(spreads: Array, bits: int) -> Array:
    """``(choices, R)`` spatial factors over the fanouts named by ``bits``."""
    product = np.ones((len(spreads), spreads.shape[2]))
    for g in range(spreads.shape[1]):
        if (bits >> g) & 1:
            product = product * spreads[:, g]
    return product


def _over(spreads: Array, bits: int, ranks: Array) -> Array:
    """``(choices,)`` product of the spatial factors of some ranks over some fanouts."""
    return np.asarray(_factors(spreads, bits)[:, ranks].prod(axis=1))


def _sums(coefficients: Array, values: Array) -> Array:
    """At least as many sums as one dimension shows when each of its ranks shows so many values."""
    return np.asarray(1 + (values[:, coefficients > 0] - 1).sum(axis=1))
