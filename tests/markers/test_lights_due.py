"""Lights that are judged when they are due: no red turns, whatever is seen later, and claims say when."""

from dataclasses import replace
from datetime import date, timedelta

import factories
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_markers import MOWN, NEW_YEAR, coherence, fill, run, seen

from cbm_lake import markers
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import open_lake, schemas
from cbm_lake.markers import history, judging, series
from cbm_lake.markers.claims import NEVER, Claims
from cbm_lake.markers.court import Court, court_of
from cbm_lake.markers.parameters import read

pytestmark = pytest.mark.thorough


STANDS = [(day, 0.8) for day in range(60, 330, 10)]
GRASS = "grassland is mown"


def colours(lake, day=None, scenario=GRASS, **others):
    """Colour and reason by parcel."""
    rows = markers.traffic_light("ms", 2024, scenarios=[scenario], day=day, lake=lake, **others).to_pylist()
    return {row["pid"]: (row["colour"], row["reason"]) for row in rows}


def claimed(lake, claims, *rows, pids=("a", "b"), crops=None):
    """Parcels with columns of the agency's own, and what was seen of them."""
    table = factories.parcels(pids, crops or [("grassland", "451")] * len(pids))
    for name, values in claims.items():
        table = table.append_column(name, values if isinstance(values, pa.Array) else pa.array(values))
    lake.add_parcels("ms", 2024, "", "v1", table)
    factories.write(lake, factories.signatures(*rows))
    markers.find("ms", 2024, lake=lake)
    return lake


# -- before and after the due date -------------------------------------------------------------------------------------


def test_before_it_is_due_nothing_is_said_of_a_meadow_that_stands_and_then_red_stays(lake):
    fill(lake, *seen("a", STANDS), pids=("a",))
    markers.find("ms", 2024, lake=lake)
    assert colours(lake, "2024-05-10") == {"a": ("not yet due", "is judged on 2024-09-15")}
    first = NEW_YEAR.date() + timedelta(days=next(day for day, _ in STANDS if day >= 259) - 1)
    before, after = (first + timedelta(days=days) for days in (-1, 0))
    assert colours(lake, before)["a"][0] == "not yet due"
    assert colours(lake, after) == {"a": ("red", "seen all season, never mown")}
    assert colours(lake)["a"][0] == colours(lake, "2024-12-31")["a"][0] == "red"


def test_a_cut_is_green_as_soon_as_it_is_sure(lake):
    fill(lake, *seen("a", MOWN), pids=("a",))
    markers.find("ms", 2024, lake=lake)
    assert colours(lake, "2024-05-10")["a"][0] == "not yet due"
    assert colours(lake, "2024-06-20") == {"a": ("green", "mown")}


def test_without_clear_looks_after_the_due_date_a_parcel_cannot_be_seen(lake):
    fill(lake, *seen("a", [look for look in STANDS if look[0] < 250]), pids=("a",))
    markers.find("ms", 2024, lake=lake)
    assert colours(lake, "2024-10-05")["a"][0] == "not yet due"
    reason = "seen clearly 0 of 1 times since it was due on 2024-09-15"
    assert colours(lake, "2024-10-06") == {"a": ("cannot be seen", reason)}


def test_a_fall_that_may_still_be_a_cut_is_no_red(lake):
    series = [*(look for look in STANDS if look[0] < 250), (255, 0.5), (262, 0.5), (266, 0.5), (275, 0.8), (285, 0.8)]
    fill(lake, *seen("a", series), pids=("a",))
    markers.find("ms", 2024, lake=lake)
    assert colours(lake, NEW_YEAR.date() + timedelta(days=268))["a"][0] not in ("red", "not yet due")
    assert colours(lake)["a"][0] == "green"


def test_what_a_light_says_as_of_a_day_uses_nothing_later(tmp_path):
    rows = [*seen("a", MOWN), *seen("b", STANDS)]
    wave = [(day, 0.3 + 0.3 * (day % 4 == 2)) for day in range(90, 240, 6)]
    whole = fill(open_lake(str(tmp_path / "whole")), *rows, c6=[*coherence("a", wave)])
    markers.find("ms", 2024, lake=whole)
    for number in (118, 136, 151, 217, 262, 281):
        day = NEW_YEAR + timedelta(days=number - 1)
        radar = [*coherence("a", [look for look in wave if look[0] <= number])]
        some = fill(open_lake(str(tmp_path / str(number))), *(row for row in rows if row["obstime"] <= day), c6=radar)
        markers.find("ms", 2024, lake=some)
        asked = {"scenarios": [GRASS], "day": day.date()}
        assert markers.traffic_light("ms", 2024, lake=whole, **asked).equals(
            markers.traffic_light("ms", 2024, lake=some, **asked)
        )


