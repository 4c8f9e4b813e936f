"""``dual_core``: ternary cores without multipliers beside a core of flexible precision (VitaLLM).

Ternary cores select and add: one weight a lane and cycle. The flexible core multiplies by radix-4 Booth digits: a
ternary weight is one digit, a b-bit operand ``ceil(b / 2)``; it runs the products of two activations, and helps with
ternary ones while it is free. Element-wise work runs on lanes of its own, hidden behind products as far as dependences
allow. Keys and values that a predictor prunes are a given factor (K of M tokens are kept): what is pruned is neither
fetched nor multiplied. The predictor itself has no cost here, its inputs are not published.

Laws: `cores`. VitaLLM: arXiv 2604.27396 and 2605.00320 (TSMC 16 nm, 1 GHz).
"""

from __future__ import annotations

from einloom.arch.template import Template
from einloom.arch.templates.dual_core.build import PARAMETERS, build

TEMPLATE = Template(
    name="dual_core",
    summary="ternary cores beside a flexible-precision core, pruned key-value fetches (VitaLLM)",
    parameters=PARAMETERS,
    build=build,
    sources=("VitaLLM, arXiv 2604.27396 and 2605.00320",),
)
