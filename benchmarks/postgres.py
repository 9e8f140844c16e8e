"""The peer of the look-ups: the same signatures in PostgreSQL, as the original keeps them.

One row per parcel, scene and band in a table of its own, with a primary key and an index each on parcel, scene and
band; the scenes in another table. PostgreSQL gets numbers where the lake has text (pid, scene), and no histograms:
both make it smaller and faster. The server is a private one on a socket in a temporary folder.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv

SCHEMA = """
create table scenes (id integer primary key, obstime timestamptz not null, reference text not null);
create table signatures (
    pid bigint not null, obsid integer not null, band char(3) not null, count integer,
    mean real, std real, min real, max real, p25 real, p50 real, p75 real
)
"""
KEYS = """
alter table signatures add primary key (pid, obsid, band);
create index on signatures (pid);
create index on signatures (obsid);
create index on signatures (band);
vacuum analyze signatures;
analyze scenes
"""
SERIES = """
select
    extract(epoch from obstime)::float8 as date_part, band, count, mean, std, min, p25, p50, p75, max, reference, obsid
from signatures join scenes on scenes.id = signatures.obsid
where pid = %s
order by obstime, band
"""
SETTINGS = ("shared_buffers=2GB", "work_mem=256MB", "maintenance_work_mem=1GB", "max_wal_size=8GB", "fsync=off")


@dataclass(frozen=True)
class Size:
    """Bytes of the signatures and their indexes, and for how many rows."""

    rows: int
    bytes: int

    @property
    def per_row(self) -> float:
        """Bytes of a long row with its share of the indexes."""
        return self.bytes / self.rows


@contextmanager
def server() -> Iterator[psycopg.Connection]:
    """A connection to a new, empty PostgreSQL, which goes away afterwards."""
    with tempfile.TemporaryDirectory(prefix="postgres") as folder:
        if not os.geteuid():  # PostgreSQL does not run as root
            shutil.chown(folder, "postgres", "postgres")
        programs = Path(os.path.realpath(shutil.which("postgres") or "")).parent
        data = f"{folder}/data"
        _run(programs / "initdb", "-D", data, "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "postgres")
        settings = (*SETTINGS, "listen_addresses=", f"unix_socket_directories={folder}")
        options = " ".join(f"-c {setting}" for setting in settings)
        _run(programs / "pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            with psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True) as connection:
                yield connection
        finally:
            _run(programs / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop")


def load(connection: psycopg.Connection, scenes: Iterator[tuple[pa.Table, pa.Table]]) -> Size:
    """Load scenes (id, obstime, reference) with their long rows, in the order in which they were taken; then index.

    Returns:
        The size of all signatures.
    """
    connection.execute(SCHEMA)
    for scene, rows in scenes:
        _copy(connection, "scenes", scene)
        _copy(connection, "signatures", rows)
    for statement in KEYS.split(";"):
        connection.execute(statement)
    rows, size = connection.execute("select count(*), pg_total_relation_size('signatures') from signatures").fetchone()
    return Size(rows, size)


def series(connection: psycopg.Connection, pid: int) -> pa.Table:
    """A parcel's year, as an Arrow table like the lake's."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(SERIES, (pid,), prepare=True)
        names = [column.name for column in cursor.description]
        return pa.table(dict(zip(names, map(list, zip(*cursor.fetchall(), strict=True)), strict=True)))


def _copy(connection: psycopg.Connection, table: str, rows: pa.Table) -> None:
    """Load rows of that table's columns."""
    text = io.BytesIO()
    pyarrow.csv.write_csv(rows, text, pyarrow.csv.WriteOptions(include_header=False))
    with connection.cursor() as cursor, cursor.copy(f"copy {table} from stdin (format csv)") as copy:
        copy.write(text.getvalue())


def _run(program: Path, *arguments: str) -> None:
    """Run one of the server's programs, not as root."""
    account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if not os.geteuid() else []
    subprocess.run([*account, str(program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/")
