"""Pass counts of published and of toy cascades; what they keep live. Attention cascades are run against softmax."""

from __future__ import annotations

import random

import numpy as np
import pytest

from einloom.errors import SpecError
from einloom.workloads import Cascade, Einsum
from einloom.workloads.analysis import analyze_cascade
from einloom.workloads.facts import Split
from einloom.workloads.footprint import footprint
from einloom.workloads.passes import Label, families, passes

SIZES = {"P": 3, "M": 8, "E": 4, "F": 5}
CHUNKS: dict[str, Split] = {"M": (("M1", 4), ("M0", 2))}

# Each by FuseMax (Nayak et al., MICRO 2024, arXiv 2406.10491), without the batch and the heads.
SCORES = "QK[m,p] = sum{e}(Q[e,p] * K[e,m])"
CHUNKED = "BQK[m1,m0,p] = sum{e}(Q[e,p] * BK[e,m1,m0])"
THREE_PASS = [
    SCORES,
    "GM[p] = max{m}(QK[m,p])",
    "SN[m,p] = exp(QK[m,p] - GM[p])",
    "SD[p] = sum{m}(SN[m,p])",
    "A[m,p] = SN[m,p] / SD[p]",
    "AV[f,p] = sum{m}(A[m,p] * V[f,m])",
]
DEFERRED_DIVISION = [*THREE_PASS[:4], "SNV[f,p] = sum{m}(SN[m,p] * V[f,m])", "AV[f,p] = SNV[f,p] / SD[p]"]
LOCAL = [
    CHUNKED,
    "LM[m1,p] = max{m0}(BQK[m1,m0,p])",
    "SLN[m1,m0,p] = exp(BQK[m1,m0,p] - LM[m1,p])",
    "SLD[m1,p] = sum{m0}(SLN[m1,m0,p])",
]
GLOBAL = [
    "GM[p] = max{m1}(LM[m1,p])",
    "PLM[m1,p] = exp(LM[m1,p] - GM[p])",
    "SD[p] = sum{m1}(SLD[m1,p] * PLM[m1,p])",
]
LOCAL_MAXIMA = [
    *LOCAL,
    *GLOBAL,
    "A[m1,m0,p] = SLN[m1,m0,p] * PLM[m1,p] / SD[p]",
    "AV[f,p] = sum{m1,m0}(A[m1,m0,p] * BV[f,m1,m0])",
]
SPLIT_K = [
    *LOCAL,
    "SLNV[m1,f,p] = sum{m0}(SLN[m1,m0,p] * BV[f,m1,m0])",
    *GLOBAL,
    "AV[f,p] = sum{m1}(SLNV[m1,f,p] * PLM[m1,p]) / SD[p]",
]
RUNNING = [
    CHUNKED,
    "LM[m1,p] = max{m0}(BQK[m1,m0,p])",
    "RM[m1+1,p] = max(RM[m1,p], LM[m1,p])",
    "SLN[m1,m0,p] = exp(BQK[m1,m0,p] - RM[m1+1,p])",
    "SLD[m1,p] = sum{m0}(SLN[m1,m0,p])",
    "PRM[m1,p] = exp(RM[m1,p] - RM[m1+1,p])",
    "RD[m1+1,p] = SLD[m1,p] + RD[m1,p] * PRM[m1,p]",
]
ONLINE_SOFTMAX = [
    *RUNNING,
    "A[m1,m0,p] = exp(BQK[m1,m0,p] - RM[M1,p]) / RD[M1,p]",
    "AV[f,p] = sum{m1,m0}(A[m1,m0,p] * BV[f,m1,m0])",
]
FUSEMAX = [
    *RUNNING,
    "SLNV[m1,f,p] = sum{m0}(SLN[m1,m0,p] * BV[f,m1,m0])",
    "SPNV[m1,f,p] = RNV[m1,f,p] * PRM[m1,p]",
    "RNV[m1+1,f,p] = SLNV[m1,f,p] + SPNV[m1,f,p]",
    "AV[f,p] = RNV[M1,f,p] / RD[M1,p]",
]
FLASH_ATTENTION_1 = [
    *RUNNING,
    "SLNV[m1,f,p] = sum{m0}(SLN[m1,m0,p] * BV[f,m1,m0])",
    "RAV[m1+1,f,p] = (RAV[m1,f,p] * RD[m1,p] * PRM[m1,p] + SLNV[m1,f,p]) / RD[m1+1,p]",
    "AV[f,p] = RAV[M1,f,p]",
]
ATTENTION = {
    "three_pass": (THREE_PASS, 3, None),
    "deferred_division": (DEFERRED_DIVISION, 2, None),
    "local_maxima": (LOCAL_MAXIMA, 2, None),
    "split_k": (SPLIT_K, 1, None),
    "online_softmax": (ONLINE_SOFTMAX, 2, {"RM": -np.inf, "RD": 0}),
    "fusemax": (FUSEMAX, 1, {"RM": -np.inf, "RD": 0, "RNV": 0}),
    "flash_attention_1": (FLASH_ATTENTION_1, 1, {"RM": -np.inf, "RD": 0, "RAV": 0}),
}


