"""Files and folders that a season reads: are they there, and are their addresses such as can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cbm_lake import parcels
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files.validation import Path as Keys
from cbm_lake.files.validation import Problem
from cbm_lake.lake import Lake
from cbm_lake.season.file import Area
from cbm_lake.season.sources import Files, Products, Source
from cbm_lake.storage import stores
from cbm_lake.storage.credentials import without_secrets

_WILD = re.compile(r"[*?\[{]")
"""Where the pattern of names begins."""


def without_parcels(areas: Mapping[int, Area], lake: Lake) -> Iterator[Problem]:
    """Areas that name no file and of which the lake has no parcels; one that is named twice is said by its second."""
    there = {(one.aoi, one.year, one.ptype) for one in lake.parcel_sets()}
    with_file = {area.key for area in areas.values() if area.parcels is not None}
    first = {area.key: number for number, area in reversed([*areas.items()])}
    for number, area in areas.items():
        if area.key not in there | with_file and first[area.key] == number:
            reason = f"no parcels of {area.name} are in the lake; write parcels: {{path: …}}, or load them first"
            yield Problem(("areas", number), reason)


def misnamed(areas: Mapping[int, Area], folder: Path) -> Iterator[Problem]:
    """Columns, layers and encodings that the files of parcels have not; a file that cannot be read fails its step.

    Args:
        areas: by their number in the file.
        folder: in which relative paths are.
    """
    for number, area in areas.items():
        source, keys = area.parcels, ("areas", number, "parcels")
        if source is None or "://" in source.path or not (folder / source.path).exists():
            continue
        options = source.model_dump(exclude={"path", "crs", "hcat"})
        try:
            for option, reason in parcels.misnamed(folder / source.path, **options).items():
                yield Problem((*keys, option), f"{source.path}: {reason}")
        except InvalidInputError as error:
            text = str(error)
            named = next((option for option in ("layer", "encoding") if f"{option}=" in text), None)
            if named:
                yield Problem((*keys, named), text.replace(f"{named}=", f"{named}: "))
        except SourceError:
            continue


def missing(areas: Mapping[int, Area], sources: Mapping[int, Source], folder: Path) -> Iterator[Problem]:
    """What is not there, or cannot be read from where it is said to be.

    Args:
        areas: by their number in the file.
        sources: the same.
        folder: in which relative paths are.
    """
    for path, text in _paths(areas, sources):
        unread = _unreadable(text, folder)
        if unread and not (path[-1] == "products" and "://" in text):
            yield Problem(path, unread)
    for number, source in sources.items():
        if isinstance(source, Products):
            reason = _no_folder(source, folder)
        elif isinstance(source, Files):
            base = _WILD.split(source.files, maxsplit=1)[0]
            reason = _unreadable(base if "://" in base else str(Path(f"{base}_").parent), folder)
        else:
            continue
        if reason:
            yield Problem(("sources", number, source.kind), reason)


def _no_folder(source: Products, folder: Path) -> str | None:
    """Why products cannot be in it; None where they may be, or it is not there, which is said anyway."""
    if "://" in source.products:
        return f"products are read from a folder of this machine, not from {source.name}"
    return f"{source.products} is a file; name the folder of products" if (folder / source.products).is_file() else None


def files(areas: Mapping[int, Area], sources: Mapping[int, Source], folder: Path) -> dict[Keys, Path]:
    """The files and folders of this machine that are read as a whole."""
    return {
        path: folder / text
        for path, text in _paths(areas, sources)
        if "://" not in text and not isinstance(sources.get(int(path[1])) if path[0] == "sources" else None, Products)
    }


def _paths(areas: Mapping[int, Area], sources: Mapping[int, Source]) -> Iterator[tuple[Keys, str]]:
    """What is named as a file, folder or URL, by its key."""
    for number, area in areas.items():
        if area.parcels is not None:
            yield ("areas", number, "parcels", "path"), area.parcels.path
    for number, source in sources.items():
        if source.input is not None:
            yield ("sources", number, source.kind), source.input


def _unreadable(text: str, folder: Path) -> str | None:
    """Why a path or URL cannot be read; None where it may be."""
    if stores.is_distant(text):
        return None
    if "://" in text and not text.startswith("file://"):
        scheme = text.partition("://")[0]
        named = f"{without_secrets(text)}: nothing is read by {scheme}://"
        return f"{named}; give a path, or a URL of http, https, s3, az or gs"
    path = folder / stores.local_path(text)
    return None if path.exists() else f"there is no {text or 'file without a name'} (in {folder}); check the path"
