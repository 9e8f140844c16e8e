"""Cubes: the scenes of one card and grid as one sparse Zarr array per band, with axes time, y, x."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import rasterio
import zarr
from obstore.exceptions import BaseError
from zarr.codecs import BloscCodec
from zarr.errors import ContainsArrayError, ContainsGroupError

from cbm_lake.access import ADVICE, explained, zarr_store
from cbm_lake.errors import NotFoundError, SourceError
from cbm_lake.rasters import CHUNK, Grid, Raster, Window, source
from cbm_lake.store import Store, translated

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_SHARD: Final = 2048
"""Pixels a side of one file at most; a file holds one scene and band only."""
_PATIENCE: Final = 10
"""How often an array that is too short is looked at again."""
_EPOCH: Final = "microseconds since 1970-01-01"


class CubeSource:
    """Blocks of a scene's band by way of the cube: what the cube has is read there, all else from the file, and kept.

    The unit is a whole shard. It is written at once and always with all its pixels, so that two who write the same one
    write the same bytes, and a shard that is there is complete.
    """

    def __init__(self, url: str, band: str, slot: int, raster: Raster) -> None:
        self._raster, self._slot = raster, slot
        self._array = _band_array(url, band, slot)
        _, *size = self._array.shards or self._array.chunks
        self._size = (size[0], size[1])
        self._held = _held_shards(url, band, slot)

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """The pixels of each window, in that order; windows come in rows, so shards above one are needed no more."""
        windows = list(windows)
        corners = dict.fromkeys(corner for window in windows for row in self._corners(window) for corner in row)
        missing = [self._window(corner) for corner in corners if corner not in self._held]
        with contextlib.closing(source(self._raster).read(missing)) as fresh:  # type: ignore[type-var]
            shards: dict[tuple[int, int], NDArray[Any]] = {}
            for window in windows:
                rows = self._corners(window)
                shards = {corner: shard for corner, shard in shards.items() if corner[0] >= rows[0][0][0]}
                for corner in (corner for row in rows for corner in row):
                    if corner not in shards:
                        shards[corner] = self._stored(corner) if corner in self._held else self._kept(corner, fresh)
                top, left = window.row - rows[0][0][0] * self._size[0], window.col - rows[0][0][1] * self._size[1]
                whole = shards[rows[0][0]] if len(rows) == len(rows[0]) == 1 else _joined(rows, shards)
                yield whole[top : top + window.height, left : left + window.width]

    def kept(self, window: Window) -> NDArray[Any] | None:
        """The pixels of a window inside the raster as the cube has them, or None where it lacks some."""
        corners = [corner for row in self._corners(window) for corner in row]
        return self._read(window, corners[0]) if self._held.issuperset(corners) else None

    def _corners(self, window: Window) -> list[list[tuple[int, int]]]:
        """The shards that a window touches, by their numbers down and across."""
        (height, width), (row, col, rows, columns) = self._size, window
        across = range(col // width, -(-(col + columns) // width))
        return [[(i, j) for j in across] for i in range(row // height, -(-(row + rows) // height))]

    def _window(self, corner: tuple[int, int]) -> Window:
        """The pixels of a shard that lie inside the raster."""
        (height, width), (rows, columns) = self._size, self._raster.grid.shape
        row, col = corner[0] * height, corner[1] * width
        return Window(row, col, min(height, rows - row), min(width, columns - col))

    def _stored(self, corner: tuple[int, int]) -> NDArray[Any]:
        return self._read(self._window(corner), corner)

    def _read(self, window: Window, corner: tuple[int, int]) -> NDArray[Any]:
        """The pixels of a window out of shards that are there, of which `corner` is the first."""
        row, col, height, width = window
        name = f"{self._array.store_path}/c/{self._slot}/{corner[0]}/{corner[1]}"
        try:
            values = self._array[self._slot, row : row + height, col : col + width]
        except BaseError as error:
            raise SourceError(f"cube file {name} cannot be read: {explained(error)}; {ADVICE}") from error
        except (OSError, RuntimeError, ValueError) as error:  # what zarr and its codecs raise for damaged bytes
            reason = " ".join(str(error).split())
            raise SourceError(f"cube file {name} is damaged ({reason}); delete it and extract again") from error
        return np.asarray(values, self._raster.pixel_dtype)

    def _kept(self, corner: tuple[int, int], fresh: Iterator[NDArray[Any]]) -> NDArray[Any]:
        """The next shard from the file, after writing it to the cube."""
        row, col, height, width = self._window(corner)
        values = next(fresh)
        with translated("write", str(self._array.store_path)):
            self._array[self._slot, row : row + height, col : col + width] = self._fitting(values)
        return values

    def _fitting(self, values: NDArray[Any]) -> NDArray[Any]:
        """The values in the cube's type, which providers do not always keep (classes come as uint8 and as uint16)."""
        wanted = self._array.dtype
        same = np.can_cast(values.dtype, wanted, "same_kind") and values.dtype.kind == "f"
        if same or np.can_cast(values.dtype, wanted) or np.array_equal(values.astype(wanted), values):
            return values
        raise SourceError(
            f"{values.dtype} values of a scene do not fit the {wanted} cube {self._array.path}; "
            "leave out this scene, or extract without a cube"
        )


