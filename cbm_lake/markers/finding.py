"""All markers of a parcel set: found at once, written into the lake, and returned."""

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
from cbm_lake.markers.parameters import Parameters
from cbm_lake.markers.parameters import read as read_parameters
from cbm_lake.markers.peers import compare, scores
from cbm_lake.markers.series import Seen

log = logging.getLogger(__name__)

_AT_ONCE: Final = 10_000
"""Parcels of a block: their events take 40 MB while they are found."""
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
    """The markers of all parcels of a set, which become those of the lake (view `markers`) in one commit.

    What an earlier search left is replaced; markers that were migrated stay. docs/markers.md says how each marker is
    found and what its values are.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        parameters: what differs from cbm_lake/markers/defaults.yaml: groups of parameters, or a YAML file of such.
        pids: only the markers of these parcels are written and returned; they are compared with all parcels still.
        lake: the lake; None is the workspace's.

    Returns:
        The columns of schemas.MARKERS, one row per marker, parcel by parcel. The schema's metadata `looks` is JSON of
        what `looks` counts.

    Raises:
        NotFoundError: no such parcels were loaded, or one of `pids` is not among them.
        InvalidInputError: a parameter is unknown or out of range.
    """
    lake = lake_or_default(lake)
    chosen = read_parameters(parameters)
    parcels = lake.parcel_set(aoi, year, ptype)
    seen = series.read(lake, parcels, chosen)
    series.check_known(seen.pids, pids or (), parcels)
    found = table(search(seen, parcels.year, chosen), seen, parcels)
    part = part_of(parcels)
    kept = []
    if pids is not None:
        found = found.filter(pc.is_in(found["pid"], pa.array(pids, pa.string())))
        kept = [_kept(lake, parcels, part, list(pids))]
    lake.put("marked", pa.concat_tables([*kept, found]), part)
    log.info("%s: %d markers of %d parcels", parcels.name, found.num_rows, len(seen.pids))
    counts = series.looks(lake, parcels, chosen, pids)
    tell(parcels.name, counts)
    return found.replace_schema_metadata({"looks": json.dumps(counts)})


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
    """What became of the looks of Sentinel-2 from which markers are found; a look is one parcel in one scene.

    Args and errors are those of `find`.

    Returns:
        looks: how many there are in the season. Each counts once among the others, as the first that holds: small
        (fewer pixels than `clear.pixels`), cut (less of the parcel seen than `clear.share`), unknown (no pixel is
        classified, so that no screen can decide), cloudy, bright (above `clear.brightest`), clear.
    """
    lake = lake_or_default(lake)
    parcels = lake.parcel_set(aoi, year, ptype)
    return series.looks(lake, parcels, read_parameters(parameters), pids)


def part_of(parcels: ParcelSet) -> int:
    """The part of the lake's markers that a search over those parcels writes; what was migrated is another part."""
    key = {"found": True, "aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype}
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8]) >> 1


def search(seen: Seen, year: int, chosen: Parameters) -> list[Events]:
    """Every kind of marker, as columns; what concerns one parcel alone is found block by block, on two threads."""
    begins = range(0, len(seen.pids), _AT_ONCE)

    def found_in(begin: int) -> list[Events]:
        return [found.moved(begin) for found in of_parcels(seen.block(begin, begin + _AT_ONCE), year, chosen)]

    with ThreadPoolExecutor(_THREADS) as workers:
        parts = list(workers.map(found_in, begins))
    return [*chain.from_iterable(parts), *_alike(seen, year, chosen)]


def _alike(seen: Seen, year: int, chosen: Parameters) -> list[Events]:
    """Homogeneity, similarity to the crop's median curve, and rank of the distance from it."""
    smooth = smoothing.curves(seen.ndvi, *chosen.season.days(year), chosen.smooth)
    found = compare(smooth.value, seen.crops, seen.observable, chosen.peers.least)
    some = np.flatnonzero(found.members > 0)
    days = _period(seen, some)
    outlier = found.score[some] > chosen.peers.outlier
    far = found.margin[some]
    sure = np.where(outlier, 1 - np.nan_to_num(far, nan=1.0), np.nan_to_num(far, nan=0.5))
    nearest = found.crops[found.nearest[some]]
    alike = np.column_stack([days, found.correlation[some], found.distance[some], found.score[some], sure])
    rank, members = found.rank[some], found.members[some]
    ranked = np.column_stack([days, rank, rank / members, members, _sure(seen, some)])
    kind = np.where(outlier, "outlier", "usual").astype(object)
    return [
        Events("similarity", some, alike, kind, nearest),
        Events("distance_rank", some, ranked, "s2"),
        _homogeneity(seen, chosen),
    ]


