"""Changes of lights, markers and scenes: each once, with its cause, and all of them are the present state."""

import json
import logging
import mmap
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path

import nights
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import cbm_lake as cbm
from cbm_lake import markers, season
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, schemas
from cbm_lake.season import differences
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

pytestmark = pytest.mark.thorough


log = logging.getLogger(__name__)
HOW = {"peers": {"least": 3}, "clear": {"dates": 3}}
KEY = ("kind", "pid", "scenario", "marker", "number", "card", "scene")
WRITES = [(Table, name) for name in ("put", "append", "append_next")] + [(Store, "write_as"), (Store, "discard_old")]


def night(lake, run=None, **others):
    """What a night run does once scenes are there."""
    markers.find(**nights.AREA, parameters=HOW, only_new=True, lake=lake)
    return season.record(lake, lake.parcel_set("ms", 2024), parameters=HOW, run=run, **others)


def come(lake, number):
    """What has come by the night of that number: a scene, now and then a late one, a reprocessed one, a decision."""
    nights.extract(lake, number)
    if number % 4 == 3:
        nights.extract(lake, number - 2, 1)
    if number % 5 == 4:
        nights.toggle(lake, number - 1)
    if number % 6 == 5:
        nights.waves(lake, number)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder of a lake with parcels and six scenes, found and recorded."""
    lake = Lake(str(tmp_path_factory.mktemp("prepared") / "lake"))
    nights.declare(lake)
    for number in range(10, 16):
        nights.extract(lake, number)
    night(lake, "first")
    return lake.url


@pytest.fixture
def begun(prepared, tmp_path):
    """A lake like that."""
    return Lake(shutil.copytree(prepared, str(tmp_path / "lake")))


def plain(rows):
    """Changes without what differs between two lakes."""
    return [{name: row[name] for name in (*KEY, "before", "after", "cause", "day")} for row in rows.to_pylist()]


def check_sums(lake):
    """Changes follow from each other without a gap, and their sum is what the lake says."""
    state, parcels = defaultdict(lambda: None), lake.parcel_set("ms", 2024)
    seen = set()
    for row in season.changes(details=True, lake=lake).to_pylist():
        key = tuple(row[name] for name in KEY)
        assert row["before"] == state[key], row
        assert (key, row["sequence"]) not in seen
        seen.add((key, row["sequence"]))
        state[key] = row["after"]
    day = season.changes(details=True, lake=lake)["day"].to_pylist()[-1]
    assert differences.of_markers(lake, parcels).num_rows == 0
    assert differences.of_scenes(lake, parcels).num_rows == 0
    lights = markers.traffic_light(**nights.AREA, parameters=HOW, day=day, lake=lake)
    names = [name for name in lights.column_names if name != "crop_name"]
    held = lake.sql("from lights order by pid, scenario").select(names)
    assert (
        held.to_pylist() == lights.select(names).sort_by([("pid", "ascending"), ("scenario", "ascending")]).to_pylist()
    )
    return state


def test_the_first_night_records_everything_and_the_same_night_again_records_nothing(begun):
    rows = season.changes(details=True, lake=begun)
    assert set(rows["kind"].to_pylist()) == {"light", "marker", "scene"}
    assert set(rows["before"].to_pylist()) == {None}
    check_sums(begun)
    assert night(begun).num_rows == 0
    assert season.changes(details=True, lake=begun).num_rows == rows.num_rows


def test_a_new_scene_is_the_cause_of_what_changes_on_the_parcels_that_it_saw(begun):
    nights.extract(begun, 16, places=[2, 6])
    rows = night(begun, "second").to_pylist()
    assert [row["after"] for row in rows if row["kind"] == "scene"] == ["extracted"]
    mine = [row for row in rows if row["pid"] in ("p2", "p6")]
    assert mine
    assert {row["cause"] for row in mine} == {"new scene s2 S16E0"}
    assert {tuple(row["scenes"]) for row in mine} == {("S16E0",)}
    assert all("S16E0" not in row["cause"] for row in rows if row["pid"] not in ("p2", "p6", None))
    check_sums(begun)


def test_a_scene_that_is_left_out_and_put_back_changes_its_status_twice(begun):
    nights.toggle(begun, 12)
    first = night(begun).to_pylist()
    nights.toggle(begun, 12)
    second = night(begun).to_pylist()
    status = [(row["before"], row["after"], row["cause"]) for row in (*first, *second) if row["kind"] == "scene"]
    assert status == [
        ("extracted", "left out", "left out: it was wrong (x)"),
        ("left out", "extracted", "put back: it was right (x)"),
    ]
    check_sums(begun)


def test_a_reprocessed_scene_supersedes_the_former_one(begun):
    nights.extract(begun, 12, 1)
    status = {row["scene"]: row["after"] for row in night(begun).to_pylist() if row["kind"] == "scene"}
    assert status == {"S12E0": "superseded", "S12E1": "extracted"}


def test_each_night_that_records_something_is_counted(begun):
    before = begun.appended()["changed"]
    nights.extract(begun, 16)
    night(begun)
    night(begun)
    assert begun.appended()["changed"] == before + 1


def states(*rows):
    """States of mowings of one parcel: number, first, main and last day."""
    names = ("number", "date_start", "date_main", "date_end")
    known = [dict(zip(names, row, strict=True)) | {"pid": "a", "marker": "mowing", "marker_type": "s2"} for row in rows]
    return differences.completed(pa.Table.from_pylist(known, schema=schemas.CHANGES))


def test_an_event_with_other_dates_is_the_same_event():
    may, june, august = ([date(2024, month, day) for day in (1, 3, 6)] for month in (5, 6, 8))
    moved = [date(2024, 5, 2), *may[1:]]
    now = states((None, *moved), (None, *june), (None, *august))
    was, used = states((4, *may), (5, *august)), pa.table({"pid": ["a"], "marker": ["mowing"], "number": [6]})
    rows = differences.compared("markers", {"now": now, "was": was, "used": used}, apart=15).to_pylist()
    assert [(row["number"], row["before"], row["after"]) for row in rows] == [
        (4, "s2 2024-05-01 to 2024-05-06 about 2024-05-03", "s2 2024-05-02 to 2024-05-06 about 2024-05-03"),
        (7, None, "s2 2024-06-01 to 2024-06-06 about 2024-06-03"),
    ]
    gone = differences.compared("markers", {"now": states(), "was": was, "used": used}, apart=15).to_pylist()
    assert [(row["number"], row["after"]) for row in gone] == [(4, None), (5, None)]


def test_since_asks_for_a_day_the_last_night_or_a_run(begun):
    nights.extract(begun, 16)
    second = night(begun, "second")
    everything = season.changes(details=True, lake=begun)
    assert season.changes(since="last", details=True, lake=begun).equals(second)
    assert season.changes(since="second", details=True, lake=begun).equals(second)
    judged = nights.obstime(16).date()
    assert season.changes(since=judged, by="judged", details=True, lake=begun).equals(second)
    assert season.changes(since=str(judged), by="judged", details=True, lake=begun).equals(second)
    today = everything["recorded"].to_pylist()[-1].date()
    assert season.changes(since=today, details=True, lake=begun).num_rows >= second.num_rows
    assert season.changes(since=today + timedelta(days=1), details=True, lake=begun).num_rows == 0
    assert season.changes(since="first", details=True, lake=begun).equals(everything)
    assert season.changes("ms", 2024, kind="light", pids=["p1"], lake=begun)["pid"].unique().to_pylist() == ["p1"]
    with pytest.raises(NotFoundError, match="since 'never' is no day"):
        season.changes(since="never", lake=begun)
    with pytest.raises(InvalidInputError, match="light, marker or scene"):
        season.changes(kind="parcel", lake=begun)
    with pytest.raises(NotFoundError, match="no parcels of ms 2023"):
        season.changes("ms", 2023, lake=begun)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"scenario": "grasland is mown"}, "no scenario 'grasland is mown'; did you mean 'grassland is mown'"),
        ({"scenario": "nope"}, "no scenario 'nope'; there are: "),
        ({"pids": ["p1", "p99"]}, "no parcel 'p99' is declared, or was; there are: p0, p1"),
        ({"aoi": "mz"}, "no parcels of area 'mz'; there are: ms"),
        ({"year": 2023}, "no parcels of year '2023'; did you mean '2024'"),
        ({"ptype": "m"}, "no parcels of parcel set 'm'"),
        ({"since": "secnd"}, "no night run by which changes were recorded; there are: first"),
    ],
)
def test_what_is_unknown_is_refused_by_name(begun, asked, reason):
    with pytest.raises(NotFoundError, match=reason):
        season.changes(lake=begun, **asked)


def test_a_parcel_that_is_declared_no_more_can_still_be_asked_for(begun):
    rows = begun.read_parcels(begun.parcel_set("ms", 2024)).drop_columns(["ptype", "version"])
    begun.add_parcels("ms", 2024, "", "v2", rows.slice(1))
    assert season.changes("ms", 2024, pids=["p0"], lake=begun).num_rows


def noted(lake, run, status):
    """A row of the journal: a run has judged the set."""
    times = dict.fromkeys(("started", "finished"), nights.START)
    row = {**nights.AREA, "ptype": "", "run": run, "number": 1, "step": "lights", "status": status, **times}
    row |= {"seconds": 1.0, "rows": 0, "scenes": 0, "who": "x", "file": "season.yaml", "version": "x"}
    lake.add_runs(pa.Table.from_pylist([row], schema=schemas.RUNS))


def test_after_a_night_without_news_the_last_night_has_no_changes(begun):
    def last():
        return season.changes(since="last", details=True, lake=begun)

    assert last().num_rows
    noted(begun, "second", "unchanged")
    assert last().num_rows == 0
    nights.extract(begun, 16)
    by_hand = night(begun)
    assert last().equals(by_hand)
    noted(begun, "third", "failed")
    assert last().equals(by_hand)
    nights.extract(begun, 17)
    fourth = night(begun, "fourth")
    noted(begun, "fourth", "done")
    assert last().equals(fourth)
    noted(begun, "fifth", "unchanged")
    assert last().num_rows == 0


def test_since_a_run_that_one_set_had_no_part_in_asks_for_its_later_changes_too(begun):
    rows = begun.read_parcels(begun.parcel_set("ms", 2024)).drop_columns(["ptype", "version"])
    begun.add_parcels("be", 2024, "", "v1", rows)
    nights.extract(begun, 16)
    night(begun, "second")
    declared = begun.parcel_set("be", 2024)
    day = nights.obstime(16).date()
    markers.find("be", 2024, parameters=HOW, lake=begun)
    assert season.record(begun, declared, day, parameters=HOW, run="third").num_rows
    for run, sets in (("second", {"ms", "be"}), ("third", {"be"})):
        assert set(season.changes(since=run, details=True, lake=begun)["aoi"].to_pylist()) == sets


def test_a_day_before_the_last_night_is_refused(begun):
    with pytest.raises(InvalidInputError, match="day 2024-03-01 lies before"):
        season.record(begun, begun.parcel_set("ms", 2024), date(2024, 3, 1), parameters=HOW)


def test_a_parcel_that_is_declared_no_more_loses_its_lights_and_markers(begun):
    rows = begun.read_parcels(begun.parcel_set("ms", 2024)).drop_columns(["ptype", "version"])
    begun.add_parcels("ms", 2024, "", "v2", rows.slice(1))
    gone = [row for row in night(begun).to_pylist() if row["pid"] == "p0"]
    assert {row["kind"] for row in gone} == {"light", "marker"}
    assert {row["after"] for row in gone} == {None}
    assert {row["cause"] for row in gone} == {"parcel declared no more"}
    check_sums(begun)


def test_the_command_line_shows_and_records_changes(begun, monkeypatch):
    nights.extract(begun, 16)
    markers.find(**nights.AREA, only_new=True, lake=begun)
    words = ["--lake", begun.url, "changes", "--record", "--aoi", "ms", "--year", "2024", "--since", "last"]
    monkeypatch.delenv("CBM_LAKE_LAKE__URL", raising=False)
    done = CliRunner().invoke(app, [*words, "--format", "json"], env={"CBM_LAKE_LAKE__URL": begun.url})
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows
    assert {row["day"] for row in rows} == {str(nights.obstime(16).date())}
    assert cbm.season.changes(since="last", lake=begun).num_rows == len(rows)


# -- kills -------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is no more."""


