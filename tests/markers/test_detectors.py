"""The language of detectors: each kind against a plain second writing of it, and what is refused, skipped, claimed."""

import logging
from datetime import UTC, date, datetime, timedelta

import detector_reference as plain
import factories
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cbm_lake import markers
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import open_lake, schemas
from cbm_lake.markers.detected import Detected
from cbm_lake.markers.detection import detect
from cbm_lake.markers.kinds import Relation
from cbm_lake.markers.parameters import read
from cbm_lake.markers.series import Observations, Series

NEW_YEAR = datetime(2024, 1, 1, 10, 40, tzinfo=UTC)
FIRST = (date(2024, 1, 1) - date(1970, 1, 1)).days


def ragged_of(parcels):
    offsets = np.cumsum([0, *map(len, parcels)]).astype(np.int64)
    flat = np.array([pair for parcel in parcels for pair in parcel], float).reshape(-1, 2)
    return Series(offsets, flat[:, 0].astype(np.int32), flat[:, 1].astype(np.float32))


def observed(ndvi, coherence=None, crops=None, **others):
    """Observations of parcels whose series are [(day, value), …]."""
    series = ragged_of(ndvi)
    count = len(ndvi)
    return Observations(
        pa.array([str(number) for number in range(count)]),
        np.array(crops or [None] * count, object),
        series,
        ragged_of(coherence or [[]] * count),
        series.count,
        series.count,
        series.count,
        np.zeros(count, np.float32),
        series.count >= 8,
        **others,
    )


def detected(observations, **detectors):
    """The events of the last of some detectors, parcel by parcel."""
    parameters = read({"detectors": detectors})
    chosen = {name: parameters.detectors[name] for name in detectors}
    result = detect(observations, 2024, chosen)[list(detectors)[-1]]
    return [result.rows[parcel, : result.count[parcel]] for parcel in range(len(result.rows))]


def assert_same(found, expected):
    for events, wanted in zip(found, expected, strict=True):
        assert events == pytest.approx(np.array(wanted, float).reshape(-1, 7), rel=1e-5, abs=1e-5, nan_ok=True)


def series_of(low, high, most=40):
    """Series of values that float32 holds exactly, so that no rounding decides."""
    pair = st.tuples(st.integers(FIRST, FIRST + 365), st.integers(low, high).map(lambda value: value / 64))
    return st.lists(st.lists(pair, max_size=most, unique_by=lambda one: one[0]).map(sorted), min_size=1, max_size=4)


ndvi_series = series_of(-8, 64)
coherence_series = series_of(0, 64, most=25)
SPRING = {"start": "03-01", "end": "06-30"}
IN_SPRING = (FIRST + 60, FIRST + 181)


def upside_down(parcels):
    return [[(day, -value) for day, value in series] for series in parcels]


def turned(events, *fields):
    """Events whose fields have the other sign."""
    return [[[-value if n in fields else value for n, value in enumerate(one)] for one in some] for some in events]


# -- each kind against a plain writing of it ---------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(ndvi_series)
def test_states_are_the_periods_between_two_values(parcels):
    seen = observed(parcels)
    assert_same(
        detected(seen, x={"kind": "state", "series": "ndvi", "at_least": 0.5, "days": 10, "looks": 2}),
        [plain.state(series, 0.5, np.inf, 10, 2) for series in parcels],
    )
    low = [plain.state(series, -0.25, np.inf, 10) for series in upside_down(parcels)]
    assert_same(detected(seen, x={"kind": "state", "series": "ndvi", "at_most": 0.25, "days": 10}), turned(low, 3, 4))
    part = [[one for one in series if IN_SPRING[0] <= one[0] <= IN_SPRING[1]] for series in parcels]
    assert_same(
        detected(seen, x={"kind": "state", "series": "ndvi", "at_least": 0.25, "at_most": 0.75, "window": SPRING}),
        [plain.state(series, 0.25, 0.75 + 1e-9) for series in part],
    )


