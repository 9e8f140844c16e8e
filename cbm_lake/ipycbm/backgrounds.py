"""Inputs for backgrounds: the tile servers that the settings name now, and the lake's own scenes."""

from __future__ import annotations

import ipywidgets

from cbm_lake.ipycbm import changes
from cbm_lake.ipycbm.choice import STYLE, Ticks
from cbm_lake.parcel import basemaps


class BackgroundTicks(Ticks):
    """A checkbox for each background; those of servers that are saved later are added, and those taken out go."""

    def __init__(self) -> None:
        super().__init__(_words(), (), "backgrounds")
        changes.subscribe(self.refresh, "settings")

    def refresh(self) -> None:
        """Offer what the settings name now; what is ticked stays."""
        self.replace(_words())


class BackgroundList(ipywidgets.SelectMultiple):
    """A list of the backgrounds, of which several may be selected; at first the lake's own."""

    def __init__(self) -> None:
        names = basemaps.names()
        super().__init__(options=names, value=names[-1:], rows=len(names), description="backgrounds", style=STYLE)
        changes.subscribe(self.refresh, "settings")

    def refresh(self) -> None:
        """Offer what the settings name now; what is selected stays."""
        names, selected = basemaps.names(), self.value
        if tuple(names) != tuple(self.options):
            for trait, value in {"options": names, "rows": len(names)}.items():
                self.set_trait(trait, value)
            self.set_trait("value", [name for name in selected if name in names])


def _words() -> dict[str, str]:
    return {name: name for name in basemaps.names()}
