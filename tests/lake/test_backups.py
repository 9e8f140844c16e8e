"""A copy of a lake opens at any moment, and equals the lake as it was at some moment; restored, it goes on."""

import json
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import factories
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from s3_server import BUCKET, object_store
from test_reliability import SCENES, answered, catalogue, declare, extract, plan
from typer.testing import CliRunner

import cbm_lake as cbm
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake, backups
from cbm_lake.lake.check import check

pytestmark = pytest.mark.thorough


def faults(lake):
    return check(lake, deep=True).filter(pc.field("severity") == "fault").to_pylist()


def contents(folder):
    """Every file with its bytes and its moment, without drafts."""
    files = (path for path in Path(folder).rglob("*") if path.is_file() and path.name != "_last_entry")
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def as_it_was(url, moments):
    return [answered(Lake(str(url), moment)) for moment in moments]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A lake with a history of everything that moves rows, and what it answered after each step, and when."""
    lake = Lake(str(tmp_path_factory.mktemp("made") / "lake"))
    states = []

    def do(act, *given):
        act(*given)
        states.append((datetime.now(UTC), answered(lake)))
        time.sleep(0.003)  # the log counts milliseconds

    do(declare, lake, "", "v1121")
    for name in ("X02", "Y05"):
        do(catalogue, lake, name)
    for job in plan(lake, "", 0):
        do(extract, job)
    do(lake.compact)
    do(declare, lake, "", "v1221")  # rows go aside
    for job in plan(lake, "", 0):
        do(extract, job)
    do(declare, lake, "", "v1121")  # and come back
    do(lake.compact)
    do(catalogue, lake, "X05")  # of which X02 is an older processing
    for job in plan(lake, "", 1):
        do(extract, job)
    do(lake.settle)
    return lake.url, states


@pytest.fixture
def history(made, lake):
    """The same, as the lake of the workspace."""
    shutil.copytree(made[0], lake.url)
    return made[1]


@pytest.mark.slow
def test_a_copy_answers_as_the_lake_does_now_and_at_every_earlier_moment(lake, history, tmp_path):
    done = cbm.backup(tmp_path / "copy")
    moments = [moment for moment, _ in history]
    assert done.files > 40
    assert done.findings.num_rows == 0
    assert contents(tmp_path / "copy") == contents(lake.url)
    assert answered(Lake(str(tmp_path / "copy"))) == answered(lake)
    assert as_it_was(tmp_path / "copy", moments) == as_it_was(lake.url, moments) == [state for _, state in history]


def test_a_second_backup_copies_only_what_is_new(lake, history, tmp_path):
    cbm.backup(tmp_path / "copy")
    assert (cbm.backup(tmp_path / "copy").files, cbm.backup(tmp_path / "copy").bytes) == (0, 0)
    before = contents(lake.url)
    factories.write(lake, factories.signatures(factories.signature("12", "Z")), scene="Z")
    new = [name for name, held in contents(lake.url).items() if before.get(name) != held]
    assert cbm.backup(tmp_path / "copy").files == len(new) == 4  # two files and two entries
    assert contents(tmp_path / "copy") == contents(lake.url)


@pytest.mark.slow
def test_at_every_step_of_a_backup_the_copy_is_the_lake_as_it_was_at_some_moment(lake, history, tmp_path, monkeypatch):
    copy, states, found = tmp_path / "copy", [state for _, state in history], []
    replace = Path.replace
    nothing = answered(Lake(str(tmp_path / "nothing")))

    def looked(draft, target):
        moved = replace(draft, target)
        if copy in target.parents and "_delta_log" in str(target):
            found.append(answered(Lake(str(copy))))
        return moved

    monkeypatch.setattr(Path, "replace", looked)
    cbm.backup(copy)
    monkeypatch.undo()
    seen = [states.index(state) if state in states else -1 for state in found if state != nothing]
    assert len(found) > 30
    assert -1 not in seen, "the copy was what the lake never was"
    assert len(set(seen)) > 4  # it went through its history
    assert found[-1] == states[-1]


@pytest.mark.parametrize("number", [1, 45])
def test_a_backup_that_breaks_off_leaves_a_copy_that_opens_and_the_next_one_completes_it(
    lake, history, tmp_path, number
):
    copy = tmp_path / "copy"

    def stop(done, _):
        if done > number:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cbm.backup(copy, progress=stop)
    if any(copy.rglob("*.json")):
        assert faults(Lake(str(copy))) == []
    assert cbm.backup(copy, deep=True).findings.num_rows == 0
    assert contents(copy) == contents(lake.url)


def test_a_vacuum_during_a_backup_makes_it_begin_anew(lake, history, tmp_path, monkeypatch):
    copied, happened, once = backups._Copying._copy, [], threading.Lock()

    def meanwhile(self, source, file):
        with once:
            if not happened:
                lake.compact()
                happened.append(lake.vacuum(0))
        return copied(self, source, file)

    monkeypatch.setattr(backups._Copying, "_copy", meanwhile)
    assert cbm.backup(tmp_path / "copy", deep=True).faults == 0
    assert happened[0] > 0
    assert answered(Lake(str(tmp_path / "copy"))) == answered(lake)


def test_what_is_written_during_a_backup_comes_with_the_next_one(lake, history, tmp_path, monkeypatch):
    copy, before, copied, happened = tmp_path / "copy", answered(lake), backups._Copying._copy, []
    once = threading.Lock()

    def meanwhile(self, source, file):
        with once:
            if happened:
                return copied(self, source, file)
            happened.append(True)
            declare(lake, "", "v2212")
            [extract(job) for job in plan(lake, "", 1)]
            lake.compact()
        return copied(self, source, file)

    monkeypatch.setattr(backups._Copying, "_copy", meanwhile)
    assert cbm.backup(copy, deep=True).faults == 0
    assert answered(Lake(str(copy))) == before != answered(lake)
    assert cbm.backup(copy, deep=True).findings.num_rows == 0
    assert answered(Lake(str(copy))) == answered(lake)


@pytest.mark.slow
def test_a_restored_lake_has_every_number_goes_on_and_is_backed_up_into_the_same_copy(lake, history, tmp_path):
    cbm.backup(tmp_path / "copy")
    expected, moments = answered(lake), [moment for moment, _ in history]
    shutil.rmtree(lake.url)
    shutil.copytree(tmp_path / "copy", lake.url)
    restored = Lake(lake.url)
    assert faults(restored) == []
    assert answered(restored) == expected
    assert as_it_was(lake.url, moments) == [state for _, state in history]
    declare(restored, "", "v2212")
    [extract(job) for job in plan(restored, "", 1)]
    assert answered(restored) != expected
    assert cbm.backup(tmp_path / "copy", lake=restored).findings.num_rows == 0
    assert answered(Lake(str(tmp_path / "copy"))) == answered(restored)


def test_pruning_takes_from_the_copy_what_vacuum_took_from_the_lake(lake, history, tmp_path):
    copy = tmp_path / "copy"
    cbm.backup(copy)
    lake.compact()
    assert lake.vacuum(0)
    cbm.backup(copy)
    kept = set(contents(copy)) - set(contents(lake.url))
    assert kept
    assert as_it_was(copy, [history[4][0]]) == [history[4][1]]  # the copy still has the lake of that day
    assert cbm.backup(copy, prune=True, deep=True).faults == 0
    assert set(contents(copy)) == set(contents(lake.url))
    assert answered(Lake(str(copy))) == answered(lake)


def test_a_damaged_file_of_the_copy_is_told_and_a_shorter_one_is_copied_anew(lake, history, tmp_path):
    copy = tmp_path / "copy"
    cbm.backup(copy)
    files = sorted((copy / "signatures").rglob("part-*.parquet")) or sorted((copy / "signatures").rglob("*.parquet"))
    files[0].write_bytes(files[0].read_bytes()[:100])
    assert cbm.backup(copy, deep=True).findings.num_rows == 0
    assert contents(copy) == contents(lake.url)


def test_a_file_that_the_lake_itself_lacks_is_named_and_the_copy_stays(lake, history, tmp_path):
    copy = tmp_path / "copy"
    cbm.backup(copy)
    before = answered(lake)
    factories.write(lake, factories.signatures(factories.signature("12", "Z")), scene="Z")
    table = DeltaTable(f"{lake.url}/signatures/s2")
    lost = max((Path(uri) for uri in table.file_uris()), key=lambda path: path.stat().st_mtime_ns)
    lost.unlink()
    with pytest.raises(SourceError, match=rf"signatures/s2/.*{lost.name}.*cbm-lake check"):
        cbm.backup(copy)
    assert answered(Lake(str(copy))) == before
    assert faults(Lake(str(copy))) == []


def test_who_has_a_lock_is_no_part_of_a_copy(lake, history, tmp_path):
    with lake.alone("night run"):
        cbm.backup(tmp_path / "copy", lake=lake)
    assert not (tmp_path / "copy" / "locks").exists()
    assert (tmp_path / "copy" / "extractions").is_dir()


def test_a_destination_that_is_no_copy_is_refused_and_stays(lake, history, tmp_path):
    other = factories.fill(Lake(str(tmp_path / "other")))
    before = contents(other.url)
    with pytest.raises(InvalidInputError, match="is no copy of"):
        cbm.backup(other.url)
    assert contents(other.url) == before
    cbm.backup(tmp_path / "copy")
    factories.write(Lake(str(tmp_path / "copy")), factories.signatures(factories.signature("12", "Z")), scene="Z")
    with pytest.raises(InvalidInputError, match="was written to"):
        cbm.backup(tmp_path / "copy")


@pytest.mark.parametrize("place", ["", "/copy", "/signatures/s2", "/.."])
def test_a_copy_in_the_lake_or_round_it_is_refused(lake, history, place):
    with pytest.raises(InvalidInputError, match="cannot be in"):
        cbm.backup(str(Path(lake.url + place).resolve()))


def test_no_lake_and_the_lake_as_it_was_are_refused(lake, tmp_path):
    with pytest.raises(NotFoundError, match="no lake"):
        cbm.backup(tmp_path / "copy")
    factories.fill(lake)
    with pytest.raises(InvalidInputError, match="as it was"):
        cbm.backup(tmp_path / "copy", lake=Lake(lake.url, datetime.now(UTC)))


def test_two_backups_into_one_copy_at_once_are_refused_by_name(lake, history, tmp_path):
    with backups._alone(backups.Store(str(tmp_path / "copy"))), pytest.raises(SourceError, match="going on"):
        cbm.backup(tmp_path / "copy")


def test_the_command_copies_checks_and_says_so(lake, history, tmp_path):
    done = CliRunner().invoke(app, ["backup", str(tmp_path / "copy"), "--deep"])
    assert done.exit_code == 0, done.output
    assert "files of" in done.output
    assert "the copy is whole" in done.output
    lost = next(path for path in (tmp_path / "copy" / "extractions").glob("*.parquet"))
    lost.unlink()
    lost.mkdir()  # where no file can be put
    done = CliRunner().invoke(app, ["backup", str(tmp_path / "copy")])
    assert done.exit_code == 1
    assert "cannot write" in str(done.exception)


def test_the_documented_way_by_two_passes_gives_a_lake_that_opens(lake, history, tmp_path):
    """What rsync does: it lists the logs, others write, and it copies what it had listed; then all else."""
    copy = tmp_path / "copy"
    listed = [path for path in Path(lake.url).rglob("_delta_log/*") if not path.name.startswith("_last_")]
    half = len(listed) // 2
    for number, path in enumerate(sorted(listed)):
        if number == half:
            declare(lake, "", "v2212")
            [extract(job) for job in plan(lake, "", 1)]
            lake.compact()
        target = copy / path.relative_to(lake.url)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    shutil.copytree(lake.url, copy, ignore=shutil.ignore_patterns("_delta_log"), dirs_exist_ok=True)
    answered(Lake(str(copy)))
    assert faults(Lake(str(copy))) == []


@pytest.mark.slow
def test_a_lake_is_copied_into_a_bucket_and_back(lake, history, tmp_path, monkeypatch):
    with object_store() as store:
        for name, value in store.settings("s3").items():
            monkeypatch.setenv(name, value)
        url = f"s3://{BUCKET}/copy"
        assert cbm.backup(url, deep=True).faults == 0
        assert answered(Lake(url)) == answered(lake)
        assert cbm.backup(url).files == 0
        cbm.backup(tmp_path / "back", lake=Lake(url))
    assert {name: held for name, (held, _) in contents(tmp_path / "back").items()} == {
        name: held for name, (held, _) in contents(lake.url).items()
    }
    assert answered(Lake(str(tmp_path / "back"))) == answered(lake)


WRITER = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_reliability import Lake, SCENES, catalogue, declare, extract, plan
lake, kind, stop = Lake(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
turn = 0
while not stop.exists():
    turn += 1
    if kind == "extract":
        for job in plan(lake, "", turn % 2):
            extract(job)
    elif kind == "parcels":
        declare(lake, "", ("v1121", "v2212", "v1212")[turn % 3])
    elif kind == "card2db":
        catalogue(lake, list(SCENES)[turn % 3])
    else:
        try:
            lake.compact()
            lake.vacuum(0.0003)  # 26 seconds
        except Exception as error:
            if "others went on" not in str(error):
                raise
"""


