"""Signals that separate: equal to scipy's tests where these are, honest about chance where nothing was done."""

import itertools
import json
from datetime import date, timedelta

import crops_lake
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

from cbm_lake import crops
from cbm_lake.cli import app
from cbm_lake.crops import eventwindows, separation
from cbm_lake.crops.eventwindows import LongSeries
from cbm_lake.crops.separation import adjusted, separate
from cbm_lake.crops.signaltables import NO_DAY, days, series_of, truth_of
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError

START = date(2024, 3, 1)


def of_one_column(values, done, stratum=None, **options):
    stratum = np.zeros(len(values), int) if stratum is None else np.asarray(stratum)
    return separate(np.asarray(values, float)[:, None], np.asarray(done, bool), stratum, **options)


# -- the statistic ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 10**6))
def test_of_one_stratum_it_is_the_exact_test_of_mann_and_whitney(n, k, seed):
    values = np.random.default_rng(seed).permutation(n + k).astype(float)
    done = np.arange(n + k) < n
    answer = of_one_column(values, done)
    expected = stats.mannwhitneyu(values[done], values[~done], method="exact")
    assert answer.exact
    assert answer.auc[0] == pytest.approx(expected.statistic / (n * k))
    assert answer.p[0] == pytest.approx(expected.pvalue)


def test_of_several_strata_it_is_scipys_permutation_test_with_ties_and_gaps():
    values = np.array([3, 1, 1, 5, 2, 2, np.nan, 7, 7, 1, 4.0])
    done = np.array([1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], bool)
    stratum = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    groups = [np.flatnonzero(stratum == number) for number in range(3)]

    def statistic(one, two, three):
        chosen = (int(one), int(two), int(three))
        return sum(
            np.nansum(np.sign(values[group[pick]] - values[group])) for group, pick in zip(groups, chosen, strict=True)
        )

    observed = statistic(0, 0, 0)
    everything = [statistic(*each) for each in itertools.product(range(3), range(4), range(4))]
    answer = of_one_column(values, done, stratum)
    assert answer.exact
    assert answer.smallest == 1 / 48
    assert answer.p[0] == pytest.approx(np.mean(np.abs(everything) >= abs(observed)))
    assert answer.z[0] == pytest.approx(observed / np.std(everything))
    assert (answer.n_done[0], answer.n_not[0]) == (3, 7)
    assert answer.auc[0] == pytest.approx((2 + 2 + 2.5) / 7)


def test_random_permutations_come_near_all_of_them():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(24, 3)) + np.array([0, 0.8, 2.0])
    done, stratum = np.arange(24) % 6 == 0, np.repeat(np.arange(4), 6)
    values[~done] -= np.array([0, 0.8, 2.0])
    whole = separate(values, done, stratum, permutations=2000)
    part = separate(values, done, stratum, permutations=1000, seed=3)
    assert (whole.exact, part.exact) == (True, False)
    assert part.smallest == 1 / 1001
    np.testing.assert_allclose(part.p, whole.p, atol=4 * np.sqrt(0.25 / 1000))
    np.testing.assert_array_equal(part.z, whole.z)


def test_labels_are_drawn_inside_of_strata_and_no_p_value_is_zero():
    done, bounds = np.array([1, 0, 0, 1, 1, 0, 0, 0], bool), [(0, 3), (3, 8)]
    (labels,) = separation._drawn(done, bounds, 500, np.random.default_rng(0))
    assert set(labels[:, :3].sum(axis=1)) == {1}
    assert set(labels[:, 3:].sum(axis=1)) == {2}
    np.testing.assert_allclose(labels.mean(axis=0), [1 / 3] * 3 + [2 / 5] * 5, atol=0.1)
    values, stratum = np.tile([9.0, 1, 2, 3, 4, 5], 8), np.repeat(np.arange(8), 6)
    answer = of_one_column(values, np.arange(48) % 6 == 0, stratum, permutations=199)
    assert answer.auc[0] == 1
    assert answer.p[0] == answer.p_max[0] == answer.smallest == 1 / 200


@pytest.mark.slow
@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_exchanging_the_labels_turns_the_separation_round_and_keeps_the_p_value(seed):
    rng = np.random.default_rng(seed)
    values, stratum = rng.integers(0, 6, 16).astype(float), np.repeat([0, 1], 8)
    values[rng.random(16) < 0.1] = np.nan
    done = np.tile(rng.permutation(np.arange(8) < 4), 2)
    one, other = of_one_column(values, done, stratum), of_one_column(values, ~done, stratum)
    np.testing.assert_allclose(one.z, -other.z)
    np.testing.assert_allclose(one.auc, 1 - other.auc)
    np.testing.assert_allclose(one.p, other.p)


