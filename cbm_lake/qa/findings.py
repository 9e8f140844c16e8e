"""Findings of a validation, and their output as HTML, JSON or Parquet."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import durable

CRITICAL: Final = "critical"
ERROR: Final = "error"
WARNING: Final = "warning"
INFO: Final = "info"

SUCCESS: Final = "Success"
FAILURE: Final = "Failure"
SKIPPED: Final = "Skipped"

FINDINGS: Final = pa.schema(
    {
        "rule": pa.string(),
        "step": pa.string(),
        "severity": pa.string(),
        "table": pa.string(),
        "column": pa.string(),
        "message": pa.string(),
        "count": pa.int64(),
        "rows": pa.list_(pa.int64()),
        "ids": pa.list_(pa.string()),
        "details": pa.list_(pa.string()),
        "meaning": pa.string(),
        "mend": pa.string(),
    }
)
"""One row per finding; rows, ids and details are of the same length: where, which, and what about it."""

SHOWN: Final = 50
"""Rows of one finding on the page; JSON and Parquet have all."""


@dataclass(frozen=True)
class Finding:
    """A violation of one rule by one table, or a statistic of it."""

    rule: str
    severity: str
    table: str
    message: str
    meaning: str
    mend: str
    column: str = ""
    count: int = 0
    rows: list[int] = field(default_factory=list)
    """Numbers of the data rows, the first is 1."""
    ids: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    step: str = ""


@dataclass(frozen=True)
class Step:
    """One validation step and its result."""

    name: str
    table: str
    layer: str
    """first or second: as the original tool has it; added: looked at because the original does not."""
    status: str
    """Success, Failure or Skipped."""
    message: str
    seconds: float

    def __str__(self) -> str:
        """The line that the original tool prints."""
        return f"[{self.name.upper()}]: {self.status} - {self.message} (Duration: {self.seconds:.1f}s)"


@dataclass(frozen=True)
class Validation:
    """Result of a validation: steps and findings."""

    source: str
    findings: pa.Table
    """See FINDINGS."""
    steps: list[Step]

    @property
    def clean(self) -> bool:
        """Whether no finding needs a repair; statistics do not count."""
        return not set(self.findings["severity"].to_pylist()) - {INFO}

    @property
    def errors(self) -> int:
        """Number of failed steps of the first layer, as the original tool counts them."""
        return sum(step.layer == "first" and step.status == FAILURE for step in self.steps)

    @property
    def summary(self) -> str:
        """The final line of the original tool (which knows the first layer only), or that there are more findings."""
        if self.errors:
            return f"There were {self.errors} errors in the validation, please check logs for details."
        return "Finished validation successfully" + ("" if self.clean else ", with warnings")

    def write(self, path: str | Path) -> None:
        """Write the report in the format of its extension: .html, .json or .parquet.

        Raises:
            InvalidInputError: the extension is another.
            SourceError: the file cannot be written.
        """
        path = Path(path)
        writers = {".html": self._write_page, ".json": self._write_json, ".parquet": self._write_parquet}
        if path.suffix.lower() not in writers:
            raise InvalidInputError(f"a report cannot be written to {path}; give it the ending {', '.join(writers)}")
        try:
            with durable.replacing(path) as draft:
                writers[path.suffix.lower()](draft)
        except OSError as error:
            raise SourceError(f"the report {path} cannot be written ({error}); choose another place") from error

    def document(self) -> dict[str, Any]:
        """The report as a JSON document."""
        return {
            "source": self.source,
            "clean": self.clean,
            "errors": self.errors,
            "summary": self.summary,
            "steps": [asdict(step) for step in self.steps],
            "findings": self.findings.to_pylist(),
        }

    def _write_json(self, path: Path) -> None:
        path.write_text(json.dumps(self.document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def _write_parquet(self, path: Path) -> None:
        rest = {name: value for name, value in self.document().items() if name != "findings"}
        pq.write_table(self.findings.replace_schema_metadata({"validation": json.dumps(rest)}), path)

    def _write_page(self, path: Path) -> None:
        import jinja2

        pages = jinja2.Environment(
            autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
        )
        page = pages.from_string((Path(__file__).parent / "report.html").read_text("utf-8"))
        content = self.document()
        content["findings"].sort(key=lambda finding: (CRITICAL, ERROR, WARNING, INFO).index(finding["severity"]))
        path.write_text(page.render(content, shown=SHOWN), encoding="utf-8")


def table_of(findings: list[Finding]) -> pa.Table:
    """Findings as rows of FINDINGS."""
    return pa.Table.from_pylist([asdict(finding) for finding in findings], schema=FINDINGS)


def number(value: float | None) -> str:
    """Format a number without exponent or trailing zeros."""
    if value is None or not math.isfinite(value):
        return "none" if value is None else str(value)
    return f"{value:.4f}".rstrip("0").rstrip(".")
