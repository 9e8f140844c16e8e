"""Byte sources as file objects for tifffile, and as a virtual file system for GDAL.

GDAL then reads with the retries, timeouts, credentials and signatures of `ranges`, keeps no cache beyond the lifetime
of a dataset, and sees no URL.
"""

from __future__ import annotations

import io
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import rasterio
from rasterio.abc import MultiByteRangeResourceContainer
from rasterio.io import DatasetReader

from cbm_lake.errors import SourceError
from cbm_lake.storage.ranges import HEADER, ByteSource

_CACHED: Final = 64
"""Blocks of HEADER bytes that are cached of an open file."""


class BytesFile(io.RawIOBase):
    """A byte source as a file to seek and read in; small reads fetch blocks, which are cached."""

    def __init__(self, source: ByteSource) -> None:
        super().__init__()
        self._source, self._at = source, 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, fewer at the end of the file."""
        end = self._source.size if size is None or size < 0 else min(self._at + size, self._source.size)
        start, self._at = self._at, max(self._at, end)
        if end - start > HEADER:
            return self._source.read(start, end)
        blocks = [self._block(number) for number in range(start // HEADER, -(-end // HEADER))] if end > start else []
        first = start // HEADER * HEADER
        return b"".join(blocks)[start - first : end - first]

    def readinto(self, buffer: object) -> int:
        """Fill a buffer."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self._source.read(number * HEADER, (number + 1) * HEADER)
            if len(self._blocks) > _CACHED:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


class GdalFile(MultiByteRangeResourceContainer):  # type: ignore[misc]
    """One byte source as a file system of GDAL with one file, for `dataset`.

    GDAL opens it several times, and sees a failure as the end of the file; `problem` then contains the error.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.problem: SourceError | None = None

    def dataset(self) -> DatasetReader:
        """The file as a rasterio dataset, decoded by one thread: threads of GDAL's own cannot read from here."""
        name = self._source.href.rpartition("/")[2]
        return rasterio.open(f"{uuid.uuid4().hex}/{name}", opener=self)

    def open(self, path: str, mode: str = "r", **_: object) -> _Handle:
        """One handle of the file."""
        return _Handle(self._source, self)

    def isfile(self, path: str) -> bool:
        """There is but one name."""
        return True

    def isdir(self, path: str) -> bool:
        """There are no folders."""
        return False

    def ls(self, path: str) -> list[str]:
        """There are no sibling files."""
        return []

    def mtime(self, path: str) -> int:
        """Not known, and not needed for one dataset."""
        return 0

    def size(self, path: str) -> int:
        """Bytes."""
        return self._source.size

    def rm(self, path: str) -> None:
        """Nothing is deleted."""
        raise PermissionError(path)


class _Handle(BytesFile):
    """A file that ends where it cannot be read, since GDAL takes an exception for success."""

    def __init__(self, source: ByteSource, owner: GdalFile) -> None:
        super().__init__(source)
        self._owner = owner

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except SourceError as error:
            self._owner.problem = error
            return b""

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Several ranges at once, which GDAL requests for several tiles or strips."""
        ranges = [(at, at + size) for at, size in zip(offsets, sizes, strict=True)]
        try:
            return list(self._source.stream(ranges))
        except SourceError as error:
            self._owner.problem = error
            return [b""] * len(ranges)
