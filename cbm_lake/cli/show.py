"""cbm-lake show: figures of parcels, into files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cbm_lake.cards import CARDS, INDICES, scene_classes
from cbm_lake.cli.shared import Aoi, End, Ptype, Start, Year, out
from cbm_lake.errors import InvalidInputError

app = typer.Typer(no_args_is_help=True, help="Draw figures of parcels: .png, .svg or .pdf, or interactive .html.")

Pids = Annotated[list[str] | None, typer.Option("--pid", help="Identifier of a parcel; several times for several.")]
Out = Annotated[Path, typer.Option("--out", help="File: .png, .svg, .pdf, or .html, which is interactive.")]
_VIEWS = f'{", ".join(INDICES)}, "true colour", SCL, three bands (B08_B04_B03), one, or of radar "bs VV", "c6 VH"'
_CURVES: Final = f'{", ".join(INDICES)}, a band, or "bs VV", "c6 VV".'
Bands = Annotated[str, typer.Option("--bands", help=f"{_VIEWS}.")]
Size = Annotated[int | None, typer.Option("--chipsize", help="Metres a side; without it the parcel's surroundings.")]
Lon = Annotated[float | None, typer.Option("--lon", help="Or a place: degrees east …")]
Lat = Annotated[float | None, typer.Option("--lat", help="… and degrees north.")]
Colours = Annotated[str | None, typer.Option("--cmap", help="Colour map of NDVI or one band: viridis, magma, …")]
Screen = Annotated[str, typer.Option("--screen", help="Scene classes that count as clouds.")]
_SCREEN = "3,8,9,10,11"
_KINDS: Final = f"{', '.join([*INDICES, *CARDS])}, s1 or weather"
_OPTICAL: Final = " or ".join(card.name for card in CARDS.values() if card.is_optical)


@app.command("time-series")
def show_time_series(
    aoi: Aoi,
    year: Year,
    file: Out,
    pid: Pids = None,
    kind: Annotated[str, typer.Option("--kind", help=f"{_KINDS}.")] = "ndvi",
    card: Annotated[str, typer.Option("--card", help=f"Of indices: {_OPTICAL}.")] = "s2",
    bands: Annotated[str, typer.Option("--bands", help=f"Of {_OPTICAL}: B04,B08; red,nir.")] = "B04,B08",
    ptype: Ptype = None,
    screen: Screen = _SCREEN,
    markers: Annotated[bool, typer.Option("--markers", help="With an index also what was found to be done.")] = False,
    peers: Annotated[
        bool | None,
        typer.Option("--peers/--no-peers", "--crop", help="The band of the other parcels of the crop; of one parcel."),
    ] = None,
    no_bands: Annotated[
        bool, typer.Option("--no-bands", help="Of indices and s1: without the bands of quartiles.")
    ] = False,
    error_bars: Annotated[
        bool, typer.Option("--error-bars", help="Of indices and s1: bars as long as the bands.")
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", min=1, help="Of indices and s1: so many parcels as lines, the others as bands."),
    ] = None,
) -> None:
    """Draw parcels' curves over time."""
    from cbm_lake.show import time_series

    asked = aoi, year, _several(pid), ptype
    looks: dict[str, Any] = {"std": not no_bands, "max_line_plots": lines, "errorbar": error_bars}
    optical = kind in CARDS and CARDS[kind].is_optical
    if (optical or kind == "weather") and (no_bands or error_bars or lines):
        raise InvalidInputError(f"--no-bands, --error-bars and --lines are not for --kind {kind}; leave them out")
    if optical:
        how = {"screen": scene_classes(screen), "peers": peers, "card": kind}
        time_series.s2(*asked, bands.split(","), **how, **_into(file))
    elif kind in CARDS or kind == "s1":
        radar = tuple(card.name for card in CARDS.values() if not card.is_optical)
        time_series.s1(*asked[:3], radar if kind == "s1" else kind, ptype, peers=peers, **looks, **_into(file))
    elif kind in INDICES:
        looks |= {"screen": scene_classes(screen), "markers": markers, "peers": peers, "card": card}
        time_series.index(*asked[:3], kind, ptype, **looks, **_into(file))
    elif kind == "weather" and not peers:
        time_series.weather(*asked[:3], "tp", ptype, **_into(file))
    elif kind == "weather":
        raise InvalidInputError("weather is the same for every crop; leave --peers out")
    else:
        raise InvalidInputError(f"--kind {kind} is not known; choose {_KINDS}")
    _print_path(file)


