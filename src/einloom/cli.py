"""The command line: each verb is one call of the facade.

Results go to stdout, progress and warnings to stderr. Exit 0: done; 1: the input is at fault (a message, no
traceback); 2: usage. ``--debug`` shows the traceback.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from einloom.errors import EinloomError, Problem, SpecError

OBJECTIVES = ("energy", "latency", "edp", "pareto", "pareto:MEMORY")
PLOTS = ("pareto", "ski_slope")
WIDE = 200
"""Columns of a wide table that no terminal shows."""
LISTS = ("templates", "architectures", "workloads", "designs", "components", "operators")

Result = TypeVar("Result")
Settings = tuple[str, ...]
set_option = click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE",
    help="Override a value of the design, e.g. architecture.levels.GLB.capacity=256KiB.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="einloom")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Design-space exploration for accelerators: cascades of Einsums on parameterized architectures."""
    context.obj = {"debug": debug}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    try:
        status = cli.main(args=arguments, prog_name="einloom", standalone_mode=False)
    except click.exceptions.Abort:
        return _stopped()
    except KeyboardInterrupt:
        return _stopped()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except EinloomError as error:
        if "--debug" in (sys.argv[1:] if arguments is None else arguments):
            raise
        click.echo(str(error), err=True)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left: nothing more to say
        return 1
    return status if isinstance(status, int) else 0


def _stopped() -> int:
    click.echo("stopped", err=True)
    return 130


@cli.command()
@click.argument("files", nargs=-1, required=True)
def check(files: tuple[str, ...]) -> None:
    """Report all problems of all FILES, in file order; exit 1 if there are any."""
    from einloom.api import check as check_file

    problems: list[Problem] = []
    for file in files:
        try:
            click.echo(f"{file}: {check_file(file)}, no problems")
        except EinloomError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)


@cli.command()
@click.argument("design")
@click.option("--mapping", metavar="FILE", help="A mapping that takes the place of the design's own.")
@set_option
@json_option
def evaluate(design: str, mapping: str | None, settings: Settings, as_json: bool) -> None:
    """Count cycles, words and energy of DESIGN with the mapping that it gives."""
    from einloom.api import load

    result = load(design, set=_settings(settings), mapping=mapping).evaluate()
    _show(result.to_dict(), as_json)


@cli.command("map")
@click.argument("design")
@click.option(
    "--objective", metavar=f"[{'|'.join(OBJECTIVES)}]", default="energy", show_default=True,
    callback=lambda _context, _option, value: _objective(value),
    help="What is minimized; pareto: the latency-energy front, with the occupancy of a memory where one is named.",
)  # fmt: skip
@click.option("--bounds", type=click.Choice(["clipped", "perfect"]), default="clipped", show_default=True)
@click.option("--deadline", metavar="TIME", help="For each Einsum and for trees, e.g. 10s; past it: the best, its gap.")
@click.option("--fusion/--no-fusion", default=True, show_default=True, help="Look for fused trees of a cascade too.")
@click.option("--no-cache", is_flag=True, help="Search for every Einsum, also where its best mapping is known.")
@set_option
@json_option
def map_(
    design: str, objective: str, bounds: Any, deadline: str | None, fusion: bool, no_cache: bool, settings: Settings,
    as_json: bool,
) -> None:  # fmt: skip
    """Find the best mapping of DESIGN: of every Einsum, and of the cascade as a whole."""
    from einloom.api import load

    seconds = None if deadline is None else _seconds(deadline)
    loaded = load(design, set=_settings(settings))
    with _progress("mapping", shown=not as_json and sys.stderr.isatty()) as progress:
        result = _interruptible(
            lambda: loaded.map(
                objective, bounds, deadline_s=seconds, reuse=not no_cache, progress=progress, fusion=fusion
            )
        )
    _show(result.to_dict(), as_json)


