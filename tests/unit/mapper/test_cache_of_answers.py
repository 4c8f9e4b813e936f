"""What the mapper finds again without a search, and what it does not."""

import re
from dataclasses import replace

import pytest

import einloom
from einloom.arch.rules import EinsumRules
from einloom.arch.timing import TimingLaw
from einloom.arch.tree import Amount
from einloom.mapper import Mapper, recall, routes
from einloom.mapper.cache import Files
from einloom.mapper.found import Found
from einloom.mapper.keys import key_of
from einloom.mapper.labels import counted
from einloom.mapper.recall import MEMORY
from einloom.mapper.routes import PERFECT, Answered

ARCHITECTURE = {
    "name": "small", "clock": "1 GHz",
    "levels": [
        {"memory": "DRAM", "read_energy": "8 pJ", "write_energy": "9 pJ", "bandwidth": "16 b/cycle", "word": "8 b"},
        {"memory": "GLB", "capacity": "64 B", "read_energy": "1 pJ", "write_energy": "1 pJ", "bandwidth": "64 b/cycle",
         "word": "8 b"},
        {"fanout": "PE", "axes": {"X": 4}},
        {"compute": "MAC", "energy": {"mac": "0.2 pJ"}},
    ],
}  # fmt: skip


def design(line="Z[m,n] = sum{k}(A[m,k] * B[k,n])", **ranks):
    ranks = ranks or {"M": 8, "N": 4, "K": 6}
    workload = {"name": "w", "ranks": ranks, "bits": {"default": 8}, "cascade": [line]}
    return einloom.load({"version": 1, "workload": workload, "architecture": ARCHITECTURE})


def sized(loaded):
    ((_, _, einsum),) = loaded.einsums()
    return einsum


def changed(architecture, level, **values):
    levels = tuple(replace(each, **values) if each.name == level else each for each in architecture.levels)
    return replace(architecture, levels=levels)


@pytest.fixture
def searches(monkeypatch):
    """Objectives that were searched for."""
    asked, real = [], routes.answer

    def noted(*args):
        asked.append(args[4])
        return real(*args)

    monkeypatch.setattr(routes, "answer", noted)
    return asked


def test_another_mapper_finds_what_one_found(searches):
    loaded = design()
    first, again = loaded.map(), loaded.map()

    assert len(searches) == 1
    assert again == first


def test_another_process_finds_what_one_found(searches):
    loaded = design()
    first = loaded.map("pareto")
    MEMORY.forget()

    assert loaded.map("pareto") == first
    assert len(searches) == 1


def test_without_reuse_every_call_searches(searches):
    loaded = design()
    loaded.map()

    assert loaded.map(reuse=False).energy_pj == loaded.map().energy_pj
    assert len(searches) == 2


def test_an_equal_einsum_with_other_names_is_found(searches):
    first = design().map()
    second = design("Y[a,b] = sum{c}(L[a,c] * R[c,b])", A=8, B=4, C=6).map()

    assert len(searches) == 1
    assert second.energy_pj == first.energy_pj
    names = {"m": "a", "n": "b", "k": "c", "Z": "Y", "A": "L", "B": "R"}
    renamed = [re.sub(r"\w+", lambda word: names.get(word[0], word[0]), line) for line in first.einsums["Z"].mapping]
    assert list(second.einsums["Y"].mapping) == renamed


def test_a_damaged_file_is_searched_for_anew(searches, caches):
    loaded = design()
    first = loaded.map()
    MEMORY.forget()
    for file in (caches / "einloom" / "mappings").iterdir():
        file.write_bytes(file.read_bytes()[:-3])

    assert loaded.map() == first
    assert len(searches) == 2


def test_an_answer_that_a_deadline_cut_short_is_not_kept(monkeypatch):
    problem = sized(design())
    architecture = design().architecture
    rules, path = architecture.rules_for(problem), architecture.paths()[0]
    calls = []

    def cut_short(*_):
        calls.append(1)
        return Answered(Found(complete=False), "every nest")

    monkeypatch.setattr(routes, "answer", cut_short)
    for _ in range(2):
        recall.answer(architecture, path, problem, rules, "energy", False, 0.001)

    assert len(calls) == 2


