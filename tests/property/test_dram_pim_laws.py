"""Laws of `dram_pim` on random products, caches and timings."""

from dataclasses import fields, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from einloom.arch.registry import template
from einloom.arch.templates.dram_pim.attention import SCORE_LAWS, Heads
from einloom.arch.templates.dram_pim.gemv import GEMV_LAWS, Gemv
from einloom.arch.templates.dram_pim.timing import Machine, Timing
from einloom.arch.templates.dram_pim.vectors import VECTOR_LAWS, calibrated_of, gate, norm, rotary, softmax

DEFAULTS = template("dram_pim").resolve({})
CONSTANTS = calibrated_of(DEFAULTS)


@st.composite
def timings(draw):
    values = {field.name: draw(st.integers(1, 90)) for field in fields(Timing)}
    return Timing(**{**values, "nREFI": values["nRFC"] + draw(st.integers(1, 4000))})


@st.composite
def machines(draw):
    block = draw(st.integers(1, 8))
    return Machine(draw(timings()), block * draw(st.integers(1, 3)), block, draw(st.integers(1, 3)),
                   draw(st.sampled_from([4, 16])), 16, 1024, draw(st.sampled_from([1, 8, 32])))  # fmt: skip


@st.composite
def products(draw):
    machine = draw(machines())
    count = draw(st.integers(1, 4))
    choices = [np.array(draw(st.lists(values, min_size=count, max_size=count))) for values in (
        st.integers(1, 40), st.sampled_from([1, 2, 4]), st.booleans())]  # fmt: skip
    return Gemv(machine, draw(st.integers(1, 5000)), draw(st.integers(1, 5000)), machine.linear_banks, *choices,
                draw(st.booleans()), draw(st.booleans()), draw(st.integers(1, 3)))  # fmt: skip


def cycles(laws, work):
    return sum(laws.of(work).values())


def taller(machine):
    """Twice the channels."""
    return replace(machine, channels=2 * machine.channels, block_channels=2 * machine.block_channels)


@given(products())
def test_every_term_of_a_product_is_at_least_zero_and_covers_its_columns(work):
    terms = GEMV_LAWS.of(work)
    assert all(np.all(term >= 0) for term in terms.values())
    macs = work.passes * work.inputs * work.outputs
    assert np.all(work.passes * work.columns * work.accesses * work.banks * work.machine.lanes >= macs)
    assert np.all(terms["columns"] >= (work.passes * work.columns * work.accesses - work.passes * work.rows)
                  * work.timing.column)  # fmt: skip


@given(products(), st.integers(1, 3))
def test_more_channels_banks_or_devices_are_never_slower(work, times):
    laws = GEMV_LAWS
    more = replace(work, machine=taller(work.machine), banks=work.banks * 2 * times)
    assert np.all(cycles(laws, more) <= cycles(laws, work) * (1 + 1e-12))
    banks = replace(work, machine=replace(work.machine, banks=2 * work.machine.banks), banks=2 * work.banks)
    in_step = laws.without(["four_activate"])  # more banks that open together wait for each other
    assert np.all(cycles(in_step, banks) <= cycles(in_step, work) * (1 + 1e-12))


@given(products())
def test_packing_never_opens_more_rows(work):
    packed = replace(work, packed=np.ones_like(work.packed))
    padded = replace(work, packed=np.zeros_like(work.packed))
    assert np.all(packed.activates <= padded.activates)


@given(products())
def test_refresh_and_the_window_only_add(work):
    bare = GEMV_LAWS.without(["refresh", "four_activate"])
    assert np.all(cycles(GEMV_LAWS, work) >= cycles(bare, work))
    assert np.all(cycles(GEMV_LAWS.without(["refresh"]), work) >= cycles(bare, work))


@given(products(), st.integers(0, 12))
def test_more_accumulators_never_open_more_groups(work, more):
    assert np.all(replace(work, accumulators=work.accumulators + more).groups <= work.groups)


@given(machines(), st.integers(1, 40), st.integers(1, 4), st.integers(1, 5000), st.sampled_from([64, 96, 128]))
def test_scores_together_are_never_more_groups_and_grow_with_the_cache(machine, heads, queries, tokens, width):
    apart = Heads(machine, heads, queries, tokens, 1, width, False, machine.accumulators)
    together = replace(apart, concatenated=True)
    assert together.score_groups <= apart.score_groups
    assert all(np.all(term >= 0) for term in SCORE_LAWS.of(apart).values())
    longer = replace(apart, tokens=tokens + 512)
    assert np.all(cycles(SCORE_LAWS, longer) >= cycles(SCORE_LAWS, apart))
    wider = replace(apart, machine=taller(machine))
    append = SCORE_LAWS.without(["key_append"])
    assert np.all(cycles(append, wider) <= cycles(append, apart) * (1 + 1e-12))


@given(machines(), st.integers(16, 9000), st.integers(1, 3), st.booleans())
def test_vector_work_has_no_negative_term_and_host_lines_cost(machine, width, vectors, after):
    found = [norm(machine, CONSTANTS, width, vectors, after), rotary(machine, CONSTANTS, (width,), vectors),
             gate(machine, CONSTANTS, width, vectors), softmax(machine, CONSTANTS, vectors, width)]  # fmt: skip
    free = replace(CONSTANTS, host_line=0.0)
    for work in found:
        terms = VECTOR_LAWS.of(work)
        assert all(np.all(term >= 0) for term in terms.values())
        assert work.written > work.read > 0 or work.written == work.read > 0
        without = VECTOR_LAWS.of(replace(work, constants=free, closed_by_bank=0))
        assert np.all(terms["host_lines"] > without["host_lines"])