def attention(name: str, **sizes: int) -> Cascade:
    lines, _, init = ATTENTION[name]
    split = CHUNKS if any("m1" in line for line in lines) else {}
    cascade = Cascade.parse(lines, SIZES, name, split=split, init=init or {})
    return cascade.with_ranks(**sizes) if sizes else cascade


def count(lines: list[str], *variables: str, **sizes: int) -> int | None:
    return passes([Einsum.parse(line) for line in lines], variables, sizes).count


# -- the counts


@pytest.mark.parametrize("name", ATTENTION)
def test_every_attention_cascade_is_softmax_attention(name: str) -> None:
    generator = np.random.default_rng(1)
    q, k, v = (generator.normal(size=(SIZES[r], SIZES[s])) for r, s in ("EP", "EM", "FM"))
    given = {"Q": q, "K": k, "V": v, "BK": k.reshape(4, 4, 2), "BV": v.reshape(5, 4, 2)}
    cascade = attention(name)
    result = cascade.run({tensor: given[tensor] for tensor in cascade.inputs})["AV"]
    weights = np.exp(k.T @ q)
    assert np.allclose(result, v @ (weights / weights.sum(axis=0)))


@pytest.mark.parametrize("name", ATTENTION)
def test_passes_of_attention_over_the_keys(name: str) -> None:
    assert analyze_cascade(attention(name)).over("M").count == ATTENTION[name][1]


def test_fusemax_makes_two_passes_over_each_chunk() -> None:
    over = analyze_cascade(attention("fusemax")).over("M0")
    assert (over.family.variables, over.count) == (("m0",), 2)
    assert dict(over.starts) == {1: ("BQK",), 2: ("SLN",)}


@pytest.mark.parametrize("name", ATTENTION)
def test_queries_and_features_are_passed_over_once(name: str) -> None:
    found = analyze_cascade(attention(name))
    assert [found.over(rank).count for rank in "PEF"] == [1, 1, 1]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Y[] = sum{k}(A[k] * B[k])", "Z[] = sum{k}(Y[] * A[k])"], 2),
        (["Y[] = sum{k}(A[k] * B[k])", "X[] = sum{k}(A[k])", "Z[] = Y[] * X[]"], 1),
        (["Y[k+1] = Y[k] + A[k] * B[k]", "X[k+1] = X[k] + A[k]", "Z[] = Y[K] * X[K]"], 1),
    ],
    ids=["as_written", "deferred", "iterative"],
)
def test_toy_cascades_of_fusemax(lines: list[str], expected: int) -> None:
    assert count(lines, "k") == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["MU[] = mean{d}(X[d])", "C[d] = X[d] - MU[]", "VAR[] = mean{d}(C[d] * C[d])",
          "R[] = rsqrt(VAR[] + 1e-5)", "Y[d] = C[d] * R[] * G[d] + B[d]"], 3),
        (["MU[] = mean{d}(X[d])", "S[] = mean{d}(X[d] * X[d])", "R[] = rsqrt(S[] - MU[] * MU[] + 1e-5)",
          "Y[d] = (X[d] - MU[]) * R[] * G[d] + B[d]"], 2),
        (["S[] = mean{d}(X[d] * X[d])", "R[] = rsqrt(S[] + 1e-5)", "H[n] = sum{d}(X[d] * W[d,n])",
          "Y[n] = H[n] * R[]"], 1),
    ],
    ids=["layer_norm", "layer_norm_by_squares", "rms_norm_deferred_into_the_product"],
)  # fmt: skip
def test_norms(lines: list[str], expected: int) -> None:
    assert count(lines, "d") == expected


# -- pitfalls of the analysis

READ_BEFORE_ITS_LINE = [
    "GM[] = max{m}(X[m])",
    "U[m] = exp(W[m] - X[m])",
    "W[m+1] = U[m] * GM[]",
    "T[] = sum{m}(U[m])",
    "Y[m] = X[m] * T[]",
]


