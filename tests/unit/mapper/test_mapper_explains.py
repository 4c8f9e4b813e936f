"""What an answer says of itself: what binds, the distance to what nothing avoids, what its proof refers to."""

from dataclasses import replace
from fractions import Fraction

import pytest

from einloom.api import load
from einloom.arch.tree import Amount
from einloom.errors import MappingError
from einloom.mapper import Mapper, combined_front, least_product, proven
from einloom.mapper import occupancy as occupancy_module
from einloom.mapper.found import Found
from einloom.mapper.fronts import nondominated
from einloom.mapper.occupancy import sweep, with_capacity

GEMM = "Z[m,n] = sum{k}(A[m,k] * B[k,n])"


def machine(capacity="64 B", bandwidth="inf", axes=4, **buffer):
    memory = {"word": "8 b", "read_energy": "1 pJ", "write_energy": "1 pJ"}
    return {
        "clock": "1 GHz",
        "levels": [
            {"memory": "DRAM", **memory, "read_energy": "64 pJ", "write_energy": "64 pJ", "bandwidth": bandwidth},
            {"memory": "GLB", **memory, "capacity": capacity, **buffer},
            {"fanout": "PE", "axes": {"X": axes}},
            {"memory": "Reg", **memory, "read_energy": "0.1 pJ", "write_energy": "0.1 pJ", "capacity": "4 B"},
            {"compute": "MAC", "energy": {"mac": "0.2 pJ"}},
        ],
    }  # fmt: skip


def design(architecture=None, lines=(GEMM,), mapping=None, **ranks):
    workload = {"ranks": ranks or {"M": 8, "N": 8, "K": 8}, "bits": {"default": 8}, "cascade": list(lines)}
    data = {"name": "w", "workload": workload, "architecture": architecture or machine()}
    return load({**data, "mapping": mapping} if mapping else data)


def search_of(evaluation, einsum="Z"):
    return evaluation.einsums[einsum].search


def binding(evaluation, what):
    return [limit for limit in search_of(evaluation).binds if limit.what == what]


# -- what binds


def test_a_machine_that_computes_all_the_time_is_bound_by_its_compute_and_all_instances():
    found = design().map("latency")
    (compute,), (fanout,) = binding(found, "compute"), binding(found, "fanout")
    assert (compute.where, compute.used, compute.limit) == ("MAC", 128, 128)
    assert (fanout.where, fanout.used, fanout.limit) == ("PE", 4, 4)


def test_a_slow_memory_binds_by_its_bandwidth():
    found = design(machine(bandwidth="1 words/cycle")).map("latency")
    (port,) = binding(found, "bandwidth")
    assert (port.where, port.used) == ("DRAM", found.cycles)
    assert binding(found, "compute") == []


def test_a_fanout_with_idle_instances_does_not_bind():
    assert binding(design(machine(axes=7), M=2, N=2, K=2).map("latency", "perfect"), "fanout") == []


def test_a_full_memory_binds_with_what_it_holds_and_could_hold():
    (full,) = [limit for limit in binding(design().map(), "capacity") if limit.where == "GLB"]
    assert (full.used, full.limit, full.unit) == (512, 512, "bits")


def test_a_memory_with_room_does_not_bind():
    nest = ["DRAM holds Z, A, B", "for m in 8", "GLB holds A", "for k in 8", "for n in auto", "MAC"]
    assert binding(design(machine("17 B"), mapping={"Z": nest}).map(), "capacity") == []  # 8 elements and 8 more fit
    assert [limit.used for limit in binding(design(machine("15 B"), mapping={"Z": nest}).map(), "capacity")] == [64]


def test_a_memory_that_holds_whole_tensors_does_not_bind():
    assert [limit.where for limit in binding(design(machine("192 B")).map(), "capacity")] == ["Reg"]


