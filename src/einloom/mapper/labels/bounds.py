"""What a choice of spatial factors decides, and lower bounds on every nest that goes on from a label.

Each bound is a sum over traffic that is still to be charged, of words that no nest can avoid:

- a view moves at least what its groups of instances *meet*, once each (`_least_view_words`);
- an open sliding hold repeats what it fetched so far on every iteration further out: ``R <- b R + (b - 1) new`` never
  is less than ``b R``;
- regular holds together pay at least what `outlook` finds for their order of closing.

What a group meets along a dimension is a sum of sets, one for each rank, of known sizes ``n_r`` but unknown places:
at least ``sum n_r - (ranks - 1)`` values. Of two ranks of which one is met in full, the set of the other cuts the
dimension into intervals (`_met_with_whole`), which is much more where windows have a stride.
"""

from __future__ import annotations

from einloom.mapper.compiled import entry, kernel
from einloom.mapper.labels.outlook import not_closed, tile_number
from einloom.mapper.labels.record import (
    CLOSED,
    ENERGY,
    EXECUTED,
    IRRELEVANT,
    MOST_OFFSETS,
    OCCUPANCY,
    PLACED,
    POSITION,
    REST,
    TILE,
    Job,
)
from einloom.mapper.labels.sliding import union
from einloom.model.arrays import Array

# -- what the spatial factors decide -----------------------------------------------------------------------------------


@kernel
def choose(job: Job, spreads: Array, steps: Array, row: int) -> None:
    """Set the spatial factors of a job, and what follows from them alone."""
    job.steps = steps[row]
    for r in range(job.ranks):
        job.below[0, r] = 1
        for g in range(job.fanouts):
            job.spread[g, r] = spreads[row, g, r]
            job.below[g + 1, r] = job.below[g, r] * spreads[row, g, r]
        job.left[r] = job.sizes[r] // job.below[job.fanouts, r]
    for p in range(job.ports):
        job.port_used[p] = 1.0
        for g in range(job.port_region[p], job.fanouts):
            job.port_used[p] *= _instances(job, g)
    for i in range(job.reads):
        job.least_read[i] = _least_read_words(job, i)
    for v in range(job.views):
        job.groups[v] = 1.0
        for g in range(job.hold_region[job.view_hold[v]], job.fanouts):
            if not (job.view_merged[v] >> g) & 1:
                job.groups[v] *= _instances(job, g)
        job.least[v] = _least_view_words(job, v)


@kernel
def _instances(job: Job, g: int) -> float:
    """Instances used of a fanout."""
    many = 1.0
    for r in range(job.ranks):
        many *= job.spread[g, r]
    return many


@kernel
def start(job: Job, state: Array, label: Array) -> None:
    """The label of the bare compute: what every nest of the job pays."""
    for i in range(job.state_width):
        state[i] = 0
    for i in range(job.label_width):
        label[i] = 0.0
    label[ENERGY], label[REST] = job.operations_pj, 1.0
    for r in range(job.ranks):
        state[TILE + r] = 1
        label[REST] *= job.left[r]
    for row in range(job.fixed):
        charge(job, label, _fixed_words(job, row), job.fixed_price[row], job.fixed_port[row])


@kernel
def charge(job: Job, label: Array, words: float, price: float, port: Array) -> None:
    """Pay for words: energy, and time of each port, shared by its instances."""
    label[ENERGY] += words * price
    for p in range(job.ports):
        label[job.first_port + p] += words * port[p] / job.port_used[p]


@kernel
def _fixed_words(job: Job, row: int) -> float:
    """Words of traffic that the spatial factors alone decide: first touches, operands of the compute."""
    tensor, bits, kind = job.fixed_key[row, 0], job.fixed_key[row, 1], job.fixed_key[row, 2]
    words: float = job.points if kind == EXECUTED else job.elements[tensor]
    for g in range(job.fanouts):
        if (bits >> g) & 1:
            for r in range(job.ranks):
                if job.relevance[tensor, r] == IRRELEVANT:
                    if kind == EXECUTED:
                        words /= job.spread[g, r]
                    else:
                        words *= job.spread[g, r]
    return words


