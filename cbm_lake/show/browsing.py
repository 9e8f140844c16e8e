"""Interactive images and maps for notebooks (holoviews), with zoom and a date slider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import shapely

from cbm_lake.cards import palette
from cbm_lake.show import notebooks, rendering
from cbm_lake.show.rendering import Row
from cbm_lake.show.style import Interactive, Look

if TYPE_CHECKING:
    from numpy.typing import NDArray


_MAP: Final[Look] = {
    "width": 470,
    "height": 450,
    "data_aspect": 1,
    "xlabel": "easting (m)",
    "ylabel": "northing (m)",
    "xformatter": "%d",
    "yformatter": "%d",
    "xticks": 3,
    "yticks": 4,
    "active_tools": ["wheel_zoom"],
}
"""Options of every map."""
_RINGS: Final = (("white", 4), (palette.INK, 2))
"""Colours and widths of geometries, the lower first."""


def images(rows: Sequence[Row], heading: str) -> Interactive:
    """The rows side by side, with one date slider for all."""
    hv = notebooks.drawing()
    maps = []
    for row in rows:
        frames = {
            f"{image.obstime:%Y-%m-%d}": picture(
                rendering.rgba(row, image),
                row.images.bounds,
                row.drawn_outline,
                " · ".join(filter(None, [row.label, rendering.cloud_words(image)])),
                _key(row),
            )
            for image in row.images.images
        }
        maps.append(hv.HoloMap(frames, kdims="date"))
    return beside(maps).opts(title=heading) if len(maps) > 1 else maps[0]


def _key(row: Row) -> list[Interactive]:
    """Legend of a row as layers without pixels: the colour bar of an index or band, or the names of scene classes."""
    from matplotlib.colors import to_hex

    hv = notebooks.drawing()
    if row.view.classes:
        return [
            hv.Points([], ["x", "y"], label=name).opts(color=colour, marker="square", size=9)
            for name, colour in rendering.classes_there(row)
        ]
    if not row.view.scaled:
        return []
    colours = [to_hex(colour) for colour in rendering.scale(row).get_cmap()(np.linspace(0, 1, 256))]
    bar = hv.Image(np.full((1, 1), row.limits[0][0]), bounds=row.images.bounds, kdims=["x", "y"])
    return [bar.opts(alpha=0, cmap=colours, clim=tuple(row.limits[0]), colorbar=True, clabel=row.view.unit)]


def beside(maps: Sequence[Interactive], columns: int = 3) -> Interactive:
    """Elements side by side, `columns` in a row; a single one is returned unchanged."""
    hv = notebooks.drawing()
    return hv.Layout(list(maps)).cols(columns).opts(shared_axes=False) if len(maps) > 1 else maps[0]


def outline(shape: shapely.Geometry, title: str, facts: dict[str, str]) -> Interactive:
    """A parcel geometry with a hover tooltip of its attributes."""
    hv = notebooks.drawing()
    names = {name.replace(" ", "_"): value for name, value in facts.items()}
    rows = [
        {
            "x": shapely.get_coordinates(part.exterior)[:, 0],
            "y": shapely.get_coordinates(part.exterior)[:, 1],
            "holes": [[shapely.get_coordinates(ring) for ring in part.interiors]],
            **names,
        }
        for part in shapely.get_parts(shape)
    ]
    look: Look = {
        "color": palette.NDVI,
        "alpha": 0.35,
        "line_color": palette.INK,
        "line_width": 2,
        "tools": ["hover"],
    }
    west, south, east, north = shape.bounds
    half, x, y = rendering.ROUND * max(east - west, north - south, 1), (west + east) / 2, (south + north) / 2
    extent = {"xlim": (x - half, x + half), "ylim": (y - half, y + half)}
    polygons: Interactive = hv.Polygons(rows, ["x", "y"], list(names)).opts(title=title, **_MAP, **extent, **look)
    return polygons


def picture(
    pixels: NDArray[np.uint8],
    bounds: Sequence[float],
    shape: shapely.Geometry | None,
    title: str,
    key: Sequence[Interactive] = (),
) -> Interactive:
    """Pixels at their coordinates, with the parcel geometry and legend layers."""
    hv = notebooks.drawing()
    west, south, east, north = bounds
    layers = [hv.RGB(pixels, bounds=(west, south, east, north), kdims=["x", "y"])]
    if shape is not None:
        rings = [shapely.get_coordinates(ring) for ring in shapely.get_rings(shapely.get_parts(shape))]
        paths = hv.Path(rings, ["x", "y"])
        layers += [paths.opts(color=colour, line_width=width, clone=True) for colour, width in _RINGS]
    extent = {"xlim": (west, east), "ylim": (south, north)}
    overlay: Interactive = hv.Overlay([*layers, *key]).opts(title=title, fontsize={"title": 10}, **_MAP, **extent)
    return overlay
