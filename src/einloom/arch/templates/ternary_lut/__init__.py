"""``ternary_lut``: ternary and few-bit matrices without multipliers, by table lookup.

Three machines share the units and the ways of a cascade through them (``machine:``):

- ``table_lookup``: tables of activation sums built online in programmable logic, read by T-weight index words that are
  bursts from DRAM; an attention unit and a stream unit beside them; a host for the head (TeLLMe v2).
- ``bit_serial``: tables over the bits of few-bit weights, read by the vector units of a processor (T-MAC).
- ``weight_port``: no tables; weights select and add as they come through a narrow port (the MatMul-free core).

Laws: `lookup`, `weights`, `attention`, `processor`, `units`; resources: `resources`; cutting a cascade into runs of
units: `einloom.arch.templates.cascade_steps`.
"""

from __future__ import annotations

from einloom.arch.template import Template
from einloom.arch.templates.ternary_lut.build import build
from einloom.arch.templates.ternary_lut.parameters import PARAMETERS

TEMPLATE = Template(
    name="ternary_lut",
    summary="ternary and few-bit weights by table lookup (TeLLMe, T-MAC), or through a weight port (MatMul-free)",
    parameters=PARAMETERS,
    build=build,
    sources=(
        "TeLLMe v2, arXiv 2510.15926; TeLLMe, arXiv 2504.16266; github.com/UCI-CORSA/TeLLMe_FPGA_2026",
        "J. Wei et al., T-MAC, arXiv 2407.00088; github.com/microsoft/T-MAC",
        "R. Zhu et al., Scalable MatMul-free Language Modeling, arXiv 2406.02528",
        "I. Kuon, J. Rose, Measuring the Gap Between FPGAs and ASICs, IEEE TCAD 26(2) 2007",
    ),
)