@settings(max_examples=100, deadline=None)
@given(ndvi_series)
def test_peaks_are_the_highest_or_lowest_values(parcels):
    seen = observed(parcels)
    assert_same(detected(seen, x={"kind": "peak", "series": "ndvi"}), [plain.peak(series) for series in parcels])
    assert_same(
        detected(seen, x={"kind": "peak", "series": "ndvi", "which": "lowest"}),
        turned([plain.peak(series) for series in upside_down(parcels)], 3),
    )


@settings(max_examples=150, deadline=None)
@given(ndvi_series)
def test_drops_fall_and_recover_and_may_also_rise(parcels):
    seen = observed(parcels)
    how = {"kind": "drop", "series": "ndvi", "by": 0.125, "within": 25, "apart": 30}
    assert_same(
        detected(seen, x=how | {"from": 0.5, "regain": 0.25, "regrowth": 45, "window": SPRING}),
        [plain.drop(series, 0.125, 0.5, 25, 0.25, 45, 30, IN_SPRING) for series in parcels],
    )
    whole = (-np.inf, np.inf)
    assert_same(
        detected(seen, x=how), [plain.drop(series, 0.125, -np.inf, 25, None, 0, 30, whole) for series in parcels]
    )
    assert_same(
        detected(seen, x=how | {"direction": "up", "from": 0.25}),
        [plain.drop(series, 0.125, -0.25, 25, None, 0, 30, whole) for series in upside_down(parcels)],
    )


@settings(max_examples=150, deadline=None)
@given(ndvi_series)
def test_thresholds_are_crossed_by_steps_that_last(parcels):
    seen = observed(parcels)
    how = {"kind": "threshold", "series": "ndvi", "by": 0.125, "apart": 15}
    assert_same(
        detected(seen, x=how | {"below": 0.25, "stays": {"below": 0.5, "days": 30}}),
        [plain.threshold(series, 0.25, 0.125, 0.5, 30, 15) for series in parcels],
    )
    assert_same(
        detected(seen, x=how | {"above": 0.5}),
        turned([plain.threshold(series, -0.5, 0.125, np.inf, 0, 15) for series in upside_down(parcels)], 4),
    )


@settings(max_examples=100, deadline=None)
@given(ndvi_series)
def test_gaps_are_days_without_a_value(parcels):
    seen = observed(parcels)
    assert_same(
        detected(seen, x={"kind": "gap", "series": "ndvi", "days": 20}), [plain.gap(series, 20) for series in parcels]
    )
    assert_same(
        detected(seen, x={"kind": "gap", "series": "ndvi", "days": 20, "window": SPRING}),
        [plain.gap(series, 20, IN_SPRING) for series in parcels],
    )


@settings(max_examples=100, deadline=None)
@given(coherence_series)
def test_rises_and_dips_stand_out_from_the_values_around(parcels):
    seen = observed([[]] * len(parcels), parcels)
    how = {"samples": 5, "false_alarm": 1e-6, "least_deviation": 0.03125, "by": 0.109, "days": 6}
    assert_same(
        detected(seen, x={"kind": "rise", "series": "coherence", **how}),
        [plain.rise(series, 0.109, 5, 1e-6, 0.03125, 6) for series in parcels],
    )
    assert_same(
        detected(seen, x={"kind": "dip", "series": "coherence", "by": 0.2, "around": 30, "days": 6}),
        [plain.dip(series, 0.2, 30, 6) for series in parcels],
    )


RELATIONS = {
    "before": ({"before": 20}, {"low": -20, "high": 0}),
    "after": ({"after": 20}, {"low": 0, "high": 20}),
    "after its end": (
        {"after": 20, "from": "end", "its": "start"},
        {"low": 0, "high": 20, "begin": 2, "end": 2} | {"its_begin": 0, "its_end": 0},
    ),
    "within": ({"within": 10}, {"low": -10, "high": 10, "begin": 0, "end": 2}),
    "during": ({"during": True}, {"low": 0, "high": 0, "begin": 0, "end": 2}),
    "overlapping": ({"overlapping": True}, {"low": 0, "high": 0, "begin": 0, "end": 2, "its_begin": 0, "its_end": 2}),
}


