"""Lights that rest on the check of declared crops: what it says, when it counts, and that it is not needed."""

from datetime import date

import factories
import pyarrow as pa
import pytest
from checked_crops import CHECKED, CROPS, PIDS, SAYS, put
from test_lights_due import STANDS, colours
from test_markers import fill, seen

from cbm_lake import markers
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, schemas
from cbm_lake.markers.parameters import read

pytestmark = pytest.mark.thorough


SCENARIO = "the declared crop grows"
WAITS = "was due on 2024-09-22, waits for a crop check of that day or later"
LIGHTS = {
    "a": (
        "red",
        (
            "another crop than the declared one: likely maize (0.90) or sunflower (0.06); "
            "at most 5 % of the accused are accused wrongly; since 2024-07-05"
        ),
    ),
    "b": ("green", "the declared crop: grassland (0.97); since 2024-05-06"),
    "c": ("yellow", "the crop check cannot say: maize or sunflower"),
    "d": ("yellow", "the crop check cannot say: no crop is declared"),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Four parcels that look alike all season, to the end of November, without a crop check."""
    lake = Lake(str(tmp_path_factory.mktemp("standing")))
    fill(lake, *(row for pid in PIDS for row in seen(pid, STANDS)), pids=PIDS, crops=CROPS)
    markers.find("ms", 2024, lake=lake)
    return lake


@pytest.fixture
def standing(prepared, lake):
    """A copy of it."""
    return factories.copied(prepared, lake)


@pytest.fixture
def checked(standing):
    put(standing, SAYS)
    return standing


def test_a_verdict_is_a_light_with_the_likely_crops_the_promise_and_since_when(checked):
    assert colours(checked, scenario=SCENARIO) == LIGHTS


def test_a_light_says_from_when_to_when_and_how_sure_the_verdict_is(checked):
    lights = {
        row["pid"]: row for row in markers.traffic_light("ms", 2024, scenarios=[SCENARIO], lake=checked).to_pylist()
    }
    fields = ("events", "date_start", "date_end", "due")
    assert [lights["a"][name] for name in fields] == [1, date(2024, 7, 5), CHECKED, date(2024, 9, 22)]
    assert [lights[pid]["confidence"] for pid in "abcd"] == [pytest.approx(0.996), pytest.approx(0.97), None, None]
    (row,) = (
        row
        for row in markers.evidence("ms", 2024, "a", SCENARIO, lake=checked).to_pylist()
        if row["marker"] == "crop_check"
    )
    assert (row["marker_type"], row["date_main"]) == ("disagrees", date(2024, 7, 5))
    assert [row[f"value_{number}"] for number in (1, 2, 3)] == pytest.approx([0.004, 0.9, 1])


def test_without_a_check_lights_are_those_of_the_other_scenarios_and_of_that_one_it_is_said(standing):
    others = [name for name, one in read().scenarios.items() if not one.example and name != SCENARIO]
    named = markers.traffic_light("ms", 2024, scenarios=others, lake=standing)
    assert markers.traffic_light("ms", 2024, lake=standing).equals(named)
    for ask in (
        lambda: markers.traffic_light("ms", 2024, scenarios=[SCENARIO], lake=standing),
        lambda: markers.evidence("ms", 2024, "a", SCENARIO, lake=standing),
    ):
        with pytest.raises(NotFoundError, match=r"asks for a crop check, and none was made yet; make it first"):
            ask()


def test_a_scenario_that_cannot_be_judged_without_a_check_leaves_the_named_others(standing, caplog):
    lights = markers.traffic_light("ms", 2024, scenarios=["grassland is mown", SCENARIO], lake=standing)
    assert set(lights["scenario"].to_pylist()) == {"grassland is mown"}
    assert "none was made yet" in caplog.text


def test_with_a_check_the_other_scenarios_stay_as_they_are(standing):
    before = markers.traffic_light("ms", 2024, lake=standing)
    put(standing, SAYS)
    after = markers.traffic_light("ms", 2024, lake=standing)
    assert [row for row in after.to_pylist() if row["scenario"] != SCENARIO] == before.to_pylist()
    assert {row["pid"] for row in after.to_pylist() if row["scenario"] == SCENARIO} == set(PIDS)


@pytest.mark.parametrize("day", ["2024-05-10", "2024-09-21"])
def test_before_the_due_date_nothing_is_said(checked, day):
    assert set(colours(checked, day, SCENARIO).values()) == {("not yet due", "is judged on 2024-09-22")}


def test_a_check_that_used_less_than_up_to_the_due_date_accuses_nobody(standing):
    put(standing, SAYS, day=date(2024, 9, 21))
    waits = (
        "was due on 2024-09-22, waits for a crop check of that day or later; the last one used data up to 2024-09-21"
    )
    assert set(colours(standing, scenario=SCENARIO).values()) == {("not yet due", waits)}
    put(standing, SAYS, day=date(2024, 9, 22), run="r2")
    assert colours(standing, scenario=SCENARIO) == LIGHTS


def test_a_check_that_used_later_data_than_the_day_that_is_judged_does_not_count(checked):
    waits = "was due on 2024-09-22, waits for a crop check of that day or later that uses nothing after 2024-09-30"
    assert set(colours(checked, "2024-09-30", SCENARIO).values()) == {("not yet due", waits)}
    assert colours(checked, "2024-10-01", SCENARIO) == colours(checked, "2024-12-31", SCENARIO) == LIGHTS


def test_a_check_of_a_day_that_no_scene_has_reached_counts_by_the_last_scene(lake):
    early = [look for look in STANDS if look[0] < 250]
    fill(lake, *(row for pid in PIDS for row in seen(pid, early)), pids=PIDS, crops=CROPS)
    markers.find("ms", 2024, lake=lake)
    put(lake, SAYS, day=date(2024, 12, 31))
    assert {colour for colour, _ in colours(lake, "2024-12-31", SCENARIO).values()} == {"not yet due"}


def test_a_verdict_that_became_clear_only_after_the_due_date_counts(standing):
    put(standing, {**SAYS, "a": {**SAYS["a"], "since": date(2024, 9, 29)}})
    colour, reason = colours(standing, scenario=SCENARIO)["a"]
    assert colour == "red"
    assert reason.endswith("since 2024-09-29")


def test_looks_that_come_later_turn_no_red(checked):
    before = colours(checked, scenario=SCENARIO)
    later = [row for pid in PIDS for row in seen(pid, [(340, 0.1), (345, 0.1), (350, 0.1)])]
    factories.write(checked, factories.signatures(*later), scene="B")
    markers.find("ms", 2024, lake=checked)
    assert colours(checked, scenario=SCENARIO) == before == LIGHTS


def test_a_parcel_with_another_crop_or_outline_than_was_checked_waits_for_a_new_check(checked):
    rows = factories.parcels(PIDS, [("maize", "411"), *CROPS[1:]])
    column = rows.schema.get_field_index("geometry")
    shapes = rows["geometry"].to_pylist()
    shapes[2] = factories.outline(2, 90).wkb
    checked.add_parcels("ms", 2024, "", "v2", rows.set_column(column, rows.schema.field(column), [shapes]))
    lights = colours(checked, scenario=SCENARIO)
    waits = f"{WAITS}; it was declared otherwise since the last one"
    assert lights["a"] == lights["c"] == ("not yet due", waits)
    assert (lights["b"], lights["d"]) == (LIGHTS["b"], LIGHTS["d"])


def test_a_parcel_that_was_not_in_the_check_waits_for_one(standing):
    put(standing, {pid: SAYS[pid] for pid in "bcd"})
    colour, reason = colours(standing, scenario=SCENARIO)["a"]
    assert (colour, reason.split("; ")[1]) == ("not yet due", "the last one says nothing of it")


def test_of_some_parcels_the_lights_are_those_among_all(checked):
    assert colours(checked, scenario=SCENARIO, pids=["c", "a"]) == {pid: LIGHTS[pid] for pid in "ac"}


def test_a_check_of_another_set_says_nothing_of_this_one(standing):
    standing.add_parcels("ms", 2024, "other", "v1", factories.parcels(PIDS, CROPS))
    parcels = standing.parcel_set("ms", 2024, "other")
    row = {**parcels.params, "pid": "a", "version": "v1", "run": "r", "day": CHECKED, "part": 1, **SAYS["a"]}
    standing.put("checked_crops", pa.Table.from_pylist([row], schema=schemas.CROP_CHECKS), 1)
    with pytest.raises(NotFoundError, match="none was made yet"):
        colours(standing, scenario=SCENARIO)


RULE = {"colour": "red", "marker": "crop_check", "type": "disagrees", "at_least": 1, "reason": "x"}


@pytest.mark.parametrize(
    "scenario",
    [
        {"rules": [RULE]},
        {"due": "09-22", "rules": [{**RULE, "early": True}]},
        {"due": "09-22", "rules": [RULE, {"colour": "green", "due": "06-30", "reason": "y"}]},
    ],
)
def test_before_its_due_date_a_crop_check_decides_no_light(standing, scenario):
    with pytest.raises(InvalidInputError, match="counts crop_check is due on one day for all of its rules"):
        markers.traffic_light("ms", 2024, parameters={"scenarios": {"own": scenario}}, lake=standing)


def test_an_own_scenario_may_count_verdicts_of_little_doubt_only(checked):
    sure = {**RULE, "confidence": 0.999}
    own = {"own": {"due": "09-22", "looks": 0, "rules": [sure, {"colour": "yellow", "reason": "look at it"}]}}
    lights = colours(checked, scenario="own", parameters={"scenarios": own})
    assert set(lights.values()) == {("yellow", "look at it")}


def test_no_detector_may_be_named_as_the_verdict_is():
    with pytest.raises(InvalidInputError, match="crop_check"):
        read({"detectors": {"crop_check": {"kind": "peak", "series": "ndvi", "which": "highest"}}})


@pytest.mark.parametrize(
    ("promised", "words"),
    [
        ({"alpha": 0.01}, "at most 1 % of the accused are accused wrongly"),
        ({"alpha": 0.025, "promise": "parcels"}, "at most 2.5 % of the right declarations are accused"),
    ],
)
def test_a_light_says_what_was_promised_and_of_what(standing, promised, words):
    put(standing, SAYS, **promised)
    assert words in colours(standing, scenario=SCENARIO)["a"][1]


def test_of_a_check_whose_record_is_lost_nothing_is_promised(standing):
    put(standing, SAYS, recorded=False)
    reason = "another crop than the declared one: likely maize (0.90) or sunflower (0.06); since 2024-07-05"
    assert colours(standing, scenario=SCENARIO)["a"] == ("red", reason)
