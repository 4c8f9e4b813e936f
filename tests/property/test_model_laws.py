"""Laws of the counting model on drawn Einsums, machines and nests.

The closed form is held to the reference executor, which shares no code with it, and both to what must be true of
any machine: nothing is lost between holders, what is not there costs nothing, names mean nothing.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st
from strategies import Case, cases, expect, law

from einloom.arch.rules import tensors_named
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mappings import Bind, Hold, Loop, Nest, Spatial
from einloom.model import counts
from einloom.model.cost import Priced
from einloom.model.evaluate import evaluate_nest
from einloom.model.reference import execute
from einloom.model.structure import bounds_of, structure_of
from einloom.workloads.cascade import Cascade

KINDS = ("reads", "writes", "fills", "updates", "drains", "occupancy")


# -- what is compared


def batch_of(case: Case):
    return counts.batch_of(structure_of(case.einsum, case.path, case.nodes), bounds_of(case.nodes))


def counted(case: Case) -> dict:
    """The closed form: (memory, access) to its six counts."""
    return {
        (case.path[holder.level].name, access): tuple(int(getattr(found, kind)[0]) for kind in KINDS)
        for access, holder, found in counts.count(batch_of(case))
    }


def walked(case: Case):
    return execute(case.einsum, case.path, case.nodes)


def evaluated(case: Case):
    return evaluate_nest(case.einsum, case.architecture, case.nest)


def comparable(case: Case) -> dict:
    """Everything that the evaluation says, but the mapping's own text; floats rounded to 12 digits."""
    return _rounded({k: v for k, v in evaluated(case).to_dict().items() if k != "mapping"})


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.12g}") if isinstance(value, float) else value


def is_countable(case: Case) -> bool:
    """Whether no hold above its spatial loops has a loop of the same rank in between (refused whatever its bound)."""
    try:
        batch_of(case)
    except MappingError as error:
        expect(error, "has gaps")
        return False
    return True


# -- the closed form is what happens


@law(cases(), share=4)
def test_the_closed_form_counts_what_the_reference_executes(case):
    executed = {key: tuple(getattr(c, kind) for kind in KINDS) for key, c in walked(case).counts.items()}
    assert counted(case) == executed


def has_cut_window(case: Case) -> bool:
    """Whether several ranks, or a multiple of one, index a dimension that a clipped rank is part of."""
    clipped = set(case.einsum.extents) - set(batch_of(case).even)
    dims = (dim for access in case.einsum.accesses for dim in access.dims)
    return any((len(dim) > 1 or abs(dim[0][1]) > 1) and clipped & {var for var, _ in dim} for dim in dims if dim)


@law(cases(perfect=False, most=9).filter(has_cut_window), share=2)
def test_windows_over_clipped_ranks_count_what_the_reference_executes(case):
    executed = {key: tuple(getattr(c, kind) for kind in KINDS) for key, c in walked(case).counts.items()}
    assert counted(case) == executed


@law(cases())
def test_steps_operations_and_instances_are_those_of_the_reference(case):
    executed, batch = walked(case), batch_of(case)
    assert int(counts.steps(batch)[0]) == executed.steps
    assert int(counts.used(batch, len(case.path) - 1)[0]) == executed.instances_used
    assert case.einsum.operations() == executed.operations


@law(cases(), share=0.7)
def test_busy_cycles_are_those_of_the_busiest_instance_of_the_reference(case):
    executed, result = walked(case), evaluated(case)
    for memory in (level for level in case.path if isinstance(level, Memory) and level.name in result.memories):
        busy = max(
            _busy(case, executed, memory, memory.bandwidth, ("reads", "writes")),
            _busy(case, executed, memory, memory.read_bandwidth, ("reads",)),
            _busy(case, executed, memory, memory.write_bandwidth, ("writes",)),
        )
        assert result.memories[memory.name].busy_cycles == pytest.approx(float(busy), rel=1e-12)


