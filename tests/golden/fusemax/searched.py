"""What the mapper finds where FuseMax and FLAT wrote their mappings down by hand: `designs/fusemax/searched/`.

Only the cascade and the machine are given; groups, tiles, arrays, residency and schedule are the mapper's, for least
cycles. A search is cut off at a deadline of wall-clock seconds, so another run may find more or less: a file keeps
the better mapping and the higher bound of all runs. TrXL and T5 are BERT with more or fewer heads, so its mapping is
tried there too.

$ python tests/golden/fusemax/searched.py --only "fusemax BERT" --deadline 60     searches, adds to the file
$ python tests/golden/fusemax/searched.py --figure                                      draws it beside the published
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from closed_forms import LENGTHS, MODELS
from runs import quick_attention, ranks

import einloom as el
from einloom.report.figures import GREY, MARKERS, PAGE_INCHES, new_figure, save, styled

FOLDER = Path(__file__).parents[3] / "designs" / "fusemax" / "searched"
PORTS = ("architecture.levels.GLB.read_bandwidth", "architecture.levels.GLB.write_bandwidth")
GIVEN: Mapping[str, tuple[Mapping[str, str], Mapping[str, object], str]] = {
    "fusemax": (
        {"workload": "workloads/attention_1pass.yaml", "architecture": "arch/fusemax_honest.yaml"},
        dict.fromkeys(PORTS, "inf"), "binding",
    ),
    "fusemax_ports": (
        {"workload": "workloads/attention_1pass.yaml", "architecture": "arch/fusemax_honest.yaml"}, {}, "binding",
    ),
    "flat": (
        {"workload": "workloads/attention_3pass.yaml", "architecture": "arch/flat_honest.yaml"},
        {"workload.operators": {"sub": {"sub": 1}}}, "flat",  # its array takes the subtraction along
    ),
}  # fmt: skip
"""What is given, with which settings, and the machine whose published mapping stands beside."""


class Point(NamedTuple):
    """One machine, model and length."""

    given: str
    model: str
    length: int

    def __str__(self) -> str:
        label = next(label for label, n in LENGTHS.items() if n == self.length)
        return f"{self.given} {self.model} {label}"

    def load(self, mapping: object = None) -> el.Design:
        design, settings, _ = GIVEN[self.given]
        more = {} if mapping is None else {"mapping": mapping}
        return el.load({**design, **more}, set={**ranks(MODELS[self.model], self.length), **settings})


def points() -> Iterator[Point]:
    """FuseMax and FLAT at all 24 points; with ports of the buffer for BERT."""
    for given in GIVEN:
        for model in MODELS:
            if given != "fusemax_ports" or model == "BERT":
                yield from (Point(given, model, length) for length in LENGTHS.values())


def figures(found: el.Evaluation) -> dict[str, Any]:
    held = [h["GLB"].used for h in (s.occupancy for s in found.streamed.values()) if "GLB" in h]
    held += [] if found.streamed else [e.occupancy("GLB") for e in found.einsums.values()]
    return {
        "cycles": float(found.cycles), "energy_pj": float(found.energy_pj), "glb_bytes": int(max(held, default=0)) // 8,
        "util_2d": float(found.utilization["MAC2D"]), "bound_by": found.bound_by,
    }  # fmt: skip


def published(point: Point) -> dict[str, Any]:
    """The published mapping as its artifact counts it: no ports of the buffer, no ramp, one register file."""
    return figures(quick_attention(GIVEN[point.given][2], point.model, point.length))


def honest(point: Point) -> dict[str, Any] | None:
    """The published mapping of FuseMax as `binding_honest.yaml` has it, on the machine of the search."""
    if point.given == "flat":
        return None
    settings = {**ranks(MODELS[point.model], point.length), **GIVEN[point.given][1]}
    found = el.load("designs/fusemax/binding_honest.yaml", set=settings).map("latency")
    assert isinstance(found, el.Evaluation)
    return figures(found)


def searched(point: Point, deadline_s: float) -> dict[str, Any]:
    found = point.load().map("latency", "perfect", deadline_s=deadline_s, reuse=False)
    assert isinstance(found, el.Evaluation)
    row = figures(found)
    return {**row, "bound_cycles": row["cycles"] * (1 - found.gap), "mapping": found.mapping}


def better(new: dict[str, Any], old: dict[str, Any] | None) -> dict[str, Any]:
    """The better mapping, the higher bound."""
    if old is None:
        return new
    best = min(old, new, key=lambda row: (row["cycles"], row["energy_pj"]))
    return {**best, "bound_cycles": max(old["bound_cycles"], new["bound_cycles"])}


def transferred(point: Point) -> dict[str, Any] | None:
    """BERT's mapping with the heads of this model, where it has a loop over all heads."""
    row = rows(point.given).get(str(point._replace(model="BERT")))
    if point.model not in ("TrXL", "T5") or row is None:
        return None
    text = json.dumps(row["mapping"]).replace('"for h in 12"', f'"for h in {MODELS[point.model].H}"')
    return {**figures(point.load(json.loads(text)).evaluate()), "bound_cycles": 0.0, "mapping": json.loads(text)}


