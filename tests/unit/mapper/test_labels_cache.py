"""Where compiled kernels are kept."""

from einloom.mapper import compiled


def test_another_version_of_the_sources_has_another_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "_user_caches", lambda: tmp_path)
    before = compiled._folder()
    monkeypatch.setattr(compiled, "_sources", lambda: "0123")

    assert compiled._folder() == tmp_path / "einloom" / "kernels-0123" != before


def test_where_nothing_can_be_written_nothing_is_kept(monkeypatch, tmp_path):
    file = tmp_path / "a file, no folder"
    file.touch()
    monkeypatch.setattr(compiled, "_user_caches", lambda: file)

    assert compiled._folder() is None


def test_an_entry_without_a_folder_compiles_and_is_not_kept(monkeypatch):
    monkeypatch.setattr(compiled, "_FOLDER", None)

    assert compiled.entry(lambda x: x + 1)(2) == 3
