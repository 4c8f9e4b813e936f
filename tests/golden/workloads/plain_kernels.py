"""AlexNet and the five kernels of InTAR in plain numpy, from the papers, without einloom."""

from __future__ import annotations

import numpy as np
from plain_networks import attention, conv, max_pool, relu


def alexnet(x, w):
    """Krizhevsky et al., NIPS 2012, section 3.5, without response normalisation; filters (K, C / groups, R, S)."""
    x = max_pool(relu(conv(x, w["conv1"], stride=4)), 3, 2, 0)
    x = max_pool(relu(conv(x, w["conv2"], pad=2, groups=2)), 3, 2, 0)
    x = relu(conv(x, w["conv3"], pad=1))
    x = relu(conv(x, w["conv4"], pad=1, groups=2))
    x = max_pool(relu(conv(x, w["conv5"], pad=1, groups=2)), 3, 2, 0).ravel()
    return relu(relu(x @ w["fc6"]) @ w["fc7"]) @ w["fc8"]


def self_attention(x, w):
    """One head, scaled by 1/32."""
    return attention(x @ w["WQ"] / 32, x @ w["WK"], x @ w["WV"])


def perceptron(x, w):
    for name in ("W1", "W2", "W3"):
        x = relu(x @ w[name])
    return x


def gating_network(x, w):
    up = x @ w["WU"]
    return (up / (1 + np.exp(-up)) * (x @ w["WG"])) @ w["WD"]


def scatter(x, w):
    """Transposed convolution: x (C, H, W) spreads over w (C, F, R, S) -> (F, H + R - 1, W + S - 1)."""
    high, wide = w.shape[2:]
    out = np.zeros((w.shape[1], x.shape[1] + high - 1, x.shape[2] + wide - 1))
    for u in range(x.shape[1]):
        for v in range(x.shape[2]):
            out[:, u : u + high, v : v + wide] += np.tensordot(x[:, u, v], w, axes=1)
    return out


def autoencoder(x, w):
    """Mean and log-variance maps, samples with the noise of each channel, two transposed convolutions."""
    hidden = relu(conv(x, w["F1"]))
    mean, log_variance = (relu(conv(hidden, w[name][None]))[0] for name in ("FM", "FV"))
    latent = np.stack([mean + np.sqrt(np.exp(log_variance)) * noise for noise in w["EPS"]])
    return relu(scatter(scatter(latent, w["F3"]), w["F4"]))


def doubled(image):
    """Each pixel four times."""
    return np.kron(image, np.ones((2, 2)))


def up_and_down(x, filters):
    """3 x 3 convolutions with ReLU: two that double the image, two that halve it by 2 x 2 maximum."""
    for number, kernel in enumerate(filters):
        x = relu(conv(x[None], kernel[None, None], pad=1))[0]
        x = doubled(x) if number < 2 else max_pool(x[None], 2, 2, 0)[0]
    return x
