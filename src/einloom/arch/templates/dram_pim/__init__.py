"""``dram_pim``: a DRAM with a MAC unit in every bank, as GDDR6-AiM, CENT and PIM-GPT build it.

Structure: ``DRAM > channels > Buffer > banks > MAC``, and beside it a ``Companion`` that runs what the banks cannot.
The buffer of a channel broadcasts a chunk of the input vector; every bank multiplies a column of its open row with it.
Cycles are those of the DRAM's command clock: `gemv` has the law of a matrix-vector product, `attention` that of scores
and values against a cache, `vectors` that of element-wise work by host lines, `companion`, `links` and `energy` the
rest; `recognise` reads a cascade. Several vectors (a prompt) are several passes of the same law, one after the other.
With ``unit: register_tiles`` the machine is an HBM-PIM instead, whose law is in `register_tiles`.

``without`` switches terms off by name. The simulator behind CENT has no refresh and no four-activate window, and its
power calculator charges stand-by of one channel and one bit of a word on the links: a design held to it says
``without: [refresh, four_activate, standby_all_channels, link_word_width]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from einloom.arch.components import library
from einloom.arch.template import Parameter, Template
from einloom.arch.templates.dram_pim import attention, gemv, vectors
from einloom.arch.templates.dram_pim.companion import LANES, Companion
from einloom.arch.templates.dram_pim.energy import Standby
from einloom.arch.templates.dram_pim.engine import DramPim
from einloom.arch.templates.dram_pim.links import Links
from einloom.arch.templates.dram_pim.pricing import COMPANION, DRAM, MAC, SWITCHES, Rig
from einloom.arch.templates.dram_pim.register_tiles import TILE_LAWS, TILE_PARAMETERS, RegisterTiles, Tiling
from einloom.arch.templates.dram_pim.timing import TIMINGS, WORD_BITS, Machine, timing_of
from einloom.arch.templates.dram_pim.vectors import CALIBRATED, calibrated_of
from einloom.arch.tree import Amount, Architecture, Branches, Compute, Fanout, Level, Memory
from einloom.errors import Problem, SpecError

BANK, TILES = "bank", "register_tiles"
EVENTS = {BANK: "gddr6_aim", TILES: "hbm_pim"}
"""Component of the library that has the energies of DRAM events."""

_TERMS = dict.fromkeys([
    *gemv.GEMV_LAWS.names, *attention.SCORE_LAWS.names, *attention.APPEND_LAWS.names, *vectors.VECTOR_LAWS.names,
    *TILE_LAWS.names, "accelerator", "companion", "links", "partial_sums", *SWITCHES,
])  # fmt: skip

PARAMETERS = (
    Parameter(name="unit", kind="choice", choices=(BANK, TILES), default=BANK,
              meaning="a MAC unit in every bank (AiM), or PIM blocks with tiles in registers (HBM-PIM)"),
    Parameter(name="channels", kind="count", meaning="channels of a device", default=32, high=4096),
    Parameter(name="block_channels", kind="count", high=4096, default=None,
              meaning="channels that hold one block of the network; by default all"),
    Parameter(name="devices", kind="count", high=4096, default=1,
              meaning="devices that share the linear layers of a block"),
    Parameter(name="banks", kind="count", meaning="banks of a channel, each with a MAC unit", default=16, high=1024),
    Parameter(name="rows", kind="count", meaning="rows of a bank", default=16384, high=2**24),
    Parameter(name="row", kind="size", meaning="of a row, and of the buffer of a channel",
              default=Amount(2048 * 8), unlimited=False),
    Parameter(name="column", kind="size", meaning="of one access to an open row", default=Amount(256), unlimited=False),
    Parameter(name="accumulators", kind="count", meaning="of a bank", default=32, high=4096),
    Parameter(name="clock", kind="frequency", meaning="command clock of the DRAM", default=2e9),
    *TIMINGS,
    *CALIBRATED,
    *TILE_PARAMETERS,
    Parameter(name="without", kind="names", default=(), choices=tuple(_TERMS),
              meaning="terms and effects that are left out, for a design that is held to a simulator without them"),
    Parameter(name="companion", kind="choice", choices=("none", "cent", "vector"), default="cent",
              meaning="logic beside the DRAM: CENT's accelerator, or a row of lanes"),
    Parameter(name="companion_lanes", kind="count", default=None, high=10**6,
              meaning="operations at a time; by default 16 a channel"),
    Parameter(name="companion_clock", kind="frequency", meaning="by default the clock of the DRAM", default=None),
    Parameter(name="companion_technology", kind="length", default=45.0, low=7, high=130,
              meaning="node to which energies of its operations (fp16) are scaled"),
    Parameter(name="parallel", kind="choice", choices=("none", "pipeline", "tensor"), default=None,
              meaning="what the links carry; by default nothing on one device, else shares of linear layers"),
    Parameter(name="link_lanes", kind="count", meaning="PCIe lanes of a device", default=18, high=10**6),
    Parameter(name="link_lane_rate", kind="number", meaning="of a lane, GiB/s", default=4.0, low=1e-3),
    Parameter(name="link_latency", kind="time", meaning="of one transfer", default=180e-9, low=0),
    Parameter(name="gather_width", kind="choice", choices=("own", "query"), default="own",
              meaning="at which keys and values of grouped heads are gathered (CENT: that of the queries)"),
    Parameter(name="energies", kind="table", default=None,
              meaning="pJ by event in place of those of the component gddr6_aim or hbm_pim"),
    Parameter(name="link_energy", kind="energy", meaning="of one bit on a link", default=4.4, low=0),
    Parameter(name="standby_open", kind="power", meaning="of a channel with open rows", default=0.26375, low=0),
    Parameter(name="standby_closed", kind="power", meaning="of a channel with closed rows", default=0.18315, low=0),
    Parameter(name="logic_power", kind="power", default=0.03902, low=0,
              meaning="of a device's buffers and controllers, always on"),
)  # fmt: skip


_USED_BY_TILES = frozenset({
    "unit", "channels", "banks", "rows", "row", "column", "clock", "nCCDL", "nRFC", "nREFI", "without", "companion",
    "companion_lanes", "companion_clock", "companion_technology", "energies",
    *(parameter.name for parameter in TILE_PARAMETERS),
})  # fmt: skip
_UNUSED = {
    BANK: frozenset(parameter.name for parameter in TILE_PARAMETERS),
    TILES: frozenset(parameter.name for parameter in PARAMETERS) - _USED_BY_TILES,
}
"""Parameters that a unit does not have, so that giving one would change nothing."""


def _check_unit(params: Mapping[str, Any]) -> None:
    """Raise `SpecError` for every parameter that is given and that the unit does not have."""
    unit = params["unit"]
    other = TILES if unit == BANK else BANK
    problems = [
        Problem(f"'{parameter.name}' means nothing to `unit: {unit}`", f"leave it out, or choose `unit: {other}`",
                (parameter.name,))
        for parameter in PARAMETERS
        if parameter.name in _UNUSED[unit] and params[parameter.name] != parameter.default
    ]  # fmt: skip
    if problems:
        raise SpecError(problems)


def build(params: Mapping[str, Any]) -> Architecture:
    """The architecture for resolved parameters."""
    _check_unit(params)
    machine = _machine(params)
    companion = _companion(params, machine)
    if params["unit"] == TILES:
        return Architecture(
            name="dram_pim", clock_hz=params["clock"], levels=_tree(params, machine, companion),
            engine=RegisterTiles(machine, _tiling(params), companion, _units(params), frozenset(params["without"])),
        )  # fmt: skip
    standby = Standby(
        params["standby_open"], params["standby_closed"], params["logic_power"], params["clock"], machine.timing.nRP
    )
    rig = Rig(
        machine, calibrated_of(params), companion, _links(params, machine), standby, _units(params),
        frozenset(params["without"]), params["gather_width"] == "own",
    )  # fmt: skip
    return Architecture(
        name="dram_pim", clock_hz=params["clock"], levels=_tree(params, machine, companion), engine=DramPim(rig)
    )


def _machine(params: Mapping[str, Any]) -> Machine:
    channels, block = params["channels"], params["block_channels"]
    if block is not None and block > channels:
        raise SpecError(f"a block has {block} channels of {channels}", "at most `channels`", ("block_channels",))
    timing = timing_of(params)
    if timing.nREFI <= timing.nRFC and "refresh" not in params["without"]:
        what = f"a refresh of {timing.nRFC} cycles every {timing.nREFI} leaves no time"
        raise SpecError(what, "nREFI must be above nRFC", ("nREFI",))
    row, column = _words(params, "row"), _words(params, "column")
    if row % column:
        raise SpecError(f"a row of {row} words is no whole number of columns of {column}", "", ("column",))
    return Machine(
        timing=timing, channels=channels, block_channels=block or channels, devices=params["devices"],
        banks=params["banks"], lanes=column, row_words=row, accumulators=params["accumulators"],
    )  # fmt: skip


def _tiling(params: Mapping[str, Any]) -> Tiling:
    return Tiling(**{parameter.name: params[parameter.name] for parameter in TILE_PARAMETERS})


def _words(params: Mapping[str, Any], name: str) -> int:
    """A size in words of 16 bits."""
    words = params[name].in_bits(WORD_BITS).value / WORD_BITS
    if words != int(words):
        raise SpecError(f"'{name}' is no whole number of words of {WORD_BITS} bits", "", (name,))
    return int(words)


def _companion(params: Mapping[str, Any], machine: Machine) -> Companion:
    part = library().compute_part("fp16", params["companion_technology"])
    compute = Compute(name=COMPANION, energy_pj=part.energy_pj, cycles=part.cycles, source=part.source)
    clock = params["companion_clock"] or params["clock"]
    lanes = params["companion_lanes"] or LANES * machine.channels
    return Companion(params["companion"], compute, lanes, params["clock"] / clock, machine.channels)


def _links(params: Mapping[str, Any], machine: Machine) -> Links:
    parallel = params["parallel"] or ("tensor" if machine.devices > 1 else "none")
    if machine.devices > 1 and parallel != "tensor":
        what = f"{machine.devices} devices share a block, but the links are '{parallel}'"
        raise SpecError(what, "`parallel: tensor`, or `devices: 1`", ("parallel",))
    rate = params["link_lane_rate"] * 2**30
    return Links(
        parallel, machine.devices, params["link_lanes"], rate, params["link_latency"], params["clock"],
        params["link_energy"],
    )  # fmt: skip


def _units(params: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Energies of DRAM events: the library's, where the user gives none."""
    units = dict(library().compute_part(EVENTS[params["unit"]]).energy_pj)
    for name, value in (params["energies"] or {}).items():
        if name not in units:
            raise SpecError(f"no event is named '{name}'", f"events: {', '.join(units)}", ("energies", name))
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise SpecError(f"the energy of '{name}' is {value!r}", "a number of pJ, at least 0", ("energies", name))
        units[name] = float(value)
    return tuple(units.items())


