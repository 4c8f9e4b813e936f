"""The wheel, built and installed elsewhere: the command runs, the catalogue is found, the user's own path wins."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built by this environment's own hatchling: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", folder, ROOT]
    subprocess.run(build, check=True, stdin=subprocess.DEVNULL)
    (built,) = folder.glob("einloom-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that holds the installed wheel and nothing else; dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", folder, wheel]
    subprocess.run(install, check=True, stdin=subprocess.DEVNULL)
    return folder


@pytest.fixture
def einloom(installed, tmp_path):
    """Runs the installed command line in an empty folder, away from the source tree."""
    code = "import sys; from einloom.cli import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "200"}

    def running(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return running


def test_the_package_that_runs_is_the_installed_one(installed, tmp_path):
    shown = subprocess.run(
        [sys.executable, "-c", "import einloom; print(einloom.__file__)"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(shown.stdout.strip()) == installed / "einloom" / "__init__.py"


def test_the_wheel_holds_the_whole_catalogue(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("arch", "workloads", "mappings", "search", "designs"):
        sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
        carried = {name.removeprefix("einloom/_catalogue/") for name in names}
        assert sources <= carried
    assert "einloom/py.typed" in names
    assert not [name for name in names if "tests/" in name or name.endswith(".pyc")]


def test_a_catalogue_design_evaluates_from_any_directory(einloom):
    ran = einloom("evaluate", "designs/peer16_gemm.yaml", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["cycles"] == 4_194_304


def test_components_and_templates_are_found(einloom):
    ran = einloom("map", "designs/systolic_bert.yaml", "--set", "workload=workloads/gemm.yaml", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["area_um2"] > 0


@pytest.mark.parametrize("what", ["templates", "architectures", "workloads", "designs", "components", "operators"])
def test_everything_is_listed(einloom, what):
    ran = einloom("list", what)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(ran.stdout.splitlines()) >= 2


def test_a_search_of_the_catalogue_is_found(einloom):
    ran = einloom("explore", "search/bert_systolic.yaml", "--dry-run")
    assert ran.returncode == 0
    assert "architecture.dataflow" in ran.stdout


def test_a_relative_path_of_the_users_own_wins(einloom, tmp_path):
    (tmp_path / "workloads").mkdir()
    own = (ROOT / "workloads" / "gemm.yaml").read_text(encoding="utf-8").replace("M: 1024", "M: 512")
    (tmp_path / "workloads" / "gemm.yaml").write_text(own, encoding="utf-8")
    ran = einloom("evaluate", "designs/peer16_gemm.yaml", "--json")
    assert json.loads(ran.stdout)["operations"] == 2**29
