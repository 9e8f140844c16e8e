"""Weather of grids and tables, compared with what numpy makes of the same numbers."""

import datetime as dt
import gzip
import zipfile

import duckdb
import factories
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from cbm_lake import weather
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.files import delimited
from cbm_lake.weather import cells, totals

LON, LAT = 3.001, 43.35
"""A place in the first parcel of the factory."""
WANTED = ["meteo_date", "tmin", "tmax", "tmean", "prec"]


@pytest.fixture
def area(lake):
    """A lake with three parcels a little east of 3 degrees."""
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    return lake


def hourly(days=3, *, lat=None, lon=None, seed=0, start="2024-05-01"):
    """Hours of ERA5 as the Copernicus store gives them: latitudes from north to south, kelvin, metres."""
    rng = np.random.default_rng(seed)
    time = pd.date_range(start, periods=24 * days, freq="h")
    lat = np.arange(44, 42.4, -0.25) if lat is None else lat
    lon = np.arange(2, 4.1, 0.25) if lon is None else lon
    shape = (len(time), len(lat), len(lon))
    dims = ("valid_time", "latitude", "longitude")
    return xr.Dataset(
        {
            "t2m": (dims, rng.uniform(270, 300, shape), {"units": "K"}),
            "tp": (dims, rng.uniform(0, 0.002, shape), {"units": "m"}),
        },
        coords={"valid_time": time, "latitude": lat, "longitude": lon},
    )


def at_place(lake, lon=LON, lat=LAT):
    return lake.query("weather.at_place", aoi="ms", lon=lon, lat=lat).to_pandas()


def by_numpy(data, days):
    """The days of the cell whose centre is nearest, by plain loops."""
    row = np.abs(data.latitude.values - LAT).argmin()
    col = np.abs((data.longitude.values + 180) % 360 - 180 - LON).argmin()
    warm, wet = (data[name].values[:, row, col] for name in ("t2m", "tp"))
    rows = []
    for day in range(days):
        hours = warm[24 * day : 24 * day + 24] - 273.15
        fallen = wet[24 * day + 1 : 24 * day + 25].sum() * 1000
        date = f"{pd.Timestamp(data.valid_time.values[0]) + pd.Timedelta(day, 'D'):%Y-%m-%d}"
        rows.append((date, hours.min(), hours.max(), hours.mean(), fallen))
    return pd.DataFrame(rows, columns=WANTED)


@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_hours_of_a_grid_become_days_of_the_cells_with_parcels(kind, area, tmp_path):
    data, path = hourly(), tmp_path / f"era5.{kind}"
    data.to_netcdf(path) if kind == "nc" else data.to_zarr(path, consolidated=False)
    told = []
    loaded = weather.load(path, "ms", lake=area, progress=lambda *numbers: told.append(numbers))
    assert loaded == weather.Loaded("ms", 1, 3, "2024-05-01", "2024-05-03")
    pd.testing.assert_frame_equal(at_place(area), by_numpy(data, 3), check_dtype=False, rtol=1e-5)
    (cell,) = area.sql("from weather_cells").to_pylist()
    assert (cell["west"], cell["south"], cell["east"], cell["north"]) == (2.875, 43.125, 3.125, 43.375)
    assert told == [(1, 1)]


def test_longitudes_may_go_from_0_to_360_and_expver_is_merged(area, tmp_path):
    data = hourly()
    first = data.where(data.valid_time < np.datetime64("2024-05-02"))
    later = data.where(data.valid_time >= np.datetime64("2024-05-02"))
    both = xr.concat([first, later], pd.Index([1, 5], name="expver"))
    both = both.assign_coords(longitude=both.longitude % 360)
    both.to_netcdf(tmp_path / "era5.nc")
    weather.load(tmp_path / "era5.nc", "ms", lake=area)
    pd.testing.assert_frame_equal(at_place(area), by_numpy(data, 3), check_dtype=False, rtol=1e-5)


def test_days_of_agera5_come_in_one_file_a_variable(area, tmp_path):
    time = pd.date_range("2024-05-01", periods=2)
    names = {
        "Temperature_Air_2m_Min_24h": (280.0, "K"),
        "Temperature_Air_2m_Max_24h": (290.0, "K"),
        "Temperature_Air_2m_Mean_24h": (285.0, "K"),
        "Precipitation_Flux": (3.5, "mm d-1"),
    }
    lat, lon = np.arange(43.9, 42.9, -0.1), np.arange(2.5, 3.6, 0.1)
    paths = []
    for name, (value, unit) in names.items():
        cube = np.full((2, len(lat), len(lon)), value)
        paths.append(tmp_path / f"{name}.nc")
        xr.Dataset(
            {name: (("time", "lat", "lon"), cube, {"units": unit})}, {"time": time, "lat": lat, "lon": lon}
        ).to_netcdf(paths[-1])
    weather.load(paths[:2], "ms", lake=area)
    weather.load(paths[2:], "ms", lake=area)
    rows = at_place(area)
    assert rows["meteo_date"].tolist() == ["2024-05-01", "2024-05-02"]
    assert rows[WANTED[1:]].to_numpy() == pytest.approx(np.tile([6.85, 16.85, 11.85, 3.5], (2, 1)), abs=1e-4)


