"""Statistics asked for by name: any quantile equals numpy's, by both rules, and shares are of whole parcels."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from rasterstats import zonal_stats as rasterstats

from cbm_lake import cards, zonal
from cbm_lake.cards import statistics
from cbm_lake.errors import InvalidInputError
from cbm_lake.zonal import ragged, values
from cbm_lake.zonal.columns import Columns
from cbm_lake.zonal.compiled import frozen

UTM = Affine(10, 0, 600000, 0, -10, 5000000)
SIZE = 40
ASKED = ("p10", "p90", "valid_share")
LIMITS = {"uint8": (0, 255), "uint16": (0, 65535), "int16": (-32768, 32767), "int32": (-(2**31), 2**31 - 1)}


def described(parcels, nodata, probabilities):
    """What the kernel gives of parcels' values (count first, quantiles from row 5), by their probabilities."""
    pool = np.concatenate([np.asarray(parcel) for parcel in parcels])
    offsets = np.cumsum([0, *map(len, parcels)], dtype=np.int64)
    result = np.empty((ragged.QUANTILES + len(probabilities), len(parcels)))
    result[ragged.QUANTILES :] = np.reshape(probabilities, (-1, 1))
    widened = pool.astype(values.kind(pool))
    ragged.describe(frozen(widened), frozen(offsets), values.missing(nodata, pool), result)
    return result


@st.composite
def parcels_of_values(draw):
    """Parcels of one dtype: few and many values, in narrow and wide ranges, with values that repeat."""
    dtype = draw(st.sampled_from([*LIMITS, "float32", "float64"]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parcels = []
    for _ in range(draw(st.integers(1, 4))):
        number = draw(st.sampled_from([0, 1, 2, 23, 24, 25, 26, 40, 300, 1500]))
        if dtype in LIMITS:
            low, high = LIMITS[dtype]
            span = draw(st.sampled_from([1, 2, 33, 200, 5000, 60000, high - low]))
            start = random.integers(low, max(low, high - span), endpoint=True)
            parcels.append(random.integers(start, min(start + span, high), number, endpoint=True).astype(dtype))
        else:
            parcel = (10 ** random.uniform(-3, 4) * random.standard_normal(number)).astype(dtype)
            parcels.append(np.where(random.random(number) < 0.2, random.choice([0, np.nan, 7]), parcel).astype(dtype))
    return parcels


PROBABILITIES = st.lists(
    st.floats(0, 1) | st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0]), max_size=9
).map(sorted)


@settings(max_examples=300)
@given(parcels_of_values(), PROBABILITIES, st.sampled_from([None, 0, 7]))
def test_any_quantiles_of_any_values_equal_numpys(parcels, probabilities, nodata):
    result = described(parcels, nodata, probabilities)
    for parcel, column in zip(parcels, result.T, strict=True):
        valid = parcel[~np.isnan(parcel)] if parcel.dtype.kind == "f" else parcel
        valid = valid.astype(np.float64)[valid != nodata] if nodata is not None else valid.astype(np.float64)
        assert column[0] == len(valid)
        if len(valid):
            expected = np.quantile(valid, probabilities) if probabilities else []
            np.testing.assert_allclose(column[ragged.QUANTILES :], expected, rtol=1e-12, atol=1e-12 * np.ptp(valid))
        else:
            assert np.isnan(column[1:]).all()


@pytest.mark.parametrize("number", [25, 26, 27, 30, 100])
def test_quantiles_that_share_a_bin_or_lie_a_rank_apart_are_right(number):
    probabilities = np.linspace(0, 1, 4 * number + 1)
    wide = np.arange(number, dtype=np.int32) * 70_001
    for parcel in (wide, wide[::-1], wide.astype(np.float64), np.repeat(wide, 2)[:number]):
        result = described([parcel], None, probabilities)
        np.testing.assert_allclose(result[ragged.QUANTILES :, 0], np.quantile(parcel, probabilities), rtol=1e-13)


