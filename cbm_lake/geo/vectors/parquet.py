"""Reads GeoParquet, Parquet with the GEOMETRY type or a WKB column (single or partitioned), Arrow and Feather."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.geo import geoparquet
from cbm_lake.geo.vectors.features import Features, Geometries, Opened, coordinate_system, of_wkb, without
from cbm_lake.geo.vectors.shapes import column_of, is_binary, of_column, srid

Stored: TypeAlias = Geometries | pa.ChunkedArray
"""Decoded, or WKB in chunks."""
PARQUET: Final = (".parquet", ".geoparquet", ".pq", ".parq", ".pqt")
ARROW: Final = (".feather", ".arrow", ".ipc")


@dataclass(frozen=True)
class _Geometry:
    """The geometry column and its encoding."""

    number: int
    encoding: str
    """WKB, or what geoarrow has."""
    crs: object
    """What the file says; None where it says that it is unknown."""
    covering: str | None = None
    """The column of their boxes."""


def read(source: Opened) -> Features:
    """Read a file, or a folder of part files.

    Raises:
        InvalidInputError: a layer or encoding is asked for, which these formats have not; or no column is a geometry.
    """
    if source.layer is not None:
        raise InvalidInputError(
            f"{source.name} has no layers; leave out layer=", plain=f"{source.name} has no layers; name none"
        )
    if source.encoding is not None:
        raise InvalidInputError(
            f"{source.name} is always in UTF-8; leave out encoding=",
            plain=f"{source.name} is always in UTF-8; name no encoding",
        )
    path = Path(source.path)
    if path.suffix.lower() in ARROW:
        return _features(source.name, path, pyarrow.feather.read_table(path))
    parts = [_part(source.name, part, path) for part in _files(path)]
    if len({part.crs for part in parts}) > 1:
        raise InvalidInputError(f"the parts of {source.name} are in several coordinate systems; write them in one")
    columns = pa.concat_tables([part.columns for part in parts], promote_options="permissive")
    return Features(source.name, columns, _joined(parts), parts[0].crs, parts[0].notes)


def _joined(parts: Sequence[Features]) -> Stored:
    """Concatenate the geometries of all parts, preserving the encoding if uniform."""
    stored = [part.stored for part in parts]
    columns = [column for column in stored if isinstance(column, pa.ChunkedArray)]
    if len(columns) == len(stored) and len({column.type for column in columns}) == 1:
        return pa.chunked_array([chunk for column in columns for chunk in column.chunks], columns[0].type)
    return np.concatenate([part.geometries for part in parts])


def is_folder_of_parts(path: Path) -> bool:
    """Whether a folder contains Parquet files."""
    return path.is_dir() and next(_parts(path), None) is not None


def _parts(folder: Path) -> Iterator[Path]:
    """Parquet files in a folder and below, except those prefixed with _ or ."""
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).parts
        if file.suffix.lower() in PARQUET and file.is_file() and not any(part[0] in "_." for part in inside):
            yield file


def _files(path: Path) -> list[Path]:
    return list(_parts(path)) if path.is_dir() else [path]


def _part(name: str, file: Path, root: Path) -> Features:
    """One file, with the partition columns from its folders (year=2024)."""
    with pq.ParquetFile(file) as opened:  # read_table would add the columns of a path like aoi=…/year=…
        part = _features(name, file, opened.read(), _native(opened))
    columns = part.columns
    for folder in file.relative_to(root).parts[:-1] if root.is_dir() else ():
        key, equals, value = folder.partition("=")
        if equals and key not in columns.column_names:
            columns = columns.append_column(key, pa.array([value] * columns.num_rows, pa.string()))
    return Features(name, columns, part.stored, part.crs, part.notes)


def _features(name: str, file: Path, table: pa.Table, native: _Geometry | None = None) -> Features:
    table = _without_views(table)
    column = _of_metadata(name, table) or native or _of_extension(table) or _of_values(name, table)
    geometries = _geometries(file, table, column)
    covering = table.column_names.index(column.covering) if column.covering in table.column_names else None
    crs, notes = _crs(name, column, geometries)
    return Features(name, without(table, column.number, covering), geometries, crs, notes)


def _without_views(table: pa.Table) -> pa.Table:
    """Cast string and binary views (as polars writes them) to types that all Arrow kernels support."""
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    for number, field in enumerate(table.schema):
        if field.type in plain:
            kind = plain[field.type]
            table = table.set_column(number, field.with_type(kind), table.column(number).cast(kind))
    return table


def _of_metadata(name: str, table: pa.Table) -> _Geometry | None:
    """Geometry column by GeoParquet metadata."""
    column = geoparquet.primary_column(table.schema)
    if column is None:
        return None
    if column.name not in table.column_names:
        raise InvalidInputError(
            f"{name} says that its geometry is column {column.name!r}, which it has not; write it anew"
        )
    return _Geometry(table.column_names.index(column.name), column.encoding, column.crs, column.covering)


def _native(file: pq.ParquetFile) -> _Geometry | None:
    """First column of Parquet's GEOMETRY or GEOGRAPHY type."""
    for position in range(len(file.schema)):
        column = file.schema.column(position)
        if json.loads(column.logical_type.to_json() or "{}").get("Type", "").lower() in ("geometry", "geography"):
            crs = re.search(r"crs=(.*?)(?:, algorithm=\w+)?\)$", str(column.logical_type), re.DOTALL)
            said = _named_crs(crs[1] if crs else "", file.schema_arrow.metadata or {})
            return _Geometry(file.schema_arrow.get_field_index(column.path), "WKB", said)
    return None


