"""Networks of tasks: equal to a simulator that steps cycle by cycle, and laws of bounded queues."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from einloom.arch.templates.fpga_dataflow.classes import CLASSES, LoopClass
from einloom.arch.templates.fpga_dataflow.compiling import Network, compiled, timing_of
from einloom.arch.templates.fpga_dataflow.network import play
from einloom.arch.templates.fpga_dataflow.text import Loop, Packet, Pipeline, Sequence, evaluate, parse_task
from einloom.arch.templates.fpga_dataflow.unbounded import play_unbounded
from einloom.errors import SpecError

KINDS = {**CLASSES, "half": LoopClass(Fraction(1, 2)), "slow": LoopClass(Fraction(2), Fraction(3))}


def actions(task, kinds, two):
    """A task as a flat list: ("wait", half cycles), ("read", fifo), ("write", fifo); every loop written out."""
    for item in task.items:
        if isinstance(item, Packet):
            yield ("read" if item.read else "write"), item.fifo
        elif isinstance(item, Loop):
            for _ in range(evaluate(item.trips, {})):
                yield from actions(item.body, kinds, two)
        elif isinstance(item, Sequence):
            yield from actions(item, kinds, two)
        else:
            assert isinstance(item, Pipeline)
            trips = evaluate(item.trips, {})
            interval = kinds[item.kind].interval if item.interval is None else evaluate(item.interval, {})
            for _ in range(trips):
                yield from (("read", fifo) for fifo in item.reads)
                yield from (("write", fifo) for fifo in item.writes)
                yield "wait", int(interval * two)
            if trips:
                yield "wait", int(kinds[item.kind].fill * two)


def stepped(tasks, capacities, kinds, ticks=2, limit=200_000):
    """Ends of the tasks in half cycles, one half cycle at a time; None where they wait for ever."""
    lists = {name: list(actions(task, kinds, ticks)) for name, task in tasks.items()}
    at, free_at, ends = dict.fromkeys(lists, 0), dict.fromkeys(lists, 0), {}
    writes = {name: [] for name in capacities}
    reads = {name: [] for name in capacities}

    def may(what, fifo, now):
        mine, other = (reads[fifo], writes[fifo]) if what == "read" else (writes[fifo], reads[fifo])
        if mine and now < mine[-1] + ticks:
            return False
        index = len(mine) if what == "read" else len(mine) - (capacities[fifo] or 10**9)
        return index < 0 or (index < len(other) and now >= other[index] + ticks)

    last = 0
    for now in range(limit):
        for name, todo in lists.items():
            while at[name] < len(todo) and free_at[name] <= now:
                what, value = todo[at[name]]
                if what == "wait":
                    free_at[name] = now + value
                elif may(what, value, now):
                    (reads if what == "read" else writes)[value].append(now)
                else:
                    break
                last, at[name] = now, at[name] + 1
            if at[name] == len(todo) and free_at[name] <= now:
                ends.setdefault(name, now)
        if len(ends) == len(lists):
            return tuple(ends[name] for name in lists)
        if now > last + 500:
            return None
    raise AssertionError("the limit is too low")


@st.composite
def blocks(draw, moves, depth=2):
    """Text of a loop nest in which each of ``moves`` = (sign, FIFO, packets) happens so often, in some arrangement."""
    parts = []
    for sign, fifo, packets in moves:
        word = "send" if sign == "->" else "recv"
        quiet = f"{draw(st.sampled_from(['mac', 'half', 'state', 'slow']))} {draw(st.integers(1, 9))}"
        inner = draw(st.sampled_from([d for d in range(1, packets + 1) if packets % d == 0]))
        form = draw(st.integers(0, 3))
        if form == 0:
            parts.append(f"load {packets} {sign} {fifo}")
        elif form == 1:
            parts.append(f"{packets} x ({quiet} + {word} {fifo})")
        elif form == 2:
            parts.append(f"{packets // inner} x (half {inner} @ {draw(st.integers(1, 3))} {sign} {fifo} + {quiet})")
        else:
            parts.append(f"{packets // inner} x ({inner} x ({word} {fifo} + {quiet}) + {quiet})")
    return " + ".join(parts)


@st.composite
def networks(draw):
    """A chain or a fork and join of tasks, with as many packets sent as received."""
    outer = draw(st.integers(1, 12))
    per = [draw(st.integers(1, 12)) for _ in range(3)]
    shape = draw(st.sampled_from(["pair", "chain", "fork"]))
    moves = {
        "pair": {"a": [("->", "p", per[0])], "b": [("<-", "p", per[0])]},
        "chain": {
            "a": [("->", "p", per[0])],
            "b": [("<-", "p", per[0]), ("->", "q", per[1])],
            "c": [("<-", "q", per[1])],
        },
        "fork": {
            "a": [("->", "p", per[0]), ("->", "q", per[1])],
            "b": [("<-", "p", per[0]), ("->", "r", per[2])],
            "c": [("<-", "q", per[1]), ("<-", "r", per[2])],
        },
    }[shape]
    tasks = {name: f"{outer} x ({draw(blocks(some))})" for name, some in moves.items()}
    if shape == "pair":  # the two sides may also be arranged in different rounds
        tasks["b"] = draw(blocks([("<-", "p", per[0] * outer)]))
    fifos = sorted({fifo for some in moves.values() for _, fifo, _ in some})
    capacities = {fifo: draw(st.sampled_from([1, 2, 3, 8, None])) for fifo in fifos}
    return {name: parse_task(text, KINDS) for name, text in tasks.items()}, capacities


def ends_of(tasks, capacities):
    fifos = {name: number for number, name in enumerate(capacities)}
    programs = {name: compiled(task, KINDS, {}, fifos, 2) for name, task in tasks.items()}
    try:
        return play(programs, list(capacities.values()), 2).ends
    except SpecError:
        return None


@settings(max_examples=250, deadline=None)
@given(networks())
def test_the_network_ends_when_the_simulator_that_steps_says(drawn):
    tasks, capacities = drawn
    assert ends_of(tasks, capacities) == stepped(tasks, capacities, KINDS)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.sampled_from([5, 17, 60, None]), st.integers(2, 40)
)
def test_a_deep_fifo_that_fills_or_empties_for_long_is_skipped_exactly(quick, slow, burst, depth, rounds):
    """Counts drift over many rounds: the producer is a burst and a pause, the consumer takes one packet at a time."""
    tasks = {
        "a": parse_task(f"{rounds} x ({burst} x (state {quick} + send f) + state {slow})", KINDS),
        "b": parse_task(f"state 150 + {rounds * burst} x (recv f + state {slow} + send g)", KINDS),
        "c": parse_task(f"{rounds} x ({burst} x recv g + half {quick})", KINDS),
    }
    capacities = {"f": depth, "g": 2}
    assert ends_of(tasks, capacities) == stepped(tasks, capacities, KINDS)


@settings(max_examples=150, deadline=None)
@given(networks())
def test_fifos_without_bound_are_timed_alike_on_arrays_and_event_by_event(drawn):
    tasks, capacities = drawn
    fifos = {name: number for number, name in enumerate(capacities)}
    programs = {name: compiled(task, KINDS, {}, fifos, 2) for name, task in tasks.items()}
    found = play_unbounded(tuple(programs.values()), len(fifos), 2)
    if found is not None:
        played = play(programs, [None] * len(fifos), 2)
        assert (found.end, found.ends, found.packets) == (played.end, played.ends, played.packets)


@settings(max_examples=60, deadline=None)
@given(networks())
def test_a_deeper_fifo_is_never_slower_and_detail_only_adds(drawn):
    tasks, capacities = drawn
    if ends_of(tasks, capacities) is None:
        return
    now = timing_of(Network(tasks, capacities), KINDS, {})
    deeper = {name: None if depth is None else depth + 1 for name, depth in capacities.items()}
    assert timing_of(Network(tasks, deeper), KINDS, {}).cycles <= now.cycles
    assert now.trips <= now.filled <= now.cycles


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(3, 20), st.integers(0, 200), st.integers(1, 6), st.integers(2, 60))
def test_a_consumer_that_loads_then_computes_has_the_closed_form(packets, interval, compute, depth, rounds):
    """round = n p + max(0, c - (b + 1) p) once the FIFO has filled, for a producer of one packet every p cycles.

    A packet may follow another into or out of a full FIFO after one cycle, which the closed form leaves out: at most
    depth + 3 cycles a round. From below, the law misses nothing but the first round, in which the FIFO is empty.
    """
    producer = f"{packets * rounds} x (state {interval} + send f)"
    consumer = f"{rounds} x ({packets} x recv f + state {compute})" if compute else f"{rounds} x {packets} x recv f"
    network = Network({"p": parse_task(producer, KINDS), "c": parse_task(consumer, KINDS)}, {"f": depth})
    found = timing_of(network, KINDS, {})
    law = packets * interval + max(0, compute - (depth + 1) * interval)
    start = interval + 1
    assert rounds * law - law - start <= found.cycles
    if packets > depth + 1 and compute > (depth + 2) * interval:
        assert found.cycles <= rounds * (law + depth + 3) + compute + start


def test_tasks_without_packets_are_the_longest_of_them():
    tasks = {"a": parse_task("32 x mac 256", KINDS), "b": parse_task("128 x mac 1024", KINDS)}
    found = timing_of(Network(tasks, {}), KINDS, {})
    assert (found.trips, found.filled, found.cycles) == (128 * 1024, 128 * 1030, 128 * 1030)


def test_unlimited_fifos_give_the_longest_task_behind_the_first_packet():
    tasks = {"a": parse_task("100 x (mac 10 + send f)", KINDS), "b": parse_task("100 x (recv f + mac 50)", KINDS)}
    found = timing_of(Network(tasks, {"f": None}), KINDS, {})
    assert found.cycles == (10 + 6) + 1 + 100 * (50 + 6)


def test_waiting_for_ever_names_the_tasks():
    tasks = {"a": parse_task("recv g + send f", KINDS), "b": parse_task("recv f + send g", KINDS)}
    with pytest.raises(SpecError, match="tasks wait for each other for ever: a, b"):
        timing_of(Network(tasks, {"f": 1, "g": 1}), KINDS, {})


def test_rounds_that_repeat_are_not_played_one_by_one():
    tasks = {
        "a": parse_task("100000 x (mac 10 + send f)", KINDS),
        "b": parse_task("1000 x (100 x recv f + mac 700)", KINDS),
    }
    programs = {name: compiled(task, KINDS, {}, {"f": 0}, 1) for name, task in tasks.items()}
    played = play(programs, [4], 1)
    assert played.packets == (100_000,)
    assert played.events < 5_000
