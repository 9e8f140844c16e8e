"""Reads the column mapping of parcel tables from the original library's datasets.json or main.json."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files.documents import load_json
from cbm_lake.migration.declared import Columns

log = logging.getLogger(__name__)

_SECTIONS: Final = ("pcolumns", "columns")
_NAMES: Final = {
    "pid": ("parcel_id", "parcels_id", "id"),
    "crop_name": ("crop_name", "crop_names"),
    "crop_code": ("crop_code", "crop_codes"),
}
"""By our option, how the original's settings call it."""


def completed(columns: Columns, path: str | Path, key: tuple[str, int, str]) -> Columns:
    """Column mapping of the caller, completed from the settings.

    Args:
        columns: as the caller says them.
        path: datasets.json or main.json.
        columns: area, year, and kind, of which the settings of that name are meant where there are several.

    Raises:
        SourceError: the file is not there or is no JSON.
        InvalidInputError: it names no columns, or those of several sets of which none has that name.
    """
    named = _select(path, list(_sections(_document(path), "")), key)
    names = {option: getattr(columns, option) or named.get(option) for option in _NAMES}
    log.warning("%s: %s", path, ", ".join(f"{option} is column {name}" for option, name in named.items()))
    return replace(columns, **names)


def _document(path: str | Path) -> object:
    try:
        return load_json(Path(path).read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read ({error}); give the original's datasets.json") from error


def _sections(document: object, name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each set of columns that a document names, with the keys that lead to it."""
    if isinstance(document, list):
        for item in document:
            yield from _sections(item, name)
    if not isinstance(document, Mapping):
        return
    for key, value in document.items():
        if key in _SECTIONS and isinstance(value, Mapping):
            columns = {
                option: next((str(value[theirs]) for theirs in names if value.get(theirs)), None)
                for option, names in _NAMES.items()
            }
            yield name.strip("/"), {option: column for option, column in columns.items() if column}
        else:
            yield from _sections(value, f"{name}/{key}")


def _select(path: str | Path, sections: list[tuple[str, dict[str, str]]], key: tuple[str, int, str]) -> dict[str, str]:
    """The set of columns that belongs to an area and year."""
    sections = [(name, columns) for name, columns in sections if columns]
    if not sections:
        raise InvalidInputError(
            f"{path} names no columns (pcolumns) of parcels; say them by pid=, crop_name=, crop_code="
        )
    if len({tuple(columns.items()) for _, columns in sections}) == 1:
        return sections[0][1]
    aoi, year, ptype = key
    here = [(name, columns) for name, columns in sections if aoi in name.lower() and str(year) in name]
    here = [one for one in here if ptype and ptype in one[0].lower().split(str(year))[-1]] or here
    if len({tuple(columns.items()) for _, columns in here}) != 1:
        raise InvalidInputError(
            f"{path} names the columns of several sets ({some(name for name, _ in sections)}), of which not exactly "
            f"one is of {aoi} {year}; say them by pid=, crop_name=, crop_code="
        )
    return here[0][1]