def test_a_day_of_which_hours_are_missing_does_not_count(area, tmp_path):
    data = hourly().isel(valid_time=slice(0, 60))
    data.to_netcdf(tmp_path / "cut.nc")
    weather.load(tmp_path / "cut.nc", "ms", lake=area)
    assert at_place(area)["meteo_date"].tolist() == ["2024-05-01", "2024-05-02"]


def test_loading_again_doubles_nothing_and_new_numbers_replace(area, tmp_path):
    path = tmp_path / "era5.nc"
    hourly().to_netcdf(path)
    for _ in range(2):
        weather.load(path, "ms", lake=area)
    assert area.sql("select count(*) as n from weather_days")["n"][0].as_py() == 3
    newer = hourly(seed=1)
    newer.to_netcdf(tmp_path / "newer.nc")
    weather.load(tmp_path / "newer.nc", "ms", lake=area)
    pd.testing.assert_frame_equal(at_place(area), by_numpy(newer, 3), check_dtype=False, rtol=1e-5)


@pytest.mark.parametrize("form", ["places", "json", "csv"])
def test_a_table_says_its_cells_by_place_or_by_a_grid(form, area, tmp_path):
    days = pd.DataFrame(
        {"meteo_date": ["2024-05-01", "2024-05-02"], "tmin": [1.5, 2], "tmax": 9, "tmean": 5, "prec": 0}
    )
    grid = None
    if form == "places":
        cells = pd.DataFrame({"lon": [3.0, 3.25, 3.0, 3.25], "lat": [43.25, 43.25, 43.5, 43.5]})
        days = days.merge(cells, how="cross")
    else:
        days["grid_id"] = "here"
        grid = tmp_path / f"grid.{form}"
        corners = "2.9 43.2, 3.2 43.2, 3.2 43.5, 2.9 43.5, 2.9 43.2"
        polygon = [[float(number) for number in corner.split()] for corner in corners.split(", ")]
        if form == "json":
            grid.write_text(f'{{"grid_id": "here", "polygon": {{"type": "Polygon", "coordinates": [{polygon}]}}}}')
        else:
            pd.DataFrame({"grid_id": ["here"], "polygon": [f"POLYGON(({corners}))"]}).to_csv(grid, index=False)
    days.to_csv(tmp_path / "days.csv", index=False)
    loaded = weather.load(tmp_path / "days.csv", "ms", grid=grid, lake=area)
    assert (loaded.cells, loaded.rows) == (1, 2)
    assert at_place(area).iloc[0].tolist() == ["2024-05-01", 1.5, 9, 5, 0]


def test_a_place_on_a_border_is_in_one_cell_only(area):
    boxes = {"west": (2.0, 43.0, 3.0, 44.0), "east": (3.0, 43.0, 4.0, 44.0)}
    assert cells.holding(boxes, np.array([[3.0, 43.5]])) == ["east"]
    assert cells.holding(boxes, np.array([[2.5, 44.0]])) == []


def test_weather_of_elsewhere_is_not_found(area, tmp_path):
    hourly(lon=np.arange(20, 22.1, 0.25)).to_netcdf(tmp_path / "far.nc")
    with pytest.raises(NotFoundError, match="holds a parcel of ms"):
        weather.load(tmp_path / "far.nc", "ms", lake=area)
    with pytest.raises(NotFoundError, match="no parcels of aa"):
        weather.load(tmp_path / "far.nc", "aa", lake=area)


