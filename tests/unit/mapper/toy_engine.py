"""An engine small enough to be checked by hand: a unit of ``width`` lanes that opens groups of columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from einloom.arch.engine import Columns, Contraction, Cost, Engine, Program, Step, Value, Words, contraction_of
from einloom.arch.template import Template
from einloom.arch.tree import Amount, Architecture, Compute, Memory
from einloom.errors import MappingError

GROUPS = (1, 2, 4, 8, 16, 32)
OPEN_PJ = 5.0
WALK = {"rows": 1, "columns": 2}


@dataclass(frozen=True, slots=True)
class ToyEngine(Engine):
    """One step an Einsum: ``ceil(N / group) * M * K`` cycles (twice when columns are walked), 3 * group to open."""

    lut: int = 0

    def shared(self, program: Program) -> Mapping[str, tuple[Value, ...]]:
        return {"walk": tuple(WALK)}

    @property
    def budget(self) -> Mapping[str, float]:
        return {"lut": self.lut} if self.lut else {}

    def steps(self, program: Program, shared: Mapping[str, Value]) -> Sequence[Step]:
        found = []
        for einsum in program.einsums:
            product = contraction_of(einsum)
            if product is None:
                raise MappingError(f"{einsum.name} is no matrix product", "this machine runs matrix products")

            def cost(columns: Columns, product: Contraction = product) -> Cost:
                return _cost(columns, product, WALK[str(shared["walk"])])

            found.append(Step(name=einsum.name, einsums=(einsum.name,), compute="MAC", cost=cost,
                              choices={"group": GROUPS}))  # fmt: skip
        return found


def _cost(columns: Columns, product: Contraction, walk: int) -> Cost:
    group = columns["group"]
    macs = product.batch * product.m * product.n * product.k
    return Cost(
        cycles={"compute": -(-product.n // group) * product.m * product.k * walk, "open": 3 * group},
        useful=macs / 32,
        energy_pj={"MAC": float(macs), "open": OPEN_PJ * group, "DRAM": 2.0 * macs},
        events={"opened": group},
        words={("DRAM", product.inputs.tensor): Words(product.m * product.k, 0)},
        held_bits={"BUF": 800 * group},
        needs={"lut": 100 * group},
    )


def toy(capacity_bits: int = 12_800, lut: int = 0) -> Template:
    """The template; its buffer holds 16 groups by default."""

    def build(params: Mapping[str, object]) -> Architecture:
        levels = (
            Memory(name="DRAM", area_um2=0.0),
            Memory(name="BUF", capacity=Amount(Fraction(capacity_bits)), area_um2=1.0),
            Compute(name="MAC", area_um2=2.0, leakage_w=1e-3),
        )
        return Architecture(name="toy", clock_hz=1e9, levels=levels, engine=ToyEngine(lut))

    return Template(name="toy", summary="a unit to be checked by hand", parameters=(), build=build, sources=("here",))


def by_hand(n: int, m: int, k: int, group: int, walk: str) -> tuple[int, float]:
    """Cycles and energy of one step, in plain Python."""
    cycles = -(-n // group) * m * k * WALK[walk] + 3 * group
    return cycles, float(np.float64(3.0 * m * n * k + OPEN_PJ * group + 1e-3 * cycles / 1e9 * 1e12))
