"""Time series of signals, of tables or of the lake, for the comparison of what was done with what was not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa

from cbm_lake.crops import eventwindows
from cbm_lake.crops.eventwindows import Floats, Ints, LongSeries
from cbm_lake.crops.signaltables import Rows, Truth
from cbm_lake.errors import InvalidInputError, NotFoundError, counted, some
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import inputs, parameters
from cbm_lake.markers import signals as readable

SPAN: Final = 70
"""Days before and after an event within which other dates are compared."""
_MOST: Final = 5000
"""Parcels whose series are read; of more without an event some are drawn."""
_EPOCH: Final = date(1970, 1, 1)


def of_rows(several: Iterable[Rows], notes: list[str]) -> tuple[list[str], list[LongSeries]]:
    """Series by signal of tables, and the parcels that they are of."""
    several = list(several)
    pids = sorted({pid for rows in several for pid in rows.pid})
    index_of = {pid: index for index, pid in enumerate(pids)}
    clouded, undated = (sum(getattr(rows, name) for rows in several) for name in ("clouded", "undated"))
    if clouded:
        notes.append(f"{counted(clouded, 'row')} of the series had clouded pixels and are left out")
    if undated:
        notes.append(f"{counted(undated, 'row')} of the series have no date and are left out")
    pieces_of: dict[tuple[str, tuple[str, ...]], list[tuple[Any, ...]]] = {}
    for rows in several:
        names, index = np.array(rows.signal, object), np.array([index_of[pid] for pid in rows.pid], np.int64)
        matrix = np.column_stack([*rows.values.values()]) if rows.values else np.zeros((len(names), 0))
        for signal in sorted(set(rows.signal)):
            is_one = names == signal
            key = (signal, tuple(rows.values))
            pieces_of.setdefault(key, []).append((index[is_one], rows.day[is_one], matrix[is_one]))
    parts = []
    for (signal, statistics), pieces in pieces_of.items():
        parcel, day, values = (np.concatenate(each) for each in zip(*pieces, strict=True))
        parts.append(_sorted(signal, statistics, parcel, day, values))
    if not any(len(part.day) for part in parts):
        raise InvalidInputError("the series have no clear, dated row; check their dates and scene classes")
    return pids, parts


def _sorted(signal: str, names: tuple[str, ...], parcel: Ints, day: Ints, values: Floats) -> LongSeries:
    order = np.lexsort([day, parcel])
    return LongSeries(signal, parcel[order], day[order], names, values[order])


def of_lake(
    facts: Truth,
    lake: Lake,
    key_of_set: tuple[str | None, int | None, str | None],
    weeks: int,
    seed: int,
    notes: list[str],
) -> tuple[list[str], list[LongSeries]]:
    """Series of the parcels of a set, and their identifiers."""
    aoi, year, ptype = key_of_set
    if aoi is None or year is None:
        raise InvalidInputError("say aoi= and year= of the parcels in the lake, or series= of a table or folder")
    parcels = lake.parcel_set(aoi, year, ptype)
    pids = _needed(facts, lake.query("markers.declared", **parcels.params, pids=None)["pid"].to_pylist(), seed, notes)
    clear = parameters.read(None).clear
    days = _period(facts, parcels, weeks)
    key = {**parcels.params, "first": days[0], "last": days[1], "pids": pids} | clear.seen
    parts = []
    for each in readable.signals().values():
        if each.name == readable.COHERENCE:  # which is of both polarisations, each a signal here
            continue
        rows = inputs.rows_of(lake, each, key, clear.sky)
        if rows.num_rows:
            parcel, day, value = (rows[name].to_numpy() for name in ("place", "day", "value"))
            parts.append(_sorted(each.name, ("mean",), parcel.astype(np.int64), day.astype(np.int64), value[:, None]))
    rows = lake.query("crops.statistics_of_bands", **key, **clear.sky)
    parts += _of_statistics(rows, pids)
    if not parts:
        raise NotFoundError(f"{parcels.name} have no clear observation around these dates; extract scenes first")
    return pids, parts


def _needed(facts: Truth, pids: list[str], seed: int, notes: list[str]) -> list[str]:
    """The parcels whose series are read, sorted: those of truth, and others up to _MOST.

    Raises:
        InvalidInputError: none of truth is there.
    """
    mine = set(facts.pid) & set(pids)
    if not mine:
        raise InvalidInputError(
            f"no parcel of truth is among the {len(pids):,} of the set: {some(sorted(set(facts.pid)))}"
        )
    others = sorted(set(pids) - mine) if facts.day is not None else []
    room = max(_MOST - len(mine), 0)
    if len(others) > room:
        drawn = np.random.default_rng(seed).choice(len(others), room, replace=False)
        notes.append(f"of {len(others):,} parcels without an event {room:,} are looked at, drawn at random")
        others = [others[index] for index in drawn]
    return sorted(mine | set(others))


def _of_statistics(rows: pa.Table, pids: list[str]) -> Iterable[LongSeries]:
    """Series of the statistics of bands other than the mean."""
    if not rows.num_rows:
        return
    index = {pid: number for number, pid in enumerate(pids)}
    parcel = np.array([index[pid] for pid in rows["pid"].to_pylist()], np.int64)
    bands: dict[str, list[str]] = {}
    for name in rows.column_names[2:]:
        bands.setdefault(name.partition("_")[0], []).append(name)
    for band, names in bands.items():
        values = np.column_stack([rows[name].to_numpy().astype(np.float64) for name in names])
        filled = ~np.isnan(values).all(axis=0)
        if filled.any():
            statistics = tuple(name.partition("_")[2] for name, has in zip(names, filled, strict=True) if has)
            yield _sorted(band, statistics, parcel, rows["day"].to_numpy().astype(np.int64), values[:, filled])


def _period(facts: Truth, parcels: ParcelSet, weeks: int) -> tuple[int, int]:
    """The days of which observations are needed: around the events, or the year of the parcels."""
    if facts.day is None:
        first, last = (date(parcels.year, month, day) for month, day in ((1, 1), (12, 31)))
        return (first - _EPOCH).days, (last - _EPOCH).days
    margin = (weeks + 1) * eventwindows.WEEK + SPAN
    return int(facts.day.min()) - margin, int(facts.day.max()) + margin
