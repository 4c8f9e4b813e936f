"""Code of a plugin that goes wrong while it runs: a message with its name, no traceback, no wrong number."""

from dataclasses import dataclass

import numpy as np
import pytest

import einloom
from einloom.arch.engine import Cost, Engine, Step
from einloom.arch.rules import MappingRules
from einloom.arch.template import Template
from einloom.arch.timing import TimingLaw
from einloom.arch.tree import Amount, Architecture, Compute, Memory
from einloom.cli import main
from einloom.errors import PluginError

GEMM = {"name": "g", "ranks": {"M": 4, "N": 4, "K": 4}, "bits": {"default": 8},
        "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]}  # fmt: skip


@dataclass(frozen=True)
class Law(TimingLaw):
    """Terms from a function of the activity."""

    of: object

    def terms(self, activity):
        return self.of(activity)


@dataclass(frozen=True)
class BrokenRules(MappingRules):
    def of(self, architecture, einsum):
        return einsum.no_such_thing


@dataclass(frozen=True)
class BrokenEngine(Engine):
    def steps(self, program, shared):
        return [program.no_such_thing]


@dataclass(frozen=True)
class BrokenCost(Engine):
    def steps(self, program, shared):
        return [Step(name="Z", einsums=("Z",), compute="MAC", cost=lambda columns: Cost(**columns))]


def mine(build):
    return Template(name="mine", summary="a test", parameters=(), build=build, sources=("a test",))


def machine(**parts):
    levels = (
        Memory(name="DRAM", read_energy_pj=1.0, write_energy_pj=1.0),
        Memory(name="Reg", capacity=Amount(16), holds=("outputs",)),
        Compute(name="MAC", energy_pj={"mac": 1.0}),
    )
    return mine(lambda params: Architecture(name="mine", clock_hz=1e9, levels=levels, **parts))


def design():
    return einloom.load({"name": "d", "workload": GEMM, "architecture": {"template": "mine"}})


LAWS = {
    "below 0": (lambda a: {"early": -a.visits("Reg")}, "Law of the template 'mine': the term 'early' is not at least"),
    "not a number": (lambda a: {"lost": a.steps * np.nan}, "the term 'lost' is not at least 0"),
    "a name of the model": (lambda a: {"stall": a.steps}, "the term 'stall' is a name of the model's own"),
    "another shape": (lambda a: {"odd": np.ones(3 * len(a.steps))}, r"the term 'odd' has the shape \(\d+,\), not \("),
    "an exception": (lambda a: {"x": a.step}, "Law of the template 'mine' fails: AttributeError: .* 'step'"),
    "no terms": (lambda a: None, "Law of the template 'mine' fails: AttributeError: 'NoneType'"),
}


@pytest.mark.parametrize(("law", "message"), LAWS.values(), ids=LAWS)
def test_a_timing_law_that_is_none_is_named(plugins, law, message):
    plugins(("mine", machine(timing=Law(law)), "acme"))
    with pytest.raises(PluginError, match=message):
        design().map("latency")


def test_a_term_may_be_one_number_for_all_mappings(plugins):
    plugins(("mine", machine(), "acme"))
    without = design().map("latency").cycles
    plugins(("mine", machine(timing=Law(lambda activity: {"launch": 100})), "acme"))
    assert design().map("latency").cycles == without + 100


BROKEN = {
    "rules": (machine(rules=BrokenRules()), "BrokenRules of the template 'mine' fails: AttributeError"),
    "the steps of an engine": (machine(engine=BrokenEngine()), "BrokenEngine of the template 'mine' fails: Attr"),
    "the cost of a step": (machine(engine=BrokenCost()), "step 'Z' of the template 'mine' fails: TypeError"),
    "build": (mine(lambda params: 1 / 0), "the template 'mine' fails: ZeroDivisionError: division by zero"),
    "what build returns": (mine(lambda params: None), "the template 'mine' builds NoneType, not an Architecture"),
}


@pytest.mark.parametrize(("broken", "message"), BROKEN.values(), ids=BROKEN)
def test_code_that_fails_is_a_message_with_its_name(plugins, broken, message, tmp_path, capsys):
    plugins(("mine", broken, "acme"))
    file = tmp_path / "design.yaml"
    file.write_text(
        "version: 1\nworkload:\n  name: g\n  ranks: {M: 4, N: 4, K: 4}\n  bits: {default: 8}\n"
        "  cascade:\n    - Z[m,n] = sum{k}(A[m,k] * B[k,n])\narchitecture: {template: mine}\n",
        encoding="utf-8",
    )
    assert main(["map", str(file)]) == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
