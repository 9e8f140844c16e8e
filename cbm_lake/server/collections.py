"""Feature collections of the REST service: parcel sets, FOI results, verdicts, judgements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyproj import CRS

from cbm_lake.errors import NotFoundError
from cbm_lake.foi import result as foi
from cbm_lake.geo.areas import DEGREES, Area, bounds_in
from cbm_lake.geo.geoparquet import primary_column
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake, queries
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.server.accounts import Account
from cbm_lake.server.security import RefusedError

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
Feature = dict[str, object]
"""Of GeoJSON."""
Shapes: TypeAlias = npt.NDArray[np.object_]
May = Callable[[str], bool]
"""Whether an area may be read; others are not even looked at, so that nothing, nor the time it takes, tells of them."""
_OF_PARCELS: Final = ("crop_name", "crop_code", "area_m2")
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

    def page(self, box: Box | None, offset: int, limit: int) -> tuple[list[Feature], int]:
        """Some of those that meet a box, and how many there are in all."""

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
        self.id, self.title, self.aoi = _id("parcels", parcels), f"Parcels of {parcels.name}", parcels.aoi
        self._source, self._parcels = source, parcels

    def bounds(self) -> Box:
        """See `Collection`."""
        return _bounds(self._source.lake, self.aoi)

    def page(self, box: Box | None, offset: int, limit: int) -> tuple[list[Feature], int]:
        """See `Collection`."""
        rows, total = self._source.parcels_of_page(self._parcels, box, offset, limit)
        return [self._feature(row) for row in rows], total

    def one(self, name: str) -> Feature:
        """See `Collection`."""
        return self._feature(self._source.declared_parcel(self._parcels, name))

    def _feature(self, row: Mapping[str, Any]) -> Feature:
        properties = {"pid": row["pid"], **{name: row[name] for name in _OF_PARCELS}}
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

    def page(self, box: Box | None, offset: int, limit: int) -> tuple[list[Feature], int]:
        """See `Collection`."""
        features: list[Feature] = []
        total = 0
        for batch in self.batches():
            rows = batch if box is None else batch.filter(pa.array(_meets(batch, box)))
            if len(features) < limit and total + rows.num_rows > offset:
                features += self._features(rows.slice(max(0, offset - total), limit - len(features)))
            total += rows.num_rows
        return features, total

    def one(self, name: str) -> Feature:
        """See `Collection`."""
        for batch in self.batches():
            rows = batch.filter(pc.equal(pc.cast(self._keys(batch), pa.string()), name))
            if rows.num_rows:
                return self._features(rows.slice(0, 1))[0]
        raise NotFoundError(f"there is no feature {name!r} in {self.id}")

    def _keys(self, batch: pa.RecordBatch) -> pa.Array:
        return batch.column(self.key or 0)

    def _features(self, rows: pa.RecordBatch) -> list[Feature]:
        shapes = reprojected(_shapes(rows), _crs(rows), 4326)
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
        return bounds_in(shapely.box(*box), _crs(first), DEGREES)

    return Rows(f"foi_{name}", f"FOI: {name}", aoi, "", lambda: foi.batches(lake, name), bounds)


def _verdicts(source: LakeSource, may: May) -> Sequence[Collection]:
    lake = source.lake
    collections = [_inspections(lake, parcels) for parcels in lake.parcel_sets() if may(parcels.aoi)]
    return [one for one in collections if one.page(None, 0, 1)[1]]


def _inspections(lake: Lake, parcels: ParcelSet) -> Rows:
    """The verdicts on the parcels of a set."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from lake.relation(queries.get("qa.inspected").sql, **parcels.params).to_arrow_reader(_BATCH)

    title = f"Verdicts on the parcels of {parcels.name}"
    return Rows(_id("inspections", parcels), title, parcels.aoi, "id", batches, lambda: _bounds(lake, parcels.aoi))


def _judgements(source: LakeSource, may: May) -> Sequence[Collection]:
    lake = source.lake
    collections = [_judged(lake, parcels) for parcels in lake.parcel_sets() if may(parcels.aoi)]
    return [one for one in collections if one.page(None, 0, 1)[1]]


def _judged(lake: Lake, parcels: ParcelSet) -> Rows:
    """The judgements that stand on the parcels of a set, in batches of one coordinate system."""

    def batches() -> Iterator[pa.RecordBatch]:
        rows = lake.query("cases.judged_features", **parcels.params)
        for epsg in rows["epsg"].unique():
            yield from rows.filter(pc.equal(rows["epsg"], epsg)).to_batches(_BATCH)

    title = f"Judgements of the parcels of {parcels.name}"
    return Rows(_id("judgements", parcels), title, parcels.aoi, "id", batches, lambda: _bounds(lake, parcels.aoi))


def _id(kind: str, parcels: ParcelSet) -> str:
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


# -- geometries of rows -----------------------------------------------------------------------------------------------


def _shapes(rows: pa.RecordBatch) -> Shapes:
    return np.asarray(shapely.from_wkb(rows.column("geometry").to_numpy(zero_copy_only=False)))


def _crs(rows: pa.RecordBatch) -> CRS:
    """The coordinate system of the geometries: from the file's metadata, otherwise from its column epsg."""
    column = primary_column(rows.schema)
    if column:
        return CRS.from_user_input(column.crs or 4326)
    return CRS.from_epsg(rows.column("epsg")[0].as_py() if rows.num_rows else 4326)


def _meets(rows: pa.RecordBatch, box: Box) -> npt.NDArray[np.bool_]:
    """Mask of the geometries that intersect a bounding box in degrees."""
    return np.asarray(Area(shapely.box(*box)).meets(_shapes(rows), _crs(rows)))
