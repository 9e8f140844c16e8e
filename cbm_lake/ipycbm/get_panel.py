"""Widget to get data of single parcels, chosen by identifier, position, polygon or list."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Final

import ipywidgets
import pandas as pd

from cbm_lake import get
from cbm_lake.cards import BS, CARDS, S2
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.get.several import Wanted
from cbm_lake.ipycbm import maps, overview
from cbm_lake.ipycbm.choice import STYLE, WIDE, Days, ParcelSet, ParcelSetKey, Ticks
from cbm_lake.ipycbm.panel import Panel, rendered
from cbm_lake.lake import Lake
from cbm_lake.parcel import basemaps, sources
from cbm_lake.parcel.sources import ByLocation, ByPolygon
from cbm_lake.parcel.sources.protocol import Columns
from cbm_lake.progress import Tell

_SERIES: Final = {
    S2.name: S2.picture,
    "scl": "scene classes",
    **{card.name: card.picture if card.is_optical else card.quantity.name for card in CARDS.values() if card is not S2},
    "weather": "weather",
}
_BANDS: Final = (*S2.default_bands, "SCL", *BS.resolutions)
_ACCEPTED: Final = ".txt,.csv,.tsv,.xlsx,.xlsm,.ods,.geojson,.json,.gpkg,.zip,.parquet"
_FOLDERS: Final = (("temp (may be cleared away)", "temp"), ("data (kept)", "data"))


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget: parcel selection, data selection, and a button."""
    parcels = ParcelSet(lake)
    which = Ways(parcels)

    def run(
        parcels: ParcelSetKey,
        which: tuple[str, Any],
        series: tuple[str, ...],
        bands: tuple[str, ...],
        days: tuple[date, date],
        chipsize: int,
        images: tuple[str, ...],
        folder: str,
        progress: Tell,
    ) -> Any:
        request = Wanted(series, bands, *days, chipsize, images)
        pids = limited(identifiers(parcels, *which, lake=lake))
        return got(parcels, pids, request, folder, progress, lake=lake)

    year = date.today().year
    form = Panel(
        "get",
        run,
        stops=True,
        changed=("folders",),
        context={"parcels": parcels, "which": which},
        render=lambda rows: rendered(summary(rows)),
        series=Ticks(dict(_SERIES), (S2.name,), "time series"),
        bands=Ticks({band: band for band in _BANDS}, (), "chips of"),
        days=Days(date(year, 1, 1), date(year, 12, 31)),
        chipsize=ipywidgets.BoundedIntText(value=1280, min=100, max=50_000, description="metres a side", style=STYLE),
        images=Ticks({name: name for name in basemaps.names()}, (), "backgrounds"),
        folder=ipywidgets.Dropdown(options=_FOLDERS, description="folder", style=STYLE),
    )
    _follow(parcels, form.inputs["days"])
    return ipywidgets.VBox([parcels, which, form])


def got(
    key: ParcelSetKey,
    pids: list[str],
    request: Wanted,
    folder: str,
    progress: Tell,
    lake: Lake | None = None,
) -> pd.DataFrame:
    """Get parcels one by one, optionally moving each to data/ at once; one row per step."""
    rows = []
    for number, pid in enumerate(pids):

        def step(done: int, steps: int, what: str = "", before: int = number) -> None:
            progress(before * steps + done, len(pids) * steps, what)

        steps_of_parcel = get.several.by_pids(
            key["aoi"], key["year"], [pid], request, key["ptype"], lake=lake, progress=step
        )
        if folder == "data" and steps_of_parcel["problem"].isna().any():
            get.folders.keep(key["aoi"], key["year"], pid)
        rows.append(steps_of_parcel)
    return pd.concat(rows, ignore_index=True)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per parcel: data obtained and missing, each reason once."""
    lines = []
    for pid, steps in rows.groupby("pid", sort=False):
        lacking = steps[steps["problem"].notna()]
        reasons = lacking.groupby("problem", sort=False)["what"].agg(", ".join)
        parts = ", ".join(steps[steps["problem"].isna()]["what"])
        problems = "; ".join(f"{step}: {problem}" for problem, step in reasons.items())
        lines.append({"parcel": pid, "got": parts, "not got": problems})
    return pd.DataFrame(lines)


def _follow(parcels: ParcelSet, days: Days) -> None:
    """Set the dates to the selected year."""

    def set_year(_: object = None) -> None:
        if parcels.year.value:
            year = int(parcels.year.value)
            days.first.value, days.last.value = date(year, 1, 1), date(year, 12, 31)

    parcels.year.observe(set_year, "value")
    set_year()


class Ways(ipywidgets.Tab):
    """Tabs of parcel selection methods; `value` is the open tab and its input."""

    def __init__(self, parcels: ParcelSet) -> None:
        typed = ipywidgets.Textarea(placeholder="identifiers, with commas or lines between them", layout=WIDE)
        lon = ipywidgets.FloatText(description="longitude", style=STYLE)
        lat = ipywidgets.FloatText(description="latitude", style=STYLE)
        marker, polygon = maps.Marker(parcels), maps.Polygon(parcels)
        file = ipywidgets.FileUpload(accept=_ACCEPTED, description="list, table or shapes", layout=WIDE)
        column = ipywidgets.Text(description="column", placeholder="found by its values", style=STYLE)
        ways: dict[str, tuple[ipywidgets.Widget, Callable[[], Any]]] = {
            "identifiers": (typed, lambda: typed.value),
            "place": (ipywidgets.HBox([lon, lat]), lambda: (lon.value, lat.value)),
            "marker": (_beneath(marker, parcels), lambda: marker.value),
            "polygon": (_beneath(polygon, parcels), lambda: polygon.value),
            "file": (ipywidgets.VBox([file, column]), lambda: (file.value, column.value)),
        }
        self._values_of = [widgets for _, widgets in ways.values()]
        super().__init__([widget for widget, _ in ways.values()], titles=list(ways))
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


def _beneath(control: maps.Marker | maps.Polygon, parcels: ParcelSet) -> ipywidgets.Widget:
    return ipywidgets.VBox([control, overview.beneath(control.map, parcels)])


def identifiers(key: ParcelSetKey, way: str, value: Any, lake: Lake | None = None) -> list[str]:
    """Identifiers of the selected parcels."""
    if way in ("place", "marker"):
        lon, lat = value
        return at(key, lon, lat, lake)
    if way == "polygon":
        return within(key, value, lake=lake)
    return uploaded(value, key, lake=lake) if way == "file" else split(value)


def limited(pids: list[str]) -> list[str]:
    """The identifiers, unless they exceed the limit.

    Raises:
        InvalidInputError: they are more than the settings allow.
    """
    limit = Workspace.here().config.set.plimit
    if len(pids) > limit:
        raise InvalidInputError(f"{len(pids)} parcels are more than {limit}, the limit of the settings (set.plimit)")
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
    if not parcels["pid"]:
        raise NotFoundError(f"no parcel at {where}; look where the parcels of the area are")
    return [str(pid) for pid in parcels["pid"]]


def uploaded(sent: tuple[Any, str], key: ParcelSetKey, lake: Lake | None = None) -> list[str]:
    """Identifiers of the parcels that an uploaded file names; see `get.lists.pids`.

    Raises:
        InvalidInputError: there is no file, or nothing in it.
    """
    files, column = sent
    if not files:
        raise InvalidInputError("no file is chosen; choose a list, a table or a vector file")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / (Path(files[0]["name"]).name or "list.txt")
        file.write_bytes(bytes(files[0]["content"]))
        return get.lists.pids(file, **key, column=column.strip(), lake=lake)
