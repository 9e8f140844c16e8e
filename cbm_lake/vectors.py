"""Files of outlines, in whatever format GDAL or GeoParquet has them: their columns, geometries, coordinate system."""

from __future__ import annotations

import json
import logging
import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataSourceError
from pyproj import CRS
from shapely.errors import ShapelyError

from cbm_lake.errors import InvalidInputError, SourceError, some

log = logging.getLogger(__name__)

_CRS84: Final = "OGC:CRS84"
"""The coordinate system of GeoParquet that does not name one."""
_IN_ZIP: Final = (".shp", ".gpkg", ".geojson", ".json", ".fgb", ".gml")

Geometries = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Features:
    """A file as it was read: its columns, and apart from them its geometries."""

    name: str
    """The path, as it was given."""
    columns: pa.Table
    stored: Geometries | pa.ChunkedArray
    """The geometries, None where there is none; as WKB in an Arrow column they take a fifth of the memory."""
    crs: CRS | None

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def geometries(self) -> Geometries:
        """All geometries, decoded; None where there is none."""
        return self.decoded(0, len(self))

    def without_geometries(self) -> Features:
        """The same without its geometries, whose memory is free when nobody else has them."""
        return replace(self, stored=np.empty(0, object))

    def decoded(self, start: int, stop: int) -> Geometries:
        """The geometries of some rows; SourceError when they cannot be decoded."""
        if isinstance(self.stored, np.ndarray):
            return self.stored[start:stop]
        with _readable(self.name):
            return _decode(self.stored.slice(start, stop - start).to_numpy(zero_copy_only=False))


def read(path: str, layer: str | None = None, *, key: str | None = None) -> Features:
    """The features of a file.

    Args:
        path: shapefile (also in a .zip), GeoPackage, GeoJSON, FlatGeobuf, GeoParquet, or what else GDAL reads.
        layer: which layer of a file that has several.
        key: a column that is wanted; where only the file's own numbering of its rows has that name, that is given.

    Raises:
        SourceError: the file is not there or cannot be read.
        InvalidInputError: it has no features, or several layers and `layer` is none of them.
    """
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise SourceError(f"there is no file {path}; check the path")
    ending = Path(path).suffix.lower()
    found = _read_parquet(path) if ending in (".parquet", ".geoparquet") else _read_vector(path, ending, layer, key)
    if not len(found):
        raise InvalidInputError(f"{path} holds no parcels; give a file that has some")
    return found


def _read_parquet(path: str) -> Features:
    """Attributes by pyarrow, which keeps their types; geometries that are no WKB by geopandas, which knows them all."""
    with _readable(path):
        table = pq.ParquetFile(path).read()  # read_table would add the columns of a path like aoi=…/year=…
        geo = json.loads((table.schema.metadata or {}).get(b"geo", b"{}"))
        if not geo:
            raise SourceError(f"{path} is Parquet, but not GeoParquet (no 'geo' metadata); convert it to GeoParquet")
        primary = geo["primary_column"]
        described = geo["columns"][primary]
        covering = described.get("covering", {}).get("bbox", {}).get("xmin", [None])[0]
        columns = _without(table, primary, covering)
        if described.get("encoding") == "WKB" and pa.types.is_binary(table[primary].type):
            return Features(path, columns, table[primary], coordinate_system(described.get("crs", _CRS84)))
        geometry = gpd.read_parquet(path, columns=[primary]).geometry
        return Features(path, columns, geometry.to_numpy(), coordinate_system(geometry.crs))


def _read_vector(path: str, ending: str, layer: str | None, key: str | None) -> Features:
    """By GDAL, straight to Arrow: integers with gaps stay integers, which pandas would make floats."""
    opened = _in_zip(path, layer) if ending == ".zip" else path
    layer = _layer(path, opened, layer)
    # GDAL would take texts like "2018-01" for dates
    options = {"DATE_AS_STRING": "YES"} if opened.lower().endswith((".geojson", ".json")) else {}
    with _readable(path):
        meta, table = pyogrio.read_arrow(opened, layer=layer, return_fids=True, **options)
        name = meta["geometry_name"] or "wkb_geometry"
        geometries = table[name]
        if _has_arcs(geometries):  # which this slower way of reading turns into short lines
            geometries = _decode(pyogrio.raw.read(opened, layer=layer, columns=[])[2])
        numbering = table.column_names.index(meta["fid_column"])
        asked = key == meta["fid_column"] and key not in meta["fields"]  # a GeoPackage's key may be the identifier
        columns = _copied(_without(table if asked else table.remove_column(numbering), name))
        return Features(path, decoded(columns, path, meta["encoding"]), geometries, coordinate_system(meta["crs"]))


