"""A table of many commits has few files and a short log, whoever wrote them, and goes on having its past."""

import multiprocessing
import os
import time
from datetime import UTC, datetime

import factories
import pyarrow as pa
import pytest

from cbm_lake.errors import SourceError
from cbm_lake.lake import Lake, schemas, tables
from cbm_lake.storage import entries, smallfiles
from cbm_lake.storage.datafiles import DataFile
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

pytestmark = pytest.mark.thorough


COMMITS = 260
DAY = factories.DAY


def row(number):
    return {"card": "s2", "grid": f"g{number % 3}", "slot": number, "scene": "A", "obstime": DAY, "boa_offset": 0}


def rows(*numbers):
    return pa.Table.from_pylist([row(number) for number in numbers], schema=schemas.SLOTS)


@pytest.fixture
def table(tmp_path):
    return tables.of(Store(str(tmp_path / "lake")))["slots"]


def numbers(table, version=None):
    opened = table.open()
    if version is not None:
        opened.load_as_version(version)
    return sorted(opened.to_pyarrow_table()["slot"].to_pylist())


@pytest.mark.slow
def test_after_many_commits_a_table_has_few_files_and_every_row_once(table):
    for number in range(COMMITS):
        table.append(rows(number))
    assert numbers(table) == list(range(COMMITS))
    assert len(table.files(table.open())) < 64
    merged = [file for file in table.files(table.open()) if file.rows > 1]
    assert merged
    assert all(file.bounds["card"] == ("s2", "s2") for file in merged)  # what files are passed over by


def test_the_log_is_summed_up_so_that_at_most_a_hundred_entries_are_read(table):
    for number in range(120):
        table.append(rows(number))
    sums = [path for path in Store(table.store.url).files("slots/_delta_log") if ".checkpoint" in path]
    assert sums
    newest = int(sums[-1].rpartition("/")[2].partition(".")[0])
    assert table.open().version() - newest <= 100


@pytest.mark.slow
def test_every_version_of_before_goes_on_being_there(table):
    seen = {}
    for number in range(70):
        table.append(rows(number))
        seen[table.open().version()] = list(range(number + 1))
    assert {version: numbers(table, version) for version in seen} == seen


def test_the_past_of_a_lake_by_moments_is_the_same_after_merging(lake):
    factories.fill(lake)
    moments = []
    for number in range(40):
        lake.record(factories.entry("A", "failed", problem=f"reason {number}"))
        moments.append((datetime.now(UTC), number))
        time.sleep(0.003)  # the log counts milliseconds
    asked = "select count(*) as n, max_by(problem, attempt) as last from ledger where status = 'failed'"
    for moment, number in moments[:: len(moments) // 5]:
        assert Lake(lake.url, moment).sql(asked).to_pylist() == [{"n": number + 1, "last": f"reason {number}"}]


@pytest.mark.slow
def test_rows_move_up_by_levels_so_that_none_is_written_more_than_a_few_times(table, monkeypatch):
    written, add = [], Table._add

    def counted(self, beside, prefix, groups, drafts):
        written.append(sum(group.num_rows for group in groups))
        return add(self, beside, prefix, groups, drafts)

    monkeypatch.setattr(Table, "_add", counted)
    for number in range(COMMITS):
        table.append(rows(number))
    assert 0 < sum(written) < 2 * COMMITS


def test_a_merge_that_fails_is_no_error_of_the_command_and_is_made_up_for_later(table, monkeypatch, caplog):
    def full(*_, **__):
        raise SourceError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Table, "rewrite", full)
        for number in range(40):
            table.append(rows(number))
    assert "No space left" in caplog.text
    assert len(table.files(table.open())) == 40
    for number in range(40, 80):
        table.append(rows(number))
    assert numbers(table) == list(range(80))
    assert len(table.files(table.open())) < 40


