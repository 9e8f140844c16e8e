"""Stacks of catalogued rasters as one lazy array on a common grid, arranged by stackstac.

stackstac arranges scenes, dates and chunks; pixels are read by the package's own `readers.source`, so that signing,
retries and nodata are those of an extraction. A raster that is missing or damaged is an error when it is read, never
nodata.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from cbm_lake.cards import Card
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError, some
from cbm_lake.geo import areas
from cbm_lake.rasters import CHUNK, Grid, PixelArray, Raster, Window, cf, encoding, eopf, opened
from cbm_lake.rasters.cf import Slot
from cbm_lake.rasters.readers import source, without_nodata
from cbm_lake.rasters.selection import Choice, Extent, extent_of, grid_around, window_of
from cbm_lake.storage import stores

if TYPE_CHECKING:
    import dask.array as da
    import xarray as xr
    from stackstac.raster_spec import RasterSpec

    from cbm_lake.lake.pixels import Pixels

_READERS: Final = 16
"""Headers that are read concurrently, as they may be remote."""


@dataclass(frozen=True)
class _Stackable:
    """The scenes that have one band or more on a grid."""

    grid: Grid
    slots: tuple[Slot, ...]
    rasters: Mapping[str, tuple[Raster, ...]]
    """Of each band, one for each scene."""


def stack(lake: Pixels, choice: Choice, epsg: int | None, *, harmonised: bool) -> xr.Dataset:
    """See `Pixels.stack`."""
    if epsg is not None and (choice.grid or choice.resolution is None or choice.bands is None):
        raise InvalidInputError(
            "a stack in a coordinate system of your own needs bands and a resolution, and no name of a grid"
        )
    slots, assets = _catalogued(lake, choice)
    extent = extent_of(lake, str(choice.aoi), choice.year)
    rasters = _headers(lake, choice.card, slots, assets)
    if epsg is None:
        stackable = _on_own_grid(slots, rasters, choice, extent)
    else:
        stackable = _Stackable(
            grid_around(extent, epsg, float(choice.resolution or 0)), slots, _complete(slots, rasters, choice)
        )
    dtypes = {name: choice.card.cube_dtype(name) for name in stackable.rasters}
    bands = {name: band(stackable.rasters[name], stackable.grid, dtype) for name, dtype in dtypes.items()}
    dataset = cf.dataset(bands, stackable.grid, stackable.slots, choice.card.highest)
    return cf.harmonised(dataset, choice.card) if harmonised else dataset


def _catalogued(lake: Pixels, choice: Choice) -> tuple[tuple[Slot, ...], list[dict[str, str]]]:
    """The scenes that count and cover the area in that time, and the hrefs of each by band."""
    start, end = (datetime.combine(day, time.min, UTC) for day in (choice.start or date.min, choice.end or date.max))
    stop = end + timedelta(days=1) if choice.end else end
    rows = lake.query("cube.catalogued", card=choice.card.name, start=start, stop=stop).to_pylist()
    ground = lake.footprint(str(choice.aoi))
    rows = [row for row in rows if areas.is_seen(ground, row["footprint"])]
    if not rows:
        raise NotFoundError(f"no scene of {choice} that counts is catalogued; add scenes with card2db first")
    names = choice.bands or tuple(filter(None, (*choice.card.default_bands, choice.card.class_band)))
    assets = [
        {name: asset["href"] for name, asset in row["assets"].items() if name in names and asset and asset["href"]}
        for row in rows
    ]
    return tuple(Slot(row["id"], row["obstime"], row["boa_offset"]) for row in rows), assets


def _headers(lake: Pixels, card: Card, slots: Sequence[Slot], assets: list[dict[str, str]]) -> list[dict[str, Raster]]:
    """The rasters of each scene by band, in the card's unit; headers as remembered or as files say now."""
    hrefs = {href for scene in assets for href in scene.values()}
    distant = [href for href in hrefs if "://" in href]
    rows = lake.query("extractions.headers", hrefs=distant).to_pylist() if distant else []
    remembered = {row["href"]: Raster.from_json(row["header"]) for row in rows}
    with ThreadPoolExecutor(_READERS) as pool:
        ordered = sorted(hrefs)
        current = dict(
            zip(ordered, pool.map(lambda href: Raster.current(href, remembered.get(href)), ordered), strict=True)
        )
    return [
        {name: current[href].encoded(card, name, slot.boa_offset) for name, href in scene.items()}
        for slot, scene in zip(slots, assets, strict=True)
    ]


