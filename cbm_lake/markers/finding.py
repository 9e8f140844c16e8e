"""`find` detects all markers of a parcel set and writes them to the lake; `looks` counts the observations."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.looks import tell
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import series, smoothing
from cbm_lake.markers.events import Events, of_parcels
from cbm_lake.markers.kernels import FIELDS
from cbm_lake.markers.parameters import EPOCH, Parameters
from cbm_lake.markers.parameters import read as read_parameters
from cbm_lake.markers.peers import compare, scores
from cbm_lake.markers.series import Observations

log = logging.getLogger(__name__)

_AT_ONCE: Final = 10_000
"""Parcels per block: their events take 40 MB during detection."""
_THREADS: Final = 2


@checked
def find(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    parameters: Mapping[str, Any] | str | Path | None = None,
    pids: Sequence[str] | None = None,
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
        lake: the lake; None is the workspace's.

    Returns:
        The columns of schemas.MARKERS, one row per marker, parcel by parcel. The schema's metadata `looks` is the
        result of `looks` as JSON.

    Raises:
        NotFoundError: no such parcels were loaded, or one of `pids` is not among them.
        InvalidInputError: a parameter is unknown or out of range.
    """
    lake = lake_or_default(lake)
    resolved = read_parameters(parameters)
    parcels = lake.parcel_set(aoi, year, ptype)
    observations = series.read(lake, parcels, resolved)
    series.check_pids(observations.pids, pids or (), parcels)
    rows = table(search(observations, parcels.year, resolved), observations, parcels)
    part = part_of(parcels)
    earlier = []
    if pids is not None:
        rows = rows.filter(pc.is_in(rows["pid"], pa.array(pids, pa.string())))
        earlier = [_earlier(lake, parcels, part, list(pids))]
    lake.put("marked", pa.concat_tables([*earlier, rows]), part)
    log.info("%s: %d markers of %d parcels", parcels.name, rows.num_rows, len(observations.pids))
    counts = series.looks(lake, parcels, resolved, pids)
    tell(parcels.name, counts)
    return rows.replace_schema_metadata({"looks": json.dumps(counts)})


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
    """All markers, as columns: those of single parcels, and those of the comparison with others up to `peers.until`."""
    last = parameters.peers.last_day(year, parameters.season.days(year)[1])
    compared = observations.until(last, parameters.clear.dates)
    return [*of_blocks(observations, year, parameters), *_alike(compared, year, parameters)]


def marker_names(parameters: Parameters) -> frozenset[str]:
    """The names of all markers that a search with these parameters can give."""
    nobody = series.nothing(parameters)
    return frozenset(events.marker for events in search(nobody, EPOCH.year, parameters))


def of_blocks(observations: Observations, year: int, parameters: Parameters) -> list[Events]:
    """The markers of single parcels, detected block by block on two threads."""
    begins = range(0, max(len(observations.pids), 1), _AT_ONCE)

    def search_block(begin: int) -> list[Events]:
        return [
            events.moved(begin) for events in of_parcels(observations.block(begin, begin + _AT_ONCE), year, parameters)
        ]

    with ThreadPoolExecutor(_THREADS) as workers:
        return [*chain.from_iterable(workers.map(search_block, begins))]


def _alike(observations: Observations, year: int, parameters: Parameters) -> list[Events]:
    """Homogeneity, similarity to the median curve of the crop, and rank of the distance from it."""
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
        _homogeneity(observations, parameters),
    ]


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
