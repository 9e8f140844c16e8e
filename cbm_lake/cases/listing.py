"""What there is to decide on: the parcels of a season, of a sample, or cases, each as a worklist."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake import markers, qa
from cbm_lake.cases import record
from cbm_lake.cases.judgedlights import WORST
from cbm_lake.cases.worklists import STANDING, Listed, Worklist, cached, joined, select
from cbm_lake.config import current_user
from cbm_lake.errors import NotFoundError
from cbm_lake.files.dates import timestamp_of
from cbm_lake.foi import result as foi
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.finding import part_of

_RECORDED: Final = ("changed", "checked_crops", "checks_of_crops")
"""Tables that rows rest on where nights record lights."""
_FOUND: Final = (*_RECORDED, "ledger", "marked", "divided", "attributes", "exclusions", "suspects")
"""The same where lights are judged when they are asked for."""
Versions: TypeAlias = Mapping[str, tuple[int | None, int]]
_LIGHTS: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("pid", "scenario", "colour", "reason")),
        ("due", pa.date32()),
        ("changed", pa.timestamp("us", "UTC")),
    ]
)
_FOI: Final = {0: "one field", 1: "heterogeneous", 2: "several crops", 3: "heterogeneous, several crops"}
"""Results of FOI by foi_h + 2 foi_c."""
_NO_CHANGES: Final = pa.schema([(name, pa.string()) for name in ("pid", "scenario", "change")])


@checked
def worklist(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    scenario: str | None = None,
    where: str = "",
    search: str = "",
    sort: str = "",
    since: datetime | str | None = None,
    lake: Lake | None = None,
) -> Worklist:
    """The parcels of a season in the order in which they are to be looked at: red lights first.

    Rows have the columns pid, colour, scenario, reason, due (date), crop, area_ha, foi (what the last FOI check in the
    lake says: one field, heterogeneous, several crops, or both; null where there is none), crop_check and crop_rank (of
    the last crop check), change (since the last visit, in words), changed (when the present light was recorded), and
    what stands as decided: decision, who, decided, note and outdated. That is a judgement on the row's scenario, or on
    the declaration as a whole; the later counts. outdated says what is another one since: light, set, crop, geometry.

    Lights are those that nights recorded. Where none were for the set, they are judged now from the markers that were
    found, in the time that `markers.traffic_light` takes, and held until something is extracted or found anew.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        scenario: only parcels with a light of it; None is every declared parcel, with its worst light.
        where: a condition on the columns in SQL: "area_ha > 2 and decision is null".
        search: the beginning of a pid, or words in the name of the crop.
        sort: a column, or -column for descending; ties are in the order red, yellow, cannot be seen, not yet due,
            green, none; then by crop_rank, then by pid.
        since: the last visit, as timestamp or ISO text (UTC), such as `last_visit` says; None compares with nothing.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: no such parcels, or no lights of that scenario.
        InvalidInputError: the condition is none, or there is no such column to sort by.
    """
    lake = lake_or_default(lake)
    parcels = lake.parcel_set(aoi, year, ptype)
    visited = None if since is None else timestamp_of(since, "since")
    versions = _versions(lake)
    rows, key = _season(lake, parcels, scenario, visited, versions)
    whole = rows if scenario is None else _season(lake, parcels, None, visited, versions)[0]
    if scenario is not None and not rows.num_rows:
        names = sorted(set(whole["scenario"].to_pylist()) - {None})
        raise NotFoundError(f"no parcel of {parcels.name} has a light of {scenario!r}; there are: {', '.join(names)}")
    decided, judged = versions["judged"], _judged(lake, parcels, versions)
    tables = {"listed": rows, "judged": judged, "whole": whole.select(["pid", "colour"])}
    standing = cached(lake, ("standing", key, decided), lambda: joined("standing", tables))
    return select(Listed(lake, parcels, rows, standing, key, decided), where, search, sort)


@checked
def sample_worklist(
    sample_id: str,
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    where: str = "",
    search: str = "",
    sort: str = "",
    lake: Lake | None = None,
    folder: str | Path | None = None,
) -> Worklist:
    """The parcels of a sample in the order drawn, one row per parcel.

    Rows have the columns pid, crop, area_ha, holding, bucket, ranking, and decision (its verdict, null until it has one
    in all groups for which it was drawn), who, decided, note and outdated. Other arguments and errors are those of
    `worklist`.

    Args:
        sample_id: extraction_id of the sample.
        aoi: area of its parcels.
        year: of their declaration.
        ptype: which parcel set; None is the main one.
        where: see `worklist`.
        search: see `worklist`.
        sort: see `worklist`; without it rows are in the order drawn.
        lake: the lake; None is the workspace's.
        folder: where the sample's files are; None is output/ in the workspace.
    """
    lake = lake_or_default(lake)
    parcels = lake.parcel_set(aoi, year, ptype)
    drawn = qa.verdicts(sample_id, lake=lake, folder=folder)
    rows = joined("sample", {"drawn": drawn, "declared": _declared(lake, parcels)})
    return select(_with_decisions(lake, parcels, rows), where, search, sort)


@checked
def case_worklist(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    scenario: str | None = None,
    where: str = "",
    search: str = "",
    sort: str = "",
    lake: Lake | None = None,
) -> Worklist:
    """The cases of a parcel set: open, answered, notified, closed; of each those with the nearest date of answer first.

    Rows have the columns pid, status, scenario, colour, reason, day, answer_by, opened, crop, area_ha, case_id, and
    decision (the outcome of a closed case), who, decided, note and outdated. Arguments and errors are those of
    `worklist`.
    """
    lake = lake_or_default(lake)
    parcels = lake.parcel_set(aoi, year, ptype)
    cases = record.listed(parcels.aoi, parcels.year, parcels.ptype, scenarios=scenario, lake=lake)
    rows = joined("cases", {"cases": cases.drop_columns("geometry"), "declared": _declared(lake, parcels)})
    return select(_with_decisions(lake, parcels, rows), where, search, sort)


@checked
def last_visit(
    aoi: str, year: int, ptype: str | None = None, who: str | None = None, *, lake: Lake | None = None
) -> datetime | None:
    """When a person last decided on a parcel of a set, by judgements that stand; None where they never did.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        who: the person; None is the user of the settings (set.user), else of the computer.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: no such parcels.
    """
    lake = lake_or_default(lake)
    judged = _judged(lake, lake.parcel_set(aoi, year, ptype), _versions(lake))
    visited: datetime | None = pc.max(judged.filter(pc.equal(judged["who"], who or current_user()))["decided"]).as_py()
    return visited


def _season(
    lake: Lake, parcels: ParcelSet, scenario: str | None, since: datetime | None, versions: Versions
) -> tuple[pa.Table, Hashable]:
    """The rows of a season, and what they rest on."""
    names = tuple(parcels.params.values())
    recorded = cached(
        lake, ("recorded", names, versions["changed"]), lambda: lake.query("worklist.recorded", **parcels.params)
    )
    newest = foi.latest(lake, parcels)
    rests_on = tuple(versions[name] for name in (_RECORDED if recorded.num_rows else _FOUND))
    key = "season", names, parcels.path, scenario, since, newest, rests_on

    def rows() -> pa.Table:
        tables = {
            "declared": _declared(lake, parcels),
            "lights": _lights(lake, parcels, scenario, is_recorded=bool(recorded.num_rows)),
            "checks": lake.query("worklist.crop_checks", **parcels.params),
            "foi": _foi(lake, newest),
            "changes": _changes(lake, parcels, since),
        }
        return joined("season", tables, scenario=scenario, worst=list(WORST))

    return cached(lake, key, rows), key


def _declared(lake: Lake, parcels: ParcelSet) -> pa.Table:
    key = "declared", tuple(parcels.params.values()), parcels.path
    return cached(lake, key, lambda: lake.query("worklist.declared", **parcels.params))


def _judged(lake: Lake, parcels: ParcelSet, versions: Versions) -> pa.Table:
    key = "judged", tuple(parcels.params.values()), parcels.path, versions["judged"]
    return cached(lake, key, lambda: lake.query("worklist.judged", **parcels.params))


def _lights(lake: Lake, parcels: ParcelSet, scenario: str | None, *, is_recorded: bool) -> pa.Table:
    """The lights that were recorded, or, where none are, those that the markers give now; none without markers."""
    if is_recorded:
        return lake.query("worklist.lights", **parcels.params, scenario=scenario)
    search = lake.query("worklist.found", aoi=parcels.aoi, year=parcels.year, part=part_of(parcels))
    if not search.num_rows:
        return _LIGHTS.empty_table()
    judged = markers.traffic_light(parcels.aoi, parcels.year, parcels.ptype or None, lake=lake)
    judged = judged.filter(pc.equal(judged["scenario"], scenario)) if scenario is not None else judged
    return judged.append_column("changed", pa.nulls(judged.num_rows)).select(_LIGHTS.names).cast(_LIGHTS)


def _foi(lake: Lake, newest: tuple[str, int] | None) -> pa.Table:
    """What FOI says of each parcel, in words; null where it was skipped."""
    if newest is None:
        return pa.table({"pid": pa.array([], pa.string()), "foi": pa.array([], pa.string())})
    flags = foi.flags(lake, newest[0])
    kind = pc.add(flags["foi_h"], pc.multiply(flags["foi_c"], 2))
    words = pa.array(list(_FOI.values())).take(pc.cast(kind, pa.int64()).combine_chunks())
    return pa.table({"pid": pc.cast(flags["pid"], pa.string()), "foi": words})


def _changes(lake: Lake, parcels: ParcelSet, since: datetime | None) -> pa.Table:
    if since is None:
        return _NO_CHANGES.empty_table()
    return lake.query("worklist.changes", **parcels.params, since=since)


def _with_decisions(lake: Lake, parcels: ParcelSet, rows: pa.Table) -> Listed:
    """Rows that have their decisions with them, both read anew each time, apart from these."""
    rows = rows.append_column("outdated", pa.nulls(rows.num_rows, pa.string())).combine_chunks()
    numbered = rows.select(list(STANDING)).add_column(0, "number", pa.array(range(rows.num_rows), pa.int64()))
    standing = numbered.filter(pc.is_valid(numbered["decision"])).combine_chunks()
    return Listed(lake, parcels, rows.drop_columns(list(STANDING)), standing)


def _versions(lake: Lake) -> Versions:
    """The version of each table, another one whenever it was written or made anew."""
    snapshot = lake.snapshot()
    remade = snapshot.remade or (0,) * len(snapshot.versions)
    return {name: (version, again) for (name, version), again in zip(snapshot.versions, remade, strict=True)}
