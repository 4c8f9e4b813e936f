"""One self-contained page for a study or an evaluated design: no script, no network, SVG inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from einloom.report.figures import new_figure, styled, svg, write
from einloom.report.pareto import draw_pareto, pareto_data
from einloom.report.tables import Grid, evaluation_tables, is_number, study_table
from einloom.search.result import StudyResult

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
th { border-bottom: 1px solid #888; text-align: left; } th, td { padding: 0.2rem 0.7rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr:nth-child(even) td { background: #f6f6f6; } p.note { color: #555; }
pre { background: #f6f6f6; padding: 0.7rem; }
figure { margin: 1rem 0; } figure svg { width: 36rem; max-width: 100%; height: auto; }
"""


def study_page(result: StudyResult, x: str = "", y: str = "") -> str:
    """A study: its question, the figure of its front, the table of its front.

    Raises:
        SpecError: Unknown metric, or no feasible design to draw.
    """
    data = pareto_data(result, x, y)
    with styled():
        figure, ax = new_figure()
        draw_pareto(data, ax)
        drawn = svg(figure)
    counts = f"{len(data.front)} designs in front, {len(data.dominated)} behind"
    caption = f"{data.y.label} against {data.x.label}: {counts}."
    space = Grid(
        "Design space",
        ("parameter", "values"),
        tuple((dimension.path, dimension.describe()) for dimension in result.plan.space.dimensions),
    )
    question = Grid(
        "Question",
        ("", ""),
        (
            *((target.direction, target.name) for target in result.plan.targets),
            *(("subject to", constraint.text) for constraint in result.plan.constraints),
            ("sampler", f"{result.plan.sampler.name}, seed {result.plan.sampler.seed}"),
            *((name, f"sha256 {digest}") for name, digest in result.plan.files),
        ),
    )
    picture = f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"
    front = study_table(result, rows=len(result.front))
    return _page(result.plan.name, [picture, *map(_table, (front, question, space))])


def evaluation_page(result: Mapping[str, Any]) -> str:
    """An evaluated design (the JSON object of ``evaluate`` and ``map``): its tables and its mapping."""
    tables = [_table(grid) for grid in evaluation_tables(result)]
    mapping = result.get("mapping")
    lines = "\n".join(_lines(mapping)) if mapping else ""
    text = f"<h2>Mapping</h2><pre>{escape(lines)}</pre>" if lines else ""
    return _page(str(result.get("design", "design")), [*tables, text])


def write_page(page: str, output: Path) -> Path:
    """Write a page.

    Raises:
        SpecError: It cannot be written.
    """
    write(output, page.encode())
    return output


def _page(title: str, parts: Sequence[str]) -> str:
    name = escape(title)
    head = f'<meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body><h1>{name}</h1>\n' + "\n".join(
        [*parts, "</body></html>\n"]
    )


def _table(grid: Grid) -> str:
    kinds = [
        ' class="number"' if grid.rows and all(is_number(row[index]) for row in grid.rows) else ""
        for index in range(len(grid.header))
    ]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, grid.header, strict=True))
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in grid.rows
    )
    title = f"<h2>{escape(grid.title)}</h2>" if grid.title else ""
    note = f'<p class="note">{escape(grid.note)}</p>' if grid.note else ""
    return f"{title}<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>{note}"


def _lines(node: Any, indent: str = "") -> list[str]:
    """A mapping as YAML-like lines, nested as it is."""
    if isinstance(node, Mapping):
        return [
            line for key, value in node.items() for line in (f"{indent}{key}:", *_lines(value, indent + "  "))
        ]
    if isinstance(node, list):
        return [line for item in node for line in _item(item, indent)]
    return [f"{indent}{node}"]


def _item(item: Any, indent: str) -> list[str]:
    first, *rest = _lines(item, indent + "  ") or [""]
    return [f"{indent}- {first.lstrip()}", *rest]
