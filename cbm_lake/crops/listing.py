"""Verdicts and checks as they are recorded in the lake."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.crops.verdicts import CANNOT_SAY, VERDICTS
from cbm_lake.errors import InvalidInputError, NotFoundError, quoted
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.cropchecks import promise

log = logging.getLogger(__name__)


@checked
def ranked(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    verdict: str | None = None,
    crop_group: str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """The verdicts of the last check of a parcel set as a ranked list, with what was declared and the outlines.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        verdict: only these: agrees, disagrees or cannot say.
        crop_group: only the parcels whose declared crop is of this group.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of the query crops.ranked, the least likely declaration first.

    Raises:
        NotFoundError: no such parcels were loaded, or they were never checked.
        InvalidInputError: there is no such verdict.
    """
    lake = lake_or_default(lake)
    if verdict is not None and verdict not in VERDICTS:
        raise InvalidInputError(f"there is no verdict {quoted(verdict)}; choose {', '.join(VERDICTS)}")
    parcels = lake.parcel_set(aoi, year, ptype)
    last_run(lake, parcels)
    rows = lake.query("crops.ranked", **parcels.params, verdict=verdict, crop_group=crop_group)
    if rows.num_rows and not pc.all(rows["is_current"]).as_py():
        log.warning("the parcels of %s are others than those that were checked; check again", parcels.name)
    return rows


@checked
def runs(aoi: str, year: int, ptype: str | None = None, *, lake: Lake | None = None) -> pa.Table:
    """The checks of a parcel set, the last one first: the columns of the query crops.runs.

    Raises:
        NotFoundError: no such parcels were loaded.
    """
    lake = lake_or_default(lake)
    return lake.query("crops.runs", **lake.parcel_set(aoi, year, ptype).params, run=None)


def last_run(lake: Lake, parcels: ParcelSet) -> dict[str, object]:
    """The check whose verdicts are in force: a row of the query crops.runs.

    Raises:
        NotFoundError: the parcels were never checked.
    """
    rows = lake.query("crops.runs", **parcels.params, run=None)
    in_force: list[dict[str, object]] = rows.filter(pc.greater(rows["verdicts"], 0)).to_pylist()
    if not in_force:
        raise NotFoundError(f"the crops of {parcels.name} were never checked; check them first")
    return in_force[0]


def in_words(run: Mapping[str, object]) -> list[str]:
    """What a check promised, what that cost, and how good it is: sentences from a row of the query crops.runs."""
    figures = json.loads(str(run["figures"]))
    counts, parcels = figures["verdicts"], figures["parcels"]
    verdicts = ", ".join(f"{counts.get(verdict, 0):,} {verdict}" for verdict in VERDICTS)
    undecided = counts.get(CANNOT_SAY, 0) / parcels
    promised = promise(float(str(run["alpha"])), str(run["settings"]))
    lines = [
        f"{parcels:,} parcels by what was seen until {run['day']}: {verdicts}",
        f"promised: {promised}; undecided are {undecided:.1%} of the parcels",
    ]
    if figures.get("accuracy") is not None:
        of_groups = (
            f", {figures['accuracy_of_groups']:.1%} by groups of crops" if "accuracy_of_groups" in figures else ""
        )
        lines.append(f"{figures['accuracy']:.1%} of the parcels are predicted as declared{of_groups}")
    if figures["missing"]:
        lines.append(f"judged without {'; '.join(figures['missing'])}")
    return [*lines, *figures.get("warnings", [])]
