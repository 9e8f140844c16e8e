"""How an object store is reached: one place that tells each library the endpoint and the keys of an s3:// URL.

Settings come from config/main.json and the environment. The lake's own bucket has them in section `lake`, the scenes'
(a DIAS, or eodata) in section `s3`; what neither says is taken from the usual AWS_… variables, profile or role.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem
from pyarrow import fs

from cbm_lake.config import Workspace
from cbm_lake.errors import SourceError

if TYPE_CHECKING:
    from zarr.storage import ObjectStore

_SCHEME = "s3://"


@dataclass(frozen=True)
class Access:
    """What must be known to reach a bucket; empty is what the AWS_… variables, profile or role say."""

    endpoint: str = ""
    """https://eodata.dataspace.copernicus.eu; empty is Amazon's."""
    region: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    anonymous: bool = False
    """Without keys: public buckets."""
    requester_pays: bool = False
    """Agree to pay for what is read, which some public buckets ask for."""
    connections: int = 16
    """To one host at once."""
    retries: int = 4
    """After a failure that may pass, with growing pauses."""

    @classmethod
    def of(cls, url: str) -> Access:
        """The access to an s3:// URL by the settings of the current workspace."""
        config, bucket = Workspace.here().config, bucket_of(url)
        if config.lake.url.startswith(_SCHEME) and bucket == bucket_of(config.lake.url) and config.lake.is_given:
            section: Any = config.lake
        elif config.s3.is_given and config.s3.bucket in ("", bucket):
            section = config.s3
        else:
            return cls()
        endpoint = section.host if "://" in section.host or not section.host else f"https://{section.host}"
        return cls(
            endpoint, section.region, section.access_key, section.secret_key.get_secret_value(), section.anonymous,
            section.requester_pays, section.connections, section.retries,
        )  # fmt: skip

    # -- for each library ---------------------------------------------------------------------------------------------

    def delta(self) -> dict[str, str]:
        """Storage options of deltalake: commits are conditional puts, which need no lock service."""
        options = {
            "aws_conditional_put": "etag",
            "max_retries": str(self.retries),
            "aws_request_payer": str(self.requester_pays).lower(),
        }
        return options | {f"aws_{name}": value for name, value in self._keys().items()} | self._plain("aws_allow_http")

    def obstore(self) -> dict[str, Any]:
        """Options of an S3Store of obstore."""
        config: dict[str, Any] = {**self._keys(), "request_payer": self.requester_pays}
        if self.endpoint:
            config["virtual_hosted_style_request"] = False
        return {
            "config": config,
            "client_options": {"allow_http": self._is_plain, "pool_max_idle_per_host": self.connections},
            "retry_config": {"max_retries": self.retries},
        }

    def filesystem(self) -> fs.S3FileSystem:
        """The buckets as pyarrow reads and writes files in them."""
        keys = {"access_key": self.access_key or None, "secret_key": self.secret_key or None}
        options: dict[str, Any] = {"anonymous": True} if self.anonymous else keys
        if self.endpoint:
            scheme, _, host = self.endpoint.partition("://")
            options |= {"scheme": scheme, "endpoint_override": host, "force_virtual_addressing": False}
        retry = fs.AwsStandardS3RetryStrategy(max_attempts=self.retries)
        return fs.S3FileSystem(**options, region=self.region or None, retry_strategy=retry)

    def gdal(self) -> dict[str, str]:
        """Settings of GDAL for /vsis3/."""
        names = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
        }
        options = {name: value for name, value in names.items() if value}
        if self.endpoint:
            scheme, _, host = self.endpoint.partition("://")
            https = "YES" if scheme == "https" else "NO"
            options |= {"AWS_S3_ENDPOINT": host, "AWS_HTTPS": https, "AWS_VIRTUAL_HOSTING": "FALSE"}
        if self.anonymous:
            options["AWS_NO_SIGN_REQUEST"] = "YES"
        if self.requester_pays:
            options["AWS_REQUEST_PAYER"] = "requester"
        return {**options, "GDAL_HTTP_MAX_RETRY": str(self.retries), "GDAL_HTTP_MAX_CONNECTIONS": str(self.connections)}

    def _keys(self) -> dict[str, str]:
        names = {
            "endpoint": self.endpoint, "region": self.region,
            "access_key_id": self.access_key, "secret_access_key": self.secret_key,
            "skip_signature": "true" if self.anonymous else "",
        }  # fmt: skip
        return {name: value for name, value in names.items() if value}

    @property
    def _is_plain(self) -> bool:
        return self.endpoint.startswith("http://")

    def _plain(self, name: str) -> dict[str, str]:
        return {name: "true"} if self._is_plain else {}


