"""A DRAM with MACs keeps the contract of every template: in banks, and as HBM-PIM."""

from typing import ClassVar

from einloom.testing import TemplateContract


class TestBanks(TemplateContract):
    name = "dram_pim"
    smallest: ClassVar = {"channels": 1, "banks": 4}
    scaling = ("channels", "banks", "accumulators", "devices")

    def mapped(self, objective="energy", **changes):
        """Without what more hardware rightly costs: devices talk over links, and banks open four at a time."""
        return super().mapped(objective, **{"without": ["links", "four_activate"], **changes})


class TestRegisterTiles(TemplateContract):
    name = "dram_pim"
    smallest: ClassVar = {"unit": "register_tiles", "channels": 2, "companion": "vector", "nCCDL": 4, "nRFC": 350}
    scaling = ("channels", "pim_blocks")
