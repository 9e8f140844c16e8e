"""Extraction end to end: the same numbers as rasterstats, on every way, whatever breaks."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely
from deltalake import DeltaTable
from disks import small_disk
from factories import copied
from rasterstats import zonal_stats

from cbm_lake import card2db, extract, parcels
from cbm_lake.demo import sample
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.slots import SlotContent
from cbm_lake.rasters import Raster
from cbm_lake.rasters.cube import Cube
from cbm_lake.scenes import leave_out

pytestmark = pytest.mark.thorough


YEAR = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "demo", "year": 2024}
BANDS = ("B04", "B08", "B11")


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """A small generated season: 6 dates, 160 x 160 pixels."""
    return sample.write(tmp_path_factory.mktemp("sample"), dates=6, size=160)


def fill(folder, scenes, card="s2"):
    """A lake with the sample's scenes and parcels, nothing extracted."""
    lake = Lake(str(folder))
    card2db.items(str(scenes.items[card]), card=card, lake=lake)
    parcels.load(str(scenes.parcels), "demo", 2024, pid="parcel_id", lake=lake)
    return lake


@pytest.fixture(scope="session")
def loaded(tmp_path_factory, scenes):
    """A lake with them, of which tests get copies."""
    return fill(tmp_path_factory.mktemp("loaded") / "lake", scenes)


@pytest.fixture
def filled(tmp_path, loaded):
    return copied(loaded, Lake(str(tmp_path / "lake")))


@pytest.fixture(scope="session")
def extracted(tmp_path_factory, scenes):
    """The same after a serial extraction with a cube; only to be read."""
    lake = fill(tmp_path_factory.mktemp("extracted") / "lake", scenes)
    extract.s2(**YEAR, bands=BANDS, workers=0, lake=lake)
    return lake


def rows(lake, card="s2"):
    table = lake.sql(f"select * from {card} order by scene, pid")  # noqa: S608
    return table.drop_columns("rule")


def asset(lake, scene, band):
    return lake.sql("select assets from scenes where id = $id", id=scene)["assets"][0].as_py()[band]["href"]


# -- right numbers ------------------------------------------------------------------------------------------------


def test_signatures_equal_rasterstats_after_the_offset(extracted):
    scene, offset = extracted.sql("select id, boa_offset from scenes order by obstime desc").to_pylist()[0].values()
    assert offset == -1000
    table = extracted.sql("select * from parcels order by pid").to_pylist()
    for band in BANDS:
        href = asset(extracted, scene, band)
        grid = Raster.inspect(href).grid
        shapes = gpd.GeoSeries(shapely.from_wkb([row["geometry"] for row in table]), crs=table[0]["epsg"]).to_crs(
            grid.epsg
        )
        with rasterio.open(href) as file:
            stats = "count mean std min max percentile_25 percentile_50 percentile_75"
            truth = zonal_stats(shapes, file.read(1), affine=file.transform, nodata=0, stats=stats)
        got = {
            row["pid"]: row for row in extracted.sql("select * from s2 where scene = $scene", scene=scene).to_pylist()
        }
        compared = 0
        for row, expected in zip(table, truth, strict=True):
            if not expected["count"]:
                continue
            mine = got[row["pid"]]
            assert mine[f"{band}_count"] == expected["count"]
            assert mine[f"{band}_min"] == expected["min"] + offset
            assert mine[f"{band}_max"] == expected["max"] + offset
            for name, key in {
                "mean": "mean",
                "p25": "percentile_25",
                "p50": "percentile_50",
                "p75": "percentile_75",
            }.items():
                assert mine[f"{band}_{name}"] == pytest.approx(expected[key] + offset, rel=1e-6)
            assert mine[f"{band}_std"] == pytest.approx(expected["std"], rel=1e-6, abs=1e-4)
            compared += 1
        assert compared > 20


def test_scene_classes_are_counted_on_their_own_grid(extracted):
    scene = extracted.sql("select scene from s2 limit 1")["scene"][0].as_py()
    href = asset(extracted, scene, "SCL")
    table = extracted.sql(
        "select p.pid, p.geometry, p.epsg, s.scl from parcels p join s2 s using (pid) where scene = $s", s=scene
    )
    with rasterio.open(href) as file:
        values, transform = file.read(1), file.transform
    for row in table.slice(0, 15).to_pylist():
        shape = gpd.GeoSeries([shapely.from_wkb(row["geometry"])], crs=row["epsg"]).to_crs(
            Raster.inspect(href).grid.epsg
        )
        inside = rasterio.features.rasterize(shape, values.shape, transform=transform).astype(bool)
        assert row["scl"] == [int(np.sum(values[inside] == value)) for value in range(12)]


def test_bands_that_were_not_asked_for_are_null(extracted):
    table = extracted.sql("select count(B02_count) as b02, count(B04_count) as b04, count(*) as n from s2").to_pylist()[
        0
    ]
    assert table["b02"] == 0
    assert table["b04"] > 0.9 * table["n"]


