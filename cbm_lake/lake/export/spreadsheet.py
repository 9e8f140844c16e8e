"""Excel export, row by row in bounded memory: texts stay texts, dates are dates, and the header row is frozen."""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException
from xlsxwriter.worksheet import Worksheet

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.lake.export import values
from cbm_lake.lake.export.formats import XLSX, Rows, refuse

log = logging.getLogger(__name__)

ROWS: Final = 1_048_575
"""Rows of a sheet below its header."""
COLUMNS: Final = 16_384
TEXT: Final = 32_767
"""Characters of a cell."""
_LARGEST: Final = 10**15
"""Numbers from here on have digits that Excel does not show."""
_WIDEST: Final = 60
_FIRST_DAY: Final = datetime.date(1900, 3, 1)
"""Excel counts a 29 February 1900; from the day after on its days are those of the calendar."""

_Change = Callable[[str, Any], "_Cell"]
"""From the name of a column and a value of its type to a cell."""
_Cell = None | bool | int | float | str | datetime.date | datetime.time


def write(rows: Rows, path: Path, *, neutralise: bool) -> int:
    """Write a workbook; returns how many rows. More of them than a sheet takes go on in the next sheet.

    Texts are never formulas; with `neutralise` those that begin as one does stay texts when their cell is edited too.

    Raises:
        InvalidInputError: more columns than a sheet has, or a text longer than a cell takes.
    """
    if len(rows.schema) > COLUMNS:
        raise InvalidInputError(f"{len(rows.schema):,} columns are more than the {COLUMNS:,} of Excel; select fewer")
    options = {"constant_memory": True, "tmpdir": str(path.parent), "use_zip64": True}
    workbook = _Workbook(xlsxwriter.Workbook(str(path), options), rows.schema, neutralise=neutralise)
    try:
        for batch in rows.batches:
            workbook.add(batch)
        workbook.close()
    except XlsxWriterException as error:
        raise SourceError(f"cannot write {path.name}: {error}; check the folder and the free space") from error
    finally:
        workbook.release()
    workbook.tell(path.name)
    return workbook.rows


