"""Byte sources as files: for tifffile, and for GDAL as a virtual file system.

GDAL then reads with the retries, time limits, credentials and signatures of `ranges`, keeps no cache that outlives a
dataset, and sees no address.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from rasterio.abc import MultiByteRangeResourceContainer

from cbm_lake.errors import SourceError
from cbm_lake.ranges import HEADER, ByteSource

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

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        """Several ranges at once, which GDAL asks for where it needs several tiles or strips."""
        return list(self._source.stream([(at, at + size) for at, size in zip(offsets, sizes, strict=True)]))
