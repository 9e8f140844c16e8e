"""Rules on parcels and another set of areas: sensitive grassland (GAEC 9), and reference parcels."""

from __future__ import annotations

import logging
import math
from typing import Final

import numpy as np
import pyarrow as pa

from cbm_lake.errors import InvalidInputError, NotFoundError, quoted, wrong_argument
from cbm_lake.files.validation import meant
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.years import landbefore
from cbm_lake.years.classes import GRASS, Crops, crops
from cbm_lake.years.findings import findings
from cbm_lake.years.overlays import inside
from cbm_lake.years.rules import CONFIDENCE, SLIVERS, share

log = logging.getLogger(__name__)

BUFFER: Final = 1.25
"""Metres along the perimeter, and `MOST` square metres, within which an area is tolerated: the limits that Article
38(4) of Regulation (EU) 809/2014 set to measurements of parcels; they remain common practice."""
MOST: Final = 10_000.0
_UNIT: Final = 5.0
"""How many times more or less than its outline's area a usual parcel's claim is at most: other units differ more."""
_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "x", "ja", "j", "oui", "o", "si", "sí", "s", "tak"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "", "nein", "non", "nee", "nie"})


@checked
def sensitive(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    areas: str | None = None,
    column: str | None = None,
    years: int = 5,
    grass: Crops | None = None,
    slivers: float = SLIVERS,
    confidence: float = CONFIDENCE,
    lake: Lake | None = None,
) -> pa.Table:
    """Sensitive grassland that was ploughed for the first time (GAEC 9).

    GAEC 9 forbids to convert or plough permanent grassland that is designated as environmentally sensitive in Natura
    2000 sites (Regulation (EU) 2021/2115, Annex III). Where that is, a set of areas or a column of the parcels says.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set, in all years; None is the main one.
        areas: the ptype of a set of sensitive areas, of `year` or else of the latest year before.
        column: of the parcel file, that says which parcels are sensitive: true or false, 1 or 0, yes or no.
        years: successive years, with `year`, in the others of which there was no ploughing.
        grass: crops that are grass, see `cbm_lake.years.classes`; None is `GRASS`.
        slivers: share (0 to 1) of a parcel that is left out of account.
        confidence: of a ploughing marker from which on a parcel counts as ploughed, 0 to 1.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of `findings.FINDINGS`, a row "ploughed for the first time" per parcel in a sensitive area. It
        holds where there is a ploughing marker of `year`, the land was grass the year before (or is grass now, where
        nothing else is on record of then), and on it ploughing was looked for in all earlier years and not detected;
        where one of these is true of part of the land, it cannot be said. area_m2 is the part in the sensitive area.

    Raises:
        NotFoundError: no such parcels or areas were loaded, or no such column is in the parcel file.
        InvalidInputError: neither or both of areas and column are given, the column says neither yes nor no, or
            another argument is outside its range.
    """
    lake = lake_or_default(lake)
    if (areas is None) == (column is None):
        raise InvalidInputError(
            "say where the sensitive areas are: areas= names a parcel set, column= a column; one of them",
            plain="say where the sensitive areas are, by a parcel set or by a column; one of them",
        )
    params = {"grass": crops(grass, GRASS, "grass"), "slivers": share(slivers, "slivers")}
    params |= {"years": landbefore.span(years), "confidence": share(confidence, "confidence")}
    parcels = lake.parcel_set(aoi, year, ptype)
    if column is not None:
        designated = _by_column(lake, parcels, column)
    else:
        overlays = inside(lake, parcels, _set_of(lake, parcels, areas or ""))
        designated = [{"pid": each.pid, "area_m2": each.inside_m2} for each in overlays]
    landbefore.provide(lake, parcels, years)
    rows = lake.query("years.sensitive_ploughed", **parcels.params, **params, sensitive=designated)
    return findings(rows, parcels)


