"""`describe`: zonal statistics of any raster (elevation, slope, soil class) as columns of `parcel_attributes`.

geometries ─ to the raster's coordinate system, vertex by vertex ─► its pixels, block by block ─► one value per parcel
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from cbm_lake import cards, zonal
from cbm_lake.errors import InvalidInputError, NotFoundError, some
from cbm_lake.files import clock
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.geo.windows import Window
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcels.classes import STATISTICS_OF_CLASSES, of_classes
from cbm_lake.rasters import is_masked, measured, opened
from cbm_lake.storage import stores
from cbm_lake.zonal.spans import SpanIndex, build_index

log = logging.getLogger(__name__)

Categories = Mapping[int, str] | bool | None
Floats = NDArray[np.float64]
Shapes = NDArray[np.object_]

RULES: Final = ("centre", "coverage")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_KEYS: Final = ("aoi", "year", "ptype", "pid")
_BLOCK: Final = 512
"""Rows and columns of a raster that are read together, at least."""
_PIXELS: Final = 20_000_000
"""Approximate number of pixels in memory at once."""
_TOGETHER: Final = 2_000
"""Parcels at most that are weighed together by the rule coverage."""


@dataclass(frozen=True)
class Described:
    """Result of `describe`."""

    columns: tuple[str, ...]
    """Columns of `parcel_attributes`."""
    parcels: int
    without: int
    """Parcels that have no value: outside of the raster, without data, or too small to hold the centre of a pixel."""


def describe(
    raster: str | Path,
    name: str,
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    *,
    statistics: str | Sequence[str] | None = None,
    categories: Categories = None,
    rule: str = "centre",
    band: int | None = None,
    unit: str | None = None,
    lake: Lake | None = None,
) -> Described:
    """Compute zonal statistics of a raster per declared parcel, and add them to the view `parcel_attributes`.

    The geometries are transformed to the raster's coordinate system, so that its pixels count as they are. A rotated
    raster is first warped, window by window, to a grid along the axes. Pixels without data (nodata, a mask, an alpha
    band, NaN) do not count. Scale and offset of the file are applied. Describing again under a name replaces what the
    parcels had under it; a parcel whose geometry changes has no value until then.

    Args:
        raster: path or URL of any GDAL raster, in any coordinate system.
        name: of the columns: small letters, digits and _.
        aoi: area; None where the lake has parcels of one area only.
        year: of the declaration; None where the lake has parcels of one year only.
        ptype: which parcel set; None is the main one.
        statistics: of `cbm_lake.cards.STATISTICS`, each as a column `name_statistic`; None is the mean, as column
            `name`. Of categories those of STATISTICS_OF_CLASSES; None is the majority, as column `name`, and the share
            of the pixels that are of it, as `name_share`.
        categories: whether the pixels are classes, whole numbers; {value: text} gives the texts instead of the numbers.
        rule: "centre": pixels whose centre is inside, as rasterstats; "coverage": weighted by the share inside, as
            exactextract, for rasters that are coarse relative to the parcels.
        band: which one of a raster that has several, from 1.
        unit: of the values, such as m; None is what the file says.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: no such parcels were loaded.
        InvalidInputError: a name, statistic, rule or band is wrong, classes have no text, raster and parcels lie
            apart, or there are several areas or years and none is said.
        SourceError: the raster cannot be read.
    """
    lake = lake_or_default(lake)
    selected = _checked(name, statistics, categories, rule)
    declared = set(lake.sql("from parcels limit 0").column_names).intersection(selected.values())
    if declared:
        raise InvalidInputError(f"{', '.join(sorted(declared))} is a column of parcels already; choose another name")
    parcels = _parcels(lake, aoi, year, ptype)
    stored = lake.read_parcels(parcels, ["id", "geometry", "epsg"])
    with _opened(str(raster), band, classes=bool(categories)) as source:
        shapes = _moved(stored, source)
        parts = [_values(source, part, tuple(selected), categories, rule) for part in _parts(shapes, source)]
        unit = unit if unit is not None else source.unit
    values_by_name = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    part = _part_of(parcels, name)
    fixed = {
        "aoi": parcels.aoi,
        "year": parcels.year,
        "ptype": parcels.ptype,
        "version": parcels.version,
        "unit": unit,
        "rule": rule,
        "raster": stores.redacted(str(raster)),
        "described": clock.now(),
        "part": part,
        "sequence": None,
    }
    lake.put("attributes", _rows(stored["id"].combine_chunks(), selected, values_by_name, categories, fixed), part)
    without = int((values_by_name["count"] == 0).sum())
    if without:
        advice = "; the rule coverage counts parts of pixels" if rule == "centre" else ""
        log.warning("%d of %d parcels of %s have no value of %s%s", without, len(shapes), parcels.name, name, advice)
    return Described(tuple(selected.values()), len(shapes), without)


def _parcels(lake: Lake, aoi: str | None, year: int | None, ptype: str | None) -> ParcelSet:
    """The parcel set that is said, or the only one that there can be meant."""
    if aoi is not None and year is not None:
        return lake.parcel_set(aoi, year, ptype)
    fitting = [
        parcel_set
        for parcel_set in lake.parcel_sets()
        if (aoi is None or parcel_set.aoi == aoi.lower())
        and (year is None or parcel_set.year == int(year))
        and parcel_set.ptype == (ptype or "")
    ]
    if len(fitting) != 1:
        names = some([parcel_set.name for parcel_set in fitting])
        raise InvalidInputError(f"parcels of {names or 'nowhere'} may be meant; say the area and the year")
    return fitting[0]


def _checked(name: str, statistics: str | Sequence[str] | None, categories: Categories, rule: str) -> dict[str, str]:
    """The columns by their statistic."""
    if not _NAME.fullmatch(name) or name in _KEYS:
        raise InvalidInputError(f"{name!r} cannot name a column; use small letters, digits and _, a letter first")
    if rule not in RULES:
        raise InvalidInputError(f"unknown rule {rule!r}; choose from {', '.join(RULES)}")
    if statistics is None:
        return {"majority": name, "share": f"{name}_share"} if categories else {"mean": name}
    asked = statistics.split(",") if isinstance(statistics, str) else [*statistics]
    available = STATISTICS_OF_CLASSES if categories else tuple(cards.STATISTICS)
    unknown = [one for one in asked if one.strip() not in available]
    if unknown or not asked:
        kind = "of classes" if categories else "of measurements"
        raise InvalidInputError(f"there is no statistic {unknown[:1]} {kind}; choose from {', '.join(available)}")
    return {one.strip(): f"{name}_{one.strip()}" for one in asked}


# -- the raster -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Source:
    """An open raster on a grid along the axes."""

    name: str
    dataset: Any
    band: int
    crs: CRS
    masked: bool

    @property
    def transform(self) -> Affine:
        return Affine(*tuple(self.dataset.transform)[:6])

    @property
    def unit(self) -> str | None:
        return self.dataset.units[self.band - 1] if hasattr(self.dataset, "units") else None

    def read(self, row: int, col: int, height: int, width: int) -> Floats:
        """Read values as float64, NaN for nodata."""
        window = Window(row, col, height, width).ranges
        stored = self.dataset.read(self.band, window=window)
        missing = self._missing(stored)
        if self.masked:
            missing |= self.dataset.read_masks(self.band, window=window) == 0
        scale, offset = self.dataset.scales[self.band - 1], self.dataset.offsets[self.band - 1]
        values: Floats = stored.astype(np.float64)
        values[missing] = np.nan
        return values if (scale, offset) == (1, 0) else values * scale + offset

    def _missing(self, stored: NDArray[Any]) -> NDArray[np.bool_]:
        """Where there is the file's nodata, compared in its own type."""
        nodata = self.dataset.nodatavals[self.band - 1]
        if nodata is None:
            return np.zeros(stored.shape, bool)
        if stored.dtype.kind == "f":
            with np.errstate(over="ignore"):
                nodata = np.float64(nodata).astype(stored.dtype)
        return np.asarray(stored == nodata)


