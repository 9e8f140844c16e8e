"""obstore clients for remote files, in a bucket (s3://, az://, abfs://, gs://) or on a web server.

Credentials and signatures are added when a client is made, by host, and are in no address that is stored or shown.
"""

from __future__ import annotations

import os
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.client import HTTPException
from typing import TYPE_CHECKING, Final
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from cbm_lake.config import Workspace
from cbm_lake.errors import SourceError
from cbm_lake.storage import access, credentials, signing

if TYPE_CHECKING:
    from obstore.store import (
        AzureConfig,
        AzureStore,
        ClientConfig,
        GCSStore,
        HTTPStore,
        ObjectStore,
        RetryConfig,
    )

_WEB = ("http://", "https://")
_DISTANT = (access.SCHEME, "az://", "abfs://", "abfss://", "gs://", *_WEB)
_GDAL_FOLDERS = {"/vsicurl/": "", "/vsis3/": access.SCHEME, "/vsigs/": "gs://", "/vsiaz/": "az://"}
"""GDAL's prefixes of remote files, and the equivalent URL schemes."""
_REQUEST_TIMEOUT: Final = timedelta(minutes=5)
"""For one answer to come as a whole."""


def is_distant(href: str) -> bool:
    """Whether a path or URL is that of a remote file, in a bucket or on a web server."""
    return _as_url(href).startswith(_DISTANT)


def local_path(href: str) -> str:
    """The path of a file on this machine, which may be given as file:// URL."""
    return unquote(urlsplit(href).path) if href.startswith("file://") else href


def redacted(href: str) -> str:
    """A path or URL without query and user information, for messages and logs."""
    if not is_distant(href):
        return href
    parts = urlsplit(_as_url(href))
    return parts._replace(query="", fragment="", netloc=parts.netloc.rpartition("@")[2]).geturl()


def _as_url(href: str) -> str:
    """GDAL's names of remote files as URLs."""
    folder = next((folder for folder in _GDAL_FOLDERS if href.startswith(folder)), None)
    return _GDAL_FOLDERS[folder] + href.removeprefix(folder) if folder else href


class Remote:
    """A remote file: the client that reads it, its name there, and the limits on requests."""

    def __init__(self, href: str) -> None:
        self.url = _as_url(href)
        self.connections, self.retries, self.limit = 1, 0, threading.BoundedSemaphore()
        parts = urlsplit(self.url)
        if access.is_remote(self.url):
            reached = access.Access.of(self.url)
            self._access = replace(reached, retries=0)
            self.path = access.key_of(self.url)
            self.connections, self.retries, self.limit = reached.connections, reached.retries, reached.limited()
            return
        section = Workspace.here().config.s3
        self.connections, self.retries = access.connections_to(section, parts.netloc), section.retries
        self.limit = access.limit_of(parts.netloc.rpartition("@")[2], self.connections)
        if self.url.startswith(_WEB):
            self.path = _split(self.url)[1]
        else:
            self.path = parts.path.lstrip("/")

    def store(self) -> ObjectStore:
        """The client of obstore, with signatures and credentials as they hold now; `path` is the file's name in it."""
        if access.is_remote(self.url):
            return access.object_store(access.bucket_of(self.url), "", self._access)
        if self.url.startswith(_WEB):
            signed = signing.signed(self.url)
            return web_store(_split(signed)[0], urlsplit(signed).query, _headers(self.url), 0)
        return _cloud_store(*_with_account(self.url.removesuffix(self.path)), 0)

    def renew(self) -> bool:
        """Whether a refused signature was discarded, so that `store` gets a new one."""
        return self.url.startswith(_WEB) and signing.renew(self.url)

    def asked_to_wait(self) -> float:
        """Seconds that a busy web server asks to wait, 0 where it says nothing of it; costs a request of one byte.

        obstore keeps the headers of such answers to itself.
        """
        if not self.url.startswith(_WEB):
            return 0
        headers = {**dict(_headers(self.url)), "Range": "bytes=0-0"}
        request = Request(signing.signed(self.url), headers=headers)  # noqa: S310
        try:  # by the client that logs no addresses
            with urlopen(request, timeout=access.READ_TIMEOUT.total_seconds()):  # noqa: S310
                said = ""
        except HTTPError as error:
            said = error.headers.get("Retry-After", "") if error.code in (429, 503) else ""
            error.close()
        except (OSError, HTTPException, ValueError):
            said = ""
        return _seconds(said)

    def advice(self, error: BaseException) -> str:
        """What the user can do about a refusal; empty where there is nothing special."""
        status = access.STATUS.search(str(error))
        code = status["status"][:3] if status else ""
        if code in ("401", "403", "409") and self.url.startswith(_WEB):
            return signing.advice(self.url)
        if code in ("401", "403"):
            return access.ADVICE
        return ""


