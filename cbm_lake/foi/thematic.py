"""Thematic rasters, one class value per pixel, made from the lake's own cubes: by clustering, or by declared crops."""

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
import pandas as pd
import rasterio
import shapely
import yaml
from pydantic import Field
from rasterio.windows import Window as Rectangle

from cbm_lake.cards import Classes, scene_classes
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, of_extra, some
from cbm_lake.foi import season
from cbm_lake.foi.classes import read_classes
from cbm_lake.foi.drafts import drafts
from cbm_lake.foi.rasters import Thematic
from cbm_lake.foi.season import Floats, Ints, Season
from cbm_lake.foi.signal import SCREEN
from cbm_lake.lake import Lake, open_lake
from cbm_lake.lake.arguments import checked

if TYPE_CHECKING:
    from cbm_lake.rasters import Window

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
Model = Callable[[Floats, Ints], Ints]
"""Gives class numbers from 0 on for the features of pixels and the numbers of their parcels, -1 for none."""

MOST: Final = 200_000
"""Pixels from which is learned: as many of every parcel, at most PER_PARCEL and at least one."""
PER_PARCEL: Final = 20
FEWEST: Final = 5
"""A crop declared on fewer parcels cannot be learned."""
TREES: Final = 100
FOLDS: Final = 5
BLOCKS: Final = 20
"""For the accuracy the parcels are cut into so many compact blocks, each of which is in one fold as a whole."""
_BATCH: Final = 65_536
"""Pixels that are classified at once."""


@dataclass(frozen=True)
class Accuracy:
    """How well declared crops are recognised in blocks of parcels from which nothing was learned."""

    overall: float
    """Share of the pixels that are classified as their parcel's declared crop, 0 to 1."""
    by_parcel: float
    """Share of the parcels whose most frequent class is the declared crop."""
    classes: pd.DataFrame
    """By crop: precision, recall, f1 (each 0 to 1) and the number of pixels."""
    confusion: pd.DataFrame
    """Pixels by declared crop (rows) and class (columns)."""
    skipped: dict[str, int]
    """Crops with too few parcels to be learned, and how many."""


@dataclass(frozen=True)
class Made:
    """A thematic raster that was made."""

    raster: Path
    """GeoTIFF with one band, uint8, 0 where nothing was seen and in blocks without parcels."""
    classes: Path
    """YAML with the category_map."""
    category_map: dict[int, str]
    accuracy: Accuracy | None
    """For crops only."""
    report: Path | None
    """The accuracy as JSON."""


@dataclass(frozen=True)
class _Pixels:
    """Pixels to learn from."""

    features: Floats
    """(pixels, features)."""
    parcel: Ints
    """The number of each pixel's parcel."""
    optical: int
    """How many features, the first ones, are NDVI."""


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
    progress: Progress | None = None,
    lake: Lake | None = None,
) -> Made:
    """Make a thematic raster of an area out of the lake's cubes, for `v1` and `v2`, and return where it lies.

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
        progress: called with the blocks done so far and their total number.
        lake: the lake; None is the workspace's.

    Raises:
        ConfigError: scikit-learn is not installed, or the files cannot be written.
        NotFoundError: no such parcels, or no cube of them.
        InvalidInputError: a number out of range, several grids, or too few parcels to learn from.
    """
    lake = lake or open_lake()
    _check(method, clusters, periods)
    parcels = lake.parcel_set(aoi, year, ptype)
    dates = (str(start or f"{year}-01-01"), str(end or f"{year}-12-31"))
    found = season.find(lake, parcels, dates, grid=grid, periods=periods, screen=scene_classes(screen), radar=radar)
    if periods > found.optical.sizes["time"]:
        log.warning("there are only %d dates: each is a period", found.optical.sizes["time"])
    advance = _counted(progress, 2 * len(found.windows()))
    learned = _sample(found, seed, advance)
    if method == "clusters":
        model, names, accuracy = *_clusters(learned, clusters, seed), None
    else:
        declared = lake.read_parcels(parcels, ["crop:name"])["crop:name"].to_pandas().fillna("").to_numpy(dtype=str)
        model, names, accuracy = _crops(learned, declared, found.shapes, seed)
    stem = "_".join(filter(None, (parcels.aoi, str(parcels.year), parcels.ptype, method)))
    target = Path(folder or Workspace.here().root / "foi")
    category_map = dict(enumerate(names, start=1))
    with drafts(target) as draft:
        _classify(found, model, draft / f"{stem}.tif", advance)
        (draft / f"{stem}.yml").write_text(_yaml(category_map), encoding="utf-8")
        if accuracy is not None:
            (draft / f"{stem}.json").write_text(_json(accuracy), encoding="utf-8")
    report = None if accuracy is None else target / f"{stem}.json"
    return Made(target / f"{stem}.tif", target / f"{stem}.yml", category_map, accuracy, report)