def stopped(lake, step, run):
    """Whether a night was broken off at a step: every write of the store is one before it and one after."""
    left = step

    def tick():
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in WRITES:
            patch.setattr(owner, name, stepped(getattr(owner, name), tick))
        try:
            night(lake, run)
        except Killed:
            return True
    return False


def expected(lake, folder, run):
    """What a night would record that nobody kills, tried on a copy of the lake."""
    copy = Lake(shutil.copytree(lake.url, str(folder)))
    recorded = plain(night(copy, run))
    shutil.rmtree(folder)
    return recorded


@pytest.mark.slow
def test_whenever_a_night_is_killed_nothing_is_lost_and_nothing_is_recorded_twice(begun, tmp_path):
    rng, kills = np.random.default_rng(1), 0
    for number in range(16, 21):
        come(begun, number)
        recorded = expected(begun, tmp_path / "copy", str(number)) if number % 2 else None
        before = season.changes(details=True, lake=begun).num_rows
        for step in (rng.integers(0, 9), rng.integers(0, 3)):
            kills += stopped(begun, step, str(number))
        night(begun, str(number))
        if recorded is not None:
            assert plain(season.changes(details=True, lake=begun).slice(before)) == recorded
    check_sums(begun)
    assert kills >= 8


SERVER = """
import sys
sys.path[:0] = sys.argv[1:3]
import test_changes
test_changes.serve()
"""


