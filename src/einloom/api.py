"""The facade: designs that evaluate and map themselves, studies that explore them.

The command line and ``import einloom`` go through here; each verb is one call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from einloom.arch.engine import Program
from einloom.arch.tree import Architecture
from einloom.catalogue import find
from einloom.errors import EinloomError, MappingError, Problem, SpecError
from einloom.mapper import Mapped, Mapper, combined_front, has_auto, least_product, least_sum, proven
from einloom.mapper.choices import EngineMapper
from einloom.mapper.found import Objective, checked_objective, key_of, split_objective
from einloom.mapper.fronts import nondominated
from einloom.mapper.fusion import map_cascade
from einloom.mapper.space import divisors
from einloom.mapper.tree_bounds import fill_tree
from einloom.mapper.tree_result import TreeResult
from einloom.mapper.whole import Result, Run
from einloom.mappings import Nest, Nodes, resolved
from einloom.model.evaluate import evaluate_nest
from einloom.model.fused import Fused, evaluate_tree
from einloom.model.result import EinsumResult, Evaluation, Front, Streamed
from einloom.model.totals import total
from einloom.spec.design import LoadedDesign, check_file, load_design
from einloom.workloads import Cascade, Workload
from einloom.workloads.sized import SizedEinsum

if TYPE_CHECKING:
    from einloom.model.analysis import WorkloadAnalysis
    from einloom.model.ski_slope import SkiSlope
    from einloom.search.plan import Plan
    from einloom.search.progress import Progress
    from einloom.search.result import StudyResult

Bounds = Literal["clipped", "perfect"]
Located = TypeVar("Located")


@dataclass(frozen=True)
class Design:
    """Architecture + workload (+ mapping), ready to be evaluated or mapped. Made by `load`."""

    loaded: LoadedDesign

    @property
    def name(self) -> str:
        return self.loaded.name

    @property
    def workload(self) -> Workload:
        return self.loaded.workload

    @property
    def architecture(self) -> Architecture:
        return self.loaded.architecture

    def evaluate(self) -> Evaluation:
        """The cost of the design with the mapping it gives.

        Raises:
            MappingError: A nest is missing, illegal, or overflows a memory: every reason, with its line.
        """
        if self.architecture.engine is not None:
            return self._evaluated_choices()
        results: dict[str, EinsumResult] = {}
        streamed: dict[str, Streamed] = {}
        problems: list[Problem] = []
        for part, cascade in self._trees():
            try:
                fused = self._evaluated_tree(part, cascade)
                results |= {f"{part}.{name}" if part else name: found for name, found in fused.einsums.items()}
                streamed[part] = fused.streamed
            except MappingError as error:
                problems.extend(self.loaded.relocated(error, part).problems)
        for key, cascade, einsum in self.einsums():
            if self._in_tree(cascade):
                continue
            try:
                nest = self._nest(key, cascade, einsum)
                results[key] = evaluate_nest(einsum, self.architecture, nest, repeat=cascade.repeat)
            except MappingError as error:
                problems.extend(self.loaded.relocated(error, key).problems)
        if problems:
            raise MappingError(list(dict.fromkeys(problems)))  # what the design as a whole lacks is said once
        order = [key for key, _, _ in self.einsums()]
        ordered = {key: results[key] for key in order}
        return total(self.name, self.architecture, self.workload.repeat, ordered, streamed)

    @property
    def has_open_choices(self) -> bool:
        """Whether the machine maps by choices and the design leaves some to the mapper."""
        if self.architecture.engine is None:
            return False
        mapper = EngineMapper(self.architecture, "latency", plan=self.loaded.mapping)
        return any(self._located(partial(mapper.open_choices, program, part))
                   for part, program in self._programs)  # fmt: skip

    def _evaluated_choices(self) -> Evaluation:
        """The cost on a machine with an engine: no choice may be open."""
        mapper = EngineMapper(self.architecture, "latency", plan=self.loaded.mapping)
        still_open: dict[str, Sequence[object]] = {}
        for part, program in self._programs:
            still_open |= self._located(partial(mapper.open_choices, program, part))
        if still_open:
            shown = "; ".join(f"{name}: {', '.join(map(str, values[:6]))}" for name, values in still_open.items())
            hint = f"add `mapping: {{choices: {{{next(iter(still_open))}: ...}}}}`, or run map"
            raise MappingError(Problem(f"the design leaves choices open ({shown})", hint))
        found = self._by_choices(mapper)
        assert isinstance(found, Evaluation)
        einsums = {key: replace(e, proof=None, space=None) for key, e in found.einsums.items()}
        return replace(found, proof=None, space=None, einsums=einsums)

    def _mapped_choices(self, objective: str) -> Evaluation | Front:
        """The best choices of a machine with an engine."""
        base, memory = checked_objective(objective, self.architecture)
        asked: Objective = "pareto" if base == "edp" else base  # the best product of totals lies on the front
        return self._by_choices(EngineMapper(self.architecture, asked, memory, self.loaded.mapping), base)

    def _by_choices(self, mapper: EngineMapper, base: Objective = "latency") -> Evaluation | Front:
        if len(self.workload.cascades) > 1:
            self._located(partial(mapper.check_choices, self._programs))
        mapped = [self._located(partial(mapper.map, program, part)) for part, program in self._programs]
        if base == "pareto":
            chosen = combined_front(mapped, mapper.memory)
            return Front(tuple(self._total(c, mapped, base) for c in chosen), mapper.memory)
        return self._total(least_product(mapped) if base == "edp" else least_sum(mapped, base), mapped, base)

    @cached_property
    def _programs(self) -> tuple[tuple[str, Program], ...]:
        """(name of the part, cascade as an engine sees it); no name: the only cascade."""
        several = len(self.workload.cascades) > 1
        return tuple(
            (c.name if several else "", Program(c.name, tuple(c.sized()), c.repeat, c.runs))
            for c in self.workload.cascades
        )

    def _located(self, work: Callable[[], Located]) -> Located:
        """``work()``, what is wrong with the choices told at the mapping, all else at the architecture."""
        try:
            return work()
        except MappingError as error:
            raise self.loaded.on_engine(error) from None

    @property
    def has_open_tree(self) -> bool:
        """Whether a fused tree of the design leaves bounds to the mapper."""
        plan = self.loaded.mapping
        trees = () if plan is None else (plan.tree, *(plan.nests[part].nodes for part, _ in self._trees() if part))
        return any(has_auto(nodes) for nodes in trees)

    def _trees(self) -> Iterator[tuple[str, Cascade]]:
        """(name of the part, cascade) of everything that the design maps by a fused tree; no name: the only cascade."""
        several = len(self.workload.cascades) > 1
        for cascade in self.workload.cascades:
            if self._in_tree(cascade):
                yield cascade.name if several else "", cascade

    def _in_tree(self, cascade: Cascade) -> bool:
        plan = self.loaded.mapping
        if plan is None:
            return False
        if len(self.workload.cascades) == 1:
            return bool(plan.tree)
        return cascade.name in plan.nests

    def _evaluated_tree(self, part: str, cascade: Cascade) -> Fused:
        plan = self.loaded.mapping
        assert plan is not None
        return evaluate_tree(cascade, self.architecture, self._tree(part, cascade), ramp=plan.ramp)

    def _tree(self, part: str, cascade: Cascade, *, keep_auto: bool = False) -> Nodes:
        """The fused tree of a cascade with numbers for names."""
        plan = self.loaded.mapping
        assert plan is not None
        nodes = plan.nests[part].nodes if part else plan.tree
        numbers: dict[str, Fraction | int] = {**cascade.extents, **plan.parameters}
        return resolved(nodes, numbers, keep_auto=keep_auto)

    def _filled_tree(
        self, part: str, cascade: Cascade, objective: Objective, memory: str | None
    ) -> tuple[TreeResult, ...]:
        """The tree that the design gives, its ``auto`` bounds filled in."""
        plan = self.loaded.mapping
        assert plan is not None
        try:
            tree = self._tree(part, cascade, keep_auto=True)
            if has_auto(tree):
                return fill_tree(cascade, self.architecture, tree, objective, memory, ramp=plan.ramp)
            return (TreeResult(tree, evaluate_tree(cascade, self.architecture, tree, ramp=plan.ramp)),)
        except MappingError as error:
            raise self.loaded.relocated(error, part) from None

    def map(
        self,
        objective: str = "energy",
        bounds: Bounds = "clipped",
        deadline_s: float | None = None,
        reuse: bool = True,
        progress: Callable[[str, int, int], None] | None = None,
        fusion: bool = True,
    ) -> Evaluation | Front:
        """The best mapping of every cascade; what the design gives is kept, its ``auto`` bounds filled in.

        Args:
            objective: ``"energy"``, ``"latency"``, ``"edp"`` (of the whole design: the product of its totals);
                ``"pareto"`` gives its latency-energy front, ``"pareto:GLB"`` with the occupancy of that memory.
            bounds: ``"perfect"`` allows only bounds that multiply to the size of each rank.
            deadline_s: Time for each Einsum, and for the fused trees of each cascade; past it the best mapping found
                is given with its proven gap.
            reuse: Map equal Einsums once, and find again what was found before, by whatever process.
            progress: Told (Einsum, number done, number in all).
            fusion: Look for fused trees too; without, Einsums run one after the other.

        Raises:
            MappingError: No legal mapping, with the reason and its place; or no such objective.
        """
        if self.architecture.engine is not None:
            return self._mapped_choices(objective)
        if any(cascade.facts.unsized for cascade in self.workload.cascades):
            return self._split(objective, bounds, deadline_s, reuse, progress, fusion)
        runs = len(list(self.einsums()))
        fronts = objective == "edp" and runs > 1  # the best product of totals is not the sum of best products
        asked = "pareto" if fronts else objective
        mapper = Mapper(self.architecture, asked, perfect=bounds == "perfect", deadline_s=deadline_s, reuse=reuse)
        base, memory = split_objective(objective)
        told = 0
        mapped: list[Run] = []
        for cascade, entries in self._by_cascade():
            part = cascade.name if len(self.workload.cascades) > 1 else ""
            if self._in_tree(cascade):
                mapped.append(({part: self._filled_tree(part, cascade, *split_objective(asked))},))
                told += len(entries)
                continue
            found: dict[str, tuple[Result, ...]] = {}
            for key, einsum in entries:
                if progress:
                    progress(key, told, runs)
                found[key] = self._mapped(mapper, key, cascade, einsum).results
                told += 1
            trees: tuple[TreeResult, ...] = ()
            if fusion:
                found, trees = self._fused(cascade, found, asked, deadline_s)
            mapped.append((found, {part: trees}) if trees else (found,))
        if base == "pareto":
            points = (self._total(chosen, mapped, base) for chosen in combined_front(mapped, memory))
            return Front(tuple(points), memory)
        return self._total(least_product(mapped) if fronts else least_sum(mapped, base), mapped, base)

    def _split(self, objective: str, *rest: Any) -> Evaluation | Front:
        """The best sizes of the sub-ranks that are left to the mapper: every one that divides its rank is mapped."""
        found: list[Evaluation | Front] = []
        errors: list[EinloomError] = []
        for sizes in _split_sizes(self.workload):
            sized = Workload(self.workload.name, tuple(
                cascade.with_ranks(**sizes[cascade.name]) for cascade in self.workload.cascades
            ))  # fmt: skip
            said = ", ".join(f"{rank}={size}" for own in sizes.values() for rank, size in own.items())
            try:
                answer = Design(replace(self.loaded, workload=sized)).map(objective, *rest)
            except MappingError as error:
                errors.append(error)
                continue
            found.append(_said(answer, said))
        if not found:
            raise errors[0]
        return _best_of(found, objective)

    def _by_cascade(self) -> Iterator[tuple[Cascade, list[tuple[str, SizedEinsum]]]]:
        """Each cascade with its Einsums by key."""
        for cascade in self.workload.cascades:
            yield cascade, [(key, einsum) for key, owner, einsum in self.einsums() if owner is cascade]

    def _fused(
        self, cascade: Cascade, found: dict[str, tuple[Result, ...]], objective: str, deadline_s: float | None
    ) -> tuple[dict[str, tuple[Result, ...]], tuple[TreeResult, ...]]:
        """The best fused trees of a cascade of which no nest is given, and its Einsums one by one beside them."""
        plan = self.loaded.mapping
        if len(found) < 2 or (plan is not None and any(key in plan.nests for key in found)):
            return found, ()
        names = {key.rpartition(".")[2]: key for key in found}
        alone = {
            name: [result for result in found[key] if isinstance(result, EinsumResult)] for name, key in names.items()
        }
        base, memory = split_objective(objective)
        fusion = map_cascade(cascade, self.architecture, base, alone, deadline_s, memory)
        return {names[name]: results for name, results in fusion.alone.items()}, fusion.trees

    def _total(
        self, chosen: Mapping[str, Result], mapped: Sequence[Run], objective: Objective
    ) -> Evaluation:
        """Totals of one choice among ``mapped``, with what is proven of it."""
        results = {key: result for key, result in chosen.items() if isinstance(result, EinsumResult)}
        streamed: dict[str, Streamed] = {}
        for part, tree in chosen.items():
            if isinstance(tree, TreeResult):
                streamed[part] = tree.fused.streamed
                results |= {f"{part}.{name}" if part else name: e for name, e in tree.fused.einsums.items()}
        engine = self.architecture.engine is not None
        ordered = results if engine else {key: results[key] for key, _, _ in self.einsums()}
        whole = total(self.name, self.architecture, self.workload.repeat, ordered, streamed)
        every = {key: results for run in mapped for found in run for key, results in found.items()}
        found = proven(chosen, {key: every[key] for key in chosen}, objective)
        return replace(whole, proof=found.proof, gap=found.gap, space=found.space)

    def _mapped(self, mapper: Mapper, key: str, cascade: Cascade, einsum: SizedEinsum) -> Mapped:
        plan = self.loaded.mapping
        if plan is None or (key not in plan.nests and not plan.tree):
            try:
                return mapper.map(einsum, cascade.repeat)
            except MappingError as error:
                raise self.loaded.on_architecture(error) from None
        try:
            nest = self._nest(key, cascade, einsum, keep_auto=True)
            if has_auto(nest.nodes):
                return mapper.fill(einsum, nest, cascade.repeat)
            result = evaluate_nest(einsum, self.architecture, nest, repeat=cascade.repeat)
        except MappingError as error:
            raise self.loaded.relocated(error, key) from None
        return Mapped((result,), "the nest that the design gives", 1)

    def einsums(self) -> Iterator[tuple[str, Cascade, SizedEinsum]]:
        """(key, cascade, Einsum) in order; the key is the Einsum's name, in a network ``part.name``."""
        several = len(self.workload.cascades) > 1
        for cascade in self.workload.cascades:
            for einsum in cascade.sized():
                yield (f"{cascade.name}.{einsum.name}" if several else einsum.name), cascade, einsum

    def _nest(self, key: str, cascade: Cascade, einsum: SizedEinsum, *, keep_auto: bool = False) -> Nest:
        plan = self.loaded.mapping
        if plan is None:
            raise MappingError(Problem("the design has no mapping", "add `mapping:`, give --mapping FILE, or run map"))
        if key not in plan.nests:
            raise MappingError(Problem(f"has no nest for {key}", f"add `{key}: [...]` below `mapping:`"))
        nest = plan.nests[key]
        extents = (einsum.flattened(nest.flatten) if nest.flatten else einsum).extents
        numbers: dict[str, Fraction | int] = {**cascade.ranks, **{var.upper(): n for var, n in extents.items()}}
        numbers |= plan.parameters
        return replace(nest, nodes=resolved(nest.nodes, numbers, keep_auto=keep_auto))