def test_the_order_of_members_does_not_matter():
    rng = np.random.default_rng(5)
    values, done, stratum = rng.normal(size=(12, 2)), np.arange(12) % 3 == 0, np.arange(12) % 2
    order = rng.permutation(12)
    one, other = separate(values, done, stratum), separate(values[order], done[order], stratum[order])
    for name in ("p", "p_max", "z", "auc", "effect", "done", "not_done"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))


def test_the_effect_is_the_difference_in_standard_deviations_inside_of_strata():
    values = [10, 1, 3, 110, 101, 103]
    answer = of_one_column(values, [1, 0, 0, 1, 0, 0], [0, 0, 0, 1, 1, 1])
    assert answer.effect[0] == pytest.approx(8 / np.sqrt(2))
    assert (answer.done[0], answer.not_done[0]) == (60, 52)


def test_a_column_without_differences_has_no_p_value_and_counts_for_nothing():
    values = np.column_stack([np.ones(6), [9.0, 1, 2, 9, 3, 4], np.full(6, np.nan)])
    answer = separate(values, np.array([1, 0, 0, 1, 0, 0], bool), np.repeat([0, 1], 3))
    assert np.isnan(answer.p[[0, 2]]).all()
    assert answer.p[1] == answer.p_max[1] == pytest.approx(2 / 9)
    q = adjusted(np.array([np.nan, 0.01, 0.04]), "bh")
    assert np.isnan(q[0])
    np.testing.assert_allclose(q[1:], stats.false_discovery_control([0.01, 0.04], method="bh"))
    assert (adjusted(np.array([0.01, 0.04]), "by") >= q[1:]).all()


def test_of_no_effect_p_values_are_uniform_and_discoveries_as_rare_as_said():
    rng = np.random.default_rng(2024)
    done, stratum = np.arange(60) % 6 == 0, np.repeat(np.arange(10), 6)
    level = rng.normal(0, 5, 10)[stratum, None]
    small, families, false = 0, 0, 0
    for seed in range(60):
        answer = separate(rng.normal(size=(60, 20)) + level, done, stratum, permutations=499, seed=seed)
        small += int((answer.p <= 0.1).sum())
        families += bool((answer.p_max <= 0.1).any())
        false += bool((adjusted(answer.p, "bh") <= 0.1).any())
    assert stats.binomtest(small, 60 * 20, 0.1).pvalue > 0.001
    assert stats.binomtest(families, 60, 0.1).pvalue > 0.001
    assert stats.binomtest(false, 60, 0.1, alternative="greater").pvalue > 0.001


# -- weeks around events ---------------------------------------------------------------------------------------------


def test_weeks_begin_on_the_day_of_the_event():
    series = LongSeries("x", np.zeros(5, int), np.array([92, 93, 99, 100, 107]), ("a",), np.arange(5.0)[:, None])
    members = eventwindows.Members(np.array([0]), np.array([100]), np.array([True]), np.array([0]))
    weeks = eventwindows.weekly(series, members, -2, 2)[0, :, 0]
    np.testing.assert_array_equal(weeks, [0, 1.5, 3, 4, np.nan])


def test_a_change_is_against_the_mean_of_the_three_weeks_before():
    weeks = np.array([9.0, 1, 2, np.nan, 5, 7])[None, :, None]
    np.testing.assert_array_equal(eventwindows.changes(weeks, -4)[0, :, 0], [3.5, 5.5])
    assert np.isnan(eventwindows.changes(np.full((1, 6, 1), np.nan), -4)).all()


def test_parcels_with_an_event_near_by_are_no_comparison():
    members = eventwindows.against_parcels(np.array([0, 1, 2]), np.array([100, 110, 200]), 4, 28, 20, 0)
    by_day = {day: members.parcel[members.day == day].tolist() for day in (100, 110, 200)}
    assert by_day == {100: [0, 2, 3], 110: [1, 2, 3], 200: [2, 0, 1, 3]}
    assert members.done.sum() == 3
    alone = eventwindows.against_parcels(np.array([0, 1]), np.array([100, 101]), 2, 28, 20, 0)
    assert (len(alone.parcel), alone.left_out) == (0, 2)


def test_other_dates_of_a_parcel_are_weeks_away_from_each_of_its_events():
    members = eventwindows.against_dates(np.array([5, 5]), np.array([100, 135]), 14, 35)
    first = members.day[members.stratum == 0]
    assert first.tolist() == [100, 65, 72, 79]
    assert members.done[members.stratum == 0].tolist() == [True, False, False, False]


