"""What heterogeneity and cardinality are, told parcel by parcel and slowly, and the small cases that are compared."""

import resource
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize
from scipy import ndimage

LEFT, TOP, PIXEL = 500_000, 4_801_000, 10
GRID = Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP)
CLASSES = {1: "Grass", 2: "Winterwheat", 3: "Maize"}
WITH_ZERO = {0: "Unclass", **CLASSES}


def box(row, col, height=20, width=20):
    """An outline along the pixels of the grid."""
    x, y = LEFT + PIXEL * col, TOP - PIXEL * row
    return shapely.box(x, y - PIXEL * height, x + PIXEL * width, y)


def halves(first=1, second=2, share=0.5, size=20):
    """Pixels of two classes side by side."""
    pixels = np.full((size, size), first)
    pixels[:, round(size * share) :] = second
    return pixels


def flags(found, name):
    return found.table[name].to_pylist()


def write(folder, pixels, outlines, *, crs=32631, parcels_crs=32631, dtype="uint8", nodata=None, grid=GRID, **columns):
    """Write a raster and a Shapefile; their paths."""
    pixels = np.asarray(pixels, dtype)
    size = {"height": pixels.shape[0], "width": pixels.shape[1], "count": 1, "dtype": dtype}
    with rasterio.open(folder / "c.tif", "w", "GTiff", crs=crs, transform=grid, nodata=nodata, **size) as file:
        file.write(pixels, 1)
    columns = columns or {"OBJECTID": np.arange(1, len(outlines) + 1)}
    parcels = gpd.GeoDataFrame(columns, geometry=list(outlines), crs=32631).to_crs(parcels_crs)
    parcels.to_file(folder / "p.shp", engine="pyogrio", geometry_type="Polygon")
    return folder / "p.shp", folder / "c.tif"


