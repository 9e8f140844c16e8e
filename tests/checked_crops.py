"""A crop check as it is left in the lake: verdicts on four parcels of ms 2024, known by hand."""

import json
from datetime import UTC, date, datetime

import pyarrow as pa

from cbm_lake.lake import schemas
from cbm_lake.markers.finding import part_of

PIDS = ("a", "b", "c", "d")
CROPS = [("grassland", "451"), ("grassland", "451"), ("maize", "411"), (None, None)]
CHECKED = date(2024, 10, 1)
SAYS = {
    "a": {
        "verdict": "disagrees",
        "crop_group": "grassland",
        "p_value": 0.004,
        "likely": ["maize", "sunflower"],
        "probability": [0.9, 0.06],
        "since": date(2024, 7, 5),
        "rank": 1,
        "reason": "grassland is not among the likely crops",
    },
    "b": {
        "verdict": "agrees",
        "crop_group": "grassland",
        "p_value": 0.7,
        "likely": ["grassland"],
        "probability": [0.97],
        "since": date(2024, 5, 6),
        "rank": 3,
        "reason": "grassland alone is likely",
    },
    "c": {
        "verdict": "cannot say",
        "crop_group": "maize",
        "p_value": 0.3,
        "likely": ["maize", "sunflower"],
        "probability": [0.5, 0.4],
        "rank": 2,
        "reason": "maize or sunflower",
    },
    "d": {"verdict": "cannot say", "reason": "no crop is declared"},
}


def put(
    lake, says, day=CHECKED, run="r1", alpha=0.05, promise="accusations", of=("ms", 2024), libraries=None, recorded=True
):
    """Write a crop check as it is left in the lake."""
    parcels = lake.parcel_set(*of)
    same = {**parcels.params, "version": parcels.version, "run": run, "day": day, "part": part_of(parcels)}
    made = {name: same[name] for name in ("run", "aoi", "year", "ptype", "version", "day")}
    texts = {name: json.dumps({}) for name in ("settings", "snapshot", "libraries", "figures")}
    texts["libraries"] = json.dumps(libraries or {})
    texts["snapshot"] = json.dumps({"features": "f00d"})
    texts["settings"] = json.dumps({"promise": promise, "seed": 7, "model": "forest"})
    made |= {"alpha": alpha, "checked": datetime(2024, 10, 2, tzinfo=UTC), "cbm_lake": "1", **texts}
    if recorded:
        lake.add_crop_runs(pa.Table.from_pylist([made], schema=schemas.CROP_RUNS))
    rows = [{**same, "pid": pid, **one} for pid, one in says.items()]
    lake.put("checked_crops", pa.Table.from_pylist(rows, schema=schemas.CROP_CHECKS), part_of(parcels))
