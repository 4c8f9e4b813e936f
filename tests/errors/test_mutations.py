"""Damaged files end in a result or in a message: never in a traceback, never slowly, never half read.

The normal run takes 200 cases, `pytest -m slow` the other 1,800. A case is its seed: `mutant(seed)`.
"""

from __future__ import annotations

import math
import signal
import time
from contextlib import contextmanager

import pytest
import yaml
from mutations import mutant, sources

import einloom
from einloom.api import check
from einloom.spec.document import parse
from einloom.spec.files import kind_of

BLOCK = 20
PATIENCE_S = 2.0
"""Processor time that a file may take."""

BLOCKS = [pytest.param(block, marks=() if block < 10 else pytest.mark.slow) for block in range(100)]


@contextmanager
def at_most(seconds: float):
    """Stop a case that hangs."""

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def result_of(file, text):
    """The evaluation of a design with a mapping, None for files without one."""
    document = parse(text, str(file))
    if kind_of(document) == "design" and document.data.get("mapping") is not None:
        return einloom.load(file).evaluate()
    check(file)
    return None


def complaint(seed: int, folder) -> str:
    """What is wrong with the way a case ends; empty if nothing."""
    source, text = mutant(seed)
    file = folder / source.name
    file.write_text(text, encoding="utf-8")
    start = time.process_time()
    try:
        with at_most(30 * PATIENCE_S):
            result = result_of(file, text)
    except einloom.EinloomError as error:
        found = unclear(error)
    except Exception as error:  # that there is no other is what is tested
        found = f"{type(error).__name__}: {error}"
    else:
        found = "" if result is None else impossible(result)
    spent = time.process_time() - start
    if not found and spent > PATIENCE_S:
        found = f"takes {spent:.1f} s"
    return f"seed {seed} ({source.name}): {found}" if found else ""


def unclear(error: einloom.EinloomError) -> str:
    """A message has a text and a file; and the line that it quotes is there."""
    for problem in error.problems:
        if not problem.message or "\n" in problem.message or not problem.file:
            return f"says {str(problem)!r}"
        if len(str(problem)) > 2000:
            return f"says {len(str(problem))} characters"
    return "" if error.problems else "has no problem"


def impossible(result) -> str:
    """A number that no design has."""
    for name, einsum in result.einsums.items():
        numbers = [einsum.cycles, einsum.energy_pj, *einsum.terms_cycles.values()]
        if not all(math.isfinite(number) and number >= 0 for number in numbers) or einsum.cycles < 1e-12:
            return f"{name} takes {einsum.cycles} cycles and {einsum.energy_pj} pJ"
        for memory, found in einsum.memories.items():
            for tensor, counts in found.tensors.items():
                if (
                    counts.writes != counts.fills + counts.updates
                    or counts.reads < counts.drains
                    or counts.occupancy_words < 1
                ):
                    return f"{memory} {tensor}: {counts}"
    return ""


@pytest.mark.parametrize("block", BLOCKS)
def test_a_damaged_file_ends_in_a_result_or_in_a_message(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seeds = range(block * BLOCK, (block + 1) * BLOCK)
    assert not [found for seed in seeds if (found := complaint(seed, tmp_path))]


# -- nothing is passed over

FREE = {"energy", "cycles", "axes"}
"""Below these keys the file itself chooses the words."""

OF_A_MAPPING_FILE = {"mapping", "parameters"}
"""Below these it does so in a mapping file, which knows no workload."""

MOST_KEYS = 30
"""Of a large file, keys drawn evenly."""


def is_free(path, kind) -> bool:
    above = path[-2] if len(path) > 1 else None
    return above in FREE or (kind == "mappings" and above in OF_A_MAPPING_FILE)


def renamed_keys(data, path=()):
    """(path, the tree with the key there misspelt) for every key of a tree."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key), {(f"{k}_x" if k == key else k): v for k, v in data.items()}
            for inner, changed in renamed_keys(value, (*path, key)):
                yield inner, {**data, key: changed}
    elif isinstance(data, list):
        for i, value in enumerate(data):
            for inner, changed in renamed_keys(value, (*path, i)):
                yield inner, [*data[:i], changed, *data[i + 1 :]]


@pytest.mark.parametrize("source", sources(), ids=lambda file: file.stem)
def test_no_misspelt_key_is_passed_over(source, tmp_path, monkeypatch):
    """Every key has an effect or is refused: no number comes from a file of which a part was not understood."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / source.name
    data = yaml.safe_load(source.read_text(encoding="utf-8"))
    keys = [item for item in renamed_keys(data) if not is_free(item[0], source.parent.name)]
    accepted = []
    for path, changed in keys[:: -(-len(keys) // MOST_KEYS)]:
        text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
        file.write_text(text, encoding="utf-8")
        try:
            result_of(file, text)
        except einloom.EinloomError:
            continue
        accepted.append(".".join(map(str, path)))
    assert not accepted
