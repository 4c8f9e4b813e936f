"""The bit-weight designs against what their authors published: every tolerance holds, every gap has its reason."""

import pytest

import einloom

PUBLISHED = {"K32": (1.71, 2.05, 2.27, 2.45, 2.57), "K128": (1.75, 2.1, 2.32, 2.48, 2.6)}
"""avg_partial_products, sigma 10 to 50: README of github.com/fhys/High-Performance-Tensor-Processing-Engines."""


@pytest.fixture(scope="module")
def found():
    return einloom.validate("designs/bitweight")


def test_no_tolerance_is_broken(found):
    assert found.problems == ()
    assert len(found.comparisons) == 44


def test_the_figures_are_the_published_ones(found):
    name = "partial products counted per operand"
    counted = [row.figure.value for row in found.comparisons if row.figure.name == name]
    assert counted == [value for pair in zip(*PUBLISHED.values(), strict=True) for value in pair]


def test_what_cannot_be_checked_says_why(found):
    missing = [row for row in found.comparisons if row.modelled is None]
    assert len(missing) == 10
    assert all(row.figure.reason for row in missing)
