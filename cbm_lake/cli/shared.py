"""What every command uses: the consoles, the common options, tables of rows, progress bars."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from cbm_lake.cards import CARDS
from cbm_lake.cli import dataset
from cbm_lake.errors import InvalidInputError, LakeError
from cbm_lake.files import decimals

if TYPE_CHECKING:
    import pyarrow as pa

_SHORT: Final = 10
"""Characters that are not divided into lines: a date."""
_ON_A_SCREEN: Final = 200
"""Rows of a table that a terminal shows."""
_WIDEST: Final = 1_000_000
"""Characters in a line, where no terminal says how many."""

out = Console()
err = Console(stderr=True)

Aoi = Annotated[
    str,
    typer.Option(
        "--aoi",
        default_factory=str,
        callback=dataset.area,
        show_default="set.dataset of the settings, else the lake's only area",
        help="Area, for instance ms.",
    ),
]
Year = Annotated[
    int,
    typer.Option(
        "--year",
        default_factory=int,
        callback=dataset.year,
        show_default="set.ds_year of the settings, else the area's only year",
        help="Year of the declaration.",
    ),
]
NewAoi = Annotated[str, typer.Option("--aoi", help="Area, for instance ms.")]
"""Of what is written for the first time: never one that nobody named."""
NewYear = Annotated[int, typer.Option("--year", help="Year of the declaration.")]
Ptype = Annotated[str | None, typer.Option("--ptype", help="Which of several parcel sets; without it the main one.")]
Start = Annotated[str, typer.Option("--start", help="First day, 2024-03-01.")]
End = Annotated[str, typer.Option("--end", help="Last day, included.")]
_TITLES: Final = ", ".join(f"{card.name} ({card.title})" for card in CARDS.values())
CARD_NAMES: Final = f"{', '.join([*CARDS][:-1])} or {[*CARDS][-1]}"
"""For help: s2, bs, … or the last."""
CardName = Annotated[str, typer.Option("--card", help=f"{_TITLES}.")]


class Format(StrEnum):
    """How rows are shown."""

    table = "table"
    csv = "csv"
    json = "json"


Shown = Annotated[Format, typer.Option("--format", help="How rows are shown.")]


def params(pairs: list[str] | None, option: str = "--param") -> dict[str, Any]:
    """name=value options; null, true, false, lists and quoted text are read as JSON.

    Everything else is text, which SQL takes as a number where it wants one: a pid 0012 or 1200 stays as written.
    """
    values: dict[str, Any] = {}
    for pair in pairs or []:
        name, sign, text = pair.partition("=")
        if not sign:
            raise InvalidInputError(f"{option} {pair!r} is not of the form name=value")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        values[name] = text if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    return values


def numbers(text: str) -> tuple[float, ...]:
    """The numbers of a box written as west,south,east,north."""
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as error:
        raise InvalidInputError(f"{text!r} is no box; write west,south,east,north in degrees") from error


def show(
    rows: pa.Table,
    output: Format,
    title: str | None = None,
    *,
    digits: Mapping[str, int] | None = None,
    folded: bool = False,
) -> None:
    """Print rows to standard output: as a table (of 200 rows at most on a terminal), CSV, or one JSON object a line.

    Nothing is cut off: a table that is wider than the terminal becomes one line for each value, and where the output
    goes to a file or another program, and the variable COLUMNS does not say how wide, it is as wide as it has to be.

    Args:
        rows: what is printed.
        output: how.
        title: of the table.
        digits: by column, to how many decimals a table rounds.
        folded: a table that is wider than the terminal stays one, its texts folded into several lines.
    """
    if output is Format.csv:
        import pyarrow.csv

        from cbm_lake.lake.export import text_table

        pyarrow.csv.write_csv(text_table(rows), sys.stdout.buffer)
    elif output is Format.json:
        for row in objects(rows):
            sys.stdout.write(json.dumps(row) + "\n")
    elif not rows.num_rows:
        out.print(Text(f"{title or 'answer'}: no rows"))
    else:
        most = _ON_A_SCREEN if out.is_terminal else rows.num_rows
        _print(_rounded(rows.slice(0, most), digits or {}), title, folded=folded)
        if rows.num_rows > most:
            out.print(f"… {rows.num_rows - most:,} more rows; --format csv or `export` gives all")


def objects(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as JSON takes them; of bytes their number."""
    from cbm_lake.lake.export import json_rows

    return list(json_rows(decimals.written(rows), lambda value: f"<{len(value)} bytes>"))


