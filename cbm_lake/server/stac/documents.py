"""Catalogue, collections and items as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake import cards
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.rasters import datasets
from cbm_lake.rasters.selection import Choice
from cbm_lake.server.collections import id_of
from cbm_lake.server.features import CQL2_CONFORMS
from cbm_lake.server.stac.entries import CUBES, STATISTICS, Entry

Json: TypeAlias = dict[str, Any]
VERSION: Final = "1.1.0"
JSON: Final = "application/json"
GEOJSON: Final = "application/geo+json"
SCHEMA: Final = "application/schema+json"
_QUERYABLES: Final = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
_STAC: Final = "https://api.stacspec.org/v1.0.0"
CONFORMS: Final = [
    *(f"{_STAC}/{part}" for part in ("core", "collections", "ogcapi-features", "item-search")),
    *(f"{_STAC}/{part}" for part in ("item-search#filter", "item-search#sort", "item-search#fields")),
    *(f"{_STAC}/{part}" for part in ("ogcapi-features#filter", "ogcapi-features#sort", "ogcapi-features#fields")),
    *(f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{part}" for part in ("core", "oas30", "geojson")),
    *(f"http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/{part}" for part in ("filter", "features-filter")),
    *CQL2_CONFORMS,
    # what drafts of CQL2 called them, by which older clients know them
    *(f"http://www.opengis.net/spec/cql2/1.0/conf/{part}-operators" for part in ("basic-spatial", "temporal")),
]
_EXTENSIONS: Final = {
    "eo:": "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "proj:": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "grid:": "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "sat:": "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
    "cube:": "https://stac-extensions.github.io/datacube/v2.2.0/schema.json",
}
"""By how the properties begin that are of them."""
_PARQUET: Final = "application/vnd.apache.parquet"
_ZARR: Final = "application/vnd+zarr"
_PLAIN: Final = ("mission", "platform", "card", "aoi", "year", "ptype", "scenes", "reference")


def link(rel: str, href: str, kind: str = JSON, **others: object) -> Json:
    """A link."""
    return {"rel": rel, "href": href, "type": kind, **others}


def landing(root: str, service: str, entries: pa.Table) -> Json:
    """The catalogue. `root` is its address, `service` that of the whole service, with a slash."""
    links = [
        *(link(rel, root) for rel in ("self", "root")),
        link("conformance", f"{root}/conformance"),
        link("data", f"{root}/collections"),
        *(link("search", f"{root}/search", GEOJSON, method=method) for method in ("GET", "POST")),
        link(_QUERYABLES, f"{root}/queryables", SCHEMA),
        link("service-desc", f"{service}openapi.json"),
        link("service-doc", f"{service}apidocs", "text/html"),
        *(link("child", f"{root}/collections/{name}", title=title_of(name)) for name in names(entries)),
    ]
    description = "Scenes, cubes and statistics of parcels of this lake, as far as this account may read them."
    about = {"type": "Catalog", "stac_version": VERSION, "id": "cbm-lake", "title": "cbm-lake"}
    return {**about, "description": description, "conformsTo": CONFORMS, "links": links}


def names(entries: pa.Table) -> list[str]:
    """The collections that have items."""
    return sorted(pc.unique(entries["collection"]).to_pylist())


def title_of(name: str) -> str:
    """What a collection is called for people."""
    titles = {CUBES: "Cubes of pixels", STATISTICS: "Statistics of parcels"}
    return titles.get(name) or f"Scenes of {cards.get(name).title}"


def collection(root: str, name: str, entries: pa.Table) -> Json:
    """A collection. `entries` are its items."""
    base = f"{root}/collections/{name}"
    boxes = shapely.bounds(shapely.from_wkb(entries["geometry"].to_numpy(zero_copy_only=False)))
    box = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
    ends = [stamp(end.as_py()) for end in (pc.min(entries["start_datetime"]), pc.max(entries["end_datetime"]))]
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "stac_extensions": [],
        "id": name,
        "title": title_of(name),
        "description": _DESCRIPTIONS.get(name, "Scenes that are catalogued in the lake and count."),
        "license": "other",
        "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [ends]}},
        "summaries": _summaries(entries),
        **({} if name in (CUBES, STATISTICS) else {"item_assets": _item_assets(name)}),
        "links": [
            *(link("self", base), link("root", root), link("parent", root)),
            *(link("items", f"{base}/items", GEOJSON), link(_QUERYABLES, f"{base}/queryables", SCHEMA)),
        ],
    }


_DESCRIPTIONS: Final = {
    CUBES: "Pixels of extracted scenes, by area and grid: Zarr, which xarray opens.",
    STATISTICS: "Statistics of each declared parcel by scene, by card and parcel set: Parquet, one row each.",
}


def _summaries(entries: pa.Table) -> Json:
    scenes_rows = {name: pc.unique(entries[name].drop_null()).to_pylist() for name in ("mission", "platform", "card")}
    return {name: sorted(values) for name, values in scenes_rows.items() if values}


def _item_assets(name: str) -> Json:
    card = cards.get(name)
    bands = {band.name: {"title": band.label, "gsd": band.metres, "roles": ["data"]} for band in card.bands}
    return (
        bands if card.class_band is None else {**bands, card.class_band: {"title": card.class_band, "roles": ["data"]}}
    )


def items(root: str, service: str, lake: Lake, rows: Sequence[Entry]) -> list[Json]:
    """The items of a page, in its order."""
    scenes = [row["id"] for row in rows if row["collection"] == row["card"]]
    scenes_rows = lake.query("granted.assets", ids=scenes).to_pylist() if scenes else []
    rasters = {(one["card"], one["id"]): one["assets"] for one in scenes_rows}
    return [_item(root, service, lake, row, rasters.get((row["collection"], row["id"]), {})) for row in rows]


def _item(root: str, service: str, lake: Lake, row: Entry, rasters: Json) -> Json:
    shape = shapely.from_wkb(row["geometry"])
    properties, assets = _properties(row), _scene_assets(row["card"], rasters)
    if row["collection"] == CUBES:
        more, assets = _cube(lake, row)
        properties |= more
    if row["collection"] == STATISTICS:
        assets = _statistics(root, service, row)
    base = f"{root}/collections/{row['collection']}"
    extensions = [
        address for start, address in _EXTENSIONS.items() if any(name.startswith(start) for name in properties)
    ]
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": extensions,
        "id": row["id"],
        "collection": row["collection"],
        "geometry": orjson.Fragment(shapely.to_geojson(shape)),
        "bbox": list(shape.bounds),
        "properties": properties,
        "assets": assets,
        "links": [
            link("self", f"{base}/items/{quote(row['id'], safe='')}", GEOJSON),
            *(link("root", root), link("parent", base), link("collection", base)),
        ],
    }


def _properties(row: Entry) -> Json:
    named = {name: row[name] for name in (*_PLAIN, *(name for name in row if ":" in name)) if row[name] is not None}
    if row["start_datetime"] == row["end_datetime"]:
        return {"datetime": stamp(row["datetime"]), **named}
    ends = {name: stamp(row[name]) for name in ("start_datetime", "end_datetime")}
    return {"datetime": stamp(row["datetime"]), **ends, **named}


def stamp(time: datetime) -> str:
    """A timestamp as STAC writes it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _scene_assets(card: str, rasters: Json) -> Json:
    metres = cards.get(card).resolutions
    return {
        name: {
            "href": _href(raster["href"]),
            "title": name,
            "roles": ["data"],
            **({"type": raster["type"]} if raster["type"] else {}),
            **({"gsd": metres[name]} if name in metres else {}),
        }
        for name, raster in rasters.items()
        if raster and raster["href"]
    }


