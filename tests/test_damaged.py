"""What is damaged is named with what to do, and stops what it belongs to and nothing else."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from factories import PIDS, entry, parcels, scene, scenes, signature, signatures, write

from cbm_lake import digests, log
from cbm_lake.errors import LakeError, SourceError
from cbm_lake.lake import Lake

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


@pytest.fixture
def filled(lake):
    lake.add_scenes(scenes(scene("A"), scene("B")))
    for aoi, year in SETS:
        lake.add_parcels(aoi, year, "", "v1", parcels())
        (current,) = (found for found in lake.parcel_sets() if found.aoi == aoi)
        for name in "AB":
            write(lake, signatures(*(signature(pid, name, aoi=aoi, year=year) for pid in PIDS)), current, name)
    return lake


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
    assert log.damage(content) is None
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            assert log.damage(bytes(changed)) is not None, (place, bit)
    for end in range(len(content)):
        assert log.damage(content[:end]) is not None


def test_an_entry_of_another_writer_is_believed_when_it_is_json():
    line = json.dumps({"add": {"path": "a.parquet"}}).encode()
    assert log.damage(line) is None
    assert log.damage(line + b"\n" + line) is None
    for damaged in (b"", b" \n", line[:-1], b"\0" * 9, b"[]", b'{"ad": {}}', b"\xff"):
        assert log.damage(damaged) is not None


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
