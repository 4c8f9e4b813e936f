"""``fpga_dataflow`` keeps the contract of templates, in every pattern."""

from typing import ClassVar

from einloom.testing import TemplateContract


class TestFpgaDataflow(TemplateContract):
    name = "fpga_dataflow"
    smallest: ClassVar = {"lanes": 16, "bandwidth": "64 b/cycle", "buffer": "64 KiB"}
    scaling = ("lanes", "fifo", "bandwidth", "buffer")


class TestFpgaInDataflow(TemplateContract):
    name = "fpga_dataflow"
    smallest: ClassVar = {"lanes": 16, "patterns": ["dataflow"], "device": "kv260"}
    scaling = ("lanes",)
