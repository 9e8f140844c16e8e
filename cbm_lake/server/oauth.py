"""Tokens for clients that log in by OAuth 2.0 (client credentials) with an account's name and password."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from cbm_lake.server.limits import RefusalError
from cbm_lake.server.login import Door

PATH: Final = "/oauth/token"
LARGEST: Final = 4096
"""Bytes of a request for a token: it comes of strangers."""
_SECONDS: Final = 3600
_FORM: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string"},
                    },
                }
            }
        },
    }
}

router = APIRouter(tags=["statistics"])


@router.post(PATH, openapi_extra=_FORM)
async def token(request: Request) -> Response:
    """A bearer token for an hour, for an account's name as client_id and its password as client_secret."""
    door: Door = request.app.state.door
    form = {name: values[-1] for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
    if form.get("grant_type") != "client_credentials":
        return _refused(400, "unsupported_grant_type", "grant_type is client_credentials")
    address = request.client.host if request.client else ""
    try:
        account = await door.by_password(form.get("client_id", ""), form.get("client_secret", ""), address)
    except RefusalError as refusal:
        kind = "invalid_client" if refusal.status == 401 else "temporarily_unavailable"
        return _refused(refusal.status, kind, refusal.reason, dict(refusal.headers))
    issued = door.accounts.session(account.name, _SECONDS)
    return JSONResponse({"access_token": issued, "token_type": "Bearer", "expires_in": _SECONDS})


def _refused(status: int, kind: str, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": kind, "error_description": reason}, status, headers)
