"""`check` judges the declared crop of every parcel of a set by the lake's signatures, and records the verdicts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.crops import asking, clearing, declarations, reading, recording
from cbm_lake.crops.asking import Groups
from cbm_lake.crops.calendar import Calendar
from cbm_lake.crops.clearing import Cleared
from cbm_lake.crops.declarations import Declared
from cbm_lake.crops.model import Judged, judge
from cbm_lake.crops.naming import named
from cbm_lake.crops.reading import Observed, Progress
from cbm_lake.crops.recording import Basis, Versions
from cbm_lake.crops.settings import Settings
from cbm_lake.errors import SourceError, counted
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.groups import EPOCH
from cbm_lake.markers.parameters import Clear
from cbm_lake.markers.parameters import read as read_parameters

log = logging.getLogger(__name__)

_PARTS: Final = {"reading": (0, 30), "judging": (30, 50), "days": (50, 100)}
"""Which hundredths of the work each part of a check is, of its progress."""
_TRIES: Final = 3
"""How often the lake is read again as somebody wrote meanwhile."""
_MOST_BY_DAY: Final = 20_000
"""Parcels up to which the days are worked out unasked: each of them is a check of its own."""
_BY_DAY: Final = pa.schema(
    [
        pa.field("day", pa.date32()),
        *(pa.field(name, pa.float64()) for name in clearing.FIGURES),
    ]
)
_INTERNAL: Final = ("part", "sequence")


@dataclass(frozen=True)
class Asked:
    """What is checked, and how: equal ones over equal data give equal verdicts."""

    parcels: ParcelSet
    day: date
    by: str | None
    settings: Settings
    since: bool | None
    clear: Clear
    """What counts as seen."""

    @property
    def document(self) -> dict[str, Any]:
        """As JSON has it, but for the set and the day."""
        how = {"by": self.by, "since": self.since, "clear": self.clear.model_dump(mode="json")}
        return {**how, **self.settings.model_dump(mode="json")}


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of a check."""

    declared: Declared
    observed: Observed
    judged: Judged
    cleared: Cleared | None


