"""How well the shift guard recovers planted shifts, what that spares parcels, how often it is wrong, and what it costs.

    python -m benchmarks.shifts [--demo] [--large]
        [--season "FOLDER/{sensor}_{date}_{tile}_{band}.tif" --parcels FILE --pid COLUMN]

Shifts of 0.2 to 1 pixel in several directions are planted into one scene of a season at a time: its bands are resampled
by a cubic spline (or by their Fourier phases, every second time), the scene classes stay. Recovered: by how much the
estimate lies off that of the untouched scene plus what was planted. NDVI: of parcels of 9 to 20 pixels, the difference
to what was extracted from the untouched scene (moved by its own shift, where it has one), without and with correction;
and the greatest of these over shifts to four sides, the worst case of a parcel.
Cost: processor time of measuring all scenes, over that of extracting them, in this process.
"""

from __future__ import annotations

import argparse
import logging
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from affine import Affine
from scipy import ndimage

from cbm_lake import card2db, extract, guard, parcels
from cbm_lake.lake import Lake, open_lake

MAGNITUDES = (0.2, 0.5, 0.75, 1.0)
"""Pixels."""
SCENES = 5
"""Most scenes of a season that shifts are planted into."""
SMALL = (9, 20)
"""Pixels of the parcels whose NDVI is compared."""
BANDS = ("B04", "B08")
PLAIN = (
    ("B02", 1200, 300),
    ("B03", 1500, 600),
    ("B04", 2000, 350),
    ("B05", 2200, 900),
    ("B08", 2600, 4200),
    ("B11", 3000, 1900),
)
"""Bands of the made-up season, with DN of soil and of plants."""
LEFT, TOP = 500_000, 4_800_000


@dataclass(frozen=True)
class Season:
    """A lake with a season of scenes, extracted; cubes are left alone, so that files may change."""

    name: str
    lake: Lake
    aoi: str
    year: int
    usual: tuple[str, ...]
    """Bands that an extraction takes; those whose cost is compared."""

    def extract(self, first: object, last: object, *, shifted: bool, again: bool = True) -> None:
        """Take the statistics of the bands that NDVI needs."""
        of = {"aoi": self.aoi, "year": self.year, "bands": list(BANDS), "cube": False, "workers": 0}
        extract.s2(first, last, **of, shifted=shifted, again=again, lake=self.lake)  # type: ignore[arg-type]

    def shifts(self) -> pd.DataFrame:
        """The estimates of all scenes, by scene."""
        return guard.shifts(self.aoi, self.year, again=True, lake=self.lake).to_pandas().set_index("scene")

    def ndvi(self, scene: str) -> pd.Series:
        """Of each parcel in a scene; of small ones only."""
        rows = self.lake.sql(
            "select pid, ndvi(B04_mean, B08_mean) as ndvi from s2 where scene = $scene order by pid", scene=scene
        ).to_pandas()
        return rows.set_index("pid")["ndvi"]

    def files(self, scene: str) -> list[Path]:
        """The rasters of the bands of a scene."""
        rows = self.lake.query("guard.extracted", card="s2", **self.lake.parcel_set(self.aoi, self.year).params)
        (assets,) = [row["assets"] for row in rows.to_pylist() if row["scene"] == scene]
        return [Path(assets[band]["href"]) for band in BANDS]


def real(folder: Path, pattern: str, outlines: str, pid: str) -> Season:
    """A season of files by a pattern, copied."""
    source = Path(pattern)
    target = folder / "scenes"
    target.mkdir()
    for file in source.parent.glob("*.tif"):
        (target / file.name).write_bytes(file.read_bytes())
    lake = open_lake(folder / "lake")
    parcels.load(outlines, "real", 2018, pid=pid, lake=lake)
    card2db.files(str(target / source.name), offset=0, lake=lake)
    return Season(source.parent.parent.name, lake, "real", 2018, ("B02", "B03", "B04", "B08", "B8A", "B11"))


