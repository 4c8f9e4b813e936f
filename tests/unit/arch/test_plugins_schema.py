"""What a template says about itself is checked when it is registered, and a broken one hurts nobody else."""

import json
import math
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

import einloom
from einloom.arch import registry
from einloom.arch.schema import reasons
from einloom.arch.template import Parameter, Template
from einloom.arch.tree import Amount
from einloom.cli import main
from einloom.errors import PluginError, SpecError

SOUND = Template(
    name="mine",
    summary="a test",
    parameters=(Parameter(name="lanes", kind="count", meaning="multipliers"),),
    build=lambda params: None,
    sources=("a test",),
)
DESIGN = {
    "name": "other",
    "workload": {"name": "g", "ranks": {"M": 4, "N": 4, "K": 4}, "bits": {"default": 8},
                 "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]},
    "architecture": {"template": "systolic", "rows": 2, "cols": 2},
}  # fmt: skip


def with_parameter(**given):
    return replace(SOUND, parameters=(Parameter(**{"name": "lanes", "kind": "count", "meaning": "m", **given}),))


def test_a_sound_template_has_nothing_against_it():
    assert reasons(SOUND) == ()


async def later(params):
    return params


MISTAKES = {
    "no summary": (replace(SOUND, summary=" "), "it has no summary"),
    "no sources": (replace(SOUND, sources=()), "it names no sources"),
    "an empty source": (replace(SOUND, sources=("",)), "it names no sources"),
    "sources in one text": (replace(SOUND, sources="a paper"), "its sources are one text, not a tuple of texts"),
    "build is no function": (
        replace(SOUND, build="build"),
        "build is str, expected build(params: Mapping[str, object]) -> Architecture",
    ),
    "build without an argument": (
        replace(SOUND, build=lambda: None),
        "expected build(params: Mapping[str, object]) -> Architecture, found build()",
    ),
    "build with an argument for each parameter": (
        replace(SOUND, build=lambda rows, cols: None),
        "expected build(params: Mapping[str, object]) -> Architecture, found build(rows, cols)",
    ),
    "build that is awaited": (
        replace(SOUND, build=later),
        "build is no plain function, expected build(params: Mapping[str, object]) -> Architecture",
    ),
    "a list of parameters": (replace(SOUND, parameters=[]), "its parameters are not a tuple of Parameter values"),
    "names for parameters": (
        replace(SOUND, parameters=("lanes",)),
        "its parameters are not a tuple of Parameter values",
    ),
    "a name twice": (replace(SOUND, parameters=SOUND.parameters * 2), "two parameters are named 'lanes'"),
    "a name with a blank": (with_parameter(name="my lanes"), "the parameter name 'my lanes' is not an identifier"),
    "a keyword": (with_parameter(name="for"), "the parameter name 'for' is not an identifier"),
    "a key of the block": (
        with_parameter(name="template"),
        "a parameter is named 'template', which is a key of every architecture",
    ),
    "a choice of nothing": (with_parameter(kind="choice"), "parameter 'lanes' is a choice without choices"),
    "a choice twice": (
        with_parameter(kind="choice", choices=("a", "a")),
        "the choices of parameter 'lanes' are not distinct words",
    ),
    "a bound that is a word": (
        with_parameter(low="1"),
        "it cannot be checked: TypeError: must be real number, not str",
    ),
    "low above high": (with_parameter(low=8, high=4), "parameter 'lanes' has low 8 above high 4"),
    "a bound that is no number": (with_parameter(high=math.nan), "parameter 'lanes' has low 1 above high nan"),
    "a default out of range": (
        with_parameter(default=8, high=4),
        "the default of parameter 'lanes' is not one of its values: '8' is out of range "
        "(must be at least 1 and at most 4)",
    ),
    "a default of another type": (
        with_parameter(kind="size", default=1024),
        "the default of parameter 'lanes' is not one of its values: parameter 'lanes' is 1024 (expected: size)",
    ),
    "a default that is no choice": (
        with_parameter(kind="choice", choices=("ring", "mesh"), default="rong"),
        "the default of parameter 'lanes' is not one of its values: no lanes is named 'rong' "
        "(did you mean 'ring'? known: ring, mesh)",
    ),
    "an unlimited default where there is a limit": (
        with_parameter(kind="size", default=Amount(math.inf), unlimited=False),
        "the default of parameter 'lanes' is not one of its values: 'inf' is out of range ('lanes' must be finite)",
    ),
}


@pytest.mark.parametrize(("broken", "reason"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_distribution_entry_point_and_reason(plugins, broken, reason):
    plugins(("mine", broken, "acme"))
    with pytest.raises(PluginError) as caught:
        registry.template("mine")
    (problem,) = caught.value.problems
    who = "the template 'mine' of acme 1.0 (plugin_under_test:T0)"
    assert problem.message == f"{who} breaks its contract: {reason}"


def test_all_mistakes_of_a_template_are_told_at_once(plugins):
    plugins(("mine", replace(SOUND, summary="", sources=(), build=len, parameters=SOUND.parameters * 2), "acme"))
    (problem,) = [entry.problem for entry in registry.entries() if entry.name == "mine"]
    assert problem.endswith("it has no summary; it names no sources; two parameters are named 'lanes'")


def test_a_broken_template_is_listed_with_its_reason_and_the_others_are_as_before(plugins, capsys):
    plugins(("mine", replace(SOUND, summary=""), "acme"), ("yours", SOUND, "umbrella"), ("zero", 0, "zed"))
    assert main(["list", "templates", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["templates"]}
    assert rows["mine"]["what"].endswith("of acme 1.0 (plugin_under_test:T0) breaks its contract: it has no summary")
    assert rows["yours"]["what"].endswith("breaks its contract: it calls itself 'mine'")
    assert rows["zero"] == {
        "name": "zero",
        "what": "the template 'zero' of zed 1.0 (plugin_under_test:T2) breaks its contract: "
        "it is int, not a Template",
        "from": "zed 1.0",
    }
    assert rows["systolic"]["what"].startswith("a systolic array")


def test_a_design_that_uses_another_template_is_unaffected(plugins):
    expected = einloom.load(DESIGN).map().to_dict()
    plugins(("mine", object(), "acme"), ("spatial", SOUND, "umbrella"))
    assert einloom.load(DESIGN).map().to_dict() == expected


def test_a_design_that_uses_the_broken_one_says_why_and_where(plugins, tmp_path):
    plugins(("mine", replace(SOUND, summary=""), "acme"))
    file = tmp_path / "design.yaml"
    file.write_text("version: 1\narchitecture:\n  template: mine\n  lanes: 4\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        einloom.check(file)
    assert str(caught.value).splitlines()[0] == (
        f"{file}:3:13: architecture.template: the template 'mine' of acme 1.0 (plugin_under_test:T0) "
        "breaks its contract: it has no summary"
    )


def test_a_module_that_ends_the_process_when_imported_ends_nothing(monkeypatch, claim, tmp_path):
    (tmp_path / "plugin_that_exits.py").write_text("import sys\nsys.exit('bye')\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(registry, "_registered", lambda: (claim("mine", "plugin_that_exits:T", "acme"),))
    (entry,) = registry.entries()
    assert entry.problem == "the template 'mine' of acme 1.0 (plugin_that_exits:T) does not load: SystemExit: bye"


@pytest.mark.parametrize("target", ["not a target", "plugin_under_test", "plugin_under_test:nothing"])
def test_a_target_that_leads_nowhere_is_named(plugins, monkeypatch, claim, target):
    plugins()
    monkeypatch.setattr(registry, "_registered", lambda: (claim("mine", target, "acme"),))
    (entry,) = registry.entries()
    assert entry.problem.startswith(f"the template 'mine' of acme 1.0 ({target}) ")


def test_a_distribution_without_metadata_is_still_told_apart(monkeypatch):
    class Nameless(EntryPoint):
        @property
        def dist(self):
            raise FileNotFoundError("METADATA")

    found = (Nameless(name="mine", value="nowhere:T", group=registry.GROUP),)
    monkeypatch.setattr(registry, "_registered", lambda: found)
    (entry,) = registry.entries()
    assert entry.owner == "an unknown distribution"
    assert "the template 'mine' of an unknown distribution (nowhere:T) does not load" in entry.problem