def test_double_buffered_tiles_bind_at_half_the_size():
    nest = ["DRAM holds Z, A, B", "for m in auto", "GLB holds A", "for k in auto", "spatial PE.X n in auto", "MAC"]
    plain = design(machine("24 B"), mapping={"Z": nest}, M=4, N=4, K=8).map()
    twice = design(machine("24 B", double_buffered=["A"]), mapping={"Z": nest}, M=4, N=4, K=8).map()
    assert [limit.used for limit in binding(plain, "capacity")] == []
    assert [limit.used for limit in binding(twice, "capacity")] == [128]


# -- the compulsory bound


def test_the_compulsory_bound_is_operands_once_and_all_instances_busy():
    searched = search_of(design().map())
    assert searched.least_energy_pj == pytest.approx(3 * 64 * 64 + 512 * 0.2)
    assert searched.least_cycles == 512 / 4


@pytest.mark.parametrize(("objective", "value"), [("energy", "energy_pj"), ("latency", "cycles")])
def test_the_distance_is_to_the_bound_of_the_objective(objective, value):
    found = design().map(objective)
    searched = search_of(found)
    bound = {"energy": searched.least_energy_pj, "latency": searched.least_cycles}[objective]
    assert searched.distance == pytest.approx(getattr(found, value) / bound - 1)


def test_a_distance_to_nothing_is_not_given():
    free = {"memory": "DRAM", "read_energy": "0 pJ", "write_energy": "0 pJ"}
    levels = [free, *machine()["levels"][1:-1], {"compute": "MAC", "energy": {"mac": "0 pJ"}}]
    assert search_of(design({**machine(), "levels": levels}).map()).distance is None


def test_a_space_says_its_size_and_what_was_costed():
    searched = search_of(design().map("energy", "perfect"))
    assert searched.costed >= 1
    assert searched.candidates > 1000


# -- what the proof refers to


def test_the_whole_is_optimal_only_where_every_einsum_is():
    optimal, gap = (replace(design().map().einsums["Z"], proof=proof, gap=g) for proof, g in
                    (("optimal", 0.0), ("gap", 0.5)))  # fmt: skip
    both = {"a": optimal, "b": gap}
    mapped = {name: (result,) for name, result in both.items()}
    assert proven({"a": optimal}, mapped, "energy").proof == "optimal"
    assert proven(both, mapped, "energy").proof == "gap"
    assert proven(both, mapped, "energy").gap == pytest.approx(0.25)  # half of the energy may be half too much
    assert proven(both, mapped, "latency").gap == pytest.approx(0.25)


def test_a_gap_of_a_product_is_against_the_product_of_least_totals():
    result = design().map("edp").einsums["Z"]
    gap = replace(result, proof="gap", gap=0.5)
    chosen = {"a": gap, "b": gap}
    least = 4 * result.search.least_energy_pj * result.search.least_cycles
    expected = 1 - least / (4 * result.energy_pj * result.cycles)
    assert proven(chosen, dict.fromkeys(chosen, (gap,)), "edp").gap == pytest.approx(expected)


def test_a_given_nest_needs_no_proof_and_hides_none():
    given = design().map().einsums["Z"].mapping
    lines = [GEMM, "Y[m,p] = sum{n}(Z[m,n] * C[n,p])"]
    both = design(lines=lines, mapping={"Z": list(given)}, M=8, N=8, K=8, P=8).map()
    assert (both.einsums["Z"].proof, both.einsums["Y"].proof, both.proof) == (None, "optimal", "optimal")
    assert design(mapping={"Z": list(given)}).map().proof is None


def test_filled_bounds_are_proven_within_the_bounds_left():
    nest = ["DRAM holds Z, A, B", "for m in auto", "GLB holds A", "for k in auto", "for n in auto", "MAC"]
    found = design(mapping={"Z": nest}).map()
    assert (found.proof, found.space) == ("optimal", "the bounds left to the mapper")


