"""What lights rest on of the check of declared crops, which is in the lake: its verdict on each parcel, as a marker.

A verdict counts in a scenario where the check used data up to the due date or later, and nothing after the day that is
judged, and where the parcel has the outline and the crop that were checked. Until then the parcel waits for a check.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.claims import NEVER, day_number
from cbm_lake.markers.claimvalues import Texts
from cbm_lake.markers.events import Events
from cbm_lake.markers.groups import CROP_CHECK, EPOCH
from cbm_lake.markers.parameters import Parameters
from cbm_lake.markers.rules import Flags, Ints, as_date, markers_of

_VALUES: Final = ("p_value", "probability", "rank", "confidence")
_DECLARED: Final = ("geometry", "crop:name", "crop:code")
"""What a verdict rests on of the declaration."""
_NAMED: Final = 3
"""Likely crops that a reason names."""


class NotCheckedError(NotFoundError):
    """A scenario counts the verdicts of a crop check, and there is none of the parcel set."""


@dataclass(frozen=True, eq=False)
class Checks:
    """The last crop check of a parcel set; one entry per parcel that is judged."""

    events: Events
    """A marker of each parcel with a verdict on what is declared now: marker_type is the verdict."""
    day: Ints
    """The last day that the check of each used; NEVER where it has no verdict."""
    declared_anew: Flags
    """Whether each has another outline or crop than was checked."""
    says: Texts
    """The verdict on each in words; empty where there is none."""

    def waiting(self, parcels: Ints, due: Ints, day: int) -> Texts:
        """For what each of some parcels waits as of the end of a day; empty where the verdict on it counts."""
        counts = (self.day[parcels] >= due) & (self.day[parcels] <= day) & (due <= day)
        reasons = np.full(len(parcels), "", object)
        for index in np.flatnonzero(~counts):
            reasons[index] = self._waits(int(parcels[index]), int(due[index]), day)
        return reasons

    def _waits(self, parcel: int, due: int, day: int) -> str:
        if day < due:
            return f"is judged on {as_date(due)}"
        last = int(self.day[parcel])
        if self.declared_anew[parcel]:
            why = "; it was declared otherwise since the last one"
        elif last == NEVER:
            why = "; the last one says nothing of it"
        elif last < due:
            why = f"; the last one used data up to {as_date(last)}"
        else:
            why = f" that uses nothing after {as_date(day)}"
        return f"was due on {as_date(due)}, waits for a crop check of that day or later{why}"


def read(lake: Lake, parcels: ParcelSet, pids: pa.Array, some: Sequence[str] | None) -> Checks | None:
    """The last crop check of a parcel set; None where there is none.

    Args:
        lake: the lake.
        parcels: the parcel set.
        pids: its parcels that are judged, in order.
        some: only these of them are read; None reads all.
    """
    runs = runs_of(lake, parcels)
    if not runs:
        return None
    rows = lake.query("markers.crop_checks", **parcels.params, pids=None if some is None else list(some))
    rows = rows.filter(pc.is_in(rows["pid"], pids)).combine_chunks()
    promises = {run["run"]: promise(run["alpha"], run["settings"]) for run in runs}
    other = _declared_otherwise(lake, parcels, rows)
    counts = rows.filter(pa.array(~other))
    events = Events.of_rows(CROP_CHECK, counts, pids, _VALUES)
    day, says = np.full(len(pids), NEVER), np.full(len(pids), "", object)
    day[events.parcel] = np.minimum(events.fields[:, 2].astype(np.int64), _last_seen(lake, parcels))
    says[events.parcel] = [in_words(row, promises[row["run"]]) for row in counts.to_pylist()]
    anew = np.zeros(len(pids), bool)
    anew[pc.index_in(rows["pid"], pids).to_numpy()[other]] = True
    return Checks(events, day, anew, says)


def _last_seen(lake: Lake, parcels: ParcelSet) -> int:
    """The last day with a scene of the set: no check used anything later, whatever day it was asked for."""
    days: list[date] = lake.query("markers.last_day", until=None, **parcels.params)["day"].to_pylist()
    return (days[0] - EPOCH).days if days else NEVER


def _declared_otherwise(lake: Lake, parcels: ParcelSet, rows: pa.Table) -> Flags:
    """Mask of the verdicts on parcels with another outline or crop now, or of a version that is not there any more."""
    versions = rows["version"].to_pylist()
    other = np.array([version != parcels.version for version in versions], bool)
    now = _declared(lake, parcels) if other.any() else {}
    for version in sorted({version for version in versions if version != parcels.version}):
        former = lake.parcel_version(parcels, version)
        was = {} if former is None else _declared(lake, former)
        for index, (pid, of) in enumerate(zip(rows["pid"].to_pylist(), versions, strict=True)):
            if of == version:
                other[index] = pid not in was or was[pid] != now.get(pid)
    return other


def _declared(lake: Lake, parcels: ParcelSet) -> dict[str, tuple[Any, ...]]:
    """What is declared of each parcel; empty where the file is not there any more."""
    try:
        table = lake.read_parcels(parcels, ["id", *_DECLARED])
    except NotFoundError:
        return {}
    columns = [table[name].to_pylist() for name in _DECLARED]
    return dict(zip(map(str, table["id"].to_pylist()), zip(*columns, strict=True), strict=True))


def in_words(row: dict[str, Any], promised: str) -> str:
    """A verdict in words: the likely crops with their probabilities, what was promised, and since when it is so."""
    if row["marker_type"] == "cannot say":
        return str(row["reason"])
    likely = " or ".join(likely_in_words(row["likely"], row["probabilities"])[:_NAMED])
    parts = [f"likely {likely}" if likely and row["marker_type"] == "disagrees" else likely]
    if row["marker_type"] == "disagrees":
        parts.append(promised)
    parts.append(f"since {row['since']}" if row["since"] else f"as of {row['date_end']}")
    return "; ".join(filter(None, parts))


def likely_in_words(groups: Sequence[str] | None, probabilities: Sequence[float] | None) -> list[str]:
    """The likely groups of crops with their probabilities: ["maize (0.90)", "sunflower (0.06)"]."""
    return [f"{group} ({share:.2f})" for group, share in zip(groups or (), probabilities or (), strict=False)]


def promise(alpha: float | None, settings: str | None) -> str:
    """What a check promised, in words; "" where its record is lost.

    Args:
        alpha: the promised share, 0 to 1.
        settings: how it was set, as JSON: `promise` says of what it is the share.
    """
    if alpha is None:
        return ""
    of_parcels = json.loads(settings or "{}").get("promise") == "parcels"
    whom = "of the right declarations are accused" if of_parcels else "of the accused are accused wrongly"
    return f"at most {100 * alpha:g} % {whom}"


def counting(parameters: Parameters, names: Sequence[str]) -> list[str]:
    """Those of some scenarios that count the verdicts of a crop check."""
    return [name for name in names if CROP_CHECK in markers_of(parameters.scenarios[name])]


def last_due(parameters: Parameters, names: Sequence[str], year: int) -> date | None:
    """The last due date of some scenarios that count the verdicts of a crop check; None where none has one for all.

    Nothing that is seen after it changes a verdict on data up to it: by such a check red stays red.
    """
    scenarios = [parameters.scenarios[name] for name in counting(parameters, names)]
    days = [day for scenario in scenarios for day in scenario.due or () if day.column is None]
    return max((EPOCH + timedelta(day_number(day, year)) for day in days), default=None)


def runs_of(lake: Lake, parcels: ParcelSet) -> list[dict[str, Any]]:
    """The runs (run, day) of which the verdicts on a parcel set are; none where it was not checked."""
    if not has_any(lake):
        return []
    rows: list[dict[str, Any]] = lake.query("markers.crop_runs_of", **parcels.params).to_pylist()
    return rows


def has_any(lake: Lake) -> bool:
    """Whether crops of any parcel set were checked."""
    return lake.snapshot().tables.get("checked_crops") is not None
