"""Statistics of parcels: by hand, against rasterstats, numpy and exactextract."""

import sys

import numpy as np
import pyarrow as pa
import pytest
import rasterstats
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cbm_lake import zonal
from cbm_lake.errors import ConfigError, InvalidInputError
from cbm_lake.zonal import centre, ragged

UTM = Affine(10, 0, 600000, 0, -10, 5000040)
PIXEL = Affine(1, 0, 0, 0, 1, 0)
SIZE = 300
REFERENCE = ("count", "mean", "std", "min", "max", "percentile_25", "percentile_50", "percentile_75")
DTYPES = ("uint8", "uint16", "int16", "int32", "float32", "float64")


def fields(random, number, size=60.0):
    """Twelve-cornered parcels of about 0.6 ha, some half outside."""
    angle = (np.arange(12) + random.uniform(0, 1, (number, 12))) * np.pi / 6
    radius = size * random.uniform(0.3, 1, (number, 12)) * np.exp(random.normal(0, 0.5, number))[:, None]
    x = UTM.c + random.uniform(0, 10 * SIZE, (number, 1)) + radius * np.cos(angle)
    y = UTM.f - random.uniform(0, 10 * SIZE, (number, 1)) + radius * np.sin(angle)
    return shapely.polygons(np.stack([x, y], axis=-1))


def boxes(random, number, step):
    low = np.round(random.uniform(0, 10 * SIZE - 400, (2, number)) / step) * step
    high = low + random.integers(2, 40, (2, number)) * step
    return shapely.box(UTM.c + low[0], UTM.f - high[1], UTM.c + high[0], UTM.f - low[1])


def parcels():
    """2000 parcels of all kinds."""
    random = np.random.default_rng(11)
    pairs = [shapely.MultiPolygon([a, b]) for a, b in zip(fields(random, 200), fields(random, 200), strict=True)]
    kinds = [
        boxes(random, 300, 10),
        boxes(random, 300, 5),
        fields(random, 700),
        fields(random, 100, 5),
        fields(random, 100, 400),
        shapely.difference(fields(random, 300), fields(random, 300, 30)),
        np.array(pairs),
    ]
    return np.concatenate(kinds)


