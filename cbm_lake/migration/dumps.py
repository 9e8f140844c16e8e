"""Reads dumps of the original library's tables with DuckDB, and lists refused rows.

Messages about scratch files name the user's file or table instead.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from cbm_lake.errors import InvalidInputError, LakeError, SourceError
from cbm_lake.files import delimited, durable
from cbm_lake.lake import queries

log = logging.getLogger(__name__)

_MEMORY: Final = "2GB"
"""What DuckDB may hold; beyond it, it sorts and groups on disk."""
_LISTED: Final = 5_000_000
"""Refused rows that are listed one by one; more are counted only."""
_SAMPLE: Final = 2000
"""Rows by which the decimal sign of a table is decided; a number of another form is refused with its row."""


@dataclass
class Dumps:
    """In a scratch folder, a DuckDB database with the dumps as views."""

    folder: Path
    connection: duckdb.DuckDBPyConnection = field(init=False)
    sizes: dict[str, int] = field(default_factory=dict, init=False)
    """Bytes of the files of each view."""
    names: dict[str, str] = field(default_factory=dict, init=False)
    """User's name of each scratch file, by path."""

    def __post_init__(self) -> None:
        self.connection = duckdb.connect(str(self.folder / "work.duckdb"))
        for name, value in (
            ("memory_limit", _MEMORY),
            ("temp_directory", str(self.folder)),
            ("preserve_insertion_order", "false"),
            ("timezone", "UTC"),
        ):
            self.connection.execute(f"set {name} = $value", {"value": value})
        self.connection.execute(queries.get("migrate.whole_number").sql)
        self.connection.execute('create table refused ("table" varchar, line varchar, reason varchar)')

    def view(
        self,
        name: str,
        paths: Sequence[str],
        columns: Sequence[str],
        defaults: Sequence[str] = (),
        renamed: Mapping[str, str] | None = None,
        numbers: Sequence[str] = (),
    ) -> None:
        """Create a view over the files of one table.

        Args:
            name: of the view.
            paths: tables of text or Parquet files.
            columns: that it must have.
            defaults: columns that are null where a file has none of that name.
            renamed: how the files call columns of other names.
            numbers: columns of numbers, whose decimal sign may be a comma.

        Raises:
            SourceError: a file cannot be read.
            InvalidInputError: a column is missing.
        """
        parts = [self._named(path, columns, defaults, renamed or {}, numbers) for path in paths]
        if not paths:
            nulls = ", ".join(f'null::varchar as "{column}"' for column in (*columns, *defaults))
            parts = [self.connection.sql(f"select {nulls} limit 0")]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.union(part)
        whole.create_view(name, replace=True)
        self.sizes[name] = sum(Path(path).stat().st_size for path in paths)

    def table(self, name: str, rows: pa.Table) -> None:
        """Create a table from rows."""
        self.connection.from_arrow(rows).create(name)

    def view_staged(self, folder: Path, like: duckdb.DuckDBPyRelation) -> None:
        """Create the view staged_rows over the staged files of a folder; empty if there are none."""
        if any(folder.glob("*/*.parquet")):
            relation = self.connection.read_parquet(f"{folder}/*/*.parquet", hive_partitioning=True)
            relation.project("* replace (bucket::bigint as bucket)").create_view("staged_rows", replace=True)
        else:
            like.limit(0).create_view("staged_rows", replace=True)

    def hold_portion(self, number: int) -> None:
        """Materialize one portion of the staged rows as tables portion and portion_hists."""
        for step, table in (("staged", "portion"), ("staged_hists", "portion_hists")):
            self.view_staged(self.folder / step, self.run(step))
            self.connection.execute(f"drop table if exists {table}")
            self.run(table, bucket=number).create(table)

    def _named(
        self,
        path: str,
        columns: Sequence[str],
        defaults: Sequence[str],
        renamed: Mapping[str, str],
        numbers: Sequence[str],
    ) -> duckdb.DuckDBPyRelation:
        relation = self.read(path)
        spelling = {delimited.column_name(name): name for name in relation.columns}
        spelling |= {ours: spelling[theirs] for ours, theirs in renamed.items()}
        missing = [name for name in columns if name not in spelling]
        if missing:
            raise InvalidInputError(
                f"{path} has no column {', '.join(missing)}; it has {', '.join(relation.columns)}; give another dump"
            )
        selected = [
            f'"{spelling[name]}"::varchar as "{name}"' if name in spelling else f'null::varchar as "{name}"'
            for name in (*columns, *defaults)
        ]
        return self._with_points(path, relation.project(", ".join(selected)), numbers)

    def _with_points(
        self, path: str, relation: duckdb.DuckDBPyRelation, numbers: Sequence[str]
    ) -> duckdb.DuckDBPyRelation:
        """The rows with a point as decimal sign, where that of a table of text is a comma."""
        if not numbers or not delimited.is_text(path):
            return relation
        sample = relation.project(", ".join(f'"{name}"' for name in numbers)).limit(_SAMPLE).fetchall()
        texts = [text.strip() for row in sample for text in row if text]
        if any("." in text for text in texts) or not any(re.fullmatch(r"[+-]?\d+,\d+", text) for text in texts):
            return relation
        log.warning("%s: its decimal sign is a comma", self.names.get(path, path))
        return relation.project(
            "* replace (" + ", ".join(f"""replace("{name}", ',', '.') as "{name}\"""" for name in numbers) + ")"
        )

    @contextmanager
    def own_names(self) -> Iterator[None]:
        """Replace scratch paths in errors by the user's file names."""
        try:
            yield
        except LakeError as error:
            text = str(error)
            for path, name in self.names.items():
                text = text.replace(path, name)
            if text == str(error):
                raise
            raise type(error)(text) from error

    def read(self, path: str) -> duckdb.DuckDBPyRelation:
        """Read a file as a relation; all columns of a CSV are text.

        Raises:
            SourceError: it cannot be read.
        """
        if Path(path).suffix.lower() not in (".parquet", ".geoparquet"):
            return delimited.read(self.connection, path, self.folder, tolerant=True)
        if not Path(path).exists():
            raise SourceError(f"there is no file {path}; check the path")
        try:
            return self.connection.read_parquet(path)
        except duckdb.Error as error:
            reason = " ".join(str(error).split())[:300]
            raise SourceError(f"{path} cannot be read ({reason}); give a CSV with header, or Parquet") from error

    def run(self, query: str, /, **params: object) -> duckdb.DuckDBPyRelation:
        """Run a named step of sql/migrate."""
        with queries.translated():
            return self.connection.sql(queries.get(f"migrate.{query}").sql, params=params or None)

    def rows(self, query: str, /, **params: object) -> pa.Table:
        """Run a named step and fetch its rows."""
        with queries.translated():
            return self.run(query, **params).to_arrow_table()

    # -- what is refused ----------------------------------------------------------------------------------------------

    def refuse(self, query: str, /, **params: object) -> None:
        """Append the rows that a named step selects to the list of refusals."""
        self.run(query, **params).insert_into("refused")

    def refuse_rows(self, table: str, rows: Iterable[tuple[str, str]]) -> None:
        """Append rows with their reasons to the list of refusals."""
        refusals = [(table, line, reason) for line, reason in rows]
        if refusals:
            self.connection.executemany("insert into refused values (?, ?, ?)", refusals)

    def refuse_unreadable(self, name: str) -> int:
        """Refuse CSV lines whose field count differs from the header; returns their number."""
        if not self.connection.sql("select 1 from duckdb_tables() where table_name = 'reject_errors'").fetchall():
            return 0
        rows = self.rows("unreadable", name=name)
        self.connection.from_arrow(rows).insert_into("refused")
        self.connection.execute("drop table reject_errors")
        self.connection.execute("drop table reject_scans")
        return int(rows.num_rows)

    def refused(self) -> list[tuple[str, str, int]]:
        """Number of refused rows by table and reason."""
        return self.connection.sql('select "table", reason, count(*) from refused group by all order by all').fetchall()

    def count(self, view: str) -> int:
        """Row count of a view."""
        ((rows,),) = self.connection.table(view).aggregate("count(*)").fetchall()
        return int(rows)

    def write_refused(self, path: Path) -> None:
        """Write the refusals as CSV; no file if there are none.

        Raises:
            SourceError: it cannot be written.
        """
        if self.count("refused"):
            rows = self.connection.table("refused").order("all").limit(_LISTED)
            try:
                with durable.replacing(path) as draft:
                    rows.to_csv(str(draft), header=True, use_tmp_file=False)
            except (OSError, duckdb.Error) as error:
                reason, _, _ = str(error).partition("\n")
                advice = "check its folder and the free space"
                raise SourceError(f"the list {path} cannot be written ({reason}); {advice}") from error
        else:
            path.unlink(missing_ok=True)
