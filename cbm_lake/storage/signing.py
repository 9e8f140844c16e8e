"""Signing of URLs (SAS tokens, query parameters) when a file is read; signatures are never stored.

Blobs of the Planetary Computer are signed with a token of its container, by the protocol of its library (one request a
container and hour, so that the library with its own client is not needed). For any other web server that wants a query
with every address, `CBM_LAKE_QUERY_<HOST>` of the environment gives it.
"""

from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from cbm_lake.storage import credentials

_TOKENS: Final = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
"""Where tokens come from; PC_SDK_SAS_URL of the environment names another place, as for its library."""
_BLOBS: Final = ".blob.core.windows.net"
_EARLY: Final = 120.0
"""Seconds before a token runs out that another is fetched."""
_UNSIGNED: Final = 3600.0
_AGAIN: Final = 60.0
"""Seconds until an account that is not known, and a server that did not answer, are asked about again."""
_TIMEOUT: Final = (5, 30)


@dataclass(frozen=True)
class _Token:
    """What is added to addresses of a container, and until when (seconds since 1970)."""

    query: str
    until: float
    problem: str = ""
    """Why there is none."""


_tokens: dict[tuple[str, str], _Token] = {}
_lock = threading.Lock()


def signed(href: str) -> str:
    """The address with the signature that its host wants now; unchanged where it wants none or has one."""
    parts = urlsplit(href)
    if parts.scheme not in ("http", "https") or _is_signed(parts.query):
        return href
    query = os.environ.get(_variable(parts.hostname or ""), "").lstrip("?&")
    if not query and (container := _container(href)):
        query = _token(*container).query
    return parts._replace(query="&".join(filter(None, (parts.query, query)))).geturl()


def _is_signed(query: str) -> bool:
    """Whether a query has something that must not be stored."""
    address = "http://host/?"
    return without_signature(address + query).count("=") < query.count("=")


def renew(href: str) -> bool:
    """Discard a refused signature; False where there was none that could be fetched again."""
    container = _container(href)
    with _lock:
        return container is not None and bool(_tokens.pop(container, _Token("", 0)).query)


def without_signature(href: str) -> str:
    """The URL as it may be stored, without query parameters that sign it or identify the client."""
    return credentials.without_signature(href) if href.startswith(("http://", "https://")) else href


def advice(href: str) -> str:
    """What can be done when a server refuses an address."""
    container = _container(href)
    token = _tokens.get(container) if container else None
    if token and token.problem:
        return f"no signature could be fetched for it ({token.problem}); try again later"
    return f"{credentials.advice(href)}, or what its query needs in {_variable(urlsplit(href).hostname or '')}"


def _variable(host: str) -> str:
    """The variable of the environment that has the query for a host."""
    return "CBM_LAKE_QUERY_" + re.sub(r"[^A-Z0-9]", "_", host.upper())


def _container(href: str) -> tuple[str, str] | None:
    """Account and container of an address of Azure's blob storage."""
    parts = urlsplit(href)
    host, container = parts.hostname or "", parts.path.strip("/").partition("/")[0]
    return (host.removesuffix(_BLOBS), container) if host.endswith(_BLOBS) and container else None


def _token(account: str, container: str) -> _Token:
    """The token of a container, from memory as long as it holds."""
    with _lock:
        token = _tokens.get((account, container))
        if token is None or token.until < time.time():
            token = _tokens[account, container] = _fetched(account, container)
        return token


def _fetched(account: str, container: str) -> _Token:
    """A new token; without query where the account is not the Planetary Computer's, or nobody answers."""
    import requests

    key = os.environ.get("PC_SDK_SUBSCRIPTION_KEY", "")
    address = f"{os.environ.get('PC_SDK_SAS_URL', _TOKENS).rstrip('/')}/{account}/{container}"
    try:
        answer = requests.get(address, headers={"Ocp-Apim-Subscription-Key": key} if key else {}, timeout=_TIMEOUT)
        if answer.status_code in (400, 404):  # not an account of the Planetary Computer: public, or somebody's own
            return _Token("", time.time() + _UNSIGNED)
        answer.raise_for_status()
        content = answer.json()
        expiry = datetime.fromisoformat(content["msft:expiry"]).timestamp()
        return _Token(str(content["token"]).lstrip("?"), expiry - _EARLY)
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = (
            f"{urlsplit(address).netloc} answers {status}" if status else f"{urlsplit(address).netloc} does not answer"
        )
        return _Token("", time.time() + _AGAIN, reason)