def is_remote(url: str) -> bool:
    """Whether a URL is that of an object store."""
    return url.startswith(_SCHEME)


def bucket_of(url: str) -> str:
    """The bucket of an s3:// URL."""
    return url.removeprefix(_SCHEME).partition("/")[0]


def zarr_store(url: str) -> str | ObjectStore[Any]:
    """What zarr opens a group or array of that folder or URL with."""
    if not is_remote(url):
        return url
    from zarr.storage import ObjectStore

    return ObjectStore(_bucket(bucket_of(url), url.removeprefix(_SCHEME).partition("/")[2], Access.of(url)))


@lru_cache
def check_conditional_put(url: str) -> None:
    """See that a store refuses to make an object that is there: the one thing on which safe commits rest.

    Raises:
        SourceError: it does not, or it cannot be written.
    """
    import uuid

    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError

    store = _bucket(bucket_of(url), url.removeprefix(_SCHEME).partition("/")[2], Access.of(url))
    probe = f".probe-{uuid.uuid4().hex}"
    try:
        obstore.put(store, probe, b"", mode="create")
        try:
            obstore.put(store, probe, b"", mode="create")
        except AlreadyExistsError:
            return
        finally:
            obstore.delete(store, probe)
    except BaseError as error:
        raise SourceError(
            f"the lake {url} cannot be written: {_reason(error)}; check the bucket and the keys"
        ) from error
    raise SourceError(
        f"the object store of {url} does not refuse to overwrite (no conditional put), so that two writers could lose "
        "each other's work; use a store that has it, or a lake on a file system"
    )


def _bucket(bucket: str, prefix: str, access: Access) -> Any:
    from obstore.store import S3Store

    return S3Store(bucket, prefix=prefix or None, **access.obstore())


def _reason(error: Exception) -> str:
    """What went wrong, without the debugging text that follows."""
    return " ".join(str(error).partition("\n\nDebug source")[0].split())


# -- for DuckDB ---------------------------------------------------------------------------------------------------


class S3Files(AbstractFileSystem):  # type: ignore[misc]
    """s3:// as DuckDB reads Parquet files from it, without an extension of its own."""

    protocol = "s3"
    cachable = False

    def __init__(self, url: str) -> None:
        super().__init__()
        self._access = Access.of(url)
        self._stores: dict[str, Any] = {}

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Size and time of a file."""
        import obstore

        store, key = self._place(path)
        try:
            found = obstore.head(store, key)
        except FileNotFoundError as error:
            raise FileNotFoundError(path) from error
        return {"name": path, "size": found["size"], "type": "file", "last_modified": found["last_modified"]}

    def modified(self, path: str) -> Any:
        """When a file was written."""
        return self.info(path)["last_modified"]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> _S3File:
        if mode != "rb":
            raise PermissionError(f"{path} is only read here")
        return _S3File(*self._place(path), self.info(path)["size"])

    def _place(self, path: str) -> tuple[Any, str]:
        bucket, _, key = path.removeprefix(_SCHEME).partition("/")
        if bucket not in self._stores:
            self._stores[bucket] = _bucket(bucket, "", self._access)
        return self._stores[bucket], key


class _S3File(io.RawIOBase):
    """A file that several threads of DuckDB read at once, each from where it last sought."""

    def __init__(self, store: Any, key: str, size: int) -> None:
        super().__init__()
        self._store, self._key, self.size = store, key, size
        self._at = threading.local()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(getattr(self._at, "position", 0))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self.size}[whence]
        self._at.position = start + offset
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        import obstore

        start = self.tell()
        end = self.size if size < 0 else min(self.size, start + size)
        if end <= start:
            return b""
        self._at.position = end
        return bytes(obstore.get_range(self._store, self._key, start=start, end=end))
