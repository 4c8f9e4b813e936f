"""AlexNet and the kernels of InTAR in the catalogue compute what their names say, at the sizes of their sources."""

from __future__ import annotations

import numpy as np
import plain_kernels as plain
import pytest
from test_workload_catalogue import catalogue, kernel, random_inputs

# -- AlexNet


def small_alexnet(cascade):
    """A sixteenth of the channels; the images keep their sizes, the batch is 1."""
    ranks = {rank: size // 16 for rank, size in cascade.ranks.items() if rank in "CK" and size % 16 == 0}
    return cascade.with_ranks(**ranks, **({"N": 5} if cascade.name.startswith("fc") else {}))


def test_alexnet_is_the_network_of_the_paper():
    x = np.random.default_rng(1).normal(size=(1, 3, 227, 227))
    weights, out = {}, x
    for number, whole in enumerate(catalogue("alexnet").cascades):
        part = small_alexnet(whole)
        if part.name.startswith("fc"):
            part = part.with_ranks(C=out.size)
        inputs = random_inputs(part, seed=number, X=out.reshape(part.shape("X")))
        if "F" in inputs:  # groups one after another
            weights[part.name] = (
                inputs["F"].reshape(-1, *inputs["F"].shape[-3:]) if "conv" in part.name else inputs["F"]
            )
        out = part.run(inputs)["Y"]
        if out.ndim == 5:
            out = out.reshape(1, -1, *out.shape[3:])
    assert np.allclose(out[0], plain.alexnet(x[0], weights))


@pytest.mark.parametrize("batch", [1, 4])
def test_alexnet_has_the_operations_of_eyeriss(batch):
    """Published: JSSC 2017, table V, MOPs of a batch of 4 (as asserted in nn_dataflow's tests); 105.4 M ... at 1."""
    parts = {cascade.name: cascade for cascade in catalogue("alexnet", B=batch).cascades}
    published = {"conv1": 421.66, "conv2": 895.79, "conv3": 598.1, "conv4": 448.6, "conv5": 299.0}
    for name, millions in published.items():
        found = parts[name].operations()["mac"] / 1e6
        assert found == pytest.approx(millions * batch / 4, abs=0.05)
    assert parts["fc6"].shape("X") == (batch, 256 * 6 * 6)
    filters = {name: parts[name].size("F") / 1e3 for name in published}
    rows = {"conv1": 34.8, "conv2": 307.2, "conv3": 884.7, "conv4": 663.6, "conv5": 442.4}
    assert filters == pytest.approx(rows, abs=0.05)  # the same table, thousands of filter words


# -- kernels of InTAR


def test_intar_attention():
    cascade = kernel("intar_attention", P=6, D=8, E=5, F=7)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["AV"], plain.self_attention(inputs["X"], inputs))


def test_intar_mlp():
    cascade = kernel("intar_mlp", B=2, D=5, L=7, N=9, J=4)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["Y"], plain.perceptron(inputs["X"], inputs))


def test_intar_gating():
    cascade = kernel("intar_gating", B=3, D=8, N=11)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["Y"], plain.gating_network(inputs["X"], inputs))


def test_intar_vae():
    """At its own size."""
    cascade = kernel("intar_vae")
    inputs = random_inputs(cascade)
    inputs = {name: value / 4 for name, value in inputs.items()}
    expected = plain.autoencoder(inputs["X"], inputs)
    assert expected.shape == (2, 28, 28)
    assert np.allclose(cascade.run(inputs)["X2"], expected)
    assert cascade.size("MU") == 324


def test_intar_cnn():
    image = np.random.default_rng(3).normal(size=(16, 16))
    out, filters = image, []
    for number, whole in enumerate(catalogue("intar_cnn").cascades):
        layer = whole.with_ranks(**{rank: size // 14 for rank, size in whole.ranks.items() if size >= 224})
        inputs = random_inputs(layer, seed=number, X=out)
        filters.append(inputs["F"])
        out = layer.run(inputs)["Y"]
        out = plain.doubled(out) if number < 2 else out
    assert out.shape == (16, 16)
    assert np.allclose(out, plain.up_and_down(image, filters))


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        # by hand: lanes x trips of the sources where they are useful work
        ("intar_attention", 3 * 256 * 1024**2 + 2 * 256**2 * 1024),
        ("intar_mlp", 32 * 32 * 256 + 16 * (128 * 1024 + 128 * 256)),
        ("intar_cnn", 144 * (224 * 14 + 448 * 28 + 448 * 112 + 448 * 28)),
        ("intar_vae", 4 * 441 * 64 + 4 * 324 * 16 + 4 * 625 * 64 + 4 * 784 * 16),
        ("intar_gating", 3 * 32 * 4096 * 11008),
    ],
)
def test_kernels_of_intar_have_the_operations_of_their_loops(name, macs):
    workload = catalogue(name)
    assert workload.operations()["mac"] == macs
    assert {access.bits for cascade in workload.cascades for e in cascade.sized() for access in e.accesses} == {16}