class _Workbook:
    """A workbook that gets batches of rows."""

    def __init__(self, book: xlsxwriter.Workbook, schema: pa.Schema, *, neutralise: bool) -> None:
        self.rows = 0
        self._book, self._schema = book, schema
        self._as_text: set[str] = set()
        self._blank: set[str] = set()
        self._nulls: set[str] = set()
        self._sheets = 0
        self._row = 0
        self._sheet: Worksheet | None = None
        self._header = book.add_format({"bold": True, "quote_prefix": True})
        self._quoted = book.add_format({"quote_prefix": True}) if neutralise else None
        self._formats = {
            datetime.date: book.add_format({"num_format": "yyyy-mm-dd"}),
            datetime.datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            datetime.time: book.add_format({"num_format": "hh:mm:ss"}),
        }

    def add(self, batch: pa.RecordBatch) -> None:
        """Write the rows of a batch."""
        columns: list[list[_Cell]] = []
        self._nulls |= values.without_json(batch, nested=True)

        def cells(field: pa.Field, column: pa.Array) -> pa.Array:
            columns.append(self._cells(field.name, values.text_of(field, column)))
            return column

        values.replaced(batch, cells, XLSX.name)
        for cell_row in zip(*columns, strict=True):
            if self._sheet is None or self._row == ROWS:
                self._sheet = self._next_sheet(columns)
            self._row += 1
            self.rows += 1
            for number, cell in enumerate(cell_row):
                self._put(self._sheet, number, cell)

    def close(self) -> None:
        """Complete the file, also that of no rows."""
        if self._sheet is None:
            self._next_sheet([[] for _ in self._schema.names])
        self._book.close()

    def release(self) -> None:
        """Close the files of sheets that were not completed."""
        for sheet in self._book.worksheets():
            with suppress(OSError):  # a full disk once more
                sheet.row_data_fh.close()

    def tell(self, name: str) -> None:
        """Warn of what is in the workbook in another form than in the lake."""
        if self._as_text:
            columns = ", ".join(sorted(self._as_text))
            log.warning(
                "%s: numbers of more than 15 digits and days before 1900-03-01, not known to Excel, are text in %s",
                name,
                columns,
            )
        if self._blank:
            columns = ", ".join(sorted(self._blank))
            log.warning("%s: NaN and infinity, which Excel does not know, are empty cells in %s", name, columns)
        values.warn_of_nulls(name, self._nulls)
        if self._sheets > 1:
            log.warning("%s: %s rows fill %d sheets of at most %s", name, f"{self.rows:,}", self._sheets, f"{ROWS:,}")

    def _next_sheet(self, columns: list[list[_Cell]]) -> Worksheet:
        self._sheets += 1
        self._row = 0
        sheet = self._book.add_worksheet("rows" if self._sheets == 1 else f"rows {self._sheets}")
        for number, (name, cells) in enumerate(zip(self._schema.names, columns, strict=True)):
            longest = max((len(str(cell)) for cell in cells[:1000] if cell is not None), default=0)
            sheet.set_column(number, number, min(max(longest, len(name)) + 2, _WIDEST))
            sheet.write_string(0, number, name, self._header)
        sheet.freeze_panes(1, 0)
        return sheet

    def _put(self, sheet: Worksheet, column: int, cell: _Cell) -> None:
        if cell is None:
            return
        if isinstance(cell, str):
            risky = self._quoted if self._quoted and cell[:1] in values.SIGNS else None
            sheet.write_string(self._row, column, cell, risky)
        elif isinstance(cell, bool):
            sheet.write_boolean(self._row, column, cell)
        elif isinstance(cell, (int, float)):
            sheet.write_number(self._row, column, cell)
        else:
            sheet.write_datetime(self._row, column, cell, self._formats[type(cell)])

    def _cells(self, name: str, column: pa.Array) -> list[_Cell]:
        """The values of a column as Excel has them; which became text or nothing is remembered."""
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us"), safe=False)  # UTC, for Excel has no zones
        if pa.types.is_float32(kind):
            column = column.cast(pa.string()).cast(pa.float64())  # 0.1, not 0.10000000149011612
        cells = column.to_pylist()
        if pa.types.is_string(kind):
            return _texts(name, cells)
        change = self._changer(kind)
        return cells if change is None else [None if cell is None else change(name, cell) for cell in cells]

    def _changer(self, kind: pa.DataType) -> _Change | None:
        if pa.types.is_boolean(kind) or pa.types.is_time(kind) or pa.types.is_null(kind):
            return None
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            return self._day
        return self._real if pa.types.is_floating(kind) else self._exact

    def _real(self, name: str, value: float) -> _Cell:
        if not math.isfinite(value):
            self._blank.add(name)
            return None
        return value if float(f"{value:.16G}") == value else _Exact(value)

    def _exact(self, name: str, value: int | Decimal) -> _Cell:
        digits = Decimal(value).normalize().as_tuple().digits
        if len(digits) <= 15 and -_LARGEST < value < _LARGEST:
            return value if isinstance(value, int) else float(value)
        self._as_text.add(name)
        return f"{value:f}" if isinstance(value, Decimal) else str(value)

    def _day(self, name: str, value: datetime.date) -> _Cell:
        day = value.date() if isinstance(value, datetime.datetime) else value
        if day >= _FIRST_DAY:
            return value
        self._as_text.add(name)
        return value.isoformat()


class _Exact(float):
    """A number that XlsxWriter, which formats to 16 digits, writes with all of its digits."""

    def __format__(self, _: str) -> str:
        return repr(float(self))


def _texts(name: str, cells: list[str | None]) -> list[_Cell]:
    for cell in cells:
        if cell is not None and len(cell) > TEXT:
            raise refuse(name, XLSX.name, f"a text has {len(cell):,} characters, a cell takes {TEXT:,}")
        if cell is not None and cell.startswith("<r>") and cell.endswith("</r>"):
            raise refuse(name, XLSX.name, "a text from <r> to </r> is formatting there")
    return list(cells)