def _on_own_grid(slots: Sequence[Slot], rasters: list[dict[str, Raster]], choice: Choice, extent: Extent) -> _Stackable:
    """The scenes of the one grid that fits, cut to the area."""
    grids: dict[Grid, dict[str, list[int]]] = {}
    for number, scene in enumerate(rasters):
        for name, raster in scene.items():
            grids.setdefault(raster.grid, {}).setdefault(name, []).append(number)
    fitting = {
        grid: bands
        for grid, bands in grids.items()
        if choice.fits(grid.name, grid, bands) and window_of(grid, extent) is not None
    }
    if len(fitting) != 1:
        listing = "; ".join(f"{grid.name} ({', '.join(bands)})" for grid, bands in (fitting or grids).items())
        problem = f"{len(fitting)} grids hold" if fitting else "no grid holds all bands and the resolution of"
        advice = "choose a grid, bands or a resolution, or give a coordinate system to resample to"
        raise InvalidInputError(f"{problem} {choice}; {advice}: {listing}")
    [(grid, bands)] = fitting.items()
    numbers = sorted({number for users in bands.values() for number in users})
    _check_complete({name: set(numbers) - set(users) for name, users in bands.items()}, slots)
    window = window_of(grid, extent)
    return _Stackable(
        grid if window is None else cf.cut(grid, window),
        tuple(slots[number] for number in numbers),
        {name: tuple(rasters[number][name] for number in numbers) for name in choice.bands or sorted(bands)},
    )


def _complete(slots: Sequence[Slot], rasters: list[dict[str, Raster]], choice: Choice) -> dict[str, tuple[Raster, ...]]:
    """The rasters of each selected band, one per scene."""
    lacking = {
        name: {number for number, scene in enumerate(rasters) if name not in scene} for name in choice.bands or ()
    }
    _check_complete(lacking, slots)
    return {name: tuple(scene[name] for scene in rasters) for name in lacking}


def _check_complete(lacking: Mapping[str, set[int]], slots: Sequence[Slot]) -> None:
    """Raise SourceError where a scene lacks a band: it would else be nodata without a word."""
    for name, numbers in lacking.items():
        if numbers:
            scenes = some(slots[number].scene for number in sorted(numbers))
            raise SourceError(
                f"no raster of {name} is catalogued on that grid for {scenes}; ask for other bands or days"
            )


# -- stackstac ---------------------------------------------------------------------------------------------------------


def band(rasters: Sequence[Raster], grid: Grid, dtype: str) -> da.Array:
    """The stored DN of one band of several scenes as a lazy dask array (scene, y, x); nodata is 0.

    Args:
        rasters: one of each scene, in order.
        grid: of the result. Where its pixels are those of a raster they are read as they are, else the nearest one.
        dtype: of the result.
    """
    import stackstac

    array = stackstac.stack(
        [_item(number, raster) for number, raster in enumerate(rasters)],
        assets=["band"],
        epsg=grid.epsg,
        resolution=(grid.transform.a, -grid.transform.e),
        bounds=grid.bounds,
        snap_bounds=False,
        chunksize=(1, 1, CHUNK, CHUNK),
        dtype=np.dtype(dtype),
        fill_value=np.dtype(dtype).type(0),
        rescale=False,
        sortby_date=False,
        xy_coords=False,
        properties=False,
        band_coords=False,
        errors_as_nodata=(),
        reader=_Reader,
    )
    stacked: da.Array = array.data[:, 0]
    return stacked


