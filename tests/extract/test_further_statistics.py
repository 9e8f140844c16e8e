"""Further statistics: asked for at extraction, in lakes that have rows without them, seen by every reader."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from deltalake import DeltaTable
from exactextract import exact_extract
from factories import copied
from rasterio.features import rasterize
from rasterstats import zonal_stats

from cbm_lake import card2db, cards, extract, get, parcels, scenes
from cbm_lake.cli import app
from cbm_lake.demo import sample
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, queries
from cbm_lake.lake.database import rows as rows_of
from cbm_lake.rasters import Raster

pytestmark = pytest.mark.thorough


SPRING = {"start": "2024-01-01", "end": "2024-06-30"}
ALL = {"start": "2024-01-01", "end": "2024-12-31"}
DEMO = {"aoi": "demo", "year": 2024}
BANDS = ("B04", "B11")
ASKED = ("p10", "p90", "valid_share")
BASE = cards.statistics.STORED


@pytest.fixture(scope="session")
def season(tmp_path_factory):
    """A generated season: 3 dates, 128 x 128 pixels, the edge of one scene cutting parcels."""
    return sample.write(tmp_path_factory.mktemp("statistics"), dates=3, size=128)


def fill(folder, season, *sets):
    """A lake with the season's scenes and the same parcels as several sets."""
    lake = Lake(str(folder))
    for card in ("s2", "bs"):
        card2db.items(str(season.items[card]), card=card, lake=lake)
    for aoi, year in sets or (("demo", 2024),):
        parcels.load(str(season.parcels), aoi, year, pid="parcel_id", lake=lake)
    return lake


@pytest.fixture(scope="session")
def asked(tmp_path_factory, season):
    """A lake all of whose rows have the statistics asked for; only to be read."""
    lake = fill(tmp_path_factory.mktemp("asked") / "lake", season)
    extract.s2(**ALL, **DEMO, bands=BANDS, statistics=ASKED, workers=0, lake=lake)
    return lake


@pytest.fixture(scope="session")
def once_grown(tmp_path_factory, season):
    """A lake that was extracted as always, and of which the later scenes were extracted with further statistics."""
    lake = fill(tmp_path_factory.mktemp("grown") / "lake", season)
    extract.s2(**SPRING, **DEMO, bands=BANDS, workers=0, lake=lake)
    assert lake.sql("select count(*) n from s2")["n"][0].as_py()
    extract.s2("2024-07-01", "2024-12-31", **DEMO, bands=BANDS, statistics="p10, p90,valid_share", workers=0, lake=lake)
    return lake


@pytest.fixture
def grown(tmp_path, once_grown):
    """A copy of it."""
    return copied(once_grown, Lake(str(tmp_path / "lake")))


def shapes_and_band(lake, scene, band):
    """Geometries by pid in the raster's system, its numbers, and its affine transform."""
    table = lake.sql("select pid, geometry, epsg from parcels order by pid")
    assets = lake.sql("select assets from scenes where id = $id", id=scene)["assets"][0].as_py()
    grid = Raster.inspect(assets[band]["href"]).grid
    series = gpd.GeoSeries(shapely.from_wkb(table["geometry"].to_pylist()), crs=table["epsg"][0].as_py())
    with rasterio.open(assets[band]["href"]) as file:
        pixels, profile = file.read(1), file.profile
    return dict(zip(table["pid"].to_pylist(), series.to_crs(grid.epsg), strict=True)), pixels, profile


def by_pid(lake, scene):
    return {row["pid"]: row for row in lake.sql("select * from s2 where scene = $s", s=scene).to_pylist()}


def scenes_of(lake):
    return lake.sql("select id, boa_offset from scenes where card = 's2' order by id").to_pylist()


