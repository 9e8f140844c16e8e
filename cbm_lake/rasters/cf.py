"""CF and GeoZarr metadata of cubes and datasets, on disk and in memory.

Every dataset has the dimensions time, y and x, pixel centres as coordinates, the coordinate system as the coordinate
`spatial_ref`, and along time the scene's id and the offset of its stored DN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyproj
from affine import Affine

from cbm_lake.cards import Card
from cbm_lake.errors import SourceError
from cbm_lake.rasters import Grid, PixelArray, Window
from cbm_lake.rasters.encoding import HIGHEST

if TYPE_CHECKING:
    import dask.array as da
    import xarray as xr

CONVENTIONS: Final = "CF-1.11"
GRID_MAPPING: Final = "spatial_ref"
"""The name of the variable that carries the coordinate system."""
TIME: Final = {"standard_name": "time", "axis": "T"}
SCENE: Final = {"long_name": "id of the scene"}
OFFSET: Final = {"long_name": "to be added to the stored DN, where it is not nodata", "units": "1"}
COUNTS: Final = {
    "long_name": "whether the scene counts",
    "flag_values": [0, 1],
    "flag_meanings": "left_out counts",
}
ALONG_TIME: Final = ("scene", "boa_offset", "counts")
_GEOZARR: Final = [
    {
        "name": "proj:",
        "uuid": "f17cb550-5864-4468-aeb7-f3180cfb622f",
        "spec_url": "https://github.com/zarr-conventions/geo-proj/blob/v1/README.md",
        "schema_url": "https://raw.githubusercontent.com/zarr-conventions/geo-proj/refs/tags/v1/schema.json",
        "description": "Coordinate reference system information for geospatial data",
    },
    {
        "name": "spatial:",
        "uuid": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
        "spec_url": "https://github.com/zarr-conventions/spatial/blob/v1/README.md",
        "schema_url": "https://raw.githubusercontent.com/zarr-conventions/spatial/refs/tags/v1/schema.json",
        "description": "Spatial coordinate information",
    },
]
"""The Zarr conventions that a cube's group follows."""


Attributes: TypeAlias = dict[str, Any]
"""Attributes of a group or an array: names and what JSON knows."""
Lazy: TypeAlias = "da.Array | PixelArray"
"""A band (time, y, x), perhaps still to be read."""


@dataclass(frozen=True)
class Slot:
    """One scene on the time axis of a cube."""

    scene: str
    obstime: datetime
    boa_offset: int
    """DN to add to the stored DN."""


def axes(grid: Grid) -> dict[str, PixelArray]:
    """The centres of the pixels by axis: y (rows), x (columns)."""
    t, (rows, columns) = grid.transform, grid.shape
    return {"y": t.f + (np.arange(rows) + 0.5) * t.e, "x": t.c + (np.arange(columns) + 0.5) * t.a}