def _busy(case: Case, executed, memory: Memory, rate: Amount, directions) -> Fraction:
    """Cycles of one port at its busiest instance, from the walk, in rationals."""
    if rate == UNLIMITED:
        return Fraction(0)
    load: dict = {}
    for (name, access), found in executed.counts.items():
        bits = case.einsum.accesses[access].bits
        width = (bits / memory.word_bits if memory.word_bits else Fraction(1)) if rate.in_words else bits
        for direction in directions if name == memory.name else ():
            for place, words in getattr(found, f"{direction}_by_instance").items():
                load[place] = load.get(place, Fraction(0)) + words * width
    return max(load.values(), default=Fraction(0)) / rate.value


@law(cases())
def test_words_over_every_fanout_are_those_of_the_reference(case):
    batch, executed = batch_of(case), walked(case)
    for link in batch.structure.links:
        for place, inward, outward in counts.hops(batch, link):
            found = executed.links[case.path[place].name, link.access]
            assert (int(inward[0]), int(outward[0])) == (found.inward, found.outward)


@law(cases())
def test_link_energy_is_that_of_the_words_that_the_reference_moves(case):
    """Operands and returning partial sums on the way in, results on the way out."""
    energy = sum(
        (link.inward + link.outward) * next(level.link_energy_pj for level in case.path if level.name == fanout)
        for (fanout, _), link in walked(case).links.items()
    )
    assert evaluated(case).links_energy_pj == pytest.approx(energy, rel=1e-12)


@law(cases())
def test_the_output_of_the_reference_is_that_of_the_cascade(case):
    generator = np.random.default_rng(0)
    inputs = {t: generator.integers(-4, 5, size=case.cascade.shape(t)).astype(float) for t in case.cascade.inputs}
    output = execute(case.einsum, case.path, case.nodes, inputs, case.cascade).output
    expected = case.cascade.run(inputs)[case.einsum.name]
    assert np.allclose(output, expected)


# -- arrays of candidates


@law(cases(), st.data(), share=0.5)
def test_many_candidates_at_once_count_as_one_by_one(case, data):
    """Rows: the bounds as drawn, with two loops of one rank swapped, and with any loop made longer; each several times,
    as equal rows are counted once."""
    drawn = bounds_of(case.nodes)[0]
    if not any(isinstance(node, Loop | Spatial) for node in case.nodes):
        return
    rows = [drawn]
    loops = [node for node in case.nodes if isinstance(node, Loop | Spatial)]
    for _ in range(data.draw(st.integers(1, 4))):
        row = drawn.copy()
        i, j = (data.draw(st.sampled_from(range(len(loops)))) for _ in range(2))
        if loops[i].variable == loops[j].variable:
            row[i], row[j] = drawn[j], drawn[i]
        else:
            row[i] += 1
        rows.append(row)
    rows *= data.draw(st.sampled_from((1, 2, 3)))
    structure = structure_of(case.einsum, case.path, case.nodes)
    together = Priced(case.architecture, counts.batch_of(structure, np.array(rows)))
    for i, row in enumerate(rows):
        alone = Priced(case.architecture, counts.batch_of(structure, row[None, :]))
        for key, found in alone.usage.items():
            assert [int(getattr(found, kind)[0]) for kind in KINDS] == [
                int(getattr(together.usage[key], kind)[i]) for kind in KINDS
            ]
        for name in ("cycles", "energy_pj", "compute_cycles", "link_energy_pj", "fits"):
            assert float(getattr(together, name)[i]) == pytest.approx(float(getattr(alone, name)[0]), rel=1e-12)


@law(cases(), share=0.7)
def test_python_integers_count_what_int64_counts(case):
    """An absurd slack forces the path that is taken where a count could pass 2^62."""
    narrow = comparable(case)
    with patch.object(counts, "_slack", lambda structure: 2.0**80):
        assert batch_of(case).like.dtype == object
        assert comparable(case) == narrow


