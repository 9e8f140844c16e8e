"""Claims that cannot be read concern their parcel alone: it is yellow and says why, and all others are judged."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_lights_due import BEFORE, GRASS, STANDS, claimed, colours
from test_markers import MOWN, seen
from typer.testing import CliRunner

from cbm_lake import cases, markers
from cbm_lake.cli import app
from cbm_lake.markers import claimvalues
from cbm_lake.markers.lights import refusals
from cbm_lake.season.recording import record as record_changes

EPOCH = date(1970, 1, 1)


def day_of(value, year=2024):
    """The day that a value means, None for null, or the problem."""
    read = claimvalues.meanings(pa.array([value]), claimvalues.days(year))
    if read.problems[0]:
        return read.problems[0]
    return None if np.isnan(read.values[0]) else EPOCH + timedelta(days=int(read.values[0]))


def meaning(of, value):
    """The number that a value means, None for null, or the problem."""
    read = claimvalues.meanings(pa.array([value]), of)
    return read.problems[0] or (None if np.isnan(read.values[0]) else read.values[0])


# -- values ------------------------------------------------------------------------------------------------------------


@given(st.dates(date(2023, 1, 1), date(2025, 12, 31)))
def test_a_date_is_the_same_day_however_it_is_written(day):
    serial = (day - date(1899, 12, 30)).days
    zoned = f"{day}T23:30:00+02:00"
    forms = [day, f"{day}", f"{day:%Y%m%d}", f"{day:%d.%m.%Y}", f"{day.day}.{day.month}.{day.year}", f" {day} ", zoned]
    forms += [
        serial,
        float(serial),
        str(serial),
        int(f"{day:%Y%m%d}"),
        datetime(day.year, day.month, day.day, tzinfo=UTC),
    ]
    assert {day_of(form) for form in forms} == {day}


@pytest.mark.parametrize(
    "value",
    [
        "31.02.2020",
        "02-30",
        "01/07/2024",
        "07/01/2024",
        "15.06.24",
        "June",
        "n/a",
        "-",
        "2024",
        "0615",
        "12:30",
        "99999",
    ],
)
def test_what_is_no_date_or_may_be_two_is_none(value):
    assert day_of(value) == repr(value)


@pytest.mark.parametrize("value", ["2014-07-01", "01.07.2014", date(2014, 7, 1), "20140701"])
def test_a_date_of_another_year_is_outside_the_season(value):
    assert day_of(value) == f"'{value}', outside the season of 2024,"


@pytest.mark.parametrize("value", [None, "", "  ", "None", "none", "NULL", "NaN", "nat", "<NA>"])
def test_what_programs_write_for_a_missing_value_is_null(value):
    column = pa.array([value], pa.string())
    for of in (claimvalues.days(2024), claimvalues.flag, claimvalues.number):
        assert claimvalues.meanings(column, of).is_null.all()


@pytest.mark.parametrize("yes", ["ja", "Y", "1", 1, 1.0, True, "oui", "TAK", "sí", "WAHR", "1,0", Decimal("1.0")])
@pytest.mark.parametrize("no", ["nein", "N", "0", 0, 0.0, False, "non", "NIE", "FALSCH", "0.0"])
def test_flags_are_yes_and_no_of_people_and_programs(yes, no):
    assert (meaning(claimvalues.flag, yes), meaning(claimvalues.flag, no)) == (1, 0)


@pytest.mark.parametrize("value", ["perhaps", "2", 2, 0.5, "x", "ja nein"])
def test_what_is_no_flag_is_none(value):
    assert meaning(claimvalues.flag, value) == f"'{value}'"


@pytest.mark.parametrize(
    ("text", "number"),
    [("2,5", 2.5), ("-2,75", -2.75), ("12", 12), (" 7.5 ", 7.5), ("0,1234", 0.1234), (3, 3), (Decimal("1.5"), 1.5)],
)
def test_numbers_have_a_point_or_a_comma(text, number):
    assert meaning(claimvalues.number, text) == number


@pytest.mark.parametrize("text", ["1,250", "1.250,5", "1,250.5", "ten", "1_000", "inf", "2,5 ha"])
def test_a_comma_that_may_separate_thousands_is_not_guessed_at(text):
    assert meaning(claimvalues.number, text) == repr(text)


# -- lights ------------------------------------------------------------------------------------------------------------

OWN = {
    "two claims": {
        "due": "declared.end",
        "rules": [
            {
                "colour": "red",
                "marker": "mowing",
                "from": "declared.begin",
                "to": "declared.end",
                "at_least": 1,
                "reason": "mown",
            },
            {"colour": "green", "reason": "rested"},
        ],
    },
    "flag": {"claimed": "declared.flag", "due": "08-31", "rules": [{"colour": "green", "reason": "right"}]},
    "number": {
        "where": {"declared.size": {"at_least": 2}},
        "due": "08-31",
        "rules": [{"colour": "green", "reason": "right"}],
    },
    "list": {"due": ["declared.end", "08-31"], "rules": [{"colour": "green", "reason": "right"}]},
}


def own(*names):
    return {"scenarios": {name: OWN[name] for name in names}}


def judged(lake, claims, scenario, *, parameters=None, day="2024-09-30"):
    """Colour and reason of some parcels that stand, by their identifiers."""
    pids = tuple("abcd"[: len(next(iter(claims.values())))])
    claimed(lake, claims, *(row for pid in pids for row in seen(pid, STANDS)), pids=pids)
    return colours(lake, day, scenario, parameters=parameters)


@pytest.mark.thorough
def test_a_date_that_cannot_be_read_is_yellow_and_all_others_are_judged(lake, caplog):
    caplog.set_level("INFO")
    lights = judged(lake, {"mown_before": ["07-01", "31.02.2020", "2014-07-01", None]}, BEFORE)
    assert lights == {
        "a": ("red", "not mown before the declared day"),
        "b": ("yellow", "claim not readable: '31.02.2020' in mown_before"),
        "c": ("yellow", "claim not readable: '2014-07-01', outside the season of 2024, in mown_before"),
    }
    (line,) = [record.getMessage() for record in caplog.records if "cannot judge" in record.getMessage()]
    assert "2 parcels" in line
    assert "b: claim not readable: '31.02.2020'" in line
    levels = [each.levelname for each in caplog.records if "does not judge 1 parcel without a claim" in each.message]
    assert levels == ["INFO"]
    rows = markers.traffic_light("ms", 2024, scenarios=[BEFORE], lake=lake).to_pylist()
    assert [row["due"] for row in rows] == [date(2024, 7, 1), None, None]
    recorded = record_changes(lake, lake.parcel_set("ms", 2024, None), scenarios=[BEFORE]).to_pylist()
    assert {row["pid"]: row["after"] for row in recorded if row["kind"] == "light"} == {
        "a": "red",
        "b": "yellow",
        "c": "yellow",
    }
    (case,) = cases.open_cases("ms", 2024, scenarios=[BEFORE], colours="yellow", pids=["b"], lake=lake)[
        "case_id"
    ].to_pylist()
    assert cases.verify(case, lake=lake).equal


def test_numbers_of_days_of_excel_are_said(lake, caplog):
    assert judged(lake, {"mown_before": [45474, None]}, BEFORE)["a"][0] == "red"
    assert "numbers are taken as days as Excel counts them; 45474 is 2024-07-01" in caplog.text


def test_the_day_of_the_scenario_does_not_stand_in_for_a_claim_that_cannot_be_read(lake):
    lights = judged(lake, {"end": ["perhaps", None]}, "list", parameters=own("list"))
    assert lights == {"a": ("yellow", "claim not readable: 'perhaps' in end"), "b": ("green", "right")}


def test_days_that_end_before_they_begin_or_are_due_outside_the_season_are_yellow(lake):
    begin, end = ["06-01", "08-01", None, "06-01"], ["08-01", "06-01", "08-01", "2025-02-01"]
    lights = judged(lake, {"begin": begin, "end": end}, "two claims", parameters=own("two claims"))
    assert lights["a"] == ("green", "rested")
    assert lights["b"] == ("yellow", "claim cannot be judged: from 2024-08-01 to 2024-06-01, which is before")
    assert "c" not in lights
    assert lights["d"][0] == "yellow"
    assert "due on 2025-02-01, outside the season that is observed" in lights["d"][1]


def test_a_flag_or_number_that_cannot_be_read_is_yellow(lake):
    claims = {"flag": ["ja", "perhaps", "nein", None], "size": ["2,5", "1,250", "1.5", ""]}
    lights = judged(lake, claims, "flag", parameters=own("flag"))
    assert lights == {"a": ("green", "right"), "b": ("yellow", "claim not readable: 'perhaps' in flag")}
    lights = colours(lake, "2024-09-30", "number", parameters=own("number"))
    assert lights == {"a": ("green", "right"), "b": ("yellow", "claim not readable: '1,250' in size")}


def test_a_column_that_is_not_there_costs_its_scenario_and_no_other(lake, caplog):
    claimed(lake, {"other": ["x"]}, *seen("a", STANDS), pids=("a",))
    rows = markers.traffic_light("ms", 2024, scenarios=[BEFORE, GRASS], lake=lake).to_pylist()
    assert [(row["scenario"], row["colour"]) for row in rows] == [(GRASS, "red")]
    (line,) = [
        record.getMessage() for record in caplog.records if "have no column 'mown_before'" in record.getMessage()
    ]
    assert line.endswith("the agency's further columns: other; it is not judged")


def test_a_night_says_why_a_scenario_is_not_judged_in_its_result_and_not_in_a_warning_besides(lake, caplog):
    claimed(lake, {"other": ["x"]}, *seen("a", STANDS), pids=("a",))
    changes = record_changes(lake, lake.parcel_set("ms", 2024, None), scenarios=[BEFORE, GRASS])
    assert "have no column 'mown_before'" in refusals(changes)[BEFORE]
    assert "mown_before" not in caplog.text


def test_recording_changes_by_command_warns_of_what_is_not_judged(lake, caplog):
    claimed(lake, {"other": ["x"]}, *seen("a", STANDS), pids=("a",))
    scenarios = [word for name in (BEFORE, GRASS) for word in ("--record-scenario", name)]
    result = CliRunner().invoke(app, ["changes", "--aoi", "ms", "--year", "2024", "--record", *scenarios])
    assert result.exit_code == 0, result.output
    assert (result.output + caplog.text).count("have no column 'mown_before'") == 1


@pytest.mark.thorough
def test_lights_of_a_scenario_that_cannot_be_judged_stay_as_they_were_recorded(lake):
    judged(lake, {"mown_before": ["07-01"]}, BEFORE)
    parcels = lake.parcel_set("ms", 2024, None)
    record_changes(lake, parcels, scenarios=[BEFORE, GRASS])
    table = lake.read_parcels(parcels)
    lake.add_parcels("ms", 2024, "", "v2", table.drop_columns(["mown_before"]))
    changes = record_changes(lake, lake.parcel_set("ms", 2024, None), scenarios=[BEFORE, GRASS]).to_pylist()
    assert [row for row in changes if row["scenario"] == BEFORE] == []
    lights = lake.sql("select scenario, colour from lights order by scenario").to_pylist()
    assert {row["scenario"] for row in lights} == {BEFORE, GRASS}


def test_a_claim_of_a_detectors_window_that_cannot_be_read_makes_what_counts_it_yellow(lake, caplog):
    detectors = {"early_cut": {"kind": "combination", "of": "mowing", "window": {"end": "declared.until"}}}
    rules = [
        {"colour": "red", "marker": "early_cut", "at_least": 1, "reason": "mown early"},
        {"colour": "green", "marker": "early_cut", "at_most": 0, "reason": "not mown early"},
    ]
    parameters = {"detectors": detectors, "scenarios": {"mine": {"due": "08-01", "rules": rules}}}
    claimed(lake, {"until": ["06-15", "31.02.2020"]}, *seen("a", MOWN), *seen("b", MOWN))
    markers.find("ms", 2024, parameters=parameters, lake=lake)
    assert "declared.until cannot be read of 1 parcel, so that they have no event: b: '31.02.2020'" in caplog.text
    lights = colours(lake, "2024-08-17", "mine", parameters=parameters)
    assert lights == {"a": ("red", "mown early"), "b": ("yellow", "claim not readable: '31.02.2020' in until")}
