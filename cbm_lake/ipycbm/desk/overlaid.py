"""What is laid over the map: pictures with their places, and outlines."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import shapely
from ipywidgets import Widget

from cbm_lake.ipycbm.desk.frames import Frame

CLEAR: Final = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
"""A pixel through which everything is seen, until there is a picture."""


def put(overlay: Widget, png: bytes, frame: Frame) -> None:
    """Show a picture on the map."""
    west, south, east, north = frame.degrees
    bounds = ((south, west), (north, east))
    url = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    with overlay.hold_sync():
        if tuple(map(tuple, overlay.bounds)) != bounds:
            overlay.bounds = bounds
        overlay.url = url


def features(outline: shapely.Geometry | None) -> dict[str, Any]:
    """GeoJSON of an outline in degrees; None is of nothing."""
    geometry = [] if outline is None else [json.loads(shapely.to_geojson(outline))]
    features = [{"type": "Feature", "properties": {}, "geometry": one} for one in geometry]
    return {"type": "FeatureCollection", "features": features}