# -- nothing is lost between holders


@law(cases())
def test_reads_less_drains_are_updates_less_first_touches(case):
    """At every holder of the output, the first touches being those of the walk."""
    executed = walked(case)
    for (memory, access), (reads, writes, fills, updates, drains, _) in counted(case).items():
        assert writes == fills + updates
        if case.einsum.accesses[access].role == "output":
            assert reads - drains == updates - executed.counts[memory, access].first_touches
        else:
            assert (updates, drains) == (0, 0)


@law(cases())
def test_without_sharing_what_leaves_one_holder_arrives_at_the_next(case):
    case = case.with_levels(without_sharing)
    found, batch = counted(case), batch_of(case)
    for access, chain in enumerate(batch.structure.chains):
        names = [case.path[holder.level].name for holder in chain]
        for outer, inner in itertools.pairwise(names):
            reads, _, _, updates, _, _ = found[outer, access]
            _, _, fills, _, drains, _ = found[inner, access]
            if case.einsum.accesses[access].role == "input":
                assert reads == fills
            else:
                assert updates == drains
        reads, _, _, updates, _, _ = found[names[-1], access]
        assert (updates if access == 0 else reads) == case.einsum.points  # every operation takes and gives a word


def without_sharing(level):
    return replace(level, multicast=False, reduce=False) if isinstance(level, Fanout) else level


def with_sharing(level):
    return replace(level, multicast=True, reduce=True) if isinstance(level, Fanout) else level


@law(cases(), share=0.7)
def test_sharing_never_adds_words_at_the_parent_and_never_changes_what_children_take(case):
    with_, without = counted(case.with_levels(with_sharing)), counted(case.with_levels(without_sharing))
    for key, shared in with_.items():
        each = dict(zip(KINDS, without[key], strict=True))
        ours = dict(zip(KINDS, shared, strict=True))
        assert ours["reads"] <= each["reads"]
        assert ours["updates"] <= each["updates"]
        assert (ours["fills"], ours["drains"], ours["occupancy"]) == (
            each["fills"], each["drains"], each["occupancy"],
        )  # fmt: skip


@law(cases())
def test_traffic_at_the_outermost_holder_is_at_least_compulsory(case):
    elements = case.cascade.compulsory_traffic().elements
    total: dict[str, int] = {}
    for (memory, access), found in counted(case).items():
        if memory == case.path[0].name:
            tensor = case.einsum.accesses[access].tensor
            total[tensor] = total.get(tensor, 0) + found[KINDS.index("writes" if access == 0 else "reads")]
    assert all(words >= elements[tensor] for tensor, words in total.items())
    assert set(total) == set(elements)


# -- what is not there costs nothing


@law(cases(), st.data())
def test_a_loop_of_one_iteration_changes_nothing(case, data):
    place = data.draw(st.integers(1, len(case.nodes) - 1))
    variable = data.draw(st.sampled_from((*case.einsum.extents,)))
    longer = case.with_nodes((*case.nodes[:place], Loop(variable, 1), *case.nodes[place:]))
    if is_countable(longer):
        assert comparable(longer) == comparable(case)


@law(cases(), st.data())
def test_a_memory_that_holds_nothing_changes_nothing(case, data):
    levels = list(case.architecture.levels)
    idle = Memory(name="Idle", capacity=Amount(Fraction(1)), read_energy_pj=1e9, bandwidth=Amount(Fraction(1)))
    levels.insert(data.draw(st.integers(1, len(levels) - 1)), idle)
    wider = replace(case, architecture=replace(case.architecture, levels=tuple(levels)))
    assert comparable(wider) == comparable(case)


