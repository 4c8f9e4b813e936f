"""What is kept between processes: whole files or none, never in the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from einloom.mapper import cache
from einloom.mapper.cache import HEAD, Files

VALUE = {"front": [1.5, ["for", 0, 4]], "most": float("inf")}


@pytest.fixture
def folder(caches):
    return caches / "einloom" / "mappings"


def test_what_was_written_is_read_by_others(folder):
    Files().write("one", VALUE)

    assert Files().read("one") == VALUE
    assert [file.name for file in folder.iterdir()] == ["one"]  # and nothing beside it


def test_what_was_never_written_is_not_there():
    assert Files().read("one") is None


@pytest.mark.parametrize("content", [
    b"", HEAD, b"\x00" * 100, b"{}", HEAD + b"0" * 32 + b"\nsomething else",
], ids=["empty", "cut short", "zeros", "foreign", "other digest"])  # fmt: skip
def test_a_file_that_is_not_what_was_written_is_ignored_and_written_anew(folder, content):
    files = Files()
    files.write("one", VALUE)
    (folder / "one").write_bytes(content)

    assert files.read("one") is None
    files.write("one", VALUE)
    assert files.read("one") == VALUE


def test_every_single_changed_byte_is_noticed(folder):
    files = Files()
    files.write("one", VALUE)
    whole = (folder / "one").read_bytes()
    for place in range(len(whole)):
        (folder / "one").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert files.read("one") is None, place


def test_where_nothing_can_be_written_nothing_is_kept(monkeypatch, tmp_path):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))
    files = Files()
    files.write("one", VALUE)

    assert files.read("one") is None


def test_a_full_disk_leaves_no_part_of_a_file(monkeypatch, folder):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    Files().write("one", VALUE)

    assert list(folder.iterdir()) == []


def test_without_a_home_nothing_is_kept(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache, "user_caches", homeless)
    Files().write("one", VALUE)

    assert Files().read("one") is None


def test_the_oldest_go_where_there_is_too_much(monkeypatch, folder):
    monkeypatch.setattr(cache, "LOOK_EVERY", 1)
    Files().write("size", VALUE)
    size = (folder / "size").stat().st_size
    (folder / "size").unlink()
    files = Files(most_bytes=8 * size)
    for number in range(9):
        files.write(f"{number}", VALUE)
        os.utime(folder / f"{number}", (number + 1, number + 1))
    files.write("last", VALUE)

    left = {file.name for file in folder.iterdir()}
    assert "last" in left
    assert left == {*(str(n) for n in range(9 - len(left) + 1, 9)), "last"}
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 8 * size


def test_processes_that_write_the_same_file_at_once_leave_a_whole_one(folder):
    code = (
        "import sys; from einloom.mapper.cache import Files; files = Files()\n"
        "for n in range(200):\n"
        "    files.write('one', {'rows': [int(sys.argv[1])] * 2000}); found = files.read('one')\n"
        "    assert found is not None and len(set(found['rows'])) == 1 and len(found['rows']) == 2000"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(n)], stderr=subprocess.PIPE) for n in range(3)]

    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0)] * 3
    assert len(set(Files().read("one")["rows"])) == 1
    assert [file.name for file in folder.iterdir()] == ["one"]


def test_the_folder_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache.user_caches() == tmp_path
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Path.home() in cache.user_caches().parents
