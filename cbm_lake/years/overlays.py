"""Overlay of the parcels of one set with the areas of another: how much of each parcel lies inside."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcels.geometry import comparable
from cbm_lake.years.sameland import coordinate_system

log = logging.getLogger(__name__)

Shapes: TypeAlias = npt.NDArray[np.object_]
_METRES: Final = 3035
"""The coordinate system of areas and lengths."""


@dataclass(frozen=True, eq=False)
class Inside:
    """What of a parcel lies in other areas."""

    pid: str
    inside_m2: float
    length_m: float
    """Perimeter of the parcel."""
    references: list[str]
    """The areas that it meets with more than a line, by identifier."""

    @property
    def row(self) -> dict[str, object]:
        """As the queries take it."""
        return vars(self)


def inside(lake: Lake, parcels: ParcelSet, areas: ParcelSet) -> Iterator[Inside]:
    """The parcels that meet areas of another set; what several areas share counts once.

    Args:
        lake: the lake.
        parcels: the parcels.
        areas: the set of areas; it is reprojected where its coordinate system is another.
    """
    epsg = coordinate_system(lake, parcels)
    of_areas = coordinate_system(lake, areas)
    if of_areas != epsg:
        log.warning("areas %s are in EPSG:%d; they are reprojected to EPSG:%d", areas.name, of_areas, epsg)
    names, others = _geometries(lake.read_parcels(areas, ["id", "geometry", "epsg"]), epsg)
    tree = shapely.STRtree(others)
    for batch in lake.iter_parcels(parcels, ["id", "geometry", "epsg", "area"]):
        pids, shapes = _geometries(pa.Table.from_batches([batch]), epsg)
        areas_m2 = batch["area"].to_numpy() * 10_000
        lengths = shapely.length(reprojected(shapes, epsg, _METRES)) if len(shapes) else []
        parcel, other = tree.query(shapes, predicate="intersects")
        order = np.argsort(parcel, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(parcel[order])) + 1) if len(order) else []:
            number = parcel[rows[0]]
            pieces = shapely.intersection(shapes[number], others[other[rows]])
            shared = shapely.area(shapely.union_all(pieces)) / shapely.area(shapes[number])
            met = sorted(names[other[rows]][shapely.area(pieces) > 0])
            yield Inside(pids[number], float(shared * areas_m2[number]), float(lengths[number]), met)


def _geometries(table: pa.Table, epsg: int) -> tuple[npt.NDArray[np.object_], Shapes]:
    """Identifiers and geometries, in a coordinate system."""
    pids = table["id"].to_numpy(zero_copy_only=False).astype(object)
    stored = int(table["epsg"][0].as_py()) if table.num_rows else epsg
    return pids, comparable(table["geometry"], stored, epsg)[0]
