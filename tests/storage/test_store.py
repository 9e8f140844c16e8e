"""Writes are whole or not at all, whoever else writes, and whatever the disk does."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from disks import small_disk
from factories import powerless
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.lake import tables
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

SCHEMA = pa.schema(
    [
        ("area", pa.string()),
        ("pid", pa.string()),
        ("scene", pa.string()),
        ("value", pa.float32()),
        ("extraction", pa.int64()),
    ]
)


def table(folder, name="t"):
    return Table(Store(str(folder)), name, SCHEMA, keys=("pid", "scene", "extraction"), partitions=("area",))


def rows(scene, pids, value=1.0):
    key = {"area": "ms", "scene": scene, "extraction": ord(scene)}
    return pa.Table.from_pylist([{**key, "pid": pid, "value": value} for pid in pids], schema=SCHEMA)


def put(target, found, scene):
    """Make rows all that the table holds of a scene."""
    target.put(found, "extraction", ord(scene))


def held(target, **keys):
    """What the table holds, read by the Delta library and not by us, in the order of scene and pid."""
    found = target.open().to_pyarrow_table().sort_by([("scene", "ascending"), ("pid", "ascending")]).to_pylist()
    return [(row["scene"], row["pid"], row["value"]) for row in found]


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def noise(scene, number=200_000):
    """Rows that zstd cannot make small."""
    pids = [os.urandom(12).hex() for _ in range(number)]
    return rows(scene, pids)


# -- files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_read_back_and_listed(tmp_path):
    store = Store(str(tmp_path))
    store.write("parcels/aoi=ms/a.parquet", rows("A", "12"))
    assert store.read("parcels/aoi=ms/a.parquet").to_pylist() == rows("A", "12").to_pylist()
    assert store.files("parcels") == [f"{tmp_path}/parcels/aoi=ms/a.parquet"]
    assert store.exists("parcels/aoi=ms/a.parquet")


def test_what_is_not_there_is_none(tmp_path):
    store = Store(str(tmp_path / "nowhere"))
    assert store.read("a.parquet") is None
    assert store.files("parcels") == []
    assert not store.exists("a.parquet")


def test_drafts_are_not_listed(tmp_path):
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / ".a.parquet").write_bytes(b"half")
    assert Store(str(tmp_path)).files("scenes") == []


@pytest.mark.parametrize("folder", ["with blank", "(1) * 'a'", "ä ö", "a & b"])
def test_a_lake_may_have_any_name(tmp_path, folder):
    target = table(tmp_path / folder)
    put(target, rows("A", "12"), "A")
    assert held(target) == [("A", "1", 1.0), ("A", "2", 1.0)]


@pytest.mark.parametrize("sign", "[]^|?#%\\=")
def test_a_folder_whose_name_the_table_format_cannot_take_is_refused_at_once(tmp_path, sign):
    with pytest.raises(InvalidInputError, match="the lake cannot be in"):
        Store(str(tmp_path / f"a{sign}b"))


def test_a_url_of_an_unknown_kind_is_refused():
    with pytest.raises(InvalidInputError, match="nope://x"):
        Store("nope://x").files("scenes")


def test_a_corrupt_file_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(SourceError, match=r"cannot read .*a\.parquet") as caught:
        Store(str(tmp_path)).read("a.parquet")
    assert "\n" not in str(caught.value)


def test_a_corrupt_log_is_named_in_one_line_without_a_trace(tmp_path):
    target = table(tmp_path)
    target.create()
    (tmp_path / "t" / "_delta_log" / f"{0:020}.json").write_text("{nope")
    with pytest.raises(SourceError, match=f"cannot read {tmp_path}/t") as caught:
        target.open()
    assert "\n" not in str(caught.value)
    assert "unknown>" not in str(caught.value)


# -- put -------------------------------------------------------------------------------------------------------------


def test_a_second_put_replaces_and_never_doubles(tmp_path):
    target = table(tmp_path)
    put(target, rows("A", "123"), "A")
    put(target, rows("B", "12"), "B")
    put(target, rows("A", "123", 2.0), "A")
    assert held(target) == [("A", "1", 2.0), ("A", "2", 2.0), ("A", "3", 2.0), ("B", "1", 1.0), ("B", "2", 1.0)]
    put(target, rows("A", "3", 3.0), "A")
    assert held(target) == [("A", "3", 3.0), ("B", "1", 1.0), ("B", "2", 1.0)]
    put(target, rows("A", ""), "A")
    assert held(target) == [("B", "1", 1.0), ("B", "2", 1.0)]
    put(target, rows("A", "1", 4.0), "A")
    assert held(target) == [("A", "1", 4.0), ("B", "1", 1.0), ("B", "2", 1.0)]


PUTS = st.lists(st.tuples(st.sampled_from("AB"), st.sets(st.sampled_from(["0012", "12", "a/b", "'", "é"]))), max_size=4)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(puts=PUTS)
def test_after_any_puts_each_scene_has_its_last_rows(tmp_path_factory, puts):
    target = table(tmp_path_factory.mktemp("put"))
    target.create()
    last = {}
    for number, (scene, pids) in enumerate(puts):
        put(target, rows(scene, sorted(pids), number), scene)
        last[scene] = [(scene, pid, float(number)) for pid in sorted(pids)]
    assert held(target) == [row for scene in sorted(last) for row in last[scene]]


WRITER = """
import sys
sys.path[:0] = sys.argv[2:]
from test_store import put, rows, table
target = table(sys.argv[1])
for scene in sys.argv[3].split(","):
    put(target, rows(scene, "123"), scene)