@pytest.mark.parametrize("name", RELATIONS)
@settings(max_examples=60, deadline=None)
@given(parcels=ndvi_series)
def test_combinations_ask_for_other_events_near_an_event(name, parcels):
    relation, how = RELATIONS[name]
    one = {"kind": "threshold", "series": "ndvi", "below": 0.25, "by": 0.125, "hidden": True}
    two = {"kind": "state", "series": "ndvi", "at_least": 0.5, "hidden": True}
    asked = [{"detector": "two", **relation}]
    found = detected(observed(parcels), one=one, two=two, x={"kind": "combination", "of": "one", "with": asked})
    without = detected(observed(parcels), one=one, two=two, x={"kind": "combination", "of": "one", "without": asked})
    events = [plain.threshold(series, 0.25, 0.125, np.inf, 0, 0) for series in parcels]
    others = [plain.state(series, 0.5, np.inf) for series in parcels]
    pairs = list(zip(events, others, strict=True))
    assert_same(found, [[one for one in some if plain.near(one, other, **how)] for some, other in pairs])
    assert_same(without, [[one for one in some if not plain.near(one, other, **how)] for some, other in pairs])


@pytest.mark.parametrize(
    ("relation", "inside", "outside"),
    [
        ({"before": 20}, (-5, 15), (-6, 16)),
        ({"after": 20}, (15, 35), (14, 36)),
        ({"within": 10}, (0, 30), (-1, 31)),
        ({"during": True}, (10, 20), (9, 21)),
        ({"overlapping": True}, (8, 22), (7, 23)),
    ],
)
def test_the_days_of_a_relation_are_inclusive(relation, inside, outside):
    event = Detected(np.array([[[10.0, 15, 20, 0.3, 0, 0, 0.8]]]), np.array([1]), "s2")
    for days, is_near in ((inside, True), (outside, False)):
        for day in days:
            other = Detected(np.array([[[day - 2.0, day, day + 2, 0.3, 0, 0, 0.8]]]), np.array([1]), "s2")
            assert event.near(other, Relation(detector="x", **relation)) == [[is_near]]
            assert not event.near(other, Relation(detector="x", confidence=0.9, **relation))


@settings(max_examples=60, deadline=None)
@given(ndvi_series)
def test_any_of_several_detectors_are_united_by_date_with_their_names(parcels):
    one = {"kind": "threshold", "series": "ndvi", "below": 0.25, "by": 0.125, "hidden": True}
    two = {"kind": "gap", "series": "ndvi", "days": 20, "hidden": True}
    parameters = read({"detectors": {"one": one, "two": two, "x": {"kind": "combination", "any_of": ["one", "two"]}}})
    chosen = {name: parameters.detectors[name] for name in ("one", "two", "x")}
    found = detect(observed(parcels), 2024, chosen)["x"]
    for number, series in enumerate(parcels):
        ones = [(event[1], "one") for event in plain.threshold(series, 0.25, 0.125, np.inf, 0, 0)]
        twos = [(event[1], "two") for event in plain.gap(series, 20)]
        rows = found.rows[number, : found.count[number], 1]
        got = list(zip(rows, found.practice[number, : len(rows)], strict=True))
        assert sorted(got) == sorted(ones + twos)
        assert (np.diff(rows) >= 0).all()


def test_the_longest_the_surest_and_those_of_a_crop_can_be_asked_for():
    series = [(FIRST + day, 0.75) for day in (0, 5, 10, 15)] + [(FIRST + 20, 0.0)] + [(FIRST + 30, 0.75)]
    seen = observed([series, series], crops=["Winter WHEAT", None])
    how = {"kind": "state", "series": "ndvi", "at_least": 0.5}
    assert [len(events) for events in detected(seen, x=how)] == [2, 2]
    assert [events[0, 5] for events in detected(seen, x=how | {"longest": True})] == [4, 4]
    assert [len(events) for events in detected(seen, x=how | {"confidence": 0.6})] == [1, 1]
    assert [len(events) for events in detected(seen, x=how | {"crops": ["wheat"]})] == [2, 0]


