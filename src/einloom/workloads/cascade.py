"""A cascade: ordered, acyclic Einsums with the sizes of their ranks; a workload: cascades run in order.

Everything that exists is valid: the constructor checks every rule (``checks``) and raises all broken ones at
once. The cascade knows its shapes, roles, graph, operations and compulsory traffic; ``sized`` hands it to the
counting model, ``run`` executes it with numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from einloom.errors import Problem, SpecError
from einloom.workloads import counting
from einloom.workloads.checks import analyse
from einloom.workloads.einsum import Einsum
from einloom.workloads.expressions import unique
from einloom.workloads.facts import Facts, Parts, Split
from einloom.workloads.sized import SizedEinsum

if TYPE_CHECKING:
    import networkx
    import numpy as np

DEFAULT_BITS = Fraction(16)
"""Width of an element where the workload does not say (`bits: {default: 8}`)."""


@dataclass(frozen=True)
class Cascade:
    """Einsums over ranks of known size.

    Attributes:
        name: Unique in its workload.
        ranks: Extent of each rank, at least 1.
        einsums: In order; a line reads what stands above it, or an earlier generation.
        split: Sub-ranks of a rank, outermost first, with sizes; None is left to the mapper (of the first:
            what is left).
        bits: Width of an element by tensor, by role, and ``default``; exact rationals.
        weights: Tensors with the role `weights`; None: the last factor of each product that is a workload
            input.
        operators: Elementary operations of an operator, where they are not those of the registry.
        repeat: How often it runs: equal copies (layers) x runs of each; totals of the workload multiply, everything
            here is for one.
        runs: Of each copy (tokens of an answer): they use the same weights.
        init: Value of the initial generations by tensor.
        pad: Value of a tensor outside of its coordinates.
        shapes: Shape of an input (sizes or ranks) that does not follow from its indices.
        outputs: Tensors that leave the cascade although a line reads them.
    """

    name: str
    ranks: Mapping[str, int]
    einsums: tuple[Einsum, ...]
    split: Mapping[str, Split] = field(default_factory=dict)
    bits: Mapping[str, Fraction] = field(default_factory=dict)
    weights: tuple[str, ...] | None = None
    operators: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    repeat: int = 1
    init: Mapping[str, float] = field(default_factory=dict)
    pad: Mapping[str, float] = field(default_factory=dict)
    shapes: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    runs: int = 1

    def __post_init__(self) -> None:
        for name in ("ranks", "split", "bits", "operators", "init", "pad", "shapes"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        _check_numbers(self)
        facts, problems = analyse(
            Parts(
                self.ranks,
                self.split,
                self.bits,
                self.weights,
                self.operators,
                self.init,
                self.pad,
                self.shapes,
                self.outputs,
                self.einsums,
            )
        )
        if problems:
            raise SpecError(sorted(problems, key=_place))
        object.__setattr__(self, "_facts", facts)
        consumed = {
            tensor for einsum in self.einsums for tensor in einsum.tensors if tensor != einsum.output.tensor
        }
        left = tuple(tensor for tensor in facts.producers if tensor not in consumed)
        object.__setattr__(self, "outputs", unique((*self.outputs, *left)))
        if not self.outputs:
            raise SpecError(
                f"the cascade '{self.name}' has no output: every tensor is read by another line",
                "name what leaves it: `outputs: [Z]`",
                ("cascade",),
            )

    @classmethod
    def parse(
        cls, lines: Iterable[str], ranks: Mapping[str, int], name: str = "cascade", **parts: Any
    ) -> Cascade:
        """The cascade of ``lines``; ``parts`` are further attributes.

        >>> Cascade.parse(["Z[m,n] = A[m,k] * B[k,n]"], {"M": 2, "N": 3, "K": 4}).operations()
        {'mac': 24}
        """
        return cls(name, ranks, tuple(Einsum.parse(line) for line in lines), **parts)

    def with_ranks(self, **ranks: int) -> Cascade:
        """The same cascade with other sizes of ranks or of sub-ranks: ``with_ranks(P=128, M0=64)``."""
        split = {
            rank: tuple((sub, ranks.get(sub, size)) for sub, size in subs)
            if any(sub in ranks for sub, _ in subs)
            else subs
            for rank, subs in self.split.items()
        }
        subs = {sub for parts in self.split.values() for sub, _ in parts}
        for rank in ranks:
            if rank not in self.ranks and rank not in subs:
                raise SpecError(
                    f"the cascade '{self.name}' has no rank '{rank}'",
                    f"ranks: {', '.join((*self.ranks, *subs))}",
                )
        whole = {rank: ranks.get(rank, size) for rank, size in self.ranks.items()}
        return replace(self, ranks=whole, split=split)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (
            {
                "name": self.name,
                "ranks": dict(self.ranks),
                "einsums": self.einsums,
                "split": dict(self.split),
                "bits": dict(self.bits),
                "weights": self.weights,
                "operators": {k: dict(v) for k, v in self.operators.items()},
                "repeat": self.repeat,
                "init": dict(self.init),
                "pad": dict(self.pad),
                "shapes": dict(self.shapes),
                "outputs": self.outputs,
            },
        )

    def __hash__(self) -> int:
        return hash((self.name, self.einsums, tuple(sorted(self.ranks.items()))))

    # -- tensors

    @property
    def facts(self) -> Facts:
        """Extents, shapes, producers and order of execution, as the checks found them."""
        return self._facts  # type: ignore[attr-defined, no-any-return]

    @property
    def extents(self) -> Mapping[str, int]:
        """Size of every rank and sub-rank, and of every rank variable in use.

        Raises:
            SpecError: A sub-rank's size is `auto`.
        """
        self._require_sizes()
        return self.facts.extents

    def _require_sizes(self) -> None:
        if self.facts.unsized:
            names = ", ".join(self.facts.unsized)
            raise SpecError(
                f"the sub-ranks {names} of the cascade '{self.name}' have no size yet",
                f"give a number in split, for example {self.facts.unsized[0]}: 256, or let the mapper choose",
                ("split",),
            )

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        """Every tensor, in order of appearance."""
        return unique(name for einsum in self.einsums for name in (einsum.output.tensor, *einsum.tensors))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Tensors that no line computes."""
        return tuple(name for name in self.tensors if name not in self.facts.producers)

    @cached_property
    def intermediates(self) -> tuple[str, ...]:
        """Tensors that are computed and do not leave the cascade."""
        return tuple(
            name for name in self.tensors if name in self.facts.producers and name not in self.outputs
        )

    @cached_property
    def weight_tensors(self) -> tuple[str, ...]:
        """Tensors with the role `weights`: declared, or the workload inputs that stand last in a product."""
        if self.weights is not None:
            return self.weights
        return unique(name for einsum in self.einsums for name in einsum.last_factors if name in self.inputs)

    def roles(self, tensor: str) -> tuple[str, ...]:
        """Roles of a tensor, the most specific first: weights, inputs, outputs, intermediates."""
        found = (
            ("weights", self.weight_tensors),
            ("inputs", self.inputs),
            ("outputs", self.outputs),
            ("intermediates", self.intermediates),
        )
        return tuple(role for role, members in found if tensor in members)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Coordinates of each dimension; a tensor with generations has its extent plus the lag."""
        self._require_sizes()
        return self.facts.shapes[tensor]

    def size(self, tensor: str) -> int:
        """Elements of the whole tensor."""
        size = 1
        for extent in self.shape(tensor):
            size *= extent
        return size

    def bits_of(self, tensor: str) -> Fraction:
        """Width of an element: by name, else by role, else the default."""
        for key in (tensor, *self.roles(tensor), "default"):
            if key in self.bits:
                return self.bits[key]
        return DEFAULT_BITS

    # -- what others do with it

    def graph(self) -> networkx.DiGraph:
        """Nodes are tensors with their ``role``; an edge leads from a tensor to one computed from it.

        Edges have ``einsum`` (the line's name) and ``generation`` (whether the read is of an earlier
        generation, so that the graph without those edges has no cycle).
        """
        import networkx  # noqa: PLC0415 - 100 ms that `einloom --help` does not need

        graph: networkx.DiGraph = networkx.DiGraph()
        for tensor in self.tensors:
            graph.add_node(tensor, role=self.roles(tensor)[0])
        for line, einsum in enumerate(self.einsums):
            for tensor in einsum.tensors:
                later = self.facts.producers.get(tensor, (-1,))[-1] >= line
                graph.add_edge(tensor, einsum.output.tensor, einsum=einsum.name, generation=later)
        return graph

    def sized(self) -> tuple[SizedEinsum, ...]:
        """Each Einsum with its extents, ready to be mapped and counted.

        Each distinct reference (tensor and indices with their offsets) is one access. A generation is a
        coordinate like any other: ``m1`` runs over its rank. A padded tensor counts with the bounding box of
        its indices, padding included, and a guarded reduction with all its points; both say so in ``notes``.

        Raises:
            SpecError: A sub-rank has no size, or an Einsum reads tensors outside of its reduction or has two
                reductions (split it into two lines).
        """
        return self._sized

    @cached_property
    def _sized(self) -> tuple[SizedEinsum, ...]:
        return counting.sized(self)

    def operations(self) -> dict[str, int]:
        """Executions of each elementary operator, all Einsums, one copy."""
        return counting.operations(self)

    def compulsory_traffic(self) -> counting.Traffic:
        """What must cross the outermost memory at least: touched inputs once in, outputs once out."""
        return counting.compulsory_traffic(self)

    def operational_intensity(self) -> float:
        """Operations per byte of compulsory traffic.

        Source:
            Williams et al., CACM 52(4), 2009, doi:10.1145/1498765.1498785.
        """
        return float(sum(self.operations().values()) / (self.compulsory_traffic().bits / 8))

    def run(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """Every tensor that the cascade computes. See `einloom.workloads.interpreter.run`."""
        from einloom.workloads.interpreter import run  # noqa: PLC0415 - it imports this module

        return run(self, inputs)

    def __str__(self) -> str:
        return "\n".join(map(str, self.einsums))


@dataclass(frozen=True)
class Workload:
    """One computation: a kernel, or a network as several cascades that run in order.

    Attributes:
        name: Of the kernel or the network.
        cascades: With distinct names; each counts ``repeat`` times.
    """

    name: str
    cascades: tuple[Cascade, ...]

    def __post_init__(self) -> None:
        names = [cascade.name for cascade in self.cascades]
        if not names:
            raise SpecError(f"the workload '{self.name}' has no cascade", "write `cascade:` or `parts:`")
        for name in names:
            if names.count(name) > 1:
                raise SpecError(
                    f"two parts of the workload '{self.name}' are named '{name}'",
                    "give each part a name of its own",
                )

    @property
    def repeat(self) -> int:
        """Copies of the only cascade; 1 for a network, whose parts repeat one by one."""
        return self.cascades[0].repeat if len(self.cascades) == 1 else 1

    def cascade(self, name: str) -> Cascade:
        """The part of that name."""
        for cascade in self.cascades:
            if cascade.name == name:
                return cascade
        raise SpecError(
            f"the workload '{self.name}' has no part '{name}'",
            f"parts: {', '.join(c.name for c in self.cascades)}",
        )

    def operations(self) -> dict[str, int]:
        """Executions of each elementary operator, all parts with their repeats."""
        total: dict[str, int] = {}
        for cascade in self.cascades:
            for operator, count in cascade.operations().items():
                total[operator] = total.get(operator, 0) + count * cascade.repeat
        return total

    def compulsory_bits(self) -> Fraction:
        """Compulsory traffic of all parts with their repeats, each part on its own."""
        return sum((c.compulsory_traffic().bits * c.repeat for c in self.cascades), Fraction(0))

    def operational_intensity(self) -> float:
        """Operations per byte of compulsory traffic."""
        return float(sum(self.operations().values()) / (self.compulsory_bits() / 8))


def _rebuild(parts: dict[str, Any]) -> Cascade:
    return Cascade(**parts)


def _place(problem: Problem) -> tuple[int, int, int]:
    line = problem.path[1] if problem.path[0] == "cascade" and len(problem.path) > 1 else None
    return (1, int(line), problem.offset) if line is not None else (0, 0, 0)


def _check_numbers(cascade: Cascade) -> None:
    """Sizes, widths and repeats are in range."""
    problems: list[Problem] = []
    for rank, size in cascade.ranks.items():
        if size < 1:
            problems.append(
                Problem(f"the rank {rank} is {size}", "a rank has a size of at least 1", ("ranks", rank))
            )
    for rank, subs in cascade.split.items():
        for sub, part in subs:
            if part is not None and part < 1:
                problems.append(
                    Problem(
                        f"the sub-rank {sub} is {part}",
                        "a sub-rank has a size of at least 1",
                        ("split", rank),
                    )
                )
    for tensor, width in cascade.bits.items():
        if width <= 0:
            problems.append(Problem(f"{tensor} has {width} bits", "write a number above 0", ("bits", tensor)))
    if cascade.runs < 1 or cascade.repeat % cascade.runs:
        problems.append(Problem(f"{cascade.runs} runs of {cascade.repeat}", "runs divide `repeat`", ("runs",)))
    if cascade.repeat < 1:
        problems.append(
            Problem(f"repeat is {cascade.repeat}", "write a whole number of at least 1", ("repeat",))
        )
    if not cascade.einsums:
        problems.append(
            Problem("the cascade is empty", "add a line: - Z[m,n] = sum{k}(A[m,k] * B[k,n])", ("cascade",))
        )
    if problems:
        raise SpecError(problems)