def test_the_series_as_of_the_end_are_those_that_a_search_reads(tmp_path):
    wave = [(day, 0.3 + 0.3 * (day % 4 == 2)) for day in range(90, 240, 6)]
    rows = [*seen("a", MOWN), *seen("b", STANDS)]
    lake = fill(open_lake(str(tmp_path)), *rows, c6=[*coherence("a", wave), *coherence("b", wave[3:])])
    parcels, parameters = lake.parcel_set("ms", 2024), read()
    now = history.read(lake, parcels, parameters).until(99_999, np.arange(2))
    expected = series.read(lake, parcels, parameters)
    for name in ("ndvi", "coherence"):
        one, other = getattr(now, name), getattr(expected, name)
        np.testing.assert_array_equal(one.offsets, other.offsets)
        np.testing.assert_array_equal(one.day, other.day)
        np.testing.assert_allclose(one.value, other.value, atol=1e-6)
    np.testing.assert_array_equal(now.observable, expected.observable)


IMAGES = ((100, 8, 0.1), (106, 37, 0.01), (112, 8, 0.1), (118, 37, 1.0), (124, 37, 1.0))
"""Day of the year, orbit and level; in dB -10, -20, -10, 0 and 0."""
WET = {"wet": {"kind": "state", "series": "backscatter_vh", "at_most": -18}}
ALSO = {"still": {"kind": "state", "series": "coherence_vv", "at_least": 0.5}}


def two_orbits(path, until=366):
    """A lake in which two orbits see parcel b up to a day of the year, and the parcels' radar series as of any day."""
    lake = fill(open_lake(str(path)), *seen("a", STANDS), *seen("b", STANDS))
    for number, orbit, level in IMAGES:
        for card in ("bs", "c6") if number <= until else ():
            name, moment = f"{card}{number}", NEW_YEAR + timedelta(days=number - 1)
            scene = factories.scene(name, moment, card=card, **{"sat:relative_orbit": orbit})
            lake.add_scenes(factories.scenes(scene))
            columns = {field.name for field in schemas.signatures(card)}
            both = {f"{band}_mean": level for band in ("VV", "VH")} | {f"{band}_count": 25 for band in ("VV", "VH")}
            row = {key: item for key, item in factories.signature("b", name, moment).items() if key in columns} | both
            factories.write(lake, factories.signatures(row, card=card), scene=name, card=card)
    return lake, lake.parcel_set("ms", 2024), read({"detectors": WET | ALSO})


def as_of(path, number, until=366):
    """The radar series of both parcels as of the end of a day of the year."""
    return history.read(*two_orbits(path, until)).until(19_723 + number - 1, np.arange(2)).others


@pytest.mark.parametrize("number", [99, 100, 105, 106, 112, 118, 124, 300])
def test_radar_as_of_a_day_is_that_of_a_lake_without_later_images(tmp_path, number):
    whole, some = as_of(tmp_path / "whole", number), as_of(tmp_path / "some", number, until=number)
    for name in ("backscatter_vh", "coherence_vv"):
        np.testing.assert_array_equal(whole[name].offsets, some[name].offsets)
        np.testing.assert_array_equal(whole[name].day, some[name].day)
        np.testing.assert_array_equal(whole[name].value, some[name].value)


@pytest.mark.parametrize(
    ("number", "levels"),
    [
        pytest.param(99, [], id="no image"),
        pytest.param(100, [-10], id="one orbit"),
        pytest.param(106, [-15, -15], id="each orbit's only image is its mean"),
        pytest.param(112, [-40 / 3] * 3, id="both orbits without change"),
        pytest.param(118, [-10, -20, -10, 0], id="both means are -10"),
        pytest.param(124, [-8, -64 / 3, -8, -4 / 3, -4 / 3], id="the mean of one is -20/3, of all -8"),
    ],
)
def test_each_orbits_level_as_of_a_day_is_that_of_its_images_up_to_it(tmp_path, number, levels):
    series_of = as_of(tmp_path, number)["backscatter_vh"]
    assert series_of.offsets.tolist() == [0, 0, len(levels)]
    assert series_of.value.tolist() == pytest.approx(levels, abs=1e-5)


