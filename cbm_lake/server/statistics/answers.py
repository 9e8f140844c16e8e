"""Answers in the form of Sentinel Hub's Statistical API, out of the rows of an extraction of the polygon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from pyproj import CRS
from pyproj.exceptions import CRSError

from cbm_lake import cards
from cbm_lake.cards import INDICES, Card
from cbm_lake.cards.statistics import OPTIONAL
from cbm_lake.errors import InvalidInputError
from cbm_lake.extract.drawnjobs import Recipe
from cbm_lake.geo.areas import Area
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import polygonseries
from cbm_lake.server.statistics.asked import PERCENTILES, Request, Span, spans
from cbm_lake.server.statistics.evalscript import Difference, Evalscript, Value, parse

Json: TypeAlias = dict[str, Any]
Row: TypeAlias = Mapping[str, Any]
_KEY: Final = ParcelKey("", 0, "", "polygon")
_WHOLE: Final = 1 - 1e-6
"""Share of a polygon from which on a scene sees all of it."""
_REFLECTANCE: Final = 10_000
"""DN of a reflectance of 1."""


@dataclass(frozen=True)
class _Column:
    """A band or an index in the rows."""

    name: str
    scale: float
    """By which its numbers are divided."""


def answer(lake: Lake, request: Request, area: Area) -> Json:
    """The answer to a request over an area.

    Raises:
        InvalidInputError: it asks for what is not offered; the message names it.
        SourceError: no scene can be read.
    """
    data, script = request.input.data[0], parse(request.aggregation.evalscript)
    card, intervals = data.card(), spans(request.aggregation)
    columns = {
        output: {band: _column(card, value, script.units) for band, value in bands.items()}
        for output, bands in script.outputs.items()
    }
    asked = {output: {band: request.percentiles(output, band) for band in bands} for output, bands in columns.items()}
    _check_pixels(request, card, script, area)
    rows = _rows(lake, request, card, script, area) if intervals else []
    of_spans = [(span, [row for row in rows if span.start <= row["obstime"] < span.stop]) for span in intervals]
    order = data.filter.order
    return {
        "data": [_interval(span, of_span, columns, asked, order) for span, of_span in of_spans if of_span],
        "status": "OK",
    }


def _column(card: Card, value: Value, units: str) -> _Column:
    """Where the rows have a value."""
    if isinstance(value, Difference):
        for index in INDICES.values():
            bands = dict(zip(index.roles, index.bands_of(card), strict=False))
            weights = {bands.get(role): weight for role, weight in index.numerator.weights.items()}
            if index.is_normalized_difference and weights == {value.first: 1, value.second: -1}:
                return _Column(index.column, 1)
        names = ", ".join(index.name for index in INDICES.values() if index.is_normalized_difference)
        raise InvalidInputError(
            f"the difference of {value.first} and {value.second} is none of the lake's indices ({names})"
        )
    if card.is_classes(value):
        raise InvalidInputError(f"{value} is of classes, which have no statistics")
    (name,) = card.check_bands((value,))
    if not card.is_optical:
        if units == "DN":
            raise InvalidInputError(f"{card.name} has no DN: its values are linear power; leave units out")
        return _Column(name, 1)
    return _Column(name, _REFLECTANCE if units == "REFLECTANCE" else 1)


def _used(script: Evalscript) -> tuple[set[str], set[Difference]]:
    values = [value for bands in script.outputs.values() for value in bands.values()]
    differences = {value for value in values if isinstance(value, Difference)}
    bands = {value for value in values if isinstance(value, str)}
    return bands | {band for one in differences for band in (one.first, one.second)}, differences


def _check_pixels(request: Request, card: Card, script: Evalscript, area: Area) -> None:
    """Refuse another size of pixels than the scenes'."""
    aggregation = request.aggregation
    if aggregation.width is not None or aggregation.height is not None:
        raise InvalidInputError(
            "width and height are not offered: statistics are of the scenes' own pixels; leave them out"
        )
    sizes = {size for size in (aggregation.resx, aggregation.resy) if size is not None}
    if not sizes:
        return
    try:
        metric = CRS.from_user_input(area.crs).is_projected
    except CRSError as error:
        raise InvalidInputError(f"EPSG:{area.crs} is no coordinate system") from error
    own = {band: card.resolutions[band] for band in _used(script)[0]}
    wrong = [band for band, size in own.items() if not metric or sizes != {size}]
    if wrong:
        raise InvalidInputError(
            f"resx and resy are not the {own[wrong[0]]:g} m of the pixels of {wrong[0]}, which are not resampled; "
            "leave them out, or give that in a projected system"
        )


