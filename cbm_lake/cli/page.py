"""cbm-lake app: the widgets as a page in the browser, without code."""

from __future__ import annotations

import ipaddress
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cbm_lake.cli.shared import out
from cbm_lake.errors import ConfigError, InvalidInputError, of_extra

if TYPE_CHECKING:
    import ssl

    from cbm_lake.server.accounts import Accounts

app = typer.Typer()


@app.command("app")
def serve_page(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; other than 127.0.0.1 only with accounts.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8866,
    certificate: Annotated[
        Path | None, typer.Option("--ssl-certfile", exists=True, dir_okay=False, help="Certificate, for https.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--ssl-keyfile", exists=True, dir_okay=False, help="Its key.")] = None,
    access_days: Annotated[
        int, typer.Option("--access-days", min=1, help="Days for which it is kept who looked at what.")
    ] = 180,
) -> None:
    """Serve the widgets as a page; on another address than loopback to administrators only (`cbm-lake user`)."""
    with of_extra("notebook,server", "the page"):
        from cbm_lake.ipycbm import website
        from cbm_lake.server import audit, plain
    from cbm_lake.config import Workspace

    accounts = None if _is_loopback(host) else _accounts()
    secured = _context(certificate, key)
    plain.log_to_stderr(logging.WARNING)
    website.serve(
        host,
        port,
        accounts=accounts,
        certificate=secured,
        opened=lambda url: out.print(f"the page is at {url} (Ctrl+C ends it)", soft_wrap=True, highlight=False),
        access=audit.folder_of(Workspace.here().create()),
        days=access_days,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _accounts() -> Accounts:
    """The accounts of the workspace.

    Raises:
        ConfigError: none of them is an administrator's.
    """
    from cbm_lake.config import Workspace
    from cbm_lake.server.accounts import Accounts

    accounts = Accounts(Workspace.here().root / "config" / "users.json")
    if not any(user.admin for user in accounts.users().values()):
        raise ConfigError(
            "nobody could log in: the page is for administrators where others reach it; make an account with "
            "cbm-lake user add NAME --admin, or serve it on 127.0.0.1"
        )
    return accounts


def _context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise InvalidInputError("https needs both --ssl-certfile and --ssl-keyfile")
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{certificate} and {key} are no certificate and key: {error}; check the files") from error
    return context
