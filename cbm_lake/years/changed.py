"""Change of land use: parcels whose season no longer resembles any crop, as candidates for the update of the LPIS."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import NotFoundError, wrong_argument
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.years import landbefore, resemblance, seasons
from cbm_lake.years.findings import OF_SET, named
from cbm_lake.years.resemblance import KINDS, Resembled, Seasons

log = logging.getLogger(__name__)

CANDIDATE, CROP, UNKNOWN = VERDICTS = ("candidate", "crop", "cannot say")
_VALUES: Final = ("ndvi_p10", "ndvi", "ndvi_p90", "ndwi", "mndwi", "ndbi", "red", "swir", "vv", "water", "uneven")
_MOST_OF_IT: Final = 0.5
"""Share of a parcel from which on an earlier one says what it was."""


@checked
def land_use(
    aoi: str, year: int, ptype: str | None = None, *, before: bool = True, lake: Lake | None = None
) -> pa.Table:
    """Rank parcels whose season resembles no crop: water, sealed or bare ground, forest, or like none of the others.

    A parcel is a candidate where its clear looks show the sign of another use, or where its season is farther from that
    of every declared crop than is usual; docs/years.md describes the signs with their sources. Candidates are for a
    look at an image: a fallow that stays bare, a flooded meadow or a nursery may bear the same signs.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        before: whether candidates are compared with the year before, through lineage, where that was seen.
        lake: the lake; None is the workspace's.

    Returns:
        A row per parcel, candidates first: rank (1 is the farthest from any crop among those with a sign, then those
        like no crop; null of others), pid, crop_name, verdict (candidate, crop, or cannot say where too little was
        seen), kind (one of `resemblance.KINDS`), reason, before (what the land was the year before: "a crop", "the
        same", the kind, or null where that is not known), distance to the nearest declared crop in robust standard
        deviations, nearest (that crop), looks and months (clear ones), medians and percentiles of NDVI (ndvi_p10,
        ndvi, ndvi_p90), of ndwi, mndwi, ndbi, red and swir (reflectance), vv (dB), water (share of looks that show
        it), uneven (std / mean of B08 in the parcel: only part of it may have changed), area_m2.

    Raises:
        NotFoundError: no such parcels were loaded, or too little was seen of all of them.
    """
    lake = lake_or_default(lake)
    parcels = lake.parcel_set(aoi, year, ptype)
    declared, seen = seasons.read(lake, parcels)
    judged = resemblance.judge(seen)
    if not judged.seen.any():
        raise NotFoundError(f"too little was seen of every parcel of {parcels.name}; extract more of Sentinel-2 first")
    _tell(parcels, judged)
    earlier = _kinds_before(lake, parcels, declared["pid"].combine_chunks(), judged) if before else None
    return _table(declared, seen, judged, earlier).replace_schema_metadata({OF_SET: named(parcels)})


def candidates(rows: pa.Table, most: int | None = None) -> pa.Table:
    """The ranked candidates of `land_use`, all or the first ones.

    Raises:
        InvalidInputError: the number of first ones is not positive.
    """
    if most is not None and most < 1:
        raise wrong_argument("most", f"{most} is not right: a number of parcels, 1 or more")
    ranked = rows.filter(pc.equal(rows["verdict"], CANDIDATE))
    return ranked if most is None else ranked.slice(0, most)


def _tell(parcels: ParcelSet, judged: Resembled) -> None:
    """Log what cannot be said."""
    unseen = int((~judged.seen).sum())
    if unseen:
        log.warning("%s: of %d of %d parcels too little was seen", parcels.name, unseen, len(judged.seen))
    if not judged.compared:
        log.warning(
            "%s: no crop has %d parcels that were seen, so seasons are judged by signs alone",
            parcels.name,
            resemblance.PEERS,
        )


def _kinds_before(lake: Lake, parcels: ParcelSet, pids: pa.Array, judged: Resembled) -> list[str | None]:
    """What the land of each candidate was the year before; None where that is not known."""
    kinds: list[str | None] = [None] * len(pids)
    former = {each.year: each for each in lake.parcel_sets() if (each.aoi, each.ptype) == (parcels.aoi, parcels.ptype)}
    rows = [number for number, kind in enumerate(judged.kind) if kind is not None]
    if parcels.year - 1 not in former or not rows:
        return kinds
    landbefore.provide(lake, parcels, 2)
    declared, seen = seasons.read(lake, former[parcels.year - 1])
    earlier = resemblance.judge(seen)
    index = {pid: number for number, pid in enumerate(declared["pid"].to_pylist())}
    was = _largest_before(lake, parcels, [pids[number].as_py() for number in rows])
    for number in rows:
        number_before = index.get(was.get(pids[number].as_py(), ""))
        if number_before is not None and earlier.seen[number_before]:
            kind = earlier.kind[number_before]
            kinds[number] = "a crop" if kind is None else "the same" if kind == judged.kind[number] else str(kind)
    return kinds


def _largest_before(lake: Lake, parcels: ParcelSet, pids: list[str]) -> dict[str, str]:
    """By pid the parcel of the year before that had most of its land."""
    land = lake.query("years.land", **parcels.params, years=2, listed=None, digits=8, pids=pids).to_pylist()
    rows = [row for row in land if row["shared_m2"] >= _MOST_OF_IT * row["area_m2"] and row["pid_before"]]
    return {row["pid"]: row["pid_before"] for row in reversed(rows)}  # the largest comes first


def _table(declared: pa.Table, seen: Seasons, judged: Resembled, before: list[str | None] | None) -> pa.Table:
    is_candidate = np.array([kind is not None for kind in judged.kind], bool)
    verdict = np.where(is_candidate, CANDIDATE, np.where(judged.seen, CROP, UNKNOWN))
    order = _order(judged, is_candidate, verdict)
    rank = np.arange(1, len(order) + 1)
    columns: dict[str, object] = {
        "pid": declared["pid"],
        "crop_name": declared["crop_name"],
        "verdict": pa.array(verdict.tolist(), pa.string()),
        "kind": pa.array(judged.kind.tolist(), pa.string()),
        "reason": pa.array(_reasons(seen, judged), pa.string()),
        "before": pa.array(before or [None] * len(order), pa.string()),
        "distance": _numbers(judged.distance),
        "nearest": pa.array(judged.nearest.tolist(), pa.string()),
        "looks": pa.array(seen.looks.astype(np.int32)),
        "months": pa.array(seen.months.astype(np.int32)),
        **{name: _numbers(seen.whole[name]) for name in _VALUES},
        "area_m2": declared["area_m2"],
    }
    ranks = pa.array(rank, pa.int32(), mask=~is_candidate[order])
    return pa.table(columns).take(pa.array(order)).add_column(0, "rank", ranks)


def _order(judged: Resembled, is_candidate: npt.NDArray[np.bool_], verdict: npt.NDArray[np.str_]) -> pa.Array:
    """Candidates with a sign, then those like no crop, each by distance; then what cannot be said; then crops."""
    is_odd = judged.kind == KINDS[-1]
    group = np.where(is_candidate, np.where(is_odd, 1, 0), np.where(verdict == UNKNOWN, 2, 3))
    return np.lexsort((-np.nan_to_num(judged.distance, nan=-1.0), group))


def _numbers(values: npt.NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def _reasons(seen: Seasons, judged: Resembled) -> list[str]:
    return [_reason(seen, judged, number) for number in range(len(judged.seen))]


def _reason(seen: Seasons, judged: Resembled, number: int) -> str:
    """Why a parcel is judged so, in words."""
    of = {name: float(seen.whole[name][number]) for name in ("ndvi_p10", "ndvi_p90", "ndbi", "water")}
    kind, nearest, distance = judged.kind[number], judged.nearest[number], judged.distance[number]
    if not judged.seen[number]:
        return f"{seen.looks[number]:.0f} clear looks in {seen.months[number]:.0f} months are too few"
    if kind is None:
        return f"like {nearest}" if np.isfinite(distance) else "no sign of another use"
    built = ", brighter in short-wave than in near infrared" if of["ndbi"] > 0 else ""
    sign = {
        "water": f"{of['water']:.0%} of the clear looks show water",
        "sealed or bare": f"NDVI stays between {of['ndvi_p10']:.2f} and {of['ndvi_p90']:.2f} all season{built}",
        "forest": f"NDVI stays above {of['ndvi_p10']:.2f}, dark in red and in short-wave infrared",
    }.get(kind)
    far = f"{distance:.1f} deviations from {nearest}, the nearest crop" if np.isfinite(distance) else None
    return "; ".join(filter(None, (sign, far)))