def test_one_sweep_in_the_order_of_the_text_is_not_enough() -> None:
    assert count(READ_BEFORE_ITS_LINE, "m") == 3


def test_look_ahead_is_a_footprint_and_no_pass() -> None:
    einsums = [Einsum.parse(line) for line in ("X[m] = exp(A[m])", "Y[m] = X[M=m+1] - X[m]", "S[] = sum{m}(Y[m])")]
    found = passes(einsums, ["m"])
    assert (found.count, dict(found.lags)["Y"]) == (1, 1)
    (family,) = families(einsums, ["M"])
    live = footprint(einsums, family, {"m": 9, "M": 9})
    assert live is not None
    assert [(e.tensor, e.kind, e.elements) for e in live.live] == [("X", "state", 1), ("S", "result", 1)]


def test_a_window_looks_as_far_ahead_as_it_is_wide() -> None:
    lines = ["X[m] = exp(A[m])", "Y[m] = sum{r}(X[m+r] * W[r])"]
    einsums = [Einsum.parse(line) for line in lines]
    assert passes(einsums, ["m"], {"r": 3}).lags["Y"] == 2
    live = footprint(einsums, families(einsums, ["M"])[0], {"m": 9, "r": 3})
    assert live is not None
    assert (live.fiber, live.state) == (0, 2)


def test_a_cycle_through_a_look_ahead_has_no_streaming_order() -> None:
    found = passes([Einsum.parse("W[m+1] = U[m] + A[m]"), Einsum.parse("U[m] = exp(W[m+1])")], ["m"])
    assert found.count is None
    assert found.obstacle == "U, W wait for each other in the same step or a later one"


def test_labels_that_never_rest_have_no_streaming_order() -> None:
    lines = ["W[m+1] = U[m] * G[]", "U[m] = exp(W[m])", "G[] = sum{m}(U[m])"]
    found = passes([Einsum.parse(line) for line in lines], ["m"])
    assert found.count is None
    assert "grow without end" in found.obstacle


def test_offsets_tell_the_last_generation_from_the_running_one() -> None:
    running = ["R[m+1] = R[m] + A[m]", "Y[m] = A[m] / R[m+1]"]
    last = ["R[m+1] = R[m] + A[m]", "Y[m] = A[m] / R[M]"]
    assert (count(running, "m"), count(last, "m")) == (1, 2)


def test_a_self_edge_does_not_raise_its_own_label() -> None:
    found = passes([Einsum.parse("R[m+1] = max(R[m], A[m])")], ["m"])
    assert (found.count, found.labels["R"]) == (1, Label(1))
    assert str(found.labels["R"]) == "(1, I)"


def test_coarse_einsums_make_a_sweep_and_no_pass() -> None:
    over = analyze_cascade(attention("split_k")).over("M")
    assert (over.count, dict(over.sweeps)) == (1, {1: ("PLM", "SD", "AV")})


def test_a_reduction_of_summaries_completes_a_pass() -> None:
    over = analyze_cascade(attention("local_maxima")).over("M")
    assert over.labels["GM"] == Label(2)
    assert dict(over.starts) == {1: ("BQK",), 2: ("A",)}


def test_rewriting_the_cascade_changes_the_count() -> None:
    assert count(THREE_PASS, "m") == 3
    assert count(DEFERRED_DIVISION, "m") == 2


SELF_ATTENTION = [
    "L[p,d] = X[p,d] * G[d]",
    "Q[p,e] = sum{d}(L[p,d] * WQ[d,e])",
    "K[m,e] = sum{d}(L[m,d] * WK[d,e])",
    "QK[p,m] = sum{e}(Q[p,e] * K[m,e])",
    "S[p] = sum{m}(QK[p,m])",
]


def test_a_read_through_another_variable_of_the_token_rank_is_complete() -> None:
    einsums = [Einsum.parse(line) for line in SELF_ATTENTION]
    over_p, over_m = passes(einsums, ["p"]), passes(einsums, ["m"])
    assert (over_p.count, over_m.count) == (2, 1)
    assert over_p.aliases == (("L", "m"),)
    assert dict(over_p.starts) == {1: ("L",), 2: ("QK",)}


