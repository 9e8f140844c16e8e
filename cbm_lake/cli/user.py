"""cbm-lake user: who may use the REST service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cbm_lake.cli.shared import out
from cbm_lake.errors import of_extra

if TYPE_CHECKING:
    from cbm_lake.server.accounts import Accounts

app = typer.Typer(no_args_is_help=True, help="Accounts of the REST service.")

Name = Annotated[str, typer.Argument(help="Name of the user; small and capital letters are the same.")]
Areas = Annotated[list[str] | None, typer.Option("--aoi", help="Area that the user may read; give it again for more.")]


@app.command()
def add(
    name: Name,
    password: Annotated[
        str,
        typer.Option(
            "--password", prompt=True, confirmation_prompt=True, hide_input=True, help="Asked for when it is not given."
        ),
    ],
    aoi: Areas = None,
    admin: Annotated[bool, typer.Option("--admin", help="May read all areas.")] = False,
) -> None:
    """Make an account, or give an existing one another password and other areas."""
    _accounts().add(name, password, tuple(aoi or ()), admin=admin)
    out.print(f"{name} may read {'all areas' if admin else ', '.join(aoi or ()) or 'no area yet; grant some'}")


@app.command("list")
def list_users() -> None:
    """Show the accounts and what they may read."""
    for name, user in _accounts().users().items():
        out.print(f"{name}: {'all areas' if user.admin else ', '.join(user.aois) or 'no area'}", markup=False)


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
) -> None:
    """Let an account read more areas."""
    accounts = _accounts()
    accounts.grant(name, tuple(aoi or ()), admin=admin)
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


def _accounts() -> Accounts:
    from cbm_lake.config import Workspace

    with of_extra("server", "an account"):
        from cbm_lake.server.accounts import Accounts

    return Accounts(Workspace.here().config_file.with_name("users.json"))
