"""Which pixels belong to a parcel: by hand, against GDAL's rasterize, and through every form of input."""

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from cbm_lake.errors import InvalidInputError
from cbm_lake.zonal import compiled
from cbm_lake.zonal.spans import SpanIndex, build_index

UTM = Affine(10, 0, 600000, 0, -10, 5000040)
PIXEL = Affine(1, 0, 0, 0, 1, 0)
SIZE = 64
EXTENT = 10 * SIZE


def pixels_of(index: SpanIndex) -> list[np.ndarray]:
    """For every parcel the numbers of its pixels in the flattened raster; doubled ones stay doubled."""
    first = index.row.astype(int) * index.shape[1] + index.col
    ends = np.cumsum(index.length)
    pixels = np.repeat(first - (ends - index.length), index.length) + np.arange(index.pixel_count)
    return np.split(pixels, index.pixel_offsets[1:-1])


def burnt(shape, transform, size) -> np.ndarray:
    """The same of one shape by GDAL."""
    if shape is None or shape.is_empty:
        return np.array([], int)
    return np.flatnonzero(rasterize([shape], size, transform=transform, dtype="uint8"))


def differing(shapes, transform=UTM, size=(SIZE, SIZE)) -> list[str]:
    """The shapes whose pixels are not those of GDAL."""
    found = pixels_of(build_index(shapes, transform, size))
    return [s.wkt for s, ours in zip(shapes, found, strict=True) if not np.array_equal(ours, burnt(s, transform, size))]


# Drawn by hand in pixel coordinates, rows downwards, on 5 columns x 4 rows; "#" belongs to the parcel.
# A centre on a left edge is out, on a right edge in.
DRAWN = {
    "on pixel borders": ("POLYGON ((1 1, 4 1, 4 3, 1 3, 1 1))", "..... .###. .###. ....."),
    "left and right edges on centres": ("POLYGON ((1.5 0, 3.5 0, 3.5 1, 1.5 1, 1.5 0))", "..##. ..... ..... ....."),
    "between centres": ("POLYGON ((0.6 0.6, 1.4 0.6, 1.4 1.4, 0.6 1.4, 0.6 0.6))", "..... ..... ..... ....."),
    "tiny, about a centre": ("POLYGON ((2.4 2.4, 2.6 2.4, 2.6 2.6, 2.4 2.6, 2.4 2.4))", "..... ..... ..#.. ....."),
    "its long side through centres": ("POLYGON ((0 0, 4 0, 0 4, 0 0))", "####. ###.. ##... #...."),
    "a hole": (
        "POLYGON ((0 0, 5 0, 5 4, 0 4, 0 0), (1 1, 4 1, 4 3, 1 3, 1 1))",
        "##### #...# #...# #####",
    ),
    "half outside": ("POLYGON ((-9 -9, 2 -9, 2 2, -9 2, -9 -9))", "##... ##... ..... ....."),
    "around the raster": ("POLYGON ((-9 -9, 99 -9, 99 99, -9 99, -9 -9))", "##### ##### ##### #####"),
    "outside": ("POLYGON ((9 9, 12 9, 12 12, 9 12, 9 9))", "..... ..... ..... ....."),
    "parts that overlap": (
        "MULTIPOLYGON (((0 0, 3 0, 3 1, 0 1, 0 0)), ((2 0, 5 0, 5 1, 2 1, 2 0)))",
        "##### ..... ..... .....",
    ),
    "parts in reverse order": (
        "MULTIPOLYGON (((4 3, 5 3, 5 4, 4 4, 4 3)), ((0 0, 1 0, 1 1, 0 1, 0 0)))",
        "#.... ..... ..... ....#",
    ),
    "a bow-tie": ("POLYGON ((0 0, 4 4, 4 0, 0 4, 0 0))", "#.... ##.#. ##.#. #...."),
    "empty": ("POLYGON EMPTY", "..... ..... ..... ....."),
    "a point": ("POINT (2.5 2.5)", "..... ..... ..... ....."),
    "a line": ("LINESTRING (0 0, 5 4)", "..... ..... ..... ....."),
    "a line and a square in a collection": (
        "GEOMETRYCOLLECTION (LINESTRING (0 3.5, 5 3.5), POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0)))",
        "#.... ..... ..... .....",
    ),
    "a collection in a collection": (
        "GEOMETRYCOLLECTION (GEOMETRYCOLLECTION (MULTIPOLYGON (((0 0, 1 0, 1 1, 0 1, 0 0)))))",
        "#.... ..... ..... .....",
    ),
}


