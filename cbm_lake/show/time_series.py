"""Time series figures of parcels: indices, Sentinel-2 bands, Sentinel-1 backscatter and coherence, weather."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from cbm_lake import cards
from cbm_lake.cards import CLOUD_CLASSES, INDICES, Classes, Index, palette
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake.arguments import Args, Kwargs, Order, also, ptype_stood_at
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.show import computing, curves, series_panels, style, views, zooming
from cbm_lake.show import peers as others
from cbm_lake.show.panels import Line, Panel
from cbm_lake.show.reading import LakeLike, Reading, heading
from cbm_lake.show.style import Figure

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

_QUARTILES = "25th to 75th percentile"
_RADAR: Final = tuple(name for name, card in cards.CARDS.items() if card.mission is cards.BS.mission)


def _cloud_free_stood_at(position: int) -> Order:
    """Argument order of early versions of the original, in which `cloud_free` stood before the scene classes."""

    def order(args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
        if len(args) <= position or not isinstance(args[position], bool):
            return args, kwargs
        if not args[position]:
            raise InvalidInputError("cloud_free=False: clouded observations are always marked apart; leave it out")
        return (*args[:position], *args[position + 1 :]), kwargs

    return order


@also(_cloud_free_stood_at(4), pids="pid", scl="screen", crop="peers")
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
    peers: bool | None = None,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot the NDVI time series of one or several parcels.

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
        debug: log the steps at level DEBUG.
        markers: also what `cbm.markers.find` found to be done on a single parcel: mowing, ploughing, sowing, harvest.
        peers: behind the curve of a single parcel also the median of the other parcels of its crop in the set, by ten
            days, and the band from the 10th to the 90th percentile; of usable looks; of the 1,000 nearest where there
            are more. None draws it of a single parcel, and says below why not where it cannot be; True raises there.
            Also by the name of earlier versions, crop.
        file: also write it there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews for notebooks instead of a matplotlib figure.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Raises:
        NotFoundError: no such parcel, or nothing was extracted for any of them.
        InvalidInputError: scene classes, a number of lines or a file that cannot be, or peers=True of several parcels,
            of one without a crop, or from a server.
    """
    request = _Curves(aoi, year, pid, ptype, screen, std, max_line_plots, errorbar, markers, peers)
    figure = _index(Reading.of(lake), INDICES["ndvi"], request, file, interactive=interactive, debug=debug)
    return style.displayed(figure, view)


@also(pids="pid", scl="screen", crop="peers")
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
    peers: bool | None = None,
    card: str = "s2",
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure:
    """Plot the time series of an index of one or several parcels: NDVI, NDWI, NDMI, EVI, BSI (`cards.INDICES`).

    Args and errors are those of `ndvi`; index is the name of one, card an optical card (`cards.CARDS`).
    """
    kind = _optical(card)
    formula = views.view(index).index
    if formula is None:
        raise InvalidInputError(f"{index!r} is no index; choose from {', '.join(INDICES)}")
    request = _Curves(aoi, year, pid, ptype, screen, std, max_line_plots, errorbar, markers, peers, kind)
    return _index(Reading.of(lake), formula, request, file, interactive=interactive, debug=False)


class _Curves(NamedTuple):
    """Parameters of an index figure."""

    aoi: str
    year: int
    pid: str | Sequence[str]
    ptype: str | None
    screen: Classes
    shaded: bool
    most: int | None
    error_bars: bool
    markers: bool
    peers: bool | None
    card: cards.Card = cards.S2


def _optical(name: str) -> cards.Card:
    """Look up an optical card by name.

    Raises:
        InvalidInputError: there is none.
    """
    if not cards.get(name).is_optical:
        optical = ", ".join(card.name for card in cards.CARDS.values() if card.is_optical)
        raise InvalidInputError(f"card {name} has no reflectance; choose from {optical}")
    return cards.get(name)


def _index(
    reading: Reading, index: Index, request: _Curves, file: str | Path | None, *, interactive: bool, debug: bool
) -> Figure:
    """Draw the figure of an index."""
    style.suffix(file, interactive=interactive)
    _check_lines(request.most)
    card, screened = request.card, cards.screened(request.screen, request.card)
    parcels = reading.parcels(request.aoi, request.year, request.pid, request.ptype)
    with_peers = _with_peers(reading, parcels, request.peers)
    rows = [computing.index_curve(reading.series(parcel, card.name), index, screened) for parcel in parcels]
    label = "cloud-free" if rows[0]["cloud"].notna().any() else "clouds not known"
    single = len(parcels) == 1
    panel = Panel(
        index.label,
        (Line(label, palette.NDVI, rows[0]),) if single else series_panels.by_parcel(parcels, rows, request.most),
        index.axis,
        series_panels.missing(card.name),
        compared=not single,
        events=reading.work(parcels[0]) if request.markers and single else (),
        shaded=request.shaded,
        error_bars=request.error_bars,
    )
    if with_peers and not panel.empty:
        panel = series_panels.behind(panel, others.of_index(reading, parcels[0], index, screened, card.name))
    bands = list(reversed(index.bands_of(card)))
    subject = _Subject(parcels, card.name, f"between the quartiles of {', '.join(bands[:-1])} and {bands[-1]}")
    return _finish([panel], subject, file, interactive=interactive, debug=debug)


