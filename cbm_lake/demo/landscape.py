"""Generates the landscape of the sample: roads, fields, declared parcels, woods, houses and water."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
import shapely.affinity
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.ops import split

from cbm_lake.demo.phenology import CROPS, OTHER_SEASON

Ints = NDArray[np.int64]

EPSG = 32631
WEST, NORTH, PIXEL = 552_000, 5_648_000, 10
"""Upper left corner and pixel size in metres; the corner lies on the 10 m and 20 m grids of tile 31UES."""


@dataclass(frozen=True)
class Landscape:
    """The landscape: declared parcels, and the surface of each pixel."""

    transform: Affine
    parcels: gpd.GeoDataFrame
    """pid, farm_id, declared, crop (what truly grows), second (in the other part), kinds, geometry."""
    covers: list[str]
    """What is on each surface."""
    owner: Ints
    """The parcel (row) of each surface, -1 for undeclared land."""
    labels: Ints
    """The surface of each pixel, shape (size, size)."""
    pixel_parcel: Ints
    """With `pixel`: one entry per parcel and pixel whose centre it holds; a pixel may be in two parcels."""
    pixel: Ints
    """Flat pixel numbers."""


def grid(pixel: float) -> Affine:
    """Affine transform for pixels of that many metres."""
    return Affine(pixel, 0, WEST, 0, -pixel, NORTH)


def build(size: int, rng: np.random.Generator) -> Landscape:
    """Generate a landscape of `size` by `size` pixels, with about 300 parcels on 480 by 480 (at least 60)."""
    transform = grid(PIXEL)
    ground = shapely.box(WEST, NORTH - size * PIXEL, WEST + size * PIXEL, NORTH)
    river = _river(ground, rng)
    blocks = [part for block in _blocks(ground, rng) for part in _parts(block.difference(river.buffer(35)))]
    order = _clustered(blocks, rng)
    farmed = order[: round(0.68 * len(order))]
    fields = [_fields(blocks[number], rng) for number in farmed]
    target = max(60, round(300 * (size / 480) ** 2))
    enough = int(np.searchsorted(np.cumsum([len(group) for group in fields]), target)) + 1
    farms = [number for number, group in enumerate(fields[:enough]) for _ in group]
    parcels = _declare([field for group in fields[:enough] for field in group], farms, rng)
    unclaimed = [field for group in fields[enough:] for field in group]
    wild = [blocks[number] for number in order[len(farmed) :]]
    return _paint(parcels, unclaimed, wild, river, (size, transform), rng)


def _parts(geometry: shapely.Geometry) -> list[shapely.Geometry]:
    """The polygons of a geometry that are worth a field."""
    return [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon" and part.area > 150]


def _river(ground: shapely.Geometry, rng: np.random.Generator) -> shapely.Geometry:
    """A winding river, 50 m wide, from west to east, and a pond beside it."""
    west, south, east, north = ground.bounds
    x = np.linspace(west - 100, east + 100, 60)
    turn = (x - west) / (east - west) * 2 * np.pi
    height = north - south
    y = south + height * (0.42 + 0.09 * np.sin(turn * rng.uniform(0.8, 1.2) + 1) + 0.03 * np.sin(turn * 3.3))
    pond = shapely.Point(west + 0.7 * (east - west), south + 0.72 * height).buffer(75)
    return shapely.union_all([shapely.LineString(np.column_stack([x, y])).buffer(25), pond]).intersection(ground)


def _cut(polygon: shapely.Geometry, rng: np.random.Generator, kink: float = 0.0) -> list[shapely.Geometry]:
    """Two parts of a polygon, cut across its longer side, not quite at right angles, perhaps with a kink."""
    corners = shapely.get_coordinates(shapely.oriented_envelope(polygon))
    sides = np.diff(corners[:3], axis=0)
    lengths = np.hypot(*sides.T)
    along = sides[lengths.argmax()] / lengths.max()
    point = corners[:4].mean(axis=0) + along * lengths.max() * rng.uniform(-0.16, 0.16)
    angle = np.pi / 2 + rng.normal(0, 0.09)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    across = turn @ along * lengths.sum()
    line = shapely.LineString([point - across, point + along * kink * rng.normal(), point + across])
    return _parts(split(polygon, line))


def _divide(
    polygon: shapely.Geometry, area: float, spread: float, rng: np.random.Generator, kink: float = 0.0
) -> list[shapely.Geometry]:
    """Parts of a polygon whose areas are about log-normal around `area` m²."""
    todo: list[shapely.Geometry] = [polygon]
    done: list[shapely.Geometry] = []
    while todo:
        part = todo.pop()
        enough = part.area < 1.4 * area * np.exp(rng.normal(0, spread))
        pieces = [] if enough else _cut(part, rng, kink)
        (todo if len(pieces) > 1 else done).extend(pieces if len(pieces) > 1 else [part])
    return done


def _blocks(ground: shapely.Geometry, rng: np.random.Generator) -> list[shapely.Geometry]:
    """Blocks of 8 to 40 ha between roads 14 m wide, the whole pattern turned against the grid."""
    turned = shapely.affinity.rotate(ground.buffer(ground.length / 8, join_style="mitre"), rng.uniform(15, 35))
    whole = _divide(turned, 180_000, 0.4, rng, kink=25)
    inner = [block.buffer(-7).intersection(ground.buffer(-15)) for block in whole]
    return [part for block in inner for part in _parts(block) if part.area > 5_000]


def _clustered(blocks: list[shapely.Geometry], rng: np.random.Generator) -> list[int]:
    """Block numbers, those near a few random farmsteads first."""
    centres = shapely.get_coordinates(shapely.centroid(np.array(blocks)))
    low, high = centres.min(axis=0), centres.max(axis=0)
    farmsteads = rng.uniform(low, high, (3, 2))
    near = np.hypot(*(centres[:, None] - farmsteads[None]).T).min(axis=0)
    return [int(number) for number in np.argsort(near * rng.uniform(0.6, 1.4, len(blocks)))]


def _fields(block: shapely.Geometry, rng: np.random.Generator) -> list[shapely.Geometry]:
    """The fields of a block: strips or squares with margins of 1 to 3 m."""
    parts = _divide(block, 17_000, 0.8, rng, kink=4)
    inner = [part.buffer(-rng.uniform(1, 3), join_style="mitre") for part in parts]
    return [part for field in inner for part in _parts(field) if 2_000 < part.area < 80_000]


def _declare(fields: list[shapely.Geometry], farms: list[int], rng: np.random.Generator) -> gpd.GeoDataFrame:
    """The declaration and its truth, with the odd shapes and wrong crops that every real one has."""
    geometry, odd = _odd_shapes(fields, rng)
    count = len(geometry)
    crops = [str(name) for name in _crops(count, rng)]
    table = gpd.GeoDataFrame(
        {
            "pid": [f"{number:06d}" for number in rng.permutation(np.arange(101, 101 + 7 * count, 7))],
            "farm_id": [f"F{100 + farms[number % len(farms)]:04d}" for number in range(count)],
            "declared": crops,
            "crop": crops,
            "second": "",
            "kinds": "whole",
            "shape": odd,
        },
        geometry=geometry,
        crs=EPSG,
    )
    _falsify(table, rng)
    return table


def _crops(count: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """Crop names in the shares of the region, at least one of each, in random order."""
    names = np.array([crop.name for crop in CROPS])
    share = np.array([crop.share for crop in CROPS])
    rest = rng.choice(names, count - len(names), p=share / share.sum())
    return np.asarray(rng.permutation(np.concatenate([names, rest])))


def _odd_shapes(fields: list[shapely.Geometry], rng: np.random.Generator) -> tuple[list[shapely.Geometry], list[str]]:
    """The fields, a few with a hole, in two parts, or overlapping neighbours; and slivers cut off."""
    geometry, shape = list(fields), ["plain"] * len(fields)
    some = max(2, len(fields) // 40)
    large = [number for number in rng.permutation(len(fields)) if fields[number].area > 9_000]
    makers = {"hole": _with_hole, "parts": _in_parts, "overlap": _enlarged}
    for position, (name, make) in enumerate(makers.items()):
        for number in large[position * some : (position + 1) * some]:
            geometry[number], shape[number] = make(fields[number]), name
    for number in large[3 * some : 5 * some]:
        geometry[number], sliver = _sliver(fields[number], rng)
        geometry.append(sliver)
        shape.append("tiny")
    return geometry, shape


def _with_hole(field: shapely.Geometry) -> shapely.Geometry:
    """The field around a clump of trees."""
    return field.difference(field.representative_point().buffer(17, quad_segs=3))


def _in_parts(field: shapely.Geometry) -> shapely.Geometry:
    """The field in two parts with a track of 12 m between them."""
    return field.difference(_middle_line(field).buffer(6))


def _enlarged(field: shapely.Geometry) -> shapely.Geometry:
    """The field with its border drawn 9 m too far out."""
    return field.buffer(9, join_style="mitre")


def _middle_line(field: shapely.Geometry) -> shapely.Geometry:
    """A line across the middle of a field's longer side."""
    corners = shapely.get_coordinates(shapely.oriented_envelope(field))
    first, second = corners[1] - corners[0], corners[2] - corners[1]
    across = second if np.hypot(*first) > np.hypot(*second) else first
    middle = np.array(field.centroid.coords[0])
    return shapely.LineString([middle - across, middle + across])


