"""SN40L, the A100 products of LLMCompass, ECON-T and the resistive macro: what holds, and what cannot be held."""

import pytest

import einloom

FOLDERS = ("designs/sn40l", "designs/llmcompass", "designs/econt", "designs/lsm_reram")
A100_MS = {64: 0.19, 128: 0.2003, 256: 0.3185, 512: 0.6118, 1024: 1.199, 2048: 2.3586, 4096: 4.4576, 8192: 8.6216,
           16384: 17.03, 32768: 35.44}  # fmt: skip
"""Measured, M x 12288 x 12288 in FP16: LLMCompass artifact (PrincetonUniversity/LLMCompass), ms."""


@pytest.fixture(scope="module")
def found():
    return {row.figure.name: row for row in einloom.validate(FOLDERS).comparisons}


def test_no_tolerance_is_broken():
    assert einloom.validate(FOLDERS).problems == ()


def test_the_roofline_is_exact(found):
    assert found["ridge point"].modelled == pytest.approx(398.75)


def test_a_roofline_bounds_what_an_a100_takes():
    """By hand: 2 M 12288^2 / 312 TFLOPS, or the words of all three operands over 1555 GB/s."""
    rows = einloom.validate("designs/llmcompass").comparisons
    assert {int(row.case.removeprefix("M = ")): row.figure.value for row in rows} == A100_MS
    for row in rows:
        m = int(row.case.removeprefix("M = "))
        by_hand = max(2 * m * 12288**2 / 312e12, 2 * (2 * m * 12288 + 12288**2) / 1555e9) * 1e3
        assert row.modelled == pytest.approx(by_hand, rel=1e-6)


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