def _split_sizes(workload: Workload) -> Iterator[dict[str, dict[str, int]]]:
    """Sizes of the open sub-ranks, by cascade."""
    names, choices = [], []
    for cascade in workload.cascades:
        for rank, subs in cascade.split.items():
            for sub, size in subs[1:]:
                if size is None:
                    names.append((cascade.name, sub))
                    choices.append(divisors(cascade.ranks[rank]))
    for chosen in itertools.product(*choices):
        sizes: dict[str, dict[str, int]] = {cascade.name: {} for cascade in workload.cascades}
        for (name, sub), size in zip(names, chosen, strict=True):
            sizes[name][sub] = size
        yield sizes


def _said(answer: Evaluation | Front, said: str) -> Evaluation | Front:
    """The answer with the sizes for which it stands."""
    if isinstance(answer, Front):
        return replace(answer, points=tuple(replace(p, space=f"{said}; {p.space}") for p in answer.points))
    return replace(answer, space=f"{said}; {answer.space}")


def _best_of(found: Sequence[Evaluation | Front], objective: str) -> Evaluation | Front:
    """The best of several answers to one question; what none of them can beat is the least of their bounds."""
    base, memory = split_objective(objective)
    fronts = [answer for answer in found if isinstance(answer, Front)]
    if fronts:
        points = [point for front in fronts for point in front.points]
        return Front(tuple(nondominated(points, lambda p: (float(p.cycles), p.energy_pj, _held(p, memory)))), memory)
    answers = [answer for answer in found if isinstance(answer, Evaluation)]
    best = min(answers, key=lambda e: key_of(base, e.energy_pj, float(e.cycles)))
    value = key_of(base, best.energy_pj, float(best.cycles))[0]
    bound = min((1 - e.gap) * key_of(base, e.energy_pj, float(e.cycles))[0] for e in answers)
    gap = max(0.0, 1 - bound / value) if value else 0.0
    proof = best.proof if gap < 1e-12 else "gap"
    return replace(best, gap=gap, proof=proof)


