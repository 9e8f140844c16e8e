"""A lake with two tiles in two UTM zones, an area in each, and scenes of several dates and offsets, extracted.

Area ms lies in zone 31, area east in zone 32. Each tile has 10 m and 20 m bands and classes; DN differ from pixel to
pixel, and some are nodata.
"""

import factories
import numpy as np
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer

from cbm_lake import extract
from cbm_lake.lake import Lake

LEFT, TOP, SIZE = 499_900, 4_800_400, 120
ZONES = {"ms": 32631, "east": 32632}
OFFSETS = {"S0": 0, "S1": -1000, "S2": -1000}
"""Of the three scenes of each tile by the first part of their names."""
BANDS = {"B04": 10, "B08": 10, "B05": 20, "SCL": 20}
DAYS = ("2024-01-01", "2024-12-31")


def pixels(name, band):
    """Stored DN of a scene's band."""
    rng = np.random.default_rng(hash_of(f"{name}{band}"))
    side = SIZE * 10 // BANDS[band]
    values = rng.integers(0, 12, (side, side)) if band == "SCL" else rng.integers(900, 9_000, (side, side))
    values[:3, -5:] = 0
    return values.astype("uint8" if band == "SCL" else "uint16")


def hash_of(text):
    return sum(ord(letter) * 31**place for place, letter in enumerate(text)) % 2**31


def write(path, values, metres, epsg, left=LEFT, top=TOP, **options):
    """An array as a GeoTIFF."""
    profile = {"driver": "GTiff", "count": 1, "tiled": True, "blockxsize": 64, "blockysize": 64, "nodata": 0}
    shape = {"height": values.shape[0], "width": values.shape[1], "dtype": values.dtype}
    place = {"crs": f"EPSG:{epsg}", "transform": Affine(metres, 0, left, 0, -metres, top)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **{**profile, **shape, **place, **options}) as file:
        file.write(values, 1)
    return str(path)


def footprint(epsg):
    """The tile in degrees."""
    corners = shapely.box(LEFT, TOP - SIZE * 10, LEFT + SIZE * 10, TOP)
    turn = Transformer.from_crs(epsg, 4326, always_xy=True)
    return shapely.transform(corners, lambda xy: np.column_stack(turn.transform(xy[:, 0], xy[:, 1])))


def scene(folder, aoi, name, number, **others):
    """Files of a scene of an area's tile and its row of the catalogue."""
    epsg = ZONES[aoi]
    hrefs = {
        band: write(folder / aoi / name / f"{band}.tif", pixels(f"{aoi}{name}", band), metres, epsg)
        for band, metres in BANDS.items()
    }
    ground = footprint(epsg)
    return factories.scene(
        f"{name}_{aoi}",
        factories.day(number),
        geometry=ground.wkb,
        boa_offset=OFFSETS[name],
        bbox=dict(zip(("xmin", "ymin", "xmax", "ymax"), ground.bounds, strict=True)),
        assets={band: {"href": href, "type": "image/tiff"} for band, href in hrefs.items()},
        **others,
    )


def make(folder, *, areas=("ms", "east"), cube=True):
    """The lake; `cube` says whether the scenes are extracted."""
    lake = Lake(str(folder / "lake"))
    for aoi in areas:
        lake.add_parcels(aoi, 2024, "", "v1", factories.parcels(epsg=ZONES[aoi]))
        lake.add_scenes(factories.scenes(*(scene(folder, aoi, name, n) for n, name in enumerate(OFFSETS))))
        if cube:
            run(lake, aoi)
    return lake


def run(lake, aoi="ms", **options):
    """Extract what is missing."""
    return extract.s2(*DAYS, aoi=aoi, year=2024, lake=lake, **{"bands": ("B04", "B08", "B05"), "workers": 0, **options})