def test_only_dates_on_which_another_series_is_within_its_bounds_count():
    days = [FIRST + day for day in (0, 5, 10, 15)]
    ndti = ragged_of([[(day, 0.25) for day in days], []])
    ndvi = [[(day, value) for day, value in zip(days, (0.125, 0.125, 0.75, 0.125), strict=True)], []]
    how = {"kind": "state", "series": "ndti", "at_least": 0.125, "only_where": {"series": "ndvi", "at_most": 0.25}}
    one, none = detected(observed(ndvi, others={"ndti": ndti}), x=how)
    assert [(event[0], event[2], event[5]) for event in one] == [(days[0], days[3], 3)]
    assert not len(none)


# -- the practices -----------------------------------------------------------------------------------------------------


def practice(name, ndvi, **others):
    """The main days (of the year, from 1) of a default marker of one parcel."""
    found = detect(observed([[(FIRST + day - 1, value) for day, value in ndvi]], **others), 2024, read().detectors)
    return [round(float(row[1])) - FIRST + 1 for row in found[name].rows[0, : found[name].count[0]]]


WHEAT = [(70, 0.4), (90, 0.6), (110, 0.8), (130, 0.85), (150, 0.8), (170, 0.6), (180, 0.3), (190, 0.2), (205, 0.18)]
MAIZE = [
    (100, 0.2),
    (120, 0.2),
    (140, 0.25),
    (160, 0.4),
    (180, 0.7),
    (200, 0.85),
    (220, 0.85),
    (240, 0.8),
    (262, 0.5),
    (270, 0.2),
]
BARE = [(220, 0.17), (235, 0.15), (250, 0.16), (265, 0.17), (280, 0.18)]
COVER = [(225, 0.25), (235, 0.4), (245, 0.6), (260, 0.7), (275, 0.75), (290, 0.7), (305, 0.7), (330, 0.65)]


def test_a_catch_crop_is_cover_that_begins_after_a_harvest():
    assert practice("catch_crop", WHEAT + COVER) == [275]
    assert practice("catch_crop", WHEAT + BARE) == []
    assert practice("catch_crop", MAIZE) == []  # it began without a harvest before it
    assert practice("sensitive_cover", WHEAT + COVER) == [275]
    assert practice("sensitive_cover", WHEAT + BARE) == []


def test_crops_grow_in_the_season_of_their_kind():
    assert len(practice("winter_season", WHEAT, crops=["Winter wheat"])) == 1
    assert practice("winter_season", MAIZE, crops=["Winter wheat"]) == []
    assert len(practice("summer_season", MAIZE, crops=["Silage maize"])) == 1
    assert practice("summer_season", WHEAT, crops=["Silage maize"]) == []
    assert practice("winter_season", WHEAT, crops=["Silage maize"]) == []
    assert (len(practice("grown", WHEAT)), len(practice("grown", BARE))) == (1, 0)
    assert len(practice("n_fixing_season", MAIZE, crops=["Soybeans"])) == 1
    assert practice("n_fixing_season", MAIZE, crops=["maize"]) == []


def test_a_sward_is_destroyed_where_full_cover_turns_into_bare_soil():
    sward = [(day, 0.8) for day in range(100, 200, 10)]
    assert practice("sward_destroyed", [*sward, (200, 0.15), (210, 0.14), (225, 0.16)]) == [195]
    assert practice("sward_destroyed", [*sward, (200, 0.4), (210, 0.6), (225, 0.8)]) == []  # mown
    assert practice("sward_destroyed", WHEAT + BARE) == []  # ripe long before


def test_work_in_the_fallow_period_and_early_mowing_are_told_apart_from_later():
    early = [(110, 0.8), (130, 0.8), (140, 0.5), (150, 0.6), (165, 0.8), (180, 0.8)]
    late = [(day + 60, value) for day, value in early]
    assert practice("fallow_worked", early) == practice("mown_early", early) == practice("mowing", early) == [135]
    assert practice("mown_late", early) == practice("mown_early", late) == practice("fallow_worked", late) == []
    assert practice("mown_late", late) == practice("mowing", late) == [195]


# -- over a lake -------------------------------------------------------------------------------------------------------


