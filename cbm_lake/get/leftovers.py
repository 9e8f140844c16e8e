"""Inventory of the files in parcel folders by kind and owner, and their deletion.

What was fetched or drawn can be fetched again. What a person wrote or put there cannot: it is deleted only where that
is said by itself, and never by another person.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from cbm_lake.config import Workspace, account, current_user
from cbm_lake.errors import ConfigError, some
from cbm_lake.get import folders, note_history

_KINDS: Final = (
    (
        "chips",
        (folders.CHIPS, folders.CHIPS_OF_OLD),
        ("*.tif", "*.png", "images_list.*.csv", "chipsize_*", "daterange_*"),
    ),
    ("backgrounds", ("backgrounds",), ("*.tif", "*.png", "chipsize_extend_*")),
    ("time series", ("",), ("time_series_*.csv",)),
    ("information", ("",), ("info.json", "parcel_peers.json", ".pid", folders.CHIPS_OF_OLD)),
)
"""What is fetched and drawn: its kind, folders and names of files."""
NOTES: Final = "notes"
OTHERS: Final = "other files"


@dataclass(frozen=True)
class Leftover:
    """A file in a parcel's folder."""

    parcel: str
    """Area, year and identifier, in words."""
    kind: str
    owners: tuple[str, ...]
    """Of notes all who wrote them, of others the owner of the file."""
    size: int
    """Bytes."""
    file: Path
    folder: Path
    """The parcel's folder."""

    @property
    def by_person(self) -> bool:
        """Whether a person wrote the file or put it there."""
        return self.kind in (NOTES, OTHERS)

    @property
    def owner(self) -> str:
        """Whose it is, in words."""
        return " and ".join(self.owners)

    @property
    def of_another(self) -> bool:
        """Whether another person than the user made it."""
        return self.by_person and not set(self.owners) <= {current_user(), account()}


def of_folders(parcel_folders: Iterable[Path]) -> list[Leftover]:
    """List the files in parcel folders.

    Raises:
        ConfigError: a folder cannot be read.
    """
    return [leftover for folder in parcel_folders for leftover in _of_folder(folder)]


def in_words(files: Sequence[Leftover]) -> str:
    """Summarize files by kind and owner: 2 parcels (…): chips (48 files, 1.2 MB), notes (…); files of ada."""
    parcels = sorted({each.parcel for each in files})
    kinds = dict.fromkeys(each.kind for each in sorted(files, key=lambda each: (each.by_person, each.kind)))
    parts = [f"{kind} ({_amount([each for each in files if each.kind == kind])})" for kind in kinds]
    owners = Counter(owner for each in files for owner in each.owners)
    whose = some(f"{owner} ({count:,} files)" if len(owners) > 1 else owner for owner, count in owners.items())
    count = f"parcel {parcels[0]}" if len(parcels) == 1 else f"{len(parcels):,} parcels ({some(parcels, 5)})"
    return f"{count}: {', '.join(parts)}; files of {whose}"


def by_person(files: Sequence[Leftover]) -> str:
    """Summarize the files made by a person; "" if there are none."""
    by_name = ((each.kind if each.kind == NOTES else each.file.name, each) for each in files if each.by_person)
    return some(f"{name} of parcel {each.parcel} ({_size(each.size)}, of {each.owner})" for name, each in by_name)


def delete(files: Sequence[Leftover], *, also_by_person: bool = False) -> int:
    """Delete files and folders that become empty; returns the number of files.

    What a person made stays unless `also_by_person`, and what another person made always; notes in temp/ are then moved
    to data/.

    Raises:
        ConfigError: one cannot be deleted.
    """
    gone = [each for each in files if not each.by_person or (also_by_person and not each.of_another)]
    for each in files:
        if each.file.name == folders.NOTES and each not in gone and each.file.is_relative_to(Workspace.here().temp):
            folders.adopt_notes(each.file)
    for each in gone:
        _unlink(each.file)
    delete_empty(dict.fromkeys(each.folder for each in files))
    return len(gone)


def delete_empty(parcel_folders: Iterable[Path]) -> None:
    """Delete folders that contain no files.

    Raises:
        ConfigError: one cannot be deleted.
    """
    for folder in parcel_folders:
        _remove_empty(folder)


def _of_folder(folder: Path) -> list[Leftover]:
    parcel = " ".join([folder.parent.parent.name, folder.parent.name, folders.pid_of(folder)])
    try:
        files = sorted(each for each in folder.rglob("*") if each.is_symlink() or not each.is_dir())
        return [
            Leftover(
                parcel, _kind(file.relative_to(folder).as_posix()), _owners(file), file.lstat().st_size, file, folder
            )
            for file in files
        ]
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}; check its rights") from error


def _kind(name: str) -> str:
    if name in (folders.NOTES, note_history.FILE):
        return NOTES
    folder, _, file = name.rpartition("/")
    fitting = (
        kind
        for kind, places, patterns in _KINDS
        if folder.partition("/")[0] in places and any(fnmatch(file, each) for each in patterns)
    )
    return next(fitting, OTHERS)


def _owners(file: Path) -> tuple[str, ...]:
    """Who wrote notes; the owner of another file."""
    noted = file.with_name(folders.NOTES)
    authors = note_history.authors(noted) if file.name in (folders.NOTES, note_history.FILE) else []
    return tuple(authors) or (note_history.owner(file),)


def _unlink(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{file} cannot be deleted: {error.strerror}; check its rights") from error


def _remove_empty(folder: Path) -> None:
    """Delete a folder that contains no files."""
    if folder.is_dir() and not any(each.is_symlink() or not each.is_dir() for each in folder.rglob("*")):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be deleted: {error.strerror}; check its rights") from error


def _amount(files: Sequence[Leftover]) -> str:
    return f"{len(files):,} file{'s' * (len(files) != 1)}, {_size(sum(each.size for each in files))}"


def _size(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
