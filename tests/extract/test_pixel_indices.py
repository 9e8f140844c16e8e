"""Indices pixel by pixel: their statistics equal numpy on harmonised pixels of one grid; seen by every reader."""

import json

import awkward_parcels as ground
import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine
from deltalake import DeltaTable
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from typer.testing import CliRunner

from cbm_lake import cards, extract, get, show, zonal
from cbm_lake.cli import app
from cbm_lake.demo import sample
from cbm_lake.demo.landscape import WEST
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.extract import jobparcels
from cbm_lake.extract.pixelindices import PixelIndices
from cbm_lake.lake import Lake, queries
from cbm_lake.lake.database import rows as rows_of
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.sources import LakeSource, Statistics, wire
from cbm_lake.zonal import finer

pytestmark = pytest.mark.thorough


ALL = {"start": "2024-01-01", "end": "2024-12-31"}
SETS = {("utm", 2024): 32631, ("degrees", 2024): 4326, ("utm", 2023): 32631}
INDICES = ("ndvi", "ndmi", "bsi", "evi")
STORED = cards.statistics.STORED
BANDS = {
    "ndvi": ("B04", "B08"),
    "ndmi": ("B08", "B11"),
    "bsi": ("B02", "B04", "B08", "B11"),
    "evi": ("B02", "B04", "B08"),
}


def formula(name, b):
    """The index of reflectances, written out, and the denominator that must be positive."""
    if name == "ndvi":
        return b["B08"] - b["B04"], b["B08"] + b["B04"]
    if name == "ndmi":
        return b["B08"] - b["B11"], b["B08"] + b["B11"]
    if name == "bsi":
        bright, dark = b["B11"] + b["B04"], b["B08"] + b["B02"]
        return bright - dark, bright + dark
    return 2.5 * (b["B08"] - b["B04"]), b["B08"] + 6 * b["B04"] - 7.5 * b["B02"] + 1


def spoilt(season):
    """The season with pixels that have no data, that are dark, and that are no measurement, in some of its bands."""
    rng = np.random.default_rng(7)
    items = json.loads(season.items["s2"].read_text())["features"]
    for item in items:
        for band in ("B02", "B04", "B08", "B11"):
            href = (
                item["assets"][band]["href"]
                if band in item["assets"]
                else next(asset["href"] for asset in item["assets"].values() if asset["href"].endswith(f"{band}.tif"))
            )
            with rasterio.open(href) as file:
                pixels, profile = file.read(1), file.profile
            for value, share in ((0, 0.01), (40_000, 0.005), (1, 0.01), (700, 0.02)):
                pixels[rng.random(pixels.shape) < share] = value
            pixels[20:30, 20:30] = 1001  # every band is dark there
            with rasterio.open(href, "w", **{**profile, "driver": "GTiff"}) as file:
                file.write(pixels, 1)
    return season


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return spoilt(sample.write(tmp_path_factory.mktemp("season"), dates=2, size=128))


@pytest.fixture(scope="module")
def lake(season, tmp_path_factory):
    """A lake with indices in one of its sets with an inner buffer, and in one set of another year none."""
    lake = ground.fill(tmp_path_factory.mktemp("indices"), season, SETS, cards=["s2"])
    for (aoi, year), asked in zip(SETS, (INDICES, "NDVI, ndmi", ()), strict=True):
        margin = 5 if aoi == "degrees" else 0
        key = {"aoi": aoi, "year": year, "bands": ["B04"], "inner_buffer": margin}
        extract.s2(**ALL, **key, indices=asked, workers=0, lake=lake)
    return lake


def index_pixels(lake, scene, name):
    """The index of every pixel of a scene on the coarsest grid of its bands, NaN where it has none; its transform."""
    bands, transforms = {}, []
    for band in BANDS[name]:
        pixels, transform, offset = ground.read(lake, scene, band)
        bands[band] = np.where(pixels > 32_767, np.nan, ground.harmonised(pixels, offset)) / 10_000
        transforms.append(transform)
    coarse = max(transforms, key=lambda transform: transform.a)
    for band, transform in zip(BANDS[name], transforms, strict=True):
        if transform.a < coarse.a:
            b = bands[band]
            bands[band] = (b[::2, ::2] + b[1::2, ::2] + b[::2, 1::2] + b[1::2, 1::2]) / 4
    above, below = formula(name, bands)
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan), coarse


