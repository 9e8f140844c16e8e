"""`signals` says which band, index, statistic and week separates what was done from what was not."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from cbm_lake.crops import eventwindows
from cbm_lake.crops.eventwindows import BEFORE, Flags, Floats, Ints, LongSeries, Members
from cbm_lake.crops.separation import Separated, adjusted, separate
from cbm_lake.crops.signalsources import SPAN, of_lake, of_rows
from cbm_lake.crops.signaltables import Source, Truth, series_of, truth_of
from cbm_lake.errors import InvalidInputError, counted, some, wrong_argument
from cbm_lake.files.validation import meant
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.show import style

log = logging.getLogger(__name__)

GUARD: Final = 28
"""Days around an event of a parcel on which it is not compared as one without."""
_LEAST: Final = 3
"""Values of the done, and of the not done, without which a combination is left out."""
_CELLS: Final = 200_000_000
"""Values that are compared at most: 1.6 GB."""
_EPOCH: Final = date(1970, 1, 1)
_Column = tuple[str, str, str, int]
"""Signal, statistic, kind and week."""


@checked
def signals(
    truth: Source | pd.DataFrame,
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    *,
    series: Source | pd.DataFrame | None = None,
    event: str | None = None,
    statistics: str | Sequence[str] | None = None,
    against: Literal["parcels", "dates"] = "parcels",
    weeks: int = 7,
    controls: int = 20,
    permutations: int = 9999,
    fdr: Literal["bh", "by"] = "bh",
    seed: int = 0,
    figure: str | Path | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Rank all combinations of signal, statistic and week by how well they separate the done from the not done.

    Of events, week 0 is the seven days from the event on, and combinations are levels, and changes against the mean of
    the three weeks before. They are compared on the same days with parcels without an event, which have the same season
    and weather; or with other dates of the parcel itself, where the course of the season may look like an effect. Of
    labels of parcels, weeks are those of the calendar (ISO 8601).

    Args:
        truth: CSV, Parquet or table: pid and date of what was done (and event, its type), or pid and label (true or
            false; and stratum, such as the crop, inside of which parcels are compared).
        aoi: area in the lake whose signatures are read: all indices, bands and radar of clear observations.
        year: of the parcel set.
        ptype: which of several sets.
        series: CSV or Parquet, a folder of them, or a table, in place of the lake: pid, date, signal (or band) and a
            column per statistic.
        event: which type of event counts, where there are several.
        statistics: only these, as names or one text with commas; the fewer combinations, the smaller q and p_max.
        against: "parcels" or "dates".
        weeks: so many before and after the event.
        controls: the most parcels without an event per date of an event; of more they are drawn.
        permutations: how many are drawn for p-values; all are looked at where there are no more.
        fdr: "bh" (Benjamini and Hochberg) or "by" (Benjamini and Yekutieli: any dependence).
        seed: of what is drawn.
        figure: file of a heat map, .png, .svg or .pdf.
        lake: that is read; None is that of the workspace.

    Returns:
        One row per combination, the best first: signal, statistic, kind (level or change), week, n_done, n_not, done
        and not_done (means), effect (standard deviations), auc (0.5 is no separation, 0 or 1 a whole one), p (by
        permutation, two-sided), q (false discovery rate), p_max (probability that any is as good by chance). Its
        metadata has `notes`, a JSON list of sentences.

    Raises:
        InvalidInputError: truth has one class only, unknown parcels, no event in the series, or too few events for any
            p-value below 0.05.
        NotFoundError: there is no such parcel set.
        SourceError: a file cannot be read.
    """
    lake = lake_or_default(lake)
    style.suffix(figure, interactive=False)
    facts = truth_of(_arrow(truth), event)
    notes: list[str] = []
    if series is None:
        pids, parts = of_lake(facts, lake, (aoi, year, ptype), weeks, seed, notes)
    else:
        pids, parts = of_rows(series_of(_arrow(series)), notes)
    parts = _narrowed(parts, statistics)
    members = _members(facts, pids, parts, against, controls, seed, notes)
    first, last = (-weeks, weeks) if facts.day is not None else _calendar(parts, members)
    if weeks < -BEFORE[0]:
        raise wrong_argument("weeks", f"{weeks} is too few: changes are against the {-BEFORE[0]} weeks before an event")
    columns, values = _combinations(parts, members, first, last, changes=facts.day is not None)
    answer = _separate(columns, values, members, permutations, seed, notes)
    table = _table(columns, answer, fdr, facts, members, notes)
    if figure is not None:
        from cbm_lake.crops.signalfigure import show_signals

        show_signals(table, file=figure)
    return table