def decoded(columns: pa.Table, path: str | Path, encoding: str) -> pa.Table:
    """The columns with texts of another encoding than UTF-8, which GDAL hands on as they stand, decoded.

    So stand those of a Shapefile that does not say which encoding is its own.
    """
    for place, field in enumerate(columns.schema):
        try:
            columns.column(place).validate(full=True)
        except pa.ArrowInvalid:
            log.warning("%s: column %s is not in UTF-8; its texts are taken for %s", path, field.name, encoding)
            stored = columns.column(place).cast(pa.binary()).to_pylist()
            texts = [None if text is None else text.decode(encoding) for text in stored]
            columns = columns.set_column(place, field.name, pa.array(texts, pa.string()))
    return columns


def _decode(wkb: NDArray[np.object_]) -> Geometries:
    """Geometries with their rings closed; None for what is none or has rings of fewer than three points."""
    return np.asarray(shapely.from_wkb(wkb, on_invalid="fix"))


def _has_arcs(wkb: pa.ChunkedArray) -> bool:
    """Whether any geometry is of a kind with arcs (codes 8 to 12 of WKB), which shapely does not decode."""
    for chunk in wkb.chunks:
        heads = pc.binary_slice(chunk.drop_null(), 1, 5)
        codes = np.frombuffer(b"".join(heads.to_pylist()), "<u4")
        if np.isin((codes & 0xFFFF) % 1000, range(8, 13)).any():
            return True
    return False


def _copied(table: pa.Table) -> pa.Table:
    """The columns in memory of their own: GDAL's batches are freed as a whole, and outlines are most of them."""
    batches = [batch.take(pa.array(np.arange(batch.num_rows))) for batch in table.to_batches()]
    return pa.Table.from_batches(batches, table.schema)


def _without(table: pa.Table, *names: str | None) -> pa.Table:
    return table.select([number for number, name in enumerate(table.column_names) if name not in names])


def coordinate_system(given: Any) -> CRS | None:
    """A file's coordinate system; None for the "undefined" one that a GeoPackage without any carries."""
    crs = CRS.from_user_input(given) if given else None
    return None if crs is None or crs.is_engineering else crs


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Turn what the reading libraries raise or warn of into one line that names the file."""
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            yield
    except SourceError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, NotImplementedError, ShapelyError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{path} cannot be read ({reason}); check the file or convert it to GeoPackage") from error
    for text in dict.fromkeys(str(warning.message) for warning in told):
        log.warning("%s: %s", path, text)


def _in_zip(path: str, layer: str | None) -> str:
    """GDAL's name of the one vector file in a zip archive, in whatever folder of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if name.lower().endswith(_IN_ZIP) and "__MACOSX" not in name]
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} cannot be read ({error}); check the file") from error
    if len(inside) > 1 and layer is not None:
        inside = [name for name in inside if Path(name).stem == layer]
    if len(inside) == 1:
        return f"/vsizip/{{{Path(path).absolute()}}}/{inside[0]}"
    raise InvalidInputError(
        f"{path} holds {some(inside) or 'no vector file'}; give one vector file, or layer= to say which"
    )


def _layer(path: str, opened: str, layer: str | None) -> str:
    """The layer asked for, or the only one that has geometries."""
    with _readable(path):
        layers = pyogrio.list_layers(opened)
    found = [str(name) for name, kind in layers if kind is not None]
    if layer in found:
        return str(layer)
    if len(found) == 1 and layer is None:
        return found[0]
    problem = f"no layer {layer!r}" if layer is not None else "several layers" if found else "no layer of geometries"
    raise InvalidInputError(f"{path} has {problem}; its layers: {some(found) or 'none'}; say which by layer=")


def check_whole(path: Path, rows: int, fields: int) -> None:
    """See that a file holds what was written: GDAL does not tell of what it cannot write when it closes a file.

    Raises:
        DataSourceError: it does not.
    """
    info = pyogrio.read_info(path)
    if info["features"] != rows or not _is_finished(path, rows, fields, info):
        raise DataSourceError(f"{path.name} is not whole after it was written")


def _is_finished(path: Path, rows: int, fields: int, info: dict[str, Any]) -> bool:
    """Whether what is written last is there."""
    if path.suffix == ".gpkg":
        return len(info["fields"]) == fields and bool(info["capabilities"]["fast_spatial_filter"])
    if path.suffix == ".geojson":
        return b"".join(path.read_bytes()[-9:].split()).endswith(b"]}")
    with path.with_suffix(".dbf").open("rb") as file:
        number, begins, length = struct.unpack("<4xIHH", file.read(12))
    held = path.with_suffix(".dbf").stat().st_size
    return bool(len(info["fields"]) == fields and number == rows and held >= begins + number * length)
