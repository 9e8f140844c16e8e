"""cbm-lake serve: the REST service."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
from pathlib import Path
from typing import Annotated

import typer

from cbm_lake.cli.shared import err
from cbm_lake.errors import ConfigError, InvalidInputError, of_extra

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; 0.0.0.0 is all, for everyone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8000,
    sql: Annotated[bool, typer.Option("--sql", help="Also answer SELECT statements (POST /v1/sql).")] = False,
    certificate: Annotated[
        Path | None, typer.Option("--ssl-certfile", exists=True, dir_okay=False, help="Certificate, for https.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--ssl-keyfile", exists=True, dir_okay=False, help="Its key.")] = None,
    *,
    root_path: Annotated[str, typer.Option("--root-path", help="Path under which a proxy offers the service.")] = "",
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--proxy",
            help="Address or network of a proxy, which says whose requests it hands on (X-Forwarded-For); again for "
            "more. Nobody else is believed.",
        ),
    ] = None,
    access_days: Annotated[
        int, typer.Option("--access-days", min=1, help="Days for which it is kept who looked at what.")
    ] = 180,
    sql_at_once: Annotated[int, typer.Option(min=1, help="SQL statements of one account answered at once.")] = 2,
    sql_at_once_all: Annotated[int, typer.Option(min=1, help="The same of all accounts.")] = 4,
    sql_seconds: Annotated[float, typer.Option(min=1, help="Seconds that one statement may take.")] = 30,
    sql_seconds_hourly: Annotated[float, typer.Option(min=1, help="Seconds of SQL an hour of one account.")] = 3600,
    sql_memory: Annotated[int, typer.Option(min=100, help="Megabytes of memory that one statement may use.")] = 1000,
    sql_rows: Annotated[int, typer.Option(min=1, help="Rows of one answer; with more there is none.")] = 1_000_000,
    sql_size: Annotated[int, typer.Option(min=1, help="Megabytes of one answer; with more there is none.")] = 500,
    results_size: Annotated[int, typer.Option(min=1, help="Megabytes of results kept for one account.")] = 2000,
    results_size_all: Annotated[int, typer.Option(min=1, help="The same for all accounts.")] = 20_000,
) -> None:
    """Serve the lake to clients of the original library, to programs, and to browsers; `cbm-lake user` says to whom."""
    with of_extra("server", "the service"):
        import uvicorn

        from cbm_lake.server import audit, connections, plain
        from cbm_lake.server.accounts import Accounts
        from cbm_lake.server.app import Settings, create_app
        from cbm_lake.server.results import Room
        from cbm_lake.server.sqlbox import Limits
        from cbm_lake.server.turns import Allowance
    from cbm_lake.config import Workspace
    from cbm_lake.lake import open_lake

    if (certificate is None) != (key is None):
        raise InvalidInputError("https needs both --ssl-certfile and --ssl-keyfile")
    proxies = [_network(each) for each in proxy or ()]
    workspace = Workspace.here().create()
    accounts = Accounts(workspace.root / "config" / "users.json")
    if not accounts.users():
        err.print("there is no account yet: nobody can log in; make one with: cbm-lake user add NAME --aoi AREA")
    plain.log_to_stderr(logging.INFO)
    settings = Settings(
        workspace.temp / "results",
        workspace.data / "files",
        sql=sql,
        access=audit.folder_of(workspace),
        days=access_days,
        limits=Limits(sql_memory, sql_seconds, sql_rows, sql_size * 1_000_000),
        allowance=Allowance(sql_at_once, sql_at_once_all, seconds=sql_seconds_hourly),
        room=Room(bytes=results_size * 1_000_000, all_bytes=results_size_all * 1_000_000),
    )
    service = create_app(open_lake(), accounts, settings)
    configuration = connections.configured(
        service, host, port, proxies=proxies, root_path=root_path, certificate=certificate, key=key
    )
    server = uvicorn.Server(configuration)
    with contextlib.suppress(KeyboardInterrupt, SystemExit):  # by which it ends where it cannot listen
        server.run()
    if not server.started:
        raise ConfigError(f"cannot listen at {host}:{port}, as the line above says; give another --port")


def _network(text: str) -> str:
    """An address or network, as it is compared."""
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise InvalidInputError(f"--proxy {text!r} is no address; write it as 10.0.0.5 or 10.0.0.0/24") from error
    return str(network.network_address) if network.num_addresses == 1 else str(network)
