"""What a crop check is asked for: the day, the promise and the groups, as callers write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final

from cbm_lake.crops.settings import Settings, settings_of
from cbm_lake.errors import InvalidInputError, NotFoundError, quoted, some
from cbm_lake.files import clock
from cbm_lake.files.dates import day_of
from cbm_lake.files.documents import read_yaml
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import lastday

_PERCENT: Final = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*(%?)\s*")
Groups = Mapping[str, str] | str | Path | None
"""Group by crop, or a YAML file of it (crop: group)."""


def settings(alpha: float | str, groups: Groups, others: Mapping[str, object]) -> Settings:
    """The settings of a check.

    Args:
        alpha: the promised error: a share, or a text such as "5%".
        groups: of crops.
        others: further settings by name.

    Raises:
        InvalidInputError: one is outside what is accepted or said twice, or the file is no mapping of crops.
    """
    if twice := {"alpha", "groups"} & others.keys():
        raise InvalidInputError(
            f"{some(sorted(twice))} is said by an option of its own, not among the further settings"
        )
    return settings_of(alpha=share_of(alpha), groups=groups_of(groups), **others)


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
    document = groups if isinstance(groups, Mapping) else read_yaml(Path(groups), texts=True)
    if not isinstance(document, Mapping) or not all(
        isinstance(text, str) for pair in document.items() for text in pair
    ):
        raise InvalidInputError(
            f"groups are pairs of texts, of each crop the group (crop: group), which {quoted(groups)} are not"
        )
    return dict(document)


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
