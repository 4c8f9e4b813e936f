"""The Pareto front of a study in two metrics: first the data, then the drawing.

``pareto_data`` does all arithmetic and knows no matplotlib; ``draw_pareto`` only draws. The front is that of
the two axes, so a design that is good only in a third objective is a dominated point here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from einloom.errors import Problem, SpecError
from einloom.report.figures import GREY, MARKERS, check_output, new_figure, save, styled, write_csv
from einloom.search.objectives import Objective
from einloom.search.pareto import non_dominated
from einloom.search.result import StudyResult
from einloom.search.space import Finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DECADE = 10.0


@dataclass(frozen=True, slots=True)
class Point:
    """One design in the plane.

    Attributes:
        number: Of the trial.
        x: In the unit of the axis.
        y: In the unit of the axis.
        group: Value of the parameter that markers tell apart; empty without one.
        params: All parameters.
    """

    number: int
    x: float
    y: float
    group: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        name: Metric, e.g. ``"energy_uj"``.
        label: Quantity and unit, e.g. ``"Energy [uJ]"``.
        best: ``"min"`` or ``"max"``.
        log: The range passes a decade.
    """

    name: str
    label: str
    best: str
    log: bool


@dataclass(frozen=True, slots=True)
class ParetoData:
    """Everything that the figure shows.

    Attributes:
        x: Horizontal axis.
        y: Vertical axis.
        front: Points that none dominates in these two axes, from the best x on.
        dominated: The others, by trial number.
        stairs: Corners of the boundary of what is dominated by the front, shape ``(corners, 2)``.
        by: Path of the parameter that markers tell apart; empty if there is none.
        groups: Its values that occur, in the order of the space.
        published: Designs of others: name, x, y.
    """

    x: Axis
    y: Axis
    front: tuple[Point, ...]
    dominated: tuple[Point, ...]
    stairs: tuple[tuple[float, float], ...]
    by: str = ""
    groups: tuple[str, ...] = ()
    published: tuple[tuple[str, float, float], ...] = ()


def pareto_data(
    result: StudyResult,
    x: str = "",
    y: str = "",
    *,
    by: str | None = None,
    published: Mapping[str, tuple[float, float]] | None = None,
) -> ParetoData:
    """The front of a study in two metrics.

    Args:
        result: The study.
        x: Metric of the horizontal axis in its unit; the first objective by default.
        y: Metric of the vertical axis in its unit; the second objective by default.
        by: Parameter that markers tell apart; by default the first one with a few words as values, "" for
            none.
        published: Further designs by name, with their x and y.

    Raises:
        SpecError: Unknown metric or parameter, or no design that is feasible and has both metrics.
    """
    across, up = _axes(result, x, y)
    by = _grouping(result) if by is None else by
    if by and by not in {dimension.path for dimension in result.plan.space.dimensions}:
        known = ", ".join(dimension.path for dimension in result.plan.space.dimensions)
        raise SpecError(Problem(f"'{by}' is no parameter of this study", f"parameters: {known}"))
    points = []
    for trial in result.feasible:
        place = result.value(trial, across.name), result.value(trial, up.name)
        if all(map(math.isfinite, place)):
            points.append(Point(trial.number, *place, str(trial.params.get(by, "-")) if by else "", trial.params))
    if not points:
        raise SpecError(_nothing(result, across.name, up.name))
    ways = _direction(result, across), _direction(result, up)
    mask = non_dominated([(point.x, point.y) for point in points], ways)
    sign = -1 if ways[0] == "max" else 1
    front = sorted(
        (p for p, keep in zip(points, mask, strict=True) if keep), key=lambda p: (sign * p.x, p.number)
    )
    present = {point.group for point in points}
    if len(present) > len(MARKERS):
        hint = f"at most {len(MARKERS)} are told apart; choose a parameter with fewer values"
        raise SpecError(Problem(f"'{by}' has {len(present)} values in this study", hint))
    others = tuple(published.items()) if published else ()
    xs = [point.x for point in points] + [place[0] for _, place in others]
    ys = [point.y for point in points] + [place[1] for _, place in others]
    return ParetoData(
        x=Axis(across.name, across.axis, ways[0], _passes_a_decade(xs)),
        y=Axis(up.name, up.axis, ways[1], _passes_a_decade(ys)),
        front=tuple(front),
        dominated=tuple(point for point, keep in zip(points, mask, strict=True) if not keep),
        stairs=_stairs(front, _worst(xs, ways[0]), _worst(ys, ways[1])),
        by=by,
        groups=tuple(value for value in _values(result, by) if value in present),
        published=tuple((name, *place) for name, place in others),
    )


