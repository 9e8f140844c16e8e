"""Widget to view parcels: information, time series, years, chips, calendar, map, backgrounds, notes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import geopandas as gpd
import ipywidgets
import shapely

from cbm_lake import get, show
from cbm_lake.cards import palette
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.ipycbm import changes, guide, overview, view_curves, view_images
from cbm_lake.ipycbm.backgrounds import BackgroundList
from cbm_lake.ipycbm.choice import STYLE, offer
from cbm_lake.ipycbm.delete_form import delete_form
from cbm_lake.ipycbm.holdings import Holdings
from cbm_lake.ipycbm.more import More
from cbm_lake.ipycbm.note_form import Notes
from cbm_lake.ipycbm.panel import Panel, reporting
from cbm_lake.ipycbm.parcel_map import MOST, parcel_map
from cbm_lake.lake import Lake
from cbm_lake.show.style import page_of

Parcel = tuple[str, int, str]
"""Area, year, identifier."""


class View(ipywidgets.VBox):
    """The widget: which parcel, what there is of it and what can be got, and one tab per way to look.

    Args:
        lake: whose; None is that of the settings.
    """

    def __init__(self, lake: Lake | None = None) -> None:
        self.parcels = parcels = Kept(lake)
        self.holdings = holdings = Holdings(parcels, lake)
        self.more = More(parcels, holdings, lake, self._choose)
        tabs = {
            "information": _simple("show", parcels, holdings, show.parcel_info.by_pid),
            "time series": view_curves.series(parcels, holdings),
            "years": view_curves.years(parcels, holdings),
            "chips": view_images.chips(parcels, holdings),
            "calendar": view_images.year(parcels, holdings),
            "map": _map(parcels, lake),
            "background": _background(parcels, holdings),
            "notes": Notes(parcels),
            "delete": delete_form(parcels),
            "all parcels": overview.panel(lake),
        }
        self.tabs = ipywidgets.Tab(list(tabs.values()), titles=list(tabs))
        which = guide.step(1, "Which parcel")
        super().__init__([which, parcels, holdings, self.more, guide.step(2, "How to look"), self.tabs])

    def _choose(self, parcel: Parcel) -> None:
        """Choose a parcel of which something came, and draw anew what is open."""
        self.parcels.refresh()
        aoi, year, pid = parcel
        self.parcels.aoi.value, self.parcels.year.value, self.parcels.pid.value = aoi, str(year), pid
        self.holdings.look_again()
        opened = self.tabs.children[self.tabs.selected_index or 0]
        if isinstance(opened, Panel) and opened.button.description == "show":
            opened.submit()


def panel(lake: Lake | None = None) -> View:
    """Build the widget."""
    return View(lake)


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


def _simple(label: str, parcels: Kept, holdings: Holdings, draw: Callable[..., object]) -> Panel:
    def drawn(parcel: Parcel) -> object:
        return draw(*parcel, **holdings.options(parcel))

    return Panel(label, drawn, redraws=True, context={"parcel": parcels})


def _map(parcels: Kept, lake: Lake | None) -> Panel:
    """Map of the parcels of the area and year that have files; a click selects one."""

    def draw(parcel: Parcel) -> ipywidgets.Widget:
        shapes = {pid: _outline((*parcel[:2], pid)) for pid in parcels.beside(parcel)[:MOST]}
        colours = {pid: palette.BAD if pid == parcel[2] else palette.GOOD for pid in shapes}
        return parcel_map(gpd.GeoSeries(shapes, crs=4326), colours, choose, lake)

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


def _background(parcels: Kept, holdings: Holdings) -> Panel:
    def draw(parcel: Parcel, servers: tuple[str, ...]) -> object:
        if not servers:
            raise InvalidInputError("no background is chosen; choose one or more")
        options = holdings.options(parcel)
        figures = [page_of(show.background.by_pid(*parcel, tms=tms, **options)) for tms in servers]
        return view_images.slider({str(figure.get_label()): figure for figure in figures})

    return Panel("show", draw, context={"parcel": parcels}, servers=BackgroundList())