# -- right numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("band", BANDS)
def test_by_the_centre_rule_they_equal_rasterstats_and_pixels_counted_by_hand(asked, band):
    compared, cut = 0, 0
    for scene in scenes_of(asked):
        shapes, pixels, file = shapes_and_band(asked, scene["id"], band)
        mine = by_pid(asked, scene["id"])
        names = "count percentile_10 percentile_90"
        truth = zonal_stats(list(shapes.values()), pixels, affine=file["transform"], nodata=0, stats=names)
        for (pid, shape), expected in zip(shapes.items(), truth, strict=True):
            if pid not in mine:
                continue
            row = mine[pid]
            whole = rasterize([shape], pixels.shape, transform=file["transform"]).sum()
            assert row[f"{band}_valid_share"] == (pytest.approx(expected["count"] / whole) if whole else None)
            cut += 0 < expected["count"] < whole
            if expected["count"]:
                for name, key in (("p10", "percentile_10"), ("p90", "percentile_90")):
                    assert row[f"{band}_{name}"] == pytest.approx(expected[key] + scene["boa_offset"], rel=1e-6)
                compared += 1
            else:
                assert row[f"{band}_p10"] is row[f"{band}_mean"] is None
    assert compared > 20
    assert cut


def test_by_the_coverage_rule_they_equal_exactextract_and_areas(tmp_path, season):
    lake = fill(tmp_path / "lake", season)
    extract.s2(**ALL, **DEMO, bands=["B04"], statistics=ASKED, rule="coverage", workers=0, lake=lake)
    compared = 0
    for scene in scenes_of(lake):
        shapes, pixels, file = shapes_and_band(lake, scene["id"], "B04")
        frame = gpd.GeoDataFrame({"pid": list(shapes)}, geometry=list(shapes.values()), crs=file["crs"])
        path = tmp_path / "raster.tif"
        profile = {name: file[name] for name in ("width", "height", "crs", "transform")}
        with rasterio.open(path, "w", driver="GTiff", count=1, dtype="float32", nodata=0, **profile) as out:
            out.write(pixels.astype("float32"), 1)
        operations = ["count", "quantile(q=0.1)", "quantile(q=0.9)"]
        truth = exact_extract(str(path), frame, operations, include_cols=["pid"], output="pandas").set_index("pid")
        for pid, row in by_pid(lake, scene["id"]).items():
            expected, area = truth.loc[pid], shapes[pid].area / abs(file["transform"].a * file["transform"].e)
            assert row["B04_p10"] == pytest.approx(expected["quantile_10"] + scene["boa_offset"], rel=1e-5)
            assert row["B04_p90"] == pytest.approx(expected["quantile_90"] + scene["boa_offset"], rel=1e-5)
            assert row["B04_valid_share"] == pytest.approx(min(expected["count"] / area, 1), rel=1e-4)
            compared += 1
    assert compared > 20


def test_the_eight_are_what_they_are_without(asked, tmp_path, season):
    lake = fill(tmp_path / "lake", season)
    extract.s2(**ALL, **DEMO, bands=BANDS, workers=0, lake=lake)
    plain = lake.sql("select * from s2 order by scene, pid")
    assert not [name for name in plain.column_names if name.endswith(ASKED)]
    assert asked.sql("select * from s2 order by scene, pid").select(plain.column_names).equals(plain)


def test_percentiles_of_radar_have_no_offset_and_come_in_linear_power(tmp_path, season):
    lake = fill(tmp_path / "lake", season)
    extract.bs(**ALL, **DEMO, statistics=["p10"], workers=0, lake=lake)
    row = lake.sql("select bool_and(VV_min <= VV_p10 and VV_p10 <= VV_p25) as ordered from bs").to_pylist()[0]
    assert row["ordered"]


# -- in a lake that has rows without them ---------------------------------------------------------------------------


def names_of(bands, statistics=ASKED):
    return [f"{band}_{name}" for band in bands for name in statistics]


def test_a_table_grows_by_nullable_columns_and_rows_before_have_null(grown):
    columns = grown.sql("select * from s2 limit 0").column_names
    every = cards.CARD_BANDS["s2"]
    assert columns[-len(every) * len(ASKED) :] == names_of(every)
    early, late = (
        grown.sql(f"select * from s2 where obstime {sign} timestamp '2024-07-01'")  # noqa: S608
        for sign in ("<", ">=")
    )
    for name in names_of(BANDS):
        assert early[name].null_count == early.num_rows > 0
        assert late[name].null_count < late.num_rows
    for name in names_of(["B02"]):
        assert late[name].null_count == late.num_rows


