"""The templates for ternary weights keep the contract: one product with ternary weights, on every machine."""

from typing import ClassVar

from einloom.testing import GEMM, TemplateContract

TERNARY_GEMM = {**GEMM, "bits": {"default": 8, "B": 1.6}}


class TestTableLookup(TemplateContract):
    name = "ternary_lut"
    smallest: ClassVar = {"tables": 2, "lanes": 4, "attention_rows": 2, "bandwidth": "8 B/cycle"}
    scaling = ("tables", "lanes", "bandwidth", "attention_rows")
    workload = TERNARY_GEMM


class TestTableLookupBuiltBeside(TemplateContract):
    name = "ternary_lut"
    smallest: ClassVar = {
        "tables": 2, "lanes": 4, "form": "mirrored", "build_beside": True, "weights_beside": True, "accumulators": 8,
        "build_rate": 2, "copies": 2, "axi_bits": 32, "planes": 1,
    }  # fmt: skip
    scaling = ("lanes", "copies", "build_rate", "axi_bits", "accumulators")
    workload = TERNARY_GEMM


class TestWeightPort(TemplateContract):
    name = "ternary_lut"
    smallest: ClassVar = {"machine": "weight_port", "access_bits": 8}
    scaling = ("access_bits",)
    workload = TERNARY_GEMM


class TestBitSerial(TemplateContract):
    name = "ternary_lut"
    smallest: ClassVar = {
        "machine": "bit_serial", "instruction_rate": "1.1 GHz", "wide_rate": "2 GHz", "bandwidth": "12 GB/s",
        "threads": 2, "table_lanes": 16, "vector_lanes": 8,
    }  # fmt: skip
    scaling = ("threads", "table_lanes", "vector_lanes", "bandwidth", "instruction_rate")
    workload = TERNARY_GEMM


class TestDualCore(TemplateContract):
    name = "dual_core"
    smallest: ClassVar = {"ternary_macs": 12, "flexible_macs": 4, "buffer": "4 KiB", "bandwidth": "2 B/cycle"}
    scaling = ("ternary_macs", "flexible_macs", "nonlinear_lanes", "buffer", "bandwidth")
    workload = TERNARY_GEMM