def of_numpy(values):
    values = values[~np.isnan(values)]
    if not len(values):
        return {"count": 0, **dict.fromkeys(STORED[1:])}
    p25, p50, p75 = np.percentile(values, [25, 50, 75])
    numbers = (len(values), values.mean(), values.std(), values.min(), values.max(), p25, p50, p75)
    return dict(zip(STORED, numbers, strict=True))


# -- right numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INDICES)
def test_the_eight_equal_numpy_on_harmonised_pixels_of_one_grid(lake, name):
    rows, compared, without = ground.rows_of(lake, "utm", 2024), 0, 0
    shapes = ground.loaded(lake, "utm", 2024, ground.EPSG)
    for scene in {scene for scene, _ in rows}:
        values, transform = index_pixels(lake, scene, name)
        for pid, shape in shapes.items():
            if not (row := rows.get((scene, pid))):
                continue
            inside = rasterize([shape], values.shape, transform=transform).astype(bool)
            expected = of_numpy(values[inside])
            assert {s: row[f"{name.upper()}_{s}"] for s in STORED} == {
                s: number if number is None else pytest.approx(number, rel=1e-5, abs=1e-6)
                for s, number in expected.items()
            }
            compared += expected["count"] > 0
            without += expected["count"] < inside.sum()
    assert compared > 20
    assert without > 10


class Bright:
    """A part of the pixels of some parcels: those whose column is even, of every other parcel."""

    def __init__(self, parcels):
        self.parcels = np.arange(0, parcels, 2)

    def pixels(self, index):
        column = np.concatenate([np.arange(c, c + n) for c, n in zip(index.col, index.length, strict=True)])
        ends = index.pixel_offsets
        parts = [np.flatnonzero(column[ends[p] : ends[p + 1]] % 2 == 0) + ends[p] for p in self.parcels]
        return np.concatenate(parts), np.append(0, np.cumsum([len(part) for part in parts]))

    def masked(self, array, transform, nodata):
        first = round((transform.c - WEST) / transform.a)
        return np.where((np.arange(array.shape[1]) + first) % 2 == 0, array, nodata)


@pytest.mark.parametrize("rule", ["centre", "coverage"])
def test_they_can_be_of_a_part_of_the_pixels(season, tmp_path, monkeypatch, rule):
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"])
    taken = {}
    columns = PixelIndices.columns

    def both(self, part=None):
        shapes = ground.loaded(lake, "utm", 2024, ground.EPSG)
        pids = jobparcels.pids(self.pools.job).to_pylist()
        half = Bright(len(pids))
        of_half = {name: values.to_pylist() for name, values in columns(self, half).items()}
        job, keys = self.pools.job, [pids[number] for number in half.parcels]
        taken[job.scene.id] = (keys, [shapes[pid] for pid in keys], of_half)
        return columns(self, part)

    monkeypatch.setattr(PixelIndices, "columns", both)
    key = {"aoi": "utm", "year": 2024, "bands": ["B04"], "rule": rule}
    extract.s2(**ALL, **key, indices="ndvi,ndmi", workers=0, lake=lake)
    for scene, (_, shapes, of_half) in taken.items():
        for name in ("ndvi", "ndmi"):
            values, transform = index_pixels(lake, scene, name)
            values[:, 1::2] = np.nan
            (left, top), (right, bottom) = transform * (0, 0), transform * values.shape[::-1]
            source = NumPyRasterSource(values, left, bottom, right, top)
            frame = gpd.GeoDataFrame(geometry=shapes, crs=ground.EPSG)
            if rule == "centre":
                masks = [rasterize([shape], values.shape, transform=transform).astype(bool) for shape in shapes]
                expected = [of_numpy(values[inside])["mean"] for inside in masks]
            else:
                expected = exact_extract(source, frame, ["mean"], output="pandas")["mean"].to_list()
            for mine, other in zip(of_half[f"{name.upper()}_mean"], expected, strict=True):
                assert (mine or 0) == pytest.approx(0 if other is None or np.isnan(other) else other, rel=1e-4)
    assert taken


