"""Undoing the predictor of the tiles of TIFF files: libraries side by side, as a share of what a whole tile costs.

Run: python -m benchmarks.predictor [--raster FILE …] [--tile 512]
Rasters are cut into tiles, which are then stored with the horizontal predictor of their type (2; 3 of floats) and each
compression; without any, a generated band. A whole tile is decompression and predictor, as `Tiff` reads it. Every
figure is the best of nine passes over all tiles, per tile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import rasterio

from benchmarks.tiles import reflectance

PASSES = 9
CODECS = {
    "deflate": (lambda data: imagecodecs.deflate_encode(data, level=6), imagecodecs.deflate_decode),
    "zstd": (lambda data: imagecodecs.zstd_encode(data, level=9), imagecodecs.zstd_decode),
    "lzw": (imagecodecs.lzw_encode, imagecodecs.lzw_decode),
}


def delta_decode(tile: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.asarray(imagecodecs.delta_decode(tile, axis=-1, out=tile))


def accumulate(tile: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.asarray(np.add.accumulate(tile, axis=-1, dtype=tile.dtype, out=tile))


def cumsum(tile: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.asarray(np.cumsum(tile, axis=-1, dtype=tile.dtype, out=tile))


def floatpred(tile: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.asarray(imagecodecs.floatpred_decode(tile, axis=-1))


def cut(band: npt.NDArray[np.generic], side: int) -> list[npt.NDArray[np.generic]]:
    """The whole tiles of a band, at most 64; a smaller band is mirrored to one."""
    if min(band.shape) < side:
        band = np.pad(band, [(0, max(0, side - size)) for size in band.shape], mode="symmetric")
    corners = [
        (row, col)
        for row in range(0, band.shape[0] - side + 1, side)
        for col in range(0, band.shape[1] - side + 1, side)
    ]
    return [np.ascontiguousarray(band[row : row + side, col : col + side]) for row, col in corners[:64]]


def best(work: Callable[[], object], setup: Callable[[], object] = lambda: None) -> float:
    """CPU seconds of the best pass; `setup` before each is not counted."""
    seconds = []
    for _ in range(PASSES):
        setup()
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def compare(
    name: str, tiles: Sequence[npt.NDArray[np.generic]], methods: dict[str, Callable[..., npt.NDArray[np.generic]]]
) -> None:
    """Print what each method costs, beside each compression."""
    floating = tiles[0].dtype.kind == "f"
    encode = imagecodecs.floatpred_encode if floating else imagecodecs.delta_encode
    stored = [np.ascontiguousarray(encode(tile, axis=-1)) for tile in tiles]
    rooms = [tile.copy() for tile in stored]

    def fill() -> None:
        for room, tile in zip(rooms, stored, strict=True):
            room[...] = tile

    seconds = {}
    for method, decode in methods.items():
        assert all(np.array_equal(decode(tile.copy()), truth) for tile, truth in zip(stored, tiles, strict=True))
        seconds[method] = best(lambda decode=decode: [decode(room) for room in rooms], fill) / len(tiles)
    print(f"\n{name}: {len(tiles)} tiles of {tiles[0].shape[0]} x {tiles[0].shape[1]} {tiles[0].dtype}")
    for method, cost in seconds.items():
        print(f"  {method:26}{cost * 1e6:9.0f} µs")
    fastest = min(seconds.values())
    for codec, (compress, inflate) in CODECS.items():
        cost = inflating(stored, compress, inflate)
        parts = ", ".join(f"{method} {(cost + own) / (cost + fastest):.3f}" for method, own in seconds.items())
        print(f"  {codec} decompresses in {cost * 1e6:.0f} µs; whole tile beside that with the fastest: {parts}")


def inflating(
    stored: Sequence[npt.NDArray[np.generic]], compress: Callable[[bytes], bytes], inflate: Callable[..., bytes]
) -> float:
    """CPU seconds in which a tile is decompressed."""
    packed = [compress(tile.tobytes()) for tile in stored]
    room = np.empty(stored[0].nbytes, np.uint8)
    return best(lambda: [inflate(data, out=room) for data in packed]) / len(packed)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--raster", type=Path, nargs="*", default=[], help="GeoTIFFs whose first band is taken")
    options.add_argument("--tile", type=int, default=512)
    given = options.parse_args()
    bands = {"generated": reflectance(2048)}
    for path in given.raster:
        with rasterio.open(path) as file:
            bands[path.name] = file.read(1)
    whole = {"imagecodecs.delta_decode": delta_decode, "numpy.add.accumulate": accumulate, "numpy.cumsum": cumsum}
    for name, band in bands.items():
        compare(name, cut(band, given.tile), {"imagecodecs.floatpred": floatpred} if band.dtype.kind == "f" else whole)


if __name__ == "__main__":
    main()
