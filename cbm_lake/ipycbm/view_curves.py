"""Curves of a parcel: time series, and years over one another."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from cbm_lake import show
from cbm_lake.cards import BS, C6, CARDS, INDICES, S2
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.ipycbm.choice import STYLE
from cbm_lake.ipycbm.panel import Panel
from cbm_lake.ipycbm.wanted import SERIES
from cbm_lake.parcel.inventory import band_key

if TYPE_CHECKING:
    from cbm_lake.ipycbm.holdings import Holdings
    from cbm_lake.ipycbm.view_panel import Kept, Parcel
    from cbm_lake.parcel.inventory import Inventory

_KINDS: Final[dict[str, tuple[Callable[..., object], frozenset[str]]]] = {
    **{
        index.name.upper(): (partial(show.time_series.index, index=index.name), frozenset({S2.name}))
        for index in INDICES.values()
    },
    "Sentinel-2 bands": (show.time_series.s2, frozenset({S2.name})),
    "Sentinel-1": (show.time_series.s1, frozenset({BS.name, C6.name})),
    "weather": (show.time_series.weather, frozenset({"weather"})),
}
"""Time series by their names: what draws them, and of what there must be something."""


def series(parcels: Kept, holdings: Holdings) -> Panel:
    """Form of time series; of kinds of which there is nothing none is offered."""

    def draw(parcel: Parcel, kind: str | None, peers: bool, zoomable: bool) -> object:
        if kind is None:
            raise NotFoundError("there is no time series of this parcel; the line above says how to get some")
        behind: dict[str, Any] = {} if peers or kind == "weather" else {"peers": False}
        return _KINDS[kind][0](*parcel, interactive=zoomable, **behind, **holdings.options(parcel))

    what = ipywidgets.Dropdown(
        options=list(_KINDS), description="what", tooltip="only what there is of the parcel", style=STYLE
    )

    def offer(_: Parcel, stock: Inventory) -> None:
        there = {*stock.series, *(["weather"] if stock.weather else [])}
        _narrow(what, [kind for kind, (_, needed) in _KINDS.items() if needed & there])

    holdings.listeners.append(offer)
    return Panel(
        "show",
        draw,
        context={"parcel": parcels},
        kind=what,
        peers=ipywidgets.Checkbox(value=True, description="the crop's other parcels behind", style=STYLE),
        zoomable=ipywidgets.Checkbox(value=True, description="zoomable", style=STYLE),
    )


def _of_years() -> dict[str, tuple[str, str]]:
    """What is compared over years: its card, and in words."""
    indices = {index.name: (S2.name, f"index: {index.label}") for index in INDICES.values()}
    bands = {
        band_key(card.name, band.name): (card.name, band.label if card is S2 else f"{SERIES[card.name]}, {band.label}")
        for card in CARDS.values()
        for band in card.bands
    }
    return indices | bands


def years(parcels: Kept, holdings: Holdings) -> Panel:
    """Form of years of a parcel over one another."""
    names = _of_years()

    def draw(parcel: Parcel, view: str | None, years: str, start: int, zoomable: bool) -> object:
        if view is None:
            raise NotFoundError("nothing was extracted of this parcel; the line above says how to get some")
        words = years.replace(",", " ").split()
        unknown = [word for word in words if not word.isdecimal()]
        if unknown:
            raise InvalidInputError(f"{unknown[0]} is no year; write 2022, 2023, or nothing for all")
        numbers = [int(word) for word in words] or None
        of = holdings.options(parcel)
        return show.years.by_pid(*parcel, numbers, bands=view, start=start, interactive=zoomable, **of)

    what = ipywidgets.Dropdown(
        options=[(words, name) for name, (_, words) in names.items()], value="ndvi", description="what", style=STYLE
    )

    def offer(_: Parcel, stock: Inventory) -> None:
        _narrow(what, [(words, name) for name, (card, words) in names.items() if card in stock.series])

    holdings.listeners.append(offer)
    months = [(name, number) for number, name in enumerate(calendar.month_name) if name]
    return Panel(
        "show",
        draw,
        context={"parcel": parcels},
        view=what,
        years=ipywidgets.Text(description="years", placeholder="all, or 2022, 2023", style=STYLE),
        start=ipywidgets.Dropdown(options=months, description="seasons begin in", style=STYLE),
        zoomable=ipywidgets.Checkbox(value=True, description="zoomable", style=STYLE),
    )


def _narrow(dropdown: ipywidgets.Dropdown, options: list[Any]) -> None:
    """Offer other options, with the selection if it is among them; none select nothing."""
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    before = dropdown.value
    dropdown.options = options
    dropdown.value = before if before in values else next(iter(values), None)