def test_what_is_no_weather_is_refused_in_one_line(area, tmp_path):
    data = hourly(days=1)
    data.rename(t2m="wind").drop_vars("tp").to_netcdf(tmp_path / "wind.nc")
    data.rename(latitude="row").to_netcdf(tmp_path / "axes.nc")
    data.assign_coords(longitude=data.longitude**2).to_netcdf(tmp_path / "bent.nc")
    (tmp_path / "text.nc").write_text("no")
    hot = {"meteo_date": [dt.date(2024, 5, 1)] * 4, "tmin": 60, "tmax": 90, "tmean": 75, "prec": 0}
    hot |= {"lon": [3, 3.25, 3, 3.25], "lat": [43, 43, 43.25, 43.25]}
    pd.DataFrame(hot).to_csv(tmp_path / "fahrenheit.csv", index=False)
    pd.DataFrame({"meteo_date": ["2024-05-01"]}).to_csv(tmp_path / "few.csv", index=False)
    for name, error, message in [
        ("wind.nc", InvalidInputError, "no variable that is known; it has wind"),
        ("axes.nc", InvalidInputError, "no axis latitude, lat, y"),
        ("bent.nc", InvalidInputError, "not regular along lon"),
        ("text.nc", SourceError, "cannot be read"),
        ("gone.nc", SourceError, "cannot be read"),
        ("fahrenheit.csv", InvalidInputError, "neither in K nor in degrees Celsius"),
        ("few.csv", InvalidInputError, "no column tmin"),
    ]:
        with pytest.raises(error, match=message) as told:
            weather.load(tmp_path / name, "ms", lake=area)
        assert "\n" not in str(told.value)


def test_the_command_line_loads_weather(area, tmp_path):
    from typer.testing import CliRunner

    from cbm_lake.cli import app

    hourly().to_netcdf(tmp_path / "era5.nc")
    answer = CliRunner().invoke(app, ["weather", "--aoi", "ms", str(tmp_path / "era5.nc")])
    assert answer.exit_code == 0, answer.output
    assert "1 cells, 3 days of cells from 2024-05-01 to 2024-05-03" in answer.output


# -- units, totals, times: what files do not say ---------------------------------------------------------------------


def rainy(days=6, *, seed=3, share=0.4):
    """Hours of ERA5 in which it rains now and then, in m."""
    data = hourly(days, seed=seed)
    wet = np.random.default_rng(seed + 1).uniform(size=data.tp.shape) < share
    data["tp"] = (data.tp.dims, np.where(wet, data.tp.values, 0), data.tp.attrs)
    return data


def running(data):
    """The same with totals that run on since midnight: the value at 00:00 is the total of the day before."""
    totals = data.copy(deep=True)
    fallen = data.tp.values
    for number, moment in enumerate(pd.DatetimeIndex(data.valid_time.values)):
        if moment.hour != 1 and number:
            totals.tp.values[number] = totals.tp.values[number - 1] + fallen[number]
    return totals


def load(lake, path, data=None, **options):
    """Write a dataset, load it, and give the days at the place."""
    if data is not None:
        data.to_netcdf(path)
    weather.load(path, "ms", lake=lake, **options)
    return at_place(lake)


def same(found, expected, **options):
    """Whether two tables are alike; raises AssertionError with what differs where they are not."""
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, **{"rtol": 1e-4, "atol": 1e-4, **options})
    return True


def silent(data):
    for name in data.data_vars:
        data[name].attrs.pop("units", None)
    return data


def test_kelvin_that_no_unit_names_is_found_by_its_values_and_said(area, tmp_path, caplog):
    data = hourly()
    found = load(area, tmp_path / "a.nc", silent(data.drop_vars("tp")))
    assert found[WANTED[1:4]].to_numpy() == pytest.approx(by_numpy(data, 3)[WANTED[1:4]].to_numpy(), abs=1e-3)
    assert "t2m names no unit; its values, 270" in caplog.text
    celsius = silent(data.drop_vars("tp"))
    celsius["t2m"] = celsius["t2m"] - 273.15
    assert same(load(area, tmp_path / "b.nc", celsius), found)


@pytest.mark.parametrize(("factor", "right"), [(1, 1000), (1000, 1)])
def test_metres_or_mm_that_no_unit_names_are_found_where_the_file_is_long_enough(factor, right, area, tmp_path):
    data = rainy(95)
    expected = by_numpy(data, 95)
    data["tp"] = (data.tp.dims, data.tp.values * factor)
    assert same(load(area, tmp_path / "long.nc", data), expected)