def _sliver(field: shapely.Geometry, rng: np.random.Generator) -> tuple[shapely.Geometry, shapely.Geometry]:
    """The field without a small corner, and that corner: under 8 pixels."""
    corner = shapely.get_coordinates(field)[0]
    piece = field.intersection(shapely.Point(corner).buffer(rng.uniform(15, 32), quad_segs=2))
    return field.difference(piece.buffer(1)), max(_parts(piece) or [piece], key=lambda part: part.area)


def _falsify(table: gpd.GeoDataFrame, rng: np.random.Generator) -> None:
    """Make some plain parcels split, mixed or of another crop than declared; sets crop, second and kinds."""
    plain = table.index[(table["shape"] == "plain") & (table.area > 8_000)]
    shares = {"split": 0.04, "mixed": 0.03, "wrong_crop": 0.05}
    rows = rng.permutation(plain)
    for kind, share in shares.items():
        some, rows = np.split(rows, [max(1, round(share * len(table)))])
        other = table.loc[some, "declared"].map(OTHER_SEASON)
        table.loc[some, "crop" if kind == "wrong_crop" else "second"] = other
        table.loc[some, "kinds"] = kind


def _paint(
    parcels: gpd.GeoDataFrame,
    unclaimed: list[shapely.Geometry],
    wild: list[shapely.Geometry],
    river: shapely.Geometry,
    extent: tuple[int, Affine],
    rng: np.random.Generator,
) -> Landscape:
    """The surfaces of the place and the pixels of each."""
    crops = rng.choice([crop.name for crop in CROPS], len(unclaimed))
    built = rng.choice(["forest", "built"], len(wild), p=[0.88, 0.12])
    # Woods and villages reach over the roads between their blocks.
    land = [
        ("verge", None),
        *zip(built, [block.buffer(9) for block in wild], strict=True),
        *zip(crops, unclaimed, strict=True),
    ]
    land.append(("water", river))
    whole = list(zip(parcels["crop"], parcels.geometry, strict=True))
    double = parcels.index[parcels["second"] != ""]
    seconds = [(parcels.at[row, "second"], _second_part(parcels.loc[row], rng)) for row in double]
    surfaces = [*land, *whole, *seconds]
    owner = np.concatenate([np.full(len(land), -1), np.arange(len(whole)), double.to_numpy()])
    size, transform = extent
    labels = _rasterize(list(enumerate(geometry for _, geometry in surfaces)), size, transform)
    pixel_parcel, pixel = _membership(parcels, size, transform)
    covers = [str(name) for name, _ in surfaces]
    return Landscape(transform, parcels, covers, owner, labels, pixel_parcel, pixel)


