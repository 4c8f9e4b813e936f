"""``runs``: the same copies run several times, with the same weights; totals multiply, storage does not."""

import pytest

import einloom as el
from einloom.arch.engine import Program

BLOCK = {"name": "block", "ranks": {"M": 2, "N": 3, "K": 4}, "bits": {"default": 8},
         "cascade": ["Z[m,n] = sum{k}(A[m,k] * B[k,n])"]}  # fmt: skip


def loaded(**keys):
    return el.load({"workload": {**BLOCK, **keys}, "architecture": "arch/peer16_ws.yaml"})


def test_runs_multiply_totals_like_copies():
    once, both = loaded().map(), loaded(repeat=3, runs=5).map()
    assert both.cycles == 15 * once.cycles
    assert both.energy_pj == pytest.approx(15 * once.energy_pj)
    assert both.repeat == 15


def test_an_engine_sees_the_copies_that_have_weights_of_their_own():
    (cascade,) = loaded(repeat=3, runs=5).workload.cascades
    program = Program(cascade.name, tuple(cascade.sized()), cascade.repeat, cascade.runs)
    assert (program.repeat, program.runs, program.copies) == (15, 5, 3)


def test_runs_of_a_part_multiply_those_of_its_file(tmp_path):
    (tmp_path / "block.yaml").write_text(
        "version: 1\nworkload:\n  name: block\n  ranks: {M: 2, N: 3, K: 4}\n  repeat: 2\n  runs: 3\n"
        "  cascade: ['Z[m,n] = sum{k}(A[m,k] * B[k,n])']\n", encoding="utf-8")  # fmt: skip
    (tmp_path / "net.yaml").write_text(
        "version: 1\nworkload:\n  name: net\n  parts:\n    - {workload: block.yaml, name: a, repeat: 5, runs: 7}\n",
        encoding="utf-8")  # fmt: skip
    design = el.load({"workload": str(tmp_path / "net.yaml"), "architecture": "arch/peer16_ws.yaml"})
    (cascade,) = design.workload.cascades
    assert (cascade.repeat, cascade.runs) == (210, 21)


def test_capacity_of_banks_is_for_the_copies():
    """Two layers of 8 MiB fit 16 MiB of banks however often they run; three do not."""
    big = {"name": "big", "ranks": {"M": 1, "N": 2048, "K": 2048}, "bits": {"default": 16}, "weights": ["B"],
           "cascade": BLOCK["cascade"]}  # fmt: skip
    machine = {"template": "dram_pim", "channels": 1, "rows": 512, "companion": "none"}

    def run(repeat, runs):
        return el.load({"workload": {**big, "repeat": repeat, "runs": runs}, "architecture": machine}).map()

    assert run(2, 100).repeat == 200
    with pytest.raises(el.MappingError, match="bits of DRAM"):
        run(3, 1)


@pytest.mark.parametrize("runs", [0, -1, 1.5, "many"])
def test_a_number_of_runs_that_is_none_is_told(runs):
    with pytest.raises(el.SpecError, match="runs"):
        loaded(runs=runs)
