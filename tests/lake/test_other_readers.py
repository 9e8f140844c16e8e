"""Who opens the Delta tables without this package sees exactly the rows that count, whatever was done to the lake."""

import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from tempfile import TemporaryDirectory

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from deltalake import DeltaTable
from factories import (
    PIDS,
    copied,
    day,
    entry,
    number,
    outline,
    parcel_set,
    parcels,
    scene,
    scenes,
    signature,
    signatures,
    write,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import cbm_lake as cbm
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.check import check
from cbm_lake.storage.delta import Exchange
from cbm_lake.storage.store import Store

pytestmark = pytest.mark.thorough


KEYS = ("aoi", "year", "ptype", "pid", "scene", "B04_mean")
SETS = [("ms", 2023), ("ms", 2024), ("other", 2024)]


def by_deltalake(lake, card="s2"):
    """The rows of a table of signatures, as the Delta library reads them."""
    rows = DeltaTable(f"{lake.url}/signatures/{card}").to_pyarrow_table(columns=list(KEYS)).to_pylist()
    return sorted(tuple(row.values()) for row in rows)


def by_polars(lake, card="s2"):
    """The same as polars reads them."""
    rows = pl.scan_delta(f"{lake.url}/signatures/{card}").select(KEYS).collect()
    return sorted(rows.rows())


def by_view(lake, card="s2"):
    """The same as the view says."""
    rows = lake.sql(f"select {', '.join(KEYS)} from {card}").to_pylist()  # noqa: S608 - our own names
    return sorted(tuple(row.values()) for row in rows)


def same(lake):
    """The rows that all of them see."""
    seen = by_view(lake)
    assert by_deltalake(lake) == seen
    assert by_polars(lake) == seen
    return seen


def reds(lake):
    """What all see of area ms in 2024: the red of each scene and parcel."""
    return {(row[4], row[3]): row[5] for row in same(lake) if row[:2] == ("ms", 2024)}


def declare(lake, outlines, aoi="ms", year=2024):
    """Load parcels; `outlines` gives the size of each, by pid."""
    version = "v" + "".join(str(size) for size in outlines.values())
    table = parcels(tuple(outlines), [("wheat", "1")] * len(outlines))
    shapes = [outline(PIDS.index(pid), size) for pid, size in outlines.items()]
    place = table.schema.get_field_index("geometry")
    table = table.set_column(
        place, table.schema.field(place), pa.array([shapely.to_wkb(s) for s in shapes], pa.binary())
    )
    lake.add_parcels(aoi, year, "", version, table)
    return version


def extract(lake, name, version="v100100100", red=400, aoi="ms", year=2024, pids=PIDS, **others):
    """What an extraction does, but for the pixels and its end."""
    rows = [signature(pid, name, day(0), aoi=aoi, year=year, red=red + PIDS.index(pid)) for pid in sorted(pids)]
    write(lake, signatures(*rows), parcel_set(aoi, year, version=version), name, **others)


WHOLE = dict.fromkeys(PIDS, 100)


@pytest.fixture(scope="module")
def three_scenes(tmp_path_factory):
    """Two areas and years, three scenes over each."""
    lake = Lake(str(tmp_path_factory.mktemp("three-scenes")))
    lake.add_scenes(scenes(scene("A_02", baseline="02.14", acquisition="A"), scene("B"), scene("C")))
    for aoi, year in SETS:
        version = declare(lake, WHOLE, aoi, year)
        for place, name in enumerate(("A_02", "B", "C")):
            extract(lake, name, version, 1000 * (place + 1), aoi, year)
    lake.settle()
    return lake


@pytest.fixture
def filled(lake, three_scenes):
    """A copy of it."""
    return copied(three_scenes, lake)


def expected(*names, pids=PIDS):
    """The red of scenes over parcels, as `filled` has it."""
    first = {"A_02": 1000, "B": 2000, "C": 3000, "A_05": 5000}
    return {(name, pid): first[name] + PIDS.index(pid) for name in names for pid in pids}


@pytest.fixture(params=["as written", "compacted"])
def either(filled, request):
    """That lake, as extractions left it and compacted."""
    if request.param == "compacted":
        filled.compact()
    return filled


def test_what_counts_is_all_that_other_readers_see(either):
    assert reds(either) == expected("A_02", "B", "C")
    assert len(same(either)) == 27


def test_a_parcel_that_was_redrawn_is_gone_until_it_is_extracted_again_and_the_old_outline_brings_it_back(either):
    version = declare(either, {**WHOLE, "12": 80})
    rest = {key: red for key, red in expected("A_02", "B", "C").items() if key[1] != "12"}
    assert reds(either) == rest
    assert len(same(either)) == 24
    declare(either, WHOLE)
    assert reds(either) == expected("A_02", "B", "C")
    declare(either, {**WHOLE, "12": 80})
    base = number("B", parcels="v100100100")
    extract(either, "B", version, 7000, pids=("12",), base=base, attempt=2)
    either.settle("s2")
    assert reds(either) == {**rest, ("B", "12"): 7001}
    either.compact()
    assert reds(either) == {**rest, ("B", "12"): 7001}


def test_a_parcel_that_is_declared_no_more_is_gone(either):
    declare(either, {"0012": 100, "a/b": 100})
    assert reds(either) == expected("A_02", "B", "C", pids=("0012", "a/b"))


def test_a_newer_product_takes_the_place_of_the_older_where_it_was_extracted_and_gives_it_back(either):
    either.add_scenes(scenes(scene("A_05", acquisition="A")))
    assert reds(either) == expected("A_02", "B", "C")
    extract(either, "A_05", red=5000)
    either.settle("s2")
    assert reds(either) == expected("A_05", "B", "C")
    assert len(same(either)) == 27
    cbm.scenes.leave_out("A_05", "broken", lake=either)
    assert reds(either) == expected("A_02", "B", "C")
    cbm.scenes.put_back("A_05", "repaired", lake=either)
    assert reds(either) == expected("A_05", "B", "C")


def test_a_scene_that_was_left_out_is_gone_until_it_is_put_back_also_after_compaction_and_vacuum(either):
    cbm.scenes.leave_out("B", "haze", lake=either)
    assert reds(either) == expected("A_02", "C")
    assert len(same(either)) == 18
    either.compact()
    either.vacuum(0)
    assert reds(either) == expected("A_02", "C")
    cbm.scenes.put_back("B", "no haze", lake=either)
    assert reds(either) == expected("A_02", "B", "C")
    assert len(same(either)) == 27


def test_a_suspect_is_gone_until_it_is_cleared(either):
    def judge(status):
        row = {"card": "s2", "scene": "C", "status": status, "kind": "x", "shift": 1.0, "reason": "r"}
        row |= {"found": datetime.now(UTC), "version": "0"}
        either.add_suspects(pa.Table.from_pylist([row], schema=schemas.SUSPECTS))

    judge("suspect")
    assert reds(either) == expected("A_02", "B")
    judge("cleared")
    assert reds(either) == expected("A_02", "B", "C")


def test_a_scene_that_is_extracted_again_has_its_new_rows_only(either):
    rows = [signature(pid, "B", day(0), red=8000 + place, extraction=5) for place, pid in enumerate(PIDS)]
    either.write_signatures("s2", signatures(*rows), 5)
    either.record({**entry("B", parcels="v100100100"), "extraction": 5})
    either.settle("s2")
    again = {("B", pid): 8000 + place for place, pid in enumerate(PIDS)}
    assert reds(either) == {**expected("A_02", "C"), **again}
    assert either.sql("select count(*) n from aside_s2")["n"][0].as_py() == 0  # they can never count again


def test_a_scene_whose_catalogue_entry_changed_is_gone_until_it_is_extracted_again(either):
    either.add_scenes(scenes(scene("D", revision="one")))
    extract(either, "D", red=4000, revision="one")
    either.settle("s2")
    assert {key[0] for key in reds(either)} == {"A_02", "B", "C", "D"}
    either.add_scenes(scenes(scene("D", revision="two")))
    assert reds(either) == expected("A_02", "B", "C")


def test_rows_that_were_never_recorded_are_gone_after_the_next_command_and_come_back_when_they_are(either):
    rows = signatures(*(signature(pid, "D", day(1), extraction=77) for pid in PIDS))
    either.write_signatures("s2", rows, 77)
    assert len(by_deltalake(either)) == 30  # a command that has not ended, or was killed
    either.settle("s2")
    assert reds(either) == expected("A_02", "B", "C")
    either.compact()
    assert reds(either) == expected("A_02", "B", "C")
    either.record({**entry("D", parcels="v100100100"), "extraction": 77})
    assert len(by_view(either)) == 30  # the views are right before the tables are
    assert len(by_deltalake(either)) == 27
    pid = either.query("time_series.s2", aoi="ms", year=2024, ptype="", pid="12", bands=["B04"])
    assert "D" in pid["obsid"].to_pylist()
    either.settle("s2")
    assert len(same(either)) == 30


@pytest.mark.slow
def test_as_of_a_moment_the_lake_answers_as_it_did_then_whatever_was_set_aside_since(either):
    moments = []
    for change in (
        lambda: None,
        lambda: cbm.scenes.leave_out("B", "haze", lake=either),
        lambda: declare(either, {**WHOLE, "12": 80}),
        lambda: cbm.scenes.put_back("B", "no haze", lake=either),
        lambda: declare(either, WHOLE),
        either.compact,
    ):
        change()
        moments.append((datetime.now(UTC), by_view(either)))
    assert [len(rows) for _, rows in moments] == [27, 18, 16, 24, 27, 27]
    for moment, rows in moments:
        assert by_view(Lake(either.url, as_of=moment)) == rows


def test_when_nothing_has_changed_nothing_is_committed_or_opened(either, monkeypatch):
    cbm.scenes.leave_out("B", "haze", lake=either)
    version = DeltaTable(f"{either.url}/signatures/s2").version()

    def opened(*_, **__):
        raise AssertionError

    monkeypatch.setattr("cbm_lake.lake.settling.Judge.split", opened)
    either.settle()
    extract(either, "E", red=9000)
    either.settle()
    assert DeltaTable(f"{either.url}/signatures/s2").version() == version + 1  # what was extracted


KILLED = """
import os, signal, sys
import cbm_lake as cbm
from cbm_lake.storage.delta import Exchange, Table
from cbm_lake.lake import Lake

step, after = sys.argv[2], sys.argv[3] == "after"
place = {"commit": Exchange, "rewrite": Table}[step.split("-")[0]]
name, left = step.split("-")[0], int(step.split("-")[1])
original = getattr(place, name)

def killing(self, *arguments):
    global left
    if left == 0 and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    done = original(self, *arguments)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return done

setattr(place, name, killing)
verb = getattr(cbm.scenes, sys.argv[4])
verb("B", "why", lake=Lake(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("verb", "step"),
    [("leave_out", "commit-0"), ("leave_out", "commit-1"), ("put_back", "commit-0"), ("put_back", "rewrite-0")],
)
def test_killed_at_any_step_no_row_is_lost_or_doubled_and_the_next_command_settles(filled, verb, step, when):
    if verb == "put_back":
        cbm.scenes.leave_out("B", "haze", lake=filled)
    killed = subprocess.run([sys.executable, "-c", KILLED, filled.url, step, when, verb], check=False)
    assert killed.returncode == -signal.SIGKILL
    right = expected("A_02", "C") if verb == "leave_out" else expected("A_02", "B", "C")
    assert {(row[4], row[3]): row[5] for row in by_view(filled) if row[:2] == ("ms", 2024)} == right
    assert len(by_view(filled)) == 3 * len(right)
    filled.settle()
    assert reds(filled) == right
    assert len(same(filled)) == 3 * len(right)
    if verb == "leave_out":
        cbm.scenes.put_back("B", "again", lake=filled)
        assert reds(filled) == expected("A_02", "B", "C")
        assert len(same(filled)) == 27


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("verb", ["redraw", "draw again"])
def test_an_error_right_after_a_commit_deletes_no_file_that_the_log_names(either, monkeypatch, verb, step, error):
    """Ctrl-C comes when the commit returns, or the disk fails when the entry has its name already."""
    if verb == "draw again":
        declare(either, {**WHOLE, "12": 80})
    commits = []
    original = Store.create

    def commit(self, *arguments):
        made = original(self, *arguments)
        commits.append(self)
        if len(commits) == step:
            raise error("too late")
        return made

    monkeypatch.setattr(Store, "create", commit)
    with suppress(KeyboardInterrupt, cbm.LakeError):
        declare(either, {**WHOLE, "12": 80} if verb == "redraw" else WHOLE)
    assert len(commits) >= step
    monkeypatch.undo()
    pids = ("0012", "a/b") if verb == "redraw" else PIDS
    seen = {(row[4], row[3]): row[5] for row in by_view(either) if row[:2] == ("ms", 2024)}
    assert seen == expected("A_02", "B", "C", pids=pids)
    either.settle()
    assert reds(either) == expected("A_02", "B", "C", pids=pids)


def test_rows_that_cannot_be_set_aside_stay_until_they_can(filled, monkeypatch):
    refused = []
    original = Exchange.commit

    def commit(self, numbers=None):
        if numbers is None and not refused:  # as when another writer adds columns to that table
            refused.append(self)
            return False
        return original(self, numbers)

    monkeypatch.setattr(Exchange, "commit", commit)
    cbm.scenes.leave_out("B", "haze", lake=filled)
    assert refused
    assert reds(filled) == expected("A_02", "C")
    cbm.scenes.put_back("B", "no haze", lake=filled)
    assert reds(filled) == expected("A_02", "B", "C")


RUNNER = """
import sys
import cbm_lake as cbm
from cbm_lake.lake import Lake
lake = Lake(sys.argv[1])
for verb in sys.argv[2].split(","):
    lake.compact() if verb == "compact" else getattr(cbm.scenes, verb)(sys.argv[3], "why", lake=lake)
"""


@pytest.mark.slow
def test_those_who_settle_at_once_lose_and_double_nothing(either):
    both = "leave_out,put_back"
    words = [(f"{both},leave_out", "A_02"), (both, "B"), (both, "C"), ("compact,compact", "")]
    started = [subprocess.Popen([sys.executable, "-c", RUNNER, either.url, *word]) for word in words]
    assert [process.wait(120) for process in started] == [0] * len(words)
    assert set(reds(either)) - set(expected("B")) == set(expected("C"))
    cbm.scenes.put_back("A_02", "all again", lake=either)
    rows = same(either)
    assert len(rows) == len(set(rows)) == 27


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_spark_reads_the_files_that_count_with_its_default_reader(filled):
    """Spark's own Parquet reader, vectorised as it is by default, on the files that the log names."""
    if not shutil.which("java"):
        pytest.skip("no Java here")
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    for name in ("spark.driver.bindAddress", "spark.driver.host"):
        builder = builder.config(name, "127.0.0.1")
    root = f"{filled.url}/signatures/s2"
    with builder.getOrCreate() as session:
        for step in (lambda: cbm.scenes.leave_out("B", "haze", lake=filled), filled.compact):
            step()
            frame = session.read.option("basePath", root).parquet(*DeltaTable(root).file_uris())
            assert sorted(tuple(row) for row in frame.select(*KEYS).collect()) == by_view(filled)
            assert frame.count() == 18


def test_fastparquet_and_pandas_read_the_files_that_count(either):
    files = DeltaTable(f"{either.url}/signatures/s2").file_uris()
    for engine in ("fastparquet", "pyarrow"):
        read = pd.concat(pd.read_parquet(file, engine=engine, columns=["pid", "scene", "B04_mean"]) for file in files)
        rows = sorted(read.itertuples(index=False, name=None))
        assert rows == sorted(row[3:] for row in by_view(either))


COMMON = {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "BIT_PACKED"}


def test_no_file_has_an_encoding_that_some_engines_lack(either):
    cbm.scenes.leave_out("B", "haze", lake=either)
    for name in ("signatures/s2", "set_aside/s2", "extractions", "exclusions"):
        for file in DeltaTable(f"{either.url}/{name}").file_uris():
            groups = pq.read_metadata(file)
            columns = [groups.row_group(0).column(number) for number in range(groups.num_columns)]
            assert {encoding for column in columns for encoding in column.encodings} <= COMMON
    protocol = DeltaTable(f"{either.url}/signatures/s2").protocol()
    assert (protocol.min_reader_version, protocol.reader_features) == (1, None)


def test_files_that_version_0_1_compacted_are_written_anew_once(filled, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr("cbm_lake.storage.datafiles.REWRITTEN", "rewritten-")
        filled.compact()
    assert filled.compact() == len(SETS)
    assert filled.compact() == 0
    assert len(same(filled)) == 27


def test_a_lake_whose_dead_rows_were_compacted_is_settled_by_the_next_command(filled, monkeypatch):
    with monkeypatch.context() as before:  # version 0.1 did not settle
        before.setattr("cbm_lake.lake.settling.settle", lambda *_: False)
        cbm.scenes.leave_out("B", "haze", lake=filled)
        filled.compact()
    assert len(by_deltalake(filled)) == 27
    assert filled.unsettled() == ["s2"]
    cbm.scenes.leave_out("C", "haze", lake=filled)
    assert reds(filled) == expected("A_02")
    cbm.scenes.put_back("*", "again", lake=filled)
    assert reds(filled) == expected("A_02", "B", "C")


class Anything(RuleBasedStateMachine):
    """Commands in any order: other readers see what the view says, which is what pencil and paper say."""

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.lake = Lake(self.folder.name)
        self.lake.add_scenes(
            scenes(scene("A_02", baseline="02.14", acquisition="A"), scene("A_05", acquisition="A"), scene("B"))
        )
        self.sizes = dict(WHOLE)
        self.out = set()
        self.wrote = {}  # scene: {pid: (size, red)}
        self.written = 0
        self.past = []
        declare(self.lake, self.sizes)

    def expected(self):
        rows = {}
        for name, seen in self.wrote.items():
            newer = name == "A_02" and "A_05" in self.wrote and "A_05" not in self.out
            if name not in self.out and not newer:
                rows |= {(name, pid): red for pid, (size, red) in seen.items() if self.sizes.get(pid) == size}
        return rows

    @rule(name=st.sampled_from(["A_02", "A_05", "B"]), killed=st.booleans())
    def extract(self, name, killed):
        if name in self.out:
            return
        self.written += 1
        version = "v" + "".join(str(size) for size in self.sizes.values())
        red = {pid: 1000 * self.written + place for place, pid in enumerate(sorted(self.sizes))}
        rows = [signature(pid, name, day(0), red=red[pid], extraction=self.written) for pid in sorted(self.sizes)]
        self.lake.write_signatures("s2", signatures(*rows), self.written)
        if killed:  # before the ledger has it
            return
        self.lake.record({**entry(name, parcels=version), "extraction": self.written})
        self.wrote[name] = {pid: (size, red[pid]) for pid, size in self.sizes.items()}

    @rule(pid=st.sampled_from(PIDS), size=st.sampled_from([80, 100, None]))
    def declare(self, pid, size):
        sizes = {key: value for key, value in {**self.sizes, pid: size}.items() if value}
        if sizes:
            self.sizes = {key: sizes[key] for key in PIDS if key in sizes}
            declare(self.lake, self.sizes)

    @rule(name=st.sampled_from(["A_02", "A_05", "B"]))
    def leave_out_or_put_back(self, name):
        (cbm.scenes.put_back if name in self.out else cbm.scenes.leave_out)(name, "why", lake=self.lake)
        self.out ^= {name}

    @rule()
    def compact(self):
        self.lake.compact()

    @rule()
    def check(self):
        assert not [row for row in check(self.lake).to_pylist() if row["severity"] == "fault"]

    @invariant()
    def other_readers_see_what_counts(self):
        self.lake.settle("s2")  # the end of whatever was done
        if not self.wrote:
            return
        rows = by_view(self.lake)
        assert {(row[4], row[3]): row[5] for row in rows} == self.expected()
        assert len(rows) == len(self.expected())
        assert by_deltalake(self.lake) == by_polars(self.lake) == rows
        assert self.lake.unsettled() == []
        self.past.append((datetime.now(UTC), rows))

    def teardown(self):
        for moment, rows in self.past:
            assert by_view(Lake(self.lake.url, as_of=moment)) == rows
        self.folder.cleanup()


@pytest.mark.slow
def test_after_any_commands_in_any_order_other_readers_see_exactly_what_counts():
    patient = settings(max_examples=15, stateful_step_count=12, suppress_health_check=list(HealthCheck))
    assert run_state_machine_as_test(Anything, settings=patient) is None  # it raises what a rule asserts