def rows_of(pid, days, **values):
    """Signatures on days of the year; each keyword is a band and its mean on each day."""
    for number, day in enumerate(days):
        moment = NEW_YEAR + timedelta(days=day - 1)
        bands = {
            key: item for name, means in values.items() for key, item in factories.band(name, means[number]).items()
        }
        yield factories.signature(pid, f"S{day}", moment, **bands)


def radar_rows(card, pid, days, **values):
    known = {field.name for field in schemas.signatures(card)}
    for number, day in enumerate(days):
        row = factories.signature(pid, f"R{day}", NEW_YEAR + timedelta(days=day - 1))
        bands = {f"{band}_mean": means[number] for band, means in values.items()}
        bands |= {f"{band}_count": 25 for band in values}
        yield {name: value for name, value in row.items() if name in known and name[0] not in "B"} | bands


def fill(lake, *rows, pids=("a", "b"), bs=(), c6=(), **columns):
    crops = [("grassland", "451")] * len(pids)
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(pids, crops, **columns))
    factories.write(lake, factories.signatures(*rows))
    for card, radar in (("bs", bs), ("c6", c6)):
        if radar:
            factories.write(lake, factories.signatures(*radar, card=card), scene=card, card=card)
    return lake


def found(lake, marker, **others):
    return [row for row in markers.find("ms", 2024, lake=lake, **others).to_pylist() if row["marker"] == marker]


DAYS = (100, 110, 120, 130, 140, 150, 160, 170)
SOIL = {"B04": [1600] * 8, "B08": [2000] * 8}


def test_residue_is_seen_where_ndti_is_high_on_ground_that_is_not_green(lake):
    residue = {"B11": [3000] * 8, "B12": [2300] * 8}  # 700 / 5300 = 0.132
    green = SOIL | {"B04": [400] * 8, "B08": [4000] * 8}
    fill(lake, *rows_of("a", DAYS, **SOIL, **residue), *rows_of("b", DAYS, **green, **residue))
    (event,) = found(lake, "residue_cover")
    assert (event["pid"], event["marker_type"], event["value_3"]) == ("a", "s2", 8)
    assert event["value_1"] == pytest.approx(700 / 5300, abs=1e-5)
    assert [(row["pid"], row["value_1"]) for row in found(lake, "observed_ndti")] == [("a", 8), ("b", 8)]


def test_a_series_that_was_not_extracted_skips_its_detectors_says_so_once_and_in_rows(lake, caplog):
    fill(lake, *rows_of("a", DAYS, **SOIL), *rows_of("b", DAYS, **SOIL))
    asked = {"wet": {"kind": "state", "series": "backscatter_vh", "at_most": -20}}
    asked["wetter"] = {"kind": "combination", "of": "wet"}
    caplog.set_level(logging.INFO)
    rows = markers.find("ms", 2024, parameters={"detectors": asked}, lake=lake).to_pylist()
    (_, wet), (_, residue) = said = skipped_in(caplog)
    assert [level for level, _ in said] == ["WARNING", "INFO"]
    assert (
        wet == "ms 2024: backscatter_vh needs VH of card bs, which was not extracted there, "
        "so that nothing is said of wet, wetter"
    )
    assert (
        residue == "ms 2024: ndti needs B11 and B12 of card s2, which were not extracted there, "
        "so that nothing is said of residue_cover"
    )
    none = [row for row in rows if row["marker"] in ("observed_ndti", "observed_backscatter_vh")]
    assert [(row["pid"], row["value_1"], row["confidence"]) for row in none] == [("a", 0, 0)] * 2 + [("b", 0, 0)] * 2
    assert not [row for row in rows if row["marker"] in ("wet", "wetter", "residue_cover")]


@pytest.mark.parametrize(("there", "absent"), [("B11", "B12"), ("B12", "B11")])
def test_only_the_bands_that_are_missing_are_named(lake, caplog, there, absent):
    fill(lake, *rows_of("a", DAYS, **SOIL, **{there: [3000] * 8}))
    caplog.set_level(logging.INFO)
    markers.find("ms", 2024, lake=lake)
    ((level, line),) = skipped_in(caplog)
    assert (level, f"ndti needs {absent} of card s2, which was not extracted" in line) == ("INFO", True)


