"""Maintenance of a lake's tables without changing results: settling of signatures, and compaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import duckdb

from cbm_lake import cards
from cbm_lake.errors import SourceError, some
from cbm_lake.lake import compaction, database, queries, settling, tables
from cbm_lake.storage.delta import Table

_DROPPED = "extractions.dropped"


@dataclass(frozen=True)
class Upkeep:
    """What is done to the tables of a lake without changing an answer."""

    tables: dict[str, Table]
    facts: Callable[[], duckdb.DuckDBPyConnection]
    """Gives a connection with the views of scenes, parcels and the ledger as they are then."""

    def settle(self, card: str | None) -> None:
        """Let the signatures of a card, or of all, be exactly those that count; see `settling`."""
        for pair in self._pairs(card):
            settling.settle(pair, self.facts, partial(self._extractions, _DROPPED))

    def unsettled(self) -> list[str]:
        """The cards of which that is not so, but for rows that the ledger does not know."""
        return sorted({pair.card for pair in self._pairs(None) if self._is_unsettled(pair)})

    def _is_unsettled(self, pair: settling.Pair) -> bool:
        snapshot = pair.counting.open()
        if snapshot is None:
            return False
        judge = settling.Judge(pair, self.facts())
        plans = judge.plans(snapshot, pair.aside.open())
        return any(plan.back or any(map(judge.is_recorded, plan.doomed)) for plan in plans)

    def compact(self, card: str | None) -> int:
        """Merge the files of signatures, and those of small tables; how many of signatures were merged."""
        merged, problems = 0, []
        self.settle(card)
        for pair in self._pairs(card):
            recorded = frozenset(self._extractions("settling.recorded", pair.card))
            dropped = self._extractions(_DROPPED, pair.card)
            for table in (pair.counting, pair.aside):
                files, failed = compaction.compact(table, self.facts(), dropped, recorded)
                merged += files
                problems += failed
        self.settle(card)  # which notes that the new files hold what counts, so that no later command has to look
        problems += compaction.tidy(self.tables.values(), but=("signatures/", "set_aside/"))
        if problems:
            raise SourceError(f"all is compacted but {some(problems, 3)}")
        return merged

    def uncompacted(self, card: str | None) -> int:
        """The number of files that were never merged, of the partition that has most of them."""
        counts = [
            sum(not file.is_rewritten for file in files)
            for pair in self._pairs(card)
            for table in (pair.counting, pair.aside)
            for _, files in table.by_partition(table.open())
        ]
        return max(counts, default=0)

    def _pairs(self, card: str | None) -> list[settling.Pair]:
        return tables.pairs(self.tables, cards.get(card).name if card else None)

    def _extractions(self, question: str, card: str) -> list[int]:
        """Those of a card that the ledger has, or those of which no row can count again."""
        rows = database.rows(self.facts(), queries.get(question).sql, {"card": card})
        numbers: list[int] = rows["extraction"].to_pylist()
        return numbers
