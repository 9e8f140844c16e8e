"""Notes about a parcel in data/<aoi>/<year>/<pid>/notes.txt, which no clean-up deletes."""

from __future__ import annotations

from pathlib import Path

from cbm_lake.get import folders
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
def write(aoi: str, year: int, pid: str, text: str) -> Path:
    """Replace the notes on a parcel; returns their path.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        text: the notes.

    Raises:
        ConfigError: the folder cannot be written.
    """
    file = _file(aoi, year, pid)
    folders.sign(file.parent, pid)
    return folders.write_file(file, text)


def _file(aoi: str, year: int, pid: str) -> Path:
    """Path of the notes, after moving those in temp/."""
    old = folders.place(aoi, year, pid, folders.NOTES)
    folders.adopt_notes(old)
    return folders.in_data(old)
