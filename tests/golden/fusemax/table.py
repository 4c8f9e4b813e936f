"""The tables of `designs/fusemax/README.md`, from a run: `python tests/golden/fusemax/table.py`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from statistics import fmean

from closed_forms import LENGTHS, MACHINES, MODELS, load
from runs import linear, pareto_point, quick_attention, traffic_bytes

import einloom as el

KEYS = {"arch": "architecture"}
TITLES = {"unfused": "Unfused", "flat": "FLAT", "cascade": "+Cascade", "architecture": "+Architecture",
          "binding": "+Binding"}  # fmt: skip
POINTS = [(name, length) for name in MODELS for length in LENGTHS.values()]


def label(length: int) -> str:
    return next(label for label, n in LENGTHS.items() if n == length)


def error(ours: float, published: float) -> str:
    """In percent; what is below 1e-12 is 0, where the figures are sums of floats."""
    off = ours / published - 1
    return "0" if abs(off) < 1e-12 else f"{100 * off:+.4f} %"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def attention_rows() -> Iterable[tuple[dict, list[str], el.Evaluation]]:
    for row in load("attention")["rows"]:
        machine = KEYS.get(row["accel_key"], row["accel_key"])
        point = [TITLES[machine], f"{row['model']} {label(row['seq_len'])}"]
        yield row, point, quick_attention(machine, row["model"], row["seq_len"])


def cells(pairs: Iterable[tuple[float, float]]) -> Iterable[str]:
    """(ours, published) of each figure: published, ours, error."""
    for ours, published in pairs:
        form = ",.0f" if published > 1e4 else ".6f"
        yield from (format(float(published), form), format(float(ours), form), error(ours, published))


def head_of(first: Iterable[str], figures: Iterable[str]) -> list[str]:
    return [*first, *(cell for figure in figures for cell in (f"{figure}, published", "ours", "error"))]


def attention_table() -> list[str]:
    rows = (
        [*point, *cells([(run.cycles, row["latency_cycles"]), (traffic_bytes(run), row["dram_traffic_bytes"])])]
        for row, point, run in attention_rows()
    )
    return table(head_of(["machine", "point"], ["cycles", "DRAM bytes"]), rows)


def utilization_table() -> list[str]:
    rows = (
        [*point, *cells([(run.utilization["MAC2D"], row["util_2d"]), (run.utilization["VEC1D"], row["util_1d"])])]
        for row, point, run in attention_rows()
    )
    return table(head_of(["machine", "point"], ["2D array", "1D array"]), rows)


def energy_table() -> list[str]:
    def lines() -> Iterable[list[str]]:
        for row, point, run in attention_rows():
            free = row.get("energy_without_timeloop_overflow_pJ")
            joules = [row["energy_pJ"], free, run.energy_pj]
            shown = [f"{float(pj) / 1e12:.7g}" if pj else "" for pj in joules]
            yield [*point, *shown, error(run.energy_pj, free or row["energy_pJ"])]

    return table(["machine", "point", "energy J, published", "without overflow", "ours", "error"], lines())


def linear_table() -> list[str]:
    def lines() -> Iterable[list[str]]:
        for row in load("linear")["rows"]:
            array = "baseline" if row["key"] == "flat" else "fusemax"
            run = linear(array, row["model"], row["seq_len"])
            pairs = [(run.cycles, row["latency_cycles"]), (traffic_bytes(run), row["dram_traffic_bytes"])]
            energy = [(run.energy_pj / 1e12, row["energy_pJ"] / 1e12)]
            yield [array, f"{row['model']} {label(row['seq_len'])}", *cells(pairs + energy)]

    return table(head_of(["array", "point"], ["cycles", "DRAM bytes", "energy J"]), lines())


def pareto_table() -> list[str]:
    def lines() -> Iterable[list[str]]:
        for row in load("pareto")["rows"]:
            run, size = pareto_point(row), int(row["PE_dim"])
            pairs = [(run.cycles, row["latency_cycles"]), (traffic_bytes(run), row["traffic"])]
            yield [f"{row['model']} 256K", f"{size} x {size}", *cells(pairs)]

    return table(head_of(["point", "array"], ["cycles", "DRAM bytes"]), lines())


def means_table() -> list[str]:
    found = {(m, *p): quick_attention(m, *p) for m in MACHINES for p in POINTS}
    layers = {array: {p: linear(array, *p) for p in POINTS} for array in ("baseline", "fusemax")}

    def ratio(figure: str, above: str, below: str, end_to_end: bool) -> float:
        def total(machine: str, point: tuple[str, int]) -> float:
            array = "fusemax" if machine in ("architecture", "binding") else "baseline"
            extra = float(getattr(layers[array][point], figure)) if end_to_end else 0.0
            return float(getattr(found[(machine, *point)], figure)) + extra

        return fmean(total(above, p) / total(below, p) for p in POINTS)

    rows = [
        ["speed-up over FLAT, attention", "6.7", "6.7226", f"{ratio('cycles', 'flat', 'binding', False):.4f}"],
        ["speed-up over FLAT, end to end", "5.3", "5.3017", f"{ratio('cycles', 'flat', 'binding', True):.4f}"],
        ["energy of FLAT's, attention", "79 %", "0.787", f"{ratio('energy_pj', 'binding', 'flat', False):.4f}"],
        ["energy of FLAT's, end to end", "83 %", "0.833", f"{ratio('energy_pj', 'binding', 'flat', True):.4f}"],
        ["speed-up over Unfused, attention", "", "10.05", f"{ratio('cycles', 'unfused', 'binding', False):.4f}"],
    ]
    published = {"unfused": "0.099", "flat": "0.149", "cascade": "0.132", "architecture": "0.326", "binding": "0.970"}
    for machine, value in published.items():
        ours = fmean(found[(machine, *p)].utilization["MAC2D"] for p in POINTS)
        rows.append([f"utilization of the 2D array, {TITLES[machine]}", "", value, f"{ours:.4f}"])
    return table(["mean of 24 points", "paper", "artifact", "ours"], rows)


@cache
def honest() -> el.Evaluation:
    found = el.load("designs/fusemax/binding_honest.yaml").map()
    assert isinstance(found, el.Evaluation)
    return found


def honest_table() -> list[str]:
    as_published, ours = quick_attention("binding", "BERT", 2**12), honest()

    def line(name: str, found: el.Evaluation) -> list[str]:
        used = [f"{found.utilization[array]:.3f}" for array in ("MAC2D", "VEC1D")]
        return [name, f"{found.cycles:,.0f}", f"{found.energy_pj / 1e12:.4g}", *used, str(found.bound_by)]

    return table(["BERT 4K", "cycles", "energy J", "util 2D", "util 1D", "bound by"],
                 [line("binding.yaml", as_published), line("binding_honest.yaml", ours)])  # fmt: skip


TABLES = {"means": means_table, "attention": attention_table, "utilization": utilization_table,
          "energy": energy_table, "linear": linear_table, "pareto": pareto_table,
          "honest": honest_table}  # fmt: skip


if __name__ == "__main__":
    for name, made in TABLES.items():
        print(f"## {name}\n", *made(), "", sep="\n")
