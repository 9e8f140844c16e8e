"""The parcel set that a command is about where none is named: that of the settings, or the only one of the lake."""

from __future__ import annotations

import typer

from cbm_lake.errors import InvalidInputError


def area(context: typer.Context, value: str) -> str:
    """The area that is given, of the settings, or the only one; a callback of --aoi.

    Raises:
        InvalidInputError: the lake has none, or several.
    """
    if value or context.resilient_parsing:
        return value
    from cbm_lake.config import Workspace

    return Workspace.here().config.set.dataset or _only("--aoi", {aoi for aoi, _ in _sets()})


def year(context: typer.Context, value: int) -> int:
    """The year that is given, of the settings, or the only one of the area; a callback of --year.

    Raises:
        InvalidInputError: the area has none, or several.
    """
    if value or context.resilient_parsing:
        return value
    from cbm_lake.config import Workspace

    settings = Workspace.here().config.set
    aoi = str(context.params.get("aoi") or "").lower()
    if settings.ds_year and settings.dataset.lower() in ("", aoi):
        return _number(settings.ds_year)
    return int(_only("--year", {str(number) for name, number in _sets() if aoi in ("", name)}))


def _sets() -> set[tuple[str, int]]:
    """Areas and years of which the lake has parcels."""
    from cbm_lake.lake import open_lake

    return {(parcels.aoi, parcels.year) for parcels in open_lake().parcel_sets()}


def _only(option: str, names: set[str]) -> str:
    """The only name, said on standard error.

    Raises:
        InvalidInputError: there is none, or several.
    """
    from cbm_lake.cli.shared import err

    if len(names) != 1:
        there = f"there are {', '.join(sorted(names))}" if names else "no parcels are loaded yet"
        raise InvalidInputError(f"say which by {option}: {there}")
    (name,) = names
    err.print(f"{option} {name}: the only one in the lake", style="dim", markup=False, highlight=False, soft_wrap=True)
    return name


def _number(text: str) -> int:
    """The year of the settings.

    Raises:
        InvalidInputError: it is none.
    """
    if not text.strip().isdecimal():
        raise InvalidInputError(f"set.ds_year of the settings is {text!r}, no year; correct it, or give --year")
    return int(text)