def _homogeneity(seen: Seen, chosen: Parameters) -> Events:
    """How even the parcel is, beside those of its crop."""
    usable = seen.observable & ~np.isnan(seen.spread)
    score, rank, members = scores(seen.spread.astype(np.float64), seen.crops, usable, chosen.peers.least)
    some = np.flatnonzero(usable)
    place = np.where(members > 0, rank / members, np.nan)
    fields = np.column_stack([_period(seen, some), seen.spread[some], score[some], place[some], _sure(seen, some)])
    uneven = np.nan_to_num(score[some]) > chosen.peers.outlier
    return Events("homogeneity", some, fields, np.where(uneven, "uneven", "even").astype(object))


def _sure(seen: Seen, some: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How sure what rests on all dates is: n / (n + 1) of n clear dates."""
    return seen.dates[some] / (seen.dates[some] + 1)


def _period(seen: Seen, some: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """First day, nothing, and last day on which each of some parcels was seen."""
    first, last = seen.ndvi.day[seen.ndvi.offsets[some]], seen.ndvi.day[seen.ndvi.offsets[some + 1] - 1]
    return np.column_stack([first, np.full(len(some), np.nan), last])


def table(found: Sequence[Events], seen: Seen, parcels: ParcelSet) -> pa.Table:
    """The rows of schemas.MARKERS, in the order of pids."""
    place = np.concatenate([events.place for events in found])
    order = np.argsort(place, kind="stable")
    place = place[order]
    fields = np.concatenate([events.fields for events in found])[order]
    names = np.repeat(np.arange(len(found)), [len(events.place) for events in found])[order]
    bounds = {name: dates(fields[:, number]) for number, name in enumerate(("date_start", "date_main", "date_end"))}
    known: dict[str, Any] = {
        "aoi": pa.repeat(parcels.aoi, len(place)),
        "year": pa.repeat(parcels.year, len(place)),
        "ptype": pa.repeat(parcels.ptype, len(place)),
        "pid": seen.pids.take(pa.array(place)),
        "marker": pa.array([events.marker for events in found]).take(pa.array(names)),
        "marker_type": pa.array(np.concatenate([events.kind for events in found])[order], pa.string()),
        **bounds,
        "duration_days": pc.subtract(bounds["date_end"].cast(pa.int32()), bounds["date_start"].cast(pa.int32())),
        **{name: pa.array(fields[:, number + 3], from_pandas=True) for number, name in enumerate(FIELDS[3:])},
        "practice": pa.array(np.concatenate([events.practice for events in found])[order], pa.string()),
        "part": pa.repeat(part_of(parcels), len(place)),
        "observable": pa.array(seen.observable[place]),
    }
    columns = [
        known[field.name].cast(field.type) if field.name in known else pa.nulls(len(place), field.type)
        for field in schemas.MARKERS
    ]
    return pa.table(columns, schema=schemas.MARKERS)


def dates(days: npt.NDArray[np.float64]) -> pa.Array:
    """Days since 1970-01-01 as dates; null where there is none."""
    unknown = np.isnan(days)
    return pa.array(np.where(unknown, 0, np.floor(days + 0.5)).astype(np.int32), pa.date32(), mask=unknown)


def _kept(lake: Lake, parcels: ParcelSet, part: int, pids: list[str]) -> pa.Table:
    """What stays of an earlier search."""
    key = {"aoi": parcels.aoi, "year": parcels.year, "part": part, "pids": pids}
    return lake.query("markers.kept", **key).select(schemas.MARKERS.names).cast(schemas.MARKERS)
