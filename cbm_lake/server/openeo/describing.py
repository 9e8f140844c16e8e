"""What the service says of itself: capabilities, collections with their dimensions, formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import shapely

from cbm_lake import __version__, cards
from cbm_lake.cards import Card
from cbm_lake.lake import Lake
from cbm_lake.server.openeo import formats, processes
from cbm_lake.server.openeo.jobs import Job
from cbm_lake.server.openeo.working import Offered

API_VERSION: Final = "1.2.0"
STAC_VERSION: Final = "1.0.0"
Document = dict[str, object]
_CONFORMS: Final = (
    "https://api.openeo.org/1.2.0",
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
)
ENDPOINTS: Final[Mapping[str, Sequence[str]]] = {
    "/": ("GET",),
    "/conformance": ("GET",),
    "/credentials/basic": ("GET",),
    "/me": ("GET",),
    "/collections": ("GET",),
    "/collections/{collection_id}": ("GET",),
    "/processes": ("GET",),
    "/file_formats": ("GET",),
    "/validation": ("POST",),
    "/result": ("POST",),
    "/jobs": ("GET", "POST"),
    "/jobs/{job_id}": ("GET", "DELETE"),
    "/jobs/{job_id}/estimate": ("GET",),
    "/jobs/{job_id}/logs": ("GET",),
    "/jobs/{job_id}/results": ("GET", "POST", "DELETE"),
}
"""Paths and methods, as the standard writes them."""


def capabilities(root: str) -> Document:
    """The first page of the service at an address."""
    return {
        "api_version": API_VERSION,
        "backend_version": __version__,
        "stac_version": STAC_VERSION,
        "type": "Catalog",
        "id": "cbm-lake",
        "title": "cbm-lake",
        "description": "Signatures and pixels of a data lake for checks by monitoring.",
        "production": True,
        "conformsTo": list(_CONFORMS),
        "endpoints": [{"path": path, "methods": list(methods)} for path, methods in ENDPOINTS.items()],
        "links": [
            link(root, "self", "application/json"),
            link(f"{root}/conformance", "conformance", "application/json"),
            link(f"{root}/collections", "data", "application/json"),
        ],
    }


def conformance() -> Document:
    """Which standards hold."""
    return {"conformsTo": list(_CONFORMS)}


def file_formats() -> Document:
    """The formats of results and of what is sent."""
    output = {
        name: {"title": formats.media_type(name), "gis_data_types": ["table", "vector"], "parameters": {}}
        for name in processes.FORMATS
    }
    geojson = {"title": "GeoJSON, in degrees", "gis_data_types": ["vector"], "parameters": {}}
    return {"input": {"GeoJSON": geojson}, "output": output}


def link(href: str, rel: str, kind: str) -> dict[str, str]:
    """A link."""
    return {"href": href, "rel": rel, "type": kind}


def collection(root: str, lake: Lake, one: Offered) -> Document:
    """A card as a collection of STAC with the datacube extension."""
    card = cards.get(one.card)
    boxes = [list(lake.footprint(aoi).bounds) for aoi in one.aois]
    whole = shapely.union_all([shapely.box(*box) for box in boxes]).bounds
    interval = [_text(one.first), _text(one.last)]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": ["https://stac-extensions.github.io/datacube/v2.2.0/schema.json"],
        "id": card.name,
        "title": card.title,
        "description": f"{card.title} over {', '.join(one.aois)}: {card.measured}; {one.scenes} scenes.",
        "license": "other",
        "extent": {
            "spatial": {"bbox": [list(whole), *(boxes if len(boxes) > 1 else [])]},
            "temporal": {"interval": [interval]},
        },
        "cube:dimensions": {
            "x": {"type": "spatial", "axis": "x", "extent": [whole[0], whole[2]], "reference_system": 4326},
            "y": {"type": "spatial", "axis": "y", "extent": [whole[1], whole[3]], "reference_system": 4326},
            "t": {"type": "temporal", "extent": interval},
            "bands": {"type": "bands", "values": list(card.rasters)},
        },
        "summaries": {"eo:bands": list(_bands(card)), "platform": [card.mission.name]},
        "links": [
            link(f"{root}/collections/{card.name}", "self", "application/json"),
            link(root, "root", "application/json"),
            link(f"{root}/collections", "parent", "application/json"),
        ],
    }


def _bands(card: Card) -> Iterable[Document]:
    for band in card.bands:
        common = next((alias for alias in band.aliases if alias in _COMMON), None)
        yield {
            "name": band.name,
            "description": band.label,
            "gsd": band.metres,
            **({"common_name": common} if common else {}),
            **({"center_wavelength": band.wavelength} if band.wavelength else {}),
        }
    if card.classification:
        classes = ", ".join(f"{number} {name}" for number, name in enumerate(card.classification.names))
        yield {"name": card.classification.name, "description": classes, "gsd": card.classification.metres}


_COMMON: Final = frozenset(
    {"blue", "green", "red", "nir", "nir08", "swir16", "swir22", "rededge071", "rededge", "rededge1", "rededge2"}
)


def job(root: str, one: Job, *, whole: bool = False) -> Document:
    """A batch job; `whole` says whether with its process graph."""
    document: Document = {
        "id": one.id,
        "title": one.title,
        "description": one.description,
        "status": one.status,
        "created": _text(one.created),
        "updated": _text(one.updated),
    }
    if whole:
        document["process"] = {"process_graph": one.graph}
        document["links"] = [link(f"{root}/jobs/{one.id}/results", "results", "application/json")]
    return document


def results(root: str, one: Job, name: str) -> Document:
    """The result of a job as a STAC collection with one asset."""
    base = f"{root}/jobs/{one.id}/results"
    asset = {"href": f"{base}/{name}", "type": one.media_type, "roles": ["data"], "title": name}
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "id": one.id,
        "title": one.title or one.id,
        "description": one.way,
        "license": "other",
        "openeo:status": "finished",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [[None, _text(one.as_of)]]},
        },
        "cbm-lake:snapshot": _text(one.as_of),
        "assets": {name: asset},
        "links": [link(base, "self", "application/json"), link(base, "canonical", "application/json")],
    }


def _text(moment: object) -> str | None:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if isinstance(moment, datetime) else None
