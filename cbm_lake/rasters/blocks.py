"""Blocks of a cube (Zarr shards with one scene and band each): reading, writing and detection of damage.

A block is written at once, with all pixels of its square that lie inside the raster, also those that are nodata. So one
that is empty, cut, or whose own index lacks pixels is damaged, and so is one of another size than the ledger says that
was written. Turned bits show on decoding: index and pixels have checksums (pixels of arrays of version 0.1 have none).

    file of a scene ─► CubeSource ─► blocks ─► CubeSource (extraction, chips), StoredBand (datasets)
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import google_crc32c
import numpy as np
import zarr
from obstore.exceptions import BaseError
from zarr.codecs import Crc32cCodec, ShardingCodec

from cbm_lake.errors import SourceError
from cbm_lake.files import durable
from cbm_lake.rasters import PixelArray, Raster, Window, cf
from cbm_lake.rasters.readers import source
from cbm_lake.storage import access
from cbm_lake.storage.access import zarr_store
from cbm_lake.storage.store import Store, discard, translated

if TYPE_CHECKING:
    from cbm_lake.storage.access import ZarrArray

log = logging.getLogger(__name__)

Corner: TypeAlias = tuple[int, int]
"""A block by its numbers down and across."""
Sizes: TypeAlias = Mapping[Corner, Collection[int]]
"""The sizes in bytes that the file of each block had when it was written; blocks of version 0.1 are not in it."""
ADVICE: Final = "`cbm-lake check` names the command that fetches it again from the scene"
_PATIENCE: Final = 10
"""How often an array that is too short is looked at again."""
_NAME: Final = re.compile(r"/(\d+)/(\d+)$")
_PAIR: Final = 16
"""Bytes of an index for each chunk: offset and length, of 64 bits each."""
_CHECKSUM: Final = 4


def has_checksums(array: ZarrArray) -> bool:
    """Whether the pixels of an array's blocks carry checksums; those of version 0.1 do not."""
    codecs = getattr(array.metadata, "codecs", ())
    return any(isinstance(codec, ShardingCodec) and _checked(codec.codecs) for codec in codecs) or _checked(codecs)


def _checked(codecs: Iterable[object]) -> bool:
    return any(isinstance(codec, Crc32cCodec) for codec in codecs)


