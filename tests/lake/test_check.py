"""Every fault that is planted in a lake is found, named, and hides no other."""

import json
import shutil
import time
from pathlib import Path

import deltalake
import factories
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from affine import Affine
from test_reliability import Killed, at_step, catalogue, declare, extract, killed, plan
from typer.testing import CliRunner

from cbm_lake import cards
from cbm_lake.cli import app
from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.check import FINDINGS, check
from cbm_lake.lake.slots import SlotContent
from cbm_lake.rasters import Grid
from cbm_lake.rasters.cube import Cube, Slot
from cbm_lake.storage import entries

pytestmark = pytest.mark.thorough


GRID = Grid(32631, Affine(10, 0, 500_000, 0, -10, 4_900_000), (600, 600))
CUBE = f"cubes/s2/{GRID.name}.zarr"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A lake with parcels, scenes, signatures, an index and a cube."""
    lake = Lake(str(tmp_path_factory.mktemp("made") / "lake"))
    declare(lake, "", "v1121")
    for name in ("X02", "Y05"):
        catalogue(lake, name)
        extract(*plan(lake, "", 0))
    parcels = lake.parcel_set("ms", 2024)
    lake.write_index(parcels, GRID.name, pa.table({"spans": [1, 2, 3]}))
    names = ("X02", "Y05")
    lake.reserve_slots("s2", GRID.name, [SlotContent(name, factories.DAY, -1000, {"B04": name}) for name in names])
    slots = [Slot(name, factories.DAY, -1000) for name in names]
    Cube(lake.cube_url("s2", GRID.name)).extend(GRID, {"B04": "uint16"}, slots)
    band = zarr.open_array(lake.cube_url("s2", GRID.name), path="B04")
    band[:] = np.random.default_rng(1).integers(0, 9999, band.shape, "uint16")
    for row in lake.sql("from ledger").to_pylist():
        slot = names.index(row["scene"])
        size = (Path(lake.url) / CUBE / f"B04/c/{slot}/0/0").stat().st_size
        block = {"grid": GRID.name, "band": "B04", "row": 0, "col": 0, "bytes": size}
        lake.record({**row, "cube": True, "slots": [{"grid": GRID.name, "slot": slot}], "blocks": [block]})
    lake.remember_rasters({"a.tif": "{}"})
    return lake


@pytest.fixture
def whole(made, lake):
    """A copy of it, to be damaged."""
    shutil.copytree(made.url, lake.url)
    return lake


def root(lake):
    return Path(lake.url)


def newest(lake, pattern):
    return max(root(lake).glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def found(lake, *, deep=False, severity="fault"):
    """The findings of that severity: part, what and file of each."""
    table = check(lake, deep=deep)
    assert table.schema == FINDINGS
    rows = [row for row in table.to_pylist() if row["severity"] == severity]
    assert all(row["advice"] and "\n" not in row["what"] for row in rows)
    return [(row["part"], row["what"], row["file"]) for row in rows]


def one(lake, **options):
    findings = found(lake, **options)
    assert len(findings) == 1, findings
    return findings[0]


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_lake_has_no_findings_and_is_not_changed(whole, deep):
    before = sorted((str(path), path.stat().st_mtime_ns) for path in root(whole).rglob("*"))
    calls = []
    assert check(whole, deep=deep, progress=lambda *seen: calls.append(seen)).num_rows == 0
    assert calls[-1][0] == calls[-1][1] > 20
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert sorted((str(path), path.stat().st_mtime_ns) for path in root(whole).rglob("*")) == before
    whole.compact()
    assert check(whole, deep=deep).num_rows == 0


def test_a_lake_that_is_not_there_is_told(lake):
    with pytest.raises(NotFoundError, match="there is no lake at"):
        check(lake)


# -- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["extractions", "signatures/s2", "slots", "rasters"])
def test_a_damaged_entry_of_a_log_is_named(whole, table):
    entry = newest(whole, f"{table}/_delta_log/*.json")
    entry.write_bytes(entry.read_bytes()[:-40])
    findings = found(whole)
    name = str(entry.relative_to(root(whole)))
    assert (table, name) in [(part, file) for part, what, file in findings if "log is damaged" in what]
    assert {part for part, *_ in findings} == {table}


def test_a_missing_entry_of_a_log_is_named(whole):
    entry = root(whole) / f"extractions/_delta_log/{1:020}.json"
    entry.unlink()
    assert ("extractions", "an entry of the log is missing", str(entry.relative_to(root(whole)))) in found(whole)


def test_a_log_that_has_gone_is_told(whole):
    for entry in root(whole).glob("signatures/s2/_delta_log/*"):
        entry.unlink()
    assert one(whole)[:2] == ("signatures/s2", "the table has files but no log")


def test_a_ledger_that_has_gone_is_told(whole):
    for path in root(whole).glob("extractions/**/*"):
        if path.is_file():
            path.unlink()
    assert one(whole)[:2] == ("extractions", "the ledger has gone: no signature counts")


def gone(path):
    path.unlink()


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def without_footer(path):
    data = bytearray(path.read_bytes())
    data[-40:] = bytes(40)
    path.write_bytes(data)


def flipped(path):
    """The bits of the first page's header turned, which says how long the page is."""
    data = bytearray(path.read_bytes())
    data[4:24] = bytes(255 - value for value in data[4:24])
    path.write_bytes(data)


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (gone, "missing"),
        (truncated, "bytes, its log says"),
        (without_footer, "damaged"),
        (emptied, "bytes, its log says"),
    ],
)
def test_a_damaged_file_of_signatures_is_named_with_the_scene_whose_signatures_it_held(whole, damage, told):
    file = newest(whole, "signatures/s2/**/*.parquet")
    damage(file)
    lost, damaged = found(whole)
    assert damaged[0] == "signatures/s2"
    assert told in damaged[1]
    assert damaged[2] == str(file.relative_to(root(whole)))
    assert lost[:2] == ("extractions", "scene Y05 over ms 2024 has 0 signatures, its ledger says 4")


