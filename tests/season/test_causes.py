"""Causes of changes: each kind, with several parcels, scenes and nights at once; what is not known is said so."""

import shutil
from datetime import date, timedelta

import factories
import nights
import pyarrow as pa
import pytest

from cbm_lake import markers, season
from cbm_lake.lake import Lake
from cbm_lake.season.basis import NightBasis

pytestmark = pytest.mark.thorough


HOW = {"peers": {"least": 3}, "clear": {"dates": 3}}
AREA = nights.AREA
BEFORE = "mown before the declared day"
GREEN = {"colour": "green", "marker": "mowing", "at_least": 1, "early": True, "reason": "mown"}
CLAIMED = {"due": ["declared.until", "09-15"], "rules": [GREEN, {"colour": "red", "reason": "not mown"}]}
OF_GRASS = {"crops": ["grass"], "due": "09-15", "rules": [GREEN, {"colour": "red", "reason": "not mown"}]}
SEEN = {
    "due": "09-15",
    "rules": [{"colour": "yellow", "marker": "observed", "at_least": 1, "early": True, "reason": "seen"}],
}
OWN = {"claimed": CLAIMED, "grass": OF_GRASS, "seen": SEEN}
"""The light of the last one changes with each clear look."""


def parameters(**scenarios):
    """Parameters with these scenarios only."""
    usual = dict.fromkeys(("grassland is mown", "arable land is worked", "cover stays", "looks as declared"))
    return {**HOW, "scenarios": {**usual, **scenarios}}


def night(lake, day=None, how=None, scenarios=None, find=True):
    """One night, and what it recorded by parcel, kind and what changed: the cause."""
    how = how or parameters(**OWN)
    if find:
        markers.find(**AREA, parameters=how, only_new=True, lake=lake)
    return season.record(lake, lake.parcel_set("ms", 2024), day, parameters=how, scenarios=scenarios).to_pylist()


def causes(rows, pids=None, kind=None):
    """The causes that are given for what changed of some parcels, comparisons with others left out."""
    compared = ("similarity", "distance_rank", "homogeneity")
    return {
        row["cause"]
        for row in rows
        if (pids is None or row["pid"] in pids)
        and kind in (None, row["kind"])
        and row["kind"] != "scene"
        and row["marker"] not in compared
    }


