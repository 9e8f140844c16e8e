"""Widget to get data of single parcels, chosen by identifier, position, polygon or list."""

from __future__ import annotations

import html
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import ipywidgets
import pandas as pd
import shapely

from cbm_lake import get
from cbm_lake.cards import palette
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, NotFoundError, counted
from cbm_lake.ipycbm import guide, maps, overview, wanted
from cbm_lake.ipycbm.choice import STYLE, WIDE, Examples, ParcelSet, ParcelSetKey
from cbm_lake.ipycbm.panel import Panel, rendered, reporting
from cbm_lake.ipycbm.parcel_map import parcel_map
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import sources
from cbm_lake.parcel.sources import ByLocation, ByPid, ByPolygon
from cbm_lake.parcel.sources.protocol import Columns
from cbm_lake.progress import Tell

_ROWS: Final = ("pid", "cropname", "area")
"""Columns of an answer that are shown of a found parcel."""
_HEADINGS: Final = {"pid": "parcel", "cropname": "crop", "area": "area, m²"}
_ACCEPTED: Final = ".txt,.csv,.tsv,.xlsx,.xlsm,.ods,.geojson,.json,.gpkg,.zip,.parquet"


class Get(ipywidgets.VBox):
    """The widget in steps: which parcels, what of them, get.

    Args:
        lake: whose parcels; None is that of the settings.
    """

    def __init__(self, lake: Lake | None = None) -> None:
        self.lake = lake
        self.parcels = ParcelSet(lake)
        self.which = Ways(self.parcels)
        context = {"parcels": self.parcels, "which": self.which}
        self.form = Panel(
            "get", self._get, stops=True, changed=("folders",), context=context, render=_rendered, **wanted.inputs()
        )
        self.find = Panel("find the parcels", self._find, context=context, render=self._matches)
        number = len(self.form.inputs)
        inputs, buttons = self.form.children[:number], self.form.children[number:]
        self._lacking = ipywidgets.HTML()
        self.form.children = (
            guide.step(2, "What of them"),
            *inputs,
            self._lacking,
            guide.step(3, "Get"),
            *buttons,
        )
        for input_ in (self.parcels.aoi, self.parcels.year):
            input_.observe(self._offer, "value")
        self._offer()
        super().__init__([guide.step(1, "Which parcels"), self.parcels, self.which, self.find, self.form])

    def _offer(self, _: object = None) -> None:
        """Offer what there is of the area, and set the dates to the year."""
        if self.parcels.year.value:
            self.form.inputs["days"].set_year(int(self.parcels.year.value))
        with reporting(self._lacking):
            absent = wanted.narrowed(self.form.inputs, self.parcels, self.lake)
            self._lacking.value = html.escape(absent)

    def _get(
        self,
        parcels: ParcelSetKey,
        which: tuple[str, Any],
        folder: str,
        progress: Tell,
        **what: Any,
    ) -> pd.DataFrame:
        pids = limited(identifiers(parcels, *which, lake=self.lake))
        return wanted.got(parcels, pids, wanted.request(**what), folder, progress, lake=self.lake)

    def _find(self, parcels: ParcelSetKey, which: tuple[str, Any]) -> Columns:
        return matches(parcels, *which, lake=self.lake)

    def _matches(self, rows: Columns) -> ipywidgets.Widget:
        """Number, table and map of the parcels that were found, and the button that gets them."""
        count = len(rows["pid"])
        limit = Workspace.here().config.set.plimit
        more = f"; at most {limit:,} are got at once (see the settings): narrow it down" if count > limit else ""
        these = ipywidgets.Button(
            description="get these",
            tooltip="get what step 2 says of them",
            button_style="success",
            disabled=count > limit,
        )
        these.on_click(lambda _: self._get_these())
        table = pd.DataFrame({name: rows[name] for name in _ROWS}).rename(columns=_HEADINGS)
        tabs = ipywidgets.Tab([rendered(table), self._map(rows)], titles=["table", "map"])
        return ipywidgets.VBox([ipywidgets.HTML(f"<b>{counted(count, 'parcel')}</b>{more}"), tabs, these])

    def _get_these(self) -> None:
        """Get what was found, unless step 1 says other parcels meanwhile."""
        if self.find.result_values is None:
            self.find.say("step 1 says other parcels now: find them first")
        else:
            self.form.submit()

    def _map(self, rows: Columns) -> ipywidgets.Widget:
        line = ipywidgets.HTML()
        outlines = [shapely.from_geojson(text) for text in rows["geom"]]
        names = dict(zip(rows["pid"], rows["cropname"], strict=True))

        def tell(pid: str) -> None:
            line.value = html.escape(f"parcel {pid}: {names[pid] or 'no crop declared'}")

        shapes = gpd.GeoSeries(outlines, index=rows["pid"], crs=4326)
        colours = dict.fromkeys(names, palette.GOOD)
        said = "a click on a parcel says which it is"
        return ipywidgets.VBox([parcel_map(shapes, colours, tell, self.lake, said), line])


