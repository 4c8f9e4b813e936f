from dataclasses import dataclass

import numpy as np
import pytest

from einloom.arch.templates.systolic import SystolicTiming
from einloom.arch.timing import TimingLaw


@dataclass(frozen=True)
class Counted:
    """What a model counted: stationary periods as (how many, steps of each), and the part in use."""

    pairs: tuple
    rows: int
    cols: int

    @property
    def steps(self):
        return np.array([sum(many * steps for many, steps in self.pairs)])

    def visits(self, memory):
        return np.array([sum(many for many, _ in self.pairs)])

    def periods(self, memory):
        return tuple((np.array([many]), np.array([steps])) for many, steps in self.pairs)

    def used(self, fanout, axis):
        return np.array([{"Y": self.rows, "X": self.cols}[axis]])


def terms(law, activity):
    return {name: int(cycles[0]) for name, cycles in law.terms(activity).items()}


def test_the_default_law_adds_nothing():
    assert TimingLaw().terms(Counted(((3, 5),), 4, 4)) == {}


def test_scalesim_fills_and_empties_the_whole_array_in_each_period():
    law = SystolicTiming(8, 4, "weight_stationary", overlapped=False)
    assert terms(law, Counted(((3, 5), (1, 2)), 2, 2)) == {"fill": 32, "skew": 40}


@pytest.mark.parametrize(
    ("dataflow", "exchange", "fill"),
    [
        # periods of 5, 5, 5, 2, 2 steps; 4 rows. Loads hide behind all but the last: one short period waits.
        ("weight_stationary", 2, 4),
        ("input_stationary", 2, 4),
        # exits hide behind all but the first: both short ones wait.
        ("output_stationary", 4, 0),
    ],
)
def test_overlapped_waits_where_a_period_is_shorter_than_the_load(dataflow, exchange, fill):
    law = SystolicTiming(8, 4, dataflow, overlapped=True)
    assert terms(law, Counted(((3, 5), (2, 2)), 4, 3)) == {"fill": fill, "exchange": exchange, "skew": 5}


@pytest.mark.parametrize("overlapped", [False, True])
def test_without_a_stationary_operand_there_is_no_term(overlapped):
    law = SystolicTiming(8, 4, "weight_stationary", overlapped)
    assert set(terms(law, Counted((), 8, 4)).values()) == {0}


def test_candidates_are_costed_side_by_side():
    class Two(Counted):
        def visits(self, memory):
            return np.array([4, 0])

        def periods(self, memory):
            return ((np.array([4, 0]), np.array([1, 7])),)

        def used(self, fanout, axis):
            return np.array([3, 2])

    law = SystolicTiming(8, 4, "weight_stationary", overlapped=True)
    found = {name: cycles.tolist() for name, cycles in law.terms(Two((), 0, 0)).items()}
    assert found == {"fill": [3, 0], "exchange": [6, 0], "skew": [4, 0]}