def test_long_rows_time_series_look_ups_and_get_have_them(grown, monkeypatch, tmp_path):
    long = grown.sql("select * from s2_long order by all")
    assert long.column_names[-3:] == list(ASKED)
    assert 0 < long["p10"].null_count < long.num_rows
    wide = grown.sql(
        "select pid, scene as obsid, 'B04' as band, B04_p10 as p10, B04_valid_share as valid_share from s2 "
        "where B04_count is not null order by all"
    )
    assert (
        grown.sql("select pid, obsid, band, p10, valid_share from s2_long where band = 'B04' order by all").to_pylist()
        == wide.to_pylist()
    )
    parcel = {**DEMO, "ptype": "", "pid": long["pid"][0].as_py(), "bands": None}
    looked_up = grown.query("time_series.s2", **parcel)
    by_sql = rows_of(grown.connect().cursor(), queries.get("time_series.s2").sql, parcel)
    assert looked_up.num_rows > 0
    assert looked_up.column_names == by_sql.column_names
    assert looked_up.column_names[-3:] == list(ASKED)
    assert looked_up.to_pylist() == by_sql.to_pylist()
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    frame = get.time_series.by_pid("demo", 2024, parcel["pid"], lake=grown)
    assert {*ASKED} <= {*frame.columns}
    assert 0 < frame["p10"].notna().sum() < len(frame)


def test_a_lake_without_them_looks_as_before(tmp_path, season):
    lake = fill(tmp_path / "lake", season)
    extract.s2(**SPRING, **DEMO, bands=BANDS, workers=0, lake=lake)
    long = lake.sql("select * from s2_long limit 1")
    assert [name for name in long.column_names if name in cards.STATISTICS] == list(BASE)
    pid = long["pid"][0].as_py()
    series = lake.query("time_series.s2", **DEMO, ptype="", pid=pid, bands=None)
    assert series.column_names == ["date_part", "band", *cards.statistics.SERIES, "scl", "reference", "obsid"]
    assert DeltaTable(f"{tmp_path}/lake/signatures/s2").schema().to_arrow().names[-1] != "B12_valid_share"


def test_other_readers_of_the_table_compaction_and_exports_have_them(grown, tmp_path):
    select = "select * exclude (scl, observable) from s2 order by scene, pid"
    before = grown.sql(select)
    assert grown.compact() > 0
    assert grown.sql(select).equals(before)
    delta = DeltaTable(f"{tmp_path}/lake/signatures/s2")
    assert not [field for field in delta.schema().fields if field.name in names_of(BANDS) and not field.nullable]
    frame = delta.to_pandas().query("mask.isnull()").sort_values(["scene", "pid"])
    for name in names_of(BANDS):
        np.testing.assert_array_equal(frame[name].to_numpy(), before[name].to_numpy(zero_copy_only=False))
    grown.export("s2", tmp_path / "s2.parquet")
    schema = pq.read_schema(tmp_path / "s2.parquet")
    assert b"10th percentile" in schema.field("B04_p10").metadata[b"description"]
    assert schema.field("B04_p10").metadata[b"unit"] == b"1e-4"
    assert schema.field("B04_valid_share").metadata[b"unit"] == b"1"


@pytest.mark.slow
def test_a_scene_that_is_left_out_and_put_back_has_them_again(grown):
    select = "select * exclude (scl, observable) from s2 order by scene, pid"
    before = grown.sql(select)
    for scene in grown.sql("select distinct scene from s2 order by scene")["scene"].to_pylist():
        scenes.leave_out(scene, why="a test", lake=grown)
        assert grown.sql("select count(*) n from s2 where scene = $s", s=scene)["n"][0].as_py() == 0
        scenes.put_back(scene, why="a test", lake=grown)
        assert grown.sql(select).equals(before)
    assert grown.unsettled() == []