@pytest.mark.parametrize("case", DRAWN)
def test_a_parcel_has_the_pixels_drawn_by_hand(case):
    wkt, drawing = DRAWN[case]
    (pixels,) = pixels_of(build_index([shapely.from_wkt(wkt)], PIXEL, (4, 5)))
    expected = np.flatnonzero(np.array(list(drawing.replace(" ", ""))) == "#")
    assert pixels.tolist() == expected.tolist()


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("transform", [PIXEL, Affine(1, 0, 0, 0, -1, 4)])
def test_the_southern_edge_is_filled_where_it_runs_through_centres_however_the_ring_turns(turn, transform):
    box = shapely.box(0.5, 0.5, 2.5, 2.5, ccw=turn)
    (pixels,) = pixels_of(build_index([box], transform, (4, 5)))
    assert np.array_equal(pixels, burnt(box, transform, (4, 5)))
    assert set((pixels // 5).tolist()) == ({0, 1} if transform.e > 0 else {1, 2, 3})
    assert set((pixels % 5).tolist()) == {1, 2}


# Random parcels of every kind on a window of 64 x 64 pixels, where GDAL's answer costs little.


def random_boxes(random, number, step):
    low = np.round(random.uniform(-50, EXTENT, (2, number)) / step) * step
    high = low + random.integers(1, 15, (2, number)) * step
    return shapely.box(UTM.c + low[0], UTM.f - high[1], UTM.c + high[0], UTM.f - low[1], ccw=random.random() < 0.5)


def random_corners(random, number, corners, step=0.0):
    """Corners in any order within 200 m: bow-ties and worse; rounded to a step so that edges meet centres."""
    points = random.uniform(0, EXTENT, (number, 1, 2)) + random.uniform(-100, 100, (number, corners, 2))
    points = np.round(points / step) * step if step else points
    return shapely.polygons(np.array([UTM.c, UTM.f]) + points * np.array([1, -1]))


def random_crowds(random, number, apart):
    """Rings of seven corners on nine places, on centres or next to them: GDAL must guess which way they turn."""
    points = random.integers(0, 3, (number, 7, 2)) * 20.0 + random.integers(0, 2, (number, 7, 1)) * [apart, 0] + 105
    return shapely.polygons(np.array([UTM.c, UTM.f]) + points * np.array([1, -1]))


def random_blobs(random, number, size):
    angle = (np.arange(12) + random.uniform(0, 1, (number, 12))) * np.pi / 6
    radius = size * random.uniform(0.3, 1, (number, 12))
    centre = random.uniform(-20, EXTENT + 20, (2, number, 1))
    x, y = UTM.c + centre[0] + radius * np.cos(angle), UTM.f - centre[1] - radius * np.sin(angle)
    return shapely.polygons(np.stack([x, y], axis=-1))


def random_slivers(random, number):
    centre, angle = random.uniform(0, EXTENT, (2, number)), random.uniform(0, np.pi, number)
    ends = centre + 90 * np.array([np.cos(angle), np.sin(angle)])
    lines = shapely.linestrings(np.stack([centre, ends], axis=0).transpose(2, 0, 1) * [1, -1] + [UTM.c, UTM.f])
    return shapely.buffer(lines, 0.9, cap_style="flat")


def random_pairs(random, number, step):
    """Multipolygons whose parts touch, overlap or lie apart."""
    parts = [random_boxes(random, number, step) for _ in range(2)]
    shift = random.integers(-8, 9, (number, 2)) * step
    far = shapely.get_coordinates(shapely.centroid(parts[0])) - shapely.get_coordinates(shapely.centroid(parts[1]))
    moved = [
        shapely.transform(p, lambda xy, by=by: xy + by)
        for p, by in zip(parts[1], np.round(far / step) * step + shift, strict=True)
    ]
    return np.array([shapely.MultiPolygon([a, b]) for a, b in zip(parts[0], moved, strict=True)])


KINDS = {
    "boxes on pixel borders": lambda r: random_boxes(r, 2500, 10),
    "boxes on pixel centres": lambda r: random_boxes(r, 2500, 5),
    "boxes off the grid": lambda r: random_boxes(r, 1500, 3.7),
    "boxes with box holes": lambda r: shapely.difference(random_boxes(r, 2000, 5), random_boxes(r, 2000, 5)),
    "fields": lambda r: random_blobs(r, 2500, 90),
    "gardens under one pixel": lambda r: random_blobs(r, 2500, 7),
    "fields with holes": lambda r: shapely.difference(random_blobs(r, 1500, 120), random_blobs(r, 1500, 60)),
    "slivers": lambda r: random_slivers(r, 1500),
    "pairs on centres": lambda r: random_pairs(r, 1000, 5),
    "pairs": lambda r: random_pairs(r, 500, 3.7),
    "repaired bow-ties": lambda r: polygons_only(shapely.make_valid(random_corners(r, 1000, 5))),
    "bow-ties as they come": lambda r: random_corners(r, 1000, 5),
    "bow-ties on centres": lambda r: random_corners(r, 1000, 6, 5),
    "rings through the same corners again": lambda r: random_crowds(r, 1500, 0.0),
    "rings with corners next to each other": lambda r: random_crowds(r, 1500, 4e-6),
    "united fields": lambda r: shapely.union(random_blobs(r, 1000, 90), random_blobs(r, 1000, 90)),
}


def polygons_only(shapes):
    """Lines that repairing left are dropped: GDAL would draw them."""
    return np.array(
        [shapely.multipolygons([p for p in shapely.get_parts(s) if p.geom_type == "Polygon"]) for s in shapes]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_random_parcels_have_exactly_the_pixels_of_gdal(kind):
    shapes = KINDS[kind](np.random.default_rng(sum(map(ord, kind))))
    assert differing(shapes) == []


@pytest.mark.parametrize(
    "transform",
    [
        Affine(10, 0, 600000, 0, 10, 4999400),
        Affine(-10, 0, 600640, 0, -10, 5000040),
        Affine(20, 0, 599980, 0, -15, 5000040),
    ],
    ids=["south up", "mirrored", "oblong pixels"],
)
def test_other_grids_give_the_pixels_of_gdal(transform):
    random = np.random.default_rng(5)
    shapes = np.concatenate(
        [random_boxes(random, 300, 5), random_blobs(random, 300, 90), random_corners(random, 300, 6, 5)]
    )
    assert differing(shapes, transform) == []


corner = st.integers(-4, 16).map(lambda n: n / 2)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(corner, corner), min_size=3, max_size=8, unique=True))
def test_any_polygon_on_half_pixels_has_the_pixels_of_gdal(corners):
    assert differing([shapely.Polygon(corners)], PIXEL, (6, 7)) == []


SQUARES = np.array([shapely.box(600000, 5000000, 600030, 5000040), None, shapely.box(600100, 4999900, 600140, 4999950)])
FORMS = {
    "array": SQUARES,
    "list": list(SQUARES),
    "geoseries": gpd.GeoSeries(SQUARES, crs=32631),
    "numpy wkb": shapely.to_wkb(SQUARES),
    "list of wkb": list(shapely.to_wkb(SQUARES)),
    "big-endian wkb": shapely.to_wkb(SQUARES, byte_order=0),
    "arrow": pa.array(shapely.to_wkb(SQUARES), pa.binary()),
    "large arrow": pa.array(shapely.to_wkb(SQUARES), pa.large_binary()),
    "chunked arrow": pa.chunked_array([shapely.to_wkb(SQUARES[:1]), shapely.to_wkb(SQUARES[1:])], pa.binary()),
    "with heights": shapely.force_3d(SQUARES, 7.0),
    "missing as NaN": [SQUARES[0], float("nan"), SQUARES[2]],
}


@pytest.mark.parametrize("form", FORMS)
def test_geometries_are_taken_in_every_form(form):
    index = build_index(FORMS[form], UTM, (SIZE, SIZE))
    assert np.diff(index.pixel_offsets).tolist() == [12, 0, 20]
    assert (index.n_parcels, index.pixel_count) == (3, 32)


def test_no_parcels_make_an_empty_index():
    index = build_index([], UTM, (SIZE, SIZE))
    assert (index.n_parcels, index.pixel_count, len(index.blocks((16, 16)))) == (0, 0, 0)


@pytest.mark.parametrize("given", [["POLYGON ((0 0, 1 0, 1 1, 0 0))"], [b"no wkb"], [3]])
def test_what_is_not_a_geometry_is_refused(given):
    with pytest.raises(InvalidInputError, match=r"convert|correct"):
        build_index(given, UTM, (SIZE, SIZE))


def test_a_rotated_grid_is_refused():
    with pytest.raises(InvalidInputError, match="rotated"):
        build_index(SQUARES, Affine.rotation(3) * UTM, (SIZE, SIZE))


def test_infinite_coordinates_cost_only_their_own_parcel_its_pixels(caplog):
    broken = shapely.Polygon([(600000, 5000000), (np.inf, 5000000), (600000, np.inf)])
    index = build_index([SQUARES[0], broken, SQUARES[2]], UTM, (SIZE, SIZE))
    assert np.diff(index.pixel_offsets).tolist() == [12, 0, 20]
    assert "first at position 1" in caplog.text


def test_a_parcel_far_larger_than_the_raster_is_cut_to_it():
    index = build_index([shapely.box(-1e12, -1e12, 1e12, 1e12)], UTM, (SIZE, SIZE))
    assert index.pixel_count == SIZE * SIZE


def test_an_index_survives_parquet(tmp_path):
    index = build_index(SQUARES, UTM, (SIZE, SIZE))
    pq.write_table(index.to_table(), tmp_path / "index.parquet", row_group_size=2)
    again = SpanIndex.from_table(pq.read_table(tmp_path / "index.parquet"))
    assert (again.shape, again.transform) == (index.shape, index.transform)
    for name in ("offsets", "row", "col", "length"):
        assert getattr(again, name).dtype == getattr(index, name).dtype
        assert np.array_equal(getattr(again, name), getattr(index, name))


def test_a_slice_of_the_table_is_the_index_of_those_parcels():
    index = build_index(SQUARES, UTM, (SIZE, SIZE))
    part = SpanIndex.from_table(index.to_table().slice(1, 2))
    assert np.diff(part.pixel_offsets).tolist() == [0, 20]
    assert np.array_equal(pixels_of(part)[1], pixels_of(index)[2])


def test_an_index_travels_to_workers_without_what_it_keeps():
    index = build_index(SQUARES, UTM, (SIZE, SIZE))
    before = len(pickle.dumps(index))
    assert index.visit.order.tolist() == [0, 1, 2]
    assert len(pickle.dumps(index)) == before
    assert np.array_equal(pickle.loads(pickle.dumps(index)).col, index.col)  # noqa: S301


def test_an_empty_index_survives_its_table():
    again = SpanIndex.from_table(build_index([], UTM, (SIZE, SIZE)).to_table())
    assert again.n_parcels == 0


def test_another_table_is_not_an_index():
    with pytest.raises(InvalidInputError, match="not a span index"):
        SpanIndex.from_table(pa.table({"spans": [1]}))


@pytest.mark.parametrize("block", [(16, 16), (1, 64), (64, 1), (7, 30), (500, 500)])
def test_blocks_gather_the_same_pixels_as_the_whole_raster(block):
    shapes = random_blobs(np.random.default_rng(1), 40, 60)
    index = build_index(shapes, UTM, (SIZE, SIZE))
    raster = np.arange(SIZE * SIZE, dtype=np.int32).reshape(SIZE, SIZE)
    plan = index.blocks(block)
    pool = plan.new_pool(raster.dtype, fill=-1)
    for i, part in enumerate(plan):
        plan.gather(raster[part.row : part.row + part.height, part.col : part.col + part.width], i, pool)
    assert np.array_equal(pool, np.concatenate(pixels_of(index)))


def test_only_blocks_with_parcel_pixels_are_planned_in_row_major_order():
    plan = build_index(SQUARES, UTM, (SIZE, SIZE)).blocks((4, 4))
    assert [(b.row, b.col) for b in plan] == [(0, 0), (8, 8), (8, 12), (12, 8), (12, 12)]
    assert len(plan) == 5


def test_edge_blocks_are_clipped_and_padded_ones_accepted():
    index = build_index([shapely.box(0, 0, 5, 5)], PIXEL, (5, 5))
    plan = index.blocks((4, 4))
    assert [(b.height, b.width) for b in plan] == [(4, 4), (4, 1), (1, 4), (1, 1)]
    pool = plan.new_pool(np.uint8)
    for i in range(4):
        plan.gather(np.full((4, 4), i + 1, np.uint8), i, pool)
    assert pool.tolist() == [1, 1, 1, 1, 2] * 4 + [3, 3, 3, 3, 4]


def test_a_plan_is_made_once_per_block_shape_and_stays_behind_when_the_index_travels():
    index = build_index(SQUARES, UTM, (SIZE, SIZE))
    assert index.blocks((4, 4)) is index.blocks([4, 4])
    assert index.blocks((4, 4)) is not index.blocks((4, 8))
    assert "_plans" not in pickle.loads(pickle.dumps(index)).__dict__  # noqa: S301


def test_blocks_wider_than_small_integers_hold_gather_the_same_pixels():
    wide = (3, 70_000)
    index = build_index([shapely.box(10, 0, 69_990, 3), shapely.box(65_530, 1, 65_545, 2)], PIXEL, wide)
    raster = np.arange(wide[0] * wide[1], dtype=np.int32).reshape(wide)
    plan = index.blocks(wide)
    pool = plan.new_pool(raster.dtype)
    plan.gather(raster, 0, pool)
    assert np.array_equal(pool, np.concatenate(pixels_of(index)))


def test_a_wrong_block_or_pool_is_refused():
    plan = build_index([shapely.box(0, 0, 5, 5)], PIXEL, (5, 5)).blocks((4, 4))
    with pytest.raises(InvalidInputError, match="read the whole block"):
        plan.gather(np.zeros((3, 4), np.uint8), 0, plan.new_pool(np.uint8))
    with pytest.raises(InvalidInputError, match="make it with new_pool"):
        plan.gather(np.zeros((4, 4), np.uint16), 0, plan.new_pool(np.uint8))
    with pytest.raises(IndexError):
        plan.gather(np.zeros((4, 4), np.uint8), 4, plan.new_pool(np.uint8))
    with pytest.raises(InvalidInputError, match="not positive"):
        build_index([], PIXEL, (5, 5)).blocks((0, 4))


KERNEL = """
from cbm_lake.zonal.compiled import compiled

@compiled
def twice(x):
    return once(x) + x

@compiled
def once(x):
    return x

print(twice(21))
"""


def run_kernel(folder: Path, cache: Path) -> str:
    """What a process says that runs a kernel with this folder for compiled ones."""
    script = folder / "kernel.py"
    if not script.exists():
        script.write_text(KERNEL)
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "42\n"
    return done.stderr


@pytest.mark.slow
def test_compiling_is_announced_once_and_not_when_the_kernels_are_on_disk(tmp_path):
    assert run_kernel(tmp_path, tmp_path / "cache").count("compiling the statistics kernels") == 1
    assert run_kernel(tmp_path, tmp_path / "cache") == ""


def test_kernels_work_where_nothing_can_be_cached(monkeypatch):
    def no_place(*args, **kwargs):
        if kwargs.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled.numba, "njit", no_place)
    assert compiled.compiled(max)(1, 2) == 2


def test_the_notice_is_silent_about_other_libraries_kernels(caplog):
    import numba

    caplog.set_level(logging.INFO)
    assert numba.njit(lambda x: x + 1)(1) == 2
    assert "compil" not in caplog.text