def test_a_short_dry_file_without_unit_is_refused_until_the_unit_is_said(area, tmp_path):
    data = rainy(3)
    expected = by_numpy(data, 3)
    silent(data)
    with pytest.raises(InvalidInputError, match="may be m or mm; say the unit: tp=m or tp=mm"):
        load(area, tmp_path / "short.nc", data)
    assert same(load(area, tmp_path / "short.nc", units={"tp": "m"}), expected)
    with pytest.raises(InvalidInputError, match="have no variable ttp"):
        load(area, tmp_path / "short.nc", units={"ttp": "m"})


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("kg m-2 s-1", 1 / 3600),
        ("kg m**-2 s**-1", 1 / 3600),
        ("mm/day", 24),
        ("mm d-1", 24),
        ("mm", 1),
        ("cm", 0.1),
        ("kg m-2", 1),
        ("m of water equivalent", 1e-3),
        ("mm h-1", 1),
    ],
)
def test_units_of_precipitation_are_what_they_are_called(unit, factor, area, tmp_path):
    data = rainy(3)
    expected = by_numpy(data, 3)
    data["tp"] = (data.tp.dims, data.tp.values * 1000 * factor, {"units": unit})
    assert same(load(area, tmp_path / "unit.nc", data), expected)


@pytest.mark.parametrize(("name", "change"), [("t2m", lambda kelvin: kelvin - 273.15), ("tp", lambda m: m * 1e5)])
def test_a_unit_that_stayed_when_the_numbers_were_converted_is_refused(name, change, area, tmp_path):
    data = hourly()
    data[name] = (data[name].dims, change(data[name].values), data[name].attrs)
    with pytest.raises(InvalidInputError, match=f"{name}: by its unit its values are"):
        load(area, tmp_path / "a.nc", data)


@pytest.mark.parametrize(("days", "unit", "doubted"), [(100, "mm", True), (100, "m", False), (80, "mm", False)])
def test_a_file_in_which_it_never_rained_by_its_unit_is_doubted(days, unit, doubted, area, tmp_path, caplog):
    data = rainy(days)
    data["tp"].attrs["units"] = unit
    load(area, tmp_path / "dry.nc", data)
    assert ("if its values are metres, say the unit: tp=m" in caplog.text) == doubted
    caplog.clear()
    load(area, tmp_path / "dry.nc", data, units={"tp": unit})
    assert "never more than" not in caplog.text


def test_a_unit_that_is_none_is_refused_by_name(area, tmp_path):
    data = hourly()
    data["tp"].attrs["units"] = "furlong"
    with pytest.raises(InvalidInputError, match="tp is in 'furlong', which is no unit of precipitation"):
        load(area, tmp_path / "a.nc", data)


@pytest.mark.parametrize("packed", [False, True])
def test_totals_since_midnight_are_found_and_become_those_of_days(packed, area, tmp_path, caplog):
    data = rainy()
    land = running(data)
    if packed:
        scale = float(land.tp.max()) / 60_000
        land.tp.encoding = {"dtype": "int16", "scale_factor": scale, "add_offset": 32_000 * scale, "_FillValue": -32768}
    found = load(area, tmp_path / "land.nc", land)[1:].reset_index(drop=True)  # the first is of the day before
    expected = by_numpy(data, 6)
    assert same(found[:-1], expected[:-1], atol=2e-3)
    assert "run on since midnight" in caplog.text
    # of the last day the hour until 24:00 is in the next file
    assert found["prec"].iloc[-1] == pytest.approx(expected["prec"].iloc[-1], abs=2e-3)


def test_hours_in_which_it_rains_steadily_are_no_running_total(area, tmp_path):
    data = hourly()
    data["tp"] = (data.tp.dims, np.full(data.tp.shape, 0.0005), {"units": "m"})
    assert same(load(area, tmp_path / "steady.nc", data), by_numpy(data, 3))


def test_totals_since_midnight_are_joined_over_the_ends_of_files(area, tmp_path):
    data = rainy()
    land = running(data)
    paths = []
    for number, part in enumerate((slice(0, 72), slice(72, 144))):
        paths.append(tmp_path / f"{number}.nc")
        land.isel(valid_time=part).to_netcdf(paths[-1])
    weather.load(paths, "ms", lake=area)
    assert same(at_place(area)[1:].reset_index(drop=True), by_numpy(data, 6))


def test_few_wet_hours_decide_only_where_the_file_says_that_it_is_era5_land(area, tmp_path):
    data = hourly(2)
    fallen = np.zeros(data.tp.shape)
    fallen[20:23] = 0.001
    data["tp"] = (data.tp.dims, fallen, {"units": "m"})
    land = running(data)
    with pytest.raises(InvalidInputError, match="do not decide whether"):
        load(area, tmp_path / "few.nc", land)
    expected = [0, 3, 0]  # of the day before, which ends at the first value, too
    assert load(area, tmp_path / "few.nc", totals="midnight")["prec"].tolist() == pytest.approx(expected)
    land.attrs["history"] = "reanalysis-era5-land, Copernicus"
    assert load(area, tmp_path / "land.nc", land)["prec"].tolist() == pytest.approx(expected)