def _named_crs(text: str, metadata: dict[bytes, bytes]) -> object:
    """Parse Parquet's CRS text: srid:32631, projjson:key, or any input of pyproj."""
    kind, _, rest = text.partition(":")
    if kind == "srid":
        return int(rest)
    if kind == "projjson" and not rest.lstrip().startswith("{"):
        return json.loads(metadata[rest.encode()])
    return text.removeprefix("projjson:") or geoparquet.DEFAULT_CRS


def _of_extension(table: pa.Table) -> _Geometry | None:
    """First column with a geoarrow extension type."""
    for number, field in enumerate(table.schema):
        kind = (field.metadata or {}).get(b"ARROW:extension:name", b"").decode()
        if kind in ("geoarrow.wkb", "ogc.wkb", "geoarrow.wkt"):
            said = json.loads((field.metadata or {}).get(b"ARROW:extension:metadata") or b"{}")
            return _Geometry(number, "WKB", said.get("crs"))
        if kind.startswith("geoarrow."):
            said = json.loads((field.metadata or {}).get(b"ARROW:extension:metadata") or b"{}")
            return _Geometry(number, kind, said.get("crs"))
    return None


def _of_values(name: str, table: pa.Table) -> _Geometry:
    """The column of WKB or WKT, detected by its values."""
    number = column_of(name, table)
    if number is None:
        raise SourceError(
            f"{name} is Parquet, but not GeoParquet, and none of its columns ({some(table.column_names, 40)}) "
            "holds geometries; convert it to GeoParquet"
        )
    return _Geometry(number, "WKB", None)


def _geometries(file: Path, table: pa.Table, geometry_column: _Geometry) -> Stored:
    if geometry_column.encoding == "WKB":
        values = table.column(geometry_column.number)
        return values if is_binary(values.type) else of_column(values)
    column = table.column_names[geometry_column.number]
    if geometry_column.encoding.startswith("geoarrow."):
        return np.asarray(gpd.GeoDataFrame.from_arrow(table.select([column])).geometry.to_numpy())
    return np.asarray(gpd.read_parquet(file, columns=[column]).geometry.to_numpy())


def _decoded(stored: Stored) -> Geometries:
    return of_wkb(stored) if isinstance(stored, pa.ChunkedArray) else stored


def _crs(name: str, column: _Geometry, stored: Stored) -> tuple[CRS | None, tuple[str, ...]]:
    """Coordinate system; the format's default if unstated and the coordinates may be degrees."""
    if column.crs is None:
        code = srid(name, _decoded(stored))
        return (CRS.from_epsg(code) if code else None), ()
    if column.crs == geoparquet.DEFAULT_CRS and len(stored):
        bounds = shapely.total_bounds(_decoded(stored))
        if np.isfinite(bounds).all() and np.abs(bounds).max() > 360:
            return None, ()
    return coordinate_system(column.crs), ()
