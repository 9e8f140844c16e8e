"""Map of a few coloured parcels from which one can be selected."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import geopandas as gpd
import ipywidgets
import shapely

from cbm_lake.errors import of_extra

_SIZE: Final = 760, 360
"""Width and height in pixels of the screen that the geometries may fill."""
MOST: Final = 2_000
"""Parcels that a map shows; with more a browser becomes slow."""


def parcel_map(shapes: gpd.GeoSeries, colours: Mapping[str, str], choose: Callable[[str], None]) -> ipywidgets.Widget:
    """Map of geometries; a click selects one.

    Args:
        shapes: geometries by the parcels' identifiers, the most important first, in any coordinate system.
        colours: of each parcel, as HTML writes them.
        choose: called with the identifier of the parcel that was clicked.
    """
    with of_extra("notebook", "a map"):
        import ipyleaflet

    visible = shapes[~(shapes.is_empty | shapes.isna())].iloc[:MOST].to_crs(4326)
    if visible.empty:
        return ipywidgets.HTML("no parcel to show on a map")
    layer = ipyleaflet.GeoJSON(
        data={"type": "FeatureCollection", "features": [_feature(str(pid), shape) for pid, shape in visible.items()]},
        style={"weight": 2, "fillOpacity": 0.5},
        hover_style={"fillOpacity": 0.8},
        style_callback=lambda feature: {"color": colours[feature["properties"]["pid"]]},
    )
    layer.on_click(lambda feature, **_: choose(feature["properties"]["pid"]))
    west, south, east, north = visible.total_bounds
    centre = (south + north) / 2, (west + east) / 2
    zoom = _zoom(east - west, (north - south) / math.cos(math.radians(centre[0])))
    view = ipyleaflet.Map(center=centre, zoom=zoom, layout={"height": f"{_SIZE[1] + 40}px"})
    view.add(layer)
    more = "" if len(shapes) <= MOST else f" (the first {MOST:,} of {len(shapes):,})"
    return ipywidgets.VBox([ipywidgets.Label(f"a click on a parcel chooses it{more}"), view])


def _zoom(width: float, height: float) -> int:
    """Largest zoom level that fits that many degrees of longitude; level 0 shows 360 on 256 pixels."""
    fitting = (size * 360 / 256 / max(degrees, 1e-5) for size, degrees in zip(_SIZE, (width, height), strict=True))
    return max(0, min(18, int(math.log2(min(fitting)))))


def _feature(pid: str, shape: shapely.Geometry) -> dict[str, Any]:
    return {"type": "Feature", "geometry": json.loads(shapely.to_geojson(shape)), "properties": {"pid": pid}}
