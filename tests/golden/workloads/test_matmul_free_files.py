"""MatMul-free language models of the catalogue compute what the paper writes, at the sizes of the released models."""

from __future__ import annotations

import numpy as np
import plain_language_models as plain
import pytest
from plain_networks import rms_norm
from test_workload_catalogue import catalogue, kernel, random_inputs


def latent_weights(cascade):
    generator = np.random.default_rng(7)
    return {name: generator.normal(size=cascade.shape(name)) for name in cascade.weight_tensors}


def scaled(weights):
    """Signs times their scale, as the files read them."""
    return {name: np.multiply(*plain.ternary(value)) for name, value in weights.items()}


@pytest.mark.parametrize("gain", [1, 1e-3, 1e-6])
def test_two_tokens_of_the_block_carry_the_state(gain):
    """Small gains bring the bound of the 8-bit scale into play."""
    block = kernel("matmulfree_block", B=2, D=12, N=20)
    weights = latent_weights(block)
    inputs = random_inputs(block, **scaled(weights))
    inputs = {name: gain * value if name.startswith("S") else value for name, value in inputs.items()}
    gains = {name: inputs[name] for name in ("S1", "SO", "S2", "SF")}
    state, expected_state = inputs["HP"], inputs["HP"]
    for token in (inputs["X"], -inputs["X"][::-1]):
        found = block.run({**inputs, "X": token, "HP": state})
        expected, expected_state = plain.matmul_free_block(token, expected_state, {**weights, **gains})
        assert np.allclose(found["Y"] - token, expected - token, rtol=1e-6, atol=1e-12)
        assert np.allclose(found["HT"], expected_state)
        state = found["HT"]


@pytest.mark.parametrize("size", ["370m", "1.3b", "2.7b"])
def test_the_head_is_ternary_too(size):
    head = catalogue(f"matmulfree_{size}").cascades[-1].with_ranks(B=2, D=12, V=7)
    weights = latent_weights(head)
    inputs = random_inputs(head, **scaled(weights))
    inputs["X"] = inputs["X"] * 1e-3  # the epsilon of the norm counts
    inputs["S"] = inputs["S"] * 1e-5  # and the bound of the 8-bit scale
    expected = plain.bit_linear(rms_norm(inputs["X"], inputs["S"]), weights["WH"])
    assert np.allclose(head.run(inputs)["Y"], expected, rtol=1e-6, atol=1e-12)
    assert head.bits_of("WH") * 5 == 8


def test_the_measured_block_has_thirteen_squares_of_weights():
    """By hand: h = 256 ceil((8 d / 3) / 256) = 3 d at d = 512; 4 d^2 + 3 d h. The state costs d elements."""
    block = kernel("matmulfree_block")
    assert sum(block.size(tensor) for tensor in block.weight_tensors) == 13 * 512**2 == 3_407_872
    assert block.operations()["mac"] == 3_407_872
    assert block.size("HT") == 512


@pytest.mark.parametrize(
    ("size", "layers", "width", "millions"),
    [("370m", 24, 1024, 374), ("1.3b", 24, 2048, 1364), ("2.7b", 32, 2560, 2701)],
)
def test_models_have_the_parameters_of_the_released_ones(size, layers, width, millions):
    """374 M, 1.364 G, 2.701 G: matrices of the blocks, embedding and head of 32000 words each."""
    block, head = catalogue(f"matmulfree_{size}").cascades
    hidden = 256 * -(-8 * width // (3 * 256))
    assert (block.repeat, block.ranks["D"], block.ranks["N"]) == (layers, width, hidden)
    matrices = layers * sum(block.size(tensor) for tensor in block.weight_tensors)
    assert matrices == layers * (4 * width**2 + 3 * width * hidden)
    embedding = head.size("WH")
    assert round((matrices + 2 * embedding) / 1e6) == millions
