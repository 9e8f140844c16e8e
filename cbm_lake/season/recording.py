"""Changes of lights, markers and scenes: each is recorded once, and all of them add up to the present state.

There is one table, of changes; what is present is their sum. A night compares it with what the lake says now and adds
the difference in one commit, numbered by parcel set: where it is killed, all of it is recorded or nothing, and of two
who record at once the second one compares again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa

from cbm_lake.errors import InvalidInputError, NotFoundError, quoted, wrong_argument
from cbm_lake.files import clock, installed
from cbm_lake.files.validation import meant
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.lastday import last_day, tomorrow
from cbm_lake.markers.lights import REFUSED, nightly, refusals, scenario_names
from cbm_lake.markers.parameters import read
from cbm_lake.season import differences
from cbm_lake.season.basis import NightBasis
from cbm_lake.season.causes import Former, Present
from cbm_lake.season.redeclared import Asked

log = logging.getLogger(__name__)

_CLOCK: Final = timedelta(days=31)
"""By which a clock that is set back may be slow without undoing what is judged."""
KINDS: Final = ("light", "marker", "scene")
Row = dict[str, Any]
LAST: Final = "last"
"""The last night, where since is asked."""


def record(
    lake: Lake,
    parcels: ParcelSet,
    day: date | None = None,
    *,
    scenarios: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | str | Path | None = None,
    run: str | None = None,
) -> pa.Table:
    """Compare lights, markers and scenes with what is recorded, and record each difference, all in one commit.

    Nothing is lost and nothing is doubled where it is interrupted: run again, it records what is left. Where nothing
    has changed, the result is empty.

    Args:
        lake: whose tables are written.
        parcels: the set, whose markers were found (`markers.find`).
        day: lights are judged as of its end; None is the last day on which a scene was extracted over the set, or that
            of the last night where it is later. Days that have not come by the clock do not count, unless scenes of
            many say that the clock is wrong.
        scenarios: only these; None is all but the examples. Lights of others are recorded as gone.
        parameters: those of `markers.traffic_light`.
        run: identifier of the night run, to be found by.

    Returns:
        The changes that were recorded: the columns of the view `changes`. Its metadata says why scenarios were not
        judged, see `lights.refusals`; their lights stay as they were recorded.

    Raises:
        NotFoundError: no markers of the set were found yet.
        InvalidInputError: `day` is before that of the last night, or a scenario or parameter is unknown.
    """
    resolved = read(parameters)
    names = scenario_names(scenarios, resolved)
    refused: dict[bytes, str] = {}

    def rows() -> pa.Table | None:
        former = _last_night(lake, parcels)
        judged = _day(lake, parcels, day, former)
        then = Former(NightBasis.read(former["rests_on"]), former["day"]) if former else None
        asked = Asked(resolved, names)
        basis = NightBasis.now(lake, parcels, resolved, asked.scenarios, then.basis if then else None)
        lights = nightly(lake, parcels, resolved, names, judged)
        refused.update({REFUSED: json.dumps(reasons)} if (reasons := refusals(lights)) else {})
        parts = [
            differences.of_scenes(lake, parcels),
            differences.of_markers(lake, parcels),
            differences.of_lights(lake, parcels, lights),
        ]
        if not any(map(len, parts)) and then == Former(basis, judged):
            return None
        changes = pa.concat_tables(map(differences.completed, parts)).drop_columns(["cause", "scenes"])
        same = {**parcels.params, "day": judged, "run": run, "recorded": clock.now(), "version": installed.version()}
        caused = Present(lake, parcels, asked, basis, judged, lights).with_causes(changes, then)
        night = pa.table({"kind": ["night"], "rests_on": [basis.noted(lake)]})
        return pa.concat_tables([_filled(caused, same), differences.completed(night, **same)])

    if not lake.record_changes(parcels, rows):
        return lake.sql("from changes limit 0").replace_schema_metadata(refused)
    recorded = lake.query("changes.since", **_asked(parcels.aoi, parcels.year, parcels.ptype, last=True))
    log.info("%s: %d changes are recorded", parcels.name, recorded.num_rows)
    return recorded.replace_schema_metadata(refused)


def _last_night(lake: Lake, parcels: ParcelSet) -> Row | None:
    """The last night of a parcel set that is recorded."""
    nights: list[Row] = lake.query("changes.nights", **parcels.params).slice(0, 1).to_pylist()
    return nights[0] if nights else None


def _day(lake: Lake, parcels: ParcelSet, day: date | None, former: Row | None) -> date:
    """The day as of which lights are judged."""
    last: date | None = former["day"] if former else None
    if day is not None:
        if last is not None and day < last:
            raise InvalidInputError(f"day {day} lies before {last}, up to which changes of {parcels.name} are recorded")
        return day
    seen = last_day(lake, parcels)
    if former is None or last is None:
        if seen is None:
            raise NotFoundError(
                f"nothing that is catalogued was extracted over {parcels.name} until today; name the day to judge by"
            )
        return seen
    return seen if seen is not None and seen >= last else _before(last, former, seen, parcels) or last


def _before(last: date, former: Row, seen: date | None, parcels: ParcelSet) -> date | None:
    """The day to go back to where the last night was judged as of one that had not come; None where it had.

    A clock that is slow by a few days is no reason: the night was not of the future by the clock of its time. Nor is
    one that many scenes say is wrong, or where nothing says as of which day else.
    """
    until = tomorrow().date()
    if seen is None or last < until or seen >= until:
        return None
    if last <= former["recorded"].date() and last - until <= _CLOCK:
        return None
    log.warning(
        "%s: the last night was judged as of %s, which has not come yet: a scene or a clock was wrong; lights are "
        "judged as of %s again",
        parcels.name,
        last,
        seen,
    )
    return seen


def _filled(rows: pa.Table, same: Mapping[str, object]) -> pa.Table:
    """The rows with one value in each column of `same`."""
    return differences.completed(rows.drop_columns(list(same)), **same)


@checked
def changes(
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    *,
    since: date | str | None = None,
    by: Literal["recorded", "judged"] = "recorded",
    kind: str | None = None,
    scenario: str | None = None,
    pids: Sequence[str] | None = None,
    details: bool = False,
    lake: Lake | None = None,
) -> pa.Table:
    """The recorded changes, in the order in which they were recorded.

    Args:
        aoi: only of this area; None is all.
        year: only of this year.
        ptype: only of this parcel set; None is all.
        since: a day (date, or ISO text), from which on; `last`, the last night of each set, of which nothing is given
            where a later run judged the set and found no change; or the identifier of a night run, with its changes
            and all later ones. None is all.
        by: whether a day is that on which a change was recorded (UTC), or as of which it was judged (column `day`).
        kind: light, marker or scene.
        scenario: only lights of this scenario.
        pids: only these parcels, declared or declared once.
        details: also changes of the evidence alone: lights that have the same colour as before.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of the view `changes`.

    Raises:
        NotFoundError: no such parcels were loaded, a parcel or scenario is unknown, or there is no such night run.
        InvalidInputError: no such kind.
    """
    lake = lake_or_default(lake)
    if kind is not None and kind not in KINDS:
        raise wrong_argument("kind", f"{quoted(kind)} is not right: {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    aoi = aoi and aoi.lower()
    _check_set(lake, aoi, year, ptype)
    _check_names(lake, {"aoi": aoi, "year": year, "ptype": ptype}, scenario, pids)
    asked = _asked(aoi, year, ptype, **_since(lake, since, by))
    asked |= {"kind": kind, "scenario": scenario, "pids": None if pids is None else list(pids), "details": details}
    return lake.query("changes.since", **asked)


def _check_set(lake: Lake, aoi: str | None, year: int | None, ptype: str | None) -> None:
    """Raise NotFoundError where no parcel set is of an area, a year and a kind; None is any."""
    if aoi is not None and year is not None:
        lake.parcel_set(aoi, year, ptype)
        return
    names = {"area": aoi, "year": year, "parcel set": ptype}
    for (title, name), attribute in zip(names.items(), ("aoi", "year", "ptype"), strict=True):
        declared = sorted({str(getattr(parcels, attribute)) for parcels in lake.parcel_sets()})
        if name is not None and str(name) not in declared:
            raise NotFoundError(f"no parcels of {title} {str(name)!r}; {meant(str(name), declared)}")


def _check_names(lake: Lake, key: Row, scenario: str | None, pids: Sequence[str] | None) -> None:
    """Raise NotFoundError where a scenario or parcel is unknown."""
    if scenario is None and not pids:
        return
    rows = lake.query("changes.named", **key, pids=list(pids or ())).to_pylist()
    named = {row["value"] for row in rows if row["name"] == "scenario"} | read().scenarios.keys()
    if scenario is not None and scenario not in named:
        raise NotFoundError(f"there is no scenario {scenario!r}; {meant(scenario, sorted(named))}")
    missing = sorted(set(pids or ()) - {row["value"] for row in rows if row["name"] == "pid"})
    if missing:
        declared = lake.query("changes.pids", **key)["pid"].to_pylist()
        raise NotFoundError(f"no parcel {missing[0]!r} is declared, or was; {meant(missing[0], declared)}")


def _since(lake: Lake, since: date | str | None, by: str) -> dict[str, Any]:
    """The parameters of the query that say since when."""
    name = "day" if by == "recorded" else "judged"
    if since is None or isinstance(since, date):
        return {name: since}
    if since == LAST:
        return {"last": True}
    try:
        return {name: date.fromisoformat(since)}
    except ValueError:
        nights = lake.query("changes.nights", aoi=None, year=None, ptype=None)
        runs = [run for run in nights["run"].to_pylist() if run is not None]
        if since in runs:
            return {"run": since}
    raise NotFoundError(
        f"since {since!r} is no day (2024-06-15), not `{LAST}`, and no night run by which changes were recorded; "
        f"{meant(since, runs)}"
    )


def _asked(
    aoi: str | None,
    year: int | None,
    ptype: str | None,
    *,
    day: date | None = None,
    judged: date | None = None,
    last: bool = False,
    run: str | None = None,
) -> dict[str, Any]:
    """The parameters of the query changes.since, for all kinds and parcels with details."""
    limits = {"kind": None, "scenario": None, "pids": None, "details": True}
    return {"aoi": aoi, "year": year, "ptype": ptype, "day": day, "judged": judged, "last": last, "run": run, **limits}
