"""Years of a parcel over one another: which parcel of another year it is, days that match, sums of weather, words."""

import io
from datetime import UTC, datetime

import factories
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest
import three_years
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cbm_lake import show
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.ipycbm import view_panel
from cbm_lake.lake import Lake
from cbm_lake.show import panels, succession, sums
from cbm_lake.show.reading import Reading
from cbm_lake.show.seasons import Season

pytestmark = pytest.mark.thorough


runner = CliRunner()
YEARS = (2022, 2023, 2024)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The three years with their lineage; tests that write use copies."""
    return three_years.make(Lake(str(tmp_path_factory.mktemp("years") / "lake")))


@pytest.fixture
def other(prepared, lake):
    """A copy of that lake in this test's workspace."""
    return factories.copied(prepared, lake)


def found(lake, pid, year=2024, years=None):
    reading = Reading.of(lake)
    [parcel] = reading.parcels("ms", year, pid)
    return succession.of(reading, parcel, years)


def shares(succession):
    return [(one.parcel.year, one.parcel.pid, one.covered, one.inside) for one in succession.matches]


def about(rows):
    return [(*row[:2], pytest.approx(row[2], abs=1e-6), pytest.approx(row[3], abs=1e-6)) for row in rows]


def words(figure):
    [legend] = figure.legends
    return [text.get_text() for text in legend.get_texts()], legend.get_title().get_text().splitlines()


# -- which parcel ------------------------------------------------------------------------------------------------------


def test_a_chain_of_lineage_is_followed_back_and_its_shares_are_of_the_outlines(prepared):
    assert shares(found(prepared, "A")) == about([(2022, "C", 1, 0.4), (2023, "B", 1, 0.4), (2024, "A", 1, 1)])
    assert found(prepared, "A").notes == ()


def test_a_chain_of_lineage_is_followed_forward_to_every_part(prepared):
    assert shares(found(prepared, "C", 2022)) == about(
        [(2022, "C", 1, 1), (2023, "B", 1, 1), (2024, "D", 0.6, 1), (2024, "A", 0.4, 1)]
    )


def test_only_the_years_that_are_asked_for_are_compared(prepared):
    assert shares(found(prepared, "A", years=[2024, 2022])) == about([(2022, "C", 1, 0.4), (2024, "A", 1, 1)])


def test_a_field_elsewhere_is_never_compared_for_its_identifier(prepared):
    alone = found(prepared, "N")
    assert shares(alone) == [(2024, "N", 1, 1)]
    assert alone.notes == tuple(
        f"{year}: missing; no lineage is known, and parcel N of that year lies elsewhere" for year in (2022, 2023)
    )


@pytest.mark.slow
def test_without_lineage_the_same_identifier_is_compared_where_it_overlaps_and_that_is_said(lake):
    three_years.make(lake, lineage=())
    both = found(lake, "N", 2023, [2022, 2023])
    assert shares(both) == about([(2022, "N", 1, 1), (2023, "N", 1, 1)])
    assert both.notes == ("2022: no lineage is known; parcel N of that year, which overlaps, is compared",)
    assert found(lake, "A", years=[2023]).notes == ("2023: missing; no lineage is known, and no parcel A is declared",)


def test_a_year_without_parcels_is_named_with_the_other_sets_of_that_year(other):
    other.add_parcels("ms", 2021, "meadows", "v1", three_years.parcels(2022))
    notes = found(other, "A", years=[2020, 2021, 2024]).notes
    assert notes[0] == "2020: missing; no parcels of ms 2020"
    assert notes[1] == "2021: missing; no parcels of ms 2021, but of another parcel set: meadows"


def test_lineage_that_names_a_parcel_elsewhere_is_not_believed(other):
    three_years.relate(other, (2024, "A", 2023, "N", "same"))
    assert found(other, "A", years=[2023]).notes == ("2023: missing; no lineage is known, and no parcel A is declared",)
    three_years.relate(other, (2024, "A", 2023, "N", "same"), share=1.0)
    [note] = found(other, "A", years=[2023]).notes
    assert note == "2023: missing; the lineage names N, which overlap it by less than 10 %"