def test_the_product_of_totals_is_minimized_and_not_the_sum_of_products():
    """Two Einsums, one bound by energy, one by cycles: the best product of each alone is not the best together."""
    lines = [GEMM, "Y[i,j] = sum{l}(C[i,l] * D[l,j])"]
    whole = design(machine("16 B", "1 words/cycle"), lines, M=6, N=6, K=6, I=12, J=2, L=30)
    found = whole.map("edp", "perfect")
    fronts = {}
    for key, _, einsum in whole.einsums():
        fronts[key] = Mapper(whole.architecture, "pareto", perfect=True).map(einsum).results
    every = [(a.energy_pj + b.energy_pj) * (a.cycles + b.cycles) for a in fronts["Z"] for b in fronts["Y"]]
    assert found.energy_pj * found.cycles == pytest.approx(min(every), rel=1e-12)
    assert found.proof == "optimal"


def test_the_least_product_is_not_that_of_the_least_products():
    result = design().map().einsums["Z"]

    def point(cycles, energy):
        return replace(result, cycles=cycles, energy_pj=float(energy))

    fronts = {"a": [point(1, 12), point(2, 5)], "b": [point(1, 1000)]}  # alone 2 x 5 is less than 1 x 12
    chosen = least_product(fronts)
    assert (chosen["a"].cycles, chosen["a"].energy_pj) == (1, 12)


# -- the front with occupancy


def triple(result, memory):
    held = result.memories.get(memory)
    return float(result.cycles), float(f"{result.energy_pj:.9e}"), float(held.occupancy) if held else 0.0


@pytest.mark.parametrize("memory", ["GLB", "Reg"])
def test_the_front_with_occupancy_is_that_of_every_capacity(memory):
    """No capacity skipped: the latency-energy front of each, all points together."""
    whole = design(machine("24 B", "2 words/cycle"), M=4, N=6, K=4)
    ((_, _, einsum),) = whole.einsums()
    mine = Mapper(whole.architecture, f"pareto:{memory}", perfect=True).map(einsum).results
    every = []
    full = next(level for level in whole.architecture.memories() if level.name == memory).capacity.value
    for bits in (1, *range(8, int(full) + 1, 8)):
        smaller = with_capacity(whole.architecture, memory, Amount(Fraction(bits)))
        try:
            every += Mapper(smaller, "pareto", perfect=True).map(einsum).results
        except MappingError:
            continue
    expected = nondominated(every, lambda result: triple(result, memory))
    assert [triple(r, memory) for r in mine] == [triple(r, memory) for r in expected]
    assert len({triple(r, memory)[2] for r in mine}) > 1
    assert all(r.proof == "optimal" for r in mine)


def test_a_memory_that_holds_all_has_one_occupancy():
    found = design(M=4, N=4, K=4).map("pareto:DRAM", "perfect")
    assert {point.occupancy("DRAM") for point in found.points} == {3 * 16 * 8}


def test_occupancy_of_a_design_is_the_largest_of_its_einsums():
    lines = [GEMM, "Y[m,p] = sum{n}(Z[m,n] * C[n,p])"]
    front = design(machine("16 B"), lines, M=4, N=4, K=4, P=2).map("pareto:GLB", "perfect", fusion=False)
    assert front.memory == "GLB"
    assert len(front.points) > 1
    for point in front.points:
        held = [e.memories["GLB"].occupancy for e in point.einsums.values() if "GLB" in e.memories]
        assert point.occupancy("GLB") == max(held, default=0)
    totals = [(point.cycles, point.energy_pj, point.occupancy("GLB")) for point in front.points]
    assert nondominated(totals, lambda total: total) == totals


def test_a_sweep_that_does_not_end_says_that_it_is_not_complete(monkeypatch):
    monkeypatch.setattr(occupancy_module, "MOST_STEPS", 2)
    front = design(machine("24 B"), M=4, N=6, K=4).map("pareto:GLB", "perfect")
    assert {point.proof for point in front.points} == {"gap"}
    assert all(0 < point.gap <= 1 for point in front.points)


def test_a_sweep_stops_at_its_deadline():
    whole = design()
    ((_, _, einsum),) = whole.einsums()
    asked = []
    result = whole.map().einsums["Z"]

    def search(machine, path, left):
        asked.append(left)
        return Found(), [result]

    (path,) = whole.architecture.paths()
    found, _ = sweep(search, whole.architecture, path, einsum, "GLB", 0.0)
    assert (asked, found.complete) == ([0.0], False)


