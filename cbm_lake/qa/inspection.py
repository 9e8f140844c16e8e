"""Inspection record of a sample: verdicts and notes per parcel, appended to the lake, never overwritten."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cbm_lake.config import Workspace, current_user
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files import clock, installed
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.qa import drawn
from cbm_lake.qa.acceptance import CONSUMER_RISK, acceptance_number
from cbm_lake.qa.sample import METADATA_KEY, OUTPUT
from cbm_lake.storage.store import translated

VERDICTS: Final = ("conforming", "nonconforming", "inconclusive")
"""What can be said of a parcel."""


@checked
def inspect(
    sample_id: str,
    pid: str,
    verdict: str,
    note: str = "",
    *,
    who: str | None = None,
    holding: str | None = None,
    bucket: str | None = None,
    lake: Lake | None = None,
    folder: str | Path | None = None,
) -> None:
    """Record the verdict on one parcel of a sample; earlier verdicts stay in the history.

    Args:
        sample_id: extraction_id of the sample.
        pid: gsa_par_id of the parcel.
        verdict: one of VERDICTS.
        note: free text.
        who: the inspector; without it the user of the settings (set.user), else of the computer.
        holding: gsa_hol_id, where several holdings share the pid.
        bucket: the only group that the verdict is about; without it all that the parcel was drawn for.
        lake: what was looked at, also as of a timestamp; without it the lake of the workspace as it is now.
        folder: where the sample's files are; without it output/ in the workspace.

    Raises:
        NotFoundError: there is no such sample, or no such parcel in it.
        InvalidInputError: the verdict is not one of VERDICTS.
        SourceError: the record cannot be written.
    """
    lake = lake_or_default(lake)
    if verdict not in VERDICTS:
        raise InvalidInputError(f"verdict {verdict!r} is unknown; give {', '.join(VERDICTS)}")
    now = clock.now()
    row = {
        "sample_id": sample_id,
        "pid": pid,
        "holding_id": holding,
        "bucket_id": bucket,
        "verdict": verdict,
        "note": note,
        "inspector": who or current_user(),
        "inspected": now,
        "as_of": lake.as_of or now,
        "version": installed.version(),
    }
    _find(row, _sample_rows(sample_id, folder).to_pylist())
    lake.at(None).add_inspection(row)  # the record is of today, whenever what was looked at is of


def _find(row: Mapping[str, object], sample: list[dict[str, object]]) -> None:
    """Raise NotFoundError unless the verdict refers to a row of the sample."""
    of_parcel = [sampled for sampled in sample if sampled["gsa_par_id"] == row["pid"]]
    if not of_parcel:
        raise NotFoundError(f"no parcel {row['pid']!r} in sample {row['sample_id']!r}; take one of its gsa_par_id")
    if not any(_concerns(row, sampled) for sampled in of_parcel):
        selections = sorted(
            {f"holding {sampled['gsa_hol_id']}, bucket {sampled['bucket_id']}" for sampled in of_parcel}
        )
        listed = "; ".join(selections)
        raise NotFoundError(f"parcel {row['pid']!r} was not drawn for that holding and bucket, but for {listed}")


def inspections(sample_id: str, *, lake: Lake | None = None) -> pa.Table:
    """All verdicts on a sample, oldest first; columns of schemas.INSPECTIONS.

    Raises:
        SourceError: the record cannot be read.
    """
    lake = lake_or_default(lake)
    rows = lake.query("qa.inspections", sample_id=sample_id)
    return rows.select(schemas.INSPECTIONS.names).cast(schemas.INSPECTIONS)


def verdicts(sample_id: str, *, lake: Lake | None = None, folder: str | Path | None = None) -> pa.Table:
    """Rows of a sample with the latest verdict, note, inspector, inspected and as_of; null without a verdict.

    Raises:
        NotFoundError: there is no such sample.
        SourceError: the record cannot be read.
    """
    by_parcel: dict[str, list[dict[str, object]]] = {}
    for row in inspections(sample_id, lake=lake).to_pylist():
        by_parcel.setdefault(row["pid"], []).append(row)
    rows = _sample_rows(sample_id, folder)
    latest: list[dict[str, object]] = [
        next((row for row in reversed(by_parcel.get(parcel["gsa_par_id"], [])) if _concerns(row, parcel)), {})
        for parcel in rows.to_pylist()
    ]
    for name in ("verdict", "note", "inspector", "inspected", "as_of"):
        kind = schemas.INSPECTIONS.field(name).type
        rows = rows.append_column(name, pa.array([row.get(name) for row in latest], kind))
    return rows.replace_schema_metadata()


def export_verdicts(
    sample_id: str, path: str | Path, *, lake: Lake | None = None, folder: str | Path | None = None
) -> int:
    """Write `verdicts` to a .csv, .parquet or .arrow file; returns the number of rows.

    Raises:
        NotFoundError: there is no such sample.
        InvalidInputError: the extension is unknown.
        SourceError: the file cannot be written.
    """
    import duckdb

    from cbm_lake.lake import export

    return export.write(duckdb.from_arrow(verdicts(sample_id, lake=lake, folder=folder)), Path(path))


@checked
def inspection_counts(
    sample_id: str,
    *,
    limiting_quality: float | None = None,
    consumer_risk: float = CONSUMER_RISK,
    lake: Lake | None = None,
    folder: str | Path | None = None,
) -> pa.Table:
    """Inspection progress by group: bucket_id, total, selected, one column per verdict, open.

    With a limiting quality also acceptance_number, see `acceptance_number`, and result: "accepted", "not accepted",
    "open" while parcels without a conclusive verdict could still decide, or "too small" for that limiting quality.

    Raises:
        NotFoundError: there is no such sample.
        InvalidInputError: the limiting quality or risk is out of its range.
        SourceError: the record cannot be read.
    """
    judged = verdicts(sample_id, lake=lake, folder=folder)
    counts = Counter(zip(judged["bucket_id"].to_pylist(), judged["verdict"].to_pylist(), strict=True))
    rows = []
    for bucket in _buckets(sample_id, folder):
        name = bucket["bucket_id"]
        row = {"bucket_id": name, "total": bucket["total"], "selected": bucket["selected"]}
        row |= {verdict: counts[name, verdict] for verdict in VERDICTS} | {"open": counts[name, None]}
        if limiting_quality is not None:
            number = acceptance_number(row["total"], row["selected"], limiting_quality, consumer_risk)
            row |= {"acceptance_number": number, "result": _result(row, number)}
        rows.append(row)
    return pa.Table.from_pylist(rows)


def _result(row: Mapping[str, Any], number: int | None) -> str:
    if number is None:
        return "too small"
    if row["nonconforming"] > number:
        return "not accepted"
    undecided = row["open"] + row["inconclusive"]
    return "accepted" if row["nonconforming"] + undecided <= number else "open"


def sampled_parcels(sample_id: str, folder: str | Path | None = None) -> list[str]:
    """Unique gsa_par_id of the parcels of a sample, in the order drawn.

    Raises:
        NotFoundError: there is no such sample.
    """
    rows = _sample_rows(sample_id, folder).sort_by("order_added")
    return list(dict.fromkeys(rows["gsa_par_id"].to_pylist()))


def _concerns(inspection: Mapping[str, object], sampled: Mapping[str, object]) -> bool:
    """Whether a verdict refers to a row of the sample."""
    return (
        inspection["pid"] == sampled["gsa_par_id"]
        and inspection["holding_id"] in (None, sampled["gsa_hol_id"])
        and inspection["bucket_id"] in (None, sampled["bucket_id"])
    )


def _sample_rows(sample_id: str, folder: str | Path | None) -> pa.Table:
    """Rows of the latest sample with that id, from its Parquet file."""
    directory = Path(folder) if folder else Workspace.here().root / OUTPUT
    with translated("read", str(directory)):
        files = drawn.latest(directory, sample_id)
        if files is None:
            advice = "draw it first; the workspace, or folder= in Python, says where its files are"
            raise NotFoundError(f"no sample {sample_id!r} in {directory}; {advice}")
        return pq.ParquetFile(files).read()


def _buckets(sample_id: str, folder: str | Path | None) -> list[dict[str, Any]]:
    metadata = json.loads(_sample_rows(sample_id, folder).schema.metadata[METADATA_KEY])
    buckets: list[dict[str, Any]] = metadata["buckets"]
    return buckets
