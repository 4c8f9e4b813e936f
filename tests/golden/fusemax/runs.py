"""The designs of `designs/fusemax` at any point of the evaluation, as a user would run them with `--set`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from closed_forms import BYTES_PER_CYCLE, MODELS, Model, flat_mapping, fused, kv_sweeps, query_tiles

import einloom as el

OWN_NAMES = {"BQK": "QK"}
"""The artifact names the scores of every cascade QK."""
HELD = "mapping.nodes.4"
"""Where flat_held.yaml says what it holds beside the scores."""


def ranks(model: Model, length: int) -> dict[str, object]:
    sizes = {"H": model.H, "E": model.E, "F": model.E, "P": length, "M": length}
    return {f"workload.ranks.{name}": size for name, size in sizes.items()}


def design_of(machine: str, model: Model, length: int) -> tuple[str, dict[str, object]]:
    """(design, settings): the file that holds a point, and what the artifact recorded of it."""
    if machine == "unfused":
        return "unfused", {"mapping.parameters.N": kv_sweeps(model, length)}
    if machine == "cascade":  # the artifact sizes the query tile with half the buffer that it prices
        return "cascade", {"architecture.levels.GLB.capacity": "16 MiB"}
    if machine != "flat":
        return machine, {}
    how = flat_mapping(model, length)
    if how.spilled:
        return "flat_long", {"mapping.parameters.P1": how.rows}
    settings: dict[str, object] = {"mapping.parameters.P1": how.rows, "mapping.parameters.S": str(how.share)}
    if how.share == 1:
        settings["mapping.parameters.S"] = 1
    if not how.held:
        return "flat", settings
    return "flat_held", {HELD: "GLB holds " + ", ".join(f"{tensor} S" for tensor in how.held), **settings}


@cache
def attention(machine: str, name: str, length: int, tile: int | None = None) -> el.Evaluation:
    """One point; the query tile of the cascade machines is the mapper's, or ``tile`` resident tiles of 256 queries."""
    model = MODELS[name]
    file, settings = design_of(machine, model, length)
    settings = {**ranks(model, length), **settings}
    if tile is not None:
        settings |= {"mapping.nodes.3": f"for p in {length // 256 // tile}", "mapping.nodes.7": f"for p in {tile}"}
    design = el.load(f"designs/fusemax/{file}.yaml", set=settings)
    if machine in ("unfused", "flat") or tile is not None:
        return design.evaluate()
    found = design.map()
    assert isinstance(found, el.Evaluation)
    return found


def quick_attention(machine: str, name: str, length: int) -> el.Evaluation:
    """The same point with the query tile written down, which spares the search for it."""
    tiled = machine not in ("unfused", "flat")
    return attention(machine, name, length, query_tiles(MODELS[name], length, machine) if tiled else None)


@cache
def linear(array: str, name: str, length: int) -> el.Evaluation:
    """The linear layers on the ``baseline`` or the ``fusemax`` array."""
    model = MODELS[name]
    settings: dict[str, object] = {"workload.ranks.T": model.B * length, "workload.ranks.D": model.D,
                                   "workload.ranks.J": model.D, "workload.ranks.N": model.S}  # fmt: skip
    if name == "XLM":  # 32 MiB of weights in a layer of the feed-forward network: in parts
        settings["mapping.parameters.W"] = {"baseline": 2, "fusemax": 4}[array]
    return el.load(f"designs/fusemax/linear_{array}.yaml", set=settings).evaluate()


def pareto_buffer(model: Model, array: int) -> int:
    """min_l3 of the artifact: doubled while memory takes longer than the 1D array, which happens in no row here."""
    capacity = array * max(1, 2 * max(1, array // model.E) * array // 2**18) * model.E * 16
    form = fused("binding", model, 2**18, capacity, array)
    assert form.traffic_bytes / BYTES_PER_CYCLE < form.cycles * form.util_1d
    return capacity


@cache
def pareto(name: str, array: int, search: bool = False) -> el.Evaluation:
    """FuseMax at 256K tokens with ``array`` x ``array`` and ``array`` elements below the buffer that the artifact
    gives them; ``search``: the query tile is the mapper's."""
    model = MODELS[name]
    capacity = pareto_buffer(model, array)
    settings = {**ranks(model, 2**18), "workload.split.M": ["M1", {"M0": array}],
                "architecture.levels.PE2.axes": {"X": array, "Y": array}, "architecture.levels.PE1.axes": {"X": array},
                "architecture.levels.GLB.capacity": f"{capacity} B"}  # fmt: skip
    if not search:
        tile = query_tiles(model, 2**18, "binding", capacity, array)
        settings |= {"mapping.nodes.3": f"for p in {2**18 // array // tile}", "mapping.nodes.7": f"for p in {tile}"}
    design = el.load("designs/fusemax/binding.yaml", set=settings)
    found = design.map() if search else design.evaluate()
    assert isinstance(found, el.Evaluation)
    return found


def pareto_point(row: Mapping[str, Any], search: bool = False) -> el.Evaluation:
    return pareto(row["model"], int(row["PE_dim"]), search)


def traffic_bytes(found: el.Evaluation, memory: str = "DRAM") -> float:
    """Bytes in and out of a memory; words are 16 bits."""
    memories = (e.memories[memory] for e in found.einsums.values() if memory in e.memories)
    return 2.0 * sum(t.reads + t.writes for found in memories for t in found.tensors.values())


def utilization(found: el.Evaluation, einsum: str, compute: str = "MAC2D") -> float:
    """Part of all instance-cycles of ``compute`` in which it works for one Einsum."""
    used = found.einsums[einsum]
    return float(used.useful_cycles) / used.computes[compute].instances / float(found.cycles)
