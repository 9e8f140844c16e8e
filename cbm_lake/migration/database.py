"""Streams the tables of a PostgreSQL database to dump files in constant memory."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cbm_lake.config.settings import Db
from cbm_lake.errors import InvalidInputError, SourceError, of_extra


def fetch(dsn: str, table: str, target: Path, progress: Callable[[int], None]) -> str:
    """Copy a table to a compressed CSV file with header; returns its path.

    Args:
        dsn: postgresql://user@host/database; the password comes from there, PGPASSWORD or ~/.pgpass.
        table: its name, with the schema before it or not.
        target: the file.
        progress: called with the number of bytes received.

    Raises:
        ConfigError: package psycopg is not there.
        InvalidInputError: the database has no such table.
        SourceError: it cannot be reached, or broke off.
    """
    psycopg = _driver()
    from psycopg import sql

    name = sql.Identifier(*table.split("."))
    statement = sql.SQL("copy (select * from {}) to stdout (format csv, header)").format(name)
    size = 0
    try:
        with psycopg.connect(dsn) as connection, connection.cursor() as cursor, gzip.open(target, "wb", 1) as file:
            connection.read_only = True
            with cursor.copy(statement) as copy:
                for block in copy:
                    file.write(block)
                    size += len(block)
                    progress(size)
    except psycopg.errors.UndefinedTable as error:
        raise InvalidInputError(f"the database has no table {table}; give it as schema.table") from error
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"table {table} cannot be read ({reason}); check the address and the rights") from error
    return str(target)


def prove(database: Db) -> str:
    """Test the connection, and describe the server.

    Raises:
        ConfigError: package psycopg is not there.
        SourceError: it cannot be reached.
    """
    psycopg = _driver()
    try:
        with psycopg.connect(
            host=database.host,
            port=database.port,
            dbname=database.name,
            user=database.user,
            password=database.password.get_secret_value(),
            connect_timeout=5,
        ) as connection:
            return f"{database.name} on {database.host} answers; PostgreSQL {connection.info.server_version // 10_000}"
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"the database does not answer ({reason}); check host, port, user and password") from error


def _driver() -> Any:
    with of_extra("migrate", "reading a database"):
        import psycopg
    return psycopg
