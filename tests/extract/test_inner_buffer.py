"""An inner buffer: statistics of parcels without their margin equal those of geometries that shapely shrank."""

import awkward_parcels as ground
import geopandas as gpd
import numpy as np
import pytest
import shapely
from deltalake import DeltaTable
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from ground_truth import REFERENCE
from hypothesis import given
from hypothesis import strategies as st
from rasterstats import zonal_stats
from typer.testing import CliRunner

from cbm_lake import extract
from cbm_lake.cards.pixelrule import METHODS, PixelRule, checked_buffer
from cbm_lake.cli import app
from cbm_lake.demo import sample
from cbm_lake.errors import InvalidInputError
from cbm_lake.geo.inside import shrunk
from cbm_lake.lake import Lake
from cbm_lake.lake.check.remedies import Remedies

pytestmark = pytest.mark.thorough


ALL = {"start": "2024-01-01", "end": "2024-12-31"}
BANDS = ("B04", "B11")
SETS = {("utm", 2024): 32631, ("degrees", 2024): 4326, ("degrees", 2023): 4326, ("laea", 2024): 3035}
"""The coordinate system of each area and year."""
INSIDE, SMALL = "centre, 5 m inside", "centre, too small for 5 m inside"


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return sample.write(tmp_path_factory.mktemp("season"), dates=2, size=128)


@pytest.fixture(scope="module")
def lake(season, tmp_path_factory):
    """A lake whose sets were extracted with a buffer of 5 m; only to be read."""
    lake = ground.fill(tmp_path_factory.mktemp("buffered"), season, SETS)
    for aoi, year in SETS:
        extract.s2(**ALL, aoi=aoi, year=year, bands=BANDS, inner_buffer=5, workers=0, lake=lake)
        extract.bs(**ALL, aoi=aoi, year=year, inner_buffer=5, workers=0, lake=lake)
    return lake


def expected_of(lake, aoi, year, scene, bands):
    """The geometry that counts of each parcel and the rule that says so, worked out with shapely and GDAL alone."""
    transforms = {band: ground.read(lake, scene, band)[1] for band in bands}
    grids = {transform.a: transform for transform in transforms.values()}
    fine, *others = (grids[size] for size in sorted(grids))
    expected = {}
    for pid, shape in ground.loaded(lake, aoi, year, ground.EPSG).items():
        inner = shape.buffer(-5)
        small = ground.pixels_of(inner, fine) < 8 or any(
            ground.pixels_of(shape, grid) and not ground.pixels_of(inner, grid) for grid in others
        )
        expected[pid] = (shape, SMALL) if small else (inner, INSIDE)
    return expected


@pytest.mark.slow
@pytest.mark.parametrize(("aoi", "year"), SETS)
def test_the_eight_equal_rasterstats_on_geometries_that_shapely_shrank(lake, aoi, year):
    mine, compared, rules = ground.rows_of(lake, aoi, year), 0, set()
    for scene in {scene for scene, _ in mine}:
        expected = expected_of(lake, aoi, year, scene, [*BANDS, "SCL"])
        for band in BANDS:
            pixels, transform, offset = ground.read(lake, scene, band)
            shapes = [shape for shape, _ in expected.values()]
            truth = zonal_stats(shapes, pixels, affine=transform, nodata=0, stats=" ".join(REFERENCE.values()))
            for (pid, (shape, rule)), numbers in zip(expected.items(), truth, strict=True):
                row = mine.get((scene, pid))
                if row is None:
                    assert not numbers["count"]
                    continue
                assert row["rule"] == rule
                assert row[f"{band}_count"] == (numbers["count"] or 0)
                rules.add((pid, rule))
                if numbers["count"]:
                    for name, key in REFERENCE.items():
                        shift = 0 if name in ("count", "std") else offset
                        assert row[f"{band}_{name}"] == pytest.approx(numbers[key] + shift, rel=1e-5)
                    compared += 1
                if band == "B04":
                    whole = ground.pixels_of(shape, transform)
                    assert row["share"] == pytest.approx(min(row["B04_count"] / whole, 1), rel=1e-6)
    assert compared > 30
    assert {rule for _, rule in rules} == {INSIDE, SMALL}
    assert ("with a hole", INSIDE) in rules
    assert ("narrow", SMALL) in rules
    assert ("narrow at 20 m only", SMALL) in rules
    assert ("cut by the edge", INSIDE) in rules
    assert "its margin alone is on the raster" not in {pid for pid, _ in rules}


