"""A sub-rank may be as long as a rank: one number then sets both."""

from __future__ import annotations

import pytest

from einloom.errors import SpecError
from einloom.spec.workload import workload_from

LINES = ["Y[c1,c0,p] = sum{g}(X[c1,g,p] * F[c1,c0,g])"]


def grouped(**ranks):
    part = {"ranks": {"C": 32, "P": 5}, "split": {"C": ["C1", {"C0": "G"}]}, "cascade": LINES}
    return {"ranks": ranks, "parts": [part]} if ranks else part


@pytest.mark.parametrize("size", [1, 4, 32])
def test_the_sub_rank_follows_the_rank_of_the_network(size):
    (cascade,) = workload_from(grouped(G=size)).cascades
    assert cascade.shape("X") == (32 // size, size, 5)
    assert cascade.shape("F") == (32 // size, size, size)
    assert cascade.operations() == {"mac": 32 * size * 5}


def test_a_name_leads_through_other_names():
    (cascade,) = workload_from({**grouped(), "ranks": {"C": 32, "P": 8, "G": "P"}}).cascades
    assert cascade.shape("X") == (4, 8, 8)


def test_a_name_without_a_size_is_told_where_it_stands():
    with pytest.raises(SpecError, match=r"split.C\[1\].C0: 'K' is no rank with a size") as error:
        workload_from({**grouped(), "ranks": {"C": 32, "P": 5, "G": 4}, "split": {"C": ["C1", {"C0": "K"}]}})
    assert "K" in str(error.value)


def test_a_size_that_does_not_divide_is_told():
    with pytest.raises(SpecError, match="C = 32 does not split into 5"):
        workload_from(grouped(G=5))


def test_mistakes_beside_a_split_by_name_are_told_too():
    broken = {**grouped(), "ranks": {"C": 32, "P": 5, "G": 4}, "colour": 3, "cascade": [*LINES, "Z[p] = U[p] *"]}
    with pytest.raises(SpecError) as error:
        workload_from(broken)
    assert len(error.value.problems) == 2
