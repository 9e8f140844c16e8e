"""The traffic light: the colour that the rules of a scenario give to each parcel, and on which day."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import grounds, remembered
from cbm_lake.markers.claims import ColumnError
from cbm_lake.markers.court import Court, court_of
from cbm_lake.markers.cropchecks import NotCheckedError
from cbm_lake.markers.parameters import Parameters, read

log = logging.getLogger(__name__)
REFUSED: Final = b"refused"
"""In the metadata of lights: why scenarios that were asked for cannot be judged, by their names, as JSON."""
COLOURS: Final = ("green", "yellow", "red", "not yet due", "cannot be seen")
"""What a light can show."""


@checked
def traffic_light(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    scenarios: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | str | Path | None = None,
    pids: Sequence[str] | None = None,
    day: date | str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """The colour of each parcel in each scenario that applies to it as of the end of a day, with the reason.

    Red is final: clear looks that are added later never change it, as it rests on what was seen up to the day on which
    it was settled, when it was the same whatever might be seen next. docs/markers.md describes when that is.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        scenarios: names of scenarios; None is all but the examples.
        parameters: overrides of cbm_lake/markers/defaults.yaml; those that the markers were found with.
        pids: only these parcels.
        day: nothing later is used (date, or ISO text); None is the last day with an extracted scene of the set.
        lake: the lake; None is the workspace's.

    Returns:
        pid, crop_name, scenario, colour (one of `COLOURS`), reason, and the evidence: how many markers the rule that
        decided counts (events, null where it counts none or requires their absence), date_start and date_end of these
        or of the clear looks, and the confidence: the greatest of these, or n / (n + 1) of n clear looks. Dates and
        confidence are null where nothing is judged. At last due, when it is judged, or was: the date of the rule that
        decided where it has its own, and before anything is said that of the next rule. Parcels without a due date, as
        their claim is null and the scenario names no other day, have no row. A parcel whose claim cannot be read, or
        contradicts itself, is yellow, says why, and has no due date. A scenario of several that asks for a claim that
        is no column of the parcel file, or of the wrong type, is left out with a warning.

    Raises:
        NotFoundError: no such parcels were loaded, one of `pids` is not among them, or no markers were found yet; or a
            scenario asks for an attribute that no raster gave, see `cbm_lake.parcels.describe`, or is named and asks
            for a crop check where none was made.
        InvalidInputError: there is no such scenario, a parameter is unknown or out of range, a scenario counts a marker
            that no detector gives, or each asks for a claim that is no column of the parcel file or of the wrong type.
    """
    lake = lake_or_default(lake)
    parcels, resolved = lake.parcel_set(aoi, year, ptype), read(parameters)
    names = scenario_names(scenarios, resolved)
    lights = _colours(court_of(lake, parcels, resolved, names, pids, day), names, named=scenarios is not None)
    for reason in refusals(lights).values():
        log.warning("%s", reason)
    return lights.drop_columns("turned")


def nightly(
    lake: Lake, parcels: ParcelSet, parameters: Parameters, scenarios: Sequence[str] | None, day: date
) -> pa.Table:
    """The result of `traffic_light` for all parcels of a set, at the cost of what is new since the last call.

    Verdicts that nothing can have changed since then are remembered in the lake; see `markers.remembered`.

    Returns:
        The columns of `traffic_light`, and turned: the day that had to come for each light, whatever was seen. It is
        the due date of the rule that decided, or the end of the time in which clear looks were waited for; null where
        no day had to be waited for. Why scenarios were not judged is in its metadata alone, see `refusals`: who records
        the night says it.
    """
    names = scenario_names(scenarios, parameters)
    court = court_of(lake, parcels, parameters, names, None, day)
    docket = remembered.docket(lake, parcels, court.case)
    lights = _colours(replace(court, docket=docket), names, named=scenarios is not None)
    remembered.save(lake, parcels, docket.now)
    return lights


def _colours(court: Court, scenarios: Sequence[str], *, named: bool) -> pa.Table:
    """The lights of the scenarios, whether or not they were asked for by name, parcel by parcel; see `refusals`."""
    parts, refused = _judged(court, scenarios, named=named)
    lights = pa.concat_tables(parts).sort_by([("pid", "ascending")]) if parts else _empty()
    return lights.replace_schema_metadata({REFUSED: json.dumps(refused)} if refused else None)


@checked
def evidence(
    aoi: str,
    year: int,
    pid: str,
    scenario: str,
    ptype: str | None = None,
    *,
    parameters: Mapping[str, Any] | str | Path | None = None,
    day: date | str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """What the light of a parcel in a scenario rests on: the markers that count, and all looks, clear or not.

    Arguments and errors are those of `traffic_light`.

    Returns:
        One row per marker that the rule which decided counts, one per clear look (marker `look`), and one per look that
        does not count (`unclear look`), up to the day of whose end the verdict is: marker, marker_type, date_start,
        date_main, date_end, value_1 (of looks the NDVI), value_2 (of unclear ones the share of classified pixels that
        are screened, 0 to 1), value_3 (of unclear ones the share of the parcel that was seen, 0 to 1), confidence, and
        why_not, in words why a look does not count. Empty where the scenario does not apply to the parcel, or no scene
        was extracted over it.
    """
    lake = lake_or_default(lake)
    resolved = read(parameters)
    (name,) = scenario_names([scenario], resolved)
    parcels = lake.parcel_set(aoi, year, ptype)
    court = court_of(lake, parcels, resolved, [name], [pid], day)
    court.require_checks(name)
    return grounds.rows_of(lake, parcels, court, name)


def refusals(table: pa.Table) -> dict[str, str]:
    """Why scenarios cannot be judged, by their names, as the metadata of lights or of recorded changes says."""
    reasons: dict[str, str] = json.loads((table.schema.metadata or {}).get(REFUSED, b"{}"))
    return reasons


def _judged(court: Court, names: Sequence[str], *, named: bool) -> tuple[list[pa.Table], dict[str, str]]:
    """The lights of scenarios, and why some cannot be judged: the others go on.

    Raises:
        ColumnError: none of them can be judged.
        NotCheckedError: none of them can, and they were asked for by name.
    """
    parts: list[pa.Table] = []
    refused: dict[str, str] = {}
    for name in names:
        try:
            if named:
                court.require_checks(name)
            parts.append(court.colours(name))
        except (ColumnError, NotCheckedError) as error:
            if len(refused) + 1 == len(names):
                raise
            refused[name] = f"{error}; it is not judged"
    return parts, refused


def scenario_names(scenarios: Sequence[str] | None, parameters: Parameters) -> list[str]:
    """The names of the scenarios that are asked about; None is all but the examples.

    Raises:
        InvalidInputError: there is no such scenario.
    """
    if scenarios is None:
        return [name for name, scenario in parameters.scenarios.items() if not scenario.example]
    unknown = sorted(set(scenarios) - set(parameters.scenarios))
    if unknown:
        raise InvalidInputError(f"there is no scenario {unknown[0]!r}; there are: {', '.join(parameters.scenarios)}")
    return list(scenarios)


def _empty() -> pa.Table:
    names = ("pid", "crop_name", "scenario", "colour", "reason")
    return pa.schema(
        [
            *(pa.field(name, pa.string()) for name in names),
            ("events", pa.int64()),
            ("date_start", pa.date32()),
            ("date_end", pa.date32()),
            ("confidence", pa.float64()),
            ("due", pa.date32()),
            ("turned", pa.date32()),
        ]
    ).empty_table()
