"""Routes whose errors are those of openEO, whatever raises them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from cbm_lake.errors import InvalidInputError, LakeError, NotFoundError, TooManyError, UnknownSetError
from cbm_lake.server.limits import RefusalError, retry_after
from cbm_lake.server.openeo.refusals import OpenEoError
from cbm_lake.server.security import RefusedError
from cbm_lake.server.turns import BusyError

log = logging.getLogger(__name__)

_CODES: Final = {401: "AuthenticationRequired", 404: "NotFound", 413: "ContentTooLarge", 429: "TooManyRequests"}


_TRANSLATED: Final = (
    BusyError,
    RefusalError,
    HTTPException,
    RequestValidationError,
    RecursionError,
    UnicodeError,
    RefusedError,
    LakeError,
    OpenEoError,
)


class OpenEoRoute(APIRoute):
    """A route that answers errors as openEO's clients read them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with its errors translated."""
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except _TRANSLATED as error:
                return _response(translated(error), error.seconds if isinstance(error, BusyError) else None)

        return handled


def code_of(status: int) -> str:
    """The code of an error of HTTP."""
    return _CODES.get(status, "BadRequest" if status < 500 else "Internal")


def translated(error: Exception) -> OpenEoError:
    """An error as openEO's clients read it; of the server's own faults only the log says more."""
    if isinstance(error, OpenEoError):
        return error
    if isinstance(error, LakeError):
        return _of_library(error)
    if isinstance(error, HTTPException):
        return OpenEoError(code_of(error.status_code), str(error.detail), error.status_code)
    if isinstance(error, RefusedError):
        return OpenEoError("NotFound", "there is nothing of that name, or it is not yours to read")
    return _of_request(error)


def _of_request(error: Exception) -> OpenEoError:
    """An error of what was sent, or of when."""
    if isinstance(error, BusyError):
        return OpenEoError("ServiceUnavailable", str(error), error.status)
    if isinstance(error, RefusalError):
        return OpenEoError(code_of(error.status), error.reason, error.status)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = first["loc"][-1] if first["loc"] else "request"
        return OpenEoError("ContentInvalid", f"{name}: {first['msg']}")
    return OpenEoError("ContentInvalid", "the body is nested too deeply, or no Unicode")


def _of_library(error: LakeError) -> OpenEoError:
    if isinstance(error, NotFoundError):
        # an unknown parcel set without the list of all that there are, also of areas that are not theirs
        return OpenEoError("NoDataAvailable", error.reason if isinstance(error, UnknownSetError) else str(error))
    if isinstance(error, InvalidInputError):
        code = "ProcessGraphComplexity" if isinstance(error, TooManyError) else "ProcessGraphInvalid"
        return OpenEoError(code, str(error))
    log.error("%s", error)
    return OpenEoError("Internal", "the server cannot answer this now; its log says why")


def _response(error: OpenEoError, seconds: float | None = None) -> Response:
    document = error.document
    if error.status >= 500:
        document["id"] = secrets.token_hex(8)
        log.warning("openEO error %s: %s", document["id"], error.message)
    return JSONResponse(document, error.status, headers=retry_after(seconds) if seconds else None)
