"""`Source` protocol: the requests that a source answers, and the types of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from cbm_lake.cards import CARDS, CLOUD_CLASSES, Card, Classes
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.basemaps import Background, Square
from cbm_lake.parcel.chips import Chip, Cutout
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.series import TimeSeries

Columns: TypeAlias = "dict[str, list[Any]]"
"""Equally long lists by name: an answer in JSON, as the REST service gives it."""
SUFFIX: Final = {card.name: card.wire_suffix for card in CARDS.values()}
"""In time series radar bands end in their card's letter: VVb is backscatter, VVc coherence."""


@dataclass(frozen=True)
class ByPid:
    """Request a parcel by identifier: area (m²), clat, clon, cropcode, cropname, pid, srid, geom (GeoJSON text)."""

    key: ParcelKey
    geometry: bool = False
    """With geom."""
    wgs84: bool = False
    """geom in degrees, not in the area's own coordinate system."""


@dataclass(frozen=True)
class ByLocation:
    """Request all parcels that intersect a point in degrees, boundaries included; columns of `ByPid`."""

    aoi: str
    year: int
    lon: float
    lat: float
    ptype: str = ""
    geometry: bool = False
    wgs84: bool = False


@dataclass(frozen=True)
class ByPolygon:
    """Request all parcels that intersect a polygon; no rows, rather than an error, if there are none."""

    aoi: str
    year: int
    polygon: object
    """In degrees unless it says otherwise, in any form of `polygons.read`."""
    ptype: str = ""
    geometry: bool = False
    wgs84: bool = False
    only_ids: bool = True
    """pid and geom alone."""
    limit: int | None = None
    """The greatest number that a lake gives; a server has its own."""


@dataclass(frozen=True)
class Peers:
    """Request the nearest parcels of the same crop above 3000 m²: pids, distance (m, edge to edge), ascending."""

    key: ParcelKey
    distance: float = 2000.0
    limit: int = 10


@dataclass(frozen=True)
class Statistics:
    """Request statistics by time and band, in long form."""

    key: ParcelKey
    tstype: str = "s2"
    """s2, bs, c6, or scl, which gives obsid and hist only."""
    band: str = ""
    """One band only, by any of its names; "" is all."""
    scl: bool = True
    """With hist."""
    ref: bool = False
    """With reference: names of products, of s2 with .SAFE."""


@dataclass(frozen=True)
class OfPolygon:
    """Request statistics of a polygon by time and band, in long form, as those of a parcel of a set."""

    parcels: ParcelKey
    """The parcel set beside whose parcels it stands; its pid is the name that the polygon gets."""
    polygon: object
    """In degrees unless it says otherwise, in any form of `polygons.read`; it may cross itself."""
    tstype: str = "s2"
    band: str = ""
    """One band only, by any of its names; "" is all."""
    start: date | None = None
    end: date | None = None
    """The last day, included; None is no limit."""
    clear: bool = False
    """Of clear pixels alone where these stand for the polygon, with clear_part and usable."""
    screen: Classes = CLOUD_CLASSES
    """Scene classes that count as clouds then."""


@dataclass(frozen=True)
class Weather:
    """Request the weather of a parcel's cell: meteo_date (YYYY-MM-DD), tmin, tmax, tmean (°C), prec (mm), by date."""

    key: ParcelKey


@dataclass(frozen=True)
class Markers:
    """Request the events detected on a parcel, by date."""

    key: ParcelKey


Question: TypeAlias = ByPid | ByLocation | ByPolygon | Peers | Statistics | OfPolygon | Weather | Markers
"""What is answered in columns."""


@dataclass(frozen=True)
class ImageRequest:
    """Images of a position between two days, both included."""

    lon: float
    lat: float
    start: date | str
    end: date | str
    bands: tuple[str, ...]
    chipsize: int = 1280
    """Metres a side."""
    card: str = "s2"
    optional: tuple[str, ...] = ()
    """Bands that may be missing altogether; the log says so."""


class Source(Protocol):
    """Answers requests about single parcels and positions.

    All raise NotFoundError where there is nothing, InvalidInputError for what cannot be asked, and SourceError when the
    lake or the server fails.
    """

    def answer(self, question: Question) -> Columns:
        """Answer a request in the columns that it names."""

    def parcel(self, key: ParcelKey) -> Parcel:
        """A declared parcel."""

    def series(self, parcel: Parcel, card: Card) -> TimeSeries:
        """Statistics of a parcel; no rows if nothing was extracted."""

    def cutouts(self, request: ImageRequest) -> list[Cutout]:
        """Bands of all scenes over a position; missing bands are left out and unreadable ones skipped."""

    def write_chips(self, request: ImageRequest, folder: Path, limit: int = 24) -> list[Chip]:
        """Write the cutouts to GeoTIFFs in a folder, by band and time.

        Raises:
            TooManyError: more scenes than the limit.
        """

    def background(self, square: Square) -> Background:
        """An orthophoto around a position."""

    def write_background(self, square: Square, file: Path) -> Path:
        """Write the background as GeoTIFF; returns `file`, or a sibling path if another source had to be used."""

    def info(self, aois: Sequence[str] | None = None) -> dict[str, Any]:
        """Description of the source: server, helpers, and per area its years, parcel sets and examples."""
