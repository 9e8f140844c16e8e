"""Parcels named by a file: a list or table of identifiers (text, CSV, Excel), or a vector file, also by its shapes.

Nothing is taken by the heading of a column alone: the column of the identifiers is the one whose values are parcels.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError, some
from cbm_lake.files import textfiles
from cbm_lake.geo import vectors
from cbm_lake.geo.vectors import sheets
from cbm_lake.geo.vectors.features import Features
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import sources
from cbm_lake.parcel.sources import ByPid, ByPolygon
from cbm_lake.parcels import PID_NAMES
from cbm_lake.parcels.columns import as_text

if TYPE_CHECKING:
    import geopandas as gpd

TEXTS: Final = (".txt", ".csv", ".tsv")
_ASKED: Final = 5
"""Values of a column that are looked for among the parcels."""
_MOST_COLUMNS: Final = 60
_MOST_SHAPES: Final = 500


@dataclass(frozen=True)
class Listed:
    """What a file holds."""

    name: str
    columns: dict[str, list[str]]
    """Texts by the headings, those of empty cells left out, each once; heading and values where it is not known which
    the first line is."""
    has_heading: bool
    """Whether the headings are known to be none of the values."""
    shapes: gpd.GeoSeries | None = None
    """Of a vector file, in degrees."""


def pids(
    file: Path, aoi: str, year: int, ptype: str | None = None, *, column: str = "", lake: Lake | None = None
) -> list[str]:
    """Identifiers of the parcels that a file names, each once, in its order.

    Args:
        file: text, CSV with any delimiter and heading, Excel, or a vector file such as GeoJSON: its column of
            identifiers, or where none of its columns holds any, the parcels that its shapes meet.
        aoi: area.
        year: of the declaration.
        ptype: which parcel set.
        column: heading of the identifiers; without it, it is found by its values.
        lake: the lake; None is what the settings say.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: it is empty; several columns hold identifiers, or none does.
        NotFoundError: no parcel meets its shapes.
    """
    source, listed = sources.here(lake), read(file)

    def is_known(pid: str) -> bool:
        try:
            return bool(source.answer(ByPid(ParcelKey(aoi, year, ptype or "", pid)))["pid"])
        except NotFoundError:
            return False

    named = identifiers_in(listed, is_known, column)
    if named is not None:
        return named
    if listed.shapes is None:
        raise InvalidInputError(
            f"none of the columns of {listed.name} ({some(listed.columns)}) holds parcels of {aoi} {year}; "
            "check area and year, or name the column"
        )
    met = [
        str(pid)
        for shape in _polygons(listed)
        for pid in source.answer(ByPolygon(aoi, year, json.dumps(shape), ptype or ""))["pid"]
    ]
    if not met:
        raise NotFoundError(f"no parcel of {aoi} {year} meets the shapes of {listed.name}; check area and year")
    return list(dict.fromkeys(met))


def identifiers_in(listed: Listed, is_known: Callable[[str], bool], column: str = "") -> list[str] | None:
    """Values of the column of identifiers; None where no column has any.

    Raises:
        InvalidInputError: the column is not there, or several fit.
    """
    if column:
        if column not in listed.columns:
            raise InvalidInputError(f"{listed.name} has no column {column!r}; it has {some(listed.columns)}")
        return listed.columns[column]
    candidates = {name: _values(listed, name, is_known) for name in [*listed.columns][:_MOST_COLUMNS]}
    counts = {name: sum(map(is_known, _spread(values))) for name, values in candidates.items()}
    best = [name for name, count in counts.items() if count and count == max(counts.values())]
    usual = [name for name, count in counts.items() if count and name.lower() in PID_NAMES]
    fitting = usual if len(usual) == 1 else best
    if len({tuple(candidates[name]) for name in fitting}) > 1:
        raise InvalidInputError(f"the columns {some(fitting)} of {listed.name} all hold parcels; say which is meant")
    if fitting:
        return candidates[fitting[0]]
    alone = [name for name in listed.columns if name.lower() in PID_NAMES] or (
        [*listed.columns] if len(listed.columns) == 1 and listed.shapes is None else []
    )
    return candidates[alone[0]] if len(alone) == 1 and listed.shapes is None else None


def _values(listed: Listed, name: str, is_known: Callable[[str], bool]) -> list[str]:
    """Values of a column; the first line is one where it may be, and is a parcel or no usual heading of a list."""
    values = listed.columns[name]
    if listed.has_heading or not name:
        return values
    is_value = is_known(name) or (
        len(listed.columns) == 1 and name.lower() not in PID_NAMES and not any(map(is_known, _spread(values)))
    )
    return list(dict.fromkeys([name, *values])) if is_value else values


def _spread(values: Sequence[str]) -> list[str]:
    """A few of the values, from everywhere."""
    return [values[number * len(values) // _ASKED] for number in range(_ASKED)] if len(values) > _ASKED else [*values]


def read(file: Path) -> Listed:
    """Read what a file holds.

    Raises:
        SourceError: it cannot be read.
        InvalidInputError: there is nothing in it.
    """
    extension = file.suffix.lower()
    if extension in TEXTS or not extension:
        return _of_text(file)
    if extension in sheets.SHEETS:
        return _of_sheets(file)
    return _of_features(file)


def _of_text(file: Path) -> Listed:
    text = textfiles.decoded(_bytes(file))
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise InvalidInputError(f"{file.name} is empty; write an identifier in each line, or a table")
    delimiter = textfiles.delimiter_of(first)
    try:
        cells = [*csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
    except csv.Error as error:  # such as a quotation mark that is never closed
        raise SourceError(f"{file.name} cannot be read as a table: {error}; save it again as CSV") from error
    rows = [row for row in ([cell.strip() for cell in line] for line in cells) if any(row)]
    if len(rows) == 1:  # identifiers beside one another
        return Listed(file.name, {"": _distinct(rows[0])}, has_heading=True)
    heading = _apart(rows[0])
    columns = {
        name: _distinct(row[number] if number < len(row) else "" for row in rows[1:])
        for number, name in enumerate(heading)
    }
    return Listed(file.name, columns, has_heading=False)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}; check the path") from error


def _apart(heading: Sequence[str]) -> list[str]:
    """Headings of which none is twice: later ones are numbered."""
    names: list[str] = []
    for name in heading:
        number = 1 + sum(name == before for before in heading[: len(names)])
        names.append(name if number == 1 else f"{name} ({number})")
    return names


def _of_sheets(file: Path) -> Listed:
    try:
        tables = sheets.tables(str(file))
    except (RuntimeError, ValueError, OSError) as error:  # of GDAL
        raise SourceError(f"{file.name} cannot be read as a workbook; save it again as .xlsx or CSV") from error
    filled = {name: table for name, table in tables.items() if table.num_columns}
    columns = {
        column if len(filled) == 1 else f"{sheet}: {column}": _texts(file.name, table, column)
        for sheet, table in filled.items()
        for column in table.column_names
    }
    if not columns:
        raise InvalidInputError(f"{file.name} is empty; write a table with identifiers")
    return Listed(file.name, columns, has_heading=False)


def _of_features(file: Path) -> Listed:
    import geopandas as gpd

    features = vectors.read(str(file))
    columns = {name: _texts(file.name, features.columns, name) for name in features.columns.column_names}
    shapes = gpd.GeoSeries(features.geometries, crs=features.crs or 4326).to_crs(4326)
    return Listed(file.name, columns, has_heading=True, shapes=shapes)


def _texts(name: str, table: pa.Table, column: str) -> list[str]:
    features = Features(name, table, pa.chunked_array([pa.nulls(table.num_rows, pa.binary())]), None)
    try:
        return _distinct(text.strip() if text else "" for text in as_text(features, column).to_pylist())
    except InvalidInputError:  # a list or struct, which is no identifier
        return []


def _distinct(texts: Sequence[str] | Iterator[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _polygons(listed: Listed) -> Iterator[object]:
    """Shapes as GeoJSON; points and lines are widened by a hair.

    Raises:
        InvalidInputError: there are very many.
    """
    import shapely

    if listed.shapes is None:
        return
    there = listed.shapes[~(listed.shapes.is_empty | listed.shapes.isna())]
    if len(there) > _MOST_SHAPES:
        raise InvalidInputError(f"{listed.name} has {len(there):,} shapes; give at most {_MOST_SHAPES}")
    for shape in there:
        is_area = shape.geom_type in ("Polygon", "MultiPolygon")
        yield json.loads(shapely.to_geojson(shape if is_area else shape.buffer(1e-7)))
