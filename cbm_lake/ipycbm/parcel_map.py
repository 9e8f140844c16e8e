"""Map of a few coloured parcels from which one can be selected."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import geopandas as gpd
import ipywidgets
import shapely

from cbm_lake.ipycbm import maps
from cbm_lake.lake import Lake

_HEIGHT: Final = 400
"""Pixels."""
MOST: Final = 2_000
"""Parcels that a map shows; with more a browser becomes slow."""


def parcel_map(
    shapes: gpd.GeoSeries,
    colours: Mapping[str, str],
    choose: Callable[[str], None],
    lake: Lake | None = None,
    said: str = "a click on a parcel chooses it",
) -> ipywidgets.Widget:
    """Map of geometries; a click selects one.

    Args:
        shapes: geometries by the parcels' identifiers, the most important first, in any coordinate system.
        colours: of each parcel, as HTML writes them.
        choose: called with the identifier of the parcel that was clicked.
        lake: whose scene lies below; None is that of the settings.
        said: the line above the map.
    """
    visible = shapes[~(shapes.is_empty | shapes.isna())].iloc[:MOST].to_crs(4326)
    if visible.empty:
        return ipywidgets.HTML("no parcel to show on a map")
    layer = maps.leaflet().GeoJSON(
        data={"type": "FeatureCollection", "features": [_feature(str(pid), shape) for pid, shape in visible.items()]},
        style={"weight": 2, "fillOpacity": 0.5},
        hover_style={"fillOpacity": 0.8},
        style_callback=lambda feature: {"color": colours[feature["properties"]["pid"]]},
    )
    layer.on_click(lambda feature, **_: choose(feature["properties"]["pid"]))
    view, ground = maps.blank(lake, **maps.showing(visible.total_bounds, _HEIGHT), height=_HEIGHT)
    view.add(layer)
    more = "" if len(shapes) <= MOST else f" (the first {MOST:,} of {len(shapes):,})"
    return ipywidgets.VBox([ipywidgets.Label(f"{said}{more}"), view, ground])


def _feature(pid: str, shape: shapely.Geometry) -> dict[str, Any]:
    return {"type": "Feature", "geometry": json.loads(shapely.to_geojson(shape)), "properties": {"pid": pid}}
