"""The lake answers what was written to it, to everyone who asks, also as it was before."""

import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from factories import (
    PIDS,
    band,
    copied,
    day,
    degrees,
    entry,
    fill,
    outline,
    parcel_set,
    parcels,
    scene,
    scenes,
    signature,
    signatures,
    write,
)
from factories import (
    number as numbered,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake, compaction, lookup, open_lake, queries

VIEWS = ("scenes", "parcels", "s2", "bs", "c6", "s2_long", "bs_long", "c6_long", "extractions")


def column(lake, statement, **params):
    """The first column of an answer as a list."""
    return lake.sql(statement, **params).column(0).to_pylist()


def moment():
    """Now; the log counts milliseconds, so what is written before and after is kept apart."""
    time.sleep(0.02)
    now = datetime.now(UTC)
    time.sleep(0.02)
    return now


@pytest.fixture
def filled(lake, two_scenes):
    return copied(two_scenes, lake)


# -- an empty lake ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
def test_an_empty_lake_answers_no_rows(lake, view):
    answer = lake.sql(f"from {view}")
    assert answer.num_rows == 0
    assert len(answer.column_names) > 5


def test_reading_an_empty_lake_writes_nothing(lake, workspace):
    lake.sql("from s2")
    assert lake.parcel_sets() == []
    assert not Path(lake.url).exists()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_the_same_columns_of_the_same_types_empty_and_full(tmp_path, view):
    empty, full = Lake(str(tmp_path / "empty")), fill(Lake(str(tmp_path / "full")))
    for card in ("bs", "c6"):
        row = signature("12", **band("VV", 0.1))
        rows = pa.Table.from_pylist([row], schema=full._tables[f"signatures_{card}"].schema)
        write(full, rows, parcel_set(), "A", card)
    described = f"select column_name, column_type from (describe {view})"  # noqa: S608
    assert full.sql(described).to_pylist() == empty.sql(described).to_pylist()
    assert full.sql(f"from {view}").num_rows > 0


# -- scenes ----------------------------------------------------------------------------------------------------------


def test_scenes_are_added_once(lake):
    assert lake.add_scenes(scenes("A", "B")) == 2
    assert lake.add_scenes(scenes("B", "A")) == 0
    assert lake.add_scenes(scenes("B", "C", "C")) == 1
    assert lake.add_scenes(scenes()) == 0
    assert column(lake, "select id from scenes order by id") == ["A", "B", "C"]


def test_the_same_id_on_two_cards_is_two_scenes(lake):
    assert lake.add_scenes(scenes(scene("A"), scene("A", card="bs"))) == 2


def test_scenes_that_two_writers_add_at_once_are_seen_once(lake):
    lake._store.write("scenes/20240101T000000000000Z-a.parquet", scenes("A", "B"))
    lake._store.write("scenes/20240101T000000000000Z-b.parquet", scenes("B", "C"))
    assert column(lake, "select id from scenes order by id") == ["A", "B", "C"]


def test_the_latest_word_of_the_ledger_is_the_status_of_a_scene(lake):
    def status():
        return dict(zip(*(lake.sql("select id, status from scenes").to_pydict().values()), strict=True))

    lake.add_scenes(scenes("A", "B"))
    assert status() == {"A": "ingested", "B": "ingested"}
    assert lake.record(entry("A", "failed", day(1)))
    assert lake.record(entry("B", finished=day(0)))
    assert status() == {"A": "failed", "B": "extracted"}
    assert lake.record(entry("A", finished=day(2)))
    assert status() == {"A": "extracted", "B": "extracted"}
    assert lake.record(entry("B", "failed", day(5)))
    assert status() == {"A": "extracted", "B": "failed"}
    assert lake.query("scenes.failed")["problem"].to_pylist() == ["broken"]
    attempts = lake.sql("select scene, attempt, status from ledger order by all")
    assert [tuple(row.values()) for row in attempts.to_pylist()] == [
        ("A", 1, "failed"),
        ("A", 2, "done"),
        ("B", 1, "done"),
        ("B", 2, "failed"),
    ]


def test_an_attempt_is_not_recorded_after_another_that_its_writer_does_not_know(lake):
    assert lake.record(entry("A"), after=0)
    assert not lake.record(entry("A", "failed"), after=0)
    assert lake.record(entry("A", "failed"), after=1)
    assert lake.record(entry("A", aoi="nl"), after=0)
    assert column(lake, "select status from ledger where aoi = 'ms' order by attempt") == ["done", "failed"]


# -- reprocessed scenes ----------------------------------------------------------------------------------------------


def processings(lake, *names):
    """Processings of one acquisition, named by their baselines, catalogued."""
    lake.add_scenes(scenes(*(scene(name, acquisition="X", baseline=name) for name in names)))


def extract(lake, name, aoi="ms"):
    write(lake, signatures(signature("12", name, aoi=aoi)), parcel_set(aoi), name)


def shown(lake, aoi="ms"):
    return column(lake, "select distinct scene from s2 where aoi = $aoi order by 1", aoi=aoi)


def test_a_newer_processing_hides_the_older_only_after_it_was_extracted(lake):
    processings(lake, "02.14")
    extract(lake, "02.14")
    assert shown(lake) == ["02.14"]
    processings(lake, "05.10")
    assert shown(lake) == ["02.14"]
    assert lake.sql("select id, superseded from scenes order by id").to_pylist() == [
        {"id": "02.14", "superseded": True},
        {"id": "05.10", "superseded": False},
    ]
    lake.record(entry("05.10", "failed", day(0)))
    assert shown(lake) == ["02.14"]
    extract(lake, "05.10")
    assert shown(lake) == ["05.10"]
    assert lake.sql("from scenes").num_rows == 2
    assert column(lake, "select scene from signatures_s2 order by 1") == ["02.14", "05.10"]


def test_a_newer_processing_hides_the_older_only_where_it_was_extracted(lake):
    processings(lake, "02.14", "05.10")
    for aoi in ("ms", "nl"):
        extract(lake, "02.14", aoi)
    extract(lake, "05.10", "nl")
    assert (shown(lake, "ms"), shown(lake, "nl")) == (["02.14"], ["05.10"])


def test_of_three_processings_the_newest_that_was_extracted_is_seen(lake):
    processings(lake, "02.14", "04.00", "05.10")
    extract(lake, "04.00")
    extract(lake, "02.14")
    assert shown(lake) == ["04.00"]


def test_a_newer_processing_that_failed_when_tried_again_goes_on_hiding_the_older(lake):
    processings(lake, "02.14", "05.10")
    extract(lake, "02.14")
    extract(lake, "05.10")
    lake.record(entry("05.10", "failed", datetime(2025, 1, 1, tzinfo=UTC)))
    assert shown(lake) == ["05.10"]


def test_processings_on_one_card_hide_nothing_on_another(lake):
    lake.add_scenes(scenes(scene("02.14", acquisition="X", baseline="02.14")))
    lake.add_scenes(scenes(scene("05.10", acquisition="X", baseline="05.10", card="bs")))
    extract(lake, "02.14")
    lake.record(entry("05.10", card="bs"))
    assert shown(lake) == ["02.14"]


# -- parcels ---------------------------------------------------------------------------------------------------------


def test_the_same_version_of_parcels_is_not_added_again_and_a_new_one_takes_its_place(lake):
    assert lake.add_parcels("ms", 2024, "", "v1", parcels())
    assert not lake.add_parcels("ms", 2024, "", "v1", parcels())
    old = lake.parcel_set("ms", 2024)
    assert lake.add_parcels("ms", 2024, "", "v2", parcels(("7",), [("rye", "2")]))
    assert column(lake, "select pid from parcels") == ["7"]
    assert Path(old.path).exists()
    assert lake.read_parcels(old, ["id"])["id"].to_pylist() == list(PIDS)
    assert lake.add_parcels("ms", 2024, "", "v1", parcels())
    assert column(lake, "select pid from parcels order by pid") == sorted(PIDS)


def test_parcel_sets_are_kept_apart_by_area_year_and_kind(lake):
    for number, key in enumerate([("ms", 2024, ""), ("ms", 2024, "m"), ("ms", 2023, ""), ("nl", 2024, "")]):
        lake.add_parcels(*key, "v1", parcels((str(number),), [("rye", "2")]))
    assert [found.name for found in lake.parcel_sets()] == ["ms 2023", "ms 2024", "ms 2024 m", "nl 2024"]
    assert column(lake, "select pid from parcels where aoi = 'ms' and year = 2024 and ptype = 'm'") == ["1"]
    assert lake.parcel_set("MS", "2024", None).name == "ms 2024"
    with pytest.raises(InvalidInputError, match="year='MMXXIV' is not right: it is a year such as 2024"):
        lake.parcel_set("ms", "MMXXIV")


def test_an_unknown_parcel_set_is_refused_with_those_there_are(lake):
    with pytest.raises(NotFoundError, match="no parcels of ms 2024 in this lake; there are: none yet"):
        lake.parcel_set("ms", 2024)
    lake.add_parcels("ms", 2024, "m", "v1", parcels())
    with pytest.raises(NotFoundError, match="no parcels of ms 2023 x in this lake; there are: ms 2024 m"):
        lake.parcel_set("ms", 2023, "x")


def test_a_parcel_file_that_has_gone_is_told(filled):
    found = filled.parcel_set("ms", 2024)
    Path(found.path).unlink()
    with pytest.raises(NotFoundError, match="has gone; load the parcels of ms 2024 again"):
        filled.read_parcels(found)


def test_parcels_are_seen_with_crop_area_and_place(lake):
    lake.add_parcels("ms", 2024, "", "v1", parcels())
    row = lake.sql("from parcels where pid = '0012'").to_pylist()[0]
    assert (row["crop_name"], row["crop_code"], row["epsg"], row["year"], row["aoi"]) == (
        "wheat",
        "1",
        32631,
        2024,
        "ms",
    )
    assert row["area_m2"] == pytest.approx(10004)
    assert shapely.from_wkb(row["geometry"]).area == 10000


def test_the_system_and_footprint_of_an_area_hold_all_its_parcels(lake):
    assert lake.epsg("ms") is None
    with pytest.raises(NotFoundError, match="no parcels of ms"):
        lake.footprint("ms")
    lake.add_parcels("ms", 2024, "", "v1", parcels())
    assert lake.epsg("MS") == 32631
    footprint = lake.footprint("MS")
    corners = [degrees(500_000 + x, 4_800_000 + y) for x in (0, 320) for y in (0, 100)]
    assert all(footprint.contains(shapely.Point(corner)) for corner in corners)
    assert footprint.bounds[2] - footprint.bounds[0] < 2 * (corners[-1][0] - corners[0][0])


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(pid=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=30))
def test_any_pid_comes_back_as_it_was_written(tmp_path_factory, pid):
    lake = Lake(str(tmp_path_factory.mktemp("pid")))
    lake.add_parcels("ms", 2024, "", "v1", parcels((pid,), [("rye", "2")]))
    write(lake, signatures(signature(pid)), parcel_set(), "A")
    key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": pid}
    assert lake.query("parcels.by_pid", **key)["pid"].to_pylist() == [pid]
    assert lake.query("time_series.s2", **key, bands=["B04"]).num_rows == 1
    assert column(lake, "select pid from s2") == [pid]


