"""The lineage that the rules ask for: what of it there is, what has to be computed, what is missing."""

from __future__ import annotations

import logging

from cbm_lake.errors import wrong_argument
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet, geometry_part
from cbm_lake.parcels import lineage

log = logging.getLogger(__name__)

MOST_YEARS = 30
"""Successive years that can be asked for."""


def span(value: int, least: int = 2) -> int:
    """The number of successive years that a rule looks at.

    Raises:
        InvalidInputError: it is outside of what makes sense.
    """
    if not least <= value <= MOST_YEARS:
        raise wrong_argument("years", f"{value} is not right: a number of successive years, {least} to {MOST_YEARS}")
    return value


def provide(lake: Lake, parcels: ParcelSet, years: int) -> None:
    """Compute the lineage from each of the years before, where the lake has none of the outlines in force.

    What cannot be had is logged: years without parcels.
    """
    sets = {each.year: each for each in lake.parcel_sets() if (each.aoi, each.ptype) == (parcels.aoi, parcels.ptype)}
    before = [parcels.year - number for number in range(1, years)]
    missing = [year for year in before if year not in sets]
    if missing:
        listed = ", ".join(map(str, missing))
        log.warning("%s: there are no parcels of %s, so nothing is said of these years", parcels.name, listed)
    for year in before:
        if year in sets and not _is_known(lake, parcels, sets[year]):
            _compute(lake, parcels, year)


def _is_known(lake: Lake, parcels: ParcelSet, before: ParcelSet) -> bool:
    """Whether the lake has the lineage between the outlines in force."""
    versions = {"version": geometry_part(parcels.version), "version_before": geometry_part(before.version)}
    key = {**parcels.params, "year_before": before.year}
    return bool(lake.query("years.lineage_of", **key, **versions).num_rows)


def _compute(lake: Lake, parcels: ParcelSet, year: int) -> None:
    if lake.as_of is not None:
        log.warning("%s: the lake had no lineage from %d then, so nothing is said of that year", parcels.name, year)
        return
    log.info("%s: computing the lineage from %d", parcels.name, year)
    lineage(parcels.aoi, parcels.year, year, parcels.ptype or None, lake=lake)
