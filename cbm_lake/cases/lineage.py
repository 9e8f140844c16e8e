"""Which declared parcels lie where the parcel of a case was: cases stay with their geometry, not with an identifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import shapely

from cbm_lake.geo.reprojection import Shapes, reprojected
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcels.geometry import repair
from cbm_lake.zonal.overlaps import overlaps

_HALF: Final = 0.5
"""Share of a parcel, within that of a case, from which it is its successor: whole or divided, larger or smaller."""
_ROUNDING: Final = 1e-6
"""Share of an area that is left to reprojection."""
_SLIVER: Final = 0.01
"""Share of a parcel below which another one only touches it."""
Row: TypeAlias = dict[str, Any]


def with_present(lake: Lake, cases: pa.Table) -> pa.Table:
    """Cases with pids_now: the declared parcels that lie where each was, largest part first."""
    rows = cases.select(["aoi", "year", "ptype", "epsg", "geometry"]).to_pylist()
    present: list[list[str]] = [[] for _ in rows]
    in_force = {(parcels.aoi, parcels.year, parcels.ptype) for parcels in lake.parcel_sets()}
    for key in sorted({(row["aoi"], row["year"], row["ptype"]) for row in rows} & in_force):
        positions = [index for index, row in enumerate(rows) if (row["aoi"], row["year"], row["ptype"]) == key]
        declared = lake.query("cases.geometries", **dict(zip(("aoi", "year", "ptype"), key, strict=True)), pids=None)
        for index, pids in zip(positions, _successors([rows[index] for index in positions], declared), strict=True):
            present[index] = pids
    return cases.append_column("pids_now", pa.array(present, pa.list_(pa.string())))


def without_case(lake: Lake, parcels: ParcelSet, lights: Sequence[Row], outlines: Mapping[str, Row]) -> list[Row]:
    """The lights of parcels of which no case of the same scenario exists, under this or another identifier.

    A case is about a parcel of which at least half lies where the case's parcel was, and about one with the identifier
    of the case's parcel that overlaps with it, however it was redrawn.
    """
    scenarios = sorted({light["scenario"] for light in lights})
    cases = lake.query("cases.listed", **parcels.params, statuses=None, pids=None, scenarios=scenarios).to_pylist()
    fresh = []
    for scenario in scenarios:
        here = [light for light in lights if light["scenario"] == scenario]
        earlier = [case for case in cases if case["scenario"] == scenario]
        covered = _covered([{**outlines[light["pid"]], "pid": light["pid"]} for light in here], earlier)
        fresh += [light for light, is_covered in zip(here, covered, strict=True) if not is_covered]
    return fresh


def _successors(cases: Sequence[Row], declared: pa.Table) -> list[list[str]]:
    """For each case the identifiers of the parcels that cover more than a sliver of it, largest part first."""
    if not declared.num_rows:
        return [[] for _ in cases]
    epsg = declared["epsg"][0].as_py()
    shapes, _ = repair(np.asarray(shapely.from_wkb(declared["geometry"].to_numpy(zero_copy_only=False))))
    of_cases = _shapes(cases, epsg)
    number, position, shared = overlaps(of_cases, shapes)
    share = shared / shapely.area(of_cases[number])
    pids = declared["pid"].to_pylist()
    result: list[list[str]] = [[] for _ in cases]
    for index in np.lexsort((-share, number)):
        if share[index] > _SLIVER:
            result[number[index]].append(pids[position[index]])
    return result


def _covered(parcels: Sequence[Row], cases: Sequence[Row]) -> list[bool]:
    """Whether each parcel is the successor of one that some case is about, or the same one."""
    if not parcels or not cases:
        return [False] * len(parcels)
    epsg = parcels[0]["epsg"]
    shapes, of_cases = _shapes(parcels, epsg), _shapes(cases, epsg)
    number, position, shared = overlaps(shapes, of_cases)
    areas, of_case = shapely.area(shapes)[number], shapely.area(of_cases)[position]
    same = np.array([parcels[n]["pid"] == cases[p]["pid"] for n, p in zip(number, position, strict=True)], bool)
    is_successor = shared >= (_HALF - _ROUNDING) * areas
    is_redrawn = same & (shared > _SLIVER * np.minimum(areas, of_case))
    covered = np.zeros(len(parcels), bool)
    covered[number[is_successor | is_redrawn]] = True
    return list(map(bool, covered))


def _shapes(rows: Sequence[Row], epsg: int) -> Shapes:
    """The geometries of rows in one coordinate system, repaired where they are invalid."""
    shapes = np.empty(len(rows), object)
    shapes[:] = [reprojected(shapely.from_wkb(row["geometry"]), row["epsg"], epsg) for row in rows]
    return repair(shapes)[0]
