"""`find` detects all markers of a parcel set and writes them to the lake; `looks` counts the observations."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.looks import tell
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import memory, renewal, series, smoothing
from cbm_lake.markers.events import Events, of_parcels
from cbm_lake.markers.kernels import FIELDS
from cbm_lake.markers.parameters import Parameters
from cbm_lake.markers.parameters import read as read_parameters
from cbm_lake.markers.peers import compare, scores
from cbm_lake.markers.series import Observations

log = logging.getLogger(__name__)

_AT_ONCE: Final = 10_000
"""Parcels per block: their events take 40 MB during detection."""
_THREADS: Final = 2
_OF_PEERS: Final = ("similarity", "distance_rank", "homogeneity")
"""Markers that rest on all parcels of the crop."""


@checked
def find(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    parameters: Mapping[str, Any] | str | Path | None = None,
    pids: Sequence[str] | None = None,
    only_new: bool = False,
    lake: Lake | None = None,
) -> pa.Table:
    """Detect the markers of all parcels of a set and write them to the lake (view `markers`) in one commit.

    Results of an earlier search are replaced; migrated markers stay. docs/markers.md describes how each marker is
    detected and what its values are.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        parameters: overrides of cbm_lake/markers/defaults.yaml: groups of parameters, or a YAML file of them.
        pids: only the markers of these parcels are written and returned; they are still compared with all parcels.
        only_new: whether only the parcels whose observations have changed since the last search are searched again;
            what the lake has afterwards is the same as after a search of all.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of schemas.MARKERS, one row per marker, parcel by parcel. The schema's metadata has `looks`,
        the result of `looks` as JSON, and `searched`, the number of parcels that were searched; with `only_new` both
        are of what is new.

    Raises:
        NotFoundError: no such parcels were loaded, or one of `pids` is not among them.
        InvalidInputError: a parameter is unknown or out of range.
    """
    lake = lake_or_default(lake)
    resolved = read_parameters(parameters)
    parcels = lake.parcel_set(aoi, year, ptype)
    if pids is None:
        rows, counts, searched = _find_all(lake, parcels, resolved, only_new=only_new)
    elif only_new:
        raise InvalidInputError("either some parcels are searched, or those with something new: pids or only_new")
    else:
        rows, counts = _find_some(lake, parcels, resolved, list(pids))
        searched = len(set(pids))
    log.info("%s: %d markers", parcels.name, rows.num_rows)
    tell(parcels.name, counts)
    return rows.replace_schema_metadata({"looks": json.dumps(counts), "searched": str(searched)})


def _find_some(
    lake: Lake, parcels: ParcelSet, parameters: Parameters, pids: list[str]
) -> tuple[pa.Table, dict[str, int]]:
    """Search all parcels and write the markers of some; which of the others' are of when is not remembered."""
    observations = series.read(lake, parcels, parameters)
    series.check_pids(observations.pids, pids, parcels)
    rows = table(search(observations, parcels.year, parameters), observations, parcels)
    rows = rows.filter(pc.is_in(rows["pid"], pa.array(pids, pa.string())))
    part, counts = part_of(parcels), series.looks(lake, parcels, parameters, pids)
    lake.put("marked", pa.concat_tables([_earlier(lake, parcels, part, pids), rows]), part, memory=0)
    return rows, counts


def _find_all(
    lake: Lake, parcels: ParcelSet, parameters: Parameters, *, only_new: bool
) -> tuple[pa.Table, dict[str, int], int]:
    """Search all parcels, or those with something new, and write the markers of all; counts of looks and parcels."""
    part = part_of(parcels)
    commits = 1 + lake.remembered("marked", part)[1]
    former = memory.load(lake, parcels, part) if only_new else None
    renewed = renewal.renew(lake, parcels, parameters, commits, former)
    counts = series.looks(lake, parcels, parameters, days=renewed.days)
    if renewed.parcels is not None and not len(renewed.parcels):
        log.info("%s: nothing new since the last search", parcels.name)
        return _earlier(lake, parcels, part, []), counts, 0
    rows, searched, skipped = _searched(lake, parcels, parameters, renewed, former)
    number = 0
    if renewed.is_settled:
        basis = replace(renewed.basis, skipped=sorted(skipped))
        number = memory.save(lake, parcels, part, memory.Memory(basis, renewed.raw))
    lake.put("marked", rows, part, memory=number)
    memory.forget(lake, parcels, part, but=number)
    return rows, counts, searched


