"""What a source can be asked, and the shapes of its answers: those of the REST service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from cbm_lake import cards
from cbm_lake.parcel.chips import Chip

Columns: TypeAlias = "dict[str, list[Any]]"
"""Equally long lists by name."""
SUFFIX: Final = {card.name: card.wire_suffix for card in cards.CARDS.values()}
"""In time series radar bands end in their card's letter: VVb is backscatter, VVc coherence."""


class Source(Protocol):
    """Answers questions about single parcels and places.

    All raise NotFoundError where there is nothing, InvalidInputError for what cannot be asked, and SourceError when the
    lake or the server fails. `ptype` says which of several parcel sets; None is the main one.
    """

    def parcel_by_id(
        self, aoi: str, year: int, pid: str, *, ptype: str | None = None, geometry: bool = False, wgs84: bool = False
    ) -> Columns:
        """The parcel of that identifier: area (m²), clat, clon, cropcode, cropname, pid, srid, geom (GeoJSON text)."""

    def parcels_by_location(
        self,
        aoi: str,
        year: int,
        lon: float,
        lat: float,
        *,
        ptype: str | None = None,
        geometry: bool = False,
        wgs84: bool = False,
    ) -> Columns:
        """All parcels that the point in degrees meets, edges included; columns as above."""

    def parcels_by_polygon(
        self,
        aoi: str,
        year: int,
        polygon: Any,
        *,
        ptype: str | None = None,
        geometry: bool = False,
        wgs84: bool = False,
        only_ids: bool = True,
    ) -> Columns:
        """All parcels that the polygon in degrees meets; no rows, rather than an error, where there are none."""

    def parcel_peers(
        self, aoi: str, year: int, pid: str, *, ptype: str | None = None, distance: float = 2000.0, limit: int = 10
    ) -> Columns:
        """The nearest parcels of the same crop larger than 3000 m²: pids, distance (m, edge to edge), ascending."""

    def parcel_time_series(
        self,
        aoi: str,
        year: int,
        pid: str,
        *,
        ptype: str | None = None,
        tstype: str = "s2",
        band: str = "",
        scl: bool = True,
        ref: bool = False,
    ) -> Columns:
        """Statistics by time and band: date_part, band, count, mean, std, min, p25, p50, p75, max[, hist][, reference].

        Further statistics that extractions were asked for come behind max. tstype is s2, bs, c6, or scl, which gives
        obsid and hist only. Names of bands may be those of the original's tables (B4, VVb); references are names of
        products, of s2 with .SAFE.
        """

    def weather_time_series(self, aoi: str, year: int, pid: str, *, ptype: str | None = None) -> Columns:
        """meteo_date (YYYY-MM-DD), tmin, tmax, tmean (°C), prec (mm) of the parcel's weather cell, by date."""

    def markers(self, aoi: str, year: int, pid: str, *, ptype: str | None = None) -> Columns:
        """What was found to happen on the parcel, by date."""

    def raw_chips(
        self,
        lon: float,
        lat: float,
        start: date | str,
        end: date | str,
        *,
        band: str,
        chipsize: int = 1280,
        folder: Path,
        limit: int = 24,
        card: str = "s2",
    ) -> list[Chip]:
        """GeoTIFFs of one band of all scenes over a place, chipsize metres wide, put into the folder; by time."""

    def background(
        self, lon: float, lat: float, *, chipsize: int = 256, extend: float = 256, tms: str = "Google", file: Path
    ) -> Path:
        """A GeoTIFF (EPSG:3857, three bands of uint8) of an orthophoto round a place, `extend` metres wide.

        Where it is: `file`, or beside it where it shows something else than that name says.
        """

    def info(self, aois: Sequence[str] | None = None) -> dict[str, Any]:
        """What there is to be asked: server, helpers, and for each area its years, parcel sets and examples."""
