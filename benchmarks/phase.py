"""Whether scenes really lie beside each other, by a way that shares nothing with the shift guard but the files.

    python -m benchmarks.phase "FOLDER/{sensor}_{date}_{tile}_{band}.tif" --bands B02,B03 --against 20180806

Phase correlation (Kuglin and Hines 1975) of the strength of gradients, in windows of 128 pixels, refined by the
upsampled Fourier transform (Guizar-Sicairos et al. 2008, Optics Letters 33, 156-158): of visible bands, which the guard
does not read, without parcels, without scene classes. Printed are the median over windows, in metres east and north,
and its standard error (windows overlap by half, so it is rather more).
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import rasterio
from scipy import ndimage

SIDE = 128
"""Pixels of a window."""
STEP = 50
FINEST = 0.3
"""Cycles per pixel up to which frequencies count; finer ones are noise."""
LEAST = 0.05
"""Height of a peak, 1 where all phases agree, from which it counts."""
FARTHEST = 3
"""Pixels."""


def strength(path: Path) -> np.ndarray:
    """How steep an image is, of any direction."""
    with rasterio.open(path) as file:
        image = ndimage.gaussian_filter(file.read(1).astype(np.float64), 0.7)
    return np.hypot(ndimage.sobel(image, 0), ndimage.sobel(image, 1))


def displacement(image: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """Pixels (right, down) by which a window is displaced, and the height of the peak."""
    taper = np.outer(*(np.hanning(size) for size in image.shape))
    first, second = (np.fft.fft2((part - part.mean()) * taper) for part in (image, reference))
    cross = first * np.conj(second)
    down, right = np.fft.fftfreq(image.shape[0]), np.fft.fftfreq(image.shape[1])
    counts = np.hypot(down[:, None], right[None]) < FINEST
    cross = np.where(counts, cross / np.maximum(np.abs(cross), 1e-9), 0)
    peak = np.unravel_index(np.fft.ifft2(cross).real.argmax(), cross.shape)
    row, col = (n - size * (n > size // 2) for n, size in zip(peak, cross.shape, strict=True))
    rows, cols = (n + np.arange(-1.5, 1.5, 0.02) for n in (row, col))
    fine = np.exp(2j * np.pi * np.outer(rows, down)) @ cross @ np.exp(2j * np.pi * np.outer(right, cols))
    i, j = np.unravel_index(fine.real.argmax(), fine.shape)
    return float(cols[j]), float(rows[i]), float(fine.real.max() / counts.sum())


def compared(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Metres (east, north) of each window that tells, (n, 2)."""
    height, width = image.shape
    starts = [(row, col) for row in range(0, height - SIDE, STEP) for col in range(0, width - SIDE, STEP)]
    each = np.array(
        [displacement(*(a[row : row + SIDE, col : col + SIDE] for a in (image, reference))) for row, col in starts]
    ).reshape(-1, 3)
    tells = (np.abs(each[:, :2]).max(axis=1) < FARTHEST) & (each[:, 2] > LEAST)
    return 10 * each[tells, :2] * (1, -1)


def main() -> None:
    """Print one line for each scene."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern", help="of the files: {date} and {band} stand for these, other names for anything")
    parser.add_argument("--bands", default="B02,B03", help="of 10 m")
    parser.add_argument("--against", required=True, help="day of the scene that others are compared with, YYYYMMDD")
    asked = parser.parse_args()
    for band in asked.bands.split(","):
        named = re.sub(r"\{(?!date)\w+\}", "*", asked.pattern.replace("{band}", band))
        files = sorted(Path(named).parent.glob(Path(named).name.replace("{date}", "*")))
        images = {re.search(r"20\d{6}", file.name)[0]: strength(file) for file in files}  # type: ignore[index]
        for day, image in images.items():
            if day == asked.against or not image.any():
                continue
            metres = compared(image, images[asked.against])
            if len(metres) < 3:
                print(f"{band} {day}: too few windows are alike")
                continue
            middle = np.median(metres, axis=0)
            error = 1.858 * np.median(np.abs(metres - middle)) / np.sqrt(len(metres))
            print(f"{band} {day}: {middle[0]:+.1f} {middle[1]:+.1f} m (± {error:.1f}, {len(metres)} windows)")


if __name__ == "__main__":
    main()
