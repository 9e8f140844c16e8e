"""Heterogeneity and cardinality: against scipy, against answers known by hand, and against what was promised."""

import csv
import functools
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import foi_rules
import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from foi_rules import CLASSES, GRID, LEFT, TOP, WITH_ZERO, box, flags, halves
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio import features
from scipy import ndimage
from typer.testing import CliRunner

from cbm_lake import foi
from cbm_lake.cli import app, main
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.foi import cardinality, components, heterogeneity, tracing
from cbm_lake.foi.parcels import read_parcels
from cbm_lake.foi.rasters import Thematic
from cbm_lake.foi.survey import buffered
from cbm_lake.foi.thematic import check_raster
from cbm_lake.zonal.spans import build_index

ALL = np.ones(1, bool)


@pytest.fixture
def files(tmp_path, workspace):
    """Makes a raster and a Shapefile; gives their paths."""
    return functools.partial(foi_rules.write, tmp_path)


# -- clusters --------------------------------------------------------------------------------------------------------


def pooled(outlines, pixels, transform):
    """The index, and the classes 1, 2, 3 of the parcels' pixels."""
    index = build_index(outlines, transform, pixels.shape)
    plan = index.blocks((16, 16))
    pool = plan.new_pool(pixels.dtype)
    for number, block in enumerate(plan):
        plan.gather(
            pixels[block.row : block.row + block.height, block.col : block.col + block.width].copy(), number, pool
        )
    return index, components.encode(pool, np.array([1, 2, 3]), np.array([0]))


def some_outlines(rng):
    """Discs with holes, multipolygons, and all that overlap."""
    places = rng.uniform(0, 40, (8, 2))
    discs = [shapely.Point(*place).buffer(rng.uniform(1, 20)) for place in places]
    holed = [disc.difference(shapely.Point(*place).buffer(3)) for disc, place in zip(discs, places[::-1], strict=True)]
    return [*holed, shapely.MultiPolygon([shapely.box(0, 0, 9, 9), shapely.box(20, 5, 33, 40)]), None]