def _joined(rows: list[list[tuple[int, int]]], shards: dict[tuple[int, int], NDArray[Any]]) -> NDArray[Any]:
    return np.block([[shards[corner] for corner in row] for row in rows])


def _band_array(url: str, band: str, slot: int) -> zarr.Array[Any]:
    """The array of a band, once it is long enough: the planner of another run may just be lengthening it."""
    with translated("open", f"{url}/{band}"):
        for attempt in range(_PATIENCE):
            array = zarr.open_array(zarr_store(url), path=band, mode="r+", config={"write_empty_chunks": True})
            if slot < array.shape[0]:
                return array
            time.sleep(0.1 * attempt)
    raise SourceError(f"cube {url} has no place {slot} in band {band}; run the extraction again")


def _held_shards(url: str, band: str, slot: int) -> set[tuple[int, int]]:
    """Which shards of a band's slot the cube has, by their numbers down and across."""
    found = (re.search(r"/(\d+)/(\d+)$", path) for path in Store(url).files(f"{band}/c/{slot}", ""))
    return {(int(parts[1]), int(parts[2])) for parts in found if parts}


@dataclass(frozen=True)
class Slot:
    """The place of a scene on a cube's time axis."""

    scene: str
    obstime: datetime
    boa_offset: int
    """DN to add to the stored DN."""