# -- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        ["2020-06-13", "2020-07-01"],
        ["13/06/2020", "01/07/2020"],
        ["06/13/2020", "07/01/2020"],
        ["20200613T165849", "2020-07-01 05:17:47"],
        [date(2020, 6, 13), date(2020, 7, 1)],
    ],
)
def test_dates_are_read_in_the_order_that_only_one_can_have(values):
    expected = [(date(2020, month, day) - date(1970, 1, 1)).days for month, day in ((6, 13), (7, 1))]
    assert days(pa.chunked_array([values]), "truth").tolist() == expected


def test_dates_that_may_be_either_are_refused():
    with pytest.raises(InvalidInputError, match="03/04/2020, where the day or the month may come first"):
        days(pa.chunked_array([["03/04/2020", "05/06/2020"]]), "truth")
    with pytest.raises(InvalidInputError, match="has a date that cannot be read"):
        days(pa.chunked_array([["soon"]]), "truth")
    assert days(pa.chunked_array([[None, "", "NA"]], pa.string()), "x").tolist() == [NO_DAY] * 3


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"parcels": ["1"]}, "it has to have pid and date of what was done, or pid and label"),
        ({"pid": ["1", "2"], "date": ["2024-06-01", None]}, "1 row without a date"),
        ({"pid": ["1", "2"], "label": ["yes", "maybe"]}, "neither done nor not: maybe"),
        (
            {"pid": ["1", "2"], "date": ["2024-06-01"] * 2, "event": ["mown", "ploughed"]},
            "several types of events: mown",
        ),
        ({"pid": pa.array([], pa.string()), "date": pa.array([], pa.string())}, "has no rows"),
    ],
)
def test_a_truth_that_says_too_little_is_refused(columns, reason):
    with pytest.raises(InvalidInputError, match=reason):
        truth_of(pa.table(columns), None)


def test_of_several_types_one_is_chosen_or_named():
    table = pa.table({"pid": ["1", "2"], "date": ["2024-06-01"] * 2, "event": ["mown", "ploughed"]})
    assert truth_of(table, "ploughed").pid == ["2"]
    with pytest.raises(InvalidInputError, match="no event 'sown'; there are: mown, ploughed"):
        truth_of(table, "sown")


def test_files_of_a_folder_are_of_the_parcel_that_their_names_begin_with(tmp_path):
    lines = ["date,band,count,MEAN,hist.4,hist.9", "2024-05-01,NDVI,9,0.5,9,0", "2024-05-06,NDVI,9,NA,9,0"]
    (tmp_path / "12_s2_ts.csv").write_text("\n".join([*lines, "2024-05-11,NDVI,9,0.1,8,1"]))
    (rows,) = series_of(tmp_path)
    assert rows.pid == ["12", "12"]
    assert rows.clouded == 1
    np.testing.assert_array_equal(rows.values["mean"], [0.5, np.nan])
    assert [*rows.values] == ["mean"]


def test_without_a_column_of_signals_each_column_of_numbers_is_one():
    (rows,) = series_of(pa.table({"pid": ["1", "2"], "date": ["2024-05-01"] * 2, "NDVI": [0.1, 0.2], "VV": [1, 2]}))
    assert rows.signal == ["ndvi", "ndvi", "vv", "vv"]
    np.testing.assert_array_equal(rows.values["value"], [0.1, 0.2, 1, 2])


def test_series_that_cannot_be_read_say_why(tmp_path):
    with pytest.raises(InvalidInputError, match="time series have to have pid"):
        series_of(pa.table({"date": ["2024-05-01"], "a": [1.0]}))
    with pytest.raises(SourceError, match=r"has no \.csv or \.parquet"):
        series_of(tmp_path)
    with pytest.raises(SourceError, match="there is no file"):
        series_of(tmp_path / "none.csv")


# -- the whole -------------------------------------------------------------------------------------------------------


def season(parcels=12, events=8, *, drop=0.4, seed=0):
    """Series of two signals every five days, of which one falls at events; and the events."""
    rng = np.random.default_rng(seed)
    chosen = {number: int(rng.integers(60, 140)) for number in rng.choice(parcels, events, replace=False)}
    rows = []
    for number in range(parcels):
        level = rng.normal(0, 0.1)
        for day in range(0, 200, 5):
            wave = 0.5 + 0.3 * np.sin(day / 60) + level + rng.normal(0, 0.02)
            mown = number in chosen and 0 <= day - chosen[number] < 21
            rows.append((f"p{number}", START + timedelta(day), wave - drop * mown, rng.normal()))
    series = pa.table(dict(zip(("pid", "date", "ndvi", "noise"), map(list, zip(*rows, strict=True)), strict=True)))
    pids = [f"p{number}" for number in chosen]
    return pa.table({"pid": pids, "date": [START + timedelta(day) for day in chosen.values()]}), series