def test_turned_bits_are_found_by_a_deep_look(whole):
    file = newest(whole, "signatures/s2/**/*.parquet")
    flipped(file)
    assert any(part == "signatures/s2" and "not what was written" in what for part, what, _ in found(whole, deep=True))


def test_a_file_with_other_rows_than_its_log_says_is_named(whole):
    file = newest(whole, "rasters/*.parquet")
    log = newest(whole, "rasters/_delta_log/*.json")
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table, table]), file)
    actions = [line for line in entries.decoded(log.read_bytes()) if "commitInfo" not in line]
    for line in actions:
        if "add" in line:
            line["add"]["size"] = file.stat().st_size
    log.write_bytes(entries.encoded(actions, entries.position("rasters", int(log.stem))))
    assert one(whole)[1] == "the file has 2 rows, its log says 1"


def test_a_ledger_that_an_earlier_version_wrote_is_whole(whole):
    folder = root(whole) / "extractions"
    older = ["revision", "slots", "discarded"]
    ledger = pa.table(deltalake.DeltaTable(folder).to_pyarrow_table()).drop_columns(older)
    shutil.rmtree(folder)
    deltalake.write_deltalake(folder, ledger)
    assert [one for one in check(whole).to_pylist() if one["part"] == "extractions"] == []


def test_signatures_that_the_ledger_has_and_the_table_lost_are_named(whole):
    table = deltalake.DeltaTable(f"{whole.url}/signatures/s2")
    table.delete("scene = 'X02' and pid = '12'")
    expected = ("extractions", "scene X02 over ms 2024 has 3 signatures, its ledger says 4", "signatures/s2")
    assert one(whole) == expected


def test_signatures_that_were_replaced_are_a_note_until_the_command_ends(whole):
    extract(*plan(whole, "", 2)[:1])
    part, what, _ = one(whole, severity="note")
    assert part == "signatures/s2"
    assert what.startswith("other readers of the table do not see exactly the rows that count")
    assert "`cbm-lake compact`" in check(whole)["advice"][0].as_py()
    whole.settle()
    assert check(whole).num_rows == 0
    whole.compact()
    assert check(whole).num_rows == 0


def test_signatures_of_an_extraction_that_was_never_finished_are_a_note(whole):
    job, *_ = plan(whole, "", 1)
    with at_step(2, killed), pytest.raises(Killed):
        extract(job)
    part, what, _ = one(whole, severity="note")
    assert part == "signatures/s2"
    assert what.startswith("4 signatures of 1 extractions that were never finished, about ")
    assert found(whole) == []


def test_files_that_no_version_of_a_table_had_are_a_note_and_older_versions_are_not(whole):
    whole.compact()
    (root(whole) / "signatures/s2/aoi=ms/year=2024/left.parquet").write_bytes(b"half")
    assert one(whole, severity="note")[1] == "1 files of 4 bytes that the table never had: a write broke off"


