"""The parcels that are checked: their columns as they stand in a file or in the lake, and their outlines."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.errors import ShapelyError

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.lake import Lake
from cbm_lake.parcels import decoded
from cbm_lake.snapshots import ParcelSet

log = logging.getLogger(__name__)

Geometries = NDArray[np.object_]

_POLYGONAL: Final = (-1, shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
"""Missing outlines are those of parcels too: they are skipped later, and told."""


@dataclass(frozen=True, eq=False)
class Parcels:
    """Parcels in the order of their file."""

    name: str
    """The file's without its ending: begins the names of all results."""
    columns: pa.Table
    """Everything but the outlines; the first column is the identifier."""
    outlines: Geometries
    """Polygons and multipolygons; None where there is none."""
    crs: CRS | None
    declared: ParcelSet | None = None
    """Which parcel set of the lake they are, if they are one."""

    def __len__(self) -> int:
        return len(self.outlines)

    @property
    def ids(self) -> pa.ChunkedArray:
        """The first column."""
        return self.columns.column(0)


def read_parcels(path: str | Path, layer: str | None = None) -> Parcels:
    """The parcels of a shapefile, GeoPackage, GeoParquet, or what else GDAL reads.

    Args:
        path: of the file.
        layer: which layer of a file that has several.

    Raises:
        SourceError: the file is not there or cannot be read.
        InvalidInputError: it holds no columns, no rows, or something other than polygons.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(f"there is no file {path}; check the path")
    with _readable(path):
        is_parquet = path.suffix.lower() in (".parquet", ".geoparquet")
        columns, outlines, crs = _read_parquet(path) if is_parquet else _read_vector(path, layer)
        outlines = shapely.force_2d(outlines)
    return _checked(Parcels(path.stem, columns, outlines, None if crs is None or crs.is_engineering else crs), path)


def lake_parcels(lake: Lake, aoi: str, year: int, ptype: str | None = None) -> Parcels:
    """The declared parcels of an area and year, as the lake has them.

    Raises:
        NotFoundError: none were loaded.
    """
    chosen = lake.parcel_set(aoi, year, ptype)
    table = lake.read_parcels(chosen)
    outlines = np.asarray(shapely.from_wkb(table["geometry"].to_numpy()), dtype=object)
    crs = CRS.from_epsg(table["epsg"][0].as_py()) if table.num_rows else None
    kept = table.select([name for name in table.column_names if name not in ("geometry", "bbox")])
    plain = kept.select([field.name for field in kept.schema if not pa.types.is_nested(field.type)])
    return _checked(Parcels(chosen.name.replace(" ", "_"), plain, outlines, crs, chosen), chosen.name)


def _read_parquet(path: Path) -> tuple[pa.Table, Geometries, CRS | None]:
    """Columns by pyarrow, which keeps their types; outlines by geopandas, which knows every encoding."""
    with pq.ParquetFile(path) as file:
        table = file.read()  # read_table would add the columns of a path like aoi=…/year=…
    geo = json.loads((table.schema.metadata or {}).get(b"geo", b"{}"))
    if not geo:
        raise InvalidInputError(f"{path} is Parquet, but not GeoParquet (no 'geo' metadata); convert it to GeoParquet")
    shapes = gpd.read_parquet(path, columns=[geo["primary_column"]]).geometry
    fields = [field for field in table.schema if field.name not in geo["columns"]]
    plain = [field.name for field in fields if not pa.types.is_nested(field.type)]
    return table.select(plain).replace_schema_metadata(None), shapes.to_numpy(), shapes.crs


def _read_vector(path: Path, layer: str | None) -> tuple[pa.Table, Geometries, CRS | None]:
    """By GDAL, straight to Arrow: integers with gaps stay integers, which pandas would make floats."""
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if (layer is None and len(layers) != 1) or (layer is not None and layer not in layers):
        raise InvalidInputError(f"{path} has the layers {', '.join(layers) or '(none)'}; name one of them as the layer")
    meta, table = pyogrio.read_arrow(path, layer=layer or layers[0])
    name = meta["geometry_name"] or "wkb_geometry"
    outlines = shapely.from_wkb(table[name].to_numpy(zero_copy_only=False), on_invalid="fix")
    crs = CRS.from_user_input(meta["crs"]) if meta["crs"] else None
    columns = table.drop_columns(name).replace_schema_metadata(None)
    return decoded(columns, path, meta["encoding"]), np.asarray(outlines, dtype=object), crs


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the reading libraries raise or warn of into one line that names the file."""
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            yield
    except InvalidInputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, NotImplementedError, ShapelyError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{path} cannot be read ({reason}); check the file or convert it to GeoPackage") from error
    for text in dict.fromkeys(str(warning.message) for warning in told):
        log.warning("%s: %s", path, text)


def _checked(parcels: Parcels, source: Any) -> Parcels:
    if not len(parcels):
        raise InvalidInputError(f"{source} holds no parcels; give a file that has some")
    if not parcels.columns.num_columns:
        raise InvalidInputError(f"{source} has no columns; its first one must be the parcels' identifier")
    identifier = parcels.columns.column_names[0]
    alike = len(parcels) - len(parcels.ids.unique())
    if alike:
        told = "%s: the first column, %s, is taken for the identifier, but %d parcels have one that another has too"
        log.warning(told, source, identifier, alike)
    wrong = np.flatnonzero(~np.isin(shapely.get_type_id(parcels.outlines), _POLYGONAL))
    if len(wrong):
        listed = ", ".join(str(parcels.ids[int(row)]) for row in wrong[:10])
        raise InvalidInputError(f"{source}: {len(wrong)} parcels are no polygons: {listed}; leave them out")
    return parcels
