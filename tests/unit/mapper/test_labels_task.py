"""What the label search makes of an Einsum and a machine."""

import pytest

import einloom
from einloom.mapper.labels.task import Task, supported

CONV = "O[k,p,q] = sum{c,r,s}(I[c,p+r,q+s] * F[k,c,r,s])"


def a_task(line, **ranks):
    workload = {"ranks": ranks, "cascade": [line]}
    design = einloom.load({"version": 1, "workload": workload, "architecture": "arch/peer16.yaml"})
    (einsum,) = design.workload.cascades[0].sized()
    (path,) = design.architecture.paths()
    return Task(design.architecture, einsum, path, design.architecture.rules_for(einsum))


def test_square_windows_are_their_own_mirror_image():
    task = a_task(CONV, K=4, C=4, P=6, Q=6, R=3, S=3)

    exchanged = [{task.names[a]: task.names[b] for a, b in enumerate(mirror) if a != b} for mirror in task.mirrors]

    assert exchanged == [{"p": "q", "q": "p", "r": "s", "s": "r"}]


@pytest.mark.parametrize("sizes", [{"P": 6, "Q": 4}, {"R": 3, "S": 1}])
def test_windows_that_are_not_square_have_no_mirror_image(sizes):
    assert a_task(CONV, **{"K": 4, "C": 4, "P": 6, "Q": 6, "R": 3, "S": 3, **sizes}).mirrors == ()


def test_of_spatial_factors_that_are_mirror_images_one_is_searched():
    task = a_task(CONV, K=1, C=1, P=4, Q=4, R=3, S=3)
    factors = {
        tuple(axes[0][r] * axes[1][r] for r in range(len(task.names))) for (axes,) in task.spreads
    }  # fmt: skip
    (mirror,) = task.mirrors

    images = {tuple(row[r] for r in mirror) for row in factors}

    assert factors & images == {row for row in factors if tuple(row[r] for r in mirror) == row}
    assert len(factors) > len(factors & images)


def test_the_ranks_of_a_matrix_product_are_no_mirror_images():
    assert a_task("Z[m,n] = sum{k}(A[m,k] * B[k,n])", M=8, N=8, K=8).mirrors == ()


def test_a_tensor_that_is_read_twice_is_not_counted():
    assert not supported(a_task("Z[m,n] = A[m] * A[n]", M=4, N=4))