def _searched(
    lake: Lake, parcels: ParcelSet, parameters: Parameters, renewed: renewal.Renewed, former: memory.Memory | None
) -> tuple[pa.Table, int, frozenset[str]]:
    """The rows of all parcels; how many of these were searched, and which detectors say nothing."""
    year, new = parcels.year, renewed.parcels
    observations = series.observed(renewed.listed, renewed.raw, year, parameters)
    some = None
    if new is not None and former is not None:
        some = _with_inputs_of_some(lake, parcels, parameters, observations, new, former.basis.skipped)
    if some is None or new is None:
        observations = series.with_inputs(lake, parcels, observations, parameters)
        rows = table(search(observations, year, parameters), observations, parcels)
        return rows, len(observations.pids), observations.skipped
    log.info("%s: %d of %d parcels have something new", parcels.name, len(new), len(observations.pids))
    singles = [events.at(new) for events in _singles(some, year, parameters)]
    fresh = table([*singles, *_alike(observations, year, parameters)], observations, parcels)
    earlier = _earlier(lake, parcels, part_of(parcels), [])
    return _merged(earlier, fresh, observations.pids, new), len(new), some.skipped


def _with_inputs_of_some(
    lake: Lake,
    parcels: ParcelSet,
    parameters: Parameters,
    observations: Observations,
    new: npt.NDArray[np.int64],
    skipped: Sequence[str],
) -> Observations | None:
    """The observations of the parcels with something new, with what detectors ask for.

    None where other detectors say nothing than at the last search, so that all parcels have something new.
    """
    some = observations.some(new)
    some = series.with_inputs(lake, parcels, some, parameters, some.pids.to_pylist())
    if some.skipped == frozenset(skipped):
        return some
    everything = series.with_inputs(lake, parcels, observations, parameters)
    return everything.some(new) if everything.skipped == frozenset(skipped) else None


def _merged(earlier: pa.Table, fresh: pa.Table, pids: pa.Array, new: npt.NDArray[np.int64]) -> pa.Table:
    """The fresh rows, and the earlier ones of what was not searched again, in the order of a search of all.

    Args:
        earlier: all rows of the search before.
        fresh: of all parcels those of the comparison with others, of those searched again also the others.
        pids: of all parcels, in order.
        new: indices of the parcels that were searched again.
    """
    rows = pa.concat_tables([earlier, fresh])
    parcel = pc.index_in(rows["pid"], pids).to_numpy()
    of_peers = pc.is_in(rows["marker"], pa.array(_OF_PEERS, pa.string())).to_numpy()
    is_searched = np.zeros(len(pids), bool)
    is_searched[new] = True
    is_replaced = of_peers | is_searched[parcel]
    is_replaced[earlier.num_rows :] = False
    stays = np.flatnonzero(~is_replaced)
    order = stays[np.argsort(2 * parcel[stays] + of_peers[stays], kind="stable")]
    return rows.combine_chunks().take(pa.array(order))


@checked
def looks(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    parameters: Mapping[str, Any] | str | Path | None = None,
    pids: Sequence[str] | None = None,
    lake: Lake | None = None,
) -> dict[str, int]:
    """Count the Sentinel-2 observations behind the markers by their fate; a look is one parcel in one scene.

    Arguments and errors are those of `find`.

    Returns:
        looks: how many there are in the season. Each counts once among the others, as the first that holds: small
        (fewer pixels than `clear.pixels`), cut (less of the parcel seen than `clear.share`), unknown (no pixel is
        classified, so that no screen can decide), cloudy, bright (above `clear.brightest`), clear.
    """
    lake = lake_or_default(lake)
    parcels = lake.parcel_set(aoi, year, ptype)
    return series.looks(lake, parcels, read_parameters(parameters), pids)


def part_of(parcels: ParcelSet) -> int:
    """The part number of the markers that a search over these parcels writes; migrated markers have other parts."""
    key = {"found": True, "aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype}
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8]) >> 1


def search(observations: Observations, year: int, parameters: Parameters) -> list[Events]:
    """All markers, as columns; those of single parcels are detected block by block on two threads."""
    return [*_singles(observations, year, parameters), *_alike(observations, year, parameters)]


def _singles(observations: Observations, year: int, parameters: Parameters) -> list[Events]:
    """The markers that are detected in each parcel by itself."""
    begins = range(0, len(observations.pids), _AT_ONCE)

    def search_block(begin: int) -> list[Events]:
        return [
            events.moved(begin) for events in of_parcels(observations.block(begin, begin + _AT_ONCE), year, parameters)
        ]

    with ThreadPoolExecutor(_THREADS) as workers:
        return list(chain.from_iterable(workers.map(search_block, begins)))


def _alike(observations: Observations, year: int, parameters: Parameters) -> list[Events]:
    """Homogeneity, similarity to the median curve of the crop, and rank of the distance from it."""
    uneven = _homogeneity(observations, parameters)
    observations = _compared(observations, year, parameters)
    smooth = smoothing.curves(observations.ndvi, *parameters.season.days(year), parameters.smooth)
    comparison = compare(smooth.value, observations.crops, observations.observable, parameters.peers.least)
    some = np.flatnonzero(comparison.members > 0)
    days = _period(observations, some)
    outlier = comparison.score[some] > parameters.peers.outlier
    far = comparison.margin[some]
    confidence = np.where(outlier, 1 - np.nan_to_num(far, nan=1.0), np.nan_to_num(far, nan=0.5))
    nearest = comparison.crops[comparison.nearest[some]]
    alike = np.column_stack(
        [days, comparison.correlation[some], comparison.distance[some], comparison.score[some], confidence]
    )
    rank, members = comparison.rank[some], comparison.members[some]
    ranked = np.column_stack([days, rank, rank / members, members, _confidence(observations, some)])
    kind = np.where(outlier, "outlier", "usual").astype(object)
    return [
        Events("similarity", some, alike, kind, nearest),
        Events("distance_rank", some, ranked, "s2"),
        uneven,
    ]