@checked
def reference(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    areas: str = "reference",
    claimed: str | None = None,
    buffer: float = BUFFER,
    most: float = MOST,
    lake: Lake | None = None,
) -> pa.Table:
    """Area grown beyond its reference: parcels against the reference parcels of the identification system (LPIS).

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        areas: the ptype of the reference parcels, of `year` or else of the latest year before.
        claimed: column of the parcel file with the claimed area in hectares, where that may be more than the outline's.
        buffer: metres along a parcel's perimeter that are tolerated.
        most: square metres that are tolerated at most.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of `findings.FINDINGS`, a row "within its reference" per parcel; area_m2 is what lies outside,
        or is claimed beyond what lies within.

    Raises:
        NotFoundError: no such parcels or reference parcels were loaded, or no such column is in the parcel file.
        InvalidInputError: an argument is outside its range, or the claimed areas are no numbers of hectares.
    """
    lake = lake_or_default(lake)
    parcels = lake.parcel_set(aoi, year, ptype)
    for name, value in (("buffer", buffer), ("most", most)):
        if not (math.isfinite(value) and value >= 0):
            raise InvalidInputError(f"{name}={value:g} is not right: a number, 0 or more")
    overlays = inside(lake, parcels, _set_of(lake, parcels, areas))
    claims = {} if claimed is None else _claims(lake, parcels, claimed)
    covered = [{**each.row, "claimed_m2": claims.get(each.pid)} for each in overlays]
    rows = lake.query("years.beyond_reference", **parcels.params, covered=covered, buffer=buffer, most_m2=most)
    return findings(rows, parcels)


def _set_of(lake: Lake, parcels: ParcelSet, areas: str) -> ParcelSet:
    """The set of areas of a year, or the latest before it."""
    if areas == parcels.ptype:
        raise wrong_argument("areas", f"{quoted(areas)} are the parcels themselves; name the set of areas")
    fitting = [each for each in lake.parcel_sets() if each.aoi == parcels.aoi and each.ptype == areas]
    before = [each for each in fitting if each.year <= parcels.year]
    if not before:
        names = ", ".join(each.name for each in lake.parcel_sets())
        raise NotFoundError(
            f"no areas {areas!r} of {parcels.aoi} {parcels.year} or before; load them as a parcel set of that ptype; "
            f"there are: {names}"
        )
    latest = max(before, key=lambda each: each.year)
    if latest.year != parcels.year:
        log.warning("%s: areas %s are those of %d, the latest year that there is", parcels.name, areas, latest.year)
    return latest


def _claims(lake: Lake, parcels: ParcelSet, column: str) -> dict[str, float | None]:
    """The claimed area of each parcel, in m²."""
    table = _with_column(lake, parcels, column)
    try:
        hectares = table[column].cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInputError(f"column {column} of {parcels.name} is no number of hectares") from error
    ratio = np.nanmedian(hectares / table["area"].to_numpy()) if np.isfinite(hectares).any() else np.nan
    if not 1 / _UNIT <= ratio <= _UNIT:
        raise InvalidInputError(
            f"column {column} of {parcels.name} is not the area in hectares: "
            f"half of the parcels have {ratio:.3g} times the area of their outline, or more"
        )
    squares = [None if np.isnan(value) else float(value) * 10_000 for value in hectares]
    return dict(zip(table["id"].to_pylist(), squares, strict=True))


def _with_column(lake: Lake, parcels: ParcelSet, column: str) -> pa.Table:
    """Identifiers, areas and a column of the parcel file."""
    names = lake.schema_of_parcels(parcels).names
    if column not in names:
        raise NotFoundError(f"the parcels of {parcels.name} have no column {column!r}; {meant(column, names)}")
    return lake.read_parcels(parcels, ["id", "area", column])


def _by_column(lake: Lake, parcels: ParcelSet, column: str) -> list[dict[str, object]]:
    """The parcels that a column of the parcel file calls sensitive, with their areas."""
    table = _with_column(lake, parcels, column)
    rows = zip(table["id"].to_pylist(), table["area"].to_pylist(), table[column].to_pylist(), strict=True)
    return [{"pid": pid, "area_m2": area * 10_000} for pid, area, value in rows if _is_true(value, column, pid)]


def _is_true(value: object, column: str, pid: str) -> bool:
    text = "" if value is None else str(value).strip().lower().removesuffix(".0")
    if text not in _TRUE | _FALSE:
        raise InvalidInputError(
            f"column {column} of parcel {pid} is {quoted(value)}, which is neither yes nor no; give a column of 1 and 0"
        )
    return text in _TRUE
