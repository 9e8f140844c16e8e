"""Zonal statistics by the coverage rule of exactextract: pixels weighted by the share inside the geometry."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine

from cbm_lake.cards.statistics import STORED, SUMMARY
from cbm_lake.errors import of_extra
from cbm_lake.zonal import values
from cbm_lake.zonal.columns import Columns, Convert
from cbm_lake.zonal.compiled import Ints, Pixels
from cbm_lake.zonal.polygons import Geometries, as_affine, polygon_parts

if TYPE_CHECKING:
    from exactextract.raster import NumPyRasterSource

log = logging.getLogger(__name__)

_SUMMARY: Final = {"std": "stdev"}
"""What exactextract calls statistics of the summary by another name."""


def operations(columns: Columns) -> list[str]:
    """The operations of exactextract: the summary, then the quantiles, each under a name of its own."""
    summary = [_SUMMARY.get(name, name) for name in SUMMARY]
    return [*summary, *(f"q{number}=quantile(q={q})" for number, q in enumerate(columns.probabilities))]


def coverage_statistics(
    geometries: Geometries,
    array: Pixels,
    transform: Affine | Sequence[float],
    nodata: float | None = 0,
    *,
    statistics: str | Iterable[str] = STORED,
    convert: Convert | None = None,
) -> pa.Table:
    """Statistics weighted by the share of each pixel inside the geometry; count is the sum of shares (float64).

    Invalid geometries are repaired, and it is said how many: every lobe of a bow-tie counts, and what is covered twice
    counts once. A geometry with infinite coordinates has no pixels.

    Args:
        geometries: as for `build_index`, in the coordinate system of the raster.
        array: the band, 2-D.
        transform: from (column, row) to map coordinates, without rotation.
        nodata: the pixel value that does not count; None: all count. NaN never counts.
        statistics: names of `cbm_lake.cards.STATISTICS`: the columns, in its order. Shares are of the whole geometry,
            its area divided by that of a pixel.
        convert: to the unit of the table, where that is not the raster's; see `Convert`.

    Raises:
        ConfigError: the extra `exact` is not installed.
        InvalidInputError: the array has not two dimensions or a type that is not provided for, the transform is
            rotated, or a name is no statistic.
    """
    with of_extra("exact", "the method 'coverage'"):
        import exactextract
    import shapely

    columns = Columns.of(statistics)
    transform = as_affine(transform)
    raster = _raster(values.two_dimensional(array), transform, nodata)
    shapes = _repaired(*polygon_parts(geometries))
    areas = shapely.area(shapes)
    results = np.full((columns.rows, len(shapes)), np.nan)
    results[SUMMARY.index("count")] = 0.0
    filled = np.flatnonzero(areas > 0)
    if len(filled):
        features = [
            {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
            for shape in shapes[filled]
        ]
        extracted = exactextract.exact_extract(raster, features, operations(columns), output="pandas")
        results[:, filled] = extracted.to_numpy(np.float64).T
    return columns.table(results, lambda: areas / abs(transform.a * transform.e), convert, integers=False)


def _repaired(polygons: npt.NDArray[np.object_], owner: Ints, number: int) -> npt.NDArray[np.object_]:
    """One valid multipolygon per owner of polygons; None where it has none, or an infinite one."""
    import shapely

    shapes = np.full(number, None, dtype=object)
    present, positions = np.unique(owner, return_inverse=True)
    if not len(present):
        return shapes
    shapes[present] = shapely.multipolygons(polygons, indices=positions)
    infinite = np.zeros(number, bool)
    infinite[owner[~np.isfinite(shapely.bounds(polygons)).all(axis=1)]] = True
    shapes[infinite] = None
    broken = ~shapely.is_valid(shapes) & ~infinite & shapely.is_geometry(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    for bad, consequence in (
        (infinite, "with infinite coordinates have no pixels"),
        (broken, "were invalid and are repaired"),
    ):
        if bad.any():
            log.warning("%d geometries %s, first at position %d", bad.sum(), consequence, bad.argmax())
    return shapes


def _raster(array: Pixels, transform: Affine, nodata: float | None) -> NumPyRasterSource:
    """The array as exactextract reads it: north up, and as floats, for it cuts percentiles of integers to integers."""
    from exactextract.raster import NumPyRasterSource

    kind = values.kind(array)
    _, has_nodata, value = values.missing(nodata, array)
    array = array.astype(np.float32 if kind is np.uint16 else np.float64)
    array = array[:: -1 if transform.e > 0 else 1, :: -1 if transform.a < 0 else 1]
    (x0, y0), (x1, y1) = transform * (0, 0), transform * array.shape[::-1]
    box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
    return NumPyRasterSource(np.ascontiguousarray(array), *box, nodata=float(value) if has_nodata else None)
