"""The endpoints of Delta Sharing: shares are areas, schemas their years, tables views of the lake."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from deltalake import Schema
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, Response

from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files.dates import timestamp_of
from cbm_lake.lake import Lake
from cbm_lake.server import security
from cbm_lake.server.accounts import Account, Accounts
from cbm_lake.server.security import RefusedError, User
from cbm_lake.server.sharing import actions, hints, tables
from cbm_lake.server.sharing.copies import Copies, Copy, File
from cbm_lake.server.sharing.links import SIGNED, Link, Links
from cbm_lake.server.sharing.tables import Name, Tables
from cbm_lake.server.state import Settings, State
from cbm_lake.server.turns import Turns

router = APIRouter(prefix="/delta-sharing", tags=["Delta Sharing"])
log = logging.getLogger(__name__)

_LINES: Final = "application/x-ndjson; charset=utf-8"
_VERSION: Final = "Delta-Table-Version"
_PARQUET: Final = "application/vnd.apache.parquet"
_PAGE: Final = 500

MaxResults = Annotated[int, Query(alias="maxResults", ge=0, le=10_000, description="Entries of a page at most.")]
PageToken = Annotated[str, Query(alias="pageToken", max_length=500, description="nextPageToken of the page before.")]
Formats = Annotated[str, Header(alias=actions.CAPABILITIES, max_length=1_000)]
Moment = Annotated[str, Query(alias="startingTimestamp", max_length=50, description="Not older than this; ISO 8601.")]


@dataclass(frozen=True)
class Shared:
    """What the endpoints share."""

    tables: Tables
    copies: Copies
    links: Links
    turns: Turns
    """Who may have copies written now."""

    @classmethod
    def of(cls, lake: Lake, accounts: Accounts, settings: Settings) -> Shared:
        """That of a service over a lake."""
        copies = Copies(settings.results.with_name("shared"), settings.seconds, settings.room.all_bytes)
        return cls(Tables(lake), copies, Links(accounts, settings.seconds), Turns(settings.allowance))


def _shared(request: Request) -> Shared:
    shared: Shared = request.app.state.shared
    return shared


Sharing = Annotated[Shared, Depends(_shared)]


class Asked(BaseModel):
    """Which rows of a table are wanted."""

    predicates: list[str] = Field([], alias="predicateHints", max_length=100)
    predicate: str | None = Field(None, alias="jsonPredicateHints", max_length=100_000)
    limit: int | None = Field(None, alias="limitHint", ge=0)
    version: int | None = Field(None, ge=0, le=2**62)
    timestamp: str | None = Field(None, max_length=50)
    first: int | None = Field(None, alias="startingVersion")
    last: int | None = Field(None, alias="endingVersion")


# -- what there is ----------------------------------------------------------------------------------------------------


@router.get("/shares")
def shares(state: State, user: User, most: MaxResults = _PAGE, after: PageToken = "") -> dict[str, object]:
    """The areas that the user may read and that have parcels."""
    return _page([{"name": aoi, "id": aoi} for aoi in _areas(state, user)], most, after)


@router.get("/shares/{aoi}")
def share(state: State, user: User, aoi: str) -> dict[str, object]:
    """One of them."""
    area = _area(state, user, aoi)
    return {"share": {"name": area, "id": area}}


@router.get("/shares/{aoi}/schemas")
def schemas(state: State, user: User, aoi: str, most: MaxResults = _PAGE, after: PageToken = "") -> dict[str, object]:
    """The years of an area."""
    area = _area(state, user, aoi)
    return _page([{"name": str(year), "share": area} for year in _years(state, user, area)], most, after)


@router.get("/shares/{aoi}/schemas/{year}/tables")
def tables_of_schema(
    state: State, sharing: Sharing, user: User, aoi: str, year: str, most: MaxResults = _PAGE, after: PageToken = ""
) -> dict[str, object]:
    """The tables of a year."""
    area = _area(state, user, aoi)
    names = tables.names(state.lake, area, _year(state, user, area, year))
    return _page([_described(sharing, name) for name in names], most, after)


@router.get("/shares/{aoi}/all-tables")
def all_tables(
    state: State, sharing: Sharing, user: User, aoi: str, most: MaxResults = _PAGE, after: PageToken = ""
) -> dict[str, object]:
    """The tables of all years of an area."""
    area = _area(state, user, aoi)
    names = [name for year in _years(state, user, area) for name in tables.names(state.lake, area, year)]
    return _page([_described(sharing, name) for name in names], most, after)


def _page(entries: Sequence[dict[str, str]], most: int, after: str) -> dict[str, object]:
    """Entries in the order of their names, from the one that a token says."""
    keyed = sorted((f"{entry.get('schema', '')}.{entry['name']}", entry) for entry in entries)
    start = _read(after)
    left = [(key, entry) for key, entry in keyed if key >= start]
    page: dict[str, object] = {"items": [entry for _, entry in left[:most]]}
    if len(left) > most:
        page["nextPageToken"] = base64.urlsafe_b64encode(left[most][0].encode()).decode()
    return page


def _read(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode("ascii")).decode()
    except ValueError as error:
        raise InvalidInputError("this pageToken is none; take nextPageToken of the page before, as it is") from error


def _described(sharing: Shared, name: Name) -> dict[str, str]:
    return {
        "name": name.table,
        "schema": str(name.year),
        "share": name.aoi,
        "shareId": name.aoi,
        "id": sharing.tables.id(name),
    }


def _areas(state: State, user: Account) -> list[str]:
    return sorted({parcels.aoi for parcels in security.parcel_sets(state, user)})


def _area(state: State, user: Account, aoi: str) -> str:
    area = security.allowed(user, aoi)
    if area not in _areas(state, user):
        raise RefusedError
    return area


def _years(state: State, user: Account, area: str) -> list[int]:
    return sorted({parcels.year for parcels in security.parcel_sets(state, user) if parcels.aoi == area})


def _year(state: State, user: Account, area: str, year: str) -> int:
    named = [each for each in _years(state, user, area) if str(each) == year]
    if not named:
        raise RefusedError
    return named[0]


# -- a table ----------------------------------------------------------------------------------------------------------


def _named(state: State, user: User, aoi: str, year: str, table: str) -> Name:
    """The table that a request names.

    Raises:
        RefusedError: there is none of that name that is theirs to read.
    """
    area = _area(state, user, aoi)
    for name in tables.names(state.lake, area, _year(state, user, area, year)):
        if name.table == table.lower():
            return name
    raise RefusedError


Named = Annotated[Name, Depends(_named)]


@router.get("/shares/{aoi}/schemas/{year}/tables/{table}")
@router.get("/shares/{aoi}/schemas/{year}/tables/{table}/version")
def version(sharing: Sharing, name: Named, moment: Moment = "") -> Response:
    """The version of a table in the header Delta-Table-Version: the present one, or the first since a moment."""
    number = sharing.tables.number(name) if not moment else sharing.tables.since(name, _moment(moment))
    return Response(headers={_VERSION: str(number)})


@router.get("/shares/{aoi}/schemas/{year}/tables/{table}/metadata")
def metadata(
    sharing: Sharing,
    name: Named,
    number: Annotated[int | None, Query(alias="version", ge=0, le=2**62)] = None,
    moment: Annotated[str, Query(alias="timestamp", max_length=50)] = "",
    formats: Formats = "",
) -> Response:
    """The columns of a table, as they are or were."""
    rows, delta = _wanted_version(sharing, name, number, moment), actions.reads_delta_only(formats)
    schema = Schema.from_arrow(rows.schema).to_json()
    about = actions.metadata(sharing.tables.id(name), str(name), schema, delta=delta)
    return _answer([actions.protocol(delta=delta), about], rows.number, delta=delta)


@router.post("/shares/{aoi}/schemas/{year}/tables/{table}/query")
async def query(
    request: Request, sharing: Sharing, user: User, name: Named, asked: Asked, formats: Formats = ""
) -> Response:
    """The files with the rows of a table, as it is or was; predicates and limits are hints, they leave files out."""
    if asked.first is not None or asked.last is not None:
        raise HTTPException(400, f"{_CHANGES}; leave startingVersion and endingVersion out")
    copy = await _copy(sharing, user, name, asked)
    delta, expires = actions.reads_delta_only(formats), sharing.links.expiry()

    def address(file: File) -> str:
        token = sharing.links.token(Link(user.name, name.aoi, copy.folder.name, file.name, expires))
        return f"{request.base_url}static/shared/{token}/{file.name}?{SIGNED}"

    fitting = hints.fitting(copy.files, asked.predicates, asked.predicate, asked.limit)
    lines = [
        actions.protocol(delta=delta),
        actions.metadata(sharing.tables.id(name), str(name), copy.schema, copy, delta=delta),
        *actions.files(copy, fitting, address, expires, delta=delta),
    ]
    return _answer(lines, copy.number, delta=delta)


_CHANGES: Final = "this server does not tell changes from version to version; read the whole table at a version"


@router.get("/shares/{aoi}/schemas/{year}/tables/{table}/changes")
def changes(name: Named) -> Response:
    """Refused: there is no feed of changes; the table `changes` says what has changed of lights and markers."""
    raise HTTPException(400, _CHANGES)


async def _copy(sharing: Shared, user: Account, name: Name, asked: Asked) -> Copy:
    """The copy of the rows that are asked for; who needs one that is not there yet waits for a turn."""
    identity = sharing.tables.id(name)
    if asked.version is not None and asked.timestamp is None:
        copy = await run_in_threadpool(sharing.copies.existing, identity, name, asked.version)
        if copy is not None and asked.version != await run_in_threadpool(sharing.tables.number, name):
            return copy  # of a former version, whose files may have been vacuumed since
    rows = await run_in_threadpool(_wanted_version, sharing, name, asked.version, asked.timestamp or "")
    copy = await run_in_threadpool(sharing.copies.existing, identity, name, rows.number, rows.state)
    if copy is not None:
        return copy
    async with sharing.turns.turn(user.name):
        log.info("writing version %d of %s", rows.number, name)
        return await run_in_threadpool(sharing.copies.copy, identity, rows)


def _wanted_version(sharing: Shared, name: Name, number: int | None, moment: str) -> tables.Version:
    if number is not None and moment:
        raise InvalidInputError("give a version or a timestamp, not both")
    if moment:
        return sharing.tables.at_moment(name, _moment(moment))
    return sharing.tables.current(name) if number is None else sharing.tables.at_version(name, number)


_moment = partial(timestamp_of, noun="timestamp")


def _answer(lines: Sequence[actions.Line], number: int, *, delta: bool) -> Response:
    formats = f"responseformat={'delta' if delta else 'parquet'}"
    return Response(
        actions.encoded(lines), media_type=_LINES, headers={_VERSION: str(number), actions.CAPABILITIES: formats}
    )


# -- files ------------------------------------------------------------------------------------------------------------

links = APIRouter()


@links.get("/static/shared/{token}/{name}", include_in_schema=False)
def file(request: Request, sharing: Sharing, token: str, name: str) -> Response:
    """A file of a table, whole or in parts, to who has a link that holds."""
    link = sharing.links.read(token)
    path = None if link is None or link.file != name else sharing.copies.file(link.folder, name)
    if link is None or path is None:
        raise NotFoundError("this link leads nowhere or has ended; ask for the table again")
    request.state.aoi = link.aoi
    return FileResponse(path, media_type=_PARQUET)
