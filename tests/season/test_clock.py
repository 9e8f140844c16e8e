"""Neither a scene with a wrong date nor a clock that is off decides as of which day a night is judged."""

import logging
from datetime import UTC, date, datetime, timedelta

import nights
import pytest
import small_season

from cbm_lake import markers, season
from cbm_lake.files import clock
from cbm_lake.lake import Lake

pytestmark = pytest.mark.thorough


HOW = {"peers": {"least": 3}, "clear": {"dates": 3}}
WRONG = 5500
"""The scene of that number is of the year 2099."""


def night(lake, **others):
    markers.find(**nights.AREA, parameters=HOW, only_new=True, lake=lake)
    return season.record(lake, lake.parcel_set("ms", 2024), parameters=HOW, **others)


def day_of_last_night(lake):
    return lake.query("changes.nights", aoi="ms", year=2024, ptype="").to_pylist()[0]["day"]


def day_of(number):
    return nights.obstime(number).date()


@pytest.fixture
def lake(tmp_path):
    """A lake after the night of scene 5."""
    lake = Lake(str(tmp_path / "lake"))
    nights.declare(lake)
    for number in range(6):
        nights.extract(lake, number)
    night(lake)
    return lake


@pytest.fixture
def at(monkeypatch):
    """Sets the clock of the machine."""

    def set_to(when):
        monkeypatch.setattr(clock, "now", lambda: when)

    return set_to


def test_a_scene_of_2099_does_not_decide_the_day_and_is_named(lake, caplog):
    nights.extract(lake, WRONG)
    night(lake)
    assert day_of_last_night(lake) == day_of(5)
    assert f"{nights.name_of(WRONG)} (of 2099-" in caplog.text
    nights.extract(lake, 6)
    night(lake)
    assert day_of_last_night(lake) == day_of(6)
    assert markers.traffic_light(**nights.AREA, parameters=HOW, lake=lake).equals(
        markers.traffic_light(**nights.AREA, parameters=HOW, day=day_of(6), lake=lake)
    )


def test_two_scenes_of_2099_do_not_either(lake):
    nights.extract(lake, WRONG)
    nights.extract(lake, WRONG + 1)
    night(lake)
    assert day_of_last_night(lake) == day_of(5)


def test_many_scenes_of_2099_do_not_as_long_as_nothing_was_made_after_today(lake, caplog):
    for number in range(4):
        nights.extract(lake, WRONG + number)
    night(lake)
    assert day_of_last_night(lake) == day_of(5)
    assert "left aside until its day has come" in caplog.text


def test_a_scene_of_tomorrow_counts_when_its_day_has_come(lake, at):
    nights.extract(lake, 6)
    at(nights.obstime(6) - timedelta(hours=11))  # the evening before
    night(lake)
    assert day_of_last_night(lake) == day_of(5)
    at(nights.obstime(6) - timedelta(hours=10))  # of the same day, though earlier
    night(lake)
    assert day_of_last_night(lake) == day_of(6)


def test_a_night_that_was_judged_as_of_a_day_that_has_not_come_is_undone(lake, caplog):
    night(lake, day=date(2099, 1, 1))
    assert day_of_last_night(lake) == date(2099, 1, 1)
    nights.extract(lake, 6)
    night(lake)
    assert day_of_last_night(lake) == day_of(6)
    assert "was judged as of 2099-01-01, which has not come yet" in caplog.text
    lights = markers.traffic_light(**nights.AREA, parameters=HOW, day=day_of(6), lake=lake)
    present = lake.query("changes.present", aoi="ms", year=2024, ptype="", kind="light")
    assert len(present) == len(lights)


def test_lights_that_are_judged_as_of_an_earlier_day_again_say_so(lake):
    night(lake, day=date(2099, 1, 1))
    rows = night(lake).to_pylist()
    undone = {row["cause"] for row in rows if row["kind"] == "light"}
    assert undone == {f"judged as of {day_of(5)} again, before as of 2099-01-01"}