def test_totals_that_run_on_since_another_hour_are_refused(area, tmp_path):
    data = rainy(8)
    forecast = data.copy(deep=True)
    for number, moment in enumerate(pd.DatetimeIndex(data.valid_time.values)):
        if moment.hour not in (7, 19) and number:
            forecast.tp.values[number] = forecast.tp.values[number - 1] + data.tp.values[number]
    with pytest.raises(InvalidInputError, match="only at 7:00 and 19:00"):
        load(area, tmp_path / "forecast.nc", forecast)


@pytest.mark.parametrize("ending", ["nc", "zip"])
def test_what_the_climate_data_store_gives_as_an_archive_is_unpacked_and_joined(ending, area, tmp_path):
    data = hourly().assign_coords(number=0, expver=("valid_time", ["0001"] * 72))
    path = tmp_path / f"download.{ending}"
    with zipfile.ZipFile(path, "w") as archive:
        for name, kind in (("t2m", "instant"), ("tp", "accum")):
            data[[name]].to_netcdf(tmp_path / f"{kind}.nc")
            archive.write(tmp_path / f"{kind}.nc", f"data_stream-oper_stepType-{kind}.nc")
    assert same(load(area, path), by_numpy(data, 3))


@pytest.mark.parametrize("numbers", [[1, 5], ["0001", "0005"], [5, 1]])
def test_final_numbers_stand_before_preliminary_ones(numbers, area, tmp_path):
    final, first = hourly(), hourly(seed=9)
    late = final.valid_time >= np.datetime64("2024-05-03")
    parts = {"1": final.where(~late), "5": first}
    both = xr.concat([parts[str(int(number))] for number in numbers], pd.Index(numbers, name="expver"))
    expected = xr.where(late, first, final).transpose("valid_time", "latitude", "longitude")
    assert same(load(area, tmp_path / "a.nc", both), by_numpy(expected, 3))


def test_times_that_stand_there_twice_count_once_or_are_refused(area, tmp_path):
    data = hourly()
    first, last = data.isel(valid_time=slice(0, 50)), data.isel(valid_time=slice(40, 72))
    assert same(load(area, tmp_path / "a.nc", xr.concat([first, last], "valid_time")), by_numpy(data, 3))
    other = last.copy(deep=True)
    other["tp"] = other["tp"] * 2
    with pytest.raises(InvalidInputError, match="two different values at 2024-05-02T16:00"):
        load(area, tmp_path / "b.nc", xr.concat([first, other], "valid_time"))


def test_members_of_an_ensemble_are_refused_and_one_is_taken(area, tmp_path):
    data = hourly()
    assert same(load(area, tmp_path / "one.nc", data.expand_dims(number=[0])), by_numpy(data, 3))
    two = xr.concat([data, data + 1], pd.Index([0, 1], name="number"), combine_attrs="override")
    with pytest.raises(InvalidInputError, match="2 values along number"):
        load(area, tmp_path / "two.nc", two)


def test_forecast_steps_become_one_time(area, tmp_path):
    data = hourly()
    folded = data.assign_coords(
        time=("valid_time", np.repeat(data.valid_time.values[::24], 24)),
        step=("valid_time", np.tile(np.arange(24) * np.timedelta64(3600 * 10**9, "ns"), 3)),
    )
    folded = folded.drop_vars("valid_time").set_index(valid_time=["time", "step"]).unstack("valid_time")
    assert {"time", "step"} <= {*folded.dims}
    assert same(load(area, tmp_path / "steps.nc", folded), by_numpy(data, 3))


def test_one_value_a_day_of_t2m_has_to_say_how_it_was_made(area, tmp_path):
    data = hourly(4).isel(valid_time=slice(12, None, 24)).drop_vars("tp")
    with pytest.raises(InvalidInputError, match="such as tmean=t2m"):
        load(area, tmp_path / "noon.nc", data)
    load(area, tmp_path / "noon.nc", columns={"tmean": "t2m"})
    load(area, tmp_path / "2m_temperature_0_daily-max.nc", data + xr.zeros_like(data), units={"t2m": "K"})
    data["t2m"].attrs["cell_methods"] = "valid_time: mean time: minimum"
    rows = load(area, tmp_path / "low.nc", data)
    row = np.abs(data.latitude.values - LAT).argmin(), np.abs(data.longitude.values - LON).argmin()
    expected = data.t2m.values[:, row[0], row[1]] - 273.15
    assert rows["tmin"].to_numpy() == pytest.approx(expected, abs=1e-3)


