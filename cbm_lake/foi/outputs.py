"""Writes results as Shapefile (with short names), GeoPackage, GeoParquet, CSV of skipped parcels, and to the lake."""

from __future__ import annotations

import csv
import logging
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyogrio
import shapely
from pyproj import CRS

from cbm_lake.foi.drafts import drafts
from cbm_lake.geo import geoparquet, vectors
from cbm_lake.geo.vectors import Geometries

log = logging.getLogger(__name__)

GEOMETRY: Final = "geometry"
_LETTERS: Final = 10
"""So long may the name of a field be in a Shapefile."""
_LONG: Final = 1000
"""Far longer than any name of a field is."""
_CUT: Final = 250
"""So many characters of a text are kept in a Shapefile."""
_MOST: Final = 254
"""So many bytes of any text fit."""
_KNOWN: Final = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_dictionary,
)
"""Types of columns that GDAL takes."""


def beside(attributes: pa.Table, results: Mapping[str, pa.Array]) -> pa.Table:
    """Append results to attributes; attributes that share a name with a result (in any case) are dropped."""
    reserved = {name.lower() for name in (*results, GEOMETRY)}
    names = [name for name in attributes.column_names if name.lower() not in reserved]
    lost = [name for name in attributes.column_names if name.lower() in reserved]
    if lost:
        log.warning("columns of the parcels that results replace: %s", ", ".join(lost))
    return pa.table({**{name: attributes[name] for name in names}, **results})


