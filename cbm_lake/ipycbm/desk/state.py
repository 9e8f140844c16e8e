"""State of the workbench: what is chosen, which its address carries, and what its parts have drawn of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Protocol, TypeVar

import traitlets

from cbm_lake.lake.keys import ParcelKey

ADDRESS: Final = (
    "desk",
    "subject",
    "aoi",
    "year",
    "ptype",
    "pid",
    "day",
    "compared",
    "layer",
    "index",
    "where",
    "sort",
)
"""Traits that the address carries, in this order."""
DESK_NAMES: Final = ("season", "sample", "cases")
Data_co = TypeVar("Data_co", covariant=True)
Data = TypeVar("Data")


class State(traitlets.HasTraits):
    """What is chosen. Parts observe it and set it; no part keeps a choice of its own."""

    desk = traitlets.Enum(DESK_NAMES, "season")
    """What is decided on: lights, parcels of a QA sample, or cases."""
    subject = traitlets.Unicode("")
    """The scenario of the lights, "" for all; or the sample."""
    aoi = traitlets.Unicode("")
    year = traitlets.Int(0)
    ptype = traitlets.Unicode("")
    pid = traitlets.Unicode("")
    day = traitlets.Unicode("")
    """Of the image, YYYY-MM-DD; "" is the clearest one."""
    compared = traitlets.Unicode("")
    """Of the second image, beside which it is swiped; "" is none."""
    layer = traitlets.Unicode("true colour")
    """How images are drawn: the name of a view of `show.views`."""
    index = traitlets.Unicode("ndvi")
    """The index of the curve."""
    where = traitlets.Unicode("")
    """SQL condition on the columns of the worklist."""
    sort = traitlets.Unicode("")
    """Column by which the worklist is sorted, -column for descending; "" is its own order."""
    search = traitlets.Unicode("")
    polygon = traitlets.Unicode("")
    """What was drawn on the map, lon_lat-lon_lat-… in degrees, first and last point equal; "" is nothing."""

    @property
    def key(self) -> ParcelKey:
        """The chosen parcel."""
        return ParcelKey(self.aoi, self.year, self.ptype, self.pid)


@dataclass(frozen=True)
class Request:
    """What a part is to draw."""

    key: ParcelKey
    day: str
    compared: str
    layer: str
    index: str
    as_of: datetime
    """Moment of asking: open_lake(as_of=…) shows what was seen."""


@dataclass(frozen=True)
class Drawn:
    """What a part shows."""

    key: ParcelKey
    day: date | None
    """Of the image; None where the part has none."""
    layer: str
    """Of the image, or index of the curve."""
    as_of: datetime


class Part(Protocol[Data]):
    """A part of the workbench that draws a parcel.

    `read` runs in a thread beside others and touches no widget; `show` puts what was read on the screen, unless a newer
    request has come meanwhile, when it is never called.
    """

    def read(self, request: Request) -> Data:
        """Everything that is drawn."""

    def show(self, data: Data) -> Drawn:
        """Draw it, and say what it is."""

    def clear(self, problem: str = "") -> None:
        """Show nothing, or why there is nothing: what was drawn is of another parcel."""
