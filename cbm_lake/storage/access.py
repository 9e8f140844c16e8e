"""Access to object stores: endpoint, credentials and client options of an s3:// URL for every library in use.

Settings come from config/main.json and the environment: section `lake` for the lake's own bucket, section `s3` for
those of scenes (a DIAS, or eodata). Anything else is taken from the usual AWS_… variables, profile or role.

Files are read and written by obstore, for pyarrow and DuckDB too (`s3files`), and rasters (`stores`, `ranges`). Three
libraries have their own clients with the same settings: deltalake for the tables' logs, zarr (obstore again) for
cubes, and GDAL for lazy stacks.
"""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from cbm_lake.config import Workspace
from cbm_lake.config.settings import S3, LakeSettings
from cbm_lake.errors import ConfigError, InvalidInputError, SourceError, of_extra

if TYPE_CHECKING:
    import zarr
    from boto3 import Session  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from obstore.store import S3Config, S3Credential, S3Store
    from zarr.storage import ObjectStore

    ZarrStore: TypeAlias = str | ObjectStore[S3Store]
    """What zarr opens a group or array with."""
    ZarrArray: TypeAlias = zarr.Array[Any]
    """An array of Zarr format 2 or 3."""

SCHEME: Final = "s3://"
"""URL schemes of object stores."""
_REGION: Final = "us-east-1"
"""Region used for signing where none is configured; stores other than Amazon's accept any."""
_FRESH: Final = timedelta(minutes=10)
"""Lifetime of cached profile credentials; boto3 renews them earlier than that."""
_PROBE: Final = "put-if-absent"
"""An empty object in the lake, used to test whether the store supports conditional puts."""
_REFUSAL = re.compile(r"<Code>(?P<code>[^<]*)</Code>(?:.*?<Message>(?P<message>[^<]*)</Message>)?", re.DOTALL)
"""Code and message in the response of a store that refuses a request."""
_NO_KEYS = re.compile(r"169\.254\.169\.254|loading credentials|configuration options not defined")
"""Error texts of libraries that found neither keys nor a machine role."""
_SILENT = re.compile(r"error sending request|connect error|timed out|too slow|Could not (connect|resolve)|dns error")
"""Error texts of libraries that cannot connect."""
_ADDRESS = re.compile(r"https?://[^/\s]+")
STATUS = re.compile(r"status code: (?P<status>\d{3}[^:]*)")
"""Status of a web server's response in obstore's messages."""
_QUERY = re.compile(r"\?[^\s\"'<>]*=[^\s\"'<>]*")
_FEW: Final = 4
"""Connections that the CDSE allows at once."""
CONNECT_TIMEOUT: Final = timedelta(seconds=5)
READ_TIMEOUT: Final = timedelta(seconds=30)
"""Timeouts: to connect, and between two bytes."""
_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]+")
_HOST: Final = re.compile(r"(https?://)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?")
_ORNAMENT = re.compile(r"\x1b\[[0-9;]*m|↳")


