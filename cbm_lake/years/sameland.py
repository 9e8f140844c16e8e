"""Land of several years at once: exact areas where the shares of single years leave it open, by the geometries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcels.geometry import comparable

Shapes: TypeAlias = npt.NDArray[np.object_]
Floats: TypeAlias = npt.NDArray[np.float64]
_AT_ONCE: Final = 5_000
"""Parcels whose geometries are in memory at once."""


@dataclass(frozen=True, eq=False)
class Common:
    """Land of parcels that is of the crops asked for in all years: certain, and possible, as shares (n,)."""

    least: Floats
    most: Floats


def settle(rows: pa.Table, lake: Lake, parcels: ParcelSet, years: int, listed: list[str] | None, digits: int) -> Common:
    """The shares of parcels on which the crops grew in every year, by the geometries of all years.

    Geometries of other coordinate systems are reprojected to that of the set, and invalid ones repaired. Land that was
    declared twice in a year, with and without such a crop, is possible and not certain.

    Args:
        rows: pid of the parcels, n of them.
        lake: where their lineage and geometries are.
        parcels: their set.
        years: successive years, with that of the set.
        listed: the crops; None is the same crop as now.
        digits: of HCAT, see the macro same_hcat.
    """
    least, most = np.zeros(rows.num_rows), np.zeros(rows.num_rows)
    for start in range(0, rows.num_rows, _AT_ONCE):
        pids = rows["pid"].slice(start, _AT_ONCE).combine_chunks()
        land = lake.query(
            "years.land", **parcels.params, years=years, listed=listed, digits=digits, pids=pids.to_pylist()
        )
        part, epsg = slice(start, start + len(pids)), coordinate_system(lake, parcels)
        before = _before(lake, parcels, land, epsg)
        least[part], most[part] = _shares(outlines(lake, parcels, pids, epsg), land, before, pids)
    return Common(least, most)


def _shares(whole: Shapes, land: pa.Table, before: Shapes, pids: pa.Array) -> tuple[Floats, Floats]:
    """Certain and possible shares of each parcel; `before` has the geometry of each row of `land`."""
    parcel = pc.index_in(land["pid"].combine_chunks(), pids).to_numpy(zero_copy_only=False)
    counts = land["counts"].to_pylist()
    pieces = shapely.intersection(whole[parcel], before)
    certain, possible = whole.copy(), whole.copy()
    for year in sorted(set(land["year_before"].to_pylist())):
        of_year = land["year_before"].to_numpy() == year
        inside = _united(pieces, parcel, of_year & np.array([value is True for value in counts]), len(pids))
        outside = _united(pieces, parcel, of_year & np.array([value is False for value in counts]), len(pids))
        certain = shapely.intersection(certain, shapely.difference(inside, outside))
        possible = shapely.difference(possible, shapely.difference(outside, inside))
    area = shapely.area(whole)
    return shapely.area(certain) / area, shapely.area(possible) / area


def _united(pieces: Shapes, parcel: npt.NDArray[np.int64], selected: npt.NDArray[np.bool_], count: int) -> Shapes:
    """The union of the selected pieces of each parcel; empty where there is none."""
    united = np.full(count, shapely.Polygon(), object)
    rows = np.flatnonzero(selected & ~shapely.is_missing(pieces))
    order = rows[np.argsort(parcel[rows], kind="stable")]
    for group in np.split(order, np.flatnonzero(np.diff(parcel[order])) + 1) if len(order) else []:
        united[parcel[group[0]]] = shapely.union_all(pieces[group])
    return united


def _before(lake: Lake, parcels: ParcelSet, land: pa.Table, epsg: int) -> Shapes:
    """The geometry of the earlier parcel of each row in a coordinate system; None where there is none."""
    shapes = np.full(land.num_rows, None, object)
    years = land["year_before"].to_numpy()
    for year in np.unique(years[land["pid_before"].is_valid().to_numpy()]):
        rows = np.flatnonzero((years == year) & land["pid_before"].is_valid().to_numpy())
        pids = land["pid_before"].combine_chunks().take(pa.array(rows))
        shapes[rows] = outlines(lake, lake.parcel_set(parcels.aoi, int(year), parcels.ptype), pids, epsg)
    return shapes


def outlines(lake: Lake, parcels: ParcelSet, pids: pa.Array, epsg: int) -> Shapes:
    """Geometries of parcels of a set in a coordinate system, in the order of `pids`."""
    batches = lake.iter_parcels(parcels, ["id", "geometry", "epsg"])
    stored = pa.Table.from_batches([batch.filter(pc.is_in(batch["id"], pids)) for batch in batches])
    wkb = stored["geometry"].combine_chunks().take(pc.index_in(pids, stored["id"].combine_chunks()))
    return comparable(wkb, stored["epsg"][0].as_py() if stored.num_rows else epsg, epsg)[0]


def coordinate_system(lake: Lake, parcels: ParcelSet) -> int:
    """The EPSG code of a set; 0 of one without parcels."""
    batch = next(lake.iter_parcels(parcels, ["epsg"]), None)
    return int(batch["epsg"][0].as_py()) if batch else 0
