"""fsspec file systems over obstore, through which pyarrow and DuckDB access buckets."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final, NotRequired, TypedDict

from fsspec import AbstractFileSystem
from pyarrow import fs

from cbm_lake.storage.access import SCHEME, Access, bucket_of, explained, object_store
from cbm_lake.storage.caches import Cache

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

_END: Final = 131_072
"""Bytes of a Parquet file that are fetched at first: the footer of a large one, all of a small one."""
_CACHED: Final = 64
"""Megabytes of them that are cached."""
_OVERHEAD: Final = 1024
"""Overhead in bytes of a cached file."""


class FileInfo(TypedDict):
    """What is known of a file or folder, in the form of fsspec."""

    name: NotRequired[str]
    """Bucket and key."""
    type: str
    """file or directory."""
    size: int
    """Bytes."""
    mtime: NotRequired[datetime]


def filesystem(url: str) -> fs.PyFileSystem:
    """The buckets as pyarrow reads and writes files in them, by the access to an s3:// URL."""
    return fs.PyFileSystem(fs.FSSpecHandler(S3Files(url, lasting=False)))


class S3Files(AbstractFileSystem):  # type: ignore[misc]
    """s3:// as pyarrow and DuckDB read files from it, without an extension of their own.

    Args:
        url: whose access holds for all files.
        lasting: whether files never change under their names, so that their metadata can be cached.
        ends: where it is cached; without it in a cache of its own.
    """

    protocol = "s3"
    cachable = False

    def __init__(self, url: str, *, lasting: bool = True, ends: Cache | None = None) -> None:
        super().__init__()
        self._access, self._lasting = Access.of(url), lasting
        self._ends = Cache(_CACHED) if ends is None else ends

    def info(self, path: str, **_: object) -> FileInfo:
        """Size and time of a file."""
        return self._read(path)[0]

    def exists(self, path: str, **_: object) -> bool:
        """Whether there is a file of that name."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: str) -> bool:
        """Always True: whether a name exists is only known on opening."""
        return bool(path)

    def isdir(self, path: str) -> bool:
        """Any text can be the beginning of names."""
        return bool(path)

    def glob(self, path: str, **_: object) -> list[str]:
        """The file itself: names are never glob patterns here."""
        return [path.removeprefix(SCHEME)]

    def modified(self, path: str) -> datetime:
        """When a file was written."""
        return self.info(path)["mtime"]

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: object
    ) -> list[str] | dict[str, FileInfo]:
        """Files below a folder; with a depth, files and folders in it."""
        import obstore

        store, key = self._located(path.rstrip("/"))
        prefix = f"{key}/" if key else None
        with _request(self._access, path):
            if maxdepth is None:
                objects, folders = obstore.list(store, prefix).collect(), list[str]()
            else:
                level = obstore.list_with_delimiter(store, prefix)
                objects, folders = level["objects"], list(level["common_prefixes"])
        bucket = bucket_of(path)
        files = {f"{bucket}/{meta['path']}": _info(bucket, meta) for meta in objects}
        if withdirs:
            files |= {f"{bucket}/{name}": {"size": 0, "type": "directory"} for name in folders}
        return files if detail else sorted(files)

    def state(self, path: str) -> str:
        """What is other when a file is replaced."""
        import obstore

        with _request(self._access, path):
            return _state(obstore.head(*self._located(path)))

    def after(self, folder: str, name: str) -> dict[str, str]:
        """The files in a folder after that name, by their names there; and of each what is other when it changes."""
        import obstore

        store, key = self._located(folder.rstrip("/"))
        with _request(self._access, folder):
            files = obstore.list(store, f"{key}/", offset=f"{key}/{name}").collect()
        return {meta["path"].removeprefix(f"{key}/"): _state(meta) for meta in files}

    def mkdir(self, path: str, create_parents: bool = True, **_: object) -> None:
        """Nothing: there are no folders."""

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete a file."""
        import obstore

        self._let_change(path)
        with _request(self._access, path):
            obstore.delete(*self._located(path))

    def open(self, path: str, mode: str = "rb", **_: object) -> io.IOBase:
        """A file to read in places, or to write from the start."""
        if mode == "rb":
            info, end = self._read(path)
            return _S3File(path, *self._located(path), info["size"], end, self._access)
        self._let_change(path)
        return _Draft(path, *self._located(path), self._access)

    def _let_change(self, path: str) -> None:
        """Refuse it where files never change: SQL reads the lake and nothing more."""
        if self._lasting:
            raise PermissionError(f"{path} is not written or deleted by SQL; write to a folder of this machine")

    def _read(self, path: str) -> tuple[FileInfo, bytes]:
        """The entry of a file, and the last of its bytes where they never change."""
        import obstore

        if self._lasting:
            name = path.removeprefix(SCHEME)
            return self._ends.get(name, lambda: _end(self._access, name), lambda end: len(end[1]) + _OVERHEAD)
        with _request(self._access, path):
            return _info(bucket_of(path), obstore.head(*self._located(path))), b""

    def _located(self, path: str) -> tuple[S3Store, str]:
        return object_store(bucket_of(path), "", self._access), path.removeprefix(SCHEME).partition("/")[2]


def _end(access: Access, path: str) -> tuple[FileInfo, bytes]:
    """The entry of a file, and the last of its bytes."""
    import obstore

    bucket, _, key = path.partition("/")
    with _request(access, path):
        result = obstore.get(object_store(bucket, "", access), key, options={"range": {"suffix": _END}})
        return _info(bucket, result.meta), bytes(result.bytes())


@contextmanager
def _request(access: Access, path: str) -> Iterator[None]:
    """Leave for one request; what fails is an OSError of one line, as of a local file."""
    from obstore.exceptions import BaseError

    with access.limited():
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            reason = explained(error)
            if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in reason:
                raise FileNotFoundError(f"there is no {SCHEME}{path.removeprefix(SCHEME)}") from error
            raise OSError(reason) from error


def _state(meta: ObjectMeta) -> str:
    return f"{meta['e_tag']} {meta['last_modified']}"


def _info(bucket: str, meta: ObjectMeta) -> FileInfo:
    name = f"{bucket}/{meta['path']}"
    return {"name": name, "type": "file", "size": meta["size"], "mtime": meta["last_modified"]}


class _S3File(io.RawIOBase):
    """A file that several threads of DuckDB read at once, each from where it last sought."""

    def __init__(self, path: str, store: S3Store, key: str, size: int, tail: bytes, access: Access) -> None:
        super().__init__()
        self._path, self._store, self._key, self._access = path, store, key, access
        self.size, self._tail = size, tail
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

    def read(self, size: int | None = -1) -> bytes:
        import obstore

        start = self.tell()
        end = self.size if size is None or size < 0 else min(self.size, start + size)
        if end <= start:
            return b""
        self._at.position = end
        start_of_tail = self.size - len(self._tail)
        if start >= start_of_tail:
            return self._tail[start - start_of_tail : end - start_of_tail]
        with _request(self._access, self._path):
            return bytes(obstore.get_range(self._store, self._key, start=start, end=end))


class _Draft(io.BytesIO):
    """What becomes a file when it is closed, at once and whole."""

    def __init__(self, path: str, store: S3Store, key: str, access: Access) -> None:
        super().__init__()
        self._path, self._store, self._key, self._access = path, store, key, access

    def close(self) -> None:
        if not self.closed:
            import obstore

            with _request(self._access, self._path), self.getbuffer() as content:
                obstore.put(self._store, self._key, content)
        super().close()