def test_the_statistics_equal_those_of_the_cube(extracted):
    scene = extracted.sql("select scene from s2 limit 1")["scene"][0].as_py()
    grid = Raster.inspect(asset(extracted, scene, "B04")).grid
    cube = Cube(extracted.cube_url("s2", grid.name)).open()
    pixels = cube["B04"].isel(time=int(np.flatnonzero(cube["scene"].values == scene)[0])).values
    offset = int(cube["boa_offset"].values[list(cube["scene"].values).index(scene)])
    from cbm_lake import zonal

    index = zonal.SpanIndex.from_table(extracted.index(extracted.parcel_set("demo", 2024), grid.name))

    table = zonal.statistics(index, pixels)
    pids = extracted.read_parcels(extracted.parcel_set("demo", 2024), ["id"])["id"].to_pylist()
    got = {row["pid"]: row for row in extracted.sql("select * from s2 where scene = $s", s=scene).to_pylist()}
    for pid, row in zip(pids, table.to_pylist(), strict=True):
        if row["count"]:
            assert got[pid]["B04_count"] == row["count"]
            assert got[pid]["B04_mean"] == np.float32(row["mean"] + offset)
            assert got[pid]["B04_max"] == row["max"] + offset


def test_the_cube_holds_the_stored_pixels_of_the_files_round_the_parcels(extracted):
    scene = extracted.sql("select scene from s2 limit 1")["scene"][0].as_py()
    href = asset(extracted, scene, "B08")
    cube = Cube(extracted.cube_url("s2", Raster.inspect(href).grid.name)).open()
    with rasterio.open(href) as file:
        stored = file.read(1)
        x, y = file.transform * (0.5, 0.5)
    kept = cube["B08"].isel(time=list(cube["scene"].values).index(scene)).values
    assert kept.dtype == stored.dtype
    assert np.array_equal(kept, stored)
    assert (float(cube.x[0]), float(cube.y[0])) == (x, y)
    assert list(cube.time.values) == sorted(cube.time.values)


@pytest.mark.slow
def test_without_a_cube_by_dask_and_in_this_process_the_rows_are_the_same(extracted, tmp_path, scenes):
    lake = fill(tmp_path / "lake", scenes)
    calls = []
    done = extract.s2(**YEAR, bands=BANDS, cube=False, workers=2, lake=lake, progress=lambda *seen: calls.append(seen))
    assert rows(lake).equals(rows(extracted))
    assert calls == [(n, done.scenes) for n in range(1, done.scenes + 1)]
    assert not (tmp_path / "lake" / "cubes").exists()


def test_the_coverage_rule_is_recorded_and_gives_other_numbers(filled, extracted):
    pytest.importorskip("exactextract")
    extract.s2(**YEAR, bands=BANDS, rule="coverage", cube=False, workers=0, lake=filled)
    assert filled.sql("select distinct rule from s2")["rule"].to_pylist() == ["coverage"]
    both = zip(rows(filled)["B04_mean"].to_pylist(), rows(extracted)["B04_mean"].to_pylist(), strict=False)
    assert any(a != b for a, b in both)


def test_by_the_coverage_rule_parcels_below_half_a_pixel_have_their_mean_and_are_not_observable(tmp_path, scenes):
    exactextract = pytest.importorskip("exactextract")
    lake = fill(tmp_path / "lake", scenes)
    frame = gpd.read_file(scenes.parcels).head(12)
    x, y = frame.to_crs(32631).centroid.x, frame.to_crs(32631).centroid.y
    width, height = np.resize([6, 40, 8, 0.5], len(frame)), np.resize([6, 1, 8, 0.5], len(frame))
    small = frame.to_crs(32631).set_geometry(shapely.box(x, y, x + width, y + height), crs=32631)
    small.to_file(tmp_path / "small.gpkg")
    parcels.load(tmp_path / "small.gpkg", YEAR["aoi"], YEAR["year"], lake=lake)
    extract.s2(**YEAR, bands=BANDS, rule="coverage", cube=False, workers=0, lake=lake)
    found = lake.sql(
        "select pid, scene, B08_count, B08_mean, covered, observable, geometry, epsg from s2 join parcels using (pid)"
    )
    assert found.num_rows >= len(frame)
    assert set(found["B08_count"].to_pylist()) <= {1}
    assert set(found["observable"].to_pylist()) == {False}
    for row in found.to_pylist():
        with rasterio.open(asset(lake, row["scene"], "B08")) as file:
            outline = gpd.GeoSeries([shapely.from_wkb(row["geometry"])], crs=row["epsg"]).to_crs(file.crs)[0]
            outline = {"type": "Feature", "geometry": shapely.geometry.mapping(outline)}
            offset = lake.sql("select boa_offset from scenes where id = $id", id=row["scene"])["boa_offset"][0].as_py()
            (truth,) = exactextract.exact_extract(file, [outline], ["count", "mean"])
        assert row["B08_mean"] == pytest.approx(truth["properties"]["mean"] + offset, rel=1e-4)
        assert row["covered"] == pytest.approx(truth["properties"]["count"], rel=1e-4)


