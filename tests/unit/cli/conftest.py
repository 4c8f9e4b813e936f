"""Runs the command line in this process: status, stdout, stderr."""

import json
from dataclasses import dataclass

import pytest

from einloom.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def run(capsys, monkeypatch):
    """``run("evaluate", "designs/peer16_gemm.yaml", "--json")``; a wide terminal, so that tables do not wrap."""
    monkeypatch.setenv("COLUMNS", "200")

    def running(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(status, out, err)

    return running
