"""Requests of the form of Sentinel Hub's Statistical API, and what of them is answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import shapely
from pydantic import BaseModel, ConfigDict, Field
from shapely.geometry import shape as of_geojson

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, quoted
from cbm_lake.geo.areas import Area

COLLECTIONS: Final = {"sentinel-2-l2a": cards.S2.name} | {name: name for name in cards.CARDS}
"""Cards by the type of `input.data`."""
PERCENTILES: Final = {0.0: "min", 10.0: "p10", 25.0: "p25", 50.0: "p50", 75.0: "p75", 90.0: "p90", 100.0: "max"}
_CRS: Final = re.compile(
    r"https?://www\.opengis\.net/def/crs/(?:OGC/[\d.]+/(?P<crs84>CRS84)|EPSG/\d+/(?P<epsg>\d{1,6}))"
)
_DAYS: Final = re.compile(r"P(?P<number>\d{1,4})(?P<unit>[DW])")
_NEARLY: Final = timedelta(seconds=1)
"""What an interval may lack and is whole: clients end a day at 23:59:59."""
MOST_INTERVALS: Final = 2000
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Properties(_Strict):
    """Coordinate system of the bounds."""

    crs: str = Field("http://www.opengis.net/def/crs/OGC/1.3/CRS84", max_length=100)


class Bounds(_Strict):
    """Where."""

    bbox: list[Number] | None = Field(None, min_length=4, max_length=4)
    geometry: dict[str, Any] | None = None
    properties: Properties = Field(default_factory=lambda: Properties.model_validate({}))

    def area(self) -> Area:
        """The geometry, else the box; cut to the box where both are given.

        Raises:
            InvalidInputError: neither is given, or one is none, or the system is not known.
        """
        system = _CRS.fullmatch(self.properties.crs)
        if system is None:
            raise InvalidInputError(f"crs {quoted(self.properties.crs)} is not known; write …/def/crs/EPSG/0/32631")
        shapes = [] if self.bbox is None else [shapely.box(*self.bbox)]
        if self.geometry is not None:
            try:
                shapes.append(of_geojson(self.geometry))
            except (ValueError, TypeError, KeyError, AttributeError, IndexError, shapely.GEOSException) as error:
                raise InvalidInputError("bounds.geometry is no GeoJSON geometry") from error
        if not shapes:
            raise InvalidInputError("bounds have neither bbox nor geometry")
        try:
            shape = shapes[0] if len(shapes) == 1 else shapes[1].intersection(shapes[0])
        except shapely.GEOSException as error:
            raise InvalidInputError("bounds.geometry crosses itself, so it cannot be cut to bbox") from error
        return Area(shape, 4326 if system["crs84"] else int(system["epsg"]))


class TimeRange(_Strict):
    """From a moment up to another, which is not included."""

    start: datetime = Field(alias="from")
    stop: datetime = Field(alias="to")


class DataFilter(_Strict):
    """Which scenes."""

    time_range: TimeRange | None = Field(None, alias="timeRange")
    cloud: int = Field(100, ge=0, le=100, alias="maxCloudCoverage")
    order: Literal["mostRecent", "leastRecent", "leastCC"] = Field("mostRecent", alias="mosaickingOrder")


class Processing(_Strict):
    """How pixels are read: as they are."""

    harmonize: Literal[True] = Field(True, alias="harmonizeValues")
    upsampling: Literal["NEAREST"] = "NEAREST"
    downsampling: Literal["NEAREST"] = "NEAREST"


class Data(_Strict):
    """Of which scenes."""

    type: str = Field(max_length=100)
    id: str | None = Field(None, max_length=100)
    filter: DataFilter = Field(default_factory=lambda: DataFilter.model_validate({}), alias="dataFilter")
    processing: Processing = Field(default_factory=lambda: Processing.model_validate({}))

    def card(self) -> cards.Card:
        """The card of the lake.

        Raises:
            InvalidInputError: the lake has none of that type.
        """
        if self.type.lower() not in COLLECTIONS:
            raise InvalidInputError(f"type {quoted(self.type)} is none of {', '.join(COLLECTIONS)}")
        return cards.get(COLLECTIONS[self.type.lower()])


class Input(_Strict):
    """What is read."""

    bounds: Bounds
    data: list[Data] = Field(min_length=1, max_length=1)


class Interval(_Strict):
    """How the time range is divided."""

    of: str = Field(max_length=20)
    last: Literal["SKIP", "SHORTEN", "EXTEND"] = Field("SKIP", alias="lastIntervalBehavior")


class Aggregation(_Strict):
    """What is computed, of which intervals."""

    time_range: TimeRange = Field(alias="timeRange")
    interval: Interval = Field(alias="aggregationInterval")
    evalscript: str
    width: int | None = None
    height: int | None = None
    resx: Number | None = Field(None, gt=0)
    resy: Number | None = Field(None, gt=0)


class Percentiles(_Strict):
    """Which percentiles."""

    k: list[Number] = Field(max_length=20)


class Statistics(_Strict):
    """Statistics of one band."""

    percentiles: Percentiles | None = None


class Calculation(_Strict):
    """Of one output; histograms are none that is known here."""

    statistics: dict[str, Statistics] = {}


class Request(_Strict):
    """A request for statistics."""

    input: Input
    aggregation: Aggregation
    calculations: dict[str, Calculation] = {}

    def percentiles(self, output: str, band: str) -> list[float]:
        """The percentiles that are asked for of a band of an output.

        Raises:
            InvalidInputError: one is not offered.
        """
        calculation = self.calculations.get(output) or self.calculations.get("default") or Calculation()
        statistics = calculation.statistics.get(band) or calculation.statistics.get("default") or Statistics()
        asked = statistics.percentiles.k if statistics.percentiles else []
        if unknown := [k for k in asked if k not in PERCENTILES]:
            offered = ", ".join(f"{k:g}" for k in PERCENTILES)
            raise InvalidInputError(f"percentile {unknown[0]:g} is not offered; there are {offered}")
        return asked


@dataclass(frozen=True)
class Span:
    """A part of the time range."""

    start: datetime
    stop: datetime
    """Not included."""


def spans(aggregation: Aggregation) -> list[Span]:
    """The intervals of a request, in order.

    Raises:
        InvalidInputError: their length is none that is provided for, the range is reversed, or they are too many.
    """
    length = _length(aggregation.interval.of)
    start, stop = (_utc(moment) for moment in (aggregation.time_range.start, aggregation.time_range.stop))
    if start >= stop:
        raise InvalidInputError("timeRange ends before it begins")
    if (stop - start) / length > MOST_INTERVALS:
        raise InvalidInputError(f"timeRange has more than {MOST_INTERVALS:,} intervals; ask for fewer days")
    return list(_spans(start, stop, length, aggregation.interval.last))


def _spans(start: datetime, stop: datetime, length: timedelta, last: str) -> Iterator[Span]:
    while start < stop:
        end = start + length
        if end <= stop + _NEARLY or last == "EXTEND":
            yield Span(start, end)
        elif last == "SHORTEN":
            yield Span(start, stop)
        start = end


def _length(text: str) -> timedelta:
    match = _DAYS.fullmatch(text)
    if match is None or not int(match["number"]):
        raise InvalidInputError(f"aggregationInterval {quoted(text)} is none of days or weeks; write P1D, P10D or P1W")
    return timedelta(days=int(match["number"]) * (7 if match["unit"] == "W" else 1))


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise InvalidInputError(f"{moment} is no day of this calendar") from error
