"""File layout of parcels: temp/<aoi>/<year>/<pid>/ for fetched files, data/ for permanent ones."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, NotFoundError, SourceError
from cbm_lake.files import durable
from cbm_lake.get import note_history
from cbm_lake.lake import options

log = logging.getLogger(__name__)

NOTES = "notes.txt"
"""What a person wrote about a parcel; in its folder in data/, which nothing clears away."""
CHIPS = "chipimages"
"""The folder of chips; the original's own code reads and writes chip_images, which is a link to it."""
CHIPS_OF_OLD = "chip_images"
_LONGEST: Final = 255
"""Bytes that a name may have in the usual file systems."""
_NOTE: Final = ".pid"
"""The file in which a folder says its pid, where its name does not."""
_BETWEEN: Final = "\n\n"
"""Between notes of one parcel from two folders."""
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$| )", re.IGNORECASE)


def place(aoi: str, year: int, pid: str, name: str) -> Path:
    """Path of a file of a parcel.

    Raises:
        InvalidInputError: the area or the year is invalid.
    """
    area, season = options.checked_option("aoi", aoi), options.checked_option("year", year)
    return Workspace.here().temp / str(area).lower() / str(season) / name_of(pid) / name


def of_parcels(root: Path) -> list[Path]:
    """Parcel folders below temp/ or data/."""
    return sorted(root.glob("*/[0-9][0-9][0-9][0-9]/*/"))


def kept(root: Path) -> dict[str, dict[str, list[str]]]:
    """Parcels that have a folder below temp/ or data/, by area and year."""
    pids: dict[str, dict[str, list[str]]] = {}
    for folder in of_parcels(root):
        pids.setdefault(folder.parent.parent.name, {}).setdefault(folder.parent.name, []).append(pid_of(folder))
    return pids


def existing(aoi: str, year: int, pid: str) -> list[Path]:
    """Folders of a parcel below temp/ and data/ that are there.

    Raises:
        NotFoundError: there is none.
    """
    temp = place(aoi, year, pid, "")
    there = [folder for folder in (temp, in_data(temp)) if folder.is_dir()]
    if not there:
        raise NotFoundError(f"there is no folder of parcel {pid!r}; get it first")
    return there


def keep(aoi: str, year: int, pid: str) -> Path:
    """Move a parcel's files from temp/ to data/, which is never cleared; returns the new path.

    Raises:
        NotFoundError: nothing was got.
        ConfigError: the folder cannot be written.
        SourceError: the parcel's notes cannot be read.
    """
    source = place(aoi, year, pid, "")
    target = Workspace.here().data / source.relative_to(Workspace.here().temp)
    if not source.is_dir():
        raise NotFoundError(f"nothing was got of parcel {pid!r} of {aoi} {year}; get it first")
    adopt_notes(source / NOTES)
    Workspace.here().prepare(target)
    try:
        (source / CHIPS_OF_OLD).unlink() if (source / CHIPS_OF_OLD).is_symlink() else None
        shutil.copytree(source, target, dirs_exist_ok=True, copy_function=_copy)
        shutil.rmtree(source)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error}; check the folder's rights and free space") from error
    link_chips(target)
    return target


def in_data(file: Path) -> Path:
    """Path in data/ that corresponds to a path in temp/."""
    return Workspace.here().data / file.relative_to(Workspace.here().temp)


def adopt_notes(old: Path) -> None:
    """Move notes that an earlier version left in temp/ to the parcel's folder in data/, and log it.

    Where data/ has others of the parcel, they are put behind those.

    Raises:
        SourceError: they cannot be read.
        ConfigError: they cannot be moved.
    """
    if not old.is_file():
        return
    file = in_data(old)
    before, text = read_text(file), read_text(old)
    if not before.startswith(text.strip()) and _noted(text) not in _noted(before):
        whole = f"{before}{_BETWEEN}{text}" if before.strip() else text
        who, when = note_history.owner(old), datetime.fromtimestamp(old.stat().st_mtime, UTC)
        unrecorded = note_history.unrecorded(file)
        write_file(file, whole)
        for written in (*unrecorded, note_history.Written(who, when, whole)):
            note_history.append(file, written)
    try:
        old.unlink()
    except OSError as error:
        raise ConfigError(f"{old} cannot be deleted: {error.strerror}; check its rights") from error
    log.warning("the notes %s were moved to %s, where nothing is cleared away", old, file)