def rows(given: str) -> dict[str, dict[str, Any]]:
    file = FOLDER / f"{given}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def shown(point: Point, row: Mapping[str, Any]) -> list[str]:
    """One line of the table: published, in the accounting of the search, found, and how they compare."""
    own, same = published(point), honest(point)
    cells = [str(point)]
    for found in (own, *(() if point.given == "flat" else (same,)), row):
        assert found is not None
        cells += [f"{found['cycles']:,.0f}", f"{found['energy_pj'] / 1e12:.4g}", f"{found['glb_bytes'] / 2**20:.2f}"]
    cycles = own["cycles"]
    return [*cells, f"{row['cycles'] / cycles:.4f}", f"{row['bound_cycles'] / cycles:.4f}"]


def table(given: str) -> list[str]:
    """The points of one machine, in Markdown."""
    parts = ["published", "found"] if given == "flat" else ["published", "the same, all counted", "found"]
    head = ["point", *(f"{part}: {what}" for part in parts for what in ("cycles", "energy J", "buffer MiB"))]
    head += ["found / published", "bound / published"]
    found = rows(given)
    lines = [shown(point, found[str(point)]) for point in points() if point.given == given and str(point) in found]
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines)]


def draw(file: Path) -> None:
    """Cycles of what is found, and of the bound, over those of the published mapping."""
    names = (("fusemax", "FuseMax"), ("flat", "FLAT"))
    with styled():
        figure, ax = new_figure(PAGE_INCHES, 2.4)
        ax.remove()
        axes = figure.subplots(1, len(names), sharey=True)
        for (given, title), ax in zip(names, axes, strict=True):
            found = rows(given)
            for number, model in enumerate(MODELS):
                mine = [point for point in points() if point.given == given and point.model == model]
                known = [(p, found[str(p)], published(p)["cycles"]) for p in mine if str(p) in found]
                xs = [point.length for point, _, _ in known]
                ax.plot(xs, [row["cycles"] / c for _, row, c in known], MARKERS[number] + "-", color=f"C{number}",
                        label=model)  # fmt: skip
                ax.plot(xs, [row["bound_cycles"] / c for _, row, c in known], ":", color=f"C{number}")
            ax.axhline(1, color=GREY, linewidth=0.8)
            ax.set_xscale("log", base=2)
            ax.set_xlabel(f"Tokens, machine of {title}")
        axes[0].set_ylabel("Cycles / published mapping")
        axes[0].legend(title="found; dotted: bound")
        save(figure, file)


def main() -> None:
    """Search, or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="points whose name contains this")
    parser.add_argument("--deadline", type=float, default=45.0)
    parser.add_argument("--figure", action="store_true", help="draw what has been found")
    options = parser.parse_args()
    if options.figure:
        draw(FOLDER / "comparison.png")
        return
    for point in points():
        if options.only in f"{point} ":
            print(search(point, options.deadline), flush=True)


def search(point: Point, deadline_s: float) -> str:
    """Searches a point and keeps what is better than what was known."""
    found = searched(point, deadline_s)
    other = transferred(point)
    known = rows(point.given)
    known[str(point)] = best = better(found if other is None else better(other, found), known.get(str(point)))
    (FOLDER / f"{point.given}.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    ratio = best["cycles"] / published(point)["cycles"]
    return f"{point!s:24} {best['cycles']:20,.0f} {ratio:8.4f} {best['bound_cycles']:20,.0f}"


if __name__ == "__main__":
    main()