def test_an_unknown_memory_is_answered_by_all_memories():
    with pytest.raises(MappingError, match=r"no memory of .* is named 'L2'") as caught:
        design().map("pareto:L2")
    assert caught.value.problems[0].hint == "memories: DRAM, GLB, Reg"


def test_an_unknown_objective_is_answered_by_all_objectives():
    with pytest.raises(MappingError, match="'speed' is no objective") as caught:
        design().map("speed")
    assert "pareto:MEMORY" in caught.value.problems[0].hint


# -- fronts


def test_a_front_keeps_what_nothing_matches_or_beats():
    points = [(1, 5), (2, 4), (2, 3), (3, 3), (4, 1), (4, 1)]
    assert nondominated(points, lambda point: point) == [(1, 5), (2, 3), (4, 1)]


def test_a_front_of_three_keeps_what_is_better_in_one():
    points = [(1, 1, 9), (1, 2, 8), (2, 1, 9), (2, 2, 8), (3, 3, 3), (3, 1, 8), (4, 4, 3)]
    assert nondominated(points, lambda point: point) == [(1, 1, 9), (1, 2, 8), (3, 1, 8), (3, 3, 3)]


def test_a_front_of_three_is_that_of_all_pairs():
    points = [(a * 7 % 11, a * 5 % 13, a * 3 % 17) for a in range(200)]
    best = {p for p in points if not any(q != p and all(x <= y for x, y in zip(q, p, strict=True)) for q in points)}
    assert nondominated(points, lambda point: point) == sorted(best)


def test_values_that_differ_by_rounding_are_one_point():
    points = [(1.0, 0.1 + 0.2, 2.0), (1.0, 0.3, 3.0)]
    assert nondominated(points, lambda point: point) == [points[0]]


def test_a_combined_front_takes_the_largest_occupancy():
    result = design().map().einsums["Z"]
    held = result.memories["GLB"]

    def point(cycles, bits):
        return replace(result, cycles=cycles, energy_pj=1.0, memories={"GLB": replace(held, occupancy=bits)})

    chosen = combined_front({"a": [point(1, 8), point(2, 4)], "b": [point(1, 6), point(2, 2)]}, "GLB")
    assert [(c["a"].cycles + c["b"].cycles) for c in chosen] == [2, 3, 4]
    assert [max(r.memories["GLB"].occupancy for r in c.values()) for c in chosen] == [8, 6, 4]


# -- ties


def test_ties_between_computes_go_to_the_least_occupancy():
    """Two equal arrays; one has registers of its own, which the other does without at the same cost."""
    free = {"memory": "R1", "word": "8 b", "read_energy": "0 pJ", "write_energy": "0 pJ", "capacity": "64 B",
            "must_hold": ["A", "B", "Z"]}  # fmt: skip
    compute = {"energy": {"mac": "0 pJ"}}
    bare = {"memory": "DRAM", "read_energy": "0 pJ", "write_energy": "0 pJ"}
    trees = [[free, {"compute": "C1", **compute}], [{"compute": "C2", **compute}]]
    found = design({**machine(), "levels": [bare, {"branches": trees}]}, M=2, N=2, K=2).map()
    assert found.einsums["Z"].binding == "C2"


def test_two_paths_share_one_deadline(monkeypatch):
    from einloom.mapper import mapper as module

    asked = []
    answer = module.answer

    def timed(*task):
        asked.append(task[6])
        return answer(*task)

    monkeypatch.setattr(module, "answer", timed)
    trees = [[{"compute": name, "energy": {"mac": "0 pJ"}}] for name in ("C1", "C2")]
    levels = [{"memory": "DRAM", "read_energy": "1 pJ", "write_energy": "1 pJ"}, {"branches": trees}]
    design({**machine(), "levels": levels}, M=2, N=2, K=2).map(deadline_s=10.0)
    assert len(asked) == 2
    assert asked[0] <= 5.0
    assert 5.0 < asked[1] <= 10.0  # the first took less than its part
