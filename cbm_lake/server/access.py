"""The endpoint GET /v1/access: the access log, for accounts with the right to read it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from starlette.responses import Response

from cbm_lake.server import audit
from cbm_lake.server.modern import Accept, streamed
from cbm_lake.server.security import User
from cbm_lake.server.state import State

router = APIRouter(prefix="/v1", tags=["lake"])

Day = Annotated[str, Query(max_length=10, description="Day (UTC), 2024-03-01.")]
Text = Annotated[str, Query(max_length=200)]


@router.get("/access")
def looks(
    state: State,
    user: User,
    since: Day = "",
    until: Day = "",
    who: Text = "",
    of: Text = "",
    parcel: Text = "",
    accept: Accept = "application/json",
) -> Response:
    """Who looked at which area and parcel, or asked what, and when, as JSON lines, CSV, Arrow or Parquet by Accept."""
    if not user.auditor:
        raise HTTPException(403, "the access log is for those who were given it: cbm-lake user grant NAME --auditor")
    folder = state.settings.access
    if folder is None:
        raise HTTPException(404, "no access log is written here")
    rows = audit.read(since, until, who=who or None, aoi=of or None, pid=parcel or None, folder=folder)
    return streamed(rows, accept)
