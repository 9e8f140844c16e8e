"""Safe unpacking of untrusted archives and compressed files: bounded in size, and confined to a folder.

The one place that unpacks. A zip archive is looked at as a whole before anything of it is read: how many members it
has, what they are called, how large they say they are, and that no two of them share bytes. What is unpacked is counted
as it is inflated.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from cbm_lake.errors import SourceError

if TYPE_CHECKING:
    from typing_extensions import Buffer

MOST_MEMBERS: Final = 100_000
"""Members of an archive; a scene has hundreds, a folder of Parquet parts thousands."""
LARGEST: Final = 200 * 2**30
"""Bytes that an archive may have when it is unpacked; a nation's parcels have a few thousand million."""
PLAIN: Final = 2**30
"""Bytes up to which it does not matter how small the packed file is."""
RATIO: Final = 250
"""How many times as large as packed anything larger may be; geometries and tables have 3 to 50, Deflate makes 1030."""
_DIRECTORY: Final = 64 * 2**20
"""Bytes of the list of members at the end of an archive."""
_SPARE: Final = 2**30
"""Bytes of the disk that stay free."""
_BLOCK: Final = 1 << 20
_ENCRYPTED: Final = 0x1
_DEVICE: Final = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])(\..*)?\s*", re.I
)
"""Names of devices in Windows, with any extension."""
_LONGEST: Final = 255
"""Bytes of a name between two slashes."""
_END: Final = b"PK\x05\x06"
_END64: Final = b"PK\x06\x06"


