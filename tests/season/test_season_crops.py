"""The step of the night that checks declared crops: where something is new, between markers and lights."""

import json

import pytest
import small_season
import stand_in

from cbm_lake import season
from cbm_lake.crops import checking, clearing
from cbm_lake.lake import Lake


@pytest.fixture
def simple(monkeypatch):
    """A model whose answers are known."""
    monkeypatch.setattr(checking, "judge", stand_in.judge)
    monkeypatch.setattr(clearing, "judge_by_day", stand_in.judge_by_day)


def by_step(night):
    return {entry.key.title: entry.status for entry in night.steps}


@pytest.mark.slow
@pytest.mark.usefixtures("simple")
def test_crops_are_checked_where_something_is_new(tmp_path):
    file = small_season.make(tmp_path, more="crops: {alpha: 10%, since: false, groups: {meadow: grass}}")
    lake = Lake(str(tmp_path / "lake"))
    first = season.run(file, lake=lake)
    titles = [entry.key.title for entry in first.steps]
    assert titles.index("markers ms 2024") < titles.index("crops ms 2024") < titles.index("lights ms 2024")
    assert not first.failed, first.failed
    (step,) = [entry for entry in first.steps if entry.key.title == "crops ms 2024"]
    assert (step.status, step.rows) == ("done", 12)
    assert step.problem.endswith("disagree with what was seen")
    run = lake.sql("select alpha, settings from crop_runs where aoi = 'ms'").to_pylist()[0]
    assert (run["alpha"], json.loads(run["settings"])["groups"]) == (0.1, {"meadow": "grass"})
    assert by_step(season.run(file, lake=lake))["crops ms 2024"] == "unchanged"
    small_season.scene(tmp_path, 3)
    third = by_step(season.run(file, lake=lake))
    assert (third["crops ms 2024"], third["crops be 2023"]) == ("done", "unchanged")
    assert lake.sql("select distinct day from crop_checks where aoi = 'ms'").to_pylist() == [
        {"day": small_season.day(3)}
    ]


def test_a_season_without_crops_has_no_such_step(tmp_path):
    found = season.read(small_season.make(tmp_path))
    assert found.crops is None
    assert season.read(small_season.write_file(tmp_path, more="crops: false")).crops is None
    assert season.read(small_season.write_file(tmp_path, more="crops: true")).crops.alpha == 0.05


def test_groups_are_read_beside_the_file_of_the_season(tmp_path):
    (tmp_path / "groups.yaml").write_text("meadow: grass\n")
    found = season.read(small_season.write_file(tmp_path, more="crops: {groups: groups.yaml}"))
    assert found.groups == tmp_path / "groups.yaml"
