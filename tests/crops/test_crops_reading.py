"""What a crop check reads of the lake, compared with means that pandas takes of the same rows."""

from datetime import UTC, date, datetime, timedelta

import crops_lake
import factories
import numpy as np
import pandas as pd
import pytest

from cbm_lake.crops import declarations, reading, recording
from cbm_lake.crops.calendar import STEP, Calendar
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.markers import parameters

pytestmark = pytest.mark.thorough


END = date(2024, 12, 31)
CLEAR = parameters.read(None).clear


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Parcels, of which every seventh look of Sentinel-2 is clouded."""
    lake = Lake(str(tmp_path_factory.mktemp("crops")))
    return crops_lake.fill(lake, cloudy=lambda number, scene: (number + scene) % 7 == 0)


def read(lake, day=END, by=None):
    parcels = lake.parcel_set("ms", 2024)
    declared = declarations.read(lake, parcels, by)
    return reading.read(lake, parcels, declared, Calendar.until(2024, day), CLEAR)


def steps(frame, first=date(2023, 10, 1)):
    """The number of the step of each row."""
    return (frame["obstime"].dt.tz_convert(None) - pd.Timestamp(first)).dt.days // STEP


def table(season, name):
    """A quantity as a frame: pid, middle of the step."""
    return pd.DataFrame(season.values[name], index=season.pids.to_pylist(), columns=season.days)


def middles(numbers):
    return (date(2023, 10, 1) - date(1970, 1, 1)).days + STEP * numbers + STEP // 2


def test_bands_are_means_of_the_clear_looks_of_ten_days(filled):
    rows = filled.sql("select pid, obstime, B08_mean, scl[10] as cloud from s2").to_pandas()
    clear = rows[rows["cloud"] == 0]
    expected = (clear["B08_mean"] / 10_000).groupby([clear["pid"], middles(steps(clear))]).mean().unstack()
    seen = table(read(filled).season, "B08")
    pd.testing.assert_frame_equal(
        seen, expected.reindex_like(seen).astype("float32"), rtol=1e-5, check_names=False, check_column_type=False
    )


def test_decibels_of_each_orbit_have_the_level_of_all(filled):
    rows = filled.sql(
        "select pid, bs.obstime, VV_mean, relative_orbit from bs join scenes on scene = id where scenes.card = 'bs'"
    ).to_pandas()
    rows["decibels"] = 10 * np.log10(rows["VV_mean"].astype("float64"))
    of_orbit = rows.groupby(["pid", "relative_orbit"])["decibels"].transform("mean")
    rows["levelled"] = rows["decibels"] - of_orbit + rows.groupby("pid")["decibels"].transform("mean")
    expected = rows["levelled"].groupby([rows["pid"], middles(steps(rows))]).mean().unstack()
    seen = table(read(filled).season, "VV")
    assert np.allclose(seen, expected.reindex_like(seen), atol=2e-5, equal_nan=True)


def test_coherence_is_the_mean_of_both_polarisations(filled):
    rows = filled.sql("select obstime, (VV_mean + VH_mean) / 2 as mean from c6 where pid = '0-0'").to_pandas()
    expected = rows["mean"].groupby(middles(steps(rows))).mean()
    seen = table(read(filled).season, "coherence").loc["0-0"]
    assert np.allclose(seen, expected.reindex(seen.index), atol=0.02)  # but for the level of the orbits
    assert np.nanmean(seen) == pytest.approx(expected.mean(), abs=1e-3)


def test_an_index_is_of_the_means_of_its_bands(filled):
    values = read(filled).season.values
    expected = (values["B08"] - values["B04"]) / (values["B08"] + values["B04"])
    assert np.allclose(values["NDVI"], expected, equal_nan=True, atol=1e-6)


def test_nothing_after_the_day_is_read_not_even_for_the_level_of_orbits(filled, tmp_path):
    day = crops_lake.moment(9).date()
    until = read(filled, day).season
    short = crops_lake.fill(Lake(str(tmp_path)), scenes=10, cloudy=lambda number, scene: (number + scene) % 7 == 0)
    for name, values in read(short).season.values.items():
        assert np.array_equal(until.values[name], values, equal_nan=True), name


def test_parcels_in_blocks_are_read_as_at_once(filled, monkeypatch):
    whole = recording.digest_of_season(read(filled).season)
    monkeypatch.setattr(reading, "_AT_ONCE", 7)
    assert recording.digest_of_season(read(filled).season) == whole


def test_compaction_does_not_change_what_is_read(filled, tmp_path):
    lake = factories.copied(filled, Lake(str(tmp_path / "other")))
    before = recording.digest_of_season(read(lake).season)
    lake.compact()
    assert recording.digest_of_season(read(lake).season) == before


def test_a_parcel_that_was_never_seen_clear_has_only_radar(tmp_path):
    lake = crops_lake.fill(Lake(str(tmp_path)), 6, cloudy=lambda number, _: number == 3)
    season = read(lake).season
    row = season.pids.to_pylist().index(crops_lake.pid(3))
    assert np.isnan(season.values["NDVI"][row]).all()
    assert np.isfinite(season.values["VV"][row]).any()


def test_what_was_not_extracted_is_said(tmp_path):
    observed = read(crops_lake.fill(Lake(str(tmp_path)), 4, radar=False))
    assert observed.missing == (
        "B02, B03, B05, B06, B07, B8A, B12 of Sentinel-2 Level-2A",
        "Sentinel-1 backscatter",
        "Sentinel-1 six-day coherence",
    )
    assert sorted(observed.season.values) == ["B04", "B08", "B11", "NDMI", "NDVI"]


def test_cloud_everywhere_is_counted_in_the_message(tmp_path):
    lake = crops_lake.fill(Lake(str(tmp_path)), 4, radar=False, cloudy=lambda *_: True)
    with pytest.raises(NotFoundError, match=r"nothing can be said of ms 2024: 0 of 80 looks .* 80 cloudy"):
        read(lake)


def test_days_without_any_look_are_named(tmp_path):
    lake = crops_lake.fill(Lake(str(tmp_path)), 4, radar=False)
    with pytest.raises(NotFoundError, match="nothing was extracted over ms 2024 from 2023-10-01 to 2024-01-05"):
        read(lake, date(2024, 1, 5))


def test_parcels_without_any_crop_are_refused(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(crops=[(None, " "), (None, None), (None, "")]))
    with pytest.raises(InvalidInputError, match="no parcel of ms 2024 has a declared crop"):
        read(lake)


def test_crops_that_another_column_alone_says_are_told(lake, caplog):
    crops = [("wheat", "1"), (None, "2"), ("  ", "3"), (None, None)]
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(["a", "b", "c", "d"], crops))
    declared = declarations.read(lake, lake.parcel_set("ms", 2024), by="crop_name")
    assert declared.codes.tolist() == ["wheat", None, None, None]
    assert "2 parcels of ms 2024 declare a crop that has no crop_name, and cannot be judged: 2, 3" in caplog.text
    caplog.clear()
    declarations.read(lake, lake.parcel_set("ms", 2024), by="crop_code")
    assert not caplog.text


def test_the_column_of_the_crop_can_be_chosen_but_must_have_some(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(crops=[("wheat", None), ("maize", None), (None, None)]))
    parcels = lake.parcel_set("ms", 2024)
    assert declarations.read(lake, parcels).codes.tolist() == ["wheat", "maize", None]
    with pytest.raises(InvalidInputError, match="no parcel of ms 2024 has a crop_code; it has crop_name"):
        declarations.read(lake, parcels, "crop_code")
    with pytest.raises(InvalidInputError, match="by='colour' is no column of crops"):
        declarations.read(lake, parcels, "colour")


@pytest.mark.parametrize("day", [date(2023, 9, 30), date(2023, 10, 5), date(2020, 1, 1)])
def test_a_day_before_the_season_is_refused(day):
    with pytest.raises(InvalidInputError, match="season of 2024 begins on 2023-10-01"):
        Calendar.until(2024, day)


def test_steps_cover_every_day_once_and_the_last_may_be_short():
    calendar = Calendar.until(2024, date(2024, 3, 1))
    days = [calendar.first + STEP * number for number in range(calendar.steps)]
    assert days[-1] <= calendar.last < days[-1] + STEP
    assert (np.diff(calendar.middles) > 0).all()
    assert calendar.middles[-1] <= calendar.last
    assert Calendar.until(2024, date(2025, 6, 1)) == Calendar.until(2024, date(2024, 12, 31))


def test_a_look_in_the_last_minute_of_the_day_counts_and_one_a_minute_later_does_not(lake):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    lake.prepare("s2")
    moments = [datetime(2024, 5, 10, 23, 59, tzinfo=UTC), datetime(2024, 5, 11, 0, 0, tzinfo=UTC)]
    lake.add_scenes(factories.scenes(*(factories.scene(f"S{n}", one) for n, one in enumerate(moments))))
    for number, one in enumerate(moments):
        looks = [factories.signature(pid, f"S{number}", one, red=400 + 100 * number) for pid in sorted(factories.PIDS)]
        factories.write(lake, factories.signatures(*looks), None, f"S{number}")
    season = read(lake, moments[0].date()).season
    assert np.allclose(season.values["B04"], 0.04)
    assert read(lake, moments[0].date() + timedelta(1)).season.values["B04"].max() == pytest.approx(0.045)


@pytest.mark.parametrize(
    ("crops", "column"),
    [
        ([("wheat", "1"), ("maize", "2"), ("wheat", "1")], "crop_name"),
        ([("wheat", "1"), ("wheat", "2"), ("maize", "3")], "crop_code"),
        ([("wheat", "1"), ("maize", "1"), (None, None)], "crop_code"),
        ([("wheat", "1"), (None, "2"), (None, "3")], "crop_code"),
        ([("wheat", None), ("maize", None), (None, None)], "crop_name"),
    ],
)
def test_names_stand_for_codes_only_where_they_say_the_same(lake, crops, column):
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(crops=crops))
    assert declarations.read(lake, lake.parcel_set("ms", 2024)).column == column
