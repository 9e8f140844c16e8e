"""Panels of time series figures: radar, temperature, precipitation, and one line per parcel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cbm_lake import cards
from cbm_lake.cards import Index, palette
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.show import computing, peers, style
from cbm_lake.show.panels import Line, Panel
from cbm_lake.show.reading import Reading

if TYPE_CHECKING:
    import pandas as pd


_NO_RAIN: Final = "no precipitation in this lake"


def temperature(parcels: Sequence[Parcel], days: Sequence[pd.DataFrame]) -> Panel:
    """The panel of daily temperatures, in degrees Celsius."""
    rows = [_weather_rows(frame, "tmean", "tmin", "tmax") for frame in days]
    lines = (Line("daily mean, between least and greatest", palette.RED, rows[0]),)
    drawn = lines if len(parcels) == 1 else by_parcel(parcels, rows)
    return Panel("temperature (°C)", drawn, missing="no temperature in this lake", marks=False)


def precipitation(parcels: Sequence[Parcel], days: Sequence[pd.DataFrame]) -> Panel:
    """The panel of precipitation: bars in mm a day, or for several parcels its cumulative sum in mm."""
    if len(parcels) > 1:
        lines = by_parcel(parcels, [_summed(frame) for frame in days])
        return Panel("precipitation since the first day (mm)", lines, (0, 5), _NO_RAIN, marks=False)
    bars = (Line("precipitation", palette.BLUE, _weather_rows(days[0], "prec")),)
    return Panel("precipitation (mm a day)", bars, (0, 5), _NO_RAIN, bars=True, marks=False)


def radar(reading: Reading, parcels: Sequence[Parcel], kind: str, most: int | None, *, with_peers: bool) -> list[Panel]:
    """The panels of a Sentinel-1 card: both polarisations in one for a single parcel, else one per polarisation."""
    card = cards.get(kind)
    decibel, limits = card.quantity.decibels, card.quantity.axis
    unit = f"{card.picture} (dB)" if decibel else card.picture
    series = [reading.series(parcel, kind) for parcel in parcels]
    rows = {band: [computing.radar_curve(one, band, decibel=decibel) for one in series] for band in ("VV", "VH")}
    if len(parcels) == 1:
        lines = tuple(Line(band, palette.BANDS[band], curve) for band, [curve] in rows.items())
        panel = Panel(unit, lines, limits, missing(kind))
        drawn = with_peers and not panel.empty
        return [behind(panel, peers.of_radar(reading, parcels[0], kind)) if drawn else panel]
    return [
        Panel(
            f"{unit}, {band}",
            by_parcel(parcels, curves_of, most),
            None if decibel else limits,
            missing(kind),
            compared=True,
        )
        for band, curves_of in rows.items()
    ]


@dataclass(frozen=True)
class Screening:
    """How observations of an optical card are drawn."""

    card: cards.Card
    screened: tuple[int, ...]
    """Its classes that count as clouds."""
    with_peers: bool = False
    """A single parcel before the band of the other parcels of its crop."""


def measured(words: Sequence[str], card: cards.Card) -> tuple[tuple[str, ...], tuple[Index, ...]]:
    """The bands of a card that are named, and the indices of pixels.

    Raises:
        InvalidInputError: a name is neither, or the card lacks a band of the index.
    """
    indices = [index for word in words if (index := cards.indices.named(word))]
    names = cards.indices.check([index.name for index in indices], card)
    others = tuple(cards.band_called(word, card) for word in words if not cards.indices.named(word))
    return card.check_bands(others) if others or not names else (), tuple(cards.INDICES[name] for name in names)


def reflectance(reading: Reading, parcels: Sequence[Parcel], bands: Sequence[str], screening: Screening) -> list[Panel]:
    """The panels of an optical card's bands: all in one for a single parcel, else one per band."""
    card = screening.card.name
    series = [reading.series(parcel, card) for parcel in parcels]
    rows = {band: [computing.band_curve(one, band, screening.screened) for one in series] for band in bands}
    if len(parcels) == 1:
        lines = tuple(Line(band, palette.BANDS[band], curve) for band, [curve] in rows.items())
        panel = Panel("reflectance", lines, (0, 0.1), missing(card))
        return [_before_peers(panel, reading, parcels[0], bands, screening)]
    absent = "this band was not extracted"
    return [
        Panel(f"reflectance, {band}", by_parcel(parcels, curves_of), (0, 0.1), absent, compared=True)
        for band, curves_of in rows.items()
    ]


def of_pixels(reading: Reading, parcels: Sequence[Parcel], index: Index, screening: Screening) -> Panel:
    """The panel of an index that was extracted pixel by pixel."""
    card = screening.card.name
    rows = [computing.pixel_index_curve(reading.series(one, card), index, screening.screened) for one in parcels]
    unit, absent = f"{index.label} of pixels", f"cbm-lake extract {card} --indices {index.name} makes it"
    if len(parcels) > 1:
        return Panel(unit, by_parcel(parcels, rows), index.axis, absent, compared=True)
    panel = Panel(unit, (Line(unit, palette.NDVI, rows[0]),), index.axis, absent)
    return _before_peers(panel, reading, parcels[0], [index.column], screening)


def _before_peers(panel: Panel, reading: Reading, parcel: Parcel, bands: Sequence[str], screening: Screening) -> Panel:
    """The panel of a single parcel before the bands of its peers, if these are drawn."""
    if panel.empty or not screening.with_peers:
        return panel
    return behind(panel, peers.of_bands(reading, parcel, bands, screening.screened, screening.card.name))


def behind(panel: Panel, others: peers.Peers) -> Panel:
    """The panel before the band of the parcel's peers, or with the reason why there is none."""
    return replace(panel, peers=others.lines, notes=(others.note,) if others.note else ())


def _weather_rows(rows: pd.DataFrame, value: str, low: str = "", high: str = "") -> pd.DataFrame:
    """A column of the weather as a curve, with two others as its band; only of days of which it is known."""
    nothing = float("nan")
    curve = rows[["time"]].assign(
        value=rows[value].astype(float),
        low=rows[low].astype(float) if low else nothing,
        high=rows[high].astype(float) if high else nothing,
    )
    return curve.dropna(subset="value").sort_values("time").reset_index(drop=True)


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    """Precipitation since the first day; until the first day that is missing, beyond which a sum would be too small."""
    days = _weather_rows(rows, "prec")
    follows = days["time"].diff().dt.days.fillna(1) == 1
    unbroken = days[follows.astype(int).cummin() == 1]
    return unbroken.assign(value=unbroken["value"].cumsum())


def by_parcel(
    parcels: Sequence[Parcel], curves_of: Sequence[pd.DataFrame], most: int | None = None
) -> tuple[Line, ...]:
    """One line per parcel, each in its own colour; beyond the first `most` only grey quartile bands."""
    return tuple(
        Line(parcel.label, style.curve_colour(number), rows, style.dash(number))
        if most is None or number < most
        else Line(parcel.label, palette.PALE, rows, background=True)
        for number, (parcel, rows) in enumerate(zip(parcels, curves_of, strict=True))
    )


def missing(tstype: str) -> str:
    """What a panel without observations says, and the command that extracts them."""
    return f"no {tstype} statistics of this parcel; cbm-lake extract {tstype} makes them"
