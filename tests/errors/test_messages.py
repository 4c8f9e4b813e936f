"""One mistake a file, next to the exact message: file:line:column, field, value, what is allowed.

``<mistake>.yaml`` is what a user wrote, ``<mistake>.expect`` what `einloom check` answers (refresh with
``pytest --update-golden`` and read the diff). Files of some mistakes cannot stand here as text; they are written below.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import einloom
from einloom.cli import main

HERE = Path(__file__).parent
MISTAKES = sorted(HERE.glob("*.yaml"))


def message(capsys, *arguments: str) -> str:
    """What the command line says on stderr; it exits with 1 and prints no result."""
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda file: file.stem)
def test_a_mistake_is_answered_by_its_message(mistake, capsys, monkeypatch, held_to):
    monkeypatch.chdir(HERE)
    held_to(message(capsys, "check", mistake.name), mistake.with_suffix(".expect"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda file: file.stem)
def test_a_message_says_where_what_and_what_is_allowed(mistake, monkeypatch):
    monkeypatch.chdir(HERE)
    with pytest.raises(einloom.EinloomError) as caught:
        einloom.check(mistake.name)
    lines = mistake.read_text(encoding="utf-8").splitlines()
    for problem in caught.value.problems:
        assert problem.file == mistake.name
        assert problem.message
        assert problem.hint
        if any(line.split("#")[0].strip() for line in lines):
            assert problem.source == lines[problem.line - 1]
            assert problem.column - 1 <= len(problem.source)
    places = [(problem.line, problem.column) for problem in caught.value.problems]
    assert places == sorted(places)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda file: file.stem)
def test_each_mistake_has_its_line(mistake):
    """The lines at fault carry the comment ``# wrong``, so that a message cannot point elsewhere unseen."""
    marked = {i for i, line in enumerate(mistake.read_text(encoding="utf-8").splitlines(), 1) if "# wrong" in line}
    named = {int(line) for line in re.findall(rf"^{mistake.name}:(\d+):", expected(mistake), re.MULTILINE)}
    if marked:
        assert named == marked


def expected(mistake: Path) -> str:
    return mistake.with_suffix(".expect").read_text(encoding="utf-8")


def test_every_message_has_its_mistake():
    assert {file.stem for file in HERE.glob("*.expect")} == {file.stem for file in MISTAKES}


# -- files that are no text

WHERE = "  give the path of a file from here, or of the catalogue: `einloom list designs`\n"


def test_a_missing_file(capsys):
    said = message(capsys, "check", "designs/none.yaml")
    assert said == "designs/none.yaml: cannot be read: No such file or directory\n" + WHERE


def test_a_folder_in_place_of_a_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "designs").mkdir()
    assert message(capsys, "check", "designs") == "designs: cannot be read: Is a directory\n" + WHERE


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.yaml").write_text("version: 1\n")
    (tmp_path / "secret.yaml").chmod(0)
    assert message(capsys, "check", "secret.yaml") == "secret.yaml: cannot be read: Permission denied\n" + WHERE


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"version: 1\nworkload: \xff\xfe\n", "file.yaml: is not UTF-8 text (byte 21)\n"),
        (b"version: 1\n\x00", "file.yaml: is not YAML: special characters are not allowed\n"),
        (b"\x89PNG\r\n\x1a\n", "file.yaml: is not UTF-8 text (byte 0)\n"),
        (b"[" * 5000, "file.yaml: is nested too deeply\n"),
        (b"a" * (16 * 2**20 + 1), "file.yaml: is larger than 16 MiB\n  this is no einloom file\n"),
    ],
    ids=["latin", "null", "picture", "brackets", "large"],
)
def test_a_file_that_is_no_text(content, answer, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.yaml").write_bytes(content)
    assert message(capsys, "check", "file.yaml").startswith(answer)


def test_a_mistake_outside_of_the_file_names_the_option(capsys):
    said = message(capsys, "evaluate", "designs/peer16_gemm.yaml", "--set", "architecture.levels.GLB.capacity=108")
    assert said.startswith(
        "--set architecture.levels.GLB.capacity=108: architecture.levels[1].capacity: '108' has no unit"
    )
