"""Closed forms of the FuseMax evaluation: cycles, DRAM traffic and utilization of five machines at any point.

Source: derived from the artifact of N. Nayak et al., FuseMax, MICRO 2024 (arXiv 2406.10491), at
FPSG-UIUC/micro24-fusemax-artifact@f543beb: its loops over Einsums summed by hand, and checked against each of its 120
attention rows (4 models x 6 lengths x 5 machines; largest error 4e-16). Nothing here knows einloom: c column tiles of
256 queries, T = c x M/256 tiles of 256 x 256 scores, 256 x 256 and 256 elements, DRAM at 400 GiB/s and 940 MHz.
What the artifact's mappers recorded stays an input: `kv_sweeps` of Unfused, and the mapping of FLAT.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).parent
BYTES_PER_CYCLE = Fraction(400 * 2**30, 940_000_000)
ARRAY = 256
MIB = 2**20
FLAT_CAPACITY = 32 * MIB
TILE_CAPACITY = 16 * MIB
"""With which the artifact sizes the query tile of the three cascade machines, +Cascade's 32 MiB machine too."""

MACHINES = ("unfused", "flat", "cascade", "architecture", "binding")
LENGTHS = {"1K": 2**10, "4K": 2**12, "16K": 2**14, "64K": 2**16, "256K": 2**18, "1M": 2**20}


@dataclass(frozen=True)
class Model:
    """One encoder layer: heads, size of a head, batch; width and hidden width of its linear layers."""

    name: str
    H: int
    E: int
    D: int
    S: int
    B: int = 64


MODELS = {m.name: m for m in (Model("BERT", 12, 64, 768, 3072), Model("TrXL", 16, 64, 1024, 4096),
                              Model("T5", 8, 64, 512, 2048), Model("XLM", 16, 128, 2048, 8192))}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """What the artifact says of one machine at one point."""

    cycles: Fraction
    traffic_bytes: Fraction
    util_2d: Fraction
    util_1d: Fraction
    util_2d_per_einsum: Mapping[str, Fraction]


@dataclass(frozen=True)
class FlatMapping:
    """How FLAT runs at one point, as the artifact's search recorded it.

    Attributes:
        rows: Query rows that are fused at a time (P1; all of P where the granularity is a head).
        held: Which of Q, K, V, AV stay in the buffer.
        spilled: Scores go through DRAM as a whole (QK_loc off chip).
        share: The part of what is held that the buffer takes, `share_held`.
        printed_share: The same as the artifact prints it.
    """

    rows: int
    held: tuple[str, ...]
    spilled: bool
    share: Fraction
    printed_share: float


def load(name: str) -> dict:
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def flat_mapping(model: Model, length: int) -> FlatMapping:
    label = next(label for label, n in LENGTHS.items() if n == length)
    rows = (row for row in load("flat_mappings")["rows"] if (row["models"], row["seq_len"]) == (model.name, label))
    row = next(rows)
    held = tuple(tensor for tensor in ("Q", "K", "V", "AV") if row[f"{tensor}_loc"] == "onchip")
    spilled = row["QK_loc"] == "offchip"
    assert row["QK_stationarity"] == row["AV_stationarity"] == ("weight" if spilled else "output")
    block = length if row["fusion_granularity"] == "head" else int(row["P1"])
    share = Fraction(1) if spilled else share_held(model, length, block, held)
    return FlatMapping(block, held, spilled, share, float(row["proportion_buffered"]))


def share_held(model: Model, length: int, block: int, held: tuple[str, ...]) -> Fraction:
    """FLAT's fraction: capacity / occupancy, with one copy of the scores (they are updated in place), two of every
    tile of Q, K, V, AV, and 256 rows of those that only stream through. K and V are held whole, Q, AV by the block."""
    rows = {"Q": block, "AV": block, "K": length, "V": length}
    words = block * length + sum(2 * model.E * (n if tensor in held else ARRAY) for tensor, n in rows.items())
    return min(Fraction(1), Fraction(FLAT_CAPACITY, 2 * words))


def kv_sweeps(model: Model, length: int) -> int:
    """Unfused: how often K and V are read. A recorded result of the artifact's mapper, no formula."""
    return 1 if length <= LENGTHS["64K"] else 8 if model.E == 64 else 16


