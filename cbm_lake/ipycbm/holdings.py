"""What there is of the chosen parcel, in a line, so that only that is offered which can be shown."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from cbm_lake.cards import CARDS
from cbm_lake.errors import NotFoundError, counted
from cbm_lake.ipycbm.newest import Newest
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import inventory, sources
from cbm_lake.parcel.inventory import Inventory

if TYPE_CHECKING:
    from cbm_lake.ipycbm.view_panel import Kept, Parcel

_HOW: Final = {
    "series": "take them on the page extract",
    "weather": "load it with cbm-lake weather",
    "images": "catalogue scenes on the page catalogue",
}
"""How to get what is absent."""


class Holdings(ipywidgets.HTML):
    """The line; what there is is looked up beside the page whenever another parcel is chosen.

    Args:
        parcels: the choice.
        lake: whose; None is that of the settings.
    """

    def __init__(self, parcels: Kept, lake: Lake | None = None) -> None:
        super().__init__()
        self._parcels, self._lake = parcels, lake
        self._kinds: dict[Parcel, str] = {}
        self.listeners: list[Callable[[Parcel, Inventory], None]] = []
        """Called when it is known what there is of the chosen parcel."""
        self._newest = Newest(self._looked_up, self._show, self)
        for choice in (parcels.pid, parcels.year, parcels.aoi):
            choice.observe(self._follow, "value")
        self._follow()

    def options(self, parcel: Parcel) -> dict[str, Any]:
        """The lake and the kind of a parcel, as the functions that show one take them."""
        return {**({"lake": self._lake} if self._lake else {}), "ptype": self._kind(parcel) or None}

    def settled(self, seconds: float) -> bool:
        """Wait until the chosen parcel is looked up; False if that takes longer."""
        return self._newest.settled(seconds)

    def look_again(self) -> None:
        """Something may have come."""
        self._kinds.clear()
        self._follow()

    def _follow(self, _: object = None) -> None:
        self.value = ""
        if self._parcels.pid.value in self._parcels.pid.options:  # and not half of one that is being typed
            self._newest.ask(self._parcels.value)

    def _kind(self, parcel: Parcel) -> str:
        if parcel not in self._kinds:
            self._kinds[parcel] = inventory.kind_of(sources.here(self._lake), *parcel)
        return self._kinds[parcel]

    def _looked_up(self, parcel: Parcel) -> tuple[Parcel, Inventory | str]:
        """What there is, or why nothing is known."""
        aoi, year, pid = parcel
        try:
            key = ParcelKey(aoi, year, self._kind(parcel), pid)
            return parcel, inventory.of(sources.here(self._lake), key)
        except NotFoundError as error:
            return parcel, error.plain

    def _show(self, answer: tuple[Parcel, Inventory | str]) -> None:
        parcel, stock = answer
        if isinstance(stock, str):
            self.value = html.escape(stock)
            return
        self.value = in_words(stock, self._kinds[parcel])
        for listener in self.listeners:
            listener(parcel, stock)


def in_words(stock: Inventory, kind: str = "") -> str:
    """What there is of a parcel and what is absent, with how to get it, as HTML."""
    there = [f"{CARDS[card].title}: {counted(rows, 'observation')}" for card, rows in stock.series.items()]
    there += [f"weather: {counted(stock.weather, 'day')}"] if stock.weather else []
    images = stock.images or {}
    there += [f"images of {CARDS[card].title}: {counted(of.scenes, 'scene')}" for card, of in images.items()]
    absent = [f"{card.title} ({_HOW['series']})" for name, card in CARDS.items() if name not in stock.series]
    absent += [] if stock.weather else [f"weather ({_HOW['weather']})"]
    absent += [f"images ({_HOW['images']})"] if stock.images == {} else []
    of_kind = f"a parcel of the kind {kind}; " if kind else ""
    lines = [f"{of_kind}there is {'; '.join(there) or 'nothing but the declaration'}"]
    lines += [f"not there: {'; '.join(absent)}"] if absent else []
    return "<br>".join(map(html.escape, lines))
