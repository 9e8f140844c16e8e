"""Reads tables of daily weather (CSV, Parquet), by cell or by points on a regular grid, under various column names."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pandas as pd

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files import delimited
from cbm_lake.weather import units
from cbm_lake.weather.cells import CELL_NAMES, Boxes, cell_name, first_column, read_grid, squares, step
from cbm_lake.weather.variables import MEASURES, TABLE_NAMES

log = logging.getLogger(__name__)

_HEADER: Final = re.compile(r"^(?P<name>.*?)\s*[(\[](?P<unit>[^)\]]*)[)\]]\s*$")
"""A column's name with its unit in brackets."""
_NUMBER: Final = r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"
_WITH_COMMA: Final = r"[+-]?\d+,\d+"


def read(
    label: str,
    path: str,
    grid: str | Path | None,
    columns: Mapping[str, str],
    names: Mapping[str, str],
) -> tuple[pd.DataFrame, Boxes]:
    """Read daily values from a table (cell, meteo_date, name, value), and the boxes of its cells.

    Args:
        label: what to call it in messages.
        path: CSV or Parquet.
        grid: polygons of the cells.
        columns: by what we call a column, how the table calls it, where it has another name.
        columns: units by columns, where the caller says them.

    Raises:
        InvalidInputError: a column is missing or holds what it should not.
        SourceError: it cannot be read.
    """
    frame, named = _renamed(label, _frame(label, path), columns)
    frame, boxes = _placed(label, frame, grid)
    frame["meteo_date"] = _dates(label, frame["meteo_date"])
    measures = [name for name in MEASURES if name in frame.columns]
    if absent := [name for name in MEASURES if name not in measures]:
        log.warning("%s has no column %s; that stays empty", label, ", ".join(absent))
    for name in measures:
        frame[name] = _numbers(label, name, frame[name])
    _convert(label, frame, measures, named | {ours: unit for ours, unit in names.items() if ours in measures})
    _warn_swapped(label, frame)
    long = frame.melt(["cell", "meteo_date"], measures, "name", "value").dropna()
    return _each_once(label, long), boxes


def _frame(label: str, path: str) -> pd.DataFrame:
    with tempfile.TemporaryDirectory(prefix="cbm-lake-weather-") as scratch, duckdb.connect() as connection:
        try:
            if path.lower().endswith(".parquet"):
                return connection.read_parquet(path).df()
            return delimited.read(connection, path, Path(scratch)).df()
        except SourceError as error:
            raise SourceError(str(error).replace(path, label)) from error
        except duckdb.Error as error:
            reason = " ".join(str(error).replace(path, label).split())[:250]
            raise SourceError(f"{label} cannot be read ({reason}); give a CSV with header, or Parquet") from error


# -- columns ---------------------------------------------------------------------------------------------------------