def test_two_layers_of_self_attention_add_up() -> None:
    second = [line.replace("L[", "R[").replace("Q[", "Q2[").replace("K[", "K2[").replace("QK2[", "QK2[")
              .replace("S[p]", "S2[p]") for line in SELF_ATTENTION[1:]]  # fmt: skip
    lines = [*SELF_ATTENTION, "R[p,d] = S[p] * G[d]", *second]
    assert count(lines, "m") == 2
    assert count(lines, "p") == 3


def test_reading_backwards_or_by_strides_waits_for_the_whole_fiber() -> None:
    assert count(["X[m] = exp(A[m])", "Y[m] = X[m] - X[M-1-m]"], "m") == 2
    assert count(["X[m] = exp(A[m])", "Y[m] = X[2*m]"], "m") == 2


# -- footprints, recurrences


def test_fusemax_keeps_f_plus_two_elements_a_query_whatever_the_length() -> None:
    for chunks in (4, 64):
        found = analyze_cascade(attention("fusemax", M=2 * chunks, M1=chunks))
        live = dict(zip((p.family.name for p in found.passes), found.footprints, strict=True))["M"]
        assert live is not None
        assert (live.shared, live.fiber, live.state) == (("p",), 0, SIZES["F"] + 2)


def test_a_chunk_of_fusemax_stays_live_for_its_second_pass() -> None:
    found = analyze_cascade(attention("fusemax"))
    live = found.footprints[[p.family.name for p in found.passes].index("M0")]
    assert live is not None
    assert [(e.tensor, e.elements) for e in live.live if e.kind == "fiber"] == [("BQK", 2)]


def test_three_passes_keep_a_row_of_scores_as_long_as_the_sequence() -> None:
    found = analyze_cascade(attention("three_pass", M=128))
    live = found.footprints[[p.family.name for p in found.passes].index("M")]
    assert live is not None
    assert [(e.tensor, e.elements, e.first, e.last) for e in live.live if e.kind == "fiber"] == [
        ("QK", 128, 1, 2), ("SN", 128, 2, 3),
    ]  # fmt: skip
    assert (live.fiber, live.between(1), live.between(2)) == (128, 129, 129)


def test_split_k_keeps_a_partial_output_for_each_chunk() -> None:
    found = analyze_cascade(attention("split_k"))
    live = found.footprints[[p.family.name for p in found.passes].index("M")]
    assert live is not None
    assert {e.tensor: e.elements for e in live.live if e.kind == "fiber"}["SLNV"] == 4 * SIZES["F"]


def test_inputs_come_once_for_each_pass_that_reads_them() -> None:
    cascade = attention("three_pass")
    over = analyze_cascade(cascade).over("M")
    assert (over.over("K", cascade.einsums), over.over("V", cascade.einsums)) == ((1,), (3,))


def test_recurrences_with_their_variable_and_lag() -> None:
    found = [(r.variable, r.einsums, r.lag) for r in analyze_cascade(attention("fusemax")).recurrences]
    assert found == [("m1", ("RM",), 1), ("m1", ("RD",), 1), ("m1", ("SPNV", "RNV"), 1)]


def test_an_unknown_variable_names_those_that_there_are() -> None:
    with pytest.raises(SpecError, match="no Einsum iterates 'q'") as error:
        count(THREE_PASS, "q")
    assert "rank variables: m, p, e, f" in str(error.value)


def test_an_unknown_family_names_those_that_there_are() -> None:
    with pytest.raises(KeyError, match="families: P, M, M0, E, F"):
        analyze_cascade(attention("fusemax")).over("Q")


# -- laws


def summary(lines: list[str], variables: list[str]) -> dict[str, object]:
    found = passes([Einsum.parse(line) for line in lines], variables)
    starts = {number: frozenset(names) for number, names in found.starts.items()}
    return {"count": found.count, "starts": starts, "labels": dict(found.labels), "pass_of": dict(found.pass_of)}


@pytest.mark.parametrize("lines", [lines for lines, _, _ in ATTENTION.values()], ids=ATTENTION)
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_lines_changes_nothing(lines: list[str], seed: int) -> None:
    variables = ["m1", "m0"] if "BQK" in lines[0] else ["m"]
    shuffled = random.Random(seed).sample(lines, len(lines))
    assert summary(shuffled, variables) == summary(lines, variables)


@pytest.mark.parametrize("lines", [READ_BEFORE_ITS_LINE, SELF_ATTENTION])
@pytest.mark.parametrize("seed", range(5))
def test_nor_with_recurrences_read_before_their_line(lines: list[str], seed: int) -> None:
    assert summary(random.Random(seed).sample(lines, len(lines)), ["m"]) == summary(lines, ["m"])