def _tree(params: Mapping[str, Any], machine: Machine, companion: Companion) -> tuple[Level | Branches, ...]:
    bits = machine.row_words * WORD_BITS
    channels = machine.channels * machine.devices
    dram = Memory(name=DRAM, capacity=Amount(channels * machine.banks * params["rows"] * bits))
    units = params["pim_blocks"] if params["unit"] == TILES else machine.banks
    array: tuple[Level | Branches, ...] = (
        Fanout(name="Channel", axes={"C": channels}),
        Memory(name="Buffer", capacity=Amount(bits)),
        Fanout(name="Bank", axes={"B": units}),
        Compute(name=MAC),
    )
    if companion.kind == "none":
        return (dram, *array)
    return (dram, Branches((array, (companion.compute,))))


TEMPLATE = Template(
    name="dram_pim",
    summary="a DRAM with a MAC unit in every bank, and a companion for the rest (GDDR6-AiM, CENT, PIM-GPT)",
    parameters=PARAMETERS,
    build=build,
    sources=(
        "GDDR6-AiM: S. Lee et al., ISSCC 2022, doi:10.1109/ISSCC42614.2022.9731711; timings and law from "
        "github:arkhadem/aim_simulator 2eb1ee04",
        "CENT: Y. Gu et al., ASPLOS 2025, artifact github:Yufeng98/CENT 8c797860 (block mapping, links, energies)",
        "PIM-GPT: Y. Wu et al., npj Unconventional Computing 2024, arXiv 2310.09385 (concatenated heads, companion)",
    ),
)