@dataclass(frozen=True)
class Access:
    """Access settings of a bucket; empty values are taken from the AWS_… variables, profile or role."""

    endpoint: str = ""
    """https://eodata.dataspace.copernicus.eu; empty is Amazon's."""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    """Session token of temporary keys; from AWS_SESSION_TOKEN only."""
    anonymous: bool = False
    """Unsigned requests, for public buckets."""
    requester_pays: bool = False
    """Agree to pay for what is read, which some public buckets ask for."""
    connections: int = 16
    """To one host at once, from one process."""
    retries: int = 4
    """Retries after transient failures, with exponential backoff."""

    @classmethod
    def of(cls, url: str) -> Access:
        """The access to an s3:// URL by the settings of the current workspace and the environment.

        Raises:
            InvalidInputError: the URL names no bucket.
            ConfigError: the settings are wrong.
        """
        if not bucket_of(url):
            raise InvalidInputError(f"{url!r} names no bucket; write s3://bucket/folder")
        if not _BUCKET.fullmatch(bucket_of(url)):
            raise InvalidInputError(f"{bucket_of(url)!r} is no name of a bucket: letters, digits, dots and hyphens")
        section = _section(bucket_of(url))
        host = section.host or variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        key, secret, token = section.access_key, section.secret_key.get_secret_value(), ""
        if section.anonymous:
            key, secret = "", ""
        elif not key:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            key, secret, token = (variable(name) for name in names)
        region = section.region or variable("AWS_REGION", "AWS_DEFAULT_REGION")
        _check_header(region=region, key=key, secret=secret, token=token)
        return cls(
            _endpoint(host),
            region=region,
            access_key=key,
            secret_key=secret,
            session_token=token,
            anonymous=section.anonymous,
            requester_pays=section.requester_pays,
            connections=connections_to(section, host),
            retries=section.retries,
        )

    # -- for each library ---------------------------------------------------------------------------------------------

    def delta(self) -> dict[str, str]:
        """Storage options of deltalake: commits are conditional puts, which need no lock service.

        Raises:
            ConfigError: the environment has a token that deltalake would take along with other keys.
        """
        key, secret, token = self._keys()
        if key and not token and variable("AWS_SESSION_TOKEN"):
            raise ConfigError(
                "AWS_SESSION_TOKEN is of other keys than the lake's, and would go with these; unset it, "
                "or give all of them as AWS_…"
            )
        options = {
            "aws_conditional_put": "etag",
            "aws_endpoint_url": self.endpoint,
            "aws_region": self._region,
            "aws_allow_http": "true" if self._is_plain else "",
            "aws_virtual_hosted_style_request": str(self._is_virtual).lower(),
            "aws_skip_signature": "true" if self.anonymous else "",
            "aws_request_payer": "true" if self.requester_pays else "",
            "max_retries": str(self.retries),
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "aws_session_token": token,
        }
        return {name: value for name, value in options.items() if value}

    def store(self, bucket: str, prefix: str) -> S3Store:
        """The client of obstore for a bucket; names begin with `prefix`."""
        from obstore.store import S3Store

        config: S3Config = {
            "conditional_put": "etag",
            "region": self._region,
            "virtual_hosted_style_request": self._is_virtual,
            "skip_signature": self.anonymous,
            "request_payer": self.requester_pays,
        }
        if self.endpoint:
            config["endpoint"] = self.endpoint
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options={"allow_http": self._is_plain, "pool_max_idle_per_host": str(self.connections)},
            retry_config={"max_retries": self.retries, "retry_timeout": timedelta(minutes=3)},
            # a function, since what is given otherwise is mixed with the variables of the environment
            credential_provider=self._provided if self._keys()[0] else None,
        )

    def limited(self) -> threading.BoundedSemaphore:
        """A semaphore for requests, which limits those in flight to one host to `connections`."""
        return limit_of(self.endpoint or self.region, self.connections)

    @property
    def _is_plain(self) -> bool:
        return self.endpoint.startswith("http://")

    @property
    def _is_virtual(self) -> bool:
        """Whether the bucket stands in the host's name, as at Amazon; other stores have it in the path."""
        return not self.endpoint

    @property
    def _region(self) -> str:
        profile = None if self.access_key or self.anonymous else _profile()
        return self.region or (_session(profile).region_name if profile is not None else "") or _REGION

    def _keys(self) -> tuple[str, str, str]:
        """Current key, secret and token; empty where the libraries have to find a machine role themselves."""
        profile = _profile()
        if self.access_key or self.anonymous or profile is None:
            return self.access_key, self.secret_key, self.session_token
        return _keys_of(profile)

    def _provided(self) -> S3Credential:
        key, secret, token = self._keys()
        until = None if self.access_key else datetime.now(UTC) + _FRESH
        return {"access_key_id": key, "secret_access_key": secret, "token": token or None, "expires_at": until}


def is_remote(url: str) -> bool:
    """Whether a URL is one of an object store."""
    return url.startswith(SCHEME)


def _endpoint(host: str) -> str:
    """The URL of a host, https unless it says otherwise; "" is Amazon's.

    Raises:
        ConfigError: it is none, which the client of obstore would panic on.
    """
    if host and not _HOST.fullmatch(host):
        raise ConfigError(f"the host of the bucket, {host!r}, is none; write it as https://s3.example.org:443")
    return host if "://" in host or not host else f"https://{host}"


def _check_header(**values: str) -> None:
    """Refuse what can stand in no header of a request, which the client of obstore would panic on.

    Raises:
        ConfigError: a value has control characters.
    """
    for name, value in values.items():
        if not value.isprintable():
            raise ConfigError(f"the {name} of the bucket has a line break or another control character; correct it")


def bucket_of(url: str) -> str:
    """The bucket of an s3:// URL."""
    return url.removeprefix(SCHEME).partition("/")[0]


def zarr_store(url: str) -> ZarrStore:
    """The zarr store of a folder or URL."""
    if not is_remote(url):
        return url
    import zarr
    from zarr.storage import ObjectStore

    access = Access.of(url)
    # zarr asks for so many chunks at once
    zarr.config.set({"async.concurrency": min(access.connections, zarr.config.get("async.concurrency"))})
    return ObjectStore(object_store(bucket_of(url), key_of(url), access))


def connections_to(section: S3 | LakeSettings, host: str) -> int:
    """Maximum number of concurrent requests: as configured, otherwise the known limit of the host."""
    few = (urlsplit(host if "://" in host else f"//{host}").hostname or "").endswith("dataspace.copernicus.eu")
    said = section.connections != type(section).model_fields["connections"].default
    return _FEW if few and not said else int(section.connections)