def check_raster(path: str | Path, category_map: str | Path | Mapping[Any, Any]) -> dict[int, int]:
    """How many pixels of a thematic raster have each value; of 0 and the file's nodata nothing is asked.

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


def _counted(progress: Progress | None, total: int) -> Callable[[], None]:
    """What is called after each block."""
    done = iter(range(1, total + 1))

    def advance() -> None:
        number = next(done)
        if progress is not None:
            progress(number, total)

    return advance


# -- learning -----------------------------------------------------------------------------------------------------


def _sample(found: Season, seed: int, advance: Callable[[], None]) -> _Pixels:
    """Some pixels of every parcel, at least one pixel away from its border."""
    most = int(np.clip(MOST // max(len(found.shapes), 1), 1, PER_PARCEL))
    parts = []
    for window in found.windows():
        owners = found.owners(window, margin=found.grid.transform.a).ravel()
        luck = np.random.default_rng([seed, window.row, window.col]).random(owners.size)
        chosen = _some(owners, luck, most)
        values = found.features(window).reshape(-1, owners.size)[:, chosen].T
        known = np.isfinite(values).all(axis=1)
        parts.append((values[known], owners[chosen][known], luck[chosen][known]))
        advance()
    features, parcel, luck = (np.concatenate(part) for part in zip(*parts, strict=True))
    final = _some(parcel, luck, most)  # a parcel may lie in several blocks
    return _Pixels(features[final], parcel[final], min(found.periods, found.optical.sizes["time"]))


def _some(owners: Ints, luck: npt.NDArray[np.float64], most: int) -> Ints:
    """The places of at most so many pixels of each parcel, those with the least luck; -1 is no parcel."""
    order = np.lexsort((luck, owners))
    order = order[owners[order] >= 0]
    _, first, count = np.unique(owners[order], return_index=True, return_counts=True)
    rank = np.arange(order.size) - np.repeat(first, count)
    return np.asarray(np.sort(order[rank < most]))


def _clusters(learned: _Pixels, count: int, seed: int) -> tuple[Model, list[str]]:
    """What gives the cluster of pixels, numbered from 0 by mean NDVI, and the clusters' names."""
    from sklearn.cluster import MiniBatchKMeans

    if len(learned.parcel) < 10 * count:
        raise InvalidInputError(
            f"{len(learned.parcel)} pixels inside parcels are too few for {count} clusters; ask for fewer"
        )
    means = MiniBatchKMeans(count, random_state=seed, n_init=5, batch_size=4096).fit(learned.features)
    place = np.argsort(np.argsort(means.cluster_centers_[:, : learned.optical].mean(axis=1)))
    names = [f"c{number:02d}" for number in range(1, count + 1)]
    return lambda features, _: place[means.predict(features)], names


def _crops(
    learned: _Pixels, declared: npt.NDArray[np.str_], shapes: npt.NDArray[np.object_], seed: int
) -> tuple[Model, list[str], Accuracy]:
    """What gives the crop of pixels, numbered from 0, the crops' names, and how far they can be told apart.

    Each fold's parcels are classified by a forest that learned from all others: it would otherwise remember what was
    declared, and a parcel with two crops would look like one.
    """
    names, skipped = _learnable(learned.parcel, declared)
    fold = _folds(learned.parcel, shapes, seed)
    crop = np.searchsorted(names, declared[learned.parcel]).clip(max=len(names) - 1)
    known = np.isin(declared[learned.parcel], names)
    forests = [
        _forest(seed).fit(learned.features[rest], crop[rest])
        for rest in (known & (fold[learned.parcel] != number) for number in range(fold.max() + 1))
    ]

    def model(features: Floats, parcel: Ints) -> Ints:
        """The crops; pixels of no parcel are classified by the first forest."""
        own, crops = np.where(parcel < 0, 0, fold[parcel]), np.empty(len(features), np.int64)
        for number in np.unique(own):
            crops[own == number] = forests[number].predict(features[own == number])
        return crops

    guess = model(learned.features[known], learned.parcel[known])
    return model, names, _accuracy(crop[known], guess, learned.parcel[known], names, skipped)


