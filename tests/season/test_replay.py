"""The replay of a season day by day: each day is judged as its own lights are, and its counts are right."""

from dataclasses import replace
from datetime import date, timedelta

import nights
import pandas as pd
import pytest

from benchmarks import replay, replay_truth
from benchmarks.replay_truth import GRAZED, PARTLY, WHOLLY
from cbm_lake import markers
from cbm_lake.lake import Lake
from cbm_lake.markers.court import court_of
from cbm_lake.markers.parameters import EPOCH, read

pytestmark = pytest.mark.thorough


DAYS = [date(2024, 6, 1), date(2024, 9, 14), date(2024, 9, 15), date(2024, 10, 6)]


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("replayed") / "lake"))
    nights.declare(lake)
    for number in range(38):
        nights.extract(lake, number)
    markers.find(**nights.AREA, lake=lake)
    return lake


def test_what_is_read_once_is_judged_of_each_day_as_the_lights_of_that_day_are(season):
    parameters = read()
    names = [name for name, one in parameters.scenarios.items() if not one.example]
    court = court_of(season, season.parcel_set("ms", 2024), parameters, names, None, date(2024, 12, 31))
    for day in DAYS:
        lights = markers.traffic_light(**nights.AREA, day=day, lake=season)
        asked = replace(court, day=(day - EPOCH).days)
        rows = [row for name in names for row in asked.colours(name).drop_columns("turned").to_pylist()]
        assert sorted(rows, key=lambda row: (row["pid"], names.index(row["scenario"]))) == sorted(
            lights.to_pylist(), key=lambda row: (row["pid"], names.index(row["scenario"]))
        )


def test_every_day_is_replayed_and_its_looks_are_those_of_the_lake(season):
    history = replay.replay(replay.Season("small", season, "ms", 2024, ["grassland is mown"]), 30)
    assert history.lights.day.nunique() == 11
    assert max(history.lights.day) == date(2024, 12, 31)
    assert set(history.lights.pid) == set(nights.PIDS[:4])
    clear = [nights.row(number, 0, nights.name_of(number), 0)["scl_9"] == 0 for number in range(38)]
    assert (history.looks.pid == "p0").sum() == sum(clear)


def history(broken, *lights, looks=()):
    """A history of one scenario that is due on 15 September: pid, day of September from which each colour is said."""
    rows = []
    for pid, *colours in lights:
        for first, colour in colours:
            rows.append({"pid": pid, "scenario": "s", "colour": colour, "due": date(2024, 9, 15), "day": first})
    frame = pd.DataFrame(rows)
    frame["day"] = [date(2024, 9, 1) + timedelta(days=number - 1) for number in frame.day]
    seen = pd.DataFrame([{"pid": pid, "day": pd.Timestamp(2024, 9, day)} for pid, day in looks], columns=["pid", "day"])
    return replay.History(replay.Season("x", None, "ms", 2024, broken={"s": broken}), frame, seen)


def test_reds_that_turn_are_counted_by_what_they_turn_into():
    one = history({}, ("a", (1, "red"), (2, "green"), (3, "red")), ("b", (1, "red"), (2, "red"), (3, "yellow")))
    assert replay.turns(one.lights) == {"green": 1, "yellow": 1}
    assert replay.turned_table([one]).splitlines()[-1] == "| x | 3 | 2 | 1 | 1 | 1 | 0 | 0 |"


def test_true_reds_are_told_from_false_ones_and_late_ones_that_could_not_be_seen_from_others():
    broken = {"soon": WHOLLY, "late": WHOLLY, "unseen": WHOLLY, "never": WHOLLY, "grazed": GRAZED, "half": PARTLY}
    one = history(
        broken,
        ("soon", (1, "not yet due"), (20, "red")),
        ("late", (1, "not yet due"), (45, "red")),
        ("unseen", (1, "not yet due"), (45, "red")),
        ("never", (1, "not yet due"), (45, "green")),
        ("grazed", (1, "red")),
        ("half", (1, "yellow")),
        ("false", (1, "red")),
        ("fine", (1, "green")),
        looks=[("late", 15), ("late", 30), ("unseen", 14), ("unseen", 16)],
    )
    table = replay.true_table([one]).splitlines()
    assert table[2:] == [
        "| x | s | wholly | 4 | 1 | 2 | 1 | 0 | 0 | 1 | 33% |",
        "| x | s | wholly, but grazed | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 100% |",
        "| all | | | 5 | 2 | 2 | 1 |  |  |  | 50% |",
    ]
    assert replay.false_table([one]).splitlines()[2:] == [
        "| x | s | broken on a part | 0 | 1 | 0 | 0 |",
        "| x | s | followed | 1 | 0 | 1 | 0 |",
    ]
    assert replay.soon_table([one]).splitlines()[2:] == [
        "| x | s | 5 | 2 | 1 | 2 | 60% |",
        "| all | | 5 | | | | 60% |",
    ]


def test_who_breaks_a_rule_follows_from_what_was_done_on_each_crop_of_a_parcel():
    kinds = pd.DataFrame(
        [
            ("mown", "grassland", "grassland", "", 0.0),
            ("maize", "grassland", "maize", "", 0.0),
            ("half", "grassland", "grassland", "maize", 0.5),
            ("late", "grassland", "grassland", "", 0.0),
        ],
        columns=["pid", "declared", "crop", "second", "share"],
    )
    work = [("mown", "grassland", "mowing", 6), ("maize", "maize", "sowing", 5), ("maize", "maize", "harvest", 10)]
    work += [("half", "grassland", "mowing", 6), ("half", "maize", "sowing", 5), ("late", "grassland", "mowing", 10)]
    events = pd.DataFrame(work, columns=["pid", "crop", "event", "month"])
    events["date"] = [date(2024, month, 1) for month in events.month]
    broken = replay_truth.of_sample(events, kinds)
    assert broken["grassland is mown"] == {"maize": WHOLLY, "half": PARTLY, "late": WHOLLY}
    assert broken["looks as declared"] == {"maize": WHOLLY, "half": PARTLY}
    assert broken["cover stays"] == {"maize": WHOLLY, "half": PARTLY}


def test_meadows_that_were_mown_by_the_due_date_follow_the_rule():
    plots = pd.DataFrame({"pid": ["early", "late", "grazed"], "grazed": [True, False, True]})
    observed = pd.DataFrame({"pid": ["early", "late"], "date": [date(2020, 9, 15), date(2020, 9, 16)]})
    assert replay_truth.of_meadows(plots, observed, 2020) == {"grassland is mown": {"late": WHOLLY, "grazed": GRAZED}}