"""


def writers(folder, *scenes):
    """Processes that write these scenes at once."""
    here = str(Path(__file__).parents[1])
    started = [subprocess.Popen([sys.executable, "-c", WRITER, here, str(folder), names]) for names in scenes]
    assert [process.wait(60) for process in started] == [0] * len(scenes)


@pytest.mark.slow
def test_two_processes_that_write_the_same_scenes_at_once_leave_one_copy(tmp_path):
    writers(tmp_path, "A,B,C,D", "A,B,C,D")
    assert held(table(tmp_path)) == [(scene, pid, 1.0) for scene in "ABCD" for pid in "123"]


@pytest.mark.slow
def test_three_processes_that_write_different_scenes_at_once_lose_none(tmp_path):
    writers(tmp_path, "A,B,C", "D,E,F", "G,H,I")
    assert held(table(tmp_path)) == [(scene, pid, 1.0) for scene in "ABCDEFGHI" for pid in "123"]


# -- what look-ups and compaction rely on ----------------------------------------------------------------------------


def test_the_log_says_the_smallest_and_largest_pid_of_every_file(tmp_path):
    target = table(tmp_path)
    put(target, rows("A", ["0012", "7", "a/b"]), "A")
    put(target, rows("B", ["é" * 50, "z" * 200]), "B")
    actions = pa.table(target.open().get_add_actions(flatten=True)).sort_by("min.pid").to_pylist()
    assert (actions[0]["min.pid"], actions[0]["max.pid"]) == ("0012", "a/b")
    assert actions[1]["min.pid"] <= "z" * 200 <= "é" * 50 <= actions[1]["max.pid"]
    assert all(action["num_records"] for action in actions)


def rewritten(target, table=None):
    """Put everything of a table into one file, as compaction does."""
    table = table or target.open()
    return target.rewrite(target.files(table), [[table.to_pyarrow_table()]])


def test_a_table_is_rewritten_without_loss_and_the_log_tells_of_the_new_file(tmp_path):
    target = table(tmp_path)
    for scene in "ABC":
        put(target, rows(scene, ["1", "2", "é"]), scene)
    before = held(target)
    rewritten(target)
    assert held(target) == before
    (action,) = pa.table(target.open().get_add_actions(flatten=True)).to_pylist()
    assert (action["min.pid"], action["max.pid"], action["num_records"]) == ("1", "é", 9)
    assert (action["min.extraction"], action["max.extraction"]) == (ord("A"), ord("C"))
    (file,) = target.files(target.open())
    assert file.is_rewritten


def test_a_scene_is_replaced_after_rewriting_too(tmp_path):
    target = table(tmp_path)
    for scene in "AB":
        put(target, rows(scene, "12"), scene)
    rewritten(target)
    put(target, rows("A", "2", 5.0), "A")
    assert held(target) == [("A", "2", 5.0), ("B", "1", 1.0), ("B", "2", 1.0)]


def test_what_others_add_during_rewriting_stays(tmp_path):
    target = table(tmp_path)
    for scene in "AB":
        put(target, rows(scene, "1"), scene)
    before = target.open()
    put(target, rows("C", "1"), "C")
    rewritten(target, before)
    assert held(target) == [(scene, "1", 1.0) for scene in "ABC"]


@pytest.mark.parametrize("meanwhile", ["replaced", "rewritten"])
def test_rewriting_files_that_are_gone_by_then_changes_and_leaves_nothing(tmp_path, meanwhile):
    target = table(tmp_path)
    for scene in "AB":
        put(target, rows(scene, "1"), scene)
    before = target.open()
    if meanwhile == "replaced":
        put(target, rows("A", "1", 2.0), "A")
    else:
        rewritten(target)
    expected, there = held(target), files(tmp_path)
    assert not rewritten(target, before)
    assert held(target) == expected
    assert files(tmp_path) == there


def test_what_others_replace_elsewhere_during_rewriting_is_no_conflict(tmp_path):
    target = table(tmp_path)
    for scene in "AB":
        target.append(of_area("other", scene))
    (_, files), *_ = target.by_partition(before := target.open())
    for scene in "CC":
        put(target, rows(scene, "1"), scene)
    assert target.rewrite(files, [[before.to_pyarrow_table()]])
    assert [scene for scene, _, _ in held(target)] == ["A", "A", "B", "B", "C"]


AREAS = ["ms", "other", "a b", "münster=1", "50%25", "x/y"]


def of_area(area, scene):
    found = rows(scene, "12")
    return found.set_column(0, "area", pa.array([area] * found.num_rows))


def test_merging_leaves_every_row_in_its_partition_whatever_its_name(tmp_path):
    target = table(tmp_path)
    for area in AREAS:
        for scene in "AB":
            target.append(of_area(area, scene))
    before = target.open().to_pyarrow_table().sort_by([("area", "ascending"), ("scene", "ascending")])
    assert target.merge() == 2 * len(AREAS)
    after = target.open().to_pyarrow_table().sort_by([("area", "ascending"), ("scene", "ascending")])
    assert after.select(SCHEMA.names).to_pylist() == before.select(SCHEMA.names).to_pylist()
    assert len(target.open().file_uris()) == len(AREAS)
    assert target.merge() == 0


def test_a_table_of_one_file_or_none_has_nothing_to_merge(tmp_path):
    target = table(tmp_path)
    assert target.merge() == target.vacuum(0) == 0
    target.checkpoint()
    assert files(tmp_path) == []
    put(target, rows("A", "12"), "A")
    assert target.merge() == 0


def test_merging_keeps_the_numbers_of_commits(tmp_path):
    target = table(tmp_path)
    for _ in range(3):
        target.append_next(lambda seen: rows("A", str(seen)), "name")
    assert target.merge() == 3
    target.checkpoint()
    target.append_next(lambda seen: rows("A", str(seen)), "name")
    assert [pid for _, pid, _ in held(target)] == ["0", "1", "2", "3"]


def test_rows_of_other_names_that_are_added_at_once_get_numbers_of_their_own_in_the_sequence(tmp_path):
    target = Table(Store(str(tmp_path)), "t", SCHEMA.append(pa.field("sequence", pa.int64())), keys=("pid",))
    calls = []

    def first(seen):
        calls.append(seen)
        if len(calls) == 1:  # another writer is quicker
            target.append_next(
                lambda _: rows("A", "2").append_column("sequence", pa.nulls(1, pa.int64())), "two", **how
            )
        return rows("A", "1").append_column("sequence", pa.nulls(1, pa.int64()))

    how = {"in_sequence": True}
    assert target.append_next(first, "one", **how)
    added = target.open().to_pyarrow_table().sort_by("sequence")
    assert calls == [0, 0]
    assert added["pid"].to_pylist() == ["2", "1"]
    assert len(set(added["sequence"].to_pylist())) == 2
    counts = [target.open().transaction_version(name) for name in ("one", "two", "sequence")]
    assert counts == [1, 1, 2]


# -- disks that fail -------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        store = Store(str(disk))
        store.write("scenes/a.parquet", rows("A", "12"))
        with pytest.raises(SourceError, match=r"cannot write .*scenes/b\.parquet: .*No space left") as caught:
            store.write("scenes/b.parquet", noise("B"))
        assert "\n" not in str(caught.value)
        assert files(disk) == [disk / "scenes" / "a.parquet"]
        assert store.read("scenes/a.parquet").num_rows == 2


def test_a_write_that_breaks_off_hides_its_half_and_then_takes_it_away(tmp_path, monkeypatch):
    store, seen = Store(str(tmp_path)), []

    def break_off(*_):
        seen.append(store.files("scenes"))
        raise OSError("the plug was pulled")

    monkeypatch.setattr("cbm_lake.storage.store.pq.ParquetWriter.write_table", break_off)
    with pytest.raises(SourceError, match=r"cannot write .*scenes/a\.parquet: the plug was pulled"):
        store.write("scenes/a.parquet", rows("A", "12"))
    assert seen == [[]]
    assert files(tmp_path) == []


def test_a_full_disk_leaves_a_table_as_it_was(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        target = table(disk)
        put(target, rows("A", "12"), "A")
        for _ in range(2):
            with pytest.raises(SourceError, match=f"cannot write {disk}/t/area=ms/part-.*No space left") as caught:
                put(target, noise("A"), "A")
            assert "\n" not in str(caught.value)
        assert held(target) == [("A", "1", 1.0), ("A", "2", 1.0)]
        put(target, rows("A", "7"), "A")
        assert held(target) == [("A", "7", 1.0)]


REFUSED = """
import sys
sys.path[:0] = sys.argv[2:]
from test_store import put, rows, table
from cbm_lake.errors import SourceError
target = table(sys.argv[1])
for write in (lambda: put(target, rows("B", "1"), "B"), lambda: target.store.write("x/a.parquet", rows("A", "1"))):
    try:
        write()
    except SourceError as error:
        print(error)