def test_partitions_are_merged_by_themselves(tmp_path):
    schema = pa.schema([("aoi", pa.string()), ("slot", pa.int64())])
    parted = Table(Store(str(tmp_path / "lake")), "parted", schema, keys=("slot",), partitions=("aoi",))
    for number in range(100):
        parted.append(pa.table({"aoi": [("ms", "nl")[number % 2]], "slot": [number]}, schema=schema))
    found = parted.open().to_pyarrow_table()
    assert sorted(zip(found["aoi"].to_pylist(), found["slot"].to_pylist(), strict=True)) == sorted(
        (("ms", "nl")[number % 2], number) for number in range(100)
    )
    assert len(parted.files(parted.open())) < 70


def test_signatures_are_left_to_compaction(lake):
    assert not any(table.small for name, table in lake._tables.items() if name.startswith(("signatures", "aside")))


def _append(url, first, count):
    table = tables.of(Store(url))["slots"]
    for number in range(first, first + count):
        table.append(rows(number))


@pytest.mark.slow
def test_several_writers_at_once_merge_and_lose_or_double_nothing(table):
    spawn = multiprocessing.get_context("spawn")
    jobs = [spawn.Process(target=_append, args=(table.store.url, 1000 * n, 60)) for n in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(300)
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert numbers(table) == [1000 * n + k for n in range(3) for k in range(60)]
    assert len(table.files(table.open())) < 64


def test_only_files_of_one_level_and_enough_of_them_are_merged():
    def file(count, aoi="ms", name=""):
        return DataFile(name, name, 1, count, {"aoi": aoi}, {})

    assert smallfiles.groups([file(1)] * 15) == []
    assert smallfiles.groups([file(1)] * 8 + [file(1, "nl")] * 8) == []
    assert smallfiles.groups([file(1)] * 8 + [file(16)] * 15) == []
    assert [len(group) for group in smallfiles.groups([file(1)] * 20 + [file(16)] * 16)] == [20, 16]
    assert smallfiles.groups([file(70_000)] * 20 + [file(None)] * 20) == []


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a file descriptor table is read from /proc")
def test_a_commit_costs_as_much_however_long_the_table_is(table, monkeypatch):
    looks = []
    opened = Table.open
    monkeypatch.setattr(Table, "open", lambda self, *given: looks.append(1) or opened(self, *given))
    costs = []
    for number in range(200):
        before = len(looks)
        table.append(rows(number))
        costs.append(len(looks) - before)
    assert max(costs) <= 8
    assert sum(costs) < 4 * len(costs)


def seen(*hrefs):
    made = [{"href": href, "header": "{}", "seen": DAY} for href in hrefs]
    return pa.Table.from_pylist(made, schema=schemas.RASTERS)


def test_merging_a_table_of_an_earlier_version_doubles_nothing_that_comes_meanwhile(tmp_path, monkeypatch):
    """It gets its new columns first, and by then others may have written."""
    store = Store(str(tmp_path / "lake"))
    former = pa.schema([field for field in schemas.RASTERS if field.name != "sequence"])
    table = Table(store, "rasters", former, keys=("href",))
    for href in "ab":
        table.append(seen(href).select(former.names))
    table = tables.of(store)["rasters"]
    complete = Table._completed

    def while_others_write(self, there):
        monkeypatch.setattr(Table, "_completed", complete)
        tables.of(store)["rasters"].append(seen("c"))
        return complete(self, there)

    monkeypatch.setattr(Table, "_completed", while_others_write)
    assert table.merge() >= 2
    assert sorted(table.open().to_pyarrow_table()["href"].to_pylist()) == ["a", "b", "c"]


def test_who_follows_a_table_is_told_that_merging_changes_no_rows(table):
    """Spark's streams stop at a commit that takes rows out, and pass over one that only rearranges them."""
    for number in range(3):
        table.append(rows(number))
    assert table.merge() == 3
    content = table.store.read_bytes(table.log.file(table.open().version()))
    changes = [said["dataChange"] for line in entries.decoded(content) for said in line.values() if "path" in said]
    assert changes == [False] * 4
    assert numbers(table) == [0, 1, 2]
    table.append(rows(3))
    content = table.store.read_bytes(table.log.file(table.open().version()))
    assert [line["add"]["dataChange"] for line in entries.decoded(content) if "add" in line] == [True]
