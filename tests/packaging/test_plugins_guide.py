"""docs/plugins.md, executed: its commands run, its edits apply, and what it shows is what comes out.

The page is a script. ``console`` blocks are commands and lines of their output; ``diff`` blocks are edits; a block with
a ``title`` is a file. It runs in an environment of its own that sees the packages of this one: nothing is fetched.
"""

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHOWN = [line.strip() for line in re.findall(r"^\$ .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables of a new environment with this one's packages, and `einloom` as a command in it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    ours = sysconfig.get_path("purelib")
    (site / "parent.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")
    command = folder / "bin" / "einloom"
    command.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m einloom.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    quiet = {
        "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore", "PYTEST_ADDOPTS": "-p no:cacheprovider -p no:xdist", "COLUMNS": "200",
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    dropped = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in dropped} | quiet


def run_commands(text: str, folder: Path, environment: dict[str, str]) -> Path:
    """Runs the commands of a console block; the folder in which it ends. Shown output must come, in order."""
    for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = entry.rstrip("\n").splitlines()
        if command.startswith("cd "):
            folder = folder / command.removeprefix("cd ")
            continue
        done = subprocess.run(["sh", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False)  # fmt: skip
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        output = squeezed(done.stdout + done.stderr)
        for line in shown:
            assert squeezed(line) in output, f"$ {command}\nshows no '{line}':\n{done.stdout}{done.stderr}"
            output = output[output.index(squeezed(line)) :]
    return folder


def squeezed(text: str) -> str:
    return re.sub(r"[ \t]+", " ", text).strip()


def apply_diff(text: str, folder: Path) -> None:
    """Applies the hunks of a diff; each names lines that are in the file once, in order."""
    head, *hunks = re.split(r"^@@.*\n", text, flags=re.MULTILINE)
    match = re.fullmatch(r"--- a/(\S+)\n\+\+\+ b/\1\n", head)
    assert match is not None, head
    file = folder / match[1]
    content, place = file.read_text(encoding="utf-8"), 0
    for hunk in hunks:
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        assert content.count(before) == 1, f"{file.name} has {content.count(before)} times:\n{before}"
        place = content.index(before)
        content = content[:place] + after + content[place + len(before) :]
    file.write_text(content, encoding="utf-8")


def test_every_step_of_the_guide_is_as_it_says(environment, tmp_path):
    folder, ran = tmp_path, 0
    for language, title, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "console":
            folder = run_commands(text, folder, environment)
            ran += text.count("$ ")
        elif language == "diff":
            apply_diff(text, folder)
        elif title:
            (folder / title).write_text(text, encoding="utf-8")
        else:
            quoted(language, text, folder)
    assert ran == len(SHOWN)
    if shutil.which("ruff"):  # it is in the extra `dev`
        lint = ["ruff", "check", "--no-cache", "."]
        done = subprocess.run(lint, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def quoted(language: str, text: str, folder: Path) -> None:
    """A block without a title is a quotation of the package as it stands."""
    where = {"toml": "pyproject.toml", "python": "tests/test_vex_contract.py"}[language]
    content = (folder / where).read_text(encoding="utf-8")
    wanted = [line for line in text.splitlines() if line.strip()]
    found = [re.sub(r": ClassVar\[.*?\]\] =", " =", line) for line in content.splitlines()]
    assert [line for line in wanted if line not in found] == []


def test_an_edit_that_fits_nowhere_fails(tmp_path):
    (tmp_path / "a.py").write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"a\.py has 0 times"):
        apply_diff("--- a/a.py\n+++ b/a.py\n@@\n-three\n+four\n", tmp_path)
    apply_diff("--- a/a.py\n+++ b/a.py\n@@\n one\n-two\n+four\n", tmp_path)
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "one\nfour\n"


def test_output_that_does_not_come_fails(tmp_path):
    with pytest.raises(AssertionError, match="shows no 'two'"):
        run_commands("$ echo one\ntwo\n", tmp_path, dict(os.environ))
    with pytest.raises(AssertionError, match="no_such_command"):
        run_commands("$ no_such_command\n", tmp_path, dict(os.environ))