def shapes_and_band(seed, dtype="uint16"):
    """Polygons of some pixels, some beyond the edges, and a band a tenth of which has no data."""
    random = np.random.default_rng(seed)
    band = random.integers(1, 9000, (SIZE, SIZE)).astype(dtype)
    band[random.random(band.shape) < 0.1] = 0
    centres = random.uniform(-2, SIZE + 2, (12, 2)) * 10
    shapes = []
    for x, y in centres:
        angles = np.sort(random.uniform(0, 2 * np.pi, 9))
        reach = random.uniform(10, 80, 9)
        ring = np.column_stack([600000 + x + reach * np.cos(angles), 5000000 - y + reach * np.sin(angles)])
        shapes.append(shapely.buffer(shapely.Polygon(ring), 0))
    return shapes, band


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_by_centre_percentiles_equal_rasterstats_and_shares_pixels_of_the_whole_geometry(seed):
    shapes, band = shapes_and_band(seed)
    table = zonal.zonal_stats(shapes, band, UTM, statistics=ASKED)
    assert table.column_names == list(ASKED)
    truth = rasterstats(shapes, band, affine=UTM, nodata=0, stats="count percentile_10 percentile_90")
    margin = 30
    around = UTM * Affine.translation(-margin, -margin)
    for row, expected, shape in zip(table.to_pylist(), truth, shapes, strict=True):
        whole = 0
        if not shape.is_empty:
            whole = rasterize([shape], (SIZE + 2 * margin, SIZE + 2 * margin), transform=around).sum()
        touching = shape.intersects(shapely.box(600000, 5000000 - 10 * SIZE, 600000 + 10 * SIZE, 5000000))
        if not (whole and touching):
            assert np.isnan(row["valid_share"]) or row["valid_share"] == 0
            continue
        assert row["valid_share"] == pytest.approx(expected["count"] / whole)
        if expected["count"]:
            assert row["p10"] == pytest.approx(expected["percentile_10"])
            assert row["p90"] == pytest.approx(expected["percentile_90"])


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["uint16", "float32"]))
def test_by_coverage_they_equal_exactextract_and_areas(seed, dtype):
    shapes, band = shapes_and_band(seed, dtype)
    table = zonal.zonal_stats(shapes, band, UTM, method="coverage", statistics="p10,p90,valid_share")
    source = NumPyRasterSource(band.astype(float), 600000, 5000000 - 10 * SIZE, 600000 + 10 * SIZE, 5000000, nodata=0)
    for row, shape in zip(table.to_pylist(), shapes, strict=True):
        if shape.is_empty:
            continue
        feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
        operations = ["count", "quantile(q=0.1)", "quantile(q=0.9)"]
        expected = exact_extract(source, [feature], operations, output="pandas").iloc[0]
        assert row["valid_share"] == pytest.approx(min(expected["count"] / (shape.area / 100), 1), abs=1e-6)
        if expected["count"]:
            assert row["p10"] == pytest.approx(expected["quantile_10"], rel=1e-6)
            assert row["p90"] == pytest.approx(expected["quantile_90"], rel=1e-6)


@pytest.mark.parametrize("method", ["centre", "coverage"])
def test_columns_are_those_asked_for_in_one_order_whatever_the_call(method):
    shapes, band = shapes_and_band(4)
    every = zonal.zonal_stats(shapes, band, UTM, method=method, statistics=cards.STATISTICS)
    assert every.column_names == list(cards.STATISTICS)
    for asked in (["p90", "count"], "p90,count", ("count", "p90", "count"), iter(["p90", "count"])):
        some = zonal.zonal_stats(shapes, band, UTM, method=method, statistics=asked)
        assert some.column_names == ["count", "p90"]
        for name in some.column_names:
            np.testing.assert_array_equal(some[name], every[name])
    usual = zonal.zonal_stats(shapes, band, UTM, method=method)
    assert usual.column_names == list(zonal.STATISTICS) == list(statistics.STORED)


@pytest.mark.parametrize("threads", [1, 3])
def test_pools_and_arrays_give_the_same(threads):
    shapes, band = shapes_and_band(5)
    index = zonal.build_index(shapes, UTM, band.shape)
    plan = index.blocks((16, 16))
    pool = plan.new_pool(band.dtype)
    for i, block in enumerate(plan):
        plan.gather(np.ascontiguousarray(band[block.row :, block.col :][: block.height, : block.width]), i, pool)
    pooled = zonal.pool_statistics(pool, plan.offsets, statistics=cards.STATISTICS, threads=threads)
    for name, column in zip(pooled.column_names, pooled.columns, strict=True):
        expected = zonal.statistics(index, band, statistics=cards.STATISTICS, threads=threads)[name]
        np.testing.assert_array_equal(column, expected)


