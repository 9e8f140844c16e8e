"""PNG images of a report: decoding, encoding, and digests of files and of pixels."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any, Final

import imagecodecs
import numpy as np

from cbm_lake.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MOST_PIXELS: Final = 50_000_000
"""Most pixels of an image; a figure has two million."""


def digest_of_file(content: bytes) -> str:
    """SHA-256 of an image file."""
    return hashlib.sha256(content).hexdigest()


def decoded(content: bytes) -> NDArray[Any]:
    """Decode a PNG to uint8 pixels (rows, columns, bands).

    Raises:
        InvalidInputError: it is not an 8-bit PNG, or larger than `MOST_PIXELS`.
    """
    if len(content) < 33 or not content.startswith(_SIGNATURE) or content[12:16] != b"IHDR":
        raise InvalidInputError("a picture is no PNG")
    width, height, bits = struct.unpack(">IIB", content[16:25])
    if not (0 < width * height <= MOST_PIXELS and bits == 8):
        raise InvalidInputError(f"a picture has {width} x {height} pixels of {bits} bits")
    try:
        pixels: NDArray[Any] = np.asarray(imagecodecs.png_decode(content))
    except (imagecodecs.PngError, ValueError) as error:
        raise InvalidInputError(f"a picture cannot be read ({error})") from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def encoded(pixels: NDArray[Any]) -> bytes:
    """Encode pixels as PNG."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=1))


def digest_of_pixels(pixels: NDArray[Any]) -> str:
    """SHA-256 of width, height and RGBA pixels in row-major order."""
    rows, columns, bands = pixels.shape
    colours = pixels[:, :, :3] if bands >= 3 else np.repeat(pixels[:, :, :1], 3, axis=2)
    opaque = np.full((rows, columns, 1), 255, np.uint8)
    opacity = pixels[:, :, -1:] if bands in (2, 4) else opaque
    rgba = np.concatenate([colours, opacity], axis=2)
    return hashlib.sha256(f"{columns}x{rows}:".encode() + rgba.tobytes()).hexdigest()
