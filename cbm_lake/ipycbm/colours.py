"""Input for how images are coloured: views by their names, colour map, and stretch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

import ipywidgets

from cbm_lake.cards import CARDS, INDICES, S2
from cbm_lake.errors import InvalidInputError
from cbm_lake.ipycbm.choice import STYLE
from cbm_lake.ipycbm.wanted import SERIES, labels
from cbm_lake.parcel.inventory import band_key
from cbm_lake.show.views import view as view_of

_COMPOSITES: Final = {
    "true colour": "true colour",
    "B08_B04_B03": "infrared (bands 8, 4, 3)",
    "B08_B11_B04": "vegetation (bands 8, 11, 4)",
}
_MAPS: Final = ("viridis", "cividis", "magma", "YlGn", "RdYlGn", "Greys_r")
_STRETCHES: Final = (
    ("as usual", "usual"),
    ("between percentiles", "percentiles"),
    ("between numbers", "numbers"),
)
_PERCENTILES: Final = (2.0, 98.0)


class Look(NamedTuple):
    """How images are coloured."""

    views: tuple[str, ...]
    cmap: str | None
    """Colour map of matplotlib; None is the usual one of the view."""
    percentile: tuple[float, float] | None
    limits: tuple[float, float] | None


def view_names() -> dict[str, str]:
    """All views by what `show.views.view` understands, and in words."""
    indices = {index.name: f"index: {index.label}" for index in INDICES.values()}
    others = (card for card in CARDS.values() if card is not S2)
    of_others = {key: f"{SERIES[card.name]}, {words}" for card in others for key, words in labels(card).items()}
    return {**_COMPOSITES, **indices, **labels(S2), **of_others}


def showable(bands: Collection[str]) -> list[str]:
    """Views whose bands are all there; bands as `Inventory.bands` names them."""
    kinds = {name: view_of(name) for name in view_names()}
    return [
        name for name, kind in kinds.items() if {band_key(kind.card.name, band) for band in kind.bands} <= set(bands)
    ]


class Colours(ipywidgets.VBox):
    """Views, one or several, their colour map and stretch; `value` is a `Look`."""

    def __init__(self) -> None:
        names = view_names()
        self.views = ipywidgets.SelectMultiple(
            options=[(words, name) for name, words in names.items()],
            value=("true colour",),
            rows=7,
            description="images of",
            tooltip="one, or with Ctrl or Shift several, which are drawn below one another",
            style=STYLE,
            layout={"width": "480px"},
        )
        self.cmap = ipywidgets.Dropdown(
            options=[("as usual", ""), *((name, name) for name in _MAPS)],
            description="colours",
            tooltip="colour map of indices and single bands",
            style=STYLE,
        )
        self.stretch = ipywidgets.Dropdown(
            options=_STRETCHES,
            description="stretch",
            tooltip="between which values colours run from the first to the last",
            style=STYLE,
        )
        self.low = ipywidgets.FloatText(value=_PERCENTILES[0], description="from", style=STYLE)
        self.high = ipywidgets.FloatText(value=_PERCENTILES[1], description="to", style=STYLE)
        self.stretch.observe(self._follow, "value")
        self._follow()
        super().__init__(
            [self.views, ipywidgets.HBox([self.cmap, self.stretch]), ipywidgets.HBox([self.low, self.high])]
        )

    @property
    def value(self) -> Look:
        """What is chosen.

        Raises:
            InvalidInputError: no view, or a stretch that runs backwards.
        """
        if not self.views.value:
            raise InvalidInputError("nothing is chosen to be drawn; choose an image, an index or a band")
        between = float(self.low.value), float(self.high.value)
        stretch = self.stretch.value
        if stretch != "usual" and not between[0] < between[1]:
            raise InvalidInputError(f"colours cannot run from {between[0]:g} to {between[1]:g}; the second is greater")
        percentile = between if stretch == "percentiles" else None
        return Look(self.views.value, self.cmap.value or None, percentile, between if stretch == "numbers" else None)

    def offer(self, bands: Collection[str]) -> None:
        """Offer the views whose bands are there, with the chosen ones if they can be."""
        names, before = view_names(), self.views.value
        there = showable(bands)
        self.views.options = [(names[name], name) for name in there]
        self.views.value = tuple(name for name in before if name in there) or tuple(there[:1])

    def _follow(self, _: object = None) -> None:
        """Numbers are asked for where a stretch has some."""
        display = None if self.stretch.value != "usual" else "none"
        self.low.layout.display = self.high.layout.display = display
        if self.stretch.value == "percentiles":
            self.low.value, self.high.value = _PERCENTILES
        elif self.stretch.value == "numbers":
            self.low.value, self.high.value = 0.0, 1.0
