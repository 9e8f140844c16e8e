"""HTTP client of `card2db`: JSON requests with retries, redirects, size limits and credentials.

Credentials are looked up for each URL that is asked, redirects included, so that none ever goes to another host.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urljoin, urlsplit, urlunsplit

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import installed
from cbm_lake.files.documents import load_json
from cbm_lake.storage import credentials

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

_PATIENCE: Final = 300
"""Seconds that all waits between two answers of a server come to at most."""
_WHOLE_PATIENCE: Final = 3600
"""Seconds that all waits come to at most."""
_SILENCES: Final = 3
"""How often in a row a server may not answer in time before it is asked no more."""
_LARGEST: Final = 1 << 29
"""Bytes of one answer, decompressed, that are read at most."""
_SLOWEST: Final = 10
"""How often the time limit of a silence one answer may take in all."""
_REDIRECTS: Final = 10
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


class HttpError(SourceError):
    """HTTP error response."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """An HTTP request; a body is sent as JSON."""

    url: str
    method: str = "GET"
    body: dict[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside those of `credentials`; they go to the host of `url` only."""

    @property
    def key(self) -> str:
        """Cache key of a request."""
        return json.dumps([self.method, self.url, self.body, dict(self.headers)], sort_keys=True, default=str)


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    document: Any
    """The JSON."""
    url: str
    """Where it came from, after redirects."""


@dataclass
class _Temporary(Exception):  # noqa: N818 - not an error yet
    """A transient failure."""

    error: SourceError
    after: float | None = None
    """Seconds that the server asks to wait."""
    tries: int | None = None
    """How often to try again at most."""


