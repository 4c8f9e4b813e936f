"""The networks and kernels of the catalogue in plain numpy, written from the papers, without einloom.

Loops over output positions and matrix products only, so that nothing of the index arithmetic is shared.
"""

from __future__ import annotations

import math

import numpy as np


def softmax(scores, axis):
    shifted = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def attention(q, k, v, causal=False):
    """q (P, E), k (M, E), v (M, F) -> (P, F)."""
    scores = q @ k.T
    if causal:
        future = np.arange(k.shape[0])[None, :] > np.arange(q.shape[0])[:, None]
        scores = np.where(future, -np.inf, scores)
    return softmax(scores, axis=1) @ v


def layer_norm(x, gain, bias, epsilon):
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=-1, keepdims=True) + epsilon) * gain + bias


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def multi_head(x, w, causal=False):
    """x (P, D); w has WQ, WK (D, H, E), WV (D, H, F), WO (H, F, D)."""
    out = np.zeros_like(x)
    for h in range(w["WQ"].shape[1]):
        head = attention(x @ w["WQ"][:, h], x @ w["WK"][:, h], x @ w["WV"][:, h], causal)
        out += head @ w["WO"][h]
    return out


def encoder_layer(x, w):
    """Post-norm: Vaswani et al., arXiv 1706.03762, section 3.1."""
    x = layer_norm(x + multi_head(x, w), w["G1"], w["B1"], 1e-12)
    return layer_norm(x + gelu(x @ w["W1"]) @ w["W2"], w["G2"], w["B2"], 1e-12)


def decoder_layer(x, w):
    """Pre-norm, causal: Radford et al., GPT-2, section 2.3."""
    x = x + multi_head(layer_norm(x, w["G1"], w["B1"], 1e-5), w, causal=True)
    return x + gelu_tanh(layer_norm(x, w["G2"], w["B2"], 1e-5) @ w["W1"]) @ w["W2"]


def rms_norm(x, gain, epsilon=1e-5):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon) * gain


def gated_mlp(x, w):
    """SwiGLU: Shazeer, arXiv 2002.05202, equation 6."""
    gate = x @ w["WG"]
    return (gate / (1 + np.exp(-gate)) * (x @ w["WU"])) @ w["WD"]


def llama_block(x, w):
    """Llama 2, arXiv 2307.09288, without rotary embedding; WQ (D, G, R, E), WK (D, G, E), WO (G, R, F, D)."""
    normed = rms_norm(x, w["S1"])
    attended = np.zeros_like(x)
    for g in range(w["WK"].shape[1]):
        k, v = normed @ w["WK"][:, g], normed @ w["WV"][:, g]
        for r in range(w["WQ"].shape[2]):
            attended += attention(normed @ w["WQ"][:, g, r], k, v, causal=True) @ w["WO"][g, r]
    x = x + attended
    return x + gated_mlp(rms_norm(x, w["S2"]), w)


def relu(x):
    return np.where(x > 0, x, 0)


def conv(x, w, stride=1, *, pad=0, dilation=1, groups=1):
    """x (C, H, W), w (K, C / groups, R, S) -> (K, P, Q)."""
    channels, filters = x.shape[0] // groups, w.shape[0] // groups
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    high, wide = (dilation * (size - 1) + 1 for size in w.shape[2:])
    rows, columns = (x.shape[1] - high) // stride + 1, (x.shape[2] - wide) // stride + 1
    out = np.zeros((w.shape[0], rows, columns))
    for g in range(groups):
        some, kernel = x[g * channels : (g + 1) * channels], w[g * filters : (g + 1) * filters]
        for p in range(rows):
            for q in range(columns):
                top, left = p * stride, q * stride
                window = some[:, top : top + high : dilation, left : left + wide : dilation]
                out[g * filters : (g + 1) * filters, p, q] = kernel.reshape(filters, -1) @ window.ravel()
    return out


def max_pool(x, size, stride, pad):
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)), constant_values=-np.inf)
    rows = (x.shape[1] - size) // stride + 1
    windows = [
        [
            x[:, p * stride : p * stride + size, q * stride : q * stride + size].max(axis=(1, 2))
            for q in range(rows)
        ]
        for p in range(rows)
    ]
    return np.moveaxis(np.array(windows), 2, 0)


def resnet_stem(x, w):
    return max_pool(relu(conv(x, w["F"], stride=2, pad=3)), 3, 2, 1)


def basic_block(x, w, stride):
    """He et al., arXiv 1512.03385, figure 5 left; a projection where the shape changes (option B)."""
    inner = conv(relu(conv(x, w["F1"], stride, pad=1)), w["F2"], pad=1)
    return relu(inner + (conv(x, w["F3"][:, :, None, None], stride) if "F3" in w else x))


def bottleneck_block(x, w, stride):
    """He et al., figure 5 right, with the stride in the 3x3 layer."""
    inner = relu(conv(x, w["F1"][:, :, None, None]))
    inner = relu(conv(inner, w["F2"], stride, pad=1))
    inner = conv(inner, w["F3"][:, :, None, None])
    return relu(inner + (conv(x, w["F4"][:, :, None, None], stride) if "F4" in w else x))


def separable_block(x, w, stride):
    """Howard et al., arXiv 1704.04861, figure 3."""
    inner = relu(conv(x, w["F1"][:, None], stride, pad=1, groups=x.shape[0]))
    return relu(conv(inner, w["F2"][:, :, None, None]))


def classifier(x, w):
    return x.mean(axis=(1, 2)) @ w["F"]