@checked
def check(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    alpha: float | str = 0.05,
    day: date | str | None = None,
    by: str | None = None,
    groups: Groups = None,
    seed: int = 0,
    since: bool | None = None,
    settings: Mapping[str, object] | None = None,
    parameters: Mapping[str, Any] | str | Path | None = None,
    progress: Progress | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Judge whether the declared crop grows on each parcel of a set, and write the verdicts to the lake.

    No parcel is judged by a model that saw it or its neighbours. The verdicts replace those of the set's last check
    (view `crop_checks`); what each check was made of stays (view `crop_runs`). docs/crops.md describes the method.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        alpha: the promised error: a share up to 0.5, or a text such as "5%".
        day: nothing later is used (date, or ISO text); None is the last day with an extracted scene of the set.
        by: which column says the declared crop: hcat, crop_code or crop_name; None is the first that has any value, but
            crop_name rather than crop_code where they say the same.
        groups: group by crop, or a YAML file of it (crop: group); None groups crops that cannot be told apart.
        seed: of all random choices.
        since: whether it is worked out from when on each verdict was the same, which takes a check for each month;
            None does so for sets of up to 20,000 parcels.
        settings: further ones by name, see `cbm_lake.crops.Settings`.
        parameters: those of markers, of which the group `clear` says what counts as seen; None is the defaults.
        progress: called with the hundredths done, and 100.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of schemas.CROP_CHECKS but the last two, one row per parcel: the least likely declaration first,
        parcels that cannot be ranked last.

    Raises:
        NotFoundError: no such parcels were loaded, or nothing was seen of any until that day.
        InvalidInputError: no parcel has a declared crop, the day is before the season or has not come yet, or a setting
            is outside what is accepted.
        ConfigError: scikit-learn is not installed.
        SourceError: the lake cannot be read or written, or others went on writing.
    """
    lake = lake_or_default(lake)
    resolved = asking.settings(alpha, groups, seed, settings)
    parcels = lake.parcel_set(aoi, year, ptype)
    clear = read_parameters(parameters).clear
    asked = Asked(parcels, asking.last_day(lake, parcels, day), by, resolved, since, clear)
    answer, versions = answered(lake, asked, progress)
    run = recording.new_run()
    rows = table(answer, asked, run)
    basis = Basis(
        parcels,
        asked.day,
        resolved.alpha,
        asked.document,
        versions,
        recording.digest_of_season(answer.observed.season),
        figures(answer),
    )
    recording.record(lake, run, basis, rows)
    return ranked(rows)


@checked
def by_day(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    days: Sequence[date | str] | None = None,
    alpha: float | str = 0.05,
    until: date | str | None = None,
    by: str | None = None,
    groups: Groups = None,
    seed: int = 0,
    settings: Mapping[str, object] | None = None,
    parameters: Mapping[str, Any] | str | Path | None = None,
    progress: Progress | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """How good a check by each of several days of the season is; nothing is written.

    Of each day the steps of ten days count that have ended by then, of the last one all. Each orbit of Sentinel-1 is
    levelled by all that was seen until the last of the days. Arguments that are not named here are those of `check`.

    Args:
        days: ascending (dates, or ISO texts); None is one a month, and the last one.
        until: the last day where `days` is None; None is the last day with an extracted scene of the set.

    Returns:
        day, accuracy (share of the parcels that are predicted as declared; null where nothing was predicted),
        accuracy_of_groups (the same by groups of crops), undecided (share of the parcels of which nothing can be said).

    Raises:
        InvalidInputError: a day is none, is before the season, or has not come yet; and as of `check`.
    """
    lake = lake_or_default(lake)
    resolved = asking.settings(alpha, groups, seed, settings)
    parcels = lake.parcel_set(aoi, year, ptype)
    listed = sorted({asking.last_day(lake, parcels, day) for day in days or ()})
    last = listed[-1] if listed else asking.last_day(lake, parcels, until)
    for day in listed:
        Calendar.until(year, day)
    asked = Asked(parcels, last, by, resolved, since=False, clear=read_parameters(parameters).clear)
    _, observed, _ = _read(lake, asked, progress)
    numbers = [(day - EPOCH).days for day in listed] or clearing.tried(observed.season, (last - EPOCH).days)
    cleared = clearing.by_day(observed.season, resolved, numbers, None, _part("days", progress))
    return pa.Table.from_pylist(cleared.by_day, schema=_BY_DAY)


def answered(lake: Lake, asked: Asked, progress: Progress | None = None) -> tuple[Answer, Versions]:
    """Read and judge; also which versions of the lake were read.

    Raises:
        SourceError: others went on writing while it was read.
    """
    declared, observed, versions = _read(lake, asked, progress)
    judged = judge(observed.season, asked.settings)
    judged = named(judged) if declared.column == "hcat" else judged
    _part("judging", progress)(1, 1)
    return Answer(declared, observed, judged, _cleared(asked, observed, judged, progress)), versions


def _read(lake: Lake, asked: Asked, progress: Progress | None) -> tuple[Declared, Observed, Versions]:
    """What the lake has of the parcels until the day, read while nobody wrote."""
    calendar = Calendar.until(asked.parcels.year, asked.day)
    for _ in range(_TRIES):
        versions = Versions.of(lake)
        declared = declarations.read(lake, asked.parcels, asked.by)
        observed = reading.read(lake, asked.parcels, declared, calendar, asked.clear, _part("reading", progress))
        if versions.is_same(Versions.of(lake)):
            _tell_missing(asked.parcels, observed)
            return declared, observed, versions
    raise SourceError(f"others went on writing while {asked.parcels.name} was read; check again when they are done")


def _part(name: str, progress: Progress | None) -> Progress:
    """The progress of a part of the work as that of all."""
    begin, end = _PARTS[name]

    def say(done: int, total: int) -> None:
        if progress is not None:
            progress(begin + (end - begin) * done // max(total, 1), 100)

    return say


def _tell_missing(parcels: ParcelSet, observed: Observed) -> None:
    """Say what the check has to do without: a warning where Sentinel-2 is missing as a whole."""
    if observed.missing:
        log.warning("%s is judged without %s, of which nothing was seen", parcels.name, "; ".join(observed.missing))


def _cleared(asked: Asked, observed: Observed, judged: Judged, progress: Progress | None) -> Cleared | None:
    """The verdicts by the days of the season; None where they are not worked out."""
    count = len(observed.season.pids)
    if asked.since is False:
        return None
    if asked.since is None and count > _MOST_BY_DAY:
        log.info("%s: from when on verdicts were the same is not worked out", counted(count, "parcel"))
        return None
    days = clearing.tried(observed.season, (asked.day - EPOCH).days)
    return clearing.by_day(observed.season, asked.settings, days, judged, _part("days", progress))


def table(answer: Answer, asked: Asked, run: str) -> pa.Table:
    """The verdicts as rows of schemas.CROP_CHECKS without the last two columns, by pid."""
    judged, parcels = answer.judged, asked.parcels
    count = len(judged.pids)
    since = answer.cleared.since if answer.cleared else np.full(count, -1)
    same = {**parcels.params, "version": parcels.version, "run": run, "day": asked.day}
    columns = {name: pa.repeat(pa.scalar(value), count) for name, value in same.items()} | {
        "pid": judged.pids,
        "hcat": answer.declared.hcat,
        "crop_group": pa.array(judged.groups, pa.string()),
        "size_class": pa.array(judged.size_classes, pa.string()),
        "verdict": pa.array(judged.verdict, pa.string()),
        "reason": pa.array(judged.reason, pa.string()),
        "p_value": pa.array(judged.p_value, pa.float64(), mask=~np.isfinite(judged.p_value)),
        "likely": pa.array(judged.likely, pa.list_(pa.string())),
        "probability": pa.array(judged.probability, pa.list_(pa.float64())),
        "since": _null_below(since, 0, pa.int32()).cast(pa.date32()),
        "rank": _null_below(judged.rank, 1, pa.int32()),
        "fold": _null_below(judged.fold, 0, pa.int32()),
    }
    schema = pa.schema([field for field in schemas.CROP_CHECKS if field.name not in _INTERNAL])
    return pa.table([columns[name] for name in schema.names], names=schema.names).cast(schema)


def _null_below(values: npt.NDArray[np.int64], least: int, kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind, mask=values < least)


def ranked(rows: pa.Table) -> pa.Table:
    """The rows by rank, those without one last, by pid."""
    return rows.sort_by([("rank", "ascending"), ("pid", "ascending")])


def figures(answer: Answer) -> dict[str, Any]:
    """How good the check is, for the record."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(pa.array(answer.judged.verdict)).to_pylist()}
    return {
        **answer.judged.figures,
        "parcels": len(answer.judged.pids),
        "verdicts": counts,
        "declared_by": answer.declared.column,
        "quantities": sorted(answer.observed.season.values),
        "missing": list(answer.observed.missing),
        "by_day": answer.cleared.by_day if answer.cleared else [],
        "group_of": answer.judged.group_of,
    }
