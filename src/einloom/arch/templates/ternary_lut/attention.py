"""Attention beside table lookup: products of two activations on lanes of 16-bit multiply-adds.

Prefill (TeLLMe v2, arXiv 2510.15926): N_pe query rows at a time; one key and value is broadcast to them at a time,
with online softmax. In reversed order a block of rows visits only keys that the causal mask leaves: of n^2 visits of
blocks n (n + 1) / 2 remain (n = 16: 17/32 of the time, rounded to the diagonal). Decode: scores and values are two
products of one row, keys and values streamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from einloom.arch.engine import Array, Columns, Contraction, Cost, Laws, Value, Words
from einloom.arch.templates.cascade_steps import Crossing, Group, UnitRun, masked_by
from einloom.arch.templates.surroundings import DRAM, Surroundings, finished
from einloom.errors import MappingError

ATTENTION = "Attention"
REVERSED, NATURAL = "reversed", "natural"


@dataclass(frozen=True, slots=True)
class PromptWork:
    """Fused attention of a prompt: ``heads`` of ``queries`` against ``keys`` that ``visits`` blocks of rows see."""

    heads: int
    visits: Array
    scores: int
    values: int
    lanes: int
    key_overhead: float


def attention(work: PromptWork) -> Array:
    """Cycles of one block of rows and key: ``ceil(E / lanes)`` for the score, ``ceil(F / lanes)`` for the value."""
    a_key = -(-work.scores // work.lanes) + -(-work.values // work.lanes)
    return np.asarray(work.heads * work.visits * a_key)


def key_overhead(work: PromptWork) -> Array:
    """Cycles of every key beyond those (exponential, rescaling, loop entry).

    TeLLMe v2: 14.3 ms a layer for 128 tokens without reversed order are 109.1 cycles a key and head at 250 MHz, 12 of
    them lanes: 97.1 calibrated on that row.
    """
    return np.asarray(work.heads * work.visits * work.key_overhead)


LAWS: Laws[PromptWork] = Laws((attention, key_overhead))


def key_visits(queries: int, keys: int, rows: int, causal_order: Array) -> Array:
    """Keys that all blocks of ``rows`` queries see: all of them, or those up to the last query of the block.

    ``sum over i = 1..n of min(keys, keys - queries + i rows)``; whole blocks: ``rows n (n + 1) / 2`` of ``rows n^2``.
    """
    blocks = -(-queries // rows)
    ends = np.clip(keys - queries + rows * np.arange(1, blocks + 1), 0, keys)
    return np.where(causal_order, int(ends.sum()), blocks * keys)


@dataclass(frozen=True, slots=True)
class AttentionUnit:
    """The unit for products of two activations, and for weights too wide for tables where no host takes them.

    Attributes:
        rows, lanes: Query rows at a time, and multiply-adds of each a cycle.
        key_overhead: Cycles of every key of a prompt beyond its lanes (calibrated; 0: the bound).
        stream_bits: Bits a cycle in which keys and values arrive.
        mac_pj: Energy of one multiply-add, pJ.
        around: What all units share.
    """

    rows: int
    lanes: int
    key_overhead: float
    stream_bits: float
    mac_pj: float
    around: Surroundings

    compute = ATTENTION

    def choices(self, group: Group) -> Mapping[str, tuple[Value, ...]]:
        """The order of a prompt's keys, where a mask makes a difference."""
        if len(group.runs) > 1 and masked_by(group) is not None:
            return {"order": (REVERSED, NATURAL)}
        return {}

    def cost(self, group: Group, crossings: Sequence[Crossing], columns: Columns) -> Cost:
        if len(group.runs) > 1:
            return self._prompt(group, crossings, columns)
        return self._single(group, crossings)

    def _single(self, group: Group, crossings: Sequence[Crossing]) -> Cost:
        """One product: ``ceil(M / rows)`` times the lanes along N or along K, whichever is faster.

        Its second operand is streamed for each of those blocks of rows: the unit keeps none of it.
        """
        product = group.runs[0].contraction
        blocks = -(-product.m // self.rows)
        cycles = product.batch * blocks * along_lanes(product, self.lanes)
        moved = product.batch * blocks * product.n * product.k
        words = {(DRAM, product.weights.tensor): self._words(product.weights.tensor, np.asarray(moved), crossings)}
        terms = {"attention": np.array([float(cycles)])}
        return self._priced(group, crossings, terms, moved * float(product.weights.bits), 1.0, words)

    def _prompt(self, group: Group, crossings: Sequence[Crossing], columns: Columns) -> Cost:
        """Scores and values as one run with online softmax: the values of a key follow its score.

        Keys are matched however a cascade cuts them into blocks (batch x N of the scores, batch x K of the values).

        Raises:
            MappingError: The values go with none of the scores.
        """
        *scores, values = group.runs
        order = columns.get("order", np.array([NATURAL]))
        terms: dict[str, Array | float] = {}
        streamed: Array = np.zeros(1)
        words: dict[tuple[str, str], Words] = {}
        share: Array = np.zeros(1)
        last = values.contraction
        partner = next((run for run in reversed(scores) if _keys_of_scores(run) == last.batch * last.k), None)
        if partner is None:
            what = f"{values.einsum.name}: {last.batch * last.k} keys and values go with no scores before it"
            raise MappingError(what, "the attention unit runs a prompt's scores and values key by key")
        for run in scores:
            product, fused = run.contraction, run is partner
            queries = run.einsum.extents.get(masked_by(group) or "", product.m)
            sharing = product.m // queries  # heads that share keys and values
            visits = sharing * key_visits(queries, product.n, self.rows, np.asarray(order == REVERSED))
            width = last.n if fused else 0
            work = PromptWork(product.batch, visits, product.k, width, self.lanes, self.key_overhead)
            for name, term in LAWS.of(work).items():
                terms[name] = terms.get(name, 0.0) + term
            parts: list[tuple[UnitRun, int]] = [(run, product.k)] + ([(values, last.n)] if fused else [])
            for part, size in parts:
                tensor = part.contraction.weights
                moved = product.batch * visits * size
                streamed = streamed + moved * float(tensor.bits)
                words[DRAM, tensor.tensor] = self._words(tensor.tensor, moved, crossings)
            share = share + visits / (sharing * -(-queries // self.rows) * product.n) / len(scores)
        return self._priced(group, crossings, terms, streamed, share, words)

    def _words(self, tensor: str, moved: Array, crossings: Sequence[Crossing]) -> Words:
        """Keys and values come again for every block of rows that visits them; what the group makes leaves once."""
        written = sum(c.writes for c in crossings if c.tensor == tensor)
        return Words(moved, written)

    def _priced(
        self,
        group: Group,
        crossings: Sequence[Crossing],
        terms: Mapping[str, Array | float],
        streamed: Array | float,
        share: Array | float,
        words: Mapping[tuple[str, str], Words],
    ) -> Cost:
        around = self.around
        found = {name: term for name, term in terms.items() if name not in around.off}
        total = np.asarray(sum((np.asarray(t) for t in found.values()), start=np.zeros(1)))
        arriving = np.asarray(streamed / min(self.stream_bits, around.offchip.bits_per_cycle))
        if "kv_stream" not in around.off:
            found["kv_stream"] = np.maximum(0.0, arriving - total)
        if "streams" not in around.off:
            found["streams"] = around.streams.exposed(group, total + found.get("kv_stream", 0.0))
        macs = sum(run.contraction.macs for run in group.runs)
        operands = {run.contraction.weights.tensor for run in group.runs}
        on_bus = np.asarray(streamed / around.offchip.bits_per_cycle)
        rest = [replace(c, reads=0) if c.tensor in operands else c for c in crossings]
        return finished(
            around, group, rest, found,
            words=words,
            energy_pj={DRAM: streamed * around.offchip.read_pj, ATTENTION: share * macs * self.mac_pj},
            busy={ATTENTION: total, DRAM: on_bus},
            waited=0.0 if "kv_stream" in around.off else on_bus,
            useful=np.minimum(share * macs, total * self.rows * self.lanes),
        )  # fmt: skip


def _keys_of_scores(run: UnitRun) -> int:
    return run.contraction.batch * run.contraction.n


def along_lanes(product: Contraction, lanes: int) -> int:
    """Cycles of one row: N dot products of K, or K scaled rows of N, on ``lanes`` multiply-adds."""
    return min(product.n * -(-product.k // lanes), product.k * -(-product.n // lanes))
