"""Days as users write them."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbm_lake.card2db import search
from cbm_lake.errors import InvalidInputError
from cbm_lake.extract import planning
from cbm_lake.files.dates import day_of, parse_day
from cbm_lake.lake import options
from cbm_lake.parcel.chips import scenes
from cbm_lake.rasters.selection import Choice

ZONES = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
PANDAS = pd.Timestamp.min.ceil("D").to_pydatetime(), pd.Timestamp.max.floor("D").to_pydatetime()


@given(st.dates())
def test_a_day_is_read_from_each_way_of_writing_it(day):
    year, week, weekday = day.isocalendar()
    forms = [day, day.isoformat(), day.isoformat().replace("-", ""), f" {day.isoformat()}\n", np.datetime64(day)]
    forms += [f"{year:04}-W{week:02}-{weekday}"] if 1 <= year <= 9999 else []
    assert {parse_day(form) for form in forms} == {day}


@given(st.datetimes(timezones=ZONES), st.sampled_from("T "))
def test_a_timestamp_counts_for_the_day_that_is_written_in_it(timestamp, separator):
    assert parse_day(timestamp) == parse_day(timestamp.isoformat(separator)) == timestamp.date()


@given(st.datetimes(*PANDAS))
def test_timestamps_of_pandas_and_numpy_are_days_too(timestamp):
    assert parse_day(pd.Timestamp(timestamp)) == parse_day(np.datetime64(timestamp)) == timestamp.date()
    assert type(parse_day(pd.Timestamp(timestamp))) is date


TEXTS = ["soon", "2024", "2024-03", "2024-3-1", "2024-02-30", "01/03/2024", "2024-03-01x", "2024-03-01T25:00", " "]
TEXTS += ["2024-03-01/2024-04-01", "2024-03-01 and later"]
OTHERS = [None, 20240301, 1.5, True, b"2024-03-01", pd.NaT, np.datetime64("NaT"), np.datetime64("2024-03"), ["2024"]]


@pytest.mark.parametrize("value", TEXTS + OTHERS, ids=repr)
def test_what_is_no_day_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"isoformat|neither a date|out of range|must be in"):
        parse_day(value)
    with pytest.raises(InvalidInputError) as refused:
        day_of(value, "date")
    assert str(refused.value).startswith(f"{value!r} is no date (")


@given(st.text(max_size=20))
def test_any_text_is_a_day_or_refused(text):
    try:
        outcome = day_of(text)
    except InvalidInputError as error:
        outcome = str(error)
    assert type(outcome) is date or f"{text!r} is no day" in outcome


READERS = {
    "card2db": lambda value: date.fromisoformat(search.days(value, value)[0][:10]),
    "extract": lambda value: planning.days(value, value)[0].date(),
    "cube": lambda value: Choice.of("s2", None, None, None, None, None, value, value).start,
    "chips": lambda value: scenes._day(value).date(),
    "options": options._day,
}
FORMS = ["2024-03-01", "20240301", " 2024-03-01 ", "2024-03-01T10:30:00Z", date(2024, 3, 1)]
FORMS += [datetime(2024, 3, 1, 23, tzinfo=UTC), pd.Timestamp("2024-03-01 10:00")]


@pytest.mark.parametrize("form", FORMS, ids=repr)
@pytest.mark.parametrize("verb", READERS)
def test_all_verbs_read_days_alike(verb, form):
    assert READERS[verb](form) == date(2024, 3, 1)
