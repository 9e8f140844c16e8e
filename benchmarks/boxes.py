"""What a statement of SQL waits for its process: alone, and when several accounts ask at once without a pause.

    python -m benchmarks.boxes [--statements 60] [--at-once 4]

The box is the one of `POST /v1/sql`, over the generated sample; the statement is one that reads a year's signatures.
The bare limit in the same run is the same statement in this process, over the database that the box gets.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np

from cbm_lake.lake import open_lake
from cbm_lake.server import sqlbox
from cbm_lake.server.granting import Grants
from cbm_lake.server.sqlbox import Limits, Question, SqlBox

STATEMENT = "select count(*) as n, avg(B08_mean) as nir from s2 where pid <> 'none'"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--statements", type=int, default=60)
    parser.add_argument("--at-once", type=int, default=4)
    wanted = parser.parse_args()
    lake = open_lake()
    with tempfile.TemporaryDirectory() as scratch:
        grants = Grants(lake, Path(scratch))
        with grants.database(None) as database, closing(SqlBox()) as box:
            question = Question(str(database), lake.url, STATEMENT, {}, Limits())

            def bare() -> None:
                with closing(sqlbox._locked(question)) as connection:  # noqa: SLF001
                    connection.execute(STATEMENT).fetchall()

            def ask() -> None:
                for _ in box.ask(question):
                    pass

            ask()
            for name, work, at_once in (
                ("bare limit, one at a time", bare, 1),
                ("one at a time", ask, 1),
                (f"{wanted.at_once} at once", ask, wanted.at_once),
            ):
                print(told(name, work, at_once, wanted.statements))
        grants.close()


def told(name: str, work: Callable[[], None], at_once: int, count: int) -> str:
    """How long each of many takes."""

    def timed(_: int) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as threads:
        waits = list(threads.map(timed, range(count)))
    p50, p99 = 1000 * np.percentile(waits, (50, 99))
    return f"{name:28} p50 {p50:6.0f} ms   p99 {p99:6.0f} ms   {count / (time.perf_counter() - start):5.1f}/s"


if __name__ == "__main__":
    main()
