"""Reader of tiled TIFF files (GeoTIFF, COG), local or remote, which decodes tile by tile without GDAL.

GDAL decodes and copies whole bands in twice the time that it takes only to decompress the tiles that are needed. What
is unusual is left to GDAL: `Tiff.inspect` then answers None.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, cast

import imagecodecs
import numpy as np
import tifffile

from cbm_lake.errors import SourceError
from cbm_lake.geo.windows import PixelArray
from cbm_lake.storage.ranges import ByteSource
from cbm_lake.storage.vsi import BytesFile

_DECODERS: Final[dict[int, Callable[..., bytes | bytearray] | None]] = {
    tifffile.COMPRESSION.NONE: None,
    tifffile.COMPRESSION.LZW: imagecodecs.lzw_decode,
    tifffile.COMPRESSION.ADOBE_DEFLATE: imagecodecs.deflate_decode,
    tifffile.COMPRESSION.DEFLATE: imagecodecs.deflate_decode,
    tifffile.COMPRESSION.ZSTD: imagecodecs.zstd_decode,
}
_HORIZONTAL: Final = 2
_FLOATING: Final = 3
_STRUCTURE_ERRORS: Final = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(struct.error, tifffile.TiffFileError),
)
"""What tifffile raises about a broken header; GDAL then says what is wrong with it."""


@dataclass(frozen=True, eq=False)
class Tiff:
    """Where the tiles of a file's first image are, and how they are stored."""

    source: ByteSource
    shape: tuple[int, int]
    tile: tuple[int, int]
    """Rows and columns of every tile; those at the edges are padded."""
    dtype: np.dtype[np.generic]
    """As stored, with its byte order."""
    compression: int
    predictor: int
    offsets: tuple[int, ...]
    """Where each tile begins in the file, row by row."""
    sizes: tuple[int, ...]
    """Bytes of each tile; 0 where none was written."""
    nodata: float | None
    """As the file declares it, whether or not it is a value of the type."""

    @classmethod
    def inspect(cls, source: ByteSource) -> Tiff | None:
        """Read the header; None where there is something in it that is not provided for here.

        Raises:
            SourceError: the file is missing or out of reach.
        """
        try:
            with tifffile.TiffFile(cast("IO[bytes]", BytesFile(source))) as file:
                page = file.pages.first
                if not _is_plain(page):
                    return None
                shape, tile = (page.imagelength, page.imagewidth), (page.tilelength, page.tilewidth)
                dtype = np.dtype(page.dtype).newbyteorder(file.byteorder)
                nodata = float(page.tags["GDAL_NODATA"].value) if "GDAL_NODATA" in page.tags else None
                coding, tiles = (page.compression, page.predictor), (page.dataoffsets, page.databytecounts)
                tiff = cls(source, shape, tile, dtype, *coding, *tiles, nodata)
        except _STRUCTURE_ERRORS:
            return None
        return tiff if len(tiff.offsets) == len(tiff.sizes) == tiff.down * tiff.across else None

    @property
    def down(self) -> int:
        """Rows of tiles."""
        return -(-self.shape[0] // self.tile[0])

    @property
    def across(self) -> int:
        """Tiles side by side."""
        return -(-self.shape[1] // self.tile[1])

    @property
    def has_holes(self) -> bool:
        """Whether some tiles were never written."""
        return 0 in self.sizes

    @property
    def native(self) -> np.dtype[np.generic]:
        """The type of pixels once they are restored."""
        return self.dtype.newbyteorder("=")

    def tiles(self, numbers: Sequence[int]) -> Iterator[PixelArray]:
        """The pixels of tiles, in that order; 0 where none was written. Later ones are fetched meanwhile.

        Args:
            numbers: of the tiles, row by row.

        Raises:
            SourceError: the file is out of reach, damaged or cut off there.
        """
        written = [number for number in numbers if self.sizes[number]]
        ranges = [(self.offsets[number], self.offsets[number] + self.sizes[number]) for number in written]
        with contextlib.closing(self.source.stream(ranges)) as contents:  # type: ignore[type-var]
            for number in numbers:
                if self.sizes[number]:
                    yield self.restore(self.inflate(next(contents), number))
                else:
                    yield np.zeros(self.tile, self.native)

    def inflate(self, data: bytes, number: int) -> PixelArray:
        """A tile decompressed but as stored, its predictor and byte order not undone.

        Args:
            data: the bytes of the tile.
            number: of the tile, row by row.

        Raises:
            SourceError: the file is damaged or cut off there.
        """
        decode = _DECODERS[self.compression]
        if len(data) < self.sizes[number]:
            raise self._damaged(number, "the file ends before it does")
        pixels = np.empty(self.tile, self.dtype)
        room = pixels.reshape(-1).view(np.uint8)
        try:
            length = len(decode(data, out=room)) if decode else len(data)
        except RuntimeError as error:
            raise self._damaged(number, " ".join(str(error).split())) from error
        if length != len(room):
            raise self._damaged(number, f"it has {length} bytes instead of {len(room)}")
        if decode is None:
            room[:] = np.frombuffer(data, np.uint8)
        return pixels

    def restore(self, stored: PixelArray) -> PixelArray:
        """The pixels of a tile as `inflate` gave it, in this machine's byte order; the tile may be changed."""
        if self.predictor == _FLOATING:
            return np.asarray(imagecodecs.floatpred_decode(stored.view(self.native), axis=-1))
        if not stored.dtype.isnative:
            stored = stored.astype(self.native)
        if self.predictor == _HORIZONTAL:
            _integrate(stored.view(f"u{stored.itemsize}"))
        return stored

    def _damaged(self, number: int, reason: str) -> SourceError:
        row, col = divmod(number, self.across)
        return SourceError(
            f"raster {self.source.href} cannot be read: its tile in row {row}, column {col} is damaged ({reason}); "
            "fetch it again or leave out this scene"
        )


def _is_plain(page: Any) -> bool:
    """Whether an image is one band of whole numbers or floats in tiles, packed in a way that is provided for here."""
    return bool(
        page.is_tiled
        and page.samplesperpixel == 1
        and page.compression in _DECODERS
        and page.predictor in (1, _HORIZONTAL, _FLOATING)
        and page.fillorder == 1
        and page.dtype is not None
        and np.dtype(page.dtype).kind in ("uif" if page.predictor != _FLOATING else "f")
        and np.dtype(page.dtype).itemsize * 8 == page.bitspersample
    )


def _integrate(differences: PixelArray) -> None:
    """Replace the rows of unsigned integers by their running sums, which wrap around.

    Of a real tile of reflectance (uint16) this is 9 % of the time that deflate takes besides, 4 % of LZW's and 20 % of
    Zstandard's; see benchmarks/predictor.py, also for other ways.
    """
    imagecodecs.delta_decode(differences, axis=-1, out=differences)