@contextmanager
def opened(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive, looked at as a whole.

    Raises:
        SourceError: it cannot be read, or holds what no archive should: it is said which member, and why.
    """
    try:
        _check_directory(Path(path))
        with zipfile.ZipFile(path) as archive:
            check(path, archive)
            yield archive
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, UnicodeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{path} cannot be read: the archive is damaged ({reason}); fetch it again") from error


def check(path: str | Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive that holds what none should.

    Raises:
        SourceError: its members are too many or too large, share bytes or names, or would lie elsewhere.
    """
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise SourceError(f"{path} has {len(members):,} members, more than {MOST_MEMBERS:,}; unpack it yourself")
    for member in members:
        if problem := oddity(member):
            raise SourceError(f"{path}: its member {member.filename!r} {problem}; unpack it yourself or fetch it again")
    _check_names(path, members)
    _check_overlaps(path, members)
    size, packed = sum(one.file_size for one in members), sum(one.compress_size for one in members)
    check_size(path, size, packed)


def files_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members that are files, without the folder __MACOSX in which macOS repeats each."""
    return [member for member in archive.infolist() if not member.is_dir() and "__MACOSX" not in member.filename]


def oddity(member: zipfile.ZipInfo) -> str:
    """Why a member of an archive is not to be unpacked; empty where nothing is wrong with it."""
    name, parts = member.orig_filename, member.orig_filename.rstrip("/").split("/")
    kind = stat.S_IFMT(member.external_attr >> 16) if member.create_system == 3 else 0
    plain = name.replace("\\", "/")
    if plain.startswith("/") or ".." in plain.split("/") or re.match(r"[A-Za-z]:", name):
        return "would lie outside the archive's own folder"
    if "\\" in name:
        return "has backslashes where slashes belong, as some old programs of Windows write them"
    if re.search(r"[\x00-\x1f\x7f]", name):
        return "has a name of control characters"
    if any(_DEVICE.fullmatch(part) for part in parts):
        return "has the name of a device"
    if any(len(part.encode("utf-8", "surrogatepass")) > _LONGEST for part in parts):
        return "has a name that is too long"
    return "is a link" if kind == stat.S_IFLNK else "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "is no file"


def refuse_encrypted(path: str | Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse members that only a password opens.

    Raises:
        SourceError: one is encrypted.
    """
    encrypted = next((member.filename for member in members if member.flag_bits & _ENCRYPTED), None)
    if encrypted is not None:
        raise SourceError(f"{path} is encrypted; unpack it with its password and give the file in it ({encrypted})")


def check_size(path: str | Path, size: int, packed: int) -> None:
    """Refuse what has, or says that it has, far more bytes unpacked than packed.

    Raises:
        SourceError: it has.
    """
    if size > LARGEST:
        raise SourceError(f"{path} has more than {LARGEST:,} bytes when it is unpacked ({size:,}); unpack it yourself")
    if size > PLAIN and size > RATIO * max(packed, 1):
        raise SourceError(
            f"{path} has {size:,} bytes unpacked, more than {RATIO} times as many as packed ({packed:,}), as no data "
            "have; check where it is from"
        )


def extract(path: str | Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: str | Path) -> Path:
    """Unpack a member of an archive into a folder, under its own name below it; where it is then.

    Raises:
        SourceError: it is encrypted, the disk has no room, or it is not to be unpacked.
        NotImplementedError: it is packed in a way that Python does not know.
        zipfile.BadZipFile: it is damaged.
    """
    refuse_encrypted(path, [member])
    top = Path(folder).resolve()
    target = top / member.filename
    if problem := oddity(member) or ("" if target.resolve().is_relative_to(top) else "would lie outside the folder"):
        raise SourceError(f"{path}: its member {member.filename!r} {problem}; unpack it yourself or fetch it again")
    free = shutil.disk_usage(top).free - _SPARE
    if member.file_size > max(free, 0) and member.file_size > _BLOCK:
        raise SourceError(
            f"{path}: its member {member.filename!r} has {member.file_size:,} bytes, for which {top} has no room; "
            "set TMPDIR to a larger disk"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("xb") as copy:
        shutil.copyfileobj(_Counted(source, path, max(member.compress_size, 1)), copy, _BLOCK)
    return target


@contextmanager
def stream(path: str | Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """The bytes of a member of an archive, counted as they are inflated.

    Raises:
        SourceError: it is encrypted, or far larger than packed.
    """
    refuse_encrypted(path, [member])
    with archive.open(member) as source:
        yield io.BufferedReader(_Counted(source, path, max(member.compress_size, 1)), _BLOCK)


@contextmanager
def inflated(path: str | Path, kind: str) -> Iterator[IO[bytes]]:
    """The bytes of a compressed file, counted as they are inflated.

    Args:
        path: of the file.
        kind: gzip, bz2 or xz.

    Raises:
        SourceError: it is far larger than packed.
        OSError, EOFError, lzma.LZMAError, zlib.error: it is damaged.
    """
    openers: dict[str, Callable[[str | Path], IO[bytes]]] = {
        "gzip": cast("Callable[[str | Path], IO[bytes]]", gzip.open),
        "bz2": bz2.open,
        "xz": lzma.open,
    }
    with openers[kind](path) as source:
        yield io.BufferedReader(_Counted(source, path, Path(path).stat().st_size), _BLOCK)


class _Counted(io.RawIOBase):
    """Bytes of another stream, refused where they become too many."""

    def __init__(self, source: IO[bytes], path: str | Path, packed: int) -> None:
        super().__init__()
        self._source, self._path, self._packed, self._size = source, path, packed, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most so many bytes."""
        block = self._source.read(_BLOCK if size is None or size < 0 else size)
        self._size += len(block)
        check_size(self._path, self._size, self._packed)
        return block

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer."""
        view = memoryview(buffer).cast("B")
        block = self.read(len(view))
        view[: len(block)] = block
        return len(block)


# -- the list of members ----------------------------------------------------------------------------------------------


def _check_directory(path: Path) -> None:
    """Refuse a list of members that is too long, before it is read into memory."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 70_000))
        tail = file.read()
    end, end64 = tail.rfind(_END), tail.rfind(_END64)
    length = struct.unpack_from("<L", tail, end + 12)[0] if end >= 0 and len(tail) >= end + 22 else 0
    if end64 >= 0 and len(tail) >= end64 + 48:
        length = max(0 if length == 0xFFFFFFFF else length, struct.unpack_from("<Q", tail, end64 + 40)[0])
    if length > _DIRECTORY:
        raise SourceError(
            f"{path} has a list of members of {length:,} bytes, more than {_DIRECTORY:,}; unpack it yourself"
        )


def _check_names(path: str | Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse two members of one name, also where only capitals or the forms of letters tell them apart."""
    names: dict[str, str] = {}
    for member in members:
        if member.is_dir():
            continue
        folded = _folded(member.filename)
        if folded in names:
            how = (
                "is there twice"
                if names[folded] == member.filename
                else f"differs from {names[folded]!r} in capitals alone"
            )
            raise SourceError(f"{path}: its member {member.filename!r} {how}; unpack it yourself or fetch it again")
        names[folded] = member.filename
    for name in names.values():
        above = next((str(one) for one in Path(name).parents if _folded(str(one)) in names), None)
        if above is not None:
            raise SourceError(
                f"{path}: its member {above!r} is a file and a folder; unpack it yourself or fetch it again"
            )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _check_overlaps(path: str | Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse members that share bytes: a small file would be many large ones."""
    end = 0
    for member in sorted(members, key=lambda one: one.header_offset):
        if member.header_offset < end:
            raise SourceError(f"{path}: its member {member.filename!r} shares its bytes with another; fetch it again")
        end = member.header_offset + 30 + len(member.orig_filename) + member.compress_size