def labelled(index, pixels, parcel, connectivity):
    """Class and size of each component, by scipy, of a mask of the parcel."""
    mask = np.zeros(pixels.shape, bool)
    for span in range(index.offsets[parcel], index.offsets[parcel + 1]):
        mask[index.row[span], index.col[span] : index.col[span] + index.length[span]] = True
    found = []
    for code in range(3):
        labels, _ = ndimage.label(mask & (pixels == code + 1), ndimage.generate_binary_structure(2, connectivity // 4))
        found += [(code, size) for size in np.bincount(labels.ravel())[1:].tolist()]
    return sorted(found)


def test_clusters_are_those_of_scipy_in_thousands_of_rasters_and_outlines():
    rng = np.random.default_rng(1)
    for trial in range(100):
        coarse = rng.integers(0, 2 + trial % 3, (40 // 4, 44 // 4))
        pixels = np.kron(coarse, np.ones((4, 4))) if trial % 2 else rng.integers(0, 2 + trial % 3, (40, 44))
        index, codes = pooled(some_outlines(rng), pixels.astype(np.uint8), Affine(1, 0, 0, 0, -1, 40))
        for connectivity in (4, 8):
            least = trial % 5
            found = components.clusters(index, codes, connectivity, least, np.zeros((10, 2), np.int64))
            for parcel in range(10):
                own = found.parcel == parcel
                expected = [one for one in labelled(index, pixels, parcel, connectivity) if one[1] > least]
                assert sorted(zip(found.code[own], found.size[own], strict=True)) == expected


def test_clusters_of_a_class_stand_in_the_order_of_opencv():
    pixels = np.zeros((6, 12), np.uint8)
    pixels[0, 8], pixels[1, 1:3], pixels[3, 11], pixels[4:, 0] = 1, 1, 1, 1
    index, codes = pooled([shapely.box(0, 0, 12, 6)], pixels, Affine(1, 0, 0, 0, -1, 6))
    found = components.clusters(index, codes, 8, 0, np.zeros((1, 2), np.int64))
    assert found.size.tolist() == [2, 1, 1, 2]  # blocks of 2 x 2: the pair in row 1 is met before the one in row 0


def test_clusters_do_not_depend_on_how_parcels_are_shared_out(monkeypatch):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 4, (40, 44)).astype(np.uint8)
    index, codes = pooled(some_outlines(rng), pixels, Affine(1, 0, 0, 0, -1, 40))
    corners = np.zeros((10, 2), np.int64)
    whole = components.clusters(index, codes, 8, 1, corners), components.runs(index, codes, 8, 1, np.ones(10, bool))
    monkeypatch.setattr(components, "BATCH", 50)
    parts = components.clusters(index, codes, 8, 1, corners), components.runs(index, codes, 8, 1, np.ones(10, bool))
    for one, other in zip(whole[0], parts[0], strict=True):
        np.testing.assert_array_equal(one, other)
    shapes = [tracing.polygons(runs, GRID)[1] for runs in (whole[1], parts[1])]
    assert shapely.equals_exact(*shapes).all()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_values_of_every_integer_type_are_told_by_a_sorted_look_up(dtype):
    limits = np.iinfo(dtype)
    pool = np.array([0, 7, limits.max if limits.bits < 64 else 2**40, limits.min, 5, 7, 9], dtype)
    classes = np.array([7, int(pool[2]), 5], np.int64)
    codes = components.encode(pool, classes, np.array([0, 9, 7, limits.min]))
    assert codes.tolist() == [-1, 0, 1, -1, 2, 0, -1]
    assert components.encode(pool[:1], classes, np.array([], np.int64)).tolist() == [components.UNKNOWN]


def test_outlines_of_clusters_are_valid_and_those_of_gdal():
    rng = np.random.default_rng(3)
    for trial in range(24):
        pixels = rng.integers(0, 2 + trial % 3, (24, 30)).astype(np.uint8)
        index, codes = pooled([shapely.box(0, 0, 30, 24)], pixels, Affine(1, 0, 0, 0, -1, 24))
        for connectivity in (4, 8):
            runs = components.runs(index, codes, connectivity, 0, ALL)
            clusters, shapes = tracing.polygons(runs, Affine(1, 0, 0, 0, -1, 24))
            assert shapely.is_valid(shapes).all()
            np.testing.assert_allclose(shapely.area(shapes), clusters.size)
            polygons = features.shapes(
                pixels, pixels > 0, connectivity=connectivity, transform=Affine(1, 0, 0, 0, -1, 24)
            )
            theirs = sorted((int(value) - 1, shapely.geometry.shape(shape).bounds) for shape, value in polygons)
            assert sorted(zip(clusters.code.tolist(), map(tuple, shapely.bounds(shapes)), strict=True)) == theirs


# -- shares ----------------------------------------------------------------------------------------------------------


def test_bounds_are_included_exactly():
    counts = np.array([[30, 70, 0], [29, 71, 0], [29, 29, 42], [100, 0, 0], [0, 0, 0]])
    assert heterogeneity.between(counts, 30, 70).tolist() == [True, False, True, False, False]
    assert heterogeneity.between(counts[1:2], 29, 29).tolist() == [True]  # as a float 29 / 100 * 100 is less than 29
    assert heterogeneity.between(counts[3:], 0, 50).tolist() == [False, False]  # what is not there has no share


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 100_000), st.integers(0, 100_000))
def test_a_bound_with_decimals_is_included_exactly(tenths, part, rest):
    counts, bound = np.array([[part, rest]]), Fraction(tenths, 10)
    shares = [Fraction(100 * number, part + rest) for number in (part, rest) if number]
    assert heterogeneity.between(counts, tenths / 10, 100)[0] == any(share >= bound for share in shares)
    assert heterogeneity.between(counts, 0, tenths / 10)[0] == any(share <= bound for share in shares)


def test_1_point_1_percent_of_3000_pixels_is_1_point_1_percent():
    assert heterogeneity.between(np.array([[33, 2967]]), 1.1, 1.1).all()  # 1.1 * 3000 is a little more than 3300


def test_shares_are_rounded_as_they_are_written():
    part, total = np.meshgrid(np.arange(1, 600), np.arange(1, 600))
    chosen = part <= total
    counts = np.column_stack([part[chosen], total[chosen] - part[chosen]])
    expected = np.char.mod("%.2f", counts[:, 0] / counts.sum(axis=1) * 100).astype(float)
    np.testing.assert_array_equal(heterogeneity.shares(counts)[:, 0], expected)


@settings(deadline=None)
@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_shares_of_version_1_are_rounded_before_they_are_compared(part, rest):
    found = heterogeneity.rounded_shares(np.array([[part, rest]], np.int32))[0, 0]
    if part + rest == 0:
        assert np.isnan(found)
    else:
        exact = Decimal(100 * part) / Decimal(part + rest)
        assert found == float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


def test_version_1_takes_70_004_for_70():
    counts = np.array([[70_004, 29_996]], np.int32)
    assert heterogeneity.rounded_between(heterogeneity.rounded_shares(counts), 70, 70).all()
    assert not heterogeneity.between(counts, 70, 70).any()


# -- version 2 -------------------------------------------------------------------------------------------------------


def test_version_2_writes_what_the_original_did(files, workspace):
    pixels = np.zeros((60, 60))
    pixels[:20, :20] = halves()
    pixels[:20, 20:40] = halves(1, 2, 0.95)
    pixels[20:40, :20] = halves(3, 3)
    parcels, raster = files(pixels, [box(0, 0), box(0, 20), box(20, 0), box(40, 40)])
    found = foi.v2(parcels, raster, CLASSES, 0, 30, 70, 8, 40)
    folder = workspace.root / "foi" / "output_data"
    assert {path.name for path in folder.iterdir()} >= {f"p_foih_v2.{e}" for e in ("shp", "dbf", "gpkg", "parquet")}
    shares = gpd.read_file(folder / "p_foih_v2.shp")
    assert list(shares.columns[:-1]) == [
        "OBJECTID",
        "foi_h",
        "Grass",
        "P_Grass",
        "Winterwhea",
        "P_Winterwh",
        "Maize",
        "P_Maize",
        "total",
    ]
    assert shares.drop(columns="geometry").to_numpy().tolist() == [
        [1, 1, 200, 50, 200, 50, 0, 0, 400],
        [2, 0, 380, 95, 20, 5, 0, 0, 400],
        [3, 0, 0, 0, 0, 0, 400, 100, 400],
    ]
    clusters = gpd.read_file(folder / "p_foic_v2.shp")
    assert clusters["foi_c"].tolist() == ["1", "0", "0", "0"]
    assert clusters["clusters"].tolist() == ["(1, 200), (2, 200)", "(1, 380)", "(3, 400)", None]
    heading = "Buffer_error,Zero pixels,Non overlapping,"
    skipped = (folder / "p_skipped_foih.csv").read_bytes()
    assert skipped == f"{heading}Bufferd non overlapping\r\n,4,,\r\n".encode()
    assert (folder / "p_skipped_foic.csv").read_bytes() == f"{heading}Buffered non overlapping\r\n".encode()
    assert (found.heterogeneous, found.of_several, found.parcels) == (1, 1, 4)
    assert found.files["foih_v2.shp"] == folder / "p_foih_v2.shp"
    full = gpd.read_parquet(found.files["foic_v2.parquet"])
    assert full["foi_c"].tolist() == [1, 0, 0, 0]
    assert full.crs.to_epsg() == 32631
    assert gpd.read_file(found.files["foih_v2.gpkg"])["P_Winterwheat"].tolist() == [50, 5, 0]


def test_parcels_are_skipped_for_the_reasons_of_the_original(files):
    pixels = np.ones((60, 60))
    pixels[40:, 40:] = 0
    shapes = [box(0, 0), box(10, 10, 1, 1), box(40, 40), box(0, 61), box(0, 60), None, box(20, 20, 2, 2)]
    parcels, raster = files(pixels, shapes)
    plain = foi.v2(parcels, raster, CLASSES, 0)
    buffered = foi.v2(parcels, raster, CLASSES, -10)
    assert plain.skipped_foih == {
        "Buffer_error": [6],
        "Zero pixels": [3, 5],
        "Non overlapping": [4],
        "Buffered non overlapping": [],
    }
    assert plain.skipped_foic["Zero pixels"] == [5]
    assert buffered.skipped_foih == {
        "Buffer_error": [2, 6, 7],
        "Zero pixels": [3],
        "Non overlapping": [],
        "Buffered non overlapping": [4, 5],
    }
    assert buffered.name == "p_negative_buffer_10"
    assert flags(plain, "skipped_foih") == [
        None,
        None,
        "Zero pixels",
        "Non overlapping",
        "Zero pixels",
        "Buffer_error",
        None,
    ]
    assert flags(plain, "foi_h")[2] is None
    assert flags(plain, "foi_c")[2] == 0


def test_the_lists_are_filled_up_with_blanks(files):
    parcels, raster = files(np.zeros((20, 20)), [box(0, 0), box(0, 40), box(0, 60)])
    found = foi.v2(parcels, raster, CLASSES, 0)
    with found.files["skipped_foih.csv"].open() as file:
        assert list(csv.reader(file))[1:] == [["", "1", "2", ""], ["", "", "3", ""]]


def test_the_first_column_may_be_text(files):
    parcels, raster = files(np.zeros((20, 20)), [box(0, 0)], pid=["0012"])
    assert foi.v2(parcels, raster, CLASSES).skipped_foih["Zero pixels"] == ["0012"]


# What the contract lists as faults of the original, and what its documentation promises instead.


def test_the_buffer_counts_for_clusters_too(files):
    parcels, raster = files(halves(share=0.9), [box(0, 0)])
    assert [flags(foi.v2(parcels, raster, CLASSES, b, 30, 70, 8, 20), "foi_c")[0] for b in (0, -10, -20)] == [1, 0, 0]
    assert flags(foi.v2(parcels, raster, CLASSES, -10), "clusters") == ["(1, 306)"]


def test_buffers_are_those_that_shapely_makes_of_single_outlines(files):
    shapes = [box(0, 0).difference(box(5, 5, 10, 10)), box(0, 0, 7, 3).union(box(0, 0, 3, 6)), box(0, 0, 1, 1)]
    parcels, raster = files(np.ones((20, 20)), shapes)
    inner = buffered(read_parcels(parcels), Thematic.inspect(raster), -8)
    assert [one.equals(shape.buffer(-8)) for one, shape in zip(inner, shapes, strict=True)] == [True] * 3


def test_holes_are_not_inside(files):
    pixels = np.ones((20, 20))
    pixels[5:15, 5:15] = 2
    parcels, raster = files(pixels, [box(0, 0), box(0, 0).difference(box(5, 5, 10, 10))])
    assert flags(foi.v2(parcels, raster, CLASSES), "foi_c") == [1, 0]


def test_multipolygons_are_judged_like_others(files):
    pixels = np.ones((40, 40))
    pixels[20:] = 2
    parcels, raster = files(pixels, [shapely.MultiPolygon([box(0, 0, 8, 8), box(30, 30, 8, 8)])])
    found = foi.v2(parcels, raster, CLASSES)
    assert (flags(found, "foi_h"), flags(found, "foi_c")) == ([1], [1])
    assert not any(found.skipped_foic.values())


def test_two_clusters_of_one_class_are_not_two_classes(files):
    pixels = np.full((20, 20), 3)
    pixels[:, 10] = 1
    parcels, raster = files(pixels, [box(0, 0)])
    found = foi.v2(parcels, raster, CLASSES)
    assert (flags(found, "foi_c"), flags(found, "clusters")) == ([0], ["(3, 200), (3, 180)"])


def test_connectivity_4_does_not_join_corners(files):
    pixels = np.ones((20, 20))
    pixels[np.arange(20), np.arange(20)] = 2
    parcels, raster = files(pixels, [box(0, 0)])
    found = [flags(foi.v2(parcels, raster, CLASSES, 0, 30, 70, c, 10), "clusters") for c in (8, 4)]
    assert found == [["(1, 380), (2, 20)"], ["(1, 190), (1, 190)"]]


def test_class_255_gains_nothing_from_outside(files):
    triangle = shapely.Polygon([(LEFT, TOP), (LEFT + 200, TOP), (LEFT, TOP - 200)])
    parcels, raster = files(np.ones((20, 20)), [triangle])
    assert flags(foi.v2(parcels, raster, {1: "grass", 255: "other"}), "foi_c") == [0]


def test_pixels_beside_an_inner_corner_do_not_count(files):
    # The original draws its mask with the pixels that the outline's right and lower edges touch: 36 here.
    shape = box(0, 0, 7, 3).union(box(0, 0, 3, 6))
    parcels, raster = files(np.ones((20, 20)), [shape])
    assert flags(foi.v2(parcels, raster, CLASSES), "clusters") == ["(1, 30)"]


def test_values_are_not_cut_to_8_bits(files):
    parcels, raster = files(halves(1, 257), [box(0, 0)], dtype="uint16")
    found = foi.v2(parcels, raster, {1: "grass", 257: "maize", 70_000: "never"})
    assert (flags(found, "foi_c"), flags(found, "clusters")) == ([1], ["(1, 200), (257, 200)"])


def test_parcels_off_the_grid_keep_their_last_column(files):
    pixels = np.ones((30, 30))
    parcels, raster = files(pixels, [shapely.box(LEFT + 4, TOP - 204, LEFT + 204, TOP - 4)])
    assert flags(foi.v2(parcels, raster, CLASSES), "clusters") == ["(1, 400)"]


def test_flagged_parcels_need_no_objectid_and_narrow_ones_have_no_pixels(files):
    narrow = shapely.box(LEFT + 1, TOP - 200, LEFT + 3, TOP)
    parcels, raster = files(halves(), [box(0, 0), narrow], id=[7, 8])
    found = foi.v2(parcels, raster, CLASSES)
    assert flags(found, "foi_c") == [1, None]
    assert found.skipped_foic["Zero pixels"] == [8]


def test_clusters_of_the_size_of_the_threshold_do_not_count(files):
    pixels = np.ones((20, 20))
    pixels[:2] = 2
    parcels, raster = files(pixels, [box(0, 0)])
    assert [flags(foi.v2(parcels, raster, CLASSES, 0, 30, 70, 8, t), "foi_c")[0] for t in (39, 40)] == [1, 0]


def test_a_long_text_is_cut_in_the_shapefile_only(files):
    pixels = np.indices((40, 40)).sum(axis=0) % 2 + 1
    parcels, raster = files(pixels, [box(0, 0, 40, 40)])
    found = foi.v2(parcels, raster, CLASSES, 0, 30, 70, 4, 0)
    assert len(flags(found, "clusters")[0]) == len("(1, 1), ") * 1600 - 2
    assert len(gpd.read_file(found.files["foic_v2.shp"])["clusters"][0]) == 250


@pytest.mark.parametrize("version", [foi.v1, foi.v2])
def test_values_that_are_no_class_are_named(files, version):
    pixels = halves(1, 9)
    pixels[0, 0] = 4
    parcels, raster = files(pixels, [box(0, 0)])
    with pytest.raises(InvalidInputError, match=r"c\.tif has values .* no class: 4 \(1 pixels\), 9 \(200 pixels\)"):
        version(parcels, raster, CLASSES)


def test_declared_nodata_does_not_count_unless_it_is_a_class(files):
    parcels, raster = files(halves(1, 200), [box(0, 0)], nodata=200)
    assert flags(foi.v2(parcels, raster, CLASSES), "total") == [200]
    assert flags(foi.v2(parcels, raster, {1: "grass", 200: "rest"}), "total") == [400]
    assert flags(foi.v1(parcels, raster, CLASSES), "total") == [200]


@pytest.mark.parametrize("internal", [True, False])
def test_masked_pixels_do_not_count_whatever_value_they_have(files, internal):
    parcels, raster = files(halves(1, 255), [box(0, 0)])
    mask = np.full((20, 20), 255, np.uint8)
    mask[:5] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(raster, "r+") as file:
        file.write_mask(mask)
    classes = {1: "grass", 255: "maize"}
    assert flags(foi.v2(parcels, raster, classes), "total") == [300]
    assert check_raster(raster, classes) == {0: 100, 1: 150, 255: 150}


def test_zero_never_counts_in_version_2_and_does_in_version_1(files):
    parcels, raster = files(halves(1, 0, 0.56), [box(0, 0)])
    second, first = foi.v2(parcels, raster, WITH_ZERO), foi.v1(parcels, raster, WITH_ZERO)
    assert (flags(second, "foi_h"), flags(first, "foi_h")) == ([0], [1])
    assert (flags(second, "Unclass"), flags(first, "unclass")) == ([0], [180])
    assert (flags(second, "foi_c"), flags(first, "foi_c")) == ([0], [1])


# -- version 1 -------------------------------------------------------------------------------------------------------


def test_version_1_writes_what_the_original_did(files, workspace):
    parcels, raster = files(np.hstack([halves(), halves(1, 2, 0.95)]), [box(0, 0), box(0, 20)])
    found = foi.v1(parcels, raster, WITH_ZERO, 30, 70, 2000, "main")
    shares = gpd.read_file(workspace.root / "foi" / "output_data" / "p_foih_v1.shp")
    assert list(shares.columns[:-1]) == [
        "objectid",
        "unclass",
        "grass",
        "winterwhea",
        "maize",
        "total",
        "p_unclass",
        "p_grass",
        "p_winterwh",
        "p_maize",
        "foi_h",
    ]
    assert shares.drop(columns="geometry").to_numpy().tolist() == [
        [1, 0, 200, 200, 0, 400, 0, 50, 50, 0, 1],
        [2, 0, 380, 20, 0, 400, 0, 95, 5, 0, 0],
    ]
    assert gpd.read_file(found.files["foic_v1.shp"]).drop(columns="geometry").to_dict("list") == {
        "objectid": [1, 2],
        "temp_id": [1, 2],
        "foi_c": [1, 0],
    }
    clusters = gpd.read_file(found.files["foic_clusters_v1.shp"])
    assert clusters.drop(columns="geometry").to_dict("list") == {
        "id": [1, 2],
        "temp_id": [1, 1],
        "pixelvalue": [1, 2],
        "area": [20_000, 20_000],
    }
    assert clusters.geometry[0].equals(box(0, 0, 20, 10))


def test_the_area_threshold_is_honoured(files):
    parcels, raster = files(halves(share=0.95), [box(0, 0)])
    found = [flags(foi.v1(parcels, raster, CLASSES, 30, 70, area), "foi_c")[0] for area in (500, 1999, 2000)]
    assert found == [1, 1, 0]


def test_an_area_is_as_many_small_pixels_as_it_says(files):
    grid = Affine(0.1, 0, LEFT, 0, -0.1, TOP)
    square = shapely.box(LEFT, TOP - 2, LEFT + 2, TOP)
    parcels, raster = files(halves(), [square], grid=grid)  # 2 x 200 pixels of 0.01 m2, of which 0.1 x 0.1 is more
    assert [foi.v1(parcels, raster, CLASSES, 30, 70, area).of_several for area in (1.99, 2)] == [1, 0]


def test_the_polygons_of_version_1_are_8_connected(files):
    pixels = np.ones((20, 20))
    pixels[:5, :5] = pixels[5:10, 5:10] = 2
    parcels, raster = files(pixels, [box(0, 0)])
    found = foi.v1(parcels, raster, CLASSES, 30, 70, 4000)
    assert flags(found, "foi_c") == [1]
    clusters = gpd.read_parquet(found.files["foic_clusters_v1.parquet"])
    assert clusters["area"].tolist() == [5_000, 35_000]
    assert len(clusters.geometry[0].geoms) == 2


def test_pixels_beyond_the_raster_are_of_no_class(files):
    parcels, raster = files(np.ones((20, 20)), [box(0, 10), box(0, 30)])
    found = foi.v1(parcels, raster, WITH_ZERO)
    assert flags(found, "unclass") == [0, 0]
    assert flags(found, "total") == [200, 0]
    assert flags(found, "p_grass") == [100, None]
    assert (flags(found, "foi_h"), flags(found, "foi_c")) == ([0, 0], [0, 0])


def test_parcels_that_overlap_exchange_nothing(files):
    parcels, raster = files(halves(), [box(0, 0), box(0, 0, 20, 10)])
    found = foi.v1(parcels, raster, CLASSES)
    assert flags(found, "foi_c") == [1, 0]
    assert gpd.read_parquet(found.files["foic_clusters_v1.parquet"])["temp_id"].tolist() == [1, 1]


def test_without_flagged_parcels_there_are_no_clusters(files):
    parcels, raster = files(np.ones((20, 20)), [box(0, 0)])
    found = foi.v1(parcels, raster, CLASSES)
    assert len(gpd.read_file(found.files["foic_clusters_v1.gpkg"])) == 0
    assert pyogrio.read_info(found.files["foic_clusters_v1.shp"])["features"] == 0


# -- seeing it -------------------------------------------------------------------------------------------------------


def test_the_ranking_puts_the_most_mixed_first(files):
    pixels = np.hstack([halves(share=0.6), halves(), halves(3, 3), halves(share=0.9)])
    parcels, raster = files(pixels, [box(0, 0), box(0, 20), box(0, 40), box(0, 60)])
    found = foi.v2(parcels, raster, CLASSES).ranked()
    assert found["OBJECTID"].to_pylist() == [2, 1, 4]
    assert found["rank"].to_pylist() == [1, 2, 3]
    assert found["largest_share"].to_pylist() == [50, 60, 90]
    assert foi.v1(parcels, raster, CLASSES).ranked(1)["OBJECTID"].to_pylist() == [2]


def test_maps_show_how_many_parcels_have_each_answer(files):
    parcels, raster = files(halves(), [box(0, 0), box(0, 0, 20, 10), box(0, 60), None])
    found = foi.v2(parcels, raster, CLASSES)
    legend = foi.plot_map(found, "foi_c").axes[0].get_legend()
    told = [text.get_text() for text in legend.get_texts()]
    assert told == ["one class at most (1)", "several classes (1)", "skipped (2)"]


def test_pictures_of_a_parcel_show_its_clusters(files):
    parcels, raster = files(halves(), [box(0, 0), box(0, 60)])
    found = foi.v2(parcels, raster, CLASSES, -10)
    axes = foi.plot_clusters(found, 1).axes[0]
    assert [text.get_text() for text in axes.texts] == ["162 px", "162 px"]
    assert [text.get_text() for text in axes.get_legend().get_texts()][:2] == ["Grass 50.0 %", "Winterwheat 50.0 %"]
    for pid, problem in ((9, "no parcel 9"), (2, "off the raster")):
        with pytest.raises(NotFoundError, match=problem):
            foi.plot_clusters(found, pid)


def test_pictures_show_all_their_labels_when_they_are_first_drawn(files):
    outlines = [box(40, 40, height, width) for height, width in ((14, 18), (10, 30), (30, 9))]
    found = foi.v2(*files(np.ones((80, 80)), outlines), CLASSES)
    for pid in (1, 2, 3):
        figure = foi.plot_clusters(found, pid)
        figure.canvas.draw()
        drawn, (_, _, width, height) = figure.axes[0].get_tightbbox(), figure.bbox.extents
        assert (drawn.min >= 0).all()
        assert (drawn.max <= [width, height]).all()


def run(*arguments):
    return CliRunner().invoke(app, ["foi", *map(str, arguments)])


def test_the_command_line_checks_shows_and_draws(files, tmp_path):
    parcels, raster = files(halves(), [box(0, 0)])
    (tmp_path / "c.yml").write_text("category_map: {1: grass, 2: maize}")
    given = ("--parcels", parcels, "--raster", raster, "--classes", tmp_path / "c.yml", "--min", 30, "--max", 70)
    more = ("--negative-buffer", -10, "--connectivity", 4, "--threshold", 20, "--format", "csv")
    answer = run("v2", *given, *more, "--picture", tmp_path / "map.png")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.splitlines()[1].startswith('1,1,1,1,324,"grass",50,')
    assert (tmp_path / "map.png").read_bytes()[1:4] == b"PNG"
    answer = run("v1", *given, "--area-threshold", 500, "--picture", tmp_path / "one.png", "--pid", 1)
    assert answer.exit_code == 0, answer.output
    assert "foi_c = 1 for 1" in answer.stdout
    assert (tmp_path / "one.png").exists()


def test_errors_of_the_command_line_are_one_line(files, tmp_path, monkeypatch, capsys):
    parcels, raster = files(halves(1, 9), [box(0, 0)])
    (tmp_path / "c.yml").write_text("category_map: {1: grass}")
    given = ["--parcels", str(parcels), "--raster", str(raster), "--classes", str(tmp_path / "c.yml")]
    for more, problem in ([], "9 (200 pixels)"), (["--by", "area"], "no map of 'area'"), (["--pid", "1"], "--picture"):
        monkeypatch.setattr(sys, "argv", ["cbm-lake", "foi", "v2", *given, *more])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 1
        assert problem in capsys.readouterr().err.splitlines()[-1]


def test_an_original_notebook_names_its_files_by_text(files, monkeypatch, workspace):
    monkeypatch.chdir(Path(files(halves(), [box(0, 0)])[0]).parent)
    Path("classes.yml").write_text("category_map:\n  1: Grass\n  2: Maize\n")
    assert foi.v2("p.shp", "c.tif", "classes.yml", -10, 30, 70, 8, 20).of_several == 1
    assert (workspace.root / "foi/output_data/p_negative_buffer_10_foic_v2.shp").exists()


def test_corners_are_those_of_the_outline():
    shapes = np.array([box(3, 5), None], object)
    assert cardinality.corners(shapes, GRID).tolist() == [[3, 5], [0, 0]]


def test_thematic_is_the_function_also_when_its_module_was_imported_first():
    code = "import cbm_lake.foi.thematic\nfrom cbm_lake import foi\nassert callable(foi.thematic), foi.thematic"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
