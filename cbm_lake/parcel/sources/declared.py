"""Looks up the declared parcels of a set, by SQL or from an in-memory cache for servers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import NotFoundError
from cbm_lake.geo.areas import DEGREES, Bounds, Floats, loose_bounds, metres_per_unit, overlap
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet

Row = dict[str, Any]
"""pid, crop_name, crop_code, epsg, geometry (WKB), area_m2, centroid_lon, centroid_lat."""
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
    """Look-up of parcels by identifier or position."""

    epsg: int
    """Their coordinate system."""

    def find(self, pid: str) -> Row | None:
        """The parcel with that identifier."""

    def near(self, bounds: Bounds) -> Sequence[Row]:
        """Parcels that meet a box in degrees (a superset), ordered by identifier."""


class Asked:
    """Queries the files for each look-up: little to load, twenty milliseconds each."""

    def __init__(self, lake: Lake, parcels: ParcelSet) -> None:
        self._lake = lake
        self._key = parcels.params
        epsg = lake.read_parcels(parcels, ["epsg"])["epsg"]
        self.epsg = epsg[0].as_py() if len(epsg) else DEGREES

    def find(self, pid: str) -> Row | None:
        """See `Declared`."""
        try:
            rows = self._lake.query("parcels.by_pid", **self._key, pid=pid).to_pylist()
        except NotFoundError:
            return None
        return dict(rows[0])

    def near(self, bounds: Bounds) -> Sequence[Row]:
        """See `Declared`."""
        box = dict(zip(("west", "south", "east", "north"), bounds, strict=True))
        metres = metres_per_unit(self.epsg)
        rows: list[Row] = self._lake.query("parcels.near", **self._key, **box, metres=metres).to_pylist()
        return rows


class InMemory:
    """Holds all parcels in memory: half a second to load, one millisecond per look-up."""

    def __init__(self, lake: Lake, parcels: ParcelSet) -> None:
        table = lake.read_parcels(parcels, [*_COLUMNS, "area", "bbox"])
        if not table.num_rows:
            raise NotFoundError(f"the parcel set {parcels.name} is empty; load it again")
        columns = {name: table[column].combine_chunks() for column, name in _COLUMNS.items()}
        self.rows = pa.table({**columns, "area_m2": pc.multiply(table["area"], 10_000)})
        """The columns of `Row`, in the order of the file."""
        self.epsg = int(columns["epsg"][0].as_py())
        self._boxes = self._loose_boxes(table["bbox"].combine_chunks())
        self.nbytes = int(self.rows.nbytes + self._boxes.nbytes)
        """Size in bytes, without lazily built indexes."""

    def find(self, pid: str) -> Row | None:
        """See `Declared`."""
        index = pc.index(self.rows["pid"], pid).as_py()
        return None if index < 0 else self._rows_at(np.array([index]))[0]

    def _loose_boxes(self, bbox: pa.StructArray) -> Floats:
        xmin, ymin, xmax, ymax = (bbox.field(name).to_numpy() for name in ("xmin", "ymin", "xmax", "ymax"))
        lon, lat = (self.rows[name].to_numpy() for name in ("centroid_lon", "centroid_lat"))
        return loose_bounds(lon, lat, xmax - xmin, ymax - ymin, metres_per_unit(self.epsg))

    def near(self, bounds: Bounds) -> Sequence[Row]:
        """See `Declared`."""
        places = np.flatnonzero(overlap(self._boxes, bounds))
        return sorted(self._rows_at(places), key=lambda row: str(row["pid"]))

    def places(self, bounds: Bounds | None = None) -> npt.NDArray[np.int64]:
        """Numbers of the rows that meet a box in degrees (a superset), or of all, ordered by identifier."""
        if bounds is None:
            return self._order
        return self._order[overlap(self._boxes[self._order], bounds)]

    @cached_property
    def _order(self) -> npt.NDArray[np.int64]:
        """Row numbers of the parcels, sorted by identifier."""
        return np.asarray(pc.sort_indices(self.rows["pid"]).to_numpy(), np.int64)

    def _rows_at(self, places: Any) -> list[Row]:
        rows: list[Row] = self.rows.take(places).to_pylist()
        return rows


def in_memory(lake: Lake, parcels: ParcelSet) -> InMemory:
    """A parcel set in memory, cached by the lake; its versions are immutable."""
    return lake.caches.parcel_sets.get(parcels, lambda: InMemory(lake, parcels), lambda declared: declared.nbytes)