def _axes(result: StudyResult, x: str, y: str) -> tuple[Objective, Objective]:
    """The two metrics asked for; objectives of the study take the place of what is left out."""
    names = [target.name for target in result.plan.targets] + ["latency_s", "energy_j"]
    first = result.objective(x or next(name for name in names if name != y))
    taken = first.metric.base, first.network
    for name in [y] if y else names:
        second = result.objective(name)
        if y or (second.metric.base, second.network) != taken:
            return first, second
    raise AssertionError("latency and energy are two metrics")


def _direction(result: StudyResult, axis: Objective) -> str:
    """As the study optimises this quantity, in whatever unit; else as it improves."""
    for target in result.plan.targets:
        if target.metric.base == axis.metric.base:
            return target.direction
    return axis.direction


def _grouping(result: StudyResult) -> str:
    """The first parameter whose values are a few words."""
    for dimension in result.plan.space.dimensions:
        if (
            isinstance(dimension, Finite)
            and dimension.kind == "choices"
            and 1 < dimension.size <= len(MARKERS)
        ):
            values = [dimension.value(index) for index in range(dimension.size)]
            if all(isinstance(value, str) and not value[:1].isdigit() for value in values):
                return dimension.path
    return ""


def _values(result: StudyResult, by: str) -> list[str]:
    """All values of a parameter, in the order of the space."""
    for dimension in result.plan.space.dimensions:
        if dimension.path == by and isinstance(dimension, Finite):
            return [str(dimension.value(index)) for index in range(dimension.size)]
    return sorted({str(trial.params.get(by, "-")) for trial in result.feasible}) if by else [""]


