"""Every file of ``workloads/`` computes what its name says, at the size that its paper says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plain_networks as plain
import pytest

from einloom.spec.workload import read_workload

CATALOGUE = Path(__file__).parents[3] / "workloads"
FILES = sorted(path.stem for path in CATALOGUE.glob("*.yaml"))


def catalogue(name, **ranks):
    return read_workload(CATALOGUE / f"{name}.yaml", ranks)


def kernel(name, **ranks):
    (cascade,) = catalogue(name, **ranks).cascades
    return cascade


def random_inputs(cascade, seed=0, **known):
    generator = np.random.default_rng(seed)
    return {name: known.get(name, generator.normal(size=cascade.shape(name)) / 2) for name in cascade.inputs}


@pytest.mark.parametrize("name", FILES)
def test_every_einsum_of_the_catalogue_can_be_counted(name):
    workload = catalogue(name)
    assert workload.name == name
    for cascade in workload.cascades:
        assert len(cascade.sized()) == len(cascade.einsums)
        assert cascade.operational_intensity() > 0


# -- kernels


def test_gemm():
    cascade = kernel("gemm", M=5, N=3, K=4)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["Z"], inputs["A"] @ inputs["B"])


def test_batched_gemm():
    cascade = kernel("batched_gemm", H=2, M=5, N=3, K=4)
    inputs = random_inputs(cascade)
    assert np.allclose(
        cascade.run(inputs)["Z"], [a @ b for a, b in zip(inputs["A"], inputs["B"], strict=True)]
    )


@pytest.mark.parametrize(
    ("name", "filters", "ranks", "options"),
    [
        ("conv2d", "W", {}, {}),
        ("conv2d_strided", "F", {"H": 9, "W": 9, "R": 7, "S": 7}, {"stride": 2, "pad": 3}),
        ("conv2d_dilated", "W", {}, {"dilation": 2}),
    ],
)
def test_convolutions(name, filters, ranks, options):
    cascade = kernel(name, **{"B": 2, "K": 3, "C": 4, "P": 5, "Q": 5, **ranks})
    inputs = random_inputs(cascade)
    expected = [plain.conv(x, inputs[filters], **options) for x in inputs["X"]]
    assert np.allclose(cascade.run(inputs)["Y"], expected)


def test_grouped_convolution():
    cascade = kernel("conv2d_grouped", B=2, G=3, K=2, C=4, P=5, Q=4)
    inputs = random_inputs(cascade)
    x, w = inputs["X"].reshape(2, 12, 7, 6), inputs["W"].reshape(6, 4, 3, 3)
    expected = [plain.conv(image, w, groups=3).reshape(3, 2, 5, 4) for image in x]
    assert np.allclose(cascade.run(inputs)["Y"], expected)


def test_depthwise_convolution():
    cascade = kernel("conv2d_depthwise", B=2, C=3, P=4, Q=5)
    inputs = random_inputs(cascade)
    expected = [plain.conv(x, inputs["W"][:, None], stride=2, groups=3) for x in inputs["X"]]
    assert np.allclose(cascade.run(inputs)["Y"], expected)


def test_two_convolutions_with_a_halo_between_them():
    cascade = kernel("conv_chain", C=3, N=4, K=2, H=6, W=7, P=4, Q=5)
    inputs = random_inputs(cascade)
    assert inputs["X"].shape == (3, 8, 9)
    expected = plain.conv(plain.conv(inputs["X"], inputs["F1"]), inputs["F2"])
    assert np.allclose(cascade.run(inputs)["Y2"], expected)


def test_rmsnorm():
    cascade = kernel("rmsnorm", P=5, D=12)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["Y"], plain.rms_norm(inputs["X"], inputs["S"]))


@pytest.mark.parametrize("name", ["layernorm", "layernorm_two_pass"])
def test_layernorm(name):
    cascade = kernel(name, P=5, D=12)
    inputs = random_inputs(cascade)
    expected = plain.layer_norm(inputs["X"] + 3, inputs["S"], inputs["T"], 1e-5)
    assert np.allclose(cascade.run({**inputs, "X": inputs["X"] + 3})["Y"], expected)


def test_gated_mlp():
    cascade = kernel("gated_mlp", P=5, D=12, N=20)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["Y"], plain.gated_mlp(inputs["X"], inputs))


def test_mttkrp_is_the_unfolded_tensor_times_the_khatri_rao_product():
    cascade = kernel("mttkrp", I=4, J=3, K=5, L=2)
    inputs = random_inputs(cascade)
    khatri_rao = np.stack([np.kron(b, c) for b, c in zip(inputs["B"].T, inputs["C"].T, strict=True)], axis=1)
    assert np.allclose(cascade.run(inputs)["Z"], inputs["A"].reshape(4, 10) @ khatri_rao)


@pytest.mark.parametrize(
    "name", [name for name in FILES if name.startswith("attention_") and name != "attention_softmax1"]
)
def test_attention_is_softmax_attention(name):
    ranks = {"B": 2, "H": 3, "E": 4, "F": 5, "P": 6, "M": 8}
    cascade = catalogue(name).cascades[0]
    cascade = cascade.with_ranks(**ranks, **({"M0": 4} if cascade.split else {}))
    inputs = random_inputs(cascade)
    q = inputs["Q"] * 20  # large scores: an unstable softmax would overflow
    output = cascade.run({**inputs, "Q": q * 20})["AV"]
    q = q * 20
    k = inputs["BK"].reshape(2, 3, 4, 8) if "BK" in inputs else inputs["K"]
    v = inputs["BV"].reshape(2, 3, 5, 8) if "BV" in inputs else inputs["V"]
    for b in range(2):
        for h in range(3):
            expected = plain.attention(q[b, h].T, k[b, h].T, v[b, h].T).T
            assert np.allclose(output[b, h], expected)


def test_two_gemms():
    cascade = kernel("two_gemms", M=5, K=4, N=3, L=6)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["Z"], inputs["A"] @ inputs["B"] @ inputs["C"])


def test_attention_with_one_operation_a_score_leaves_out_maximum_and_denominator():
    cascade = kernel("attention_softmax1", H=3, P=5, M=6, E=4, F=2)
    inputs = random_inputs(cascade)
    output = cascade.run(inputs)["AV"]
    for h in range(3):
        scores = np.exp(inputs["Q"][h] @ inputs["K"][h].T)
        assert np.allclose(output[h], scores @ inputs["V"][h])
        softmax = plain.attention(inputs["Q"][h], inputs["K"][h], inputs["V"][h])
        assert np.allclose(output[h] / scores.sum(axis=1, keepdims=True), softmax)
    assert cascade.with_ranks(H=8, P=1024, M=1024, E=64, F=64).operations() == {
        "mac": 2 * 8 * 1024**2 * 64,
        "exp": 8 * 1024**2,
    }


# -- transformer layers and networks


SMALL = {"P": 5, "D": 12, "H": 3, "E": 4, "F": 4, "N": 20}


def test_encoder_layer():
    cascade = kernel("encoder_layer", B=2, **SMALL)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["Y"], [plain.encoder_layer(x, inputs) for x in inputs["X"]])


def test_decoder_layer_on_a_prompt():
    cascade = kernel("decoder_layer_prefill", B=2, **SMALL)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["Y"], [plain.decoder_layer(x, inputs) for x in inputs["X"]])


def test_decoding_one_token_with_the_cache_equals_the_last_token_of_the_prompt():
    prompt = kernel("decoder_layer_prefill", B=2, **SMALL)
    inputs = random_inputs(prompt)
    whole = prompt.run(inputs)
    step = kernel(
        "decoder_layer_decode", B=2, M=4, **{rank: size for rank, size in SMALL.items() if rank != "P"}
    )
    cached = {"X": inputs["X"][:, 4], "KC": whole["K"][:, :, :4], "VC": whole["V"][:, :, :4]}
    out = step.run(random_inputs(step, **{**inputs, **cached}))
    assert np.allclose(out["Y"], [plain.decoder_layer(x, inputs)[4] for x in inputs["X"]])
    assert np.allclose(out["KN"], whole["K"][:, :, 4])
    assert np.allclose(out["VN"], whole["V"][:, :, 4])


LLAMA = {"P": 5, "D": 12, "G": 2, "R": 3, "E": 4, "F": 4, "N": 20}


def test_llama_block_on_a_prompt():
    cascade = kernel("llama_block_prefill", B=2, **LLAMA)
    inputs = random_inputs(cascade)
    assert np.allclose(cascade.run(inputs)["Y"], [plain.llama_block(x, inputs) for x in inputs["X"]])


def test_llama_decodes_the_last_token_of_the_prompt_with_the_cache():
    prompt = kernel("llama_block_prefill", B=2, **LLAMA)
    inputs = random_inputs(prompt)
    whole = prompt.run(inputs)
    sizes = {rank: size for rank, size in LLAMA.items() if rank != "P"}
    step = kernel("llama_block_decode", B=2, M=4, **sizes)
    cached = {"X": inputs["X"][:, 4], "KC": whole["K"][:, :, :4], "VC": whole["V"][:, :, :4]}
    out = step.run(random_inputs(step, **{**inputs, **cached}))
    assert np.allclose(out["Y"], [plain.llama_block(x, inputs)[4] for x in inputs["X"]])
    assert np.allclose(out["KN"], whole["K"][:, :, 4])
    assert np.allclose(out["VN"], whole["V"][:, :, 4])


def test_llama_has_the_published_number_of_weights():
    """Published: 68.98 G in the checkpoint of Llama 2 70B: 80 blocks, two embeddings of 32000 x 8192, the last norm."""
    block = kernel("llama_block_prefill")
    weights = 80 * sum(block.size(tensor) for tensor in block.weight_tensors) + 2 * 32000 * 8192 + 8192
    assert weights == 68_976_648_192
    step = kernel("llama_block_decode")
    assert [step.size(tensor) for tensor in step.weight_tensors] == [
        block.size(tensor) for tensor in block.weight_tensors
    ]


def test_the_linear_layers_of_fusemax_are_six_matrix_products():
    cascade = kernel("fusemax_linear", T=5, D=6, J=4, N=7)
    inputs = random_inputs(cascade)
    output = cascade.run(inputs)
    for name in "QKV":
        assert np.allclose(output[name], inputs["X"] @ inputs[f"W{name}"])
    z = inputs["AV"] @ inputs["WZ"]
    assert np.allclose(output["Z"], z)
    assert np.allclose(output["FFN2"], z @ inputs["W1"] @ inputs["W2"])


@pytest.mark.parametrize(
    ("ranks", "cycles", "traffic"),
    [
        ({"T": 65536}, 7_077_888, 1_826_095_104),  # BERT 1K
        ({"T": 64 * 65536}, 452_984_832, 115_978_272_768),  # BERT 64K
        ({"T": 64 * 2**20}, 7_247_757_312, 1_855_440_027_648),  # BERT 1M
        # XLM: the artifact's own traffic is a mapper's; compulsory is what the reference derives
        ({"T": 65536, "D": 2048, "J": 2048, "N": 8192}, 50_331_648, 4_932_501_504),
    ],
)
def test_the_linear_layers_of_fusemax_have_the_published_cycles_and_compulsory_traffic(ranks, cycles, traffic):
    """Published: FuseMax artifact @f543beb, end2end-flat.csv; every layer moves its operands and its result."""
    cascade = kernel("fusemax_linear", **ranks)
    assert cascade.operations() == {"mac": 65536 * cycles}
    bits = sum(access.bits * einsum.size(access) for einsum in cascade.sized() for access in einsum.accesses)
    assert bits == 8 * traffic


def test_gpt3_block_is_the_matrix_products_around_one_operation_a_score():
    cascade = kernel("gpt3_6.7b_block", B=2, P=5, D=12, H=3, E=4, F=4, G=7, N=20, J=12)
    assert len(cascade.einsums) == 10
    inputs = random_inputs(cascade)
    output = cascade.run(inputs)["FFB"]
    for x, found in zip(inputs["X"], output, strict=True):
        z = np.zeros((5, 7))
        for h in range(3):
            q, k, v = (x @ inputs[name][h].T for name in ("WQ", "WK", "WV"))
            z += np.exp(q @ k.T) @ v @ inputs["WZ"][h]
        assert np.allclose(found, z @ inputs["W1"] @ inputs["W2"])


def chain(workload, x, shrink, layers=None):
    """Run the parts in order, each as often as it repeats (at most ``layers``), each with its own weights."""
    weights = []
    for cascade in workload.cascades:
        small = cascade.with_ranks(**shrink(cascade))
        for copy in range(min(cascade.repeat, layers or cascade.repeat)):
            inputs = random_inputs(small, seed=len(weights) * 100 + copy, X=x)
            weights.append({name: value for name, value in inputs.items() if name != "X"})
            x = small.run(inputs)["Y"]
    return x, weights


def test_bert_base_is_a_stack_of_encoder_layers():
    workload = catalogue("bert_base")
    assert [(cascade.name, cascade.repeat) for cascade in workload.cascades] == [("encoder", 12)]
    x = np.random.default_rng(1).normal(size=(1, 5, 12))
    out, weights = chain(workload, x, lambda _: {**SMALL, "M": 5}, layers=2)
    expected = x[0]
    for layer in weights:
        expected = plain.encoder_layer(expected, layer)
    assert np.allclose(out[0], expected)


@pytest.mark.parametrize(("size", "layers"), [("small", 12), ("medium", 24), ("xl", 48)])
def test_gpt2_is_a_stack_of_decoder_layers_and_the_logits(size, layers):
    workload = catalogue(f"gpt2_{size}")
    assert [(cascade.name, cascade.repeat) for cascade in workload.cascades] == [
        ("decoder", layers),
        ("logits", 1),
    ]
    x = np.random.default_rng(1).normal(size=(1, 5, 12))

    def shrink(cascade):
        return {**SMALL, "M": 5} if cascade.name == "decoder" else {"P": 5, "D": 12, "V": 7}

    out, weights = chain(workload, x, shrink, layers=2)
    expected = x[0]
    for layer in weights[:-1]:
        expected = plain.decoder_layer(expected, layer)
    head = weights[-1]
    expected = plain.layer_norm(expected, head["G"], head["BE"], 1e-5) @ head["WE"].T
    assert np.allclose(out[0], expected)


# -- convolutional networks


SPATIAL = {224: 32, 112: 16, 56: 8, 28: 4, 14: 2, 7: 1}


def shrink_image(cascade):
    """224 pixels become 32, channels a sixteenth, 1000 classes 5."""
    sizes = {}
    for rank, size in cascade.ranks.items():
        if size in SPATIAL and rank in "HWPQUV":
            sizes[rank] = SPATIAL[size]
        elif rank in "CKLJ" and size >= 16:
            sizes[rank] = size // 16
        elif rank == "N":
            sizes[rank] = 5
    return sizes


def run_image_network(name):
    x = np.random.default_rng(2).normal(size=(1, 3, 32, 32))
    out, weights = chain(catalogue(name), x, shrink_image)
    return x[0], out[0], iter(weights)


@pytest.mark.parametrize(
    ("name", "block", "blocks"),
    [("resnet18", plain.basic_block, (2, 2, 2, 2)), ("resnet50", plain.bottleneck_block, (3, 4, 6, 3))],
)
def test_resnet_is_the_network_of_the_paper(name, block, blocks):
    x, out, weights = run_image_network(name)
    x = plain.resnet_stem(x, next(weights))
    for stage, count in enumerate(blocks):
        for number in range(count):
            x = block(x, next(weights), stride=2 if stage > 0 and number == 0 else 1)
    assert np.allclose(out, plain.classifier(x, next(weights)))
    assert next(weights, None) is None


def test_mobilenet_is_the_network_of_the_paper():
    x, out, weights = run_image_network("mobilenet_v1")
    x = plain.relu(plain.conv(x, next(weights)["F"], stride=2, pad=1))
    for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1):  # table 1
        x = plain.separable_block(x, next(weights), stride)
    assert np.allclose(out, plain.classifier(x, next(weights)))
    assert next(weights, None) is None


# -- sizes


def transformer_macs(layers, tokens, width, vocabulary=0):
    """12 s h^2 + 2 s^2 h a layer, s h v for logits: Narayanan et al., arXiv 2104.04473, appendix, halved."""
    return layers * (12 * tokens * width**2 + 2 * tokens**2 * width) + tokens * width * vocabulary


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("gemm", 1024**3),
        ("bert_base", transformer_macs(12, 384, 768)),  # by hand
        ("two_gemms", 2 * 1024**3),
        ("gpt3_6.7b_block", transformer_macs(1, 2048, 4096)),  # by hand
        ("gpt2_small", transformer_macs(12, 1024, 768, 50257)),  # by hand
        ("gpt2_medium", transformer_macs(24, 1024, 1024, 50257)),  # by hand
        ("gpt2_xl", transformer_macs(48, 1024, 1600, 50257)),  # by hand
        ("resnet18", 1_814_073_344),  # published: torchvision model table, 1.81 G; last digits locked
        ("resnet50", 4_089_184_256),  # published: torchvision model table, 4.09 G; last digits locked
        ("mobilenet_v1", 568_740_352),  # published: arXiv 1704.04861, table 4, 569 M; last digits locked
    ],
)
def test_networks_have_the_published_number_of_multiply_accumulates(name, macs):
    assert catalogue(name).operations()["mac"] == macs


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet18", 11.68), ("resnet50", 25.50), ("mobilenet_v1", 4.21)],
)
def test_networks_have_the_published_number_of_weights(name, millions):
    """Published: torchvision (11.69, 25.56 M), arXiv 1704.04861 (4.2 M); ours without biases and norms."""
    weights = sum(
        cascade.repeat * sum(cascade.size(tensor) for tensor in cascade.weight_tensors)
        for cascade in catalogue(name).cascades
    )
    assert weights / 1e6 == pytest.approx(millions, abs=0.01)
