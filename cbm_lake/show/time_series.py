"""Curves of parcels over time: NDVI, Sentinel-2 bands, Sentinel-1 backscatter and coherence, weather."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cbm_lake import cards
from cbm_lake.cards import CLOUD_CLASSES, INDICES, Classes, Index, band_called, palette
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake.arguments import Args, Kwargs, Order, also, ptype_stood_at
from cbm_lake.lake.options import checked_options
from cbm_lake.show import computing, crops, curves, reading, style, views, zooming
from cbm_lake.show.curves import Line, Panel
from cbm_lake.show.reading import Parcel

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_QUARTILES = "25th to 75th percentile"
_RADAR: Final = ("bs", "c6")


def _cloud_free_stood_at(place: int) -> Order:
    """For `also`: True stood there, before the scene classes, in early versions of the original."""

    def order(args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
        if len(args) <= place or not isinstance(args[place], bool):
            return args, kwargs
        if not args[place]:
            raise InvalidInputError("cloud_free=False: clouded observations are always marked apart; leave it out")
        return (*args[:place], *args[place + 1 :]), kwargs

    return order


@also(_cloud_free_stood_at(4), pids="pid", scl="screen")
@checked_options
def ndvi(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    ptype: str | None = None,
    screen: Classes = CLOUD_CLASSES,
    std: bool = True,
    max_line_plots: int | None = None,
    errorbar: bool = False,
    view: bool | None = None,
    debug: bool = False,
    *,
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
        pid: identifier of a parcel, or several; also by the original's name, pids.
        ptype: which parcel set; None is the main one.
        screen: scene classes (SCL) that count as clouds: numbers, or 3_8_9_10_11; also by the original's name, scl.
        std: with the bands of the quartiles.
        max_line_plots: of how many parcels, from the first, a line is drawn; of the others only the bands.
        errorbar: with a bar through each cloud-free observation, as long as the band is wide.
        view: True shows the figure in the notebook and gives nothing back.
        debug: tell the log (level DEBUG) what is done.
        markers: also what `cbm.markers.find` found to be done on a single parcel: mowing, ploughing, sowing, harvest.
        crop: behind the curve of a single parcel also the mean of its crop's other parcels, day by day, and one
            standard deviation to either side; of clear observations of observable parcels.
        file: also write it there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews for notebooks instead of a matplotlib figure.

    Raises:
        NotFoundError: no such parcel, or nothing was extracted for any of them.
        InvalidInputError: scene classes, a number of lines or a file that cannot be, or other parcels of the crop where
            several or no crop is given.
    """
    curves_of = _Curves(aoi, year, pid, ptype, screen, std, max_line_plots, errorbar, markers, crop)
    return _index(INDICES["ndvi"], curves_of, file, interactive=interactive, view=view, debug=debug)


