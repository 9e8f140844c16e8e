"""Cubes: the scenes of one card and grid as one sparse Zarr array per band, with axes time, y, x."""

from __future__ import annotations

import contextlib
import re
import time
import warnings
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import zarr
from obstore.exceptions import BaseError
from zarr.codecs import BloscCodec
from zarr.errors import ContainsArrayError, ContainsGroupError, ZarrUserWarning

from cbm_lake import cf
from cbm_lake.access import ADVICE, explained, zarr_store
from cbm_lake.cf import Slot
from cbm_lake.errors import NotFoundError, SourceError
from cbm_lake.rasters import CHUNK, Grid, Raster, Window
from cbm_lake.readers import source
from cbm_lake.store import Store, translated

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Cube", "CubeSource", "Slot"]

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

    def __init__(self, url: str, band: str, slot: int, raster: Raster, threads: int = 1) -> None:
        self._raster, self._slot, self._threads = raster, slot, threads
        self._array = _band_array(url, band, slot)
        _, *size = self._array.shards or self._array.chunks
        self._size = (size[0], size[1])
        self._held = _held_shards(url, band, slot)

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """The pixels of each window, in that order; windows come in rows, so shards above one are needed no more."""
        windows = list(windows)
        corners = dict.fromkeys(corner for window in windows for row in self._corners(window) for corner in row)
        missing = [self._window(corner) for corner in corners if corner not in self._held]
        with contextlib.closing(self._fresh(missing)) as fresh:
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

    def _fresh(self, missing: list[Window]) -> Generator[NDArray[Any]]:
        """The pixels of windows out of the file, which is not even looked for where there are none."""
        if missing:
            yield from source(self._raster, self._threads).read(missing)

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
        with _decoded(f"{self._array.store_path}/c/{self._slot}/{corner[0]}/{corner[1]}"):
            values = self._array[self._slot, row : row + height, col : col + width]
        return np.asarray(values, self._raster.pixel_dtype)

    def _kept(self, corner: tuple[int, int], fresh: Iterator[NDArray[Any]]) -> NDArray[Any]:
        """The next shard from the file, after writing it to the cube."""
        row, col, height, width = self._window(corner)
        values = next(fresh)
        fitting = cf.fitting(values, self._array.dtype, f"cube {self._array.path}")
        with translated("write", str(self._array.store_path)):
            self._array[self._slot, row : row + height, col : col + width] = fitting
        return values


@contextlib.contextmanager
def _decoded(name: str) -> Iterator[None]:
    """Turn what zarr and its codecs raise for a file of a cube that is damaged or cannot be reached into one line."""
    try:
        yield
    except BaseError as error:
        raise SourceError(f"cube file {name} cannot be read: {explained(error)}; {ADVICE}") from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"cube file {name} is damaged ({reason}); delete it and extract again") from error


