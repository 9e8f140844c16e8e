"""Errors as openEO's clients read them: a code of the standard, a message, and the status of HTTP."""

from __future__ import annotations

from typing import Final

_STATUS: Final = {
    "AuthenticationRequired": 401,
    "CollectionNotFound": 404,
    "JobNotFound": 404,
    "NotFound": 404,
    "FeatureUnsupported": 501,
    "JobNotStarted": 400,
    "JobNotFinished": 400,
    "JobLocked": 400,
    "Internal": 500,
    "ServiceUnavailable": 503,
}
"""Of codes that are no 400."""


class OpenEoError(Exception):
    """A request that is refused; `code` is one of the standard's."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.status = status or _STATUS.get(code, 400)

    @property
    def document(self) -> dict[str, str]:
        """The error as the body of an answer."""
        return {"code": self.code, "message": self.message}


def unsupported(process: str, advice: str = "") -> OpenEoError:
    """The refusal of a process that there is not."""
    more = advice or "GET /processes lists those that there are"
    return OpenEoError("ProcessUnsupported", f"process {process!r} is not supported here; {more}")


def invalid(process: str, parameter: str, reason: str) -> OpenEoError:
    """The refusal of an argument of a process."""
    return OpenEoError(
        "ProcessParameterInvalid", f"the value passed for parameter {parameter!r} in process {process!r}: {reason}"
    )


def missing(process: str, parameter: str) -> OpenEoError:
    """The refusal of a process without an argument that it needs."""
    return OpenEoError("ProcessParameterRequired", f"process {process!r} needs parameter {parameter!r}")


def graph_invalid(reason: str) -> OpenEoError:
    """The refusal of a process graph as a whole."""
    return OpenEoError("ProcessGraphInvalid", reason)