def _rows(lake: Lake, request: Request, card: Card, script: Evalscript, area: Area) -> list[Row]:
    """A row for each scene with pixels of the area, by time."""
    bands, differences = _used(script)
    indices = [cards.indices.named(_column(card, one, script.units).name) for one in differences]
    names = tuple(sorted(index.name for index in indices if index))
    recipe = Recipe.of(card, bands=sorted(bands), statistics=OPTIONAL, indices=names, clear=False)
    wide, data = request.aggregation.time_range, request.input.data[0].filter
    ranges = [wide, *([data.time_range] if data.time_range else [])]
    starts, stops = ([_aware(getattr(one, side)) for one in ranges] for side in ("start", "stop"))
    extra = timedelta(days=366) if request.aggregation.interval.last == "EXTEND" else timedelta(0)
    first, last = max(starts).date(), (min(stops) + extra).date()
    if first > last:
        return []
    rows = polygonseries.extracted(lake, _KEY, area, card.name, first, last, recipe=recipe)
    table: list[Row] = rows.table.to_pylist()
    cloudy = _cloudiness(lake, card, table) if data.cloud < 100 or data.order == "leastCC" else {}
    inside = [row for row in table if not data.time_range or starts[-1] <= row["obstime"] < stops[-1]]
    return [
        {**row, "cloud": cloudy.get(row["scene"])} for row in inside if (cloudy.get(row["scene"]) or 0) <= data.cloud
    ]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cloudiness(lake: Lake, card: Card, rows: Sequence[Row]) -> dict[str, float | None]:
    """Cloud cover of scenes in percent, None where the catalogue does not say."""
    if not rows:
        return {}
    start, stop = rows[0]["obstime"], rows[-1]["obstime"] + timedelta(seconds=1)
    scenes = lake.query("scenes.between", card=card.name, start=start, stop=stop).select(["id", "cloud_cover"])
    return {row["id"]: row["cloud_cover"] for row in scenes.to_pylist()}


# -- intervals -------------------------------------------------------------------------------------------------------


def _interval(
    span: Span,
    rows: Sequence[Row],
    columns: Mapping[str, Mapping[str, _Column]],
    asked: Mapping[str, Mapping[str, Sequence[float]]],
    order: str,
) -> Json:
    """The statistics of an interval, or why there are none."""
    stated = {"from": _stated(span.start), "to": _stated(span.stop)}
    first = _ordered(rows, order)[0]
    names = {column.name for bands in columns.values() for column in bands.values()}
    if len(rows) > 1 and not all((first[f"{name}_valid_share"] or 0) >= _WHOLE for name in names):
        scenes = ", ".join(row["scene"] for row in rows)
        reason = (
            f"several scenes ({scenes}) see parts of the geometry, and are not mosaicked; ask for shorter intervals"
        )
        return {"interval": stated, "error": {"type": "BAD_REQUEST", "message": reason}}
    outputs = {
        output: {"bands": {band: {"stats": _stats(first, bands[band], asked[output][band])} for band in bands}}
        for output, bands in columns.items()
    }
    return {"interval": stated, "outputs": outputs}


def _ordered(rows: Sequence[Row], order: str) -> list[Row]:
    """The scenes in the order in which a mosaic takes them."""
    latest_first = sorted(rows, key=lambda row: row["obstime"], reverse=order != "leastRecent")
    if order != "leastCC":
        return latest_first
    return sorted(latest_first, key=lambda row: 100.0 if row["cloud"] is None else row["cloud"])


def _stats(row: Row, column: _Column, percentiles: Sequence[float]) -> Json:
    """The statistics of a band; sampleCount are all pixels of the geometry, noDataCount those without a value."""
    count, share = row[f"{column.name}_count"] or 0, row[f"{column.name}_valid_share"]
    samples = round(count / share) if share else count

    def scaled(name: str) -> float | None:
        value = row[f"{column.name}_{name}"]
        return None if value is None else float(value) / column.scale

    stats: Json = {
        name: scaled(of) for name, of in (("min", "min"), ("max", "max"), ("mean", "mean"), ("stDev", "std"))
    }
    stats |= {"sampleCount": samples, "noDataCount": samples - count}
    if percentiles:
        stats["percentiles"] = {f"{k:.1f}": scaled(PERCENTILES[k]) for k in percentiles}
    return stats


def _stated(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
