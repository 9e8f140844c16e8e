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


class OpenEoRoute(APIRoute):
    """A route that answers errors as openEO's clients read them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with its errors translated."""
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except BusyError as error:
                return _response(OpenEoError("ServiceUnavailable", str(error), error.status), error.seconds)
            except RefusalError as error:
                return _response(OpenEoError(code_of(error.status), error.reason, error.status))
            except HTTPException as error:
                return _response(OpenEoError(code_of(error.status_code), str(error.detail), error.status_code))
            except RequestValidationError as error:
                first = error.errors()[0]
                name = first["loc"][-1] if first["loc"] else "request"
                return _response(OpenEoError("ContentInvalid", f"{name}: {first['msg']}"))
            except (RecursionError, UnicodeError):
                return _response(OpenEoError("ContentInvalid", "the body is nested too deeply, or no Unicode"))
            except RefusedError:
                return _response(OpenEoError("NotFound", "there is nothing of that name, or it is not yours to read"))
            except (LakeError, OpenEoError) as error:
                return _response(translated(error))

        return handled


def code_of(status: int) -> str:
    """The code of an error of HTTP."""
    return _CODES.get(status, "BadRequest" if status < 500 else "Internal")


def translated(error: LakeError | OpenEoError) -> OpenEoError:
    """An error of the library as openEO's clients read it; of the server's own faults only the log says more."""
    if isinstance(error, OpenEoError):
        return error
    if isinstance(error, UnknownSetError):
        return OpenEoError("NoDataAvailable", error.reason)
    if isinstance(error, NotFoundError):
        return OpenEoError("NoDataAvailable", str(error))
    if isinstance(error, TooManyError):
        return OpenEoError("ProcessGraphComplexity", str(error))
    if isinstance(error, InvalidInputError):
        return OpenEoError("ProcessGraphInvalid", str(error))
    log.error("%s", error)
    return OpenEoError("Internal", "the server cannot answer this now; its log says why")


def _response(error: OpenEoError, seconds: float | None = None) -> Response:
    document = error.document
    if error.status >= 500:
        document["id"] = secrets.token_hex(8)
        log.warning("openEO error %s: %s", document["id"], error.message)
    return JSONResponse(document, error.status, headers=retry_after(seconds) if seconds else None)
