"""Laws of table lookup, of its weight path and of the two kinds of cores: more of anything is never slower."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from einloom.arch.templates.ternary_lut import lookup, processor, resources, weights
from einloom.arch.templates.ternary_lut.attention import key_visits
from einloom.arch.templates.ternary_lut.lookup import LAWS, LookupWork, Tables

SIZES = st.integers(1, 5000)


@st.composite
def units(draw, **fixed):
    chosen = {
        "group": draw(st.integers(1, 5)), "tables": draw(st.integers(1, 64)), "lanes": draw(st.integers(1, 32)),
        "form": draw(st.sampled_from(lookup.FORMS)), "copies": draw(st.integers(1, 32)),
        "build_rate": draw(st.integers(1, 64)), "build_beside": draw(st.booleans()),
        "interval": draw(st.integers(1, 4)), "block_overhead": draw(st.sampled_from([0, 84])),
        "accumulators": 0, "padded": False, "activation_bits": 8,
    }  # fmt: skip
    return Tables(**{**chosen, **fixed})


def cycles(unit, rows, k, n, length=None):
    """Cycles of one product at each pass length, or at the best."""
    lengths = np.array(unit.passes(n) if length is None else [length])
    total = sum(LAWS.of(LookupWork(unit, rows, k, n, lengths)).values())
    return float(np.min(total))


def with_(unit, **changes):
    fields = {name: getattr(unit, name) for name in Tables.__dataclass_fields__}
    return Tables(**{**fields, **changes})


@given(units(build_beside=False), st.integers(1, 8), SIZES, SIZES)
def test_more_tables_lanes_copies_or_build_ports_are_never_slower(unit, rows, k, n):
    before = cycles(unit, rows, k, n)
    for name in ("tables", "copies", "build_rate"):
        assert cycles(with_(unit, **{name: 2 * getattr(unit, name)}), rows, k, n) <= before, name
    wider = with_(unit, lanes=2 * unit.lanes, copies=2 * unit.copies)
    assert cycles(wider, rows, k, n) <= before


@given(units(), st.integers(1, 8), SIZES, SIZES)
def test_building_beside_lookups_is_never_slower(unit, rows, k, n):
    length = unit.passes(n)[0]
    assert cycles(with_(unit, build_beside=True), rows, k, n, length) <= cycles(
        with_(unit, build_beside=False), rows, k, n, length
    )


@given(units(build_beside=False, block_overhead=0), st.integers(1, 8), SIZES, SIZES)
def test_no_unit_looks_up_faster_than_its_lanes(unit, rows, k, n):
    least = rows * math.ceil(k / unit.group) * n / (unit.tables * unit.lanes)
    assert cycles(unit, rows, k, n) >= least


@given(units(), st.integers(1, 8), SIZES, SIZES, st.integers(1, 2000))
def test_fixed_trip_counts_are_never_faster(unit, rows, k, n, most):
    unit = with_(unit, accumulators=-(-most // unit.lanes) * unit.lanes, build_beside=False)
    length = unit.passes(n)[0]
    assert cycles(with_(unit, padded=True), rows, k, n, length) >= cycles(unit, rows, k, n, length)


@given(st.integers(1, 8))
def test_an_index_tells_all_groups_of_weights_apart(group):
    bits = lookup.index_bits(group)
    assert 2 ** (bits - 1) < 3**group <= 2**bits
    assert lookup.entries(group, "full") == 2 * lookup.entries(group, "mirrored") + 1


PATHS = st.builds(
    weights.WeightPath, group=st.just(3), tables=st.just(28), word_bits=st.just(140), planes=st.integers(1, 8),
    plane_blocks=st.integers(1, 30), plane_outputs=st.integers(1, 2000), padded=st.booleans(),
    ports=st.integers(1, 4), axi_bits=st.sampled_from([32, 128, 256]), port_bits=st.just(32),
    burst_beats=st.integers(1, 32), burst_overhead=st.sampled_from([0.0, 5.0]),
    bits_per_cycle=st.sampled_from([64.0, 1000.0, math.inf]), beside=st.booleans(),
)  # fmt: skip


@given(PATHS, SIZES, SIZES, st.floats(0, 1e7))
def test_loading_beside_the_use_is_between_the_longer_of_the_two_and_their_sum(path, k, n, compute):
    load = path.load_cycles(k, n)
    beside = float(path.exposed(k, n, np.array(True), np.array(compute))) + compute
    assert float(path.exposed(k, n, np.array(False), np.array(compute))) == load
    assert max(load, compute) * (1 - 1e-12) <= beside <= (load + compute) * (1 + 1e-12)


@given(PATHS, SIZES, SIZES, st.integers(1, 64))
def test_the_weight_path_moves_all_indices_and_holds_no_more_than_it_can(path, k, n, rows):
    assert path.beats(k, n) * path.beat_bits >= path.index_bits(k, n)
    assert 0 < path.held_bits(k, n) <= path.capacity_bits
    assert path.spilled_bits(k, 1, n) == 0
    assert path.spilled_bits(k, rows, n) % (2 * weights.SUM_BITS) == 0


@given(st.integers(1, 300), st.integers(1, 16))
def test_reversed_order_visits_the_triangle_of_blocks(queries, rows):
    orders = np.array([True, False])
    seen, every = key_visits(queries, queries, rows, orders)
    blocks = -(-queries // rows)
    assert every == blocks * queries
    assert queries * (queries + 1) / 2 / rows <= seen <= every
    if queries % rows == 0:
        assert seen * 2 * blocks == every * (blocks + 1)


@given(st.floats(1e8, 1e10), st.floats(1e-3, 1), st.floats(1e9, 1e12))
def test_calibration_reads_back_the_processor_that_made_the_rows(rate, head_s, bandwidth):
    weights_, head, scale, lookups = 6_476_005_376, 131_072_000, 0.125, 64
    seconds = {bits: bits * weights_ / lookups / rate + head_s for bits in (2, 4)}
    read = weights_ * (4 + scale) / 8 + 2 * head
    found = processor.calibrated({b: 1 / t for b, t in seconds.items()}, {4: bandwidth / read}, weights_, head, scale,
                                 lookups)  # fmt: skip
    assert math.isclose(found.instruction_hz, rate, rel_tol=1e-6)
    assert math.isclose(found.head_s, head_s, rel_tol=1e-3, abs_tol=1e-6)
    assert math.isclose(found.bytes_per_s, bandwidth, rel_tol=1e-9)


@given(units(), st.integers(1, 3))
def test_more_lanes_or_tables_take_more_lut(unit, factor):
    once = resources.primitive_lut(unit)
    assert resources.primitive_lut(with_(unit, lanes=(factor + 1) * unit.lanes)) > once
    assert resources.primitive_lut(with_(unit, tables=(factor + 1) * unit.tables)) > once
