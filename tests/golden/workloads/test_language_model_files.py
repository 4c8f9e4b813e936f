"""BitNet, Llama 2, GPT-2 and GPT-3 of the catalogue compute what their names say, at the sizes of their sources."""

from __future__ import annotations

import numpy as np
import plain_language_models as plain
import pytest
from plain_networks import decoder_layer, layer_norm, rms_norm
from test_workload_catalogue import catalogue, kernel, random_inputs

HEADS, SIZE, WIDTH, HIDDEN = 3, 4, 12, 20
BLOCK = {"D": WIDTH, "E": SIZE, "F": SIZE, "N": HIDDEN}


def mirrored(size):
    """Released order of a head's columns (pairs i and i + E/2) to that of the files (pairs i and E - 1 - i)."""
    return [*range(size // 2), *reversed(range(size // 2, size))]


def angles(positions, size):
    """Cosine and signed sine as the files want them."""
    half = np.outer(positions, 10000.0 ** (-2 * np.arange(size // 2) / size))
    whole = np.hstack([half, half[:, ::-1]])
    return np.cos(whole), np.sin(whole) * np.repeat([-1, 1], size // 2)


def released(seed, key_value_heads=HEADS, gains=("S1", "S2"), heads=HEADS):
    generator = np.random.default_rng(seed)
    rows = {"WQ": WIDTH, "WK": WIDTH, "WV": WIDTH, "WO": heads * SIZE, "WG": WIDTH, "WU": WIDTH, "WD": HIDDEN}
    columns = {"WQ": heads, "WK": key_value_heads, "WV": key_value_heads}
    widths = {name: columns[name] * SIZE for name in columns} | {"WO": WIDTH, "WG": HIDDEN, "WU": HIDDEN, "WD": WIDTH}
    weights = {name: generator.normal(size=(rows[name], widths[name])) / 2 for name in rows}
    sizes = {"SA": heads * SIZE, "SF": HIDDEN}
    return weights | {name: generator.normal(size=sizes.get(name, WIDTH)) for name in gains}


def in_the_files(weights, groups, each):
    """The released matrices with a rank for each index; the scale of scores is folded into WQ."""
    heads = {"WQ": (WIDTH, groups, each, SIZE), "WK": (WIDTH, groups, SIZE), "WV": (WIDTH, groups, SIZE)}
    shaped = {name: value.reshape(heads.get(name, value.shape)) for name, value in weights.items()}
    shaped["WQ"] = shaped["WQ"][..., mirrored(SIZE)] / np.sqrt(SIZE)
    shaped["WK"] = shaped["WK"][..., mirrored(SIZE)]
    shaped["WO"] = weights["WO"].reshape(groups, each, SIZE, WIDTH)
    return shaped


def bitnet_inputs(weights):
    """What the BitNet files read: ternary values times their scale, one head a group."""
    scaled = {
        name: np.multiply(*plain.ternary(value)) if name.startswith("W") else value for name, value in weights.items()
    }
    shaped = in_the_files(scaled, HEADS, 1)
    shaped["WQ"], shaped["WO"] = shaped["WQ"][:, :, 0], shaped["WO"][:, 0]
    return shaped | {"SA": weights["SA"].reshape(HEADS, SIZE)}


def bitnet_weights(gain=1.0):
    """Gains below 1e-5 bring the bound of the 8-bit scale into play; large ones overflow a softmax without maximum."""
    weights = released(0, gains=("S1", "SA", "S2", "SF"))
    return weights | {name: gain * weights[name] for name in ("S1", "SA", "S2", "SF")}


@pytest.mark.parametrize("gain", [1, 1e-3, 1e-6, 1e3])
def test_bitnet_block_on_a_prompt(gain):
    cascade = kernel("bitnet_block_prefill", B=2, P=5, H=HEADS, **BLOCK)
    weights = bitnet_weights(gain)
    cos, sin = angles(range(5), SIZE)
    inputs = random_inputs(cascade, **bitnet_inputs(weights), CO=cos, SI=sin)
    found = cascade.run(inputs)
    assert np.allclose(found["Y"], [plain.bitnet_block(x, weights, HEADS) for x in inputs["X"]])
    if gain != 1:  # what the projections give is small beside X
        shares = [plain.bitnet_block(x, weights, HEADS) - x for x in inputs["X"]]
        assert np.allclose(found["Y"] - inputs["X"], shares, rtol=1e-6, atol=1e-12)
        return
    for name in ("LQ1", "LQA", "LQ2", "LQF"):  # bits: 8
        values = np.moveaxis(found[name], -2, 1).reshape(2, 5, -1)  # token by token
        steps = np.round(values / np.abs(values).max(axis=-1, keepdims=True) * 127, 9)
        assert (steps == np.round(steps)).all()
        assert np.abs(steps).max() == 127


@pytest.mark.parametrize("gain", [1, 1e-3, 1e-6, 1e3])
def test_bitnet_decodes_the_last_token_of_the_prompt_with_the_cache(gain):
    prompt = kernel("bitnet_block_prefill", B=6, P=5, H=HEADS, **BLOCK)
    weights = bitnet_weights(gain)
    cos, sin = angles(range(5), SIZE)
    inputs = random_inputs(prompt, **bitnet_inputs(weights), CO=cos, SI=sin)
    whole = prompt.run(inputs)
    step = kernel("bitnet_block_decode", B=6, M=4, H=HEADS, **BLOCK)
    now = {"X": inputs["X"][:, 4], "KC": whole["KR"][:, :, :4], "VC": whole["V"][:, :, :4], "CO": cos[4], "SI": sin[4]}
    out = step.run(random_inputs(step, **{**inputs, **now}))
    shares = [plain.bitnet_block(x, weights, HEADS)[4] - x[4] for x in inputs["X"]]
    assert np.allclose(out["Y"] - inputs["X"][:, 4], shares, rtol=1e-6, atol=1e-12)
    assert np.allclose(out["KR"], whole["KR"][:, :, 4])
    assert np.allclose(out["VN"], whole["V"][:, :, 4])


def test_the_blocks_of_bitnet_are_those_of_its_smallest_model():
    for phase in ("prefill", "decode"):
        block = kernel(f"bitnet_block_{phase}")
        assert block.ranks == catalogue(f"bitnet_0.7b_{phase}").cascades[0].ranks


def test_projections_of_bitnet_are_ternary_and_read_eight_bits():
    for phase in ("prefill", "decode"):
        cascade = kernel(f"bitnet_block_{phase}")
        read = {}
        for einsum in cascade.sized():
            widths = {access.tensor: access.bits for access in einsum.accesses}
            for name in set(widths) & set(cascade.weight_tensors):
                read[name] = {tensor: bits for tensor, bits in widths.items() if tensor.startswith(("L", "W"))}
        assert sorted(read) == ["WD", "WG", "WK", "WO", "WQ", "WU", "WV"]
        for name, widths in read.items():
            assert widths.pop(name) * 5 == 8  # 1.6 bits, exactly
            assert list(widths.values()) == [8]


@pytest.mark.parametrize(
    ("size", "layers", "width", "ternary"),
    [
        ("0.7b", 24, 1536, 679_477_248),  # by hand: layers * (4 d^2 + 3 d n)
        ("1.3b", 24, 2048, 1_207_762_944),
        ("3b", 26, 3200, 3_221_504_000),
    ],
)
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_bitnet_has_the_weights_of_the_released_model(size, layers, width, ternary, phase):
    block, head = catalogue(f"bitnet_{size}_{phase}").cascades
    assert (block.name, block.repeat, head.name) == ("block", layers, "head")
    assert block.repeat * sum(block.size(tensor) for tensor in block.weight_tensors) == ternary
    assert head.operations()["mac"] == head.size("WE") == 32002 * width


@pytest.mark.parametrize(("tokens", "size"), [(1, "0.7b"), (64, "0.7b"), (128, "3b")])
def test_a_prompt_of_bitnet_costs_a_mac_a_weight_and_token_beside_attention(tokens, size):
    block, _ = catalogue(f"bitnet_{size}_prefill", P=tokens).cascades
    weights = sum(block.size(tensor) for tensor in block.weight_tensors)
    scores = block.ranks["H"] * tokens**2  # guards are counted as if dense
    assert block.operations()["mac"] == tokens * weights + 2 * scores * block.ranks["E"]


SMALL = 1e-3  # inputs so small that the epsilon of a norm counts


@pytest.mark.parametrize(
    "name",
    [f"bitnet_{size}_{phase}" for size in ("0.7b", "1.3b", "3b") for phase in ("prefill", "decode")]
    + [f"llama2_{size}_decode" for size in ("7b", "13b", "70b")],
)
def test_the_head_normalises_and_projects(name):
    head = catalogue(name).cascades[-1].with_ranks(B=2, D=WIDTH, V=7)
    inputs = random_inputs(head)
    inputs["X"] = inputs["X"] * SMALL
    matrix = inputs["WE"].T if "WE" in inputs else inputs["WH"]
    assert np.allclose(head.run(inputs)["Y"], rms_norm(inputs["X"], inputs["S"]) @ matrix)


@pytest.mark.parametrize(("groups", "each", "gain"), [(3, 1, 1), (2, 3, 1), (2, 3, 1e3)])
def test_llama2_decodes_the_last_token_with_rotated_keys(groups, each, gain):
    heads, tokens = groups * each, 5
    weights = released(3, key_value_heads=groups, heads=heads)
    weights["S1"] = gain * weights["S1"]
    x = np.random.default_rng(4).normal(size=(2, tokens, WIDTH))
    step = kernel("llama2_block_decode", B=2, M=tokens - 1, G=groups, R=each, **BLOCK)
    cos, sin = angles([tokens - 1], SIZE)
    shaped = in_the_files(weights, groups, each)
    normed = rms_norm(x, weights["S1"])
    keys = np.array([[plain.rotary(n @ w)[:, mirrored(SIZE)] for w in released_heads(weights["WK"])] for n in normed])
    values = np.array([[n @ w for w in released_heads(weights["WV"])] for n in normed])
    cache = {"KC": keys[:, :, :-1], "VC": values[:, :, :-1]}
    out = step.run(random_inputs(step, X=x[:, -1], CO=cos[0], SI=sin[0], **cache, **shaped))
    assert np.allclose(out["Y"], [plain.llama2_block(some, weights, heads, groups)[-1] for some in x])
    assert np.allclose(out["KR"], keys[:, :, -1])
    assert np.allclose(out["VN"], values[:, :, -1])


def released_heads(matrix):
    return np.split(matrix, matrix.shape[1] // SIZE, axis=1)


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("7b", 6_738_415_616), ("13b", 13_015_864_320), ("70b", 68_976_648_192)],
)
def test_llama2_has_the_published_number_of_parameters(size, parameters):
    """Published: the released checkpoints; the embedding (32000 x d) is looked up, not computed."""
    block, head = catalogue(f"llama2_{size}_decode").cascades
    blocks = block.repeat * sum(block.size(tensor) for tensor in block.weight_tensors)
    embedding = 32000 * head.ranks["D"]
    assert blocks + sum(head.size(tensor) for tensor in head.weight_tensors) + embedding == parameters
    assert {block.bits_of(tensor) for tensor in block.weight_tensors} == {16}
    groups = {"7b": (32, 1), "13b": (40, 1), "70b": (8, 8)}
    assert (block.ranks["G"], block.ranks["R"]) == groups[size]


GPT = {  # PIM-GPT's eight models: T. Brown et al., arXiv 2005.14165, table 2.1; weights by hand, 4 d (h e) + 2 d n
    "gpt2_small": (12, 768, 84_934_656),
    "gpt2_medium": (24, 1024, 301_989_888),
    "gpt2_large": (36, 1280, 707_788_800),
    "gpt2_xl": (48, 1600, 1_474_560_000),
    "gpt3_small": (12, 768, 84_934_656),
    "gpt3_medium": (24, 1024, 301_989_888),
    "gpt3_large": (24, 1536, 679_477_248),
    "gpt3_xl": (24, 2048, 1_409_286_144),
}


@pytest.mark.parametrize("name", GPT)
def test_gpt_has_the_weights_of_its_table(name):
    layers, width, matrices = GPT[name]
    block, head = catalogue(f"{name}_decode").cascades
    assert (block.repeat, block.ranks["D"], block.ranks["M"]) == (layers, width, 1023)
    assert block.repeat * sum(block.size(tensor) for tensor in block.weight_tensors) == matrices
    inner = block.ranks["H"] * block.ranks["E"]
    assert layers * block.operations()["mac"] == matrices + layers * 2 * inner * 1023 + layers * inner  # the new key
    assert head.operations()["mac"] == 50257 * width
    assert {access.bits for einsum in block.sized() for access in einsum.accesses} == {16}


def test_the_other_reading_of_gpt3_xl():
    """H * E = D."""
    block = catalogue("gpt3_xl_decode").cascades[0].with_ranks(H=16)
    assert 24 * sum(block.size(tensor) for tensor in block.weight_tensors) == 1_207_959_552


@pytest.mark.parametrize("gain", [1, 1e3])
def test_gpt_decodes_the_last_token_of_a_prompt_with_the_cache(gain):
    step = kernel("gpt_block_decode", B=2, M=4, H=HEADS, **BLOCK)
    x = np.random.default_rng(5).normal(size=(2, 5, WIDTH))
    inputs = random_inputs(step, X=x[:, -1])
    inputs["G1"] = gain * inputs["G1"]
    normed = layer_norm(x, inputs["G1"], inputs["B1"], 1e-5)
    keys = np.einsum("bpd,dhe->bhpe", normed, inputs["WK"])
    values = np.einsum("bpd,dhf->bhpf", normed, inputs["WV"])
    out = step.run({**inputs, "KC": keys[:, :, :4], "VC": values[:, :, :4]})
    assert np.allclose(out["Y"], [decoder_layer(some, inputs)[-1] for some in x])
    assert np.allclose(out["KN"], keys[:, :, 4])
    assert np.allclose(out["VN"], values[:, :, 4])


@pytest.mark.parametrize("name", GPT)
def test_the_head_of_gpt(name):
    head = catalogue(f"{name}_decode").cascades[-1].with_ranks(B=2, D=WIDTH, V=7)
    inputs = random_inputs(head)
    inputs["X"] = inputs["X"] * SMALL
    expected = layer_norm(inputs["X"], inputs["G"], inputs["BE"], 1e-5) @ inputs["WE"].T
    assert np.allclose(head.run(inputs)["Y"], expected)