def test_rows_that_are_still_set_aside_have_them_too(grown, monkeypatch):
    select = "select * exclude (scl, observable) from s2 order by scene, pid"
    before = grown.sql(select)
    scene = grown.sql("select scene from s2 where B04_p10 is not null limit 1")["scene"][0].as_py()
    scenes.leave_out(scene, why="a test", lake=grown)
    monkeypatch.setattr(Lake, "settle", lambda *_: None)  # as if the command had been killed
    scenes.put_back(scene, why="a test", lake=grown)
    assert grown.sql(select).equals(before)
    assert grown.sql("select count(p10) n from s2_long")["n"][0].as_py()


def test_several_areas_and_years_share_the_columns(tmp_path, season):
    sets = [("demo", 2024), ("demo", 2023), ("other", 2024)]
    lake = fill(tmp_path / "lake", season, *sets)
    for number, (aoi, year) in enumerate(sets):
        statistics = ["p10"] if number == 1 else []
        extract.s2(**SPRING, aoi=aoi, year=year, bands=["B04"], statistics=statistics, workers=0, lake=lake)
    counted = lake.sql("select aoi, year, count(*) n, count(B04_p10) p10 from s2 group by all order by all").to_pylist()
    assert [(row["aoi"], row["year"], bool(row["p10"])) for row in counted] == [
        ("demo", 2023, True),
        ("demo", 2024, False),
        ("other", 2024, False),
    ]
    assert len({row["n"] for row in counted}) == 1
    assert lake.compact() > 0
    assert lake.sql(
        "select aoi, year, count(*) n, count(B04_p10) p10 from s2 group by all order by all"
    ).to_pylist() == (counted)


# -- what is extracted again ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_a_scene_has_stays_when_others_are_asked_for(tmp_path, season):
    lake = fill(tmp_path / "lake", season)
    first = extract.s2(**SPRING, **DEMO, bands=["B04"], statistics="p10", workers=0, lake=lake)
    tens = lake.sql("select scene, pid, B04_p10 from s2 order by all")
    assert extract.s2(**SPRING, **DEMO, bands=["B04"], statistics=["p10"], workers=0, lake=lake).scenes == 0
    assert extract.s2(**SPRING, **DEMO, bands=["B04"], workers=0, lake=lake).scenes == 0
    second = extract.s2(**SPRING, **DEMO, bands=["B04"], statistics=["p90"], workers=0, lake=lake)
    assert second.scenes == first.scenes
    assert lake.sql("select scene, pid, B04_p10 from s2 order by all").equals(tens)
    assert lake.sql("select bool_and(B04_p90 >= B04_p75) as ordered from s2")["ordered"][0].as_py()
    before = lake.sql("select * exclude (scl) from s2 order by scene, pid")
    assert extract.s2(**SPRING, **DEMO, bands=["B04"], again=True, workers=0, lake=lake).scenes == first.scenes
    assert lake.sql("select * exclude (scl) from s2 order by scene, pid").equals(before)


@pytest.mark.slow
def test_extracting_again_gives_old_rows_what_is_asked_for(grown):
    extract.s2(**ALL, **DEMO, bands=BANDS, statistics=ASKED, workers=0, lake=grown)
    row = grown.sql("select count(B04_mean) n, count(B04_p10) p10, count(B04_valid_share) shares from s2").to_pylist()[
        0
    ]
    assert row["p10"] == row["n"]
    assert row["shares"] >= row["n"]


def test_writers_that_add_columns_at_once_all_have_them(tmp_path, season):
    lake = fill(tmp_path / "lake", season)
    extract.s2(**SPRING, **DEMO, bands=["B04"], workers=0, lake=lake)
    start = threading.Barrier(len(ASKED))

    def prepare(name):
        start.wait()
        Lake(str(tmp_path / "lake")).prepare("s2", [name])

    with ThreadPoolExecutor(len(ASKED)) as pool:
        list(pool.map(prepare, ASKED))
    names = {field.name for field in DeltaTable(f"{tmp_path}/lake/signatures/s2").schema().fields}
    assert {*names_of(cards.CARD_BANDS["s2"])} <= names
    assert lake.sql("select count(*) n, count(p90) p90 from s2_long")["p90"][0].as_py() == 0


