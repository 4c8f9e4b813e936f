"""BitNet b1.58, Llama 2 and MatMul-free language models in plain numpy, from the papers and released models.

Matrices are (inputs, outputs) as a released checkpoint has them (transposed), heads one after another; integers are
summed where the hardware sums integers. Nothing is shared with einloom.
"""

from __future__ import annotations

import numpy as np
from plain_networks import attention, rms_norm


def silu(x):
    return x * np.exp(-np.logaddexp(0, -x))


def ternary(weights):
    """Absmean quantisation (arXiv 2402.17764, equations 1 to 3): signs and their scale."""
    scale = np.abs(weights).mean()
    return np.clip(np.round(weights / scale), -1, 1).astype(int), scale


def bit_linear(x, weights):
    """Integers times signs, then both scales; activations by the absolute maximum of their token (section 2)."""
    signs, scale = ternary(weights)
    step = np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1e-5) / 127
    whole = np.clip(np.round(x / step), -128, 127).astype(int)
    return (whole @ signs) * step * scale


def rotary(x, first=0):
    """x (P, E) of tokens first, first + 1, ...: element i and i + E/2 turn by position / 10000^(2i/E)."""
    half = x.shape[1] // 2
    angle = np.outer(first + np.arange(x.shape[0]), 10000.0 ** (-2 * np.arange(half) / x.shape[1]))
    low, high = x[:, :half], x[:, half:]
    return np.hstack([low * np.cos(angle) - high * np.sin(angle), high * np.cos(angle) + low * np.sin(angle)])


def rotary_attention(q, k, v, heads, key_value_heads):
    """Causal attention of (P, heads * E) on (P, key_value_heads * E), scaled by 1/sqrt(E)."""
    size = q.shape[1] // heads
    outputs = []
    for head in range(heads):
        mine = slice(head * size, (head + 1) * size)
        group = head * key_value_heads // heads
        theirs = slice(group * size, (group + 1) * size)
        turned = rotary(q[:, mine]) / np.sqrt(size)
        outputs.append(attention(turned, rotary(k[:, theirs]), v[:, theirs], causal=True))
    return np.hstack(outputs)


def bitnet_block(x, w, heads):
    """1bitLLM/bitnet_b1_58-large, modeling_bitnet.py: RMSNorm before all projections, also before the last of both."""
    normed = rms_norm(x, w["S1"])
    q, k, v = (bit_linear(normed, w[name]) for name in ("WQ", "WK", "WV"))
    x = x + bit_linear(rms_norm(rotary_attention(q, k, v, heads, heads), w["SA"]), w["WO"])
    normed = rms_norm(x, w["S2"])
    hidden = silu(bit_linear(normed, w["WG"])) * bit_linear(normed, w["WU"])
    return x + bit_linear(rms_norm(hidden, w["SF"]), w["WD"])


def llama2_block(x, w, heads, key_value_heads):
    """arXiv 2307.09288, with rotary embedding."""
    normed = rms_norm(x, w["S1"])
    q, k, v = (normed @ w[name] for name in ("WQ", "WK", "WV"))
    x = x + rotary_attention(q, k, v, heads, key_value_heads) @ w["WO"]
    normed = rms_norm(x, w["S2"])
    return x + (silu(normed @ w["WG"]) * (normed @ w["WU"])) @ w["WD"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def matmul_free_block(x, state, w):
    """arXiv 2406.02528, section 3.3: token mixer and channel mixer of one token; returns output and new state."""
    normed = rms_norm(x, w["S1"])
    forget, gate = sigmoid(bit_linear(normed, w["WFT"])), sigmoid(bit_linear(normed, w["WGT"]))
    state = forget * state + (1 - forget) * silu(bit_linear(normed, w["WIT"]))
    x = x + bit_linear(rms_norm(gate * state, w["SO"]), w["WO"])
    normed = rms_norm(x, w["S2"])
    hidden = silu(bit_linear(normed, w["WG"])) * bit_linear(normed, w["WU"])
    return x + bit_linear(rms_norm(hidden, w["SF"]), w["WD"]), state