@law(cases(), st.data())
def test_a_fanout_without_spatial_loops_only_adds_idle_instances(case, data):
    levels = list(case.architecture.levels)
    sharing = data.draw(st.booleans())
    idle = Fanout(name="Idle", axes={"X": 3}, multicast=sharing, reduce=sharing)
    levels.insert(data.draw(st.integers(1, len(levels) - 1)), idle)
    wider = replace(case, architecture=replace(case.architecture, levels=tuple(levels)))
    ours, theirs = comparable(wider), comparable(case)
    assert ours["computes"]["C"].pop("instances") == 3 * theirs["computes"]["C"].pop("instances")
    assert 3 * ours.pop("utilization") == pytest.approx(theirs.pop("utilization"))
    assert ours == theirs


@law(cases(), st.data())
def test_a_loop_in_time_may_be_written_as_two(case, data):
    split = [i for i, node in enumerate(case.nodes) if isinstance(node, Loop)]
    if not split:
        return
    place = data.draw(st.sampled_from(split))
    loop = case.nodes[place]
    outer, inner = data.draw(st.integers(1, 3)), loop.bound
    merged = Loop(loop.variable, outer * inner)
    two = (Loop(loop.variable, outer), Loop(loop.variable, inner))
    written = [case.with_nodes((*case.nodes[:place], *loops, *case.nodes[place + 1 :])) for loops in ((merged,), two)]
    assert comparable(written[0]) == comparable(written[1])


@law(cases(), st.data())
def test_the_order_of_loops_below_the_innermost_hold_changes_nothing(case, data):
    """A compute holds nothing: it takes its operands anew in every step, in whatever order."""
    last = max(i for i, node in enumerate(case.nodes) if isinstance(node, Hold))
    tail = list(case.nodes[last + 1 : -1])
    places = [
        i for i, (a, b) in enumerate(itertools.pairwise(tail))
        if isinstance(a, Loop) and isinstance(b, Loop) and a.variable != b.variable
    ]  # fmt: skip
    if not places:
        return
    i = data.draw(st.sampled_from(places))
    tail[i], tail[i + 1] = tail[i + 1], tail[i]
    assert comparable(case.with_nodes((*case.nodes[: last + 1], *tail, case.nodes[-1]))) == comparable(case)


@law(cases(), st.data())
def test_spatial_loops_of_two_ranks_may_be_written_in_any_order(case, data):
    places = [
        i for i, (a, b) in enumerate(itertools.pairwise(case.nodes))
        if isinstance(a, Spatial) and isinstance(b, Spatial) and a.variable != b.variable
    ]  # fmt: skip
    if not places:
        return
    i = data.draw(st.sampled_from(places))
    nodes = list(case.nodes)
    nodes[i], nodes[i + 1] = nodes[i + 1], nodes[i]
    assert comparable(case.with_nodes(nodes)) == comparable(case)


# -- names mean nothing


@law(cases())
def test_renaming_ranks_tensors_and_levels_changes_nothing(case):
    variables = {var: f"x{i}" for i, var in enumerate(case.einsum.extents)}
    tensors = {t: f"T{i}" for i, t in enumerate(dict.fromkeys(a.tensor for a in case.einsum.accesses))}
    levels = {level.name: f"Level{i}" for i, level in enumerate(case.path)}
    other = renamed(case, variables, tensors, levels)
    ours, theirs = evaluated(case), evaluated(other)
    assert ours.cycles == theirs.cycles
    assert ours.energy_pj == pytest.approx(theirs.energy_pj, rel=1e-12)
    assert levels[ours.bound_by] == theirs.bound_by
    assert {
        (levels[memory], tensors[tensor]): found
        for memory, result in ours.memories.items()
        for tensor, found in result.tensors.items()
    } == {
        (memory, tensor): found
        for memory, result in theirs.memories.items()
        for tensor, found in result.tensors.items()
    }


