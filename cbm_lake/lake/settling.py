"""Settling: keeps in the tables of signatures exactly the rows that count, for readers unaware of the ledger.

Which rows count is decided by the views `counting` and `outdated`. Rows that count no more go from signatures/<card> to
set_aside/<card>, whence they come back when they count again; those that never can go altogether. Earlier versions of
the tables keep all of it.

    set aside:   1 add to set_aside   2 take out of signatures
    bring back:  1 add to signatures  2 take out of set_aside

No row is lost wherever that is interrupted, and duplicates are identified by extraction, parcel and mask. What is done
to signatures is one numbered commit on the very snapshot that was opened before the ledger was read: of two who settle
at once one starts again, with what counts by then. Its number, for each area and year, is `settling.state`: while that
stays the same, only files of a single extraction can be affected, and the log lists them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from cbm_lake.errors import SourceError
from cbm_lake.lake import compaction, queries
from cbm_lake.storage.datafiles import DataFile
from cbm_lake.storage.delta import Exchange, Table

_ATTEMPTS = 20
"""How often it is tried while others write."""
_KEYS = ["extraction", "pid", "mask"]
"""What no two rows of a table have in common."""
_ROWS = 65_536
"""Rows of a file that are set aside or brought back."""


@dataclass(frozen=True)
class Pair:
    """Where the signatures of a card are: those that count, and those that do not."""

    card: str
    """Of whose extractions they are."""
    counting: Table
    aside: Table


@dataclass
class Plan:
    """What is to be done to an area and year."""

    partition: dict[str, str]
    counting: list[DataFile]
    """The files of those that count."""
    number: tuple[str, int]
    """Name and number of the commit."""
    doomed: list[DataFile] = field(default_factory=list)
    """Files of `counting` with rows that do not count."""
    back: list[DataFile] = field(default_factory=list)
    """Files that were set aside with rows that count."""
    looked: bool = False
    """Whether files had to be opened, which the number saves the next time."""


class Judge:
    """Says which rows count, by the views of a connection."""

    def __init__(self, pair: Pair, connection: duckdb.DuckDBPyConnection) -> None:
        self._pair = pair
        self._connection = connection
        rows = self._ask("recorded").to_pylist()
        self._recorded = {row["extraction"]: (row["counts"], row["partly"]) for row in rows}
        self._unreadable = {(row["aoi"], str(row["year"])) for row in self._ask("unreadable").to_pylist()}
        self._states = {(row["aoi"], str(row["year"])): row["state"] for row in self._ask("state").to_pylist()}

    def plans(self, counting: DeltaTable, aside: DeltaTable | None) -> Iterator[Plan]:
        """What is to be done to each area and year of a snapshot of both tables."""
        for plan, files, changed in self._partitions(counting, aside):
            self._find_doomed(plan, changed=changed)
            self._find_back(plan, files, changed=changed)
            if plan.doomed or plan.back or plan.looked:
                yield plan

    def returning(self, counting: DeltaTable, aside: DeltaTable) -> pa.Table:
        """The rows of a snapshot of both tables that count and have not come back yet; mostly none."""
        schema = self._pair.counting.schema_of(counting)
        parts = [schema.empty_table()]
        for plan, files, changed in self._partitions(counting, aside):
            self._find_back(plan, files, changed=changed)
            if plan.back:
                parts.append(_placed(self.coming(plan), plan.partition, schema))
        return joined(parts)

    def _partitions(
        self, counting: DeltaTable, aside: DeltaTable | None
    ) -> Iterator[tuple[Plan, list[DataFile], bool]]:
        """For each area and year an empty plan, the files set aside, and whether what counts has changed since.

        Nothing is decided of those whose parcels cannot be read.
        """
        away = {tuple(values.values()): files for values, files in self._pair.aside.by_partition(aside)}
        stand = {tuple(values.values()): files for values, files in self._pair.counting.by_partition(counting)}
        for values in sorted((stand.keys() | away.keys()) - self._unreadable):
            name, state = f"settled/{'/'.join(values)}", self._states.get((values[0], values[1]), 0)
            partition = dict(zip(self._pair.counting.partitions, values, strict=True))
            plan = Plan(partition, stand.get(values, []), (name, state))
            yield plan, away.get(values, []), counting.transaction_version(name) != state

    def _find_doomed(self, plan: Plan, *, changed: bool) -> None:
        opened = []
        for file in plan.counting:
            extraction = file.only("extraction")
            counts, partly = self._recorded.get(extraction or 0, (False, False))
            if extraction is not None and not counts:
                plan.doomed.append(file)
            elif changed and (extraction is None or partly):
                opened.append(file)
        plan.doomed += [file for file, rows, counted in self._counted(opened) if counted < rows]
        plan.looked |= bool(opened)

    def _find_back(self, plan: Plan, files: list[DataFile], *, changed: bool) -> None:
        opened = []
        for file in files:
            extraction = file.only("extraction")
            counts, partly = self._recorded.get(extraction or 0, (False, False))
            if changed if extraction is None or partly else counts:
                opened.append(file)
        plan.back = [file for file, _, counted in self._counted(opened) if counted]
        plan.looked |= bool(opened)

    def _counted(self, files: list[DataFile]) -> Iterator[tuple[DataFile, int, int]]:
        """Those of the files that have rows, with how many there are and how many of them count."""
        by_path = {file.path: file for file in files}
        for row in self._ask("counted", files=list(by_path)).to_pylist() if files else []:
            yield by_path[row["path"]], row["total"], row["counted"]

    def is_recorded(self, file: DataFile) -> bool:
        """Whether the ledger has what a file is of, unless it is of several extractions."""
        only = file.only("extraction")
        return only is None or only in self._recorded

    def split(self, table: Table, file: DataFile, dropped: Sequence[int] = ()) -> tuple[pa.Table, pa.Table]:
        """The rows of a file that count, and those that do not but may count again."""
        rows = table.store.read(f"{table.name}/{file.relative}")
        if rows is None:
            raise SourceError(f"{file.path} has gone; run the command again")
        judged = self._ask("judged", file=file.path, dropped=list(dropped))
        away = pc.invert(pc.or_(judged["counted"], judged["lost"]))
        return rows.filter(judged["counted"]), rows.filter(away)

    def coming(self, plan: Plan) -> pa.Table:
        """The rows that count of the files set aside, each once, but for those that stand there already."""
        rows = joined([self.split(self._pair.aside, file)[0] for file in plan.back])
        extractions = pc.unique(rows["extraction"].combine_chunks())
        once = _keys(rows).group_by(_KEYS).aggregate([("row", "min")])
        files = [file.path for file in plan.counting if _overlaps(file, extractions)]
        if files:
            standing = self._ask("standing", files=files, extractions=extractions.to_pylist())
            once = once.join(standing, _KEYS, join_type="left anti")
        return rows.take(once["row_min"]).sort_by([("pid", "ascending"), ("obstime", "ascending")])

    def _ask(self, step: str, **params: object) -> pa.Table:
        query = queries.get(f"settling.{step}").sql
        with queries.translated():
            params = params if "$card" not in query else {"card": self._pair.card, **params}
            return self._connection.sql(query, params=params).to_arrow_table()


def settle(
    pair: Pair, connect: Callable[[], duckdb.DuckDBPyConnection], dropped: Callable[[str], Sequence[int]]
) -> bool:
    """Move rows so that a table contains exactly those that count; returns whether anything was changed.

    Args:
        pair: the tables.
        connect: returns a connection with the views of the current lake.
        dropped: returns the extractions of a card whose rows cannot count again.

    Raises:
        SourceError: files cannot be read or written, or others went on writing.
    """
    if pair.counting.open() is None:
        return False
    for attempt in range(_ATTEMPTS):
        aside = pair.aside.open()
        snapshot = pair.counting.create(pair.aside.optional_columns(aside))
        judge = Judge(pair, connect())  # after the snapshot: see above
        plans = list(judge.plans(snapshot, aside))
        if not plans:
            return attempt > 0
        if not _carry_out(pair, snapshot, judge, plans, dropped(pair.card)):
            time.sleep(random.uniform(0.01, 0.1) * attempt)  # noqa: S311 - spreads writers, no secret
    raise SourceError(f"others went on writing {pair.counting.url}; run `cbm-lake compact` when they have ended")


def _carry_out(pair: Pair, snapshot: DeltaTable, judge: Judge, plans: list[Plan], dropped: Sequence[int]) -> bool:
    """Do what the plans say, in the order that loses nothing; False where another writer was quicker."""
    with ExitStack() as stack:
        counting = stack.enter_context(pair.counting.exchange(snapshot))
        for plan in plans:
            if not _set_aside(pair, plan, judge, counting, dropped):
                return False
            if plan.back and (rows := judge.coming(plan)).num_rows:
                counting.add([rows], plan.back[0])
        if not counting.commit(dict(plan.number for plan in plans)):
            return False
    for plan in plans:
        if plan.back:
            parts = (judge.split(pair.aside, file)[1] for file in plan.back)
            pair.aside.rewrite(plan.back, ([rows] for rows in parts if rows.num_rows))
    return True


def _set_aside(pair: Pair, plan: Plan, judge: Judge, exchange: Exchange, dropped: Sequence[int]) -> bool:
    """Move the rows that do not count into the other table, and rewrite the files without them.

    Returns:
        False where another writer was quicker; the rows must not be taken out then.
    """
    if not plan.doomed:
        return True
    columns = pair.counting.optional_columns(pair.counting.open())
    with pair.aside.exchange(pair.aside.create(columns)) as away:
        waiting: list[pa.Table] = []
        for file in plan.doomed:
            counted, rest = judge.split(pair.counting, file, dropped)
            exchange.remove(file)
            if counted.num_rows:
                rewritten = file.is_rewritten
                for groups in compaction.grouped(counted) if rewritten else [[counted]]:
                    exchange.add(groups, file, rewritten=rewritten)
            waiting.append(rest)
            if not judge.is_recorded(file):  # by itself, so that the log tells when it is
                _flush(away, [waiting.pop()], file)
            if sum(rows.num_rows for rows in waiting) >= _ROWS:
                _flush(away, waiting, file)
                waiting = []
        _flush(away, waiting, plan.doomed[0])
        return away.commit()


def _flush(away: Exchange, waiting: list[pa.Table], beside: DataFile) -> None:
    rows = joined(waiting) if waiting else None
    if rows is not None and rows.num_rows:
        away.add([rows.sort_by([("extraction", "ascending"), ("pid", "ascending")])], beside)


def _keys(rows: pa.Table) -> pa.Table:
    """The keys of rows and their numbers; the mask of one of all pixels is "" here, for null equals nothing."""
    number = rows.num_rows
    mask = rows["mask"].fill_null("") if "mask" in rows.column_names else pa.repeat("", number)
    columns = [rows["extraction"], rows["pid"], mask, pa.array(range(number), pa.int64())]
    return pa.table(columns, [*_KEYS, "row"])


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of tables of which older ones may lack columns, which are null there."""
    return pa.concat_tables(tables, promote_options="default")


def _placed(rows: pa.Table, partition: dict[str, str], schema: pa.Schema) -> pa.Table:
    """Rows of a file with the columns that its partition says."""
    for name, value in partition.items():
        kind = schema.field(name)
        rows = rows.append_column(kind, pa.repeat(pa.scalar(value).cast(kind.type), rows.num_rows))
    return rows


def _overlaps(file: DataFile, extractions: pa.Array) -> bool:
    """Whether a file can have rows of one of these extractions."""
    if "extraction" not in file.bounds:
        return len(extractions) > 0
    first, last = file.bounds["extraction"]
    return bool(pc.any(pc.and_(pc.greater_equal(extractions, first), pc.less_equal(extractions, last))).as_py())