def _arrow(source: Source | pd.DataFrame) -> Source:
    """A pandas table as one of Arrow."""
    return pa.Table.from_pandas(source, preserve_index=False) if isinstance(source, pd.DataFrame) else source


def _narrowed(parts: list[LongSeries], statistics: str | Sequence[str] | None) -> list[LongSeries]:
    """The series with some of their statistics only."""
    if statistics is None:
        return parts
    names = [name.strip().lower() for name in (statistics.split(",") if isinstance(statistics, str) else statistics)]
    there = sorted({name for part in parts for name in part.names})
    unknown = [name for name in names if name not in there]
    if unknown:
        raise InvalidInputError(f"there is no statistic {unknown[0]!r}; {meant(unknown[0], there)}")
    return [part.of(names) for part in parts if set(names) & set(part.names)]


# -- members ---------------------------------------------------------------------------------------------------------


def _members(
    facts: Truth,
    pids: list[str],
    parts: list[LongSeries],
    against: str,
    controls: int,
    seed: int,
    notes: list[str],
) -> Members:
    """What is compared with what."""
    index_of = {pid: index for index, pid in enumerate(pids)}
    unknown = sorted(set(facts.pid) - set(index_of))
    if len(unknown) == len(set(facts.pid)):
        raise InvalidInputError(f"no parcel of truth is among the {len(pids):,} with observations: {some(unknown)}")
    if unknown:
        notes.append(
            f"{counted(len(unknown), 'parcel')} of truth have no observations and are left out: {some(unknown)}"
        )
    inside = np.array([pid in index_of for pid in facts.pid], bool)
    parcel = np.array([index_of[pid] for pid in facts.pid if pid in index_of], np.int64)
    if facts.day is None:
        return _labelled(facts, parcel, inside)
    parcel, day = _events(parcel, facts.day[inside], parts, notes)
    if against == "dates":
        members = eventwindows.against_dates(parcel, day, GUARD, SPAN)
    else:
        members = eventwindows.against_parcels(parcel, day, len(pids), GUARD, controls, seed)
    if members.left_out:
        notes.append(f"{counted(members.left_out, 'event')} are left out, with which nothing can be compared")
    if not members.done.any():
        advice = "; compare with other dates of each parcel by against=dates" if against == "parcels" else ""
        raise InvalidInputError(f"nothing is left to compare with: {'; '.join(notes) or 'no events'}{advice}")
    return members


def _events(parcel: Ints, day: Ints, parts: list[LongSeries], notes: list[str]) -> tuple[Ints, Ints]:
    """Parcels and days of the events in the time of the observations, each once."""
    pairs = np.unique(np.column_stack([parcel, day]), axis=0)
    if len(pairs) < len(parcel):
        notes.append(f"{counted(len(parcel) - len(pairs), 'row')} of truth say again what another says")
    filled = [part.day for part in parts if len(part.day)]
    first, last = min(days.min() for days in filled), max(days.max() for days in filled)
    inside = (pairs[:, 1] >= first) & (pairs[:, 1] <= last)
    if not inside.all():
        late = counted(int((~inside).sum()), "event")
        notes.append(f"{late} of truth are not in the time of the observations and are left out")
    return pairs[inside, 0], pairs[inside, 1]


def _labelled(facts: Truth, parcel: Ints, inside: Flags) -> Members:
    """Parcels by their labels; those of strata that have both."""
    done = facts.done[inside]
    if done.all() or not done.any():
        raise InvalidInputError("truth has labels of one class only; it has to have done and not done")
    names = [name for name, has in zip(facts.stratum, inside, strict=True) if has]
    if len(set(parcel.tolist())) < len(parcel):
        raise InvalidInputError("truth has several labels of one parcel; leave one of each")
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return Members(parcel, np.zeros(len(parcel), np.int64), done, np.array([numbers[name] for name in names], np.int64))


def _calendar(parts: list[LongSeries], members: Members) -> tuple[int, int]:
    """First and last week of observations, after reference days that are set to the Monday of the first week."""
    first = min(int(part.day.min()) for part in parts if len(part.day))
    last = max(int(part.day.max()) for part in parts if len(part.day))
    members.day[:] = first - (first + 3) % eventwindows.WEEK  # 1970-01-01 was a Thursday
    return 0, (last - int(members.day[0])) // eventwindows.WEEK