def _item(number: int, raster: Raster) -> dict[str, object]:
    """The least STAC item that stackstac accepts; the asset's href is the whole header, for `_Reader`."""
    rows, columns = raster.grid.shape
    transform = list(raster.grid.transform)[:6]
    asset = {"href": raster.to_json(), "proj:shape": [rows, columns], "proj:transform": transform}
    properties = {"datetime": f"2000-01-01T00:00:{number % 60:02}Z", "proj:epsg": raster.grid.epsg}
    return {"type": "Feature", "id": str(number), "properties": properties, "assets": {"band": asset}, "bbox": None}


class _Reader:
    """Reads an asset on the grid of the stack, as stackstac asks for it."""

    def __init__(self, *, url: str, spec: RasterSpec, dtype: np.dtype[np.generic], **_: object) -> None:
        self._raster = Raster.from_json(url)
        self._grid = Grid(spec.epsg, spec.transform, spec.shape)
        self._dtype = dtype

    def read(self, window: rasterio.windows.Window) -> PixelArray:
        """The pixels of a window of the stack's grid."""
        asked = Window(int(window.row_off), int(window.col_off), int(window.height), int(window.width))
        offset = _offset(self._raster.grid, self._grid)
        pixels = self._warped(window) if offset is None else self._copied(asked, *offset)
        return cf.fitting(pixels, self._dtype, f"band of {stores.redacted(self._raster.href)}")

    def close(self) -> None:
        """Does nothing; no file stays open."""

    def _copied(self, window: Window, down: int, across: int) -> PixelArray:
        """The raster's own pixels; 0 outside it."""
        (rows, columns), (top, left) = self._raster.grid.shape, (window.row + down, window.col + across)
        first, last = (max(top, 0), max(left, 0)), (min(top + window.height, rows), min(left + window.width, columns))
        pixels = np.zeros((window.height, window.width), self._raster.pixel_dtype)
        if first[0] < last[0] and first[1] < last[1]:
            [inner] = source(self._raster).read([Window(*first, last[0] - first[0], last[1] - first[1])])
            pixels[first[0] - top : last[0] - top, first[1] - left : last[1] - left] = inner
        return pixels

    def _warped(self, window: rasterio.windows.Window) -> PixelArray:
        """The nearest pixel of the raster for each pixel of the grid; 0 outside it."""
        raster, (rows, columns) = self._raster, self._grid.shape
        name = stores.redacted(raster.href)
        if eopf.holds(raster.href) or raster.masked:
            raise SourceError(f"raster {name} is a Zarr product or has a mask; it is read on its own grid only")
        target = {"crs": f"EPSG:{self._grid.epsg}", "transform": self._grid.transform, "height": rows, "width": columns}
        nodata = 0 if raster.nodata is None else raster.nodata
        with (
            opened(raster.href) as dataset,
            WarpedVRT(dataset, **target, resampling=Resampling.nearest, src_nodata=nodata, nodata=nodata) as warped,
        ):
            pixels = without_nodata(warped.read(raster.band, window=window), raster.nodata)
        return encoding.decoded(pixels, raster.encoding, name) if raster.encoding else pixels


def _offset(raster: Grid, grid: Grid) -> tuple[int, int] | None:
    """How many rows and columns of a raster lie above and left of a grid; None where their pixels are not the same."""
    a, b = raster.transform, grid.transform
    if raster.epsg != grid.epsg or not (math.isclose(a.a, b.a) and math.isclose(a.e, b.e)):
        return None
    down, across = (b.f - a.f) / a.e, (b.c - a.c) / a.a
    near = (round(down), round(across))
    return near if abs(down - near[0]) < 1e-3 and abs(across - near[1]) < 1e-3 else None
