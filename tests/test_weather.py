"""Weather of grids and tables, compared with what numpy makes of the same numbers."""

import datetime as dt

import factories
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from cbm_lake import weather
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError

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
        "Temperature_Air_2m_Min_24h": (280.0, "K"), "Temperature_Air_2m_Max_24h": (290.0, "K"),
        "Temperature_Air_2m_Mean_24h": (285.0, "K"), "Precipitation_Flux": (3.5, "mm d-1"),
    }  # fmt: skip
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
    assert weather._holding(boxes, np.array([[3.0, 43.5]])) == ["east"]
    assert weather._holding(boxes, np.array([[2.5, 44.0]])) == []


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
    kelvin = {"meteo_date": [dt.date(2024, 5, 1)] * 4, "tmin": 280, "tmax": 290, "tmean": 285, "prec": 0}
    kelvin |= {"lon": [3, 3.25, 3, 3.25], "lat": [43, 43, 43.25, 43.25]}
    pd.DataFrame(kelvin).to_csv(tmp_path / "kelvin.csv", index=False)
    pd.DataFrame({"meteo_date": ["2024-05-01"]}).to_csv(tmp_path / "few.csv", index=False)
    for name, error, message in [
        ("wind.nc", InvalidInputError, "no variable that is known; it has wind"),
        ("axes.nc", InvalidInputError, "no axis latitude, lat, y"),
        ("bent.nc", InvalidInputError, "not regular along lon"),
        ("text.nc", SourceError, "cannot be read"),
        ("gone.nc", SourceError, "cannot be read"),
        ("kelvin.csv", InvalidInputError, "not kelvin"),
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