@pytest.mark.parametrize(("card", "call"), [("bs", extract.bs), ("c6", extract.c6)])
def test_sentinel_1_takes_the_same_way(tmp_path, scenes, card, call):
    lake = fill(tmp_path / "lake", scenes, card)
    call(**YEAR, workers=0, lake=lake)
    row = lake.sql(f"select * from {card} where observable limit 1").to_pylist()[0]  # noqa: S608
    href = asset(lake, row["scene"], "VV")
    shape = lake.sql("select geometry, epsg from parcels where pid = $pid", pid=row["pid"]).to_pylist()[0]
    grid = Raster.inspect(href).grid
    outline = gpd.GeoSeries([shapely.from_wkb(shape["geometry"])], crs=shape["epsg"]).to_crs(grid.epsg)
    with rasterio.open(href) as file:
        truth = zonal_stats(outline, file.read(1), affine=file.transform, nodata=0, stats="count mean")[0]
    assert row["VV_count"] == truth["count"]
    assert row["VV_mean"] == pytest.approx(truth["mean"], rel=1e-6)


# -- only what is missing -----------------------------------------------------------------------------------------


def test_a_second_run_finds_nothing_to_do(extracted):
    before = rows(extracted)
    done = extract.s2(**YEAR, bands=BANDS, workers=0, lake=extracted)
    assert (done.scenes, done.rows, done.skipped) == (0, 0, 6)
    assert rows(extracted).equals(before)


@pytest.mark.slow
def test_one_more_band_keeps_those_that_were_there(filled):
    extract.s2(**YEAR, bands=["B04"], workers=0, lake=filled)
    before = rows(filled).select(["scene", "pid", "B04_mean", "scl_4"])
    extract.s2(**YEAR, bands=["B08"], workers=0, lake=filled)
    after = rows(filled)
    assert after.select(["scene", "pid", "B04_mean", "scl_4"]).equals(before)
    assert after["B08_mean"].null_count == 0
    assert extract.s2(**YEAR, bands=["B04", "B08"], workers=0, lake=filled).scenes == 0


# -- parcels that change ------------------------------------------------------------------------------------------


def declare(lake, frame, folder):
    """Load parcels as a new version."""
    file = folder / f"parcels{len(list(folder.glob('*.gpkg')))}.gpkg"
    frame.to_file(file)
    return parcels.load(str(file), "demo", 2024, pid="parcel_id", lake=lake)


def moved(frame, number):
    """The same parcels, the first of them 30 m further east."""
    changed = frame.copy()
    changed.loc[changed.index[:number], "geometry"] = changed.geometry.iloc[:number].translate(30 / 80_000)
    return changed


def fresh(folder, scenes, frame, **options):
    """What a lake gives that knows only these parcels."""
    lake = fill(folder / "fresh", scenes)
    declare(lake, frame, folder)
    extract.s2(**YEAR, **{"bands": BANDS, "cube": False, "workers": 0, "lake": lake, **options})
    return rows(lake)


def test_parcels_declared_no_more_go_without_new_work(filled, scenes, tmp_path):
    extract.s2(**YEAR, bands=["B04"], cube=False, workers=0, lake=filled)
    fewer = gpd.read_file(scenes.parcels).iloc[:10]
    declare(filled, fewer, tmp_path)
    assert set(rows(filled)["pid"].to_pylist()) <= set(fewer["parcel_id"])
    done = extract.s2(**YEAR, bands=["B04"], cube=False, workers=0, lake=filled)
    assert (done.scenes, done.skipped) == (0, 6)


def test_of_a_new_version_only_the_parcels_that_changed_are_extracted(filled, scenes, tmp_path):
    extract.s2(**YEAR, bands=BANDS, workers=0, lake=filled)
    before = gpd.read_file(scenes.parcels)
    after = moved(before, 3)
    after.loc[after.index[5], "parcel_id"] = "new"
    declare(filled, after, tmp_path)
    changed = {*before["parcel_id"].iloc[:3], before["parcel_id"].iloc[5], "new"}
    assert not changed & set(rows(filled)["pid"].to_pylist())
    done = extract.s2(**YEAR, bands=BANDS, workers=0, lake=filled)
    assert done.scenes == 6
    assert 0 < done.rows <= 4 * 6
    assert rows(filled).equals(fresh(tmp_path, scenes, after))
    assert filled.query("status.parcels")["older"].to_pylist() == [0]


def stored(lake, card="s2"):
    """The rows of all pixels in the Delta table of a card, as any other reader counts them."""
    files = DeltaTable(f"{lake.url}/signatures/{card}").file_uris()
    return duckdb.sql(
        "select count(*) from read_parquet($files) where mask is null", params={"files": files}
    ).fetchall()[0][0]