@pytest.mark.parametrize("when", [datetime(2001, 1, 1, tzinfo=UTC), datetime(2024, 3, 3, tzinfo=UTC)])
def test_a_clock_that_many_scenes_contradict_is_wrong_and_the_scenes_count(lake, at, caplog, when):
    nights.extract(lake, 6)
    at(when)
    night(lake)
    assert day_of_last_night(lake) == day_of(6)
    assert f"the clock of this machine says {when:%Y-%m-%d}" in caplog.text


def test_a_clock_that_is_set_back_by_some_days_undoes_nothing(lake, at):
    before = lake.sql("from changes").num_rows
    at(nights.obstime(5) - timedelta(days=2))
    assert night(lake).num_rows == 0
    assert day_of_last_night(lake) == day_of(5)
    assert lake.sql("from changes").num_rows == before


@pytest.mark.slow
def test_a_clock_that_was_ahead_is_forgotten(lake, at, monkeypatch):
    at(datetime(2098, 6, 1, tzinfo=UTC))
    nights.extract(lake, 6)
    night(lake)
    assert day_of_last_night(lake) == day_of(6)
    nights.extract(lake, 4700)  # of 2088, which the clock takes for right
    night(lake)
    assert day_of_last_night(lake) == day_of(4700)
    monkeypatch.undo()
    nights.extract(lake, 7)
    night(lake)
    assert day_of_last_night(lake) == day_of(7)


@pytest.mark.slow
def test_a_scene_that_comes_three_months_late_counts_as_if_it_had_come_in_time(lake, tmp_path):
    other = Lake(str(tmp_path / "in_time"))
    nights.declare(other)
    for number in range(26):
        nights.extract(other, number)
    night(other)
    for number in [*range(6, 7), *range(8, 26), 7]:
        nights.extract(lake, number)
        if number in (25, 7):
            night(lake)
    assert day_of_last_night(lake) == day_of_last_night(other) == day_of(25)
    by = "select kind, pid, scenario, marker, after from changes where kind = 'light' qualify "
    by += "row_number() over (partition by pid, scenario order by sequence desc) = 1 order by all"
    assert lake.sql(by).equals(other.sql(by))


@pytest.mark.slow
def test_the_night_run_leaves_a_scene_of_the_future_aside_by_name_and_takes_it_later(tmp_path, at, caplog):
    small_season.parcels(tmp_path, "ms", 12)
    for number in (0, 1, 12):
        small_season.scene(tmp_path, number)
    (tmp_path / "season.yaml").write_text(
        "season: {start: 2024-03-01, end: 2024-10-31}\n"
        "areas: [{aoi: ms, year: 2024, parcels: {path: ms.gpkg, pid: pid, crop_name: crop}}]\n"
        "sources: [{items: items}]\nextract: {s2: {bands: [B04, B08], cube: false}}\nworkers: 0\nguard: false\n"
    )
    lake = Lake(str(tmp_path / "lake"))

    def run():
        done = season.run(tmp_path / "season.yaml", lake=lake)
        assert not done.failed
        return {entry.key.step: entry for entry in done.steps}

    at(datetime(2024, 4, 20, tzinfo=UTC))
    entry = run()["extract"]
    assert entry.scenes == 2
    assert "left aside until its day has come" in entry.problem
    assert f"S2A_31TEJ_{small_season.day(12):%Y%m%d}_0_L2A (of {small_season.day(12)})" in entry.problem
    assert day_of_last_night(lake) == small_season.day(1)
    assert run()["extract"].status == "unchanged"
    at(datetime(2024, 8, 1, tzinfo=UTC))
    assert run()["extract"].scenes == 1
    assert day_of_last_night(lake) == small_season.day(12)
    for number in (9, 10, 11):
        small_season.scene(tmp_path, number)
    at(datetime(2001, 1, 1, tzinfo=UTC))
    with caplog.at_level(logging.WARNING):
        assert run()["extract"].scenes == 3
    assert "the clock is wrong" in caplog.text