# -- what no nest can avoid --------------------------------------------------------------------------------------------


@kernel
def _least_read_words(job: Job, i: int) -> float:
    """At least as many words as the compute takes of a sliding operand."""
    tensor = job.read_tensor[i]
    words: float = job.points
    for g in range(job.fanouts):
        if (job.read_merged[i] >> g) & 1:
            words /= _instances(job, g)
    for d in range(job.dims[tensor]):
        for r in range(job.ranks):
            job.odometer[r] = 1
            for g in range(job.fanouts):
                if (job.read_merged[i] >> g) & 1:
                    job.odometer[r] *= job.spread[g, r]
        words *= _met(job, tensor, d)
    return words


@kernel
def _least_view_words(job: Job, v: int) -> float:
    """At least as many words as a view moves: each group that shares meets its elements once."""
    hold = job.view_hold[v]
    tensor, region = job.hold_tensor[hold], job.hold_region[hold]
    words: float = job.groups[v] if job.windowed[tensor] else job.elements[tensor]
    if job.windowed[tensor]:
        for d in range(job.dims[tensor]):
            for r in range(job.ranks):
                job.odometer[r] = job.left[r]
                for g in range(job.fanouts):
                    if g < region or (job.view_merged[v] >> g) & 1:
                        job.odometer[r] *= job.spread[g, r]
            words *= _met(job, tensor, d)
        return words
    for g in range(region, job.fanouts):
        for r in range(job.ranks):
            if not (job.view_merged[v] >> g) & 1 and job.relevance[tensor, r] == IRRELEVANT:
                words *= job.spread[g, r]
    return words


@kernel
def _met(job: Job, tensor: int, d: int) -> float:
    """At least as many values along a dimension as are met with ``odometer[r]`` values of each rank."""
    values, listed, whole, part, wholes = 1.0, 1.0, job.ranks, job.ranks, 0
    job.progressions = 0
    for r in range(job.ranks):
        c = job.coefficients[tensor, d, r]
        if c > 0:
            values += job.odometer[r] - 1.0
            listed *= job.odometer[r]
            job.strides[job.progressions], job.counts[job.progressions] = c, job.odometer[r]
            job.progressions += 1
            if job.odometer[r] == job.sizes[r]:
                whole, wholes = r, wholes + 1
            else:
                part = r
    if wholes == job.progressions and listed <= MOST_OFFSETS:
        return union(job, 1.0)
    if wholes == 1 and job.progressions == 2:
        return _met_with_whole(job, tensor, d, whole, part)
    return values


