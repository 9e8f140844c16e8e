"""The guards are steps of the night: on, off, or one of them; parcels are moved with scenes that are shifted."""

from datetime import UTC, datetime

import displaced
import pyarrow as pa
import pytest
import small_season

from cbm_lake import guard, season
from cbm_lake.cards.pixelrule import PixelRule
from cbm_lake.lake import Lake, schemas
from cbm_lake.parcels import load as load_parcels
from cbm_lake.season.nightly import Steps

pytestmark = pytest.mark.thorough


FILE = """
season: {{start: 2024-03-01, end: 2024-10-31}}
areas: [{{aoi: ms, year: 2024, parcels: {{path: ms.gpkg, pid: pid, crop_name: crop}}}}]
sources: [{{items: items}}]
extract: {{s2: {{bands: [B04, B08], cube: false, shifted: {shifted}}}}}
guard: {guard}
markers: null
compact: null
workers: 0
"""


def begin(folder, *, shifted="true", guards="{offsets: false}"):
    small_season.parcels(folder, "ms", 12)
    for number in range(2):
        small_season.scene(folder, number)
    (folder / "season.yaml").write_text(FILE.format(shifted=shifted, guard=guards))
    return folder / "season.yaml", Lake(str(folder / "lake"))


def steps(night):
    return {entry.key.title: entry for entry in night.steps}


def rules(lake):
    return {row["scene"][10:18]: row["rule"] for row in lake.sql("select distinct scene, rule from s2").to_pylist()}


@pytest.fixture
def planted(monkeypatch):
    """Shifts (east, north) by the days of scenes, which the shift guard is made to find."""
    by_day = {}

    def shifts(aoi, year, ptype, *, lake):
        parcels = lake.parcel_set(aoi, year, ptype)
        before = {(row["scene"], row["east"]) for row in lake.query("guard.shifts", **parcels.params).to_pylist()}
        rows = []
        for row in lake.query("guard.extracted", card="s2", **parcels.params).to_pylist():
            east, north = by_day.get(row["scene"][10:18], (0.0, 0.0))
            verdict = "shifted" if east or north else "ok"
            rows.append(
                {"card": "s2", "scene": row["scene"], **parcels.params, "parcels": parcels.version}
                | {"obstime": row["obstime"], "verdict": verdict, "reason": "planted", "version": "1"}
                | {"east": east, "north": north, "error": 0.5, "measured": datetime.now(UTC)}
            )
        new = [row for row in rows if (row["scene"], row["east"]) not in before]
        if new:
            lake.add_shifts(pa.Table.from_pylist(new, schema=schemas.SHIFTS))
        return pa.Table.from_pylist(rows)

    monkeypatch.setattr(guard, "shifts", shifts)
    return by_day


def test_parcels_are_moved_with_a_scene_whose_shift_is_known_only_since_it_was_extracted(tmp_path, planted):
    file, lake = begin(tmp_path)
    planted["20240411"] = (5.2, -1.4)
    night = season.run(file, lake=lake)
    assert not night.failed
    assert list(steps(night)) == [
        *("parcels ms 2024", "catalogue items", "extract ms 2024 s2"),
        *("shifts ms 2024", "extract shifted ms 2024 s2"),
    ]
    assert "20240411" in steps(night)["shifts ms 2024"].problem
    assert "+5.2 m east, -1.4 m north" in steps(night)["shifts ms 2024"].problem
    assert (steps(night)["extract shifted ms 2024 s2"].scenes, steps(night)["extract shifted ms 2024 s2"].rows) == (
        1,
        12,
    )
    assert rules(lake) == {"20240401": "centre", "20240411": "centre, moved +5.0 -1.5 m"}
    assert lake.sql("from s2").num_rows == 24
    assert {entry.status for entry in season.run(file, lake=lake).steps} == {"unchanged"}
    small_season.scene(tmp_path, 2)
    night = season.run(file, lake=lake)
    assert steps(night)["extract ms 2024 s2"].scenes == steps(night)["shifts ms 2024"].scenes == 1
    assert steps(night)["extract shifted ms 2024 s2"].status == "unchanged"


