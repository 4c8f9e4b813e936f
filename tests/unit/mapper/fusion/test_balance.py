"""The bound on the busiest of two units equals the linear programme that it stands for."""

import numpy as np
import pytest
from scipy.optimize import linprog

from einloom.mapper.fusion.balance import balanced


def _by_linear_programming(busy: np.ndarray) -> float:
    """min t, so that every unit is busy for at most t: fractions of each piece on the first of two units."""
    pieces = len(busy)
    known = np.where(np.isinf(busy), 0.0, busy)
    limits = [
        (1, 1) if np.isinf(second) else (0, 0) if np.isinf(first) else (0, 1) for first, second in busy.tolist()
    ]
    return linprog(
        np.r_[np.zeros(pieces), 1.0],
        A_ub=[np.r_[known[:, 0], -1.0], np.r_[-known[:, 1], -1.0]],
        b_ub=[0.0, -known[:, 1].sum()],
        bounds=[*limits, (0, None)],
    ).fun


@pytest.mark.parametrize("seed", range(60))
def test_it_is_the_optimum_over_fractions(seed: int) -> None:
    generator = np.random.default_rng(seed)
    busy = generator.integers(0, 20, (generator.integers(1, 8), 2)).astype(float)
    for piece in busy:
        kind = generator.random()
        if kind < 0.3:
            piece[0 if kind < 0.15 else 1] = np.inf
    assert float(balanced(busy)) == pytest.approx(_by_linear_programming(busy), abs=1e-6)


def test_work_that_no_unit_can_execute_never_ends() -> None:
    assert balanced(np.array([[np.inf, np.inf], [1.0, 1.0]])) == np.inf


def test_by_hand() -> None:
    # 12 cycles on either unit, 6 on the first or 18 on the second: 12 on the second, 6 on the first, then balance
    # 3/4 of the 12 on the second (9) against 6 + 3 on the first.
    assert balanced(np.array([[12.0, 12.0], [6.0, 18.0]])) == 9.0


def test_one_unit_does_everything_and_three_share_evenly_at_best() -> None:
    assert balanced(np.array([[3.0], [4.0]])) == 7.0
    assert balanced(np.array([[3.0, 9.0, 9.0], [9.0, 3.0, 9.0], [9.0, 9.0, 3.0]])) == 3.0