def serve():
    """Fork for every line of standard input (folder, number, seconds, step): the child runs a night, or is killed.

    It is killed when the seconds are over, or at a step: every write of the store is one before it and one after. What
    is answered is how the child ended, and how many steps it had begun.
    """
    from cbm_lake.markers import finding  # imported before any child, which then dies at its work
    from cbm_lake.season import recording

    assert finding
    assert recording
    steps = mmap.mmap(-1, 1)
    last = 0

    def tick():
        if steps[0] == last:
            os.kill(os.getpid(), signal.SIGKILL)
        steps[0] += 1

    for line in sys.stdin:
        url, number, seconds, last = json.loads(line)
        steps[0] = 0
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            if seconds:
                signal.setitimer(signal.ITIMER_REAL, seconds)
            for owner, name in WRITES:
                setattr(owner, name, stepped(getattr(owner, name), tick))
            night(Lake(url), str(number))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), steps[0], flush=True)  # noqa: T201


def stepped(method, tick):
    """The method with a step before it and one after."""

    def work(*args, **kwargs):
        tick()
        answer = method(*args, **kwargs)
        tick()
        return answer

    return work


@pytest.fixture
def children():
    here = Path(__file__).parent
    command = [sys.executable, "-c", SERVER, str(here), str(here.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:

        def run(*what):
            server.stdin.write(json.dumps(what) + "\n")
            server.stdin.flush()
            return map(int, server.stdout.readline().split())

        yield run
        server.stdin.close()


NEVER = -1
KILLS, AT_STEPS, ON_TIME = 200, 8, 2
"""How often nights are killed, and how often each of them at steps and by the clock."""


def attempts(rng, longest):
    """Seconds and step of each attempt of a night; early steps often, and first, as a late one may end the night."""
    by_clock = [(float(rng.uniform(0.02, longest)), NEVER) for _ in range(ON_TIME)]
    return [*by_clock, *((0, int(step)) for step in sorted(rng.geometric(0.35, AT_STEPS) - 1))]


@pytest.mark.parametrize(
    "count", [pytest.param(25, marks=pytest.mark.slow), pytest.param(73, marks=pytest.mark.exhaustive)]
)
def test_over_nights_killed_two_hundred_times_nothing_is_lost_or_doubled(tmp_path, children, count):
    rng, struck, longest = np.random.default_rng(2), Counter(), 1.0
    lake = Lake(str(tmp_path / "lake"))
    nights.declare(lake)
    for number in range(count):
        come(lake, number)
        recorded = expected(lake, tmp_path / "copy", str(number))
        before = season.changes(details=True, lake=lake).num_rows
        for seconds, step in attempts(rng, longest):
            ended, begun = children(lake.url, number, seconds, step)
            if ended == 0:
                longest *= 0.8 if seconds else 1
                break
            assert ended in (-signal.SIGALRM, -signal.SIGKILL)
            struck[begun] += 1
            longest *= 1.05 if seconds else 1
        ended, _ = children(lake.url, number, 0, NEVER)
        assert ended == 0
        assert plain(season.changes(details=True, lake=lake).slice(before)) == recorded
        log.info("night %d: %d kills so far, by step %s", number, struck.total(), sorted(struck.items()))
    check_sums(lake)
    assert struck.total() >= KILLS
    assert set(range(6)) <= set(struck)
