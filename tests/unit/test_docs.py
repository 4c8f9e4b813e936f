"""The user guide holds: its YAML files load, its Python runs, its links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import einloom

ROOT = Path(__file__).resolve().parents[2]
PAGES = (*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md")
ELSEWHERE = ("plugins.md",)
"""A script from an empty folder to an installed package: packaging/test_plugins_guide.py runs it."""
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """(page:line, text) of every fenced block of ``language``."""
    for page in PAGES:
        if page.name in ELSEWHERE:
            continue
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match[1] == language:
                yield f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}", match[2]


FILES = [(place, text) for place, text in blocks("yaml") if re.search(r"^version: 1$", text, re.MULTILINE)]
PROGRAMS: dict[str, str] = {}  # the blocks of a page are one program, each may use what stands above it
for _place, _text in blocks("python"):
    _page, _line = _place.split(":")
    _above = PROGRAMS.get(_page, "")
    PROGRAMS[_page] = _above + "\n" * (int(_line) - _above.count("\n")) + _text  # lines are those of the page


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the guide are those of the catalogue."""
    monkeypatch.chdir(ROOT)


def test_the_guide_has_files_and_programs_to_try() -> None:
    assert len(FILES) >= 5
    assert PROGRAMS


@pytest.mark.parametrize("text", [text for _, text in FILES], ids=[place for place, _ in FILES])
def test_every_file_in_the_guide_has_no_problems(text: str, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(text, encoding="utf-8")
    assert einloom.check(file) in ("search", "design", "workload", "architecture", "mapping")


@pytest.mark.parametrize("page", PROGRAMS)
def test_every_program_in_the_guide_runs(page: str) -> None:
    exec(compile(PROGRAMS[page], page, "exec"), {"__name__": "guide"})


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in a link: as mkdocs names them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_to_a_heading_that_is_there(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(there), f"{page.name} links to {target}#{anchor}"
