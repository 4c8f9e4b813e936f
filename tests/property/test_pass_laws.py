"""Laws of pass analysis on cascades that are drawn: names and the order of lines are nothing to it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from einloom.workloads import Einsum
from einloom.workloads.passes import passes


@st.composite
def cascades(draw: st.DrawFn) -> list[str]:
    """Lines over a fiber ``m``: element-wise, reductions and recurrences of what stands above them."""
    lines: list[str] = []
    fibers, scalars, running = ["A"], [], []
    for number in range(draw(st.integers(1, 8))):
        name = f"T{number}"
        kind = draw(st.sampled_from(["map", "scale", "reduce", "iterate", "ahead", "last"]))
        fiber = draw(st.sampled_from(fibers))
        if kind == "reduce":
            lines.append(f"{name}[] = sum{{m}}({fiber}[m])")
            scalars.append(name)
        elif kind == "last" and running:
            lines.append(f"{name}[] = exp({draw(st.sampled_from(running))}[M])")
            scalars.append(name)
        elif kind == "iterate":
            lines.append(f"{name}[m+1] = {name}[m] + {fiber}[m]")
            fibers.append(name)
            running.append(name)
        else:
            factor = f" * {draw(st.sampled_from(scalars))}[]" if kind == "scale" and scalars else ""
            offset = "+1" if kind == "ahead" else ""
            lines.append(f"{name}[m] = exp({fiber}[m{offset}]{factor})")
            fibers.append(name)
    return lines


def found(lines: list[str], variable: str = "m") -> tuple[object, ...]:
    result = passes([Einsum.parse(line) for line in lines], [variable])
    starts = {number: frozenset(names) for number, names in result.starts.items()}
    return result.count, dict(result.labels), dict(result.pass_of), starts, dict(result.lags)


@given(st.data())
def test_the_order_of_lines_changes_nothing(data: st.DataObject) -> None:
    lines = data.draw(cascades())
    assert found(data.draw(st.permutations(lines))) == found(lines)


@given(cascades(), st.sampled_from(["k", "tOKEN", "x9"]))
def test_the_name_of_the_variable_changes_nothing(lines: list[str], name: str) -> None:
    renamed = [re.sub(r"\bM\b", name.upper(), re.sub(r"\bm\b", name, line)) for line in lines]
    assert found(renamed, name) == found(lines)


@given(cascades())
def test_a_pass_starts_only_after_one_is_complete(lines: list[str]) -> None:
    count, _, pass_of, starts, _ = found(lines)
    assert count is not None
    assert set(pass_of.values()) <= set(starts)
    assert set(starts) == set(range(1, count + 1))