def raster(dtype="uint16", seed=5):
    """Fields with noise and 3 % nodata in patches."""
    random = np.random.default_rng(seed)
    band = np.kron(random.integers(10, 120, (SIZE // 20, SIZE // 20)), np.ones((20, 20), int))
    band = band * (1 if dtype == "uint8" else 25) + random.integers(0, 60 if dtype == "uint8" else 400, band.shape)
    band[np.kron(random.random((SIZE // 5, SIZE // 5)) < 0.03, np.ones((5, 5), bool))] = 0
    return band.astype(dtype)


def as_arrays(table):
    return {name: table[name].to_numpy().astype(float) for name in zonal.STATISTICS}


def assert_same(ours, reference, exact=("count", "min", "max")):
    for name, expected in reference.items():
        limits = {"rtol": 0, "atol": 0} if name in exact else {"rtol": 1e-6, "atol": 1e-9}
        np.testing.assert_allclose(ours[name], expected, **limits, err_msg=name)


def from_rasterstats(shapes, array, transform, nodata=0):
    answers = rasterstats.zonal_stats(
        list(shapes), array, affine=transform, nodata=nodata, all_touched=False, stats=" ".join(REFERENCE)
    )
    names = zip(zonal.STATISTICS, REFERENCE, strict=True)
    return {ours: np.array([a[theirs] for a in answers], float) for ours, theirs in names}


def from_numpy(groups):
    """The statistics of lists of values by numpy alone."""
    rows = []
    for values in (np.asarray(group, float) for group in groups):
        if len(values):
            extremes = values.mean(), values.std(), values.min(), values.max()
            rows.append([len(values), *extremes, *np.percentile(values, [25, 50, 75])])
        else:
            rows.append([0, *[np.nan] * 7])
    return dict(zip(zonal.STATISTICS, np.array(rows).T, strict=True))


def of_groups(groups, dtype, nodata=None, threads=1):
    """Our statistics of lists of values, as a gathered pool."""
    offsets = np.cumsum([0, *(len(group) for group in groups)])
    pool = np.concatenate([np.asarray(group, dtype) for group in groups])
    return as_arrays(zonal.pool_statistics(pool, offsets, nodata, threads=threads))


@pytest.mark.thorough
def test_two_thousand_parcels_equal_rasterstats():
    shapes, band = parcels(), raster()
    assert_same(as_arrays(zonal.zonal_stats(shapes, band, UTM)), from_rasterstats(shapes, band, UTM))


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_equals_rasterstats(dtype):
    shapes, band = parcels()[::20], raster(dtype)
    # rasterstats sums float32 in float32, so it is given the same values in float64
    reference = from_rasterstats(shapes, band.astype("float64" if dtype == "float32" else dtype), UTM)
    assert_same(as_arrays(zonal.zonal_stats(shapes, band, UTM)), reference)


def test_the_statistics_of_a_parcel_are_those_worked_out_by_hand():
    band = np.array([[1, 2, 9], [3, 6, 9], [9, 9, 9]], np.uint16)
    table = zonal.zonal_stats([shapely.box(0, 0, 2, 2)], band, PIXEL)
    (row,) = table.to_pylist()
    assert row == pytest.approx(
        {"count": 4, "mean": 3.0, "std": 3.5**0.5, "min": 1, "max": 6, "p25": 1.75, "p50": 2.5, "p75": 3.75}
    )
    assert table.schema.names == list(zonal.STATISTICS)
    assert table.schema.types == [pa.int32()] + [pa.float64()] * 7


def test_a_parcel_without_pixels_has_count_zero_and_nan():
    band = np.array([[0, 0], [5, 5]], np.uint8)
    shapes = [None, shapely.box(0, 0, 2, 1), shapely.box(7, 7, 9, 9), shapely.box(0, 1, 2, 2)]
    table = zonal.zonal_stats(shapes, band, PIXEL)
    assert table["count"].to_pylist() == [0, 0, 0, 2]
    for name in zonal.STATISTICS[1:]:
        assert np.isnan(table[name].to_numpy()).tolist() == [True, True, True, False]


def test_overlapping_parcels_each_count_the_shared_pixels():
    band = np.arange(1, 17, dtype=np.int16).reshape(4, 4)
    shapes = [shapely.box(0, 0, 4, 4), shapely.box(0, 0, 2, 2), shapely.box(1, 1, 4, 4), shapely.box(0, 0, 2, 2)]
    table = zonal.zonal_stats(shapes, band, PIXEL)
    assert table["count"].to_pylist() == [16, 4, 9, 4]
    assert table["mean"].to_pylist() == [8.5, 3.5, 11.0, 3.5]


@pytest.mark.parametrize(
    ("dtype", "nodata", "count"),
    [
        ("int16", -9999, 3),
        ("int16", 0, 3),
        ("int16", None, 4),
        ("uint16", -9999, 4),
        ("uint8", 300, 4),
        ("uint8", 0.5, 4),
        ("int32", float("nan"), 4),
        ("float32", float("nan"), 4),
        ("float64", -9999, 3),
    ],
)
def test_only_pixels_with_the_nodata_value_are_left_out(dtype, nodata, count):
    values = [5, 7, 8, -9999 if nodata == -9999 and dtype != "uint16" else 0]
    assert of_groups([values], dtype, nodata)["count"] == count


def test_nan_never_counts_and_infinity_does():
    ours = of_groups([[np.nan, 1, 2, np.nan], [np.nan], [3, np.inf], [*range(60), np.nan]], "float32", nodata=0)
    assert ours["count"].tolist() == [2, 0, 2, 59]
    assert ours["min"].tolist()[:1] == [1]
    assert ours["max"][2] == np.inf
    assert ours["p50"].tolist()[::3] == [1.5, 30.0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_statistics_of_any_number_of_values_equal_numpy(dtype):
    random = np.random.default_rng(3)
    top = np.iinfo(dtype).max if np.dtype(dtype).kind != "f" else 30000
    lengths = [*range(1, 90), 255, 256, 257, 1000, 1023, 1025, 5000, 70000]
    groups = [random.integers(0, random.integers(1, top), n).astype(dtype) for n in lengths]
    groups += [np.append(group, top).astype(dtype) for group in groups]  # far from the rest: one bin has nearly all
    groups += [np.full(n, top, dtype) for n in (1, 2, 100)]
    assert_same(of_groups(groups, dtype), from_numpy(groups))


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32"])
def test_percentiles_equal_numpy_on_both_sides_of_the_widest_range_that_is_counted_exactly(dtype):
    random = np.random.default_rng(6)
    low = 0 if dtype == "uint16" else -3000
    spans = [1, 2, 31, 32, 33, 63, 64, ragged.EXACT - 2, ragged.EXACT - 1, ragged.EXACT, ragged.EXACT + 1, 9000]
    lengths = [25, 26, 27, 28, ragged.EXACT // ragged.SPARSE, ragged.EXACT // ragged.SPARSE + 1, 1001]
    groups = [np.append(random.integers(low, low + span + 1, n), [low, low + span]) for span in spans for n in lengths]
    groups += [[low] * 40 + [low + span] * (40 + odd) for span in spans for odd in range(4)]  # a gap about the median
    assert_same(of_groups(groups, dtype), from_numpy([np.asarray(group, dtype) for group in groups]))


def test_skewed_and_real_numbers_equal_numpy():
    random = np.random.default_rng(4)
    groups = [random.lognormal(0, 3, n) for n in (30, 100, 3000)] + [
        random.normal(-20, 1e-9, 500),
        [1e-310, 5e-324] * 40,
    ]
    groups += [np.concatenate([random.normal(0, 1e-3, 400), [1e150]])]
    reference = from_numpy(groups)
    assert_same(of_groups(groups, "float64"), reference)


def test_a_parcel_of_full_range_int32_does_not_overflow():
    values = [-(2**31), 2**31 - 1] * 3000
    assert_same(of_groups([values], "int32"), from_numpy([values]))


@settings(max_examples=150, deadline=None)
@given(arrays.arrays(np.int16, st.integers(1, 200), elements=st.integers(-300, 300)), st.integers(-300, 300))
def test_any_values_equal_numpy(values, nodata):
    assert_same(of_groups([values], "int16", nodata), from_numpy([values[values != nodata]]))


def test_the_pool_and_the_array_give_the_same_whatever_the_blocks_and_threads():
    shapes, band = parcels()[::7], raster()
    index = zonal.build_index(shapes, UTM, band.shape)
    plan = index.blocks((64, 50))
    pool = plan.new_pool(band.dtype)
    for i, block in enumerate(plan):
        plan.gather(band[block.row : block.row + block.height, block.col : block.col + block.width], i, pool)
    expected = as_arrays(zonal.statistics(index, band))
    for threads in (1, 2):
        assert_same(as_arrays(zonal.pool_statistics(pool, plan.offsets, threads=threads)), expected, zonal.STATISTICS)
        assert_same(as_arrays(zonal.statistics(index, band, threads=threads)), expected, zonal.STATISTICS)


def test_statistics_leave_the_pool_as_it_was():
    pool = np.array([0, 3, 0, 1], np.uint16)
    zonal.pool_statistics(pool, np.array([0, 4]))
    assert pool.tolist() == [0, 3, 0, 1]


def test_many_batches_give_what_one_gives(monkeypatch):
    shapes, band = parcels()[::7], raster()
    index = zonal.build_index(shapes, UTM, band.shape)
    expected = as_arrays(zonal.statistics(index, band))
    monkeypatch.setattr(centre, "BATCH", 100)
    assert_same(as_arrays(zonal.statistics(index, band)), expected, zonal.STATISTICS)


def test_a_view_that_is_not_contiguous_is_read_rightly():
    band = np.arange(200, dtype=np.uint16).reshape(10, 20)[:, ::2]
    table = zonal.zonal_stats([shapely.box(0, 0, 2, 2)], band, PIXEL, nodata=None)
    assert table["max"].to_pylist() == [22.0]


def test_big_endian_pixels_are_read_rightly():
    band = np.arange(1, 10, dtype=">u2").reshape(3, 3)
    assert zonal.zonal_stats([shapely.box(0, 0, 3, 3)], band, PIXEL)["mean"].to_pylist() == [5.0]


def test_classes_are_counted_in_every_parcel():
    scl = np.array([[4, 4, 5], [8, 9, 5], [0, 3, 77]], np.uint8)
    shapes = [shapely.box(0, 0, 3, 3), shapely.box(0, 0, 2, 2), None]
    index = zonal.build_index(shapes, PIXEL, scl.shape)
    table = zonal.histogram(index, scl)
    assert table.schema.names == [str(n) for n in range(12)]
    assert set(table.schema.types) == {pa.int32()}
    assert [table[name].to_pylist() for name in ("0", "4", "5", "9", "11")] == [
        [1, 0, 0],
        [2, 2, 0],
        [2, 0, 0],
        [1, 1, 0],
        [0, 0, 0],
    ]
    assert zonal.histogram(index, scl.astype(np.int32), classes=[77, 4]).to_pydict() == {
        "77": [1, 0, 0],
        "4": [2, 2, 0],
    }


def test_a_class_beyond_the_dtype_is_counted_as_none():
    index = zonal.build_index([shapely.box(0, 0, 1, 1)], PIXEL, (1, 1))
    assert zonal.histogram(index, np.array([[255]], np.uint8), classes=[-1, 511]).to_pydict() == {"-1": [0], "511": [0]}


def test_bad_input_is_refused_with_what_to_do():
    index = zonal.build_index([shapely.box(0, 0, 1, 1)], PIXEL, (4, 5))
    with pytest.raises(InvalidInputError, match="build another"):
        zonal.statistics(index, np.zeros((5, 4), np.uint8))
    with pytest.raises(InvalidInputError, match="convert it to one of"):
        zonal.statistics(index, np.zeros((4, 5), np.int64))
    with pytest.raises(InvalidInputError, match="give one band"):
        zonal.zonal_stats([], np.zeros((2, 4, 5), np.uint8), PIXEL)
    with pytest.raises(InvalidInputError, match="choose 'centre' or 'coverage'"):
        zonal.zonal_stats([], np.zeros((4, 5), np.uint8), PIXEL, method="all")
    with pytest.raises(InvalidInputError, match="gather it anew"):
        zonal.pool_statistics(np.zeros(3, np.uint8), np.array([0, 4]))
    with pytest.raises(InvalidInputError, match="integer array"):
        zonal.histogram(index, np.zeros((4, 5), np.float32))


def test_coverage_weighs_pixels_by_their_share():
    band = np.array([[1, 2], [0, 4]], np.uint16)
    shapes = [shapely.box(0.5, 0, 1.25, 1), None, shapely.box(0, 0, 2, 2), shapely.box(8, 8, 9, 9), shapely.Point(1, 1)]
    table = zonal.zonal_stats(shapes, band, PIXEL, method="coverage")
    assert table.schema.names == list(zonal.STATISTICS)
    assert table["count"].to_pylist() == [0.75, 0.0, 3.0, 0.0, 0.0]
    assert table["mean"].to_pylist()[0] == pytest.approx((0.5 * 1 + 0.25 * 2) / 0.75)
    assert table["mean"].to_pylist()[2] == pytest.approx(7 / 3)
    assert np.isnan(table["p50"].to_numpy()[[1, 3, 4]]).all()


@pytest.mark.parametrize(
    "transform", [UTM, Affine(10, 0, 600000, 0, 10, 4997040), Affine(-10, 0, 603000, 0, -10, 5000040)]
)
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_coverage_agrees_with_the_centre_rule_on_whole_pixels_on_every_grid(transform, dtype):
    shapes, band = boxes(np.random.default_rng(2), 50, 10), raster(dtype)
    ours, weighted = (zonal.zonal_stats(shapes, band, transform, method=m) for m in ("centre", "coverage"))
    names = ("count", "mean", "std", "min", "max")
    ours, weighted = as_arrays(ours), as_arrays(weighted)
    assert_same(weighted, {name: ours[name] for name in names}, exact=())


def test_without_exactextract_coverage_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "exactextract", None)
    with pytest.raises(ConfigError, match=r"pip install 'cbm-lake\[exact\]'"):
        zonal.zonal_stats([], np.zeros((2, 2), np.uint8), PIXEL, method="coverage")


@pytest.mark.thorough
def test_warming_up_compiles_all_that_statistics_need():
    zonal.warm_up()
    assert zonal.warm_up() < 2.0


def test_real_parcels_on_a_real_scene_equal_rasterstats(realdata):
    import geopandas as gpd
    import rasterio

    area = realdata / "s2_herault_2018"
    with rasterio.open(sorted((area / "tif").rglob("*B04*.tif"))[-1]) as source:
        band, transform, crs = source.read(1), source.transform, source.crs
    shapes = gpd.read_parquet(area / "parcels.parquet").to_crs(crs).geometry
    index = zonal.build_index(shapes, transform, band.shape)
    assert index.pixel_count > 1000
    assert_same(as_arrays(zonal.statistics(index, band)), from_rasterstats(shapes, band, transform))


@pytest.mark.parametrize("nodata", [-3.4e38, -9999.9, 0.1, -3.4028234663852886e38, 1e300, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nodata_counts_nowhere_though_it_has_more_digits_than_the_pixels(nodata, dtype):
    array = np.arange(1, 101).reshape(10, 10).astype(dtype)
    with np.errstate(over="ignore"):
        stored = np.float64(nodata).astype(dtype)
    array[:5] = stored if np.isinf(stored) == np.isinf(nodata) else 7
    place = Affine(10, 0, 600000, 0, -10, 5000000)
    square = shapely.box(600000, 4999900, 600100, 5000000)
    expected = rasterstats.zonal_stats([square], array, affine=place, nodata=stored, stats="count mean")[0]
    table = zonal.zonal_stats([square], array, place, nodata=nodata)
    assert table["count"].to_pylist() == [expected["count"]]
    assert table["mean"].to_pylist() == pytest.approx([expected["mean"]])


# -- what callers bring ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*DTYPES, "int8", "uint32", "float16"])
@pytest.mark.parametrize("method", ["centre", "coverage"])
@pytest.mark.parametrize("nodata", [None, 0, 7, 0.1, -9999, -9999.9, 3e38, 1e300, np.inf, -np.inf, np.nan, 70_000])
def test_nodata_is_compared_in_the_type_of_the_raster(dtype, method, nodata):
    band = np.arange(1, 101, dtype=dtype).reshape(10, 10)
    stored = None
    if nodata is not None:
        with np.errstate(all="ignore"):
            if np.dtype(dtype).kind == "f":
                stored = np.float64(nodata).astype(dtype)
                possible = np.isfinite(stored) == np.isfinite(nodata)
            else:
                limits = np.iinfo(dtype)
                possible = limits.min <= nodata <= limits.max and float(nodata).is_integer()
                stored = np.dtype(dtype).type(int(nodata)) if possible else None
        if possible:
            band[:3] = stored
        else:
            stored = None
    valid = np.ones(band.shape, bool) if stored is None else ~((band == stored) | np.isnan(band))
    table = zonal.zonal_stats(shapely.box(0, 0, 10, 10), band, PIXEL, nodata=nodata, method=method)
    assert table["count"].to_pylist() == [valid.sum()]
    assert table["mean"].to_pylist() == pytest.approx([band[valid].astype(float).mean()], rel=1e-6)
    assert table["min"].to_pylist() == [band[valid].min()]


@pytest.mark.parametrize("dtype", [*DTYPES, "int8", "uint32", "float16"])
@pytest.mark.parametrize("method", ["centre", "coverage"])
@pytest.mark.parametrize("nodata", [None, 0, 5, -1, 0.5, np.nan])
def test_masked_pixels_of_a_masked_array_do_not_count(dtype, method, nodata):
    random = np.random.default_rng(8)
    band = random.integers(0, 100, (20, 20)).astype(dtype)
    masked = np.ma.masked_array(band, random.random(band.shape) < 0.3)
    valid = ~masked.mask if nodata is None else ~masked.mask & (band != nodata)
    table = zonal.zonal_stats([shapely.box(0, 0, 20, 20)], masked, PIXEL, nodata=nodata, method=method)
    (row,) = table.to_pylist()
    assert (row["count"], row["min"], row["max"]) == (valid.sum(), band[valid].min(), band[valid].max())
    assert row["mean"] == pytest.approx(band[valid].astype(float).mean())
    assert np.ma.is_masked(masked)  # the caller's array is as it was
    assert (masked.data == band).all()


def test_a_masked_array_without_masked_pixels_is_an_array():
    band = np.ma.masked_array(np.arange(1, 10, dtype="uint16").reshape(3, 3))
    assert zonal.zonal_stats(shapely.box(0, 0, 3, 3), band, PIXEL)["mean"].to_pylist() == [5.0]


@pytest.mark.parametrize("method", ["centre", "coverage"])
def test_geometries_come_in_every_usual_form(method):
    import geopandas as gpd

    shapes = [shapely.box(0, 0, 2, 2), shapely.box(1, 1, 4, 4)]
    series = gpd.GeoSeries(shapes, index=["b", "a"], crs=32631)
    many = [
        shapes,
        tuple(shapes),
        np.array(shapes),
        series,
        gpd.GeoDataFrame({"x": [1, 2]}, geometry=list(shapes)),
        gpd.GeoDataFrame({"x": [1, 2]}, geometry=list(shapes)).rename_geometry("outline"),
        series.to_wkb(),
        pa.array(shapely.to_wkb(shapes)),
        pa.chunked_array([pa.array(shapely.to_wkb(shapes))]),
        (s for s in shapes),
    ]
    band = np.arange(1, 26, dtype="uint8").reshape(5, 5)
    for form in many:
        assert zonal.zonal_stats(form, band, PIXEL, method=method)["count"].to_pylist() == [4, 9]
    for one in (shapes[0], shapes[0].wkb, shapely.MultiPolygon([shapes[0]])):
        assert zonal.zonal_stats(one, band, PIXEL, method=method)["count"].to_pylist() == [4]


def test_a_transform_may_be_six_numbers_in_the_order_of_affine_only():
    band, shape = np.ones((4, 4), "uint8"), shapely.box(600_000, 5_000_000, 600_020, 5_000_040)
    for form in (UTM, tuple(UTM)[:6], tuple(UTM), list(UTM)[:6], np.array(UTM)[:6]):
        for method in ("centre", "coverage"):
            assert zonal.zonal_stats(shape, band, form, method=method)["count"].to_pylist() == [8]
    for wrong, said in (
        (UTM.to_gdal(), r"GDAL's order: give Affine.from_gdal"),
        ((0, 10, 0, 0, 0, -10), "GDAL's order"),
        ((0, 10, 0, 40, 0, -10), "GDAL's order"),
        ((10, 0, 1), "no transform"),
        ("abcdef", "no transform"),
        (None, "no transform"),
        ((10, 0, np.nan, 0, -10, 1), "rotated or has no pixel size"),
        (Affine.rotation(30) * UTM, "rotated"),
    ):
        for method in ("centre", "coverage"):
            with pytest.raises(InvalidInputError, match=said):
                zonal.zonal_stats(shape, band, wrong, method=method)


@pytest.mark.parametrize("method", ["centre", "coverage"])
def test_an_infinite_geometry_has_no_pixels_and_the_others_have_theirs(method, caplog):
    lost = shapely.from_wkt(["POLYGON ((inf inf, 1 inf, 1 1, inf inf))", "POLYGON ((0 0, 1 1, -inf 1, 0 0))"])
    both = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), lost[0]])
    table = zonal.zonal_stats([lost[0], shapely.box(0, 0, 2, 2), both, *lost], np.ones((3, 3)), PIXEL, method=method)
    assert table["count"].to_pylist() == [0, 4, 0, 0, 0]
    assert "with infinite coordinates have no pixels, first at position 0" in caplog.text


def test_coverage_repairs_what_crosses_or_overlaps_itself_and_says_so(caplog):
    exactextract = pytest.importorskip("exactextract")
    band = np.random.default_rng(4).integers(1, 200, (12, 12)).astype("uint16")
    bow = shapely.Polygon([(1, 1), (11, 11), (11, 1), (1, 11)])
    overlapping = shapely.MultiPolygon([shapely.box(0.5, 0, 7, 12), shapely.box(5, 0, 11.5, 12)])
    outside = shapely.Polygon(shapely.box(2, 2, 9, 9).exterior.coords, [shapely.box(1, 1, 4, 4).exterior.coords])
    table = zonal.zonal_stats([bow, overlapping, outside], band, PIXEL, method="coverage")
    valid = [shapely.make_valid(shape, method="structure") for shape in (bow, overlapping, outside)]
    again = zonal.zonal_stats(valid, band, PIXEL, method="coverage")
    assert table["count"].to_pylist() == pytest.approx([shape.area for shape in valid])
    assert table.equals(again)
    assert "3 geometries were invalid and are repaired, first at position 0" in caplog.text
    assert exactextract is not None


def test_coverage_of_any_small_polygon_equals_exactextract():
    import geopandas as gpd
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    random = np.random.default_rng(9)
    band = random.integers(1, 5000, (30, 30)).astype("float64")
    x, y = random.uniform(0, 29, (2, 200))
    size = np.exp(random.uniform(np.log(1e-3), np.log(1.5), 200))
    shapes = shapely.box(x, y, x + size, y + size * random.uniform(0.02, 1, 200))
    frame = gpd.GeoDataFrame(
        geometry=[shapely.transform(s, lambda xy: xy * [1, -1] + [0, 30]) for s in shapes], crs=32631
    )
    source = NumPyRasterSource(band, 0, 0, 30, 30, srs_wkt=frame.crs.to_wkt())
    right = exact_extract(source, frame, ["count", "mean"], output="pandas")
    ours = zonal.zonal_stats(shapes, band, PIXEL, method="coverage")
    np.testing.assert_allclose(ours["count"], right["count"], rtol=1e-6)
    np.testing.assert_allclose(ours["mean"], right["mean"], rtol=1e-6)
    assert (np.asarray(ours["count"]) > 0).all()