@app.command("years")
def show_years(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel in that year.")],
    file: Annotated[Path, typer.Option("--out", help="File: .png, .svg, .pdf, .html, or .csv for a table.")],
    years: Annotated[
        str | None, typer.Option("--years", help="Years that are compared: 2021,2022,2023; without it all.")
    ] = None,
    ptype: Ptype = None,
    bands: Annotated[str, typer.Option("--bands", help=_CURVES)] = "ndvi",
    start: Annotated[
        int, typer.Option("--start", min=1, max=12, help="Month in which seasons begin; from 7 on of the year before.")
    ] = 1,
    weather: Annotated[
        bool, typer.Option("--weather/--no-weather", help="With the sums of temperature and rain.")
    ] = True,
    base: Annotated[float, typer.Option("--base", help="Degrees Celsius above which temperatures sum up.")] = 0.0,
    screen: Screen = _SCREEN,
) -> None:
    """Draw several years of a parcel over one another, or write them as a table."""
    from cbm_lake.show import years as verbs

    looks = {"start": start, "weather": weather, "base": base, "screen": scene_classes(screen)}
    asked = aoi, year, pid, _years(years), ptype, bands
    if file.suffix.lower() == ".csv":
        verbs.table(*asked, **looks, file=file)
    else:
        verbs.by_pid(*asked, **looks, **_into(file))
    _print_path(file)


@app.command("chips")
def show_chips(  # noqa: PLR0917 - options
    aoi: Aoi,
    year: Year,
    start: Start,
    end: End,
    file: Out,
    pid: Pids = None,
    lon: Lon = None,
    lat: Lat = None,
    bands: Annotated[
        list[str] | None,
        typer.Option("--bands", help=f"{_VIEWS}; several times for rows."),
    ] = None,
    chipsize: Size = None,
    ptype: Ptype = None,
    cmap: Colours = None,
    columns: Annotated[int | None, typer.Option("--columns", help="Images side by side.")] = None,
    screen: Screen = _SCREEN,
    stretch: Annotated[
        str | None, typer.Option("--stretch", help="Two percentiles between which colours are stretched: 2,98.")
    ] = None,
    no_outline: Annotated[bool, typer.Option("--no-outline", help="Without the parcels' outlines.")] = False,
) -> None:
    """Draw the images of parcels or of a place, date by date."""
    from cbm_lake.show import chip_images

    views = bands or ["ndvi"]
    looks = {"columns": columns, "screen": scene_classes(screen), "show_parcel": not no_outline, **_into(file)}
    looks |= {"percentile": _percentiles(stretch)} if stretch else {}
    if pid and len(views) > 1:
        if len(pid) > 1 or cmap:
            raise InvalidInputError("several --bands are for one --pid, each in its own colours; give one --bands")
        chip_images.grid(aoi, year, pid[0], start, end, views=views, chipsize=chipsize, ptype=ptype, **looks)
    elif pid:
        chip_images.by_pid(aoi, year, pid, start, end, views[0], chipsize, ptype=ptype, cmap=cmap, **looks)
    elif lon is not None and lat is not None:
        chip_images.by_location(lon, lat, start, end, views[0], chipsize or 1280, cmap=cmap, **looks)
    else:
        raise InvalidInputError("which parcel? give --pid, or --lon and --lat")
    _print_path(file)