def check_conditional_put(url: str) -> None:
    """Verify that a store supports conditional puts, on which safe commits depend.

    Raises:
        SourceError: it does not, or it cannot be written.
    """
    _check_conditional_put(url.rstrip("/"), Access.of(url))


@lru_cache
def _check_conditional_put(url: str, access: Access) -> None:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError

    store = object_store(bucket_of(url), key_of(url), access)
    try:
        for _ in range(2):  # at the first time it may not have been there
            obstore.put(store, _PROBE, b"", mode="create", use_multipart=False)
    except AlreadyExistsError:
        return
    except (BaseError, OSError) as error:
        if not (reason := explained(error)).startswith("NotImplemented"):  # what stores say that know of the condition
            raise SourceError(f"the lake {url} cannot be written: {reason}; {ADVICE}") from error
    raise SourceError(
        f"the object store of {url} does not refuse to overwrite (no conditional put), so that two writers could lose "
        "each other's work; use a store that has it, or a lake on a file system"
    )


def put_new(url: str, content: bytes) -> bool:
    """Create an object; False where one of that name exists.

    Raises:
        obstore.exceptions.BaseError, OSError: the store cannot be reached or refuses.
    """
    import obstore
    from obstore.exceptions import AlreadyExistsError

    access = Access.of(url)
    try:
        with access.limited():
            store = object_store(bucket_of(url), "", access)
            obstore.put(store, key_of(url), content, mode="create", use_multipart=False)
    except AlreadyExistsError:
        return False
    return True


ADVICE: Final = "check host, bucket and keys in config/main.json or the environment"
"""Advice for when an object store refuses or does not answer."""


def explained(error: BaseException) -> str:
    """The message of a store or its client in one line, without keys, signatures or traces."""
    text = _ORNAMENT.sub("", str(error)).partition("\n\nDebug source")[0]
    if _NO_KEYS.search(text):
        return "no keys were found; give access_key and secret_key, AWS_… variables or a profile, or anonymous"
    if refusal := _REFUSAL.search(text):
        message = " ".join(refusal["message"].partition("RequestId")[0].split()) if refusal["message"] else ""
        return ": ".join(part.rstrip(". ") for part in (refusal["code"], _QUERY.sub("", message)) if part)
    if status := STATUS.search(text):
        return status["status"].strip()
    if _SILENT.search(text):
        address = _ADDRESS.search(text)
        return f"{address[0].rpartition('@')[2] if address else 'the server'} does not answer"
    return " ".join(_QUERY.sub("", text).split())


def _section(bucket: str) -> S3 | LakeSettings:
    """The settings of a bucket: section `lake` for the lake's own, `s3` for the one named there, or all others."""
    config = Workspace.here().config
    if config.s3.bucket == bucket:
        return config.s3
    if is_remote(config.lake.url) and bucket == bucket_of(config.lake.url):
        return config.lake
    return type(config.s3)() if config.s3.bucket else config.s3


def variable(*names: str) -> str:
    """The value of the first environment variable that is set."""
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _profile() -> str | None:
    """The selected profile of the AWS configuration, "" for the default one; None where there is none."""
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    return os.environ.get("AWS_PROFILE") or ("" if file.exists() else None)


def _keys_of(profile: str) -> tuple[str, str, str]:
    """Current key, secret and token of a profile."""
    session = _session(profile)
    from botocore.exceptions import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
        BotoCoreError,
        ClientError,
    )

    try:
        credentials = session.get_credentials()
        keys = credentials and credentials.get_frozen_credentials()
    except (BotoCoreError, ClientError, RuntimeError) as error:  # single sign-on that ran out, a role that was refused
        raise ConfigError(
            f"AWS profile {profile or 'default'} gives no keys: {explained(error)}; sign in again"
        ) from error
    if not keys:
        raise ConfigError(f"AWS profile {profile or 'default'} has no keys; mend ~/.aws or give access_key")
    return keys.access_key, keys.secret_key, keys.token or ""


@lru_cache
def _session(profile: str) -> Session:
    """The session of a profile, which renews expiring keys."""
    with of_extra("s3", "a profile of AWS"):
        import boto3  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from botocore.exceptions import ProfileNotFound

    try:
        return boto3.Session(profile_name=profile or None)
    except ProfileNotFound as error:
        raise ConfigError(f"there is no AWS profile {profile}; mend AWS_PROFILE or ~/.aws") from error


@lru_cache
def limit_of(host: str, connections: int) -> threading.BoundedSemaphore:
    """The semaphore of a host."""
    return threading.BoundedSemaphore(connections)


@lru_cache
def object_store(bucket: str, prefix: str, access: Access) -> S3Store:
    """The obstore client of a bucket; names begin with `prefix`."""
    return access.store(bucket, prefix)


def key_of(url: str) -> str:
    """The name of an object in its bucket."""
    return url.removeprefix(SCHEME).partition("/")[2].strip("/")
