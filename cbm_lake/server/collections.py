"""Feature collections of the REST service: parcel sets, FOI results, verdicts, judgements."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.errors import NotFoundError
from cbm_lake.foi import result as foi
from cbm_lake.geo.areas import DEGREES, bounds_in
from cbm_lake.geo.geoparquet import primary_column
from cbm_lake.lake import Lake, queries
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.parcel.sources.declared import in_memory
from cbm_lake.server.accounts import Account
from cbm_lake.server.cql2 import Kind, Queryable, Queryables, of_schema
from cbm_lake.server.security import RefusedError
from cbm_lake.server.selection import (
    Box,
    Selection,
    Wanted,
    conditions_of,
    crs_of,
    in_degrees,
    matching,
    ordered,
    select,
)
from cbm_lake.server.selection import Rows as Table

Feature = dict[str, object]
"""Of GeoJSON."""
May = Callable[[str], bool]
"""Whether an area may be read; others are not even looked at, so that nothing, nor the time it takes, tells of them."""
_OF_PARCELS: Final[Queryables] = {
    "pid": Queryable("pid", Kind.TEXT),
    "crop_name": Queryable("crop_name", Kind.TEXT),
    "crop_code": Queryable("crop_code", Kind.TEXT),
    "area_m2": Queryable("area_m2", Kind.NUMBER),
    "geometry": Queryable("geometry", Kind.GEOMETRY),
}
"""The properties of parcels."""
_BATCH: Final = 10_000


class Collection(Protocol):
    """Features of one kind."""

    @property
    def id(self) -> str:
        """By what it is asked for."""

    @property
    def title(self) -> str:
        """What it is called for people."""

    @property
    def aoi(self) -> str:
        """Of which area; "" where that is not known, for administrators only."""

    def bounds(self) -> Box:
        """The box of all."""

    def queryables(self) -> Queryables:
        """The properties that may be asked for."""

    def select(self, wish: Wanted) -> Selection:
        """The features of a wish, as they are now.

        Raises:
            InvalidInputError: the filter or the order is wrong.
        """

    def former(self, wish: Wanted, state: str) -> Selection | None:
        """The features of a wish in another state of the rows, or None where that is no more."""

    def features(self, selection: Selection, offset: int, limit: int) -> list[Feature]:
        """A page of a selection."""

    def one(self, name: str) -> Feature:
        """That feature.

        Raises:
            NotFoundError: there is none.
        """


def all_of(source: LakeSource, user: Account) -> list[Collection]:
    """The collections that a user may read."""
    return [one for kind in _KINDS.values() for one in kind(source, lambda aoi: _may(user, aoi))]


def named(source: LakeSource, user: Account, name: str) -> Collection:
    """A collection.

    Raises:
        RefusedError: there is none of that name that is theirs to read.
    """
    kind = _KINDS.get(name.partition("_")[0])
    for one in kind(source, lambda aoi: _may(user, aoi)) if kind else ():
        if one.id == name:
            return one
    raise RefusedError


def _may(user: Account, aoi: str) -> bool:
    return user.may_read(aoi) if aoi else user.admin


def _parcel_sets(source: LakeSource, may: May) -> Sequence[Collection]:
    return [Parcels(source, parcels) for parcels in source.lake.parcel_sets() if may(parcels.aoi)]


class Parcels:
    """A parcel set."""

    def __init__(self, source: LakeSource, parcels: ParcelSet) -> None:
        self.id, self.title, self.aoi = id_of("parcels", parcels), f"Parcels of {parcels.name}", parcels.aoi
        self._source, self._parcels = source, parcels

    def bounds(self) -> Box:
        """See `Collection`."""
        return _bounds(self._source.lake, self.aoi)

    def queryables(self) -> Queryables:
        """See `Collection`."""
        return _OF_PARCELS

    def select(self, wish: Wanted) -> Selection:
        """See `Collection`."""
        return self._selected(self._parcels, wish)

    def former(self, wish: Wanted, state: str) -> Selection | None:
        """See `Collection`."""
        key = self._parcels
        for version in self._source.lake.parcel_versions(key.aoi, key.year, key.ptype):
            if _state(version) == state:
                return self._selected(version, wish)
        return None

    def _selected(self, parcels: ParcelSet, wish: Wanted) -> Selection:
        conditions, memory = conditions_of(wish, _OF_PARCELS), in_memory(self._source.lake, parcels)
        places = memory.places(wish.box)
        if wish.box is not None or conditions:
            rows = memory.rows.take(pa.array(places)) if wish.box is not None else memory.rows
            met = matching(rows, wish, conditions)
            places = places[met] if wish.box is not None else places[np.isin(places, met)]
        keys = [(_OF_PARCELS[name].column, down) for name, down in wish.sort]
        return Selection(
            _state(parcels), memory.rows, ordered(memory.rows, places, [*keys, ("pid", False)] if keys else [])
        )

    def features(self, selection: Selection, offset: int, limit: int) -> list[Feature]:
        """See `Collection`."""
        rows = selection.cut(offset, limit)
        shapes = in_degrees(rows)
        return [self._feature({**row, "shape": shape}) for row, shape in zip(rows.to_pylist(), shapes, strict=True)]

    def one(self, name: str) -> Feature:
        """See `Collection`."""
        return self._feature(self._source.declared_parcel(self._parcels, name))

    def _feature(self, row: Mapping[str, Any]) -> Feature:
        properties = {name: row[name] for name in _OF_PARCELS if name != "geometry"}
        return _feature(row["pid"], row["shape"], properties)


@dataclass(frozen=True)
class Rows:
    """Rows with geometries, of which only a few thousand at a time are in memory."""

    id: str
    title: str
    aoi: str
    key: str
    """The column that tells them apart; "" is the first."""
    batches: Callable[[], Iterator[pa.RecordBatch]]
    bounds: Callable[[], Box]

    def queryables(self) -> Queryables:
        """See `Collection`."""
        first = next(self.batches(), None)
        return {} if first is None else of_schema(first.schema)

    def select(self, wish: Wanted) -> Selection:
        """See `Collection`."""
        first = next(self.batches(), None)
        key = self.key or ("" if first is None else first.schema.names[0])
        return select(self.batches(), wish, self.queryables(), key)

    def former(self, wish: Wanted, state: str) -> Selection | None:
        """See `Collection`."""
        return None

    def features(self, selection: Selection, offset: int, limit: int) -> list[Feature]:
        """See `Collection`."""
        return self._features(selection.cut(offset, limit))

    def has_features(self) -> bool:
        """Whether there are any."""
        return any(batch.num_rows for batch in self.batches())

    def one(self, name: str) -> Feature:
        """See `Collection`."""
        for batch in self.batches():
            rows = batch.filter(pc.equal(pc.cast(self._keys(batch), pa.string()), name))
            if rows.num_rows:
                return self._features(rows.slice(0, 1))[0]
        raise NotFoundError(f"there is no feature {name!r} in {self.id}")

    def _keys(self, rows: Table) -> pa.Array:
        return rows.column(self.key or 0)

    def _features(self, rows: Table) -> list[Feature]:
        if not rows.num_rows:
            return []
        shapes = in_degrees(rows)
        plain = rows.drop_columns(["geometry"]).to_pylist()
        keys = map(str, self._keys(rows).to_pylist())
        return [_feature(*row) for row in zip(keys, shapes, plain, strict=True)]


def _results(source: LakeSource, may: May) -> Sequence[Collection]:
    lake = source.lake
    return [_result(lake, name, aoi) for name, aoi in foi.in_lake(lake).items() if may(aoi)]


def _result(lake: Lake, name: str, aoi: str) -> Rows:
    """A result of FOI."""

    def bounds() -> Box:
        first = next(iter(foi.batches(lake, name)))
        column = primary_column(first.schema)
        box = column.bbox if column and column.bbox else (-180, -90, 180, 90)
        return bounds_in(shapely.box(*box), crs_of(first.schema), DEGREES)

    return Rows(f"foi_{name}", f"FOI: {name}", aoi, "", lambda: foi.batches(lake, name), bounds)


def _verdicts(source: LakeSource, may: May) -> Sequence[Collection]:
    lake = source.lake
    collections = [_inspections(lake, parcels) for parcels in lake.parcel_sets() if may(parcels.aoi)]
    return [one for one in collections if one.has_features()]


def _inspections(lake: Lake, parcels: ParcelSet) -> Rows:
    """The verdicts on the parcels of a set."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from lake.relation(queries.get("qa.inspected").sql, **parcels.params).to_arrow_reader(_BATCH)

    title = f"Verdicts on the parcels of {parcels.name}"
    return Rows(id_of("inspections", parcels), title, parcels.aoi, "id", batches, lambda: _bounds(lake, parcels.aoi))