@kernel
def _met_with_whole(job: Job, tensor: int, d: int, whole: int, part: int) -> float:
    """Values ``a i + b j`` with all ``i`` and some ``j``, wherever these are.

    Divide out the greatest common divisor. With ``a, b`` coprime, two ``j`` meet the same class of values modulo ``a``
    only if ``a`` divides their difference, and then their intervals (of as many values as there are ``i``) are at
    least ``b`` apart. Each interval but the first of its class adds at least ``min(b, length)``.
    """
    a, b = job.coefficients[tensor, d, whole], job.coefficients[tensor, d, part]
    while b > 0:
        a, b = b, a % b
    length = float(job.sizes[whole])
    met: float = length + (job.odometer[part] - 1.0) * min(float(job.coefficients[tensor, d, part] // a), length)
    return met


# -- bounds of a label -------------------------------------------------------------------------------------------------


@entry
def roots(
    jobs: Array, table: Array, spreads: Array, steps: Array, state: Array, label: Array, energies: Array, cycles: Array
) -> None:  # fmt: skip
    """The bounds on energy and cycles of every choice of spatial factors, written to ``energies`` and ``cycles``."""
    job = jobs[0]
    job.timed, job.limit_energy = 1, float("inf")
    for row in range(len(spreads)):
        choose(job, spreads, steps, row)
        start(job, state, label)
        energies[row], cycles[row] = float("inf"), float("inf")
        if still_fits(job, state, label):
            energies[row], cycles[row] = bound(job, table, state, label)


@kernel
def bound(job: Job, table: Array, state: Array, label: Array) -> tuple[float, float]:
    """The least energy and cycles of any nest that goes on from a label; cycles matter only if the job is timed."""
    energy, regular = label[ENERGY], 0.0
    for v in range(job.views):
        hold = job.view_hold[v]
        if not (state[CLOSED] >> hold) & 1:
            words = _words_to_come(job, state, label, v)
            if job.windowed[job.hold_tensor[hold]]:
                energy += words * job.view_price[v]
            else:
                regular += words * job.view_price[v]
    for i in range(job.reads):
        if state[POSITION] < job.read_region[i]:
            energy += job.least_read[i] * job.read_price[i]
    cycles = _cycles_bound(job, state, label) if job.timed else job.steps
    energy += job.leakage * cycles
    if energy + regular < job.limit_energy and len(table) > 0:
        regular = max(regular, table[0, tile_number(job, state), not_closed(job, state)])
    return energy + regular, cycles


@kernel
def _words_to_come(job: Job, state: Array, label: Array, v: int) -> float:
    """At least as many words as a view whose hold is not closed is charged with."""
    words: float = job.least[v]
    if job.view_column[v] >= 0 and (state[PLACED] >> job.view_hold[v]) & 1:
        words = max(words, label[job.view_column[v]] * label[REST] * job.groups[v])
    return words


@kernel
def _cycles_bound(job: Job, state: Array, label: Array) -> float:
    """The busiest of compute and ports, at least."""
    cycles = job.steps
    bound_ports(job, state, label)
    for p in range(job.ports):
        cycles = max(cycles, job.busy[p])
    return cycles


@kernel
def bound_ports(job: Job, state: Array, label: Array) -> None:
    """The least that each instance of a port takes, into ``busy``; of that regular holds, over all instances, into
    ``regularly``."""
    for p in range(job.ports):
        job.busy[p], job.regularly[p] = 0.0, 0.0
    for v in range(job.views):
        if not (state[CLOSED] >> job.view_hold[v]) & 1:
            words = _words_to_come(job, state, label, v)
            for p in range(job.ports):
                job.busy[p] += words * job.view_port[v, p]
                if job.view_column[v] < 0:
                    job.regularly[p] += words * job.view_port[v, p]
    for i in range(job.reads):
        if state[POSITION] < job.read_region[i]:
            for p in range(job.ports):
                job.busy[p] += job.least_read[i] * job.read_port[i, p]
    for p in range(job.ports):
        job.busy[p] = label[job.first_port + p] + job.busy[p] / job.port_used[p]


@kernel
def still_fits(job: Job, state: Array, label: Array) -> bool:
    """Whether the holds to come fit: their tiles are at least what they would be now."""
    for m in range(job.memories):
        to_come = job.memory_holds[m] & ~state[PLACED]
        if job.capacity[m] == float("inf") or to_come == 0:
            continue
        need = label[OCCUPANCY + m]
        for h in range(job.holds):
            if (to_come >> h) & 1:
                at = max(state[POSITION], job.hold_region[h])
                need += tile_words(job, state, job.hold_tensor[h], at) * job.hold_width[h]
        if need > job.capacity[m]:
            return False
    return True


@kernel
def tile_words(job: Job, state: Array, tensor: int, position: int) -> float:
    """Elements of a tile of a tensor held here, at one instance."""
    words = 1.0
    for d in range(job.dims[tensor]):
        length = 1
        for r in range(job.ranks):
            c = job.coefficients[tensor, d, r]
            if c > 0:
                length += c * (state[TILE + r] * job.below[position, r] - 1)
        words *= length
    return words
