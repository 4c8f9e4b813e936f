"""How often a cascade must traverse a rank, whatever the mapping: its passes.

Fix a rank, as a family of sub-ranks, outermost first (``m1``, ``m0``). One pass is one traversal of a whole fiber of
the family. An Einsum needs a further pass if it visits the fiber again and reads a value that depends on all of it.
Each tensor has a label (k, I) or (k, C): available while pass k is in progress, in the order of the fiber, or only
when pass k is complete; workload inputs are (0, C). Labels grow along (0,C) < (1,I) < (1,C) < (2,I) < ... until nothing
changes, so that the order of the lines does not matter. The count belongs to the cascade as it is written: rewriting it
(deferring a division) changes the count.

Source:
    Nayak et al., FuseMax, MICRO 2024, arXiv 2406.10491 (passes); the labels and their fixed point are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from einloom.errors import Problem, SpecError
from einloom.workloads.einsum import Einsum, bounds
from einloom.workloads.expressions import Affine, Reference, unique
from einloom.workloads.facts import Split, did_you_mean


@dataclass(frozen=True, slots=True)
class Family:
    """A rank as the cascade iterates it.

    Attributes:
        name: The rank; for the inner sub-ranks of a split, the outermost of them, e.g. ``"M0"``.
        variables: Rank variables, outermost first.
    """

    name: str
    variables: tuple[str, ...]

    @property
    def outer(self) -> str:
        return self.variables[0]


@dataclass(frozen=True, order=True, slots=True)
class Label:
    """When a tensor is available: ``code`` 2k is (k, C), 2k - 1 is (k, I)."""

    code: int = 0

    @property
    def passes(self) -> int:
        """The k."""
        return (self.code + 1) // 2

    @property
    def complete(self) -> bool:
        return self.code % 2 == 0

    def completed(self) -> Label:
        """(k, C)."""
        return self if self.complete else Label(self.code + 1)

    def started(self) -> Label:
        """(k, I) stays; after (k, C) a new pass starts."""
        return Label(self.code + 1) if self.complete else self

    def __str__(self) -> str:
        return f"({self.passes}, {'C' if self.complete else 'I'})"


@dataclass(frozen=True, slots=True)
class Read:
    """One reference of one Einsum, as the family sees it.

    Attributes:
        tensor: What is read.
        complete: The read needs the whole fiber: at its last coordinate, or through another variable.
        least, most: Coordinates ahead of the step of the reader, of a read in order; None where it is at a constant.
    """

    tensor: str
    complete: bool
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class Passes:
    """Passes of a cascade over one family.

    Attributes:
        family: The rank.
        count: Passes; None where no order streams the fiber.
        obstacle: Why there is none, in words; empty where there is one.
        labels: Of each computed tensor.
        pass_of: Pass in which each Einsum that iterates the whole family runs.
        starts: Einsums that must start each pass, in the order of the text.
        sweeps: Einsums that iterate only the outer sub-ranks after a pass is complete, by that pass: they visit its
            summaries again, not its elements.
        lags: Steps of the outermost variable by which each streaming Einsum trails the first of its pass.
        aliases: Tensors that are read along the fiber through another variable: (tensor, variable).
    """

    family: Family
    count: int | None
    obstacle: str
    labels: Mapping[str, Label]
    pass_of: Mapping[str, int]
    starts: Mapping[int, tuple[str, ...]]
    sweeps: Mapping[int, tuple[str, ...]]
    lags: Mapping[str, int]
    aliases: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        for name in ("labels", "pass_of", "starts", "sweeps", "lags"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def over(self, tensor: str, einsums: Sequence[Einsum]) -> tuple[int, ...]:
        """Passes that read ``tensor`` element by element: how often it comes from outside if no fiber of it stays."""
        along = set(self.family.variables)
        readers = (e.name for e in einsums for r in e.inputs if r.tensor == tensor and along & set(r.variables))
        return tuple(sorted({self.pass_of[name] for name in readers if name in self.pass_of}))


def families(
    einsums: Sequence[Einsum], ranks: Sequence[str], split: Mapping[str, Split] | None = None
) -> tuple[Family, ...]:
    """Every family of a cascade: each rank, and each suffix of the sub-ranks of a split one.

    Args:
        einsums: The cascade.
        ranks: Names of the ranks, in the order wanted.
        split: Sub-ranks by rank, outermost first.
    """
    used = {variable.lower(): variable for einsum in einsums for variable in einsum.variables}
    found: list[Family] = []
    for rank in ranks:
        if rank.lower() in used:
            found.append(Family(rank, (used[rank.lower()],)))
        subs = [sub for sub, _ in (split or {}).get(rank, ()) if sub.lower() in used]
        for first in range(len(subs)):
            name = rank if first == 0 and rank.lower() not in used else subs[first]
            found.append(Family(name, tuple(used[sub.lower()] for sub in subs[first:])))
    return tuple(found)


def passes(
    einsums: Sequence[Einsum], variables: Sequence[str], extents: Mapping[str, int] | None = None, name: str = ""
) -> Passes:
    """Passes of a cascade over one family.

    Args:
        einsums: In any order in which a tensor is defined once (initial generations apart).
        variables: Rank variables of the family, outermost first: ``("m1", "m0")``.
        extents: Size by variable and rank, for windows (``m+r``); without it a window is one element wide.
        name: Of the family; by default the first variable in capitals.

    Raises:
        SpecError: No Einsum iterates one of the variables.
    """
    known = unique(variable for einsum in einsums for variable in einsum.variables)
    for variable in variables:
        if variable not in known:
            hint = did_you_mean(variable, known, "rank variables")
            raise SpecError(Problem(f"no Einsum iterates '{variable}'", hint))
    family = Family(name or variables[0].upper(), tuple(variables))
    return _Analysis(einsums, family, extents or {}).result()


class _Analysis:
    """The fixed point of the labels, then the lags of what streams together."""

    def __init__(self, einsums: Sequence[Einsum], family: Family, extents: Mapping[str, int]) -> None:
        self.einsums, self.family, self.extents = tuple(einsums), family, extents
        self.carried = carried_dimension(einsums, family)
        self.reads = {einsum.name: tuple(self._reads(einsum)) for einsum in self.einsums}
        self.labels: dict[str, Label] = {}
        self.starting: dict[str, Label] = {}

    def result(self) -> Passes:
        unstable = self._fixed_point()
        if unstable:
            names = ", ".join(unstable)
            return self._no_order(f"the labels of {names} grow without end: each needs the others to be complete first")
        lags, cycle = self._lags()
        if cycle:
            return self._no_order(f"{', '.join(cycle)} wait for each other in the same step or a later one")
        pass_of = {e.name: self.starting[e.name].passes for e in self.einsums if self._full(e)}
        starts: dict[int, tuple[str, ...]] = {}
        sweeps: dict[int, tuple[str, ...]] = {}
        for einsum in self.einsums:
            label = self.starting[einsum.name]
            if self._full(einsum) and self._needed(einsum, without=self._recurrence(einsum)).complete:
                starts[label.passes] = (*starts.get(label.passes, ()), einsum.name)
            elif self._coarse(einsum) and label.complete and label.passes:
                sweeps[label.passes] = (*sweeps.get(label.passes, ()), einsum.name)
        count = max(pass_of.values(), default=0)
        ordered = dict(sorted(starts.items()))
        return Passes(self.family, count, "", self.labels, pass_of, ordered, sweeps, lags, self._aliases())

    def _no_order(self, why: str) -> Passes:
        return Passes(self.family, None, why, self.labels, {}, {}, {}, {}, self._aliases())

    # -- labels

    def _fixed_point(self) -> tuple[str, ...]:
        """Raise labels until nothing changes; tensors whose labels never come to rest, if there are any."""
        self.labels = {einsum.output.tensor: Label() for einsum in self.einsums}
        highest = 2 * len(self.einsums) + 2  # each Einsum of a chain adds at most one pass
        while True:
            changed = []
            for einsum in self.einsums:
                label = self._label(einsum)
                if label > self.labels[einsum.output.tensor]:
                    self.labels[einsum.output.tensor] = label
                    changed.append(einsum.output.tensor)
            if not changed:
                return ()
            if max(self.labels.values()).code > highest:
                return unique(tuple(changed))

    def _label(self, einsum: Einsum) -> Label:
        label = self._needed(einsum)
        if self._full(einsum):
            label = label.started()
        self.starting[einsum.name] = label
        reduces = self.family.outer in einsum.variables and self.carried.get(einsum.output.tensor) is None
        return label.completed() if reduces else label

    def _needed(self, einsum: Einsum, without: frozenset[str] = frozenset()) -> Label:
        """The latest of what the Einsum reads."""
        found = Label()
        for read in self.reads[einsum.name]:
            if read.tensor in without:
                continue
            label = self.labels.get(read.tensor, Label())
            found = max(found, label.completed() if read.complete else label)
        return found

    def _recurrence(self, einsum: Einsum) -> frozenset[str]:
        """Tensors that depend on what the Einsum computes, and it on them."""
        own = einsum.output.tensor
        return frozenset(tensor for tensor in self._ancestors(own) if own in self._ancestors(tensor))

    def _ancestors(self, tensor: str) -> set[str]:
        found: set[str] = set()
        left = [tensor]
        while left:
            here = left.pop()
            new = {t for e in self.einsums if e.output.tensor == here for t in e.tensors} - found
            found |= new
            left.extend(new)
        return found

    def _full(self, einsum: Einsum) -> bool:
        return all(variable in einsum.variables for variable in self.family.variables)

    def _coarse(self, einsum: Einsum) -> bool:
        return self.family.outer in einsum.variables and not self._full(einsum)

    # -- reads

    def _reads(self, einsum: Einsum) -> Iterator[Read]:
        for reference in einsum.inputs:
            dimension = self.carried.get(reference.tensor)
            if dimension is None:
                yield Read(reference.tensor, complete=False)
            else:
                yield self._read(reference, reference.indices[dimension].affine)

    def _read(self, reference: Reference, affine: Affine) -> Read:
        """In order: the family's variable once, forwards, plus offsets and the variables of a window."""
        outer = self.family.outer
        if not affine.terms:
            return Read(reference.tensor, complete=False)
        coefficient = {name: factor for factor, name in affine.terms}.get(outer)
        if coefficient != 1 or affine.ranks:
            return Read(reference.tensor, complete=True)
        rest = Affine(tuple(term for term in affine.terms if term[1] != outer), affine.constant)
        sizes = {variable: self.extents.get(variable, 1) for variable in rest.variables}
        return Read(reference.tensor, False, *bounds(rest, sizes))

    def _aliases(self) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        for einsum in self.einsums:
            for reference in einsum.inputs:
                dimension = self.carried.get(reference.tensor)
                if dimension is None:
                    continue
                plain = reference.indices[dimension].affine.shifted
                if plain is not None and plain[0] != self.family.outer:
                    found.append((reference.tensor, plain[0]))
        return tuple(dict.fromkeys(found))

    # -- lags

    def _lags(self) -> tuple[dict[str, int], tuple[str, ...]]:
        """Least lags of what streams together; a cycle of Einsums that wait for each other, if there is one.

        A reader at step i + lag takes coordinate i + d of a tensor whose producer wrote it, as its generation g, at
        step i + d - g + its lag: lag(reader) >= lag(producer) + d - g. Solvable unless a cycle has a sum of at least 0.
        """
        edges = list(self._edges())
        streaming = {name for source, target, _ in edges for name in (source, target)}
        streaming |= {e.name for e in self.einsums if self.family.outer in e.variables}
        order = [einsum.name for einsum in self.einsums if einsum.name in streaming]
        many = len(order) + 1
        length = dict.fromkeys(order, 0)  # weights (d - g) * many + 1: positive around a cycle of sum 0, too
        before: dict[str, str] = {}
        for _ in range(many):
            late = None
            for source, target, weight in edges:
                if length[source] + weight * many + 1 > length[target]:
                    length[target], before[target], late = length[source] + weight * many + 1, source, target
            if late is None:
                break
        else:
            return {}, _cycle(str(late), before, many)
        lags = dict.fromkeys(order, 0)
        for _ in range(many):
            for source, target, weight in edges:
                lags[target] = max(lags[target], lags[source] + weight)
        return lags, ()

    def _edges(self) -> Iterator[tuple[str, str, int]]:
        """(producer, reader, d - g) of every read in order of what the same pass computes.

        A read of an earlier generation over another variable is left out: that variable's loop puts it in order.
        """
        producers = {e.output.tensor: e for e in self.einsums if e.initial is None}
        for einsum in self.einsums:
            for read, reference in zip(self.reads[einsum.name], einsum.inputs, strict=True):
                producer = producers.get(read.tensor)
                if producer is None or read.most is None or self._earlier(reference, producer):
                    continue
                if self.starting[producer.name] == self.starting[einsum.name]:
                    yield producer.name, einsum.name, read.most - generations(producer, self.family)

    def _earlier(self, reference: Reference, producer: Einsum) -> bool:
        generation = producer.generation
        if generation is None or generation.variable == self.family.outer:
            return False
        shifted = reference.indices[generation.dimension].affine.shifted
        return shifted is not None and shifted[0] == generation.variable and shifted[1] < generation.lag


def _cycle(late: str, before: Mapping[str, str], many: int) -> tuple[str, ...]:
    for _ in range(many):
        late = before[late]
    found = [late]
    while before[found[-1]] != late:
        found.append(before[found[-1]])
    return tuple(reversed(found))


def generations(einsum: Einsum, family: Family) -> int:
    """The g of ``X[m1+g,..]`` on the left side, over the family's outermost variable."""
    generation = einsum.generation
    return generation.lag if generation is not None and generation.variable == family.outer else 0


def carried_dimension(einsums: Sequence[Einsum], family: Family) -> dict[str, int | None]:
    """The dimension of each computed tensor that the family's outermost variable indexes; None without one."""
    found: dict[str, int | None] = {}
    for einsum in einsums:
        if einsum.initial is not None:
            continue
        places = (i for i, index in enumerate(einsum.output.indices) if family.outer in index.affine.variables)
        found[einsum.output.tensor] = next(places, None)
    return found