def test_radar_as_of_the_end_is_what_a_search_reads(tmp_path):
    read_from = two_orbits(tmp_path)
    now, expected = history.read(*read_from).until(99_999, np.arange(2)).others, series.read(*read_from).others
    for name in ("backscatter_vh", "coherence_vv"):
        np.testing.assert_array_equal(now[name].offsets, expected[name].offsets)
        np.testing.assert_array_equal(now[name].day, expected[name].day)
        np.testing.assert_allclose(now[name].value, expected[name].value, atol=1e-5)


def test_detectors_say_nothing_of_parcels_before_any_of_them_was_seen_so(tmp_path):
    seen_so_far = history.read(*two_orbits(tmp_path))
    before, after = 19_723 + 98, 19_723 + 99
    groups = seen_so_far.silent(np.array([before, after]))
    assert [group.tolist() for group, _ in groups] == [[0], [1]]
    assert [names & {"wet", "still"} for _, names in groups] == [{"wet", "still"}, set()]
    case = judging.Case(seen_so_far, [])
    days = np.array([before, 19_723 + 130])
    mixed = case.evidence(np.arange(2), days, days)
    alone = [case.evidence(np.array([number]), days[[number]], days[[number]]) for number in range(2)]
    for number, one in enumerate(alone):
        own = mixed.parcel == number
        assert sorted(mixed.marker[own]) == sorted(one.marker)
        np.testing.assert_array_equal(np.sort(mixed.fields[own], axis=0), np.sort(one.fields, axis=0))


LOOKS = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from([0.12, 0.18, 0.3, 0.45, 0.55, 0.62, 0.7, 0.8, 0.85])),
    min_size=5,
    max_size=45,
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(LOOKS, min_size=1, max_size=6), st.sampled_from(["grassland is mown", "cover stays", "tilled"]))
def test_once_red_or_green_is_settled_it_stays_as_looks_are_added(seasons, name):
    """The property: day by day, over any series, no red becomes anything else."""
    rules = [{"colour": "green", "reason": "", "marker": "harvest", "at_least": 1}, {"colour": "red", "reason": ""}]
    given = {"scenarios": {"tilled": {"due": "07-15", "looks": 1, "rules": rules}}}
    parameters = read(given)
    value = np.concatenate([[ndvi for _, ndvi in one] for one in seasons]).astype(np.float32)
    day = np.concatenate([19_783 + 60 + np.cumsum([step for step, _ in one]) for one in seasons]).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in seasons])])
    pids = pa.array([str(number) for number in range(len(seasons))])
    none = np.zeros(0)
    seen_so_far = history.History(
        pids,
        np.array(["x"] * len(seasons), object),
        pids,
        2024,
        series.Series(offsets.astype(np.int64), day, value),
        history.Images(none.astype(np.int64), none.astype(np.int32), none.astype(np.int64), none, none),
        parameters,
    )
    scenario = parameters.scenarios[name]
    windows = judging_windows(name, scenario, len(seasons), parameters)
    looks = seen_so_far.looks
    colour = np.array([*(rule.colour for rule in scenario.rules), ""])
    final = np.full(len(seasons), -1)
    for last in range(19_783 + 70, 19_783 + 366, 15):
        grown = replace(seen_so_far, looks=looks.take(looks.day <= last))
        verdicts = judging.settled(judging.Case(grown, []), scenario, np.arange(len(seasons)), windows, last)
        assert (verdicts.rule == final)[final >= 0].all()
        assert set(colour[verdicts.rule]) <= {"", "green", "red"}
        final = verdicts.rule


def judging_windows(name, scenario, parcels, parameters):
    from cbm_lake.markers import rules

    class NoClaims:
        def __len__(self):
            return parcels

        def days(self, choice, year, _):
            text = date.fromisoformat(f"{year}-{choice[0].day}")
            return np.full(parcels, (text - date(1970, 1, 1)).days)

    return rules.windows(name, scenario, NoClaims(), 2024, parameters)


