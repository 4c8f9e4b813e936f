"""The text form of a mapping, parsed and printed without loss: one node a line, outermost first.

Input and output are plain data (lists of lines, and mappings for schedule nodes), so that a YAML file, a JSON result
and a Python literal are read by the same code. Errors carry the path inside that data and the offset in the line.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from einloom.errors import MappingError, Path, Problem
from einloom.mappings.bounds import parse_bound
from einloom.mappings.nodes import (
    SCHEDULES,
    Bind,
    Child,
    Choice,
    Forward,
    Group,
    Hold,
    Loop,
    MappingPlan,
    Nest,
    Node,
    Nodes,
    Schedule,
    Spatial,
)  # fmt: skip

_NAME = r"[A-Za-z][A-Za-z0-9_]*"
_HOLD = re.compile(rf"\s*({_NAME})\s+holds\s+(.+?)\s*")
_LOOP = re.compile(rf"\s*for\s+({_NAME})\s+in\s+(.+?)\s*")
_SPATIAL = re.compile(rf"\s*spatial\s+({_NAME})\.({_NAME})\s+({_NAME})\s+in\s+(.+?)\s*")
_FORWARD = re.compile(rf"\s*forward\s+({_NAME})\s*")
_CHOICE = re.compile(rf"\s*({_NAME})\s*=\s*(-?\d+|{_NAME}[\w.+-]*)\s*")
_BIND = re.compile(rf"\s*({_NAME})\s*")
_SHARE = rf"\d+(?:\.\d+)?(?:/\d+)?|(?!in\b){_NAME}"
_HELD = re.compile(rf"\s*({_NAME})(?:\s+({_SHARE}))?(?:\s+in\s+place\s+of\s+({_NAME}))?\s*")

LINES = (
    "a line is one of: `MEMORY holds T, ...`, `for m in 4`, `spatial PE.X n in 16`, `forward T`, or the compute's name"
)


def parse_node(line: str) -> Node:
    """One line as a node. Raises `MappingError` with the offset of the mistake."""
    for pattern, build in _NODES:
        match = pattern.fullmatch(line)
        if match:
            return build(match)
    raise MappingError(Problem(f"'{line.strip()}' is not a mapping node", LINES))


def _hold(match: re.Match[str]) -> Node:
    tensors, shares, over = [], [], []
    start = match.start(2)
    for item in match[2].split(","):
        held = _HELD.fullmatch(item)
        if held is None:
            hint = "a hold lists tensors, each with the held part if not whole, and with what it is written over: "
            hint += "`GLB holds A, B 0.25, C in place of A`"
            raise MappingError(Problem(f"'{item.strip()}' is not a tensor", hint, offset=start))
        tensors.append(held[1])
        shares.append(_share(held[2]))
        over.append(held[3] or "")
        start += len(item) + 1
    if len(set(tensors)) < len(tensors):
        raise MappingError(Problem(f"'{match[0].strip()}' names a tensor twice", "name each tensor once"))
    return Hold(match[1], tuple(tensors), tuple(shares), tuple(over))


def _share(text: str | None) -> Fraction | str:
    if text is None:
        return Fraction(1)
    if not text[0].isdigit():
        return text
    numerator, _, denominator = text.partition("/")
    if denominator and int(denominator) == 0:
        raise MappingError(Problem(f"'{text}' divides by zero", "a held part is above 0 and at most 1"))
    share = Fraction(numerator) / Fraction(denominator or 1)
    if not 0 < share <= 1:
        raise MappingError(Problem(f"the share {text} is out of range", "a held part is above 0 and at most 1"))
    return share


def _loop(match: re.Match[str]) -> Node:
    return Loop(_variable(match[1], match.start(1)), _bound(match, 2))


def _spatial(match: re.Match[str]) -> Node:
    return Spatial(match[1], match[2], _variable(match[3], match.start(3)), _bound(match, 4))


def _variable(name: str, offset: int) -> str:
    if not name[0].islower():
        hint = f"rank names are upper case ('{name}'), rank variables lower case ('{name.lower()}')"
        raise MappingError(Problem(f"'{name}' is no rank variable", hint, offset=offset, length=len(name)))
    return name


def _bound(match: re.Match[str], group: int) -> Any:
    try:
        return parse_bound(match[group])
    except MappingError as error:
        problem = error.problems[0]
        raise MappingError(Problem(problem.message, problem.hint, offset=match.start(group) + problem.offset)) from None


def _forward(match: re.Match[str]) -> Node:
    return Forward(match[1])


def _choice(match: re.Match[str]) -> Node:
    return Choice(match[1], choice_value(match[2]))


def choice_value(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _bind(match: re.Match[str]) -> Node:
    if match[1] in ("for", "spatial", "forward", "holds"):
        raise MappingError(Problem(f"'{match[1]}' alone is not a mapping node", LINES))
    return Bind(match[1])


_NODES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Node]], ...] = (
    (_HOLD, _hold), (_LOOP, _loop), (_SPATIAL, _spatial), (_FORWARD, _forward), (_CHOICE, _choice), (_BIND, _bind),
)  # fmt: skip


def parse_nodes(data: Any, problems: list[Problem], path: Path = ()) -> Nodes:
    """A list of lines and schedule nodes; mistakes are appended to ``problems`` with their path below ``data``."""
    if not isinstance(data, list) or not data:
        problems.append(Problem("is not a list of mapping nodes", LINES, path))
        return ()
    nodes: list[Node] = []
    for i, item in enumerate(data):
        here = (*path, i)
        if isinstance(item, str):
            try:
                nodes.append(parse_node(item))
            except MappingError as error:
                problems.extend(problem.below(*here) for problem in error.problems)
        elif isinstance(item, dict) and len(item) == 1 and next(iter(item)) in SCHEDULES:
            kind: Schedule = next(iter(item))
            nodes.append(Group(kind, _children(item[kind], problems, (*here, kind))))
        else:
            problems.append(_not_a_line(item, here))
    return tuple(nodes)


def _not_a_line(item: Any, path: Path) -> Problem:
    hint = LINES + "; or a schedule: " + ", ".join(SCHEDULES)
    if isinstance(item, dict) and len(item) == 1 and isinstance(next(iter(item.values())), list):
        known = f"schedules: {', '.join(SCHEDULES)}"
        close = difflib.get_close_matches(str(next(iter(item))), SCHEDULES, n=1)
        return Problem(
            f"'{next(iter(item))}' is not a schedule", f"did you mean '{close[0]}'? {known}" if close else known, path
        )
    if isinstance(item, dict | list):
        kind = "mapping" if isinstance(item, dict) else "list"
        return Problem(f"YAML read this line as a {kind}, not as text", f"put the line in quotes; {hint}", path)
    return Problem(f"'{'null' if item is None else item}' is not a mapping node", hint, path)


def _children(data: Any, problems: list[Problem], path: Path) -> tuple[Child, ...]:
    if not isinstance(data, list) or not data:
        problems.append(Problem("has no children", "list the Einsums: `- QK: [...]`", path))
        return ()
    children: list[Child] = []
    for i, item in enumerate(data):
        here = (*path, i)
        if not isinstance(item, dict) or len(item) != 1:
            problems.append(Problem("is not one Einsum or group", "write `- NAME: [nodes]`", here))
            continue
        label = next(iter(item))
        if label in SCHEDULES:
            children.append(Child("", parse_nodes([item], problems, path=here)))
        else:
            children.append(Child(label, parse_nodes(item[label], problems, (*here, label))))
    return tuple(children)


def parse_plan(data: Any) -> MappingPlan:
    """What stands under ``mapping:``.

    A list is a fused tree. A mapping has a nest for each Einsum (a list, or ``{flatten: .., nodes: [..]}``) and may
    have ``parameters:``; a fused tree with parameters, or with ``ramp: steady_state``, stands under ``nodes:``.

    Raises:
        MappingError: With all problems, their paths below ``data``.
    """
    problems: list[Problem] = []
    if isinstance(data, list):
        plan = MappingPlan(tree=parse_nodes(data, problems))
    elif isinstance(data, dict):
        parameters = _parameters(data.get("parameters", {}), problems)
        ramp = _ramp(data.get("ramp", "counted"), problems)
        tree = parse_nodes(data["nodes"], problems, ("nodes",)) if "nodes" in data else ()
        choices = _choices(data.get("choices", {}), problems)
        names = [key for key in data if key not in ("parameters", "nodes", "ramp", "choices")]
        if tree and names:
            problems.append(Problem("a fused tree stands alone", "give `nodes:` or one nest an Einsum", (names[0],)))
        nests = {name: nest for name in names if (nest := _nest(data[name], problems, (name,)))}
        if not (names or choices or "nodes" in data):
            problems.append(Problem("maps nothing", "write a nest for each Einsum: `Z: [...]`"))
        plan = MappingPlan(nests, tree, parameters, ramp, choices) if not problems else MappingPlan()
    else:
        raise MappingError(Problem("is not a mapping", "write a nest for each Einsum, or a fused tree as a list"))
    if problems:
        raise MappingError(problems)
    return plan


def _ramp(value: Any, problems: list[Problem]) -> bool:
    """Whether the ramp of a fused tree counts: ``counted`` (the default) or ``steady_state``."""
    if value not in ("counted", "steady_state"):
        hint = "write `ramp: steady_state`, or leave it out"
        problems.append(Problem(f"'{value}' is not known here", hint, ("ramp",)))
    return bool(value != "steady_state")


def _choices(data: Any, problems: list[Problem]) -> dict[str, int | str]:
    """Choices of every step, for a machine that maps by choices."""
    if not isinstance(data, dict):
        problems.append(Problem("is not a mapping", "write `choices: {accumulators: 32}`", ("choices",)))
        return {}
    for name, value in data.items():
        if isinstance(value, bool) or not isinstance(value, int | str):
            hint = "a choice is a whole number, a word, or auto"
            problems.append(Problem(f"'{value}' is no choice", hint, ("choices", name)))
    return dict(data)


def _parameters(data: Any, problems: list[Problem]) -> dict[str, Fraction]:
    parameters: dict[str, Fraction] = {}
    if not isinstance(data, dict):
        problems.append(Problem("is not a mapping", "write `parameters: {P1: 512}`", ("parameters",)))
        return parameters
    for name, value in data.items():
        number = _number(value)
        if number is None:
            hint = "parameters are numbers, or quotients such as 127/128; `auto` stands in a loop: `for m in auto`"
            problems.append(Problem(f"'{value}' is not a number", hint, ("parameters", name)))
        elif not re.fullmatch(_NAME, name):
            problems.append(Problem(f"'{name}' is not a name", "letters, digits and _", ("parameters", name)))
        else:
            parameters[name] = number
    return parameters


def _number(value: Any) -> Fraction | None:
    """A finite number, or the text of a quotient, which says exactly what no decimal does."""
    if isinstance(value, str) and re.fullmatch(r"\d+/0*[1-9]\d*", value):
        return Fraction(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Fraction(str(value))


def _number_data(value: Fraction) -> int | float | str:
    """What `_number` reads back into the same value."""
    if value.denominator == 1:
        return value.numerator
    return float(value) if Fraction(str(float(value))) == value else str(value)


def _nest(data: Any, problems: list[Problem], path: Path) -> Nest | None:
    if isinstance(data, list):
        return Nest(parse_nodes(data, problems, path))
    if not isinstance(data, dict) or not {"nodes"} <= data.keys() <= {"nodes", "flatten"}:
        problems.append(Problem("is not a nest", "write a list of nodes, or {flatten: .., nodes: [..]}", path))
        return None
    flatten = data.get("flatten", {})
    if not isinstance(flatten, dict) or not all(
        isinstance(group, list) and group and all(isinstance(v, str) for v in group) for group in flatten.values()
    ):
        problems.append(Problem("is not a flattening", "write `flatten: {k: [c, r, s]}`", (*path, "flatten")))
        return None
    nodes = parse_nodes(data["nodes"], problems, (*path, "nodes"))
    return Nest(nodes, {name: tuple(group) for name, group in flatten.items()})


def plan_data(plan: MappingPlan) -> Any:
    """Plain data that `parse_plan` reads back into an equal plan: what a mapping file holds."""
    tree = [_node_data(node) for node in plan.tree]
    data: dict[str, Any] = {}
    if plan.parameters:
        data["parameters"] = {name: _number_data(value) for name, value in plan.parameters.items()}
    if plan.choices:
        data["choices"] = dict(plan.choices)
    if not plan.ramp:
        data["ramp"] = "steady_state"
    if plan.tree:
        return {**data, "nodes": tree} if data else tree
    return {**data, **{name: nest_data(nest) for name, nest in plan.nests.items()}}


def nest_data(nest: Nest) -> Any:
    nodes = [_node_data(node) for node in nest.nodes]
    flatten: Mapping[str, tuple[str, ...]] = nest.flatten
    return {"flatten": {k: list(v) for k, v in flatten.items()}, "nodes": nodes} if flatten else nodes


def _node_data(node: Node) -> Any:
    if not isinstance(node, Group):
        return str(node)
    return {node.schedule: [_child_data(child) for child in node.children]}


def _child_data(child: Child) -> Any:
    nodes = [_node_data(node) for node in child.nodes]
    return {child.label: nodes} if child.label else nodes[0]