def renamed(case: Case, variables, tensors, levels) -> Case:
    """The same case in other names, sharing by tensor or role included."""

    def share(which):
        return which if isinstance(which, bool) else frozenset(tensors.get(name, name) for name in which)

    def level(old):
        new = replace(old, name=levels[old.name])
        if isinstance(old, Fanout):
            return replace(new, multicast=share(old.multicast), reduce=share(old.reduce))
        return replace(new, double_buffered=share(old.double_buffered)) if isinstance(old, Memory) else new

    def node(old):
        if isinstance(old, Hold):
            return Hold(levels[old.memory], tuple(tensors[t] for t in old.tensors))
        if isinstance(old, Spatial):
            return replace(old, fanout=levels[old.fanout], variable=variables[old.variable])
        return replace(old, variable=variables[old.variable]) if isinstance(old, Loop) else Bind(levels[old.compute])

    einsum = replace(
        case.einsum,
        name=tensors[case.einsum.name],
        extents={variables[var]: extent for var, extent in case.einsum.extents.items()},
        accesses=tuple(
            replace(a, tensor=tensors[a.tensor], dims=tuple(tuple((variables[v], c) for v, c in d) for d in a.dims))
            for a in case.einsum.accesses
        ),
        work=tuple(replace(w, variables=frozenset(variables[v] for v in w.variables)) for w in case.einsum.work),
    )
    architecture = replace(case.architecture, levels=tuple(map(level, case.architecture.levels)))
    return Case(case.cascade, einsum, architecture, Nest(tuple(map(node, case.nodes))))


@law(cases())
def test_a_role_means_the_tensors_that_have_it(case):
    def spelled(level):
        if not isinstance(level, Fanout):
            return level
        both = {
            name: share if isinstance(share := getattr(level, name), bool) else tensors_named(case.einsum, share)
            for name in ("multicast", "reduce")
        }
        return replace(level, **both)

    assert comparable(case.with_levels(spelled)) == comparable(case)


# -- cycles and energy


@law(cases(), st.sampled_from((2, 3, Fraction(3, 2))))
def test_more_bandwidth_never_costs_cycles_and_never_energy(case, factor):
    def wider(level):
        if not isinstance(level, Memory):
            return level
        ports = ("bandwidth", "read_bandwidth", "write_bandwidth")
        return replace(
            level, **{p: Amount(a.value * factor, a.in_words) for p in ports if (a := getattr(level, p)) != UNLIMITED}
        )

    slow, fast = evaluated(case), evaluated(case.with_levels(wider))
    assert fast.cycles <= slow.cycles * (1 + 1e-12)
    assert fast.energy_pj == slow.energy_pj
    assert fast.terms_cycles["compute"] == slow.terms_cycles["compute"]


@law(cases())
def test_cycles_are_the_busiest_resource_and_the_sum_of_the_terms(case):
    result = evaluated(case)
    busy = [memory.busy_cycles for memory in result.memories.values()]
    assert result.cycles == max(result.computes["C"].busy_cycles, *busy)
    assert sum(result.terms_cycles.values()) == pytest.approx(result.cycles, rel=1e-12)
    assert result.computes["C"].busy_cycles * result.computes["C"].instances_used >= result.useful_cycles


@law(cases())
def test_energy_is_words_times_energy_and_operations_times_energy(case):
    result, total = evaluated(case), 0.0
    bits = {access.tensor: access.bits for access in case.einsum.accesses}
    for memory in (level for level in case.path if isinstance(level, Memory)):
        for tensor, found in result.memories[memory.name].tensors.items() if memory.name in result.memories else ():
            words = bits[tensor] / memory.word_bits if memory.word_bits else Fraction(1)
            total += float(words * found.reads) * memory.read_energy_pj
            total += float(words * found.writes) * memory.write_energy_pj
    compute = case.path[-1]
    total += sum(n * compute.operator_energy_pj(op) for op, n in case.einsum.operations().items())
    assert result.energy_pj == pytest.approx(total + result.links_energy_pj, rel=1e-9)