class Web:
    """JSON client that retries transient failures, with limits on time, waiting and size."""

    def __init__(self, timeout: float, retries: int, waiting: Callable[[], None] = lambda: None) -> None:
        """Nothing is asked yet.

        Args:
            timeout: seconds of silence after which a request is given up.
            retries: how often a request is repeated after a failure that may pass.
            waiting: called every second of a wait; what it raises ends the wait.
        """
        self._timeout, self._retries, self._waiting = timeout, retries, waiting
        self._waited = self._waited_in_all = 0.0
        self._answered: set[str] = set()
        self._silences: Counter[str] = Counter()
        self._session: requests.Session | None = None

    def ask(self, request: Request) -> Answer:
        """Request JSON from a server.

        Raises:
            HttpError: it answered with an error.
            SourceError: it cannot be reached, or its answer is no JSON.
            InvalidInputError: the URL is invalid.
            ConfigError: credentials for the host are malformed.
        """
        server = host(request.url)
        if self._silences[server] >= _SILENCES:
            raise SourceError(f"{server} failed: it has not answered {_SILENCES} times in a row; try again later")
        for attempt in itertools.count():
            try:
                answer = self._follow(request)
            except _Temporary as failure:
                self._wait(failure, attempt, server)
            else:
                self._waited = 0.0
                return answer
        raise AssertionError  # the loop has no end

    def _wait(self, failure: _Temporary, attempt: int, server: str) -> None:
        """Wait as the server asks, else with exponential backoff; raises if that is too long."""
        pause = max(failure.after or 0, 0.5 * 2**attempt)
        tries = self._retries if failure.tries is None else min(self._retries, failure.tries)
        longest = min(_PATIENCE - self._waited, _WHOLE_PATIENCE - self._waited_in_all)
        if attempt >= tries or pause > longest:
            raise failure.error from None
        reason = re.sub(r"^.*? (failed: )?", "", str(failure.error).partition(";")[0])
        log.warning("%s: %s; asking again in %.3g s (%d of %d)", server, reason, pause, attempt + 1, tries)
        self._waited += pause
        self._waited_in_all += pause
        while pause > 0:
            self._waiting()
            time.sleep(min(pause, 1))
            pause -= 1

    def _follow(self, request: Request) -> Answer:
        """Response after redirects, which preserve method and body (except 303)."""
        secure = urlsplit(request.url).scheme == "https"
        home, url, method, body = host(request.url), request.url, request.method, request.body
        for _ in range(_REDIRECTS):
            exposed = secure and urlsplit(url).scheme != "https"  # credentials given for https are not sent in clear
            headers = {
                **(request.headers if host(url) == home else {}),
                **({} if exposed else credentials.headers(url)),
            }
            with self._sent(method, url, body, headers) as response:
                target = response.headers.get("Location")
                if response.status_code not in {301, 302, 303, 307, 308} or not target:
                    return self._answer(response, url)
            url = _redirected(target, url)
            if response.status_code == 303:
                method, body = "GET", None
        raise SourceError(f"{home} redirects in circles; check the address")

    def _sent(self, method: str, url: str, body: Any, headers: Mapping[str, str]) -> requests.Response:
        """Send one request; the content is not read yet."""
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.headers["User-Agent"] = f"cbm-lake/{installed.version()}"
            self._session.headers["Accept"] = "application/geo+json, application/json;q=0.9, */*;q=0.1"
            self._session.auth = lambda prepared: prepared  # else requests looks into netrc by rules of its own
        server = host(url)
        try:
            asked = requests.Request(method, url, headers=dict(headers), json=body)
            prepared = self._session.prepare_request(asked)
            settings = self._session.merge_environment_settings(prepared.url or url, {}, True, None, None)
            response = self._session.send(prepared, timeout=self._timeout, allow_redirects=False, **settings)
        except requests.RequestException as error:
            self._failed(error, server)
        except (UnicodeError, ValueError) as error:
            raise InvalidInputError(f"{credentials.without_secrets(url)!r} is no address; correct it") from error
        self._answered.add(server)
        return response

    def _failed(self, error: Exception, server: str) -> NoReturn:
        """Raise a connection error without the library's text, which contains query strings."""
        import requests
        import urllib3

        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
            raise InvalidInputError(f"{server!r} is no address of a web server; correct it") from None
        inner = getattr(error.args[0] if error.args else error, "reason", error)  # without the path that was asked
        said = f"{type(inner).__name__}: {inner}"
        reason = next((words for pattern, words in _REASONS if pattern.search(said)), "the connection broke off")
        failure = SourceError(f"{server} failed: {reason}; check the address or try again later")
        if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
            # one that has never answered is not waited for twice
            self._silences[server] += 1
            raise _Temporary(failure, tries=1 if server in self._answered else 0) from None
        if isinstance(error, requests.exceptions.SSLError):
            raise SourceError(
                f"{server} failed: its certificate or encryption is not accepted; check the address"
            ) from None
        raise _Temporary(failure) from None

    def _answer(self, response: requests.Response, url: str) -> Answer:
        server, status = host(url), response.status_code
        content = self._content(response, server)
        self._silences[server] = 0
        if not 200 <= status < 300:
            raise _refusal(response, content, url)
        try:
            return Answer(load_json(content), url)
        except InvalidInputError as error:
            raise SourceError(f"{server} sent something that is no STAC answer ({error})") from error
        except ValueError as error:
            if not content.strip() or content.lstrip()[:1] in {b"{", b"["}:
                reason = f"{server} failed: its answer was cut off; try again later"
                raise _Temporary(SourceError(reason)) from error
            label = credentials.without_secrets(url)
            raise SourceError(f"{server} sent something that is no STAC answer (no JSON); check {label}") from error

    def _content(self, response: requests.Response, server: str) -> bytes:
        """Decompressed content of a response."""
        import urllib3

        until = time.monotonic() + _SLOWEST * self._timeout
        content = bytearray()
        try:
            while part := response.raw.read1(1 << 16, decode_content=True):
                content += part
                if len(content) > _LARGEST:
                    size = f"more than {_LARGEST >> 20} MB"
                    raise SourceError(f"{server} sent {size} in one answer; search shorter times or smaller areas")
                if time.monotonic() > until:
                    raise SourceError(f"{server} failed: it sends too slowly; try again later")
        except urllib3.exceptions.HTTPError as error:
            self._failed(error, server)
        return bytes(content)


