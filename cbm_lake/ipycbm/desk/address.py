"""Address of the workbench: it carries the state, so that reloading restores it and a link can be sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode

import anywidget
import traitlets

from cbm_lake.cards import INDICES
from cbm_lake.ipycbm.desk.state import ADDRESS, DESK_NAMES, State
from cbm_lake.ipycbm.texts import LANGUAGES

LANGUAGE: Final = "lang"
"""In the address beside the traits of the state: the language of the page."""
_LONGEST: Final = 4_000
"""Characters of a value; a longer one is no value of ours."""
_ASKED: Final = "QUERY_STRING"
"""Variable in which the page's process finds what its address asks for."""
_SERVER: Final = "SERVER_SOFTWARE"
"""Variable that names the server of the page."""


class Address(anywidget.AnyWidget):
    """Keeps the page's own address in step with a state; in JupyterLab it leaves the address alone."""

    _esm = Path(__file__).with_name("address.js")
    own = traitlets.Bool(False).tag(sync=True)
    """Whether the page is ours."""
    written = traitlets.Dict().tag(sync=True)
    """Text by name; "" takes the name out of the address. Other names there stay."""

    def __init__(self, state: State, language: str) -> None:
        super().__init__(own=is_own_page())
        self._state, self._language = state, language
        state.observe(lambda _: self.follow(), list(ADDRESS))
        self.follow()

    def follow(self) -> None:
        """Write the state."""
        self.written = values_of(self._state) | {LANGUAGE: self._language}


def values_of(state: State) -> dict[str, str]:
    """The state as text by name, "" where it is as at the beginning."""
    defaults = State()
    values = {name: (getattr(state, name), getattr(defaults, name)) for name in ADDRESS}
    return {name: "" if value == default else str(value) for name, (value, default) in values.items()}


def link_of(state: State) -> str:
    """The question of an address that restores the state."""
    return urlencode({name: value for name, value in values_of(state).items() if value})


def is_own_page() -> bool:
    """Whether this process serves a page of `cbm-lake app`, and no notebook."""
    return os.environ.get(_SERVER, "").startswith("voila")


def asked() -> dict[str, str]:
    """Values by name that the address of this process's page asks for; {} in a notebook."""
    return parsed(os.environ.get(_ASKED, ""))


def parsed(query: str) -> dict[str, str]:
    """Values by name of the question of an address; names that are not ours are left out."""
    pairs = parse_qsl(query, keep_blank_values=False, max_num_fields=None)
    return {name: value for name, value in pairs if name in (*ADDRESS, LANGUAGE)}


def restore(state: State, values: Mapping[str, str]) -> dict[str, str]:
    """Set a state to what an address asks for, all at once.

    Returns:
        The values by name that cannot be, which are left out; that there is such a parcel is not looked at.
    """
    good: dict[str, str | int] = {}
    refused: dict[str, str] = {}
    for name, value in values.items():
        if name == LANGUAGE:
            continue
        try:
            good[name] = _checked(name, value)
        except ValueError:
            refused[name] = value
    with state.hold_trait_notifications():
        for name, checked in good.items():
            setattr(state, name, checked)
    return refused


def language_of(values: Mapping[str, str]) -> str | None:
    """The language that an address asks for, if it is one of ours."""
    return language if (language := values.get(LANGUAGE)) in LANGUAGES else None


def _checked(name: str, value: str) -> str | int:
    """The value of a trait.

    Raises:
        ValueError: it cannot be.
    """
    if len(value) > _LONGEST or not value.isprintable():
        raise ValueError(value)
    return _READERS.get(name, str)(value)


def _day(value: str) -> str:
    return date.fromisoformat(value).isoformat()


def _desk(value: str) -> str:
    if value not in DESK_NAMES:
        raise ValueError(value)
    return value


def _index(value: str) -> str:
    if value.lower() not in {name.lower() for name in INDICES}:
        raise ValueError(value)
    return value


def _year(value: str) -> int:
    year = int(value)
    if not 1900 <= year <= 2200:
        raise ValueError(value)
    return year


_READERS: Final[dict[str, Callable[[str], str | int]]] = {
    "desk": _desk,
    "year": _year,
    "day": _day,
    "compared": _day,
    "index": _index,
    "aoi": str.lower,
}