def notes(table):
    return json.loads(table.schema.metadata[b"notes"])


def test_a_planted_signal_is_discovered_in_its_weeks():
    truth, series = season()
    rows = crops.signals(truth, series=series).to_pylist()
    assert {row["signal"] for row in rows[:3]} == {"ndvi"}
    assert {row["week"] for row in rows[:3]} <= {0, 1, 2}
    assert rows[0]["auc"] == 0
    assert rows[0]["done"] == pytest.approx(rows[0]["not_done"] - 0.4, abs=0.1)
    assert rows[0]["q"] <= 0.05
    assert rows[0]["p_max"] <= 0.05
    assert min(row["p_max"] for row in rows if row["signal"] == "noise") > 0.05


def test_where_nothing_happened_nothing_is_discovered():
    truth, series = season(drop=0, seed=3)
    table = crops.signals(truth, series=series)
    assert min(table["p_max"].to_pylist()) > 0.05
    assert min(table["q"].to_pylist()) > 0.05


def test_other_dates_of_the_parcel_are_compared_on_request():
    truth, series = season()
    rows = crops.signals(truth, series=series, against="dates").to_pylist()
    assert rows[0]["signal"] == "ndvi"
    assert rows[0]["week"] in (0, 1, 2)


def test_the_same_seed_gives_the_same_answer():
    truth, series = season()
    one, other = (crops.signals(truth, series=series, seed=7, permutations=999) for _ in range(2))
    assert one.equals(other)


def test_labels_are_compared_by_weeks_of_the_calendar_inside_of_strata():
    rng = np.random.default_rng(4)
    rows = [
        (f"p{number}", START + timedelta(day), rng.normal() + 10 * (number % 2) + 5 * (number >= 10 and 70 <= day < 91))
        for number in range(20)
        for day in range(0, 140, 7)
    ]
    series = pd.DataFrame(rows, columns=["pid", "date", "B11"])
    labels = {
        "pid": [f"p{n}" for n in range(20)],
        "done": [n >= 10 for n in range(20)],
        "crop": [n % 2 for n in range(20)],
    }
    best = crops.signals(pd.DataFrame(labels), series=series).to_pylist()[:3]
    assert {row["week"] for row in best} == {(START + timedelta(day)).isocalendar().week for day in (70, 77, 84)}
    assert {row["kind"] for row in best} == {"level"}
    with pytest.raises(InvalidInputError, match="labels of one class only"):
        crops.signals(pd.DataFrame(labels | {"done": [True] * 20}), series=series)


def test_what_cannot_be_compared_is_said_in_plain_words():
    truth, series = season()
    with pytest.raises(InvalidInputError, match="no parcel of truth is among the 12 with observations: x"):
        crops.signals(pa.table({"pid": ["x"], "date": [START]}), series=series)
    with pytest.raises(InvalidInputError, match="1 event of truth are not in the time of the observations"):
        crops.signals(pa.table({"pid": ["p1"], "date": [date(2021, 1, 1)]}), series=series)
    few = pa.table({"pid": ["p1"], "date": [START + timedelta(90)]})
    with pytest.raises(
        InvalidInputError, match=r"1 event with 11 comparisons are too few: the smallest p-value possible"
    ):
        crops.signals(few, series=series)
    with pytest.raises(InvalidInputError, match="there is no statistic 'valu'; did you mean 'value'"):
        crops.signals(truth, series=series, statistics="valu")
    everybody = pa.table({"pid": [f"p{n}" for n in range(12)], "date": [START + timedelta(90)] * 12})
    with pytest.raises(InvalidInputError, match="compare with other dates of each parcel by against=dates"):
        crops.signals(everybody, series=series)
    with pytest.raises(InvalidInputError, match="say aoi= and year= of the parcels in the lake, or series="):
        crops.signals(truth)


def test_unknown_parcels_and_small_numbers_are_noted():
    truth, series = season(events=2)
    more = pa.concat_tables([truth, pa.table({"pid": ["x"], "date": [START + timedelta(90)]})])
    said = " ".join(notes(crops.signals(more, series=series)))
    assert "1 parcel of truth have no observations and are left out: x" in said
    assert "the smallest p-value possible is" in said