def test_with_an_inner_buffer_they_are_of_the_same_pixels_as_the_bands(lake):
    rows = ground.rows_of(lake, "degrees", 2024)
    shapes = ground.loaded(lake, "degrees", 2024, ground.EPSG)
    inside = [(scene, pid) for (scene, pid), row in rows.items() if row["rule"] == "centre, 5 m inside"]
    assert inside
    for scene, pid in inside:
        values, transform = index_pixels(lake, scene, "ndvi")
        pixels = rasterize([shapes[pid].buffer(-5)], values.shape, transform=transform).astype(bool)
        row, expected = rows[scene, pid], of_numpy(values[pixels])
        assert row["NDVI_count"] == expected["count"]
        assert (row["NDVI_p75"] or 0) == pytest.approx(expected["p75"] or 0, rel=1e-5)


def test_by_coverage_they_equal_exactextract_on_the_index(season, tmp_path):
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"])
    key = {"aoi": "utm", "year": 2024, "bands": ["B04"], "rule": "coverage"}
    extract.s2(**ALL, **key, indices="ndvi,ndmi", statistics="p90,valid_share", workers=0, lake=lake)
    rows, compared = ground.rows_of(lake, "utm", 2024), 0
    shapes = ground.loaded(lake, "utm", 2024, ground.EPSG)
    for scene in {scene for scene, _ in rows}:
        for name in ("ndvi", "ndmi"):
            values, transform = index_pixels(lake, scene, name)
            (left, top), (right, bottom) = transform * (0, 0), transform * values.shape[::-1]
            source = NumPyRasterSource(values, left, bottom, right, top)
            for pid, shape in shapes.items():
                if not (row := rows.get((scene, pid))):
                    continue
                operations = ["count", "mean", "stdev", "min", "max", "quantile(q=0.25)", "quantile(q=0.9)"]
                frame = gpd.GeoDataFrame(geometry=[shape], crs=ground.EPSG)
                [truth] = exact_extract(source, frame, operations, output="pandas").to_dict("records")
                column = name.upper()
                if not truth["count"]:
                    assert row[f"{column}_mean"] is None
                    continue
                pairs = {"mean": "mean", "std": "stdev", "min": "min", "max": "max"}
                for mine, other in {**pairs, "p25": "quantile_25", "p90": "quantile_90"}.items():
                    assert row[f"{column}_{mine}"] == pytest.approx(truth[other], rel=1e-4, abs=1e-5)
                share = truth["count"] * transform.a**2 / shape.area
                assert row[f"{column}_valid_share"] == pytest.approx(min(share, 1), rel=1e-3)
                compared += 1
    assert compared > 30


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(-9, 9), st.integers(-9, 9), st.integers(5, 40), st.integers(5, 40), st.data())
def test_pixels_of_any_finer_grid_are_averaged_as_numpy_does(factor, row, col, height, width, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    fine = rng.integers(0, 9, (height, width)).astype("uint16")
    coarse = Affine(10 * factor, 0, 1000, 0, -10 * factor, 5000)
    transform = Affine(10, 0, 1000 - 10 * col, 0, -10, 5000 + 10 * row)
    assert finer.fit(coarse, transform) == (factor, row, col)
    x, y = rng.uniform(1000, 1200, 5), rng.uniform(4800, 5000, 5)
    index = zonal.build_index(gpd.GeoSeries(gpd.points_from_xy(x, y)).buffer(40), coarse, (12, 12))
    part = finer.Finer.of(index, transform, fine.shape, finer.Fit(factor, row, col))
    joined = finer.joined(part.indexes)
    plan = joined.blocks((7, 5))
    pool = plan.new_pool("uint16")
    for number, block in enumerate(plan):
        plan.gather(np.pad(fine, ((0, 7), (0, 5)))[block.row : block.row + 7, block.col : block.col + 5], number, pool)
    mine = part.averages(np.split(pool, factor), 0)
    filled = np.full((12 * factor + 20, 12 * factor + 20), np.nan)
    for i, j in np.ndindex(12 * factor, 12 * factor):
        if 0 <= i + row < height and 0 <= j + col < width and fine[i + row, j + col]:
            filled[i, j] = fine[i + row, j + col]
    means = filled[: 12 * factor, : 12 * factor].reshape(12, factor, 12, factor).mean(axis=(1, 3))
    spans = zip(index.row, index.col, index.length, strict=True)
    expected = np.concatenate([means[r, c : c + n] for r, c, n in spans] or [np.empty(0)])
    np.testing.assert_allclose(mine, expected)


@pytest.mark.parametrize(("metres", "west"), [(10, 1003), (8, 1000), (40, 1000)])
def test_grids_whose_edges_differ_do_not_fit(metres, west):
    assert finer.fit(Affine(20, 0, 1000, 0, -20, 5000), Affine(metres, 0, west, 0, -metres, 5000)) is None


# -- readers ----------------------------------------------------------------------------------------------------------


def test_views_have_columns_of_what_was_asked_for_and_null_elsewhere(lake):
    columns = lake.sql("select * from s2 limit 0").column_names
    assert {*columns[-4 * 8 :]} == {f"{index.upper()}_{s}" for index in INDICES for s in STORED}
    counts = lake.sql(
        "select aoi, year, count(NDVI_mean) v, count(NDMI_mean) m, count(EVI_mean) e from s2 group by all"
    )
    by_set = {(row["aoi"], row["year"]): (row["v"] > 0, row["m"] > 0, row["e"] > 0) for row in counts.to_pylist()}
    assert by_set == {
        ("utm", 2024): (True, True, True),
        ("degrees", 2024): (True, True, False),
        ("utm", 2023): (False, False, False),
    }
    assert lake.sql("select count(*) n from observations where ndvi is not null")["n"][0].as_py()


def test_long_rows_look_ups_and_get_have_them_as_a_band(lake, monkeypatch, tmp_path):
    long = lake.sql("select * from s2_long where band = 'NDVI' and aoi = 'utm' order by all")
    assert long.num_rows
    assert 0 < max(mean for mean in long["mean"].to_pylist() if mean is not None) < 1.01
    parcel = {"aoi": "utm", "year": 2024, "ptype": "", "pid": "square 8"}
    for bands in (None, ["NDVI", "B04"]):
        looked_up = lake.query("time_series.s2", **parcel, bands=bands)
        by_sql = rows_of(lake.connect().cursor(), queries.get("time_series.s2").sql, {**parcel, "bands": bands})
        assert {"NDVI", "B04"} <= {*looked_up["band"].to_pylist()}
        assert looked_up.to_pylist() == by_sql.to_pylist()
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    for band in ("NDVI", "ndvi"):
        frame = get.time_series.by_pid("utm", 2024, "square 8", band=band, lake=lake)
        assert {*frame["band"]} == {"NDVI"}
        assert (frame["p25"] <= frame["p75"]).all()
    with pytest.raises(InvalidInputError, match="lacks a band of ndvi"):
        get.time_series.by_pid("utm", 2024, "square 8", tstype="bs", band="NDVI", lake=lake)


def test_a_server_gives_them_as_a_band_to_figures(lake):
    source, key = LakeSource(lake), ParcelKey("utm", 2024, "", "square 8")
    parcel = source.parcel(key)
    there = wire.series(parcel, cards.S2, source.answer(Statistics(key, "s2", "", scl=True)))
    here = source.series(parcel, cards.S2)
    expected = [(row["NDVI_count"], row["NDVI_p25"]) for row in here.table.to_pylist()]
    assert [(row["NDVI_count"], row["NDVI_p25"]) for row in there.table.to_pylist()] == [
        (count, pytest.approx(p25, rel=1e-6)) for count, p25 in expected
    ]


@pytest.mark.parametrize("pid", ["square 8", ["square 8", "square 7"]])
def test_figures_show_their_mean_and_quartiles(lake, monkeypatch, tmp_path, pid):
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    figure = show.time_series.s2("utm", 2024, pid, bands="NDVI", lake=lake)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["NDVI of pixels"]
    low, high = figure.axes[0].get_ylim()
    assert high - low < 3
    both = show.time_series.s2("utm", 2024, pid, bands=["B04", "ndvi"], lake=lake)
    assert both.axes[-1].get_title(loc="left") == "NDVI of pixels"
    with pytest.raises(NotFoundError, match="extract"):
        show.time_series.s2("utm", 2023, "square 8", bands="NDVI", lake=lake)


def test_exports_describe_them(lake, tmp_path):
    lake.export("s2", tmp_path / "s2.parquet")
    schema = pq.read_schema(tmp_path / "s2.parquet")
    assert schema.field("NDVI_p25").metadata[b"description"] == (
        b"25th percentile of the NDVI of the parcel's pixels (green vegetation)"
    )
    assert schema.field("NDVI_p25").metadata[b"unit"] == schema.field("NDMI_count").metadata[b"unit"] == b"1"


def test_the_ledger_has_them_and_compaction_and_other_readers_keep_them(season, tmp_path):
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"])
    key = {**ALL, "aoi": "utm", "year": 2024, "bands": ["B04"], "workers": 0, "lake": lake}
    extract.s2(**key, indices=["ndvi"])
    entry = lake.sql("select bands, indices from extractions limit 1").to_pylist()[0]
    assert entry == {"bands": ["B04", "B08"], "indices": ["ndvi"]}
    before = lake.sql("select * exclude (scl, observable) from s2 order by scene, pid")
    lake.compact()
    assert lake.sql("select * exclude (scl, observable) from s2 order by scene, pid").equals(before)
    frame = DeltaTable(f"{lake.url}/signatures/s2").to_pandas().sort_values(["scene", "pid"])
    frame = frame[frame["mask"].isna()]
    np.testing.assert_array_equal(frame["NDVI_mean"].to_numpy(), before["NDVI_mean"].to_numpy(zero_copy_only=False))


# -- what is extracted again ------------------------------------------------------------------------------------------


def test_a_lake_without_them_gets_them_on_demand_and_what_a_scene_has_stays(season, tmp_path):
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"])
    key = {**ALL, "aoi": "utm", "year": 2024, "bands": ["B04"], "workers": 0, "lake": lake}
    scenes = extract.s2(**key).scenes
    plain = lake.sql("select * exclude (scl) from s2 order by scene, pid")
    assert "NDVI_count" not in plain.column_names
    assert extract.s2(**key, indices="ndvi").scenes == scenes > 0
    some = lake.sql("select scene, pid, B04_mean, NDVI_mean from s2 order by scene, pid")
    assert some.select(["scene", "pid", "B04_mean"]).equals(plain.select(["scene", "pid", "B04_mean"]))
    assert extract.s2(**key).scenes == extract.s2(**key, indices=["NDVI"]).scenes == 0
    assert extract.s2(**key, indices="ndmi").scenes == scenes
    assert lake.sql("select scene, pid, B04_mean, NDVI_mean from s2 order by scene, pid").equals(some)
    assert lake.sql("select count(NDMI_mean) n from s2")["n"][0].as_py()
    assert extract.s2(**key, statistics="p10").scenes == scenes
    ordered = lake.sql("select bool_and(NDVI_p10 <= NDVI_p25) o, count(NDVI_p10) n from s2").to_pylist()[0]
    assert ordered["o"]
    assert ordered["n"]


def test_bands_from_the_cube_give_the_same(season, tmp_path):
    tables = []
    for cube in (True, False):
        folder = tmp_path / str(cube)
        folder.mkdir()
        lake = ground.fill(folder, season, {("utm", 2024): 32631}, cards=["s2"])
        key = {**ALL, "aoi": "utm", "year": 2024, "bands": ["B04"], "workers": 0, "lake": lake, "cube": cube}
        extract.s2(**key)
        extract.s2(**key, indices=INDICES)
        extract.s2(**key, indices=INDICES, again=True)
        tables.append(lake.sql("select * exclude (scl) from s2 order by scene, pid"))
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("card", "indices", "reason"),
    [
        ("s2", "ndvi,nvdi", "there is no index 'nvdi'; choose from ndvi"),
        ("s2", 5, "there is no index 5"),
        ("s2", [None], "there is no index None"),
        ("bs", "ndvi", "card bs lacks a band of ndvi; indices are of reflectance"),
    ],
)
def test_an_index_that_cannot_be_is_refused_by_name(tmp_path, card, indices, reason):
    with pytest.raises(InvalidInputError, match=reason):
        extract.extract(card, **ALL, aoi="demo", year=2024, indices=indices, lake=Lake(str(tmp_path / "lake")))


def test_the_command_line_takes_them_and_says_what_they_would_cost(season, tmp_path, monkeypatch):
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"])
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", lake.url)
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    command = ["extract", "s2", "--start", ALL["start"], "--end", ALL["end"], "--aoi", "utm", "--year", "2024"]
    result = CliRunner().invoke(app, [*command, "--indices", "ndvi,ndmi", "--workers", "0"])
    assert result.exit_code == 0, result.output
    assert lake.sql("select count(NDMI_mean) n from s2")["n"][0].as_py()
    result = CliRunner().invoke(app, [*command, "--indices", "ndvi,xyz"])
    assert "there is no index 'xyz'" in str(result.exception)
