"""A parcel through the years: curves over the days of the year, one colour a year, the weather beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from cbm_lake.cards import CLOUD_CLASSES, Classes, screened
from cbm_lake.errors import InvalidInputError, NotFoundError, quoted, wrong_argument
from cbm_lake.files import durable
from cbm_lake.lake.arguments import also
from cbm_lake.lake.options import checked_option, checked_options
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.show import computing, curves, style, succession, sums, views, zooming
from cbm_lake.show.panels import Line, Panel
from cbm_lake.show.reading import LakeLike, Reading
from cbm_lake.show.seasons import Season
from cbm_lake.show.style import Figure
from cbm_lake.show.succession import Match
from cbm_lake.show.views import View

if TYPE_CHECKING:
    import pandas as pd

_MOST: Final = 14
"""Years: as many as there are colours, in two dashes."""


@also(index="bands")
@checked_options
def by_pid(
    aoi: str,
    year: int,
    pid: str,
    years: Sequence[int] | None = None,
    ptype: str | None = None,
    bands: str = "ndvi",
    *,
    start: int = 1,
    weather: bool = True,
    base: float = 0.0,
    screen: Classes = CLOUD_CLASSES,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure:
    """Plot several years of a parcel over the days of the year, with the sums of temperature and rain below.

    Which parcels of another year it was, or became, says the view `lineage`, over several years if need be: those that
    have a tenth of their area, or of its, in common, three at most. Of a year without lineage it is the parcel of the
    same identifier if its outline overlaps. The legend says shares of area where outlines differ; what is missing is
    named below the curves. These are of usable looks.

    Args:
        aoi: area.
        year: year of the declaration of the parcel.
        pid: its identifier in that year.
        years: the years that are compared; None is all that have parcels of the same kind.
        ptype: which parcel set, of all years; None is the main one.
        bands: what is drawn: an index (a name in `cards.INDICES`), a band (B08), of radar "bs VV" (dB) or "c6 VV"
            (coherence), or of another card its name and one of these: "ls ndvi". Also by the name index.
        start: month, 1 to 12, in which the seasons of twelve months begin: from July on that of the year before, as of
            crops that are sown in autumn.
        weather: with the sums of temperature and rain since the season began, where weather is loaded. A sum ends
            before the first day that is missing.
        base: °C above which temperatures are summed up; a day counts by its mean (McMaster and Wilhelm 1997,
            Agricultural and Forest Meteorology 87, 291-300, their method 1).
        screen: scene classes (SCL) that count as clouds: numbers, or 3_8_9_10_11.
        file: also write it there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews for notebooks instead of a matplotlib figure.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Raises:
        NotFoundError: no such parcel, or nothing was extracted of any of the years.
        InvalidInputError: years, a month, bands or a file that cannot be.
    """
    style.suffix(file, interactive=interactive)
    compared = _compare(Reading.of(lake), (aoi, year, pid, ptype), years, bands, start, screen)
    panels = [_panel(compared, _no_weather(compared) if weather else ())]
    panels += _weather_panels(compared, base) if weather else []
    draw = zooming.interactive if interactive else curves.draw
    figure: Figure = draw(panels, compared.heading, "")
    return style.save(figure, file)


@also(index="bands")
@checked_options
def table(
    aoi: str,
    year: int,
    pid: str,
    years: Sequence[int] | None = None,
    ptype: str | None = None,
    bands: str = "ndvi",
    *,
    start: int = 1,
    weather: bool = True,
    base: float = 0.0,
    screen: Classes = CLOUD_CLASSES,
    file: str | Path | None = None,
    lake: LakeLike = None,
) -> pa.Table:
    """The data behind the figure of `by_pid`, whose parameters these are; `file` is a .csv.

    Returns:
        One row per look, usable or not, and per day of a sum: year, pid, crop, covered (share of the parcel's area in
        that one, 0 to 1) and inside (share of that one in the parcel), quantity, unit, time (UTC), day_of_year (1 to
        366, of the calendar year), day_of_season (1 is the first day), value, low and high (quartiles; null of sums),
        usable.

    Raises:
        NotFoundError: no such parcel, or nothing was extracted of any of the years.
        InvalidInputError: years, a month, bands or a file that cannot be.
    """
    if file is not None and Path(file).suffix.lower() != ".csv":
        raise InvalidInputError(f"{file} cannot be written; the table is .csv")
    compared = _compare(Reading.of(lake), (aoi, year, pid, ptype), years, bands, start, screen)
    rows = pa.concat_tables([*_looks(compared), *(_sums(compared, base) if weather else ())])
    if file is not None:
        import pyarrow.csv

        with durable.replacing(Path(file)) as draft:
            pyarrow.csv.write_csv(rows, draft)
    return rows


@dataclass(frozen=True)
class _Year:
    """A parcel in one season."""

    match: Match
    season: Season
    rows: pd.DataFrame
    """Its looks, as of `computing.index_curve`, by time."""
    label: str
    colour: str
    dash: style.Dash


@dataclass(frozen=True)
class _Compared:
    """The years of a parcel."""

    parcel: Parcel
    kind: View
    of: tuple[_Year, ...]
    """By year; several of a year where several parcels were there."""
    notes: tuple[str, ...]
    weather: pd.DataFrame
    """Of each day, at the parcel."""

    @property
    def heading(self) -> str:
        """Parcel and years."""
        numbers = sorted({one.season.year for one in self.of})
        return f"Parcel {self.parcel.label} · {self.parcel.aoi} {self.parcel.year} · {', '.join(map(str, numbers))}"

    @property
    def firsts(self) -> tuple[_Year, ...]:
        """The first parcel of each year."""
        return tuple({one.season.year: one for one in reversed(self.of)}.values())[::-1]


def _compare(
    reading: Reading,
    key: tuple[str, int, str, str | None],
    years: Sequence[int] | None,
    bands: str,
    start: int,
    screen: Classes,
) -> _Compared:
    """Read what is compared."""
    aoi, year, pid, ptype = key
    kind, numbers = _kind(bands), _numbers(years)
    Season(year, start)
    [parcel] = reading.parcels(aoi, year, pid, ptype)
    through = succession.of(reading, parcel, numbers)
    order = sorted({match.parcel.year for match in through.matches})
    compared: list[_Year] = []
    notes = list(through.notes)
    for match in through.matches:
        season = Season(match.parcel.year, start)
        rows = season.within(_curve(reading, match.parcel, kind, screen))
        number = order.index(season.year)
        nth = sum(one.season == season for one in compared)
        dash = style.DASHES[(number // 7 + nth) % len(style.DASHES)]
        label = _label(match, parcel.pid, int(computing.clear(rows).sum()))
        compared.append(_Year(match, season, rows, label, style.curve_colour(number), dash))
        notes += _absent(match.parcel, season, rows, kind)
    if all(one.rows.empty for one in compared):
        reasons = "; ".join(notes) or f"cbm-lake extract {kind.card.name} makes them"
        raise NotFoundError(f"no {kind.card.name} statistics of parcel {pid} of {aoi} in these years: {reasons}")
    return _Compared(parcel, kind, tuple(compared), tuple(notes), reading.weather(parcel))


def _numbers(years: Sequence[int] | None) -> list[int] | None:
    """The years that are compared, each once.

    Raises:
        InvalidInputError: none, too many, or something that is no year.
    """
    if years is None:
        return None
    if isinstance(years, str | int) or not isinstance(years, Sequence) or not years:
        raise wrong_argument("years", f"{quoted(years)} is not right: it is a list of years such as [2023, 2024]")
    numbers = sorted({int(str(checked_option("year", one))) for one in years})
    if len(numbers) > _MOST:
        raise InvalidInputError(f"{len(numbers)} years are too many to tell apart in a figure; {_MOST} at most")
    return numbers


def _kind(bands: str) -> View:
    """What is drawn.

    Raises:
        InvalidInputError: a composite, scene classes, or nothing that is known.
    """
    kind = views.view(bands)
    if not kind.scaled:
        raise InvalidInputError(f"{bands} has no curve; choose an index, one band, or of radar bs VV, c6 VV")
    return kind


def _curve(reading: Reading, parcel: Parcel, kind: View, screen: Classes) -> pd.DataFrame:
    """The whole series of a parcel."""
    series, card = reading.series(parcel, kind.card.name), kind.card
    if kind.index:
        return computing.index_curve(series, kind.index, screened(screen, card))
    if card.is_optical:
        return computing.band_curve(series, kind.bands[0], screened(screen, card))
    return computing.radar_curve(series, kind.bands[0], decibel=card.quantity.decibels)


def _label(match: Match, pid: str, looks: int) -> str:
    """The entry of a year in the legend: year, declared crop, looks, and which parcel it is of where it is another."""
    crop = match.parcel.crop or match.parcel.code or "no crop declared"
    return " · ".join(filter(None, [str(match.parcel.year), crop, f"{looks} usable looks", match.described(pid)]))


def _absent(parcel: Parcel, season: Season, rows: pd.DataFrame, kind: View) -> list[str]:
    """What of a season was not seen."""
    if rows.empty:
        return [f"{season.year}: no {kind.card.name} statistics from {season.first} to {season.last}"]
    if not computing.clear(rows).any():
        return [f"{season.year}: none of {len(rows)} looks at parcel {parcel.pid} is usable"]
    if season.from_autumn and rows["time"].iloc[0].year == season.year:
        return [f"{season.year}: nothing was extracted for its parcels of before {rows['time'].iloc[0]:%-d %B %Y}"]
    return []


# -- figures ----------------------------------------------------------------------------------------------------------


def _panel(compared: _Compared, notes: tuple[str, ...]) -> Panel:
    """The panel of the quantity that is compared."""
    kind = compared.kind
    limits = kind.index.axis if kind.index else (0, 0.1) if kind.card.is_optical else None
    lines = tuple(
        Line(one.label, one.colour, rows, one.dash, tag=_tag(one, compared))
        for one, rows in ((one, _drawn(one)) for one in compared.of)
        if len(rows)
    )
    return Panel(kind.unit, lines, limits, "no usable look", shaded=False, by_year=True, notes=compared.notes + notes)


def _drawn(one: _Year) -> pd.DataFrame:
    """The usable looks on the common year, with the true date as text."""
    rows = one.rows[computing.clear(one.rows)].reset_index(drop=True)
    return rows.assign(date=rows["time"].dt.strftime("%Y-%m-%d"), time=one.season.common(rows["time"]))


def _tag(one: _Year, compared: _Compared) -> str:
    """What stands at the end of a curve: the year, with the parcel where there are several of it."""
    single = sum(other.season == one.season for other in compared.of) == 1
    return str(one.season.year) if single else f"{one.season.year}  {one.match.parcel.pid:.12}"


def _no_weather(compared: _Compared) -> tuple[str, ...]:
    """A note where no weather is loaded."""
    return ("no weather is loaded of this place; cbm-lake weather loads it",) if compared.weather.empty else ()


def _weather_panels(compared: _Compared, base: float) -> list[Panel]:
    """The panels of the sums; none where no weather is loaded."""
    if compared.weather.empty:
        return []
    units = {sums.TEMPERATURE: f"temperature sum above {base:g} °C (°C d)", sums.RAIN: "precipitation sum (mm)"}
    return [_sum_panel(compared, name, unit, base) for name, unit in units.items()]


def _sum_panel(compared: _Compared, name: str, unit: str, base: float) -> Panel:
    lines, notes = [], []
    for one in compared.firsts:
        total = sums.of(compared.weather, one.season, name, base)
        notes += [total.note] if total.note else []
        if len(total.rows):
            tag = f"{one.season.year}  {total.rows['value'].iloc[-1]:,.0f}"
            rows = sums.common(one.season, total.rows)
            lines.append(Line(one.label, one.colour, rows, one.dash, tag=tag))
    return Panel(unit, tuple(lines), (0, 1), "no weather of these years", marks=False, by_year=True, notes=tuple(notes))


# -- tables -----------------------------------------------------------------------------------------------------------


def _looks(compared: _Compared) -> Iterator[pa.Table]:
    """The looks of each year."""
    kind = compared.kind
    unit = "dB" if kind.card.quantity.decibels else "1"
    for one in compared.of:
        rows = one.rows.assign(usable=computing.clear(one.rows))
        yield _rows(one, kind.index.label if kind.index else kind.title, unit, rows)


def _sums(compared: _Compared, base: float) -> Iterator[pa.Table]:
    """The sums of each year."""
    for name, unit in sums.UNITS.items():
        for one in compared.firsts if len(compared.weather) else ():
            rows = sums.of(compared.weather, one.season, name, base).rows
            yield _rows(one, name, unit, rows.assign(low=float("nan"), high=float("nan"), usable=True))


def _rows(one: _Year, quantity: str, unit: str, rows: pd.DataFrame) -> pa.Table:
    """Rows of the table from those of a curve."""
    parcel, season, times = one.match.parcel, one.season, rows["time"]
    constant = {
        "year": pa.scalar(season.year, pa.int32()),
        "pid": pa.scalar(parcel.pid),
        "crop": pa.scalar(parcel.crop or parcel.code, pa.string()),
        "covered": pa.scalar(one.match.covered),
        "inside": pa.scalar(one.match.inside),
        "quantity": pa.scalar(quantity),
        "unit": pa.scalar(unit),
    }
    measured = {
        "time": pa.array(times.dt.tz_localize("UTC"), pa.timestamp("us", "UTC")),
        "day_of_year": pa.array(times.dt.dayofyear, pa.int32()),
        "day_of_season": pa.array(season.day(times), pa.int32()),
        **{name: pa.array(rows[name], pa.float64(), from_pandas=True) for name in ("value", "low", "high")},
        "usable": pa.array(rows["usable"], pa.bool_()),
    }
    return pa.table({name: pa.repeat(value, len(rows)) for name, value in constant.items()} | measured)