# -- claims ------------------------------------------------------------------------------------------------------------

BEFORE = "mown before the declared day"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(pa.array([date(2024, 7, 1), None]), id="dates"),
        pytest.param(pa.array(["2024-07-01", ""]), id="ISO texts"),
        pytest.param(pa.array(["2024-07-01T00:00:00", None]), id="ISO texts with a time"),
        pytest.param(pa.array(["07-01", " "]), id="month-days"),
        pytest.param(pa.array([NEW_YEAR.replace(month=7), None], pa.timestamp("us", "UTC")), id="timestamps"),
    ],
)
def test_a_parcel_is_judged_on_the_day_that_it_claims(lake, values, caplog):
    caplog.set_level("INFO")
    claimed(lake, {"mown_before": values}, *seen("a", STANDS), *seen("b", STANDS))
    rows = markers.traffic_light("ms", 2024, scenarios=[BEFORE], day="2024-08-01", lake=lake).to_pylist()
    assert [(row["pid"], row["colour"], row["due"]) for row in rows] == [("a", "red", date(2024, 7, 1))]
    levels = [each.levelname for each in caplog.records if "does not judge 1 parcel without a claim" in each.message]
    assert levels == ["INFO"]


def test_where_the_claim_is_null_the_day_of_the_scenario_counts(lake):
    claimed(lake, {"mown_before": [None, "07-01"]}, *seen("a", STANDS), *seen("b", STANDS))
    rules = [{"colour": "red", "marker": "mowing", "at_most": 0, "reason": "not mown"}]
    own = {"scenarios": {"mine": {"due": ["declared.mown_before + 10 days", "08-31"], "rules": rules}}}
    rows = markers.traffic_light("ms", 2024, scenarios=["mine"], parameters=own, lake=lake).to_pylist()
    assert [row["due"] for row in rows] == [date(2024, 8, 31), date(2024, 7, 11)]


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        pytest.param({"other": ["x", "y"]}, "have no column 'mown_before'", id="not there"),
        pytest.param({"mown_before": [2.5, None]}, "type double and no value of it, such as '2.5'", id="numbers"),
        pytest.param({"mown_before": [True, None]}, "type bool and no value of it", id="flags"),
        pytest.param({"mown_before": [["07-01"], None]}, "of type list<.*>, of which no value is a date", id="lists"),
    ],
)
def test_a_column_that_is_not_there_or_of_another_type_is_refused_by_name_in_one_line(lake, claims, reason):
    claimed(lake, claims, *seen("a", STANDS), *seen("b", STANDS))
    with pytest.raises(InvalidInputError, match=reason) as refused:
        markers.traffic_light("ms", 2024, scenarios=[BEFORE], lake=lake)
    assert "\n" not in str(refused.value)
    assert BEFORE in str(refused.value)


@pytest.mark.parametrize("flags", [[True, False], [1, 0], ["yes", "no"], [1.0, None], ["TRUE", ""], ["ja", "None"]])
def test_a_flag_says_of_whom_a_scenario_asks(lake, flags):
    claimed(lake, {"n_fixing": flags}, *seen("a", STANDS), *seen("b", STANDS))
    assert colours(lake, scenario="a crop that fixes nitrogen grows") == {"a": ("green", "grew in its season")}


def test_mowing_before_the_day_that_is_claimed_is_red_and_mowing_that_may_be_later_is_not(lake):
    until = {"not_mown_until": ["06-15", "05-05"]}
    claimed(lake, until, *seen("a", MOWN), *seen("b", MOWN))
    lights = colours(lake, scenario="not mown until the declared day", day="2024-08-17")
    assert [lights[pid][0] for pid in "ab"] == ["red", "yellow"]


# -- scenarios ---------------------------------------------------------------------------------------------------------


def test_a_marker_that_no_detector_gives_is_refused_by_name(lake):
    fill(lake, *seen("a", STANDS))
    markers.find("ms", 2024, lake=lake)
    rules = [{"colour": "red", "marker": "mowin", "at_least": 1, "reason": ""}]
    with pytest.raises(InvalidInputError, match="counts the marker 'mowin', which no detector gives; there are: bare"):
        colours(lake, scenario="mine", parameters={"scenarios": {"mine": {"rules": rules}}})


