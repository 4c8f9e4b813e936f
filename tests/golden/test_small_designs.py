"""SN40L, the A100 products of LLMCompass, ECON-T and the resistive macro: what holds, and what cannot be held."""

import re

import pytest

import einloom

FOLDERS = ("designs/sn40l", "designs/llmcompass", "designs/econt", "designs/lsm_reram")
A100_MS = {
    (64, 12288): 0.19, (128, 12288): 0.2003, (256, 12288): 0.3185, (512, 12288): 0.6118, (1024, 12288): 1.199,
    (2048, 12288): 2.3586, (4096, 12288): 4.4576, (8192, 12288): 8.6216, (16384, 12288): 17.0307,
    (32768, 12288): 35.4407, (8192, 64): 0.0296, (8192, 128): 0.031, (8192, 256): 0.0356, (8192, 512): 0.0471,
    (8192, 1024): 0.0927, (8192, 2048): 0.2818, (8192, 4096): 1.021, (8192, 8192): 3.9614, (8192, 16384): 15.0087,
    (8192, 32768): 61.1346,
}  # fmt: skip
"""Measured, M x N x N in FP16, ms: LLMCompass artifact (PrincetonUniversity/LLMCompass), matmul_A100.csv."""


@pytest.fixture(scope="module")
def found():
    return {row.figure.name: row for row in einloom.validate(FOLDERS).comparisons}


def test_no_tolerance_is_broken():
    assert einloom.validate(FOLDERS).problems == ()


def test_the_roofline_is_exact(found):
    assert found["ridge point"].modelled == pytest.approx(398.75)


def test_a_roofline_bounds_what_an_a100_takes():
    """By hand: 2 M N^2 / 312 TFLOPS, or all words over 2039 GB/s (products in passes are compute bound)."""
    rows = einloom.validate("designs/llmcompass/a100_gemm.yaml").comparisons
    found = {tuple(map(int, re.findall(r"\d+", row.case))): row for row in rows}
    assert {shape: row.figure.value for shape, row in found.items()} == A100_MS
    for (m, n), row in found.items():
        by_hand = max(2 * m * n**2 / 312e12, 2 * (2 * m * n + n**2) / 2039e9) * 1e3
        assert row.modelled == pytest.approx(by_hand, rel=1e-6)
        assert row.modelled < row.figure.value


def test_a_roofline_bounds_every_operator_of_a_gpt3_layer():
    rows = einloom.validate("designs/llmcompass/gpt3_layer.yaml").comparisons
    assert len(rows) == 14
    assert all(0 < row.modelled < row.figure.value for row in rows)


def test_fusion_gains_from_traffic_alone(found):
    """Without launches fusion of a whole block gains 1.57x on a prompt and next to nothing on one token."""
    prefill = found["fused over kernel by kernel, prefill of 2048 tokens, traffic alone"].modelled
    decode = found["fused over kernel by kernel, decode after 2047 tokens, traffic alone"].modelled
    assert 1.5 < prefill < 1.7
    assert 1 < decode < 1.01


def test_what_cannot_be_checked_says_why(found):
    missing = [row for row in found.values() if row.figure.kind == "not_checkable"]
    assert len(missing) == 10
    assert all(len(row.figure.reason) > 20 for row in missing)
