"""Reads tables with geometries as text: CSV, Excel, OpenDocument."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyogrio
from pyproj import CRS

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.files.charsets import UTF_8, recoded_columns
from cbm_lake.files.textfiles import DELIMITERS, encoding_of
from cbm_lake.geo.vectors.features import Features, Opened, without
from cbm_lake.geo.vectors.shapes import column_of, of_column, srid

CSV: Final = (".csv", ".tsv")
SHEETS: Final = (".xlsx", ".xlsm", ".ods")
_BLOCK: Final = 1 << 26
"""Bytes: no row may be longer."""


def read_csv(source: Opened) -> Features:
    """Read a CSV file with all columns as text, so that "0012" keeps its zeros.

    Raises:
        InvalidInputError: no column holds geometries.
    """
    if source.layer is not None:
        raise InvalidInputError(
            f"{source.name} has no layers; leave out layer=", plain=f"{source.name} has no layers; name none"
        )
    decision = encoding_of(Path(source.path), source.encoding)
    wide = decision.codec == "utf-16"  # which pyarrow turns into UTF-8; all others have commas and ends of lines alike
    with Path(source.path).open(encoding=decision.codec, errors="replace", newline="") as file:
        first = file.readline().lstrip("\ufeff")
    delimiter = max(DELIMITERS, key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
    table = pyarrow.csv.read_csv(
        source.path,
        read_options=pyarrow.csv.ReadOptions(
            encoding="utf-16" if wide else UTF_8, column_names=names, skip_rows=1, block_size=_BLOCK
        ),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            check_utf8=wide,
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    table, damages = (table, []) if wide else recoded_columns(table, decision.codec, wide=False)
    return _features(source.name, table, (*([decision.note] if decision.note else []), *damages))


def read_sheet(source: Opened) -> Features:
    """Read the requested sheet, or the only one with geometries.

    Raises:
        InvalidInputError: no sheet does, several do, or the one asked for is not there.
    """
    if source.encoding is not None:
        raise InvalidInputError(
            f"{source.name} is always in UTF-8; leave out encoding=",
            plain=f"{source.name} is always in UTF-8; name no encoding",
        )
    names = [str(name) for name in pyogrio.list_layers(source.path)[:, 0]]
    if source.layer is not None and source.layer not in names:
        raise InvalidInputError(f"{source.name} has no sheet {source.layer!r}; its sheets: {some(names)}")
    sheets = {name: tabled for name, tabled in tables(source.path).items() if source.layer in (None, name)}
    fitting = [name for name, rows in sheets.items() if column_of(source.name, rows) is not None]
    if len(fitting) > 1:
        problem = f"{source.name}: the sheets {some(fitting)} hold geometries"
        raise InvalidInputError(
            f"{problem}; say which by layer=", plain=f"{problem}; save the one that is meant in a file of its own"
        )
    sheet = fitting[0] if fitting else next(iter(sheets))
    notes = (f"sheet {sheet} is read, the only one with geometries",) if len(names) > 1 and not source.layer else ()
    return _features(source.name, sheets[sheet], notes)


def tables(path: str) -> dict[str, pa.Table]:
    """Rows of each sheet of a workbook, geometries among them as text."""
    return {str(name): _sheet(path, str(name)) for name in pyogrio.list_layers(path)[:, 0]}


def _sheet(path: str, name: str) -> pa.Table:
    meta, table = pyogrio.read_arrow(path, layer=name, read_geometry=False, HEADERS="FORCE")
    table = table.select(range(len(meta["fields"])))
    if table.num_rows and all(re.fullmatch(r"Field\d+", column) for column in table.column_names):
        header = [str(values[0].as_py()) for values in table.columns]  # GDAL may not see it where all cells are texts
        table = table.slice(1).rename_columns(header)
    return table


def _features(name: str, table: pa.Table, notes: tuple[str, ...]) -> Features:
    number = column_of(name, table)
    if number is None:
        raise InvalidInputError(
            f"{name}: none of its columns ({some(table.column_names, 40)}) holds geometries as WKT, WKB or GeoJSON; "
            "parcels are outlines: a longitude and latitude are not enough"
        )
    geometries = of_column(table.column(number))
    code = srid(name, geometries)
    read = f"column {table.column_names[number]} is read as the geometry"
    crs = CRS.from_epsg(code) if code else None
    return Features(name, without(table, number), np.asarray(geometries), crs, (*notes, read))