def test_days_of_e_obs_are_what_they_are(area, tmp_path):
    time = pd.date_range("2024-05-01", periods=2)
    lat, lon = np.arange(42.95, 43.9, 0.1), np.arange(2.55, 3.6, 0.1)
    days = {"tn": (5.5, "Celsius"), "tx": (18.0, "Celsius"), "tg": (11.0, "Celsius"), "rr": (2.5, "mm")}
    for name, (value, unit) in days.items():
        cube = np.full((2, len(lat), len(lon)), value)
        coords = {"time": time, "latitude": lat, "longitude": lon}
        xr.Dataset({name: (("time", "latitude", "longitude"), cube, {"units": unit})}, coords).to_netcdf(
            tmp_path / f"{name}_ens_mean.nc"
        )
    rows = load(area, sorted(tmp_path.glob("*_ens_mean.nc")))
    assert rows.to_numpy().tolist() == [[f"2024-05-0{day}", 5.5, 18.0, 11.0, 2.5] for day in (1, 2)]


def test_days_that_are_not_whole_are_said(area, tmp_path, caplog):
    load(area, tmp_path / "cut.nc", hourly().isel(valid_time=slice(0, 60)))
    assert "t2m: 1 days are left out, for less than four fifths of their hours are there: 2024-05-03" in caplog.text


def test_a_grid_that_is_not_in_degrees_is_refused(area, tmp_path):
    data = hourly()
    metres = data.assign_coords(latitude=data.latitude * 1e5, longitude=data.longitude * 1e5)
    with pytest.raises(InvalidInputError, match="not in degrees"):
        load(area, tmp_path / "utm.nc", metres)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), hours=st.sampled_from([1, 3, 6]), share=st.floats(0.2, 0.9), start=st.integers(0, 23)
)
def test_days_are_those_that_pandas_resamples_whatever_totals_are_of(seed, hours, share, start):
    rng = np.random.default_rng(seed)
    moments = pd.date_range("2024-05-01", periods=10 * 24 // hours, freq=f"{hours}h")[start // hours :]
    fallen = rng.exponential(2, (len(moments), 3)) * (rng.uniform(size=(len(moments), 3)) < share)
    running = fallen.copy()
    for number, moment in enumerate(moments):
        if number and moment.hour != hours:
            running[number] += running[number - 1]
    times, step = moments.to_numpy(), np.timedelta64(hours, "h")
    expected = pd.DataFrame(fallen, moments - pd.Timedelta(hours, "h")).resample("D").sum()
    steps = totals.of_steps(times, fallen, step, before=True)
    assert steps.total == pytest.approx(expected.to_numpy())
    assert steps.days.astype(str).tolist() == [f"{day:%Y-%m-%d}" for day in expected.index]
    assert totals.accumulation(times, fallen, step, "tp", land=False) == "step"
    assert totals.accumulation(times, running, step, "tp", land=False) == "midnight"
    whole = totals.since_midnight(times, running, step)
    assert whole.total[1:] == pytest.approx(expected.to_numpy()[1:])
    assert whole.days.tolist() == steps.days.tolist()
    warm = pd.DataFrame(fallen, moments).resample("D")
    days = totals.of_steps(times, fallen, step, before=False)
    assert days.low == pytest.approx(warm.min().to_numpy())
    assert days.high == pytest.approx(warm.max().to_numpy())
    assert days.total / days.steps == pytest.approx(warm.mean().to_numpy())


def test_numbers_of_two_grids_are_those_of_the_smallest_cell_that_has_them(area, tmp_path):
    data = hourly()
    fine = data[["tp"]].interp(latitude=np.arange(43.8, 42.9, -0.1), longitude=np.arange(2.5, 3.5, 0.1))
    fine["tp"].attrs["units"] = "m"
    data.to_netcdf(tmp_path / "coarse.nc")
    fine.to_netcdf(tmp_path / "fine.nc")
    for paths in (["coarse.nc", "fine.nc"], ["fine.nc", "coarse.nc"]):
        weather.load([tmp_path / path for path in paths], "ms", lake=area)
        found = at_place(area)
        expected = by_numpy(data, 3).assign(prec=by_numpy(fine.assign(t2m=fine.tp), 3)["prec"])
        assert same(found, expected)


def test_a_compressed_netcdf_is_read_and_grib_is_refused_by_name(area, tmp_path):
    hourly().to_netcdf(tmp_path / "a.nc")
    (tmp_path / "a.nc.gz").write_bytes(gzip.compress((tmp_path / "a.nc").read_bytes()))
    assert same(load(area, tmp_path / "a.nc.gz"), by_numpy(hourly(), 3))
    (tmp_path / "a.grib").write_bytes(b"GRIB" + bytes(100))
    with pytest.raises(InvalidInputError, match="is GRIB; ask the Climate Data Store for NetCDF"):
        load(area, tmp_path / "a.grib")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.md", "nothing")
    with pytest.raises(InvalidInputError, match=r"is an archive of readme\.md; give one with NetCDF"):
        load(area, tmp_path / "empty.zip")


# -- tables in every form --------------------------------------------------------------------------------------------

PLACES = [(43.25, 3.0), (43.25, 3.25), (43.5, 3.0), (43.5, 3.25)]


def written(path, header, rows, sign=";", encoding="utf-8"):
    lines = [sign.join(map(str, line)) for line in (header, *rows)]
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_of_another_agency_is_read_as_it_is(encoding, area, tmp_path):
    header = [
        "GRID_NO",
        "LATITUDE",
        "LONGITUDE",
        "DAY",
        "TEMPERATURE_MAX",
        "TEMPERATURE_MIN",
        "TEMPERATURE_AVG",
        "PRECIPITATION",
        "Région",
    ]
    rows = [
        (number, lat, lon, day, "19,5", "7,25", "13", "0,5", "Hérault")
        for number, (lat, lon) in enumerate(PLACES)
        for day in ("20240501", "20240502")
    ]
    found = load(area, written(tmp_path / "agri.csv", header, rows, encoding=encoding))
    assert found.to_numpy().tolist() == [[f"2024-05-0{day}", 7.25, 19.5, 13.0, 0.5] for day in (1, 2)]


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["01/05/2024", "13/05/2024"], ["2024-05-01", "2024-05-13"]),
        (["05/01/2024", "05/13/2024"], ["2024-05-01", "2024-05-13"]),
        (["1.5.2024", "2.5.2024"], ["2024-05-01", "2024-05-02"]),
        (["2024-05-01T00:00+02:00"], ["2024-05-01"]),
        (["2024/05/01"], ["2024-05-01"]),
        (["01/05/2024", "02/05/2024"], None),
        (["soon"], None),
    ],
)
def test_dates_are_read_as_the_column_says_or_refused(dates, expected, area, tmp_path):
    rows = [(day, lat, lon, 1, 2, 1.5, 0) for day in dates for lat, lon in PLACES]
    path = written(tmp_path / "days.csv", ["date", "lat", "lon", "tmin", "tmax", "tmean", "prec"], rows, sign=",")
    if expected is None:
        with pytest.raises(InvalidInputError, match=r"day or the month|no date"):
            load(area, path)
    else:
        assert load(area, path)["meteo_date"].tolist() == expected


