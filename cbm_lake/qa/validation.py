"""Validates IACS quality assessment tables: `validate` for one file, `validate_tables` for several."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa

from cbm_lake.errors import InvalidInputError
from cbm_lake.progress import Tell, Wish, during, reported
from cbm_lake.qa import first_layer, tablefiles, tables
from cbm_lake.qa.findings import CRITICAL, FAILURE, INFO, SKIPPED, SUCCESS, Finding, Step, Validation, table_of
from cbm_lake.qa.rules import Rule
from cbm_lake.qa.second_layer import SecondLayer
from cbm_lake.qa.tablefiles import Source

__all__ = ["Validation", "validate", "validate_tables"]

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
Table: TypeAlias = str | Path | pa.Table

_REFERRED: Final = {"validate_relation_interventions": "interventions", "validate_relation_gsa": "gsa"}


def validate(
    input_file: Table,
    table_type: str,
    interventions_file: Table | None = None,
    gsa_population_file: Table | None = None,
    progress: Wish = "auto",
) -> Validation:
    """Validate one table: all steps of the first layer, and the rules of the second that need no other table.

    Args:
        input_file: .csv, .parquet, .shp, .gpkg, or a .zip with one of them; or an Arrow table.
        table_type: gsa, lpis, gsa_lpis, inter (interventions), ua (ua_claimed) or regions.
        interventions_file: for ua, the table that its unit amounts refer to.
        gsa_population_file: for ua, the table that its parcels refer to.
        progress: is called with how many geometries are done and how many there are, each counted twice, and where it
            takes three arguments what is done; "auto" is a bar in a notebook or on a terminal, None is nothing.

    Raises:
        SourceError: a file cannot be read.
        InvalidInputError: the table type is unknown, or a file is of another format.
    """
    table = tables.table_type(table_type)
    by_name: dict[str, Table] = {table.name: input_file}
    related = {"interventions": interventions_file, "gsa": gsa_population_file}
    if table.name == "ua_claimed":
        by_name |= {name: file for name, file in related.items() if file is not None}
    return _validated(by_name, {table.name}, progress)


def validate_tables(
    *,
    lpis: Table | None = None,
    gsa: Table | None = None,
    gsa_lpis: Table | None = None,
    interventions: Table | None = None,
    ua_claimed: Table | None = None,
    progress: Wish = "auto",
) -> Validation:
    """Validate related tables: each by the first layer, all together by the second; see `validate`.

    Raises:
        SourceError: a file cannot be read.
        InvalidInputError: no table is given, or a file is of another format.
    """
    named = {
        "lpis": lpis,
        "gsa": gsa,
        "gsa_lpis": gsa_lpis,
        "interventions": interventions,
        "ua_claimed": ua_claimed,
    }
    tables = {name: table for name, table in named.items() if table is not None}
    if not tables:
        raise InvalidInputError(f"no table was given; give at least one of: {', '.join(named)}")
    return _validated(tables, set(tables), progress)


def _validated(tables: dict[str, Table], checked: set[str], progress: Wish) -> Validation:
    with reported(progress, "validate") as tell:
        return _gone_through(tables, checked, tell)


def _gone_through(tables: dict[str, Table], checked: set[str], tell: Tell) -> Validation:
    run = _Run()
    sources = {}
    for number, (name, file) in enumerate(tables.items()):
        tell(number, len(tables), f"reading {name}")
        sources[name] = run.read(file, name)
    usable = {
        name: source
        for name, source in sources.items()
        if (run.first(source, sources) if name in checked else not _lacking(source))
    }
    if checked & set(usable):
        run.second(usable, checked, during(tell, "comparing outlines"))
    names = ", ".join(sources[name].name for name in tables if name in checked)
    return Validation(names, table_of(run.findings), run.steps)


def _lacking(source: Source) -> bool:
    """Whether a referenced table lacks the key columns."""
    return not set(source.table.key) <= set(source.frame.columns)


class _Run:
    """Steps and findings so far."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.findings: list[Finding] = []

    def read(self, file: Table, name: str) -> Source:
        """Read a table, and time it."""
        start = time.perf_counter()
        source = tablefiles.read(file, tables.TABLES[name])
        self._step("read", name, "added", f"{len(source.frame):,} rows of {source.name}", [], start)
        return source

    def first(self, source: Source, sources: dict[str, Source]) -> bool:
        """Run the checks of a table; returns whether it has the required columns."""
        name = source.table.name
        for check in first_layer.checks(source, sources.get("interventions"), sources.get("gsa")):
            start = time.perf_counter()
            outcome = check.run()
            layer = "first" if check.original else "added"
            self._step(check.name, name, layer, outcome.message, outcome.findings, start)
            if any(finding.severity == CRITICAL for finding in outcome.findings):
                return False
        if name == "ua_claimed":
            for step in [step for step, table in _REFERRED.items() if table not in sources]:
                self._skip(step, name, "first", f"no table {_REFERRED[step]} was given")
        return True

    def second(self, sources: dict[str, Source], checked: set[str], progress: Progress | None) -> None:
        """Run the rules on the validated tables."""
        start = time.perf_counter()
        layer = SecondLayer(sources, checked & set(sources), progress)
        if layer.assumed:
            guesses = [_assumption(name, epsg) for name, epsg in layer.assumed.items() if epsg]
            message = "; ".join(["areas and overlaps in EPSG:3035", *(guess.message for guess in guesses)])
            self._step("measure_outlines", ", ".join(layer.assumed), "added", message, guesses, start)
        for rule, owner in layer.rules():
            start = time.perf_counter()
            table = owner or rule.tables[0]
            blind = layer.blind(rule, owner)
            if blind:
                self._skip(_title(rule), table, _layer(rule), f"no outlines in {', '.join(sorted(blind))}")
                continue
            findings = layer.ask(rule, owner)
            message = "; ".join(finding.message for finding in findings) or "nothing found"
            self._step(_title(rule), table, _layer(rule), message, findings, start)

    def _skip(self, name: str, table: str, layer: str, why: str) -> None:
        self._append(Step(name, table, layer, SKIPPED, why, 0.0))

    def _step(self, name: str, table: str, layer: str, message: str, findings: list[Finding], start: float) -> None:
        failed = any(finding.severity != INFO for finding in findings)
        seconds = time.perf_counter() - start
        self._append(Step(name, table, layer, FAILURE if failed else SUCCESS, message, seconds))
        self.findings += [replace(finding, step=name) for finding in findings]

    def _append(self, step: Step) -> None:
        self.steps.append(step)
        log.info("%s", step)


def _title(rule: Rule) -> str:
    words = rule.question.replace("_", " ")
    return f"rule {rule.number}: {words}" if rule.number else f"added: {words}"


def _layer(rule: Rule) -> str:
    return "second" if rule.number else "added"


def _assumption(name: str, assumed: str) -> Finding:
    return Finding(
        f"{name}_assumed_crs",
        INFO,
        name,
        f"The outlines of {name} are taken as {assumed}",
        "The file does not name the coordinate system of its outlines; it was judged by their numbers.",
        'If it is another, give a GeoPackage or GeoParquet, or write "SRID=…;" before the WKT, the whole in quotes.',
        column="geometry",
    )
