"""Eyeriss on AlexNet (JSSC 2017, table V, as asserted in the tests of nn_dataflow)."""

import pytest

import einloom

PUBLISHED = {  # active elements, ideal time and measured latency in ms
    "conv1": (154, 13.69, 16.5), "conv2": (135, 33.18, 39.2), "conv3": (156, 19.17, 21.8),
    "conv4": (156, 14.38, 16.0), "conv5": (156, 9.58, 10.0),
}  # fmt: skip


@pytest.fixture(scope="module")
def mapped():
    return einloom.load("designs/eyeriss/eyeriss.yaml").map("latency", fusion=False).einsums


@pytest.mark.parametrize("layer", PUBLISHED)
def test_active_elements_and_ideal_times_are_exact_and_silicon_is_within_a_fifth(mapped, layer):
    active, ideal_ms, silicon_ms = PUBLISHED[layer]
    mac = mapped[f"{layer}.Y"].computes["MAC"]
    assert mac.instances_used == active
    assert mac.operations / (active * 200e6) * 1e3 == pytest.approx(ideal_ms, abs=0.006)  # printed to two decimals
    assert mapped[f"{layer}.Y"].cycles / 200e6 * 1e3 == pytest.approx(silicon_ms, rel=0.2)


def test_elements_read_filters_and_inputs_once_a_multiply_and_sums_twice(mapped):
    """ISCA 2016, figure 10: register energy is four times that of the multipliers."""
    for layer in PUBLISHED:
        found = mapped[f"{layer}.Y"]
        tensors = {name: memory.tensors for name, memory in found.memories.items()}
        sums = tensors["Sums"]["Y"]
        operands = tensors["Filters"]["F"].reads + tensors["Window"]["X"].reads
        accesses = operands + sums.reads - sums.drains + sums.updates
        assert accesses / found.computes["MAC"].operations == pytest.approx(4, rel=0.01)
