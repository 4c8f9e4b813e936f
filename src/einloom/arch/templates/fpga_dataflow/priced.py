"""Derived tasks priced: a step an Einsum, or the whole cascade at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from einloom.arch.engine import Array, Columns, Cost, Laws, Program, ProgramEinsum, Step, Value, contraction_of
from einloom.arch.templates.fpga_dataflow import derived
from einloom.arch.templates.fpga_dataflow.laws import PhaseWork
from einloom.arch.templates.fpga_dataflow.machine import LANES, OFF_CHIP, ON_CHIP, Machine
from einloom.arch.templates.fpga_dataflow.resources import lane_dsp, logic
from einloom.arch.templates.fpga_dataflow.traffic import again, operations_of, traffic_of


def one_by_one(machine: Machine, laws: Laws[PhaseWork], program: Program, on_chip: bool) -> list[Step]:
    """A step an Einsum, each with lanes of its choice."""
    live = _live_bits(program) if on_chip else [_reused_bits(einsum) for einsum in program.einsums]
    return [
        Step(
            name=einsum.name,
            einsums=(einsum.name,),
            compute=LANES,
            cost=_step_cost(machine, laws, einsum, bits, on_chip),
            choices=_choices(machine, einsum, on_chip),
        )
        for einsum, bits in zip(program.einsums, live, strict=True)
    ]


def _choices(machine: Machine, einsum: ProgramEinsum, on_chip: bool) -> dict[str, tuple[Value, ...]]:
    lanes = derived.lane_choices(machine.lanes)
    product = contraction_of(einsum)
    if product is None:
        return {"lanes": lanes}
    most = product.m if product.m > 1 else product.batch
    rows = tuple(many for many in lanes if many < 2 * most)
    return {"lanes": lanes, "rows": rows} | ({} if on_chip else {"inputs": ("held", "streamed")})


def _step_cost(
    machine: Machine, laws: Laws[PhaseWork], einsum: ProgramEinsum, live: float, on_chip: bool
) -> Callable[[Columns], Cost]:
    moved = traffic_of([einsum], (), machine, on_chip)
    operations = einsum.operations()
    energy = machine.arithmetic_pj(operations)
    useful = float(machine.lane_operations(operations))

    def cost(columns: Columns) -> Cost:
        lanes = np.asarray(columns["lanes"])
        rows = np.asarray(columns.get("rows", np.ones_like(lanes)))
        loops = derived.loops_of(einsum, lanes, np.minimum(rows, lanes), machine)
        held, traffic = live + loops.resident_bits, moved
        if "inputs" in columns:
            streamed = np.asarray(columns["inputs"]) == "streamed"
            (inputs,) = {a.tensor: a for a in einsum.accesses[1:] if a.tensor == loops.inputs}.values()
            held = held + np.where(streamed, 0.0, float(einsum.size(inputs) * inputs.bits))
            traffic = again(moved, inputs, np.where(streamed, loops.passes - 1, 0), einsum.size(inputs), machine)
        work = PhaseWork(loops.trips, loops.filled, loops.filled, np.broadcast_to(traffic.cycles, lanes.shape))
        return Cost(
            cycles=laws.of(work), useful=useful, busy={LANES: loops.trips, OFF_CHIP: traffic.cycles},
            energy_pj={
                LANES: energy, OFF_CHIP: traffic.energy_pj,
                ON_CHIP: loops.reads * machine.bits * machine.on_chip_pj,
            },
            words=traffic.words, held_bits={ON_CHIP: held}, events={"trips": loops.trips},
            needs=_needs(machine, lanes, held), legal=rows <= lanes, forbidden="there are fewer lanes than rows",
        )  # fmt: skip

    return cost


def dataflow(machine: Machine, laws: Laws[PhaseWork], program: Program) -> Step:
    """All Einsums at once, one step."""
    einsums = program.einsums
    moved = traffic_of(einsums, (), machine, on_chip=True)
    operations = operations_of(einsums)
    energy, useful = machine.arithmetic_pj(operations), float(machine.lane_operations(operations))
    choices = derived.lane_choices(machine.lanes)

    def cost(columns: Columns) -> Cost:
        totals = [int(lanes) for lanes in columns["lanes"]]
        loops = [derived.fastest_loops(einsum, choices, machine) for einsum in einsums]
        found = [derived.dataflow(program, loops, choices, total) for total in totals]
        trips, filled = (np.array([getattr(f, what) if f else 0.0 for f in found], dtype=float)
                         for what in ("trips", "filled"))  # fmt: skip
        picked = [[choices.index(n) for n in f.lanes] if f else [0] * len(loops) for f in found]
        reads, held = (
            np.array([sum(float(getattr(one, what)[at]) for one, at in zip(loops, pick, strict=True))
                      for pick in picked])
            for what in ("reads", "resident_bits")
        )  # fmt: skip
        held = held + _buffered_bits(program)
        work = PhaseWork(trips, filled, filled, np.full(len(totals), moved.cycles))
        return Cost(
            cycles=laws.of(work), useful=useful, busy={LANES: trips, OFF_CHIP: moved.cycles},
            energy_pj={
                LANES: energy, OFF_CHIP: moved.energy_pj, ON_CHIP: reads * machine.bits * machine.on_chip_pj,
            },
            words=moved.words, held_bits={ON_CHIP: held}, events={"trips": trips},
            needs=_needs(machine, np.array(totals), held), legal=np.array([f is not None for f in found]),
            forbidden=f"dataflow needs a lane for each of {len(einsums)} Einsums, there are {machine.lanes}",
        )  # fmt: skip

    return Step(
        name=einsums[-1].name, einsums=tuple(einsum.name for einsum in einsums), compute=LANES, cost=cost,
        choices={"lanes": choices},
    )  # fmt: skip


def _reused_bits(einsum: ProgramEinsum) -> float:
    """Bits of operands that a stream uses more than once and that come in once: they are held whole. What a product
    holds is a choice."""
    if contraction_of(einsum) is not None:
        return 0.0
    points = math.prod(einsum.extents.values())
    reused = {a.tensor: float(einsum.size(a) * a.bits) for a in einsum.accesses[1:] if einsum.size(a) < points}
    return sum(reused.values())


def _live_bits(program: Program) -> list[float]:
    """Bits of what stands in block memory while each Einsum runs: its inputs but weights that stream by, its output,
    and intermediates that a later Einsum still reads."""
    einsums = program.einsums
    last: dict[str, int] = {}
    for at, einsum in enumerate(einsums):
        for access in einsum.accesses[1:]:
            last[access.tensor] = at
    found = []
    for at, einsum in enumerate(einsums):
        sizes = {a.tensor: float(einsum.size(a) * a.bits) for a in einsum.accesses if not _is_weight(einsum, a)}
        for before in einsums[:at]:
            made = before.accesses[0]
            if last.get(made.tensor, -1) > at:
                sizes[made.tensor] = float(before.size(made) * made.bits)
        found.append(sum(sizes.values()))
    return found


def _is_weight(einsum: ProgramEinsum, access: object) -> bool:
    product = contraction_of(einsum)
    return product is not None and access is product.weights and bool(getattr(access, "workload_input", True))


def _buffered_bits(program: Program) -> float:
    """Bits of intermediates in dataflow: two rows where they are handed on row by row, else the whole tensor; and of
    inputs of the workload that a product uses for several columns."""
    made = {einsum.name: einsum for einsum in program.einsums}
    inputs = {
        product.inputs.tensor: float(einsum.size(product.inputs) * product.inputs.bits)
        for einsum in program.einsums if (product := contraction_of(einsum)) is not None
    }  # fmt: skip
    total = sum(bits for tensor, bits in inputs.items() if tensor not in made)
    for name, producer in made.items():
        output = producer.accesses[0]
        users = [e for e in program.einsums if any(a.tensor == name for a in e.accesses[1:])]
        rows = min((derived.streamed_rows(producer, user, name) for user in users), default=1)
        size = float(producer.size(output) * output.bits)
        total += (2 * size / rows if rows > 1 else size) if users else 0.0
    return total


def _needs(machine: Machine, lanes: Array, held: Array) -> dict[str, Array | float]:
    """Resources of derived tasks. On-chip words are as wide as the lanes; they stand in URAM where the device has any:
    ``ceil(depth / 4096) x ceil(width / 72)`` blocks, else in BRAM, ``ceil(depth / 512) x ceil(width / 72)``."""
    platform, budget = dict(machine.platform), dict(machine.budget)
    width = lanes * machine.bits
    deep = budget.get("uram", 0) > 0
    blocks = np.ceil(held / width / (4096 if deep else 512)) * np.ceil(width / 72)
    base, slope = logic(0, platform), logic(1000, platform)
    return {
        "dsp": np.array([lane_dsp(int(many), 1, machine.lane_dsp) for many in lanes], dtype=float),
        **{name: base[name] + (slope[name] - base[name]) / 1000 * lanes for name in ("lut", "ff")},
        "bram": (0 if deep else blocks) + platform.get("bram", 0),
        "uram": blocks if deep else 0,
    }
