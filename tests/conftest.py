"""What every test may use: `pytest --update-golden` writes the golden files anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, then look at the diff")


@pytest.fixture
def held_to(request: pytest.FixtureRequest) -> Callable[[str, Path], None]:
    """Assert that a text equals a golden file, or write that file."""

    def compare(text: str, golden: Path) -> None:
        if request.config.getoption("--update-golden"):
            golden.write_text(text, encoding="utf-8")
        assert golden.is_file(), f"no {golden.name}: run `pytest --update-golden`"
        assert text == golden.read_text(encoding="utf-8")

    return compare
