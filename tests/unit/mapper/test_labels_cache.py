"""Where compiled kernels are kept."""

import os
from pathlib import Path

import pytest

from einloom.mapper import compiled


@pytest.fixture
def place(monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "_user_caches", lambda: tmp_path)
    compiled._folder.cache_clear()
    yield tmp_path
    compiled._folder.cache_clear()


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "kernels.py").write_text("X = 1")
    return folder


def folder_of(sources):
    compiled._folder.cache_clear()
    return compiled._folder(sources)


def test_other_sources_have_another_folder(place, sources):
    before = folder_of(sources)
    assert folder_of(sources) == before

    (sources / "constants.py").write_text("Y = 2")

    assert folder_of(sources) != before
    assert before.is_dir()


def test_folders_that_were_not_used_for_long_go_away(place, sources):
    before = folder_of(sources)
    os.utime(before, (0, 0))
    (sources / "constants.py").write_text("Y = 2")

    assert folder_of(sources).is_dir()
    assert not before.exists()


def test_where_nothing_can_be_written_nothing_is_kept(monkeypatch, sources):
    monkeypatch.setattr(compiled, "_user_caches", lambda: sources / "kernels.py")

    assert folder_of(sources) is None
    compiled._folder.cache_clear()


def test_an_entry_without_a_folder_compiles_and_is_not_kept(monkeypatch):
    monkeypatch.setattr(compiled, "_folder", lambda sources: None)

    assert compiled.entry(lambda x: x + 1)(2) == 3


def test_the_folders_of_the_package_are_the_users(place):
    folder = folder_of(Path(compiled.__file__).parent / "labels")

    assert folder.parent == place / "einloom" / "kernels"
    assert folder.name.startswith("labels-")
