"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["cascade", "grammar"])
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"einloom.workloads.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