def test_status_counts_the_rows_of_the_table_before_and_after_parcels_change(filled, scenes, tmp_path):
    def status():
        return filled.query("status.parcels").select(["scenes", "older", "signatures"]).to_pylist()

    def extracted():
        (row,) = filled.query("status.extraction", aoi="demo", year=2024).to_pylist()
        return row["scenes"], row["signatures"], row["statistics"]

    extract.s2(**YEAR, bands=["B04"], cube=False, workers=0, lake=filled)
    first = stored(filled)
    assert status() == [{"scenes": 6, "older": 0, "signatures": first}]
    assert extracted() == (6, first, first)
    before = gpd.read_file(scenes.parcels)
    after = moved(before, 3)
    after.loc[after.index[5], "parcel_id"] = "new"
    declare(filled, after, tmp_path)
    filled.compact("s2")
    fewer = stored(filled)
    assert 0 < fewer < first
    assert status() == [{"scenes": 6, "older": 6, "signatures": fewer}]
    again = extract.s2(**YEAR, bands=["B04"], cube=False, workers=0, lake=filled)
    assert stored(filled) == fewer + again.rows
    assert status() == [{"scenes": 6, "older": 0, "signatures": fewer + again.rows}]
    assert extracted() == (6, first + again.rows, first + again.rows)
    left_out = filled.sql("select min(id) as id from scenes")["id"][0].as_py()
    leave_out(left_out, "clouds", lake=filled)
    assert status()[0]["signatures"] == stored(filled) < fewer + again.rows


@pytest.mark.slow
def test_going_back_to_an_older_version_takes_what_stands(filled, scenes, tmp_path):
    before = gpd.read_file(scenes.parcels)
    declare(filled, before, tmp_path)
    extract.s2(**YEAR, bands=BANDS, cube=False, workers=0, lake=filled)
    first = rows(filled)
    for frame in (moved(before, 3), moved(before, 2)):
        declare(filled, frame, tmp_path)
        extract.s2(**YEAR, bands=BANDS, cube=False, workers=0, lake=filled)
    declare(filled, before, tmp_path)
    done = extract.s2(**YEAR, bands=BANDS, cube=False, workers=0, lake=filled)
    assert (done.scenes, done.skipped) == (0, 6)
    assert rows(filled).equals(first)


@pytest.mark.slow
def test_more_bands_after_a_change_take_all_parcels_and_the_old_rows_go(filled, scenes, tmp_path):
    extract.s2(**YEAR, bands=["B04"], cube=False, workers=0, lake=filled)
    after = moved(gpd.read_file(scenes.parcels), 3)
    declare(filled, after, tmp_path)
    extract.s2(**YEAR, bands=["B04"], cube=False, workers=0, lake=filled)
    extract.s2(**YEAR, bands=["B08", "B11"], cube=False, workers=0, lake=filled)
    expected = fresh(tmp_path, scenes, after)
    assert rows(filled).equals(expected)
    assert filled.sql("from signatures_s2").num_rows == expected.num_rows
    filled.compact("s2")
    assert filled.sql("from signatures_s2").num_rows == expected.num_rows
    assert rows(filled).equals(expected)


@pytest.mark.slow
def test_a_new_version_is_extracted_from_the_cube_when_the_scenes_are_gone(tmp_path):
    own = sample.write(tmp_path / "sample", dates=3, size=160)
    lake = fill(tmp_path / "lake", own)
    extract.s2(**YEAR, bands=BANDS, workers=0, lake=lake)
    after = moved(gpd.read_file(own.parcels), 200)
    expected = fresh(tmp_path, own, after)
    for file in (tmp_path / "sample").rglob("*.tif"):
        file.unlink()
    declare(lake, after, tmp_path)
    done = extract.s2(**YEAR, bands=BANDS, workers=0, lake=lake)
    assert done.scenes == 3
    assert rows(lake).equals(expected)


