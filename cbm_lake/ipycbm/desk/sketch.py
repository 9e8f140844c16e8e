"""A polygon that is drawn on the map of the workbench, corner by corner; its curve stands beside that of the parcel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import ipywidgets
import traitlets

from cbm_lake.ipycbm import maps
from cbm_lake.ipycbm.desk.mapbar import Bar
from cbm_lake.ipycbm.desk.state import State

_STYLE: Final = {"color": "#1f3b8f", "weight": 3, "dash_array": "6 4", "fill": False}
_CORNERS: Final = 3
"""The fewest of a polygon."""
_LONGEST: Final = 500
"""The most corners."""


class Sketch(traitlets.HasTraits):
    """The polygon: nothing, corners that are being set, or the whole.

    Args:
        state: of the workbench; `State.polygon` is what was drawn.
        leaflet_map: the map on which it is drawn.
        bar: its controls, with the button that begins and ends.
    """

    stage = traitlets.Enum(("", "drawing", "drawn"), "")

    def __init__(self, state: State, leaflet_map: ipywidgets.Widget, bar: Bar) -> None:
        super().__init__()
        self._state = state
        self._corners: list[tuple[float, float]] = []
        self._line = maps.leaflet().Polyline(locations=[], pane="cbmoutline", **_STYLE)
        leaflet_map.add(self._line)
        state.observe(lambda _: self.clear(), ["aoi", "year", "ptype"])
        bar.on_msg(self._pressed)
        traitlets.dlink((self, "stage"), (bar, "sketch"))

    def _pressed(self, _: object, content: Mapping[str, object], __: object) -> None:
        if content.get("event") == "sketch":
            self.press()

    def press(self) -> None:
        """Go on: begin, end with the corners that there are, or take the polygon away."""
        if self.stage == "":
            self.stage = "drawing"
        elif self.stage == "drawing" and len(self._corners) >= _CORNERS:
            self.stage = "drawn"
            ring = [*self._corners, self._corners[0]]
            self._state.polygon = "-".join(f"{lon:.7f}_{lat:.7f}" for lat, lon in ring)
        else:
            self.clear()
        self._draw()

    def takes(self, lat: float, lon: float) -> bool:
        """Whether a click sets a corner; otherwise it is for others."""
        if self.stage != "drawing" or len(self._corners) >= _LONGEST:
            return False
        self._corners.append((lat, lon))
        self._draw()
        return True

    def clear(self) -> None:
        """Take the polygon away."""
        self.stage, self._corners, self._state.polygon = "", [], ""
        self._draw()

    def _draw(self) -> None:
        closed = [*self._corners, *self._corners[:1]] if self.stage == "drawn" else self._corners
        self._line.locations = [list(corner) for corner in closed]