def generated(folder: Path) -> Season:
    """The demo's season."""
    from cbm_lake.demo import sample

    written = sample.write(folder / "sample")
    lake = open_lake(folder / "lake")
    parcels.load(str(written.parcels), "demo", 2024, pid="parcel_id", lake=lake)
    card2db.items(str(written.items["s2"]), lake=lake)
    return Season("demo", lake, "demo", 2024, ("B02", "B03", "B04", "B05", "B08", "B11"))


def large(folder: Path, size: int = 2048, dates: int = 4) -> Season:
    """A made-up season of a fifth of a tile, full of parcels of 1.3 ha, for the cost."""
    rng = np.random.default_rng(0)
    target = folder / "scenes"
    target.mkdir(parents=True)
    frame, labels = _chequered(size)
    lasting = rng.uniform(0.1, 0.9, int(labels.max()) + 1)
    for date in range(dates):
        green = 0.75 * lasting + 0.25 * rng.uniform(0.1, 0.9, len(lasting))
        for band, soil, plant in PLAIN:
            values = (soil + (plant - soil) * green)[labels] + rng.normal(0, 20, labels.shape)
            pixel = 20 if band in {"B05", "B11"} else 10
            _written(target / f"S2A_2024040{date + 1}T104021_T31TEJ_{band}.tif", values, pixel)
        _written(target / f"S2A_2024040{date + 1}T104021_T31TEJ_SCL.tif", np.full(labels.shape, 4), 20)
    frame.to_parquet(folder / "parcels.parquet")
    lake = open_lake(folder / "lake")
    parcels.load(str(folder / "parcels.parquet"), "large", 2024, pid="pid", lake=lake)
    card2db.files(str(target / "{sensor}_{date}_{tile}_{band}.tif"), offset=0, lake=lake)
    return Season("large", lake, "large", 2024, tuple(band for band, _, _ in PLAIN))


def _chequered(size: int) -> tuple[gpd.GeoDataFrame, np.ndarray]:
    """Rectangles of 140 x 90 m on tilted rows, and the number of the one that each pixel is in."""
    cos, sin = math.cos(0.4), math.sin(0.4)
    y, x = np.mgrid[0:size, 0:size] * 10.0 + 5
    along, down = np.floor((cos * x + sin * y) / 140), np.floor((cos * y - sin * x) / 90)
    names, labels = np.unique(along * 10_000 + down, return_inverse=True)
    i = np.rint(names / 10_000)
    j = names - 10_000 * i
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    u, v = (140 * (i[:, None] + corners[:, 0]), 90 * (j[:, None] + corners[:, 1]))
    xy = np.stack([LEFT + cos * u - sin * v, TOP - (sin * u + cos * v)], axis=-1)
    frame = gpd.GeoDataFrame({"pid": [str(n) for n in range(len(xy))]}, geometry=shapely.polygons(xy), crs=32631)
    return frame, labels.reshape(size, size)


def _written(path: Path, values: np.ndarray, pixel: int) -> None:
    step = pixel // 10
    profile = {"driver": "COG", "count": 1, "dtype": "uint8" if "SCL" in path.name else "uint16", "nodata": 0}
    pixels = values[::step, ::step]
    where = {"crs": "EPSG:32631", "transform": Affine(pixel, 0, LEFT, 0, -pixel, TOP)}
    profile |= where | {"height": pixels.shape[0], "width": pixels.shape[1], "compress": "deflate"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.rint(pixels).astype(profile["dtype"]), 1)


@contextmanager
def planted(files: list[Path], right: float, down: float, *, spectral: bool) -> Iterator[None]:
    """The files with their pixels displaced, as long as the block takes."""
    before = {file: file.read_bytes() for file in files}
    try:
        for file in files:
            with rasterio.open(file) as dataset:
                values, profile = dataset.read(1), dataset.profile
            moved = displaced(values, right, down, spectral=spectral)
            file.unlink()
            with rasterio.open(file, "w", **{**profile, "driver": "GTiff"}) as dataset:
                dataset.write(moved, 1)
        yield
    finally:
        for file, content in before.items():
            file.write_bytes(content)