def folder_store(url: str) -> ObjectStore:
    """The client of obstore for all files below a URL, which retries; signatures and credentials are those of now.

    Raises:
        SourceError: the URL does not say in which account of Azure it is.
    """
    retries = Workspace.here().config.s3.retries
    if not url.startswith(_WEB):
        return _cloud_store(*_with_account(url), retries)
    parts = urlsplit(signing.signed(url))
    root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    return web_store(root, parts.query, _headers(url), retries)


def _with_account(root: str) -> tuple[str, str]:
    """A URL of Azure or Google, and the account of Azure where the environment has to name it."""
    account = access.variable("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
    if root.startswith("gs://") or urlsplit(root).username:
        return root, ""
    if not account:
        raise SourceError(f"{root} does not say in which account it is; set AZURE_STORAGE_ACCOUNT_NAME")
    return root, account


def _split(url: str) -> tuple[str, str]:
    """The root of a web server and the name of the file there; the whole URL and nothing where a name would change."""
    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if "//" in parts.path or "%2f" in parts.path.lower() or "/." in parts.path:
        return f"{root}{parts.path}", ""
    return f"{root}/", unquote(parts.path.removeprefix("/"))


def _seconds(said: str) -> float:
    """What a Retry-After header says, in seconds or as a date; 0 where it says nothing."""
    if said.strip().isdecimal():
        return float(said)
    try:
        return max((parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds(), 0)
    except (ValueError, TypeError):
        return 0


def _headers(url: str) -> tuple[tuple[str, str], ...]:
    """The headers that a web server wants to see: credentials of its host, else those that GDAL would send."""
    return tuple((credentials.headers(url) or _gdal_headers()).items())


def _gdal_headers() -> dict[str, str]:
    """What GDAL_HTTP_HEADERS and GDAL_HTTP_BEARER of the environment say."""
    lines = re.split(r"\r?\n|,(?=\s*[\w-]+:)", os.environ.get("GDAL_HTTP_HEADERS", ""))
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip(): value.strip() for name, colon, value in pairs if colon}
    bearer = os.environ.get("GDAL_HTTP_BEARER", "")
    return headers | ({"Authorization": f"Bearer {bearer}"} if bearer else {})


@lru_cache(64)
def web_store(root: str, query: str, headers: tuple[tuple[str, str], ...], retries: int) -> HTTPStore:
    """The obstore client of a web server or a folder of it, which sends these headers and that query every time."""
    from obstore.store import HTTPStore

    options = _client_options(root)
    if headers:
        options["default_headers"] = dict(headers)
    address = f"{root}?{query}" if query else root
    return HTTPStore.from_url(address, client_options=options, retry_config=_retry_config(retries))


@lru_cache(64)
def _cloud_store(root: str, account: str, retries: int) -> AzureStore | GCSStore:
    """The obstore client of an az://, abfs:// or gs:// URL; keys come from the usual variables, else none are sent."""
    from obstore.store import AzureStore, GCSStore

    client, retry = _client_options(root), _retry_config(retries)
    if root.startswith("gs://"):
        named = access.variable(
            "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"
        )
        return GCSStore.from_url(
            root, config={} if named else {"skip_signature": True}, client_options=client, retry_config=retry
        )
    config: AzureConfig = {} if _has_azure_keys() else {"skip_signature": True}
    if account:
        config["account_name"] = account
    return AzureStore.from_url(root, config=config, client_options=client, retry_config=retry)


def _has_azure_keys() -> bool:
    """Whether the environment has what opens an Azure account."""
    secret = ("ACCOUNT_KEY", "ACCESS_KEY", "SAS_KEY", "SAS_TOKEN", "TOKEN", "CLIENT_SECRET", "CLIENT_ID")
    return bool(
        access.variable(*(f"AZURE_STORAGE_{name}" for name in secret), "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE")
    )


def _client_options(url: str) -> ClientConfig:
    """Time limits: for a connection, between two bytes, and for a whole request."""
    return {
        "allow_http": url.startswith("http://"),
        "connect_timeout": access.CONNECT_TIMEOUT,
        "read_timeout": access.READ_TIMEOUT,
        "timeout": _REQUEST_TIMEOUT,
        "pool_max_idle_per_host": "16",
    }


def _retry_config(retries: int) -> RetryConfig:
    return {"max_retries": retries, "retry_timeout": timedelta(minutes=3)}
