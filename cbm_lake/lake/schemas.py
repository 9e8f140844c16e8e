"""The Arrow schema of every table of a lake: the contract between its writers and sql/."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from cbm_lake import cards

_TIME = pa.timestamp("us", tz="UTC")
_ASSET = pa.struct([("href", pa.string()), ("type", pa.string())])
_BBOX = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
_LINK = pa.struct([("href", pa.string()), ("rel", pa.string()), ("type", pa.string())])
_SLOT = pa.struct([("grid", pa.string()), ("slot", pa.int64())])
_BLOCK = pa.struct(
    [
        ("grid", pa.string()),
        ("band", pa.string()),
        ("row", pa.int32()),
        ("col", pa.int32()),
        ("bytes", pa.int64()),
    ]
)
"""A block of a cube, by its numbers down and across, and the size of its file."""
_SEQUENCE = pa.field("sequence", pa.int64())
"""The number of the commit that wrote the row, which says what is later, whatever clocks said; null, which is earlier
than any number, in rows of version 0.1."""
SCENES: Final = pa.schema(
    [
        # what STAC-GeoParquet asks for
        pa.field("type", pa.string(), nullable=False),
        pa.field("stac_version", pa.string(), nullable=False),
        pa.field("stac_extensions", pa.list_(pa.string())),
        pa.field("id", pa.string(), nullable=False),
        pa.field("collection", pa.string()),
        pa.field("geometry", pa.binary(), nullable=False),  # WKB, EPSG:4326
        pa.field("bbox", _BBOX, nullable=False),
        pa.field("links", pa.list_(_LINK)),
        pa.field("assets", pa.struct([(name, _ASSET) for name in cards.ASSETS]), nullable=False),
        # STAC properties, by their STAC names
        pa.field("datetime", _TIME, nullable=False),
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
        pa.field("datastrip", _TIME),  # start of sensing of the datastrip (s2); null when the provider does not say
        pa.field("produced", _TIME),  # when the product was made
        pa.field("updated", _TIME),  # when the provider last changed the item
        pa.field("source", pa.string(), nullable=False),  # where it was catalogued from
        pa.field("ingested", _TIME, nullable=False),
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
        pa.field("bbox", _BBOX, nullable=False),  # in the area's CRS
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

EXTRACTIONS: Final = pa.schema(
    [
        pa.field("card", pa.string(), nullable=False),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),  # "" is the main parcel set
        pa.field("parcels", pa.string(), nullable=False),  # version of the parcel set
        pa.field("attempt", pa.int64(), nullable=False),  # 1, 2, … of that scene over that set, whatever its version
        pa.field("extraction", pa.int64(), nullable=False),  # number of what was done; its signatures carry it
        pa.field("base", pa.int64()),  # extraction whose signatures still hold for the parcels left out, or null
        pa.field("bands", pa.list_(pa.string())),
        pa.field("rule", pa.string(), nullable=False),  # as `cards.pixelrule` writes it: centre, 5 m inside
        pa.field("boa_offset", pa.int32()),  # DN that was added
        pa.field("cube", pa.bool_(), nullable=False),  # whether the scene stands in the cube
        pa.field("status", pa.string(), nullable=False),  # done or failed
        pa.field("problem", pa.string()),  # why it failed, or what is odd about it though it is done
        pa.field("rows", pa.int64(), nullable=False),  # signatures written, those of clear pixels alone not among them
        pa.field("started", _TIME, nullable=False),
        pa.field("finished", _TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        pa.field("revision", pa.string()),  # of the scene's catalogue entry; null in entries of version 0.1
        pa.field("slots", pa.list_(_SLOT)),  # where its pixels stand in the cubes; null in entries of version 0.1
        pa.field("discarded", pa.int64()),  # pixels that cannot be reflectance, taken as nodata
        pa.field("blocks", pa.list_(_BLOCK)),  # of the cubes that hold its pixels; null in entries of version 0.1
        pa.field("pixels", pa.string()),  # digest of the stamps of its files; null in entries of version 0.1
        pa.field("statistics", pa.list_(pa.string())),  # beside those that every signature has; null is none
        pa.field("indices", pa.list_(pa.string())),  # that were computed pixel by pixel; null is none
        pa.field("mask", pa.string()),  # as in signatures; "" where none was asked for, null before masks and of radar
        pa.field("clear", pa.int64()),  # signatures of clear pixels alone, written beside `rows`; null is none
        _SEQUENCE,
    ]
)
"""The ledger: one row per try to extract a scene over a parcel set. What the latest successful one wrote counts."""

SLOTS: Final = pa.schema(
    [
        pa.field("card", pa.string(), nullable=False),
        pa.field("grid", pa.string(), nullable=False),
        pa.field("slot", pa.int64(), nullable=False),  # place on the time axis
        pa.field("scene", pa.string(), nullable=False),
        pa.field("obstime", _TIME, nullable=False),
        pa.field("boa_offset", pa.int32(), nullable=False),  # DN to add to the stored DN
        pa.field("stamps", pa.string()),  # JSON: of each band the stamp of the file that its pixels are from
    ]
)
"""Which scene has which place on the time axis of a cube."""

RASTERS: Final = pa.schema(
    [
        pa.field("href", pa.string(), nullable=False),
        pa.field("header", pa.string(), nullable=False),  # JSON: grid, dtype, blocks
        pa.field("seen", _TIME, nullable=False),
        _SEQUENCE,
    ]
)
"""What the headers of rasters say, so that none is read twice."""

INSPECTIONS: Final = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),  # the sample's extraction_id
        pa.field("pid", pa.string(), nullable=False),
        pa.field("holding_id", pa.string()),  # null: whoever's parcel of that pid
        pa.field("bucket_id", pa.string()),  # null: in all buckets that the parcel is in
        pa.field("verdict", pa.string(), nullable=False),  # conforming, nonconforming or inconclusive
        pa.field("note", pa.string(), nullable=False),
        pa.field("inspector", pa.string(), nullable=False),
        pa.field("inspected", _TIME, nullable=False),
        pa.field("as_of", _TIME, nullable=False),  # open_lake(as_of=…) shows what the inspector saw
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        _SEQUENCE,
    ]
)
"""One row per verdict given; the latest, by `sequence`, decides, earlier ones stay."""

SUSPECTS: Final = pa.schema(
    [
        pa.field("card", pa.string(), nullable=False),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # suspect or cleared
        pa.field("kind", pa.string()),  # what is wrong
        pa.field("shift", pa.float64()),  # DN
        pa.field("reason", pa.string(), nullable=False),
        pa.field("found", _TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        _SEQUENCE,
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
        pa.field("obstime", _TIME, nullable=False),
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
        pa.field("slopes", pa.list_(_SLOPES)),
        pa.field("measured", _TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        _SEQUENCE,
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
        pa.field("decided", _TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        _SEQUENCE,
    ]
)
"""One row per decision of a person to leave a scene out or to put it back; the latest counts, earlier ones stay."""

_PHOTO: Final = pa.struct(
    [
        pa.field("name", pa.string()),  # of the file that was handed in
        pa.field("file", pa.string()),  # in the lake
        pa.field("sha256", pa.string()),
        pa.field("pixels_sha256", pa.string()),  # of the decoded picture, whatever the EXIF says
        pa.field("taken", _TIME),  # null where the zone of the camera's clock is not known
        pa.field("clock", pa.string()),  # the camera's, as it wrote it
        pa.field("lon", pa.float64()),  # degrees, WGS 84
        pa.field("lat", pa.float64()),
        pa.field("direction", pa.float64()),  # degrees from north, clockwise
        pa.field("distance", pa.float64()),  # metres to the parcel
        pa.field("contradictions", pa.list_(pa.string())),
    ]
)

DECISIONS: Final = pa.schema(
    [
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("pid", pa.string(), nullable=False),
        pa.field("scenario", pa.string(), nullable=False),
        pa.field("number", pa.int32(), nullable=False),  # 1 is the one that opened the case
        pa.field("status", pa.string(), nullable=False),  # open, notified, answered or closed: from then on
        pa.field("who", pa.string(), nullable=False),
        pa.field("decided", _TIME, nullable=False),
        pa.field("as_of", _TIME, nullable=False),  # open_lake(as_of=…) shows what they saw
        pa.field("note", pa.string(), nullable=False),
        pa.field("day", pa.date32()),  # at the end of which the light was judged; this and what follows when opened
        pa.field("colour", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("date_start", pa.date32()),
        pa.field("date_end", pa.date32()),
        pa.field("confidence", pa.float64()),
        pa.field("parameters", pa.string()),  # JSON of what differed from the defaults
        pa.field("parcels", pa.string()),  # version of the parcel set
        pa.field("epsg", pa.int32()),
        pa.field("geometry", pa.binary()),  # WKB; the case stays with it when parcels are declared anew
        pa.field("answer_by", pa.date32()),  # of a notice
        pa.field("notice", pa.string()),  # SHA-256 of the report that was sent
        pa.field("outcome", pa.string()),  # of a closed case: conforming, nonconforming or inconclusive
        pa.field("photos", pa.list_(_PHOTO)),  # of an answer
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        _SEQUENCE,
    ]
)
"""One row per decision on a case; earlier ones stay, and the last, by `number`, says how the case stands."""

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
        pa.field("loaded", _TIME, nullable=False),
        _SEQUENCE,
    ]
)
"""One row per grid cell and day; what was loaded last, by `sequence`, counts."""

WEATHER_CELLS: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("cell", pa.string(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in ("west", "south", "east", "north")),  # degrees
        pa.field("part", pa.int64(), nullable=False),
        pa.field("loaded", _TIME, nullable=False),
        _SEQUENCE,
    ]
)
"""The box of each cell of a weather grid; what was loaded last, by `sequence`, counts."""

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

CHANGES: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # light, marker or scene; night: what was looked at, no change
        # what changed
        pa.field("pid", pa.string()),  # of lights and markers
        pa.field("scenario", pa.string()),  # of lights
        pa.field("marker", pa.string()),  # of markers
        pa.field("number", pa.int32()),  # of markers: 1, 2, … of that parcel and marker, in the order of appearance
        pa.field("card", pa.string()),  # of scenes
        pa.field("scene", pa.string()),
        # how, and why
        pa.field("before", pa.string()),  # null: it was not there
        pa.field("after", pa.string()),  # null: it is there no more
        pa.field("cause", pa.string()),
        pa.field("scenes", pa.list_(pa.string())),  # those among the causes
        # its state after the change
        pa.field("reason", pa.string()),
        pa.field("due", pa.date32()),
        pa.field("marker_type", pa.string()),
        *(pa.field(name, pa.date32()) for name in ("date_start", "date_main", "date_end")),
        pa.field("practice", pa.string()),
        pa.field("observable", pa.bool_()),
        pa.field("events", pa.int64()),
        pa.field("confidence", pa.float64()),
        # when
        pa.field("day", pa.date32(), nullable=False),  # as of the end of which lights were judged
        pa.field("run", pa.string()),  # of the journal, where a night run recorded it
        pa.field("recorded", _TIME, nullable=False),
        pa.field("rests_on", pa.string()),  # of nights: JSON of what the lake held
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        _SEQUENCE,
    ]
)
"""One row per change of a light, a marker or a scene's status over a parcel set; one commit per night and set.

