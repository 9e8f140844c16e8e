"""Second layer of the data validation: consistency between tables, and between tables and geometries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.lake import queries
from cbm_lake.qa import geometries, tablefiles
from cbm_lake.qa.findings import Finding, number
from cbm_lake.qa.geometries import Measured
from cbm_lake.qa.rules import RULES, Rule
from cbm_lake.qa.tablefiles import Source
from cbm_lake.qa.tables import AREAS

Progress = Callable[[int, int], None]


class SecondLayer:
    """Tables registered for the rules."""

    def __init__(self, sources: Mapping[str, Source], checked: set[str], progress: Progress | None = None) -> None:
        """Measure the geometries and make the tables ready.

        Args:
            sources: the tables by their names.
            checked: those that are validated; the others are only looked up in.
            progress: is called with how much is done and how much there is.
        """
        self.sources = sources
        self.checked = checked
        self._connection = duckdb.connect()
        self._measured_shapes = self._measured(progress)
        self._register()

    def rules(self) -> list[tuple[Rule, str | None]]:
        """Applicable rules in order, each with its table."""
        applicable = [(rule, owner) for rule in RULES for owner in rule.owners]
        return [(rule, owner) for rule, owner in applicable if self._concerned(rule.needs(owner)[0])]

    def blind(self, rule: Rule, owner: str | None) -> set[str]:
        """Tables without geometries that the rule requires."""
        return rule.needs(owner)[1] - set(self._measured_shapes)

    def ask(self, rule: Rule, owner: str | None) -> list[Finding]:
        """Run a rule; returns one finding per column."""
        params = {"owner": owner} if owner else {}
        answer = self._connection.sql(queries.get(f"validation.{rule.question}").sql, params=params).to_arrow_table()
        table = owner or rule.tables[0]
        if "field" not in answer.column_names:
            return [_statistics(rule, table, answer)]
        order = [*self.sources[table].table.columns, *answer["field"].unique().to_pylist()]
        fields = [field for field in dict.fromkeys(order) if field in answer["field"].unique().to_pylist()]
        return [_finding(rule, table, field, answer.filter(pc.equal(answer["field"], field))) for field in fields]

    @property
    def assumed(self) -> dict[str, str | None]:
        """Tables with geometries, each with its coordinate system if that was assumed."""
        return {owner: shapes.assumed for owner, shapes in self._measured_shapes.items()}

    def _concerned(self, needed: set[str]) -> bool:
        return needed <= set(self.sources) and bool(needed & self.checked)

    # -- tables -------------------------------------------------------------------------------------------------------

    def _measured(self, progress: Progress | None) -> dict[str, Measured]:
        """Measure the geometries of all tables; overlapping pairs become the table `pairs`."""
        shapes = {name: source.shapes for name, source in self.sources.items() if source.shapes is not None}
        total = sum(len(source_shapes.values) * (1 + (name in self.checked)) for name, source_shapes in shapes.items())
        done, measured, pairs = 0, {}, [_PAIRS.empty_table()]

        def report(part: int, _: int) -> None:
            if progress:
                progress(done + part, total)

        for name, source_shapes in shapes.items():
            measured[name] = geometries.measure(source_shapes, report)
            done += len(source_shapes.values)
            if name in self.checked:
                overlapping = geometries.overlaps(measured[name], report)
                pairs.append(_owned(name, overlapping))
                done += len(source_shapes.values)
        self._connection.register("pairs", pa.concat_tables(pairs))
        return measured

    def _register(self) -> None:
        states = [
            _owned(name, one.states.append_column("id", self._ids(name))) for name, one in self._measured_shapes.items()
        ]
        self._connection.register("outlines", pa.concat_tables([_STATES.empty_table(), *states]))
        for name, columns in _READ.items():
            if name in self.sources:
                self._connection.register(_REGISTERED[name], self._columns(name, columns))
        self._connection.execute(queries.get("validation.hectares").sql)
        for name in {"lpis", "ua_claimed"} & set(self.sources):
            view = {"ua_claimed": "claims"}.get(name, name)
            self._connection.sql(queries.get(f"validation.{view}").sql).create_view(view)

    def _ids(self, name: str) -> pa.Array:
        """Row labels; the row number if there is no identifier."""
        ids = self.sources[name].ids()
        rows = pa.array([f"row {row}" for row in range(1, len(ids) + 1)])
        return pc.coalesce(ids, rows)

    def _columns(self, name: str, names: tuple[str, ...]) -> pa.Table:
        """Columns as text or float64; absent columns are null."""
        source = self.sources[name]
        columns: dict[str, pa.Array] = {"row": pa.array(range(1, len(source.frame) + 1), pa.int64())}
        for column in names:
            if column not in source.frame.columns:
                columns[column] = pa.nulls(len(source.frame), pa.string())
            elif column in source.table.numbers:
                columns[column] = tablefiles.numbers(source.frame[column])
            else:
                columns[column] = tablefiles.text(source.frame[column])
        if source.table.has_geometry:
            columns["id"] = self._ids(name)
        return pa.table(columns)


_READ: Final = {
    "lpis": AREAS,
    "gsa": ("gsa_code", "gsa_par_id"),
    "ua_claimed": ("gsa_code", "gsa_par_id", "ua", "claim_area"),
    "interventions": ("ua", "ua_grp", "interv"),
}
_REGISTERED: Final = {"lpis": "lpis_read", "gsa": "gsa", "ua_claimed": "claims_read", "interventions": "interventions"}
_STATES: Final = pa.schema([pa.field("owner", pa.string()), *geometries.STATES, pa.field("id", pa.string())])
_PAIRS: Final = pa.schema([pa.field("owner", pa.string()), *geometries.PAIRS_FOUND])


def _owned(name: str, table: pa.Table) -> pa.Table:
    return table.add_column(0, "owner", pa.repeat(pa.scalar(name), table.num_rows))


# -- findings --------------------------------------------------------------------------------------------------------


def _finding(rule: Rule, table: str, field: str, answer: pa.Table) -> Finding:
    kinds = Counter(answer["kind"].to_pylist()) if "kind" in answer.column_names else {}
    listed = f" ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))})" if kinds else ""
    count = answer.num_rows
    return Finding(
        rule=rule.name.format(owner=table, field=field),
        severity=rule.severity,
        table=table,
        message=rule.message.format(count=count, owner=table, field=field) + listed,
        meaning=rule.meaning,
        mend=rule.mend,
        column=field,
        count=count,
        rows=answer["row"].to_pylist(),
        ids=answer["id"].to_pylist(),
        details=answer["detail"].to_pylist(),
    )


def _statistics(rule: Rule, table: str, answer: pa.Table) -> Finding:
    values = answer.to_pylist()[0]
    count = next(iter(values.values()))
    listed = ", ".join(f"{name} {number(value)}" for name, value in values.items())
    message = rule.message.format(count=count, statistics=listed)
    return Finding(
        rule.name,
        rule.severity,
        table,
        message,
        rule.meaning,
        rule.mend,
        count=count,
        rows=[0] * len(values),
        ids=list(values),
        details=[number(value) for value in values.values()],
    )