def test_numbers_that_are_none_and_rows_that_contradict_are_refused(area, tmp_path):
    header = ["date", "lat", "lon", "tmin", "tmax", "tmean", "prec"]
    for cell, message in (("1.234,5", "no number"), ("n/a?", "no number"), ("5", "several values")):
        rows = [("2024-05-01", lat, lon, 1, 2, 1.5, 0) for lat, lon in PLACES]
        path = written(tmp_path / "a.csv", header, [*rows, ("2024-05-01", *PLACES[0], 1, 2, 1.5, cell)])
        with pytest.raises(InvalidInputError, match=message):
            load(area, path)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("date;lon;lat;tmin (°C);tmax (°C);prec (mm)", "-9999;20;1"),
        ("date;lon;lat;tmin (°C);tmax (°C);prec (mm)", "5;20;99999"),
        ("date;lon;lat;tmin;tmax;prec", "5;20;99999"),
        ("date;lon;lat;tmin (K);tmax (K);prec (mm)", "5;20;1"),
    ],
)
def test_numbers_of_tables_that_cannot_be_are_refused_whatever_their_header_says(header, row, area, tmp_path):
    rows = [("2024-05-01", lon, lat, *row.split(";")) for lat, lon in PLACES]
    with pytest.raises(InvalidInputError, match=r"(tmin|prec): by its unit its values are .* which cannot be"):
        load(area, written(tmp_path / "a.csv", header.split(";"), rows))


def test_a_table_whose_rows_are_no_rows_says_so_once(area, tmp_path):
    (tmp_path / "a.csv").write_text("date;lon;lat;tmin\n" + '2024-05-01;3;43;"1\n' * 3)
    with pytest.raises(SourceError) as error:
        load(area, tmp_path / "a.csv")
    assert str(error.value).count("cannot be read") == 1