@law(cases())
def test_capacity_decides_only_whether_a_mapping_is_legal(case):
    """Every memory as small as its tiles gives the same numbers; one bit less is refused, with both numbers."""
    batch = Priced(case.architecture, batch_of(case))
    needed = {batch.memory(level).name: Fraction(float(batch.occupancy(level)[0])) for level in batch.memories}

    def fitted(less=0, only=None):
        def change(level):
            if not isinstance(level, Memory) or level.name not in needed or only not in (None, level.name):
                return level
            return replace(level, capacity=Amount(needed[level.name] - less))

        return change

    assert comparable(case.with_levels(fitted())) == comparable(case)
    for name in needed:
        with pytest.raises(Exception, match=rf"the tiles need [0-9.]+ bits, {name} holds [0-9.]+"):
            evaluated(case.with_levels(fitted(Fraction(1, 2), name)))


# -- whole steps, whole numbers


def gemm(m: int, n: int, k: int, nest: str, *levels) -> Case:
    from einloom.mappings import parse_nodes

    cascade = Cascade.parse(
        ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"], {"M": m, "N": n, "K": k}, bits={"default": Fraction(8)}
    )
    compute = Compute(name="MAC", energy_pj={"mac": 1.0})
    architecture = Architecture(name="hand", clock_hz=1e9, levels=(*levels, compute))
    return Case(cascade, cascade.sized()[0], architecture, Nest(parse_nodes(nest.split("; "), [])))


def test_a_17x17x17_gemm_on_16x16_takes_whole_steps():
    array = Fanout(name="PE", axes={"X": 16, "Y": 16})
    case = gemm(
        17, 17, 17,
        "DRAM holds A, B, Z; for m in 2; for n in 2; for k in 17; spatial PE.X m in 16; spatial PE.Y n in 16; MAC",
        Memory(name="DRAM"), array,
    )  # fmt: skip
    result = evaluated(case)
    assert result.cycles == 2 * 2 * 17
    assert walked(case).steps == 2 * 2 * 17
    assert result.computes["MAC"].operations == 17**3
    assert result.useful_cycles == 17**3


@pytest.mark.parametrize("power", [22, 40])
def test_counts_beyond_int64_are_exact(power):
    """M = N = K = 2^p from a DRAM alone: each operation reads A, B and Z, but for first touches."""
    size = 2**power
    nest = f"DRAM holds A, B, Z; for m in {size}; for n in {size}; for k in {size}; MAC"
    result = evaluated(gemm(size, size, size, nest, Memory(name="DRAM")))
    found = result.memories["DRAM"].tensors
    assert found["A"].reads == found["B"].reads == size**3
    assert (found["Z"].updates, found["Z"].writes) == (size**3, size**3)
    assert found["Z"].reads == size**3 - size**2
    assert found["A"].occupancy_words == size**2
    assert result.computes["MAC"].busy_cycles == result.cycles == size**3


def test_clipped_counts_beyond_int64_are_exact():
    """2^22 + 1 in tiles of 2^11: the tiles of A are fetched once an n tile, those of B once an m tile."""
    size, tile = 2**22 + 1, 2**11
    outer = 2**11 + 1
    nest = (
        f"DRAM holds A, B, Z; for m in {outer}; for n in {outer}; GLB holds Z; for k in {size}; "
        f"GLB holds A; GLB holds B; for m in {tile}; for n in {tile}; MAC"
    )
    result = evaluated(gemm(size, size, size, nest, Memory(name="DRAM"), Memory(name="GLB")))
    dram, glb = result.memories["DRAM"].tensors, result.memories["GLB"].tensors
    assert dram["A"].reads == glb["A"].fills == size * size * outer
    assert dram["B"].reads == glb["B"].fills == size * size * outer
    assert dram["Z"].writes == glb["Z"].drains == size**2
    assert glb["A"].reads == glb["Z"].updates == size**3
    assert glb["Z"].reads == size**3  # drains + updates - first touches
    assert result.computes["MAC"].busy_cycles == result.terms_cycles["compute"] == result.cycles == size**3
    assert math.log2(size**3) > 63
