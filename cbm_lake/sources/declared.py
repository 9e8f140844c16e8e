"""The declared parcels of one set: asked by SQL, or, by a server, which is asked often, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.snapshots import ParcelSet

Row = dict[str, Any]
"""pid, crop_name, crop_code, epsg, geometry (WKB), area_m2, centroid_lon, centroid_lat."""
_SETS = 4
"""Parcel sets kept: 100 MB each of half a million parcels."""
_COLUMNS = {
    "id": "pid",
    "crop:name": "crop_name",
    "crop:code": "crop_code",
    "epsg": "epsg",
    "geometry": "geometry",
    "centroid_lon": "centroid_lon",
    "centroid_lat": "centroid_lat",
}


class Declared(Protocol):
    """Parcels to be found by their identifier or place."""

    epsg: int
    """Their coordinate system."""

    def find(self, pid: str) -> Row | None:
        """The parcel of that identifier."""

    def in_box(self, xmin: float, ymin: float, xmax: float, ymax: float) -> Sequence[Row]:
        """Those whose box meets a box in their own coordinate system, in the order of their identifiers."""

    def page(self, offset: int, limit: int) -> tuple[list[Row], int]:
        """Some of them in the order of their identifiers, and how many there are in all."""


class Asked:
    """Each question is a statement over the files: little to load, twenty milliseconds an answer."""

    def __init__(self, lake: Lake, parcels: ParcelSet) -> None:
        self._lake = lake
        self._key = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype}
        self.epsg = lake.epsg(parcels.aoi) or 4326

    def find(self, pid: str) -> Row | None:
        """See `Declared`."""
        rows = self._lake.query("parcels.by_pid", **self._key, pid=pid).to_pylist()
        return rows[0] if rows else None

    def in_box(self, xmin: float, ymin: float, xmax: float, ymax: float) -> Sequence[Row]:
        """See `Declared`."""
        box = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
        found: list[Row] = self._lake.query("parcels.in_box", **self._key, **box).to_pylist()
        return found

    def page(self, offset: int, limit: int) -> tuple[list[Row], int]:
        """See `Declared`."""
        rows = self._lake.query("parcels.declared", **self._key, outlines=True)
        return rows.slice(offset, limit).to_pylist(), rows.num_rows


class Held:
    """All parcels in memory: half a second to load, a millisecond an answer."""

    def __init__(self, lake: Lake, parcels: ParcelSet) -> None:
        table = lake.read_parcels(parcels, [*_COLUMNS, "area", "bbox"])
        if not table.num_rows:
            raise NotFoundError(f"the parcel set {parcels.name} is empty; load it again")
        boxes = table["bbox"].combine_chunks()
        self._xmin, self._ymin, self._xmax, self._ymax = (
            boxes.field(name).to_numpy(zero_copy_only=False) for name in ("xmin", "ymin", "xmax", "ymax")
        )
        columns = {name: table[column].combine_chunks() for column, name in _COLUMNS.items()}
        self._rows = pa.table({**columns, "area_m2": pc.multiply(table["area"], 10_000)})
        self.epsg = int(columns["epsg"][0].as_py())

    def find(self, pid: str) -> Row | None:
        """See `Declared`."""
        place = pc.index(self._rows["pid"], pid).as_py()
        return None if place < 0 else self._taken(np.array([place]))[0]

    def in_box(self, xmin: float, ymin: float, xmax: float, ymax: float) -> Sequence[Row]:
        """See `Declared`."""
        meets = (self._xmin <= xmax) & (self._xmax >= xmin) & (self._ymin <= ymax) & (self._ymax >= ymin)
        return sorted(self._taken(np.flatnonzero(meets)), key=lambda row: str(row["pid"]))

    def page(self, offset: int, limit: int) -> tuple[list[Row], int]:
        """See `Declared`."""
        return self._taken(self._order[offset : offset + limit]), self._rows.num_rows

    @cached_property
    def _order(self) -> Any:
        """The places of the parcels in the order of their identifiers."""
        return pc.sort_indices(self._rows["pid"]).to_numpy()

    def _taken(self, places: Any) -> list[Row]:
        rows: list[Row] = self._rows.take(places).to_pylist()
        return rows


@lru_cache(_SETS)
def held(lake: str, parcels: ParcelSet) -> Held:
    """A parcel set in memory; a version of it never changes."""
    return Held(Lake(lake), parcels)