class _Stored:
    """A band as dask reads it."""

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        _, *size = self._array.shards or self._array.chunks
        corner = [key[0].start, *(part.start // side for part, side in zip(key[1:], size, strict=True))]
        with _decoded("/".join(map(str, (self._array.store_path, "c", *corner)))):
            return np.asarray(self._array[key], self.dtype.newbyteorder("="))


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


class Cube:
    """One cube: a Zarr v3 group with an array (time, y, x) per band, described by CF and GeoZarr attributes.

    The time axis has a slot for each scene and offset in the order in which they were reserved. `scene`, `boa_offset`
    and `counts` run along it: readers that know nothing of the lake's ledger take the slots whose `counts` is 1.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def extend(self, grid: Grid, dtypes: dict[str, str], slots: Sequence[Slot], counting: Collection[int] = ()) -> None:
        """Make the cube's axes, bands, attributes and length what they should be; what is right stays untouched.

        Several may do so at once: nothing is deleted, and what two of them write is the same. Who finds afterwards that
        there are more slots than he knew of does it again. The consolidated metadata are written last: until then a
        reader of them sees the slots that there were, of which alone some can count.

        Args:
            grid: of the cube; it is made on first use.
            dtypes: numpy dtype of each band that must be there.
            slots: all slots of the time axis, in order.
            counting: numbers of the slots that count.
        """
        with translated("write", self.url):
            group = _group(self.url)
            _write_axes(group, grid)
            _write_slots(group, slots, counting)
            for name in {**dtypes, **dict.fromkeys(_band_names(group))}:
                array = _array(group, name) if name in group else _band(group, name, dtypes[name], grid.shape)
                _describe(array, _band_attributes(array.dtype))
                if array.shape[0] < len(slots):
                    array.resize((len(slots), *array.shape[1:]))
            _consolidate(self.url, cf.group_attributes(grid))

    def grid(self) -> Grid:
        """The grid of all its bands.

        Raises:
            NotFoundError: there is no such cube, or making it broke off.
            SourceError: it is damaged.
        """
        group = self._opened()
        try:
            shape = _array(group, "y").shape[0], _array(group, "x").shape[0]
            return cf.grid_of(group[cf.GRID_MAPPING].attrs.asdict(), shape)
        except KeyError as error:
            raise NotFoundError(f"the cube {self.url} was never made whole; extract again") from error
        except ValueError as error:  # no JSON
            raise SourceError(f"the cube {self.url} is damaged ({error}); delete it and extract again") from error

    def bands(self) -> list[str]:
        """The names of its bands, in alphabetical order.

        Raises:
            NotFoundError: there is no such cube.
        """
        return sorted(_band_names(self._opened()))

    def open(self, slots: Mapping[int, Slot] | None = None) -> xr.Dataset:
        """The cube as a lazy dataset in the order of time; see `cf.dataset`.

        Args:
            slots: those to open by their numbers, as the lake's ledger says that they count. Without them it is what
                the cube itself says, as the last command on the lake left it; a cube of version 0.1, which says
                nothing, gives all dates of which a pixel is stored.

        Raises:
            NotFoundError: there is no such cube.
        """
        import dask.array as da

        group = self._opened()
        chosen = sorted((self._flagged(group) if slots is None else slots).items(), key=lambda item: item[1].obstime)
        numbers = [number for number, _ in chosen]
        arrays = {name: _array(group, name) for name in sorted(_band_names(group))}
        lazy = {name: da.from_array(_Stored(array), array.chunks, name=False) for name, array in arrays.items()}  # type: ignore[no-untyped-call]
        bands = {name: array[numbers] for name, array in lazy.items()}
        return cf.dataset(bands, self.grid(), [slot for _, slot in chosen])

    def _opened(self) -> zarr.Group:
        """The group, as its arrays themselves are: consolidated metadata may lag behind."""
        try:
            return zarr.open_group(zarr_store(self.url), mode="r", zarr_format=3, use_consolidated=False)
        except BaseError as error:
            raise SourceError(f"cannot open {self.url}: {explained(error)}; {ADVICE}") from error
        except FileNotFoundError as error:
            raise NotFoundError(f"no cube at {self.url}; extract with a cube first") from error
        except ValueError as error:  # no JSON
            raise SourceError(f"the cube {self.url} is damaged ({error}); delete it and extract again") from error

    def _flagged(self, group: zarr.Group) -> dict[int, Slot]:
        """The slots that count by what the cube itself says."""
        micros, offsets = (np.asarray(_array(group, name)[:]).tolist() for name in ("time", "boa_offset"))
        if "counts" in group:
            scenes = np.asarray(_array(group, "scene")[:]).tolist()
            numbers = np.flatnonzero(_array(group, "counts")[:]).tolist()
        else:
            scenes = cast("list[str]", group.attrs["scenes"])
            numbers = sorted(slot for slot in self._filled(_band_names(group)) if slot < len(scenes))
        moments = [datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros[number]) for number in numbers]
        return {n: Slot(scenes[n], moment, offsets[n]) for n, moment in zip(numbers, moments, strict=True)}

    def _filled(self, bands: Iterable[str]) -> set[int]:
        """The slots that hold a shard of any band."""
        store = Store(self.url)
        return {int(name) for band in bands for name in store.folders(f"{band}/c") if name.isdecimal()}


def _group(url: str) -> zarr.Group:
    """The group of a cube, made when it is not there."""
    try:
        return zarr.open_group(zarr_store(url), mode="a", use_consolidated=False)
    except ContainsGroupError:  # another made it at the same moment
        return zarr.open_group(zarr_store(url), mode="r+", use_consolidated=False)


def _made(group: zarr.Group, name: str, **kind: Any) -> zarr.Array[Any]:
    """An array of a cube, made when it is not there."""
    if name not in group:
        with contextlib.suppress(ContainsArrayError):  # another made it at the same moment
            group.create_array(name, **kind)
    return _array(group, name)


def _write_axes(group: zarr.Group, grid: Grid) -> None:
    """The axes and the coordinate system, with their attributes."""
    along = cf.axis_attributes(grid.epsg)
    for name, values in cf.axes(grid).items():
        array = _made(group, name, shape=values.shape, dtype=values.dtype, dimension_names=(name,))
        _describe(array, along[name])
        if not np.array_equal(array[:], values):
            array[:] = values
    system = _made(group, cf.GRID_MAPPING, shape=(), dtype=np.int32, dimension_names=())
    _describe(system, cf.grid_mapping(grid, transform=True))


def _write_slots(group: zarr.Group, slots: Sequence[Slot], counting: Collection[int]) -> None:
    """What is known of each slot of the time axis."""
    micros = np.array([int(slot.obstime.timestamp() * 1_000_000) for slot in slots], np.int64)
    _write_times(group, "time", micros, {**cf.TIME, "units": _EPOCH, "calendar": "proleptic_gregorian"})
    _write_times(group, "boa_offset", np.array([slot.boa_offset for slot in slots], np.int32), cf.OFFSET)
    _write_times(group, "scene", np.array([slot.scene for slot in slots], np.dtypes.StringDType()), cf.SCENE)
    flags = np.array([number in counting for number in range(len(slots))], np.int8)
    _write_times(group, "counts", flags, cf.COUNTS)


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
        attributes=_band_attributes(np.dtype(dtype)),
    )


def _band_attributes(dtype: np.dtype[Any]) -> dict[str, Any]:
    """CF attributes of a band: its nodata, as xarray writes it, its coordinate system, and what runs along time."""
    from xarray.backends.zarr import FillValueCoder

    return {
        "_FillValue": FillValueCoder.encode(dtype.type(0), dtype),
        "grid_mapping": cf.GRID_MAPPING,
        "coordinates": " ".join((*cf.ALONG_TIME, cf.GRID_MAPPING)),
    }


def _band_names(group: zarr.Group) -> list[str]:
    return [name for name, array in group.arrays() if array.ndim == 3]


def _write_times(group: zarr.Group, name: str, values: NDArray[Any], attributes: dict[str, Any]) -> None:
    """Make `values` what an array along time holds."""
    dtype = "string" if values.dtype.kind == "T" else values.dtype
    kind = {"shape": (0,), "chunks": (4096,), "dtype": dtype, "dimension_names": ("time",)}
    array = _made(group, name, **kind, attributes=attributes)
    _describe(array, attributes)
    if not np.array_equal(array[:], values):
        array.resize(values.shape)
        array[:] = values


def _describe(array: zarr.Array[Any], attributes: dict[str, Any]) -> None:
    """Give an array its attributes, where it has others: cubes of version 0.1 lack some."""
    if array.attrs.asdict() != attributes:
        array.attrs.put(attributes)


def _consolidate(url: str, attributes: dict[str, Any]) -> None:
    """Make the group's attributes these, and its consolidated metadata what the arrays' own are.

    Both are in one file, which others may write at the same time: who wrote last has looked after writing and found
    everything there.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part", ZarrUserWarning)
        while True:
            described = _group(url).attrs.asdict() == attributes
            if described and _consolidated(url) == _members(url):
                return
            if not described:
                _group(url).attrs.put(attributes)
            zarr.consolidate_metadata(zarr_store(url))


def _members(url: str) -> dict[str, Any]:
    """The metadata of the arrays as each has them itself."""
    group = zarr.open_group(zarr_store(url), mode="r", use_consolidated=False)
    return {name: array.metadata.to_dict() for name, array in group.arrays()}


def _consolidated(url: str) -> dict[str, Any] | None:
    """The metadata of the arrays as the group has them, or None where it has none."""
    held = zarr.open_group(zarr_store(url), mode="r").metadata.consolidated_metadata
    return None if held is None else {name: metadata.to_dict() for name, metadata in held.metadata.items()}


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    return cast("zarr.Array[Any]", group[name])
