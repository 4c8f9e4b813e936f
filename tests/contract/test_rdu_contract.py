"""The contract suite for `rdu`."""

from typing import ClassVar

from einloom.testing import TemplateContract


class TestRdu(TemplateContract):
    name = "rdu"
    smallest: ClassVar = {"pcus": 4, "pmus": 4, "pmu": "4 KiB", "hbm_bandwidth": "1600 GB/s"}
    scaling = ("pcus", "pmus", "pmu", "hbm_bandwidth", "sockets", "pcu_gflops")


class TestRduSockets(TemplateContract):
    name = "rdu"
    smallest: ClassVar = {"sockets": 3, "link_bandwidth": "100 GB/s", "launch": "1 us"}
    scaling = ("link_bandwidth",)
