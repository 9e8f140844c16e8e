"""The parcels of a job: identifiers, geometries and pixel index, which workers cache between scenes."""

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
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake, open_lake
from cbm_lake.lake.snapshots import ParcelSet

Numbers: TypeAlias = npt.NDArray[np.number]
Shapes: TypeAlias = npt.NDArray[np.object_]
"""Geometries of shapely."""
Selection: TypeAlias = "tuple[slice | Numbers, pa.ChunkedArray]"
"""Rows in the parcel file, and the identifiers of these parcels."""
_BYTES_OF_SHAPE = 200
"""Of a geometry in memory, besides its vertices."""


def geometries(lake: Lake, parcels: ParcelSet, epsg: int) -> Shapes:
    """The parcels' geometries in another coordinate system, in the order of their file."""
    table = lake.read_parcels(parcels, ["geometry", "epsg"])
    shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    stored_epsg = table["epsg"][0].as_py() if table.num_rows else epsg
    return np.asarray(reprojected(shapes, stored_epsg, epsg))


def pids(job: Job) -> pa.ChunkedArray:
    """The pids of the parcels that a job extracts: those that changed since its base, or all."""
    return _selected(job)[1]


def shapes(job: Job, epsg: int) -> Shapes:
    """The geometries of the same parcels, in a coordinate system."""
    opened = open_lake(job.lake)
    return opened.caches.extraction.get(
        ("geometries", job.parcels, _since(job), epsg),
        lambda: geometries(opened, job.parcels, epsg)[_selected(job)[0]],
        lambda moved: int(16 * shapely.get_num_coordinates(moved).sum()) + _BYTES_OF_SHAPE * len(moved),
    )


def index(job: Job, grid: str) -> zonal.SpanIndex:
    """The stored pixel index of the same parcels on the grid of that name."""
    return open_lake(job.lake).caches.extraction.get(
        ("index", job.parcels, _since(job), grid),
        lambda: _read_index(job, grid),
        lambda spans: 2 * (spans.offsets.nbytes + spans.row.nbytes + spans.col.nbytes + spans.length.nbytes),
    )


def _since(job: Job) -> tuple[str, ...]:
    """The versions of the parcel set since which parcels must have changed to be extracted; none is all parcels."""
    return job.base.versions if job.base else ()


def _selected(job: Job) -> Selection:
    opened, since = open_lake(job.lake), _since(job)
    return opened.caches.extraction.get(
        ("parcels", job.parcels, since),
        lambda: _changed(opened, job.parcels, since),
        lambda changed: int(changed[1].nbytes) + (0 if isinstance(changed[0], slice) else changed[0].nbytes),
    )


def _changed(lake: Lake, parcels: ParcelSet, since: tuple[str, ...]) -> Selection:
    identifiers = lake.read_parcels(parcels, ["id"])["id"]
    if not since:
        return slice(None), identifiers
    rows = np.flatnonzero(pc.is_in(identifiers, lake.changed(parcels, since)).to_numpy(zero_copy_only=False))
    return rows, identifiers.take(rows)


def _read_index(job: Job, grid: str) -> zonal.SpanIndex:
    table = open_lake(job.lake).index(job.parcels, grid)
    if table is None:
        raise SourceError(f"the pixel index of {job.parcels.name} on grid {grid} has gone; run again")
    rows, _ = _selected(job)
    return zonal.SpanIndex.from_table(table.take(rows) if _since(job) else table)
