"""What the parts of a cascade cost on a machine with its companion and links: cycles by term, events, energy, words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from einloom.arch.engine import Array, Cost, Laws, Words
from einloom.arch.templates.dram_pim.companion import Companion
from einloom.arch.templates.dram_pim.energy import Standby, Tally
from einloom.arch.templates.dram_pim.links import Links
from einloom.arch.templates.dram_pim.recognise import Part
from einloom.arch.templates.dram_pim.timing import WORD_BITS, Machine
from einloom.arch.templates.dram_pim.vectors import Calibrated

DRAM, MAC, COMPANION = "DRAM", "MAC", "Companion"
SWITCHES = ("standby_all_channels", "link_word_width")
"""Effects that are no term of a law: stand-by of every channel of every device for as long as a step takes (else of one
channel of the devices that run it, while the banks work), 16 bits a word on links (else one)."""


@dataclass(frozen=True, slots=True)
class Rig:
    """All that a law needs to price a part.

    Attributes:
        machine, constants, companion, links, standby: The parts of the machine.
        units: Energy by unit, pJ.
        without: Terms and switches that are off.
        own_width: Whether keys and values of grouped heads are gathered at their own width (else at the queries').
    """

    machine: Machine
    constants: Calibrated
    companion: Companion
    links: Links
    standby: Standby
    units: tuple[tuple[str, float], ...]
    without: frozenset[str]
    own_width: bool

    def laws(self, laws: Laws[Any]) -> Laws[Any]:
        return laws.without(self.without & set(laws.names))

    @property
    def clock_hz(self) -> float:
        return self.standby.clock_hz


@dataclass
class Bill:
    """The cost of one part, gathered.

    Attributes:
        rig: The machine.
        share: Of the devices' energy that one block pays: with several blocks in step on a device, all of them run
            whatever there is to do, so that L blocks pay for ``ceil(L / b)`` devices.
        devices: That run this part.
        banks: Cycles of the banks by term.
        beside: Cycles of companion and links by term.
        activates: Openings of rows in all banks of a channel.
        tally: Commands of one device.
        energy: Of companion and links, by event.
        words: By tensor.
        held: Bits in the DRAM, of all that stays there.
        useful: Bank-cycles that multiply for a result.
    """

    rig: Rig
    share: float
    devices: int = 1
    banks: dict[str, Array] = field(default_factory=dict)
    beside: dict[str, Array | float] = field(default_factory=dict)
    activates: Array | int = 0
    tally: Tally = field(init=False)
    energy: dict[str, Array | float] = field(default_factory=dict)
    words: dict[tuple[str, str], Words] = field(default_factory=dict)
    held: Array | float = 0.0
    useful: float = 0.0

    def __post_init__(self) -> None:
        self.tally = Tally(self.rig.machine.banks, self.rig.machine.lanes)

    def run(self, laws: Laws[Any], work: Any) -> None:
        """Terms of one piece of work in the banks."""
        for name, cycles in self.rig.laws(laws).of(work).items():
            self.banks[name] = self.banks.get(name, np.zeros(1)) + cycles
        self.activates = self.activates + np.asarray(work.activates)

    def term(self, name: str, cycles: Array | float) -> None:
        """Cycles outside the banks."""
        if name not in self.rig.without:
            self.beside[name] = self.beside.get(name, 0.0) + cycles

    def operations(self, name: str, operations: Mapping[str, int]) -> None:
        """Operations on the companion's lanes; every one has a cost there."""
        if operations:
            companion = self.rig.companion
            companion.check(name, operations)
            self.term("companion", companion.cycles(operations) * self.rig.machine.blocks)
            self.energy["companion"] = self.energy.get("companion", 0.0) + companion.energy_pj(operations)

    def accelerator(self, cycles: float, energy_pj: float) -> None:
        """Cycles of CENT's accelerator for one block; it serves the blocks of a device in turn."""
        self.term("accelerator", cycles * self.rig.machine.blocks)
        self.energy["companion"] = self.energy.get("companion", 0.0) + energy_pj

    def linked(self, words: int, cycles: float) -> None:
        """A transfer over the links."""
        if cycles:
            bits = 1 if "link_word_width" in self.rig.without else WORD_BITS
            self.term("links", cycles)
            self.energy["links"] = self.energy.get("links", 0.0) + words * bits * self.rig.links.bit_pj

    def touch(self, part: Part) -> None:
        """Every tensor crosses the outermost memory once."""
        made = set(part.names)
        for einsum in part.einsums:
            for access in einsum.accesses:
                if access.role == "output":
                    self.words[DRAM, access.tensor] = Words(0, einsum.size(access))
                elif access.tensor not in made:
                    self.words[DRAM, access.tensor] = Words(einsum.size(access), 0)

    def _waiting_pj(self, in_banks: Array, beside: Array) -> tuple[Array, Array]:
        """Stand-by of the banks, and of buffers and controllers, in the time of the banks and in that beside them."""
        standby, machine = self.rig.standby, self.rig.machine
        each = self.share * self.devices
        channel, logic = standby.channel_pj(in_banks, np.asarray(self.activates)), standby.logic_pj(in_banks)
        if "standby_all_channels" in self.rig.without:
            return channel * each, logic * each
        waiting = (machine.devices - self.devices) * self.share * in_banks + machine.devices * self.share * beside
        closed = standby.closed_pj(waiting)
        return machine.channels * (channel * each + closed), logic * each + standby.logic_pj(waiting)

    def cost(self, compute: str) -> Cost:
        """All of it as the cost of a step."""
        rig = self.rig
        in_banks = np.asarray(sum(self.banks.values(), start=np.zeros(1)))
        beside = np.asarray(sum((np.asarray(c) for c in self.beside.values()), start=np.zeros(1)))
        each = self.share * self.devices
        energy = {name: pj * each for name, pj in self.tally.energy_pj(dict(rig.units)).items()}
        energy["standby"], energy["logic"] = self._waiting_pj(in_banks, beside)
        for name, pj in self.energy.items():
            energy[name] = pj * (self.devices if name == "links" else 1)
        return Cost(
            cycles={**self.banks, **self.beside},
            useful=self.useful if compute == MAC else beside,
            busy={compute: in_banks if compute == MAC else beside},
            energy_pj=energy,
            events=self.tally.events(),
            words=self.words,
            held_bits={DRAM: self.held} if isinstance(self.held, np.ndarray) or self.held else {},
        )