def _compared(observations: Observations, year: int, parameters: Parameters) -> Observations:
    """The observations up to the day `peers.until`, so that nothing later changes what the comparison gives."""
    last = parameters.peers.last_day(year, parameters.season.days(year)[1])
    ndvi = observations.ndvi.take(observations.ndvi.day <= last)
    return replace(observations, ndvi=ndvi, dates=ndvi.count, observable=ndvi.count >= parameters.clear.dates)


def _homogeneity(observations: Observations, parameters: Parameters) -> Events:
    """Homogeneity of each parcel compared with the parcels of its crop."""
    usable = observations.observable & ~np.isnan(observations.spread)
    score, rank, members = scores(
        observations.spread.astype(np.float64), observations.crops, usable, parameters.peers.least
    )
    some = np.flatnonzero(usable)
    relative_rank = np.where(members > 0, rank / members, np.nan)
    fields = np.column_stack(
        [
            _period(observations, some),
            observations.spread[some],
            score[some],
            relative_rank[some],
            _confidence(observations, some),
        ]
    )
    uneven = np.nan_to_num(score[some]) > parameters.peers.outlier
    return Events("homogeneity", some, fields, np.where(uneven, "uneven", "even").astype(object))


def _confidence(observations: Observations, some: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Confidence of markers that rest on all dates: n / (n + 1) for n clear dates."""
    return observations.dates[some] / (observations.dates[some] + 1)


def _period(observations: Observations, some: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """First and last day on which each parcel was observed, with NaN (no best estimate) between them."""
    first, last = (
        observations.ndvi.day[observations.ndvi.offsets[some]],
        observations.ndvi.day[observations.ndvi.offsets[some + 1] - 1],
    )
    return np.column_stack([first, np.full(len(some), np.nan), last])


def table(markers: Sequence[Events], observations: Observations, parcels: ParcelSet) -> pa.Table:
    """The markers as rows of schemas.MARKERS, in the order of pids."""
    parcel = np.concatenate([events.parcel for events in markers])
    order = np.argsort(parcel, kind="stable")
    parcel = parcel[order]
    fields = np.concatenate([events.fields for events in markers])[order]
    names = np.repeat(np.arange(len(markers)), [len(events.parcel) for events in markers])[order]
    bounds = {name: dates(fields[:, number]) for number, name in enumerate(("date_start", "date_main", "date_end"))}
    by_name: dict[str, Any] = {
        "aoi": pa.repeat(parcels.aoi, len(parcel)),
        "year": pa.repeat(parcels.year, len(parcel)),
        "ptype": pa.repeat(parcels.ptype, len(parcel)),
        "pid": observations.pids.take(pa.array(parcel)),
        "marker": pa.array([events.marker for events in markers]).take(pa.array(names)),
        "marker_type": pa.array(np.concatenate([events.kind for events in markers])[order], pa.string()),
        **bounds,
        "duration_days": pc.subtract(bounds["date_end"].cast(pa.int32()), bounds["date_start"].cast(pa.int32())),
        **{name: pa.array(fields[:, number + 3], from_pandas=True) for number, name in enumerate(FIELDS[3:])},
        "practice": pa.array(np.concatenate([events.practice for events in markers])[order], pa.string()),
        "part": pa.repeat(part_of(parcels), len(parcel)),
        "observable": pa.array(observations.observable[parcel]),
    }
    columns = [
        by_name[field.name].cast(field.type) if field.name in by_name else pa.nulls(len(parcel), field.type)
        for field in schemas.MARKERS
    ]
    return pa.table(columns, schema=schemas.MARKERS)


def dates(days: npt.NDArray[np.float64]) -> pa.Array:
    """Days since 1970-01-01 as dates; null where there is none."""
    unknown = np.isnan(days)
    return pa.array(np.where(unknown, 0, np.floor(days + 0.5)).astype(np.int32), pa.date32(), mask=unknown)


def _earlier(lake: Lake, parcels: ParcelSet, part: int, pids: list[str]) -> pa.Table:
    """The rows of an earlier search that are not replaced."""
    key = {"aoi": parcels.aoi, "year": parcels.year, "part": part, "pids": pids}
    return lake.query("markers.kept", **key).select(schemas.MARKERS.names).cast(schemas.MARKERS)
