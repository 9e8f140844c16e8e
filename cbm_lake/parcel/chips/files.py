"""Writes chips as GeoTIFF files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from cbm_lake import cards
from cbm_lake.errors import TooManyError
from cbm_lake.lake import Lake
from cbm_lake.parcel.chips.cutouts import Cutout, attempted, cut, file_name
from cbm_lake.parcel.chips.pixels import Reader, centred
from cbm_lake.parcel.chips.scenes import Scene, check_rasters, covering
from cbm_lake.rasters import Grid, Window, render


@dataclass(frozen=True)
class Chip:
    """A chip file: one band of a scene around a position."""

    scene: str
    """Name of the product, which is also the first part of the file's name."""
    obstime: datetime
    band: str
    file: Path


def write(
    lake: Lake,
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
    products: Collection[str] | None = None,
) -> list[Chip]:
    """Write one band of every scene over a location to GeoTIFFs <product>.<band>.tif at native resolution, by time.

    Of radar they are <product>_<band>.tif. The tag boa_offset says what was added to the stored DN. What is in
    the folder with that place, size and offset stays. A scene that cannot be read is left out, and the log warns of it.

    Args:
        lake: where the scenes are catalogued.
        lon: degrees east.
        lat: degrees north.
        start: the first day.
        end: the last day, included.
        band: B02, …, SCL; VV or VH of radar.
        chipsize: metres a side.
        folder: where to; it is made.
        limit: the greatest number of scenes that are read.
        card: s2, bs, c6, …, see `cards.CARDS`.
        products: names of the only products wanted, without .SAFE.

    Raises:
        InvalidInputError: no such place, band or date.
        TooManyError: more scenes than the limit.
        NotFoundError: there are scenes, but none was catalogued with a raster of the band.
        SourceError: no scene at all could be read, or the folder takes nothing.
    """
    check_band(card, band)
    scenes = covering(lake, lon, lat, start, end, card=card, chipsize=chipsize, products=products)
    check_rasters(scenes, (band,))
    chips = {scene: Chip(scene.product, scene.obstime, band, folder / name_of(scene, band)) for scene in scenes}
    missing = [scene for scene, chip in chips.items() if not _is_current(chip, scene, lon, lat, chipsize)]
    if len(missing) > limit:
        reason = f"{len(missing)} scenes from {start} to {end} are more than {limit}"
        raise TooManyError(reason, advice="ask for fewer days", count=len(missing), limit=limit)
    reader = Reader(lake)
    reader.prepare(missing, (band,))
    errors = attempted(
        [(scene, band) for scene in missing],
        lambda scene, _: save(cut(reader, scene, band, lon, lat, chipsize), chips[scene].file),
    ).errors
    failed = {scene for scene, _ in errors}
    if failed and len(failed) == len(scenes):
        raise next(iter(errors.values()))
    return [chip for scene, chip in chips.items() if scene not in failed]


def check_band(card: str, band: str) -> None:
    """Raise InvalidInputError if the card has no such band or classification."""
    if not cards.get(card).is_classes(band):
        cards.get(card).check_bands((band,))


def save(cutout: Cutout, file: Path) -> None:
    """Write a cutout as GeoTIFF, with the tags scene, obstime, band and boa_offset.

    Raises:
        SourceError: the folder takes nothing.
    """
    grid = cutout.grid
    render.save_geotiff(file, cutout.pixels[np.newaxis], grid.epsg, grid.transform, dict(cutout.tags), nodata=0)


def _is_current(chip: Chip, scene: Scene, lon: float, lat: float, chipsize: float) -> bool:
    """Whether a chip file already has that position, size and offset."""
    if not chip.file.exists():
        return False
    try:
        with rasterio.open(chip.file) as dataset:
            grid = Grid(dataset.crs.to_epsg(), dataset.transform, dataset.shape)
            tags = dataset.tags()
    except (RasterioError, AttributeError):
        return False
    same = tags.get("scene") == scene.id and tags.get("boa_offset") == str(scene.boa_offset)
    return same and centred(grid, lon, lat, chipsize) == Window(0, 0, *grid.shape)


def name_of(scene: Scene, band: str) -> str:
    """File name of a chip."""
    return file_name(scene.product, band, scene.card)
