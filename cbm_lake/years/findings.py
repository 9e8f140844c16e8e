"""What the rules find: one schema for all, and files of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.snapshots import ParcelSet

FINDINGS: Final = pa.schema(
    [
        pa.field("pid", pa.string()),
        pa.field("crop_name", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("holds", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("parcel_m2", pa.float64()),
        pa.field("area_m2", pa.float64()),
        pa.field("most_m2", pa.float64()),
        pa.field("share", pa.float64()),
        pa.field("day", pa.date32()),
        pa.field("years", pa.list_(pa.int32())),
        pa.field("pids_before", pa.list_(pa.string())),
        pa.field("compared_by", pa.list_(pa.string())),
        pa.field("evidence", pa.string()),
    ]
)
"""One row per parcel and rule. rule is a statement, and holds says whether it is true of the parcel; area_m2 and share
are of the land that is concerned for certain, most_m2 of that which may be; day is that of an event; years are those
looked at, the latest first; pids_before the earlier parcels; compared_by how crops were compared: hcat, name, code."""
OF_SET: Final = b"parcels"
"""In the metadata of findings: area, year and kind of the parcel set."""


def findings(rows: pa.Table, parcels: ParcelSet) -> pa.Table:
    """Rows of a query of sql/years/ in the common schema, which says what parcel set they are of."""
    return rows.select(FINDINGS.names).cast(FINDINGS).replace_schema_metadata({OF_SET: named(parcels)})


def named(parcels: ParcelSet) -> str:
    """A parcel set as the metadata of findings name it."""
    return f"{parcels.aoi}/{parcels.year}/{parcels.ptype}"


def write(rows: pa.Table, path: str | Path, *, lake: Lake | None = None) -> int:
    """Write the findings of a rule, or the candidates of `land_use`, to a file; returns the number of rows.

    Args:
        rows: what a verb of this room returned, or rows of it.
        path: .csv, .xlsx, .parquet or .arrow; .gpkg, .geojson and .fgb have the geometry of each parcel.
        lake: the lake; None is the workspace's.

    Raises:
        InvalidInputError: the table is not of this room, or the extension is unknown.
        SourceError: the file cannot be written.
    """
    from duckdb import from_arrow

    from cbm_lake.lake import export

    lake = lake_or_default(lake)
    target = Path(path)
    if target.suffix.lower() not in (".csv", ".xlsx", ".arrow", ".feather"):
        rows = _with_geometries(rows, lake)
    return export.write(from_arrow(rows.replace_schema_metadata()), target)


def _with_geometries(rows: pa.Table, lake: Lake) -> pa.Table:
    """The rows with the geometry (WKB) and the coordinate system of each parcel."""
    key = (rows.schema.metadata or {}).get(OF_SET, b"").decode()
    if key.count("/") != 2:
        raise InvalidInputError("this table does not say whose parcels these are; write what a rule returned")
    aoi, year, ptype = key.split("/")
    declared = lake.query("parcels.declared", aoi=aoi, year=int(year), ptype=ptype, outlines=True)
    index = pc.index_in(rows["pid"].combine_chunks(), declared["pid"].combine_chunks())
    for name in ("epsg", "geometry"):
        rows = rows.append_column(name, declared[name].combine_chunks().take(index))
    return rows
