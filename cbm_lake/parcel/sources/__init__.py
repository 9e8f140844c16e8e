"""Sources of parcel data with one interface: the lake itself ("direct") or a REST server ("api")."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, lake_or_default, open_lake
from cbm_lake.parcel.sources.api import ApiSource
from cbm_lake.parcel.sources.direct import LakeSource
from cbm_lake.parcel.sources.protocol import (
    ByLocation,
    ByPid,
    ByPolygon,
    Columns,
    ImageRequest,
    Markers,
    OfPolygon,
    Peers,
    Question,
    Source,
    Statistics,
    Weather,
)

__all__ = [
    "ApiSource",
    "ByLocation",
    "ByPid",
    "ByPolygon",
    "Columns",
    "ImageRequest",
    "LakeSource",
    "Markers",
    "OfPolygon",
    "Peers",
    "Question",
    "Source",
    "Statistics",
    "Weather",
    "here",
    "set_api_account",
]

_SERVERS: Final = 4


def here(lake: Lake | None = None) -> Source:
    """The source named by set.data_source in the settings; a `lake` argument overrides it.

    Raises:
        InvalidInputError: the settings name neither "direct" nor "api"; what is given is no lake.
        ConfigError: "api", and no server is set.
    """
    if lake is not None:
        return LakeSource(lake_or_default(lake))
    config = Workspace.here().config
    if config.set.data_source == "direct":
        return LakeSource(open_lake())
    if config.set.data_source == "api":
        return _server(config.api.url, config.api.user, config.api.password.get_secret_value())
    raise InvalidInputError(f"set.data_source is {config.set.data_source!r}; it is direct (the lake) or api (a server)")


@lru_cache(_SERVERS)
def _server(url: str, user: str, password: str) -> ApiSource:
    """One source per account, since it caches answers."""
    return ApiSource(url, user, password)


def set_api_account(url: str, username: str, password: str) -> None:
    """Store a REST server account in the settings, and read from it from now on; cached answers are dropped.

    Raises:
        InvalidInputError: the address is invalid.
        ConfigError: the settings cannot be written.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"{url!r} is no address of a server; write it as https://cbm.example.org")
    workspace = Workspace.here().configure("api", url=url, user=username, **{"pass": password})
    workspace.configure("set", data_source="api")
    _server.cache_clear()
