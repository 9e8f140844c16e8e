"""`Cube`: the scenes of one card and grid as a Zarr group with one sparse array (time, y, x) per band."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import zarr
from obstore.exceptions import BaseError
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.errors import ContainsArrayError, ContainsGroupError, ZarrUserWarning

from cbm_lake.cards import Card
from cbm_lake.errors import NotFoundError, SourceError
from cbm_lake.files import durable
from cbm_lake.rasters import CHUNK, Grid, PixelArray, cf, described, encoding
from cbm_lake.rasters.blocks import Sizes, StoredBand
from cbm_lake.rasters.cf import Attributes, Slot
from cbm_lake.storage.access import ADVICE, explained, is_remote, zarr_store
from cbm_lake.storage.store import Store, translated

if TYPE_CHECKING:
    import xarray as xr

    from cbm_lake.storage.access import ZarrArray

__all__ = ["Cube", "Slot"]

_SHARD: Final = 2048
"""Pixels a side of one file at most; a file holds one scene and band only."""
_COMPRESSORS: Final = (ZstdCodec(level=0), Crc32cCodec())
"""Of what is not pixels."""
_EPOCH: Final = "microseconds since 1970-01-01"


class Cube:
    """One cube: a Zarr v3 group with an array (time, y, x) per band, described by CF and GeoZarr attributes.

    The time axis has a slot for each scene and offset in the order in which they were reserved. `scene`, `boa_offset`
    and `counts` run along it: readers that know nothing of the lake's ledger take the slots whose `counts` is 1.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def extend(
        self,
        grid: Grid,
        dtypes: dict[str, str],
        slots: Sequence[Slot],
        counting: Collection[int] = (),
        card: Card | None = None,
    ) -> None:
        """Create or update axes, bands, attributes and length of the cube; correct parts are untouched.

        Several may do so at once: nothing is deleted, and what two of them write is the same. Who finds afterwards that
        there are more slots than he knew of does it again. The consolidated metadata are written last: until then a
        reader of them sees the slots that there were, of which alone some can count.

        Args:
            grid: of the cube; it is made on first use.
            dtypes: numpy dtype of each band that must be there.
            slots: all slots of the time axis, in order.
            counting: numbers of the slots that count.
            card: whose scale and offset the bands state, where it has any but 1 and 0 for all scenes.
        """
        before = _metadata(self.url)
        with translated("write", self.url), _sound(self.url):
            if not is_remote(self.url):
                durable.make_folder(Path(self.url))
            group = _group(self.url)
            _write_axes(group, grid)
            _write_slots(group, slots, counting)
            for name in {**dtypes, **dict.fromkeys(_band_names(group))}:
                array = _array(group, name) if name in group else _band(group, name, dtypes[name], grid.shape)
                if not is_remote(self.url):
                    durable.make_folder(Path(self.url, name, "c"))
                _describe(array, {**_band_attributes(array.dtype), **_scaling(card, name)})
                if array.shape[0] < len(slots):
                    array.resize((len(slots), *array.shape[1:]))
            _consolidate(self.url, cf.group_attributes(grid))
            durable.sync(path for path, state in _metadata(self.url).items() if before.get(path) != state)

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
        group = self._opened()
        with _sound(self.url):
            return sorted(_band_names(group))

    def length(self) -> int:
        """How many slots the longest of its bands has; 0 where there is no cube.

        Raises:
            SourceError: it is damaged.
        """
        try:
            group = self._opened()
        except NotFoundError:
            return 0
        with _sound(self.url):
            return max((_array(group, name).shape[0] for name in _band_names(group)), default=0)

    def open(
        self,
        slots: Mapping[int, Slot] | None = None,
        written: Mapping[tuple[int, str], Sizes] | None = None,
        highest: float | None = encoding.HIGHEST,
    ) -> xr.Dataset:
        """The cube as a lazy dataset in the order of time; see `cf.dataset`.

        A block that is damaged, or lacking though it was written, is a SourceError when it is read.

        Args:
            slots: those to open by their numbers, as the lake's ledger says that they count. Without them it is what
                the cube itself says, as the last command on the lake left it; a cube of version 0.1, which says
                nothing, gives all dates of which a pixel is stored.
            written: by slot and band the sizes of the blocks that were written, as the lake's ledger says.
            highest: stored number above which none is a measurement; None where all are.

        Raises:
            NotFoundError: there is no such cube.
        """
        import dask.array as da

        group = self._opened()
        with _sound(self.url):
            arrays = {name: _array(group, name) for name in sorted(_band_names(group))}
        ordered = sorted((self._flagged(group) if slots is None else slots).items(), key=lambda item: item[1].obstime)
        numbers = [number for number, _ in ordered]
        lazy = {
            name: da.from_array(StoredBand(self.url, name, array, written or {}), array.chunks, name=False)  # type: ignore[no-untyped-call]
            for name, array in arrays.items()
        }
        bands = {name: array[numbers] for name, array in lazy.items()}
        return cf.dataset(bands, self.grid(), [slot for _, slot in ordered], highest)

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
        timestamps = [datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros[number]) for number in numbers]
        return {n: Slot(scenes[n], timestamp, offsets[n]) for n, timestamp in zip(numbers, timestamps, strict=True)}

    def _filled(self, bands: Iterable[str]) -> set[int]:
        """The slots that hold a shard of any band."""
        store = Store(self.url)
        return {int(name) for band in bands for name in store.folders(f"{band}/c") if name.isdecimal()}