@cli.command()
@click.argument("workload")
@click.option("--capacity", metavar="SIZE", help="Fast memory for the I/O bounds, e.g. 128KiB or '4096 words'.")
@set_option
@json_option
def analyze(workload: str, capacity: str | None, settings: Settings, as_json: bool) -> None:
    """Passes, live elements, recurrences and I/O bounds of WORKLOAD: a workload file or a design."""
    from einloom.api import analyze as analyzed
    from einloom.report.analysis import analysis_table

    result = analyzed(workload, capacity=capacity, set=_settings(settings)).to_dict()
    _print(analysis_table(result)) if not as_json else _print_json(result)


@cli.command()
@click.argument("search")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that evaluate.")
@click.option("--new", is_flag=True, help="Start over; what was there is kept beside.")
@click.option("--dry-run", is_flag=True, help="Print the sweep, its size and a time estimate.")
@json_option
def explore(search: str, workers: int, new: bool, dry_run: bool, as_json: bool) -> None:
    """Run or continue the study of the file SEARCH, in results/<study>/."""
    from einloom import api
    from einloom.report.tables import dry_run_table, study_table

    if dry_run:
        from einloom.search.study import dry_run as estimate

        plan, build = api.load_study_plan(search)
        dry = estimate(plan, build, workers=workers)
        _print(dry_run_table(dry)) if not as_json else _print_json(dry.to_dict())
        return
    try:
        result = api.explore(search, workers=workers, new=new)
    except KeyboardInterrupt:
        click.echo("what was finished is kept, the same command continues", err=True)
        raise
    _print(study_table(result)) if not as_json else _print_json(result.to_dict())


@cli.command()
@click.argument("what", metavar="STUDY|WORKLOAD|DESIGN")
@click.option(
    "--kind", type=click.Choice(PLOTS), default=PLOTS[0], show_default=True,
    help="The front of a study; or traffic against buffer size of a workload or design, with its lower bound.",
)  # fmt: skip
@click.option("--x", default="", help="Metric on the x axis, e.g. latency_s; default: the first objective.")
@click.option("--y", default="", help="Metric on the y axis, e.g. energy_j; default: the second objective.")
@click.option("--by", default=None, help="Parameter that chooses marker and colour.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help=".pdf, .svg or .png; CSV beside it.")
@click.option(
    "--deadline", metavar="TIME", default="10s", show_default=True,
    help="ski_slope: time for each Einsum at each size; past it the best mapping found and its gap.",
)  # fmt: skip
@set_option
def plot(
    what: str, kind: str, x: str, y: str, by: str | None, output: Path | None, deadline: str, settings: Settings
) -> None:
    """Draw the Pareto front of STUDY (a folder, or a name in results/), or a ski slope, for a paper."""
    if kind == "ski_slope":
        if x or y or by:
            raise click.UsageError("--x, --y and --by are for --kind pareto: a ski slope has its own axes")
        click.echo("\n".join(map(str, _ski_slope(what, output or Path("slope.pdf"), deadline, settings))))
        return
    if settings:
        raise click.UsageError("--set is for --kind ski_slope: a study keeps the values that it was run with")
    from einloom.report.pareto import plot as draw
    from einloom.search.study import load_study

    folder = _study_folder(what)
    figure, table = draw(load_study(folder), x, y, output or Path("front.pdf"), by=by)
    click.echo(f"{figure}\n{table}")


def _ski_slope(what: str, output: Path, deadline: str, settings: Settings) -> tuple[Path, Path]:
    from einloom.api import ski_slope
    from einloom.report.figures import check_output
    from einloom.report.ski_slope import plot_ski_slope

    seconds, values = _seconds(deadline), _settings(settings)
    check_output(output)
    slope = _interruptible(lambda: ski_slope(what, set=values, deadline_s=seconds))
    return plot_ski_slope(slope, output)


@cli.command()
@click.argument("what")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True)
def report(what: str, output: Path) -> None:
    """Write one self-contained page about a STUDY, or a DESIGN with its mapping."""
    from einloom.report.html import evaluation_page, study_page, write_page

    if _is_study(what):
        from einloom.search.study import load_study

        page = study_page(load_study(_study_folder(what)))
    else:
        from einloom.api import load

        page = evaluation_page(load(what).evaluate().to_dict())
    click.echo(write_page(page, output))


