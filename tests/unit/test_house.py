"""The house rules: imports point one way, the public names are what is importable, ``--help`` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import einloom

SOURCE = Path(einloom.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))

LEAVES = {"errors", "catalogue"}
VALUES = LEAVES | {"workloads", "arch"}
MAY_IMPORT = {
    "errors": set(),
    "catalogue": set(),
    "workloads": LEAVES,
    "arch": LEAVES,
    "mappings": VALUES,
    "model": VALUES | {"mappings"},
    "mapper": VALUES | {"mappings", "model"},
    "search": VALUES | {"mappings", "model", "mapper"},
    "validation": LEAVES,
    "spec": VALUES | {"mappings", "search", "validation"},
    "report": VALUES | {"mappings", "model", "search"},
    "listing": VALUES,
    "api": VALUES | {"mappings", "model", "mapper", "search", "spec"},
    "scaffold": VALUES,
    "testing": VALUES | {"__init__", "spec"},
    "validating": VALUES | {"api", "mapper", "spec", "validation"},
    "cli": VALUES | {"api", "listing", "report", "scaffold", "search", "spec", "validating"},
    "__init__": VALUES | {"mappings", "model", "mapper", "search", "report", "api", "validating", "validation"},
}


def _part(module: Path) -> str:
    return module.relative_to(SOURCE).with_suffix("").parts[0]


def _imported(module: Path) -> set[str]:
    """Parts of the house that a module imports, wherever in it the statement stands."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}: relative import"
            names.update([node.module] if node.module != "einloom" else [f"einloom.{a.name}" for a in node.names])
    return {name.split(".")[1] for name in names if name.startswith("einloom.")}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(SOURCE).as_posix())
def test_imports_point_one_way(module):
    part = _part(module)
    assert _imported(module) <= MAY_IMPORT[part] | {part}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(SOURCE).as_posix())
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))


def test_the_public_names_are_what_is_importable():
    public = {name for name in dir(einloom) if not name.startswith("_")}
    assert set(einloom.__all__) == public
    assert 10 <= len(public) <= 25
    assert all(getattr(einloom, name) is not None for name in public)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'einloom' has no attribute 'lode'"):
        _ = einloom.lode


def test_public_names_have_docstrings():
    assert [name for name in einloom.__all__ if not getattr(einloom, name).__doc__] == []


@pytest.mark.parametrize("what", ["import einloom", "import einloom.cli; einloom.cli.main(['--help'])"])
def test_the_command_line_answers_without_the_heavy_packages(what):
    heavy = "{'numpy', 'scipy', 'optuna', 'matplotlib', 'pydantic', 'networkx', 'pandas', 'rich', 'yaml'}"
    code = f"{what}; import sys; print('loaded', sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"