def test_every_scenario_of_the_defaults_counts_markers_that_there_are():
    parameters = read()
    counted = {rule.marker for each in parameters.scenarios.values() for rule in each.rules if rule.marker}
    assert counted <= judging.marker_names(parameters)


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ({"due": "13-01"}, "scenarios.x.due='13-01'"),
        ({"due": "declared."}, "a day is written 07-31"),
        ({"due": []}, "a day is written 07-31"),
        ({"claimed": "flag"}, "claimed names a column"),
        ({"rules": [{"colour": "red", "reason": "", "due": "07-01"}]}, "says itself when the last of them is"),
    ],
)
def test_wrong_days_of_scenarios_are_named(scenario, reason):
    rules = [{"colour": "red", "reason": ""}]
    with pytest.raises(InvalidInputError) as refused:
        read({"scenarios": {"x": {"rules": rules} | scenario}})
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_comparison_with_others_is_due_after_its_last_day(lake):
    fill(lake, *seen("a", STANDS))
    markers.find("ms", 2024, lake=lake)
    rules = [{"colour": "red", "marker": "similarity", "type": "outlier", "at_least": 1, "reason": ""}]
    given = {"scenarios": {"mine": {"due": "09-15", "rules": rules}}}
    with pytest.raises(InvalidInputError, match="compares with other parcels up to 2024-09-15"):
        colours(lake, scenario="mine", parameters=given)


UNLIKE = {"colour": "red", "marker": "similarity", "type": "outlier", "at_least": 1, "reason": "unlike"}


@pytest.mark.parametrize(
    ("marker", "due"),
    [*((marker, {}) for marker in judging.PEERS), *((marker, {"due": "10-10"}) for marker in judging.PEERS[:2])],
)
def test_an_early_rule_over_a_comparison_with_others_is_refused(lake, marker, due):
    fill(lake, *seen("a", STANDS))
    markers.find("ms", 2024, lake=lake)
    rules = [{"colour": "green", "unseen": True, "reason": ""}, UNLIKE | {"marker": marker, "early": True}]
    with pytest.raises(InvalidInputError, match=f"rule 2 of scenario 'mine', which counts {marker}.* early") as refused:
        colours(lake, scenario="mine", parameters={"scenarios": {"mine": due | {"rules": rules}}})
    assert "\n" not in str(refused.value)


def test_a_rule_over_a_comparison_with_others_is_due_after_its_last_day(lake):
    fill(lake, *seen("a", STANDS))
    markers.find("ms", 2024, lake=lake)

    def asked(due):
        own = {"mine": {"due": "09-15", "rules": [{"colour": "green", "unseen": True, "reason": ""}, UNLIKE | due]}}
        return colours(lake, scenario="mine", parameters={"peers": {"until": "06-15"}, "scenarios": own})

    with pytest.raises(InvalidInputError) as refused:
        asked({"due": "06-21"})
    assert str(refused.value) == (
        "rule 2 of scenario 'mine', which counts similarity, compares with other parcels up to 2024-06-15 "
        "(`peers: until`) and is due on 2024-06-21; due 7 days after 2024-06-15 is right"
    )
    assert "a" not in asked({"due": "06-22"})  # neither rule holds


@pytest.mark.parametrize("searched", [False, True])
def test_a_rule_over_a_comparison_waits_for_a_search_of_the_later_scenes(lake, searched):
    fill(lake, *seen("a", [look for look in STANDS if look[0] <= 150]), pids=("a",))
    peers = {"peers": {"until": "06-15"}}
    markers.find("ms", 2024, parameters=peers, lake=lake)
    factories.write(lake, factories.signatures(*seen("a", [(160, 0.8), (180, 0.8)])), scene="later")
    if searched:
        markers.find("ms", 2024, parameters=peers, lake=lake)
    rule = {"colour": "red", "marker": "similarity", "at_most": 0, "due": "06-22", "reason": "not compared"}
    own = {"mine": {"due": "09-15", "looks": 0, "rules": [rule]}}
    said = colours(lake, "2024-06-30", "mine", parameters=peers | {"scenarios": own})
    assert said["a"][0] == ("red" if searched else "not yet due")


