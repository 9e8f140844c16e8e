"""Reads gridded weather (NetCDF, Zarr) of any provider as arrays of times by cells.

file ─ axes, box round the parcels ─► members, expver, forecast steps as one time ─► Field
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files import limits
from cbm_lake.weather import variables
from cbm_lake.weather.cells import Boxes, Places, holding, squares, step
from cbm_lake.weather.variables import Variable

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)

_TIMES: Final = ("valid_time", "time", "date", "meteo_date", "forecast_reference_time")
_AXES: Final = {"lat": ("latitude", "lat", "y"), "lon": ("longitude", "lon", "x")}
_WHOLE: Final = 20_000_000
"""Values up to which the range of a variable is that of the whole file, not of the box round the parcels only."""
_LAND: Final = ("era5-land", "era5_land", "era5 land", "era5land")


@dataclass(frozen=True, eq=False)
class Field:
    """A variable of a file, at the cells that contain parcels."""

    label: str
    """File and variable, for messages."""
    name: str
    variable: Variable
    cells: tuple[str, ...]
    times: NDArray[np.datetime64]
    """Not yet in order; may stand there several times."""
    ranks: NDArray[np.int64]
    """Of the times: 1 where final, more where preliminary (expver), 0 where nothing is said."""
    values: NDArray[np.float64]
    """Times by cells."""
    extremes: tuple[float, float]
    """Least and greatest value of the file."""
    units: str
    """As the file has them; "" where it has none."""
    land: bool
    """Whether the file says that it is ERA5-Land."""
    statistic: str
    """What the file says of how a value of a day was made: mean, minimum, maximum, sum, point or ""."""


def read(label: str, path: str, places: Places, columns: Mapping[str, str]) -> tuple[list[Field], Boxes]:
    """Read the fields of a file and the boxes of their cells.

    Args:
        label: what to call it in messages.
        path: NetCDF or Zarr.
        places: that the cells are to hold.
        columns: by what we call a variable, how the file calls it, where it has another name.

    Raises:
        InvalidInputError: it holds nothing that is known, or its grid is not regular, or not in degrees.
        SourceError: it cannot be read.
    """
    try:
        with _opened(path) as data:
            fields = {str(name): variable for name in data.data_vars if (variable := variables.of(str(name), columns))}
            if not fields:
                raise InvalidInputError(
                    f"{label} has no variable that is known; it has {some(data.data_vars)}; known are "
                    f"{some(variables.VARIABLES, 30)}; say which is which"
                )
            near, boxes = _near(label, data, places)
            return [_field(label, path, name, variable, data, near, boxes) for name, variable in fields.items()], boxes
    except (OSError, ValueError, KeyError, OverflowError) as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise SourceError(
            f"{label} cannot be read ({reason}); give NetCDF, which wants package netCDF4, or Zarr"
        ) from error


def _opened(path: str) -> xr.Dataset:
    """The file as a dataset whose numbers are read when they are asked for."""
    import xarray as xr

    engine = "zarr" if path.rstrip("/").endswith(".zarr") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a store without consolidated metadata is slower to open only
        with xr.open_dataset(path, engine=engine, decode_cf=False, create_default_indexes=False, cache=False) as header:
            _check(path, header)
        return xr.open_dataset(path, engine=engine, decode_timedelta=True)


def _check(path: str, header: xr.Dataset) -> None:
    """Refuse axes and chunks of absurd size, before the coordinates are read."""
    limits.check_axes(path, {str(name): size for name, size in header.sizes.items()})
    for name, values in header.variables.items():
        chunks = values.encoding.get("preferred_chunks") or {}
        limits.check_block(f"{name} of {path}", [chunks.get(axis, 1) for axis in values.dims] or [1], values.dtype)


def _near(label: str, data: xr.Dataset, places: Places) -> tuple[xr.Dataset, Boxes]:
    """The part of a dataset round the places, on axes lat and lon in degrees, and its cells that hold some."""
    names = {}
    for ours, theirs in _AXES.items():
        dimension = next((name for name in data.dims if str(name).lower() in theirs), None)
        if dimension is None or dimension not in data.coords:
            raise InvalidInputError(f"{label} has no axis {', '.join(theirs)}; it has {', '.join(map(str, data.dims))}")
        names[dimension] = ours
    data = data.rename({theirs: ours for theirs, ours in names.items() if theirs != ours})
    lon, lat = data["lon"].to_numpy().astype(float), data["lat"].to_numpy().astype(float)
    if np.abs(lat).max() > 90 or lon.min() < -180.5 or lon.max() > 360.5:
        raise InvalidInputError(f"{label} is on a grid that is not in degrees; give one of latitude and longitude")
    data = data.assign_coords(lon=np.round((lon + 180) % 360 - 180, 6), lat=np.round(lat, 6))
    data = data.isel({name: np.unique(data[name].to_numpy(), return_index=True)[1] for name in ("lon", "lat")})
    width, height = (step(data[name].to_numpy(), name) for name in ("lon", "lat"))
    (west, south), (east, north) = places.min(axis=0), places.max(axis=0)
    near = data.sel(lon=slice(west - width, east + width), lat=slice(south - height, north + height))
    boxes = squares(near["lon"].to_numpy(), near["lat"].to_numpy(), width, height)
    return near, {cell: boxes[cell] for cell in holding(boxes, places)}


def _field(
    label: str, path: str, name: str, variable: Variable, data: xr.Dataset, near: xr.Dataset, boxes: Boxes
) -> Field:
    label = f"{label}: {name}"
    values = _one_time_axis(label, near[name].load(), near)
    times, ranks = _times(label, values)
    array = values.transpose("time", "lat", "lon").to_numpy().astype(np.float64)
    centres = [f"{lon:.6g}_{lat:.6g}" for lat in near["lat"].to_numpy() for lon in near["lon"].to_numpy()]
    positions = [centres.index(cell) for cell in boxes]
    about = " ".join(map(str, (*data.attrs.values(), *data[name].attrs.values(), label))).lower()
    return Field(
        label,
        name.lower(),
        variable,
        tuple(boxes),
        times,
        ranks,
        array.reshape(len(times), -1)[:, positions],
        _extremes(data[name], array),
        str(data[name].attrs.get("units", "")),
        any(sign in about for sign in _LAND),
        _daily_statistic(f"{data[name].attrs.get('cell_methods', '')} {path.rpartition('/')[2]}"),
    )


def _extremes(whole: xr.DataArray, near: NDArray[np.float64]) -> tuple[float, float]:
    """The range of a variable."""
    values = whole.to_numpy().astype(float) if whole.size <= _WHOLE else near
    valid = values[np.isfinite(values)]
    return (float(valid.min()), float(valid.max())) if valid.size else (0.0, 0.0)


def _daily_statistic(text: str) -> str:
    """What cell_methods, or the name of a file of daily statistics, say."""
    text = text.lower().replace("_", "-")
    for word, signs in {
        "minimum": ("time: min", "daily-min"),
        "maximum": ("time: max", "daily-max"),
        "mean": ("time: mean", "daily-mean"),
        "sum": ("time: sum", "daily-sum"),
        "point": ("time: point",),
    }.items():
        if any(sign in text for sign in signs):
            return word
    return ""


# -- time ------------------------------------------------------------------------------------------------------------


def _one_time_axis(label: str, values: xr.DataArray, data: xr.Dataset) -> xr.DataArray:
    """The variable with axes time, lat and lon only."""
    times = [str(name) for name in values.dims if name in _TIMES]
    if "step" in values.dims and times and data["step"].dtype.kind == "m":
        values = _stacked(values, times[0])
    elif times:
        values = _valid(values, times[0])
    else:
        coordinate = next((name for name in _TIMES if name in values.coords and values.coords[name].ndim == 0), None)
        if coordinate is None:
            raise InvalidInputError(
                f"{label} has no axis {', '.join(_TIMES)}; it has {', '.join(map(str, values.dims))}"
            )
        values = values.expand_dims(coordinate).rename({coordinate: "time"})
    for name in [name for name in values.dims if name not in ("time", "lat", "lon")]:
        values = _merged(label, values, str(name))
    return values


def _valid(values: xr.DataArray, axis: str) -> xr.DataArray:
    """The time axis; another coordinate may hold the valid time."""
    if axis != "valid_time" and "valid_time" in values.coords and values.coords["valid_time"].dims == (axis,):
        values = values.assign_coords({axis: values.coords["valid_time"].to_numpy()}).drop_vars("valid_time")
    return values.rename({axis: "time"}) if axis != "time" else values


def _stacked(values: xr.DataArray, axis: str) -> xr.DataArray:
    """Forecasts of several steps from several times as one axis of the times that they are of."""
    valid = (values[axis] + values["step"]).transpose(axis, "step").to_numpy().ravel()
    others = [name for name in values.coords if name not in ("lat", "lon") and {axis, "step"} & {*values[name].dims}]
    stacked = values.drop_vars(others).stack({"moment": (axis, "step")}, create_index=False)
    return stacked.drop_vars("time", errors="ignore").rename(moment="time").assign_coords(time=valid)


def _merged(label: str, values: xr.DataArray, name: str) -> xr.DataArray:
    """The variable without one of its axes: final numbers before preliminary ones; of members there must be one."""
    if values.sizes[name] == 1:
        return values.isel({name: 0}, drop=True)
    if name != "expver":
        raise InvalidInputError(
            f"{label} has {values.sizes[name]} values along {name} (members, levels); give a file with one of them"
        )
    parts = [values.isel({name: number}, drop=True) for number in np.argsort(_versions(values[name].to_numpy()))]
    merged = parts[0]
    for part in parts[1:]:
        filled = int((merged.isnull() & part.notnull()).any(["lat", "lon"]).sum())
        log.warning("%s: %d times are preliminary (expver); final numbers stand where there are some", label, filled)
        merged = merged.fillna(part)
    return merged


def _versions(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """Numbers of expver, which may be texts like 0001."""
    texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values.ravel()]
    return np.array([int(text) if text.strip().isdigit() else 0 for text in texts], np.int64)


def _times(label: str, values: xr.DataArray) -> tuple[NDArray[np.datetime64], NDArray[np.int64]]:
    """The times of a variable, and how final the numbers of each are."""
    times = values["time"].to_numpy()
    if times.dtype.kind in "iu" and len(times) and times.min() >= 19000101 and times.max() <= 21001231:
        times = pd.to_datetime([str(day) for day in times], format="%Y%m%d").to_numpy()
    if times.dtype.kind != "M":
        raise InvalidInputError(
            f"{label}: its times cannot be read as dates; give a file with times of the usual calendar"
        )
    expver = values.coords.get("expver")
    ranks = (
        _versions(expver.to_numpy())
        if expver is not None and expver.dims == ("time",)
        else np.zeros(len(times), np.int64)
    )
    return times.astype("datetime64[ns]"), ranks


def ordered(fields: list[Field]) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Merge fields of the same cells by time, without duplicate timestamps.

    Raises:
        InvalidInputError: two values of one timestamp differ, and neither is final.
    """
    times = np.concatenate([field.times for field in fields])
    ranks = np.concatenate([field.ranks for field in fields])
    values = np.concatenate([field.values for field in fields])
    order = np.lexsort((ranks, times))
    times, ranks, values = times[order], ranks[order], values[order]
    unique, first = np.unique(times, return_index=True)
    if len(unique) < len(times):
        _fill(fields[0].label, times, ranks, values)
    return unique, values[first]