def host(url: str) -> str:
    """Host and port of a URL, for messages.

    Raises:
        InvalidInputError: it is no URL.
    """
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or credentials.without_secrets(url)
    except ValueError as error:
        raise InvalidInputError(f"{credentials.without_secrets(url)!r} is no address; correct it") from error


def words(document: Any, url: str) -> str:
    """The server's own error text in one line of at most 200 characters, or ""."""
    text = credentials.redacted(" ".join(_stated(document).split()), url)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _stated(document: Any) -> str:
    """Explanation in an error document (STAC, FastAPI, OGC, RFC 9457, …)."""
    if isinstance(document, str):
        return "" if document.lstrip().startswith("<") else document
    if isinstance(document, list):
        return "; ".join(filter(None, map(_stated, document[:3])))
    if not isinstance(document, dict):
        return ""
    names = ("description", "detail", "message", "msg", "ErrorMessage", "errors", "error_description", "error", "title")
    statement = next((text for name in names if (text := _stated(document.get(name)))), "")
    where = document.get("loc")
    return f"{'.'.join(map(str, where))}: {statement}" if isinstance(where, list) and statement else statement


def _refusal(response: requests.Response, content: bytes, url: str) -> Exception:
    """Exception for an error status."""
    server, status = host(url), response.status_code
    try:
        stated = words(load_json(content), url)
    except ValueError:
        stated = words(content[:2000].decode("utf-8", "replace"), url)
    said = f"HTTP {status}" + (f" ({stated})" if stated else "")
    if status in {401, 403, 407}:
        return HttpError(f"{server} refuses access: {said}; {credentials.advice(url)}", status)
    if status not in _TEMPORARY:
        return HttpError(f"{server} failed: it answered {said}; {_ADVICE.get(status, 'check the address')}", status)
    after = _retry_after(response.headers.get("Retry-After"))
    if after:
        back = datetime.now(UTC) + timedelta(seconds=after)
        advice = f"it asks to wait {_duration(after)}: come back after {back:%Y-%m-%d %H:%M} UTC"
    else:
        advice = "try again later"
    reason = "it is asked too often:" if status == 429 else "it answered"
    return _Temporary(HttpError(f"{server} failed: {reason} {said}; {advice}", status), after)


_ADVICE: Final = {
    400: "correct the search",
    404: "check the address",
    405: "check the address",
    413: "search a simpler or smaller area",
    414: "search a simpler or smaller area",
    422: "correct the search",
}
_REASONS: Final = (
    (re.compile(r"name resolution|not known|getaddrinfo|resolve", re.IGNORECASE), "there is no host of that name"),
    (re.compile(r"^ProxyError"), "the proxy in between cannot be used"),
    (re.compile(r"timed out|^\w*Timeout", re.IGNORECASE), "it does not answer in time"),
    (re.compile(r"refused", re.IGNORECASE), "it refuses connections"),
    (re.compile(r"IncompleteRead|^Decode|Connection broken|InvalidChunkLength"), "its answer was cut off"),
)


def _redirected(target: str, url: str) -> str:
    """Target of a redirect from `url`; never downgraded from https to http on the same host."""
    try:
        here, there = urlsplit(url), urlsplit(urljoin(url, target))
    except ValueError as error:
        raise SourceError(f"{host(url)} redirects to something that is no address; check the address") from error
    if there.scheme not in {"http", "https"}:
        raise SourceError(f"{host(url)} redirects to something that is no web address; check the address")
    if here.hostname == there.hostname:
        if here.scheme == "https" and there.scheme == "http":
            there = there._replace(scheme="https", netloc=here.netloc)
        user, at, _ = here.netloc.rpartition("@")
        there = there._replace(netloc=user + at + there.netloc.rpartition("@")[2])
    return urlunsplit(there._replace(fragment=""))


def _retry_after(value: str | None) -> float | None:
    """Delay in seconds of a Retry-After header (number or date)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
