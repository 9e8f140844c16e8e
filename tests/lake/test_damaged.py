"""What is damaged is named with what to do, and stops what it belongs to and nothing else."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, TableFeatures
from factories import PIDS, copied, entry, parcels, scene, scenes, signature, signatures, write

from cbm_lake.errors import LakeError, SourceError
from cbm_lake.files import digests
from cbm_lake.lake import Lake
from cbm_lake.lake.check import check
from cbm_lake.storage import entries

pytestmark = pytest.mark.thorough


SETS = [("ms", 2024), ("other", 2024)]
DAMAGES = {
    "empty": lambda content: b"",
    "cut in a line": lambda content: content[: len(content) * 2 // 3],
    "cut after a line": lambda content: content.splitlines(keepends=True)[0],
    "zeros": lambda content: b"\0" * len(content),
    "garbage": lambda content: b"PAR1 or not" * 9,
    "one bit": lambda content: bytes([*content[:-30], content[-30] ^ 4, *content[-29:]]),
}
"""What a loss of power, or a disk, makes of an entry."""


@pytest.fixture(scope="module")
def three_sets(tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("three-sets")))
    lake.add_scenes(scenes(scene("A"), scene("B")))
    for aoi, year in SETS:
        lake.add_parcels(aoi, year, "", "v1", parcels())
        (current,) = (found for found in lake.parcel_sets() if found.aoi == aoi)
        for name in "AB":
            write(lake, signatures(*(signature(pid, name, aoi=aoi, year=year) for pid in PIDS)), current, name)
    return lake


@pytest.fixture
def filled(lake, three_sets):
    """A copy of it."""
    return copied(three_sets, lake)


def newest(lake, table):
    return max((Path(lake.url) / table / "_delta_log").glob("*.json"))


def counted(lake, what, where=""):
    return Lake(lake.url).sql(f"from {what} {where}").num_rows


def problem(work):
    with pytest.raises(SourceError) as caught:
        work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_named_and_its_advice_mends(filled, damage):
    before = counted(filled, "s2")
    entry_file = newest(filled, "signatures/s2")
    entry_file.write_bytes(DAMAGES[damage](entry_file.read_bytes()))
    told = problem(lambda: counted(filled, "s2"))
    assert str(entry_file) in told
    assert "delete it and run the last command again" in told
    assert str(entry_file) in problem(lambda: write(Lake(filled.url), signatures(signature("12", "A")), None, "A"))
    assert counted(filled, "parcels") == 2 * len(PIDS)
    assert counted(filled, "scenes") == 2
    entry_file.unlink()
    assert counted(filled, "s2") < before


def test_a_damaged_entry_in_the_middle_is_to_be_restored(filled):
    entry_file = sorted((Path(filled.url) / "signatures/s2/_delta_log").glob("*.json"))[-2]
    entry_file.write_bytes(b"")
    told = problem(lambda: counted(filled, "s2"))
    assert str(entry_file) in told
    assert "restore it from a copy" in told


def test_a_table_that_a_view_does_not_need_does_not_stop_it(filled):
    filled._tables["marked"].create()
    before = counted(filled, "s2")
    entry_file = newest(filled, "markers")
    entry_file.write_bytes(b"")
    assert str(entry_file) in problem(lambda: counted(filled, "markers"))
    assert counted(filled, "s2") == before
    assert counted(filled, "s2", "where aoi = 'ms'") == before // 2


@pytest.mark.parametrize("table", ["extractions", "suspects", "exclusions", "set_aside/s2"])
def test_what_decides_which_rows_count_stops_the_signatures_and_not_the_parcels(filled, table):
    for made in filled._tables.values():
        if made.name == table:
            made.create()
    entry_file = newest(filled, table)
    entry_file.write_bytes(b"")
    assert str(entry_file) in problem(lambda: counted(filled, "s2"))
    assert counted(filled, "parcels") == 2 * len(PIDS)
    params = {"aoi": "ms", "year": 2024, "ptype": "", "pid": PIDS[0], "bands": ["B04"]}
    assert str(entry_file) in problem(lambda: Lake(filled.url).query("time_series.s2", **params))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all" * 20])
def test_a_damaged_parcel_file_stops_its_area_and_no_other(filled, content):
    before = counted(filled, "s2", "where aoi = 'other'")
    (file,) = (Path(filled.url) / "parcels/aoi=ms").rglob("*.parquet")
    whole = file.read_bytes()
    file.write_bytes(content)
    for what in ("parcels", "s2"):
        for where in ("", "where aoi = 'ms'", "where aoi = 'ms' and year = 2024"):
            told = problem(lambda what=what, where=where: counted(filled, what, where))
            assert str(file) in told
            assert "load the parcels of ms 2024 again" in told
    assert counted(filled, "parcels", "where aoi = 'other'") == len(PIDS)
    assert counted(filled, "s2", "where aoi = 'other' and year = 2024") == before
    assert counted(filled, "scenes") == 2
    params = {"year": 2024, "ptype": "", "pid": PIDS[0], "bands": ["B04"]}
    assert Lake(filled.url).query("time_series.s2", aoi="other", **params).num_rows == 2
    assert str(file) in problem(lambda: Lake(filled.url).query("time_series.s2", aoi="ms", **params))
    reader = Lake(filled.url)
    assert str(file) in problem(lambda: reader.sql("from parcels"))
    file.write_bytes(whole)
    assert reader.sql("from parcels").num_rows == 2 * len(PIDS)  # the very lake that refused


def test_work_on_one_area_goes_on_while_the_parcels_of_another_are_damaged(filled):
    (file,) = (Path(filled.url) / "parcels/aoi=ms").rglob("*.parquet")
    file.write_bytes(b"")
    lake = Lake(filled.url)
    (current,) = (found for found in lake.parcel_sets() if found.aoi == "other")
    again = signatures(*(signature(pid, "A", aoi="other", year=2024, red=900) for pid in PIDS))
    place = again.schema.get_field_index("extraction")
    again = again.set_column(place, again.schema.field(place), pa.array([77] * len(PIDS), pa.int64()))
    lake.write_signatures("s2", again, 77)
    lake.record({**entry("A"), "aoi": "other", "parcels": current.version, "extraction": 77})
    lake.settle("s2")
    assert counted(filled, "s2", "where aoi = 'other' and B04_mean = 900") == len(PIDS)
    assert lake.compact() > 0


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all" * 20])
def test_a_damaged_catalogue_file_stops_scenes_and_signatures_and_not_the_parcels(filled, content):
    (file,) = (Path(filled.url) / "scenes").glob("*.parquet")
    file.write_bytes(content)
    for what in ("scenes", "s2"):
        told = problem(lambda what=what: counted(filled, what))
        assert str(file) in told
        assert "catalogue its scenes again" in told
    assert counted(filled, "parcels") == 2 * len(PIDS)


@pytest.mark.parametrize("content", [b"", b"PAR1 or not" * 20])
def test_a_damaged_checkpoint_is_named_and_its_advice_mends(filled, content):
    before = counted(filled, "s2")
    filled._tables["signatures_s2"].checkpoint()
    folder = Path(filled.url) / "signatures/s2/_delta_log"
    (file,) = folder.glob("*.checkpoint.parquet")
    file.write_bytes(content)
    told = problem(lambda: counted(filled, "s2"))
    assert str(file) in told
    assert "delete it and _last_checkpoint beside it" in told
    assert counted(filled, "parcels") == 2 * len(PIDS)
    file.unlink()
    (folder / "_last_checkpoint").unlink()
    assert counted(filled, "s2") == before


@pytest.mark.parametrize("content", [b"", b"{nope", b"\0" * 50, None])
def test_a_damaged_hint_to_the_last_checkpoint_changes_nothing(filled, content):
    before = counted(filled, "s2")
    filled._tables["signatures_s2"].checkpoint()
    hint = Path(filled.url) / "signatures/s2/_delta_log/_last_checkpoint"
    hint.unlink() if content is None else hint.write_bytes(content)
    assert counted(filled, "s2") == before


def test_a_damaged_file_of_a_small_table_stops_that_table(filled):
    filled.remember_rasters({"a.tif": "{}"})
    (file,) = (Path(filled.url) / "rasters").glob("*.parquet")
    file.write_bytes(b"")
    assert str(file) in problem(lambda: counted(filled, "rasters"))
    assert counted(filled, "s2") == 4 * len(PIDS)


def test_every_changed_bit_of_an_entry_is_noticed(filled):
    content = newest(filled, "signatures/s2").read_bytes()
    assert entries.damage(content) is None
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            assert entries.damage(bytes(changed)) is not None, (place, bit)
    for end in range(len(content)):
        assert entries.damage(content[:end]) is not None


def test_an_entry_of_another_writer_is_believed_when_it_is_json():
    line = json.dumps({"add": {"path": "a.parquet"}}).encode()
    assert entries.damage(line) is None
    assert entries.damage(line + b"\n" + line) is None
    for damaged in (b"", b" \n", line[:-1], b"\0" * 9, b"[]", b'{"ad": {}}', b"\xff"):
        assert entries.damage(damaged) is not None


def test_the_name_of_every_file_has_its_digest_on_record(filled):
    files = [file for file in Path(filled.url).rglob("part-*.parquet") if "_delta_log" not in file.parts]
    assert len(files) > 4
    for file in files:
        assert digests.recorded(str(file)) == digests.computed(file.read_bytes())
        with file.open("rb") as opened:
            assert digests.computed(opened) == digests.recorded(file.name)
    assert digests.recorded("part-00000-6ae31873-c892-4b4a-98d9-5672bd94cc08-c000.zstd.parquet") is None
    with pytest.raises(LakeError):
        Lake(filled.url).sql("from nowhere")


def test_an_entry_in_the_place_of_another_is_named(filled):
    """Of the same table or of another one: each is whole by itself."""
    log_of = Path(filled.url) / "signatures/s2/_delta_log"
    last = newest(filled, "signatures/s2")
    content = last.read_bytes()
    for other in (min(log_of.glob("*.json")), sorted(log_of.glob("*.json"))[-2], newest(filled, "extractions")):
        last.write_bytes(other.read_bytes())
        told = problem(lambda: counted(filled, "s2"))
        assert str(last) in told
        assert "it is signatures/s2/" in told or "it is extractions/" in told
        assert str(last.relative_to(filled.url)) in {row["file"] for row in check(Lake(filled.url)).to_pylist()}
    last.write_bytes(content)
    assert counted(filled, "s2") == 4 * len(PIDS)


def test_entries_that_do_not_say_where_they_belong_are_read(filled):
    content = newest(filled, "signatures/s2").read_bytes()
    assert entries.damage(content, "signatures/s2/4") is None
    assert entries.damage(content, "signatures/s2/5") is not None
    assert entries.damage(content) is None
    assert entries.damage(b'{"add": {"path": "a.parquet"}}', "signatures/s2/5") is None


def older_checkpoint(lake, tmp_path):
    """Under the name of the newest checkpoint, what one of the table's first version would be."""
    folder = Path(lake.url) / "signatures/s2/_delta_log"
    former = tmp_path / "former" / "_delta_log"
    former.mkdir(parents=True)
    for file in sorted(folder.glob("*.json"))[:2]:
        shutil.copyfile(file, former / file.name)
    DeltaTable(str(former.parent)).create_checkpoint()
    (old,) = former.glob("*.checkpoint.parquet")
    (new,) = folder.glob("*.checkpoint.parquet")
    shutil.copyfile(old, new)
    return new


