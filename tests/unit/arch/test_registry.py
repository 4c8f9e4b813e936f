import pytest

from einloom.arch import registry
from einloom.arch.template import Parameter, Template
from einloom.errors import PluginError, SpecError


def built_with(build, name="mine", parameters=()):
    return Template(name=name, summary="a test", parameters=parameters, build=build, sources=("a test",))


def test_built_in_templates_are_found_through_entry_points():
    owners = {entry.name: entry.owner.split()[0] for entry in registry.entries()}
    assert owners["spatial"] == owners["systolic"] == "einloom"


def test_a_third_party_template_is_found_as_the_built_in_ones_are(plugins):
    mine = built_with(lambda params: None)
    plugins(("mine", mine, "acme"))
    assert registry.template("mine") is mine
    assert "acme 1.0" in [entry.owner for entry in registry.entries()]


def test_an_unknown_template_is_suggested():
    with pytest.raises(SpecError, match=r"no template is named 'systolc'\n  did you mean 'systolic'"):
        registry.template("systolc")


def test_a_name_used_twice_names_both_owners(plugins):
    plugins(
        ("mine", built_with(lambda params: None), "acme"),
        ("mine", built_with(lambda params: None), "umbrella"),
    )
    with pytest.raises(PluginError, match=r"'mine' is registered twice: acme 1\.0 .* and umbrella 1\.0"):
        registry.template("mine")


def test_a_broken_plugin_names_itself_its_distribution_and_the_reason(monkeypatch, claim):
    broken = claim("broken", "no_such_module_here:T", "acme")
    monkeypatch.setattr(registry, "_registered", lambda: (broken,))
    reason = r"'broken' of acme 1\.0 \(no_such_module_here:T\) does not load: ModuleNotFoundError"
    with pytest.raises(PluginError, match=reason):
        registry.template("broken")


def test_the_rest_keeps_working_beside_a_broken_plugin(plugins):
    plugins(("mine", object(), "acme"))
    problems = {entry.name: entry.problem for entry in registry.entries()}
    assert problems["systolic"] == ""
    assert registry.template("systolic").name == "systolic"
    assert problems["mine"].startswith("the template 'mine' of acme 1.0 (plugin_under_test:T0) breaks its contract: ")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (42, "is int, not a Template"),
        (built_with(lambda params: None, name="other"), "it calls itself 'other'"),
        (
            built_with(lambda: None),
            r"expected build\(params: Mapping\[str, object\]\) -> Architecture, found build\(\)",
        ),
        (built_with(lambda rows, cols: None), r"found build\(rows, cols\)"),
        (built_with("build"), "build is str"),
    ],
)
def test_a_template_that_breaks_its_contract_says_how(plugins, value, reason):
    plugins(("mine", value, "acme"))
    with pytest.raises(PluginError, match=reason):
        registry.template("mine")


def test_a_parameter_of_an_unknown_kind_is_refused():
    with pytest.raises(PluginError, match="parameter 'rows' has the kind 'integer'"):
        Parameter(name="rows", kind="integer", meaning="of the array")


def test_a_parameter_says_what_it_means():
    with pytest.raises(PluginError, match="does not say what it means"):
        Parameter(name="rows", kind="count", meaning="")