def unrecorded(lake):
    """As a lake of version 0.1, which has no manifest."""
    shutil.rmtree(root(lake) / "files")


# -- parcels, scenes, indexes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["parcels", "scenes", "indexes"])
@pytest.mark.parametrize("damage", [truncated, without_footer, emptied])
def test_a_damaged_file_outside_the_tables_is_named(whole, folder, damage):
    file = newest(whole, f"{folder}/**/*.parquet")
    damage(file)
    part, what, name = one(whole)
    assert (part, name) == (folder, str(file.relative_to(root(whole))))
    assert what.startswith(("the file is damaged: ", "the file has "))


def test_a_parcel_file_without_a_column_is_named(whole):
    unrecorded(whole)
    file = newest(whole, "parcels/**/*.parquet")
    pq.write_table(pq.ParquetFile(file).read().drop_columns(["bbox"]), file)
    assert one(whole)[1] == "the file has no column bbox"


def test_a_catalogue_file_of_version_0_1_is_whole_and_one_without_its_columns_is_named(whole):
    unrecorded(whole)
    file = newest(whole, "scenes/*.parquet")
    older = pq.ParquetFile(file).read().drop_columns(["datastrip", "produced", "updated", "revision"])
    pq.write_table(older, file)
    assert check(whole).num_rows == 0
    pq.write_table(older.drop_columns(["reference"]), file)
    assert one(whole)[1] == "the file has no column reference"


def test_an_index_whose_parcels_are_gone_is_a_note(whole):
    newest(whole, "parcels/**/*.parquet").unlink()
    part, what, name = one(whole, severity="note")
    assert part == "indexes"
    assert name.startswith(f"indexes/v1121/{GRID.name}-b2")
    assert "whose parcels are not there" in what


def test_a_scene_that_is_catalogued_twice_with_other_words_is_told(whole):
    whole.add_scenes(factories.scenes(factories.scene("Y05", acquisition="Y", source="elsewhere")))
    assert check(whole).num_rows == 0
    other = factories.scene("Y05", acquisition="Z", boa_offset=0)
    whole.add_scenes(factories.scenes(other))
    part, what, _ = one(whole)
    assert part == "scenes"
    assert what == "scene Y05 of card s2 stands in several files with different acquisition, boa_offset"


def test_a_new_revision_of_a_scene_is_no_fault(whole):
    for revision, offset in (("a", -1000), ("b", 0)):
        scene = factories.scene("Z07", boa_offset=offset, revision=revision, updated=factories.day(1 + offset // 1000))
        whole.add_scenes(factories.scenes(scene))
    assert whole.sql("select boa_offset from scenes where id = 'Z07'").to_pylist() == [{"boa_offset": 0}]
    assert check(whole).num_rows == 0


def test_a_catalogue_file_of_version_0_1_is_no_fault(whole):
    unrecorded(whole)
    for file in root(whole).glob("scenes/*.parquet"):
        table = pq.ParquetFile(file).read()
        pq.write_table(table.drop_columns(["datastrip", "produced", "updated", "revision"]), file)
    assert check(whole).num_rows == 0
    file = newest(whole, "scenes/*.parquet")
    pq.write_table(pq.ParquetFile(file).read().drop_columns(["acquisition"]), file)
    assert one(whole)[1] == "the file has no column acquisition"


def test_tables_of_version_0_1_are_no_fault(whole):
    for name in ("extractions", "slots"):
        url = f"{whole.url}/{name}"
        rows = deltalake.DeltaTable(url).to_pyarrow_table()
        later = [column for column in ("revision", "slots", "discarded", "stamps") if column in rows.column_names]
        deltalake.write_deltalake(url, rows.drop_columns(later), mode="overwrite", schema_mode="overwrite")
        deltalake.DeltaTable(url).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert check(whole).num_rows == 0


# -- cubes -----------------------------------------------------------------------------------------------------------


def test_a_cube_that_has_gone_is_told(whole):
    shutil.rmtree(root(whole) / CUBE)
    assert one(whole)[1:] == ("the cube is missing, but 2 scenes have a place in it", CUBE)


def test_a_cube_that_is_shorter_than_the_list_of_its_scenes_is_told(whole):
    whole.reserve_slots("s2", GRID.name, [SlotContent("X05", factories.DAY, 0, {"B04": "X05"})])
    what = "band B04 has 2 places, but 3 were reserved: an extraction broke off, or is running"
    assert one(whole, severity="note")[1:] == (what, CUBE)
    zarr.open_array(str(root(whole) / CUBE), path="B04").resize((1, *GRID.shape))
    told = "band B04 has 1 places, but 2 scenes have a place in it"
    assert ("cubes", told, CUBE) in found(whole)


def test_an_array_that_cannot_be_opened_is_named(whole):
    file = root(whole) / CUBE / "B04" / "zarr.json"
    truncated(file)
    names = [name for part, what, name in found(whole) if "cannot be opened" in what]
    assert names == [f"{CUBE}/B04/zarr.json"]


def test_a_damaged_block_is_named_by_a_deep_look_and_an_empty_one_by_any(whole):
    first, second = sorted((root(whole) / CUBE / "B04/c").glob("*/0/0"))
    data = bytearray(first.read_bytes())
    data[-20:] = bytes(20)
    first.write_bytes(data)
    assert found(whole) == []
    assert one(whole, deep=True)[2] == str(first.relative_to(root(whole)))
    emptied(second)
    assert one(whole)[2] == str(second.relative_to(root(whole)))


# -- leftovers, many at once, the command ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "scenes/.a.parquet.0123",
        "parcels/aoi=ms/year=2024/.main.parquet.0123",
        f"{CUBE}/B04/c/0/0/0.0123.partial",
        "extractions/_delta_log/_commit_0123.json.tmp",
        "signatures/s2/aoi=ms/year=2024/part-0.parquet#1",
    ],
)
def test_drafts_that_were_left_behind_are_notes(whole, name):
    file = root(whole) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"half")
    part, what, named = one(whole, severity="note")
    assert named == name
    assert what == "a draft of 4 bytes: a write broke off, or is going on"
    assert part == name.partition("/")[0]
    assert found(whole) == []


