"""`Inventory`: what a source has of a parcel, so that only that is offered which can be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cbm_lake.cards import CARDS
from cbm_lake.errors import NotFoundError
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import chips
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.sources import LakeSource, Source, Weather

_DAYS: Final = ("01-01", "12-31")
"""Of the year of declaration, the first and last day of which images are looked for."""


@dataclass(frozen=True)
class Imagery:
    """Scenes of a card over a parcel."""

    scenes: int
    bands: tuple[str, ...]
    """Those of which a scene has a raster, in the order of the card."""


@dataclass(frozen=True)
class Inventory:
    """What there is of a parcel."""

    series: Mapping[str, int]
    """Observations by card; cards without any are left out."""
    weather: int
    """Days."""
    images: Mapping[str, Imagery] | None
    """By card, of the parcel's year; None where the source cannot tell, which a server cannot."""

    def bands(self) -> tuple[str, ...]:
        """Bands of images as they are asked for: B04, SCL; of another card than Sentinel-2 its name first, bs VV.

        All bands of all cards where the source cannot tell.
        """
        return tuple(
            band_key(name, band)
            for name, card in CARDS.items()
            for band in (card.rasters if self.images is None else _of(self.images, name))
        )


def band_key(card: str, band: str) -> str:
    """A band as it is asked for: B04, bs VV."""
    return band if card == next(iter(CARDS)) else f"{card} {band}"


def _of(images: Mapping[str, Imagery], card: str) -> tuple[str, ...]:
    return images[card].bands if card in images else ()


def kind_of(source: Source, aoi: str, year: int, pid: str) -> str:
    """The parcel set, of an area and year, that has a parcel: "" is the main one, which goes before others.

    Raises:
        NotFoundError: none has it.
        SourceError: the lake or the server fails.
    """
    try:
        return source.parcel(ParcelKey(aoi, year, "", pid)).ptype or ""
    except NotFoundError:
        for kind in source.info([aoi])["aois"].get(aoi, {}).get("datasets", []):
            if _is_in(source, ParcelKey(aoi, year, kind, pid)):
                return str(kind)
        raise


def _is_in(source: Source, key: ParcelKey) -> bool:
    try:
        source.parcel(key)
    except NotFoundError:
        return False
    return True


def of(source: Source, key: ParcelKey) -> Inventory:
    """What a source has of a parcel.

    Raises:
        NotFoundError: no such parcel.
        SourceError: the lake or the server fails.
    """
    parcel = source.parcel(key)
    series = {name: source.series(parcel, card).table.num_rows for name, card in CARDS.items()}
    weather = source.answer(Weather(key))
    images = _images(source, parcel) if isinstance(source, LakeSource) else None
    return Inventory({name: rows for name, rows in series.items() if rows}, len(weather["meteo_date"]), images)


def _images(source: LakeSource, parcel: Parcel) -> dict[str, Imagery]:
    """Imagery by card."""
    first, last = (f"{parcel.year}-{day}" for day in _DAYS)
    imagery = {}
    for name, card in CARDS.items():
        scenes = chips.covering(source.lake, parcel.lon, parcel.lat, first, last, card=name)
        rasters = {band for scene in scenes for band, _ in scene.hrefs}
        if rasters:
            imagery[name] = Imagery(len(scenes), tuple(band for band in card.rasters if band in rasters))
    return imagery
