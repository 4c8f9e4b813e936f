"""Widths, words, ports, capacities and costs on cases small enough to count by hand; each file derives its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import einloom
from einloom.mapper import Mapper

CASES = sorted(Path(__file__).parent.glob("*.yaml"))


def differences(expected, found, path=""):
    """What ``found`` lacks or has otherwise; keys that are not expected do not matter."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            if key not in found:
                yield f"{path}.{key} is missing"
            else:
                yield from differences(value, found[key], f"{path}.{key}")
    elif isinstance(expected, str) or (isinstance(expected, int) and isinstance(found, int)):
        if expected != found:
            yield f"{path}: {found}, by hand {expected}"
    elif found != pytest.approx(expected, rel=1e-12):
        yield f"{path}: {found}, by hand {expected}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_model_counts_what_was_counted_by_hand(case):
    expected = json.loads(case.with_suffix(".expected.json").read_text())
    assert not list(differences(expected, einloom.load(case).evaluate().to_dict()))


@pytest.mark.parametrize(
    ("case", "path", "value", "message"),
    [
        ("operands_8_sums_32", "GLB.capacity", "511 b", "need 512 bits, GLB holds 511"),
        ("weights_of_1_6_bits", "GLB.capacity", "435 b", "need 435.2 bits, GLB holds 435"),
        ("fractional_widths_fit_exactly", "GLB.capacity", "23 b", "need 24 bits, GLB holds 23"),
        ("capacity_in_words", "GLB.capacity", "15 words", "need 256 bits, GLB holds 240"),
        ("capacity_in_words", "Reg.capacity", "1 words", "need 2 words, Reg holds 1"),
        ("double_buffering", "GLB.capacity", "67 B", "need 544 bits, GLB holds 536"),
        ("double_buffering", "GLB.double_buffered", True, "need 1024 bits, GLB holds 544"),
    ],
)
def test_the_smallest_lack_of_room_is_refused_with_both_numbers(case, path, value, message):
    design = einloom.load(CASES[0].with_name(f"{case}.yaml"), set={f"architecture.levels.{path}": value})
    with pytest.raises(einloom.EinloomError, match=f"the tiles {message}"):
        design.evaluate()


def test_tiles_of_fractional_widths_fit_for_the_mapper_too():
    file = CASES[0].with_name("fractional_widths_fit_exactly.yaml")
    design = einloom.load(file, set={"architecture.levels.GLB.must_hold": ["A", "B"]})
    (einsum,) = design.workload.cascades[0].sized()
    (mapped,) = Mapper(design.architecture).map(einsum).results
    assert mapped.energy_pj == pytest.approx(design.evaluate().energy_pj)
