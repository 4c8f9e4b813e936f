"""Machines that map by choices: the mapper looks at every combination, and what is given is kept."""

import itertools
import math

import numpy as np
import pytest
from toy_engine import GROUPS, WALK, by_hand, toy

import einloom as el
from einloom.arch.engine import Cost, Laws, Program, contraction_of
from einloom.errors import PluginError, SpecError
from einloom.model.steps import Machine, PricedStep
from einloom.spec import templates

CHAIN = {
    "name": "chain", "ranks": {"M": 4, "N": 64, "K": 20, "P": 8}, "bits": {"default": 8},
    "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])", "Y[m,p] = sum{n}(Z[m,n] * C[n,p])"],
}  # fmt: skip
SIZES = {"Z": (64, 4, 20), "Y": (8, 4, 64)}


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setattr(templates, "template", lambda name: toy())


def design(workload=CHAIN, **parts):
    return el.load({"name": "test", "workload": workload, "architecture": {"template": "toy"}, **parts})


def every(walk):
    """(cycles, energy, groups) of every legal combination on one walk: the buffer holds 16 groups."""
    fitting = [group for group in GROUPS if group <= 16]
    for chosen in itertools.product(fitting, repeat=2):
        costs = [by_hand(*SIZES[name], group, walk) for name, group in zip(SIZES, chosen, strict=True)]
        yield sum(c for c, _ in costs), sum(e for _, e in costs), chosen


ALL = [entry for walk in WALK for entry in every(walk)]


@pytest.mark.parametrize(("objective", "value"), [
    ("latency", lambda c, e: c), ("energy", lambda c, e: e), ("edp", lambda c, e: c * e),
])  # fmt: skip
def test_the_best_of_every_combination_is_found(objective, value):
    found = design().map(objective)
    best = min(value(cycles, energy) for cycles, energy, _ in ALL)
    assert value(found.cycles, found.energy_pj) == pytest.approx(best, rel=1e-12)
    assert found.proof == "optimal"
    assert found.gap == 0


def test_the_front_is_that_of_every_combination():
    front = [(point.cycles, point.energy_pj) for point in design().map("pareto").points]
    expected = [(c, e) for c, e, _ in ALL if not any(a <= c and b <= e and (a, b) != (c, e) for a, b, _ in ALL)]
    assert front == [(c, pytest.approx(e, rel=1e-12)) for c, e in sorted(set(expected))]


def test_what_is_printed_reproduces_the_result():
    found = design().map("latency")
    again = design(mapping=found.mapping).evaluate()
    assert found.mapping["Z"] == ["walk = rows", "group = 16", "MAC"]
    assert (again.cycles, again.energy_pj, again.proof) == (found.cycles, found.energy_pj, None)


def test_numbers_of_one_step_are_those_by_hand():
    result = design(mapping={"choices": {"walk": "columns", "group": 4}}).evaluate()
    step = result.einsums["Z"]
    assert step.terms_cycles == {"compute": 2 * 16 * 4 * 20, "open": 12}
    assert step.energy_pj == pytest.approx(by_hand(64, 4, 20, 4, "columns")[1])
    assert step.events == {"opened": 4}
    assert step.events_pj == {"open": 20.0}
    assert step.resources == {"lut": 400}
    assert result.resources == {"lut": 400}
    assert result.metrics()["lut"] == 400
    assert step.memories["DRAM"].tensors["A"].reads == 80
    assert step.memories["BUF"].occupancy == 3200
    assert result.energy_pj == pytest.approx(sum(result.energy_pj_by.values()))
    assert result.area_um2 == 3.0


def test_auto_leaves_one_choice_to_the_mapper():
    found = design(mapping={"choices": {"walk": "columns", "group": 8}, "Y": ["group = auto", "MAC"]}).map("latency")
    assert found.mapping["Z"][1] == "group = 8"
    assert found.mapping["Y"][0] == "walk = columns"


def test_the_occupancy_of_a_memory_is_a_third_objective():
    points = design().map("pareto:BUF").points
    assert len({point.occupancy("BUF") for point in points}) > 1


def test_a_memory_that_the_machine_does_not_have_is_told():
    with pytest.raises(el.MappingError, match=r"objective pareto:BUFF: no memory of toy is named 'BUFF'"):
        design().map("pareto:BUFF")


def test_copies_multiply_but_not_what_runs_once():
    twice = design({**CHAIN, "repeat": 3}).map("latency")
    assert twice.cycles == 3 * design().map("latency").cycles