"""


def test_a_folder_that_cannot_be_written_is_one_line_each(tmp_path):
    target = table(tmp_path)
    put(target, rows("A", "12"), "A")
    folders = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    here = Path(__file__).parent
    command = [*powerless(), sys.executable, "-c", REFUSED, str(tmp_path), str(here), str(here.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for folder in folders:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("cannot write" in line and "ermission denied" in line for line in lines)
    assert held(target) == [("A", "1", 1.0), ("A", "2", 1.0)]


# -- the log ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", tables.of(Store("x")))
def test_a_table_is_made_as_the_delta_library_makes_it(tmp_path, name):
    ours = tables.of(Store(str(tmp_path / "ours")))[name]
    table = ours.create()
    theirs = DeltaTable.create(
        str(tmp_path / "theirs"),
        ours.schema,
        partition_by=list(ours.partitions),
        configuration=table.metadata().configuration,
        raise_if_key_not_exists=False,
    )
    assert table.schema().to_json() == theirs.schema().to_json()
    assert table.protocol() == theirs.protocol()
    assert table.metadata().partition_columns == theirs.metadata().partition_columns
    assert table.version() == theirs.version() == 0


def test_the_delta_library_goes_on_with_a_table_of_ours_and_we_with_its_entries(tmp_path):
    target = table(tmp_path)
    put(target, rows("A", "12"), "A")
    write_deltalake(target.url, rows("B", "1"), mode="append")
    DeltaTable(target.url).create_checkpoint()
    put(target, rows("A", "3", 2.0), "A")
    DeltaTable(target.url).delete(f"extraction = {ord('A')}")
    assert held(target) == [("B", "1", 1.0)]
    DeltaTable(target.url).optimize.compact()
    put(target, rows("B", "9", 3.0), "B")
    assert held(target) == [("B", "1", 1.0), ("B", "9", 3.0)]  # the first of B had no number
    assert DeltaTable(target.url).history()[0]["engineInfo"] == "cbm-lake"


@pytest.mark.thorough
def test_the_log_is_summed_up_after_every_hundredth_entry(tmp_path):
    target = replace(table(tmp_path), small=False)
    for number in range(100):
        target.append(rows("A", str(number % 10)))
    log = tmp_path / "t" / "_delta_log"
    assert [file.name for file in log.glob("*.checkpoint.parquet")] == [f"{100:020}.checkpoint.parquet"]
    assert '"version":100' in (log / "_last_checkpoint").read_text()
    for file in log.glob("*.json"):
        file.unlink()
    assert target.open().to_pyarrow_table().num_rows == 100


def test_drafts_of_killed_writers_go_with_a_vacuum_and_files_of_others_stay(tmp_path):
    target = table(tmp_path)
    put(target, rows("A", "12"), "A")
    for name in ("area=ms/.0.parquet", "_delta_log/.0.json", ".0"):
        (tmp_path / "t" / name).write_bytes(b"half")
    os.utime(tmp_path / "t" / ".0", (0, 0))
    assert target.vacuum(1) == 1
    assert target.vacuum(0) == 2
    assert held(target) == [("A", "1", 1.0), ("A", "2", 1.0)]


def test_rows_are_replaced_in_files_of_which_the_log_says_nothing(tmp_path):
    """As of a key that is no key of the table, and in files of several row groups."""
    target = table(tmp_path)
    for scene in "AB":
        put(target, rows(scene, [f"{number:05}" for number in range(9000)]), scene)
    table_ = target.open()
    every = table_.to_pyarrow_table().sort_by("pid")
    target.rewrite(target.files(table_), [[every.slice(0, 6000), every.slice(6000)]])
    put(target, rows("A", ["x"], 2.0), "A")
    found = target.open().to_pyarrow_table()
    assert found.filter(pc.equal(found["scene"], "A")).num_rows == 1
    assert found.filter(pc.equal(found["scene"], "B")).num_rows == 9000
    (file,) = [file for file in target.files(target.open()) if file.is_rewritten]
    assert pq.ParquetFile(file.path).num_row_groups == 2