@pytest.mark.parametrize(
    "own",
    [
        {
            "scenarios": {
                "residue": {"rules": [{"colour": "green", "marker": "residue_cover", "at_least": 1, "reason": "straw"}]}
            }
        },
        {"detectors": {"residue_cover": {"at_least": 0.2}}},
    ],
    ids=["a scenario counts it", "the agency set it"],
)
def test_it_is_a_warning_where_the_agency_asks_for_what_is_not_said(lake, caplog, own):
    fill(lake, *rows_of("a", DAYS, **SOIL))
    caplog.set_level(logging.INFO)
    markers.find("ms", 2024, parameters=own, lake=lake)
    assert [level for level, _ in skipped_in(caplog)] == ["WARNING"]


def skipped_in(caplog):
    """Level and text of the lines that say which detectors say nothing."""
    return [(each.levelname, each.getMessage()) for each in caplog.records if "nothing is said of" in each.getMessage()]


def test_bands_indices_and_radar_can_be_looked_at(lake):
    b11 = [1000, 1000, 3000, 3000, 3000, 1000, 1000, 1000]
    power = [0.1, 0.1, 0.01, 0.01, 0.1, 0.1, 0.1, 0.1]
    level = [0.2, 0.2, 0.2, 0.8, 0.8, 0.2, 0.2, 0.2]
    fill(
        lake,
        *rows_of("a", DAYS, **SOIL, B11=b11),
        bs=list(radar_rows("bs", "a", DAYS, VV=power, VH=power)),
        c6=list(radar_rows("c6", "a", DAYS, VV=level, VH=[0.5] * 8)),
    )
    asked = {
        "bright": {"kind": "state", "series": "B11", "at_least": 2500},
        "dry": {"kind": "peak", "series": "ndmi", "which": "lowest"},
        "low": {"kind": "state", "series": "backscatter_vv", "at_most": -15},
        "stable": {"kind": "state", "series": "coherence_vv", "at_least": 0.5},
    }
    rows = markers.find("ms", 2024, parameters={"detectors": asked}, lake=lake).to_pylist()
    own = {row["marker"]: row for row in rows if row["marker"] in asked}
    assert (own["bright"]["value_1"], own["bright"]["value_3"], own["bright"]["marker_type"]) == (3000, 3, "s2")
    assert own["dry"]["value_1"] == pytest.approx((2000 - 3000) / 5000)
    assert (own["low"]["value_3"], own["low"]["marker_type"]) == (2, "bs")
    assert own["low"]["value_1"] == pytest.approx(-20, abs=1e-4)
    assert (own["stable"]["value_1"], own["stable"]["marker_type"]) == (pytest.approx(0.8), "c6")


def test_clouded_dates_count_in_no_series(lake):
    rows = list(rows_of("a", DAYS, **SOIL, B11=[1000] * 8, B12=[1000] * 8))
    rows[3] |= {"scl_4": 0, "scl_9": 25}
    fill(lake, *rows)
    (row,) = found(lake, "observed_ndti")  # of the other parcel nothing was seen at all
    assert (row["pid"], row["value_1"]) == ("a", 7)


CLAIMED = [date(2024, 5, 10), None]
CLAIMS = {
    "dates": pa.array(CLAIMED, pa.date32()),
    "texts": pa.array(["2024-05-10", " "]),
    "days of the year": pa.array(["05-10", None]),
    "times": pa.array([datetime(2024, 5, 10), None], pa.timestamp("us")),
}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", CLAIMS)
def test_a_window_may_be_what_the_parcel_itself_claims(lake, kind):
    mown = list(zip(DAYS, (0.8, 0.8, 0.85, 0.5, 0.6, 0.8, 0.8, 0.8), strict=True))  # between days 120 and 130
    bands = {"B04": [2000 * (1 - value) for _, value in mown], "B08": [2000 * (1 + value) for _, value in mown]}
    fill(lake, *rows_of("a", DAYS, **bands), *rows_of("b", DAYS, **bands), mown_by=CLAIMS[kind])
    claimed = {"kind": "combination", "of": "mowing", "window": {"end": "declared.mown_by"}}
    late = {"kind": "combination", "of": "mowing", "window": {"start": "declared.mown_by"}}
    given = {"detectors": {"in_time": claimed, "too_late": late}}
    assert [row["pid"] for row in found(lake, "in_time", parameters=given)] == ["a"]
    assert found(lake, "too_late", parameters=given) == []


