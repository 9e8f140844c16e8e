"""Notes about a parcel in data/<aoi>/<year>/<pid>/notes.txt, which no clean-up deletes, and who wrote them when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cbm_lake.config import current_user
from cbm_lake.errors import InvalidInputError
from cbm_lake.get import folders, note_history
from cbm_lake.get.note_history import Written
from cbm_lake.lake.options import checked_options


@checked_options
def read(aoi: str, year: int, pid: str) -> str:
    """Read the notes on a parcel, "" if there are none. Notes of earlier versions in temp/ are moved to data/ first.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.

    Raises:
        SourceError: they cannot be read.
        ConfigError: those in temp/ cannot be moved.
    """
    return folders.read_text(_file(aoi, year, pid))


@checked_options
def history(aoi: str, year: int, pid: str) -> list[Written]:
    """What was saved as the notes on a parcel, by whom and when, the oldest first; the last is what `read` gives.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.

    Raises:
        SourceError: they cannot be read.
        ConfigError: those in temp/ cannot be moved.
    """
    return note_history.entries(_file(aoi, year, pid))


@checked_options
def write(aoi: str, year: int, pid: str, text: str, *, who: str | None = None, instead_of: str | None = None) -> Path:
    """Replace the notes on a parcel; returns their path. What was there before stays in the history.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        text: the notes.
        who: the author; without it the user of the settings (set.user), else of the computer.
        instead_of: the notes that were read before; others that came meanwhile are not replaced.

    Raises:
        InvalidInputError: the notes are not those that were read.
        ConfigError: the folder cannot be written.
        SourceError: the notes that are there cannot be read.
    """
    file = _file(aoi, year, pid)
    _check_same(file, pid, instead_of)
    folders.sign(file.parent, pid)
    before = note_history.unrecorded(file)
    folders.write_file(file, text)
    for written in (*before, Written(who or current_user(), datetime.now(UTC), text)):
        note_history.append(file, written)
    return file


def _check_same(file: Path, pid: str, instead_of: str | None) -> None:
    if instead_of is None or folders.read_text(file) == instead_of:
        return
    written = note_history.entries(file)
    last = f" by {written[-1].who} at {written[-1].when:%Y-%m-%d %H:%M} UTC" if written else ""
    raise InvalidInputError(f"the notes on parcel {pid!r} were changed meanwhile{last}; read them again, and add yours")


def _file(aoi: str, year: int, pid: str) -> Path:
    """Path of the notes, after moving those in temp/."""
    old = folders.place(aoi, year, pid, folders.NOTES)
    folders.adopt_notes(old)
    return folders.in_data(old)
