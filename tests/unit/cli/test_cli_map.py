"""``einloom map``: objectives, bounds, deadlines, and mappings that the design gives in full or in part."""

import io
import signal
import subprocess
import sys
from subprocess import PIPE

import pytest

from einloom.api import Design
from einloom.errors import EinloomError

GEMM = "designs/peer16_gemm.yaml"
SMALL = ["--set", "workload.ranks={M: 96, N: 80, K: 112}", "--set", "mapping=null"]


def mapped(run, *options, design=GEMM, settings=SMALL):
    ran = run("map", design, *settings, *options, "--json")
    assert (ran.status, ran.err) == (0, "")
    return ran.json


def test_each_objective_is_best_in_what_it_minimizes(run):
    found = {name: mapped(run, "--objective", name) for name in ("energy", "latency", "edp")}
    energy = {name: data["energy_pj"] for name, data in found.items()}
    cycles = {name: data["cycles"] for name, data in found.items()}
    assert energy["energy"] == min(energy.values())
    assert cycles["latency"] == min(cycles.values())
    products = {name: energy[name] * cycles[name] for name in found}
    assert products["edp"] == min(products.values())


def test_the_front_is_sorted_by_cycles_and_ends_in_the_optima(run):
    data = mapped(run, "--objective", "pareto")
    assert data.keys() == {"version", "front"}
    cycles = [point["cycles"] for point in data["front"]]
    energy = [point["energy_pj"] for point in data["front"]]
    assert cycles == sorted(set(cycles))
    assert energy == sorted(set(energy), reverse=True)
    assert cycles[0] == mapped(run, "--objective", "latency")["cycles"]
    assert energy[-1] == pytest.approx(mapped(run, "--objective", "energy")["energy_pj"])


def test_the_front_as_a_table_has_a_row_for_each_point(run):
    ran = run("map", GEMM, *SMALL, "--objective", "pareto")
    points = mapped(run, "--objective", "pareto")["front"]
    assert sum(f"{point['cycles']:,}" in ran.out for point in points) == len(points)


def test_the_front_with_occupancy_carries_that_of_the_memory_in_bits(run):
    data = mapped(run, "--objective", "pareto:GLB", "--bounds", "perfect")
    assert data.keys() == {"version", "front"}
    cycles = [point["cycles"] for point in data["front"]]
    assert cycles == sorted(cycles)
    for point in data["front"]:
        held = point["einsums"]["Z"]["memories"].get("GLB", {"tensors": {}})["tensors"]
        assert point["occupancy"] == {
            "memory": "GLB", "used": 8 * sum(tensor["occupancy_words"] for tensor in held.values()), "unit": "bits",
        }  # fmt: skip
    used = [point["occupancy"]["used"] for point in data["front"]]
    assert len(set(used)) > 1
    triples = [(p["cycles"], p["energy_pj"], p["occupancy"]["used"]) for p in data["front"]]
    assert not any(a != b and all(x <= y for x, y in zip(a, b, strict=True)) for a in triples for b in triples)


def test_the_front_with_occupancy_as_a_table_names_the_memory(run):
    ran = run("map", GEMM, *SMALL, "--objective", "pareto:GLB", "--bounds", "perfect")
    assert "GLB [bits]" in ran.out
    assert "Latency-energy-occupancy front of GLB" in ran.out


def test_an_unknown_memory_is_answered_by_those_there_are(run):
    ran = run("map", GEMM, *SMALL, "--objective", "pareto:L2")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == ("objective pareto:L2: no memory of peer16_ws is named 'L2'\n  memories: DRAM, GLB, Reg\n")


@pytest.mark.parametrize("objective", ["speed", "pareto:", "energy:GLB", ""])
def test_an_objective_that_is_none_is_a_mistake_of_usage(run, objective):
    ran = run("map", GEMM, *SMALL, "--objective", objective)
    assert (ran.status, ran.out) == (2, "")
    assert f"'{objective}' is not one of energy, latency, edp, pareto, pareto:MEMORY" in ran.err


def test_the_answer_says_how_it_was_found(run):
    data = mapped(run, "--bounds", "perfect")
    einsum = data["einsums"]["Z"]
    search = einsum["search"]
    assert (einsum["proof"], einsum["space"]) == ("optimal", "every nest with perfect factors")
    assert data["space"] == einsum["space"]
    assert search["candidates"] >= search["costed"] >= 1
    assert search["compulsory"]["energy_pj"] <= data["energy_pj"]
    assert search["compulsory"]["cycles"] <= data["cycles"]
    assert search["distance"] == pytest.approx(data["energy_pj"] / search["compulsory"]["energy_pj"] - 1)
    assert search["binds"][0]["where"] == data["bound_by"]


def test_the_table_has_a_row_for_each_einsum_with_what_binds(run):
    ran = run("map", "designs/peer16_attention.yaml", "--no-fusion")
    (head,) = [line for line in ran.out.splitlines() if "what binds" in line]
    assert head.split() == ["Einsum", "proof", "candidates", "costed", "above", "compulsory", "[%]", "what", "binds"]
    rows = ran.out.split(head)[1].splitlines()
    assert [row.split()[:2] for row in rows[2:8]] == [[n, "optimal"] for n in ("QK", "GM", "SN", "SD", "A", "AV")]
    assert "DRAM bandwidth" in rows[3]
    assert "PU compute, PE fanout 256/256" in rows[2]