def _learnable(parcel: Ints, declared: npt.NDArray[np.str_]) -> tuple[list[str], dict[str, int]]:
    """The crops of which enough parcels have pixels, and how many parcels the others have."""
    names, count = np.unique(declared[np.unique(parcel)], return_counts=True)
    enough = (count >= FEWEST) & (names != "")
    if not 2 <= enough.sum() <= 255:
        raise InvalidInputError(
            f"{enough.sum()} crops are declared on at least {FEWEST} parcels, and 2 to 255 can be told apart; "
            "use method clusters"
        )
    skipped = {str(name): int(number) for name, number in zip(names[~enough], count[~enough], strict=True)}
    if skipped:
        told = ", ".join(f"{name} ({number})" for name, number in skipped.items())
        log.warning("crops of fewer than %d parcels with pixels well inside are not learned: %s", FEWEST, told)
    return [str(name) for name in names[enough]], skipped


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, min_samples_leaf=5, class_weight="balanced", random_state=seed, n_jobs=-1)


def _folds(parcel: Ints, shapes: npt.NDArray[np.object_], seed: int) -> Ints:
    """The fold of each of the parcels; neighbours are in one block, and a block is in one fold as a whole."""
    from sklearn.cluster import KMeans
    from sklearn.model_selection import GroupKFold

    present = np.unique(parcel)
    centres = shapely.get_coordinates(shapely.centroid(shapes[present]))
    means = KMeans(min(BLOCKS, len(present)), random_state=seed, n_init=1)
    block = means.fit_predict(centres - centres.mean(axis=0))
    folds = np.zeros(len(shapes), np.int64)
    for number, (_, held) in enumerate(GroupKFold(min(FOLDS, len(np.unique(block)))).split(centres, groups=block)):
        folds[present[held]] = number
    return folds


def _accuracy(truth: Ints, guess: Ints, parcel: Ints, names: list[str], skipped: dict[str, int]) -> Accuracy:
    """The usual figures of two lists of classes (numbers of names)."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    numbers = np.arange(len(names))
    scores = precision_recall_fscore_support(truth, guess, labels=numbers, zero_division=0)
    confusion = confusion_matrix(truth, guess, labels=numbers)
    votes = pd.DataFrame({"parcel": parcel, "truth": truth, "guess": guess}).groupby("parcel")
    most = votes["guess"].agg(lambda classes: classes.mode().iloc[0])
    return Accuracy(
        float((truth == guess).mean()),
        float((most == votes["truth"].first()).mean()),
        pd.DataFrame(dict(zip(("precision", "recall", "f1", "pixels"), scores, strict=True)), index=names),
        pd.DataFrame(confusion, index=names, columns=names),
        skipped,
    )


# -- writing ------------------------------------------------------------------------------------------------------


def _classify(found: Season, model: Model, target: Path, advance: Callable[[], None]) -> None:
    """Write the class of every pixel of the blocks that hold parcels."""
    windows = found.windows()
    area = _around(windows)
    with _new(target, found, area) as raster:
        for window in windows:
            values = found.features(window)
            labels = _labels(values.reshape(len(values), -1).T, found.owners(window).ravel(), model)
            place = Rectangle(window.col - area.col_off, window.row - area.row_off, window.width, window.height)
            raster.write(labels.reshape(values.shape[1:]), 1, window=place)
            advance()
    with rasterio.open(target) as raster:  # what could not be written at closing is not told by GDAL, but fails here
        for _, block in raster.block_windows(1):
            raster.read(1, window=block)


def _labels(pixels: Floats, parcel: Ints, model: Model) -> npt.NDArray[np.uint8]:
    """Class values from 1 on; 0 for pixels that were never seen."""
    labels = np.zeros(len(pixels), np.uint8)
    known = np.flatnonzero(np.isfinite(pixels).all(axis=1))
    for first in range(0, known.size, _BATCH):
        some = known[first : first + _BATCH]
        labels[some] = model(pixels[some], parcel[some]) + 1
    return labels


def _around(windows: list[Window]) -> Rectangle:
    """The rectangle that holds all blocks."""
    top, left = min(window.row for window in windows), min(window.col for window in windows)
    bottom = max(window.row + window.height for window in windows)
    right = max(window.col + window.width for window in windows)
    return Rectangle(left, top, right - left, bottom - top)


def _new(target: Path, found: Season, area: Rectangle) -> Any:
    """A raster to be written."""
    transform = found.grid.transform * found.grid.transform.translation(area.col_off, area.row_off)
    return rasterio.open(
        target,
        "w",
        driver="GTiff",
        height=area.height,
        width=area.width,
        count=1,
        dtype="uint8",
        crs=found.grid.epsg,
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
