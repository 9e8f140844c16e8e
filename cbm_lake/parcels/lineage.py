"""`lineage` relates the parcels of two years by the areas that they share, and writes that to the lake."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, NotFoundError, some, wrong_argument
from cbm_lake.geo.reprojection import Shapes
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.schemas.declared import GONE, NEW, RELATIONS, SAME, SLIVER
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcels.displaced import displaced
from cbm_lake.parcels.geometry import comparable
from cbm_lake.parcels.identity import gather, tolerance
from cbm_lake.parcels.relations import LEAST_SHARE, Related, relate
from cbm_lake.zonal.overlaps import Outlines, Overlaps, outlines, overlaps

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_OVERLAP: Final = 1e-6
"""Share by which a parcel may be covered more than once without a word, where there are no slivers."""
_INTERNAL: Final = ("part", "sequence")


@dataclass(frozen=True, eq=False)
class _Declared:
    """The parcels of one year, in the order of their file."""

    of: ParcelSet
    pids: pa.Array
    area_m2: Floats
    """As the lake has it, measured in EPSG:3035."""
    areas: Floats
    """In the coordinate system `epsg`."""
    epsg: int
    """The coordinate system in which the years are compared."""
    stored: int
    """That of the set."""


@checked
def lineage(
    aoi: str,
    year_a: int,
    year_b: int,
    ptype: str | None = None,
    *,
    ptype_before: str | None = None,
    least_share: float = LEAST_SHARE,
    progress: Callable[[int, int], None] | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """What the parcels of an earlier year became in a later one, by the areas that they share; written to the lake.

    Each pair of parcels that overlap has a relation, see docs/lineage.md: same, moved, split, merged, part of, or
    sliver where they overlap by less than counts; a parcel without any other relation is new or gone. All overlaps are
    rows, so that the shares of a parcel and what is left uncovered sum up to 1 (to more where parcels of the other
    year overlap each other). Rows of an earlier call for the same parcel sets are replaced (view `lineage`); a lake
    opened `as_of` is not written to.

    Args:
        aoi: area.
        year_a: a year.
        year_b: the other one; which of the two is the later does not matter.
        ptype: which parcel set of the later year; None is the main one.
        ptype_before: which one of the earlier year; None is the same, "" the main one. Of one year two sets can be
            related: `ptype_before` is then the earlier one.
        least_share: share of the later or the earlier parcel's area, from 0 to less than 0.5, from which an overlap is
            no sliver. Parcels are the same where no more of either is outside of the other.
        progress: called with the number of later parcels done, and their total.
        lake: the lake; None is the workspace's.

    Returns:
        One row per pair and per new or gone parcel, ordered by pid and pid_before, nulls last: aoi, year (the later),
        ptype, year_before, ptype_before, version and version_before of the parcel sets, pid (null: gone), pid_before
        (null: new), relation, area_m2 and area_before_m2 (measured in EPSG:3035), shared_m2, share of the later
        parcel's area and share_before of the earlier's (0 to 1, from areas in the coordinate system of the later set;
        shared_m2 is share times area_m2), least_share.

    Raises:
        NotFoundError: no parcels were loaded for one of the years.
        InvalidInputError: the parcel sets are one and the same, or least_share is out of range.
    """
    lake = lake_or_default(lake)
    if not 0 <= least_share < 0.5:
        raise wrong_argument("least_share", f"{least_share:g} is not right: a share from 0 to less than 0.5")
    later, earlier = _sets(lake, aoi, (year_a, year_b), ptype, ptype_before)
    now, before, pairs = _compared(lake, later, earlier, progress)
    related = relate(pairs, now.areas, before.areas, least_share)
    related = related.with_displaced(*_displaced(lake, now, before, related))
    _warn_of_overlaps(now, before, related, max(least_share, _OVERLAP))
    rows = _rows(now, before, related, least_share)
    if lake.as_of is None:
        lake.put("related_parcels", rows, part_of(later, earlier))
    else:
        log.info("%r is the lake as it was: the lineage is not written to it", lake)
    log.info("%s: %s", later.name, in_words(rows))
    return rows.drop_columns(list(_INTERNAL))


def in_words(rows: pa.Table) -> str:
    """How many parcels there are in each relation: 300 same, 12 split, 3 new; pairs where a relation is of two."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(rows["relation"]).to_pylist()}
    return ", ".join(f"{counts[relation]:,} {relation}" for relation in RELATIONS if relation in counts) or "no parcels"