@pytest.mark.parametrize("value", ["soon", "02-30"])
def test_claims_that_are_no_dates_give_no_event_and_are_said(lake, caplog, value):
    fill(lake, *rows_of("a", DAYS, **SOIL), mown_by=[value, None])
    asked = {"x": {"kind": "combination", "of": "mowing", "window": {"end": "declared.mown_by"}}}
    assert found(lake, "x", parameters={"detectors": asked}) == []
    assert "detector x: declared.mown_by cannot be read of 1 parcel" in caplog.text
    assert repr(value) in caplog.text


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("mown_at", ["2024-05-10", "2024-05-10"], "asks for declared.mown_by, but ms 2024 have no column mown_by"),
        ("mown_by", [17, 18], "declared.mown_by is of type int64 and no value of it, such as '17', is a date"),
    ],
)
def test_claims_of_a_column_that_is_not_there_or_of_another_type_are_refused(lake, column, values, told):
    fill(lake, *rows_of("a", DAYS, **SOIL), **{column: pa.array(values)})
    asked = {"x": {"kind": "combination", "of": "mowing", "window": {"end": "declared.mown_by"}}}
    with pytest.raises(InvalidInputError) as error:
        markers.find("ms", 2024, parameters={"detectors": asked}, lake=lake)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_column_that_only_other_parcels_have_is_refused(lake):
    fill(lake, *rows_of("a", DAYS, **SOIL))
    others = factories.parcels(("a", "b"), [("grassland", "451")] * 2, mown_by=CLAIMS["dates"])
    lake.add_parcels("be", 2024, "", "v1", others)
    asked = {"x": {"kind": "combination", "of": "mowing", "window": {"end": "declared.mown_by"}}}
    with pytest.raises(InvalidInputError, match="but ms 2024 have no column mown_by"):
        markers.find("ms", 2024, parameters={"detectors": asked}, lake=lake)


def test_the_command_takes_detectors_from_a_file(lake, tmp_path):
    from cbm_lake.cli import app

    fill(lake, *rows_of("a", DAYS, **SOIL))
    file = tmp_path / "mine.yaml"
    file.write_text("detectors:\n  pale: {kind: state, series: ndvi, at_most: 0.2, days: 10}\n", encoding="utf-8")
    run = CliRunner().invoke(app, ["markers", "find", "--aoi", "ms", "--year", "2024", "--parameters", str(file)])
    assert run.exit_code == 0, run.output
    assert open_lake().sql("select pid from markers where marker = 'pale'").to_pylist() == [{"pid": "a"}]
    file.write_text("detectors:\n  pale: {kind: stat, series: ndvi}\n", encoding="utf-8")
    run = CliRunner().invoke(app, ["markers", "find", "--aoi", "ms", "--year", "2024", "--parameters", str(file)])
    assert "parameter detectors.pale is not right: kind must be one of state, peak" in str(run.exception)


# -- what is refused ---------------------------------------------------------------------------------------------------

