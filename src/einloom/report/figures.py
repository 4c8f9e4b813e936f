"""What every figure shares: one style sheet, colours that go with markers, and files without a date in them.

Figures are drawn at their final size. The same data gives the same bytes with the same matplotlib.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from einloom.errors import Problem, SpecError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_INCHES, PAGE_INCHES = 3.5, 7.16
"""Widths of one and of two columns of a paper."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""One for each colour of the style sheet, so that no series is told apart by colour alone."""

GREY = "#9A9A9A"
SUFFIXES = (".pdf", ".svg", ".png")

_METADATA: dict[str, dict[str, Any]] = {
    ".pdf": {"Creator": "einloom", "CreationDate": None},
    ".svg": {"Creator": "einloom", "Date": None},
    ".png": {"Software": "einloom"},
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save inside: the package's style sheet alone, whatever the user's defaults are."""
    import matplotlib as mpl  # noqa: PLC0415 - heavy

    with mpl.rc_context(), as_file(files("einloom.report") / "style.mplstyle") as sheet:
        mpl.rcdefaults()
        mpl.rcParams.update(mpl.rc_params_from_file(sheet, use_default_template=False))
        yield


def new_figure(width: float = COLUMN_INCHES, height: float = 2.6) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes, in inches. Call it inside `styled`."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def check_output(output: Path) -> Path:
    """``output``, if a figure can have its name.

    Raises:
        SpecError: The suffix is not one of `SUFFIXES`.
    """
    if output.suffix.lower() not in SUFFIXES:
        message = f"'{output.suffix}' is no format for a figure" if output.suffix else "has no suffix"
        raise SpecError(Problem(message, f"end the name in {', '.join(SUFFIXES)}", file=str(output)))
    return output


def save(figure: Figure, output: Path) -> None:
    """Write a figure; its suffix says how. Call it inside `styled`.

    Raises:
        SpecError: Unknown suffix, or the file cannot be written.
    """
    suffix = check_output(output).suffix.lower()
    content = io.BytesIO()
    figure.savefig(content, format=suffix[1:], metadata=_METADATA[suffix])
    write(output, content.getvalue())


def svg(figure: Figure) -> str:
    """A figure as an ``<svg>`` element, for a page."""
    content = io.StringIO()
    figure.savefig(content, format="svg", metadata=_METADATA[".svg"])
    text = content.getvalue()
    return text[text.index("<svg") :]


def write_csv(output: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write the data of a figure beside it.

    Raises:
        SpecError: The file cannot be written.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write(output, content.getvalue().encode())


def write(output: Path, content: bytes) -> None:
    """Write a file, making its folder.

    Raises:
        SpecError: It cannot be written.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(content)
    except OSError as error:
        raise SpecError(Problem(f"cannot be written: {error.strerror}", file=str(output))) from None
