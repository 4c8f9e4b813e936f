"""Draws Einsums, architectures and legal loop nests that are small enough to be walked point by point.

A `Case` is one Einsum on one architecture with one legal nest. Everything that the counting rules treat apart is
drawn: windows with stride and dilation, diagonals, references to one tensor twice; one to four memories with several
fanouts, sharing on, off or for some tensors; bounds that divide a rank or overhang it; bypass of any memory; holds
above the spatial loops of their own instances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from fractions import Fraction

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from einloom.arch.rules import ROLES
from einloom.arch.tree import UNLIMITED, Amount, Architecture, Compute, Fanout, Memory
from einloom.errors import MappingError
from einloom.mappings import Bind, Hold, Loop, Nest, Spatial
from einloom.mappings.legality import check
from einloom.model.structure import structure_of
from einloom.workloads.cascade import Cascade
from einloom.workloads.sized import SizedEinsum

MOST_POINTS = 400
"""Points of the iteration space: a walk takes some milliseconds."""

MOST_INSTANCES = 24

QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
THOROUGH = settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))


def law(*strategies, share=1.0):
    """A test of some dozens of examples, the same on every run; ``.thorough`` is the one of thousands.

    Args:
        share: Part of the usual number of examples, for laws whose examples are slow.
    """

    def decorate(test):
        quick, thorough = (
            settings(profile, max_examples=max(5, int(profile.max_examples * share)))(given(*strategies)(test))
            for profile in (QUICK, THOROUGH)
        )
        quick.thorough = thorough
        return quick

    return decorate


def expect(error: Exception, *texts: str) -> None:
    """Pass on an error that says none of ``texts``."""
    if not any(text in str(error) for text in texts):
        raise error


# -- Einsums

KNOWN_LINES = (
    "Z[m,n] = sum{k}(A[m,k] * B[k,n])",
    "O[k,p] = sum{c,r}(I[c,p+r] * W[k,c,r])",  # a window
    "O[p,q] = sum{r,s}(I[2*p+r,q+2*s] * W[r,s])",  # stride and dilation
    "O[p] = sum{r}(I[3*p+2*r] * W[r])",  # both in one dimension: a tile with gaps
    "O[p] = sum{r}(I[p-r+R] * W[r])",  # a window that runs backwards
    "O[p,q] = sum{r}(I[p+q+r] * W[r,q])",  # three ranks in one dimension
    "S[m,n] = sum{k}(A[m,k] * A[n,k])",  # two references to a tensor
    "Y[p] = X[p] * X[p+1]",
    "D[m] = A[m,m] * B[m]",  # a diagonal
    "T[n,m] = A[m,n] * B[n]",  # transposed
    "Z[m] = max{k}(A[m,k])",
    "Z[] = sum{k}(A[k] * B[k])",
    "E[m,n] = exp(A[m,n])",
)


@st.composite
def lines(draw) -> str:
    """A product of one to three tensors with any affine indices, summed over the ranks that the output lacks."""
    variables = draw(st.lists(st.sampled_from("mnkr"), min_size=1, max_size=3, unique=True))
    term = st.tuples(st.sampled_from((1, 1, 1, 2, 3, -1)), st.sampled_from(variables))
    dims = st.lists(st.lists(term, min_size=1, max_size=2, unique_by=lambda t: t[1]), max_size=2)
    tensors = [draw(dims) for _ in range(draw(st.integers(1, 3)))]
    used = {var for dim in tensors for terms in dim for _, var in terms}
    tensors[0] += [[(1, var)] for var in variables if var not in used]
    kept = [var for var in variables if draw(st.booleans())]
    body = " * ".join(f"{name}[{','.join(map(_index, dim))}]" for name, dim in zip("ABC", tensors, strict=False))
    summed = ",".join(var for var in variables if var not in kept)
    return f"Z[{','.join(kept)}] = " + (f"sum{{{summed}}}({body})" if summed else body)


def _index(terms: list[tuple[int, str]]) -> str:
    """``2*p+r``; a falling index is lifted above 0 by the largest that it takes away."""
    text = "+".join(f"{c}*{var}" for c, var in terms) + "".join(f"+{var.upper()}" for c, var in terms if c < 0)
    return text.replace("+-1*", "-").replace("-1*", "-").replace("1*", "")


@st.composite
def einsums(draw, most: int = 6, points: int = MOST_POINTS, known_only: bool = False):
    """(cascade of one line, the same sized)."""
    line = draw(st.sampled_from(KNOWN_LINES) if known_only else st.sampled_from(KNOWN_LINES) | lines())
    names = sorted({char for char in line.split("=", 1)[0] + line.split("=", 1)[1] if char in "mnkrpqcs"})
    ranks = {}
    for name in (name.upper() for name in names if _is_variable(name, line)):
        ranks[name] = draw(st.sampled_from(range(1, 1 + max(1, min(most, points // math.prod(ranks.values()))))))
    if "A[m,k] * A[n,k]" in line:
        ranks["N"] = ranks["M"]
    bits = {t: draw(st.sampled_from((Fraction(8), Fraction(32), Fraction(8, 5)))) for t in _tensors(line)}
    cascade = Cascade.parse([line], ranks, bits=bits)
    (einsum,) = cascade.sized()
    return cascade, einsum


def _is_variable(name: str, line: str) -> bool:
    bare = line.replace("sum", "").replace("max", "").replace("exp", "")
    return name in bare


def _tensors(line: str) -> list[str]:
    return sorted({line[i - 1] for i, char in enumerate(line) if char == "["})


# -- architectures


def shares(tensors):
    """Sharing on, off, or for some: by name or by role."""
    names = st.frozensets(st.sampled_from(tuple(tensors)), min_size=1)
    roles = st.frozensets(st.sampled_from(ROLES), min_size=1)
    return st.just(True) | st.booleans() | names | roles


AMOUNTS = st.builds(Amount, st.sampled_from((1, 3, 16, Fraction(5, 2))).map(Fraction), st.booleans())
ENERGIES = st.sampled_from((0.0, 0.1, 1.0, 2.5, 64.0))


@st.composite
def memories(draw, name: str, tensors):
    ports = draw(st.sampled_from(("one", "two", "read", "free")))
    return Memory(
        name=name,
        word_bits=draw(st.sampled_from((None, Fraction(8), Fraction(64)))),
        read_energy_pj=draw(ENERGIES),
        write_energy_pj=draw(ENERGIES),
        bandwidth=draw(AMOUNTS) if ports == "one" else UNLIMITED,
        read_bandwidth=draw(AMOUNTS) if ports in ("two", "read") else UNLIMITED,
        write_bandwidth=draw(AMOUNTS) if ports == "two" else UNLIMITED,
        double_buffered=draw(st.booleans() | st.frozensets(st.sampled_from(tuple(tensors)))),
    )


@st.composite
def architectures(draw, einsum: SizedEinsum, most_memories: int = 4, most_instances: int = MOST_INSTANCES):
    """One to four memories; before each and before the compute there may be a fanout."""
    tensors = [access.tensor for access in einsum.accesses]
    levels: list = [draw(memories("L0", tensors))]
    room = most_instances
    count = draw(st.integers(1, most_memories))
    for place in range(1, count + 1):
        if draw(st.booleans()):
            axes = {}
            for axis in ("X", "Y")[: draw(st.integers(1, 2))]:
                axes[axis] = draw(st.sampled_from(range(1, min(4, room) + 1)))
                room //= axes[axis]
            sharing = {"multicast": draw(shares(tensors)), "reduce": draw(shares(tensors))}
            levels.append(Fanout(name=f"F{place}", axes=axes, link_energy_pj=draw(ENERGIES), **sharing))
        if place < count:
            levels.append(draw(memories(f"L{place}", tensors)))
    operators = {"mul": 0.5, "add": 0.25, "max": 0.1, "exp": 3.0}
    levels.append(Compute(name="C", energy_pj=operators, cycles={"exp": 6}))
    return Architecture(name="drawn", clock_hz=1e9, levels=tuple(levels))


# -- nests


@dataclass(frozen=True)
class Case:
    """One Einsum, one architecture, one legal nest."""

    cascade: Cascade
    einsum: SizedEinsum
    architecture: Architecture
    nest: Nest

    @property
    def path(self):
        return self.architecture.path_to(self.nest.compute)

    @property
    def nodes(self):
        return self.nest.nodes

    def with_nodes(self, nodes) -> Case:
        return replace(self, nest=Nest(tuple(nodes)))

    def with_levels(self, change) -> Case:
        """The case with every level replaced by ``change(level)``."""
        levels = tuple(map(change, self.architecture.levels))
        return replace(self, architecture=replace(self.architecture, levels=levels))

    def __repr__(self) -> str:
        """What to type to see it again."""
        nest = "; ".join(self.nest.lines())
        levels = "; ".join(map(_described, self.architecture.levels))
        return f"{self.einsum.text} {dict(self.einsum.extents)}: {nest} on {levels}"


def _described(level) -> str:
    """The fields of a level that are not the default."""
    changed = {
        field.name: getattr(level, field.name)
        for field in fields(level)
        if field.name != "name" and getattr(level, field.name) != field.default
    }
    return f"{level.name} {changed}"


class _Body:
    """A nest as it grows, and what is left of each rank."""

    def __init__(self, draw, einsum: SizedEinsum, perfect: bool) -> None:
        self.draw, self.einsum, self.perfect = draw, einsum, perfect
        self.left = dict(einsum.extents)
        self.nodes: list = []

    def bound(self, variable: str, most: int) -> int:
        """A bound for a loop over ``variable``; what it covers is taken off."""
        if self.perfect:
            fits = [d for d in range(1, min(most, self.left[variable]) + 1) if self.left[variable] % d == 0]
            bound = self.draw(st.sampled_from(fits))
            self.left[variable] //= bound
        else:
            bound = self.draw(st.sampled_from((1, *range(2, most + 1), *range(2, most + 1))))
            self.left[variable] = -(-self.left[variable] // bound)
        return bound

    def variable(self) -> str | None:
        """A rank to iterate; None where there is none, or none is left to divide."""
        open_ = [var for var, left in self.left.items() if left > 1 or not self.perfect]
        return self.draw(st.sampled_from(open_)) if open_ else None

    def loops(self, most: int) -> None:
        for _ in range(self.draw(st.integers(0, most))):
            variable = self.variable()
            if variable:
                self.nodes.append(Loop(variable, self.bound(variable, 3)))

    def memory(self, name: str, tensors: list[str]) -> None:
        held = self.draw(st.lists(st.sampled_from(tensors), unique=True))
        if self.draw(st.booleans()):
            self.nodes += [Hold(name, tuple(held))] if held else []
        else:
            for tensor in held:
                self.nodes.append(Hold(name, (tensor,)))
                self.loops(1)
        self.loops(2)

    def fanout(self, fanout: Fanout) -> None:
        for axis, size in fanout.axes.items():
            room = size
            for _ in range(self.draw(st.integers(0, 2))):
                variable = self.variable()
                if variable:
                    bound = self.bound(variable, room)
                    room //= bound
                    self.nodes.append(Spatial(fanout.name, axis, variable, bound))

    def cover(self) -> None:
        """Loops for what is left, anywhere below the outermost hold."""
        for variable, rest in self.left.items():
            if rest > 1:
                place = self.draw(st.integers(1, len(self.nodes)))
                self.nodes.insert(place, Loop(variable, rest))

    def lift_holds(self) -> None:
        """Some holds stand further out than the loops drawn before them."""
        for place in range(2, len(self.nodes)):
            node = self.nodes[place]
            if isinstance(node, Hold) and self.draw(st.integers(0, 3)) == 0:
                target = place
                while target > 1 and not self._above(self.nodes[target - 1], node):
                    target -= 1
                target = self.draw(st.integers(target, place))
                self.nodes.insert(target, self.nodes.pop(place))

    @staticmethod
    def _above(other, hold: Hold) -> bool:
        return isinstance(other, Hold) and bool(set(other.tensors) & set(hold.tensors))


@st.composite
def nests(draw, einsum: SizedEinsum, architecture: Architecture, perfect: bool = False):
    """A legal nest: bounds that divide every rank, or any that cover it."""
    body = _Body(draw, einsum, perfect)
    tensors = list(dict.fromkeys(access.tensor for access in einsum.accesses))
    outermost, *inner, compute = architecture.path_to("C")
    body.nodes.append(Hold(outermost.name, tuple(tensors)))
    body.loops(2)
    for level in inner:
        if isinstance(level, Memory):
            body.memory(level.name, tensors)
        else:
            body.fanout(level)
    body.cover()
    body.lift_holds()
    nest = Nest((*body.nodes, Bind(compute.name)))
    path = check(einsum, architecture, nest.nodes)
    try:
        structure_of(einsum, path, nest.nodes)
    except MappingError as error:
        expect(error, "has gaps")  # the one thing that is legal and not counted
        reject()
    return nest


@st.composite
def cases(draw, perfect: bool | None = None, most: int = 6, points: int = MOST_POINTS, known_only: bool = False):
    """Any case; ``perfect`` bounds always, never, or as drawn."""
    cascade, einsum = draw(einsums(most, points, known_only))
    architecture = draw(architectures(einsum))
    divides = draw(st.booleans()) if perfect is None else perfect
    return Case(cascade, einsum, architecture, draw(nests(einsum, architecture, divides)))