def _href(href: str) -> str:
    """A file of the server by its URI; addresses of all else as they are catalogued."""
    return Path(href).as_uri() if href.startswith("/") else href


def _cube(lake: Lake, row: Entry) -> tuple[Json, Json]:
    (cube,) = datasets.cubes_of(lake, Choice.of(row["card"], row["aoi"], None, row["grid"]))
    west, south, east, north = cube.grid.bounds
    step = cube.grid.transform
    reference = {"type": "spatial", "reference_system": cube.grid.epsg}
    dimensions = {
        "x": {**reference, "axis": "x", "extent": [west, east], "step": step.a},
        "y": {**reference, "axis": "y", "extent": [south, north], "step": step.e},
        "time": {
            "type": "temporal",
            "extent": [stamp(row["start_datetime"]), stamp(row["end_datetime"])],
            "values": sorted(stamp(slot.obstime) for slot in cube.slots.values()),
        },
    }
    variables = {band: {"dimensions": ["time", "y", "x"], "type": "data"} for band in cube.bands}
    asset = {"href": _href(lake.cube_url(row["card"], row["grid"])), "type": _ZARR, "roles": ["data"]}
    properties = {"cube:dimensions": dimensions, "cube:variables": variables, "proj:shape": list(cube.grid.shape)}
    return {**properties, "proj:transform": list(step)[:6]}, {"cube": {**asset, "title": f"Zarr of {row['grid']}"}}


def _statistics(root: str, service: str, row: Entry) -> Json:
    folder = f"{row['aoi']}/{row['year']}"
    kind = f"?{urlencode({'ptype': row['ptype']})}" if row["ptype"] else ""
    outlines = id_of("parcels", ParcelKey(row["aoi"], row["year"], row["ptype"], ""))
    return {
        "statistics": {
            "href": f"{root}/statistics/{folder}/{row['card']}.parquet{kind}",
            "type": _PARQUET,
            "title": f"Statistics by {cards.get(row['card']).title}",
            "roles": ["data"],
        },
        "parcels": {
            "href": f"{service}ogc/collections/{outlines}/items",
            "type": GEOJSON,
            "title": "Parcels, page by page",
            "roles": ["metadata"],
        },
    }