def displaced(values: np.ndarray, right: float, down: float, *, spectral: bool) -> np.ndarray:
    """An image moved by a part of a pixel; pixels that have no data stay so."""
    nodata = values == 0
    filled = np.where(nodata, np.median(values[~nodata]) if (~nodata).any() else 0, values).astype(np.float64)
    if spectral:
        padded = np.pad(filled, 32, mode="symmetric")
        moved = np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(padded), (down, right))).real[32:-32, 32:-32]
    else:
        moved = ndimage.shift(filled, (down, right), order=3, mode="nearest")
    return np.where(nodata, 0, np.clip(np.rint(moved), 1, 65535)).astype(values.dtype)


def directions(number: int, magnitude: float) -> Iterator[tuple[float, float]]:
    """Displacements (right, down) in some directions, others for each scene."""
    for turn in range(4):
        angle = math.radians(90 * turn + 17 * number)
        yield magnitude * math.cos(angle), magnitude * math.sin(angle)


def trials(season: Season, log: list[str]) -> pd.DataFrame:
    """One row for each planted shift."""
    season.extract("2018-01-01" if season.year == 2018 else "2024-01-01", f"{season.year}-12-31", shifted=False)
    base = season.shifts()
    log += _unshifted(season, base)
    judged = base[base["verdict"] != "undecided"]
    small = _small(season)
    chosen = judged.iloc[np.linspace(0, len(judged) - 1, min(SCENES, len(judged))).round().astype(int)]
    rows = []
    for number, (scene, row) in enumerate(chosen.iterrows()):
        day = row["obstime"].date()
        season.extract(day, day, shifted=True)
        truth = season.ndvi(scene)
        for magnitude in MAGNITUDES:
            for turn, (right, down) in enumerate(directions(number, magnitude)):
                with planted(season.files(scene), right, down, spectral=bool(turn % 2)):
                    rows.append(_trial(season, scene, row, (right, down), truth, small))
    return pd.DataFrame(rows)


def _trial(
    season: Season, scene: str, base: pd.Series, moved: tuple[float, float], truth: pd.Series, small: list[str]
) -> dict[str, object]:
    season.extract(base["obstime"].date(), base["obstime"].date(), shifted=False)
    now = season.shifts().loc[scene]
    plain = (season.ndvi(scene) - truth).abs()[small]
    season.extract(base["obstime"].date(), base["obstime"].date(), shifted=True, again=False)
    corrected = (season.ndvi(scene) - truth).abs()[small]
    pixel = 10.0
    off = np.hypot((now["east"] - base["east"]) / pixel - moved[0], (now["north"] - base["north"]) / pixel + moved[1])
    return {
        "scene": scene,
        "planted": round(math.hypot(*moved), 2),
        "verdict": now["verdict"],
        "off": off,
        "error": now["error"] / pixel,
        "plain": plain.median(),
        "corrected": corrected.median(),
        "plain_p90": plain.quantile(0.9),
        "corrected_p90": corrected.quantile(0.9),
        "reason": now["reason"],
        "each_plain": plain,
        "each_corrected": corrected,
    }


def _small(season: Season) -> list[str]:
    rows = season.lake.sql(
        "select pid from s2 group by pid having median(B04_count) between $fewest and $most order by pid",
        fewest=SMALL[0],
        most=SMALL[1],
    )
    return list(rows["pid"].to_pylist())


def _unshifted(season: Season, base: pd.DataFrame) -> list[str]:
    lines = [f"\n{season.name}: the scenes as they are (metres against the season's frame)"]
    for scene, row in base.iterrows():
        said = (
            f"{row['east']:+5.1f} {row['north']:+5.1f} ± {row['error']:.1f}" if row["east"] == row["east"] else " " * 17
        )
        lines.append(f"{str(scene)[:46]:46} {row['verdict']:9} {said}  {row['reason']}")
    return lines


