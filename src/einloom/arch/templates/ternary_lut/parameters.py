"""Parameters of ``ternary_lut``. Those of one kind of machine are derived (None) until `of_machine` fills them in."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from einloom.arch.fabric import FABRICS
from einloom.arch.template import Parameter
from einloom.arch.templates import parts
from einloom.arch.templates.ternary_lut.lookup import FORMS
from einloom.arch.tree import UNLIMITED
from einloom.errors import Problem, SpecError

TABLE_LOOKUP, BIT_SERIAL, WEIGHT_PORT = MACHINES = ("table_lookup", "bit_serial", "weight_port")

TERMS = (
    "build", "lookup", "block_overhead", "streams", "spill", "weight_load", "activations", "attention", "key_overhead",
    "kv_stream", "host", "host_overhead", "weight_port", "head", "weight_stall",
)  # fmt: skip
"""Every term of the template's laws."""


def _count(name: str, meaning: str, default: object = None, high: float = 1e9) -> Parameter:
    return Parameter(name=name, kind="count", meaning=meaning, default=default, high=high)


def _number(name: str, meaning: str, default: object = None, low: float = 0) -> Parameter:
    return Parameter(name=name, kind="number", meaning=meaning, default=default, low=low)


def _flag(name: str, meaning: str) -> Parameter:
    return Parameter(name=name, kind="flag", meaning=meaning, default=None)


COMMON = (
    Parameter(name="machine", kind="choice", meaning="what runs products with narrow weights", choices=MACHINES,
              default=TABLE_LOOKUP),
    Parameter(name="clock", kind="frequency", meaning="clock of the whole machine", default=250e6),
    Parameter(name="technology", kind="length", meaning=parts.TECHNOLOGY.meaning, default=16.0, low=7, high=130),
    parts.DRAM,
    Parameter(name="bandwidth", kind="rate", meaning="of the DRAM, reads and writes together", default=UNLIMITED),
    Parameter(name="ternary", kind="text", meaning="weights that are narrow whatever bits they have: names, parted by "
              "commas", default="none"),
    Parameter(name="without", kind="names", meaning="terms of the timing laws to leave out", default=(),
              choices=TERMS),
)  # fmt: skip

LOGIC = (
    Parameter(name="fabric", kind="choice", meaning="what on-chip work runs in: an FPGA (default) takes 14 times the "
              "dynamic power of standard cells (Kuon and Rose 2007)", choices=FABRICS, default=None),
    Parameter(name="wide", kind="choice", meaning="what runs weights too wide for tables: the host, the attention "
              "unit, or nothing", choices=("host", "attention", "nothing"), default=None),
    Parameter(name="host_bandwidth", kind="rate", meaning="of weights that the host streams; needed with `wide: host`",
              default=None),
    Parameter(name="host_overhead", kind="time", meaning="of each use of the host beyond that (calibrated; default 0)",
              default=None, low=0),
    _count("stream_lanes", "elements a cycle of the unit for element-wise work and reductions (default 16)"),
    _flag("streams_beside", "whether that unit runs beside the product that it feeds (default true)"),
    _count("attention_rows", "query rows that share one key (N_pe; default 8)"),
    _count("attention_lanes", "multiply-adds a cycle of each row (default 16)"),
    _number("key_overhead", "cycles of every key and head of a prompt beyond its lanes (calibrated; default 0)"),
    _count("attention_ports", "memory ports that stream keys and values (default 2)"),
    _count("port_bits", "width of the memory's side of one port (default: that of the AXI port)"),
)  # fmt: skip

LOOKUP = (
    _count("group", "weights of one index (G; default 3)", high=8),
    _count("tables", "tables that are read together (T; default 28)", high=1 << 16),
    _count("lanes", "outputs a cycle (Q; default 16)", high=1 << 16),
    Parameter(name="form", kind="choice", meaning="tables with all entries, those of one sign, or none: weights select "
              "and add (default full)", choices=FORMS, default=None),
    _count("copies", "of every table, each read by one lane a cycle (default: one a lane)", high=1 << 16),
    _count("build_rate", "activations a cycle while tables are built: a block takes G T / rate cycles (default 1)"),
    _flag("build_beside", "whether the next tables are built while these are read (default false)"),
    _count("interval", "cycles between two lookups of a lane (II; default 1)"),
    _number("block_overhead", "cycles of every block beyond build and lookups (calibrated; default 0)"),
    _count("accumulators", "outputs that one pass can sum up (default: as many as there are)"),
    _flag("padded", "whether short last blocks, passes and planes take as much as full ones (default false)"),
    _count("activation_bits", "of activations in the tables (default 8)", high=64),
    _count("planes", "weight planes that the buffer holds (default 3)"),
    _count("plane_blocks", "blocks of one plane (default 19)"),
    _count("plane_outputs", "outputs of one plane (default 1536)"),
    _count("weight_ports", "memory ports that load weights (default 3)"),
    _count("axi_bits", "width of one port (default 256)"),
    _count("burst_beats", "beats of one burst (default 16)"),
    _number("burst_overhead", "cycles of every burst beside its beats (default 0)"),
    _flag("weights_beside", "whether weights may load while others are used (default false)"),
    _count("uram_bits", "width of a block of the weight buffer (default 72)"),
    _count("uram_words", "depth of a block of the weight buffer (default 4096)"),
    Parameter(name="lut_basis", kind="choice", meaning="look-up tables counted from primitives, or by the published "
              "figure of the form per product", choices=("primitives", "published"), default=None),
    Parameter(name="device", kind="text", meaning="FPGA whose resources are the limit (default: none)", default=None),
    Parameter(name="others", kind="table", meaning="resources of all else, given: {lut: 75000, dsp: 610}",
              default=None),
)  # fmt: skip