STATE = {"kind": "state", "series": "ndvi", "at_least": 0.5}
REFUSED = [
    ({"x": {"kind": "stat"}}, "detectors.x is not right: kind must be one of state"),
    ({"x": {"series": "ndvi"}}, "detectors.x is not right: kind must be one of state"),
    ({"x": STATE | {"day": 3}}, "detectors.x.day=3"),
    ({"x": STATE | {"series": "nvdi"}}, "there is no series 'nvdi'; there are: ndvi"),
    ({"x": STATE | {"series": "SCL"}}, "there is no series 'SCL'"),
    ({"x": STATE | {"at_least": 5}}, "ndvi cannot be 5; it lies between -1 and 1"),
    ({"x": STATE | {"at_least": float("nan")}}, "detectors.x.at_least=nan"),
    ({"x": STATE | {"at_most": 0.2}}, "at_least 0.5 is more than at_most 0.2"),
    ({"x": {"kind": "state", "series": "ndvi"}}, "say at_least or at_most"),
    ({"x": STATE | {"days": -1}}, "detectors.x.days=-1"),
    ({"x": STATE | {"days": 40_000}}, "detectors.x.days=40000"),
    ({"x": STATE | {"at_least": "cover.vegetatd"}}, "there is no parameter cover.vegetatd"),
    ({"x": STATE | {"window": {"start": "13-01"}}}, "neither a day of the year"),
    ({"x": STATE | {"window": {"start": "declared."}}}, "neither a day of the year"),
    ({"x": STATE | {"window": {}}}, "say start or end of the window"),
    ({"x": {"kind": "drop", "series": "ndvi", "by": 3, "within": 20}}, "ndvi cannot change by 3"),
    ({"x": {"kind": "drop", "series": "ndvi", "by": 0, "within": 20}}, "detectors.x.by=0"),
    ({"x": {"kind": "drop", "series": "ndvi", "by": 0.1, "within": 20, "regain": 0.4}}, "regain needs regrowth"),
    ({"x": {"kind": "threshold", "series": "ndvi", "by": 0.1}}, "say below or above"),
    (
        {"x": {"kind": "threshold", "series": "ndvi", "by": 0.1, "below": 0.2, "stays": {"above": 0.1, "days": 3}}},
        "stays",
    ),
    (
        {"x": {"kind": "state", "series": "backscatter_vh", "at_most": 0.02, "at_least": -70}},
        "it lies between -60 and 30",
    ),
    ({"x": {"kind": "combination"}}, "say of which detector"),
    ({"x": {"kind": "combination", "of": "harvst"}}, "x asks for detector 'harvst', which there is not"),
    ({"x": {"kind": "combination", "of": "mowing", "with": [{"detector": "harvest"}]}}, "say one of before, after"),
    ({"x": {"kind": "combination", "of": "y"}, "y": {"kind": "combination", "of": "x"}}, "in a circle: "),
    ({"x": {"kind": "combination", "of": "x"}}, "in a circle: x → x"),
    ({"similarity": STATE}, "'similarity' is no name of a detector"),
    ({"observed_ndvi": STATE}, "'observed_ndvi' is no name of a detector"),
    ({"my marker": STATE}, "'my marker' is no name of a detector"),
    ({"vegetated": None}, "asks for detector 'vegetated', which there is not"),
    (
        {"x": {"kind": "end", "series": "ndvi", "ends": "mowing", "grown": 0.5, "by": 0.3, "away": 3, "days": 4}},
        "not of kind state",
    ),
    ({"x": 3}, "detectors.x=3"),
    ([], "detectors=[]"),
]


@pytest.mark.parametrize(("detectors", "told"), REFUSED)
def test_what_is_wrong_in_a_detector_is_refused_in_one_line(detectors, told):
    with pytest.raises(InvalidInputError) as error:
        read({"detectors": detectors})
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_detector_is_changed_in_part_or_written_anew_and_can_be_left_out():
    assert read({"detectors": {"grown": {"days": 3}}}).detectors["grown"].at_least == 0.5
    assert read({"cover": {"vegetated": 0.4}}).detectors["vegetated"].at_least == 0.4
    anew = read({"detectors": {"grown": {"kind": "peak", "series": "ndvi"}, "sward_destroyed": None}}).detectors
    assert anew["grown"].kind == "peak"
    assert "sward_destroyed" not in anew


def test_whoever_moves_the_season_of_mowing_moves_that_of_its_falls():
    assert read({"mowing": {"season": {"start": "03-01"}}}).mowing.falls.start == "03-01"
    both = {"season": {"start": "03-01"}, "falls": {"start": "04-01"}}
    assert read({"mowing": both}).mowing.falls.start == "04-01"