@also(pids="pid", scl="screen")
@checked_options
def index(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    index: str = "ndvi",
    ptype: str | None = None,
    screen: Classes = CLOUD_CLASSES,
    *,
    std: bool = True,
    max_line_plots: int | None = None,
    errorbar: bool = False,
    markers: bool = False,
    crop: bool = False,
    card: str = "s2",
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of an index of one or several parcels over time: NDVI, NDWI, NDMI, EVI, bare soil; see `cards.INDICES`.

    Args and errors are those of `ndvi`; index is the name of one, card an optical card (`cards.CARDS`).
    """
    kind = _optical(card)
    chosen = views.view(index).index
    if chosen is None:
        raise InvalidInputError(f"{index!r} is no index; choose from {', '.join(INDICES)}")
    curves_of = _Curves(aoi, year, pid, ptype, screen, std, max_line_plots, errorbar, markers, crop, kind)
    return _index(chosen, curves_of, file, interactive=interactive, view=None, debug=False)


class _Curves(NamedTuple):
    """Which curves of an index are drawn, and how."""

    aoi: str
    year: int
    pid: str | Sequence[str]
    ptype: str | None
    screen: Classes
    shaded: bool
    most: int | None
    error_bars: bool
    markers: bool
    crop: bool
    card: cards.Card = cards.S2


def _optical(name: str) -> cards.Card:
    """The optical card of that name.

    Raises:
        InvalidInputError: there is none.
    """
    if not cards.get(name).is_optical:
        optical = ", ".join(card.name for card in cards.CARDS.values() if card.is_optical)
        raise InvalidInputError(f"card {name} has no reflectance; choose from {optical}")
    return cards.get(name)


def _index(
    index: Index, asked: _Curves, file: str | Path | None, *, interactive: bool, view: bool | None, debug: bool
) -> Any:
    """The figure of an index."""
    style.suffix(file, interactive=interactive)
    _check_lines(asked.most)
    card, screened = asked.card, cards.screened(asked.screen, asked.card)
    if asked.crop and card is not cards.S2:
        raise InvalidInputError(f"other parcels of the crop are drawn of Sentinel-2 only, not of card {card.name}")
    parcels = _chosen(asked.aoi, asked.year, asked.pid, asked.ptype, crop=asked.crop)
    series = [reading.series(parcel, card.name) for parcel in parcels]
    rows = [computing.index_curve(frame, index, screened, card) for frame in series]
    label = "cloud-free" if rows[0]["cloud"].notna().any() else "clouds not known"
    single = len(parcels) == 1
    lines = (Line(label, palette.NDVI, rows[0]),) if single else _by_parcel(parcels, rows, asked.most)
    panel = Panel(
        index.label,
        lines,
        index.axis,
        _missing(card.name),
        compared=not single,
        events=reading.work(parcels[0]) if asked.markers and single else (),
        crops=(crops.of_index(parcels[0], index, screened),) if asked.crop else (),
        shaded=asked.shaded,
        error_bars=asked.error_bars,
    )
    bands = list(reversed(index.bands_of(card)))
    spread = f"between the quartiles of {', '.join(bands[:-1])} and {bands[-1]}"
    return _finish([panel], parcels, card.name, file, spread=spread, interactive=interactive, view=view, debug=debug)


@also(_cloud_free_stood_at(5), pids="pid", scl="screen")
@checked_options
def s2(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    ptype: str | None = None,
    bands: str | Sequence[str] = ("B04", "B08"),
    screen: Classes = CLOUD_CLASSES,
    view: bool | None = None,
    debug: bool = False,
    *,
    crop: bool = False,
    card: str = "s2",
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of the reflectance of Sentinel-2 bands over time, with the quartiles; of several parcels a panel a band.

    Args and errors are those of `ndvi`; bands are B02, …, B12, or those of another optical card (`cards.CARDS`).
    """
    style.suffix(file, interactive=interactive)
    kind = _optical(card)
    screened = cards.screened(screen, kind)
    names = [bands] if isinstance(bands, str) else list(bands)
    if kind is not cards.S2 and names == ["B04", "B08"]:
        names = ["red", "nir"]
    wanted = kind.check_bands(tuple(band_called(band, kind) for band in names))
    chosen = _chosen(aoi, year, pid, ptype, crop=crop)
    series = [reading.series(parcel, card) for parcel in chosen]
    found = {band: [computing.band_curve(frame, band, screened) for frame in series] for band in wanted}
    if len(chosen) == 1:
        lines = tuple(Line(band, palette.BANDS[band], rows[0]) for band, rows in found.items())
        others = tuple(crops.of_bands(chosen[0], wanted, screened, card).values()) if crop else ()
        panels = [Panel("reflectance", lines, (0, 0.1), _missing(card), crops=others)]
    else:
        told = "this band was not extracted"
        panels = [
            Panel(f"reflectance, {band}", _by_parcel(chosen, rows), (0, 0.1), told, compared=True)
            for band, rows in found.items()
        ]
    what = f"{card} statistics of {', '.join(wanted)}"
    return _finish(panels, chosen, what, file, interactive=interactive, view=view, debug=debug)


def _is_radar(value: object) -> bool:
    """Whether a value can only be tstype of `s1`: a card of Sentinel-1, or a list."""
    return value in _RADAR or not (value is None or isinstance(value, str))


@also(ptype_stood_at(3, _is_radar), pids="pid")
@checked_options
def s1(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    tstype: str | Sequence[str] = _RADAR,
    ptype: str | None = None,
    std: bool = True,
    max_line_plots: int | None = None,
    errorbar: bool = False,
    view: bool | None = None,
    debug: bool = False,
    *,
    crop: bool = False,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of Sentinel-1 over time: backscatter in dB (bs) and six-day coherence (c6), VV and VH.

    Args and errors are those of `ndvi`; tstype is bs, c6 or both. ptype may also stand before it, as in version 0.1.
    """
    style.suffix(file, interactive=interactive)
    _check_lines(max_line_plots)
    kinds = [tstype] if isinstance(tstype, str) else list(tstype)
    if not kinds or not set(kinds) <= set(_RADAR):
        raise InvalidInputError(f"tstype {tstype!r} is not of Sentinel-1; choose bs or c6 or both")
    chosen = _chosen(aoi, year, pid, ptype, crop=crop)
    panels = [
        replace(panel, shaded=std, error_bars=errorbar)
        for kind in kinds
        for panel in _radar(chosen, kind, max_line_plots, crop=crop)
    ]
    return _finish(panels, chosen, " or ".join(kinds), file, interactive=interactive, view=view, debug=debug)


def _is_weather(value: object) -> bool:
    return isinstance(value, str) and set(value) <= set("tp") and value != ""


@also(ptype_stood_at(3, _is_weather), pids="pid")
@checked_options
def weather(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    tstype: str = "tp",
    ptype: str | None = None,
    view: bool | None = None,
    debug: bool = False,
    *,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of the daily weather of the year: temperature from least to greatest with its mean, and precipitation.

    Of several parcels the mean temperatures, and precipitation summed up since the first day. Args and errors are those
    of `ndvi`; tstype is t (temperature), p (precipitation) or tp. ptype may also stand before it, as in version 0.1,
    unless it is t or p.
    """
    style.suffix(file, interactive=interactive)
    if not _is_weather(tstype):
        raise InvalidInputError(f"tstype {tstype!r} is no weather; choose t (temperature), p (precipitation) or tp")
    chosen = reading.parcels(aoi, year, pid, ptype)
    found = []
    for parcel in chosen:
        rows = reading.weather(parcel)
        found.append(rows[rows["time"].dt.year == int(year)] if len(rows) else rows)
    panels = ([_warmth(chosen, found)] if "t" in tstype else []) + ([_rain(chosen, found)] if "p" in tstype else [])
    return _finish(panels, chosen, "weather", file, interactive=interactive, view=view, debug=debug)


def _warmth(chosen: Sequence[Parcel], found: Sequence[pd.DataFrame]) -> Panel:
    """The panel of temperatures."""
    rows = [_weather_rows(frame, "tmean", "tmin", "tmax") for frame in found]
    lines = (Line("daily mean, between least and greatest", palette.RED, rows[0]),)
    return Panel("temperature (°C)", lines if len(chosen) == 1 else _by_parcel(chosen, rows), marks=False)


def _rain(chosen: Sequence[Parcel], found: Sequence[pd.DataFrame]) -> Panel:
    """The panel of precipitation."""
    if len(chosen) > 1:
        lines = _by_parcel(chosen, [_summed(frame) for frame in found])
        return Panel("precipitation since the first day (mm)", lines, (0, 5), marks=False)
    bars = (Line("precipitation", palette.BLUE, _weather_rows(found[0], "prec")),)
    return Panel("precipitation (mm a day)", bars, (0, 5), bars=True, marks=False)


def _chosen(aoi: str, year: int, pid: str | Sequence[str], ptype: str | None, *, crop: bool) -> list[Parcel]:
    """The parcels; a single one where the others of its crop are drawn."""
    chosen = reading.parcels(aoi, year, pid, ptype)
    if crop and len(chosen) > 1:
        raise InvalidInputError("other parcels of the crop are drawn behind one parcel, not behind several; give one")
    return chosen


def _radar(chosen: Sequence[Parcel], kind: str, most: int | None, *, crop: bool) -> list[Panel]:
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
        Panel(
            f"{unit}, {band}",
            _by_parcel(chosen, rows, most),
            None if decibel else limits,
            _missing(kind),
            compared=True,
        )
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


def _by_parcel(chosen: Sequence[Parcel], found: Sequence[pd.DataFrame], most: int | None = None) -> tuple[Line, ...]:
    """One line per parcel, each in a colour of its own; of more than so many only the bands, all alike."""
    return tuple(
        Line(parcel.label, style.curve_colour(number), rows, style.dash(number))
        if most is None or number < most
        else Line(parcel.label, palette.PALE, rows, background=True)
        for number, (parcel, rows) in enumerate(zip(chosen, found, strict=True))
    )


def _check_lines(most: int | None) -> None:
    if most is not None and (isinstance(most, bool) or most < 1):
        raise InvalidInputError(f"max_line_plots {most!r} is no number of lines; give 1 or more, or leave it out")


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
    view: bool | None,
    debug: bool,
) -> Any:
    """The figure, written where a file is named; there must be something to see."""
    first = chosen[0]
    whose = f"parcel {first.pid}" if len(chosen) == 1 else f"these {len(chosen)} parcels"
    if all(panel.empty for panel in panels):
        verb = "cbm-lake weather" if what == "weather" else f"cbm-lake extract {what.partition(' ')[0]}"
        raise NotFoundError(f"no {what} of {whose} of {first.aoi} {first.year}; make it with {verb}")
    heading = reading.heading(chosen)
    drawn = zooming.interactive(panels, heading, spread) if interactive else curves.draw(panels, heading, spread)
    if debug:
        log.debug("%s of %s drawn%s", what, whose, f" into {file}" if file else "")
    return style.shown(style.save(drawn, file), view)
