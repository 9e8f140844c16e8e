"""`check`: the integrity of a lake; every damaged or missing file is reported with advice on how to repair it.

    listing of all files ─► logs and files of the tables ─► manifest, parcels, scenes ─► what the ledger says ─► cubes
                       └──► leftovers of writes that broke off

Every part is read by itself, so that an unreadable one does not hide faults of the others. A pass over a lake that is
being written sees files of different times. So where a pass finds faults and files have changed meanwhile, it is
repeated, and only what is wrong every time is a fault.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import pyarrow as pa

from cbm_lake.errors import NotFoundError, SourceError
from cbm_lake.lake import Lake, manifest, schemas, tables
from cbm_lake.lake.check.cubes import check_cubes
from cbm_lake.lake.check.deltas import Files, check_table, contents
from cbm_lake.lake.check.files import check_leftovers, check_manifest, check_parcels, check_results, check_scenes
from cbm_lake.lake.check.ledger import check_ledger, check_named, check_settled
from cbm_lake.lake.check.looking import Finding, Listing, Looking, Progress
from cbm_lake.lake.check.remedies import Remedies
from cbm_lake.lake.records import FileEntry
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

__all__ = ["FINDINGS", "Progress", "check"]

FINDINGS: Final = pa.schema(
    [
        pa.field("severity", pa.string(), nullable=False),  # fault, or note: harmless
        pa.field("part", pa.string(), nullable=False),  # table, folder or cube
        pa.field("what", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),  # in the lake; of several the first
        pa.field("advice", pa.string(), nullable=False),
    ]
)
"""One row per finding."""
_LOOKS: Final = 6
"""Maximum number of passes while others write."""


def check(lake: Lake, *, deep: bool = False, progress: Progress | None = None) -> pa.Table:
    """Check the integrity of a lake; returns the findings as rows of FINDINGS, none when it is intact.

    Args:
        lake: the lake, as it is now.
        deep: read every byte and compare it with checksums and digests, not only footers, sizes and lengths.
        progress: called after each file.

    Raises:
        NotFoundError: there is no lake.
        SourceError: its folder cannot be listed.
    """
    store = Store(lake.url)
    progress = progress or (lambda _, __: None)
    listing = Listing.of(store)
    if not listing.files:
        raise NotFoundError(f"there is no lake at {lake.url}; give its folder or URL")
    findings = _look(lake, Looking(store, deep, listing, progress))
    for _ in range(_LOOKS - 1):
        if not (faults := _faults(findings)) or (after := Listing.of(store)) == listing:
            break
        listing = after
        suspects = frozenset(finding.file for finding in faults)
        again = _look(lake, Looking(store, deep, listing, progress, suspects))
        subjects = {finding.subject for finding in faults}
        findings = [finding for finding in again if finding.severity != "fault" or finding.subject in subjects]
    total = len(listing.files)
    progress(total, total)
    rows = sorted(set(findings), key=lambda finding: (finding.severity, finding.part, finding.file, finding.what))
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=FINDINGS)


def _faults(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "fault"]


def _look(lake: Lake, looking: Looking) -> list[Finding]:
    """One pass over all parts."""
    lake_tables = tables.of(looking.store)
    files = {table.name: check_table(looking, table) for table in lake_tables.values()}
    due = _recorded(lake_tables["files"])
    check_manifest(looking, due)
    versions = check_parcels(looking, due)
    catalogued = check_scenes(looking, due)
    ledger = _contents(looking, lake_tables["ledger"], files)
    if ledger is not None:
        remedies = Remedies.of(ledger, catalogued)
        check_ledger(looking, files, ledger, remedies)
        attributes = _contents(looking, lake_tables["attributes"], files)
        described = schemas.ATTRIBUTES.empty_table() if attributes is None else attributes
        check_named(looking, ledger, described, versions, catalogued)
    slots = _contents(looking, lake_tables["slots"], files)
    entries = schemas.EXTRACTIONS.empty_table() if ledger is None else ledger
    check_cubes(looking, slots, entries, Remedies.of(entries, catalogued))
    check_results(looking)
    check_leftovers(looking)
    check_settled(looking, lake)
    return looking.findings


def _contents(looking: Looking, table: Table, files: dict[str, Files]) -> pa.Table | None:
    """The rows of a small table; None where not all of it can be read."""
    return contents(looking, files[table.name], table.schema) if files[table.name].whole else None


def _recorded(table: Table) -> dict[str, FileEntry]:
    """The files that must be there; none where the manifest cannot be read, which is a finding of its own."""
    try:
        return manifest.recorded(table)
    except SourceError:
        return {}
