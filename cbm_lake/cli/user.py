"""cbm-lake user: who may use the REST service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cbm_lake.cli.shared import Format, Shown, out, show
from cbm_lake.errors import InvalidInputError, of_extra

if TYPE_CHECKING:
    from cbm_lake.server.accounts import Accounts

app = typer.Typer(no_args_is_help=True, help="Accounts of the REST service.")

Name = Annotated[str, typer.Argument(help="Name of the user; small and capital letters are the same.")]
Areas = Annotated[list[str] | None, typer.Option("--aoi", help="Area that the user may read; give it again for more.")]


@app.command()
def add(
    name: Name,
    aoi: Areas = None,
    admin: Annotated[bool, typer.Option("--admin", help="May read all areas.")] = False,
    auditor: Annotated[bool, typer.Option("--auditor", help="May read who looked at what, of all areas.")] = False,
    from_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from standard input, one line; else it is asked for."),
    ] = False,
    password: Annotated[str | None, typer.Option("--password", help="Refused: everyone could read it.")] = None,
) -> None:
    """Make an account, or give an existing one another password and other areas; the password is asked for."""
    if password is not None:
        raise InvalidInputError(
            "a password on the command line is seen by everyone at this machine (ps, the shell's history); leave "
            "--password out and it is asked for, or give it with: … | cbm-lake user add NAME --password-stdin"
        )
    _accounts().add(name, _password(is_piped=from_stdin), tuple(aoi or ()), admin=admin, auditor=auditor)
    out.print(f"{name} may read {'all areas' if admin else ', '.join(aoi or ()) or 'no area yet; grant some'}")


@app.command("list")
def list_users() -> None:
    """Show the accounts and what they may read."""
    for name, user in _accounts().users().items():
        areas = "all areas" if user.admin else ", ".join(user.aois) or "no area"
        out.print(f"{name}: {areas}{', who looked at what' if user.auditor else ''}", markup=False)


@app.command()
def remove(name: Name) -> None:
    """Delete an account; it is out at once."""
    _accounts().remove(name)
    out.print(f"{name} is removed", markup=False)


@app.command()
def grant(
    name: Name,
    aoi: Areas = None,
    admin: Annotated[bool | None, typer.Option("--admin/--no-admin", help="May read all areas, or no longer.")] = None,
    auditor: Annotated[
        bool | None,
        typer.Option("--auditor/--no-auditor", help="May read who looked at what, of all areas, or no longer."),
    ] = None,
) -> None:
    """Let an account read more areas, or who looked at what."""
    accounts = _accounts()
    accounts.grant(name, tuple(aoi or ()), admin=admin, auditor=auditor)
    user = accounts.users()[name.strip().lower()]
    out.print(f"{name} may read {'all areas' if user.admin else ', '.join(user.aois) or 'no area'}", markup=False)


@app.command()
def revoke(name: Name, aoi: Areas = None) -> None:
    """Take areas from an account; without any, end all its tokens."""
    _accounts().revoke(name, tuple(aoi or ()))
    out.print(f"taken from {name}: {', '.join(aoi) if aoi else 'all tokens'}", markup=False)


@app.command()
def token(name: Name, days: Annotated[int, typer.Option("--days", min=1, help="For how long it holds.")] = 90) -> None:
    """Print a new bearer token of an account; it cannot be shown again."""
    out.print(_accounts().token(name, days), markup=False, soft_wrap=True)


@app.command()
def share(
    name: Name,
    url: Annotated[str, typer.Option("--url", help="Address of the service as its users reach it.")],
    output: Annotated[Path | None, typer.Option("--output", help="File to write; else NAME.share here.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="For how long it holds.")] = 90,
) -> None:
    """Write a profile file of Delta Sharing, with which other programs read an account's areas."""
    file = output or Path(f"{name.strip().lower()}.share")
    accounts = _accounts()
    from cbm_lake.server.sharing import profiles

    profiles.write(accounts, name, url, file, days)
    out.print(f"{file} lets whoever has it read what {name} may read, for {days} days", markup=False, soft_wrap=True)


@app.command()
def access(
    since: Annotated[str, typer.Option("--since", help="First day (UTC), 2024-03-01.")] = "",
    until: Annotated[str, typer.Option("--until", help="Last day, included.")] = "",
    who: Annotated[str | None, typer.Option("--user", help="Of this account only.")] = None,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Of this area only.")] = None,
    pid: Annotated[str | None, typer.Option("--pid", help="Of this parcel only.")] = None,
    output: Shown = Format.table,
) -> None:
    """Show who looked at which area and parcel, or asked what, over REST or on the page, and when."""
    with of_extra("server", "the access log"):
        from cbm_lake.server import audit

    show(audit.read(since, until, who=who, aoi=aoi, pid=pid), output, "access")


def _password(*, is_piped: bool) -> str:
    """A password, from standard input or asked for twice."""
    if is_piped:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


def _accounts() -> Accounts:
    from cbm_lake.config import Workspace

    with of_extra("server", "an account"):
        from cbm_lake.server.accounts import Accounts

    return Accounts(Workspace.here().config_file.with_name("users.json"))
