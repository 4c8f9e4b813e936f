"""Damages YAML the way that people, editors and merges do: seeded, so that a number names a case."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from einloom.catalogue import FOLDERS, catalogue_root

GOLDEN = Path(__file__).parents[1] / "golden" / "bits"

WRONG_VALUES = (
    "[]", "{}", "null", "true", "no", "''", "-1", "0", "1", "0.5", "3.7", "1e3", "1e400", ".inf", "-.inf",
    ".nan", "0x10", "99999999999999999999999", "1/0", "x", "X", "[1, [2, 3]]", "{a: {b: c}}", "*a", "&a 1",
    "!!int 3", "- 1", "? x", "|", ">", "auto", "M/256", "inf", "16 words", "12 parsecs", "64 KiB", "1 pJ",
    "2 GHz", "'a: b'", "\"\\u0000\"", "é", "😀", "2024-01-01",
)  # fmt: skip
UNITS = (
    "b", "B", "KiB", "kB", "GiB", "pJ", "nJ", "J", "GHz", "MHz", "Hz", "words", "words/cycle", "B/cycle",
    "GB/s", "mW", "W", "um2", "mm2", "ns", "nm", "cycle", "%", "",
)  # fmt: skip
"""Every unit that is known somewhere, and some that are nowhere."""

LARGEST = 10**12
"""A rank or an axis may grow to this; what is larger still stands among the wrong values."""

Mutation = Callable[[str, random.Random], str]


def sources() -> list[Path]:
    """Architectures, workloads, mappings, searches and designs of the catalogue, and the hand-counted designs."""
    shipped = [file for folder in FOLDERS for file in sorted((catalogue_root() / folder).glob("*.yaml"))]
    return [*shipped, *sorted(GOLDEN.glob("*.yaml"))]


def mutant(seed: int) -> tuple[Path, str]:
    """(the file, its damaged text) of a case: one to three mutations, designs twice as often as their number."""
    rng = random.Random(seed)
    files = sources()
    designs = [file for file in files if file.parent.name in ("designs", "bits", "search")]
    file = rng.choice(designs if rng.random() < 0.6 else files)
    text = file.read_text(encoding="utf-8")
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        text = rng.choice(MUTATIONS)(text, rng)
    return file, text


# -- lines


def _lines(text: str, rng: random.Random, change: Callable[[list[str], int], None]) -> str:
    lines = text.splitlines()
    solid = [i for i, line in enumerate(lines) if line.split("#")[0].strip()]
    if solid:
        change(lines, rng.choice(solid))
    return "\n".join(lines) + "\n"


def drop_line(text: str, rng: random.Random) -> str:
    return _lines(text, rng, lambda lines, i: lines.pop(i))


def duplicate_line(text: str, rng: random.Random) -> str:
    return _lines(text, rng, lambda lines, i: lines.insert(i, lines[i]))


def move_line(text: str, rng: random.Random) -> str:
    return _lines(text, rng, lambda lines, i: lines.insert(rng.randrange(len(lines) + 1), lines.pop(i)))


def break_indentation(text: str, rng: random.Random) -> str:
    def change(lines: list[str], i: int) -> None:
        lines[i] = rng.choice((" ", "   ", "\t")) + lines[i] if rng.random() < 0.5 else lines[i].removeprefix("  ")

    return _lines(text, rng, change)


def truncate(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


def truncate_line(text: str, rng: random.Random) -> str:
    return _lines(text, rng, lambda lines, i: lines.__setitem__(i, lines[i][: rng.randrange(len(lines[i]) + 1)]))


# -- characters and tokens


def damage_character(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice("{}[]():,'\"-#&*!|>%@`=<+/ \n\t0xX") + text[place + rng.randrange(2) :]


def _token(text: str, rng: random.Random, pattern: str, change: Callable[[re.Match[str]], str]) -> str:
    found = [
        match
        for match in re.finditer(pattern, text)
        if "#" not in text[text.rfind("\n", 0, match.start()) : match.start()]
    ]
    if not found:
        return text
    match = rng.choice(found)
    return text[: match.start()] + change(match) + text[match.end() :]


def change_unit(text: str, rng: random.Random) -> str:
    pattern = r"(?<=\d) ?(?:[KMG]i?B|b|B|[fpnumMGk]?(?:J|Hz|W|s)|words/cycle|B/cycle|GB/s|words|nm|um2|mm2)\b"
    return _token(text, rng, pattern, lambda _: " " + rng.choice(UNITS))


def change_number(text: str, rng: random.Random) -> str:
    def other(match: re.Match[str]) -> str:
        number = int(match[0])
        grown = min(LARGEST, number * rng.choice((2, 3, 1000, 10**6)) + rng.randrange(3))
        return str(rng.choice((0, -number, number - 1, number + 1, grown, number / 3)))

    return _token(text, rng, r"(?<![\w.])\d{1,9}(?![\w.])", other)


def replace_value(text: str, rng: random.Random) -> str:
    return _token(text, rng, r"(?<=: )[^\n,\]}]+", lambda _: rng.choice(WRONG_VALUES))


def replace_item(text: str, rng: random.Random) -> str:
    return _token(text, rng, r"(?<=- )[^\n]+", lambda _: rng.choice(WRONG_VALUES))


def rename(text: str, rng: random.Random) -> str:
    """A typo in any word, key or name."""

    def typo(match: re.Match[str]) -> str:
        word, place = match[0], rng.randrange(len(match[0]))
        return rng.choice((word[:place] + word[place + 1 :], word + "s", word.upper(), word.lower(), word[::-1]))

    return _token(text, rng, r"[A-Za-z_]\w*", typo)


def swap_words(text: str, rng: random.Random) -> str:
    words = sorted(set(re.findall(r"[A-Za-z_]\w*", text)))
    return _token(text, rng, r"[A-Za-z_]\w*", lambda _: rng.choice(words)) if words else text


# -- structure


def _places(data: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def restructure(text: str, rng: random.Random) -> str:
    """Drop, rename, retype or exchange values of the tree, and write it anew."""
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    places = list(_places(data))
    if not places:
        return text
    path, other = rng.choice(places), rng.choice(places)
    parent, second = _at(data, path[:-1]), _at(data, other[:-1])
    value = parent[path[-1]]
    kind = rng.choice(("drop", "rename", "wrap", "retype", "copy"))
    if kind == "drop":
        del parent[path[-1]]
    elif kind == "rename" and isinstance(parent, dict):
        parent[f"{path[-1]}_x"] = parent.pop(path[-1])
    elif kind == "wrap":
        parent[path[-1]] = rng.choice(([value], {"value": value}))
    elif kind == "retype":
        parent[path[-1]] = rng.choice((None, True, 7, -2.5, "text", [], {}, [None], {"x": 1}))
    elif path[: len(other)] != other:
        parent[path[-1]] = second[other[-1]]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _at(data: object, path: tuple[str | int, ...]) -> object:
    for key in path:
        data = data[key]
    return data


MUTATIONS: tuple[Mutation, ...] = (
    drop_line, duplicate_line, move_line, break_indentation, truncate, truncate_line, damage_character, change_unit,
    change_number, change_number, replace_value, replace_value, replace_item, rename, rename, swap_words, restructure,
    restructure,
)  # fmt: skip
