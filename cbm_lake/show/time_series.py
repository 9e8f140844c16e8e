"""Curves of parcels over time: NDVI, Sentinel-2 bands, Sentinel-1 backscatter and coherence, weather."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cbm_lake import cards, palette
from cbm_lake.cards import CLOUD_CLASSES
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.show import computing, crops, curves, reading, style
from cbm_lake.show.curves import Line, Panel
from cbm_lake.show.reading import Parcel
from cbm_lake.show.views import INDICES

if TYPE_CHECKING:
    import pandas as pd

_QUARTILES = "25th to 75th percentile"


def ndvi(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    ptype: str | None = None,
    *,
    screen: Sequence[int] = CLOUD_CLASSES,
    markers: bool = False,
    crop: bool = False,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of the NDVI of one or several parcels over time.

    Cloud-free observations are joined by a line, in a band that combines the quartiles of B04 and B08; clouded ones are
    hollow.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of a parcel, or several.
        ptype: which parcel set; None is the main one.
        screen: scene classes (SCL) that count as clouds.
        markers: also what `cbm.markers.find` found to be done on a single parcel: mowing, ploughing, sowing, harvest.
        crop: behind the curve of a single parcel also the mean of its crop's other parcels, day by day, and one
            standard deviation to either side; of clear observations of observable parcels.
        file: also write it there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews for notebooks instead of a matplotlib figure.

    Raises:
        NotFoundError: no such parcel, or nothing was extracted for any of them.
        InvalidInputError: a file of another kind, or other parcels of the crop where several or no crop is given.
    """
    style.suffix(file, interactive=interactive)
    chosen = _chosen(aoi, year, pid, ptype, crop=crop)
    series = [reading.series(parcel, "s2") for parcel in chosen]
    found = [computing.ndvi_curve(frame, screen) for frame in series]
    told = "cloud-free" if found[0]["cloud"].notna().any() else "clouds not known"
    lines = (Line(told, palette.NDVI, found[0]),) if len(chosen) == 1 else _by_parcel(chosen, found)
    work = reading.work(chosen[0]) if markers and len(chosen) == 1 else ()
    others = (crops.of_index(chosen[0], INDICES["ndvi"], screen),) if crop else ()
    panel = Panel("NDVI", lines, (0, 1), _missing("s2"), compared=len(chosen) > 1, events=work, crops=others)
    return _finish([panel], chosen, "s2", file, spread="between the quartiles of B08 and B04", interactive=interactive)


