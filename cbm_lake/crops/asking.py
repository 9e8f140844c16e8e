"""What a crop check is asked for: the day, the promise and the groups, as callers write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final

from cbm_lake.crops.settings import Settings, settings_of
from cbm_lake.errors import InvalidInputError, NotFoundError, quoted
from cbm_lake.files import clock
from cbm_lake.files.dates import day_of
from cbm_lake.files.documents import read_yaml
from cbm_lake.files.validation import meant
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import lastday

_PERCENT: Final = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*(%?)\s*")
_APART: Final = ("alpha", "groups", "seed")
"""Settings that are arguments of their own."""
_SEVERAL: Final = ("size_limits_m2",)
"""Settings that are several numbers."""
Groups = Mapping[str, str] | str | Path | None
"""Group by crop, or a YAML file of it (crop: group)."""


def settings(alpha: float | str, groups: Groups, seed: int, others: Mapping[str, object] | None) -> Settings:
    """The settings of a check.

    Args:
        alpha: the promised error: a share, or a text such as "5%".
        groups: of crops.
        seed: of all random choices.
        others: further settings by name.

    Raises:
        InvalidInputError: one is outside what is accepted or said twice, or the file is no mapping of crops.
    """
    return settings_of(alpha=share_of(alpha), groups=groups_of(groups), seed=seed, **further(others or {}))


def further(others: Mapping[str, object]) -> dict[str, object]:
    """Further settings by name; numbers with commas between them are several.

    Raises:
        InvalidInputError: there is no such setting, or it is given by itself: alpha, groups, seed.
    """
    names = [name for name in Settings.model_fields if name not in _APART]
    for name in others:
        if name in _APART:
            raise InvalidInputError(f"{name} is no further setting, but is given by itself; give it there alone")
        if name not in names:
            raise InvalidInputError(f"there is no setting {name!r} of a crop check; {meant(name, names)}")
    return {
        name: tuple(value.split(",")) if name in _SEVERAL and isinstance(value, str) else value
        for name, value in others.items()
    }


def share_of(alpha: float | str) -> float:
    """A share as a number: 0.05 of 0.05, "0.05", "5%" and "5 %"; a bare 5 is refused, as it may mean either."""
    match = _PERCENT.fullmatch(alpha) if isinstance(alpha, str) else None
    if isinstance(alpha, str) and match is None:
        raise InvalidInputError(f"the promised error (alpha) is a share such as 5% or 0.05, not {quoted(alpha)}")
    number = float(match[1].replace(",", ".")) if match else float(alpha)
    share = number / 100 if match and match[2] else number
    if not 0 < share <= 0.5:
        advice = f"; write {number:g}%" if number >= 1 and not (match and match[2]) else ""
        raise InvalidInputError(
            f"the promised error (alpha) is a share above 0 and up to 50%, not {quoted(alpha)}{advice}"
        )
    return share


def groups_of(groups: Groups) -> dict[str, str] | None:
    """Group by crop; None where there are none.

    Raises:
        InvalidInputError: the file cannot be read, or is no mapping of texts.
    """
    if groups is None:
        return None
    document = groups if isinstance(groups, Mapping) else _document(Path(groups))
    if not isinstance(document, Mapping) or not all(
        isinstance(text, str) for pair in document.items() for text in pair
    ):
        said = str(groups) if isinstance(groups, Path) else groups
        raise InvalidInputError(
            f"groups are pairs of texts, of each crop the group (crop: group), which {quoted(said)} are not"
        )
    return dict(document)


def _document(file: Path) -> object:
    """What a file of groups says."""
    if not file.is_file():
        raise InvalidInputError(f"there is no file {file} of groups of crops; check the path")
    return read_yaml(file, texts=True)


def last_day(lake: Lake, parcels: ParcelSet, day: date | str | None) -> date:
    """The last day that a check may use: the one asked for, else the last one with an extracted scene.

    Raises:
        InvalidInputError: it is no day, or has not come yet.
        NotFoundError: none is asked for, and no scene was extracted.
    """
    if day is not None:
        asked = day_of(day)
        if asked >= lastday.tomorrow().date():
            raise InvalidInputError(
                f"{asked} has not come yet (this machine's clock says {clock.now():%Y-%m-%d}); "
                "name no day to use all that was seen"
            )
        return asked
    last = lastday.last_day(lake, parcels)
    if last is None:
        raise NotFoundError(f"nothing was extracted over {parcels.name}; extract Sentinel-2 first")
    return min(last, date(parcels.year, 12, 31))