def _renamed(label: str, frame: pd.DataFrame, columns: Mapping[str, str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table with our names, and the units that its header says."""
    headers = {column: _HEADER.match(column.strip()) for column in frame.columns}
    plain = {column: header["name"] if header else column for column, header in headers.items()}
    renamed = {ours: _column(label, ours, theirs, plain, columns) for ours, theirs in TABLE_NAMES.items()}
    renamed["cell"] = columns.get("cell") or first_column(list(plain), CELL_NAMES)
    there = {ours: theirs for ours, theirs in renamed.items() if theirs is not None}
    missing = [name for name in ("meteo_date",) if name not in there]
    missing += MEASURES if not {*MEASURES} & {*there} else ()
    if missing:
        raise InvalidInputError(
            f"{label} has no column {', '.join(missing)}; it has {some(frame.columns, 30)}; say which is which"
        )
    if others := {ours: theirs for ours, theirs in there.items() if delimited.column_name(theirs) != ours}:
        log.warning("%s: %s", label, ", ".join(f"{ours} is its column {theirs}" for ours, theirs in others.items()))
    named = {ours: headers[theirs]["unit"] for ours, theirs in there.items() if ours in MEASURES and headers[theirs]}  # type: ignore[index]
    return pd.DataFrame({ours: frame[theirs] for ours, theirs in there.items()}), named


def _column(
    label: str, ours: str, theirs: Sequence[str], plain: Mapping[str, str], columns: Mapping[str, str]
) -> str | None:
    """The table's column of that meaning; None where missing."""
    if ours in columns:
        if columns[ours] not in plain:
            raise InvalidInputError(f"{label} has no column {columns[ours]!r}; it has {some(plain, 30)}")
        return columns[ours]
    candidates = [column for column, name in plain.items() if delimited.column_name(name) in theirs]
    exact = [column for column in candidates if delimited.column_name(plain[column]) == ours]
    if len(candidates) > 1 and len(exact) != 1:
        raise InvalidInputError(f"{label}: any of {some(candidates)} may be {ours}; say which")
    return next(iter(exact or candidates), None)


def _placed(label: str, frame: pd.DataFrame, grid: str | Path | None) -> tuple[pd.DataFrame, Boxes]:
    """The table with the cell of each row, and the boxes of the cells."""
    if grid is not None:
        boxes = read_grid(grid)
        return frame.assign(cell=_cells(label, frame, boxes)), boxes
    if not {"lon", "lat"} <= {*frame.columns}:
        raise InvalidInputError(f"{label} has no columns lon and lat; say by the grid where its cells are")
    lon, lat = (_numbers(label, name, frame[name]).round(6) for name in ("lon", "lat"))
    if lon.isna().any() or lat.isna().any():
        raise InvalidInputError(f"{label} has rows without lon or lat; leave them out")
    if lat.abs().max() > 90 or lon.abs().max() > 360:
        raise InvalidInputError(f"{label}: lon and lat are not in degrees; give degrees, or the grid's polygons")
    lon = (lon + 180) % 360 - 180
    try:
        width, height = step(lon.to_numpy(), "lon"), step(lat.to_numpy(), "lat")
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{label}: its places are on no regular grid: {error}; of stations or another grid, give the polygons"
        ) from error
    cells = [cell_name(*point) for point in zip(lon, lat, strict=True)]
    every = squares(np.unique(lon), np.unique(lat), width, height)
    return frame.assign(cell=cells), {cell: every[cell] for cell in dict.fromkeys(cells)}


def _cells(label: str, frame: pd.DataFrame, boxes: Boxes) -> pd.Series[str]:
    """The cell of each row; the only one of the grid where the table has no column of it."""
    if "cell" in frame.columns:
        cells = frame["cell"].astype(str).str.strip()
        if not cells.isin([*boxes]).any():
            cells = cells.str.replace(r"\.0+$", "", regex=True)
        if unknown := {*cells} - {*boxes}:
            log.warning(
                "%s: %d cells are not in the grid and are left out: %s", label, len(unknown), some(sorted(unknown), 5)
            )
        return cells
    if len(boxes) == 1:
        return pd.Series([next(iter(boxes))] * len(frame), index=frame.index)
    raise InvalidInputError(
        f"{label} has none of the columns {', '.join(CELL_NAMES)}; say in one which cell a row is of"
    )


# -- values ----------------------------------------------------------------------------------------------------------


def _numbers(label: str, name: str, values: pd.Series) -> pd.Series:
    """Numbers, whose decimal sign may be a comma where no point is."""
    if pd.api.types.is_numeric_dtype(values):
        return values.astype(float)
    texts = values.astype("string").str.strip()
    texts = texts.mask(texts.str.lower().isin(["", "na", "nan", "null", "none", "-"]))
    commas = texts.str.fullmatch(_WITH_COMMA).fillna(value=False)
    if commas.any() and not texts.str.contains(".", regex=False).any():
        log.warning("%s: the decimal sign of %s is a comma", label, name)
        texts = texts.str.replace(",", ".", regex=False)
    bad = texts.notna() & ~texts.str.lower().str.fullmatch(_NUMBER).fillna(value=False)
    if bad.any():
        raise InvalidInputError(f"{label}: {name} holds what is no number: {some(texts[bad].unique(), 3)}; correct it")
    return texts.astype("Float64").astype(float)


def _dates(label: str, values: pd.Series) -> pd.Series:
    """Dates as they are written; of 05/01/2024 the whole column says whether the day or the month comes first."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.date
    texts = values.astype("string").str.strip()
    parts = texts.str.extract(r"^(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[T ].*)?$")
    if not len(texts) or not parts[0].notna().all():
        read = (
            texts.str.replace(r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3", regex=True)
            .str.replace("/", "-")
            .str.slice(0, 10)
        )
        dates = pd.to_datetime(read, format="%Y-%m-%d", errors="coerce")
        if dates.isna().any():
            raise InvalidInputError(
                f"{label}: meteo_date holds what is no date: {some(texts[dates.isna()].unique(), 3)}"
            )
        return dates.dt.date
    one, two = parts[0].astype(int), parts[2].astype(int)
    day_first = bool((one > 12).any()) or bool((parts[1] == ".").all())
    if day_first == bool((two > 12).any()):
        raise InvalidInputError(
            f"{label}: of dates such as {texts.iloc[0]} the day or the month may come first; write YYYY-MM-DD"
        )
    form = "%d-%m-%Y" if day_first else "%m-%d-%Y"
    dates = pd.to_datetime(parts[0] + "-" + parts[2] + "-" + parts[3], format=form, errors="coerce")
    if dates.isna().any():
        raise InvalidInputError(f"{label}: meteo_date holds what is no date: {some(texts[dates.isna()].unique(), 3)}")
    return dates.dt.date


def _convert(label: str, frame: pd.DataFrame, measures: list[str], named: Mapping[str, str]) -> None:
    """Make temperatures degrees Celsius and precipitation mm, in place; refuse what can be neither (-9999)."""
    warm = [name for name in measures if name != "prec"]
    units_by_column = {name: units.named(named.get(name, ""), "temperature", f"{label}: {name}") for name in warm}
    silent = [name for name in warm if units_by_column[name] is None and frame[name].notna().any()]
    if silent:
        low, high = float(frame[silent].min().min()), float(frame[silent].max().max())
        quiet = low >= -95 and high <= 62  # degrees Celsius, as is documented
        unit = None if quiet else units.of_temperatures(low, high, f"{label}: {', '.join(silent)}")
        units_by_column |= dict.fromkeys(silent, unit)
    if "prec" in measures:
        units_by_column["prec"] = units.named(named.get("prec", ""), "precipitation", f"{label}: prec")
        _check_rain(label, frame, said=units_by_column["prec"] is not None)
    for name, one in units_by_column.items():
        if one is not None:
            frame[name] = frame[name] * one.scale + one.offset
        units.check(
            frame[name].to_numpy(), "precipitation" if name == "prec" else "temperature", 24, f"{label}: {name}"
        )


def _warn_swapped(label: str, frame: pd.DataFrame) -> None:
    """Say where the least temperature is above the greatest."""
    if {"tmin", "tmax"} <= {*frame.columns} and (count := int((frame["tmin"] > frame["tmax"]).sum())):
        log.warning("%s: tmin is above tmax in %d rows; see that the columns are the right ones", label, count)


def _check_rain(label: str, frame: pd.DataFrame, *, said: bool) -> None:
    """Refuse precipitation that is below zero, or where it never rains, as if it were in m."""
    most, least = frame["prec"].max(), frame["prec"].min()
    if least < 0:
        raise InvalidInputError(
            f"{label}: prec is below zero in some rows ({least:g}); leave the number out where it is not known"
        )
    if not said and 0 < most < 0.475 and frame["meteo_date"].nunique() >= 90:
        raise InvalidInputError(f"{label}: prec is never above {most:g}, as if it were in m; say its unit")


def _each_once(label: str, long: pd.DataFrame) -> pd.DataFrame:
    """Drop duplicate rows; differing rows of one day are refused."""
    keys = ["cell", "meteo_date", "name"]
    once = long.drop_duplicates([*keys, "value"])
    if len(once) < len(long):
        log.warning("%s: %d values stand there twice", label, len(long) - len(once))
    double = once[once.duplicated(keys)]
    if len(double):
        cell, day, name, _ = double.iloc[0]
        raise InvalidInputError(
            f"{label} has several values of {name} of cell {cell} on {day}; give one row for each cell and day"
        )
    return once
