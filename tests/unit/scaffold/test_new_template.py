"""`einloom new template NAME`: what it writes, what it refuses, and that the generated code is clean."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from einloom.arch import registry
from einloom.cli import main
from einloom.errors import SpecError
from einloom.scaffold import new_template
from einloom.scaffold.package import FILES, LONGEST, render

LONG = "a" * LONGEST
NAMES = ("vex", "my_vector_2", LONG, "mapping", "einloom", "z")


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_a_whole_package(tmp_path: Path) -> None:
    files = new_template("vex", tmp_path)
    assert written(tmp_path / "vex") == {path.relative_to(tmp_path / "vex").as_posix() for path in files}
    assert written(tmp_path / "vex") == {
        ".gitignore", "README.md", "pyproject.toml", "designs/vex_gemm.yaml", "search/vex.yaml",
        "src/einloom_vex/__init__.py", "src/einloom_vex/py.typed", "src/einloom_vex/vex.py",
        "tests/test_vex_by_hand.py", "tests/test_vex_contract.py", "tests/test_vex_laws.py",
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["vex"]


def test_every_text_that_ships_is_rendered() -> None:
    import einloom.scaffold

    texts = Path(einloom.scaffold.__file__).parent / "files"
    assert {path.name for path in texts.iterdir()} == {source for source in FILES.values() if source}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_rendered_is_python_within_the_width(name: str) -> None:
    for path, text in render(name).items():
        assert "$" not in text, path
        if not path.endswith((".md", ".toml")):
            assert max(map(len, text.splitlines()), default=0) <= 120, path
        if path.endswith(".py"):
            ast.parse(text, path)


@pytest.mark.parametrize("name", NAMES)
def test_the_linter_finds_nothing_in_it(name: str, tmp_path: Path) -> None:
    if shutil.which("ruff") is None:
        pytest.skip("ruff is in the extra `dev`")
    new_template(name, tmp_path)
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(["ruff", *check, "--no-cache", "."], cwd=tmp_path / name, capture_output=True, text=True,
                              check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_the_command_says_what_it_wrote_and_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "template", "vex", "--into", str(tmp_path / "here")]) == 0
    shown = capsys.readouterr()
    folder = tmp_path / "here" / "vex"
    assert {Path(line) for line in shown.out.splitlines()} == {path for path in folder.rglob("*") if path.is_file()}
    assert f"cd {folder} && " in shown.err


def test_the_folder_is_made_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "template", "vex"]) == 0
    assert (tmp_path / "vex" / "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("my-engine", "'my-engine' is not one", "a letter first, for example: my_engine"),
        ("Vex", "'Vex' is not one", "for example: vex"),
        ("2fast", "'2fast' is not one", "for example: fast"),
        ("_vex_", "'_vex_' is not one", "for example: vex"),
        ("", "'' is not one", "a letter first"),
        ("über", "'über' is not one", "for example: ber"),
        ("../vex", "'../vex' is not one", "for example: vex"),
        ("class", "'class' is a word of Python", "a letter first"),
        ("match", "'match' is a word of Python", "a letter first"),
        ("a" * 31, "has 31 characters", "write at most 30"),
    ],
)
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str, message: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        new_template(name, tmp_path)
    (problem,) = caught.value.problems
    assert problem.message.endswith(message)
    assert problem.hint.endswith(hint)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_names_its_owner(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"a template 'systolic' is installed, from einloom \d") as caught:
        new_template("systolic", tmp_path)
    assert "these names are taken: " in caught.value.problems[0].hint
    assert "spatial" in caught.value.problems[0].hint


def test_a_name_that_a_broken_plugin_has_is_taken_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = registry.EntryPoint(name="vex", value="no_such_module_here:T", group=registry.GROUP)
    monkeypatch.setattr(registry, "_registered", lambda: (broken,))
    with pytest.raises(SpecError, match="a template 'vex' is installed, from an unknown distribution"):
        new_template("vex", tmp_path)


def test_a_folder_that_exists_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vex").mkdir()
    assert main(["new", "template", "vex", "--into", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith(f"the folder '{tmp_path / 'vex'}' exists\n  choose another name")
    assert shown.out == ""
    assert list((tmp_path / "vex").iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SpecError, match=r"cannot be written: (File exists|Not a directory)"):
        new_template("vex", tmp_path / "file")
    with pytest.raises(SpecError, match=r"cannot be written: (File exists|Not a directory)"):
        new_template("vex", tmp_path / "file" / "below")


def test_help_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "template", "-h"]) == 0
    assert "A package with the template NAME" in capsys.readouterr().out
