"""Fused trees: nests that share nothing add up, and the closed form counts what the step-by-step executor does.

Trees are drawn whole: ranks are cut once for all Einsums, loops stand above all of them, above some, or in a nest,
holds and schedules stand anywhere. Those that the rules of legality refuse are drawn anew.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from strategies import architectures, law, nests

from einloom.arch.tree import UNLIMITED, Amount, Architecture, Branches, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mappings import Child, Group, Hold, Nodes, parse_nodes
from einloom.mappings.tree import grow
from einloom.model.evaluate import evaluate_nest
from einloom.model.fused import evaluate_tree
from einloom.model.fused.legality import program_of
from einloom.model.fused.residence import all_residences
from einloom.model.fused.schedule import schedule_of
from einloom.model.fused.words import traffic_of
from einloom.model.reference.fused import TreeExecution, execute_tree
from einloom.workloads.cascade import Cascade
from einloom.workloads.dataflow import dataflow

# -- cascades

CASCADES = {
    "two products": ["T[m,n] = sum{k}(A[m,k] * B[k,n])", "Z[m,p] = sum{n}(T[m,n] * C[n,p])"],
    "element-wise between": [
        "T[m,n] = sum{k}(A[m,k] * B[k,n])",
        "E[m,n] = exp(T[m,n])",
        "Z[m] = sum{n}(E[m,n] * C[n])",
    ],
    "a reduction that feeds back": [
        "T[m,n] = A[m] * B[n]",
        "R[m] = max{n}(T[m,n])",
        "E[m,n] = exp(T[m,n] - R[m])",
    ],
    "what feeds": ["S[m] = A[m] * 2", "T[m,n] = S[m] * B[n]", "Z[m] = sum{n}(T[m,n])"],
    "windows": ["T[m] = sum{k}(A[m+k] * W[k])", "Z[n] = sum{p}(T[n+p] * V[p])"],
    "two readers": ["T[m,n] = A[m] * B[n]", "Y[m] = sum{n}(T[m,n])", "Z[n] = max{m}(T[m,n])"],
    "a running sum": [
        "T[g,m] = sum{k}(A[g,m,k] * B[k])",
        "S[g+1,m] = S[g,m] + T[g,m]",
        "Z[m] = S[G,m] * C[m]",
    ],
    "a running maximum": [
        "L[g,p] = max{m}(A[g,m,p])",
        "R[g+1,p] = max(R[g,p], L[g,p])",
        "E[g,m,p] = exp(A[g,m,p] - R[g+1,p])",
    ],
    "a recurrence of two": ["U[g,m] = A[g,m] + S[g,m]", "S[g+1,m] = S[g,m] * U[g,m]", "Z[m] = S[G,m] * 2"],
}


@dataclass(frozen=True)
class Drawn:
    """A cascade, a machine and a legal tree."""

    cascade: Cascade
    architecture: Architecture
    data: tuple
    nodes: Nodes

    def __repr__(self) -> str:
        lines = "; ".join(line.text for line in self.cascade.einsums)
        return f"{lines} {dict(self.cascade.extents)}\n{_text(list(self.data))}on {self.architecture.levels}"


def _text(data: list, depth: int = 0) -> str:
    out = ""
    for line in data:
        if isinstance(line, str):
            out += "  " * depth + line + "\n"
        else:
            for name, below in line.items():
                out += "  " * depth + name + ":\n" + _text(below, depth + 1)
    return out


# -- machines

_PRICES = dict.fromkeys(("mac", "mul", "add", "sub", "max", "exp"), 0.5)
_AMOUNTS = st.sampled_from((UNLIMITED, UNLIMITED, Amount(Fraction(1), True), Amount(Fraction(20), False)))


@st.composite
def machines(draw) -> Architecture:
    """DRAM and GLB, then one compute below an array, or two computes with their own registers."""
    sharing = st.booleans()
    memories = [
        Memory(name="DRAM", bandwidth=draw(_AMOUNTS)),
        Memory(
            name="GLB", read_bandwidth=draw(_AMOUNTS), write_bandwidth=draw(_AMOUNTS), double_buffered=draw(sharing)
        ),
    ]
    registers = Memory(name="Reg", read_bandwidth=draw(_AMOUNTS))
    array = Fanout(
        name="PE",
        axes={"X": 2, "Y": 2},
        multicast=draw(sharing),
        reduce=draw(sharing),
        hop_cycles=draw(st.integers(0, 3)),
    )
    wide = (array, registers, Compute(name="MAC", energy_pj=_PRICES, cycles={"exp": 2}))
    if draw(st.booleans()):
        return Architecture(name="one", clock_hz=1e9, levels=(*memories, *wide))
    narrow = (Memory(name="RegV"), Compute(name="VEC", energy_pj=_PRICES, cycles={"exp": 3, "max": 2}))
    return Architecture(name="two", clock_hz=1e9, levels=(*memories, Branches((wide, narrow))))


# -- trees


class _Grower:
    """A tree as it grows. Every rank is cut into three digits: outermost, middle and innermost."""

    def __init__(self, draw, cascade: Cascade, architecture: Architecture) -> None:
        self.draw, self.cascade, self.architecture = draw, cascade, architecture
        self.einsums = list(cascade.sized())
        self.extents = {v: extent for einsum in self.einsums for v, extent in einsum.extents.items()}
        self.digits = {v: self._cut(n) for v, n in self.extents.items()}
        self.computes = [compute.name for compute in architecture.computes()]
        self.tensors = list(dict.fromkeys(a.tensor for e in self.einsums for a in e.accesses))

    def _cut(self, extent: int) -> tuple[int, int, int]:
        outer = self.draw(st.sampled_from((1, 2, 3)))
        middle = self.draw(st.sampled_from((1, 1, 2)))
        return outer, middle, math.ceil(extent / outer / middle)

    def some(self, among: list, share: int = 2) -> list:
        """Each with probability 1 / (share + 1), shuffled."""
        chosen = [x for x in among if self.draw(st.integers(0, share)) == 0]
        return list(self.draw(st.permutations(chosen))) if len(chosen) > 1 else chosen

    def tree(self) -> list:
        names = [einsum.name for einsum in self.einsums]
        made = [access.tensor for einsum in self.einsums for access in (einsum.output,)]
        kept = [t for t in self.tensors if t not in made or self._is_output(t)]
        inner = [t for t in self.tensors if t not in kept]
        on_dram = self.some(inner, 1)
        root: list = [f"DRAM holds {', '.join((*kept, *on_dram))}"]
        shared = self.some(list(self.extents), 1)
        body = [f"for {v} in {self.digits[v][0]}" for v in shared]
        left = [t for t in inner if t not in on_dram]
        self.held = [*left, *self.some(kept + on_dram, 3)]
        body = self._sprinkle(body, "GLB", self.held)
        if self.draw(st.integers(0, 5)) == 0 and left:
            body.append(f"forward {self.draw(st.sampled_from(left))}")
        order = list(names) if self.draw(st.integers(0, 2)) else list(self.draw(st.permutations(names)))
        return [*root, *body, {self._schedule(): self._children(order, shared)}]

    def _is_output(self, tensor: str) -> bool:
        return any(e.output.tensor == tensor and e.output.workload_output for e in self.einsums)

    def _schedule(self) -> str:
        return self.draw(st.sampled_from(("sequential", "sequential", "pipelined", "phases")))

    def _sprinkle(self, loops: list[str], memory: str, tensors: list[str], share: int = 3) -> list:
        """Holds of one tensor each anywhere between loops."""
        body: list = list(loops)
        for tensor in tensors:
            part = self.draw(st.sampled_from(("", "", "", "", " 1/4"))) if share else ""
            body.insert(self.draw(st.integers(0, len(body))), f"{memory} holds {tensor}{part}")
        return body

    def _children(self, order: list[str], shared: list[str]) -> list:
        start = self.draw(st.integers(0, len(order)))
        end = self.draw(st.integers(start, len(order)))
        grouped = order[start:end] if end - start >= 2 and self.draw(st.booleans()) else []
        children: list = []
        for name in order:
            if name not in grouped:
                children.append({name: self.nest(name, shared, [])})
            elif name == grouped[0]:
                middle = self.some(list(self.extents), 2)
                mine = [v for v in middle if any(v in e.extents for e in self.einsums if e.name in grouped)]
                body = [f"for {v} in {self.digits[v][1 if v in shared else 0]}" for v in mine]
                touched = [t for t in self.tensors if any(t in self._tensors(n) for n in grouped)]
                body = self._sprinkle(body, "GLB", self.some([t for t in touched if t not in self.held], 3))
                inside = [{n: self.nest(n, shared, mine)} for n in grouped]
                children.append({"group": [*body, {self._schedule(): inside}]})
        return children

    def _tensors(self, name: str) -> list[str]:
        einsum = next(e for e in self.einsums if e.name == name)
        return list(dict.fromkeys(access.tensor for access in einsum.accesses))

    def nest(self, name: str, shared: list[str], middle: list[str]) -> list:
        """The loops of one Einsum that are left, some in space; holds of the memories on its way."""
        einsum = next(e for e in self.einsums if e.name == name)
        compute = self.draw(st.sampled_from(self.computes))
        loops = []
        for v in einsum.extents:
            digits = list(self.digits[v])
            del digits[: (v in shared) + (v in middle)]
            loops += [(place, v, bound) for place, bound in enumerate(digits[::-1])]
        loops = list(self.draw(st.permutations(loops)))
        loops.sort(key=lambda loop: -loop[0] if self.draw(st.booleans()) else 0)
        space: list[str] = []
        if compute == "MAC":
            axes = ["X", "Y"]
            for loop in list(loops):
                if axes and loop[2] <= 2 and loop[0] == 0 and self.draw(st.booleans()):
                    loops.remove(loop)
                    space.append(f"spatial PE.{axes.pop()} {loop[1]} in {loop[2]}")
        body: list = [f"for {v} in {bound}" for _, v, bound in self._ordered(loops)]
        free = [tensor for tensor in self._tensors(name) if tensor not in self.held]
        body = self._sprinkle(body, "GLB", self.some(free, 3))
        registers = "Reg" if compute == "MAC" else "RegV"
        inside = self._sprinkle([], registers, self.some(self._tensors(name), 2))
        return [*body, *space, *inside, compute]

    def _ordered(self, loops: list) -> list:
        """The digits of one rank stand in their order: an outer one first."""
        slots = {v: iter(sorted((x for x in loops if x[1] == v), reverse=True)) for _, v, _ in loops}
        return [next(slots[v]) for _, v, _ in loops]


def _ranks(draw, lines: list[str]) -> dict[str, int]:
    """A small size for every rank; a window reads as far as its tensor goes."""
    indices = "".join(re.findall(r"\[(.*?)\]", " ".join(lines)))
    ranks = {v.upper(): draw(st.integers(1, 4)) for v in "gmnkp" if v in indices}
    if "n+p" in indices:
        ranks["M"] = ranks["N"] + ranks["P"] - 1
    return ranks


@st.composite
def trees(draw, names: tuple[str, ...] = tuple(CASCADES)) -> Drawn:
    """A cascade of two or three Einsums on a legal tree."""
    lines = CASCADES[draw(st.sampled_from(names))]
    init = {line[0]: 1.0 for line in lines if "[g+1" in line.split("=")[0]}
    cascade = Cascade.parse(lines, _ranks(draw, lines), init=init)
    architecture = draw(machines())
    data = _Grower(draw, cascade, architecture).tree()
    problems: list = []
    nodes = parse_nodes(data, problems)
    assert not problems, problems
    drawn = Drawn(cascade, architecture, tuple(data), nodes)
    try:
        program_of(dataflow(cascade), architecture, grow(nodes))
    except MappingError:
        assume(False)
    return drawn


# -- laws

COUNTED = ("reads", "writes", "fills", "updates", "drains")


def _counted(einsums) -> Counter:
    """(memory, tensor, what) of the results of the Einsums."""
    total: Counter = Counter()
    for einsum in einsums:
        for memory, result in einsum.memories.items():
            for tensor, counts in result.tensors.items():
                for name in COUNTED:
                    total[memory, tensor, name] += Fraction(getattr(counts, name))
    return total


def _executed(run: TreeExecution) -> Counter:
    return Counter({(*place, name): getattr(counts, name) for place, counts in run.counts.items() for name in COUNTED})


def _nonzero(total: Counter) -> dict:
    return {key: value for key, value in total.items() if value}


@st.composite
def separate(draw):
    """(cascade, machine, a nest for each Einsum)."""
    lines = CASCADES[draw(st.sampled_from([name for name, lines in CASCADES.items() if "g+1" not in str(lines)]))]
    cascade = Cascade.parse(lines, _ranks(draw, lines))
    einsums = tuple(cascade.sized())
    architecture = draw(architectures(einsums[0], most_memories=3))
    return cascade, architecture, [(einsum, draw(nests(einsum, architecture))) for einsum in einsums]


@law(separate())
def test_nests_that_share_nothing_add_up(drawn) -> None:
    cascade, architecture, pairs = drawn
    tensors = dict.fromkeys(access.tensor for einsum, _ in pairs for access in einsum.accesses)
    children = tuple(Child(einsum.name, nest.nodes[1:]) for einsum, nest in pairs)
    tree = (Hold(architecture.memories()[0].name, tuple(tensors)), Group("sequential", children))
    fused = evaluate_tree(cascade, architecture, tree)
    alone = {einsum.name: evaluate_nest(einsum, architecture, nest) for einsum, nest in pairs}
    for name, result in alone.items():
        mine = fused.einsums[name]
        assert _nonzero(_counted([mine])) == _nonzero(_counted([result]))
        assert mine.energy_pj == pytest.approx(result.energy_pj)
        assert (mine.cycles, mine.computes) == (pytest.approx(result.cycles), result.computes)
    assert fused.streamed.cycles == pytest.approx(sum(result.cycles for result in alone.values()))


@law(trees())
def test_words_of_a_tree_equal_those_of_the_walk(drawn: Drawn) -> None:
    fused, run = both(drawn)
    assert _nonzero(_counted(fused.einsums.values())) == _nonzero(_executed(run))


@law(trees())
def test_cycles_of_a_tree_equal_those_of_the_walk(drawn: Drawn) -> None:
    fused, run = both(drawn)
    busy = {name: result.computes[result.binding].busy_cycles for name, result in fused.einsums.items()}
    assert busy == {name: einsum.busy for name, einsum in run.einsums.items()}
    useful = {name: result.useful_cycles for name, result in fused.einsums.items()}
    assert useful == {name: einsum.useful for name, einsum in run.einsums.items()}
    terms = fused.streamed.terms_cycles
    assert terms["compute"] + terms["drain"] == run.compute_cycles
    assert fused.streamed.cycles - terms["ramp"] == pytest.approx(float(run.cycles), rel=1e-12)


@law(trees())
def test_lags_of_a_tree_equal_those_of_the_walk(drawn: Drawn) -> None:
    """Where slots differ in length, a drain may take one more of those that most are like than of the longest."""
    _, run = both(drawn)
    program = program_of(dataflow(drawn.cascade), drawn.architecture, grow(drawn.nodes))
    found = schedule_of(program, traffic_of(program, all_residences(program))).lags
    lags = {tuple(key for key in place if isinstance(key, int)): of_list for place, of_list in found.items()}
    for at, group in run.groups.items():
        if len(set(group.slots)) == 1:
            assert lags[at] == group.lags
        else:
            assert all(lags[at][name] >= lag for name, lag in group.lags.items())


@law(trees(), share=0.5)
def test_what_is_legal_computes_what_the_cascade_means(drawn: Drawn) -> None:
    """Nobody reads what is not there yet, or no longer."""
    generator = np.random.default_rng(7)
    inputs = {name: generator.normal(size=drawn.cascade.shape(name)) for name in drawn.cascade.inputs}
    _, run = both(drawn, inputs)
    assert run.outputs is not None
    for name, expected in drawn.cascade.run(inputs).items():
        np.testing.assert_allclose(run.outputs[name], expected, rtol=1e-12)


@law(trees())
def test_occupancy_of_a_tree_equals_that_of_the_walk(drawn: Drawn) -> None:
    fused, run = both(drawn)
    used = {name: held.used for name, held in fused.streamed.occupancy.items()}
    assert used == {name: float(bits) for name, bits in run.occupancy_bits.items() if bits}


def both(drawn: Drawn, inputs=None):
    """The closed form and the walk."""
    try:
        fused = evaluate_tree(drawn.cascade, drawn.architecture, drawn.nodes)
    except MappingError:
        assume(False)
    return fused, execute_tree(drawn.cascade, drawn.architecture, drawn.nodes, inputs)