def test_a_parcel_that_was_displaced_is_compared_though_it_does_not_overlap(other):
    three_years.relate(other, (2024, "A", 2023, "N", "moved"))
    [before] = found(other, "A", years=[2023]).matches
    assert (before.parcel.pid, before.covered) == ("N", 0)
    assert before.described("A") == "parcel N, moved by 310 m"  # from the middle at 40 m to that at 350 m


def test_lineage_of_outlines_that_were_loaded_anew_is_said(other):
    other.add_parcels("ms", 2023, "", "v2", three_years.parcels(2023))
    assert found(other, "A", years=[2023, 2024]).notes == (
        "2023: the lineage is of outlines that were loaded anew since; relate the parcels again",
    )


@pytest.mark.parametrize(
    ("covered", "inside", "expected"),
    [
        (1.0, 1.0, "parcel B"),
        (0.96, 0.95, "parcel B"),
        (1.0, 0.4, "parcel B, 40 % of it in this one"),
        (0.62, 1.0, "parcel B, on 62 % of this one"),
        (0.949, 0.004, "parcel B, on 95 % of this one, less than 1 % of it in this one"),
    ],
)
def test_shares_are_said_where_an_outline_is_not_the_same(prepared, covered, inside, expected):
    [parcel] = Reading.of(prepared).parcels("ms", 2023, "B")
    match = succession.Match(parcel, covered, inside)
    assert match.described("A") == expected
    assert match.described("B") == expected.removeprefix("parcel B").removeprefix(", ")


# -- days --------------------------------------------------------------------------------------------------------------


def test_days_of_the_table_are_those_of_pandas(prepared):
    rows = show.years.table("ms", 2024, "A", weather=False, lake=prepared).to_pandas()
    assert rows["day_of_year"].tolist() == rows["time"].dt.dayofyear.tolist()
    assert rows["day_of_season"].tolist() == rows["day_of_year"].tolist()
    assert 60 in rows[rows["year"] == 2024]["day_of_year"].tolist()  # 29 February
    assert set(rows["year"]) == set(YEARS)


def test_the_table_has_every_look_with_its_value_and_whether_it_is_usable(prepared):
    rows = show.years.table("ms", 2024, "A", weather=False, lake=prepared).to_pandas()
    for year in YEARS:
        one = rows[rows["year"] == year]
        times = three_years.looks(year)
        assert [time.to_pydatetime() for time in one["time"]] == times
        expected = [0.2 + 0.02 * number + 0.1 * (year - 2022) for number in range(len(times))]
        assert np.allclose(one["value"], expected)
        assert one["usable"].tolist() == [number != three_years.CLOUDED for number in range(len(times))]
        assert set(one["crop"]) == {three_years.CROPS[year]}


@pytest.mark.parametrize("start", range(1, 13))
def test_a_season_has_twelve_months_and_every_day_of_it_one_position(start):
    positions = {}
    for year in (2023, 2024, 2025, 2100):
        season = Season(year, start)
        days = pd.Series(pd.date_range(season.first, season.last))
        assert len(days) in (365, 366)
        assert season.year - (start >= 7) == season.first.year
        common = season.common(days)
        assert common.is_monotonic_increasing
        assert (common.dt.month == days.dt.month).all()
        assert (common.dt.day == days.dt.day).all()
        assert season.day(days).tolist() == [*range(1, len(days) + 1)]
        for day, position in zip(days.dt.strftime("%m-%d"), common, strict=True):
            assert positions.setdefault(day, position) == position
    assert len(positions) == 366


@given(st.integers(1901, 2199), st.integers(1, 12), st.floats(0, 0.999))
def test_a_time_keeps_its_hour_on_the_common_year(year, start, share):
    season = Season(year, start)
    length = (season.last - season.first).days + 1
    time = pd.Timestamp(season.first) + pd.Timedelta(seconds=int(share * length * 86_400))
    [common] = season.common(pd.Series([time]))
    assert common.strftime("%m-%d %H:%M:%S") == time.strftime("%m-%d %H:%M:%S")


@pytest.mark.parametrize("start", [0, 13, True, "9"])
def test_a_month_that_is_none_is_refused(prepared, start):
    with pytest.raises(InvalidInputError, match=r"start=.* is not right: it is a month, 1 to 12"):
        show.years.by_pid("ms", 2024, "A", start=start, lake=prepared)


