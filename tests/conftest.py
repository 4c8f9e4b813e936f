"""What every test may use: `pytest --update-golden` writes the golden files anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, then look at the diff")


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for caches that no user has; compiled kernels stay where they are, they are found by their sources."""
    from einloom.mapper.cache import user_caches

    folder = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        if "NUMBA_CACHE_DIR" not in os.environ:
            patch.setenv("NUMBA_CACHE_DIR", str(user_caches()))  # for processes that tests start
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def nothing_known(caches: Path) -> None:
    """No test finds what another one mapped, or what the user did."""
    from einloom.mapper.recall import MEMORY

    MEMORY.forget()
    shutil.rmtree(caches / "einloom", ignore_errors=True)


@pytest.fixture
def held_to(request: pytest.FixtureRequest) -> Callable[[str, Path], None]:
    """Assert that a text equals a golden file, or write that file."""

    def compare(text: str, golden: Path) -> None:
        if request.config.getoption("--update-golden"):
            golden.write_text(text, encoding="utf-8")
        assert golden.is_file(), f"no {golden.name}: run `pytest --update-golden`"
        assert text == golden.read_text(encoding="utf-8")

    return compare
