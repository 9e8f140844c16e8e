"""Whenever the power goes, the lake opens, what was reported is there, and a command run again ends as it should.

Commands run on a disk (see `disks`) of which, at many moments, only that is looked at which was synced, or that and
some of the rest. Nothing here depends on a clock or on rights to mount a disk.
"""

import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import disks
import pytest

import cbm_lake as cbm
from cbm_lake import card2db, extract, parcels
from cbm_lake.demo import sample
from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake, check

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are looked up in /proc")

AREA = {"aoi": "demo", "year": 2024}
ROW = {
    "sample_id": "s",
    "pid": "1",
    "holding_id": None,
    "bucket_id": None,
    "verdict": "conforming",
    "note": "",
    "inspector": "x",
    "inspected": datetime(2024, 9, 1, tzinfo=UTC),
    "as_of": datetime(2024, 9, 1, tzinfo=UTC),
    "version": "x",
}
QUESTIONS = {
    "parcels": "select aoi, pid, area_m2 from parcels",
    "scenes": "select id from scenes",
    "extracted": "select scene, aoi from extractions where status = 'done'",
    "s2": "select scene, aoi, pid, B04_mean, B08_count from s2",
    "verdicts": "select pid, verdict from inspections",
    "left out": "select scene from left_out",
}


@dataclass(frozen=True)
class Command:
    """What somebody runs, and again after the power came back."""

    name: str
    run: object
    """Is given the lake."""


def commands(drawn):
    """A season in short; the sample is not on the disk in question."""

    def load(aoi, lake):
        parcels.load(str(drawn.parcels), aoi, 2024, pid="parcel_id", crop_name="crop_name", lake=lake)

    def take(first, last, lake):
        plan = extract.plan("s2", first, last, bands=("B04", "B08"), lake=lake, **AREA)
        if plan.jobs:
            extract.run(plan, workers=0)

    def put_back(lake):
        with suppress(NotFoundError):
            cbm.scenes.put_back("*", "it was no haze", lake=lake)

    def leave_out(lake):
        first = min(row["scene"] for row in lake.sql("select scene from extractions").to_pylist())
        cbm.scenes.leave_out(first, "haze", lake=lake)

    return [
        Command("parcels load", lambda lake: load("demo", lake)),
        Command("card2db", lambda lake: card2db.items(str(drawn.items["s2"]), card="s2", lake=lake)),
        Command("extract", lambda lake: take("2024-01-01", "2024-06-30", lake)),
        Command("exclude", leave_out),
        Command("extract the rest", lambda lake: take("2024-07-01", "2024-12-31", lake)),
        Command("inspect", lambda lake: lake.add_inspection(ROW)),
        Command("compact", lambda lake: lake.compact()),
        Command("include", put_back),
        Command("parcels load of another area", lambda lake: load("second", lake)),
        Command("vacuum", lambda lake: lake.vacuum(0)),
    ]


def answers(url):
    """What a lake says, each question's rows as a set."""
    lake = Lake(str(url))
    return {name: {tuple(row.values()) for row in lake.sql(text).to_pylist()} for name, text in QUESTIONS.items()}


@dataclass
class Season:
    """The commands as they ran on a disk of which every moment is known."""

    disk: disks.Disk
    commands: list
    done: list
    """What the lake said before the first command and after each."""
    rows: dict
    """Of each scene, the rows that it has when it counts."""


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    root = tmp_path_factory.mktemp("power")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(root / "workspace"))
        drawn = sample.write(root / "sample", dates=4, size=120)
        (root / "disk" / "lake").mkdir(parents=True)
        disk = disks.Disk(root / "disk")
        disk._sync(Path())
        todo, done, rows = commands(drawn), [answers(root / "disk" / "lake")], {}
        with disk.watched():
            for command in todo:
                command.run(Lake(str(root / "disk" / "lake")))
                disk.step += 1
                disk.cut()
                done.append(answers(root / "disk" / "lake"))
                rows |= {(row[0], row[1], row[2]): row for row in done[-1]["s2"]}
        yield Season(disk, todo, done, rows)


def restored(cut, kind, seed, folder):
    """The lake on what is left."""
    shutil.rmtree(folder, ignore_errors=True)
    return disks.write(cut.survivors(kind, seed), folder) / "lake"