@pytest.mark.parametrize(("mapping", "message"), [
    (None, r"the design leaves choices open \(walk: rows, columns; group: 1, 2, 4, 8, 16, 32\)"),
    ({"choices": {"grup": 2}}, r"mapping\.choices\.grup: no choice is named 'grup'\n  did you mean 'group'\? "),
    ({"choices": {"group": 3}}, r"mapping\.choices\.group: 'group = 3' is not possible\n  group is one of: 1, 2, 4"),
    ({"Z": ["group = 3", "MAC"]}, r"mapping\.Z\[0\]: 'group = 3' is not possible"),
    ({"Z": ["for m in 3", "MAC"]}, r"mapping\.Z\[0\]: 'for m in 3' is no choice of a machine that maps by choices"),
    ({"Q": ["group = 2", "MAC"]}, r"mapping\.Q: no step is named 'Q'\n  known: Y, Z"),
    (["MAC"], "the template 'toy' maps by choices, not by loop nests"),
    ({"choices": {"group": [1]}}, r"mapping\.choices\.group: '\[1\]' is no choice"),
    ({"choices": {"walk": "rows", "group": 32}}, "step Z needs at least 25,600 bits of BUF, there are 12,800"),
])  # fmt: skip
def test_a_mistake_is_told_at_its_place(mapping, message):
    with pytest.raises(el.EinloomError, match=message):
        design(**({} if mapping is None else {"mapping": mapping})).evaluate()


def test_a_part_that_a_network_does_not_have_is_told():
    parts = [{"name": name, "cascade": CHAIN["cascade"]} for name in "ab"]
    network = {"name": "two", "bits": {"default": 8}, "ranks": CHAIN["ranks"], "parts": parts}
    given = {"choices": {"walk": "rows", "group": 4}, "b.Z": ["group = 8", "MAC"]}
    assert design(network, mapping=given).evaluate().mapping["b.Z"][1] == "group = 8"
    with pytest.raises(el.MappingError, match=r"no part is named 'c'\n  known: a, b"):
        design(network, mapping={**given, "c.Z": ["group = 8", "MAC"]}).evaluate()


def test_choices_on_a_machine_of_loop_nests_are_refused():
    with pytest.raises(el.SpecError, match="'peer16_ws' maps loop nests, not choices"):
        el.load("designs/peer16_gemm.yaml", set={"mapping": {"choices": {"group": 1}}})


def test_a_setting_of_the_mapping_makes_the_mapping():
    given = el.load({"name": "t", "workload": CHAIN, "architecture": {"template": "toy"}},
                    set={"mapping.choices.group": 2, "mapping.choices.walk": "rows"})  # fmt: skip
    assert given.evaluate().mapping["Z"] == ["walk = rows", "group = 2", "MAC"]


def test_resources_beyond_the_budget_are_not_taken(monkeypatch):
    monkeypatch.setattr(templates, "template", lambda name: toy(lut=250))
    assert design().map("latency").mapping["Z"][1] == "group = 2"
    with pytest.raises(el.MappingError, match="step Z needs at least 400 lut of lut, there are 250"):
        design(mapping={"choices": {"walk": "rows", "group": 4}}).evaluate()


def test_an_einsum_that_the_machine_cannot_run_is_an_error():
    workload = {**CHAIN, "cascade": [*CHAIN["cascade"], "R[m,p] = relu(Y[m,p])"]}
    with pytest.raises(el.MappingError, match="R is no matrix product"):
        design(workload).map()


def test_an_einsum_is_read_as_a_matrix_product():
    heads = {"name": "heads", "ranks": {"B": 2, "H": 3, "Q": 5, "M": 7, "E": 11}, "bits": {"default": 8}, "weights": [],
             "cascade": ["S[b,h,q,m] = sum{e}(A[b,h,q,e] * K[b,h,m,e])"]}  # fmt: skip
    (cascade,) = design(heads).workload.cascades
    found = contraction_of(cascade.sized()[0])
    assert (found.batch, found.m, found.n, found.k, found.given) == (6, 5, 7, 11, False)
    assert (found.inputs.tensor, found.weights.tensor, found.outputs.tensor) == ("A", "K", "S")


def test_laws_add_up_and_are_switched_off_by_name():
    def columns(work):
        return work * 2

    def rows(work):
        return work + 1

    def refresh(work, cycles):
        return cycles / 10

    laws = Laws((columns,)) + Laws((rows,), (refresh,))
    assert {name: term.tolist() for name, term in laws.of(np.array([5.0])).items()} == {
        "columns": [10.0], "rows": [6.0], "refresh": [1.6],
    }  # fmt: skip
    assert laws.without(["refresh", "rows"]).names == ("columns",)
    with pytest.raises(SpecError, match=r"no term is named 'refrsh'\n  terms: columns, rows, refresh"):
        laws.without(["refrsh"])
    with pytest.raises(SpecError, match="a law has a term twice"):
        laws + laws


@pytest.mark.parametrize("term", [-1.0, math.nan])
def test_a_law_that_gives_no_time_is_named(term):
    (cascade,) = design().workload.cascades
    machine = design().architecture
    program = Program("chain", tuple(cascade.sized()))
    step = machine.engine.steps(program, {"walk": "rows"})[0]
    from dataclasses import replace

    wrong = replace(step, cost=lambda columns: Cost(cycles={"open": term}, useful=0))
    with pytest.raises(PluginError, match="the law of step 'Z' gives a term 'open' that is not at least 0"):
        _ = PricedStep(Machine(machine), program, wrong, {}, 1).cycles
