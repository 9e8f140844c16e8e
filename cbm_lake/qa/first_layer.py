"""First layer of the data validation: file completeness, column types, duplicate keys and missing values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.lake import queries
from cbm_lake.qa import tablefiles
from cbm_lake.qa.findings import CRITICAL, ERROR, WARNING, Finding
from cbm_lake.qa.tablefiles import Source
from cbm_lake.qa.tables import AREAS, BOOLEAN, TEXT

NULLS: Final = ("NA", "Null", "NULL", "Inf", "-Inf", "")
"""Placeholder texts in addition to those that pandas reads as missing."""
MAY_BE_NULL: Final = ("gsa_col_id", "catch_crop")
_TRUTHS: Final = ({"0", "1"}, {"0.0", "1.0"}, {"true", "false"}, {"t", "f"})
_LISTED_VALUES: Final = 20
_WRONG_TYPES: Final = "The following columns have invalid data types: "


@dataclass(frozen=True)
class Outcome:
    """Result of a check."""

    message: str
    findings: list[Finding]


@dataclass(frozen=True)
class Check:
    """A step of the first layer."""

    name: str
    run: Callable[[], Outcome]
    original: bool = True
    """Whether the original tool has it too."""


def checks(source: Source, interventions: Source | None = None, gsa: Source | None = None) -> Iterator[Check]:
    """Checks of a table in order; if the first one fails, no others follow.

    Args:
        source: the table.
        interventions: the table that the unit amounts of claims refer to.
        gsa: the table that the parcels of claims refer to.
    """
    columns = _Columns(source)
    yield Check("validate_columns", columns.missing)
    yield Check("validate_dtypes", columns.types)
    yield Check("check_duplicates", columns.duplicates)
    yield Check("check_nulls", columns.nulls)
    if source.table.name == "lpis":
        yield Check("validate_area_format", columns.area_format)
    if source.table.name == "ua_claimed":
        if interventions is not None:
            yield Check("validate_relation_interventions", lambda: columns.relation("ua", interventions))
        if gsa is not None:
            yield Check("validate_relation_gsa", lambda: columns.relation("gsa_par_id", gsa))
        yield Check("check_claim_area_format", columns.claim_format, original=False)
    yield Check("check_placeholders", columns.placeholders, original=False)


class _Columns:
    """Columns of a table and their requirements."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.table = source.table
        self.frame = source.frame
        self._connection = duckdb.connect()

    def missing(self) -> Outcome:
        """Check that all required columns exist, and at least one row."""
        names = self.source.missing()
        if names:
            message = f"The following columns are missing: {', '.join(names)}"
            return Outcome(
                message, [self._finding("validate_columns", message, CRITICAL, column=", ".join(names), ids=names)]
            )
        if self.frame.empty:
            message = "The table has no rows"
            return Outcome(message, [self._finding("validate_rows", message, CRITICAL)])
        return Outcome("All expected columns are present.", [])

    def types(self) -> Outcome:
        """Check that columns have accepted types."""
        findings = [finding for name, kind in self.table.columns.items() if (finding := self._type(name, kind))]
        if not findings:
            return Outcome("Data types are correct.", [])
        wrong = ", ".join(finding.message.removeprefix(_WRONG_TYPES) for finding in findings)
        return Outcome(f"{_WRONG_TYPES}{wrong}", findings)

    def duplicates(self) -> Outcome:
        """Check that keys are unique; counts keys, not rows."""
        first, second = (self.table.key * 2)[:2]
        keys = pa.table({"row": self._rows, "first": self._text(first), "second": self._text(second)})
        findings = self._ask("duplicates", keys=keys).to_pylist()
        if not findings:
            return Outcome("No duplicates found.", [])
        message = f"{len(findings)} Duplicates found based on: {', '.join(self.table.key)}"
        ids = [" + ".join([group["first"], group["second"]][: len(self.table.key)]) for group in findings]
        details = [f"rows: {group['times']}" for group in findings]
        rows = [group["row"] for group in findings]
        finding = self._finding(
            "check_duplicates", message, column=" + ".join(self.table.key), rows=rows, ids=ids, details=details
        )
        return Outcome(message, [finding])

    def nulls(self) -> Outcome:
        """Check that there are no nulls, except in nullable columns."""
        answer = self._ask("nulls", {"excepted": MAY_BE_NULL, "nulls": NULLS}, texts=self._texts)
        findings = self._ordered(answer)
        if not findings:
            return Outcome("No nulls found.", [])
        message = "Null values in: " + ", ".join(f"{name} ({group['count']})" for name, group in findings.items())
        return Outcome(
            message,
            [
                self._at("check_nulls", f"Null values in: {name} ({group['count']})", name, group["rows"])
                for name, group in findings.items()
            ],
        )

    def area_format(self) -> Outcome:
        """Check that areas are numbers with at most 4 decimals."""
        findings = [
            self._at("validate_area_format", f"{name} should be in hectares and with 4 decimal places.", name, **group)
            for name, group in self._uneven(AREAS).items()
        ]
        if not findings:
            return Outcome("Area format is correct.", [])
        return Outcome("; ".join(finding.message for finding in findings), findings)

    def relation(self, column: str, other: Source) -> Outcome:
        """Check that another table contains every value of a column."""
        name, named = self.table.name, other.table.name
        rule = f"validate_relation_{named}"
        if column not in other.frame.columns:
            message = f"Column '{column}' not found in '{named}' table."
            return Outcome(message, [self._finding(rule, message, column=column, count=1)])
        valid = pa.table({"value": tablefiles.text(other.frame[column])})
        claimed = pa.table({"row": self._rows, "value": self._text(column)})
        findings = self._ask("relation", claimed=claimed, known=valid).to_pylist()
        if not findings:
            return Outcome(f"All unique entries in '{column}' from '{name}' table exist in '{named}' table.", [])
        message = f"{len(findings)} unique entrie(s) of '{column}' from '{name}' table do not exist in '{named}' table."
        finding = self._finding(
            rule,
            message,
            column=column,
            rows=[entry["row"] for entry in findings],
            ids=["(empty)" if entry["value"] is None else entry["value"] for entry in findings],
            details=[f"rows: {entry['times']}" for entry in findings],
        )
        return Outcome(message, [finding])

    def claim_format(self) -> Outcome:
        """Check that claimed areas have at most 4 decimals; non-numbers were reported before."""
        areas = self._numbers(("claim_area",))
        valid = areas.filter(pc.is_valid(areas["claim_area"]))
        findings = self._ordered(self._ask("area_format", areas=valid)).get("claim_area")
        if not findings:
            return Outcome("Claimed areas have at most 4 decimals.", [])
        message = f"claim_area should be in hectares and with 4 decimal places ({len(findings['rows'])} are not)."
        rows, details = findings["rows"], findings["details"]
        return Outcome(message, [self._at("check_claim_area_format", message, "claim_area", rows, details, WARNING)])

    def placeholders(self) -> Outcome:
        """Check for placeholder texts: blanks, hyphens, infinity."""
        findings = self._ordered(self._ask("placeholders", {"nulls": NULLS}, texts=self._texts))
        for name in MAY_BE_NULL:
            findings.pop(name, None)
        if not findings:
            return Outcome("No blanks, hyphens or infinities stand for values.", [])
        message = "Blanks, hyphens or infinity in place of values in: "
        return Outcome(
            message + ", ".join(f"{name} ({len(group['rows'])})" for name, group in findings.items()),
            [
                self._at(
                    "check_placeholders",
                    f"{message}{name} ({len(group['rows'])})",
                    name,
                    group["rows"],
                    [repr(value) for value in group["details"]],
                    WARNING,
                )
                for name, group in findings.items()
            ],
        )

    def _type(self, name: str, kind: tuple[str, ...]) -> Finding | None:
        values = self.frame[name]
        got = tablefiles.inferred(values, kind)
        if kind == TEXT:
            return None
        if kind == BOOLEAN:
            return self._boolean(name, values, got)
        whole = kind == ("int64",) and got == "float64" and bool((values.dropna() % 1 == 0).all())
        if got in kind or whole:
            return None
        message = f"{_WRONG_TYPES}{name} (Expected: {list(kind)}, Got: {got})"
        numbers = tablefiles.numbers(values)
        wrong = pc.and_(pc.is_null(numbers), pa.array(values.notna())).to_numpy(zero_copy_only=False)
        rows = (wrong.nonzero()[0] + 1).tolist()
        details = [repr(value) for value in values[wrong]]
        return self._at("validate_dtypes", message, name, rows, details, count=len(rows) or len(values))

    def _boolean(self, name: str, values: pd.Series, got: str) -> Finding | None:
        """Boolean columns contain one pair of truth values and no nulls."""
        distinct = values.drop_duplicates()
        said = {str(value).lower() for value in distinct}
        if any(said <= truths for truths in _TRUTHS):
            return None
        message = f"{_WRONG_TYPES}{name} (Expected: boolean, Got: {got})"
        listed = distinct.iloc[:_LISTED_VALUES]
        rows = (listed.index.to_numpy() + 1).tolist()
        details = ["no value" if pd.isna(value) else f"value {value}" for value in listed]
        return self._at("validate_dtypes", message, name, rows, details, count=len(distinct))

    def _uneven(self, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        return self._ordered(self._ask("area_format", areas=self._numbers(names)))

    def _ask(self, question: str, params: dict[str, Any] | None = None, **tables: pa.Table) -> pa.Table:
        """Run sql/validation/<question>.sql on these tables."""
        for name, table in tables.items():
            self._connection.register(name, table)
        return self._connection.sql(queries.get(f"validation.{question}").sql, params=params or {}).to_arrow_table()

    # -- columns as tables ------------------------------------------------------------------------------------------

    @property
    def _rows(self) -> pa.Array:
        return pa.array(range(1, len(self.frame) + 1), pa.int64())

    def _text(self, name: str) -> pa.Array:
        return tablefiles.text(self.frame[name])

    @cached_property
    def _texts(self) -> pa.Table:
        return pa.table({"row": self._rows} | {name: self._text(name) for name in self.table.columns})

    def _numbers(self, names: tuple[str, ...]) -> pa.Table:
        return pa.table({"row": self._rows} | {name: tablefiles.numbers(self.frame[name]) for name in names})

    def _ordered(self, answer: pa.Table) -> dict[str, dict[str, Any]]:
        """Findings by column, in table order."""
        groups = {group.pop("field"): group for group in answer.to_pylist()}
        return {name: groups[name] for name in self.table.columns if name in groups}

    # -- findings -----------------------------------------------------------------------------------------------------

    def _at(
        self,
        rule: str,
        message: str,
        column: str,
        rows: list[int],
        details: list[str] | None = None,
        severity: str = ERROR,
        count: int | None = None,
    ) -> Finding:
        """Finding about rows of a column, identified by id."""
        row_ids = self.frame[self.table.id].iloc[[row - 1 for row in rows]]
        ids = [
            f"row {row}" if name is None else name
            for row, name in zip(rows, tablefiles.text(row_ids).to_pylist(), strict=True)
        ]
        details = details or [""] * len(rows)
        return self._finding(rule, message, severity, column=column, count=count, rows=rows, ids=ids, details=details)

    def _finding(
        self,
        rule: str,
        message: str,
        severity: str = ERROR,
        *,
        column: str = "",
        count: int | None = None,
        rows: list[int] | None = None,
        ids: list[str] | None = None,
        details: list[str] | None = None,
    ) -> Finding:
        meaning, mend = WORDS[rule]
        count = len(ids or []) if count is None else count
        return Finding(
            rule, severity, self.table.name, message, meaning, mend, column, count, rows or [], ids or [], details or []
        )


WORDS: Final = {
    "validate_columns": (
        "Columns that the table must have are not in the file. Nothing else was looked at.",
        "Add the columns, or correct their names; capitals do not matter, further columns do no harm.",
    ),
    "validate_rows": ("There is nothing to validate.", "Export the table again, with its rows."),
    "validate_dtypes": (
        "The values of the column are not all of the type that it must have.",
        "Write numbers with a decimal point, no units, no thousands separators; booleans all as true/false or 1/0.",
    ),
    "check_duplicates": (
        "Several rows have the same key, so they cannot be told apart. Keys are counted, not rows.",
        "Keep one row of each key, or correct the identifiers.",
    ),
    "check_nulls": (
        "Cells without a value. NA, NULL, Inf and the like count as none.",
        "Fill the cells in; an area that does not exist is 0.",
    ),
    "validate_area_format": (
        "Areas must be hectares, as numbers with at most 4 decimals (1 m²), in every row.",
        "Convert areas to hectares and round them to 4 decimals; fill gaps with 0.",
    ),
    "validate_relation_interventions": (
        "Claims are for unit amounts that the table of interventions does not have.",
        "Add the unit amounts to the interventions, or correct them in the claims; leading zeros count.",
    ),
    "validate_relation_gsa": (
        "Claims are for parcels that the table gsa does not have.",
        "Add the parcels to gsa, or correct them in the claims; leading zeros count.",
    ),
    "check_claim_area_format": (
        "Claimed areas must be hectares with at most 4 decimals. The original tool does not look.",
        "Round the claimed areas to 4 decimals.",
    ),
    "check_placeholders": (
        "Blanks, hyphens or infinite numbers stand where a value should be. The original tool takes them for values.",
        "Fill in the value.",
    ),
}
"""For each rule what it means and how to repair what it finds."""
