"""Time series of polygons that nobody declared, such as somebody drew, in the forms of those of parcels."""

from __future__ import annotations

from datetime import date
from typing import Final

import pyarrow as pa

from cbm_lake import cards
from cbm_lake.cards import Card
from cbm_lake.extract.drawn import drawn
from cbm_lake.extract.drawnjobs import Recipe
from cbm_lake.extract.drawnseries import DrawnRows, extract_drawn
from cbm_lake.geo.areas import Area
from cbm_lake.lake import Lake, lookup
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.lake.templates import Further

FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2199, 12, 31)
"""What is no limit of days."""


def extracted(
    lake: Lake,
    key: ParcelKey,
    area: Area,
    card: str,
    start: date | None = None,
    end: date | None = None,
    like: ParcelSet | None = None,
    recipe: Recipe | None = None,
) -> DrawnRows:
    """The rows of a polygon, as an extraction would have written them; args and errors are those of `extract_drawn`.

    Args:
        lake: whose scenes.
        key: what the rows are to state: area, year, kind of parcel set, and the polygon's name as pid.
        area: the polygon.
        card: s2, bs, c6, …
        start: first day; None is no limit.
        end: last day, included.
        like: the parcel set beside which it stands.
        recipe: how it is extracted.
    """
    polygons = drawn(lake, {key.pid: area}, key.aoi, key.year, key.ptype)
    return extract_drawn(lake, card, polygons, start or FIRST_DAY, end or LAST_DAY, like=like, recipe=recipe)


def long_rows(rows: DrawnRows, bands: list[str] | None) -> pa.Table:
    """The rows of all pixels by time and band, as sql/time_series/<card>.sql has those of a parcel."""
    whole = rows.table.filter(rows.table["mask"].is_null()).drop_columns(["aoi", "year"])
    return lookup.long_rows(rows.card.name, whole, bands, Further(rows.statistics, rows.indices))


def clear_rows(lake: Lake, rows: DrawnRows, key: ParcelKey, bands: list[str] | None, screen: list[int]) -> pa.Table:
    """The rows of the pixels that count, as sql/time_series/clear_<card>.sql has those of a parcel."""
    return lake.query_over(
        rows.table, rows.card.name, f"time_series.clear_{rows.card.name}", bands=bands, screen=screen, **key.params
    )


def looks(lake: Lake, rows: DrawnRows, key: ParcelKey) -> pa.Table:
    """The looks at a polygon, as sql/time_series/looks_<card>.sql has those at a parcel; of radar wide rows."""
    card: Card = rows.card
    if card.classification is None:
        return lake.query_over(rows.table, card.name, f"time_series.wide_{card.name}", **key.params)
    screen = list(cards.screened(cards.CLOUD_CLASSES, card))
    return lake.query_over(rows.table, card.name, f"time_series.looks_{card.name}", screen=screen, **key.params)
