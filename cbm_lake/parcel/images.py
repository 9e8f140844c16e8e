"""Image time series of a position: cutouts of scenes on one common grid, as an xarray dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from affine import Affine
from rasterio.enums import Resampling
from rasterio.warp import reproject

from cbm_lake.geo.reprojection import transformer
from cbm_lake.parcel.chips import Cutout
from cbm_lake.rasters import Grid

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_PIXEL: Final = 10.0
"""Metres a side of the pixels in which images are drawn."""


@dataclass(frozen=True)
class Image:
    """The image of one scene at a position."""

    obstime: datetime
    bands: Mapping[str, NDArray[np.number]]
    cloud: float
    """Share of clouded pixels, of the parcel where there is one; NaN where it is not known."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images of a position on one grid, by time."""

    data: xr.Dataset
    """The bands (time, y, x), 0 where there is no measurement, and cloud (time); time is UTC, without a zone. The
    attributes are epsg and transform (a, b, c, d, e, f).
    """
    cutouts: tuple[Cutout, ...] = ()
    """The source cutouts, at native resolution."""

    @property
    def epsg(self) -> int:
        """EPSG code of the grid."""
        return int(self.data.attrs["epsg"])

    @property
    def transform(self) -> Affine:
        """Affine transform from (column, row) of a pixel's upper left corner to (x, y)."""
        return Affine(*self.data.attrs["transform"])

    @property
    def size(self) -> int:
        """Side length in pixels."""
        return int(self.data.sizes["x"])

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        metres = self.size * self.transform.a
        return self.transform.c, self.transform.f - metres, self.transform.c + metres, self.transform.f

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """The individual images."""
        bands = {str(name): values.to_numpy() for name, values in self.data.data_vars.items() if name != "cloud"}
        times = self.data["time"].to_numpy().astype("datetime64[us]").tolist()
        clouds = self.data["cloud"].to_numpy().tolist()
        return tuple(
            Image(time.replace(tzinfo=UTC), {name: values[number] for name, values in bands.items()}, cloud)
            for number, (time, cloud) in enumerate(zip(times, clouds, strict=True))
        )


def assembled(
    cutouts: Sequence[Cutout], bands: Sequence[str], lon: float, lat: float, chipsize: float
) -> xr.Dataset | None:
    """Resample cutouts to one grid; timestamps that lack a band, or whose bands are all empty, are dropped.

    Args:
        cutouts: of one position; bands beyond `bands` are optional, and 0 where missing.
        bands: without which a timestamp is left out.
        lon: degrees east.
        lat: degrees north.
        chipsize: metres a side.

    Returns:
        The bands (time, y, x), optional ones included; None where no timestamp has all of `bands`.
    """
    import xarray as xr

    by_band: dict[str, dict[datetime, Cutout]] = {band: {} for band in bands}
    for cutout in cutouts:
        by_band.setdefault(cutout.band, {})[cutout.obstime] = cutout
    times = sorted(set.intersection(*(set(by_band[band]) for band in bands)))
    if not times:
        return None
    grid = _grid([by_band[band][times[0]].grid for band in bands], lon, lat, chipsize)
    layers = {band: dict(_layers(parts, times, grid)) for band, parts in by_band.items()}
    times = [time for time in times if any(layers[band][time].any() for band in bands)]
    shape, transform = grid.shape, grid.transform
    x = transform.c + (np.arange(shape[1]) + 0.5) * transform.a
    y = transform.f + (np.arange(shape[0]) + 0.5) * transform.e
    empty = np.empty((0, *shape))
    return xr.Dataset(
        {
            band: (("time", "y", "x"), np.stack([parts[t] for t in times]) if times else empty)
            for band, parts in layers.items()
        },
        coords={"time": np.array([t.replace(tzinfo=None) for t in times], "datetime64[us]"), "y": y, "x": x},
        attrs={"epsg": grid.epsg, "transform": tuple(transform)[:6]},
    )


def _layers(
    cutouts: Mapping[datetime, Cutout], times: Sequence[datetime], grid: Grid
) -> Iterator[tuple[datetime, NDArray[np.number]]]:
    """Pixels of a band at each timestamp; 0 where the band is missing."""
    dtype = next(iter(cutouts.values())).pixels.dtype if cutouts else np.dtype(np.uint8)
    for time in times:
        yield time, _resampled(cutouts[time], grid) if time in cutouts else np.zeros(grid.shape, dtype)


def _grid(grids: Sequence[Grid], lon: float, lat: float, chipsize: float) -> Grid:
    """A 10 m grid aligned to the first grid, over the square around a position that all grids cover."""
    first = grids[0]
    x, y = transformer(4326, first.epsg).transform(lon, lat)
    size = max(1, round(chipsize / _PIXEL))
    west = first.transform.c + round((x - first.transform.c) / _PIXEL - size / 2) * _PIXEL
    north = first.transform.f - round((first.transform.f - y) / _PIXEL - size / 2) * _PIXEL
    # pixels of 20 m may begin or end 10 m off
    lefts, bottoms, rights, tops = zip(*(grid.bounds for grid in grids), strict=True)
    west, north = max(west, *lefts), min(north, *tops)
    across = min(rights) - west, north - max(bottoms)
    size = max(1, min(size, int(min(across) // _PIXEL)))
    return Grid(first.epsg, Affine(_PIXEL, 0, west, 0, -_PIXEL, north), (size, size))


def _resampled(cutout: Cutout, grid: Grid) -> NDArray[np.number]:
    """Resample a cutout to a grid by nearest neighbour; 0 outside."""
    target = np.zeros(grid.shape, cutout.pixels.dtype)
    reproject(
        cutout.pixels,
        target,
        src_transform=cutout.grid.transform,
        src_crs=f"EPSG:{cutout.grid.epsg}",
        src_nodata=0,
        dst_transform=grid.transform,
        dst_crs=f"EPSG:{grid.epsg}",
        dst_nodata=0,
        resampling=Resampling.nearest,
    )
    return target
