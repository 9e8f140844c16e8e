"""Opens downloaded weather files: unpacks archives and detects the format from the first bytes."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files import archives, delimited

_NETCDF: Final = (b"CDF", b"\x89HDF")
_MEMBERS: Final = (".nc", ".nc4", ".cdf", ".grib", ".grib2", ".grb", ".csv", ".txt", ".parquet")


@contextmanager
def unpacked(path: str) -> Iterator[list[tuple[str, str]]]:
    """Unpack a file if it is an archive; yields the name (for messages) and path of each member.

    The Climate Data Store gives a zip archive with one file for instants and one for totals, whose name may end in .nc.

    Raises:
        InvalidInputError: an archive without a file that is known.
        SourceError: it is not there or cannot be read.
    """
    file = Path(path)
    if file.is_dir() or "://" in path:
        yield [(path, path)]
        return
    if not file.exists():
        raise SourceError(f"{path} cannot be read: there is no such file; check the path")
    begin = _begin(file)
    if not begin.startswith((b"PK\x03\x04", b"\x1f\x8b")) or path.lower().endswith(".parquet"):
        yield [(path, path)]
        return
    with tempfile.TemporaryDirectory(prefix="cbm-lake-weather-") as scratch:
        try:
            files = _members(file, Path(scratch)) if begin.startswith(b"PK") else _one(file, Path(scratch))
        except (OSError, EOFError, zipfile.BadZipFile) as error:
            raise SourceError(f"{path} cannot be read ({error}); download it again") from error
        yield files


def _begin(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(8)


def _members(file: Path, scratch: Path) -> list[tuple[str, str]]:
    """The files of an archive."""
    with archives.opened(file) as archive:
        members = [one for one in archives.files_of(archive) if one.filename.lower().endswith(_MEMBERS)]
        if not members:
            raise InvalidInputError(
                f"{file} is an archive of {some(archive.namelist()) or 'nothing'}; give one with NetCDF or CSV"
            )
        return [(f"{file}: {one.filename}", str(archives.extract(file, archive, one, scratch))) for one in members]


def _one(file: Path, scratch: Path) -> list[tuple[str, str]]:
    """The file in a compressed one."""
    target = scratch / file.name.removesuffix(".gz")
    with delimited.opened(file) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
    return [(str(file), str(target))]


def is_table(path: str) -> bool:
    """Whether a file is a table rather than a grid.

    Raises:
        InvalidInputError: it is GRIB, which is not read.
    """
    if path.lower().endswith(".parquet"):
        return True
    if Path(path).is_dir() or "://" in path:
        return False
    begin = _begin(Path(path))
    if begin.startswith(b"GRIB"):
        raise InvalidInputError(
            f"{path} is GRIB; ask the Climate Data Store for NetCDF, or convert it with grib_to_netcdf"
        )
    return delimited.is_text(path) and not begin.startswith(_NETCDF)