def test_scenarios_without_a_due_date_are_judged_at_the_end_of_the_season(lake):
    fill(lake, *seen("a", MOWN), *seen("b", STANDS))
    markers.find("ms", 2024, lake=lake)
    rules = [
        {"colour": "green", "marker": "mowing", "at_least": 1, "reason": "mown"},
        {"colour": "red", "reason": "no"},
    ]
    given = {"scenarios": {"mine": {"rules": rules}}}
    assert colours(lake, "2024-10-30", "mine", parameters=given)["b"][0] == "not yet due"
    assert colours(lake, "2024-10-31", "mine", parameters=given) == {"a": ("green", "mown"), "b": ("red", "no")}


# -- evidence ----------------------------------------------------------------------------------------------------------


def test_evidence_lists_the_markers_that_count_and_the_clear_looks(lake):
    fill(lake, *seen("a", MOWN), pids=("a",))
    markers.find("ms", 2024, lake=lake)
    rows = markers.evidence("ms", 2024, "a", GRASS, day="2024-06-20", lake=lake).to_pylist()
    assert [row["marker"] for row in rows] == ["mowing", *["look"] * 5]
    (light,) = markers.traffic_light("ms", 2024, scenarios=[GRASS], day="2024-06-20", lake=lake).to_pylist()
    assert (light["date_start"], light["date_end"]) == (rows[0]["date_start"], rows[0]["date_end"])
    assert [row["value_1"] for row in rows[1:]] == pytest.approx([value for _, value in MOWN[:5]], abs=1e-6)
    assert not markers.evidence("ms", 2024, "a", "cover stays", lake=lake).num_rows


def test_evidence_of_what_cannot_be_seen_has_the_looks_that_do_not_count_and_why(lake):
    clear, clouded = STANDS[:4], [(day, 0.7) for day in range(100, 300, 20)]
    small = seen("a", [(310, 0.6)], B04_count=5, B08_count=5)
    fill(lake, *seen("a", clear), *seen("a", clouded, scl={4: 10, 9: 15}), *small, pids=("a",))
    markers.find("ms", 2024, lake=lake)
    (light,) = markers.traffic_light("ms", 2024, scenarios=[GRASS], lake=lake).to_pylist()
    assert light["colour"] == "cannot be seen"
    rows = markers.evidence("ms", 2024, "a", GRASS, lake=lake).to_pylist()
    looks = [row for row in rows if row["marker"] == "look"]
    others = [row for row in rows if row["marker"] == "unclear look"]
    assert [row["why_not"] for row in looks] == [None] * 4
    assert [row["why_not"] for row in others] == ["clouded"] * len(clouded) + ["too few pixels"]
    assert [row["date_main"] for row in others[:2]] == [date(2024, 4, 9), date(2024, 4, 29)]
    assert {(round(row["value_1"], 3), round(row["value_2"], 3)) for row in others[:-1]} == {(0.7, 0.6)}
    assert '"why_not": "clouded"' in run("evidence", "--pid", "a", "--scenario", GRASS, "--format", "json")


# -- which colours are final -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_early_green_may_turn_red_and_a_settled_one_stays(lake):
    ploughed = [*[one for one in MOWN if one[0] < 200], *[(day, 0.12) for day in range(205, 330, 10)]]
    grazed = [*[one for one in MOWN if one[0] < 270], *[(day, 0.8) for day in range(232, 330, 10)]]
    fill(lake, *seen("a", ploughed), *seen("b", sorted(dict(grazed).items())))
    markers.find("ms", 2024, lake=lake)
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(165, 335, 10)]
    by_day = [colours(lake, day) for day in days]
    first = [lights["a"][0] for lights in by_day]
    assert "green" in first
    assert first[-1] == "red"
    assert "green" not in first[first.index("red") :]
    second = [lights["b"][0] for lights in by_day]
    assert second[-1] == "green"
    assert set(second[second.index("green") :]) == {"green"}
    final, parcels, parameters = {}, lake.parcel_set("ms", 2024, None), read()
    rules = parameters.scenarios[GRASS].rules
    for day, lights in zip(days, by_day, strict=True):
        judged = court_of(lake, parcels, parameters, [GRASS], None, day).judge(GRASS)
        for pid, firm, rule in zip("ab", judged.firm, judged.rule, strict=True):
            assert firm or pid not in final
            if firm:
                assert lights[pid][0] == final.setdefault(pid, lights[pid][0]) == rules[rule].colour
    assert final == {"a": "red", "b": "green"}