def test_rows_that_say_not_done_are_no_events_and_repeated_ones_count_once():
    truth, series = season()
    best = crops.signals(truth, series=series)
    flagged = truth.append_column("done", pa.array([True] * truth.num_rows))
    others = pa.table({"pid": ["p0"], "date": [START + timedelta(100)], "done": [False]})
    again = crops.signals(pa.concat_tables([flagged, flagged.slice(0, 2), others]), series=series)
    assert again.equals(best)
    assert "2 rows of truth say again what another says" in notes(again)


def test_the_figure_is_written_and_shows_each_week(tmp_path):
    truth, series = season()
    table = crops.signals(truth, series=series, figure=tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000
    figure = crops.show_signals(table, kind="change")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == [str(week) for week in range(8)]
    with pytest.raises(InvalidInputError, match="is no figure that can be written"):
        crops.show_signals(table, tmp_path / "map.doc")


@pytest.mark.slow
def test_signals_of_a_lake_tell_when_the_crop_was_green(lake):
    crops_lake.fill(lake, 16)
    labels = pa.table({"pid": [crops_lake.pid(n) for n in range(16)], "done": [n % 2 == 0 for n in range(16)]})
    table = crops.signals(labels, "ms", 2024, lake=lake)
    rows = table.to_pylist()
    assert {"ndvi", "B04", "coherence_vv", "backscatter_vh"} <= {row["signal"] for row in rows}
    assert {"mean", "p50", "std"} <= {row["statistic"] for row in rows if row["signal"] == "B04"}
    assert notes(table)[0] == "8 parcels done and 8 not; random permutations"
    best = next(row for row in rows if row["signal"] == "ndvi")
    assert best["auc"] in (0, 1)
    assert best["q"] < 0.05
    with pytest.raises(NotFoundError):
        crops.signals(labels, "ms", 2023, lake=lake)


@pytest.mark.slow
def test_of_many_parcels_some_are_drawn_and_the_number_is_said(lake, monkeypatch):
    from cbm_lake.crops import signalsearch, signalsources

    monkeypatch.setattr(signalsources, "_MOST", 10)
    crops_lake.fill(lake, 16, radar=False)
    mown = [crops_lake.moment(scene).date() for scene in (8, 12)]
    truth = pa.table({"pid": [crops_lake.pid(number) for number in (0, 3)], "date": mown})
    table = crops.signals(truth, "ms", 2024, lake=lake)
    assert "of 14 parcels without an event 8 are looked at, drawn at random" in notes(table)
    monkeypatch.setattr(signalsearch, "_CELLS", 1000)
    with pytest.raises(InvalidInputError, match=r"with all combinations take 0\.0 GB; say fewer by statistics="):
        crops.signals(truth, "ms", 2024, lake=lake)
    with pytest.raises(InvalidInputError, match="no parcel of truth is among the 16 of the set: x"):
        crops.signals(pa.table({"pid": ["x"], "date": mown[:1]}), "ms", 2024, lake=lake)


def test_the_command_line_prints_the_best_and_writes_all(tmp_path, workspace):
    import pyarrow.csv

    truth, series = season()
    pyarrow.csv.write_csv(truth, tmp_path / "truth.csv")
    pyarrow.csv.write_csv(series, tmp_path / "series.csv")
    command = [
        "crops",
        "signals",
        str(tmp_path / "truth.csv"),
        "--series",
        str(tmp_path / "series.csv"),
        "--format",
        "json",
    ]
    done = CliRunner().invoke(
        app, [*command, "--top", "2", "--to", str(tmp_path / "all.csv"), "--figure", str(tmp_path / "a.svg")]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.output.splitlines()[0])["signal"] == "ndvi"
    assert "8 events and" in done.output
    assert len((tmp_path / "all.csv").read_text().splitlines()) > 20
    assert (tmp_path / "a.svg").exists()


@pytest.mark.slow
def test_mowing_in_the_public_sample_is_a_fall_of_ndvi_in_its_own_week(realdata):
    folder = realdata / "timeseries" / "cbm_SALMS"
    table = crops.signals(folder / "gtdir" / "FOIinfo.csv", series=folder / "tsdir", statistics="p50,mean")
    rows = [
        row for row in table.to_pylist() if (row["signal"], row["statistic"], row["kind"]) == ("NDVI", "p50", "change")
    ]
    assert rows[0]["week"] == 0
    assert rows[0]["auc"] < 0.15
    assert rows[0]["p"] < 0.01
    assert "11 events" in notes(table)[0]
