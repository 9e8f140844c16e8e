"""Reading what is new since a search that is remembered, and which parcels it is about."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import memory, series
from cbm_lake.markers.detectors import asked_for
from cbm_lake.markers.memory import COHERENCE, OPTICAL, Basis, Memory
from cbm_lake.markers.parameters import Parameters
from cbm_lake.markers.series import Ints, Raw, Series

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 3
"""How often it is read while others change what counts."""
_MOST_DAYS: Final = 12
"""Days that are read one by one; of more, all are read."""
_MOST_PARCELS: Final = 0.25
"""The share of the parcels whose coherence is read for them alone; of more, that of all is read."""


@dataclass(frozen=True, eq=False)
class Renewed:
    """What there is of the parcels now, and which of them have something new."""

    listed: pa.Table
    """The parcels by pid; see `series.declared`."""
    raw: Raw
    parcels: Ints | None
    """Indices of the parcels with something new since the search that is remembered; None is all."""
    days: list[tuple[int, int]]
    """The first and last days of the optical looks that were read."""
    basis: Basis
    is_settled: bool
    """Whether nobody changed what counts while it was read."""


def renew(lake: Lake, parcels: ParcelSet, parameters: Parameters, commits: int, former: Memory | None) -> Renewed:
    """Read the observations of a parcel set: all of them, or what is new since a search that is remembered.

    Args:
        lake: that is read.
        parcels: the set.
        parameters: of the search.
        commits: how often the rows of the set will have been replaced, see `Basis`.
        former: the search that is remembered; None reads all.
    """
    for _ in range(_ATTEMPTS):
        basis = memory.basis(lake, parcels, parameters, commits)
        basis = basis.with_days(lake, parcels, former.basis if former else None)
        renewed = _renewed(lake, parcels, parameters, former, basis)
        if memory.basis(lake, parcels, parameters, commits) == basis:
            return renewed
        log.info("%s: others extract over it; it is read again", parcels.name)
    return replace(renewed, is_settled=False)


def _renewed(lake: Lake, parcels: ParcelSet, parameters: Parameters, former: Memory | None, basis: Basis) -> Renewed:
    listed = series.declared(lake, parcels)
    count = listed.num_rows
    if former is None or not _fits(former.basis, basis, parcels):
        season = parameters.season.days(parcels.year)
        return Renewed(listed, series.gather(lake, parcels, parameters, count), None, [season], basis, is_settled=True)
    days = _days(former.basis, basis, parameters.season.days(parcels.year))
    raw, touched = _looked(lake, parcels, parameters, former.raw, days)
    coherence, others = _coherence(lake, parcels, parameters, listed, former, basis)
    further = _further(lake, parcels, parameters, listed, former.basis, basis)
    new = np.union1d(np.union1d(touched, others), further).astype(np.int64)
    return Renewed(listed, replace(raw, coherence=coherence), new, _spans(days), basis, is_settled=True)


def _fits(former: Basis, basis: Basis, parcels: ParcelSet) -> bool:
    """Whether what was read then can be used now: the same parcels, read by the same rules."""
    if former.parcels != basis.parcels:
        log.info("%s: its parcels have changed since the last search; all are searched again", parcels.name)
    elif former.how != basis.how:
        log.info("%s: parameters or rules have changed since the last search; all is searched again", parcels.name)
    return (former.parcels, former.how) == (basis.parcels, basis.how)


def _different(former: Basis, basis: Basis, card: str) -> tuple[list[str], list[str]]:
    """The scenes of a card whose rows are new, and those whose rows are others, or are no more."""
    then, now = former.scenes.get(card, {}), basis.scenes.get(card, {})
    return sorted(now.keys() - then.keys()), sorted(name for name in then if now.get(name) != then[name])


def _days(former: Basis, basis: Basis, season: tuple[int, int]) -> Ints:
    """The days of a season on which the rows of optical scenes are new, others, or no more."""
    new, others = _different(former, basis, OPTICAL)
    listed = [day for one_basis in (former, basis) for name in (*new, *others) for day in one_basis.days.get(name, ())]
    days = np.unique(np.array(listed, np.int64))
    return days[(days >= season[0]) & (days <= season[1])]


def _spans(days: Ints) -> list[tuple[int, int]]:
    """The days as those that are read at once: each by itself, or from the first to the last of many."""
    if len(days) > _MOST_DAYS:
        return [(int(days[0]), int(days[-1]))]
    return [(day, day) for day in days.tolist()]


def _looked(lake: Lake, parcels: ParcelSet, parameters: Parameters, raw: Raw, days: Ints) -> tuple[Raw, Ints]:
    """What was read, with the looks of some days read anew; and the parcels that had looks then, or have now."""
    if not len(days):
        return raw, np.zeros(0, np.int64)
    rows = pa.concat_tables([series.look(lake, parcels, parameters, span) for span in _spans(days)])
    rows = rows.filter(pc.is_in(rows["day"], pa.array(days, rows["day"].type)))
    owner = np.repeat(np.arange(len(raw.offsets) - 1), np.diff(raw.offsets))
    gone = np.isin(raw.day, days)
    index = np.concatenate([owner[~gone], rows["place"].to_numpy()])
    columns = {
        name: np.concatenate([getattr(raw, name)[~gone], rows[name].to_numpy()])
        for name in ("day", "ndvi", "spread", "pixels")
    }
    order = np.argsort(index * (1 << 20) + columns["day"], kind="stable")
    offsets = np.searchsorted(index[order], np.arange(len(raw.offsets))).astype(np.int64)
    touched = np.union1d(owner[gone], rows["place"].to_numpy())
    day, ndvi, spread, pixels = (columns[name][order] for name in ("day", "ndvi", "spread", "pixels"))
    return Raw(offsets, day, ndvi, spread, pixels, raw.coherence), touched


def _coherence(
    lake: Lake, parcels: ParcelSet, parameters: Parameters, listed: pa.Table, former: Memory, basis: Basis
) -> tuple[Series, Ints]:
    """The coherence as it is now, and the parcels of which it is not as it was.

    Each orbit is compared with the mean of all over the year, so one more scene changes all values of a parcel.
    """
    was = former.raw.coherence
    new, others = _different(former.basis, basis, COHERENCE)
    if not new and not others:
        return was, np.zeros(0, np.int64)
    covered = lake.query("markers.covered", **parcels.params, scenes=new)["pid"]
    index = np.sort(pc.index_in(covered, listed["pid"].combine_chunks()).to_numpy()).astype(np.int64)
    if others or len(index) > _MOST_PARCELS * listed.num_rows:
        index = np.arange(listed.num_rows)
        now = series.coherence(lake, parcels, parameters, listed.num_rows)
    elif len(index):
        pids = listed["pid"].take(pa.array(index)).to_pylist()
        now = _replaced(was, index, series.coherence(lake, parcels, parameters, len(index), pids))
    else:
        return was, index
    return now, index


def _replaced(was: Series, index: Ints, fresh: Series) -> Series:
    """A series with that of the parcels `place`, ascending, replaced by `fresh`."""
    owner = was.owner
    stays = ~np.isin(owner, index)
    owners = np.concatenate([owner[stays], index[fresh.owner]])
    order = np.argsort(owners, kind="stable")
    offsets = np.searchsorted(owners[order], np.arange(len(was.offsets))).astype(np.int64)
    return Series(
        offsets,
        np.concatenate([was.day[stays], fresh.day])[order],
        np.concatenate([was.value[stays], fresh.value])[order],
    )


def _further(
    lake: Lake, parcels: ParcelSet, parameters: Parameters, listed: pa.Table, former: Basis, basis: Basis
) -> Ints:
    """The parcels with new rows of other cards that detectors look at; all, where rows are others or no more."""
    touched = np.zeros(0, np.int64)
    for card in sorted({signal.card for signal in asked_for(parameters.detectors)} - {OPTICAL, COHERENCE}):
        new, others = _different(former, basis, card)
        if others:
            return np.arange(listed.num_rows)
        if new:
            pids = lake.query(f"changes.seen_{card}", **parcels.params, scenes=new)["pid"].unique()
            touched = np.union1d(touched, pc.index_in(pids, listed["pid"].combine_chunks()).to_numpy())
    return touched