@app.command("calendar")
def show_calendar(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel.")],
    file: Out,
    start: Annotated[str | None, typer.Option("--start", help="First day; without it 1 January.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last day; without it 31 December.")] = None,
    bands: Bands = "true colour",
    chipsize: Size = None,
    ptype: Ptype = None,
    cmap: Colours = None,
    screen: Screen = _SCREEN,
    cells: Annotated[
        str, typer.Option("--cells", help="images, histogram (of an index) or scatter (red and near infrared).")
    ] = "images",
) -> None:
    """Draw a parcel's year: images, histograms or scatter plots month by month, and a curve below."""
    from cbm_lake.show import calendar

    when = aoi, year, pid, ptype, start, end
    if cells == "images":
        looks = {"cmap": cmap, "screen": scene_classes(screen), **_into(file)}
        calendar.by_pid(*when, bands, chipsize, **looks)
    elif cells == "histogram":
        index = "ndvi" if bands == "true colour" else bands
        calendar.histograms(*when, index, screen=scene_classes(screen), file=file)
    elif cells == "scatter":
        calendar.scatter(*when, screen=scene_classes(screen), file=file)
    else:
        raise InvalidInputError(f"--cells {cells} is not known; choose images, histogram or scatter")
    _print_path(file)


@app.command("background")
def show_background(
    aoi: Aoi,
    year: Year,
    file: Out,
    pid: Pids = None,
    lon: Lon = None,
    lat: Lat = None,
    tms: Annotated[
        list[str] | None,
        typer.Option(
            "--tms", help="google, bing, osm, esri, ags, one of the settings, sentinel; several times for several."
        ),
    ] = None,
    chipsize: Annotated[int, typer.Option("--chipsize", help="Pixels a side.")] = 512,
    extend: Annotated[float | None, typer.Option("--extend", help="Metres of Web Mercator a side.")] = None,
    ptype: Ptype = None,
    columns: Annotated[int | None, typer.Option("--columns", min=1, max=24, help="Images side by side.")] = None,
) -> None:
    """Draw orthophotos of parcels or of a place, with outlines."""
    from cbm_lake.show import background

    servers, looks = tms or ["Google"], {"columns": columns, **_into(file)}
    if pid:
        background.by_pid(aoi, year, pid, chipsize, extend, servers, ptype, **looks)
    elif lon is not None and lat is not None:
        background.by_location(aoi, year, lon, lat, chipsize, extend or 512, servers, ptype, **looks)
    else:
        raise InvalidInputError("which parcel? give --pid, or --lon and --lat")
    _print_path(file)


@app.command("parcel-info")
def show_parcel_info(
    aoi: Aoi,
    year: Year,
    file: Out,
    pid: Pids = None,
    lon: Lon = None,
    lat: Lat = None,
    ptype: Ptype = None,
    tms: Annotated[str | None, typer.Option("--tms", help="Server of an orthophoto under the outline.")] = None,
) -> None:
    """Draw what is declared of parcels: outline, crop, area, place."""
    from cbm_lake.show import parcel_info

    if pid:
        parcel_info.by_pid(aoi, year, pid, ptype, tms, **_into(file))
    elif lon is not None and lat is not None:
        parcel_info.by_location(aoi, year, lon, lat, ptype, tms, **_into(file))
    else:
        raise InvalidInputError("which parcel? give --pid, or --lon and --lat")
    _print_path(file)


@app.command("crop-check")
def show_crop_check(
    aoi: Aoi,
    year: Year,
    file: Out,
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel.")],
    ptype: Ptype = None,
) -> None:
    """Draw the NDVI of a parcel before the bands of its declared and of its likely crop, as the crop check has them."""
    from cbm_lake.show import crop_check

    crop_check.by_pid(aoi, year, pid, ptype, file=file)
    _print_path(file)


def _several(pid: list[str] | None) -> list[str]:
    if not pid:
        raise InvalidInputError("which parcel? give --pid")
    return pid


def _years(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InvalidInputError(f"--years {text} is no list of years; write 2021,2022,2023") from None


def _into(file: Path) -> dict[str, Any]:
    """The arguments that put a figure into a file."""
    return {"file": file, "interactive": file.suffix.lower() == ".html"}


def _percentiles(text: str) -> tuple[float, float]:
    try:
        low, high = (float(number) for number in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 100:
        raise InvalidInputError(f"--stretch {text} is no two percentiles; write 2,98")
    return low, high


def _print_path(file: Path) -> None:
    out.print(f"{file} written", soft_wrap=True, highlight=False)