def _second_part(parcel: shapely.Geometry, rng: np.random.Generator) -> shapely.Geometry:
    """Where the second crop grows: one half of a split parcel, patches of a mixed one."""
    if parcel["kinds"] == "split":
        half = split(parcel.geometry, _middle_line(parcel.geometry))
        return _parts(half)[0]
    west, south, east, north = parcel.geometry.bounds
    points = shapely.MultiPoint(rng.uniform((west, south), (east, north), (9, 2)))
    patches = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=parcel.geometry)).tolist()
    inside = sorted((patch.intersection(parcel.geometry) for patch in patches), key=lambda patch: float(patch.area))
    # The smallest patches until the second crop has about two fifths: neither crop is just a blemish in the other.
    enough = int(np.searchsorted(np.cumsum([patch.area for patch in inside]), 0.38 * parcel.geometry.area))
    return shapely.union_all(inside[: enough + 1])


def _rasterize(numbered: list[tuple[int, shapely.Geometry]], size: int, transform: Affine) -> Ints:
    """The number of the last geometry that holds each pixel's centre, 0 where none does."""
    shapes = [(geometry, number) for number, geometry in numbered if geometry is not None and not geometry.is_empty]
    return np.asarray(rasterize(shapes, (size, size), transform=transform, dtype="int32"), dtype=np.int64)


def _membership(parcels: gpd.GeoDataFrame, size: int, transform: Affine) -> tuple[Ints, Ints]:
    """Parcel and flat pixel number of every pixel in a parcel; enlarged parcels get layers of their own."""
    enlarged = (parcels["shape"] == "overlap").to_numpy()
    rows, pixels = [], []
    for layer in (np.flatnonzero(~enlarged), *np.flatnonzero(enlarged)[:, None]):
        numbered = [(int(row) + 1, parcels.geometry.iloc[row]) for row in layer]
        labels = _rasterize(numbered, size, transform).ravel()
        inside = np.flatnonzero(labels)
        rows.append(labels[inside] - 1)
        pixels.append(inside)
    return np.concatenate(rows), np.concatenate(pixels)