@pytest.mark.slow
def test_scene_classes_are_counted_without_the_margin_too(lake):
    for (scene, pid), row in ground.rows_of(lake, "utm", 2024).items():
        shape, _ = expected_of(lake, "utm", 2024, scene, [*BANDS, "SCL"])[pid]
        pixels, transform, _ = ground.read(lake, scene, "SCL")
        [truth] = zonal_stats([shape], pixels, affine=transform, categorical=True, nodata=255)
        assert {value: number for value, number in enumerate(row["scl"]) if number} == truth


@pytest.mark.parametrize(("aoi", "year"), [("degrees", 2024), ("utm", 2024)])
def test_radar_has_the_same_rule(lake, aoi, year):
    mine = ground.rows_of(lake, aoi, year, "bs")
    assert {row["rule"] for row in mine.values()} == {INSIDE, SMALL}
    scene = min(scene for scene, _ in mine)
    pixels, transform, _ = ground.read(lake, scene, "VV")
    for pid, (shape, rule) in expected_of(lake, aoi, year, scene, ["VV"]).items():
        [truth] = zonal_stats([shape], pixels, affine=transform, nodata=0, stats="count mean")
        if row := mine.get((scene, pid)):
            assert row["rule"] == rule
            assert row["VV_count"] == truth["count"]
            assert row["VV_mean"] == pytest.approx(truth["mean"], rel=1e-5)


@pytest.mark.slow
def test_by_coverage_they_equal_exactextract_on_the_same_geometries(season, tmp_path):
    lake = ground.fill(tmp_path, season, {("degrees", 2024): 4326})
    key = {"aoi": "degrees", "year": 2024}
    extract.s2(**ALL, **key, bands=BANDS, rule="coverage", inner_buffer=5, workers=0, lake=lake)
    mine, compared = ground.rows_of(lake, "degrees", 2024), 0
    rule_of = {INSIDE: INSIDE.replace("centre", "coverage"), SMALL: SMALL.replace("centre", "coverage")}
    scene = min(scene for scene, _ in mine)
    pixels, transform, offset = ground.read(lake, scene, "B04")
    expected = expected_of(lake, "degrees", 2024, scene, [*BANDS, "SCL"])
    left, top = transform * (0, 0)
    right, bottom = transform * pixels.shape[::-1]
    source = NumPyRasterSource(pixels.astype("float32"), left, bottom, right, top, nodata=0)
    for pid, (shape, rule) in expected.items():
        frame = gpd.GeoDataFrame(geometry=[shape], crs=ground.EPSG)
        [truth] = exact_extract(source, frame, ["count", "mean", "quantile(q=0.25)"], output="pandas").to_dict(
            "records"
        )
        if row := mine.get((scene, pid)):
            assert row["rule"] == rule_of[rule]
            assert row["B04_mean"] == pytest.approx(truth["mean"] + offset, rel=1e-4)
            assert row["B04_p25"] == pytest.approx(truth["quantile_25"] + offset, rel=1e-4)
            if rule == INSIDE:
                assert row["share"] == pytest.approx(min(truth["count"] * 100 / shape.area, 1), rel=1e-3)
            compared += 1
    assert compared > 8


def test_the_ledger_has_the_rule_and_the_index_stands_apart(lake):
    rules = lake.sql("select distinct card, rule from ledger order by all").to_pylist()
    assert rules == [{"card": card, "rule": INSIDE} for card in ("bs", "s2")]
    names = [path.rpartition("/")[2] for path in lake._store.listing("indexes")]
    assert any("_5m_inside" in name for name in names)
    assert any("_inside" not in name for name in names)