The latest row of each thing, by `sequence`, is its present state."""

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
        pa.field("state", pa.string()),  # mown, unmown, ploughed, unploughed, harvested or unharvested
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
        _SEQUENCE,
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
        pa.field("described", _TIME, nullable=False),
        pa.field("part", pa.int64(), nullable=False),
        _SEQUENCE,
    ]
)
"""One row per parcel and attribute that a raster gave; parts replace each other."""

RUNS: Final = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),  # identifier of the run
        pa.field("number", pa.int32(), nullable=False),  # 0 is the run itself as it began, 1, 2, … its steps, in order
        pa.field("step", pa.string(), nullable=False),  # run, parcels, catalogue, extract, guard, markers, …
        pa.field("aoi", pa.string()),  # null: of no area
        pa.field("year", pa.int32()),
        pa.field("ptype", pa.string()),
        pa.field("what", pa.string()),  # source, card, or file of an export
        pa.field("status", pa.string(), nullable=False),  # begun, done, unchanged, failed or interrupted
        pa.field("problem", pa.string()),  # why it failed, or what is odd about it though it is done
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("scenes", pa.int64(), nullable=False),
        pa.field("started", _TIME, nullable=False),
        pa.field("finished", _TIME),  # null in the row that says that a run began
        pa.field("seconds", pa.float64()),  # that it took, whatever clocks said
        pa.field("state", pa.string()),  # digest of what it was made of and of what it wrote
        pa.field("who", pa.string(), nullable=False),  # account, machine and process
        pa.field("file", pa.string(), nullable=False),  # the file that says what a run does
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        _SEQUENCE,
    ]
)
"""The journal: one row for the begin of each run, one per step, and one for its end."""

FILES: Final = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),  # in the lake: parcels/aoi=…/…, scenes/…
        pa.field("action", pa.string(), nullable=False),  # added or removed
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("digest", pa.string()),  # see `digests`; null where it was not computed
        pa.field("recorded", _TIME, nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        _SEQUENCE,
    ]
)
"""The manifest: what was done to each file that stands beside the Delta tables; the latest row of a name counts."""


_OF_ROW = (
    pa.field("aoi", pa.string(), nullable=False),
    pa.field("year", pa.int32(), nullable=False),
    pa.field("ptype", pa.string(), nullable=False),
    pa.field("pid", pa.string(), nullable=False),
    pa.field("scene", pa.string(), nullable=False),
    pa.field("obstime", _TIME, nullable=False),
    pa.field("reference", pa.string(), nullable=False),
    pa.field("rule", pa.string(), nullable=False),
    pa.field("extraction", pa.int64(), nullable=False),
)
"""The columns of every signature besides its statistics."""
_SHARE: Final = pa.field("share", pa.float32())
"""The share of the whole parcel, 0 to 1, whose pixels were counted; null in rows of version 0.1 and migrated ones."""

_COVERED: Final = pa.field("covered", pa.float64())
"""By the rule coverage: the sum of the shares of pixels, of the band that has most; null by the rule centre."""

_MASK: Final = pa.field("mask", pa.string())
"""What was masked in a row of clear pixels alone, a further one beside that of all pixels, whose mask is null."""


def signatures(card: str, statistics: Iterable[str] = (), indices: Iterable[str] = ()) -> pa.Schema:
    """The schema of a card's signatures: one wide row per parcel and scene, partitioned by aoi and year.

    Parcels that are partly masked have a second one, of their clear pixels alone; see `_MASK`.

    Args:
        card: its name.
        statistics: the optional ones.
        indices: those that are computed pixel by pixel, by their names.
    """
    bands = cards.CARD_BANDS[card]
    classification = cards.get(card).classification
    classes = [pa.field(column, pa.int32()) for column in classification.columns] if classification else []
    stored, others = statistic_columns(bands, cards.statistics.STORED), optional_columns(bands, statistics, indices)
    return pa.schema([*_OF_ROW, *stored, *classes, _SHARE, _COVERED, _MASK, *others])


def optional_columns(bands: Iterable[str], statistics: Iterable[str], indices: Iterable[str]) -> list[pa.Field]:
    """The columns of optional statistics of bands, and of all statistics of indices: NDVI_count, NDVI_mean, …"""
    further, names = tuple(statistics), [cards.INDICES[name].column for name in indices]
    of_indices = statistic_columns(names, (*cards.statistics.STORED, *further))
    return [*statistic_columns(bands, further), *of_indices]


def statistic_columns(bands: Iterable[str], statistics: Iterable[str]) -> list[pa.Field]:
    """The columns of statistics of bands: B04_count, B04_mean, …"""
    kinds = {name: pa.type_for_alias(cards.STATISTICS[name].dtype) for name in statistics}
    return [pa.field(f"{band}_{name}", kind) for band in bands for name, kind in kinds.items()]


SC: Final = pa.schema([*_OF_ROW, *statistic_columns(["SC"], cards.statistics.STORED)])
"""Statistics of the scene classes as numbers, a band of the original library: only in migrated scenes."""
