"""Widget that loads parcels and catalogues scenes, and shows the contents of the lake."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import ipywidgets

from cbm_lake import card2db, parcels
from cbm_lake.cards import CARDS
from cbm_lake.errors import InvalidInputError
from cbm_lake.files import durable
from cbm_lake.ipycbm import maps
from cbm_lake.ipycbm.choice import STYLE, Days, ParcelSet, ParcelSetKey
from cbm_lake.ipycbm.panel import Panel, text
from cbm_lake.lake import Lake, lake_or_default, open_lake
from cbm_lake.progress import Tell

_FILES: Final[dict[str, Callable[..., card2db.Ingested]]] = {
    "STAC items (.json, folder)": card2db.items,
    "STAC-GeoParquet": lambda path, lake, **_: card2db.geoparquet(path, lake=lake),
    "Sentinel-2 products (SAFE)": lambda path, card, lake, progress: card2db.safe(path, lake=lake, progress=progress),
}


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget: one tab per input, and one for the contents of the lake."""
    parcel_set = ParcelSet(lake)
    tabs = {
        "parcels": _parcels(parcel_set),
        "scenes by STAC": _stac(parcel_set),
        "scenes on disk": _disk(lake),
        "what is there": _there(lake),
    }
    return ipywidgets.VBox([parcel_set, ipywidgets.Tab(list(tabs.values()), titles=list(tabs))])


def _text(label: str, hint: str = "", value: str = "") -> ipywidgets.Text:
    return ipywidgets.Text(value=value, description=label, placeholder=hint, style=STYLE, layout={"width": "520px"})


def _parcels(parcel_set: ParcelSet) -> Panel:
    def load(path: str, file: Any, aoi: str, year: int, ptype: str, pid: str, crop_name: str, crop_code: str) -> str:
        named = {"pid": pid, "crop_name": crop_name, "crop_code": crop_code}
        columns: dict[str, Any] = {name: column.strip() or None for name, column in named.items()}
        kind = ptype.strip() or None
        with tempfile.TemporaryDirectory() as folder:
            source = uploaded(file, Path(folder)) if file else Path(text(path, needed="the file of parcels"))
            area = text(aoi, needed="the area")
            return loaded(parcels.load(source, area, year, kind, **columns, lake=parcel_set.lake))

    return Panel(
        "load",
        load,
        fleeting=True,
        changed=("parcels",),
        path=_text("file", "path of a .gpkg, .shp, .zip, .parquet, .geojson here"),
        file=ipywidgets.FileUpload(accept=".gpkg,.zip,.parquet,.geojson", description="or send one"),
        aoi=_text("area", "two letters, for instance"),
        year=ipywidgets.IntText(value=date.today().year, description="year", style=STYLE),
        ptype=_text("kind", "empty is the main one"),
        pid=_text("identifier", "its column; guessed where it has a usual name"),
        crop_name=_text("crop", "column of its name"),
        crop_code=_text("crop code", "column of its code"),
    )


def loaded(result: parcels.Loaded) -> str:
    """Summary of loaded parcels."""
    mended = f", {result.repaired} outlines were mended" if result.repaired else ""
    news = "loaded" if result.new else "the same as those that are there"
    return f"{result.parcels:,} parcels, {result.area_ha:,.1f} ha, EPSG:{result.epsg}: {news}{mended}"


def catalogued(result: card2db.Ingested) -> list[str]:
    """Summary of catalogued scenes and refusals."""
    return [
        f"{result.found} scenes found, {result.new} new"
        + (f", {result.changed} changed: to be extracted again" if result.changed else ""),
        *(f"incomplete: {line}" for line in result.missing),
        *result.skipped,
    ]


def uploaded(files: Any, folder: Path) -> Path:
    """Save an uploaded file to a folder; returns its path."""
    name = Path(files[0]["name"]).name
    target = folder / (name if name.strip(".") else "sent")
    with durable.replacing(target) as draft:
        draft.write_bytes(bytes(files[0]["content"]))
    return target


def _card() -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=list(CARDS), description="card", style=STYLE)


def _stac(parcel_set: ParcelSet) -> Panel:
    lake = parcel_set.lake

    def search(
        parcel_set: ParcelSetKey, url: str, collection: str, card: str, days: tuple[date, date], progress: Tell
    ) -> Any:
        where = parcel_set["aoi"], *days, card, text(url, needed="the address"), collection.strip() or None
        result = card2db.stac(*where, lake=lake, progress=progress)
        return [*catalogued(result), footprints(card, lake)]

    year = date.today().year
    return Panel(
        "search and catalogue",
        search,
        stops=True,
        changed=("scenes",),
        context={"parcel_set": parcel_set},
        url=_text("address", value="earth-search"),
        collection=_text("collection", "that of the card where it is usual"),
        card=_card(),
        days=Days(date(year, 1, 1), date(year, 12, 31)),
    )


def _disk(lake: Lake | None) -> Panel:
    def read(path: str, kind: str, card: str, progress: Tell) -> object:
        result = _FILES[kind](text(path, needed="the path"), card=card, lake=lake, progress=progress)
        return [*catalogued(result), footprints(card, lake)]

    kinds = ipywidgets.Dropdown(options=list(_FILES), description="what", style=STYLE)
    return Panel("catalogue", read, stops=True, changed=("scenes",), path=_text("path"), kind=kinds, card=_card())


def _there(lake: Lake | None) -> Panel:
    def look(card: str, days: tuple[date, date], clouds: int) -> object:
        opened, stop = lake or open_lake(), days[1] + timedelta(days=1)
        scenes = opened.query("scenes.listed", card=card, start=days[0], stop=stop, clouds=clouds)
        if not scenes.num_rows:
            raise InvalidInputError("no scene of these days is catalogued; choose others, or catalogue some")
        return [opened.query("status.parcels"), opened.query("scenes.status"), footprints(card, lake), scenes]

    year = date.today().year
    return Panel(
        "look",
        look,
        card=_card(),
        days=Days(date(year - 10, 1, 1), date(year, 12, 31)),
        clouds=ipywidgets.IntSlider(value=100, description="clouds up to %", style=STYLE),
    )


def footprints(card: str, lake: Lake | None = None) -> ipywidgets.Widget:
    """Map of the scene footprints of a card."""
    lake = lake_or_default(lake)
    return maps.footprints(lake.query("scenes.footprints", card=card))