@pytest.mark.slow
def test_another_buffer_is_another_rule_and_the_same_is_done(season, tmp_path):
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"])
    key = {**ALL, "aoi": "utm", "year": 2024, "bands": ["B04"], "workers": 0, "lake": lake}
    first = extract.s2(**key)
    plain = lake.sql("select * exclude (scl) from s2 order by scene, pid")
    assert first.too_small is None
    buffered = extract.s2(**key, inner_buffer=5)
    assert buffered.scenes == first.scenes > 0
    assert extract.s2(**key, inner_buffer=5.0).scenes == 0
    assert {*lake.sql("select rule from s2")["rule"].to_pylist()} == {INSIDE, SMALL}
    assert extract.s2(**key, inner_buffer=7.5).scenes == first.scenes
    assert "centre, 7.5 m inside" in lake.sql("select rule from s2")["rule"].to_pylist()
    assert extract.s2(**key).scenes == first.scenes
    assert lake.sql("select * exclude (scl) from s2 order by scene, pid").equals(plain)


def test_parcels_that_are_too_small_are_counted_and_said(season, tmp_path, caplog):
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"])
    done = extract.s2(**ALL, aoi="utm", year=2024, bands=["B04"], inner_buffer=5, workers=0, lake=lake)
    small = set(lake.sql(f"select pid from s2 where rule = '{SMALL}'")["pid"].to_pylist())  # noqa: S608
    assert done.too_small.parcels == len(small)
    assert done.too_small.of == len(ground.outlines())
    [said] = [record.getMessage() for record in caplog.records if "too small" in record.getMessage()]
    assert said.startswith(f"{len(small)} of {len(ground.outlines())} parcels are too small for an inner buffer")
    assert SMALL in said


def test_a_changed_parcel_is_extracted_alone_and_keeps_the_rule(season, tmp_path):
    shapes = ground.outlines()
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"], shapes=shapes)
    key = {**ALL, "aoi": "utm", "year": 2024, "bands": BANDS, "inner_buffer": 5, "workers": 0, "lake": lake}
    extract.s2(**key)
    moved = {**shapes, "square 7": shapely.affinity.translate(shapes["square 7"], 13, -8)}
    ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=[], shapes=moved)
    extract.s2(**key)
    assert lake.sql("select count(*) n from ledger where base is not null")["n"][0].as_py() > 0
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    other = ground.fill(fresh, season, {("utm", 2024): 32631}, cards=["s2"], shapes=moved)
    extract.s2(**{**key, "lake": other})
    query = "select * exclude (scl) from s2 order by scene, pid"
    assert lake.sql(query).equals(other.sql(query))


