"""Lights that are judged night by night with remembered verdicts are those that are judged from the beginning."""

from datetime import date, timedelta
from pathlib import Path

import nights
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_partial import put

from cbm_lake import markers
from cbm_lake.lake import Lake, schemas
from cbm_lake.markers import history, judging, lights, memory, parameters, remembered
from cbm_lake.markers.finding import part_of

pytestmark = pytest.mark.thorough


HOW = {
    "peers": {"least": 3, "until": "07-01"},
    "clear": {"dates": 3},
    "scenarios": {
        "grassland is mown": {"due": "06-20"},
        "arable land is worked": {"due": "07-20"},
        "looks as declared": {"due": "07-20"},
        "permanent grassland is not ploughed": {"example": False, "crops": ["grass"], "due": "07-05"},
    },
}
START = nights.START.date()
NIGHTS = st.lists(
    st.tuples(st.lists(st.one_of(*nights.EVENTS), max_size=3), st.integers(60, 170)), min_size=3, max_size=6
)
JUNE = date(2024, 6, 30)


def begun(url):
    lake = Lake(str(url))
    nights.declare(lake)
    for number in range(0, 24, 2):
        nights.extract(lake, number)
    return lake


def nightly(lake, day, how=HOW):
    markers.find(**nights.AREA, parameters=how, only_new=True, lake=lake)
    return lights.nightly(lake, lake.parcel_set("ms", 2024), parameters.read(how), None, day)


def check(lake, day, how=HOW):
    """What is remembered makes no difference."""
    now = nightly(lake, day, how)
    assert now.num_rows
    assert now.drop_columns("turned").equals(markers.traffic_light(**nights.AREA, parameters=how, day=day, lake=lake))


def happen(lake, season):
    for events, day in season:
        for what, *details in events:
            nights.HAPPENS[what](lake, *details)
        check(lake, START + timedelta(days=day))


@pytest.mark.slow
@given(season=NIGHTS)
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_whatever_happens_between_nights_lights_are_those_that_are_judged_from_the_beginning(season, tmp_path_factory):
    happen(begun(tmp_path_factory.mktemp("night") / "lake"), season)


@pytest.mark.slow
@given(season=NIGHTS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_over_many_random_nights_lights_are_those_that_are_judged_from_the_beginning(season, tmp_path_factory):
    happen(begun(tmp_path_factory.mktemp("night") / "lake"), season)


@pytest.fixture
def weighed(monkeypatch):
    """On how many parcels evidence was weighed for verdicts, each time."""
    counts, firm = [], judging._firm

    def counted(case, scenario, parcels, *rest):
        counts.append(len(parcels))
        return firm(case, scenario, parcels, *rest)

    monkeypatch.setattr(judging, "_firm", counted)
    return counts


@pytest.fixture
def judged(tmp_path, weighed):
    """A lake whose lights are remembered as of 30 June."""
    lake = begun(tmp_path / "lake")
    check(lake, JUNE)
    weighed.clear()
    return lake


def test_where_nothing_is_new_nothing_is_weighed_again(judged, weighed):
    nightly(judged, JUNE)
    assert not weighed


def test_of_a_new_scene_only_the_days_since_are_weighed(judged, weighed):
    nights.extract(judged, 25)
    nightly(judged, date(2024, 7, 6))
    some = sum(weighed)
    markers.traffic_light(**nights.AREA, parameters=HOW, day=date(2024, 7, 6), lake=judged)
    assert 0 < 3 * some < sum(weighed)


def test_a_scene_that_comes_late_is_weighed_only_where_it_saw_something(judged, weighed):
    nights.extract(judged, 5, places=[2])
    nightly(judged, JUNE)
    assert set(weighed) == {1}
    check(judged, JUNE)


def test_other_parameters_are_judged_anew(judged, weighed):
    check(judged, JUNE, HOW | {"judging": {"looks": 1}})
    assert weighed


def files(lake):
    names = lake._memories(memory.folder(lake.parcel_set("ms", 2024)), remembered._part(lake.parcel_set("ms", 2024)))
    return [Path(lake.url) / name for name in names]


def test_there_is_one_file_and_without_it_or_with_another_content_all_is_judged_anew(judged, weighed):
    (file,) = files(judged)
    file.write_bytes(file.read_bytes()[:-50])
    nightly(judged, JUNE)
    assert sum(weighed) > 20
    (file,) = files(judged)
    file.unlink()
    weighed.clear()
    check(judged, JUNE)
    assert sum(weighed) > 20


def test_a_day_before_the_last_one_is_judged_as_of_it(judged):
    check(judged, date(2024, 6, 20))
    check(judged, JUNE)


def record(seen, parcels):
    return remembered.Record.of(judging.Case(seen, []), parcels)


def test_parts_that_were_searched_since_are_weighed_where_they_are_and_change_what_was_settled(judged, weighed):
    def colours():
        rows = nightly(judged, JUNE).to_pylist()
        return {(row["pid"], row["scenario"]): row["colour"] for row in rows if row["scenario"].startswith("permanent")}

    before = colours()
    pid = next(pid for (pid, _), colour in before.items() if colour == "not yet due")
    put(judged, (date(2024, 5, 1), date(2024, 5, 21)), pid=pid, worked="ploughed", marker="ploughing")
    now = colours()
    assert set(weighed) == {1}
    assert {key for key in now if now[key] != before[key]} == {(pid, "permanent grassland is not ploughed")}
    check(judged, JUNE)
    judged.put("divided", schemas.PARTS.empty_table(), part_of(judged.parcel_set("ms", 2024)))
    assert colours() == before
    check(judged, JUNE)


def test_fingerprints_are_others_from_the_ten_days_on_in_which_something_is(judged):
    parcels, resolved = judged.parcel_set("ms", 2024), parameters.read(HOW)
    before = history.read(judged, parcels, resolved)
    nights.extract(judged, 25)
    after = history.read(judged, parcels, resolved)
    first = record(after, parcels).changed(record(before, parcels))
    seen = after.looks.count > before.looks.count  # elsewhere are clouds
    day = (nights.obstime(25).date() - date(1970, 1, 1)).days
    assert seen.any()
    assert ((day - 10 < first[seen]) & (first[seen] <= day)).all()
    assert (first[~seen] == remembered.NEVER).all()
