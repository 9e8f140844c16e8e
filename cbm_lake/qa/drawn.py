"""`Sample`: a drawn sample and its output files (extracted rows, parcels, summary, whole-holding interventions)."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from cbm_lake.files import durable
from cbm_lake.qa.options import Options
from cbm_lake.storage.store import translated

_NUMBER: Final = b"cbm_lake.sequence"
"""Metadata key of the sequence number of a sample's Parquet file, independent of the clock."""
_LINE: Final = "-" * 38
_COVERAGE: Final = ("include all parcels", "prioritise covered parcels", "include only covered parcels")
_CONTRIBUTION: Final = ("filter out when a bucket is filled", "retain when a bucket is filled")


@dataclass(frozen=True)
class Totals:
    """Totals of list and sample; parcels are counted per holding."""

    rows: int
    selected_rows: int
    parcels: int
    selected_parcels: int
    covered_parcels: int
    """Selected parcels that are covered in some selected row."""
    uncovered_parcels: int
    holdings: int
    selected_holdings: int


@dataclass(frozen=True)
class Sample:
    """A drawn sample and its files."""

    extraction_id: str
    options: Options
    rows: pa.Table
    """bucket_id, gsa_par_id, gsa_hol_id, ranking, covered, order_added; bucket by bucket, by order_added inside."""
    parcels: pa.Table
    """gsa_par_id, gsa_hol_id, ranking, covered, buckets, bucket_count; one row per gsa_par_id."""
    buckets: pa.Table
    """bucket_id, selected, target, total (rows of the group in the list); in order of appearance in the list."""
    interventions: pa.Table | None
    """The list's rows in holding-level groups of the holdings selected there, with selected 0/1; None without such."""
    totals: Totals
    files: Mapping[str, Path]
    """sample, sample_parquet, parcels, summary and, with holding-level groups, interventions."""


def write(sample: Sample, folder: Path) -> Sample:
    """Write a sample's files to a folder; returns the sample with their paths.

    Each file appears whole, and the Parquet file, by which `latest` finds the sample, when the others are there.

    Raises:
        SourceError: a file cannot be written.
    """
    with translated("write", str(folder)), _reserved(folder, sample.extraction_id) as stamp:
        return _written(sample, folder, stamp)


def _written(sample: Sample, folder: Path, stamp: str) -> Sample:
    def path(kind: str, extension: str = "csv") -> Path:
        return folder / f"{sample.extraction_id}_{kind}_{stamp}.{extension}"

    files = {
        "sample": path("extracted_sample"),
        "sample_parquet": path("extracted_sample", "parquet"),
        "parcels": path("parcel_centric"),
        "summary": path("summary", "txt"),
    }
    _write_csv(sample.parcels, files["parcels"])
    with durable.replacing(files["summary"]) as draft:
        draft.write_text(summary(sample, stamp), "utf-8")
    if sample.interventions is not None:
        files["interventions"] = path("HL_interventions")
        _write_csv(sample.interventions, files["interventions"])
    _write_csv(sample.rows, files["sample"])
    number = 1 + max((number for number, _ in _samples_in(folder, sample.extraction_id)), default=0)
    story = {**(sample.rows.schema.metadata or {}), _NUMBER: str(number)}
    with durable.replacing(files["sample_parquet"]) as draft:
        pq.write_table(sample.rows.replace_schema_metadata(story), draft, compression="zstd")
    return replace(sample, files=files)


def latest(folder: Path, extraction_id: str) -> Path | None:
    """Parquet file of the sample with that id that was drawn last, or None.

    The numbers in the files say which that is; those of earlier versions, which have none, come before, by their names.
    """
    return max(_samples_in(folder, extraction_id), default=(0, None))[1]


def _samples_in(folder: Path, extraction_id: str) -> list[tuple[int, Path]]:
    """Samples with an id in a folder, with their numbers."""
    name = re.compile(re.escape(extraction_id) + r"_extracted_sample_\d{4}-\d\d-\d\d_\d{6}\.parquet")
    files = [path for path in folder.glob("*.parquet") if name.fullmatch(path.name)]
    return [(int((pq.read_schema(path).metadata or {}).get(_NUMBER, 0)), path) for path in files]


@contextmanager
def _reserved(folder: Path, extraction_id: str) -> Iterator[str]:
    """Reserve a timestamp that no other sample of that id has."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        stamp = f"{datetime.now():%Y-%m-%d_%H%M%S}"
        name = f"{extraction_id}_extracted_sample_{stamp}"
        mark = folder / f".{name}"
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            time.sleep(0.05)
            continue
        try:
            if not (folder / f"{name}.csv").exists():
                yield stamp
                return
        finally:
            mark.unlink()
        time.sleep(0.05)


def _write_csv(rows: pa.Table, path: Path) -> None:
    """Write CSV with minimal quoting, which Arrow's writer lacks."""
    with durable.replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def summary(sample: Sample, stamp: str) -> str:
    """Text summary: parameters, bucket fill levels, and totals."""
    options, totals = sample.options, sample.totals
    average = totals.selected_parcels / totals.selected_holdings if totals.selected_holdings else 0.0
    return "\n".join(
        [
            f"Extraction summary (ID: {sample.extraction_id})",
            f"Timestamp: {stamp}",
            "",
            "Parameters:",
            f"- 3% holding limit: {'yes' if options.three_percent else 'no'}",
            f"- Covered priority: {options.covered_priority}, {_COVERAGE[options.covered_priority]}",
            f"- Non-contributing, highest ranked parcel of each holding: {_CONTRIBUTION[options.noncontributing]}",
            f"- Holding level interventions: {', '.join(options.holding_groups) or 'none'}",
            "",
            "Bucket summary:",
            _LINE,
            "Bucket ID | Selected | Target | Total | Selected / Total",
            _LINE,
            *(
                f"{row['bucket_id']} | {row['selected']} | {row['target']} | {row['total']} | "
                f"{row['selected'] / row['total']:.2%}"
                for row in sample.buckets.to_pylist()
            ),
            _LINE,
            "",
            "General statistics:",
            f"- Total unique parcels: {totals.parcels}",
            f"- Selected parcels: {totals.selected_parcels}",
            f"- Total holdings: {totals.holdings}",
            f"- Selected holdings: {totals.selected_holdings}",
            f"- Average number of selected parcels per selected holding: {average:.2f}",
            f"- Selected parcels covered by VHR images: {totals.covered_parcels}",
            f"- Selected parcels not covered by VHR images: {totals.uncovered_parcels}",
            "",
        ]
    )
