"""What is in force goes by numbers in the data: clocks that are behind, ahead or set back change nothing."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from factories import DAY, entry, parcels, scene, scenes, signature, signatures, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbm_lake import guard
from cbm_lake import scenes as decisions
from cbm_lake.files import clock, filenames
from cbm_lake.files.filenames import Order
from cbm_lake.lake import Lake, open_lake, schemas
from cbm_lake.weather import store as store_weather

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
VARIANTS = (0, 1, 2)


class Hand:
    """A clock that shows what it is set to."""

    def __init__(self, monkeypatch):
        self.at = NOW
        monkeypatch.setattr(clock, "now", lambda: self.at)

    def set(self, hours):
        self.at = NOW + timedelta(hours=hours)


@pytest.fixture
def hand(monkeypatch):
    return Hand(monkeypatch)


# -- what can be done to a lake, each in three variants ----------------------------------------------------------------


def load_parcels(lake, variant):
    lake.add_parcels("ms", 2024, "", f"v{variant}", parcels(crops=[(f"crop {variant}", "1")] * 3))


def catalogue(lake, variant):
    """Another revision of the same product, whose provider does not say when it was made."""
    assets = {"B04": {"href": f"/data/{variant}/B04.tif", "type": "image/tiff"}}
    lake.add_scenes(scenes(scene("A", assets=assets, revision=f"r{variant}", ingested=clock.now())))


def judge(lake, variant):
    status = ("suspect", "cleared", "suspect")[variant]
    row = {"card": "s2", "scene": "A", "status": status, "kind": None, "shift": None, "reason": f"reason {variant}"}
    found = {**row, "found": clock.now(), "version": "0"}
    lake.add_suspects(pa.Table.from_pylist([found], schema=schemas.SUSPECTS))


def decide(lake, variant):
    status = ("left out", "put back", "left out")[variant]
    row = {"card": "s2", "scene": "A", "status": status, "why": f"why {variant}", "who": "ada"}
    decided = {**row, "decided": clock.now(), "version": "0"}
    lake.add_exclusions(pa.Table.from_pylist([decided], schema=schemas.EXCLUSIONS))


def inspect(lake, variant):
    row = {
        "sample_id": "first",
        "pid": "0012",
        "holding_id": None,
        "bucket_id": None,
        "verdict": f"verdict {variant}",
        "note": "",
        "inspector": "ada",
        "inspected": clock.now(),
        "as_of": clock.now(),
        "version": "0",
    }
    lake.add_inspection(row)


def load_weather(lake, variant):
    days = {"cell": ["c"], "meteo_date": [date(2024, 5, 1)]}
    days |= {name: [float(variant)] for name in ("tmin", "tmax", "tmean", "prec")}
    store_weather(lake, "ms", pa.table(days), {"c": (2.0, 43.0, 4.0, 44.0 + variant)})


def see_header(lake, variant):
    lake.remember_rasters({"/data/B04.tif": json.dumps({"stamp": f"s{variant}"})})


def try_scene(lake, variant):
    status, year = (("done", 2024), ("failed", 2024), ("failed", 2025))[variant]
    made = entry("A", status, clock.now(), year=year, parcels="v0", rows=0)
    lake.record({**made, "started": clock.now()})


def describe(lake, variant):
    """Two names whose statistics give one column."""
    row = {
        "aoi": "ms",
        "year": 2024,
        "ptype": "",
        "pid": "0012",
        "version": "v0",
        "attribute": "height_mean",
        "kind": "number",
        "value": float(variant),
        "label": None,
        "pixels": 1.0,
        "unit": "m",
        "rule": "centre",
        "raster": "dem.tif",
        "described": clock.now(),
        "part": variant,
    }
    lake.put("attributes", pa.Table.from_pylist([row], schema=schemas.ATTRIBUTES), variant)


def compact(lake, _):
    lake.compact()


DEEDS = (
    load_parcels,
    catalogue,
    judge,
    decide,
    inspect,
    load_weather,
    see_header,
    try_scene,
    describe,
    compact,
)
STATE = {
    "parcels": "select pid, crop_name, version from parcels order by all",
    "entry in force": "select id, assets, known_revision, first_revision from current_scenes order by all",
    "suspected": "select scene, reason from suspected order by all",
    "left out": "select scene, why from left_out order by all",
    "inspected": "select pid, verdict, note from inspections order by sequence desc nulls last limit 1",
    "weather": "select cell, meteo_date, tmin, tmax, tmean, prec from weather order by all",
    "cells": "select cell, north from weather_cells order by all",
    "scenes": "select id, status, problem from scenes order by all",
    "attributes": "select pid, height_mean from parcel_attributes order by all",
}


def state(lake):
    """What is in force, without any time."""
    found = {}
    for name, statement in STATE.items():
        if name != "attributes" or lake.sql("from attributes").num_rows:
            found[name] = lake.sql(statement).to_pylist()
    found["headers"] = lake.query("extractions.headers", hrefs=["/data/B04.tif"]).to_pylist()
    found["stamps"] = lake.query("extractions.stamps", hrefs=["/data/B04.tif"])["stamp"].to_pylist()
    found["verdicts"] = lake.query("qa.inspections", sample_id="first")["verdict"].to_pylist()
    found["inspected"] = lake.query("qa.inspected", aoi="ms", year=2024, ptype="")["verdict"].to_pylist()
    found["versions"] = [version.version for version in lake.parcel_versions("ms", 2024, "")]
    return found


@dataclass
class Worlds:
    """A lake whose clock is right, and one whose clock is not."""

    right: Lake
    wrong: Lake
    hand: Hand
    steps: int = 0

    def do(self, deed, variant, hours):
        self.steps += 1
        self.hand.set(self.steps)
        deed(self.right, variant)
        self.hand.set(hours)
        deed(self.wrong, variant)


@pytest.fixture
def worlds(tmp_path, hand):
    return Worlds(Lake(str(tmp_path / "right")), Lake(str(tmp_path / "wrong")), hand)


@pytest.mark.slow
@pytest.mark.parametrize("deed", DEEDS[:-1], ids=lambda deed: deed.__name__)
@pytest.mark.parametrize("hours", [(0, -2, -3), (24 * 365, 1, 2), (1, 1, 1)], ids=["behind", "a year ahead", "stopped"])
def test_the_latest_counts_whatever_the_clock_said(worlds, deed, hours):
    load_parcels(worlds.right, 0)
    load_parcels(worlds.wrong, 0)
    for variant, hour in zip(VARIANTS, hours, strict=True):
        worlds.do(deed, variant, hour)
        assert state(worlds.wrong) == state(worlds.right)


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    deeds=st.lists(
        st.tuples(st.sampled_from(DEEDS), st.sampled_from(VARIANTS), st.integers(-10_000, 10_000)), max_size=12
    )
)
def test_random_clocks_give_the_same_lake_as_a_right_one(tmp_path_factory, hand, deeds):
    folder = tmp_path_factory.mktemp("worlds")
    worlds = Worlds(Lake(str(folder / "right")), Lake(str(folder / "wrong")), hand)
    for lake in (worlds.right, worlds.wrong):
        lake.add_parcels("ms", 2024, "", "v0", parcels(crops=[("crop 0", "1")] * 3))
    for deed, variant, hours in deeds:
        worlds.do(deed, variant, hours)
    assert state(worlds.wrong) == state(worlds.right)


def test_a_scene_that_is_put_back_by_a_slow_clock_counts(lake, hand):
    lake.add_parcels("ms", 2024, "", "v1", parcels())
    lake.add_scenes(scenes("A"))
    write(lake, signatures(signature("0012")))
    decisions.leave_out("A", "haze", lake=lake)
    hand.set(-2)
    decisions.put_back("A", "no haze", lake=lake)
    assert lake.sql("from s2").num_rows == 1


def test_a_mark_that_is_cleared_by_a_slow_clock_is_gone(lake, hand):
    judge(lake, 0)
    hand.set(-2)
    guard.clear("A", "looked at it", lake=lake)
    assert guard.suspects(lake=lake).num_rows == 0


def test_the_slot_that_was_filled_last_counts_whatever_the_clock_said(lake, hand):
    lake.add_scenes(scenes("A"))
    slots = [{"card": "s2", "grid": "g", "slot": n, "scene": "A", "obstime": DAY, "boa_offset": -1000} for n in (0, 1)]
    lake._tables["slots"].append(pa.Table.from_pylist(slots, schema=schemas.SLOTS))
    for number in (0, 1):
        hand.set(-number)
        place = [{"grid": "g", "slot": number}]
        lake.record({**entry("A", finished=clock.now(), extraction=number), "cube": True, "slots": place})
    found = lake.query("cube.slots", card="s2", grid="g", aoi=None, year=None)
    assert found["slot"].to_pylist() == [1]


# -- what version 0.1 wrote --------------------------------------------------------------------------------------------


def test_files_without_numbers_come_before_all_others_in_the_order_of_their_times(lake, hand, tmp_path):
    for variant, day in ((0, "20300101"), (1, "20310101")):
        name = f"main-{day}T000000000000Z-v{variant}.parquet"
        rows = parcels(crops=[(f"old {variant}", "1")] * 3)
        labelled = rows.append_column("ptype", pa.array([""] * 3)).append_column(
            "version", pa.array([f"v{variant}"] * 3)
        )
        lake._store.write(f"parcels/aoi=ms/year=2024/{name}", labelled)
    assert lake.parcel_set("ms", 2024).version == "v1"
    load_parcels(lake, 2)
    assert lake.parcel_set("ms", 2024).version == "v2"
    assert [found.version for found in lake.parcel_versions("ms", 2024, "")] == ["v2", "v1", "v0"]
    assert lake.sql("select distinct crop_name from parcels")["crop_name"].to_pylist() == ["crop 2"]


def test_entries_of_the_catalogue_without_numbers_come_before_all_others(lake, hand):
    old = scenes(scene("A", revision="old", ingested=datetime(2030, 1, 1, tzinfo=UTC))).drop_columns(["sequence"])
    lake._store.write("scenes/20300101T000000000000Z-0a1b2c3d.parquet", old)
    catalogue(lake, 1)
    (row,) = lake.sql("select known_revision, first_revision from current_scenes").to_pylist()
    assert row == {"known_revision": "r1", "first_revision": "old"}


@pytest.mark.parametrize("compacted", [False, True])
def test_rows_without_numbers_come_before_all_others(lake, hand, compacted):
    from deltalake import write_deltalake

    rows = [
        {
            "card": "s2",
            "scene": "A",
            "status": status,
            "reason": "old",
            "version": "0.1",
            "found": datetime(2030, 1, 1 + number, tzinfo=UTC),
        }
        for number, status in enumerate(("cleared", "suspect"))
    ]
    old = pa.schema([field for field in schemas.SUSPECTS if field.name != "sequence"])
    write_deltalake(f"{lake.url}/suspects", pa.Table.from_pylist(rows, schema=old))
    assert guard.suspects(lake=lake)["scene"].to_pylist() == ["A"]
    judge(lake, 1)
    if compacted:
        lake.compact()
    assert guard.suspects(lake=lake).num_rows == 0
    judge(lake, 0)
    assert guard.suspects(lake=lake)["reason"].to_pylist() == ["reason 0"]
    assert lake.sql("select sequence from suspects where sequence is null").num_rows == 2


def test_a_table_that_was_written_anew_goes_on_counting(lake, hand):
    import shutil

    from deltalake import write_deltalake

    for variant in (0, 1, 0, 1, 0):
        judge(lake, variant)
    rows = lake.sql("select * from suspects").cast(schemas.SUSPECTS)
    shutil.rmtree(f"{lake.url}/suspects")
    write_deltalake(f"{lake.url}/suspects", rows)
    again = Lake(lake.url)
    judge(again, 1)
    assert guard.suspects(lake=again).num_rows == 0


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(
    sequence=st.integers(1, 10**9),
    aoi=st.from_regex(r"[a-z0-9_]{1,9}", fullmatch=True),
    ptype=st.sampled_from(["", "m", "main2"]),
    version=st.from_regex(r"[0-9a-f]{12}(_[0-9a-f]{8})?", fullmatch=True),
)
def test_names_of_parcel_files_say_what_they_were_made_of(sequence, aoi, ptype, version):
    order = Order(sequence, filenames.stamp(NOW))
    name = filenames.parcels(aoi, 2024, ptype, order, version)
    assert filenames.parts_of_parcels(f"/lake/{name}") == (aoi, 2024, ptype, version, order)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("20240601T120000000000Z-0a1b2c3d.parquet", Order(0, "20240601T120000000000Z")),
        ("000012-20240601T120000000000Z-0a1b2c3d.parquet", Order(12, "20240601T120000000000Z")),
        ("1234567-20240601T120000000000Z-0a1b2c3d.parquet", Order(1234567, "20240601T120000000000Z")),
        ("of-mine.parquet", Order(0, "of")),
    ],
)
def test_names_of_catalogue_files_of_every_version_are_understood(name, order):
    assert filenames.order_of_scenes(f"/lake/scenes/{name}") == order


def test_of_two_writers_that_take_the_same_number_one_counts_for_everybody(lake, hand):
    for hours, version in ((1, "v1"), (0, "v0")):
        hand.set(hours)
        rows = parcels().append_column("ptype", pa.array([""] * 3)).append_column("version", pa.array([version] * 3))
        lake._store.write(filenames.parcels("ms", 2024, "", filenames.following([]), version), rows)
    assert lake.parcel_set("ms", 2024).version == "v1"
    load_parcels(lake, 2)
    assert lake.parcel_set("ms", 2024).version == "v2"


# -- as of -------------------------------------------------------------------------------------------------------------


def test_as_of_goes_by_the_times_in_the_names_and_among_those_by_the_numbers(lake, hand):
    for hours, variant in ((0, 0), (10, 1), (-2, 2)):
        hand.set(hours)
        load_parcels(lake, variant)

    def version(hours):
        sets = open_lake(lake.url, as_of=NOW + timedelta(hours=hours)).parcel_sets()
        return sets[0].version if sets else None

    # the third was loaded last by a clock two hours behind: it counts from that time on
    assert [version(hours) for hours in (-3, -1, 1, 11)] == [None, "v2", "v2", "v2"]


def test_as_of_a_moment_tables_are_as_the_newest_commit_by_then_left_them(lake, hand):
    """The third commit is by a clock that is far ahead; those after it are not hidden until that day."""
    hours, base = (0, 1, 100, 2, 3), datetime(2090, 1, 1, tzinfo=UTC)  # after the table was made

    def date(version, hour):
        file = Path(lake.url) / "suspects" / "_delta_log" / f"{version:020}.json"
        os.utime(file, ((base + timedelta(hours=hour)).timestamp(),) * 2)

    for number, hour in enumerate(hours):
        judge(lake, number % 3)
        date(number + 1, hour)
    date(0, -2)

    def rows(hour):
        return open_lake(lake.url, as_of=base + timedelta(hours=hour)).sql("from suspects").num_rows

    assert [rows(hour) for hour in (-1, 0.5, 1.5, 2.5, 3.5, 99, 101)] == [0, 1, 2, 4, 5, 5, 5]