def compare(season, cut, url):
    """What was reported is there, nothing is half there, and nothing is there that nobody wrote."""
    found = answers(url)
    before, after = season.done[cut.step], season.done[min(cut.step + 1, len(season.done) - 1)]
    for name in QUESTIONS:
        assert before[name] & after[name] <= found[name] <= before[name] | after[name], (cut.step, name)
    for scene, aoi in found["extracted"]:
        whole = {row for (one, where, _), row in season.rows.items() if (one, where) == (scene, aoi)}
        assert (scene,) in found["left out"] or {row for row in found["s2"] if row[:2] == (scene, aoi)} in (
            whole,
            set() if (scene,) in before["left out"] | after["left out"] else whole,
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["synced", "named", "some"])
def test_what_a_command_reported_is_there_after_the_power_went(season, tmp_path, kind):
    ends = [following for cut, following in pairwise(season.disk.cuts) if cut.step != following.step]
    assert len(ends) == len(season.commands)
    for number, cut in enumerate(ends):
        url = restored(cut, kind, number, tmp_path / "after")
        assert answers(url) == season.done[cut.step], season.commands[cut.step - 1].name
        findings = check.check(Lake(str(url)), deep=True).to_pylist()
        assert [row for row in findings if row["severity"] == "fault"] == [], season.commands[cut.step - 1].name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Object at .* is not recognized:UserWarning")  # of a cube that was being made
@pytest.mark.parametrize("most", [60, pytest.param(330, marks=pytest.mark.exhaustive)])
def test_whenever_the_power_goes_the_lake_opens_and_the_command_run_again_ends_as_it_should(
    season, most, tmp_path, capsys
):
    """Of all moments so many; the ends of commands come on top, above."""
    cuts = season.disk.cuts
    chosen = [cuts[number * len(cuts) // most] for number in range(most)]
    tried, again = 0, 0
    for number, cut in enumerate(chosen):
        url = restored(cut, ("synced", "named", "some")[number % 3], number, tmp_path / "after")
        compare(season, cut, url)
        tried += 1
        if number % 8 == 0 and cut.step < len(season.commands):
            season.commands[cut.step].run(Lake(str(url)))
            assert answers(url) == season.done[cut.step + 1], season.commands[cut.step].name
            again += 1
    with capsys.disabled():
        sys.stdout.write(f"\n{tried} cuts tried of {len(cuts)} moments, {again} commands run again\n")
    assert tried == most


def test_every_file_of_a_table_is_synced_once_and_before_the_entry_that_names_it(tmp_path, monkeypatch):
    from test_store import put, rows, table

    disk = disks.Disk(tmp_path)
    target = table(tmp_path)
    with disk.watched():
        for scene in "AB":
            put(target, rows(scene, "123"), scene)
        put(target, rows("A", "12", 2.0), "A")
    names = [path.name if path.is_file() else path.suffix for path in disk.synced]
    data = [path for path in disk.synced if path.suffix == ".parquet"]
    entries = [path for path in disk.synced if path.suffix == ".json"]
    assert (len(data), len(set(data)), len(entries), len(set(entries))) == (3, 3, 4, 4), names
    order = [path.suffix for path in disk.synced if path.suffix in (".parquet", ".json")]
    assert order == [".json", ".parquet", ".json", ".parquet", ".json", ".parquet", ".json"]
    for cut in disk.cuts[-1:]:
        after = disks.write(cut.survivors("synced"), tmp_path.parent / "after")
        assert len(table(after).open().to_pyarrow_table()) == 5


def test_the_disk_forgets_what_was_not_synced(tmp_path):
    """The instrument itself: a lake written without a sync would not stand the test."""
    from cbm_lake.files import durable

    disk = disks.Disk(tmp_path)
    with disk.watched():
        (tmp_path / "a").write_text("a")
        durable.sync([tmp_path / "a"])
        (tmp_path / "b").write_text("b")
        (tmp_path / "a").rename(tmp_path / "c")
        disk.cut()
    last = disk.cuts[-1]
    assert last.survivors("synced") == {Path("a"): b"a"}
    assert last.survivors("named") == {Path("b"): b"", Path("c"): b"a"}
