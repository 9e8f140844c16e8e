"""Compaction of several areas and years: each partition by itself, whoever else writes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from factories import DAY, PIDS, entry, number, parcel_set, signature, signatures, write

from cbm_lake.errors import SourceError
from cbm_lake.lake import Lake, check, compaction, schemas

pytestmark = pytest.mark.thorough


SETS = [("ms", 2023), ("ms", 2024), ("other", 2024)]
ROWS = "from signatures_s2 order by all"


def fill(lake, scenes="AB"):
    for aoi, year in SETS:
        for scene in scenes:
            rows = [signature(pid, scene, aoi=aoi, year=year) for pid in PIDS]
            write(lake, signatures(*rows), parcel_set(aoi, year), scene)
    return lake


@pytest.fixture
def filled(lake):
    return fill(lake)


def files(lake, name):
    table = lake._tables[name].open()
    return 0 if table is None else len(table.file_uris())


def test_all_areas_and_years_are_compacted_in_one_call_and_no_row_changes(filled):
    before = filled.sql(ROWS)
    assert filled.compact() == 6
    assert filled.sql(ROWS).equals(before)
    assert files(filled, "signatures_s2") == len(SETS)
    assert files(filled, "ledger") == 1
    assert filled.compact() == 0


def test_one_area_extracted_again_loses_its_old_rows_and_the_others_stay(filled):
    again = signatures(*(signature(pid, "A", red=500) for pid in PIDS))
    place = again.schema.get_field_index("extraction")
    again = again.set_column(place, again.schema.field(place), pa.array([5] * len(PIDS), pa.int64()))
    filled.write_signatures("s2", again, 5)
    filled.record({**entry("A"), "extraction": 5})
    assert filled.compact() == 6  # what was replaced had gone before
    kept = filled.sql("select aoi, year, count(*) n, count(distinct (scene, pid)) m from signatures_s2 group by all")
    assert {(row["aoi"], int(row["year"])): (row["n"], row["m"]) for row in kept.to_pylist()} == dict.fromkeys(
        SETS, (6, 6)
    )
    assert filled.sql(
        "select distinct B04_mean from s2 where scene = 'A' and aoi = 'ms' and year = 2024"
    ).to_pylist() == [{"B04_mean": 500}]


def test_a_partition_that_fails_is_named_at_the_end_and_all_else_is_done(filled, monkeypatch):
    parts = compaction._parts

    def broken(connection, paths, dropped):
        if "aoi=ms/year=2023" in paths[0]:
            raise SourceError("the disk is worn out")
        return parts(connection, paths, dropped)

    monkeypatch.setattr(compaction, "_parts", broken)
    with pytest.raises(
        SourceError, match=r"^all is compacted but signatures/s2 aoi=ms year=2023: the disk is worn out$"
    ):
        filled.compact()
    assert files(filled, "signatures_s2") == 4
    assert files(filled, "ledger") == 1
    monkeypatch.undo()
    assert filled.compact() == 2


def test_rows_that_are_replaced_during_compaction_are_those_that_count(filled, monkeypatch):
    """The partition is begun again on a new snapshot; others are not disturbed."""
    parts, seen = compaction._parts, []

    def meanwhile(connection, paths, dropped):
        found = list(parts(connection, paths, dropped))
        if "aoi=ms/year=2024" in paths[0] and not seen:
            seen.append(paths)
            rows = signatures(*(signature(pid, "A", red=700) for pid in PIDS))
            column = pa.array([number("A")] * len(PIDS), pa.int64())
            place = rows.schema.get_field_index("extraction")
            Lake(filled.url).write_signatures(
                "s2", rows.set_column(place, rows.schema.field(place), column), number("A")
            )
        return found

    monkeypatch.setattr(compaction, "_parts", meanwhile)
    assert filled.compact() == 6
    assert seen
    found = filled.sql(
        "select scene, B04_mean, count(*) n from s2 where aoi = 'ms' and year = 2024 group by all order by 1"
    )
    assert [tuple(row.values()) for row in found.to_pylist()] == [("A", 700, 3), ("B", 400, 3)]


def test_a_partition_of_which_rows_are_replaced_for_ever_is_given_up(filled, monkeypatch):
    monkeypatch.setattr(type(filled._tables["ledger"]), "rewrite", lambda *_, **__: False)
    with pytest.raises(
        SourceError,
        match=r"all is compacted but signatures.* others went on replacing its rows; compact again when they have",
    ):
        filled.compact()


def test_compactions_at_once_and_a_writer_lose_and_double_nothing(filled):
    expected = Lake(filled.url)
    begin = threading.Barrier(3)

    def compacted(_):
        begin.wait()
        return Lake(filled.url).compact()

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(compacted, number) for number in range(2)]
        begin.wait()
        fill(Lake(filled.url), "CD")
        assert sum(result.result() for result in running) >= 6
    counted = expected.sql(
        "select aoi, year, count(*) n, count(distinct (scene, pid)) m from s2 group by all order by all"
    )
    assert [tuple(row.values()) for row in counted.to_pylist()] == [(aoi, year, 12, 12) for aoi, year in SETS]
    filled.compact()
    assert files(filled, "signatures_s2") == len(SETS)
    faults = [
        row
        for row in check.check(filled, deep=True).to_pylist()
        if row["severity"] == "fault" and row["part"] not in ("parcels", "scenes")
    ]
    assert faults == []  # a writer that came second leaves a file, which is a note


def test_the_weather_of_each_area_stays_its_own(lake):
    for part, aoi in enumerate(("ms", "other")):
        row = {"aoi": aoi, "cell": "x", "meteo_date": date(2024, 5, 1), "tmean": part, "part": part, "loaded": DAY}
        lake.put("weather_days", pa.Table.from_pylist([row], schema=schemas.WEATHER), part)
        row = {**row, "meteo_date": date(2024, 5, 2), "part": part + 10, "loaded": datetime.now(UTC)}
        lake.put("weather_days", pa.Table.from_pylist([row], schema=schemas.WEATHER), part + 10)
    question = "select aoi, meteo_date, tmean from weather_days order by all"
    before = lake.sql(question)
    lake.compact()
    assert lake.sql(question).equals(before)
    assert files(lake, "weather_days") == 2
