"""Counts what a piece of code asks of lakes: lakes made, logs opened, named questions and statements of SQL."""

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from cbm_lake.lake import Lake, queries
from cbm_lake.storage.log import Log


@dataclass
class Count:
    """What was counted."""

    lakes: int = 0
    """Lakes that were made."""
    logs: int = 0
    """Logs of tables that were opened."""
    snapshots: int = 0
    """How often it was looked whether a lake has changed."""
    statements: int = 0
    """Statements of SQL that were run."""
    names: Counter = field(default_factory=Counter)
    """Named questions, whether SQL answered them or a look-up did."""
    asked: set = field(default_factory=set)
    """URLs of the lakes that were asked."""

    @property
    def questions(self):
        """Named questions, and statements of SQL that belong to none."""
        return self.names.total() + self.statements - self.of_names

    of_names: int = 0
    """Statements that named questions ran."""


@contextmanager
def counted():
    """A count of what is asked within the context."""
    count = Count()
    make, open_log, look, query, relation = Lake.__init__, Log.open, Lake.snapshot, Lake.query, queries.relation

    def making(self, *args, **kwargs):
        count.lakes += 1
        make(self, *args, **kwargs)

    def opening(self):
        count.logs += 1
        return open_log(self)

    def looking(self):
        count.snapshots += 1
        count.asked.add(self.url)
        return look(self)

    def asking(self, name, /, **params):
        count.names[name] += 1
        before = count.statements
        try:
            return query(self, name, **params)
        finally:
            count.of_names += count.statements - before

    def running(*args):
        count.statements += 1
        return relation(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "__init__", making)
        patch.setattr(Log, "open", opening)
        patch.setattr(Lake, "snapshot", looking)
        patch.setattr(Lake, "query", asking)
        patch.setattr(queries, "relation", running)
        yield count
