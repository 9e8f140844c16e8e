"""Cubes: the scenes of one card and grid as one sparse Zarr array per band, with axes time, y, x."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import rasterio
import zarr
from zarr.codecs import BloscCodec

from cbm_lake.errors import NotFoundError, SourceError
from cbm_lake.rasters import CHUNK, Grid, Window
from cbm_lake.store import translated

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_SHARD: Final = 4096
"""Pixels a side of one file at most; a file holds one scene and band only, so that no two writers meet in it."""
_EPOCH: Final = "microseconds since 1970-01-01"


class CubeWriter:
    """Puts the blocks of one scene and band into its slot of the cube, a whole shard file at a time."""

    def __init__(self, url: str, band: str, slot: int) -> None:
        self._array = _array(zarr.open_group(url, mode="r+"), band)
        self._slot = slot
        _, *self._size = self._array.shards or self._array.chunks
        self._pending: dict[tuple[int, int], NDArray[Any]] = {}

    def put(self, window: Window, values: NDArray[Any]) -> None:
        """Take a block; blocks come in row-major order, so shards above it are complete and are written."""
        row, col = window.row, window.col
        height, width = self._size
        values = self._fitting(values)
        self._flush([corner for corner in self._pending if corner[0] + height <= row])
        for top in range(row // height * height, row + values.shape[0], height):
            for left in range(col // width * width, col + values.shape[1], width):
                if (top, left) not in self._pending:
                    self._pending[top, left] = self._empty(top, left)
                shard = self._pending[top, left]
                r0, r1 = max(row, top), min(row + values.shape[0], top + height)
                c0, c1 = max(col, left), min(col + values.shape[1], left + width)
                shard[r0 - top : r1 - top, c0 - left : c1 - left] = values[r0 - row : r1 - row, c0 - col : c1 - col]

    def close(self) -> None:
        """Write what is left."""
        self._flush(list(self._pending))

    def _fitting(self, values: NDArray[Any]) -> NDArray[Any]:
        """The values in the cube's type, which providers do not always keep (classes come as uint8 and as uint16)."""
        if np.can_cast(values.dtype, self._array.dtype) or np.array_equal(values.astype(self._array.dtype), values):
            return values
        raise SourceError(
            f"{values.dtype} values of a scene do not fit the {self._array.dtype} cube {self._array.path}; "
            "leave out this scene, or extract without a cube"
        )

    def _empty(self, top: int, left: int) -> NDArray[Any]:
        _, rows, columns = self._array.shape
        shape = (min(self._size[0], rows - top), min(self._size[1], columns - left))
        return np.zeros(shape, self._array.dtype)

    def _flush(self, corners: list[tuple[int, int]]) -> None:
        for top, left in corners:
            shard = self._pending.pop((top, left))
            with translated("write", str(self._array.store_path)):
                self._array[self._slot, top : top + shard.shape[0], left : left + shard.shape[1]] = shard


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

    def reserve(self, grid: Grid, dtypes: dict[str, str], slots: Sequence[Slot]) -> dict[str, int]:
        """Make room for scenes and bands that have none yet; returns the slot number of every scene of the cube.

        Args:
            grid: of the cube; it is made on first use.
            dtypes: numpy dtype of each band, for those that are new.
            slots: the scenes to come.
        """
        with translated("write", self.url):
            return self._reserve(zarr.open_group(self.url, mode="a"), grid, dtypes, slots)

    def _reserve(self, group: zarr.Group, grid: Grid, dtypes: dict[str, str], slots: Sequence[Slot]) -> dict[str, int]:
        held = [str(scene) for scene in cast("list[str]", group.attrs.get("scenes", []))]
        new = [slot for slot in slots if slot.scene not in set(held)]
        scenes = held + [slot.scene for slot in new]
        if not held:
            _write_axes(group, grid)
        micros = [int(slot.obstime.timestamp() * 1_000_000) for slot in new]
        _lengthen(
            group, "time", np.array(micros, np.int64), {"units": _EPOCH, "calendar": "proleptic_gregorian"}, len(held)
        )
        _lengthen(
            group, "boa_offset", np.array([slot.boa_offset for slot in new], np.int32), {"units": "DN"}, len(held)
        )
        for name in [*dtypes, *group.array_keys()]:
            array = _array(group, name) if name in group else _new_band(group, name, dtypes[name], grid.shape)
            if array.ndim == 3 and array.shape[0] != len(scenes):
                array.resize((len(scenes), *array.shape[1:]))
        group.attrs["scenes"] = scenes  # last: what a killed planner left behind is written again, at the same place
        return {scene: number for number, scene in enumerate(scenes)}

    def open(self) -> xr.Dataset:
        """The cube as a lazy dataset in the order of time: stored DN per band, with scene and boa_offset along time.

        Raises:
            NotFoundError: there is no such cube.
        """
        import xarray as xr

        try:
            dataset = xr.open_zarr(self.url, consolidated=False, zarr_format=3, decode_cf=True, mask_and_scale=False)
        except FileNotFoundError as error:
            raise NotFoundError(f"no cube at {self.url}; extract with a cube first") from error
        dataset = dataset.set_coords(["boa_offset", "spatial_ref"]).assign_coords(
            scene=("time", dataset.attrs.pop("scenes"))
        )
        return cast("xr.Dataset", dataset.sortby("time"))


def _write_axes(group: zarr.Group, grid: Grid) -> None:
    rows, columns = grid.shape
    left, top, size_x, size_y = grid.transform.c, grid.transform.f, grid.transform.a, grid.transform.e
    axes = {"x": left + (np.arange(columns) + 0.5) * size_x, "y": top + (np.arange(rows) + 0.5) * size_y}
    for name, values in axes.items():
        array = group.create_array(name, data=values, dimension_names=(name,), overwrite=True)
        array.attrs.update({"standard_name": f"projection_{name}_coordinate", "units": "m"})
    reference = group.create_array("spatial_ref", data=np.array(0, np.int32), dimension_names=(), overwrite=True)
    transform = " ".join(f"{value:.12g}" for value in grid.transform.to_gdal())
    reference.attrs.update({"crs_wkt": rasterio.CRS.from_epsg(grid.epsg).to_wkt(), "GeoTransform": transform})
    group.attrs.update({"proj:code": f"EPSG:{grid.epsg}", "Conventions": "CF-1.11"})


def _new_band(group: zarr.Group, name: str, dtype: str, shape: tuple[int, int]) -> zarr.Array[Any]:
    shard = tuple(min(_SHARD, -(-size // CHUNK) * CHUNK) for size in shape)
    return group.create_array(
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


def _lengthen(group: zarr.Group, name: str, values: NDArray[Any], attributes: dict[str, Any], start: int) -> None:
    """Make `values` what an array along time holds from `start` on."""
    if name not in group:
        group.create_array(
            name, shape=(0,), chunks=(4096,), dtype=values.dtype, dimension_names=("time",), attributes=attributes
        )
    array = _array(group, name)
    array.resize((start + values.size,))
    if values.size:
        array[start:] = values


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    return cast("zarr.Array[Any]", group[name])