def _held(point: Evaluation, memory: str | None) -> float:
    return float(point.occupancy(memory)) if memory is not None else 0.0


def load(
    source: str | Path | Mapping[str, Any],
    *,
    set: Mapping[str, Any] | None = None,
    mapping: str | Path | None = None,
) -> Design:
    """The design in a file: the user's own path, else the catalogue's.

    Args:
        source: E.g. ``"designs/peer16_gemm.yaml"``; or plain data of the same form.
        set: Values by path, e.g. ``{"architecture.levels.GLB.capacity": "256 KiB"}``.
        mapping: A mapping file that takes the place of the design's own.

    Raises:
        SpecError: With every problem of every file that the design names.
    """
    return Design(load_design(source, set, mapping))


@dataclass
class DesignBuilder:
    """``build(overrides) -> metrics`` of a study: loads the design anew, maps it, gives its base metrics.

    Picklable: worker processes have their own copy. Files are read once in a process.

    Attributes:
        design: Path, or plain data.
        workloads: Several networks: metrics come as ``<network>.<metric>``. Empty: the design's own.
        objective: What the mapper minimizes inside a trial.
        beside: Folder to which paths inside plain data are relative.
    """

    design: str | Mapping[str, Any]
    workloads: tuple[str | Mapping[str, Any], ...] = ()
    networks: tuple[str, ...] = ()
    objective: Objective = "edp"
    beside: Path | None = None
    known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, overrides: Mapping[str, object]) -> dict[str, float]:
        if not self.workloads:
            return self._metrics(overrides)
        found: dict[str, float] = {}
        for name, workload in zip(self.networks, self.workloads, strict=True):
            metrics = self._metrics({"workload": workload, **overrides})
            found |= {f"{name}.{key}": value for key, value in metrics.items()}
            found |= {key: metrics[key] for key in ("area_um2",) if key in metrics}
        return found

    def _metrics(self, overrides: Mapping[str, object]) -> dict[str, float]:
        evaluation = self.load(overrides).map(self.objective)
        assert isinstance(evaluation, Evaluation)
        return evaluation.metrics()

    def load(self, overrides: Mapping[str, object]) -> Design:
        return Design(load_design(self.design, overrides, beside=self.beside, known=self.known))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "known": {}}