@contextmanager
def _opened(path: str, band: int | None, *, classes: bool) -> Iterator[_Source]:
    name = stores.redacted(path)
    with opened(path) as dataset:
        count = measured(dataset)
        if band is None and count != 1:
            raise InvalidInputError(
                f"{name} has {count} bands; say which by band=", plain=f"{name} has {count} bands; give a file of one"
            )
        number = band or 1
        if not 1 <= number <= count:
            raise InvalidInputError(f"{name} has {count} bands, not a band {band}")
        crs = dataset.crs or dataset.gcps[1]
        if crs is None:
            raise InvalidInputError(f"{name} has no coordinate system; write one into it (gdal_edit.py -a_srs)")
        if classes and np.dtype(dataset.dtypes[number - 1]).kind not in "ui":
            raise InvalidInputError(f"{name} holds {dataset.dtypes[number - 1]}; classes are whole numbers, convert it")
        if np.dtype(dataset.dtypes[number - 1]).kind == "c":
            raise InvalidInputError(f"{name} holds complex numbers; convert it")
        system, t = CRS.from_wkt(crs.to_wkt()), dataset.transform
        if dataset.crs is not None and t.a and t.e and not (t.b or t.d):
            yield _Source(name, dataset, number, system, is_masked(dataset, number))
            return
        how = Resampling.nearest if classes else Resampling.bilinear
        with WarpedVRT(dataset, src_crs=crs, crs=crs, resampling=how, add_alpha=dataset.nodata is None) as turned:
            yield _Source(name, turned, number, system, is_masked(turned, number))


