"""Where `get` reads: the lake itself ("direct") or a REST server ("api"). Both answer alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final
from urllib.parse import urlsplit

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, open_lake
from cbm_lake.parcel.sources.api import ApiSource
from cbm_lake.parcel.sources.direct import LakeSource
from cbm_lake.parcel.sources.protocol import Columns, Source

__all__ = ["ApiSource", "Columns", "LakeSource", "Source", "here", "is_server", "reading", "set_api_account"]

_READ: Final[ContextVar[Lake | None]] = ContextVar("_READ", default=None)
"""The lake that answers instead of what the settings name."""


@contextmanager
def reading(lake: Lake) -> Iterator[None]:
    """Let a lake answer, whatever the settings name: the one of a moment in the past, for instance."""
    token = _READ.set(lake)
    try:
        yield
    finally:
        _READ.reset(token)


def here(lake: Lake | None = None) -> Source:
    """The source that the settings name in set.data_source; a lake that is given is the source itself.

    Raises:
        InvalidInputError: the settings name neither "direct" nor "api".
        ConfigError: "api", and no server is set.
    """
    lake = lake if lake is not None else _READ.get()
    if lake is not None:
        return LakeSource(lake)
    config = Workspace.here().config
    if config.set.data_source == "direct":
        lake = lake or open_lake()
        return LakeSource(lake)
    if config.set.data_source == "api":
        return ApiSource(config.api.url, config.api.user, config.api.password.get_secret_value())
    raise InvalidInputError(f"set.data_source is {config.set.data_source!r}; it is direct (the lake) or api (a server)")


def is_server() -> bool:
    """Whether a REST server answers, not a lake."""
    return _READ.get() is None and Workspace.here().config.set.data_source == "api"


def set_api_account(url: str, username: str, password: str) -> None:
    """Keep the account on a REST server, and read from there from now on.

    Raises:
        InvalidInputError: the address is none.
        ConfigError: the settings cannot be written.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"{url!r} is no address of a server; write it as https://cbm.example.org")
    workspace = Workspace.here().configure("api", url=url, user=username, **{"pass": password})
    workspace.configure("set", data_source="api")