def load_study_plan(file: str | Path) -> tuple[Plan, DesignBuilder]:
    """A search file as a plan and the builder of its designs.

    Raises:
        SpecError: With every problem of the search file, or of the design that it names.
    """
    from einloom.spec.document import read  # noqa: PLC0415
    from einloom.spec.search import load_search, parts_of  # noqa: PLC0415
    from einloom.spec.study import check_space, load_designs  # noqa: PLC0415

    path = find(file)
    document = read(path)
    source, workloads = parts_of(document)
    load_search(document)  # all problems of the file itself come first
    builder = DesignBuilder(_source(source, path.parent), tuple(_source(w, path.parent) for w in workloads),
                            beside=path.parent)  # fmt: skip
    designs = load_designs(document, builder.workloads, builder.load)
    ranks = {name: size for cascade in designs[0].workload.cascades for name, size in cascade.ranks.items()}
    files = {name: text for design in designs for name, text in design.loaded.files.items()}
    plan = load_search(document, ranks).with_files(files)
    check_space(document, plan.space.dimensions, builder.workloads, builder.load)
    builder.networks = plan.networks
    builder.objective = _mapper_objective(plan)
    return plan, builder


def _source(value: Any, folder: Path) -> Any:
    return str(find(value, folder)) if isinstance(value, str) else value


