"""State shared by the endpoints: options of the service, the lake, results, limits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar, cast

from fastapi import Depends, FastAPI, Request

from cbm_lake.lake import Lake
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.server import audit
from cbm_lake.server.results import Results, Room
from cbm_lake.server.sqlbox import Limits
from cbm_lake.server.sqldesk import SqlDesk
from cbm_lake.server.turns import Allowance

T = TypeVar("T")


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
    access: Path | None = None
    """Folder of the access log; None is no log."""
    days: int = audit.DAYS
    """For which the access log is kept."""


@dataclass(frozen=True)
class ServerState:
    """What lasts as long as the service does."""

    source: LakeSource
    settings: Settings
    results: Results
    heavy: threading.BoundedSemaphore
    """To be acquired for the work of an image."""
    desk: SqlDesk | None
    """Where SQL is answered; None where it is not offered."""
    _lasting: dict[type, object] = field(default_factory=dict)

    @classmethod
    def of(cls, lake: Lake, settings: Settings) -> ServerState:
        """The state of a service over a lake."""
        results = Results(settings.results, settings.seconds, settings.room)
        folder = settings.results.with_name("sql")
        desk = SqlDesk(lake, results, folder, settings.limits, settings.allowance) if settings.sql else None
        heavy = threading.BoundedSemaphore(settings.heavy)
        return cls(LakeSource(lake, hold=True), settings, results, heavy, desk)

    @property
    def lake(self) -> Lake:
        """The lake that is asked."""
        return self.source.lake

    def lasting(self, kind: type[T], make: Callable[[], T]) -> T:
        """The object of a kind that lasts as long as the service, made when it is first asked for."""
        if kind not in self._lasting:
            self._lasting.setdefault(kind, make())  # of two that were made at once the first stays
        return cast("T", self._lasting[kind])

    def attach(self, app: FastAPI) -> None:
        """Make this the state of the requests to an application."""
        app.state.server = self


def state_of(request: Request) -> ServerState:
    """The state of the application that answers a request."""
    state: ServerState = request.app.state.server
    return state


State = Annotated[ServerState, Depends(state_of)]
