"""The REST service: the original's endpoints and the lake's own, behind accounts."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from cbm_lake.errors import ConfigError, InvalidInputError, LakeError, NotFoundError, SourceError
from cbm_lake.lake import Lake
from cbm_lake.server import documentation, features, legacy, legacy_images, modern, security, tiles
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.results import Results, Room
from cbm_lake.server.security import Rate, RefusedError, User
from cbm_lake.server.sqlbox import Limits
from cbm_lake.server.sqldesk import SqlDesk
from cbm_lake.server.turns import Allowance, BusyError
from cbm_lake.sources import LakeSource

log = logging.getLogger(__name__)

_STATUS: Final = {NotFoundError: 404, InvalidInputError: 400, ConfigError: 500, SourceError: 502}


@dataclass(frozen=True)
class Settings:
    """What an administrator may want otherwise."""

    results: Path
    """Folder of results to be fetched."""
    files: Path
    """Folder of files that are handed out, one folder per area."""
    sql: bool = False
    """Whether POST /v1/sql is offered."""
    seconds: float = 3600.0
    """For how long a result can be fetched."""
    rate: float = 500.0
    """Requests a second of one account, and so many twice over at once."""
    heavy: int = 2
    """Requests for images that are worked at the same time; others wait."""
    limits: Limits = field(default_factory=Limits)
    """What one statement of SQL may use."""
    allowance: Allowance = field(default_factory=Allowance)
    """How much SQL accounts may have worked at once."""
    room: Room = field(default_factory=Room)
    """How many results are kept."""


def create_app(lake: Lake, accounts: Accounts, settings: Settings) -> FastAPI:
    """The service over a lake."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        if app.state.desk is not None:
            app.state.desk.close()

    app = FastAPI(title="cbm-lake", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.state.source = LakeSource(lake, hold=True)
    app.state.accounts, app.state.settings = accounts, settings
    app.state.results = results = Results(settings.results, settings.seconds, settings.room)
    app.state.rate, app.state.strangers = Rate(settings.rate, 2 * settings.rate), Rate(2, 20)
    app.state.heavy = threading.BoundedSemaphore(settings.heavy)
    root = settings.results.with_name("sql")
    app.state.desk = SqlDesk(lake, results, root, settings.limits, settings.allowance) if settings.sql else None
    app.add_middleware(BaseHTTPMiddleware, dispatch=security.guard)
    app.add_middleware(_OneSlash)
    app.add_exception_handler(RefusedError, security.refused)
    app.add_exception_handler(StarletteHTTPException, security.plain)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(BusyError, _busy)
    app.add_exception_handler(LakeError, _failed)
    app.include_router(legacy_images.router)
    app.include_router(legacy.router)  # which answers every other name, so it comes after
    app.include_router(modern.router)
    app.include_router(features.router)
    app.include_router(tiles.router)
    _add_files(app)
    return app


class _OneSlash:
    """Takes // at the start of a path for /: clients of the original join addresses that end in one."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("//"):
            path = "/" + scope["path"].lstrip("/")
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


def _wrong(_: Request, error: Exception) -> Response:
    """A parameter that is missing or wrong, in one line."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    return JSONResponse({"detail": f"{first['loc'][-1] if first['loc'] else 'request'}: {first['msg']}"}, 400)


def _failed(_: Request, error: Exception) -> Response:
    """What the library says, with the status that it means; of the server's own faults no more than that."""
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    if status >= 500:
        log.error("%s", error)
        return JSONResponse({"detail": "the server cannot answer this now; its log says why"}, status)
    return JSONResponse({"detail": str(error)}, status)


def _busy(_: Request, error: Exception) -> Response:
    """When to ask again."""
    status, seconds = (error.status, error.seconds) if isinstance(error, BusyError) else (503, 1.0)
    return JSONResponse({"detail": str(error)}, status, headers={"Retry-After": f"{max(1, round(seconds))}"})


def _add_files(app: FastAPI) -> None:
    """Results without a login, and files to be handed out with one."""

    @app.get("/static/tmp/{token}/{name}", include_in_schema=False)
    def result(request: Request, token: str, name: str) -> Response:
        return FileResponse(request.app.state.results.find(token, name))

    @app.get("/files/{aoi}/{name}", tags=["files"])
    def file(request: Request, user: User, aoi: str, name: str) -> Response:
        """A file of an area."""
        folder = request.app.state.settings.files / security.allowed(user, aoi)
        if {name, aoi} & {"", ".", ".."} or "/" in name or "\\" in name or name not in _names(folder):
            raise NotFoundError(f"there is no file {name!r} of {aoi}")
        return FileResponse(folder / name, filename=name)

    @app.get("/files", tags=["files"])
    def files(request: Request, user: User) -> dict[str, list[str]]:
        """The files that may be fetched, by area."""
        root = request.app.state.settings.files
        areas = sorted(folder.name for folder in root.iterdir() if folder.is_dir()) if root.is_dir() else []
        return {aoi: _names(root / aoi) for aoi in areas if user.may_read(aoi)}

    @app.get("/apidocs", include_in_schema=False)
    def apidocs() -> Response:
        return HTMLResponse(documentation.page(app.openapi()))


def _names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
