"""Inspects rasters while cataloguing: footprint, coordinate system, and whether pixel values suit the card."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
import shapely

from cbm_lake import cards
from cbm_lake.errors import SourceError
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.rasters import Raster, Window, encoding
from cbm_lake.rasters.readers import source

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WINDOW: Final = 32
"""Pixels a side of the parts of a raster that are looked at."""
_ACROSS: Final = 5
"""So many of them side by side, and one above the other."""
_BRIGHTEST: Final = 10.0
"""The median of backscatter as power lies far below."""
_TOLERANCE: Final = 0.01
"""Of a coarse pixel: by how much the corners of two grids may differ."""


def geometry(raster: Raster) -> shapely.Geometry:
    """Footprint of a raster in degrees."""
    box = shapely.box(*raster.grid.bounds)
    return reprojected(shapely.segmentize(box, box.length / 128), raster.grid.epsg, 4326)  # straight lines bend


def first_readable(name: str, hrefs: Iterable[str]) -> Raster:
    """Header of the first readable raster of a product.

    Raises:
        SourceError: there is none.
    """
    problem = "it has no raster of a band"
    for href in hrefs:
        try:
            return Raster.inspect(href)
        except SourceError as error:
            problem = error.reason
    raise SourceError(f"{name}: none of its rasters can be read ({problem}); fetch it again")


def sample(raster: Raster) -> NDArray[np.float64]:
    """Sample of stored values from parts spread evenly over a raster, without nodata; decibels stay decibels.

    Raises:
        SourceError: they cannot be read.
    """
    rows, columns = (_starts(size) for size in raster.grid.shape)
    height, width = (min(_WINDOW, size) for size in raster.grid.shape)
    windows = [Window(row, column, height, width) for row in rows for column in columns]
    parts = [part.ravel().astype(np.float64) for part in source(raster).read(windows)]
    values: NDArray[np.float64] = np.concatenate(parts)
    return np.asarray(values[np.isfinite(values) & (values != 0)])


def _starts(size: int) -> list[int]:
    """Start offsets of the parts along one axis."""
    return sorted({round(start) for start in np.linspace(0, max(size - _WINDOW, 0), _ACROSS)})


def check_backscatter(name: str, values: NDArray[np.float64], unit: str) -> None:
    """Check that values are plausible backscatter in the stated unit.

    Args:
        name: name for messages.
        values: as `sample` gives them.
        unit: db, or empty for power.

    Raises:
        SourceError: they cannot.
    """
    if not values.size:
        return
    middle = float(np.median(values))
    if unit and values.min() >= 0:
        raise SourceError(f"{name}: decibels are stated, but no value is below 0 (median {middle:.4g}); power?")
    if not unit and middle < 0:
        raise SourceError(f"{name}: power is stated, but most values are below 0 (median {middle:.4g}); decibels?")
    if not unit and middle > _BRIGHTEST:
        raise SourceError(
            f"{name}: values about {middle:.4g} are not backscatter as power; calibrate it, or convert it to power"
        )


def check_coherence(name: str, values: NDArray[np.float64]) -> None:
    """Check that values are plausible coherence.

    Raises:
        SourceError: some lie outside 0 to 1.
    """
    if values.size and not (values.min() >= 0 and values.max() <= 1.001):
        raise SourceError(
            f"{name}: coherence lies between 0 and 1, its values between {values.min():.4g} and {values.max():.4g}; "
            "convert it"
        )


def check_pixel(raster: Raster, card: str, band: str) -> None:
    """Check that a raster has a pixel size of its band.

    Raises:
        SourceError: it has another.
    """
    size = raster.grid.transform
    encoding.check_pixel(cards.get(card), band, raster.path, raster.grid.epsg, (size.a, -size.e))


def check_grids(name: str, rasters: dict[str, Raster]) -> None:
    """Check that the bands of a scene align: same projection and corner, pixel sizes in whole multiples.

    Raises:
        SourceError: a band lies elsewhere; the message names it.
    """
    bands = sorted(rasters, key=lambda band: rasters[band].grid.transform.a)
    finest = rasters[bands[0]].grid
    for band in bands[1:]:
        grid = rasters[band].grid
        ratios = np.array([grid.transform.a / finest.transform.a, grid.transform.e / finest.transform.e])
        corners = np.abs(np.subtract(grid.bounds, finest.bounds)) / grid.transform.a
        xmin, ymin, xmax, ymax = corners
        whole = np.allclose(ratios, np.round(ratios), atol=1e-6)
        if grid.epsg != finest.epsg or not whole or max(xmin, ymax) > _TOLERANCE or max(ymin, xmax) > 1 + _TOLERANCE:
            raise SourceError(
                f"{name}: {band} lies on grid {grid.name}, {bands[0]} on {finest.name}, which do not fit; "
                "bring them onto one grid"
            )
