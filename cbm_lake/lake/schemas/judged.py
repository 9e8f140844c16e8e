"""What is said of scenes and parcels: by the guard, by searches, by rasters, by who leaves scenes out."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from cbm_lake.lake.schemas.common import SEQUENCE, TIME

SUSPECTS: Final = pa.schema(
    [
        pa.field("card", pa.string(), nullable=False),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # suspect or cleared
        pa.field("kind", pa.string()),  # what is wrong
        pa.field("shift", pa.float64()),  # DN
        pa.field("reason", pa.string(), nullable=False),
        pa.field("found", TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        SEQUENCE,
    ]
)
"""One row per verdict of the offset guard, or of a person; the latest decides, earlier ones stay."""

_PAIR = pa.struct(
    [
        ("scene", pa.string()),
        *((name, pa.float64()) for name in ("east", "north", "error")),  # metres
        ("tiles", pa.int32()),
    ]
)
"""By how much a scene lies off another one, with the standard error and the number of tiles that were compared."""

_SLOPES = pa.struct(
    [
        ("fewest", pa.int32()),  # pixels of a parcel
        ("most", pa.int32()),  # null: no upper bound
        ("parcels", pa.int32()),  # that were measured
        ("median", pa.float64()),  # NDVI for each metre of shift
        ("p90", pa.float64()),
    ]
)
"""How fast the mean NDVI of parcels of a size class changes with a shift: over directions the root mean square."""

SHIFTS: Final = pa.schema(
    [
        pa.field("card", pa.string(), nullable=False),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("parcels", pa.string(), nullable=False),  # version of the parcel set
        pa.field("revision", pa.string()),  # of the scene's catalogue entry
        pa.field("obstime", TIME, nullable=False),
        pa.field("grid", pa.string()),  # of the pixels; null where they cannot be read
        pa.field("pixel", pa.float64()),  # its side in metres
        pa.field("verdict", pa.string(), nullable=False),  # ok, shifted or undecided
        pa.field("reason", pa.string(), nullable=False),
        pa.field("method", pa.string()),  # what east and north are from; null where they are
        *(pa.field(name, pa.float64()) for name in ("east", "north", "error")),  # metres against the season's frame
        pa.field("clear", pa.float64()),  # share of the sample that was clear
        *(pa.field(f"borders_{name}", pa.float64()) for name in ("east", "north", "error")),  # against the borders
        pa.field("borders", pa.int32()),  # that differ and were clear
        *(pa.field(f"scenes_{name}", pa.float64()) for name in ("east", "north", "error")),  # against other scenes
        pa.field("scenes", pa.int32()),  # of the season that were compared with each other
        *(pa.field(f"frame_{name}", pa.float64()) for name in ("east", "north", "error")),  # season against borders
        pa.field("pairs", pa.list_(_PAIR)),
        pa.field("pair_revisions", pa.list_(pa.string())),  # of the pairs' scenes, in their order; null: not recorded
        pa.field("slopes", pa.list_(_SLOPES)),
        pa.field("measured", TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        SEQUENCE,
    ]
)
"""One row per estimate of a scene's shift over a parcel set; the latest counts, earlier ones stay."""

EXCLUSIONS: Final = pa.schema(
    [
        pa.field("card", pa.string(), nullable=False),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # left out or put back
        pa.field("why", pa.string(), nullable=False),
        pa.field("who", pa.string(), nullable=False),
        pa.field("decided", TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        SEQUENCE,
    ]
)
"""One row per decision of a person to leave a scene out or to put it back; the latest counts, earlier ones stay."""

MARKERS: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("pid", pa.string(), nullable=False),
        pa.field("foi_id", pa.string()),
        pa.field("marker", pa.string()),
        pa.field("marker_type", pa.string()),
        *(pa.field(name, pa.date32()) for name in ("date_start", "date_main", "date_end")),
        pa.field("duration_days", pa.int32()),
        *(pa.field(name, pa.float64()) for name in ("value_1", "value_2", "value_3")),
        pa.field("practice", pa.string()),
        pa.field("part", pa.int64(), nullable=False),
        pa.field("confidence", pa.float64()),  # 0 to 1; null where nothing is known of it
        pa.field("observable", pa.bool_()),  # whether the parcel was seen well enough
    ]
)
"""One row per event that an analysis found on a parcel."""

PARTS: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("pid", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of the parcel set whose geometries were divided
        pa.field("marker", pa.string()),  # mowing, ploughing or harvest of a part; null where there is none
        *(pa.field(name, pa.date32()) for name in ("date_start", "date_main", "date_end")),
        pa.field("number", pa.int32()),  # of the part in the event, from 1; those that were worked first
        pa.field("state", pa.string()),  # mown, unmown, ploughed, unploughed, harvested, unharvested or unvegetated
        pa.field("pixels", pa.int32()),  # inside the part, on which it rests
        pa.field("area_m2", pa.float64()),
        pa.field("area_std_m2", pa.float64()),  # standard deviation of the area
        pa.field("share", pa.float64()),  # of the parcel's area
        pa.field("change", pa.float64()),  # of NDVI from date_start to date_end
        pa.field("confidence", pa.float64()),  # 0 to 1
        pa.field("geometry", pa.binary()),  # WKB Polygon, in the area's CRS
        pa.field("epsg", pa.int32()),
        pa.field("looks", pa.int32()),  # clear looks at the parcel in the season
        pa.field("reason", pa.string()),  # why there are no parts; null where there are
        pa.field("part", pa.int64(), nullable=False),
        SEQUENCE,
    ]
)
"""One row per part of a parcel in which something happened while it did not in another, or why there are none."""

ATTRIBUTES: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("pid", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of the parcel set whose geometries were described
        pa.field("attribute", pa.string(), nullable=False),  # the column of parcel_attributes
        pa.field("kind", pa.string(), nullable=False),  # number, class (its number) or label (its text)
        pa.field("value", pa.float64()),  # null where no pixel counts
        pa.field("label", pa.string()),
        pa.field("pixels", pa.float64()),  # that have data, or the sum of their shares
        pa.field("unit", pa.string()),
        pa.field("rule", pa.string(), nullable=False),  # centre or coverage
        pa.field("raster", pa.string(), nullable=False),
        pa.field("described", TIME, nullable=False),
        pa.field("part", pa.int64(), nullable=False),
        SEQUENCE,
    ]
)
"""One row per parcel and attribute that a raster gave; parts replace each other."""