# -- combinations ----------------------------------------------------------------------------------------------------


def _combinations(
    parts: list[LongSeries], members: Members, first: int, last: int, *, changes: bool
) -> tuple[list[_Column], Floats]:
    """Columns of values of all members, by signal, statistic, kind and week."""
    columns: list[_Column] = []
    values = []
    cells = len(members.parcel) * (last - first + 1) * sum(len(part.names) for part in parts) * (1 + changes)
    if cells > _CELLS:
        raise InvalidInputError(
            f"{len(members.parcel):,} parcels with all combinations take {cells * 8 / 1e9:,.1f} GB; say fewer by "
            "statistics=, or give truth of fewer parcels"
        )
    for part in parts:
        weeks = eventwindows.weekly(part, members, first, last)
        kinds = {"level": (weeks, first)} | ({"change": (eventwindows.changes(weeks, first), 0)} if changes else {})
        for kind, (matrix, start) in kinds.items():
            for week in range(matrix.shape[1]):
                columns += [(part.signal, name, kind, start + week) for name in part.names]
                values.append(matrix[:, week])
    return columns, np.concatenate(values, axis=1)


def _separate(
    columns: list[_Column], values: Floats, members: Members, permutations: int, seed: int, notes: list[str]
) -> Separated:
    """The answer for the columns with enough values; the others are taken out of the list."""
    valid = ~np.isnan(values)
    enough = (valid & members.done[:, None]).sum(axis=0) >= min(_LEAST, int(members.done.sum()))
    enough &= (valid & ~members.done[:, None]).sum(axis=0) >= min(_LEAST, int((~members.done).sum()))
    if not enough.any():
        raise InvalidInputError("no week has observations of both the done and the not done; check dates and parcels")
    columns[:] = [column for column, has in zip(columns, enough, strict=True) if has]
    if not enough.all():
        notes.append(f"{counted(int((~enough).sum()), 'combination')} of {len(enough):,} had too few observations")
    answer = separate(values[:, enough], members.done, members.stratum, permutations, seed)
    events = counted(int(members.done.sum()), "event")
    if answer.exact and answer.smallest > 0.05:
        raise InvalidInputError(
            f"{events} with {counted(int((~members.done).sum()), 'comparison')} are too few: the smallest p-value "
            f"possible is {answer.smallest:.3g}"
        )
    return answer


def _table(
    columns: list[_Column], answer: Separated, fdr: str, facts: Truth, members: Members, notes: list[str]
) -> pa.Table:
    """The combinations as rows, the best first."""
    signal, statistic, kind, week = zip(*columns, strict=True)
    numbers = np.array(week, np.int64)
    if facts.day is None:
        monday = [_EPOCH + timedelta(days=int(members.day[0] + number * eventwindows.WEEK)) for number in week]
        numbers = np.array([each.isocalendar().week for each in monday], np.int64)
    content: Mapping[str, Any] = {
        "signal": signal,
        "statistic": statistic,
        "kind": kind,
        "week": pa.array(numbers, pa.int32()),
        **{name: getattr(answer, name) for name in ("n_done", "n_not", "done", "not_done", "effect", "auc", "p")},
        "q": adjusted(answer.p, fdr),
        "p_max": answer.p_max,
    }
    if answer.smallest * len(columns) > 0.05 and not (content["q"] <= 0.05).any():
        more = "" if answer.exact else "; draw more by permutations="
        notes.append(
            f"the smallest p-value possible is {answer.smallest:.2g}, so that with {len(columns):,} combinations no "
            f"false discovery rate can be below 5% unless several are so small{more}"
        )
    how = "all" if answer.exact else "random"
    rest = f"{int((~members.done).sum()):,}"
    done = counted(int(members.done.sum()), "event" if facts.day is not None else "parcel")
    what = f"{done} and {rest} comparisons" if facts.day is not None else f"{done} done and {rest} not"
    notes.insert(0, f"{what}; {how} permutations")
    for note in notes[1:]:
        log.warning("%s", note)
    order = np.lexsort([-np.abs(np.nan_to_num(answer.z)), np.nan_to_num(answer.p, nan=2)])
    return pa.table(content).take(pa.array(order)).replace_schema_metadata({"notes": json.dumps(notes)})
