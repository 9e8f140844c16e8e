"""Draws the parcels of a frame of the map: their outlines, and a colour by a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import imagecodecs
import numpy as np
import pyarrow as pa
import shapely

from cbm_lake.cards import palette
from cbm_lake.cases import WORST
from cbm_lake.geo.areas import metres_per_unit
from cbm_lake.ipycbm import drawing
from cbm_lake.ipycbm.desk.frames import Frame
from cbm_lake.ipycbm.drawing import Colouring, Geometries
from cbm_lake.lake import Lake
from cbm_lake.parcel.declaration import Parcel

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS: Final = ("", "light", "crop check", "crop", "area_m2")
"""By what parcels are coloured; "" is by nothing."""
_COARSE: Final = 20.0
"""Units of Web Mercator of a pixel from which on parcels are dots: outlines would be no wider than their lines."""
_FILLING: Final = 150
"""Opacity of colours, so that the image is seen through them."""
_SHADES: Final[Mapping[str, Mapping[str, str]]] = {
    "light": {
        "red": palette.BAD,
        "yellow": palette.YELLOW,
        "green": palette.GREEN,
        "cannot be seen": palette.GREY,
        "not yet due": palette.CYAN,
    },
    "crop check": {"disagrees": palette.BAD, "cannot say": palette.YELLOW, "agrees": palette.GREEN},
}
"""Colours that mean something; other words get those of `drawing.coloured`."""


@dataclass(frozen=True, eq=False)
class ParcelPicture:
    """The parcels of a frame."""

    png: bytes
    legend: Sequence[tuple[str, str]]
    """What a colour says, and it as HTML writes it."""
    number: int
    """Of parcels in the frame."""


def picture(lake: Lake, parcel: Parcel, frame: Frame, column: str = "", scenario: str = "") -> ParcelPicture:
    """Draw the parcels of a set that lie in a frame, as outlines, or zoomed out as one dot each.

    Args:
        lake: where they are.
        parcel: any of the set.
        frame: the rectangle that is drawn.
        column: one of COLUMNS.
        scenario: of the lights; "" is all, of which the worst counts.
    """
    coarse = frame.pixel >= _COARSE
    rows = _in_view(lake, parcel, frame, column, scenario, outlines=not coarse)
    if not rows.num_rows:
        return ParcelPicture(_png(np.zeros((*frame.size, 4), np.uint8)), (), 0)
    colouring = coloured(rows, column)
    geometries = _dots(rows) if coarse else Geometries.of(rows)
    west, _, _, north = frame.bounds
    if not coarse:
        painted = geometries.outlined((west, north), frame.pixel, frame.size, colouring.colours)
    else:
        owners = geometries.owners((west, north), frame.pixel, frame.size)
        painted = np.concatenate([_solid(colouring.colours), np.zeros((1, 4), np.uint8)])[owners]
    return ParcelPicture(_png(painted), colouring.key, rows.num_rows)


def coloured(rows: pa.Table, column: str) -> Colouring:
    """Colours of rows of sql/parcels/in_view.sql by a column."""
    if not column:
        return Colouring(np.zeros((rows.num_rows, 4), np.uint8), ())
    shades = _SHADES.get(column)
    if shades is None:
        colouring = drawing.coloured(rows["number"] if column == "area_m2" else rows["word"])
    else:
        colouring = _by_meaning(rows["word"].to_pylist(), shades)
    colours = colouring.colours.copy()
    colours[:, 3] = np.minimum(colours[:, 3], _FILLING)
    return Colouring(colours, colouring.key)


def _by_meaning(words: Sequence[str | None], shades: Mapping[str, str]) -> Colouring:
    """Colours of words that have one of their own; others are clear."""
    table = {word: (*bytes.fromhex(shade[1:]), 255) for word, shade in shades.items()}
    colours = np.array([table.get(word or "", (0, 0, 0, 0)) for word in words], np.uint8).reshape(len(words), 4)
    present = set(words)
    return Colouring(colours, [(word, shade) for word, shade in shades.items() if word in present])


def _in_view(lake: Lake, parcel: Parcel, frame: Frame, column: str, scenario: str, *, outlines: bool) -> pa.Table:
    """Rows of the parcels that may meet a frame."""
    key = parcel.key
    corners = dict(zip(("west", "south", "east", "north"), frame.degrees, strict=True))
    names = {"aoi": key.aoi, "year": key.year, "ptype": key.ptype, "metres": metres_per_unit(parcel.epsg)}
    names |= {"column": column, "scenario": scenario, "worst": list(WORST)}
    return lake.query("parcels.in_view", **names, **corners, outlines=outlines)


def _dots(rows: pa.Table) -> Geometries:
    """The centroids of the parcels, which are drawn as a pixel each."""
    lon, lat = (rows[name].to_numpy() for name in ("centroid_lon", "centroid_lat"))
    points = pa.array(shapely.to_wkb(shapely.points(lon, lat)), pa.binary())
    epsg = pa.array(np.full(len(points), 4326), pa.int32())
    return Geometries.of(pa.table({"pid": rows["pid"], "geometry": points, "epsg": epsg}))


def _solid(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours of dots: opaque, and white where there is none."""
    solid = np.where(colours[:, 3:] > 0, colours, np.uint8(255))
    solid[:, 3] = 255
    return solid.astype(np.uint8)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=1))  # soon rather than small
