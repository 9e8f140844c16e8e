"""Reads the parcels to be checked, from a vector file or the lake."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.geo import vectors
from cbm_lake.geo.vectors import Geometries
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet

log = logging.getLogger(__name__)

_POLYGONAL: Final = (-1, shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
"""Parcels without a geometry are read too; they are skipped later, with the reason."""


@dataclass(frozen=True, eq=False)
class Parcels:
    """Parcels in file order."""

    name: str
    """The file's without its extension: begins the names of all results."""
    columns: pa.Table
    """Everything but the geometries; the first column is the identifier."""
    geometries: Geometries
    """Polygons and multipolygons; None where missing."""
    crs: CRS | None
    declared: ParcelSet | None = None
    """Which parcel set of the lake they are, if they are one."""

    def __len__(self) -> int:
        return len(self.geometries)

    @property
    def ids(self) -> pa.ChunkedArray:
        """The identifiers: the first column."""
        return self.columns.column(0)


def read_parcels(path: str | Path, layer: str | None = None) -> Parcels:
    """Read parcels from a Shapefile, GeoPackage, GeoParquet, or any other GDAL format.

    Args:
        path: of the file.
        layer: which layer of a file that has several.

    Raises:
        SourceError: the file is not there or cannot be read.
        InvalidInputError: it holds no columns, no rows, or something other than polygons.
    """
    features = vectors.read(str(path), layer)
    columns = _plain(features.columns).replace_schema_metadata(None)
    return _checked(Parcels(Path(path).stem, columns, shapely.force_2d(features.geometries), features.crs), path)


def lake_parcels(lake: Lake, aoi: str, year: int, ptype: str | None = None) -> Parcels:
    """Read the declared parcels of an area and year from the lake.

    Raises:
        NotFoundError: none were loaded.
    """
    parcels = lake.parcel_set(aoi, year, ptype)
    table = lake.read_parcels(parcels)
    geometries = np.asarray(shapely.from_wkb(table["geometry"].to_numpy()), dtype=object)
    crs = CRS.from_epsg(table["epsg"][0].as_py()) if table.num_rows else None
    columns = _plain(table.drop_columns("geometry"))
    return _checked(Parcels(parcels.name.replace(" ", "_"), columns, geometries, crs, parcels), parcels.name)


def _plain(table: pa.Table) -> pa.Table:
    """Without columns that no Shapefile could hold."""
    kinds = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary)
    return table.select([field.name for field in table.schema if not any(kind(field.type) for kind in kinds)])


def _checked(parcels: Parcels, source: object) -> Parcels:
    if not parcels.columns.num_columns:
        raise InvalidInputError(f"{source} has no columns; its first one must be the parcels' identifier")
    identifier = parcels.columns.column_names[0]
    alike = len(parcels) - len(parcels.ids.unique())
    if alike:
        message = "%s: the first column, %s, is taken for the identifier, but %d parcels have one that another has too"
        log.warning(message, source, identifier, alike)
    wrong = np.flatnonzero(~np.isin(shapely.get_type_id(parcels.geometries), _POLYGONAL))
    if len(wrong):
        listed = some(parcels.ids[int(row)] for row in wrong)
        raise InvalidInputError(f"{source}: {len(wrong)} parcels are no polygons: {listed}; leave them out")
    return parcels