@cli.command()
@click.argument("designs", nargs=-1, metavar="[DESIGN]...")
@click.option(
    "--workers", type=click.IntRange(min=1), default=None, help="Processes that run cases; default: one a processor."
)
@json_option
def validate(designs: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Hold DESIGNs (files or folders; none: all) to their published figures; exit 1 if a tolerance breaks."""
    from einloom.report.validation import summary, validation_tables
    from einloom.validating import validate as validated

    with _progress("validating", shown=not as_json and sys.stderr.isatty()) as progress:
        found = validated(designs, workers=workers or _processors(), progress=progress)
    rows = found.to_dict()
    if as_json:
        _print_json(rows)
    else:
        for table in validation_tables(rows):
            _print(table, wide=True)
        click.echo(summary(rows))
    if not found.ok:
        raise SpecError(found.problems)


@cli.group()
def new() -> None:
    """Write the files of something new, to be changed into one's own."""


@new.command("template")
@click.argument("name")
@click.option("--into", default=".", metavar="FOLDER", show_default=True, help="Where the folder NAME is made.")
def new_template(name: str, into: str) -> None:
    """A package with the template NAME: module, design, search, tests and README; it works as it stands."""
    from einloom.scaffold import new_template as write

    written = write(name, into)
    folder = written[0].parent
    click.echo("\n".join(map(str, written)))
    click.echo(f"\ncd {folder} && python3 -m pip install -e '.[test]' && python3 -m pytest", err=True)


@cli.command("list")
@click.argument("what", type=click.Choice(LISTS))
@json_option
def list_(what: str, as_json: bool) -> None:
    """Show what einloom knows: templates, catalogue files, components, operators."""
    from einloom.listing import listing

    rows = listing(what)
    if as_json:
        _print_json({"version": 1, what: [{"name": name, "what": text, "from": source} for name, text, source in rows]})
        return
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, text, source in rows:
        click.echo(f"{name:<{width}}  {text}" + (f"  [{source}]" if source else ""))


def _processors() -> int:
    """Processors that this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _interruptible(work: Callable[[], Result]) -> Result:
    """``work()`` in a thread of its own: compiled code does not listen to Ctrl-C, waiting for it does."""
    from threading import Thread

    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised again where it is waited for
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _settings(texts: Settings) -> dict[str, Any]:
    from einloom.spec.overrides import parse_setting

    return dict(parse_setting(text) for text in texts)


def _objective(text: str) -> str:
    """One of `OBJECTIVES`; whether there is that memory, the design says."""
    head, colon, memory = text.partition(":")
    if head not in OBJECTIVES or (colon and (head != "pareto" or not memory)):
        raise click.BadParameter(f"'{text}' is not one of {', '.join(OBJECTIVES)}", param_hint="--objective")
    return text


def _seconds(text: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min)?\s*", text)
    if match is None:
        message = f"'{text}' is not a time; write for example 10s, 500ms or 2min"
        raise click.BadParameter(message, param_hint="--deadline")
    return float(match[1]) * {"ms": 0.001, "s": 1.0, "min": 60.0}[match[2] or "s"]


def _is_study(name: str) -> bool:
    return any((folder / "journal.log").is_file() for folder in (Path(name), Path("results") / name))


def _study_folder(name: str) -> Path:
    folder = Path("results") / name
    return folder if folder.is_dir() and not (Path(name) / "journal.log").is_file() else Path(name)


def _show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(result)
        return
    from einloom.report.tables import evaluation_table, front_table

    _print(front_table(result["front"]) if "front" in result else evaluation_table(result))


def _print(renderable: Any, *, wide: bool = False) -> None:
    """On the terminal; ``wide``: in a file or a pipe, lines are as long as they must be."""
    from rich.console import Console

    console = Console()
    Console(width=WIDE if wide and not console.is_terminal else None).print(renderable)


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=1, allow_nan=False))


@contextmanager
def _progress(verb: str, *, shown: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar on stderr: what is being done, and how many are."""
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn(verb + " {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(name: str, done: int, total: int) -> None:
            bar.update(task, description=name, completed=done, total=total, refresh=True)

        yield progress


if __name__ == "__main__":
    sys.exit(main())