def test_a_wrong_day_is_refused(lake):
    fill(lake, *seen("a", MOWN))
    markers.find("ms", 2024, lake=lake)
    with pytest.raises(InvalidInputError, match="'June' is no day; write it as 2024-06-15"):
        colours(lake, "June")


def test_the_commands_show_lights_of_a_day_and_their_evidence(lake):
    fill(lake, *seen("a", MOWN), *seen("b", STANDS))
    run("find")
    assert '"due": "2024-09-15"' in run("lights", "--scenario", GRASS, "--day", "2024-06-20", "--format", "json")
    assert '"marker": "look"' in run("evidence", "--pid", "b", "--scenario", GRASS, "--format", "json")


# -- the calendar alone takes nothing back -----------------------------------------------------------------------------

FORWARD = {"not yet due": 0, "cannot be seen": 1, "yellow": 2, "green": 3, "red": 4}
DUES = st.sampled_from(["05-10", "06-20", "07-15", "08-31"])
RULES = st.fixed_dictionaries(
    {
        "colour": st.sampled_from(["green", "yellow", "red", "cannot be seen"]),
        "reason": st.just("a rule"),
        "early": st.booleans(),
        "condition": st.sampled_from(
            [
                {},
                {"unseen": True},
                {"gap": 20},
                {"gap": 60},
                {"marker": "vegetated", "at_most": 0},
                {"marker": "mowing", "at_least": 1},
                {"marker": "bare_soil", "at_least": 1},
            ]
        ),
    },
    optional={"due": DUES},
)


def replayed(seasons, scenario, days, images=()):
    """The lights of parcels, a season of looks for each, as of the end of some days: colour, due and reason.

    On the days `images` radar sees each of them, always the same.
    """
    parameters = read({"scenarios": {"mine": scenario}})
    value = np.concatenate([[ndvi for _, ndvi in one] for one in seasons]).astype(np.float32)
    day = np.concatenate([19_783 + 20 + np.cumsum([step for step, _ in one]) for one in seasons]).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in seasons])]).astype(np.int64)
    pids = pa.array([str(number) for number in range(len(seasons))])
    parcel, moment = (
        np.repeat(np.arange(len(seasons)), len(images)),
        np.tile(np.array(sorted(images), int), len(seasons)),
    )
    level = np.full(len(parcel), 0.3)
    radar = history.Images(parcel, moment.astype(np.int32), np.ones(len(parcel), int), level, np.ones(len(parcel)))
    crops = np.array(["x"] * len(seasons), object)
    looks = series.Series(offsets, day, value)
    seen_so_far = history.History(pids, crops, pids, 2024, looks, radar, parameters)

    class Unclaimed(Claims):
        def __len__(self):
            return len(seasons)

    unclaimed = Unclaimed(None, None, pids)
    for last in days:
        case = judging.Case(seen_so_far, [])
        rows = Court(case, pa.table({}), unclaimed, last, NEVER).colours("mine").to_pylist()
        yield last, {row["pid"]: (row["colour"], row["due"], row["reason"]) for row in rows}, looks


SPARSE = st.lists(st.tuples(st.integers(5, 70), st.sampled_from([0.12, 0.3, 0.55, 0.8])), min_size=2, max_size=8)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(SPARSE, min_size=2, max_size=4),
    st.lists(RULES, min_size=1, max_size=4),
    st.integers(0, 2),
    st.sets(st.integers(19_850, 20_010), max_size=6),
)
def test_while_nothing_new_is_seen_colours_only_move_forward_by_rules_with_dates_of_their_own(
    seasons, rules, looks, images
):
    """Images of radar that say nothing of mowing are nothing new."""
    listed = [{**{key: each[key] for key in each if key != "condition"}, **each["condition"]} for each in rules]
    before, red = {}, set()
    for last, now, taken in replayed(
        seasons, {"due": "08-31", "looks": looks, "rules": listed}, range(19_850, 20_010, 3), images
    ):
        seen_since = {str(taken.owner[at]) for at in np.flatnonzero((taken.day > last - 3) & (taken.day <= last))}
        for pid, (colour, _, _) in before.items():
            if pid not in seen_since:
                assert pid in now or not FORWARD[colour], (pid, colour)
                assert pid not in now or FORWARD[now[pid][0]] >= FORWARD[colour], (pid, last, colour, now[pid])
        assert red <= {pid for pid, (colour, _, _) in now.items() if colour == "red"}
        red |= {pid for pid, (colour, _, _) in now.items() if colour == "red"}
        before = now