def _fill(label: str, times: NDArray[np.datetime64], ranks: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    """Fill the first row of each time from the further ones, and see that these are the same where both are known."""
    room = 1e-3 * max(float(np.nanmax(values, initial=-np.inf) - np.nanmin(values, initial=np.inf)), 1e-9)
    doubled = 0
    for number in np.flatnonzero(times[1:] == times[:-1]) + 1:
        start = int(np.searchsorted(times, times[number]))
        here, more = values[start], values[number]
        both = np.isfinite(here) & np.isfinite(more)
        if ranks[start] == ranks[number] and (np.abs(here - more)[both] > room).any():
            moment = np.datetime_as_string(times[number], unit="m")
            raise InvalidInputError(f"{label} has two different values at {moment}; give one of the files only")
        doubled += int(both.any())
        np.copyto(here, more, where=~np.isfinite(here))
    if doubled:
        log.warning("%s: %d times stand there twice; the same numbers, or final ones, count once", label, doubled)


def groups(fields: list[Field]) -> Iterator[list[Field]]:
    """Group fields by variable, processing and cells."""
    keys = list(dict.fromkeys((field.name, field.variable, field.statistic, field.cells) for field in fields))
    for key in keys:
        yield [field for field in fields if (field.name, field.variable, field.statistic, field.cells) == key]
