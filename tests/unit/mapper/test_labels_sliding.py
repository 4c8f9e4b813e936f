"""What the label search knows of windows, against counting one by one."""

import itertools

import numpy as np
import pytest

from einloom.mapper.labels import bounds, sliding
from einloom.mapper.labels.record import JOB


class Job:
    """A record as the kernels see it, for their Python source."""

    def __init__(self) -> None:
        object.__setattr__(self, "record", np.zeros(1, dtype=JOB))

    def __getattr__(self, name):
        return self.record[name][0]

    def __setattr__(self, name, value):
        self.record[name] = value


def plain(function):
    """The Python source of a kernel."""
    return function.py_func


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch):
    """Kernels call each other as Python: nothing is compiled for these tests."""
    for module in (sliding, bounds):
        for name, value in vars(module).items():
            if hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)


def a_job(progressions):
    job = Job()
    job.progressions = len(progressions)
    for i, (stride, count) in enumerate(progressions):
        job.strides[i], job.counts[i] = stride, count
    return job


def starts(progressions):
    return {
        sum(stride * k for (stride, _), k in zip(progressions, each, strict=True))
        for each in itertools.product(*(range(count) for _, count in progressions))
    }


@pytest.mark.parametrize(
    "progressions",
    [
        [],
        [(3, 4)],
        [(1, 5), (5, 2)],  # end to end
        [(2, 3), (1, 3)],  # one fills the gaps of the other
        [(2, 3), (3, 4)],  # interleaved
        [(4, 2), (6, 3), (1, 2)],
        [(1, 2), (7, 2), (30, 2)],  # apart
        [(5, 1), (5, 3), (5, 2)],  # equal strides
        [(3, 3), (4, 3), (5, 3)],
    ],
)
@pytest.mark.parametrize("length", [0, 1, 2, 5, 40])
def test_a_union_of_intervals_is_what_listing_them_gives(progressions, length):
    listed = {at + i for at in starts(progressions) for i in range(length)}

    assert sliding.union(a_job(progressions), float(length)) == len(listed)


def a_dimension(coefficients, sizes):
    job = Job()
    job.ranks = len(sizes)
    for r, (coefficient, size) in enumerate(zip(coefficients, sizes, strict=True)):
        job.coefficients[0, 0, r], job.sizes[r] = coefficient, size
    return job


@pytest.mark.parametrize("coefficients", [(1, 1), (2, 1), (1, 3), (2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("sizes", [(4, 3), (3, 4), (5, 2)])
def test_no_choice_of_iterations_meets_fewer_values_than_the_bound(coefficients, sizes):
    job = a_dimension(coefficients, sizes)
    for many in itertools.product(*(range(1, size + 1) for size in sizes)):
        job.odometer[:2] = many
        chosen = [itertools.combinations(range(size), n) for size, n in zip(sizes, many, strict=True)]
        fewest = min(
            len({coefficients[0] * i + coefficients[1] * j for i, j in itertools.product(*sets)})
            for sets in itertools.product(*chosen)
        )
        assert bounds._met(job, 0, 0) <= fewest
        if many == sizes:
            assert bounds._met(job, 0, 0) == fewest


def test_the_bound_knows_that_windows_of_a_stride_do_not_overlap():
    job = a_dimension((2, 1), (14, 3))
    job.odometer[:2] = 7, 3

    assert bounds._met(job, 0, 0) == 3 + 6 * 2