def _noted(text: str) -> str:
    """Notes enclosed in the separator, so that no note matches a part of another."""
    return f"{_BETWEEN}{text.strip()}{_BETWEEN}"


def read_text(file: Path) -> str:
    """Text of a file, "" if it does not exist.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        return file.read_text("utf-8") if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read: {error}; save it as text (UTF-8)") from error


def of_location(lon: float, lat: float) -> str:
    """Folder name of a location: 3.1_43.5 with _ for the dots."""
    return f"{lon}_{lat}".replace(".", "_")


def chips(folder: Path) -> Path:
    """Folder of chips: the existing one, else the one to create."""
    old = folder / CHIPS_OF_OLD
    return old if old.is_dir() and not (folder / CHIPS).is_dir() else folder / CHIPS


def link_chips(folder: Path) -> None:
    """Link chip_images to the folder of chips, the name under which the original library looks for it.

    The link is relative, so that it holds where the folder is moved. An empty folder of that name, which is what
    archives make of a link, is replaced. Where the file system has no links, the log says what to do.
    """
    link = folder / CHIPS_OF_OLD
    if not (folder / CHIPS).is_dir() or link.is_symlink():
        return
    try:
        if link.is_dir() and not any(link.iterdir()):
            link.rmdir()
        if not link.exists():
            link.symlink_to(CHIPS, target_is_directory=True)
    except OSError as error:
        log.warning(
            "%s cannot be made a link to %s (%s); for the original library rename the folder, both names are read here",
            link,
            CHIPS,
            error.strerror or error,
        )


def clear_chips(folder: Path) -> None:
    """Delete the chips in a folder, under either name.

    Raises:
        ConfigError: they cannot be deleted.
    """
    try:
        for chips in (folder / CHIPS_OF_OLD, folder / CHIPS):
            if chips.is_symlink():
                chips.unlink()
            elif chips.is_dir():
                shutil.rmtree(chips)
    except OSError as error:
        raise ConfigError(f"{chips} cannot be deleted: {error.strerror}; check its rights") from error


def write(aoi: str, year: int, pid: str, name: str, text: str) -> Path:
    """Write a file of a parcel atomically and return its path.

    Raises:
        ConfigError: the folder cannot be written.
    """
    file = place(aoi, year, pid, name)
    sign(file.parent, pid)
    return write_file(file, text)


def sign(folder: Path, pid: str) -> None:
    """Record the pid in a folder whose name does not contain it.

    Raises:
        ConfigError: the folder cannot be written.
    """
    if "%-" in folder.name:
        write_file(folder / _NOTE, pid)


def write_file(file: Path, text: str) -> Path:
    """Write text atomically and return the path.

    Raises:
        ConfigError: the folder cannot be written.
    """
    return write_bytes(file, text.encode("utf-8"))


def _copy(source: str, target: str) -> None:
    with durable.replacing(Path(target)) as draft:
        shutil.copy2(source, draft)


def write_bytes(file: Path, content: bytes) -> Path:
    """Write bytes atomically and return the path.

    Raises:
        ConfigError: the folder cannot be written.
    """
    Workspace.here().prepare(file)
    try:
        with durable.replacing(file) as draft:
            draft.write_bytes(content)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}; check the folder's rights and free space"
        ) from error
    return file


def name_of(pid: str, most: int = _LONGEST) -> str:
    """Folder name of a pid, unique for each pid.

    What a path or Windows could mistake (/, .., CON, a blank or dot at the end) is written as %2F, %2E. A name that
    would be too long ends with the hash of the pid after %-, which no other name has.

    Args:
        pid: of a parcel.
        most: bytes that the name may have.
    """
    name = _escaped(pid)
    if len(name) <= most:
        return name
    mark = f"%-{hashlib.sha256(pid.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"
    return re.sub(r"%.?$", "", name[: most - len(mark)]) + mark


def _escaped(pid: str) -> str:
    name = quote(pid, safe=" +,;=@()[]!'", errors="surrogatepass")
    if set(name) <= {"."}:
        return name.replace(".", "%2E")
    if _RESERVED.match(name):  # devices of Windows, with or without an extension
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return name if name[-1] not in " ." else f"{name[:-1]}%{ord(name[-1]):02X}"


def pid_of(folder: Path) -> str:
    """The pid of a folder, from its name or, if that is a hash, from the file in it."""
    note = folder / _NOTE
    return note.read_text("utf-8") if "%-" in folder.name and note.is_file() else unquote(folder.name)