def test_a_checkpoint_of_an_older_version_is_named_and_its_advice_mends(filled, tmp_path):
    before = counted(filled, "s2")
    filled._tables["signatures_s2"].checkpoint()
    file = older_checkpoint(filled, tmp_path)
    hint = file.with_name("_last_checkpoint")
    hint.unlink()
    told = problem(lambda: counted(filled, "s2"))
    assert str(file) in told
    assert "delete it and _last_checkpoint beside it" in told
    (fault,) = (row for row in check(Lake(filled.url)).to_pylist() if row["severity"] == "fault")
    assert file.name in fault["what"]
    assert "delete it" in fault["advice"]
    file.unlink()
    assert counted(filled, "s2") == before


def test_a_checkpoint_that_another_program_wrote_anew_is_read(filled):
    """It says the same by other bytes."""
    before = counted(filled, "s2")
    filled._tables["signatures_s2"].checkpoint()
    (file,) = (Path(filled.url) / "signatures/s2/_delta_log").glob("*.checkpoint.parquet")
    pq.write_table(pq.read_table(file), file, compression="gzip")
    assert counted(filled, "s2") == before


def test_the_lake_as_it_was_is_not_read_past_a_damaged_entry(filled):
    """Also where a later checkpoint lets the lake of today do without it."""
    entries = sorted((Path(filled.url) / "signatures/s2/_delta_log").glob("*.json"))
    state = entries[2].stat()
    moment = datetime.fromtimestamp(state.st_mtime + 1e-4, UTC)
    filled._tables["signatures_s2"].checkpoint()
    before = Lake(filled.url, moment).sql("from signatures_s2").num_rows
    assert 0 < before < 4 * len(PIDS)
    entries[2].write_bytes(b"")
    os.utime(entries[2], ns=(state.st_atime_ns, state.st_mtime_ns))
    told = problem(lambda: Lake(filled.url, moment).sql("from signatures_s2"))
    assert str(entries[2]) in told
    assert "restore it from a copy" in told
    assert counted(filled, "s2") == 4 * len(PIDS)


def test_a_table_whose_files_are_not_read_as_they_are_is_refused(filled):
    """Else rows that another program deleted by vectors would count again."""
    table = DeltaTable(f"{filled.url}/signatures/s2")
    table.alter.add_feature(TableFeatures.DeletionVectors, allow_protocol_versions_increase=True)
    told = problem(lambda: counted(filled, "s2"))
    assert "deletionVectors" in told
    assert "signatures/s2" in told
    assert counted(filled, "parcels") == 2 * len(PIDS)
    assert any("deletionVectors" in row["what"] for row in check(Lake(filled.url)).to_pylist())


@pytest.mark.parametrize("inside", [(), ("_delta_log",), ("_delta_log", ".00000000000000000000.json.tmp")])
def test_a_table_of_which_a_killed_writer_made_no_more_than_the_folder_is_none_yet(filled, inside):
    table = Path(filled.url, "aside_s2")
    assert not table.exists()
    Path(table, *inside[:1]).mkdir(parents=True)
    if inside[1:]:
        Path(table, *inside).write_bytes(b"{")
    assert counted(filled, "s2") == 4 * len(PIDS)
    assert Lake(filled.url).sql("from s2").num_rows == filled.sql("from s2").num_rows
