"""The parcels of a job: those that changed since its base, their geometries, and the pixels that belong to them.

What is read stays in the lake's cache from scene to scene.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake import zonal
from cbm_lake.errors import SourceError
from cbm_lake.extract.jobs import Job
from cbm_lake.lake import Lake, open_lake
from cbm_lake.lake.snapshots import ParcelSet

Shapes = npt.NDArray[np.object_]
"""Geometries of parcels, shape (parcels,)."""
Changed: TypeAlias = tuple[slice | npt.NDArray[np.intp], pa.ChunkedArray]
"""Rows in the parcel file, and identifiers, of parcels."""
_BYTES_OF_SHAPE = 200
"""Of a geometry in memory, besides its vertices."""


def geometries(lake: Lake, parcels: ParcelSet, epsg: int) -> Shapes:
    """The parcels' geometries in another coordinate system, in the order of their file."""
    from cbm_lake.geo.reprojection import reprojected

    table = lake.read_parcels(parcels, ["geometry", "epsg"])
    shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    source = table["epsg"][0].as_py() if table.num_rows else epsg
    moved: Shapes = reprojected(shapes, source, epsg)
    return moved


def pids(job: Job) -> pa.ChunkedArray:
    """The identifiers of a job's parcels, in the order of their file."""
    return changed(job.lake, job.parcels, _versions(job))[1]


def index(job: Job, grid: str) -> zonal.SpanIndex:
    """The stored pixel index of a job's parcels on a grid.

    Raises:
        SourceError: it is no longer in the lake.
    """
    return stored_index(job.lake, job.parcels, _versions(job), grid)


def shapes(job: Job, epsg: int) -> Shapes:
    """The geometries of a job's parcels in a coordinate system."""
    return _shapes(job.lake, job.parcels, _versions(job), epsg)


def _versions(job: Job) -> tuple[str, ...]:
    """Of the parcel set whose signatures the job builds upon; none where it extracts all parcels."""
    return job.base.versions if job.base else ()


def changed(lake: str, parcels: ParcelSet, since: tuple[str, ...]) -> Changed:
    """Rows in the parcel file, and identifiers, of the parcels that changed since those versions; of all without."""
    opened = open_lake(lake)
    return opened.caches.extraction.get(
        ("parcels", parcels, since),
        lambda: _read_changed(opened, parcels, since),
        lambda parts: int(parts[1].nbytes) + (0 if isinstance(parts[0], slice) else parts[0].nbytes),
    )


def _read_changed(lake: Lake, parcels: ParcelSet, since: tuple[str, ...]) -> Changed:
    identifiers = lake.read_parcels(parcels, ["id"])["id"]
    if not since:
        return slice(None), identifiers
    rows = np.flatnonzero(pc.is_in(identifiers, lake.changed(parcels, since)).to_numpy(zero_copy_only=False))
    return rows, identifiers.take(rows)


def _shapes(lake: str, parcels: ParcelSet, since: tuple[str, ...], epsg: int) -> Shapes:
    """The geometries of the parcels that changed, in a coordinate system."""
    opened = open_lake(lake)
    return opened.caches.extraction.get(
        ("geometries", parcels, since, epsg),
        lambda: geometries(opened, parcels, epsg)[changed(lake, parcels, since)[0]],
        lambda shapes: int(16 * shapely.get_num_coordinates(shapes).sum()) + _BYTES_OF_SHAPE * len(shapes),
    )


def stored_index(lake: str, parcels: ParcelSet, since: tuple[str, ...], grid: str) -> zonal.SpanIndex:
    """The stored pixel index of the parcels that changed; errors as of `index`."""
    return open_lake(lake).caches.extraction.get(
        ("index", parcels, since, grid),
        lambda: _read_index(lake, parcels, since, grid),
        lambda index: 2 * (index.offsets.nbytes + index.row.nbytes + index.col.nbytes + index.length.nbytes),
    )


def _read_index(lake: str, parcels: ParcelSet, since: tuple[str, ...], grid: str) -> zonal.SpanIndex:
    table = open_lake(lake).index(parcels, grid)
    if table is None:
        raise SourceError(f"the pixel index of {parcels.name} on grid {grid} has gone; run again")
    rows, _ = changed(lake, parcels, since)
    return zonal.SpanIndex.from_table(table.take(rows) if since else table)
