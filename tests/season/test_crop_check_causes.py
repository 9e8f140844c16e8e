"""Why lights that rest on a crop check change: the check and what it says, the calendar, the declaration; no scene."""

from datetime import date

import checked_crops
import nights
import pytest
from test_causes import causes

from cbm_lake import markers, season
from cbm_lake.lake import Lake

pytestmark = pytest.mark.thorough


SCENARIO = "the declared crop grows"
HOW = {"peers": {"least": 3}, "clear": {"dates": 3}}
RIGHT = {
    "verdict": "agrees",
    "crop_group": "grass",
    "likely": ["grass"],
    "probability": [0.9],
    "rank": 2,
    "reason": "x",
}
WRONG = {"verdict": "disagrees", "likely": ["maize"], "probability": [0.9], "p_value": 0.01, "rank": 1, "reason": "x"}
SAYS = dict.fromkeys(nights.PIDS, RIGHT) | {"p0": WRONG}
AUTUMN = date(2024, 10, 1)


def night(lake, day=None):
    """One night: what was recorded of the scenario."""
    markers.find(**nights.AREA, parameters=HOW, only_new=True, lake=lake)
    rows = season.record(lake, lake.parcel_set("ms", 2024), day, parameters=HOW).to_pylist()
    return [row for row in rows if row["scenario"] == SCENARIO]


@pytest.fixture
def begun(tmp_path):
    """A lake with a spring of scenes, recorded once without a crop check."""
    lake = Lake(str(tmp_path / "lake"))
    nights.declare(lake)
    for number in range(10, 16):
        nights.extract(lake, number)
    assert not night(lake)
    return lake


def put(lake, says, run, day=AUTUMN):
    checked_crops.put(lake, says, day=day, run=run)


def test_a_first_check_before_the_due_date_brings_lights_that_are_not_yet_due(begun):
    put(begun, SAYS, "r1", day=nights.obstime(15).date())
    rows = night(begun)
    assert {(row["before"], row["after"]) for row in rows} == {(None, "not yet due")}
    day = nights.obstime(15).date()
    assert causes(rows, ["p0"]) == {f"crop check of {day} says disagrees"}
    assert causes(rows, ["p1"]) == {f"crop check of {day} says agrees"}


def test_a_check_after_the_due_date_is_the_cause_of_red_and_of_green(begun):
    nights.extract(begun, 44)  # of 7 October
    night(begun)
    put(begun, SAYS, "r1")
    rows = night(begun)
    assert {row["pid"]: (row["after"], row["cause"]) for row in rows} == {
        pid: ("red" if pid == "p0" else "green", f"crop check of {AUTUMN} says {one['verdict']}")
        for pid, one in SAYS.items()
    }
    assert all(row["scenes"] is None for row in rows)
    put(begun, SAYS, "r2")
    assert not night(begun)  # the same again
    put(begun, {**SAYS, "p0": RIGHT}, "r3")
    (turned,) = night(begun)
    assert (turned["before"], turned["after"], turned["cause"]) == (
        "red",
        "green",
        f"crop check of {AUTUMN} says agrees",
    )


def test_scenes_are_no_cause_of_a_light_that_becomes_due(begun):
    put(begun, SAYS, "r1", day=nights.obstime(15).date())
    night(begun)
    nights.extract(begun, 44)
    rows = night(begun)
    assert {(row["after"], row["cause"]) for row in rows} == {("not yet due", "due on 2024-09-22")}
    put(begun, SAYS, "r2")
    assert causes(night(begun), ["p0"]) == {f"crop check of {AUTUMN} says disagrees"}


@pytest.mark.slow
def test_a_parcel_that_is_declared_otherwise_waits_because_of_that(begun):
    nights.extract(begun, 44)
    put(begun, SAYS, "r1")
    night(begun)
    nights.declare(begun, "v2", crops=[("maize", "3"), *nights.CROPS[1:]])
    rows = night(begun)
    assert {row["pid"]: (row["before"], row["after"]) for row in rows} == {"p0": ("red", "not yet due")}
    assert "crop" in rows[0]["cause"]


def test_a_night_that_was_recorded_before_there_were_checks_stays_readable(begun):
    text = begun.query("changes.nights", aoi="ms", year=2024, ptype="")["rests_on"][0].as_py()
    facts = season.basis.json.loads(text)
    assert facts.pop("checks") == []
    assert season.basis.NightBasis.read(season.basis.json.dumps(facts)).checks is None
