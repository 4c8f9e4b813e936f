"""What the kernels of the label search work on: the record of one job, columns of states and labels, room for labels.

A *job* is a choice of holders and of spatial factors. Its record is written once for each choice of holders
(`mapper.labels.jobs`); `bounds.choose` fills in what follows from spatial factors.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple, get_args, get_type_hints

import numpy as np

from einloom.model.arrays import Array

MOST_RANKS, MOST_TENSORS, MOST_DIMS, MOST_FANOUTS, MOST_MEMORIES, MOST_HOLDS = 9, 6, 6, 4, 6, 18
MOST_VIEWS, MOST_PORTS, MOST_DIVISORS, MOST_FIXED, MOST_PRIMES = 64, 24, 160, 64, 16
MOST_STRIDES, MOST_OFFSETS, MOST_BEAM, MOST_DEPTH = 32, 4096, 128, 128
"""Sizes of the record; what is larger is not searched by labels."""

IRRELEVANT, PLAIN, WINDOW = 0, 1, 2
"""How a rank moves a tensor: not at all, by whole tiles, or within a window."""

TOUCHED, EXECUTED = 0, 1
"""Kinds of fixed traffic: first touches of an output (the fanouts named count), and operands of the compute (the
fanouts named merge)."""

LOOP, HOLD, CROSS = 0, 1, 2
"""Kinds of node."""

WIDE, KINDS = 1 << 32, 1 << 8
"""Nodes are kept as one integer: kind, which, and bound."""

FOUND, NOTHING, FULL = 0, 1, 2
"""How a job ended: with a mapping below the limits, without one (a proof), or out of room."""

POSITION, PLACED, CLOSED, FRESH, TILE = 0, 1, 2, 3, 4
"""Columns of a state: fanouts crossed; bits of the holds placed, of those closed, of those placed since the last other
node; and from ``TILE`` on the tile in time of each rank, then where open sliding holds were placed, then promises."""

ENERGY, REST, OCCUPANCY = 0, 1, 2
"""Columns of a label: pJ so far, iterations in time still outside, and from ``OCCUPANCY`` on what the holds placed take
of each memory that is still being filled; then cycles of each port, then words fetched by sliding holds."""


class Job:
    """A record of `JOB`, by the names of `plan.Plan`; ``w`` counts the ranks that slide in a tensor."""

    # the Einsum
    ranks: int
    tensors: int
    windows: int
    relevance: Annotated[Array, "i8", MOST_TENSORS, MOST_RANKS]
    dims: Annotated[Array, "i8", MOST_TENSORS]
    coefficients: Annotated[Array, "i8", MOST_TENSORS, MOST_DIMS, MOST_RANKS]
    windowed: Annotated[Array, "i8", MOST_TENSORS]
    window: Annotated[Array, "i8", MOST_TENSORS, MOST_RANKS]  # the w-th rank that slides, or -1
    window_place: Annotated[Array, "i8", MOST_TENSORS, MOST_RANKS]  # the w of a rank, or -1
    elements: Annotated[Array, "f8", MOST_TENSORS]
    sizes: Annotated[Array, "i8", MOST_RANKS]
    primes: Annotated[Array, "i8", MOST_RANKS, MOST_PRIMES]
    divisors: Annotated[Array, "i8", MOST_RANKS, MOST_DIVISORS]
    divisor_counts: Annotated[Array, "i8", MOST_RANKS]
    points: float
    operations_pj: float
    canonical: int  # whether orders are normalized: no tensor slides

    # the machine
    fanouts: int
    memories: int
    ports: int
    leakage: float
    capacity: Annotated[Array, "f8", MOST_MEMORIES]
    port_region: Annotated[Array, "i8", MOST_PORTS]
    port_price: Annotated[Array, "f8", MOST_PORTS]  # pJ, of what is counted

    # holds, views of them, what the compute takes of sliding operands, what spatial factors alone decide
    holds: int
    views: int
    reads: int
    fixed: int
    hold_tensor: Annotated[Array, "i8", MOST_HOLDS]
    hold_memory: Annotated[Array, "i8", MOST_HOLDS]
    hold_region: Annotated[Array, "i8", MOST_HOLDS]
    hold_previous: Annotated[Array, "i8", MOST_HOLDS]
    hold_width: Annotated[Array, "f8", MOST_HOLDS]
    hold_views: Annotated[Array, "i8", MOST_HOLDS + 1]  # views of hold h: from hold_views[h] to hold_views[h + 1]
    region_holds: Annotated[Array, "i8", MOST_FANOUTS + 1]
    memory_holds: Annotated[Array, "i8", MOST_MEMORIES]  # bits
    view_hold: Annotated[Array, "i8", MOST_VIEWS]
    view_merged: Annotated[Array, "i8", MOST_VIEWS]
    view_price: Annotated[Array, "f8", MOST_VIEWS]
    view_port: Annotated[Array, "f8", MOST_VIEWS, MOST_PORTS]
    read_tensor: Annotated[Array, "i8", MOST_VIEWS]
    read_merged: Annotated[Array, "i8", MOST_VIEWS]
    read_price: Annotated[Array, "f8", MOST_VIEWS]
    read_port: Annotated[Array, "f8", MOST_VIEWS, MOST_PORTS]
    read_region: Annotated[Array, "i8", MOST_VIEWS]
    fixed_key: Annotated[Array, "i8", MOST_FIXED, 3]
    fixed_price: Annotated[Array, "f8", MOST_FIXED]
    fixed_port: Annotated[Array, "f8", MOST_FIXED, MOST_PORTS]

    # columns: of labels, of states, and those that decide between two labels of one state
    first_port: int
    view_column: Annotated[Array, "i8", MOST_VIEWS]  # words fetched after the first tile; -1: does not slide
    hold_column: Annotated[Array, "i8", MOST_HOLDS]  # w columns: the tile where it was placed; -1: does not slide
    promise_column: Annotated[Array, "i8", MOST_TENSORS]  # w columns for each fanout; -1: does not slide
    state_width: int
    label_width: int
    comparisons: int
    all_comparisons: int
    compared: Annotated[Array, "i8", 1 + MOST_MEMORIES + MOST_PORTS + MOST_VIEWS]

    # the spatial factors chosen (innermost fanout first) and what follows from them
    spread: Annotated[Array, "i8", MOST_FANOUTS, MOST_RANKS]
    below: Annotated[Array, "i8", MOST_FANOUTS + 1, MOST_RANKS]  # spatial factors below a region
    left: Annotated[Array, "i8", MOST_RANKS]  # iterations in time
    steps: float
    port_used: Annotated[Array, "f8", MOST_PORTS]  # instances of the port's memory
    groups: Annotated[Array, "f8", MOST_VIEWS]  # of instances that do not share a view
    least: Annotated[Array, "f8", MOST_VIEWS]
    least_read: Annotated[Array, "f8", MOST_VIEWS]

    # `outlook`: the regular holds that it covers
    regulars: int
    regular: Annotated[Array, "i8", MOST_HOLDS]

    # the search under way
    timed: int  # whether ports matter: to a limit on cycles, or through leakage
    limit_energy: float
    limit_cycles: float
    beyond: float  # the least energy that the limit on it excluded, of what is fast enough
    slower: float  # the fewest cycles that the limit on them excluded
    layer: int  # a number that no other layer has
    count: int  # labels in the pool
    full: int  # whether the pool had no room for a label
    counting: int  # whether labels are held against the counts found so far, not against limits
    found: int  # how many those are
    beater: int  # the one that last beat a label
    tabled: int  # whether there is an `outlook` for each port

    # room for the work on one label
    progressions: int  # offsets of instances: all sums of stride x (0 .. count - 1)
    strides: Annotated[Array, "i8", MOST_STRIDES]
    counts: Annotated[Array, "i8", MOST_STRIDES]
    offsets: Annotated[Array, "i8", MOST_OFFSETS]
    lengths: Annotated[Array, "i8", MOST_DIMS]
    moved: Annotated[Array, "i8", MOST_DIMS]
    odometer: Annotated[Array, "i8", MOST_STRIDES]
    promised_rank: Annotated[Array, "i8", MOST_STRIDES]
    promised_fanout: Annotated[Array, "i8", MOST_STRIDES]
    busy: Annotated[Array, "f8", MOST_PORTS]
    regularly: Annotated[Array, "f8", MOST_PORTS]
    near: int
    nearest: Annotated[Array, "f8", MOST_BEAM]  # bounds of the `near` most promising labels


def _field(name: str, hint: object) -> tuple[str, str] | tuple[str, str, tuple[int, ...]]:
    if hint in (int, float):
        return name, "i8" if hint is int else "f8"
    _, kind, *shape = get_args(hint)
    return name, kind, tuple(shape)


JOB = np.dtype([_field(*item) for item in get_type_hints(Job, include_extras=True).items()])


class Pool(NamedTuple):
    """Room for labels, and a hash table from states to the labels of one layer.

    Attributes:
        states, labels: A row for each label.
        codes: Hash of the state.
        bounds: No nest that goes on from here has less energy.
        parents: The label each came from; -1 for the bare compute.
        nodes: The node that was added.
        alive: Whether it still counts.
        following: The next label of the same slot.
        heads, stamps: First label of a slot, valid where the stamp is that of the layer.
        state, label: Room for one label in the making.
        counts: When counting, what was found so far: each port, then steps.
    """

    states: Array
    labels: Array
    codes: Array
    bounds: Array
    parents: Array
    nodes: Array
    alive: Array
    following: Array
    heads: Array
    stamps: Array
    state: Array
    label: Array
    counts: Array