def s2(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    ptype: str | None = None,
    bands: str | Sequence[str] = ("B04", "B08"),
    *,
    screen: Sequence[int] = CLOUD_CLASSES,
    crop: bool = False,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of the reflectance of Sentinel-2 bands over time, with the quartiles; of several parcels a panel a band.

    Args and errors are those of `ndvi`; bands are B02, …, B12.
    """
    style.suffix(file, interactive=interactive)
    names = [bands] if isinstance(bands, str) else list(bands)
    wanted = cards.S2.check_bands(tuple(computing.band_name(band) for band in names))
    chosen = _chosen(aoi, year, pid, ptype, crop=crop)
    series = [reading.series(parcel, "s2") for parcel in chosen]
    found = {band: [computing.band_curve(frame, band, screen) for frame in series] for band in wanted}
    if len(chosen) == 1:
        lines = tuple(Line(band, palette.BANDS[band], rows[0]) for band, rows in found.items())
        others = tuple(crops.of_bands(chosen[0], wanted, screen).values()) if crop else ()
        panels = [Panel("reflectance", lines, (0, 0.1), _missing("s2"), crops=others)]
    else:
        told = "this band was not extracted"
        panels = [
            Panel(f"reflectance, {band}", _by_parcel(chosen, rows), (0, 0.1), told, compared=True)
            for band, rows in found.items()
        ]
    return _finish(panels, chosen, f"s2 statistics of {', '.join(wanted)}", file, interactive=interactive)


def s1(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    ptype: str | None = None,
    tstype: str | Sequence[str] = ("bs", "c6"),
    *,
    crop: bool = False,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of Sentinel-1 over time: backscatter in dB (bs) and six-day coherence (c6), VV and VH.

    Args and errors are those of `ndvi`; tstype is bs, c6 or both.
    """
    style.suffix(file, interactive=interactive)
    kinds = [tstype] if isinstance(tstype, str) else list(tstype)
    if not kinds or not set(kinds) <= {"bs", "c6"}:
        raise InvalidInputError(f"tstype {tstype!r} is not of Sentinel-1; choose bs or c6 or both")
    chosen = _chosen(aoi, year, pid, ptype, crop=crop)
    panels = [panel for kind in kinds for panel in _radar(chosen, kind, crop=crop)]
    return _finish(panels, chosen, " or ".join(kinds), file, interactive=interactive)


def weather(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    ptype: str | None = None,
    *,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of the daily weather of the year: temperature from least to greatest with its mean, and precipitation.

    Of several parcels the mean temperatures, and precipitation summed up since the first day. Args and errors are those
    of `ndvi`.
    """
    style.suffix(file, interactive=interactive)
    chosen = reading.parcels(aoi, year, pid, ptype)
    found = []
    for parcel in chosen:
        rows = reading.weather(parcel)
        found.append(rows[rows["time"].dt.year == int(year)] if len(rows) else rows)
    warm = [_weather_rows(rows, "tmean", "tmin", "tmax") for rows in found]
    single = len(chosen) == 1
    wet = [_weather_rows(rows, "prec") if single else _summed(rows) for rows in found]
    lines = (Line("daily mean, between least and greatest", palette.RED, warm[0]),)
    rain = (Line("precipitation", palette.BLUE, wet[0]),)
    panels = [
        Panel("temperature (°C)", lines if single else _by_parcel(chosen, warm), marks=False),
        Panel(
            "precipitation (mm a day)" if single else "precipitation since the first day (mm)",
            rain if single else _by_parcel(chosen, wet), (0, 5), bars=single, marks=False,
        ),
    ]  # fmt: skip
    return _finish(panels, chosen, "weather", file, interactive=interactive)


def _chosen(aoi: str, year: int, pid: str | Sequence[str], ptype: str | None, *, crop: bool) -> list[Parcel]:
    """The parcels; a single one where the others of its crop are drawn."""
    chosen = reading.parcels(aoi, year, pid, ptype)
    if crop and len(chosen) > 1:
        raise InvalidInputError("other parcels of the crop are drawn behind one parcel, not behind several; give one")
    return chosen


def _radar(chosen: Sequence[Parcel], kind: str, *, crop: bool) -> list[Panel]:
    """The panels of a card: one for a parcel, with both polarisations; one per polarisation for several."""
    decibel = kind == "bs"
    unit, limits = ("backscatter (dB)", (-22.0, -8.0)) if decibel else ("six-day coherence", (0.0, 1.0))
    series = [reading.series(parcel, kind) for parcel in chosen]
    found = {band: [computing.radar_curve(frame, band, decibel=decibel) for frame in series] for band in ("VV", "VH")}
    if len(chosen) == 1:
        lines = tuple(Line(band, palette.BANDS[band], rows[0]) for band, rows in found.items())
        others = tuple(crops.of_radar(chosen[0], kind).values()) if crop else ()
        return [Panel(unit, lines, limits, _missing(kind), crops=others)]
    return [
        Panel(f"{unit}, {band}", _by_parcel(chosen, rows), None if decibel else limits, _missing(kind), compared=True)
        for band, rows in found.items()
    ]


def _weather_rows(rows: pd.DataFrame, value: str, low: str = "", high: str = "") -> pd.DataFrame:
    """A column of the weather as a curve, with two others as its band."""
    nothing = float("nan")
    curve = rows[["time"]].assign(
        value=rows[value].astype(float), low=rows[low].astype(float) if low else nothing,
        high=rows[high].astype(float) if high else nothing, cloud=0.0, count=1.0,
    )  # fmt: skip
    return curve.sort_values("time").reset_index(drop=True)


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    """Precipitation since the first day."""
    curve = _weather_rows(rows, "prec")
    return curve.assign(value=curve["value"].fillna(0).cumsum())


def _by_parcel(chosen: Sequence[Parcel], found: Sequence[pd.DataFrame]) -> tuple[Line, ...]:
    """One line per parcel, each in a colour of its own."""
    return tuple(
        Line(parcel.label, style.curve_colour(number), rows, style.dash(number))
        for number, (parcel, rows) in enumerate(zip(chosen, found, strict=True))
    )


def _missing(tstype: str) -> str:
    return f"no {tstype} statistics of this parcel; cbm-lake extract {tstype} makes them"


def _finish(
    panels: Sequence[Panel],
    chosen: Sequence[Parcel],
    what: str,
    file: str | Path | None,
    *,
    spread: str = _QUARTILES,
    interactive: bool,
) -> Any:
    """The figure, written where a file is named; there must be something to see."""
    first = chosen[0]
    whose = f"parcel {first.pid}" if len(chosen) == 1 else f"these {len(chosen)} parcels"
    if all(panel.empty for panel in panels):
        verb = "cbm-lake weather" if what == "weather" else f"cbm-lake extract {what.partition(' ')[0]}"
        raise NotFoundError(f"no {what} of {whose} of {first.aoi} {first.year}; make it with {verb}")
    heading = reading.heading(chosen)
    drawn = curves.interactive(panels, heading) if interactive else curves.draw(panels, heading, spread)
    return style.save(drawn, file)