def axis_attributes(epsg: int) -> dict[str, dict[str, str]]:
    """CF attributes of the axes y and x in that coordinate system."""
    crs = pyproj.CRS.from_epsg(epsg)
    if crs.is_geographic:
        return {
            "y": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
            "x": {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
        }
    units = {"metre": "m"}.get(crs.axis_info[0].unit_name, crs.axis_info[0].unit_name)
    return {
        name: {
            "standard_name": f"projection_{name}_coordinate",
            "long_name": f"{name} coordinate of projection",
            "units": units,
            "axis": name.upper(),
        }
        for name in ("y", "x")
    }


def grid_mapping(grid: Grid, *, transform: bool) -> Attributes:
    """CF attributes of the coordinate system.

    Args:
        grid: whose.
        transform: also GDAL's GeoTransform; a dataset that may be cut goes without, which readers take from its axes.
    """
    attributes: Attributes = pyproj.CRS.from_epsg(grid.epsg).to_cf()
    attributes["spatial_ref"] = attributes["crs_wkt"]
    if transform:
        attributes["GeoTransform"] = " ".join(f"{value:.17g}" for value in grid.transform.to_gdal())
    return attributes


def group_attributes(grid: Grid) -> Attributes:
    """Attributes of a whole cube on disk: CF, and GeoZarr's conventions proj: and spatial:."""
    return {
        "Conventions": CONVENTIONS,
        "zarr_conventions": _GEOZARR,
        "proj:code": f"EPSG:{grid.epsg}",
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": [float(value) for value in tuple(grid.transform)[:6]],
        "spatial:shape": list(grid.shape),
        "spatial:bbox": [float(value) for value in grid.bounds],
    }


def grid_of(attributes: Attributes, shape: tuple[int, int]) -> Grid:
    """The grid that a coordinate system's attributes name by GDAL's GeoTransform."""
    transform = Affine.from_gdal(*(float(value) for value in attributes["GeoTransform"].split()))
    epsg = pyproj.CRS.from_wkt(attributes["crs_wkt"]).to_epsg()
    if epsg is None:
        raise SourceError("the coordinate system of a cube has no EPSG code; delete the cube and extract again")
    return Grid(epsg, transform, shape)


def cut(grid: Grid, window: Window) -> Grid:
    """The part of a grid that a window inside it covers."""
    transform = grid.transform * Affine.translation(window.col, window.row)
    return Grid(grid.epsg, transform, (window.height, window.width))


def dataset(
    bands: Mapping[str, Lazy], grid: Grid, slots: Sequence[Slot], highest: float | None = HIGHEST
) -> xr.Dataset:
    """Stored DN of bands (time, y, x) as a clean dataset; nodata is 0, and the attribute _FillValue says so.

    Numbers that are no measurement are nodata here as in the statistics.

    Args:
        bands: arrays by name, the dates in the order of `slots`, the pixels those of `grid`.
        grid: of the pixels.
        slots: the scenes along time.
        highest: stored number above which none is a measurement; None where all are.
    """
    import xarray as xr

    timestamps = np.array([slot.obstime.astimezone(UTC).replace(tzinfo=None) for slot in slots], "datetime64[us]")
    along = axis_attributes(grid.epsg)
    coordinates = {
        "time": ("time", timestamps, TIME),
        **{name: (name, values, along[name]) for name, values in axes(grid).items()},
        "scene": ("time", np.array([slot.scene for slot in slots], object), SCENE),
        "boa_offset": ("time", np.array([slot.boa_offset for slot in slots], np.int32), OFFSET),
        GRID_MAPPING: ((), np.int32(0), grid_mapping(grid, transform=False)),
    }
    variables = {
        name: (
            ("time", "y", "x"),
            _measured(band, highest),
            {"grid_mapping": GRID_MAPPING, "_FillValue": band.dtype.type(0)},
        )
        for name, band in bands.items()
    }
    size = [float(grid.transform.a), float(grid.transform.e)]  # which a dataset of one pixel does not tell
    attributes = {"Conventions": CONVENTIONS, "proj:code": f"EPSG:{grid.epsg}", "resolution": size}
    return xr.Dataset(variables, coordinates, attributes)


def _measured(band: Lazy, highest: float | None) -> Lazy:
    """A band without DN that are no reflectance and without power below 0, which become nodata; see `encoding`."""
    if band.dtype == np.uint16 and highest is None:
        return band
    valid = band <= highest if band.dtype == np.uint16 else ~(band < 0)
    return band * valid


def harmonised(stored: xr.Dataset, card: Card) -> xr.Dataset:
    """A dataset of `dataset` with the offset of each scene added: float32, NaN where there is no measurement.

    DN are then reflectance x 10000 whatever the processing baseline or the scale of the card. Nothing is clipped, as
    with the statistics, so that deep shadow can be below 0. Scene classes stay as they are.
    """
    offset = stored["boa_offset"].astype(np.float32)
    bands = {}
    for name, band in stored.data_vars.items():
        if not card.is_classes(str(name)):
            values = band.where(band != 0).astype(np.float32)
            bands[name] = (card.measured_of(values + offset) if band.dtype.kind in "iu" else values).transpose(
                *band.dims
            )
            bands[name].attrs = {"grid_mapping": GRID_MAPPING}
            bands[name].encoding = {"_FillValue": np.float32(np.nan)}
    return stored.assign(bands)


def fitting(values: PixelArray, dtype: np.dtype[np.generic], name: str) -> PixelArray:
    """The values in that type, which providers do not always keep (classes come as uint8 and as uint16).

    Raises:
        SourceError: they do not fit; the message names the cube or raster.
    """
    same = np.can_cast(values.dtype, dtype, "same_kind") and values.dtype.kind == "f"
    if same or np.can_cast(values.dtype, dtype) or np.array_equal(values.astype(dtype), values):
        return values.astype(dtype, copy=False)
    advice = "leave out this scene, or extract without a cube"
    raise SourceError(f"{values.dtype} values of a scene do not fit the {dtype} {name}; {advice}")
