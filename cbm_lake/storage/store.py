"""`Store`: the files of a lake in a local folder or an object store; every write is atomic."""

from __future__ import annotations

import io
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError
from obstore.exceptions import BaseError
from pyarrow import fs

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import digests, durable
from cbm_lake.storage import access, s3files
from cbm_lake.storage.caches import Caches

log = logging.getLogger(__name__)

_CHANGE: Final = ".changes"
"""In an object store: an object that is other after each change of the lake. Backups and checks pass over it."""
_UNUSABLE = frozenset("[]^|?#%\\=")
"""What deltalake 1.6 mistakes or ends the process on in a local path, also when escaped; = would mark a partition."""
DRAFT: Final = re.compile(r"(^|/)\.[^/]*$|\.partial$|\.tmp$|#\d+$")
"""Drafts of this package, of zarr, of the log, and of the object store's uploads."""


@dataclass(frozen=True)
class Written:
    """A file as it was written."""

    name: str
    """In the store."""
    size: int
    """Bytes."""
    digest: str
    """See `digests`."""


@dataclass(frozen=True)
class Store:
    """The folder or URL that holds a lake."""

    url: str
    caches: Caches = field(default_factory=Caches, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not _UNUSABLE.isdisjoint(self.url):
            raise InvalidInputError(
                f"the lake cannot be in {self.url!r}: the table format takes no {' '.join(sorted(_UNUSABLE))} in a path"
            )

    @cached_property
    def filesystem(self) -> tuple[fs.FileSystem, str]:
        """The file system, and the path of the lake in it."""
        with translated("open", self.url):
            if "://" not in self.url:
                return fs.LocalFileSystem(), self.url
            if access.is_remote(self.url):
                return s3files.filesystem(self.url), self.url.partition("://")[2].rstrip("/")
            raise InvalidInputError(f"lake {self.url!r} is neither a folder nor an s3:// URL")

    @cached_property
    def lasting_files(self) -> s3files.S3Files:
        """The files of an object store, by a client that relies on their never changing under their names."""
        return s3files.S3Files(self.url, ends=self.caches.file_ends)

    @property
    def options(self) -> dict[str, str] | None:
        """The storage options of deltalake; never cached, as keys of a role expire."""
        return access.Access.of(self.url).delta() if access.is_remote(self.url) else None

    def path(self, name: str) -> str:
        """The full path or URL of a file of this store."""
        return f"{self.url.rstrip('/')}/{name}"

    def name(self, path: str) -> str:
        """The name in this store of a file by its full path or URL."""
        return path.removeprefix(self.path(""))

    def listing(self, folder: str = "") -> dict[str, fs.FileInfo]:
        """All files below a folder by their names in the store, drafts too; none where there is no such folder."""
        filesystem, root = self.filesystem
        selector = fs.FileSelector(f"{root}/{folder}".rstrip("/"), recursive=True, allow_not_found=True)
        with translated("list", self.path(folder) if folder else self.url):
            files = filesystem.get_file_info(selector)
        return {info.path.removeprefix(root).lstrip("/"): info for info in files if info.is_file}

    def files(self, folder: str, suffix: str = ".parquet") -> list[str]:
        """Full paths of the files with that suffix below a folder, sorted; none where there is no such folder."""
        names = (name for name in self.listing(folder) if name.endswith(suffix))
        return sorted(self.path(name) for name in names if not name.rpartition("/")[2].startswith("."))

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder; none where there is no such folder."""
        filesystem, root = self.filesystem
        with translated("list", self.path(folder)):
            entries = filesystem.get_file_info(fs.FileSelector(f"{root}/{folder}", allow_not_found=True))
        return sorted(info.base_name for info in entries if not info.is_file)

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """A Parquet file, or some columns of it, as a table; None when there is none of that name."""
        filesystem, root = self.filesystem
        with translated("read", self.path(name)):
            try:
                remote = access.is_remote(self.url)  # where one long request is better than a hundred short ones
                with pq.ParquetFile(
                    f"{root}/{name}", filesystem=filesystem, pre_buffer=remote, page_checksum_verification=True
                ) as file:
                    return file.read(columns)  # read_table would add the columns of a path like aoi=…/year=…
            except FileNotFoundError:
                return None

    def open(self, path: str) -> pa.NativeFile:
        """A file of this store that never changes, by its full path, to be read in places."""
        if access.is_remote(self.url):
            return pa.PythonFile(self.lasting_files.open(path), mode="r")
        filesystem, root = self.filesystem
        return filesystem.open_input_file(root + path.removeprefix(self.url))

    def after(self, folder: str, name: str) -> dict[str, str]:
        """In an object store the files of a folder after that name, and of each what changes when it is replaced."""
        with translated("list", self.path(folder)):
            files = self.lasting_files.after(self.path(folder), name)
        return {f"{folder}/{file}": state for file, state in files.items()}

    def change(self) -> str | None:
        """By what it is known whether an object store has changed: other after each change; None where it is not known.

        One request. Who writes notes a change when it is done, before the command ends.
        """
        if not access.is_remote(self.url):
            return None
        try:
            return self.lasting_files.state(self.path(_CHANGE))
        except OSError:  # there is none, or it cannot be read: then what is read next says why, which no HEAD does
            return None

    def note_change(self) -> None:
        """Let others who have this lake open in an object store see that it has changed, when they look next."""
        if not access.is_remote(self.url):
            return
        filesystem, root = self.filesystem
        try:
            with translated("write", self.path(_CHANGE)), filesystem.open_output_stream(f"{root}/{_CHANGE}") as file:
                file.write(uuid.uuid4().hex.encode())
        except SourceError as error:  # the data are written, and visible to all who reopen the lake
            log.warning("%s; those who have the lake open may see the change half a minute later", error)

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        filesystem, root = self.filesystem
        with translated("look for", self.path(name)):
            return bool(filesystem.get_file_info(f"{root}/{name}").type != fs.FileType.NotFound)

    def is_as_written(self, name: str) -> bool:
        """Whether a file has the digest in its name, if there is one; remote files are not read to verify it."""
        recorded = digests.recorded(name)
        return recorded is None or access.is_remote(self.url) or self.digest(name) == recorded

    def digest(self, name: str) -> str:
        """The digest of a file, which is read for that."""
        filesystem, root = self.filesystem
        with translated("read", self.path(name)), filesystem.open_input_stream(f"{root}/{name}") as stream:
            return digests.computed(stream)

    def prove(self) -> None:
        """Verify at the first write of a process that commits to the store are safe.

        Raises:
            SourceError: it is an object store without conditional put.
        """
        if access.is_remote(self.url):
            access.check_conditional_put(self.url)

    def write(self, name: str, table: pa.Table | pa.RecordBatchReader) -> Written:
        """Write a Parquet file atomically. Each batch of a reader becomes a row group."""
        return self.write_as(lambda _: name, table.schema, lambda writer: _write(table, writer))

    def write_as(
        self,
        naming: Callable[[str], str],
        schema: pa.Schema,
        write: Callable[[pq.ParquetWriter], None],
        **options: object,
    ) -> Written:
        """Write a Parquet file whose name contains its digest, atomically.

        On a local folder the file and its name are on the disk afterwards.

        Args:
            naming: returns the name in the store for a digest; the folder is the same for all.
            schema: columns of the file.
            write: writes the rows.
            options: of pyarrow.parquet.ParquetWriter, besides the usual ones.

        Raises:
            SourceError: the store does not take it; there is no part of it then.
        """
        options = {"compression": "zstd", "compression_level": 3, "write_page_checksum": True, **options}
        self.prove()
        folder = naming("*").rpartition("/")[0]
        with translated("write", self.path(naming("*"))):
            if access.is_remote(self.url):
                return self._upload(naming, schema, write, options)
            with durable.drafting(Path(self.path(folder)), ".parquet") as draft:
                with draft.path.open("wb") as file:
                    target = digests.Target(file)
                    with pq.ParquetWriter(target, schema, **options) as writer:
                        write(writer)
                name = naming(target.digest)
                draft.publish(name.rpartition("/")[2])
        return Written(name, target.size, target.digest)

    def _upload(
        self,
        naming: Callable[[str], str],
        schema: pa.Schema,
        write: Callable[[pq.ParquetWriter], None],
        options: Mapping[str, object],
    ) -> Written:
        filesystem, root = self.filesystem
        content = io.BytesIO()
        target = digests.Target(content)
        with pq.ParquetWriter(target, schema, **options) as writer:
            write(writer)
        name = naming(target.digest)
        with filesystem.open_output_stream(f"{root}/{name}") as file:  # objects appear atomically
            file.write(content.getbuffer())
        return Written(name, target.size, target.digest)

    def sweep(self, folder: str, days: float) -> int:
        """Delete the drafts of writes that broke off days ago below a local folder; returns how many."""
        if access.is_remote(self.url):
            return 0
        return self.discard_old([name for name in self.listing(folder) if DRAFT.search(name)], days)

    def discard_old(self, names: Iterable[str], days: float) -> int:
        """Delete the files that are older than a number of days; returns how many."""
        filesystem, root = self.filesystem
        oldest, gone = time.time() - days * 86_400, 0
        for name in names:
            with translated("delete", self.path(name)):
                info = filesystem.get_file_info(f"{root}/{name}")
                if info.is_file and info.mtime.timestamp() <= oldest:
                    discard(filesystem, info.path)
                    gone += 1
        return gone

    def read_bytes(self, name: str) -> bytes | None:
        """A small file as it is; None when there is none of that name."""
        filesystem, root = self.filesystem
        with translated("read", self.path(name)):
            try:
                with filesystem.open_input_stream(f"{root}/{name}") as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file under a name that nothing has yet; False where something has it, which stays.

        Of several writers at once exactly one gets the name. On a local folder the file is on the disk afterwards.

        Raises:
            SourceError: the store does not take it.
        """
        with translated("write", self.path(name)):
            if access.is_remote(self.url):
                return access.put_new(self.path(name), content)
            return durable.create(Path(self.path(name)), content)

    def replace(self, name: str, content: bytes) -> None:
        """Write a small file, whatever is there of that name.

        Raises:
            SourceError: the store does not take it.
        """
        filesystem, root = self.filesystem
        with translated("write", self.path(name)):
            if access.is_remote(self.url):
                with filesystem.open_output_stream(f"{root}/{name}") as file:
                    file.write(content)
                return
            with durable.replacing(Path(self.path(name))) as draft:
                draft.write_bytes(content)


@contextmanager
def translated(action: str, path: str) -> Iterator[None]:
    """Translate errors of the storage libraries into one line that names the file and gives advice."""
    try:
        yield
    except (OSError, DeltaError, pa.ArrowException, BaseError) as error:
        if access.is_remote(path):
            raise SourceError(f"cannot {action} {path}: {access.explained(error)}", advice=access.ADVICE) from error
        text, _, _ = str(error).partition("\n   0: ")  # what follows is a trace of the library's own calls
        reason = " ".join(text.split())
        advice = "check the path, its rights and the free space"
        raise SourceError(f"cannot {action} {path}: {reason}", advice=advice) from error


def _write(rows: pa.Table | pa.RecordBatchReader, writer: pq.ParquetWriter) -> None:
    """Write a table, or batches as they come."""
    if isinstance(rows, pa.Table):
        writer.write_table(rows)
        return
    for batch in rows:
        writer.write_batch(batch)


def discard(filesystem: fs.FileSystem, path: str) -> None:
    """Delete a file, where it is there."""
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        filesystem.delete_file(path)
