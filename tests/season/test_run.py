"""A night run does what its verbs do one by one, does nothing twice, and goes on where something fails."""

import logging
import os
import threading
from datetime import UTC, datetime

import pyarrow as pa
import pytest
import small_season

from cbm_lake import card2db, extract, guard, markers, parcels, season
from cbm_lake.errors import HeldError, InvalidInputError
from cbm_lake.files import clock
from cbm_lake.lake import Lake, open_lake, schemas

pytestmark = pytest.mark.thorough


SETS = (("ms", 2024), ("be", 2024), ("be", 2023))
ROWS = "from s2 order by aoi, year, pid, obstime"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A season after its first night; not to be changed."""
    folder = tmp_path_factory.mktemp("season")
    lake = Lake(str(folder / "lake"))
    return small_season.make(folder), lake, season.run(folder / "season.yaml", lake=lake)


@pytest.fixture
def begun(made, tmp_path):
    """A copy of it: the folder, the file and the lake."""
    import shutil

    shutil.copytree(made[0].parent, tmp_path / "season")
    lake = Lake(str(tmp_path / "season" / "lake"))
    return tmp_path / "season", tmp_path / "season" / "season.yaml", lake


def by_step(night):
    """The status of the steps by their titles."""
    return {entry.key.title: entry.status for entry in night.steps}


def done(night):
    return {entry.key.title for entry in night.changed}


def versions(lake):
    """The versions of all tables but the journal."""
    return {
        name: version for name, version in zip(lake._tables, lake.snapshot().versions, strict=True) if name != "runs"
    }


def anew(folder, lake_folder, sets=SETS):
    """What the verbs give one by one on another lake."""
    lake = Lake(str(lake_folder))
    for aoi, year in sets:
        parcels.load(folder / f"{aoi}.gpkg", aoi, year, pid="pid", crop_name="crop", lake=lake)
    card2db.items(folder / "items", lake=lake)
    card2db.items(folder / "radar", card="bs", lake=lake)
    for aoi, year in sets:
        days = f"{year}-03-01", f"{year}-10-31"
        extract.s2(*days, aoi=aoi, year=year, bands=["B04", "B08"], workers=0, lake=lake)
        if year == 2024:
            extract.bs(*days, aoi=aoi, year=year, cube=False, workers=0, lake=lake)
        markers.find(aoi, year, lake=lake)
    return lake


def same(one, other):
    """Whether two lakes have the same signatures and markers."""
    events = "select * from markers order by all"
    return one.sql(ROWS).equals(other.sql(ROWS)) and one.sql(events).equals(other.sql(events))


def test_a_night_gives_what_its_verbs_give_one_by_one(made, tmp_path):
    file, lake, night = made
    assert not night.failed
    assert same(lake, anew(file.parent, tmp_path / "lake"))
    assert lake.sql("select count(*) as n from s2")["n"][0].as_py() == 3 * 12 + 3 * 6 + 6
    assert (file.parent / "out" / "markers.csv").exists()


def test_the_journal_says_what_was_done_in_which_order(made):
    _, lake, night = made
    rows = lake.query("season.steps", run=night.run).to_pylist()
    steps = [row["step"] for row in rows]
    assert steps[0] == steps[-1] == "run"
    order = ["parcels", "catalogue", "extract", "guard", "shifts", "markers", "lights", "export", "compact"]
    assert list(dict.fromkeys(steps[1:-1])) == order
    assert [row["number"] for row in rows] == list(range(len(rows)))
    (of_area,) = [
        row for row in rows if (row["step"], row["aoi"], row["year"], row["what"]) == ("extract", "ms", 2024, "s2")
    ]
    assert (of_area["status"], of_area["scenes"], of_area["rows"]) == ("done", 3, 36)
    assert all(row["seconds"] >= 0 and row["who"] and row["version"] for row in rows[1:])
    last = season.last_run(lake)
    assert (last["run"], last["outcome"], last["failed"], last["good"]) == (night.run, "done", 0, rows[-1]["finished"])


def test_a_second_night_does_nothing_and_writes_nothing_but_the_journal(begun):
    folder, file, lake = begun
    before, stamp = versions(lake), (folder / "out" / "markers.csv").stat()
    night = season.run(file, lake=lake)
    assert set(by_step(night).values()) == {"unchanged"}, done(night)
    assert versions(lake) == before
    after = (folder / "out" / "markers.csv").stat()
    assert (after.st_mtime_ns, after.st_ino) == (stamp.st_mtime_ns, stamp.st_ino)


@pytest.mark.slow
def test_a_scene_that_comes_three_months_late_is_as_if_it_had_come_in_time(begun, tmp_path):
    folder, file, lake = begun
    small_season.scene(folder, 12)
    season.run(file, lake=lake)
    small_season.scene(folder, 4)  # of three months before
    night = season.run(file, lake=lake)
    assert {"catalogue items", "extract ms 2024 s2", "markers ms 2024", "export out/markers.csv"} <= done(night)
    assert by_step(night)["extract be 2023 s2"] == by_step(night)["markers be 2023"] == "unchanged"
    assert same(lake, anew(folder, tmp_path / "lake"))


@pytest.mark.slow
def test_a_reprocessed_scene_takes_the_place_of_the_former(begun, tmp_path):
    folder, file, lake = begun
    before = lake.sql(ROWS)
    small_season.scene(folder, 1, seed=5)
    night = season.run(file, lake=lake)
    assert not night.failed
    assert lake.sql(ROWS).num_rows == before.num_rows
    assert not lake.sql(ROWS).equals(before)
    assert same(lake, anew(folder, tmp_path / "lake"))


@pytest.mark.slow
def test_parcels_that_are_replaced_in_mid_season_are_redone_alone(begun, tmp_path):
    folder, file, lake = begun
    small_season.parcels(folder, "ms", 12, moved={4})
    night = season.run(file, lake=lake)
    entries = {entry.key.title: entry for entry in night.steps}
    assert entries["parcels ms 2024"].status == "done"
    assert entries["extract ms 2024 s2"].rows == 3  # one parcel in three scenes
    assert entries["extract be 2024 s2"].status == "unchanged"
    assert same(lake, anew(folder, tmp_path / "lake"))


@pytest.mark.slow
def test_what_fails_stops_nothing_else_and_is_done_when_it_can_be(begun):
    folder, file, lake = begun
    small_season.scene(folder, 3)
    broken = folder / "files" / "20240501" / "B08.tif"
    content = broken.read_bytes()
    broken.write_bytes(b"no raster")
    small_season.scene(folder, 4)
    night = season.run(file, lake=lake)
    failed = {entry.key.title: entry.problem for entry in night.failed}
    assert failed.keys() == {"extract ms 2024 s2", "extract be 2024 s2"}
    assert "S2A_31TEJ_20240501" in failed["extract ms 2024 s2"]
    assert {"markers ms 2024", "export out/markers.csv"} <= done(night)
    recorded = season.changes("ms", 2024, kind="scene", since="last", lake=lake)
    assert "failed" in recorded["after"].to_pylist()
    assert lake.sql("from s2 where scene like '%20240511%'").num_rows == 18
    assert season.last_run(lake)["outcome"] == "failed"
    broken.write_bytes(content)
    night = season.run(file, lake=lake)
    assert not night.failed
    assert lake.sql("from s2 where scene like '%20240501%'").num_rows == 18
    assert season.last_run(lake)["outcome"] == "done"


def test_an_area_without_parcels_is_said_before_the_night(begun):
    _, file, lake = begun
    before = lake.sql("from runs").num_rows
    file.write_text(
        file.read_text().replace(
            "aoi: be, year: 2023, parcels: {path: be.gpkg, pid: pid, crop_name: crop}", "aoi: nl, year: 2023"
        )
    )
    with pytest.raises(InvalidInputError, match=r"areas\[2\]: no parcels of nl 2023 are in the lake"):
        season.run(file, lake=lake)
    assert lake.sql("from runs").num_rows == before


@pytest.mark.slow
def test_a_parcel_file_that_is_damaged_leaves_the_parcels_in_force(begun):
    folder, file, lake = begun
    (folder / "ms.gpkg").write_bytes(b"nothing")
    small_season.scene(folder, 3)
    night = season.run(file, lake=lake)
    assert [entry.key.title for entry in night.failed] == ["parcels ms 2024"]
    assert {"extract ms 2024 s2", "markers ms 2024"} <= done(night)


def test_steps_of_an_area_whose_parcels_could_never_be_loaded_are_not_run(tmp_path):
    file = small_season.make(tmp_path, scenes=1)
    lake = Lake(str(tmp_path / "lake"))
    (tmp_path / "be.gpkg").write_bytes(b"nothing")
    night = season.run(file, lake=lake)
    steps = by_step(night)
    assert {title for title, status in steps.items() if status == "failed"} == {"parcels be 2024", "parcels be 2023"}
    assert {status for title, status in steps.items() if " be " in title and "parcels" not in title} == {"not run"}
    assert steps["extract ms 2024 s2"] == steps["export out/markers.csv"] == "done"
    assert {one.outcome for one in night.steps if one.status == "not run"} == {"not run: no parcels were loaded"}
    assert night.outcome.endswith("2 failed, 12 not run")
    assert not season.run(small_season.write_file(tmp_path), lake=lake).changed


@pytest.mark.slow
def test_exports_stay_as_they_are_where_no_parcels_could_be_loaded(tmp_path):
    file = small_season.make(tmp_path, scenes=1)
    lake = Lake(str(tmp_path / "lake"))
    for name in ("ms.gpkg", "be.gpkg"):
        (tmp_path / name).write_bytes(b"nothing")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "markers.csv").write_text("of yesterday")
    assert by_step(season.run(file, lake=lake))["export out/markers.csv"] == "not run"
    assert (tmp_path / "out" / "markers.csv").read_text() == "of yesterday"
    for name, count in (("ms", 12), ("be", 6)):
        (tmp_path / f"{name}.gpkg").unlink()
        small_season.parcels(tmp_path, name, count)
    assert by_step(season.run(file, lake=lake))["export out/markers.csv"] == "done"


@pytest.mark.slow
def test_an_export_is_written_again_when_it_is_lost_or_changed(begun):
    folder, file, lake = begun
    export = folder / "out" / "markers.csv"
    content = export.read_bytes()
    for harm in (export.unlink, lambda: export.write_text("x")):
        harm()
        night = season.run(file, lake=lake)
        assert done(night) == {"export out/markers.csv"}
        assert export.read_bytes() == content


@pytest.mark.slow
def test_other_parameters_are_a_reason_to_search_again(begun):
    _, file, lake = begun
    file.write_text(file.read_text() + "markers: {parameters: {clear: {dates: 2}}}\n")
    night = season.run(file, lake=lake)
    assert {"markers ms 2024", "markers be 2023"} <= done(night)
    assert "extract ms 2024 s2" not in done(night)


@pytest.mark.slow
def test_markers_that_somebody_found_otherwise_are_found_again(begun):
    _, file, lake = begun
    before = lake.sql("from markers order by all")
    markers.find("ms", 2024, parameters={"clear": {"dates": 1}}, lake=lake)
    night = season.run(file, lake=lake)
    assert "markers ms 2024" in done(night)
    assert lake.sql("from markers order by all").equals(before)


@pytest.mark.slow
def test_a_scenario_that_no_crop_has_is_said(begun):
    _, file, lake = begun
    rule = "{colour: red, reason: none}"
    file.write_text(
        file.read_text()
        + f"markers: {{parameters: {{scenarios: {{bananas: {{crops: [banana], rules: [{rule}]}}}}}}}}\n"
    )
    night = season.run(file, lake=lake)
    notes = {entry.key.title: entry.problem for entry in night.steps}
    assert not night.failed
    assert "no parcel has a crop (or claim) of scenario" in notes["lights ms 2024"]
    assert "'bananas'" in notes["lights ms 2024"]


@pytest.mark.slow
def test_a_claim_that_is_no_column_is_said_and_costs_its_scenario_only(begun):
    _, file, lake = begun
    rules = "rules: [{colour: yellow, reason: none}]"
    names = "scenarios: [claimed, plain]"
    scenarios = f"claimed: {{due: declared.nowhere, {rules}}}, plain: {{due: '01-31', looks: 0, {rules}}}"
    file.write_text(file.read_text() + f"markers: {{{names}, parameters: {{scenarios: {{{scenarios}}}}}}}\n")
    night = season.run(file, lake=lake)
    notes = {entry.key.title: entry.problem for entry in night.steps}
    assert not night.failed
    assert "have no column 'nowhere'" in notes["lights ms 2024"]
    assert "no parcel has a crop" not in notes["lights ms 2024"]
    assert set(lake.sql("select scenario from lights")["scenario"].to_pylist()) == {"plain"}


@pytest.mark.slow
def test_files_are_compacted_when_there_are_many(begun):
    _, file, lake = begun
    file.write_text(file.read_text().replace("files: 20", "files: 3"))
    assert lake.uncompacted("s2") == 3
    night = season.run(file, lake=lake)
    assert done(night) == {"compact"}
    assert lake.uncompacted("s2") == 0
    assert set(by_step(season.run(file, lake=lake)).values()) == {"unchanged"}  # exports among them


@pytest.mark.slow
def test_a_scene_that_a_person_has_cleared_is_not_marked_again(begun, monkeypatch):
    folder, file, lake = begun
    wrong = lake.sql("select distinct scene from s2 where aoi = 'ms' order by 1")["scene"].to_pylist()[:2]

    def scenes(_aoi, _year, _ptype, *, but=(), lake):
        there = {*guard.suspects(lake=lake)["scene"].to_pylist(), *but}
        rows = [{"card": "s2", "scene": one, "status": "suspect", "reason": "x"} for one in wrong if one not in there]
        origin = {"found": datetime.now(UTC), "version": "1"}
        lake.add_suspects(pa.Table.from_pylist([row | origin for row in rows], schema=schemas.SUSPECTS))
        return pa.table({"scene": wrong, "verdict": ["suspect"] * len(wrong)})

    monkeypatch.setattr(guard, "scenes", scenes)
    second = wrong.pop()
    small_season.scene(folder, 5)
    notes = {entry.key.title: entry.problem for entry in season.run(file, lake=lake).steps}
    assert wrong[0] in notes["guard ms 2024"]
    guard.clear(wrong[0], "it was snow", lake=lake)
    small_season.scene(folder, 8)
    season.run(file, lake=lake)
    assert guard.suspects(lake=lake).num_rows == 0
    wrong.append(second)
    small_season.scene(folder, 9)
    season.run(file, lake=lake)
    assert guard.suspects(lake=lake)["scene"].to_pylist() == [second]
    assert lake.sql("select scene from suspects where status = 'suspect' order by sequence")["scene"].to_pylist() == [
        wrong[0],
        second,  # the cleared one was not even marked for a moment
    ]


def test_two_runs_at_once_are_one_and_the_second_says_who_has_the_lake(begun):
    _, file, lake = begun
    before = versions(lake)
    with (
        lake.alone("night run"),
        pytest.raises(HeldError, match=rf"another night run .*process {os.getpid()}\), since 20"),
    ):
        season.run(file, lake=Lake(lake.url))
    assert versions(lake) == before
    assert not season.run(file, lake=lake).failed


@pytest.mark.slow
@pytest.mark.parametrize("year", [2001, 2098])
def test_the_order_of_runs_is_not_that_of_clocks(begun, monkeypatch, caplog, year):
    _, file, lake = begun
    monkeypatch.setattr(clock, "now", lambda: datetime(year, 6, 1, tzinfo=UTC))
    with caplog.at_level(logging.WARNING):
        night = season.run(file, lake=lake)
    assert not night.failed
    assert season.last_run(lake)["run"] == night.run
    assert ("in the future" in caplog.text) == (year == 2001)
    monkeypatch.undo()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        night = season.run(file, lake=lake)
    assert season.last_run(lake)["run"] == night.run
    assert ("in the future" in caplog.text) == (year == 2098)
    assert set(by_step(night).values()) == {"unchanged"}


@pytest.mark.slow
def test_an_interrupt_is_noted_and_the_lock_given_back(begun, monkeypatch):
    folder, file, lake = begun
    small_season.scene(folder, 3)

    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(extract, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        season.run(file, lake=lake)
    last = season.last_run(lake)
    assert last["outcome"] == "interrupted"
    assert last["problem"] == "KeyboardInterrupt"
    assert lake.query("season.steps", run=last["run"])["status"].to_pylist()[-2:] == ["interrupted", "interrupted"]
    monkeypatch.undo()
    night = season.run(file, lake=lake)
    assert "extract ms 2024 s2" in done(night)


@pytest.mark.slow
def test_a_step_that_fails_for_a_reason_nobody_thought_of_ends_no_other(begun, monkeypatch, caplog):
    folder, file, lake = begun
    small_season.scene(folder, 3)

    def broken(*_args, **_options):
        raise ValueError("cannot reshape")

    monkeypatch.setattr(extract, "run", broken)
    night = season.run(file, lake=lake)
    reasons = {entry.key.title: entry.problem for entry in night.failed}
    assert reasons["extract ms 2024 s2"] == "ValueError: cannot reshape"
    assert "in broken" in caplog.text
    assert night.steps[-1].key.title == "compact"
    assert season.last_run(lake)["outcome"] == "failed"
    monkeypatch.undo()
    assert "extract ms 2024 s2" in done(season.run(file, lake=lake))


@pytest.mark.slow
def test_parcels_that_somebody_loaded_by_hand_are_replaced_by_those_of_the_season(begun):
    folder, file, lake = begun
    before = lake.parcel_set("be", 2023).version
    small_season.parcels(folder, "other", 4)
    parcels.load(folder / "other.gpkg", "be", 2023, pid="pid", crop_name="crop", lake=lake)
    assert "parcels be 2023" in done(season.run(file, lake=lake))
    assert lake.parcel_set("be", 2023).version == before
    assert by_step(season.run(file, lake=lake))["parcels be 2023"] == "unchanged"


def test_an_export_goes_by_its_own_file_and_by_all_areas_of_the_lake(begun):
    folder, file, lake = begun
    (folder / "out" / "markers.txt").write_text("notes of somebody")
    assert not done(season.run(file, lake=lake))
    parcels.load(folder / "be.gpkg", "nl", 2024, pid="pid", crop_name="crop", lake=lake)
    assert done(season.run(file, lake=lake)) == {"export out/markers.csv"}


def test_a_wrong_file_does_nothing(begun):
    _, file, lake = begun
    before = lake.sql("from runs").num_rows
    file.write_text("areas: []")
    with pytest.raises(InvalidInputError):
        season.run(file, lake=lake)
    assert lake.sql("from runs").num_rows == before


@pytest.mark.slow
def test_watching_runs_again_and_a_run_that_cannot_begin_ends_nothing(begun):
    _, file, lake = begun
    stop, seen = threading.Event(), []
    good = file.read_text()
    for night in season.watch(file, 0.001, lake=lake, stop=stop):
        seen.append("wrong" if isinstance(night, InvalidInputError) else type(night).__name__)
        file.write_text("areas: []" if len(seen) == 1 else good)
        if len(seen) == 3:
            stop.set()
    assert seen == ["Night", "wrong", "Night"]
    with pytest.raises(InvalidInputError, match="no time between runs"):
        next(season.watch(file, 0, lake=lake))


def test_lakes_of_before_have_no_journal_and_get_one(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    assert season.last_run(lake) is None
    lake.add_runs(pa.Table.from_pylist([], schema=lake.sql("from runs").schema))
    assert season.last_run(lake) is None


@pytest.mark.slow
def test_a_season_of_the_workspace_needs_no_lake_given(workspace):
    file = small_season.make(workspace.root, scenes=1)
    assert not season.run(file).failed
    assert open_lake().sql("from s2").num_rows
