"""The differences between what is recorded and what is there now, of lights, markers and scenes; it writes nothing."""

from __future__ import annotations

from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.lake import Lake, queries, schemas
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.finding import part_of
from cbm_lake.markers.lights import refusals

MEASURES: Final = ("observed", "similarity", "distance_rank", "homogeneity")
"""Markers of the season as a whole: what counts of them is their type, not the dates from which to which they are."""
_APART: Final = 15
"""Days within which two states can be of the same event."""


def of_lights(lake: Lake, parcels: ParcelSet, lights: pa.Table) -> pa.Table:
    """Changes of lights, given those that there are now, as `markers.traffic_light` gives them.

    Lights of a scenario that cannot be judged now stay as they are recorded.
    """
    now = lights if "due" in lights.column_names else lights.append_column("due", pa.nulls(len(lights), pa.date32()))
    was = _recorded(lake, parcels, "light")
    refused = pa.array(list(refusals(lights)), pa.string())
    return compared("lights", {"now": now, "was": was.filter(pc.invert(pc.is_in(was["scenario"], refused)))})


def of_scenes(lake: Lake, parcels: ParcelSet) -> pa.Table:
    """Changes of the status of scenes over a parcel set."""
    now = lake.query("changes.scenes", **parcels.params)
    return compared("scenes", {"now": now, "was": _recorded(lake, parcels, "scene")})


def of_markers(lake: Lake, parcels: ParcelSet) -> pa.Table:
    """Changes of markers: of their type, dates, practice, and whether the parcel is observable.

    An event that is there with other dates is the same where they meet those that it had, or nearly do.
    """
    key = {"aoi": parcels.aoi, "year": parcels.year, "part": part_of(parcels)}
    now = lake.query("changes.markers", **key, measures=list(MEASURES))
    was, used = _recorded(lake, parcels, "marker"), lake.query("changes.numbers", **parcels.params)
    return compared("markers", {"now": now, "was": was, "used": used}, apart=_APART)


def _recorded(lake: Lake, parcels: ParcelSet, kind: str) -> pa.Table:
    return lake.query("changes.present", **parcels.params, kind=kind)


def compared(step: str, tables: dict[str, pa.Table], **params: object) -> pa.Table:
    """The result of a step of sql/changing over tables."""
    with duckdb.connect() as connection, queries.translated():
        connection.execute("set timezone = 'UTC'")
        for name, table in tables.items():
            connection.from_arrow(table).create_view(name)
        return connection.sql(queries.get(f"changing.{step}").sql, params=params or None).to_arrow_table()


def completed(rows: pa.Table, **same: object) -> pa.Table:
    """Changes with all columns of schemas.CHANGES: those of `same` have one value, others that they lack are null."""
    columns = [
        rows[field.name].cast(field.type)
        if field.name in rows.column_names
        else pa.repeat(pa.scalar(same.get(field.name), field.type), rows.num_rows)
        for field in schemas.CHANGES
    ]
    return pa.table(columns, schema=schemas.CHANGES)
