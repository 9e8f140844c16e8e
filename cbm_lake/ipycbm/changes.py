"""What the widgets of one page or notebook tell each other: a table was loaded, a parcel got, a sample drawn.

Who shows a list of such things subscribes, and reads it anew when one of them changes, or when its tab is opened, since
other processes work on the same lake.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import ipywidgets

Kind: TypeAlias = Literal["parcels", "scenes", "signatures", "folders", "samples", "verdicts", "settings"]
"""Parcel sets, scenes and signatures of the lake; folders of parcels that were got; samples; verdicts; settings."""
_LISTENERS: Final[dict[Kind, list[weakref.WeakMethod[Callable[[], None]]]]] = {}


def subscribe(refresh: Callable[[], None], *kinds: Kind) -> None:
    """Call a bound method after changes of these kinds, for as long as the object that it is of lives."""
    for kind in kinds:
        _LISTENERS.setdefault(kind, []).append(weakref.WeakMethod(refresh))


def announce(*kinds: Kind) -> None:
    """Tell those who subscribed to any of these kinds, each once."""
    methods = [method() for kind in kinds for method in _LISTENERS.get(kind, [])]
    for kind in kinds:
        _LISTENERS[kind] = [method for method in _LISTENERS.get(kind, []) if method() is not None]
    for refresh in dict.fromkeys(method for method in methods if method is not None):
        refresh()


def refresh_within(widget: ipywidgets.Widget) -> None:
    """Read anew all lists in a part of the page that is opened: another process may have changed what they show."""
    subscribed = {method() for methods in _LISTENERS.values() for method in methods}
    owners = {id(refresh.__self__): refresh for refresh in subscribed if refresh is not None}  # type: ignore[attr-defined]
    for part in _parts(widget):
        if id(part) in owners:
            owners[id(part)]()


def _parts(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """A widget and all in it."""
    children = getattr(widget, "children", ())
    return [widget, *(part for child in children for part in _parts(child))]