class Cube:
    """One cube: a Zarr v3 group with an array (time, y, x) per band."""

    def __init__(self, url: str) -> None:
        self.url = url

    def extend(self, grid: Grid, dtypes: dict[str, str], slots: Sequence[Slot]) -> None:
        """Make the cube's axes, bands and length what they should be; what is right already stays untouched.

        Several may do so at once: nothing is deleted, and what two of them write is the same.

        Args:
            grid: of the cube; it is made on first use.
            dtypes: numpy dtype of each band that must be there.
            slots: all places of the time axis, in order.
        """
        with translated("write", self.url):
            group = _group(self.url)
            if "spatial_ref" not in group:
                _write_axes(group, grid)
            micros = np.array([int(slot.obstime.timestamp() * 1_000_000) for slot in slots], np.int64)
            _write_times(group, "time", micros, {"units": _EPOCH, "calendar": "proleptic_gregorian"})
            _write_times(group, "boa_offset", np.array([slot.boa_offset for slot in slots], np.int32), {"units": "DN"})
            for name in [*dtypes, *group.array_keys()]:
                array = _array(group, name) if name in group else _band(group, name, dtypes[name], grid.shape)
                if array.ndim == 3 and array.shape[0] < len(slots):
                    array.resize((len(slots), *array.shape[1:]))
            system = {"proj:code": f"EPSG:{grid.epsg}", "Conventions": "CF-1.11"}
            group.attrs.update({**system, "scenes": [slot.scene for slot in slots]})

    def open(self) -> xr.Dataset:
        """The cube as a lazy dataset in the order of time: stored DN per band, with scene and boa_offset along time.

        Dates of which no pixel is stored are left out.

        Raises:
            NotFoundError: there is no such cube.
        """
        import xarray as xr

        try:
            store = zarr_store(self.url)
            dataset = xr.open_zarr(store, consolidated=False, zarr_format=3, decode_cf=True, mask_and_scale=False)
        except BaseError as error:
            raise SourceError(f"cannot open {self.url}: {explained(error)}; {ADVICE}") from error
        except FileNotFoundError as error:
            raise NotFoundError(f"no cube at {self.url}; extract with a cube first") from error
        dataset = dataset.set_coords(["boa_offset", "spatial_ref"]).assign_coords(
            scene=("time", dataset.attrs.pop("scenes"))
        )
        held = sorted(slot for slot in self._filled(map(str, dataset.data_vars)) if slot < dataset.sizes["time"])
        return cast("xr.Dataset", dataset.isel(time=held).sortby("time"))

    def _filled(self, bands: Iterable[str]) -> set[int]:
        """The slots that hold a shard of any band."""
        store = Store(self.url)
        return {int(name) for band in bands for name in store.folders(f"{band}/c") if name.isdecimal()}


def _group(url: str) -> zarr.Group:
    """The group of a cube, made when it is not there."""
    try:
        return zarr.open_group(zarr_store(url), mode="a")
    except ContainsGroupError:  # another made it at the same moment
        return zarr.open_group(zarr_store(url), mode="r+")


def _made(group: zarr.Group, name: str, **kind: Any) -> zarr.Array[Any]:
    """An array of a cube, made when it is not there."""
    if name not in group:
        with contextlib.suppress(ContainsArrayError):  # another made it at the same moment
            group.create_array(name, **kind)
    return _array(group, name)


def _write_axes(group: zarr.Group, grid: Grid) -> None:
    rows, columns = grid.shape
    left, top, size_x, size_y = grid.transform.c, grid.transform.f, grid.transform.a, grid.transform.e
    axes = {"x": left + (np.arange(columns) + 0.5) * size_x, "y": top + (np.arange(rows) + 0.5) * size_y}
    for name, values in axes.items():
        attributes = {"standard_name": f"projection_{name}_coordinate", "units": "m"}
        array = _made(
            group, name, shape=values.shape, dtype=values.dtype, dimension_names=(name,), attributes=attributes
        )
        array[:] = values
    transform = " ".join(f"{value:.12g}" for value in grid.transform.to_gdal())
    attributes = {"crs_wkt": rasterio.CRS.from_epsg(grid.epsg).to_wkt(), "GeoTransform": transform}
    _made(group, "spatial_ref", shape=(), dtype=np.int32, dimension_names=(), attributes=attributes)


def _band(group: zarr.Group, name: str, dtype: str, shape: tuple[int, int]) -> zarr.Array[Any]:
    shard = tuple(min(_SHARD, -(-size // CHUNK) * CHUNK) for size in shape)
    return _made(
        group,
        name,
        shape=(0, *shape),
        dtype=dtype,
        chunks=(1, CHUNK, CHUNK),
        shards=(1, *shard),
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
        fill_value=0,
        dimension_names=("time", "y", "x"),
        attributes={"grid_mapping": "spatial_ref"},
    )


def _write_times(group: zarr.Group, name: str, values: NDArray[Any], attributes: dict[str, Any]) -> None:
    """Make `values` what an array along time holds."""
    kind = {"shape": (0,), "chunks": (4096,), "dtype": values.dtype, "dimension_names": ("time",)}
    array = _made(group, name, **kind, attributes=attributes)
    if not np.array_equal(array[:], values):
        array.resize(values.shape)
        array[:] = values


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    return cast("zarr.Array[Any]", group[name])