def day_of(text):
    return (date.fromisoformat(f"2024-{text}") - date(1970, 1, 1)).days


def test_cannot_be_seen_by_a_rule_that_is_due_earlier_stays_when_the_scenario_is_due():
    rules = [
        {"colour": "cannot be seen", "due": "06-20", "unseen": True, "reason": "not seen often enough"},
        {"colour": "red", "due": "06-20", "marker": "vegetated", "at_most": 0, "reason": "no crop"},
        {"colour": "green", "reason": "grew"},
    ]
    asked = [day_of(text) for text in ("06-19", "06-20", "07-10", "07-11", "08-30", "08-31", "09-20", "09-21", "10-10")]
    said = [rows["0"] for _, rows, _ in replayed([[(5, 0.12), (5, 0.12)]], {"due": "08-31", "rules": rules}, asked)]
    unseen = ("cannot be seen", date(2024, 6, 20), "seen clearly 0 of 1 times since it was due on 2024-06-20")
    assert [row[:2] for row in said[:3]] == [("not yet due", date(2024, 6, 20))] * 3
    assert said[3:7] == [unseen] * 4
    assert (
        said[7:]
        == [("cannot be seen", date(2024, 8, 31), "seen clearly 0 of 1 times since it was due on 2024-08-31")] * 2
    )


@pytest.mark.parametrize(
    ("looks", "images"),
    [
        pytest.param([], ["09-02"], id="an image of radar while looks are waited for"),
        pytest.param(["09-02"], [], id="one look of two that are waited for"),
        pytest.param([], ["09-02", "09-25"], id="images before and after the end of waiting"),
    ],
)
def test_cannot_be_seen_stays_while_too_little_is_seen_once_the_scenario_is_due(looks, images):
    rules = [
        {"colour": "cannot be seen", "due": "06-20", "unseen": True, "reason": "not seen often enough"},
        {"colour": "green", "reason": "grew"},
    ]
    season = [day_of("04-01"), day_of("04-06"), *map(day_of, looks)]
    steps = [(int(step), 0.12) for step in np.diff([19_783 + 20, *season])]
    asked, days = {"due": "08-31", "looks": 2, "rules": rules}, range(day_of("07-11"), day_of("10-10"), 3)
    said = [rows["0"][0] for _, rows, _ in replayed([steps], asked, days, [day_of(text) for text in images])]
    assert set(said) == {"cannot be seen"}


def test_what_needs_no_waiting_stays_yellow_whether_or_not_radar_has_seen_the_parcel_since():
    rules = [{"colour": "yellow", "early": True, "marker": "vegetated", "at_least": 1, "reason": "perhaps"}]
    days = range(day_of("08-01"), day_of("10-30"), 5)
    for images in ([], ["08-25"], ["09-05"], ["09-05", "09-29"]):
        moments = [day_of(text) for text in images]
        said = [
            rows["0"][0] for _, rows, _ in replayed([[(9, 0.8)] * 15], {"due": "08-31", "rules": rules}, days, moments)
        ]
        assert set(said) == {"yellow"}


def test_due_is_the_date_of_the_rule_that_decides_or_is_next():
    rules = [
        {"colour": "red", "due": "06-20", "marker": "vegetated", "at_most": 0, "reason": "no crop"},
        {"colour": "green", "reason": "grew"},
    ]
    bare, green = [(9, 0.12)] * 20, [(9, 0.8)] * 20
    days = [day_of(text) for text in ("05-01", "07-10", "10-10")]
    lights = [rows for _, rows, _ in replayed([bare, green], {"due": "08-31", "rules": rules}, days)]
    first, last = date(2024, 6, 20), date(2024, 8, 31)
    assert [lights[0][pid] for pid in "01"] == [("not yet due", first, "is judged on 2024-06-20")] * 2
    assert lights[1]["0"] == ("red", first, "no crop")
    assert lights[1]["1"] == ("not yet due", last, "is judged on 2024-08-31")
    assert (lights[2]["0"][:2], lights[2]["1"][:2]) == (("red", first), ("green", last))