def test_a_season_that_begins_in_autumn_has_the_looks_of_both_years(other):
    autumn = [datetime(2023, 9, 20, 10, 40, tzinfo=UTC), datetime(2023, 11, 20, 10, 40, tzinfo=UTC)]
    three_years.write_looks(other, 2024, autumn, start=30)
    rows = show.years.table("ms", 2024, "A", [2023, 2024], start=9, weather=False, lake=other).to_pandas()
    of_2024 = rows[rows["year"] == 2024]
    assert of_2024["time"].min() == autumn[0]
    assert of_2024["time"].max() < pd.Timestamp("2024-09-01", tz="UTC")
    assert of_2024["day_of_season"].iloc[0] == 20
    _, notes = words(show.years.by_pid("ms", 2024, "A", [2023, 2024], start=9, lake=other))
    assert notes[0] == "2023: nothing was extracted for its parcels of before 5 January 2023"
    assert not any(note.startswith("2024: nothing") for note in notes)


# -- the weather -------------------------------------------------------------------------------------------------------


def days_of(year, means, rains=None):
    times = pd.date_range(f"{year}-01-01", periods=len(means))
    return pd.DataFrame({"time": times, "tmean": means, "prec": rains or [0.0] * len(means)}, dtype=None)


@given(st.lists(st.floats(-20, 35), min_size=1, max_size=60), st.floats(0, 10))
def test_temperatures_are_summed_up_above_the_base(means, base):
    total = sums.of(days_of(2023, means), Season(2023), sums.TEMPERATURE, base)
    assert np.allclose(total.rows["value"], np.cumsum(np.maximum(np.array(means) - base, 0)))
    assert total.note == ""


def test_a_sum_ends_before_the_first_day_that_is_missing_and_names_it():
    total = sums.of(days_of(2023, [1, 2, None, 4, None, 6]), Season(2023), sums.TEMPERATURE, 0)
    assert total.rows["value"].tolist() == [1, 3]
    assert total.note == "2023: no temperature of 3 January 2023 and 1 more day, so that its sum ends before"
    rain = sums.of(days_of(2023, [1, 1], [None, 2.0]), Season(2023), sums.RAIN, 5)
    assert rain.rows.empty
    assert rain.note == "2023: no precipitation of 1 January 2023, so that there is no sum"
    assert sums.of(days_of(2023, [1]), Season(2022), sums.RAIN, 0).note == "2022: no precipitation is loaded"


def test_the_figure_says_the_sums_of_each_year_at_the_ends_of_their_curves(prepared):
    figure = show.years.by_pid("ms", 2024, "A", lake=prepared)
    tags = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert tags == [
        ["2022", "2023", "2024"],
        ["2022  730", "2023  912", "2024  1,098"],  # 365 x 2, 365 x 2.5, 366 x 3
        ["2022  365", "2023  548", "2024  732"],
    ]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["NDVI", "temperature sum above 0 °C (°C d)", "precipitation sum (mm)"]
    warmer = show.years.by_pid("ms", 2024, "A", base=2.5, lake=prepared)
    assert [text.get_text() for text in warmer.axes[1].texts] == ["2022  0", "2023  0", "2024  183"]


def test_without_weather_there_is_the_curve_alone(other):
    assert len(show.years.by_pid("ms", 2024, "A", weather=False, lake=other).axes) == 1
    empty = pa.Table.from_pylist([], schema=other.sql("from weather_days").schema)
    other.put("weather_days", empty, 1)
    figure = show.years.by_pid("ms", 2024, "A", lake=other)
    assert len(figure.axes) == 1
    assert words(figure)[1] == ["no weather is loaded of this place; cbm-lake weather loads it"]


# -- figures -----------------------------------------------------------------------------------------------------------


