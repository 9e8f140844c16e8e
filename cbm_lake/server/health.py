"""The endpoints /health and /metrics: whether the lake can be read, and how the last night run went.

Both are read without a login, by load balancers and by Prometheus; so they name no area, no file and no person.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from cbm_lake import season
from cbm_lake.errors import LakeError
from cbm_lake.files import clock
from cbm_lake.server.state import ServerState, State, state_of

router = APIRouter(tags=["service"])

_FRESH: Final = 5.0
"""Seconds for which what was read is summary again."""
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The format of Prometheus."""
_OUTCOMES: Final = ("done", "failed", "interrupted", "running")
"""Of the last run; running is also one that was killed: its age says so."""


@dataclass
class Pulse:
    """What is known of the last run, read at most every few seconds whoever asks."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _read: float = -_FRESH
    _night: dict[str, Any] | None = None
    _problem: bool = False

    def take(self, state: ServerState) -> tuple[bool, dict[str, Any] | None]:
        """Whether the lake can be read, and the last run; None where there was none."""
        with self._lock:
            if time.monotonic() - self._read >= _FRESH:
                self._night, self._problem = None, False
                try:
                    self._night = season.last_run(state.lake)
                except LakeError:
                    self._problem = True
                self._read = time.monotonic()
            return not self._problem, self._night


def pulse_of(request: Request) -> Pulse:
    """The pulse of the application that answers a request."""
    return state_of(request).lasting(Pulse, Pulse)


Beating = Annotated[Pulse, Depends(pulse_of)]


@router.get("/health", responses={503: {"description": "The lake cannot be read."}})
def health(state: State, pulse: Beating) -> Response:
    """Whether the lake can be read; and of the last night run its age in seconds, outcome and number of failures."""
    readable, night = pulse.take(state)
    document = {"status": "ok" if readable else "the lake cannot be read", "night": night and _summary(night)}
    return JSONResponse(document, 200 if readable else 503)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(state: State, pulse: Beating) -> Response:
    """The same as text for Prometheus."""
    readable, night = pulse.take(state)
    return Response("".join(_lines(readable, night)), media_type=_TEXT)


def _summary(night: dict[str, Any]) -> dict[str, Any]:
    """What is summary of a run."""
    return {
        "outcome": night["outcome"] or "running",
        "age_seconds": _age(night["active"]),
        "good_age_seconds": _age(night["good"]),
        "started": f"{night['started']:%Y-%m-%dT%H:%M:%SZ}",
        "seconds": night["seconds"],
        "steps": night["steps"],
        "failed": night["failed"],
        "scenes": night["scenes"],
        "rows": night["rows"],
    }


def _age(moment: datetime | None) -> float | None:
    """Seconds since then by the clock of this machine, 0 where that is behind."""
    return None if moment is None else round(max(0.0, (clock.now() - moment).total_seconds()), 1)


def _lines(readable: bool, night: dict[str, Any] | None) -> Iterator[str]:
    yield from _metric("lake_readable", "1 where the lake is readable.", int(readable))
    if night is None:
        return
    summary = _summary(night)
    name, text = "cbm_lake_night_outcome", "The outcome of the last night run: 1 for the one it has."
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    yield from (f'{name}{{outcome="{outcome}"}} {int(outcome == summary["outcome"])}\n' for outcome in _OUTCOMES)
    gauges = {
        "night_age_seconds": ("Since the last night run did anything.", summary["age_seconds"]),
        "night_good_age_seconds": ("Since a night run ended without failures.", summary["good_age_seconds"]),
        "night_duration_seconds": ("How long the last night run took.", summary["seconds"]),
        "night_steps": ("Steps of the last night run.", summary["steps"]),
        "night_failed_steps": ("Steps of the last night run that failed.", summary["failed"]),
        "night_scenes": ("Scenes that the last night run catalogued or extracted.", summary["scenes"]),
        "night_rows": ("Rows that the last night run wrote.", summary["rows"]),
    }
    for name, (text, value) in gauges.items():
        if value is not None:
            yield from _metric(name, text, value)


def _metric(name: str, text: str, value: float) -> Iterator[str]:
    yield f"# HELP cbm_lake_{name} {text}\n# TYPE cbm_lake_{name} gauge\ncbm_lake_{name} {value}\n"
