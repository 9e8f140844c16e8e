"""Outlines of the lake's parcels, the ground of a map where there is no scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from cbm_lake.geo.reprojection import transformer
from cbm_lake.ipycbm.drawing import Box, Geometries
from cbm_lake.lake import Lake
from cbm_lake.parcel.sources.declared import Asked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cbm_lake.lake.snapshots import ParcelSet

_WEB_OF: Final = transformer(4326, 3857)
"""Degrees to Web Mercator."""
_WIDTH: Final = 900
"""Pixels of a picture."""
_WIDEST: Final = 30_000.0
"""Metres of Web Mercator across a view: beyond that parcels are no wider than their outlines."""
_INSIDE: Final = (150, 150, 150, 70)
"""Red, green, blue, opacity of a parcel."""


class Outlines:
    """Draws the parcels of each area's newest year, of the main set where it has one.

    Args:
        lake: whose parcels.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._asked: dict[ParcelSet, Asked] = {}

    def painted(self, view: Box) -> tuple[NDArray[np.uint8], list[str]] | None:
        """The outlines in a view in degrees.

        Returns:
            The picture (y, x, 4) of the whole view in Web Mercator, and the names of the parcel sets in it; None where
            there are no parcels, or the view is too wide to tell one from another.
        """
        west, south = _WEB_OF.transform(*view[:2])
        east, north = _WEB_OF.transform(*view[2:])
        if max(east - west, north - south) > _WIDEST:
            return None
        near = {parcels.name: self._near(parcels, view) for parcels in newest(self._lake)}
        rows = [row for each in near.values() for row in each]
        if not rows:
            return None
        geometries = Geometries.of(pa.Table.from_pylist(rows))
        pixel = (east - west) / _WIDTH
        size = (max(round((north - south) / pixel), 1), _WIDTH)
        colours = np.tile(np.array(_INSIDE, np.uint8), (len(rows), 1))
        return geometries.outlined((west, north), pixel, size, colours), [name for name, each in near.items() if each]

    def _near(self, parcels: ParcelSet, view: Box) -> list[dict[str, object]]:
        """Parcels of a set that may meet a view."""
        if parcels not in self._asked:
            self._asked[parcels] = Asked(self._lake, parcels)
        rows = self._asked[parcels].near(view)
        return [{name: row[name] for name in ("pid", "geometry", "epsg")} for row in rows]


def newest(lake: Lake) -> list[ParcelSet]:
    """The parcel set of each area that is shown: of its newest year, the main one where there is one."""
    by_area: dict[str, ParcelSet] = {}
    for parcels in lake.parcel_sets():
        former = by_area.get(parcels.aoi)
        if former is None or _rank(parcels) > _rank(former):
            by_area[parcels.aoi] = parcels
    return list(by_area.values())


def _rank(parcels: ParcelSet) -> tuple[bool, int]:
    return parcels.ptype == "", parcels.year