def _passes_a_decade(values: list[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) > DECADE


def _worst(values: list[float], way: str) -> float:
    return min(values) if way == "max" else max(values)


def _stairs(front: list[Point], worst_x: float, worst_y: float) -> tuple[tuple[float, float], ...]:
    """Corners from the best x to the best y: on to the next point at this y, then to its y."""
    corners = [(front[0].x, worst_y)]
    for here, following in pairwise(front):
        corners += [(here.x, here.y), (following.x, here.y)]
    return (*corners, (front[-1].x, front[-1].y), (worst_x, front[-1].y))


def _nothing(result: StudyResult, x: str, y: str) -> Problem:
    counts = ", ".join(f"{count} {state}" for state, count in result.counts().items())
    reasons = [trial.reason for trial in result.trials if trial.reason]
    hint = f"the first reason: {reasons[0]}" if reasons else "run the study first"
    return Problem(f"no feasible design has both {x} and {y} (trials: {counts})", hint)


def draw_pareto(data: ParetoData, ax: Axes) -> None:
    """Draw the front; call it inside `einloom.report.figures.styled`."""
    ax.set_xscale("log" if data.x.log else "linear")
    ax.set_yscale("log" if data.y.log else "linear")
    ax.set_xlabel(data.x.label)
    ax.set_ylabel(data.y.label)
    ax.plot(*zip(*data.stairs, strict=True), color=GREY, linewidth=0.8, zorder=2)
    for index, (group, marker) in enumerate(zip(data.groups, MARKERS, strict=False)):
        behind = [point for point in data.dominated if point.group == group]
        ahead = [point for point in data.front if point.group == group]
        label = _group_label(data.by, group)
        ax.plot(
            [p.x for p in behind], [p.y for p in behind], marker, color=GREY, markersize=2, alpha=0.6,
            markeredgewidth=0, zorder=1, label="" if ahead else label,
        )  # fmt: skip
        ax.plot(
            [p.x for p in ahead], [p.y for p in ahead], marker, color=f"C{index}", markeredgecolor="white",
            markeredgewidth=0.4, zorder=3, label=label if ahead else "",
        )  # fmt: skip
    for name, x, y in data.published:
        ax.plot([x], [y], "*", color="black", markersize=7, zorder=4)
        ax.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points")
    if len(data.groups) > 1:
        _legend_above(ax)
    _mark_better(data, ax)


def _group_label(by: str, group: str) -> str:
    """``weight stationary``; a number says of what: ``rows 16``; a file goes by its name: ``edge pim``."""
    if group.endswith(".yaml"):
        return PurePath(group).stem.replace("_", " ")
    return f"{by.rpartition('.')[2]} {group}" if group[:1].isdigit() else group.replace("_", " ")


def _legend_above(ax: Axes) -> None:
    """Outside the axes, where it hides no design; as many columns as fit."""
    handles, labels = ax.get_legend_handles_labels()
    columns = max(1, min(len(labels), 56 // (6 + max(map(len, labels)))))
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.legend(
        handles, labels, loc="outside upper center", ncols=columns, columnspacing=1.0, frameon=False
    )


def _mark_better(data: ParetoData, ax: Axes) -> None:
    """An arrow into the corner where both axes are best, in a strip of its own beside all designs."""
    right, up = data.x.best == "max", data.y.best == "max"
    transform = ax.yaxis.get_transform()
    low, high = transform.transform(ax.get_ylim())
    strip = 0.14 * (high - low)
    ax.set_ylim(*transform.inverted().transform((low, high + strip) if up else (low - strip, high)))
    tip, text = (abs(right - 0.015), abs(up - 0.02)), (abs(right - 0.09), abs(up - 0.055))
    ax.annotate(
        "better", tip, xytext=text, xycoords="axes fraction", textcoords="axes fraction", color="#555555",
        ha="right" if right else "left", va="top" if up else "bottom", style="italic",
        arrowprops={"arrowstyle": "-|>", "color": "#555555", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def plot(
    result: StudyResult,
    x: str = "",
    y: str = "",
    output: Path = Path("front.pdf"),
    *,
    by: str | None = None,
    published: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Path, Path]:
    """Draw the front of a study for a paper, and write its data beside it.

    Args:
        result: The study.
        x: See `pareto_data`.
        y: See `pareto_data`.
        output: Ends in ``.pdf``, ``.svg`` or ``.png``.
        by: See `pareto_data`.
        published: See `pareto_data`.

    Returns:
        The figure and the table (CSV) of its points.

    Raises:
        SpecError: Unknown metric, parameter or suffix, nothing to draw, or a file that cannot be written.
    """
    check_output(output)
    data = pareto_data(result, x, y, by=by, published=published)
    with styled():
        figure, ax = new_figure()
        draw_pareto(data, ax)
        save(figure, output)
    table = output.with_suffix(".csv")
    write_csv(table, *csv_rows(data))
    return output, table


def csv_rows(data: ParetoData) -> tuple[list[str], list[list[object]]]:
    """Header and rows of the figure's data: the front from the best x on, then the dominated designs."""
    paths = list(dict.fromkeys(path for point in (*data.front, *data.dominated) for path in point.params))
    header = ["trial", "front", data.x.name, data.y.name, *paths]
    rows: list[list[object]] = [
        [point.number, int(in_front), repr(point.x), repr(point.y), *(point.params.get(path, "") for path in paths)]
        for in_front, points in ((True, data.front), (False, data.dominated))
        for point in points
    ]
    rows += [
        [name, "", repr(float(x)), repr(float(y)), *("" for _ in paths)] for name, x, y in data.published
    ]
    return header, rows