def _judgements(source: LakeSource, may: May) -> Sequence[Collection]:
    lake = source.lake
    collections = [_judged(lake, parcels) for parcels in lake.parcel_sets() if may(parcels.aoi)]
    return [one for one in collections if one.has_features()]


def _judged(lake: Lake, parcels: ParcelSet) -> Rows:
    """The judgements that stand on the parcels of a set, in batches of one coordinate system."""

    def batches() -> Iterator[pa.RecordBatch]:
        rows = lake.query("cases.judged_features", **parcels.params)
        for epsg in rows["epsg"].unique():
            yield from rows.filter(pc.equal(rows["epsg"], epsg)).to_batches(_BATCH)

    title = f"Judgements of the parcels of {parcels.name}"
    return Rows(id_of("judgements", parcels), title, parcels.aoi, "id", batches, lambda: _bounds(lake, parcels.aoi))


def _state(parcels: ParcelSet) -> str:
    """A version of a parcel set, whose rows never change."""
    return hashlib.blake2b(parcels.version.encode(), digest_size=8).hexdigest()


def id_of(kind: str, parcels: ParcelSet | ParcelKey) -> str:
    """A parcel set as the name of a collection: parcels_ms_2024, parcels_ms_2024_m."""
    return "_".join(filter(None, (kind, parcels.aoi, str(parcels.year), parcels.ptype)))


def _feature(name: str, shape: shapely.Geometry | None, properties: Mapping[str, object]) -> Feature:
    geometry = None if shape is None else orjson.Fragment(shapely.to_geojson(shape))
    return {"type": "Feature", "id": name, "geometry": geometry, "properties": properties}


def _bounds(lake: Lake, aoi: str) -> Box:
    box: Box = lake.footprint(aoi).bounds
    return box


_KINDS: Final[dict[str, Callable[[LakeSource, May], Sequence[Collection]]]] = {
    "parcels": _parcel_sets,
    "foi": _results,
    "inspections": _verdicts,
    "judgements": _judgements,
}
"""What begins the name of a collection."""