def test_no_fault_hides_another(whole):
    for pattern in ("parcels/**/*.parquet", "scenes/*.parquet", "indexes/**/*.parquet", "signatures/s2/**/*.parquet"):
        without_footer(newest(whole, pattern))
    for table in ("extractions", "slots"):
        truncated(newest(whole, f"{table}/_delta_log/*.json"))
    truncated(root(whole) / CUBE / "B04" / "zarr.json")
    parts = {part for part, *_ in found(whole)}
    assert parts == {"parcels", "scenes", "indexes", "signatures/s2", "extractions", "slots", "cubes"}


@pytest.mark.slow
def test_thousands_of_files_take_seconds(lake):
    rows = factories.scenes("A")
    for number in range(1000):
        lake._store.write(f"scenes/20240101T000000000000Z-{number:08}.parquet", rows)
    start = time.monotonic()
    assert check(lake).num_rows == 0
    assert time.monotonic() - start < 20


def test_the_command_is_silent_when_all_is_well_and_ends_with_1_when_not(whole):
    runner = CliRunner()
    fine = runner.invoke(app, ["check", "--format", "csv"])
    assert (fine.exit_code, fine.stdout) == (0, "")
    emptied(newest(whole, "parcels/**/*.parquet"))
    faulty = runner.invoke(app, ["check", "--deep", "--format", "json"])
    assert faulty.exit_code == 1
    (row,) = [json.loads(line) for line in faulty.stdout.splitlines()]
    assert row["severity"] == "fault"
    assert row["part"] == "parcels"


def test_a_card_without_signatures_is_no_finding(lake):
    lake.prepare("bs")
    assert set(cards.CARD_BANDS) > {"s2", "bs", "c6"}
    assert check(Lake(lake.url)).num_rows == 0


def test_a_pixel_index_in_the_place_of_another_is_not_used(whole, caplog):
    """Else the statistics of each parcel would be those of others' pixels."""
    parcels, other = whole.parcel_set("ms", 2024), "32631_20m_500000_4900000_300x300"
    whole.write_index(parcels, other, pa.table({"spans": [9]}))
    (file,) = Path(whole.url, "indexes").rglob(f"{GRID.name}*")
    (wrong,) = Path(whole.url, "indexes").rglob(f"{other}*")
    file.write_bytes(wrong.read_bytes())
    assert whole.index(parcels, GRID.name) is None
    assert str(file) in caplog.text
    whole.write_index(parcels, GRID.name, pa.table({"spans": [1, 2, 3]}))
    assert whole.index(parcels, GRID.name)["spans"].to_pylist() == [1, 2, 3]