@also(_cloud_free_stood_at(5), pids="pid", scl="screen", crop="peers")
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
    peers: bool | None = None,
    card: str = "s2",
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot reflectance time series of Sentinel-2 bands, with quartiles; several parcels get one panel per band.

    Args and errors are those of `ndvi`; bands are B02, …, B12, or those of another optical card (`cards.CARDS`). NDVI,
    NDMI, … are the indices that were extracted pixel by pixel (`extract` with indices=), each in a panel of its own:
    their mean, and the quartiles of the parcel's pixels.
    """
    style.suffix(file, interactive=interactive)
    kind, reading = _optical(card), Reading.of(lake)
    screened = cards.screened(screen, kind)
    words = [bands] if isinstance(bands, str) else list(bands)
    if kind is not cards.S2 and words == ["B04", "B08"]:
        words = ["red", "nir"]
    bands_of, indices = series_panels.measured(words, kind)
    names = (*bands_of, *(formula.column for formula in indices))
    parcels = reading.parcels(aoi, year, pid, ptype)
    screening = series_panels.Screening(kind, screened, with_peers=_with_peers(reading, parcels, peers))
    panels = series_panels.reflectance(reading, parcels, bands_of, screening) if bands_of else []
    panels += [series_panels.of_pixels(reading, parcels, formula, screening) for formula in indices]
    subject = _Subject(parcels, f"{card} statistics of {', '.join(names)}")
    figure = _finish(panels, subject, file, interactive=interactive, debug=debug)
    return style.displayed(figure, view)


def _is_radar(value: object) -> bool:
    """Whether a value can only be tstype of `s1`: a card of Sentinel-1, or a list."""
    return value in _RADAR or not (value is None or isinstance(value, str))


@also(ptype_stood_at(3, _is_radar), pids="pid", crop="peers")
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
    peers: bool | None = None,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot Sentinel-1 time series: backscatter in dB (bs) and six-day coherence (c6), VV and VH.

    Args and errors are those of `ndvi`; tstype is bs, c6 or both. ptype may also precede it, as in version 0.1.
    """
    style.suffix(file, interactive=interactive)
    _check_lines(max_line_plots)
    kinds = [tstype] if isinstance(tstype, str) else list(tstype)
    if not kinds or not set(kinds) <= set(_RADAR):
        raise InvalidInputError(f"tstype {tstype!r} is not of Sentinel-1; choose bs or c6 or both")
    reading = Reading.of(lake)
    parcels = reading.parcels(aoi, year, pid, ptype)
    with_peers = _with_peers(reading, parcels, peers)
    panels = [
        replace(panel, shaded=std, error_bars=errorbar)
        for kind in kinds
        for panel in series_panels.radar(reading, parcels, kind, max_line_plots, with_peers=with_peers)
    ]
    subject = _Subject(parcels, " or ".join(kinds))
    figure = _finish(panels, subject, file, interactive=interactive, debug=debug)
    return style.displayed(figure, view)


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
    lake: LakeLike = None,
) -> Figure | None:
    """Plot the daily weather of the year: temperature (minimum, mean, maximum) and precipitation.

    Of several parcels the mean temperatures, and precipitation summed up since the first day. Args and errors are those
    of `ndvi`; tstype is t (temperature), p (precipitation) or tp. ptype may also precede it, as in version 0.1,
    unless it is t or p.
    """
    style.suffix(file, interactive=interactive)
    if not _is_weather(tstype):
        raise InvalidInputError(f"tstype {tstype!r} is no weather; choose t (temperature), p (precipitation) or tp")
    reading = Reading.of(lake)
    parcels = reading.parcels(aoi, year, pid, ptype)
    days = [reading.weather(parcel) for parcel in parcels]
    of_year = [rows[rows["time"].dt.year == int(year)] if len(rows) else rows for rows in days]
    panels = ([series_panels.temperature(parcels, of_year)] if "t" in tstype else []) + (
        [series_panels.precipitation(parcels, of_year)] if "p" in tstype else []
    )
    figure = _finish(panels, _Subject(parcels, "weather"), file, interactive=interactive, debug=debug)
    return style.displayed(figure, view)


def _with_peers(reading: Reading, parcels: Sequence[Parcel], asked: bool | None) -> bool:
    """Whether the band of peers is drawn: of a single parcel unless it is left out; one that is required is checked."""
    if asked:
        others.required(reading.source, parcels)
    return asked is not False and len(parcels) == 1


def _check_lines(most: int | None) -> None:
    if most is not None and (isinstance(most, bool) or most < 1):
        raise InvalidInputError(f"max_line_plots {most!r} is no number of lines; give 1 or more, or leave it out")


@dataclass(frozen=True)
class _Subject:
    """What a figure shows, for its title and messages."""

    parcels: Sequence[Parcel]
    statistics: str
    """What it is drawn from: a card, perhaps with more words, or weather."""
    spread: str = _QUARTILES
    """What the bands are."""


def _finish(
    panels: Sequence[Panel],
    subject: _Subject,
    file: str | Path | None,
    *,
    interactive: bool,
    debug: bool,
) -> Figure:
    """Draw the figure and write it if a file is named; refuse one without data."""
    parcels, statistics = subject.parcels, subject.statistics
    first = parcels[0]
    whose = f"parcel {first.pid}" if len(parcels) == 1 else f"these {len(parcels)} parcels"
    if all(panel.empty for panel in panels):
        if statistics == "weather":
            message = f"no weather of {first.year} in this lake for {whose} of {first.aoi}; cbm-lake weather loads it"
            raise NotFoundError(message)
        verb = f"cbm-lake extract {statistics.partition(' ')[0]}"
        raise NotFoundError(f"no {statistics} of {whose} of {first.aoi} {first.year}; make it with {verb}")
    title = heading(parcels)
    draw = zooming.interactive if interactive else curves.draw
    figure: Figure = draw(panels, title, subject.spread)
    if debug:
        log.debug("%s of %s drawn%s", statistics, whose, f" into {file}" if file else "")
    return style.save(figure, file)
