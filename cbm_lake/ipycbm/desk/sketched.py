"""The curve of the polygon that was drawn on the map, as the parcel's own is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cbm_lake.cards import INDICES
from cbm_lake.errors import NotFoundError
from cbm_lake.ipycbm.desk import chartdata
from cbm_lake.ipycbm.desk.chartdata import Json, Panels
from cbm_lake.ipycbm.desk.observed import Observed
from cbm_lake.parcel import polygonseries
from cbm_lake.parcel.series import TimeSeries
from cbm_lake.parcel.sources import polygons
from cbm_lake.show import computing
from cbm_lake.show.panels import Line

COLOUR: Final = "#1f6fb2"
_NAME: Final = "drawn"


def curve(observed: Observed, panels: Panels, polygon: str, index: str, label: str) -> Json:
    """The curve over the days on which the parcel was seen, and the limits of both together.

    Args:
        observed: the parcel beside which it stands.
        panels: of the parcel.
        polygon: see `State.polygon`.
        index: one of `cards.INDICES`.
        label: of the curve.

    Raises:
        InvalidInputError: it is no polygon, or too large.
        NotFoundError: no scene has a pixel in it.
        SourceError: no scene can be read.
    """
    lake, key, card = observed.reading.lake, observed.parcel.key, observed.optical.card
    days = [time.date() for time in panels.index.lines[0].rows["time"]]
    signatures = polygonseries.extracted(
        lake,
        replace(key, pid=_NAME),
        polygons.read(polygon, crossing=True),
        card.name,
        min(days, default=None),
        max(days, default=None),
        lake.parcel_set(key.aoi, key.year, key.ptype),
    )
    table = polygonseries.looks(lake, signatures, replace(key, pid=_NAME))
    rows = computing.index_curve(TimeSeries(observed.parcel, card, table), INDICES[index], observed.screen)
    if not len(rows):
        raise NotFoundError("no scene has a pixel with its centre in the drawn polygon")
    return chartdata.beside(panels.index, Line("", COLOUR, rows), label)