def _moved(stored: pa.Table, source: _Source) -> Shapes:
    """The geometries in the raster's coordinate system; refused where none of them meets it."""
    shapes = shapely.from_wkb(stored["geometry"].to_numpy(zero_copy_only=False))
    if not len(shapes):
        raise NotFoundError("there are no parcels in this set; load them again")
    stored_epsg = int(stored["epsg"][0].as_py())
    moved: Shapes = reprojected(shapes, CRS.from_epsg(stored_epsg), source.crs)
    box = shapely.box(*rasterio.transform.array_bounds(*source.dataset.shape, source.dataset.transform))
    bounds = shapely.bounds(moved)
    finite = np.isfinite(bounds).all(axis=1)
    if not shapely.intersects(box, shapely.box(*bounds[finite].T)).any():
        around = ", ".join(f"{side:.6g}" for side in shapely.total_bounds(moved[finite]))
        there = ", ".join(f"{side:.6g}" for side in box.bounds)
        raise InvalidInputError(
            f"{source.name} lies elsewhere than the parcels: it reaches over {there}, they over {around} "
            f"({source.crs.name})"
        )
    return moved


def _parts(shapes: Shapes, source: _Source) -> list[Shapes]:
    """Batches of geometries in order, limited by their number of pixels."""
    with np.errstate(invalid="ignore"):
        pixels = np.nan_to_num(shapely.area(shapes) / abs(source.transform.a * source.transform.e), posinf=0) + 1
    number = np.cumsum(np.minimum(pixels, source.dataset.height * source.dataset.width)) // _PIXELS
    return np.split(shapes, np.flatnonzero(np.diff(number)) + 1)


# -- values ----------------------------------------------------------------------------------------------------------


def _values(
    source: _Source, shapes: Shapes, statistics: Sequence[str], categories: Categories, rule: str
) -> dict[str, Floats]:
    """The statistics of each geometry and count, the pixels that have data (float); NaN where there are none."""
    if rule == "coverage":
        return _covered(source, shapes, statistics, categories)
    index = build_index(shapes, source.transform, source.dataset.shape)
    pool = _pool(source, index)
    if categories:
        return of_classes(pool, np.repeat(np.arange(len(shapes)), np.diff(index.pixel_offsets)), None, len(shapes))
    asked = {*statistics, "count"}
    table = zonal.pool_statistics(
        pool, index.pixel_offsets, None, statistics=asked, whole=zonal.count_whole(shapes, index)
    )
    return {one: np.asarray(table[one], np.float64) for one in asked}


