"""Map widgets: marker, polygon, and all parcels of a country coloured by an attribute."""

from __future__ import annotations

import html
import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import ipywidgets
import pyarrow as pa
import shapely

from cbm_lake.cards import palette
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, LakeError, of_extra
from cbm_lake.ipycbm import overlays
from cbm_lake.lake import Lake, open_lake

if TYPE_CHECKING:
    from cbm_lake.ipycbm.choice import ParcelSet

_HEIGHT: Final = 360
"""Pixels."""
_PANES: Final = {overlays.GROUND: {"zIndex": 150}}
"""Tiles lie at 200."""
_FIELDS: Final = re.compile(r"\{(\w+)\}")
_TILED: Final = {"x", "y", "z"}
_WIDTH: Final = 800
"""Pixels that a map has at least."""
_FEW_POINTS: Final = 10_000
_MOST_OUTLINES: Final = 500


def leaflet() -> Any:
    """The ipyleaflet package.

    Raises:
        ConfigError: it is missing.
    """
    with of_extra("notebook", "a map"):
        import ipyleaflet
    return ipyleaflet


def blank(
    lake: Lake | None, *, center: tuple[float, float] = (50, 10), zoom: float = 4, height: int = _HEIGHT, **traits: Any
) -> tuple[Any, ipywidgets.HTML]:
    """A map that asks no other host: its ground is the clearest scene of the lake, painted for what it shows.

    Tile servers of the settings (tms) that give tiles by {x}, {y} and {z} lie over the ground where they answer; a
    button of the map takes them away.

    Args:
        lake: whose scenes; None is that of the settings.
        center: latitude and longitude.
        zoom: level.
        height: in pixels.
        traits: further ones of the map.

    Returns:
        The map, and the line below it that names the ground, its date and product.
    """
    package, said = leaflet(), ipywidgets.HTML()
    layout = {"height": f"{height}px"}
    view = package.Map(
        layers=(), center=center, zoom=zoom, scroll_wheel_zoom=True, layout=layout, panes=_PANES, **traits
    )
    ground = overlays.Ground(lake, said)
    overlays.Overlay(view, ground.paint, said, name="scene", pane=overlays.GROUND)
    servers = [(name, url) for name, url in Workspace.here().config.tms.items() if set(_FIELDS.findall(url)) >= _TILED]
    for name, url in servers:
        view.add(package.TileLayer(url=url, name=name, attribution=name))
    if servers:
        view.add(package.LayersControl(position="topright"))
    return view, said


def _map(parcels: ParcelSet) -> tuple[Any, ipywidgets.HTML]:
    """Map of the selected area, and what its ground is."""
    view, said = blank(parcels.lake)

    def go(_: object = None) -> None:
        try:
            position = showing((parcels.lake or open_lake()).footprint(parcels.value["aoi"]).bounds)
        except LakeError:  # from a server, or empty: the map stays where it is
            return
        view.center, view.zoom = position["center"], position["zoom"]

    parcels.aoi.observe(go, "value")
    go()
    return view, said


def showing(box: tuple[float, float, float, float], height: int = 360) -> dict[str, Any]:
    """Centre and zoom of a map, of a height in pixels, that shows a box (west, south, east, north in degrees)."""
    west, south, east, north = box
    middle = (south + north) / 2
    tall = (north - south) / math.cos(math.radians(min(abs(middle), 80)))
    degrees_a_pixel = max((east - west) / _WIDTH, tall / height, 1e-9)
    zoom = math.floor(math.log2(360 / 256 / degrees_a_pixel))
    return {"center": (middle, (west + east) / 2), "zoom": min(max(zoom, 2), 18)}


class Marker(ipywidgets.VBox):
    """Map with a draggable marker; `value` is its (lon, lat)."""

    def __init__(self, parcels: ParcelSet) -> None:
        package = leaflet()
        self.map, said = _map(parcels)
        self.marker = package.Marker(location=self.map.center, draggable=True)
        self.map.add(self.marker)
        self.map.on_interaction(self._moved)
        self.map.observe(lambda change: self._put(change["new"]), "center")
        self.watched = [(self.marker, "location")]
        super().__init__([ipywidgets.Label("click on the map, or pull the marker, to the parcel"), self.map, said])
        self._clicked = False

    @property
    def value(self) -> tuple[float, float]:
        """Where it is."""
        lat, lon = self.marker.location
        return lon, lat

    def _moved(self, **event: object) -> None:
        if event.get("type") == "click":
            self._clicked = True
            self.marker.location = event["coordinates"]

    def _put(self, centre: Any) -> None:
        if not self._clicked:
            self.marker.location = centre


class Polygon(ipywidgets.VBox):
    """Map to draw a polygon; `value` is GeoJSON."""

    def __init__(self, parcels: ParcelSet) -> None:
        package = leaflet()
        self.map, said = _map(parcels)
        self.drawing = package.DrawControl(polyline={}, circlemarker={})
        self.map.add(self.drawing)
        self.watched = [(self.drawing, "data")]
        super().__init__([ipywidgets.Label("draw a polygon round the parcels"), self.map, said])

    @property
    def value(self) -> dict[str, Any]:
        """The last one that was drawn.

        Raises:
            InvalidInputError: there is none, or it has very many points.
        """
        shapes = [one["geometry"] for one in self.drawing.data if one["geometry"]["type"] == "Polygon"]
        if not shapes:
            raise InvalidInputError("no polygon is drawn; draw one on the map")
        points = sum(map(len, shapes[-1]["coordinates"]))
        if points > _FEW_POINTS:
            raise InvalidInputError(f"the polygon has {points} points; draw one of at most {_FEW_POINTS}")
        geometry: dict[str, Any] = shapes[-1]
        return geometry


def footprints(rows: pa.Table, lake: Lake | None = None) -> Any:
    """Map of footprints over a lake's ground: `footprint` is WKB in degrees; other columns appear in the line below."""
    package = leaflet()
    shapes = shapely.from_wkb(rows["footprint"].to_numpy())
    properties = rows.drop_columns(["footprint"]).slice(0, _MOST_OUTLINES).to_pylist()
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(shape)),
            "properties": {name: str(value) for name, value in row.items()},
        }
        for shape, row in zip(shapes, properties, strict=False)
    ]
    position = showing(shapely.total_bounds(shapes) if len(shapes) else (0, 35, 30, 60))
    view, said = blank(lake, **position)
    layer = package.GeoJSON(
        data={"type": "FeatureCollection", "features": features},
        style={"color": palette.GOOD, "weight": 2, "fillOpacity": 0.05},
        hover_style={"fillOpacity": 0.3},
    )
    under = ipywidgets.HTML("point at a footprint")

    def tell(feature: dict[str, Any], **_: object) -> None:
        under.value = ", ".join(f"{name} {html.escape(value)}" for name, value in feature["properties"].items())

    layer.on_hover(tell)
    view.add(layer)
    return ipywidgets.VBox([view, said, under])
