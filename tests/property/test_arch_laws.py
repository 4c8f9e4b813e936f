"""Laws of architectures: loading never crashes, prices grow with size, timing is monotone."""

import copy
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from einloom.arch.components import library
from einloom.arch.templates.systolic import DATAFLOWS, TIMINGS, systolic_cycles
from einloom.catalogue import catalogue_root, entries
from einloom.errors import EinloomError
from einloom.spec.architecture import load_architecture
from einloom.spec.document import Document, read

DOCUMENTS = [read(catalogue_root() / name) for name in entries("arch")]
KIB = 8 * 1024
SIZES = st.integers(2 * KIB, 4096 * KIB)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["-1 KiB", "1e400 GB/s", "inf", "inf pJ", "0 pJ", "1e-400 GHz", "999999999999 GiB", "1 words"]
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(data, path=()):
    """Every path into nested dictionaries and lists."""
    if path:
        yield path
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(value, (*path, key))


@st.composite
def mutated(draw):
    """A catalogue architecture with a few values replaced, dropped or renamed."""
    document = draw(st.sampled_from(DOCUMENTS))
    data = copy.deepcopy(document.data)
    for _ in range(draw(st.integers(1, 3))):
        *outer, key = draw(st.sampled_from(list(places(data))))
        parent = data
        for step in outer:
            parent = parent[step]
        kind = draw(st.sampled_from(["replace", "drop", "rename"]))
        if kind == "replace" or isinstance(parent, list):
            parent[key] = draw(VALUES)
        else:
            value = parent.pop(key)
            if kind == "rename":
                parent[draw(st.text(max_size=8))] = value
        if not isinstance(data, dict) or not data:
            break
    return Document(document.file, document.text, data, document.marks)


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_a_mutated_file_ends_in_an_architecture_or_in_a_message(document):
    found, problems = None, ()
    try:
        found = load_architecture(document)
    except EinloomError as error:
        problems = error.problems
    if found is None:
        assert problems
        assert all(problem.message and problem.file for problem in problems)
    else:
        area = found.area_um2()
        assert area is None or (math.isfinite(area) and area >= 0)


@given(SIZES, SIZES)
def test_a_larger_sram_never_costs_less(one, other):
    small, large = (library().memory_part("sram", size) for size in sorted((one, other)))
    assert small.read_energy_pj <= large.read_energy_pj
    assert small.area_um2 <= large.area_um2


@given(st.floats(7, 130), st.floats(7, 130), st.sampled_from(sorted(library().compute)))
def test_a_smaller_node_never_costs_more(one, other, component):
    small, large = (library().compute_part(component, node) for node in sorted((one, other)))
    assert small.area_um2 <= large.area_um2
    assert all(small.energy_pj[operator] <= large.energy_pj[operator] for operator in small.energy_pj)


PRODUCTS = st.tuples(*[st.integers(1, 200)] * 3, *[st.integers(1, 40)] * 2)
"""m, n, k, rows, cols."""


@given(PRODUCTS, st.sampled_from(DATAFLOWS), st.sampled_from(TIMINGS))
def test_a_product_takes_at_least_its_operations_over_the_elements(product, dataflow, timing):
    m, n, k, rows, cols = product
    cycles = sum(systolic_cycles(*product, dataflow, timing).values())
    assert cycles * rows * cols >= m * n * k


@given(PRODUCTS, st.sampled_from(DATAFLOWS))
def test_overlapping_never_costs_cycles(product, dataflow):
    slow, fast = (sum(systolic_cycles(*product, dataflow, timing).values()) for timing in TIMINGS)
    assert fast <= slow


@given(PRODUCTS, st.sampled_from(TIMINGS))
def test_input_stationary_is_weight_stationary_of_the_transposed_product(product, timing):
    m, n, k, rows, cols = product
    straight = systolic_cycles(m, n, k, rows, cols, "input_stationary", timing)
    assert straight == systolic_cycles(n, m, k, rows, cols, "weight_stationary", timing)