def with_geometries(rows: pa.Table, geometries: Geometries, crs: CRS | None) -> pa.Table:
    """Append geometries to the rows, as GeoParquet."""
    kinds = {-1: None, shapely.GeometryType.POLYGON: "Polygon", shapely.GeometryType.MULTIPOLYGON: "MultiPolygon"}
    there = {kinds[kind] for kind in set(shapely.get_type_id(geometries).tolist())} - {None}
    bbox = shapely.total_bounds(geometries).tolist() if there else None
    column = geoparquet.column_metadata(sorted(map(str, there)), crs=crs, bbox=bbox)
    rows = rows.append_column(GEOMETRY, pa.array(shapely.to_wkb(geometries), pa.binary()))
    return rows.replace_schema_metadata(geoparquet.file_metadata({GEOMETRY: column}))


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer to be written as .shp, .gpkg and .parquet."""

    rows: pa.Table
    """As `with_outlines` gives them."""
    texts: Mapping[str, pa.ChunkedArray] = field(default_factory=dict)
    """Columns that replace others in the Shapefile."""


def write(folder: Path, layers: Mapping[str, Layer], lists: Mapping[str, Mapping[str, Sequence[object]]]) -> list[Path]:
    """Write all files of a check atomically; returns their paths.

    Args:
        folder: made where it is missing.
        layers: by the name of their files, without extension.
        lists: columns of identifiers by heading, per .csv file name without extension.

    Raises:
        ConfigError: the folder cannot be written.
    """
    with drafts(folder) as draft, warnings.catch_warnings(), ThreadPoolExecutor(2) as workers:
        warnings.filterwarnings("ignore", "'crs' was not provided")  # this was logged when the parcels were read
        written = [
            workers.submit(write_one, draft / name, layer)
            for name, layer in layers.items()
            for write_one in (_write_shapefile, _write_gpkg, _write_parquet)
        ]
        for name, columns in lists.items():
            _write_lists(draft / f"{name}.csv", columns)
        for one in written:
            one.result()
    extensions = (".shp", ".gpkg", ".parquet")
    return [folder / f"{name}{extension}" for name in layers for extension in extensions] + [
        folder / f"{n}.csv" for n in lists
    ]


def _write_lists(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Lists side by side, filled up with blanks."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip_longest(*columns.values(), fillvalue=""))


def _write_parquet(path: Path, layer: Layer) -> None:
    pq.write_table(layer.rows, f"{path}.parquet", compression="zstd")


def _write_gpkg(path: Path, layer: Layer) -> None:
    names = _distinct({name: name for name in layer.rows.column_names}, _LONG)
    used = {name.lower() for name in names.values()}
    number = next(name for name in ("fid" + "_" * more for more in count()) if name not in used)
    rows = layer.rows.rename_columns(list(names.values())).replace_schema_metadata(layer.rows.schema.metadata)
    _write(Path(f"{path}.gpkg"), rows, "GPKG", layer=path.name, FID=number, GEOMETRY_NAME=GEOMETRY)


def _write_shapefile(path: Path, layer: Layer) -> None:
    rows, metadata = layer.rows, layer.rows.schema.metadata
    for position, name in enumerate(rows.column_names):
        values = layer.texts.get(name, rows[name])
        rows = rows.set_column(position, name, _short_texts(values, f"{path.name}.shp: {name}"))
    names = short_names([name for name in rows.column_names if name != GEOMETRY])
    shorter = {long: short for long, short in names.items() if short != long}
    if shorter:
        log.info("%s.shp: names as they stand in it: %s", path.name, shorter)
    renamed = rows.rename_columns([names.get(name, name) for name in rows.column_names])
    _write(Path(f"{path}.shp"), renamed.replace_schema_metadata(metadata), "ESRI Shapefile")


def _write(path: Path, rows: pa.Table, driver: str, **options: str) -> None:
    column = geoparquet.primary_column(rows.schema)
    kinds = column.geometry_types if column else ()
    kind = "Polygon" if kinds == ("Polygon",) or driver != "GPKG" else "MultiPolygon" if len(kinds) == 1 else "Unknown"
    crs = CRS.from_user_input(column.crs) if column and column.crs else None
    encoding = {"encoding": "UTF-8"} if driver != "GPKG" else {}
    system = (f"EPSG:{crs.to_epsg()}" if crs.to_epsg() else crs.to_wkt()) if crs else None
    pyogrio.write_arrow(
        _as_gdal_takes(rows),
        path,
        driver=driver,
        geometry_name=GEOMETRY,
        geometry_type=kind,
        crs=system,
        **encoding,
        **options,
    )
    vectors.check_whole(path, rows.num_rows, rows.num_columns - 1)


def _as_gdal_takes(rows: pa.Table) -> pa.Table:
    """The rows with columns of types that GDAL does not know as text, without metadata."""
    columns = {}
    for field_, values in zip(rows.schema, rows.columns, strict=True):
        plain = any(accepts(field_.type) for accepts in _KNOWN)
        texts = [] if plain else [None if value is None else str(value) for value in values.to_pylist()]
        columns[field_.name] = values if plain else pa.array(texts, pa.string())
    return pa.table(columns)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Unique case-insensitive names of at most 10 letters: truncated, and numbered where equal.

    A colon, which GDAL does not write, becomes _.
    """
    plain = {name: name.replace(":", "_") for name in names}
    return _distinct(plain, _LETTERS)


def _distinct(names: Mapping[str, str], letters: int) -> dict[str, str]:
    """A unique name per key: truncated, and numbered where necessary."""
    short: dict[str, str] = {}
    used: set[str] = set()
    for key, name in names.items():
        suffixes = chain([""], (f"_{number}" for number in count(1)))
        tries = (_cut_bytes(name, letters - len(suffix)) + suffix for suffix in suffixes)
        short[key] = next(candidate for candidate in tries if candidate.lower() not in used)
        used.add(short[key].lower())
    return short


def _short_texts(values: pa.ChunkedArray, label: str) -> pa.ChunkedArray:
    """The values, texts among them cut to what a Shapefile holds."""
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values
    long = pc.greater(pc.binary_length(values), _MOST)
    if not pc.any(long).as_py():
        return values
    log.warning("%s: %d texts of more than %d bytes are cut", label, pc.sum(long).as_py(), _MOST)
    return pa.chunked_array([[text and _cut_bytes(text, _MOST) for text in values.to_pylist()]], values.type)


def _cut_bytes(text: str, number: int) -> str:
    """As many whole letters as there is room for; one with an accent takes two bytes."""
    return text.encode()[:number].decode(errors="ignore")


def cut(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Truncate texts to the length that a Shapefile can store."""
    return pc.utf8_slice_codeunits(texts, 0, _CUT)
