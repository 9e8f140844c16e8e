"""Authorisation: dependencies that give endpoints the user and the parcel set, and uniform refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from cbm_lake.errors import NotFoundError
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.server.accounts import Account
from cbm_lake.server.limits import RefusalError
from cbm_lake.server.login import CHALLENGE
from cbm_lake.server.questions import Aoi, Ptype, Year
from cbm_lake.server.state import ServerState, State

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


def parcel_sets(state: ServerState, user: Account) -> list[ParcelSet]:
    """The parcel sets that they may see."""
    return [parcels for parcels in state.lake.parcel_sets() if user.may_read(parcels.aoi)]


@dataclass(frozen=True)
class Declared:
    """The parcel set that a request names, looked up when it is asked for."""

    state: ServerState
    user: Account
    aoi: str
    year: int
    ptype: str

    @property
    def parcels(self) -> ParcelSet:
        """The parcel set.

        Raises:
            RefusedError: the area is not theirs.
            NotFoundError: there is none; the message names their own only.
        """
        return self._one_of(self._sets(), allowed(self.user, self.aoi), self.aoi)

    @property
    def original(self) -> ParcelSet:
        """The parcel set as a question of the original asks for it, to which one that is missing is no error.

        Raises:
            RefusedError: the area is not theirs.
            NoSuchKindError: there are parcel sets of the area and year, but none of that kind.
            NotFoundError: there is none of the area and year.
        """
        area, sets = allowed(self.user, self.aoi), self._sets()
        kinds = {parcels.ptype for parcels in sets if (parcels.aoi, parcels.year) == (area, self.year)}
        if kinds and self.ptype not in kinds:
            raise NoSuchKindError(f"no parcels of {area} {self.year} {self.ptype}")
        return self._one_of(sets, area, area)

    def _sets(self) -> list[ParcelSet]:
        return parcel_sets(self.state, self.user)

    def _one_of(self, sets: list[ParcelSet], area: str, name: str) -> ParcelSet:
        for parcels in sets:
            if (parcels.aoi, parcels.year, parcels.ptype) == (area, self.year, self.ptype):
                return parcels
        names = ", ".join(parcels.name for parcels in sets) or "none"
        asked = f"no parcels of {name} {self.year} {self.ptype}".rstrip()
        raise NotFoundError(asked, advice=f"those that you may read: {names}")


class NoSuchKindError(Exception):
    """There are parcel sets of an area and year, but none of the kind that a question of the original asks for."""


def declared(state: State, user: User, aoi: Aoi, year: Year, ptype: Ptype = "") -> Declared:
    """The dependency that gives an endpoint its parcel set."""
    return Declared(state, user, aoi, year, ptype)


Parcels = Annotated[Declared, Depends(declared)]


def refused(request: Request, _: Exception) -> Response:
    """What is answered of an area that is not theirs, whether it is there or not."""
    if request.url.path.removeprefix(request.scope.get("root_path", "")).startswith(_ORIGINAL):
        return PlainTextResponse("Not authorized for this dataset. Ask the administrator of this server.", 401)
    return JSONResponse({"detail": "there is nothing of that name, or it is not yours to read"}, 404)


def plain(_: Request, error: Exception) -> Response:
    """Errors of HTTP: the login's as text, as the original's clients expect it, all others as JSON."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 401:
        return PlainTextResponse(error.detail, 401, headers=error.headers)
    return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