@pytest.mark.slow
def test_every_copy_taken_while_four_others_write_is_whole_and_consistent(lake, history, tmp_path):
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parents[1]), lake.url]
    kinds = ("extract", "parcels", "card2db", "compact")
    writers = [subprocess.Popen([*command, kind, str(stop)]) for kind in kinds]
    try:
        for number in range(6):
            copy = tmp_path / f"copy{number % 3}"  # some new, some brought up to date
            assert cbm.backup(copy, lake=Lake(lake.url)).faults == 0
            consistent(Lake(str(copy)))
            assert [writer.poll() for writer in writers] == [None] * len(writers)
    finally:
        stop.touch()
        assert [writer.wait(120) for writer in writers] == [0] * len(writers)
    cbm.backup(tmp_path / "copy0", lake=Lake(lake.url))
    assert answered(Lake(str(tmp_path / "copy0"))) == answered(Lake(lake.url))


def consistent(copy):
    """What holds in the lake at any moment: a row per scene, set and parcel at most, each as the ledger has it."""
    rows = copy.sql("select scene, ptype, pid, count(*) as n from s2 group by all having n > 1")
    assert rows.num_rows == 0
    orphans = "select distinct scene from s2 where scene not in (select scene from ledger where status = 'done')"
    assert copy.sql(orphans).num_rows == 0
    counting = copy.sql(
        "select scene from extractions where status = 'done' and scene in (select id from scenes where not superseded)"
    )["scene"].to_pylist()
    assert set(counting) <= set(SCENES)
    assert json.dumps(answered(copy))
