"""The endpoints of openEO; what they do is in `working` and `jobs`."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Body, Depends, FastAPI, Query, Request
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from cbm_lake.lake import Lake
from cbm_lake.server.accounts import Account, Accounts
from cbm_lake.server.openeo import describing, processes, working
from cbm_lake.server.openeo.graph import Json
from cbm_lake.server.openeo.jobs import Job, Jobs, StoppedError
from cbm_lake.server.openeo.refusals import OpenEoError
from cbm_lake.server.openeo.routing import OpenEoRoute
from cbm_lake.server.openeo.working import Written
from cbm_lake.server.security import User
from cbm_lake.server.state import ServerState, State
from cbm_lake.server.turns import Turns

PREFIXES: Final = ("/openeo", "/openeo/1.2")
"""Where the endpoints are; the second is the address that clients discover."""
WELL_KNOWN: Final = "/.well-known/openeo"
OPEN: Final = (
    WELL_KNOWN,
    *(
        f"{prefix}{path}"
        for prefix in PREFIXES
        for path in ("", "/", WELL_KNOWN, "/conformance", "/processes", "/file_formats")
    ),
)
"""What is read without a login."""
_SESSION: Final = 86_400
"""Seconds that a token of a login is valid."""
_MOST_SECONDS: Final = 300
"""Seconds of a synchronous answer."""
_GONE: Final = 0.2
"""Seconds between looks whether the client is still there."""

router = APIRouter(tags=["openEO"], route_class=OpenEoRoute)


class Desk:
    """What of openEO lasts as long as the service does.

    Args:
        state: of the service.
        accounts: who may ask.
    """

    def __init__(self, state: ServerState, accounts: Accounts) -> None:
        self.accounts = accounts
        self.turns = Turns(state.settings.allowance)
        self.lake: Callable[[], Lake] = lambda: state.lake
        settings = state.settings
        self.jobs = Jobs(settings.results.with_name("openeo"), self._work, settings.room.bytes)

    def _work(self, job: Job, folder: Path, check: Callable[[], None]) -> Written:
        """The result of a job, as its owner may read it now, of the lake as it was when the job was created."""
        account = self.accounts.account(job.owner)
        if account is None:
            raise OpenEoError("AuthenticationRequired", "the account of this job is no more")
        return working.work(self.lake().at(job.as_of.isoformat()), account, cast("Json", job.graph), folder, check)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.openeo
    return desk


Here = Annotated[Desk, Depends(_desk)]


def _root(request: Request) -> str:
    """The address by which the endpoints were asked."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    prefix = PREFIXES[1] if path.startswith(PREFIXES[1]) else PREFIXES[0]
    return f"{str(request.base_url).rstrip('/')}{prefix}"


Root = Annotated[str, Depends(_root)]


# -- what the service is ------------------------------------------------------------------------------------------


@router.get("")
def capabilities(root: Root) -> dict[str, Any]:
    """What there is, and at which version."""
    return describing.capabilities(root)


@router.get("/", include_in_schema=False)
def beginning(root: Root) -> dict[str, Any]:
    """The same, as clients ask for it."""
    return describing.capabilities(root)


@router.get(WELL_KNOWN)
def well_known(request: Request) -> dict[str, Any]:
    """The versions of the API and their addresses."""
    url = f"{str(request.base_url).rstrip('/')}{PREFIXES[1]}"
    return {"versions": [{"url": url, "api_version": describing.API_VERSION, "production": True}]}


@router.get("/conformance")
def conformance() -> dict[str, Any]:
    """Which standards hold."""
    return describing.conformance()


@router.get("/file_formats")
def file_formats() -> dict[str, Any]:
    """The formats of results."""
    return describing.file_formats()


@router.get("/processes")
def list_processes() -> dict[str, Any]:
    """The processes that there are; others are refused by their names."""
    return {"processes": [one.document for one in processes.ALL.values()], "links": []}


# -- accounts -----------------------------------------------------------------------------------------------------