PORT = (
    _count("access_bits", "bits of one access of the weight port (default 8)"),
    _number("access_cycles", "cycles of one access (default 3)"),
    _count("code_bits", "bits of one ternary weight on the port (default 2)"),
)

SERIAL = (
    _count("threads", "cores that work together (default 1)"),
    _count("activations_a_table", "activations of one table (g; default 4)", high=8),
    _count("table_lanes", "outputs of one table instruction (default 16)"),
    _flag("mirrored", "whether half of a table's entries stand for all (default true)"),
    _number("scale_bits", "bits of scales beside each weight (default 0.125: 16 for 128 weights)"),
    _count("vector_lanes", "lanes of other vector instructions (default 8: 16 of 128 bits)"),
    Parameter(name="instruction_rate", kind="frequency", meaning="table instructions a second and thread",
              default=None),
    Parameter(name="wide_rate", kind="frequency", meaning="multiply-adds a second and thread of wider weights",
              default=None),
    Parameter(name="measured", kind="table", meaning="rows to read rate, wide rate and bandwidth off, in their place: "
              "{one_thread: {2: 4.36, 4: 2.46}, many_threads: {4: 8.09}, weights: 6476005376, head: 131072000}, "
              "tokens/s by bits of a weight", default=None),
)  # fmt: skip

PARAMETERS = (*COMMON, *LOGIC, *LOOKUP, *PORT, *SERIAL)

_DEFAULTS: Mapping[str, object] = {
    "fabric": "fpga", "host_overhead": 0.0, "stream_lanes": 16, "streams_beside": True, "attention_rows": 8,
    "attention_lanes": 16,
    "key_overhead": 0.0, "attention_ports": 2, "group": 3, "tables": 28, "lanes": 16, "form": "full", "build_rate": 1,
    "build_beside": False, "interval": 1, "block_overhead": 0.0, "accumulators": 0, "padded": False,
    "activation_bits": 8, "planes": 3, "plane_blocks": 19, "plane_outputs": 1536, "weight_ports": 3, "axi_bits": 256,
    "burst_beats": 16, "burst_overhead": 0.0, "weights_beside": False, "uram_bits": 72, "uram_words": 4096,
    "lut_basis": "primitives", "access_bits": 8, "access_cycles": 3.0, "code_bits": 2, "threads": 1,
    "activations_a_table": 4, "table_lanes": 16, "mirrored": True, "scale_bits": 0.125, "vector_lanes": 8,
}  # fmt: skip

_OF = {TABLE_LOOKUP: (*LOGIC, *LOOKUP), WEIGHT_PORT: (*LOGIC, *PORT), BIT_SERIAL: SERIAL}


def of_machine(params: Mapping[str, object]) -> dict[str, object]:
    """Parameters with the defaults of their machine.

    Raises:
        SpecError: A parameter is given that this machine does not have, so that it would change nothing.
    """
    machine = str(params["machine"])
    allowed = {parameter.name for parameter in (*COMMON, *_OF[machine])}
    problems = []
    for name, value in params.items():
        if value is not None and name not in allowed:
            owners = " and ".join(owner for owner in MACHINES if name in {p.name for p in _OF[owner]})
            problems.append(Problem(f"'{name}' is no parameter of `machine: {machine}`", f"it is one of {owners}",
                                    (name,)))  # fmt: skip
    if problems:
        raise SpecError(problems)
    values = {name: _DEFAULTS.get(name) if value is None else value for name, value in params.items()}
    values["wide"] = values["wide"] or ("host" if params["host_bandwidth"] is not None else "attention")
    values["copies"] = values["copies"] or values["lanes"]
    values["port_bits"] = values["port_bits"] or values["axi_bits"]
    return values


def table_rows(params: Mapping[str, object], name: str, key: str, rows: int) -> dict[int, float]:
    """``{bits: tokens/s}`` of a part of the table ``measured``.

    Raises:
        SpecError: It is missing, or its rows are not what they must be.
    """
    table = params[name]
    assert isinstance(table, dict)
    part = table.get(key)
    hint = f"give {rows} row{'s' if rows > 1 else ''}, tokens/s by bits of a weight: {{2: 4.36, 4: 2.46}}"
    if not isinstance(part, dict) or len(part) != rows:
        raise SpecError(f"'{key}' of '{name}' is {part!r}", hint, (name, key))
    found = {}
    for bits, value in part.items():
        fine = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if not (fine and str(bits).isdigit() and int(bits) > 0):
            raise SpecError(f"'{bits}: {value}' is no row of tokens/s", hint, (name, key, str(bits)))
        found[int(bits)] = float(value)
    return found


def known_keys(table: Mapping[str, object], name: str, allowed: tuple[str, ...]) -> None:
    """Raise `SpecError` for a key of a table that nobody reads."""
    for key in table:
        if key not in allowed:
            close = difflib.get_close_matches(str(key), allowed, n=1)
            meant = f"did you mean '{close[0]}'? " if close else ""
            raise SpecError(f"'{key}' is no key of '{name}'", f"{meant}known: {', '.join(allowed)}", (name, str(key)))
