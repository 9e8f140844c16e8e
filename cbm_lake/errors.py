"""The errors of cbm-lake, chosen by what the caller can do about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

INTERRUPTED: Final = "Query interrupted"
"""The text of the RuntimeError that DuckDB raises of Ctrl-C instead of KeyboardInterrupt."""

_ARGUMENTS: Final = {
    "aoi": "area",
    "pid": "parcel",
    "pids": "parcels",
    "ptype": "kind of parcels",
    "lon": "longitude",
    "lat": "latitude",
    "start_date": "first day",
    "end_date": "last day",
    "start": "first day",
    "end": "last day",
    "tms": "background",
    "tstype": "kind of series",
    "chipsize": "side of the images",
    "screen": "scene classes that are left out",
    "vector_file": "file of parcels",
    "raster_file": "raster",
    "yaml_file": "classes",
    "cmap": "colours",
}
"""What arguments of functions are called in messages for those who do not write Python, where that is another word."""


class LakeError(Exception):
    """Something that cbm-lake was asked for cannot be done; the message says what, which and what to do.

    Args:
        reason: what cannot be done, of what, and why.
        advice: what to do, which follows in the message; where it is left out, it may stand in `reason`.
        plain: the whole message for those who do not write Python, where `reason` names arguments of a function.
    """

    def __init__(self, reason: str = "", *, advice: str = "", plain: str = "") -> None:
        super().__init__(f"{reason}; {advice}" if advice else reason)
        self.reason = reason
        self.advice = advice
        self._plain = plain

    @property
    def plain(self) -> str:
        """The message without names of Python's arguments, as the page shows it."""
        return self._plain or str(self)


class ConfigError(LakeError):
    """A setting is missing or wrong, or the workspace cannot be read or written: correct the configuration."""


class NotFoundError(LakeError):
    """The lake holds no such parcel, scene, table or query: ask for another."""


class UnknownSetError(NotFoundError):
    """The lake holds no such parcel set; `reason` says it without the names of those that there are."""

    def __init__(self, reason: str, listing: str = "") -> None:
        super().__init__(reason)
        if listing:
            self.args = (f"{reason} in this lake; there are: {listing}",)


class NoSceneError(NotFoundError):
    """No scene of a card over a parcel set is catalogued yet."""


class SourceError(LakeError):
    """A catalogue, raster or store refused, failed or sent something unusable: try again or correct the source."""


class HeldError(SourceError):
    """Another run has what only one may have at a time: wait until it has ended."""


class InvalidInputError(LakeError, ValueError):
    """An argument or file is outside what is accepted: correct it."""


class StatementError(InvalidInputError):
    """An SQL statement cannot be run.

    Args:
        reason: why, in one line.
        excerpt: the line of the statement that is wrong, and below it a caret at the place; "" where none is known.
    """

    def __init__(self, reason: str, *, excerpt: str = "") -> None:
        super().__init__(reason)
        self.excerpt = excerpt


class TooManyError(InvalidInputError):
    """A request is for more than one answer may hold."""

    def __init__(self, reason: str, *, advice: str = "", count: int = 0, limit: int = 0) -> None:
        super().__init__(reason, advice=advice)
        self.count = count
        self.limit = limit


@contextmanager
def of_extra(extra: str, purpose: str) -> Iterator[None]:
    """Imports of packages that come with an extra.

    Raises:
        ConfigError: one is not installed; the message says what brings it.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        raise ConfigError(f"{purpose} needs package {package}: pip install 'cbm-lake[{extra}]'") from error


def argument_in_words(name: str) -> str:
    """What an argument of a function is called by those who do not write Python."""
    return _ARGUMENTS.get(name, name.replace("_", " "))


def wrong_argument(name: str, problem: str) -> InvalidInputError:
    """The error of an argument.

    Args:
        name: of the argument.
        problem: its value, and what is wrong with it.
    """
    return InvalidInputError(f"{name}={problem}", plain=f"{argument_in_words(name)} {problem}")


def quoted(value: object, most: int = 60) -> str:
    """Quote a value for a message: its repr where that is one short line, else the name of its type."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits has no text
        return type(value).__name__
    return text if len(text) <= most and "\n" not in text else type(value).__name__


def some(values: Iterable[object], most: int = 10) -> str:
    """The first of a list, and how many more there are: what a message has room for."""
    texts = [str(value) for value in values]
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def counted(count: int, one: str, several: str = "") -> str:
    """A number and its noun: 1 case, 1,200 cases; `several` is the noun's plural where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
