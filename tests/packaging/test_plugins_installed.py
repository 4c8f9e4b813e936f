"""A third party's template for real: written, installed as it is, tested, listed, mapped, explored, validated."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from einloom.scaffold import new_template

NAME = "third_party"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The generated package, installed into a folder of its own by this environment's hatchling."""
    folder = new_template(NAME, tmp_path_factory.mktemp("written"))[0].parent
    site = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation", "--quiet",
               "--target", site, folder]  # fmt: skip
    subprocess.run(install, check=True, stdin=subprocess.DEVNULL)
    return folder, site


@pytest.fixture
def ran(package):
    """Runs ``python -m ...`` in the package's folder, where its template is installed."""
    folder, site = package
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}

    def running(*arguments):
        done = subprocess.run([sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True,
                              text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return running


@pytest.mark.slow  # the guide runs the same tests, on the package that it has changed
def test_its_own_tests_pass(ran):
    """The contract suite, the case by hand and the laws."""
    assert "passed" in ran("pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-v").splitlines()[-1]


def test_it_is_listed_with_its_distribution_beside_the_others(ran):
    rows = {row["name"]: row for row in json.loads(ran("einloom.cli", "list", "templates", "--json"))["templates"]}
    assert rows[NAME] == {
        "name": NAME, "what": "a vector engine with a private scratchpad", "from": "einloom-third-party 0.1.0",
    }  # fmt: skip
    assert rows["systolic"]["from"].startswith("einloom ")


def test_its_files_have_no_problems(ran):
    shown = ran("einloom.cli", "check", f"designs/{NAME}_gemm.yaml", f"search/{NAME}.yaml")
    assert shown.count("no problems") == 2


def test_its_design_is_mapped(ran):
    """16 lanes: a step for 16 products, and 13 cycles of start-up for a strip of 16 x 4 results."""
    found = json.loads(ran("einloom.cli", "map", f"designs/{NAME}_gemm.yaml", "--objective", "latency", "--json"))
    assert found["proof"] == "optimal"
    assert found["cycles"] == 256**3 // 16 + 13 * (256 * 256 // (16 * 4))


def test_its_designs_are_explored_by_workers(ran, package):
    search = f"search/{NAME}.yaml"
    found = json.loads(ran("einloom.cli", "explore", search, "--workers", "2", "--json"))
    assert {trial["state"] for trial in found["trials"]} == {"feasible"}
    assert len(found["trials"]) == 12
    ran("einloom.cli", "plot", NAME, "--x", "area_mm2", "--y", "latency_us", "-o", "front.svg")
    assert (package[0] / "front.svg").is_file()


def test_its_published_figure_is_validated(ran):
    (row,) = json.loads(ran("einloom.cli", "validate", f"designs/{NAME}_gemm.yaml", "--json"))
    assert (row["published"], row["modelled"], row["error"], row["basis"]) == (77, 77.0, 0.0, "predicted")


@pytest.mark.slow
def test_the_checker_of_types_finds_nothing_in_it(package):
    folder, _ = package
    mypy = Path(sys.executable).with_name("mypy")
    if not mypy.exists():
        pytest.skip("mypy is in the extra `dev`")
    done = subprocess.run([mypy, "--cache-dir", os.devnull, "src", "tests"], cwd=folder, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
