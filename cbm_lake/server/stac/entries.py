"""What the STAC API lists: one row per item, of what an account may read, from one state of the lake.

Scenes are those that count, as far as their footprints meet parcels of the account's areas or they were extracted over
them; cubes and statistics are those of its areas.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import shapely
from fastapi import Request

from cbm_lake import cards
from cbm_lake.cards import Card
from cbm_lake.geo.areas import DEGREES, bounds_in
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet, Snapshot
from cbm_lake.rasters import datasets
from cbm_lake.rasters.selection import Choice
from cbm_lake.server import cql2
from cbm_lake.server.accounts import Account
from cbm_lake.server.granting import Aois, visible
from cbm_lake.server.state import state_of

Entry: TypeAlias = dict[str, Any]
"""A row of ENTRIES."""
CUBES: Final = "cubes"
STATISTICS: Final = "statistics"
_TIME: Final = pa.timestamp("us", "UTC")
ENTRIES: Final = pa.schema(
    [
        *[("collection", pa.string()), ("id", pa.string()), ("datetime", _TIME)],
        *[("start_datetime", _TIME), ("end_datetime", _TIME)],
        *[("mission", pa.string()), ("platform", pa.string()), ("eo:cloud_cover", pa.float64())],
        *[("proj:code", pa.string()), ("grid:code", pa.string())],
        *[("sat:relative_orbit", pa.int32()), ("sat:orbit_state", pa.string())],
        *[("s2:processing_baseline", pa.string()), ("reference", pa.string())],
        *[("card", pa.string()), ("aoi", pa.string()), ("year", pa.int32()), ("ptype", pa.string())],
        *[("scenes", pa.int64()), ("grid", pa.string()), ("geometry", pa.binary())],
    ]
)
QUERYABLES: Final = cql2.of_schema(ENTRIES)
_KEPT: Final = 8


class Catalogue:
    """The rows of each kind of account, kept until the lake changes."""

    def __init__(self, lake: Lake) -> None:
        self._lake, self._lock = lake, threading.Lock()
        self._cached: OrderedDict[tuple[Snapshot, Aois], pa.Table] = OrderedDict()

    def entries(self, user: Account) -> pa.Table:
        """The rows of what an account may read, in the order of collections and identifiers."""
        sets = [parcels for parcels in self._lake.parcel_sets() if user.may_read(parcels.aoi)]
        key = self._lake.snapshot(), None if user.admin else tuple(sorted({parcels.aoi for parcels in sets}))
        with self._lock:
            rows = self._cached.get(key)
        if rows is None:
            rows = _entries(self._lake, key[1], sets)
        with self._lock:
            self._cached[key] = rows
            self._cached.move_to_end(key)
            while len(self._cached) > _KEPT:
                self._cached.popitem(last=False)
        return rows


def catalogue_of(request: Request) -> Catalogue:
    """The catalogue of the application that answers a request."""
    state = state_of(request)
    return state.lasting(Catalogue, lambda: Catalogue(state.lake))


def _entries(lake: Lake, aois: Aois, sets: list[ParcelSet]) -> pa.Table:
    scenes = _scenes(lake, aois)
    others = [*_cubes(lake, sorted({parcels.aoi for parcels in sets})), *_statistics(lake, sets)]
    rows = pa.concat_tables([scenes, pa.Table.from_pylist(others, schema=ENTRIES)])
    return rows.sort_by([("collection", "ascending"), ("id", "ascending")])


def _scenes(lake: Lake, aois: Aois) -> pa.Table:
    rows = lake.query("granted.items")
    if aois is not None:
        theirs = pa.array(sorted(visible(lake.query, lake.snapshot(), aois)), pa.string())
        names = pc.binary_join_element_wise(rows["card"], rows["id"], "/")
        rows = rows.filter(pc.is_in(names, theirs))
    codes = rows["card"].to_pylist()
    stated = rows["platform"].to_pylist()
    satellites = {key: _platform(*key) for key in set(zip(codes, rows["sensor"].to_pylist(), strict=True))}
    derived = [satellites[key] for key in zip(codes, rows["sensor"].to_pylist(), strict=True)]
    columns = {
        **{name: rows[name] for name in rows.column_names},
        "collection": rows["card"],
        "start_datetime": rows["datetime"],
        "end_datetime": rows["datetime"],
        "mission": pa.array([mission_of(cards.get(code)) for code in codes], pa.string()),
        "platform": pa.array([name or other for name, other in zip(stated, derived, strict=True)], pa.string()),
    }
    empty = pa.nulls(rows.num_rows)
    return pa.table([columns.get(name, empty) for name in ENTRIES.names], ENTRIES.names).cast(ENTRIES)


def mission_of(card: Card) -> str:
    """The mission of a card as STAC writes it."""
    return card.mission.name.lower()


def _platform(card: str, sensor: str) -> str:
    mission = cards.get(card).mission
    return mission.satellite.format(unit=sensor.removeprefix(mission.code).lower())


def _cubes(lake: Lake, aois: list[str]) -> Iterator[Entry]:
    """The cubes with pixels of each area, as far as its scenes go."""
    for aoi in aois:
        for name, card in cards.CARDS.items():
            for cube in datasets.cubes_of(lake, Choice.of(name, aoi, None)):
                times = [slot.obstime for slot in cube.slots.values()]
                box = bounds_in(shapely.box(*cube.grid.bounds), cube.grid.epsg, DEGREES)
                yield {
                    "collection": CUBES,
                    "id": f"{name}_{aoi}_{cube.name}",
                    "card": name,
                    "aoi": aoi,
                    "datetime": min(times),
                    "start_datetime": min(times),
                    "end_datetime": max(times),
                    "mission": mission_of(card),
                    "proj:code": f"EPSG:{cube.grid.epsg}",
                    "grid": cube.name,
                    "scenes": len(times),
                    "geometry": shapely.box(*box).wkb,
                }


def _statistics(lake: Lake, sets: list[ParcelSet]) -> Iterator[Entry]:
    """The parcel sets of which there are statistics of a card."""
    declared = {(parcels.aoi, parcels.year, parcels.ptype): parcels for parcels in sets}
    boxes = {aoi: lake.footprint(aoi).wkb for aoi in {parcels.aoi for parcels in sets}}
    for row in lake.query("granted.series").to_pylist():
        parcels = declared.get((row["aoi"], row["year"], row["ptype"]))
        if parcels is None:
            continue
        yield {
            **{name: row[name] for name in ("card", "aoi", "year", "ptype", "scenes")},
            "collection": STATISTICS,
            "id": f"{row['card']}_{parcels.name.replace(' ', '_')}",
            "datetime": row["first"],
            "start_datetime": row["first"],
            "end_datetime": row["last"],
            "mission": mission_of(cards.get(row["card"])),
            "geometry": boxes[parcels.aoi],
        }
