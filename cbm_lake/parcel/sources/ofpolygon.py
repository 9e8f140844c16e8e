"""Answers about polygons that nobody declared, in the columns of those about parcels."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import shapely

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake
from cbm_lake.parcel import polygonseries
from cbm_lake.parcel.sources import answers, polygons
from cbm_lake.parcel.sources.protocol import Columns, OfPolygon


def columns(lake: Lake, question: OfPolygon) -> Columns:
    """The statistics of a polygon, as `Statistics` has those of a parcel.

    Raises:
        NotFoundError: no such parcel set.
        InvalidInputError: it is no polygon, or too large; unknown card or band; clear pixels of a card without classes.
        SourceError: no scene can be read.
    """
    parcels = lake.parcel_set(question.parcels.aoi, question.parcels.year, question.parcels.ptype)
    card = _card(question)
    key, bands = replace(question.parcels, aoi=parcels.aoi), answers.bands(card.name, question.band)
    area = polygons.read(question.polygon, crossing=True)
    rows = polygonseries.extracted(lake, key, area, card.name, question.start, question.end, parcels)
    if not question.clear:
        return answers.series(polygonseries.long_rows(rows, bands), card.name, scl=True, ref=False)
    table = polygonseries.clear_rows(lake, rows, key, bands, list(cards.screened(question.screen, card)))
    more = {name: table[name].to_pylist() for name in ("clear_part", "usable")}
    return answers.series(table.drop_columns(list(more)), card.name, scl=True, ref=False, more=more)


def _card(question: OfPolygon) -> cards.Card:
    card = cards.get(question.tstype)
    if question.clear and card.classification is None:
        raise InvalidInputError(f"{card.name} has no scene classes, so there are no clear pixels to take apart")
    return card


def body(question: OfPolygon) -> dict[str, Any]:
    """A question as it is sent to a server's /v1/polygon/timeseries.

    The polygon stays in its own coordinate system, where that has a number: each transformation rounds.
    """
    area = polygons.read(question.polygon, crossing=True)
    shape, crs = (
        (area.shape, area.crs) if isinstance(area.crs, int) else (reprojected(area.shape, area.crs, 4326), 4326)
    )
    document = json.loads(shapely.to_geojson(shape))
    if crs != 4326:
        document["crs"] = {"type": "name", "properties": {"name": f"EPSG:{crs}"}}
    days = {name: str(day) for name, day in (("start", question.start), ("end", question.end)) if day}
    set_of = {"aoi": question.parcels.aoi, "year": question.parcels.year, "ptype": question.parcels.ptype}
    asked: dict[str, object] = {"card": question.tstype, "band": question.band, "clear": question.clear}
    if question.clear:
        asked["screen"] = list(cards.screened(question.screen, _card(question)))
    return {**set_of, **asked, **days, "name": question.parcels.pid, "polygon": document}