@router.get("/credentials/basic")
def credentials(request: Request, desk: Here, user: User) -> dict[str, Any]:
    """A token of a day for name and password."""
    if not request.headers.get("authorization", "").lower().startswith("basic "):
        raise OpenEoError("AuthenticationRequired", "tokens are given for a name and a password only")
    return {"access_token": desk.accounts.session(user.name, _SESSION)}


@router.get("/me")
def me(user: User) -> dict[str, Any]:
    """Who asks."""
    return {"user_id": user.name, "name": user.name}


# -- collections --------------------------------------------------------------------------------------------------


@router.get("/collections")
def collections(state: State, user: User, root: Root) -> dict[str, Any]:
    """The cards of which the account's areas have signatures."""
    listed = [describing.collection(root, state.lake, one) for one in working.offered(state.lake, user)]
    return {"collections": listed, "links": [describing.link(f"{root}/collections", "self", "application/json")]}


@router.get("/collections/{name}")
def collection(state: State, user: User, root: Root, name: str) -> dict[str, Any]:
    """One of them, with its dimensions."""
    for one in working.offered(state.lake, user):
        if one.card == name:
            return describing.collection(root, state.lake, one)
    raise OpenEoError("CollectionNotFound", "there is no collection of that name, or it is not yours to read")


# -- process graphs -----------------------------------------------------------------------------------------------


class Process(BaseModel):
    """A process that users define."""

    process_graph: dict[str, Any]


class Asked(BaseModel):
    """A process graph to be worked."""

    process: Process
    title: str | None = Field(None, max_length=1000)
    description: str | None = Field(None, max_length=10_000)


@router.post("/validation")
def validation(state: State, user: User, process: Annotated[Process, Body()]) -> dict[str, Any]:
    """What is wrong with a process graph; an empty list where nothing is."""
    try:
        working.planned(state.lake, user, process.process_graph)
    except OpenEoError as error:
        return {"errors": [error.document]}
    return {"errors": []}


@router.post("/result", response_class=Response)
async def result(request: Request, state: State, desk: Here, user: User, asked: Asked) -> Response:
    """The result of a process graph at once."""
    stop, latest = threading.Event(), time.monotonic() + _MOST_SECONDS

    def check() -> None:
        if stop.is_set():
            raise StoppedError
        if time.monotonic() > latest:
            reason = f"this takes more than {_MOST_SECONDS} seconds; create a batch job, or ask for less"
            raise OpenEoError("RequestTimeout", reason, 408)

    def work() -> Written:
        folder = state.results.folder(user.name, "openeo", uuid.uuid4())
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            written = working.work(state.lake, user, asked.process.process_graph, folder, check)
            undo.pop_all()
        return written

    async with desk.turns.turn(user.name):
        written = await _unless_gone(request, run_in_threadpool(work), stop)
    request.state.aoi = written.aois[0] if len(written.aois) == 1 else None  # for the access log
    headers = {"OpenEO-Costs": "0", "X-Cbm-Lake-Way": written.way}
    background = BackgroundTask(shutil.rmtree, written.file.parent)
    return FileResponse(written.file, media_type=written.media_type, headers=headers, background=background)


async def _unless_gone(request: Request, work: Awaitable[Written], stop: threading.Event) -> Written:
    """What is awaited; where the client goes away before, the work ends at its next read."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait([task], timeout=_GONE)
        if not task.done() and await request.is_disconnected():
            stop.set()
    try:
        return task.result()
    except StoppedError:
        raise OpenEoError("RequestTimeout", "the client has gone", 499) from None


# -- batch jobs ---------------------------------------------------------------------------------------------------


@router.post("/jobs", status_code=201, response_class=Response)
def create_job(state: State, desk: Here, user: User, root: Root, asked: Asked) -> Response:
    """A batch job, which is started by POST …/results; its identifier says which moment of the lake it reads."""
    working.planned(state.lake, user, asked.process.process_graph)
    job = desk.jobs.create(user.name, asked.process.process_graph, asked.title, asked.description)
    headers = {"Location": f"{root}/jobs/{job.id}", "OpenEO-Identifier": job.id}
    return Response(status_code=201, headers=headers)


@router.get("/jobs")
def list_jobs(desk: Here, user: User, root: Root) -> dict[str, Any]:
    """The account's batch jobs, the latest first."""
    return {"jobs": [describing.job(root, one) for one in desk.jobs.of(user.name)], "links": []}