@pytest.mark.slow
def test_a_damaged_file_of_the_cube_is_named_and_read_from_the_scene_again(tmp_path, filled, scenes, caplog):
    extract.s2(**YEAR, bands=["B04"], workers=0, lake=filled)
    shard = next(Path(filled.url).rglob("B04/c/2/0/0"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    declare(filled, moved(gpd.read_file(scenes.parcels), 3), tmp_path)
    assert extract.s2(**YEAR, bands=["B04"], workers=0, lake=filled).scenes == 6
    assert "B04/c/2/0/0" in caplog.text
    assert shard.read_bytes() == whole


# -- runs that meet -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_parcel_sets_share_the_cube_and_neither_erases_what_the_other_stored(tmp_path, scenes):
    lake = fill(tmp_path / "lake", scenes)
    whole = gpd.read_file(scenes.parcels)
    for ptype, frame in {"a": whole.iloc[:3], "b": whole.iloc[-3:]}.items():
        frame.to_file(tmp_path / f"{ptype}.gpkg")
        parcels.load(str(tmp_path / f"{ptype}.gpkg"), "demo", 2024, ptype, pid="parcel_id", lake=lake)
        extract.s2(**YEAR, ptype=ptype, bands=["B04"], workers=0, lake=lake)
    grid = next(Path(lake.url, "cubes", "s2").glob("*_10m_*")).stem
    cube = Cube(lake.cube_url("s2", grid)).open()
    assert cube.sizes["time"] == 6
    for number, scene in enumerate(cube["scene"].values):
        with rasterio.open(asset(lake, scene, "B04")) as file:
            assert np.array_equal(cube["B04"][number].values, file.read(1))


def test_after_a_failed_attempt_the_next_run_keeps_the_bands_that_were_done(filled, tmp_path):
    extract.s2(**YEAR, bands=["B04"], cube=False, workers=0, lake=filled)
    scene, href = filled.sql("select id, assets.B08.href from scenes order by obstime limit 1").to_pylist()[0].values()
    hidden = Path(href).rename(tmp_path / "B08.tif")
    try:
        with pytest.raises(SourceError, match="1 of 6 scenes failed"):
            extract.s2(**YEAR, bands=["B08"], cube=False, workers=0, lake=filled)
    finally:
        hidden.rename(href)
    assert filled.sql("select count(B04_mean) > 0 as kept from s2 where scene = $s", s=scene)["kept"][0].as_py()
    assert extract.s2(**YEAR, bands=["B08"], cube=False, workers=0, lake=filled).scenes == 1
    counts = filled.sql("select count(B04_mean) as b04, count(B08_mean) as b08 from s2 where scene = $s", s=scene)
    assert min(counts.to_pylist()[0].values()) > 20


@pytest.mark.slow
def test_of_two_runs_with_other_bands_the_later_is_refused_and_adds_its_own_when_run_again(filled):
    first, second = (extract.plan("s2", **YEAR, bands=[band], cube=False, lake=filled) for band in ("B04", "B08"))
    extract.run(first, workers=0)
    with pytest.raises(SourceError, match=r"6 of 6 scenes failed.*meanwhile extracted by another run.*run again"):
        extract.run(second, workers=0)
    assert filled.sql("select count(B04_mean) > 0 as kept from s2")["kept"][0].as_py()
    extract.s2(**YEAR, bands=["B08"], cube=False, workers=0, lake=filled)
    counts = filled.sql("select count(B04_mean) = count(B08_mean) as both from s2")
    assert counts["both"][0].as_py()


@pytest.mark.slow
def test_two_runs_of_the_same_work_leave_one_copy(filled, extracted):
    plans = [extract.plan("s2", **YEAR, bands=BANDS, lake=filled) for _ in range(2)]
    for todo in plans:
        extract.run(todo, workers=0)
    assert rows(filled).equals(rows(extracted))
    assert filled.sql("from signatures_s2").num_rows == filled.sql("from s2").num_rows


@pytest.mark.slow
def test_planners_at_once_give_every_scene_a_place_of_its_own(filled):
    def reserve(number):
        content = SlotContent(f"S{number}", datetime(2024, 1, number, tzinfo=UTC), 0, {"B04": "stamp"})
        return Lake(filled.url).reserve_slots("s2", "grid", [content])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(reserve, range(1, 13)))
    held = filled.query("extractions.slots", card="s2", grid="grid")
    assert held["slot"].to_pylist() == list(range(12))
    assert sorted(held["scene"].to_pylist()) == sorted(f"S{number}" for number in range(1, 13))


@pytest.mark.slow
def test_signatures_whose_file_was_lost_are_extracted_again_on_demand(filled):
    from deltalake import DeltaTable

    from cbm_lake.lake.check import check

    extract.s2(**YEAR, bands=BANDS, workers=0, lake=filled)
    whole = rows(filled)
    table = DeltaTable(f"{filled.url}/signatures/s2")
    Path(table.file_uris()[0]).unlink()
    table.repair()
    (lost,) = [finding for finding in check(filled).to_pylist() if "its ledger says" in finding["what"]]
    assert re.search(r"or run `cbm-lake extract s2 .* --again`$", lost["advice"])
    day = next(row["obstime"] for row in filled.sql("from scenes").to_pylist() if row["id"] in lost["what"])
    assert extract.s2(**YEAR, bands=BANDS, workers=0, lake=filled).scenes == 0
    done = extract.s2(
        **{**YEAR, "start": day.date(), "end": day.date()}, bands=BANDS, again=True, workers=0, lake=filled
    )
    assert done.scenes >= 1
    assert rows(filled).equals(whole)
    assert not [finding for finding in check(filled).to_pylist() if finding["severity"] == "fault"]


@pytest.mark.slow
def test_a_scene_whose_offset_is_corrected_in_the_catalogue_is_extracted_again(filled):
    extract.s2(**YEAR, bands=["B04"], workers=0, lake=filled)
    before = filled.sql("select scene, max(B04_max) as top from s2 group by scene order by min(obstime)").to_pylist()
    items = filled.sql("select * from stac_scenes order by datetime").cast(schemas.SCENES).to_pylist()
    items[0] |= {"boa_offset": items[0]["boa_offset"] + 1000, "revision": "corrected", "ingested": datetime.now(UTC)}
    assert filled.add_scenes(pa.Table.from_pylist(items, schema=schemas.SCENES)) == 0
    assert extract.s2(**YEAR, bands=["B04"], workers=0, lake=filled).scenes == 1
    after = filled.sql("select scene, max(B04_max) as top from s2 group by scene order by min(obstime)").to_pylist()
    assert after == [before[0] | {"top": before[0]["top"] + 1000}, *before[1:]]


def test_a_scene_whose_offset_is_corrected_gets_another_place_in_the_cube(filled):
    content = SlotContent("S", datetime(2024, 1, 1, tzinfo=UTC), 0, {"B04": "stamp"})
    filled.reserve_slots("s2", "grid", [content])
    held = filled.reserve_slots("s2", "grid", [replace(content, boa_offset=-1000)])
    assert held.select(["slot", "boa_offset"]).to_pylist() == [
        {"slot": 0, "boa_offset": 0},
        {"slot": 1, "boa_offset": -1000},
    ]


def test_a_dry_plan_says_the_same_and_writes_nothing(filled):
    before = sorted(Path(filled.url).rglob("*"))
    dry = extract.plan("s2", **YEAR, bands=BANDS, dry=True, lake=filled)
    assert sorted(Path(filled.url).rglob("*")) == before
    real = extract.plan("s2", **YEAR, bands=BANDS, lake=filled)
    assert [(job.scene, job.bands, job.rasters) for job in dry.jobs] == [
        (job.scene, job.bands, job.rasters) for job in real.jobs
    ]


def test_a_plan_only_takes_scenes_between_its_days_both_included(filled):
    days = sorted({value.date() for value in filled.sql("select obstime from scenes")["obstime"].to_pylist()})
    todo = extract.plan("s2", days[1], days[3], aoi="demo", year=2024, lake=filled)
    assert [job.scene.obstime.date() for job in todo.jobs] == days[1:4]


# -- what breaks --------------------------------------------------------------------------------------------------


def damage(lake, tmp_path, change):
    """The lake with copies of its catalogue in which one scene's B04 is another file; returns that scene's id."""
    table = lake.sql("select * from stac_scenes order by datetime")
    items = table.cast(schemas.SCENES).to_pylist()
    href = tmp_path / "B04.tif"
    change(items[2]["assets"]["B04"]["href"], href)
    items[2]["assets"]["B04"]["href"] = str(href)
    other = Lake(str(tmp_path / "damaged"))
    other.add_scenes(pa.Table.from_pylist(items, schema=schemas.SCENES))
    current = lake.parcel_set("demo", 2024)
    other.add_parcels("demo", 2024, "", current.version, lake.read_parcels(current).drop_columns(["ptype", "version"]))
    return other, items[2]["id"]


def truncated(source, target):
    data = Path(source).read_bytes()
    target.write_bytes(data[: len(data) // 2])


def absent(source, target):
    """Leave the file away."""


def not_a_raster(source, target):
    target.write_text("this is no raster")


def truncated_jp2(source, target):
    with rasterio.open(source) as file:
        profile = {"driver": "JP2OpenJPEG", "height": file.height, "width": file.width, "count": 1, "dtype": "uint16"}
        whole = target.with_suffix(".jp2")
        with rasterio.open(
            whole, "w", crs=file.crs, transform=file.transform, QUALITY=100, REVERSIBLE="YES", **profile
        ) as out:
            out.write(file.read(1), 1)
    data = whole.read_bytes()
    target.write_bytes(data[: len(data) // 3])


@pytest.mark.slow
@pytest.mark.parametrize("change", [absent, not_a_raster, truncated, truncated_jp2])
@pytest.mark.parametrize("cube", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_broken_raster_fails_its_scene_only_and_is_tried_again(filled, tmp_path, change, cube):
    lake, broken = damage(filled, tmp_path, change)
    with pytest.raises(SourceError, match=rf"1 of 6 scenes failed, 5 are done.*{broken}.*B04.tif") as caught:
        extract.s2(**YEAR, bands=["B04"], cube=cube, workers=0, lake=lake)
    assert "\n" not in str(caught.value)
    state = {row["id"]: row for row in lake.sql("select id, status, problem from scenes").to_pylist()}
    assert state[broken]["status"] == "failed"
    assert "B04.tif" in state[broken]["problem"]
    assert sum(row["status"] == "extracted" for row in state.values()) == 5
    assert lake.sql("select count(*) as n from s2 where scene = $scene", scene=broken)["n"][0].as_py() == 0
    (tmp_path / "B04.tif").write_bytes(Path(asset(filled, broken, "B04")).read_bytes())
    done = extract.s2(**YEAR, bands=["B04"], cube=cube, workers=0, lake=lake)
    assert (done.scenes, done.skipped) == (1, 5)
    assert lake.sql("select distinct status from scenes")["status"].to_pylist() == ["extracted"]


def test_a_scene_without_any_data_is_done_with_no_rows(filled, tmp_path):
    def emptied(source, target):
        with rasterio.open(source) as file, rasterio.open(target, "w", **file.profile) as out:
            out.write(np.zeros(file.shape, "uint16"), 1)

    lake, empty = damage(filled, tmp_path, emptied)
    extract.s2(**YEAR, bands=["B04"], workers=0, lake=lake)
    state = lake.sql("select status, rows from extractions where scene = $scene", scene=empty).to_pylist()
    assert state == [{"status": "done", "rows": 0}]


@pytest.mark.slow
def test_a_scene_in_another_utm_zone_gives_right_numbers_on_its_own_grid(filled, tmp_path):
    from rasterio.warp import calculate_default_transform, reproject

    def moved(source, target):
        with rasterio.open(source) as file:
            transform, width, height = calculate_default_transform(
                file.crs, "EPSG:32632", file.width, file.height, *file.bounds, resolution=10
            )
            values = np.zeros((height, width), "uint16")
            reproject(
                file.read(1),
                values,
                src_transform=file.transform,
                src_crs=file.crs,
                dst_transform=transform,
                dst_crs="EPSG:32632",
            )
        profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint16", "nodata": 0}
        with rasterio.open(target, "w", crs="EPSG:32632", transform=transform, **profile) as out:
            out.write(values, 1)

    lake, zone = damage(filled, tmp_path, moved)
    extract.s2(**YEAR, bands=["B04"], workers=0, lake=lake)
    got = lake.sql(
        "select pid, B04_count as n, B04_mean as mean from s2 where scene = $scene and B04_count > 60", scene=zone
    ).to_pylist()
    assert len(got) > 5
    shapes = gpd.GeoSeries.from_wkb(lake.sql("select geometry from parcels order by pid")["geometry"].to_pylist())
    epsg = lake.epsg("demo")
    frame = gpd.GeoDataFrame(
        {"pid": lake.sql("select pid from parcels order by pid")["pid"].to_pylist()}, geometry=shapes, crs=epsg
    )
    frame = frame.to_crs(32632).set_index("pid")
    for row in got:
        truth = zonal_stats([frame.geometry[row["pid"]]], str(tmp_path / "B04.tif"), nodata=0, stats="count mean")[0]
        offset = lake.sql("select boa_offset from scenes where id = $id", id=zone)["boa_offset"][0].as_py()
        assert row["n"] == truth["count"]
        assert row["mean"] == pytest.approx(truth["mean"] + offset, rel=1e-6)


def test_parcels_outside_all_scenes_are_said_to_be_so(filled, scenes, tmp_path):
    far = gpd.read_file(scenes.parcels).to_crs(4326)
    far.geometry = far.geometry.translate(xoff=10)
    far.to_file(tmp_path / "far.gpkg")
    parcels.load(str(tmp_path / "far.gpkg"), "far", 2024, pid="parcel_id", lake=filled)
    with pytest.raises(NotFoundError, match=r"none of the 6 scenes of card s2 .* covers the parcels of far 2024"):
        extract.s2(**{**YEAR, "aoi": "far"}, workers=0, lake=filled)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"start": "2024-12-31", "end": "2024-01-01"}, InvalidInputError, "reversed: start 2024-12-31 is after"),
        ({"start": "yesterday"}, InvalidInputError, "write dates as"),
        ({"bands": ["B04", "B99"]}, InvalidInputError, "card s2 has no band B99; choose from B02"),
        ({"bands": []}, InvalidInputError, "no band"),
        ({"rule": "touch"}, InvalidInputError, "unknown rule 'touch'"),
        ({"aoi": "xx"}, NotFoundError, "no parcels of xx 2024 in this lake; there are: demo 2024"),
        ({"year": 1999}, NotFoundError, "no parcels of demo 1999"),
        ({"start": date(2019, 1, 1), "end": date(2019, 2, 1)}, NotFoundError, "no scene of card s2 from 2019-01-01"),
    ],
)
def test_absurd_requests_are_refused_in_one_line(filled, change, error, message):
    with pytest.raises(error, match=message) as caught:
        extract.s2(**{**YEAR, "lake": filled, **change})
    assert "\n" not in str(caught.value)


def test_an_unknown_card_is_refused(filled):
    with pytest.raises(InvalidInputError, match="unknown card 's3'; choose from s2, bs, c6"):
        extract.extract("s3", **YEAR, lake=filled)


KILLED = """
import os, signal, sys
from cbm_lake import extract
from cbm_lake.lake import Lake

lake = Lake(sys.argv[1])
record, left = Lake.record, int(sys.argv[2])

def record_then_die(self, entry, after=None):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)  # after the rows, before the ledger
    left -= 1
    return record(self, entry, after)

Lake.record = record_then_die
extract.s2("2024-01-01", "2024-12-31", aoi="demo", year=2024, bands=["B04", "B08", "B11"], workers=0, lake=lake)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 2])
def test_killed_between_rows_and_ledger_nothing_is_lost_or_doubled(filled, extracted, after):
    killed = subprocess.run([sys.executable, "-c", KILLED, filled.url, str(after)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert filled.sql("select count(*) as n from extractions")["n"][0].as_py() == after
    done = extract.s2(**YEAR, bands=BANDS, workers=0, lake=filled)
    assert (done.scenes, done.skipped) == (6 - after, after)
    assert rows(filled).equals(rows(extracted))


@pytest.mark.slow
def test_killed_at_any_moment_of_a_parallel_run_the_next_run_completes_it(filled, extracted):
    code = (
        "import sys\nfrom cbm_lake import extract\nfrom cbm_lake.lake import Lake\n"
        "if __name__ == '__main__':\n"
        "    options = dict(aoi='demo', year=2024, bands=['B04', 'B08', 'B11'], workers=2)\n"
        "    extract.s2('2024-01-01', '2024-12-31', **options, lake=Lake(sys.argv[1]))\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code, filled.url], start_new_session=True, stderr=subprocess.DEVNULL
    )
    ledger = Path(filled.url) / "extractions" / "_delta_log"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(ledger.glob("*.json"))) < 3:
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    extract.s2(**YEAR, bands=BANDS, workers=0, lake=filled)
    assert rows(filled).equals(rows(extracted))


@pytest.fixture
def disk(tmp_path):
    """A file system of 3 MB."""
    with small_disk(tmp_path / "small", "3m") as folder:
        yield folder


@pytest.mark.slow
def test_a_full_disk_is_one_line_of_error_and_leaves_whole_scenes_only(disk, scenes, extracted):
    lake = fill(disk / "lake", scenes)
    room = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_frsize - 500_000))
    with pytest.raises(SourceError, match=r"cannot write .*small/lake.*No space left") as caught:
        extract.s2(**YEAR, bands=BANDS, workers=0, lake=lake)
    assert "\n" not in str(caught.value)
    (disk / "ballast").unlink()
    sizes = "select scene, count(*) as n from s2 group by scene"
    whole = {row["scene"]: row["n"] for row in extracted.sql(sizes).to_pylist()}
    assert all(whole[row["scene"]] == row["n"] for row in lake.sql(sizes).to_pylist())
    extract.s2(**YEAR, bands=BANDS, workers=0, lake=lake)
    assert rows(lake).equals(rows(extracted))


# -- real scenes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def herault(realdata, tmp_path_factory):
    """Ten real Sentinel-2 products and 120 real parcels, extracted."""
    lake = Lake(str(tmp_path_factory.mktemp("herault") / "lake"))
    card2db.safe(realdata / "s2_herault_2018" / "safe", lake=lake)
    parcels.load(
        str(realdata / "s2_herault_2018" / "parcels.parquet"),
        "fr34",
        2018,
        pid="parcel_id",
        crop_name="EC_hcat_n",
        lake=lake,
    )
    extract.s2(
        "2018-01-01",
        "2018-12-31",
        aoi="fr34",
        year=2018,
        bands=["B02", "B04", "B08", "B8A", "B11"],
        workers=0,
        lake=lake,
    )
    return lake


def test_real_wheat_is_green_in_april_and_harvested_in_june(herault):
    table = herault.sql(
        "select obstime::date as day, round(avg(ndvi(B04_mean, B08_mean)), 2) as ndvi "
        "from s2 join parcels using (aoi, year, ptype, pid) "
        "where crop_name = 'winter_durum_hard_wheat' group by day order by day"
    )
    assert table["ndvi"].to_pylist() == [0.26, 0.33, 0.59, 0.30, 0.28, 0.20, 0.24, 0.23, 0.23]


def test_the_real_scene_without_data_is_done_with_no_rows(herault):
    table = herault.sql("select status, rows from extractions where scene like '%20180212%'").to_pylist()
    assert table == [{"status": "done", "rows": 0}]


def test_real_signatures_equal_rasterstats_on_both_grids(herault):
    frame = herault.sql("select pid, geometry, epsg from parcels order by pid").to_pandas()
    scenes = herault.sql("select id, assets from scenes where id like '%20180418%' or id like '%20180123%'").to_pylist()
    for scene in scenes:
        got = {row["pid"]: row for row in herault.sql("select * from s2 where scene = $s", s=scene["id"]).to_pylist()}
        for band in ("B08", "B11"):
            with rasterio.open(scene["assets"][band]["href"]) as file:
                shapes = gpd.GeoSeries.from_wkb(frame["geometry"], crs=2154).to_crs(file.crs)
                truth = zonal_stats(
                    shapes, file.read(1), affine=file.transform, nodata=0, stats="count mean min max std percentile_50"
                )
            for pid, expected in zip(frame["pid"], truth, strict=True):
                if expected["count"]:
                    mine = got[pid]
                    assert (mine[f"{band}_count"], mine[f"{band}_min"], mine[f"{band}_max"]) == (
                        expected["count"],
                        expected["min"],
                        expected["max"],
                    )
                    assert mine[f"{band}_mean"] == pytest.approx(expected["mean"], rel=1e-6)
                    assert mine[f"{band}_p50"] == pytest.approx(expected["percentile_50"], rel=1e-6)


def test_no_moment_of_the_ledger_lies_in_the_future(herault):
    latest = herault.sql("select max(finished) as last from extractions")["last"][0].as_py()
    assert latest <= datetime.now(UTC)
