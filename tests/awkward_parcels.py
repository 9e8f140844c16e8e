"""Parcels that pixel rules are tried on: of all sizes, with holes, of several parts, narrow, cut by the edge."""

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from ground_truth import tilted_squares
from rasterio.features import rasterize

from cbm_lake import card2db, parcels
from cbm_lake.demo.landscape import NORTH, WEST
from cbm_lake.lake import Lake
from cbm_lake.rasters import Raster

EPSG = 32631
SIDE = 1280
"""Metres of the ground of a sample of 128 pixels."""


def outlines():
    """Geometries by pid in EPSG:32631."""
    x, y = WEST, NORTH
    squares = tilted_squares((12, 20, 26, 33, 45, 60, 80, 120, 150), (x, y), (180, 1100), (180, 1100), seed=11)
    with_hole = shapely.box(x + 203, y - 341, x + 322, y - 208).difference(
        shapely.box(x + 233, y - 301, x + 281, y - 244)
    )
    parts = shapely.MultiPolygon(
        [shapely.box(x + 700, y - 300, x + 781, y - 203), shapely.box(x + 811, y - 260, x + 815, y - 203)]
    )
    others = {
        "with a hole": with_hole,
        "of two parts, one of which vanishes": parts,
        "narrow": shapely.box(x + 400, y - 709, x + 900, y - 700),
        "narrow at 20 m only": shapely.box(x + 400, y - 828, x + 900, y - 806),
        "cut by the edge": shapely.box(x - 60, y - 500, x + 63, y - 410),
        "its margin alone is on the raster": shapely.box(x - 90, y - 640, x + 4, y - 545),
    }
    return {f"square {number}": shape for number, shape in enumerate(squares)} | others


def fill(folder, season, sets, cards=("s2", "bs"), shapes=None):
    """A lake with the scenes of a sample, and the parcels as sets: the coordinate system of each area and year."""
    lake = Lake(str(folder / "lake"))
    for card in cards:
        card2db.items(str(season.items[card]), card=card, lake=lake)
    shapes = shapes or outlines()
    for (aoi, year), epsg in sets.items():
        frame = gpd.GeoDataFrame({"pid": list(shapes)}, geometry=list(shapes.values()), crs=EPSG).to_crs(epsg)
        frame.to_parquet(folder / f"{aoi}{year}.parquet")
        parcels.load(folder / f"{aoi}{year}.parquet", aoi, year, pid="pid", lake=lake)
    return lake


def loaded(lake, aoi, year, epsg):
    """The geometries of a set as the lake has them, by pid, in a coordinate system."""
    table = lake.sql("select pid, geometry, epsg from parcels where aoi = $a and year = $y", a=aoi, y=year)
    shapes = gpd.GeoSeries(shapely.from_wkb(table["geometry"].to_pylist()), crs=table["epsg"][0].as_py())
    return dict(zip(table["pid"].to_pylist(), shapes.to_crs(epsg), strict=True))


def read(lake, scene, band):
    """The pixels of a band of a scene, their affine transform and the offset of the scene."""
    row = lake.sql("select assets, boa_offset from scenes where id = $id", id=scene).to_pylist()[0]
    href = row["assets"][band]["href"]
    with rasterio.open(Raster.inspect(href).href) as file:
        return file.read(1), file.transform, row["boa_offset"]


def pixels_of(shape, transform, spare=40):
    """How many pixels have their centre in a geometry on a grid without an edge."""
    if shape.is_empty:
        return 0
    around = transform * rasterio.Affine.translation(-spare, -spare)
    size = 128 + 2 * spare
    return int(rasterize([shape], (size, size), transform=around).sum())


def rows_of(lake, aoi, year, card="s2"):
    """The rows of a set by scene and pid."""
    rows = lake.sql(f"select * from {card} where aoi = $a and year = $y", a=aoi, y=year).to_pylist()  # noqa: S608
    return {(row["scene"], row["pid"]): row for row in rows}


def harmonised(pixels, offset):
    """DN with the offset added, NaN where there is no data."""
    return np.where(pixels == 0, np.nan, pixels.astype(float) + offset)