def test_the_figure_draws_the_usable_looks_of_each_year_at_their_day(prepared):
    figure = show.years.by_pid("ms", 2024, "A", lake=prepared)
    lines = {line.get_label()[:4]: line for line in figure.axes[0].lines}
    for year in YEARS:
        times = [time for number, time in enumerate(three_years.looks(year)) if number != three_years.CLOUDED]
        drawn = [pd.Timestamp(time).strftime("%m-%d") for time in lines[str(year)].get_xdata()]
        assert drawn == [time.strftime("%m-%d") for time in times]
    assert len({line.get_color() for line in lines.values()}) == 3
    figure.draw_without_rendering()
    ticks = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert ticks[:3] == ["Jan", "Feb", "Mar"]
    assert not any("2000" in tick for tick in ticks)


def test_the_legend_says_year_crop_looks_and_parcel_and_stays_inside(prepared):
    figure = show.years.by_pid("ms", 2024, "A", lake=prepared)
    entries, notes = words(figure)
    assert entries == [
        "2022 · wheat · 17 usable looks · parcel C, 40 % of it in this one",
        "2023 · maize · 17 usable looks · parcel B, 40 % of it in this one",
        "2024 · barley · 18 usable looks",
    ]
    assert notes == []
    figure.draw_without_rendering()
    boxes = [
        figure.legends[0].get_window_extent(),
        *(text.get_window_extent() for axes in figure.axes for text in axes.texts),
    ]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    assert boxes[0].y1 < min(axes.get_window_extent().y0 for axes in figure.axes)


def test_parts_of_a_year_share_its_colour_and_differ_in_dashes(prepared):
    figure = show.years.by_pid("ms", 2022, "C", lake=prepared)
    parts = [line for line in figure.axes[0].lines if line.get_label().startswith("2024")]
    assert len(parts) == 2
    assert len({line.get_color() for line in parts}) == 1
    assert len({line.get_linestyle() for line in parts}) == 2
    entries, _ = words(figure)
    assert "2024 · barley · 18 usable looks · parcel D, on 60 % of this one" in entries
    assert [text.get_text() for text in figure.axes[0].texts] == ["2022", "2023", "2024  D", "2024  A"]
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1


def test_years_without_looks_or_without_usable_ones_are_named(other):
    other.add_parcels("ms", 2025, "", "v1", three_years.parcels(2024))
    _, notes = words(show.years.by_pid("ms", 2024, "A", [2024, 2025], lake=other))
    assert "2025: no s2 statistics from 2025-01-01 to 2025-12-31" in notes
    _, notes = words(show.years.by_pid("ms", 2024, "A", [2024], screen=list(range(1, 12)), lake=other))
    assert notes[0] == "2024: none of 19 looks at parcel A is usable"


def test_nothing_at_all_is_not_found_with_the_reasons(prepared):
    with pytest.raises(NotFoundError, match=r"no c6 statistics of parcel A of ms( 2024)? in these years: 2022: no c6"):
        show.years.by_pid("ms", 2024, "A", bands="c6 VV", lake=prepared)


@pytest.mark.parametrize("bands", ["true colour", "SCL"])
def test_what_has_no_curve_is_refused(prepared, bands):
    with pytest.raises(InvalidInputError, match="has no curve; choose an index, one band"):
        show.years.by_pid("ms", 2024, "A", bands=bands, lake=prepared)


@pytest.mark.parametrize("years", [[], "2022", 2022, ["MMXX"], [2022, None], list(range(2000, 2020))])
def test_years_that_are_none_or_too_many_are_refused(prepared, years):
    with pytest.raises(InvalidInputError, match="year"):
        show.years.by_pid("ms", 2024, "A", years, lake=prepared)


def test_backscatter_and_bands_are_compared_too(other):
    for year in YEARS:
        row = {"aoi": "ms", "year": year, "ptype": "", "pid": "N"}
        row |= {"scene": f"R{year}", "obstime": datetime(year, 5, 1, 6, tzinfo=UTC), "reference": f"R{year}.SAFE"}
        row |= {"rule": "centre", "extraction": 0, **factories.band("VV", 0.1), **factories.band("VH", 0.01)}
        signatures = factories.signatures(row, card="bs")
        factories.write(
            other, signatures, factories.parcel_set(year=year), f"R{year}", card="bs", finished=row["obstime"]
        )
    rows = show.years.table("ms", 2023, "N", [2022, 2023], bands="bs VV", weather=False, lake=other).to_pylist()
    assert [(row["year"], round(row["value"], 6), row["unit"]) for row in rows] == [
        (2022, -10, "dB"),
        (2023, -10, "dB"),
    ]
    red = show.years.table("ms", 2024, "A", [2024], bands="B04", weather=False, lake=other).to_pylist()
    assert red[0]["value"] == pytest.approx(three_years.ndvi(2024, 0)[0] / 10_000)


