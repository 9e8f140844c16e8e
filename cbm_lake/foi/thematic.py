"""Creates thematic rasters from the lake's cubes, by clustering or from declared crops."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import rasterio
import yaml
from pydantic import Field
from rasterio.windows import Window as Rectangle

from cbm_lake.cards import Classes, scene_classes
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, of_extra, some
from cbm_lake.foi import learning, season
from cbm_lake.foi.classes import read_classes
from cbm_lake.foi.drafts import drafts
from cbm_lake.foi.learning import Accuracy, Model
from cbm_lake.foi.rasters import Thematic
from cbm_lake.foi.season import Floats, Ints, Season
from cbm_lake.foi.signal import SCREEN
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.progress import Tell, Wish, reported

if TYPE_CHECKING:
    from rasterio.io import DatasetWriter

    from cbm_lake.rasters import Window

log = logging.getLogger(__name__)


_BATCH: Final = 65_536
"""Pixels that are classified at once."""


@dataclass(frozen=True)
class Made:
    """A thematic raster that was created."""

    raster: Path
    """GeoTIFF with one band, uint8, 0 where nothing was seen and in blocks without parcels."""
    classes: Path
    """YAML with the category_map."""
    category_map: dict[int, str]
    accuracy: Accuracy | None
    """For crops only."""
    report: Path | None
    """The accuracy as JSON."""


@checked
def thematic(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    method: Literal["clusters", "crops"] = "clusters",
    clusters: int = 6,
    periods: int = 8,
    start: date | None = None,
    end: date | None = None,
    radar: bool = True,
    screen: Classes = SCREEN,
    grid: str | None = None,
    seed: Annotated[int, Field(ge=0)] = 0,
    folder: str | Path | None = None,
    progress: Wish = "auto",
    lake: Lake | None = None,
) -> Made:
    """Create a thematic raster of an area from the lake's cubes, as input of `v1` and `v2`.

    Every pixel is described by the medians of its NDVI over parts of the season, clouds left out and gaps interpolated
    over time. The cubes are read in blocks of 512 x 512 pixels twice, once to learn and once to classify; only blocks
    that hold parcels are, and memory depends on the dates of one part of the season, not on the size of the area.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        method: "clusters" groups pixels that are alike (mini-batch k-means); "crops" learns the declared crops (random
            forest) and says how well they are recognised. No parcel is classified by what was learned from its own
            pixels or its neighbours'.
        clusters: how many, 2 to 255; those of the least NDVI come first. More of them see smaller differences, also
            those of one crop.
        periods: parts of about equally many dates into which the season is cut.
        start: first day, a date or text like 2024-03-01; None is 1 January of the year.
        end: last day; None is 31 December.
        radar: whether backscatter is used too, where there is a cube of it on the same grid.
        screen: scene classes in which the ground is not seen: numbers, or 3_8_9_10_11.
        grid: name of the cube's grid; needed where the parcels lie on several.
        seed: of all random choices; the same gives the same raster.
        folder: where the files go; None is foi/ in the workspace.
        progress: called with the blocks done so far and their total number, and where it takes three arguments what
            is done; "auto" is a bar in a notebook or on a terminal, None is nothing.
        lake: the lake; None is the workspace's.

    Raises:
        ConfigError: scikit-learn is not installed, or the files cannot be written.
        NotFoundError: no such parcels, or no cube of them.
        InvalidInputError: a number out of range, several grids, or too few parcels to learn from.
    """
    lake = lake_or_default(lake)
    _check(method, clusters, periods)
    parcels = lake.parcel_set(aoi, year, ptype)
    dates = (str(start or f"{year}-01-01"), str(end or f"{year}-12-31"))
    season_data = season.find(
        lake, parcels, dates, grid=grid, periods=periods, screen=scene_classes(screen), radar=radar
    )
    if periods > season_data.optical.sizes["time"]:
        log.warning("there are only %d dates: each is a period", season_data.optical.sizes["time"])
    with reported(progress, "thematic raster") as tell:
        return _classified(lake, parcels, season_data, tell, method=method, clusters=clusters, seed=seed, folder=folder)


def _classified(
    lake: Lake,
    parcels: ParcelSet,
    season_data: Season,
    tell: Tell,
    *,
    method: str,
    clusters: int,
    seed: int,
    folder: str | Path | None,
) -> Made:
    """Learn the classes and classify all pixels."""
    advance = _counted(tell, len(season_data.windows()))
    sample = learning.sample_pixels(season_data, seed, advance)
    if method == "clusters":
        model, names, accuracy = *learning.clusters_of(sample, clusters, seed), None
    else:
        declared = lake.read_parcels(parcels, ["crop:name"])["crop:name"].to_pandas().fillna("").to_numpy(dtype=str)
        model, names, accuracy = learning.crops_of(sample, declared, season_data.shapes, seed)
    stem = "_".join(filter(None, (parcels.aoi, str(parcels.year), parcels.ptype, method)))
    target = Path(folder or Workspace.here().root / "foi")
    category_map = dict(enumerate(names, start=1))
    with drafts(target) as draft:
        _classify(season_data, model, draft / f"{stem}.tif", advance)
        (draft / f"{stem}.yml").write_text(_yaml(category_map), encoding="utf-8")
        if accuracy is not None:
            (draft / f"{stem}.json").write_text(_json(accuracy), encoding="utf-8")
    report = None if accuracy is None else target / f"{stem}.json"
    return Made(target / f"{stem}.tif", target / f"{stem}.yml", category_map, accuracy, report)


def check_raster(path: str | Path, category_map: str | Path | Mapping[Any, Any]) -> dict[int, int]:
    """Count the pixels of a thematic raster by value, without 0 and nodata.

    The raster is read in blocks of 2048 x 2048 pixels.

    Args:
        path: any raster that GDAL reads.
        category_map: the classes, as a map or a YAML file.

    Raises:
        SourceError: a file cannot be read.
        InvalidInputError: the raster has several bands, no whole numbers, no coordinate system, or values that are not
            among the classes.
    """
    classes, raster = read_classes(category_map), Thematic.inspect(path)
    if raster.crs is None:
        raise InvalidInputError(f"raster {path} has no coordinate system; write one into it (gdal_edit.py -a_srs)")
    counts: dict[int, int] = {}
    for block in _squares(raster.shape, 2048):
        for value, count in zip(*np.unique(raster.window(*block), return_counts=True), strict=True):
            counts[int(value)] = counts.get(int(value), 0) + int(count)
    unknown = sorted(set(counts) - set(classes) - {0, raster.nodata})
    if unknown:
        raise InvalidInputError(
            f"raster {path} has values without a class: {some(unknown)}; add them to the category_map"
        )
    return dict(sorted(counts.items()))


def _squares(shape: tuple[int, int], size: int) -> Iterator[tuple[int, int, int, int]]:
    """Row, column, height and width of squares that cover a raster."""
    rows, columns = shape
    for row in range(0, rows, size):
        for col in range(0, columns, size):
            yield row, col, min(size, rows - row), min(size, columns - col)


def _check(method: str, clusters: int, periods: int) -> None:
    with of_extra("foi", "a thematic raster"):
        import sklearn  # noqa: F401 - looked for before hours of reading
    if method not in ("clusters", "crops"):
        raise InvalidInputError(f"unknown method {method!r}; give clusters or crops")
    if not 2 <= clusters <= 255 or periods < 1:
        raise InvalidInputError(f"give 2 to 255 clusters and at least 1 period, not {clusters} and {periods}")


def _counted(tell: Tell, blocks: int) -> Callable[[], None]:
    """What is called after each block, of which each is read twice."""
    done = iter(range(1, 2 * blocks + 1))

    def advance() -> None:
        number = next(done)
        tell(number, 2 * blocks, "learning the classes" if number < blocks else "classifying pixels")

    return advance


# -- writing ------------------------------------------------------------------------------------------------------


def _classify(season_data: Season, model: Model, target: Path, advance: Callable[[], None]) -> None:
    """Write the class of every pixel of the blocks that hold parcels."""
    windows = season_data.windows()
    area = _bounding_window(windows)
    with _create(target, season_data, area) as raster:
        for window in windows:
            values = season_data.features(window)
            labels = _labels(values.reshape(len(values), -1).T, season_data.owners(window).ravel(), model)
            target_window = Rectangle(window.col - area.col_off, window.row - area.row_off, window.width, window.height)
            raster.write(labels.reshape(values.shape[1:]), 1, window=target_window)
            advance()
    with rasterio.open(target) as raster:  # GDAL reports no failure at closing, so read everything back
        for _, block in raster.block_windows(1):
            raster.read(1, window=block)


def _labels(pixels: Floats, parcel: Ints, model: Model) -> npt.NDArray[np.uint8]:
    """Class values from 1 on; 0 for pixels that were never seen."""
    labels = np.zeros(len(pixels), np.uint8)
    valid = np.flatnonzero(np.isfinite(pixels).all(axis=1))
    for first in range(0, valid.size, _BATCH):
        some = valid[first : first + _BATCH]
        labels[some] = model(pixels[some], parcel[some]) + 1
    return labels


def _bounding_window(windows: list[Window]) -> Rectangle:
    """The rectangle that holds all blocks."""
    row_min, col_min = min(window.row for window in windows), min(window.col for window in windows)
    row_max = max(window.row + window.height for window in windows)
    col_max = max(window.col + window.width for window in windows)
    return Rectangle(col_min, row_min, col_max - col_min, row_max - row_min)


def _create(target: Path, season_data: Season, area: Rectangle) -> DatasetWriter:
    """A raster to be written."""
    transform = season_data.grid.transform * season_data.grid.transform.translation(area.col_off, area.row_off)
    return rasterio.open(
        target,
        "w",
        driver="GTiff",
        height=area.height,
        width=area.width,
        count=1,
        dtype="uint8",
        crs=season_data.grid.epsg,
        transform=transform,
        nodata=0,
        compress="DEFLATE",
        tiled=True,
        blockxsize=512,
        blockysize=512,
        bigtiff="IF_SAFER",
    )


def _yaml(category_map: dict[int, str]) -> str:
    return str(yaml.safe_dump({"category_map": category_map}, allow_unicode=True))


def _json(accuracy: Accuracy) -> str:
    document = {
        "overall": accuracy.overall,
        "by_parcel": accuracy.by_parcel,
        "classes": accuracy.classes.to_dict("index"),
        "confusion": accuracy.confusion.to_dict("index"),
        "skipped": accuracy.skipped,
    }
    return json.dumps(document, indent=1)