def panel(lake: Lake | None = None) -> Get:
    """Build the widget."""
    return Get(lake)


def _rendered(rows: pd.DataFrame) -> ipywidgets.Widget:
    return rendered(wanted.summary(rows))


class Ways(ipywidgets.Tab):
    """Tabs of parcel selection methods; `value` is the open tab and its input."""

    def __init__(self, parcels: ParcelSet) -> None:
        self.typed = typed = ipywidgets.Textarea(
            placeholder="identifiers, with commas or lines between them", layout=WIDE
        )
        lon = ipywidgets.FloatText(description="longitude", style=STYLE)
        lat = ipywidgets.FloatText(description="latitude", style=STYLE)
        marker, polygon = maps.Marker(parcels), maps.Polygon(parcels)
        file = ipywidgets.FileUpload(accept=_ACCEPTED, description="list, table or shapes", layout=WIDE)
        column = ipywidgets.Text(description="column", placeholder="found by its values", style=STYLE)
        ways: dict[str, tuple[ipywidgets.Widget, Callable[[], Any]]] = {
            "identifiers": (ipywidgets.VBox([typed, Examples(parcels, self._add)]), lambda: typed.value),
            "place": (ipywidgets.HBox([lon, lat]), lambda: (lon.value, lat.value)),
            "marker": (_beneath(marker, parcels), lambda: marker.value),
            "polygon": (_beneath(polygon, parcels), lambda: polygon.value),
            "file": (ipywidgets.VBox([file, column]), lambda: (file.value, column.value)),
        }
        self._values_of = [widgets for _, widgets in ways.values()]
        super().__init__([widget for widget, _ in ways.values()], titles=list(ways))
        self.label = "parcels by"
        parts = [(part, "value") for part in (typed, lon, lat, file, column)]
        self.watched = [(self, "selected_index"), *parts, *marker.watched, *polygon.watched]

    @property
    def value(self) -> tuple[str, Any]:
        """The selected method and its input.

        Raises:
            InvalidInputError: nothing is drawn.
        """
        number = self.selected_index or 0
        return self.titles[number], self._values_of[number]()

    def _add(self, pid: str) -> None:
        """Write an identifier behind those that are there."""
        if pid not in re.split(r"[,;\n]\s*", self.typed.value):
            self.typed.value = ", ".join(filter(None, [self.typed.value.strip(" ,;\n"), pid]))


def _beneath(control: maps.Marker | maps.Polygon, parcels: ParcelSet) -> ipywidgets.Widget:
    return ipywidgets.VBox([control, overview.beneath(control.map, parcels)])


def identifiers(key: ParcelSetKey, way: str, value: Any, lake: Lake | None = None) -> list[str]:
    """Identifiers of the selected parcels."""
    if way in ("place", "marker"):
        lon, lat = value
        return at(key, lon, lat, lake)
    if way == "polygon":
        return within(key, value, lake=lake)
    if way == "file":
        files, column = value
        return uploaded(files, key, column, lake=lake)
    return split(value)