@contextlib.contextmanager
def _sound(url: str) -> Iterator[None]:
    """Translate zarr's errors about damaged metadata or axes into one line."""
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        advice = "`cbm-lake check` says what to delete, and which command makes it again"
        raise SourceError(f"the cube {url} is damaged ({reason}); {advice}") from error


def _metadata(url: str) -> dict[Path, tuple[int, int]]:
    """The metadata files of a cube in a folder, with what changes when they are rewritten."""
    root = Path(url)
    if is_remote(url) or not root.is_dir():
        return {}
    chunks = [file for folder in root.glob("*/c") for file in (folder.iterdir() if folder.is_dir() else (folder,))]
    files = [*root.glob("zarr.json"), *root.glob("*/zarr.json"), *(file for file in chunks if file.is_file())]
    return {file: (state.st_ino, state.st_mtime_ns) for file in files for state in [file.stat()]}


def _group(url: str) -> zarr.Group:
    """The group of a cube, made when it is not there."""
    try:
        return zarr.open_group(described.store(url), mode="a", use_consolidated=False)
    except ContainsGroupError:  # another process created it at the same time
        return zarr.open_group(described.store(url), mode="r+", use_consolidated=False)


def _existing(group: zarr.Group, name: str, **layout: object) -> ZarrArray:
    """An array of a cube, made when it is not there."""
    if name not in group:
        with contextlib.suppress(ContainsArrayError):  # another process created it at the same time
            group.create_array(name, **layout)  # type: ignore[arg-type]
    return _array(group, name)


def _write_axes(group: zarr.Group, grid: Grid) -> None:
    """The axes and the coordinate system, with their attributes."""
    along = cf.axis_attributes(grid.epsg)
    for name, values in cf.axes(grid).items():
        kind = {"shape": values.shape, "dtype": values.dtype, "dimension_names": (name,)}
        array = _existing(group, name, **kind, compressors=_COMPRESSORS)
        _describe(array, along[name])
        if not np.array_equal(array[:], values):
            array[:] = values
    system = _existing(group, cf.GRID_MAPPING, shape=(), dtype=np.int32, dimension_names=())
    _describe(system, cf.grid_mapping(grid, transform=True))