def _mapper_objective(plan: Plan) -> Objective:
    """Inside a trial the mapper minimizes what the study does: energy, latency, or their product where it does both."""
    stems = {target.name.rpartition(".")[2].split("_")[0] for target in plan.targets}
    if "energy" in stems and not stems & {"latency", "cycles", "edp", "power"}:
        return "energy"
    if stems & {"latency", "cycles"} and not stems & {"energy", "edp", "power"}:
        return "latency"
    return "edp"


def explore(
    search: str | Path, *, workers: int = 1, new: bool = False, folder: Path | None = None,
    progress: Progress | bool = True,
) -> StudyResult:  # fmt: skip
    """Run or continue the study of a search file; results are kept in ``results/<study>/``.

    Raises:
        SpecError: The file or its design is at fault, or the stored study was begun with other files.
        KeyboardInterrupt: Stopped; what was finished is kept, and the same call continues.
    """
    from einloom.search.study import explore as run  # noqa: PLC0415

    plan, build = load_study_plan(search)
    return run(plan, build, folder=folder or Path("results") / plan.name, workers=workers, new=new, progress=progress)


def check(file: str | Path) -> str:
    """Read a file of any kind and everything that it names; a design with a mapping is evaluated, its tree filled in.

    Published figures of a design are read, and its cases loaded, not run.

    Returns:
        What the file is: ``search``, ``design``, ``workload``, ``architecture``, ``mapping`` or ``published``.

    Raises:
        EinloomError: With every problem.
    """
    from einloom.spec.architecture import load_architecture  # noqa: PLC0415
    from einloom.spec.document import read  # noqa: PLC0415
    from einloom.spec.files import kind_of  # noqa: PLC0415
    from einloom.spec.mapping import load_mapping  # noqa: PLC0415
    from einloom.spec.published import check_published  # noqa: PLC0415
    from einloom.spec.workload import read_workload  # noqa: PLC0415

    path = find(file)
    document = read(path)
    kind = kind_of(document)
    if kind == "search":
        load_study_plan(path)
    elif kind == "design":
        _check_design(path)
    elif kind == "published":
        _fail_with(check_published(path))
    elif kind == "workload":
        for cascade in read_workload(path).cascades:
            if not cascade.facts.unsized:
                cascade.sized()
    else:
        check_file(document, kind)
        (load_architecture if kind == "architecture" else load_mapping)(document)
    return kind


