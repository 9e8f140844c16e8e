"""Seasons of small scenes whose ground is drawn beside its place: the true shift is the drawing's, not resampled.

Parcels are a tilted grid of rectangles; each date gives them other reflectances. The ground is rasterised eight times
as fine as the pixels by GDAL, blurred as by optics, and averaged.
"""

from typing import NamedTuple

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize
from scipy import ndimage

from cbm_lake import card2db, extract, parcels

SIZE, FINER = 180, 8
LEFT, TOP = 500_000, 4_800_000
DATES = ("20240405", "20240420", "20240510", "20240525", "20240609")
TIMES = "T104021"
BANDS = ("B04", "B08")


class Tile(NamedTuple):
    """A tile of the grid of Sentinel-2, of which images have the part from an upper left corner on."""

    name: str = "T31TEJ"
    epsg: int = 32631
    left: int = LEFT
    top: int = TOP


HOME = Tile()


def fields(count=9, epsg=32631):
    """Rectangles of 140 x 90 m, tilted, edge to edge."""
    boxes = [shapely.box(140 * i, 90 * j, 140 * (i + 1), 90 * (j + 1)) for i in range(count) for j in range(count + 4)]
    turned = shapely.affinity.rotate(shapely.GeometryCollection(boxes), 23, origin=(0, 0))
    west, _, _, north = turned.bounds
    placed = shapely.affinity.translate(turned, LEFT + 150 - west, TOP - 150 - north)
    inside = shapely.box(LEFT + 40, TOP - 10 * SIZE + 40, LEFT + 10 * SIZE - 40, TOP - 40)
    kept = [part for part in placed.geoms if inside.contains(part)]
    return gpd.GeoDataFrame({"pid": [f"{n:03}" for n in range(len(kept))]}, geometry=kept, crs=epsg)


def drawn(shapes, values, moved, rng, tile=HOME):
    """An image of parcels with these values, displaced by metres (east, north), uint16."""
    fine = Affine(10 / FINER, 0, tile.left - moved[0], 0, -10 / FINER, tile.top - moved[1])
    size = (SIZE * FINER, SIZE * FINER)
    labels = rasterize(((shape, n + 1) for n, shape in enumerate(shapes)), size, transform=fine, dtype="int32")
    ground = np.concatenate([[1500], values])[labels].astype(np.float32)
    blurred = ndimage.gaussian_filter(ground, 0.4 * FINER)
    pixels = blurred.reshape(SIZE, FINER, SIZE, FINER).mean(axis=(1, 3))
    return np.clip(np.rint(pixels + rng.normal(0, 12, pixels.shape)), 1, 9000).astype(np.uint16)


def write(path, values, pixel=10, tile=HOME):
    """A GeoTIFF with the upper left corner of a tile's images."""
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "nodata": 0, "crs": f"EPSG:{tile.epsg}"}
    transform = Affine(pixel, 0, tile.left, 0, -pixel, tile.top)
    profile |= {"height": values.shape[0], "width": values.shape[1], "transform": transform}
    with rasterio.open(path, "w", **profile) as file:
        file.write(values, 1)


def scene_files(folder, date, number, moved, shapes, *, uniform=False, classes=4, bands=BANDS, tile=HOME):
    """The rasters of one scene over shapes in the tile's system; `classes` is one for all pixels, or their image."""
    rng = np.random.default_rng(number)
    lasting = np.random.default_rng(99).uniform(0.15, 0.9, len(shapes))  # soils and crops outlast a month
    greens = np.full(len(shapes), 0.5) if uniform else 0.75 * lasting + 0.25 * rng.uniform(0.15, 0.9, len(shapes))
    for band, soil, plant in ((bands[0], 2200, 300), (bands[1], 2500, 4500)):
        values = soil + (plant - soil) * greens
        image = np.full((SIZE, SIZE), 1500, np.uint16) if uniform else drawn(shapes, values, moved, rng, tile)
        pixel = 10 if bands == BANDS else 20
        if pixel == 20:
            image = image.reshape(SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3)).astype(np.uint16)
        write(folder / f"S2A_{date}{TIMES}_{tile.name}_{band}.tif", image, pixel, tile)
    sky = np.full((SIZE // 2, SIZE // 2), classes, np.uint8)
    write(folder / f"S2A_{date}{TIMES}_{tile.name}_SCL.tif", sky, 20, tile)


def season(lake, folder, moved=None, dates=DATES, shapes=None, **options):
    """Scenes over parcels, catalogued and extracted; `moved` says by how many metres (east, north) which one is off."""
    folder.mkdir(exist_ok=True)
    frame = fields() if shapes is None else shapes
    ground = frame.to_crs(32631).geometry.values
    for number, date in enumerate(dates):
        of_scene = {name: value.get(number, 4) if name == "classes" else value for name, value in options.items()}
        scene_files(folder, date, number, (moved or {}).get(number, (0, 0)), ground, **of_scene)
    frame.to_file(folder / "parcels.gpkg")
    parcels.load(str(folder / "parcels.gpkg"), "ms", 2024, pid="pid", lake=lake)
    catalogued(lake, folder, bands=list(options.get("bands", BANDS)))
    return lake


def catalogued(lake, folder, **options):
    """Catalogue the scenes of the folder and extract those that are new."""
    card2db.files(str(folder / "{sensor}_{date}_{tile}_{band}.tif"), offset=0, lake=lake)
    taken = {"aoi": "ms", "year": 2024, "bands": list(BANDS), "workers": 0, "lake": lake}
    return extract.s2("2024-01-01", "2024-12-31", **(taken | options))
