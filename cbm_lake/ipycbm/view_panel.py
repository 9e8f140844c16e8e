"""Widget to view parcels: information, time series, years, chips, calendar, map, backgrounds, notes."""

from __future__ import annotations

import calendar
import json
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any, Final

import geopandas as gpd
import ipywidgets
import shapely

from cbm_lake import get, show
from cbm_lake.cards import INDICES, palette
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.ipycbm import changes, overview
from cbm_lake.ipycbm.choice import STYLE, Days, offer
from cbm_lake.ipycbm.delete_form import delete_form
from cbm_lake.ipycbm.note_form import Notes
from cbm_lake.ipycbm.panel import Panel, rendered, reporting
from cbm_lake.ipycbm.parcel_map import MOST, parcel_map
from cbm_lake.lake import Lake
from cbm_lake.parcel import basemaps
from cbm_lake.show import views
from cbm_lake.show.style import page_of

_BANDS: Final = ("SCL", "B04", "B08", "B11", "bs VV", "bs VH", "c6 VV")
_VIEWS: Final = ("true colour", "B08_B04_B03", *INDICES, *_BANDS)
"""What images may show; of the indices there are histograms."""

Parcel = tuple[str, int, str]
"""Area, year, identifier."""


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget: parcel selection, and one tab per view."""
    parcels = Kept(lake)
    tabs = {
        "information": _simple("show", parcels, show.parcel_info.by_pid),
        "time series": _series(parcels),
        "years": _years(parcels),
        "chips": _chips(parcels),
        "calendar": _calendar(parcels),
        "map": _map(parcels),
        "background": _background(parcels),
        "notes": Notes(parcels),
        "delete": delete_form(parcels),
        "all parcels": overview.panel(lake),
    }
    return ipywidgets.VBox([parcels, ipywidgets.Tab(list(tabs.values()), titles=list(tabs))])


class Kept(ipywidgets.HBox):
    """Input for a parcel with files in temp/ or data/; `value` is its key."""

    def __init__(self, lake: Lake | None = None) -> None:
        self.of: dict[str, Any] = {"lake": lake} if lake else {}
        """The argument of functions that says which lake, where it is not that of the settings."""
        self.aoi = ipywidgets.Dropdown(description="area", style=STYLE)
        self.year = ipywidgets.Dropdown(description="year", style=STYLE)
        self.pid = ipywidgets.Combobox(description="parcel", placeholder="type to search", style=STYLE)
        self.problem = ipywidgets.HTML()
        again = ipywidgets.Button(icon="refresh", tooltip="look again", layout={"width": "40px"})
        again.on_click(lambda _: self.refresh())
        self.aoi.observe(lambda _: self._choose_year(), "value")
        self.year.observe(lambda _: self._choose_pid(), "value")
        self.refresh()
        super().__init__([self.aoi, self.year, self.pid, again, self.problem], layout={"flex_flow": "row wrap"})
        changes.subscribe(self.refresh, "folders")

    def refresh(self) -> None:
        """Reload the available parcels."""
        self._folders_by_area: dict[str, dict[str, list[str]]] = {}
        with reporting(self.problem):
            workspace = Workspace.here()
            self._folders_by_area = merged(get.folders.kept(workspace.temp), get.folders.kept(workspace.data))
            self.problem.value = ""
        before = self.pid.options
        offer(self.aoi, sorted(self._folders_by_area))
        offer(self.year, sorted(self._folders_by_area.get(self.aoi.value, {})), last=True)
        self.pid.options = self._pids()
        if not self.pid.value or (self.pid.value in before and self.pid.value not in self.pid.options):
            self.pid.value = next(iter(self.pid.options), "")

    def beside(self, parcel: Parcel) -> list[str]:
        """All parcels in the area and year of a parcel, with that one first."""
        aoi, year, pid = parcel
        return list(dict.fromkeys([pid, *self._folders_by_area.get(aoi, {}).get(str(year), [])]))

    @property
    def value(self) -> Parcel:
        """The parcel.

        Raises:
            InvalidInputError: none is chosen.
        """
        if not (self.aoi.value and self.year.value and self.pid.value):
            raise InvalidInputError("no parcel is chosen; get some first, then choose one here")
        return self.aoi.value, int(self.year.value), self.pid.value

    def _choose_year(self) -> None:
        offer(self.year, sorted(self._folders_by_area.get(self.aoi.value, {})), last=True)
        self._choose_pid()

    def _choose_pid(self) -> None:
        self.pid.options = self._pids()
        if self.pid.value not in self.pid.options:
            self.pid.value = next(iter(self.pid.options), "")

    def _pids(self) -> list[str]:
        return self._folders_by_area.get(self.aoi.value, {}).get(self.year.value, [])


def merged(*folders: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    """Union of the parcels of several folders."""
    whole: dict[str, dict[str, list[str]]] = {}
    for areas in folders:
        for aoi, years in areas.items():
            for year, pids in years.items():
                by_year = whole.setdefault(aoi, {})
                by_year[year] = sorted({*by_year.get(year, []), *pids})
    return whole


# -- ways to look -----------------------------------------------------------------------------------------------------


def _simple(label: str, parcels: Kept, draw: Callable[..., object]) -> Panel:
    return Panel(label, lambda parcel: draw(*parcel, **parcels.of), redraws=True, context={"parcel": parcels})


def _series(parcels: Kept) -> Panel:
    kinds: dict[str, Callable[..., object]] = {
        **{index.name.upper(): partial(show.time_series.index, index=index.name) for index in INDICES.values()},
        "Sentinel-2 bands": show.time_series.s2,
        "Sentinel-1": show.time_series.s1,
        "weather": show.time_series.weather,
    }

    def draw(parcel: Parcel, kind: str, peers: bool, zoomable: bool) -> object:
        behind = {} if peers or kind == "weather" else {"peers": False}
        return kinds[kind](*parcel, interactive=zoomable, **behind, **parcels.of)

    return Panel(
        "show",
        draw,
        context={"parcel": parcels},
        kind=ipywidgets.Dropdown(options=list(kinds), description="what", style=STYLE),
        peers=ipywidgets.Checkbox(value=True, description="the crop's other parcels behind", style=STYLE),
        zoomable=ipywidgets.Checkbox(value=True, description="zoomable", style=STYLE),
    )


def _years(parcels: Kept) -> Panel:
    """Years of a parcel over one another."""
    names = [*INDICES, *(band for band in _BANDS if band != "SCL")]

    def draw(parcel: Parcel, view: str, years: str, start: int, zoomable: bool) -> object:
        words = years.replace(",", " ").split()
        unknown = [word for word in words if not word.isdecimal()]
        if unknown:
            raise InvalidInputError(f"{unknown[0]} is no year; write 2022, 2023, or nothing for all")
        numbers = [int(word) for word in words] or None
        return show.years.by_pid(*parcel, numbers, bands=view, start=start, interactive=zoomable, **parcels.of)

    months = [(name, number) for number, name in enumerate(calendar.month_name) if name]
    return Panel(
        "show",
        draw,
        context={"parcel": parcels},
        view=ipywidgets.Dropdown(options=names, value="ndvi", description="what", style=STYLE),
        years=ipywidgets.Text(description="years", placeholder="all, or 2022, 2023", style=STYLE),
        start=ipywidgets.Dropdown(options=months, description="seasons begin in", style=STYLE),
        zoomable=ipywidgets.Checkbox(value=True, description="zoomable", style=STYLE),
    )


def _days(parcels: Kept) -> Days:
    days = Days(date(date.today().year, 1, 1), date(date.today().year, 12, 31))

    def follow(_: object = None) -> None:
        if parcels.year.value:
            year = int(parcels.year.value)
            days.first.value, days.last.value = date(year, 1, 1), date(year, 12, 31)

    parcels.year.observe(follow, "value")
    follow()
    return days


def _chips(parcels: Kept) -> Panel:
    def draw(parcel: Parcel, days: tuple[date, date], view: str, one_by_one: bool) -> object:
        sheet = show.chip_images.by_pid(*parcel, *days, bands=view, **parcels.of)
        return slider(_single(parcel, days, view)) if one_by_one else sheet

    return Panel(
        "show",
        draw,
        context={"parcel": parcels},
        days=_days(parcels),
        view=ipywidgets.Dropdown(options=_VIEWS, description="colours", style=STYLE),
        one_by_one=ipywidgets.Checkbox(description="one by one, with a slider", style=STYLE),
    )


def _single(parcel: Parcel, days: tuple[date, date], view: str) -> dict[str, ipywidgets.Image]:
    """Individual images of a parcel by date, from the files of the sheet."""
    figures = views.view(view)
    name, folder = figures.name, get.chip_images.folder_of(get.folders.place(*parcel, ""), figures.card.name)
    files = sorted(folder.glob(f"{name}_????-??-??.png"))
    dated = {file.stem.removeprefix(f"{name}_"): file for file in files}
    first, last = (day.isoformat() for day in days)
    return {day: ipywidgets.Image.from_file(file) for day, file in dated.items() if first <= day <= last}


def slider(figures: dict[str, Any]) -> ipywidgets.Widget:
    """Titled figures, one visible at a time."""
    if not figures:
        raise NotFoundError("there are no images between these days; choose others")
    images = [rendered(figure) for figure in figures.values()]
    position = ipywidgets.SelectionSlider(
        options=[(title, n) for n, title in enumerate(figures)], layout={"width": "60%"}
    )
    stack = ipywidgets.Stack(images, selected_index=0)
    ipywidgets.jslink((position, "index"), (stack, "selected_index"))
    return ipywidgets.VBox([position, stack])


def _calendar(parcels: Kept) -> Panel:
    def draw(parcel: Parcel, cells: str, view: str) -> object:
        if cells == "scatter":
            return show.calendar.scatter(*parcel, **parcels.of)
        if cells == "histograms":
            index = view if view in INDICES else "ndvi"
            return show.calendar.histograms(*parcel, index=index, **parcels.of)
        return show.calendar.by_pid(*parcel, bands=view, **parcels.of)

    cells = [("images", "images"), ("histograms of an index", "histograms"), ("red and near infrared", "scatter")]
    return Panel(
        "show",
        draw,
        context={"parcel": parcels},
        cells=ipywidgets.Dropdown(options=cells, description="each day", style=STYLE),
        view=ipywidgets.Dropdown(options=_VIEWS, description="colours", style=STYLE),
    )


def _map(parcels: Kept) -> Panel:
    """Map of the parcels of the area and year that have files; a click selects one."""

    def draw(parcel: Parcel) -> ipywidgets.Widget:
        shapes = {pid: _outline((*parcel[:2], pid)) for pid in parcels.beside(parcel)[:MOST]}
        colours = {pid: palette.BAD if pid == parcel[2] else palette.GOOD for pid in shapes}
        return parcel_map(gpd.GeoSeries(shapes, crs=4326), colours, choose)

    def choose(pid: str) -> None:
        parcels.pid.value = pid

    return Panel("show", draw, context={"parcel": parcels})


def _outline(parcel: Parcel) -> shapely.Geometry | None:
    """The stored geometry in degrees, or None."""
    for folder in get.folders.existing(*parcel):
        file = folder / "info.json"
        answer = json.loads(file.read_text("utf-8")) if file.exists() else {}
        if answer.get("geom"):
            shape = shapely.from_geojson(answer["geom"][0])
            in_degrees = max(map(abs, shape.bounds)) <= 180
            return shape if in_degrees else gpd.GeoSeries([shape], crs=answer["srid"][0]).to_crs(4326)[0]
    return None


def _background(parcels: Kept) -> Panel:
    def draw(parcel: Parcel, servers: tuple[str, ...]) -> object:
        if not servers:
            raise InvalidInputError("no background is chosen; choose one or more")
        figures = [page_of(show.background.by_pid(*parcel, tms=tms, **parcels.of)) for tms in servers]
        return slider({str(figure.get_label()): figure for figure in figures})

    names = basemaps.names()
    return Panel(
        "show",
        draw,
        context={"parcel": parcels},
        servers=ipywidgets.SelectMultiple(
            options=names, value=names[-1:], rows=len(names), description="backgrounds", style=STYLE
        ),
    )
