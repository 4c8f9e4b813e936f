"""MobileNetV1 with group convolutions of constant group size: one rank from depthwise to 32 channels a group."""

from __future__ import annotations

import numpy as np
import plain_networks as plain
import pytest
from test_workload_catalogue import SPATIAL, catalogue, random_inputs

from einloom.errors import SpecError

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # arXiv 1704.04861, table 1
WIDTHS = (32, 64, 128, 128, 256, 256, *6 * (512,), 1024)
PIXELS = (112, 56, 56, 28, 28, 14, *5 * (14,), 7, 7)  # of the outputs


def shrink(cascade):
    """224 pixels become 64, an eighth of the channels, 5 classes."""
    sizes = {rank: 2 * SPATIAL[size] for rank, size in cascade.ranks.items() if size in SPATIAL and rank in "HWPQ"}
    sizes |= {rank: size // 8 for rank, size in cascade.ranks.items() if rank in "CK" and size >= 16}
    return cascade.with_ranks(**sizes, **({"N": 5} if "N" in cascade.ranks else {}))


@pytest.mark.parametrize("group", [1, 2, 4])
def test_grouped_mobilenet_is_the_network_with_group_convolutions(group):
    x = np.random.default_rng(2).normal(size=(1, 3, 64, 64))
    out, expected, strides = x, x[0], iter(STRIDES)
    for number, whole in enumerate(catalogue("mobilenet_v1_grouped", G=group).cascades):
        part = shrink(whole)
        for copy in range(part.repeat):
            inputs = random_inputs(part, seed=100 * number + copy, X=out.reshape(part.shape("X")))
            out = part.run(inputs)["Y"]
            if part.name == "stem":
                expected = plain.relu(plain.conv(expected, inputs["F"], stride=2, pad=1))
            elif part.name == "classifier":
                expected = plain.classifier(expected, inputs)
            else:
                grouped, channels = inputs["F1"], expected.shape[0]
                filters = grouped.reshape(channels, group, 3, 3)
                inner = plain.conv(expected, filters, next(strides), pad=1, groups=channels // group)
                pointwise = inputs["F2"].reshape(-1, channels, 1, 1)
                expected = plain.relu(plain.conv(plain.relu(inner), pointwise))
    assert next(strides, None) is None
    assert np.allclose(out[0], expected, atol=0)


@pytest.mark.parametrize("group", [1, 2, 4, 8, 16, 32])
def test_group_convolutions_cost_the_group_size_times_the_depthwise_ones(group):
    """By hand: 9 macs a pixel and channel at G = 1, G times that at G; weights likewise."""
    depthwise = sum(9 * width * size**2 for width, size in zip(WIDTHS, PIXELS, strict=True))
    grouped = catalogue("mobilenet_v1_grouped", G=group)
    assert grouped.operations()["mac"] == catalogue("mobilenet_v1").operations()["mac"] + (group - 1) * depthwise
    filters = sum(cascade.repeat * cascade.size("F1") for cascade in grouped.cascades[1:-1])
    assert filters == 9 * group * sum(WIDTHS)


def test_a_group_that_does_not_divide_the_channels_is_told():
    with pytest.raises(SpecError, match="C = 32 does not split into 3"):
        catalogue("mobilenet_v1_grouped", G=3)