def test_geometries_may_be_an_iterator_also_where_shares_are_asked_for():
    shapes, band = shapes_and_band(6)
    expected = zonal.zonal_stats(shapes, band, UTM, statistics=ASKED)
    assert zonal.zonal_stats(iter(shapes), band, UTM, statistics=ASKED).to_pydict().keys() == {*ASKED}
    for name in ASKED:
        np.testing.assert_array_equal(
            zonal.zonal_stats(iter(shapes), band, UTM, statistics=ASKED)[name], expected[name]
        )


def test_a_parcel_without_valid_pixels_has_a_share_of_0_and_no_percentiles():
    band = np.zeros((5, 5), np.uint16)
    row = zonal.zonal_stats(shapely.box(600000, 4999960, 600040, 5000000), band, UTM, statistics=ASKED).to_pylist()[0]
    assert row["valid_share"] == 0
    assert np.isnan(row["p10"])


@pytest.mark.parametrize("method", ["centre", "coverage"])
@pytest.mark.parametrize("asked", ["p11", ["mean", "percentile_10"], [10], 10])
def test_an_unknown_statistic_is_refused_by_name(asked, method):
    shapes, band = shapes_and_band(1)
    with pytest.raises(InvalidInputError, match=r"no statistic .*(p11|percentile_10|10).*choose from count, mean"):
        zonal.zonal_stats(shapes, band, UTM, method=method, statistics=asked)


@pytest.mark.parametrize("method", ["centre", "coverage"])
def test_a_statistic_more_is_one_line_of_data(method, monkeypatch):
    more = {
        "p05": statistics.Statistic("p05", "5th percentile", shifts=True, quantile=0.05),
        "range": statistics.Statistic("range", "range", formula=np.subtract, of=("max", "min")),
        "spread": statistics.Statistic("spread", "inner range", formula=np.subtract, of=("p90", "p10")),
    }
    every = {**statistics.STATISTICS, **more}
    monkeypatch.setattr(statistics, "STATISTICS", every)
    monkeypatch.setattr("cbm_lake.zonal.columns.STATISTICS", every)
    shapes, band = shapes_and_band(7)
    table = zonal.zonal_stats(shapes, band, UTM, method=method, statistics="min,max,p05,p10,p90,range,spread")
    columns = {name: table[name].to_numpy() for name in table.column_names}
    np.testing.assert_array_equal(columns["range"], columns["max"] - columns["min"])
    np.testing.assert_array_equal(columns["spread"], columns["p90"] - columns["p10"])
    assert (columns["p05"] <= columns["p10"])[~np.isnan(columns["p10"])].all()
    assert zonal.zonal_stats(shapes, band, UTM, method=method, statistics="spread").column_names == ["spread"]


def test_kernels_are_asked_for_each_quantile_once_in_ascending_order():
    columns = Columns.of("p90,p10,p50")
    assert columns.probabilities.tolist() == [0.1, 0.5, 0.9]
    assert not columns.need_pixels
    assert Columns.of("valid_share").need_pixels


def test_every_statistic_is_a_summary_a_quantile_or_a_formula():
    for name, statistic in cards.STATISTICS.items():
        kinds = (name in statistics.SUMMARY, statistic.quantile is not None, statistic.formula is not None)
        assert sum(kinds) == 1, name
        assert statistic.dtype in ("int32", "float32")
        assert statistic.name == name
    assert sorted(statistics.SERIES) == sorted(statistics.STORED)
    assert statistics.STORED == ("count", "mean", "std", "min", "max", "p25", "p50", "p75")


def test_the_table_in_the_documentation_has_every_statistic_as_it_is_described():
    text = (Path(__file__).parents[2] / "docs" / "science.md").read_text("utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `") and line.count(" | ") == 2]
    documented = {name.strip("| `"): (description, stored.strip(" |")) for name, description, stored in rows}
    for name, statistic in cards.STATISTICS.items():
        description, stored = documented[name]
        assert description.startswith(statistic.description)
        assert stored == ("always" if statistic.stored else "on demand")