@contextmanager
def files_of_at_most(size):
    """No file may have more bytes meanwhile, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# -- the rules -------------------------------------------------------------------------------------------------------


def inside(outline, transform, shape):
    """The pixels whose centre lies in an outline; each part is burnt by itself."""
    mask = np.zeros(shape, bool)
    for part in shapely.get_parts(outline):
        if not part.is_empty:
            mask |= rasterize([(part, 1)], shape, transform=transform, dtype="uint8") > 0
    return mask


def clusters(mask, pixels, values, connectivity):
    """Class value and size of all that hangs together."""
    found = []
    for value in values:
        labels, _ = ndimage.label(mask & (pixels == value), ndimage.generate_binary_structure(2, connectivity // 4))
        found += [(value, size) for size in np.bincount(labels.ravel())[1:].tolist()]
    return sorted(found)


def second(outline, pixels, transform, values, buffer, low, high, connectivity, threshold):
    """Version 2 of one parcel: why each answer is skipped or None, foi_h, pixels by value, foi_c, clusters."""
    rows, columns = pixels.shape
    corners = np.array([transform * (0, 0), transform * (columns, rows)])
    extent = shapely.box(*corners.min(axis=0), *corners.max(axis=0))
    inner = outline.buffer(buffer) if buffer and outline is not None else outline
    if inner is None or inner.is_empty or not inner.area:
        return "Buffer_error", "Buffer_error", None, None, None, None
    if not inner.intersects(extent):
        reason = "Buffered non overlapping" if buffer else "Non overlapping"
        return reason, reason, None, None, None, None
    mask, counted = inside(inner, transform, pixels.shape), [value for value in values if value]
    counts = {value: int((mask & (pixels == value)).sum()) if value else 0 for value in values}
    total = sum(counts.values())
    bounds = Fraction(str(low)), Fraction(str(high))
    uneven = int(any(bounds[0] <= Fraction(100 * n, total) <= bounds[1] for n in counts.values() if n))
    large = [one for one in clusters(mask, pixels, counted, connectivity) if one[1] > threshold]
    several = int(len({value for value, _ in large}) > 1)
    foih = (None, uneven, counts) if total else ("Zero pixels", None, None)
    foic = (None, several, large) if mask.any() else ("Zero pixels", None, None)
    return foih[0], foic[0], *foih[1:], *foic[1:]


def first(outline, pixels, transform, values, low, high, area):
    """Version 1 of one parcel: foi_h, pixels and shares by value, foi_c, clusters."""
    mask = inside(outline, transform, pixels.shape)
    counts = {value: int((mask & (pixels == value)).sum()) for value in values}
    total = sum(counts.values())
    shares = {value: rounded(number, total) for value, number in counts.items()}
    uneven = int(any(share is not None and low <= share <= high for share in shares.values()))
    size = abs(transform.a * transform.e)
    large = [one for one in clusters(mask, pixels, values, 8) if one[1] * size > area]
    return uneven, counts, shares, int(len({value for value, _ in large}) > 1), large


def rounded(number, total):
    """A share in % as SQL rounds it; None of nothing."""
    if not total:
        return None
    return float((Decimal(100 * number) / Decimal(total)).quantize(Decimal("0.01"), ROUND_HALF_UP))


# -- cases -----------------------------------------------------------------------------------------------------------


def some_pixels(rng):
    """Small rasters in patches with stray pixels, of several types; the classes and the declared nodata."""
    dtype, values = [
        ("uint8", [0, 1, 2]),
        ("uint8", [1, 2, 3]),
        ("uint8", [0, 1, 2, 3, 255]),
        ("uint16", [1, 257, 2, 0]),
        ("int16", [-3, 1, 2, -1]),
        ("int32", [70_000, 1, 0, 9]),
    ][rng.integers(6)]
    rows, columns = rng.integers(12, 46, 2)
    size = rng.integers(1, 7)
    pixels = np.kron(rng.choice(values, (rows // size + 1, columns // size + 1)), np.ones((size, size), int))
    pixels = pixels[:rows, :columns]
    stray = rng.random(pixels.shape) < rng.choice([0, 0.05, 0.3])
    pixels[stray] = rng.choice(values, stray.sum())
    nodata = int(rng.choice(values)) if rng.random() < 0.35 else None
    listed = [value for value in values if value != nodata or rng.random() < 0.4]
    return pixels.astype(dtype), [int(value) for value in rng.permutation(listed)], nodata


def some_outlines(rng, pixels, grid, number):
    """Outlines of all sorts, in map coordinates: also partly or wholly off the raster, overlapping, missing, empty."""
    rows, columns = pixels.shape
    kinds = [_aligned, _loose, _halfway, _star, _holed, _frame, _scattered, _stepped, _none, _sliver, _triangle]
    shapes = [kinds[rng.integers(len(kinds))](rng, rng.uniform(-6, [columns, rows])) for _ in range(number)]
    matrix = [grid.a, grid.b, grid.d, grid.e, grid.c, grid.f]
    return [shape and shapely.affinity.affine_transform(shape, matrix) for shape in shapes]


def _aligned(rng, place):
    return shapely.box(*np.floor(place), *(np.floor(place) + rng.integers(1, 18, 2)))


def _loose(rng, place):
    return shapely.box(*place, *(place + rng.uniform(0.1, 18, 2)))


def _halfway(rng, place):
    return shapely.box(*np.floor(place) + 0.5, *(np.floor(place) + rng.integers(1, 18, 2) / 2 + 0.5))


def _star(rng, place):
    turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 12)))
    reach = rng.uniform(1, 11, len(turns))
    return shapely.Polygon(place + np.column_stack([reach * np.cos(turns), reach * np.sin(turns)])).buffer(0)


def _holed(rng, place):
    hole = shapely.Point(place + rng.uniform(-3, 3, 2)).buffer(rng.uniform(0.5, 5))
    return shapely.Point(place).buffer(rng.uniform(2, 12)).difference(hole)


def _frame(rng, place):
    x, y = np.floor(place)
    return shapely.box(x, y, x + 14, y + 14).difference(shapely.box(x + 3, y + 2, x + 9, y + 9))


def _scattered(rng, place):
    corners = place + rng.uniform(-9, 9, (3, 2))
    return shapely.union_all([shapely.box(*corner, *(corner + rng.uniform(1, 9, 2))) for corner in corners])


def _stepped(rng, place):
    x, y = np.floor(place)
    return shapely.MultiPolygon([shapely.box(x, y, x + 6, y + 6), shapely.box(x + 6, y + 6, x + 12, y + 12)])


def _none(rng, place):
    return [None, shapely.Polygon(), shapely.box(900, 900, 905, 905), shapely.box(-5, 0, 0, 5)][rng.integers(4)]


def _sliver(rng, place):
    x, y = place
    return shapely.Polygon([(x, y), (x + 15, y + rng.uniform(-8, 8)), (x + 15, y + 9), (x, y + 0.3)]).buffer(0)


def _triangle(rng, place):
    return shapely.Polygon(np.floor(place) + rng.integers(-20, 20, (3, 2)) / 2).buffer(0)
