"""`Foi`: the result of a check, and the paths of its output files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.foi.parcels import Parcels, lake_parcels, read_parcels
from cbm_lake.foi.rasters import Thematic
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.storage.store import Store

_COLUMNS: Final = (
    "foi_h",
    "foi_c",
    "total",
    "clusters",
    "temp_id",
    "largest",
    "largest_share",
    "skipped_foih",
    "skipped_foic",
    "geometry",
)
"""Names of the results, apart from the classes."""
_AOI: Final = b"cbm_lake.aoi"
"""Metadata key of the area in a result file of the lake."""
MOST: Final = 1e15
"""Pixels that no cluster has: greater thresholds are the same."""


@dataclass(frozen=True)
class Settings:
    """Settings of a check."""

    buffer: float
    """In metres; negative makes parcels smaller."""
    connectivity: int
    more_than: float
    """Clusters with more pixels than this count."""
    zero_counts: bool
    """Whether 0 is a class like others."""


@dataclass(frozen=True, eq=False)
class Foi:
    """Parcels with their heterogeneity and cardinality."""

    name: str
    """Begins the names of the files."""
    version: int
    parcels: int
    heterogeneous: int
    """Parcels with foi_h = 1."""
    of_several: int
    """Parcels with foi_c = 1."""
    skipped_foih: dict[str, list[object]]
    """Identifiers of the parcels without foi_h, by reason; none in version 1."""
    skipped_foic: dict[str, list[object]]
    files: dict[str, Path]
    """By their names without what begins them all: foih_v2.shp, skipped_foic.csv, …"""
    lake_file: str | None
    """Where the table is in the lake."""
    table: pa.Table = field(repr=False)
    """One row per parcel in the order given: its columns, what was found (null where it was skipped), geometry."""
    source: Parcels = field(repr=False)
    raster: Thematic = field(repr=False)
    classes: dict[int, str] = field(repr=False)
    settings: Settings = field(repr=False)

    def __str__(self) -> str:
        skipped = sum(map(len, self.skipped_foih.values())), sum(map(len, self.skipped_foic.values()))
        return (
            f"{self.name}: {self.parcels:,} parcels, foi_h = 1 for {self.heterogeneous:,}, "
            f"foi_c = 1 for {self.of_several:,}, skipped {skipped[0]:,} and {skipped[1]:,}"
        )

    def ranked(self, limit: int | None = None) -> pa.Table:
        """Parcels with foi_h or foi_c: those with both first, then by ascending share of the largest class.

        Columns: rank, the identifier, foi_h, foi_c, total (pixels), largest (its class), largest_share, clusters.
        """
        if limit is not None and limit < 0:
            raise InvalidInputError(f"{limit} parcels cannot be listed; give 0 or more")
        flags = pc.add(pc.fill_null(self.table["foi_h"], 0), pc.fill_null(self.table["foi_c"], 0))
        order = pa.table({"flags": flags, **{name: self.table[name] for name in ("largest_share", "total")}})
        keys = [("flags", "descending"), ("largest_share", "ascending"), ("total", "descending")]
        positions = pc.sort_indices(order, sort_keys=keys)[: pc.sum(pc.greater(flags, 0)).as_py()]
        ordered = self.table.take(positions.slice(0, limit))
        names = [self.source.columns.column_names[0], "foi_h", "foi_c", "total", "largest", "largest_share", "clusters"]
        spelling = {name.lower(): name for name in ordered.column_names}
        rows = ordered.select([spelling[name.lower()] for name in names])
        return rows.add_column(0, "rank", pa.array(range(1, rows.num_rows + 1), pa.int64()))


def parcels_of(
    path: str | Path | None, aoi: str | None, year: int | None, ptype: str | None, lake: Lake | None, layer: str | None
) -> tuple[Parcels, Lake | None]:
    """Read the parcels of a file or of the lake, and the lake to which the result is to be written.

    Raises:
        InvalidInputError: neither or both are given.
    """
    if (path is None) == (aoi is None and year is None):
        raise InvalidInputError("give either a file of parcels, or aoi and year of parcels in the lake")
    if path is not None:
        return read_parcels(path, layer), lake
    if aoi is None or year is None:
        raise InvalidInputError("parcels of the lake are named by both aoi and year: give both")
    lake = lake_or_default(lake)
    return lake_parcels(lake, aoi, year, ptype), lake


def check_range(low: float, high: float) -> None:
    """Raise InvalidInputError unless 0 <= low <= high <= 100."""
    if not 0 <= low <= high <= 100:
        raise InvalidInputError(f"heterogeneity from {low} to {high} % is no range; give 0 <= least <= greatest <= 100")


def check_names(classes: Mapping[int, str], parcels: Parcels) -> None:
    """Raise InvalidInputError if the names of two results, or of a result and the identifier, clash."""
    meaning = dict.fromkeys(_COLUMNS, "a column of the results")
    for name in classes.values():
        for column, meant in ((name, "pixels"), (f"P_{name}", "share")):
            other = meaning.setdefault(column.lower(), f"the {meant} of class {name!r}")
            if other != f"the {meant} of class {name!r}":
                raise InvalidInputError(f"class {name!r} needs a column {column!r}, which is {other}; rename the class")
    identifier = parcels.columns.column_names[0]
    if identifier.lower() in meaning:
        clash = meaning[identifier.lower()]
        raise InvalidInputError(
            f"{parcels.name}: the identifier {identifier!r} is called as {clash}; rename one of them"
        )


def output_folder(folder: str | Path | None) -> Path:
    """Output folder; defaults to foi/output_data/ in the workspace."""
    return Workspace.here().root / "foi" / "output_data" if folder is None else Path(folder)


def to_lake(lake: Lake | None, name: str, table: pa.Table, parcels: Parcels) -> str | None:
    """Write the result of all parcels to the lake, if there is one, with their area; returns its path."""
    if lake is None:
        return None
    store = Store(lake.url)
    area = parcels.declared.aoi if parcels.declared else ""
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _AOI: area})
    store.write(f"foi/{name}.parquet", table)
    return store.path(f"foi/{name}.parquet")


def in_lake(lake: Lake) -> dict[str, str]:
    """Names of the results in a lake, each with the area of its parcels ("" if they belong to none)."""
    store = Store(lake.url)
    areas = {}
    for path in store.files("foi"):
        with store.open(path) as file:
            metadata = pq.read_schema(file).metadata or {}
        areas[path.rpartition("/")[2].removesuffix(".parquet")] = metadata.get(_AOI, b"").decode()
    return areas


def latest(lake: Lake, parcels: ParcelSet) -> tuple[str, int] | None:
    """The name of the last result of a parcel set in a lake, and when it was written (ns); None where there is none."""
    stem = re.escape(parcels.name.replace(" ", "_"))
    pattern = re.compile(rf"foi/({stem}(?:_negative_buffer_[\d.e+-]+)?_foi_v[12])\.parquet")
    results = [
        (info.mtime_ns or 0, match[1])
        for name, info in Store(lake.url).listing("foi").items()
        if (match := pattern.fullmatch(name))
    ]
    return (max(results)[1], max(results)[0]) if results else None


def flags(lake: Lake, name: str) -> pa.Table:
    """The flags of a result in the lake: pid, foi_h and foi_c (1 or 0; null where the parcel was skipped)."""
    store = Store(lake.url)
    with store.open(store.path(f"foi/{name}.parquet")) as file:
        result = pq.ParquetFile(file)
        pid = result.schema_arrow.names[0]
        return result.read([pid, "foi_h", "foi_c"]).rename_columns(["pid", "foi_h", "foi_c"]).replace_schema_metadata()


def batches(lake: Lake, name: str) -> Iterator[pa.RecordBatch]:
    """Rows of a result in the lake in batches of about ten thousand, with geometries (WKB, `geometry`)."""
    store = Store(lake.url)
    with store.open(store.path(f"foi/{name}.parquet")) as file:
        yield from pq.ParquetFile(file).iter_batches()


def by_file(paths: list[Path], name: str) -> dict[str, Path]:
    """Output files by name without prefix."""
    return {path.name.removeprefix(f"{name}_"): path for path in paths}
