"""Templates of distributions that exist only in a test."""

import sys
import types
from importlib.metadata import EntryPoint

import pytest

from einloom.arch import registry


class Distribution:
    def __init__(self, name):
        self.name, self.version = name, "1.0"


@pytest.fixture
def claim():
    """``claim(name, target, owner)``: an entry point of the distribution ``owner``."""

    def entry_point(name, target, owner):
        class Owned(EntryPoint):
            dist = Distribution(owner)

        return Owned(name=name, value=target, group=registry.GROUP)

    return entry_point


@pytest.fixture
def plugins(monkeypatch, claim):
    """Register plugins of a module that exists only here, beside the built-in ones: (name, value, owner) each."""
    module = types.ModuleType("plugin_under_test")
    monkeypatch.setitem(sys.modules, "plugin_under_test", module)
    builtin = tuple(registry._registered())

    def register(*claims):
        points = []
        for name, value, owner in claims:
            attribute = f"T{len(points)}"
            setattr(module, attribute, value)
            points.append(claim(name, f"plugin_under_test:{attribute}", owner))
        found = tuple(sorted((*builtin, *points), key=lambda p: p.name))
        monkeypatch.setattr(registry, "_registered", lambda: found)

    return register
