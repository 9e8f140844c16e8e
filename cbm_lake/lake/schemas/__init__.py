"""The Arrow schema of every table of a lake: the contract between its writers and sql/."""

from cbm_lake.lake.schemas.declared import CROP_CHECKS, CROP_RUNS, LINEAGE
from cbm_lake.lake.schemas.extracted import (
    EXTRACTIONS,
    RASTERS,
    SC,
    SLOTS,
    optional_columns,
    signatures,
    statistic_columns,
)
from cbm_lake.lake.schemas.ingested import FILES, OBSIDS, PARCELS, SCENES, WEATHER, WEATHER_CELLS
from cbm_lake.lake.schemas.judged import ATTRIBUTES, EXCLUSIONS, MARKERS, PARTS, SHIFTS, SUSPECTS
from cbm_lake.lake.schemas.season import CHANGES, DECISIONS, INSPECTIONS, JUDGEMENTS, RUNS

__all__ = [
    "ATTRIBUTES",
    "CHANGES",
    "CROP_CHECKS",
    "CROP_RUNS",
    "DECISIONS",
    "EXCLUSIONS",
    "EXTRACTIONS",
    "FILES",
    "INSPECTIONS",
    "JUDGEMENTS",
    "LINEAGE",
    "MARKERS",
    "OBSIDS",
    "PARCELS",
    "PARTS",
    "RASTERS",
    "RUNS",
    "SC",
    "SCENES",
    "SHIFTS",
    "SLOTS",
    "SUSPECTS",
    "WEATHER",
    "WEATHER_CELLS",
    "optional_columns",
    "signatures",
    "statistic_columns",
]