@router.get("/jobs/{job}")
def describe_job(desk: Here, user: User, root: Root, job: str) -> dict[str, Any]:
    """A batch job with its process graph."""
    return describing.job(root, desk.jobs.one(user.name, job), whole=True)


@router.delete("/jobs/{job}", status_code=204, response_class=Response)
def delete_job(desk: Here, user: User, job: str) -> Response:
    """Delete a batch job and its result."""
    desk.jobs.delete(user.name, job)
    return Response(status_code=204)


@router.get("/jobs/{job}/estimate")
def estimate_job(desk: Here, user: User, job: str) -> dict[str, Any]:
    """What a batch job costs: nothing."""
    desk.jobs.one(user.name, job)
    return {"costs": 0}


@router.get("/jobs/{job}/logs")
def job_logs(
    desk: Here,
    user: User,
    job: str,
    offset: Annotated[str, Query(max_length=100, description="The last entry that is known.")] = "",
    level: Annotated[str, Query(max_length=20, description="error, warning, info or debug.")] = "debug",
    limit: Annotated[int, Query(ge=1, le=10_000, description="Entries at most.")] = 10_000,
) -> dict[str, Any]:
    """What happened to a batch job."""
    levels = ("error", "warning", "info", "debug")
    if level.lower() not in levels:
        raise OpenEoError("ContentInvalid", f"level is one of {', '.join(levels)}")
    entries = desk.jobs.log_of(desk.jobs.one(user.name, job))
    after = int(offset) if offset.isascii() and offset.isdigit() else 0
    shown_levels = levels[: levels.index(level.lower()) + 1]
    logs = [entry for entry in entries[after:] if entry["level"] in shown_levels]
    return {"level": level.lower(), "logs": logs[:limit], "links": []}


@router.post("/jobs/{job}/results", status_code=202, response_class=Response)
def start_job(desk: Here, user: User, job: str) -> Response:
    """Start a batch job, or make its result again."""
    desk.jobs.begin(user.name, job)
    return Response(status_code=202)


@router.get("/jobs/{job}/results")
def job_results(desk: Here, user: User, root: Root, job: str) -> dict[str, Any]:
    """Where the result of a batch job is."""
    one = desk.jobs.one(user.name, job)
    return describing.results(root, one, _file(desk, user, one).name)


@router.get("/jobs/{job}/results/{asset}", response_class=Response)
def job_asset(desk: Here, user: User, job: str, asset: str) -> Response:
    """The file of the result of a batch job."""
    one = desk.jobs.one(user.name, job)
    file = _file(desk, user, one)
    if asset != file.name:
        raise OpenEoError("NotFound", "the job has no result of that name")
    return FileResponse(file, media_type=one.media_type, filename=file.name)


@router.delete("/jobs/{job}/results", status_code=204, response_class=Response)
def stop_job(desk: Here, user: User, job: str) -> Response:
    """Cancel a batch job."""
    desk.jobs.cancel(user.name, job)
    return Response(status_code=204)


def _file(desk: Desk, user: Account, job: Job) -> Path:
    """The file of a result, as long as its areas are the account's to read."""
    file = desk.jobs.file(job)
    if not all(user.may_read(aoi) for aoi in job.aois):
        raise OpenEoError("NotFound", "the areas of this job are not yours to read any more")
    return file


def include(app: FastAPI, state: ServerState, accounts: Accounts) -> Desk:
    """Add the endpoints to an application."""
    app.state.openeo = desk = Desk(state, accounts)
    app.include_router(router, prefix=PREFIXES[0])
    app.include_router(router, prefix=PREFIXES[1], include_in_schema=False)
    app.add_api_route(WELL_KNOWN, well_known, tags=["openEO"])
    return desk