def matches(key: ParcelSetKey, way: str, value: Any, lake: Lake | None = None) -> Columns:
    """The selected parcels: pid, cropname, area (m²) and geom (GeoJSON in degrees) of each.

    Raises:
        NotFoundError: there is none, or one of the identifiers is not there.
        InvalidInputError: nothing is selected.
    """
    source, ptype = sources.here(lake), key["ptype"] or ""
    if way in ("place", "marker"):
        lon, lat = value
        asked = ByLocation(key["aoi"], key["year"], lon, lat, ptype, geometry=True, wgs84=True)
        return _checked(source.answer(asked), f"{lat:.6f}, {lon:.6f}")
    if way == "polygon":
        drawn = json.dumps(value)
        inside = ByPolygon(key["aoi"], key["year"], drawn, ptype, geometry=True, wgs84=True, only_ids=False)
        return _checked(source.answer(inside), "the polygon")
    pids = limited(identifiers(key, way, value, lake))
    keys = [ParcelKey(key["aoi"], key["year"], ptype, pid) for pid in pids]
    answers = [source.answer(ByPid(one, geometry=True, wgs84=True)) for one in keys]
    return {name: [value for answer in answers for value in answer[name]] for name in (*_ROWS, "geom")}


def limited(pids: list[str]) -> list[str]:
    """The identifiers, unless they exceed the limit.

    Raises:
        InvalidInputError: they are more than the settings allow.
    """
    limit = Workspace.here().config.set.plimit
    if len(pids) > limit:
        raise InvalidInputError(f"{len(pids)} parcels are more than {limit}, the limit of the settings")
    return pids


def split(typed: str) -> list[str]:
    """Split text into identifiers.

    Raises:
        InvalidInputError: there is none.
    """
    pids = [pid for pid in (part.strip() for part in re.split(r"[,;\n]", typed)) if pid]
    if not pids:
        raise InvalidInputError("no identifier is given; write one or more, with commas or lines between them")
    return list(dict.fromkeys(pids))


def at(key: ParcelSetKey, lon: float, lat: float, lake: Lake | None = None) -> list[str]:
    """Identifiers of the parcels at a position."""
    parcels = sources.here(lake).answer(ByLocation(key["aoi"], key["year"], lon, lat, key["ptype"] or ""))
    return _some(parcels, f"{lat:.6f}, {lon:.6f}")


def within(key: ParcelSetKey, polygon: dict[str, Any], lake: Lake | None = None) -> list[str]:
    """Identifiers of the parcels that intersect a polygon."""
    parcels = sources.here(lake).answer(ByPolygon(key["aoi"], key["year"], json.dumps(polygon), key["ptype"] or ""))
    return _some(parcels, "the polygon")


def _some(parcels: Columns, where: str) -> list[str]:
    """Identifiers in an answer.

    Raises:
        NotFoundError: there is none.
    """
    return [str(pid) for pid in _checked(parcels, where)["pid"]]


def _checked(parcels: Columns, where: str) -> Columns:
    """An answer that has parcels.

    Raises:
        NotFoundError: there is none.
    """
    if not parcels["pid"]:
        raise NotFoundError(f"no parcel at {where}; look where the parcels of the area are")
    return parcels


def uploaded(files: Any, key: ParcelSetKey | None = None, column: str = "", *, lake: Lake | None = None) -> list[str]:
    """Identifiers of the parcels that an uploaded file names; see `get.lists.pids`.

    Args:
        files: the value of a FileUpload.
        key: which parcel set; None is the one that a form offers first.
        column: heading of the identifiers; without it, it is found by its values.
        lake: None is that of the settings.

    Raises:
        InvalidInputError: there is no file, or nothing in it.
    """
    key = key or ParcelSet(lake).value
    if not files:
        raise InvalidInputError("no file is chosen; choose a list, a table or a vector file")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / (Path(files[0]["name"]).name or "list.txt")
        file.write_bytes(bytes(files[0]["content"]))
        return get.lists.pids(file, **key, column=column.strip(), lake=lake)
