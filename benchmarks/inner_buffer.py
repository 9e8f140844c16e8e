"""What an inner buffer does to the NDVI of parcels, by their size, on real scenes and parcels.

    python -m benchmarks.inner_buffer FOLDER [--metres 5] [--shift 5]

FOLDER is `s2_herault_2018`: bands of Sentinel-2 as tif/<date>/…B04….tif and …B08….tif, and parcels.parquet. Of every
parcel and scene, by the rule centre: the greatest change of the NDVI of means under a shift of the image to any of four
sides, for whole parcels, for parcels without the margin, and by the rule of extraction, under which parcels that would
have fewer than 8 pixels count as a whole; and by how much the margin changes the mean and the spread of the NDVI of
pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from affine import Affine

from cbm_lake import zonal
from cbm_lake.cards import INDICES
from cbm_lake.cards.observation import LEAST_PIXELS
from cbm_lake.geo.inside import shrunk

EPSG = 32631
SIZES = {"1-8": 8, "9-20": 20, "21-50": 50, "51-150": 150, "over 150": np.inf}
"""Classes of parcels by the pixels of the whole, and the most that each has."""
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--metres", type=float, default=5)
    parser.add_argument("--shift", type=float, default=5)
    options = parser.parse_args()
    whole = np.asarray(gpd.read_parquet(options.folder / "parcels.parquet").to_crs(EPSG).geometry.values, object)
    inside = shrunk(whole, EPSG, options.metres)
    frames = [
        _compared(red, nir, transform, whole, inside, options.shift) for red, nir, transform in _scenes(options.folder)
    ]
    rows = pd.concat(frames)
    rows["size"] = pd.cut(rows["pixels"], [0, *SIZES.values()], labels=[*SIZES])
    changes = rows.groupby(["size", "rule"], observed=True)["change"].describe(percentiles=[0.5, 0.9])
    print(f"change of NDVI under a shift of {options.shift:g} m")
    print(changes[["count", "50%", "90%", "max"]].round(3).to_string())
    large = rows[(rows["rule"] == "by the rule") & (rows["left"] >= LEAST_PIXELS)].assign(
        part=lambda row: row["left"] / row["pixels"]
    )
    print(f"\nNDVI of pixels of parcels without a margin of {options.metres:g} m, where 8 pixels are left")
    print(large.groupby("size", observed=True).agg(**_EFFECTS).round(3).to_string())


_EFFECTS: dict[str, Any] = {
    "looks": ("part", "size"),
    "pixels_left": ("part", "median"),
    "mean_changes_by": ("moved", "median"),
    "p90": ("moved", lambda values: values.quantile(0.9)),
    "std_of_whole": ("std", "median"),
    "std_inside": ("std_inside", "median"),
}


def _scenes(folder: Path) -> Iterator[tuple[Any, Any, Affine]]:
    """Red, near infrared and the affine transform of every scene with data."""
    for file in sorted(folder.glob("tif/**/*B04*.tif")):
        with rasterio.open(file) as red, rasterio.open(str(file).replace("B04", "B08")) as nir:
            bands = red.read(1), nir.read(1)
            if bands[0].any():
                yield *bands, red.transform


def _ndvi(shapes: Any, bands: tuple[Any, Any], transform: Affine) -> tuple[Any, Any]:
    """The NDVI of the bands' means, NaN where a parcel has no pixel, and its pixels."""
    red, nir = (zonal.zonal_stats(shapes, band, transform).to_pandas() for band in bands)
    return INDICES["ndvi"].of({"red": red["mean"], "nir": nir["mean"]}), red["count"].to_numpy()


def _compared(red: Any, nir: Any, transform: Affine, whole: Any, inside: Any, metres: float) -> pd.DataFrame:
    bands = red, nir
    (_, pixels), (_, left) = (_ndvi(shapes, bands, transform) for shapes in (whole, inside))
    by_rule = np.where(left < LEAST_PIXELS, whole, inside)
    ndvi = INDICES["ndvi"].of({"red": np.where(red, red, np.nan), "nir": np.where(nir, nir, np.nan)})
    spread = [zonal.zonal_stats(shapes, ndvi, transform, nodata=None).to_pandas() for shapes in (whole, inside)]
    columns = {
        "pixels": pixels,
        "left": left,
        "moved": np.abs(spread[1]["mean"] - spread[0]["mean"]),
        "std": spread[0]["std"],
        "std_inside": spread[1]["std"],
    }
    rules = {"whole": whole, "without the margin": inside, "by the rule": by_rule}
    return pd.concat(
        pd.DataFrame({**columns, "rule": name, "change": _change(shapes, bands, transform, metres)})
        for name, shapes in rules.items()
    )


def _change(shapes: Any, bands: tuple[Any, Any], transform: Affine, metres: float) -> Any:
    """The greatest change of the NDVI under a shift to any side."""
    still, _ = _ndvi(shapes, bands, transform)
    moved = [_ndvi(shapes, bands, Affine.translation(x * metres, y * metres) * transform)[0] for x, y in SIDES]
    return np.fmax.reduce(np.abs(np.array(moved) - still))


if __name__ == "__main__":
    main()
