"""The application factory of the REST service: routers, middleware and error handlers."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cbm_lake.errors import ConfigError, InvalidInputError, LakeError, NotFoundError, SourceError, UnknownSetError
from cbm_lake.lake import Lake
from cbm_lake.server import (
    access,
    documentation,
    edr,
    features,
    health,
    legacy,
    legacy_images,
    modern,
    oauth,
    polygons,
    questions,
    security,
    stac,
    statistics,
    tiles,
)
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.audit import AccessLog
from cbm_lake.server.gate import Doors, Gate
from cbm_lake.server.limits import Rate, retry_after
from cbm_lake.server.login import Door
from cbm_lake.server.openeo import api as openeo
from cbm_lake.server.security import NoSuchKindError, RefusedError, User
from cbm_lake.server.sharing import endpoints as sharing
from cbm_lake.server.state import ServerState, Settings, State
from cbm_lake.server.turns import BusyError

__all__ = ["ServerState", "Settings", "create_app"]

log = logging.getLogger(__name__)

_DOORS: Final = (
    health,
    legacy_images,
    legacy,  # it answers every other name below /query/
    modern,
    polygons,
    statistics,
    oauth,
    features,
    stac,
    edr,
    tiles,
    access,
)
"""Modules with routers."""
_STATUS: Final = {NotFoundError: 404, InvalidInputError: 400, ConfigError: 500, SourceError: 502}


def create_app(lake: Lake, accounts: Accounts, settings: Settings) -> FastAPI:
    """Create the service over a lake."""
    state = ServerState.of(lake, settings)
    access_log = None if settings.access is None else AccessLog(settings.access, settings.days)
    doors = Doors(Door(accounts), Rate(settings.rate, 2 * settings.rate), access_log)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        desk.jobs.start()
        if state.desk is not None:
            state.desk.open()
        yield
        desk.jobs.close()
        doors.door.close()
        if doors.access is not None:
            doors.access.close()
        if state.desk is not None:
            state.desk.close()

    app = FastAPI(title="cbm-lake", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    state.attach(app)
    app.state.door = doors.door
    app.state.shared = sharing.Shared.of(lake, accounts, settings)
    app.add_middleware(Gate, doors=doors)
    app.add_middleware(_OneSlash)
    _translate_errors(app)
    desk = openeo.include(app, state, accounts)
    for module in _DOORS:
        app.include_router(module.router)
    for router in (sharing.router, sharing.links):
        app.include_router(router)
    _add_files(app)
    return app


def _translate_errors(app: FastAPI) -> None:
    """Say what is answered to each kind of error."""
    app.add_exception_handler(RefusedError, security.refused)
    app.add_exception_handler(StarletteHTTPException, security.plain)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(NoSuchKindError, questions.nothing)
    app.add_exception_handler(BusyError, _busy)
    app.add_exception_handler(UnicodeError, _unreadable)
    app.add_exception_handler(RecursionError, _unreadable)
    app.add_exception_handler(Exception, _broken)
    app.add_exception_handler(LakeError, _failed)


class _OneSlash:
    """Takes // at the start of a path for /: clients of the original join addresses that end in one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("//"):
            path = "/" + scope["path"].lstrip("/")
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


def _wrong(_: Request, error: Exception) -> Response:
    """A parameter that is missing or wrong, in one line."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    return JSONResponse({"detail": f"{first['loc'][-1] if first['loc'] else 'request'}: {first['msg']}"}, 400)


def _unreadable(_: Request, error: Exception) -> Response:
    """Text that is none, or a body that goes too deep."""
    return JSONResponse({"detail": f"this cannot be read: {type(error).__name__}; write it as plain Unicode"}, 400)


def _broken(_: Request, error: Exception) -> Response:
    """A fault of the service, which the server writes into its log; this answer does not pass the gate."""
    detail = {"detail": "the server cannot answer this now; its log says why"}
    return JSONResponse(detail, 500, headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"})


def _failed(_: Request, error: Exception) -> Response:
    """What the library says, with the status that it means; of the server's own faults no more than that."""
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    if status >= 500:
        log.error("%s", error)
        return JSONResponse({"detail": "the server cannot answer this now; its log says why"}, status)
    # an unknown parcel set without the list of all that there are, also of areas that are not theirs
    reason = error.reason if isinstance(error, UnknownSetError) else str(error)
    return JSONResponse({"detail": reason}, status)


def _busy(_: Request, error: Exception) -> Response:
    """When to ask again."""
    status, seconds = (error.status, error.seconds) if isinstance(error, BusyError) else (503, 1.0)
    return JSONResponse({"detail": str(error)}, status, headers=retry_after(seconds))


def _add_files(app: FastAPI) -> None:
    """Results without a login, and files to be handed out with one."""

    @app.get("/static/tmp/{token}/{name}", include_in_schema=False)
    def result(state: State, token: str, name: str) -> Response:
        return FileResponse(state.results.find(token, name))

    @app.get("/files/{aoi}/{name}", tags=["files"])
    def file(state: State, user: User, aoi: str, name: str) -> Response:
        """A file of an area."""
        folder = state.settings.files / security.allowed(user, aoi)
        if {name, aoi} & {"", ".", ".."} or "/" in name or "\\" in name or name not in _names(folder):
            raise NotFoundError(f"there is no file {name!r} of {aoi}")
        return FileResponse(folder / name, filename=name)

    @app.get("/files", tags=["files"])
    def files(state: State, user: User) -> dict[str, list[str]]:
        """The files that may be fetched, by area."""
        root = state.settings.files
        areas = sorted(folder.name for folder in root.iterdir() if folder.is_dir()) if root.is_dir() else []
        return {aoi: _names(root / aoi) for aoi in areas if user.may_read(aoi)}

    @app.get("/", include_in_schema=False)
    def beginning() -> Response:
        return RedirectResponse("apidocs")  # relative, so that it holds below the path of a proxy

    @app.get("/apidocs", include_in_schema=False)
    def apidocs() -> Response:
        return HTMLResponse(documentation.page(app.openapi()))


def _names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