def cost(season: Season, repeats: int = 3) -> tuple[float, float]:
    """Processor seconds of measuring and of extracting all scenes, the least of some repetitions."""
    measuring, extracting = [], []
    days = f"{season.year}-01-01", f"{season.year}-12-31"
    for _ in range(repeats):
        start = time.process_time()
        of = {"aoi": season.aoi, "year": season.year, "bands": list(season.usual), "workers": 0, "again": True}
        extract.s2(*days, **of, lake=season.lake)  # type: ignore[arg-type]
        extracting.append(time.process_time() - start)
        start = time.process_time()
        season.shifts()
        measuring.append(time.process_time() - start)
    return min(measuring), min(extracting)


def show(season: Season) -> None:
    """Print the tables of a season."""
    log: list[str] = []
    rows = trials(season, log)
    print("\n".join(log))
    compared = f"NDVI of {len(_small(season))} parcels of {SMALL[0]} to {SMALL[1]} pixels"
    print(f"\n{season.name}: planted shifts, in pixels; {compared}")
    grouped = rows.groupby("planted")
    table = pd.DataFrame(
        {
            "trials": grouped.size(),
            "shifted": grouped["verdict"].apply(lambda verdicts: int((verdicts == "shifted").sum())),
            "ok": grouped["verdict"].apply(lambda verdicts: int((verdicts == "ok").sum())),
            "undecided": grouped["verdict"].apply(lambda verdicts: int((verdicts == "undecided").sum())),
            "off, median": grouped["off"].median(),
            "off, p90": grouped["off"].quantile(0.9),
            "off, largest": grouped["off"].max(),
            "stated error": grouped["error"].median(),
            "NDVI, plain": grouped["plain"].median(),
            "corrected": grouped["corrected"].median(),
            "p90, plain": grouped["plain_p90"].median(),
            "p90, corrected": grouped["corrected_p90"].median(),
        }
    )
    print(table.round(3).to_string())
    print("\nof each parcel and scene the greatest change of NDVI under shifts to four sides")
    print(pd.DataFrame({name: _worst(rows, name) for name in ("plain", "corrected")}).round(3).to_string())
    missed = rows[(rows["planted"] >= 0.5) & (rows["verdict"] != "shifted")]
    for row in missed.itertuples():
        print(f"missed: {row.scene[:46]} {row.planted} pixels: {row.verdict}: {row.reason}")
    show_cost(season)


def _worst(rows: pd.DataFrame, name: str) -> dict[str, float]:
    """Median and 90 % quantile over parcels and scenes, by what was planted."""
    result = {}
    for magnitude, trials_of_it in rows.groupby("planted"):
        by_scene = trials_of_it.groupby("scene")[f"each_{name}"]
        greatest = pd.concat(pd.concat(list(sides), axis=1).max(axis=1) for _, sides in by_scene)
        result |= {f"{magnitude}: median": greatest.median(), f"{magnitude}: p90": greatest.quantile(0.9)}
    return result


def show_cost(season: Season) -> None:
    """Print what measuring costs beside extracting."""
    measuring, extracting = cost(season)
    print(
        f"cost: {measuring:.2f} s of processor time for {extracting:.2f} s of extraction: {measuring / extracting:.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", action="store_true", help="the season of the demo")
    parser.add_argument("--large", action="store_true", help="only the cost, of some 30,000 parcels")
    parser.add_argument("--season", help="pattern of the files of a real season")
    parser.add_argument("--parcels", help="file of its parcels")
    parser.add_argument("--pid", default="parcel_id", help="column of their identifiers")
    asked = parser.parse_args()
    logging.getLogger("cbm_lake").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        if asked.season:
            (Path(folder) / "real").mkdir()
            show(real(Path(folder) / "real", asked.season, asked.parcels, asked.pid))
        if asked.large:
            show_cost(large(Path(folder) / "large"))
        if asked.demo:
            show(generated(Path(folder) / "demo"))


if __name__ == "__main__":
    main()
