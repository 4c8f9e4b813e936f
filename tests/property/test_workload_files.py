"""A damaged workload file ends in a workload or in a message with its place, never in anything else."""

from __future__ import annotations

import copy
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from einloom.errors import SpecError
from einloom.spec.document import Document, parse
from einloom.spec.workload import load_workload

CATALOGUE = Path(__file__).parents[2] / "workloads"
TEXTS = {path: path.read_text() for path in sorted(CATALOGUE.glob("*.yaml"))}
VALUES = [
    None,
    True,
    -1,
    0,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "auto",
    "Z[m",
    "M",
    "m",
    "inf",
    [],
    {},
    [[]],
    {"M": 1},
    {"einsum": 3},
    [1, 2],
    {"M0": 256},
    2**60,
    "Z[m,n] = A[m,k] * B[k,n]",
    "\x00",
    "X[0,p] = 1",
]
SCRAPS = ["", "[", "]", "{", "}", ":", "- ", "\n", "é", '"', "=", " ", "9", "Q", "*", "#"]


def paths(data, prefix=()):
    """The path of every value below ``data``."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*prefix, key)
        yield from paths(value, (*prefix, key))


def damage(data, draw):
    """Drop, rename or replace one value."""
    places = sorted(paths(data), key=str)
    if not places:
        return
    *above, key = draw(st.sampled_from(places))
    holder = data
    for step in above:
        holder = holder[step]
    how = draw(st.sampled_from(("drop", "rename", "replace")))
    if how == "drop":
        del holder[key]
    elif how == "rename" and isinstance(holder, dict):
        holder[f"{key}{draw(st.sampled_from('x_0'))}"] = holder.pop(key)
    else:
        holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))


def ends_well(document):
    """Loads and counts, or says what is wrong."""
    problems = ()
    try:
        for cascade in load_workload(document).cascades:
            cascade.sized()
            cascade.compulsory_traffic()
    except SpecError as error:
        problems = error.problems
    assert all(problem.message for problem in problems)


LAW = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@given(st.sampled_from(sorted(TEXTS)), st.data())
@LAW
def test_damaged_values(path, data):
    document = parse(TEXTS[path], str(path))
    content = copy.deepcopy(document.data)
    for _ in range(data.draw(st.integers(1, 3))):
        damage(content, data.draw)
    ends_well(Document(document.file, document.text, content, document.marks))


@given(st.sampled_from(sorted(TEXTS)), st.data())
@LAW
def test_damaged_text(path, data):
    text = TEXTS[path]
    for _ in range(data.draw(st.integers(1, 3))):
        at, cut = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 3))
        text = text[:at] + data.draw(st.sampled_from(SCRAPS)) + text[at + cut :]
    try:
        document = parse(text, str(path))
    except SpecError:
        return
    ends_well(document)