def declare(lake, version, until=(), crops=None, fewer=0, shifted=()):
    """The parcels, with a claim of some of them (place and day), other crops, or without the first."""
    rows = factories.parcels(nights.PIDS, crops or nights.CROPS)
    if shifted:
        shapes = [factories.outline(n, 80 if n in shifted else factories.SIDE).wkb for n in range(len(nights.PIDS))]
        at = rows.schema.get_field_index("geometry")
        rows = rows.set_column(at, rows.schema.field(at), [shapes])
    claims = dict(until)
    rows = rows.append_column("until", pa.array([claims.get(n) for n in range(len(nights.PIDS))], pa.string()))
    lake.add_parcels("ms", 2024, "", version, rows.slice(fewer))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder of a lake with parcels and six scenes, recorded once."""
    lake = Lake(str(tmp_path_factory.mktemp("prepared") / "lake"))
    declare(lake, "v1_a")
    for number in range(10, 16):
        nights.extract(lake, number, version="v1_a")
    night(lake)
    return lake.url


@pytest.fixture
def begun(prepared, tmp_path):
    """A lake like that."""
    return Lake(shutil.copytree(prepared, str(tmp_path / "lake")))


def test_new_scenes_over_some_parcels_each_are_the_cause_there_alone(begun):
    nights.extract(begun, 16, places=[0, 1], version="v1_a")
    nights.extract(begun, 17, places=[1, 2], version="v1_a")
    rows = night(begun)
    assert causes(rows, ["p0"]) == {"new scene s2 S16E0"}
    assert causes(rows, ["p1"]) == {"new scene s2 S16E0, S17E0"}
    assert causes(rows, ["p2"]) == {"new scene s2 S17E0"}
    assert causes(rows, ["p3", "p4", "p5", "p6", "p7"]) <= {f"the days up to {nights.obstime(17).date()} passed"}


def test_a_scene_that_is_left_out_and_put_back_is_said_so_over_its_own_parcels_alone(begun):
    nights.extract(begun, 16, places=[0, 5], version="v1_a")
    night(begun)
    nights.toggle(begun, 16)
    day = nights.obstime(16).date()
    out = night(begun, day)
    nights.toggle(begun, 16)
    back = night(begun, day)
    assert causes(out, ["p0", "p5"]) == {"left out: s2 S16E0"}
    assert causes(back, ["p0", "p5"]) == {"put back: s2 S16E0"}
    assert causes(out, ["p1", "p2", "p3", "p4", "p6", "p7"]) == set()
    assert [row["cause"] for row in back if row["kind"] == "scene"] == ["put back: it was right (x)"]


def test_two_causes_in_one_night_are_both_named(begun):
    nights.extract(begun, 16, places=[0], version="v1_a")
    night(begun)
    nights.toggle(begun, 16)
    nights.extract(begun, 17, places=[0, 1], version="v1_a")
    rows = night(begun)
    assert causes(rows, ["p0"]) == {"left out: s2 S16E0; new scene s2 S17E0"}
    assert causes(rows, ["p1"]) == {"new scene s2 S17E0"}


def test_a_scene_processed_anew_supersedes_and_comes_back_when_that_is_left_out(begun):
    nights.extract(begun, 12, 1, version="v1_a")
    assert causes(night(begun)) == {"new scene s2 S12E1; superseded: s2 S12E0"}
    nights.toggle(begun, 12, 1)
    assert causes(night(begun)) == {"left out: s2 S12E1; no longer superseded: s2 S12E0"}


def again(lake, number, places, base=None, version="v1_a", **others):
    """Extract a scene again over some parcels, as another extraction."""
    name = nights.name_of(number)
    extraction = 7_000_000_000 + number
    rows = [nights.row(number, place, name, 3) | {"extraction": extraction} for place in places]
    lake.write_signatures("s2", factories.signatures(*rows), extraction)
    former = lake.sql("select extraction from ledger where scene = $id and status = 'done'", id=name)["extraction"][
        0
    ].as_py()
    facts = {"attempt": 2, "extraction": extraction, "base": former if base else None, "parcels": version, **others}
    lake.record(factories.entry(name, finished=nights.obstime(number), **facts))


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({}, "extracted again: s2 S14E0"),
        ({"mask": "clouds"}, "extracted again with another mask: s2 S14E0"),
        ({"rule": "coverage"}, "extracted again by another pixel rule: s2 S14E0"),
        ({"boa_offset": 0}, "extracted again with another offset: s2 S14E0"),
    ],
)
def test_how_a_scene_was_extracted_again_is_said_by_the_ledger(begun, others, words):
    again(begun, 14, nights.EVERYWHERE, **others)
    assert causes(night(begun)) == {words}


def test_only_redrawn_parcels_have_an_outline_and_an_extraction_as_cause(begun):
    declare(begun, "v2_a", shifted=[2, 3])
    lost = night(begun)
    assert causes(lost, ["p2", "p3"]) == {"outline changed"}
    assert causes(lost, ["p0", "p1", "p4", "p5", "p6", "p7"]) == set()
    for number in range(10, 16):
        again(begun, number, [2, 3], base=True, version="v2_a")
    rows = night(begun)
    assert causes(rows, ["p2", "p3"]) == {"6 times extracted for new outlines: s2"}
    assert causes(rows, ["p0", "p1", "p4", "p5", "p6", "p7"]) == set()


def test_parcels_that_are_new_or_gone_have_that_alone_as_cause(begun):
    declare(begun, "v2_a", fewer=1)
    rows = night(begun)
    assert causes(rows, ["p0"]) == {"parcel declared no more"}
    assert causes(rows, ["p1", "p2", "p3"]) == set()
    declare(begun, "v1_a")
    nights.extract(begun, 16, version="v1_a")
    rows = night(begun)
    assert causes(rows, ["p0"]) == {"new parcel"}
    assert causes(rows, nights.PIDS[1:]) == {"new scene s2 S16E0"}


def test_another_crop_and_another_claim_are_the_cause_in_the_scenarios_that_ask_for_them(begun):
    crops = [("winter wheat", "2"), *nights.CROPS[1:]]
    declare(begun, "v1_b", until={1: "06-01", 2: "07-01"}, crops=crops)
    rows = [row for row in night(begun) if row["kind"] == "light"]
    assert {(row["pid"], row["scenario"], row["after"]) for row in rows if row["pid"] == "p0"} == {
        ("p0", "grass", None)
    }
    assert causes(rows, ["p0"]) == {"crop code is 2, was 1; crop is winter wheat, was grassland"}
    assert causes(rows, ["p1"]) == {"declared.until is 06-01, was empty"}
    assert causes(rows, ["p2"]) == {"declared.until is 07-01, was empty"}
    assert causes(rows, ["p3", "p4", "p5", "p6", "p7"]) == set()


def test_rules_that_changed_and_scenarios_that_come_and_go_are_the_cause_of_their_lights_alone(begun):
    other = {**OF_GRASS, "due": "07-01"}
    rows = night(begun, how=parameters(grass=other, more=CLAIMED), scenarios=["grass", "more"])
    by_scenario = {(row["scenario"], row["cause"]) for row in rows}
    assert by_scenario == {
        ("claimed", "scenario is judged no more"),
        ("grass", "rules of the scenario changed"),
        ("more", "scenario is judged since"),
        ("seen", "scenario is judged no more"),
    }


def test_an_example_is_judged_since_the_night_on_which_it_was_asked_for_by_name(begun):
    how = parameters(**OWN, more={**CLAIMED, "example": True})
    night(begun, how=how)
    rows = night(begun, how=how, scenarios=["grass", "more"])
    assert causes([row for row in rows if row["scenario"] == "more"]) == {"scenario is judged since"}
    rows = night(begun, how=how)
    assert causes([row for row in rows if row["scenario"] == "more"]) == {"scenario is judged no more"}


def test_the_due_date_is_a_cause_only_where_it_came_since_the_last_night_and_decided(begun):
    due = date(2024, 9, 15)
    until = due + timedelta(days=20)
    before = season.changes(kind="light", details=True, lake=begun).to_pylist()
    early = {row["pid"] for row in before if row["scenario"] == "grass" and row["after"] == "green"}
    rows = night(begun, due)
    assert {row["pid"] for row in rows if row["scenario"] == "grass"}.isdisjoint(early)
    assert causes(rows, kind="light") == {"due on 2024-09-15"}
    rows = night(begun, until)
    assert causes(rows, kind="light") == set()
    rows = night(begun, until + timedelta(days=7))
    assert causes(rows, kind="light") == {f"due on {due}, too few clear looks by {until}"}
    assert {row["after"] for row in rows if row["kind"] == "light"} == {"cannot be seen"}


def clouded(lake, number, version="v1_a"):
    """A scene that sees clouds alone."""
    name, moment = f"CLOUDS{number}", nights.obstime(number)
    lake.add_scenes(factories.scenes(factories.scene(name, moment, acquisition=name, baseline="05.10")))
    rows = [factories.signature(pid, name, moment, scl={9: 25}) for pid in nights.PIDS]
    factories.write(lake, factories.signatures(*rows), factories.parcel_set(version=version), name, finished=moment)


def test_clouds_are_no_cause_of_a_light_that_waits_for_clear_looks_or_has_waited_in_vain(begun):
    clouded(begun, 40)
    assert causes(night(begun), kind="light") == {"due on 2024-09-15"}
    clouded(begun, 44)
    assert causes(night(begun), kind="light") == {"due on 2024-09-15, too few clear looks by 2024-10-05"}


def test_a_new_scene_is_no_cause_of_lights_that_come_or_go_by_crops_and_scenarios(begun):
    declare(begun, "v1_b", crops=[("winter wheat", "2"), *nights.CROPS[1:4], ("grassland", "1"), *nights.CROPS[5:]])
    nights.extract(begun, 16, version="v1_b")
    rows = night(begun, how=parameters(**OWN, more=CLAIMED), scenarios=["grass", "more"])
    of = {(row["pid"], row["scenario"], row["cause"]) for row in rows if row["kind"] == "light"}
    assert {cause for pid, scenario, cause in of if (pid, scenario) in {("p0", "grass"), ("p4", "grass")}} == {
        "crop code is 2, was 1; crop is winter wheat, was grassland",
        "crop code is 1, was 2; crop is grassland, was winter wheat",
    }
    assert {cause for _, scenario, cause in of if scenario == "more"} == {"scenario is judged since"}
    assert {cause for _, scenario, cause in of if scenario == "seen"} == {"scenario is judged no more"}


def test_an_early_green_before_it_is_due_has_the_scene_alone_as_cause(begun):
    for number in range(16, 24):
        nights.extract(begun, number, version="v1_a")
    rows = [row for row in night(begun) if row["kind"] == "light" and row["after"] == "green"]
    assert rows
    assert not any("due" in row["cause"] for row in rows)


def test_scenes_of_days_that_were_not_judged_yet_are_the_cause_when_the_day_comes(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    declare(lake, "v1_a")
    for number in range(10, 20):
        nights.extract(lake, number, version="v1_a")
    night(lake, nights.obstime(12).date())
    rows = night(lake, nights.obstime(15).date(), find=False)
    changed = [row for row in rows if row["kind"] == "light"]
    assert changed
    assert causes(changed) == {"of a day that was not judged before: s2 S13E0, S14E0, S15E0"}


def test_markers_that_are_searched_later_than_the_scene_was_recorded_have_the_scene_as_cause(begun):
    for number in (16, 17, 18):
        nights.extract(begun, number, version="v1_a")
    night(begun, find=False)
    rows = night(begun)
    assert {row["kind"] for row in rows} == {"marker"}
    assert {row["cause"] for row in rows} == {"new scene s2 S16E0, S17E0, S18E0"}


def test_what_compares_parcels_names_what_came_over_the_others(begun):
    nights.extract(begun, 16, places=[0, 1, 2], version="v1_a")
    rows = [row for row in night(begun) if row["marker"] in ("similarity", "distance_rank", "homogeneity")]
    others = {row["cause"] for row in rows if row["pid"] not in ("p0", "p1", "p2")}
    assert others <= {"over parcels that it is compared with: new scene s2"}
    assert {row["cause"] for row in rows if row["pid"] in ("p0", "p1", "p2")} <= {"new scene s2 S16E0"}


def test_other_parameters_are_a_cause_and_what_nobody_remembers_is_not_known(begun):
    fewer = {**parameters(**OWN), "clear": {"dates": 5}}
    assert causes(night(begun, how=fewer), kind="marker") <= {"searched by other parameters"}
    other = {**parameters(**OWN), "cover": {"vegetated": 0.95}}
    markers.find(**AREA, parameters=other, pids=list(nights.PIDS), lake=begun)
    assert causes(night(begun, how=fewer, find=False), kind="marker") == {"not known"}


def test_a_basis_of_an_earlier_version_can_still_be_compared(begun):
    text = '{"how": "x", "parcels": "v1_a", "scenes": {"s2": {"A": "1"}}}'
    basis = NightBasis.read(text)
    assert (basis.searched_scenes, basis.is_detailed) == ({"s2": {"A": "1"}}, False)
    full = NightBasis.now(
        begun, begun.parcel_set("ms", 2024), markers.parameters.read(parameters(**OWN)), ["grass"], None
    )
    assert NightBasis.read(full.noted(begun)) == full