def outdated(lake: Lake, parcels: ParcelSet) -> Iterator[str]:
    """A sentence for each lineage in the lake that was computed of other outlines of a parcel set than are in force."""
    for row in lake.query("lineage.outdated").to_pylist():
        sets = [(row["aoi"], row["year"], row["ptype"]), (row["aoi"], row["year_before"], row["ptype_before"])]
        if (parcels.aoi, parcels.year, parcels.ptype) in sets:
            later, earlier = (" ".join(map(str, each)).rstrip() for each in sets)
            yield (
                f"the lineage of {later} from {earlier} was computed of outlines that are in force no more; "
                f"compute it again (`cbm-lake parcels lineage`)"
            )


def rows_of_parcels(rows: pa.Table, pids: list[str] | None, *, changed: bool) -> pa.Table:
    """The rows of these parcels of either year, or all; where `changed`, without slivers and what is the same."""
    if pids is not None:
        either = {*rows["pid"].to_pylist(), *rows["pid_before"].to_pylist()}
        if absent := [pid for pid in pids if pid not in either]:
            raise NotFoundError(f"no parcel of either year has the identifier {some(absent)}")
        selected = pa.array(pids, pa.string())
        return rows.filter(pc.or_(pc.is_in(rows["pid"], selected), pc.is_in(rows["pid_before"], selected)))
    return rows.filter(pc.invert(pc.is_in(rows["relation"], pa.array([SAME, SLIVER])))) if changed else rows


def part_of(later: ParcelSet, earlier: ParcelSet) -> int:
    """The number of the part of the table that has the lineage of these parcel sets, whatever their versions."""
    key = {"lineage": True, **later.params, "year_before": earlier.year, "ptype_before": earlier.ptype}
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8]) >> 1


def _sets(
    lake: Lake, aoi: str, years: tuple[int, int], ptype: str | None, ptype_before: str | None
) -> tuple[ParcelSet, ParcelSet]:
    """The later and the earlier parcel set."""
    before = ptype if ptype_before is None else ptype_before
    if years[0] == years[1] and (ptype or "") == (before or ""):
        problem = f"both years are {years[0]}; give two years, or another"
        raise InvalidInputError(f"{problem} ptype_before=", plain=f"{problem} kind of parcels before")
    return lake.parcel_set(aoi, max(years), ptype), lake.parcel_set(aoi, min(years), before)


def _compared(
    lake: Lake, later: ParcelSet, earlier: ParcelSet, progress: Callable[[int, int], None] | None
) -> tuple[_Declared, _Declared, Overlaps]:
    """Both sets and what they share; the outlines, which take most of the memory, are needed no longer than this."""
    now, outlines_now = _declared(lake, later)
    before, outlines_before = _declared(lake, earlier, now.epsg)
    return now, before, overlaps(outlines_now, outlines_before, progress)


def _declared(lake: Lake, parcels: ParcelSet, epsg: int | None = None) -> tuple[_Declared, Outlines]:
    """The parcels of a set and their outlines, reprojected to a coordinate system where one is given."""
    table = lake.read_parcels(parcels, ["id", "area", "epsg"])
    stored = int(table["epsg"][0].as_py()) if table.num_rows else 0
    if epsg is not None and epsg != stored:
        log.warning("parcels of %s are in EPSG:%d; they are reprojected to EPSG:%d", parcels.name, stored, epsg)
    system = epsg or stored
    rings = outlines(_shapes(lake, parcels, stored, system))
    area = table["area"].to_numpy() * 10_000
    return _Declared(parcels, table["id"].combine_chunks(), area, rings.areas, system, stored), rings


def _displaced(lake: Lake, now: _Declared, before: _Declared, related: Related) -> tuple[Ints, Ints]:
    """New and gone parcels that have the same outline."""
    new, gone = related.new, related.gone
    if not (len(new) and len(gone)):
        return new[:0], gone[:0]
    mine, theirs = displaced(
        _some_shapes(lake, now, new),
        _some_shapes(lake, before, gone),
        now.pids.take(pa.array(new)),
        before.pids.take(pa.array(gone)),
        tolerance(now.epsg),
    )
    return new[mine], gone[theirs]


