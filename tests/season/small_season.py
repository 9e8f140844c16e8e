"""A season of a few tiny scenes over two areas: parcels, rasters, STAC items and the file of the season, made in code.

Twelve squares of 100 m, 10 m apart, in EPSG:32631; area ms has all of them in 2024, area be the first six in 2024 and
in 2023. A meadow (every third parcel) is mown on day 60; the others are wheat that ripens.
"""

import json
from datetime import date, timedelta

import geopandas as gpd
import numpy as np
import shapely
from test_identity import LEFT, SIZE, TOP, corners, write

FIRST = date(2024, 4, 1)
STEP = 10
BANDS = ("B04", "B08")
SQUARES = [
    shapely.box(
        LEFT + 110 * (n % 6) + 20, TOP - 110 * (n // 6) - 120, LEFT + 110 * (n % 6) + 120, TOP - 110 * (n // 6) - 20
    )
    for n in range(12)
]
FILE = """
season: {{start: 2024-03-01, end: 2024-10-31}}
areas:
  - {{aoi: ms, year: 2024, parcels: {{path: ms.gpkg, pid: pid, crop_name: crop}}}}
  - {{aoi: be, year: 2024, parcels: {{path: be.gpkg, pid: pid, crop_name: crop}}}}
  - {{aoi: be, year: 2023, parcels: {{path: be.gpkg, pid: pid, crop_name: crop}},
     season: {{start: 2023-03-01, end: 2023-10-31}}}}
sources:
  - {{items: items, card: s2}}
  - {{items: radar, card: bs}}
extract:
  s2: {{bands: [B04, B08]}}
  bs: {{cube: false}}
workers: 0
exports:
  - {{what: markers, path: out/markers.csv}}
compact: {{files: 20}}
{more}
"""


def parcels(folder, name, count, moved=()):
    """Write the parcels of an area; those in `moved` are 10 m farther south."""
    shapes = [shapely.affinity.translate(shape, 0, -10 * (n in moved)) for n, shape in enumerate(SQUARES[:count])]
    crops = ["meadow" if n % 3 == 0 else "wheat" for n in range(count)]
    columns = {"pid": [f"{n:03}" for n in range(count)], "crop": crops}
    gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32631").to_file(folder / f"{name}.gpkg")


def day(number, year=2024):
    """The day of the scene with that number."""
    return FIRST.replace(year=year) + timedelta(STEP * number)


def scene(folder, number, year=2024, seed=None):
    """Write the rasters and the item of the scene with that number; another seed makes it a reprocessing."""
    numbers = np.random.default_rng((year, number) if seed is None else seed)
    taken = day(number, year)
    files = folder / "files" / f"{taken:%Y%m%d}{'' if seed is None else f'_{seed}'}"
    files.mkdir(parents=True)
    green = 0.75 - 0.5 * (6 <= number <= 7)
    red = numbers.normal(900 - 600 * green, 20, (SIZE, SIZE)).clip(1).astype("uint16") + 1000
    infrared = numbers.normal(1200 + 2600 * green, 20, (SIZE, SIZE)).clip(1).astype("uint16") + 1000
    write(files / "B04.tif", red)
    write(files / "B08.tif", infrared)
    write(files / "SCL.tif", np.full((SIZE // 2, SIZE // 2), 4, "uint8"), size=20)
    item = _item(
        f"S2A_31TEJ_{taken:%Y%m%d}_0_L2A",
        "sentinel-2-l2a",
        f"{taken}T10:40:21Z",
        {band: {"href": str(files / f"{band}.tif")} for band in (*BANDS, "SCL")},
        {
            "platform": "sentinel-2a",
            "s2:product_type": "S2MSI2A",
            "s2:product_uri": f"S2A_MSIL2A_{taken:%Y%m%d}T104021_N051{0 if seed is None else 1}_R008_T31TEJ_"
            f"{taken:%Y%m%d}T15151{0 if seed is None else 1}.SAFE",
        },
    )
    _keep(folder / "items", item)
    return item["id"]


def radar(folder, number):
    """Write the rasters and the item of a backscatter slice."""
    taken = day(number)
    files = folder / "files" / f"bs{taken:%Y%m%d}"
    files.mkdir(parents=True)
    numbers = np.random.default_rng(number)
    for band in ("VV", "VH"):
        write(files / f"{band}.tif", numbers.gamma(4, 0.02, (SIZE, SIZE)).astype("float32"))
    name = f"S1A_IW_GRDH_1SDV_{taken:%Y%m%d}T054701_{taken:%Y%m%d}T054726_051545_0638F1_4B74_rtc"
    assets = {band.lower(): {"href": str(files / f"{band}.tif")} for band in ("VV", "VH")}
    properties = {"platform": "SENTINEL-1A", "sar:product_type": "RTC"}
    _keep(folder / "radar", _item(name, "sentinel-1-rtc", f"{taken}T05:47:01Z", assets, properties))


def _item(name, collection, moment, assets, properties):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "links": [],
        "geometry": shapely.geometry.mapping(shapely.Polygon(corners())),
        "properties": {"datetime": moment, **properties},
        "assets": assets,
    }


def _keep(folder, item):
    folder.mkdir(exist_ok=True)
    (folder / f"{item['id']}.json").write_text(json.dumps(item))


def make(folder, scenes=3, more=""):
    """All of it in a folder; the path of season.yaml."""
    parcels(folder, "ms", 12)
    parcels(folder, "be", 6)
    for number in range(scenes):
        scene(folder, number)
    scene(folder, 0, 2023)
    radar(folder, 0)
    return write_file(folder, more)


def write_file(folder, more="", **changes):
    """Write season.yaml; `changes` are texts to replace."""
    text = FILE.format(more=more)
    for before, after in changes.get("replaced", ()):
        assert before in text
        text = text.replace(before, after)
    (folder / "season.yaml").write_text(text)
    return folder / "season.yaml"