@pytest.mark.slow
def test_dask_gives_the_rows_of_this_process(season, tmp_path):
    tables = []
    for workers in (0, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        lake = ground.fill(folder, season, {("degrees", 2024): 4326}, cards=["s2"])
        key = {**ALL, "aoi": "degrees", "year": 2024, "bands": BANDS, "inner_buffer": 5, "indices": "ndvi,ndmi"}
        extract.s2(**key, workers=workers, lake=lake)
        tables.append(lake.sql("select * exclude (scl) from s2 order by scene, pid"))
    assert tables[0].num_rows > 10
    assert tables[0].equals(tables[1])


def test_what_was_killed_before_the_ledger_knew_is_replaced(season, tmp_path, monkeypatch):
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"])
    key = {**ALL, "aoi": "utm", "year": 2024, "bands": ["B04"], "inner_buffer": 5, "indices": ["ndvi"], "workers": 0}
    plan = extract.plan("s2", **{name: value for name, value in key.items() if name != "workers"}, lake=lake)
    with monkeypatch.context() as killed:
        killed.setattr("cbm_lake.extract.scene.record", lambda job, started, outcome: outcome)
        extract.run(plan, workers=0)
    assert lake.sql("select count(*) n from s2")["n"][0].as_py() == 0
    extract.s2(**key, lake=lake)
    rows = lake.sql("select count(*) n, count(distinct (scene, pid)) pairs from s2").to_pylist()[0]
    assert rows["n"] == rows["pairs"] > 0
    assert DeltaTable(f"{lake.url}/signatures/s2").to_pyarrow_table()["mask"].null_count == rows["n"]


def test_advice_to_extract_again_names_the_rule():
    row = {"card": "s2", "scene": "A", "aoi": "ms", "year": 2024, "ptype": "", "bands": ["B04"], "cube": True}
    row |= {"statistics": None, "indices": None, "mask": "SCL 3,8,9", "slots": None, "day": "2024-05-01"}
    rules = {"centre": "", "coverage": " --rule coverage", INSIDE: " --inner-buffer 5"}
    rules["coverage, 7.5 m inside"] = " --rule coverage --inner-buffer 7.5"
    for rule, words in rules.items():
        advice = Remedies([row | {"rule": rule}]).of_scene("s2", "A")
        assert f"--bands B04{words} --again`" in advice


# -- the rule as text -------------------------------------------------------------------------------------------------


@given(st.sampled_from(METHODS), st.floats(0, 100), st.booleans())
def test_a_rule_is_read_back_from_its_text(method, metres, small):
    rule = PixelRule(method, checked_buffer(metres), small and metres > 0)
    assert PixelRule.parse(str(rule)) == rule


@pytest.mark.parametrize("text", ["", "center", "centre, 5 m", "centre, -5 m inside", "coverage, 5 m inside, x"])
def test_a_text_that_is_no_rule_is_refused(text):
    with pytest.raises(InvalidInputError, match="is no pixel rule"):
        PixelRule.parse(text)


@pytest.mark.parametrize("wrong", [-1, -0.01, 100.1, 5000, float("nan"), float("inf"), 10**400, True, "5", None, [5]])
def test_a_buffer_that_cannot_be_is_refused_by_name(season, tmp_path, wrong):
    with pytest.raises(InvalidInputError, match=r"inner_buffer=.* give metres, from 0"):
        extract.s2(**ALL, aoi="demo", year=2024, inner_buffer=wrong, workers=0, lake=Lake(str(tmp_path / "lake")))


@given(st.lists(st.tuples(st.floats(-40, 40), st.floats(-40, 40)), min_size=3, max_size=7), st.floats(0.1, 20))
def test_any_polygon_is_shrunk_as_shapely_shrinks_the_repaired_one(corners, metres):
    shape = shapely.transform(shapely.Polygon(corners), lambda xy: xy + np.array([500_000, 5_000_000]))
    [mine] = shrunk(np.array([shape], object), 32631, metres)
    repaired = shape if shape.is_valid else shapely.make_valid(shape, method="structure", keep_collapsed=False)
    assert mine.symmetric_difference(repaired.buffer(-metres)).area == pytest.approx(0, abs=1e-6)
    assert mine.area <= repaired.area


def test_missing_empty_and_infinite_geometries_stay_as_they_are():
    shapes = np.array([None, shapely.Polygon(), shapely.box(0, 0, np.inf, 1), shapely.box(0, 0, 50, 50)], object)
    result = shrunk(shapes, 32631, 5)
    assert result[:3].tolist() == shapes[:3].tolist()
    assert result[3].equals(shapely.box(5, 5, 45, 45))


@pytest.mark.parametrize(
    ("epsg", "lon", "lat"),
    [(4326, 3.2, 50.4), (3857, 24.5, 60.2), (3035, -8, 37.5), (2154, 3, 44), (4326, 30, -20)],
)
def test_the_margin_is_in_metres_in_any_coordinate_system(epsg, lon, lat):
    square = gpd.GeoSeries([shapely.Point(lon, lat)], crs=4326)
    metric = square.estimate_utm_crs()
    square = square.to_crs(metric).buffer(100, cap_style="square")
    [mine] = shrunk(square.to_crs(epsg).to_numpy(), epsg, 5)
    side = np.sqrt(gpd.GeoSeries([mine], crs=epsg).to_crs(metric).area[0])
    assert side == pytest.approx(190, abs=0.02)


def test_the_command_line_takes_it_and_says_how_many_are_too_small(season, tmp_path, monkeypatch):
    lake = ground.fill(tmp_path, season, {("utm", 2024): 32631}, cards=["s2"])
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", lake.url)
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    command = ["extract", "s2", "--start", ALL["start"], "--end", ALL["end"], "--aoi", "utm", "--year", "2024"]
    result = CliRunner().invoke(app, [*command, "--bands", "B04", "--inner-buffer", "5", "--workers", "0"])
    assert result.exit_code == 0, result.output
    assert "are too small for an inner buffer" in " ".join(result.output.split())
    assert {*lake.sql("select rule from s2")["rule"].to_pylist()} == {INSIDE, SMALL}