def _pool(source: _Source, index: SpanIndex) -> Floats:
    """The pixels of all geometries, one after another."""
    rows, columns = (-(-_BLOCK // size) * size for size in source.dataset.block_shapes[source.band - 1])
    blocks = index.blocks((min(rows, index.shape[0]), min(columns, index.shape[1], 16 * _BLOCK)))
    pool: Floats = blocks.new_pool("float64")
    for number, block in enumerate(blocks):
        blocks.gather(source.read(*block), number, pool)
    return pool


def _covered(source: _Source, shapes: Shapes, statistics: Sequence[str], categories: Categories) -> dict[str, Floats]:
    """The same with every pixel weighted by the share that is inside; neighbours are read together."""
    window = _window(shapely.total_bounds(shapes), source)
    if len(shapes) > 1 and (len(shapes) > _TOGETHER or (window is not None and window[2] * window[3] > _PIXELS)):
        halves = [_covered(source, half, statistics, categories) for half in np.array_split(shapes, 2)]
        return {one: np.concatenate([half[one] for half in halves]) for one in halves[0]}
    if window is None:
        columns = {one: np.full(len(shapes), np.nan) for one in {*statistics, "count"}}
        return {**columns, "count": np.zeros(len(shapes))}
    transform = source.transform * Affine.translation(window[1], window[0])
    values = source.read(*window)
    if categories:
        return _classes_covered(shapes, values, transform)
    asked = {*statistics, "count"}
    table = zonal.coverage_statistics(shapes, values, transform, None, statistics=asked)
    return {one: np.asarray(table[one], np.float64) for one in asked}


def _classes_covered(shapes: Shapes, values: Floats, transform: Affine) -> dict[str, Floats]:
    """The statistics of classes in each geometry: the weight of a class is what it covers."""
    classes = np.unique(values[np.isfinite(values)])
    weights = np.zeros((len(classes), len(shapes)))
    for row, one in zip(weights, classes, strict=True):
        marked = np.where(values == one, 1.0, np.nan)
        row[:] = zonal.coverage_statistics(shapes, marked, transform, None)["count"].to_numpy()
    owner = np.tile(np.arange(len(shapes)), len(classes))
    return of_classes(np.repeat(classes, len(shapes)), owner, weights.reshape(-1), len(shapes))


def _window(bounds: Floats, source: _Source) -> tuple[int, int, int, int] | None:
    """Row, column, height and width of the pixels round a box; None where it does not meet the raster."""
    if not np.isfinite(bounds).all():
        return None
    inverse = ~source.transform
    corners = np.sort([inverse * (bounds[0], bounds[1]), inverse * (bounds[2], bounds[3])], axis=0)[:, ::-1]
    first = np.maximum(np.floor(corners[0]), 0).astype(int)  # row, column
    last = np.minimum(np.ceil(corners[1]), source.dataset.shape).astype(int)
    if (last <= first).any():
        return None
    return int(first[0]), int(first[1]), int(last[0] - first[0]), int(last[1] - first[1])


# -- rows -------------------------------------------------------------------------------------------------------------


def _part_of(parcels: ParcelSet, name: str) -> int:
    """The number of what is described under a name: describing it again replaces it."""
    key = f"{parcels.aoi}/{parcels.year}/{parcels.ptype}/{name}"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1


def _rows(
    pids: pa.Array,
    selected: Mapping[str, str],
    values_by_name: Mapping[str, Floats],
    categories: Categories,
    fixed: Mapping[str, Any],
) -> pa.Table:
    """Rows of schemas.ATTRIBUTES, by attribute and pid; `fixed` is what all of them have in common."""
    tables = []
    for statistic, column in selected.items():
        values = np.where(values_by_name["count"] > 0, values_by_name[statistic], np.nan)
        texts = categories if isinstance(categories, Mapping) and statistic == "majority" else None
        kind = "number" if statistic != "majority" else "class" if texts is None else "label"
        unit = None if categories or statistic == "count" else fixed["unit"]
        one = {**fixed, "attribute": column, "kind": kind, "unit": unit}
        fixed_columns = {
            "pid": pids,
            "value": pa.array(values, pa.float64(), from_pandas=True),
            "label": pa.nulls(len(values), pa.string()) if texts is None else _labels(values, texts),
            "pixels": pa.array(values_by_name["count"], pa.float64()),
        }
        arrays = [
            fixed_columns[item.name]
            if item.name in fixed_columns
            else pa.repeat(pa.scalar(one[item.name], item.type), len(values))
            for item in schemas.ATTRIBUTES
        ]
        tables.append(pa.table(arrays, schema=schemas.ATTRIBUTES).sort_by("pid"))
    return pa.concat_tables(tables)


def _labels(values: Floats, texts: Mapping[int, str]) -> pa.Array:
    """The texts of classes; refused where a class has none."""
    text_by_value = {float(value): str(text) for value, text in texts.items()}
    missing = sorted({value for value in values[np.isfinite(values)].tolist() if value not in text_by_value})
    if missing:
        listed = some([f"{value:g}" for value in missing])
        raise InvalidInputError(f"most pixels of parcels are of classes without a text: {listed}; add them")
    return pa.array([text_by_value.get(value) for value in values.tolist()], pa.string())
