"""HTTP client of the `api` source: requests to a REST server and downloads of files."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError
from cbm_lake.files import limits
from cbm_lake.files.documents import load_json
from cbm_lake.parcel.sources.protocol import Columns

log = logging.getLogger(__name__)

Params: TypeAlias = Mapping[str, object]
"""Of a question; None, False and "" are not sent."""
_SECONDS: Final = (5.0, 120.0)
"""For how long a server may take to answer at all, and then between bytes."""
_PIECE: Final = 1 << 20
_JSON: Final = {"Content-Type": "application/json"}
_NOT_ANSWERED: Final = "X-Not-Answered"
"""Header in which our server lists requested data that the response lacks."""
_DOWNLOADS: Final = 3
"""How often a file is begun to be fetched."""
_PAUSE: Final = 1.0
"""Seconds before the second time, and twice as many before the third."""
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How a TIFF begins, in either order of bytes, of 32 and 64 bits."""


class Server:
    """Connection to a REST server of this project or of the original library, with an account.

    Raises:
        ConfigError: no address is given.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        if not url:
            raise ConfigError("no REST server is set; call set_api_account(url, username, password)")
        self.url = url.rstrip("/")
        self._session = _session()
        self._session.auth = (user, password)
        self._public = _session()
        self._public.auth = _nobody

    def columns(self, name: str, params: Params, **others: str) -> Columns:
        """Request columns of equal length."""
        return self._equally_long(self.object(name, params, **others), name)

    def _equally_long(self, answer: dict[str, Any], name: str) -> Columns:
        lengths = {len(values) if isinstance(values, list) else -1 for values in answer.values()}
        if len(lengths) > 1 or -1 in lengths:
            raise SourceError(f"{self.url} answers {name} with what are not equally long lists; is it a cbm server?")
        return answer

    def object(self, name: str, params: Params, **others: str) -> dict[str, Any]:
        """Request a JSON object."""
        return self._object(self.asked(name, params, **others), name)

    def columns_of(self, path: str, body: Params) -> Columns:
        """Send a document to one of the service's own endpoints, whose answer are columns of equal length."""
        url, document = f"{self.url}/{path}", json.dumps(body)
        response = self._answer(path, lambda: self._session.post(url, data=document, headers=_JSON, timeout=_SECONDS))
        return self._equally_long(self._object(response, path), path)

    def _object(self, response: requests.Response, name: str) -> dict[str, Any]:
        try:
            answer = load_json(response.content)
        except ValueError as error:
            raise SourceError(
                f"{self.url} answers {name} (status {response.status_code}) with what is no JSON; is it a cbm server?"
            ) from error
        if not isinstance(answer, dict):
            raise SourceError(f"{self.url} answers {name} with what is no JSON object; is it a cbm server?")
        return answer

    def asked(self, name: str, params: Params, **others: str) -> requests.Response:
        """Send a request; only true flags and non-empty texts are sent."""
        sent = {key: str(value) for key, value in params.items() if value is not None and value is not False}
        sent = {key: text for key, text in sent.items() if text}
        url = f"{self.url}/query/{name}"
        return self._answer(name, lambda: self._session.get(url, params={**sent, **others}, timeout=_SECONDS))

    def _answer(self, name: str, send: Callable[[], requests.Response]) -> requests.Response:
        """What a request of that name is answered; what the answer lacks is logged."""
        try:
            response = send()
        except requests.RequestException as error:
            raise SourceError(
                f"{self.url} does not answer ({_reason(error)}); check the address and the net"
            ) from error
        _check(response, name)
        if _NOT_ANSWERED in response.headers:
            log.warning("%s: %s", name, response.headers[_NOT_ANSWERED])
        return response

    def content(self, link: str, name: str) -> bytes:
        """Download the GeoTIFF of a result link, without credentials.

        Interrupted downloads are retried, as the server may be restarting.
        """
        url = urljoin(f"{self.url}/", link if "://" in link else link.lstrip("/"))
        for attempt in range(_DOWNLOADS):
            if attempt:
                time.sleep(_PAUSE * attempt)
            try:
                return self._download(url, name)
            except requests.RequestException as error:
                problem = error
        raise SourceError(f"{name} cannot be fetched from {self.url} ({_reason(problem)}); try again") from problem

    def _download(self, url: str, name: str) -> bytes:
        """Download a file completely."""
        with self._public.get(url, stream=True, timeout=_SECONDS) as answer:
            _check(answer, name)
            content = bytearray()
            for piece in _of_tiff(answer.iter_content(_PIECE), name):
                content += piece
                if len(content) > limits.WHOLE:
                    raise SourceError(f"what the server gives for {name} has more than {limits.WHOLE:,} bytes")
        return bytes(content)


def _session() -> requests.Session:
    """Session that retries when the server is busy or the connection is lost."""
    session = requests.Session()
    # 500 is what the original answers to what it does not know; how long a server bids to wait may be many minutes
    again = Retry(
        total=3,
        backoff_factor=0.5,
        status_forcelist=(429, 502, 503, 504),
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=again))
    return session


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No authentication, not even from the user's .netrc."""
    return request


def _check(response: requests.Response, name: str) -> None:
    """Raise the error that corresponds to a status code."""
    if response.ok:
        return
    reason = _words(response)
    if response.status_code in (401, 403):
        raise ConfigError(f"the server refuses {name}: {reason}; check the account (set_api_account) and its areas")
    if response.status_code == 404:
        raise NotFoundError(f"the server has no {name}: {reason}")
    if response.status_code in (400, 422):
        raise InvalidInputError(f"the server does not accept {name}: {reason}")
    raise SourceError(f"the server fails on {name} with status {response.status_code}: {reason}; try again later")


def _words(response: requests.Response) -> str:
    """Error text of the server in one line."""
    try:
        answer = load_json(response.content)
    except ValueError:
        answer = re.sub(r"<[^>]+>", " ", response.text)
    if isinstance(answer, dict):
        answer = answer.get("detail") or answer.get("error") or json.dumps(answer)
    return " ".join(str(answer).split())[:200] or str(response.reason)


def _reason(error: requests.RequestException) -> str:
    return type(error).__name__ if not error.args else f"{type(error).__name__}: {str(error.args[0])[:150]}"


def _of_tiff(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Chunks of a file, after checking the TIFF signature."""
    first = next(pieces, b"")
    if first[:4] not in _TIFF:
        raise SourceError(f"what the server gives for {name} is no GeoTIFF; the link may have expired: ask again")
    yield first
    yield from pieces
