"""The check of declared crops in the night: before lights are judged, and after their due date as of that date."""

import json
from datetime import date

import pytest
import small_season
import stand_in

from cbm_lake import season
from cbm_lake.crops import checking, clearing
from cbm_lake.lake import Lake
from cbm_lake.markers import cropchecks
from cbm_lake.markers.parameters import read

SCENARIO = "the declared crop grows"
AUTUMN = 18
"""Number of the scene of 28 September."""


@pytest.fixture(autouse=True)
def simple(monkeypatch):
    monkeypatch.setattr(checking, "judge", stand_in.judge)
    monkeypatch.setattr(clearing, "judge_by_day", stand_in.judge_by_day)


@pytest.fixture
def begun(tmp_path):
    """The file of a season with a crop check, after its first night in spring; and the lake."""
    file = small_season.make(tmp_path, more="crops: true", scenes=3)
    lake = Lake(str(tmp_path / "lake"))
    night = season.run(file, lake=lake)
    assert not night.failed
    return file, lake


def colours(lake):
    rows = lake.sql("from lights where scenario = $name and aoi = 'ms'", name=SCENARIO).to_pylist()
    return {row["pid"]: row["colour"] for row in rows}


def day_of_check(lake):
    return lake.sql("select distinct day from crop_checks where aoi = 'ms'")["day"].to_pylist()


@pytest.mark.slow
def test_lights_of_a_night_rest_on_its_check_which_in_autumn_is_of_the_due_date(begun):
    file, lake = begun
    assert set(colours(lake).values()) == {"not yet due"}
    assert day_of_check(lake) == [small_season.day(2)]
    small_season.scene(file.parent, AUTUMN)
    season.run(file, lake=lake)
    assert day_of_check(lake) == [date(2024, 9, 22)]
    settled = colours(lake)
    assert set(settled.values()) <= {"red", "green", "yellow"}
    small_season.scene(file.parent, AUTUMN + 1)  # of another day, later: it has no part in the check
    night = season.run(file, lake=lake)
    assert not night.failed
    assert day_of_check(lake) == [date(2024, 9, 22)]
    assert colours(lake) == settled
    assert season.run(file, lake=lake).changed == ()


@pytest.mark.slow
def test_another_due_date_makes_the_check_be_made_anew_by_it(begun):
    file, lake = begun
    small_season.scene(file.parent, AUTUMN)
    season.run(file, lake=lake)
    assert day_of_check(lake) == [date(2024, 9, 22)]
    rule = {"colour": "yellow", "marker": "crop_check", "at_least": 1, "reason": "x"}
    scenarios = {SCENARIO: None, "the crop": {"due": ["08-31"], "rules": [rule]}}
    (file.parent / "own.yaml").write_text(json.dumps({"scenarios": scenarios}))
    text = file.read_text()
    file.write_text(f"{text}\nmarkers: {{parameters: own.yaml}}\n")
    night = season.run(file, lake=lake)
    assert not night.failed
    assert day_of_check(lake) == [date(2024, 8, 31)]


def test_the_due_date_of_a_check_is_the_last_one_that_is_the_same_for_all_parcels():
    rule = {"colour": "yellow", "marker": "crop_check", "at_least": 1, "reason": "x"}
    own = {"late": {"due": ["declared.until", "10-05 + 2 days"], "rules": [rule]}}
    parameters = read({"scenarios": own})
    assert cropchecks.last_due(parameters, [SCENARIO], 2024) == date(2024, 9, 22)
    assert cropchecks.last_due(parameters, [SCENARIO, "late"], 2024) == date(2024, 10, 7)
    assert cropchecks.last_due(parameters, ["cover stays"], 2024) is None
