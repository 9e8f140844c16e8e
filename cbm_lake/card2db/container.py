"""`Container`: files of a product in a folder or a zip archive, which is read without unpacking."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from cbm_lake.errors import SourceError
from cbm_lake.files import archives

_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 9})
"""How members may be compressed: GDAL inflates these (9 is Deflate64)."""
_PACKED = re.compile(r"(?:^|/)(?:S[12][A-D]_|SENTINEL[12][A-D]_)[^/]*\.zip$")
"""A product's archive in an archive."""
_LARGEST: Final = 64 * 2**20
"""Bytes of a metadata file; none of a Sentinel product comes near it."""
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding=["']([A-Za-z0-9._-]+)["']""")
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
"""Byte order marks."""


@dataclass(frozen=True)
class Container:
    """Files of a product."""

    path: Path
    """The product's folder, or the archive that holds it."""
    members: tuple[str, ...]
    """The files below the product's folder, in order, with / between folders."""
    inside: str | None = None
    """The product's folder in the archive, empty for the archive's top; None where the product is a folder."""

    @classmethod
    def of_folder(cls, folder: Path) -> Container:
        """All files below a folder."""
        names = (Path(here, name).relative_to(folder) for here, _, files in os.walk(folder) for name in files)
        return cls(folder, tuple(sorted(name.as_posix() for name in names)))

    @property
    def name(self) -> str:
        """Name of the product folder; that of the archive if the files are at its top level."""
        if not self.inside:
            return re.sub(r"(\.SAFE)?\.zip$", "", self.path.name) if self.inside == "" else self.path.name
        return PurePosixPath(self.inside).name

    @property
    def location(self) -> str:
        """Path of the product folder for GDAL."""
        path = str(self.path.resolve())
        return path if self.inside is None else f"/vsizip/{path}/{self.inside}".rstrip("/")

    def href(self, member: str) -> str:
        """Path of a file for GDAL, with symbolic links resolved."""
        return str((self.path / member).resolve()) if self.inside is None else f"{self.location}/{member}"

    def text(self, member: str) -> str:
        """Decode a metadata file by its declared encoding; undecodable bytes are replaced.

        Raises:
            SourceError: it cannot be read.
        """
        content = self._bytes(member)
        declared = _ENCODING.match(content[:200])
        encoding = declared[1].decode("ascii") if declared else "utf-8"
        for mark, name in _MARKS:
            if content.startswith(mark):
                encoding = name
        try:
            return content.decode(encoding, "replace")
        except LookupError:  # no such encoding
            return content.decode("utf-8", "replace")

    def _bytes(self, member: str) -> bytes:
        try:
            if self.inside is None:
                with (self.path / member).open("rb") as file:
                    content = file.read(_LARGEST + 1)
            else:
                with _opened(self.path) as archive:
                    member = f"{self.inside}/{member}" if self.inside else member
                    with archive.open(member) as inside:
                        content = inside.read(_LARGEST + 1)
        except OSError as error:
            raise SourceError(f"{self.path / member} cannot be read: {error.strerror or error}; check it") from error
        if len(content) > _LARGEST:
            raise SourceError(f"{self.path / member} is far larger than metadata are; fetch the product again")
        return content


def in_zip(path: Path, marker: re.Pattern[str]) -> list[Container]:
    """The products in an archive.

    Args:
        path: the archive.
        marker: matches members of products; its last group is the product's folder, empty for the archive's top.

    Raises:
        SourceError: the archive is damaged, or a member of it is not to be trusted or cannot be read.
    """
    with _opened(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    names = [entry.filename for entry in entries]
    matches = (marker.match(name) for name in names)
    folders = sorted({(match[match.lastindex or 0]).strip("/") for match in matches if match})
    if folders or any(_PACKED.search(name) for name in names):
        _check(path, entries)
    below = {folder: f"{folder}/" if folder else "" for folder in folders}
    return [
        Container(path, tuple(sorted(name.removeprefix(top) for name in names if name.startswith(top))), folder)
        for folder, top in below.items()
    ]


def _check(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse archives with members that no product has."""
    archives.refuse_encrypted(path, entries)
    for entry in entries:
        if reason := _oddity(entry):
            raise SourceError(f"{path}: its member {entry.filename!r} {reason}; unpack it yourself or fetch it again")


def _oddity(entry: zipfile.ZipInfo) -> str:
    """Reason why a member cannot belong to a product, or ""."""
    if entry.filename.lower().endswith(".zip"):
        return "is an archive itself"
    if entry.compress_type not in _METHODS:
        return "is packed in a way that is not read"
    return ""


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive, translating errors."""
    try:
        with archives.opened(path) as archive:
            yield archive
    except (NotImplementedError, RuntimeError) as error:
        reason = str(error) or type(error).__name__
        raise SourceError(f"{path} is damaged ({reason.splitlines()[0]}); fetch it again") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}; check it") from error