def test_columns_and_units_may_be_said(area, tmp_path):
    header = ["when", "lat", "lon", "lo (K)", "hi", "rain [m]"]
    rows = [("2024-05-01", lat, lon, 280.15, 290.15, 0.0045) for lat, lon in PLACES]
    path = written(tmp_path / "a.csv", header, rows)
    said = {"meteo_date": "when", "tmin": "lo (K)", "tmax": "hi"}
    found = load(area, path, columns=said)
    assert found.iloc[0, [1, 2, 4]].tolist() == pytest.approx([7.0, 17.0, 4.5], abs=1e-4)
    with pytest.raises(InvalidInputError, match="no column 'high'"):
        load(area, path, columns=said | {"tmax": "high"})


def test_stations_on_no_grid_are_refused_by_name(area, tmp_path):
    rows = [
        ("2024-05-01", 43.1, 3.0, 1, 2, 1.5, 0),
        ("2024-05-01", 43.17, 3.4, 1, 2, 1.5, 0),
        ("2024-05-01", 43.9, 3.5, 1, 2, 1, 0),
    ]
    path = written(tmp_path / "a.csv", ["date", "lat", "lon", "tmin", "tmax", "tmean", "prec"], rows)
    with pytest.raises(InvalidInputError, match="on no regular grid"):
        load(area, path)


@pytest.mark.parametrize("form", ["gz", "zip", "parquet", "gpkg", "hex", "ewkt"])
@pytest.mark.parametrize("name", ["polygon", "geom_cell"])
def test_a_grid_comes_compressed_and_its_polygon_under_other_names(form, name, area, tmp_path):
    box = shapely.box(2.9, 43.2, 3.2, 43.5)
    outline = {"hex": box.wkb_hex, "ewkt": f"SRID=4326;{box.wkt}"}.get(form, box.wkt)
    frame = pd.DataFrame({"grid_id": ["here"], name: [outline]})
    path = tmp_path / f"grid.{'csv' if form in ('hex', 'ewkt') else 'csv.' + form}"
    if form == "parquet":
        path = tmp_path / "grid.parquet"
        frame.to_parquet(path)
    elif form == "gpkg":
        path = tmp_path / "grid.gpkg"
        gpd.GeoDataFrame({"grid_id": ["here"]}, geometry=[box], crs=4326).to_crs(3035).to_file(path)
    else:
        frame.to_csv(path, index=False)
    (cell,) = weather.read_grid(path).items()
    assert cell[0] == "here"
    assert cell[1] == pytest.approx(box.bounds, abs=0.05 if form == "gpkg" else 1e-9)


def test_the_command_line_says_units_columns_and_totals(area, tmp_path):
    from typer.testing import CliRunner

    from cbm_lake.cli import app

    data = running(rainy(2))
    silent(data.rename(tp="regen")).to_netcdf(tmp_path / "a.nc")
    options = ["--column", "prec=regen", "--unit", "regen=m", "--totals", "midnight"]
    answer = CliRunner().invoke(app, ["weather", "--aoi", "ms", str(tmp_path / "a.nc"), *options])
    assert answer.exit_code == 0, answer.output
    expected = by_numpy(rainy(2), 2)["prec"].iloc[0]
    assert at_place(area)["prec"].iloc[1] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp850", ("blé tendre", "maïs", "féverole")),
        ("cp1250", ("ozimá pšenice", "řepka", "ječmen", "kukuřice na zrno", "hořčice", "jetel luční", "úhor")),
        ("iso8859-2", ("pšenica ozimna", "ječmen", "žito")),
        ("cp1253", ("σιτάρι", "ελιές", "καλαμπόκι")),
    ],
)
def test_a_table_of_text_is_read_in_the_encoding_that_a_file_of_parcels_is(encoding, names, tmp_path, caplog):
    path = tmp_path / "names.csv"
    path.write_bytes(
        "\n".join(["number;name", *(f"{number};{name}" for number, name in enumerate(names))]).encode(encoding)
    )
    found = delimited.read(duckdb.connect(), path, tmp_path)
    assert tuple(name for (name,) in found.project("name").fetchall()) == names
    assert "nothing says the encoding of the texts" in caplog.text
    assert "if that is wrong, write it in UTF-8" in caplog.text


def test_a_table_in_utf_8_with_a_damaged_text_is_in_utf_8_and_that_is_said(tmp_path, caplog):
    names = [f"blé{number}" for number in range(30)]
    content = "\n".join(["number,name", *(f"{number},{name}" for number, name in enumerate(names))])
    path = tmp_path / "names.csv"
    path.write_bytes(content.encode() + b"\n30,f\xe9verole")
    found = delimited.read(duckdb.connect(), path, tmp_path).project("name").fetchall()
    assert [name for (name,) in found] == [*names, "f\ufffdverole"]
    assert "texts are damaged, the first at byte" in caplog.text