def _write_slots(group: zarr.Group, slots: Sequence[Slot], counting: Collection[int]) -> None:
    """What is known of each slot of the time axis."""
    micros = np.array([int(slot.obstime.timestamp() * 1_000_000) for slot in slots], np.int64)
    _write_times(group, "time", micros, {**cf.TIME, "units": _EPOCH, "calendar": "proleptic_gregorian"})
    _write_times(group, "boa_offset", np.array([slot.boa_offset for slot in slots], np.int32), cf.OFFSET)
    _write_times(group, "scene", np.array([slot.scene for slot in slots], np.dtypes.StringDType()), cf.SCENE)
    flags = np.array([number in counting for number in range(len(slots))], np.int8)
    _write_times(group, "counts", flags, cf.COUNTS)


def block_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width in pixels of the blocks of a band of that height and width: whole chunks."""
    height, width = (min(_SHARD, -(-size // CHUNK) * CHUNK) for size in shape)
    return height, width


def _band(group: zarr.Group, name: str, dtype: str, shape: tuple[int, int]) -> ZarrArray:
    return _existing(
        group,
        name,
        shape=(0, *shape),
        dtype=dtype,
        chunks=(1, CHUNK, CHUNK),
        shards=(1, *block_shape(shape)),
        compressors=[BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
        fill_value=0,
        dimension_names=("time", "y", "x"),
        attributes=_band_attributes(np.dtype(dtype)),
    )


def _band_attributes(dtype: np.dtype[np.generic]) -> Attributes:
    """CF attributes of a band: its nodata, as xarray writes it, its coordinate system, and what runs along time."""
    from xarray.backends.zarr import FillValueCoder

    return {
        "_FillValue": FillValueCoder.encode(dtype.type(0).item(), dtype),
        "grid_mapping": cf.GRID_MAPPING,
        "coordinates": " ".join((*cf.ALONG_TIME, cf.GRID_MAPPING)),
    }


def _scaling(card: Card | None, band: str) -> dict[str, float]:
    """CF attributes by which readers turn stored numbers into the card's quantity."""
    if card is None or not card.offset or card.is_classes(band):
        return {}
    return {"scale_factor": card.scale, "add_offset": card.offset}


def _band_names(group: zarr.Group) -> list[str]:
    return [name for name, array in group.arrays() if array.ndim == 3]


def _write_times(group: zarr.Group, name: str, values: PixelArray, attributes: Attributes) -> None:
    """Make `values` what an array along time holds."""
    dtype = "string" if values.dtype.kind == "T" else values.dtype
    kind = {"shape": (0,), "chunks": (4096,), "dtype": dtype, "dimension_names": ("time",)}
    array = _existing(group, name, **kind, attributes=attributes, compressors=_COMPRESSORS)
    _describe(array, attributes)
    if not np.array_equal(array[:], values):
        array.resize(values.shape)
        array[:] = values


def _describe(array: ZarrArray, attributes: Attributes) -> None:
    """Give an array its attributes, where it has others: cubes of version 0.1 lack some."""
    if array.attrs.asdict() != attributes:
        array.attrs.put(attributes)


def _consolidate(url: str, attributes: Attributes) -> None:
    """Make the group's attributes these, and its consolidated metadata what the arrays' own are.

    Both are in one file, which others may write at the same time: who wrote last has looked after writing and found
    everything there.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part", ZarrUserWarning)
        while True:
            is_described = _group(url).attrs.asdict() == attributes
            if is_described and _consolidated(url) == _members(url):
                return
            if not is_described:
                _group(url).attrs.put(attributes)
            zarr.consolidate_metadata(described.store(url))


def _members(url: str) -> dict[str, object]:
    """The metadata of the arrays as each has them itself."""
    group = zarr.open_group(zarr_store(url), mode="r", use_consolidated=False)
    return {name: array.metadata.to_dict() for name, array in group.arrays()}


def _consolidated(url: str) -> dict[str, object] | None:
    """The metadata of the arrays as the group has them, or None where it has none."""
    consolidated = zarr.open_group(zarr_store(url), mode="r").metadata.consolidated_metadata
    return (
        None if consolidated is None else {name: metadata.to_dict() for name, metadata in consolidated.metadata.items()}
    )


def _array(group: zarr.Group, name: str) -> ZarrArray:
    return cast("ZarrArray", group[name])