def _check_design(path: Path) -> None:
    """Load a design, evaluate it where it gives a mapping, and check its published figures: all problems together."""
    from einloom.spec.published import check_published  # noqa: PLC0415

    problems = check_published(path)
    try:
        design = load(path)
        if design.has_open_tree:
            design.map(fusion=False)
        elif design.loaded.mapping is not None and not design.has_open_choices:
            design.evaluate()
    except EinloomError as error:
        if not problems:
            raise
        problems = [*error.problems, *problems]
    files = list(dict.fromkeys([str(path), *(problem.file for problem in problems)]))
    _fail_with(sorted(problems, key=lambda p: (files.index(p.file), p.line, p.column)))


def _fail_with(problems: Sequence[Problem]) -> None:
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))


def analyze(
    source: str | Path | Mapping[str, Any], *, capacity: str | None = None, set: Mapping[str, Any] | None = None
) -> WorkloadAnalysis:
    """Passes, live footprints, recurrences and I/O lower bounds of a workload, without a machine or a mapping.

    Args:
        source: A workload file or a design, e.g. ``"workloads/attention_1pass.yaml"``.
        capacity: Size of the fast memory for the bounds, e.g. ``"128 KiB"``, ``"4096 words"``.
        set: Values by path, e.g. ``{"workload.ranks.M": 512}``.

    Raises:
        SpecError: With every problem of the file, or of the size.
    """
    from einloom.model.analysis import analyze_workload, default_bits  # noqa: PLC0415
    from einloom.spec.subject import load_subject, parse_size  # noqa: PLC0415

    workload = load_subject(source, set)
    if capacity is None:
        return analyze_workload(workload)
    size, in_words = parse_size(capacity)
    return analyze_workload(workload, lambda cascade: size * default_bits(cascade) if in_words else size)


def ski_slope(
    source: str | Path | Mapping[str, Any], *, set: Mapping[str, Any] | None = None, deadline_s: float | None = None
) -> SkiSlope:
    """Traffic against the size of the buffer: lower bounds, and the best mapping of each Einsum by itself.

    Args:
        source: A workload file or a design.
        set: Values by path.
        deadline_s: Time for each Einsum at each size; past it the best mapping found so far is taken, with its gap.

    Raises:
        SpecError: With every problem of the file; or an Einsum that is no single loop nest.
    """
    from einloom.mapper.two_level import capacities, least_traffic_bits  # noqa: PLC0415
    from einloom.model import ski_slope as model  # noqa: PLC0415
    from einloom.spec.subject import load_subject  # noqa: PLC0415

    workload = load_subject(source, set)
    sizes = capacities(Fraction(8 * 16), model.all_tensors_bits(workload))
    return model.ski_slope(workload, sizes, lambda einsum, size: least_traffic_bits(einsum, size, deadline_s))


__all__ = ["Design", "DesignBuilder", "EinloomError", "SpecError", "analyze", "check", "explore", "load",
           "load_study_plan", "ski_slope"]  # fmt: skip
