"""Consistency of the ledger with the signatures, parcels and scenes that exist."""

from __future__ import annotations

from itertools import product

import duckdb
import pyarrow as pa

from cbm_lake import cards
from cbm_lake.files import filenames
from cbm_lake.lake import Lake, queries
from cbm_lake.lake.check.deltas import Files
from cbm_lake.lake.check.files import column
from cbm_lake.lake.check.looking import RESTORE, Looking, answers
from cbm_lake.lake.check.remedies import Remedies

Version = tuple[str, int, str, str]
"""Of a parcel set: area, year, kind, version."""


def check_ledger(looking: Looking, tables: dict[str, Files], ledger: pa.Table, remedies: Remedies) -> None:
    """Signatures that are in the ledger but not in the tables, and vice versa."""
    connection = duckdb.connect()
    connection.register("ledger", ledger)
    connection.register("present", _present(looking, tables))
    for view in queries.definitions():
        if view.name in ("views.11_written", "views.12_extraction_lineage"):
            connection.execute(view.sql)
    if not looking.names("extractions") and any(tables[f"signatures/{card}"].names for card in cards.CARD_BANDS):
        looking.fault("extractions", "the ledger has gone: no signature counts", "extractions", RESTORE)
    for row in answers(connection, "lost"):
        if tables[f"signatures/{row['card']}"].is_logged:
            name = f"{row['aoi']} {row['year']} {row['ptype']}".rstrip()
            problem = (
                f"scene {row['scene']} over {name} has {row['found']:,} signatures, its ledger says {row['recorded']:,}"
            )
            advice = f"{RESTORE} the files that are missing; or {remedies.of_set(row)}"
            table = f"signatures/{row['card']}"
            first = "" if tables[table].whole else f"when the files of {table} are as their log says: "
            looking.fault("extractions", problem, table, first + advice)
    for row in answers(connection, "orphaned"):
        problem = f"{row['signatures']:,} signatures of {row['extractions']} extractions that were never finished"
        advice = "run `cbm-lake compact` when nobody is writing: other readers of the table see them"
        looking.note(
            f"signatures/{row['card']}", f"{problem}, about {row['bytes']:,} bytes", f"signatures/{row['card']}", advice
        )


def check_named(
    looking: Looking, ledger: pa.Table, attributes: pa.Table, versions: set[Version], catalogued: pa.Table
) -> None:
    """Parcel versions and scenes that tables refer to but no file contains."""
    named = _versions(ledger, "parcels") | _versions(attributes, "version")
    damaged = {finding.file for finding in looking.findings if finding.severity == "fault"}
    missing = {parts[:4] for file in damaged if (parts := filenames.parts_of_parcels(f"/{file}"))}
    for aoi, year, ptype, version in sorted(named - versions - missing):
        folder = f"parcels/aoi={aoi}/year={year}"
        name = f"{aoi} {year} {ptype}".rstrip()
        problem = f"no file has version {version} of the parcels {name}, for which there are results"
        advice = f"{RESTORE}; or load these very parcels again, and after them those that are to be in force"
        looking.fault("parcels", problem, folder, advice)
    if any(file.startswith("scenes/") for file in damaged):
        return  # the scenes of a file that is damaged or missing are not known
    extracted = set(zip(ledger["card"].to_pylist(), ledger["scene"].to_pylist(), strict=True))
    scenes = set(zip(catalogued["card"].to_pylist(), catalogued["id"].to_pylist(), strict=True))
    for card, scene in sorted(extracted - scenes):
        problem = f"scene {scene} of card {card} was extracted and is in no file of the catalogue"
        looking.fault("scenes", problem, "scenes", f"{RESTORE}, or catalogue it again")


def _versions(table: pa.Table, name: str) -> set[Version]:
    columns = (table[key].to_pylist() for key in ("aoi", "year", "ptype", name))
    return set(zip(*columns, strict=True))


def check_settled(looking: Looking, lake: Lake) -> None:
    """Rows that readers of the tables alone see though they do not count, or do not see though they do."""
    if any(finding.severity == "fault" for finding in looking.findings):
        return  # of a damaged lake it cannot be known
    for card in lake.unsettled():
        problem = (
            "other readers of the table do not see exactly the rows that count: a command was killed or is running"
        )
        advice = "run `cbm-lake compact` when nobody is writing; the views, and all commands, are right meanwhile"
        looking.note(f"signatures/{card}", problem, f"signatures/{card}", advice)


def _present(looking: Looking, tables: dict[str, Files]) -> pa.Table:
    """How many signatures of each extraction there are and were set aside, and about how many bytes the first take."""
    schema = pa.schema(
        [("card", "string"), ("extraction", "int64"), ("found", "int64"), ("aside", "int64"), ("bytes", "float64")]
    )
    counts: dict[tuple[str, int], list[float]] = {}

    def count(name: str) -> tuple[str, pa.Table | None]:
        return name, column(looking, name, ["extraction"])

    for card, root in product(cards.CARD_BANDS, ("signatures", "set_aside")):
        for name, numbers in looking.each(count, tables[f"{root}/{card}"].names):
            if numbers is None:
                continue
            for item in numbers["extraction"].value_counts().to_pylist():
                total = counts.setdefault((card, item["values"]), [0, 0, 0])
                total[root == "set_aside"] += item["counts"]
                share = looking.size(name) * item["counts"] / numbers.num_rows
                total[2] += share if root == "signatures" else 0
    rows = ((*key, int(present), int(aside), size) for key, (present, aside, size) in counts.items())
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
