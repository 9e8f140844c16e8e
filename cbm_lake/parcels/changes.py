"""Compares a delivery of parcels with the version in force: added, removed and redrawn parcels, changed attributes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from cbm_lake.geo.vectors import Geometries
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet, geometry_part
from cbm_lake.parcels.geometry import CHUNK
from cbm_lake.parcels.identity import gather, rows_of, same_place, tolerance
from cbm_lake.parcels.tables import as_texts, attributes_of, family


@dataclass(frozen=True)
class Changes:
    """Differences between two consecutive versions of a parcel set; its text is a one-line summary."""

    added: int = 0
    """Parcels whose identifier the version before did not have."""
    removed: int = 0
    """Parcels whose identifier is there no more."""
    redrawn: int = 0
    """Parcels whose geometry is at another place."""
    renamed: int = 0
    """Of those added, how many have the geometry of one that was removed: to the lake they are other parcels."""
    attributes: tuple[tuple[str, int], ...] = ()
    """Columns that were there before, and of how many parcels their value is another."""
    retyped: tuple[tuple[str, str, str], ...] = ()
    """Columns whose type is another: name, type before, type now."""
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()

    @property
    def same_geometries(self) -> bool:
        """Whether all existing signatures stay valid and none is missing."""
        return not (self.added or self.removed or self.redrawn)

    @property
    def same_attributes(self) -> bool:
        """Whether all columns are equal for the parcels in both versions."""
        return not (self.attributes or self.retyped or self.columns_added or self.columns_removed)

    def __bool__(self) -> bool:
        return not (self.same_geometries and self.same_attributes)

    def __str__(self) -> str:
        return f"{self._of_geometries()}, {self._of_attributes()}"

    def _of_geometries(self) -> str:
        if self.same_geometries:
            return "same outlines"
        counts = {"new": self.added, "no longer declared": self.removed, "with another outline": self.redrawn}
        words = [f"{count:,} {label}" for label, count in counts.items() if count]
        if self.renamed:
            words.append(f"{self.renamed:,} of the new ones have the outline of one that is no longer declared")
        return f"parcels: {', '.join(words)}"

    def _of_attributes(self) -> str:
        words = [f"{name} ({count:,} {'parcel' if count == 1 else 'parcels'})" for name, count in self.attributes]
        words += [f"{name} is {now}, was {before}" for name, before, now in self.retyped]
        words += [f"{name} added" for name in self.columns_added]
        words += [f"{name} is there no longer" for name in self.columns_removed]
        return f"attributes changed: {', '.join(words)}" if words else "same attributes"


def changes_of(lake: Lake, before: ParcelSet, now: pa.Table, version: str) -> Changes:
    """Compare a table of parcels with a version in the lake."""
    rows = rows_of(lake, before, now["id"].combine_chunks())
    geometries: dict[str, Any] = (
        {} if geometry_part(version) == before.geometry_version else _of_geometries(lake, before, now, rows)
    )
    return Changes(**geometries, **_of_columns(lake, before, attributes_of(now), rows))


def _of_geometries(lake: Lake, before: ParcelSet, now: pa.Table, rows: NDArray[np.int64]) -> dict[str, Any]:
    """The parts of Changes that are about geometries; those at the same place have the same bytes already."""
    stored = lake.read_parcels(before, ["geometry"])
    added = np.flatnonzero(rows < 0)
    removed = np.setdiff1d(np.arange(stored.num_rows), rows)
    return {
        "added": len(added),
        "removed": len(removed),
        "redrawn": _different(stored["geometry"], now["geometry"], rows),
        "renamed": _renamed(now, added, stored, removed),
    }


def _of_columns(lake: Lake, before: ParcelSet, now: pa.Table, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Column part of `Changes`; names are compared case-insensitively."""
    names = attributes_of(lake.schema_of_parcels(before).empty_table()).column_names
    former = {name.casefold(): name for name in names}
    mine = {name.casefold(): name for name in now.column_names}
    changed, retyped = [], []
    for key in sorted(former.keys() & mine.keys()):
        old, new = lake.read_parcels(before, [former[key]])[former[key]], now[mine[key]]
        if family(old.type) != family(new.type):
            retyped.append((mine[key], str(old.type), str(new.type)))
        if count := _different(as_texts(old), as_texts(new), rows):
            changed.append((mine[key], count))
    return {
        "attributes": tuple(changed),
        "retyped": tuple(retyped),
        "columns_added": tuple(mine[key] for key in sorted(mine.keys() - former.keys())),
        "columns_removed": tuple(former[key] for key in sorted(former.keys() - mine.keys())),
    }


def _different(before: pa.ChunkedArray, now: pa.ChunkedArray, rows: NDArray[np.int64]) -> int:
    """Number of parcels in both versions whose values differ; null differs from any other value."""
    count, common = 0, np.flatnonzero(rows >= 0)
    for start in range(0, len(common), CHUNK):
        portion = common[start : start + CHUNK]
        new, old = (values.cast(pa.binary()) for values in (gather(now, portion), gather(before, rows[portion])))
        equal = pc.fill_null(pc.equal(new, old), fill_value=False)
        count += len(new) - pc.sum(pc.or_(equal, pc.and_(pc.is_null(new), pc.is_null(old)))).as_py()
    return count


def _renamed(now: pa.Table, added: NDArray[np.int64], stored: pa.Table, removed: NDArray[np.int64]) -> int:
    """How many of the added geometries are at the place of a removed one."""
    if not (len(added) and len(removed)):
        return 0
    distance = tolerance(now["epsg"][0].as_py())
    centroids = [shapely.centroid(shapes) for shapes in _decoded(stored, removed)]
    tree = shapely.STRtree(np.concatenate(centroids))
    count = 0
    for shapes in _decoded(now, added):
        mine, theirs = tree.query(shapely.centroid(shapes), predicate="dwithin", distance=2 * distance)
        former = gather(stored["geometry"], removed[theirs])
        same = same_place(shapes[mine], shapely.from_wkb(former.to_numpy(zero_copy_only=False)), distance)
        count += len(np.unique(mine[same]))
    return count


def _decoded(table: pa.Table, rows: NDArray[np.int64]) -> Iterator[Geometries]:
    """The geometries of some rows, CHUNK at a time."""
    for start in range(0, len(rows), CHUNK):
        wkb = gather(table["geometry"], rows[start : start + CHUNK])
        yield shapely.from_wkb(wkb.to_numpy(zero_copy_only=False))
