"""Series of parcels: which parcels a place or a polygon has, and their rows of a card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import shapely
from fastapi import Request

from cbm_lake import cards
from cbm_lake.cards import Card
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.geo.areas import Area
from cbm_lake.lake import queries
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.server import cql2
from cbm_lake.server.accounts import Account
from cbm_lake.server.security import RefusedError
from cbm_lake.server.stac.entries import STATISTICS, catalogue_of
from cbm_lake.server.state import state_of

Row: TypeAlias = dict[str, Any]
_MOST: Final = 1_000
"""Parcels of one answer."""
_TOLERANCE: Final = 1e-9
"""Degrees: a place on an edge is on it also when the edge was transformed."""
_FLAGS: Final = ("observable", "share")


@dataclass(frozen=True)
class Offered:
    """The series of a parcel set by a card."""

    source: LakeSource
    id: str
    card: Card
    parcels: ParcelSet
    entry: Row
    """Its row in the catalogue."""

    @property
    def title(self) -> str:
        """What it is called for people."""
        return f"{self.card.title}: parcels of {self.parcels.name}"

    def parameters(self) -> list[str]:
        """The columns that may be asked for: statistics of bands, whether a look counts, the share that was seen."""
        statement = queries.get(f"granted.statistics_{self.card.name}").sql
        names = self.source.lake.relation(statement, **self.parcels.params).columns
        return [name for name in names if name in _FLAGS or name.rpartition("_")[0] in self._measured()]

    def _measured(self) -> set[str]:
        return {*self.card.resolutions, *cards.INDICES}

    def at(self, shape: shapely.Geometry) -> list[Row]:
        """The parcels at a point, or those that lie within a polygon, with `shape` in degrees.

        Raises:
            NotFoundError: there are none.
            InvalidInputError: there are more than one answer may have.
        """
        is_point = shape.geom_type == "Point"
        met = self.source.parcels_of_area(self.parcels, Area(shape, tolerance=_TOLERANCE if is_point else 0.0))
        rows = met if is_point else [row for row in met if shapely.covers(shape, row["shape"])]
        if not rows:
            where = "there" if is_point else "that lies within this polygon"
            raise NotFoundError(f"no parcel of {self.parcels.name} {where}")
        if len(rows) > _MOST:
            raise InvalidInputError(f"{len(rows)} parcels lie there; at most {_MOST} are answered, so ask for less")
        return rows

    def rows(self, pids: list[str], during: str | None) -> pa.Table:
        """The rows of parcels, by parcel and time.

        Raises:
            InvalidInputError: `during` is no timestamp and no interval.
        """
        params, lake = self.parcels.params, self.source.lake
        if len(pids) == 1:
            rows = lake.query(f"time_series.wide_{self.card.name}", **params, pid=pids[0]).drop_columns(["why_not"])
        else:
            rows = lake.query(f"granted.parcels_{self.card.name}", **params, pids=pids)
        begin, end = cql2.moment(during) if during else (None, None)
        for compare, limit in ((pc.greater_equal, begin), (pc.less_equal, end)):
            if limit is not None:
                rows = rows.filter(compare(rows["obstime"], pa.scalar(limit, rows["obstime"].type)))
        return rows


def all_of(request: Request, user: Account) -> list[Offered]:
    """The series that an account may read."""
    entries, source = catalogue_of(request).entries(user), state_of(request).source
    sets = {(one.aoi, one.year, one.ptype): one for one in source.lake.parcel_sets() if user.may_read(one.aoi)}
    rows = entries.filter(pc.equal(entries["collection"], STATISTICS)).to_pylist()
    return [
        Offered(source, row["id"], cards.get(row["card"]), sets[key], row)
        for row in rows
        if (key := (row["aoi"], row["year"], row["ptype"])) in sets
    ]


def named(request: Request, user: Account, name: str) -> Offered:
    """The series of that name.

    Raises:
        RefusedError: there are none that are theirs to read.
    """
    for one in all_of(request, user):
        if one.id == name:
            request.state.aoi = one.parcels.aoi
            return one
    raise RefusedError


def shape_of(text: str, kinds: tuple[str, ...]) -> shapely.Geometry:
    """A geometry in degrees as WKT.

    Raises:
        InvalidInputError: it is none, or of another kind.
    """
    try:
        shape = shapely.from_wkt(text)
    except shapely.errors.ShapelyError as error:
        raise InvalidInputError(f"coords {text[:60]!r} is no geometry as WKT: {str(error)[:80]}") from error
    if shape.geom_type not in kinds:
        raise InvalidInputError(f"coords is a {shape.geom_type}; here it is a {' or a '.join(kinds)}")
    return cql2.geometry(dict(shapely.geometry.mapping(shape)))
