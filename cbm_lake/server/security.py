"""Whose request it is, what they may see, and what they are told of all else."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from cbm_lake.errors import NotFoundError
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.server.accounts import Account
from cbm_lake.server.limits import RefusalError
from cbm_lake.server.login import CHALLENGE

_ORIGINAL: Final = "/query/"
"""The original's questions, whose answers are its own."""


class RefusedError(Exception):
    """An area or what belongs to it is not theirs to see, or is not there, which is the same to them."""


def login(request: Request) -> Account:
    """Whose request this is: who the gate let in."""
    account: Account | None = getattr(request.state, "account", None)
    if account is None:
        raise RefusalError(401, "Could not verify.", CHALLENGE)
    return account


User = Annotated[Account, Depends(login)]


def allowed(user: Account, aoi: str) -> str:
    """The area's name as it is kept, when it is theirs to see."""
    if not user.may_read(aoi):
        raise RefusedError
    return aoi.lower()


def parcel_sets(request: Request, user: Account) -> list[ParcelSet]:
    """The parcel sets that they may see."""
    lake = request.app.state.source.lake
    return [found for found in lake.parcel_sets() if user.may_read(found.aoi)]


def parcel_set(request: Request, user: Account, aoi: str, year: int, ptype: str) -> ParcelSet:
    """A parcel set that they may see.

    Raises:
        RefusedError: the area is not theirs.
        NotFoundError: there is none; the message names their own only.
    """
    area, known = allowed(user, aoi), parcel_sets(request, user)
    for found in known:
        if (found.aoi, found.year, found.ptype) == (area, year, ptype):
            return found
    names = ", ".join(found.name for found in known) or "none"
    raise NotFoundError(f"no parcels of {aoi} {year} {ptype}".rstrip() + f"; those that you may read: {names}")


def refused(request: Request, _: Exception) -> Response:
    """What is answered of an area that is not theirs, whether it is there or not."""
    if request.url.path.removeprefix(request.scope.get("root_path", "")).startswith(_ORIGINAL):
        return PlainTextResponse("Not authorized for this dataset. Ask the administrator of this server.", 401)
    return JSONResponse({"detail": "there is nothing of that name, or it is not yours to read"}, 404)


def plain(_: Request, error: Any) -> Response:
    """Errors of HTTP: the login's as text, as the original's clients expect it, all others as JSON."""
    if error.status_code == 401:
        return PlainTextResponse(error.detail, 401, headers=error.headers)
    return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