@pytest.mark.slow
def test_an_interactive_figure_tells_the_true_date_and_no_year_of_the_axis(prepared, tmp_path):
    figure = show.years.by_pid("ms", 2024, "A", interactive=True, lake=prepared)
    import holoviews as hv

    [scatter, *_] = [one for one in figure.traverse() if isinstance(one, hv.Scatter)]
    dates = scatter.dimension_values("told_0").tolist()  # the first line of the tooltip
    assert "2022-01-05" in dates
    plot = hv.renderer("bokeh").get_plot(figure).state
    file = tmp_path / "years.html"
    show.years.by_pid("ms", 2024, "A", interactive=True, file=file, lake=prepared)
    assert file.stat().st_size > 10_000
    assert plot is not None


def test_the_lake_is_asked_few_questions(prepared, monkeypatch):
    asked = []
    ask = Lake.query
    monkeypatch.setattr(Lake, "query", lambda self, name, /, **params: asked.append(name) or ask(self, name, **params))
    show.years.by_pid("ms", 2024, "A", lake=prepared)
    assert sorted(set(asked)) == [
        "parcels.by_pid",
        "parcels.succession",
        "time_series.looks_s2",
        "time_series.wide_s2",
        "weather.at_place",
    ]
    assert len(asked) == 2 + 3 * 3


# -- tags in the margin ------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), max_size=14))
def test_tags_are_apart_and_in_the_order_of_their_curves(positions):
    moved = panels.apart(positions, 0.085)
    assert len(moved) == len(positions)
    order = np.argsort(positions, kind="stable")
    gaps = np.diff(np.array(moved)[order])
    assert (gaps >= min(0.085, 1 / max(len(positions) - 1, 1)) - 1e-9).all()
    assert all(-1e-9 <= one <= 1 + 1e-9 for one in moved)


def test_tags_that_do_not_collide_stay_where_they_are():
    assert panels.apart([0.9, 0.1, 0.5], 0.085) == pytest.approx([0.9, 0.1, 0.5])
    assert panels.apart([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])


# -- command line and widget -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_years_from_the_command_line(other, tmp_path):
    whose = ["show", "years", "--aoi", "ms", "--year", "2024", "--pid", "A"]
    for name, more in {"a.png": ["--years", "2023,2024"], "b.svg": ["--no-weather"], "c.html": ["--base", "5"]}.items():
        answer = runner.invoke(app, [*whose, *more, "--out", str(tmp_path / name)])
        assert answer.exit_code == 0, answer.output
        assert (tmp_path / name).stat().st_size > 1000
    answer = runner.invoke(app, [*whose, "--start", "9", "--out", str(tmp_path / "t.csv")])
    assert answer.exit_code == 0, answer.output
    rows = pyarrow.csv.read_csv(io.BytesIO((tmp_path / "t.csv").read_bytes()))
    expected = show.years.table("ms", 2024, "A", start=9, lake=other)
    assert rows["value"].to_pylist() == pytest.approx(expected["value"].to_pylist())
    answer = runner.invoke(app, [*whose, "--years", "2023;2024", "--out", str(tmp_path / "x.png")])
    assert "--years 2023;2024 is no list of years; write 2021,2022,2023" in str(answer.exception)


def test_years_in_the_widget(other, workspace):
    (workspace.temp / "ms/2024/A").mkdir(parents=True)
    (workspace.temp / "ms/2024/A/info.json").write_text("{}", "utf-8")
    form = view_panel.View(other).tabs.children[2]
    form.inputs["years"].value, form.inputs["zoomable"].value = "2023, 2024", False
    form.submit().result(120)
    assert not form.message.value
    form.inputs["years"].value = "last"
    form.submit().result(120)
    assert "last is no year; write 2022, 2023, or nothing for all" in form.message.value
