"""What a light rests on, as rows: the markers that count, the clear looks, and the looks that do not count."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.court import Court, Judgement, counted_by
from cbm_lake.markers.finding import dates
from cbm_lake.markers.kernels import FIELDS

WHY_NOT: Final = MappingProxyType(
    {
        "small": "too few pixels",
        "cut": "only part of the parcel seen",
        "unknown": "sky unknown: no pixel classified",
        "cloudy": "clouded",
        "bright": "too bright: cloud or snow that the classes missed",
    }
)
"""Why a look does not count, in words, by what `markers.looks_of` says."""
_SINGLE: Final = "a single value unlike those around it, as of a cloud that was missed"


def rows_of(lake: Lake, parcels: ParcelSet, court: Court, name: str) -> pa.Table:
    """The evidence of the only parcel of a court in a scenario; no rows where the scenario does not apply to it."""
    judged = court.judge(name)
    some = next((one for one in (judged.parcels, judged.unclear, judged.waiting.parcels) if len(one)), None)
    if some is None:
        return _table(np.zeros((0, len(FIELDS))), [], [], [])
    cut = judged.cut if len(judged.parcels) else np.array([court.day])
    counts = _counts(court, name, judged)
    markers = judged.evidence.fields[counts]
    looks = court.case.history.until(cut, some).ndvi
    seen = np.full((len(looks.day), len(FIELDS)), np.nan)
    seen[:, :3], seen[:, 3] = looks.day[:, None], looks.value
    others, reasons = _left_out(lake, parcels, court, int(cut[0]), set(looks.day.tolist()))
    return _table(
        np.concatenate([markers, seen, others]),
        [*judged.evidence.marker[counts], *["look"] * len(seen), *["unclear look"] * len(others)],
        [*judged.evidence.kind[counts], *["s2"] * (len(seen) + len(others))],
        [*[None] * (len(markers) + len(seen)), *reasons],
    )


def _counts(court: Court, name: str, judged: Judgement) -> np.ndarray:
    """Mask of the markers that the rule which decided counts."""
    if len(judged.parcels) and judged.rule[0] >= 0:
        return counted_by(judged, court.parameters.scenarios[name], int(judged.rule[0]))
    return np.zeros(len(judged.evidence.parcel), bool)


def _left_out(lake: Lake, parcels: ParcelSet, court: Court, last: int, days: set[int]) -> tuple[np.ndarray, list[str]]:
    """The looks up to a day on whose days none counts, and why each does not."""
    history = court.case.history
    begin, end = history.parameters.season.days(history.year)
    clear = history.parameters.clear
    rows = lake.query(
        "markers.looks_of",
        **parcels.params,
        pid=history.pids[0].as_py(),
        first=begin,
        last=min(last, end),
        **clear.seen,
        **clear.sky,
    ).to_pylist()
    rows = [row for row in rows if row["day"] not in days]
    fields = np.full((len(rows), len(FIELDS)), np.nan)
    for number, row in enumerate(rows):
        fields[number, :3] = row["day"]
        fields[number, 3:6] = [np.nan if row[part] is None else row[part] for part in ("ndvi", "cloud", "share")]
    return fields, [_SINGLE if row["why_not"] is None else WHY_NOT[row["why_not"]] for row in rows]


def _table(fields: np.ndarray, markers: list[str], kinds: list[str], reasons: list[str | None]) -> pa.Table:
    return pa.table(
        {
            "marker": pa.array(markers, pa.string()),
            "marker_type": pa.array(kinds, pa.string()),
            **{f"date_{part}": dates(fields[:, number]) for number, part in enumerate(("start", "main", "end"))},
            **{part: pa.array(fields[:, number + 3], from_pandas=True) for number, part in enumerate(FIELDS[3:])},
            "why_not": pa.array(reasons, pa.string()),
        }
    )
