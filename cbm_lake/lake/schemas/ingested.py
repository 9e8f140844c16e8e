"""What is put into a lake: scenes, parcels, weather; and the manifest of files."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from cbm_lake import cards
from cbm_lake.lake.schemas.common import BBOX, SEQUENCE, TIME

_ASSET = pa.struct([("href", pa.string()), ("type", pa.string())])

_LINK = pa.struct([("href", pa.string()), ("rel", pa.string()), ("type", pa.string())])

SCENES: Final = pa.schema(
    [
        # what STAC-GeoParquet asks for
        pa.field("type", pa.string(), nullable=False),
        pa.field("stac_version", pa.string(), nullable=False),
        pa.field("stac_extensions", pa.list_(pa.string())),
        pa.field("id", pa.string(), nullable=False),
        pa.field("collection", pa.string()),
        pa.field("geometry", pa.binary(), nullable=False),  # WKB, EPSG:4326
        pa.field("bbox", BBOX, nullable=False),
        pa.field("links", pa.list_(_LINK)),
        pa.field("assets", pa.struct([(name, _ASSET) for name in cards.ASSETS]), nullable=False),
        # STAC properties, by their STAC names
        pa.field("datetime", TIME, nullable=False),
        pa.field("platform", pa.string()),
        pa.field("eo:cloud_cover", pa.float64()),  # percent
        pa.field("proj:code", pa.string()),  # EPSG:32631; null when the provider does not say
        pa.field("grid:code", pa.string()),  # MGRS-31TEJ
        pa.field("sat:relative_orbit", pa.int32()),
        pa.field("sat:orbit_state", pa.string()),
        pa.field("s2:processing_baseline", pa.string()),  # 05.10
        # the catalogue's own columns
        pa.field("card", pa.string(), nullable=False),  # s2, bs, c6
        pa.field("reference", pa.string(), nullable=False),  # the product's name
        pa.field("sensor", pa.string(), nullable=False),  # S2A, S1B, …
        pa.field("boa_offset", pa.int32(), nullable=False),  # DN to add to the stored DN; 0 when already applied
        pa.field("acquisition", pa.string(), nullable=False),  # equal for reprocessings of one acquisition
        pa.field("datastrip", TIME),  # start of sensing of the datastrip (s2); null when the provider does not say
        pa.field("produced", TIME),  # when the product was made
        pa.field("updated", TIME),  # when the provider last changed the item
        pa.field("source", pa.string(), nullable=False),  # where it was catalogued from
        pa.field("ingested", TIME, nullable=False),
        pa.field("revision", pa.string()),  # digest of the entry; null in entries of version 0.1
        pa.field("sequence", pa.int64()),  # that of the file's name, which says what is later; null before it had one
    ]
)
"""One row per scene, in STAC-GeoParquet files under scenes/."""

PARCELS: Final = pa.schema(
    [
        # fiboa
        pa.field("id", pa.string(), nullable=False),  # the agency's identifier, as text, exactly as it wrote it
        pa.field("geometry", pa.binary(), nullable=False),  # WKB Polygon or MultiPolygon, in the area's CRS
        pa.field("bbox", BBOX, nullable=False),  # in the area's CRS
        pa.field("area", pa.float64(), nullable=False),  # hectares, in EPSG:3035
        pa.field("crop:code", pa.string()),
        pa.field("crop:name", pa.string()),
        # the lake's own columns
        pa.field("epsg", pa.int32(), nullable=False),
        pa.field("centroid_lon", pa.float64(), nullable=False),
        pa.field("centroid_lat", pa.float64(), nullable=False),
    ]
)
"""One row per parcel, in GeoParquet files under parcels/aoi=…/year=…/; the agency's other columns follow."""

OBSIDS: Final = pa.schema(
    [
        pa.field("card", pa.string(), nullable=False),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("obsid", pa.int64(), nullable=False),
        pa.field("part", pa.int64(), nullable=False),
    ]
)
"""The numbers that scenes had in a database of the original library; of equal parts the last written counts."""

WEATHER: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("cell", pa.string(), nullable=False),
        pa.field("meteo_date", pa.date32(), nullable=False),
        pa.field("tmin", pa.float32()),  # degrees Celsius
        pa.field("tmax", pa.float32()),
        pa.field("tmean", pa.float32()),
        pa.field("prec", pa.float32()),  # mm
        pa.field("part", pa.int64(), nullable=False),
        pa.field("loaded", TIME, nullable=False),
        SEQUENCE,
    ]
)
"""One row per grid cell and day; what was loaded last, by `sequence`, counts."""

WEATHER_CELLS: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("cell", pa.string(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in ("west", "south", "east", "north")),  # degrees
        pa.field("part", pa.int64(), nullable=False),
        pa.field("loaded", TIME, nullable=False),
        SEQUENCE,
    ]
)
"""The box of each cell of a weather grid; what was loaded last, by `sequence`, counts."""

FILES: Final = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),  # in the lake: parcels/aoi=…/…, scenes/…
        pa.field("action", pa.string(), nullable=False),  # added or removed
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("digest", pa.string()),  # see `digests`; null where it was not computed
        pa.field("recorded", TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        SEQUENCE,
    ]
)
"""The manifest: what was done to each file that stands beside the Delta tables; the latest row of a name counts."""