# -- signatures ------------------------------------------------------------------------------------------------------


def test_signatures_of_a_scene_are_replaced_never_doubled(lake):
    def written(*pids, red=400):
        write(lake, signatures(*(signature(pid, red=red) for pid in pids)), parcel_set(), "A")
        return lake.sql("select pid, B04_mean as red from s2 order by pid").to_pydict()

    assert written("0012", "12") == {"pid": ["0012", "12"], "red": [400, 400]}
    assert written("0012", "12", red=500) == {"pid": ["0012", "12"], "red": [500, 500]}
    assert written("12") == {"pid": ["12"], "red": [400]}
    assert written() == {"pid": [], "red": []}
    assert written("0012") == {"pid": ["0012"], "red": [400]}


def test_no_rows_for_a_scene_that_has_none_is_no_commit(lake):
    lake.prepare("s2")
    before = lake.snapshot()
    lake.write_signatures("s2", signatures(), 7)
    assert lake.snapshot() == before


def test_a_scene_is_replaced_in_its_own_area_year_and_kind_only(lake):
    sets = [parcel_set("ms", 2024), parcel_set("ms", 2023), parcel_set("ms", 2024, "m"), parcel_set("nl", 2024)]
    for kind in sets:
        row = signature("12", aoi=kind.aoi, year=kind.year, ptype=kind.ptype)
        write(lake, signatures(row), kind, "A")
    write(lake, signatures(), sets[0], "A")
    assert lake.sql("select aoi, year, ptype from s2 order by all").to_pydict() == {
        "aoi": ["ms", "ms", "nl"],
        "year": [2023, 2024, 2024],
        "ptype": ["", "m", ""],
    }


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from factories import parcel_set, scenes, signature, signatures, write
from cbm_lake.lake import Lake
lake = Lake(sys.argv[2])
for name in sys.argv[3].split(","):
    lake.add_scenes(scenes(name))
    write(lake, signatures(signature("0012", name), signature("12", name)), parcel_set(), name)
