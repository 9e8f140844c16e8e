"""What happens night by night and between people: runs, changes, decisions on cases, judgements, inspections."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from cbm_lake.lake.schemas.common import SEQUENCE, TIME

INSPECTIONS: Final = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),  # the sample's extraction_id
        pa.field("pid", pa.string(), nullable=False),
        pa.field("holding_id", pa.string()),  # null: whoever's parcel of that pid
        pa.field("bucket_id", pa.string()),  # null: in all buckets that the parcel is in
        pa.field("verdict", pa.string(), nullable=False),  # conforming, nonconforming or inconclusive
        pa.field("note", pa.string(), nullable=False),
        pa.field("inspector", pa.string(), nullable=False),
        pa.field("inspected", TIME, nullable=False),
        pa.field("as_of", TIME, nullable=False),  # open_lake(as_of=…) shows what the inspector saw
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        SEQUENCE,
    ]
)
"""One row per verdict given; the latest, by `sequence`, decides, earlier ones stay."""

_PHOTO: Final = pa.struct(
    [
        pa.field("name", pa.string()),  # of the file that was handed in
        pa.field("file", pa.string()),  # in the lake
        pa.field("sha256", pa.string()),
        pa.field("pixels_sha256", pa.string()),  # of the decoded picture, whatever the EXIF says
        pa.field("taken", TIME),  # null where the zone of the camera's clock is not known
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
        pa.field("decided", TIME, nullable=False),
        pa.field("as_of", TIME, nullable=False),  # open_lake(as_of=…) shows what they saw
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
        SEQUENCE,
        pa.field("judgement", pa.int32()),  # number of that by which the case was opened; null: of none
    ]
)
"""One row per decision on a case; earlier ones stay, and the last, by `number`, says how the case stands."""

JUDGEMENTS: Final = pa.schema(
    [
        pa.field("aoi", pa.string(), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
        pa.field("ptype", pa.string(), nullable=False),
        pa.field("pid", pa.string(), nullable=False),
        pa.field("scenario", pa.string(), nullable=False),  # empty: of the declaration as a whole
        pa.field("number", pa.int32(), nullable=False),  # 1, 2, … of that parcel and scenario
        pa.field("decision", pa.string(), nullable=False),  # confirmed, refused, photo, undecidable; or withdrawn
        pa.field("replaces", pa.int32()),  # number of the judgement that stood before
        pa.field("withdraws", pa.int32()),  # number of the judgement that stands no more; of withdrawals only
        pa.field("note", pa.string(), nullable=False),
        pa.field("who", pa.string(), nullable=False),
        pa.field("decided", TIME, nullable=False),
        pa.field("as_of", TIME, nullable=False),  # open_lake(as_of=…) shows what they saw
        pa.field("day", pa.date32()),  # at the end of which the light was judged, or on which it was recorded
        pa.field("colour", pa.string()),  # of the light then; of a declaration as a whole that of the worst
        pa.field("reason", pa.string()),
        pa.field("due", pa.date32()),
        pa.field("lights", pa.string()),  # JSON of all lights of the parcel, of a declaration as a whole
        pa.field("parameters", pa.string()),  # JSON of what differed from the defaults
        pa.field("shown", pa.string()),  # JSON of what was drawn when it was decided
        pa.field("parcels", pa.string(), nullable=False),  # version of the parcel set
        pa.field("crop_name", pa.string()),  # as declared then
        pa.field("crop_code", pa.string()),
        pa.field("epsg", pa.int32()),
        pa.field("geometry", pa.binary()),  # WKB, as declared then
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        SEQUENCE,
    ]
)
"""One row per judgement of a parcel's light, and per withdrawal of one; earlier ones stay.

Of a parcel and scenario that of the greatest `number` stands, of those that nobody withdrew.
"""

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
        pa.field("recorded", TIME, nullable=False),
        pa.field("rests_on", pa.string()),  # of nights: JSON of what the lake held
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        SEQUENCE,
    ]
)
"""One row per change of a light, a marker or a scene's status over a parcel set; one commit per night and set.

The latest row of each thing, by `sequence`, is its present state."""

RUNS: Final = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),  # identifier of the run
        pa.field("number", pa.int32(), nullable=False),  # 0 is the run itself as it began, 1, 2, … its steps, in order
        pa.field("step", pa.string(), nullable=False),  # run, parcels, catalogue, extract, guard, markers, …
        pa.field("aoi", pa.string()),  # null: of no area
        pa.field("year", pa.int32()),
        pa.field("ptype", pa.string()),
        pa.field("what", pa.string()),  # source, card, or file of an export
        pa.field("status", pa.string(), nullable=False),  # begun, done, unchanged, failed, interrupted, not run
        pa.field("problem", pa.string()),  # why it failed, or what is odd about it though it is done
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("scenes", pa.int64(), nullable=False),
        pa.field("started", TIME, nullable=False),
        pa.field("finished", TIME),  # null in the row that says that a run began
        pa.field("seconds", pa.float64()),  # that it took, whatever clocks said
        pa.field("state", pa.string()),  # digest of what it was made of and of what it wrote
        pa.field("who", pa.string(), nullable=False),  # account, machine and process
        pa.field("file", pa.string(), nullable=False),  # the file that says what a run does
        pa.field("version", pa.string(), nullable=False),  # of cbm-lake
        SEQUENCE,
    ]
)
"""The journal: one row for the begin of each run, one per step, and one for its end."""
