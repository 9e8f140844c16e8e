"""Export: rows of the lake as (Geo)Parquet, CSV, Arrow, Excel, GeoPackage, FlatGeobuf or GeoJSON files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from cbm_lake.errors import InvalidInputError
from cbm_lake.files import durable
from cbm_lake.lake import queries
from cbm_lake.lake.export import formats, geography, geojson, geoparquet, streamed
from cbm_lake.lake.export.formats import Format
from cbm_lake.lake.export.pseudonyms import Pseudonyms, key_of
from cbm_lake.lake.export.streamed import as_text, text_table
from cbm_lake.lake.export.values import json_rows
from cbm_lake.storage.store import translated

__all__ = [
    "EXTENSIONS",
    "Options",
    "Pseudonyms",
    "as_text",
    "check",
    "json_rows",
    "key_of",
    "statement",
    "text_table",
    "write",
]

_BATCH: Final = 20_000
"""Rows per batch in memory."""
_STREAMED: Final = {
    ".parquet": formats.PARQUET,
    ".csv": formats.CSV,
    ".arrow": formats.ARROW,
    ".feather": formats.ARROW,
    ".xlsx": formats.XLSX,
}
_GEOGRAPHIC: Final = {
    ".parquet": formats.PARQUET,
    ".geoparquet": formats.PARQUET,
    ".gpkg": formats.GEOPACKAGE,
    ".fgb": formats.FLATGEOBUF,
    ".geojson": formats.GEOJSON,
}
EXTENSIONS: Final = tuple(dict.fromkeys([*_STREAMED, *_GEOGRAPHIC]))
"""File extensions, which determine the format."""


@dataclass(frozen=True)
class Options:
    """Transformations of the rows before they are written."""

    pseudonyms: Pseudonyms | None = None
    """The pseudonyms that replace identifiers; None keeps them."""
    neutralise: bool | None = None
    """Whether texts that a spreadsheet takes for formulas are escaped; None does so only in .xlsx."""


def write(relation: duckdb.DuckDBPyRelation, path: Path, options: Options | None = None) -> int:
    """Write the rows atomically to a file whose extension determines the format; returns the number of rows.

    Rows with a geometry become GeoParquet when written as .parquet. Rows are streamed in bounded memory.

    Raises:
        InvalidInputError: unknown extension, a geographic format for rows without geometry, or a column that the format
            cannot hold; the message names it.
        SourceError: the file cannot be written.
    """
    write_one = check(relation, path, options)
    with translated("write", str(path)), queries.translated():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix="."
        ) as folder:  # also for temporary files of GDAL and others
            draft = Path(folder) / path.name
            rows = write_one(draft)
            durable.move(draft, path)
    return rows


def check(relation: duckdb.DuckDBPyRelation, path: Path, options: Options | None = None) -> Callable[[Path], int]:
    """What writes the rows in the format of a file's extension.

    Raises:
        InvalidInputError: the extension is unknown, or its format is for rows with a geometry, which these have not.
    """
    write_one = _writer(relation, path.suffix.lower(), options or Options())
    if write_one is None:
        raise InvalidInputError(
            f"cannot export to {path.name!r}: write .parquet, .csv, .arrow, .xlsx, or, for rows with a geometry, "
            ".gpkg, .fgb or .geojson"
        )
    return write_one


def statement(what: str) -> str:
    """The SQL of what is exported: a view, a named query, or SQL itself."""
    if what in queries.load():
        return queries.get(what).sql
    return f"from {what}" if what.isidentifier() else what


def _writer(relation: duckdb.DuckDBPyRelation, extension: str, options: Options) -> Callable[[Path], int] | None:
    geometries = geography.geometry_columns(relation)
    change = _pseudonymous(relation, options)
    if extension in _GEOGRAPHIC and geometries:
        kind = _GEOGRAPHIC[extension]
        return lambda draft: _write_layer(relation, kind, draft, change)
    if extension in _STREAMED:
        kind = _STREAMED[extension]
        return lambda draft: _write_rows(relation, kind, draft, change, options)
    return None


def _pseudonymous(relation: duckdb.DuckDBPyRelation, options: Options) -> geography.Change | None:
    if options.pseudonyms is None:
        return None
    pseudonyms, names = options.pseudonyms, options.pseudonyms.columns(relation.columns)
    return lambda batch: pseudonyms.replaced(batch, names)


def _write_layer(relation: duckdb.DuckDBPyRelation, kind: Format, draft: Path, change: geography.Change | None) -> int:
    layer = geography.layer(relation, kind, draft, change, degrees=kind is formats.GEOJSON)
    if kind is formats.GEOJSON:
        return geojson.write(layer, draft)
    if kind is formats.PARQUET:
        return geoparquet.write(layer, draft, geography.geometry_columns(relation)[1:])
    from cbm_lake.lake.export import vector

    return vector.write(layer, draft, kind)


def _write_rows(
    relation: duckdb.DuckDBPyRelation, kind: Format, draft: Path, change: geography.Change | None, options: Options
) -> int:
    rows = formats.rows(relation, kind, _BATCH)
    rows = rows.mapped(change) if change else rows
    if kind is formats.CSV:
        return streamed.csv(rows, draft, neutralise=bool(options.neutralise))
    if kind is formats.XLSX:
        from cbm_lake.lake.export import spreadsheet

        return spreadsheet.write(rows, draft, neutralise=options.neutralise is not False)
    return streamed.parquet(rows, draft) if kind is formats.PARQUET else streamed.arrow(rows, draft)