def say(text: str) -> None:
    """Print a sentence, folded between words where a terminal, or COLUMNS, says how wide lines are; else one line."""
    out.print(Text(" ".join(text.split())), soft_wrap=not _is_narrow())


def table_file(file: Path | None) -> Path | None:
    """Refuse a name of which rows cannot be written, before any work is done; a callback of options.

    Raises:
        InvalidInputError: its extension is of no format.
    """
    from cbm_lake.lake.export import EXTENSIONS

    if file is not None and file.suffix.lower() not in EXTENSIONS:
        raise InvalidInputError(f"{file} cannot be written; rows are written as {', '.join(EXTENSIONS)}")
    return file


def picture_file(file: Path | None) -> Path | None:
    """Refuse a name of which a picture cannot be written, before any work is done; a callback of options.

    Raises:
        InvalidInputError: its extension is of no picture.
    """
    from cbm_lake.show import style

    style.suffix(file, interactive=False)
    return file


def _is_narrow() -> bool:
    """Whether lines have a width: that of a terminal, or that of the variable COLUMNS."""
    return out.is_terminal or os.environ.get("COLUMNS", "").isdigit()


def _rounded(rows: pa.Table, digits: Mapping[str, int]) -> pa.Table:
    """Rows with numbers of some columns as texts of so many decimals."""
    for name, decimal_places in digits.items():
        if name in rows.column_names:
            values = rows[name].to_pylist()
            texts = [None if value is None else f"{value:.{decimal_places}f}" for value in values]
            rows = rows.set_column(rows.column_names.index(name), name, [texts])
    return rows


def _print(rows: pa.Table, title: str | None, *, folded: bool) -> None:
    cells = [[Text(_cell(value)) for value in row.values()] for row in decimals.written(rows).to_pylist()]
    heading = Text(title) if title else None
    table = Table(*rows.column_names, title=heading, title_justify="left")
    for row in cells:
        table.add_row(*row)
    needed = Measurement.get(out, out.options.update(max_width=_WIDEST), table).maximum
    narrow = _is_narrow()
    if needed <= out.width or (folded and narrow):
        for column, cells_of in zip(table.columns, zip(*cells, strict=True), strict=True):
            column.overflow, column.no_wrap = "fold", max(map(len, cells_of), default=0) <= _SHORT
        out.print(table)
    elif narrow:
        records = Table("", "", title=heading, title_justify="left", show_header=False)
        records.columns[1].overflow = "fold"
        for row in cells:
            for name, cell in zip(rows.column_names, row, strict=True):
                records.add_row(Text(name), cell, end_section=name == rows.column_names[-1])
        out.print(records)
    else:
        Console(width=needed).print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"  # seconds since 1970 stay whole
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


@contextmanager
def bar(title: str, *, parcels: int = 0) -> Iterator[Any]:
    """A progress bar to call with (done, total); it says the rate in parcels where their number is given.

    There is none where standard error is no terminal, and nothing is left of it where the command fails.
    """
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task(title, total=None, rate="")

        def advance(done: int, total: int) -> None:
            elapsed = progress.tasks[0].elapsed or 0
            rate = f"{done * parcels / elapsed:,.0f} parcels/s" if parcels and elapsed else ""
            progress.update(task, completed=done, total=total or None, rate=rate)

        try:
            yield advance
        except BaseException:
            progress.live.transient = True  # the error alone is to be seen
            raise


def as_options(text: str, options: Mapping[str, str]) -> str:
    """A message with the names of options (values) in the stead of Python's arguments (keys)."""
    if not options:
        return text
    names = re.compile(rf"(?<![\w/.'\"])({'|'.join(map(re.escape, options))})=(?=(\S?))")
    return names.sub(lambda match: options[match[1]] + _gap(match[2]), text)


def in_options(error: LakeError, options: Mapping[str, str]) -> str:
    """The message of an error in the words of a command: its options, or where it has none of them plain words."""
    text = str(error)
    message = as_options(text, options)
    return message if message != text else error.plain


def _gap(following: str) -> str:
    """A blank between an option and its value; none before a blank, a stop or the end."""
    return " " if following and following not in ",;.:)" else ""
