"""Cutouts: single bands of scenes around a position at native resolution, read concurrently."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from affine import Affine

from cbm_lake import cards
from cbm_lake.errors import SourceError
from cbm_lake.parcel.chips.pixels import Pixels, Reader, centred
from cbm_lake.parcel.chips.scenes import Scene
from cbm_lake.rasters import Grid

log = logging.getLogger(__name__)

T = TypeVar("T")
Item: TypeAlias = tuple[Scene, str]
"""A scene and a band of it."""
_READERS: Final = 4
"""Rasters read at once."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """One band of a scene around a position, at native resolution."""

    product: str
    """The product's name as a file's name has it; see `Scene`."""
    obstime: datetime
    band: str
    grid: Grid
    pixels: Pixels
    """(y, x): harmonised DN, classes, linear power or coherence; 0 is nodata."""
    tags: Mapping[str, str | int]
    """scene, obstime, band, boa_offset."""
    card: str = "s2"

    @property
    def file_name(self) -> str:
        """File name of the cutout."""
        return file_name(self.product, self.band, self.card)


def file_name(product: str, band: str, card: str) -> str:
    """The name of a chip's file: <product>.<band>.tif, of radar <product>_<band>.tif."""
    return f"{product}{'.' if cards.get(card).is_optical else '_'}{band}.tif"


def cut(reader: Reader, scene: Scene, band: str, lon: float, lat: float, chipsize: float) -> Cutout:
    """Read a cutout of that many metres a side.

    Raises:
        InvalidInputError: no such position in the scene's coordinate system.
        SourceError: the scene lacks the band, or its file cannot be read.
    """
    grid = reader.raster(scene, band).grid
    window = centred(grid, lon, lat, chipsize)
    transform = grid.transform * Affine.translation(window.col, window.row)
    about: dict[str, str | int] = {"scene": scene.id, "obstime": scene.obstime.isoformat(), "band": band}
    tags = about | {"boa_offset": scene.boa_offset}
    pixels = reader.pixels(scene, band, window)
    placed = Grid(grid.epsg, transform, (window.height, window.width))
    return Cutout(scene.product, scene.obstime, band, placed, pixels, tags, scene.card)


class Attempts(NamedTuple, Generic[T]):
    """Results and failures of a batch of raster reads."""

    results: dict[Item, T]
    errors: dict[Item, SourceError]


def attempted(items: Sequence[Item], step: Callable[[Scene, str], T]) -> Attempts[T]:
    """Run a step over rasters concurrently; unreadable ones are logged as warnings."""

    def attempt(item: Item) -> T | SourceError:
        try:
            return step(*item)
        except SourceError as error:
            log.warning("no chip of scene %s: %s", item[0].id, error)
            return SourceError(f"no chip of scene {item[0].id}: {error}")

    if not items:
        return Attempts({}, {})
    with ThreadPoolExecutor(_READERS) as pool:
        answers = dict(zip(items, pool.map(attempt, items), strict=True))
    errors = {item: answer for item, answer in answers.items() if isinstance(answer, SourceError)}
    results = {item: answer for item, answer in answers.items() if not isinstance(answer, SourceError)}
    return Attempts(results, errors)