CHANGES = {
    "read energy": ("prices", "DRAM", {"read_energy_pj": 7.0}),
    "write energy": ("prices", "GLB", {"write_energy_pj": 7.0}),
    "bandwidth": ("prices", "DRAM", {"bandwidth": Amount(8)}),
    "leakage": ("prices", "GLB", {"leakage_w": 1.0}),
    "operation": ("prices", "MAC", {"energy_pj": {"mac": 3.0}}),
    "capacity": ("topology", "GLB", {"capacity": Amount(256)}),
    "word": ("topology", "GLB", {"word_bits": 16}),
    "bandwidth in words": ("topology", "DRAM", {"bandwidth": Amount(8, in_words=True)}),
    "ports": ("topology", "GLB", {"bandwidth": Amount(float("inf")), "read_bandwidth": Amount(64)}),
    "axes": ("topology", "PE", {"axes": {"X": 2}}),
    "multicast": ("topology", "PE", {"multicast": frozenset({"A"})}),
    "links": ("topology", "PE", {"link_energy_pj": 1.0}),
    "holders": ("topology", "GLB", {"holds": ("A",)}),
    "steps": ("topology", "MAC", {"cycles": {"mac": 2}}),
}


@pytest.mark.parametrize(("part", "level", "values"), CHANGES.values(), ids=CHANGES)
def test_every_part_of_a_machine_is_in_the_key(part, level, values):
    problem, before = sized(design()), design().architecture
    keys = [
        key_of(each, each.paths()[0], problem, each.rules_for(problem))
        for each in (before, changed(before, level, **values))
    ]

    assert keys[0].counts() == key_of(before, before.paths()[0], problem, before.rules_for(problem)).counts()
    assert keys[0].answer("energy") != keys[1].answer("energy")
    assert (keys[0].counts() == keys[1].counts()) == (part == "prices")


def test_area_and_sources_are_not_in_the_key():
    problem, before = sized(design()), design().architecture
    after = changed(before, "GLB", area_um2=1.0, source="a paper")

    assert key_of(after, after.paths()[0], problem, after.rules_for(problem)) == key_of(
        before, before.paths()[0], problem, before.rules_for(problem)
    )


def test_timing_laws_of_others_are_not_kept():
    class Mine(TimingLaw):
        pass

    problem, machine = sized(design()), replace(design().architecture, timing=Mine())

    assert key_of(machine, machine.paths()[0], problem, machine.rules_for(problem)) is None


@pytest.fixture
def eager(monkeypatch):
    """Sets are made at the second price."""
    monkeypatch.setattr(recall, "FIRST_TRY", 0)
    monkeypatch.setattr(recall, "SHARE", 1e9)


def machines(count):
    before = design().architecture
    return [changed(before, "DRAM", read_energy_pj=float(pj), bandwidth=Amount(pj)) for pj in range(1, count + 1)]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("objective", ["energy", "latency", "edp", "pareto"])
def test_after_a_set_new_prices_need_no_search(searches, objective):
    found = [Mapper(machine, objective, perfect=True).map(sized(design())).results for machine in machines(6)]
    assert len(searches) == 2

    fresh = [
        Mapper(machine, objective, perfect=True, reuse=False).map(sized(design())).results for machine in machines(6)
    ]
    for mine, theirs in zip(found, fresh, strict=True):
        assert [r.cycles for r in mine] == [r.cycles for r in theirs]
        assert [r.energy_pj for r in mine] == pytest.approx([r.energy_pj for r in theirs], rel=1e-9)
        assert {(r.proof, r.space) for r in mine} == {("optimal", PERFECT)}


@pytest.mark.usefixtures("eager")
def test_another_process_prices_from_a_set(searches):
    for machine in machines(2):
        Mapper(machine, perfect=True).map(sized(design()))
    MEMORY.forget()
    Mapper(machines(3)[2], perfect=True).map(sized(design()))

    assert len(searches) == 2


def test_one_price_makes_no_set(monkeypatch):
    monkeypatch.setattr(recall, "FIRST_TRY", 0)
    monkeypatch.setattr(counted, "count_front", lambda *_: pytest.fail("a set was made"))
    for objective in ("energy", "latency", "edp"):
        Mapper(design().architecture, objective, perfect=True).map(sized(design()))


def test_a_set_waits_until_searching_took_as_long(monkeypatch):
    monkeypatch.setattr(recall, "FIRST_TRY", 250)
    key = key_of(design().architecture, design().architecture.paths()[0], sized(design()), EinsumRules())
    due = [recall._labels_due(replace(key, prices=f"{n}"), 125) for n in range(9)]

    assert due == [0, 250, 0, 500, 0, 0, 0, 1000, 0]


def test_files_hold_no_names(caches):
    design("Quark[a,b] = sum{c}(Left[a,c] * Right[c,b])", A=8, B=4, C=6).map()
    for file in (caches / "einloom" / "mappings").iterdir():
        assert not any(name in str(Files().read(file.name)) for name in ("Quark", "Left", "Right"))