class Blocks:
    """The blocks of one band at one slot of a cube, as of their first use."""

    def __init__(self, url: str, band: str, slot: int, array: ZarrArray, written: Sizes | None = None) -> None:
        self._store, self._folder = Store(url), f"{band}/c/{slot}"
        self._array, self._written = array, written or {}
        self.sizes = self._listed()

    def renew(self) -> None:
        """Look again: others may have written since."""
        self.sizes = self._listed()

    def name(self, corner: Corner) -> str:
        """The full path or URL of a block's file."""
        return self._store.path(f"{self._folder}/{corner[0]}/{corner[1]}")

    def is_due(self, corner: Corner) -> bool:
        """Whether the ledger says that the block was written."""
        return corner in self._written

    def problem(self, corner: Corner) -> str:
        """What is wrong with a block, in a few words; "" where it is whole as far as its size and its index say."""
        size, written = self.sizes.get(corner), self._written.get(corner)
        if size is None:
            return "it is missing"
        if not size:
            return "it is empty"
        if written is not None:
            return "" if size in written else f"it has {size:,} bytes, {_either(written)} were written"
        return self.index_problem(corner)

    def index_problem(self, corner: Corner) -> str:
        """What is wrong with a block by its own index, which is read; "" where nothing is."""
        chunks, inside = self._chunks(corner)
        size, length = self.sizes[corner], _PAIR * chunks[0] * chunks[1] + _CHECKSUM
        with translated("read", self.name(corner)):
            tail = self._tail(corner, min(size, length))
        if len(tail) < length:
            return f"it has {size:,} bytes, fewer than its index"
        return _index_problem(tail, size, chunks, inside if has_checksums(self._array) else (0, 0))

    def delete(self, corner: Corner) -> None:
        """Take a damaged block away: zarr would read it before it writes its pixels."""
        filesystem, root = self._store.filesystem
        if corner in self.sizes:
            with translated("delete", self.name(corner)):
                discard(filesystem, f"{root}/{self._folder}/{corner[0]}/{corner[1]}")

    def _listed(self) -> dict[Corner, int]:
        named = ((_NAME.search(name), info.size) for name, info in self._store.listing(self._folder).items())
        return {(int(name[1]), int(name[2])): size or 0 for name, size in named if name}

    def _chunks(self, corner: Corner) -> tuple[Corner, Corner]:
        """How many chunks a block has down and across, and how many of them begin inside the raster."""
        _, *chunk = self._array.chunks
        _, *shard = self._array.shards or self._array.chunks
        _, *shape = self._array.shape
        whole = [side // part for side, part in zip(shard, chunk, strict=True)]
        ends = [-(-extent // part) for extent, part in zip(shape, chunk, strict=True)]
        inside = [max(0, min(n, end - at * n)) for n, end, at in zip(whole, ends, corner, strict=True)]
        return (whole[0], whole[1]), (inside[0], inside[1])

    def _tail(self, corner: Corner, length: int) -> bytes:
        filesystem, root = self._store.filesystem
        with filesystem.open_input_file(f"{root}/{self._folder}/{corner[0]}/{corner[1]}") as file:
            return bytes(file.read_at(length, max(0, file.size() - length)))


def _index_problem(tail: bytes, size: int, chunks: Corner, inside: Corner) -> str:
    """What the last bytes of a block say against it; the chunks of `inside` must all be there."""
    index, checksum = tail[:-_CHECKSUM], int.from_bytes(tail[-_CHECKSUM:], "little")
    if google_crc32c.value(index) != checksum:
        return "its index is damaged"
    pairs = np.frombuffer(index, "<u8").reshape(*chunks, 2)
    there = pairs[..., 0] != np.iinfo(np.uint64).max
    if not there.any():
        return "it holds no pixels"
    if not there[: inside[0], : inside[1]].all():
        return "pixels are missing in it"
    said = int(pairs[there][:, 1].sum()) + len(tail)
    return "" if said == size else f"it has {size:,} bytes, its index says {said:,}"


def _either(sizes: Collection[int]) -> str:
    return " or ".join(f"{size:,}" for size in sorted(sizes))


class CubeSource:
    """Read-through access to a scene's band: blocks of the cube where intact, otherwise from the file, and stored.

    The unit is a whole block. It is written at once and always with all its pixels, so that two who write the same one
    write the same bytes. One that is damaged is missing: it is read from the file and stored again, which the log says.
    """

    def __init__(
        self,
        url: str,
        band: str,
        slot: int,
        raster: Raster,
        threads: int = 1,
        written: Sizes | None = None,
        array: ZarrArray | None = None,
    ) -> None:
        self._raster, self._slot, self._threads = raster, slot, threads
        self._array = array if array is not None and slot < array.shape[0] else _band_array(url, band, slot)
        _, *size = self._array.shards or self._array.chunks
        self._size = (size[0], size[1])
        self._blocks = Blocks(url, band, slot, self._array, written)

    @property
    def array(self) -> ZarrArray:
        """The band's array in the cube; other scenes of it need not open it again."""
        return self._array

    def read(self, windows: Iterable[Window]) -> Iterator[PixelArray]:
        """The pixels of each window, in that order; windows come in rows, so blocks above one are needed no more."""
        windows = list(windows)
        missing = [corner for corner in self._touched(windows) if not self._is_whole(corner)]
        with contextlib.closing(self._fresh([self._window(corner) for corner in missing])) as fresh:
            blocks: dict[Corner, PixelArray] = {}
            for window in windows:
                rows = self._corners(window)
                blocks = {corner: block for corner, block in blocks.items() if corner[0] >= rows[0][0][0]}
                for corner in (corner for row in rows for corner in row):
                    if corner not in blocks:
                        blocks[corner] = self._put(corner, next(fresh)) if corner in missing else self._read(corner)
                top, first_col = window.row - rows[0][0][0] * self._size[0], window.col - rows[0][0][1] * self._size[1]
                whole = blocks[rows[0][0]] if len(rows) == len(rows[0]) == 1 else _joined(rows, blocks)
                yield whole[top : top + window.height, first_col : first_col + window.width]

    def stored(self, window: Window) -> PixelArray | None:
        """The pixels of a window inside the raster as the cube has them, or None where it lacks some.

        Raises:
            SourceError: a block that it needs is damaged.
        """
        corners = [corner for row in self._corners(window) for corner in row]
        for corner in corners:
            if corner not in self._blocks.sizes and not self._blocks.is_due(corner):
                return None
            if problem := self._blocks.problem(corner):
                raise DamagedError(f"cube file {self._blocks.name(corner)} is damaged ({problem}); {ADVICE}")
        return self._decoded(window, corners[0])

    def written(self, windows: Iterable[Window]) -> dict[str, tuple[Corner, int]]:
        """Positions and present sizes of the blocks that windows touch, by their full paths or URLs."""
        sizes = self._blocks.sizes
        return {
            self._blocks.name(corner): (corner, sizes[corner]) for corner in self._touched(windows) if corner in sizes
        }

    def _touched(self, windows: Iterable[Window]) -> list[Corner]:
        return list(dict.fromkeys(corner for window in windows for row in self._corners(window) for corner in row))

    def _is_whole(self, corner: Corner) -> bool:
        """Whether a block is intact by its size and index; a damaged one is logged."""
        problem = self._blocks.problem(corner)
        if problem and (corner in self._blocks.sizes or self._blocks.is_due(corner)):
            log.warning("block %s: %s; it is read from the scene again", self._blocks.name(corner), problem)
        return not problem

    def _fresh(self, missing: list[Window]) -> Generator[PixelArray]:
        """The pixels of windows out of the file, which is not even looked for where there are none."""
        if missing:
            yield from source(self._raster, self._threads).read(missing)

    def _corners(self, window: Window) -> list[list[Corner]]:
        """The blocks that a window touches, by their numbers down and across."""
        (height, width), (row, col, rows, columns) = self._size, window
        across = range(col // width, -(-(col + columns) // width))
        return [[(i, j) for j in across] for i in range(row // height, -(-(row + rows) // height))]

    def _window(self, corner: Corner) -> Window:
        """The pixels of a block that lie inside the raster."""
        (height, width), (rows, columns) = self._size, self._raster.grid.shape
        row, col = corner[0] * height, corner[1] * width
        return Window(row, col, min(height, rows - row), min(width, columns - col))

    def _read(self, corner: Corner) -> PixelArray:
        """The pixels of a block out of the cube; from the file, and stored again, where it cannot be decoded."""
        window = self._window(corner)
        try:
            return self._decoded(window, corner)
        except DamagedError as error:
            log.warning("%s; it is read from the scene again", error)
            (values,) = source(self._raster, self._threads).read([window])
            return self._put(corner, values)

    def _decoded(self, window: Window, corner: Corner) -> PixelArray:
        """The pixels of a window from loaded blocks, of which `corner` is the first."""
        with decoded(self._blocks.name(corner)):
            values = self._array[(self._slot, *window.slices)]
        return np.asarray(values, self._raster.pixel_dtype)

    def _put(self, corner: Corner, values: PixelArray) -> PixelArray:
        """The pixels of a block from the file, after writing them to the cube."""
        fitting = cf.fitting(values, self._array.dtype, f"cube {self._array.path}")
        self._blocks.delete(corner)
        with translated("write", str(self._array.store_path)):
            self._array[(self._slot, *self._window(corner).slices)] = fitting
        return values


def sync_blocks(files: Iterable[str]) -> None:
    """Wait until blocks, by their full paths, and the folders below their band are on the disk; not for URLs.

    Raises:
        SourceError: the disk does not take them.
    """
    paths = [Path(file) for file in files if not access.is_remote(file)]
    slots = dict.fromkeys(path.parent.parent for path in paths)  # band/c/slot/row/column
    if paths:
        with translated("write", str(paths[0])):
            durable.sync([*paths, *slots])


class StoredBand:
    """A band of a cube as an array for dask; damaged blocks, and missing ones that were written, raise an error."""

    def __init__(self, url: str, band: str, array: ZarrArray, written: Mapping[tuple[int, str], Sizes]) -> None:
        self._url, self._band, self._array = url, band, array
        self._written = {slot: sizes for (slot, name), sizes in written.items() if name == band}
        self._slots: dict[int, Blocks] = {}
        self._sound: set[tuple[int, Corner]] = set()
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __reduce__(self) -> tuple[type[StoredBand], tuple[object, ...]]:
        written = {(slot, self._band): sizes for slot, sizes in self._written.items()}
        return StoredBand, (self._url, self._band, self._array, written)  # to workers without what was seen here

    def __getitem__(self, key: tuple[slice, ...]) -> PixelArray:
        _, *size = self._array.shards or self._array.chunks
        row, column = (part.start // side for part, side in zip(key[1:], size, strict=True))
        slot = int(key[0].start)
        self._check(slot, (row, column))
        with decoded(self._slots[slot].name((row, column))):
            return np.asarray(self._array[key], self.dtype.newbyteorder("="))

    def _check(self, slot: int, corner: Corner) -> None:
        """Raise SourceError for a block that is damaged or was lost; one that was never written is nodata."""
        if (slot, corner) in self._sound:
            return
        was_listed = slot in self._slots
        if not was_listed:
            self._slots[slot] = Blocks(self._url, self._band, slot, self._array, self._written.get(slot))
        blocks = self._slots[slot]
        if was_listed and blocks.problem(corner):  # written since, perhaps
            blocks.renew()
        if corner not in blocks.sizes and not blocks.is_due(corner):
            return
        if problem := blocks.problem(corner):
            raise DamagedError(f"cube file {blocks.name(corner)} is damaged ({problem}); {ADVICE}")
        self._sound.add((slot, corner))


class DamagedError(SourceError):
    """A block of a cube is damaged."""


@contextlib.contextmanager
def decoded(name: str) -> Iterator[None]:
    """Turn what zarr and its codecs raise for a block that is damaged or cannot be reached into one line."""
    try:
        yield
    except BaseError as error:
        raise SourceError(f"cube file {name} cannot be read: {access.explained(error)}; {access.ADVICE}") from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DamagedError(f"cube file {name} is damaged ({reason}); {ADVICE}") from error


def _joined(rows: list[list[Corner]], blocks: dict[Corner, PixelArray]) -> PixelArray:
    return np.block([[blocks[corner] for corner in row] for row in rows])


def _band_array(url: str, band: str, slot: int) -> ZarrArray:
    """The array of a band, once it is long enough: the planner of another run may just be lengthening it."""
    with translated("open", f"{url}/{band}"):
        for attempt in range(_PATIENCE):
            array = zarr.open_array(zarr_store(url), path=band, mode="r+")
            if slot < array.shape[0]:
                return array.with_config({"write_empty_chunks": True})  # which open_array does not mind
            time.sleep(0.1 * attempt)
    raise SourceError(f"cube {url} has no place {slot} in band {band}; run the extraction again")