def test_an_unknown_statistic_is_refused_before_anything_is_written(tmp_path, season):
    lake = fill(tmp_path / "lake", season)
    with pytest.raises(InvalidInputError, match=r"there is no statistic 'p11'; choose from count, .*valid_share"):
        extract.s2(**SPRING, **DEMO, statistics="p10,p11", workers=0, lake=lake)
    assert not (tmp_path / "lake" / "signatures").exists()


def test_the_command_line_asks_for_them(tmp_path, season, monkeypatch):
    from typer.testing import CliRunner

    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    lake = fill(tmp_path / "lake", season)
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", str(tmp_path / "lake"))
    days = ["--start", "2024-01-01", "--end", "2024-06-30"]
    command = ["extract", "s2", *days, "--aoi", "demo", "--year", "2024", "--bands", "B04", "--workers", "0"]
    result = CliRunner().invoke(app, [*command, "--statistics", "p10,valid_share"])
    assert result.exit_code == 0, result.output
    assert {"B04_p10", "B04_valid_share"} <= {*lake.sql("select * from s2 limit 0").column_names}


# -- one more -------------------------------------------------------------------------------------------------------

ONE_MORE = """
import sys, json
import numpy as np
from cbm_lake.cards import statistics
more = (
    statistics.Statistic("p05", "5th percentile", shifts=True, quantile=0.05),
    statistics.Statistic("range", "greatest less smallest value", formula=np.subtract, of=("max", "min")),
    statistics.Statistic("cv", "standard deviation by mean", unit="1", formula=np.divide, of=("std", "mean")),
)
every = {statistic.name: statistic for statistic in (*statistics.STATISTICS.values(), *more)}
statistics.STATISTICS = every  # as if these lines stood in cards/statistics.py
statistics.OPTIONAL = tuple(name for name in every if name not in statistics.STORED)
from cbm_lake import cards
cards.STATISTICS = every
from cbm_lake import extract
from cbm_lake.lake import Lake
lake = Lake(sys.argv[1])
before = lake.sql("select count(*) n from s2")["n"][0].as_py()
key = {"aoi": "demo", "year": 2024, "bands": ["B04"], "workers": 0, "lake": lake}
extract.s2("2024-07-01", "2024-12-31", statistics=["p05", "range", "cv"], rule=sys.argv[2], **key)
lake.compact()
rows = lake.sql("select *, B04_max - B04_min as expected from s2 where B04_range is not null")
assert before and rows.num_rows
assert np.array_equal(rows["B04_range"], rows["expected"])
late = lake.sql("select boa_offset from scenes where card = 's2' and obstime >= '2024-07-01'")
assert -1000 in late["boa_offset"].to_pylist()
assert np.allclose(rows["B04_cv"], np.divide(rows["B04_std"], rows["B04_mean"]), rtol=1e-5)
pid = rows["pid"][0].as_py()
series = lake.query("time_series.s2", aoi="demo", year=2024, ptype="", pid=pid, bands=None)
assert series.column_names[-3:] == ["p05", "range", "cv"]
assert series["p05"].null_count < len(series)
lake.export("s2_long", sys.argv[1] + "/../long.parquet")
print(json.dumps(sorted({*lake.sql("select * from s2_long limit 0").column_names} - {"x"})))
"""


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["centre", "coverage"])
def test_one_more_statistic_is_one_more_line(tmp_path, season, rule):
    lake = fill(tmp_path / "lake", season)
    extract.s2(**SPRING, **DEMO, bands=["B04"], rule=rule, workers=0, lake=lake)
    code = [sys.executable, "-c", ONE_MORE, str(tmp_path / "lake"), rule]
    done = subprocess.run(
        code, check=False, capture_output=True, text=True, env={**os.environ, "CBM_LAKE_HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    assert {"p05", "range", "cv"} <= {*json.loads(done.stdout.splitlines()[-1])}
    assert pa.table(lake.sql("select * from s2")).num_rows