def test_a_shift_in_the_pixels_is_measured_and_corrected_within_one_night(tmp_path):
    ground = displaced.fields()
    for number, date in enumerate(displaced.DATES):
        moved = (6.0, -4.0) if number == 2 else (0.0, 0.0)
        displaced.scene_files(tmp_path, date, number, moved, ground.geometry.values)
    ground.assign(crop="wheat").to_file(tmp_path / "ms.gpkg")
    source = "files: '{sensor}_{date}_{tile}_{band}.tif', offset: 0"
    text = FILE.format(shifted="true", guard="true").replace("items: items", source)
    (tmp_path / "season.yaml").write_text(text)
    lake = Lake(str(tmp_path / "lake"))
    night = season.run(tmp_path / "season.yaml", lake=lake)
    assert not night.failed
    again = steps(night)["extract shifted ms 2024 s2"]
    assert (again.scenes, again.rows) == (1, len(ground))
    (shift,) = lake.sql("from shifts where verdict = 'shifted'").to_pylist()
    assert (shift["east"], shift["north"]) == pytest.approx((6, -4), abs=1)
    rows = lake.sql("select distinct strftime(obstime, '%Y%m%d') as day, rule from s2 order by day").to_pylist()
    assert [row["day"] for row in rows] == list(displaced.DATES)
    assert [row["rule"] == "centre" for row in rows] == [True, True, False, True, True]
    assert PixelRule.parse(rows[2]["rule"]).moved == pytest.approx((6, -4), abs=1)
    second, third = (season.run(tmp_path / "season.yaml", lake=lake) for _ in range(2))
    assert {entry.key.step for entry in second.changed} <= {"guard"}  # of offsets, by the rows that are there now
    assert not third.changed


def test_a_night_that_ended_between_the_shifts_and_the_scene_is_continued(tmp_path, planted, monkeypatch):
    file, lake = begin(tmp_path)
    planted["20240401"] = (0.0, 4.0)
    whole = guard.shifts

    def interrupted(*args, **options):
        whole(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(guard, "shifts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        season.run(file, lake=lake)
    assert set(rules(lake).values()) == {"centre"}
    monkeypatch.setattr(guard, "shifts", whole)
    assert not season.run(file, lake=lake).failed
    assert rules(lake) == {"20240401": "centre, moved +0.0 +4.0 m", "20240411": "centre"}
    attempts = lake.sql("select scene, count(*) as tries from ledger where status = 'done' group by all order by all")
    assert attempts["tries"].to_pylist() == [2, 1]


def test_parcels_too_few_for_a_shift_are_said_and_no_failure(tmp_path):
    file, lake = begin(tmp_path, shifted="false", guards="true")
    night = season.run(file, lake=lake)
    assert not night.failed
    assert list(steps(night))[-2:] == ["guard ms 2024", "shifts ms 2024"]
    assert steps(night)["shifts ms 2024"].problem.startswith("2 undecided: fewer than ")
    rows = lake.query("season.steps", run=night.run).to_pylist()
    assert [(row["status"], row["scenes"]) for row in rows if row["step"] == "shifts"] == [("done", 2)]
    assert lake.sql("select verdict from shifts")["verdict"].to_pylist() == ["undecided"] * 2
    assert {entry.status for entry in season.run(file, lake=lake).steps} == {"unchanged"}


def test_parcels_too_small_for_an_inner_buffer_are_counted_in_the_note_of_the_step(tmp_path):
    file, lake = begin(tmp_path, shifted="false", guards="false")
    file.write_text(file.read_text().replace("cube: false", "cube: false, inner_buffer: 40"))
    step = steps(season.run(file, lake=lake))["extract ms 2024 s2"]
    assert step.status == "done"
    assert step.problem.startswith("12 of 12 parcels are too small for an inner buffer (40 m inside)")


@pytest.mark.parametrize(
    ("written", "there"),
    [("false", []), ("{shifts: false}", ["guard"]), ("{offsets: false}", ["shifts"]), ("{}", ["guard", "shifts"])],
)
def test_a_guard_that_is_not_wanted_is_no_step(tmp_path, written, there):
    file, lake = begin(tmp_path, shifted="false", guards=written)
    load_parcels(tmp_path / "ms.gpkg", "ms", 2024, pid="pid", crop_name="crop", lake=lake)
    names = [step.key.step for step in Steps(season.read(file), lake, "x")]
    assert names == ["parcels", "catalogue", "extract", *there]