def _some_shapes(lake: Lake, parcels: _Declared, rows: Ints) -> Shapes:
    """Some geometries of a set."""
    table = lake.read_parcels(parcels.of, ["geometry"])
    return comparable(gather(table["geometry"], rows), parcels.stored, parcels.epsg)[0]


def _shapes(lake: Lake, parcels: ParcelSet, stored: int, epsg: int) -> Iterator[Shapes]:
    """The geometries of a set, a batch at a time, repaired as they are when they are loaded."""
    repairs = 0
    for batch in lake.iter_parcels(parcels, ["geometry"]):
        shapes, repaired = comparable(batch["geometry"], stored, epsg)
        repairs += repaired
        yield shapes
    if repairs:
        log.warning("%d geometries of %s are invalid and were repaired to be compared", repairs, parcels.name)


def _warn_of_overlaps(now: _Declared, before: _Declared, related: Related, tolerated: float) -> None:
    """Say where shares sum up to more than 1 by more than slivers, as parcels of the other year overlap each other."""
    for mine, other, parcel, share in (
        (now, before, related.later, related.share),
        (before, now, related.earlier, related.share_before),
    ):
        doubly = int((np.bincount(parcel, share, len(mine.pids)) > 1 + tolerated).sum())
        if doubly:
            log.warning(
                "%d parcels of %s lie where parcels of %s overlap each other: their shares sum up to more than 1",
                *(doubly, mine.of.name, other.of.name),
            )


def _rows(now: _Declared, before: _Declared, related: Related, least_share: float) -> pa.Table:
    """Rows of schemas.LINEAGE, by pid and pid_before."""
    new, gone = related.new, related.gone
    nothing = [np.full(len(new), -1), np.full(len(gone), -1)]
    later, earlier = (
        np.concatenate([related.later, new, nothing[1]]),
        np.concatenate([related.earlier, nothing[0], gone]),
    )
    zeros, nulls = np.zeros(len(new)), np.full(len(gone), np.nan)
    share = np.concatenate([related.share, zeros, nulls])
    share_before = np.concatenate([related.share_before, np.full(len(new), np.nan), np.zeros(len(gone))])
    relation = np.concatenate([related.relation, np.full(len(new), NEW, object), np.full(len(gone), GONE, object)])
    order = np.lexsort((_ranks(before.pids, earlier), _ranks(now.pids, later)))
    later, earlier, share = later[order], earlier[order], share[order]
    area = _values_of(pa.array(now.area_m2), later)
    columns = {
        "version": now.of.version,
        "version_before": before.of.version,
        "aoi": now.of.aoi,
        "year": now.of.year,
        "ptype": now.of.ptype,
        "year_before": before.of.year,
        "ptype_before": before.of.ptype,
        "pid": _values_of(now.pids, later),
        "pid_before": _values_of(before.pids, earlier),
        "relation": pa.array(relation[order], pa.string()),
        "area_m2": area,
        "area_before_m2": _values_of(pa.array(before.area_m2), earlier),
        "shared_m2": np.nan_to_num(share) * np.nan_to_num(area.to_numpy(zero_copy_only=False)),
        "share": pa.array(share, from_pandas=True),
        "share_before": pa.array(share_before[order], from_pandas=True),
        "least_share": least_share,
        "part": part_of(now.of, before.of),
        "sequence": None,
    }
    return _table(columns, len(order))


def _table(columns: dict[str, object], number: int) -> pa.Table:
    """A table of schemas.LINEAGE; single values are repeated."""
    arrays = []
    for field in schemas.LINEAGE:
        values = columns[field.name]
        is_column = isinstance(values, pa.Array | np.ndarray)
        arrays.append(values if is_column else pa.repeat(pa.scalar(values, field.type), number))
    return pa.table(arrays, schema=schemas.LINEAGE)


def _ranks(pids: pa.Array, rows: Ints) -> Ints:
    """The position of the identifiers of rows among all, sorted; the last for rows without."""
    order = np.asarray(pc.sort_indices(pids)).astype(np.int64)
    ranks = np.empty(len(pids) + 1, np.int64)
    ranks[order], ranks[-1] = np.arange(len(pids)), len(pids)
    return ranks[rows]


def _values_of(values: pa.Array, rows: Ints) -> pa.Array:
    """Values of rows; null where a row is -1."""
    return values.take(pa.array(np.where(rows < 0, 0, rows), mask=rows < 0))