def test_edp_of_several_einsums_is_the_product_of_totals(run):
    """On the front of the whole design no point has a smaller product."""
    design = "designs/peer16_attention.yaml"
    slow = ["--set", "architecture.levels.GLB.bandwidth=1 words/cycle"]
    perfect = ["--bounds", "perfect", "--no-fusion"]
    found = mapped(run, "--objective", "edp", *perfect, design=design, settings=slow)
    front = mapped(run, "--objective", "pareto", *perfect, design=design, settings=slow)["front"]
    best = min(point["energy_pj"] * point["cycles"] for point in front)
    assert found["energy_pj"] * found["cycles"] == pytest.approx(best, rel=1e-12)
    assert len(front) > 1


def test_perfect_bounds_multiply_to_the_size_of_each_rank(run):
    sizes = {"m": 17, "n": 30, "k": 14}
    settings = ["--set", "workload.ranks={M: 17, N: 30, K: 14}", "--set", "mapping=null"]
    perfect = mapped(run, "--bounds", "perfect", settings=settings)
    product = dict.fromkeys(sizes, 1)
    for line in perfect["mapping"]["Z"]:
        words = line.split()
        if words[0] in ("for", "spatial"):
            product[words[-3]] *= int(words[-1])
    assert product == sizes


def test_17_on_16_elements_takes_two_clipped_steps_and_no_perfect_ones(run):
    settings = ["--set", "workload.ranks={M: 17, N: 17, K: 17}", "--set", "mapping=null",
                "--set", "architecture.levels.DRAM.bandwidth=inf"]  # fmt: skip
    clipped, perfect = (
        mapped(run, "--bounds", kind, "--objective", "latency", settings=settings) for kind in ("clipped", "perfect")
    )
    assert clipped["cycles"] == 2 * 2 * 17
    assert perfect["cycles"] == 17**3  # 17 has no divisor that fits an axis


def test_a_deadline_gives_the_best_found_with_its_proven_gap(run):
    settings = [*SMALL, "--set", "architecture=arch/peer16.yaml"]
    hurried = mapped(run, "--deadline", "1ms", settings=settings)
    best = mapped(run, settings=settings)
    assert best["proof"] == "optimal"
    assert hurried["proof"] in ("gap", "optimal")
    assert hurried["energy_pj"] * (1 - hurried["gap"]) <= best["energy_pj"] * (1 + 1e-12)


@pytest.mark.parametrize("time", ["10s", "500ms", "2min", "1.5", "3 s"])
def test_a_deadline_is_a_time(run, time):
    assert mapped(run, "--deadline", time)["proof"] == "optimal"


def test_equal_einsums_mapped_one_by_one_give_the_same(run):
    design = "designs/peer16_attention.yaml"
    one, other = (mapped(run, "--no-fusion", *more, design=design, settings=[]) for more in ([], ["--no-cache"]))
    assert one == other


def test_a_nest_that_the_design_gives_is_kept(run):
    kept = mapped(run, settings=[])
    given = run("evaluate", GEMM, "--json").json
    assert kept["mapping"] == given["mapping"]
    assert kept["energy_pj"] == given["energy_pj"]


def test_the_same_command_prints_the_same_bytes(run):
    assert run("map", GEMM, *SMALL, "--json").out == run("map", GEMM, *SMALL, "--json").out


def test_nothing_fits_is_told_with_the_memory(run):
    ran = run("map", GEMM, *SMALL, "--set", "architecture.levels.Reg.capacity=4 b")
    assert (ran.status, ran.out) == (1, "")
    assert "Reg" in ran.err


def test_an_operator_that_no_compute_can_cost_is_named(run):
    ran = run("map", "designs/peer16_attention.yaml", "--set", "architecture.levels.PU.energy={mul: 1 pJ, add: 1 pJ}")
    assert (ran.status, ran.out) == (1, "")
    assert "no compute can execute GM: PU lacks max" in ran.err


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_sees_which_einsum_is_mapped_and_how_many_are_done(run, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert run("map", "designs/peer16_attention.yaml").status == 0
    assert "mapping QK" in terminal.getvalue()
    assert "3/6" in terminal.getvalue()


def test_no_progress_is_shown_beside_json(run, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert run("map", GEMM, *SMALL, "--json").status == 0
    assert terminal.getvalue() == ""


def test_no_progress_is_shown_where_nobody_looks(run):
    assert run("map", GEMM, *SMALL).err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_signal_stops_what_does_not_listen():
    """As from a terminal, while the mapper is in compiled code."""
    script = (
        "import sys, time; from einloom.api import Design; from einloom.cli import main;"
        "Design.map = lambda *_, **__: (print('mapping', flush=True), [time.sleep(0.01) for _ in range(3000)]);"
        f"sys.exit(main(['map', '{GEMM}']))"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout.readline() == "mapping\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err.strip()) == (130, "stopped")


def test_an_error_inside_reaches_the_user_as_it_is(run, monkeypatch):
    def refused(*_args, **_options):
        raise EinloomError("no such thing")

    monkeypatch.setattr(Design, "map", refused)
    assert run("map", GEMM).err == "no such thing\n"


def test_a_keyboard_interrupt_stops_in_one_word(run, monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Design, "map", interrupted)
    ran = run("map", GEMM, *SMALL)
    assert (ran.status, ran.out, ran.err.strip()) == (130, "", "stopped")