"""


@pytest.mark.slow
def test_processes_that_write_the_same_and_other_scenes_at_once_lose_and_double_nothing(lake):
    here = str(Path(__file__).parents[1])
    shares = ("A,B,C", "C,D,A", "E,F,B")
    started = [subprocess.Popen([sys.executable, "-c", WRITER, here, lake.url, names]) for names in shares]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    assert lake.sql("select scene, pid from s2 order by all").to_pylist() == [
        {"scene": name, "pid": pid} for name in "ABCDEF" for pid in ("0012", "12")
    ]
    assert column(lake, "select id from scenes where status = 'extracted' order by id") == list("ABCDEF")
    assert lake.sql("from ledger").num_rows == 9


def test_a_lake_in_a_folder_named_from_here_and_with_a_blank_is_read_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fill(Lake("my lake/ä")).sql("from s2").num_rows == 6
    assert Lake(str(tmp_path / "my lake" / "ä")).query("scenes.status").num_rows == 1


def test_a_reader_sees_what_another_lake_object_wrote_since(lake):
    assert lake.sql("from s2").num_rows == 0
    fill(Lake(lake.url))
    assert lake.sql("from s2").num_rows == 6
    assert column(lake, "select count(*) from parcels") == [3]


# -- as of -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_table_is_seen_as_it_was_at_every_moment(lake):
    def state(as_of):
        then = open_lake(lake.url, as_of=as_of)
        counts = """
            select (select count(*) from scenes), (select count(*) from parcels), (select list(pid) from s2),
                (select count(*) from ledger)
        """
        return then.sql(counts).to_pylist()[0].values(), then.parcel_sets()

    steps = [
        lambda: lake.add_scenes(scenes("A", "B")),
        lambda: lake.add_parcels("ms", 2024, "", "v1", parcels()),
        lambda: write(lake, signatures(signature("0012"))),
        lambda: write(lake, signatures(signature("12"))),
        lambda: lake.add_parcels("ms", 2024, "", "v2", parcels(("7",), [("rye", "2")])),
        lambda: lake.add_scenes(scenes("C")),
    ]
    expected = [
        (0, 0, None, 0),
        (2, 0, None, 0),
        (2, 3, None, 0),
        (2, 3, ["0012"], 1),
        (2, 3, ["12"], 2),
        (2, 1, None, 2),
        (3, 1, None, 2),
    ]
    moments = [moment()]
    for step in steps:
        step()
        moments.append(moment())
    lake.compact()
    states = [state(then) for then in moments]
    assert [tuple(values) for values, _ in states] == expected
    assert [sets[0].version if sets else None for _, sets in states] == [None, None, *["v1"] * 3, "v2", "v2"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2024-06-30", "2024-06-30T00:00:00Z"),
        ("2024-06-30T12:00:00Z", "2024-06-30T12:00:00Z"),
        ("2024-06-30T14:00:00+02:00", "2024-06-30T12:00:00Z"),
        (datetime(2024, 6, 30, 12), "2024-06-30T12:00:00Z"),
    ],
)
def test_a_moment_without_zone_is_utc(lake, text, told):
    assert told in repr(open_lake(lake.url, as_of=text))


def test_the_lake_as_it_was_cannot_be_changed(lake):
    fill(lake)
    then = open_lake(lake.url, as_of=datetime.now(UTC))
    for change in (
        lambda: then.add_scenes(scenes("Z")),
        lambda: then.add_parcels("ms", 2025, "", "v1", parcels()),
        lambda: then.write_signatures("s2", signatures(signature("1")), 1),
        lambda: then.record(entry("Z")),
        lambda: then.prepare("s2"),
        then.compact,
        lambda: then.vacuum(1),
    ):
        with pytest.raises(InvalidInputError, match="is the lake as it was; open it without as_of to change it"):
            change()


def test_a_moment_may_be_a_day_but_not_a_number(lake):
    assert open_lake(lake.url, as_of=date(2024, 6, 30)).as_of == datetime(2024, 6, 30, tzinfo=UTC)
    with pytest.raises(InvalidInputError, match="as_of 0 is no date"):
        open_lake(lake.url, as_of=0)


def test_a_moment_that_is_no_date_is_refused(lake):
    with pytest.raises(InvalidInputError, match="as_of 'yesterday' is no date; write it as 2024-06-30"):
        open_lake(lake.url, as_of="yesterday")


def test_a_moment_before_the_lake_was_made_is_an_empty_lake(filled):
    then = open_lake(filled.url, as_of="2000-01-01")
    assert [then.sql(f"from {view}").num_rows for view in VIEWS] == [0] * len(VIEWS)


# -- SQL -------------------------------------------------------------------------------------------------------------


def test_a_parameter_is_a_value_whatever_is_in_it(filled):
    text = "12' or 1 = 1; drop view s2; --"
    assert column(filled, "select $x", x=text) == [text]
    assert filled.sql("from s2 where pid = $pid", pid=text).num_rows == 0
    with pytest.raises(NotFoundError, match="no parcel"):
        filled.query("parcels.by_pid", aoi="ms", year=2024, ptype="", pid=text)
    assert filled.sql("from s2").num_rows == 6


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("selec 1", "syntax error"),
        ("select nope from s2", "nope"),
        ("from nope", "nope"),
        ("select $x", "x"),
        ("select pid::integer from s2 where pid = 'a/b'", "Conversion"),
        ("", "one SELECT"),
        ("-- nothing", "one SELECT"),
        ("select 1; select 2", "one SELECT"),
        ("drop view s2", "one SELECT"),
        ("create table t as from s2", "one SELECT"),
        ("set threads = 1", "one SELECT"),
        ("copy s2 to 'stolen.csv'", "one SELECT"),
    ],
)
def test_what_is_not_a_right_select_is_refused_in_one_line(filled, statement, problem):
    with pytest.raises(InvalidInputError, match=problem) as caught:
        filled.sql(statement)
    assert "\n" not in str(caught.value)
    assert filled.sql("from s2").num_rows == 6


def test_describe_summarize_and_pivot_are_questions_too(filled):
    assert filled.sql("describe s2").num_rows > 80
    assert filled.sql("summarize select pid, B04_mean from s2").num_rows == 2
    assert filled.sql("pivot s2 on scene using any_value(B04_mean) group by pid").num_rows == 3


def test_threads_that_ask_at_once_get_their_own_answers(lake):
    pids = tuple(f"{number:04}" for number in range(40))
    lake.add_parcels("ms", 2024, "", "v1", parcels(pids, [("rye", "2")] * 40))
    rows = [signature(pid, red=100 + number) for number, pid in enumerate(pids)]
    write(lake, signatures(*rows), parcel_set(), "A")

    def ask(thread):
        wrong = []
        for turn in range(20):
            number = (7 * thread + turn) % 40
            key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": pids[number]}
            answer = (
                lake.query("time_series.s2", **key, bands=["B04"])["mean"].to_pylist()
                if turn % 2
                else column(lake, "select B04_mean from s2 where pid = $pid", pid=pids[number])
            )
            if answer != [100 + number]:
                wrong.append((pids[number], answer))
        return wrong

    with ThreadPoolExecutor(16) as pool:
        assert [wrong for wrong in pool.map(ask, range(16)) if wrong] == []


def test_a_connection_of_ones_own_goes_on_seeing_the_lake_as_it_was(filled):
    connection = filled.connect()
    write(filled, signatures(signature("99", "C")), parcel_set(), "C")
    assert connection.sql("select count(*) from s2").fetchall() == [(6,)]
    assert filled.sql("from s2").num_rows == 7


# -- files that are not as they should be ----------------------------------------------------------------------------


def signature_files(lake):
    return sorted(Path(lake.url).glob("signatures/s2/aoi=*/**/*.parquet"))


@pytest.mark.parametrize("size", [0, 100, 2000])
def test_a_corrupt_signature_file_is_named(filled, size):
    file = signature_files(filled)[0]
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(SourceError, match=file.name) as caught:
        Lake(filled.url).sql("select * from s2")
    assert "\n" not in str(caught.value)


def test_a_signature_file_that_has_gone_is_named(filled):
    file = signature_files(filled)[0]
    file.unlink()
    with pytest.raises(SourceError, match=file.name):
        Lake(filled.url).sql("select * from s2")


@pytest.mark.parametrize("place", [10, 200, -20, -200])
def test_a_file_with_wrong_bytes_in_it_is_no_fault_of_the_statement(filled, place):
    file = signature_files(filled)[0]
    content = bytearray(file.read_bytes())
    content[place : place + 60 if place > 0 else None] = b"\xff" * 60
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r"a Parquet file is damaged or missing|restore it from a copy") as caught:
        Lake(filled.url).sql("select * from s2")
    assert "\n" not in str(caught.value)


# -- compaction and look-ups -----------------------------------------------------------------------------------------

MANY = tuple(f"{number:04}" for number in range(1500))


@pytest.fixture(scope="module")
def compacted(tmp_path_factory):
    """A lake of 4 scenes x 1500 parcels: as it was written, and compacted into several files."""
    lake = Lake(str(tmp_path_factory.mktemp("compacted")))
    for number in range(4):
        rows = [signature(pid, "ABCD"[number], day(number), red=number + int(pid)) for pid in MANY]
        write(lake, signatures(*rows), parcel_set(), "ABCD"[number])
    written = moment()
    with pytest.MonkeyPatch.context() as patch:
        for name, rows in {"SLICE": 3500, "FILE": 2000, "GROUP": 400}.items():
            patch.setattr(compaction, name, rows)
        lake.compact()
    return Lake(lake.url, as_of=written), lake


def opened(lake, **parcel):
    """Files that a question of one parcel, or of all, opens, and the pids in each of them."""
    cursor = lake._cursor(parcel)
    narrowed = cursor.sql("select unnest(getvariable('files_s2')::varchar[])").fetchall()
    names = [name for (name,) in narrowed] or [file.path for file in lake._opened._files["signatures_s2"]]
    assert cursor.sql("from signatures_s2").shape[0] == sum(pq.read_metadata(name).num_rows for name in names)
    return {name: pq.read_table(name, columns=["pid"])["pid"].to_pylist() for name in names}


def test_answers_stay_equal_row_for_row_when_files_are_merged(compacted):
    before, after = compacted
    everything = "select * from s2 order by scene, pid"
    assert after.sql(everything).equals(before.sql(everything))
    assert before.sql(everything).num_rows == 6000


def test_merged_files_hold_pids_that_do_not_overlap(compacted):
    _, lake = compacted
    ranges = sorted((min(pids), max(pids)) for pids in opened(lake).values())
    assert len(ranges) == 4
    assert all(left[1] < right[0] for left, right in pairwise(ranges))


def test_no_parcel_lies_in_two_row_groups_and_its_rows_are_in_the_order_of_time(compacted):
    _, lake = compacted
    seen = []
    for name in opened(lake):
        with pq.ParquetFile(name) as file:
            groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
        assert all(group.num_rows <= 400 for group in groups)
        assert all(group.equals(group.sort_by([("pid", "ascending"), ("obstime", "ascending")])) for group in groups)
        seen += [pid for group in groups for pid in set(group["pid"].to_pylist())]
    assert sorted(seen) == list(MANY)


@pytest.mark.parametrize("pid", ["0000", "0749", "1499"])
def test_a_look_up_opens_one_file_and_reads_one_row_group(compacted, pid, tmp_path):
    _, lake = compacted
    folder = tmp_path / "lake"
    shutil.copytree(lake.url, folder)
    copy = Lake(str(folder))
    (needed,) = opened(copy, pid=pid, aoi="ms", year=2024)
    for name in signature_files(copy):
        if str(name) != needed:
            name.unlink()
    lake.caches.clear()
    before = lake.caches.row_groups.misses
    key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": pid, "bands": None}
    assert copy.query("time_series.s2", **key).equals(lake.query("time_series.s2", **key))
    assert copy.caches.row_groups.misses == lake.caches.row_groups.misses - before == 1


def test_compaction_says_how_many_files_it_merged(filled):
    assert len(signature_files(filled)) == 2
    assert filled.compact("s2") == 2
    assert filled.compact() == 0
    assert len(opened(filled)) == 1


def test_what_comes_after_compaction_is_found_beside_it_and_merged_the_next_time(filled):
    filled.compact()
    write(filled, signatures(signature("12", "C", day(2), red=7)), parcel_set(), "C")
    means = "select B04_mean from s2 where pid = '12' order by obstime"
    key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "12", "bands": ["B04"]}
    assert filled.query("time_series.s2", **key)["mean"].to_pylist() == column(filled, means) == [400, 400, 7]
    assert filled.compact() == 2
    assert filled.query("time_series.s2", **key)["mean"].to_pylist() == column(filled, means) == [400, 400, 7]


def test_attempts_are_counted_on_after_the_ledger_was_merged(filled):
    before = filled.sql("select * from ledger order by scene").to_pylist()
    filled.compact()
    files = filled._tables["ledger"].open().file_uris()
    assert len(files) == 1
    assert filled.sql("select * from ledger order by scene").to_pylist() == before
    filled.record(entry("A", "failed"))
    assert column(filled, "select attempt from extractions where scene = 'A'") == [2]
    assert column(filled, "select count(*) from s2") == [6]


@pytest.mark.slow
def test_readers_see_the_same_before_during_and_after_compaction(filled):
    expected = filled.sql("from s2 order by scene, pid")
    running, seen = threading.Event(), []

    def read():
        lake = Lake(filled.url)
        while not running.wait(0.001):
            seen.append(lake.sql("from s2 order by scene, pid").equals(expected))

    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        for number in range(3):
            write(filled, signatures(), parcel_set(), f"empty {number}")
            filled.compact()
        running.set()
        reading.result()
    assert seen
    assert all(seen)


def test_a_stopped_compaction_goes_on_where_it_was(lake, monkeypatch):
    for year in (2023, 2024):
        for name in "AB":
            row = signature("12", f"{name}{year}", datetime(year, 5, 1, tzinfo=UTC), year=year)
            write(lake, signatures(row), parcel_set(year=year), f"{name}{year}")
    with monkeypatch.context() as patch:
        cut = compaction.grouped
        patch.setattr(compaction, "grouped", lambda rows: cut(rows) if 2023 in rows["year"].to_pylist() else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            lake.compact("s2")
    assert column(lake, "select count(*) from s2") == [4]
    assert len(opened(lake)) == 3
    assert lake.compact("s2") == 2
    assert column(lake, "select scene from s2 order by 1") == ["A2023", "A2024", "B2023", "B2024"]


POLARISATIONS = st.sets(st.sampled_from(["VV", "VH"]))
SEEN = st.lists(
    st.tuples(st.sampled_from(["12", "7"]), st.integers(0, 3), st.sampled_from(["", "m"]), POLARISATIONS),
    unique_by=lambda row: row[:3],
)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seen=SEEN, bands=st.sampled_from([None, [], ["VH"], ["VV", "VH", "B04"]]), many=st.booleans())
def test_a_look_up_answers_as_sql_does(seen, bands, many, tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("series")))
    for number in {row[1] for row in seen}:
        for ptype in ("", "m"):
            found = sorted((row for row in seen if row[1:3] == (number, ptype)), key=lambda row: row[0])
            rows = [_radar(pid, number, ptype, held) for pid, _, _, held in found]
            write(lake, signatures(*rows, card="bs"), parcel_set(ptype=ptype), str(number), "bs")
    for kind in ("", "m"):
        key = {"aoi": "ms", "year": 2024, "ptype": kind, "pid": "12", "bands": bands}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lookup, "_FILES", 1 if many else 16)
            searched = lake.sql(queries.get("time_series.bs").sql, **key)
            assert looked_up(lake, "time_series.bs", key) == (searched if searched.num_rows else None)


def looked_up(lake, name, key):
    """The rows of a query of one parcel, None where there is no such parcel."""
    try:
        return lake.query(name, **key)
    except NotFoundError:
        return None


def _radar(pid, number, ptype, held):
    """A row of bs in which only some polarisations hold something."""
    row = signature(pid, str(number), day(number % 2), ptype=ptype)
    return {name: value for name, value in row.items() if name[:3] not in ("B04", "B08", "scl")} | {
        name: value for polarisation in held for name, value in band(polarisation, 0.5 + number).items()
    }


@pytest.mark.parametrize("reused", [True, False])
@pytest.mark.parametrize("merged", [True, False])
def test_a_look_up_leaves_out_what_counts_no_more(lake, reused, merged):
    declared = parcels()
    shapes = declared["geometry"].to_pylist()
    shapes[1] = outline(1, 50).wkb
    changed = declared.set_column(
        declared.schema.get_field_index("geometry"), declared.schema.field("geometry"), pa.array(shapes, pa.binary())
    )
    lake.add_parcels("ms", 2024, "", "v1", declared)
    write(lake, signatures(*(signature(pid, red=1) for pid in sorted(PIDS))), parcel_set(version="v1"), "A")
    lake.add_parcels("ms", 2024, "", "v2", changed)
    base = numbered("A", parcels="v1") if reused else None
    write(lake, signatures(signature("12", red=2)), parcel_set(version="v2"), "A", base=base)
    if merged:
        lake.compact()
    for pid, means in {"12": [2], "0012": [1] if reused else []}.items():
        key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": pid, "bands": ["B04"]}
        found = lake.query("time_series.s2", **key)
        assert found["mean"].to_pylist() == means
        assert found.equals(lake.sql(queries.get("time_series.s2").sql, **key))


def test_questions_of_a_whole_country(filled):
    key = {"aoi": "ms", "year": 2024, "ptype": ""}
    seen = filled.query("national.one_date", **key, date="2024-01-11", band="B08")
    assert seen["pid"].to_pylist() == sorted(PIDS)
    assert seen["mean"].to_pylist() == [1200] * 3
    assert filled.query("national.one_date", **key, date="2024-01-12", band="B08").num_rows == 0
    cloudy = signature("12", "C", day(1) + timedelta(hours=1), red=1200, scl={4: 20, 8: 1})
    write(filled, signatures(cloudy), parcel_set(), "C")
    weeks = filled.query("national.ndvi_by_crop_and_week", **key).to_pylist()
    assert weeks == [
        {"crop": "wheat", "week": date(2024, 1, 1), "parcels": 3, "ndvi": 0.5, "unknown": 0},
        {"crop": "wheat", "week": date(2024, 1, 8), "parcels": 3, "ndvi": 0.5, "unknown": 0},
    ]


@pytest.mark.parametrize("days", [-1, 0, 6, 7, 181, 365])
def test_weeks_are_counted_as_calendars_count_them(lake, days):
    moment = datetime(2024, 1, 1, 23, 59, tzinfo=UTC) + timedelta(days=days)
    lake.add_parcels("ms", 2024, "", "v1", parcels(("12",), [("wheat", "1")]))
    write(lake, signatures(signature("12", "A", moment)), parcel_set(), "A")
    (row,) = lake.query("national.ndvi_by_crop_and_week", aoi="ms", year=2024, ptype="").to_pylist()
    assert row["week"] == (moment - timedelta(days=moment.weekday())).date()


def test_vacuum_keeps_what_the_last_days_need_and_no_more(filled):
    before, expected = moment(), filled.sql("from s2 order by scene, pid")
    filled.compact()
    assert filled.vacuum(1) == 0
    assert Lake(filled.url, as_of=before).sql("from s2 order by scene, pid").equals(expected)
    assert filled.vacuum(0) >= 2
    assert len(signature_files(filled)) == 1
    assert Lake(filled.url).sql("from s2 order by scene, pid").equals(expected)
    with pytest.raises(SourceError):
        Lake(filled.url, as_of=before).sql("from s2")


def test_vacuum_of_less_than_no_days_is_refused(lake):
    with pytest.raises(InvalidInputError, match="days must be 0 or more, not -1"):
        lake.vacuum(-1)


def test_compaction_of_an_unknown_card_is_refused(lake):
    with pytest.raises(InvalidInputError, match="unknown card 'nope'"):
        lake.compact("nope")


@pytest.mark.parametrize("pid", ["0000", "0749", "1499"])
def test_a_look_up_opens_only_files_that_can_hold_the_parcel(compacted, pid):
    _, lake = compacted
    found = opened(lake, pid=pid, aoi="ms", year=2024)
    assert 0 < len(found) < len(opened(lake))
    assert all(min(pids) <= pid <= max(pids) for pids in found.values())
    assert sum(pids.count(pid) for pids in found.values()) == 4


@pytest.mark.parametrize("pid", ["0000", "0749", "1499", "nope", "", "~"])
def test_a_look_up_finds_the_same_as_a_search_of_all_files(compacted, pid):
    key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": pid, "bands": None}
    answers = [looked_up(lake, "time_series.s2", key) for lake in compacted]
    searches = [lake.sql(queries.get("time_series.s2").sql, **key) for lake in compacted]
    assert searches[0].num_rows == (8 if pid in MANY else 0)
    assert searches[0].equals(searches[1])
    assert answers == (searches if pid in MANY else [None, None])


@pytest.mark.parametrize("year", [2024, "2024"])
def test_a_year_as_text_is_the_same_year(compacted, year):
    _, lake = compacted
    assert lake.query("time_series.s2", aoi="ms", year=year, ptype="", pid="0749", bands=None).num_rows == 8


def test_a_parameter_called_pid_does_not_hide_other_parcels_from_sql(compacted):
    _, lake = compacted
    statement = "select count(*) from s2 where pid <> $pid"
    assert column(lake, statement, pid="0000") == [4 * 1499]


def test_a_look_up_after_another_sees_its_own_parcel(compacted):
    _, lake = compacted
    key = {"aoi": "ms", "year": 2024, "ptype": "", "bands": ["B04"]}
    for pid in ("0000", "1499", "0000"):
        assert lake.query("time_series.s2", **key, pid=pid)["mean"].to_pylist() == [int(pid) + n for n in range(4)]
    assert column(lake, "select count(distinct pid) from s2") == [1500]


def test_a_year_of_one_area_does_not_mix_with_another(lake):
    for year in (2023, 2024):
        moment = datetime(year, 5, 1, tzinfo=UTC)
        row = signature("12", str(year), moment, year=year, red=year)
        write(lake, signatures(row), parcel_set(year=year), str(year))
    for year in (2023, 2024):
        answer = lake.query("time_series.s2", aoi="ms", year=year, ptype="", pid="12", bands=["B04"])
        assert answer["mean"].to_pylist() == [year]
    assert column(lake, "select year from s2 order by year") == [2023, 2024]


# -- what views and macros mean --------------------------------------------------------------------------------------


def test_long_rows_say_the_same_as_wide_rows(lake):
    rows = [signature("12", "A", **band("B11", 2000, 25)), signature("0012", "A")]
    write(lake, signatures(*rows), parcel_set(), "A")
    long = lake.sql(
        "select pid, band, count, mean, std, min, max, p25, p50, p75 from s2_long order by pid, band"
    ).to_pylist()
    assert [(row["pid"], row["band"]) for row in long] == [
        ("0012", "B04"),
        ("0012", "B08"),
        ("12", "B04"),
        ("12", "B08"),
        ("12", "B11"),
    ]
    wide = {row["pid"]: row for row in rows}
    for row in long:
        pid, name = row.pop("pid"), row.pop("band")
        assert row == {key: wide[pid][f"{name}_{key}"] for key in row}


def test_a_parcel_is_observable_from_eight_pixels_on(lake):
    counts = {"a": (7, 7), "b": (8, 0), "c": (0, 8), "d": (None, 8), "e": (None, None)}
    rows = [signature(pid, B04_count=ten, B11_count=twenty, B08_count=None) for pid, (ten, twenty) in counts.items()]
    write(lake, signatures(*rows), parcel_set(), "A")
    seen = lake.sql("select pid, observable from s2 order by pid").to_pydict()
    assert seen == {"pid": list("abcde"), "observable": [False, True, True, True, False]}


@pytest.mark.parametrize(
    ("red", "nir", "value"),
    [(400, 1200, 0.5), (1718, 3338, 0.3204), (718, 2338, 0.5301), (0, 0, None), (None, 1, None)],
)
def test_ndvi_by_pencil(lake, red, nir, value):
    answer = column(lake, "select ndvi($red::float, $nir::float)", red=red, nir=nir)[0]
    assert answer == (None if value is None else pytest.approx(value, abs=5e-5))


@pytest.mark.parametrize(
    ("classes", "screened", "share"),
    [
        ({4: 30, 8: 10}, [3, 8, 9], 0.25),
        ({4: 30, 0: 70}, [8], 0.0),  # class 0 is no data and counts for nothing
        ({0: 70, 8: 5, 9: 5}, [8], 0.5),
        ({11: 4}, [11], 1.0),
        ({4: 3}, [], 0.0),
        ({0: 70}, [8], None),
    ],
)
def test_share_of_by_pencil(lake, classes, screened, share):
    write(lake, signatures(signature("12", scl={4: 0} | classes)), parcel_set(), "A")
    found = column(lake, "select share_of(scl, $classes::integer[]) from s2", classes=screened)[0]
    assert found in ([0.0, None] if not screened else [share])


def test_the_ndvi_of_a_parcel_by_time(filled):
    key = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "0012", "screen": [3, 8]}
    answer = filled.query("time_series.ndvi", **key).to_pylist()
    assert [(row["obstime"], row["ndvi"], row["cloud"], row["scene"]) for row in answer] == [
        (day(0), 0.5, 0.0, "A"),
        (day(1), 0.5, 0.0, "B"),
    ]


def test_times_are_utc_whatever_the_clock_of_the_machine(filled, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert column(filled, "select obstime::varchar from s2 where scene = 'A' limit 1") == ["2024-01-01 10:40:00+00"]
    assert filled.sql("select obstime from s2 where obstime < $t", t=day(0) + timedelta(hours=1)).num_rows == 3


def test_the_files_are_plain_parquet_for_every_tool(filled):
    row = pq.ParquetFile(signature_files(filled)[0]).schema_arrow
    assert row.field("pid").type == pa.string()
    assert row.field("B04_mean").type == pa.float32()
    assert duckdb.read_parquet(f"{filled.url}/scenes/*.parquet").shape[0] == 2