def query_tiles(model: Model, length: int, machine: str, capacity: int = TILE_CAPACITY, array: int = ARRAY) -> int:
    """Resident tiles of queries: the largest divisor of their number that fits beside one tile of K and V."""
    word = 2 * (2 * model.E + 2 + (2 * array if machine == "cascade" else 0))
    fit = (capacity - 2 * array * 2 * model.E) // (array * word)
    return max(n for n in range(1, length // array + 1) if (length // array) % n == 0 and n <= fit)


def closed_form(machine: str, model: Model, length: int) -> Form:
    return {"unfused": _unfused, "flat": _flat}.get(machine, lambda *point: fused(machine, *point))(model, length)


def _scores(model: Model, length: int) -> tuple[int, int]:
    """(tiles of 256 x 256 scores, bytes of a 16-bit tensor of E words for each token and head)"""
    return model.B * model.H * (length // ARRAY) ** 2, 2 * model.B * model.H * length * model.E


def _memory_cycles(traffic_bytes: Fraction | int) -> Fraction:
    return traffic_bytes / BYTES_PER_CYCLE


def _unfused(model: Model, length: int) -> Form:
    tiles, tensor = _scores(model, length)
    scores = 2 * model.B * model.H * length**2
    product = tensor + kv_sweeps(model, length) * tensor + scores  # Q, K, QK; and A, V, AV
    softmax = 2 * scores
    cycles = 2 * max(_memory_cycles(product), tiles * model.E) + max(_memory_cycles(softmax), 4 * ARRAY * tiles)
    return Form(Fraction(cycles), Fraction(2 * product + softmax), Fraction(2 * tiles * model.E) / cycles,
                Fraction(4 * ARRAY * tiles) / cycles, {})  # fmt: skip


def _flat(model: Model, length: int) -> Form:
    how = flat_mapping(model, length)
    tiles, tensor = _scores(model, length)
    scores = 2 * model.B * model.H * length**2
    blocks = length // how.rows
    streamed = {"Q": length // ARRAY, "K": length // ARRAY, "V": length // ARRAY, "AV": 1}
    kept = {"Q": 1, "K": blocks, "V": blocks, "AV": 1}
    if how.spilled:  # weight stationary: K and V pass once for a block of rows
        traffic = Fraction(4 * scores)
        traffic += sum(tensor * kept[name] for name in kept)
        products = (ARRAY * tiles, ARRAY * tiles)
    else:
        traffic = 7 * (1 - how.share) * scores
        for name, times in streamed.items():
            share = how.share if name in how.held else Fraction(0)
            traffic += tensor * (share * kept[name] + (1 - share) * times)
        products = (tiles * model.E, ARRAY * tiles)
    cycles = max(_memory_cycles(traffic), Fraction(sum(products)), Fraction(4 * ARRAY * tiles))
    each = Fraction(tiles * model.E) / cycles  # of all 65536 elements, however many columns are in use
    return Form(cycles, Fraction(traffic), 2 * each, Fraction(4 * ARRAY * tiles) / cycles, {"QK": each, "AV": each})


def fused(machine: str, model: Model, length: int, capacity: int = TILE_CAPACITY, array: int = ARRAY) -> Form:
    """The three machines with the one-pass cascade, on an array of any size (the Pareto rows)."""
    m1 = p2 = length // array
    c, F = model.B * model.H * p2, model.E
    one_d = {"cascade": (4 * array + 5 + 2 * F) * m1 + F}.get(machine, (10 + 2 * F) * m1 + F)
    on_2d = {"BQK": F, "SLNV": F} if machine == "cascade" else {"BQK": F, "LM": 1, "SLN": 7, "SLD": 1, "SLNV": F}
    compute = {
        "cascade": max(2 * F * m1, one_d),
        "architecture": max(m1 * (F + 1), m1 + F) + array * m1 + m1 + 8 * m1 + m1 * 2 * F,
        "binding": max(m1 * (F + 1), m1 * (1 + F) + F) + m1 + 8 * m1 + m1 * F,
    }[machine]
    sweeps = p2 // query_tiles(model, length, machine, capacity, array)
    traffic = 2 * model.B * model.H * (2 * length * F + sweeps * length * 2 * F)
    cycles = max(_memory_cycles(traffic), Fraction(c * compute))
    useful = {name: Fraction(c * m1 * n) / cycles for name, n in on_2d.items()}
    return Form(cycles, Fraction(traffic), sum(useful.values(), Fraction(0)), Fraction(c * one_d) / cycles, useful)


def linear_cycles(model: Model, length: int) -> Fraction:
    """The six linear layers, one after the other, with compulsory traffic."""
    tokens = model.B * length
    layers = [(model.D, model.D)] * 4 + [(model.D, model.S), (model.S, model.D)]
    return sum((max(Fraction(k * n * tokens, ARRAY**2), _memory_cycles(2 * (tokens * (k + n) + k * n)))
                for k, n in layers), Fraction(0))  # fmt: skip
